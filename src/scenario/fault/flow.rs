//! What is done to the bytes of a service's connections, as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::traffic::{Direction, Distribution, Flow, Interference, Lag, Slice};
use super::{Breaks, Checked, Target};
use crate::source::At;
use crate::units::{Ratio, Size, Span, Throughput};

/// Bytes arrive later.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LatencyFaultWritten {
    /// The service of the stack.
    service: At<String>,
    /// Which of its ports; all unless said.
    port: Option<At<String>>,
    /// How much later.
    add: Span,
    /// How far that spreads; not at all unless said.
    jitter: Option<Span>,
    /// How jitter spreads; `uniform` unless said.
    #[serde(default)]
    distribution: Distribution,
    /// Which way bytes flow; `down` unless said, so that an answer comes later by as much. `both` delays twice.
    direction: Option<Direction>,
    /// How many of all connections; all unless said.
    share: Option<Ratio>,
}

/// Bytes arrive at a limited rate, all connections together, each way by itself.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BandwidthFaultWritten {
    /// The service of the stack.
    service: At<String>,
    /// Which of its ports; all unless said.
    port: Option<At<String>>,
    /// The rate: `64KiB/s`.
    limit: Throughput,
    /// Which way bytes flow; `both` unless said.
    direction: Option<Direction>,
    /// How many of all connections; all unless said.
    share: Option<Ratio>,
}

/// Connections are reset or fall silent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FlowFaultWritten {
    /// The service of the stack.
    service: At<String>,
    /// Which of its ports; all unless said.
    port: Option<At<String>>,
    /// Which way bytes flow, and for a reset which end hears it; `both` unless said.
    direction: Option<Direction>,
    /// How many of all connections; all unless said.
    share: Option<Ratio>,
}

/// No connection is accepted, and those that are open are reset.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RefuseFaultWritten {
    /// The service of the stack.
    service: At<String>,
    /// Which of its ports; all unless said.
    port: Option<At<String>>,
}

/// Bytes arrive in small pieces.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SliceFaultWritten {
    /// The service of the stack.
    service: At<String>,
    /// Which of its ports; all unless said.
    port: Option<At<String>>,
    /// The size of a piece.
    size: Size,
    /// The pause after each.
    every: Span,
    /// Which way bytes flow; `down` unless said.
    direction: Option<Direction>,
    /// How many of all connections; all unless said.
    share: Option<Ratio>,
}

/// A connection ends after so many bytes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitFaultWritten {
    /// The service of the stack.
    service: At<String>,
    /// Which of its ports; all unless said.
    port: Option<At<String>>,
    /// How many, counted from when the fault came.
    after: Size,
    /// Which way bytes flow; `down` unless said.
    direction: Option<Direction>,
    /// How many of all connections; all unless said.
    share: Option<Ratio>,
}

fn flow(direction: Option<Direction>, share: Option<Ratio>, usual: Direction) -> Flow {
    Flow { direction: direction.unwrap_or(usual), share: share.unwrap_or(Ratio::ONE) }
}

fn on(service: At<String>, port: Option<At<String>>, does: Interference) -> Checked {
    (Some(Target { service, port }), Breaks::Traffic(does))
}

impl LatencyFaultWritten {
    pub(super) fn check(self) -> Checked {
        let jitter = self.jitter.unwrap_or_default().0;
        let lag = Lag { add: self.add.0, jitter, distribution: self.distribution };
        let flow = flow(self.direction, self.share, Direction::Down);
        on(self.service, self.port, Interference::Latency(lag, flow))
    }
}

impl BandwidthFaultWritten {
    pub(super) fn check(self) -> Checked {
        let flow = flow(self.direction, self.share, Direction::Both);
        on(self.service, self.port, Interference::Bandwidth(self.limit, flow))
    }
}

impl FlowFaultWritten {
    pub(super) fn check(self, does: fn(Flow) -> Interference) -> Checked {
        let flow = flow(self.direction, self.share, Direction::Both);
        on(self.service, self.port, does(flow))
    }
}

impl RefuseFaultWritten {
    pub(super) fn check(self) -> Checked {
        on(self.service, self.port, Interference::Refuse)
    }
}

impl SliceFaultWritten {
    pub(super) fn check(self) -> Checked {
        let slice = Slice { size: Size(self.size.0.max(1)), every: self.every.0 };
        let flow = flow(self.direction, self.share, Direction::Down);
        on(self.service, self.port, Interference::Slice(slice, flow))
    }
}

impl LimitFaultWritten {
    pub(super) fn check(self) -> Checked {
        let flow = flow(self.direction, self.share, Direction::Down);
        on(self.service, self.port, Interference::Limit(self.after, flow))
    }
}
