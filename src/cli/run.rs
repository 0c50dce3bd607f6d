//! `firedrill run`: run scenarios and judge them.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::remote::RemoteWrite;
use super::{Colour, Input, Runtime, draw, runtime, save};
use crate::event::Sender;
use crate::exit::Exit;
use crate::load::Shard;
use crate::plan::Plan;
use crate::probe::policy::{Net, Policy};
use crate::report::live::Live;
use crate::report::terminal::Terminal;
use crate::report::{self, Format, Report, Style, Target};
use crate::run::{self, Jobs, Options};
use crate::source::Sources;

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    input: Input,

    /// How a stack's services are run
    #[arg(long, value_enum, default_value_t = Runtime::Auto, help_heading = "Run")]
    runtime: Runtime,

    /// A YAML file of images that are used in place of others: mirrors, or what a machine without a registry has
    #[arg(long, value_name = "FILE", help_heading = "Run", hide_short_help = true)]
    image_map: Option<PathBuf>,

    /// Run this many scenarios side by side, each with a stack of its own
    ///
    /// Nothing keeps apart what they do to the same target, and loads share this machine.
    #[arg(short, long, value_name = "NUMBER", default_value_t = Jobs::ONE, help_heading = "Run")]
    jobs: Jobs,

    /// Make what is random in stand-ins repeatable
    #[arg(long, value_name = "NUMBER", help_heading = "Run")]
    seed: Option<u64>,

    /// Connect to addresses of this network only; within a network that is closed by default, as those of cloud
    /// metadata are, open it instead. Repeatable
    #[arg(long, value_name = "CIDR", help_heading = "Run")]
    allow_net: Vec<Net>,

    /// Connect to no address of this network, whatever is allowed. Repeatable
    #[arg(long, value_name = "CIDR", help_heading = "Run")]
    deny_net: Vec<Net>,

    /// Load this host too, though it is not this machine: whoever runs it must have agreed. Repeatable
    #[arg(long, value_name = "HOST", help_heading = "Run")]
    allow_target: Vec<String>,

    /// Make only this part of every load, as 2/4: the second of four that share a schedule. What each measured,
    /// `firedrill report merge` adds up
    #[arg(
        long,
        value_name = "PART",
        default_value = "1/1",
        hide_default_value = true,
        help_heading = "Run",
        hide_short_help = true
    )]
    shard: Shard,

    /// Of an incident's folder: play it so many times faster than it was to a Prometheus and an Alertmanager;
    /// without it, its rules are evaluated in virtual time
    #[arg(long, value_name = "FACTOR", help_heading = "Run")]
    speed: Option<f64>,

    #[command(flatten)]
    remote: RemoteWrite,

    /// Also write a report: json=FILE (events, a line each), junit=FILE, tap=FILE, github=FILE (annotations, and
    /// the job summary where GitHub says where), github-summary=FILE (Markdown), gitlab=FILE (code quality),
    /// matrix=FILE (drilled alerts), html=FILE (a page); - is standard output
    #[arg(long = "report", value_name = "FORMAT=FILE", help_heading = "Output")]
    reports: Vec<Target>,

    /// Keep nothing of this run in `.firedrill`, where runs are saved to be compared with;
    /// `FIREDRILL_NO_SAVE=1` does the same
    #[arg(long, help_heading = "Output")]
    no_save: bool,

    /// Show no progress
    #[arg(short, long, help_heading = "Output")]
    quiet: bool,
}

pub(super) fn execute(arguments: &Arguments, colour: Colour) -> std::io::Result<Exit> {
    if let [only] = arguments.input.paths.as_slice()
        && super::incident::is_one(only)
    {
        return super::incident::again(only, arguments.speed);
    }
    if arguments.speed.is_some() {
        writeln!(
            std::io::stderr(),
            "error: `--speed` is for the folder of one incident; a scenario says `clock: {{ speed: … }}`"
        )?;
        return Ok(Exit::Usage);
    }
    let reading = arguments.input.read();
    draw(&reading, colour)?;
    let Some(plan) = reading.plan else { return Ok(Exit::Usage) };
    if plan.scenarios.is_empty() {
        writeln!(std::io::stderr(), "error: there is no scenario among these files")?;
        return Ok(Exit::Usage);
    }
    let Some(images) = super::images::read(arguments.image_map.as_deref(), colour)? else {
        return Ok(Exit::Usage);
    };
    let opened = open(&arguments.reports).map_err(|error| error.to_string());
    let (mut reports, remote) = match opened.and_then(|reports| Ok((reports, arguments.remote.report()?))) {
        Ok(opened) => opened,
        Err(error) => {
            writeln!(std::io::stderr(), "error: {error}")?;
            return Ok(Exit::Usage);
        }
    };
    reports.push(terminal(&arguments.reports, arguments.quiet, colour, Terminal::new));
    reports.extend(remote);
    let now = Timestamp::now();
    let id = new_id(now);
    let mut recordings = beside(&arguments.reports)?;
    if !arguments.no_save {
        let saved = save::reports(&id, now)?;
        recordings.extend((!saved.is_empty()).then(|| save::recordings(&id)));
        reports.extend(saved);
    }
    let policy = Policy::new(arguments.allow_net.clone(), arguments.deny_net.clone());
    let options = Options {
        id,
        started: now,
        seed: arguments.seed.unwrap_or_else(rand::random),
        policy: Arc::new(policy.with_targets(arguments.allow_target.clone())),
        traced: false,
        runtime: arguments.runtime.into(),
        images,
        shard: arguments.shard,
        program: std::env::current_exe()?,
        recordings,
        jobs: arguments.jobs,
    };
    perform(&plan, reading.sources, &options, reports)
}

/// Runs a plan and reports it, until it is done or somebody stops it; says how the worst of it ended.
pub(super) fn perform(
    plan: &Plan,
    sources: Sources,
    options: &Options,
    reports: Vec<Box<dyn Report>>,
) -> std::io::Result<Exit> {
    let runtime = runtime()?;
    let exit = runtime.block_on(async {
        let (stop, signals) = stop_on_signal();
        let (sender, events) = Sender::new(plan.mask.clone(), Instant::now());
        let printing = tokio::spawn(report::fan_out(events, reports));
        let conclusion = run::run(plan, Arc::new(sources), options, &sender, &stop).await;
        drop(sender);
        signals.abort();
        let written = printing.await;
        match written {
            Ok(Ok(())) => Ok(Exit::from(conclusion)),
            Ok(Err(error)) => {
                writeln!(std::io::stderr(), "error: {error}")?;
                Ok(Exit::from(conclusion).unreported())
            }
            Err(panic) => Err(std::io::Error::other(panic)),
        }
    });
    // A name that is still being looked up must not hold the process.
    runtime.shutdown_background();
    exit
}

/// Where what drills see is kept: beside each file of events. What another run has left there is removed.
fn beside(targets: &[Target]) -> std::io::Result<Vec<PathBuf>> {
    let events = targets.iter().filter(|target| target.format == Format::Json && !target.is_stdout());
    let beside = events.map(|target| target.path.with_extension(crate::dilation::ENDING));
    let beside: Vec<_> = beside.filter(|path| targets.iter().all(|target| target.path != *path)).collect();
    for path in &beside {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(beside)
}

/// Tells a run from others: when it began, and a number that another of the same second has not.
pub(super) fn new_id(now: Timestamp) -> String {
    format!("{}-{:06x}", now.strftime("%Y%m%dT%H%M%S"), rand::random::<u32>() >> 8)
}

/// Every report that was asked for; with annotations, also the job summary, where the runner says where it is.
pub(super) fn open(targets: &[Target]) -> Result<Vec<Box<dyn Report>>, report::Error> {
    report::apart(targets)?;
    let wanted = |format| targets.iter().any(|target| target.format == format);
    let mut reports = targets.iter().map(Target::open).collect::<Result<Vec<_>, _>>()?;
    let summary = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty());
    if let Some(path) = summary.filter(|_| wanted(Format::Github) && !wanted(Format::GithubSummary)) {
        reports.push(Target { format: Format::GithubSummary, path: path.into() }.append()?);
    }
    Ok(reports)
}

/// The report for people: results on standard output (on standard error where a report goes to the former), and
/// progress on standard error while somebody looks.
pub(super) fn terminal(
    targets: &[Target],
    quiet: bool,
    colour: Colour,
    new: impl FnOnce(Box<dyn std::io::Write + Send>, Style) -> Terminal,
) -> Box<dyn Report> {
    let (out, err) = (std::io::stdout(), std::io::stderr());
    let taken = targets.iter().any(Target::is_stdout);
    let on_out = style(colour.wanted(&out), out.is_terminal());
    let on_err = style(colour.wanted(&err), err.is_terminal());
    let live = (err.is_terminal() && !quiet).then(|| Live::new(Box::new(std::io::stderr()), on_err));
    let report = if taken { new(Box::new(err), on_err) } else { new(Box::new(out), on_out) };
    Box::new(match live {
        Some(live) => report.with_live(live),
        None => report,
    })
}

/// Prints for people, where the report for people goes.
pub(super) fn print_for(
    targets: &[Target],
    colour: Colour,
    print: impl FnOnce(Style) -> String,
) -> std::io::Result<()> {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    if targets.iter().any(Target::is_stdout) {
        let style = style(colour.wanted(&err), err.is_terminal());
        err.write_all(print(style).as_bytes())
    } else {
        let style = style(colour.wanted(&out), out.is_terminal());
        out.write_all(print(style).as_bytes())
    }
}

/// The report for people of what shows no progress.
pub(super) fn terminal_for(targets: &[Target], colour: Colour) -> Box<dyn Report> {
    terminal(targets, true, colour, Terminal::new)
}

/// How wide lines are where nobody's terminal says so.
const PIPE_WIDTH: usize = 100;

/// How to write on `stream`.
pub(super) fn style_of(colour: Colour, stream: &impl std::io::IsTerminal) -> Style {
    style(colour.wanted(stream), stream.is_terminal())
}

fn style(colour: bool, terminal: bool) -> Style {
    let known = terminal_size::terminal_size().filter(|_| terminal);
    Style { colour, width: known.map_or(PIPE_WIDTH, |(width, _)| usize::from(width.0)), unicode: unicode() }
}

/// Whether the locale says that signs outside ASCII can be shown; a bare `C` or `POSIX` does not.
fn unicode() -> bool {
    let said = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    said.is_none_or(|locale| locale.to_uppercase().contains("UTF"))
}

/// What Ctrl-C and SIGTERM cancel from now on, until the task beside it is aborted.
pub(super) fn stop_on_signal() -> (CancellationToken, JoinHandle<()>) {
    let stop = CancellationToken::new();
    let (signalled, stopped) = (signalled(), stop.clone());
    let signals = tokio::spawn(async move {
        signalled.await;
        stopped.cancel();
    });
    (stop, signals)
}

/// Notices Ctrl-C and SIGTERM from the moment it is called, and waits for the first of them.
pub(super) fn signalled() -> impl Future<Output = ()> + Send {
    use tokio::signal::unix::{SignalKind, signal};
    let noticed = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    async {
        let (Ok(mut interrupt), Ok(mut terminate)) = noticed else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}
