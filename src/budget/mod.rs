//! What an SLI spends of its objective: budgets over windows, by events or by slices of time.
//!
//! Nothing is rounded here. Counts may have parts of events in them, as those of a Prometheus do.

mod burn;
mod tally;

use std::time::Duration;

pub use self::burn::{Burn, Detection, Fault, Severity, Tier, Tiers};
pub use self::tally::{Empty, Events, Method, Tally};
use crate::units::Ratio;

/// Shares closer than this to each other are the same: `1 - 0.999` is not `0.001` to a computer.
pub(crate) const NOISE: f64 = 1e-9;

/// A time that nobody waits for, in seconds: a century.
const FOREVER: f64 = 100.0 * 366.0 * 86_400.0;

/// What an objective allows, and what was spent of it, in one window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// The share that must be good.
    pub objective: Ratio,
    /// What was lost of what.
    pub tally: Tally,
    /// How long the window is.
    pub period: Duration,
    /// How much of it has passed: all of one that rolls.
    pub elapsed: Duration,
}

/// When the budget is gone, if it goes on like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exhaustion {
    /// It is.
    Spent,
    /// After so long. In a window that rolls it is so long at least: old failures leave it.
    In(Duration),
    /// Not within a century.
    Never,
}

impl Budget {
    /// The share that was good, by the objective's method; `None` where nothing counted.
    #[must_use]
    pub fn sli(&self) -> Option<Ratio> {
        Ratio::new(1.0 - self.tally.loss()?)
    }

    /// How fast it was spent, on the average of what was counted.
    #[must_use]
    pub fn burn(&self) -> Option<Burn> {
        Burn::of(self.tally, self.objective)
    }

    /// The share of the budget for what was counted that is spent; `None` where nothing counted or nothing is
    /// allowed. For a window that rolls it is [`Budget::consumed`]; for one by the calendar it is "to date".
    #[must_use]
    pub fn consumed_to_date(&self) -> Option<f64> {
        self.burn().map(Burn::rate)
    }

    /// The share of the whole window's budget that is spent, where the rest of the window sees as much as the
    /// part that has passed.
    #[must_use]
    pub fn consumed(&self) -> Option<f64> {
        Some(self.consumed_to_date()? * self.passed())
    }

    /// The share that is left; below zero when more was spent than there was.
    #[must_use]
    pub fn remaining(&self) -> Option<f64> {
        Some(1.0 - self.consumed()?)
    }

    /// How many of what is counted the whole window's budget allows to be lost.
    #[must_use]
    pub fn allowed(&self) -> f64 {
        let passed = self.passed();
        if passed > 0.0 { self.objective.complement().share() * self.tally.of() / passed } else { 0.0 }
    }

    /// How many more may be lost; below zero when too many were.
    #[must_use]
    pub fn left(&self) -> f64 {
        self.allowed() - self.tally.lost()
    }

    /// How long a total outage the rest of the budget would pay for; `None` where there is no budget to speak of.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        let share = self.remaining()?.max(0.0);
        Some(seconds(share * self.objective.complement().share() * self.period.as_secs_f64()))
    }

    /// Whether all is spent. An objective that allows nothing has spent it with the first failure.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.tally.lost() > 0.0 && self.tally.lost() >= self.allowed() * (1.0 - NOISE)
    }

    /// When it is gone at this burn rate; `None` where there is no budget to speak of.
    #[must_use]
    pub fn exhaustion(&self, burn: Burn) -> Option<Exhaustion> {
        let remaining = self.remaining()?;
        if self.is_spent() || remaining <= 0.0 {
            return Some(Exhaustion::Spent);
        }
        let after = remaining * self.period.as_secs_f64() / burn.rate();
        Some(if after.is_finite() && after < FOREVER {
            Exhaustion::In(seconds(after))
        } else {
            Exhaustion::Never
        })
    }

    /// The share of the whole window's budget that so many further losses cost, say those of a deploy.
    #[must_use]
    pub fn cost(&self, lost: f64) -> Option<f64> {
        let allowed = self.allowed();
        (allowed > 0.0).then(|| lost / allowed)
    }

    /// The share of the window that has passed.
    fn passed(&self) -> f64 {
        if self.period.is_zero() {
            return 1.0;
        }
        (self.elapsed.as_secs_f64() / self.period.as_secs_f64()).min(1.0)
    }
}

/// So many seconds, at most [`FOREVER`].
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.clamp(0.0, FOREVER)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
