//! How fast a budget is spent, and the tiers of windows and factors that alerts watch it by.
//!
//! The model is of constant traffic: a fault fails a share `e` of events from one moment on, for some time. The
//! burn rate over a window rises as the fault fills it, and falls as the fault leaves it.

use std::time::Duration;

use super::{NOISE, Tally, seconds};
use crate::units::Ratio;

/// How fast a budget is spent: 1 spends it in exactly the SLO's window.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Burn(f64);

impl Burn {
    /// The burn rate of this loss; `None` where nothing counted, or the objective allows nothing.
    #[must_use]
    pub fn of(tally: Tally, objective: Ratio) -> Option<Self> {
        let budget = objective.complement().share();
        Some(Self(tally.loss()? / budget)).filter(|burn| burn.0.is_finite())
    }

    /// As a multiple of what spends the budget in exactly the window.
    #[must_use]
    pub fn rate(self) -> f64 {
        self.0
    }

    /// The weighted sum of the parts of a composite, whose weights together count as one.
    #[must_use]
    pub fn weighted(parts: &[(f64, Self)]) -> Option<Self> {
        let weights: f64 = parts.iter().map(|(weight, _)| weight).sum();
        let sum: f64 = parts.iter().map(|(weight, burn)| weight * burn.0).sum();
        (weights > 0.0).then(|| Self(sum / weights))
    }

    /// The share of the budget of a window of `period` that this burn rate spends in `time`.
    #[must_use]
    pub fn share(self, time: Duration, period: Duration) -> f64 {
        self.0 * time.as_secs_f64() / period.as_secs_f64()
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Somebody is woken.
    Page,
    /// Somebody looks in the morning.
    Ticket,
}

impl Severity {
    /// The name in rules and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Ticket => "ticket",
        }
    }
}

/// One pair of windows, and the burn rate that both must be above.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tier {
    /// How bad it is.
    pub severity: Severity,
    /// The window that says how much was spent.
    pub long: Duration,
    /// The window that says whether it still goes on.
    pub short: Duration,
    /// The burn rate.
    pub factor: f64,
    /// How long both must hold.
    pub hold: Duration,
}

/// The usual four tiers, from the fastest.
#[derive(Debug, Clone, PartialEq)]
pub struct Tiers(pub Vec<Tier>);

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

impl Tiers {
    /// Windows that stay as they are whatever the SLO's, each with the share of the budget that it may spend; the
    /// factor follows from both.
    #[must_use]
    pub fn by_factor(period: Duration) -> Self {
        const SHARES: [(Severity, u64, u64, f64); 4] = [
            (Severity::Page, HOUR, 5 * MINUTE, 0.02),
            (Severity::Page, 6 * HOUR, 30 * MINUTE, 0.05),
            (Severity::Ticket, DAY, 2 * HOUR, 0.10),
            (Severity::Ticket, 3 * DAY, 6 * HOUR, 0.10),
        ];
        let tier = |(severity, long, short, share)| {
            let (long, short) = (Duration::from_secs(long), Duration::from_secs(short));
            let factor = share * period.as_secs_f64() / long.as_secs_f64();
            Tier { severity, long, short, factor, hold: Duration::ZERO }
        };
        Self(SHARES.map(tier).into())
    }

    /// Factors that stay as they are whatever the SLO's window; the windows, and how long they must hold, are
    /// those of four weeks, scaled, to whole minutes.
    #[must_use]
    pub fn by_window(period: Duration) -> Self {
        const FOUR_WEEKS: Duration = Duration::from_secs(28 * DAY);
        const FACTORS: [(Severity, u64, u64, f64, u64); 4] = [
            (Severity::Page, HOUR, 5 * MINUTE, 14.0, 2 * MINUTE),
            (Severity::Page, 6 * HOUR, 30 * MINUTE, 7.0, 15 * MINUTE),
            (Severity::Ticket, DAY, 2 * HOUR, 2.0, HOUR),
            (Severity::Ticket, 4 * DAY, 6 * HOUR, 1.0, 3 * HOUR),
        ];
        let scale = period.as_secs_f64() / FOUR_WEEKS.as_secs_f64();
        let scaled = |time: u64| {
            let minutes = Duration::from_secs(time).as_secs_f64() * scale / 60.0;
            seconds(minutes.round().max(1.0) * 60.0)
        };
        let tier = |(severity, long, short, factor, hold)| Tier {
            severity,
            long: scaled(long),
            short: scaled(short),
            factor,
            hold: scaled(hold),
        };
        Self(FACTORS.map(tier).into())
    }
}

/// A share of events that fails from one moment on, for some time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    /// The share that fails.
    pub errors: Ratio,
    /// For how long.
    pub lasts: Duration,
}

/// What a tier makes of a fault, from when that begins, where nothing failed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detection {
    /// When the condition begins to hold.
    pub after: Duration,
    /// How long it holds after the fault has ended.
    pub clears: Duration,
}

impl Tier {
    /// The share of a budget of `period` that is spent when it fires.
    #[must_use]
    pub fn share(self, period: Duration) -> f64 {
        self.factor * self.long.as_secs_f64() / period.as_secs_f64()
    }

    /// Whether even a total outage cannot be above its burn rate.
    #[must_use]
    pub fn is_impossible(self, objective: Ratio) -> bool {
        self.threshold(objective) >= 1.0 - NOISE
    }

    /// The share of events that fails at exactly its burn rate.
    #[must_use]
    pub fn threshold(self, objective: Ratio) -> f64 {
        self.factor * objective.complement().share()
    }

    /// When it begins to hold and when it clears; `None` where this fault never gets there.
    #[must_use]
    pub fn detects(self, fault: Fault, objective: Ratio) -> Option<Detection> {
        let (errors, lasts) = (fault.errors.share(), fault.lasts.as_secs_f64());
        let needed = self.threshold(objective) / errors;
        let rises = |window: Duration| needed * window.as_secs_f64();
        let after = rises(self.long).max(rises(self.short));
        if errors <= 0.0 || needed >= 1.0 || lasts < after * (1.0 - NOISE) {
            return None;
        }
        // A fault shorter than a window never fills it, and leaves it later.
        let falls = |window: Duration| window.as_secs_f64() - needed * window.as_secs_f64();
        let clears = falls(self.short).min(falls(self.long));
        let holds = lasts + clears - after;
        let detection = Detection { after: seconds(after), clears: seconds(clears) };
        (holds >= self.hold.as_secs_f64() * (1.0 - NOISE)).then_some(detection)
    }

    /// When it begins to hold where a share `earlier` has been failing all along, the traffic is multiplied by
    /// `traffic` while the fault lasts, or only so much `history` is there to look back on.
    #[must_use]
    pub fn detects_after(
        self,
        fault: Fault,
        objective: Ratio,
        earlier: Ratio,
        traffic: f64,
        history: Duration,
    ) -> Option<Duration> {
        let (errors, threshold) = (fault.errors.share(), self.threshold(objective));
        if errors <= threshold {
            return None;
        }
        let spare = (threshold - earlier.share()).max(0.0);
        let gains = traffic * (errors - threshold);
        // Until the window is full it holds only what there is, and is sooner above the threshold.
        let filling = history.as_secs_f64() * spare / gains;
        let full = self.long.as_secs_f64() * spare / (gains + spare);
        let after = filling.min(full);
        (fault.lasts.as_secs_f64() >= after * (1.0 - NOISE)).then(|| seconds(after))
    }

    /// So few failures in the long window are above its burn rate, where it holds `events`: with one, a single
    /// failure wakes somebody.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded up from above zero")]
    pub fn failures_to_fire(self, objective: Ratio, events: f64) -> u64 {
        (self.threshold(objective) * events * (1.0 + NOISE)).floor() as u64 + 1
    }
}
