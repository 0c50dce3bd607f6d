//! One question to one server: over UDP, and again over TCP when the answer was cut off; over TCP; over TLS.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use hickory_proto::op::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

use super::message::{DATAGRAM, Heard, Question};
use super::server::{Server, Transport};
use crate::probe::connect::{self, Deadline, Options, timed};
use crate::probe::reach;
use crate::sample::{Cause, Phase, Phases, Reason};

/// How many datagrams that answer something else are passed over.
const MOST_STRAYS: u32 = 64;

/// One try over one transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Try {
    /// How it was asked.
    pub over: Transport,
    /// Who was asked.
    pub peer: Option<SocketAddr>,
    /// How long each phase took.
    pub phases: Phases,
    /// Whether something came back, and whether all of it.
    pub came: Came,
}

/// What came back of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// Nothing that answers the question.
    Nothing,
    /// The beginning of an answer.
    Beginning,
    /// The answer.
    All,
}

/// What asking gave.
#[derive(Debug)]
pub struct Asked {
    /// Each try, in order; the second after an answer that was cut off.
    pub tries: Vec<Try>,
    /// The answer.
    pub result: Result<Message, Cause>,
}

/// Asks `server` and waits for its answer.
pub async fn ask(question: &Question, server: &Server, options: &Options, deadline: &Deadline) -> Asked {
    let mut tries = Vec::new();
    let mut over = server.transport;
    loop {
        let mut made = Try { over, peer: None, phases: Phases::default(), came: Came::Nothing };
        let heard = match over {
            Transport::Udp => in_a_datagram(question, server, options, deadline, &mut made).await,
            Transport::Tcp | Transport::Tls => {
                on_a_connection(question, server, options, deadline, &mut made).await
            }
        };
        let result = match heard {
            Ok(Heard::Answer(message)) => {
                made.came = Came::All;
                Ok(*message)
            }
            Ok(Heard::Truncated) if over == Transport::Udp => {
                made.came = Came::Beginning;
                tries.push(made);
                over = Transport::Tcp;
                continue;
            }
            Ok(Heard::Truncated) => {
                Err(protocol("the answer is cut off, though not in a datagram".to_owned()))
            }
            Ok(Heard::Stray(why)) => Err(protocol(format!("what came does not answer the question: {why}"))),
            Ok(Heard::Wrong(cause)) | Err(cause) => Err(cause),
        };
        tries.push(made);
        return Asked { tries, result };
    }
}

fn protocol(message: String) -> Cause {
    Cause::new(Reason::Protocol, message)
}

async fn in_a_datagram(
    question: &Question,
    server: &Server,
    options: &Options,
    deadline: &Deadline,
    made: &mut Try,
) -> Result<Heard, Cause> {
    let address = reach::address(&server.at, options, deadline, &mut made.phases).await?;
    made.peer = Some(address);
    let failed = |source: io::Error| {
        if source.kind() == io::ErrorKind::ConnectionRefused {
            Cause::new(Reason::Refused, format!("{address} refuses datagrams"))
        } else {
            Cause::new(Reason::Connect, format!("no datagrams to or from {address}: {source}"))
        }
    };
    // Connected, the socket takes datagrams from that address only; what anybody else sends does not reach us.
    let sending = async {
        let socket = UdpSocket::bind(any_like(address)).await?;
        socket.connect(address).await?;
        socket.send(question.bytes()).await.map(|_| socket)
    };
    let sending = async { sending.await.map_err(failed) };
    let socket = timed(&mut made.phases, Phase::Send, deadline, sending).await?;
    let mut strays = 0;
    let waiting = async {
        // One byte of room more than is taken shows what is too long.
        let mut room = vec![0; usize::from(DATAGRAM) + 1];
        while strays < MOST_STRAYS {
            let length = socket.recv(&mut room).await.map_err(failed)?;
            match question.hear(&room[..length]) {
                Heard::Stray(_) => strays += 1,
                Heard::Answer(_) | Heard::Wrong(_) if length > usize::from(DATAGRAM) => {
                    let message =
                        format!("the datagram is longer than the {DATAGRAM} bytes that were asked for");
                    return Err(Cause::new(Reason::Limit, message));
                }
                heard @ (Heard::Answer(_) | Heard::Truncated | Heard::Wrong(_)) => return Ok(heard),
            }
        }
        Err(protocol(format!("{strays} datagrams came and none answers the question")))
    };
    let heard = timed(&mut made.phases, Phase::Wait, deadline, waiting).await;
    heard.map_err(|cause| match (cause.reason, strays) {
        (Reason::Timeout(_), 1..) => {
            let message =
                format!("{}; datagrams that came and do not answer the question: {strays}", cause.message);
            Cause::new(cause.reason, message)
        }
        _ => cause,
    })
}

/// Any address of our own, of the family that `peer` is of.
fn any_like(peer: SocketAddr) -> SocketAddr {
    match peer {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// A message on a connection follows its length, RFC 1035, section 4.2.2.
async fn on_a_connection(
    question: &Question,
    server: &Server,
    options: &Options,
    deadline: &Deadline,
    made: &mut Try,
) -> Result<Heard, Cause> {
    let opened = connect::open(&server.at, made.over == Transport::Tls, options, deadline).await;
    let (stream, trail) = match opened {
        Ok(connection) => (Ok(connection.stream), connection.trail),
        Err(failed) => (Err(failed.cause), failed.trail),
    };
    (made.peer, made.phases) = (trail.peer, trail.phases);
    let mut stream = stream?;
    let mut bytes = u16::try_from(question.bytes().len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
    bytes.extend(question.bytes());
    let sending = async {
        let sent = async {
            stream.write_all(&bytes).await?;
            stream.flush().await
        };
        sent.await.map_err(|source| Cause::new(Reason::Closed, format!("nothing can be sent: {source}")))
    };
    timed(&mut made.phases, Phase::Send, deadline, sending).await?;
    let closed = |source: io::Error| {
        Cause::new(Reason::Closed, format!("the connection ends before the answer does: {source}"))
    };
    let waiting = async { stream.read_u16().await.map_err(closed) };
    let length = timed(&mut made.phases, Phase::Wait, deadline, waiting).await?;
    let mut answer = vec![0; usize::from(length)];
    let reading = async { stream.read_exact(&mut answer).await.map_err(closed) };
    timed(&mut made.phases, Phase::Transfer, deadline, reading).await?;
    Ok(question.hear(&answer))
}
