//! An HTTP request, as written and as checked.

use http::{HeaderName, Method};
use schemars::JsonSchema;
use serde::Deserialize;

use super::auth::{Auth, AuthWritten, Login, OAuth2};
use super::body::{Body, BodyWritten, PartWritten};
use super::expect::Answer;
use super::network::Network;
use super::probe::{Holes, Kind, Target};
use super::template::{Hole, Template};
use crate::finding::{Code, Finding, Findings};
use crate::source::{At, Place};
use crate::units::Size;
use crate::yaml::{Entries, Json};

/// One request. Exactly one of the methods names the address.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpWritten {
    /// GET this address.
    get: Option<At<Template>>,
    /// POST to this address.
    post: Option<At<Template>>,
    /// PUT to this address.
    put: Option<At<Template>>,
    /// PATCH this address.
    patch: Option<At<Template>>,
    /// DELETE this address.
    delete: Option<At<Template>>,
    /// HEAD of this address.
    head: Option<At<Template>>,
    /// OPTIONS of this address.
    options: Option<At<Template>>,
    /// Added to the address, percent-encoded.
    #[serde(default)]
    query: Entries<At<Template>>,
    /// Request headers.
    #[serde(default)]
    headers: Entries<At<Template>>,
    /// A text body.
    body: Option<At<Template>>,
    /// A JSON body; sets `Content-Type`.
    json: Option<Json>,
    /// A form body, percent-encoded; sets `Content-Type`.
    form: Option<Entries<At<Template>>>,
    /// A file whose bytes are the body, beside this file.
    file: Option<At<String>>,
    /// A form of texts and files, in order; sets `Content-Type`.
    multipart: Option<At<Vec<At<PartWritten>>>>,
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
    /// How many redirects are followed; none unless said.
    #[serde(default)]
    redirects: u8,
    /// Whether a redirect to another host is a failure; followed too unless said. Credentials stay behind either way.
    same_host: Option<At<bool>>,
    /// Whether a compressed answer (gzip, deflate, br, zstd) is asked for and unpacked; not unless said.
    #[serde(default)]
    compression: bool,
    /// The version spoken; by default what TLS agrees on, and HTTP/1.1 in the clear.
    version: Option<Version>,
    /// The most that is read of a body, after unpacking; 1MiB unless said.
    limit: Option<Size>,
}

/// How TLS is spoken.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// A PEM file of the authorities to trust instead of the system's, beside this file. Only the environment
    /// may be named in it.
    pub ca: Option<At<Template>>,
    /// The name to ask for and to check the certificate against, instead of the address's.
    pub server_name: Option<At<Template>>,
    /// Accept any certificate.
    pub skip_verify: bool,
    /// A PEM file of our own certificate and those that lead to its authority, for a target that asks who we are.
    pub certificate: Option<At<Template>>,
    /// A PEM file of our certificate's private key; in the certificate's file unless said.
    pub key: Option<At<Template>>,
    /// The oldest version that is spoken; TLS 1.2 unless said.
    pub min_version: Option<TlsVersion>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[serde(rename = "TLS1.2")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "TLS1.3")]
    Tls13,
}

impl Tls {
    /// The files of certificates that are named.
    pub fn certificates(&self) -> impl Iterator<Item = &At<Template>> {
        self.ca.iter().chain(&self.certificate)
    }

    /// The file of our private key.
    #[must_use]
    pub fn key_file(&self) -> Option<&At<Template>> {
        self.key.as_ref().or(self.certificate.as_ref())
    }

    /// Checks what was written.
    pub fn check(&self, findings: &mut Findings) {
        if let (Some(key), None) = (&self.key, &self.certificate) {
            let title = "a `key` is of use only with the `certificate` that it belongs to";
            findings.add(Finding::new(Code::FileMissingKey, key.place, title));
        }
    }
}

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Version {
    /// HTTP/1.1.
    #[serde(rename = "HTTP/1.1")]
    Http1,
    /// HTTP/2, also without TLS.
    #[serde(rename = "HTTP/2")]
    Http2,
}

/// One request, checked.
#[derive(Debug, Clone)]
pub struct Http {
    /// The method.
    pub method: Method,
    /// The address, before `query`.
    pub url: At<Template>,
    /// Added to the address.
    pub query: Vec<(String, At<Template>)>,
    /// Request headers.
    pub headers: Vec<(HeaderName, At<Template>)>,
    /// What is sent.
    pub body: Body,
    /// Who asks.
    pub auth: Option<Auth>,
    /// How TLS is spoken.
    pub tls: Tls,
    /// The way to the target.
    pub network: Network,
    /// Whether each attempt begins a trace of its own.
    pub trace: bool,
    /// How many redirects are followed.
    pub redirects: u8,
    /// Whether a redirect to another host is a failure.
    pub same_host: bool,
    /// Whether a compressed answer is asked for.
    pub compression: bool,
    /// The version spoken, if it was said.
    pub version: Option<Version>,
    /// The most that is read of a body.
    pub limit: Size,
}

/// What is read of a body unless the file says otherwise.
pub const BODY_LIMIT: Size = Size(1 << 20);

impl Http {
    /// A plain GET of `url`.
    #[must_use]
    pub fn get(url: At<Template>) -> Self {
        Self {
            method: Method::GET,
            url,
            query: Vec::new(),
            headers: Vec::new(),
            body: Body::Empty,
            auth: None,
            tls: Tls::default(),
            network: Network::default(),
            trace: false,
            redirects: 0,
            same_host: false,
            compression: false,
            version: None,
            limit: BODY_LIMIT,
        }
    }

    /// Every template, with its place.
    pub fn templates(&self) -> impl Iterator<Item = (&Template, Place)> {
        std::iter::once(&self.url)
            .chain(self.query.iter().map(|(_, value)| value))
            .chain(self.headers.iter().map(|(_, value)| value))
            .chain(self.tls.server_name.iter())
            .chain(self.network.templates())
            .chain(self.body.templates())
            .chain(self.auth.iter().flat_map(Auth::templates))
            .map(|at| (&at.value, at.place))
    }

    /// Every hole, with its place.
    pub fn holes(&self) -> impl Iterator<Item = (&Hole, Place)> {
        self.templates()
            .flat_map(|(template, place)| template.holes().map(move |hole| (hole, place)))
            .chain(self.body.json_holes())
    }
}

impl HttpWritten {
    /// Checks the request, which stands at `place`.
    pub fn check(self, place: Place, findings: &mut Findings) -> Option<Http> {
        let methods = [
            (Method::GET, self.get),
            (Method::POST, self.post),
            (Method::PUT, self.put),
            (Method::PATCH, self.patch),
            (Method::DELETE, self.delete),
            (Method::HEAD, self.head),
            (Method::OPTIONS, self.options),
        ];
        let (method, url) = one_address(methods, place, findings)?;
        findings.take(check_url(&url, &["http", "https"]));
        self.tls.check(findings);
        self.network.check(findings);
        let body = BodyWritten {
            text: self.body,
            json: self.json,
            form: self.form,
            file: self.file,
            multipart: self.multipart,
        };
        let auth =
            AuthWritten { bearer: self.bearer, basic: self.basic, digest: self.digest, oauth2: self.oauth2 };
        if let (Some(same_host), 0) = (self.same_host, self.redirects) {
            let finding =
                Finding::new(Code::ScenarioRequest, same_host.place, "`same_host` is about redirects");
            findings.add(finding.help("say how many are followed, as `redirects: 5`"));
        }
        let headers = check_headers(self.headers, findings);
        check_trace(self.trace, &headers, findings);
        let auth = auth.check(&headers, findings);
        Some(Http {
            method,
            url,
            query: self.query.into_iter().map(|(name, value)| (name.value, value)).collect(),
            headers,
            auth,
            body: body.check(findings)?,
            tls: self.tls,
            network: self.network,
            trace: self.trace,
            redirects: self.redirects,
            same_host: self.same_host.is_some_and(|at| at.value),
            compression: self.compression,
            version: self.version,
            limit: self.limit.unwrap_or(BODY_LIMIT),
        })
    }
}

/// The one method that is written, and its address.
fn one_address(
    methods: [(Method, Option<At<Template>>); 7],
    place: Place,
    findings: &mut Findings,
) -> Option<(Method, At<Template>)> {
    let mut named: Vec<_> = methods.into_iter().filter_map(|(method, url)| Some((method, url?))).collect();
    match (named.pop(), named.pop()) {
        (Some(only), None) => Some(only),
        (None, _) => {
            let finding = Finding::new(Code::ScenarioRequest, place, "a request names no address");
            findings.add(finding.help("write the method and the address: `get: http://…`"));
            None
        }
        (Some((_, second)), Some((_, first))) => {
            let finding = Finding::new(Code::ScenarioRequest, second.place, "a request has one method");
            findings.add(finding.also(first.place, "and another here"));
            None
        }
    }
}

/// Checks header names.
pub(super) fn check_headers(
    headers: Entries<At<Template>>,
    findings: &mut Findings,
) -> Vec<(HeaderName, At<Template>)> {
    let checked = headers.into_iter().filter_map(|(name, value)| {
        let parsed = name.value.parse::<HeaderName>().map_err(|_| {
            Finding::new(Code::FileValue, name.place, format!("`{}` cannot be a header's name", name.value))
        });
        findings.take(parsed).map(|name| (name, value))
    });
    checked.collect()
}

/// Sees to it that a trace is not begun twice.
pub(super) fn check_trace(trace: bool, headers: &[(HeaderName, At<Template>)], findings: &mut Findings) {
    let own = headers.iter().find(|(name, _)| *name == "traceparent");
    if let (true, Some((_, value))) = (trace, own) {
        let title = "with `trace: true` each attempt has a `traceparent` of its own";
        findings.add(Finding::new(Code::ScenarioRequest, value.place, title).label("this is a second"));
    }
}

/// Checks an address as far as it is known before the run.
pub(super) fn check_url(url: &At<Template>, schemes: &[&str]) -> Result<(), Finding> {
    let Some(literal) = url.literal() else { return Ok(()) };
    let wanted = schemes.iter().map(|scheme| format!("`{scheme}://`")).collect::<Vec<_>>().join(" or ");
    let problem = match url::Url::parse(&literal) {
        Err(error) => error.to_string(),
        Ok(parsed) if !schemes.contains(&parsed.scheme()) => {
            let title = format!("`{}` is not spoken here", parsed.scheme());
            let finding = Finding::new(Code::ScenarioUrl, url.place, title);
            return Err(finding.help(format!("an address here begins with {wanted}")));
        }
        Ok(parsed) if parsed.host().is_none() => "it has no host".to_owned(),
        Ok(_) => return Ok(()),
    };
    let finding =
        Finding::new(Code::ScenarioUrl, url.place, format!("`{literal}` is not an address: {problem}"));
    Err(finding.help(format!("an address here begins with {wanted}")))
}

impl Kind for Http {
    fn kind(&self) -> &'static str {
        "http"
    }

    fn subject(&self) -> String {
        format!("{} {}", self.method, self.url)
    }

    fn answer(&self) -> Answer {
        Answer::Http
    }

    fn holes(&self) -> Holes<'_> {
        Box::new(Self::holes(self))
    }

    fn tls(&self) -> Option<&Tls> {
        Some(&self.tls)
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { at: &self.url, network: &self.network })
    }

    fn traces(&self) -> bool {
        self.trace
    }
}
