//! The words of the command line.

mod access;
mod check;
mod clean;
mod completions;
mod coverage;
mod explain;
mod fault;
mod gate;
mod images;
mod incident;
mod init;
mod load;
mod manual;
mod mutate;
mod plan;
mod reach;
mod relay;
mod remote;
mod report;
mod rules;
mod run;
mod save;
mod schema;
mod serve;
mod simulate;
mod sink;
mod supervise;
mod up;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::exit::Exit;
use crate::finding::{Code, Finding, Findings};
use crate::plan::{Apart, Reading, Surroundings};
use crate::source::Sources;
use crate::stack::Choice;
use crate::yaml::{self, Entries};

/// Rehearse outages: probe, load, judge against SLOs.
#[derive(Debug, Parser)]
#[command(name = "firedrill", version, max_term_width = 100, after_help = AFTER)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,

    /// When to use colour
    // Its order would change with the number of verbs.
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, help_heading = "Output", display_order = 900)]
    color: Colour,
}

const AFTER: &str = "\
Exit codes: 0 pass, 1 fail, 2 usage or an invalid file, 3 inconclusive, 4 could not measure.

  firedrill run scenarios/quickstart.yaml     run a scenario
  firedrill load http://127.0.0.1:8080/       load a URL at 50 requests a second
  firedrill check scenarios/ slos/            read files without running anything";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run scenarios and judge them
    Run(Box<run::Arguments>),
    /// Load a URL and measure how it answers
    Load(Box<load::Arguments>),
    /// Decide by error budgets whether a deploy may go through
    Gate(Box<gate::Arguments>),
    /// Run scenarios again and again, with metrics, budgets and a status page
    Serve(Box<serve::Arguments>),
    /// Read files and report every problem in them; nothing is run
    Check(Box<check::Arguments>),
    /// Show what a run would do, without doing it
    Plan(plan::Arguments),
    /// Show a saved run again, write it in another format, or hold it against another run
    Report(report::Arguments),
    /// Print the JSON Schema of a kind of file, for editors
    Schema(schema::Arguments),
    /// Show which alerts are proven, by what, and which faults no alert sees
    Coverage(coverage::Arguments),
    /// Show which mistakes in the rules no drill would have caught
    Mutate(mutate::Arguments),
    /// Print SLOs as Prometheus rules: recording rules and burn-rate alerts
    Rules(rules::Arguments),
    /// Serve a stand-in from its profile until stopped
    Simulate(simulate::Arguments),
    /// Start a stack and hold it until stopped
    Up(up::Arguments),
    /// Break a stack that is held by `up`, by hand, and mend it again
    Fault(fault::Arguments),
    /// Remove what killed runs have left
    Clean,
    /// Be every receiver of an Alertmanager, and print what is delivered
    Sink(sink::Arguments),
    /// Record an outage that really was, replay it, and ask what other rules would have said
    Incident(Box<incident::Arguments>),
    /// Write a first scenario, SLO and drill for what answers at an address
    Init(init::Arguments),
    /// Say what a finding is, with an example
    Explain(explain::Arguments),
    /// Print what a shell needs to complete these words
    Completions(completions::Arguments),
    /// Write the manual pages
    Manual(manual::Arguments),
    /// Hand connections on as the relays of a stack do, to measure what that costs
    #[command(hide = true)]
    Relay(relay::Arguments),
    /// Stand over one process of a stack
    #[command(hide = true)]
    Supervise(supervise::Arguments),
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Colour {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// How a stack's services are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Runtime {
    /// In containers where an engine answers, else as processes
    Auto,
    /// In containers
    Containers,
    /// As processes, by programs from `PATH`
    Processes,
}

impl From<Runtime> for Choice {
    fn from(runtime: Runtime) -> Self {
        match runtime {
            Runtime::Auto => Self::Auto,
            Runtime::Containers => Self::Containers,
            Runtime::Processes => Self::Processes,
        }
    }
}

impl Colour {
    fn wanted(self, stream: &impl std::io::IsTerminal) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        }
    }
}

/// What several verbs read.
#[derive(Debug, Args)]
struct Input {
    /// Files, and folders that are searched for files
    #[arg(required = true, value_name = "PATH", help_heading = "Input")]
    paths: Vec<PathBuf>,

    /// A YAML file of secrets, NAME: value; the environment goes before it
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    secrets: Option<PathBuf>,
}

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    /// When standard output or error cannot be written.
    pub fn execute(self) -> std::io::Result<Exit> {
        match self.verb {
            Verb::Run(arguments) => run::execute(&arguments, self.color),
            Verb::Load(arguments) => load::execute(&arguments, self.color),
            Verb::Gate(arguments) => gate::execute(&arguments, self.color),
            Verb::Serve(arguments) => serve::execute(*arguments, self.color),
            Verb::Check(arguments) => check::execute(&arguments, self.color),
            Verb::Plan(arguments) => plan::execute(&arguments, self.color),
            Verb::Report(arguments) => report::execute(&arguments, self.color),
            Verb::Coverage(arguments) => coverage::execute(&arguments, self.color),
            Verb::Mutate(arguments) => mutate::execute(&arguments, self.color),
            Verb::Rules(arguments) => rules::execute(&arguments, self.color),
            Verb::Schema(arguments) => schema::execute(&arguments),
            Verb::Simulate(arguments) => simulate::execute(&arguments, self.color),
            Verb::Up(arguments) => up::execute(&arguments, self.color),
            Verb::Fault(arguments) => fault::execute(&arguments),
            Verb::Clean => clean::execute(),
            Verb::Sink(arguments) => sink::execute(&arguments, self.color),
            Verb::Incident(arguments) => incident::execute(&arguments, self.color),
            Verb::Init(arguments) => init::execute(&arguments, self.color),
            Verb::Explain(arguments) => explain::execute(&arguments),
            Verb::Completions(arguments) => completions::execute(&arguments),
            Verb::Manual(arguments) => manual::execute(&arguments),
            Verb::Relay(arguments) => relay::execute(&arguments),
            Verb::Supervise(arguments) => supervise::execute(arguments),
        }
    }
}

impl Input {
    /// Reads everything that is named.
    fn read(&self) -> Reading {
        match self.surroundings() {
            Ok(surroundings) => crate::plan::read(&self.paths, &surroundings),
            Err(reading) => *reading,
        }
    }

    /// Reads everything that is named, each file by itself.
    fn read_apart(&self) -> Vec<Apart> {
        match self.surroundings() {
            Ok(surroundings) => crate::plan::read_apart(&self.paths, &surroundings),
            Err(reading) => vec![(self.secrets.clone().unwrap_or_default(), *reading)],
        }
    }

    /// The world around the files; or a reading that says what is wrong with it.
    fn surroundings(&self) -> Result<Surroundings, Box<Reading>> {
        let mut surroundings = Surroundings { environment: environment(), ..Surroundings::default() };
        if let Some(path) = &self.secrets {
            surroundings.secrets = secrets(path).map_err(|(sources, findings)| {
                Box::new(Reading { sources, findings, counts: BTreeMap::new(), plan: None })
            })?;
        }
        Ok(surroundings)
    }
}

/// The environment; what is not text has no place in a scenario.
fn environment() -> BTreeMap<String, String> {
    let text = |text: std::ffi::OsString| text.into_string().ok();
    std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect()
}

/// Reads a secrets file.
fn secrets(path: &Path) -> Result<BTreeMap<String, String>, (Sources, Vec<Finding>)> {
    let mut sources = Sources::default();
    let mut findings = Findings::default();
    let (id, broken) = match sources.open_any(path) {
        Ok(opened) => opened,
        Err(error) => {
            let place = sources.add(path, "").place(0, 0);
            findings.add(Finding::new(
                Code::FileUnreadable,
                place,
                format!("the secrets file `{}` cannot be read: {error}", path.display()),
            ));
            return Err((sources, findings.in_reading_order()));
        }
    };
    if let Some(at) = broken {
        findings.add(Finding::new(Code::YamlEncoding, id.place(at, at), "the file is not UTF-8"));
        return Err((sources, findings.in_reading_order()));
    }
    let read = yaml::parse(id, &sources.file(id).text).and_then(|documents| match documents.first() {
        Some(document) => yaml::read::<Entries<String>>(document),
        None => Ok(Entries::default()),
    });
    match read {
        Ok(entries) => Ok(entries.into_iter().map(|(name, value)| (name.value, value)).collect()),
        // A drawing would show the lines around a mistake, and those are secrets.
        Err(all) => {
            let title = |finding: &Finding| {
                format!(
                    "the secrets file has a mistake ({}) in line {}",
                    finding.code,
                    sources.position(finding.place).line
                )
            };
            for finding in &all {
                findings.add(Finding::new(finding.code, id.place(0, 0), title(finding)));
            }
            let path = sources.file(id).path.clone();
            let mut blank = Sources::default();
            blank.add(path, "");
            Err((blank, findings.in_reading_order()))
        }
    }
}

/// The most findings that are drawn; whoever has more mends these first.
const MOST_DRAWN: usize = 200;

/// Draws findings to standard error.
fn draw(reading: &Reading, colour: Colour) -> std::io::Result<()> {
    let mut out = std::io::stderr().lock();
    let colour = colour.wanted(&out);
    for finding in reading.findings.iter().take(MOST_DRAWN) {
        writeln!(out, "{}\n", finding.draw(&reading.sources).render(colour))?;
    }
    match reading.findings.len().saturating_sub(MOST_DRAWN) {
        0 => Ok(()),
        more => writeln!(out, "and {}, not shown\n", count(more, "more finding")),
    }
}

/// A current-thread runtime does for everything but load; one more worker keeps it apart.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

/// `1 step`, `2 steps`.
fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
