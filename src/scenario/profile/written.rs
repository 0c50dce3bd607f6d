//! A profile as it is written. The documentation of each field is what an editor shows.

mod metrics;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

pub use self::metrics::{Counted, Facet, Followed, Observed};
pub(super) use self::metrics::{FamilyFile, FamilyType, MetricsFile, SeriesFile, SpreadFile};
use crate::scenario::template::Template;
use crate::source::At;
use crate::units::{Ratio, Span};
pub(super) use crate::yaml::Entries;
use crate::yaml::Json;

/// A stand-in: a service played from a description of what it answers and exposes.
///
/// It always answers `GET /health`, `/ready`, `/version` and `/metrics`; a route at one of these paths takes
/// its place. Texts it sends may hold `${sequence}` (1, 2, 3 … on this route or connection), `${now}`,
/// `${uptime}` (whole seconds) and `${version}`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ProfileFile {
    /// The name of the service that is played.
    #[serde(rename = "stand-in")]
    pub(super) stand_in: At<String>,
    /// What it is, in a sentence.
    pub(super) about: Option<String>,
    /// What `/version` and `/health` say; `0.0.0` unless given.
    #[schemars(with = "Option<Scalar>")]
    pub(super) version: Option<String>,
    /// How it says that it is healthy.
    pub(super) health: Option<At<HealthFile>>,
    /// How it says that it takes requests.
    pub(super) ready: Option<At<ReadyFile>>,
    /// What it answers over HTTP.
    #[serde(default)]
    pub(super) routes: Vec<At<RouteFile>>,
    /// What it does over WebSocket.
    #[serde(default)]
    pub(super) websockets: Vec<SocketFile>,
    /// What it logs of each request to a route: to its standard output, or, played within firedrill, to the service's log.
    pub(super) log: Option<LogFile>,
    /// The share of traces that are recorded, among those that begin here; all unless given.
    pub(super) sampling: Option<Ratio>,
    /// What it exposes to Prometheus.
    pub(super) metrics: Option<At<MetricsFile>>,
}

/// A line of JSON for each request to a route. Its texts may also hold `${method}`, `${path}`, `${status}` of the answer,
/// `${took}` in milliseconds, the ids `${trace}` and `${span}` of its W3C trace, and `${sampled}`, whether that is recorded.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct LogFile {
    /// The line of a request that was answered.
    pub(super) answered: Json,
    /// The line of one that was answered by a status of 500 or above; as `answered` unless given.
    pub(super) failed: Option<Json>,
}

/// The health endpoint: `{ status, timestamp, version, checks }`; 503 when down.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct HealthFile {
    /// Where; `/health` unless given.
    pub(super) path: Option<At<String>>,
    /// What it claims; unless given, as bad as its worst check.
    pub(super) status: Option<Status>,
    /// Its components, each a word or a word with details.
    #[serde(default)]
    pub(super) checks: Entries<CheckWritten>,
}

/// How a service says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All is well.
    Healthy,
    /// It works, and something is wrong.
    Degraded,
    /// It does not work.
    Down,
}

/// How a component of a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// It is well.
    Ok,
    /// Something is wrong with it.
    Warning,
    /// It does not work.
    Error,
}

/// `ok`, or `{ status: ok, latency: 2ms }`.
#[derive(Debug, Deserialize)]
pub(super) struct CheckWritten(pub(super) Json);

/// A component's check with its details.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct CheckFile {
    /// How the component is.
    pub(super) status: CheckStatus,
    /// How long it took to check; `1ms` unless given.
    pub(super) latency: Option<Span>,
    /// What there is to say about it.
    pub(super) message: Option<String>,
}

/// The readiness endpoint: `{ ready }`, or `{ status, services }` where services are given; 503 when not ready.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct ReadyFile {
    /// Where; `/ready` unless given.
    pub(super) path: Option<At<String>>,
    /// Whether it is ready; `true` unless given.
    pub(super) ready: Option<bool>,
    /// What it depends on, and how each is called: `{ database: connected }`.
    #[serde(default)]
    #[schemars(with = "Entries<Scalar>")]
    pub(super) services: Entries<String>,
}

/// One HTTP route: exactly one method with its path, and what is answered.
///
/// A path may have segments like `{id}`, which stand for any one segment.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RouteFile {
    /// The path of a GET, which answers HEAD too.
    pub(super) get: Option<At<String>>,
    /// The path of a POST.
    pub(super) post: Option<At<String>>,
    /// The path of a PUT.
    pub(super) put: Option<At<String>>,
    /// The path of a PATCH.
    pub(super) patch: Option<At<String>>,
    /// The path of a DELETE.
    pub(super) delete: Option<At<String>>,
    /// What a request must bring; without it the answer is 401.
    #[serde(default)]
    pub(super) expects: ExpectsFile,
    /// Services of the same stack that are asked first, in order, and within the answer's time. Where one fails, the
    /// answer is 502. Played alone, a stand-in asks nobody.
    #[serde(default)]
    pub(super) calls: Vec<CallFile>,
    /// How long an answer takes: `5ms` or `{ p50: 5ms, p99: 40ms }`; no time unless given.
    pub(super) latency: Option<LatencyWritten>,
    /// How many requests are answered by an error.
    pub(super) errors: Option<ErrorsFile>,
    /// The status; 200 unless given.
    pub(super) status: Option<At<u16>>,
    /// Headers of the answer.
    #[serde(default)]
    #[schemars(with = "Entries<Scalar>")]
    pub(super) headers: Entries<At<String>>,
    /// The body as JSON.
    pub(super) json: Option<Json>,
    /// The body as text.
    pub(super) text: Option<At<Template>>,
}

/// What a request must bring to be answered.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct ExpectsFile {
    /// The token of `Authorization: Bearer …`.
    #[schemars(with = "Option<Scalar>")]
    pub(super) bearer: Option<String>,
    /// What its JSON body must have in it; more may be there.
    pub(super) json: Option<Json>,
}

/// One service that is asked. It fails when it is not reached, takes too long, or answers with a status of 500 or above.
///
/// The trace of the request (`traceparent`) is carried on; one that has none begins here.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct CallFile {
    /// The service, at its port `http`, or its first.
    pub(super) service: At<String>,
    /// The path that is asked for; without it a connection is opened, and nothing said.
    pub(super) get: Option<At<String>>,
    /// How long it may take; 1s unless given.
    pub(super) within: Option<Span>,
}

/// A duration, or a log-normal spread through two quantiles.
#[derive(Debug, Deserialize)]
pub(super) struct LatencyWritten(pub(super) Json);

/// Times spread log-normally.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct LatencyFile {
    /// The median.
    pub(super) p50: At<Span>,
    /// The 99th percentile.
    pub(super) p99: At<Span>,
    /// No answer takes longer; ten times `p99` unless given.
    pub(super) max: Option<Span>,
}

/// A share of requests that fail.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct ErrorsFile {
    /// How many: `1%`.
    pub(super) share: Ratio,
    /// With which status, 400 to 599; 503 unless given.
    pub(super) status: Option<At<u16>>,
}

/// One WebSocket endpoint. A message is answered by the first reply that is meant for it, else echoed where
/// `echo` is on.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct SocketFile {
    /// Where.
    pub(super) path: At<String>,
    /// What the request must bring; without it the answer is 401.
    #[serde(default)]
    pub(super) expects: SocketExpectsFile,
    /// Subprotocols it speaks, best first.
    #[serde(default)]
    pub(super) subprotocols: Vec<At<String>>,
    /// Whether messages are sent back; `false` unless given.
    #[serde(default)]
    pub(super) echo: bool,
    /// Answers to certain messages.
    #[serde(default)]
    pub(super) replies: Vec<ReplyFile>,
    /// Messages it sends by itself.
    pub(super) stream: Option<StreamFile>,
}

/// What a request for a WebSocket must bring.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct SocketExpectsFile {
    /// The token of `Authorization: Bearer …`.
    #[schemars(with = "Option<Scalar>")]
    pub(super) bearer: Option<String>,
}

/// An answer to a certain message.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct ReplyFile {
    /// The message: the same text, or JSON that has this in it.
    pub(super) when: At<MessageFile>,
    /// What is sent back.
    pub(super) send: At<MessageFile>,
}

/// A message: exactly one of `json` and `text`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct MessageFile {
    /// As JSON.
    pub(super) json: Option<Json>,
    /// As text.
    pub(super) text: Option<At<Template>>,
}

/// Messages sent without being asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct StreamFile {
    /// The time between two messages.
    pub(super) every: At<Span>,
    /// The message.
    pub(super) send: At<MessageFile>,
    /// What it waits for; `connect` unless given.
    #[serde(default)]
    pub(super) after: After,
}

/// When a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
pub enum After {
    /// As soon as the connection stands.
    #[default]
    #[serde(rename = "connect")]
    Connect,
    /// When the client has sent something.
    #[serde(rename = "first message")]
    FirstMessage,
    /// When one of the replies was sent.
    #[serde(rename = "first reply")]
    FirstReply,
}

/// The schema of what is either a word or a map.
macro_rules! word_or_map {
    ($($written:ty, $name:literal: $word:ty | $map:ty;)*) => {$(
        impl JsonSchema for $written {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let word = generator.subschema_for::<$word>();
                let map = generator.subschema_for::<$map>();
                schemars::json_schema!({ "anyOf": [word, map] })
            }
        }
    )*};
}

word_or_map! {
    CheckWritten, "Check": CheckStatus | CheckFile;
    LatencyWritten, "Latency": Span | LatencyFile;
}

/// The schema of text that needs no quotes when it looks like a number: `version: 1.10`.
pub(in crate::scenario::profile) struct Scalar;

impl JsonSchema for Scalar {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": ["string", "number", "boolean"] })
    }
}
