//! Services as programs of this machine, each under a supervisor that outlives us only to end it.

pub mod cgroup;
pub mod folder;
pub mod log;
pub(super) mod port;
pub mod process;
pub mod scratch;
pub mod supervise;
mod user;
pub mod watchers;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;

use self::folder::Folder;
use self::process::{Process, Program};
use super::launch::{Launch, Way};
use super::stand_in::Playing;
use super::{Error, Handle, Options, Service};
use crate::fault::relay::Relay;
use crate::plan::PlannedStack;
use crate::scenario::stack::{ALERTMANAGER, HTTP, PROMETHEUS};
use crate::scenario::template::Scope;

/// Where services of this runtime listen.
const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The environment variable that says which run a process belongs to.
pub const RUN_VARIABLE: &str = "firedrill_run";

/// Addresses by service and port.
pub(super) type Addresses = BTreeMap<String, BTreeMap<String, SocketAddr>>;

/// What runs services as processes, and all that it has started.
#[derive(Debug)]
pub struct Processes {
    folder: Arc<Folder>,
    options: Options,
    /// The stack's file stands in this folder.
    beside: PathBuf,
    /// Where each service listens itself, by service and port.
    inner: Addresses,
    /// Where it is reached, through a relay.
    outer: Addresses,
    relays: BTreeMap<String, BTreeMap<String, Relay>>,
    /// Where Prometheus reaches it, through a relay of its own.
    scraped: Addresses,
    scrape_relays: BTreeMap<String, BTreeMap<String, Relay>>,
    started: Mutex<Vec<Arc<Process>>>,
}

impl Processes {
    /// Makes the run's folder, finds a free port for each port of each service, and puts a relay before it.
    pub(super) async fn new(planned: &PlannedStack, options: &Options) -> Result<Self, Error> {
        let folder = Arc::new(Folder::new(&options.id)?);
        let inner = free_ports(planned)?;
        let relayed = relayed(planned, &inner);
        let relays = relays(&relayed, options.seed).await?;
        let mut outer = inner.clone();
        lay_over(&mut outer, addresses(&relays));
        let watched = planned.stack.prometheus.is_some();
        let mut scraped = outer.clone();
        let mut scrape_relays = BTreeMap::new();
        if watched {
            let mut services = relayed;
            services.retain(|service, _| planned.stack.service(service).is_some());
            scrape_relays = self::relays(&services, options.seed).await?;
            lay_over(&mut scraped, addresses(&scrape_relays));
        }
        let beside = planned.file.parent().unwrap_or(Path::new("")).to_owned();
        let (options, started) = (options.clone(), Mutex::default());
        Ok(Self { folder, options, beside, inner, outer, relays, scraped, scrape_relays, started })
    }

    /// The port of a service that has ended at which somebody else listens.
    pub(super) fn taken_from(&self, service: &str) -> Option<SocketAddr> {
        self.inner.get(service)?.values().copied().find(|address| port::is_taken(*address))
    }

    /// The run's folder.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where Prometheus reaches the services, by service and port.
    pub(super) fn scraped(&self) -> &Addresses {
        &self.scraped
    }

    /// The relay before a port of a service.
    pub(super) fn relay(&self, service: &str, port: &str) -> Option<&Relay> {
        self.relays.get(service)?.get(port)
    }

    /// The relay through which Prometheus reaches a port.
    pub(super) fn scrape_relay(&self, service: &str, port: &str) -> Option<&Relay> {
        self.scrape_relays.get(service)?.get(port)
    }

    /// The names that files may use for what the stack gives, and their values.
    pub(super) fn variables(&self) -> Vec<(String, String)> {
        let mut variables = Vec::new();
        for (service, ports) in &self.outer {
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
    pub(super) fn scope(&self, planned: &PlannedStack, service: &str) -> Scope {
        let mut scope = planned.scope.clone();
        self.variables().into_iter().for_each(|(name, value)| scope.set(name, value));
        for (port, address) in self.inner.get(service).into_iter().flatten() {
            scope.set(format!("port.{port}"), address.port());
        }
        scope.set("host", HOST.to_string());
        scope.set("dir", self.folder.of(service).display().to_string());
        scope
    }

    /// Starts a service, and returns when it is ready.
    pub(super) async fn start(&self, launch: Launch) -> Result<Service, Error> {
        let name = launch.name.clone();
        let inner = self.inner.get(&name).cloned().unwrap_or_default();
        let ports = self.outer.get(&name).cloned().unwrap_or_default();
        let command = match launch.way {
            Way::StandIn(profile) => {
                let address = inner.values().next().copied().unwrap_or(SocketAddr::new(HOST, 0));
                let log = self.folder.log(&name);
                let playing = Playing::start(&name, *profile, address, self.options.seed, log).await?;
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
        let relays = self.relays.into_values().chain(self.scrape_relays.into_values());
        join_all(relays.flat_map(BTreeMap::into_values).map(Relay::close)).await;
        drop(self.folder);
    }
}

/// A free port for each port of each service.
fn free_ports(planned: &PlannedStack) -> Result<Addresses, Error> {
    let stack = &planned.stack;
    let mut wanted: Vec<_> = stack
        .services
        .iter()
        .map(|service| {
            let ports = service.ports.iter().map(|(port, _)| port.value.as_str());
            (service.name.value.as_str(), ports.collect::<Vec<_>>())
        })
        .collect();
    wanted.extend(stack.prometheus.iter().map(|_| (PROMETHEUS, vec![HTTP])));
    wanted.extend(stack.alertmanager.iter().map(|_| (ALERTMANAGER, vec![HTTP])));
    let mut all = Addresses::new();
    for (service, ports) in wanted {
        let found = all.entry(service.to_owned()).or_default();
        for port in ports {
            let number = port::free(HOST).map_err(|error| {
                let why = format!("there is no free port for its `{port}`: {error}");
                Error::Start { service: service.to_owned(), why }
            })?;
            found.insert(port.to_owned(), SocketAddr::new(HOST, number));
        }
    }
    Ok(all)
}

/// The addresses before which a relay stands: not where datagrams are taken.
fn relayed(planned: &PlannedStack, inner: &Addresses) -> Addresses {
    let mut relayed = inner.clone();
    for service in &planned.stack.services {
        if let Some(ports) = relayed.get_mut(&service.name.value) {
            ports.retain(|port, _| !service.datagrams.contains(port));
        }
    }
    relayed
}

/// Puts addresses in the place of others.
fn lay_over(all: &mut Addresses, over: Addresses) {
    for (service, ports) in over {
        all.entry(service).or_default().extend(ports);
    }
}

/// A relay before each address.
async fn relays(before: &Addresses, seed: u64) -> Result<BTreeMap<String, BTreeMap<String, Relay>>, Error> {
    let mut all: BTreeMap<String, BTreeMap<String, Relay>> = BTreeMap::new();
    for (service, ports) in before {
        let of_service = all.entry(service.clone()).or_default();
        for (port, address) in ports {
            let relay = Relay::start(SocketAddr::new(HOST, 0), *address, seed).await;
            let relay = relay.map_err(|error| {
                let why = format!("there is no relay before its `{port}`: {error}");
                Error::Start { service: service.clone(), why }
            })?;
            of_service.insert(port.clone(), relay);
        }
    }
    Ok(all)
}

/// Where relays listen.
fn addresses(relays: &BTreeMap<String, BTreeMap<String, Relay>>) -> Addresses {
    let of_service = |ports: &BTreeMap<String, Relay>| {
        ports.iter().map(|(port, relay)| (port.clone(), relay.address())).collect()
    };
    relays.iter().map(|(service, ports)| (service.clone(), of_service(ports))).collect()
}
