//! Drills against real Prometheus and Alertmanager: what works is timed, and what does not is named by its rung.
#![cfg(test)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rstest::rstest;
use serde_json::Value;

mod extremes;
mod interrupted;
mod mistakes;

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn run(scenario: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    command.args(["run", "--no-save", "--color", "never", "--quiet"]).arg(scenario);
    command.output().expect("firedrill runs")
}

/// Runs a drill on a copy of `fixtures/drills` in which one text of one file is another.
fn broken(name: &str, file: &str, from: &str, to: &str, step: &str) -> String {
    let folder = Folder(std::env::temp_dir().join(format!("firedrill-drill-{}-{name}", std::process::id())));
    fs::create_dir_all(&folder.0).expect("a folder can be made");
    for entry in fs::read_dir("fixtures/drills").expect("the fixtures are there") {
        let path = entry.expect("a fixture can be read").path();
        if path.is_dir() {
            continue;
        }
        let mut text = fs::read_to_string(&path).expect("a fixture is text");
        let file_name = path.file_name().expect("a fixture has a name").to_owned();
        if file_name == file {
            assert!(text.contains(from), "{file} has no `{from}`");
            text = text.replace(from, to);
        }
        fs::write(folder.0.join(file_name), text).expect("a copy can be written");
    }
    let scenario = folder.0.join("scenario.yaml");
    let text = format!("scenario: {name}\nstack: stack.yaml\nclock: {{ speed: 300 }}\nsteps:\n{step}");
    fs::write(&scenario, text).expect("a scenario can be written");
    let output = run(&scenario);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}{}", String::from_utf8_lossy(&output.stderr));
    // The first failure, without the paths of this machine.
    let errors: Vec<_> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    errors.first().map(|line| line.replace(folder.0.to_string_lossy().as_ref(), "…")).unwrap_or(said)
}

/// What each alert of a scenario with broken rules is said to fail by: its rung and why, and the text at the caret.
fn explained(scenario: &str) -> BTreeMap<String, (String, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    command.args(["run", "--no-save", "--quiet", "--runtime", "processes", "--report", "json=-"]);
    let output =
        command.arg(format!("fixtures/drills/broken/{scenario}.yaml")).output().expect("firedrill runs");
    let mut explained = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let event: Value = serde_json::from_str(line).expect("each line is an event");
        for failure in event["event"]["attempted"]["failures"].as_array().into_iter().flatten() {
            let drawing = &failure["drawing"];
            let title = drawing["title"].as_str().unwrap_or_default();
            let Some((alert, why)) = title.strip_prefix('`').and_then(|rest| rest.split_once('`')) else {
                continue;
            };
            let Some((_, why)) = why.split_once("rung ") else { continue };
            let why = why.replacen(" of 12", "", 1);
            let first = explained.insert(alert.to_owned(), (why, caret(drawing)));
            assert_eq!(first, None, "`{alert}` is explained twice");
        }
    }
    assert!(!explained.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    explained
}

/// The first line of what a drawing points at.
fn caret(drawing: &Value) -> String {
    let labels = |excerpt: &Value| excerpt["labels"].as_array().cloned().unwrap_or_default();
    let excerpts = drawing["excerpts"].as_array().cloned().unwrap_or_default();
    let primary = excerpts.iter().find_map(|excerpt| {
        let label = labels(excerpt).into_iter().find(|label| label["primary"] == true)?;
        let at = |key: &str| label[key].as_u64().and_then(|at| usize::try_from(at).ok());
        Some(excerpt["text"].as_str()?[at("start")?..at("end")?].to_owned())
    });
    primary.unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

/// Each alert is explained by the rung, the beginning of the reason, and the caret that stand beside it.
fn is_explained(scenario: &str, table: &[(&str, &str, &str)]) {
    let explained = explained(scenario);
    let wrong: Vec<_> = table
        .iter()
        .filter_map(|(alert, why, caret)| match explained.get(*alert) {
            Some((said, at)) if said.starts_with(why) && at == caret => None,
            Some((said, at)) => Some(format!("{alert}\n  is {said}\n  at {at}\n  not {why}\n  at {caret}")),
            None => Some(format!("{alert} is not explained")),
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(explained.len(), table.len());
}

/// A web service that is killed, and what is wrong with those that should tell of it: rules, routes, receivers.
const DOWN: &[(&str, &str, &str)] = &[
    ("WrongJob", "3: no series of `up` has `job=\"wbe\"`", "up{job=\"wbe\"}"),
    ("WrongPattern", "3: no series of `up` has `job=~\"wob|wub\"`", "up{job=~\"wob|wub\"}"),
    ("WrongPort", "3: no series of `up` has `instance=\"web:9090\"`", "up{instance=\"web:9090\"}"),
    ("WrongLabel", "3: no series of `up` has `service=\"web\"`", "up{service=\"web\"}"),
    ("TypedUp", "3: `uup` matches no series", "uup{job=\"web\"}"),
    ("NeverBelowZero", "5: `up{job=\"web\"}` was never < 0", "up{job=\"web\"} < 0"),
    ("OthersAreUp", "5: `sum(up)` was never == 0", "sum(up) == 0"),
    ("HalfIsUp", "5: `avg(up)` was never < 0.2", "avg(up) < 0.2"),
    ("CountsThoseThatAreDown", "5: `count(up{job=\"web\"})` was never == 0", "count(up{job=\"web\"}) == 0"),
    (
        "AbsentIsNotDown",
        "5: `absent(up{job=\"web\"})` gave nothing: `up{job=\"web\"}` is still there",
        "absent(up{job=\"web\"})",
    ),
    (
        "GoesWithItsTarget",
        "2: `web:8080` is not scraped since the fault",
        "http_requests_total{status=\"200\"}[5m]",
    ),
    ("QueueWithItsTarget", "2: `web:8080` is not scraped since the fault", "queue_length"),
    (
        "UnlessTakesAll",
        "5: the right side of `unless` takes away all of the left",
        "up{job=\"web\"} == 0 unless on () up{job=\"worker\"} == 1",
    ),
    ("AndNeverHolds", "5: `up{job=\"worker\"}` was never == 0", "up{job=\"worker\"} == 0"),
    (
        "AndWithoutOn",
        "4: no series of one side has a partner on the other",
        "up{job=\"web\"} == 0 and up{job=\"worker\"} == 1",
    ),
    (
        "LooksBackTooFar",
        "3: `up{job=\"web\"} offset 1d` looks at a time before anything was scraped",
        "up{job=\"web\"} offset 1d",
    ),
    ("ForLongerThanTheFault", "7: it was pending for", "within 5m"),
    ("RecordedFromTyped", "3: `job:uup:sum` matches no series", "job:uup:sum"),
    ("SeverityIsTyped", "9: its routes lead to `team`", "severity=\"critical\""),
    ("NoSeverity", "9: its routes lead to `team`", "severity=\"critical\""),
    ("OrderOfRoutes", "9: its routes lead to `team`", "alertname=~\"Order.*\""),
    ("NoContinue", "9: its routes lead to `pager`", "alertname=\"NoContinue\""),
    ("DroppedOnTheWay", "8: Alertmanager does not have it", "team"),
    ("Inhibited", "9: it is inhibited by `Loud`", "source_matchers: [alertname=\"Loud\"]"),
    ("Muted", "9: its route to `pager` is kept quiet by the time interval `always`", "always"),
    ("OutOfHours", "9: its route to `pager` is kept quiet by the time interval `long ago`", "long ago"),
    ("DeadReceiver", "10: the receiver `nobody` has no integration", "nobody"),
    ("BadTemplate", "10: Alertmanager means it for `template`, and no message came", "template"),
    ("BadField", "10: Alertmanager means it for `field`, and no message came", "field"),
    ("BadFormat", "10: a format does not fit its value", "format"),
    ("EvaluatedSeldom", "6: it was not evaluated since the fault: its group is every 4w2d", "within 5m"),
];

/// A queue that is long, and what is wrong with the rules that should say so.
const QUEUE: &[(&str, &str, &str)] = &[
    ("TypedMetric", "3: `queue_lenght` matches no series", "queue_lenght"),
    ("WrongCase", "3: `Queue_Length` matches no series", "Queue_Length"),
    ("WrongEnding", "3: `queue_length_total` matches no series", "queue_length_total"),
    ("NothingLikeIt", "3: `kafka_consumer_lag` matches no series", "kafka_consumer_lag"),
    ("NoSuchLabel", "3: no series of `queue_length` has `queue=\"mail\"`", "queue_length{queue=\"mail\"}"),
    (
        "NoSuchStatus",
        "3: no series of `http_requests_total` has `status=\"500\"`",
        "http_requests_total{status=\"500\"}[5m]",
    ),
    (
        "NotTogether",
        "3: no series of `queue_length` has `instance=\"worker:8080\"`",
        "queue_length{job=\"web\", instance=\"worker:8080\"}",
    ),
    ("ThresholdTooHigh", "5: `queue_length` was never > 1000", "queue_length > 1000"),
    ("ThresholdOtherWay", "5: `queue_length` was never < 2", "queue_length < 2"),
    ("LimitTooHigh", "5: `queue_length` was never > queue_limit", "queue_length > queue_limit"),
    (
        "CounterWithoutRate",
        "5: `http_requests_total{status=\"404\"}` was never > 1000000000",
        "http_requests_total{status=\"404\"} > 1e9",
    ),
    (
        "QuantileOfAHistogram",
        "3: `http_request_duration_seconds` matches no series",
        "http_request_duration_seconds{quantile=\"0.99\"}",
    ),
    (
        "HistogramByItsName",
        "3: `http_request_duration_seconds` matches no series",
        "http_request_duration_seconds",
    ),
    (
        "QuantileWithoutLe",
        "5: `histogram_quantile` gave nothing",
        "histogram_quantile(0.99, sum by (job) (rate(http_request_duration_seconds_bucket[5m])))",
    ),
    (
        "QuantileOfASum",
        "5: `histogram_quantile` gave nothing",
        "histogram_quantile(0.99, rate(http_request_duration_seconds_sum[5m]))",
    ),
    (
        "JoinWithoutOn",
        "4: no series of one side has a partner on the other",
        "queue_length / sum by (job) (up)",
    ),
    (
        "JoinOnOthers",
        "4: no series of one side has a partner on the other",
        "queue_length * on (instance) worker_threads",
    ),
    (
        "GroupedApart",
        "4: no series of one side has a partner on the other",
        "sum by (job) (queue_length) / sum by (instance) (queue_limit)",
    ),
    (
        "ManyToMany",
        "4: its rule cannot be evaluated: found duplicate series",
        "http_requests_total * on (job) http_request_duration_seconds_bucket > 0",
    ),
    (
        "ManyToOne",
        "4: its rule cannot be evaluated: found duplicate series",
        "up * on (job) http_requests_total > 0",
    ),
    ("WindowTooShort", "5: `delta` gave nothing", "delta(queue_length[10s])"),
    ("RateTooShort", "5: `rate` gave nothing", "rate(http_requests_total[10s])"),
    (
        "AbsentWhileThere",
        "5: `absent(queue_length)` gave nothing: `queue_length` is still there",
        "absent(queue_length)",
    ),
    ("BothSidesOfIt", "5: `queue_length` was never < 2", "queue_length < 2"),
    (
        "WindowTooLong",
        "5: `min_over_time(queue_length[6h])` was never > 100",
        "min_over_time(queue_length[6h]) > 100",
    ),
    ("ChangesOnce", "5: `changes(queue_length[5m])` was never > 3", "changes(queue_length[5m]) > 3"),
    ("CountsTooFew", "5: `count(queue_length > 100)` was never > 1", "count(queue_length > 100) > 1"),
    ("SlopeOfAnother", "5: `deriv(queue_limit[5m])` was never > 0", "deriv(queue_limit[5m]) > 0"),
    (
        "NotAsShare",
        "5: `queue_length / on (job) queue_limit` was never > 90",
        "queue_length / on (job) queue_limit > 90",
    ),
];

#[test]
#[ignore = "needs prometheus and alertmanager"]
fn a_stack_is_brought_up_and_compared_with_what_is_known_of_it() {
    let check = |known: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
        command.args(["check", "--against", "stack", "--runtime", "processes", "--color", "never"]);
        command.args(["fixtures/drills/stack.yaml", "fixtures/drills/web.json", "--expect", known]);
        command.output().expect("firedrill runs")
    };
    let known = "fixtures/drills/known.json";
    let as_known = check(known);
    let said = String::from_utf8_lossy(&as_known.stderr);
    assert_eq!((as_known.status.code(), said.trim()), (Some(0), "as expected: 8 findings"));

    let folder = Folder(std::env::temp_dir().join(format!("firedrill-known-{}", std::process::id())));
    fs::create_dir_all(&folder.0).expect("a folder can be made");
    let other = folder.0.join("other.json");
    let text = fs::read_to_string(known).expect("the list is there");
    fs::write(&other, text.replacen("\"WebDown\"", "\"WebUp\"", 1)).expect("a list can be written");
    let otherwise = check(&other.to_string_lossy());
    let said = String::from_utf8_lossy(&otherwise.stderr);
    assert_eq!(otherwise.status.code(), Some(1), "{said}");
    let gone = "gone[audit/runbook]: `WebUp` in fixtures/drills/alerts.yml (expected because ";
    assert!(said.starts_with(gone), "{said}");
    assert!(said.contains("warning[audit/runbook]: `WebDown` does not say what to do"), "{said}");
    assert!(said.ends_with("not as expected: 1 new, 1 gone, 7 as expected\n"), "{said}");
}

#[rstest]
#[case::down("down", DOWN)]
#[case::queue("queue", QUEUE)]
#[ignore = "needs prometheus and alertmanager"]
fn what_is_broken_is_explained_where_it_stands(#[case] scenario: &str, #[case] table: &[(&str, &str, &str)]) {
    is_explained(scenario, table);
}

const KILL: &str = "  - fault: { kill: web }\n    alerts: { WebDown: { reaches: pager } }\n";
const PILE: &str = "  - fault: { metrics: { service: web, family: queue_length, set: 250 } }\n    alerts: { QueueLong: { reaches: team } }\n";

/// All of them in containers; as processes those that no other test here runs.
#[rstest]
#[case::processes("processes", &["plan.yaml", "web.yaml"])]
#[case::burn_rate_in_containers("containers", &["burn-rate.yaml"])]
#[case::long_for_in_containers("containers", &["long-for.yaml"])]
#[case::notify_in_containers("containers", &["notify.yaml"])]
#[case::in_containers("containers", &["plan.yaml", "web.yaml"])]
#[ignore = "needs prometheus, alertmanager and a container engine"]
fn every_shipped_drill_passes(#[case] runtime: &str, #[case] files: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    command.args(["run", "--no-save", "--color", "never", "--quiet", "--runtime", runtime]);
    command.args(["--image-map", "fixtures/image-map.yaml"]);
    let output = command.args(files.iter().map(|file| Path::new("scenarios/drills").join(file))).output();
    let output = output.expect("firedrill runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_shipped_drill_is_run() {
    let all = fs::read_dir("scenarios/drills").expect("the scenarios are there");
    let mut all: Vec<_> = all.map(|entry| entry.expect("an entry can be read").file_name()).collect();
    all.sort();
    assert_eq!(all, ["burn-rate.yaml", "long-for.yaml", "notify.yaml", "plan.yaml", "web.yaml"]);
}

/// What is proven by the rules as they are written says so, and says when.
#[rstest]
#[case::seven_hours("long-for", "NoOrders", &["firing 7h"])]
#[case::thirty_days("burn-rate", "ErrorBudgetBurn", &["firing 4m", "firing 5m"])]
#[ignore = "needs prometheus and alertmanager"]
fn a_slow_rule_is_proven_as_it_is_written(#[case] file: &str, #[case] alert: &str, #[case] when: &[&str]) {
    let output = run(&Path::new("scenarios/drills").join(file).with_extension("yaml"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let (_, from) = said.split_once(&format!("✓ {alert} ")).unwrap_or_else(|| panic!("{alert} in {said}"));
    let told = from.split("✓").next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        when.iter().any(|when| told.contains(when)) && told.contains("dilated, rules unmodified"),
        "{told}"
    );
}

#[rstest]
#[case::typed_metric(
    "typed-metric",
    "alerts.yml",
    "expr: queue_length >",
    "expr: queue_lenght >",
    PILE,
    "error: `QueueLong` did not fire within 10m40s: rung 3 of 12: `queue_lenght` matches no series"
)]
#[case::wrong_job(
    "wrong-job",
    "alerts.yml",
    "up{job=\"web\"}",
    "up{job=\"wbe\"}",
    KILL,
    "error: `WebDown` did not fire within 5m40s: rung 3 of 12: no series of `up` has `job=\"wbe\"`"
)]
#[case::no_partner(
    "no-partner",
    "alerts.yml",
    "expr: queue_length > 100",
    "expr: queue_length / sum by (job) (up) > 100",
    PILE,
    "error: `QueueLong` did not fire within 10m40s: rung 4 of 12: no series of one side has a partner on the other"
)]
#[case::threshold(
    "threshold",
    "alerts.yml",
    "queue_length > 100",
    "queue_length > 1000",
    PILE,
    "error: `QueueLong` did not fire within 10m40s: rung 5 of 12: `queue_length` was never > 1000"
)]
#[case::short_range(
    "short-range",
    "alerts.yml",
    "queue_length > 100",
    "delta(queue_length[10s]) > 100",
    PILE,
    "error: `QueueLong` did not fire within 10m50s: rung 5 of 12: `delta` gave nothing"
)]
#[case::other_route(
    "other-route",
    "alertmanager.yml",
    "severity=\"critical\"",
    "severity=\"page\"",
    KILL,
    "error: `WebDown` fired and did not reach `pager`: rung 9 of 12: its routes lead to `team`"
)]
#[case::format(
    "format",
    "alertmanager.yml",
    "channel: '#team'",
    "channel: '#team'\n        title: '{{ printf \"%d\" .Status }} jobs'",
    PILE,
    "error: `QueueLong` reached `team` with a flaw: rung 10 of 12: a format does not fit its value: `%!d(string=firing) jobs`"
)]
#[ignore = "needs prometheus and alertmanager"]
fn a_broken_set_up_is_named_by_its_rung(
    #[case] name: &str,
    #[case] file: &str,
    #[case] from: &str,
    #[case] to: &str,
    #[case] step: &str,
    #[case] wanted: &str,
) {
    assert_eq!(broken(name, file, from, to, step), wanted);
}

/// It was active before anything was broken: the drill would show nothing.
#[rstest]
#[case::for_another_reason(
    "early",
    "alerts.yml",
    "expr: queue_length > 100",
    "expr: queue_length < 1000",
    "  - wait: 5s\n  - fault: { metrics: { service: web, family: queue_length, set: 250 } }\n    alerts: { QueueLong: { reaches: team } }\n",
    r"^error: `QueueLong` was already firing before the fault: rung 1 of 12: `\{alertname=.QueueLong., .*instance=.web:8080.*\}` was active for \d+m(\d+s)? by then$"
)]
#[case::pending(
    "early-pending",
    "alerts.yml",
    "expr: queue_length > 100\n        for: 10m",
    "expr: queue_length < 1000\n        for: 7d",
    "  - wait: 2s\n  - fault: { metrics: { service: web, family: queue_length, set: 250 } }\n    alerts: { QueueLong: { reaches: team } }\n",
    r"^error: `QueueLong` was already pending before the fault: rung 1 of 12: `\{alertname=.QueueLong.,.*\}` was active for \d+m(\d+s)? by then$"
)]
#[case::a_target_that_was_down(
    "early-down",
    "prometheus.yml",
    "job_name: web",
    "job_name: web\n    metrics_path: /nothing",
    "  - wait: 4s\n  - fault: { kill: web }\n    alerts: { WebDown: { reaches: pager } }\n",
    r"^error: `WebDown` was already firing before the fault: .* by then; target `web:8080` of job `web` is down: server returned HTTP status 404 Not Found$"
)]
#[ignore = "needs prometheus and alertmanager"]
fn what_fired_before_the_fault_is_not_taken_for_its_work(
    #[case] name: &str,
    #[case] file: &str,
    #[case] from: &str,
    #[case] to: &str,
    #[case] step: &str,
    #[case] wanted: &str,
) {
    let said = broken(name, file, from, to, step);
    assert!(regex::Regex::new(wanted).expect("a pattern").is_match(&said), "{said}");
}

/// A folder with a copy of `fixtures/drills` and these scenarios.
fn folder_of(name: &str, scenarios: &[(&str, &str)]) -> Folder {
    let folder = Folder(std::env::temp_dir().join(format!("firedrill-drill-{}-{name}", std::process::id())));
    fs::create_dir_all(folder.0.join("scenarios")).expect("a folder can be made");
    for entry in fs::read_dir("fixtures/drills").expect("the fixtures are there") {
        let path = entry.expect("a fixture can be read").path();
        if path.is_file() {
            let to = folder.0.join(path.file_name().expect("a fixture has a name"));
            fs::copy(&path, to).expect("a copy can be written");
        }
    }
    for (file, text) in scenarios {
        fs::write(folder.0.join("scenarios").join(file), text).expect("a scenario can be written");
    }
    folder
}

/// The events of a run, each as its kind and what it says, and how the run ended.
fn events(folder: &Folder, runtime: &str) -> (Option<i32>, Vec<(String, Value)>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    command.args(["run", "--no-save", "--quiet", "--image-map", "fixtures/image-map.yaml"]);
    command.args(["--runtime", runtime, "--report", "json=-"]).arg(folder.0.join("scenarios"));
    let output = command.output().expect("firedrill runs");
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let events = lines.lines().filter_map(|line| {
        let Value::Object(mut all) = serde_json::from_str::<Value>(line).expect("each line is an event")
        else {
            return None;
        };
        let Value::Object(event) = all.remove("event")? else { return None };
        event.into_iter().next()
    });
    (output.status.code(), events.collect(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A first scenario with a fault, and a second one that must see nothing of it.
const FIRST: &str = r#"
scenario: first
stack: ../stack.yaml
clock: { speed: 120 }
steps:
  - { name: calm, quiet: { for: 20m, once: true } }
  - { name: somebody looks, http: { get: "http://${service.web.http}/items" } }
  - { name: dies, fault: { kill: web }, alerts: { WebDown: { reaches: pager } }, others: quiet }
"#;
const SECOND: &str = r#"
scenario: second
stack: ../stack.yaml
clock: { speed: 120 }
steps:
  - { name: calm, quiet: { for: 20m, once: true } }
  - name: nothing is left of the first
    promql: { url: "http://${service.prometheus.http}", query: "min_over_time(up[1d])" }
    expect: { value: 1 }
  - name: nor of its alerts
    promql: { url: "http://${service.prometheus.http}", query: "absent_over_time(ALERTS[1d])" }
    expect: { value: 1 }
  - { name: somebody looks, http: { get: "http://${service.web.http}/items" } }
  - { name: nor of its log, logs: { service: web }, expect: { lines: 1, fields: { path: /items } }, within: 5s }
  - name: dies again
    fault: { kill: web }
    alerts: { WebDown: { reaches: pager, told: within 15m } }
    others: quiet
"#;

#[rstest]
#[case::processes("processes")]
#[case::containers("containers")]
#[ignore = "needs prometheus, alertmanager and a container engine"]
fn scenarios_share_a_stack_and_see_nothing_of_one_another(#[case] runtime: &str) {
    let folder = folder_of(&format!("shared-{runtime}"), &[("1.yaml", FIRST), ("2.yaml", SECOND)]);
    let web = folder.0.join("web.yaml");
    let text = fs::read_to_string(&web).expect("a profile can be read");
    fs::write(&web, text + "\nlog: { answered: { path: \"${path}\" } }\n").expect("a profile can be written");
    let (code, events, said) = events(&folder, runtime);
    let all = |kind: &str| {
        let of_kind = events.iter().filter(|(name, _)| name == kind);
        of_kind.map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    assert_eq!(code, Some(0), "{said}{events:#?}");
    let ready = all("service_ready").iter().filter(|event| event["service"] == "prometheus").count();
    assert_eq!(ready, 1, "one Prometheus is brought up: {events:#?}");
    let notes: Vec<_> = all("stack_noted").iter().map(|event| event["note"].to_string()).collect();
    assert!(notes.iter().any(|note| note.contains("the stack is that of `first`")), "{notes:?}");
    let ended = all("step_ended");
    let hours: Vec<_> = ended.iter().filter(|event| event["step"]["name"] == "calm").collect();
    let whys: Vec<_> = hours.iter().map(|event| event["why"].as_str().unwrap_or_default()).collect();
    let owed: Vec<_> = all("drilled").iter().map(|event| event["alert"]["told_within"].as_u64()).collect();
    assert_eq!(owed, [None, Some(900_000_000_000)]);
    let told = "20m of it were held by `calm` of `first` for all who share the stack, 5m here";
    assert_eq!(whys, ["", told]);
}

#[test]
#[ignore = "needs prometheus and alertmanager"]
fn an_hour_that_was_not_quiet_fails_all_who_share_it() {
    let folder = folder_of("unquiet", &[("1.yaml", FIRST), ("2.yaml", SECOND)]);
    let rules = folder.0.join("alerts.yml");
    let text = fs::read_to_string(&rules).expect("rules can be read");
    let noisy = "\n      - { alert: Noisy, expr: 'queue_length < 1000' }\n";
    fs::write(&rules, text + noisy).expect("rules can be written");
    let (code, events, said) = events(&folder, "processes");
    assert_eq!(code, Some(1), "{said}");
    let ended = events.iter().filter(|(name, _)| name == "step_ended").map(|(_, event)| event);
    let hours: Vec<_> = ended.filter(|event| event["step"]["name"] == "calm").collect();
    let outcomes: Vec<_> = hours.iter().map(|event| event["outcome"].as_str().unwrap_or_default()).collect();
    assert_eq!(outcomes, ["failed", "failed"], "{hours:#?}");
    let why = hours[1]["why"].as_str().unwrap_or_default();
    assert_eq!(why, "it was held by `calm` of `first` for all who share the stack");
}

#[test]
#[ignore = "needs prometheus and alertmanager"]
fn a_pager_that_misbehaves_is_told_after_all_and_keeps_nobody_else_from_it() {
    let output = run(Path::new("scenarios/drills/notify.yaml"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    for told in [
        "`pager` answers 500: 3 attempts, again after",
        "`pager` answers 429 and to come again after 1s: 2 attempts, again after",
        "`pager` answers 1s late: ",
        "`pager` never answers: 1 attempt; it took a notice after",
        "it took no notice; Alertmanager gave up ",
    ] {
        assert!(said.contains(told), "`{told}` is not in {said}");
    }
}

#[test]
#[ignore = "needs prometheus and alertmanager"]
fn a_clock_that_prometheus_cannot_follow_is_lowered() {
    let drill = "scenario: many rules\nstack: ../stack.yaml\nclock: { speed: 600 }\nsteps:\n  \
                 - { name: calm, quiet: { for: 5m } }\n";
    let folder = folder_of("strained", &[("1.yaml", drill)]);
    let rules = folder.0.join("alerts.yml");
    let mut text = fs::read_to_string(&rules).expect("rules can be read");
    text += "\n  - name: many\n    rules:\n";
    for number in 0..1500 {
        // Each takes a while, and gives nothing.
        let expr = format!("sum by (job) (rate(http_requests_total[5m])) / sum by (job) (up) > 1000{number}");
        writeln!(text, "      - {{ alert: Many{number}, expr: '{expr}' }}").expect("a text takes more");
    }
    fs::write(&rules, text).expect("rules can be written");
    let (code, events, said) = events(&folder, "processes");
    let notes = events.iter().filter(|(kind, _)| kind == "stack_noted");
    let notes: Vec<_> = notes.filter_map(|(_, event)| event["note"].as_str()).collect();
    let lowered = notes.iter().find(|note| note.starts_with("the clock is lowered from 600x to "));
    assert!(lowered.is_some(), "{notes:?}");
    assert_eq!(code, Some(0), "{said}{events:#?}");
}
