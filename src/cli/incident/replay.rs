//! `firedrill incident replay`: does the same happen again?

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{bench, refused, since};
use crate::cli::{count, runtime};
use crate::exit::Exit;
use crate::incident::{self, Agreement, Error, Incident, Replayed, agreement};
use crate::report::on_one_line;

/// Arguments of `incident replay`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The folder of an incident
    #[arg(value_name = "FOLDER", help_heading = "Input")]
    pub(super) folder: PathBuf,
}

/// Replays the incident of a folder, and says whether the same alerts fire in the same order and at the same times.
pub(in crate::cli) fn execute(folder: &Path) -> std::io::Result<Exit> {
    let done = runtime()?.block_on(async {
        let incident = Incident::read(folder)?;
        let mut bench = bench().await?;
        let replayed = incident::replay(&mut bench, &incident, &incident.subject.rules).await;
        bench.end().await;
        Ok::<_, Error>((incident, replayed?))
    });
    match done {
        Ok((incident, replayed)) => said(&incident, &replayed),
        Err(error) => refused(&error),
    }
}

fn said(incident: &Incident, replayed: &Replayed) -> std::io::Result<Exit> {
    let manifest = &incident.manifest;
    // An evaluation may have been anywhere in its interval, and so may a scrape.
    let tolerance = i64::try_from(2 * manifest.evaluated_every + manifest.scraped_every).unwrap_or(i64::MAX);
    let found = agreement(&incident.alerts, &replayed.alerts, tolerance);
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{}, its own rules over what was recorded, times since it began\n",
        on_one_line(&manifest.incident)
    )?;
    let at = |moment: Option<i64>| moment.map_or("-".to_owned(), |at| since(manifest.from, at));
    for (was, is) in &found.same {
        let (then, now) = (at(was.fired), at(is.fired));
        writeln!(
            out,
            "  ✓ {}: fired at {then}, fires at {now}; over at {}, and {}",
            on_one_line(&was.said()),
            at(was.ended),
            at(is.ended)
        )?;
    }
    for was in &found.missing {
        writeln!(out, "  ✗ {}: fired at {}, and does not fire", on_one_line(&was.said()), at(was.fired))?;
    }
    for is in &found.new {
        writeln!(out, "  ✗ {}: fires at {}, and did not fire", on_one_line(&is.said()), at(is.fired))?;
    }
    for apart in &found.apart {
        writeln!(out, "  ✗ {}", on_one_line(apart))?;
    }
    for note in replayed.notes.iter().chain(&manifest.notes) {
        writeln!(out, "  ! {}", on_one_line(note))?;
    }
    let (exit, verdict) = verdict(&found, tolerance);
    writeln!(out, "\n{verdict}")?;
    Ok(exit)
}

fn verdict(found: &Agreement, tolerance: i64) -> (Exit, String) {
    let tolerated = since(0, tolerance);
    if found.same.is_empty() && found.holds() {
        return (
            Exit::NotMeasured,
            "NOT MEASURED no alert fired, then or now: there is nothing to compare".to_owned(),
        );
    }
    if found.holds() {
        let alerts = found.same.len();
        return (
            Exit::Pass,
            format!("PASS the same alerts fire in the same order, {alerts} of them, within {tolerated}"),
        );
    }
    let differ = found.missing.len() + found.new.len() + found.apart.len();
    (Exit::Fail, format!("FAIL {} beyond {tolerated}", count(differ, "difference")))
}
