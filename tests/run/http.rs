//! Requests in all their parts, against targets that note what came.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use firedrill::event::{Event, Evidence, Outcome};
use firedrill::sample::Reason;
use regex::Regex;
use rstest::rstest;

use crate::peer::{Heard, answer, closed_port, hear, http, json};
use crate::support::{Drill, Ended};

/// Requests in the order they came.
pub(crate) type Noted = Arc<Mutex<Vec<Heard>>>;

/// A target that notes what is asked.
pub(crate) fn noting(reply: impl Fn(&Heard) -> Vec<u8> + Send + Sync + 'static) -> (SocketAddr, Noted) {
    let noted = Noted::default();
    let book = Arc::clone(&noted);
    let target = http(move |heard| {
        book.lock().unwrap().push(heard.clone());
        reply(heard)
    });
    (target, noted)
}

pub(crate) fn scenario(steps: &str) -> Drill {
    Drill::run(format!("scenario: http\nsteps:\n{steps}\n"))
}

/// What was seen by each attempt, in order.
pub(crate) fn evidence(ended: &Ended) -> Vec<&Evidence> {
    let seen = ended.events.iter().filter_map(|event| {
        let Event::Attempted { evidence, .. } = event else { return None };
        Some(&**evidence)
    });
    seen.collect()
}

/// What was wrong with the only attempt of a step.
pub(crate) fn titles(ended: &Ended, step: &str) -> Vec<String> {
    ended.attempts(step)[0].iter().map(|failure| failure.drawing.title.clone()).collect()
}

#[test]
fn a_file_is_sent_as_it_is() {
    let (target, noted) = noting(|_| json("{}"));
    let steps = format!(
        "  - http: {{ put: 'http://{target}/a', file: data/raw.txt }}\n  - http: {{ put: 'http://{target}/b', file: data/raw.txt, headers: {{ content-type: text/csv }} }}"
    );
    let drill = scenario(&steps);
    std::fs::create_dir(drill.folder.path("data")).unwrap();
    drill.file("data/raw.txt", "a ${b}\r\nc\u{1}").go().exits(0);
    let noted = noted.lock().unwrap();
    assert_eq!(noted[0].body, "a ${b}\r\nc\u{1}");
    let kinds: Vec<_> = noted.iter().map(|heard| heard.header("content-type")).collect();
    assert_eq!(kinds, ["application/octet-stream", "text/csv"]);
}

#[test]
fn texts_and_files_are_one_form() {
    let (target, noted) = noting(|_| json("{}"));
    let steps = format!(
        "  - http:\n      post: 'http://{target}/'\n      multipart:\n        - {{ name: note, text: \"of ${{env.WHO}}\" }}\n        - {{ name: page, file: page.html, type: text/html }}\n        - {{ name: page, file: page.html, filename: second }}"
    );
    scenario(&steps).file("page.html", "<p>\n").environment("WHO", "ada").go().exits(0);
    let noted = noted.lock().unwrap();
    let kind = Regex::new("^multipart/form-data; boundary=(firedrill-[0-9a-f]{32})$").unwrap();
    let boundary = &kind.captures(noted[0].header("content-type")).unwrap()[1];
    let body = "--B\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nof ada\r\n\
         --B\r\nContent-Disposition: form-data; name=\"page\"; filename=\"page.html\"\r\nContent-Type: text/html\r\n\r\n<p>\n\r\n\
         --B\r\nContent-Disposition: form-data; name=\"page\"; filename=\"second\"\r\nContent-Type: application/octet-stream\r\n\r\n<p>\n\r\n\
         --B--\r\n";
    assert_eq!(noted[0].body.replace(boundary, "B"), body);
}

/// A target whose `/` leads to `location`, and which otherwise answers.
fn leading(location: String) -> (SocketAddr, Noted) {
    noting(move |heard| match heard.line.as_str() {
        "GET /" => answer(302, &format!("location: {location}\r\nset-cookie: jar=1\r\n"), ""),
        _ => json("{}"),
    })
}

#[test]
fn credentials_stay_with_the_host_they_are_for() {
    let (other, elsewhere) = noting(|_| json("{}"));
    // The same machine by another name is another host.
    let (target, at_home) = leading(format!("http://localhost:{}/there", other.port()));
    let steps = format!(
        "  - http: {{ get: 'http://{target}/', redirects: 1, bearer: token, headers: {{ Cookie: 'own=1', X-Team: shop }} }}"
    );
    scenario(&steps).go().exits(0);
    let first = &at_home.lock().unwrap()[0];
    let sent = ["authorization", "cookie", "x-team"].map(|name| first.header(name).to_owned());
    assert_eq!(sent, ["Bearer token", "own=1", "shop"]);
    let second = &elsewhere.lock().unwrap()[0];
    let sent = ["authorization", "cookie", "x-team"].map(|name| second.header(name).to_owned());
    assert_eq!(sent, ["", "", "shop"]);
}

#[test]
fn credentials_go_along_where_the_host_stays() {
    let (target, noted) = leading("/there".to_owned());
    let steps = format!(
        "  - http: {{ get: 'http://{target}/', redirects: 1, same_host: true, bearer: token, headers: {{ Cookie: 'own=1' }} }}"
    );
    scenario(&steps).go().exits(0);
    let second = &noted.lock().unwrap()[1];
    let sent = ["authorization", "cookie"].map(|name| second.header(name).to_owned());
    assert_eq!(sent, ["Bearer token", "own=1; jar=1"]);
}

#[test]
fn a_redirect_to_another_host_can_be_a_failure() {
    let (other, elsewhere) = noting(|_| json("{}"));
    let (target, _) = leading(format!("http://localhost:{}/there", other.port()));
    let steps =
        format!("  - name: stays\n    http: {{ get: 'http://{target}/', redirects: 5, same_host: true }}");
    let ended = scenario(&steps).go();
    ended.exits(1);
    assert_eq!(ended.reasons("stays"), [Reason::Policy]);
    assert_eq!(titles(&ended, "stays"), ["the redirect leads from `127.0.0.1` to another host, `localhost`"]);
    assert!(elsewhere.lock().unwrap().is_empty());
}

/// A giver of tokens, each of which lasts so many seconds.
fn giver(lasts: u32) -> (SocketAddr, Noted) {
    noting(move |heard| {
        let token = format!("t0ken-{}", heard.number);
        json(&format!(
            "{{\"access_token\": \"{token}\", \"token_type\": \"bearer\", \"expires_in\": {lasts}}}"
        ))
    })
}

fn oauth2(giver: SocketAddr, more: &str) -> String {
    format!(
        "oauth2: {{ token_url: 'http://{giver}/token', client_id: 'my id', client_secret: '${{secret.KEY}}'{more} }}"
    )
}

#[test]
fn a_token_is_asked_for_once_and_kept() {
    let (giver, asked) = giver(3600);
    let (target, noted) =
        noting(|heard| json(&format!("{{\"said\": \"{}\"}}", heard.header("authorization"))));
    let auth = oauth2(giver, ", scopes: [read, write], parameters: { audience: shop }");
    let steps = format!(
        "  - {{ name: one, http: {{ get: 'http://{target}/1', {auth} }} }}\n  - {{ name: two, http: {{ get: 'http://{target}/2', {auth} }}, expect: {{ json: {{ $.said: never }} }} }}\n  - {{ name: many, load: {{ users: 2, for: 300ms, http: {{ get: 'http://{target}/3', {auth} }} }} }}"
    );
    let ended = scenario(&steps).environment("KEY", "s3cret/&word").go();
    ended.exits(1);
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].line, "POST /token");
    assert_eq!(asked[0].body, "grant_type=client_credentials&scope=read+write&audience=shop");
    let basic = BASE64_STANDARD.encode("my+id:s3cret%2F%26word");
    assert_eq!(asked[0].header("authorization"), format!("Basic {basic}"));
    let noted = noted.lock().unwrap();
    assert!(noted.len() > 4 && noted.iter().all(|heard| heard.header("authorization") == "Bearer t0ken-0"));
    for (name, bytes) in ended.outputs() {
        let text = String::from_utf8_lossy(bytes);
        for secret in ["t0ken-0", "s3cret/&word", "s3cret%2F%26word", basic.as_str()] {
            assert!(!text.contains(secret), "`{secret}` stands in {name}");
        }
    }
    assert!(ended.stdout().contains("Bearer ***"), "{}", ended.stdout());
}

#[test]
fn credentials_can_stand_in_the_form() {
    let (giver, asked) = giver(3600);
    let (target, _) = noting(|_| json("{}"));
    let auth = oauth2(giver, ", credentials: body");
    let steps = format!("  - http: {{ get: 'http://{target}/', {auth} }}");
    scenario(&steps).environment("KEY", "s3cret").go().exits(0);
    let asked = asked.lock().unwrap();
    assert_eq!(asked[0].body, "grant_type=client_credentials&client_id=my+id&client_secret=s3cret");
    assert_eq!(asked[0].header("authorization"), "");
}

#[test]
fn an_expired_token_is_asked_for_anew() {
    let (giver, asked) = giver(0);
    let (target, noted) = noting(|_| json("{}"));
    let auth = oauth2(giver, "");
    let step = format!("  - http: {{ get: 'http://{target}/NUMBER', {auth} }}\n");
    let steps = step.replace("NUMBER", "1") + &step.replace("NUMBER", "2");
    scenario(&steps).environment("KEY", "s3cret").go().exits(0);
    assert_eq!(asked.lock().unwrap().len(), 2);
    assert_eq!(noted.lock().unwrap()[1].header("authorization"), "Bearer t0ken-1");
}

#[test]
fn a_token_that_is_not_taken_is_not_kept() {
    let (giver, asked) = giver(3600);
    let (target, _) = noting(|heard| match heard.header("authorization") {
        "Bearer t0ken-1" => json("{}"),
        _ => answer(401, "", ""),
    });
    let auth = oauth2(giver, "");
    let steps = format!(
        "  - {{ name: twice, http: {{ get: 'http://{target}/', {auth} }}, retry: {{ attempts: 2, every: 10ms }} }}"
    );
    let ended = scenario(&steps).environment("KEY", "s3cret").go();
    ended.exits(0);
    assert_eq!(ended.outcome("twice"), (Outcome::Flaky, 2));
    assert_eq!(asked.lock().unwrap().len(), 2);
}

#[rstest]
#[case::refused(
    answer(401, "", r#"{"error": "invalid_client", "error_description": "who is s3cret?"}"#),
    Reason::Status,
    "answered 401 Unauthorized: invalid_client, who is ***?"
)]
#[case::no_json(answer(200, "", "<html>"), Reason::Json, "there is no `access_token` in the answer")]
#[case::another_kind(
    json(r#"{"access_token": "a-token", "token_type": "mac"}"#),
    Reason::Json,
    "the token is not a bearer's"
)]
#[case::no_header(
    json(r#"{"access_token": "a\nb"}"#),
    Reason::Json,
    "the token holds characters that no header may hold"
)]
#[case::endless(answer(200, "", vec![b'x'; 70_000]), Reason::Limit, "the body is over 64KiB")]
fn a_token_that_is_not_given_has_one_reason(
    #[case] said: Vec<u8>,
    #[case] reason: Reason,
    #[case] why: &str,
) {
    let (giver, _) = noting(move |_| said.clone());
    let (target, noted) = noting(|_| json("{}"));
    let auth = oauth2(giver, "");
    let steps = format!("  - {{ name: ask, http: {{ get: 'http://{target}/', {auth} }} }}");
    let ended = scenario(&steps).environment("KEY", "s3cret").go();
    ended.exits(1);
    assert_eq!(ended.reasons("ask"), [reason]);
    assert_eq!(titles(&ended, "ask"), [format!("no token from `http://{giver}/token`: {why}")]);
    assert!(noted.lock().unwrap().is_empty());
}

/// A step of each kind that asks over HTTP, as it proves who asks.
fn of_kind(kind: &str, target: SocketAddr, auth: &str) -> String {
    match kind {
        "health" | "ready" => format!("{kind}: {{ url: 'http://{target}/', {auth} }}"),
        "metrics" => format!("metrics: {{ url: 'http://{target}/', {auth}, families: {{ up: {{}} }} }}"),
        "promql" => format!("promql: {{ url: 'http://{target}', query: up, {auth} }}"),
        _ => format!("websocket: {{ url: 'ws://{target}/', {auth} }}"),
    }
}

/// What such a step is content with; an upgrade is refused, after it was asked for.
fn contenting(kind: &'static str) -> Vec<u8> {
    match kind {
        "health" | "ready" => json(r#"{"status": "ok"}"#),
        "metrics" => answer(200, "", "up 1\n"),
        "promql" => json(
            r#"{"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "1"]}]}}"#,
        ),
        _ => answer(404, "", ""),
    }
}

#[rstest]
fn a_token_is_for_every_kind_that_asks_over_http(
    #[values("health", "ready", "metrics", "promql", "websocket")] kind: &'static str,
) {
    let (giver, asked) = giver(3600);
    let (target, noted) = noting(move |_| contenting(kind));
    let step = of_kind(kind, target, &oauth2(giver, ""));
    let ended = scenario(&format!("  - {{ name: one, {step} }}\n  - {{ name: two, {step} }}"))
        .environment("KEY", "s3cret")
        .go();
    ended.exits(i32::from(kind == "websocket"));
    assert_eq!(asked.lock().unwrap().len(), 1);
    let noted = noted.lock().unwrap();
    let tokens: Vec<_> = noted.iter().map(|heard| heard.header("authorization")).collect();
    assert_eq!(tokens, ["Bearer t0ken-0"; 2]);
}

#[test]
fn a_token_that_an_upgrade_does_not_take_is_not_kept() {
    let (giver, asked) = giver(3600);
    let (target, _) = noting(|_| answer(401, "", ""));
    let step = of_kind("websocket", target, &oauth2(giver, ""));
    scenario(&format!("  - {{ name: one, {step} }}\n  - {{ name: two, {step} }}"))
        .environment("KEY", "s3cret")
        .go()
        .exits(1);
    assert_eq!(asked.lock().unwrap().len(), 2);
}

#[rstest]
fn a_digest_is_for_every_kind_that_asks_over_http(
    #[values("health", "ready", "metrics", "promql")] kind: &'static str,
) {
    let (target, noted) = noting(move |heard| match heard.header("authorization") {
        "" => answer(401, "www-authenticate: Digest realm=\"shop\", nonce=\"n\"\r\n", ""),
        _ => contenting(kind),
    });
    let step = of_kind(kind, target, "digest: { user: ada, password: word }");
    scenario(&format!("  - {step}")).go().exits(0);
    assert!(noted.lock().unwrap()[1].header("authorization").starts_with("Digest username=\"ada\""));
}

#[rstest]
fn a_user_and_a_password_are_for_every_kind_that_asks_over_http(
    #[values("health", "ready", "metrics", "promql", "websocket")] kind: &'static str,
) {
    let (target, noted) = noting(move |_| contenting(kind));
    let step = of_kind(kind, target, "basic: { user: ada, password: word }");
    scenario(&format!("  - {step}")).go().exits(i32::from(kind == "websocket"));
    assert_eq!(noted.lock().unwrap()[0].header("authorization"), "Basic YWRhOndvcmQ=");
}

#[rstest]
#[case::digest("digest: { user: ada, password: word }", "unknown key `digest`")]
#[case::two("bearer: t, basic: { user: ada, password: word }", "`bearer` and `basic` exclude each other")]
#[case::another(
    "headers: { authorization: x }, oauth2: { token_url: 'http://a.test/', client_id: a, client_secret: b }",
    "`Authorization` is what `digest` or `oauth2` sends"
)]
fn what_an_upgrade_cannot_prove_itself_with_is_a_finding(#[case] auth: &str, #[case] title: &str) {
    let ended = scenario(&format!("  - websocket: {{ url: 'ws://127.0.0.1:9/', {auth} }}")).go();
    ended.exits(2);
    assert!(ended.stderr().contains(title), "{}", ended.stderr());
}

#[test]
fn a_token_comes_by_the_same_policy() {
    let (target, noted) = noting(|_| json("{}"));
    let giver = closed_port();
    let auth = oauth2(giver, "").replace("http://127.0.0.1", "http://127.0.0.2");
    let steps = format!("  - {{ name: ask, http: {{ get: 'http://{target}/', {auth} }} }}");
    let drill = scenario(&steps).environment("KEY", "s3cret").argument("--deny-net").argument("127.0.0.2");
    let ended = drill.go();
    ended.exits(1);
    assert_eq!(ended.reasons("ask"), [Reason::Policy]);
    assert!(noted.lock().unwrap().is_empty());
}

#[rstest]
#[case::md5("algorithm=MD5, ")]
#[case::sha256("algorithm=SHA-256, ")]
#[case::unsaid("")]
fn a_digest_is_given_to_who_asks_for_it(#[case] algorithm: &'static str) {
    let (target, noted) = noting(move |heard| match heard.header("authorization") {
        "" => {
            let asked =
                format!("www-authenticate: Digest realm=\"shop\", {algorithm}nonce=\"n\", qop=\"auth\"\r\n");
            answer(401, &asked, "")
        }
        _ => json("{}"),
    });
    let steps = format!(
        "  - http: {{ post: 'http://{target}/a?b=c', body: twice, digest: {{ user: ada, password: '${{secret.KEY}}' }} }}"
    );
    let ended = scenario(&steps).environment("KEY", "s3cret").go();
    ended.exits(0);
    let noted = noted.lock().unwrap();
    assert_eq!(noted.iter().map(|heard| heard.body.as_str()).collect::<Vec<_>>(), ["twice", "twice"]);
    let proof = Regex::new(
        "^Digest username=\"ada\", realm=\"shop\", nonce=\"n\", uri=\"/a\\?b=c\", response=\"([0-9a-f]{32}|[0-9a-f]{64})\"",
    );
    assert!(
        proof.unwrap().is_match(noted[1].header("authorization")),
        "{}",
        noted[1].header("authorization")
    );
    let hops: Vec<_> = evidence(&ended)[0].hops.iter().filter_map(|hop| hop.status).collect();
    assert_eq!(hops, [401, 200]);
}

#[test]
fn a_digest_is_not_given_to_another_host() {
    let (other, elsewhere) = noting(|_| answer(401, "www-authenticate: Digest realm=x, nonce=y\r\n", ""));
    let (target, _) = leading(format!("http://localhost:{}/", other.port()));
    let steps = format!(
        "  - {{ name: ask, http: {{ get: 'http://{target}/', redirects: 1, digest: {{ user: ada, password: word }} }} }}"
    );
    let ended = scenario(&steps).go();
    ended.exits(1);
    assert_eq!(ended.reasons("ask"), [Reason::Status]);
    assert_eq!(elsewhere.lock().unwrap().len(), 1);
}

#[test]
fn a_body_is_held_against_a_schema() {
    let (target, _) = noting(|heard| match heard.line.as_str() {
        "GET /text" => answer(200, "", "<p>"),
        _ => json(r#"{"items": [{"id": 1}, {"id": "two"}]}"#),
    });
    let schema =
        r#"{ "properties": { "items": { "items": { "properties": { "id": { "type": "TYPE" } } } } } }"#;
    let steps = format!(
        "  - name: fits\n    http: {{ get: 'http://{target}/' }}\n    expect: {{ schema: any.json }}\n  \
           - name: another\n    http: {{ get: 'http://{target}/' }}\n    expect: {{ schema: schemas/item.json }}\n  \
           - name: text\n    http: {{ get: 'http://{target}/text' }}\n    expect: {{ schema: any.json }}"
    );
    let drill = scenario(&steps).file("any.json", "true");
    std::fs::create_dir(drill.folder.path("schemas")).unwrap();
    let ended = drill.file("schemas/item.json", schema.replace("TYPE", "integer")).go();
    ended.exits(1);
    assert_eq!(ended.reasons("fits"), []);
    assert_eq!(ended.reasons("another"), [Reason::Json]);
    assert_eq!(
        titles(&ended, "another"),
        ["the body does not match `schemas/item.json`: at `/items/1/id`: \"two\" is not of type \"integer\""]
    );
    assert_eq!(
        titles(&ended, "text"),
        ["the body does not match `any.json`: it is not JSON: expected value at line 1 column 1"]
    );
}

/// A name server that knows one name's addresses, however the name is called.
fn name_server(addresses: &[[u8; 4]]) -> SocketAddr {
    let addresses = addresses.to_vec();
    turning_name_server(move |_| addresses.clone())
}

/// A name server whose answer may change with every question for addresses of four bytes.
fn turning_name_server(addresses: impl Fn(usize) -> Vec<[u8; 4]> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let (mut question, mut number) = ([0; 512], 0);
        while let Ok((length, peer)) = socket.recv_from(&mut question) {
            let answer = records(&question[..length], &addresses(number));
            // Without a record the question was for another type.
            number += usize::from(answer[7] > 0);
            socket.send_to(&answer, peer).ok();
        }
    });
    address
}

/// Addresses of four bytes where those are asked for, and none else.
fn records(question: &[u8], addresses: &[[u8; 4]]) -> Vec<u8> {
    let end = 12 + question[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
    let addresses = if question[end - 4..end] == [0, 1, 0, 1] { addresses } else { &[] };
    let count = u16::try_from(addresses.len()).unwrap().to_be_bytes();
    let head = [&question[..2], &[0x81, 0x80, 0, 1], &count, &[0, 0, 0, 0]].concat();
    let record = |address: &[u8; 4]| [&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4][..], address].concat();
    [head, question[12..end].to_vec(), addresses.iter().flat_map(record).collect()].concat()
}

/// Two targets at the same port of two addresses, each with what it answers; zero is nobody.
fn twins(statuses: [u16; 2]) -> u16 {
    let (first, second, port) = loop {
        let first = TcpListener::bind("127.0.0.2:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if let Ok(second) = TcpListener::bind(("127.0.0.3", port)) {
            break (first, second, port);
        }
    };
    for (listener, status) in [first, second].into_iter().zip(statuses).filter(|(_, status)| *status > 0) {
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                if hear(&mut stream).is_some() {
                    stream.write_all(&answer(status, "", "")).ok();
                }
            }
        });
    }
    port
}

fn at_each(which: &str, statuses: [u16; 2]) -> (Ended, u16) {
    let names = name_server(&[[127, 0, 0, 2], [127, 0, 0, 3]]);
    let port = twins(statuses);
    let steps = format!(
        "  - name: ask\n    http: {{ get: 'http://shop.test:{port}/', network: {{ resolver: 'udp://{names}', addresses: {which} }} }}"
    );
    (scenario(&steps).go(), port)
}

#[test]
fn every_address_has_a_result_of_its_own() {
    let (ended, port) = at_each("all", [200, 200]);
    ended.exits(0);
    let seen = evidence(&ended)[0];
    let told: Vec<_> = seen.addresses.iter().map(|one| (one.address.clone(), one.failures.len())).collect();
    assert_eq!(told, [(format!("127.0.0.2:{port}"), 0), (format!("127.0.0.3:{port}"), 0)]);
    assert_eq!(seen.hops.len(), 2);
    assert!(ended.stdout().contains("each of 2 addresses"), "{}", ended.stdout());
}

#[test]
fn one_address_that_fails_fails_the_step() {
    let (ended, port) = at_each("all", [200, 503]);
    ended.exits(1);
    assert_eq!(ended.reasons("ask"), [Reason::Status]);
    let title = "status is 503 Service Unavailable, not a success";
    assert_eq!(titles(&ended, "ask"), [format!("127.0.0.3:{port}: {title}")]);
    let seen = evidence(&ended)[0];
    let failures: Vec<_> = seen.addresses.iter().map(|one| one.failures.clone()).collect();
    assert_eq!(failures, [vec![], vec![title.to_owned()]]);
    let shown = Regex::new(&format!(
        "received:\n  127.0.0.2:{port}, [0-9.]+ [mµ]?s: passed\n  127.0.0.3:{port}, [0-9.]+ [mµ]?s: failed, {title}\n"
    ));
    assert!(shown.unwrap().is_match(&ended.stdout()), "{}", ended.stdout());
}

#[rstest]
#[case::all_of_them("all", 1, &[Reason::Refused])]
#[case::the_first("first", 1, &[Reason::Refused])]
#[case::any_that_connects("any", 0, &[])]
fn an_address_that_refuses_counts_as_was_said(
    #[case] which: &str,
    #[case] exit: i32,
    #[case] reasons: &[Reason],
) {
    let (ended, _) = at_each(which, [0, 200]);
    ended.exits(exit);
    assert_eq!(ended.reasons("ask"), reasons);
}

#[test]
fn a_name_with_too_many_addresses_is_not_asked() {
    let names = name_server(&(2..19).map(|last| [127, 0, 0, last]).collect::<Vec<_>>());
    let steps = format!(
        "  - name: ask\n    http: {{ get: 'http://shop.test:9/', network: {{ resolver: 'udp://{names}', addresses: all }} }}"
    );
    let ended = scenario(&steps).go();
    ended.exits(1);
    assert_eq!(titles(&ended, "ask"), ["`shop.test` has 17 addresses; 16 are asked at most"]);
}

#[test]
fn a_name_that_turns_to_a_closed_address_is_not_followed_there() {
    let names = turning_name_server(|number| vec![[127, 0, 0, if number == 0 { 2 } else { 3 }]]);
    let (port, asked) = (twins([503, 200]), "retry: { attempts: 2, every: 10ms }");
    let steps = format!(
        "  - name: ask\n    http: {{ get: 'http://shop.test:{port}/', network: {{ resolver: 'udp://{names}' }} }}\n    {asked}"
    );
    let ended = scenario(&steps).argument("--deny-net").argument("127.0.0.3").go();
    ended.exits(1);
    let reasons: Vec<_> = ended.attempts("ask").concat().iter().map(|failure| failure.reason).collect();
    assert_eq!(reasons, [Reason::Status, Reason::Policy]);
}
