//! Recording rules: each is proven by an alert that reads it, or by a step that asked for it and got what it wanted.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{AlertRow, Seen, State};
use crate::plan::{Planned, PlannedStack};
use crate::promql::{metric, selectors};
use crate::rule::{Kind, Rule, RuleFile};
use crate::scenario::monitoring::Monitoring;
use crate::scenario::probe::Probe;
use crate::scenario::step::{Does, Step};

/// A recording rule, and what proves it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct RecordRow {
    /// The rule file.
    pub file: String,
    /// The metric that it records.
    pub record: String,
    /// The alerts that read it, and whether each is proven.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub alerts: BTreeMap<String, bool>,
    /// The steps that passed and asked for it, or for all that is on a dashboard which does: scenario and step.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<(String, String)>,
}

impl RecordRow {
    /// Whether a proven alert or a step that passed has read it.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        !self.steps.is_empty() || self.alerts.values().any(|proven| *proven)
    }
}

/// The recording rules of a stack.
pub(super) fn rows(
    stack: &PlannedStack,
    alerts: &[AlertRow],
    scenarios: &[Planned],
    seen: &Seen,
) -> Vec<RecordRow> {
    let files = stack.prometheus.as_ref().map(|own| own.others.as_slice()).unwrap_or_default();
    let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    let is_proven = |rule: &Rule| {
        let mine = |row: &&AlertRow| row.alert == rule.name.value && names.contains(&row.file);
        alerts.iter().filter(mine).any(|row| row.state == State::Proven)
    };
    let mut rows = Vec::new();
    for (rules, file) in stack.rules.iter().zip(&names) {
        for (_, rule) in rules.rules().filter(|(_, rule)| matches!(rule.kind, Kind::Record)) {
            let record = &rule.name.value;
            let readers = stack.rules.iter().flat_map(RuleFile::alerts);
            let readers = readers.filter(|(_, reader, _)| reads(&stack.rules, reader, record, 0));
            rows.push(RecordRow {
                file: file.clone(),
                record: record.clone(),
                alerts: readers.map(|(_, rule, _)| (rule.name.value.clone(), is_proven(rule))).collect(),
                steps: steps(stack, record, scenarios, seen),
            });
        }
    }
    rows
}

/// How many recording rules stand between two at most: they may go in a circle.
const DEEPEST: usize = 16;

/// Whether a rule asks for a metric, itself or by what it reads.
fn reads(files: &[RuleFile], rule: &Rule, record: &str, depth: usize) -> bool {
    let named = selectors(&rule.query.expr).into_iter().filter_map(|(_, selector)| metric(selector));
    named.into_iter().any(|name| {
        let between = files.iter().flat_map(RuleFile::rules).filter(|(_, other)| {
            matches!(other.kind, Kind::Record) && other.name.value == name && depth < DEEPEST
        });
        name == record || between.into_iter().any(|(_, other)| reads(files, other, record, depth + 1))
    })
}

fn steps(stack: &PlannedStack, record: &str, scenarios: &[Planned], seen: &Seen) -> Vec<(String, String)> {
    let mut steps = Vec::new();
    let of_stack = |planned: &&Planned| planned.stack.as_ref().is_some_and(|other| other.file == stack.file);
    for planned in scenarios.iter().filter(of_stack) {
        let scenario = &planned.scenario.name.value;
        for step in planned.scenario.all_steps().filter(|step| asks(step, record)) {
            if seen.step(scenario, &step.name).is_some_and(|step| step.passed) {
                steps.push((scenario.clone(), step.name.clone()));
            }
        }
    }
    steps
}

fn asks(step: &Step, record: &str) -> bool {
    match &step.does {
        Does::Probe(probe) => {
            matches!(&**probe, Probe::Promql(promql) if names(&promql.query.value.to_string(), record))
        }
        Does::Monitoring(asked) => match &**asked {
            Monitoring::Dashboard(board) => {
                board.tree.as_ref().is_some_and(|tree| names(&crate::yaml::print(tree), record))
            }
            Monitoring::Route(_) => false,
        },
        Does::Load(_) | Does::Wait(_) | Does::Fault(_) | Does::Quiet(_) | Does::Use(_) | Does::Set(_) => {
            false
        }
    }
}

/// Whether a metric stands in a text, and not as a part of a longer name.
fn names(text: &str, metric: &str) -> bool {
    let of_name = |sign: char| sign.is_ascii_alphanumeric() || sign == '_' || sign == ':';
    text.match_indices(metric).any(|(at, _)| {
        let (before, after) = (text[..at].chars().next_back(), text[at + metric.len()..].chars().next());
        !before.is_some_and(of_name) && !after.is_some_and(of_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_named_whole() {
        let text = "sum(phase5:cpu:ratio) / other:phase5:memory";
        assert_eq!(
            ["phase5:cpu:ratio", "phase5:cpu", "phase5:memory", "cpu:ratio"].map(|name| names(text, name)),
            [true, false, false, false]
        );
    }
}
