//! What cannot be asked, and what nobody has measured.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use rstest::rstest;

use super::{gate, scratch};

const KNOWN: &str = "fixtures/gate/known.slo.yaml";

/// Answers every request so, until the test is over.
fn server(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 8192]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

fn last_line(words: &[&str]) -> (Option<i32>, String) {
    let output = gate(words);
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code(), text.lines().last().unwrap_or_default().to_owned())
}

#[rstest]
#[case::unauthorised(
    "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "ADDRESS/api/v1/query for `time()`: status 401, not allowed; check the user and password, or the token"
)]
#[case::a_page(
    "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>",
    "ADDRESS/api/v1/query for `time()`: this is no answer of a Prometheus: expected value at line 1 column 1; is this \
     its address?"
)]
fn a_prometheus_that_is_none_is_not_measured(#[case] answer: &'static str, #[case] why: &str) {
    let address = server(answer);
    let (code, last) = last_line(&[KNOWN, "--prometheus", &address]);
    let why = why.replace("ADDRESS", &address);
    assert_eq!(code, Some(4));
    assert!(last.starts_with(&format!("NOT MEASURED gate: {why}")), "{last}");
}

#[test]
fn a_slow_prometheus_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (code, last) = last_line(&[KNOWN, "--prometheus", &address, "--query-timeout", "100ms"]);
    assert_eq!(code, Some(4));
    assert!(
        last.contains("no answer within 100ms (tried 4 times); ask for less, or give it more time"),
        "{last}"
    );
}

#[rstest]
#[case::no_source(&[KNOWN], 2)]
#[case::two_sources(&[KNOWN, "--run", "a", "--prometheus", "http://a.test"], 2)]
#[case::no_address(&[KNOWN, "--prometheus", "127.0.0.1:9090"], 2)]
#[case::nobody_to_be_let_in_by(&[KNOWN, "--store", "nowhere.db", "--user", "anna"], 2)]
#[case::no_header(&[KNOWN, "--prometheus", "http://127.0.0.1:1", "--header", "shop"], 2)]
#[case::no_slo(&["scenarios/first.yaml", "--prometheus", "http://127.0.0.1:1"], 2)]
#[case::no_such_run(&[KNOWN, "--run", "nowhere.jsonl"], 2)]
#[case::no_reason(&[KNOWN, "--prometheus", "http://127.0.0.1:1", "--override", "because"], 2)]
#[case::no_confidence(&[KNOWN, "--prometheus", "http://127.0.0.1:1", "--confidence", "30%"], 2)]
#[case::no_store(&[KNOWN, "--store", "nowhere.db"], 4)]
#[case::nobody_there(&[KNOWN, "--prometheus", "http://127.0.0.1:1"], 4)]
fn every_mistake_has_its_exit_code(#[case] words: &[&str], #[case] code: i32) {
    assert_eq!(gate(words).status.code(), Some(code));
}

/// Samples of one SLI in one minute, as a run writes them.
fn run(name: &str, good: u64, bad: u64) -> std::path::PathBuf {
    let path = scratch(&format!("{name}.jsonl"));
    let samples = format!(r#"{{"counts":{{"good":{good},"bad":{bad}}}}}"#);
    let text = format!(
        "{{\"at\":0,\"event\":{{\"run_started\":{{\"run\":\"{name}\",\"version\":\"1\",\"started\":\"2026-01-01T00:00:00Z\"}}}}}}\n\
         {{\"at\":1,\"event\":{{\"sampled\":{{\"scenario\":\"s\",\"sli\":\"shop\",\"minute\":0,\"samples\":{samples}}}}}}}\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

/// An SLO of 99 % on what firedrill measures of `shop`.
pub(crate) fn shop(name: &str) -> std::path::PathBuf {
    let path = scratch(&format!("{name}.slo.yaml"));
    let text = "apiVersion: openslo/v1\nkind: SLO\nmetadata: { name: shop }\nspec:\n  service: shop\n  \
                timeWindow: [{ duration: 30d, isRolling: true }]\n  budgetingMethod: Occurrences\n  indicator:\n    \
                metadata: { name: shop-good }\n    spec:\n      ratioMetric:\n        counter: true\n        \
                good: { metricSource: { type: firedrill, spec: { sli: shop, count: good } } }\n        \
                total: { metricSource: { type: firedrill, spec: { sli: shop, count: valid } } }\n  \
                objectives: [{ target: 0.99 }]\n";
    std::fs::write(&path, text).unwrap();
    path
}

#[rstest]
#[case::met("met", 10_000, 10, &[], 0)]
#[case::missed("missed", 1000, 50, &[], 1)]
#[case::too_few("few", 20, 0, &[], 3)]
#[case::too_few_is_well("few-warn", 20, 0, &["--on-inconclusive", "warn"], 0)]
#[case::too_few_is_bad("few-fail", 20, 0, &["--on-inconclusive", "fail"], 1)]
#[case::no_traffic("none", 0, 0, &[], 4)]
#[case::no_traffic_is_bad("none-fail", 0, 0, &["--on-no-data", "fail"], 1)]
#[case::overridden("overridden", 1000, 50, &["--override", "mends an outage", "--by", "ada"], 0)]
#[case::fast_burn_alone("fast", 40, 0, &["--allow", "14.4"], 0)]
#[case::enough_for_a_deploy("affordable", 10_000, 10, &["--deploy-cost", "80%"], 0)]
#[case::too_little_for_a_deploy("too-dear", 10_000, 10, &["--deploy-cost", "95%"], 1)]
#[case::before_a_freeze("thawed", 10_000, 10, &["fixtures/gate/holidays.gate.yaml", "--at", "2026-12-19T00:00:00Z"], 0)]
#[case::in_a_freeze("frozen", 10_000, 10, &["fixtures/gate/holidays.gate.yaml", "--at", "2026-12-24T00:00:00Z"], 1)]
fn a_run_is_judged(
    #[case] name: &str,
    #[case] good: u64,
    #[case] bad: u64,
    #[case] more: &[&str],
    #[case] code: i32,
) {
    let (run, shop) = (run(name, good, bad), shop(name));
    let mut words = vec![shop.to_str().unwrap(), "--run", run.to_str().unwrap()];
    words.extend(more);
    assert_eq!(gate(&words).status.code(), Some(code));
}

#[rstest]
#[case::no_worse("better", (10_000, 10), (10_000, 60), 0)]
#[case::worse("worse", (99_300, 700), (99_900, 100), 1)]
#[case::cannot_tell("alike", (996, 4), (996, 4), 3)]
fn a_run_is_compared(
    #[case] name: &str,
    #[case] (good, bad): (u64, u64),
    #[case] (was_good, was_bad): (u64, u64),
    #[case] code: i32,
) {
    let (now, before) = (run(name, good, bad), run(&format!("{name}-before"), was_good, was_bad));
    let shop = shop(name);
    let words =
        [shop.to_str().unwrap(), "--run", now.to_str().unwrap(), "--baseline", before.to_str().unwrap()];
    let output = gate(&words);
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stdout));
}
