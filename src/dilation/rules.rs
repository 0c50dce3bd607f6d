//! An alerting rule with the rules that record what it looks at, and what there is to know of them for dilation.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use promql_parser::parser::{Expr, VectorSelector};

use crate::promql::{self, Why, children, falsified, metric, selectors};
use crate::rule::{Alert, Group, Rule, RuleFile};

/// Functions that look at how fast a counter grows.
const GROWTH: [&str; 3] = ["rate", "irate", "increase"];

/// Where a query looks for the last sample of a series, unless Prometheus is told otherwise.
pub(super) const LOOKBACK: Duration = Duration::from_secs(5 * 60);

/// Rules that record from what others record, this deep.
const DEEPEST: usize = 32;

/// An alerting rule, and those it needs.
#[derive(Debug, Clone)]
pub struct Rules<'r> {
    /// The rule.
    pub rule: &'r Rule,
    /// What it says of its alerts.
    pub alert: &'r Alert,
    /// How often it is evaluated.
    pub every: Duration,
    /// How far back its evaluations look.
    pub query_offset: Duration,
    /// Labels that are added.
    pub labels: BTreeMap<String, String>,
    /// Those that record what it looks at, each behind those that it looks at itself.
    pub recording: Vec<Recording<'r>>,
}

/// A rule that records.
#[derive(Debug, Clone)]
pub struct Recording<'r> {
    /// The rule.
    pub rule: &'r Rule,
    /// How often it is evaluated.
    pub every: Duration,
    /// How far back its evaluations look.
    pub query_offset: Duration,
    /// Labels that are added.
    pub labels: BTreeMap<String, String>,
    /// How long before the first evaluation of the alert it is needed.
    pub back: Duration,
}

impl<'r> Rules<'r> {
    /// What an alerting rule needs of these files; groups that say nothing are evaluated `every` so often.
    #[must_use]
    pub fn of(
        files: &'r [RuleFile],
        (group, rule, alert): (&'r Group, &'r Rule, &'r Alert),
        every: Duration,
    ) -> Self {
        let interval = |group: &Group| group.interval.map_or(every, |at| at.value);
        let mut needed: Vec<(&Group, &Rule)> = Vec::new();
        let mut names = recorded_in(&rule.query.expr);
        for _ in 0..DEEPEST {
            let records = |rule: &Rule| {
                matches!(rule.kind, crate::rule::Kind::Record) && names.contains(&rule.name.value)
            };
            let all = files.iter().flat_map(RuleFile::rules);
            needed = all.filter(|(_, rule)| records(rule)).collect();
            let more: BTreeSet<_> =
                needed.iter().flat_map(|(_, rule)| recorded_in(&rule.query.expr)).collect();
            if more.is_subset(&names) {
                break;
            }
            names.extend(more);
        }
        let mut recording: Vec<_> = needed
            .into_iter()
            .map(|(group, rule)| Recording {
                rule,
                every: interval(group),
                query_offset: group.query_offset,
                labels: labels(group, rule),
                back: LOOKBACK,
            })
            .collect();
        order(&mut recording);
        reach_back(&rule.query.expr, &mut recording);
        let (every, labels) = (interval(group), labels(group, rule));
        Self { rule, alert, every, query_offset: group.query_offset, labels, recording }
    }

    /// Every expression, that of the alert last.
    fn expressions(&self) -> impl Iterator<Item = &'r Expr> {
        let recording = self.recording.iter().map(|one| &one.rule.query.expr);
        recording.chain([&self.rule.query.expr])
    }

    /// The selectors of everything that is scraped and not recorded, without times.
    #[must_use]
    pub fn selectors(&self) -> BTreeSet<String> {
        let scraped = self.expressions().flat_map(|expr| selectors(expr).into_iter().map(|(_, one)| one));
        let scraped = scraped.filter(|one| !metric(one).is_some_and(|name| self.records(name)));
        scraped.map(plain).collect()
    }

    /// Whether one of its rules records this metric.
    fn records(&self, name: &str) -> bool {
        self.recording.iter().any(|one| one.rule.name.value == name)
    }

    /// Metrics whose growth is looked at.
    #[must_use]
    pub fn counters(&self) -> BTreeSet<String> {
        let calls = self.expressions().flat_map(|expr| promql::parts(expr).into_iter().map(|(_, one)| one));
        let growing = calls.filter(|one| matches!(one, Expr::Call(call) if GROWTH.contains(&call.func.name)));
        let selected = growing.flat_map(|one| children(one).into_iter().flat_map(selectors));
        selected.filter_map(|(_, one)| metric(one).map(str::to_owned)).collect()
    }

    /// What re-timing would falsify of them.
    #[must_use]
    pub fn falsified(&self) -> BTreeSet<Why> {
        self.expressions().flat_map(falsified).map(|one| one.why).collect()
    }

    /// Whether one of them looks at alerts themselves, which nothing records here.
    #[must_use]
    pub fn looks_at_alerts(&self) -> bool {
        let names = self.expressions().flat_map(selectors).filter_map(|(_, one)| metric(one));
        names.into_iter().any(|name| name == "ALERTS" || name == "ALERTS_FOR_STATE")
    }

    /// The shortest range of all; old samples must lie close enough for it.
    #[must_use]
    pub fn shortest_range(&self) -> Option<Duration> {
        let parts = self.expressions().flat_map(|expr| promql::parts(expr).into_iter().map(|(_, one)| one));
        let ranges = parts.filter_map(|one| match one {
            Expr::MatrixSelector(matrix) => Some(matrix.range),
            Expr::Subquery(_)
            | Expr::Paren(_)
            | Expr::Unary(_)
            | Expr::Binary(_)
            | Expr::Call(_)
            | Expr::Aggregate(_)
            | Expr::VectorSelector(_)
            | Expr::NumberLiteral(_)
            | Expr::StringLiteral(_)
            | Expr::Extension(_) => None,
        });
        ranges.min()
    }
}

/// The names of metrics that an expression selects.
fn recorded_in(expr: &Expr) -> BTreeSet<String> {
    selectors(expr).into_iter().filter_map(|(_, one)| metric(one).map(str::to_owned)).collect()
}

fn labels(group: &Group, rule: &Rule) -> BTreeMap<String, String> {
    rule.all_labels(group).map(|(name, value)| (name.value.clone(), value.value.clone())).collect()
}

/// A selector as it selects now.
#[must_use]
pub fn plain(selector: &VectorSelector) -> String {
    let mut selector = selector.clone();
    (selector.offset, selector.at) = (None, None);
    Expr::VectorSelector(selector).to_string()
}

/// Puts each rule behind those that it looks at; those that look at one another stay as they are written.
fn order(recording: &mut Vec<Recording<'_>>) {
    let mut ordered: Vec<Recording<'_>> = Vec::new();
    while !recording.is_empty() {
        let free = recording.iter().position(|one| {
            let looks = recorded_in(&one.rule.query.expr);
            let others = recording.iter().filter(|other| !std::ptr::eq(other.rule, one.rule));
            !others.into_iter().any(|other| looks.contains(&other.rule.name.value))
        });
        ordered.push(recording.remove(free.unwrap_or(0)));
    }
    *recording = ordered;
}

/// Says of each rule how long before the alert's first evaluation it is needed.
fn reach_back(alert: &Expr, recording: &mut [Recording<'_>]) {
    let mut consumers = vec![(alert, Duration::ZERO)];
    for number in (0..recording.len()).rev() {
        let one = &recording[number];
        let back = consumers
            .iter()
            .filter(|(expr, _)| recorded_in(expr).contains(&one.rule.name.value))
            .map(|(expr, back)| *back + promql::reach(expr, &|_| None).oldest + LOOKBACK);
        let back = back.max().unwrap_or(LOOKBACK);
        recording[number].back = back;
        consumers.push((&recording[number].rule.query.expr, back));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Findings;
    use crate::source::Sources;

    const FILE: &str = "
groups:
  - name: slo
    interval: 1m
    rules:
      - { record: 'ratio:1h', expr: 'avg_over_time(ratio:5m[1h])' }
      - { record: 'ratio:5m', expr: 'rate(bad_total[5m]) / rate(all_total{job=\"a\"}[5m] offset 1m)' }
      - { record: other, expr: up }
      - { alert: Burns, expr: 'ratio:1h > 0.1 and on () vector(time()) > 5', for: 2m, labels: { severity: page } }
";

    #[test]
    fn what_a_rule_needs_is_found_through_what_others_record() {
        let mut sources = Sources::default();
        let id = sources.add("rules.yml", FILE);
        let mut findings = Findings::default();
        let files = [crate::rule::check(&crate::yaml::parse(id, FILE).unwrap(), &sources, &mut findings)];
        let alert = files[0].alerts().next().unwrap();
        let rules = Rules::of(&files, alert, Duration::from_secs(15));
        let recording: Vec<_> = rules
            .recording
            .iter()
            .map(|one| (one.rule.name.value.as_str(), one.every.as_secs(), one.back.as_secs()))
            .collect();
        assert_eq!(recording, [("ratio:5m", 60, 300 + 3600 + 300), ("ratio:1h", 60, 300)]);
        let selectors: Vec<_> = rules.selectors().into_iter().collect();
        assert_eq!(selectors, ["all_total{job=\"a\"}", "bad_total"]);
        assert_eq!(rules.counters(), BTreeSet::from(["all_total".to_owned(), "bad_total".to_owned()]));
        assert_eq!(rules.falsified(), BTreeSet::from([Why::Clock]));
        assert_eq!(rules.shortest_range(), Some(Duration::from_secs(300)));
        assert_eq!(rules.labels["severity"], "page");
    }
}
