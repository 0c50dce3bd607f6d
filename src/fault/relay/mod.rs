//! A relay before a service's port: it hands bytes on unchanged, until it is told to do otherwise.
//!
//! Faults are added and lifted while traffic flows, and bite on connections that are open already. Lifting one
//! loses no byte and repeats none. TCP is what it carries; where that turns out to be HTTP/1, requests are told
//! from one another, and faults may be done to them.

mod bite;
mod chance;
mod door;
mod effects;
mod force;
mod http;
mod line;
mod queue;
#[cfg(test)]
mod tests;
mod way;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::door::Door;
pub use self::door::listen;
pub use self::effects::{Effect, Effects};
use self::force::{Armed, Force, lock};
use self::line::Line;
use crate::scenario::fault::traffic::Interference;

/// Further clients wait until one of these leaves.
const MOST_CONNECTIONS: usize = 16_384;

/// How long a service may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait when the system has no more connections to give.
const RETRY: Duration = Duration::from_millis(50);

/// A relay that works until it is closed or dropped.
#[derive(Debug)]
pub struct Relay {
    shared: Arc<Shared>,
    stop: CancellationToken,
    work: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    door: Door,
    /// Wakes who waits at the door.
    bell: AtomicWaker,
    upstream: Mutex<SocketAddr>,
    force: Arc<Force>,
    seed: u64,
}

impl Relay {
    /// Listens at `listen` (port 0 finds a free one) and hands on to `upstream`. The same seed lets the same
    /// connections and requests be struck by faults that strike a share of them.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    #[expect(clippy::unused_async, reason = "it must be called where a runtime is")]
    pub async fn start(listen: SocketAddr, upstream: SocketAddr, seed: u64) -> io::Result<Self> {
        Ok(Self::behind(Door::open(listen, false)?, upstream, seed))
    }

    /// The same at an address that this machine need not have yet.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    #[expect(clippy::unused_async, reason = "it must be called where a runtime is")]
    pub async fn start_ahead(listen: SocketAddr, upstream: SocketAddr, seed: u64) -> io::Result<Self> {
        Ok(Self::behind(Door::open(listen, true)?, upstream, seed))
    }

    fn behind(door: Door, upstream: SocketAddr, seed: u64) -> Self {
        let shared = Arc::new(Shared {
            door,
            bell: AtomicWaker::new(),
            upstream: Mutex::new(upstream),
            force: Arc::default(),
            seed,
        });
        let stop = CancellationToken::new();
        let work = tokio::spawn(Arc::clone(&shared).work(stop.clone()));
        Self { shared, stop, work }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.door.address
    }

    /// Hands new connections on to another address: a service that was started again has another port.
    pub fn retarget(&self, upstream: SocketAddr) {
        *lock(&self.shared.upstream) = upstream;
    }

    /// Does something to its traffic, from now on until the guard is dropped.
    #[must_use = "the fault is lifted when the guard is dropped"]
    pub fn add(&self, does: Interference) -> FaultGuard {
        let armed = self.shared.force.arm(does, self.shared.seed);
        self.shared.change();
        FaultGuard { armed, shared: Arc::clone(&self.shared) }
    }

    /// What has passed so far, and what was done to it.
    #[must_use]
    pub fn effects(&self) -> Effects {
        let passed = &self.shared.force.passed;
        let faults = self.shared.force.faults();
        Effects {
            connections: passed.connections.get(),
            open: passed.open.get(),
            unanswered: passed.unanswered.get(),
            up: passed.up.get(),
            down: passed.down.get(),
            requests: passed.requests.get(),
            faults: faults.iter().map(|armed| (armed.number, self.shared.effect(armed))).collect(),
        }
    }

    /// Closes the port and every connection, and returns when all is done.
    pub async fn close(mut self) {
        self.stop.cancel();
        // It ends by itself; a panic in it was printed and leaves nothing to close.
        let _ = (&mut self.work).await;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.work.abort();
    }
}

/// A fault in force; dropping it lifts it.
#[derive(Debug)]
pub struct FaultGuard {
    armed: Arc<Armed>,
    shared: Arc<Shared>,
}

impl FaultGuard {
    /// Its number, by which [`Effects`] tells of it.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.armed.number
    }

    /// What it has done so far.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.shared.effect(&self.armed)
    }
}

impl Drop for FaultGuard {
    fn drop(&mut self) {
        self.shared.force.disarm(self.armed.number);
        self.shared.change();
    }
}

impl Shared {
    /// Has the faults in force obeyed at once.
    fn change(&self) {
        // A port that cannot be had just now is tried for again where connections are accepted.
        let _ = self.door.shut(self.force.refuses());
        self.bell.wake();
        self.force.spread_word();
    }

    fn effect(&self, armed: &Armed) -> Effect {
        armed.felt.effect(armed.does == Interference::Refuse && self.door.is_shut())
    }

    /// Accepts connections; all of them end with this function.
    async fn work(self: Arc<Self>, stop: CancellationToken) {
        let mut lines = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = lines.join_next() => {}
                accepted = self.accept(), if lines.len() < MOST_CONNECTIONS => match accepted {
                    Ok(client) => {
                        let number = self.force.passed.connections.one() + 1;
                        lines.spawn(Arc::clone(&self).attend(client, number));
                    }
                    Err(_) => sleep(RETRY).await,
                },
            }
        }
        lines.shutdown().await;
    }

    /// The next client.
    async fn accept(&self) -> io::Result<TcpStream> {
        if self.door.is_shut() && !self.force.refuses() {
            self.door.shut(false)?;
        }
        poll_fn(|cx| {
            self.bell.register(cx.waker());
            self.door.poll_accept(cx)
        })
        .await
    }

    /// Carries one connection.
    async fn attend(self: Arc<Self>, client: TcpStream, number: u64) {
        let _open = Open::new(&self.force);
        let upstream = *lock(&self.upstream);
        if let Ok(Ok(service)) = timeout(PATIENCE, TcpStream::connect(upstream)).await {
            Line::new(client, service, self.force.enter(number)).carry().await;
        } else {
            self.force.passed.unanswered.one();
            line::reset(&client);
        }
    }
}

/// A connection that counts as open until this is dropped.
struct Open<'a>(&'a Force);

impl<'a> Open<'a> {
    fn new(force: &'a Force) -> Self {
        force.passed.open.add(1);
        Self(force)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.passed.open.take(1);
    }
}
