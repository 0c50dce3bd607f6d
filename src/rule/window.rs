//! stub
#![expect(missing_docs, reason = "stub")]
use std::time::Duration;
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span { pub earliest: Duration, pub latest: Duration }
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window { pub pends: Span, pub fires: Span, pub delivers: Span, pub clears: Span, pub resolves: Span }
impl Window {
    pub fn delivery_after_firing(&self) -> Duration { self.delivers.latest.saturating_sub(self.fires.earliest) }
    pub fn resolution_after_clearing(&self) -> Duration { self.resolves.latest.saturating_sub(self.clears.earliest) }
}
