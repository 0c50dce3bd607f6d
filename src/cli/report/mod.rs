//! `firedrill report`: a saved run again, in any format; and held against another.

mod merge;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::{Colour, run, save};
use crate::event::Conclusion;
use crate::exit::Exit;
use crate::report::saved::{self, Error, Whole};
use crate::report::{self, Report, Target, compare::Comparison, on_one_line};
use crate::statistics::Margin;
use crate::units::Ratio;

/// Arguments of `report`.
#[derive(Debug, Args)]
#[command(after_help = "\
A run that was cut off is shown as far as it goes, and ends with 4. With --against it ends with 1 where something
is shown to be worse, with 3 where that cannot be said, else with 0.")]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,

    /// A saved run: a file of events, the id of a run in `.firedrill`, or `last`
    #[arg(value_name = "RUN", default_value = "last", help_heading = "Input")]
    run: String,

    /// Hold it against another run
    #[arg(long, value_name = "RUN", help_heading = "Compare")]
    against: Option<String>,

    /// How much worse is still no worse
    #[arg(long, value_name = "SHARE", default_value = "25%", requires = "against", help_heading = "Compare")]
    margin: Ratio,

    /// Write a report: html=FILE, json=FILE, junit=FILE, tap=FILE, github=FILE, github-summary=FILE, gitlab=FILE;
    /// - is standard output
    #[arg(long = "report", value_name = "FORMAT=FILE", help_heading = "Output")]
    reports: Vec<Target>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Add up what several generators measured of one load, exactly
    Merge(merge::Arguments),
}

pub(super) fn execute(arguments: &Arguments, colour: Colour) -> std::io::Result<Exit> {
    if let Some(Verb::Merge(arguments)) = &arguments.verb {
        return merge::execute(arguments, colour);
    }
    match written(arguments, colour) {
        Ok(exit) => Ok(exit),
        Err(Failure::Usage(why)) => {
            writeln!(std::io::stderr(), "error: {why}")?;
            Ok(Exit::Usage)
        }
        Err(Failure::Unwritten(why)) => {
            writeln!(std::io::stderr(), "error: {why}")?;
            Ok(Exit::NotMeasured)
        }
    }
}

/// Why there is no report.
enum Failure {
    /// What was asked for is not there, or cannot be.
    Usage(String),
    /// It could not be written.
    Unwritten(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Open { .. } | Error::NoRun { .. } => Self::Usage(error.to_string()),
            Error::Write { .. } => Self::Unwritten(error.to_string()),
        }
    }
}

fn written(arguments: &Arguments, colour: Colour) -> Result<Exit, Failure> {
    let path = find(&arguments.run)?;
    let before = arguments.against.as_deref().map(find).transpose()?;
    keep(&arguments.reports, [Some(&path), before.as_ref()])?;
    let comparison = match before {
        Some(before) => {
            let margin = Margin::new(arguments.margin.share()).unwrap_or_default();
            Some(Arc::new(saved::compare(&path, &before, margin)?))
        }
        None => None,
    };
    report::apart(&arguments.reports).map_err(|error| Failure::Usage(error.to_string()))?;
    let opened = arguments.reports.iter().map(|target| target.open_against(comparison.clone()));
    let mut reports =
        opened.collect::<Result<Vec<_>, _>>().map_err(|error| Failure::Usage(error.to_string()))?;
    if comparison.is_none() {
        reports.push(run::terminal_for(&arguments.reports, colour));
    }
    let whole = hand(&path, &mut reports)?;
    if let Some(comparison) = &comparison {
        run::print_for(&arguments.reports, colour, |style| comparison.print(style))
            .map_err(|error| Failure::Unwritten(error.to_string()))?;
    }
    tell(&path, &whole).map_err(|error| Failure::Unwritten(error.to_string()))?;
    Ok(exit(&whole, comparison.as_deref()))
}

/// Every event to every report.
fn hand(path: &Path, reports: &mut [Box<dyn Report>]) -> Result<Whole, Error> {
    let unwritten = |name: &str| {
        let name = name.to_owned();
        move |source| Error::Write { name, source }
    };
    let whole = saved::read(path, |stamped| {
        reports.iter_mut().try_for_each(|report| {
            let failed = unwritten(report.name());
            report.take(stamped).map_err(failed)
        })
    })?;
    for report in reports {
        let failed = unwritten(report.name());
        report.close().map_err(failed)?;
    }
    Ok(whole)
}

fn exit(whole: &Whole, comparison: Option<&Comparison>) -> Exit {
    let said = comparison.map_or(Conclusion::Pass, Comparison::conclusion);
    let read = if whole.trouble.is_empty() { Conclusion::Pass } else { Conclusion::NotMeasured };
    Exit::from(said.max(read))
}

/// What could not be read, on standard error.
fn tell(path: &Path, whole: &Whole) -> std::io::Result<()> {
    let mut err = std::io::stderr().lock();
    for trouble in &whole.trouble {
        writeln!(err, "warning: `{}`: {}", path.display(), on_one_line(trouble))?;
    }
    Ok(())
}

/// The file of a saved run.
fn find(run: &str) -> Result<PathBuf, Failure> {
    let path = Path::new(run);
    if path.is_file() {
        return Ok(path.to_owned());
    }
    let folder = save::runs();
    if run == "last" {
        return latest(&folder).ok_or_else(|| {
            Failure::Usage(format!("no run is saved in `{}`; name a file of events", folder.display()))
        });
    }
    // An id is a name, and not a way to other folders.
    let named = folder.join(format!("{run}.jsonl"));
    if !run.contains(['/', '\\']) && named.is_file() {
        return Ok(named);
    }
    Err(Failure::Usage(format!("there is no file `{run}`, and no run of this id in `{}`", folder.display())))
}

/// The run that began last: ids begin with their time.
fn latest(folder: &Path) -> Option<PathBuf> {
    let files = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    files.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl")).max()
}

/// Sees to it that no run is overwritten by its own report.
fn keep(targets: &[Target], runs: [Option<&PathBuf>; 2]) -> Result<(), Failure> {
    let real = |path: &Path| path.canonicalize().ok();
    for target in targets.iter().filter(|target| !target.is_stdout()) {
        let same = |run: &&PathBuf| real(run).is_some() && real(run) == real(&target.path);
        if runs.into_iter().flatten().any(|run| same(&run)) {
            return Err(Failure::Usage(format!("`{target}` would be written over the run it is made of")));
        }
    }
    Ok(())
}
