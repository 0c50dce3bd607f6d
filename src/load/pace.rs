//! When each hit is due, and when each user joins: absolute schedules, computed and never queued.

use std::str::FromStr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::event::Sharded;
use crate::load::curve::Curve;
use crate::scenario::load::Stage;
use crate::units::Rate;

/// Who decides when the next attempt is made.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// The clock, whatever the target does: the open model.
    Open(Pace),
    /// Users who each wait for an answer before they ask again: the closed model.
    Closed(Crowd),
}

impl Schedule {
    /// From the start to the end of the load.
    #[must_use]
    pub fn length(&self) -> Duration {
        match self {
            Self::Open(pace) => pace.curve.length(),
            Self::Closed(crowd) => crowd.curve.length(),
        }
    }
}

/// How hits lie between one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Spacing {
    /// As evenly as the rate allows.
    #[default]
    Even,
    /// As independent arrivals do, a Poisson process: of every 256 hits each lies anywhere among them. The
    /// seed makes it repeatable, and the same for all who share a schedule.
    Poisson(u64),
}

/// A rate of hits over time.
///
/// Due times follow from the schedule alone: a hit that is sent late pushes no other.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    curve: Curve,
    spacing: Spacing,
}

/// Sums of decimal fractions come out a hair over whole numbers; that much more is not another hit.
const HAIR: f64 = 1e-12;

/// Hits that are strewn together.
const BLOCK: u64 = 256;

impl Pace {
    /// Hits by this rate per second over time.
    #[must_use]
    pub fn new(curve: Curve, spacing: Spacing) -> Self {
        Self { curve, spacing }
    }

    /// Hits that rise evenly from none to `rate`, and are then held there.
    #[must_use]
    pub fn rising(rate: Rate, ramp: Duration, hold: Duration) -> Self {
        Self::new(rising(rate.per_second(), ramp, hold), Spacing::Even)
    }

    /// From the start to the end of the load.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.curve.length()
    }

    /// The highest rate, in hits per second.
    #[must_use]
    pub fn peak(&self) -> f64 {
        self.curve.peak()
    }

    /// How many hits there are in all: the integral of the rate, rounded up.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and not negative")]
    pub fn hits(&self) -> u64 {
        (self.curve.area() * (1.0 - HAIR)).ceil() as u64
    }

    /// How many hits are due at or before `elapsed`: exactly those that its own schedule puts there.
    #[must_use]
    pub fn wanted_by(&self, elapsed: Duration) -> u64 {
        let mut arrivals = Arrivals::of(self);
        let (mut wanted, mut beyond) = (0, arrivals.hits);
        while wanted < beyond {
            let middle = wanted + (beyond - wanted) / 2;
            if arrivals.due(middle).is_some_and(|due| due <= elapsed) {
                wanted = middle + 1;
            } else {
                beyond = middle;
            }
        }
        wanted
    }
}

/// The hits of a pace, one after another.
#[derive(Debug, Clone)]
pub(super) struct Arrivals {
    pace: Pace,
    hits: u64,
    /// Which block was strewn last, and where in it its hits lie, as hits and fractions of hits.
    block: Option<u64>,
    strewn: Vec<f64>,
}

impl Arrivals {
    /// Those of `pace`.
    #[must_use]
    pub(super) fn of(pace: &Pace) -> Self {
        Self { pace: pace.clone(), hits: pace.hits(), block: None, strewn: Vec::new() }
    }

    /// When the `n`-th hit is due, counted from 0, since the start; `None` after the last one.
    ///
    /// Evenly spaced that is when the integral of the rate reaches `n`, so the first hit is due at once.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "2^53 hits take 28 years at the highest rate")]
    pub(super) fn due(&mut self, n: u64) -> Option<Duration> {
        if n >= self.hits {
            return None;
        }
        let area = match self.pace.spacing {
            Spacing::Even => n as f64,
            Spacing::Poisson(seed) => {
                let block = n / BLOCK;
                if self.block != Some(block) {
                    self.strew(block, seed);
                }
                let within = usize::try_from(n % BLOCK).unwrap_or_default();
                (block * BLOCK) as f64 + self.strewn.get(within).copied().unwrap_or_default()
            }
        };
        Some(self.pace.curve.reaches(area))
    }

    /// Throws the hits of a block anywhere among them.
    #[expect(clippy::cast_precision_loss, reason = "at most a block")]
    fn strew(&mut self, block: u64, seed: u64) {
        let count = BLOCK.min(self.hits - block * BLOCK);
        let mut random = StdRng::seed_from_u64(seed ^ block.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        self.strewn.clear();
        self.strewn.extend((0..count).map(|_| random.random_range(0.0..count as f64)));
        self.strewn.sort_by(f64::total_cmp);
        self.block = Some(block);
    }
}

/// How long a user waits after an answer before asking again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Think {
    /// At least so long.
    pub least: Duration,
    /// At most so long; anything between is as likely.
    pub most: Duration,
}

impl Think {
    /// One such time.
    #[must_use]
    pub fn time(self) -> Duration {
        if self.most > self.least { rand::rng().random_range(self.least..=self.most) } else { self.least }
    }
}

/// Users who join, ask for a while, and leave.
#[derive(Debug, Clone, PartialEq)]
pub struct Crowd {
    curve: Curve,
    think: Think,
}

impl Crowd {
    /// So many users over time.
    #[must_use]
    pub fn new(curve: Curve, think: Think) -> Self {
        Self { curve, think }
    }

    /// Users who join one after another, evenly, and then stay.
    #[must_use]
    pub fn rising(users: u32, ramp: Duration, hold: Duration) -> Self {
        Self::new(rising(f64::from(users), ramp, hold), Think::default())
    }

    /// From the start to the end of the load.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.curve.length()
    }

    /// The most users at once.
    #[must_use]
    pub fn peak(&self) -> f64 {
        self.curve.peak()
    }

    /// How long a user who was answered waits.
    #[must_use]
    pub fn think(&self) -> Duration {
        self.think.time()
    }

    /// When a user, the first being number 0, is next among them, at `from` or later; `None` if never again.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "users are few")]
    pub fn joins(&self, user: u64, from: Duration) -> Option<Duration> {
        self.curve.above(user as f64, from)
    }
}

fn rising(level: f64, ramp: Duration, hold: Duration) -> Curve {
    let stages = [Stage { from: 0.0, to: level, span: ramp }, Stage { from: level, to: level, span: hold }];
    let stages: Vec<_> = stages.into_iter().filter(|stage| !stage.span.is_zero()).collect();
    Curve::new(&stages)
}

/// Why a text is no part of a load.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a part is like `2/4`, the second of four")]
pub struct NotAShard;

impl FromStr for Shard {
    type Err = NotAShard;

    fn from_str(text: &str) -> Result<Self, NotAShard> {
        let (number, parts) = text.split_once('/').ok_or(NotAShard)?;
        let (number, parts): (u64, u64) =
            (number.parse().map_err(|_| NotAShard)?, parts.parse().map_err(|_| NotAShard)?);
        number
            .checked_sub(1)
            .filter(|_| parts <= MOST_SHARDS)
            .and_then(|number| Self::new(number, parts))
            .ok_or(NotAShard)
    }
}

/// Parts beyond number are typing errors, and this bound keeps arithmetic safe.
const MOST_SHARDS: u64 = 10_000;

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

    /// Which part it is, from 1, and of how many; `None` for the whole.
    #[must_use]
    pub fn said(self) -> Option<Sharded> {
        (self.parts > 1).then_some(Sharded { number: self.first + 1, of: self.parts })
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
        Pace::rising(rate.parse().unwrap(), ramp, hold)
    }

    fn due(pace: &Pace, n: u64) -> Option<Duration> {
        Arrivals::of(pace).due(n)
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
    fn hits_are_due_when_the_area_reaches_them(#[case] n: u64, #[case] when: Option<Duration>) {
        assert_eq!(due(&pace("10/s", ms(4_000), ms(2_000)), n), when);
    }

    /// Two seconds at 10/s, a pause, a spike of 100/s, and a fall to nothing.
    fn spiky() -> Pace {
        let stage = |from, to, span| Stage { from, to, span: ms(span) };
        let stages = [
            stage(10.0, 10.0, 2_000),
            stage(0.0, 0.0, 3_000),
            stage(100.0, 100.0, 500),
            stage(100.0, 0.0, 1_000),
        ];
        Pace::new(Curve::new(&stages), Spacing::Even)
    }

    #[rstest]
    #[case::the_last_before_the_pause(19, ms(1_900))]
    #[case::none_in_the_pause(20, ms(5_000))]
    #[case::in_the_spike(30, ms(5_100))]
    #[case::as_the_fall_begins(70, ms(5_500))]
    #[case::three_quarters_fallen_at_half_the_time(107, ms(5_990))]
    fn stages_follow_one_another(#[case] n: u64, #[case] when: Duration) {
        let pace = spiky();
        assert_eq!(pace.hits(), 20 + 50 + 50);
        let due = due(&pace, n).unwrap();
        assert!(due.abs_diff(when) <= ms(15), "{due:?}");
    }

    #[test]
    fn independent_arrivals_are_as_many_and_bunch() {
        let even = pace("1000/s", ms(0), ms(10_000));
        let strewn = Pace { spacing: Spacing::Poisson(7), ..even.clone() };
        assert_eq!(strewn.hits(), even.hits());
        let mut arrivals = Arrivals::of(&strewn);
        let due: Vec<_> = (0..strewn.hits()).map(|n| arrivals.due(n).unwrap()).collect();
        assert!(due.is_sorted());
        // Of a Poisson process's gaps the share exp(-2) is over twice the mean, and 1 - exp(-0.1) under a tenth of it.
        let gaps: Vec<_> = due.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
        let long = gaps.iter().filter(|gap| **gap > ms(2)).count();
        let short = gaps.iter().filter(|gap| **gap < Duration::from_micros(100)).count();
        assert!((1_200..1_500).contains(&long), "{long}");
        assert!((850..1_050).contains(&short), "{short}");
        // Whoever shares the schedule has the same hits, in whatever order they are asked for.
        assert_eq!(Arrivals::of(&strewn).due(7_777), Some(due[7_777]));
        for at in [ms(0), ms(1), ms(5_000), ms(10_000)] {
            let wanted = due.iter().filter(|due| **due <= at).count() as u64;
            assert_eq!(strewn.wanted_by(at), wanted, "{at:?}");
        }
    }

    #[test]
    fn a_century_at_the_highest_rate_is_computed_as_well() {
        let century = Duration::from_secs(100 * 365 * 86_400);
        let pace = pace("10000000/s", century, century);
        assert!(due(&pace, pace.hits() - 1).unwrap() <= pace.length());
        assert_eq!(pace.wanted_by(Duration::MAX), pace.hits());
    }

    #[rstest]
    #[case::the_first_at_once(0, Some(ms(0)))]
    #[case::evenly(2, Some(ms(500)))]
    #[case::the_last(3, Some(ms(750)))]
    #[case::beyond(4, None)]
    fn users_join_evenly(#[case] user: u64, #[case] joins: Option<Duration>) {
        assert_eq!(Crowd::rising(4, ms(1_000), ms(1)).joins(user, ms(0)), joins);
    }

    #[rstest]
    #[case::who_joined_last_leaves_first(3, ms(1_300), None)]
    #[case::others_stay(1, ms(1_300), Some(ms(1_300)))]
    #[case::and_come_back(3, ms(2_000), Some(ms(2_750)))]
    fn users_leave_as_the_load_falls(
        #[case] user: u64,
        #[case] from: Duration,
        #[case] joins: Option<Duration>,
    ) {
        let stage = |from, to| Stage { from, to, span: ms(1_000) };
        let falling = Crowd::new(Curve::new(&[stage(4.0, 4.0), stage(4.0, 0.0)]), Think::default());
        let rising_again = [stage(4.0, 4.0), stage(4.0, 0.0), stage(0.0, 4.0)];
        let crowd =
            if from < ms(2_000) { falling } else { Crowd::new(Curve::new(&rising_again), Think::default()) };
        assert_eq!(crowd.joins(user, from), joins);
    }

    #[rstest]
    #[case::none("0/4")]
    #[case::beyond("5/4")]
    #[case::no_parts("1/0")]
    #[case::words("one of four")]
    #[case::overflow("1/99999999999999999999")]
    fn what_is_no_part_is_refused(#[case] text: &str) {
        assert_eq!(text.parse::<Shard>(), Err(NotAShard));
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
    fn integral(stages: &[Stage], at: f64) -> f64 {
        let (mut begins, mut sum) = (0.0, 0.0);
        for Stage { from, to, span } in stages {
            let span = span.as_secs_f64();
            let within = (at - begins).clamp(0.0, span);
            let reached = if span > 0.0 { from + (to - from) * within / span } else { *from };
            sum += (from + reached) / 2.0 * within;
            begins += span;
        }
        sum
    }

    prop_compose! {
        fn any_stage()(
            from in prop_oneof![Just(0.0), 0.001f64..10_000.0],
            to in prop_oneof![Just(0.0), 0.001f64..10_000.0],
            span in 0u64..20_000,
        ) -> Stage {
            Stage { from, to, span: ms(span) }
        }
    }

    fn any_stages() -> impl Strategy<Value = Vec<Stage>> {
        proptest::collection::vec(any_stage(), 1..5)
    }

    fn of(stages: &[Stage]) -> Pace {
        Pace::new(Curve::new(stages), Spacing::Even)
    }

    proptest! {
        #[test]
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        fn the_total_is_the_integral_within_one(stages in any_stages()) {
            let pace = of(&stages);
            let integral = integral(&stages, pace.length().as_secs_f64());
            prop_assert!((pace.hits() as f64 - integral).abs() <= 1.0 + integral * 1e-9, "{integral}");
        }

        #[test]
        fn due_times_never_decrease_and_stay_within_the_load(stages in any_stages(), n: u64) {
            let pace = of(&stages);
            prop_assume!(pace.hits() > 1);
            let n = n % (pace.hits() - 1);
            let (due, next) = (due(&pace, n).unwrap(), due(&pace, n + 1).unwrap());
            prop_assert!(due <= next && next <= pace.length(), "{due:?}, {next:?}");
        }

        #[test]
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        fn no_hit_is_early_nor_late(stages in any_stages(), n: u64) {
            let pace = of(&stages);
            prop_assume!(pace.hits() > 0);
            let n = n % pace.hits();
            let due = due(&pace, n).unwrap().as_secs_f64();
            // Due times are whole nanoseconds, and sums of fractions are a hair off.
            let (low, high) = (integral(&stages, (due - 2e-9).max(0.0)), integral(&stages, due + 2e-9));
            let hair = 1e-9 * (1.0 + integral(&stages, pace.length().as_secs_f64()));
            prop_assert!(low <= n as f64 + hair && n as f64 <= high + hair, "{n} at {due}: {low} to {high}");
        }

        #[test]
        fn what_is_wanted_is_what_is_due(stages in any_stages(), elapsed in 0u64..80_000_000_000) {
            let (pace, elapsed) = (of(&stages), Duration::from_nanos(elapsed));
            let wanted = pace.wanted_by(elapsed);
            prop_assert!(wanted == 0 || due(&pace, wanted - 1).unwrap() <= elapsed);
            prop_assert!(due(&pace, wanted).is_none_or(|due| due > elapsed));
        }

        #[test]
        fn no_hit_is_lost(stages in any_stages()) {
            let pace = of(&stages);
            let hits = pace.hits();
            prop_assert_eq!(pace.wanted_by(pace.length()), hits);
            prop_assert_eq!(due(&pace, hits), None);
            prop_assert!(hits == 0 || due(&pace, hits - 1).is_some());
        }
    }
}
