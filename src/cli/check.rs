//! `firedrill check`: every problem in files, without running anything.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{Colour, Input, count, draw};
use crate::audit::{self, Files};
use crate::exit::Exit;
use crate::finding::{Drawing, Findings, Severity};
use crate::plan::{Plan, PlannedStack, Reading};
use crate::report::github;
use crate::report::sarif::Sarif;

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Files, and folders that are searched for files
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
    let (reading, audited) = read(arguments);
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

/// Reads firedrill's own files, and audits the rules and routes that are named or that their stacks name.
fn read(arguments: &Arguments) -> (Reading, Audited) {
    let input = Input { paths: arguments.paths.clone(), secrets: arguments.secrets.clone() };
    let mut reading = input.read();
    let Arguments { rules, alertmanager, prometheus, .. } = arguments;
    let named =
        Files { rules: rules.clone(), alertmanager: alertmanager.clone(), prometheus: prometheus.clone() };
    let mut all: Vec<Files> = [named].into_iter().filter(|named| *named != Files::default()).collect();
    for files in reading.plan.iter().flat_map(Plan::all_stacks).map(files_of) {
        if files != Files::default() && !all.contains(&files) {
            all.push(files);
        }
    }
    let mut audited = Audited::default();
    for files in all {
        audited.rules.extend(files.rules.iter().cloned());
        audited.others.extend(files.alertmanager.iter().chain(&files.prometheus).cloned());
        let mut findings = Findings::default();
        let (subject, ids) = audit::read(&files, &mut reading.sources, &mut findings);
        audit::audit(&subject, &reading.sources, &mut findings);
        let kept = audit::suppress(findings.in_reading_order(), &ids, &reading.sources);
        reading.findings.extend(kept);
    }
    (reading, audited)
}

/// Files of others that were audited.
#[derive(Debug, Default)]
struct Audited {
    rules: BTreeSet<PathBuf>,
    others: BTreeSet<PathBuf>,
}

/// What a stack's Prometheus and Alertmanager are given, as it is in production.
fn files_of(stack: &PlannedStack) -> Files {
    Files {
        rules: stack.prometheus.as_ref().map(|one| one.others.clone()).unwrap_or_default(),
        alertmanager: stack.alertmanager.as_ref().map(|one| one.file.clone()),
        prometheus: stack.prometheus.as_ref().map(|one| one.file.clone()),
    }
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
    let others = [(audited.rules.len(), "rule file"), (audited.others.len(), "configuration")];
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
