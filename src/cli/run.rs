//! `firedrill run`: run scenarios and judge them.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{Colour, Input, draw, runtime};
use crate::event::Sender;
use crate::exit::Exit;
use crate::report::{self, Report, Target};
use crate::run::{self, Options};

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    input: Input,

    /// Make what is random in stand-ins repeatable
    #[arg(long, value_name = "NUMBER", help_heading = "Run")]
    seed: Option<u64>,

    /// Also write a report: json=FILE (events, a line each) or junit=FILE
    #[arg(long = "report", value_name = "FORMAT=FILE", help_heading = "Output")]
    reports: Vec<Target>,

    /// Print only the last line
    #[arg(short, long, help_heading = "Output")]
    quiet: bool,
}

pub(super) fn execute(arguments: &Arguments, colour: Colour) -> std::io::Result<Exit> {
    let reading = arguments.input.read();
    draw(&reading, colour)?;
    let Some(plan) = reading.plan else { return Ok(Exit::Usage) };
    if plan.scenarios.is_empty() {
        writeln!(std::io::stderr(), "error: there is no scenario among these files")?;
        return Ok(Exit::Usage);
    }
    let mut reports: Vec<Box<dyn Report>> = Vec::new();
    for target in &arguments.reports {
        match target.open() {
            Ok(report) => reports.push(report),
            Err(error) => {
                writeln!(std::io::stderr(), "error: the report {target} cannot be written: {error}")?;
                return Ok(Exit::Usage);
            }
        }
    }
    reports.push(terminal(arguments.quiet, colour));
    let now = Timestamp::now();
    let options = Options {
        id: now.strftime("%Y%m%dT%H%M%S").to_string(),
        started: now.to_string(),
        seed: arguments.seed.unwrap_or_else(rand::random),
    };
    let runtime = runtime()?;
    let exit = runtime.block_on(async {
        let stop = CancellationToken::new();
        let signals = tokio::spawn(stop_on_signal(stop.clone()));
        let (sender, events) = Sender::new(plan.mask.clone(), Instant::now());
        let printing = tokio::spawn(report::fan_out(events, reports));
        let conclusion = run::run(&plan, Arc::new(reading.sources), &options, &sender, &stop).await;
        drop(sender);
        signals.abort();
        let written = printing.await;
        match written {
            Ok(Ok(())) => Ok(Exit::from(conclusion)),
            Ok(Err(error)) => {
                writeln!(std::io::stderr(), "error: {error}")?;
                Ok(Exit::from(conclusion).unreported())
            }
            Err(panic) => Err(std::io::Error::other(panic)),
        }
    });
    // A name that is still being looked up must not hold the process.
    runtime.shutdown_background();
    exit
}

/// The report on standard output, with progress on standard error.
fn terminal(quiet: bool, colour: Colour) -> Box<dyn Report> {
    let out = std::io::stdout();
    let style = report::Style::of(colour.wanted(&out), out.is_terminal());
    report::terminal(style, quiet)
}

/// Cancels `stop` at the first signal that asks for an end.
async fn stop_on_signal(stop: CancellationToken) {
    signalled().await;
    stop.cancel();
}

/// Waits for Ctrl-C or SIGTERM.
pub(super) async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
