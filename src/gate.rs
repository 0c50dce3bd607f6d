//! May the SLI be said to meet its objective? Pass, fail, or not enough samples to say.

use std::cmp::Reverse;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sli::Counts;
use crate::statistics::{self, Confidence, Interval};
use crate::units::Ratio;

mod decision;
mod sentence;
mod sequence;
mod told;

pub use self::decision::{
    Burning, Decision, Instead, Known, Left, Override, Past, Rate, Terms, Unit, decide,
};
pub use self::sequence::{Look, Sequence};

/// What was measured against what was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Verdict {
    /// The objective is met, at the confidence asked for.
    Pass,
    /// It may pass, and somebody should look at it.
    Warn,
    /// The objective is missed, at the confidence asked for.
    Fail,
    /// Too few samples for either.
    Inconclusive {
        /// The good samples after which this becomes a pass, if no more bad ones come; `None` if no number
        /// that anybody waits for would do.
        needed: Option<u64>,
    },
    /// Nothing was measured, which is never a pass.
    NoData,
}

impl Verdict {
    /// What several verdicts come to: fail before no data before inconclusive before a warning before
    /// pass, and of two that are
    /// inconclusive the one that needs more. Of none, no data.
    #[must_use]
    pub fn worst(verdicts: impl IntoIterator<Item = Self>) -> Self {
        verdicts.into_iter().min_by_key(|verdict| verdict.rank()).unwrap_or(Self::NoData)
    }

    /// The worst first.
    fn rank(self) -> (u8, Reverse<u64>) {
        match self {
            Self::Fail => (0, Reverse(0)),
            Self::NoData => (1, Reverse(0)),
            Self::Inconclusive { needed } => (2, Reverse(needed.unwrap_or(u64::MAX))),
            Self::Warn => (3, Reverse(0)),
            Self::Pass => (4, Reverse(0)),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Inconclusive { .. } => "inconclusive",
            Self::NoData => "no data",
        })
    }
}

/// How many times the objective's share of failures is allowed: 1 asks "is the objective met", the factor of a
/// burn-rate alert (6, 14.4) asks "does it not burn that fast", which a short run can answer.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "f64", into = "f64")]
pub struct Allowance(f64);

/// A number that is no [`Allowance`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an allowance is a number above zero, like 1 or 14.4")]
pub struct NoAllowance;

impl Allowance {
    /// The objective itself.
    pub const ONE: Self = Self(1.0);

    /// A multiple of the budget, or `None` unless it is above zero and finite.
    #[must_use]
    pub fn new(multiple: f64) -> Option<Self> {
        (multiple > 0.0 && multiple.is_finite()).then_some(Self(multiple))
    }

    /// The multiple of the budget.
    #[must_use]
    pub fn multiple(self) -> f64 {
        self.0
    }

    /// The share of failures this allows under `objective`: at most all.
    #[must_use]
    pub fn of(self, objective: Ratio) -> Ratio {
        Ratio::new(self.0 * objective.complement().share()).unwrap_or(Ratio::ONE)
    }
}

impl TryFrom<f64> for Allowance {
    type Error = NoAllowance;

    fn try_from(multiple: f64) -> Result<Self, NoAllowance> {
        Self::new(multiple).ok_or(NoAllowance)
    }
}

impl From<Allowance> for f64 {
    fn from(allowance: Allowance) -> Self {
        allowance.0
    }
}

impl Default for Allowance {
    fn default() -> Self {
        Self::ONE
    }
}

/// On which terms a gate decides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// How sure a pass or a fail must be.
    pub confidence: Confidence,
    /// How far beyond the objective is still well.
    pub allowance: Allowance,
}

/// A verdict and every number it rests on; it prints as one sentence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// The conclusion.
    pub verdict: Verdict,
    /// The share of good samples; `None` without samples.
    pub sli: Option<Ratio>,
    /// Where the true share of good samples may lie, each bound at the policy's confidence.
    pub interval: Interval,
    /// The share of good samples wanted.
    pub objective: Ratio,
    /// What was counted.
    pub counts: Counts,
    /// Failures seen over failures the objective allows in as many samples: 1 is all of the budget, and more may
    /// be spent. `None` without samples or without a budget (an objective of 100 %).
    pub budget_consumed: Option<f64>,
    /// As in [`Verdict::Inconclusive`]; also given for no data. `None` where the verdict stands.
    pub needed: Option<u64>,
    /// The terms it was decided on.
    pub policy: Policy,
}

/// Judges one SLO by the exact bounds on its failures: fail when the lower one is above what is allowed, pass
/// when the upper one is not, else inconclusive. Nothing is rounded first.
///
/// An objective of 100 % allows nothing: one failure fails it, and no number of good samples proves it, so
/// without failures it stays inconclusive, with nothing `needed`. An allowance that comes to every sample
/// (14.4 of an objective of 90 %) passes whatever was measured; lint for it where the two are written down.
#[must_use]
pub fn judge(objective: Ratio, counts: Counts, policy: Policy) -> Judgement {
    let chance = chance_if_well(objective, counts, policy);
    conclude(objective, counts, policy, chance < policy.confidence.alpha())
}

/// Judges several SLOs together: as [`judge`], but a fail must stand against Holm's correction, so that more
/// SLOs do not mean more false alarms. One that would have failed alone is then inconclusive.
#[must_use]
pub fn judge_all(slos: &[(Ratio, Counts)], policy: Policy) -> Vec<Judgement> {
    let chances: Vec<Ratio> =
        slos.iter().map(|(objective, counts)| chance_if_well(*objective, *counts, policy)).collect();
    let failed = statistics::holm(&chances, policy.confidence);
    slos.iter()
        .zip(failed)
        .map(|((objective, counts), failed)| conclude(*objective, *counts, policy, failed))
        .collect()
}

/// The chance of as many failures as there were, had exactly what is allowed been failing.
fn chance_if_well(objective: Ratio, counts: Counts, policy: Policy) -> Ratio {
    statistics::chance_of_so_many(counts, policy.allowance.of(objective))
}

fn conclude(objective: Ratio, counts: Counts, policy: Policy, failed: bool) -> Judgement {
    let allowed = policy.allowance.of(objective);
    let needed = statistics::needed(counts, allowed, policy.confidence);
    let verdict = if counts.valid() == 0 {
        Verdict::NoData
    } else if failed {
        Verdict::Fail
    } else if allowed >= Ratio::ONE || needed == Some(0) {
        Verdict::Pass
    } else {
        Verdict::Inconclusive { needed }
    };
    let budget = objective.complement().share();
    let spent = counts.failure_ratio().filter(|_| budget > 0.0).map(|failures| failures.share() / budget);
    Judgement {
        verdict,
        sli: counts.ratio(),
        interval: statistics::exact(counts, policy.confidence).complement(),
        objective,
        counts,
        budget_consumed: spent,
        needed: match verdict {
            Verdict::Pass | Verdict::Warn | Verdict::Fail => None,
            Verdict::NoData | Verdict::Inconclusive { .. } => needed,
        },
        policy,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn share(text: &str) -> Ratio {
        text.parse().unwrap()
    }

    fn failed(bad: u64, of: u64) -> Counts {
        Counts { good: of - bad, bad }
    }

    fn allowing(multiple: f64) -> Policy {
        Policy { allowance: Allowance::new(multiple).unwrap(), ..Policy::default() }
    }

    #[rstest]
    #[case::percent("99%", 1.0, 299)]
    #[case::percent_fast_burn("99%", 6.0, 49)]
    #[case::percent_faster_burn("99%", 14.4, 20)]
    #[case::three_nines("99.9%", 1.0, 2995)]
    #[case::three_nines_fast_burn("99.9%", 6.0, 498)]
    #[case::three_nines_faster_burn("99.9%", 14.4, 207)]
    #[case::four_nines("99.99%", 1.0, 29_956)]
    #[case::four_nines_fast_burn("99.99%", 6.0, 4992)]
    #[case::four_nines_faster_burn("99.99%", 14.4, 2079)]
    fn a_clean_run_passes_from_so_many(#[case] objective: &str, #[case] multiple: f64, #[case] samples: u64) {
        let verdict = |samples| judge(share(objective), failed(0, samples), allowing(multiple)).verdict;
        assert_eq!(verdict(samples - 1), Verdict::Inconclusive { needed: Some(1) });
        assert_eq!(verdict(samples), Verdict::Pass);
        assert_eq!(judge(share(objective), failed(0, 0), allowing(multiple)).needed, Some(samples));
    }

    #[rstest]
    #[case::percent_of_300("99%", 300, Some(0), 7)]
    #[case::percent_of_1000("99%", 1000, Some(4), 16)]
    #[case::percent_of_10000("99%", 10_000, Some(83), 118)]
    #[case::three_nines_of_1000("99.9%", 1000, None, 4)]
    #[case::three_nines_of_3000("99.9%", 3000, Some(0), 7)]
    #[case::three_nines_of_10000("99.9%", 10_000, Some(4), 16)]
    fn between_the_most_that_pass_and_the_least_that_fail_lies_inconclusive(
        #[case] objective: &str,
        #[case] of: u64,
        #[case] most_passing: Option<u64>,
        #[case] least_failing: u64,
    ) {
        let word = |bad| judge(share(objective), failed(bad, of), Policy::default()).verdict.to_string();
        if let Some(most) = most_passing {
            assert_eq!(word(most), "pass");
        }
        assert_eq!(word(most_passing.map_or(0, |most| most + 1)), "inconclusive");
        assert_eq!(word(least_failing - 1), "inconclusive");
        assert_eq!(word(least_failing), "fail");
    }

    #[rstest]
    #[case::half(failed(5, 10_000), "99.9%", Some(0.5))]
    #[case::overspent(failed(30, 10_000), "99.9%", Some(3.0))]
    #[case::no_samples(failed(0, 0), "99.9%", None)]
    #[case::no_budget(failed(1, 10), "100%", None)]
    fn the_budget_consumed_is_failures_over_those_allowed(
        #[case] counts: Counts,
        #[case] objective: &str,
        #[case] consumed: Option<f64>,
    ) {
        let found = judge(share(objective), counts, allowing(6.0)).budget_consumed;
        assert_eq!(found.map(|spent| format!("{spent:.9}")), consumed.map(|spent| format!("{spent:.9}")));
    }

    #[rstest]
    #[case::fail_first(&[Verdict::Pass, Verdict::NoData, Verdict::Fail], Verdict::Fail)]
    #[case::then_no_data(&[Verdict::Inconclusive { needed: None }, Verdict::NoData], Verdict::NoData)]
    #[case::then_the_one_that_needs_more(
        &[Verdict::Inconclusive { needed: Some(9) }, Verdict::Inconclusive { needed: None }, Verdict::Pass],
        Verdict::Inconclusive { needed: None })]
    #[case::pass_last(&[Verdict::Pass, Verdict::Pass], Verdict::Pass)]
    #[case::silence_is_no_pass(&[], Verdict::NoData)]
    fn the_worst_verdict_counts(#[case] verdicts: &[Verdict], #[case] worst: Verdict) {
        assert_eq!(Verdict::worst(verdicts.iter().copied()), worst);
        assert_eq!(Verdict::worst(verdicts.iter().rev().copied()), worst);
    }

    #[test]
    fn many_slos_do_not_fail_on_one_weak_sign() {
        let objective = share("99.9%");
        let (weak, clean, bad) = (failed(4, 1000), failed(0, 3000), failed(50, 1000));
        let words = |counts: &[Counts]| -> Vec<String> {
            let slos: Vec<_> = counts.iter().map(|counts| (objective, *counts)).collect();
            judge_all(&slos, Policy::default()).iter().map(|judged| judged.verdict.to_string()).collect()
        };
        assert_eq!(words(&[weak]), ["fail"]);
        assert_eq!(words(&[clean, weak, clean]), ["pass", "inconclusive", "pass"]);
        // The clear failure is set aside first, and leaves more to the weak one.
        assert_eq!(words(&[clean, weak, bad]), ["pass", "fail", "fail"]);
    }

    #[rstest]
    #[case(Verdict::Pass, r#""pass""#)]
    #[case(Verdict::NoData, r#""no_data""#)]
    #[case(Verdict::Inconclusive { needed: Some(7) }, r#"{"inconclusive":{"needed":7}}"#)]
    fn a_verdict_is_written_in_snake_case(#[case] verdict: Verdict, #[case] json: &str) {
        assert_eq!(serde_json::to_string(&verdict).unwrap(), json);
        assert_eq!(serde_json::from_str::<Verdict>(json).unwrap(), verdict);
    }

    #[test]
    fn a_judgement_survives_being_saved() {
        let judged = judge(share("99.9%"), failed(1, 4), allowing(14.4));
        let json = serde_json::to_string(&judged).unwrap();
        let saved: Judgement = serde_json::from_str(&json).unwrap();
        assert_eq!(saved.to_string(), judged.to_string());
        assert_eq!(serde_json::to_string(&saved).unwrap(), json);
    }

    fn sample() -> impl Strategy<Value = Counts> {
        let size = prop_oneof![0u64..2000, 0u64..1_000_000_000];
        size.prop_flat_map(|of| prop_oneof![0..=of.min(20), 0..=of].prop_map(move |bad| failed(bad, of)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn one_more_failure_never_betters_a_verdict(
            counts in sample(), objective in 0.0..=1.0, multiple in 0.1..20.0,
        ) {
            prop_assume!(counts.good > 0);
            let verdict = |bad| {
                let counts = failed(bad, counts.valid());
                judge(Ratio::new(objective).unwrap(), counts, allowing(multiple)).verdict
            };
            prop_assert!(verdict(counts.bad + 1).rank().0 <= verdict(counts.bad).rank().0);
        }

        #[test]
        fn no_judgement_is_unsayable(good: u64, bad: u64, objective in 0.0..=1.0, multiple in 1e-9..1e9) {
            let judged = judge(Ratio::new(objective).unwrap(), Counts { good, bad }, allowing(multiple));
            prop_assert!(!judged.to_string().contains("NaN"));
            prop_assert!(judged.budget_consumed.is_none_or(f64::is_finite));
        }
    }
}
