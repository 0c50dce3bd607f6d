//! What a stack's monitoring is asked as a whole: that a dashboard shows something, and whom an alert would reach.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::alert::Names;
use crate::finding::{Code, Finding, Findings};
use crate::route::Config;
use crate::source::{At, Place};
use crate::yaml::{Entries, Node};

/// A dashboard of Grafana's. It passes when every query of every panel returns data from the stack's Prometheus.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DashboardWritten {
    /// The dashboard as Grafana exports it, beside this file.
    file: At<String>,
}

/// An alert with these labels, and whom it reaches by Alertmanager's routes: those of the stack, where the running
/// Alertmanager has to say the same, or those of a file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteWritten {
    /// An Alertmanager's configuration beside this file, in place of the stack's.
    config: Option<At<String>>,
    /// The alert's labels.
    labels: Entries<At<String>>,
    /// A receiver that is told, or a list of them, who all are; others may be, too.
    #[serde(default)]
    reaches: Names,
    /// A receiver that is not told, or a list of them.
    #[serde(rename = "does not reach", default)]
    spares: Names,
}

/// What a stack's monitoring is asked.
#[derive(Debug, Clone)]
pub enum Monitoring {
    /// Whether a dashboard shows something.
    Dashboard(Board),
    /// Whom an alert would reach.
    Route(Box<Routed>),
}

/// A dashboard, checked.
#[derive(Debug, Clone)]
pub struct Board {
    /// Its file.
    pub file: At<String>,
    /// What is in it, once it was read.
    pub tree: Option<Node>,
}

/// An alert and whom it reaches, checked.
#[derive(Debug, Clone)]
pub struct Routed {
    /// Where this was written.
    pub place: Place,
    /// The file that has the routes; the stack's Alertmanager's unless given.
    pub config: Option<At<String>>,
    /// The routes, once they were read.
    pub routing: Option<Config>,
    /// The alert's labels.
    pub labels: BTreeMap<String, String>,
    /// All that are told.
    pub reaches: Vec<At<String>>,
    /// Some that are not.
    pub spares: Vec<At<String>>,
}

impl DashboardWritten {
    /// Checks what was written.
    #[must_use]
    pub fn check(self) -> Monitoring {
        Monitoring::Dashboard(Board { file: self.file, tree: None })
    }
}

impl RouteWritten {
    /// Checks what was written, at `place`.
    pub fn check(self, place: Place, findings: &mut Findings) -> Monitoring {
        if self.reaches.0.is_empty() && self.spares.0.is_empty() {
            let finding = Finding::new(Code::ScenarioStep, place, "nothing is expected of this route");
            findings.add(finding.help("add `reaches`, with all who are told, or `does not reach`"));
        }
        Monitoring::Route(Box::new(Routed {
            place,
            config: self.config,
            routing: None,
            labels: self.labels.into_iter().map(|(name, value)| (name.value, value.value)).collect(),
            reaches: self.reaches.0,
            spares: self.spares.0,
        }))
    }
}

impl Monitoring {
    /// The step kind, as files write it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Dashboard(_) => "dashboard",
            Self::Route(_) => "route",
        }
    }

    /// What it does, in a few words.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Dashboard(board) => format!("dashboard {}", board.file),
            Self::Route(routed) => {
                let labels: Vec<_> =
                    routed.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("route {}", labels.join(" "))
            }
        }
    }
}
