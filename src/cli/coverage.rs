//! `firedrill coverage`: faults against alerts, from saved runs.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;

use super::{Colour, Format, Input, count, draw};
use crate::coverage::{AlertRow, Cause, Cell, Coverage, FaultRow, RecordRow, State, read_runs};
use crate::event::Proof;
use crate::exit::Exit;
use crate::report::drilled_at;

/// Arguments of `coverage`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    input: Input,

    /// Where runs are saved
    #[arg(long, value_name = "FOLDER", default_value = ".firedrill/runs", help_heading = "Input")]
    runs: PathBuf,

    /// How to print it: text, or json for other programs
    #[arg(long, value_enum, default_value_t = Format::Text, help_heading = "Output")]
    format: Format,
}

pub(super) fn execute(arguments: &Arguments, colour: Colour) -> std::io::Result<Exit> {
    let reading = arguments.input.read();
    draw(&reading, colour)?;
    let Some(plan) = reading.plan else { return Ok(Exit::Usage) };
    if plan.scenarios.is_empty() {
        writeln!(std::io::stderr(), "error: there is no scenario among these files")?;
        return Ok(Exit::Usage);
    }
    let seen = match read_runs(&arguments.runs) {
        Ok(seen) => seen,
        Err(error) => {
            let folder = arguments.runs.display();
            writeln!(
                std::io::stderr(),
                "error: no saved runs can be read from `{folder}`: {error}; `firedrill run` saves them"
            )?;
            return Ok(Exit::NotMeasured);
        }
    };
    let coverage = Coverage::of(&plan.scenarios, &seen);
    let mut out = std::io::stdout().lock();
    match arguments.format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &coverage)?;
            writeln!(out)?;
        }
        Format::Text => print(&mut out, &coverage, seen.runs)?,
    }
    Ok(Exit::Pass)
}

fn print(out: &mut impl std::io::Write, coverage: &Coverage, runs: usize) -> std::io::Result<()> {
    for row in &coverage.faults {
        let set = if row.cause == Cause::Set { ", a figure that is set" } else { "" };
        writeln!(out, "{} › {}  ({}{set})", row.scenario, row.step, row.fault)?;
        for cell in &row.alerts {
            writeln!(out, "  {}", alert(cell))?;
        }
        if let Some(why) = silence(row) {
            writeln!(out, "  {why}")?;
        }
    }
    if !coverage.alerts.is_empty() {
        writeln!(out, "\nalerting rules:")?;
    }
    for row in &coverage.alerts {
        let labels: Vec<_> = row.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!(" {{{}}}", labels.join(", ")) };
        writeln!(
            out,
            "  {:<11} {}{labels}  {}, {}",
            word(row.state),
            row.alert,
            how(coverage, row),
            row.file
        )?;
    }
    if !coverage.records.is_empty() {
        writeln!(out, "\nrecording rules:")?;
    }
    for row in &coverage.records {
        let state = if row.is_proven() { "proven" } else { "untried" };
        writeln!(out, "  {state:<11} {}  {}, {}", row.record, read_by(row), row.file)?;
    }
    let blind = coverage.faults.iter().filter(|row| row.blind).count();
    writeln!(
        out,
        "\n{} of {} proven, {} missed, {} never tried; {} seen by no alert; from {}",
        coverage.count(State::Proven),
        count(coverage.alerts.len(), "alert"),
        coverage.count(State::Missed),
        coverage.count(State::Untried),
        count(blind, "fault"),
        count(runs, "saved run")
    )
}

fn alert(cell: &Cell) -> String {
    let labels: Vec<_> = cell.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let labels = (!labels.is_empty()).then(|| format!("{{{}}}", labels.join(", ")));
    let named = [Some(cell.alert.clone()), labels].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let proof = match cell.proof {
        Some(Proof::Scaled) => Some("scaled".to_owned()),
        Some(Proof::Dilated) => Some("dilated".to_owned()),
        Some(Proof::Both) => Some("scaled and dilated".to_owned()),
        Some(Proof::None) | None => None,
    };
    let pieces = [
        Some(format!("{:<11} {named}", word(cell.state))),
        cell.fires.map(|at| format!("fires after {}", drilled_at(at))),
        cell.told.map(|at| format!("told after {}", drilled_at(at))),
        cell.broken.map(|rung| format!("broke at {rung}")),
        proof,
    ];
    pieces.into_iter().flatten().collect::<Vec<_>>().join("  ")
}

/// How a rule is proven and how fast, or why it is not.
fn how(coverage: &Coverage, row: &AlertRow) -> String {
    let expected =
        || coverage.faults.iter().flat_map(|fault| &fault.alerts).any(|cell| cell.alert == row.alert);
    match row.state {
        State::Untried if expected() => "no saved run has tried it".to_owned(),
        State::Untried => "no drill expects it".to_owned(),
        State::Missed => row.broken.map_or_else(String::new, |rung| format!("broke at {rung}")),
        State::NotProven => "its drill shows nothing of it".to_owned(),
        State::Collateral => "it fired, and no drill expects it".to_owned(),
        State::Proven => {
            let cause = match row.cause {
                Some(Cause::Set) => Some("a figure was set".to_owned()),
                Some(Cause::Broken) | None => Some("something broke".to_owned()),
            };
            let by = row.by.first().map(|(scenario, step)| format!("by {scenario} › {step}"));
            let fires = row.fires.map(|at| format!("fires after {}", drilled_at(at)));
            let told = row.told.map(|at| format!("told after {}", drilled_at(at)));
            [by, cause, fires, told].into_iter().flatten().collect::<Vec<_>>().join(", ")
        }
    }
}

/// What has read a recording rule.
fn read_by(row: &RecordRow) -> String {
    let alerts = row.alerts.iter().map(
        |(alert, proven)| {
            if *proven { alert.clone() } else { format!("{alert} (not proven)") }
        },
    );
    let steps = row.steps.iter().map(|(scenario, step)| format!("{scenario} › {step}"));
    match alerts.chain(steps).collect::<Vec<_>>() {
        all if all.is_empty() => "no alert reads it, and no step that passed has asked for it".to_owned(),
        all => format!("read by {}", all.join(", ")),
    }
}

/// What is to be said of a fault that no alert sees.
fn silence(row: &FaultRow) -> Option<&'static str> {
    match (&row.run, row.blind) {
        (None, _) => Some("no saved run has tried it"),
        (Some(_), true) => Some("no alert sees it"),
        (Some(_), false) => None,
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Untried => "untried",
        State::Missed => "missed",
        State::NotProven => "not proven",
        State::Collateral => "collateral",
        State::Proven => "proven",
    }
}
