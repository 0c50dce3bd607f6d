//! `firedrill incident from-run`: a drill of a saved run, to be looked at again by who was not there.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;

use super::refused;
use crate::cli::save;
use crate::exit::Exit;
use crate::incident::{self, Incident, Wanted};
use crate::report::on_one_line;

/// Arguments of `incident from-run`.
#[derive(Debug, Args)]
#[command(after_help = "\
A run keeps what its drills scraped beside its events: `--report json=out/run.jsonl` makes
`out/run.recordings` too. Keep both as artefacts of the job.

  firedrill incident from-run out/run.jsonl -o red-night
  firedrill run red-night")]
pub(super) struct Arguments {
    /// A saved run: a file of events
    #[arg(value_name = "RUN", help_heading = "Input")]
    run: PathBuf,

    /// What its drills scraped; without it, the file beside the events, or the one in `.firedrill/runs`
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    recordings: Option<PathBuf>,

    /// Only the drill of this step, also where it passed; without it, every drill that did not pass
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    step: Option<String>,

    /// The folder to write; of several drills each gets one within it
    #[arg(short, long, value_name = "FOLDER", help_heading = "Output")]
    out: PathBuf,
}

pub(super) fn execute(arguments: &Arguments) -> std::io::Result<Exit> {
    let wanted = Wanted {
        run: &arguments.run,
        recordings: arguments.recordings.as_deref(),
        runs: &save::runs(),
        step: arguments.step.as_deref(),
    };
    let folders = match incident::from_run(&wanted, &arguments.out) {
        Ok(folders) => folders,
        Err(error) => return refused(&error),
    };
    let mut out = std::io::stdout().lock();
    for folder in folders {
        let incident = match Incident::read(&folder) {
            Ok(incident) => incident,
            Err(error) => return refused(&error),
        };
        let fired = incident.alerts.iter().filter(|one| one.fired.is_some()).count();
        writeln!(
            out,
            "{}: {}; {} series, {} alerts were active, {fired} of them fired",
            folder.display(),
            on_one_line(&incident.manifest.incident),
            incident.series.len(),
            incident.alerts.len()
        )?;
        for note in &incident.manifest.notes {
            writeln!(out, "  ! {}", on_one_line(note))?;
        }
        writeln!(out, "  read {0}/timeline.md; replay it: firedrill run {0}", folder.display())?;
    }
    Ok(Exit::Pass)
}
