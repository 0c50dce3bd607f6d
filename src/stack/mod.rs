//! Stacks at work: services, Prometheus and Alertmanager, started for a run and always taken down.

mod alertmanager;
mod ask;
pub mod clean;
pub mod containers;
mod launch;
mod preflight;
pub mod processes;
mod prometheus;
mod ready;
mod renew;
mod runtime;
mod stand_in;
mod strain;
mod up;
mod version;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::containers::{Contained, ImageMap};
pub use self::launch::{File, Launch, Shows, Way};
pub use self::preflight::{Refused, refused};
use self::processes::cgroup::{Group, Limit};
use self::processes::process::Process;
pub use self::prometheus::Speed;
pub use self::runtime::Runtime;
use self::stand_in::Playing;
pub use self::strain::Strain;
pub use self::up::{settle, start, up};
use crate::event::{Event, Sender};
use crate::fault::relay::Relay;
use crate::scenario::fault::stand_in::Pose;
use crate::scenario::template::Unset;
use crate::simulate::Posing;
use crate::sink::Sink;
use crate::units::Span;

/// How a stack's services are to be run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Choice {
    /// In containers where an engine answers and every service has an image, else as processes.
    #[default]
    Auto,
    /// In containers.
    Containers,
    /// As processes, by programs from `PATH`.
    Processes,
}

/// What a stack needs besides its plan.
#[derive(Debug, Clone)]
pub struct Options {
    /// Tells what this run starts from what others do.
    pub id: String,
    /// How services are run.
    pub runtime: Choice,
    /// What is used in place of images.
    pub images: ImageMap,
    /// Makes what is random in stand-ins repeatable.
    pub seed: u64,
    /// By how much Prometheus and Alertmanager go faster than in production.
    pub speed: Speed,
    /// The firedrill program, which stands over each process; see [`processes::supervise`].
    pub supervisor: PathBuf,
}

/// Who is told how a stack comes up.
#[derive(Debug, Clone)]
pub struct Notices {
    /// For which scenario.
    pub scenario: String,
    /// Where events go.
    pub sender: Sender,
}

impl Notices {
    fn starting(&self, service: &str) {
        let (scenario, service) = (self.scenario.clone(), service.to_owned());
        self.sender.send(Event::ServiceStarting { scenario, service });
    }

    fn noted(&self, note: String) {
        self.sender.send(Event::StackNoted { scenario: self.scenario.clone(), note });
    }

    fn ready(&self, service: &Service, took: Duration) {
        let addresses: Vec<_> = service.ports.values().map(ToString::to_string).collect();
        self.sender.send(Event::ServiceReady {
            scenario: self.scenario.clone(),
            service: service.name.clone(),
            address: addresses.join(", "),
            took: took.into(),
        });
    }
}

/// Why a stack does not come up, or does not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No runtime can run it.
    #[error("{0}")]
    Runtime(String),
    /// The run's folder cannot be made.
    #[error("the folder `{}` cannot be made: {source}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of a service cannot be written.
    #[error("`{}` of service `{service}` cannot be written: {source}", path.display())]
    File {
        /// Whose.
        service: String,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A name has no value.
    #[error("service `{service}`: {unset}")]
    Unset {
        /// Whose.
        service: String,
        /// Which.
        unset: Unset,
    },
    /// A service cannot be started at all.
    #[error("service `{service}` does not start: {why}")]
    Start {
        /// Which.
        service: String,
        /// Why.
        why: String,
    },
    /// A program that prepares a service failed.
    #[error("service `{service}` is not set up: `{command}` {why}")]
    Setup {
        /// Which.
        service: String,
        /// What was run.
        command: String,
        /// How it ended, and what it said.
        why: String,
    },
    /// A service ended before it was ready.
    #[error("service `{service}` {how} before it was ready{}", tail(log))]
    Ended {
        /// Which.
        service: String,
        /// How.
        how: String,
        /// The end of its log.
        log: String,
    },
    /// A service took too long.
    #[error("service `{service}` is not ready after {}: {why}{}", Span(*within), tail(log))]
    NotReady {
        /// Which.
        service: String,
        /// How long was waited.
        within: Duration,
        /// What was seen last.
        why: String,
        /// The end of its log.
        log: String,
    },
    /// A service does not do what it was told.
    #[error("service `{service}` cannot be {done}: {why}")]
    Told {
        /// Which.
        service: String,
        /// What it was told: `paused`.
        done: &'static str,
        /// Why.
        why: String,
    },
    /// A file of Prometheus or Alertmanager cannot be used as it stands.
    #[error("{0}")]
    Files(String),
    /// Prometheus does not watch.
    #[error("Prometheus does not watch the stack: {why}")]
    Unwatched {
        /// What it has not done.
        why: String,
    },
    /// The run was stopped meanwhile.
    #[error("the run was stopped while the stack came up")]
    Stopped,
}

fn tail(log: &str) -> String {
    if log.is_empty() { "; it wrote nothing".to_owned() } else { format!("; the end of its log:\n{log}") }
}

/// A stack that is up.
#[derive(Debug)]
pub struct Running {
    runtime: Runtime,
    services: BTreeMap<String, Service>,
    /// Every receiver's end, where there is an Alertmanager.
    sink: Option<Sink>,
    /// When it began to come up.
    began: Instant,
    /// How long its services took to be ready.
    took: Duration,
}

/// A service that was started. What breaks it on purpose takes it by shared reference: steps run side by side.
#[derive(Debug)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Where this process reaches each of its ports.
    pub ports: BTreeMap<String, SocketAddr>,
    handle: Handle,
}

#[derive(Debug)]
enum Handle {
    StandIn(Box<Playing>),
    Process(Arc<Process>),
    Container(Arc<Contained>),
}

impl Running {
    /// Where a port of a service is reached from here.
    #[must_use]
    pub fn address(&self, service: &str, port: &str) -> Option<SocketAddr> {
        self.services.get(service)?.ports.get(port).copied()
    }

    /// Where Prometheus reaches each port of a service.
    pub fn scraped(&self, service: &str) -> impl Iterator<Item = SocketAddr> + use<'_> {
        self.runtime.scraped().get(service).into_iter().flat_map(|ports| ports.values().copied())
    }

    /// The service of that name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.get(name)
    }

    /// Every service, in the order of names.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.services.values()
    }

    /// Every receiver's end, where the stack has an Alertmanager.
    #[must_use]
    pub fn sink(&self) -> Option<&Sink> {
        self.sink.as_ref()
    }

    /// How long it took until each service was ready, what was pulled included; what Prometheus takes to scrape them
    /// is not.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.took
    }

    /// The relay before a port of a service.
    #[must_use]
    pub fn relay(&self, service: &str, port: &str) -> Option<&Relay> {
        self.runtime.relay(service, port)
    }

    /// The relay through which Prometheus alone reaches a port. What slows users down must slow it down in its own
    /// time, which may go faster.
    #[must_use]
    pub fn scrape_relay(&self, service: &str, port: &str) -> Option<&Relay> {
        self.runtime.scrape_relay(service, port)
    }

    /// The folder of its run, which goes with it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.runtime.folder()
    }

    /// What runs it.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The names that files may use for what the stack gives, and their values.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, String)> {
        self.runtime.variables()
    }

    /// Takes everything down, and returns when it is gone.
    pub async fn down(self) {
        for service in self.services.into_values() {
            if let Handle::StandIn(playing) = service.handle {
                playing.stop().await;
            }
        }
        self.runtime.down().await;
        if let Some(sink) = self.sink {
            sink.close().await;
        }
    }
}

impl Service {
    /// Ends it at once, as a crash would (SIGKILL).
    ///
    /// # Errors
    /// When it cannot be told.
    pub async fn kill(&self) -> Result<(), Error> {
        match &self.handle {
            Handle::StandIn(playing) => {
                playing.kill().await;
                Ok(())
            }
            Handle::Process(process) => process.kill().await,
            Handle::Container(contained) => contained.kill().await,
        }
    }

    /// Asks it to end (SIGTERM), and makes it end when it does not within a grace.
    ///
    /// # Errors
    /// When it cannot be told.
    pub async fn stop(&self) -> Result<(), Error> {
        match &self.handle {
            Handle::StandIn(playing) => {
                playing.stop().await;
                Ok(())
            }
            Handle::Process(process) => process.stop().await,
            Handle::Container(contained) => contained.stop().await,
        }
    }

    /// Holds it where it stands (SIGSTOP): connections stay open and nothing answers.
    ///
    /// # Errors
    /// When it cannot be told.
    pub async fn pause(&self) -> Result<(), Error> {
        match &self.handle {
            Handle::StandIn(playing) => playing.pause().await,
            Handle::Process(process) => process.pause().await,
            Handle::Container(contained) => contained.pause().await,
        }
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// When it cannot be told.
    pub async fn resume(&self) -> Result<(), Error> {
        match &self.handle {
            Handle::StandIn(playing) => playing.resume().await,
            Handle::Process(process) => process.resume().await,
            Handle::Container(contained) => contained.resume().await,
        }
    }

    /// Ends it, where it still runs, starts it again at the same ports, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not come up again.
    pub async fn restart(&self) -> Result<(), Error> {
        match &self.handle {
            Handle::StandIn(playing) => playing.restart().await,
            Handle::Process(process) => process.restart().await,
            Handle::Container(contained) => contained.restart().await,
        }
    }

    /// Has a stand-in pretend something, until what is given back is dropped.
    ///
    /// # Errors
    /// When it is no stand-in, or does not run.
    pub async fn pose(&self, pose: Pose) -> Result<Posing, Error> {
        match &self.handle {
            Handle::StandIn(playing) => playing.pose(pose).await,
            Handle::Process(_) | Handle::Container(_) => Err(Error::Told {
                service: self.name.clone(),
                done: "made to pretend",
                why: "it is no stand-in of this process".to_owned(),
            }),
        }
    }

    /// Whether it runs.
    pub async fn alive(&self) -> bool {
        match &self.handle {
            Handle::StandIn(playing) => playing.alive().await,
            Handle::Process(process) => process.alive(),
            Handle::Container(contained) => contained.alive().await,
        }
    }

    /// How it ended, where it runs no more and that is known.
    pub async fn ended(&self) -> Option<String> {
        match &self.handle {
            Handle::StandIn(_) => None,
            Handle::Process(process) => process.ended(),
            Handle::Container(contained) => contained.ended_by_now().await,
        }
    }

    /// The container it runs in, where it does: for what can be done to containers alone.
    #[must_use]
    pub fn contained(&self) -> Option<&Contained> {
        match &self.handle {
            Handle::Container(contained) => Some(contained),
            Handle::StandIn(_) | Handle::Process(_) => None,
        }
    }

    /// Gives a service that runs as processes less of something, until what is given back is lifted.
    ///
    /// # Errors
    /// Why that cannot be done.
    pub fn limit(&self, limit: Limit) -> Result<Group, String> {
        match &self.handle {
            Handle::Process(process) => process.limit(limit),
            Handle::StandIn(_) => Err("it is a stand-in, which plays in firedrill's own process".to_owned()),
            Handle::Container(_) => Err("it runs in a container, which has limits of its own".to_owned()),
        }
    }

    /// The files it was given; a stand-in has none.
    fn files(&self) -> &[File] {
        match &self.handle {
            Handle::StandIn(_) => &[],
            Handle::Process(process) => process.files(),
            Handle::Container(contained) => contained.files(),
        }
    }

    /// Writes files of its own, in place of those that are there.
    async fn put(&self, files: &[File]) -> Result<(), Error> {
        match &self.handle {
            Handle::StandIn(_) => Ok(()),
            Handle::Process(process) => files.iter().try_for_each(|file| process.put(file)),
            Handle::Container(contained) => contained.put(files).await,
        }
    }

    /// The last lines it wrote.
    #[must_use]
    pub fn log_tail(&self) -> String {
        match &self.handle {
            Handle::StandIn(_) => String::new(),
            Handle::Process(process) => process.log().tail(),
            Handle::Container(contained) => contained.log().tail(),
        }
    }
}
