//! Where what is measured is sent while it is measured.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::access::Said;
use crate::prometheus::{Access, Limits, Receiver};
use crate::report::Report;
use crate::report::remote::{Form, Remote};

/// How long one try may take: what is a second old should be there before much more of it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// Arguments about remote write.
#[derive(Debug, Args)]
pub(super) struct RemoteWrite {
    /// Also send what is measured by Prometheus's remote write, about once a second
    ///
    /// To a Prometheus that takes it, or to what speaks like one: its address, or that of the endpoint.
    #[arg(
        id = "remote_write",
        long = "remote-write",
        value_name = "URL",
        help_heading = "Output",
        hide_short_help = true
    )]
    to: Option<String>,

    /// How times are sent
    #[arg(
        id = "remote_write_histograms",
        long = "remote-write-histograms",
        value_enum,
        value_name = "FORM",
        default_value_t = Histograms::Auto,
        requires = "remote_write",
        help_heading = "Remote write",
        hide_short_help = true
    )]
    histograms: Histograms,

    /// Who sends; the password is in the file or in `FIREDRILL_REMOTE_WRITE_PASSWORD`
    #[arg(
        id = "remote_write_user",
        long = "remote-write-user",
        value_name = "NAME",
        requires = "remote_write",
        help_heading = "Remote write",
        hide_short_help = true
    )]
    user: Option<String>,

    /// A file with the password
    #[arg(
        id = "remote_write_password_file",
        long = "remote-write-password-file",
        value_name = "FILE",
        requires = "remote_write_user",
        help_heading = "Remote write",
        hide_short_help = true
    )]
    password_file: Option<PathBuf>,

    /// A file with a bearer token; `FIREDRILL_REMOTE_WRITE_TOKEN` is one, too
    #[arg(
        id = "remote_write_token_file",
        long = "remote-write-token-file",
        value_name = "FILE",
        requires = "remote_write",
        conflicts_with = "remote_write_user",
        help_heading = "Remote write",
        hide_short_help = true
    )]
    token_file: Option<PathBuf>,

    /// Certificates of the authorities to trust, PEM
    #[arg(
        id = "remote_write_ca",
        long = "remote-write-ca",
        value_name = "FILE",
        requires = "remote_write",
        help_heading = "Remote write",
        hide_short_help = true
    )]
    ca: Option<PathBuf>,

    /// A client certificate, PEM
    #[arg(
        id = "remote_write_cert",
        long = "remote-write-cert",
        value_name = "FILE",
        requires = "remote_write_key",
        help_heading = "Remote write",
        hide_short_help = true
    )]
    cert: Option<PathBuf>,

    /// Its private key, PEM
    #[arg(
        id = "remote_write_key",
        long = "remote-write-key",
        value_name = "FILE",
        requires = "remote_write_cert",
        help_heading = "Remote write",
        hide_short_help = true
    )]
    key: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Histograms {
    /// As native histograms where the receiver says that it takes them, else in buckets
    Auto,
    /// As native histograms
    Native,
    /// In buckets
    Classic,
}

impl RemoteWrite {
    /// What sends, where anything is to be sent; or why it cannot be.
    pub(super) fn report(&self) -> Result<Option<Box<dyn Report>>, String> {
        let Some(url) = &self.to else { return Ok(None) };
        let said = Said {
            user: self.user.as_deref(),
            password_file: self.password_file.as_deref(),
            token_file: self.token_file.as_deref(),
            ca: self.ca.as_deref(),
            identity: self.cert.as_deref().zip(self.key.as_deref()),
        };
        let access = said.access(url, "FIREDRILL_REMOTE_WRITE")?;
        let limits = Limits { timeout: PATIENCE, ..Limits::default() };
        let receiver = Receiver::new(&Access { limits, ..access }).map_err(|error| error.to_string())?;
        let form = match self.histograms {
            Histograms::Auto => Form::Auto,
            Histograms::Native => Form::Native,
            Histograms::Classic => Form::Classic,
        };
        let remote = Remote::new(receiver, form).map_err(|error| format!("remote write: {error}"))?;
        Ok(Some(Box::new(remote)))
    }
}
