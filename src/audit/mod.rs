//! What looks right in rules and routing and is not: nothing is run, and nothing breaks until the night it matters.
//!
//! Each check is a file and adds findings of its own codes, `audit/…`. They can be put aside by a comment that says
//! why ([`suppress`]).

mod aside;
mod bounds;
mod dashboard;
mod expression;
mod join;
mod kinds;
mod live;
mod page;
mod refused;
mod runbook;
mod said;
mod source;
mod template;
#[cfg(test)]
mod tests;
mod timing;
mod way;

use std::time::Duration;

pub use self::aside::suppress;
pub use self::dashboard::{Dashboard, Gives, PanelQuery, Unknown, Variable, is_dashboard};
use self::kinds::Kinds;
pub use self::live::{Live, Unseen, audit_live, check_dashboard, wait_for_scrapes};
pub use self::page::{Page, Pages, fetch};
pub use self::refused::refused;
pub use self::runbook::Runbooks;
pub use self::source::{Files, read};
use crate::finding::Findings;
use crate::route::{Config, Labels};
use crate::rule::{Recorded, RuleFile};
use crate::source::{At, Sources};

/// What is looked at together.
#[derive(Debug, Default)]
pub struct Subject {
    /// Rule files.
    pub rules: Vec<RuleFile>,
    /// Who is told of what they raise.
    pub routing: Option<Config>,
    /// How often Prometheus looks, and what it adds; `None` where its configuration is not known.
    pub prometheus: Option<Surroundings>,
    /// What is shown of the same metrics.
    pub dashboards: Vec<Dashboard>,
    /// Where the files stand that links to runbooks lead to.
    pub runbooks: Vec<Runbooks>,
    /// The pages that other links lead to, where they were fetched.
    pub pages: Pages,
    /// Other files that may ask for metrics.
    pub texts: String,
}

/// What a Prometheus's configuration says of all its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// The longest interval at which a target is scraped.
    pub scrape_interval: Duration,
    /// How often rules are evaluated that do not say so themselves.
    pub evaluation_interval: Duration,
    /// Labels that every alert is sent with.
    pub external_labels: Labels,
    /// Whether alerts are sent with other labels than they fire with.
    pub relabels_alerts: bool,
    /// The names of what is scraped.
    pub jobs: Vec<At<String>>,
}

/// Adds a finding for each thing that is wrong. Where a Prometheus was looked at, it is believed about what metrics
/// are.
pub fn audit(subject: &Subject, live: Option<&Live>, sources: &Sources, findings: &mut Findings) {
    let by_name = Kinds::default();
    let kinds = live.map_or(&by_name, Live::kinds);
    let evaluated = subject.prometheus.as_ref().map(|one| one.evaluation_interval);
    let recorded = Recorded::of(&subject.rules, evaluated.unwrap_or_default());
    for file in &subject.rules {
        for (group, rule) in file.rules() {
            expression::check(rule, &recorded, kinds, sources, findings);
            join::check(rule, &recorded, sources, findings);
            timing::check(group, rule, subject.prometheus.as_ref(), sources, findings);
        }
        for (group, rule, alert) in file.alerts() {
            said::check(group, rule, alert, findings);
            runbook::check(group, rule, alert, subject, sources, findings);
            template::check(rule, alert, &recorded, sources, findings);
        }
    }
    for board in &subject.dashboards {
        dashboard::check(board, sources, findings);
    }
    expression::check_quantiles(&subject.rules, sources, findings);
    if let Some(config) = &subject.routing {
        way::check(config, subject, &recorded, findings);
    }
}
