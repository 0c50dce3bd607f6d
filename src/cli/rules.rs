//! `firedrill rules`: SLOs as Prometheus rules.

use std::io::Write as _;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{Colour, Input, draw};
use crate::budget::Tiers;
use crate::exit::Exit;
use crate::slo::rules::{Making, RuleTier, rules};

/// Arguments of `rules`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    input: Input,

    /// What follows from the SLO's window: the factors of windows that stay (1h/5m, 6h/30m, 1d/2h, 3d/6h), or the
    /// windows of factors that stay (14, 7, 2, 1)
    #[arg(long, value_enum, default_value_t = Scale::Factor, help_heading = "Output")]
    scale: Scale,

    /// So many failures an alert takes to fire, so that a single one among few wakes nobody
    #[arg(long, value_name = "NUMBER", default_value_t = 3, help_heading = "Output")]
    min_failures: u64,
}

/// What follows from the SLO's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scale {
    /// Factors
    Factor,
    /// Windows
    Window,
}

fn told(tiers: Tiers) -> Vec<RuleTier> {
    let tier = |tier: crate::budget::Tier| RuleTier {
        severity: tier.severity.name().to_owned(),
        long: tier.long,
        short: tier.short,
        factor: tier.factor,
        hold: tier.hold,
    };
    tiers.0.into_iter().map(tier).collect()
}

pub(super) fn execute(arguments: &Arguments, colour: Colour) -> std::io::Result<Exit> {
    let reading = arguments.input.read();
    draw(&reading, colour)?;
    let Some(plan) = reading.plan else { return Ok(Exit::Usage) };
    if plan.slos.is_empty() {
        writeln!(std::io::stderr(), "error: there is no SLO among these files")?;
        return Ok(Exit::Usage);
    }
    let tiers: fn(Duration) -> Vec<RuleTier> = match arguments.scale {
        Scale::Factor => |period| told(Tiers::by_factor(period)),
        Scale::Window => |period| told(Tiers::by_window(period)),
    };
    let made = rules(&plan.slos, &Making { tiers, min_failures: arguments.min_failures });
    for why in &made.left_out {
        writeln!(std::io::stderr(), "warning: left out: {why}")?;
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "# Made by `firedrill rules`; change the SLOs and not this.")?;
    write!(out, "{}", made.yaml)?;
    Ok(Exit::Pass)
}
