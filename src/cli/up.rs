//! `firedrill up`: hold a stack for a person, until they stop it.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Colour, Input, Runtime, draw, runtime};
use crate::event::{Event, Sender, Stamped};
use crate::exit::Exit;
use crate::plan::PlannedStack;
use crate::run::control::Desk;
use crate::stack::{Notices, Options, Running, Speed, settle, start};
use crate::units::Reading;

/// Arguments of `up`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The stack's file
    #[arg(value_name = "STACK", help_heading = "Input")]
    stack: PathBuf,

    /// A YAML file of secrets, NAME: value; the environment goes before it
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    secrets: Option<PathBuf>,

    /// How its services are run
    #[arg(long, value_enum, default_value_t = Runtime::Auto, help_heading = "Run")]
    runtime: Runtime,

    /// A YAML file of images that are used in place of others: mirrors, or what a machine without a registry has
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    image_map: Option<PathBuf>,

    /// By how much Prometheus and Alertmanager go faster than in production
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = speed, help_heading = "Run")]
    speed: Speed,

    /// Make what is random in stand-ins repeatable
    #[arg(long, value_name = "NUMBER", help_heading = "Run")]
    seed: Option<u64>,
}

fn speed(text: &str) -> Result<Speed, String> {
    text.parse().ok().and_then(Speed::new).ok_or_else(|| "a number from 1 to 1000".to_owned())
}

pub(super) fn execute(arguments: &Arguments, colour: Colour) -> std::io::Result<Exit> {
    let input = Input { paths: vec![arguments.stack.clone()], secrets: arguments.secrets.clone() };
    let reading = input.read();
    draw(&reading, colour)?;
    let Some(plan) = reading.plan else { return Ok(Exit::Usage) };
    let [planned] = plan.stacks.as_slice() else {
        writeln!(std::io::stderr(), "error: `{}` is no stack", arguments.stack.display())?;
        return Ok(Exit::Usage);
    };
    let Some(images) = super::images::read(arguments.image_map.as_deref(), colour)? else {
        return Ok(Exit::Usage);
    };
    let options = Options {
        id: super::run::new_id(Timestamp::now()),
        runtime: arguments.runtime.into(),
        images,
        seed: arguments.seed.unwrap_or_else(rand::random),
        speed: arguments.speed,
        supervisor: std::env::current_exe()?,
    };
    let runtime = runtime()?;
    let exit = runtime.block_on(async {
        let (stop, signals) = super::run::stop_on_signal();
        let (sender, events) = Sender::new(plan.mask.clone(), Instant::now());
        let telling = tokio::spawn(tell(events));
        let notices = Notices { scenario: planned.stack.name.value.clone(), sender };
        let came = Box::pin(start(planned, &reading.sources, &options, &notices, &stop)).await;
        let exit = match came {
            Ok(running) => Box::pin(hold(planned, &options, &notices, running, &stop)).await,
            Err(_) if stop.is_cancelled() => Ok(Exit::Pass),
            Err(error) => {
                writeln!(std::io::stderr(), "error: {error}")?;
                Ok(Exit::NotMeasured)
            }
        };
        drop(notices);
        telling.await.map_err(std::io::Error::other)??;
        signals.abort();
        exit
    });
    runtime.shutdown_background();
    exit
}

/// How long nothing may be heard of a service that starts, before it is said that it is waited for.
const SILENCE: Duration = Duration::from_secs(5);

/// Tells how the stack comes up, on standard error.
async fn tell(mut events: UnboundedReceiver<Stamped>) -> std::io::Result<()> {
    let mut awaited = BTreeSet::new();
    loop {
        let Ok(heard) = timeout(SILENCE, events.recv()).await else {
            if !awaited.is_empty() {
                let awaited: Vec<&str> = awaited.iter().map(String::as_str).collect();
                writeln!(std::io::stderr(), "waiting for {}", awaited.join(", "))?;
            }
            continue;
        };
        let Some(stamped) = heard else { return Ok(()) };
        let mut err = std::io::stderr().lock();
        match stamped.event {
            Event::ServiceStarting { service, .. } => {
                writeln!(err, "{service} starts")?;
                awaited.insert(service);
            }
            Event::ServiceReady { service, took, .. } => {
                awaited.remove(&service);
                writeln!(err, "{service} is ready after {}", Reading(took.into()))?;
            }
            Event::StackNoted { note, .. } => writeln!(err, "note: {note}")?,
            Event::RunStarted { .. }
            | Event::ScenarioStarted { .. }
            | Event::NotMeasured { .. }
            | Event::StepStarted { .. }
            | Event::Attempted { .. }
            | Event::Sampled { .. }
            | Event::Loading { .. }
            | Event::Loaded { .. }
            | Event::Drilled { .. }
            | Event::Fault { .. }
            | Event::StepEnded { .. }
            | Event::Judged { .. }
            | Event::ScenarioEnded { .. }
            | Event::RunEnded { .. } => {}
        }
    }
}

/// Says where everything is, and waits to be stopped.
async fn hold(
    planned: &PlannedStack,
    options: &Options,
    notices: &Notices,
    running: Running,
    stop: &CancellationToken,
) -> std::io::Result<Exit> {
    let mut desk = match Desk::open(planned, &running) {
        Ok(desk) => Some(desk),
        Err(error) => {
            writeln!(std::io::stderr(), "note: faults cannot be added by hand: {error}")?;
            None
        }
    };
    let said = say(planned, options, &running);
    if said.is_ok() {
        // It can be looked at and broken already.
        let watching = async {
            if let Err(error) = settle(planned, options, notices, &running).await {
                let _ = writeln!(std::io::stderr(), "note: {error}");
            }
        };
        let serving = async {
            if let Some(desk) = &mut desk {
                Box::pin(desk.serve()).await;
            }
        };
        stop.run_until_cancelled(async { tokio::join!(Box::pin(watching), serving) }).await;
        stop.cancelled().await;
    }
    if let Some(desk) = desk {
        desk.close().await;
    }
    running.down().await;
    said.map(|()| Exit::Pass)
}

fn say(planned: &PlannedStack, options: &Options, running: &Running) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} is up after {} as {}", planned.stack.name, Reading(running.took()), options.id)?;
    let ports =
        || running.services().flat_map(|service| service.ports.iter().map(move |port| (service, port)));
    let label = |service: &str, port: &str| format!("{service}.{port}");
    let wide = ports().map(|(service, (port, _))| label(&service.name, port).len()).max().unwrap_or(0);
    for (service, (port, address)) in ports() {
        let speaks = matches!(port.as_str(), "http" | "https");
        let scheme = if speaks { format!("{port}://") } else { String::new() };
        writeln!(out, "  {:wide$}  {scheme}{address}", label(&service.name, port))?;
    }
    if let Some(sink) = running.sink() {
        writeln!(out, "  {:wide$}  http://{}", "sink", sink.listens().http)?;
    }
    writeln!(
        out,
        "`firedrill fault add SERVICE KIND=… --stack {}` breaks it, Ctrl-C takes it down",
        options.id
    )?;
    out.flush()
}
