//! The trace that an attempt begins: sent, shown, kept, and expected.

use regex::Regex;
use rstest::rstest;

use crate::http::{evidence, noting, scenario};
use crate::peer::{Heard, answer, json};

#[test]
fn every_attempt_begins_a_trace_of_its_own() {
    let (target, noted) = noting(|heard| match (heard.line.as_str(), heard.number) {
        ("GET /", 0) => answer(503, "", ""),
        ("GET /metrics", _) => answer(200, "", "up 1\n"),
        _ => json("{\"status\": \"ok\"}"),
    });
    let steps = format!(
        "  - name: first\n    http: {{ get: 'http://{target}/', trace: true }}\n    retry: {{ attempts: 2, every: 10ms }}\n    capture: {{ id: {{ trace: id }}, whole: {{ trace: traceparent }} }}\n  \
           - name: found\n    http: {{ get: 'http://{target}/found/${{id}}/${{whole}}' }}\n  \
           - health: {{ url: 'http://{target}/health', trace: true }}\n  \
           - ready: {{ url: 'http://{target}/ready', trace: true }}\n  \
           - metrics: {{ url: 'http://{target}/metrics', trace: true, families: {{ up: {{}} }} }}\n  \
           - name: talk\n    websocket: {{ url: 'ws://{target}/ws', trace: true }}\n  \
           - name: many\n    load: {{ users: 1, for: 200ms, http: {{ get: 'http://{target}/', trace: true }} }}"
    );
    let ended = scenario(&steps).go();
    // The target speaks no WebSocket: that step fails, after it has asked.
    ended.exits(1);
    let noted = noted.lock().unwrap();
    let traceparent = Regex::new("^00-([0-9a-f]{32})-[0-9a-f]{16}-01$").unwrap();
    let mut ids = Vec::new();
    for heard in noted.iter().filter(|heard| !heard.line.starts_with("GET /found")) {
        let found = traceparent.captures(heard.header("traceparent"));
        ids.push(found.unwrap_or_else(|| panic!("{heard:?}"))[1].to_owned());
    }
    let shown: Vec<_> = evidence(&ended).iter().filter_map(|seen| seen.trace.clone()).collect();
    assert_eq!(shown, ids[..6]);
    let second = noted[1].header("traceparent");
    assert_eq!(noted[2].line, format!("GET /found/{}/{second}", ids[1]));
    assert!(ended.stdout().contains(&format!("trace {}", ids[5])), "{}", ended.stdout());
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), count > 8), (count, true));
}

#[test]
fn a_load_says_which_trace_failed() {
    let (target, noted) = noting(|_| answer(500, "", ""));
    let steps = format!(
        "  - name: many\n    load: {{ users: 1, for: 100ms, http: {{ get: 'http://{target}/', trace: true }} }}"
    );
    let ended = scenario(&steps).go();
    ended.exits(1);
    let first = noted.lock().unwrap()[0].header("traceparent")[3..35].to_owned();
    let (_, failures) = ended.load("many");
    assert_eq!(failures[0].drawing.help, Some(format!("trace {first}")));
}

/// A target that says which trace it heard of, by its id and whole.
fn telling(heard: &Heard) -> Vec<u8> {
    let whole = heard.header("traceparent");
    let id = whole.get(3..35).unwrap_or("none");
    answer(200, &format!("x-trace: {id}\r\n"), format!("{{\"parent\": \"{whole}\", \"up\": true}}"))
}

#[test]
fn a_trace_is_named_by_the_step_that_begins_it_and_by_those_after_it() {
    let (target, noted) = noting(telling);
    let expect =
        "expect: { headers: { x-trace: '${trace.id}' }, json: { $.parent: '${trace.traceparent}' } }";
    let steps = format!(
        "  - name: own\n    http: {{ get: 'http://{target}/${{trace.id}}', headers: {{ x-id: '${{trace.id}}' }}, trace: true }}\n    {expect}\n  \
           - name: written\n    exec: {{ shell: 'echo ''{{\"trace_id\":\"${{trace.id}}\"}}'' >> app.log' }}\n  \
           - name: logged\n    logs: {{ file: app.log }}\n    expect: {{ find: {{ trace_id: '${{trace.id}}' }} }}\n  \
           - name: many\n    load: {{ users: 2, for: 100ms, http: {{ get: 'http://{target}/', trace: true }}, {expect} }}\n  \
           - name: many and one\n    load: {{ users: 1, for: 50ms, http: {{ get: 'http://{target}/${{trace.id}}' }} }}"
    );
    let ended = scenario(&steps).file("app.log", "").go();
    ended.exits(0);
    let noted = noted.lock().unwrap();
    let id = &noted[0].header("traceparent")[3..35];
    assert_eq!((noted[0].line.as_str(), noted[0].header("x-id")), (format!("GET /{id}").as_str(), id));
    assert_eq!(noted.last().unwrap().line, format!("GET /{id}"));
    let shown: Vec<_> = evidence(&ended).iter().filter_map(|seen| seen.trace.clone()).collect();
    assert_eq!(shown, [id]);
}

#[test]
fn an_answer_of_another_trace_fails() {
    let (target, _) = noting(|_| answer(200, "x-trace: another\r\n", ""));
    let expect = "expect: { headers: { x-trace: '${trace.id}' } }";
    let steps = format!(
        "  - name: one\n    http: {{ get: 'http://{target}/', trace: true }}\n    {expect}\n  \
           - name: many\n    load: {{ users: 1, for: 50ms, http: {{ get: 'http://{target}/', trace: true }}, {expect} }}"
    );
    let ended = scenario(&steps).go();
    ended.exits(1);
    let shown = Regex::new("^header `x-trace` is \"another\", expected \"[0-9a-f]{32}\"$").unwrap();
    let one = &ended.attempts("one")[0][0];
    let (_, many) = ended.load("many");
    assert!(shown.is_match(&one.drawing.title), "{one:?}");
    assert!(
        !many.is_empty() && many.iter().all(|failure| shown.is_match(&failure.drawing.title)),
        "{many:?}"
    );
}

#[rstest]
#[case::none_begun("  - http: { get: 'http://127.0.0.1:9/${trace.id}' }")]
#[case::by_a_later_step(
    "  - http: { get: 'http://127.0.0.1:9/' }\n    expect: { body: '${trace.id}' }\n  - http: { get: 'http://127.0.0.1:9/', trace: true }"
)]
#[case::in_the_request_of_a_load(
    "  - load: { users: 1, for: 1s, http: { get: 'http://127.0.0.1:9/${trace.id}', trace: true } }"
)]
#[case::in_a_condition(
    "  - http: { get: 'http://127.0.0.1:9/', trace: true }\n    when: { '${trace.id}': exists }"
)]
fn a_trace_that_was_not_begun_has_no_name(#[case] steps: &str) {
    let ended = scenario(steps).go();
    ended.exits(2);
    assert!(ended.stderr().contains("`trace.id` has no value here"), "{}", ended.stderr());
    assert!(ended.stderr().contains("a step with `trace: true` begins a trace"), "{}", ended.stderr());
}
