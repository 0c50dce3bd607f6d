//! One TCP session: connect, with TLS or without, then send, expect and see closed in the order asked for.

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::str;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use regex::bytes::Regex;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use crate::probe::connect::{self, Authority, Connection, Deadline, Options, Trail};
use crate::probe::exchange::{Done, Excerpt, Failure, What};
use crate::sample::{Cause, Phase, Phases, Reason};
use crate::units::Size;

/// How much is read and held at most, unless a request says otherwise.
pub const LIMIT: Size = Size(64 << 10);

/// A session as it is asked for, every template filled in.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where to connect.
    pub to: Authority,
    /// Whether to speak TLS from the first byte.
    pub tls: bool,
    /// How to connect.
    pub options: Options,
    /// What to do once connected.
    pub steps: Vec<Act>,
    /// How many bytes are held for an expectation, or passed over for a close.
    pub limit: Size,
}

impl Request {
    /// A session in clear.
    #[must_use]
    pub fn new(to: Authority, steps: Vec<Act>) -> Self {
        Self { to, tls: false, options: Options::default(), steps, limit: LIMIT }
    }
}

/// One act of a session.
#[derive(Debug, Clone)]
pub enum Act {
    /// Sends these bytes.
    Send(Bytes),
    /// Reads until a check holds.
    Expect(Expect),
    /// Awaits that the peer ends the connection; what it sends before is passed over.
    Closed,
}

impl Act {
    fn what(&self) -> What {
        match self {
            Self::Send(_) => What::Send,
            Self::Expect(_) => What::Expect,
            Self::Closed => What::Closed,
        }
    }

    fn within(&self) -> Option<Duration> {
        match self {
            Self::Expect(expect) => expect.within,
            Self::Send(_) | Self::Closed => None,
        }
    }
}

/// What to read for.
#[derive(Debug, Clone)]
pub struct Expect {
    /// What has to come.
    pub check: Check,
    /// The time for it to come; else the deadline alone counts.
    pub within: Option<Duration>,
}

/// What a check makes of the bytes that have come so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// It holds; the next expectation begins after this many bytes.
    Enough(usize),
    /// More has to come.
    More,
    /// Nothing that may still come can make it hold.
    Wrong(Cause),
}

/// What has to come.
#[derive(Clone)]
pub struct Check(Arc<Judge>);

type Judge = dyn Fn(&[u8]) -> Heard + Send + Sync;

impl Check {
    /// A check of one's own, asked again whenever more bytes have come.
    pub fn new(check: impl Fn(&[u8]) -> Heard + Send + Sync + 'static) -> Self {
        Self(Arc::new(check))
    }

    /// This text, anywhere.
    pub fn contains(text: impl Into<Bytes>) -> Self {
        let text = text.into();
        Self::new(move |bytes| {
            let last = bytes.len().saturating_sub(text.len());
            let found = (0..=last).find(|at| bytes[*at..].starts_with(&text));
            found.map_or(Heard::More, |at| Heard::Enough(at + text.len()))
        })
    }

    /// A match of `pattern`, anywhere.
    #[must_use]
    pub fn matches(pattern: Regex) -> Self {
        Self::new(move |bytes| pattern.find(bytes).map_or(Heard::More, |found| Heard::Enough(found.end())))
    }

    /// A line of which `check` holds, without its `\n` or `\r\n`; the first line decides.
    pub fn line(check: impl Fn(&str) -> Result<(), Cause> + Send + Sync + 'static) -> Self {
        Self::new(move |bytes| {
            let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
                return Heard::More;
            };
            let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
            let held = match str::from_utf8(line) {
                Ok(line) => check(line),
                Err(_) => Err(Cause::new(Reason::Body, format!("line is not UTF-8: {}", Excerpt::of(line)))),
            };
            held.map_or_else(Heard::Wrong, |()| Heard::Enough(end + 1))
        })
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Check")
    }
}

/// What a session gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// How long each phase took.
    pub phases: Phases,
    /// The address connected to, or tried last.
    pub peer: Option<SocketAddr>,
    /// The certificates the peer presented, leaf first, also when they were not accepted.
    pub chain: Vec<CertificateDer<'static>>,
    /// The acts that were begun, in order.
    pub acts: Vec<Done>,
    /// What made the last expectation hold, for captures.
    pub last: Option<Bytes>,
    /// Whether every act succeeded.
    pub result: Result<(), Failure>,
}

impl Exchange {
    fn after(trail: Trail) -> Self {
        let Trail { phases, peer, chain, .. } = trail;
        Self { phases, peer, chain, acts: Vec::new(), last: None, result: Ok(()) }
    }
}

/// Makes one attempt: connects and takes the steps in order, until one fails or the deadline passes.
pub async fn attempt(request: &Request, deadline: &Deadline) -> Exchange {
    match connect::open(&request.to, request.tls, &request.options, deadline).await {
        Ok(Connection { stream, trail }) => speak(stream, request, deadline, Exchange::after(trail)).await,
        Err(failed) => Exchange { result: Err(failed.cause.into()), ..Exchange::after(failed.trail) },
    }
}

async fn speak<S>(stream: S, request: &Request, deadline: &Deadline, mut exchange: Exchange) -> Exchange
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let began = Instant::now();
    let mut line = Line { stream, heard: BytesMut::new(), last: None, limit: request.limit };
    for (index, act) in request.steps.iter().enumerate() {
        let (done, outcome) = line.perform(act, deadline).await;
        exchange.acts.push(done);
        if let Err(cause) = outcome {
            exchange.result = Err(Failure { act: Some(index), cause });
            break;
        }
    }
    exchange.phases.set(Phase::Exchange, began.elapsed());
    exchange.last = line.last;
    exchange
}

/// An open connection and what has come over it.
struct Line<S> {
    stream: S,
    /// What came and no expectation has used yet.
    heard: BytesMut,
    /// What made the last expectation hold.
    last: Option<Bytes>,
    limit: Size,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    async fn perform(&mut self, act: &Act, deadline: &Deadline) -> (Done, Result<(), Cause>) {
        let mut done = Done::new(act.what());
        let deadline = act.within().map_or(*deadline, |within| deadline.within(within));
        let began = Instant::now();
        let outcome = deadline.race(self.act(act, &mut done)).await;
        done.took = began.elapsed();
        let outcome = outcome.unwrap_or_else(|| Err(self.overdue(act, &deadline)));
        if outcome.is_err() && done.what == What::Expect && !self.heard.is_empty() {
            done.take_in(&self.heard);
        }
        (done, outcome)
    }

    async fn act(&mut self, act: &Act, done: &mut Done) -> Result<(), Cause> {
        match act {
            Act::Send(bytes) => self.send(bytes).await,
            Act::Expect(expect) => {
                let held = self.expect(&expect.check).await?;
                done.take_in(&held);
                self.last = Some(held);
                Ok(())
            }
            Act::Closed => self.closed().await,
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Cause> {
        let sent = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        sent.await.map_err(|source| Cause::new(Reason::Closed, format!("nothing can be sent: {source}")))
    }

    /// The bytes up to where the check holds.
    async fn expect(&mut self, check: &Check) -> Result<Bytes, Cause> {
        loop {
            match (check.0)(&self.heard) {
                Heard::Enough(length) => {
                    return Ok(self.heard.split_to(length.min(self.heard.len())).freeze());
                }
                Heard::Wrong(cause) => return Err(cause),
                Heard::More => {}
            }
            let room = self.limit.bytes().saturating_sub(self.heard.len());
            if room == 0 {
                let message = format!("not among the first {}: {}", self.limit, Excerpt::of(&self.heard));
                return Err(Cause::new(Reason::Limit, message));
            }
            self.heard.reserve(room.min(4096));
            let ended = match (&mut self.stream).take(room as u64).read_buf(&mut self.heard).await {
                Ok(0) => "closed".to_owned(),
                Ok(_) => continue,
                Err(source) => format!("broken ({source})"),
            };
            return Err(Cause::new(
                Reason::Closed,
                format!("connection {ended} by the peer: {}", self.so_far()),
            ));
        }
    }

    async fn closed(&mut self) -> Result<(), Cause> {
        let mut passed = self.heard.len();
        self.heard.clear();
        let mut piece = [0; 4096];
        loop {
            if passed > self.limit.bytes() {
                let message = format!("over {} came where the peer had to close", self.limit);
                return Err(Cause::new(Reason::Limit, message));
            }
            // A reset ends the connection as well, and so does TLS that ends without saying so.
            match self.stream.read(&mut piece).await {
                Ok(0) | Err(_) => return Ok(()),
                Ok(count) => passed += count,
            }
        }
    }

    fn overdue(&self, act: &Act, deadline: &Deadline) -> Cause {
        let what = match act {
            Act::Send(_) => "the bytes were not taken".to_owned(),
            Act::Expect(_) => self.so_far(),
            Act::Closed => "the peer did not close".to_owned(),
        };
        let missed = deadline.missed(Phase::Exchange);
        Cause::new(missed.reason, format!("{}: {what}", missed.message))
    }

    fn so_far(&self) -> String {
        if self.heard.is_empty() {
            "nothing came".to_owned()
        } else {
            format!("only {} came", Excerpt::of(&self.heard))
        }
    }
}
