//! firedrill's own end of every receiver's line: what was delivered, to whom, when, and what was wrong with it.

mod book;
mod delivery;
mod desk;
mod html;
mod line;
mod listing;
mod mail;
mod message;
mod problem;
mod readdress;
mod request;
mod server;
mod smtp;
#[cfg(test)]
mod tests;
mod trouble;
mod vendor;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::delivery::{Alert, Delivery, Key, Status};
pub use self::line::Line;
pub use self::problem::Problem;
pub use self::readdress::{Ends, readdress};
pub use self::trouble::{Trouble, Troubled};
pub use self::vendor::Kind;

use self::desk::Desk;

/// Further clients wait until one of these leaves.
const MOST_CONNECTIONS: usize = 1_024;

/// How long requests under way may still take when the sink is closed.
const GRACE: Duration = Duration::from_secs(1);

/// Where a sink listens; port 0 takes a free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// For all that comes over HTTP.
    pub http: SocketAddr,
    /// For mail.
    pub smtp: SocketAddr,
}

impl Default for Listen {
    /// Two free ports of this machine.
    fn default() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { http: any, smtp: any }
    }
}

/// Every receiver at once, until it is closed or dropped.
pub struct Sink {
    listens: Listen,
    desk: Arc<Desk>,
    stop: CancellationToken,
    server: JoinHandle<()>,
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink").field("listens", &self.listens).finish_non_exhaustive()
    }
}

/// Opens a sink.
///
/// # Errors
/// When an address cannot be listened on.
pub async fn open(listen: Listen) -> io::Result<Sink> {
    at(TcpListener::bind(listen.http).await?, TcpListener::bind(listen.smtp).await?)
}

/// A sink that is told over HTTP and by mail at these; must be called within a runtime.
///
/// # Errors
/// When they do not say where they listen.
pub fn at(http: TcpListener, smtp: TcpListener) -> io::Result<Sink> {
    let listens = Listen { http: http.local_addr()?, smtp: smtp.local_addr()? };
    let desk = Arc::new(Desk::new()?);
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(http, smtp, Arc::clone(&desk), stop.clone()));
    Ok(Sink { listens, desk, stop, server })
}

impl Sink {
    /// Where it really listens.
    #[must_use]
    pub fn listens(&self) -> Listen {
        self.listens
    }

    /// What was delivered, in the order it came: the latest 10,000.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Arc<Delivery>> {
        self.desk.book.all()
    }

    /// The first delivery that is `wanted`, of those that came and those that come until the deadline.
    pub async fn wait_for(
        &self,
        wanted: impl FnMut(&Delivery) -> bool,
        deadline: Instant,
    ) -> Option<Arc<Delivery>> {
        self.desk.book.wait_for(wanted, deadline).await
    }

    /// The next delivery after that of the number `last`, whenever it comes.
    pub async fn next(&self, last: u64) -> Option<Arc<Delivery>> {
        self.desk.book.next(last).await
    }

    /// Makes `receiver` misbehave until the guard is dropped.
    #[must_use]
    pub fn misbehave(&self, receiver: &str, trouble: Trouble) -> Troubled {
        self.desk.troubles.add(receiver, trouble)
    }

    /// Closes both ports, and returns what was delivered when requests under way have ended; after a second at the
    /// latest.
    pub async fn close(mut self) -> Vec<Arc<Delivery>> {
        self.stop.cancel();
        // It ends by itself; a panic in it was printed and leaves nothing to stop.
        let _ = (&mut self.server).await;
        self.desk.book.all()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Accepts connections on both ports; all of them end with this function.
async fn serve(http: TcpListener, smtp: TcpListener, desk: Arc<Desk>, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        let room = connections.len() < MOST_CONNECTIONS;
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&http), if room => {
                if let Some(stream) = accepted {
                    connections.spawn(server::attend(stream, Arc::clone(&desk)));
                }
            }
            accepted = accept(&smtp), if room => {
                if let Some(stream) = accepted {
                    connections.spawn(smtp::attend(stream, Arc::clone(&desk)));
                }
            }
        }
    }
    drop((http, smtp));
    // Connections that are kept for a next request have no end of their own.
    let _ = tokio::time::timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
    connections.shutdown().await;
}

/// The next client; none where the system has no more connections to give, after a wait.
async fn accept(listener: &TcpListener) -> Option<TcpStream> {
    match listener.accept().await {
        Ok((stream, _)) => Some(stream),
        Err(error) => {
            server::pause(error).await;
            None
        }
    }
}
