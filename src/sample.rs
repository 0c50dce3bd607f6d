//! What one attempt against a target gave.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A stretch of one attempt; deadlines and timings name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Turning a name into addresses.
    Resolve,
    /// The TCP handshake.
    Connect,
    /// The TLS handshake.
    Tls,
    /// Writing the request.
    Send,
    /// From the last byte sent to the first byte of the answer.
    Wait,
    /// From the first byte of the answer to its last.
    Transfer,
    /// Sending, receiving, pinging and closing on an open connection.
    Exchange,
}

impl Phase {
    /// Every phase, in the order they happen.
    pub const ALL: [Self; 7] =
        [Self::Resolve, Self::Connect, Self::Tls, Self::Send, Self::Wait, Self::Transfer, Self::Exchange];

    /// The phase's name in files and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Send => "send",
            Self::Wait => "wait",
            Self::Transfer => "transfer",
            Self::Exchange => "exchange",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why an attempt failed: exactly one of a closed set, so that reasons can be counted and labelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The name did not resolve.
    Dns,
    /// No connection came about: unreachable, reset, no route.
    Connect,
    /// The target's port is closed.
    Refused,
    /// The TLS handshake failed or the certificate was not accepted.
    Tls,
    /// The deadline passed during this phase.
    Timeout(Phase),
    /// An answer came, later than was expected of it.
    Latency,
    /// The status, or the stated health or readiness, was another.
    Status,
    /// A header was missing or different.
    Header,
    /// The body, a frame or a metric was different.
    Body,
    /// The JSON was malformed, or a place in it different.
    Json,
    /// The peer does not speak the protocol.
    Protocol,
    /// The peer closed too early, or with another code.
    Closed,
    /// More was sent than the probe reads: head, body, frames or redirects.
    Limit,
    /// The address is one that must not be probed.
    Policy,
    /// This machine had no port or file left to connect with: nothing that the target did.
    Local,
    /// An alert did not fire, reach, spare or clear as was expected of it.
    Alert,
}

impl Reason {
    /// Whether the time of an attempt that failed so says how fast its target is. A failure that comes at once
    /// would flatter it.
    #[must_use]
    pub fn tells_latency(self) -> bool {
        match self {
            Self::Latency | Self::Timeout(_) => true,
            Self::Dns
            | Self::Connect
            | Self::Refused
            | Self::Tls
            | Self::Status
            | Self::Header
            | Self::Body
            | Self::Json
            | Self::Protocol
            | Self::Closed
            | Self::Limit
            | Self::Policy
            | Self::Local
            | Self::Alert => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Refused => "refused",
            Self::Tls => "tls",
            Self::Timeout(phase) => return write!(f, "timeout({phase})"),
            Self::Latency => "latency",
            Self::Status => "status",
            Self::Header => "header",
            Self::Body => "body",
            Self::Json => "json",
            Self::Protocol => "protocol",
            Self::Closed => "closed",
            Self::Limit => "limit",
            Self::Policy => "policy",
            Self::Local => "local",
            Self::Alert => "alert",
        };
        f.write_str(name)
    }
}

/// Why no complete answer came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Cause {
    /// The one reason, for counting.
    pub reason: Reason,
    /// What happened, in a sentence without a full stop: `connection refused by 127.0.0.1:9`.
    pub message: String,
}

impl Cause {
    /// A cause with its sentence.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// How long each phase took; a phase that did not happen is absent. In JSON a map of whole nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "BTreeMap<Phase, u64>", into = "BTreeMap<Phase, u64>")]
pub struct Phases([Option<Duration>; Phase::ALL.len()]);

impl Phases {
    /// The time `phase` took, if it happened.
    #[must_use]
    pub fn get(&self, phase: Phase) -> Option<Duration> {
        self.0[phase as usize]
    }

    /// Notes that `phase` took `time`, over whatever was noted before.
    pub fn set(&mut self, phase: Phase, time: Duration) {
        self.0[phase as usize] = Some(time);
    }

    /// The phases that happened, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Phase, Duration)> + '_ {
        Phase::ALL.into_iter().filter_map(|phase| self.get(phase).map(|time| (phase, time)))
    }

    /// All phases together.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.iter().map(|(_, time)| time).sum()
    }
}

impl From<BTreeMap<Phase, u64>> for Phases {
    fn from(nanos: BTreeMap<Phase, u64>) -> Self {
        let mut phases = Self::default();
        for (phase, nanos) in nanos {
            phases.set(phase, Duration::from_nanos(nanos));
        }
        phases
    }
}

impl From<Phases> for BTreeMap<Phase, u64> {
    fn from(phases: Phases) -> Self {
        phases
            .iter()
            .map(|(phase, time)| (phase, u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
            .collect()
    }
}
