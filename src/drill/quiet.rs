//! A spell in which nothing may be pending or firing: an alert that a healthy system raises proves nothing later.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Instruments;
use super::restart::is_another;
use super::watch::strangers;
use crate::prometheus::answer::describe;
use crate::prometheus::{AlertState, Error, Groups, Health, Target};
use crate::scenario::alert::{Clock, Quiet};

/// How often a spell begins anew at most, since a scrape was late.
const MOST_ANEW: u32 = 4;

/// How long, in rule time, what a late scrape has raised may take to be over.
const SETTLED: Duration = Duration::from_secs(15 * 60);

/// How a quiet spell went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spell {
    /// Nothing was pending or firing, every target was scraped, and every rule was evaluated.
    Quiet {
        /// So often it began anew, since a scrape took longer than the little time that a fast clock leaves it.
        anew: u32,
    },
    /// An alert was pending or firing, or a target was down: in sentences.
    Disturbed(Vec<String>),
    /// Nothing can be said: in a sentence.
    Unseen(String),
    /// The run was stopped.
    Stopped,
}

/// What is watched.
struct Watch<'w> {
    instruments: &'w Instruments,
    except: Vec<&'w str>,
    length: Duration,
    stop: &'w CancellationToken,
}

/// What one look shows.
struct Look {
    disturbed: BTreeSet<String>,
    /// No target is down but those whose scrape was late, and one is.
    late: bool,
    up: bool,
    groups: Groups,
}

/// Watches for as long as it says, in rule time.
///
/// Where a scrape did not end in the time that a fast clock leaves it, that says more of the machine than of the
/// target: the whole spell begins anew, a few times.
///
/// # Errors
/// When Prometheus does not answer.
pub async fn quiet(
    instruments: &Instruments,
    quiet: &Quiet,
    clock: Clock,
    stop: &CancellationToken,
) -> Result<Spell, Error> {
    let except = quiet.except.iter().map(|at| at.value.as_str()).collect();
    let watch = Watch { instruments, except, length: clock.wall_time(quiet.lasts.value), stop };
    let mut anew = 0;
    loop {
        let (spell, late) = watch.spell(anew).await?;
        if !late || anew == MOST_ANEW {
            return Ok(spell);
        }
        anew += 1;
        watch.settle(clock.wall_time(SETTLED)).await?;
    }
}

/// Waits until nothing stirs, after what late scrapes have raised; a quarter of an hour of rule time at most.
///
/// # Errors
/// When Prometheus does not answer.
pub async fn settle(instruments: &Instruments, clock: Clock, stop: &CancellationToken) -> Result<(), Error> {
    let limit = clock.wall_time(SETTLED);
    Watch { instruments, except: Vec::new(), length: limit, stop }.settle(limit).await
}

impl Watch<'_> {
    /// One spell from its beginning, and whether nothing but a late scrape disturbed it.
    async fn spell(&self, anew: u32) -> Result<(Spell, bool), Error> {
        let zero = self.instruments.time().await?;
        let started = self.instruments.started().await?;
        let began = Instant::now();
        let (mut evaluated, mut scraped) = (false, false);
        let last = loop {
            let look = self.look().await?;
            evaluated |= is_evaluated_since(&look.groups, zero);
            scraped |= look.up;
            if !look.disturbed.is_empty() || began.elapsed() >= self.length {
                break look;
            }
            let rest = self.length.saturating_sub(began.elapsed());
            if !self.pause(rest).await {
                return Ok((Spell::Stopped, false));
            }
        };
        if let Some(again) = is_another(started, self.instruments.started().await?) {
            let why = format!(
                "Prometheus was started again meanwhile, at {again}: what was pending, it has forgotten"
            );
            return Ok((Spell::Unseen(why), false));
        }
        let spell = match (last.disturbed.is_empty(), evaluated, scraped) {
            (false, ..) => Spell::Disturbed(last.disturbed.into_iter().collect()),
            (true, false, _) => Spell::Unseen("no rule was evaluated meanwhile".to_owned()),
            (true, true, false) => Spell::Unseen("no target was scraped meanwhile".to_owned()),
            (true, true, true) => Spell::Quiet { anew },
        };
        Ok((spell, last.late))
    }

    /// Waits until a look shows nothing, or for so long.
    async fn settle(&self, limit: Duration) -> Result<(), Error> {
        let began = Instant::now();
        while began.elapsed() < limit && !self.look().await?.disturbed.is_empty() {
            if !self.pause(limit).await {
                break;
            }
        }
        Ok(())
    }

    async fn look(&self) -> Result<Look, Error> {
        let groups = self.instruments.prometheus.rules().await?.data;
        let mut disturbed = BTreeSet::new();
        for alert in strangers(&groups, &[], &self.except) {
            let state = match alert.state {
                AlertState::Pending => "pending",
                AlertState::Firing => "firing",
                AlertState::Unknown | AlertState::Inactive => continue,
            };
            disturbed.insert(format!("`{}` is {state}", describe(&alert.labels)));
        }
        let targets = self.instruments.prometheus.targets().await?.data;
        let up = targets.active_targets.iter().any(|target| target.health == Health::Up);
        let late = targets.down().next().is_some() && targets.down().all(Target::is_hurried);
        disturbed.extend(targets.down().map(Target::told_down));
        Ok(Look { disturbed, late, up, groups })
    }

    /// Waits until the next look, and no longer than so long; `false` when the run was stopped.
    async fn pause(&self, most: Duration) -> bool {
        let pause = most.min(self.instruments.pause()).max(Duration::from_millis(1));
        self.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some()
    }
}

/// Whether any alerting rule was evaluated since a moment.
fn is_evaluated_since(groups: &Groups, zero: jiff::Timestamp) -> bool {
    let rules = groups.groups.iter().flat_map(|group| &group.rules).filter(|rule| rule.state.is_some());
    rules.into_iter().any(|rule| rule.last_evaluation.is_some_and(|at| at > zero))
}
