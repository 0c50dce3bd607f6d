//! One connection and what is sent over it, again and again; opened when it is needed, and anew when it was closed.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::answer::{Answer, Taken, Terms};
use super::socket::Socket;
use crate::probe::connect::{self, Deadline, Stream};
use crate::probe::http::Written;
use crate::probe::trust::Handshake;
use crate::sample::{Cause, Phase, Reason};
use crate::units::Size;

/// Bytes that are read at once. They are gone through where they lie, so all connections of a thread share them.
const PIECE: usize = 64 << 10;

thread_local! {
    pub(super) static PIECES: RefCell<Box<[u8]>> = RefCell::new(vec![0; PIECE].into());
}

/// One connection to one server, for its requests.
#[derive(Debug)]
pub struct Line {
    timeout: Duration,
    stream: Option<Stream>,
    /// What of its first TLS handshake later ones resume.
    handshake: Option<Handshake>,
    /// A connection that was upgraded, and what came behind that.
    upgraded: Option<(Stream, Vec<u8>)>,
    rest: Vec<u8>,
    answer: Answer,
    deadline: Instant,
    /// Rings at some deadline; set anew only when it has rung, for nearly all are met.
    alarm: Option<Pin<Box<Sleep>>>,
}

/// What came of a request, and when.
#[derive(Debug)]
pub struct Done<'a> {
    /// When it began.
    pub sent: Instant,
    /// When the last byte was there, or it failed.
    pub ended: Instant,
    /// The answer, or why there is none.
    pub result: Result<&'a mut Answer, Cause>,
}

/// A request that brought no answer.
struct Failed {
    cause: Cause,
    /// A kept connection was closed before anything came: that is no failure of this request.
    stale: bool,
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}

impl Line {
    /// A connection that is not opened yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            timeout: Duration::ZERO,
            stream: None,
            handshake: None,
            upgraded: None,
            rest: Vec::new(),
            answer: Answer::new(),
            deadline: Instant::now(),
            alarm: None,
        }
    }

    /// Sends a request, as `bytes`, and reads its answer within `timeout`; with `keep`, also its headers and its body
    /// are kept. All requests on a line go to the same server in the same way.
    pub async fn exchange(
        &mut self,
        bytes: &[u8],
        written: &Written,
        keep: bool,
        timeout: Duration,
    ) -> Done<'_> {
        let sent = Instant::now();
        self.timeout = timeout;
        self.deadline = sent + timeout;
        let terms = Terms { head_only: written.head_only, keep, limit: written.limit };
        self.upgraded = None;
        let result = self.attempt(bytes, written, terms).await;
        let ended = Instant::now();
        if result.is_ok() && self.answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            let rest = std::mem::take(&mut self.rest);
            self.upgraded = self.stream.take().map(|stream| (stream, rest));
        }
        if result.is_err() || !self.answer.is_reusable() {
            self.stream = None;
        }
        Done { sent, ended, result: result.map(|()| &mut self.answer) }
    }

    /// The connection, if the last request had it upgraded: messages up to `limit` are read from it.
    pub fn take_socket(&mut self, limit: Size) -> Option<Socket> {
        let (stream, rest) = self.upgraded.take()?;
        self.answer = Answer::new();
        Some(Socket::new(stream, rest, limit))
    }

    async fn attempt(&mut self, bytes: &[u8], written: &Written, terms: Terms) -> Result<(), Cause> {
        let mut kept = self.stream.take();
        if let Some(stream) = &mut kept
            && !is_quiet(stream).await
        {
            kept = None;
        }
        if let Some(stream) = kept {
            match self.talk(stream, bytes, terms).await {
                Ok(stream) => {
                    self.stream = Some(stream);
                    return Ok(());
                }
                Err(Failed { stale: true, .. }) if written.idempotent => {}
                Err(Failed { cause, .. }) => return Err(cause),
            }
        }
        // On the heap: the way to a connection is long, and a connection that stands must not go on holding it.
        let stream = Box::pin(self.open(written)).await?;
        let stream = self.talk(stream, bytes, terms).await.map_err(|failed| failed.cause)?;
        self.stream = Some(stream);
        Ok(())
    }

    async fn open(&mut self, written: &Written) -> Result<Stream, Cause> {
        let Written { to, options, .. } = written;
        let deadline = Deadline::after(self.deadline.saturating_duration_since(Instant::now()));
        if self.handshake.is_none() {
            let shared = deadline.run(Phase::Tls, written.handshake()).await;
            self.handshake =
                shared.and_then(|shared| shared).map_err(|cause| self.told(cause))?.map(Handshake::resuming);
        }
        let opened = connect::open_prepared(to, self.handshake.as_ref(), options, &deadline).await;
        opened.map_err(|cause| self.told(cause))
    }

    /// The cause as it is told: a deadline was given what is left of the time, and would say that.
    fn told(&self, cause: Cause) -> Cause {
        if let Reason::Timeout(phase) = cause.reason { self.missed(phase) } else { cause }
    }

    async fn talk(&mut self, mut stream: Stream, bytes: &[u8], terms: Terms) -> Result<Stream, Failed> {
        self.answer.begin(terms);
        self.send(&mut stream, bytes).await?;
        let unread = self.receive(&mut stream).await?;
        if unread {
            // More than was asked for: what is behind it, nobody knows.
            self.answer.distrust();
        }
        Ok(stream)
    }

    async fn send(&mut self, stream: &mut Stream, bytes: &[u8]) -> Result<(), Failed> {
        let mut sent = 0;
        poll_fn(|context| {
            while sent < bytes.len() {
                match Pin::new(&mut *stream).poll_write(context, &bytes[sent..]) {
                    Poll::Ready(Ok(0)) => {
                        return Poll::Ready(Err(self.broken(&io::ErrorKind::WriteZero.into())));
                    }
                    Poll::Ready(Ok(written)) => sent += written,
                    Poll::Ready(Err(source)) => return Poll::Ready(Err(self.broken(&source))),
                    Poll::Pending => return self.overdue(context, Phase::Send).map(Err),
                }
            }
            match ready!(Pin::new(&mut *stream).poll_flush(context)) {
                Ok(()) => Poll::Ready(Ok(())),
                Err(source) => Poll::Ready(Err(self.broken(&source))),
            }
        })
        .await
    }

    /// Reads the answer; whether something came that is not part of it.
    async fn receive(&mut self, stream: &mut Stream) -> Result<bool, Failed> {
        poll_fn(|context| PIECES.with_borrow_mut(|piece| self.poll_receive(stream, piece, context))).await
    }

    fn poll_receive(
        &mut self,
        stream: &mut Stream,
        piece: &mut [u8],
        context: &mut Context<'_>,
    ) -> Poll<Result<bool, Failed>> {
        loop {
            let mut read = ReadBuf::new(piece);
            match Pin::new(&mut *stream).poll_read(context, &mut read) {
                Poll::Ready(Ok(())) if read.filled().is_empty() => {
                    let stale = !self.answer.is_begun();
                    let ended = self.answer.end().map(|()| false);
                    return Poll::Ready(ended.map_err(|cause| Failed { cause, stale }));
                }
                Poll::Ready(Ok(())) => match self.answer.take(read.filled()) {
                    Ok(Taken::More) => {}
                    Ok(Taken::Whole(used)) => {
                        let behind = &read.filled()[used..];
                        if self.answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                            self.rest = behind.to_vec();
                        }
                        return Poll::Ready(Ok(!behind.is_empty()));
                    }
                    Err(cause) => return Poll::Ready(Err(Failed { cause, stale: false })),
                },
                Poll::Ready(Err(source)) => return Poll::Ready(Err(self.broken(&source))),
                Poll::Pending => {
                    let phase = if self.answer.is_begun() { Phase::Transfer } else { Phase::Wait };
                    return self.overdue(context, phase).map(Err);
                }
            }
        }
    }

    /// Ready once the deadline has passed.
    fn overdue(&mut self, context: &mut Context<'_>, phase: Phase) -> Poll<Failed> {
        let deadline = self.deadline;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        loop {
            ready!(alarm.as_mut().poll(context));
            if Instant::now() >= deadline {
                return Poll::Ready(Failed { cause: self.missed(phase), stale: false });
            }
            alarm.as_mut().reset(deadline);
        }
    }

    fn missed(&self, phase: Phase) -> Cause {
        Deadline::after(self.timeout).missed(phase)
    }

    /// What the connection's end was.
    fn broken(&self, source: &io::Error) -> Failed {
        let tls = source.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>);
        let reason = if tls { Reason::Tls } else { Reason::Closed };
        let cause = Cause::new(reason, format!("connection lost: {source}"));
        Failed { cause, stale: !tls && !self.answer.is_begun() }
    }
}

/// Whether nothing came on a kept connection since its last answer: neither its end nor what nobody asked for.
async fn is_quiet(stream: &mut Stream) -> bool {
    let mut byte = [0];
    poll_fn(|context| {
        let mut read = ReadBuf::new(&mut byte);
        Poll::Ready(Pin::new(&mut *stream).poll_read(context, &mut read).is_pending())
    })
    .await
}
