//! What a Prometheus says of itself: its targets, rules, alerts and how it runs.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use crate::exposition::Labels;
use crate::units::Span;

/// A scrape that may take no more than this is one of a drill that hurries.
pub(crate) const HASTE: Duration = Duration::from_millis(250);

/// What Prometheus says of a scrape that took too long.
const DEADLINE: &str = "deadline exceeded";

/// Every target that is scraped.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Targets {
    /// Those that discovery found and relabelling kept.
    #[serde(default)]
    pub active_targets: Vec<Target>,
}

impl Targets {
    /// Those that cannot be scraped.
    pub fn down(&self) -> impl Iterator<Item = &Target> {
        self.active_targets.iter().filter(|target| target.health == Health::Down)
    }
}

/// One thing that is scraped.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Its labels after relabelling.
    #[serde(default)]
    pub labels: Labels,
    /// Its labels before.
    #[serde(default)]
    pub discovered_labels: Labels,
    /// The job it was configured as.
    #[serde(default)]
    pub scrape_pool: String,
    /// Where it is scraped.
    #[serde(default)]
    pub scrape_url: String,
    /// How long a scrape may take, as Prometheus writes it.
    #[serde(default)]
    pub scrape_timeout: String,
    /// What the last scrape failed with; empty when it did not.
    #[serde(default)]
    pub last_error: String,
    /// When it was scraped last; `None` before the first time.
    #[serde(default, deserialize_with = "moment")]
    pub last_scrape: Option<Timestamp>,
    /// How the last scrape went.
    #[serde(default)]
    pub health: Health,
}

impl Target {
    /// Which it is, and that it is down, and why.
    #[must_use]
    pub fn told_down(&self) -> String {
        let instance = self.labels.get("instance").map_or(self.scrape_url.as_str(), String::as_str);
        format!("target `{instance}` of job `{}` is down: {}", self.scrape_pool, self.last_error)
    }

    /// Whether its last scrape did not end in the little time that a drill in a hurry leaves it: that
    /// says more of the machine than of whoever is scraped.
    #[must_use]
    pub fn is_hurried(&self) -> bool {
        self.hurries().is_some() && self.health == Health::Down && self.last_error.contains(DEADLINE)
    }

    /// How long its scrapes may take, where that is as little as only a drill in a hurry leaves them.
    #[must_use]
    pub fn hurries(&self) -> Option<Duration> {
        self.scrape_timeout.parse::<Span>().ok().map(|limit| limit.0).filter(|limit| *limit <= HASTE)
    }
}

/// How the last scrape, or the last evaluation, went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum Health {
    /// A target answered.
    #[serde(rename = "up")]
    Up,
    /// A target did not.
    #[serde(rename = "down")]
    Down,
    /// A rule was evaluated.
    #[serde(rename = "ok")]
    Ok,
    /// A rule failed.
    #[serde(rename = "err")]
    Err,
    /// There was no first time yet.
    #[default]
    #[serde(other, rename = "unknown")]
    Unknown,
}

/// Every group of rules.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Groups {
    /// In the order of files.
    #[serde(default)]
    pub groups: Vec<Group>,
}

/// Rules that are evaluated one after another.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// Its name, unique in its file.
    pub name: String,
    /// Its file.
    #[serde(default)]
    pub file: String,
    /// How often it is evaluated, in seconds.
    #[serde(default)]
    pub interval: f64,
    /// When it was evaluated last; `None` before the first time.
    #[serde(default, deserialize_with = "moment")]
    pub last_evaluation: Option<Timestamp>,
    /// How long that took, in seconds.
    #[serde(default)]
    pub evaluation_time: f64,
    /// Its rules, in order.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// A rule: alerting where it has a `state`, else recording.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// The alert's name, or that of the series it records.
    pub name: String,
    /// Its expression, as Prometheus prints it.
    pub query: String,
    /// How far its worst alert is; `None` where it records.
    #[serde(default)]
    pub state: Option<AlertState>,
    /// Its `for`, in seconds.
    #[serde(default)]
    pub duration: f64,
    /// Its `keep_firing_for`, in seconds.
    #[serde(default)]
    pub keep_firing_for: f64,
    /// Its labels.
    #[serde(default)]
    pub labels: Labels,
    /// Its annotations, as templates.
    #[serde(default)]
    pub annotations: Labels,
    /// Its alerts, pending and firing.
    #[serde(default)]
    pub alerts: Vec<Alert>,
    /// How its last evaluation went.
    #[serde(default)]
    pub health: Health,
    /// What the last evaluation failed with; empty when it did not.
    #[serde(default)]
    pub last_error: String,
    /// When it was evaluated last; `None` before the first time.
    #[serde(default, deserialize_with = "moment")]
    pub last_evaluation: Option<Timestamp>,
}

/// Every alert that is pending or firing.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Alerts {
    /// In no order that could be relied on.
    #[serde(default)]
    pub alerts: Vec<Alert>,
}

/// An alert.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// Its labels, `alertname` among them.
    pub labels: Labels,
    /// Its annotations, filled in.
    #[serde(default)]
    pub annotations: Labels,
    /// How far it is.
    pub state: AlertState,
    /// Since when its condition has held.
    #[serde(default, deserialize_with = "moment")]
    pub active_at: Option<Timestamp>,
    /// What its expression gave, as Prometheus prints it.
    #[serde(default)]
    pub value: String,
}

/// How far an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// Its rule has not been evaluated yet.
    Unknown,
    /// Its condition does not hold.
    Inactive,
    /// Its condition has not held for long enough.
    Pending,
    /// It is told to Alertmanager.
    Firing,
}

/// Whom a Prometheus tells of alerts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alertmanagers {
    /// Those that are told.
    #[serde(default)]
    pub active_alertmanagers: Vec<Alertmanager>,
    /// Those that relabelling dropped.
    #[serde(default)]
    pub dropped_alertmanagers: Vec<Alertmanager>,
}

/// One Alertmanager.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Alertmanager {
    /// Where alerts are sent.
    pub url: String,
}

/// How a Prometheus runs. Those that only speak like one leave most of it out.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Runtime {
    /// When it started.
    #[serde(default, deserialize_with = "moment")]
    pub start_time: Option<Timestamp>,
    /// Whether its configuration could be read the last time it tried.
    #[serde(default)]
    pub reload_config_success: Option<bool>,
    /// When its configuration was read last.
    #[serde(default, deserialize_with = "moment")]
    pub last_config_time: Option<Timestamp>,
    /// How long it keeps what it scraped: `15d`, `15d or 10GB`.
    #[serde(default)]
    pub storage_retention: String,
}

/// What is known of a metric family, as its targets describe it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Metadata {
    /// `counter`, `gauge`, `histogram`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// What it is.
    #[serde(default)]
    pub help: String,
    /// What it is counted in.
    #[serde(default)]
    pub unit: String,
}

/// Metric families by name.
pub(super) type Families = BTreeMap<String, Vec<Metadata>>;

/// A moment; Go's year 1 stands for none.
fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let moment = text.and_then(|text| text.parse::<Timestamp>().ok());
    Ok(moment.filter(|moment| *moment > Timestamp::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::in_a_hurry("100ms", "down", "Get \"http://a\": context deadline exceeded", true)]
    #[case::at_leisure("10s", "down", "Get \"http://a\": context deadline exceeded", false)]
    #[case::refused("100ms", "down", "dial tcp 127.0.0.1:1: connect: connection refused", false)]
    #[case::well("100ms", "up", "", false)]
    fn a_scrape_is_hurried_where_so_little_time_was_too_little(
        #[case] limit: &str,
        #[case] health: &str,
        #[case] error: &str,
        #[case] hurried: bool,
    ) {
        let target = serde_json::json!({ "scrapeTimeout": limit, "health": health, "lastError": error });
        assert_eq!(serde_json::from_value::<Target>(target).unwrap().is_hurried(), hurried);
    }
}
