//! What is done to a container's processes: frozen, killed, asked to end, run beside them.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use testcontainers::bollard::body_full;
use testcontainers::bollard::container::LogOutput;
use testcontainers::bollard::exec::{CreateExecOptions, StartExecResults};
use testcontainers::bollard::query_parameters::{
    KillContainerOptionsBuilder, StopContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use tokio_tar::Header;

use super::container::Container;
use super::engine::PATIENCE;
use super::error::Error;

/// What a program that ran in a container said and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// How it ended.
    pub status: i64,
    /// The beginning of what it wrote, output and errors as they came.
    pub output: Vec<u8>,
}

/// What archives are made of.
const BLOCK: usize = 512;

/// The most that is kept of a program's output.
const KEPT: usize = 64 << 10;

impl Container {
    /// Freezes every process: connections stay open and nobody answers.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn pause(&self) -> Result<(), Error> {
        let doing = format!("pausing `{}`", self.name);
        self.engine.ask(&doing, self.engine.docker.pause_container(&self.id)).await
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn unpause(&self) -> Result<(), Error> {
        let doing = format!("letting `{}` go on", self.name);
        self.engine.ask(&doing, self.engine.docker.unpause_container(&self.id)).await
    }

    /// Sends a signal, such as `KILL` or `HUP`, to the first process.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn kill(&self, signal: &str) -> Result<(), Error> {
        let doing = format!("sending `{}` the signal {signal}", self.name);
        let options = KillContainerOptionsBuilder::new().signal(signal).build();
        self.engine.ask(&doing, self.engine.docker.kill_container(&self.id, Some(options))).await
    }

    /// Asks it to end, and after `grace` makes it.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn stop(&self, grace: Duration) -> Result<(), Error> {
        let doing = format!("stopping `{}`", self.name);
        let seconds = i32::try_from(grace.as_secs().max(1)).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        let stop = self.engine.docker.stop_container(&self.id, Some(options));
        self.engine.ask_within(PATIENCE + grace, &doing, stop).await
    }

    /// Writes files in the container, in place of those that are there.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn put(&self, files: &[(String, &[u8])]) -> Result<(), Error> {
        let doing = format!("writing files of `{}`", self.name);
        let packed = pack(files).map_err(|error| Error::Unable(format!("{doing}: {error}")))?;
        let options = UploadToContainerOptionsBuilder::new().path("/").build();
        let packed = body_full(Bytes::from(packed));
        let put = self.engine.docker.upload_to_container(&self.id, Some(options), packed);
        self.engine.ask(&doing, put).await
    }

    /// Runs a program in the container, to its end or to the limit of time.
    ///
    /// # Errors
    /// When there is no such program, the engine refuses, or time is up; the program then ends with the container.
    pub async fn execute(&self, command: &[String], limit: Duration) -> Result<Executed, Error> {
        let program = command.first().map_or("", String::as_str);
        let doing = format!("running `{program}` in `{}`", self.name);
        let docker = &self.engine.docker;
        let options = CreateExecOptions {
            cmd: Some(command.to_vec()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        let run = async {
            let id = docker.create_exec(&self.id, options).await?.id;
            let mut output = Vec::new();
            if let StartExecResults::Attached { output: mut said, .. } = docker.start_exec(&id, None).await? {
                while let Some(some) = said.next().await {
                    keep(&mut output, &some?);
                }
            }
            let status = docker.inspect_exec(&id).await?.exit_code.unwrap_or_default();
            Ok(Executed { status, output })
        };
        self.engine.ask_within(limit, &doing, run).await
    }
}

/// Files as the engine takes them, which is a tar archive.
fn pack(files: &[(String, &[u8])]) -> io::Result<Vec<u8>> {
    let mut packed = Vec::new();
    for (path, bytes) in files {
        let mut header = Header::new_gnu();
        header.set_path(path.trim_start_matches('/'))?;
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        packed.extend_from_slice(header.as_bytes());
        packed.extend_from_slice(bytes);
        packed.resize(packed.len().next_multiple_of(BLOCK), 0);
    }
    // Two empty blocks are its end.
    packed.resize(packed.len() + 2 * BLOCK, 0);
    Ok(packed)
}

fn keep(output: &mut Vec<u8>, some: &LogOutput) {
    let bytes = some.as_ref();
    output.extend_from_slice(&bytes[..bytes.len().min(KEPT.saturating_sub(output.len()))]);
}
