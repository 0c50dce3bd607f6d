//! The opening handshake.

use rstest::rstest;
use tokio::time::sleep;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_peer_silent_before_the_upgrade_is_left_at_the_deadline() {
    let exchange = with_raw(&request(vec![]), |stream| async {
        let _held = stream;
        pending::<()>().await;
    })
    .await;
    let message = "10s passed while waiting for the first byte";
    assert_eq!(failed(&exchange), (None, Reason::Timeout(Phase::Wait), message));
    assert_eq!(exchange.phases.get(Phase::Wait), Some(ms(10_000)));
    assert_eq!(exchange.phases.get(Phase::Exchange), None);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_the_request_is_left_at_the_deadline() {
    let (ours, _theirs) = duplex(16);
    let deadline = Deadline::after(ms(10_000));
    let exchange = speak(ours, &request(vec![]), &deadline, Exchange::default()).await;
    let message = "10s passed while sending the request";
    assert_eq!(failed(&exchange), (None, Reason::Timeout(Phase::Send), message));
}

#[tokio::test(start_paused = true)]
async fn the_request_is_written_as_asked() {
    let mut request = request(vec![]);
    request.headers.insert("host", "other.test".parse().unwrap());
    request.headers.insert("sec-websocket-protocol", "v3".parse().unwrap());
    request.headers.insert("authorization", "Bearer t".parse().unwrap());
    request.subprotocols = vec!["v2".to_owned(), "v1".to_owned()];
    let (ours, mut theirs) = duplex(4096);
    let peer = tokio::spawn(async move { head(&mut theirs).await });
    speak(ours, &request, &Deadline::after(ms(10_000)), Exchange::default()).await;
    insta::assert_snapshot!(peer.await.unwrap().replace('\r', "").replace(env!("CARGO_PKG_VERSION"), "VERSION"), @r"
    GET /prices?all=1 HTTP/1.1
    Host: other.test
    Connection: Upgrade
    Upgrade: websocket
    Sec-WebSocket-Version: 13
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
    Sec-WebSocket-Protocol: v3, v2, v1
    User-Agent: firedrill/VERSION
    authorization: Bearer t
    ");
}

#[tokio::test(start_paused = true)]
async fn the_host_is_named_with_its_port() {
    let (ours, mut theirs) = duplex(4096);
    let peer = tokio::spawn(async move { head(&mut theirs).await });
    speak(ours, &request(vec![]), &Deadline::after(ms(10_000)), Exchange::default()).await;
    assert!(peer.await.unwrap().contains("\r\nHost: shop.test:8080\r\n"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_single_bytes_is_an_answer() {
    let exchange = with_raw(&request(vec![Act::Receive(saying("hi"))]), |mut stream| async move {
        head(&mut stream).await;
        for byte in switching("").bytes().chain(*b"\x81\x02hi") {
            stream.write_u8(byte).await.unwrap();
            sleep(ms(5)).await;
        }
        pending::<()>().await;
    })
    .await;
    assert_eq!(exchange.result, Ok(()));
    assert_eq!(exchange.status, Some(StatusCode::SWITCHING_PROTOCOLS));
    assert_eq!(exchange.last, Some(text("hi")));
}

#[tokio::test(start_paused = true)]
async fn a_refused_upgrade_says_its_status() {
    let exchange =
        answered(&request(vec![]), "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".into()).await;
    let message = "the upgrade is answered with `403 Forbidden`, not `101`";
    assert_eq!(failed(&exchange), (None, Reason::Status, message));
    assert_eq!(exchange.status, Some(StatusCode::FORBIDDEN));
}

#[rstest]
#[case::accept(
    "HTTP/1.1 101 .\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: no\r\n\r\n",
    "the upgrade is not valid: header `sec-websocket-accept` does not answer our key"
)]
#[case::no_upgrade(
    "HTTP/1.1 101 .\r\nConnection: upgrade\r\n\r\n",
    "the upgrade is not valid: header `upgrade` does not say `websocket`"
)]
#[case::no_connection(
    "HTTP/1.1 101 .\r\nConnection: close\r\nUpgrade: websocket\r\n\r\n",
    "the upgrade is not valid: header `connection` does not say `upgrade`"
)]
#[case::http_1_0(
    "HTTP/1.0 101 .\r\n\r\n",
    "the answer to the upgrade is not HTTP/1.1: `HTTP/1.0 101 .\\r\\n\\r\\n`"
)]
#[case::ssh("SSH-2.0-x\r\n", "the answer to the upgrade is not HTTP/1.1: `SSH-2.0-x\\r\\n`")]
#[case::binary("\u{15}\u{3}", "the answer to the upgrade is not HTTP/1.1: `\\u{15}\\u{3}`")]
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_no_upgrade_breaks_the_protocol(#[case] answer: &str, #[case] message: &str) {
    let exchange = answered(&request(vec![]), answer.to_owned()).await;
    assert_eq!(failed(&exchange), (None, Reason::Protocol, message));
}

#[rstest]
#[case::extension(
    "Sec-WebSocket-Extensions: permessage-deflate\r\n",
    "extension `permessage-deflate` was not offered"
)]
#[case::subprotocol("Sec-WebSocket-Protocol: v1\r\n", "subprotocol `v1` was not offered")]
#[tokio::test(start_paused = true)]
async fn what_was_not_offered_breaks_the_protocol(#[case] header: &str, #[case] what: &str) {
    let exchange = answered(&request(vec![]), switching(header)).await;
    assert_eq!(failed(&exchange), (None, Reason::Protocol, &*format!("the upgrade is not valid: {what}")));
}

#[tokio::test(start_paused = true)]
async fn a_subprotocol_is_agreed() {
    let request = Request { subprotocols: vec!["v2".to_owned(), "v1".to_owned()], ..request(vec![]) };
    let exchange = answered(&request, switching("Sec-WebSocket-Protocol: v1\r\n")).await;
    assert_eq!(exchange.result, Ok(()));
    assert_eq!(exchange.subprotocol.as_deref(), Some("v1"));
}

#[rstest]
#[case::none("", "no subprotocol agreed of `v2`, `v1`")]
#[case::other("Sec-WebSocket-Protocol: v3\r\n", "subprotocol `v3` was not offered")]
#[tokio::test(start_paused = true)]
async fn a_subprotocol_not_agreed_breaks_the_protocol(#[case] header: &str, #[case] what: &str) {
    let request = Request { subprotocols: vec!["v2".to_owned(), "v1".to_owned()], ..request(vec![]) };
    let exchange = answered(&request, switching(header)).await;
    assert_eq!(failed(&exchange), (None, Reason::Protocol, &*format!("the upgrade is not valid: {what}")));
}

#[tokio::test(start_paused = true)]
async fn a_subprotocol_cannot_smuggle_a_header() {
    let request = Request { subprotocols: vec!["v1\r\nx: y".to_owned()], ..request(vec![]) };
    let exchange = answered(&request, String::new()).await;
    let message = "`v1\\r\\nx: y` is not a subprotocol: it is not a token";
    assert_eq!(failed(&exchange), (None, Reason::Protocol, message));
}

#[rstest]
#[case::at_once("", "connection closed before the upgrade was answered")]
#[case::within("HTTP/1.1 1", "connection closed within the answer to the upgrade, after `HTTP/1.1 1`")]
#[tokio::test(start_paused = true)]
async fn a_close_before_the_answer_is_early(#[case] answer: &'static str, #[case] message: &str) {
    let exchange = with_raw(&request(vec![]), |mut stream| async move {
        head(&mut stream).await;
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    assert_eq!(failed(&exchange), (None, Reason::Closed, message));
}

#[rstest]
#[case::lines("a: b\r\n", "the answer to the upgrade has too many headers")]
#[case::one_line("aaaaaaaaaaaaaaaa", "the head of the answer to the upgrade is over 64KiB")]
#[tokio::test(start_paused = true)]
async fn an_endless_head_is_over_the_limit(#[case] piece: &'static str, #[case] message: &str) {
    let exchange = with_raw(&request(vec![]), |mut stream| async move {
        head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 101 .\r\n").await.unwrap();
        while stream.write_all(piece.as_bytes()).await.is_ok() {}
    })
    .await;
    assert_eq!(failed(&exchange), (None, Reason::Limit, message));
}
