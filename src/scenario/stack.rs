//! Stacks, as written and as checked: what is started for a run.

mod command;
mod monitoring;
mod port;
mod ready;
mod service;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;

pub use self::command::Command;
pub use self::monitoring::{Alertmanager, Prometheus, Target};
use self::monitoring::{AlertmanagerWritten, PrometheusWritten};
pub use self::ready::{Ready, Sign};
use self::service::ServiceWritten;
pub use self::service::{Content, Placed, Program, Runs, Service};
use super::template::Hole;
use crate::finding::{Code, Finding, Findings, nearest};
use crate::source::{At, Place};
use crate::yaml::{Entries, Node, Partial, read_partly};

/// The service that a stack's Prometheus is.
pub const PROMETHEUS: &str = "prometheus";

/// The service that a stack's Alertmanager is.
pub const ALERTMANAGER: &str = "alertmanager";

/// The port of a service that has one and does not name it.
pub const HTTP: &str = "http";

/// A stack file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StackWritten {
    /// The stack's name.
    stack: At<String>,
    /// What is started, by name; `${service.NAME.PORT}` is then the `host:port` of it.
    #[serde(default)]
    services: Entries<At<ServiceWritten>>,
    /// The Prometheus that watches them: service `prometheus`, port `http`.
    prometheus: Option<At<PrometheusWritten>>,
    /// The Alertmanager it tells: service `alertmanager`, port `http`.
    alertmanager: Option<At<AlertmanagerWritten>>,
    /// A Compose file whose services are started too, beside this file. What is said of one of them here, as the
    /// `process` that it is without containers, goes before what is said there.
    compose: Option<At<String>>,
    /// Whether the scenarios of a run that have the same speed share it, one after another. For each of them the
    /// Prometheus is emptied and its rules loaded anew, and the Alertmanager is a fresh one; the services go on as
    /// they are.
    #[serde(default)]
    shared: bool,
}

/// What is started for a run.
#[derive(Debug, Clone)]
pub struct Stack {
    /// Its name.
    pub name: At<String>,
    /// What is started, in the order written.
    pub services: Vec<Service>,
    /// What watches it.
    pub prometheus: Option<Prometheus>,
    /// What is told of alerts.
    pub alertmanager: Option<Alertmanager>,
    /// A Compose file, beside the stack's.
    pub compose: Option<At<String>>,
    /// Whether scenarios share it, one after another.
    pub shared: bool,
}

/// Reads and checks a stack.
pub fn check(node: &Node, findings: &mut Findings) -> Option<Stack> {
    let Partial { value, findings: misshapen } = read_partly::<StackWritten>(node);
    let whole = misshapen.is_empty();
    findings.extend(misshapen);
    let written = value?;
    let services: Vec<_> = written
        .services
        .into_iter()
        .filter_map(|(name, service)| {
            check_name(&name, findings)?;
            service.value.check(name, service.place, whole, findings)
        })
        .collect();
    let stack = Stack {
        name: written.stack,
        services,
        prometheus: written.prometheus.map(|at| at.value.check(at.place, findings)),
        alertmanager: written.alertmanager.map(|at| at.value.check(at.place)),
        compose: written.compose,
        shared: written.shared,
    };
    // What a Compose file adds is known once that is read.
    if whole && stack.compose.is_none() {
        stack.check_services(findings);
    }
    whole.then_some(stack)
}

/// A service's name stands in `${…}`, in the names of files and of machines.
fn check_name(name: &At<String>, findings: &mut Findings) -> Option<()> {
    if super::template::is_name(name) && !name.contains('.') {
        return Some(());
    }
    let title = format!("`{}` cannot be a service's name", name.value);
    let finding = Finding::new(Code::FileValue, name.place, title);
    findings.add(finding.help("letters, digits, `_` and `-`, a letter first"));
    None
}

impl Stack {
    /// The service of that name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| *service.name == name)
    }

    /// Every name that a file may use for what a stack gives: addresses of its services' ports, their folders
    /// and logs.
    #[must_use]
    pub fn variables(&self) -> BTreeSet<String> {
        let own = self.services.iter().flat_map(Service::variables);
        let watchers = [(PROMETHEUS, self.prometheus.is_some()), (ALERTMANAGER, self.alertmanager.is_some())];
        let watchers = watchers.into_iter().filter(|(_, there)| *there);
        own.chain(watchers.flat_map(|(name, _)| service::variables(name, [HTTP]))).collect()
    }

    /// Every hole of the stack that is not its own to fill: environment variables, secrets, other services.
    pub fn holes(&self) -> impl Iterator<Item = (&Hole, Place)> {
        let services = self.services.iter().flat_map(Service::holes);
        let prometheus = self.prometheus.iter().flat_map(Prometheus::holes);
        services.chain(prometheus).chain(self.alertmanager.iter().flat_map(Alertmanager::holes))
    }

    /// Whether a stand-in can ask the service that it wants to.
    pub fn check_called(&self, wanted: &At<String>, findings: &mut Findings) {
        match self.service(wanted) {
            None => {
                let known = self.services.iter().map(|service| service.name.value.as_str());
                findings.add(unknown_service(wanted, known));
            }
            Some(service) if service.usual_port().is_none() => {
                let title = format!("`{wanted}` has no port at which it could be asked");
                findings.add(Finding::new(Code::StackPort, wanted.place, title));
            }
            Some(_) => {}
        }
    }

    /// Checks that services wait for one another in an order, and that nobody waits for, or scrapes, what is not there.
    pub fn check_services(&self, findings: &mut Findings) {
        self.check_names(findings);
        self.check_order(findings);
    }

    /// Services that wait for nobody, or scrape nobody.
    fn check_names(&self, findings: &mut Findings) {
        let names: BTreeMap<&str, &Service> =
            self.services.iter().map(|service| (service.name.value.as_str(), service)).collect();
        for reserved in [PROMETHEUS, ALERTMANAGER] {
            let taken = (reserved == PROMETHEUS && self.prometheus.is_some())
                || (reserved == ALERTMANAGER && self.alertmanager.is_some());
            if let Some(service) = names.get(reserved).filter(|_| taken) {
                let title = format!("`{reserved}` is already what the stack's own key of that name starts");
                findings.add(Finding::new(Code::StackService, service.name.place, title));
            }
        }
        for wanted in self.services.iter().flat_map(|service| &service.after) {
            if !names.contains_key(wanted.value.as_str()) {
                findings.add(unknown_service(wanted, names.keys().copied()));
            }
        }
        for target in self.prometheus.iter().flat_map(|prometheus| prometheus.scrape.values().flatten()) {
            let Some(service) = names.get(target.service.value.as_str()) else {
                findings.add(unknown_service(&target.service, names.keys().copied()));
                continue;
            };
            if let Some(port) = &target.port {
                service.check_port(port, findings);
            }
        }
    }

    /// Services that wait for one another would never start.
    fn check_order(&self, findings: &mut Findings) {
        let mut waiting: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for service in &self.services {
            let after = service.after.iter().map(|name| name.value.as_str());
            waiting.insert(&service.name, after.filter(|name| self.service(name).is_some()).collect());
        }
        while let Some(free) = waiting.iter().find(|(_, after)| after.is_empty()).map(|(name, _)| *name) {
            waiting.remove(free);
            for after in waiting.values_mut() {
                after.remove(free);
            }
        }
        let circle = self.services.iter().filter(|service| waiting.contains_key(service.name.value.as_str()));
        let circle: Vec<_> = circle.filter_map(|service| service.after.first()).collect();
        if let [first, others @ ..] = circle.as_slice() {
            let finding = Finding::new(Code::StackCycle, first.place, "services wait for one another");
            let others = others.iter().map(|after| (after.place, String::new()));
            findings.add(others.fold(finding, |finding, (place, text)| finding.also(place, text)));
        }
    }
}

fn unknown_service<'a>(wanted: &At<String>, known: impl Iterator<Item = &'a str>) -> Finding {
    let finding =
        Finding::new(Code::StackUnknownService, wanted.place, format!("there is no service `{wanted}`"));
    match nearest(wanted, known) {
        Some(meant) => finding.label(format!("did you mean `{meant}`?")),
        None => finding,
    }
}
