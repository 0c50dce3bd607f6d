//! The systems whose monitoring plans firedrill is for: their scenarios by the real binary and real servers, and what
//! their plans get wrong by Prometheus' own tool.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
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

/// Scenarios of all five systems at a time that two cores bear easily.
const JOBS: &str = "2";

/// The folders of their scenarios, those first that take longest.
const SCENARIOS: [&str; 5] = [
    "scenarios/monkeytown",
    "scenarios/phoenix",
    "scenarios/phase5",
    "scenarios/moai-flow",
    "scenarios/bakhmach",
];

/// A part of each system, one of them with all its drills.
const PARTS: [&str; 6] = [
    "scenarios/monkeytown/endpoints.yaml",
    "scenarios/bakhmach/endpoints.yaml",
    "scenarios/phoenix/endpoints.yaml",
    "scenarios/phoenix/drills.yaml",
    "scenarios/phase5/routing.yaml",
    "scenarios/moai-flow/routing.yaml",
];

/// Everything that all five plans say, in one run: no alert fires in a healthy hour of each, and every rule of every
/// system is proven, by what and how fast.
#[test]
#[ignore = "needs Redis, PostgreSQL, their exporters, node_exporter, Prometheus, Alertmanager, Python, and to be root"]
fn the_five_systems_are_as_their_plans_say() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("systems");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let at = |file: &str| folder.join(file).display().to_string();
    let (saved, table) = (format!("json={}", at("run.jsonl")), format!("matrix={}", at("alerts.md")));
    let mut words = vec!["run", "--no-save", "--jobs", JOBS, "--runtime", "processes"];
    words.extend(["--report", &saved, "--report", &table]);
    words.extend(SCENARIOS);
    let run = firedrill(&words);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    // How long it took is told, and not judged: machines differ.
    let last = said(&run).lines().last().map(str::to_owned).unwrap();
    assert!(last.starts_with("PASS 27 scenarios: 27 passed in "), "{last}");
    println!("{last}");
    assert_eq!(differences(&fs::read_to_string(at("alerts.md")).unwrap()), Vec::<String>::new());

    let runs = at("");
    let words = ["coverage", "--runs", &runs, "--format", "json"];
    let coverage = firedrill(&[&words[..], &SCENARIOS].concat());
    let coverage: serde_json::Value = serde_json::from_slice(&coverage.stdout).unwrap();
    let alerts = coverage["alerts"].as_array().unwrap();
    assert_eq!(alerts.len(), 40);
    let left: Vec<_> = alerts.iter().filter(|row| row["state"] != "proven").collect();
    assert!(left.is_empty(), "{left:#?}");
    let read = |row: &serde_json::Value| {
        let read_by = row["alerts"].as_object();
        read_by.is_some_and(|alerts| alerts.values().any(|proven| *proven == true))
            || row["steps"].as_array().is_some_and(|steps| !steps.is_empty())
    };
    let left: Vec<_> =
        coverage["records"].as_array().into_iter().flatten().filter(|row| !read(row)).collect();
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
#[ignore = "needs Docker, and images of ci/images.sh"]
fn a_part_of_each_system_is_the_same_in_containers() {
    let words = ["run", "--no-save", "--runtime", "containers", "--image-map", "fixtures/image-map.yaml"];
    let run = firedrill(&[&words[..], &PARTS].concat());
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    assert!(said(&run).lines().last().is_some_and(|line| line.starts_with("PASS 6 ")), "{}", said(&run));
}

/// How a table of alerts differs from `docs/systems/alerts.md`: in anything but the times that were measured, or in one
/// of those by more than half of what its configuration allows and two minutes. How fast the clock was is not looked at.
fn differences(table: &str) -> Vec<String> {
    let recorded = fs::read_to_string("docs/systems/alerts.md").unwrap();
    let (found, known) = (rows(table), rows(&recorded));
    let mut differences: Vec<_> =
        known.keys().filter(|key| !found.contains_key(*key)).map(|key| format!("{key:?} is gone")).collect();
    for (key, cells) in &found {
        let Some(wanted) = known.get(key) else {
            differences.push(format!("{key:?} is not recorded"));
            continue;
        };
        let both = cells.iter().zip(wanted).filter(|(cell, wanted)| !are_alike(cell, wanted));
        differences.extend(both.map(|(cell, wanted)| format!("{key:?}: `{cell}`, recorded `{wanted}`")));
    }
    differences
}

/// The cells of each row, by system, alert and step; of the proof only what kind it is.
fn rows(table: &str) -> BTreeMap<[String; 3], Vec<String>> {
    let mut rows = BTreeMap::new();
    for section in table.split("### ").skip(1) {
        let system = section.lines().next().unwrap_or_default();
        for row in section.lines().skip(4).filter(|row| row.starts_with('|')) {
            let cells: Vec<_> = row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
            let proof = cells[7].split(' ').next().unwrap_or_default().to_owned();
            let times = cells[2..7].iter().cloned().chain([proof]).collect();
            rows.insert([system.to_owned(), cells[0].clone(), cells[1].clone()], times);
        }
    }
    rows
}

/// Whether two cells of the table say the same but for the time that was measured, and that about the same.
fn are_alike(cell: &str, recorded: &str) -> bool {
    let ends = |cell: &str| cell.find(" to ").into_iter().chain(cell.find(" (")).min().unwrap_or(cell.len());
    let ((time, rest), (known, as_recorded)) = (cell.split_at(ends(cell)), recorded.split_at(ends(recorded)));
    let allowed = rest.split_once(" (").and_then(|(_, range)| range.split_once(')')?.0.split_once(" to "));
    match allowed {
        Some((earliest, latest)) => {
            let tolerance = (minutes(latest) - minutes(earliest)) / 2.0 + 2.0;
            rest == as_recorded && (minutes(time) - minutes(known)).abs() <= tolerance
        }
        None => cell == recorded,
    }
}

#[rstest]
#[case::the_same("5m30s (5m to 10m)", "5m30s (5m to 10m)", true)]
#[case::about_the_same("5m30s to pager (5m to 6m)", "7m50s to pager (5m to 6m)", true)]
#[case::later("5m30s to pager (5m to 6m)", "8m1s to pager (5m to 6m)", false)]
#[case::to_others("5m30s to pager (5m to 6m)", "5m30s to team (5m to 6m)", false)]
#[case::allowed_otherwise("5m30s (5m to 6m)", "5m30s (5m to 7m)", false)]
#[case::proven_otherwise("scaled", "dilated", false)]
#[case::never_reached("–", "5m30s (5m to 6m)", false)]
fn a_cell_of_the_table_may_differ_in_its_time(
    #[case] cell: &str,
    #[case] recorded: &str,
    #[case] alike: bool,
) {
    assert_eq!(are_alike(cell, recorded), alike);
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

/// What the files alone show of a plan is among what is recorded of it.
#[rstest]
#[case::monkeytown("monkeytown")]
#[case::bakhmach("bakhmach")]
#[case::phoenix("phoenix")]
#[case::phase5("phase5")]
#[case::moai_flow("moai-flow")]
fn what_a_plans_files_show_is_recorded(#[case] system: &str) {
    let check = firedrill(&["check", "--format", "expect", &format!("fixtures/{system}/as-planned")]);
    let found: serde_json::Value = serde_json::from_slice(&check.stdout).unwrap();
    let key = |one: &serde_json::Value| {
        ["code", "file", "subject"].map(|key| one[key].as_str().unwrap_or_default().to_owned())
    };
    let known: BTreeSet<_> =
        defects().into_iter().map(|Defect { code, file, subject, .. }| [code, file, subject]).collect();
    let found: Vec<_> = found["findings"].as_array().unwrap().iter().map(key).collect();
    assert!(!found.is_empty());
    let new: Vec<_> = found.iter().filter(|one| !known.contains(*one)).collect();
    assert!(new.is_empty(), "{new:?}");
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
    let rows = rows(&table);
    let rows: Vec<_> = rows.keys().filter(|[of, ..]| of == system).collect();
    let shown: BTreeSet<_> = rows.iter().map(|[_, alert, _]| alert.clone()).collect();
    assert_eq!(shown, values(&Path::new("fixtures").join(system).join("repaired"), "- alert: "));
    let steps = values(&Path::new("scenarios").join(system), "- name: ");
    let gone: Vec<_> = rows.iter().filter(|[_, _, step]| !steps.contains(step)).collect();
    assert!(gone.is_empty(), "{gone:?}");
    assert!(!table.contains("broke at rung"), "{table}");
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

/// A response time that a plan states is met by what its configuration allows at the latest, and not just this once. "All
/// agents failing" is an example of Monkeytown's P1, and its own rule waits for 7 hours: a defect of the plan.
#[test]
fn response_times_are_met_by_configuration() {
    let table = rows(&fs::read_to_string("docs/systems/alerts.md").unwrap());
    let mut classes = BTreeMap::new();
    for ([system, alert, _], cells) in &table {
        let Some((times, within)) = cells[2].split_once(", told in time, within ") else { continue };
        let (_, latest) = times.trim_end_matches(')').rsplit_once(" to ").unwrap();
        assert!(minutes(latest) <= minutes(within), "{alert} is told after {latest}, not within {within}");
        classes.insert((system.as_str(), alert.as_str()), within);
    }
    let monkeytown = |alert| ("monkeytown", alert);
    assert_eq!(
        classes,
        BTreeMap::from([
            (monkeytown("EventStreamDown"), "15m"),
            (monkeytown("HighErrorRate"), "1h"),
            (monkeytown("HighLatency"), "1d"),
            (monkeytown("BundleSizeGrowing"), "1d"),
            (monkeytown("LowWitnessCount"), "1d"),
        ])
    );
    let agents = table.iter().find(|([_, alert, _], _)| alert == "NoAgentRuns").unwrap();
    let (told, _) = agents.1[2].split_once(" to critical-pager").unwrap();
    assert!(minutes(told) > 15.0, "{told}");
}
