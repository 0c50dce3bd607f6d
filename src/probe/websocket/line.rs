//! The upgraded connection: takes one act after another, in bounded memory.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};

use super::{Act, Frame, Limit, Receive};
use crate::probe::connect::Deadline;
use crate::probe::exchange::{Done, Excerpt};
use crate::sample::{Cause, Phase, Reason};
use crate::units::Size;

/// An upgraded connection and what has come over it.
pub(super) struct Line<S> {
    socket: WebSocketStream<S>,
    allowance: Allowance,
    /// Data that came while a pong was awaited, for later receives.
    aside: VecDeque<Frame>,
    /// The last frame that matched.
    last: Option<Frame>,
    /// Why the last frame passed over did not match.
    mismatch: Option<Cause>,
}

/// What a peer sent, as far as an act can care.
enum Event {
    Data(Frame),
    Ping(usize),
    Pong(Bytes),
    Closed(End),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    /// A connection just upgraded.
    pub(super) fn new(socket: WebSocketStream<S>, limit: Limit) -> Self {
        let allowance = Allowance { limit, frames: 0, bytes: 0 };
        Self { socket, allowance, aside: VecDeque::new(), last: None, mismatch: None }
    }

    /// Does one act, until `deadline` at the latest.
    pub(super) async fn perform(&mut self, act: &Act, deadline: &Deadline) -> (Done, Result<(), Cause>) {
        let mut done = Done::new(act.what());
        let deadline = act.within().map_or(*deadline, |within| deadline.within(within));
        let began = Instant::now();
        let outcome = deadline.race(self.act(act, &mut done)).await;
        done.took = began.elapsed();
        let outcome = outcome.unwrap_or_else(|| Err(self.overdue(act, &done, &deadline)));
        (done, outcome)
    }

    /// Takes leave of the peer, without waiting for it; gives the last frame that matched.
    pub(super) fn leave(mut self) -> Option<Frame> {
        // A peer should not have to count our going as a broken connection.
        let _ = self.socket.close(Some(close_frame(1000))).now_or_never();
        self.last
    }

    async fn act(&mut self, act: &Act, done: &mut Done) -> Result<(), Cause> {
        match act {
            Act::Send(Frame::Text(text)) => self.send(Message::text(text.as_str())).await,
            Act::Send(Frame::Binary(bytes)) => self.send(Message::Binary(bytes.clone())).await,
            Act::Receive(receive) => self.receive(receive, done).await,
            Act::Ping { .. } => self.ping().await,
            Act::Close { code } => self.close(*code).await,
            Act::Closed { code } => self.closed(*code).await,
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Cause> {
        let sent = async {
            // Pongs first, so that what the buffer may hold is all for this message.
            self.socket.flush().await?;
            self.socket.send(message).await
        };
        sent.await.map_err(|error| match fault(&error) {
            Ok(end) => Cause::new(Reason::Closed, format!("nothing can be sent: {end}")),
            Err(cause) => cause,
        })
    }

    async fn receive(&mut self, receive: &Receive, done: &mut Done) -> Result<(), Cause> {
        self.mismatch = None;
        while done.count < receive.count.get() {
            let frame = self.frame().await?;
            match (receive.matching.0)(&frame) {
                Ok(()) => {
                    done.take_in(frame.bytes());
                    self.last = Some(frame);
                }
                Err(cause) if receive.skip => {
                    done.skipped += 1;
                    self.mismatch = Some(cause);
                    self.allowance.spend(frame.bytes().len())?;
                }
                Err(cause) => {
                    done.take_in(frame.bytes());
                    return Err(cause);
                }
            }
        }
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), Cause> {
        // Its own payload: a pong nobody asked for is legal, and no answer.
        let payload = Bytes::copy_from_slice(&rand::random::<u64>().to_be_bytes());
        self.send(Message::Ping(payload.clone())).await?;
        loop {
            match self.event().await? {
                Event::Pong(echo) if echo == payload => return Ok(()),
                Event::Pong(other) => self.allowance.spend(other.len())?,
                Event::Ping(bytes) => self.allowance.spend(bytes)?,
                Event::Data(frame) => {
                    self.allowance.spend(frame.bytes().len())?;
                    self.aside.push_back(frame);
                }
                Event::Closed(end) => return Err(end.early("before the pong")),
            }
        }
    }

    async fn close(&mut self, code: u16) -> Result<(), Cause> {
        self.send(Message::Close(Some(close_frame(code)))).await?;
        let end = self.end().await?;
        if [code, End::NORMAL, End::NO_CODE].contains(&end.code) {
            return Ok(());
        }
        Err(Cause::new(Reason::Closed, format!("our close with {code} is answered otherwise: {end}")))
    }

    async fn closed(&mut self, code: Option<u16>) -> Result<(), Cause> {
        let end = self.end().await?;
        match code {
            Some(code) if end.code == code => Ok(()),
            None if end.code != End::NO_FRAME => Ok(()),
            Some(code) => Err(Cause::new(Reason::Closed, format!("expected a close with {code}: {end}"))),
            None => Err(Cause::new(Reason::Closed, format!("expected a close frame: {end}"))),
        }
    }

    /// How the peer ends the connection; what it sends before that is passed over.
    async fn end(&mut self) -> Result<End, Cause> {
        loop {
            match self.event().await? {
                Event::Closed(end) => return Ok(end),
                Event::Data(frame) => self.allowance.spend(frame.bytes().len())?,
                Event::Pong(payload) => self.allowance.spend(payload.len())?,
                Event::Ping(bytes) => self.allowance.spend(bytes)?,
            }
        }
    }

    /// The next data frame, put aside or new.
    async fn frame(&mut self) -> Result<Frame, Cause> {
        if let Some(frame) = self.aside.pop_front() {
            return Ok(frame);
        }
        loop {
            match self.event().await? {
                Event::Data(frame) => return Ok(frame),
                Event::Pong(payload) => self.allowance.spend(payload.len())?,
                Event::Ping(bytes) => self.allowance.spend(bytes)?,
                Event::Closed(end) => return Err(end.early("before the frame that was awaited")),
            }
        }
    }

    /// What comes next. Pings are answered by the socket, when it is next read from or written to.
    async fn event(&mut self) -> Result<Event, Cause> {
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => Ok(Event::Data(Frame::Text(text.as_str().to_owned()))),
            Some(Ok(Message::Binary(bytes))) => Ok(Event::Data(Frame::Binary(bytes))),
            Some(Ok(Message::Ping(payload))) => Ok(Event::Ping(payload.len())),
            Some(Ok(Message::Pong(payload))) => Ok(Event::Pong(payload)),
            Some(Ok(Message::Close(frame))) => {
                // The socket has its answer ready; whether the peer still takes it changes nothing.
                let _ = self.socket.flush().now_or_never();
                Ok(Event::Closed(End::told(frame)))
            }
            Some(Ok(Message::Frame(_))) => Err(Cause::new(Reason::Protocol, "a frame of no known kind")),
            Some(Err(error)) => fault(&error).map(Event::Closed),
            None => Ok(Event::Closed(End::untold("connection closed"))),
        }
    }

    fn overdue(&self, act: &Act, done: &Done, deadline: &Deadline) -> Cause {
        let what = match (act, &self.mismatch) {
            (Act::Send(_), _) => "the message was not taken".to_owned(),
            (Act::Receive(receive), Some(mismatch)) => {
                let Done { count, skipped, .. } = done;
                format!(
                    "{count} of {} frames came, {skipped} did not match, the last: {mismatch}",
                    receive.count
                )
            }
            (Act::Receive(receive), None) => format!("{} of {} frames came", done.count, receive.count),
            (Act::Ping { .. }, _) => "no pong came".to_owned(),
            (Act::Close { code }, _) => format!("our close with {code} was not answered"),
            (Act::Closed { .. }, _) => "the peer did not close".to_owned(),
        };
        let missed = deadline.missed(Phase::Exchange);
        Cause::new(missed.reason, format!("{}: {what}", missed.message))
    }
}

/// What may still be passed over or put aside.
struct Allowance {
    limit: Limit,
    frames: u64,
    bytes: u64,
}

impl Allowance {
    /// What a frame costs beside its payload: an empty one is not free to read or to keep.
    const HEADER: u64 = 14;

    fn spend(&mut self, payload: usize) -> Result<(), Cause> {
        self.frames += 1;
        self.bytes += Self::HEADER + payload as u64;
        if self.frames > self.limit.frames {
            let frames = self.limit.frames;
            return Err(Cause::new(
                Reason::Limit,
                format!("over {frames} frames came that were not awaited"),
            ));
        }
        if self.bytes > self.limit.bytes.0 {
            let bytes = self.limit.bytes;
            return Err(Cause::new(
                Reason::Limit,
                format!("over {bytes} of frames came that were not awaited"),
            ));
        }
        Ok(())
    }
}

/// How the peer ended the connection.
struct End {
    code: u16,
    why: String,
}

impl End {
    const NORMAL: u16 = 1000;
    const NO_CODE: u16 = 1005;
    const NO_FRAME: u16 = 1006;

    /// Ended by a close frame.
    ///
    /// The socket gives a code that must not be sent, such as 1006, as 1002.
    fn told(frame: Option<CloseFrame>) -> Self {
        match frame {
            Some(frame) => Self { code: frame.code.into(), why: frame.reason.as_str().to_owned() },
            None => Self { code: Self::NO_CODE, why: String::new() },
        }
    }

    /// Ended without a close frame.
    fn untold(why: impl Into<String>) -> Self {
        Self { code: Self::NO_FRAME, why: why.into() }
    }

    fn early(&self, when: &str) -> Cause {
        Cause::new(Reason::Closed, format!("{self}, {when}"))
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Self::NO_CODE => f.write_str("the peer closes without a code"),
            Self::NO_FRAME => write!(f, "{} without a close frame", self.why),
            code if self.why.is_empty() => write!(f, "the peer closes with {code}"),
            code => write!(f, "the peer closes with {code} {}", Excerpt::of(self.why.as_bytes())),
        }
    }
}

/// What an error of the socket means: an end of the connection, or a cause to fail for.
fn fault(error: &Error) -> Result<End, Cause> {
    let cause = match error {
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            return Ok(End::untold("connection closed"));
        }
        Error::Protocol(ProtocolError::SendAfterClosing) => {
            return Ok(End::untold("connection closed earlier"));
        }
        Error::Io(source) => return Ok(End::untold(format!("connection broken ({source})"))),
        Error::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
            let message =
                format!("a message has {size} bytes or more, over the limit of {}", Size(*max_size as u64));
            Cause::new(Reason::Limit, message)
        }
        Error::Utf8(_) => Cause::new(Reason::Protocol, "a text frame is not UTF-8"),
        Error::Protocol(error) => {
            let mut what = error.to_string();
            if let Some(first) = what.get_mut(..1) {
                first.make_ascii_lowercase();
            }
            Cause::new(Reason::Protocol, format!("the peer breaks the protocol: {what}"))
        }
        // The handshake is ours and the buffer is flushed first, so none of these can come from a session.
        Error::Capacity(CapacityError::TooManyHeaders)
        | Error::WriteBufferFull(_)
        | Error::AttackAttempt
        | Error::Tls(_)
        | Error::Url(_)
        | Error::Http(_)
        | Error::HttpFormat(_) => Cause::new(Reason::Protocol, error.to_string()),
    };
    Err(cause)
}

fn close_frame(code: u16) -> CloseFrame {
    CloseFrame { code: code.into(), reason: Utf8Bytes::from_static("") }
}
