//! A judgement in one English sentence, with the numbers it rests on.

use std::fmt;

use super::{Allowance, Judgement, Policy, Verdict};
use crate::units::Ratio;

impl fmt::Display for Judgement {
    /// One sentence with the numbers, without the verdict's own word.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bad, valid, wanted) = (self.counts.bad, self.counts.valid(), Wanted(self));
        match self.verdict {
            Verdict::Pass | Verdict::Warn | Verdict::Fail => {
                let sli = self.percent_good(self.counts.ratio().unwrap_or(Ratio::ZERO), f64::round);
                // A bound is rounded away from what it bounds, so that the sentence stays true.
                let (side, bound) = if self.verdict == Verdict::Pass {
                    ("least", self.percent_good(self.interval.lower, f64::ceil))
                } else {
                    ("most", self.percent_good(self.interval.upper, f64::floor))
                };
                let confidence = self.policy.confidence;
                write!(f, "{sli} good of {valid} (at {side} {bound} with {confidence} confidence), ")?;
                write!(f, "objective {wanted}")
            }
            Verdict::Inconclusive { needed } => {
                write!(f, "{bad} of {valid} failed: not enough to say {wanted}; ")?;
                match needed {
                    Some(1) => write!(f, "1 more good sample would"),
                    Some(more) => write!(f, "{more} more good samples would"),
                    None => write!(f, "a trillion more good samples would not"),
                }
            }
            Verdict::NoData => {
                write!(f, "no samples: nothing to say about {wanted}")?;
                match self.needed {
                    Some(1) => write!(f, "; 1 good one would be enough"),
                    Some(samples) => write!(f, "; {samples} good ones would be enough"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl Judgement {
    /// `good` as a percentage, with two digits of what it falls short of 100 %, rounded as told, and with more
    /// where it takes more to stay on its side of what is wanted.
    fn percent_good(&self, good: Ratio, rounded: fn(f64) -> f64) -> String {
        const MOST_DIGITS: i32 = 12;
        let short = 100.0 * good.complement().share();
        let allowed = 100.0 * self.policy.allowance.of(self.objective).share();
        let too_much = |short: f64| short > allowed * (1.0 + 1e-9);
        let at = |digits: i32| rounded(short * 10f64.powi(digits)) / 10f64.powi(digits);
        let telling =
            |digits: &i32| short * 10f64.powi(*digits) >= 10.0 && too_much(at(*digits)) == too_much(short);
        let digits = if short > 0.0 { (1..MOST_DIGITS).find(telling).unwrap_or(MOST_DIGITS) } else { 1 };
        percent(100.0 - at(digits))
    }
}

/// What a judgement was about: the objective, and how far beyond it was allowed.
struct Wanted<'a>(&'a Judgement);

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Judgement { objective, policy: Policy { allowance, .. }, .. } = self.0;
        f.write_str(&percent(100.0 * objective.share()))?;
        if *allowance != Allowance::ONE {
            write!(f, " with {} times its budget allowed", allowance.multiple())?;
        }
        if allowance.of(*objective) >= Ratio::ONE {
            f.write_str(", which any failures meet")?;
        }
        Ok(())
    }
}

/// A number of hundredths, without idle zeros.
fn percent(value: f64) -> String {
    let text = format!("{value:.11}");
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::judge;
    use super::*;
    use crate::sli::Counts;

    fn failed(bad: u64, of: u64) -> Counts {
        Counts { good: of - bad, bad }
    }

    #[rstest]
    #[case::pass(
        "99.9%",
        1.0,
        failed(6, 12_000),
        "99.95% good of 12000 (at least 99.901% with 95% confidence), objective 99.9%"
    )]
    #[case::clean(
        "99.9%",
        1.0,
        failed(0, 2995),
        "100% good of 2995 (at least 99.9% with 95% confidence), objective 99.9%"
    )]
    #[case::fail(
        "99.9%",
        1.0,
        failed(50, 10_000),
        "99.5% good of 10000 (at most 99.62% with 95% confidence), objective 99.9%"
    )]
    #[case::barely_failing(
        "99.9%",
        1.0,
        failed(16, 10_000),
        "99.84% good of 10000 (at most 99.8997% with 95% confidence), objective 99.9%"
    )]
    #[case::everything_fails(
        "99%",
        1.0,
        failed(10, 10),
        "0% good of 10 (at most 25.9% with 95% confidence), objective 99%"
    )]
    #[case::fast_burn(
        "99.9%",
        14.4,
        failed(0, 300),
        "100% good of 300 (at least 99% with 95% confidence), objective 99.9% with 14.4 times its budget allowed"
    )]
    #[case::too_few(
        "99.9%",
        1.0,
        failed(0, 120),
        "0 of 120 failed: not enough to say 99.9%; 2875 more good samples would"
    )]
    #[case::one_too_few(
        "99.9%",
        1.0,
        failed(0, 2994),
        "0 of 2994 failed: not enough to say 99.9%; 1 more good sample would"
    )]
    #[case::some_failed(
        "99.9%",
        1.0,
        failed(3, 1500),
        "3 of 1500 failed: not enough to say 99.9%; 6252 more good samples would"
    )]
    #[case::perfection(
        "100%",
        1.0,
        failed(0, 120),
        "0 of 120 failed: not enough to say 100%; a trillion more good samples would not"
    )]
    #[case::imperfect(
        "100%",
        1.0,
        failed(1, 1_000_000),
        "99.9999% good of 1000000 (at most 99.9999949% with 95% confidence), objective 100%"
    )]
    #[case::anything_goes(
        "90%",
        14.4,
        failed(9, 9),
        "0% good of 9 (at least 0% with 95% confidence), objective 90% with 14.4 times its budget allowed, \
         which any failures meet"
    )]
    #[case::nothing(
        "99.9%",
        1.0,
        failed(0, 0),
        "no samples: nothing to say about 99.9%; 2995 good ones would be enough"
    )]
    #[case::nothing_for_perfection("100%", 1.0, failed(0, 0), "no samples: nothing to say about 100%")]
    fn a_judgement_is_one_sentence(
        #[case] objective: &str,
        #[case] multiple: f64,
        #[case] counts: Counts,
        #[case] sentence: &str,
    ) {
        let policy = Policy { allowance: Allowance::new(multiple).unwrap(), ..Policy::default() };
        assert_eq!(judge(objective.parse().unwrap(), counts, policy).to_string(), sentence);
    }
}
