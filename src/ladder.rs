//! The rungs between a fault and a pager, and down again: what a drill watches, times and explains.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A rung of the ladder that an alert climbs; see the design, section 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// The fault took effect.
    Effect,
    /// The targets were scraped since.
    Scraped,
    /// Every selector of the rule matches series.
    Selected,
    /// Every join has partners on both sides.
    Joined,
    /// The condition held.
    Held,
    /// The alert was pending in Prometheus.
    Pending,
    /// It was firing in Prometheus.
    Firing,
    /// Alertmanager had it.
    Received,
    /// Alertmanager meant it for the receiver: not inhibited, silenced or muted.
    Routed,
    /// The receiver was told, by a message without a flaw.
    Delivered,
    /// It no longer fired in Prometheus.
    Cleared,
    /// The receiver was told so.
    Resolved,
}

impl Rung {
    /// Every rung, from the fault up and down again.
    pub const ALL: [Self; 12] = [
        Self::Effect,
        Self::Scraped,
        Self::Selected,
        Self::Joined,
        Self::Held,
        Self::Pending,
        Self::Firing,
        Self::Received,
        Self::Routed,
        Self::Delivered,
        Self::Cleared,
        Self::Resolved,
    ];

    /// From 1.
    #[must_use]
    pub fn number(self) -> usize {
        self as usize + 1
    }

    /// In a word or two, as a timeline names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Effect => "effect",
            Self::Scraped => "scraped",
            Self::Selected => "selected",
            Self::Joined => "joined",
            Self::Held => "held",
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Received => "received",
            Self::Routed => "routed",
            Self::Delivered => "delivered",
            Self::Cleared => "cleared",
            Self::Resolved => "resolved",
        }
    }

    /// Whether it lies behind the moment at which the fault is lifted.
    #[must_use]
    pub fn is_down(self) -> bool {
        self >= Self::Cleared
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// When an alert reached each rung, as wall time: up to delivery since the fault took effect, after that since
/// it was lifted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Climb([Option<Duration>; Rung::ALL.len()]);

impl Climb {
    /// When `rung` was reached, if it was.
    #[must_use]
    pub fn at(&self, rung: Rung) -> Option<Duration> {
        self.0[rung as usize]
    }

    /// Whether `rung` was reached.
    #[must_use]
    pub fn has(&self, rung: Rung) -> bool {
        self.at(rung).is_some()
    }

    /// Notes that `rung` was reached; the first time counts.
    pub fn reach(&mut self, rung: Rung, at: Duration) {
        self.0[rung as usize].get_or_insert(at);
    }

    /// Forgets that `rung` was reached: what was pending is no longer.
    pub fn fall(&mut self, rung: Rung) {
        self.0[rung as usize] = None;
    }

    /// The rungs that were reached, in order.
    pub fn reached(&self) -> impl Iterator<Item = (Rung, Duration)> + '_ {
        Rung::ALL.into_iter().filter_map(|rung| self.at(rung).map(|at| (rung, at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_are_numbered_from_the_fault_on() {
        let numbers: Vec<_> = Rung::ALL.iter().map(|rung| rung.number()).collect();
        assert_eq!(numbers, (1..=12).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_time_a_rung_is_reached_counts() {
        let mut climb = Climb::default();
        climb.reach(Rung::Pending, Duration::from_secs(1));
        climb.reach(Rung::Pending, Duration::from_secs(2));
        assert_eq!(climb.at(Rung::Pending), Some(Duration::from_secs(1)));
        climb.fall(Rung::Pending);
        assert!(!climb.has(Rung::Pending));
    }
}
