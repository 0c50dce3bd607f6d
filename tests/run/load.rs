//! Loads: flows of steps with cookies, captures and data, and targets that do whatever a target can do.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Mutex};

use firedrill::event::{Event, Part, Specimen};
use rstest::rstest;

use crate::peer::{Heard, closed_port, drip, flood, hear, hold, serve};
use crate::support::{Drill, Ended};

/// Answers every request on connections that are kept.
fn keeping(reply: impl Fn(&Heard) -> (u16, String, String) + Send + Sync + 'static) -> SocketAddr {
    serve(move |mut stream, _| {
        while let Some(heard) = hear(&mut stream) {
            let (status, headers, body) = reply(&heard);
            let head = format!("HTTP/1.1 {status} Said\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
            if stream.write_all((head + &body).as_bytes()).is_err() {
                return;
            }
        }
    })
}

fn ok(body: &str) -> (u16, String, String) {
    (200, String::new(), body.to_owned())
}

/// That nothing was wrong but, at most, that this machine was too busy to make the load in time.
#[track_caller]
fn fine(ended: &Ended) -> &Ended {
    let late = ended.exit() == 3 && ended.stdout().contains("late with");
    assert!(late || ended.exit() == 0, "\n{}\n{}", ended.stdout(), ended.stderr());
    ended
}

/// The books of the parts, and the failures that were kept whole.
fn loaded<'e>(ended: &'e Ended, name: &str) -> (&'e [Part], &'e [Specimen]) {
    let loaded = ended.events.iter().find_map(|event| {
        let Event::Loaded { step, parts, samples, .. } = event else { return None };
        (step.name == name).then_some((parts.as_slice(), samples.as_slice()))
    });
    loaded.unwrap_or_else(|| panic!("`{name}` was no load that ended:\n{}", ended.stdout()))
}

fn counts(parts: &[Part]) -> Vec<(&str, u64, u64)> {
    parts.iter().map(|part| (part.name.as_str(), part.tally.ended, part.tally.good)).collect()
}

/// A shop that knows who is logged in by a cookie, and takes the token that it gave to that one.
fn shop() -> SocketAddr {
    keeping(|heard| {
        let user = heard.header("cookie").strip_prefix("user=").map(str::to_owned);
        match heard.line.as_str() {
            "POST /login" => {
                let body: serde_json::Value = serde_json::from_str(&heard.body).unwrap();
                if user.is_some() {
                    return (400, String::new(), "logged in already".to_owned());
                }
                let user = body["user"].as_str().unwrap().to_owned();
                (
                    200,
                    format!("set-cookie: user={user}\r\n"),
                    format!("{{\"token\": \"t-{user}\", \"n\": {}}}", body["n"]),
                )
            }
            line => {
                let (path, token) = line.split_once("?token=").unwrap_or((line, ""));
                match user {
                    Some(user) if token == format!("t-{user}") && path == "GET /cart" => {
                        ok(&format!("{{\"owner\": \"{user}\", \"items\": [1, 2]}}"))
                    }
                    _ => (403, String::new(), format!("{path} {token}")),
                }
            }
        }
    })
}

fn flow(target: SocketAddr, load: &str) -> String {
    format!(
        "scenario: shop\nvars: {{ base: 'http://{target}' }}\nsteps:\n  - name: shoppers\n    load:\n      {load}\n      \
         data: {{ file: users.csv }}\n      flow:\n        - name: log in\n          \
         http: {{ post: '${{base}}/login', json: {{ user: '${{data.user}}', n: 7 }} }}\n          \
         expect: {{ status: 200, json: {{ $.n: 7 }} }}\n          \
         capture: {{ token: {{ json: $.token, secret: true }} }}\n        \
         - name: look\n          http: {{ get: '${{base}}/cart?token=${{token}}' }}\n          \
         expect: {{ json: {{ $.owner: '${{data.user}}', '$.items[1]': 2 }} }}\n"
    )
}

#[rstest]
#[case::users("users: 3\n      for: 300ms")]
#[case::a_rate("rate: 100/s\n      for: 300ms")]
fn a_flow_has_the_cookies_captures_and_data_of_its_own_user(#[case] load: &str) {
    // A name with a space cannot be copied into an address, and is sent all the same.
    let users = "user\nada\nbob\ngrace-h\n";
    let ended = Drill::run(flow(shop(), load)).file("users.csv", users).start().end();
    let (tally, failures) = fine(&ended).load("shoppers");
    assert!(failures.is_empty(), "{failures:?}");
    assert!(tally.good >= 3 && tally.good == tally.ended, "{tally:?}");
    let (parts, samples) = loaded(&ended, "shoppers");
    assert_eq!(counts(parts), [("log in", tally.good, tally.good), ("look", tally.good, tally.good)]);
    assert!(samples.is_empty());
}

#[test]
fn a_flow_ends_with_the_step_that_fails_and_keeps_what_was_seen() {
    let target = keeping(|heard| match heard.line.as_str() {
        "POST /login" => ok("{\"token\": \"hush-hush\", \"n\": 7}"),
        line => (500, "x-why: tired\r\n".to_owned(), format!("no cart for {line}")),
    });
    let scenario = flow(target, "users: 1\n      for: 200ms");
    let after = "        - name: never\n          http: { get: '${base}/never' }\n";
    let ended = Drill::run(scenario + after).file("users.csv", "user\nada\n").start().end();
    ended.exits(1);
    let (parts, samples) = loaded(&ended, "shoppers");
    let (tally, _) = ended.load("shoppers");
    assert_eq!(
        counts(parts),
        [("log in", tally.ended, tally.ended), ("look", tally.ended, 0), ("never", 0, 0)]
    );
    let [sample] = samples else { panic!("{samples:?}") };
    assert_eq!(sample.part.as_deref(), Some("look"));
    assert_eq!(
        sample.wrong,
        [
            "status is 500 Internal Server Error, not a success",
            "the body is not JSON: expected ident at line 1 column 2"
        ]
    );
    assert_eq!(sample.evidence.hops[0].status, Some(500));
    assert!(sample.evidence.headers.contains(&("x-why".to_owned(), "tired".to_owned())));
    assert_eq!(sample.evidence.body.as_deref(), Some("no cart for GET /cart?token=***"));
    for (name, bytes) in ended.outputs() {
        assert!(!String::from_utf8_lossy(bytes).contains("hush-hush"), "{name}");
    }
}

#[test]
fn each_user_has_a_row_that_is_no_other_s() {
    let seen: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let told = Arc::clone(&seen);
    let target = keeping(move |heard| {
        *told.lock().unwrap().entry(heard.body.clone()).or_default() += 1;
        ok("")
    });
    let scenario = |rate: &str| {
        format!(
            "scenario: rows\nsteps:\n  - name: rows\n    load: {{ rate: {rate}, for: 1s, data: {{ file: rows.jsonl, take: one_per_user }}, \
             http: {{ post: 'http://{target}/', json: {{ id: '${{data.id}}', note: 'for ${{data.name}}' }} }} }}\n"
        )
    };
    let rows: Vec<_> = (0..40).map(|id| format!("{{\"id\": {id}, \"name\": \"n {id}\"}}")).collect();
    let rows = rows.join("\n");
    fine(&Drill::run(scenario("40/s")).file("rows.jsonl", &rows).start().end());
    let wanted: BTreeMap<_, _> =
        (0..40).map(|id| (format!("{{\"id\":{id},\"note\":\"for n {id}\"}}"), 1)).collect();
    assert_eq!(*seen.lock().unwrap(), wanted);
    let refused = Drill::run(scenario("41/s")).file("rows.jsonl", &rows).start().end();
    refused.exits(2);
    assert!(
        refused.stderr().contains("`rows.jsonl` has 40 rows, and 41 users each take one of their own"),
        "{}",
        refused.stderr()
    );
}

#[rstest]
#[case::unknown_column(
    "flow: [{ http: { get: 'http://127.0.0.1:9/${data.usr}' } }]",
    "`users.csv` has no column `usr`"
)]
#[case::before_its_capture(
    "flow: [{ http: { get: 'http://127.0.0.1:9/${token}' }, capture: { token: { json: $ } } }]",
    "`token` has no value here"
)]
#[case::patience(
    "flow: [{ http: { get: 'http://127.0.0.1:9/' }, retry: { attempts: 3 } }]",
    "a step of a flow is tried once"
)]
#[case::a_fault("flow: [{ fault: { kill: shop } }]", "a `fault` step cannot be part of a flow")]
#[case::a_program(
    "flow: [{ exec: { command: [ls] } }]",
    "a `exec` step is nothing that many users do at once"
)]
#[case::empty("flow: []", "the flow has no steps")]
#[case::two(
    "http: { get: 'http://127.0.0.1:9/' }, flow: [{ http: { get: 'http://127.0.0.1:9/' } }]",
    "a load asks by `http`, by a `flow`, by a `websocket` or by a `mix`"
)]
fn a_flow_that_cannot_be_is_a_finding(#[case] asks: &str, #[case] finding: &str) {
    let scenario = format!(
        "scenario: bad\nsteps:\n  - name: bad\n    load: {{ users: 1, for: 1s, data: {{ file: users.csv }}, {asks} }}\n"
    );
    let ended = Drill::run(scenario).file("users.csv", "user\nada\n").start().end();
    ended.exits(2);
    assert!(ended.stderr().contains(finding), "{}", ended.stderr());
}

#[test]
fn a_host_that_an_answer_names_is_not_loaded() {
    let target = keeping(|_| ok("{\"host\": \"127.0.0.1\"}"));
    let scenario = format!(
        "scenario: led\nsteps:\n  - name: led\n    load:\n      users: 1\n      for: 100ms\n      flow:\n        \
         - {{ name: ask, http: {{ get: 'http://{target}/' }}, capture: {{ host: {{ json: $.host }} }} }}\n        \
         - {{ name: follow, http: {{ get: 'http://${{host}}:9/' }} }}\n"
    );
    let ended = Drill::run(scenario).start().end();
    ended.exits(4);
    let why = "`follow`: which host it goes to differs from one attempt to the next, and nobody could have agreed to it";
    assert_eq!(ended.why("led"), Some(why));
}

#[test]
fn thresholds_speak_of_steps_and_of_tags() {
    let target =
        keeping(|heard| if heard.line == "GET /bad" { (500, String::new(), String::new()) } else { ok("") });
    let scenario = |of: &str| {
        format!(
            "scenario: tags\nsteps:\n  - name: tags\n    load:\n      users: 2\n      for: 300ms\n      mix:\n        \
             - {{ name: one, tags: [read], http: {{ get: 'http://{target}/' }} }}\n        \
             - {{ name: two, tags: [read, slow], flow: [{{ name: in, http: {{ get: 'http://{target}/' }} }}] }}\n        \
             - {{ name: three, http: {{ get: 'http://{target}/bad' }} }}\n      \
             thresholds: [{{ errors: at most 0%, of: {of} }}]\n"
        )
    };
    for of in ["read", "slow", "one", "two / in"] {
        Drill::run(scenario(of)).start().end().exits(0);
    }
    Drill::run(scenario("three")).start().end().exits(1);
    let ended = Drill::run(scenario("'three '")).start().end();
    ended.exits(2);
    assert!(ended.stderr().contains("nothing in the load is called `three `"), "{}", ended.stderr());
}

#[test]
fn a_share_of_answers_is_looked_at_and_every_status() {
    let target = keeping(|_| ok("{\"n\": 2}"));
    let load = |share: &str| {
        let scenario = format!(
            "scenario: share\nsteps:\n  - name: share\n    load: {{ rate: 400/s, for: 1s, examine: {share}, \
             http: {{ get: 'http://{target}/' }}, expect: {{ json: {{ $.n: 1 }} }} }}\n"
        );
        let ended = Drill::run(scenario).start().end();
        let (tally, _) = ended.load("share");
        assert_eq!(tally.ended, 400);
        tally.reasons.get("json").copied().unwrap_or_default()
    };
    assert_eq!(load("100%"), 400);
    assert_eq!(load("0%"), 0);
    // Of 400 drawn by a quarter, less than 40 or more than 160 come once in a lifetime of universes.
    let some = load("25%");
    assert!((40..160).contains(&some), "{some}");
}

/// A target, a name for what it does, and why a load of it fails.
fn bad(kind: &str) -> SocketAddr {
    match kind {
        "refuses" => closed_port(),
        "stalls" => serve(|stream, _| hold(stream)),
        "resets in the body" => serve(|mut stream, _| {
            hear(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf");
            // What is unread when it closes makes it a reset; without that it is an end too early.
            let _ = stream.shutdown(Shutdown::Both);
        }),
        "drips" => serve(|mut stream, _| {
            hear(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
            drip(stream, b'x');
        }),
        "floods" => serve(|mut stream, _| {
            hear(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            flood(stream, b"more and more");
        }),
        _ => unreachable!("{kind}"),
    }
}

#[rstest]
#[case::refuses("refuses", "refused")]
#[case::stalls("stalls", "timeout(wait)")]
#[case::resets("resets in the body", "closed")]
#[case::drips("drips", "timeout(transfer)")]
#[case::floods("floods", "limit")]
fn whatever_a_target_does_every_attempt_has_its_reason(#[case] kind: &str, #[case] reason: &str) {
    let target = bad(kind);
    for asks in [
        format!("http: {{ get: 'http://{target}/', limit: 64KiB }}"),
        format!("flow: [{{ timeout: 500ms, http: {{ get: 'http://{target}/', limit: 64KiB }} }}]"),
    ] {
        let scenario = format!(
            "scenario: bad\nsteps:\n  - name: bad\n    load: {{ rate: 40/s, for: 500ms, timeout: 500ms, {asks} }}\n"
        );
        let ended = Drill::run(scenario).start().end();
        ended.exits(1);
        let (tally, _) = ended.load("bad");
        assert_eq!((tally.due, tally.ended, tally.good, tally.in_flight), (20, 20, 0, 0), "{asks}");
        assert_eq!(tally.reasons, [(reason.to_owned(), 20)].into(), "{asks}");
    }
}

/// What comes behind an answer belongs to nobody: it is not taken for the answer to the next request.
#[test]
fn more_than_was_asked_for_spoils_no_other_answer() {
    let target = serve(|mut stream, _| {
        while hear(&mut stream).is_some() {
            let twice =
                b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n";
            let _ = stream.write_all(twice);
        }
    });
    let ended = Drill::run(format!(
        "scenario: more\nsteps:\n  - name: more\n    load: {{ users: 2, for: 300ms, http: {{ get: 'http://{target}/' }} }}\n"
    ));
    let ended = ended.start().end();
    ended.exits(0);
    let (tally, _) = ended.load("more");
    assert!(tally.good > 0 && tally.good == tally.ended, "{tally:?}");
}

#[test]
fn connections_that_are_closed_each_time_are_opened_each_time() {
    let target = serve(|mut stream, _| {
        hear(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    });
    let ended = Drill::run(format!(
        "scenario: closing\nsteps:\n  - name: closing\n    load: {{ rate: 100/s, for: 500ms, http: {{ get: 'http://{target}/' }} }}\n"
    ));
    let ended = ended.start().end();
    let (tally, _) = fine(&ended).load("closing");
    assert_eq!((tally.ended, tally.good), (50, 50));
}

#[test]
fn redirects_for_ever_end() {
    let target = keeping(|_| (302, "location: /again\r\n".to_owned(), String::new()));
    let ended = Drill::run(format!(
        "scenario: round\nsteps:\n  - name: round\n    load: {{ rate: 20/s, for: 500ms, http: {{ get: 'http://{target}/', redirects: 5 }} }}\n"
    ));
    let ended = ended.start().end();
    ended.exits(1);
    let (tally, _) = ended.load("round");
    assert_eq!(tally.reasons, [("limit".to_owned(), 10)].into());
}

#[test]
fn a_host_that_nobody_agreed_to_is_not_loaded() {
    let scenario = "scenario: far\nsteps:\n  - name: far\n    load: { users: 1, for: 1s, flow: [{ http: { get: 'http://192.0.2.1/' } }] }\n";
    let ended = Drill::run(scenario).start().end();
    ended.exits(4);
    assert!(ended.why("far").unwrap().contains("`--allow-target 192.0.2.1`"), "{:?}", ended.why("far"));
}

/// What an answer leads to is loaded as well, and so somebody must have agreed to that.
#[test]
fn a_redirect_leads_only_where_load_may_go() {
    let lead = |to: &str| {
        let location = format!("location: {to}\r\n");
        let target = keeping(move |heard| match heard.line.as_str() {
            "GET /there" => ok("there"),
            _ => (302, location.clone(), String::new()),
        });
        let ended = Drill::run(format!(
            "scenario: led\nsteps:\n  - name: led\n    load: {{ users: 1, for: 300ms, http: {{ get: 'http://{target}/', redirects: 2 }} }}\n"
        ));
        ended.start().end()
    };
    lead("/there").exits(0);
    let ended = lead("http://192.0.2.7/");
    ended.exits(1);
    let (tally, failures) = ended.load("led");
    assert_eq!(tally.reasons.keys().collect::<Vec<_>>(), ["policy"]);
    let said = &failures[0].drawing.title;
    assert!(said.starts_with("the redirect is not followed: load on `192.0.2.7` is not sent"), "{said}");
    assert!(said.contains("`--allow-target 192.0.2.7`"), "{said}");
}

/// Also where no SLI keeps their latencies.
#[test]
fn two_loads_are_told_apart_by_their_percentiles() {
    let saved = |slow: u64| {
        let target = keeping(move |_| {
            std::thread::sleep(std::time::Duration::from_millis(slow));
            ok("")
        });
        let ended = Drill::run(format!(
            "scenario: shop\nsteps:\n  - name: button\n    load: {{ users: 4, for: 1500ms, http: {{ get: 'http://{target}/' }} }}\n"
        ));
        let ended = ended.go();
        ended.exits(0);
        ended.json
    };
    let compared = |now: &[u8], before: &[u8]| {
        let report = Drill::of(["report", "now.jsonl", "--against", "before.jsonl"]);
        report.file("now.jsonl", now).file("before.jsonl", before).go()
    };
    let (before, now) = (saved(2), saved(20));
    let slower = compared(&now, &before);
    slower.exits(1);
    let text = slower.stdout();
    for line in ["button, p50", "button, p90", "button, p99", "button, p99.9", "button, max"] {
        assert!(text.contains(line), "{line}:\n{text}");
    }
    let median = text.lines().find(|line| line.contains("button, p50")).unwrap_or_default();
    assert!(median.ends_with("  worse"), "{text}");
    let itself = compared(&now, &now);
    assert_ne!(itself.exit(), 1, "{}", itself.stdout());
}

#[cfg(target_os = "linux")]
mod limits {
    use super::*;

    /// The command, in a shell that did `before`.
    fn after(before: &str, drill: &Drill) -> std::process::Output {
        let inner = drill.command();
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("{before} && exec \"$0\" \"$@\"")]).arg(inner.get_program());
        shell.args(inner.get_args()).current_dir(inner.get_current_dir().unwrap());
        shell.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.output().unwrap()
    }

    #[test]
    fn too_few_files_are_raised_and_else_said() {
        let target = keeping(|_| ok(""));
        let scenario = format!(
            "scenario: files\nsteps:\n  - name: files\n    load: {{ users: 200, for: 200ms, http: {{ get: 'http://{target}/' }} }}\n"
        );
        let drill = Drill::run(scenario);
        let raised = after("ulimit -S -n 64", &drill);
        assert_eq!(raised.status.code(), Some(0), "{}", String::from_utf8_lossy(&raised.stdout));
        let said = after("ulimit -n 128", &drill);
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        assert_eq!(said.status.code(), Some(4), "{text}");
        assert!(text.contains("200 users take 264 open files, and this process may have 128"), "{text}");
    }

    #[test]
    fn a_rate_that_runs_out_of_files_is_no_fault_of_the_target() {
        let target = serve(|stream, _| hold(stream));
        let scenario = format!(
            "scenario: files\nsteps:\n  - name: files\n    load: {{ rate: 300/s, for: 1s, timeout: 1500ms, http: {{ get: 'http://{target}/' }} }}\n    sli: any\n"
        );
        let drill = Drill::run(scenario);
        let said = after("ulimit -n 128", &drill);
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        assert_eq!(said.status.code(), Some(3), "{text}");
        assert!(text.contains("measurement unreliable: this machine had no port or file left for"), "{text}");
        assert!(text.contains("(`ulimit -n`)"), "{text}");
    }
}

/// In a network of its own, where six connections can be open at once.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs nginx, and to be root"]
fn a_machine_without_a_free_port_is_no_fault_of_the_target() {
    let scenario = "scenario: ports\nsteps:\n  - name: ports\n    load: { users: 20, for: 1s, http: { get: 'http://127.0.0.1:8080/' } }\n    sli: any\n";
    let drill = Drill::run(scenario);
    let inner = drill.command();
    let folder = inner.get_current_dir().unwrap();
    let nginx = "daemon off; pid n.pid; events {} \
                 http { access_log off; server { listen 127.0.0.1:8080; return 200; } }\n";
    std::fs::write(folder.join("nginx.conf"), nginx).unwrap();
    let before = "ip link set lo up; echo '40000 40005' >/proc/sys/net/ipv4/ip_local_port_range; \
                  nginx -p . -e stderr -c nginx.conf 2>nginx.log & \
                  for i in $(seq 50); do (exec 3<>/dev/tcp/127.0.0.1/8080) 2>/dev/null && break; sleep 0.1; done; \
                  \"$0\" \"$@\"; code=$?; kill %1; exit $code";
    let mut shell = std::process::Command::new("unshare");
    shell.args(["--net", "bash", "-c", before]).arg(inner.get_program()).args(inner.get_args());
    shell.current_dir(folder).envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = shell.output().unwrap();
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert_eq!(said.status.code(), Some(3), "{text}\n{}", String::from_utf8_lossy(&said.stderr));
    assert!(text.contains("measurement unreliable: this machine had no port or file left for"), "{text}");
    assert!(text.contains("net.ipv4.ip_local_port_range"), "{text}");
}

/// Takes the upgrade, and then answers every message with `answers` of the same, until it has had `most`.
fn echo(answers: usize, most: usize) -> SocketAddr {
    serve(move |stream, _| {
        let Ok(mut socket) = tokio_tungstenite::tungstenite::accept(stream) else { return };
        for _ in 0..most {
            let Ok(message) = socket.read() else { return };
            if !message.is_text() {
                continue;
            }
            for _ in 0..answers {
                if socket.send(message.clone()).is_err() {
                    return;
                }
            }
        }
        let _ = socket.close(None);
        while socket.read().is_ok() {}
    })
}

fn sockets(target: SocketAddr, size: &str, rest: &str) -> Ended {
    Drill::run(format!(
        "scenario: prices\nsteps:\n  - name: prices\n    load: {{ {size}, timeout: 5s, websocket: {{ url: 'ws://{target}/', {rest} }} }}\n"
    ))
    .start()
    .end()
}

#[test]
fn connections_are_opened_held_and_spoken_on() {
    let ended = sockets(echo(1, usize::MAX), "rate: 20/s, for: 500ms", "hold: 1s, send: 10/s, message: tick");
    let (tally, _) = fine(&ended).load("prices");
    assert_eq!((tally.due, tally.ended, tally.good, tally.in_flight_peak), (10, 10, 10, 10));
    let (parts, _) = loaded(&ended, "prices");
    // Ten on each, but for one where the first is not at once.
    let [("round trip", ended, good)] = counts(parts)[..] else { panic!("{parts:?}") };
    assert!(ended == good && (80..=110).contains(&ended), "{parts:?}");
}

#[test]
fn a_dropped_connection_is_a_failure_and_its_user_opens_another() {
    let ended = sockets(echo(1, 2), "users: 1, for: 1s", "hold: 10s, send: 20/s");
    ended.exits(1);
    let (tally, failures) = ended.load("prices");
    assert!(tally.ended >= 2 && tally.good == 0, "{tally:?}");
    assert_eq!(tally.reasons.keys().collect::<Vec<_>>(), ["closed"]);
    assert!(failures[0].drawing.title.starts_with("the server ended the connection with"), "{failures:?}");
}

#[test]
fn a_dropped_connection_is_opened_again_where_it_is_to_be() {
    let ended =
        sockets(echo(1, 2), "rate: 4/s, for: 500ms", "hold: 1s, send: 20/s, reopen: true, message: tick");
    let (tally, _) = fine(&ended).load("prices");
    assert_eq!((tally.ended, tally.good), (2, 2));
    let (parts, _) = loaded(&ended, "prices");
    let [("round trip", ..), ("reopened", again, good)] = counts(parts)[..] else { panic!("{parts:?}") };
    assert!(again == good && again >= 6, "{parts:?}");
}

/// Pushes three messages that say they were sent a while ago, and one that says nothing.
fn pushes() -> SocketAddr {
    serve(move |stream, _| {
        let Ok(mut socket) = tokio_tungstenite::tungstenite::accept(stream) else { return };
        let sent = jiff::Timestamp::now() - jiff::SignedDuration::from_millis(250);
        for message in [
            format!("{{\"at\": \"{sent}\"}}"),
            format!("{{\"at\": {}}}", sent.as_millisecond()),
            format!("{{\"at\": {}}}", sent.as_nanosecond()),
            "{}".to_owned(),
        ] {
            if socket.send(message.into()).is_err() {
                return;
            }
        }
        while socket.read().is_ok() {}
    })
}

#[test]
fn pushes_are_measured_from_when_they_say_they_were_sent() {
    let ended = sockets(pushes(), "rate: 4/s, for: 500ms", "hold: 1s, stamp: $.at");
    let (parts, _) = loaded(fine(&ended), "prices");
    let [delivery] = parts else { panic!("{parts:?}") };
    assert_eq!((delivery.name.as_str(), delivery.tally.ended, delivery.tally.good), ("delivery", 8, 6));
    assert_eq!(delivery.tally.reasons, [("json".to_owned(), 2)].into());
    let median = delivery.tally.latency.p50.unwrap().0;
    assert!((250_000_000..400_000_000).contains(&median), "{median}");
}

#[test]
fn what_is_not_answered_is_a_round_trip_that_failed() {
    let ended = Drill::run(format!(
        "scenario: silent\nsteps:\n  - name: silent\n    load: {{ users: 1, for: 100ms, timeout: 500ms, websocket: {{ url: 'ws://{}/', hold: 100ms, send: 50/s }} }}\n",
        echo(0, usize::MAX)
    ));
    let ended = ended.start().end();
    ended.exits(1);
    let (parts, _) = loaded(&ended, "silent");
    assert!(parts[0].tally.ended > 0 && parts[0].tally.good == 0, "{parts:?}");
    assert_eq!(parts[0].tally.reasons.keys().collect::<Vec<_>>(), ["timeout(wait)"]);
}

#[test]
fn who_does_not_upgrade_is_no_websocket() {
    let ended = sockets(keeping(|_| ok("hello")), "rate: 10/s, for: 300ms", "hold: 1s");
    ended.exits(1);
    let (tally, failures) = ended.load("prices");
    assert_eq!(tally.reasons, [("status".to_owned(), 3)].into());
    assert_eq!(failures[0].drawing.title, "status is 200 OK, not 101: it was not upgraded");
}

#[test]
fn a_recorded_rate_is_played_again() {
    let target = keeping(|_| ok(""));
    let scenario = format!(
        "scenario: again\nsteps:\n  - name: again\n    load: {{ replay: rates.csv, http: {{ get: 'http://{target}/' }} }}\n"
    );
    let run = |rates: &str| Drill::run(&scenario).file("rates.csv", rates).start().end();
    let ended = run("time,rate\n100,0\n101,40\n101,100\n101.5,100\n");
    let (tally, _) = fine(&ended).load("again");
    assert_eq!((tally.due, tally.good), (20 + 50, 70));
    let refused = run("time,rate\n100,0\n99,40\n");
    refused.exits(2);
    assert!(refused.stderr().contains("`rates.csv`: line 3: time does not go back"), "{}", refused.stderr());
}
