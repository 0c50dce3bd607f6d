//! Relays over real sockets.

mod bytes;
mod flow;
mod requests;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{FaultGuard, Relay};
use crate::scenario::fault::traffic::{Direction, Flow, Interference};
use crate::units::Ratio;

/// Nothing here takes this long unless it hangs.
const DEADLINE: Duration = Duration::from_secs(20);

/// Any free port.
const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(DEADLINE, future).await.expect("it should not take so long")
}

/// Waits until `holds`.
async fn eventually(holds: impl Fn() -> bool) {
    soon(async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A service that does `serve` with every connection, until it is dropped.
struct Service {
    address: SocketAddr,
    _work: JoinSet<()>,
}

impl Service {
    async fn start<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(ANY).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut work = JoinSet::new();
        work.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream));
            }
        });
        Self { address, _work: work }
    }

    /// One that sends back what it is sent.
    async fn echo() -> Self {
        Self::start(|mut stream| async move {
            let (mut read, mut write) = stream.split();
            let _ = tokio::io::copy(&mut read, &mut write).await;
            let _ = write.shutdown().await;
        })
        .await
    }
}

async fn relay_to(service: &Service) -> Relay {
    Relay::start(ANY, service.address, 1).await.unwrap()
}

async fn connect(relay: &Relay) -> TcpStream {
    soon(TcpStream::connect(relay.address())).await.unwrap()
}

/// Sends and reads as much again.
async fn echo(stream: &mut TcpStream, bytes: &[u8]) -> Vec<u8> {
    soon(async {
        stream.write_all(bytes).await.unwrap();
        let mut heard = vec![0; bytes.len()];
        stream.read_exact(&mut heard).await.unwrap();
        heard
    })
    .await
}

fn flow(direction: Direction) -> Flow {
    Flow { direction, share: Ratio::ONE }
}

fn add(relay: &Relay, fault: Interference) -> FaultGuard {
    relay.add(fault)
}
