//! Load as a step: the same request and expectations as a probe's, many times, on a schedule.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::walk::Walker;
use crate::event::{Event, Failure, Nanos, Outcome, StepId};
use crate::load::{Crowd, Options, Pace, Schedule, Shooter, Shot, Totals, drive, quantiles};
use crate::probe::attempt::Breach;
use crate::probe::volley::Volley;
use crate::sample::Reason;
use crate::scenario::load::{Load, Model};
use crate::scenario::step::Step;
use crate::sli::Sli;
use crate::source::Sources;

/// How many failures of each reason are kept with all that is known of them.
const KEPT: usize = 3;

/// How often what was measured so far is added to the SLI, so that it falls into the minute it was measured in.
const FEED: Duration = Duration::from_secs(10);

/// Drives the load, reports it while it runs, and says how it ended and what to know about that.
pub(super) async fn fire(
    walker: &Walker,
    id: &StepId,
    step: &Step,
    load: &Load,
) -> (Outcome, Option<String>) {
    let volley = match Volley::new(load, &walker.scope, &walker.session) {
        Ok(volley) => volley,
        Err(unset) => return (Outcome::Skipped, Some(unset.to_string())),
    };
    let watched =
        step.sli.as_ref().and_then(|sli| walker.slis.limits.get(&sli.value)).cloned().unwrap_or_default();
    let options = Options { watched, stop: walker.stop.clone(), ..Options::default() };
    let failures = Kept::default();
    let new =
        || Gun { volley: volley.another(), failures: failures.clone(), sources: Arc::clone(&walker.sources) };
    let mut told = (Instant::now(), Sli::watching(&options.watched));
    let mut before = Sli::watching(&options.watched);
    let progress = |totals: &Totals| {
        if let Some(sli) = &step.sli
            && told.0.elapsed() >= FEED
        {
            walker.slis.fold(&sli.value, &totals.sli.since(&told.1));
            told = (Instant::now(), totals.sli.clone());
        }
        walker.sender.send(Event::Loading {
            step: id.clone(),
            elapsed: totals.elapsed.into(),
            length: Nanos::from(load.length()),
            tally: totals.tally(),
            recent: quantiles(&totals.sli.since(&before)),
        });
        before = totals.sli.clone();
    };
    let totals = drive(schedule(load), &options, new, progress).await;
    if let Some(sli) = &step.sli {
        walker.slis.fold(&sli.value, &totals.sli.since(&told.1));
    }
    let tally = totals.tally();
    let failed = tally.ended - tally.good;
    walker.sender.send(Event::Loaded {
        step: id.clone(),
        tally,
        failures: failures.take(),
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

/// Makes a load's attempts on a connection of its own.
struct Gun {
    volley: Volley,
    failures: Kept,
    sources: Arc<Sources>,
}

impl Shooter for Gun {
    async fn shoot(&mut self) -> Shot {
        let sent = Instant::now();
        let breaches = self.volley.shoot().await;
        let ended = Instant::now();
        let outcome = match breaches.first() {
            None => Ok(()),
            Some(breach) => {
                self.failures.keep(&breaches, &self.sources);
                Err(breach.reason)
            }
        };
        Shot { outcome, sent, ended }
    }
}

/// A few failures of each reason.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<BTreeMap<Reason, Vec<Failure>>>>);

impl Kept {
    fn keep(&self, breaches: &[Breach], sources: &Sources) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for breach in breaches {
            let of_reason = kept.entry(breach.reason).or_default();
            if of_reason.len() < KEPT {
                of_reason.push(breach.draw(sources));
            }
        }
    }

    fn take(&self) -> Vec<Failure> {
        let kept = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        kept.into_values().flatten().collect()
    }
}
