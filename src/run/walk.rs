//! One step: tried as often as it may be, every attempt kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::drill::Ground;
use super::fire;
use super::slis::Slis;
use super::warm::Spells;
use crate::event::{Event, Outcome, Sender, StepId};
use crate::load::Shard;
use crate::probe::attempt::{Attempt, Session, attempt};
use crate::sample::Reason;
use crate::scenario::predicate::Predicate;
use crate::scenario::probe::Probe;
use crate::scenario::step::{Does, Patience, Role, Step};
use crate::scenario::subject::Subject;
use crate::scenario::template::{Scope, Shape, Template, Unset};
use crate::sli::Sli;
use crate::source::{At, Sources};
use crate::stack::Running;

/// Walks steps with what they share.
#[derive(Debug)]
pub(super) struct Walker {
    pub(super) scenario: String,
    pub(super) sources: Arc<Sources>,
    pub(super) sender: Sender,
    pub(super) stop: CancellationToken,
    pub(super) scope: Scope,
    pub(super) session: Session,
    pub(super) slis: Slis,
    /// The step that captures each name.
    pub(super) givers: Arc<BTreeMap<String, String>>,
    /// What faults break.
    pub(super) stack: Option<Arc<Running>>,
    /// What drills measure with, where the stack has a Prometheus.
    pub(super) ground: Option<Arc<Ground>>,
    /// The quiet spells that were held for all who share the stack.
    pub(super) spells: Spells,
    /// How many receivers misbehave.
    pub(super) estranged: usize,
    /// How steps within others ended.
    pub(super) within: Vec<Outcome>,
    /// Whether everything that was to be measured could be.
    pub(super) measured: bool,
    /// Whether the system was found steady, as far as that was asked.
    pub(super) steady: bool,
    /// Which part of every load is made here.
    pub(super) shard: Shard,
}

impl Walker {
    /// The hosts of the scenario's own stack.
    pub(super) fn own_hosts(&self) -> impl Iterator<Item = String> {
        let variables = self.stack.iter().flat_map(|stack| stack.variables());
        let of_host = |(variable, value): (String, String)| {
            (variable.rsplit('.').next() == Some("host")).then_some(value)
        };
        variables.filter_map(of_host)
    }

    /// A walker of the same scenario with cookies and captures of its own.
    pub(super) fn apart(&self) -> Self {
        Self {
            scenario: self.scenario.clone(),
            sources: Arc::clone(&self.sources),
            sender: self.sender.clone(),
            stop: self.stop.clone(),
            scope: self.scope.clone(),
            session: self.session.apart(),
            slis: self.slis.clone(),
            givers: Arc::clone(&self.givers),
            stack: self.stack.clone(),
            ground: self.ground.clone(),
            spells: self.spells.clone(),
            estranged: 0,
            within: Vec::new(),
            measured: true,
            steady: true,
            shard: self.shard,
        }
    }

    /// Takes a step, in its turn or behind the others, and says how it ended; `None` where nothing is told of it.
    pub(super) async fn take(&mut self, number: usize, step: &Step, background: bool) -> Option<Outcome> {
        if let Does::Set(vars) = &step.does {
            return self.set(vars);
        }
        let id = step_id(&self.scenario, number, step);
        self.sender.send(Event::StepStarted { step: id.clone(), background });
        let began = Instant::now();
        let (outcome, attempts, why) = match self.hindrance(step) {
            Some(why) => (Outcome::Skipped, 0, Some(why)),
            None => match &step.does {
                Does::Wait(span) => {
                    self.sleep(*span).await;
                    (Outcome::Passed, 1, None)
                }
                Does::Quiet(wanted) => {
                    let (outcome, why) = self.watch_quiet(&id, wanted).await;
                    (outcome, 1, why)
                }
                Does::Monitoring(asked) => {
                    let (outcome, why) = self.ask_monitoring(&id, asked).await;
                    (outcome, 1, why)
                }
                Does::Load(load) => {
                    let (outcome, why) = fire::fire(self, &id, step, load).await;
                    (outcome, 1, why)
                }
                Does::Probe(probe) => self.try_step(&id, step, probe).await,
                Does::Fault(fault) => {
                    let (outcome, why) = self.hold(id.clone(), fault).await;
                    (outcome, 1, why)
                }
                Does::Use(_) | Does::Set(_) => (Outcome::Passed, 0, None),
            },
        };
        let (outcome, why) = self.weigh(step, outcome, why);
        self.sender.send(Event::StepEnded { step: id, outcome, attempts, took: began.elapsed().into(), why });
        Some(outcome)
    }

    /// What a step's end means for the scenario: one that was not steady before it was broken shows nothing.
    fn weigh(&mut self, step: &Step, outcome: Outcome, why: Option<String>) -> (Outcome, Option<String>) {
        if step.role != Role::SteadyBefore || outcome != Outcome::Failed {
            return (outcome, why);
        }
        if self.steady {
            let why = format!("the system was not steady before anything was broken: `{}` failed", step.name);
            self.sender.send(Event::NotMeasured { scenario: self.scenario.clone(), why });
        }
        (self.steady, self.measured) = (false, false);
        (Outcome::Unreliable, Some("not steady before anything was broken".to_owned()))
    }

    /// Gives variables to the steps after it. One that needs what was not given stays without a value.
    fn set(&mut self, vars: &[(At<String>, At<Shape>)]) -> Option<Outcome> {
        let mut outcome = None;
        for (name, shape) in vars {
            match shape.value(&self.scope) {
                Ok(value) => self.scope.set(name.value.as_str(), value),
                Err(Unset::Name(_)) => {}
                Err(too_long @ Unset::TooLong) => {
                    let why = format!("variable `{name}`: {too_long}");
                    self.sender.send(Event::NotMeasured { scenario: self.scenario.clone(), why });
                    outcome = Some(Outcome::Unreliable);
                }
            }
        }
        outcome
    }

    /// Why the step is not done: its condition does not hold, or a step before it did not give what it needs.
    fn hindrance(&self, step: &Step) -> Option<String> {
        if !self.steady && step.role != Role::SteadyBefore {
            return Some("the system was not steady before anything was broken".to_owned());
        }
        let holds = |(template, predicate): &(At<Template>, At<Predicate>)| {
            let value = template.value(&self.scope).ok();
            let subject = value.as_ref().map_or(Subject::Absent, Subject::Json);
            predicate
                .test(subject, &self.scope)
                .err()
                .map(|unmet| format!("{} is {}, not {}", template.value, unmet.got, unmet.wanted))
        };
        if let Some(why) = step.when.iter().find_map(holds) {
            return Some(why);
        }
        let missing =
            step.needs().find(|(hole, _)| hole.default.is_none() && self.scope.get(&hole.name).is_none());
        missing.map(|(hole, _)| match self.givers.get(&hole.name) {
            Some(giver) => format!("`{giver}` did not give `{}`", hole.name),
            None => format!("`{}` has no value", hole.name),
        })
    }

    /// Attempts, until one passes or patience ends.
    async fn try_step(&mut self, id: &StepId, step: &Step, probe: &Probe) -> (Outcome, u32, Option<String>) {
        let began = Instant::now();
        let mut number = 0;
        loop {
            number += 1;
            let timeout = match step.patience {
                Patience::Once | Patience::Retry { .. } => step.timeout,
                Patience::Within { limit, .. } => step.timeout.min(limit.saturating_sub(began.elapsed())),
            };
            // On the heap: it holds a whole conversation, and everything above would hold it too.
            let attempt = Box::pin(attempt(step, probe, timeout, &self.scope, &mut self.session));
            let made = match self.stop.run_until_cancelled(attempt).await {
                Some(Ok(made)) => made,
                Some(Err(unset)) => return (Outcome::Skipped, number - 1, Some(unset.to_string())),
                None => return (Outcome::Skipped, number - 1, Some("the run was stopped".to_owned())),
            };
            made.trace.iter().for_each(|(name, value)| self.scope.set(*name, value.as_str()));
            let passed = made.breaches.is_empty();
            let next = (!passed).then(|| pause(step.patience, number, began.elapsed())).flatten();
            let waits = matches!(step.patience, Patience::Within { .. });
            // Failing while something is waited for is expected; only how the wait ended counts.
            if !waits || next.is_none() {
                self.feed(step, &made);
            }
            self.report(id, number, &made);
            if passed {
                self.keep(made);
                let flaky = number > 1 && !waits;
                return (if flaky { Outcome::Flaky } else { Outcome::Passed }, number, None);
            }
            match next {
                Some(pause) if !self.stop.is_cancelled() => self.sleep(pause).await,
                Some(_) | None => return (Outcome::Failed, number, None),
            }
        }
    }

    /// Sleeps, unless the run is stopped first.
    pub(super) async fn sleep(&self, time: Duration) {
        let _ = self.stop.run_until_cancelled(tokio::time::sleep(time)).await;
    }

    fn feed(&self, step: &Step, made: &Attempt) {
        let Some(name) = &step.sli else { return };
        let mut sample: Sli = self.slis.empty(name);
        let outcome = made.breaches.first().map_or(Ok(()), |breach| Err(breach.reason));
        let telling = outcome.err().is_none_or(Reason::tells_latency);
        sample.record(outcome, telling.then_some(made.took));
        self.slis.fold(name, &sample);
    }

    fn report(&self, id: &StepId, number: u32, made: &Attempt) {
        // Known to the mask before they are shown for the first time.
        made.captured.iter().filter(|(.., secret)| *secret).for_each(|(_, value, _)| self.scope.hide(value));
        self.sender.send(Event::Attempted {
            step: id.clone(),
            attempt: number,
            took: made.took.into(),
            failures: made.breaches.iter().map(|breach| breach.draw(&self.sources)).collect(),
            evidence: Box::new(made.evidence.clone()),
        });
    }

    fn keep(&mut self, made: Attempt) {
        for (name, value, secret) in made.captured {
            if secret {
                self.scope.set_secret(name, value);
            } else {
                self.scope.set(name, value);
            }
        }
    }
}

/// How events name a step.
pub(super) fn step_id(scenario: &str, number: usize, step: &Step) -> StepId {
    let kind = step.does.kind().to_owned();
    StepId { scenario: scenario.to_owned(), number, name: step.name.clone(), kind }
}

/// How long to wait before the next attempt, if there is to be one.
fn pause(patience: Patience, made: u32, elapsed: Duration) -> Option<Duration> {
    match patience {
        Patience::Once => None,
        Patience::Retry { attempts, every } => (made < attempts).then_some(every),
        // What is left after the pause must be worth an attempt, or its failure would tell of our haste.
        Patience::Within { limit, every } => (elapsed + every < limit).then_some(every),
    }
}
