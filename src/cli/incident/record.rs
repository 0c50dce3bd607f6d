//! `firedrill incident record`.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::alertmanager::Alertmanager;
use super::refused;
use crate::cli::reach::Reach;
use crate::cli::{Colour, runtime};
use crate::exit::Exit;
use crate::incident::{self, Asked, Error, Hidden, Incident, Progress};
use crate::prometheus::{Access, Client};
use crate::slo::Slo;

/// Arguments of `incident record`.
#[derive(Debug, Args)]
#[command(after_help = "\
  firedrill incident record --prometheus http://127.0.0.1:9090 --alertmanager http://127.0.0.1:9093 \\
    --from 2026-11-20T02:00Z --to 2026-11-20T04:00Z --service checkout -o incidents/checkout-brownout")]
pub(super) struct Arguments {
    /// The Prometheus that saw it
    #[arg(long, value_name = "URL", help_heading = "Source")]
    prometheus: String,

    #[command(flatten)]
    reach: Reach,

    #[command(flatten)]
    alertmanager: Alertmanager,

    /// When it began, RFC 3339
    #[arg(long, value_name = "TIME", help_heading = "Incident")]
    from: Timestamp,

    /// When it was over
    #[arg(long, value_name = "TIME", help_heading = "Incident")]
    to: Timestamp,

    /// Only alerts whose rules name this, in their expression or in a label
    #[arg(long, value_name = "NAME", help_heading = "Incident")]
    service: Option<String>,

    /// An OpenSLO file whose series are recorded too, and which is kept with them; may be given several times
    #[arg(long, value_name = "FILE", help_heading = "Incident")]
    slos: Vec<PathBuf>,

    /// Refuse, before anything is fetched, what would be more samples
    #[arg(long, value_name = "NUMBER", default_value_t = 5_000_000, help_heading = "Incident")]
    most_samples: u64,

    /// Write each value of this label as a hash, one that is the same throughout the record and in no other; may be
    /// given several times
    #[arg(long, value_name = "NAME", help_heading = "Privacy")]
    hash_label: Vec<String>,

    /// Write TO for the value FROM of a label; FROM may hold colons, TO none; may be given several times
    #[arg(long, value_name = "NAME=FROM:TO", help_heading = "Privacy", value_parser = mapping)]
    map_label: Vec<Mapping>,

    /// The folder to write; an unfinished record of the same in it goes on where it stopped
    #[arg(short, long, value_name = "FOLDER", help_heading = "Output")]
    out: PathBuf,
}

/// A value of a label, and what it is to be called.
#[derive(Debug, Clone)]
struct Mapping {
    label: String,
    from: String,
    to: String,
}

fn mapping(text: &str) -> Result<Mapping, String> {
    let parts = text.split_once('=').and_then(|(label, rest)| Some((label, rest.rsplit_once(':')?)));
    match parts {
        Some((label, (from, to))) if ![label, from, to].contains(&"") => {
            Ok(Mapping { label: label.to_owned(), from: from.to_owned(), to: to.to_owned() })
        }
        Some(_) | None => Err("expected NAME=FROM:TO, as `user=alice:somebody`".to_owned()),
    }
}

impl Arguments {
    fn hidden(&self) -> Result<Hidden, Error> {
        let mapped = self.map_label.iter().map(|one| ((one.label.clone(), one.from.clone()), one.to.clone()));
        let hidden = Hidden { hashed: self.hash_label.iter().cloned().collect(), mapped: mapped.collect() };
        match hidden.meant() {
            Some(label) => Err(Error::Refused(format!(
                "`{label}` cannot be hidden: Prometheus reads it, or alerts are known by it"
            ))),
            None => Ok(hidden),
        }
    }
}

pub(super) fn execute(arguments: &Arguments, colour: Colour) -> std::io::Result<Exit> {
    let Some(slos) = super::slos(&arguments.slos, colour)? else { return Ok(Exit::Usage) };
    match runtime()?.block_on(recorded(arguments, &slos)) {
        Ok(incident) => {
            let samples: usize = incident.series.iter().map(|one| one.points.len()).sum();
            let fired = incident.alerts.iter().filter(|one| one.fired.is_some()).count();
            let mut out = std::io::stdout().lock();
            writeln!(
                out,
                "{}: {} series with {samples} samples; {} alerts were active, {fired} of them fired",
                arguments.out.display(),
                incident.series.len(),
                incident.alerts.len()
            )?;
            for note in &incident.manifest.notes {
                writeln!(out, "  ! {}", crate::report::on_one_line(note))?;
            }
            writeln!(out, "\nread {}/timeline.md; replay it: firedrill run {0}", arguments.out.display())?;
            Ok(Exit::Pass)
        }
        Err(error) => refused(&error),
    }
}

async fn recorded(arguments: &Arguments, slos: &[Slo]) -> Result<Incident, Error> {
    let to = |access: Access| Client::new(&access).map_err(|error| Error::Nothing(error.to_string()));
    let client = to(arguments.reach.access(&arguments.prometheus).map_err(Error::Nothing)?)?;
    let alertmanager = arguments.alertmanager.access().map_err(Error::Nothing)?.map(to).transpose()?;
    let name = arguments.out.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let asked = Asked {
        name,
        from: arguments.from,
        to: arguments.to,
        service: arguments.service.clone(),
        slos: texts(&arguments.slos)?,
        needed_by_slos: incident::selectors(slos).map_err(Error::Nothing)?,
        most_samples: arguments.most_samples,
        hidden: arguments.hidden()?,
    };
    let shown = std::io::stderr().is_terminal();
    let most = arguments.most_samples;
    let mut tell = move |progress: Progress| {
        // Progress is for who looks; where it cannot be shown, the work goes on.
        let _ = told(progress, most, shown);
    };
    let done = incident::record(&client, alertmanager.as_ref(), &asked, &arguments.out, &mut tell).await;
    if shown {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    done?;
    Incident::read(&arguments.out)
}

fn told(progress: Progress, most: u64, shown: bool) -> std::io::Result<()> {
    let mut err = std::io::stderr();
    match progress {
        Progress::Announced { samples, selectors } => writeln!(
            err,
            "about {samples} samples of {selectors} selectors are to be recorded, and {most} may be"
        ),
        Progress::Resumed { done, of } => {
            writeln!(err, "an unfinished record is there, and goes on: {done} of its {of} parts are fetched")
        }
        Progress::Fetching { done, of, samples } if shown => {
            write!(err, "\r\x1b[Krecording part {} of {of}, {samples} samples", done + 1)
        }
        Progress::Fetching { .. } => Ok(()),
    }
}

/// The texts of these files, by names that leave them in their order.
fn texts(paths: &[PathBuf]) -> Result<Vec<(String, String)>, Error> {
    let text = |(number, path): (usize, &PathBuf)| {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| Error::File { path: path.clone(), source })?;
        Ok((format!("{number:03}.yaml"), text))
    };
    paths.iter().enumerate().map(text).collect()
}
