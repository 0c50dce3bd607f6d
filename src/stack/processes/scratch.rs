//! An empty Prometheus for series of our own: it scrapes nothing, and takes what is written to it of any time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::folder::Folder;
use super::process::{Process, Program};
use super::watchers::launch;
use super::{HOST, port};
use crate::prometheus::{Access, Client, Limits};
use crate::scenario::stack::HTTP;
use crate::stack::launch::File;
use crate::stack::{Error, prometheus};

/// Its name, for messages and folders.
const NAME: &str = "scratch";

/// How long a single question may take; those over many days are heavy.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is written to it spans less than half of this, so that no order of writing is too late for it.
const BLOCK: &str = "1000d";

/// An empty Prometheus; its process ends with [`Scratch::end`], or when this value is dropped.
#[derive(Debug)]
pub struct Scratch {
    process: Process,
    client: Client,
    folder: Arc<Folder>,
}

impl Scratch {
    /// Starts one, for the run of this name; `supervisor` is the firedrill program.
    ///
    /// # Errors
    /// When it does not come up: there is no `prometheus` on `PATH`, for one.
    pub async fn start(run: &str, supervisor: PathBuf) -> Result<Self, Error> {
        let id = format!("{run}-{NAME}-{:06x}", rand::random::<u32>() >> 8);
        let folder = Arc::new(Folder::new(&id)?);
        let failed = |why: String| Error::Start { service: NAME.to_owned(), why };
        let number = port::free(HOST).map_err(|error| failed(format!("there is no free port: {error}")))?;
        let address = SocketAddr::new(HOST, number);
        let empty = File { path: "prometheus.yml".to_owned(), bytes: b"global: {}\n".to_vec() };
        let program = Program {
            command: command(address, &folder.of(NAME).display().to_string()),
            launch: launch(NAME, vec![empty]),
            inner: BTreeMap::from([(HTTP.to_owned(), address)]),
            folder: Arc::clone(&folder),
            run: id,
            supervisor,
        };
        let process = Process::new(program)?;
        process.start().await?;
        let mut access = Access::to(format!("http://{address}"));
        access.limits = Limits { timeout: PATIENCE, retries: 0, ..access.limits };
        let client = Client::new(&access).map_err(|error| failed(error.to_string()))?;
        Ok(Self { process, client, folder })
    }

    /// Asks it.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.folder.of(NAME)
    }

    /// Ends it.
    pub async fn end(self) {
        self.process.end().await;
    }
}

fn command(address: SocketAddr, dir: &str) -> Vec<String> {
    let mut command = taking(address, dir);
    command.push("--web.enable-lifecycle".to_owned());
    command
}

/// A Prometheus that takes what is written to it, of any time.
pub(super) fn taking(address: SocketAddr, dir: &str) -> Vec<String> {
    vec![
        prometheus::PROGRAM.to_owned(),
        format!("--config.file={dir}/prometheus.yml"),
        format!("--storage.tsdb.path={dir}/data"),
        format!("--storage.tsdb.min-block-duration={BLOCK}"),
        format!("--storage.tsdb.max-block-duration={BLOCK}"),
        "--storage.tsdb.retention.time=100y".to_owned(),
        "--web.enable-remote-write-receiver".to_owned(),
        format!("--web.listen-address={address}"),
    ]
}
