//! Health and readiness endpoints, as written and as checked.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json_path::JsonPath;

use super::auth::{AuthWritten, Login, OAuth2};
use super::expect::{Answer, json_path};
use super::http::{Http, Tls, check_headers, check_trace, check_url};
use super::network::Network;
use super::probe::{Holes, Kind, Target};
use super::template::Template;
use crate::finding::Findings;
use crate::source::At;
use crate::yaml::Entries;

/// An endpoint that says how a service is.
///
/// Understood as they are: `{status: healthy|degraded|down, checks: {…}}`, `{ready: true|false}`,
/// `{status: ready|alive, services: {…}}`, and an empty or plain body, where the HTTP status decides.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthWritten {
    /// The endpoint.
    url: At<Template>,
    /// The state it must be in: healthy for `health`, ready for `ready`.
    is: Option<State>,
    /// Request headers.
    #[serde(default)]
    headers: Entries<At<Template>>,
    /// A bearer token.
    bearer: Option<At<Template>>,
    /// A user and a password, sent as they are.
    basic: Option<At<Login>>,
    /// A user and a password, digested with what the target sends first (RFC 7616: MD5 and SHA-256).
    digest: Option<At<Login>>,
    /// A token by OAuth 2.0 client credentials.
    oauth2: Option<At<OAuth2>>,
    /// Whether each attempt begins a trace of its own: a W3C `traceparent` is sent, and its id is in the report.
    #[serde(default)]
    trace: bool,
    /// How TLS is spoken.
    #[serde(default)]
    tls: Tls,
    /// The way to the target.
    #[serde(default)]
    network: Network,
    /// How to read an answer of another shape.
    map: Option<MapWritten>,
}

/// How a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Everything works.
    Healthy,
    /// Works in part.
    Degraded,
    /// Does not work.
    Down,
    /// May be given traffic.
    Ready,
    /// Must not be given traffic.
    NotReady,
}

impl State {
    /// The state's name in files and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Ready => "ready",
            Self::NotReady => "not-ready",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// How an answer of another shape is read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MapWritten {
    /// Where the state stands, by `JSONPath`.
    state: At<String>,
    /// Words that mean healthy, or ready.
    #[serde(default)]
    well: Vec<String>,
    /// Words that mean degraded; any other word means down, or not ready.
    #[serde(default)]
    degraded: Vec<String>,
    /// Where the components stand: an object of name to state, or of name to an object.
    components: Option<At<String>>,
    /// Where a component's state stands within its object; `$.status` unless said.
    component_state: Option<At<String>>,
}

/// An endpoint that says how a service is, checked.
#[derive(Debug, Clone)]
pub struct Health {
    /// What is asked.
    pub request: Http,
    /// The state it must be in.
    pub wanted: State,
    /// How an answer of another shape is read.
    pub map: Option<Map>,
}

/// How an answer of another shape is read, checked.
#[derive(Debug, Clone)]
pub struct Map {
    /// Where the state stands.
    pub state: JsonPath,
    /// Words that mean healthy, or ready.
    pub well: Vec<String>,
    /// Words that mean degraded.
    pub degraded: Vec<String>,
    /// Where the components stand.
    pub components: Option<JsonPath>,
    /// Where a component's state stands within its object.
    pub component_state: Option<JsonPath>,
}

impl HealthWritten {
    /// Checks what was written; `usual` is the state wanted where none is said.
    pub fn check(self, usual: State, findings: &mut Findings) -> Health {
        findings.take(check_url(&self.url, &["http", "https"]));
        self.tls.check(findings);
        self.network.check(findings);
        let map = self.map.and_then(|map| {
            Some(Map {
                state: json_path(&map.state, findings)?,
                well: map.well,
                degraded: map.degraded,
                components: map.components.and_then(|path| json_path(&path, findings)),
                component_state: map.component_state.and_then(|path| json_path(&path, findings)),
            })
        });
        let headers = check_headers(self.headers, findings);
        check_trace(self.trace, &headers, findings);
        let auth =
            AuthWritten { bearer: self.bearer, basic: self.basic, digest: self.digest, oauth2: self.oauth2 };
        let auth = auth.check(&headers, findings);
        let request = Http {
            headers,
            trace: self.trace,
            auth,
            tls: self.tls,
            network: self.network,
            ..Http::get(self.url)
        };
        Health { request, wanted: self.is.unwrap_or(usual), map }
    }
}

impl Kind for Health {
    fn kind(&self) -> &'static str {
        match self.wanted {
            State::Healthy | State::Degraded | State::Down => "health",
            State::Ready | State::NotReady => "ready",
        }
    }

    fn subject(&self) -> String {
        format!("{} {}", self.kind(), self.request.url)
    }

    fn answer(&self) -> Answer {
        Answer::Http
    }

    fn holes(&self) -> Holes<'_> {
        Box::new(self.request.holes())
    }

    fn tls(&self) -> Option<&Tls> {
        Some(&self.request.tls)
    }

    fn target(&self) -> Option<Target<'_>> {
        self.request.target()
    }

    fn traces(&self) -> bool {
        self.request.trace
    }
}
