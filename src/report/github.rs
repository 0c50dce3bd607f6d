//! GitHub's workflow commands: an annotation in the user's file for each thing that was not as it should be.
//!
//! A runner reads them from what a job prints: `--report github=-`, or a file that a later step prints. It shows
//! ten errors and ten warnings of a step; the job summary (`github-summary`) has them all.

use std::io::{self, Write};

use crate::finding::{Drawing, Severity};
use crate::report::problem::{self, Problem, Spot};
use crate::report::record::Run;
use crate::report::style::Style;
use crate::report::text::{cut, on_one_line};
use crate::report::verdict;

/// Columns of a line of an annotation.
const LONGEST_LINE: usize = 1000;

/// Lines of an annotation.
const MOST_LINES: usize = 8;

/// Writes a run that is over.
pub(crate) fn write(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    for problem in problem::of_run(run) {
        writeln!(out, "{}", of_problem(&problem))?;
    }
    let verdict = [verdict::of_run(run, Style::FILE)];
    writeln!(out, "{}", command("notice", None, "firedrill", &verdict))
}

fn of_problem(problem: &Problem) -> String {
    let lines: Vec<_> = std::iter::once(&problem.said).chain(&problem.notes).cloned().collect();
    command(word(problem.severity), problem.spot.as_ref(), &problem.what, &lines)
}

/// The annotation of a finding in a file that was checked.
#[must_use]
pub fn of_finding(finding: &Drawing) -> String {
    let title = finding.code.as_deref().unwrap_or("firedrill");
    let lines: Vec<_> = std::iter::once(on_one_line(&finding.title)).chain(problem::notes(finding)).collect();
    command(word(finding.severity), Spot::of(finding).as_ref(), title, &lines)
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// `::error file=a.yaml,line=3,…::text`.
fn command(word: &str, spot: Option<&Spot>, title: &str, lines: &[String]) -> String {
    let mut properties = Vec::new();
    if let Some(Spot { path, line, column, end }) = spot {
        // The last column is meant, not the one after it.
        let last = end.saturating_sub(1).max(*column);
        properties.push(format!("file={},line={line},col={column},endColumn={last}", property(path)));
    }
    properties.push(format!("title={}", property(&cut(title, LONGEST_LINE, "…"))));
    let lines: Vec<_> = lines.iter().take(MOST_LINES).map(|line| cut(line, LONGEST_LINE, "…")).collect();
    format!("::{word} {}::{}", properties.join(","), data(&lines.join("\n")))
}

/// Text as the message of a command: nothing in it can end the line or begin another command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Text as the value of a command's property.
fn property(text: &str) -> String {
    data(&on_one_line(text)).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Stamped;
    use crate::report::fixture::{HOSTILE, drawing, events, hostile_events, written};
    use crate::report::text::steers;
    use crate::report::whole::Whole;

    fn commands(events: &[Stamped]) -> String {
        written(|out| Whole::new("annotations.txt".into(), out, write), events)
    }

    #[test]
    fn every_problem_is_an_annotation_in_its_file() {
        insta::assert_snapshot!(commands(&events()));
    }

    #[test]
    fn a_run_that_was_cut_off_is_an_error() {
        let mut events = events();
        events.truncate(3);
        assert!(commands(&events).lines().any(|line| line.starts_with("::error ")));
    }

    #[test]
    fn nothing_a_target_sends_begins_a_command_of_its_own() {
        let commands = commands(&hostile_events());
        assert!(commands.lines().all(|line| line.starts_with("::")), "{commands}");
        assert!(!commands.contains(|sign| sign != '\n' && steers(sign)), "{commands}");
    }

    #[test]
    fn what_has_a_meaning_in_a_command_is_encoded() {
        let finding = drawing("a,b:c%.yaml", "x: 1\n", "1", "50% of\n::error::these", "");
        insta::assert_snapshot!(of_finding(&finding), @"::error file=a%2Cb%3Ac%25.yaml,line=1,col=4,endColumn=4,title=firedrill::50%25 of ::error::these");
        assert!(of_finding(&drawing(HOSTILE, "x: 1\n", "1", HOSTILE, HOSTILE)).lines().count() == 1);
    }
}
