//! A TLS handshake, from the first byte or after STARTTLS, as written and as checked.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use super::exchange::check_address;
use super::expect::Answer;
use super::http::Tls;
use super::probe::{Holes, Kind};
use super::template::Template;
use crate::finding::Findings;
use crate::source::At;

/// One TLS handshake, and nothing after it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandshakeWritten {
    /// Where to connect: `host:port`.
    address: At<Template>,
    /// The name to ask for and to check the certificate against, instead of the address's.
    server_name: Option<At<Template>>,
    /// A PEM file of the authorities to trust instead of the system's, beside this file. Only the environment
    /// may be named in it.
    ca: Option<At<Template>>,
    /// Accept any certificate; it is read all the same.
    #[serde(default)]
    skip_verify: bool,
    /// What is spoken before TLS, and how TLS is asked for; nothing unless said.
    starttls: Option<StartTls>,
}

/// How TLS is asked for in a protocol that begins in clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StartTls {
    /// Mail on its way, RFC 3207.
    Smtp,
    /// Mail that is read, RFC 9051.
    Imap,
    /// Mail that is fetched, RFC 2595.
    Pop3,
    /// `PostgreSQL`, by its `SSLRequest`.
    Postgres,
    /// Directories, RFC 4511.
    Ldap,
}

impl fmt::Display for StartTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Smtp => "smtp",
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Postgres => "postgres",
            Self::Ldap => "ldap",
        })
    }
}

/// One TLS handshake, checked.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// Where to connect.
    pub address: At<Template>,
    /// How TLS is spoken.
    pub tls: Tls,
    /// What is spoken before it.
    pub starttls: Option<StartTls>,
}

impl HandshakeWritten {
    /// Checks what was written.
    pub fn check(self, findings: &mut Findings) -> Handshake {
        check_address(&self.address, findings);
        let Self { address, server_name, ca, skip_verify, starttls } = self;
        Handshake { address, tls: Tls { ca, server_name, skip_verify, ..Tls::default() }, starttls }
    }
}

impl Kind for Handshake {
    fn kind(&self) -> &'static str {
        "tls"
    }

    fn subject(&self) -> String {
        format!("tls {}", self.address)
    }

    fn answer(&self) -> Answer {
        Answer::Tls
    }

    fn holes(&self) -> Holes<'_> {
        let templates = std::iter::once(&self.address).chain(&self.tls.server_name);
        Box::new(templates.flat_map(|at| at.holes().map(|hole| (hole, at.place))))
    }

    fn tls(&self) -> Option<&Tls> {
        Some(&self.tls)
    }
}
