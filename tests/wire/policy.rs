//! What may not be connected to is not, by whatever way it is reached.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use firedrill::probe::connect::{Options, open};
use firedrill::probe::http::{Client, Request, send};
use firedrill::probe::policy::Policy;
use firedrill::probe::{tcp, websocket};
use firedrill::sample::{Cause, Reason};
use http::Method;
use rstest::rstest;
use tokio::io::AsyncWriteExt;

use crate::peer::{answering, patient, read_head, serve};

/// Options under a policy of these networks.
fn under(allow: &[&str], deny: &[&str]) -> Options {
    let nets = |texts: &[&str]| texts.iter().map(|net| net.parse().unwrap()).collect();
    Options { policy: Arc::new(Policy::new(nets(allow), nets(deny))), ..Options::default() }
}

fn get(url: &str) -> Request {
    Request::new(Method::GET, url.parse().unwrap())
}

/// A peer, and how often it was connected to.
async fn counting() -> (SocketAddr, Arc<AtomicUsize>) {
    let met = Arc::new(AtomicUsize::new(0));
    let counted = met.clone();
    let address = serve(move |mut stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            read_head(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        }
    })
    .await;
    (address, met)
}

#[tokio::test]
async fn a_redirect_to_the_metadata_service_is_refused_before_anything_is_sent() {
    let metadata = "http://169.254.169.254/latest/meta-data/";
    let redirect = format!("HTTP/1.1 302 Found\r\nlocation: {metadata}\r\ncontent-length: 0\r\n\r\n");
    let address = answering(redirect).await;
    let request = Request { redirects: 3, ..get(&format!("http://{address}/")) };
    let exchange = send(&request, &patient()).await;
    let Cause { reason, message } = exchange.result.unwrap_err();
    assert_eq!(reason, Reason::Policy);
    assert!(
        message.starts_with("`169.254.169.254` must not be connected to: 169.254.0.0/16 is"),
        "{message}"
    );
    assert_eq!(exchange.hops.len(), 2);
    assert_eq!(exchange.hops[1].peer, None);
}

#[tokio::test]
async fn a_redirect_to_what_is_denied_meets_nobody() {
    let listener = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let inner = listener.local_addr().unwrap();
    let redirect = format!("HTTP/1.1 307 Away\r\nlocation: http://{inner}/\r\ncontent-length: 0\r\n\r\n");
    let address = answering(redirect).await;
    let options = under(&[], &["127.0.0.2"]);
    let request = Request { redirects: 1, options, ..get(&format!("http://{address}/")) };
    let exchange = send(&request, &patient()).await;
    assert_eq!(
        exchange.result.unwrap_err().message,
        "`127.0.0.2` must not be connected to: `--deny-net 127.0.0.2/32`"
    );
    assert!(listener.accept().is_err(), "nobody came");
}

#[rstest]
#[case::as_it_is("127.0.0.1")]
#[case::a_number("2130706433")]
#[case::octal("0177.0.0.1")]
#[case::short("127.1")]
#[case::nowhere("0.0.0.0")]
#[case::mapped("[::ffff:127.0.0.1]")]
#[case::by_name("localhost")]
#[tokio::test]
async fn no_spelling_of_an_address_goes_round_the_policy(#[case] host: &str) {
    let (address, met) = counting().await;
    let options = under(&[], &["127.0.0.0/8", "::1"]);
    let request = Request { options, ..get(&format!("http://{host}:{}/", address.port())) };
    assert_eq!(send(&request, &patient()).await.result.unwrap_err().reason, Reason::Policy);
    assert_eq!(met.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_pinned_address_is_judged_too() {
    let (address, met) = counting().await;
    let options = Options { address: Some(address), ..under(&["10.0.0.0/8"], &[]) };
    let failure = open(&"shop.test:80".parse().unwrap(), false, &options, &patient()).await.unwrap_err();
    let message =
        "`127.0.0.1` must not be connected to: it is in no network of `--allow-net`, of `shop.test`";
    assert_eq!(failure.cause, Cause::new(Reason::Policy, message));
    assert_eq!((failure.trail.peer, met.load(Ordering::SeqCst)), (None, 0));
}

#[tokio::test]
async fn what_the_policy_leaves_open_of_a_name_is_connected_to() {
    let (address, _) = counting().await;
    // Wherever `localhost` is `::1` as well, that is passed over.
    let to = format!("localhost:{}", address.port()).parse().unwrap();
    let connection = open(&to, false, &under(&["127.0.0.0/8"], &[]), &patient()).await.unwrap();
    assert_eq!(connection.trail.peer, Some(address));
}

#[tokio::test]
async fn every_kind_of_session_obeys_the_policy() {
    let (address, met) = counting().await;
    let options = under(&[], &["127.0.0.0/8"]);
    let url = format!("ws://{address}/").parse().unwrap();
    let request = websocket::Request { options: options.clone(), ..websocket::Request::new(url, vec![]) };
    let exchange = websocket::attempt(&request, &patient()).await;
    assert_eq!(exchange.result.unwrap_err().cause.reason, Reason::Policy);
    let to = address.to_string().parse().unwrap();
    let request = tcp::Request { options: options.clone(), ..tcp::Request::new(to, vec![]) };
    let exchange = tcp::attempt(&request, &patient()).await;
    assert_eq!(exchange.result.unwrap_err().cause.reason, Reason::Policy);
    let request = Request { options, ..get(&format!("http://{address}/")) };
    let exchange = Client::keeping().send(&request, &patient()).await;
    assert_eq!(exchange.result.unwrap_err().reason, Reason::Policy);
    assert_eq!(met.load(Ordering::SeqCst), 0);
}
