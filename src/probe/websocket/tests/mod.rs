//! Sessions with peers that behave and peers that do not, in memory and on a paused clock.

mod line;
mod upgrade;

use std::future::pending;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::*;

type Peer = WebSocketStream<DuplexStream>;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn request(steps: Vec<Act>) -> Request {
    let mut headers = HeaderMap::new();
    headers.insert("sec-websocket-key", KEY.parse().unwrap());
    let limit = Limit { message: Size(1000), frames: 500, bytes: Size(20_000) };
    let url = "ws://shop.test:8080/prices?all=1#top".parse().unwrap();
    Request { headers, limit, ..Request::new(url, steps) }
}

/// Ten seconds of a paused clock with a peer that has the other end of the connection.
async fn with_raw<F>(request: &Request, peer: impl FnOnce(DuplexStream) -> F) -> Exchange
where
    F: Future<Output = ()> + Send + 'static,
{
    let (ours, theirs) = duplex(4096);
    tokio::spawn(peer(theirs));
    speak(ours, request, &Deadline::after(ms(10_000)), Exchange::default()).await
}

/// The same with a peer that upgrades first.
async fn with<F>(steps: Vec<Act>, peer: impl FnOnce(Peer) -> F + Send + 'static) -> Exchange
where
    F: Future<Output = ()> + Send + 'static,
{
    with_raw(&request(steps), |stream| async { peer(accept_async(stream).await.unwrap()).await }).await
}

/// A peer that answers the upgrade with `answer`, byte for byte, and then stays.
async fn answered(request: &Request, answer: String) -> Exchange {
    with_raw(request, |mut stream| async move {
        head(&mut stream).await;
        let _ = stream.write_all(answer.as_bytes()).await;
        pending::<()>().await;
    })
    .await
}

async fn head(stream: &mut DuplexStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

fn switching(more: &str) -> String {
    let accept = derive_accept_key(KEY.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{more}\r\n"
    )
}

fn text(text: &str) -> Frame {
    Frame::Text(text.to_owned())
}

fn receive(count: u64) -> Receive {
    Receive { matching: Check::any(), count: count.try_into().unwrap(), skip: false, within: None }
}

fn saying(wanted: &'static str) -> Receive {
    let matching = Check::new(move |frame| {
        let said = frame == &text(wanted);
        said.then_some(()).ok_or_else(|| Cause::new(Reason::Body, format!("not `{wanted}`")))
    });
    Receive { matching, ..receive(1) }
}

fn failed(exchange: &Exchange) -> (Option<usize>, Reason, &str) {
    let Failure { act, cause } = exchange.result.as_ref().unwrap_err();
    (*act, cause.reason, &cause.message)
}

const EXCHANGE: Reason = Reason::Timeout(Phase::Exchange);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_of_a_peer_panic_or_outlast_the_deadline(answer in any::<bool>(), bytes: Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let all = if answer { [switching("").into_bytes(), bytes].concat() } else { bytes };
        let steps = vec![Act::Receive(receive(2)), Act::Ping { within: None }, Act::Closed { code: None }];
        let exchange = runtime.block_on(with_raw(&request(steps), |mut stream| async move {
            let _ = stream.write_all(&all).await;
            pending::<()>().await;
        }));
        prop_assert!(exchange.result.is_err());
        prop_assert!(exchange.phases.total() <= ms(10_010));
    }
}
