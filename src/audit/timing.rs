//! Durations that are too short for what Prometheus does in them.

use promql_parser::parser::Expr;

use super::Surroundings;
use crate::finding::{Code, Finding, Findings};
use crate::promql::{PromDuration, parts};
use crate::rule::{Group, Kind, Rule};
use crate::source::Sources;

/// A range holds two samples, and `for` an evaluation.
pub(super) fn check(
    group: &Group,
    rule: &Rule,
    prometheus: Option<&Surroundings>,
    sources: &Sources,
    findings: &mut Findings,
) {
    let scraped = prometheus.map(|one| one.scrape_interval);
    for (way, expr) in parts(&rule.query.expr) {
        let Expr::MatrixSelector(matrix) = expr else { continue };
        let Some(every) = scraped.filter(|every| matrix.range < 2 * *every) else { continue };
        let (range, every) = (PromDuration(matrix.range), PromDuration(every));
        let title = format!("a range of {range} holds fewer than two samples at one every {every}");
        let finding = Finding::new(Code::AuditRange, rule.query.place_of(&way, sources), title);
        findings.add(finding.help(format!("make it {} or more", PromDuration(4 * every.0))));
    }
    let evaluated = group.interval.map(|at| at.value).or(prometheus.map(|one| one.evaluation_interval));
    let holds = match &rule.kind {
        Kind::Alert(alert) => alert.holds,
        Kind::Record => None,
    };
    if let (Some(holds), Some(every)) = (holds, evaluated)
        && !holds.value.is_zero()
        && holds.value < every
    {
        let title = format!("`for` is shorter than the {} between two evaluations", PromDuration(every));
        let finding = Finding::new(Code::AuditFor, holds.place, title);
        findings.add(finding.label(format!("waits {} all the same", PromDuration(every))));
    }
}
