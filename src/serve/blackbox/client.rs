//! What modules share with every client of Prometheus: who we say we are, and whom we trust. Files are read when they
//! are needed, so that what is renewed is used.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderName, HeaderValue};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;

use super::written::{self, Hidden};
use super::{refuse, wrong};
use crate::finding::Findings;
use crate::probe::trust::{Identity, TlsOptions, TlsVersion, certificates};
use crate::secret::Secret;
use crate::source::{At, Place};

/// Why a module cannot be used as it is: a file that it names.
#[derive(Debug, thiserror::Error)]
pub(in crate::serve) enum Trouble {
    #[error("`{0}` cannot be read: {1}")]
    Unreadable(PathBuf, std::io::Error),
    #[error("`{0}`: {1}")]
    Useless(PathBuf, String),
}

/// Text that stands in the file, or in another.
#[derive(Debug, Clone)]
pub(in crate::serve) enum Value {
    Written(Secret),
    File(PathBuf),
}

impl Value {
    /// The text itself.
    ///
    /// # Errors
    /// Its file cannot be read.
    pub(in crate::serve) async fn get(&self) -> Result<Secret, Trouble> {
        match self {
            Self::Written(value) => Ok(value.clone()),
            Self::File(path) => {
                let text = tokio::fs::read_to_string(path).await;
                let text = text.map_err(|source| Trouble::Unreadable(path.clone(), source))?;
                Ok(Secret::new(text.trim()))
            }
        }
    }
}

/// Who we say we are.
#[derive(Debug, Clone, Default)]
pub(in crate::serve) enum Auth {
    #[default]
    Nobody,
    Basic {
        user: Value,
        password: Value,
    },
    Token {
        /// `Bearer`, or another.
        kind: String,
        token: Value,
    },
}

impl Auth {
    /// The value of `Authorization`, where there is one.
    ///
    /// # Errors
    /// A file cannot be read, or holds what no header may.
    pub(in crate::serve) async fn header(&self) -> Result<Option<HeaderValue>, Trouble> {
        let text = match self {
            Self::Nobody => return Ok(None),
            Self::Basic { user, password } => {
                let (user, password) = (user.get().await?, password.get().await?);
                format!(
                    "Basic {}",
                    BASE64_STANDARD.encode(format!("{}:{}", user.expose(), password.expose()))
                )
            }
            Self::Token { kind, token } => format!("{kind} {}", token.get().await?.expose()),
        };
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| Trouble::Useless("authorization".into(), "no header can carry this".to_owned()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// What is written about who we are.
pub(super) struct Written {
    pub(super) basic: Option<written::Basic>,
    pub(super) authorization: Option<written::Authorization>,
    pub(super) token: Option<At<Hidden>>,
    pub(super) token_file: Option<At<String>>,
}

/// Which ways to say who we are stand beside a token.
struct Ways {
    basic: bool,
    authorization: bool,
}

impl Ways {
    fn check(&self, token: Option<Place>, file: Option<Place>, findings: &mut Findings) {
        if let (Some(_), Some(file)) = (token, file) {
            wrong(findings, file, "at most one of bearer_token & bearer_token_file must be configured");
        }
        let Some(place) = token.or(file) else { return };
        if self.basic {
            let title =
                "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured";
            wrong(findings, place, title);
        }
        if self.authorization {
            wrong(findings, place, "authorization is not compatible with bearer_token & bearer_token_file");
        }
    }
}

/// What is written, or stands in a file; not both.
fn one(written: Option<Hidden>, file: Option<At<String>>, what: &str, findings: &mut Findings) -> Value {
    let written = written.filter(|value| !value.0.expose().is_empty());
    let file = file.filter(|at| !at.value.is_empty());
    if let (Some(_), Some(file)) = (&written, &file) {
        wrong(findings, file.place, format!("at most one of {what} & {what}_file must be configured"));
    }
    match (written, file) {
        (Some(Hidden(value)), _) => Value::Written(value),
        (None, Some(file)) => Value::File(file.value.into()),
        (None, None) => Value::Written(Secret::new("")),
    }
}

/// Only one way may be written.
pub(super) fn auth(written: Written, findings: &mut Findings) -> Auth {
    let Written { basic, authorization, token, token_file } = written;
    let token = token.filter(|at| !at.value.0.expose().is_empty());
    let token_file = token_file.filter(|at| !at.value.is_empty());
    let one_way = Ways { basic: basic.is_some(), authorization: authorization.is_some() };
    one_way.check(token.as_ref().map(|at| at.place), token_file.as_ref().map(|at| at.place), findings);
    if let Some(basic) = basic {
        if let Some(kind) = authorization.as_ref().and_then(|authorization| authorization.kind.as_ref()) {
            wrong(
                findings,
                kind.place,
                "at most one of basic_auth, oauth2 & authorization must be configured",
            );
        }
        let user = Some(Hidden(Secret::new(basic.username)));
        let user = one(user, basic.username_file, "basic_auth username", findings);
        let password = one(basic.password, basic.password_file, "basic_auth password", findings);
        return Auth::Basic { user, password };
    }
    if let Some(authorization) = authorization {
        if let Some(kind) =
            authorization.kind.as_ref().filter(|kind| kind.value.eq_ignore_ascii_case("basic"))
        {
            wrong(
                findings,
                kind.place,
                "authorization type cannot be set to \"basic\", use \"basic_auth\" instead",
            );
        }
        let kind = authorization.kind.map(|at| at.value.trim().to_owned()).filter(|kind| !kind.is_empty());
        let token = one(
            authorization.credentials,
            authorization.credentials_file,
            "authorization credentials",
            findings,
        );
        return Auth::Token { kind: kind.unwrap_or_else(|| "Bearer".to_owned()), token };
    }
    match (token, token_file) {
        (Some(token), _) => Auth::Token { kind: "Bearer".to_owned(), token: Value::Written(token.value.0) },
        (None, Some(file)) => {
            Auth::Token { kind: "Bearer".to_owned(), token: Value::File(file.value.into()) }
        }
        (None, None) => Auth::Nobody,
    }
}

/// A header that can be sent.
pub(super) fn header(
    name: &At<String>,
    value: &At<String>,
    findings: &mut Findings,
) -> Option<(HeaderName, HeaderValue)> {
    let read = HeaderName::from_bytes(name.value.as_bytes());
    let read =
        read.map_err(|_| wrong(findings, name.place, format!("`{}` is not a header", name.value))).ok();
    let text = HeaderValue::from_str(&value.value);
    let text = text.map_err(|_| wrong(findings, value.place, "no header can carry this")).ok();
    Some((read?, text?))
}

/// The values of one header: written, secret, and of files.
pub(super) fn values(
    name: &At<String>,
    written: written::HeaderValues,
    findings: &mut Findings,
) -> Vec<(HeaderName, Value)> {
    let mut all = Vec::new();
    for value in written.values {
        if let Some((name, _)) = header(name, &value, findings) {
            all.push((name, Value::Written(Secret::new(value.value))));
        }
    }
    let Ok(read) = HeaderName::from_bytes(name.value.as_bytes()) else {
        wrong(findings, name.place, format!("`{}` is not a header", name.value));
        return all;
    };
    all.extend(written.secrets.into_iter().map(|secret| (read.clone(), Value::Written(secret.0))));
    all.extend(written.files.into_iter().map(|file| (read.clone(), Value::File(file.value.into()))));
    all
}

/// Whom we trust over TLS, and who we say we are.
#[derive(Debug, Clone, Default)]
pub(in crate::serve) struct Tls {
    ca: Option<Value>,
    certificate: Option<Value>,
    key: Option<Value>,
    pub(in crate::serve) server_name: Option<String>,
    skip_verify: bool,
    min_version: Option<TlsVersion>,
}

impl written::Tls {
    pub(super) fn check(self, findings: &mut Findings) -> Tls {
        let one = |written: Option<At<Secret>>,
                   file: Option<At<String>>,
                   what: &str,
                   findings: &mut Findings| {
            let file = file.filter(|at| !at.value.is_empty());
            if let (Some(_), Some(file)) = (&written, &file) {
                wrong(
                    findings,
                    file.place,
                    format!("at most one of {what} and {what}_file must be configured"),
                );
            }
            written.map(|at| Value::Written(at.value)).or_else(|| file.map(|at| Value::File(at.value.into())))
        };
        let text =
            |at: Option<At<String>>| at.filter(|at| !at.value.is_empty()).map(|at| at.map(Secret::new));
        let place = self.cert.as_ref().or(self.cert_file.as_ref()).map(|at| at.place);
        let lone = self.key_file.as_ref().map(|at| at.place).or_else(|| self.key.as_ref().map(|at| at.place));
        let ca = one(text(self.ca), self.ca_file, "ca", findings);
        let certificate = one(text(self.cert), self.cert_file, "cert", findings);
        let key = one(self.key.map(|at| at.map(|hidden| hidden.0)), self.key_file, "key", findings);
        if let (true, Some(place)) = (certificate.is_some() != key.is_some(), place.or(lone)) {
            wrong(findings, place, "a client certificate and its key are both needed");
        }
        let min_version = self.min_version.as_ref().and_then(|at| match at.value.as_str() {
            "TLS13" => Some(TlsVersion::Tls13),
            "TLS10" | "TLS11" | "TLS12" | "" => None,
            other => {
                wrong(findings, at.place, format!("unknown TLS version: {other}"));
                None
            }
        });
        if let Some(at) = self.max_version.as_ref().filter(|at| !matches!(at.value.as_str(), "TLS13" | "")) {
            match at.value.as_str() {
                "TLS10" | "TLS11" | "TLS12" => {
                    refuse(findings, at.place, "a newest version of TLS", "TLS 1.2 and 1.3 are offered");
                }
                other => wrong(findings, at.place, format!("unknown TLS version: {other}")),
            }
        }
        Tls {
            ca,
            certificate,
            key,
            server_name: self.server_name.filter(|name| !name.is_empty()),
            skip_verify: self.insecure_skip_verify,
            min_version,
        }
    }
}

impl Tls {
    /// What a connection needs.
    ///
    /// # Errors
    /// A file cannot be read, or holds nothing of use.
    pub(in crate::serve) async fn options(&self) -> Result<TlsOptions, Trouble> {
        let named = |value: &Value| match value {
            Value::File(path) => path.clone(),
            Value::Written(_) => Path::new("tls_config").to_owned(),
        };
        let mut options = TlsOptions {
            server_name: self.server_name.clone(),
            skip_verify: self.skip_verify,
            min_version: self.min_version,
            ..TlsOptions::default()
        };
        if let Some(ca) = &self.ca {
            let read = certificates(ca.get().await?.expose().as_bytes());
            options.ca = Some(read.map_err(|why| Trouble::Useless(named(ca), why.to_string()))?);
        }
        if let (Some(certificate), Some(key)) = (&self.certificate, &self.key) {
            let chain = certificates(certificate.get().await?.expose().as_bytes());
            let chain = chain.map_err(|why| Trouble::Useless(named(certificate), why.to_string()))?;
            let read = PrivateKeyDer::from_pem_slice(key.get().await?.expose().as_bytes());
            let read = read.map_err(|why| Trouble::Useless(named(key), format!("no private key: {why}")))?;
            options.identity = Some(Identity { chain, key: Arc::new(read) });
        }
        Ok(options)
    }
}
