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

#[rstest]
#[case::a_probe("probe", "http: { get: 'http://${service.web.http}/missing' }")]
#[case::an_objective(
    "objective",
    "load: { rate: 50/s, for: 1s, http: { get: 'http://${service.web.http}/missing' }, thresholds: [{ errors: at most 1% }] }"
)]
fn a_system_that_was_not_steady_is_not_broken(#[case] name: &str, #[case] steady: &str) {
    let text = format!("steady:\n  - {steady}\nsteps:\n  - fault: {{ kill: web }}\n");
    let file = scenario(&format!("unsteady-{name}"), &text);
    assert_eq!(told(&run(&[&file])), (Vec::new(), Some(4)));
}

#[rstest]
#[case::quiet("up == 0", Some(0))]
#[case::an_alert_fires("up == 1", Some(4))]
#[ignore = "needs prometheus"]
fn a_system_is_steady_when_no_alert_fires(#[case] rule: &str, #[case] exit: Option<i32>) {
    let folder = std::env::temp_dir().join(format!("firedrill-quiet-{}{}", std::process::id(), &rule[6..]));
    std::fs::create_dir_all(&folder).unwrap();
    let web = Path::new("fixtures/resilience/web.yaml").canonicalize().unwrap();
    for (name, text) in [
        (
            "stack.yaml",
            format!(
                "stack: quiet\nservices:\n  web: {{ simulate: {} }}\nprometheus: {{ config: prometheus.yml }}\n",
                web.display()
            ),
        ),
        ("alerts.yml", format!("groups: [{{ name: g, rules: [{{ alert: A, expr: '{rule}' }}] }}]\n")),
        (
            "prometheus.yml",
            "global: { scrape_interval: 15s, evaluation_interval: 15s }\nrule_files: [alerts.yml]\n\
             scrape_configs: [{ job_name: web, static_configs: [{ targets: ['web:8080'] }] }]\n"
                .to_owned(),
        ),
        (
            "scenario.yaml",
            "scenario: quiet\nstack: stack.yaml\nsteady:\n  - quiet: { for: 1m }\nsteps:\n".to_owned()
                + "  - fault: { health: { service: web, status: down } }\n    while: [{ http: { get: 'http://${service.web.http}/who' } }]\n",
        ),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let output = run(&[&folder.join("scenario.yaml")]);
    let (told, code) = told(&output);
    assert_eq!(code, exit, "{told:?} {}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(told.is_empty(), exit == Some(4), "{told:?}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_stand_in_cannot_have_less() {
    let file = scenario("squeezed", "steps:\n  - fault: { memory: { service: web, limit: 64MiB } }\n");
    let why = "memory web stuck `web` gets no less: it is a stand-in, which plays in firedrill's own process";
    assert_eq!(told(&run(&[&file])), (vec![why.to_owned()], Some(4)));
}

#[rstest]
#[case::interrupt("-INT")]
#[case::terminate("-TERM")]
fn a_fault_is_lifted_when_the_run_is_stopped(#[case] signal: &str) {
    let folder = std::env::temp_dir().join(format!("firedrill-lifted-{}{signal}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let stack = Path::new("fixtures/resilience/alone.yaml").canonicalize().unwrap();
    let text = format!(
        "scenario: stopped\nstack: {}\nsteps:\n  - fault: {{ exec: {{ do: {{ shell: touch broken }}, undo: {{ shell: touch mended }} }} }}\n    \
         while:\n      - fault: {{ pause: web }}\n        while: [{{ exec: {{ shell: touch paused }} }}, {{ wait: 10m }}]\n  - wait: 10m\n",
        stack.display()
    );
    std::fs::write(folder.join("scenario.yaml"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    command
        .args(["run", "--no-save", "--runtime", "processes", "--report", "json=-"])
        .arg(folder.join("scenario.yaml"));
    let run =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !folder.join("paused").exists() {
        assert!(std::time::Instant::now() < patience, "the fault is not put in");
        std::thread::yield_now();
    }
    assert!(Command::new("kill").args([signal, &run.id().to_string()]).status().unwrap().success());
    let output = run.wait_with_output().unwrap();
    let (told, code) = told(&output);
    assert_eq!(code, Some(3), "{told:?}");
    assert!(folder.join("broken").exists() && folder.join("mended").exists(), "{told:?}");
    let lifted: Vec<_> = told.iter().filter(|line| line.ends_with("lifted")).collect();
    assert_eq!(lifted.len(), 2, "{told:?}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_a_process_is_cut_off_from_falls_silent() {
    let file = scenario(
        "cut-off",
        "steps:\n  - fault: { disconnect: web }\n    while:\n      - { exec: { command: [curl, -s, -m, '0.3', 'http://${service.web.http}/who'] }, expect: { exit: 28 } }\n    then:\n      - http: { get: 'http://${service.web.http}/who' }\n",
    );
    let steps = ["disconnect web added", "disconnect web felt `web` is cut off", "disconnect web lifted"];
    assert_eq!(told(&run(&[&file])), (steps.map(str::to_owned).into(), Some(0)));
}

#[test]
fn what_a_process_cannot_suffer_is_said_to_need_a_container() {
    let file = scenario("worse-network", "steps:\n  - fault: { netem: { service: web, loss: 10% } }\n");
    let why = "netem web stuck `netem` needs a container, and `web` runs as a process: run with `--runtime \
               containers`, or break its traffic (`latency`, `blackhole`, `bandwidth` …)";
    assert_eq!(told(&run(&[&file])), (vec![why.to_owned()], Some(4)));
}

#[rstest]
#[case::processor("cpu: { service: worker, limit: 0.1 }", "cpu")]
#[case::memory("memory: { service: worker, limit: 64MiB }", "memory")]
#[ignore = "needs to be root, and control groups"]
fn a_process_has_less_in_a_group_of_its_own(#[case] fault: &str, #[case] kind: &str) {
    let folder = std::env::temp_dir().join(format!("firedrill-less-{}-{kind}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(
        folder.join("stack.yaml"),
        "stack: less\nservices:\n  worker: { process: [sh, -c, 'echo $$ > pid; sleep 600 & wait'] }\n",
    )
    .unwrap();
    let within =
        "{ exec: { shell: 'grep -q firedrill. /proc/$(cat ${service.worker.dir}/pid)/cgroup' }, within: 5s";
    let text = format!(
        "scenario: less\nstack: stack.yaml\nsteps:\n  - fault: {{ {fault} }}\n    while: [{within} }}]\n    then: [{within}, expect: {{ exit: 1 }} }}]\n"
    );
    std::fs::write(folder.join("scenario.yaml"), text).unwrap();
    let output = run(&[&folder.join("scenario.yaml")]);
    let (told, code) = told(&output);
    let steps = ["added", "felt `worker` has less", "lifted"].map(|stage| format!("{kind} worker {stage}"));
    assert_eq!((told, code), (steps.into(), Some(0)), "{}", String::from_utf8_lossy(&output.stdout));
    std::fs::remove_dir_all(&folder).unwrap();
}
