//! What is done to a container's processes: frozen, killed, asked to end, run beside them.

use std::time::Duration;

use futures_util::StreamExt as _;
use testcontainers::bollard::container::LogOutput;
use testcontainers::bollard::exec::{CreateExecOptions, StartExecResults};
use testcontainers::bollard::query_parameters::{KillContainerOptionsBuilder, StopContainerOptionsBuilder};

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

fn keep(output: &mut Vec<u8>, some: &LogOutput) {
    let bytes = some.as_ref();
    output.extend_from_slice(&bytes[..bytes.len().min(KEPT.saturating_sub(output.len()))]);
}
