//! Walks a plan and owns the order of things: stack up, steps, objectives, stack down.

mod battery;
pub mod control;
mod dilate;
mod drill;
mod fault;
mod fire;
mod flow;
mod gone;
mod hold;
mod judge;
mod kept;
mod monitoring;
mod receiver;
mod slis;
mod sockets;
mod squeeze;
mod threshold;
mod walk;
mod warm;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::drill::Ground;
use self::slis::{Clock, Slis};
use self::walk::Walker;
use self::warm::{Kept, Spells, Warm, chains, share};
use crate::event::{Conclusion, Event, Outcome, Sender, StepId};
use crate::load::Shard;
use crate::plan::{Plan, Planned};
use crate::probe::attempt::Session;
use crate::probe::logs::tail::Marks;
use crate::probe::policy::Policy;
use crate::probe::trust::Keyring;
use crate::scenario;
use crate::scenario::monitoring::Monitoring;
use crate::scenario::step::{Does, Step};
use crate::source::Sources;
use crate::stack::containers::ImageMap;
use crate::stack::{self, Choice, Notices, Running, Speed};

/// What a run needs besides its plan.
#[derive(Debug, Clone)]
pub struct Options {
    /// Tells this run from others.
    pub id: String,
    /// When it started.
    pub started: Timestamp,
    /// Makes what is random repeatable.
    pub seed: u64,
    /// Which addresses its probes may connect to.
    pub policy: Arc<Policy>,
    /// Whether each attempt begins a trace, also where its step does not ask for one.
    pub traced: bool,
    /// How the services of stacks are run.
    pub runtime: Choice,
    /// What is used in place of images.
    pub images: ImageMap,
    /// Which part of every load is made here.
    pub shard: Shard,
    /// The firedrill program itself, which stands over the processes of a stack.
    pub program: PathBuf,
    /// The files in each of which what drills have seen is kept.
    pub recordings: Vec<PathBuf>,
    /// How many scenarios run side by side at most.
    pub jobs: Jobs,
}

/// A number of scenarios that may run at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jobs(NonZeroUsize);

impl Jobs {
    /// One after another.
    pub const ONE: Self = Self(NonZeroUsize::MIN);
    /// Stacks that one machine is taken to bear.
    const MOST: usize = 64;
}

impl Default for Jobs {
    fn default() -> Self {
        Self::ONE
    }
}

impl fmt::Display for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Jobs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.parse().ok().filter(|number: &NonZeroUsize| number.get() <= Self::MOST);
        number.map(Self).ok_or_else(|| format!("scenarios at a time are a number from 1 to {}", Self::MOST))
    }
}

/// Runs every scenario of a plan, no more at a time than [`Options::jobs`], and says how the worst of them ended. They
/// begin in their order, but that those which share a stack follow one another.
///
/// Once `stop` is cancelled, no further step begins, load ends early, and what was measured is still judged.
pub async fn run(
    plan: &Plan,
    sources: Arc<Sources>,
    options: &Options,
    sender: &Sender,
    stop: &CancellationToken,
) -> Conclusion {
    let began = Instant::now();
    sender.send(Event::RunStarted {
        run: options.id.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: options.started.to_string(),
    });
    let clock = Clock { started: options.started.as_second(), began };
    let sources = &sources;
    let speed_of = |number: usize| speed(&plan.scenarios[number]);
    let on_one_stack = |one, other| share(plan, one, other, speed_of);
    let chains = chains(plan.scenarios.len(), on_one_stack).into_iter().map(|chain| async move {
        let (mut conclusion, mut warm) = (Conclusion::Pass, None);
        let last = chain.last().copied();
        for number in chain {
            // What has not begun when somebody stops the run does not begin any more.
            if stop.is_cancelled() {
                break;
            }
            let planned = &plan.scenarios[number];
            let rehearsal =
                Rehearsal { planned, number, judges: true, sources, sender, stop, options, clock };
            conclusion = conclusion.max(Box::pin(rehearsal.run(&mut warm, last != Some(number))).await);
        }
        if let Some(warm) = warm {
            warm.down().await;
        }
        conclusion
    });
    let ended = stream::iter(chains).buffer_unordered(options.jobs.0.get());
    let mut conclusion = ended.fold(Conclusion::Pass, |worst, one| async move { worst.max(one) }).await;
    let interrupted = stop.is_cancelled();
    if interrupted {
        conclusion = conclusion.max(Conclusion::Inconclusive);
    }
    sender.send(Event::RunEnded { conclusion, took: began.elapsed().into(), interrupted, cut: false });
    conclusion
}

/// Runs one scenario once, and says how its steps ended: its objectives are not judged by so little.
pub async fn once(
    planned: &Planned,
    sources: &Arc<Sources>,
    options: &Options,
    sender: &Sender,
    stop: &CancellationToken,
) -> Conclusion {
    let clock = Clock { started: options.started.as_second(), began: Instant::now() };
    let rehearsal = Rehearsal { planned, number: 0, judges: false, sources, sender, stop, options, clock };
    rehearsal.run(&mut None, false).await
}

/// How fast a scenario's stack goes: as its clock says where alerts are looked at, and as in production elsewhere.
fn speed(planned: &Planned) -> Speed {
    let scenario = &planned.scenario;
    let drills = scenario.all_steps().any(|step| match &step.does {
        Does::Quiet(_) => true,
        Does::Monitoring(asked) => matches!(**asked, Monitoring::Dashboard(_)),
        Does::Fault(fault) => !fault.alerts.is_empty(),
        Does::Probe(_) | Does::Load(_) | Does::Wait(_) | Does::Use(_) | Does::Set(_) => false,
    });
    let clock = (drills || scenario.clock_given).then(|| Speed::new(scenario.clock.speed)).flatten();
    clock.unwrap_or_default()
}

/// The step that captures each name.
fn givers(steps: &[Step]) -> BTreeMap<String, String> {
    let captures =
        |step: &Step| step.captures.iter().map(|capture| capture.name.value.clone()).collect::<Vec<_>>();
    let named = steps
        .iter()
        .flat_map(Step::all)
        .flat_map(|step| captures(step).into_iter().map(|name| (name, step.name.clone())));
    named.collect()
}

/// One scenario, run once.
struct Rehearsal<'a> {
    planned: &'a Planned,
    /// Which of the run's scenarios it is.
    number: usize,
    /// Whether its objectives are judged by it.
    judges: bool,
    sources: &'a Arc<Sources>,
    sender: &'a Sender,
    stop: &'a CancellationToken,
    options: &'a Options,
    clock: Clock,
}

impl Rehearsal<'_> {
    /// Runs it, on the stack that is `warm` where that is the one it needs. Where the next scenario `goes_on` with
    /// its stack, that is kept warm.
    async fn run(&self, warm: &mut Option<Warm>, goes_on: bool) -> Conclusion {
        let began = Instant::now();
        let Planned { scenario, file, .. } = self.planned;
        self.sender.send(Event::ScenarioStarted {
            scenario: scenario.name.value.clone(),
            file: file.display().to_string(),
            about: scenario.about.clone(),
            labels: scenario.labels.clone(),
            steps: self.steps(),
        });
        // Before anything is started that may log.
        let marks = Arc::new(self.marks(None));
        let conclusion = match self.start(warm.take()).await {
            Err(why) => self.not_measured(why),
            Ok(None) => self.perform(None, speed(self.planned), &Spells::default(), marks).await,
            Ok(Some(Kept { running, speed: pace, by, spells })) => {
                let stack = Arc::new(running);
                // What the services of a stack have logged for an earlier scenario is not this one's.
                let marks =
                    if by == scenario.name.value { marks } else { Arc::new(self.marks(Some(&stack))) };
                let conclusion = self.perform(Some(&stack), pace, &spells, marks).await;
                // Nobody walks any more, and so nobody else has it.
                if let (Some(running), Some(planned)) = (Arc::into_inner(stack), &self.planned.stack) {
                    let kept = Kept { running, speed: pace, by, spells };
                    let kept = Warm::new(kept, planned, speed(self.planned));
                    if goes_on && !self.stop.is_cancelled() {
                        *warm = Some(kept);
                    } else {
                        kept.down().await;
                    }
                }
                conclusion
            }
        };
        let name = scenario.name.value.clone();
        self.sender.send(Event::ScenarioEnded { scenario: name, conclusion, took: began.elapsed().into() });
        conclusion
    }

    async fn perform(
        &self,
        stack: Option<&Arc<Running>>,
        pace: Speed,
        spells: &Spells,
        marks: Arc<Marks>,
    ) -> Conclusion {
        match self.walker(stack, pace, spells, marks) {
            Err(why) => self.not_measured(why),
            Ok(walker) => self.walk(walker).await,
        }
    }

    /// The steps that will be told of, background first.
    fn steps(&self) -> Vec<StepId> {
        let scenario = &self.planned.scenario;
        let steps = scenario.all_steps().enumerate();
        let told = steps.filter(|(_, step)| !matches!(step.does, Does::Set(_)));
        told.map(|(number, step)| walk::step_id(&scenario.name, number, step)).collect()
    }

    /// The stack, where the scenario has one: the one that is warm, as new, or one that is brought up.
    async fn start(&self, warm: Option<Warm>) -> Result<Option<Kept>, String> {
        let Some(planned) = &self.planned.stack else {
            if let Some(warm) = warm {
                warm.down().await;
            }
            return Ok(None);
        };
        let mut speed = speed(self.planned);
        let scenario = self.planned.scenario.name.value.clone();
        let noted = |note: String| {
            self.sender.send(Event::StackNoted { scenario: scenario.clone(), note });
        };
        match warm {
            Some(warm) if warm.is_for(planned, speed) => match warm.renewed(planned).await {
                Ok(kept) => {
                    noted(format!(
                        "the stack is that of `{}`: its Prometheus was emptied and its Alertmanager is a fresh one",
                        kept.by
                    ));
                    return Ok(Some(kept));
                }
                Err(error) => noted(format!("the stack cannot be shared and is brought up anew: {error}")),
            },
            Some(warm) => warm.down().await,
            None => {}
        }
        let notices = Notices { scenario: scenario.clone(), sender: self.sender.clone() };
        loop {
            let options = stack::Options {
                id: format!("{}-{}", self.options.id, self.number + 1),
                runtime: self.options.runtime,
                images: self.options.images.clone(),
                seed: self.options.seed,
                speed,
                supervisor: self.options.program.clone(),
            };
            let up = Box::pin(stack::up(planned, self.sources, &options, &notices, self.stop)).await;
            let running = up.map_err(|error| error.to_string())?;
            let strain = if speed.is_usual() { None } else { running.strain().await };
            let slower = strain.and_then(|strain| Some((speed.slower(strain.times)?, strain.why)));
            let Some((slower, why)) = slower.filter(|_| !self.stop.is_cancelled()) else {
                return Ok(Some(Kept { running, speed, by: scenario, spells: Spells::default() }));
            };
            noted(format!(
                "the clock is lowered from {}x to {}x, since Prometheus does not keep up: {why}",
                speed.factor(),
                slower.factor()
            ));
            running.down().await;
            speed = slower;
        }
    }

    /// Gives every variable its value.
    fn walker(
        &self,
        stack: Option<&Arc<Running>>,
        pace: Speed,
        spells: &Spells,
        marks: Arc<Marks>,
    ) -> Result<Walker, String> {
        let Planned { scenario, vars, scope, slos, .. } = self.planned;
        let mut scope = scope.clone();
        for (name, value) in stack.into_iter().flat_map(|stack| stack.variables()) {
            scope.set(name, value);
        }
        for (name, shape) in vars {
            let value = shape.value(&scope).map_err(|unset| format!("variable `{name}`: {unset}"))?;
            scope.set(name, value);
        }
        let clock = scenario::alert::Clock { speed: pace.factor(), ..scenario.clock };
        let ground = match (stack, &self.planned.stack) {
            (Some(running), Some(planned)) => Ground::of(planned, running, clock, self.surroundings())?,
            (Some(_) | None, _) => None,
        };
        let (certificates, keys) = self.planned.read_late(&scope, self.sources)?;
        let keyring = Keyring::read(&certificates, &keys)?;
        Ok(Walker {
            scenario: scenario.name.value.clone(),
            sources: Arc::clone(self.sources),
            sender: self.sender.clone(),
            stop: self.stop.clone(),
            scope,
            session: Session {
                keyring: Arc::new(keyring),
                policy: Arc::clone(&self.options.policy),
                marks,
                traced: self.options.traced,
                ..Session::default()
            },
            slis: Slis::new(judge::limits(slos), &scenario.name, self.sender, self.clock),
            givers: Arc::new(givers(&scenario.steps)),
            stack: stack.cloned(),
            spells: spells.clone(),
            estranged: 0,
            ground: ground.map(Arc::new),
            within: Vec::new(),
            measured: true,
            steady: true,
            shard: self.options.shard,
        })
    }

    /// What drills need of the run.
    fn surroundings(&self) -> drill::Surroundings {
        let Options { id, started, program, .. } = self.options;
        let now = started.saturating_add(self.clock.began.elapsed()).unwrap_or(*started);
        let run = format!("{id}-{}", self.number + 1);
        let objectives = self.planned.slos.iter().flat_map(|slo| {
            let period = slo.window.period().nominal();
            slo.objectives.iter().map(move |objective| {
                let allowed = period.mul_f64(objective.target.complement().share());
                (format!("{} ({})", slo.name, objective.label), drill::Allowance(allowed))
            })
        });
        drill::Surroundings {
            run,
            supervisor: program.clone(),
            now,
            recordings: self.options.recordings.clone(),
            budgets: objectives.collect(),
        }
    }

    /// Where the logs end that are read. Variables that need a service have a value only where their stack is up.
    fn marks(&self, stack: Option<&Running>) -> Marks {
        let mut scope = self.planned.scope.clone();
        for (name, value) in stack.into_iter().flat_map(Running::variables) {
            scope.set(name, value);
        }
        for (name, shape) in &self.planned.vars {
            if let Ok(value) = shape.value(&scope) {
                scope.set(name, value);
            }
        }
        Marks::set(&self.planned.scenario, &scope)
    }

    /// Background and steps, then the objectives.
    async fn walk(&self, mut walker: Walker) -> Conclusion {
        let Planned { scenario, slos, .. } = self.planned;
        let mut behind = JoinSet::new();
        let last_step = self.stop.child_token();
        let mut first = 0;
        for chain in scenario.background.chunk_by(|_, next| next.follows) {
            let mut walker = walker.apart();
            if chain.first().is_some_and(|step| step.cancel) {
                walker.stop = last_step.clone();
            }
            let steps = (first..).zip(chain.to_vec());
            first += chain.len();
            behind.spawn(async move {
                let mut outcomes = Vec::new();
                for (number, step) in steps {
                    if !outcomes.is_empty() && walker.stop.is_cancelled() {
                        break;
                    }
                    outcomes.extend(walker.take(number, &step, true).await);
                }
                outcomes
            });
        }
        let mut outcomes = Vec::new();
        let mut number = scenario.background.len();
        for step in &scenario.steps {
            if self.stop.is_cancelled() {
                break;
            }
            outcomes.extend(walker.take(number, step, false).await);
            number += step.all().count();
        }
        outcomes.append(&mut walker.within);
        last_step.cancel();
        let mut conclusion = if walker.measured { Conclusion::Pass } else { Conclusion::NotMeasured };
        while let Some(ended) = behind.join_next().await {
            match ended {
                Ok(ended) => outcomes.extend(ended),
                Err(panic) => {
                    conclusion = conclusion.max(self.not_measured(format!("a step broke off: {panic}")));
                }
            }
        }
        if !self.stop.is_cancelled() && outcomes.iter().all(|outcome| *outcome == Outcome::Skipped) {
            conclusion = conclusion.max(self.not_measured("every step was skipped".to_owned()));
        }
        let steps = outcomes.into_iter().map(Conclusion::from).max().unwrap_or_default();
        walker.slis.close();
        if !self.judges {
            return conclusion.max(steps);
        }
        let judged = judge::judge(&scenario.name, slos, &walker.slis, self.sources, self.sender);
        conclusion.max(steps).max(judged)
    }

    /// Says that the scenario says nothing about its target, and why.
    fn not_measured(&self, why: String) -> Conclusion {
        self.sender.send(Event::NotMeasured { scenario: self.planned.scenario.name.value.clone(), why });
        Conclusion::NotMeasured
    }
}
