//! The systems whose monitoring plans firedrill is for: their scenarios by the real binary and real servers, and what
//! their plans get wrong by Prometheus' own tool.
#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use rstest::rstest;

fn firedrill(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_firedrill")).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[rstest]
#[case::monkeytown_endpoints("monkeytown/endpoints")]
#[case::monkeytown_load("monkeytown/load")]
#[case::monkeytown_dashboards("monkeytown/dashboards")]
#[case::monkeytown_drills("monkeytown/drills")]
#[case::monkeytown_long("monkeytown/long")]
#[case::monkeytown_agents("monkeytown/agents")]
#[case::monkeytown_routing("monkeytown/routing")]
#[case::monkeytown_runbooks("monkeytown/runbooks")]
#[case::bakhmach_endpoints("bakhmach/endpoints")]
#[case::bakhmach_load("bakhmach/load")]
#[case::bakhmach_dashboards("bakhmach/dashboards")]
#[case::bakhmach_drills("bakhmach/drills")]
#[case::bakhmach_database("bakhmach/database")]
#[case::bakhmach_routing("bakhmach/routing")]
#[case::bakhmach_gate("bakhmach/gate")]
#[case::phoenix_endpoints("phoenix/endpoints")]
#[case::phoenix_load("phoenix/load")]
#[case::phoenix_dashboards("phoenix/dashboards")]
#[case::phoenix_drills("phoenix/drills")]
#[case::phoenix_routing("phoenix/routing")]
#[case::phase5_well("phase5/well")]
#[case::phase5_drills("phase5/drills")]
#[case::phase5_routing("phase5/routing")]
#[case::moai_flow_well("moai-flow/well")]
#[case::moai_flow_drills("moai-flow/drills")]
#[case::moai_flow_idle("moai-flow/idle")]
#[case::moai_flow_routing("moai-flow/routing")]
#[ignore = "needs Redis, PostgreSQL, their exporters, node_exporter, Prometheus, Alertmanager, Python, and to be root"]
fn a_system_is_as_its_plan_says(#[case] scenario: &str) {
    let file = format!("scenarios/{scenario}.yaml");
    let run = firedrill(&["run", "--no-save", "--runtime", "processes", &file]);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    assert!(said(&run).lines().last().is_some_and(|line| line.starts_with("PASS")), "{}", said(&run));
}

/// A part of each system, one of them with all its drills.
#[rstest]
#[case::monkeytown_endpoints("monkeytown/endpoints")]
#[case::bakhmach_endpoints("bakhmach/endpoints")]
#[case::phoenix_endpoints("phoenix/endpoints")]
#[case::phoenix_drills("phoenix/drills")]
#[case::phase5_routing("phase5/routing")]
#[case::moai_flow_routing("moai-flow/routing")]
#[ignore = "needs Docker, and images of ci/images.sh"]
fn a_system_is_the_same_in_containers(#[case] scenario: &str) {
    let file = format!("scenarios/{scenario}.yaml");
    let words = ["run", "--no-save", "--runtime", "containers", "--image-map", "fixtures/image-map.yaml"];
    let run = firedrill(&[&words[..], &[&file]].concat());
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    assert!(said(&run).lines().last().is_some_and(|line| line.starts_with("PASS")), "{}", said(&run));
}

#[rstest]
#[case::monkeytown("monkeytown")]
#[case::bakhmach("bakhmach")]
#[case::phoenix("phoenix")]
#[case::phase5("phase5")]
#[case::moai_flow("moai-flow")]
fn repaired_files_lack_nothing_but_owners_and_runbooks(#[case] system: &str) {
    let check = firedrill(&["check", &format!("fixtures/{system}/repaired/stack.yaml")]);
    let both = said(&check);
    // The plans do not say whose each alert is, and what to do about some: no repair may make that up.
    let allowed = ["warning[audit/owner]", "warning[audit/runbook]"];
    let found = both.lines().filter(|line| line.starts_with("warning[") || line.starts_with("error["));
    let others: Vec<_> = found.filter(|line| !allowed.iter().any(|code| line.starts_with(code))).collect();
    assert_eq!(others, Vec::<&str>::new());
    assert_eq!(check.status.code(), Some(0), "{both}");
}

/// Each stack as planned is brought up, and its rules, routes and dashboards are held against it.
#[test]
#[ignore = "needs Redis, PostgreSQL, their exporters, node_exporter, Prometheus, Alertmanager, promtool, amtool, and to be root"]
fn what_the_plans_get_wrong_is_as_recorded() {
    let check = check_against_stacks("fixtures/*/as-planned", "docs/defects.json");
    assert!(said(&check).contains("as expected: "), "{}", said(&check));
    assert_eq!(check.status.code(), Some(0), "{}", said(&check));
}

#[test]
#[ignore = "needs Redis, its exporter, Prometheus, Alertmanager, promtool and amtool"]
fn a_defect_that_is_not_recorded_or_is_gone_fails() {
    let mut list = defects();
    list.retain(|one| one.file.contains("/phoenix/") && one.code != "audit/label");
    list[0].subject = "Mended".to_owned();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("defects.json");
    fs::write(&file, serde_json::json!({ "findings": list }).to_string()).unwrap();
    let check = check_against_stacks("fixtures/phoenix/as-planned", file.to_str().unwrap());
    let both = said(&check);
    assert_eq!(check.status.code(), Some(1), "{both}");
    assert!(both.contains("not as expected: 2 new, 1 gone"), "{both}");
    assert!(both.contains("error[audit/label]: no series of `requests_total`"), "{both}");
    assert!(both.contains("`Mended` in fixtures/phoenix/as-planned/"), "{both}");
}

/// `firedrill check PATHS --against stack --expect FILE`, as a shell reads it.
fn check_against_stacks(paths: &str, known: &str) -> Output {
    let words =
        format!("'{}' check {paths} --against stack --expect '{known}'", env!("CARGO_BIN_EXE_firedrill"));
    Command::new("sh").args(["-c", &words]).output().unwrap()
}

/// An entry of `docs/defects.json`.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Defect {
    code: String,
    file: String,
    subject: String,
    reason: String,
    proof: String,
}

fn defects() -> Vec<Defect> {
    let text = fs::read_to_string("docs/defects.json").unwrap();
    let mut list: std::collections::BTreeMap<String, Vec<Defect>> = serde_json::from_str(&text).unwrap();
    list.remove("findings").unwrap()
}

/// A reason begins with what the finding is of: a defect of the plan, what was derived from its words, what it leaves
/// out, or no defect at all. A proof is a file and what stands in it.
#[test]
fn every_recorded_defect_has_a_reason_and_a_proof() {
    let kinds = ["defect: ", "derived: ", "left out: ", "no defect: "];
    for one in defects() {
        assert!(kinds.iter().any(|kind| one.reason.starts_with(kind)), "{one:?}");
        let (file, words) = one.proof.split_once(": ").unwrap();
        let texts = match fs::read_dir(file) {
            Ok(files) => files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect(),
            Err(_) => fs::read_to_string(file).unwrap(),
        };
        assert!(texts.contains(words), "{one:?}");
    }
}

/// What is derived from a plan's words never counts as a defect of the plan.
#[test]
fn nothing_derived_is_recorded_as_a_defect() {
    let (derived, _): (Vec<_>, Vec<_>) = defects().into_iter().partition(is_of_a_derived_rule);
    assert!(!derived.is_empty());
    for one in derived {
        assert!(!one.reason.starts_with("defect: "), "{one:?}");
    }
}

/// Whether the first rule that has what a finding points at stands below a comment that says so.
fn is_of_a_derived_rule(one: &Defect) -> bool {
    let text = fs::read_to_string(&one.file).unwrap();
    let Some(at) = text.find(&one.subject) else { return false };
    let above = ["- alert:", "- record:"].iter().filter_map(|key| text[..at].rfind(key)).max();
    let above = above.and_then(|rule| text[..rule].trim_end().lines().last());
    above.is_some_and(|line| line.contains("# derived"))
}

/// The tests are claims of `docs/systems/`: `promtool` evaluates the plan's own rules.
#[rstest]
#[case::monkeytown("monkeytown")]
#[case::bakhmach("bakhmach")]
#[case::phoenix("phoenix")]
#[case::phase5("phase5")]
#[case::moai_flow("moai-flow")]
#[ignore = "needs promtool"]
fn what_a_plan_gets_wrong_is_proven(#[case] system: &str) {
    let folder = Path::new("fixtures").join(system).join("as-planned");
    let proof = Command::new("promtool").args(["test", "rules", "proofs.yml"]).current_dir(folder).output();
    let proof = proof.unwrap();
    assert_eq!(
        said(&proof).split_whitespace().collect::<Vec<_>>().join(" "),
        "Unit Testing: proofs.yml SUCCESS"
    );
    assert!(proof.status.success());
}

/// Logging and exporter of MoAI-Flow as its plan has them, run by the language they are in.
#[test]
#[ignore = "needs Python"]
fn what_a_plans_programs_get_wrong_is_proven() {
    let mut python = Command::new("python");
    let proof =
        python.args(["-B", "proofs.py"]).current_dir("fixtures/moai-flow/as-planned").output().unwrap();
    assert!(said(&proof).ends_with("\nOK\n"), "{}", said(&proof));
    assert!(proof.status.success());
}

/// What follows each `key` at the beginning of a line, in the YAML files of a folder.
fn values(folder: &Path, key: &str) -> BTreeSet<String> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let yaml = files.filter(|path| path.extension().is_some_and(|end| end == "yml" || end == "yaml"));
    let texts: Vec<_> = yaml.map(|path| fs::read_to_string(path).unwrap()).collect();
    let lines = texts.iter().flat_map(|text| text.lines());
    lines.filter_map(|line| line.trim().strip_prefix(key)).map(|value| value.trim().to_owned()).collect()
}

/// `docs/systems/alerts.md` is written by `firedrill run … --report matrix=…`, as `docs/systems.md` says.
#[rstest]
#[case::monkeytown("monkeytown")]
#[case::bakhmach("bakhmach")]
#[case::phoenix("phoenix")]
#[case::phase5("phase5")]
#[case::moai_flow("moai-flow")]
fn the_table_of_alerts_is_not_stale(#[case] system: &str) {
    let table = fs::read_to_string("docs/systems/alerts.md").unwrap();
    let section = table.split("### ").find(|section| section.lines().next() == Some(system)).unwrap();
    let rows = section.lines().skip(4).filter(|row| row.starts_with('|'));
    let rows: Vec<Vec<&str>> = rows.map(|row| row.split('|').map(str::trim).collect()).collect();
    let shown: BTreeSet<_> =
        rows.iter().map(|row| row[1].to_owned()).filter(|name| !name.is_empty()).collect();
    assert_eq!(shown, values(&Path::new("fixtures").join(system).join("repaired"), "- alert: "));
    let steps = values(&Path::new("scenarios").join(system), "- name: ");
    let gone: Vec<_> = rows.iter().map(|row| row[2]).filter(|step| !steps.contains(*step)).collect();
    assert_eq!(gone, Vec::<&str>::new());
    assert!(!section.contains("broke at rung"), "{section}");
}

/// Without spaces, in which a file and a step may differ.
fn close(text: &str) -> String {
    text.split_whitespace().collect()
}

/// Every `expr` of a dashboard.
fn queries(node: &serde_json::Value, found: &mut BTreeSet<String>) {
    match node {
        serde_json::Value::Object(entries) => {
            found.extend(entries.get("expr").and_then(|expr| expr.as_str()).map(close));
            entries.values().for_each(|value| queries(value, found));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| queries(item, found)),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => {}
    }
}

/// What `promql` steps ask, each on a line of its own or within one.
fn asked(scenario: &str) -> BTreeSet<String> {
    let asked = scenario.lines().filter_map(|line| line.split_once("query: "));
    let asked = asked.map(|(_, rest)| match rest.chars().next() {
        Some('"') => rest[1..].trim_end_matches(" }").trim_end_matches('"').replace("\\\"", "\""),
        Some('\'') => rest[1..].trim_end_matches(" }").trim_end_matches('\'').to_owned(),
        _ => rest.trim_end_matches(" }").to_owned(),
    });
    asked.map(|query| close(&query)).collect()
}

/// A scenario says what each query has to give; the queries are those of the dashboards, sign for sign.
#[rstest]
#[case::monkeytown("monkeytown", 8)]
#[case::bakhmach("bakhmach", 14)]
#[case::phoenix("phoenix", 5)]
#[case::phase5("phase5", 16)]
#[case::moai_flow("moai-flow", 7)]
fn every_query_of_every_dashboard_is_asked(#[case] system: &str, #[case] fewest: usize) {
    let texts = |folder: &Path| {
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.is_file()).map(|path| fs::read_to_string(path).unwrap()).collect::<Vec<_>>()
    };
    let mut shown = BTreeSet::new();
    for text in texts(&Path::new("fixtures").join(system).join("repaired/dashboards")) {
        queries(&serde_json::from_str(&text).unwrap(), &mut shown);
    }
    assert!(shown.len() >= fewest, "{shown:?}");
    let asked: BTreeSet<_> =
        texts(&Path::new("scenarios").join(system)).iter().flat_map(|text| asked(text)).collect();
    let left: Vec<_> = shown.difference(&asked).collect();
    assert!(left.is_empty(), "{left:?} of {asked:?}");
}

/// Minutes of a time as the table writes it: `1h5m40s`, `4.80 s`.
fn minutes(time: &str) -> f64 {
    let mut number = String::new();
    let mut sum = 0.0;
    for sign in time.chars().filter(|sign| *sign != ' ') {
        let unit = match sign {
            'd' => 1440.0,
            'h' => 60.0,
            'm' => 1.0,
            's' => 1.0 / 60.0,
            digit => {
                number.push(digit);
                continue;
            }
        };
        sum += std::mem::take(&mut number).parse::<f64>().unwrap() * unit;
    }
    sum
}

/// Response times of Monkeytown's 4.1 as deadlines: both what was measured and the latest that its configuration allows.
#[rstest]
#[case::p1("EventStreamDown", "critical-pager", 15.0)]
#[case::p2("HighErrorRate", "high-slack", 60.0)]
#[case::p3_latency("HighLatency", "warning-slack", 24.0 * 60.0)]
#[case::p3_bundle("BundleSizeGrowing", "warning-slack", 24.0 * 60.0)]
#[case::p3_witnesses("LowWitnessCount", "warning-slack", 24.0 * 60.0)]
fn monkeytowns_alerts_are_told_within_their_class(
    #[case] alert: &str,
    #[case] receiver: &str,
    #[case] limit: f64,
) {
    let (measured, latest) = told("monkeytown", alert, receiver);
    assert!(measured <= limit && latest <= limit, "{alert}: {measured} and at the latest {latest}");
}

/// "All agents failing" is an example of P1, and its own rule waits for 8 hours: a defect of the plan.
#[test]
fn no_agent_runs_is_told_later_than_its_class_allows() {
    let (measured, _) = told("monkeytown", "NoAgentRuns", "critical-pager");
    assert!(measured > 15.0, "{measured}");
}

/// When a receiver was told of an alert, and when at the latest it may be, in minutes.
fn told(system: &str, alert: &str, receiver: &str) -> (f64, f64) {
    let table = fs::read_to_string("docs/systems/alerts.md").unwrap();
    let section = table.split("### ").find(|section| section.lines().next() == Some(system)).unwrap();
    let row = section.lines().find(|row| row.starts_with(&format!("| {alert} |"))).unwrap();
    let cell = row.split('|').nth(5).unwrap().trim();
    let (measured, rest) = cell.split_once(" to ").unwrap();
    let (names, range) = rest.split_once(" (").unwrap();
    assert_eq!(names, receiver);
    let (_, latest) = range.trim_end_matches(')').split_once(" to ").unwrap();
    (minutes(measured), minutes(latest))
}
