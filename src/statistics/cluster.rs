//! Failures that come together: how many independent events so many are worth.

use super::float;
use crate::sli::Counts;

/// How much more the failures of slices of time differ than those of independent events would: 1 where they come
/// singly, 60 where a minute of 60 events is good or bad as a whole. Never below 1.
///
/// It is the chi-squared statistic of the slices over its degrees of freedom. `None` where there is nothing to see
/// it by: no failure or nothing but failures, or fewer than two slices with events.
#[must_use]
pub fn design_effect(slices: &[Counts]) -> Option<f64> {
    let total = slices.iter().fold(Counts::default(), |sum, slice| sum.plus(*slice));
    let share = total.failure_ratio()?.share();
    let used = slices.iter().filter(|slice| slice.valid() > 0);
    let count = used.clone().count();
    if count < 2 || total.bad == 0 || total.good == 0 {
        return None;
    }
    let squares = used.map(|slice| {
        let expected = float(slice.valid()) * share;
        (float(slice.bad) - expected).powi(2) / (expected * (1.0 - share))
    });
    Some((squares.sum::<f64>() / float(count as u64 - 1)).max(1.0))
}

/// So many independent events as these are worth; one failure stays one.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "smaller than what was counted")]
pub fn effective(counts: Counts, effect: f64) -> Counts {
    let effect = effect.max(1.0);
    let valid = (float(counts.valid()) / effect * (1.0 + 1e-12)).floor() as u64;
    let bad = ((float(counts.bad) / effect).round() as u64).max(u64::from(counts.bad > 0)).min(valid.max(1));
    Counts { good: valid.saturating_sub(bad), bad }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;
    use rstest::rstest;

    use super::*;

    fn failed(bad: u64, of: u64) -> Counts {
        Counts { good: of - bad, bad }
    }

    #[test]
    fn whole_slices_that_fail_are_worth_one_event_each() {
        let slices: Vec<_> = (0..100).map(|at| failed(if at % 10 == 0 { 60 } else { 0 }, 60)).collect();
        let effect = design_effect(&slices).unwrap();
        assert!((effect - 60.0 * 100.0 / 99.0).abs() < 1e-9, "{effect}");
        assert_eq!(effective(failed(600, 6000), effect), failed(10, 99));
    }

    #[test]
    fn failures_that_come_singly_have_next_to_no_effect() {
        let mut random = StdRng::seed_from_u64(3);
        let slice = |_| failed((0..200).filter(|_| random.random_bool(0.05)).count() as u64, 200);
        let effect = design_effect(&(0..500).map(slice).collect::<Vec<_>>()).unwrap();
        // The statistic has 499 degrees of freedom: three deviations are 0.19.
        assert!((1.0..1.2).contains(&effect), "{effect}");
    }

    #[rstest]
    #[case::nothing(&[])]
    #[case::no_failure(&[failed(0, 9), failed(0, 9)])]
    #[case::only_failures(&[failed(9, 9), failed(9, 9)])]
    #[case::one_slice(&[failed(1, 9), failed(0, 0)])]
    fn there_may_be_nothing_to_see_it_by(#[case] slices: &[Counts]) {
        assert_eq!(design_effect(slices), None);
    }

    #[rstest]
    #[case::none(failed(3, 90), 1.0, failed(3, 90))]
    #[case::a_failure_stays_one(failed(1, 90), 30.0, failed(1, 3))]
    #[case::more_than_there_is(failed(1, 90), 1e9, failed(1, 1))]
    #[case::clean(failed(0, 90), 3.0, failed(0, 30))]
    fn events_are_worth(#[case] counts: Counts, #[case] effect: f64, #[case] worth: Counts) {
        assert_eq!(effective(counts, effect), worth);
    }

    proptest! {
        #[test]
        fn an_effect_never_makes_more_of_what_was_counted(
            slices in proptest::collection::vec((0u64..20, 0u64..200), 0..50),
        ) {
            let slices: Vec<_> = slices.into_iter().map(|(bad, good)| Counts { good, bad }).collect();
            let total = slices.iter().fold(Counts::default(), |sum, slice| sum.plus(*slice));
            if let Some(effect) = design_effect(&slices) {
                prop_assert!(effect >= 1.0 && effect.is_finite());
                prop_assert!(effective(total, effect).valid() <= total.valid().max(1));
            }
        }
    }
}
