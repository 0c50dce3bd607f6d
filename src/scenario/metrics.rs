//! Families a metrics page must have, as written and as checked.

use schemars::JsonSchema;
use serde::Deserialize;

use super::auth::{AuthWritten, Login, OAuth2};
use super::expect::{Answer, wanted};
use super::http::{Http, Tls, check_headers, check_trace, check_url};
use super::network::Network;
use super::predicate::{Domain, Predicate};
use super::probe::{Holes, Kind, Target};
use super::template::{Hole, Template};
use crate::exposition;
use crate::finding::{Code, Finding, Findings};
use crate::source::{At, Place};
use crate::units::Size;
use crate::yaml::{Entries, Json};

/// The most that is read of a metrics page.
const PAGE_LIMIT: Size = Size(64 << 20);

/// A metrics page in Prometheus's text format or OpenMetrics.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricsWritten {
    /// The page.
    url: At<Template>,
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
    /// What must be on the page, by the name of a family or of one of its series.
    #[serde(default)]
    families: Entries<At<FamilyWritten>>,
}

/// What a family must be; `{}` where it must only be there.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FamilyWritten {
    /// Its type: counter, gauge, histogram, summary, info, stateset, gaugehistogram, unknown.
    #[serde(rename = "type")]
    #[schemars(with = "Option<String>")]
    kind: Option<At<String>>,
    /// Only series with labels like these are looked at.
    #[serde(default)]
    #[schemars(with = "Entries<Predicate>")]
    labels: Entries<Json>,
    /// How many series there must be; at least one unless said.
    #[schemars(with = "Option<Predicate>")]
    series: Option<Json>,
    /// What the value of each of them must be.
    #[schemars(with = "Option<Predicate>")]
    value: Option<Json>,
}

/// Families a metrics page must have.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// What is asked.
    pub request: Http,
    /// What must be there.
    pub families: Vec<Family>,
}

/// What a family must be.
#[derive(Debug, Clone)]
pub struct Family {
    /// The name of the family or of one of its series.
    pub name: At<String>,
    /// Its type.
    pub kind: Option<At<exposition::Kind>>,
    /// Only series with labels like these are looked at.
    pub labels: Vec<(String, At<Predicate>)>,
    /// How many there must be.
    pub series: Option<At<Predicate>>,
    /// What the value of each must be.
    pub value: Option<At<Predicate>>,
}

impl MetricsWritten {
    /// Checks what was written.
    pub fn check(self, findings: &mut Findings) -> Metrics {
        findings.take(check_url(&self.url, &["http", "https"]));
        self.tls.check(findings);
        self.network.check(findings);
        let families =
            self.families.into_iter().filter_map(|(name, family)| family.value.check(name, findings));
        let families = families.collect();
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
            limit: PAGE_LIMIT,
            ..Http::get(self.url)
        };
        Metrics { request, families }
    }
}

impl FamilyWritten {
    fn check(self, name: At<String>, findings: &mut Findings) -> Option<Family> {
        let kind = match self.kind {
            None => None,
            Some(written) => {
                let parsed = written.value.parse::<exposition::Kind>().map_err(|why| {
                    let known = exposition::Kind::ALL.map(exposition::Kind::name).join(", ");
                    Finding::new(Code::FileValue, written.place, why.to_string())
                        .help(format!("types are {known}"))
                });
                Some(At::new(findings.take(parsed)?, written.place))
            }
        };
        let labels = self
            .labels
            .into_iter()
            .filter_map(|(label, json)| Some((label.value, wanted(Some(json), Domain::Value, findings)?)));
        let labels = labels.collect();
        Some(Family {
            name,
            kind,
            labels,
            series: wanted(self.series, Domain::Number, findings),
            value: wanted(self.value, Domain::Number, findings),
        })
    }
}

impl Metrics {
    /// Every hole, with its place.
    pub fn holes(&self) -> impl Iterator<Item = (&Hole, Place)> {
        let families = self.families.iter().flat_map(|family| {
            let labels = family.labels.iter().map(|(_, at)| at);
            labels.chain(&family.series).chain(&family.value)
        });
        let predicates = families.flat_map(|at| at.holes().map(|hole| (hole, at.place)));
        self.request.holes().chain(predicates)
    }
}

impl Kind for Metrics {
    fn kind(&self) -> &'static str {
        "metrics"
    }

    fn subject(&self) -> String {
        format!("metrics {}", self.request.url)
    }

    fn answer(&self) -> Answer {
        Answer::Http
    }

    fn holes(&self) -> Holes<'_> {
        Box::new(Self::holes(self))
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
