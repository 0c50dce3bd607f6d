//! Modules that say something on a connection and wait for what is said: over TCP, and over a socket among files.

use super::client::Tls;
use super::pattern::Pattern;
use super::{Preference, no_source, preference, refuse_json, written};
use crate::finding::Findings;

/// A connection and what is said on it.
#[derive(Debug, Clone)]
pub(in crate::serve) struct Tcp {
    pub(in crate::serve) preference: Preference,
    pub(in crate::serve) talk: Talk,
}

/// What is said on a connection.
#[derive(Debug, Clone, Default)]
pub(in crate::serve) struct Talk {
    pub(in crate::serve) turns: Vec<Turn>,
    pub(in crate::serve) secure: bool,
    pub(in crate::serve) tls: Tls,
}

/// Something that is waited for, something that is said then.
#[derive(Debug, Clone)]
pub(in crate::serve) struct Turn {
    pub(in crate::serve) expect: Option<Pattern>,
    pub(in crate::serve) send: String,
    pub(in crate::serve) starttls: bool,
    /// Names and templates of labels that what came fills in.
    pub(in crate::serve) labels: Vec<(String, String)>,
}

pub(super) fn turns(all: Vec<written::QueryResponse>, findings: &mut Findings) -> Vec<Turn> {
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

pub(super) fn talk(
    all: Vec<written::QueryResponse>,
    secure: bool,
    tls: written::Tls,
    findings: &mut Findings,
) -> Talk {
    Talk { turns: turns(all, findings), secure, tls: tls.check(findings) }
}

impl written::Tcp {
    pub(super) fn check(self, findings: &mut Findings) -> Tcp {
        no_source(findings, self.source_ip_address.as_ref());
        Tcp {
            preference: preference(&self.preferred_ip_protocol, self.ip_protocol_fallback),
            talk: talk(self.query_response, self.tls, self.tls_config, findings),
        }
    }
}
