//! One connection through a relay: both ways, and what is said over it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::force::{Armed, Force, Told};
use super::http::{Faults, Talk};
use super::way::{End, Ends, Way};
use crate::scenario::fault::traffic::Direction;

/// How long an end that was told of the end may go on sending before it is cut off.
const LINGER: Duration = Duration::from_secs(1);

/// One connection.
#[derive(Debug)]
pub(super) struct Line {
    client: TcpStream,
    service: TcpStream,
    up: Way,
    down: Way,
    talk: Talk,
    told: Told,
    /// Which state of the faults is known.
    seen: Option<u64>,
    /// The newest fault that is known.
    newest: u64,
    /// The faults in force that are done to requests.
    requests: Vec<Arc<Armed>>,
}

impl Line {
    pub(super) fn new(client: TcpStream, service: TcpStream, told: Told) -> Self {
        for end in [&client, &service] {
            // An end that is gone already has no socket to set this on.
            let _ = end.set_nodelay(true);
        }
        Self {
            client,
            service,
            up: Way::new(Direction::Up),
            down: Way::new(Direction::Down),
            talk: Talk::new(),
            told,
            seen: None,
            newest: 0,
            requests: Vec::new(),
        }
    }

    /// Carries bytes until the connection ends, and ends it on both sides as it ended.
    pub(super) async fn carry(mut self) {
        let end = poll_fn(|cx| self.poll(cx)).await;
        let passed = &self.told.force.passed;
        self.up.give_up(passed);
        self.down.give_up(passed);
        match end {
            End::Closed => {
                let farewells = async {
                    tokio::join!(see_off(&mut self.client), see_off(&mut self.service));
                };
                let _ = timeout(LINGER, farewells).await;
            }
            End::Reset(sides) => {
                if sides != Direction::Up {
                    reset(&self.client);
                }
                if sides != Direction::Down {
                    reset(&self.service);
                }
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        // In this order: a change after it was looked for wakes us.
        self.told.waker.register(cx.waker());
        let force = Arc::clone(&self.told.force);
        let version = force.version();
        if self.seen != Some(version) {
            let first = self.seen.replace(version).is_none();
            if let Some(end) = self.refit(&force, first) {
                return Poll::Ready(end);
            }
        }
        match self.move_bytes(cx, &force) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(end)) | Err(end) => Poll::Ready(end),
        }
    }

    fn move_bytes(&mut self, cx: &mut Context<'_>, force: &Force) -> Result<Poll<End>, End> {
        let faults = Faults { requests: &self.requests, force };
        let (client, service, passed) = (&mut self.client, &mut self.service, &force.passed);
        loop {
            let had_room = self.talk.has_room();
            let mut upward = Ends { from: client, to: service, passed };
            let talk = &mut self.talk;
            let up = self.up.poll(cx, &mut upward, had_room, &mut |way, cx, ends, bytes| {
                talk.ask(way, cx, ends, bytes, &faults)
            })?;
            let mut downward = Ends { from: service, to: client, passed };
            self.talk.answer(&mut self.down, cx, &mut downward);
            let talk = &mut self.talk;
            let down = self
                .down
                .poll(cx, &mut downward, true, &mut |way, cx, ends, bytes| talk.hear(way, cx, ends, bytes))?;
            if down.is_ready() && (up.is_ready() || self.talk.closing) {
                let lost = self.up.is_broken() || self.down.is_broken();
                return Ok(Poll::Ready(if lost { End::Reset(Direction::Both) } else { End::Closed }));
            }
            if had_room || !self.talk.has_room() {
                return Ok(Poll::Pending);
            }
        }
    }

    /// Fits the connection to the faults in force; one that was open may end by that.
    fn refit(&mut self, force: &Force, first: bool) -> Option<End> {
        let faults = force.faults();
        let connection = self.told.connection;
        self.up.refit(&faults, connection);
        self.down.refit(&faults, connection);
        let known = self.newest;
        for armed in faults.iter().filter(|armed| armed.number > known) {
            self.newest = self.newest.max(armed.number);
            let mut bites = self.up.bites.iter().chain(&self.down.bites);
            let Some(biting) = bites.find(|biting| biting.armed.number == armed.number) else { continue };
            armed.felt.connections.one();
            if let Some(sides) = biting.resets().filter(|_| !first) {
                armed.felt.cut.one();
                return Some(End::Reset(sides));
            }
        }
        let before = self.requests.len();
        self.requests.retain(|known| faults.iter().any(|armed| armed.number == known.number));
        if self.requests.len() < before {
            self.up.release();
        }
        self.requests = faults.into_iter().filter(|armed| armed.is_of_requests()).collect();
        if self.requests.is_empty() {
            self.up.hold(self.talk.let_go(), &force.passed);
        }
        None
    }
}

/// Tells one end that nothing more comes, and reads what it still sends: to close with bytes unread would reset
/// the connection, and what was sent last might be lost.
async fn see_off(end: &mut TcpStream) {
    let mut rest = [0; 4096];
    if end.shutdown().await.is_ok() {
        while end.read(&mut rest).await.is_ok_and(|len| len > 0) {}
    }
}

/// Has one end reset when it is dropped.
pub(super) fn reset(end: &TcpStream) {
    // One that is gone already needs no resetting.
    let _ = SockRef::from(end).set_linger(Some(Duration::ZERO));
}
