//! Each fault on requests does what it says, to requests over connections that were open before it too.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use rstest::rstest;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::{DEADLINE, Service, add, connect, eventually, flow, relay_to, soon};
use crate::fault::relay::{Effect, Relay};
use crate::scenario::fault::traffic::{Abort, Answer, Direction, Distribution, Interference, Lag, Requests};
use crate::scenario::profile::PathPattern;
use crate::units::{Ratio, Size};

/// A service that answers each request with its path and the length of its body.
async fn shop() -> Service {
    Service::start(|stream| async move {
        let mut stream = BufReader::new(stream);
        while let Some((path, body)) = read_request(&mut stream).await {
            let answer = format!("{path} {body}");
            let answer = match path.as_str() {
                "/chunked" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                               4\r\nfour\r\n5;x=y\r\n five\r\n0\r\nTrailer: x\r\n\r\n"
                    .to_owned(),
                "/until-end" => "HTTP/1.1 200 OK\r\n\r\nuntil the end".to_owned(),
                "/empty" => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
                "/upgrade" => "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\n".to_owned(),
                _ => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len()),
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
            if path == "/until-end" {
                return;
            }
            if path == "/upgrade" {
                let (mut read, mut write) = stream.into_inner().into_split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
                return;
            }
        }
    })
    .await
}

/// Path and length of the body of the next request.
async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<(String, usize)> {
    let (mut path, mut length, mut chunked) = (String::new(), 0, false);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_lowercase();
        match line.split_once(": ") {
            _ if path.is_empty() => path = line.split(' ').nth(1)?.to_owned(),
            _ if line.is_empty() => break,
            Some(("content-length", value)) => length = value.parse().ok()?,
            Some(("transfer-encoding", _)) => chunked = true,
            _ => {}
        }
    }
    while chunked {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let size = usize::from_str_radix(line.trim_end(), 16).ok()?;
        stream.read_exact(&mut vec![0; size + 2]).await.ok()?;
        length += size;
        chunked = size > 0;
    }
    if length > 0 && path != "/chunks" {
        stream.read_exact(&mut vec![0; length]).await.ok()?;
    }
    Some((path, length))
}

/// Sends `request` and reads until `ends` has come.
async fn ask(client: &mut TcpStream, request: &str, ends: &str) -> String {
    soon(async {
        client.write_all(request.as_bytes()).await.unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(ends.as_bytes()) {
            let len = client.read_buf(&mut heard).await.unwrap();
            assert!(len > 0, "ended after {:?}", String::from_utf8_lossy(&heard));
        }
        String::from_utf8(heard).unwrap()
    })
    .await
}

fn all() -> Requests {
    Requests { share: Ratio::ONE, path: None, method: None }
}

fn unavailable(requests: Requests) -> Interference {
    Interference::Status(Answer { status: 503, body: "on purpose".into() }, requests)
}

const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\n\
                           content-length: 10\r\nx-firedrill-fault: status\r\n\r\non purpose";

const GET: &str = "GET /items HTTP/1.1\r\nHost: x\r\n\r\n";

/// A relay to a shop with one open connection over which a request was made.
async fn opened() -> (Service, Relay, TcpStream) {
    let service = shop().await;
    let relay = relay_to(&service).await;
    let mut client = connect(&relay).await;
    ask(&mut client, GET, "/items 0").await;
    (service, relay, client)
}

#[rstest]
#[case::get("GET /items HTTP/1.1\r\n\r\n")]
#[case::counted("POST /items HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello")]
#[case::chunked("POST /items HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")]
#[tokio::test]
async fn a_status_is_answered_in_the_services_stead(#[case] request: &str) {
    let (_service, relay, mut client) = opened().await;
    let up = relay.effects().up;
    let guard = add(&relay, unavailable(all()));
    assert_eq!(ask(&mut client, request, "on purpose").await, UNAVAILABLE);
    assert_eq!(relay.effects().up, up, "the service hears nothing of it");
    assert_eq!(guard.effect(), Effect { requests: 1, answered: 1, ..Effect::default() });
    drop(guard);
    let answer = ask(&mut client, GET, "/items 0").await;
    assert_eq!(answer, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n/items 0");
    assert_eq!(relay.effects().requests, 3);
}

#[tokio::test]
async fn a_client_that_waits_to_send_a_body_is_answered_and_sent_away() {
    let (_service, relay, mut client) = opened().await;
    let _guard = add(&relay, unavailable(all()));
    let request = "POST /items HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let answer = ask(&mut client, request, "on purpose").await;
    let closing = UNAVAILABLE.replace("status\r\n\r\n", "status\r\nconnection: close\r\n\r\n");
    assert_eq!(answer, closing);
    assert_eq!(soon(client.read(&mut [0; 1])).await.unwrap(), 0);
}

#[tokio::test]
async fn answers_keep_the_order_of_requests() {
    let (_service, relay, mut client) = opened().await;
    let path = Some(PathPattern::parse("/b/{id}").unwrap());
    let _guard = add(&relay, unavailable(Requests { path, ..all() }));
    let pipelined = "GET /a HTTP/1.1\r\n\r\nGET /b/1?x=y HTTP/1.1\r\n\r\nHEAD /b/2 HTTP/1.1\r\n\r\n\
                     GET /c HTTP/1.1\r\n\r\n";
    let answer = |path: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{path} 0");
    let head = UNAVAILABLE.replace("on purpose", "");
    let all = format!("{}{UNAVAILABLE}{head}{}", answer("/a"), answer("/c"));
    assert_eq!(ask(&mut client, pipelined, "/c 0").await, all);
}

#[rstest]
#[case::method("POST", None, "GET /items HTTP/1.1\r\n\r\n")]
#[case::path("GET", Some("/other"), "GET /items HTTP/1.1\r\n\r\n")]
#[tokio::test]
async fn other_requests_are_left_alone(
    #[case] method: &str,
    #[case] path: Option<&str>,
    #[case] request: &str,
) {
    let (_service, relay, mut client) = opened().await;
    let path = path.map(|path| PathPattern::parse(path).unwrap());
    let guard = add(&relay, unavailable(Requests { path, method: Some(method.into()), ..all() }));
    ask(&mut client, request, "/items 0").await;
    assert_eq!(guard.effect(), Effect::default());
}

#[tokio::test]
async fn a_share_of_requests_is_struck() {
    let (_service, relay, mut client) = opened().await;
    let guard = add(&relay, unavailable(Requests { share: Ratio::new(0.3).unwrap(), ..all() }));
    let mut answered = 0;
    for _ in 0..50 {
        client.write_all(GET.as_bytes()).await.unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(b"/items 0") && !heard.ends_with(b"on purpose") {
            soon(client.read_buf(&mut heard)).await.unwrap();
        }
        answered += u64::from(heard.ends_with(b"on purpose"));
    }
    let effect = Effect { requests: STRUCK, answered: STRUCK, ..Effect::default() };
    assert_eq!((answered, guard.effect()), (STRUCK, effect));
}

/// Of the second to the fifty-first request, with the seed 1.
const STRUCK: u64 = 14;

#[tokio::test]
async fn a_delay_delays_what_it_means() {
    let (_service, relay, mut client) = opened().await;
    let add_ = Duration::from_millis(60);
    let lag = Lag { add: add_, jitter: Duration::ZERO, distribution: Distribution::Uniform };
    let path = Some(PathPattern::parse("/slow").unwrap());
    let guard = add(&relay, Interference::Delay(lag, Requests { path, ..all() }));
    let began = Instant::now();
    let request = "GET /slow HTTP/1.1\r\n\r\n";
    ask(&mut client, request, "/slow 0").await;
    assert!(began.elapsed() >= add_);
    let delayed = request.len() as u64;
    assert_eq!(guard.effect(), Effect { requests: 1, delayed, ..Effect::default() });
    ask(&mut client, GET, "/items 0").await;
    assert_eq!(guard.effect().requests, 1);
}

#[rstest]
#[case::before_the_service_hears(0, "")]
#[case::within_the_answer(20, "HTTP/1.1 200 OK\r\nCon")]
#[tokio::test]
async fn an_abort_cuts_the_connection(#[case] after: u64, #[case] heard: &str) {
    let (_service, relay, mut client) = opened().await;
    let guard = add(&relay, Interference::Abort(Abort { after: Size(after) }, all()));
    client.write_all(GET.as_bytes()).await.unwrap();
    let mut got = Vec::new();
    let error = soon(client.read_to_end(&mut got)).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(String::from_utf8(got).unwrap(), heard);
    assert_eq!(guard.effect(), Effect { requests: 1, cut: 1, ..Effect::default() });
}

#[rstest]
#[case::counted("/items", "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n?items 0", "items 0")]
#[case::chunked(
    "/chunked",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nvour\r\n5;x=y\r\n five\r\n0\r\nTrailer: x\r\n\r\n",
    "Trailer: x\r\n\r\n"
)]
#[tokio::test]
async fn a_corrupt_answer_has_wrong_content_of_the_same_length(
    #[case] path: &str,
    #[case] answer: &str,
    #[case] ends: &str,
) {
    let (_service, relay, mut client) = opened().await;
    let guard = add(&relay, Interference::Corrupt(all()));
    assert_eq!(ask(&mut client, &format!("GET {path} HTTP/1.1\r\n\r\n"), ends).await, answer);
    assert_eq!(guard.effect(), Effect { requests: 1, corrupted: 1, ..Effect::default() });
}

#[tokio::test]
async fn an_upgrade_passes_and_is_cut_by_a_reset() {
    let (_service, relay, mut client) = opened().await;
    let _status = add(&relay, unavailable(Requests { method: Some("POST".into()), ..all() }));
    ask(&mut client, "GET /upgrade HTTP/1.1\r\nUpgrade: echo\r\n\r\n", "\r\n\r\n").await;
    // What follows may look like HTTP and is none.
    let post = "POST /items HTTP/1.1\r\n\r\n";
    assert_eq!(ask(&mut client, post, post).await, post);
    assert_eq!(relay.effects().requests, 2);
    let guard = add(&relay, Interference::Reset(flow(Direction::Both)));
    assert!(soon(client.read(&mut [0; 1])).await.is_err());
    eventually(|| guard.effect().cut == 1).await;
}

#[tokio::test]
async fn what_is_no_http_passes_faults_on_requests_by() {
    let service = Service::echo().await;
    let relay = relay_to(&service).await;
    let guard = add(&relay, unavailable(all()));
    let mut client = connect(&relay).await;
    for text in ["PING\r\n", "\u{16}\u{3}\u{1}", "GET", " is no request\n", "GET / HTTP/1.1\r\n\r\n"] {
        // `GET` alone could still become a request, and waits for what follows.
        let whole = if text == "GET" { continue } else { text };
        assert_eq!(ask(&mut client, whole, whole).await, whole);
    }
    assert_eq!(guard.effect(), Effect::default());
}

#[tokio::test]
async fn half_a_request_goes_on_when_the_faults_are_lifted() {
    let (_service, relay, mut client) = opened().await;
    let up = relay.effects().up;
    let guard = add(&relay, unavailable(all()));
    client.write_all(b"GET /half HTTP/1.1\r\nHo").await.unwrap();
    eventually(|| relay.shared.force.passed.up.get() == up).await;
    drop(guard);
    assert!(ask(&mut client, "st: x\r\n\r\n", "/half 0").await.ends_with("/half 0"));
}

/// Requests of every framing, with the answers that belong to them.
fn conversation() -> impl Strategy<Value = Vec<(String, String)>> {
    let answered = |path: &str, length: usize| {
        let body = format!("{path} {length}");
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let get = Just(("GET /get HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), answered("/get", 0)));
    let post = (0usize..3_000).prop_map(move |length| {
        let body = "b".repeat(length);
        let request = format!("POST /post HTTP/1.1\r\ncontent-length: {length}\r\n\r\n{body}");
        (request, answered("/post", length))
    });
    let chunks = vec(1usize..500, 0..5).prop_map(move |sizes| {
        let mut request = "PUT /chunks HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".to_owned();
        let chunks =
            sizes.iter().map(|size| [format!("{size:X}\r\n"), "c".repeat(*size), "\r\n".into()].concat());
        request.extend(chunks);
        request += "0\r\n\r\n";
        (request, answered("/chunks", sizes.iter().sum()))
    });
    let empty =
        Just(("GET /empty HTTP/1.1\r\n\r\n".to_owned(), "HTTP/1.1 204 No Content\r\n\r\n".to_owned()));
    vec(prop_oneof![get, post, chunks, empty], 1..8)
}

/// Sends the requests in pieces of these sizes, and gives what was heard and how many requests were counted.
async fn converse(requests: &str, pieces: &[usize], fault: Option<Interference>) -> (String, u64) {
    let service = shop().await;
    let relay = relay_to(&service).await;
    let guard = fault.map(|fault| add(&relay, fault));
    let mut client = connect(&relay).await;
    client.set_nodelay(true).unwrap();
    let (mut rest, mut sizes) = (requests.as_bytes(), pieces.iter().cycle());
    while let Some(size) = sizes.next().filter(|_| !rest.is_empty()) {
        let (piece, after) = rest.split_at((*size).min(rest.len()));
        client.write_all(piece).await.unwrap();
        // So that the relay may read it alone.
        tokio::task::yield_now().await;
        rest = after;
    }
    client.shutdown().await.unwrap();
    let mut heard = String::new();
    client.read_to_string(&mut heard).await.unwrap();
    drop(guard);
    (heard, relay.effects().requests)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn requests_are_told_apart_however_they_are_cut(
        conversation in conversation(),
        pieces in vec(1usize..700, 1..6),
        judged: bool,
    ) {
        let requests: String = conversation.iter().map(|(request, _)| request.as_str()).collect();
        let answers: String = conversation.iter().map(|(_, answer)| answer.as_str()).collect();
        let other = Requests { method: Some("PATCH".into()), ..all() };
        let fault = judged.then(|| unavailable(other));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (heard, count) = runtime.block_on(async {
            tokio::time::timeout(DEADLINE, converse(&requests, &pieces, fault)).await.unwrap()
        });
        prop_assert_eq!(heard, answers);
        prop_assert_eq!(count, conversation.len() as u64);
    }
}
