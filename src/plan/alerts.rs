//! Alerts that drills expect, held against the rules and the routing of their stack.

use std::collections::BTreeSet;

use super::PlannedStack;
use crate::finding::{Code, Finding, Findings, nearest};
use crate::route::Config;
use crate::rule::RuleFile;
use crate::scenario::Scenario;
use crate::scenario::alert::Expected;
use crate::scenario::step::{Does, Step};
use crate::source::{At, Place};

/// Every alert that a fault step expects must be one that a rule raises, every receiver one that there is.
pub(super) fn check(scenario: &Scenario, stack: Option<&PlannedStack>, findings: &mut Findings) {
    let expected: Vec<&Expected> = scenario.all_steps().flat_map(alerts).collect();
    let Some(first) = expected.first() else { return };
    let Some(stack) = stack.filter(|stack| stack.prometheus.is_some()) else {
        let finding = Finding::new(Code::DrillAlert, first.name.place, "nothing raises alerts here");
        findings.add(finding.help("give the stack a `prometheus`, with its configuration and rules"));
        return;
    };
    let known: BTreeSet<&str> =
        stack.rules.iter().flat_map(RuleFile::alerts).map(|(_, rule, _)| rule.name.value.as_str()).collect();
    for expected in expected {
        if !known.contains(expected.name.value.as_str()) {
            let title = format!("no rule raises an alert called `{}`", expected.name);
            let finding = Finding::new(Code::DrillAlert, expected.name.place, title);
            findings.add(finding.help(meant(&expected.name, &known, "alerts")));
        }
        for name in expected.reaches.iter().chain(&expected.spares) {
            check_receiver(name, stack, findings);
        }
        if let Some(told) = expected.told.as_ref().filter(|_| stack.alertmanager.is_none()) {
            nobody_is_told(told.place, findings);
        }
    }
}

fn alerts(step: &Step) -> Vec<&Expected> {
    match &step.does {
        Does::Fault(fault) => fault.alerts.expected.iter().collect(),
        Does::Probe(_)
        | Does::Load(_)
        | Does::Quiet(_)
        | Does::Monitoring(_)
        | Does::Wait(_)
        | Does::Use(_)
        | Does::Set(_) => Vec::new(),
    }
}

/// Checks that the stack has a receiver.
pub(super) fn check_receiver(name: &At<String>, stack: &PlannedStack, findings: &mut Findings) {
    let Some(routing) = &stack.routing else {
        // Where its configuration was wrong that is a finding already.
        if stack.alertmanager.is_none() {
            nobody_is_told(name.place, findings);
        }
        return;
    };
    check_receiver_of(name, routing, findings);
}

fn nobody_is_told(place: Place, findings: &mut Findings) {
    let finding = Finding::new(Code::DrillReceiver, place, "nobody is told of alerts here");
    findings.add(finding.help("give the stack an `alertmanager`, with its configuration"));
}

/// Checks that a routing has a receiver.
pub(super) fn check_receiver_of(name: &At<String>, routing: &Config, findings: &mut Findings) {
    if routing.receiver(name).is_none() {
        let known = routing.receivers.iter().map(|receiver| receiver.name.value.as_str()).collect();
        let finding =
            Finding::new(Code::DrillReceiver, name.place, format!("no receiver is called `{name}`"));
        findings.add(finding.help(meant(name, &known, "receivers")));
    }
}

/// What there is, and what was most likely meant.
fn meant(written: &str, known: &BTreeSet<&str>, what: &str) -> String {
    const FEW: usize = 8;
    let near = nearest(written, known.iter().copied());
    let shown: Vec<_> = known.iter().take(FEW).map(|name| format!("`{name}`")).collect();
    let more = if known.len() > FEW { ", …" } else { "" };
    let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    if shown.is_empty() {
        format!("there are no {what}")
    } else {
        format!("{what} are {}{more}{near}", shown.join(", "))
    }
}
