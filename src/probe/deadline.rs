//! The moment by which an attempt must be over, whatever it is at.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::sample::{Cause, Phase, Reason};
use crate::units::Span;

/// The moment by which every phase of an attempt must be over.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    at: Instant,
    limit: Duration,
}

/// Stands for "no limit" where a sum would leave what a clock can say.
const AGES: Duration = Duration::from_secs(30 * 365 * 86_400);

impl Deadline {
    /// The deadline `limit` from now.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        Self { at: Instant::now() + limit.min(AGES), limit }
    }

    /// The sooner of this deadline and one `limit` from now.
    #[must_use]
    pub fn within(&self, limit: Duration) -> Self {
        let inner = Self::after(limit);
        if inner.at < self.at { inner } else { *self }
    }

    /// The moment itself.
    #[must_use]
    pub fn at(&self) -> Instant {
        self.at
    }

    /// What is left of it; zero once it has passed.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// What `future` gives.
    ///
    /// # Errors
    /// A timeout of `phase` once the deadline has passed.
    pub async fn run<T>(&self, phase: Phase, future: impl Future<Output = T>) -> Result<T, Cause> {
        self.race(future).await.ok_or_else(|| self.missed(phase))
    }

    /// What `future` gives, or `None` once the deadline has passed.
    pub async fn race<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        // A future that is always ready would never let the timer be asked.
        if self.left().is_zero() {
            return None;
        }
        tokio::time::timeout_at(self.at, future).await.ok()
    }

    /// The cause to report when the deadline passed during `phase`.
    #[must_use]
    pub fn missed(&self, phase: Phase) -> Cause {
        let doing = match phase {
            Phase::Resolve => "resolving the name",
            Phase::Connect => "connecting",
            Phase::Tls => "shaking hands over TLS",
            Phase::Send => "sending the request",
            Phase::Wait => "waiting for the first byte",
            Phase::Transfer => "reading the answer",
            Phase::Exchange => "exchanging messages",
        };
        Cause::new(Reason::Timeout(phase), format!("{} passed while {doing}", Span(self.limit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_names_the_phase_it_passed_in() {
        let deadline = Deadline::after(Duration::from_millis(250));
        let cause = deadline.run(Phase::Resolve, std::future::pending::<()>()).await.unwrap_err();
        assert_eq!(cause.reason, Reason::Timeout(Phase::Resolve));
        assert_eq!(cause.message, "250ms passed while resolving the name");
    }

    #[tokio::test(start_paused = true)]
    async fn a_passed_deadline_stops_even_what_is_ready() {
        let deadline = Deadline::after(Duration::ZERO);
        assert!(deadline.run(Phase::Wait, async {}).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn an_inner_deadline_never_outlives_the_outer() {
        let outer = Deadline::after(Duration::from_secs(1));
        assert_eq!(outer.within(Duration::from_secs(9)).left(), Duration::from_secs(1));
        assert_eq!(outer.within(Duration::from_millis(1)).left(), Duration::from_millis(1));
        assert_eq!(Deadline::after(Duration::MAX).within(Duration::MAX).left(), AGES);
    }
}
