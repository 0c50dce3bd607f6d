//! Mistakes that could stand in a rule: each is the rule with one thing changed. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use promql_parser::label::{MatchOp, Matchers};
use promql_parser::parser::token::{T_EQLC, T_GTE, T_GTR, T_LSS, T_LTE, T_NEQ, TokenId, TokenType};
use promql_parser::parser::{Expr, LabelModifier, VectorSelector};
use schemars::JsonSchema;
use serde::Serialize;

use crate::promql::{PromDuration, Way, metric, parts};
use crate::rule::{Alert, Rule};
use crate::source::Place;

/// What is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The number that is compared with.
    Threshold,
    /// The comparison.
    Comparison,
    /// A condition on a label.
    Matcher,
    /// A label that series are joined or summed by.
    Join,
    /// How long the condition must hold.
    For,
    /// How far back is looked.
    Range,
    /// The name of a metric.
    Metric,
}

/// A rule with one thing changed.
#[derive(Debug, Clone)]
pub struct Mutant {
    /// What is changed.
    pub kind: Kind,
    /// From what to what: `> 100 to > 1000`.
    pub change: String,
    /// Where that stands.
    pub place: Place,
    /// The way to the part of the expression that is changed; `None` where it is none.
    pub way: Option<Way>,
    /// The expression, changed.
    pub expr: Expr,
    /// The `for`, changed.
    pub holds: Duration,
}

/// Every mistake of the kinds we know in an alerting rule.
#[must_use]
pub fn mutants(rule: &Rule, alert: &Alert) -> Vec<Mutant> {
    let holds = alert.holds.map(|at| at.value).unwrap_or_default();
    let mut found = in_expression(rule, holds);
    if let Some(written) = alert.holds.filter(|at| !at.value.is_zero()) {
        let said = |time: Duration| PromDuration(time).to_string();
        for other in [holds / 2, holds * 2, Duration::ZERO] {
            let change = format!("for: {} to for: {}", said(holds), said(other));
            let (place, expr) = (written.place, rule.query.expr.clone());
            found.push(Mutant { kind: Kind::For, change, place, way: None, expr, holds: other });
        }
    }
    found
}

/// Every mistake in the expression of a rule, whose alert has to hold for so long, where it has one.
pub(super) fn in_expression(rule: &Rule, holds: Duration) -> Vec<Mutant> {
    let mut found = Vec::new();
    for (way, part) in parts(&rule.query.expr) {
        for (kind, change, part) in changed(part) {
            let mut expr = rule.query.expr.clone();
            if put(&mut expr, &way, part) {
                let (place, way) = (rule.query.place, Some(way.clone()));
                found.push(Mutant { kind, change, place, way, expr, holds });
            }
        }
    }
    found
}

/// An expression that selects other metrics in place of these.
pub(super) fn renamed(expr: &Expr, names: &BTreeMap<String, String>) -> Expr {
    let mut renamed = expr.clone();
    for (way, part) in parts(expr) {
        let other = match part {
            Expr::VectorSelector(selector) => another(selector, names).map(Expr::VectorSelector),
            Expr::MatrixSelector(matrix) => another(&matrix.vs, names).map(|vs| {
                let mut matrix = matrix.clone();
                matrix.vs = vs;
                Expr::MatrixSelector(matrix)
            }),
            Expr::Paren(_)
            | Expr::Unary(_)
            | Expr::Binary(_)
            | Expr::Aggregate(_)
            | Expr::Subquery(_)
            | Expr::Call(_)
            | Expr::NumberLiteral(_)
            | Expr::StringLiteral(_)
            | Expr::Extension(_) => None,
        };
        if let Some(other) = other {
            put(&mut renamed, &way, other);
        }
    }
    renamed
}

fn another(selector: &VectorSelector, names: &BTreeMap<String, String>) -> Option<VectorSelector> {
    let to = names.get(metric(selector)?)?;
    let mut other = selector.clone();
    other.name = Some(to.clone());
    other.matchers.matchers.retain(|one| one.name != "__name__");
    Some(other)
}

/// A part with one thing changed, each way there is.
fn changed(part: &Expr) -> Vec<(Kind, String, Expr)> {
    match part {
        Expr::Binary(_) => [thresholds(part), comparisons(part), joins(part)].concat(),
        Expr::Aggregate(_) => groupings(part),
        Expr::VectorSelector(selector) => {
            let selectors = selectors(selector).into_iter();
            selectors.map(|(kind, change, one)| (kind, change, Expr::VectorSelector(one))).collect()
        }
        Expr::MatrixSelector(matrix) => {
            let with = |one: VectorSelector| {
                let mut matrix = matrix.clone();
                matrix.vs = one;
                Expr::MatrixSelector(matrix)
            };
            let selectors = selectors(&matrix.vs).into_iter();
            let mut all: Vec<_> = selectors.map(|(kind, change, one)| (kind, change, with(one))).collect();
            for range in [matrix.range * 4, matrix.range / 4] {
                let change = format!("[{}] to [{}]", PromDuration(matrix.range), PromDuration(range));
                let mut other = matrix.clone();
                other.range = range;
                if range >= Duration::from_millis(1) {
                    all.push((Kind::Range, change, Expr::MatrixSelector(other)));
                }
            }
            all
        }
        Expr::Paren(_)
        | Expr::Unary(_)
        | Expr::Subquery(_)
        | Expr::Call(_)
        | Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::Extension(_) => Vec::new(),
    }
}

/// A comparison with another number: ten times as much, a tenth; of nothing, one.
fn thresholds(part: &Expr) -> Vec<(Kind, String, Expr)> {
    let Expr::Binary(binary) = part else { return Vec::new() };
    if !binary.op.is_comparison_operator() {
        return Vec::new();
    }
    let mut all = Vec::new();
    for right in [false, true] {
        let side = if right { &binary.rhs } else { &binary.lhs };
        let Expr::NumberLiteral(number) = &**side else { continue };
        let zero = number.val == 0.0;
        for value in if zero { vec![1.0] } else { vec![number.val * 10.0, number.val / 10.0] } {
            let mut other = binary.clone();
            let to = Expr::NumberLiteral(promql_parser::parser::NumberLiteral { val: value });
            let side = if right { &mut other.rhs } else { &mut other.lhs };
            **side = to;
            let change = format!("{} to {value}", number.val);
            all.push((Kind::Threshold, change, Expr::Binary(other)));
        }
    }
    all
}

/// The other comparisons that a comparison could have been.
fn comparisons(part: &Expr) -> Vec<(Kind, String, Expr)> {
    let Expr::Binary(binary) = part else { return Vec::new() };
    let others: &[TokenId] = match binary.op.id() {
        T_GTR => &[T_GTE, T_LSS],
        T_GTE => &[T_GTR, T_LTE],
        T_LSS => &[T_LTE, T_GTR],
        T_LTE => &[T_LSS, T_GTE],
        T_EQLC => &[T_NEQ],
        T_NEQ => &[T_EQLC],
        _ => &[],
    };
    let with = |op: &TokenId| {
        let mut other = binary.clone();
        other.op = TokenType::new(*op);
        let change = format!("{} to {}", binary.op, other.op);
        (Kind::Comparison, change, Expr::Binary(other))
    };
    others.iter().map(with).collect()
}

/// A join by one label fewer.
fn joins(part: &Expr) -> Vec<(Kind, String, Expr)> {
    let Expr::Binary(binary) = part else { return Vec::new() };
    let Some(modifier) = &binary.modifier else { return Vec::new() };
    let with = |(change, matching): (String, LabelModifier)| {
        let mut other = binary.clone();
        if let Some(modifier) = &mut other.modifier {
            modifier.matching = Some(matching);
        }
        (Kind::Join, change, Expr::Binary(other))
    };
    fewer(modifier.matching.as_ref(), ["on", "ignoring"]).into_iter().map(with).collect()
}

/// A sum by one label fewer.
fn groupings(part: &Expr) -> Vec<(Kind, String, Expr)> {
    let Expr::Aggregate(aggregate) = part else { return Vec::new() };
    let with = |(change, modifier): (String, LabelModifier)| {
        let mut other = aggregate.clone();
        other.modifier = Some(modifier);
        (Kind::Join, change, Expr::Aggregate(other))
    };
    fewer(aggregate.modifier.as_ref(), ["by", "without"]).into_iter().map(with).collect()
}

fn fewer(modifier: Option<&LabelModifier>, words: [&str; 2]) -> Vec<(String, LabelModifier)> {
    let (word, labels) = match modifier {
        None => return Vec::new(),
        Some(LabelModifier::Include(labels)) => (words[0], labels),
        Some(LabelModifier::Exclude(labels)) => (words[1], labels),
    };
    let without = |number: usize| {
        let mut fewer = labels.clone();
        let gone = fewer.labels.remove(number);
        let all = labels.labels.join(", ");
        let change = format!("{word} ({all}) to {word} ({}), without {gone}", fewer.labels.join(", "));
        let modifier = match modifier {
            Some(LabelModifier::Exclude(_)) => LabelModifier::Exclude(fewer),
            Some(LabelModifier::Include(_)) | None => LabelModifier::Include(fewer),
        };
        (change, modifier)
    };
    (0..labels.labels.len()).map(without).collect()
}

/// A selector with another metric, or with one matcher gone or wrong.
fn selectors(selector: &VectorSelector) -> Vec<(Kind, String, VectorSelector)> {
    let mut all = Vec::new();
    if let Some(name) = &selector.name {
        let mut other = selector.clone();
        let typed = format!("{name}_typo");
        all.push((Kind::Metric, format!("{name} to {typed}"), {
            other.name = Some(typed);
            other
        }));
    }
    for (number, matcher) in selector.matchers.matchers.iter().enumerate() {
        let mut without = selector.clone();
        without.matchers.matchers.remove(number);
        if without.name.is_some() || selects_something(&without.matchers) {
            all.push((Kind::Matcher, format!("{matcher} left out"), without));
        }
        if matcher.op == MatchOp::Equal {
            let mut other = selector.clone();
            let typed = &mut other.matchers.matchers[number];
            typed.value.push_str("_typo");
            let change = format!("{matcher} to {typed}");
            all.push((Kind::Matcher, change, other));
        }
    }
    all
}

/// Whether Prometheus takes it without a name: one matcher must not match what is empty.
fn selects_something(matchers: &Matchers) -> bool {
    matchers.matchers.iter().any(|one| one.op == MatchOp::Equal && !one.value.is_empty())
}

/// Puts another part where a way leads to; whether it leads anywhere.
fn put(expr: &mut Expr, way: &[usize], part: Expr) -> bool {
    let Some((first, rest)) = way.split_first() else {
        *expr = part;
        return true;
    };
    let child = match (expr, *first) {
        (Expr::Paren(inner), 0) => &mut *inner.expr,
        (Expr::Unary(inner), 0) => &mut *inner.expr,
        (Expr::Subquery(inner), 0) => &mut *inner.expr,
        (Expr::Aggregate(inner), 0) => &mut *inner.expr,
        (Expr::Aggregate(inner), _) => match &mut inner.param {
            Some(param) => &mut **param,
            None => return false,
        },
        (Expr::Call(call), number) => match call.args.args.get_mut(number) {
            Some(argument) => &mut **argument,
            None => return false,
        },
        (Expr::Binary(binary), 0) => &mut *binary.lhs,
        (Expr::Binary(binary), _) => &mut *binary.rhs,
        (
            Expr::Paren(_)
            | Expr::Unary(_)
            | Expr::Subquery(_)
            | Expr::NumberLiteral(_)
            | Expr::StringLiteral(_)
            | Expr::VectorSelector(_)
            | Expr::MatrixSelector(_)
            | Expr::Extension(_),
            _,
        ) => return false,
    };
    put(child, rest, part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Findings;
    use crate::rule::check;
    use crate::source::Sources;

    /// Every mistake of a rule: what is changed, and the expression then.
    fn all(expr: &str, holds: &str) -> Vec<String> {
        let text = format!("groups: [{{ name: g, rules: [{{ alert: A, expr: '{expr}', for: {holds} }}] }}]");
        let mut sources = Sources::default();
        let id = sources.add("rules.yml", text.as_str());
        let mut findings = Findings::default();
        let file = check(&crate::yaml::parse(id, &text).unwrap(), &sources, &mut findings);
        let (_, rule, alert) = file.alerts().next().unwrap();
        let found = mutants(rule, alert);
        found.iter().map(|one| format!("{:?} {}: {}", one.kind, one.change, one.expr)).collect()
    }

    #[test]
    fn a_comparison_can_be_wrong_in_five_ways_and_its_time_in_three() {
        insta::assert_snapshot!(all("x > 100", "10m").join("\n"), @r"
        Threshold 100 to 1000: x > 1000
        Threshold 100 to 10: x > 10
        Comparison > to >=: x >= 100
        Comparison > to <: x < 100
        Metric x to x_typo: x_typo > 100
        For for: 10m to for: 5m: x > 100
        For for: 10m to for: 20m: x > 100
        For for: 10m to for: 0s: x > 100
        ");
    }

    #[test]
    fn what_others_record_goes_by_another_name() {
        let names = [("a:rate5m".to_owned(), "a:rate5m:7".to_owned())].into();
        let read = |text: &str| promql_parser::parser::parse(text).unwrap();
        let of = r#"max_over_time(a:rate5m{job="x"}[5m]) / {__name__="a:rate5m"} > b"#;
        let said = r#"max_over_time(a:rate5m:7{job="x"}[5m]) / a:rate5m:7 > b"#;
        assert_eq!(renamed(&read(of), &names).to_string(), said);
    }

    #[test]
    fn labels_and_ranges_can_be_wrong() {
        insta::assert_snapshot!(
            all(r#"sum by (job) (rate(a{s="5"}[5m])) / on (job, zone) b == 0"#, "0s").join("\n"),
            @r#"
        Threshold 0 to 1: sum by (job) (rate(a{s="5"}[5m])) / on (job, zone) b == 1
        Comparison == to !=: sum by (job) (rate(a{s="5"}[5m])) / on (job, zone) b != 0
        Join on (job, zone) to on (zone), without job: sum by (job) (rate(a{s="5"}[5m])) / on (zone) b == 0
        Join on (job, zone) to on (job), without zone: sum by (job) (rate(a{s="5"}[5m])) / on (job) b == 0
        Join by (job) to by (), without job: sum(rate(a{s="5"}[5m])) / on (job, zone) b == 0
        Metric b to b_typo: sum by (job) (rate(a{s="5"}[5m])) / on (job, zone) b_typo == 0
        Metric a to a_typo: sum by (job) (rate(a_typo{s="5"}[5m])) / on (job, zone) b == 0
        Matcher s="5" left out: sum by (job) (rate(a[5m])) / on (job, zone) b == 0
        Matcher s="5" to s="5_typo": sum by (job) (rate(a{s="5_typo"}[5m])) / on (job, zone) b == 0
        Range [5m] to [20m]: sum by (job) (rate(a{s="5"}[20m])) / on (job, zone) b == 0
        Range [5m] to [1m15s]: sum by (job) (rate(a{s="5"}[1m15s])) / on (job, zone) b == 0
        "#
        );
    }
}
