//! A question to a name server and what is expected of its answer, as written and as checked.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use super::expect::Answer;
use super::http::Tls;
use super::predicate::Predicate;
use super::probe::{Holes, Kind};
use super::template::Template;
use crate::finding::{Code, Finding, Findings};
use crate::source::{At, Place};

/// One question to one name server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DnsWritten {
    /// The name that is asked about; with `type: PTR` an address will do.
    name: At<Template>,
    /// The type of records asked for; A unless said.
    #[serde(rename = "type", default)]
    kind: RecordType,
    /// Who is asked: `udp://`, `tcp://` or `tls://` and a host; the first of this machine's own servers unless said.
    /// The port is 53, and 853 over TLS, unless said.
    server: Option<At<Template>>,
    /// Whether the server is to ask others for what it does not know; it is unless said.
    #[serde(default = "yes")]
    recursion: bool,
    /// How TLS is spoken with a `tls://` server.
    #[serde(default)]
    tls: Tls,
}

fn yes() -> bool {
    true
}

/// A type of records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum RecordType {
    /// IPv4 addresses.
    #[default]
    A,
    /// IPv6 addresses.
    #[serde(rename = "AAAA")]
    Aaaa,
    /// Where mail goes.
    #[serde(rename = "MX")]
    Mx,
    /// Text.
    #[serde(rename = "TXT")]
    Txt,
    /// The name this one is an alias of.
    #[serde(rename = "CNAME")]
    Cname,
    /// The zone's name servers.
    #[serde(rename = "NS")]
    Ns,
    /// Where the zone begins.
    #[serde(rename = "SOA")]
    Soa,
    /// Where a service is.
    #[serde(rename = "SRV")]
    Srv,
    /// Who may issue certificates.
    #[serde(rename = "CAA")]
    Caa,
    /// The name of an address.
    #[serde(rename = "PTR")]
    Ptr,
}

impl RecordType {
    /// As zone files write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Mx => "MX",
            Self::Txt => "TXT",
            Self::Cname => "CNAME",
            Self::Ns => "NS",
            Self::Soa => "SOA",
            Self::Srv => "SRV",
            Self::Caa => "CAA",
            Self::Ptr => "PTR",
        }
    }
}

/// What a name server says of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Rcode {
    /// The name exists.
    NoError,
    /// The question was not understood.
    FormErr,
    /// The server could not find out.
    ServFail,
    /// The name does not exist.
    NxDomain,
    /// The server does not answer questions like this.
    NotImp,
    /// The server does not answer us.
    Refused,
}

impl Rcode {
    /// Every one that a file may name.
    const ALL: [Self; 6] =
        [Self::NoError, Self::FormErr, Self::ServFail, Self::NxDomain, Self::NotImp, Self::Refused];

    /// The code with this number, where it is one that a file may name.
    #[must_use]
    pub fn of(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoError => "NOERROR",
            Self::FormErr => "FORMERR",
            Self::ServFail => "SERVFAIL",
            Self::NxDomain => "NXDOMAIN",
            Self::NotImp => "NOTIMP",
            Self::Refused => "REFUSED",
        })
    }
}

/// One question to one name server, checked.
#[derive(Debug, Clone)]
pub struct Dns {
    /// The name that is asked about.
    pub name: At<Template>,
    /// The type of records asked for.
    pub kind: RecordType,
    /// Who is asked; the first of this machine's own servers where nothing is said.
    pub server: Option<At<Template>>,
    /// Whether the server is to ask others.
    pub recursion: bool,
    /// How TLS is spoken.
    pub tls: Tls,
}

/// What the answer of a name server must be. Without `rcode`, `NOERROR` and a record of the type asked for.
#[derive(Debug, Clone, Default)]
pub struct Records {
    /// What the server says of the question.
    pub rcode: Option<At<Rcode>>,
    /// The answer's records, any of them.
    pub answers: Option<At<Predicate>>,
    /// How many of them are of the type asked for.
    pub count: Option<At<Predicate>>,
    /// Records about who is in charge, any of them.
    pub authority: Option<At<Predicate>>,
    /// Records besides, any of them.
    pub additional: Option<At<Predicate>>,
    /// The smallest time to live among the answer's records, in seconds.
    pub ttl: Option<At<Predicate>>,
}

impl Records {
    /// What is expected of a value, by key.
    pub(super) fn predicates(&self) -> impl Iterator<Item = (&'static str, &At<Predicate>)> {
        let all = [
            ("answers", &self.answers),
            ("count", &self.count),
            ("authority", &self.authority),
            ("additional", &self.additional),
            ("ttl", &self.ttl),
        ];
        all.into_iter().filter_map(|(name, at)| Some((name, at.as_ref()?)))
    }

    /// What is expected, by key, with its place.
    pub(super) fn places(&self) -> impl Iterator<Item = (&'static str, Place)> {
        let rcode = self.rcode.as_ref().map(|at| ("rcode", at.place));
        rcode.into_iter().chain(self.predicates().map(|(name, at)| (name, at.place)))
    }
}

impl DnsWritten {
    /// Checks what was written.
    pub fn check(self, findings: &mut Findings) -> Dns {
        if let Some(server) = &self.server
            && let Some(literal) = server.literal()
            && !["udp://", "tcp://", "tls://"].iter().any(|scheme| literal.starts_with(scheme))
        {
            let title = format!("`{literal}` is not a name server's address");
            let finding = Finding::new(Code::ScenarioUrl, server.place, title);
            findings.add(finding.help("it begins with `udp://`, `tcp://` or `tls://`: `udp://127.0.0.1:53`"));
        }
        let Self { name, kind, server, recursion, tls } = self;
        Dns { name, kind, server, recursion, tls }
    }
}

impl Kind for Dns {
    fn kind(&self) -> &'static str {
        "dns"
    }

    fn subject(&self) -> String {
        format!("dns {} {}", self.kind.name(), self.name)
    }

    fn answer(&self) -> Answer {
        Answer::Dns
    }

    fn holes(&self) -> Holes<'_> {
        let templates = std::iter::once(&self.name).chain(&self.server).chain(&self.tls.server_name);
        Box::new(templates.flat_map(|at| at.holes().map(|hole| (hole, at.place))))
    }

    fn tls(&self) -> Option<&Tls> {
        Some(&self.tls)
    }
}
