//! `firedrill incident`: an outage that really was, kept in a folder, evaluated again, and asked what other rules
//! would have said.

mod alertmanager;
mod from_run;
mod record;
mod rehearse;
mod replay;
mod what_if;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::{Colour, draw};
use crate::dilation::Bench;
use crate::exit::Exit;
use crate::incident::Error;
use crate::plan::{self, Surroundings};
use crate::slo::Slo;

pub(super) use self::replay::again;

/// Arguments of `incident`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Keep what a Prometheus saw of an outage in a folder
    Record(Box<record::Arguments>),
    /// Make the same of a drill of a saved run, to be replayed by who was not there
    FromRun(from_run::Arguments),
    /// Evaluate its rules again over what was recorded, and compare the alerts; `firedrill run FOLDER` does the same
    Replay(replay::Arguments),
    /// Make a scenario of it for a stack of one's own: its traffic as load, what broke as a fault
    Rehearse(rehearse::Arguments),
    /// Say what other rules would have made of it
    WhatIf(what_if::Arguments),
}

pub(super) fn execute(arguments: &Arguments, colour: Colour) -> std::io::Result<Exit> {
    match &arguments.verb {
        Verb::Record(arguments) => record::execute(arguments, colour),
        Verb::FromRun(arguments) => from_run::execute(arguments),
        Verb::Replay(arguments) => replay::again(&arguments.folder, arguments.speed),
        Verb::Rehearse(arguments) => rehearse::execute(arguments, colour),
        Verb::WhatIf(arguments) => what_if::execute(arguments, colour),
    }
}

/// Whether a folder is an incident's.
pub(super) fn is_one(path: &Path) -> bool {
    path.join(crate::incident::FILE).is_file()
}

/// The SLOs of these files; `None` where they cannot be read, which is said.
fn slos(paths: &[PathBuf], colour: Colour) -> std::io::Result<Option<Vec<Slo>>> {
    if paths.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let surroundings = Surroundings { environment: super::environment(), ..Surroundings::default() };
    let reading = plan::read(paths, &surroundings);
    draw(&reading, colour)?;
    let Some(plan) = reading.plan else { return Ok(None) };
    if plan.slos.is_empty() {
        writeln!(std::io::stderr(), "error: there is no SLO among the files that are named as SLOs")?;
        return Ok(None);
    }
    Ok(Some(plan.slos))
}

/// An empty Prometheus to evaluate on.
async fn bench() -> Result<Bench, Error> {
    let now = Timestamp::now();
    let program =
        std::env::current_exe().map_err(|source| Error::File { path: "firedrill".into(), source })?;
    Ok(Bench::start(&super::run::new_id(now), program, now).await?)
}

/// Says why there is nothing to show: files that are no incident's are invalid, all else could not be measured.
fn refused(error: &Error) -> std::io::Result<Exit> {
    writeln!(std::io::stderr(), "error: {error}")?;
    Ok(match error {
        Error::File { .. } | Error::Malformed { .. } | Error::Refused(_) => Exit::Usage,
        Error::Prometheus(_)
        | Error::Course(_)
        | Error::Stack(_)
        | Error::TooMuch { .. }
        | Error::Nothing(_) => Exit::NotMeasured,
    })
}

/// A time since another, as people say it: `5m30s`.
fn since(from: i64, at: i64) -> String {
    let seconds = (at - from) / 1000;
    let span = crate::units::Span(std::time::Duration::from_secs(seconds.unsigned_abs()));
    if seconds < 0 { format!("-{span}") } else { span.to_string() }
}
