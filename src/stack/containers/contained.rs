//! One service of a stack in a container: started, with its relays before it, told what to do, ended.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};
use tokio::time::sleep;

use super::container::{Container, GRACE, Request, State};
use super::error::Error as EngineError;
use super::runtime::{Containers, Parts};
use crate::stack::Error;
use crate::stack::launch::{File, Launch, Shows, Way};
use crate::stack::processes::cgroup::{Group, Limit};
use crate::stack::processes::log::Log;
use crate::stack::ready::{Running, Watched};

/// How often a container that starts is asked whether it still runs.
const GLANCE: Duration = Duration::from_millis(100);

/// How long one question to a program within may take.
const PROMPT: Duration = Duration::from_secs(10);

/// A service that runs in a container, or has.
#[derive(Debug)]
pub struct Contained {
    launch: Launch,
    parts: Arc<Parts>,
    log: Arc<Log>,
    container: Mutex<Option<Container>>,
}

impl Contained {
    /// Starts the container, and has its relays hand on to it.
    pub(super) async fn start(runtime: &Containers, launch: Launch) -> Result<Arc<Self>, Error> {
        let parts = runtime.parts();
        let Some(network) = parts.fronts.home() else {
            return Err(Error::Runtime("the run has no network".to_owned()));
        };
        let request = request(runtime, &launch)?;
        let sign = match &launch.sign {
            Shows::Log(pattern) => regex::bytes::Regex::new(pattern.as_str()).ok(),
            Shows::Ports | Shows::Http { .. } | Shows::Tcp(_) | Shows::Exec(_) | Shows::Healthcheck => None,
        };
        let log = Arc::new(Log::new(parts.folder.log(&launch.name), sign));
        let failed =
            |error: EngineError| Error::Start { service: launch.name.clone(), why: error.to_string() };
        let engine = runtime.engine();
        let container = engine.start(&request, network, Arc::clone(&log)).await.map_err(failed)?;
        for network in parts.fronts.besides() {
            container.join(network).await.map_err(failed)?;
        }
        let service = Self { launch, parts: Arc::clone(parts), log, container: Mutex::new(None) };
        service.aim(&container);
        *service.container.lock().await = Some(container);
        Ok(Arc::new(service))
    }

    /// What it has written.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Whether it runs; a container that the engine does not tell of runs no more.
    pub async fn alive(&self) -> bool {
        matches!(self.state().await, Ok(State::Running { .. }))
    }

    /// Ends it at once, as a crash would.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn kill(&self) -> Result<(), Error> {
        let done = "killed";
        let container = self.container(done).await?;
        if let State::Running { .. } = container.state().await.map_err(|error| self.untold(done, &error))? {
            container.kill("KILL").await.map_err(|error| self.untold(done, &error))?;
            container.wait(PROMPT).await.map_err(|error| self.untold(done, &error))?;
        }
        Ok(())
    }

    /// Asks it to end, and ends it when it does not.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn stop(&self) -> Result<(), Error> {
        let done = "stopped";
        let container = self.container(done).await?;
        container.stop(GRACE).await.map_err(|error| self.untold(done, &error))
    }

    /// Freezes it: connections stay open and nothing answers.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn pause(&self) -> Result<(), Error> {
        let done = "paused";
        self.container(done).await?.pause().await.map_err(|error| self.untold(done, &error))
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it is not paused.
    pub async fn resume(&self) -> Result<(), Error> {
        let done = "resumed";
        self.container(done).await?.unpause().await.map_err(|error| self.untold(done, &error))
    }

    /// Ends it where it still runs, starts it again, and returns when it is ready.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn restart(&self) -> Result<(), Error> {
        let done = "restarted";
        let mut container = self.container(done).await?;
        if let State::Running { .. } = container.state().await.map_err(|error| self.untold(done, &error))? {
            container.stop(GRACE).await.map_err(|error| self.untold(done, &error))?;
        }
        self.log.await_again();
        container.start_again().await.map_err(|error| self.untold(done, &error))?;
        self.aim(&container);
        drop(container);
        self.ready().await
    }

    /// The files it was given.
    pub(in crate::stack) fn files(&self) -> &[File] {
        &self.launch.files
    }

    /// Writes files of its own, in place of those that are there.
    pub(in crate::stack) async fn put(&self, files: &[File]) -> Result<(), Error> {
        let done = "given files";
        let files: Vec<_> = files.iter().map(|file| (rooted(&file.path), file.bytes.as_slice())).collect();
        self.container(done).await?.put(&files).await.map_err(|error| self.untold(done, &error))
    }

    /// Takes it off the network: it goes on running, and nobody reaches it.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn disconnect(&self) -> Result<(), Error> {
        let done = "disconnected";
        let container = self.container(done).await?;
        for network in self.parts.fronts.besides() {
            network.disconnect(container.id()).await.map_err(|error| self.untold(done, &error))?;
        }
        container.disconnect().await.map_err(|error| self.untold(done, &error))
    }

    /// Puts it back on the network, and its relays before it.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn reconnect(&self) -> Result<(), Error> {
        let done = "reconnected";
        let mut container = self.container(done).await?;
        container.reconnect().await.map_err(|error| self.untold(done, &error))?;
        for network in self.parts.fronts.besides() {
            container.join(network).await.map_err(|error| self.untold(done, &error))?;
        }
        self.aim(&container);
        Ok(())
    }

    /// The container itself, for what is done to its limits and its network. Others who want it wait meanwhile.
    ///
    /// # Errors
    /// When there is no container any more.
    pub async fn container(&self, done: &'static str) -> Result<MappedMutexGuard<'_, Container>, Error> {
        MutexGuard::try_map(self.container.lock().await, Option::as_mut).map_err(|_| Error::Told {
            service: self.launch.name.clone(),
            done,
            why: "it was taken down".to_owned(),
        })
    }

    /// Puts its processes in a control group with this limit, where they are processes of this machine: for engines
    /// that change no limits of what runs.
    ///
    /// # Errors
    /// Why that cannot be done.
    pub async fn group(&self, limit: Limit) -> Result<Group, String> {
        let name = &self.launch.name;
        let State::Running { pid, .. } = self.state().await.map_err(|error| error.to_string())? else {
            return Err(format!("`{name}` does not run"));
        };
        let first = i32::try_from(pid).map_err(|_| format!("`{name}` has no process of this machine"))?;
        Group::limit_all(&self.parts.run, name, limit, first)
    }

    fn untold(&self, done: &'static str, error: &EngineError) -> Error {
        Error::Told { service: self.launch.name.clone(), done, why: error.to_string() }
    }

    async fn state(&self) -> Result<State, Error> {
        let done = "asked";
        self.container(done).await?.state().await.map_err(|error| self.untold(done, &error))
    }

    /// Removes it for good; there is nothing to be done where the engine does not.
    pub(super) async fn end(&self) {
        if let Some(container) = self.container.lock().await.take() {
            let _ = container.remove().await;
        }
    }

    /// Has the relays hand on to where the container is now.
    fn aim(&self, container: &Container) {
        self.parts.aim(&self.launch.name, &self.inner(container));
    }

    /// Waits until it is ready; in vain where it ends before.
    pub(super) async fn ready(&self) -> Result<(), Error> {
        let ports = self.inner(&*self.container("asked").await?);
        let watched = Watched { sign: &self.launch.sign, ports: &ports, log: &self.log };
        let run = |command| -> Running<'_> { Box::pin(self.run(command)) };
        let healthy = matches!(self.launch.sign, Shows::Healthcheck);
        let wait = async {
            if healthy { self.healthy().await } else { watched.wait(self.launch.within, run).await }
        };
        let seen = tokio::select! {
            seen = wait => seen,
            how = self.ended() => {
                let service = self.launch.name.clone();
                // Its last words may still be on their way.
                sleep(GLANCE).await;
                return Err(Error::Ended { service, how, log: self.log.tail() });
            }
        };
        seen.map_err(|why| Error::NotReady {
            service: self.launch.name.clone(),
            within: self.launch.within,
            why,
            log: self.log.tail(),
        })
    }

    fn inner(&self, container: &Container) -> BTreeMap<String, SocketAddr> {
        let at = |(name, number): &(String, u16)| Some((name.clone(), *container.ports().get(number)?));
        self.launch.ports.iter().filter_map(at).collect()
    }

    /// How it ended, when it has.
    async fn ended(&self) -> String {
        loop {
            match self.ended_by_now().await {
                None => sleep(GLANCE).await,
                Some(how) => return how,
            }
        }
    }

    /// How it ended, if it has.
    pub(in crate::stack) async fn ended_by_now(&self) -> Option<String> {
        match self.state().await {
            Ok(State::Running { .. }) => None,
            Ok(State::Ended { out_of_memory: true, .. }) => Some("ended for want of memory".to_owned()),
            Ok(State::Ended { status, .. }) => Some(format!("exited with {status}")),
            Err(error) => Some(format!("was lost ({error})")),
        }
    }

    /// Waits until the check of its image passes.
    async fn healthy(&self) -> Result<(), String> {
        let deadline = tokio::time::Instant::now() + self.launch.within;
        loop {
            let why = match self.state().await {
                Ok(State::Running { healthy: Some(true), .. }) => return Ok(()),
                Ok(State::Running { healthy: None, .. }) => {
                    return Err("its image has no health check".to_owned());
                }
                Ok(State::Running { .. }) => "its health check has not passed".to_owned(),
                Ok(State::Ended { .. }) => "it does not run".to_owned(),
                Err(error) => error.to_string(),
            };
            if tokio::time::Instant::now() >= deadline {
                return Err(why);
            }
            sleep(GLANCE).await;
        }
    }

    async fn run(&self, command: &[String]) -> Result<(), String> {
        let container = self.container("asked").await.map_err(|error| error.to_string())?;
        let ran = container.execute(command, PROMPT).await.map_err(|error| error.to_string())?;
        if ran.status == 0 {
            return Ok(());
        }
        Err(format!("`{}` exits with {} in the container", command.join(" "), ran.status))
    }
}

/// What is asked of the engine.
fn request(runtime: &Containers, launch: &Launch) -> Result<Request, Error> {
    let Way::Program { image: Some(image), entrypoint, command, .. } = &launch.way else {
        return Err(Error::Runtime(format!(
            "service `{}` has a `process` and no `image`: run the stack with `--runtime processes`, or add the image that it is",
            launch.name
        )));
    };
    if let Some(port) = launch.datagrams.iter().next() {
        return Err(Error::Runtime(format!(
            "service `{}` takes datagrams on `{port}`, which containers cannot be sent here: run the stack with `--runtime processes`",
            launch.name
        )));
    }
    // The engine takes one word for it; the others begin the command.
    let mut words = entrypoint.iter().flatten().chain(command.iter().flatten()).cloned();
    let first = entrypoint.as_ref().and_then(|_| words.next());
    let parts = runtime.parts();
    let hosts = parts.fronts.hosts().into_iter().filter(|(name, _)| *name != launch.name);
    Ok(Request {
        run: parts.run.clone(),
        name: launch.name.clone(),
        image: runtime.image(image),
        entrypoint: first,
        command: words.collect(),
        env: launch.env.clone(),
        files: launch.files.iter().map(|file| (rooted(&file.path), file.bytes.clone())).collect(),
        folders: launch.volumes.iter().map(|path| rooted(path)).collect(),
        ports: launch.ports.iter().map(|(_, number)| *number).collect(),
        hosts: hosts.collect(),
        scratch: parts.folder.path().to_owned(),
        ..Request::default()
    })
}

fn rooted(path: &str) -> String {
    format!("/{}", path.trim_start_matches('/'))
}
