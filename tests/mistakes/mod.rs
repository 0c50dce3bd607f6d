//! Which mistakes in rules a drill that was recorded would have caught, in a real Prometheus.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

use super::{Folder, folder_of};

const PILE: &str = "
scenario: jobs wait
stack: ../stack.yaml
clock: { speed: 200 }
steps:
  - { name: calm, quiet: { for: 5m } }
  - name: they pile up
    fault: { metrics: { service: web, family: queue_length, set: 250 } }
    alerts: { QueueLong: { fires: within 12m, reaches: team } }
    others: quiet
";

/// Runs firedrill where it keeps its runs in a folder of the test's own.
fn within(folder: &Folder, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    command.args(words).current_dir(&folder.0).env_remove("FIREDRILL_NO_SAVE");
    command.output().expect("firedrill runs")
}

#[test]
#[ignore = "needs prometheus and alertmanager"]
fn mistakes_in_what_is_recorded_are_tried_too() {
    let folder = folder_of("mistakes", &[("1.yaml", PILE)]);
    let rules = folder.0.join("alerts.yml");
    let text = fs::read_to_string(&rules).expect("rules can be read");
    let text = text.replace("queue_length > 100", "queue:worst > 100");
    let recorded = "\n      - { record: 'queue:all', expr: 'sum by (job) (queue_length)' }\
                    \n      - { record: 'queue:worst', expr: 'max by (job) (queue:all) > 1' }\n";
    fs::write(&rules, text + recorded).expect("rules can be written");

    let run = within(&folder, &["run", "--quiet", "--runtime", "processes", "scenarios"]);
    assert_eq!(run.status.code(), Some(0), "{}", String::from_utf8_lossy(&run.stdout));
    let output = within(&folder, &["mutate", "scenarios", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).expect("a list of mistakes");
    let fate = |rule: &str, change: &str| {
        let row = rows.iter().find(|row| row["rule"] == rule && row["change"] == change);
        let fate = row.map(|row| row["fate"].clone()).unwrap_or_default();
        fate["caught"]["how"].as_str().or(fate.as_str()).unwrap_or_default().to_owned()
    };
    for (rule, change, how) in [
        // In the alert itself, in what it looks at, and in what that is recorded from.
        ("QueueLong", "100 to 1000", "does not fire"),
        ("QueueLong", "for: 10m to for: 20m", "does not fire"),
        ("queue:worst", "> to <", "does not fire"),
        ("queue:worst", "queue:all to queue:all_typo", "does not fire"),
        ("queue:all", "queue_length to queue_length_typo", "does not fire"),
        // One queue is as long as all together, and more than one job is more than ten.
        ("queue:all", "by (job) to by (), without job", "survived"),
        ("queue:worst", "1 to 10", "survived"),
    ] {
        assert_eq!(fate(rule, change), how, "{rule}: {change}: {rows:#?}");
    }
}
