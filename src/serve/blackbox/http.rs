//! Modules that send a request.

use std::path::PathBuf;

use http::header::ACCEPT_ENCODING;
use http::{HeaderName, HeaderValue, Method};

use super::client::{self, Auth, Tls};
use super::pattern::Pattern;
use super::{Preference, preference, refuse, refuse_json, written, wrong};
use crate::finding::Findings;
use crate::source::At;
use crate::units::Size;

const IN_A_SCENARIO: &str = "a scenario's `http` step has this; see `firedrill schema scenario`";

/// A request.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own in the file")]
pub(in crate::serve) struct Http {
    pub(in crate::serve) statuses: Vec<i64>,
    pub(in crate::serve) versions: Vec<String>,
    pub(in crate::serve) preference: Preference,
    /// The proxy resolves the name.
    pub(in crate::serve) unresolved: bool,
    pub(in crate::serve) follow: bool,
    pub(in crate::serve) fail_if_ssl: bool,
    pub(in crate::serve) fail_if_not_ssl: bool,
    pub(in crate::serve) method: Method,
    pub(in crate::serve) headers: Vec<(HeaderName, HeaderValue)>,
    pub(in crate::serve) fail_if_body: Vec<Pattern>,
    pub(in crate::serve) fail_if_body_not: Vec<Pattern>,
    pub(in crate::serve) fail_if_header: Vec<HeaderMatch>,
    pub(in crate::serve) fail_if_header_not: Vec<HeaderMatch>,
    pub(in crate::serve) body: Vec<u8>,
    pub(in crate::serve) body_file: Option<PathBuf>,
    pub(in crate::serve) compression: Option<String>,
    pub(in crate::serve) limit: Option<Size>,
    pub(in crate::serve) http2: bool,
    pub(in crate::serve) auth: Auth,
    pub(in crate::serve) tls: Tls,
    pub(in crate::serve) proxy: Option<crate::scenario::network::Proxy>,
}

/// What a header must be, or must not.
#[derive(Debug, Clone)]
pub(in crate::serve) struct HeaderMatch {
    pub(in crate::serve) name: String,
    pub(in crate::serve) pattern: Pattern,
    pub(in crate::serve) allow_missing: bool,
}

impl written::Http {
    pub(super) fn check(self, findings: &mut Findings) -> Option<Http> {
        self.unsupported(findings);
        let method = self.method.map_or(Some(Method::GET), |method| {
            let read = Method::from_bytes(method.value.as_bytes()).ok();
            if read.is_none() {
                wrong(findings, method.place, format!("`{}` is not a method", method.value));
            }
            read
        });
        if let Some(file) =
            self.body_file.as_ref().filter(|file| !file.value.is_empty() && !self.body.is_empty())
        {
            wrong(findings, file.place, "setting body and body_file both are not allowed");
        }
        let compression = self.compression.as_ref().map_or("", |at| &at.value);
        let headers = sent(self.headers, compression, findings);
        let auth = client::auth(
            client::Written {
                basic: self.basic_auth,
                authorization: self.authorization,
                token: self.bearer_token,
                token_file: self.bearer_token_file,
            },
            findings,
        );
        let proxy = self.proxy_url.filter(|at| !at.value.is_empty()).and_then(|at| {
            let read = at.value.parse();
            read.map_err(|why: crate::scenario::network::NotAProxy| {
                wrong(findings, at.place, why.to_string());
            })
            .ok()
        });
        Some(Http {
            statuses: self.valid_status_codes,
            versions: self.valid_http_versions,
            preference: preference(&self.preferred_ip_protocol, self.ip_protocol_fallback),
            unresolved: self.skip_resolve_phase_with_proxy,
            follow: self.no_follow_redirects.map_or(self.follow_redirects.unwrap_or(true), |not| !not),
            fail_if_ssl: self.fail_if_ssl,
            fail_if_not_ssl: self.fail_if_not_ssl,
            method: method?,
            headers,
            fail_if_body: self.fail_if_body_matches_regexp,
            fail_if_body_not: self.fail_if_body_not_matches_regexp,
            fail_if_header: matches(self.fail_if_header_matches, findings),
            fail_if_header_not: matches(self.fail_if_header_not_matches, findings),
            body: self.body.into_bytes(),
            body_file: self.body_file.filter(|at| !at.value.is_empty()).map(|at| PathBuf::from(at.value)),
            compression: self.compression.map(|at| at.value).filter(|value| !value.is_empty()),
            limit: self.body_size_limit.map(|size| Size(size.0)).filter(|size| size.0 > 0),
            http2: self.enable_http2.unwrap_or(true),
            auth,
            tls: self.tls_config.check(findings),
            proxy,
        })
    }

    fn unsupported(&self, findings: &mut Findings) {
        let cel = "write what is expected as a `json` expectation of a scenario";
        refuse_json(findings, self.fail_if_body_json_matches_cel.as_ref(), "CEL", cel);
        refuse_json(findings, self.fail_if_body_json_not_matches_cel.as_ref(), "CEL", cel);
        refuse_json(findings, self.oauth2.as_ref(), "OAuth 2.0 in a module", IN_A_SCENARIO);
        refuse_json(
            findings,
            self.http_headers.as_ref(),
            "`http_headers`",
            "write plain values under `headers`",
        );
        refuse_json(
            findings,
            self.no_proxy.as_ref(),
            "`no_proxy`",
            "write a module without a proxy for these targets",
        );
        let tunnel = "no headers of one's own are sent to a proxy";
        refuse_json(findings, self.proxy_connect_header.as_ref(), "`proxy_connect_header`", tunnel);
        let switches = [
            (&self.enable_http3, "HTTP/3", "HTTP/1.1 and HTTP/2 are spoken"),
            (&self.proxy_from_environment, "a proxy of the environment", "write it as `proxy_url`"),
        ];
        for (switch, what, help) in switches {
            if let Some(at) = switch.as_ref().filter(|at| at.value) {
                refuse(findings, at.place, what, help);
            }
        }
    }
}

/// The headers that are sent, of which `Accept-Encoding` has to take what is to be unpacked.
fn sent(
    all: crate::yaml::Entries<At<String>>,
    compression: &str,
    findings: &mut Findings,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for (name, value) in all {
        if name.value.eq_ignore_ascii_case(ACCEPT_ENCODING.as_str()) && !is_taken(compression, &value.value) {
            let title = format!("compression `{compression}` is not among what `{}` takes", value.value);
            wrong(findings, value.place, title);
        }
        headers.extend(client::header(&name, &value, findings));
    }
    headers
}

fn matches(all: Vec<written::HeaderMatch>, findings: &mut Findings) -> Vec<HeaderMatch> {
    let check = |one: written::HeaderMatch| {
        if one.header.value.is_empty() {
            wrong(findings, one.header.place, "header name must be set for HTTP header matchers");
        }
        if one.regexp.value.is_empty() {
            wrong(findings, one.regexp.place, "regexp must be set for HTTP header matchers");
        }
        let written::HeaderMatch { header, regexp, allow_missing } = one;
        HeaderMatch { name: header.value, pattern: regexp.value, allow_missing }
    };
    all.into_iter().map(check).collect()
}

/// Whether an `Accept-Encoding` takes bodies of this compression.
fn is_taken(compression: &str, accepted: &str) -> bool {
    if compression.is_empty() || accepted.is_empty() {
        return compression.is_empty() || compression == "identity";
    }
    let all = accepted.split(',').map(|one| {
        let (name, weight) = one.split_once(';').unwrap_or((one, ""));
        let weight: f64 =
            weight.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.parse().ok()).unwrap_or(0.0);
        (name.trim().to_ascii_lowercase(), weight)
    });
    let all: Vec<_> = all.collect();
    let of = |name: &str| all.iter().find(|(known, _)| known == name).map(|(_, weight)| *weight > 0.0);
    of(compression).or_else(|| of("*")).unwrap_or(compression == "identity")
}
