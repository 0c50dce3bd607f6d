//! `firedrill incident rehearse`: what happened, as a scenario for a stack of one's own.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::refused;
use crate::cli::{Colour, Input, draw};
use crate::exit::Exit;
use crate::incident::{Incident, Rehearsal, Rehearsing, path_from, rehearse};
use crate::report::on_one_line;
use crate::stack::Speed;

/// Arguments of `incident rehearse`.
#[derive(Debug, Args)]
#[command(after_help = "\
  firedrill incident rehearse outage --stack stack.yaml -o rehearsal.yaml
  firedrill run rehearsal.yaml")]
pub(super) struct Arguments {
    /// The folder of an incident
    #[arg(value_name = "FOLDER", help_heading = "Input")]
    folder: PathBuf,

    /// The stack that it is to happen to
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    stack: PathBuf,

    /// The recorded counter of requests whose rate is the load's; the busiest one, unless said
    #[arg(long, value_name = "NAME", help_heading = "Scenario")]
    counter: Option<String>,

    /// What is loaded, `http://${service.NAME.http}/path`; the service that was counted, unless said
    #[arg(long, value_name = "URL", help_heading = "Scenario")]
    url: Option<String>,

    /// The service that broke; the first whose target was down, unless said
    #[arg(long, value_name = "SERVICE", help_heading = "Scenario")]
    kill: Option<String>,

    /// How much faster than it was, rules and load alike [default: 60, or the drill's]
    #[arg(long, value_name = "FACTOR", help_heading = "Scenario")]
    speed: Option<f64>,

    /// The scenario to write, and beside it the curve of its load as `.csv`; nothing is written over
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    out: PathBuf,
}

pub(super) fn execute(arguments: &Arguments, colour: Colour) -> std::io::Result<Exit> {
    let incident = match Incident::read(&arguments.folder) {
        Ok(incident) => incident,
        Err(error) => return refused(&error),
    };
    let reading = Input { paths: vec![arguments.stack.clone()], secrets: None }.read();
    draw(&reading, colour)?;
    let Some(plan) = reading.plan else { return Ok(Exit::Usage) };
    let [stack] = plan.stacks.as_slice() else {
        return said(&format!("`{}` is no stack", arguments.stack.display()));
    };
    let natural = incident.manifest.drill.as_ref().map_or(60.0, |drill| drill.speed);
    let Some(speed) = Speed::new(arguments.speed.unwrap_or(natural)) else {
        return said("a speed is from 1 to 1000");
    };
    if let Some(kill) = &arguments.kill
        && !stack.stack.services.iter().any(|one| one.name.value == *kill)
    {
        return said(&format!("the stack has no service `{}`", on_one_line(kill)));
    }
    let rates = arguments.out.with_extension("csv");
    if let Some(there) = [&arguments.out, &rates].into_iter().find(|path| path.exists()) {
        return said(&format!("`{}` is there already; name another file", there.display()));
    }
    let folder = arguments.out.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let stack_file = match std::fs::create_dir_all(folder).and_then(|()| path_from(folder, &arguments.stack))
    {
        Ok(path) => path,
        Err(error) => return said(&format!("`{}`: {error}", folder.display())),
    };
    let made = rehearse(
        &incident,
        &Rehearsing {
            stack,
            stack_file: &stack_file,
            rates_file: &rates.file_name().unwrap_or_default().to_string_lossy(),
            speed: speed.factor(),
            counter: arguments.counter.as_deref(),
            url: arguments.url.as_deref(),
            kill: arguments.kill.as_deref(),
        },
    );
    if let Some(text) = &made.rates {
        std::fs::write(&rates, text)?;
    }
    std::fs::write(&arguments.out, &made.scenario)?;
    let read = Input { paths: vec![arguments.out.clone()], secrets: None }.read();
    draw(&read, colour)?;
    tell(&arguments.out, &made, read.plan.is_some())
}

/// Tells what the incident had for a scenario, what it lacked, and what to do next where the scenario is valid.
fn tell(file: &Path, made: &Rehearsal, valid: bool) -> std::io::Result<Exit> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", file.display())?;
    for found in &made.found {
        writeln!(out, "  ✓ {}", on_one_line(found))?;
    }
    for lacking in &made.lacking {
        writeln!(out, "  ! {}", on_one_line(lacking))?;
    }
    if !valid {
        return Ok(Exit::Usage);
    }
    writeln!(out, "  read it, and run it: firedrill run {}", file.display())?;
    Ok(Exit::Pass)
}

fn said(why: &str) -> std::io::Result<Exit> {
    writeln!(std::io::stderr(), "error: {why}")?;
    Ok(Exit::Usage)
}
