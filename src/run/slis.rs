//! The SLIs of a scenario, fed by steps that run side by side, and told of minute by minute.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::event::{Event, Sender};
use crate::sli::Sli;

/// The SLIs of a scenario.
#[derive(Debug, Clone)]
pub(super) struct Slis {
    /// Times that an objective compares with, by SLI.
    pub(super) limits: Arc<BTreeMap<String, Vec<Duration>>>,
    folded: Arc<Mutex<BTreeMap<String, Fed>>>,
    scenario: String,
    sender: Sender,
    clock: Clock,
}

/// What an SLI was fed: in all, and in the minute that is not over.
#[derive(Debug, Default)]
struct Fed {
    all: Sli,
    minute: Option<(i64, Sli)>,
}

/// The time of day, as a clock that is not set while the run goes on would show it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// Seconds since 1970 at `began`.
    pub(super) started: i64,
    /// When the run began.
    pub(super) began: Instant,
}

impl Clock {
    /// The minute that is now, as the seconds since 1970 it began at.
    fn minute(self) -> i64 {
        let elapsed = i64::try_from(self.began.elapsed().as_secs()).unwrap_or(i64::MAX);
        self.started.saturating_add(elapsed).div_euclid(60).saturating_mul(60)
    }
}

impl Slis {
    /// None is fed yet; each will count exactly the `limits` that objectives compare with.
    pub(super) fn new(
        limits: BTreeMap<String, Vec<Duration>>,
        scenario: &str,
        sender: &Sender,
        clock: Clock,
    ) -> Self {
        Self {
            limits: Arc::new(limits),
            folded: Arc::default(),
            scenario: scenario.to_owned(),
            sender: sender.clone(),
            clock,
        }
    }

    /// An empty SLI that counts exactly what the objectives on `name` will ask.
    pub(super) fn empty(&self, name: &str) -> Sli {
        Sli::watching(self.limits.get(name).map_or(&[], Vec::as_slice))
    }

    /// Adds to the SLI of that name; a minute that is over is told of.
    pub(super) fn fold(&self, name: &str, samples: &Sli) {
        let mut folded = self.folded.lock().unwrap_or_else(PoisonError::into_inner);
        let fed =
            folded.entry(name.to_owned()).or_insert_with(|| Fed { all: self.empty(name), ..Fed::default() });
        fed.all.merge(samples);
        let now = self.clock.minute();
        if fed.minute.as_ref().is_some_and(|(minute, _)| *minute < now) {
            self.tell(name, fed.minute.take());
        }
        let (_, minute) = fed.minute.get_or_insert_with(|| (now, self.empty(name)));
        minute.merge(samples);
    }

    /// The SLI of that name, as far as it was fed.
    pub(super) fn get(&self, name: &str) -> Sli {
        let folded = self.folded.lock().unwrap_or_else(PoisonError::into_inner);
        folded.get(name).map_or_else(|| self.empty(name), |fed| fed.all.clone())
    }

    /// Tells of the minutes that are not over; nothing is fed afterwards.
    pub(super) fn close(&self) {
        let mut folded = self.folded.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, fed) in folded.iter_mut() {
            self.tell(name, fed.minute.take());
        }
    }

    fn tell(&self, name: &str, minute: Option<(i64, Sli)>) {
        let Some((minute, samples)) = minute else { return };
        let (scenario, sli) = (self.scenario.clone(), name.to_owned());
        self.sender.send(Event::Sampled { scenario, sli, minute, samples: samples.folded() });
    }
}
