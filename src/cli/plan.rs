//! `firedrill plan`: what a run would do, without doing it.

use std::io::Write;

use clap::Args;

use super::{Colour, Input, draw};
use crate::exit::Exit;
use crate::plan::{Planned, PlannedStack};
use crate::scenario::load::{Load, Model, Stage};
use crate::scenario::stack::{ALERTMANAGER, PROMETHEUS, Runs};
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
    let Planned { scenario, file, stack, slos, .. } = planned;
    writeln!(out, "{}  ({})", scenario.name, file.display())?;
    if let Some(planned) = stack {
        print_stack(planned, out)?;
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

fn print_stack(planned: &PlannedStack, out: &mut impl Write) -> std::io::Result<()> {
    let PlannedStack { stack, profiles, prometheus, alertmanager, .. } = planned;
    for service in &stack.services {
        let what = match &service.runs {
            Runs::StandIn(_) => {
                profiles.get(&service.name.value).map(|profile| format!("stand-in {}", profile.name))
            }
            Runs::Program(program) => {
                let image = program.image.as_ref().map(|image| format!("image {image}"));
                let process = program.process.as_ref().map(|command| format!("process {command}"));
                let ways: Vec<_> = image.into_iter().chain(process).collect();
                Some(ways.join(", "))
            }
        };
        writeln!(out, "  start       {} ({})", service.name, what.unwrap_or_default())?;
    }
    let watching = [(PROMETHEUS, prometheus), (ALERTMANAGER, alertmanager)];
    for (name, configuration) in watching {
        if let Some(configuration) = configuration {
            writeln!(out, "  start       {name} ({})", configuration.file.display())?;
        }
    }
    Ok(())
}

/// A step in one line.
fn describe(step: &Step) -> String {
    let mut facts = vec![match &step.does {
        Does::Load(load) => describe_load(load),
        Does::Fault(fault) => format!("fault: {fault}"),
        Does::Probe(_)
        | Does::Quiet(_)
        | Does::Monitoring(_)
        | Does::Wait(_)
        | Does::Use(_)
        | Does::Set(_) => step.does.kind().to_owned(),
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
    let about = match load.asks.len() {
        1 => String::new(),
        asks => format!(", a mix of {asks}"),
    };
    let full = load.model.full();
    let is_full = |stage: &Stage| stage.from >= full && stage.to >= full;
    match load.stages.as_slice() {
        [hold] if is_full(hold) => format!("load: {size} for {}{about}", Span(hold.span)),
        [ramp, hold] if ramp.from <= 0.0 && is_full(hold) => {
            format!("load: {size} for {} after a ramp of {}{about}", Span(hold.span), Span(ramp.span))
        }
        stages => {
            let length = Span(load.length());
            format!("load: {size} in {} over {length}{about}", super::count(stages.len(), "stage"))
        }
    }
}
