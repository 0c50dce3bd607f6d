//! Who is told, and when.

use std::fmt;

use super::Kind;
use super::decimal::Decimal;
use super::metadata::check_description;
use super::objective::Op;
use super::period::{Period, Unit};
use super::reference::{Item, Ref};
use super::written::{
    AlertConditionSpec, AlertNotificationTargetSpec, AlertPolicySpec, ConditionItem, MetadataWritten,
    PolicyItem, TargetItem,
};
use crate::finding::{Code, Finding, Findings};
use crate::source::{At, Place};

/// When to tell whom. Each policy of an SLO stands for itself: any of them may fire.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertPolicy {
    /// Its name.
    pub name: At<String>,
    /// Its name for people.
    pub display: Option<String>,
    /// Whether silence is told.
    pub when_no_data: bool,
    /// Whether the end is told.
    pub when_resolved: bool,
    /// Whether the beginning is told.
    pub when_breaching: bool,
    /// What must hold.
    pub condition: AlertCondition,
    /// Who is told.
    pub targets: Vec<NotificationTarget>,
}

/// A burn rate that an alert fires at.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertCondition {
    /// Its name.
    pub name: At<String>,
    /// How bad it is.
    pub severity: At<String>,
    /// How the burn rate compares with the threshold when the alert fires.
    pub op: Op,
    /// The burn rate: 1 spends the budget in exactly the SLO's window.
    pub threshold: At<Decimal>,
    /// The time the burn rate is taken over.
    pub lookback: At<Period>,
    /// How long it must hold.
    pub after: Period,
}

/// Who is told.
#[derive(Debug, Clone, PartialEq)]
pub struct NotificationTarget {
    /// Its name.
    pub name: At<String>,
    /// By which way.
    pub target: At<String>,
}

impl fmt::Display for AlertCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "burn rate {} {} over {}", self.op, self.threshold, self.lookback)?;
        if self.after.is_zero() { Ok(()) } else { write!(f, " for {}", self.after) }
    }
}

/// An alert policy whose condition and targets may still be names.
#[derive(Debug, Clone)]
pub(super) struct PolicyDraft {
    pub(super) name: At<String>,
    pub(super) display: Option<String>,
    pub(super) when_no_data: bool,
    pub(super) when_resolved: bool,
    pub(super) when_breaching: bool,
    pub(super) condition: Ref<Option<AlertCondition>>,
    pub(super) targets: Vec<Ref<NotificationTarget>>,
}

impl PolicyItem {
    pub(super) fn check(self, place: Place, findings: &mut Findings) -> Option<Ref<Option<PolicyDraft>>> {
        let Self { alert_policy_ref: named, kind, metadata, spec } = self;
        let item = Item { place, key: "alertPolicyRef", named, kind, metadata, spec };
        Some(match item.choose(Kind::AlertPolicy, findings)? {
            Ref::Named(name) => Ref::Named(name),
            Ref::Inline((metadata, spec)) => Ref::Inline(spec.value.check(metadata, findings)),
        })
    }
}

impl ConditionItem {
    fn check(self, place: Place, findings: &mut Findings) -> Option<Ref<Option<AlertCondition>>> {
        let Self { condition_ref: named, kind, metadata, spec } = self;
        let item = Item { place, key: "conditionRef", named, kind, metadata, spec };
        Some(match item.choose(Kind::AlertCondition, findings)? {
            Ref::Named(name) => Ref::Named(name),
            Ref::Inline((metadata, spec)) => Ref::Inline(spec.value.check(metadata, findings)),
        })
    }
}

impl TargetItem {
    fn check(self, place: Place, findings: &mut Findings) -> Option<Ref<NotificationTarget>> {
        let Self { target_ref: named, kind, metadata, spec } = self;
        let item = Item { place, key: "targetRef", named, kind, metadata, spec };
        Some(match item.choose(Kind::AlertNotificationTarget, findings)? {
            Ref::Named(name) => Ref::Named(name),
            Ref::Inline((metadata, spec)) => Ref::Inline(spec.value.check(metadata, findings)),
        })
    }
}

impl AlertPolicySpec {
    /// Checks a policy; `None` when it has no condition that could be looked for.
    pub(super) fn check(self, metadata: MetadataWritten, findings: &mut Findings) -> Option<PolicyDraft> {
        let metadata = metadata.check(findings);
        check_description(self.description.as_ref(), findings);
        let written = self.conditions.value;
        if written.len() != 1 {
            let title = format!("an alert policy has exactly one condition, not {}", written.len());
            let finding = Finding::new(Code::SloAlert, self.conditions.place, title);
            findings.add(if written.is_empty() {
                finding.help("write `conditions: [{ conditionRef: NAME }]`")
            } else {
                finding.help("give each condition a policy of its own")
            });
        }
        let conditions: Vec<_> = written.into_iter().map(|at| at.value.check(at.place, findings)).collect();
        if self.notification_targets.value.is_empty() {
            let title = "an alert policy has at least one notification target";
            findings.add(Finding::new(Code::SloAlert, self.notification_targets.place, title));
        }
        let targets = self.notification_targets.value.into_iter();
        let targets = targets.filter_map(|at| at.value.check(at.place, findings)).collect();
        Some(PolicyDraft {
            name: metadata.name,
            display: metadata.display,
            when_no_data: self.alert_when_no_data,
            when_resolved: self.alert_when_resolved,
            when_breaching: self.alert_when_breaching,
            condition: conditions.into_iter().next()??,
            targets,
        })
    }
}

impl AlertConditionSpec {
    /// Checks a condition.
    pub(super) fn check(self, metadata: MetadataWritten, findings: &mut Findings) -> Option<AlertCondition> {
        let metadata = metadata.check(findings);
        check_description(self.description.as_ref(), findings);
        let At { value: burn, place } = self.condition;
        let op = check_op(burn.op, place, findings);
        let holds_something = !burn.lookback_window.is_zero();
        if !holds_something {
            let title = "a burn rate over no time is none";
            findings.add(Finding::new(Code::SloAlert, burn.lookback_window.place, title));
        }
        let after = burn.alert_after.map_or_else(|| Period::new(0, Unit::Minute), |at| Some(at.value))?;
        holds_something.then_some(AlertCondition {
            name: metadata.name,
            severity: self.severity,
            op,
            threshold: burn.threshold,
            lookback: burn.lookback_window,
            after,
        })
    }
}

impl AlertNotificationTargetSpec {
    /// Checks a target.
    pub(super) fn check(self, metadata: MetadataWritten, findings: &mut Findings) -> NotificationTarget {
        check_description(self.description.as_ref(), findings);
        NotificationTarget { name: metadata.check(findings).name, target: self.target }
    }
}

/// How the burn rate compares when the alert fires, in a condition that stands at `place`.
fn check_op(written: Option<At<Op>>, place: Place, findings: &mut Findings) -> Op {
    let Some(op) = written else {
        let finding = Finding::new(Code::SloAssumed, place, "the condition has no `op`; `gt` is assumed");
        findings.add(finding.help("write `op: gt`"));
        return Op::Gt;
    };
    if matches!(*op, Op::Lt | Op::Lte) {
        let title = "this alert fires while the service is well: a low burn rate is a good one";
        let finding = Finding::new(Code::SloHealthyAlert, op.place, title);
        findings.add(finding.help("to be told when the budget burns fast, write `op: gt`"));
    }
    *op
}
