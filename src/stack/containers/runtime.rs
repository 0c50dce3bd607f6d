//! The container runtime of stacks: what a run has at the engine, from the first network to the last container.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;

use super::contained::Contained;
use super::engine::Engine;
use super::error::Error as EngineError;
use super::front::{Fronts, Met};
use super::image::ImageMap;
use super::relays::{Addresses, Relays};
use super::sweep::Swept;
use crate::fault::relay::Relay;
use crate::plan::PlannedStack;
use crate::scenario::stack::{ALERTMANAGER, HTTP, PROMETHEUS, Program, Runs};
use crate::scenario::template::{Scope, Template};
use crate::source::At;
use crate::stack::launch::{Launch, Way};
use crate::stack::processes::folder::{Folder, all_runs, is_over};
use crate::stack::processes::port;
use crate::stack::stand_in::Playing;
use crate::stack::{Error, Handle, Notices, Options, Service, alertmanager, prometheus};

/// What runs services in containers, and all that it has started.
#[derive(Debug)]
pub struct Containers {
    engine: Engine,
    parts: Arc<Parts>,
    images: ImageMap,
    seed: u64,
    /// Where services are reached, through relays.
    outer: Addresses,
    /// Where Prometheus reaches them, through relays of its own.
    scraped: Addresses,
    started: Mutex<Vec<Arc<Contained>>>,
}

/// What the services of a run share.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) run: String,
    pub(super) folder: Folder,
    pub(super) fronts: Fronts,
    pub(super) relays: Relays,
    pub(super) scrape_relays: Relays,
}

impl Parts {
    /// Has every relay before a service hand on to where it is now.
    pub(super) fn aim(&self, service: &str, at: &BTreeMap<String, SocketAddr>) {
        self.relays.aim(service, at);
        self.scrape_relays.aim(service, at);
    }
}

impl Containers {
    /// Finds the engine, removes what runs that are over have left there, and makes the run's networks.
    pub(in crate::stack) async fn new(planned: &PlannedStack, options: &Options) -> Result<Self, Error> {
        let lost = |error: EngineError| Error::Runtime(error.to_string());
        let engine = Engine::connect().await.map_err(lost)?;
        let folder = Folder::new(&options.id)?;
        // What cannot be removed disturbs nobody, and `clean` says what is the matter.
        let _ = sweep_the_dead(&engine).await;
        let contained = !images(planned).is_empty();
        let fronts = Fronts::make(&engine, &options.id, &met(planned), contained).await.map_err(lost)?;
        let relays = Self::relays(planned, &fronts, options.seed).await;
        let (relays, scrape_relays) = match relays {
            Ok(relays) => relays,
            Err(error) => {
                fronts.remove().await;
                return Err(error);
            }
        };
        let (outer, mut scraped) = (relays.addresses(), relays.addresses());
        scraped.extend(scrape_relays.addresses());
        let parts = Parts { run: options.id.clone(), folder, fronts, relays, scrape_relays };
        Ok(Self {
            engine,
            parts: Arc::new(parts),
            images: options.images.clone(),
            seed: options.seed,
            outer,
            scraped,
            started: Mutex::default(),
        })
    }

    /// A relay before each port, and where there is a Prometheus another for it.
    async fn relays(planned: &PlannedStack, fronts: &Fronts, seed: u64) -> Result<(Relays, Relays), Error> {
        let at: Addresses =
            fronts.all().map(|(name, front)| (name.to_owned(), front.ports.clone())).collect();
        let relays = Relays::start(&at, fronts.is_ahead(), seed).await?;
        let mut watched = at;
        watched.retain(|name, _| planned.stack.prometheus.is_some() && planned.stack.service(name).is_some());
        for address in watched.values_mut().flat_map(BTreeMap::values_mut) {
            *address = SocketAddr::new(fronts.meets(), 0);
        }
        Ok((relays, Relays::start(&watched, fronts.is_ahead(), seed).await?))
    }

    /// The run's folder.
    pub(in crate::stack) fn folder(&self) -> &Path {
        self.parts.folder.path()
    }

    /// The address of ours at which containers find what we open for them.
    pub(in crate::stack) fn meets(&self) -> IpAddr {
        self.parts.fronts.meets()
    }

    /// Where Prometheus reaches the services, by service and port.
    pub(in crate::stack) fn scraped(&self) -> &Addresses {
        &self.scraped
    }

    /// Whether that address comes with the first container, and is listened at before.
    pub(in crate::stack) fn meets_ahead(&self) -> bool {
        self.parts.fronts.is_ahead()
    }

    /// The relay before a port of a service.
    pub(in crate::stack) fn relay(&self, service: &str, port: &str) -> Option<&Relay> {
        self.parts.relays.get(service, port)
    }

    /// The relay through which Prometheus reaches a port.
    pub(in crate::stack) fn scrape_relay(&self, service: &str, port: &str) -> Option<&Relay> {
        self.parts.scrape_relays.get(service, port)
    }

    /// Makes sure of every image that the stack names, and says which are not here and so take a while.
    ///
    /// # Errors
    /// The first that is neither here nor to be had.
    pub(in crate::stack) async fn fetch(
        &self,
        planned: &PlannedStack,
        notices: &Notices,
    ) -> Result<(), EngineError> {
        for image in images(planned) {
            let image = self.images.resolve(&image);
            if !self.engine.has(&image).await? {
                notices.noted(format!("image `{image}` is not on this machine: it is pulled"));
                self.engine.pull(&image).await?;
            }
        }
        Ok(())
    }

    /// What the engine says it is.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The names that files may use for what the stack gives, and their values, as seen from this machine.
    pub(in crate::stack) fn variables(&self) -> Vec<(String, String)> {
        let mut variables = Vec::new();
        for (service, ports) in &self.outer {
            for (port, address) in ports {
                let name = format!("service.{service}.{port}");
                variables.push((format!("{name}.host"), address.ip().to_string()));
                variables.push((format!("{name}.port"), address.port().to_string()));
                variables.push((name, address.to_string()));
            }
            variables.push((format!("service.{service}.dir"), String::new()));
            let log = self.parts.folder.log(service).display().to_string();
            variables.push((format!("service.{service}.log"), log));
        }
        variables
    }

    /// What names stand for in what is written of a service: other services by name, and paths from the root.
    pub(in crate::stack) fn scope(&self, planned: &PlannedStack, service: &str) -> Scope {
        let mut scope = planned.scope.clone();
        self.variables().into_iter().for_each(|(name, value)| scope.set(name, value));
        for other in met(planned) {
            for (port, number) in &other.ports {
                let name = format!("service.{}.{port}", other.name);
                scope.set(format!("{name}.host"), other.name.as_str());
                scope.set(format!("{name}.port"), *number);
                scope.set(name, format!("{}:{number}", other.name));
                if other.name == service {
                    scope.set(format!("port.{port}"), *number);
                }
            }
        }
        scope.set("host", "0.0.0.0");
        scope.set("dir", "");
        scope
    }

    /// Starts a service, and returns when it is ready.
    pub(in crate::stack) async fn start(&self, launch: Launch) -> Result<Service, Error> {
        let name = launch.name.clone();
        let ports = self.outer.get(&name).cloned().unwrap_or_default();
        if let Way::StandIn(mut profile) = launch.way {
            // It plays within this process, which knows none of the names of the containers' network.
            for call in profile.calls_mut() {
                let ports = self.outer.get(&call.service.value);
                let port = ports.and_then(|ports| ports.get("http").or_else(|| ports.values().next()));
                call.address = port.map(ToString::to_string).or(call.address.take());
            }
            // Containers meet it as they meet each other.
            let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let free = port::free(here).map_err(|error| Error::Start {
                service: name.clone(),
                why: format!("there is no free port for it: {error}"),
            })?;
            let address = SocketAddr::new(here, free);
            let log = self.parts.folder.log(&name);
            let playing = Playing::start(&name, *profile, address, self.seed, log).await?;
            self.parts.aim(&name, &ports.keys().map(|port| (port.clone(), address)).collect());
            return Ok(Service { name, ports, handle: Handle::StandIn(Box::new(playing)) });
        }
        let contained = Contained::start(self, launch).await?;
        self.started.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&contained));
        contained.ready().await?;
        Ok(Service { name, ports, handle: Handle::Container(contained) })
    }

    pub(super) fn parts(&self) -> &Arc<Parts> {
        &self.parts
    }

    /// The image that stands for this one here.
    pub(super) fn image(&self, named: &str) -> String {
        self.images.resolve(named)
    }

    /// Removes everything that the run has at the engine, and its folder.
    pub(in crate::stack) async fn down(self) {
        let started = std::mem::take(&mut *self.started.lock().unwrap_or_else(PoisonError::into_inner));
        join_all(started.iter().map(|contained| contained.end())).await;
        drop(started);
        self.parts.fronts.remove().await;
        // What was given up half-way is under the label alone.
        let _ = self.engine.sweep(&self.parts.run).await;
        // Whoever still has a service in hand keeps its relays, and finds that it was taken down.
        if let Some(parts) = Arc::into_inner(self.parts) {
            parts.relays.close().await;
            parts.scrape_relays.close().await;
        }
    }
}

/// The services of a stack that others meet, its own Prometheus and Alertmanager among them.
fn met(planned: &PlannedStack) -> Vec<Met> {
    let stack = &planned.stack;
    let services = stack.services.iter().map(|service| Met {
        name: service.name.value.clone(),
        ports: service.ports.iter().map(|(name, number)| (name.value.clone(), *number)).collect(),
    });
    let watcher = |name: &str, port| Met { name: name.to_owned(), ports: vec![(HTTP.to_owned(), port)] };
    let prometheus = stack.prometheus.iter().map(|_| watcher(PROMETHEUS, prometheus::PORT));
    let alertmanager = stack.alertmanager.iter().map(|_| watcher(ALERTMANAGER, alertmanager::PORT));
    services.chain(prometheus).chain(alertmanager).collect()
}

/// Every image that a stack needs, where its name needs no value of the run.
fn images(planned: &PlannedStack) -> Vec<String> {
    let stack = &planned.stack;
    let fill = |image: &At<Template>| image.fill(&planned.scope).ok();
    let programs = stack.services.iter().filter_map(|service| match &service.runs {
        Runs::Program(Program { image, .. }) => image.as_ref().and_then(fill),
        Runs::StandIn(_) => None,
    });
    let or = |image: &Option<At<Template>>, usual: &str| match image {
        Some(image) => fill(image),
        None => Some(usual.to_owned()),
    };
    let watcher = stack.prometheus.iter().filter_map(|one| or(&one.image, prometheus::IMAGE));
    let told = stack.alertmanager.iter().filter_map(|one| or(&one.image, alertmanager::IMAGE));
    programs.chain(watcher).chain(told).collect()
}

/// Whether each service of a stack can run in a container, and any of them need: stand-ins alone play without.
pub(in crate::stack) fn has_images(planned: &PlannedStack) -> bool {
    let images = planned.stack.services.iter().filter_map(|service| match &service.runs {
        Runs::Program(program) => Some(program.image.is_some() && service.datagrams.is_empty()),
        Runs::StandIn(_) => None,
    });
    let images: Vec<_> = images.collect();
    !images.is_empty() && images.into_iter().all(|there| there)
}

/// Whether an engine answers that has each image of a stack.
pub(in crate::stack) async fn are_here(planned: &PlannedStack, map: &ImageMap) -> bool {
    let Ok(engine) = Engine::connect().await else { return false };
    for image in images(planned) {
        if !matches!(engine.has(&map.resolve(&image)).await, Ok(true)) {
            return false;
        }
    }
    true
}

/// Removes what runs of this machine that are over have left at the engine.
///
/// # Errors
/// When the engine does not do it.
pub async fn sweep_the_dead(engine: &Engine) -> Result<Swept, EngineError> {
    let folders = all_runs();
    let over = |run: &str| {
        let folder = folders.join(run);
        // A run makes its folder first and removes it last.
        is_over(&folder).unwrap_or_else(|| !folder.exists())
    };
    engine.sweep_those(over).await
}
