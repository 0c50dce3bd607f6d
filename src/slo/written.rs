//! OpenSLO v1 documents as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Kind;
use super::decimal::Decimal;
use super::indicator::RawRate;
use super::lists::{ListOrNothing, Texts};
use super::objective::Op;
use super::period::{Period, SliceWritten};
use crate::source::At;
use crate::yaml::{Entries, Json};

/// An OpenSLO document.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "{S}Document")]
pub(super) struct DocumentWritten<S> {
    /// The version of OpenSLO: `openslo/v1`.
    #[expect(dead_code, reason = "read before the rest of the document")]
    #[schemars(extend("const" = "openslo/v1"))]
    api_version: String,
    /// What the document declares.
    #[expect(dead_code, reason = "read before the rest of the document")]
    kind: Kind,
    /// What it is called.
    pub(super) metadata: MetadataWritten,
    /// What it says.
    pub(super) spec: At<S>,
}

/// What a document is called.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct MetadataWritten {
    /// The name that references and reports use: lower-case letters, digits and `-`, at most 63.
    pub(super) name: At<String>,
    /// The name for people, at most 63 characters.
    pub(super) display_name: Option<At<String>>,
    /// Labels, each a string or a list of strings.
    #[serde(default)]
    pub(super) labels: Entries<Texts>,
    /// Notes for tools, as `prefix/name`.
    #[serde(default)]
    pub(super) annotations: Entries<String>,
}

/// A group of SLOs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Service")]
pub(super) struct ServiceSpec {
    /// What it is, in at most 1050 characters.
    pub(super) description: Option<At<String>>,
}

/// Where numbers come from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "DataSource")]
pub(super) struct DataSourceSpec {
    /// What it is, in at most 1050 characters.
    pub(super) description: Option<At<String>>,
    /// `prometheus`, `firedrill`, or another tool's.
    #[serde(rename = "type")]
    pub(super) source_type: At<String>,
    /// How to reach it; any value.
    pub(super) connection_details: Option<Json>,
}

/// What is measured: exactly one of `thresholdMetric` and `ratioMetric`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "SLI")]
pub(super) struct SliSpec {
    /// What it is, in at most 1050 characters.
    pub(super) description: Option<At<String>>,
    /// Values that an objective's `op` and `value` split into good and bad.
    pub(super) threshold_metric: Option<At<MetricWritten>>,
    /// Events counted as good or bad.
    pub(super) ratio_metric: Option<At<RatioWritten>>,
}

/// `good` or `bad` with `total`, or `raw` with `rawType`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RatioWritten {
    /// Whether the metrics only ever go up.
    #[serde(default)]
    pub(super) counter: bool,
    /// The good events.
    pub(super) good: Option<At<MetricWritten>>,
    /// The bad events.
    pub(super) bad: Option<At<MetricWritten>>,
    /// All events that count.
    pub(super) total: Option<At<MetricWritten>>,
    /// Whether the ratio in `raw` is of successes or of failures.
    pub(super) raw_type: Option<At<RawRate>>,
    /// A ratio that somebody else computed.
    pub(super) raw: Option<At<MetricWritten>>,
}

/// A metric.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct MetricWritten {
    /// Where it comes from.
    pub(super) metric_source: At<MetricSourceWritten>,
}

/// Where a metric comes from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct MetricSourceWritten {
    /// A `DataSource` by name.
    pub(super) metric_source_ref: Option<At<String>>,
    /// `firedrill`, `prometheus`, or another tool's; that of the `DataSource` unless said.
    #[serde(rename = "type")]
    pub(super) source_type: Option<At<String>>,
    /// What is asked of it. For `firedrill`: `{ sli: NAME, count: good | bad | valid }`, or, for a latency,
    /// `{ sli: NAME, quantity: latency }`. For `prometheus`: `{ query: PROMQL }`.
    #[schemars(extend("type" = "object", "minProperties" = 1))]
    pub(super) spec: At<Json>,
}

/// What `firedrill` is asked for: exactly one of `count` and `quantity`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FiredrillSpec {
    pub(super) sli: At<String>,
    pub(super) count: Option<At<super::Count>>,
    pub(super) quantity: Option<At<QuantityWritten>>,
}

/// What firedrill measures of each sample.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum QuantityWritten {
    /// From when it was due to its end, in seconds.
    Latency,
}

/// What a service promises.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "SLO")]
pub(super) struct SloSpec {
    /// What it is, in at most 1050 characters.
    pub(super) description: Option<At<String>>,
    /// The service it is about.
    pub(super) service: At<String>,
    /// What is measured.
    pub(super) indicator: Option<At<InlineIndicator>>,
    /// What is measured: an `SLI` by name.
    pub(super) indicator_ref: Option<At<String>>,
    /// The time it is judged over: exactly one.
    pub(super) time_window: Option<At<Vec<At<WindowWritten>>>>,
    /// How the error budget is spent: by events, by bad slices of time, or by the mean over slices.
    pub(super) budgeting_method: Option<At<MethodWritten>>,
    /// What is promised.
    pub(super) objectives: At<Vec<At<ObjectiveWritten>>>,
    /// Who is told when the budget burns.
    #[serde(default)]
    pub(super) alert_policies: ListOrNothing<At<PolicyItem>>,
}

/// An indicator in the place where it is used.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InlineIndicator {
    /// What it is called.
    pub(super) metadata: MetadataWritten,
    /// What is measured.
    pub(super) spec: At<SliSpec>,
}

/// How an error budget is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub(super) enum MethodWritten {
    /// By bad events.
    Occurrences,
    /// By slices of time with too few good events.
    Timeslices,
    /// By the mean of the slices' ratios.
    RatioTimeslices,
}

/// The time an objective is judged over.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WindowWritten {
    /// How long: a whole number and one of `m`, `h`, `d`, `w`, `M` (month), `Q`, `Y`.
    pub(super) duration: At<Period>,
    /// Whether it always ends now; not so where there is a `calendar`.
    pub(super) is_rolling: Option<At<bool>>,
    /// Where it begins and ends otherwise.
    pub(super) calendar: Option<At<CalendarWritten>>,
}

/// Where a calendar's windows begin.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CalendarWritten {
    /// The first beginning, as `2026-01-31 00:00:00`.
    pub(super) start_time: At<String>,
    /// Where that is, by IANA's name: `Europe/Berlin`.
    pub(super) time_zone: At<String>,
}

/// One promise: exactly one of `target` and `targetPercent`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ObjectiveWritten {
    /// What reports call it.
    pub(super) display_name: Option<At<String>>,
    /// How a metric's value compares with `value` when it is good. For a latency of `firedrill`: `lte` or `lt`.
    pub(super) op: Option<At<Op>>,
    /// What a metric's value is compared with. For a latency of `firedrill`: seconds.
    pub(super) value: Option<At<Decimal>>,
    /// The share that must be good, from 0 and below 1.
    #[schemars(extend("minimum" = 0, "exclusiveMaximum" = 1))]
    pub(super) target: Option<At<Decimal>>,
    /// The share that must be good, from 0 and below 100.
    #[schemars(extend("minimum" = 0, "exclusiveMaximum" = 100))]
    pub(super) target_percent: Option<At<Decimal>>,
    /// The share of a time slice that makes it good, above 0 and up to 1; for `Timeslices`.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub(super) time_slice_target: Option<At<Decimal>>,
    /// How long a time slice is; for `Timeslices` and `RatioTimeslices`.
    pub(super) time_slice_window: Option<At<SliceWritten>>,
    /// What is measured, in a composite.
    pub(super) indicator: Option<At<InlineIndicator>>,
    /// What is measured, in a composite: an `SLI` by name.
    pub(super) indicator_ref: Option<At<String>>,
    /// How much it counts among the objectives of a composite; 1 unless said.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub(super) composite_weight: Option<At<Decimal>>,
}

/// An alert policy by name, or as a document without version.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PolicyItem {
    /// An `AlertPolicy` by name.
    pub(super) alert_policy_ref: Option<At<String>>,
    /// `AlertPolicy`.
    pub(super) kind: Option<At<Kind>>,
    /// What it is called.
    pub(super) metadata: Option<MetadataWritten>,
    /// What it says.
    pub(super) spec: Option<At<AlertPolicySpec>>,
}

/// When to tell whom.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "AlertPolicy")]
pub(super) struct AlertPolicySpec {
    /// What it is, in at most 1050 characters.
    pub(super) description: Option<At<String>>,
    /// Whether silence is told.
    #[serde(default)]
    pub(super) alert_when_no_data: bool,
    /// Whether the end is told.
    #[serde(default)]
    pub(super) alert_when_resolved: bool,
    /// Whether the beginning is told.
    #[serde(default)]
    pub(super) alert_when_breaching: bool,
    /// What must hold: exactly one.
    pub(super) conditions: At<Vec<At<ConditionItem>>>,
    /// Who is told: at least one.
    pub(super) notification_targets: At<Vec<At<TargetItem>>>,
}

/// An alert condition by name, or as a document without version.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ConditionItem {
    /// An `AlertCondition` by name.
    pub(super) condition_ref: Option<At<String>>,
    /// `AlertCondition`.
    pub(super) kind: Option<At<Kind>>,
    /// What it is called.
    pub(super) metadata: Option<MetadataWritten>,
    /// What it says.
    pub(super) spec: Option<At<AlertConditionSpec>>,
}

/// When an alert fires.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AlertCondition")]
pub(super) struct AlertConditionSpec {
    /// What it is, in at most 1050 characters.
    pub(super) description: Option<At<String>>,
    /// How bad it is: `page`, `ticket`.
    pub(super) severity: At<String>,
    /// What must hold.
    pub(super) condition: At<BurnRateWritten>,
}

/// A burn rate over some time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BurnRateWritten {
    /// `burnrate`, which it is unless said.
    #[expect(dead_code, reason = "there is one kind")]
    kind: Option<ConditionKind>,
    /// How the burn rate compares with the threshold when the alert fires.
    pub(super) op: Option<At<Op>>,
    /// The burn rate: 1 spends the budget in exactly the SLO's window.
    pub(super) threshold: At<Decimal>,
    /// The time the burn rate is taken over.
    pub(super) lookback_window: At<Period>,
    /// How long it must hold; `0m` unless said.
    pub(super) alert_after: Option<At<Period>>,
}

/// What a condition looks at.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ConditionKind {
    /// How fast the budget is spent.
    BurnRate,
}

/// A notification target by name, or as a document without version.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TargetItem {
    /// An `AlertNotificationTarget` by name.
    pub(super) target_ref: Option<At<String>>,
    /// `AlertNotificationTarget`.
    pub(super) kind: Option<At<Kind>>,
    /// What it is called.
    pub(super) metadata: Option<MetadataWritten>,
    /// What it says.
    pub(super) spec: Option<At<AlertNotificationTargetSpec>>,
}

/// Who is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AlertNotificationTarget")]
pub(super) struct AlertNotificationTargetSpec {
    /// What it is, in at most 1050 characters.
    pub(super) description: Option<At<String>>,
    /// By which way: `slack`, `email`, a web hook.
    pub(super) target: At<String>,
}
