//! `firedrill plan`: what a run would do, without doing it.

use std::io::Write;

use clap::Args;

use super::{Colour, Input, draw};
use crate::exit::Exit;
use crate::plan::Planned;
use crate::scenario::load::{Load, Model};
use crate::scenario::step::{Does, Patience, Step};
use crate::units::Span;

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    input: Input,
}

pub(super) fn execute(arguments: &Arguments, colour: Colour) -> std::io::Result<Exit> {
    let reading = arguments.input.read();
    draw(&reading, colour)?;
    let Some(plan) = reading.plan else { return Ok(Exit::Usage) };
    let mut out = std::io::stdout().lock();
    if plan.scenarios.is_empty() {
        writeln!(out, "no scenario among these files")?;
    }
    for planned in &plan.scenarios {
        print(planned, &mut out)?;
    }
    Ok(Exit::Pass)
}

fn print(planned: &Planned, out: &mut impl Write) -> std::io::Result<()> {
    let Planned { scenario, file, services, slos, .. } = planned;
    writeln!(out, "{}  ({})", scenario.name, file.display())?;
    for (service, profile) in services {
        writeln!(out, "  start       {} (stand-in {})", service.name, profile.name)?;
    }
    for step in &scenario.background {
        writeln!(out, "  background  {}", describe(step))?;
    }
    for step in scenario.steps.iter().filter(|step| !matches!(step.does, Does::Set(_))) {
        writeln!(out, "  step        {}", describe(step))?;
    }
    for (slo, objective) in slos.iter().flat_map(|slo| slo.objectives.iter().map(move |one| (slo, one))) {
        match objective.over_run() {
            Ok(_) => writeln!(out, "  judge       {}: {objective}", slo.name)?,
            Err(why) => writeln!(out, "  not judged  {}: {why}", slo.name)?,
        }
    }
    Ok(())
}

/// A step in one line.
fn describe(step: &Step) -> String {
    let mut facts = vec![match &step.does {
        Does::Load(load) => describe_load(load),
        Does::Probe(_) | Does::Quiet(_) | Does::Wait(_) | Does::Use(_) | Does::Set(_) => step.does.kind().to_owned(),
    }];
    match step.patience {
        Patience::Once => {}
        Patience::Retry { attempts, .. } => facts.push(format!("at most {attempts} attempts")),
        Patience::Within { limit, .. } => facts.push(format!("within {}", Span(limit))),
    }
    facts.extend(step.sli.as_ref().map(|sli| format!("feeds {sli}")));
    if !step.when.is_empty() {
        facts.push("on a condition".to_owned());
    }
    format!("{} ({})", step.name, facts.join(", "))
}

fn describe_load(load: &Load) -> String {
    let size = match load.model {
        Model::Open(rate) => rate.to_string(),
        Model::Closed(users) => format!("{users} users"),
    };
    let ramp =
        if load.ramp.is_zero() { String::new() } else { format!(" after a ramp of {}", Span(load.ramp)) };
    format!("load: {size} for {}{ramp}", Span(load.hold))
}
