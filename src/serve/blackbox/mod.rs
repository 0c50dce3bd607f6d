//! The modules of `blackbox_exporter`: its own configuration, read as strictly as it reads it.

mod client;
mod dns;
mod grpc;
mod http;
mod icmp;
mod pattern;
mod talk;
mod websocket;
mod written;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

pub(super) use self::client::Auth;
pub(super) use self::dns::Dns;
pub(super) use self::grpc::Grpc;
pub(super) use self::http::{HeaderMatch, Http};
pub(super) use self::icmp::Icmp;
pub(super) use self::pattern::Pattern;
pub(super) use self::talk::{Talk, Tcp, Turn};
pub(super) use self::websocket::WebSocket;
pub(super) use self::written::Records;
use super::document::Document;
use super::targets::Login;
use crate::finding::{Code, Finding, Findings};
use crate::source::{At, Place};
use crate::yaml::{self, Json, Node};

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

impl Modules {
    /// The module of that name.
    pub(super) fn get(&self, name: &str) -> Option<&Module> {
        self.0.get(name)
    }

    /// The modules that are there where no file says otherwise.
    pub(super) fn usual() -> Self {
        let text = "modules: { http_2xx: { prober: http }, http_post_2xx: { prober: http, http: { method: POST } }, \
                    tcp_connect: { prober: tcp } }";
        Self::parse(Path::new("blackbox.yml"), text.into()).unwrap_or_default()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Everything that is wrong with it, drawn with its places.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let bytes = crate::source::read(path);
        Self::parse(path, bytes.map_err(|why| format!("error: `{}` cannot be read: {why}", path.display()))?)
    }

    fn parse(path: &Path, bytes: Vec<u8>) -> Result<Self, String> {
        let Some(document) = Document::of(path, bytes)? else {
            return Err(format!("error: `{}` is empty", path.display()));
        };
        let document = document.read_by_go();
        if document.is_nothing() {
            return Ok(Self::default());
        }
        let file: written::File = document.read()?;
        let mut findings = Findings::default();
        let mut modules = BTreeMap::new();
        for (name, module) in file.modules {
            let node = document.node.get("modules").and_then(|modules| modules.get(&name.value));
            let shown = node.map(|node| yaml::print(&masked(node))).unwrap_or_default();
            if let Some(module) = module.check(name.place, shown, &mut findings) {
                modules.insert(name.value, module);
            }
        }
        document.judged(Self(modules), findings)
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
        let unix = talk::talk(unix.query_response, unix.tls, unix.tls_config, findings);
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
