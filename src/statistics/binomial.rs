//! The binomial distribution, for counts of any size.
//!
//! statrs has it through the incomplete beta function, whose series stop after 140 terms and whose logarithms
//! cancel: near a trillion events little of the answer is left. Sums of positive terms lose nothing.

use std::f64::consts::{PI, SQRT_2};

use statrs::function::erf::erfc;
use statrs::function::factorial::ln_factorial;

use crate::units::Ratio;

/// The chance `p` of an event and `q` of its absence, both to full precision.
#[derive(Debug, Clone, Copy)]
pub(super) struct Odds {
    p: f64,
    q: f64,
}

impl From<Ratio> for Odds {
    fn from(share: Ratio) -> Self {
        Self { p: share.share(), q: share.complement().share() }
    }
}

impl Odds {
    /// The odds of the absence.
    pub(super) fn swapped(self) -> Self {
        Self { p: self.q, q: self.p }
    }
}

/// Above this variance of the count the normal curve, corrected for skewness, is as good as the sum: its error
/// is below 1e-8, and the sum would take ever longer.
const NORMAL_FROM: f64 = 1e7;

/// The chance that at most `k` of `n` independent events of these odds happen.
pub(super) fn at_most(k: u64, n: u64, odds: Odds) -> f64 {
    let Odds { p, q } = odds;
    if k >= n || p <= 0.0 {
        return 1.0;
    }
    if q <= 0.0 {
        return 0.0;
    }
    let mean = float(n) * p;
    let variance = mean * q;
    // Which way is taken depends on `n` and the odds alone: the chance rises with `k` without a step back.
    if variance > NORMAL_FROM {
        let deviation = variance.sqrt();
        let z = (float(k) + 0.5 - mean) / deviation;
        let density = (-0.5 * z * z).exp() / (2.0 * PI).sqrt();
        let skew = (q - p) / (6.0 * deviation) * (z * z - 1.0) * density;
        return (0.5 * erfc(-z / SQRT_2) - skew).clamp(0.0, 1.0);
    }
    if float(k) <= mean { lower_tail(k, n, odds) } else { 1.0 - lower_tail(n - k - 1, n, odds.swapped()) }
}

/// The chance of at most `k` events, for `k` up to the mean: from there down each term is smaller than the
/// last, and nine deviations, 30 000 terms at most, are all that count.
fn lower_tail(k: u64, n: u64, odds: Odds) -> f64 {
    let mut term = exactly(k, n, odds);
    let mut sum = term;
    for j in (1..=k).rev() {
        term *= float(j) / float(n - j + 1) * (odds.q / odds.p);
        sum += term;
        if term <= sum * 1e-17 {
            break;
        }
    }
    sum.min(1.0)
}

/// The chance of exactly `k` events of `n`, by Loader's saddle point: 14 digits where factorials would lose all.
fn exactly(k: u64, n: u64, Odds { p, q }: Odds) -> f64 {
    if k == 0 || k == n {
        let (certain, missed) = if k == 0 { (q, p) } else { (p, q) };
        let ln = if missed < 0.5 { (-missed).ln_1p() } else { certain.ln() };
        return (float(n) * ln).exp();
    }
    let (hits, misses, all) = (float(k), float(n - k), float(n));
    let ln = stirling_error(n)
        - stirling_error(k)
        - stirling_error(n - k)
        - deviance(hits, all * p)
        - deviance(misses, all * q);
    ln.exp() * (all / (2.0 * PI * hits * misses)).sqrt()
}

/// What Stirling's formula leaves of `ln n!`, for `n` from 1.
fn stirling_error(n: u64) -> f64 {
    let x = float(n);
    if n < 16 {
        return ln_factorial(n) - (x + 0.5) * x.ln() + x - 0.5 * (2.0 * PI).ln();
    }
    let s = 1.0 / (x * x);
    (1.0 / 12.0 - s * (1.0 / 360.0 - s * (1.0 / 1260.0 - s * (1.0 / 1680.0 - s / 1188.0)))) / x
}

/// `x ln(x / mean) + mean - x`, without cancellation where the two are close.
fn deviance(x: f64, mean: f64) -> f64 {
    let v = (x - mean) / (x + mean);
    if v.abs() >= 0.1 {
        return x * (x / mean).ln() + mean - x;
    }
    let mut sum = (x - mean) * v;
    let mut power = 2.0 * x * v;
    for odd in [3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0, 17.0] {
        power *= v * v;
        sum += power / odd;
    }
    sum
}

/// A count to reckon with.
#[expect(clippy::cast_precision_loss, reason = "above 2^53 events one more or less changes no digit shown")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use statrs::function::beta::beta_reg;

    use super::*;

    fn odds(share: f64) -> Odds {
        Odds::from(Ratio::new(share).unwrap())
    }

    #[rstest]
    #[case::by_hand(0, 2995, 0.001, 0.049_961_703_397_356_37)]
    #[case::few(4, 10_000, 0.001, 0.029_195_950_158_227_738)]
    #[case::wide(499_000, 1_000_000, 0.5, 0.022_804_149_932_691_04)]
    #[case::upper_half(120, 1_000_000_000_000, 1e-10, 0.977_330_670_927_208_4)]
    #[case::last_sum(9_995_000, 10_000_000_000, 0.001, 0.056_841_809_827_974_1)]
    #[case::far_down(9_990_000, 10_000_000_000, 0.001, 7.776_132_941_840_237e-4)]
    #[case::normal(19_995_000, 20_000_000_000, 0.001, 0.131_678_693_423_725_4)]
    #[case::normal_at_alpha(19_992_640, 20_000_000_000, 0.001, 0.049_828_235_235_923_65)]
    #[case::normal_above(20_007_360, 20_000_000_000, 0.001, 0.950_181_675_442_448_5)]
    #[case::normal_even(49_994_184, 100_000_000, 0.5, 0.122_394_465_993_662_03)]
    fn the_chance_of_at_most_so_many_is_known(
        #[case] k: u64,
        #[case] n: u64,
        #[case] share: f64,
        #[case] chance: f64,
    ) {
        let found = at_most(k, n, odds(share));
        assert!((found - chance).abs() < 1e-7 * chance, "{found:e} is not {chance:e}");
    }

    #[rstest]
    #[case::never(0, 5, 0.0, 1.0)]
    #[case::always(4, 5, 1.0, 0.0)]
    #[case::all(5, 5, 1.0, 1.0)]
    #[case::no_events(0, 0, 0.5, 1.0)]
    fn certainty_is_exact(#[case] k: u64, #[case] n: u64, #[case] share: f64, #[case] chance: f64) {
        assert!((at_most(k, n, odds(share)) - chance).abs() < f64::EPSILON);
    }

    proptest! {
        #[test]
        fn chances_agree_with_the_incomplete_beta(
            (k, n) in (1u64..2000).prop_flat_map(|n| (0..n, Just(n))), share in 0.0001..0.9999,
        ) {
            let expected = beta_reg(float(n - k), float(k + 1), 1.0 - share);
            let found = at_most(k, n, odds(share));
            prop_assert!((found - expected).abs() < 1e-11, "{found} is not {expected}");
        }

        #[test]
        fn one_event_more_is_never_less_likely(
            n in 1u64..1_000_000_000_000, share in 1e-12f64..1.0, deviations in -5.0f64..5.0,
        ) {
            let mean = float(n) * share;
            let deviation = (mean * (1.0 - share)).sqrt();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and n")]
            let k = (mean + deviations * deviation).clamp(0.0, float(n - 1)) as u64;
            prop_assert!(at_most(k, n, odds(share)) <= at_most(k + 1, n, odds(share)));
        }
    }
}
