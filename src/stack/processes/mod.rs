//! Services as programs of this machine, each under a supervisor that outlives us only to end it.

pub mod folder;
pub mod log;
pub(super) mod port;
pub mod process;
pub mod supervise;
mod user;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;

use self::folder::Folder;
use self::process::{Process, Program};
use super::launch::{Launch, Way};
use super::stand_in::Playing;
use super::{Error, Handle, Options, Service};
use crate::plan::PlannedStack;
use crate::scenario::stack;
use crate::scenario::template::Scope;

/// Where services of this runtime listen.
const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The environment variable that says which run a process belongs to.
pub const RUN_VARIABLE: &str = "firedrill_run";

/// What runs services as processes, and all that it has started.
#[derive(Debug)]
pub struct Processes {
    folder: Arc<Folder>,
    options: Options,
    /// The stack's file stands in this folder.
    beside: PathBuf,
    /// Where each service listens itself, by service and port.
    inner: BTreeMap<String, BTreeMap<String, SocketAddr>>,
    started: Mutex<Vec<Arc<Process>>>,
}

impl Processes {
    /// Makes the run's folder and finds a free port for each port of each service.
    pub(super) fn new(planned: &PlannedStack, options: &Options) -> Result<Self, Error> {
        let folder = Arc::new(Folder::new(&options.id)?);
        let mut inner = BTreeMap::new();
        for service in &planned.stack.services {
            let ports = service.ports.iter().map(|(port, _)| {
                let number = port::free(HOST).map_err(|why| Error::Start {
                    service: service.name.value.clone(),
                    why: format!("there is no free port for its `{port}`: {why}"),
                })?;
                Ok((port.value.clone(), SocketAddr::new(HOST, number)))
            });
            inner.insert(service.name.value.clone(), ports.collect::<Result<BTreeMap<_, _>, Error>>()?);
        }
        let beside = planned.file.parent().unwrap_or(std::path::Path::new("")).to_owned();
        let started = Mutex::default();
        Ok(Self { folder, options: options.clone(), beside, inner, started })
    }

    /// Where the services are reached, by service and port.
    fn outer(&self) -> &BTreeMap<String, BTreeMap<String, SocketAddr>> {
        &self.inner
    }

    /// The names that files may use for what the stack gives, and their values.
    pub(super) fn variables(&self) -> Vec<(String, String)> {
        let mut variables = Vec::new();
        for (service, ports) in self.outer() {
            for (port, address) in ports {
                let name = format!("service.{service}.{port}");
                variables.push((format!("{name}.host"), address.ip().to_string()));
                variables.push((format!("{name}.port"), address.port().to_string()));
                variables.push((name, address.to_string()));
            }
            let (dir, log) = (self.folder.of(service), self.folder.log(service));
            variables.push((format!("service.{service}.dir"), dir.display().to_string()));
            variables.push((format!("service.{service}.log"), log.display().to_string()));
        }
        variables
    }

    /// What names stand for in what is written of a service.
    pub(super) fn scope(&self, planned: &PlannedStack, service: &stack::Service) -> Scope {
        let mut scope = planned.scope.clone();
        self.variables().into_iter().for_each(|(name, value)| scope.set(name, value));
        for (port, address) in self.inner.get(&service.name.value).into_iter().flatten() {
            scope.set(format!("port.{port}"), address.port());
        }
        scope.set("host", HOST.to_string());
        scope.set("dir", self.folder.of(&service.name).display().to_string());
        scope
    }

    /// Starts a service, and returns when it is ready.
    pub(super) async fn start(&self, launch: Launch) -> Result<Service, Error> {
        let name = launch.name.clone();
        let inner = self.inner.get(&name).cloned().unwrap_or_default();
        let ports = self.outer().get(&name).cloned().unwrap_or_default();
        let command = match launch.way {
            Way::StandIn(profile) => {
                let address = inner.values().next().copied().unwrap_or(SocketAddr::new(HOST, 0));
                let playing = Playing::start(&name, *profile, address, self.options.seed).await?;
                return Ok(Service { name, ports, handle: Handle::StandIn(Box::new(playing)) });
            }
            Way::Program { process: Some(ref command), .. } => command.clone(),
            Way::Program { process: None, .. } => {
                return Err(Error::Runtime(format!(
                    "service `{name}` has an `image` and no `process`: run the stack with `--runtime containers`, or add the program that it is"
                )));
            }
        };
        let program = Program {
            command: self.seen_from_here(command),
            launch,
            inner,
            folder: Arc::clone(&self.folder),
            run: self.options.id.clone(),
            supervisor: self.options.supervisor.clone(),
        };
        let process = Arc::new(Process::new(program)?);
        self.started.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&process));
        process.start().await?;
        Ok(Service { name, ports, handle: Handle::Process(process) })
    }

    /// The command with a program that is given by a relative path taken from where the stack's file stands.
    fn seen_from_here(&self, mut command: Vec<String>) -> Vec<String> {
        if let Some(program) = command.first_mut().filter(|program| program.contains('/')) {
            let path = self.beside.join(&*program);
            *program = std::path::absolute(&path).unwrap_or(path).display().to_string();
        }
        command
    }

    /// Ends everything and removes the run's folder.
    pub(super) async fn down(self) {
        let started = std::mem::take(&mut *self.started.lock().unwrap_or_else(PoisonError::into_inner));
        join_all(started.iter().map(|process| process.end())).await;
        drop(started);
        drop(self.folder);
    }
}
