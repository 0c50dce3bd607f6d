//! Scenarios, fragments, stacks and profiles, as written and as checked.

pub mod alert;
pub mod auth;
pub mod body;
pub mod capture;
pub mod certificate;
pub mod dns;
mod does;
pub mod exchange;
pub mod exec;
pub mod expect;
pub mod fault;
pub mod gate;
pub mod grpc;
pub mod health;
pub mod http;
pub mod icmp;
pub mod kubelet;
pub mod load;
pub mod logs;
pub mod maintenance;
mod manifest;
pub mod metrics;
pub mod monitoring;
pub mod network;
pub mod predicate;
pub mod probe;
pub mod profile;
pub mod promql;
mod recurrence;
pub mod schema;
pub mod scope;
pub mod stack;
pub mod step;
pub mod subject;
pub mod template;
pub mod tls;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use self::alert::{Clock, ClockWritten};
use self::maintenance::{Maintenance, MaintenanceWritten};
use self::step::{Step, StepWritten, check_vars};
use self::template::Shape;
use crate::finding::{Code, Finding, Findings};
use crate::source::{At, Place};
use crate::units::Span;
use crate::yaml::{Entries, Json, Node, Partial, read_partly};

/// A scenario file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScenarioWritten {
    /// The scenario's name; reports and metrics use it.
    scenario: At<String>,
    /// What it is for, in a sentence.
    about: Option<String>,
    /// Labels for reports and metrics.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// Variables, used as `${name}`.
    #[serde(default)]
    vars: Entries<Json>,
    /// OpenSLO files whose objectives are judged, beside this file.
    #[serde(default)]
    slos: Vec<At<String>>,
    /// The stack that is started for the run, beside this file.
    stack: Option<At<String>>,
    /// How fast rule time passes in its drills.
    clock: Option<At<ClockWritten>>,
    /// How often `serve` runs it; 60s unless said.
    every: Option<At<Span>>,
    /// How often `serve` runs it while its last run has not passed, where that is more often.
    interval_on_failure: Option<At<Span>>,
    /// Scenarios that have to pass for `serve` to run this one: where a database is down, its users need not say so.
    #[serde(default)]
    depends_on: Vec<At<String>>,
    /// Where `serve` runs it, by the names that `--location` gives; everywhere unless said.
    #[serde(default)]
    locations: Vec<String>,
    /// Times in which `serve` does not run it.
    #[serde(default)]
    maintenance: Vec<At<MaintenanceWritten>>,
    /// What must hold before the first fault and after the last one: where it does not hold before, nothing is
    /// measured.
    #[serde(default)]
    steady: Vec<At<StepWritten>>,
    /// What runs from the first step to the last.
    #[serde(default)]
    background: Vec<At<StepWritten>>,
    /// What is done, in order.
    #[serde(default)]
    steps: Vec<At<StepWritten>>,
}

/// A fragment: steps that several scenarios use.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FragmentWritten {
    /// The fragment's name.
    fragment: At<String>,
    /// What it is for, in a sentence.
    #[expect(dead_code, reason = "said for readers of the file")]
    about: Option<String>,
    /// What is done, in order.
    steps: Vec<At<StepWritten>>,
}

/// A scenario.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name.
    pub name: At<String>,
    /// What it is for.
    pub about: Option<String>,
    /// Labels for reports and metrics.
    pub labels: BTreeMap<String, String>,
    /// Variables, in the order written.
    pub vars: Vec<(At<String>, At<Shape>)>,
    /// OpenSLO files, beside this one.
    pub slos: Vec<At<String>>,
    /// The stack's file, beside this one.
    pub stack: Option<At<String>>,
    /// How fast rule time passes.
    pub clock: Clock,
    /// Whether the file says so itself.
    pub clock_given: bool,
    /// How often `serve` runs it.
    pub every: Option<Span>,
    /// How often it is run while its last run has not passed.
    pub interval_on_failure: Option<Span>,
    /// Scenarios that have to pass for this one to be run.
    pub depends_on: Vec<At<String>>,
    /// Where it is run; everywhere if none is named.
    pub locations: Vec<String>,
    /// Times in which it is not run.
    pub maintenance: Vec<Maintenance>,
    /// What must hold before the first fault and after the last; the plan puts it among the steps.
    pub steady: Vec<Step>,
    /// What runs behind the steps.
    pub background: Vec<Step>,
    /// What is done, in order.
    pub steps: Vec<Step>,
}

impl Scenario {
    /// Every step, background first, those within others after these.
    pub fn all_steps(&self) -> impl Iterator<Item = &Step> {
        self.background.iter().chain(&self.steps).flat_map(Step::all)
    }
}

/// Steps that several scenarios use.
#[derive(Debug, Clone)]
pub struct Fragment {
    /// Its name.
    pub name: At<String>,
    /// What is done, in order.
    pub steps: Vec<Step>,
}

/// Reads and checks a scenario; `None` where there is an error of shape.
pub fn check(node: &Node, findings: &mut Findings) -> Option<Scenario> {
    let Partial { value, findings: misshapen } = read_partly::<ScenarioWritten>(node);
    let whole = misshapen.is_empty();
    findings.extend(misshapen);
    let written = value?;
    if whole && written.steps.is_empty() && written.background.is_empty() {
        let finding = Finding::new(Code::ScenarioStep, written.scenario.place, "the scenario does nothing");
        findings.add(finding.help("add `steps`"));
    }
    let (depends_on, maintenance) = (written.depends_on, written.maintenance);
    for at in depends_on.iter().filter(|at| at.value == written.scenario.value) {
        findings.add(Finding::new(Code::FileValue, at.place, "a scenario does not depend on itself"));
    }
    let scenario = Scenario {
        name: written.scenario,
        about: written.about,
        labels: written.labels,
        vars: check_vars(written.vars, findings),
        slos: written.slos,
        stack: written.stack,
        clock_given: written.clock.is_some(),
        clock: written.clock.map(|at| at.value.check(findings)).unwrap_or_default(),
        every: written.every.map(|at| at.value),
        interval_on_failure: written.interval_on_failure.map(|at| at.value),
        depends_on,
        locations: written.locations,
        maintenance: maintenance.into_iter().filter_map(|at| at.value.check(findings)).collect(),
        steady: check_steps(written.steady, findings),
        background: check_steps(written.background, findings),
        steps: check_steps(written.steps, findings),
    };
    whole.then_some(scenario)
}

/// Reads and checks a fragment; `None` where there is an error of shape.
pub fn check_fragment(node: &Node, findings: &mut Findings) -> Option<Fragment> {
    let Partial { value, findings: misshapen } = read_partly::<FragmentWritten>(node);
    let whole = misshapen.is_empty();
    findings.extend(misshapen);
    let written = value?;
    let fragment = Fragment { name: written.fragment, steps: check_steps(written.steps, findings) };
    whole.then_some(fragment)
}

fn check_steps(written: Vec<At<StepWritten>>, findings: &mut Findings) -> Vec<Step> {
    let mut names: BTreeMap<String, Place> = BTreeMap::new();
    let mut steps = Vec::new();
    for at in written {
        let Some(step) = at.value.check(at.place, findings) else { continue };
        if let Some(first) = names.insert(step.name.clone(), step.place) {
            let title = format!("two steps are called `{}`", step.name);
            let finding = Finding::new(Code::ScenarioDuplicateName, step.place, title);
            findings.add(finding.also(first, "the first is here").help("give each a `name` of its own"));
        }
        steps.push(step);
    }
    steps
}
