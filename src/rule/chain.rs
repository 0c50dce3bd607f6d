//! What is known of metrics that rules record: from the rule that records them, and those that it asks in turn.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Group, Kind, Rule, RuleFile};
use crate::promql::{Carried, Reach, carried, reach};

/// Rules that record from what other rules record, this deep.
const DEEPEST: usize = 32;

/// The metrics that rules record, by name.
#[derive(Debug, Default)]
pub struct Recorded<'r> {
    by_name: BTreeMap<&'r str, Vec<(&'r Group, &'r Rule)>>,
    every: Duration,
}

impl<'r> Recorded<'r> {
    /// Those that the rules of these files record; groups that say nothing are evaluated `every` so often.
    #[must_use]
    pub fn of(files: impl IntoIterator<Item = &'r RuleFile>, every: Duration) -> Self {
        let mut by_name: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for (group, rule) in files.into_iter().flat_map(RuleFile::rules) {
            if matches!(rule.kind, Kind::Record) {
                by_name.entry(&rule.name.value).or_default().push((group, rule));
            }
        }
        Self { by_name, every }
    }

    /// Whether a rule records this metric.
    #[must_use]
    pub fn has(&self, metric: &str) -> bool {
        self.by_name.contains_key(metric)
    }

    /// How far back an expression looks, through all that is recorded. What is recorded is as old as its group's
    /// interval, at most.
    #[must_use]
    pub fn reach(&self, rule: &Rule) -> Reach {
        self.reach_of(&rule.query.expr, 0)
    }

    fn reach_of(&self, expr: &promql_parser::parser::Expr, depth: usize) -> Reach {
        reach(expr, &|metric| {
            let rules = self.by_name.get(metric).filter(|_| depth < DEEPEST)?;
            let reached = rules.iter().map(|(group, rule)| {
                let inner = self.reach_of(&rule.query.expr, depth + 1);
                let late = group.query_offset;
                let age = late.saturating_add(self.interval(group));
                Reach { newest: inner.newest.saturating_add(late), oldest: inner.oldest.saturating_add(age) }
            });
            reached.reduce(|one, other| Reach {
                newest: one.newest.min(other.newest),
                oldest: one.oldest.max(other.oldest),
            })
        })
    }

    /// The labels that the series have which an expression gives, before the rule adds its own.
    #[must_use]
    pub fn carried(&self, expr: &promql_parser::parser::Expr) -> Carried {
        self.carried_by(expr, 0)
    }

    fn carried_by(&self, expr: &promql_parser::parser::Expr, depth: usize) -> Carried {
        carried(expr, &|metric| {
            let rules = self.by_name.get(metric).filter(|_| depth < DEEPEST)?;
            let labels = rules.iter().map(|(group, rule)| {
                let added = rule.all_labels(group).map(|(name, _)| name.value.as_str());
                self.carried_by(&rule.query.expr, depth + 1).with(added)
            });
            labels.reduce(Carried::or)
        })
    }

    /// How often a group is evaluated.
    #[must_use]
    pub fn interval(&self, group: &Group) -> Duration {
        group.interval.map_or(self.every, |interval| interval.value)
    }
}
