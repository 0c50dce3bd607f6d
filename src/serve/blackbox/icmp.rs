//! Modules that send an echo.

use super::{Preference, no_source, preference, refuse, written, wrong};
use crate::finding::Findings;

/// The exporter's own patience with a payload: what a datagram may carry.
const MOST_PAYLOAD: i64 = 65_000;

/// What an echo carries where nothing is said, in bytes.
const PAYLOAD: u16 = 28;

/// One echo.
#[derive(Debug, Clone)]
pub(in crate::serve) struct Icmp {
    pub(in crate::serve) preference: Preference,
    pub(in crate::serve) size: u16,
    /// How far it may go; zero leaves that to the system.
    pub(in crate::serve) ttl: u8,
}

impl written::Icmp {
    pub(super) fn check(self, findings: &mut Findings) -> Icmp {
        no_source(findings, self.source_ip_address.as_ref());
        if let Some(at) = self.dont_fragment.filter(|at| at.value) {
            refuse(findings, at.place, "`dont_fragment`", "an echo is sent as the system sends it");
        }
        let ttl = self.ttl.map_or(64, |at| {
            if at.value < 0 {
                wrong(findings, at.place, "\"ttl\" cannot be negative");
            } else if at.value > 255 {
                wrong(findings, at.place, "\"ttl\" cannot exceed 255");
            }
            at.value
        });
        let size = self.payload_size.map_or(0, |at| {
            if !(0..=MOST_PAYLOAD).contains(&at.value) {
                wrong(findings, at.place, format!("an echo carries up to {MOST_PAYLOAD} bytes"));
            }
            at.value
        });
        Icmp {
            preference: preference(&self.preferred_ip_protocol, self.ip_protocol_fallback),
            size: u16::try_from(size).ok().filter(|size| *size > 0).unwrap_or(PAYLOAD),
            ttl: u8::try_from(ttl).unwrap_or_default(),
        }
    }
}
