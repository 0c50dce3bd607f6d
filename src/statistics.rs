//! What may be concluded from counts: exact bounds on a failure share, samples still needed, quantile ranks; at
//! every look of many, from failures that cluster, and against an earlier measurement.
//!
//! Everything rests on one number, the chance that a binomial count is at most `k`. An exact (Clopper-Pearson)
//! bound lies on one side of a share exactly when that chance, at this share, lies on one side of alpha; so
//! decisions compare chances, and bounds are searched only to be shown.

use std::f64::consts::SQRT_2;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::function::erf::erfc_inv;

use crate::sli::Counts;
use crate::units::Ratio;

mod binomial;
mod cluster;
mod compare;
mod sequence;

use self::binomial::{Odds, at_most, float};
pub use self::cluster::{design_effect, effective};
pub use self::compare::{Compared, Frequency, Margin, Quantile, Slowness, frequency, slowness};
pub use self::sequence::{Look, Watched};

/// How sure a conclusion must be, on its one side: at least half and less than certain.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Ratio", into = "Ratio")]
pub struct Confidence(Ratio);

/// A share that is no [`Confidence`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a confidence is at least 50% and below 100%")]
pub struct NoConfidence;

impl Confidence {
    /// A confidence, or `None` below 50 % (a guess) and at 100 % (no sample proves that much).
    #[must_use]
    pub fn new(confidence: Ratio) -> Option<Self> {
        (confidence.share() >= 0.5 && confidence < Ratio::ONE).then_some(Self(confidence))
    }

    /// Twice as sure: half the chance of being wrong.
    #[must_use]
    pub fn halved(self) -> Self {
        Self(ratio(1.0 - self.alpha().share() / 2.0))
    }

    /// The chance of being wrong that is accepted.
    #[must_use]
    pub fn alpha(self) -> Ratio {
        self.0.complement()
    }
}

impl TryFrom<Ratio> for Confidence {
    type Error = NoConfidence;

    fn try_from(confidence: Ratio) -> Result<Self, NoConfidence> {
        Self::new(confidence).ok_or(NoConfidence)
    }
}

impl From<Confidence> for Ratio {
    fn from(confidence: Confidence) -> Self {
        confidence.0
    }
}

impl Default for Confidence {
    /// 95 %.
    fn default() -> Self {
        Self(ratio(0.95))
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// From a lower to an upper bound. Each holds by itself at its confidence, so both together hold at less:
/// two bounds of 95 % make an interval of 90 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// The true share is at least this.
    pub lower: Ratio,
    /// The true share is at most this.
    pub upper: Ratio,
}

impl Interval {
    /// The same bounds on what is left of the whole: of good where these are of bad.
    #[must_use]
    pub fn complement(self) -> Self {
        Self { lower: self.upper.complement(), upper: self.lower.complement() }
    }
}

/// The chance of no more failures than were counted, if `share` were the true share of failures.
///
/// At most alpha exactly when the upper bound of [`exact`] is at most `share`.
#[must_use]
pub fn chance_of_so_few(counts: Counts, share: Ratio) -> Ratio {
    ratio(at_most(counts.bad, counts.valid(), share.into()))
}

/// The chance of no fewer failures than were counted, if `share` were the true share of failures.
///
/// Below alpha exactly when the lower bound of [`exact`] is above `share`.
#[must_use]
pub fn chance_of_so_many(counts: Counts, share: Ratio) -> Ratio {
    ratio(at_most(counts.good, counts.valid(), Odds::from(share).swapped()))
}

/// Clopper-Pearson bounds on the share of failures: they keep their confidence whatever the true share is.
/// Nothing counted leaves everything possible.
#[must_use]
pub fn exact(counts: Counts, confidence: Confidence) -> Interval {
    let alpha = confidence.alpha();
    let Some(seen) = counts.failure_ratio() else {
        return Interval { lower: Ratio::ZERO, upper: Ratio::ONE };
    };
    let lower = match counts.bad {
        0 => Ratio::ZERO,
        _ => crossing(Ratio::ZERO, seen, |share| chance_of_so_many(counts, share) < alpha).lower,
    };
    let upper = match counts.good {
        0 => Ratio::ONE,
        _ => crossing(seen, Ratio::ONE, |share| chance_of_so_few(counts, share) > alpha).upper,
    };
    Interval { lower, upper }
}

/// Wilson's bounds on the share of failures: narrower and smoother than [`exact`], and not quite honest near
/// none and all; for display only.
#[must_use]
pub fn wilson(counts: Counts, confidence: Confidence) -> Interval {
    let Some(seen) = counts.failure_ratio().map(Ratio::share) else {
        return Interval { lower: Ratio::ZERO, upper: Ratio::ONE };
    };
    let n = float(counts.valid());
    let z = SQRT_2 * erfc_inv(2.0 * confidence.alpha().share());
    let scale = 1.0 + z * z / n;
    let centre = (seen + z * z / (2.0 * n)) / scale;
    let half_width = z / scale * (seen * (1.0 - seen) / n + z * z / (4.0 * n * n)).sqrt();
    Interval { lower: ratio(centre - half_width), upper: ratio(centre + half_width) }
}

/// More samples than anybody waits for.
pub const MOST_NEEDED: u64 = 1_000_000_000_000;

/// The least number of further samples after which, *if every one of them is good*, the upper bound on the
/// share of failures is at most `share`; 0 when it is already. One more failure among them asks for more again.
///
/// `None` when [`MOST_NEEDED`] would not do, and so always for a share of zero. With nothing counted it is the
/// size of the smallest sample that can pass; for a share `1 - q`, that is also the smallest sample in which
/// some attempt bounds the quantile `q` from above.
#[must_use]
pub fn needed(counts: Counts, share: Ratio, confidence: Confidence) -> Option<u64> {
    first(0, MOST_NEEDED, |more| {
        chance_of_so_few(counts.plus(Counts { good: more, bad: 0 }), share) <= confidence.alpha()
    })
}

/// Which of the ordered samples bound a quantile, counted from 1; each side at its own confidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranks {
    /// The quantile is at least this sample; `None` when there are too few to say.
    pub lower: Option<u64>,
    /// The quantile is at most this sample; `None` when there are too few to say.
    pub upper: Option<u64>,
}

/// The order statistics that bound the `quantile` of whatever `samples` were drawn from, however it is shaped.
#[must_use]
pub fn quantile_ranks(quantile: Ratio, samples: u64, confidence: Confidence) -> Ranks {
    let alpha = confidence.alpha().share();
    // The number of samples at or under the quantile is binomial.
    let under = Odds::from(quantile);
    let too_high = first(0, samples, |rank| at_most(rank, samples, under) > alpha).unwrap_or(samples);
    let upper = first(1, samples, |rank| at_most(samples - rank, samples, under.swapped()) <= alpha);
    Ranks { lower: (too_high > 0).then_some(too_high), upper }
}

/// Holm's step-down over several tests: which of the `chances` (each that of data at least so bad, were all
/// well) may be called failures, so that the chance of even one false alarm among them all stays below alpha.
#[must_use]
pub fn holm(chances: &[Ratio], confidence: Confidence) -> Vec<bool> {
    let mut order: Vec<usize> = (0..chances.len()).collect();
    order.sort_by(|a, b| chances[*a].share().total_cmp(&chances[*b].share()));
    let mut failed = vec![false; chances.len()];
    for (rank, index) in order.iter().enumerate() {
        let tests_left = float((chances.len() - rank) as u64);
        if chances[*index].share() * tests_left >= confidence.alpha().share() {
            break;
        }
        failed[*index] = true;
    }
    failed
}

/// The two neighbouring shares between `lower` and `upper` where `below` turns from true to false.
fn crossing(lower: Ratio, upper: Ratio, below: impl Fn(Ratio) -> bool) -> Interval {
    /// Halvings from 1 down to the finest share there is.
    const HALVINGS: u32 = 1100;
    let mut found = Interval { lower, upper };
    for _ in 0..HALVINGS {
        let middle = ratio(f64::midpoint(found.lower.share(), found.upper.share()));
        if middle <= found.lower || middle >= found.upper {
            break;
        }
        *(if below(middle) { &mut found.lower } else { &mut found.upper }) = middle;
    }
    found
}

/// The first number from `least` to `most` for which `holds`, given that it holds for all after that.
fn first(least: u64, most: u64, holds: impl Fn(u64) -> bool) -> Option<u64> {
    if least > most || !holds(most) {
        return None;
    }
    let (mut low, mut high) = (least, most);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(high)
}

/// A share, from a sum that rounding may have carried past either end.
fn ratio(share: f64) -> Ratio {
    Ratio::new(share.clamp(0.0, 1.0)).unwrap_or(Ratio::ONE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn failed(bad: u64, of: u64) -> Counts {
        Counts { good: of - bad, bad }
    }

    fn share(text: &str) -> Ratio {
        text.parse().unwrap()
    }

    #[track_caller]
    fn assert_close(found: f64, expected: f64, relative: f64) {
        assert!((found - expected).abs() <= relative * expected.abs(), "{found:e} is not {expected:e}");
    }

    #[rstest]
    #[case::none_of_a_thousand(0, 1000, 0.0, 0.002_991_249_545_095_3)]
    #[case::one_of_ten(1, 10, 0.005_116_196_891_823_7, 0.394_163_302_436_505)]
    #[case::half(5, 10, 0.222_441_101_008_129, 0.777_558_898_991_871)]
    #[case::all_but_one(9, 10, 0.605_836_697_563_495, 0.994_883_803_108_176)]
    #[case::all(10, 10, 0.741_134_449_106_948, 1.0)]
    #[case::four_of_a_thousand(4, 1000, 0.001_367_436_251_250_63, 0.009_129_952_563_871_47)]
    #[case::sixteen(16, 10_000, 0.001_003_844_915_139_16, 0.002_429_109_633_300_81)]
    #[case::a_million(1000, 1_000_000, 9.485_837_785_936_2e-4, 1.053_574_877_454_44e-3)]
    #[case::three_of_a_trillion(3, 1_000_000_000_000, 8.176_914_471_644_37e-13, 7.753_656_527_914_3e-12)]
    #[case::a_trillion(1000, 1_000_000_000_000, 9.485_598_494_075_74e-10, 1.053_603_122_105_06e-9)]
    fn exact_bounds_are_known(#[case] bad: u64, #[case] of: u64, #[case] lower: f64, #[case] upper: f64) {
        let bounds = exact(failed(bad, of), Confidence::default());
        assert_close(bounds.lower.share(), lower, 1e-10);
        assert_close(bounds.upper.share(), upper, 1e-10);
    }

    #[test]
    fn wilson_undercovers_near_none() {
        let bounds = wilson(failed(0, 1000), Confidence::default());
        assert_eq!(format!("{:.5}", bounds.upper.share()), "0.00270");
        assert_close(bounds.lower.share(), 0.0, 0.0);
    }

    #[test]
    fn nothing_counted_leaves_everything_possible() {
        let everything = Interval { lower: Ratio::ZERO, upper: Ratio::ONE };
        assert_eq!(exact(Counts::default(), Confidence::default()), everything);
        assert_eq!(wilson(Counts::default(), Confidence::default()), everything);
    }

    #[rstest]
    #[case::percent("1%", 299)]
    #[case::percent_fast_burn("6%", 49)]
    #[case::percent_faster_burn("14.4%", 20)]
    #[case::three_nines("0.1%", 2995)]
    #[case::three_nines_fast_burn("0.6%", 498)]
    #[case::three_nines_faster_burn("1.44%", 207)]
    #[case::four_nines("0.01%", 29_956)]
    #[case::four_nines_fast_burn("0.06%", 4992)]
    #[case::four_nines_faster_burn("0.144%", 2079)]
    #[case::p95("5%", 59)]
    #[case::six_nines("0.0001%", 2_995_731)]
    #[case::anything_goes("100%", 1)]
    fn a_clean_sample_of_this_size_is_needed(#[case] budget: &str, #[case] samples: u64) {
        assert_eq!(needed(Counts::default(), share(budget), Confidence::default()), Some(samples));
        assert_eq!(needed(failed(0, samples - 1), share(budget), Confidence::default()), Some(1));
        assert_eq!(needed(failed(0, samples), share(budget), Confidence::default()), Some(0));
    }

    #[rstest]
    #[case::no_budget("0")]
    #[case::a_budget_too_fine("0.0000000001%")]
    fn no_sample_is_large_enough(#[case] budget: &str) {
        assert_eq!(needed(Counts::default(), share(budget), Confidence::default()), None);
    }

    #[rstest]
    #[case::p95("95%", 59)]
    #[case::p99("99%", 299)]
    #[case::p99_9("99.9%", 2995)]
    fn a_quantile_has_an_upper_bound_from_so_many_samples(#[case] quantile: &str, #[case] samples: u64) {
        let ranks = |samples| quantile_ranks(share(quantile), samples, Confidence::default());
        assert_eq!(ranks(samples - 1).upper, None);
        assert_eq!(ranks(samples).upper, Some(samples));
    }

    #[rstest]
    #[case::median_of_ten("50%", 10, Some(2), Some(9))]
    #[case::median_of_five("50%", 5, Some(1), Some(5))]
    #[case::median_of_four("50%", 4, None, None)]
    #[case::p99_of_a_thousand("99%", 1000, Some(985), Some(996))]
    #[case::nothing("50%", 0, None, None)]
    fn ranks_are_known(
        #[case] quantile: &str,
        #[case] samples: u64,
        #[case] lower: Option<u64>,
        #[case] upper: Option<u64>,
    ) {
        let ranks = quantile_ranks(share(quantile), samples, Confidence::default());
        assert_eq!(ranks, Ranks { lower, upper });
    }

    #[rstest]
    #[case::one_test_is_itself(&[0.04], &[true])]
    #[case::each_alone_would_fail(&[0.04, 0.03, 0.045], &[false, false, false])]
    #[case::the_clear_one_makes_room(&[0.04, 0.01, 0.02], &[true, true, true])]
    #[case::after_one_that_holds_all_hold(&[0.03, 0.01, 0.026], &[false, true, false])]
    #[case::a_weak_chance_is_not_enough(&[0.0501], &[false])]
    #[case::no_test(&[], &[])]
    fn holm_steps_down(#[case] chances: &[f64], #[case] failed: &[bool]) {
        let chances: Vec<Ratio> = chances.iter().map(|chance| ratio(*chance)).collect();
        assert_eq!(holm(&chances, Confidence::default()), failed);
    }

    #[rstest]
    #[case::a_guess("49%")]
    #[case::certainty("100%")]
    fn such_a_confidence_is_refused(#[case] text: &str) {
        assert_eq!(Confidence::new(share(text)), None);
    }

    fn sample() -> impl Strategy<Value = Counts> {
        let size = prop_oneof![0u64..200, 0u64..100_000, 0u64..1_000_000_000_000];
        size.prop_flat_map(|of| prop_oneof![0..=of.min(20), 0..=of].prop_map(move |bad| failed(bad, of)))
    }

    fn confidence() -> impl Strategy<Value = Confidence> {
        (0.5..0.9999).prop_map(|share| Confidence::new(ratio(share)).unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn bounds_hold_the_observed_share(counts in sample(), confidence in confidence()) {
            let seen = counts.failure_ratio().map_or(0.5, Ratio::share);
            for bounds in [exact(counts, confidence), wilson(counts, confidence)] {
                prop_assert!(bounds.lower.share() <= seen + 1e-15, "{bounds:?}");
                prop_assert!(bounds.upper.share() >= seen - 1e-15, "{bounds:?}");
            }
        }

        #[test]
        fn deciding_by_chance_is_deciding_by_bounds(
            counts in sample(), share in 0.0..1.0, confidence in confidence(),
        ) {
            let (bounds, share, alpha) = (exact(counts, confidence), ratio(share), confidence.alpha());
            prop_assert_eq!(bounds.upper <= share, chance_of_so_few(counts, share) <= alpha);
            prop_assert_eq!(bounds.lower > share, chance_of_so_many(counts, share) < alpha);
        }

        #[test]
        fn good_samples_lower_the_upper_bound(counts in sample(), confidence in confidence()) {
            let more = counts.plus(Counts { good: counts.valid() / 100 + 1, bad: 0 });
            prop_assert!(exact(more, confidence).upper < exact(counts, confidence).upper);
        }

        #[test]
        fn the_needed_samples_are_enough_and_no_fewer_are(
            bad in 0u64..50, good in 0u64..10_000, budget in 0.0001..0.5, confidence in confidence(),
        ) {
            let (counts, budget) = (Counts { good, bad }, ratio(budget));
            let more = needed(counts, budget, confidence).unwrap();
            let upper = |more| exact(counts.plus(Counts { good: more, bad: 0 }), confidence).upper;
            prop_assert!(upper(more) <= budget);
            prop_assert!(more == 0 || upper(more - 1) > budget);
        }

        #[test]
        fn no_count_is_too_large(good: u64, bad: u64, share in 0.0..=1.0) {
            let (counts, confidence) = (Counts { good, bad }, Confidence::default());
            let bounds = exact(counts, confidence);
            prop_assert!(bounds.lower <= bounds.upper);
            let _ = needed(counts, ratio(share), confidence);
            let _ = quantile_ranks(ratio(share), good, confidence);
        }
    }
}
