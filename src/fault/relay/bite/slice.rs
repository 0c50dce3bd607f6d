//! Bytes arrive in small pieces, with a pause after each.

use tokio::time::Instant;

use super::{Allowance, Bite};
use crate::scenario::fault::traffic::Slice;

#[derive(Debug)]
struct Slicing {
    slice: Slice,
    next: Option<Instant>,
}

/// Lets one piece go at a time.
pub(super) fn new(slice: Slice) -> Box<dyn Bite> {
    Box::new(Slicing { slice, next: None })
}

impl Bite for Slicing {
    fn allow(&mut self, now: Instant, len: usize) -> Allowance {
        match self.next {
            Some(next) if next > now => Allowance::At(next),
            Some(_) | None => Allowance::Now(len.min(self.slice.size.bytes()).max(1)),
        }
    }

    fn passed(&mut self, now: Instant, _: usize) {
        self.next = Some(now + self.slice.every);
    }
}
