use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::sli::Counts;

const MONTH: Duration = Duration::from_secs(30 * 86_400);

fn ratio(text: &str) -> Ratio {
    text.parse().unwrap()
}

fn span(text: &str) -> Duration {
    text.parse::<crate::units::Span>().unwrap().0
}

fn events(bad: f64, valid: f64) -> Events {
    Events::new(bad, valid).unwrap()
}

fn rolling(objective: &str, bad: f64, valid: f64) -> Budget {
    let tally = Tally::of_events(events(bad, valid));
    Budget { objective: ratio(objective), tally, period: MONTH, elapsed: MONTH }
}

#[track_caller]
fn assert_close(found: impl Into<Option<f64>>, wanted: f64) {
    let found = found.into().unwrap();
    assert!((found - wanted).abs() <= 1e-9 * wanted.abs().max(1e-9), "{found} is not {wanted}");
}

#[rstest]
#[case::untouched("99.9%", 0.0, 10_000.0, 0.0, 1.0, 10.0)]
#[case::half("99.9%", 5.0, 10_000.0, 0.5, 0.5, 5.0)]
#[case::exactly_spent("99.9%", 10.0, 10_000.0, 1.0, 0.0, 0.0)]
#[case::overspent("99.9%", 30.0, 10_000.0, 3.0, -2.0, -20.0)]
#[case::parts_of_events("99%", 2.5, 1000.0, 0.25, 0.75, 7.5)]
#[case::six_nines("99.9999%", 9.04, 1_000_000.0, 9.04, -8.04, -8.04)]
fn a_rolling_budget_is_known(
    #[case] objective: &str,
    #[case] bad: f64,
    #[case] valid: f64,
    #[case] consumed: f64,
    #[case] remaining: f64,
    #[case] left: f64,
) {
    let budget = rolling(objective, bad, valid);
    let close = |found: f64, wanted: f64| (found - wanted).abs() < 1e-6;
    assert!(close(budget.consumed().unwrap(), consumed), "{budget:?}");
    assert!(close(budget.consumed_to_date().unwrap(), consumed), "{budget:?}");
    assert!(close(budget.remaining().unwrap(), remaining), "{budget:?}");
    assert!(close(budget.left(), left), "{budget:?}");
    assert_eq!(budget.is_spent(), consumed >= 1.0);
}

#[rstest]
#[case::three_nines("99.9%", MONTH, "43m12s")]
#[case::two_nines("99%", MONTH, "7h12m")]
#[case::two_and_a_half("99.5%", MONTH, "3h36m")]
#[case::ninety_of_a_week("90%", span("7d"), "16h48m")]
#[case::half_a_permille_of_a_week("99.95%", span("7d"), "5m2.4s")]
fn an_untouched_budget_pays_for_so_long_an_outage(
    #[case] objective: &str,
    #[case] period: Duration,
    #[case] time: &str,
) {
    let budget = Budget { period, elapsed: period, ..rolling(objective, 0.0, 1.0) };
    let found = budget.time_left().unwrap().as_secs_f64();
    assert!((found - span(time).as_secs_f64()).abs() < 1e-6, "{found} s is not {time}");
}

#[test]
fn five_minutes_of_total_outage_cost_a_ninth_of_a_month() {
    let minutes = 30.0 * 24.0 * 60.0;
    let consumed = rolling("99.9%", 5.0, minutes).consumed().unwrap();
    assert_eq!(format!("{:.1}%", 100.0 * consumed), "11.6%");
}

#[test]
fn a_calendar_budget_is_told_to_date_and_for_the_whole_window() {
    let budget = Budget { elapsed: span("6d"), ..rolling("99.9%", 30.0, 10_000.0) };
    assert_close(budget.consumed_to_date(), 3.0);
    assert_close(budget.consumed(), 0.6);
    assert_close(budget.allowed(), 50.0);
    assert_close(budget.left(), 20.0);
    assert!(!budget.is_spent());
}

#[rstest]
#[case::steady(1.0, Some(Exhaustion::In(span("15d"))))]
#[case::fast(14.4, Some(Exhaustion::In(span("1d1h"))))]
#[case::not_at_all(0.0, Some(Exhaustion::Never))]
fn half_a_budget_is_gone_after(#[case] rate: f64, #[case] wanted: Option<Exhaustion>) {
    let burn = Burn::of(Tally::of_events(events(rate / 1000.0, 1.0)), ratio("99.9%")).unwrap();
    let found = rolling("99.9%", 5.0, 10_000.0).exhaustion(burn);
    let whole = found.map(|after| match after {
        Exhaustion::In(after) => Exhaustion::In(seconds(after.as_secs_f64().round())),
        Exhaustion::Spent | Exhaustion::Never => after,
    });
    assert_eq!(whole, wanted);
}

#[test]
fn a_spent_budget_is_gone() {
    let budget = rolling("99.9%", 10.0, 10_000.0);
    assert_eq!(budget.exhaustion(budget.burn().unwrap()), Some(Exhaustion::Spent));
    assert_eq!(budget.time_left(), Some(Duration::ZERO));
}

#[test]
fn perfection_has_no_budget_and_spends_it_with_the_first_failure() {
    let clean = rolling("100%", 0.0, 10_000.0);
    assert_eq!((clean.burn(), clean.remaining(), clean.is_spent()), (None, None, false));
    assert!(rolling("100%", 1.0, 10_000.0).is_spent());
}

#[test]
fn nothing_counted_is_nothing_known() {
    let budget = rolling("99.9%", 0.0, 0.0);
    assert_eq!((budget.sli(), budget.burn(), budget.remaining()), (None, None, None));
    assert!(!budget.is_spent());
}

#[test]
fn a_deploy_costs_its_failures_over_those_allowed() {
    assert_close(rolling("99.9%", 0.0, 10_000.0).cost(3.0), 0.3);
    assert_eq!(rolling("100%", 0.0, 10_000.0).cost(3.0), None);
}

#[rstest]
#[case::more_bad_than_valid(2.0, 1.0)]
#[case::below_zero(-1.0, 1.0)]
#[case::no_number(f64::NAN, 1.0)]
#[case::of_no_number(0.0, f64::NAN)]
#[case::endless(0.0, f64::INFINITY)]
fn such_events_there_are_not(#[case] bad: f64, #[case] valid: f64) {
    assert_eq!(Events::new(bad, valid), None);
}

#[rstest]
#[case::near(0.2, 10.4, 9, 1)]
#[case::clean(0.0, 10.5, 11, 0)]
#[case::round(2.5, 7.0, 4, 3)]
fn whole_events_keep_a_failure(#[case] bad: f64, #[case] valid: f64, #[case] good: u64, #[case] failed: u64) {
    assert_eq!(events(bad, valid).whole(), Counts { good, bad: failed });
}

/// Four hours at 100 a second of which 1 % fail, then twenty at 1 a second that are clean: by the minute.
fn uneven() -> Vec<Events> {
    let busy = std::iter::repeat_n(events(60.0, 6000.0), 240);
    busy.chain(std::iter::repeat_n(events(0.0, 60.0), 1200)).collect()
}

#[rstest]
#[case::occurrences(Method::Occurrences, "0.952%")]
#[case::mean_of_slices(Method::RatioTimeslices, "0.167%")]
#[case::slices_of_99_5(Method::Timeslices { good: Ratio::new(0.995).unwrap() }, "16.667%")]
#[case::slices_of_99(Method::Timeslices { good: Ratio::new(0.99).unwrap() }, "0.000%")]
fn a_mean_of_ratios_is_no_ratio(#[case] method: Method, #[case] loss: &str) {
    let tally = Tally::of_slices(&uneven(), method, Empty::Ignore);
    assert_eq!(format!("{:.3}%", 100.0 * tally.loss().unwrap()), loss);
}

#[rstest]
#[case::ignored(Empty::Ignore, 1.0, 2.0)]
#[case::good(Empty::Good, 1.0, 4.0)]
#[case::bad(Empty::Bad, 3.0, 4.0)]
fn an_empty_slice_counts_as_told_and_is_always_counted(
    #[case] empty: Empty,
    #[case] lost: f64,
    #[case] of: f64,
    #[values(Method::RatioTimeslices, Method::Timeslices { good: Ratio::ONE })] method: Method,
) {
    let slices = [events(0.0, 5.0), Events::default(), events(5.0, 5.0), Events::default()];
    let tally = Tally::of_slices(&slices, method, empty);
    assert_eq!((tally.empty(), tally.loss()), (2, Some(lost / of)));
    assert_close(tally.of(), of);
}

#[test]
fn events_have_no_empty_slice_to_count() {
    let slices = [Events::default(), events(1.0, 4.0)];
    let tally = Tally::of_slices(&slices, Method::Occurrences, Empty::Bad);
    assert_eq!((tally.loss(), tally.empty()), (Some(0.25), 1));
}

#[test]
fn a_composite_weighs_its_parts() {
    let part = |bad: f64, objective: &str| rolling(objective, bad, 10_000.0).burn().unwrap();
    let burn = Burn::weighted(&[(3.0, part(20.0, "99.9%")), (1.0, part(100.0, "99%"))]).unwrap();
    assert_close(burn.rate(), 0.75 * 2.0 + 0.25);
    let tally = |bad| Tally::of_events(events(bad, 100.0));
    assert_close(Tally::weighted(&[(1.0, tally(1.0)), (3.0, tally(5.0))]).unwrap().loss(), 0.04);
    assert_eq!(Tally::weighted(&[(1.0, tally(1.0)), (1.0, Tally::default())]), None);
}

#[test]
fn a_slice_of_a_composite_is_bad_when_any_part_is() {
    let (good, bad, none) = (events(0.0, 4.0), events(4.0, 4.0), Events::default());
    let parts: [(Ratio, &[Events]); 2] =
        [(ratio("95%"), &[good, bad, good, none, none]), (ratio("95%"), &[good, good, bad, good, none])];
    let tally = Tally::any_bad(&parts, Empty::Ignore);
    assert_eq!((tally.lost(), tally.of(), tally.empty()), (2.0, 4.0, 1));
    let tally = Tally::any_bad(&parts, Empty::Bad);
    assert_eq!((tally.lost(), tally.of(), tally.empty()), (3.0, 5.0, 1));
}

#[rstest]
#[case::thirty_days("30d", &["14.400", "6.000", "3.000", "1.000"])]
#[case::four_weeks("28d", &["13.440", "5.600", "2.800", "0.933"])]
fn factors_follow_from_shares(#[case] period: &str, #[case] factors: &[&str]) {
    let tiers = Tiers::by_factor(span(period)).0;
    assert_eq!(tiers.iter().map(|tier| format!("{:.3}", tier.factor)).collect::<Vec<_>>(), factors);
    let shares: Vec<_> =
        tiers.iter().map(|tier| format!("{:.2}%", 100.0 * tier.share(span(period)))).collect();
    assert_eq!(shares, ["2.00%", "5.00%", "10.00%", "10.00%"]);
}

#[rstest]
#[case::four_weeks("28d", &["1h", "6h", "1d", "4d"], &["2.08%", "6.25%", "7.14%", "14.29%"])]
#[case::thirty_days("30d", &["1h4m", "6h26m", "1d1h43m", "4d6h51m"], &["2.07%", "6.25%", "7.14%", "14.28%"])]
fn windows_are_scaled_to_minutes(#[case] period: &str, #[case] longs: &[&str], #[case] shares: &[&str]) {
    let tiers = Tiers::by_window(span(period)).0;
    let found: Vec<_> = tiers.iter().map(|tier| crate::units::Span(tier.long).to_string()).collect();
    assert_eq!(found, longs);
    let found: Vec<_> =
        tiers.iter().map(|tier| format!("{:.2}%", 100.0 * tier.share(span(period)))).collect();
    assert_eq!(found, shares);
}

#[rstest]
#[case("99.9%", "100%", "10m", [Some((51.8, 295.7)), Some((129.6, 1789.0)), Some((259.2, 7178.0)), Some((259.2, 21578.0))])]
#[case("99.9%", "10%", "1h", [Some((518.4, 256.8)), Some((1296.0, 1692.0)), Some((2592.0, 6984.0)), Some((2592.0, 21384.0))])]
#[case("99.9%", "2%", "2h", [Some((2592.0, 84.0)), Some((6480.0, 1260.0)), None, None])]
#[case("99.9%", "1%", "6h", [None, Some((12960.0, 720.0)), None, None])]
#[case("99.9%", "0.5%", "24h", [None, None, Some((51840.0, 2880.0)), Some((51840.0, 17280.0))])]
#[case("99%", "100%", "1h", [Some((518.4, 256.8)), Some((1296.0, 1692.0)), Some((2592.0, 6984.0)), Some((2592.0, 21384.0))])]
fn tiers_fire_and_clear_at_known_times(
    #[case] objective: &str,
    #[case] errors: &str,
    #[case] lasts: &str,
    #[case] wanted: [Option<(f64, f64)>; 4],
) {
    let fault = Fault { errors: ratio(errors), lasts: span(lasts) };
    for (tier, wanted) in Tiers::by_factor(MONTH).0.into_iter().zip(wanted) {
        let found = tier.detects(fault, ratio(objective));
        let times = found.map(|found| (found.after.as_secs_f64(), found.clears.as_secs_f64()));
        let close = match (times, wanted) {
            (Some((after, clears)), Some((fires, ends))) => {
                (after - fires).abs() < 0.1 && (clears - ends).abs() < 0.5
            }
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        assert!(close, "{tier:?}: {times:?} is not {wanted:?}");
    }
}

#[rstest]
#[case::more_traffic("0%", 4.0, "30d", 3600.0 * 0.0144 / (4.0 * (0.1 - 0.0144) + 0.0144))]
#[case::earlier_errors("0.5%", 1.0, "30d", 3600.0 * (0.0144 - 0.005) / (0.1 - 0.005))]
#[case::fresh("0%", 1.0, "10m", 600.0 * 0.0144 / (0.1 - 0.0144))]
#[case::nearly_full("0%", 1.0, "59m", 518.4)]
#[case::no_history("0%", 1.0, "0s", 0.0)]
fn detection_depends_on_what_went_before(
    #[case] earlier: &str,
    #[case] traffic: f64,
    #[case] history: &str,
    #[case] after: f64,
) {
    let fault = Fault { errors: ratio("10%"), lasts: span("1h") };
    let page = Tiers::by_factor(MONTH).0[0];
    let found = page.detects_after(fault, ratio("99.9%"), ratio(earlier), traffic, span(history));
    assert!((found.unwrap().as_secs_f64() - after).abs() < 1e-6, "{found:?} is not {after}");
}

#[rstest]
#[case::page_fast(0, "93.05%", "93.06%")]
#[case::page_slow(1, "83.33%", "83.34%")]
#[case::ticket_fast(2, "66.66%", "66.67%")]
fn a_low_objective_makes_a_tier_impossible(#[case] tier: usize, #[case] never: &str, #[case] fires: &str) {
    let tier = Tiers::by_factor(MONTH).0[tier];
    assert!(tier.is_impossible(ratio(never)));
    assert!(!tier.is_impossible(ratio(fires)));
    let outage = Fault { errors: Ratio::ONE, lasts: span("30d") };
    assert_eq!(tier.detects(outage, ratio(never)), None);
    assert!(tier.detects(outage, ratio(fires)).is_some());
}

#[test]
fn a_total_outage_at_ninety_percent_is_first_seen_by_the_slow_page() {
    let outage = Fault { errors: Ratio::ONE, lasts: span("1d") };
    let first = Tiers::by_factor(MONTH).0.into_iter().find_map(|tier| tier.detects(outage, ratio("90%")));
    assert_close(first.unwrap().after.as_secs_f64(), span("3h36m").as_secs_f64());
}

#[rstest]
#[case::a_single_failure_pages(69.0, 1)]
#[case::two_are_needed(70.0, 2)]
fn little_traffic_fires_on_few_failures(#[case] events: f64, #[case] failures: u64) {
    assert_eq!(Tiers::by_factor(MONTH).0[0].failures_to_fire(ratio("99.9%"), events), failures);
}

proptest! {
    #[test]
    fn what_is_spent_and_what_is_left_are_all_there_is(
        objective in 0.0f64..0.999_999, bad in 0.0..1e6, good in 0.0..1e9, part in 0.01..=1.0,
    ) {
        let tally = Tally::of_events(events(bad, bad + good));
        prop_assume!(tally.of() > 0.0);
        let budget = Budget {
            objective: Ratio::new(objective).unwrap(), tally, period: MONTH, elapsed: MONTH.mul_f64(part),
        };
        let (consumed, remaining) = (budget.consumed().unwrap(), budget.remaining().unwrap());
        prop_assert!((consumed + remaining - 1.0).abs() < 1e-9);
        prop_assert!((budget.left() / budget.allowed() - remaining).abs() < 1e-6 * consumed.max(1.0));
        prop_assert_eq!(budget.is_spent(), bad > 0.0 && consumed >= 1.0 - NOISE);
        // The SLI says the same: R = (SLI - T) / B, to date.
        let by_sli = (budget.sli().unwrap().share() - objective) / (1.0 - objective);
        prop_assert!((1.0 - budget.consumed_to_date().unwrap() - by_sli).abs() < 1e-6 * consumed.max(1.0) / part);
    }

    #[test]
    fn at_its_own_burn_rate_a_rolling_budget_lasts_for_what_is_left(bad in 1.0..9.9f64) {
        let budget = rolling("99.9%", bad, 10_000.0);
        let burn = budget.burn().unwrap();
        let Some(Exhaustion::In(after)) = budget.exhaustion(burn) else { panic!("{budget:?}") };
        let wanted = budget.remaining().unwrap();
        prop_assert!((burn.share(after, MONTH) - wanted).abs() < 1e-9);
    }

    #[test]
    fn slices_in_any_order_tally_alike(
        slices in proptest::collection::vec((0u32..50, 0u32..50), 0..40),
        which in 0..3usize, empty in 0..3usize,
    ) {
        let method = [Method::Occurrences, Method::RatioTimeslices, Method::Timeslices { good: ratio("90%") }][which];
        let empty = [Empty::Ignore, Empty::Good, Empty::Bad][empty];
        let slices: Vec<_> =
            slices.into_iter().map(|(bad, good)| events(f64::from(bad), f64::from(bad + good))).collect();
        let backwards: Vec<_> = slices.iter().rev().copied().collect();
        let (one, other) = (Tally::of_slices(&slices, method, empty), Tally::of_slices(&backwards, method, empty));
        prop_assert!((one.lost() - other.lost()).abs() < 1e-9);
        prop_assert!((one.of() - other.of()).abs() < 1e-9);
        prop_assert_eq!(one.empty(), slices.iter().filter(|slice| slice.loss().is_none()).count() as u64);
        prop_assert!(one.loss().is_none_or(|loss| (0.0..=1.0).contains(&loss)));
    }

    /// The formulas against the fluid itself, stepped through.
    #[test]
    fn detection_agrees_with_a_simulation(errors in 0.02..1.0f64, lasts in 60u32..7200, tier in 0..2usize) {
        let (tier, objective) = (Tiers::by_factor(MONTH).0[tier], ratio("99.9%"));
        let fault = Fault { errors: Ratio::new(errors).unwrap(), lasts: Duration::from_secs(lasts.into()) };
        let threshold = tier.threshold(objective);
        // The share of a window that ends at `now` in which the fault was on.
        let share = |window: Duration, now: f64| {
            let window = window.as_secs_f64();
            errors * (now.min(f64::from(lasts)) - (now - window).max(0.0)).max(0.0) / window
        };
        let holds = |now: f64| share(tier.long, now) > threshold && share(tier.short, now) > threshold;
        let end = lasts + u32::try_from(tier.long.as_secs()).unwrap();
        let first = (0..end).find(|now| holds(f64::from(*now)));
        match (tier.detects(fault, objective), first) {
            (Some(found), Some(first)) => {
                prop_assert!((found.after.as_secs_f64() - f64::from(first)).abs() <= 1.0);
                let last = (first..end).rev().find(|now| holds(f64::from(*now))).unwrap();
                prop_assert!((f64::from(lasts) + found.clears.as_secs_f64() - f64::from(last)).abs() <= 1.001);
            }
            (None, None) => {}
            // Within a second of the shortest fault that is found.
            (found, first) => {
                let shortest = threshold * tier.long.as_secs_f64() / errors;
                prop_assert!((shortest - f64::from(lasts)).abs() <= 1.0, "{found:?} {first:?}");
            }
        }
    }
}
