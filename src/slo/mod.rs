//! OpenSLO v1: services, indicators, objectives and alert policies, as written and as checked.
//!
//! The documents of a file are checked one by one ([`check`]); then the names in the documents of all files are
//! looked up in one another ([`resolve`]), which gives the SLOs.

mod alert;
mod alpha;
mod decimal;
mod draft;
mod indicator;
mod lint;
mod lists;
mod metadata;
mod objective;
mod period;
mod query;
mod reference;
mod resolve;
pub mod rules;
mod window;
mod written;

use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use self::alert::PolicyDraft;
pub use self::alert::{AlertCondition, AlertPolicy, NotificationTarget};
pub use self::decimal::Decimal;
use self::draft::SloDraft;
use self::indicator::Indicator;
pub use self::indicator::{Count, DataSource, Part, Query, RawRate};
use self::metadata::check_description;
pub use self::objective::{Budgeting, Measure, NotByRun, Objective, Op, RunMeasure};
pub use self::period::{NotAPeriod, Period, Unit};
pub use self::query::{Counting, NotAsked};
pub use self::resolve::resolve;
pub use self::window::{Calendar, Window};
use self::written::{
    AlertConditionSpec, AlertNotificationTargetSpec, AlertPolicySpec, DataSourceSpec, DocumentWritten,
    ServiceSpec, SliSpec, SloSpec,
};
use crate::finding::{Code, Finding, Findings};
use crate::source::At;
use crate::yaml::{Kind as NodeKind, Node, read};

/// The version of OpenSLO that is read.
const VERSION: &str = "openslo/v1";

/// What an OpenSLO document declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
pub enum Kind {
    /// A group of SLOs.
    Service,
    /// Where numbers come from.
    DataSource,
    /// What is measured.
    #[serde(rename = "SLI")]
    Sli,
    /// What is promised.
    #[serde(rename = "SLO")]
    Slo,
    /// When to tell whom.
    AlertPolicy,
    /// When an alert fires.
    AlertCondition,
    /// Who is told.
    AlertNotificationTarget,
}

impl Kind {
    /// The name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::DataSource => "DataSource",
            Self::Sli => "SLI",
            Self::Slo => "SLO",
            Self::AlertPolicy => "AlertPolicy",
            Self::AlertCondition => "AlertCondition",
            Self::AlertNotificationTarget => "AlertNotificationTarget",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A service level objective: what a service promises, over which time.
#[derive(Debug, Clone)]
pub struct Slo {
    /// Its name.
    pub name: At<String>,
    /// Its name for people.
    pub display: Option<String>,
    /// What it is.
    pub about: Option<String>,
    /// The service it is about.
    pub service: At<String>,
    /// Labels, each with one text or several.
    pub labels: BTreeMap<String, Vec<String>>,
    /// Notes for tools.
    pub annotations: BTreeMap<String, String>,
    /// The time it is judged over.
    pub window: Window,
    /// What is promised: at least one.
    pub objectives: Vec<Objective>,
    /// Who is told when the budget burns.
    pub policies: Vec<AlertPolicy>,
}

impl Slo {
    /// The SLIs whose samples in a run its objectives are judged by, each with the place that names it.
    pub fn slis(&self) -> impl Iterator<Item = At<String>> {
        self.objectives.iter().filter_map(|objective| match objective.over_run().ok()? {
            RunMeasure::Good { sli } | RunMeasure::Within { sli, .. } => Some(sli),
        })
    }
}

/// A checked document, whose references are still names: what [`resolve`] takes.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its name.
    pub name: At<String>,
    body: Body,
}

#[derive(Debug, Clone)]
enum Body {
    Service,
    DataSource(DataSource),
    Sli(Indicator),
    Slo(Box<SloDraft>),
    AlertPolicy(Box<PolicyDraft>),
    AlertCondition(AlertCondition),
    AlertNotificationTarget(NotificationTarget),
    /// Findings were made of it; those who name it are not to blame.
    Broken(Kind),
}

impl Document {
    /// What it declares.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.body {
            Body::Service => Kind::Service,
            Body::DataSource(_) => Kind::DataSource,
            Body::Sli(_) => Kind::Sli,
            Body::Slo(_) => Kind::Slo,
            Body::AlertPolicy(_) => Kind::AlertPolicy,
            Body::AlertCondition(_) => Kind::AlertCondition,
            Body::AlertNotificationTarget(_) => Kind::AlertNotificationTarget,
            Body::Broken(kind) => kind,
        }
    }
}

/// Reads and checks the documents of one file: each is an OpenSLO document or a list of them, in YAML or JSON.
pub fn check(documents: &[Node], findings: &mut Findings) -> Vec<Document> {
    let mut checked = Vec::new();
    for node in documents {
        match &node.kind {
            NodeKind::List(items) => {
                checked.extend(items.iter().flat_map(|item| documents_of(item, findings)));
            }
            // What stands between two `---`.
            NodeKind::Null => {}
            NodeKind::Bool(..)
            | NodeKind::Int(..)
            | NodeKind::Float(..)
            | NodeKind::Text(_)
            | NodeKind::Map(_) => {
                checked.extend(documents_of(node, findings));
            }
        }
    }
    checked
}

/// What a document declares, which may be several things where it is of an elder version.
fn documents_of(node: &Node, findings: &mut Findings) -> Vec<Document> {
    if node.get("apiVersion").and_then(Node::scalar) == Some(alpha::ELDER) {
        let nodes = alpha::as_v1(node, findings);
        return nodes.iter().filter_map(|node| check_document(node, findings)).collect();
    }
    check_document(node, findings).into_iter().collect()
}

fn check_document(node: &Node, findings: &mut Findings) -> Option<Document> {
    let version = findings.take(check_version(node));
    let kind = kind(node, findings)?;
    let name = node.get("metadata").and_then(|metadata| metadata.get("name"));
    let name = name.and_then(|name| Some(At::new(name.scalar()?.to_owned(), name.place)));
    // A document of another version is left alone.
    let body = version.and_then(|()| check_body(kind, node, findings)).unwrap_or(Body::Broken(kind));
    Some(Document { name: name?, body })
}

fn check_version(node: &Node) -> Result<(), Finding> {
    if !matches!(node.kind, NodeKind::Map(_)) {
        let title = format!("expected an OpenSLO document, found {}", node.describe());
        return Err(Finding::new(Code::FileType, node.place, title));
    }
    let Some(version) = node.get("apiVersion") else {
        let finding = Finding::new(Code::FileMissingKey, node.place, "`apiVersion` is missing");
        return Err(finding.help(format!("write `apiVersion: {VERSION}`")));
    };
    match version.scalar() {
        Some(VERSION) => Ok(()),
        Some(other) => {
            let title = format!("`{other}` is not read: firedrill reads `{VERSION}`");
            Err(Finding::new(Code::SloVersion, version.place, title))
        }
        None => {
            let title = format!("expected text, found {}", version.describe());
            Err(Finding::new(Code::FileType, version.place, title))
        }
    }
}

fn kind(node: &Node, findings: &mut Findings) -> Option<Kind> {
    let Some(kind) = node.get("kind") else {
        if matches!(node.kind, NodeKind::Map(_)) {
            let finding = Finding::new(Code::FileMissingKey, node.place, "`kind` is missing");
            findings.add(finding.help("write `kind: SLO`, or what else it declares"));
        }
        return None;
    };
    read(kind).map_err(|all| findings.extend(all)).ok()
}

fn check_body(kind: Kind, node: &Node, findings: &mut Findings) -> Option<Body> {
    Some(match kind {
        Kind::Service => {
            let written = written::<ServiceSpec>(node, findings)?;
            written.metadata.check(findings);
            check_description(written.spec.description.as_ref(), findings);
            Body::Service
        }
        Kind::DataSource => {
            let DocumentWritten { metadata, spec, .. } = written::<DataSourceSpec>(node, findings)?;
            let name = metadata.check(findings).name;
            Body::DataSource(spec.value.check(name, findings))
        }
        Kind::Sli => {
            let DocumentWritten { metadata, spec, .. } = written::<SliSpec>(node, findings)?;
            metadata.check(findings);
            Body::Sli(spec.value.check(spec.place, findings)?)
        }
        Kind::Slo => {
            let DocumentWritten { metadata, spec, .. } = written::<SloSpec>(node, findings)?;
            Body::Slo(Box::new(spec.value.check(metadata, findings)?))
        }
        Kind::AlertPolicy => {
            let DocumentWritten { metadata, spec, .. } = written::<AlertPolicySpec>(node, findings)?;
            Body::AlertPolicy(Box::new(spec.value.check(metadata, findings)?))
        }
        Kind::AlertCondition => {
            let DocumentWritten { metadata, spec, .. } = written::<AlertConditionSpec>(node, findings)?;
            Body::AlertCondition(spec.value.check(metadata, findings)?)
        }
        Kind::AlertNotificationTarget => {
            let DocumentWritten { metadata, spec, .. } =
                written::<AlertNotificationTargetSpec>(node, findings)?;
            Body::AlertNotificationTarget(spec.value.check(metadata, findings))
        }
    })
}

fn written<S: DeserializeOwned>(node: &Node, findings: &mut Findings) -> Option<DocumentWritten<S>> {
    read(node).map_err(|all| findings.extend(all)).ok()
}

/// The JSON Schema of one document, or of a list of them.
#[must_use]
pub fn schema() -> Schema {
    let mut generator = SchemaGenerator::default();
    let documents = [
        document::<ServiceSpec>(Kind::Service, &mut generator),
        document::<DataSourceSpec>(Kind::DataSource, &mut generator),
        document::<SliSpec>(Kind::Sli, &mut generator),
        document::<SloSpec>(Kind::Slo, &mut generator),
        document::<AlertPolicySpec>(Kind::AlertPolicy, &mut generator),
        document::<AlertConditionSpec>(Kind::AlertCondition, &mut generator),
        document::<AlertNotificationTargetSpec>(Kind::AlertNotificationTarget, &mut generator),
    ];
    let mut definitions = generator.take_definitions(true);
    definitions.insert("Document".to_owned(), json_schema!({ "oneOf": documents }).to_value());
    json_schema!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "OpenSLO v1",
        "anyOf": [
            { "$ref": "#/$defs/Document" },
            { "type": "array", "items": { "$ref": "#/$defs/Document" } },
        ],
        "$defs": definitions,
    })
}

fn document<S: JsonSchema>(kind: Kind, generator: &mut SchemaGenerator) -> Schema {
    let document = generator.subschema_for::<DocumentWritten<S>>();
    json_schema!({ "allOf": [document], "properties": { "kind": { "const": kind.name() } } })
}
