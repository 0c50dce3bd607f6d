//! The names in all documents, looked up in one another.

use std::collections::BTreeMap;

use super::alert::{AlertCondition, AlertPolicy, NotificationTarget, PolicyDraft};
use super::decimal::Decimal;
use super::draft::SloDraft;
use super::indicator::{Count, Indicator, Metric, Part, Said};
use super::objective::{Budgeting, Measure, Objective, ObjectiveDraft, Op, superfluous};
use super::reference::Ref;
use super::{Body, Document, Kind, Slo};
use crate::finding::{Code, Finding, Findings, nearest};
use crate::source::At;

/// So many names are listed where none of them is meant.
const SHOWN: usize = 5;

/// Looks up the names in the documents of all files, and gives the SLOs among them that can be used.
///
/// Names are of one kind each: an `SLI` and an `SLO` may be called the same, two `SLO`s may not. A `service` that
/// no document declares is a warning, and only where some service is declared.
pub fn resolve(documents: &[Document], findings: &mut Findings) -> Vec<Slo> {
    let names = Names::of(documents, findings);
    let mut slos = Vec::new();
    for document in documents {
        match &document.body {
            Body::Slo(draft) => slos.extend(names.slo(draft, findings)),
            Body::Sli(indicator) => {
                // Also those that no SLO uses are checked; what is found twice is said once.
                names.said(indicator, findings);
            }
            Body::AlertPolicy(draft) => {
                names.policy(draft, findings);
            }
            Body::Service
            | Body::DataSource(_)
            | Body::AlertCondition(_)
            | Body::AlertNotificationTarget(_)
            | Body::Broken(_) => {}
        }
    }
    slos
}

/// What the two or one metrics of an indicator say.
enum Saying {
    Ratio { counter: bool, part: Part, counted: Said, total: Said },
    Raw { said: Said, rate: super::RawRate },
    Threshold(Said),
}

/// Every document by its kind and name.
struct Names<'d>(BTreeMap<(Kind, &'d str), &'d Document>);

impl<'d> Names<'d> {
    fn of(documents: &'d [Document], findings: &mut Findings) -> Self {
        let mut names: BTreeMap<(Kind, &str), &Document> = BTreeMap::new();
        for document in documents {
            let first = *names.entry((document.kind(), document.name.as_str())).or_insert(document);
            if !std::ptr::eq(first, document) {
                let title = format!("two documents are the `{}` `{}`", document.kind(), document.name);
                let finding = Finding::new(Code::SloDuplicate, document.name.place, title);
                findings
                    .add(finding.label("declared again here").also(first.name.place, "declared first here"));
            }
        }
        Self(names)
    }

    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &'d str> {
        let all = self.0.range((kind, "")..);
        all.map(|(key, _)| *key).take_while(move |(other, _)| *other == kind).map(|(_, name)| name)
    }

    fn find(&self, kind: Kind, name: &At<String>, findings: &mut Findings) -> Option<&'d Body> {
        if let Some(document) = self.0.get(&(kind, name.as_str())) {
            return Some(&document.body);
        }
        let finding =
            Finding::new(Code::SloUnknownReference, name.place, format!("no `{kind}` is called `{name}`"));
        if let Some(near) = nearest(name, self.of_kind(kind)) {
            findings.add(finding.label(format!("did you mean `{near}`?")));
            return None;
        }
        let finding = finding.label("not declared in these files");
        let declared: Vec<_> = self.of_kind(kind).take(SHOWN + 1).map(|name| format!("`{name}`")).collect();
        let elsewhere = self.0.keys().find(|(_, other)| *other == name.as_str());
        findings.add(match (elsewhere, declared.len()) {
            (Some((other, _)), _) => finding.help(format!("the name is that of another kind: `{other}`")),
            (None, 1..=SHOWN) => finding.help(format!("declared here: {}", declared.join(", "))),
            (None, _) => finding,
        });
        None
    }

    fn slo(&self, draft: &SloDraft, findings: &mut Findings) -> Option<Slo> {
        self.check_service(&draft.service, findings);
        let composite = draft.objectives.iter().any(|objective| objective.indicator.is_some());
        let objectives: Vec<_> = draft
            .objectives
            .iter()
            .map(|objective| self.objective(objective, draft, composite, findings))
            .collect();
        let policies: Vec<_> = draft.policies.iter().map(|policy| self.policy_of(policy, findings)).collect();
        let policies: Vec<AlertPolicy> = policies.into_iter().collect::<Option<_>>()?;
        let objectives: Vec<Objective> = objectives.into_iter().collect::<Option<_>>()?;
        check_lookbacks(&objectives, &policies, findings);
        let slo = (!objectives.is_empty()).then(|| Slo {
            name: draft.metadata.name.clone(),
            display: draft.metadata.display.clone(),
            about: draft.about.clone(),
            service: draft.service.clone(),
            labels: draft.metadata.labels.clone(),
            annotations: draft.metadata.annotations.clone(),
            window: draft.window.clone(),
            objectives,
            policies,
        })?;
        super::lint::lint(&slo, findings);
        Some(slo)
    }

    fn check_service(&self, service: &At<String>, findings: &mut Findings) {
        let mut known = self.of_kind(Kind::Service).peekable();
        if known.peek().is_none() || self.0.contains_key(&(Kind::Service, service.as_str())) {
            return;
        }
        let title = format!("no `Service` is called `{service}`, though others are declared");
        let finding = Finding::new(Code::SloUnknownService, service.place, title);
        findings.add(match nearest(service, known) {
            Some(near) => finding.label(format!("did you mean `{near}`?")),
            None => finding,
        });
    }

    fn objective(
        &self,
        draft: &ObjectiveDraft,
        slo: &SloDraft,
        composite: bool,
        findings: &mut Findings,
    ) -> Option<Objective> {
        let indicator = match draft.indicator.as_ref().or(slo.indicator.as_ref())? {
            Ref::Inline(indicator) => indicator.as_ref()?,
            Ref::Named(name) => {
                let Body::Sli(indicator) = self.find(Kind::Sli, name, findings)? else { return None };
                indicator
            }
        };
        let measure = match self.said(indicator, findings)? {
            Saying::Ratio { counter, part, counted, total } => {
                warn_of_threshold(draft, findings);
                let (wanted, side) = match part {
                    Part::Good => (Count::Good, "good"),
                    Part::Bad => (Count::Bad, "bad"),
                };
                let counted = findings.take(counted.counting(wanted, side));
                let total = findings.take(total.counting(Count::Valid, "total"));
                Measure::Ratio { counter, part, counted: counted?, total: total? }
            }
            Saying::Raw { said, rate } => {
                warn_of_threshold(draft, findings);
                Measure::Raw { query: findings.take(said.ready_made())?, rate }
            }
            Saying::Threshold(said) => findings.take(threshold(said, draft))?,
        };
        let weight = composite.then(|| draft.weight.map_or(1.0, |weight| weight.value));
        let ObjectiveDraft { label, place, target, budgeting, .. } = draft.clone();
        Some(Objective { label, place, target, measure, budgeting, weight })
    }

    fn said(&self, indicator: &Indicator, findings: &mut Findings) -> Option<Saying> {
        let mut read = |metric: &Metric| {
            let source = match &metric.source {
                None => None,
                Some(name) => {
                    let found = self.find(Kind::DataSource, name, findings)?;
                    let Body::DataSource(source) = found else { return None };
                    Some(source)
                }
            };
            metric.read(source).map_err(|all| findings.extend(all)).ok()
        };
        Some(match indicator {
            Indicator::Ratio { counter, part, counted, total } => {
                let (counted, total) = (read(counted), read(total));
                Saying::Ratio { counter: *counter, part: *part, counted: counted?, total: total? }
            }
            Indicator::Raw { metric, rate } => Saying::Raw { said: read(metric)?, rate: *rate },
            Indicator::Threshold(metric) => Saying::Threshold(read(metric)?),
        })
    }

    fn policy_of(&self, policy: &Ref<Option<PolicyDraft>>, findings: &mut Findings) -> Option<AlertPolicy> {
        match policy {
            Ref::Inline(draft) => self.policy(draft.as_ref()?, findings),
            Ref::Named(name) => {
                let found = self.find(Kind::AlertPolicy, name, findings)?;
                let Body::AlertPolicy(draft) = found else { return None };
                self.policy(draft, findings)
            }
        }
    }

    fn policy(&self, draft: &PolicyDraft, findings: &mut Findings) -> Option<AlertPolicy> {
        let condition = self.condition(&draft.condition, findings);
        let targets: Vec<_> = draft.targets.iter().map(|target| self.target(target, findings)).collect();
        Some(AlertPolicy {
            name: draft.name.clone(),
            display: draft.display.clone(),
            when_no_data: draft.when_no_data,
            when_resolved: draft.when_resolved,
            when_breaching: draft.when_breaching,
            condition: condition?,
            targets: targets.into_iter().collect::<Option<_>>()?,
        })
    }

    fn condition(
        &self,
        condition: &Ref<Option<AlertCondition>>,
        findings: &mut Findings,
    ) -> Option<AlertCondition> {
        match condition {
            Ref::Inline(condition) => condition.clone(),
            Ref::Named(name) => {
                let found = self.find(Kind::AlertCondition, name, findings)?;
                let Body::AlertCondition(condition) = found else { return None };
                Some(condition.clone())
            }
        }
    }

    fn target(
        &self,
        target: &Ref<NotificationTarget>,
        findings: &mut Findings,
    ) -> Option<NotificationTarget> {
        match target {
            Ref::Inline(target) => Some(target.clone()),
            Ref::Named(name) => {
                let found = self.find(Kind::AlertNotificationTarget, name, findings)?;
                let Body::AlertNotificationTarget(target) = found else { return None };
                Some(target.clone())
            }
        }
    }
}

/// OpenSLO's own examples write `op` on objectives of a ratio, and its tools refuse it.
fn warn_of_threshold(draft: &ObjectiveDraft, findings: &mut Findings) {
    let why = "a ratio is good or bad by itself; only a threshold metric is compared";
    let op = draft.op.as_ref().map(|op| ("op", op.place));
    let value = draft.value.as_ref().map(|value| ("value", value.place));
    findings.extend(op.into_iter().chain(value).map(|(key, place)| superfluous(key, place, why)));
}

/// An objective on values that are compared with a limit.
fn threshold(said: Said, draft: &ObjectiveDraft) -> Result<Measure, Finding> {
    let missing = |key: &str| {
        let title = format!("an objective on a threshold metric needs `{key}`");
        Finding::new(Code::SloObjective, draft.place, title)
            .help("add `op: lte` and the `value` that a good metric does not exceed")
    };
    let op = draft.op.as_ref().ok_or_else(|| missing("op"))?;
    let value = draft.value.as_ref().ok_or_else(|| missing("value"))?;
    match said {
        Said::Latency { sli, .. } => latency(sli, op, value),
        Said::Count { count, .. } => {
            let title = format!("the count of {} samples is no value to compare", count.name());
            Err(Finding::new(Code::SloMetricSource, count.place, title)
                .help("write `quantity: latency`, or a `ratioMetric` for counts"))
        }
        Said::Prometheus { query, source } => {
            let metric = super::Query::Prometheus { query, source };
            Ok(Measure::Threshold { metric, op: op.value, value: value.value.clone() })
        }
        Said::Other { source_type } => {
            let metric = super::Query::Other { source_type };
            Ok(Measure::Threshold { metric, op: op.value, value: value.value.clone() })
        }
    }
}

fn latency(sli: At<String>, op: &At<Op>, value: &At<Decimal>) -> Result<Measure, Finding> {
    if matches!(op.value, Op::Gt | Op::Gte) {
        let title = format!("a latency is good when it is short, not `{}` a limit", op.value.name());
        return Err(Finding::new(Code::SloObjective, op.place, title).help("write `op: lte` or `op: lt`"));
    }
    let limit = value.seconds().filter(|limit| !limit.is_zero()).ok_or_else(|| {
        let title = format!("`{}` is no latency: it is in seconds, above 0", value.value);
        Finding::new(Code::SloObjective, value.place, title).help("for 250 ms write `value: 0.25`")
    })?;
    Ok(Measure::Latency { sli, limit, inclusive: op.value == Op::Lte })
}

/// A burn rate over time slices is the share of bad slices in its lookback, which must hold one.
fn check_lookbacks(objectives: &[Objective], policies: &[AlertPolicy], findings: &mut Findings) {
    for objective in objectives {
        let slice = match objective.budgeting {
            Budgeting::Occurrences => continue,
            Budgeting::Timeslices { slice, .. } | Budgeting::RatioTimeslices { slice } => slice,
        };
        findings.extend(policies.iter().filter_map(|policy| {
            let lookback = &policy.condition.lookback;
            (lookback.nominal() < slice.nominal()).then(|| {
                let title = format!("a lookback of {lookback} holds no whole time slice of {slice}");
                Finding::new(Code::SloTimeSlices, lookback.place, title)
                    .also(objective.place, format!("this objective is judged by slices of {slice}"))
            })
        }));
    }
}
