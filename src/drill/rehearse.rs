//! One drill: up the ladder while the fault holds, down again once it was lifted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::Instruments;
use super::alertmanager::{self, Held};
use super::explain::Broken;
use super::verdict;
use super::watch::{Look, Message, Watched, strangers};
use crate::event::{Drilled, Failure, Proof};
use crate::ladder::Rung;
use crate::prometheus::answer::describe;
use crate::prometheus::{self, AlertState};
use crate::promql::Query;
use crate::route::Config;
use crate::rule::window::Window;
use crate::scenario::alert::{Alerts, Clock, Expected};
use crate::source::Sources;

/// Wall time that machines may take over what the configuration allows: notices are sent over real connections.
const SLACK: Duration = Duration::from_secs(2);

/// Why a drill says nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Prometheus does not answer.
    #[error(transparent)]
    Prometheus(#[from] prometheus::Error),
    /// Alertmanager does not.
    #[error("{0}")]
    Alertmanager(String),
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
    /// Alerts that fired and that nobody expected, by their labels: since when.
    pub(super) strangers: BTreeMap<String, Duration>,
    /// When the fault took effect, and when it was lifted, by Prometheus's clock.
    pub(super) effect: Timestamp,
    pub(super) lifted: Option<Timestamp>,
    /// Why each alert did not come up, or down again.
    broken: Vec<Option<Broken>>,
}

/// What a drill came to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// How far each expected alert came.
    pub drilled: Vec<Drilled>,
    /// What was not as expected.
    pub failures: Vec<Failure>,
}

impl Drill {
    /// A drill whose fault has just taken effect.
    ///
    /// # Errors
    /// When Prometheus or Alertmanager does not answer.
    pub async fn begin(
        instruments: Instruments,
        clock: Clock,
        alerts: Alerts,
        known: Vec<Known>,
    ) -> Result<Self, Error> {
        let client = instruments.alertmanager.as_deref().map(alertmanager::Client::new).transpose();
        Ok(Self {
            alertmanager: client.map_err(|error| Error::Alertmanager(error.to_string()))?,
            clock,
            watched: watched(&alerts, &known),
            known,
            strangers: BTreeMap::new(),
            effect: instruments.time().await?,
            lifted: None,
            broken: vec![None; alerts.expected.len()],
            alerts,
            instruments,
        })
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
        let latest = |(expected, Known { window, .. }): (&Expected, &Known)| {
            let fires = expected.fires.as_ref().map_or(window.fires.latest, |at| at.value);
            fires + window.delivery_after_firing()
        };
        let limit = self.alerts.expected.iter().zip(&self.known).map(latest).max().unwrap_or_default();
        let limit = self.clock.wall_time(limit) + SLACK;
        self.watch(limit, top, self.effect, told, stop).await
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

    /// What it all came to.
    #[must_use]
    pub fn report(&self, sources: &Sources) -> Report {
        let mut report = Report::default();
        for (number, watched) in self.watched.iter().enumerate() {
            let known = &self.known[number];
            let case = verdict::Case {
                watched,
                window: &known.window,
                clock: self.clock,
                proof: Proof::Scaled,
                broken: self.broken[number].as_ref(),
                query: known.query.as_ref(),
            };
            let silent = !known.sends_resolved && watched.climb.has(Rung::Delivered);
            let note = "its receiver is not told when it is over (`send_resolved: false`)".to_owned();
            report.drilled.push(verdict::drilled(case, silent.then_some(note).into_iter().collect()));
            report.failures.extend(verdict::failures(case, sources));
        }
        report.failures.extend(verdict::strangers(&self.alerts, &self.strangers, self.clock, sources));
        report
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
        let latest = |(expected, Known { window, .. }): (&Expected, &Known)| {
            let clears = expected.clears.as_ref().map_or(window.clears.latest, |at| at.value);
            clears + window.resolution_after_clearing()
        };
        let limit = self.alerts.expected.iter().zip(&self.known).map(latest).max().unwrap_or_default();
        let limit = self.clock.wall_time(limit) + SLACK;
        let zero = self.lifted.unwrap_or(self.effect);
        self.watch(limit, top, zero, told, stop).await
    }

    async fn watch(
        &mut self,
        limit: Duration,
        top: Rung,
        zero: Timestamp,
        told: &(dyn Fn(Timestamp) -> Vec<Message> + Send + Sync),
        stop: &CancellationToken,
    ) -> Result<Ended, Error> {
        let began = Instant::now();
        loop {
            self.look(zero, began, &told(zero)).await?;
            if self.watched.iter().all(|watched| Self::is_done(watched, top)) {
                return Ok(Ended::Complete);
            }
            if began.elapsed() >= limit {
                return Ok(Ended::Late);
            }
            let pause = tokio::time::sleep(self.instruments.pause());
            if stop.run_until_cancelled(pause).await.is_none() {
                return Ok(Ended::Stopped);
            }
        }
    }

    /// Whether there is nothing more to wait for with this alert.
    fn is_done(watched: &Watched, top: Rung) -> bool {
        if top.is_down() {
            // What never fired cannot clear; a receiver that is not told of the end is not waited for.
            let awaited = watched.climb.has(Rung::Delivered) && watched.sends_resolved;
            let top = if awaited { top } else { Rung::Cleared };
            return !watched.climb.has(Rung::Firing) || watched.climb.has(top);
        }
        watched.climb.has(top)
    }

    async fn look(&mut self, zero: Timestamp, began: Instant, messages: &[Message]) -> Result<(), Error> {
        let groups = self.instruments.prometheus.rules().await?.data;
        let held: Vec<Held> = match &self.alertmanager {
            Some(client) => client.alerts().await.map_err(|error| Error::Alertmanager(error.to_string()))?,
            None => Vec::new(),
        };
        let look = Look { since: began.elapsed(), zero, groups: &groups, held: &held, messages };
        for watched in &mut self.watched {
            if self.lifted.is_some() { watched.look_down(&look) } else { watched.look_up(&look) }
        }
        if self.lifted.is_none() {
            let firing = strangers(&groups, &self.alerts.expected, &[])
                .filter(|alert| alert.state == AlertState::Firing)
                .map(|alert| describe(&alert.labels));
            for labels in firing {
                self.strangers.entry(labels).or_insert(look.since);
            }
        }
        Ok(())
    }
}

fn watched(alerts: &Alerts, known: &[Known]) -> Vec<Watched> {
    let both = alerts.expected.iter().cloned().zip(known);
    both.map(|(expected, known)| Watched::new(expected, known.sends_resolved)).collect()
}
