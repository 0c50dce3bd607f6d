//! Drills against real Prometheus and Alertmanager: what works is timed, and what does not is named by its rung.
#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rstest::rstest;

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

const KILL: &str = "  - fault: { kill: web }\n    alerts: { WebDown: { reaches: pager } }\n";
const PILE: &str = "  - fault: { metrics: { service: web, family: queue_length, set: 250 } }\n    alerts: { QueueLong: { reaches: team } }\n";

#[test]
#[ignore = "needs prometheus and alertmanager"]
fn every_drill_of_the_web_service_passes() {
    let output = run(Path::new("scenarios/drills/web.yaml"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
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
