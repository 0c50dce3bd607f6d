//! When the last byte of a request left and the first of its answer arrived.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::probe::connect::Stream;
use crate::sample::{Phase, Phases};

/// Shared between a connection, the body sent over it and whoever waits for the answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter(Arc<Mutex<Marks>>);

#[derive(Debug, Default)]
struct Marks {
    /// Many streams share the connection, so that a byte read need not be of the answer.
    multiplexed: bool,
    /// The last of the body has been taken to be written.
    handed: bool,
    /// Something was written since the last flush.
    unflushed: bool,
    sent: Option<Instant>,
    answered: Option<Instant>,
}

impl Meter {
    /// Begins a request; one without a body is handed over at once.
    pub(super) fn begin(&self, multiplexed: bool, bodiless: bool) {
        *self.marks() = Marks { multiplexed, handed: bodiless, ..Marks::default() };
    }

    /// The last of the body has been taken.
    pub(super) fn hand_over(&self) {
        self.marks().handed = true;
    }

    /// The answer's head is complete.
    pub(super) fn note_head(&self) {
        self.marks().answered.get_or_insert_with(Instant::now);
    }

    /// Whether the request has been handed to the kernel to its last byte.
    pub(super) fn is_sent(&self) -> bool {
        self.marks().sent.is_some()
    }

    /// Whether anything of the answer arrived.
    pub(super) fn is_answered(&self) -> bool {
        self.marks().answered.is_some()
    }

    /// The phase the request is in.
    pub(super) fn phase(&self) -> Phase {
        let marks = self.marks();
        match (marks.answered, marks.sent) {
            (Some(_), _) => Phase::Transfer,
            (None, Some(_)) => Phase::Wait,
            (None, None) => Phase::Send,
        }
    }

    /// Adds to `phases` what lies between `began` and `ended`, as far as the request came.
    ///
    /// An answer may come before the request is wholly sent; sending then ends with its first byte.
    pub(super) fn note(&self, phases: &mut Phases, began: Instant, ended: Instant) {
        let marks = self.marks();
        let answered = marks.answered.map(|at| at.clamp(began, ended));
        let sent = match (marks.sent, answered) {
            (Some(sent), Some(answered)) => Some(sent.clamp(began, answered)),
            (Some(at), None) | (None, Some(at)) => Some(at.clamp(began, ended)),
            (None, None) => None,
        };
        phases.set(Phase::Send, sent.unwrap_or(ended) - began);
        if let Some(sent) = sent {
            phases.set(Phase::Wait, answered.unwrap_or(ended) - sent);
        }
        if let Some(answered) = answered {
            phases.set(Phase::Transfer, ended - answered);
        }
    }

    fn note_write(&self) {
        self.marks().unflushed = true;
    }

    fn note_flush(&self) {
        let mut marks = self.marks();
        if marks.handed && marks.unflushed {
            marks.sent.get_or_insert_with(Instant::now);
        }
        marks.unflushed = false;
    }

    fn note_read(&self) {
        let mut marks = self.marks();
        if !marks.multiplexed {
            marks.answered.get_or_insert_with(Instant::now);
        }
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection whose reads and writes are marked.
#[derive(Debug)]
pub(super) struct Metered {
    pub(super) stream: Stream,
    pub(super) meter: Meter,
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.meter.note_read();
        }
        polled
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.meter.note_write();
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.meter.note_write();
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        if matches!(polled, Poll::Ready(Ok(()))) {
            self.meter.note_flush();
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    /// A millisecond that one thing takes.
    const TICK: Duration = Duration::from_millis(1);

    fn phases(meter: &Meter, began: Instant) -> Vec<(Phase, u128)> {
        let mut phases = Phases::default();
        meter.note(&mut phases, began, Instant::now());
        phases.iter().map(|(phase, time)| (phase, time.as_millis())).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn sending_ends_when_the_last_byte_is_flushed() {
        let (meter, began) = (Meter::default(), Instant::now());
        meter.begin(false, false);
        meter.note_write();
        meter.note_flush();
        assert_eq!(meter.phase(), Phase::Send, "only the head has gone");
        advance(TICK).await;
        meter.hand_over();
        meter.note_flush();
        assert_eq!(meter.phase(), Phase::Send, "the body has been taken, not written");
        meter.note_write();
        advance(TICK).await;
        meter.note_flush();
        assert_eq!(meter.phase(), Phase::Wait);
        advance(TICK).await;
        assert_eq!(phases(&meter, began), [(Phase::Send, 2), (Phase::Wait, 1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_with_the_first_byte_and_transfer_with_the_last() {
        let (meter, began) = (Meter::default(), Instant::now());
        meter.begin(false, true);
        meter.note_write();
        meter.note_flush();
        advance(5 * TICK).await;
        meter.note_read();
        advance(2 * TICK).await;
        meter.note_read();
        meter.note_head();
        advance(TICK).await;
        assert_eq!(phases(&meter, began), [(Phase::Send, 0), (Phase::Wait, 5), (Phase::Transfer, 3)]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_early_answer_ends_sending() {
        let (meter, began) = (Meter::default(), Instant::now());
        meter.begin(false, false);
        meter.note_write();
        advance(2 * TICK).await;
        meter.note_read();
        advance(TICK).await;
        assert_eq!(phases(&meter, began), [(Phase::Send, 2), (Phase::Wait, 0), (Phase::Transfer, 1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn on_a_shared_connection_only_the_head_is_an_answer() {
        let (meter, began) = (Meter::default(), Instant::now());
        meter.begin(true, true);
        meter.note_write();
        meter.note_flush();
        advance(TICK).await;
        meter.note_read();
        assert_eq!(meter.phase(), Phase::Wait, "the peer's settings are no answer");
        // Acknowledging them is not sending either.
        meter.note_write();
        meter.note_flush();
        advance(TICK).await;
        meter.note_head();
        assert_eq!(phases(&meter, began), [(Phase::Send, 0), (Phase::Wait, 2), (Phase::Transfer, 0)]);
    }
}
