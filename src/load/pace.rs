//! When each hit is due, and when each user joins: absolute schedules, computed and never queued.

use std::time::Duration;

use crate::units::Rate;

/// Who decides when the next attempt is made.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// The clock, whatever the target does: the open model.
    Open(Pace),
    /// Users who each wait for an answer before they ask again: the closed model.
    Closed(Crowd),
}

/// A load that rises evenly from nothing to `rate` and is then held there.
///
/// Due times follow from the schedule alone: a hit that is sent late pushes no other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Hits per second, once risen.
    pub rate: Rate,
    /// How long the rise takes.
    pub ramp: Duration,
    /// How long the rate is held.
    pub hold: Duration,
}

/// Sums of decimal fractions come out a hair over whole numbers; that much more is not another hit.
const HAIR: f64 = 1e-12;

impl Pace {
    /// From the start to the end of the load.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.ramp.saturating_add(self.hold)
    }

    /// How many hits there are in all: the integral of the rate, rounded up.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and not negative")]
    pub fn hits(&self) -> u64 {
        let integral = self.risen() + self.rate.per_second() * self.hold.as_secs_f64();
        (integral * (1.0 - HAIR)).ceil() as u64
    }

    /// When the `n`-th hit is due, counted from 0, since the start; `None` after the last one.
    ///
    /// That is when the integral of the rate reaches `n`, so the first hit is due at once.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "2^53 hits take 28 years at the highest rate")]
    pub fn due(&self, n: u64) -> Option<Duration> {
        if n >= self.hits() {
            return None;
        }
        let (n, rate, ramp) = (n as f64, self.rate.per_second(), self.ramp.as_secs_f64());
        let seconds = if n < self.risen() {
            (2.0 * n * ramp / rate).sqrt().min(ramp)
        } else {
            ramp + (n - self.risen()) / rate
        };
        let due = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        Some(due.min(self.length()))
    }

    /// How many hits are due at or before `elapsed`: exactly those that [`Pace::due`] puts there.
    #[must_use]
    pub fn wanted_by(&self, elapsed: Duration) -> u64 {
        let (mut wanted, mut beyond) = (0, self.hits());
        while wanted < beyond {
            let middle = wanted + (beyond - wanted) / 2;
            if self.due(middle).is_some_and(|due| due <= elapsed) {
                wanted = middle + 1;
            } else {
                beyond = middle;
            }
        }
        wanted
    }

    /// The integral of the rate over the ramp.
    fn risen(&self) -> f64 {
        self.rate.per_second() * self.ramp.as_secs_f64() / 2.0
    }
}

/// Users who join one after another, evenly, and then stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowd {
    /// How many, once all have joined.
    pub users: u32,
    /// How long it takes until all have.
    pub ramp: Duration,
    /// How long they stay from then on.
    pub hold: Duration,
}

impl Crowd {
    /// From the start to the end of the load.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.ramp.saturating_add(self.hold)
    }

    /// When a user joins, the first being number 0; `None` beyond the last.
    #[must_use]
    pub fn joins(&self, user: u64) -> Option<Duration> {
        let user = u32::try_from(user).ok().filter(|user| *user < self.users)?;
        Some(self.ramp.mul_f64(f64::from(user) / f64::from(self.users)))
    }
}

/// A part of a schedule that leaves the other parts to others: every `parts`-th hit from the `first` on.
///
/// Parts have nothing in common but the schedule and when it begins, and together are all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Which part, counted from 0.
    first: u64,
    /// Of how many.
    parts: u64,
}

impl Default for Shard {
    /// The whole.
    fn default() -> Self {
        Self { first: 0, parts: 1 }
    }
}

impl Shard {
    /// Part `number`, counted from 0, of `parts`; `None` where there is no such part.
    #[must_use]
    pub fn new(number: u64, parts: u64) -> Option<Self> {
        (number < parts).then_some(Self { first: number, parts })
    }

    /// Part `number` of the `parts` of this part, counted from 0.
    #[must_use]
    pub fn part(self, number: u64, parts: u64) -> Self {
        Self { first: self.first + self.parts * number, parts: self.parts * parts }
    }

    /// The `n`-th hit of this part, as a hit of the whole.
    #[must_use]
    pub fn nth(self, n: u64) -> u64 {
        n.saturating_mul(self.parts).saturating_add(self.first)
    }

    /// How many of the first `hits` of the whole are in this part.
    #[must_use]
    pub fn of(self, hits: u64) -> u64 {
        hits.saturating_sub(self.first).div_ceil(self.parts)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn pace(rate: &str, ramp: Duration, hold: Duration) -> Pace {
        Pace { rate: rate.parse().unwrap(), ramp, hold }
    }

    #[rstest]
    #[case::even("1000/s", ms(0), ms(30_000), 30_000)]
    #[case::a_triangle_and_a_block("10/s", ms(4_000), ms(2_000), 40)]
    #[case::only_a_ramp("10/s", ms(4_000), ms(0), 20)]
    #[case::a_fraction_of_a_second("7/m", ms(0), ms(60_000), 7)]
    #[case::rarer_than_the_load_is_long("1/h", ms(0), ms(1), 1)]
    #[case::no_time("1000/s", ms(0), ms(0), 0)]
    fn the_hits_are_the_area_under_the_rate(
        #[case] rate: &str,
        #[case] ramp: Duration,
        #[case] hold: Duration,
        #[case] hits: u64,
    ) {
        assert_eq!(pace(rate, ramp, hold).hits(), hits);
    }

    #[rstest]
    #[case::the_first_at_once(0, Some(ms(0)))]
    #[case::a_quarter_of_the_ramp_s_hits_takes_half_of_it(5, Some(ms(2_000)))]
    #[case::the_ramp_s_end(20, Some(ms(4_000)))]
    #[case::then_evenly(21, Some(ms(4_100)))]
    #[case::the_last(39, Some(ms(5_900)))]
    #[case::after_the_last(40, None)]
    fn hits_are_due_when_the_area_reaches_them(#[case] n: u64, #[case] due: Option<Duration>) {
        assert_eq!(pace("10/s", ms(4_000), ms(2_000)).due(n), due);
    }

    #[test]
    fn a_century_at_the_highest_rate_is_computed_as_well() {
        let century = Duration::from_secs(100 * 365 * 86_400);
        let pace = pace("10000000/s", century, century);
        assert!(pace.due(pace.hits() - 1).unwrap() <= pace.length());
        assert_eq!(pace.wanted_by(Duration::MAX), pace.hits());
    }

    #[rstest]
    #[case::the_first_at_once(0, Some(ms(0)))]
    #[case::evenly(2, Some(ms(500)))]
    #[case::the_last(3, Some(ms(750)))]
    #[case::beyond(4, None)]
    fn users_join_evenly(#[case] user: u64, #[case] joins: Option<Duration>) {
        assert_eq!(Crowd { users: 4, ramp: ms(1_000), hold: ms(0) }.joins(user), joins);
    }

    #[rstest]
    #[case::fewer_hits_than_parts(2, 3)]
    #[case::one_part(7, 1)]
    #[case::many(1_000, 7)]
    fn parts_of_parts_are_all_of_it_once(#[case] hits: u64, #[case] parts: u64) {
        let mut made = Vec::new();
        for number in 0..parts {
            let part = Shard::new(number, parts).unwrap();
            for worker in 0..3 {
                let part = part.part(worker, 3);
                made.extend((0..part.of(hits)).map(|n| part.nth(n)));
            }
        }
        made.sort_unstable();
        assert_eq!(made, (0..hits).collect::<Vec<_>>());
        assert_eq!(Shard::new(parts, parts), None);
    }

    /// What the rate sums up to, `at` so many seconds since the start.
    fn integral(pace: &Pace, at: f64) -> f64 {
        let (rate, ramp) = (pace.rate.per_second(), pace.ramp.as_secs_f64());
        if at < ramp { rate * at * at / (2.0 * ramp) } else { rate * (at - ramp / 2.0) }
    }

    fn any_pace() -> impl Strategy<Value = Pace> {
        (0.001f64..100_000.0, 0u64..100_000, 0u64..100_000).prop_map(|(rate, ramp, hold)| Pace {
            rate: Rate::new(rate).unwrap(),
            ramp: ms(ramp),
            hold: ms(hold),
        })
    }

    proptest! {
        #[test]
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        fn the_total_is_the_integral_within_one(pace in any_pace()) {
            let integral = integral(&pace, pace.length().as_secs_f64());
            prop_assert!((pace.hits() as f64 - integral).abs() <= 1.0, "{integral}");
        }

        #[test]
        fn due_times_never_decrease_and_stay_within_the_load(pace in any_pace(), n: u64) {
            prop_assume!(pace.hits() > 1);
            let n = n % (pace.hits() - 1);
            let (due, next) = (pace.due(n).unwrap(), pace.due(n + 1).unwrap());
            prop_assert!(due <= next && next <= pace.length(), "{due:?}, {next:?}");
        }

        #[test]
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        fn no_hit_is_early_nor_late(pace in any_pace(), n: u64) {
            prop_assume!(pace.hits() > 0);
            let n = n % pace.hits();
            let due = pace.due(n).unwrap().as_secs_f64();
            // Due times are whole nanoseconds.
            let around = integral(&pace, (due - 1e-9).max(0.0))..=integral(&pace, due + 1e-9);
            let (low, high) = (n as f64 * (1.0 - 1e-9), n as f64 * (1.0 + 1e-9));
            prop_assert!(*around.start() <= high && low <= *around.end(), "{n} at {due}: {around:?}");
        }

        #[test]
        fn what_is_wanted_is_what_is_due(pace in any_pace(), elapsed in 0u64..250_000_000_000) {
            let elapsed = Duration::from_nanos(elapsed);
            let wanted = pace.wanted_by(elapsed);
            prop_assert!(wanted == 0 || pace.due(wanted - 1).unwrap() <= elapsed);
            prop_assert!(pace.due(wanted).is_none_or(|due| due > elapsed));
        }

        #[test]
        fn no_hit_is_lost(pace in any_pace()) {
            let hits = pace.hits();
            prop_assert_eq!(pace.wanted_by(pace.length()), hits);
            prop_assert_eq!(pace.due(hits), None);
            prop_assert!(hits == 0 || pace.due(hits - 1).is_some());
        }
    }
}
