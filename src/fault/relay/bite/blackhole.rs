//! Bytes do not arrive, until the fault is lifted.

use tokio::time::Instant;

use super::{Allowance, Bite};

#[derive(Debug)]
struct Blackhole;

/// Holds everything. As with a real one, senders see nothing but silence; what they have sent is kept, as a
/// real network's senders would send it again.
pub(super) fn new() -> Box<dyn Bite> {
    Box::new(Blackhole)
}

impl Bite for Blackhole {
    fn allow(&mut self, _: Instant, _: usize) -> Allowance {
        Allowance::Held
    }
}
