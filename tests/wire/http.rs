//! HTTP against peers that behave: versions, redirects, cookies, kept connections, and what is measured.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use firedrill::probe::connect::{Options, TlsOptions};
use firedrill::probe::http::{Client, Request, Version, send};
use firedrill::sample::{Phase, Reason};
use http::header::{AUTHORIZATION, CONTENT_ENCODING};
use http::{HeaderValue, Method, StatusCode};
use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use url::Url;

use crate::peer::{Identity, answering, patient, read_head, serve, speak_http2};

fn get(address: SocketAddr, path: &str) -> Request {
    Request::new(Method::GET, Url::parse(&format!("http://{address}{path}")).unwrap())
}

/// A TLS server that speaks HTTP/2.
async fn http2_over_tls(names: &[&str]) -> (SocketAddr, Identity) {
    let identity = Identity::new(names, &["h2"]);
    let acceptor = identity.acceptor.clone();
    let address = serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                speak_http2(stream).await;
            }
        }
    })
    .await;
    (address, identity)
}

/// Keeps connections and answers each request with what `answer` makes of its head; heads go out too.
async fn keeping(
    answer: impl Fn(&str) -> String + Send + Sync + 'static,
) -> (SocketAddr, mpsc::UnboundedReceiver<String>, Arc<AtomicUsize>) {
    let (seen, heads) = mpsc::unbounded_channel();
    let connections = Arc::new(AtomicUsize::new(0));
    let (answer, counted) = (Arc::new(answer), connections.clone());
    let address = serve(move |mut stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        let (answer, seen) = (answer.clone(), seen.clone());
        async move {
            loop {
                let head = read_head(&mut stream).await;
                if head.is_empty() || stream.write_all(answer(&head).as_bytes()).await.is_err() {
                    return;
                }
                let _ = seen.send(head);
            }
        }
    })
    .await;
    (address, heads, connections)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn an_answer_has_its_phases_and_its_parts() {
    let (address, ..) = keeping(|_| OK.to_owned()).await;
    let exchange = send(&get(address, "/"), &patient()).await;
    let response = exchange.result.unwrap();
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.body, "ok");
    let hop = &exchange.hops[0];
    assert_eq!((hop.peer, hop.status, hop.reused), (Some(address), Some(StatusCode::OK), false));
    let phases: Vec<_> = hop.phases.iter().map(|(phase, _)| phase).collect();
    assert_eq!(phases, [Phase::Connect, Phase::Send, Phase::Wait, Phase::Transfer]);
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    const LENGTH: usize = 32 << 20;
    let address = serve(|mut stream| async move {
        let head = read_head(&mut stream).await;
        assert!(head.contains(&format!("content-length: {LENGTH}\r\n")), "{head}");
        let mut body = vec![0; LENGTH];
        stream.read_exact(&mut body).await.unwrap();
        assert!(body == vec![7; LENGTH]);
        let _ = stream.write_all(OK.as_bytes()).await;
    })
    .await;
    let mut request = get(address, "/");
    request.method = Method::PUT;
    request.body = vec![7; LENGTH].into();
    assert_eq!(send(&request, &patient()).await.result.unwrap().body, "ok");
}

#[rstest]
#[case::agreed_upon(Version::Auto)]
#[case::asked_for(Version::Http2)]
#[tokio::test]
async fn http2_is_spoken_over_tls(#[case] version: Version) {
    let (address, identity) = http2_over_tls(&["127.0.0.1"]).await;
    let mut request = get(address, "/path");
    request.url.set_scheme("https").unwrap();
    request.version = version;
    request.options = Options { tls: identity.trusted(), ..Options::default() };
    let exchange = send(&request, &patient()).await;
    let response = exchange.result.unwrap();
    assert_eq!((response.version, response.body), (http::Version::HTTP_2, Bytes::from("/path 0")));
    let hop = &exchange.hops[0];
    assert_eq!(hop.chain, identity.ca.to_vec());
    let phases: Vec<_> = hop.phases.iter().map(|(phase, _)| phase).collect();
    assert_eq!(phases, [Phase::Connect, Phase::Tls, Phase::Send, Phase::Wait, Phase::Transfer]);
}

#[tokio::test]
async fn a_wrong_server_name_fails_and_the_right_one_passes() {
    let (address, identity) = http2_over_tls(&["shop.test"]).await;
    let mut request = get(address, "/");
    request.url.set_scheme("https").unwrap();
    request.options = Options { tls: identity.trusted(), ..Options::default() };
    assert_eq!(send(&request, &patient()).await.result.unwrap_err().reason, Reason::Tls);
    request.options.tls.server_name = Some("shop.test".into());
    assert!(send(&request, &patient()).await.result.is_ok());
}

#[tokio::test]
async fn a_pinned_address_answers_for_its_name() {
    let (address, identity) = http2_over_tls(&["shop.test"]).await;
    let mut request = Request::new(Method::GET, Url::parse("https://shop.test/pinned").unwrap());
    request.options = Options { tls: identity.trusted(), address: Some(address), ..Options::default() };
    let exchange = send(&request, &patient()).await;
    assert_eq!(exchange.result.unwrap().body, "/pinned 0");
    assert_eq!(exchange.hops[0].peer, Some(address));
}

#[tokio::test]
async fn http2_is_spoken_in_clear_where_it_is_known_to_be() {
    let address = serve(speak_http2).await;
    let mut request = get(address, "/clear");
    request.method = Method::POST;
    request.version = Version::Http2;
    // Over the windows a peer opens with, so that sending has to wait for it.
    request.body = vec![7; 300 << 10].into();
    let exchange = send(&request, &patient()).await;
    assert_eq!(exchange.result.unwrap().body, "/clear 307200");
    assert_eq!(exchange.hops[0].version, Some(http::Version::HTTP_2));
}

#[tokio::test]
async fn every_redirect_is_a_hop_with_phases_of_its_own() {
    let last = answering(OK).await;
    let (first, mut heads, _) = keeping(move |head| {
        let to = if head.starts_with("POST /a ") { "/b".to_owned() } else { format!("http://{last}/c") };
        format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\nset-cookie: seen=1\r\ncontent-length: 0\r\n\r\n")
    })
    .await;
    let mut request = get(first, "/a");
    request.method = Method::POST;
    request.body = Bytes::from_static(b"");
    request.redirects = 5;
    request.headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
    let exchange = send(&request, &patient()).await;
    assert_eq!(exchange.result.unwrap().body, "ok");
    let went: Vec<_> = exchange
        .hops
        .iter()
        .map(|hop| format!("{} {} {}", hop.method, hop.url.path(), hop.status.unwrap().as_u16()))
        .collect();
    assert_eq!(went, ["POST /a 302", "GET /b 302", "GET /c 200"]);
    assert_eq!(exchange.hops[2].peer, Some(last));
    for hop in &exchange.hops {
        for phase in [Phase::Connect, Phase::Send, Phase::Wait, Phase::Transfer] {
            assert!(hop.phases.get(phase).is_some(), "{phase} of {}", hop.url);
        }
    }
    assert!(!heads.recv().await.unwrap().contains("cookie"));
    let second = heads.recv().await.unwrap();
    assert!(
        second.contains("cookie: seen=1\r\n") && second.contains("authorization: Bearer x\r\n"),
        "{second}"
    );
}

#[tokio::test]
async fn credentials_do_not_reach_another_host() {
    let (last, mut heads, _) = keeping(|_| OK.to_owned()).await;
    let answer = format!("HTTP/1.1 307 Away\r\nlocation: http://{last}/\r\ncontent-length: 0\r\n\r\n");
    let first = answering(answer).await;
    let mut request = get(first, "/");
    request.url.set_username("user").unwrap();
    request.url.set_password(Some("word")).unwrap();
    request.headers.insert("cookie", HeaderValue::from_static("mine=1"));
    request.redirects = 1;
    let exchange = send(&request, &patient()).await;
    assert!(exchange.result.is_ok());
    assert_eq!(exchange.hops[0].url.as_str(), format!("http://{first}/"), "the password is not kept");
    let head = heads.recv().await.unwrap();
    assert!(!head.contains("authorization") && !head.contains("cookie"), "{head}");
    assert!(head.contains(&format!("host: {last}\r\n")), "{head}");
}

#[tokio::test]
async fn a_redirect_that_is_not_followed_is_the_answer() {
    let address = answering("HTTP/1.1 302 Found\r\nlocation: /b\r\ncontent-length: 0\r\n\r\n").await;
    let exchange = send(&get(address, "/"), &patient()).await;
    assert_eq!(exchange.result.unwrap().status, StatusCode::FOUND);
    assert_eq!(exchange.hops.len(), 1);
}

#[rstest]
#[case::head(Method::HEAD, "HTTP/1.1 200 OK\r\ncontent-length: 999\r\ncontent-encoding: gzip\r\n\r\n")]
#[case::no_content(Method::GET, "HTTP/1.1 204 No Content\r\n\r\n")]
#[case::not_modified(Method::GET, "HTTP/1.1 304 Not Modified\r\ncontent-length: 999\r\n\r\n")]
#[tokio::test]
async fn an_answer_without_a_body_does_not_wait_for_one(
    #[case] method: Method,
    #[case] answer: &'static str,
) {
    let (address, ..) = keeping(|_| answer.to_owned()).await;
    let mut request = get(address, "/");
    request.method = method;
    assert!(send(&request, &patient()).await.result.unwrap().body.is_empty());
}

#[rstest]
#[case::unpacked(true, "packed once")]
#[case::left_alone(false, "")]
#[tokio::test]
async fn gzip_is_unpacked_if_wanted(#[case] decompress: bool, #[case] body: &str) {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"packed once").unwrap();
    let packed = encoder.finish().unwrap();
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", packed.len());
    let mut request = get(answering([head.as_bytes(), &packed].concat()).await, "/");
    request.decompress = decompress;
    let response = send(&request, &patient()).await.result.unwrap();
    let expected = if decompress { body.as_bytes() } else { &packed[..] };
    assert_eq!(response.body, expected);
    assert_eq!(response.wire_size.bytes(), packed.len());
    assert_eq!(response.headers[CONTENT_ENCODING], "gzip");
}

#[tokio::test]
async fn trailers_are_kept() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n";
    let response = send(&get(answering(answer).await, "/"), &patient()).await.result.unwrap();
    assert_eq!(
        (response.body, &response.trailers["x-sum"]),
        (Bytes::from("ok"), &HeaderValue::from_static("7"))
    );
}

#[tokio::test]
async fn each_request_opens_a_connection_unless_they_are_kept() {
    let (address, mut heads, connections) = keeping(|_| OK.to_owned()).await;
    let mut fresh = Client::default();
    for _ in 0..2 {
        assert!(fresh.send(&get(address, "/"), &patient()).await.result.is_ok());
        assert!(heads.recv().await.unwrap().contains("connection: close\r\n"));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 2);
    let mut keeping = Client::keeping();
    for number in 0..3 {
        let exchange = keeping.send(&get(address, "/"), &patient()).await;
        assert!(exchange.result.is_ok());
        assert_eq!(exchange.hops[0].reused, number > 0);
        assert_eq!(exchange.hops[0].phases.get(Phase::Connect).is_none(), number > 0);
        assert_eq!(exchange.hops[0].peer, Some(address));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn http2_connections_are_kept_too() {
    let (address, identity) = http2_over_tls(&["127.0.0.1"]).await;
    let mut request = get(address, "/");
    request.url.set_scheme("https").unwrap();
    request.options = Options { tls: identity.trusted(), ..Options::default() };
    request.method = Method::POST;
    request.body = Bytes::from_static(b"four");
    let mut client = Client::keeping();
    for number in 0..3 {
        let exchange = client.send(&request, &patient()).await;
        assert_eq!(exchange.result.unwrap().body, "/ 4");
        assert_eq!(exchange.hops[0].reused, number > 0);
        assert_eq!(exchange.hops[0].chain, identity.ca.to_vec());
    }
}

#[tokio::test]
async fn other_options_get_a_connection_of_their_own() {
    let (address, identity) = http2_over_tls(&["127.0.0.1"]).await;
    let mut request = get(address, "/");
    request.url.set_scheme("https").unwrap();
    request.options.tls = TlsOptions { skip_verify: true, ..TlsOptions::default() };
    let mut client = Client::keeping();
    assert!(client.send(&request, &patient()).await.result.is_ok());
    request.options.tls = Identity::new(&["127.0.0.1"], &[]).trusted();
    let refused = client.send(&request, &patient()).await;
    assert_eq!(refused.result.unwrap_err().reason, Reason::Tls, "a connection made unverified was used");
    request.options.tls = identity.trusted();
    assert!(client.send(&request, &patient()).await.result.is_ok());
}

/// Answers the first request of every connection, and closes on the second without a word.
async fn tiring() -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let (seen, heads) = mpsc::unbounded_channel();
    let address = serve(move |mut stream| {
        let seen = seen.clone();
        async move {
            let _ = seen.send(read_head(&mut stream).await);
            let _ = stream.write_all(OK.as_bytes()).await;
            let _ = seen.send(read_head(&mut stream).await);
        }
    })
    .await;
    (address, heads)
}

#[tokio::test]
async fn a_kept_connection_that_died_is_replaced_once_for_what_can_be_repeated() {
    let (address, _heads) = tiring().await;
    let mut client = Client::keeping();
    assert!(client.send(&get(address, "/"), &patient()).await.result.is_ok());
    let exchange = client.send(&get(address, "/"), &patient()).await;
    assert_eq!(exchange.result.unwrap().body, "ok");
    assert!(!exchange.hops[0].reused);
    assert!(exchange.hops[0].phases.get(Phase::Connect).is_some());
}

#[tokio::test]
async fn a_post_that_may_have_arrived_is_not_sent_again() {
    let (address, mut heads) = tiring().await;
    let mut client = Client::keeping();
    let mut request = get(address, "/");
    request.method = Method::POST;
    assert!(client.send(&request, &patient()).await.result.is_ok());
    let exchange = client.send(&request, &patient()).await;
    assert_eq!(exchange.result.unwrap_err().reason, Reason::Closed);
    assert!(exchange.hops[0].reused);
    assert!(heads.recv().await.unwrap().starts_with("POST"));
    assert!(heads.recv().await.unwrap().starts_with("POST"));
    assert!(heads.try_recv().is_err(), "it was sent a third time");
}

#[tokio::test]
async fn cookies_last_from_one_request_of_a_client_to_the_next() {
    let (address, mut heads, _) = keeping(|head| {
        if head.starts_with("GET /login ") {
            "HTTP/1.1 200 OK\r\nset-cookie: session=7; Path=/\r\ncontent-length: 2\r\n\r\nok".to_owned()
        } else {
            OK.to_owned()
        }
    })
    .await;
    let mut client = Client::default();
    for path in ["/login", "/cart"] {
        assert!(client.send(&get(address, path), &patient()).await.result.is_ok());
    }
    assert!(!heads.recv().await.unwrap().contains("cookie"));
    assert!(heads.recv().await.unwrap().contains("cookie: session=7\r\n"));
}

#[tokio::test]
async fn a_dropped_client_closes_its_connections() {
    let (gone, mut went) = mpsc::unbounded_channel();
    let address = serve(move |mut stream| {
        let gone = gone.clone();
        async move {
            read_head(&mut stream).await;
            let _ = stream.write_all(OK.as_bytes()).await;
            let _ = gone.send(read_head(&mut stream).await);
        }
    })
    .await;
    let mut client = Client::keeping();
    assert!(client.send(&get(address, "/"), &patient()).await.result.is_ok());
    assert!(went.try_recv().is_err(), "it was closed before it was dropped");
    drop(client);
    let end = tokio::time::timeout(Duration::from_secs(10), went.recv()).await;
    assert_eq!(end.expect("the connection outlived its client"), Some(String::new()));
}
