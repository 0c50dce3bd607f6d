//! One drill: up the ladder while the fault holds, down again once it was lifted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::Instruments;
use super::alertmanager::{self, Held};
use super::watch::{Look, Message, Watched, strangers};
use crate::ladder::Rung;
use crate::prometheus::answer::describe;
use crate::prometheus::{self, AlertState};
use crate::rule::window::Window;
use crate::scenario::alert::{Alerts, Clock, Expected};

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

/// One drill, under way.
#[derive(Debug)]
pub struct Drill<'a> {
    instruments: &'a Instruments,
    alertmanager: Option<alertmanager::Client>,
    clock: Clock,
    alerts: &'a Alerts,
    /// When each expected alert may reach each rung; in the order of `alerts.expected`.
    windows: Vec<Window>,
    pub(super) watched: Vec<Watched>,
    /// Alerts that fired and that nobody expected, by their labels: since when.
    pub(super) strangers: BTreeMap<String, Duration>,
    /// When the fault took effect, and when it was lifted, by Prometheus's clock.
    pub(super) effect: Timestamp,
    pub(super) lifted: Option<Timestamp>,
}

impl<'a> Drill<'a> {
    /// A drill whose fault has just taken effect.
    ///
    /// # Errors
    /// When Prometheus or Alertmanager does not answer.
    pub async fn begin(
        instruments: &'a Instruments,
        clock: Clock,
        alerts: &'a Alerts,
        windows: Vec<Window>,
    ) -> Result<Self, Error> {
        let client = instruments.alertmanager.as_deref().map(alertmanager::Client::new).transpose();
        Ok(Self {
            instruments,
            alertmanager: client.map_err(|error| Error::Alertmanager(error.to_string()))?,
            clock,
            alerts,
            windows,
            watched: alerts.expected.iter().cloned().map(Watched::new).collect(),
            strangers: BTreeMap::new(),
            effect: instruments.time().await?,
            lifted: None,
        })
    }

    /// Watches until every expected alert was delivered to all it has to reach, or its time is over.
    ///
    /// # Errors
    /// When Prometheus or Alertmanager does not answer.
    pub async fn rise(
        &mut self,
        told: impl Fn(Timestamp) -> Vec<Message>,
        stop: &CancellationToken,
    ) -> Result<Ended, Error> {
        let top = if self.alertmanager.is_some() { Rung::Delivered } else { Rung::Firing };
        let latest = |(expected, window): (&Expected, &Window)| {
            let fires = expected.fires.as_ref().map_or(window.fires.latest, |at| at.value);
            fires + window.delivery_after_firing()
        };
        let limit = self.alerts.expected.iter().zip(&self.windows).map(latest).max().unwrap_or_default();
        let limit = self.clock.wall_time(limit) + SLACK;
        self.watch(limit, top, self.effect, told, stop).await
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
        told: impl Fn(Timestamp) -> Vec<Message>,
        stop: &CancellationToken,
    ) -> Result<Ended, Error> {
        let top = if self.alertmanager.is_some() { Rung::Resolved } else { Rung::Cleared };
        let latest = |(expected, window): (&Expected, &Window)| {
            let clears = expected.clears.as_ref().map_or(window.clears.latest, |at| at.value);
            clears + window.resolution_after_clearing()
        };
        let limit = self.alerts.expected.iter().zip(&self.windows).map(latest).max().unwrap_or_default();
        let limit = self.clock.wall_time(limit) + SLACK;
        let zero = self.lifted.unwrap_or(self.effect);
        self.watch(limit, top, zero, told, stop).await
    }

    async fn watch(
        &mut self,
        limit: Duration,
        top: Rung,
        zero: Timestamp,
        told: impl Fn(Timestamp) -> Vec<Message>,
        stop: &CancellationToken,
    ) -> Result<Ended, Error> {
        let began = Instant::now();
        loop {
            self.look(zero, began, &told(zero)).await?;
            if self.watched.iter().all(|watched| self.is_done(watched, top)) {
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
    fn is_done(&self, watched: &Watched, top: Rung) -> bool {
        if top.is_down() {
            // What never fired cannot clear; a receiver that is not told of the end is not waited for.
            let awaited = watched.climb.has(Rung::Delivered) && watched.sends_resolved();
            let top = if awaited { top } else { Rung::Cleared };
            return !watched.climb.has(Rung::Firing) || watched.climb.has(top);
        }
        watched.climb.has(top)
    }

    async fn look(&mut self, zero: Timestamp, began: Instant, messages: &[Message]) -> Result<(), Error> {
        let groups = self.instruments.prometheus.rules().await?.data;
        let held: Vec<Held> = match &self.alertmanager {
            Some(client) => {
                client.alerts().await.map_err(|error| Error::Alertmanager(error.to_string()))?
            }
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
