//! Sending echo requests at their times while replies come in, on a socket that needs no rights where it may.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};

use super::packet::Echo;
use crate::probe::connect::Deadline;
use crate::sample::{Cause, Reason};

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) echo: Echo,
    /// At least one.
    pub(crate) count: u16,
    pub(crate) interval: Duration,
}

/// A socket that sends to one host and hears from it.
#[derive(Debug)]
pub(crate) struct Line {
    /// The system's calls to send and receive are the same for ICMP as for UDP.
    socket: UdpSocket,
    raw: bool,
}

/// What became of each request, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Echoes(pub(crate) Vec<Result<Duration, Lost>>);

/// Why there was no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lost {
    /// None came.
    Unanswered,
    /// It could not be sent, or somebody on the way said that the host cannot be reached.
    Failed(String),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unanswered => f.write_str("no reply"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

impl Echoes {
    /// How many were not answered.
    pub(super) fn lost(&self) -> u16 {
        u16::try_from(self.0.iter().filter(|fate| fate.is_err()).count()).unwrap_or(u16::MAX)
    }

    /// The time of the slowest reply, if there was one.
    pub(super) fn slowest(&self) -> Option<Duration> {
        self.0.iter().filter_map(|fate| fate.as_ref().ok()).max().copied()
    }
}

impl Line {
    /// A line to `peer`: a socket for echoes, which needs no rights where the system allows it, or else a raw one.
    pub(crate) fn open(peer: IpAddr) -> Result<Self, Cause> {
        let unprivileged = match connected(peer, Type::DGRAM) {
            Ok(socket) => return Ok(Self { socket, raw: false }),
            Err(source) => source,
        };
        // Without the protocol, or without the right to it, a raw socket may still be had.
        let raw = match connected(peer, Type::RAW) {
            Ok(socket) => return Ok(Self { socket, raw: true }),
            Err(source) => source,
        };
        Err(if raw.kind() == io::ErrorKind::PermissionDenied {
            forbidden()
        } else {
            let why = if unprivileged.kind() == io::ErrorKind::PermissionDenied { raw } else { unprivileged };
            Cause::new(Reason::Connect, format!("no echo can be asked of {peer}: {why}"))
        })
    }

    /// Lets requests to `peer` pass `hops` routers at most.
    ///
    /// # Errors
    /// The system does not take that.
    pub(crate) fn reach(&self, peer: IpAddr, hops: u32) -> io::Result<()> {
        let socket = socket2::SockRef::from(&self.socket);
        if peer.is_ipv4() { socket.set_ttl_v4(hops) } else { socket.set_unicast_hops_v6(hops) }
    }

    /// Sends every request at its time, and waits for replies until all have come or the deadline passes.
    pub(crate) async fn ping(&self, plan: &Plan, deadline: &Deadline) -> Echoes {
        let began = Instant::now();
        let mut sent: Vec<Instant> = Vec::new();
        let mut fates: Vec<Option<Result<Duration, Lost>>> = vec![None; usize::from(plan.count)];
        let mut room = vec![0; plan.echo.room()];
        while !deadline.left().is_zero() && fates.iter().any(Option::is_none) {
            let number = u16::try_from(sent.len()).unwrap_or(u16::MAX);
            let due = began + plan.interval * u32::from(number);
            tokio::select! {
                biased;
                () = sleep_until(deadline.at()) => break,
                () = sleep_until(due), if number < plan.count => {
                    sent.push(Instant::now());
                    if let Err(source) = self.socket.send(&plan.echo.request(number)).await {
                        fates[usize::from(number)] = Some(Err(Lost::Failed(source.to_string())));
                    }
                }
                heard = self.socket.recv(&mut room) => match heard {
                    Ok(length) => {
                        let number = plan.echo.replied(&room[..length], self.raw).map(usize::from);
                        let Some((number, at)) = number.and_then(|number| Some((number, sent.get(number)?))) else {
                            continue;
                        };
                        // A second reply to the same request is no news.
                        fates[number].get_or_insert(Ok(at.elapsed()));
                    }
                    // The system does not say which request it is about; the oldest that waits is the likely one.
                    Err(source) => {
                        if let Some(oldest) = fates.iter_mut().take(sent.len()).find(|fate| fate.is_none()) {
                            *oldest = Some(Err(Lost::Failed(source.to_string())));
                        }
                    }
                },
            }
        }
        Echoes(fates.into_iter().map(|fate| fate.unwrap_or(Err(Lost::Unanswered))).collect())
    }
}

fn connected(peer: IpAddr, kind: Type) -> io::Result<UdpSocket> {
    let (domain, protocol) = match peer {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = Socket::new(domain, kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    socket.connect(&SocketAddr::new(peer, 0).into())?;
    UdpSocket::from_std(socket.into())
}

fn forbidden() -> Cause {
    let message = "this machine lets nobody like us ask for echoes: set `net.ipv4.ping_group_range` to a range with \
                   our group in it, as `sysctl -w net.ipv4.ping_group_range=\"0 2147483647\"`, or give firedrill the \
                   capability `CAP_NET_RAW`";
    Cause::new(Reason::Policy, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: usize = 3;

    /// A line to a peer that stands in for a host, over UDP: `answers` are the replies to a request.
    async fn pinged(
        limit: Duration,
        answers: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static,
    ) -> (Echoes, Deadline) {
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(peer.local_addr().unwrap()).await.unwrap();
        tokio::spawn(async move {
            let mut room = vec![0; 2048];
            while let Ok((length, from)) = peer.recv_from(&mut room).await {
                for answer in answers(&room[..length]) {
                    peer.send_to(&answer, from).await.unwrap();
                }
            }
        });
        let echo = Echo::new("127.0.0.1".parse().unwrap(), 56, 7);
        let plan = Plan { echo, count: 3, interval: Duration::from_millis(10) };
        let deadline = Deadline::after(limit);
        (Line { socket, raw: false }.ping(&plan, &deadline).await, deadline)
    }

    fn reply(request: &[u8]) -> Vec<u8> {
        let mut bytes = request.to_vec();
        bytes[0] = 0;
        bytes
    }

    const PLENTY: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn every_reply_counts_once() {
        let (echoes, deadline) = pinged(PLENTY, |request| vec![reply(request); 5]).await;
        assert_eq!((echoes.0.len(), echoes.lost()), (ASKED, 0));
        assert!(echoes.slowest().is_some());
        assert!(!deadline.left().is_zero(), "nothing is waited for once all have come");
    }

    #[tokio::test]
    async fn what_has_no_reply_by_the_deadline_is_lost() {
        let second = |request: &[u8]| if request[7] == 1 { vec![] } else { vec![reply(request)] };
        let (echoes, _) = pinged(Duration::from_millis(300), second).await;
        assert_eq!(echoes.lost(), 1);
        assert_eq!(echoes.0[1], Err(Lost::Unanswered));
    }

    #[tokio::test]
    async fn what_was_not_asked_for_is_no_reply() {
        let spoil = |request: &[u8]| {
            let (mut kind, mut number, mut payload) = (reply(request), reply(request), reply(request));
            kind[0] = 3;
            number[6] = 9;
            payload[20] ^= 1;
            vec![kind, number, payload, vec![], vec![0; 2000]]
        };
        let (echoes, _) = pinged(Duration::from_millis(300), spoil).await;
        assert_eq!(echoes.0, vec![Err(Lost::Unanswered); ASKED]);
    }

    #[tokio::test]
    async fn a_host_that_cannot_be_reached_is_left_at_once() {
        let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(closed).await.unwrap();
        let echo = Echo::new(closed.ip(), 56, 7);
        let plan = Plan { echo, count: 3, interval: Duration::from_millis(10) };
        let deadline = Deadline::after(PLENTY);
        let echoes = Line { socket, raw: false }.ping(&plan, &deadline).await;
        assert!(echoes.0.iter().all(|fate| matches!(fate, Err(Lost::Failed(_)))), "{echoes:?}");
        assert!(!deadline.left().is_zero());
    }

    #[test]
    fn whoever_may_not_ask_is_told_what_to_do() {
        let cause = forbidden();
        assert_eq!(cause.reason, Reason::Policy);
        assert_eq!(
            cause.message,
            "this machine lets nobody like us ask for echoes: set `net.ipv4.ping_group_range` to a range with our \
             group in it, as `sysctl -w net.ipv4.ping_group_range=\"0 2147483647\"`, or give firedrill the \
             capability `CAP_NET_RAW`"
        );
    }
}
