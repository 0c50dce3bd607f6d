//! One drill: up the ladder while the fault holds, down again once it was lifted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::Instruments;
use super::alertmanager::{self, Held};
use super::burn::{Tier, Traffic};
use super::dilate::{Extent, FEWEST, Virtual};
use super::explain::Broken;
use super::means::Means;
use super::watch::{Look, Message, Watched, strangers};
use crate::dilation::{Recording, Rules, record};
use crate::event::{Drilled, Failure, Predicted};
use crate::exposition::Labels;
use crate::ladder::Rung;
use crate::prometheus::answer::{Data, Value};
use crate::prometheus::{self, AlertState, Target};
use crate::promql::{self, Query};
use crate::route::Config;
use crate::rule::window::Window;
use crate::scenario::alert::{Alerts, Clock, Expected};

/// Wall time that machines may take over what the configuration allows: notices are sent over real connections.
const SLACK: Duration = Duration::from_secs(2);

/// What they may take where a receiver misbehaves: Alertmanager gives up an attempt after 10 s at the earliest and
/// begins anew with the group's next turn, however fast its configuration makes that.
const PATIENCE: Duration = Duration::from_secs(45);

/// What is dilated is seen for so long after the fault was lifted, where its alerts may clear later than that: at
/// least for so many scrapes, and for so long.
const RECOVERY: Duration = Duration::from_secs(3);
const RECOVERY_SCRAPES: u32 = 12;

/// Where everything is dilated, the end of what fires at the drill's speed is not waited for any longer than this.
const LONGEST_RECOVERY: Duration = Duration::from_secs(15);

/// Why a drill says nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Prometheus does not answer.
    #[error(transparent)]
    Prometheus(#[from] prometheus::Error),
    /// Alertmanager does not.
    #[error("{0}")]
    Alertmanager(String),
    /// It is not the Prometheus that the drill began with.
    #[error(
        "Prometheus was started again in mid-drill, at {0}: it has forgotten what was pending and firing, so that no \
         alert in it is no sign that any has cleared; Alertmanager lets what is not sent again run out, and tells \
         receivers `resolved` of what goes on"
    )]
    Restarted(Timestamp),
}

/// What was asked of a phase: everything it waits for was seen, or its time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything was seen.
    Complete,
    /// Time is over.
    Late,
    /// The run was stopped.
    Stopped,
}

/// What the files say of an expected alert.
#[derive(Debug, Clone)]
pub struct Known {
    /// When it may reach each rung.
    pub window: Window,
    /// Its rule's expression, as the user wrote it; `None` where no rule has its name.
    pub query: Option<Query>,
    /// How long its condition must hold, in rule time.
    pub holds_for: Duration,
    /// How often it is evaluated, in rule time.
    pub evaluated_every: Duration,
    /// Whether all it reaches are told when it is over.
    pub sends_resolved: bool,
    /// Who is told of which alert, as the user wrote it.
    pub routing: Option<Arc<Config>>,
    /// By what it is to be proven.
    pub means: Means,
    /// What is worth knowing of that.
    pub notes: Vec<String>,
    /// How far virtual time goes.
    pub extent: Extent,
}

/// One drill, under way.
#[derive(Debug)]
pub struct Drill {
    pub(super) instruments: Instruments,
    pub(super) alertmanager: Option<alertmanager::Client>,
    pub(super) clock: Clock,
    pub(super) alerts: Alerts,
    /// What is known of each expected alert, in the order of `alerts.expected`.
    pub(super) known: Vec<Known>,
    pub(super) watched: Vec<Watched>,
    /// Alerts that fired and that nobody expected, by their labels: since when, or `None` for before the fault.
    pub(super) strangers: BTreeMap<Labels, Option<Duration>>,
    /// Since when nothing was broken, and until when.
    pub(super) calm: (Timestamp, Timestamp),
    /// The targets that were down before the fault was put in.
    pub(super) down: Vec<Target>,
    /// When the fault took effect, and when it was lifted, by Prometheus's clock.
    pub(super) effect: Timestamp,
    pub(super) lifted: Option<Timestamp>,
    /// When the Prometheus was started that it began with.
    pub(super) started: Option<Timestamp>,
    /// Wall time beyond what the configuration allows.
    slack: Duration,
    /// Why each alert did not come up, or down again.
    pub(super) broken: Vec<Option<Broken>>,
    /// What the formula says of each that is on a burn rate.
    pub(super) predicted: Vec<Option<Predicted>>,
    /// What virtual time says of each.
    pub(super) lapses: Vec<Option<Virtual>>,
}

/// What a drill came to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// How far each expected alert came.
    pub drilled: Vec<Drilled>,
    /// What was not as expected.
    pub failures: Vec<Failure>,
    /// Alerts of which nothing can be said, and why, in sentences.
    pub unproven: Vec<String>,
}

impl Drill {
    /// A drill whose fault has just taken effect, after a calm spell from one moment to another, in which these
    /// targets were `down`.
    ///
    /// # Errors
    /// When Prometheus or Alertmanager does not answer.
    pub async fn begin(
        instruments: Instruments,
        clock: Clock,
        alerts: Alerts,
        known: Vec<Known>,
        calm: (Timestamp, Timestamp),
        down: Vec<Target>,
    ) -> Result<Self, Error> {
        let client = instruments.alertmanager.as_deref().map(alertmanager::Client::new).transpose();
        Ok(Self {
            alertmanager: client.map_err(|error| Error::Alertmanager(error.to_string()))?,
            clock,
            watched: watched(&alerts, &known),
            known,
            strangers: BTreeMap::new(),
            calm,
            down,
            effect: instruments.time().await?,
            started: instruments.started().await?,
            lifted: None,
            slack: SLACK,
            broken: vec![None; alerts.expected.len()],
            predicted: vec![None; alerts.expected.len()],
            lapses: vec![None; alerts.expected.len()],
            alerts,
            instruments,
        })
    }

    /// Gives receivers time to misbehave.
    pub fn be_patient(&mut self) {
        self.slack = PATIENCE;
    }

    /// Watches until every expected alert was delivered to all it has to reach, or its time is over.
    ///
    /// # Errors
    /// When Prometheus or Alertmanager does not answer.
    pub async fn rise(
        &mut self,
        told: &(dyn Fn(Timestamp) -> Vec<Message> + Send + Sync),
        stop: &CancellationToken,
    ) -> Result<Ended, Error> {
        let top = if self.alertmanager.is_some() { Rung::Delivered } else { Rung::Firing };
        let latest = |(expected, known): (&Expected, &Known)| {
            known.fires_by(expected) + known.window.delivery_after_firing()
        };
        let limit = self.pairs().map(latest).max().unwrap_or_default();
        let limit = self.clock.wall_time(limit) + self.slack;
        // What fires at the drill's speed says nothing of when it does in virtual time.
        let dilated = self.pairs().filter(|(_, known)| known.means == Means::Dilated);
        let least = dilated.map(|(expected, known)| known.fires_by(expected)).max().unwrap_or_default();
        let least = self.clock.wall_time(least).min(limit);
        self.watch(least, limit, top, self.effect, told, stop).await
    }

    /// Finds out why alerts did not come up; to be asked while the fault still holds. `unproven` says why it is
    /// not sure that the fault took effect.
    ///
    /// # Errors
    /// When Prometheus or Alertmanager does not answer.
    pub async fn explain_up(&mut self, unproven: Option<&str>) -> Result<(), Error> {
        for number in 0..self.watched.len() {
            self.broken[number] = self.broken_up(number, unproven).await?;
        }
        Ok(())
    }

    /// Finds out why alerts did not come down again.
    ///
    /// # Errors
    /// When Prometheus does not answer.
    pub async fn explain_down(&mut self) -> Result<(), Error> {
        for number in 0..self.watched.len() {
            if self.broken[number].is_none() {
                self.broken[number] = self.broken_down(number).await?;
            }
        }
        Ok(())
    }

    /// Notes that the fault was lifted.
    ///
    /// # Errors
    /// When Prometheus does not answer.
    pub async fn lift(&mut self) -> Result<(), Error> {
        self.lifted = Some(self.instruments.time().await?);
        Ok(())
    }

    /// Watches until every alert that fired has cleared, and its receivers were told so, or its time is over.
    ///
    /// # Errors
    /// When Prometheus or Alertmanager does not answer.
    pub async fn fall(
        &mut self,
        told: &(dyn Fn(Timestamp) -> Vec<Message> + Send + Sync),
        stop: &CancellationToken,
    ) -> Result<Ended, Error> {
        let top = if self.alertmanager.is_some() { Rung::Resolved } else { Rung::Cleared };
        let latest = |(expected, known): (&Expected, &Known)| {
            known.clears_by(expected) + known.window.resolution_after_clearing()
        };
        let limit = self.pairs().map(latest).max().unwrap_or_default();
        let mut limit = self.clock.wall_time(limit) + self.slack;
        let mut least = Duration::ZERO;
        if self.pairs().any(|(_, known)| known.means.dilates()) {
            least = RECOVERY.max(self.instruments.scraped_every * RECOVERY_SCRAPES).min(limit);
        }
        if self.pairs().all(|(_, known)| known.means == Means::Dilated) {
            limit = limit.min(LONGEST_RECOVERY.max(least));
        }
        let zero = self.lifted.unwrap_or(self.effect);
        self.watch(least, limit, top, zero, told, stop).await
    }

    /// Each expected alert.
    pub fn expected(&self) -> impl Iterator<Item = &Expected> {
        self.alerts.expected.iter()
    }

    /// Each expected alert with what is known of it.
    fn pairs(&self) -> impl Iterator<Item = (&Expected, &Known)> {
        self.alerts.expected.iter().zip(&self.known)
    }

    /// Each expected alert that virtual time is asked about, with what is known of it.
    pub fn dilated(&self) -> impl Iterator<Item = (usize, &Expected, &Known)> {
        let all = self.alerts.expected.iter().zip(&self.known).enumerate();
        all.filter(|(_, (_, known))| known.means.dilates()).map(|(number, (one, known))| (number, one, known))
    }

    /// Asks what the formula says of an alert on a burn rate, by the events that were counted for as long before
    /// the fault as it lasted.
    ///
    /// # Errors
    /// When Prometheus does not answer.
    pub async fn predict(&mut self, number: usize, rules: &Rules<'_>) -> Result<(), Error> {
        let (Some(tier), Some(lifted)) = (Tier::of(rules), self.lifted) else { return Ok(()) };
        let between =
            |from: Timestamp, to: Timestamp| Duration::try_from(to.duration_since(from)).unwrap_or_default();
        let lasted = between(self.effect, lifted);
        // The scrapes at both of its ends may be of the other side.
        let scraped_every = self.instruments.scraped_every;
        let counted = lasted.min(between(self.calm.0, self.calm.1)).saturating_sub(2 * scraped_every);
        if counted < scraped_every * FEWEST {
            return Ok(());
        }
        let pace = tier.short.as_secs_f64() / counted.as_secs_f64();
        let mut counts = [0.0; 4];
        let asked = [self.calm.1, lifted].into_iter().flat_map(|at| tier.counts.map(|count| (at, count)));
        for (said, (at, count)) in counts.iter_mut().zip(asked) {
            let Ok(query) = promql::scaled(count, pace) else { return Ok(()) };
            let answer = self.instruments.prometheus.instant(&query.to_string(), Some(at)).await?;
            *said = total(&answer.data);
        }
        let [bad, all, bad_now, all_now] = counts;
        let (before, during) = (Traffic { bad, all }, Traffic { bad: bad_now, all: all_now });
        self.predicted[number] = tier.predict(before, during, self.clock.rule_time(lasted));
        Ok(())
    }

    /// Notes what virtual time says of an alert.
    pub fn lapse(&mut self, number: usize, said: Virtual) {
        self.lapses[number] = Some(said);
    }

    /// What was scraped of these selectors since all was calm, and for so long before it, in rule time.
    ///
    /// # Errors
    /// When Prometheus does not answer.
    pub async fn recording(
        &self,
        selectors: &std::collections::BTreeSet<String>,
        before: Duration,
    ) -> Result<Recording, Error> {
        let client = &self.instruments.prometheus;
        let to = self.instruments.time().await?;
        let (calm, broken) = (self.calm.0.min(self.effect), self.calm.1.min(self.effect));
        let from = calm.saturating_sub(self.clock.wall_time(before)).unwrap_or(calm);
        let series = record(client, selectors, from, to).await?;
        Ok(Recording {
            speed: self.clock.speed,
            scraped_every: self.instruments.scraped_every.as_millis().try_into().unwrap_or(u64::MAX),
            calm: calm.as_millisecond(),
            broken: broken.max(calm).as_millisecond(),
            effect: self.effect.as_millisecond(),
            lifted: self.lifted.unwrap_or(to).as_millisecond(),
            ended: to.as_millisecond(),
            series,
        })
    }

    /// Watches until everything was seen, though not before `least`, and not beyond `limit`.
    async fn watch(
        &mut self,
        least: Duration,
        limit: Duration,
        top: Rung,
        zero: Timestamp,
        told: &(dyn Fn(Timestamp) -> Vec<Message> + Send + Sync),
        stop: &CancellationToken,
    ) -> Result<Ended, Error> {
        let began = Instant::now();
        loop {
            let before = self.climbs();
            self.look(zero, began, &told(zero)).await?;
            let all =
                began.elapsed() >= least && self.watched.iter().all(|watched| Self::is_done(watched, top));
            let ended =
                if all { Some(Ended::Complete) } else { (began.elapsed() >= limit).then_some(Ended::Late) };
            if ended.is_some() || self.climbs() != before {
                self.is_the_same(&before).await?;
            }
            if let Some(ended) = ended {
                return Ok(ended);
            }
            let pause = tokio::time::sleep(self.instruments.pause());
            if stop.run_until_cancelled(pause).await.is_none() {
                return Ok(Ended::Stopped);
            }
        }
    }

    /// Whether there is nothing more to wait for with this alert.
    fn is_done(watched: &Watched, top: Rung) -> bool {
        if watched.early.is_some() {
            return true;
        }
        if top.is_down() {
            // What never fired cannot clear; a receiver that is not told of the end is not waited for.
            let awaited = watched.climb.has(Rung::Delivered) && watched.sends_resolved;
            let top = if awaited { top } else { Rung::Cleared };
            return !watched.climb.has(Rung::Firing) || watched.climb.has(top);
        }
        watched.climb.has(top)
    }

    /// What was active before this, nothing broken has moved: a scrape under way when the fault was put in is stamped
    /// with when it began, and lasts no longer than until the next.
    pub(super) fn calm_limit(&self) -> Timestamp {
        self.calm.1.saturating_sub(self.instruments.scraped_every).unwrap_or(self.calm.1)
    }

    async fn look(&mut self, zero: Timestamp, began: Instant, messages: &[Message]) -> Result<(), Error> {
        let groups = self.instruments.prometheus.rules().await?.data;
        let held: Vec<Held> = match &self.alertmanager {
            Some(client) => client.alerts().await.map_err(|error| Error::Alertmanager(error.to_string()))?,
            None => Vec::new(),
        };
        let calm = self.calm_limit();
        let look = Look { since: began.elapsed(), zero, calm, groups: &groups, held: &held, messages };
        for (watched, known) in self.watched.iter_mut().zip(&self.known) {
            // What is active at the drill's speed says nothing of a rule that has to be dilated.
            if self.lifted.is_none() && matches!(known.means, Means::Scaled | Means::Both) {
                watched.look_before(&look);
            }
            if self.lifted.is_some() { watched.look_down(&look) } else { watched.look_up(&look) }
        }
        if self.lifted.is_none() {
            let firing = strangers(&groups, &self.alerts.expected, &[])
                .filter(|alert| alert.state == AlertState::Firing)
                .map(|alert| (alert.labels.clone(), alert.active_at.is_some_and(|at| at < calm)));
            for (labels, early) in firing {
                self.strangers.entry(labels).or_insert((!early).then_some(look.since));
            }
        }
        Ok(())
    }
}

impl Known {
    /// When it has to fire, in rule time since the effect.
    pub(super) fn fires_by(&self, expected: &Expected) -> Duration {
        expected.fires.as_ref().map_or(self.window.fires.latest, |at| at.value)
    }

    /// When it has to clear, in rule time since the fault was lifted.
    #[must_use]
    pub fn clears_by(&self, expected: &Expected) -> Duration {
        expected.clears.as_ref().map_or(self.window.clears.latest, |at| at.value)
    }
}

/// The values of a vector, together.
fn total(data: &Data) -> f64 {
    match data {
        Data::Vector(series) => series.iter().filter_map(|one| number(one.value)).sum(),
        Data::Scalar(point) => point.value,
        Data::Matrix(_) | Data::String(_) => 0.0,
    }
}

fn number(value: Value) -> Option<f64> {
    match value {
        Value::Number(point) => Some(point.value),
        Value::Histogram(_) => None,
    }
}

fn watched(alerts: &Alerts, known: &[Known]) -> Vec<Watched> {
    let both = alerts.expected.iter().cloned().zip(known);
    both.map(|(expected, known)| Watched::new(expected, known.sends_resolved)).collect()
}
