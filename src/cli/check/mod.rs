//! `firedrill check`: every problem in files, without running anything.

mod audited;

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use self::audited::Audited;
use super::{Colour, Input, count, draw, runtime};
use crate::audit::{Runbooks, Unseen};
use crate::exit::Exit;
use crate::finding::{Drawing, Severity};
use crate::plan::Reading;
use crate::report::github;
use crate::report::sarif::Sarif;

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
    /// `FIREDRILL_PROMETHEUS_TOKEN` is a bearer token for it
    #[arg(long, value_name = "URL", help_heading = "Audit")]
    against: Option<String>,

    /// Where the files stand that links to runbooks lead to; may be given several times
    #[arg(long, value_name = "URL-PREFIX=FOLDER", help_heading = "Audit")]
    runbooks: Vec<Runbooks>,

    /// How to print findings
    #[arg(long, value_enum, default_value_t = Format::Text, help_heading = "Output")]
    format: Format,
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
    let (reading, audited) = match read(arguments)? {
        Ok(read) => read,
        Err(error) => {
            writeln!(std::io::stderr(), "error: {error}")?;
            return Ok(Exit::NotMeasured);
        }
    };
    let of = |severity| reading.findings.iter().filter(|finding| finding.code.severity() == severity).count();
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    match arguments.format {
        Format::Text => {
            draw(&reading, colour)?;
            writeln!(std::io::stdout(), "{}", summary(&reading, &audited, errors, warnings))?;
        }
        Format::Json => {
            print(&Report { errors, warnings, findings: drawings(&reading) })?;
        }
        Format::Sarif => print(&Sarif::of(&drawings(&reading)))?,
        Format::Github => {
            let mut out = std::io::stdout().lock();
            for finding in drawings(&reading) {
                writeln!(out, "{}", github::of_finding(&finding))?;
            }
            writeln!(out, "{}", summary(&reading, &audited, errors, warnings))?;
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
fn read(arguments: &Arguments) -> std::io::Result<Result<(Reading, Audited), Unseen>> {
    let (paths, json) = audited::apart(&arguments.paths);
    let input = Input { paths, secrets: arguments.secrets.clone() };
    let mut reading = input.read();
    let runtime = runtime()?;
    let audited = runtime.block_on(Box::pin(audited::audit_all(arguments, &json, &mut reading)));
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
