//! How the port is kept: TLS, who may ask, and what is said with every answer, in a file as Prometheus and its exporters
//! have it. It is read again whenever it is used, and so are the certificates that it names.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::document::Document;
use crate::finding::{Code, Finding, Findings};
use crate::probe::trust::certificates;
use crate::source::At;
use crate::yaml::{Entries, Json};

/// The largest number of proofs that are remembered: each costs a tenth of a second to see again.
const MOST_KNOWN: usize = 1000;

/// What an unknown user's password is compared with, so that it takes as long as a known one's.
const NOBODY: &str = "$2y$10$roG9grd3aMx8eMp4zNk/Z.oh0xMScsblKObPDeD.bM7h9oz6NyFqq";

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    tls_server_config: Option<TlsWritten>,
    http_server_config: HttpWritten,
    basic_auth_users: Entries<At<String>>,
    rate_limit: Option<Json>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsWritten {
    cert_file: At<String>,
    key_file: At<String>,
    client_auth_type: Option<At<String>>,
    client_ca_file: Option<At<String>>,
    min_version: Option<At<String>>,
    max_version: Option<At<String>>,
    cipher_suites: Option<Json>,
    curve_preferences: Option<Json>,
    client_allowed_sans: Option<Json>,
    /// Means nothing to TLS 1.3, nor to Go since 1.17.
    #[expect(dead_code, reason = "taken, as files have it, and without effect")]
    prefer_server_cipher_suites: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct HttpWritten {
    /// HTTP/1.1 is spoken, which everybody who speaks HTTP/2 does too.
    #[serde(rename = "http2")]
    _http2: bool,
    headers: Entries<At<String>>,
}

/// Headers that may be added to every answer.
const HEADERS: [&str; 5] = [
    "content-security-policy",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
    "x-xss-protection",
];

/// Who may ask, and how.
#[derive(Debug)]
pub(super) struct Web {
    file: Option<PathBuf>,
    /// What proved to be right, as digests.
    known: Mutex<HashSet<[u8; 32]>>,
    /// Comparing takes a whole core for a while: only so many at once.
    comparing: Arc<Semaphore>,
}

/// What the file says now.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) headers: HeaderMap,
    users: BTreeMap<String, String>,
}

impl Web {
    pub(super) fn new(file: Option<PathBuf>) -> Self {
        Self { file, known: Mutex::default(), comparing: Arc::new(Semaphore::new(1)) }
    }

    /// What the file says now; without one, anybody may ask in clear.
    ///
    /// # Errors
    /// Everything that is wrong with it, drawn with its places.
    pub(super) fn rules(&self) -> Result<Rules, String> {
        self.file.as_deref().map_or_else(|| Ok(Rules::default()), read)
    }

    /// Whether whoever sent these headers may ask.
    pub(super) async fn admits(&self, rules: &Rules, headers: &HeaderMap) -> bool {
        if rules.users.is_empty() {
            return true;
        }
        let Some((user, password)) = credentials(headers) else { return false };
        let kept = rules.users.get(&user).cloned();
        let hash = kept.clone().unwrap_or_else(|| NOBODY.to_owned());
        let digest: [u8; 32] = Sha256::digest(format!("{user}\0{hash}\0{password}")).into();
        if self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(&digest) {
            return true;
        }
        let Ok(_turn) = self.comparing.acquire().await else { return false };
        let same =
            tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash).unwrap_or(false)).await;
        let admitted = same.unwrap_or(false) && kept.is_some();
        if admitted {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= MOST_KNOWN {
                known.clear();
            }
            known.insert(digest);
        }
        admitted
    }
}

/// User and password of basic authorization.
fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (kind, encoded) = value.split_once(' ')?;
    let decoded =
        kind.eq_ignore_ascii_case("basic").then(|| BASE64_STANDARD.decode(encoded.trim()).ok())??;
    let text = String::from_utf8(decoded).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn read(path: &Path) -> Result<Rules, String> {
    let bytes = crate::source::read(path);
    let bytes = bytes.map_err(|why| format!("error: `{}` cannot be read: {why}", path.display()))?;
    let Some(document) = Document::of(path, bytes)?.map(Document::read_by_go) else {
        return Ok(Rules::default());
    };
    if document.is_nothing() {
        return Ok(Rules::default());
    }
    let written: Written = document.read()?;
    let mut findings = Findings::default();
    let rules = written.check(path.parent().unwrap_or(Path::new("")), &mut findings);
    document.judged(rules, findings)
}

impl Written {
    fn check(self, folder: &Path, findings: &mut Findings) -> Rules {
        let mut rules = Rules::default();
        refuse(findings, self.rate_limit.as_ref(), "`rate_limit`");
        for (name, value) in self.http_server_config.headers {
            let known = HEADERS.into_iter().find(|known| name.value.eq_ignore_ascii_case(known));
            match (known, HeaderValue::from_str(&value.value)) {
                (Some(known), Ok(text)) => {
                    rules.headers.insert(HeaderName::from_static(known), text);
                }
                (None, _) => wrong(findings, &name, format!("header `{}` cannot be set here", name.value)),
                (Some(_), Err(_)) => wrong(findings, &value, "no header can carry this".to_owned()),
            }
        }
        for (name, hash) in self.basic_auth_users {
            // A word that is never right tells a hash from what is none.
            if bcrypt::HashParts::from_str(&hash.value).is_err() {
                wrong(
                    findings,
                    &name,
                    "the value is no password hashed by bcrypt: `htpasswd -nBC 10 NAME`".to_owned(),
                );
            }
            rules.users.insert(name.value, hash.value);
        }
        rules.tls = self.tls_server_config.and_then(|tls| tls.check(folder, findings));
        rules
    }
}

fn wrong<T>(findings: &mut Findings, at: &At<T>, title: String) {
    findings.add(Finding::new(Code::FileValue, at.place, title));
}

/// What is known to other programs and not done here is refused, rather than passed over.
fn refuse(findings: &mut Findings, written: Option<&Json>, what: &str) {
    if let Some(Json(node)) = written {
        let finding = Finding::new(Code::FileValue, node.place, format!("{what} is not supported"));
        findings.add(finding.label("not done here"));
    }
}

impl TlsWritten {
    fn check(self, folder: &Path, findings: &mut Findings) -> Option<Arc<ServerConfig>> {
        refuse(findings, self.cipher_suites.as_ref(), "`cipher_suites`");
        refuse(findings, self.curve_preferences.as_ref(), "`curve_preferences`");
        refuse(findings, self.client_allowed_sans.as_ref(), "`client_allowed_sans`");
        let versions = self.versions(findings);
        let chain = named(folder, &self.cert_file, findings).and_then(|pem| {
            certificates(&pem).map_err(|why| wrong(findings, &self.cert_file, why.to_string())).ok()
        });
        let key = named(folder, &self.key_file, findings).and_then(|pem| {
            let read = PrivateKeyDer::from_pem_slice(&pem);
            read.map_err(|why| wrong(findings, &self.key_file, format!("it holds no private key: {why}")))
                .ok()
        });
        let (roots, needed) = self.clients(folder, findings)?;
        let (chain, key) = (chain?, key?);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions);
        let config = config.map_err(|why| wrong(findings, &self.cert_file, why.to_string())).ok()?;
        let config = match roots {
            None => config.with_no_client_auth(),
            Some(roots) => {
                let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let builder = if needed { builder } else { builder.allow_unauthenticated() };
                let judge =
                    builder.build().map_err(|why| wrong(findings, &self.cert_file, why.to_string())).ok()?;
                config.with_client_cert_verifier(judge)
            }
        };
        let config = config.with_single_cert(chain.to_vec(), key);
        let mut config = config.map_err(|why| wrong(findings, &self.cert_file, why.to_string())).ok()?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Some(Arc::new(config))
    }

    fn versions(&self, findings: &mut Findings) -> &'static [&'static SupportedProtocolVersion] {
        const NEWEST: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
        const OLDER: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
        for at in self.min_version.iter().chain(&self.max_version) {
            if !["TLS10", "TLS11", "TLS12", "TLS13"].contains(&at.value.as_str()) {
                wrong(findings, at, format!("unknown TLS version: {}", at.value));
            }
        }
        let says = |at: &Option<At<String>>, word: &str| at.as_ref().is_some_and(|at| at.value == word);
        if says(&self.min_version, "TLS13") {
            NEWEST
        } else if says(&self.max_version, "TLS12") {
            OLDER
        } else {
            rustls::DEFAULT_VERSIONS
        }
    }

    /// The authorities of clients, and whether everybody has to have a certificate by one.
    fn clients(&self, folder: &Path, findings: &mut Findings) -> Option<(Option<RootCertStore>, bool)> {
        let kind = self.client_auth_type.as_ref().map_or("NoClientCert", |at| &at.value);
        let needed = match (kind, &self.client_auth_type) {
            ("NoClientCert" | "", _) => {
                if let Some(at) = &self.client_ca_file {
                    wrong(
                        findings,
                        at,
                        "client CAs have been configured without a client auth policy".to_owned(),
                    );
                }
                return Some((None, false));
            }
            ("RequireAndVerifyClientCert", _) => true,
            ("VerifyClientCertIfGiven", _) => false,
            ("RequestClientCert" | "RequireAnyClientCert", Some(at)) => {
                wrong(findings, at, format!("`{kind}` verifies nobody, and is not supported"));
                return None;
            }
            (_, Some(at)) => {
                wrong(findings, at, format!("invalid ClientAuth: {kind}"));
                return None;
            }
            (_, None) => return Some((None, false)),
        };
        let Some(file) = &self.client_ca_file else {
            if let Some(at) = &self.client_auth_type {
                wrong(findings, at, "client certificates are verified by a `client_ca_file`".to_owned());
            }
            return None;
        };
        let pem = named(folder, file, findings)?;
        let read = certificates(&pem).map_err(|why| wrong(findings, file, why.to_string())).ok()?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(read.iter().cloned());
        Some((Some(roots), needed))
    }
}

/// What stands in a file beside the configuration.
fn named(folder: &Path, at: &At<String>, findings: &mut Findings) -> Option<Vec<u8>> {
    let path = folder.join(&at.value);
    let read = std::fs::read(&path);
    read.map_err(|why| wrong(findings, at, format!("`{}` cannot be read: {why}", path.display()))).ok()
}
