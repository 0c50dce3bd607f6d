//! The connection is reset.

use tokio::time::Instant;

use super::{Allowance, Bite};
use crate::scenario::fault::traffic::Direction;

#[derive(Debug)]
struct Reset(Direction);

/// Resets a new connection with its first byte; one that was open is reset when the fault comes.
pub(super) fn new(sides: Direction) -> Box<dyn Bite> {
    Box::new(Reset(sides))
}

impl Bite for Reset {
    fn allow(&mut self, _: Instant, _: usize) -> Allowance {
        Allowance::Reset(self.0)
    }
}
