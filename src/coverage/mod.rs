//! Faults against alerts: which alerts are proven and by what, which never were, and which faults no alert sees.

mod recorded;
mod seen;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

pub use self::recorded::RecordRow;
pub use self::seen::{Seen, SeenStep, read_runs};
use crate::event::{Drilled, Nanos, Proof};
use crate::ladder::Rung;
use crate::plan::{Planned, PlannedStack};
use crate::rule::{Group, Rule, RuleFile};
use crate::scenario::fault::{Breaks, Fault};
use crate::scenario::step::{Does, Step};

/// What is known of an alert, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// No run has tried it.
    Untried,
    /// It was expected, and its ladder broke.
    Missed,
    /// A drill went through, and shows nothing of it.
    NotProven,
    /// It fired, and nobody expected it to.
    Collateral,
    /// It fired, reached whom it had to, and cleared.
    Proven,
}

/// How a fault brings about what alerts are to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Something really breaks.
    Broken,
    /// A stand-in shows another figure, as what would change it cannot be caused here.
    Set,
}

/// An alert under a fault.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Cell {
    /// Its name.
    pub alert: String,
    /// The labels by which it is told from others of its name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What is known of it.
    pub state: State,
    /// What proves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// When it fired, in rule time since the fault took effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fires: Option<Nanos>,
    /// When its receiver was told, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told: Option<Nanos>,
    /// The first rung that was not reached and should have been.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<Rung>,
}

/// A fault, and what alerts make of it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct FaultRow {
    /// The scenario's name.
    pub scenario: String,
    /// Its file.
    pub file: String,
    /// The step's name.
    pub step: String,
    /// What is broken: `kill web`.
    pub fault: String,
    /// How it brings about what alerts are to see.
    pub cause: Cause,
    /// The newest saved run that has tried it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The alerts that were expected, then those that fired beside them.
    pub alerts: Vec<Cell>,
    /// Whether it was tried, and no alert saw it.
    pub blind: bool,
}

/// An alerting rule, and what proves it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct AlertRow {
    /// The rule file.
    pub file: String,
    /// The group.
    pub group: String,
    /// The alert's name.
    pub alert: String,
    /// The labels that its rule adds.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The best that is known of it.
    pub state: State,
    /// The faults by which that is known: scenario and step.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<(String, String)>,
    /// How the first of them brings it about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// When it fired under the first of them, in rule time since the fault took effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fires: Option<Nanos>,
    /// When its receiver was told, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told: Option<Nanos>,
    /// The rung at which it broke, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<Rung>,
}

/// Faults against alerts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Coverage {
    /// Every fault of the scenarios, in their order.
    pub faults: Vec<FaultRow>,
    /// Every alerting rule of their stacks, in the order of files.
    pub alerts: Vec<AlertRow>,
    /// Every recording rule, likewise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<RecordRow>,
}

impl Coverage {
    /// What saved runs say of the faults and alerts of these scenarios.
    #[must_use]
    pub fn of(scenarios: &[Planned], seen: &Seen) -> Self {
        let mut coverage = Self::default();
        for planned in scenarios {
            for step in planned.scenario.all_steps() {
                if let Does::Fault(fault) = &step.does {
                    coverage.faults.push(fault_row(planned, step, fault, seen));
                }
            }
        }
        let mut known = BTreeSet::new();
        for planned in scenarios {
            let Some(stack) = &planned.stack else { continue };
            if known.insert(&stack.file) {
                coverage.add(stack, scenarios, seen);
            }
        }
        coverage
    }

    /// How many alerting rules are in a state.
    #[must_use]
    pub fn count(&self, state: State) -> usize {
        self.alerts.iter().filter(|row| row.state == state).count()
    }

    /// Adds the rules of a stack, with what the faults of its scenarios say of them.
    fn add(&mut self, stack: &PlannedStack, scenarios: &[Planned], seen: &Seen) {
        let of_stack: BTreeSet<_> = scenarios
            .iter()
            .filter(|planned| planned.stack.as_ref().is_some_and(|other| other.file == stack.file))
            .map(|planned| planned.scenario.name.value.as_str())
            .collect();
        let files = stack.prometheus.as_ref().map(|own| own.others.as_slice()).unwrap_or_default();
        for (rules, path) in stack.rules.iter().zip(files) {
            for (group, rule, _) in rules.alerts() {
                let mut row = alert_row(path.display().to_string(), group, rule);
                for fault in self.faults.iter().filter(|fault| of_stack.contains(fault.scenario.as_str())) {
                    for cell in fault.alerts.iter().filter(|cell| is_of(cell, rule, group, &stack.rules)) {
                        row.learn(cell, fault);
                    }
                }
                self.alerts.push(row);
            }
        }
        self.records.extend(recorded::rows(stack, &self.alerts, scenarios, seen));
    }
}

impl AlertRow {
    fn learn(&mut self, cell: &Cell, fault: &FaultRow) {
        if cell.state == State::Untried || cell.state < self.state {
            return;
        }
        if cell.state > self.state {
            self.by.clear();
        }
        self.state = cell.state;
        if self.by.is_empty() {
            self.cause = Some(fault.cause);
            (self.fires, self.told, self.broken) = (cell.fires, cell.told, cell.broken);
        }
        let by = (fault.scenario.clone(), fault.step.clone());
        if !self.by.contains(&by) {
            self.by.push(by);
        }
    }
}

fn alert_row(file: String, group: &Group, rule: &Rule) -> AlertRow {
    AlertRow {
        file,
        group: group.name.value.clone(),
        alert: rule.name.value.clone(),
        labels: labels(group, rule),
        state: State::Untried,
        by: Vec::new(),
        cause: None,
        fires: None,
        told: None,
        broken: None,
    }
}

fn labels(group: &Group, rule: &Rule) -> BTreeMap<String, String> {
    rule.all_labels(group).map(|(name, value)| (name.value.clone(), value.value.clone())).collect()
}

/// Whether an alert is one of this rule: of several rules of its name, of the one whose labels fit best.
fn is_of(cell: &Cell, rule: &Rule, group: &Group, files: &[RuleFile]) -> bool {
    let differs = |group: &Group, rule: &Rule| {
        let other = |(name, value): (&String, &String)| {
            cell.labels.get(name).is_some_and(|wanted| wanted != value && !value.contains("{{"))
        };
        labels(group, rule).iter().filter(|one| other(*one)).count()
    };
    let namesakes =
        files.iter().flat_map(RuleFile::alerts).filter(|(_, one, _)| one.name.value == cell.alert);
    let least = namesakes.map(|(group, rule, _)| differs(group, rule)).min();
    rule.name.value == cell.alert && Some(differs(group, rule)) == least
}

fn fault_row(planned: &Planned, step: &Step, fault: &Fault, seen: &Seen) -> FaultRow {
    let scenario = planned.scenario.name.value.clone();
    let found = seen.step(&scenario, &step.name);
    let drilled: &[Drilled] = found.map(|step| step.drilled.as_slice()).unwrap_or_default();
    let expected = fault.alerts.expected.iter().map(|expected| {
        let mine = |one: &&Drilled| {
            !one.stranger && one.alert == expected.name.value && one.labels == expected.labels
        };
        match drilled.iter().find(mine) {
            Some(drilled) => cell(drilled),
            None => Cell {
                alert: expected.name.value.clone(),
                labels: expected.labels.clone(),
                state: State::Untried,
                proof: None,
                fires: None,
                told: None,
                broken: None,
            },
        }
    });
    let mut alerts: Vec<_> = expected.collect();
    alerts.extend(drilled.iter().filter(|one| one.stranger).map(cell));
    let is_seen = |cell: &Cell| matches!(cell.state, State::Proven | State::Collateral | State::NotProven);
    let blind = found.is_some_and(|step| step.felt) && !alerts.iter().any(is_seen);
    FaultRow {
        scenario,
        file: planned.file.display().to_string(),
        step: step.name.clone(),
        fault: fault.to_string(),
        cause: if matches!(&fault.breaks, Breaks::StandIn(pose) if pose.kind() == "metrics") {
            Cause::Set
        } else {
            Cause::Broken
        },
        run: found.map(|step| step.run.clone()),
        alerts,
        blind,
    }
}

fn cell(drilled: &Drilled) -> Cell {
    let at = |rung| drilled.rungs.iter().find(|seen| seen.rung == rung).and_then(|seen| seen.at);
    let state = match (drilled.stranger, drilled.broken, drilled.proof) {
        (true, ..) => State::Collateral,
        (false, Some(_), _) => State::Missed,
        (false, None, Proof::None) => State::NotProven,
        (false, None, Proof::Scaled | Proof::Dilated | Proof::Both) => State::Proven,
    };
    Cell {
        alert: drilled.alert.clone(),
        labels: drilled.labels.clone(),
        state,
        proof: (state == State::Proven).then_some(drilled.proof),
        fires: at(Rung::Firing),
        told: at(Rung::Delivered),
        broken: drilled.broken,
    }
}

#[cfg(test)]
mod tests;
