//! An HTTP request, as written and as checked.

use http::{HeaderName, Method};
use schemars::JsonSchema;
use serde::Deserialize;

use super::expect::Answer;
use super::network::Network;
use super::probe::{Holes, Kind, Target};
use super::template::{Hole, Shape, Template};
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
    /// A bearer token.
    bearer: Option<At<Template>>,
    /// A user and a password.
    basic: Option<BasicWritten>,
    /// How TLS is spoken.
    #[serde(default)]
    tls: Tls,
    /// The way to the target.
    #[serde(default)]
    network: Network,
    /// How many redirects are followed; none unless said.
    #[serde(default)]
    redirects: u8,
    /// Whether a compressed answer is asked for and unpacked; not unless said.
    #[serde(default)]
    compression: bool,
    /// The version spoken; by default what TLS agrees on, and HTTP/1.1 in the clear.
    version: Option<Version>,
    /// The most that is read of a body, after unpacking; 1MiB unless said.
    limit: Option<Size>,
}

/// Credentials for basic authentication.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BasicWritten {
    /// The user.
    user: At<Template>,
    /// The password.
    password: At<Template>,
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
    /// How many redirects are followed.
    pub redirects: u8,
    /// Whether a compressed answer is asked for.
    pub compression: bool,
    /// The version spoken, if it was said.
    pub version: Option<Version>,
    /// The most that is read of a body.
    pub limit: Size,
}

/// What is sent in a request.
#[derive(Debug, Clone)]
pub enum Body {
    /// Nothing.
    Empty,
    /// Text.
    Text(At<Template>),
    /// JSON.
    Json(At<Shape>),
    /// A form.
    Form(Vec<(String, At<Template>)>),
}

/// Who asks.
#[derive(Debug, Clone)]
pub enum Auth {
    /// `Authorization: Bearer …`.
    Bearer(At<Template>),
    /// `Authorization: Basic …`.
    Basic(At<Template>, At<Template>),
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
            redirects: 0,
            compression: false,
            version: None,
            limit: BODY_LIMIT,
        }
    }

    /// Every template, with its place.
    pub fn templates(&self) -> impl Iterator<Item = (&Template, Place)> {
        let body: Vec<&At<Template>> = match &self.body {
            Body::Empty | Body::Json(_) => Vec::new(),
            Body::Text(text) => vec![text],
            Body::Form(fields) => fields.iter().map(|(_, value)| value).collect(),
        };
        let auth: Vec<&At<Template>> = match &self.auth {
            None => Vec::new(),
            Some(Auth::Bearer(token)) => vec![token],
            Some(Auth::Basic(user, password)) => vec![user, password],
        };
        std::iter::once(&self.url)
            .chain(self.query.iter().map(|(_, value)| value))
            .chain(self.headers.iter().map(|(_, value)| value))
            .chain(self.tls.server_name.iter())
            .chain(self.network.templates())
            .chain(body)
            .chain(auth)
            .map(|at| (&at.value, at.place))
    }

    /// Every hole, with its place.
    pub fn holes(&self) -> impl Iterator<Item = (&Hole, Place)> {
        let json = match &self.body {
            Body::Json(shape) => Some(shape),
            Body::Empty | Body::Text(_) | Body::Form(_) => None,
        };
        let json = json.into_iter().flat_map(|at| at.value.holes().map(|hole| (hole, at.place)));
        self.templates()
            .flat_map(|(template, place)| template.holes().map(move |hole| (hole, place)))
            .chain(json)
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
        let mut named: Vec<_> =
            methods.into_iter().filter_map(|(method, url)| Some((method, url?))).collect();
        let (method, url) = match (named.pop(), named.pop()) {
            (Some(only), None) => only,
            (None, _) => {
                let finding = Finding::new(Code::ScenarioRequest, place, "a request names no address");
                findings.add(finding.help("write the method and the address: `get: http://…`"));
                return None;
            }
            (Some((_, second)), Some((_, first))) => {
                let finding = Finding::new(Code::ScenarioRequest, second.place, "a request has one method");
                findings.add(finding.also(first.place, "and another here"));
                return None;
            }
        };
        findings.take(check_url(&url, &["http", "https"]));
        self.tls.check(findings);
        self.network.check(findings);
        let body = one_body(self.body, self.json, self.form, findings);
        let auth = match (self.bearer, self.basic) {
            (None, None) => None,
            (Some(token), None) => Some(Auth::Bearer(token)),
            (None, Some(basic)) => Some(Auth::Basic(basic.user, basic.password)),
            (Some(token), Some(basic)) => {
                let finding = Finding::new(
                    Code::ScenarioRequest,
                    token.place,
                    "`bearer` and `basic` exclude each other",
                );
                findings.add(finding.also(basic.user.place, "the user is given here"));
                None
            }
        };
        Some(Http {
            method,
            url,
            query: self.query.into_iter().map(|(name, value)| (name.value, value)).collect(),
            headers: check_headers(self.headers, findings),
            body: body?,
            auth,
            tls: self.tls,
            network: self.network,
            redirects: self.redirects,
            compression: self.compression,
            version: self.version,
            limit: self.limit.unwrap_or(BODY_LIMIT),
        })
    }
}

fn one_body(
    text: Option<At<Template>>,
    json: Option<Json>,
    form: Option<Entries<At<Template>>>,
    findings: &mut Findings,
) -> Option<Body> {
    match (text, json, form) {
        (None, None, None) => Some(Body::Empty),
        (Some(text), None, None) => Some(Body::Text(text)),
        (None, Some(json), None) => {
            let shape =
                Shape::of(&json.0).map_err(|(node, why)| Finding::new(Code::FileValue, node.place, why));
            findings.take(shape).map(|shape| Body::Json(At::new(shape, json.0.place)))
        }
        (None, None, Some(form)) => {
            Some(Body::Form(form.into_iter().map(|(name, value)| (name.value, value)).collect()))
        }
        (text, json, form) => {
            let places = [
                text.map(|at| at.place),
                json.map(|json| json.0.place),
                form.and_then(|form| form.0.first().map(|(name, _)| name.place)),
            ];
            let mut places = places.into_iter().flatten();
            if let Some(first) = places.next() {
                let finding = Finding::new(
                    Code::ScenarioRequest,
                    first,
                    "a request has one of `body`, `json` and `form`",
                );
                findings.add(places.fold(finding, |finding, place| finding.also(place, "another body here")));
            }
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
}
