//! `firedrill incident what-if`: a number for a change of rules before it is merged.

mod told;

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use self::told::{Account, Comparison};
use super::{bench, refused, slos};
use crate::cli::{Colour, Format, runtime};
use crate::dilation::Bench;
use crate::exit::Exit;
use crate::incident::{self, Error, Incident, Laid, Replayed, pages};
use crate::slo::Slo;
use crate::source::Sources;

/// Arguments of `incident what-if`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The folder of an incident
    #[arg(value_name = "FOLDER", help_heading = "Input")]
    folder: PathBuf,

    /// A rule file as proposed, in place of all that were loaded; may be given several times
    #[arg(long, value_name = "FILE", required = true, help_heading = "Input")]
    rules: Vec<PathBuf>,

    /// An alertmanager.yml as proposed, in place of the recorded one
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    alertmanager: Option<PathBuf>,

    /// An OpenSLO file whose budgets were spent, besides those that are recorded; may be given several times
    #[arg(long = "slo", value_name = "FILE", help_heading = "Input")]
    slos: Vec<PathBuf>,

    /// Since when time is counted, RFC 3339; without it, since a drill's fault took effect, else since the first sign
    /// that either set of rules gave
    #[arg(long, value_name = "TIME", help_heading = "Input")]
    began: Option<Timestamp>,

    /// How to print it: text, or json for other programs
    #[arg(long, value_enum, default_value_t = Format::Text, help_heading = "Output")]
    format: Format,
}

pub(super) fn execute(arguments: &Arguments, colour: Colour) -> std::io::Result<Exit> {
    let incident = match Incident::read(&arguments.folder) {
        Ok(incident) => incident,
        Err(error) => return refused(&error),
    };
    let Some(recorded) = slos(&incident::slo_files(&arguments.folder), colour)? else {
        return Ok(Exit::Usage);
    };
    let Some(more) = slos(&arguments.slos, colour)? else { return Ok(Exit::Usage) };
    match runtime()?.block_on(compared(arguments, &incident, &recorded, &more)) {
        Ok(comparison) => {
            let mut out = std::io::stdout().lock();
            match arguments.format {
                Format::Text => comparison.print(&mut out)?,
                Format::Json => {
                    serde_json::to_writer_pretty(&mut out, &comparison)?;
                    writeln!(out)?;
                }
            }
            Ok(if comparison.is_worse() { Exit::Fail } else { Exit::Pass })
        }
        Err(error) => refused(&error),
    }
}

async fn compared(
    arguments: &Arguments,
    incident: &Incident,
    recorded: &[Slo],
    more: &[Slo],
) -> Result<Comparison, Error> {
    let mut sources = Sources::default();
    let proposed = incident::subject(arguments.rules.clone(), arguments.alertmanager.clone(), &mut sources)?;
    let mut bench = bench().await?;
    let both = both(&mut bench, arguments, incident, &proposed, (recorded, more)).await;
    bench.end().await;
    both
}

async fn both(
    bench: &mut Bench,
    arguments: &Arguments,
    incident: &Incident,
    proposed: &crate::audit::Subject,
    (recorded, more): (&[Slo], &[Slo]),
) -> Result<Comparison, Error> {
    let was = incident::replay(bench, incident, &incident.subject.rules).await?;
    let new = incident::replay(bench, incident, &proposed.rules).await?;
    let manifest = &incident.manifest;
    let signs = was.alerts.iter().chain(&new.alerts).map(|one| one.pending).min();
    let effect = manifest.drill.as_ref().map(|drill| drill.effect);
    let given = arguments.began.map(Timestamp::as_millisecond);
    let began = given.or(effect).or(signs).unwrap_or(manifest.from);
    let account = |replayed: Replayed, routing: Option<&crate::route::Config>| {
        let told = routing.map(|routing| pages(&replayed.alerts, routing, manifest.to));
        Account::of(replayed, told.as_deref(), began)
    };
    let routing = incident.subject.routing.as_ref();
    let mut was = account(was, routing);
    let mut new = account(new, proposed.routing.as_ref().or(routing));
    if !(recorded.is_empty() && more.is_empty()) {
        let laid = Laid::lay(bench, incident, recorded).await?;
        let all: Vec<Slo> = recorded.iter().chain(more).cloned().collect();
        for one in [&mut was, &mut new] {
            one.spend(laid.as_ref(), &all, began, manifest.to).await?;
        }
    }
    let since = if given.is_some() {
        "--began"
    } else if effect.is_some() {
        "the fault took effect"
    } else {
        "its first sign"
    };
    Ok(Comparison::of(&manifest.incident, since, began, was, new))
}
