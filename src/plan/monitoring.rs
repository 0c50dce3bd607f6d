//! Dashboards and routes that steps ask about: read, and held against the stack.

use std::path::Path;

use super::alerts::check_receiver_of;
use super::files::beside;
use super::{PlannedStack, Planner};
use crate::finding::{Code, Finding, Findings};
use crate::route;
use crate::route::matcher::Dialect;
use crate::scenario::Scenario;
use crate::scenario::monitoring::{Monitoring, Routed};
use crate::scenario::step::Does;
use crate::yaml;

impl Planner<'_> {
    /// Reads the dashboard, or the routes, that a step names.
    pub(super) fn read_monitoring(&mut self, path: &Path, does: &mut Does) {
        let Does::Monitoring(asked) = does else { return };
        match &mut **asked {
            Monitoring::Dashboard(board) => {
                let file = beside(path, &board.file);
                let documents = self.library.foreign(&file, board.file.place, self.findings);
                board.tree = documents.and_then(|documents| documents.into_iter().next());
            }
            Monitoring::Route(routed) => {
                let Some(named) = &routed.config else { return };
                let documents = self.library.foreign(&beside(path, named), named.place, self.findings);
                let Some(tree) = documents.and_then(|documents| documents.into_iter().next()) else { return };
                let text = &self.library.sources.file(tree.place.file).text;
                let tree = yaml::as_elder(tree, text);
                routed.routing =
                    route::check(&tree, &self.library.sources, Dialect::default(), self.findings);
            }
        }
    }
}

/// Checks that what steps ask about is there.
pub(super) fn check(scenario: &Scenario, stack: Option<&PlannedStack>, findings: &mut Findings) {
    for step in scenario.all_steps() {
        let Does::Monitoring(asked) = &step.does else { continue };
        match &**asked {
            Monitoring::Dashboard(board) => {
                if stack.is_none_or(|stack| stack.prometheus.is_none()) {
                    let title = "nothing here has what a dashboard could show";
                    let finding = Finding::new(Code::ScenarioStep, board.file.place, title);
                    findings.add(finding.help("give the scenario a `stack` with a `prometheus`"));
                }
            }
            Monitoring::Route(routed) => check_route(routed, stack, findings),
        }
    }
}

fn check_route(routed: &Routed, stack: Option<&PlannedStack>, findings: &mut Findings) {
    if routed.config.is_none() && stack.is_none_or(|stack| stack.alertmanager.is_none()) {
        let finding = Finding::new(Code::ScenarioStep, routed.place, "nothing here has routes");
        findings
            .add(finding.help("give the scenario a `stack` with an `alertmanager`, or this step a `config`"));
        return;
    }
    // What does not read was found where it stands.
    let of_stack = || stack.and_then(|stack| stack.routing.as_ref());
    let Some(routing) = routed.routing.as_ref().or_else(of_stack) else { return };
    for name in routed.reaches.iter().chain(&routed.spares) {
        check_receiver_of(name, routing, findings);
    }
}
