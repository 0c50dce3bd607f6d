//! What one fault does to the bytes of one connection that flow one way. A fault is a file here.

mod bandwidth;
mod blackhole;
mod latency;
mod limit;
mod reset;
mod slice;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::force::Armed;
use crate::scenario::fault::traffic::{Direction, Flow, Interference};

/// How a fault bites on bytes.
pub(super) trait Bite: Debug + Send {
    /// How much later bytes go on that arrive now.
    fn delay(&mut self) -> Duration {
        Duration::ZERO
    }

    /// How many of the next `len` bytes may go on now; `len` is not zero.
    fn allow(&mut self, _now: Instant, len: usize) -> Allowance {
        Allowance::Now(len)
    }

    /// So many bytes went on.
    fn passed(&mut self, _now: Instant, _len: usize) {}
}

/// How many bytes may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowance {
    /// So many, now; at least one.
    Now(usize),
    /// Some, then.
    At(Instant),
    /// None, until the faults change.
    Held,
    /// No more: the connection ends.
    End,
    /// No more: the connection is reset, on these sides.
    Reset(Direction),
}

impl Allowance {
    /// The stricter of two.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Reset(side), _) | (_, Self::Reset(side)) => Self::Reset(side),
            (Self::End, _) | (_, Self::End) => Self::End,
            (Self::Held, _) | (_, Self::Held) => Self::Held,
            (Self::At(one), Self::At(other)) => Self::At(one.max(other)),
            (Self::At(then), Self::Now(_)) | (Self::Now(_), Self::At(then)) => Self::At(then),
            (Self::Now(one), Self::Now(other)) => Self::Now(one.min(other)),
        }
    }
}

/// A fault that bites on a connection, one way.
#[derive(Debug)]
pub(super) struct Biting {
    pub(super) armed: Arc<Armed>,
    pub(super) bite: Box<dyn Bite>,
    /// Whether the bytes that wait at the front are counted among those it held back.
    pub(super) counted: bool,
}

impl Biting {
    /// The bite of `armed` on what flows `toward` one end of a connection, if chance and direction give it one.
    pub(super) fn of(armed: &Arc<Armed>, connection: u64, toward: Direction) -> Option<Self> {
        let bite: Box<dyn Bite> = match &armed.does {
            Interference::Latency(lag, flow) => {
                // Each way draws lags of its own.
                let chance = armed.chance(connection ^ (u64::from(toward == Direction::Up) << 63));
                strikes(armed, *flow, connection, toward).then(|| latency::new(*lag, chance))?
            }
            Interference::Bandwidth(limit, flow) => strikes(armed, *flow, connection, toward)
                .then(|| bandwidth::new(*limit, Arc::clone(armed), toward))?,
            Interference::Reset(flow) => {
                // Whichever way the first byte goes, it is the last.
                let every = Flow { direction: Direction::Both, ..*flow };
                strikes(armed, every, connection, toward).then(|| reset::new(flow.direction))?
            }
            Interference::Blackhole(flow) => {
                strikes(armed, *flow, connection, toward).then(blackhole::new)?
            }
            Interference::Slice(slice, flow) => {
                strikes(armed, *flow, connection, toward).then(|| slice::new(*slice))?
            }
            Interference::Limit(most, flow) => {
                strikes(armed, *flow, connection, toward).then(|| limit::new(*most))?
            }
            Interference::Refuse => reset::new(Direction::Both),
            Interference::Status(..)
            | Interference::Delay(..)
            | Interference::Abort(..)
            | Interference::Corrupt(_) => return None,
        };
        Some(Self { armed: Arc::clone(armed), bite, counted: false })
    }

    /// Whether it resets a connection that was open before it came, and on which sides.
    pub(super) fn resets(&self) -> Option<Direction> {
        match &self.armed.does {
            Interference::Reset(flow) => Some(flow.direction),
            Interference::Refuse => Some(Direction::Both),
            Interference::Latency(..)
            | Interference::Bandwidth(..)
            | Interference::Blackhole(_)
            | Interference::Slice(..)
            | Interference::Limit(..)
            | Interference::Status(..)
            | Interference::Delay(..)
            | Interference::Abort(..)
            | Interference::Corrupt(_) => None,
        }
    }
}

fn strikes(armed: &Armed, flow: Flow, connection: u64, toward: Direction) -> bool {
    let meant = flow.direction == Direction::Both || flow.direction == toward;
    meant && armed.chance(connection).strikes(flow.share)
}
