//! Alerts that were drilled, system by system, in Markdown: who was told, and when, against when it may be.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

use crate::event::{Conclusion, Drilled};
use crate::ladder::Rung;
use crate::report::drill::{in_time, proof, reached};
use crate::report::record::{Run, Scenario};
use crate::report::style::Style;
use crate::report::summary::markdown;
use crate::report::verdict;

/// The columns, each with what of an alert stands in it.
const COLUMNS: [(&str, Rung); 5] = [
    ("pending", Rung::Pending),
    ("firing", Rung::Firing),
    ("told", Rung::Delivered),
    ("cleared", Rung::Cleared),
    ("told so", Rung::Resolved),
];

/// Writes a run that is over.
pub(crate) fn write(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(document(run).as_bytes())
}

fn document(run: &Run) -> String {
    let mut systems: BTreeMap<String, Vec<&Scenario>> = BTreeMap::new();
    for scenario in &run.scenarios {
        systems.entry(system(&scenario.file)).or_default().push(scenario);
    }
    let mut page = String::new();
    if let Some(said) = verdict::not_whole(run) {
        let _ = writeln!(page, "**Not whole.** {said}");
    }
    for (system, scenarios) in systems {
        let rows: String = scenarios.iter().map(|scenario| of_scenario(scenario)).collect();
        if rows.is_empty() {
            continue;
        }
        let gap = if page.is_empty() { "" } else { "\n" };
        let heads = COLUMNS.map(|(head, _)| head).join(" | ");
        let _ = write!(
            page,
            "{gap}### {}\n\n| alert | while | {heads} | proof |\n|---|---|---|---|---|---|---|---|\n{rows}",
            markdown(&system)
        );
    }
    page
}

/// The system that a scenario is about: the folder that it is in.
fn system(file: &str) -> String {
    let folder = Path::new(file).parent().and_then(Path::file_name);
    folder.map_or_else(|| "scenarios".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn of_scenario(scenario: &Scenario) -> String {
    let mut rows = String::new();
    for step in scenario.steps.values() {
        // What fired beside what was drilled is the report's, and comes and goes with the traffic.
        for drilled in step.drilled.iter().filter(|drilled| !drilled.stranger) {
            rows += &of_alert(&step.id.name, drilled);
        }
    }
    // A scenario that went wrong otherwise must not pass for one whose alerts are all there is to it.
    if !rows.is_empty() && scenario.conclusion() != Conclusion::Pass {
        let _ =
            writeln!(rows, "| | {} | | | | | | |", markdown(&verdict::of_scenario(scenario, Style::FILE)));
    }
    rows
}

fn of_alert(step: &str, drilled: &Drilled) -> String {
    let cells = COLUMNS.map(|(_, rung)| cell(drilled, rung)).join(" | ");
    let proof = match drilled.broken {
        None => proof(drilled),
        Some(rung) => format!("broke at rung {} of {}: {rung}", rung.number(), Rung::ALL.len()),
    };
    format!("| {} | {} | {cells} | {} |\n", markdown(&drilled.alert), markdown(step), markdown(&proof))
}

fn cell(drilled: &Drilled, rung: Rung) -> String {
    let mut said = reached(drilled, rung).unwrap_or_else(|| "–".to_owned());
    if let Some(in_time) = in_time(drilled).filter(|_| rung == Rung::Delivered) {
        let _ = write!(said, ", {in_time}");
    }
    markdown(&said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::report::fixture::{events, written};
    use crate::report::whole::Whole;

    #[test]
    fn a_run_that_was_cut_off_says_so() {
        let mut cut = events();
        cut.retain(|one| !matches!(one.event, Event::RunEnded { .. }));
        let page = written(|out| Whole::new("alerts.md".into(), out, write), &cut);
        assert!(page.starts_with("**Not whole.** This run was cut off"), "{page}");
    }

    #[test]
    fn drilled_alerts_are_rows_of_their_system() {
        insta::assert_snapshot!(written(|out| Whole::new("alerts.md".into(), out, write), &events()));
    }
}
