//! `firedrill gate`: may this be deployed, by its error budgets?

mod ask;
mod tell;
mod terms;
mod watch;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use self::ask::Source;
use self::terms::Asked;
use super::reach::Reach;
use super::{Colour, Input, draw, run, runtime, save};
use crate::event::Sender;
use crate::exit::Exit;
use crate::gate::Instead;
use crate::history::Wanted;
use crate::plan::Reading;
use crate::report::{self, Target};
use crate::units::{Ratio, Span};

/// Arguments of `gate`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    input: Input,

    #[command(flatten)]
    source: From,

    /// Judge at this moment, RFC 3339, in place of now
    #[arg(long, value_name = "TIME", help_heading = "Gate")]
    at: Option<Timestamp>,

    /// Also say what was spent since this moment, as a deploy's
    #[arg(long, value_name = "TIME", help_heading = "Gate", hide_short_help = true)]
    since: Option<Timestamp>,

    /// Count from now on, and look until it is decided; holds however often one looks
    #[arg(long, help_heading = "Gate")]
    watch: bool,

    /// What ends a watch
    #[arg(long, value_enum, default_value_t = Until::Decided, requires = "watch", help_heading = "Gate", hide_short_help = true)]
    until: Until,

    /// How long to watch at most
    #[arg(long, value_name = "TIME", default_value = "10m", requires = "watch", help_heading = "Gate")]
    timeout: Span,

    /// How often to look
    #[arg(
        long,
        value_name = "TIME",
        default_value = "15s",
        requires = "watch",
        help_heading = "Gate",
        hide_short_help = true
    )]
    every: Span,

    #[command(flatten)]
    policy: Policy,

    /// Also write a report: json=FILE, junit=FILE, tap=FILE, github=FILE, github-summary=FILE, gitlab=FILE,
    /// html=FILE; - is standard output
    #[arg(long = "report", value_name = "FORMAT=FILE", help_heading = "Output")]
    reports: Vec<Target>,

    /// Keep no record of the decision in `.firedrill`; `FIREDRILL_NO_SAVE=1` does the same
    #[arg(long, help_heading = "Output")]
    no_save: bool,
}

/// Where the past is.
#[derive(Debug, Args)]
#[group(required = true, multiple = false, id = "past")]
struct Past {
    /// Budgets from a Prometheus, or from what speaks like one
    #[arg(long, value_name = "URL", help_heading = "Source")]
    prometheus: Option<String>,

    /// Budgets from firedrill's own history
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = ".firedrill/store.db", help_heading = "Source")]
    store: Option<PathBuf>,

    /// Judge one run, by its saved events
    #[arg(long, value_name = "FILE", help_heading = "Source")]
    run: Option<PathBuf>,
}

/// Where the past is, and how it is reached.
#[derive(Debug, Args)]
struct From {
    #[command(flatten)]
    past: Past,

    /// Also compare the run with an earlier one: `last-green`, a run's id, or a file of saved events
    #[arg(long, value_name = "RUN", requires = "run", help_heading = "Source")]
    baseline: Option<String>,

    #[command(flatten)]
    reach: Reach,
}

/// The terms, where they differ from those of the gate's file.
#[derive(Debug, Args)]
struct Policy {
    /// How sure a pass or a fail must be [default: 95%]
    #[arg(long, value_name = "SHARE", help_heading = "Policy", hide_short_help = true)]
    confidence: Option<Ratio>,

    /// How many times the objective's failures are still well [default: 1]
    #[arg(long, value_name = "NUMBER", help_heading = "Policy", hide_short_help = true)]
    allow: Option<f64>,

    /// Warn when less of the budget is left
    #[arg(long, value_name = "SHARE", help_heading = "Policy")]
    warn_below: Option<Ratio>,

    /// Block when less of the budget is left than a deploy may cost
    #[arg(long, value_name = "SHARE", help_heading = "Policy")]
    deploy_cost: Option<Ratio>,

    /// What becomes of no data [default: extend, which is no pass]
    #[arg(long, value_enum, value_name = "VERDICT", help_heading = "Policy")]
    on_no_data: Option<Became>,

    /// What becomes of too few data [default: extend, which is no pass]
    #[arg(long, value_enum, value_name = "VERDICT", help_heading = "Policy")]
    on_inconclusive: Option<Became>,

    /// Go through nevertheless, for this reason; it is kept
    #[arg(long = "override", value_name = "REASON", requires = "by", help_heading = "Policy")]
    overridden: Option<String>,

    /// Who says so
    #[arg(
        long,
        value_name = "NAME",
        requires = "overridden",
        help_heading = "Policy",
        hide_short_help = true
    )]
    by: Option<String>,
}

/// What becomes of a verdict that is neither pass nor fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Became {
    /// It stands, and is no pass
    Extend,
    /// A fail
    Fail,
    /// A warning, which passes
    Warn,
    /// A pass
    Pass,
}

impl std::convert::From<Became> for Instead {
    fn from(became: Became) -> Self {
        match became {
            Became::Extend => Self::Extend,
            Became::Fail => Self::Fail,
            Became::Warn => Self::Warn,
            Became::Pass => Self::Pass,
        }
    }
}

/// What ends a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Until {
    /// Every objective is decided, or one has failed
    Decided,
    /// The time is over, or one has failed
    Timeout,
}

pub(super) fn execute(arguments: &Arguments, colour: Colour) -> std::io::Result<Exit> {
    let reading = arguments.input.read();
    draw(&reading, colour)?;
    let Reading { sources, plan: Some(plan), .. } = reading else { return Ok(Exit::Usage) };
    let wanted = Wanted::of(&plan.slos);
    let prepared = if wanted.is_empty() {
        Err("there is no SLO among these files".to_owned())
    } else {
        Asked::of(arguments, &plan.gates).and_then(|asked| Ok((asked, Source::open(arguments)?)))
    };
    let opened = prepared.and_then(|(asked, source)| {
        let reports = run::open(&arguments.reports).map_err(|error| error.to_string())?;
        Ok((asked, source, reports))
    });
    let (asked, source, mut reports) = match opened {
        Ok(opened) => opened,
        Err(why) => {
            writeln!(std::io::stderr(), "error: {why}")?;
            return Ok(Exit::Usage);
        }
    };
    reports.push(run::terminal_for(&arguments.reports, colour));
    let runtime = runtime()?;
    let exit = runtime.block_on(async {
        let (sender, events) = Sender::new(plan.mask.clone(), Instant::now());
        let printing = tokio::spawn(report::fan_out(events, reports));
        let telling =
            tell::Telling { sources: &sources, sender: &sender, asked: &asked, began: Instant::now() };
        telling.begin(&wanted);
        let decided = if arguments.watch {
            watch::watch(arguments, &source, &wanted, &asked).await
        } else {
            source.decide(&wanted, &asked).await
        };
        let conclusion = telling.end(&wanted, &decided);
        drop(sender);
        let kept = arguments.no_save || save::forbidden() || tell::keep(&wanted, &decided, &asked)?;
        let exit = if kept { Exit::from(conclusion) } else { Exit::from(conclusion).unreported() };
        match printing.await {
            Ok(Ok(())) => Ok(exit),
            Ok(Err(error)) => {
                writeln!(std::io::stderr(), "error: {error}")?;
                Ok(exit.unreported())
            }
            Err(panic) => Err(std::io::Error::other(panic)),
        }
    });
    runtime.shutdown_background();
    exit
}
