//! `firedrill incident record`.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::refused;
use crate::cli::reach::Reach;
use crate::cli::{Colour, runtime};
use crate::exit::Exit;
use crate::incident::{self, Asked, Error, Incident, Progress};
use crate::prometheus::Client;
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

    /// The Alertmanager that was told, whose routing is kept too; it is reached as the Prometheus is
    #[arg(long, value_name = "URL", help_heading = "Source")]
    alertmanager: Option<String>,

    #[command(flatten)]
    reach: Reach,

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

    /// The folder to write; it must not hold an incident yet
    #[arg(short, long, value_name = "FOLDER", help_heading = "Output")]
    out: PathBuf,
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
    let to = |address: &str| -> Result<Client, Error> {
        let access = arguments.reach.access(address).map_err(Error::Nothing)?;
        Client::new(&access).map_err(|error| Error::Nothing(error.to_string()))
    };
    let client = to(&arguments.prometheus)?;
    let alertmanager = arguments.alertmanager.as_deref().map(to).transpose()?;
    let name = arguments.out.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let asked = Asked {
        name,
        from: arguments.from,
        to: arguments.to,
        service: arguments.service.clone(),
        slos: texts(&arguments.slos)?,
        needed_by_slos: incident::selectors(slos).map_err(Error::Nothing)?,
        most_samples: arguments.most_samples,
    };
    let shown = std::io::stderr().is_terminal();
    let mut tell = move |progress: Progress| {
        if shown {
            let Progress { done, of, samples } = progress;
            // Progress is for who looks; where it cannot be shown, the work goes on.
            let _ = write!(std::io::stderr(), "\r\x1b[Krecording {} of {of}, {samples} samples", done + 1);
        }
    };
    let done = incident::record(&client, alertmanager.as_ref(), &asked, &arguments.out, &mut tell).await;
    if shown {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    done?;
    Incident::read(&arguments.out)
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
