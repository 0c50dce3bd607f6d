//! The families of scenarios and their steps.

use jiff::Timestamp;

use super::{labels, push, seconds, word};
use crate::event::Conclusion;
use crate::exposition::{Family, Kind, Labels};
use crate::serve::histogram::{family, number};
use crate::serve::state::State;
use crate::serve::watch::Watch;

/// The families of scenarios and their steps, filled one scenario at a time.
struct Scenarios {
    runs: Family,
    passed: Family,
    took: Family,
    last: Family,
    every: Family,
    missed: Family,
    in_a_row: Family,
    outcomes: Family,
    attempts: Family,
    failures: Family,
    latency: Family,
    phases: Family,
    certificates: Family,
    info: Family,
    suppressed: Family,
    maintained: Family,
}

pub(super) fn families(watches: &[Watch], location: Option<&str>) -> Vec<Family> {
    let now = Timestamp::now();
    let mut all = Scenarios::none();
    for watch in watches {
        all.add(watch, &watch.state(), location, now);
    }
    all.into()
}

impl From<Scenarios> for Vec<Family> {
    fn from(all: Scenarios) -> Self {
        let Scenarios { runs, passed, took, last, every, missed, in_a_row, .. } = all;
        let Scenarios { outcomes, attempts, failures, latency, phases, certificates, info, .. } = all;
        let Scenarios { suppressed, maintained, .. } = all;
        let of_runs = [runs, passed, took, last, every, missed, in_a_row, suppressed, maintained];
        let of_steps = [outcomes, attempts, failures, latency, phases, certificates, info];
        of_runs.into_iter().chain(of_steps).collect()
    }
}

impl Scenarios {
    /// None is known yet.
    fn none() -> Self {
        let counter = |name, help| family(name, Kind::Counter, help);
        let gauge = |name, help| family(name, Kind::Gauge, help);
        let histogram = |name, help| family(name, Kind::Histogram, help);
        Self {
            runs: counter("firedrill_scenario_runs", "Runs of a scenario that have ended, by how."),
            passed: gauge("firedrill_scenario_passed", "Whether the last run of a scenario passed."),
            took: histogram("firedrill_scenario_duration_seconds", "How long runs of a scenario took."),
            last: gauge(
                "firedrill_scenario_last_run_timestamp_seconds",
                "When the last run began that has ended.",
            ),
            every: gauge("firedrill_scenario_interval_seconds", "How often a scenario is due."),
            missed: counter("firedrill_schedule_missed", "Times a scenario was due while it still ran."),
            in_a_row: gauge("firedrill_scenario_failed_in_a_row", "Runs since a scenario last passed."),
            outcomes: counter("firedrill_step_outcomes", "Steps that have ended, by how."),
            attempts: counter("firedrill_step_attempts", "Attempts of a step, good and bad."),
            failures: counter(
                "firedrill_step_failures",
                "Attempts of a step that failed, by the one reason.",
            ),
            latency: histogram(
                "firedrill_step_latency_seconds",
                "How long attempts took that passed, were too slow or ran out of time.",
            ),
            phases: family(
                "firedrill_step_phase_seconds",
                Kind::Summary,
                "How long each phase of attempts took.",
            ),
            certificates: gauge(
                "firedrill_certificate_expiry_timestamp_seconds",
                "When the certificate expires, or has expired, that a step was shown last.",
            ),
            info: family("firedrill_scenario", Kind::Info, "The labels that a scenario's file gives it."),
            suppressed: counter(
                "firedrill_schedule_suppressed",
                "Times a scenario was due and not run, by why.",
            ),
            maintained: gauge("firedrill_scenario_maintenance", "Whether a scenario's maintenance lasts."),
        }
    }

    fn add(&mut self, watch: &Watch, state: &State, location: Option<&str>, now: Timestamp) {
        let scenario = labels([("scenario", &watch.name)]);
        // Every series is there from the start: one that comes to be with its first failure has no increase.
        for conclusion in
            [Conclusion::Pass, Conclusion::Fail, Conclusion::Inconclusive, Conclusion::NotMeasured]
        {
            let labels = labels([("scenario", &watch.name), ("conclusion", word(conclusion))]);
            let runs = state.conclusions.get(&conclusion).copied().unwrap_or_default();
            push(&mut self.runs, "_total", labels, number(runs));
        }
        if let Some(last) = state.last() {
            let passed = f64::from(u8::from(last.conclusion == Conclusion::Pass));
            push(&mut self.passed, "", scenario.clone(), passed);
            push(&mut self.last, "", scenario.clone(), seconds(last.began));
        }
        state.took.show(&mut self.took, &scenario);
        push(&mut self.every, "", scenario.clone(), watch.scene.every.as_secs_f64());
        push(&mut self.missed, "_total", scenario.clone(), number(state.missed));
        push(&mut self.in_a_row, "", scenario.clone(), number(state.failed_in_a_row));
        let (maintenance, dependency) = state.suppressed;
        for (why, times) in [("maintenance", maintenance), ("dependency", dependency)] {
            let labels = labels([("scenario", &watch.name), ("why", why)]);
            push(&mut self.suppressed, "_total", labels, number(times));
        }
        push(&mut self.maintained, "", scenario, f64::from(u8::from(watch.is_maintained(now))));
        self.add_steps(watch, state);
        let Some(planned) = watch.scene.planned() else { return };
        let mut told: Labels = planned
            .scenario
            .labels
            .iter()
            .map(|(name, value)| (format!("label_{}", fit(name)), value.clone()))
            .collect();
        told.insert("scenario".to_owned(), watch.name.clone());
        told.extend(location.map(|here| ("location".to_owned(), here.to_owned())));
        push(&mut self.info, "_info", told, 1.0);
    }

    fn add_steps(&mut self, watch: &Watch, state: &State) {
        for (name, step) in &state.steps {
            let own = labels([("scenario", &watch.name), ("step", name)]);
            let with = |name: &str, value: &str| {
                let mut own = own.clone();
                own.insert(name.to_owned(), value.to_owned());
                own
            };
            for (outcome, times) in &step.outcomes {
                push(&mut self.outcomes, "_total", with("outcome", outcome.word()), number(*times));
            }
            let bad = step.bad.values().fold(0u64, |sum, times| sum.saturating_add(*times));
            push(&mut self.attempts, "_total", with("result", "good"), number(step.good));
            push(&mut self.attempts, "_total", with("result", "bad"), number(bad));
            for (reason, times) in &step.bad {
                push(&mut self.failures, "_total", with("reason", reason), number(*times));
            }
            step.took.show(&mut self.latency, &own);
            for (phase, (sum, times)) in &step.phases {
                push(&mut self.phases, "_sum", with("phase", phase.name()), sum.as_secs_f64());
                push(&mut self.phases, "_count", with("phase", phase.name()), number(*times));
            }
            if let Some(until) = step.certificate {
                push(&mut self.certificates, "", own.clone(), seconds(until));
            }
        }
    }
}

/// A label's name of what a file calls it.
fn fit(name: &str) -> String {
    name.chars().map(|sign| if sign.is_ascii_alphanumeric() { sign } else { '_' }).collect()
}
