//! Load as a step: the same request and expectations as a probe's, many times, on a schedule.

use std::io;

use url::Host;

use super::battery::Battery;
use super::kept::Kept;
use super::threshold::Watch;
use super::walk::Walker;
use crate::event::{Event, Nanos, Outcome, Part, StepId};
use crate::load::{self, Crew, Crowd, Curve, Options, Pace, Schedule, Spacing, Think, Totals, quantiles};
use crate::scenario::load::{self as written, Load, Measure, Model};
use crate::scenario::step::Step;
use crate::sli::Sli;

/// How many intervals go into the SLI at once, so that what was measured falls into the minute it was measured in.
const FEED: u32 = 10;

/// Drives the load, reports it while it runs, and says how it ended and what to know about that.
pub(super) async fn fire(
    walker: &Walker,
    id: &StepId,
    step: &Step,
    load: &Load,
) -> (Outcome, Option<String>) {
    let battery = match Battery::new(walker, load) {
        Ok(battery) => battery,
        Err(unset) => return (Outcome::Skipped, Some(unset.to_string())),
    };
    let barred = |host: Result<Host, String>| match host {
        Ok(host) => forbidden(walker, load, &host),
        Err(why) => Some(why),
    };
    if let Some(why) = battery.hosts().find_map(barred) {
        walker.sender.send(Event::NotMeasured { scenario: walker.scenario.clone(), why: why.clone() });
        return (Outcome::Skipped, Some(why));
    }
    if let Some(why) = too_few_files(load, &battery) {
        walker.sender.send(Event::NotMeasured { scenario: walker.scenario.clone(), why: why.clone() });
        return (Outcome::Skipped, Some(why));
    }
    let kept = battery.kept();
    let mut watch = Watch::new(&load.thresholds, load.parts(), &walker.scope);
    let firing = Firing { walker, id, step, load };
    match firing.drive(battery, &mut watch).await {
        Ok(driven) => firing.conclude(&driven, watch, &kept),
        Err(source) => (Outcome::Unreliable, Some(format!("the load could not be driven: {source}"))),
    }
}

/// Why no load is sent to `host`, if none is.
fn forbidden(walker: &Walker, load: &Load, host: &Host) -> Option<String> {
    let name = host.to_string();
    let ours = walker.own_hosts().any(|own| own == name);
    walker.session.policy.forbids_load(host, &load.allow_targets).filter(|_| !ours)
}

/// Files that are open besides connections: timers, reports, the store.
const OTHER_FILES: u64 = 64;

/// Why so many users cannot each have a connection, if so. With a rate it is not known beforehand how many it takes.
fn too_few_files(load: &Load, battery: &Battery) -> Option<String> {
    let Model::Closed(users) = load.model else {
        let _ = load::files::raise();
        return None;
    };
    let needed = u64::from(users) * battery.roads() as u64 + OTHER_FILES;
    let limit = load::files::raise().filter(|limit| *limit < needed)?;
    Some(format!(
        "{users} users take {needed} open files, and this process may have {limit}: raise the limit with \
         `ulimit -n {needed}`, or load with fewer users"
    ))
}

/// A load under way.
struct Firing<'a> {
    walker: &'a Walker,
    id: &'a StepId,
    step: &'a Step,
    load: &'a Load,
}

/// What came of a load.
struct Driven {
    totals: Totals,
    /// A threshold ended it.
    aborted: bool,
}

impl Firing<'_> {
    async fn drive(&self, battery: Battery, watch: &mut Watch<'_>) -> io::Result<Driven> {
        let (walker, load) = (self.walker, self.load);
        let fed = self.step.sli.as_ref();
        let watched = fed.and_then(|sli| walker.slis.limits.get(&sli.value)).cloned().unwrap_or_default();
        let options = Options {
            watched,
            connections: load.connections.unwrap_or(Options::default().connections),
            parts: load.parts().len(),
            shard: walker.shard,
            stop: walker.stop.child_token(),
            ..Options::default()
        };
        let (mut intervals, mut unfed) = (0, Sli::watching(&options.watched));
        let mut aborted = false;
        let progress = |totals: &Totals, interval: &Totals| {
            if let Some(sli) = fed {
                intervals += 1;
                unfed.merge(&interval.sli);
                if intervals >= FEED {
                    intervals = 0;
                    let together = std::mem::replace(&mut unfed, Sli::watching(&options.watched));
                    walker.slis.fold(&sli.value, &together);
                }
            }
            if watch.take(totals, interval) {
                aborted = true;
                options.stop.cancel();
            }
            walker.sender.send(Event::Loading {
                step: self.id.clone(),
                elapsed: totals.elapsed.into(),
                length: Nanos::from(load.length()),
                tally: totals.tally(load.length()),
                recent: quantiles(&interval.sli),
                interval: Some(Box::new(interval.interval())),
            });
        };
        let schedule = schedule(load, self.id);
        let crew = load.threads.map_or_else(|| Crew::fit(&schedule), Crew::of);
        let totals =
            load::run(&schedule, crew, &options, move |ledger| battery.gun(ledger), progress).await?;
        if let Some(sli) = fed {
            walker.slis.fold(&sli.value, &unfed);
        }
        Ok(Driven { totals, aborted })
    }

    /// Says what the load came to, and how the step ended by that.
    fn conclude(&self, driven: &Driven, watch: Watch<'_>, seen: &Kept) -> (Outcome, Option<String>) {
        let (walker, load, totals) = (self.walker, self.load, &driven.totals);
        let tally = totals.tally(load.length());
        let failed = tally.ended - tally.good;
        let kept = watch.end(totals);
        let missed = !kept.breaches.is_empty();
        let mut all: Vec<_> = kept.breaches.iter().map(|breach| breach.draw(&walker.sources)).collect();
        let names: Vec<_> = load.parts().into_iter().map(|part| part.name).collect();
        let (failures, samples) = seen.draw(&walker.sources, &names);
        all.extend(failures);
        let parts = names.into_iter().enumerate();
        let parts = parts.map(|(number, name)| Part { name, tally: totals.part(number) }).collect();
        walker.sender.send(Event::Loaded {
            step: self.id.clone(),
            tally,
            failures: all,
            samples,
            sli: self.step.sli.as_ref().map(|sli| sli.value.clone()),
            parts,
            shard: walker.shard.said(),
        });
        // Failures among thousands are what objectives and thresholds are for.
        let judged = self.step.sli.is_some()
            || load.thresholds.iter().any(|threshold| threshold.measure == Measure::Errors);
        let bad = missed || (failed > 0 && !judged);
        let outcome = if bad { Outcome::Failed } else { Outcome::Passed };
        let stopped = driven.aborted || walker.stop.is_cancelled();
        let unreliable = totals.unreliable().filter(|_| !stopped);
        let unsure = if bad { Outcome::Failed } else { Outcome::Unreliable };
        match unreliable {
            Some(why) => (unsure, Some(format!("measurement unreliable: {why}"))),
            None if totals.ended() == 0 => (unsure, Some("no attempt has ended".to_owned())),
            None if !kept.unknown.is_empty() => {
                (unsure, Some(format!("nothing was measured to hold against {}", kept.unknown.join(", "))))
            }
            None if driven.aborted => (outcome, Some("ended early by a threshold".to_owned())),
            None => (outcome, None),
        }
    }
}

fn schedule(load: &Load, id: &StepId) -> Schedule {
    let curve = Curve::new(&load.stages);
    match load.model {
        Model::Open(_) => Schedule::Open(Pace::new(
            curve,
            match load.spacing {
                written::Spacing::Even => Spacing::Even,
                // The same for everybody who makes a part of this load.
                written::Spacing::Poisson => Spacing::Poisson(id.number as u64),
            },
        )),
        Model::Closed(_) => {
            let (least, most) = load.think;
            Schedule::Closed(Crowd::new(curve, Think { least, most }))
        }
    }
}
