//! The fast path and the probes' engine: whatever a server answers, both must make the same of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use firedrill::load::wire::{Done, Line};
use firedrill::probe::http::{Client, Request, Version, Written};
use firedrill::sample::{Cause, Phase, Reason};
use http::Method;
use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Url;

use crate::peer::{Identity, answering, closed_port, patient, read_head, serve, short};

fn request(address: SocketAddr) -> Request {
    let url = Url::parse(&format!("http://{address}/")).unwrap();
    Request { version: Version::Http1, decompress: false, ..Request::new(Method::GET, url) }
}

/// What two paths must agree on: the status and the body, or the reason that there is none.
type Made = Result<(u16, Vec<u8>), Reason>;

async fn by_engine(client: &mut Client, request: &Request) -> Made {
    let answer = client.send(request, &patient()).await.result.map_err(|cause| cause.reason)?;
    Ok((answer.status.as_u16(), answer.body.to_vec()))
}

/// A line, and what is sent over it.
struct Sent {
    line: Line,
    written: Written,
    timeout: Duration,
}

impl Sent {
    async fn exchange(&mut self, keep: bool) -> Done<'_> {
        let Self { line, written, timeout } = self;
        line.exchange(&written.bytes, written, keep, *timeout).await
    }
}

fn line(request: &Request, timeout: Duration) -> Sent {
    Sent { line: Line::new(), written: request.written().unwrap().unwrap(), timeout }
}

fn patiently(request: &Request) -> Sent {
    line(request, patient().left())
}

async fn by_line(sent: &mut Sent) -> Made {
    let done = sent.exchange(true).await;
    let answer = done.result.map_err(|cause: Cause| cause.reason)?.take_response();
    Ok((answer.status.as_u16(), answer.body.to_vec()))
}

const OK: Made = Ok((200, Vec::new()));

fn ok(body: &str) -> (u16, Vec<u8>) {
    (200, body.as_bytes().to_vec())
}

#[rstest]
#[case::length("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", Ok(ok("hello")))]
#[case::bare_line_feeds("HTTP/1.1 200 OK\ncontent-length: 5\n\nhello", Ok(ok("hello")))]
#[case::no_reason("HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", OK)]
#[case::empty_lines_before("\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", OK)]
#[case::until_the_end("HTTP/1.1 200 OK\r\n\r\nhello", Ok(ok("hello")))]
#[case::nothing_until_the_end("HTTP/1.1 200 OK\r\n\r\n", OK)]
#[case::old("HTTP/1.0 200 OK\r\n\r\nhello", Ok(ok("hello")))]
#[case::old_and_kept("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\na", Ok(ok("a")))]
#[case::chunks(
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    Ok(ok("hello world"))
)]
#[case::large_hex(
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0A\r\n0123456789\r\n0\r\n\r\n",
    Ok(ok("0123456789"))
)]
#[case::extensions(
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2 ;a=\"b\"\r\nhi\r\n0;c\r\n\r\n",
    Ok(ok("hi"))
)]
#[case::trailers(
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx: y\r\nz: w\r\n\r\n",
    Ok(ok("hi"))
)]
#[case::both_lengths(
    "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    Ok(ok("hi"))
)]
#[case::coded_not_chunked("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nhello", Ok(ok("hello")))]
#[case::chunked_first("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, gzip\r\n\r\nhello", Ok(ok("hello")))]
#[case::chunked_last(
    "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    Ok(ok("hi"))
)]
#[case::chunked_in_two_lines(
    "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    Ok(ok("hi"))
)]
#[case::the_same_length_twice(
    "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\ncontent-length: 2\r\n\r\nhi",
    Ok(ok("hi"))
)]
#[case::interim(
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
    Ok(ok("hi"))
)]
#[case::no_content("HTTP/1.1 204 No Content\r\n\r\n", Ok((204, Vec::new())))]
#[case::not_modified_with_a_length("HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", Ok((304, Vec::new())))]
#[case::switching("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", Ok((101, Vec::new())))]
#[case::odd_status("HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n", Ok((999, Vec::new())))]
#[case::more_than_asked(
    "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhiHTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n",
    Ok(ok("hi"))
)]
#[case::garbage_behind("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi\0\0\0\0", Ok(ok("hi")))]
#[case::garbage_behind_chunks("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nmore", OK)]
#[case::not_http("220 mail.test ESMTP\r\n\r\n", Err(Reason::Protocol))]
#[case::binary("\0\u{1}\u{2}\u{3}\r\n\r\n", Err(Reason::Protocol))]
#[case::bad_version("HTTP/2.0 200 OK\r\n\r\n", Err(Reason::Protocol))]
#[case::bad_status("HTTP/1.1 abc OK\r\n\r\n", Err(Reason::Protocol))]
#[case::status_of_two_digits("HTTP/1.1 20 OK\r\n\r\n", Err(Reason::Protocol))]
#[case::status_below_all("HTTP/1.1 099 Low\r\ncontent-length: 0\r\n\r\n", Err(Reason::Protocol))]
#[case::bad_header("HTTP/1.1 200 OK\r\n: x\r\n\r\n", Err(Reason::Protocol))]
#[case::space_before_the_colon("HTTP/1.1 200 OK\r\ncontent-length : 0\r\n\r\n", Err(Reason::Protocol))]
#[case::folded("HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 0\r\n\r\n", Err(Reason::Protocol))]
#[case::nul_in_a_header("HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n", Err(Reason::Protocol))]
#[case::bare_return_in_a_header(
    "HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 0\r\n\r\n",
    Err(Reason::Protocol)
)]
#[case::two_lengths(
    "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    Err(Reason::Protocol)
)]
#[case::two_lengths_in_one("HTTP/1.1 200 OK\r\ncontent-length: 1, 2\r\n\r\nab", Err(Reason::Protocol))]
#[case::negative_length("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", Err(Reason::Protocol))]
#[case::signed_length("HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\na", Err(Reason::Protocol))]
#[case::empty_length("HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\n", Err(Reason::Protocol))]
#[case::length_beyond_numbers(
    "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
    Err(Reason::Protocol)
)]
#[case::length_of_all_numbers(
    "HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\n",
    Err(Reason::Limit)
)]
#[case::chunks_in_old(
    "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    Err(Reason::Protocol)
)]
#[case::bad_chunk(
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnot a size\r\n",
    Err(Reason::Protocol)
)]
#[case::no_chunk_size("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n;x\r\n", Err(Reason::Protocol))]
#[case::space_in_a_size(
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1 0\r\n",
    Err(Reason::Protocol)
)]
#[case::prefixed_size(
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0x2\r\nhi\r\n0\r\n\r\n",
    Err(Reason::Protocol)
)]
#[case::size_beyond_numbers(
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n11111111111111111\r\n",
    Err(Reason::Protocol)
)]
#[case::bare_line_feed_behind_a_size(
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\nhi\r\n0\r\n\r\n",
    Err(Reason::Protocol)
)]
#[case::line_feed_in_an_extension(
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a\nhi\r\n0\r\n\r\n",
    Err(Reason::Protocol)
)]
#[case::chunk_longer_than_said(
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhix\r\n0\r\n\r\n",
    Err(Reason::Protocol)
)]
#[case::bad_trailer(
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nno colon\r\n\r\n",
    Err(Reason::Protocol)
)]
#[case::bare_return_in_a_trailer(
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: y\rz\r\n\r\n",
    Err(Reason::Protocol)
)]
#[case::nothing("", Err(Reason::Closed))]
#[case::half_a_head("HTTP/1.1 200 OK\r\nx-half: ", Err(Reason::Closed))]
#[case::only_interim("HTTP/1.1 100 Continue\r\n\r\n", Err(Reason::Closed))]
#[case::half_a_body("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", Err(Reason::Closed))]
#[case::half_a_chunk("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10\r\nhalf", Err(Reason::Closed))]
#[case::no_last_chunk(
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n",
    Err(Reason::Closed)
)]
#[case::no_last_line("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", Err(Reason::Closed))]
#[tokio::test]
async fn both_make_the_same_of_an_answer(#[case] answer: &str, #[case] made: Made) {
    let request = request(answering(answer).await);
    assert_eq!(by_engine(&mut Client::keeping(), &request).await, made, "the engine");
    assert_eq!(by_line(&mut patiently(&request)).await, made, "the fast path");
    let mut sent = patiently(&request);
    let status_only = sent
        .exchange(false)
        .await
        .result
        .map(|answer| answer.status().as_u16())
        .map_err(|cause| cause.reason);
    assert_eq!(status_only, made.map(|(status, _)| status), "the fast path, for the status alone");
}

/// Every piece of an answer comes by itself: wherever it is parted, the whole is the same.
#[tokio::test]
async fn an_answer_in_pieces_is_the_same() {
    let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
                  5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nx: y\r\n\r\n";
    let address = serve(move |mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.set_nodelay(true);
        for byte in answer.as_bytes() {
            let _ = stream.write_all(&[*byte]).await;
            tokio::task::yield_now().await;
        }
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    assert_eq!(by_line(&mut patiently(&request(address))).await, Ok(ok("hello world")));
}

#[tokio::test]
async fn the_answer_to_head_has_no_body() {
    let address = answering("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").await;
    let request = Request { method: Method::HEAD, ..request(address) };
    assert_eq!(by_engine(&mut Client::keeping(), &request).await, OK);
    assert_eq!(by_line(&mut patiently(&request)).await, OK);
}

/// How many connections a server saw for three requests, which it answers one by one.
async fn connections(answer: &'static str, by_line_instead: bool) -> (u32, [Made; 3]) {
    let count = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let seen = Arc::clone(&count);
    let address = serve(move |mut stream| {
        seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async move {
            while !read_head(&mut stream).await.is_empty() {
                let _ = stream.write_all(answer.as_bytes()).await;
                if answer.contains("close") {
                    break;
                }
            }
        }
    })
    .await;
    let request = request(address);
    let mut made = [OK, OK, OK];
    if by_line_instead {
        let mut line = patiently(&request);
        for made in &mut made {
            *made = by_line(&mut line).await;
        }
    } else {
        let mut client = Client::keeping();
        for made in &mut made {
            *made = by_engine(&mut client, &request).await;
        }
    }
    (count.load(std::sync::atomic::Ordering::SeqCst), made)
}

#[rstest]
#[case::kept("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 1)]
#[case::closed("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", 3)]
#[case::closed_among_others("HTTP/1.1 200 OK\r\nconnection: x, Close\r\ncontent-length: 0\r\n\r\n", 3)]
#[case::closed_after_all(
    "HTTP/1.1 200 OK\r\nconnection: close\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n",
    3
)]
#[case::closed_unsaid("HTTP/1.1 200 OK\r\nx-will: close\r\ncontent-length: 0\r\n\r\n", 3)]
#[case::old("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", 3)]
#[case::old_and_kept("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n", 1)]
#[case::more_than_asked("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nmore", 3)]
#[tokio::test]
async fn a_connection_is_kept_by_both_or_by_none(#[case] answer: &'static str, #[case] wanted: u32) {
    assert_eq!(connections(answer, false).await, (wanted, [OK, OK, OK]), "the engine");
    assert_eq!(connections(answer, true).await, (wanted, [OK, OK, OK]), "the fast path");
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    assert_eq!(by_line(&mut patiently(&request(closed_port().await))).await, Err(Reason::Refused));
}

#[tokio::test]
async fn a_reset_connection_is_closed() {
    let address = serve(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.set_zero_linger();
    })
    .await;
    assert_eq!(by_line(&mut patiently(&request(address))).await, Err(Reason::Closed));
}

#[rstest]
#[case::silence(b"", Phase::Wait)]
#[case::half_a_head(b"HTTP/1.1 200 OK\r\nx", Phase::Transfer)]
#[case::half_a_body(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", Phase::Transfer)]
#[tokio::test]
async fn a_deadline_names_what_it_passed_in(#[case] answer: &'static [u8], #[case] phase: Phase) {
    let address = serve(move |mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(answer).await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut line = line(&request(address), short().left());
    for _ in 0..2 {
        assert_eq!(by_line(&mut line).await, Err(Reason::Timeout(phase)));
    }
}

#[tokio::test]
async fn a_peer_that_never_reads_times_out_sending() {
    let address = serve(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    // More than both kernels' buffers hold.
    let request = Request { method: Method::POST, body: vec![0; 64 << 20].into(), ..request(address) };
    let made = by_line(&mut line(&request, short().left())).await;
    assert_eq!(made, Err(Reason::Timeout(Phase::Send)));
}

#[rstest]
#[case::head("HTTP/1.1 200 OK\r\nx-long: ", "more and ", Reason::Limit)]
#[case::headers("HTTP/1.1 200 OK\r\n", "x-more: and more\r\n", Reason::Limit)]
#[case::body("HTTP/1.1 200 OK\r\n\r\n", "more and more", Reason::Limit)]
#[case::announced("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", "more and more", Reason::Limit)]
#[case::chunks(
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
    "20\r\nmore and more and more and more.\r\n",
    Reason::Limit
)]
#[case::extensions("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4;", "more", Reason::Protocol)]
#[case::trailers("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", "x: y\r\n", Reason::Protocol)]
#[case::interim("", "HTTP/1.1 103 Early Hints\r\n\r\n", Reason::Timeout(Phase::Transfer))]
#[tokio::test]
async fn an_endless_answer_stops_at_a_limit(
    #[case] head: &'static str,
    #[case] piece: &'static str,
    #[case] reason: Reason,
) {
    let address = serve(move |mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(head.as_bytes()).await;
        let flood = piece.repeat(64);
        while stream.write_all(flood.as_bytes()).await.is_ok() {}
    })
    .await;
    let request = request(address);
    let timeout = if matches!(reason, Reason::Timeout(_)) { short() } else { patient() };
    let time = timeout.left();
    let by_engine = Client::keeping().send(&request, &timeout).await.result.unwrap_err().reason;
    assert_eq!(by_engine, reason, "the engine");
    assert_eq!(by_line(&mut line(&request, time)).await, Err(reason), "the fast path");
}

#[tokio::test]
async fn over_tls_it_is_the_same() {
    let identity = Identity::new(&["127.0.0.1"], &["h2", "http/1.1"]);
    let acceptor = identity.acceptor.clone();
    let address = serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            while !read_head(&mut stream).await.is_empty() {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
            }
        }
    })
    .await;
    let mut trusting = request(address);
    trusting.url.set_scheme("https").unwrap();
    let mut distrusting = trusting.clone();
    trusting.options.tls = identity.trusted();
    distrusting.options.tls = Identity::new(&["127.0.0.1"], &[]).trusted();
    let mut line = patiently(&trusting);
    for _ in 0..3 {
        assert_eq!(by_line(&mut line).await, Ok(ok("hello")));
    }
    assert_eq!(by_line(&mut patiently(&distrusting)).await, Err(Reason::Tls));
}
