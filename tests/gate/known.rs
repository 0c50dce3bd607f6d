//! Series with a known answer, in a real Prometheus and in what speaks like one.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use rstest::rstest;
use serde_json::Value;

use super::archive::{Archive, Folder};
use super::{decisions, gate};

/// The first of January 2026, in seconds since 1970.
const END: i64 = 1_767_225_600;

const DAY: i64 = 86_400;

/// So many seconds lie between two samples.
const STEP: usize = 120;

/// Thirty-one days of a sample every two minutes.
///
/// - `shop`: 100 requests a minute, one more of which fails for ten hours ten days ago; its counter begins anew five
///   days ago.
/// - `mail`: 100 requests a minute, and 20 more that fail for the last two hours.
/// - a queue that is too long a quarter of the time, and series that ended a week ago.
fn text() -> String {
    let mut text = String::from("# TYPE http_requests counter\n");
    let mut counter = |labels: &str, last: i64, reset: Option<i64>, grows: &dyn Fn(i64) -> i64| {
        let mut value = 0;
        for time in (END - 31 * DAY..=last).step_by(STEP) {
            if reset == Some(time) {
                value = 0;
            }
            value += grows(time);
            writeln!(text, "{labels} {value} {time}").unwrap();
        }
    };
    let outage = END - 10 * DAY;
    counter("http_requests_total{code=\"200\",job=\"shop\"}", END, Some(END - 5 * DAY), &|_| 200);
    counter("http_requests_total{code=\"500\",job=\"shop\"}", END, None, &|time| {
        if time > outage && time <= outage + 36_000 { 2 } else { 0 }
    });
    counter("http_requests_total{code=\"200\",job=\"mail\"}", END, None, &|_| 200);
    counter("http_requests_total{code=\"500\",job=\"mail\"}", END, None, &|time| {
        if time > END - 7200 { 40 } else { 0 }
    });
    text += "# TYPE ended counter\n";
    for time in (END - 31 * DAY..=END - 7 * DAY).step_by(STEP) {
        writeln!(text, "ended_total{{code=\"200\"}} {} {time}", time - END + 32 * DAY).unwrap();
    }
    text += "# TYPE queue_length gauge\n";
    for time in (END - 31 * DAY..=END).step_by(STEP) {
        writeln!(text, "queue_length {} {time}", if time % 480 == 0 { 150 } else { 50 }).unwrap();
    }
    text + "# EOF\n"
}

fn archive() -> Archive {
    Archive::prometheus(&text())
}

fn number(decision: &Value, path: &str) -> f64 {
    decision.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} in {decision:#}"))
}

#[track_caller]
fn assert_near(found: f64, wanted: f64, share: f64) {
    assert!((found - wanted).abs() <= share * wanted.abs(), "{found} is not {wanted}");
}

/// The answers of both kinds of server to the same question.
fn judge(address: &str) {
    let words = ["fixtures/gate/known.slo.yaml", "--prometheus", address, "--at", "2026-01-01T00:00:00Z"];
    let output = gate(&[&words[..], &["--report", "json=-"]].concat());
    let decided = decisions(&output);
    let of = |name: &str| &decided.iter().find(|(slo, _)| slo == name).unwrap().1;

    // 600 failures of 30 d * 1440 * 100 + 600, of which a thousandth may fail; a reset loses nothing.
    let shop = of("shop-available");
    assert_eq!(shop["verdict"], "pass", "{shop:#}");
    let valid = 30.0 * 144_000.0 + 600.0;
    assert_near(number(shop, "/budget/lost"), 600.0, 0.001);
    assert_near(number(shop, "/budget/allowed"), valid / 1000.0, 0.001);
    assert_near(number(shop, "/budget/remaining"), 1.0 - 600.0 / (valid / 1000.0), 0.001);

    // 20 of 120 fail in both windows: 16.67 times what 99 % leaves.
    let mail = of("mail-available");
    assert_eq!(mail["verdict"], "fail", "{mail:#}");
    let rates = mail["burn"].as_array().unwrap();
    let over =
        |window: &str| rates.iter().find(|rate| rate["over"] == window).unwrap()["rate"].as_f64().unwrap();
    assert_near(over("1h"), 100.0 / 6.0, 0.005);
    assert_near(over("5m"), 100.0 / 6.0, 0.005);
    assert_near(over("6h"), 2400.0 / (36_000.0 + 2400.0) * 100.0, 0.005);

    // One of 101 fails in no slice of the last week.
    let slices = of("shop-slices");
    assert_eq!(slices["verdict"], "pass", "{slices:#}");
    assert_near(number(slices, "/budget/allowed"), 0.1 * 7.0 * 144.0, 0.001);

    // The queue is too long a quarter of the time: of 30 % that may be, five sixths.
    let queue = of("queue-short");
    assert_near(number(queue, "/budget/consumed"), 0.25 / 0.3, 0.02);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
#[ignore = "needs prometheus and promtool"]
fn budgets_are_those_that_are_known() {
    judge(&archive().address());
}

#[test]
#[ignore = "needs victoria-metrics"]
fn what_speaks_like_a_prometheus_is_asked_alike() {
    judge(&Archive::victoria(&text()).address());
}

#[test]
#[ignore = "needs prometheus and promtool"]
fn strange_series_have_stated_outcomes() {
    let archive = archive();
    let address = archive.address();
    let words = ["fixtures/gate/strange.slo.yaml", "--prometheus", &address, "--at", "2026-01-01T00:00:00Z"];
    let output = gate(&[&words[..], &["--report", "json=-"]].concat());
    let said: Vec<_> = decisions(&output)
        .into_iter()
        .map(|(slo, decision)| format!("{slo}: {}", decision["reason"].as_str().unwrap()))
        .collect();
    insta::assert_snapshot!(said.join("\n"));
    assert_eq!(output.status.code(), Some(4));
}

/// Makes rules, has promtool look at them, and compares what the Prometheus records with what the gate says.
#[rstest]
#[case::factors("factor")]
#[case::windows("window")]
#[ignore = "needs prometheus and promtool"]
fn rules_say_what_the_gate_says(#[case] scale: &str) {
    let made = Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .args(["rules", "fixtures/gate/known.slo.yaml", "--scale", scale])
        .output()
        .unwrap();
    assert!(made.status.success());
    let folder = Folder::new();
    let file = folder.0.join("rules.yml");
    fs::write(&file, &made.stdout).unwrap();
    let checked = Command::new("promtool").args(["check", "rules"]).arg(&file).output().unwrap();
    let said =
        String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");

    // Each expression as it stands in the file, asked of the same Prometheus.
    let archive = archive();
    let text = String::from_utf8(made.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let expr = |record: &str, slo: &str| -> String {
        let labelled =
            |at: usize| lines[at..].iter().take(8).any(|line| line.trim() == format!("slo: \"{slo}\""));
        let at = lines
            .iter()
            .enumerate()
            .position(|(at, line)| line.trim() == format!("- record: {record}") && labelled(at));
        let text = lines[at.unwrap() + 1].trim().strip_prefix("expr: ").unwrap();
        serde_json::from_str(text).unwrap()
    };
    let valid = 30.0 * 144_000.0 + 600.0;
    let ratio = archive.ask(&expr("slo:error_ratio:rate4w2d", "shop-available"), END);
    assert_near(ratio, 600.0 / valid, 0.001);
    let mail = archive.ask(&expr("slo:error_ratio:rate5m", "mail-available"), END);
    assert_near(mail, 1.0 / 6.0, 0.005);
}
