use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use insta::assert_snapshot;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

#[rstest]
#[case::the_right_user("POST /login", "", r#"{"user":"demo","password":"rehearsal"}"#, 200)]
#[case::a_wrong_password("POST /login", "", r#"{"user":"demo","password":"x"}"#, 401)]
#[case::no_json("POST /login", "", "user=demo", 401)]
#[case::the_right_token("GET /items", "Authorization: Bearer demo-token\r\n", "", 200)]
#[case::the_scheme_in_any_case("GET /items?page=2", "Authorization: bearer demo-token\r\n", "", 200)]
#[case::a_wrong_token("GET /items", "Authorization: Bearer x\r\n", "", 401)]
#[case::no_token("GET /items", "", "", 401)]
#[case::a_wrong_method("PUT /items", "", "", 405)]
#[case::an_own_path_by_a_wrong_method("POST /health", "", "", 405)]
#[case::an_unknown_path("GET /item", "", "", 404)]
#[tokio::test]
async fn the_shop_answers(
    #[case] what: &str,
    #[case] headers: &str,
    #[case] body: &str,
    #[case] status: u16,
) {
    let shop = play(SHOP).await;
    assert_eq!(ask(&shop, what, headers, body).await.status, status);
}

#[tokio::test]
async fn a_login_brings_a_token() {
    let shop = play(SHOP).await;
    let answer = ask(&shop, "POST /login", "", r#"{"user":"demo","password":"rehearsal","more":1}"#).await;
    assert_eq!(answer.json(), json!({ "token": "demo-token", "expires_in": 3600 }));
}

#[tokio::test]
async fn who_asks_for_an_unknown_path_is_told_the_known_ones() {
    let shop = play(SHOP).await;
    let answer = get(&shop, "/").await;
    assert_snapshot!(serde_json::to_string_pretty(&answer.json()).unwrap(), @r#"
{
  "error": "no such path",
  "known": [
    "POST /login",
    "GET /items",
    "WebSocket /prices",
    "GET /health",
    "GET /ready",
    "GET /metrics",
    "GET /version"
  ]
}
"#);
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let shop = play("stand-in: a\nroutes: [{ get: /a }, { put: /a }]").await;
    let answer = ask(&shop, "POST /a", "", "").await;
    assert!(answer.head.contains("allow: get, put\r\n"), "{}", answer.head);
}

#[rstest]
#[case::healthy("{}", 200, json!({ "status": "healthy", "checks": {} }))]
#[case::degraded(
    "{ checks: { cache: { status: warning, latency: 2ms, message: slow }, db: ok } }",
    200,
    json!({ "status": "degraded", "checks": {
        "cache": { "status": "warning", "latency_ms": 2, "message": "slow" },
        "db": { "status": "ok", "latency_ms": 1 },
    } }),
)]
#[case::down("{ status: down }", 503, json!({ "status": "down", "checks": {} }))]
#[tokio::test]
async fn health_is_told(#[case] health: &str, #[case] status: u16, #[case] expected: Value) {
    let stand_in = play(&format!("stand-in: a\nversion: 1.10\nhealth: {health}")).await;
    let answer = get(&stand_in, "/health").await;
    let mut body = answer.json();
    let timestamp = body["timestamp"].take();
    assert!(timestamp.as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{timestamp}");
    let mut expected = expected;
    expected["version"] = "1.10".into();
    expected["timestamp"] = Value::Null;
    assert_eq!((answer.status, body), (status, expected));
}

#[rstest]
#[case::ready("{}", "/ready", 200, json!({ "ready": true }))]
#[case::not_ready("{ ready: false }", "/ready", 503, json!({ "ready": false }))]
#[case::with_services(
    "{ path: /health/ready, services: { database: connected } }",
    "/health/ready",
    200,
    json!({ "status": "ready", "services": { "database": "connected" } }),
)]
#[tokio::test]
async fn readiness_is_told(
    #[case] ready: &str,
    #[case] path: &str,
    #[case] status: u16,
    #[case] expected: Value,
) {
    let stand_in = play(&format!("stand-in: a\nready: {ready}")).await;
    let answer = get(&stand_in, path).await;
    assert_eq!((answer.status, answer.json()), (status, expected));
}

#[tokio::test]
async fn the_version_is_told() {
    assert_eq!(get(&play(SHOP).await, "/version").await.json(), json!({ "version": "1.4.2" }));
}

#[tokio::test]
async fn a_route_takes_the_place_of_an_own_path() {
    let stand_in = play("stand-in: a\nroutes: [{ get: /health, text: fine }]").await;
    assert_eq!(get(&stand_in, "/health").await.body, "fine");
}

#[tokio::test]
async fn holes_are_filled_each_time() {
    let text = r#"
stand-in: a
version: 7
routes: [{ get: /live, json: { n: "${sequence}", up: "${uptime}", v: "v${version}" } }]
"#;
    let stand_in = play(text).await;
    let first = get(&stand_in, "/live").await.json();
    let second = get(&stand_in, "/live").await.json();
    assert_eq!((&first["n"], &second["n"], &first["v"]), (&json!(1), &json!(2), &json!("v7")));
    assert!(first["up"].is_u64(), "{first}");
}

#[tokio::test]
async fn status_headers_and_text_are_as_declared() {
    let text = "stand-in: a\nroutes: [{ get: /a, status: 203, headers: { X-A: b, Content-Type: text/html }, text: <p> }]";
    let answer = get(&play(text).await, "/a").await;
    assert_eq!((answer.status, answer.body.as_str()), (203, "<p>"));
    assert!(answer.head.contains("x-a: b") && answer.head.contains("content-type: text/html\r\n"));
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let stand_in = play("stand-in: a\nroutes: [{ get: /a, text: hello }]").await;
    let answer = ask(&stand_in, "HEAD /a", "", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert!(answer.head.contains("content-length: 5"), "{}", answer.head);
}

#[tokio::test]
async fn a_path_as_it_stands_goes_before_an_open_one() {
    let text = "stand-in: a\nroutes: [{ get: '/items/{id}', text: one }, { get: /items/all, text: all }]";
    let stand_in = play(text).await;
    assert_eq!(get(&stand_in, "/items/all").await.body, "all");
    assert_eq!(get(&stand_in, "/items/7").await.body, "one");
}

#[rstest]
#[case::announced("Content-Length: 2000000\r\n\r\n", 0)]
#[case::in_one_chunk("Transfer-Encoding: chunked\r\n\r\n100001\r\n", 0x10_0001)]
#[tokio::test]
async fn a_body_has_an_end(#[case] head: &str, #[case] sent: usize) {
    let stand_in = play("stand-in: a\nroutes: [{ post: /a }]").await;
    let (mut from, mut to) = TcpStream::connect(stand_in.address()).await.unwrap().into_split();
    to.write_all(format!("POST /a HTTP/1.1\r\nHost: x\r\n{head}").as_bytes()).await.unwrap();
    let send = async {
        // The stand-in does not read to the end, and may close before all is sent.
        let _ = to.write_all(&vec![b'x'; sent]).await;
    };
    let mut status = [0; 12];
    let (read, ()) =
        timeout(DEADLINE, async { tokio::join!(from.read_exact(&mut status), send) }).await.unwrap();
    read.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
}

#[tokio::test]
async fn an_answer_comes_no_sooner_than_its_latency() {
    let stand_in = play("stand-in: a\nroutes: [{ get: /a, latency: 60ms }]").await;
    let began = Instant::now();
    get(&stand_in, "/a").await;
    assert!(began.elapsed() >= Duration::from_millis(60), "{:?}", began.elapsed());
}

const SHAKY: &str = "stand-in: a\nroutes: [{ get: /a, errors: { share: 5%, status: 502 } }]";

/// The statuses of many requests over one connection.
async fn statuses(stand_in: &StandIn, count: usize) -> Vec<u16> {
    let stream = TcpStream::connect(stand_in.address()).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut statuses = Vec::new();
    for _ in 0..count {
        let request = ::http::Request::get("/a").header("host", "x").body(Empty::<Bytes>::new()).unwrap();
        sender.ready().await.unwrap();
        let reply = timeout(DEADLINE, sender.send_request(request)).await.unwrap().unwrap();
        statuses.push(reply.status().as_u16());
        reply.into_body().collect().await.unwrap();
    }
    drop(sender);
    connection.await.unwrap().unwrap();
    statuses
}

#[tokio::test]
async fn the_declared_share_of_requests_fails() {
    let count = 2000;
    let statuses = statuses(&play(SHAKY).await, count).await;
    let failed = statuses.iter().filter(|status| **status == 502).count();
    // 100 are expected; the standard deviation is 9.7, and these bounds are four of them away.
    assert!((61..=139).contains(&failed), "{failed} of {count} failed");
    assert_eq!(failed + statuses.iter().filter(|status| **status == 200).count(), count);
}

#[tokio::test]
async fn the_same_seed_fails_the_same_requests() {
    let (one, two, other) =
        (play_seeded(SHAKY, 7).await, play_seeded(SHAKY, 7).await, play_seeded(SHAKY, 8).await);
    let first = statuses(&one, 300).await;
    assert_eq!(first, statuses(&two, 300).await);
    assert_ne!(first, statuses(&other, 300).await);
}

#[tokio::test]
async fn stopping_closes_the_port() {
    let stand_in = play(SHOP).await;
    let address = stand_in.address();
    let idle = TcpStream::connect(address).await.unwrap();
    timeout(DEADLINE, stand_in.stop()).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
    drop(idle);
}

#[tokio::test]
async fn dropping_closes_the_port_and_every_connection() {
    let stand_in = play(SHOP).await;
    let address = stand_in.address();
    let mut idle = TcpStream::connect(address).await.unwrap();
    get(&stand_in, "/version").await;
    drop(stand_in);
    let mut nothing = Vec::new();
    timeout(DEADLINE, idle.read_to_end(&mut nothing)).await.unwrap().ok();
    let closed = async { while TcpStream::connect(address).await.is_ok() {} };
    timeout(DEADLINE, closed).await.unwrap();
}

#[tokio::test]
async fn stopping_lets_a_request_under_way_end() {
    let text = r"
stand-in: a
routes: [{ get: /a, latency: 300ms, text: done }]
metrics: { families: { busy: { type: gauge, follows: requests in flight } } }
";
    let stand_in = play(text).await;
    let mut stream = TcpStream::connect(stand_in.address()).await.unwrap();
    stream.write_all(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    until_exposed(&stand_in, "busy", 1.0).await;
    stand_in.stop().await;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    assert!(reply.ends_with("done"), "{reply}");
}

#[tokio::test]
async fn an_address_in_use_is_an_error() {
    let stand_in = play(SHOP).await;
    assert!(start(&profile(SHOP), stand_in.address(), 1, Box::new(std::io::sink())).await.is_err());
}
