//! `firedrill check`: every problem in files, without running anything.

use std::io::Write as _;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{Colour, Input, count, draw};
use crate::exit::Exit;
use crate::finding::{Drawing, Severity};
use crate::plan::Reading;
use crate::report::github;
use crate::report::sarif::Sarif;

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    input: Input,

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
    let reading = arguments.input.read();
    let of = |severity| reading.findings.iter().filter(|finding| finding.code.severity() == severity).count();
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    match arguments.format {
        Format::Text => {
            draw(&reading, colour)?;
            writeln!(std::io::stdout(), "{}", summary(&reading, errors, warnings))?;
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
            writeln!(out, "{}", summary(&reading, errors, warnings))?;
        }
    }
    Ok(if errors > 0 { Exit::Usage } else { Exit::Pass })
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
fn summary(reading: &Reading, errors: usize, warnings: usize) -> String {
    let files: Vec<_> = reading
        .counts
        .iter()
        .map(|(kind, number)| count(*number, &format!("{} file", kind.name())))
        .collect();
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
