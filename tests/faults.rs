//! Faults are put in, felt, and gone again, however a run ends.
#![cfg(test)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rstest::rstest;

fn run(files: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    command.args(["run", "--no-save", "--seed", "1", "--runtime", "processes", "--report", "json=-"]);
    command.args(files).output().unwrap()
}

/// A scenario in a file of its own, on the stack of one stand-in.
fn scenario(name: &str, text: &str) -> PathBuf {
    let stack = Path::new("fixtures/resilience/alone.yaml").canonicalize().unwrap();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.yaml"));
    std::fs::write(&file, format!("scenario: {name}\nstack: {}\n{text}", stack.display())).unwrap();
    file
}

/// `stage: what` of every fault, in order, and how the run ended.
fn told(output: &Output) -> (Vec<String>, Option<i32>) {
    let text = String::from_utf8_lossy(&output.stdout);
    let events = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let told = events.filter_map(|event| {
        let fault = event["event"].get("fault")?;
        let word = |key: &str| fault[key].as_str().unwrap_or_default().to_owned();
        Some(format!("{} {} {}", word("fault"), word("stage"), word("what")).trim_end().to_owned())
    });
    (told.collect(), output.status.code())
}

#[rstest]
#[case::alone("scenarios/resilience/alone.yaml")]
#[case::balanced("scenarios/resilience/balanced.yaml")]
#[case::cut("scenarios/resilience/cut.yaml")]
#[case::redis("scenarios/resilience/redis.yaml")]
#[case::postgres("scenarios/resilience/postgres.yaml")]
#[ignore = "needs nginx, curl, Redis, PostgreSQL and their exporters"]
fn a_shipped_scenario_passes(#[case] file: &str) {
    let output = run(&[Path::new(file)]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_fault_is_added_felt_and_lifted_also_when_a_step_within_it_fails() {
    let file = scenario(
        "failing-within",
        "steps:\n  - fault: { status: { service: web, status: 500 } }\n    while:\n      - http: { get: 'http://${service.web.http}/who' }\n    then:\n      - http: { get: 'http://${service.web.http}/who' }\n",
    );
    let steps = ["status web added", "status web felt 1 request, 1 request answered", "status web lifted"];
    assert_eq!(told(&run(&[&file])), (steps.map(str::to_owned).into(), Some(1)));
}

#[test]
fn a_fault_that_nothing_felt_is_no_result() {
    let file = scenario("unfelt", "steps:\n  - fault: { latency: { service: web, add: 1s } }\n");
    let why = "latency web not_felt nothing that it is done to has passed: put steps that use the service \
               under `while`, or load in the `background` (no connection)";
    let steps = ["latency web added", why, "latency web lifted"];
    assert_eq!(told(&run(&[&file])), (steps.map(str::to_owned).into(), Some(4)));
}

#[test]
fn a_system_that_was_not_steady_is_not_broken() {
    let file = scenario(
        "unsteady",
        "steady:\n  - http: { get: 'http://${service.web.http}/missing' }\nsteps:\n  - fault: { kill: web }\n",
    );
    assert_eq!(told(&run(&[&file])), (Vec::new(), Some(4)));
}

#[test]
fn what_a_process_cannot_suffer_is_said_to_need_a_container() {
    let file = scenario("squeezed", "steps:\n  - fault: { memory: { service: web, limit: 64MiB } }\n");
    let why = "memory web stuck `memory` needs a container, and `web` runs as a process: run with `--runtime \
               containers`, or break its traffic (`latency`, `blackhole`, `bandwidth` …)";
    assert_eq!(told(&run(&[&file])), (vec![why.to_owned()], Some(4)));
}
