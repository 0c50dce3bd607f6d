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
