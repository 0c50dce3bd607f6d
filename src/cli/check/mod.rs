//! `firedrill check`: every problem in files, without running anything.

mod audited;
mod expect;
mod stack;

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use self::audited::Audited;
use self::expect::Expected;
use super::reach::Reach;
use super::{Colour, Input, Runtime, count, draw, runtime};
use crate::audit::Runbooks;
use crate::exit::Exit;
use crate::finding::{Drawing, Severity};
use crate::plan::Reading;
use crate::report::github;
use crate::report::sarif::Sarif;
use crate::stack::containers::ImageMap;

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Files, and folders that are searched for files; Grafana's dashboards among them are audited
    #[arg(value_name = "PATH", required_unless_present_any = ["rules", "alertmanager"], help_heading = "Input")]
    paths: Vec<PathBuf>,

    /// A YAML file of secrets, NAME: value; the environment goes before it
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    secrets: Option<PathBuf>,

    /// A rule file of Prometheus to audit; may be given several times
    #[arg(long, value_name = "FILE", help_heading = "Audit")]
    rules: Vec<PathBuf>,

    /// Alertmanager's configuration, audited together with the rules
    #[arg(long, value_name = "FILE", help_heading = "Audit")]
    alertmanager: Option<PathBuf>,

    /// Prometheus's configuration, which says how often it looks and what labels it adds
    #[arg(long, value_name = "FILE", help_heading = "Audit")]
    prometheus: Option<PathBuf>,

    /// A Prometheus that scrapes what the rules are about: what it has is compared with what they ask for.
    /// `stack` brings up each stack that is named and takes it down again
    #[arg(long, value_name = "URL|stack", help_heading = "Audit")]
    against: Option<String>,

    #[command(flatten)]
    reach: Reach,

    /// How the services of a stack are run that is brought up
    #[arg(long, value_enum, default_value_t = Runtime::Auto, help_heading = "Audit", hide_short_help = true)]
    runtime: Runtime,

    /// A YAML file of images that are used in place of others
    #[arg(long, value_name = "FILE", help_heading = "Audit", hide_short_help = true)]
    image_map: Option<PathBuf>,

    /// Where the files stand that links to runbooks lead to; may be given several times. `http` fetches the pages of
    /// all other links
    #[arg(long, value_name = "URL-PREFIX=FOLDER|http", help_heading = "Audit")]
    runbooks: Vec<Books>,

    /// Findings that are known, each with its reason: pass exactly if all of them are there and no others. `--format
    /// expect` prints such a file, to be given reasons
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    expect: Option<PathBuf>,

    /// How to print findings
    #[arg(long, value_enum, default_value_t = Format::Text, help_heading = "Output")]
    format: Format,
}

/// Where links to runbooks are looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Books {
    /// Those that begin so, in a folder.
    Folder(Runbooks),
    /// All others, where they lead.
    Http,
}

impl std::str::FromStr for Books {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "http" => Ok(Self::Http),
            other => {
                let folder = other.parse().map_err(|_| "this is URL-PREFIX=FOLDER, or `http`")?;
                Ok(Self::Folder(folder))
            }
        }
    }
}

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Drawn in their files, on standard error
    Text,
    /// One JSON document on standard output
    Json,
    /// SARIF 2.1.0 on standard output, for code hosts and editors
    Sarif,
    /// A file for `--expect`, without its reasons
    Expect,
    /// GitHub's workflow commands on standard output, which it shows as annotations
    Github,
}

/// What `check --format json` prints.
#[derive(Debug, Serialize)]
struct Report {
    /// How many are errors.
    errors: usize,
    /// How many are warnings.
    warnings: usize,
    /// All of them, in reading order.
    findings: Vec<Drawing>,
}

pub(super) fn execute(arguments: &Arguments, colour: Colour) -> std::io::Result<Exit> {
    if let Some(why) = for_nobody(arguments) {
        return refuse(&why, Exit::Usage);
    }
    let known = match arguments.expect.as_deref().map(Expected::read).transpose() {
        Ok(known) => known,
        Err(why) => return refuse(&why, Exit::Usage),
    };
    let Some(images) = super::images::read(arguments.image_map.as_deref(), colour)? else {
        return Ok(Exit::Usage);
    };
    let (mut reading, audited) = match read(arguments, &images)? {
        Ok(read) => read,
        Err(why) => return refuse(&why, Exit::NotMeasured),
    };
    let Some(known) = known else { return tell(arguments, &reading, &audited, colour) };
    let difference = known.take_from(&mut reading);
    let mut err = std::io::stderr().lock();
    for gone in &difference.gone {
        writeln!(err, "{gone}\n")?;
    }
    drop(err);
    let (new, gone) = (reading.findings.len(), difference.gone.len());
    if new + gone > 0 {
        tell(arguments, &reading, &audited, colour)?;
    }
    let mut err = std::io::stderr().lock();
    if new + gone == 0 {
        writeln!(err, "as expected: {}", count(difference.same, "finding"))?;
        return Ok(Exit::Pass);
    }
    writeln!(err, "not as expected: {new} new, {gone} gone, {} as expected", difference.same)?;
    Ok(Exit::Fail)
}

/// Why what was said of how a Prometheus is reached would mean nothing.
fn for_nobody(arguments: &Arguments) -> Option<String> {
    let word = arguments.reach.said()?;
    let none = match arguments.against.as_deref() {
        None => "none is asked: give `--against URL`",
        Some(audited::STACK) => {
            "`--against stack` asks the stack's own, which lets everybody in: leave it out, or give `--against URL`"
        }
        Some(_) => return None,
    };
    Some(format!("`{word}` says how a Prometheus is reached, and {none}"))
}

fn refuse(why: &str, exit: Exit) -> std::io::Result<Exit> {
    writeln!(std::io::stderr(), "error: {why}")?;
    Ok(exit)
}

/// Tells what was found, and what that means.
fn tell(
    arguments: &Arguments,
    reading: &Reading,
    audited: &Audited,
    colour: Colour,
) -> std::io::Result<Exit> {
    let of = |severity| reading.findings.iter().filter(|finding| finding.code.severity() == severity).count();
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    match arguments.format {
        Format::Text => {
            draw(reading, colour)?;
            writeln!(std::io::stdout(), "{}", summary(reading, audited, errors, warnings))?;
        }
        Format::Json => {
            print(&Report { errors, warnings, findings: drawings(reading) })?;
        }
        Format::Sarif => print(&Sarif::of(&drawings(reading)))?,
        Format::Expect => print(&Expected::of(reading))?,
        Format::Github => {
            let mut out = std::io::stdout().lock();
            for finding in drawings(reading) {
                writeln!(out, "{}", github::of_finding(&finding))?;
            }
            writeln!(out, "{}", summary(reading, audited, errors, warnings))?;
        }
    }
    let invalid = reading.findings.iter().any(|finding| finding.code.makes_invalid());
    Ok(match (invalid, errors) {
        (true, _) => Exit::Usage,
        (false, 0) => Exit::Pass,
        (false, _) => Exit::Fail,
    })
}

/// Reads firedrill's own files, and audits the rules, routes and dashboards that are named or that stacks name.
fn read(arguments: &Arguments, images: &ImageMap) -> std::io::Result<Result<(Reading, Audited), String>> {
    let (paths, json) = audited::apart(&arguments.paths);
    let input = Input { paths, secrets: arguments.secrets.clone() };
    let mut reading = input.read();
    let runtime = runtime()?;
    let audited = runtime.block_on(Box::pin(audited::audit_all(arguments, images, &json, &mut reading)));
    Ok(audited.map(|audited| (reading, audited)))
}

fn drawings(reading: &Reading) -> Vec<Drawing> {
    reading.findings.iter().map(|finding| finding.draw(&reading.sources)).collect()
}

/// One JSON document on standard output.
fn print(document: &impl Serialize) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, document)?;
    writeln!(out)
}

/// `ok: 2 scenarios, 1 stack`, or how many problems there are.
fn summary(reading: &Reading, audited: &Audited, errors: usize, warnings: usize) -> String {
    let own = reading.counts.iter().map(|(kind, number)| (*number, format!("{} file", kind.name())));
    let others = [
        (audited.rules.len(), "rule file"),
        (audited.others.len(), "configuration"),
        (audited.dashboards.len(), "dashboard"),
    ];
    let others =
        others.into_iter().filter(|(number, _)| *number > 0).map(|(number, name)| (number, name.to_owned()));
    let files: Vec<_> = own.chain(others).map(|(number, name)| count(number, &name)).collect();
    let found = match (errors, warnings) {
        (_, 0) => count(errors, "error"),
        (0, _) => count(warnings, "warning"),
        (..) => format!("{} and {}", count(errors, "error"), count(warnings, "warning")),
    };
    match (files.join(", ").as_str(), errors) {
        ("", 0) => "ok: none of these files is firedrill's".to_owned(),
        ("", _) => found,
        (files, 0) if warnings == 0 => format!("ok: {files}"),
        (files, 0) => format!("ok with {found}: {files}"),
        (files, _) => format!("{found} in {files}"),
    }
}
