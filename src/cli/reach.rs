//! How a Prometheus is reached that does not let everybody in: the same words for every verb that asks one.

use std::path::{Path, PathBuf};

use clap::Args;

use super::access::{Said, line};
use crate::prometheus::{Access, Limits};
use crate::secret::Secret;
use crate::units::Span;

/// Who asks, whom to trust, and how long an answer may take.
#[derive(Debug, Args)]
pub(super) struct Reach {
    /// Who asks the Prometheus; the password is in the file or in
    /// `FIREDRILL_PROMETHEUS_PASSWORD`
    #[arg(long, value_name = "NAME", help_heading = "Access", hide_short_help = true)]
    user: Option<String>,

    /// A file with the password
    #[arg(long, value_name = "FILE", requires = "user", help_heading = "Access", hide_short_help = true)]
    password_file: Option<PathBuf>,

    /// A file with a bearer token; `FIREDRILL_PROMETHEUS_TOKEN` is one, too
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "user",
        help_heading = "Access",
        hide_short_help = true
    )]
    token_file: Option<PathBuf>,

    /// A header that every question has, as `X-Scope-OrgID: shop`; `NAME: @FILE` reads it from a file. Repeatable
    #[arg(
        long = "header",
        value_name = "HEADER",
        value_parser = header,
        help_heading = "Access",
        hide_short_help = true
    )]
    headers: Vec<(String, String)>,

    /// Certificates of the authorities to trust, PEM
    #[arg(long, value_name = "FILE", help_heading = "Access", hide_short_help = true)]
    ca: Option<PathBuf>,

    /// A client certificate, PEM
    #[arg(long, value_name = "FILE", requires = "key", help_heading = "Access", hide_short_help = true)]
    cert: Option<PathBuf>,

    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = "Access", hide_short_help = true)]
    key: Option<PathBuf>,

    /// How long one answer may take
    #[arg(long, value_name = "TIME", default_value = "30s", help_heading = "Access", hide_short_help = true)]
    query_timeout: Span,
}

impl Reach {
    /// How the Prometheus at this address is reached.
    ///
    /// # Errors
    /// When a file cannot be read, in a sentence.
    pub(super) fn access(&self, address: &str) -> Result<Access, String> {
        let said = Said {
            user: self.user.as_deref(),
            password_file: self.password_file.as_deref(),
            token_file: self.token_file.as_deref(),
            ca: self.ca.as_deref(),
            identity: self.cert.as_deref().zip(self.key.as_deref()),
        };
        let headers = headers(&self.headers)?;
        let limits = Limits { timeout: self.query_timeout.0, ..Limits::default() };
        Ok(Access { headers, limits, ..said.access(address, "FIREDRILL_PROMETHEUS")? })
    }

    /// The first word of these that was said, for verbs that ask a Prometheus only sometimes.
    pub(super) fn said(&self) -> Option<&'static str> {
        let words = [
            ("--user", self.user.is_some()),
            ("--token-file", self.token_file.is_some()),
            ("--header", !self.headers.is_empty()),
            ("--ca", self.ca.is_some()),
            ("--cert", self.cert.is_some()),
        ];
        words.into_iter().find(|(_, said)| *said).map(|(word, _)| word)
    }
}

/// A header as it is written, `NAME: VALUE`.
pub(super) fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header is like `X-Scope-OrgID: shop`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// Headers with their values, those read that are in files.
pub(super) fn headers(written: &[(String, String)]) -> Result<Vec<(String, Secret)>, String> {
    let read = written.iter().map(|(name, value)| {
        let value = match value.strip_prefix('@') {
            Some(path) => line(Path::new(path))?,
            None => Secret::new(value.as_str()),
        };
        Ok((name.clone(), value))
    });
    read.collect()
}
