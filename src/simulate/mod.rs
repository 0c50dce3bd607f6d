//! Stand-ins at work: a server that answers, streams and counts as its profile says.

mod call;
mod journal;
mod metrics;
mod pose;
mod reply;
mod service;
#[cfg(test)]
mod tests;
mod text;
mod trace;
mod websocket;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

pub use self::journal::Output;
pub use self::pose::Posing;
use self::service::{Service, Upgrading};
use crate::scenario::fault::stand_in::Pose;
use crate::scenario::profile::Profile;

/// Further clients wait until one of these leaves.
const MOST_CONNECTIONS: usize = 16_384;

/// How long a client may take over a request's head, and how long it may stay without asking anything.
const PATIENCE: Duration = Duration::from_secs(75);

/// How long requests under way may still take when the stand-in is stopped.
const GRACE: Duration = Duration::from_secs(1);

/// How long to wait when the system has no more connections to give.
const RETRY: Duration = Duration::from_millis(50);

/// A stand-in that serves until it is stopped or dropped.
#[derive(Debug)]
pub struct StandIn {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    held: watch::Sender<bool>,
    service: Arc<Service>,
    server: JoinHandle<()>,
}

/// Plays `profile` on `listen`; port 0 finds a free one.
///
/// The same seed gives the same latencies and errors, request by request on each route. What it logs goes to `log`.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn start(profile: &Profile, listen: SocketAddr, seed: u64, log: Output) -> io::Result<StandIn> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let service = Arc::new(Service::new(profile.clone(), seed, log));
    let (held, holding) = watch::channel(false);
    let server = tokio::spawn(serve(listener, Arc::clone(&service), Stop(stopped), holding));
    Ok(StandIn { address, stop, held, service, server })
}

impl StandIn {
    /// Where it really listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Holds it where it stands, as a stopped process is: connections are made and stay open, and nothing is
    /// answered or sent until it is let go.
    pub fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// Pretends something, until what is given back is dropped.
    #[must_use]
    pub fn pose(&self, pose: Pose) -> Posing {
        Posing::new(Arc::clone(&self.service), pose)
    }

    /// Closes the port, lets requests under way end, tells WebSocket clients, and returns when all is done;
    /// after a second at the latest.
    pub async fn stop(mut self) {
        self.hold(false);
        let _ = self.stop.send(true);
        // It ends by itself; a panic in it was printed and leaves nothing to stop.
        let _ = (&mut self.server).await;
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Says when to stop.
#[derive(Debug, Clone)]
struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Waits until it is time; a stand-in that is gone says so too.
    async fn called(&mut self) {
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}

/// Accepts connections; all of them end with this function.
async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    mut stop: Stop,
    mut holding: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        let held = *holding.borrow_and_update();
        tokio::select! {
            () = stop.called() => break,
            Ok(()) = holding.changed() => {}
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if !held && connections.len() < MOST_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    let attending = attend(stream, Arc::clone(&service), stop.clone());
                    connections.spawn(while_let_go(holding.clone(), attending));
                }
                Err(_) => sleep(RETRY).await,
            },
        }
    }
    drop(listener);
    let _ = timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
    connections.shutdown().await;
}

/// Works, but not while it is held.
async fn while_let_go(mut holding: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    let mut work = std::pin::pin!(work);
    loop {
        // Whoever could hold it is gone with the stand-in.
        if holding.wait_for(|held| !held).await.is_err() {
            return work.await;
        }
        let alone = tokio::select! {
            biased;
            held = holding.wait_for(|held| *held) => held.is_err(),
            () = &mut work => return,
        };
        if alone {
            return work.await;
        }
    }
}

/// Serves one connection, and the WebSocket it may turn into.
async fn attend(stream: TcpStream, service: Arc<Service>, mut stop: Stop) {
    // A client that is gone already has no socket to set this on.
    let _ = stream.set_nodelay(true);
    let upgrading = Upgrading::default();
    let answer = service_fn(|request| service.answer(request, &upgrading));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), answer)
        .with_upgrades();
    tokio::pin!(connection);
    // What breaks a connection is the client's affair: there is nobody here to tell.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stop.called() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.as_mut().await;
        }
    }
    if let Some(upgrade) = upgrading.take() {
        upgrade.talk(stop).await;
    }
}
