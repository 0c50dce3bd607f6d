//! What is known of one scenario that runs again and again, in bounded size: its events come in.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use super::histogram::Histogram;
use crate::event::{Conclusion, Event, Evidence, Failure, Outcome, StepId, Tally};
use crate::sample::Phase;

/// The most past runs that are shown.
pub(super) const MOST_RUNS: usize = 120;

/// The most failed runs whose evidence is kept, however long ago they were.
const MOST_FAILURES: usize = 10;

/// The most failed attempts of one run whose evidence is kept.
const MOST_ATTEMPTS: usize = 20;

/// A scenario's past.
#[derive(Debug, Default)]
pub(super) struct State {
    /// How many runs ended so.
    pub(super) conclusions: BTreeMap<Conclusion, u64>,
    /// Times it was due while it still ran.
    pub(super) missed: u64,
    /// When the run began that goes on.
    pub(super) running: Option<Timestamp>,
    /// Why it was not run when it was last due.
    pub(super) rests: Option<Rest>,
    /// Times it was due and not run as something was being worked on, and as what it depends on is down.
    pub(super) suppressed: (u64, u64),
    /// When it is due next.
    pub(super) next: Option<Timestamp>,
    /// The latest runs, the oldest first.
    pub(super) runs: VecDeque<Ran>,
    /// The latest runs that failed, the oldest first.
    pub(super) failures: VecDeque<Failed>,
    /// How long runs took.
    pub(super) took: Histogram,
    /// Its steps, by name.
    pub(super) steps: BTreeMap<String, StepState>,
    /// The failed attempts of the run that goes on.
    evidence: Vec<Evident>,
    /// Why nothing was measured in the run that goes on.
    why: Vec<String>,
    /// How often it ended badly since it last ended well.
    pub(super) failed_in_a_row: u64,
}

/// Why a scenario is not run when it is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rest {
    /// Something is being worked on.
    Maintenance {
        /// When that ends.
        until: Timestamp,
        /// What it is.
        about: Option<String>,
    },
    /// What it depends on is down.
    Dependency(String),
}

/// What is known of a step.
#[derive(Debug, Default)]
pub(super) struct StepState {
    /// Its place among the others.
    pub(super) number: usize,
    /// How often it ended so.
    pub(super) outcomes: BTreeMap<Outcome, u64>,
    /// Attempts that passed.
    pub(super) good: u64,
    /// Attempts that failed, by reason.
    pub(super) bad: BTreeMap<String, u64>,
    /// How long attempts took whose time says how fast the target is.
    pub(super) took: Histogram,
    /// How long each phase took: the sum, and of how many.
    pub(super) phases: BTreeMap<Phase, (Duration, u64)>,
    /// When the certificate expires, or has expired, that was shown last.
    pub(super) certificate: Option<Timestamp>,
}

/// A run that has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ran {
    pub(super) began: Timestamp,
    pub(super) took: Duration,
    pub(super) conclusion: Conclusion,
}

/// A run that failed, and what was seen.
#[derive(Debug, Clone)]
pub(super) struct Failed {
    pub(super) ran: Ran,
    pub(super) attempts: Vec<Evident>,
    pub(super) why: Vec<String>,
}

/// A failed attempt.
#[derive(Debug, Clone)]
pub(super) struct Evident {
    pub(super) step: String,
    pub(super) kind: String,
    pub(super) attempt: u32,
    pub(super) took: Duration,
    pub(super) failures: Vec<Failure>,
    pub(super) evidence: Evidence,
}

impl State {
    /// A run begins.
    pub(super) fn begin(&mut self, now: Timestamp) {
        self.rests = None;
        self.running = Some(now);
        self.evidence.clear();
        self.why.clear();
    }

    /// Something happened in the run.
    pub(super) fn take(&mut self, event: Event) {
        match event {
            Event::Attempted { step, attempt, took, failures, evidence } => {
                self.attempted(step, attempt, took.into(), failures, *evidence);
            }
            Event::Loaded { step, tally, failures, .. } => self.loaded(step, &tally, failures),
            Event::StepEnded { step, outcome, why, .. } => {
                let unsound = outcome == Outcome::Unreliable;
                self.why.extend(why.filter(|_| unsound).map(|why| format!("{}: {why}", step.name)));
                count(self.step(&step).outcomes.entry(outcome).or_default(), 1);
            }
            Event::NotMeasured { why, .. } => self.why.push(why),
            Event::ScenarioStarted { .. }
            | Event::RunStarted { .. }
            | Event::ServiceStarting { .. }
            | Event::ServiceReady { .. }
            | Event::StackNoted { .. }
            | Event::StepStarted { .. }
            | Event::Loading { .. }
            | Event::Drilled { .. }
            | Event::Fault { .. }
            | Event::Sampled { .. }
            | Event::Judged { .. }
            | Event::ScenarioEnded { .. }
            | Event::RunEnded { .. } => {}
        }
    }

    /// The run has ended.
    pub(super) fn end(&mut self, conclusion: Conclusion, took: Duration) {
        let Some(began) = self.running.take() else { return };
        let ran = Ran { began, took, conclusion };
        count(self.conclusions.entry(conclusion).or_default(), 1);
        self.took.record(took);
        keep(&mut self.runs, ran, MOST_RUNS);
        let (attempts, why) = (std::mem::take(&mut self.evidence), std::mem::take(&mut self.why));
        if conclusion == Conclusion::Pass {
            self.failed_in_a_row = 0;
        } else {
            count(&mut self.failed_in_a_row, 1);
            keep(&mut self.failures, Failed { ran, attempts, why }, MOST_FAILURES);
        }
    }

    /// It is due and not run.
    pub(super) fn rest(&mut self, why: Rest) {
        let (maintenance, dependency) = &mut self.suppressed;
        let counter = match why {
            Rest::Maintenance { .. } => maintenance,
            Rest::Dependency(_) => dependency,
        };
        count(counter, 1);
        self.rests = Some(why);
    }

    /// The run was broken off by us, and says nothing.
    pub(super) fn forget(&mut self) {
        self.running = None;
        self.evidence.clear();
        self.why.clear();
    }

    /// How its last run ended.
    pub(super) fn last(&self) -> Option<&Ran> {
        self.runs.back()
    }

    /// Knows these steps, by name with their places, and forgets all others.
    pub(super) fn expect(&mut self, steps: BTreeMap<&str, usize>) {
        self.steps.retain(|step, _| steps.contains_key(step.as_str()));
        for (name, number) in steps {
            self.steps.entry(name.to_owned()).or_default().number = number;
        }
    }

    fn step(&mut self, id: &StepId) -> &mut StepState {
        let step = self.steps.entry(id.name.clone()).or_default();
        step.number = id.number;
        step
    }

    fn attempted(
        &mut self,
        id: StepId,
        attempt: u32,
        took: Duration,
        failures: Vec<Failure>,
        evidence: Evidence,
    ) {
        let step = self.step(&id);
        let reason = failures.first().map(|failure| failure.reason);
        match reason {
            None => count(&mut step.good, 1),
            Some(reason) => count(step.bad.entry(reason.to_string()).or_default(), 1),
        }
        if reason.is_none_or(crate::sample::Reason::tells_latency) {
            step.took.record(took);
        }
        for (phase, time) in evidence.hops.iter().flat_map(|hop| hop.phases.iter()) {
            let (sum, times) = step.phases.entry(phase).or_default();
            *sum = sum.saturating_add(time);
            count(times, 1);
        }
        // Kept when the next attempt sees none: a peer that is down has not renewed it.
        let until = evidence.certificate_until.as_ref().and_then(|until| until.parse().ok());
        step.certificate = until.or(step.certificate);
        if !failures.is_empty() && self.evidence.len() < MOST_ATTEMPTS {
            self.evidence.push(Evident { step: id.name, kind: id.kind, attempt, took, failures, evidence });
        }
    }

    fn loaded(&mut self, id: StepId, tally: &Tally, failures: Vec<Failure>) {
        let step = self.step(&id);
        count(&mut step.good, tally.good);
        for (reason, more) in &tally.reasons {
            count(step.bad.entry(reason.clone()).or_default(), *more);
        }
        if !failures.is_empty() && self.evidence.len() < MOST_ATTEMPTS {
            let took = tally.latency.max.map(Duration::from).unwrap_or_default();
            let evidence = Evidence::default();
            self.evidence.push(Evident {
                step: id.name,
                kind: id.kind,
                attempt: 1,
                took,
                failures,
                evidence,
            });
        }
    }
}

/// Counts, and stays full rather than begin again.
pub(super) fn count(counter: &mut u64, more: u64) {
    *counter = counter.saturating_add(more);
}

fn keep<T>(all: &mut VecDeque<T>, one: T, most: usize) {
    if all.len() >= most {
        all.pop_front();
    }
    all.push_back(one);
}
