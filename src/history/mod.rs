//! What is known of an objective's past: from a Prometheus, from firedrill's own store, or from one saved run.
//!
//! Each source gives [`Reading`]s, which say what happened in the window and in each lookback; what they come to is
//! the same for all of them.

mod assemble;
pub mod own;
pub mod prometheus;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

pub use self::assemble::known;
use crate::budget::{Empty, Events, Tier, Tiers};
use crate::gate::Verdict;
use crate::slo::{Budgeting, Objective, Slo, Window};
use crate::units::Ratio;

/// What is to be decided about: an objective, or a composite of several.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// The SLO.
    pub slo: &'a Slo,
    /// Its parts: one, unless it is a composite.
    pub parts: Vec<&'a Objective>,
    /// Whether it is a composite.
    pub composite: bool,
}

/// How windows and factors follow from the SLO's window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum School {
    /// The windows stay, the factors follow from the budget they may spend.
    #[default]
    Factor,
    /// The factors stay, the windows are scaled.
    Window,
}

/// How the past is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The end of every window.
    pub at: Timestamp,
    /// Which tiers are watched.
    pub school: School,
    /// What a slice without events is.
    pub empty: Empty,
    /// Whether what happened in parts of the window is asked for, to see failures that cluster.
    pub slices: bool,
    /// A moment since when failures are counted, as that of a deploy.
    pub since: Option<Timestamp>,
    /// The window to look at in place of the SLO's own, as one that began with a watch.
    pub from: Option<Timestamp>,
}

impl Look {
    /// At a moment, with nothing special.
    #[must_use]
    pub fn at(at: Timestamp) -> Self {
        let (school, empty) = (School::default(), Empty::default());
        Self { at, school, empty, slices: false, since: None, from: None }
    }
}

/// What happened, as one source has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// In the window.
    pub whole: Events,
    /// In each part of the window, the oldest first, all of one length: by the objective's slices of time where its
    /// budget is spent by those.
    pub slices: Vec<Events>,
    /// In each lookback.
    pub lookbacks: BTreeMap<Duration, Events>,
    /// The share of the window in which anything was measured.
    pub covered: Option<Ratio>,
    /// Bad events since the moment that was asked about.
    pub since: Option<f64>,
    /// What is to be said aloud.
    pub notes: Vec<String>,
    /// What speaks against a pass.
    pub doubts: Vec<(Verdict, String)>,
}

/// What a source has of one part: a reading, or why there is none.
pub type Read = Result<Reading, String>;

impl<'a> Wanted<'a> {
    /// Everything that SLOs ask to be decided.
    #[must_use]
    pub fn of(slos: &'a [Slo]) -> Vec<Self> {
        let of_slo = |slo: &'a Slo| {
            let composite = slo.objectives.iter().any(|objective| objective.weight.is_some());
            if composite && slo.objectives.len() > 1 {
                return vec![Self { slo, parts: slo.objectives.iter().collect(), composite }];
            }
            let one = |objective| Self { slo, parts: vec![objective], composite: false };
            slo.objectives.iter().map(one).collect()
        };
        slos.iter().flat_map(of_slo).collect()
    }

    /// What it promises, in words.
    #[must_use]
    pub fn objective(&self) -> String {
        match self.parts.as_slice() {
            [only] => only.to_string(),
            parts => format!("{} in a composite of {}", self.target(), parts.len()),
        }
    }

    /// The share that must be good; of a composite the weighted mean.
    #[must_use]
    pub fn target(&self) -> Ratio {
        let weights: f64 = self.parts.iter().filter_map(|part| part.weight).sum();
        let weighted = self.parts.iter().filter_map(|part| Some(part.weight? * part.target.share()));
        match self.parts.as_slice() {
            [only] => only.target,
            _ => Ratio::new(weighted.sum::<f64>() / weights).unwrap_or(Ratio::ONE),
        }
    }

    /// When its window began and how long it is, as of a moment; `None` before the first of a calendar.
    #[must_use]
    pub fn window(&self, look: &Look) -> Option<(Timestamp, Duration)> {
        let length = |from: Timestamp, to: Timestamp| Duration::try_from(to.duration_since(from)).ok();
        if let Some(from) = look.from {
            return Some((from, length(from, look.at)?));
        }
        match &self.slo.window {
            Window::Rolling(period) => {
                let period = period.nominal();
                Some((look.at.checked_sub(jiff::SignedDuration::try_from(period).ok()?).ok()?, period))
            }
            Window::Calendar(calendar) => {
                let window = calendar.around(look.at)?;
                Some((window.start, length(window.start, window.end)?))
            }
        }
    }

    /// The tiers that its burn rate is watched by.
    #[must_use]
    pub fn tiers(&self, school: School) -> Vec<Tier> {
        let period = self.slo.window.period().nominal();
        match school {
            School::Factor => Tiers::by_factor(period).0,
            School::Window => Tiers::by_window(period).0,
        }
    }

    /// Every lookback of its tiers, the shortest first.
    #[must_use]
    pub fn lookbacks(&self, look: &Look) -> Vec<Duration> {
        if look.from.is_some() {
            return Vec::new();
        }
        let mut all: Vec<_> =
            self.tiers(look.school).iter().flat_map(|tier| [tier.short, tier.long]).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// How long a slice of an objective is, where its budget is spent by slices of time.
pub(crate) fn slice_of(objective: &Objective) -> Option<Duration> {
    match objective.budgeting {
        Budgeting::Occurrences => None,
        Budgeting::Timeslices { slice, .. } | Budgeting::RatioTimeslices { slice } => Some(slice.nominal()),
    }
}
