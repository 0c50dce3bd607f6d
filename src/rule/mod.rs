//! Prometheus rule files: read as they are written, checked, re-timed; and when an alert may do what.

mod chain;
mod pace;
mod scale;
#[cfg(test)]
mod tests;
pub mod window;
mod written;

use std::time::Duration;

pub use self::chain::Recorded;
pub use self::scale::scaled;
use self::written::{GroupWritten, RuleFileWritten, RuleWritten};
use crate::finding::{Code, Finding, Findings};
use crate::promql::{PromDuration, Query};
use crate::source::{At, Place, Sources};
use crate::yaml::{Entries, Node, as_elder, read_partly};

/// The rules of one file.
#[derive(Debug, Clone, Default)]
pub struct RuleFile {
    /// Its groups, in their order.
    pub groups: Vec<Group>,
}

/// Rules that are evaluated together, one after the other.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its name.
    pub name: At<String>,
    /// How often; as often as `global.evaluation_interval` says, unless it says so itself.
    pub interval: Option<At<Duration>>,
    /// How far back its rules look.
    pub query_offset: Duration,
    /// The series or alerts that a rule may give; any number where it is 0.
    pub limit: u64,
    /// Labels of all its rules; those of a rule go before them.
    pub labels: Labels,
    /// Its rules, in their order, without those that findings were made of.
    pub rules: Vec<Rule>,
}

/// Labels or annotations, in the order written.
pub type Labels = Vec<(At<String>, At<String>)>;

/// A rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// All of it.
    pub place: Place,
    /// What the alert, or the metric it records, is called.
    pub name: At<String>,
    /// What it asks.
    pub query: Query,
    /// Labels that it adds.
    pub labels: Labels,
    /// What else it does.
    pub kind: Kind,
}

/// What a rule makes of what its expression gives.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Series.
    Record,
    /// Alerts.
    Alert(Alert),
}

/// What an alerting rule says of its alerts.
#[derive(Debug, Clone, Default)]
pub struct Alert {
    /// How long the expression has to hold before they fire.
    pub holds: Option<At<Duration>>,
    /// How long they go on firing when it holds no longer.
    pub keeps: Option<At<Duration>>,
    /// What is said of them.
    pub annotations: Labels,
}

impl RuleFile {
    /// Every rule with its group.
    pub fn rules(&self) -> impl Iterator<Item = (&Group, &Rule)> {
        self.groups.iter().flat_map(|group| group.rules.iter().map(move |rule| (group, rule)))
    }

    /// Every alerting rule with its group.
    pub fn alerts(&self) -> impl Iterator<Item = (&Group, &Rule, &Alert)> {
        self.rules().filter_map(|(group, rule)| match &rule.kind {
            Kind::Alert(alert) => Some((group, rule, alert)),
            Kind::Record => None,
        })
    }
}

impl Rule {
    /// The labels it adds, those of its group among them.
    pub fn all_labels<'r>(&'r self, group: &'r Group) -> impl Iterator<Item = &'r (At<String>, At<String>)> {
        let own = |name: &str| self.labels.iter().any(|(own, _)| own.value == name);
        self.labels.iter().chain(group.labels.iter().filter(move |(name, _)| !own(&name.value)))
    }
}

/// Reads and checks a rule file, of which Prometheus reads the first document.
pub fn check(documents: &[Node], sources: &Sources, findings: &mut Findings) -> RuleFile {
    let Some(first) = documents.first() else { return RuleFile::default() };
    if let Some(second) = documents.get(1) {
        let finding = Finding::new(
            Code::RuleGroup,
            second.place,
            "Prometheus reads the first document of a rule file alone",
        );
        findings.add(finding.label("a second begins here"));
    }
    let written = read_partly::<RuleFileWritten>(&as_written(first, sources));
    findings.extend(written.findings);
    let mut groups: Vec<Group> = Vec::new();
    for group in written.value.into_iter().flat_map(|file| file.groups) {
        if let Some(first) = groups.iter().find(|other| other.name.value == group.name.value) {
            let title = format!("two groups of this file are called `{}`", group.name);
            let finding = Finding::new(Code::RuleGroup, group.name.place, title);
            findings.add(finding.also(first.name.place, "the first of them"));
        }
        groups.push(check_group(group, sources, findings));
    }
    RuleFile { groups }
}

/// A document as Prometheus reads it.
fn as_written(document: &Node, sources: &Sources) -> Node {
    as_elder(document.clone(), &sources.file(document.place.file).text).without_nothing()
}

fn check_group(written: GroupWritten, sources: &Sources, findings: &mut Findings) -> Group {
    let GroupWritten { name, interval, query_offset, limit, labels, rules, partial_response_strategy: _ } =
        written;
    if name.value.is_empty() {
        findings.add(Finding::new(Code::RuleGroup, name.place, "a group has a name"));
    }
    Group {
        name,
        interval: interval.map(duration),
        query_offset: query_offset.map(|offset| offset.value.0).unwrap_or_default(),
        limit,
        labels: check_labels(labels, findings),
        rules: rules.into_iter().filter_map(|rule| check_rule(rule, sources, findings)).collect(),
    }
}

fn check_rule(written: At<RuleWritten>, sources: &Sources, findings: &mut Findings) -> Option<Rule> {
    let At { value: RuleWritten { record, alert, expr, holds, keeps, labels, annotations }, place } = written;
    let labels = check_labels(labels, findings);
    let query = check_expression(&expr, sources, findings);
    let (name, kind) = match (record, alert) {
        (Some(name), None) => {
            check_metric(&name, findings);
            let alerts_only =
                [("for", holds.map(|at| at.place)), ("keep_firing_for", keeps.map(|at| at.place))];
            let notes = ("annotations", annotations.0.first().map(|(key, _)| key.place));
            for (key, place) in alerts_only.into_iter().chain([notes]) {
                findings.extend(place.map(|place| {
                    let title = format!("a rule that records has no `{key}`");
                    Finding::new(Code::RuleKind, place, title).also(name.place, "recorded here")
                }));
            }
            (name, Kind::Record)
        }
        (None, Some(name)) => {
            if name.value.is_empty() {
                findings.add(Finding::new(Code::RuleKind, name.place, "an alert has a name"));
            }
            let annotations = check_annotations(annotations, findings);
            (name, Kind::Alert(Alert { holds: holds.map(duration), keeps: keeps.map(duration), annotations }))
        }
        (Some(record), Some(alert)) => {
            let finding = Finding::new(Code::RuleKind, alert.place, "a rule alerts or records, not both");
            findings.add(finding.also(record.place, "recorded here"));
            return None;
        }
        (None, None) => {
            let finding = Finding::new(Code::RuleKind, place, "a rule has `alert` or `record`");
            findings.add(finding.help("write `alert: NAME`, or `record: NAME` for a series of its own"));
            return None;
        }
    };
    Some(Rule { place, name, query: query?, labels, kind })
}

fn duration(written: At<PromDuration>) -> At<Duration> {
    written.map(|duration| duration.0)
}

fn check_expression(expr: &At<String>, sources: &Sources, findings: &mut Findings) -> Option<Query> {
    use promql_parser::parser::value::ValueType;
    let query = match Query::read(&expr.value, expr.place) {
        Ok(query) => query,
        Err(malformed) => {
            let raw = sources.text(expr.place);
            let place = crate::yaml::within(expr.place, raw, &expr.value, malformed.range);
            findings.add(Finding::new(Code::RuleExpression, place, malformed.why));
            return None;
        }
    };
    let what = match query.expr.value_type() {
        ValueType::Vector | ValueType::Scalar => return Some(query),
        ValueType::Matrix => "series over a range",
        ValueType::String => "a text",
    };
    let title = format!("a rule is made of series or a number, and this expression gives {what}");
    findings.add(Finding::new(Code::RuleExpression, expr.place, title));
    None
}

fn check_metric(name: &At<String>, findings: &mut Findings) {
    let fits = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '_' | ':');
    let first = name.value.chars().next();
    if first.is_none_or(|first| first.is_ascii_digit()) || !name.value.chars().all(fits) {
        let title =
            format!("`{name}` is no name of a metric: letters, digits, `_` and `:`, and no digit first");
        findings.add(Finding::new(Code::RuleKind, name.place, title));
    }
}

/// Labels of a rule. Newer versions of Prometheus take any name; older ones do not load the file.
fn check_labels(written: Entries<At<String>>, findings: &mut Findings) -> Labels {
    for (name, _) in &written.0 {
        if name.value == "__name__" {
            findings.add(Finding::new(
                Code::RuleKind,
                name.place,
                "a rule cannot set the name of a metric by a label",
            ));
        }
    }
    check_annotations(written, findings)
}

fn check_annotations(written: Entries<At<String>>, findings: &mut Findings) -> Labels {
    for (name, _) in &written.0 {
        let fits = |sign: char| sign.is_ascii_alphanumeric() || sign == '_';
        if name.value.is_empty()
            || name.value.starts_with(|sign: char| sign.is_ascii_digit())
            || !name.value.chars().all(fits)
        {
            let title = format!(
                "`{name}` is no name that every Prometheus takes: letters, digits and `_`, and no digit first"
            );
            findings.add(Finding::new(Code::RuleLabel, name.place, title));
        }
    }
    written.0
}
