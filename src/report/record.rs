//! What a run has said so far, scenario by scenario: what reports that look back are written from.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::event::{
    Conclusion, Drilled, Event, Evidence, Failure, FaultStage, Nanos, Outcome, Part, Quantiles, Stamped,
    StepId, Tally,
};
use crate::finding::Drawing;
use crate::gate::{Decision, Judgement, Verdict};
use crate::sli::{Folded, Sli};

/// Attempts of one step that are kept, the latest ones: a step may try for minutes.
const ATTEMPTS_KEPT: usize = 16;

/// Moments of one load that are kept; of a longer one each stands for several seconds.
const MOMENTS_KEPT: usize = 600;

/// A run, as far as it is known.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// Its name, its version and its beginning; empty before it started.
    pub(crate) id: String,
    pub(crate) version: String,
    pub(crate) started: String,
    /// In the order they began.
    pub(crate) scenarios: Vec<Scenario>,
    /// Absent while it runs, and if it was cut off.
    pub(crate) end: Option<RunEnd>,
    /// When the last event happened, since the run started.
    pub(crate) latest: Duration,
    /// Whether all latencies of load are kept, which takes a while and some memory.
    keeps_latencies: bool,
}

/// How a run ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunEnd {
    pub(crate) conclusion: Conclusion,
    pub(crate) took: Duration,
    pub(crate) interrupted: bool,
}

/// One scenario of it.
#[derive(Debug, Default)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) about: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    /// When it began, since the run started.
    pub(crate) began: Duration,
    /// The steps it said it would take.
    pub(crate) planned: Vec<StepId>,
    /// Services that came up.
    pub(crate) services: Vec<Service>,
    /// What is worth knowing of its stack.
    pub(crate) notes: Vec<String>,
    /// Steps begun or skipped, background steps first.
    pub(crate) steps: BTreeMap<usize, Step>,
    /// Numbers of steps in the order they ended.
    pub(crate) ended_steps: Vec<usize>,
    pub(crate) slos: Vec<Slo>,
    /// What fed each SLI.
    pub(crate) slis: BTreeMap<String, Folded>,
    /// Why nothing can be said about the target.
    pub(crate) not_measured: Vec<String>,
    pub(crate) end: Option<(Conclusion, Duration)>,
}

/// A service that can be used.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) took: Duration,
}

/// One step of a scenario.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) id: StepId,
    /// When it began, since the run started.
    pub(crate) began: Duration,
    /// The latest attempts, oldest first.
    pub(crate) attempts: VecDeque<Attempt>,
    /// What load came to, or has come to so far.
    pub(crate) tally: Option<Tally>,
    /// Each of the things that load asked, where there was more than one.
    pub(crate) parts: Vec<Part>,
    /// What was wrong with load, a few of each reason.
    pub(crate) load_failures: Vec<Failure>,
    /// What was seen of one of them.
    pub(crate) load_sample: Option<Evidence>,
    /// The SLI that load fed.
    pub(crate) sli: Option<String>,
    /// How load went, in order.
    pub(crate) moments: Vec<Moment>,
    /// The latencies of load, where the run keeps them.
    pub(crate) latencies: Option<Box<Sli>>,
    /// What was broken and mended, in order.
    pub(crate) faults: Vec<FaultSeen>,
    /// Alerts of a drill.
    pub(crate) drilled: Vec<Drilled>,
    pub(crate) end: Option<StepEnd>,
}

/// How far load was at a moment, and how slow since the one before.
#[derive(Debug, Clone)]
pub(crate) struct Moment {
    /// Since the load began.
    pub(crate) elapsed: Duration,
    /// Attempts that had ended, and how many of them were good.
    pub(crate) ended: u64,
    pub(crate) good: u64,
    /// Latency since the moment before.
    pub(crate) recent: Quantiles,
}

/// Something that was broken or mended.
#[derive(Debug, Clone)]
pub(crate) struct FaultSeen {
    /// Since the run started.
    pub(crate) at: Duration,
    /// What is broken: `latency web`.
    pub(crate) fault: String,
    pub(crate) stage: FaultStage,
    pub(crate) what: String,
}

/// One attempt of a step.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) number: u32,
    pub(crate) took: Duration,
    pub(crate) failures: Vec<Failure>,
    pub(crate) evidence: Evidence,
}

/// How a step ended.
#[derive(Debug, Clone)]
pub(crate) struct StepEnd {
    pub(crate) outcome: Outcome,
    pub(crate) attempts: u32,
    pub(crate) took: Duration,
    pub(crate) why: Option<String>,
}

/// An objective and what was found.
#[derive(Debug)]
pub(crate) struct Slo {
    pub(crate) name: String,
    pub(crate) objective: String,
    pub(crate) judgement: Judgement,
    pub(crate) drawing: Drawing,
    /// What a gate made of it.
    pub(crate) decision: Option<Box<Decision>>,
}

impl Slo {
    /// The verdict that counts.
    pub(crate) fn verdict(&self) -> Verdict {
        self.decision.as_ref().map_or(self.judgement.verdict, |decision| decision.effective())
    }

    /// Why, in a sentence.
    pub(crate) fn said(&self) -> String {
        self.decision.as_ref().map_or_else(|| self.judgement.to_string(), |decision| decision.said())
    }

    /// What else there is to know, a line each.
    pub(crate) fn details(&self) -> Vec<String> {
        self.decision.as_ref().map(|decision| decision.details()).unwrap_or_default()
    }
}

impl Run {
    /// A run of which nothing is known yet, and which keeps all latencies of its load.
    pub(crate) fn keeping_latencies() -> Self {
        Self { keeps_latencies: true, ..Self::default() }
    }

    /// Takes in what happened next.
    pub(crate) fn take(&mut self, stamped: &Stamped) {
        let at = Duration::from_nanos(stamped.at);
        self.latest = self.latest.max(at);
        match &stamped.event {
            Event::RunStarted { run, version, started } => {
                (self.id, self.version, self.started) = (run.clone(), version.clone(), started.clone());
            }
            Event::ScenarioStarted { scenario, file, about, labels, steps } => {
                let entry = self.scenario(scenario, at);
                (entry.file, entry.about) = (file.clone(), about.clone());
                (entry.labels, entry.planned) = (labels.clone(), steps.clone());
                (entry.began, entry.end) = (at, None);
            }
            Event::StackNoted { scenario, note } => self.scenario(scenario, at).notes.push(note.clone()),
            Event::ServiceStarting { .. } | Event::RunEnded { cut: true, .. } => {}
            Event::Sampled { scenario, sli, minute: _, samples } => {
                self.scenario(scenario, at).slis.entry(sli.clone()).or_default().merge(samples);
            }
            Event::ServiceReady { scenario, service, address, took } => {
                let (name, address, took) = (service.clone(), address.clone(), Duration::from(*took));
                self.scenario(scenario, at).services.push(Service { name, address, took });
            }
            Event::NotMeasured { scenario, why } => self.not_measured(scenario, why, at),
            Event::StepStarted { .. }
            | Event::Attempted { .. }
            | Event::Loading { .. }
            | Event::Loaded { .. }
            | Event::Drilled { .. }
            | Event::Fault { .. }
            | Event::StepEnded { .. } => self.take_of_step(&stamped.event, at),
            Event::Judged { scenario, slo, objective, judgement, drawing, decision } => {
                let slo = Slo {
                    name: slo.clone(),
                    objective: objective.clone(),
                    judgement: *judgement,
                    drawing: drawing.clone(),
                    decision: decision.clone(),
                };
                self.scenario(scenario, at).slos.push(slo);
            }
            Event::ScenarioEnded { scenario, conclusion, took } => {
                self.scenario(scenario, at).end = Some((*conclusion, (*took).into()));
            }
            Event::RunEnded { conclusion, took, interrupted, cut: false } => {
                let (conclusion, took) = (*conclusion, Duration::from(*took));
                self.end = Some(RunEnd { conclusion, took, interrupted: *interrupted });
            }
        }
    }

    /// Takes in what happened to a step.
    fn take_of_step(&mut self, event: &Event, at: Duration) {
        match event {
            Event::Fault { step, fault, stage, what } => {
                let seen = FaultSeen { at, fault: fault.clone(), stage: *stage, what: what.clone() };
                self.step(step, at).faults.push(seen);
            }
            Event::StepStarted { step, background: _ } => self.step(step, at).began = at,
            Event::Attempted { step, attempt, took, failures, evidence } => {
                let attempt = Attempt {
                    number: *attempt,
                    took: (*took).into(),
                    failures: failures.clone(),
                    evidence: (**evidence).clone(),
                };
                self.step(step, at).attempted(attempt);
            }
            Event::Loading { step, elapsed, length: _, tally, recent, interval } => {
                let (elapsed, recent) = ((*elapsed).into(), recent.clone());
                let packed = interval.as_ref().filter(|_| self.keeps_latencies);
                let step = self.step(step, at);
                if let Some(interval) = packed {
                    // What cannot be read is missing, and so nothing is shown by it.
                    let _ = step.latencies.get_or_insert_default().add_packed(&interval.latency);
                }
                step.passed(Moment { elapsed, ended: tally.ended, good: tally.good, recent });
                step.tally = Some(tally.clone());
            }
            Event::Loaded { step, tally, failures, samples, sli, parts, shard: _ } => {
                let step = self.step(step, at);
                step.parts.clone_from(parts);
                step.tally = Some(tally.clone());
                step.sli.clone_from(sli);
                step.load_failures.clone_from(failures);
                step.load_sample = samples.first().map(|sample| sample.evidence.clone());
            }
            Event::Drilled { step, alert } => self.step(step, at).drilled.push((**alert).clone()),
            Event::StepEnded { step, outcome, attempts, took, why } => {
                let took = Duration::from(*took);
                let end = StepEnd { outcome: *outcome, attempts: *attempts, took, why: why.clone() };
                self.step(step, at).end = Some(end);
                self.scenario(&step.scenario, at).ended_steps.push(step.number);
            }
            Event::RunStarted { .. }
            | Event::ScenarioStarted { .. }
            | Event::ServiceStarting { .. }
            | Event::ServiceReady { .. }
            | Event::StackNoted { .. }
            | Event::NotMeasured { .. }
            | Event::Sampled { .. }
            | Event::Judged { .. }
            | Event::ScenarioEnded { .. }
            | Event::RunEnded { .. } => {}
        }
    }

    /// The scenario of that name, which begins `at` if it is new.
    fn scenario(&mut self, name: &str, at: Duration) -> &mut Scenario {
        let index = self.scenarios.iter().position(|scenario| scenario.name == name).unwrap_or_else(|| {
            self.scenarios.push(Scenario { name: name.to_owned(), began: at, ..Scenario::default() });
            self.scenarios.len() - 1
        });
        &mut self.scenarios[index]
    }

    fn step(&mut self, id: &StepId, at: Duration) -> &mut Step {
        self.scenario(&id.scenario, at).steps.entry(id.number).or_insert_with(|| Step::new(id.clone(), at))
    }

    /// A scenario of which nothing else was said has ended with it.
    fn not_measured(&mut self, name: &str, why: &str, at: Duration) {
        let known = self.scenarios.iter().any(|scenario| scenario.name == name);
        let scenario = self.scenario(name, at);
        scenario.not_measured.push(why.to_owned());
        if !known {
            scenario.end = Some((Conclusion::NotMeasured, Duration::ZERO));
        }
    }
}

impl Scenario {
    /// How it ended. One that did not end has failed if something in it has, and says nothing else of its target.
    pub(crate) fn conclusion(&self) -> Conclusion {
        let failed = || {
            let missed = self.slos.iter().any(|slo| slo.verdict() == Verdict::Fail);
            missed || self.steps_that(Outcome::Failed).next().is_some()
        };
        match self.end {
            Some((conclusion, _)) => conclusion,
            None if failed() => Conclusion::Fail,
            None => Conclusion::NotMeasured,
        }
    }

    /// Steps that ended so, in the order they ended.
    pub(crate) fn steps_that(&self, outcome: Outcome) -> impl Iterator<Item = &Step> {
        let ended = self.ended_steps.iter().filter_map(|number| self.steps.get(number));
        ended.filter(move |step| step.end.as_ref().is_some_and(|end| end.outcome == outcome))
    }

    /// Steps that began and did not end.
    pub(crate) fn steps_under_way(&self) -> impl Iterator<Item = &Step> {
        self.steps.values().filter(|step| step.end.is_none())
    }

    /// Objectives that were not met, or not shown to be.
    pub(crate) fn slos_not_met(&self) -> impl Iterator<Item = &Slo> {
        self.slos.iter().filter(|slo| !matches!(slo.verdict(), Verdict::Pass))
    }
}

impl Step {
    fn new(id: StepId, began: Duration) -> Self {
        Self {
            id,
            began,
            attempts: VecDeque::new(),
            tally: None,
            parts: Vec::new(),
            load_failures: Vec::new(),
            load_sample: None,
            sli: None,
            moments: Vec::new(),
            latencies: None,
            faults: Vec::new(),
            drilled: Vec::new(),
            end: None,
        }
    }

    /// Notes how load is going; when that is noted too often, two moments become one, and the slower counts.
    fn passed(&mut self, moment: Moment) {
        self.moments.push(moment);
        if self.moments.len() < MOMENTS_KEPT {
            return;
        }
        let pairs = self.moments.chunks(2).map(|pair| {
            let slower =
                |of: fn(&Quantiles) -> Option<Nanos>| pair.iter().filter_map(|one| of(&one.recent)).max();
            let recent = Quantiles {
                p50: slower(|recent| recent.p50),
                p90: slower(|recent| recent.p90),
                p99: slower(|recent| recent.p99),
                p999: slower(|recent| recent.p999),
                max: slower(|recent| recent.max),
            };
            let last = &pair[pair.len() - 1];
            Moment { recent, ..last.clone() }
        });
        self.moments = pairs.collect();
    }

    fn attempted(&mut self, attempt: Attempt) {
        if self.attempts.len() == ATTEMPTS_KEPT {
            self.attempts.pop_front();
        }
        self.attempts.push_back(attempt);
    }

    /// What was wrong in the end: with the last attempt, or with load.
    pub(crate) fn failures(&self) -> &[Failure] {
        match self.attempts.back() {
            Some(last) if self.load_failures.is_empty() => &last.failures,
            Some(_) | None => &self.load_failures,
        }
    }

    /// What was seen last.
    pub(crate) fn evidence(&self) -> Option<&Evidence> {
        self.attempts.back().map(|last| &last.evidence).or(self.load_sample.as_ref())
    }
}

impl Attempt {
    /// Whether anything was wrong with it.
    pub(crate) fn failed(&self) -> bool {
        !self.failures.is_empty()
    }
}

/// A time that may not have been measured.
pub(crate) fn time(nanos: Option<Nanos>) -> Option<Duration> {
    nanos.map(Duration::from)
}
