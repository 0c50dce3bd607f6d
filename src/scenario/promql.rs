//! A question to a Prometheus and what is expected of its answer, as written and as checked.

use schemars::JsonSchema;
use serde::Deserialize;

use super::auth::{AuthWritten, Login, OAuth2};
use super::expect::Answer;
use super::http::{Http, Tls, check_headers, check_url};
use super::network::Network;
use super::predicate::Predicate;
use super::probe::{Holes, Kind, Target};
use super::template::Template;
use crate::finding::Findings;
use crate::source::At;
use crate::units::Size;
use crate::yaml::Entries;

/// The most that is read of an answer unless the file says otherwise.
const ANSWER_LIMIT: Size = Size(16 << 20);

/// An instant query to a Prometheus, or to what answers like one. It passes when there is a series and no warning,
/// unless something else is expected.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromqlWritten {
    /// Where Prometheus is, without `/api/v1/query`.
    url: At<Template>,
    /// What is asked, in `PromQL`.
    query: At<Template>,
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
    /// How TLS is spoken.
    #[serde(default)]
    tls: Tls,
    /// The way to the target.
    #[serde(default)]
    network: Network,
    /// The most that is read of the answer; 16MiB unless said.
    limit: Option<Size>,
}

/// An instant query, checked.
#[derive(Debug, Clone)]
pub struct Promql {
    /// What is asked; its address is Prometheus's own, without the path of the API.
    pub request: Http,
    /// The query, which is among what is asked.
    pub query: At<Template>,
}

/// What the answer to a query must be. Without `series`, at least one; without `warnings`, none.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// How many series there are.
    pub count: Option<At<Predicate>>,
    /// What the value of each is.
    pub value: Option<At<Predicate>>,
    /// What the value of at least one is.
    pub any_value: Option<At<Predicate>>,
    /// Labels of each.
    pub labels: Vec<(String, At<Predicate>)>,
    /// How many warnings there are.
    pub warnings: Option<At<Predicate>>,
}

impl Series {
    /// What is expected, by key.
    pub(super) fn predicates(&self) -> impl Iterator<Item = (&'static str, &At<Predicate>)> {
        let all = [
            ("series", &self.count),
            ("value", &self.value),
            ("any_value", &self.any_value),
            ("warnings", &self.warnings),
        ];
        let labels = self.labels.iter().map(|(_, at)| ("labels", at));
        all.into_iter().filter_map(|(name, at)| Some((name, at.as_ref()?))).chain(labels)
    }
}

impl PromqlWritten {
    /// Checks what was written.
    pub fn check(self, findings: &mut Findings) -> Promql {
        findings.take(check_url(&self.url, &["http", "https"]));
        self.tls.check(findings);
        self.network.check(findings);
        let headers = check_headers(self.headers, findings);
        let auth =
            AuthWritten { bearer: self.bearer, basic: self.basic, digest: self.digest, oauth2: self.oauth2 };
        let auth = auth.check(&headers, findings);
        let request = Http {
            query: vec![("query".to_owned(), self.query.clone())],
            headers,
            auth,
            tls: self.tls,
            network: self.network,
            compression: true,
            limit: self.limit.unwrap_or(ANSWER_LIMIT),
            ..Http::get(self.url)
        };
        Promql { request, query: self.query }
    }
}

impl Kind for Promql {
    fn kind(&self) -> &'static str {
        "promql"
    }

    fn subject(&self) -> String {
        format!("promql {}", self.query)
    }

    fn answer(&self) -> Answer {
        Answer::Series
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
}
