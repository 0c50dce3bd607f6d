//! Peers that say something changed, asked by steps of every kind that connects, or reads a file.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use firedrill::event::{Event, Sender};
use firedrill::plan::{Plan, Surroundings, read};
use firedrill::run::{Jobs, Options, run};
use firedrill::source::Sources;
use firedrill::stack::Choice;
use firedrill::stack::containers::ImageMap;
use proptest::prelude::*;
use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_util::sync::CancellationToken;

use super::cases;
use super::mutate::mutated;

/// The deadline of a step; nothing may outlast it by more than a busy machine needs.
const DEADLINE: Duration = Duration::from_millis(300);
const SLACK: Duration = Duration::from_secs(20);

/// What evidence and failures of one attempt may come to as JSON.
const MOST_TOLD: usize = 256 << 10;

/// What is sent next.
type Script = Arc<Mutex<Vec<u8>>>;

fn script(bytes: &Script) -> Vec<u8> {
    bytes.lock().unwrap().clone()
}

/// Where a script waits until something is heard.
const PAUSE: &[u8] = b"<-";

/// What an answer takes over from the question.
type Echoed = fn(&[u8], &[u8]) -> Vec<u8>;

/// Says what its script has, and waits where that does; then says nothing more.
async fn talk(mut stream: TcpStream, bytes: Vec<u8>, echoed: Echoed) {
    let mut heard = vec![0; 4096];
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let end = rest.windows(PAUSE.len()).position(|window| window == PAUSE);
        let said = &rest[..end.unwrap_or(rest.len())];
        rest = end.map_or(&[], |end| &rest[end + PAUSE.len()..]);
        if stream.write_all(&echoed(said, &heard)).await.is_err() {
            return;
        }
        if end.is_some() && !stream.read(&mut heard).await.is_ok_and(|count| count > 0) {
            return;
        }
    }
    let _ = stream.shutdown().await;
    // Closing with something unread would reset the connection under what was said.
    while stream.read(&mut heard).await.is_ok_and(|count| count > 0) {}
}

/// Nothing.
fn nothing(said: &[u8], _: &[u8]) -> Vec<u8> {
    said.to_vec()
}

/// The key of a WebSocket.
fn key(said: &[u8], heard: &[u8]) -> Vec<u8> {
    let heard = String::from_utf8_lossy(heard);
    let key = heard.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim().to_owned())
    });
    match (key, said.windows(3).position(|window| window == b"KEY")) {
        (Some(key), Some(at)) => {
            [&said[..at], derive_accept_key(key.as_bytes()).as_bytes(), &said[at + 3..]].concat()
        }
        _ => said.to_vec(),
    }
}

/// The number of a question to a name server, which stands behind its length.
fn number(said: &[u8], heard: &[u8]) -> Vec<u8> {
    let mut said = said.to_vec();
    if let Some(number) = said.get_mut(2..4) {
        number.copy_from_slice(&heard[2..4]);
    }
    said
}

/// A peer over TCP.
async fn tcp(bytes: Script, echoed: Echoed) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream, script(&bytes), echoed));
        }
    });
    port
}

/// A name server over UDP: its answers have the number of the question, or they would be no answers.
async fn udp(bytes: Script) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut asked = [0; 512];
        while let Ok((count, from)) = socket.recv_from(&mut asked).await {
            let mut answer = script(&bytes);
            answer.truncate(60_000);
            if let (Some(number), true) = (answer.get_mut(..2), count >= 2) {
                number.copy_from_slice(&asked[..2]);
            }
            let _ = socket.send_to(&answer, from).await;
        }
    });
    port
}

/// A scenario of one step, ready to be run again and again.
struct Asked {
    plan: Plan,
    sources: Arc<Sources>,
}

impl Asked {
    fn new(name: &str, step: &str) -> Self {
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}.yaml"));
        let text =
            format!("scenario: {name}\nsteps:\n  - {{ {step}, timeout: {}ms }}\n", DEADLINE.as_millis());
        std::fs::write(&file, text).unwrap();
        let reading = read(std::slice::from_ref(&file), &Surroundings::default());
        let _ = std::fs::remove_file(&file);
        let drawn = reading.findings.iter().map(|finding| finding.draw(&reading.sources).render(false));
        let drawn: Vec<_> = drawn.collect();
        let plan = reading.plan.unwrap_or_else(|| panic!("{}", drawn.join("\n")));
        Self { plan, sources: Arc::new(reading.sources) }
    }

    /// Runs it once: it makes one attempt, in time, and does not tell too much of it. Gives what was wrong.
    async fn ask(&self) -> Result<Vec<String>, TestCaseError> {
        let (sender, mut events) = Sender::new(self.plan.mask.clone(), Instant::now());
        let options = Options {
            id: "fuzz".into(),
            started: jiff::Timestamp::UNIX_EPOCH,
            seed: 7,
            policy: Arc::default(),
            traced: false,
            runtime: Choice::default(),
            images: ImageMap::default(),
            recordings: Vec::new(),
            jobs: Jobs::ONE,
            shard: firedrill::load::Shard::default(),
            program: PathBuf::from(env!("CARGO_BIN_EXE_firedrill")),
        };
        let began = Instant::now();
        run(&self.plan, Arc::clone(&self.sources), &options, &sender, &CancellationToken::new()).await;
        prop_assert!(began.elapsed() < DEADLINE + SLACK, "it took {:?}", began.elapsed());
        drop(sender);
        let (mut attempts, mut wrong) = (0, Vec::new());
        while let Some(stamped) = events.recv().await {
            prop_assert!(!matches!(stamped.event, Event::NotMeasured { .. }), "{:?}", stamped.event);
            if let Event::Attempted { failures, .. } = &stamped.event {
                attempts += 1;
                wrong.extend(failures.iter().map(|failure| failure.drawing.title.clone()));
                let told = serde_json::to_vec(&stamped).unwrap();
                prop_assert!(told.len() < MOST_TOLD, "{} bytes are told", told.len());
            }
        }
        prop_assert_eq!(attempts, 1);
        Ok(wrong)
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Asks a peer that says something changed each time. What comes of the first sound answer, unchanged, is known: a
/// peer that nobody understands would show nothing.
fn fuzz(name: &str, step: &str, sound: &[&[u8]], echoed: Echoed, wrong: &[&str]) {
    let (runtime, bytes) = (runtime(), Script::default());
    let port = runtime.block_on(tcp(Arc::clone(&bytes), echoed));
    let asked = Asked::new(name, &step.replace("PEER", &format!("127.0.0.1:{port}")));
    *bytes.lock().unwrap() = sound[0].to_vec();
    assert_eq!(runtime.block_on(asked.ask()).unwrap(), wrong);
    proptest!(cases(48, 8), |(said in mutated(sound.iter().map(|sound| sound.to_vec()).collect()))| {
        *bytes.lock().unwrap() = said;
        runtime.block_on(asked.ask())?;
    });
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Settings, a head, a body and trailers.
fn http2(kind: &str, body: &[u8], trailers: &[u8]) -> Vec<u8> {
    let head = [b"\x88\x0f\x10", [u8::try_from(kind.len()).unwrap()].as_slice(), kind.as_bytes()].concat();
    [
        PAUSE.to_vec(),
        frame(4, 0, 0, &[]),
        frame(4, 1, 0, &[]),
        frame(1, 4, 1, &head),
        frame(0, u8::from(trailers.is_empty()), 1, body),
        if trailers.is_empty() { Vec::new() } else { frame(1, 5, 1, trailers) },
    ]
    .concat()
}

const JSON: &[u8] = b"<-HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 33\r\n\r\n{\"status\":\"healthy\",\"a\":[1,2,3]}\n";
const CHUNKED: &[u8] =
    b"<-HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n5;a=b\r\nhello\r\n0\r\nx: y\r\n\r\n";
const REDIRECT: &[u8] =
    b"<-HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 Found\r\nLocation: /a?b=c#d\r\nContent-Length: 0\r\n\r\n";
const UNTIL_CLOSED: &[u8] = b"<-HTTP/1.0 503 Busy\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\xff\xcbH\xcd\xc9\xc9\x07\0\x86\xa6\x106\x05\0\0\0";
const METRICS: &[u8] =
    b"<-HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n# TYPE a counter\na{x=\"y\"} 1\na{x=\"z\"} +Inf\n";
const QUERY: &[u8] = b"<-HTTP/1.1 200 OK\r\n\r\n{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":{\"job\":\"a\"},\"value\":[1,\"1\"]}]}}";
const TUNNEL: &[u8] = b"<-HTTP/1.1 200 OK\r\nVia: x\r\n\r\n<-\x15\x03\x03\0\x02\x02\x28";
const CREDENTIALS: &[u8] = b"<-HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\n\r\n";
const SOCKS: &[u8] =
    b"<-\x05\x02<-\x01\0<-\x05\0\0\x01\x7f\0\0\x01\0\x50<-HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const ALERT: &[u8] = b"<-\x15\x03\x03\0\x02\x02\x28";
const HELLO: &[u8] = b"<-\x16\x03\x03\0\x04\x02\0\0\0";
const UPGRADE: &[u8] = b"<-HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: KEY\r\n\r\n\x81\x0d{\"ok\": true }\x89\x01a\x01\x02{}\x80\0\x88\x02\x03\xe8";
const NAME: &[u8] = b"\0\0\x81\x80\0\x01\0\x02\0\0\0\0\x04shop\x04test\0\0\x01\0\x01\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x06\x03www\xc0\x0c\xc0\x27\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01";

#[rstest]
#[case::http("http", "http: { get: 'http://PEER/', redirects: 2, compression: true }, expect: { json: { $.a: exists } }", &[JSON, CHUNKED, REDIRECT, UNTIL_CLOSED], &[])]
#[case::health("health", "health: { url: 'http://PEER/' }", &[JSON, UNTIL_CLOSED], &[])]
#[case::metrics("metrics", "metrics: { url: 'http://PEER/', families: { a: { type: counter, value: over 0 } } }", &[METRICS], &[])]
#[case::promql("promql", "promql: { url: 'http://PEER', query: up }, expect: { value: 1, labels: { job: a } }", &[QUERY], &[])]
#[case::proxy("proxy", "http: { get: 'https://127.0.0.1:1/', network: { proxy: 'http://PEER' } }", &[TUNNEL, CREDENTIALS], &["received fatal alert: HandshakeFailure"])]
#[case::socks("socks", "http: { get: 'http://127.0.0.1:1/', network: { proxy: 'socks5://a:b@PEER' } }", &[SOCKS], &[])]
#[case::tls("tls", "tls: { address: 'PEER', skip_verify: true }", &[ALERT, HELLO], &["received fatal alert: HandshakeFailure"])]
#[case::tcp("tcp", "tcp: { address: 'PEER', exchange: [{ send: a }, { receive: contains x }] }", &[b"<-xx".as_slice(), b"+PONG\r\n"], &[])]
fn what_answers_a_question(
    #[case] name: &str,
    #[case] step: &str,
    #[case] sound: &[&[u8]],
    #[case] wrong: &[&str],
) {
    fuzz(name, step, sound, nothing, wrong);
}

#[rstest]
#[case::smtp("smtp", b"220 a\r\n<-250-a\r\n250 STARTTLS\r\n<-220 go\r\n".as_slice())]
#[case::imap("imap", b"* OK hi\r\n<-* CAPABILITY\r\na1 OK go\r\n")]
#[case::pop3("pop3", b"+OK hi\r\n<-+OK go\r\n")]
#[case::postgres("postgres", b"<-S")]
#[case::ldap("ldap", b"<-\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\0\x04\0\x04\0")]
fn what_is_said_before_tls(#[case] protocol: &str, #[case] sound: &[u8]) {
    let step = format!("tls: {{ address: 'PEER', starttls: {protocol} }}");
    let sound = [sound, ALERT].concat();
    let wrong = ["received fatal alert: HandshakeFailure"];
    fuzz(&format!("starttls-{protocol}"), &step, &[&sound], nothing, &wrong);
}

#[test]
fn frames_of_a_websocket() {
    let step = "websocket: { url: 'ws://PEER/', exchange: [{ receive: { json: { $.ok: true } } }, \
                { receive: { count: 1 } }, { closed: 1000 }] }";
    fuzz("websocket", step, &[UPGRADE], key, &[]);
}

#[test]
fn frames_of_http2() {
    let page = http2("text/plain", b"hello", b"");
    fuzz(
        "http2",
        "http: { get: 'http://PEER/', version: HTTP/2 }, expect: { body: hello }",
        &[&page],
        nothing,
        &[],
    );
}

#[test]
fn frames_of_grpc() {
    let status = b"\x00\x0bgrpc-status\x010";
    let well = http2("application/grpc", b"\0\0\0\0\x02\x08\x01", status);
    let alone =
        [frame(4, 0, 0, &[]), frame(1, 5, 1, &[b"\x88", b"\x00\x0bgrpc-status\x015".as_slice()].concat())];
    fuzz("grpc", "grpc: { address: 'PEER' }", &[&well, &alone.concat()], nothing, &[]);
}

#[test]
fn messages_of_a_name_server() {
    let length = u8::try_from(NAME.len()).unwrap();
    let message = [b"<-\0".as_slice(), &[length], NAME].concat();
    let step = "dns: { name: shop.test, server: 'tcp://PEER' }, expect: { answers: 192.0.2.1 }";
    fuzz("dns-tcp", step, &[&message], number, &[]);
}

#[test]
fn datagrams_of_a_name_server() {
    let (runtime, bytes) = (runtime(), Script::default());
    let port = runtime.block_on(udp(Arc::clone(&bytes)));
    let step =
        format!("dns: {{ name: shop.test, server: 'udp://127.0.0.1:{port}' }}, expect: {{ ttl: over 1 }}");
    let asked = Asked::new("dns-udp", &step);
    proptest!(cases(24, 64), |(said in mutated(vec![NAME.to_vec()]))| {
        *bytes.lock().unwrap() = said;
        runtime.block_on(asked.ask())?;
    });
}

#[test]
fn logs() {
    let runtime = runtime();
    let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("fuzz-app.log");
    let step = format!(
        "logs: {{ file: '{}', whole: true, limit: 200B }}, expect: {{ fields: {{ msg: exists, $.a.b: not exists }}, \
         levels: {{ ERROR: 0 }}, find: {{ msg: a }} }}",
        log.display()
    );
    let asked = Asked::new("logs", &step);
    let sound =
        b"{\"level\":\"INFO\",\"msg\":\"a\",\"a\":{\"b\":[1,{}]}}\n{\"severity\":30,\"msg\":null}\n".to_vec();
    proptest!(cases(100, 4), |(said in mutated(vec![sound.clone()]))| {
        std::fs::write(&log, said).unwrap();
        runtime.block_on(asked.ask())?;
    });
    std::fs::remove_file(&log).unwrap();
}
