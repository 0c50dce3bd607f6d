//! What is done to a service's container, as written and as checked.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Breaks, Checked, Target};
use crate::finding::{Code, Finding, Findings};
use crate::source::{At, Place};
use crate::units::{Ratio, Size, Span};

/// The service has less of a processor.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CpuFaultWritten {
    /// The service of the stack.
    service: At<String>,
    /// How many processors it may keep busy: `0.1`.
    limit: At<f64>,
}

/// The service has less memory.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MemoryFaultWritten {
    /// The service of the stack.
    service: At<String>,
    /// How much it may use.
    limit: Size,
}

/// The service's network loses, delays, doubles, spoils or reorders packets.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NetemFaultWritten {
    /// The service of the stack.
    service: At<String>,
    /// How many packets are lost.
    loss: Option<Ratio>,
    /// How much later packets arrive.
    delay: Option<Span>,
    /// How far that spreads.
    jitter: Option<Span>,
    /// How many packets arrive twice.
    duplicate: Option<Ratio>,
    /// How many packets arrive spoilt.
    corrupt: Option<Ratio>,
    /// How many packets overtake others.
    reorder: Option<Ratio>,
}

/// What is done to a service's container.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Squeeze {
    /// So many processors.
    Cpu(f64),
    /// So much memory.
    Memory(Size),
    /// A worse network.
    Netem(Netem),
}

/// A worse network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Netem {
    /// Packets lost.
    pub loss: Ratio,
    /// Added to each packet's way.
    pub delay: Duration,
    /// How far that spreads.
    pub jitter: Duration,
    /// Packets doubled.
    pub duplicate: Ratio,
    /// Packets spoilt.
    pub corrupt: Ratio,
    /// Packets that overtake others.
    pub reorder: Ratio,
}

impl Squeeze {
    /// As files write it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Cpu(_) => "cpu",
            Self::Memory(_) => "memory",
            Self::Netem(_) => "netem",
        }
    }
}

fn on(service: At<String>, does: Squeeze) -> Checked {
    (Some(Target { service, port: None }), Breaks::Container(does))
}

impl CpuFaultWritten {
    pub(super) fn check(self, findings: &mut Findings) -> Option<Checked> {
        if !(self.limit.value >= 0.001 && self.limit.value <= 1024.0) {
            let title = "a limit is between 0.001 and 1024 processors";
            findings.add(Finding::new(Code::FileValue, self.limit.place, title));
            return None;
        }
        Some(on(self.service, Squeeze::Cpu(self.limit.value)))
    }
}

impl MemoryFaultWritten {
    pub(super) fn check(self) -> Checked {
        on(self.service, Squeeze::Memory(self.limit))
    }
}

impl NetemFaultWritten {
    pub(super) fn check(self, place: Place, findings: &mut Findings) -> Option<Checked> {
        let share = |share: Option<Ratio>| share.unwrap_or(Ratio::ZERO);
        let netem = Netem {
            loss: share(self.loss),
            delay: self.delay.unwrap_or_default().0,
            jitter: self.jitter.unwrap_or_default().0,
            duplicate: share(self.duplicate),
            corrupt: share(self.corrupt),
            reorder: share(self.reorder),
        };
        let shares = [netem.loss, netem.duplicate, netem.corrupt, netem.reorder];
        if netem.delay.is_zero() && shares.iter().all(|share| *share == Ratio::ZERO) {
            let finding = Finding::new(Code::FaultStep, place, "this network is no worse than before");
            findings.add(finding.help("add one of loss, delay, duplicate, corrupt, reorder"));
            return None;
        }
        Some(on(self.service, Squeeze::Netem(netem)))
    }
}
