//! The websocket probe over real connections.

use std::future::pending;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::peer::{Identity, closed_port, patient, serve, short};
use firedrill::probe::connect::Options;
use firedrill::probe::websocket::{Act, Check, Frame, Receive, Request, attempt};
use firedrill::sample::{Phase, Reason};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

fn request(scheme: &str, at: SocketAddr, steps: Vec<Act>) -> Request {
    let url = format!("{scheme}://localhost:{}/prices", at.port()).parse().unwrap();
    Request { options: Options { address: Some(at), ..Options::default() }, ..Request::new(url, steps) }
}

fn conversation() -> Vec<Act> {
    vec![Act::Send(Frame::Text("hi".into())), any(), Act::Ping { within: None }, Act::Close { code: 1000 }]
}

fn any() -> Act {
    Act::Receive(Receive { matching: Check::any(), count: 1.try_into().unwrap(), skip: false, within: None })
}

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(stream: S) {
    let mut peer = accept_async(stream).await.unwrap();
    while let Some(Ok(message)) = peer.next().await {
        if message.is_text() {
            peer.send(message).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_session_over_tcp_times_its_phases() {
    let at = serve(echo).await;
    let exchange = attempt(&request("ws", at, conversation()), &patient()).await;
    assert_eq!(exchange.result, Ok(()));
    assert_eq!(exchange.peer, Some(at));
    let phases: Vec<_> = exchange.phases.iter().map(|(phase, _)| phase).collect();
    assert_eq!(phases, [Phase::Connect, Phase::Send, Phase::Wait, Phase::Exchange]);
}

#[tokio::test]
async fn a_session_over_tls_times_its_phases() {
    let identity = Identity::new(&["localhost"], &[]);
    let acceptor = identity.acceptor.clone();
    let at = serve(move |stream| {
        let acceptor = acceptor.clone();
        async move { echo(acceptor.accept(stream).await.unwrap()).await }
    })
    .await;
    let mut request = request("wss", at, conversation());
    request.options.tls = identity.trusted();
    let exchange = attempt(&request, &patient()).await;
    assert_eq!(exchange.result, Ok(()));
    assert_eq!(exchange.last, Some(Frame::Text("hi".into())));
    assert!(exchange.phases.get(Phase::Tls).is_some());
}

#[tokio::test]
async fn a_closed_port_is_refused_before_the_first_act() {
    let at = closed_port().await;
    let failure = attempt(&request("ws", at, conversation()), &patient()).await.result.unwrap_err();
    assert_eq!((failure.act, failure.cause.reason), (None, Reason::Refused));
}

#[tokio::test]
async fn a_peer_silent_after_the_upgrade_is_left_at_the_deadline() {
    let at = serve(|stream| async {
        let _held = accept_async(stream).await.unwrap();
        pending::<()>().await;
    })
    .await;
    let began = Instant::now();
    let failure = attempt(&request("ws", at, vec![any()]), &short()).await.result.unwrap_err();
    assert_eq!((failure.act, failure.cause.reason), (Some(0), Reason::Timeout(Phase::Exchange)));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_flood_of_empty_pieces_does_not_outlast_the_deadline() {
    let at = serve(|stream| async {
        let mut stream = accept_async(stream).await.unwrap().into_inner();
        // A message without an end, in pieces that add nothing: no limit of size or number is ever reached.
        let pieces = [[0x00, 0x00]; 4096].concat();
        let _ = stream.write_all(&[0x01, 0x00]).await;
        while stream.write_all(&pieces).await.is_ok() {}
    })
    .await;
    let began = Instant::now();
    let failure = attempt(&request("ws", at, vec![any()]), &short()).await.result.unwrap_err();
    assert_eq!((failure.act, failure.cause.reason), (Some(0), Reason::Timeout(Phase::Exchange)));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_peer_that_pings_and_never_reads_is_over_the_limit() {
    let at = serve(|stream| async {
        let mut stream = accept_async(stream).await.unwrap().into_inner();
        let ping = [[0x89, 0x7d].as_slice(), &[b'p'; 125]].concat();
        while stream.write_all(&ping).await.is_ok() {}
    })
    .await;
    let failure = attempt(&request("ws", at, vec![any()]), &patient()).await.result.unwrap_err();
    assert_eq!((failure.act, failure.cause.reason), (Some(0), Reason::Limit));
}

#[tokio::test]
async fn a_connection_dropped_within_the_session_is_an_early_close() {
    let at = serve(|stream| async {
        let mut peer = accept_async(stream).await.unwrap();
        peer.send(Message::text("one")).await.unwrap();
    })
    .await;
    let failure = attempt(&request("ws", at, vec![any(), any()]), &patient()).await.result.unwrap_err();
    assert_eq!((failure.act, failure.cause.reason), (Some(1), Reason::Closed));
}
