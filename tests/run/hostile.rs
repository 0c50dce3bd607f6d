//! Targets that refuse, stall, lie and flood: one reason, exit 1, an end within the step's timeout, bounded memory.

use std::io::{Read as _, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use firedrill::event::{Event, Evidence};
use firedrill::sample::{Phase, Reason};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use rstest::rstest;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::peer::{answer, closed_port, drip, flood, hear, hold, http, identity, json, secure, serve};
use crate::support::{Drill, Ended, PATIENCE, peak_memory};

/// What starting, reporting and a busy machine may add to a step's timeout.
const SLACK: Duration = Duration::from_secs(8);

/// What a process may hold, whatever its targets send.
const MOST_MEMORY: u64 = 150 << 20;

/// Runs a scenario of the one step `probe`, which has a second, and holds it to its bounds of time and memory.
fn probe(step: &str) -> Ended {
    probe_for(Duration::from_secs(1), Drill::run(with_usher("1s", step)))
}

/// A step named `probe`, and one that is asked for while the process still lives; see [`probe_for`].
pub(crate) fn with_usher(timeout: &str, step: &str) -> String {
    format!(
        "scenario: hostile\nsteps:\n  - name: probe\n    timeout: {timeout}\n    {step}\n  - name: usher\n    \
         http: {{ get: 'http://${{env.USHER}}/' }}\n    timeout: 30s\n"
    )
}

pub(crate) fn probe_for(timeout: Duration, drill: Drill) -> Ended {
    let (process, told) = mpsc::channel();
    let (told, peak) = (Mutex::new(told), Arc::new(Mutex::new(None)));
    let measured = Arc::clone(&peak);
    let usher = http(move |_| {
        let process = told.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        *measured.lock().unwrap() = Some(peak_memory(process));
        answer(200, "", "")
    });
    let started = drill.environment("USHER", &usher.to_string()).within(timeout + SLACK).start();
    process.send(started.id()).unwrap();
    let ended = started.end();
    let peak = peak.lock().unwrap().expect("the usher was asked");
    assert!(peak < MOST_MEMORY, "{} MiB", peak >> 20);
    assert_eq!(ended.reasons("usher"), []);
    assert_clean(&ended);
    ended
}

/// No byte that steers a terminal, and JUnit that is XML.
fn assert_clean(ended: &Ended) {
    for (name, bytes) in ended.outputs() {
        let text = std::str::from_utf8(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let steers = |sign: &char| sign.is_control() && *sign != '\n';
        assert_eq!(text.chars().find(steers), None, "{name}: {text}");
    }
    let junit = std::str::from_utf8(&ended.junit).unwrap();
    quick_junit::Report::deserialize_from_str(junit).unwrap_or_else(|error| panic!("{error}: {junit}"));
}

fn evidence(ended: &Ended) -> &Evidence {
    let seen = ended.events.iter().find_map(|event| {
        let Event::Attempted { step, evidence, .. } = event else { return None };
        (step.name == "probe").then_some(evidence)
    });
    seen.expect("an attempt of `probe`")
}

/// Every kind of step that connects, at `address`, with `scheme` an `s` for TLS.
fn step(kind: &str, address: SocketAddr, scheme: &str) -> String {
    let tls = if scheme == "s" { ", tls: {}" } else { "" };
    match kind {
        "http" => format!("http: {{ get: 'http{scheme}://{address}/', limit: 64KiB }}"),
        "health" => format!("health: {{ url: 'http{scheme}://{address}/' }}"),
        "ready" => format!("ready: {{ url: 'http{scheme}://{address}/' }}"),
        "metrics" => format!("metrics: {{ url: 'http{scheme}://{address}/', families: {{ up: {{}} }} }}"),
        "websocket" => {
            format!(
                "websocket: {{ url: 'ws{scheme}://{address}/', exchange: [{{ receive: {{ text: hello }} }}] }}"
            )
        }
        "tcp" => format!(
            "tcp: {{ address: '{address}', limit: 64KiB{tls}, \
             exchange: [{{ send: \"hello\\r\\n\" }}, {{ receive: contains welcome }}] }}"
        ),
        other => panic!("no step is called `{other}`"),
    }
}

#[rstest]
fn a_closed_port_is_refused(#[values("http", "health", "ready", "metrics", "websocket", "tcp")] kind: &str) {
    assert_eq!(probe(&step(kind, closed_port(), "")).exits(1).reasons("probe"), [Reason::Refused]);
}

#[rstest]
#[case::http("http", Reason::Timeout(Phase::Wait))]
#[case::health("health", Reason::Timeout(Phase::Wait))]
#[case::ready("ready", Reason::Timeout(Phase::Wait))]
#[case::metrics("metrics", Reason::Timeout(Phase::Wait))]
#[case::websocket("websocket", Reason::Timeout(Phase::Wait))]
#[case::tcp("tcp", Reason::Timeout(Phase::Exchange))]
fn a_target_that_never_answers_ends_at_the_deadline(#[case] kind: &str, #[case] reason: Reason) {
    let target = serve(|stream, _| hold(stream));
    assert_eq!(probe(&step(kind, target, "")).exits(1).reasons("probe"), [reason]);
}

#[rstest]
fn a_handshake_that_hangs_ends_at_the_deadline(
    #[values("http", "health", "metrics", "websocket", "tcp")] kind: &str,
) {
    let target = serve(|mut stream, _| {
        let _ = stream.read(&mut [0; 64]);
        // The beginning of a record, and no more.
        let _ = stream.write_all(&[22, 3, 3, 1, 0]);
        hold(stream);
    });
    assert_eq!(probe(&step(kind, target, "s")).exits(1).reasons("probe"), [Reason::Timeout(Phase::Tls)]);
}

#[rstest]
fn a_certificate_nobody_trusts_is_a_tls_failure(
    #[values("http", "health", "metrics", "websocket", "tcp")] kind: &str,
) {
    let (_, server) = identity();
    let target = serve(move |stream, _| hold(secure(stream, &server)));
    assert_eq!(probe(&step(kind, target, "s")).exits(1).reasons("probe"), [Reason::Tls]);
}

#[rstest]
#[case::trusted(true, 0)]
#[case::of_another(false, 1)]
fn only_the_named_authority_is_trusted(#[case] own: bool, #[case] exit: i32) {
    let ((pem, server), (other, _)) = (identity(), identity());
    let target = serve(move |stream, _| {
        let mut stream = secure(stream, &server);
        if hear(&mut stream).is_some() {
            let _ = stream.write_all(&answer(200, "", ""));
        }
    });
    let scenario = with_usher("5s", &format!("http: {{ get: 'https://{target}/', tls: {{ ca: ca.pem }} }}"));
    let drill = Drill::run(scenario).file("ca.pem", if own { pem } else { other });
    let ended = probe_for(Duration::from_secs(5), drill);
    assert_eq!(ended.exits(exit).reasons("probe"), if own { vec![] } else { vec![Reason::Tls] });
}

#[test]
fn the_authority_of_a_fragment_lies_beside_the_fragment() {
    let ((pem, server), (other, _)) = (identity(), identity());
    let target = serve(move |stream, _| {
        let mut stream = secure(stream, &server);
        if hear(&mut stream).is_some() {
            let _ = stream.write_all(&answer(200, "", ""));
        }
    });
    let step = format!("name: probe, http: {{ get: 'https://{target}/', tls: {{ ca: ca.pem }} }}");
    let drill = Drill::run(format!(
        "scenario: two\nsteps:\n  - {{ name: used, use: {{ file: inner/ask.yaml }} }}\n  - {{ {step} }}\n"
    ));
    std::fs::create_dir(drill.folder.path("inner")).unwrap();
    let drill = drill.file("inner/ask.yaml", format!("fragment: ask\nsteps:\n  - {{ {step} }}\n"));
    let ended = drill.file("inner/ca.pem", pem).file("ca.pem", other).go();
    ended.exits(1);
    assert_eq!(ended.reasons("used / probe"), []);
    assert_eq!(ended.reasons("probe"), [Reason::Tls]);
}

#[rstest]
#[case::http("http", Reason::Protocol)]
#[case::health("health", Reason::Protocol)]
#[case::metrics("metrics", Reason::Protocol)]
#[case::websocket("websocket", Reason::Protocol)]
#[case::tcp("tcp", Reason::Closed)]
fn garbage_is_no_answer(#[case] kind: &str, #[case] reason: Reason) {
    let target = serve(|mut stream, _| {
        let _ = stream.read(&mut [0; 64]);
        let _ = stream.write_all(b"\x00\x1b[31m\xff\xfe garbage \x1b]0;title\x07\r\n\r\n");
        let _ = stream.shutdown(std::net::Shutdown::Write);
        hold(stream);
    });
    assert_eq!(probe(&step(kind, target, "")).exits(1).reasons("probe"), [reason]);
}

#[rstest]
#[case::http("http", Reason::Closed)]
#[case::health("health", Reason::Closed)]
#[case::metrics("metrics", Reason::Closed)]
#[case::websocket("websocket", Reason::Closed)]
#[case::tcp("tcp", Reason::Closed)]
fn a_target_that_closes_early_is_closed(#[case] kind: &str, #[case] reason: Reason) {
    let target = serve(|mut stream, _| {
        let _ = stream.read(&mut [0; 4096]);
    });
    assert_eq!(probe(&step(kind, target, "")).exits(1).reasons("probe"), [reason]);
}

#[rstest]
#[case::half_a_head("HTTP/1.1 200 OK\r\nx-half: ")]
#[case::half_a_body("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")]
fn half_an_answer_is_closed(#[case] half: &'static str, #[values("http", "health", "metrics")] kind: &str) {
    let target = serve(move |mut stream, _| {
        if hear(&mut stream).is_some() {
            let _ = stream.write_all(half.as_bytes());
        }
    });
    assert_eq!(probe(&step(kind, target, "")).exits(1).reasons("probe"), [Reason::Closed]);
}

/// Answers with `head`, then with `piece` without end.
fn endless(head: &'static str, piece: impl Into<String>) -> SocketAddr {
    let piece = piece.into();
    serve(move |mut stream, _| {
        if hear(&mut stream).is_some() && stream.write_all(head.as_bytes()).is_ok() {
            flood(stream, piece.as_bytes());
        }
    })
}

#[rstest]
#[case::headers("HTTP/1.1 200 OK\r\n", "x-more: and more\r\n")]
#[case::one_header("HTTP/1.1 200 OK\r\nx-long: ", "more and ")]
#[case::status_line("HTTP/1.1 200 ", "OK")]
fn endless_headers_stop_at_a_limit(
    #[case] head: &'static str,
    #[case] piece: &'static str,
    #[values("http", "health", "metrics", "websocket")] kind: &str,
) {
    assert_eq!(probe(&step(kind, endless(head, piece), "")).exits(1).reasons("probe"), [Reason::Limit]);
}

#[rstest]
#[case::until_the_end("HTTP/1.1 200 OK\r\n\r\n", "more and more")]
#[case::announced("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", "more and more")]
#[case::chunks("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", format!("1000\r\n{}\r\n", "more".repeat(1024)))]
fn an_endless_body_stops_at_a_limit(
    #[case] head: &'static str,
    #[case] piece: impl Into<String>,
    #[values("http", "health")] kind: &str,
) {
    assert_eq!(probe(&step(kind, endless(head, piece), "")).exits(1).reasons("probe"), [Reason::Limit]);
}

#[test]
fn an_endless_metrics_page_stops_at_its_limit_or_the_deadline() {
    let target = endless("HTTP/1.1 200 OK\r\n\r\n", "up 1\n");
    let reasons = probe(&step("metrics", target, "")).exits(1).reasons("probe");
    assert!(matches!(reasons[..], [Reason::Limit | Reason::Timeout(Phase::Transfer)]), "{reasons:?}");
}

#[test]
fn an_endless_line_stops_at_the_limit() {
    let target = serve(|stream, _| flood(stream, b"more and more"));
    assert_eq!(probe(&step("tcp", target, "")).exits(1).reasons("probe"), [Reason::Limit]);
}

#[rstest]
#[case::http("http", Reason::Timeout(Phase::Transfer))]
#[case::health("health", Reason::Timeout(Phase::Transfer))]
#[case::metrics("metrics", Reason::Timeout(Phase::Transfer))]
#[case::websocket("websocket", Reason::Timeout(Phase::Wait))]
#[case::tcp("tcp", Reason::Timeout(Phase::Exchange))]
fn a_few_bytes_a_second_end_at_the_deadline(#[case] kind: &str, #[case] reason: Reason) {
    let target = serve(|mut stream, _| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nx-slow: ");
        drip(stream, b'x');
    });
    assert_eq!(probe(&step(kind, target, "")).exits(1).reasons("probe"), [reason]);
}

const BROTLI_BOMB: &[u8] = &[
    0xcf, 0xff, 0xff, 0x7f, 0xf8, 0x27, 0x00, 0xe2, 0xb1, 0x40, 0x20, 0xf7, 0xfe, 0x9f, 0xff, 0xff, 0xff,
    0xf0, 0x4f, 0x00, 0xc4, 0x61, 0x01, 0x80, 0xee, 0xfd, 0x3f, 0xff, 0xff, 0xff, 0xe1, 0x9f, 0x00, 0x88,
    0xc3, 0x22, 0x00, 0xdd, 0xfb, 0x7f, 0xfe, 0xff, 0xff, 0xc3, 0x3f, 0x01, 0x10, 0x87, 0x05, 0x00, 0xba,
    0xf7, 0xff, 0x03,
];

/// Zeros, so many MiB of them, as written to an encoder.
fn zeros<W: Write>(mut encoder: W, mebibytes: usize) -> W {
    let zeros = vec![0; 1 << 20];
    (0..mebibytes).for_each(|_| encoder.write_all(&zeros).unwrap());
    encoder
}

/// 512 MiB of zeros in one frame of zstd: blocks that repeat a byte.
fn zstd_bomb() -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
    let repeated = |last: u32| ((128 << 10) << 3 | 1 << 1 | last).to_le_bytes()[..3].to_vec();
    for number in 0..4096 {
        frame.extend(repeated(u32::from(number == 4095)));
        frame.push(0);
    }
    frame
}

#[rstest]
#[case::gzip("gzip", zeros(GzEncoder::new(Vec::new(), Compression::fast()), 64).finish().unwrap())]
#[case::zlib("deflate", zeros(ZlibEncoder::new(Vec::new(), Compression::fast()), 64).finish().unwrap())]
#[case::deflate("deflate", zeros(DeflateEncoder::new(Vec::new(), Compression::fast()), 64).finish().unwrap())]
// 64 MiB of zeros, by the `brotli` program.
#[case::brotli("br", BROTLI_BOMB.to_vec())]
#[case::zstd("zstd", zstd_bomb())]
fn a_bomb_stops_at_the_limit(#[case] encoding: &'static str, #[case] bomb: Vec<u8>) {
    assert!(bomb.len() < 1 << 20, "the wire alone would stop it");
    let target = http(move |heard| match heard.header("accept-encoding") {
        "gzip, deflate, br, zstd" => answer(200, &format!("content-encoding: {encoding}\r\n"), &bomb),
        other => answer(400, "", other),
    });
    let ended = probe(&format!("http: {{ get: 'http://{target}/', compression: true }}"));
    assert_eq!(ended.exits(1).reasons("probe"), [Reason::Limit]);
}

/// Escapes of C0 and C1, an override of direction, and what XML and HTML would take for their own.
const NASTY: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{85}\u{0}\u{8}\u{7f}\u{202e}\u{feff}\r\n\
                     <script>alert(1)</script>]]><!-- & --></failure></testcase>&#27;\u{fffe}";

#[rstest]
#[case::http("http: { get: 'URL', limit: 64KiB }\n    expect: { body: never, json: { $.x: never } }", vec![Reason::Body, Reason::Json])]
#[case::health("health: { url: 'URL' }\n    expect: { body: never }", vec![Reason::Body])]
#[case::metrics("metrics: { url: 'URL', families: { up: {} } }", vec![Reason::Body])]
fn what_would_steer_a_terminal_or_a_browser_is_shown_as_it_is(
    #[case] step: &str,
    #[case] reasons: Vec<Reason>,
) {
    let target = http(|_| answer(200, "x-nasty: \u{9b}31m<b>&\r\n", NASTY));
    let ended = probe(&step.replace("URL", &format!("http://{target}/")));
    assert_eq!(ended.exits(1).reasons("probe"), reasons);
    let junit = String::from_utf8_lossy(&ended.junit);
    assert!(!junit.contains("<script"), "{junit}");
    if reasons.contains(&Reason::Json) {
        assert!(
            evidence(&ended).body.as_deref().unwrap().contains("<script>"),
            "the events keep what was said"
        );
    }
}

#[rstest]
#[case::member(
    "{ \"status\": \"down\", \"checks\": { \"NASTY\": { \"status\": \"error\", \"message\": \"NASTY\" } } }"
)]
#[case::word("{ \"status\": \"NASTY\" }")]
fn what_a_health_endpoint_names_is_shown_as_it_is(#[case] body: &str) {
    let nasty = serde_json::Value::from(NASTY).to_string();
    let body = body.replace("NASTY", nasty.trim_matches('"'));
    let target = http(move |_| json(&body));
    let ended = probe(&format!("health: {{ url: 'http://{target}/' }}"));
    let reasons = ended.exits(1).reasons("probe");
    assert!(matches!(reasons[..], [Reason::Status | Reason::Json]), "{reasons:?}");
}

#[test]
fn what_a_websocket_says_is_shown_as_it_is() {
    let target = talking(|socket| {
        let _ = socket.send(Message::text(NASTY));
        while socket.read().is_ok() {}
    });
    assert_eq!(probe(&step("websocket", target, "")).exits(1).reasons("probe"), [Reason::Body]);
}

#[test]
fn what_a_line_says_is_shown_as_it_is() {
    let target = serve(|mut stream, _| {
        let _ = stream.write_all(NASTY.as_bytes());
        hold(stream);
    });
    let reasons = probe(&step("tcp", target, "")).exits(1).reasons("probe");
    assert_eq!(reasons, [Reason::Timeout(Phase::Exchange)]);
}

/// A WebSocket peer, once the connection is upgraded.
fn talking(talk: impl Fn(&mut tungstenite::WebSocket<TcpStream>) + Send + Sync + 'static) -> SocketAddr {
    serve(move |stream, _| {
        if let Ok(mut socket) = tungstenite::accept(stream) {
            talk(&mut socket);
        }
    })
}

#[test]
fn a_silent_websocket_ends_at_the_deadline() {
    let target = talking(|socket| while socket.read().is_ok() {});
    let reasons = probe(&step("websocket", target, "")).exits(1).reasons("probe");
    assert_eq!(reasons, [Reason::Timeout(Phase::Exchange)]);
}

#[test]
fn a_websocket_that_drips_a_frame_ends_at_the_deadline() {
    let target = talking(|socket| {
        // The head of a text frame of 125 bytes, which then come one by one.
        let _ = socket.get_mut().write_all(&[0x81, 125]);
        drip(socket.get_mut().try_clone().unwrap(), b'x');
    });
    let reasons = probe(&step("websocket", target, "")).exits(1).reasons("probe");
    assert_eq!(reasons, [Reason::Timeout(Phase::Exchange)]);
}

/// A WebSocket peer that sends this frame, as it is on the wire, without end.
fn flooding(frame: &'static [u8]) -> SocketAddr {
    talking(move |socket| flood(socket.get_mut(), frame))
}

#[rstest]
#[case::passed_over("{ receive: { text: never, skip: true } }")]
#[case::counted("{ receive: { count: 1000000000 } }")]
#[case::while_a_pong_is_awaited("{ ping: under 10s }")]
#[case::while_closing("{ close: 1000 }")]
#[case::while_the_peer_must_close("{ closed: 1000 }")]
fn a_websocket_that_floods_ends_in_bounded_time_and_memory(
    #[case] act: &str,
    #[values(b"\x81\x04more", b"\x89\x04ping", b"\x82\x00")] frame: &'static [u8],
) {
    let target = flooding(frame);
    let ended = probe(&format!("websocket: {{ url: 'ws://{target}/', exchange: [{act}] }}"));
    let reasons = ended.exits(1).reasons("probe");
    // How far a second reaches depends on the machine.
    assert!(matches!(reasons[..], [Reason::Limit | Reason::Timeout(Phase::Exchange)]), "{reasons:?}");
}

#[rstest]
#[case::announced_at_once(b"\x81\x7f\x00\x00\x00\xff\xff\xff\xff\xff")]
#[case::in_fragments(b"\x01\x04more")]
fn an_endless_frame_is_no_message(#[case] frame: &'static [u8]) {
    let ended = probe(&step("websocket", flooding(frame), ""));
    let reasons = ended.exits(1).reasons("probe");
    assert!(matches!(reasons[..], [Reason::Limit | Reason::Protocol]), "{reasons:?}");
}

#[test]
fn a_page_of_garbage_is_no_metrics_page() {
    let garbage: Vec<u8> = (0..=255_u8).cycle().take(1 << 20).collect();
    let target = http(move |_| answer(200, "content-type: text/plain; version=0.0.4\r\n", &garbage));
    assert_eq!(probe(&step("metrics", target, "")).exits(1).reasons("probe"), [Reason::Body]);
}

/// 10 MB of JSON that opens a hundred thousand lists before it closes any, again and again.
fn deep() -> String {
    const DEEP: usize = 100_000;
    let one = "[".repeat(DEEP) + &"]".repeat(DEEP);
    format!("[{}]", vec![one; 50].join(","))
}

#[rstest]
#[case::expected(
    "http: { get: 'URL', limit: 16MiB }\n    expect: { json: { '$..x': exists } }",
    Reason::Json
)]
#[case::captured("http: { get: 'URL', limit: 16MiB }\n    capture: { x: { json: '$[0]' } }", Reason::Json)]
#[case::mapped("health: { url: 'URL', map: { state: $.state } }", Reason::Limit)]
fn json_nested_without_end_is_no_json(#[case] step: &str, #[case] reason: Reason) {
    let body = deep();
    let target = http(move |_| json(&body));
    let step = step.replace("URL", &format!("http://{target}/"));
    let drill = Drill::run(with_usher("5s", &step));
    assert_eq!(probe_for(Duration::from_secs(5), drill).exits(1).reasons("probe"), [reason]);
}

#[test]
fn a_frame_of_deep_json_is_no_json() {
    let body = "[".repeat(500_000);
    let target = talking(move |socket| {
        let _ = socket.send(Message::text(body.as_str()));
        while socket.read().is_ok() {}
    });
    let ended = probe(&format!(
        "websocket: {{ url: 'ws://{target}/', exchange: [{{ receive: {{ json: {{ $.ok: true }} }} }}] }}"
    ));
    assert_eq!(ended.exits(1).reasons("probe"), [Reason::Json]);
}

#[test]
fn load_on_a_target_that_never_answers_ends_and_fails() {
    let target = serve(|stream, _| hold(stream));
    let drill = Drill::run(with_usher(
        "1s",
        &format!("load: {{ rate: 100/s, for: 1s, timeout: 500ms, http: {{ get: 'http://{target}/' }} }}"),
    ));
    let ended = probe_for(Duration::from_secs(2), drill);
    let (tally, failures) = ended.exits(1).load("probe");
    assert_eq!((tally.due, tally.ended, tally.good), (100, 100, 0));
    assert_eq!(tally.reasons.get("timeout(wait)"), Some(&100));
    assert!(
        failures.iter().all(|failure| failure.reason == Reason::Timeout(Phase::Wait)) && failures.len() <= 3
    );
}
