//! What an alert says of itself to those who are woken by it.

use crate::finding::{Code, Finding, Findings};
use crate::rule::{Alert, Group, Rule};

/// Names under which teams write who is to act.
const OWNERS: [&str; 6] = ["team", "owner", "service", "squad", "contact", "component"];

/// Names under which teams write what to do.
pub(super) const RUNBOOKS: [&str; 5] = ["runbook_url", "runbook", "runbook_link", "playbook", "playbook_url"];

/// An alert says how bad it is, what to do, and whose it is.
pub(super) fn check(group: &Group, rule: &Rule, alert: &Alert, findings: &mut Findings) {
    let labelled = |name: &str| rule.all_labels(group).any(|(label, _)| label.value == name);
    let noted = |name: &str| alert.annotations.iter().any(|(note, _)| note.value == name);
    if !labelled("severity") {
        let title = format!("`{}` has no label `severity`", rule.name);
        let finding = Finding::new(Code::AuditSeverity, rule.name.place, title);
        findings.add(finding.help("add `severity: critical`, or what your routes go by"));
    }
    if !RUNBOOKS.iter().any(|name| noted(name) || labelled(name)) {
        let title = format!("`{}` does not say what to do", rule.name);
        let finding = Finding::new(Code::AuditRunbook, rule.name.place, title);
        findings.add(finding.help("add the annotation `runbook_url`"));
    }
    if !OWNERS.iter().any(|name| labelled(name) || noted(name)) {
        let title = format!("`{}` does not say whose it is", rule.name);
        let finding = Finding::new(Code::AuditOwner, rule.name.place, title);
        findings.add(finding.help("add a label like `team`"));
    }
}
