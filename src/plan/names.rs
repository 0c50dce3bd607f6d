//! Names that files use: every `${…}` has a value by the time it is needed, every SLI a reader.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Surroundings;
use crate::finding::{Code, Finding, Findings, nearest};
use crate::scenario::Scenario;
use crate::scenario::capture::Traced;
use crate::scenario::fault::Fault;
use crate::scenario::http::Tls;
use crate::scenario::network::Network;
use crate::scenario::step::{Does, Step};
use crate::scenario::template::{Hole, Scope, Shape, Template};
use crate::secret::{Mask, is_too_short};
use crate::slo::Slo;
use crate::source::{At, Place};

/// Checks every hole of a scenario, and gathers what the surroundings give to it.
pub(super) fn check(
    scenario: &Scenario,
    services: BTreeSet<String>,
    surroundings: &Surroundings,
    mask: &Mask,
    findings: &mut Findings,
) -> Scope {
    let mut names = Names { known: services, surroundings, scope: Scope::new(mask.clone()), findings };
    let vars = scenario.vars.iter().map(|(name, _)| name.value.clone());
    names.known.extend(vars);
    for (_, shape) in &scenario.vars {
        shape.holes().for_each(|hole| names.need(hole, shape.place));
    }
    for file in certificate_files(scenario).chain(key_files(scenario)) {
        file.holes().for_each(|hole| names.need(hole, file.place));
    }
    let before = names.known.clone();
    for step in &scenario.background {
        // What one gives in the background is known to those that follow it alone.
        if !step.follows {
            names.known.clone_from(&before);
        }
        names.take(step);
    }
    names.known = before;
    scenario.steps.iter().flat_map(Step::all).for_each(|step| names.take(step));
    names.scope
}

/// Checks the holes of a stack's file, and gathers what the surroundings give to them.
pub(super) fn check_stack<'a>(
    holes: impl Iterator<Item = (&'a Hole, Place)>,
    known: BTreeSet<String>,
    surroundings: &Surroundings,
    mask: &Mask,
    findings: &mut Findings,
) -> Scope {
    let mut names = Names { known, surroundings, scope: Scope::new(mask.clone()), findings };
    holes.for_each(|(hole, place)| names.need(hole, place));
    names.scope
}

/// What is known so far.
struct Names<'a> {
    known: BTreeSet<String>,
    surroundings: &'a Surroundings,
    scope: Scope,
    findings: &'a mut Findings,
}

impl Names<'_> {
    /// Notes what a step needs, and then what it gives to those after it.
    fn take(&mut self, step: &Step) {
        let deeds = step.fault().into_iter().flat_map(Fault::deeds);
        for step in std::iter::once(step).chain(deeds) {
            step.holes().for_each(|(hole, place)| self.need(hole, place));
        }
        self.known.extend(step.captures.iter().map(|capture| capture.name.value.clone()));
        if step.does.traces() {
            self.known.extend(Traced::ALL.map(|traced| traced.name().to_owned()));
        }
        if let Does::Set(vars) = &step.does {
            self.known.extend(vars.iter().map(|(name, _)| name.value.clone()));
        }
    }

    /// Notes that `hole` needs a value at `place`.
    fn need(&mut self, hole: &Hole, place: Place) {
        let Surroundings { environment, secrets } = self.surroundings;
        let name = hole.name.as_str();
        if let Some(variable) = name.strip_prefix("env.") {
            match environment.get(variable) {
                Some(value) => self.scope.set(name, value.as_str()),
                None if hole.default.is_some() => {}
                None => {
                    let title = format!("the environment has no `{variable}`");
                    let finding = Finding::new(Code::EnvironmentMissing, place, title);
                    self.findings.add(finding.help(format!("set it, or write `${{{name}:-default}}`")));
                }
            }
        } else if let Some(secret) = name.strip_prefix("secret.") {
            if let Some(value) = environment.get(secret).or_else(|| secrets.get(secret)) {
                self.scope.set_secret(name, value.as_str());
                if !value.is_empty() && is_too_short(value) {
                    let title = format!("`{secret}` is too short to be masked, and may be shown");
                    let finding = Finding::new(Code::SecretShort, place, title);
                    let help =
                        "so few characters are in everything by chance: secrets are masked from three on";
                    self.findings.add(finding.help(help));
                }
            } else {
                let title = format!("neither the environment nor the secrets file has `{secret}`");
                let finding = Finding::new(Code::SecretMissing, place, title);
                self.findings
                    .add(finding.help("set the environment variable, or name a file with `--secrets`"));
            }
        } else if !self.known.contains(name) && hole.default.is_none() {
            let finding =
                Finding::new(Code::ScenarioUnknownVariable, place, format!("`{name}` has no value here"));
            self.findings.add(match nearest(name, self.known.iter().map(String::as_str)) {
                Some(meant) => finding.label(format!("did you mean `{meant}`?")),
                None if name.starts_with("service.") => finding
                    .help("a stack's services are `${service.NAME.PORT}`; name the stack with `stack:`"),
                None if Traced::is_named(name) => finding.help(
                    "a step with `trace: true` begins a trace; a load names it in what it expects only",
                ),
                None => finding.help("a variable, a capture of an earlier step, `env.NAME` or `secret.NAME`"),
            });
        }
    }
}

/// Of a long circle of variables, so many are shown.
const MOST_SHOWN: usize = 8;

/// The variables in an order in which each needs only those before it.
pub(super) fn in_order(vars: &[(At<String>, At<Shape>)], findings: &mut Findings) -> Vec<(String, Shape)> {
    let numbers: BTreeMap<&str, usize> =
        vars.iter().enumerate().map(|(number, (name, _))| (name.value.as_str(), number)).collect();
    let mut needed_by = vec![Vec::new(); vars.len()];
    let mut missing = vec![0_usize; vars.len()];
    for (number, (_, shape)) in vars.iter().enumerate() {
        for needed in shape.holes().filter_map(|hole| numbers.get(hole.name.as_str())) {
            needed_by[*needed].push(number);
            missing[number] += 1;
        }
    }
    let mut ready: VecDeque<usize> = (0..vars.len()).filter(|number| missing[*number] == 0).collect();
    let mut ordered = Vec::new();
    while let Some(number) = ready.pop_front() {
        let (name, shape) = &vars[number];
        ordered.push((name.value.clone(), shape.value.clone()));
        for waiting in &needed_by[number] {
            missing[*waiting] -= 1;
            if missing[*waiting] == 0 {
                ready.push_back(*waiting);
            }
        }
    }
    let mut blocked = vars.iter().zip(&missing).filter(|(_, missing)| **missing > 0).map(|(var, _)| var);
    if let Some((name, shape)) = blocked.next() {
        let finding =
            Finding::new(Code::ScenarioVariableCycle, shape.place, format!("`{name}` needs itself"));
        let others = blocked.map(|(name, shape)| (shape.place, format!("by way of `{name}`")));
        findings
            .add(others.take(MOST_SHOWN).fold(finding, |finding, (place, text)| finding.also(place, text)));
    }
    ordered
}

/// Warns of SLIs that nothing feeds or nothing reads.
pub(super) fn check_slis(scenario: &Scenario, slos: &[Slo], findings: &mut Findings) {
    let steps = || scenario.all_steps();
    let fed: BTreeMap<&str, Place> =
        steps().filter_map(|step| step.sli.as_ref()).map(|sli| (sli.value.as_str(), sli.place)).collect();
    let read: BTreeMap<String, Place> =
        slos.iter().flat_map(Slo::slis).map(|sli| (sli.value, sli.place)).collect();
    for (sli, place) in &fed {
        if !read.contains_key(*sli) {
            let finding =
                Finding::new(Code::ScenarioSli, *place, format!("no objective reads the SLI `{sli}`"));
            findings.add(match nearest(sli, read.keys().map(String::as_str)) {
                Some(meant) => finding.label(format!("did you mean `{meant}`?")),
                None => finding.help("name the file of an SLO that reads it under `slos`"),
            });
        }
    }
    for (sli, place) in &read {
        if !fed.contains_key(sli.as_str()) {
            let title = format!("no step of `{}` feeds the SLI `{sli}`", scenario.name);
            let finding = Finding::new(Code::ScenarioSli, *place, title);
            findings.add(match nearest(sli, fed.keys().copied()) {
                Some(meant) => finding.label(format!("did you mean `{meant}`?")),
                None => finding.help(format!("add `sli: {sli}` to the steps that it counts")),
            });
        }
    }
}

/// The files of certificates that steps name.
pub(super) fn certificate_files(scenario: &Scenario) -> impl Iterator<Item = &At<Template>> {
    all_that_connect(scenario).flat_map(|step| {
        let tls = step.does.tls().into_iter().flat_map(Tls::certificates);
        tls.chain(step.does.network().into_iter().flat_map(Network::files))
    })
}

/// The files of private keys that steps name.
pub(super) fn key_files(scenario: &Scenario) -> impl Iterator<Item = &At<Template>> {
    all_that_connect(scenario).flat_map(|step| step.does.tls()).filter_map(Tls::key_file)
}

/// Every step, and what faults do and undo.
fn all_that_connect(scenario: &Scenario) -> impl Iterator<Item = &Step> {
    let deeds = |step| Step::fault(step).into_iter().flat_map(Fault::deeds);
    scenario.all_steps().flat_map(move |step| std::iter::once(step).chain(deeds(step)))
}
