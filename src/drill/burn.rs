//! What the formula of burn rates says of an alert: when its windows are above their threshold, and when no more, from
//! what was counted of events before and while a fault held.

use std::time::Duration;

use promql_parser::parser::token::{T_DIV, T_GTE, T_GTR, T_LAND};
use promql_parser::parser::{BinaryExpr, Expr};

use crate::dilation::Rules;
use crate::event::Predicted;
use crate::promql::{self, metric};

/// An alert that fires while the share of bad events is above a threshold over a long window and over a short one.
#[derive(Debug, Clone)]
pub(super) struct Tier<'r> {
    long: Duration,
    pub(super) short: Duration,
    threshold: f64,
    holds: Duration,
    /// What counts bad events, and all of them, over the short window.
    pub(super) counts: [&'r Expr; 2],
}

/// What was counted in some time, the same before and while the fault held.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Traffic {
    pub(super) bad: f64,
    pub(super) all: f64,
}

/// One side of such an alert.
struct Window<'r> {
    length: Duration,
    threshold: f64,
    counts: [&'r Expr; 2],
}

impl<'r> Tier<'r> {
    /// What a rule is a tier of, if it is one: two windows at least of a ratio, itself or recorded, above a number.
    pub(super) fn of(rules: &Rules<'r>) -> Option<Self> {
        let mut windows: Vec<_> =
            conjuncts(&rules.rule.query.expr).into_iter().filter_map(|part| window(part, rules)).collect();
        windows.sort_by_key(|window| window.length);
        let [short, .., long] = windows.as_slice() else { return None };
        let alike = (short.threshold - long.threshold).abs() <= f64::EPSILON;
        (alike && short.length < long.length).then_some(Self {
            long: long.length,
            short: short.length,
            threshold: short.threshold,
            holds: rules.alert.holds.map_or(Duration::ZERO, |at| at.value),
            counts: short.counts,
        })
    }

    /// When it fires and clears, where the fault `lasts` so long: `None` where nothing was counted.
    ///
    /// A window of length W that holds x of the fault is at the threshold f when
    /// (b₁x + b₀(W - x)) / (a₁x + a₀(W - x)) = f, with bad events b and all events a before (0) and during (1) it.
    /// It fires when the slower of both windows holds so much, and clears when the first of them holds less again.
    pub(super) fn predict(&self, before: Traffic, during: Traffic, lasts: Duration) -> Option<Predicted> {
        if before.all <= 0.0 || during.all <= 0.0 {
            return None;
        }
        let spare = self.threshold * before.all - before.bad;
        let gained = (during.bad - before.bad) - self.threshold * (during.all - before.all);
        // The part of a window that the fault has to fill.
        let part = if spare <= 0.0 { 0.0 } else { spare / gained };
        let (errors, earlier) = (during.bad / during.all, before.bad / before.all);
        let mut predicted = Predicted { fires: None, clears: None, errors, earlier };
        if gained > 0.0 && part <= 1.0 {
            let after = self.long.mul_f64(part);
            if after <= lasts {
                predicted.fires = Some((after + self.holds).into());
                predicted.clears = Some(self.short.mul_f64(1.0 - part).into());
            }
        }
        Some(predicted)
    }
}

/// The parts of an expression that all have to hold.
fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    let expr = bare(expr);
    if let Expr::Binary(BinaryExpr { op, lhs, rhs, .. }) = expr
        && op.id() == T_LAND
    {
        return [conjuncts(lhs), conjuncts(rhs)].concat();
    }
    vec![expr]
}

/// An expression without the parentheses around it.
fn bare(mut expr: &Expr) -> &Expr {
    while let Expr::Paren(inner) = expr {
        expr = &inner.expr;
    }
    expr
}

/// A ratio above a number.
fn window<'r>(expr: &'r Expr, rules: &Rules<'r>) -> Option<Window<'r>> {
    let Expr::Binary(BinaryExpr { op, lhs, rhs, .. }) = expr else { return None };
    let Expr::NumberLiteral(number) = bare(rhs) else { return None };
    if ![T_GTR, T_GTE].contains(&op.id()) {
        return None;
    }
    let mut ratio = bare(lhs);
    if let Expr::VectorSelector(selector) = ratio {
        let name = metric(selector)?;
        let recorded = rules.recording.iter().find(|one| one.rule.name.value == name)?;
        ratio = bare(&recorded.rule.query.expr);
    }
    let Expr::Binary(BinaryExpr { op, lhs, rhs, .. }) = ratio else { return None };
    let length = promql::reach(ratio, &|_| None).oldest;
    let is_one = op.id() == T_DIV && !length.is_zero();
    is_one.then_some(Window { length, threshold: number.val, counts: [lhs, rhs] })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::finding::Findings;
    use crate::rule;
    use crate::source::Sources;
    use crate::yaml;

    const RULES: &str = r#"
groups:
  - name: recorded
    rules:
      - { record: "ratio:5m", expr: 'sum(rate(bad_total[5m])) / (sum(rate(all_total[5m])) > 0)' }
      - { record: "ratio:1h", expr: '(sum(rate(bad_total[1h]))) / sum(rate(all_total[1h]))' }
      - { alert: Recorded, expr: 'ratio:1h > 0.0144 and (ratio:5m > 0.0144) and bad_total > 3', for: 2m }
      - { alert: Plain, expr: 'bad_total / all_total > 0.5' }
      - { alert: OneWindow, expr: 'ratio:1h > 0.0144' }
      - { alert: Unlike, expr: 'ratio:1h > 0.0144 and ratio:5m > 0.01' }
      - alert: Written
        expr: |
          sum(rate(bad_total[6h])) / sum(rate(all_total[6h])) > 0.006
            and sum(rate(bad_total[30m])) / sum(rate(all_total[30m])) > 0.006
"#;

    #[test]
    fn an_alert_of_two_windows_is_a_tier() {
        let mut sources = Sources::default();
        let id = sources.add("rules.yml", RULES);
        let files = [rule::check(&yaml::parse(id, RULES).unwrap(), &sources, &mut Findings::default())];
        let told = files[0].alerts().map(|alert| {
            let name = alert.1.name.value.clone();
            let rules = Rules::of(&files, alert, Duration::from_secs(15));
            let tier = Tier::of(&rules);
            let said = tier.map(|tier| {
                let [bad, all] = tier.counts.map(ToString::to_string);
                let times = [tier.long, tier.short, tier.holds].map(|time| time.as_secs());
                format!("{times:?} {} {bad} of {all}", tier.threshold)
            });
            format!("{name}: {}", said.unwrap_or_else(|| "none".to_owned()))
        });
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                "Recorded: [3600, 300, 120] 0.0144 sum(rate(bad_total[5m])) of (sum(rate(all_total[5m])) > 0)",
                "Plain: none",
                "OneWindow: none",
                "Unlike: none",
                "Written: [21600, 1800, 0] 0.006 sum(rate(bad_total[30m])) of sum(rate(all_total[30m]))",
            ]
        );
    }

    /// Windows of an hour and of five minutes, 14.4 times 0.1%; times in seconds.
    #[rstest]
    // t = fBL/e and S(1 - fB/e).
    #[case::total((0.0, 100.0), (100.0, 100.0), 3600, Some((52, 296)))]
    #[case::a_tenth((0.0, 100.0), (10.0, 100.0), 3600, Some((518, 257)))]
    // t = L(fB - e0)/(e - e0).
    #[case::some_fail_already((1.0, 100.0), (11.0, 100.0), 3600, Some((158, 287)))]
    // t = fBL/(m(e - fB) + fB).
    #[case::twice_the_traffic((0.0, 100.0), (20.0, 200.0), 3600, Some((279, 277)))]
    #[case::too_few((0.0, 100.0), (1.4, 100.0), 86_400, None)]
    #[case::too_short((0.0, 100.0), (10.0, 100.0), 500, None)]
    fn the_formula_says_when_it_fires_and_clears(
        #[case] before: (f64, f64),
        #[case] during: (f64, f64),
        #[case] lasts: u64,
        #[case] says: Option<(u64, u64)>,
    ) {
        let nothing = Expr::from(1.0);
        let tier = Tier {
            long: Duration::from_secs(3600),
            short: Duration::from_secs(300),
            threshold: 0.0144,
            holds: Duration::ZERO,
            counts: [&nothing, &nothing],
        };
        let traffic = |(bad, all)| Traffic { bad, all };
        let predicted = tier.predict(traffic(before), traffic(during), Duration::from_secs(lasts)).unwrap();
        let whole = |at| (Duration::from(at) + Duration::from_millis(500)).as_secs();
        let seconds = |at: Option<crate::event::Nanos>| at.map(whole);
        assert_eq!(seconds(predicted.fires).zip(seconds(predicted.clears)), says);
    }

    #[test]
    fn nothing_counted_predicts_nothing() {
        let nothing = Expr::from(1.0);
        let tier = Tier {
            long: Duration::from_secs(3600),
            short: Duration::from_secs(300),
            threshold: 0.0144,
            holds: Duration::ZERO,
            counts: [&nothing, &nothing],
        };
        let none = Traffic { bad: 0.0, all: 0.0 };
        assert_eq!(tier.predict(none, none, Duration::from_secs(60)), None);
    }
}
