//! Load as a step: the same request and expectations as a probe's, many times, on a schedule.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;
use url::Host;

use super::walk::Walker;
use crate::event::{Event, Failure, Nanos, Outcome, StepId};
use crate::load::wire::Line;
use crate::load::{self, Crew, Crowd, Options, Pace, Schedule, Shooter, Shot, Totals, quantiles};
use crate::probe::attempt::Breach;
use crate::probe::http::Written;
use crate::probe::volley::Volley;
use crate::sample::Reason;
use crate::scenario::load::{Load, Model};
use crate::scenario::step::Step;
use crate::sli::Sli;
use crate::source::Sources;

/// How many failures of each reason are kept with all that is known of them.
const KEPT: usize = 3;

/// How many intervals go into the SLI at once, so that what was measured falls into the minute it was measured in.
const FEED: u32 = 10;

/// Drives the load, reports it while it runs, and says how it ended and what to know about that.
pub(super) async fn fire(
    walker: &Walker,
    id: &StepId,
    step: &Step,
    load: &Load,
) -> (Outcome, Option<String>) {
    let battery = match Volley::new(load, &walker.scope, &walker.session) {
        Ok(volley) => Battery::new(volley, load),
        Err(unset) => return (Outcome::Skipped, Some(unset.to_string())),
    };
    if let Some(why) = battery.volley.host().and_then(|host| forbidden(walker, load, &host)) {
        walker.sender.send(Event::NotMeasured { scenario: walker.scenario.clone(), why: why.clone() });
        return (Outcome::Skipped, Some(why));
    }
    let failures = battery.failures.clone();
    match drive(walker, id, step, load, battery).await {
        Ok(totals) => conclude(walker, id, step, load, &totals, failures.draw(&walker.sources)),
        Err(source) => (Outcome::Unreliable, Some(format!("the load could not be driven: {source}"))),
    }
}

/// Why no load is sent to `host`, if none is.
fn forbidden(walker: &Walker, load: &Load, host: &Host) -> Option<String> {
    let name = host.to_string();
    let variables = walker.stack.iter().flat_map(|stack| stack.variables());
    let is_host = |variable: &str| variable.rsplit('.').next() == Some("host");
    let ours = variables.into_iter().any(|(variable, value)| is_host(&variable) && value == name);
    walker.session.policy.forbids_load(host, &load.allow_targets).filter(|_| !ours)
}

async fn drive(
    walker: &Walker,
    id: &StepId,
    step: &Step,
    load: &Load,
    battery: Battery,
) -> std::io::Result<Totals> {
    let watched =
        step.sli.as_ref().and_then(|sli| walker.slis.limits.get(&sli.value)).cloned().unwrap_or_default();
    let connections = load.connections.unwrap_or(Options::default().connections);
    let options = Options { watched, connections, stop: walker.stop.clone(), ..Options::default() };
    let (mut intervals, mut unfed) = (0, Sli::watching(&options.watched));
    let progress = |totals: &Totals, interval: &Totals| {
        if let Some(sli) = &step.sli {
            intervals += 1;
            unfed.merge(&interval.sli);
            if intervals >= FEED {
                intervals = 0;
                let ten_seconds = std::mem::replace(&mut unfed, Sli::watching(&options.watched));
                walker.slis.fold(&sli.value, &ten_seconds);
            }
        }
        walker.sender.send(Event::Loading {
            step: id.clone(),
            elapsed: totals.elapsed.into(),
            length: Nanos::from(load.length()),
            tally: totals.tally(load.length()),
            recent: quantiles(&interval.sli),
        });
    };
    let schedule = schedule(load);
    let crew = load.threads.map_or_else(|| Crew::fit(&schedule), Crew::of);
    let totals = load::run(&schedule, crew, &options, move || battery.gun(), progress).await?;
    if let Some(sli) = &step.sli {
        walker.slis.fold(&sli.value, &unfed);
    }
    Ok(totals)
}

/// Says what the load came to, and how the step ended by that.
fn conclude(
    walker: &Walker,
    id: &StepId,
    step: &Step,
    load: &Load,
    totals: &Totals,
    failures: Vec<Failure>,
) -> (Outcome, Option<String>) {
    let tally = totals.tally(load.length());
    let failed = tally.ended - tally.good;
    walker.sender.send(Event::Loaded {
        step: id.clone(),
        tally,
        failures,
        sli: step.sli.as_ref().map(|sli| sli.value.clone()),
    });
    // A load that feeds an SLI is judged by its objectives; failures among thousands are what those are for.
    let outcome = if failed > 0 && step.sli.is_none() { Outcome::Failed } else { Outcome::Passed };
    match totals.unreliable().filter(|_| !walker.stop.is_cancelled()) {
        Some(why) if outcome == Outcome::Passed => {
            (Outcome::Unreliable, Some(format!("measurement unreliable: {why}")))
        }
        Some(why) => (outcome, Some(format!("measurement unreliable: {why}"))),
        None if totals.ended() == 0 => (Outcome::Unreliable, Some("no attempt has ended".to_owned())),
        None => (outcome, None),
    }
}

fn schedule(load: &Load) -> Schedule {
    match load.model {
        Model::Open(rate) => Schedule::Open(Pace { rate, ramp: load.ramp, hold: load.hold }),
        Model::Closed(users) => Schedule::Closed(Crowd { users, ramp: load.ramp, hold: load.hold }),
    }
}

/// What every gun of a load is made of.
#[derive(Clone)]
struct Battery {
    volley: Arc<Volley>,
    /// The request as bytes, where the fast path can send it.
    written: Option<Arc<Written>>,
    load: Arc<Load>,
    failures: Kept,
}

impl Battery {
    fn new(volley: Volley, load: &Load) -> Self {
        // What cannot be written is not sent either, and the volley says why.
        let written = volley.written().and_then(Result::ok).map(Arc::new);
        Self { volley: Arc::new(volley), written, load: Arc::new(load.clone()), failures: Kept::default() }
    }

    fn gun(&self) -> Gun {
        let barrel = match &self.written {
            Some(written) => {
                let keep = !self.volley.asks_for_a_status_only();
                let line = Box::new(Line::new(Arc::clone(written), self.load.timeout, keep));
                Barrel::Wire { line, keep, volley: Arc::clone(&self.volley) }
            }
            None => Barrel::Engine(Box::new(self.volley.another())),
        };
        Gun { barrel, failures: self.failures.clone() }
    }
}

/// Makes a load's attempts on a connection of its own.
struct Gun {
    barrel: Barrel,
    failures: Kept,
}

/// How an attempt is made.
enum Barrel {
    /// By the fast path, as the same bytes each time.
    Wire { line: Box<Line>, keep: bool, volley: Arc<Volley> },
    /// As probes do it.
    Engine(Box<Volley>),
}

impl Barrel {
    /// Makes an attempt: when it began and ended, and what was wrong.
    async fn shoot(&mut self) -> (Instant, Instant, Vec<Breach>) {
        match self {
            Self::Wire { line, keep, volley } => {
                let done = line.exchange().await;
                let took = done.ended - done.sent;
                let breaches = match done.result {
                    Err(cause) => volley.lost(cause),
                    Ok(answer) if *keep => volley.judge(&answer.response(), took),
                    Ok(answer) => volley.judge_status(answer.status(), took),
                };
                (done.sent, done.ended, breaches)
            }
            Self::Engine(volley) => {
                let sent = Instant::now();
                let breaches = volley.shoot().await;
                (sent, Instant::now(), breaches)
            }
        }
    }
}

impl Shooter for Gun {
    async fn shoot(&mut self) -> Shot {
        let (sent, ended, breaches) = self.barrel.shoot().await;
        let outcome = breaches.first().map_or(Ok(()), |breach| Err(breach.reason));
        if !breaches.is_empty() {
            self.failures.keep(breaches);
        }
        Shot { outcome, sent, ended }
    }
}

/// A few failures of each reason, no two of them alike.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<BTreeMap<Reason, Vec<Breach>>>>);

impl Kept {
    fn keep(&self, breaches: Vec<Breach>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for breach in breaches {
            let of_reason = kept.entry(breach.reason).or_default();
            if of_reason.len() < KEPT && !of_reason.contains(&breach) {
                of_reason.push(breach);
            }
        }
    }

    fn draw(&self, sources: &Sources) -> Vec<Failure> {
        let kept = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        kept.into_values().flatten().map(|breach| breach.draw(sources)).collect()
    }
}
