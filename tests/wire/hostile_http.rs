//! HTTP peers that refuse, stall, lie and flood: each ends in exactly one reason, before the deadline.

use std::net::SocketAddr;

use firedrill::probe::connect::{Options, TlsOptions};
use firedrill::probe::http::{BODY_LIMIT, Exchange, Request, Version, send};
use firedrill::sample::{Phase, Reason};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::Method;
use rstest::rstest;
use std::io::Write;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Url;

use crate::peer::{Identity, answering, closed_port, patient, read_head, serve, short, speak_http2};

fn get(address: SocketAddr) -> Request {
    Request::new(Method::GET, Url::parse(&format!("http://{address}/")).unwrap())
}

/// The reason the exchange ended with, and the phases of its last hop.
fn end(exchange: Exchange) -> (Reason, Vec<Phase>) {
    let reason = exchange.result.expect_err("the peer is hostile").reason;
    let last = exchange.hops.last().expect("there is always a hop");
    (reason, last.phases.iter().map(|(phase, _)| phase).collect())
}

async fn reason_of(request: &Request) -> Reason {
    end(send(request, &patient()).await).0
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let (reason, phases) = end(send(&get(closed_port().await), &patient()).await);
    assert_eq!(reason, Reason::Refused);
    assert_eq!(phases, [Phase::Connect]);
}

#[tokio::test]
async fn a_peer_that_never_answers_times_out_waiting() {
    let address = serve(|mut stream| async move {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let exchange = send(&get(address), &short()).await;
    let phases = exchange.hops[0].phases;
    assert!(phases.get(Phase::Wait) > phases.get(Phase::Send), "{phases:?}");
    assert_eq!(end(exchange), (Reason::Timeout(Phase::Wait), vec![Phase::Connect, Phase::Send, Phase::Wait]));
}

#[tokio::test]
async fn a_peer_that_never_reads_times_out_sending() {
    let address = serve(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let mut request = get(address);
    request.method = Method::POST;
    // More than both kernels' buffers hold.
    request.body = vec![0; 64 << 20].into();
    let (reason, phases) = end(send(&request, &short()).await);
    assert_eq!(reason, Reason::Timeout(Phase::Send));
    assert_eq!(phases, [Phase::Connect, Phase::Send]);
}

#[tokio::test]
async fn a_handshake_that_stops_half_way_times_out_in_tls() {
    let address = serve(|mut stream| async move {
        let _ = stream.read(&mut [0; 64]).await;
        let _ = stream.write_all(&[22, 3, 3, 1, 0]).await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut request = get(address);
    request.url.set_scheme("https").unwrap();
    request.options.tls.skip_verify = true;
    let (reason, phases) = end(send(&request, &short()).await);
    assert_eq!(reason, Reason::Timeout(Phase::Tls));
    assert_eq!(phases, [Phase::Connect, Phase::Tls]);
}

#[rstest]
#[case::not_http("220 mail.test ESMTP\r\n\r\n", Reason::Protocol)]
#[case::binary("\0\u{1}\u{2}\u{3}\r\n\r\n", Reason::Protocol)]
#[case::bad_status("HTTP/1.1 abc OK\r\n\r\n", Reason::Protocol)]
#[case::bad_header("HTTP/1.1 200 OK\r\n: x\r\n\r\n", Reason::Protocol)]
#[case::two_lengths("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", Reason::Protocol)]
#[case::negative_length("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", Reason::Protocol)]
#[case::bad_chunk("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnot a size\r\n", Reason::Protocol)]
#[case::bad_gzip(
    "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nzzzz",
    Reason::Protocol
)]
#[case::nothing("", Reason::Closed)]
#[case::half_a_head("HTTP/1.1 200 OK\r\nx-half: ", Reason::Closed)]
#[case::half_a_body("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", Reason::Closed)]
#[case::half_a_chunk("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10\r\nhalf", Reason::Closed)]
#[tokio::test]
async fn a_wrong_answer_has_its_reason(#[case] answer: &str, #[case] reason: Reason) {
    assert_eq!(reason_of(&get(answering(answer).await)).await, reason);
}

#[tokio::test]
async fn a_reset_connection_is_closed() {
    let address = serve(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.set_zero_linger();
    })
    .await;
    assert_eq!(reason_of(&get(address)).await, Reason::Closed);
}

#[rstest]
#[case::old(Version::Http1)]
#[case::new(Version::Http2)]
#[tokio::test]
async fn nothing_outlives_an_exchange_that_timed_out(#[case] version: Version) {
    let address = serve(move |mut stream| async move {
        if version == Version::Http2 {
            // SETTINGS and WINDOW_UPDATE that allow to send without end, though nothing is ever read.
            let _ = stream.write_all(&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff]).await;
            let _ = stream.write_all(&[0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0, 0, 0]).await;
        }
        std::future::pending::<()>().await;
    })
    .await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let listening = tasks();
    let mut request = get(address);
    request.version = version;
    request.method = Method::POST;
    request.body = vec![0; 64 << 20].into();
    assert_eq!(end(send(&request, &short()).await).0, Reason::Timeout(Phase::Send));
    let settled = async {
        // The peer's own task stays.
        while tasks() > listening + 1 {
            tokio::task::yield_now().await;
        }
    };
    patient().race(settled).await.expect("a task of the exchange lives on");
}

/// Answers with `head`, then with `piece` again and again for as long as it is read.
async fn flooding(head: &'static str, piece: &'static str) -> SocketAddr {
    serve(move |mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(head.as_bytes()).await;
        let flood = piece.repeat(64);
        while stream.write_all(flood.as_bytes()).await.is_ok() {}
    })
    .await
}

#[rstest]
#[case::one_header("HTTP/1.1 200 OK\r\nx-long: ", "more and ")]
#[case::headers("HTTP/1.1 200 OK\r\n", "x-more: and more\r\n")]
#[case::status_line("HTTP/1.1 200 ", "OK")]
#[case::body("HTTP/1.1 200 OK\r\n\r\n", "more and more")]
#[case::announced_body("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", "more and more")]
#[case::chunks(
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
    "40\r\nmore and more and more and more.more and more and more and more.\r\n"
)]
#[tokio::test]
async fn an_endless_answer_stops_at_a_limit(#[case] head: &'static str, #[case] piece: &'static str) {
    assert_eq!(reason_of(&get(flooding(head, piece).await)).await, Reason::Limit);
}

#[tokio::test]
async fn endless_chunk_extensions_are_a_protocol_failure() {
    let address = flooding("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4;", "more-").await;
    assert_eq!(reason_of(&get(address)).await, Reason::Protocol);
}

#[tokio::test]
async fn endless_interim_answers_end_at_the_deadline() {
    let address = flooding("", "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n").await;
    let (reason, _) = end(send(&get(address), &short()).await);
    assert_eq!(reason, Reason::Timeout(Phase::Transfer));
}

#[rstest]
#[case::body("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", b"a")]
#[case::head("HTTP/1.1 200 OK\r\n", b"x")]
#[tokio::test]
async fn an_answer_that_trickles_past_the_deadline_times_out_in_transfer(
    #[case] head: &'static str,
    #[case] piece: &'static [u8],
) {
    let address = serve(move |mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(head.as_bytes()).await;
        let mut beat = tokio::time::interval(std::time::Duration::from_millis(100));
        for _ in 0..8 {
            beat.tick().await;
            let _ = stream.write_all(piece).await;
        }
        std::future::pending::<()>().await;
    })
    .await;
    let (reason, phases) = end(send(&get(address), &short()).await);
    assert_eq!(reason, Reason::Timeout(Phase::Transfer));
    assert_eq!(phases, [Phase::Connect, Phase::Send, Phase::Wait, Phase::Transfer]);
}

#[tokio::test]
async fn a_gzip_bomb_stops_at_the_limit() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&vec![0; 8 << 20]).unwrap();
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < BODY_LIMIT.bytes(), "the wire alone would stop it");
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", bomb.len());
    let address = answering([head.into_bytes(), bomb].concat()).await;
    assert_eq!(reason_of(&get(address)).await, Reason::Limit);
}

#[rstest]
#[case::loops("/", Reason::Limit)]
#[case::elsewhere("ftp://a.test/", Reason::Protocol)]
#[case::nowhere("http://", Reason::Protocol)]
#[tokio::test]
async fn a_redirect_that_does_not_arrive_has_its_reason(#[case] location: &str, #[case] reason: Reason) {
    let answer = format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
    let mut request = get(answering(answer).await);
    request.redirects = 3;
    let exchange = send(&request, &patient()).await;
    let hops = if reason == Reason::Limit { 4 } else { 1 };
    assert_eq!(exchange.hops.len(), hops);
    assert_eq!(end(exchange).0, reason);
}

#[tokio::test]
async fn one_deadline_covers_the_whole_chain_of_redirects() {
    let silent = serve(|mut stream| async move {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let answer = format!("HTTP/1.1 302 Found\r\nlocation: http://{silent}/\r\ncontent-length: 0\r\n\r\n");
    let mut request = get(answering(answer).await);
    request.redirects = 1;
    let exchange = send(&request, &short()).await;
    assert_eq!(exchange.hops.len(), 2);
    assert_eq!(end(exchange).0, Reason::Timeout(Phase::Wait));
}

#[tokio::test]
async fn a_wrong_certificate_is_a_tls_failure_and_is_kept() {
    let identity = Identity::new(&["127.0.0.1"], &["http/1.1"]);
    let acceptor = identity.acceptor.clone();
    let address = serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let _ = acceptor.accept(stream).await;
        }
    })
    .await;
    let mut request = get(address);
    request.url.set_scheme("https").unwrap();
    request.options = Options { tls: Identity::new(&["127.0.0.1"], &[]).trusted(), ..Options::default() };
    let exchange = send(&request, &patient()).await;
    assert_eq!(exchange.hops[0].chain, identity.ca.to_vec());
    assert_eq!(end(exchange), (Reason::Tls, vec![Phase::Connect, Phase::Tls]));
}

#[tokio::test]
async fn a_peer_that_wants_a_client_certificate_is_a_tls_failure() {
    let identity = Identity::demanding(&["127.0.0.1"]);
    let acceptor = identity.acceptor.clone();
    let address = serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let _ = acceptor.accept(stream).await;
        }
    })
    .await;
    let mut request = get(address);
    request.url.set_scheme("https").unwrap();
    request.options = Options { tls: identity.trusted(), ..Options::default() };
    assert_eq!(reason_of(&request).await, Reason::Tls);
}

#[tokio::test]
async fn http2_that_is_not_offered_is_a_protocol_failure() {
    let identity = Identity::new(&["127.0.0.1"], &[]);
    let acceptor = identity.acceptor.clone();
    let address = serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let _ = acceptor.accept(stream).await;
        }
    })
    .await;
    let mut request = get(address);
    request.url.set_scheme("https").unwrap();
    request.version = Version::Http2;
    request.options.tls = TlsOptions { skip_verify: true, ..TlsOptions::default() };
    assert_eq!(reason_of(&request).await, Reason::Protocol);
}

#[tokio::test]
async fn http2_to_a_peer_that_knows_only_the_old_is_a_protocol_failure() {
    let mut request = get(answering("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await);
    request.version = Version::Http2;
    assert_eq!(reason_of(&request).await, Reason::Protocol);
}

#[tokio::test]
async fn http2_that_closes_after_the_preface_is_closed() {
    let address = serve(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let mut request = get(address);
    request.version = Version::Http2;
    assert_eq!(reason_of(&request).await, Reason::Closed);
}

#[tokio::test]
async fn http2_that_never_answers_times_out_waiting() {
    let address = serve(|mut stream| async move {
        // An empty SETTINGS frame, then silence.
        let _ = stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let mut request = get(address);
    request.version = Version::Http2;
    let (reason, phases) = end(send(&request, &short()).await);
    assert_eq!(reason, Reason::Timeout(Phase::Wait));
    assert_eq!(phases, [Phase::Connect, Phase::Send, Phase::Wait]);
}

/// HTTP/2 that says `first`, and then `frame` until the other end is gone.
async fn flooding_http2(first: &'static [u8], frame: Vec<u8>) -> SocketAddr {
    serve(move |mut stream| {
        let frames = frame.repeat((64 << 10) / frame.len() + 1);
        async move {
            let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
            let _ = stream.write_all(&[&settings, first].concat()).await;
            let (mut from, mut to) = stream.split();
            let flood = async { while to.write_all(&frames).await.is_ok() {} };
            let (mut heard, mut piece) = (true, [0; 4096]);
            let hear = async {
                while heard {
                    heard = from.read(&mut piece).await.is_ok_and(|count| count > 0);
                }
            };
            tokio::select! { () = flood => {} () = hear => {} }
        }
    })
    .await
}

/// A header block's piece of 16 KiB, `a: b` again and again, in a frame that says that more of it comes.
fn continuation() -> Vec<u8> {
    let fields = [0, 1, b'a', 1, b'b'].repeat(3276);
    let length = u32::try_from(fields.len()).unwrap().to_be_bytes();
    [&length[1..], &[9, 0, 0, 0, 0, 1], &fields].concat()
}

#[rstest]
// The status alone, and then a head without end.
#[case::head(&[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x88], continuation(), Reason::Limit)]
#[case::pings(&[], [&[0, 0, 8, 6, 0, 0, 0, 0, 0][..], &[7; 8]].concat(), Reason::Timeout(Phase::Wait))]
#[case::settings(&[], vec![0, 0, 0, 4, 0, 0, 0, 0, 0], Reason::Timeout(Phase::Wait))]
#[tokio::test]
async fn a_flood_of_http2_frames_ends(
    #[case] first: &'static [u8],
    #[case] frame: Vec<u8>,
    #[case] wanted: Reason,
) {
    let mut request = get(flooding_http2(first, frame).await);
    request.version = Version::Http2;
    let reason = end(send(&request, &short()).await).0;
    assert_eq!(reason, wanted);
}

#[rstest]
#[case::headers("/many")]
#[case::head("/large")]
#[case::body("/bomb")]
#[tokio::test]
async fn an_http2_answer_stops_at_the_same_limits(#[case] path: &str) {
    let address = serve(speak_http2).await;
    let mut request = get(address);
    request.url.set_path(path);
    request.version = Version::Http2;
    assert_eq!(reason_of(&request).await, Reason::Limit);
}

#[tokio::test]
async fn a_scheme_that_is_not_http_is_refused_before_connecting() {
    let request = Request::new(Method::GET, Url::parse("ftp://a.test/").unwrap());
    let exchange = send(&request, &patient()).await;
    assert_eq!(exchange.hops.len(), 1);
    assert_eq!(end(exchange), (Reason::Protocol, vec![]));
}
