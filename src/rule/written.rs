//! Prometheus rule files as written.

use serde::Deserialize;

use crate::promql::PromDuration;
use crate::source::At;
use crate::yaml::{Entries, Json};

/// A rule file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleFileWritten {
    #[serde(default)]
    pub(super) groups: Vec<GroupWritten>,
}

/// A group of rules.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupWritten {
    pub(super) name: At<String>,
    pub(super) interval: Option<At<PromDuration>>,
    pub(super) query_offset: Option<At<PromDuration>>,
    #[serde(default)]
    pub(super) limit: u64,
    #[serde(default)]
    pub(super) labels: Entries<At<String>>,
    #[serde(default)]
    pub(super) rules: Vec<At<RuleWritten>>,
    /// Thanos's; Prometheus itself would refuse it.
    #[expect(dead_code, reason = "it says nothing of when an alert fires")]
    pub(super) partial_response_strategy: Option<Json>,
}

/// A rule: exactly one of `record` and `alert`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleWritten {
    pub(super) record: Option<At<String>>,
    pub(super) alert: Option<At<String>>,
    pub(super) expr: At<String>,
    #[serde(rename = "for")]
    pub(super) holds: Option<At<PromDuration>>,
    #[serde(rename = "keep_firing_for")]
    pub(super) keeps: Option<At<PromDuration>>,
    #[serde(default)]
    pub(super) labels: Entries<At<String>>,
    #[serde(default)]
    pub(super) annotations: Entries<At<String>>,
}
