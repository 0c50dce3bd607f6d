//! gRPC servers that are well, that are not, and what only looks like one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use firedrill::event::Outcome;
use http::{HeaderMap, HeaderName, Request, Response};
use rstest::rstest;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::peer::{Identity, answering, closed_port, serve};
use super::rehearsal::Folder;

const SERVING: &[u8] = b"\0\0\0\0\x02\x08\x01";
const NOT_SERVING: &[u8] = b"\0\0\0\0\x02\x08\x02";

/// An answer, piece by piece.
#[derive(Clone)]
struct Answer {
    status: u16,
    head: Vec<(&'static str, &'static str)>,
    body: Bytes,
    /// None where the head is the whole of it.
    trailers: Option<Vec<(&'static str, &'static str)>>,
}

impl Answer {
    /// A message, and that the call ended well.
    fn ok(body: &'static [u8]) -> Self {
        let head = vec![("content-type", "application/grpc")];
        let trailers = Some(vec![("grpc-status", "0")]);
        Self { status: 200, head, body: Bytes::from_static(body), trailers }
    }

    /// Trailers alone, which stand in the head then.
    fn failed(status: &'static str, message: &'static str) -> Self {
        let head =
            vec![("content-type", "application/grpc"), ("grpc-status", status), ("grpc-message", message)];
        Self { status: 200, head, body: Bytes::new(), trailers: None }
    }

    /// What is no gRPC.
    fn page(status: u16) -> Self {
        let body = Bytes::from_static(b"<html>");
        Self { status, head: vec![("content-type", "text/html")], body, trailers: Some(Vec::new()) }
    }
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pairs = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
    pairs.collect()
}

/// Speaks HTTP/2 over `io`, and answers every call.
async fn speak<I>(io: I, answer: impl Fn(&Request<()>, &[u8]) -> Answer)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Ok(mut connection) = h2::server::handshake(io).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let (parts, mut body) = request.into_parts();
        // What was asked is a frame or two, and came with the head.
        let asked = async { body.data().await.unwrap().unwrap() };
        let asked = tokio::select! {
            asked = asked => asked,
            _ = std::future::poll_fn(|context| connection.poll_closed(context)) => return,
        };
        let answer = answer(&Request::from_parts(parts, ()), &asked);
        let mut head = Response::builder().status(answer.status).body(()).unwrap();
        *head.headers_mut() = headers(&answer.head);
        let Some(trailers) = answer.trailers else {
            respond.send_response(head, true).unwrap();
            continue;
        };
        let mut stream = respond.send_response(head, false).unwrap();
        stream.send_data(answer.body, false).unwrap();
        stream.send_trailers(headers(&trailers)).unwrap();
    }
}

/// A server in the clear.
async fn server(
    answer: impl Fn(&Request<()>, &[u8]) -> Answer + Clone + Send + Sync + 'static,
) -> SocketAddr {
    serve(move |stream| speak(stream, answer.clone())).await
}

/// What is wrong by a step.
async fn failures(name: &str, step: &str) -> Vec<String> {
    Folder::new(&format!("grpc_{name}")).run(&format!("- {step}"), &[]).await.failures()
}

#[tokio::test]
async fn a_call_asks_as_the_protocol_has_it() {
    let address = server(|request, asked| {
        let header = |name: &str| request.headers().get(name).unwrap().to_str().unwrap().to_owned();
        assert_eq!(request.method(), "POST");
        assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
        assert_eq!(header("te"), "trailers");
        assert_eq!(header("content-type"), "application/grpc");
        assert!(header("user-agent").starts_with("firedrill/"));
        assert_eq!(header("authorization"), "Bearer s3cret");
        let timeout: u32 = header("grpc-timeout").strip_suffix('m').unwrap().parse().unwrap();
        assert!((1..=10_000).contains(&timeout), "{timeout}");
        assert_eq!(asked, b"\0\0\0\0\x0b\x0a\x09shop.Cart");
        Answer::ok(SERVING)
    })
    .await;
    let steps = format!(
        "- grpc: {{ address: '{address}', service: shop.Cart, metadata: {{ Authorization: \"Bearer ${{secret.TOKEN}}\" }} }}
  expect: {{ serving: SERVING, grpc_status: OK, latency: under 10s, phases: {{ wait: under 10s }} }}"
    );
    let run = Folder::new("grpc_asks").run(&steps, &[("TOKEN", "s3cret")]).await;
    assert_eq!(run.failures(), Vec::<String>::new());
    assert_eq!(run.outcomes(), [Outcome::Passed]);
    let (_, evidence) = run.attempts()[0];
    assert_eq!(evidence.state.as_deref(), Some("SERVING"));
    assert_eq!(evidence.hops[0].version.as_deref(), Some("HTTP/2.0"));
}

#[rstest]
#[case::not_serving(Answer::ok(NOT_SERVING), "", "status: the service is NOT_SERVING, not SERVING")]
#[case::unknown(Answer::ok(b"\0\0\0\0\0"), "", "status: the service is UNKNOWN, not SERVING")]
#[case::another_word(
    Answer::ok(SERVING),
    "serving: NOT_SERVING",
    "status: the service is SERVING, not NOT_SERVING"
)]
#[case::no_such_service(
    Answer::failed("5", "no%20shop"),
    "",
    "status: the call ended with NOT_FOUND: no shop, not OK"
)]
#[case::no_health(Answer::failed("12", ""), "", "status: the call ended with UNIMPLEMENTED, not OK")]
#[case::another_end(
    Answer::failed("16", "who?"),
    "grpc_status: NOT_FOUND",
    "status: the call ended with UNAUTHENTICATED: who?, not NOT_FOUND"
)]
#[case::ended_well(
    Answer::ok(SERVING),
    "grpc_status: NOT_FOUND",
    "status: the call ended with SERVING, not NOT_FOUND"
)]
#[case::terminal_escape(
    Answer::failed("2", "%1b[31m%ff"),
    "",
    "status: the call ended with UNKNOWN: \\u{1b}[31m\u{fffd}, not OK"
)]
#[case::nothing_said(
    Answer::failed("5", ""),
    "grpc_status: NOT_FOUND, serving: SERVING",
    "status: the call ended with NOT_FOUND, which says nothing of the service"
)]
#[case::odd_status(Answer::failed("99", ""), "", "protocol: `grpc-status` is `99`, which gRPC does not know")]
#[case::no_number(Answer::failed("ok", ""), "", "protocol: `grpc-status` is `ok`, which gRPC does not know")]
#[case::no_status(
    Answer { trailers: Some(Vec::new()), ..Answer::ok(SERVING) }, "",
    "protocol: the answer ends without `grpc-status`: is a proxy in between?"
)]
#[case::a_page(Answer::page(200), "", "protocol: the answer is no gRPC but `text/html`")]
#[case::a_proxy(Answer::page(503), "", "status: answered 503 Service Unavailable and no gRPC")]
#[case::no_message(Answer::ok(b""), "", "protocol: the call ended with OK, and there is no message in it")]
#[case::two_messages(
    Answer::ok(b"\0\0\0\0\0\0\0\0\0\0"),
    "",
    "protocol: the call ended with OK, and there is more than one message in it"
)]
#[case::flood(
    Answer { body: vec![0; 60_000].into(), ..Answer::ok(b"") }, "",
    "limit: the answer is longer than 16KiB"
)]
#[tokio::test]
async fn an_answer_that_is_not_as_expected_says_why(
    #[case] answer: Answer,
    #[case] expect: &str,
    #[case] failure: &str,
) {
    let address = server(move |_, _| answer.clone()).await;
    let expect = if expect.is_empty() { String::new() } else { format!(", expect: {{ {expect} }}") };
    let step = format!("{{ grpc: {{ address: '{address}' }}{expect} }}");
    assert_eq!(failures(&address.port().to_string(), &step).await, [failure]);
}

#[tokio::test]
async fn a_call_that_should_fail_passes() {
    let address = server(|_, _| Answer::failed("5", "")).await;
    let step =
        format!("{{ grpc: {{ address: '{address}', service: x }}, expect: {{ grpc_status: NOT_FOUND }} }}");
    assert_eq!(failures("should_fail", &step).await, Vec::<String>::new());
}

/// A server's settings, in a frame of their own.
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

#[rstest]
#[case::http1(
    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "protocol: the peer does not speak HTTP/2: "
)]
#[case::a_banner(b"220 mail.test ESMTP\r\n", "protocol: ")]
#[case::nothing(b"", "closed: ")]
#[case::half_a_frame(b"\0\0\x09\x04\0\0", "closed: ")]
#[case::another_frame_first(b"\0\0\x04\x08\0\0\0\0\0\0\0\0\0", "protocol: ")]
#[case::no_such_stream(b"\0\0\0\x04\0\0\0\0\0\0\0\0\0\x01\0\0\0\x63", "protocol: ")]
#[case::garbage_head(b"\0\0\0\x04\0\0\0\0\0\0\0\x04\x01\x05\0\0\0\x01\xff\xff\xff\xff", "protocol: ")]
#[case::goes_away(b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0b", "closed: ")]
#[case::reset(b"\0\0\0\x04\0\0\0\0\0\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08", "closed: ")]
#[tokio::test]
async fn what_is_no_grpc_gives_one_reason(#[case] bytes: &'static [u8], #[case] reason: &str) {
    // The client's preface ends as a head does.
    let address = answering(bytes).await;
    let failures =
        failures(&format!("none_{}", address.port()), &format!("grpc: {{ address: '{address}' }}")).await;
    assert!(failures.len() == 1 && failures[0].starts_with(reason), "{failures:?}");
}

/// Sends the same bytes again and again, for as long as they are taken.
async fn flooding(first: &'static [u8], again: &'static [u8]) -> SocketAddr {
    serve(move |mut stream| async move {
        let mut preface = [0; 24];
        if stream.read_exact(&mut preface).await.is_err() || stream.write_all(first).await.is_err() {
            return;
        }
        while !again.is_empty() && stream.write_all(again).await.is_ok() {}
        // Until the client goes, and not before.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await
}

#[rstest]
#[case::silent(b"", b"", "timeout(wait)")]
#[case::settings_alone(SETTINGS, b"", "timeout(wait)")]
#[case::endless_settings(SETTINGS, SETTINGS, "timeout(wait)")]
#[case::endless_pings(SETTINGS, b"\0\0\x08\x06\0\0\0\0\0firedril", "timeout(wait)")]
#[case::a_head_without_end(
    b"\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\0\0\0\0\x01\x88",
    b"\0\0\x05\x09\0\0\0\0\x01\0\x01a\x01b",
    "limit"
)]
#[case::empty_frames(b"\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\0\0\0\0\x01\x88", b"\0\0\0\x09\0\0\0\0\x01", "limit")]
#[tokio::test]
async fn a_peer_that_never_ends_is_left(
    #[case] first: &'static [u8],
    #[case] again: &'static [u8],
    #[case] reason: &str,
) {
    let address = flooding(first, again).await;
    let began = std::time::Instant::now();
    let step = format!("{{ grpc: {{ address: '{address}' }}, timeout: 400ms }}");
    let failures = failures(&format!("never_{}", address.port()), &step).await;
    assert!(began.elapsed() < std::time::Duration::from_secs(5));
    assert_eq!(failures.iter().map(|told| told.split(':').next().unwrap()).collect::<Vec<_>>(), [reason]);
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let step = format!("grpc: {{ address: '{}' }}", closed_port().await);
    let failures = failures("closed", &step).await;
    assert!(failures[0].starts_with("refused: connection refused by 127.0.0.1:"), "{failures:?}");
}

/// A server over TLS that offers these protocols, and its certificate.
async fn secure(alpn: &[&str]) -> (SocketAddr, String) {
    let identity = Identity::new(&["localhost"], alpn);
    let acceptor = identity.acceptor.clone();
    let address = serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                speak(stream, |_, _| Answer::ok(SERVING)).await;
            }
        }
    })
    .await;
    (address, identity.pem)
}

#[rstest]
#[case::it_speaks(&["h2"], "tls: { ca: ca.pem }, ", &[])]
#[case::no_http2(&["http/1.1"], "tls: { ca: ca.pem }, ", &["tls: "])]
#[case::no_agreement(&[], "tls: { ca: ca.pem }, ", &["protocol: the peer does not offer HTTP/2, which gRPC is spoken over"])]
#[case::untrusted(&["h2"], "tls: {}, ", &["tls: "])]
#[case::in_the_clear(&["h2"], "", &["protocol: "])]
#[tokio::test]
async fn grpc_over_tls(#[case] alpn: &[&str], #[case] tls: &str, #[case] reasons: &[&str]) {
    let (address, pem) = secure(alpn).await;
    let name = format!("grpc_tls_{}", address.port());
    let step =
        format!("- grpc: {{ {tls}address: 'localhost:{}', network: {{ family: ipv4 }} }}", address.port());
    let run = Folder::new(&name).with("ca.pem", pem).run(&step, &[]).await;
    let failures = run.failures();
    assert_eq!(failures.len(), reasons.len(), "{failures:?}");
    for (failure, reason) in failures.iter().zip(reasons) {
        assert!(failure.starts_with(reason), "{failures:?}");
    }
    if reasons.is_empty() {
        assert!(run.attempts()[0].1.certificate_until.is_some());
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_before_anything_runs() {
    let steps = "- grpc: { address: shop, metadata: { grpc-timeout: 1S } }
- grpc: { address: 'shop:1' }
  expect: { serving: serving, status: 200 }";
    let drawn = Folder::new("grpc_refused").findings(steps);
    let titles: Vec<_> = drawn.lines().filter(|line| line.starts_with("error")).collect();
    let wanted = [
        "error[scenario/url]: `shop` is not `host:port`",
        "error[file/value]: `grpc-timeout` is the protocol's own, and no metadata",
        "error[file/value]: `serving` is not one of `UNKNOWN`, `SERVING`, `NOT_SERVING`, `SERVICE_UNKNOWN`; did you mean `SERVING`?",
    ];
    assert_eq!(titles, wanted, "{drawn}");
}

/// What a service says at its n-th question, the last for ever: `s` for serving, `n` for not, `f` for no answer.
fn in_turn(turns: &'static str, asked: &AtomicUsize) -> Answer {
    let turn = asked.fetch_add(1, Ordering::SeqCst).min(turns.len() - 1);
    match turns.as_bytes()[turn] {
        b's' => Answer::ok(SERVING),
        b'n' => Answer::ok(NOT_SERVING),
        _ => Answer::failed("14", "not now"),
    }
}

#[rstest]
#[case::well("s", "s", "s", "{ restarts: 0, ready: true }", "started; ready")]
#[case::started_late("fns", "s", "s", "{ restarts: 0, ready: true }", "started; ready")]
#[case::never_started("n", "s", "s", "{ restarts: 1 }", "would be restarted")]
#[case::not_ready(
    "s",
    "s",
    "sn",
    "{ restarts: 0, ready: false }",
    "started; ready; would leave the load balancer"
)]
#[case::dies("s", "sf", "s", "{ restarts: 1 }", "started; ready; would be restarted")]
#[case::leaves_and_dies(
    "s",
    "sn",
    "sn",
    "{ restarts: 1 }",
    "started; ready; would leave the load balancer; would be restarted"
)]
#[tokio::test]
async fn a_pod_fares_by_its_grpc_probes(
    #[case] startup: &'static str,
    #[case] liveness: &'static str,
    #[case] readiness: &'static str,
    #[case] expect: &str,
    #[case] changes: &str,
) {
    let asked: Arc<[AtomicUsize; 3]> = Arc::default();
    let address = server(move |request, message| {
        let agent = request.headers().get("user-agent").unwrap();
        assert!(agent.to_str().unwrap().starts_with("kube-probe/"), "{agent:?}");
        match message.get(7..).unwrap_or_default() {
            b"startup" => in_turn(startup, &asked[0]),
            b"liveness" => in_turn(liveness, &asked[1]),
            _ => in_turn(readiness, &asked[2]),
        }
    })
    .await;
    let port = address.port();
    let probe = |service: &str, failures: u32| {
        format!(
            "{{ grpc: {{ port: {port}, service: {service} }}, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: {failures} }}"
        )
    };
    let steps = format!(
        "- kubelet: {{ startup: {}, liveness: {}, readiness: {}, for: 5s }}\n  expect: {expect}",
        probe("startup", 4),
        probe("liveness", 3),
        probe("readiness", 1)
    );
    let run = Folder::new(&format!("grpc_kubelet_{port}")).run(&steps, &[]).await;
    assert_eq!(run.failures(), Vec::<String>::new());
    let state = run.attempts()[0].1.state.clone().unwrap();
    let told: Vec<_> = state.split("; ").map(|change| change.split(" at ").next().unwrap()).collect();
    assert_eq!(told.join("; "), changes, "{state}");
}
