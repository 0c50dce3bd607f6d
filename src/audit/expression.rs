//! Metrics asked for what they are not: counters as gauges, gauges as counters, rates as ratios, quantiles of
//! histograms.

use std::collections::BTreeSet;

use promql_parser::label::MatchOp;
use promql_parser::parser::token::{T_DIV, T_GTE, T_GTR, T_LSS, T_LTE, T_SUB};
use promql_parser::parser::{BinaryExpr, Expr};

use super::bounds;
use super::kinds::{Kinds, Known};
use crate::finding::{Code, Finding, Findings};
use crate::promql::{Query, Way, Why, down, falsified, metric, part, parts, selectors};
use crate::rule::{Kind, Recorded, Rule, RuleFile};
use crate::source::Sources;

/// Functions that make of a counter what may be compared.
const OF_COUNTERS: [&str; 12] = [
    "rate",
    "irate",
    "increase",
    "resets",
    "changes",
    "absent",
    "absent_over_time",
    "present_over_time",
    "count_over_time",
    "timestamp",
    "delta",
    "idelta",
];

/// Aggregations that look at whether series are there, and not at their values.
const OF_PRESENCE: [&str; 3] = ["count", "group", "count_values"];

/// Checks each selector of a rule by how it is asked.
pub(super) fn check(
    rule: &Rule,
    recorded: &Recorded<'_>,
    kinds: &Kinds,
    sources: &Sources,
    findings: &mut Findings,
) {
    let query = &rule.query;
    for (way, selector) in selectors(&query.expr) {
        let Some(name) = metric(selector).filter(|name| !recorded.has(name) && !name.contains(':')) else {
            continue;
        };
        let place = query.place_of_name(&way, sources);
        if kinds.is_counter(name).is_some() && is_compared(&query.expr, &way) {
            let title = format!("`{name}` is a counter, and its total is compared");
            let finding =
                Finding::new(Code::AuditCounter, place, title).label("only ever goes up, until a restart");
            findings
                .add(finding.help(format!(
                    "compare `rate({name}[5m])`, or `increase(…)` over the time that matters"
                )));
        }
        if let (Some(function), Some(known)) = (rate_of(&query.expr, &way), kinds.is_gauge(name)) {
            let by = match known {
                Known::Said => "which is a gauge, as its target says",
                Known::Named => "which by its name is a gauge",
            };
            let title = format!("`{function}` of `{name}`, {by}");
            let finding = Finding::new(Code::AuditGauge, place, title).label("goes down without a restart");
            findings.add(finding.help("`delta` and `deriv` are for gauges"));
        }
    }
    if matches!(rule.kind, Kind::Alert(_)) {
        findings.extend(rates_as_ratios(query, sources));
        let shares = ratios_above_one(query, sources);
        if shares.is_empty() {
            findings.extend(bounds::check(query, kinds, sources));
        }
        findings.extend(shares);
    }
}

/// Whether the value of the selector at `way` itself is compared with something.
fn is_compared(expr: &Expr, way: &[usize]) -> bool {
    for length in (0..way.len()).rev() {
        let child = way[length];
        match part(expr, &way[..length]) {
            Expr::Call(call) if OF_COUNTERS.contains(&call.func.name) => return false,
            Expr::Aggregate(aggregate) if OF_PRESENCE.contains(&aggregate.op.to_string().as_str()) => {
                return false;
            }
            Expr::Binary(binary) if binary.op.is_comparison_operator() => return true,
            // What is taken away, or has to be there; the growth since then, by hand.
            Expr::Binary(binary) if binary.op.is_set_operator() && child == 1 => return false,
            Expr::Binary(binary) if binary.op.id() == T_SUB => return false,
            Expr::Call(_)
            | Expr::Aggregate(_)
            | Expr::Binary(_)
            | Expr::Paren(_)
            | Expr::Unary(_)
            | Expr::Subquery(_)
            | Expr::NumberLiteral(_)
            | Expr::StringLiteral(_)
            | Expr::VectorSelector(_)
            | Expr::MatrixSelector(_)
            | Expr::Extension(_) => {}
        }
    }
    false
}

/// The function of counters that the range at `way` is given to.
fn rate_of<'e>(expr: &'e Expr, way: &[usize]) -> Option<&'e str> {
    let (_, around) = way.split_last()?;
    let Expr::Call(call) = part(expr, around) else { return None };
    let is_range = matches!(part(expr, way), Expr::MatrixSelector(_));
    (is_range && ["rate", "irate", "increase"].contains(&call.func.name)).then_some(call.func.name)
}

/// Rates that are compared with a number below one, as if they were shares.
fn rates_as_ratios(query: &Query, sources: &Sources) -> Vec<Finding> {
    let mut found = Vec::new();
    for one in falsified(&query.expr).iter().filter(|one| one.why == Why::PerSecond) {
        let compared = (0..one.way.len()).rev().find_map(|length| {
            let way = &one.way[..length];
            Some((binary(part(&query.expr, way)).filter(|one| one.op.is_comparison_operator())?, way))
        });
        let Some((binary, way)) = compared else { continue };
        let Some((number, side)) = threshold(binary).filter(|(number, _)| *number > 0.0 && *number < 1.0)
        else {
            continue;
        };
        let title = format!("a rate per second is compared with {number}, as if it were a share");
        let finding = Finding::new(Code::AuditNotARatio, query.place_of(&one.way, sources), title);
        found.push(
            finding
                .label("events per second, of however many")
                .also(query.place_of(&down(way, side), sources), "so many per second")
                .help(
                    "for a share, divide by the rate of all events; if a rate is meant, say why in a comment",
                ),
        );
    }
    found
}

/// The number that something is compared with from above or below, and which side it stands on.
fn threshold(binary: &BinaryExpr) -> Option<(f64, usize)> {
    let upper = [T_GTR, T_GTE];
    let lower = [T_LSS, T_LTE];
    match (&*binary.lhs, &*binary.rhs) {
        (_, Expr::NumberLiteral(number)) if upper.contains(&binary.op.id()) => Some((number.val, 1)),
        (Expr::NumberLiteral(number), _) if lower.contains(&binary.op.id()) => Some((number.val, 0)),
        _neither => None,
    }
}

/// Shares of one metric in itself that would have to be greater than the whole.
fn ratios_above_one(query: &Query, sources: &Sources) -> Vec<Finding> {
    let comparisons = parts(&query.expr).into_iter().filter_map(|(way, expr)| Some((way, binary(expr)?)));
    let mut found = Vec::new();
    for (way, binary) in comparisons {
        let Some((number, side)) = threshold(binary).filter(|(number, _)| *number >= 1.0) else { continue };
        let compared = down(&way, 1 - side);
        let Some(inner) = share(&query.expr, &compared) else { continue };
        let title = format!("a share is at most 1, and is compared with {number}");
        let finding = Finding::new(Code::AuditThreshold, query.place_of(&down(&way, side), sources), title);
        let finding =
            finding.label("never reached").also(query.place_of(&inner, sources), "a part of the whole");
        let percent = if number > 1.0 {
            format!("write {}, or multiply the share by 100", number / 100.0)
        } else {
            String::new()
        };
        found.push(if percent.is_empty() { finding } else { finding.help(percent) });
    }
    found
}

/// Whether an expression is a share of a metric in itself.
pub(super) fn is_share(expr: &Expr) -> bool {
    share(expr, &[]).is_some()
}

/// The way to a division, in or behind parentheses, of some series of a metric by all series of it.
fn share(expr: &Expr, way: &[usize]) -> Option<Way> {
    let expression = part(expr, way);
    if matches!(expression, Expr::Paren(_)) {
        return share(expr, &down(way, 0));
    }
    let division = binary(expression).filter(|binary| binary.op.id() == T_DIV)?;
    let (left, right) = (selectors(&division.lhs), selectors(&division.rhs));
    let ([(_, some)], [(_, all)]) = (left.as_slice(), right.as_slice()) else { return None };
    let within = all.matchers.matchers.iter().all(|matcher| some.matchers.matchers.contains(matcher));
    let narrower = some.matchers.matchers.len() > all.matchers.matchers.len();
    (metric(some).is_some() && metric(some) == metric(all) && within && narrower).then(|| way.to_vec())
}

fn binary(expr: &Expr) -> Option<&BinaryExpr> {
    if let Expr::Binary(binary) = expr { Some(binary) } else { None }
}

/// Quantiles asked of metrics whose buckets are asked for elsewhere, and which so are histograms.
pub(super) fn check_quantiles(files: &[RuleFile], sources: &Sources, findings: &mut Findings) {
    let queries: Vec<_> = files.iter().flat_map(RuleFile::rules).map(|(_, rule)| &rule.query).collect();
    let buckets: BTreeSet<&str> = queries
        .iter()
        .flat_map(|query| selectors(&query.expr))
        .filter_map(|(_, selector)| metric(selector)?.strip_suffix("_bucket"))
        .collect();
    for query in queries {
        for (way, selector) in selectors(&query.expr) {
            let Some(name) = metric(selector).filter(|name| buckets.contains(name)) else { continue };
            let asks =
                |one: &&promql_parser::label::Matcher| one.name == "quantile" && one.op == MatchOp::Equal;
            let Some(matcher) = selector.matchers.matchers.iter().find(asks) else { continue };
            let title = format!("`{name}` is a histogram, whose series have no label `quantile`");
            let finding = Finding::new(Code::AuditQuantile, query.place_of(&way, sources), title);
            findings.add(finding.label("matches nothing").help(format!(
                "write `histogram_quantile({}, sum by (le) (rate({name}_bucket[5m])))`",
                matcher.value
            )));
        }
    }
}
