//! Operators whose sides can have no series in common.

use promql_parser::parser::value::ValueType;
use promql_parser::parser::{BinaryExpr, Expr, LabelModifier};

use crate::finding::{Code, Finding, Findings};
use crate::promql::{Carried, down, metric, parts, selectors};
use crate::rule::{Recorded, Rule};
use crate::source::Sources;

/// Checks every operator between series.
pub(super) fn check(rule: &Rule, recorded: &Recorded<'_>, sources: &Sources, findings: &mut Findings) {
    let query = &rule.query;
    for (way, expr) in parts(&query.expr) {
        let Expr::Binary(binary) = expr else { continue };
        let vectors = [&binary.lhs, &binary.rhs].iter().all(|side| side.value_type() == ValueType::Vector);
        // What `or` adds and `unless` takes away need not go together.
        let needs_pairs = !binary.op.is_set_operator() || binary.op.to_string() == "and";
        if !vectors || !needs_pairs {
            continue;
        }
        let Some((title, help)) = mismatch(binary, recorded).or_else(|| strangers(binary)) else { continue };
        let finding = Finding::new(Code::AuditJoin, query.place_of(&down(&way, 0), sources), title);
        findings.add(finding.also(query.place_of(&down(&way, 1), sources), "the other side").help(help));
    }
}

/// What keeps the sides apart by the labels that they can have.
fn mismatch(binary: &BinaryExpr, recorded: &Recorded<'_>) -> Option<(String, String)> {
    let (left, right) = (recorded.carried(&binary.lhs), recorded.carried(&binary.rhs));
    let matching = binary.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref());
    if let Some(LabelModifier::Include(on)) = matching {
        let lacking = on.labels.iter().find(|label| left.may_have(label) != right.may_have(label))?;
        let side = if left.may_have(lacking) { "right" } else { "left" };
        let title = format!("`on ({lacking})`, and the {side} side has no label `{lacking}`");
        return Some((title, format!("keep `{lacking}` on both sides, or match on other labels")));
    }
    let (Carried::Only(left), Carried::Only(right)) = (left, right) else { return None };
    let ignored = |label: &&String| matches!(matching, Some(LabelModifier::Exclude(ignored)) if ignored.labels.contains(*label));
    let differ: Vec<_> = left.symmetric_difference(&right).filter(|label| !ignored(label)).cloned().collect();
    if differ.is_empty() {
        return None;
    }
    let all = differ.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
    let title = format!("only one side has {all}, so no series of the one matches one of the other");
    Some((title, format!("group both sides by the same labels, or add `ignoring ({})`", differ.join(", "))))
}

/// Metrics of two exporters, which have `instance` and `job` of their own.
fn strangers(binary: &BinaryExpr) -> Option<(String, String)> {
    if binary.modifier.as_ref().is_some_and(|modifier| modifier.matching.is_some()) {
        return None;
    }
    let (left, right) = (bare(&binary.lhs)?, bare(&binary.rhs)?);
    let family = |name: &str| name.split('_').next().unwrap_or_default().to_owned();
    if family(left) == family(right) || left.contains(':') || right.contains(':') {
        return None;
    }
    let title = format!(
        "`{left}` and `{right}` seem to come from two exporters, and are matched by all their labels"
    );
    Some((
        title,
        "say by which labels they go together: `on (instance)`, or another that both have".to_owned(),
    ))
}

/// The metric of one selector, or of a range of it, that no aggregation took labels from.
fn bare(expr: &Expr) -> Option<&str> {
    let mut selected = selectors(expr).into_iter();
    let (Some((way, selector)), None) = (selected.next(), selected.next()) else { return None };
    let aggregated =
        (0..=way.len()).any(|length| matches!(crate::promql::part(expr, &way[..length]), Expr::Aggregate(_)));
    metric(selector).filter(|_| !aggregated)
}
