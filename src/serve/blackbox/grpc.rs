//! Modules that ask for a service's health.

use http::{HeaderName, HeaderValue};

use super::client::{self, Tls};
use super::{Preference, preference, written};
use crate::finding::Findings;
use crate::source::At;

/// A call of `grpc.health.v1`.
#[derive(Debug, Clone)]
pub(in crate::serve) struct Grpc {
    pub(in crate::serve) preference: Preference,
    pub(in crate::serve) service: String,
    pub(in crate::serve) secure: bool,
    pub(in crate::serve) tls: Tls,
    pub(in crate::serve) metadata: Vec<(HeaderName, HeaderValue)>,
}

impl written::Grpc {
    pub(super) fn check(self, findings: &mut Findings) -> Grpc {
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
