//! Faults befall what the stack has; a steady state surrounds them.

use crate::exposition;
use crate::finding::{Code, Finding, Findings, nearest};
use crate::scenario::Scenario;
use crate::scenario::fault::stand_in::{Course, Detour, Pose};
use crate::scenario::fault::{Breaks, Target};
use crate::scenario::profile::Profile;
use crate::scenario::stack::Service;
use crate::scenario::step::{Role, Step};
use crate::source::At;

use super::PlannedStack;
use super::alerts::check_receiver;

/// Checks every fault of a scenario against its stack.
pub(super) fn check(scenario: &Scenario, stack: Option<&PlannedStack>, findings: &mut Findings) {
    for step in scenario.background.iter().flat_map(Step::all).filter(|step| step.fault().is_some()) {
        let title = "a fault has its turn among the steps, and none in the background";
        findings.add(Finding::new(Code::FaultStep, step.place, title));
    }
    // Where the stack's own file is broken, that was found already.
    if scenario.stack.is_some() && stack.is_none() {
        return;
    }
    for fault in scenario.all_steps().filter_map(Step::fault) {
        if let Some(target) = &fault.target {
            check_on(target, &fault.breaks, stack, findings);
        }
        if let Breaks::Receiver(receiver) = &fault.breaks {
            match stack {
                Some(stack) => check_receiver(&receiver.name, stack, findings),
                None => findings.add(without_stack(&receiver.name, "receiver")),
            }
        }
    }
}

/// Checks whom a fault befalls against the stack.
pub fn check_on(target: &Target, breaks: &Breaks, stack: Option<&PlannedStack>, findings: &mut Findings) {
    let named = &target.service;
    let Some(planned) = stack else {
        findings.add(without_stack(named, "service"));
        return;
    };
    let services = &planned.stack.services;
    let Some(service) = services.iter().find(|service| service.name.value == named.value) else {
        if !is_watcher(planned, named) {
            let title = format!("the stack has no service `{named}`");
            let finding = Finding::new(Code::FaultTarget, named.place, title);
            let known = services.iter().map(|service| service.name.value.as_str());
            findings.add(match nearest(named, known.clone()) {
                Some(meant) => finding.label(format!("did you mean `{meant}`?")),
                None => finding.help(format!("its services are {}", known.collect::<Vec<_>>().join(", "))),
            });
        }
        return;
    };
    check_port(target, service, findings);
    if let Breaks::StandIn(pose) = breaks {
        check_pose(pose, target, planned.profiles.get(&named.value), findings);
    }
}

fn without_stack(named: &At<String>, what: &str) -> Finding {
    let title = format!("there is no stack whose {what} `{named}` could be");
    Finding::new(Code::FaultTarget, named.place, title).help("name the stack's file with `stack`")
}

fn is_watcher(planned: &PlannedStack, name: &str) -> bool {
    use crate::scenario::stack::{ALERTMANAGER, PROMETHEUS};
    (name == PROMETHEUS && planned.stack.prometheus.is_some())
        || (name == ALERTMANAGER && planned.stack.alertmanager.is_some())
}

fn check_port(target: &Target, service: &Service, findings: &mut Findings) {
    let Some(port) = &target.port else { return };
    let mut known = service.ports.iter().map(|(name, _)| name.value.as_str());
    if known.clone().any(|name| name == port.value) {
        return;
    }
    let title = format!("service `{}` has no port `{port}`", service.name);
    let finding = Finding::new(Code::FaultTarget, port.place, title);
    findings.add(match nearest(port, known.by_ref()) {
        Some(meant) => finding.label(format!("did you mean `{meant}`?")),
        None => finding,
    });
}

/// Only a stand-in pretends, and only with families that it has.
fn check_pose(pose: &Pose, target: &Target, profile: Option<&Profile>, findings: &mut Findings) {
    let Some(profile) = profile else {
        let title = format!("`{}` is no stand-in: what it says of itself is its own", target.service);
        let finding = Finding::new(Code::FaultTarget, target.service.place, title);
        findings.add(finding.help("break it by `kill`, `latency`, `status` and the like"));
        return;
    };
    let Pose::Metrics(Detour { family, course, .. }) = pose else { return };
    let known = || profile.families.iter().map(|family| family.name.as_str());
    let Some(declared) = profile.families.iter().find(|declared| declared.name == family.value) else {
        let title = format!("the stand-in `{}` has no metric family `{family}`", target.service);
        let finding = Finding::new(Code::FaultTarget, family.place, title);
        findings.add(match nearest(family, known()) {
            Some(meant) => finding.label(format!("did you mean `{meant}`?")),
            None => finding,
        });
        return;
    };
    let moves = matches!(course, Course::Set(_) | Course::Ramp { .. } | Course::Rate(_));
    if moves && declared.kind == exposition::Kind::Histogram {
        let title = format!("`{family}` is a histogram: it can be frozen or dropped, and has no one value");
        findings.add(Finding::new(Code::FaultTarget, family.place, title));
    }
}

/// Puts the steady state before the first fault and after the last.
pub(super) fn surround(scenario: &mut Scenario, findings: &mut Findings) {
    let steady = std::mem::take(&mut scenario.steady);
    let Some(first_steady) = steady.first() else { return };
    let breaks = |step: &Step| step.fault().is_some();
    let (first, last) = (scenario.steps.iter().position(breaks), scenario.steps.iter().rposition(breaks));
    let (Some(first), Some(last)) = (first, last) else {
        let title = "this would be steady before and after a fault, and there is none";
        findings.add(Finding::new(Code::FaultStep, first_steady.place, title));
        return;
    };
    let as_part = |role: Role, word: &str| {
        let named = steady.iter().cloned().map(|mut step| {
            step.name = format!("{word} / {}", step.name);
            step.role = role;
            step
        });
        named.collect::<Vec<_>>()
    };
    let rest = scenario.steps.split_off(last + 1);
    scenario.steps.extend(as_part(Role::SteadyAfter, "steady after"));
    scenario.steps.extend(rest);
    scenario.steps.splice(first..first, as_part(Role::SteadyBefore, "steady before"));
}
