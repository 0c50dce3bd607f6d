//! The tcp probe over real connections.

use std::net::SocketAddr;

use crate::peer::{Identity, closed_port, patient, serve, short};
use firedrill::probe::connect::Options;
use firedrill::probe::tcp::{Act, Check, Expect, Request, attempt};
use firedrill::sample::{Phase, Reason};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

fn request(at: SocketAddr, tls: bool) -> Request {
    let steps = vec![
        Act::Send("PING\r\n".into()),
        Act::Expect(Expect { check: Check::contains("+PONG\r\n"), within: None }),
        Act::Closed,
    ];
    let to = format!("localhost:{}", at.port()).parse().unwrap();
    let options = Options { address: Some(at), ..Options::default() };
    Request { tls, options, ..Request::new(to, steps) }
}

async fn redis<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let mut line = [0; 6];
    stream.read_exact(&mut line).await.unwrap();
    assert_eq!(&line, b"PING\r\n");
    stream.write_all(b"+PONG\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_session_over_tcp_times_its_phases() {
    let at = serve(redis).await;
    let exchange = attempt(&request(at, false), &patient()).await;
    assert_eq!(exchange.result, Ok(()));
    assert_eq!(exchange.peer, Some(at));
    let phases: Vec<_> = exchange.phases.iter().map(|(phase, _)| phase).collect();
    assert_eq!(phases, [Phase::Connect, Phase::Exchange]);
}

#[tokio::test]
async fn a_session_over_tls_times_its_phases() {
    let identity = Identity::new(&["localhost"], &[]);
    let acceptor = identity.acceptor.clone();
    let at = serve(move |stream| {
        let acceptor = acceptor.clone();
        async move { redis(acceptor.accept(stream).await.unwrap()).await }
    })
    .await;
    let mut request = request(at, true);
    request.options.tls = identity.trusted();
    let exchange = attempt(&request, &patient()).await;
    assert_eq!(exchange.result, Ok(()));
    assert!(exchange.phases.get(Phase::Tls).is_some());
}

#[tokio::test]
async fn a_closed_port_is_refused_before_the_first_act() {
    let failure = attempt(&request(closed_port().await, false), &patient()).await.result.unwrap_err();
    assert_eq!((failure.act, failure.cause.reason), (None, Reason::Refused));
}

#[tokio::test]
async fn a_silent_peer_is_left_at_the_deadline() {
    let at = serve(|stream| async {
        let _held = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let failure = attempt(&request(at, false), &short()).await.result.unwrap_err();
    assert_eq!((failure.act, failure.cause.reason), (Some(1), Reason::Timeout(Phase::Exchange)));
}
