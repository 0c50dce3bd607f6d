//! Bytes arrive at a limited rate, all connections together, each way by itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Allowance, Bite};
use crate::fault::relay::force::{Armed, lock};
use crate::scenario::fault::traffic::Direction;
use crate::units::Throughput;

/// How much of the rate one connection takes at a time: small enough to be smooth and to share fairly.
const QUANTUM: Duration = Duration::from_millis(10);

#[derive(Debug)]
struct Bandwidth {
    limit: Throughput,
    armed: Arc<Armed>,
    toward: Direction,
    /// Bytes that were reserved and have not gone, and when they may.
    reserved: Option<(Instant, usize)>,
}

/// Takes turns with all other connections that `armed` bites on.
pub(super) fn new(limit: Throughput, armed: Arc<Armed>, toward: Direction) -> Box<dyn Bite> {
    Box::new(Bandwidth { limit, armed, toward, reserved: None })
}

impl Bite for Bandwidth {
    fn allow(&mut self, now: Instant, len: usize) -> Allowance {
        let (at, left) =
            *self.reserved.get_or_insert_with(|| self.armed.reserve(self.limit, self.toward, now, len));
        if at > now { Allowance::At(at) } else { Allowance::Now(left.min(len)) }
    }

    fn passed(&mut self, _: Instant, len: usize) {
        self.reserved = self
            .reserved
            .take()
            .and_then(|(at, left)| Some((at, left.checked_sub(len).filter(|left| *left > 0)?)));
    }
}

impl Armed {
    /// Takes the next free piece of the way in that direction: how many bytes may go, and when.
    fn reserve(&self, limit: Throughput, toward: Direction, now: Instant, len: usize) -> (Instant, usize) {
        let quantum = usize::try_from(limit.bytes_per_second() / 100).unwrap_or(usize::MAX).clamp(1, MOST);
        let bytes = len.min(quantum);
        let mut free = lock(&self.free);
        let free = if toward == Direction::Up { &mut free.up } else { &mut free.down };
        // A way that lay idle has not saved up more than one piece.
        let at = free.map_or(now, |free| free.max(now.checked_sub(QUANTUM).unwrap_or(now)));
        *free = Some(at + limit.time(bytes));
        (at, bytes)
    }
}

/// No piece is larger.
const MOST: usize = 256 << 10;
