//! The modules of `blackbox_exporter`: its own configuration, read as strictly as it reads it.

mod client;
mod pattern;
mod written;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hickory_proto::rr::{DNSClass, RecordType};
use http::header::ACCEPT_ENCODING;
use http::{HeaderName, HeaderValue, Method};

pub(super) use self::client::{Auth, Tls};
pub(super) use self::pattern::Pattern;
pub(super) use self::written::Records;
use super::targets::Login;
use crate::finding::{Code, Finding, Findings};
use crate::source::{At, Place, Sources};
use crate::units::Size;
use crate::yaml::{self, Json, Kind, Node};

/// Every module, by name.
#[derive(Debug, Default)]
pub(super) struct Modules(BTreeMap<String, Module>);

/// A way to probe.
#[derive(Debug, Clone)]
pub(super) struct Module {
    pub(super) prober: Prober,
    /// What it may take, where the scrape leaves more.
    pub(super) timeout: Option<Duration>,
    /// As it is written, without its secrets, for whoever asks with `debug=true`.
    pub(super) shown: String,
}

/// What a module does.
#[derive(Debug, Clone)]
pub(super) enum Prober {
    Http(Box<Http>),
    Tcp(Box<Tcp>),
    Dns(Box<Dns>),
    Icmp(Icmp),
    Grpc(Box<Grpc>),
    Unix(Box<Talk>),
    WebSocket(Box<WebSocket>),
}

/// Which address of a name is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Preference {
    pub(super) six: bool,
    /// One of the other family will do, too.
    pub(super) fallback: bool,
}

/// A request.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own in the file")]
pub(super) struct Http {
    pub(super) statuses: Vec<i64>,
    pub(super) versions: Vec<String>,
    pub(super) preference: Preference,
    /// The proxy resolves the name.
    pub(super) unresolved: bool,
    pub(super) follow: bool,
    pub(super) fail_if_ssl: bool,
    pub(super) fail_if_not_ssl: bool,
    pub(super) method: Method,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) fail_if_body: Vec<Pattern>,
    pub(super) fail_if_body_not: Vec<Pattern>,
    pub(super) fail_if_header: Vec<HeaderMatch>,
    pub(super) fail_if_header_not: Vec<HeaderMatch>,
    pub(super) body: Vec<u8>,
    pub(super) body_file: Option<PathBuf>,
    pub(super) compression: Option<String>,
    pub(super) limit: Option<Size>,
    pub(super) http2: bool,
    pub(super) auth: Auth,
    pub(super) tls: Tls,
    pub(super) proxy: Option<crate::scenario::network::Proxy>,
}

/// What a header must be, or must not.
#[derive(Debug, Clone)]
pub(super) struct HeaderMatch {
    pub(super) name: String,
    pub(super) pattern: Pattern,
    pub(super) allow_missing: bool,
}

/// A connection and what is said on it.
#[derive(Debug, Clone)]
pub(super) struct Tcp {
    pub(super) preference: Preference,
    pub(super) talk: Talk,
}

/// What is said on a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Talk {
    pub(super) turns: Vec<Turn>,
    pub(super) secure: bool,
    pub(super) tls: Tls,
}

/// Something that is waited for, something that is said then.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub(super) expect: Option<Pattern>,
    pub(super) send: String,
    pub(super) starttls: bool,
    /// Names and templates of labels that what came fills in.
    pub(super) labels: Vec<(String, String)>,
}

/// A question to a name server.
#[derive(Debug, Clone)]
pub(super) struct Dns {
    pub(super) preference: Preference,
    pub(super) over_tls: bool,
    pub(super) tls: Tls,
    pub(super) transport: String,
    pub(super) class: DNSClass,
    pub(super) name: String,
    pub(super) kind: RecordType,
    pub(super) recursion: bool,
    pub(super) rcodes: Option<Vec<String>>,
    pub(super) answer: Records,
    pub(super) authority: Records,
    pub(super) additional: Records,
}

/// One echo.
#[derive(Debug, Clone)]
pub(super) struct Icmp {
    pub(super) preference: Preference,
    pub(super) size: u16,
    /// How far it may go; zero leaves that to the system.
    pub(super) ttl: u8,
}

/// A call of `grpc.health.v1`.
#[derive(Debug, Clone)]
pub(super) struct Grpc {
    pub(super) preference: Preference,
    pub(super) service: String,
    pub(super) secure: bool,
    pub(super) tls: Tls,
    pub(super) metadata: Vec<(HeaderName, HeaderValue)>,
}

/// An upgrade and what is said then.
#[derive(Debug, Clone)]
pub(super) struct WebSocket {
    pub(super) preference: Preference,
    pub(super) headers: Vec<(HeaderName, client::Value)>,
    pub(super) turns: Vec<Turn>,
    pub(super) auth: Auth,
    pub(super) tls: Tls,
}

impl Module {
    /// The module with who we say we are to one target, where that can be said.
    pub(super) fn authorized(&self, login: &Login) -> Self {
        let auth = match login {
            Login::Basic { user, password_file } => Auth::Basic {
                user: client::Value::Written(crate::secret::Secret::new(user)),
                password: client::Value::File(password_file.clone()),
            },
            Login::Bearer { token_file } => {
                Auth::Token { kind: "Bearer".to_owned(), token: client::Value::File(token_file.clone()) }
            }
        };
        let mut module = self.clone();
        match &mut module.prober {
            Prober::Http(http) => http.auth = auth,
            Prober::WebSocket(websocket) => websocket.auth = auth,
            Prober::Tcp(_) | Prober::Dns(_) | Prober::Icmp(_) | Prober::Grpc(_) | Prober::Unix(_) => {}
        }
        module
    }
}

/// The exporter's own patience with a payload: what a datagram may carry.
const MOST_PAYLOAD: i64 = 65_000;

/// What an echo carries where nothing is said, in bytes.
const PAYLOAD: u16 = 28;

impl Modules {
    /// The module of that name.
    pub(super) fn get(&self, name: &str) -> Option<&Module> {
        self.0.get(name)
    }

    /// The modules that are there where no file says otherwise.
    pub(super) fn usual() -> Self {
        let text = "modules: { http_2xx: { prober: http }, http_post_2xx: { prober: http, http: { method: POST } }, \
                    tcp_connect: { prober: tcp } }";
        Self::parse(Path::new("blackbox.yml"), text).unwrap_or_default()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Everything that is wrong with it, drawn with its places.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let unread =
            |why: &dyn std::fmt::Display| format!("error: `{}` cannot be read: {why}", path.display());
        let bytes = crate::source::read(path).map_err(|why| unread(&why))?;
        let text = String::from_utf8(bytes).map_err(|_| unread(&"it is not UTF-8"))?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, String> {
        let mut sources = Sources::default();
        let id = sources.add(path, text);
        let drawn = |findings: Vec<Finding>| {
            let all: Vec<_> = findings.iter().map(|finding| finding.draw(&sources).render(false)).collect();
            all.join("\n\n")
        };
        let Some(document) = yaml::parse(id, text).map_err(drawn)?.into_iter().next() else {
            return Err(format!("error: `{}` is empty", path.display()));
        };
        // Go's reader knows the booleans of YAML 1.1, and to it a key without a value is not there.
        let document = yaml::as_elder(document, text).without_nothing();
        if document.kind == Kind::Null {
            return Ok(Self::default());
        }
        let file: written::File = yaml::read(&document).map_err(drawn)?;
        let mut findings = Findings::default();
        let mut modules = BTreeMap::new();
        for (name, module) in file.modules {
            let node = document.get("modules").and_then(|modules| modules.get(&name.value));
            let shown = node.map(|node| yaml::print(&masked(node))).unwrap_or_default();
            if let Some(module) = module.check(name.place, shown, &mut findings) {
                modules.insert(name.value, module);
            }
        }
        if findings.any_error() { Err(drawn(findings.in_reading_order())) } else { Ok(Self(modules)) }
    }
}

/// Keys whose values nobody is shown.
const SECRET: [&str; 7] =
    ["password", "bearer_token", "credentials", "client_secret", "key", "secrets", "private_key"];

/// A module as it is written, without its secrets.
fn masked(node: &Node) -> Node {
    let mut node = node.clone();
    if let Some(entries) = node.entries_mut() {
        for (key, value) in entries {
            *value = if SECRET.contains(&key.name.as_str()) { value.text("<secret>") } else { masked(value) };
        }
    }
    for item in node.items_mut() {
        *item = masked(item);
    }
    node
}

/// What the exporter knows and we do not do is refused, rather than passed over.
fn refuse(findings: &mut Findings, place: Place, what: &str, help: &str) {
    let finding = Finding::new(Code::FileValue, place, format!("{what} is not supported"));
    findings.add(finding.label("not done here").help(help));
}

fn refuse_json(findings: &mut Findings, written: Option<&Json>, what: &str, help: &str) {
    if let Some(Json(node)) = written {
        refuse(findings, node.place, what, help);
    }
}

fn wrong(findings: &mut Findings, place: Place, title: impl Into<String>) {
    findings.add(Finding::new(Code::FileValue, place, title));
}

const IN_A_SCENARIO: &str = "a scenario's `http` step has this; see `firedrill schema scenario`";

fn preference(written: &str, fallback: Option<bool>) -> Preference {
    Preference { six: matches!(written, "ip6" | ""), fallback: fallback.unwrap_or(true) }
}

fn no_source(findings: &mut Findings, written: Option<&At<String>>) {
    if let Some(at) = written.filter(|at| !at.value.is_empty()) {
        refuse(
            findings,
            at.place,
            "a source address",
            "the system chooses the address that is connected from",
        );
    }
}

impl written::Module {
    fn check(self, place: Place, shown: String, findings: &mut Findings) -> Option<Module> {
        let timeout = self.timeout.map(|time| time.0).filter(|seconds| *seconds > 0.0);
        let timeout = timeout.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        // The exporter checks every section, also those that the prober does not look at.
        let http = self.http.unwrap_or_default().check(findings);
        let tcp = self.tcp.unwrap_or_default().check(findings);
        let asks = self.dns.is_some();
        let dns = self.dns.and_then(|dns| dns.check(findings));
        let icmp = self.icmp.unwrap_or_default().check(findings);
        let grpc = self.grpc.unwrap_or_default().check(findings);
        let unix = self.unix.unwrap_or_default();
        let unix = talk(unix.query_response, unix.tls, unix.tls_config, findings);
        let websocket = self.websocket.unwrap_or_default().check(findings);
        let prober = match self.prober.value.as_str() {
            "http" => Prober::Http(Box::new(http?)),
            "tcp" => Prober::Tcp(Box::new(tcp)),
            "dns" => {
                if !asks {
                    wrong(findings, place, "query name must be set for DNS module");
                }
                Prober::Dns(Box::new(dns?))
            }
            "icmp" => Prober::Icmp(icmp),
            "grpc" => Prober::Grpc(Box::new(grpc)),
            "unix" => Prober::Unix(Box::new(unix)),
            "websocket" => Prober::WebSocket(Box::new(websocket)),
            other => {
                let known = ["http", "tcp", "dns", "icmp", "grpc", "unix", "websocket"];
                let hint = crate::finding::nearest(other, known);
                let finding =
                    Finding::new(Code::FileValue, self.prober.place, format!("there is no prober `{other}`"));
                findings.add(match hint {
                    Some(hint) => finding.label(format!("did you mean `{hint}`?")),
                    None => finding.help(format!("probers are {}", known.join(", "))),
                });
                return None;
            }
        };
        Some(Module { prober, timeout, shown })
    }
}

impl written::Http {
    fn check(self, findings: &mut Findings) -> Option<Http> {
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

fn turns(all: Vec<written::QueryResponse>, findings: &mut Findings) -> Vec<Turn> {
    let turn = |one: written::QueryResponse| {
        let text = "write text under `expect` and `send`";
        refuse_json(findings, one.expect_bytes.as_ref(), "`expect_bytes`", text);
        refuse_json(findings, one.send_bytes.as_ref(), "`send_bytes`", text);
        Turn {
            expect: one.expect.filter(|pattern| !pattern.is_empty()),
            send: one.send,
            starttls: one.starttls,
            labels: one.labels.into_iter().map(|label| (label.name, label.value)).collect(),
        }
    };
    all.into_iter().map(turn).collect()
}

fn talk(all: Vec<written::QueryResponse>, secure: bool, tls: written::Tls, findings: &mut Findings) -> Talk {
    Talk { turns: turns(all, findings), secure, tls: tls.check(findings) }
}

impl written::Tcp {
    fn check(self, findings: &mut Findings) -> Tcp {
        no_source(findings, self.source_ip_address.as_ref());
        Tcp {
            preference: preference(&self.preferred_ip_protocol, self.ip_protocol_fallback),
            talk: talk(self.query_response, self.tls, self.tls_config, findings),
        }
    }
}

impl written::Dns {
    fn check(self, findings: &mut Findings) -> Option<Dns> {
        no_source(findings, self.source_ip_address.as_ref());
        if self.query_name.value.is_empty() {
            wrong(findings, self.query_name.place, "query name must be set for DNS module");
        }
        let class = self.query_class.filter(|at| !at.value.is_empty());
        let class = class.map_or(Some(DNSClass::IN), |at| {
            let read = at.value.parse().ok();
            if read.is_none() {
                wrong(findings, at.place, format!("query class '{}' is not valid", at.value));
            }
            read
        });
        let kind = self.query_type.filter(|at| !at.value.is_empty());
        let kind = kind.map_or(Some(RecordType::ANY), |at| {
            let read = at.value.parse().ok();
            if read.is_none() {
                wrong(findings, at.place, format!("query type '{}' is not valid", at.value));
            }
            read
        });
        Some(Dns {
            preference: preference(&self.preferred_ip_protocol, self.ip_protocol_fallback),
            over_tls: self.dns_over_tls,
            tls: self.tls_config.check(findings),
            transport: self
                .transport_protocol
                .filter(|text| !text.is_empty())
                .unwrap_or_else(|| "udp".to_owned()),
            class: class?,
            name: self.query_name.value,
            kind: kind?,
            recursion: self.recursion_desired.unwrap_or(true),
            rcodes: self.valid_rcodes,
            answer: self.validate_answer_rrs,
            authority: self.validate_authority_rrs,
            additional: self.validate_additional_rrs,
        })
    }
}

impl written::Icmp {
    fn check(self, findings: &mut Findings) -> Icmp {
        no_source(findings, self.source_ip_address.as_ref());
        if let Some(at) = self.dont_fragment.filter(|at| at.value) {
            refuse(findings, at.place, "`dont_fragment`", "an echo is sent as the system sends it");
        }
        let ttl = self.ttl.map_or(64, |at| {
            if at.value < 0 {
                wrong(findings, at.place, "\"ttl\" cannot be negative");
            } else if at.value > 255 {
                wrong(findings, at.place, "\"ttl\" cannot exceed 255");
            }
            at.value
        });
        let size = self.payload_size.map_or(0, |at| {
            if !(0..=MOST_PAYLOAD).contains(&at.value) {
                wrong(findings, at.place, format!("an echo carries up to {MOST_PAYLOAD} bytes"));
            }
            at.value
        });
        Icmp {
            preference: preference(&self.preferred_ip_protocol, self.ip_protocol_fallback),
            size: u16::try_from(size).ok().filter(|size| *size > 0).unwrap_or(PAYLOAD),
            ttl: u8::try_from(ttl).unwrap_or_default(),
        }
    }
}

impl written::Grpc {
    fn check(self, findings: &mut Findings) -> Grpc {
        let mut metadata = Vec::new();
        for (name, values) in self.metadata {
            for value in values {
                metadata.extend(client::header(&name, &At::new(value, name.place), findings));
            }
        }
        Grpc {
            preference: preference(&self.preferred_ip_protocol, self.ip_protocol_fallback),
            service: self.service,
            secure: self.tls,
            tls: self.tls_config.check(findings),
            metadata,
        }
    }
}

impl written::WebSocket {
    fn check(self, findings: &mut Findings) -> WebSocket {
        let mut headers = Vec::new();
        for (name, values) in self.headers {
            headers.extend(client::values(&name, values, findings));
        }
        let written::WebSocketClient {
            basic_auth,
            authorization,
            bearer_token,
            bearer_token_file,
            tls_config,
        } = self.http_config;
        let written = client::Written {
            basic: basic_auth,
            authorization,
            token: bearer_token,
            token_file: bearer_token_file,
        };
        WebSocket {
            preference: preference(&self.preferred_ip_protocol, self.ip_protocol_fallback),
            headers,
            turns: turns(self.query_response, findings),
            auth: client::auth(written, findings),
            tls: tls_config.check(findings),
        }
    }
}
