//! Secrets reach the target, and no output whatever the target does with them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use rstest::rstest;
use tokio_tungstenite::tungstenite;

use crate::peer::{answer, http, json, serve};
use crate::support::{Drill, Ended};

/// Characters that every encoding treats in its own way.
const PASSWORD: &str = r#"pa ss"w/&rd=+%<?>"#;
const TOKEN: &str = r#"to'k/en+1&"==<x>"#;
/// The same of base64, whose two alphabets differ in what these become.
const KEY: &str = "??>>~~key~~??>>";

/// What of a secret may stand in an output, in any spelling.
fn spellings(secret: &str) -> Vec<String> {
    const QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');
    const PATH: &AsciiSet = &QUERY.add(b'?').add(b'`').add(b'{').add(b'}');
    let all = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    let json = serde_json::Value::from(secret).to_string();
    let json = json.trim_matches('"').to_owned();
    vec![
        secret.to_owned(),
        secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;"),
        serde_json::Value::from(json.as_str()).to_string().trim_matches('"').to_owned(),
        json,
        lower_case(&all),
        all.replace("%20", "+"),
        all,
        url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        utf8_percent_encode(secret, QUERY).to_string(),
        utf8_percent_encode(secret, PATH).to_string(),
        STANDARD.encode(secret),
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
    ]
}

/// The digits of what is percent-encoded in lower case.
fn lower_case(encoded: &str) -> String {
    let mut pieces = encoded.split('%');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| {
        let (digits, rest) = piece.split_at(2);
        text + "%" + &digits.to_lowercase() + rest
    })
}

/// Fails where a spelling of the secret stands in what was written.
#[track_caller]
fn hidden(ended: &Ended, secret: &str) {
    for (name, bytes) in ended.outputs() {
        let text = String::from_utf8_lossy(bytes);
        for spelling in spellings(secret) {
            let at = text.find(&spelling);
            let near = at.map(|at| {
                let from =
                    (0..=at.saturating_sub(60)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                text[from..].chars().take(200).collect::<String>()
            });
            assert_eq!(near, None, "`{spelling}` stands in {name}");
        }
    }
}

/// Asks `target` for `path` with the secret, and expects what never comes so that everything is shown.
fn asking(target: std::net::SocketAddr, step: &str) -> Drill {
    Drill::run(format!(
        "scenario: secrets\nvars: {{ base: 'http://{target}', secret: \"${{secret.KEY}}\" }}\nsteps:\n  - name: ask\n{step}"
    ))
}

/// How a target may spell what it echoes.
fn encoded(how: &str, secret: &str) -> String {
    let percent = || utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    match how {
        "as it is" => secret.to_owned(),
        "percent" => percent(),
        "percent in lower case" => lower_case(&percent()),
        "form" => url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        "base64" => STANDARD.encode(secret),
        "base64 without padding" => STANDARD_NO_PAD.encode(secret),
        "base64 for addresses" => URL_SAFE_NO_PAD.encode(secret),
        "json" => serde_json::Value::from(secret).to_string().trim_matches('"').to_owned(),
        other => panic!("no spelling is called `{other}`"),
    }
}

#[rstest]
fn a_target_that_echoes_a_secret_does_not_show_it(
    #[values(
        "as it is",
        "percent",
        "percent in lower case",
        "form",
        "base64",
        "base64 without padding",
        "base64 for addresses",
        "json"
    )]
    how: &'static str,
) {
    for secret in [PASSWORD, TOKEN, KEY] {
        let target = http(move |heard| {
            let echo = encoded(how, heard.header("x-key"));
            let headers = format!("x-echo: {echo}\r\nset-cookie: key={echo}\r\n");
            answer(418, &headers, format!("{{\"{echo}\": [\"{echo}\"], \"line\": \"{}\"}}", heard.line))
        });
        let step = "    http: { get: '${base}/', headers: { x-key: '${secret.KEY}' } }\n    \
                    expect: { body: never, headers: { x-echo: never }, json: { $.line: never } }\n";
        let ended = asking(target, step).environment("KEY", secret).go();
        assert!(ended.exits(1).stdout().contains("***"), "{}", ended.stdout());
        hidden(&ended, secret);
    }
}

#[rstest]
#[case::path("http: { get: '${base}/at/${secret.KEY}/end' }")]
#[case::query("http: { get: '${base}/', query: { q: '${secret.KEY}' } }")]
#[case::query_in_the_address("http: { get: '${base}/?q=${secret.KEY}' }")]
#[case::form("http: { post: '${base}/', form: { q: '${secret.KEY}' } }")]
#[case::body("http: { post: '${base}/', body: 'q=${secret.KEY}' }")]
#[case::json("http: { post: '${base}/', json: { q: '${secret.KEY}' } }")]
#[case::bearer("http: { get: '${base}/', bearer: '${secret.KEY}' }")]
#[case::basic("http: { get: '${base}/', basic: { user: ada, password: '${secret.KEY}' } }")]
#[case::by_way_of_a_variable("http: { get: '${base}/', bearer: '${secret}' }")]
#[case::health("health: { url: '${base}/health?key=${secret.KEY}', bearer: '${secret.KEY}' }")]
#[case::metrics("metrics: { url: '${base}/metrics?key=${secret.KEY}', families: { up: {} } }")]
#[case::no_address("http: { get: '${secret.KEY}/' }")]
fn a_secret_is_hidden_wherever_it_is_sent(#[case] does: &str) {
    for secret in [PASSWORD, TOKEN, KEY] {
        let target = http(|heard| {
            let said = format!("{} {} {}", heard.line, heard.header("authorization"), heard.body);
            answer(418, &format!("x-echo: {}\r\n", said.trim()), said)
        });
        let ended = asking(target, &format!("    {does}\n")).environment("KEY", secret).go();
        hidden(ended.exits(1), secret);
        hidden(&ended, &format!("ada:{secret}"));
    }
}

#[test]
fn a_captured_secret_is_hidden_from_its_first_moment_on() {
    let body = serde_json::json!({ "password": PASSWORD }).to_string();
    let target = http(move |heard| match heard.line.as_str() {
        "POST /login" if heard.body == body => {
            json(&serde_json::json!({ "token": TOKEN, "pin": 84_756_301 }).to_string())
        }
        "GET /items" => answer(500, "", format!("you are {}", heard.header("authorization"))),
        _ => answer(401, "", ""),
    });
    let scenario = format!(
        r#"
scenario: log in
vars: {{ base: "http://{target}" }}
steps:
  - name: log in
    http: {{ post: "${{base}}/login", json: {{ password: "${{secret.DEMO_PASSWORD}}" }} }}
    expect: {{ status: 200, json: {{ $.token: never, $.pin: 1 }} }}
    capture: {{ token: {{ json: $.token, secret: true }}, pin: {{ json: $.pin, secret: true }} }}
  - name: again
    http: {{ post: "${{base}}/login", json: {{ password: "${{secret.DEMO_PASSWORD}}" }} }}
    capture: {{ token: {{ json: $.token, secret: true }}, pin: {{ json: $.pin, secret: true }} }}
  - name: browse
    http: {{ get: "${{base}}/items", bearer: "${{token}}", headers: {{ x-pin: "${{pin}}" }} }}
    expect: {{ status: 200, body: "for ${{token}}" }}
"#
    );
    let secrets = serde_json::json!({ "DEMO_PASSWORD": PASSWORD }).to_string();
    let ended = Drill::run(scenario).file("secrets.yaml", secrets).argument("--secrets=secrets.yaml").go();
    ended.exits(1);
    assert_eq!(ended.reasons("again"), []);
    assert_eq!(ended.reasons("browse").len(), 2, "{}", ended.stdout());
    for secret in [PASSWORD, TOKEN, "84756301"] {
        hidden(&ended, secret);
    }
}

#[test]
fn the_environment_goes_before_the_secrets_file() {
    let target = http(|heard| answer(200, "", heard.header("authorization")));
    let step = "    http: { get: '${base}/', bearer: '${secret.KEY}' }\n    expect: { size: 12 }\n";
    let drill = asking(target, step).file("secrets.yaml", "KEY: from the file\n");
    let ended = drill.argument("--secrets=secrets.yaml").environment("KEY", "world").go();
    ended.exits(0);
}

#[test]
fn a_mistake_in_a_secrets_file_shows_none_of_them() {
    let target = crate::peer::closed_port();
    let drill = asking(target, "    http: { get: '${base}/' }\n");
    let ended =
        drill.file("secrets.yaml", "KEY: [hunter2]\nKEY: hunter2\n").argument("--secrets=secrets.yaml").go();
    hidden(ended.exits(2), "hunter2");
}

#[test]
fn a_websocket_that_echoes_a_secret_does_not_show_it() {
    let target = serve(|stream, _| {
        let Ok(mut socket) = tungstenite::accept(stream) else { return };
        while let Ok(message) = socket.read() {
            if message.is_text() || message.is_binary() {
                socket.send(message).ok();
            }
        }
    });
    for secret in [PASSWORD, TOKEN, KEY] {
        let step = format!(
            r#"    websocket:
      url: "ws://{target}/?key=${{secret.KEY}}"
      bearer: "${{secret.KEY}}"
      exchange:
        - send: {{ json: {{ key: "${{secret.KEY}}" }} }}
        - receive: {{ json: {{ $.key: "${{secret.KEY}}" }} }}
        - send: {{ text: "key ${{secret.KEY}}" }}
        - receive: {{ text: never }}
"#
        );
        let ended = asking(target, &step).environment("KEY", secret).go();
        assert_eq!(ended.exits(1).reasons("ask"), [firedrill::sample::Reason::Body]);
        hidden(&ended, secret);
    }
}

#[test]
fn a_line_that_echoes_a_secret_does_not_show_it() {
    let target = serve(|mut stream, _| {
        let mut copy = stream.try_clone().unwrap();
        std::io::copy(&mut stream, &mut copy).ok();
    });
    for secret in [PASSWORD, TOKEN, KEY] {
        let step = format!(
            "    tcp: {{ address: '{target}', exchange: [{{ send: \"AUTH ${{secret.KEY}}\\r\\n\" }}, \
             {{ receive: starts with AUTH }}, {{ send: \"AUTH ${{secret.KEY}}\\r\\n\" }}, \
             {{ receive: starts with never, within: 200ms }}] }}\n"
        );
        let ended = asking(target, &step).environment("KEY", secret).go();
        hidden(ended.exits(1), secret);
    }
}

/// What is shown of a long answer is its beginning: a secret across the cut must not leave its own.
#[rstest]
fn a_secret_across_a_cut_leaves_no_beginning(#[values(2048, 200, 80, 60)] cut: usize) {
    const SECRET: &str = "correct-horse-battery-staple";
    for before in [cut - 20, cut - 10] {
        let target = http(move |heard| {
            let padded = format!("{}{}{}", "x".repeat(before), heard.header("x-key"), "y".repeat(300));
            answer(418, &format!("x-echo: {padded}\r\n"), padded)
        });
        let step = "    http: { get: '${base}/', headers: { x-key: '${secret.KEY}' } }\n    \
                    expect: { body: never, headers: { x-echo: never } }\n";
        let ended = asking(target, step).environment("KEY", SECRET).go();
        ended.exits(1);
        for (name, bytes) in ended.outputs() {
            let text = String::from_utf8_lossy(bytes);
            assert!(!text.contains("correct-"), "a beginning stands in {name}: {text}");
        }
    }
}
