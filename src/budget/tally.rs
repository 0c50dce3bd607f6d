//! What was lost of what: of events, or of slices of time.

use crate::sli::Counts;
use crate::units::Ratio;

/// Events in some time: how many counted, and how many of those were bad. A Prometheus has parts of events, too.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Events {
    bad: f64,
    valid: f64,
}

impl Events {
    /// `bad` events among `valid` ones; `None` where more are bad than count, or either is no number of events.
    #[must_use]
    pub fn new(bad: f64, valid: f64) -> Option<Self> {
        (bad >= 0.0 && bad <= valid && valid.is_finite()).then_some(Self { bad, valid })
    }

    /// Those that were bad.
    #[must_use]
    pub fn bad(self) -> f64 {
        self.bad
    }

    /// Those that count.
    #[must_use]
    pub fn valid(self) -> f64 {
        self.valid
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { bad: self.bad + other.bad, valid: self.valid + other.valid }
    }

    /// The share that was bad; `None` where nothing counts.
    #[must_use]
    pub fn loss(self) -> Option<f64> {
        (self.valid > 0.0).then(|| self.bad / self.valid)
    }

    /// As whole events, which a test of chances wants: the nearest, and bad for any that was bad.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "neither is below zero, and what is above all numbers of events becomes the largest"
    )]
    pub fn whole(self) -> Counts {
        let (bad, valid) = (self.bad.round() as u64, self.valid.round() as u64);
        let bad = if self.bad > 0.0 { bad.max(1) } else { 0 };
        Counts { good: valid.saturating_sub(bad), bad }
    }
}

impl From<Counts> for Events {
    #[expect(clippy::cast_precision_loss, reason = "above 2^53 events one more or less changes no share")]
    fn from(counts: Counts) -> Self {
        Self { bad: counts.bad as f64, valid: counts.valid() as f64 }
    }
}

/// How a budget is spent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// By bad events.
    Occurrences,
    /// By slices of time in which fewer than this share of the events are good.
    Timeslices {
        /// The share that makes a slice a good one.
        good: Ratio,
    },
    /// By the mean of the slices' shares.
    RatioTimeslices,
}

/// What a slice of time without events is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Empty {
    /// Not counted.
    #[default]
    Ignore,
    /// A good slice.
    Good,
    /// A bad slice.
    Bad,
}

/// What was lost of what: events, or slices of time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tally {
    lost: f64,
    of: f64,
    empty: u64,
}

impl Tally {
    /// By events, whenever they happened.
    #[must_use]
    pub fn of_events(events: Events) -> Self {
        Self { lost: events.bad, of: events.valid, empty: 0 }
    }

    /// By a method, from what happened in each slice of time; a slice that nothing is known of has no events.
    #[must_use]
    pub fn of_slices(slices: &[Events], method: Method, empty: Empty) -> Self {
        let mut tally = Self::default();
        for slice in slices {
            let Some(loss) = slice.loss() else {
                tally.empty += 1;
                match (method, empty) {
                    (Method::Occurrences, _) | (_, Empty::Ignore) => {}
                    (_, Empty::Good) => tally.of += 1.0,
                    (_, Empty::Bad) => tally.add(1.0, 1.0),
                }
                continue;
            };
            match method {
                Method::Occurrences => tally.add(slice.bad, slice.valid),
                Method::Timeslices { good } => {
                    let kept = 1.0 - loss >= good.share() * (1.0 - super::NOISE);
                    tally.add(if kept { 0.0 } else { 1.0 }, 1.0);
                }
                Method::RatioTimeslices => tally.add(loss, 1.0),
            }
        }
        tally
    }

    /// A composite of parts and their weights, whose sum counts as one.
    ///
    /// Of `Occurrences` and `RatioTimeslices` the loss is the weighted mean of the parts' losses; `None` where a
    /// part has none, for a whole of which a part is unknown is unknown. It is told as a loss of one.
    #[must_use]
    pub fn weighted(parts: &[(f64, Self)]) -> Option<Self> {
        let weights: f64 = parts.iter().map(|(weight, _)| weight).sum();
        let losses: Option<Vec<f64>> =
            parts.iter().map(|(weight, part)| Some(weight * part.loss()?)).collect();
        let lost = losses?.iter().sum::<f64>() / weights;
        let empty = parts.iter().map(|(_, part)| part.empty).sum();
        (weights > 0.0 && lost.is_finite()).then_some(Self { lost, of: 1.0, empty })
    }

    /// A composite of `Timeslices`: a slice is bad when any part's is, and empty where all are.
    ///
    /// Each part has the share that makes its slices good ones, and its slices, in the same times.
    #[must_use]
    pub fn any_bad(parts: &[(Ratio, &[Events])], empty: Empty) -> Self {
        let length = parts.iter().map(|(_, slices)| slices.len()).max().unwrap_or(0);
        let mut whole = Self::default();
        for at in 0..length {
            let of_part = |(good, slices): &(Ratio, &[Events])| {
                let slice = slices.get(at).map_or(&[][..], std::slice::from_ref);
                Self::of_slices(slice, Method::Timeslices { good: *good }, Empty::Ignore)
            };
            let merged = parts.iter().map(of_part).fold(Self::default(), Self::plus);
            match (merged.of > 0.0, empty) {
                (true, _) => whole.add(merged.lost.min(1.0), 1.0),
                (false, Empty::Ignore) => whole.empty += 1,
                (false, Empty::Good) => whole = Self { of: whole.of + 1.0, empty: whole.empty + 1, ..whole },
                (false, Empty::Bad) => {
                    whole.add(1.0, 1.0);
                    whole.empty += 1;
                }
            }
        }
        whole
    }

    /// What was lost.
    #[must_use]
    pub fn lost(self) -> f64 {
        self.lost
    }

    /// Of how many.
    #[must_use]
    pub fn of(self) -> f64 {
        self.of
    }

    /// Slices without events, however they counted.
    #[must_use]
    pub fn empty(self) -> u64 {
        self.empty
    }

    /// The share that was lost; `None` where nothing counted.
    #[must_use]
    pub fn loss(self) -> Option<f64> {
        (self.of > 0.0).then(|| (self.lost / self.of).clamp(0.0, 1.0))
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { lost: self.lost + other.lost, of: self.of + other.of, empty: self.empty + other.empty }
    }

    fn add(&mut self, lost: f64, of: f64) {
        self.lost += lost;
        self.of += of;
    }
}
