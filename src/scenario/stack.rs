//! Stacks, as written and as checked: what is started for a run.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::finding::{Code, Finding, Findings};
use crate::source::At;
use crate::yaml::{Entries, Node, read};

/// A stack file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StackWritten {
    /// The stack's name.
    stack: At<String>,
    /// What is started, by name; `${service.NAME.http}` is then its `host:port`.
    services: Entries<At<ServiceWritten>>,
}

/// A service of a stack.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ServiceWritten {
    /// A stand-in's profile, beside this file.
    simulate: At<String>,
}

/// What is started for a run.
#[derive(Debug, Clone)]
pub struct Stack {
    /// Its name.
    pub name: At<String>,
    /// What is started.
    pub services: Vec<Service>,
}

/// A service of a stack.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its name.
    pub name: At<String>,
    /// The stand-in's profile, beside the stack's file.
    pub profile: At<String>,
}

impl Service {
    /// The names a scenario may use for where the service listens.
    #[must_use]
    pub fn variables(&self) -> [String; 1] {
        [format!("service.{}.http", self.name.value)]
    }
}

/// Reads and checks a stack.
pub fn check(node: &Node, findings: &mut Findings) -> Option<Stack> {
    let written: StackWritten = findings.take_all(read(node))?;
    let services = written.services.into_iter().filter_map(|(name, service)| {
        if !super::template::is_name(&name) || name.contains('.') {
            let title = format!("`{}` cannot be a service's name", name.value);
            let finding = Finding::new(Code::FileValue, name.place, title);
            findings.add(finding.help("letters, digits, `_` and `-`, a letter first"));
            return None;
        }
        Some(Service { name, profile: service.value.simulate })
    });
    let services = services.collect();
    Some(Stack { name: written.stack, services })
}
