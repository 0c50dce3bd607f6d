//! Brings a stack up: each service as soon as those it waits for are ready.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::processes::Processes;
use super::{Choice, Error, Launch, Notices, Options, Running, Runtime, Service};
use crate::plan::PlannedStack;

/// Brings a stack up, and returns when each of its services is ready. What was started is taken down again where
/// one of them fails.
///
/// # Errors
/// What kept it from coming up.
pub async fn up(
    planned: &PlannedStack,
    options: &Options,
    notices: &Notices,
    stop: &CancellationToken,
) -> Result<Running, Error> {
    let runtime = choose(planned, options)?;
    let coming = async {
        let launches = launches(planned, &runtime)?;
        start(launches, &runtime, notices).await
    };
    let came = match stop.run_until_cancelled(coming).await {
        Some(came) => came,
        None => Err(Error::Stopped),
    };
    match came {
        Ok(services) => Ok(Running { runtime, services }),
        Err(error) => {
            match runtime {
                Runtime::Processes(processes) => processes.down().await,
            }
            Err(error)
        }
    }
}

/// The runtime that was asked for.
fn choose(planned: &PlannedStack, options: &Options) -> Result<Runtime, Error> {
    match options.runtime {
        Choice::Containers => {
            let why = "containers are not built yet: run this stack with `--runtime processes`";
            Err(Error::Runtime(why.to_owned()))
        }
        Choice::Auto | Choice::Processes => match &planned.stack.compose {
            Some(file) => {
                let why = format!("`compose: {file}` needs containers: there is no process to start for it");
                Err(Error::Runtime(why))
            }
            None => Ok(Runtime::Processes(Processes::new(planned, options)?)),
        },
    }
}

fn launches(planned: &PlannedStack, runtime: &Runtime) -> Result<Vec<Launch>, Error> {
    let Runtime::Processes(processes) = runtime;
    let services = planned.stack.services.iter();
    services.map(|service| Launch::of(service, planned, &processes.scope(planned, service))).collect()
}

/// Starts every service; those that wait for nobody at once.
async fn start(
    launches: Vec<Launch>,
    runtime: &Runtime,
    notices: &Notices,
) -> Result<BTreeMap<String, Service>, Error> {
    let mut waiting = launches;
    let mut started: BTreeMap<String, Service> = BTreeMap::new();
    let mut starting = FuturesUnordered::new();
    loop {
        let (free, others): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .partition(|launch| launch.after.iter().all(|name| started.contains_key(name)));
        waiting = others;
        for launch in free {
            notices.starting(&launch.name);
            starting.push(timed(runtime, launch));
        }
        match starting.next().await {
            None => return Ok(started),
            Some((Err(error), _)) => return Err(error),
            Some((Ok(service), took)) => {
                notices.ready(&service, took);
                started.insert(service.name.clone(), service);
            }
        }
    }
}

async fn timed(runtime: &Runtime, launch: Launch) -> (Result<Service, Error>, Duration) {
    let began = Instant::now();
    let service = match runtime {
        Runtime::Processes(processes) => processes.start(launch).await,
    };
    (service, began.elapsed())
}
