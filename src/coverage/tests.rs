use std::path::PathBuf;

use super::*;
use crate::event::{Event, FaultStage, RungSeen, Stamped, StepId};
use crate::plan::{Surroundings, read};

fn drilled(alert: &str, broken: Option<Rung>, stranger: bool) -> Drilled {
    let at = Some(Nanos::from(std::time::Duration::from_secs(314)));
    Drilled {
        alert: alert.to_owned(),
        labels: BTreeMap::new(),
        speed: 60.0,
        proof: Proof::Scaled,
        stranger,
        spent: Vec::new(),
        predicted: None,
        told_within: None,
        rungs: vec![RungSeen { rung: Rung::Firing, at, earliest: None, latest: None }],
        broken,
        told: Vec::new(),
        notes: Vec::new(),
    }
}

/// Each fault of the shipped drills of a web service, with what a run has seen of it.
fn coverage(runs: Vec<Vec<(&str, Vec<Drilled>)>>) -> Coverage {
    let reading = read(&[PathBuf::from("scenarios/drills/web.yaml")], &Surroundings::default());
    let mut seen = Seen::default();
    for (number, steps) in runs.into_iter().enumerate() {
        let (version, started) = (String::new(), String::new());
        let mut events = vec![Event::RunStarted { run: format!("run {number}"), version, started }];
        for (name, alerts) in steps {
            let (scenario, name, kind) = ("web drills".to_owned(), name.to_owned(), "fault".to_owned());
            let step = StepId { scenario, number: 1, name, kind };
            let (fault, what) = (String::new(), String::new());
            events.push(Event::Fault { step: step.clone(), fault, stage: FaultStage::Felt, what });
            let of_step = |alert| Event::Drilled { step: step.clone(), alert: Box::new(alert) };
            events.extend(alerts.into_iter().map(of_step));
        }
        seen.take(events.into_iter().map(|event| Stamped { at: 0, event }));
    }
    Coverage::of(&reading.plan.unwrap().scenarios, &seen)
}

/// `WebDown missed`, alert by alert.
fn states(coverage: &Coverage) -> Vec<String> {
    coverage.alerts.iter().map(|row| format!("{} {:?} by {}", row.alert, row.state, row.by.len())).collect()
}

#[test]
fn an_alert_is_proven_collateral_missed_or_untried() {
    let down = Drilled {
        labels: BTreeMap::from([("severity".to_owned(), "critical".to_owned())]),
        ..drilled("WebDown", None, false)
    };
    let run = vec![
        ("the service dies", vec![down, drilled("WebErrors", None, true)]),
        ("jobs pile up", vec![drilled("QueueLong", Some(Rung::Held), false)]),
    ];
    let coverage = coverage(vec![run]);
    assert_eq!(
        states(&coverage),
        ["WebDown Proven by 1", "WebErrors Collateral by 1", "QueueLong Missed by 1"]
    );
    let blind: Vec<_> = coverage.faults.iter().map(|row| (row.fault.as_str(), row.blind)).collect();
    assert_eq!(blind, [("kill web", false), ("metrics web", true)]);
}

#[test]
fn the_newest_run_of_a_step_counts() {
    let first = vec![("jobs pile up", vec![drilled("QueueLong", Some(Rung::Held), false)])];
    let second = vec![("jobs pile up", vec![drilled("QueueLong", None, false)])];
    let coverage = coverage(vec![first, second]);
    assert_eq!(
        states(&coverage),
        ["WebDown Untried by 0", "WebErrors Untried by 0", "QueueLong Proven by 1"]
    );
    assert_eq!(coverage.faults[1].run.as_deref(), Some("run 1"));
}
