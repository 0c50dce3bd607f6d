//! What makes a load's attempts: for each of the things that are asked the request, made once, and what its answer
//! must be.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::RngExt as _;
use tokio::time::Instant;
use url::Host;

use super::walk::Walker;
use crate::event::Failure;
use crate::load::wire::Line;
use crate::load::{Shooter, Shot};
use crate::probe::attempt::Breach;
use crate::probe::http::Written;
use crate::probe::volley::Volley;
use crate::sample::Reason;
use crate::scenario::load::{Ask, Load};
use crate::scenario::template::Unset;
use crate::source::Sources;

/// How many failures of each reason are kept with all that is known of them.
const KEPT: usize = 3;

/// Everything that the guns of a load share.
#[derive(Clone)]
pub(super) struct Battery {
    barrels: Arc<[Barrel]>,
    /// Of all barrels together.
    weight: u64,
    /// How many servers the fast path goes to.
    roads: usize,
    timeout: Duration,
    failures: Kept,
}

/// One of the things that are asked.
struct Barrel {
    volley: Volley,
    /// How often, with those before it.
    weight_up_to: u64,
    /// The request as bytes, where the fast path can send it.
    wired: Option<Wired>,
}

/// What the fast path sends.
struct Wired {
    written: Written,
    /// Whether more than the status of an answer is looked at.
    keep: bool,
    /// Which of its servers it goes to.
    road: usize,
}

impl Battery {
    /// Makes every request of the load.
    ///
    /// # Errors
    /// When a name that a request needs has no value.
    pub(super) fn new(walker: &Walker, load: &Load) -> Result<Self, Unset> {
        let mut barrels: Vec<Barrel> = Vec::new();
        let (mut weight, mut roads) = (0, 0);
        for ask in &load.asks {
            let volley = Volley::new(ask, load.timeout, &walker.scope, &walker.session)?;
            weight += u64::from(ask.weight);
            // What cannot be written is not sent either, and the volley says why.
            let written = volley.written().and_then(Result::ok);
            let wired = written.map(|written| {
                let same = |wired: &&Wired| wired.leads_where(&written);
                let known = barrels.iter().filter_map(|barrel| barrel.wired.as_ref()).find(same);
                let road = known.map_or(roads, |wired| wired.road);
                roads = roads.max(road + 1);
                Wired { written, keep: !volley.asks_for_a_status_only(), road }
            });
            barrels.push(Barrel { volley, weight_up_to: weight, wired });
        }
        let failures = Kept::default();
        Ok(Self { barrels: barrels.into(), weight, roads, timeout: load.timeout, failures })
    }

    /// The hosts that are asked.
    pub(super) fn hosts(&self) -> impl Iterator<Item = Host> {
        self.barrels.iter().filter_map(|barrel| barrel.volley.host())
    }

    /// The failures that were kept.
    pub(super) fn failures(&self) -> Kept {
        self.failures.clone()
    }

    /// Connections for one attempt at a time.
    pub(super) fn gun(&self) -> Gun {
        let lines = (0..self.roads).map(|_| Line::new(self.timeout)).collect();
        let volleys = self.barrels.iter().map(|barrel| match barrel.wired {
            Some(_) => None,
            None => Some(Box::new(barrel.volley.another())),
        });
        Gun { battery: self.clone(), lines, volleys: volleys.collect() }
    }

    /// One of the things that are asked, each as often as its weight says.
    fn pick(&self) -> usize {
        if self.barrels.len() == 1 {
            return 0;
        }
        let drawn = rand::rng().random_range(0..self.weight);
        self.barrels.partition_point(|barrel| barrel.weight_up_to <= drawn)
    }
}

impl Wired {
    fn leads_where(&self, other: &Written) -> bool {
        let Written { to, secure, options, .. } = &self.written;
        (to, secure, options) == (&other.to, &other.secure, &other.options)
    }
}

/// Makes a load's attempts on connections of its own.
pub(super) struct Gun {
    battery: Battery,
    /// One for each server of the fast path.
    lines: Vec<Line>,
    /// For each of the things that are asked, where the fast path cannot.
    volleys: Vec<Option<Box<Volley>>>,
}

impl Gun {
    /// Makes an attempt at one of the things that are asked: when it began and ended, and what was wrong.
    async fn ask(&mut self, part: usize) -> (Instant, Instant, Vec<Breach>) {
        let Barrel { volley, wired, .. } = &self.battery.barrels[part];
        if let Some(Wired { written, keep, road }) = wired {
            let done = self.lines[*road].exchange(written, *keep).await;
            let took = done.ended - done.sent;
            let breaches = match done.result {
                Err(cause) => volley.lost(cause),
                Ok(answer) if *keep => volley.judge(&answer.response(), took),
                Ok(answer) => volley.judge_status(answer.status(), took),
            };
            return (done.sent, done.ended, breaches);
        }
        let sent = Instant::now();
        let breaches = match &mut self.volleys[part] {
            Some(volley) => volley.shoot().await,
            None => Vec::new(),
        };
        (sent, Instant::now(), breaches)
    }
}

impl Shooter for Gun {
    async fn shoot(&mut self) -> Shot {
        let part = self.battery.pick();
        let (sent, ended, breaches) = self.ask(part).await;
        let outcome = breaches.first().map_or(Ok(()), |breach| Err(breach.reason));
        if !breaches.is_empty() {
            self.battery.failures.keep(breaches);
        }
        Shot { outcome, part, sent, ended }
    }
}

/// A few failures of each reason, no two of them alike.
#[derive(Clone, Default)]
pub(super) struct Kept(Arc<Mutex<BTreeMap<Reason, Vec<Breach>>>>);

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

    /// Each with the place that wanted it otherwise.
    pub(super) fn draw(&self, sources: &Sources) -> Vec<Failure> {
        let kept = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        kept.into_values().flatten().map(|breach| breach.draw(sources)).collect()
    }
}

/// What the things that are asked are called.
pub(super) fn names(asks: &[Ask]) -> impl Iterator<Item = &str> {
    asks.iter().map(|ask| ask.name.as_str())
}
