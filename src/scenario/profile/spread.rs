//! Values spread log-normally, as most latencies and sizes are: given by their middle and their tail.

use std::time::Duration;

use statrs::distribution::{ContinuousCDF as _, Normal};

use crate::units::Ratio;

/// How far above the 99th percentile the largest value lies where the file does not say.
const MOST_OVER_P99: f64 = 10.0;

/// The log-normal distribution through a median and a 99th percentile, cut off at a largest value.
///
/// Values are in whatever unit the quantiles were given in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    p50: f64,
    /// Standard deviation of the logarithm; zero where every value is the median.
    sigma: f64,
    most: f64,
}

impl Spread {
    /// The same value always.
    #[must_use]
    pub fn fixed(value: f64) -> Self {
        Self { p50: value, sigma: 0.0, most: value }
    }

    /// The spread through both quantiles, up to `most` or ten times `p99`.
    ///
    /// # Errors
    /// Why there is no such spread.
    pub fn through(p50: f64, p99: f64, most: Option<f64>) -> Result<Self, &'static str> {
        let most = most.unwrap_or(p99 * MOST_OVER_P99);
        if ![p50, p99, most].iter().all(|value| value.is_finite()) {
            return Err("quantiles are finite numbers");
        }
        if p50 <= 0.0 {
            return Err("`p50` must be above zero: a log-normal spread has no zero in it");
        }
        if p99 < p50 {
            return Err("`p99` is below `p50`: the 99th percentile is never below the median");
        }
        if most < p99 {
            return Err("`max` is below `p99`: the tail that `p99` asks for would be cut off");
        }
        Ok(Self { p50, sigma: (p99 / p50).ln() / normal().inverse_cdf(0.99), most })
    }

    /// The value that `share` of all values are at or below.
    #[must_use]
    pub fn quantile(&self, share: Ratio) -> f64 {
        if self.sigma > 0.0 {
            (self.p50 * (self.sigma * normal().inverse_cdf(share.share())).exp()).min(self.most)
        } else {
            self.p50
        }
    }

    /// The share of values that are at or below `value`.
    #[must_use]
    pub fn share_up_to(&self, value: f64) -> Ratio {
        let share = if value >= self.most {
            1.0
        } else if value <= 0.0 || self.sigma <= 0.0 {
            0.0
        } else {
            normal().cdf((value / self.p50).ln() / self.sigma)
        };
        Ratio::new(share).unwrap_or(Ratio::ONE)
    }

    /// The average of all values.
    #[must_use]
    pub fn mean(&self) -> f64 {
        if self.sigma <= 0.0 {
            return self.p50;
        }
        let cut = (self.most / self.p50).ln() / self.sigma;
        let below = self.p50 * (self.sigma * self.sigma / 2.0).exp() * normal().cdf(cut - self.sigma);
        below + self.most * normal().sf(cut)
    }
}

/// How long a stand-in takes to answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latency(Spread);

impl Latency {
    /// The same time always.
    #[must_use]
    pub fn fixed(time: Duration) -> Self {
        Self(Spread::fixed(time.as_secs_f64()))
    }

    /// Times through both quantiles, up to `most` or ten times `p99`.
    ///
    /// # Errors
    /// Why there is no such spread.
    pub fn through(p50: Duration, p99: Duration, most: Option<Duration>) -> Result<Self, &'static str> {
        let most = most.map(|most| most.as_secs_f64());
        Spread::through(p50.as_secs_f64(), p99.as_secs_f64(), most).map(Self)
    }

    /// The time that `share` of all answers take at most.
    #[must_use]
    pub fn quantile(&self, share: Ratio) -> Duration {
        Duration::try_from_secs_f64(self.0.quantile(share)).unwrap_or_default()
    }
}

fn normal() -> Normal {
    Normal::standard()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn ratio(share: f64) -> Ratio {
        Ratio::new(share).unwrap()
    }

    #[rstest]
    #[case::median(0.5, 5.0)]
    #[case::tail(0.99, 40.0)]
    #[case::the_end_is_cut_off(1.0, 400.0)]
    #[case::the_start_is_zero(0.0, 0.0)]
    fn a_spread_goes_through_its_quantiles(#[case] share: f64, #[case] millis: f64) {
        let latency = Latency::through(Duration::from_millis(5), Duration::from_millis(40), None).unwrap();
        let got = latency.quantile(ratio(share)).as_secs_f64() * 1e3;
        assert!((got - millis).abs() < 1e-3, "{got} is not {millis}");
    }

    #[test]
    fn the_mean_is_that_of_many_draws() {
        let spread = Spread::through(5.0, 40.0, Some(60.0)).unwrap();
        let draws = 100_000;
        let sum: f64 =
            (0..draws).map(|n| spread.quantile(ratio((f64::from(n) + 0.5) / f64::from(draws)))).sum();
        let average = sum / f64::from(draws);
        assert!((average - spread.mean()).abs() < 1e-3, "{average} is not {}", spread.mean());
    }

    #[test]
    fn a_fixed_time_is_exact() {
        let latency = Latency::fixed(Duration::from_millis(5));
        assert_eq!(latency.quantile(ratio(0.999)), Duration::from_millis(5));
    }

    proptest! {
        #[test]
        fn shares_and_quantiles_undo_each_other(share in 0.001..0.98, p50 in 1e-6..1e6, over in 1.001..100.0) {
            let spread = Spread::through(p50, p50 * over, None).unwrap();
            let back = spread.share_up_to(spread.quantile(ratio(share))).share();
            prop_assert!((back - share).abs() < 1e-6, "{back} is not {share}");
        }

        #[test]
        fn no_quantiles_panic(p50: f64, p99: f64, most: Option<f64>, share in 0.0..=1.0, value: f64) {
            if let Ok(spread) = Spread::through(p50, p99, most) {
                prop_assert!(spread.quantile(ratio(share)) <= spread.quantile(Ratio::ONE));
                let _ = (spread.share_up_to(value), spread.mean());
            }
        }
    }
}
