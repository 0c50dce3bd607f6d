//! Waits until a process shows that it is ready, or has ended, or its time is over.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::ask::ask;
use super::launch::Shows;
use super::processes::log::Log;

/// How often a service is asked at first, and how seldom later.
const OFTEN: Duration = Duration::from_millis(10);
const SELDOM: Duration = Duration::from_millis(200);

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is watched of a service that starts.
pub(super) struct Watched<'a> {
    /// What shows that it is ready.
    pub(super) sign: &'a Shows,
    /// Where it listens itself, by port.
    pub(super) ports: &'a BTreeMap<String, SocketAddr>,
    /// What it writes.
    pub(super) log: &'a Log,
}

/// How a program came out that shows readiness.
pub(super) type Running<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

impl<'a> Watched<'a> {
    /// Waits for the sign; says what was seen last when it does not come.
    pub(super) async fn wait(
        &self,
        within: Duration,
        run: impl Fn(&'a [String]) -> Running<'a> + Sync,
    ) -> Result<(), String> {
        let deadline = Instant::now() + within;
        let mut pause = OFTEN;
        let mut last = "it was not asked yet".to_owned();
        loop {
            match timeout_at(deadline, self.look(&run)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(why)) => last = why,
                Err(_) => return Err(last),
            }
            if Instant::now() + pause >= deadline {
                return Err(last);
            }
            sleep(pause).await;
            pause = (pause * 3 / 2).min(SELDOM);
        }
    }

    async fn look(&self, run: &(impl Fn(&'a [String]) -> Running<'a> + Sync)) -> Result<(), String> {
        match self.sign {
            Shows::Ports | Shows::Healthcheck => {
                for (name, address) in self.ports {
                    connect(name, *address).await?;
                }
                Ok(())
            }
            Shows::Tcp(name) => connect(name, self.port(name)?).await,
            Shows::Http { port, path } => {
                let (status, _) = ask("GET", self.port(port)?, path, PATIENCE).await?;
                if status < 400 { Ok(()) } else { Err(format!("`{path}` answers with status {status}")) }
            }
            Shows::Log(pattern) => {
                if self.log.matched() {
                    Ok(())
                } else {
                    Err(format!("no line of its log matches `{pattern}`"))
                }
            }
            Shows::Exec(command) => run(command).await,
        }
    }

    fn port(&self, name: &str) -> Result<SocketAddr, String> {
        self.ports.get(name).copied().ok_or_else(|| format!("it has no port `{name}`"))
    }
}

async fn connect(name: &str, address: SocketAddr) -> Result<(), String> {
    match timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("port `{name}` ({address}): {error}")),
        Err(_) => Err(format!("port `{name}` ({address}) accepts no connection")),
    }
}
