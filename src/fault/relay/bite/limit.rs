//! The connection ends after so many bytes.

use tokio::time::Instant;

use super::{Allowance, Bite};
use crate::units::Size;

#[derive(Debug)]
struct Limit {
    left: usize,
}

/// Counts from when the fault came; at the end the connection is closed, and what was sent arrives.
pub(super) fn new(most: Size) -> Box<dyn Bite> {
    Box::new(Limit { left: most.bytes() })
}

impl Bite for Limit {
    fn allow(&mut self, _: Instant, len: usize) -> Allowance {
        if self.left == 0 { Allowance::End } else { Allowance::Now(len.min(self.left)) }
    }

    fn passed(&mut self, _: Instant, len: usize) {
        self.left = self.left.saturating_sub(len);
    }
}
