//! One measurement against an earlier one: is it worse, by more than a margin?
//!
//! No proof of being worse is none of being no worse: between the two lies what cannot be said yet.

use std::time::Duration;

use super::{Confidence, Interval, chance_of_so_few, chance_of_so_many, exact, float, quantile_ranks, ratio};
use crate::sli::{Counts, Sli};
use crate::units::Ratio;

/// How much worse is still no worse: 0.25 lets failures be a quarter more frequent, or a latency a quarter longer.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Margin(f64);

impl Margin {
    /// A margin, or `None` unless it is at least zero and finite.
    #[must_use]
    pub fn new(share: f64) -> Option<Self> {
        (share >= 0.0 && share.is_finite()).then_some(Self(share))
    }

    /// As a factor: 1.25.
    #[must_use]
    pub fn factor(self) -> f64 {
        1.0 + self.0
    }
}

impl Default for Margin {
    /// A quarter.
    fn default() -> Self {
        Self(0.25)
    }
}

/// What a comparison comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compared {
    /// No worse than the margin allows, at the confidence asked for.
    NoWorse,
    /// Too few samples to say.
    Unclear,
    /// Worse than the margin allows, at the confidence asked for.
    Worse,
}

/// How many times as frequent failures are now as they were.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frequency {
    /// The conclusion.
    pub compared: Compared,
    /// The quotient of both shares; `None` where nothing failed before.
    pub quotient: Option<f64>,
    /// At least so many times.
    pub least: f64,
    /// At most so many times; may be infinite.
    pub most: f64,
}

/// Compares shares of failures, exactly: of all failures of both, so many would be ours by chance.
///
/// Where failures are so rare that their quotient says little, ours are no worse as well if they are bounded by
/// `allowed`, which is what the objective allows by itself; each of the two ways has half of alpha.
#[must_use]
pub fn frequency(
    now: Counts,
    before: Counts,
    margin: Margin,
    allowed: Ratio,
    confidence: Confidence,
) -> Frequency {
    let failures = Counts { good: before.bad, bad: now.bad };
    let sizes = float(now.valid()) / float(before.valid());
    // A share of all failures, as how many times as frequent ours are.
    let times = |share: f64| share / (1.0 - share) / sizes;
    let Interval { lower, upper } = exact(failures, confidence);
    let (least, most) = (times(lower.share()), times(upper.share()));
    let quotient = (before.bad > 0).then(|| float(now.bad) / float(before.bad) / sizes);
    if now.valid() == 0 || before.valid() == 0 {
        return Frequency { compared: Compared::Unclear, quotient: None, least: 0.0, most: f64::INFINITY };
    }
    let at_margin = ratio(margin.factor() * sizes / (margin.factor() * sizes + 1.0));
    let half = confidence.halved();
    let compared = if chance_of_so_many(failures, at_margin) < confidence.alpha() && now.bad > 0 {
        Compared::Worse
    } else if chance_of_so_few(failures, at_margin) <= half.alpha()
        || chance_of_so_few(now, allowed) <= half.alpha()
    {
        Compared::NoWorse
    } else {
        Compared::Unclear
    };
    Frequency { compared, quotient, least, most }
}

/// How much longer a quantile of latency is now than it was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slowness {
    /// The conclusion.
    pub compared: Compared,
    /// The quantile now, and where it may lie.
    pub now: Quantile,
    /// The same, then.
    pub before: Quantile,
    /// Samples slower than the quantile of both together, now and then, the margin granted to those of now.
    pub slower: (u64, u64),
}

/// A quantile, and the samples it may lie between; each side is `None` where there are too few to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantile {
    /// As measured.
    pub measured: Option<Duration>,
    /// At least this.
    pub lower: Option<Duration>,
    /// At most this.
    pub upper: Option<Duration>,
}

/// Compares a quantile of latency in two ways, of which each sees what the other may not.
///
/// By order statistics: the bounds on both quantiles, whatever shape latencies have. By exceedances: how many of
/// each are slower than the quantile of both together, which notices a tail that grows beyond it. It is worse when
/// either says so at half of alpha, and no worse when the bounds say so and exceedances do not object.
#[must_use]
pub fn slowness(
    now: &Sli,
    before: &Sli,
    quantile: Ratio,
    margin: Margin,
    confidence: Confidence,
) -> Slowness {
    let bounded = |sli: &Sli, confidence| {
        let ranks = quantile_ranks(quantile, sli.timed(), confidence);
        let at = |rank: Option<u64>| rank.and_then(|rank| sli.at_rank(rank));
        Quantile { measured: sli.quantile(quantile), lower: at(ranks.lower), upper: at(ranks.upper) }
    };
    let half = confidence.halved();
    let (now_bounds, before_bounds) = (bounded(now, half), bounded(before, half));
    let longer = |later: Option<Duration>, earlier: Option<Duration>| {
        Some(later?.as_secs_f64() / earlier?.as_secs_f64())
    };
    let most = longer(now_bounds.upper, before_bounds.lower);
    // Both ways may call it worse, so that each has half of alpha, and of that each bound has half.
    let quarter = half.halved();
    let least = longer(bounded(now, quarter).lower, bounded(before, quarter).upper);
    let mut both = now.clone();
    both.merge(before);
    let slower = both.quantile(quantile).map_or((0, 0), |pooled| {
        let granted = pooled.mul_f64(margin.factor());
        (now.slower_about(granted), before.slower_about(pooled))
    });
    let sizes = float(now.timed()) / float(before.timed());
    let by_chance = Counts { good: slower.1, bad: slower.0 };
    let exceeds = slower.0 > 0
        && sizes.is_finite()
        && chance_of_so_many(by_chance, ratio(sizes / (sizes + 1.0))) < half.alpha();
    let compared = if exceeds || least.is_some_and(|least| least > margin.factor()) {
        Compared::Worse
    } else if most.is_some_and(|most| most <= margin.factor()) {
        Compared::NoWorse
    } else {
        Compared::Unclear
    };
    Slowness { compared, now: now_bounds, before: before_bounds, slower }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};
    use rstest::rstest;

    use super::*;

    fn failed(bad: u64, of: u64) -> Counts {
        Counts { good: of - bad, bad }
    }

    fn compare(now: Counts, before: Counts) -> Frequency {
        frequency(now, before, Margin::default(), "0.1%".parse().unwrap(), Confidence::default())
    }

    #[rstest]
    #[case::the_same(failed(50, 10_000), failed(50, 10_000), Compared::Unclear)]
    #[case::plenty_of_the_same(failed(1000, 200_000), failed(1000, 200_000), Compared::NoWorse)]
    #[case::better(failed(20, 10_000), failed(60, 10_000), Compared::NoWorse)]
    #[case::thrice_as_bad(failed(60, 10_000), failed(20, 10_000), Compared::Worse)]
    #[case::one_more(failed(2, 10_000), failed(1, 10_000), Compared::NoWorse)]
    #[case::both_clean_and_few(failed(0, 1000), failed(0, 1000), Compared::Unclear)]
    #[case::both_clean(failed(0, 10_000), failed(0, 10_000), Compared::NoWorse)]
    #[case::bad_against_clean(failed(12, 1000), failed(0, 1000), Compared::Worse)]
    #[case::nothing_now(failed(0, 0), failed(5, 1000), Compared::Unclear)]
    #[case::nothing_before(failed(5, 1000), failed(0, 0), Compared::Unclear)]
    #[case::far_fewer_samples(failed(3, 100), failed(30, 10_000), Compared::Worse)]
    fn failures_are_compared(#[case] now: Counts, #[case] before: Counts, #[case] compared: Compared) {
        assert_eq!(compare(now, before).compared, compared);
    }

    #[test]
    fn the_quotient_lies_between_its_bounds() {
        let found = compare(failed(30, 10_000), failed(40, 20_000));
        assert_eq!(format!("{:.3}", found.quotient.unwrap()), "1.500");
        assert!(found.least < 1.5 && found.most > 1.5, "{found:?}");
    }

    /// The chance of calling it worse where it is exactly as bad as the margin lets it be.
    #[test]
    fn false_alarms_are_as_rare_as_told() {
        const RUNS: usize = 500;
        let mut random = StdRng::seed_from_u64(11);
        let mut draw =
            |share: f64| failed((0..2000).filter(|_| random.random_bool(share)).count() as u64, 2000);
        let alarms =
            (0..RUNS).filter(|_| compare(draw(0.0125), draw(0.01)).compared == Compared::Worse).count();
        // At most 5 %, and three deviations of this simulation.
        assert!(alarms <= 39, "{alarms} of {RUNS}");
    }

    /// Latencies around 100 ms, `slow` of them ten times as long.
    fn latencies(random: &mut StdRng, count: usize, scale: f64, slow: f64) -> Sli {
        let mut sli = Sli::default();
        for _ in 0..count {
            let (u, v): (f64, f64) = (random.random_range(1e-12..1.0), random.random());
            let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
            let tail = if random.random_bool(slow) { 10.0 } else { 1.0 };
            sli.record(Ok(()), Some(Duration::from_secs_f64(0.1 * scale * tail * (0.5 * normal).exp())));
        }
        sli
    }

    fn verdicts(runs: usize, count: usize, scale: f64, slow: f64, margin: f64) -> [usize; 3] {
        let mut random = StdRng::seed_from_u64(5);
        let mut found = [0; 3];
        for _ in 0..runs {
            let before = latencies(&mut random, count, 1.0, 0.0);
            let now = latencies(&mut random, count, scale, slow);
            let margin = Margin::new(margin).unwrap();
            let p99 = "99%".parse().unwrap();
            found[slowness(&now, &before, p99, margin, Confidence::default()).compared as usize] += 1;
        }
        found
    }

    #[test]
    fn a_tail_that_grew_is_worse() {
        let [_, _, worse] = verdicts(100, 1000, 1.0, 0.015, 0.0);
        assert!(worse >= 80, "{worse} of 100");
    }

    #[test]
    fn too_few_samples_say_nothing_of_a_tail() {
        let [no_worse, _, worse] = verdicts(100, 300, 1.0, 0.0, 0.25);
        assert_eq!(no_worse, 0, "three hundred cannot bound a p99");
        assert!(worse <= 5, "{worse} of 100");
    }

    #[test]
    fn the_same_is_hardly_ever_called_worse() {
        let [_, _, worse] = verdicts(50, 3000, 1.0, 0.0, 0.0);
        assert!(worse <= 7, "{worse} of 50");
    }

    #[test]
    fn plenty_of_samples_prove_it_no_worse() {
        let [no_worse, _, worse] = verdicts(10, 20_000, 1.0, 0.0, 0.25);
        assert_eq!((no_worse, worse), (10, 0));
    }

    #[test]
    fn without_latencies_nothing_is_said() {
        let (empty, confidence) = (Sli::default(), Confidence::default());
        let found = slowness(&empty, &empty, "99%".parse().unwrap(), Margin::default(), confidence);
        assert_eq!(found.compared, Compared::Unclear);
    }
}
