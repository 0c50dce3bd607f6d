//! One WebSocket session: connect, upgrade, then send, receive, ping and close in the order asked for.

mod line;
#[cfg(test)]
mod tests;
mod upgrade;

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use url::Url;

use self::line::Line;
use self::upgrade::upgrade;
use crate::probe::connect::{self, Authority, Connection, Deadline, Options, Trail};
use crate::probe::exchange::{Done, Failure, What};
use crate::sample::{Cause, Phase, Phases, Reason};
use crate::units::Size;

/// A session as it is asked for, every template filled in.
#[derive(Debug, Clone)]
pub struct Request {
    /// Whom to ask: `ws` or `wss`.
    pub url: Url,
    /// Headers of the upgrade; one that the handshake writes itself, such as `Host`, is replaced.
    pub headers: HeaderMap,
    /// Subprotocols offered, best first, beside any among the headers; if there are any, the peer has to agree to one.
    pub subprotocols: Vec<String>,
    /// How to connect.
    pub options: Options,
    /// What to do once the connection is upgraded.
    pub steps: Vec<Act>,
    /// How much the peer may send.
    pub limit: Limit,
}

impl Request {
    /// A session without headers or subprotocols of its own.
    #[must_use]
    pub fn new(url: Url, steps: Vec<Act>) -> Self {
        Self {
            url,
            headers: HeaderMap::new(),
            subprotocols: Vec::new(),
            options: Options::default(),
            steps,
            limit: Limit::default(),
        }
    }
}

/// One act of a session.
#[derive(Debug, Clone)]
pub enum Act {
    /// Sends one message.
    Send(Frame),
    /// Receives frames and checks each.
    Receive(Receive),
    /// Sends a ping with a payload of its own and awaits its pong; data meanwhile is put aside for later receives.
    Ping {
        /// The longest round trip; else the deadline alone counts.
        within: Option<Duration>,
    },
    /// Closes with this code and awaits the peer's close, which may say this code, 1000 or none.
    Close {
        /// A code of RFC 6455 that may be sent, such as 1000.
        code: u16,
    },
    /// Awaits that the peer closes; data meanwhile is passed over.
    Closed {
        /// The code it has to close with: 1005 is a close frame without a code, 1006 an end without a close
        /// frame. Left out, any close frame will do.
        code: Option<u16>,
    },
}

impl Act {
    fn what(&self) -> What {
        match self {
            Self::Send(_) => What::Send,
            Self::Receive(_) => What::Receive,
            Self::Ping { .. } => What::Ping,
            Self::Close { .. } => What::Close,
            Self::Closed { .. } => What::Closed,
        }
    }

    fn within(&self) -> Option<Duration> {
        match self {
            Self::Receive(receive) => receive.within,
            Self::Ping { within } => *within,
            Self::Send(_) | Self::Close { .. } | Self::Closed { .. } => None,
        }
    }
}

/// What to receive.
#[derive(Debug, Clone)]
pub struct Receive {
    /// What each frame has to be.
    pub matching: Check,
    /// How many frames that match.
    pub count: NonZeroU64,
    /// Frames that do not match are passed over; else the first of them is a failure.
    pub skip: bool,
    /// The time for all of them together; else the deadline alone counts.
    pub within: Option<Duration>,
}

/// A message, whole: what users call a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// UTF-8 text.
    Text(String),
    /// Any bytes.
    Binary(Bytes),
}

impl Frame {
    /// The payload.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

/// What a frame has to be; a frame that is not has a cause, usually [`Reason::Body`] or
/// [`Reason::Json`].
#[derive(Clone)]
pub struct Check(Arc<Judge>);

type Judge = dyn Fn(&Frame) -> Result<(), Cause> + Send + Sync;

impl Check {
    /// A check of one's own.
    pub fn new(check: impl Fn(&Frame) -> Result<(), Cause> + Send + Sync + 'static) -> Self {
        Self(Arc::new(check))
    }

    /// Any frame will do.
    #[must_use]
    pub fn any() -> Self {
        Self::new(|_| Ok(()))
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Check")
    }
}

/// How much a peer may send before the probe stops reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The largest message.
    pub message: Size,
    /// Frames passed over or put aside in the whole session, control frames included.
    pub frames: u64,
    /// Their bytes.
    pub bytes: Size,
}

impl Default for Limit {
    fn default() -> Self {
        Self { message: Size(1 << 20), frames: 100_000, bytes: Size(16 << 20) }
    }
}

/// What a session gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// How long each phase took; `send` and `wait` are those of the upgrade.
    pub phases: Phases,
    /// The address connected to, or tried last.
    pub peer: Option<SocketAddr>,
    /// The certificates the peer presented, leaf first, also when they were not accepted.
    pub chain: Vec<CertificateDer<'static>>,
    /// The status that answered the upgrade.
    pub status: Option<StatusCode>,
    /// The subprotocol the peer agreed to.
    pub subprotocol: Option<String>,
    /// The acts that were begun, in order.
    pub acts: Vec<Done>,
    /// The last frame that matched, for captures.
    pub last: Option<Frame>,
    /// Whether every act succeeded.
    pub result: Result<(), Failure>,
}

impl Default for Exchange {
    /// What is known before the first packet.
    fn default() -> Self {
        Self {
            phases: Phases::default(),
            peer: None,
            chain: Vec::new(),
            status: None,
            subprotocol: None,
            acts: Vec::new(),
            last: None,
            result: Ok(()),
        }
    }
}

impl Exchange {
    fn after(trail: Trail) -> Self {
        Self { phases: trail.phases, peer: trail.peer, chain: trail.chain, ..Self::default() }
    }
}

/// Makes one attempt: connects, upgrades and takes the steps in order, until one fails or the deadline passes.
pub async fn attempt(request: &Request, deadline: &Deadline) -> Exchange {
    let secure = matches!(request.url.scheme(), "wss" | "https");
    let Some(to) = Authority::of(&request.url) else {
        let cause = Cause::new(Reason::Connect, "the url names no host and port to connect to");
        return Exchange { result: Err(cause.into()), ..Exchange::default() };
    };
    match connect::open(&to, secure, &request.options, deadline).await {
        Ok(Connection { stream, trail }) => speak(stream, request, deadline, Exchange::after(trail)).await,
        Err(failed) => Exchange { result: Err(failed.cause.into()), ..Exchange::after(failed.trail) },
    }
}

/// A session of which not all acts are known beforehand: what is sent may follow from what came.
pub(crate) struct Session(Line<connect::Stream>);

impl Session {
    /// Connects and upgrades; whatever was seen on the way stands in the exchange, and why there is no session.
    pub(crate) async fn open(request: &Request, deadline: &Deadline) -> (Exchange, Option<Self>) {
        let secure = matches!(request.url.scheme(), "wss" | "https");
        let Some(to) = Authority::of(&request.url) else {
            let cause = Cause::new(Reason::Connect, "the url names no host and port to connect to");
            return (Exchange { result: Err(cause.into()), ..Exchange::default() }, None);
        };
        let Connection { stream, trail } = match connect::open(&to, secure, &request.options, deadline).await
        {
            Ok(connection) => connection,
            Err(failed) => {
                return (
                    Exchange { result: Err(failed.cause.into()), ..Exchange::after(failed.trail) },
                    None,
                );
            }
        };
        let mut exchange = Exchange::after(trail);
        let upgraded = upgrade(stream, request, deadline, &mut exchange).await;
        match upgraded {
            Ok(socket) => (exchange, Some(Self(Line::new(socket, request.limit)))),
            Err(cause) => {
                exchange.result = Err(cause.into());
                (exchange, None)
            }
        }
    }

    /// Does one act.
    ///
    /// # Errors
    /// As of any act.
    pub(crate) async fn perform(&mut self, act: &Act, deadline: &Deadline) -> Result<(), Cause> {
        self.0.perform(act, deadline).await.1
    }
}

async fn speak<S>(stream: S, request: &Request, deadline: &Deadline, mut exchange: Exchange) -> Exchange
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut line = match upgrade(stream, request, deadline, &mut exchange).await {
        Ok(socket) => Line::new(socket, request.limit),
        Err(cause) => {
            exchange.result = Err(cause.into());
            return exchange;
        }
    };
    let began = Instant::now();
    for (index, act) in request.steps.iter().enumerate() {
        let (done, outcome) = line.perform(act, deadline).await;
        exchange.acts.push(done);
        if let Err(cause) = outcome {
            exchange.result = Err(Failure { act: Some(index), cause });
            break;
        }
    }
    exchange.phases.set(Phase::Exchange, began.elapsed());
    exchange.last = line.leave();
    exchange
}
