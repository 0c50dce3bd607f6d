//! Modules that ask a name server.

use hickory_proto::rr::{DNSClass, RecordType};

use super::client::Tls;
use super::written::Records;
use super::{Preference, no_source, preference, written, wrong};
use crate::finding::Findings;

/// A question to a name server.
#[derive(Debug, Clone)]
pub(in crate::serve) struct Dns {
    pub(in crate::serve) preference: Preference,
    pub(in crate::serve) over_tls: bool,
    pub(in crate::serve) tls: Tls,
    pub(in crate::serve) transport: String,
    pub(in crate::serve) class: DNSClass,
    pub(in crate::serve) name: String,
    pub(in crate::serve) kind: RecordType,
    pub(in crate::serve) recursion: bool,
    pub(in crate::serve) rcodes: Option<Vec<String>>,
    pub(in crate::serve) answer: Records,
    pub(in crate::serve) authority: Records,
    pub(in crate::serve) additional: Records,
}

impl written::Dns {
    pub(super) fn check(self, findings: &mut Findings) -> Option<Dns> {
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
