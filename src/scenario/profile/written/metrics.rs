//! The metrics of a profile as they are written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Entries, Scalar};
use crate::source::At;
use crate::units::Rate;

/// The metrics page.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in super::super) struct MetricsFile {
    /// Where; `/metrics` unless given.
    pub(in super::super) path: Option<At<String>>,
    /// The families by name, in the order of the page.
    #[serde(default)]
    pub(in super::super) families: Entries<At<FamilyFile>>,
}

/// One metric family, moved by what is served (`counts`, `observes`, `follows`) or declared (`value`, `rate`,
/// `spread`, or several `series` of them).
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in super::super) struct FamilyFile {
    /// Its type.
    #[serde(rename = "type")]
    pub(in super::super) kind: At<FamilyType>,
    /// Its help text.
    pub(in super::super) help: Option<String>,
    /// Labels that every series of it has.
    #[serde(default)]
    #[schemars(with = "Entries<Scalar>")]
    pub(in super::super) labels: Entries<At<String>>,
    /// A counter: what it counts.
    pub(in super::super) counts: Option<At<Counted>>,
    /// A histogram: what it observes, in seconds.
    pub(in super::super) observes: Option<At<Observed>>,
    /// A gauge: what it is the number of.
    pub(in super::super) follows: Option<At<Followed>>,
    /// With `counts`, `observes` and `follows`: labels taken from what is served.
    pub(in super::super) by: Option<At<Vec<At<Facet>>>>,
    /// What a gauge is; where a counter starts.
    pub(in super::super) value: Option<At<f64>>,
    /// How fast a counter grows, or how often a `spread` is observed.
    pub(in super::super) rate: Option<At<Rate>>,
    /// A histogram: what is observed, `rate` times a second.
    pub(in super::super) spread: Option<At<SpreadFile>>,
    /// Several series, each with its own labels.
    pub(in super::super) series: Option<At<Vec<At<SeriesFile>>>>,
    /// A histogram: the upper bounds of its buckets, rising; sensible ones unless given.
    pub(in super::super) buckets: Option<At<Vec<f64>>>,
}

/// One series of a family.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in super::super) struct SeriesFile {
    /// The labels that tell it from the others.
    #[serde(default)]
    #[schemars(with = "Entries<Scalar>")]
    pub(in super::super) labels: Entries<At<String>>,
    /// What a gauge is; where a counter starts.
    pub(in super::super) value: Option<At<f64>>,
    /// How fast a counter grows, or how often a `spread` is observed.
    pub(in super::super) rate: Option<At<Rate>>,
    /// A histogram: what is observed, `rate` times a second.
    pub(in super::super) spread: Option<At<SpreadFile>>,
}

/// Values spread log-normally, in the metric's own unit.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in super::super) struct SpreadFile {
    /// The median.
    pub(in super::super) p50: f64,
    /// The 99th percentile.
    pub(in super::super) p99: f64,
    /// The largest value; ten times `p99` unless given.
    pub(in super::super) max: Option<f64>,
}

/// The types a declared family may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in super::super) enum FamilyType {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets, a sum and a count.
    Histogram,
}

/// What a counter may count. Requests are those to `routes` and `websockets`, and those to no known path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Counted {
    /// Answered requests.
    #[serde(rename = "requests")]
    Requests,
    /// Requests answered by a status of 500 or above.
    #[serde(rename = "errors")]
    Errors,
    /// WebSocket connections, from the first on.
    #[serde(rename = "connections")]
    Connections,
    /// WebSocket messages to clients.
    #[serde(rename = "messages sent")]
    MessagesSent,
    /// WebSocket messages from clients.
    #[serde(rename = "messages received")]
    MessagesReceived,
}

/// What a histogram may observe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Observed {
    /// The time from a request to its answer.
    Latency,
}

/// What a gauge may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Followed {
    /// WebSocket connections that are open.
    #[serde(rename = "connections")]
    Connections,
    /// Requests that are being answered.
    #[serde(rename = "requests in flight")]
    InFlight,
}

/// A label taken from what is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Facet {
    /// `GET`, `POST` …
    Method,
    /// The path as the profile declares it; `other` for unknown ones.
    Route,
    /// The status code.
    Status,
}
