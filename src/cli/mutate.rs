//! `firedrill mutate`: which mistakes in the rules no drill would have caught.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Colour, Format, Input, count, draw, run, runtime};
use crate::dilation::read;
use crate::exit::Exit;
use crate::mutate::{Fate, Judged, Kind, Trial, Tried, assess};
use crate::plan::Plan;
use crate::rule::window::Pace;
use crate::scenario::step::Does;
use crate::source::Sources;
use crate::units::Ratio;

/// Arguments of `mutate`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    input: Input,

    /// Where runs and what they recorded are saved
    #[arg(long, value_name = "FOLDER", default_value = ".firedrill/runs", help_heading = "Input")]
    runs: PathBuf,

    /// Fail where a smaller share of the mistakes is caught
    #[arg(long, value_name = "SHARE", help_heading = "Run")]
    at_least: Option<Ratio>,

    /// How to print it: text, or json for other programs
    #[arg(long, value_enum, default_value_t = Format::Text, help_heading = "Output")]
    format: Format,
}

/// A mistake, as programs read it.
#[derive(Debug, Serialize, JsonSchema)]
struct Row {
    rule: String,
    kind: Kind,
    change: String,
    file: String,
    line: usize,
    fate: Fate,
}

pub(super) fn execute(arguments: &Arguments, colour: Colour) -> std::io::Result<Exit> {
    let reading = arguments.input.read();
    draw(&reading, colour)?;
    let Some(plan) = &reading.plan else { return Ok(Exit::Usage) };
    let recordings = match read(&arguments.runs) {
        Ok(recordings) => recordings,
        Err(error) => {
            let folder = arguments.runs.display();
            writeln!(
                std::io::stderr(),
                "error: no recordings can be read from `{folder}`: {error}; `firedrill run` saves them"
            )?;
            return Ok(Exit::NotMeasured);
        }
    };
    let tried = tried(plan, &recordings);
    if tried.iter().all(|stack| stack.trials.is_empty()) {
        writeln!(
            std::io::stderr(),
            "error: no drill of these scenarios was recorded; `firedrill run` records them"
        )?;
        return Ok(Exit::NotMeasured);
    }
    let (began, now) = (Instant::now(), Timestamp::now());
    let (id, program) = (run::new_id(now), std::env::current_exe()?);
    let runtime = runtime()?;
    let mut judged = Vec::new();
    for stack in &tried {
        match runtime.block_on(assess(stack, &id, &program, now)) {
            Ok(more) => judged.extend(more),
            Err(error) => {
                writeln!(std::io::stderr(), "error: {error}")?;
                return Ok(Exit::NotMeasured);
            }
        }
    }
    let rows: Vec<_> = judged.into_iter().map(|one| row(one, &reading.sources)).collect();
    let mut out = std::io::stdout().lock();
    match arguments.format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &rows)?;
            writeln!(out)?;
        }
        Format::Text => print(&mut out, &rows, began.elapsed())?,
    }
    let caught = rows.iter().filter(|row| row.fate.is_caught()).count();
    let enough = arguments.at_least.is_none_or(|least| score(caught, rows.len()) >= least.share());
    Ok(if enough { Exit::Pass } else { Exit::Fail })
}

/// Each stack once, with the drills of all its scenarios that were recorded.
fn tried<'a>(
    plan: &'a Plan,
    recordings: &'a std::collections::BTreeMap<(String, String), crate::dilation::Recording>,
) -> Vec<Tried<'a>> {
    let mut known = BTreeSet::new();
    let mut all = Vec::new();
    for planned in &plan.scenarios {
        let Some(stack) = &planned.stack else { continue };
        let Some(own) = &stack.prometheus else { continue };
        if !known.insert(&stack.file) {
            continue;
        }
        let mut trials = Vec::new();
        for other in &plan.scenarios {
            if other.stack.as_ref().is_none_or(|of| of.file != stack.file) {
                continue;
            }
            let scenario = other.scenario.name.value.as_str();
            for step in other.scenario.all_steps() {
                let Does::Fault(fault) = &step.does else { continue };
                let recording = recordings.get(&(scenario.to_owned(), step.name.clone()));
                trials.extend(recording.map(|recording| Trial {
                    scenario,
                    step: &step.name,
                    alerts: &fault.alerts,
                    recording,
                }));
            }
        }
        all.push(Tried { files: &stack.rules, every: Pace::of(&own.tree).evaluation_interval, trials });
    }
    all
}

fn row(judged: Judged, sources: &Sources) -> Row {
    let place = judged.place_in(sources);
    Row {
        file: sources.file(place.file).path.display().to_string(),
        line: sources.position(place).line,
        rule: judged.rule,
        kind: judged.kind,
        change: judged.change,
        fate: judged.fate,
    }
}

fn print(out: &mut impl std::io::Write, rows: &[Row], took: std::time::Duration) -> std::io::Result<()> {
    let mut last = "";
    for row in rows.iter().filter(|row| !row.fate.is_caught()) {
        if row.rule != last {
            writeln!(out, "{}", row.rule)?;
            last = &row.rule;
        }
        let why = match row.fate {
            Fate::Untried => "  (no drill expects it)",
            Fate::Survived | Fate::Caught { .. } => "",
        };
        writeln!(out, "  {}:{}  {}{why}", row.file, row.line, row.change)?;
    }
    let caught = rows.iter().filter(|row| row.fate.is_caught()).count();
    let untried = rows.iter().filter(|row| row.fate == Fate::Untried).count();
    writeln!(
        out,
        "\n{} in the rules: drills would have caught {caught} ({:.0}%), {} live, {untried} of them in alerts that no drill expects; {:.1} s",
        count(rows.len(), "mistake"),
        100.0 * score(caught, rows.len()),
        rows.len() - caught,
        took.as_secs_f64()
    )
}

fn score(caught: usize, all: usize) -> f64 {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    if all == 0 { 1.0 } else { number(caught) / number(all) }
}
