//! Brings a stack up: each service as soon as those it waits for are ready, and last what watches them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::containers::{Containers, are_here, has_images};
use super::processes::Processes;
use super::{
    Choice, Error, Launch, Notices, Options, Running, Runtime, Service, alertmanager, preflight, prometheus,
};
use crate::plan::PlannedStack;
use crate::scenario::stack::{ALERTMANAGER, HTTP, PROMETHEUS, Runs};
use crate::sink::{self, Ends, Sink};
use crate::source::Sources;

/// Brings a stack up, and returns when each of its services is ready and Prometheus watches them. What was started
/// is taken down again where one of them fails.
///
/// # Errors
/// What kept it from coming up.
pub async fn up(
    planned: &PlannedStack,
    sources: &Sources,
    options: &Options,
    notices: &Notices,
    stop: &CancellationToken,
) -> Result<Running, Error> {
    let running = start(planned, sources, options, notices, stop).await?;
    let settled = stop.run_until_cancelled(settle(planned, options, notices, &running)).await;
    match settled.unwrap_or(Err(Error::Stopped)) {
        Ok(()) => Ok(running),
        Err(error) => {
            running.down().await;
            Err(error)
        }
    }
}

/// Waits until the Prometheus of a stack that was started has scraped every target once and found its Alertmanager;
/// where there is none, nothing is waited for.
///
/// # Errors
/// When it does not within half a minute and its longest scrape interval.
pub async fn settle(
    planned: &PlannedStack,
    options: &Options,
    notices: &Notices,
    running: &Running,
) -> Result<(), Error> {
    let (Some(prometheus), Some(own)) = (running.service(PROMETHEUS), &planned.prometheus) else {
        return Ok(());
    };
    let Some(address) = prometheus.ports.get(HTTP) else { return Ok(()) };
    let pace = prometheus::Watched::of(own, options.speed);
    prometheus::settle(*address, &pace, running.service(ALERTMANAGER).is_some()).await?;
    notices.ready(prometheus, running.began.elapsed());
    Ok(())
}

/// Brings a stack up, and returns when each of its services is ready; its Prometheus may have scraped nothing yet.
/// What was started is taken down again where one of them fails.
///
/// # Errors
/// What kept it from coming up.
pub async fn start(
    planned: &PlannedStack,
    sources: &Sources,
    options: &Options,
    notices: &Notices,
    stop: &CancellationToken,
) -> Result<Running, Error> {
    preflight::check(planned).await?;
    for _ in 1..TRIES {
        match once(planned, sources, options, notices, stop).await {
            Err((_, Some(port))) if !stop.is_cancelled() => {
                notices
                    .noted(format!("{port} was taken by another program: starting again with other ports"));
            }
            Ok(running) => return Ok(running),
            Err((error, _)) => return Err(error),
        }
    }
    once(planned, sources, options, notices, stop).await.map_err(|(error, _)| error)
}

/// How often a stack is started whose ports are taken by others before its services listen at them.
const TRIES: u32 = 3;

/// Brings a stack up, and says of a failure whether it was a port that another program took.
async fn once(
    planned: &PlannedStack,
    sources: &Sources,
    options: &Options,
    notices: &Notices,
    stop: &CancellationToken,
) -> Result<Running, (Error, Option<SocketAddr>)> {
    let began = Instant::now();
    let runtime = choose(planned, options, notices).await.map_err(|error| (error, None))?;
    let mut sink = None;
    let coming = async {
        if planned.alertmanager.is_some() {
            let opened = runtime.listen().and_then(|http| sink::at(http, runtime.listen()?));
            sink = Some(opened.map_err(|error| Error::Runtime(format!("there is no sink: {error}")))?);
        }
        let coming = Coming { planned, sources, options, notices, runtime: &runtime };
        coming.up(sink.as_ref()).await
    };
    let came = match stop.run_until_cancelled(coming).await {
        Some(came) => came,
        None => Err(Error::Stopped),
    };
    match came {
        Ok(services) => Ok(Running { runtime, services, sink, began, took: began.elapsed() }),
        Err(error) => {
            let taken =
                if let Error::Ended { service, .. } = &error { runtime.taken_from(service) } else { None };
            runtime.down().await;
            Err((error, taken))
        }
    }
}

/// The runtime that was asked for; where none was, containers, unless that would fetch images for which the
/// programs are here.
async fn choose(planned: &PlannedStack, options: &Options, notices: &Notices) -> Result<Runtime, Error> {
    let in_containers = match options.runtime {
        Choice::Containers => true,
        Choice::Processes => false,
        Choice::Auto => {
            has_images(planned) && (are_here(planned, &options.images).await || !has_programs(planned))
        }
    };
    if in_containers { contain(planned, options, notices).await } else { processes(planned, options).await }
}

/// Whether each program of a stack is on this machine.
fn has_programs(planned: &PlannedStack) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    planned.stack.services.iter().all(|service| match &service.runs {
        Runs::StandIn(_) => true,
        Runs::Program(program) => program.process.as_ref().is_some_and(|command| {
            let line = command.value.to_string();
            let name = line.split(' ').next().unwrap_or_default();
            name.contains('/') || folders.iter().any(|folder| folder.join(name).is_file())
        }),
    })
}

/// Containers, with every image made sure of.
async fn contain(planned: &PlannedStack, options: &Options, notices: &Notices) -> Result<Runtime, Error> {
    let containers = Containers::new(planned, options).await?;
    match containers.fetch(planned, notices).await {
        Ok(()) => Ok(Runtime::Containers(containers)),
        Err(error) => {
            containers.down().await;
            Err(Error::Runtime(error.to_string()))
        }
    }
}

async fn processes(planned: &PlannedStack, options: &Options) -> Result<Runtime, Error> {
    Ok(Runtime::Processes(Processes::new(planned, options).await?))
}

/// A stack that comes up.
struct Coming<'a> {
    planned: &'a PlannedStack,
    sources: &'a Sources,
    options: &'a Options,
    notices: &'a Notices,
    runtime: &'a Runtime,
}

impl Coming<'_> {
    async fn up(&self, sink: Option<&Sink>) -> Result<BTreeMap<String, Service>, Error> {
        self.start(self.launches(sink)?).await
    }

    fn launches(&self, sink: Option<&Sink>) -> Result<Vec<Launch>, Error> {
        let Self { planned, sources, options, .. } = self;
        let runtime = self.runtime;
        let services = planned.stack.services.iter();
        let mut launches = services
            .map(|service| Launch::of(service, planned, &runtime.scope(planned, &service.name)))
            .collect::<Result<Vec<_>, _>>()?;
        let speed = options.speed;
        let contained = matches!(runtime, Runtime::Containers(_));
        let scope = runtime.scope(planned, PROMETHEUS);
        let given =
            prometheus::Given { planned, scope: &scope, reached: runtime.scraped(), speed, contained };
        if let Some(led) = prometheus::lead(&given)? {
            led.notes.into_iter().for_each(|note| self.notices.noted(note));
            launches.push(led.launch);
        }
        if let Some(listens) = sink.map(Sink::listens) {
            let ends = Ends { http: listens.http.to_string(), smtp: listens.smtp.to_string() };
            let scope = runtime.scope(planned, ALERTMANAGER);
            let given =
                alertmanager::Given { planned, sources, scope: &scope, ends: &ends, speed, contained };
            launches.extend(alertmanager::lead(&given)?);
        }
        Ok(launches)
    }

    /// Starts every service; those that wait for nobody at once.
    async fn start(&self, launches: Vec<Launch>) -> Result<BTreeMap<String, Service>, Error> {
        let mut waiting = launches;
        let mut started: BTreeMap<String, Service> = BTreeMap::new();
        let mut starting = FuturesUnordered::new();
        loop {
            let may = |launch: &Launch| launch.after.iter().all(|name| started.contains_key(name));
            let (free, others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(may);
            waiting = others;
            for launch in free {
                self.notices.starting(&launch.name);
                starting.push(self.timed(launch));
            }
            match starting.next().await {
                None => return Ok(started),
                Some((Err(error), _)) => return Err(error),
                Some((Ok(service), took)) => {
                    // Prometheus is ready when it watches.
                    if service.name != PROMETHEUS {
                        self.notices.ready(&service, took);
                    }
                    started.insert(service.name.clone(), service);
                }
            }
        }
    }

    async fn timed(&self, launch: Launch) -> (Result<Service, Error>, Duration) {
        let began = Instant::now();
        let service = self.runtime.start(launch).await;
        (service, began.elapsed())
    }
}
