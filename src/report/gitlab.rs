//! GitLab's code quality report: a JSON list of what was not as it should be, shown in merge requests.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use crate::finding::Severity;
use crate::report::problem::{self, Problem};
use crate::report::record::Run;
use crate::report::text::cut;

/// Columns of a description.
const LONGEST: usize = 1000;

/// Writes a run that is over.
pub(crate) fn write(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let mut seen = BTreeMap::new();
    let problems = problem::of_run(run);
    let entries: Vec<_> = problems.iter().map(|problem| Entry::of(problem, &mut seen)).collect();
    serde_json::to_writer_pretty(&mut *out, &entries)?;
    out.write_all(b"\n")
}

/// One entry of the report, by GitLab's names.
#[derive(Serialize)]
struct Entry {
    description: String,
    check_name: String,
    fingerprint: String,
    severity: &'static str,
    location: Location,
}

#[derive(Serialize)]
struct Location {
    path: String,
    lines: Lines,
}

#[derive(Serialize)]
struct Lines {
    begin: usize,
}

impl Entry {
    /// `seen` counts problems that are alike: each needs a fingerprint of its own.
    fn of(problem: &Problem, seen: &mut BTreeMap<String, usize>) -> Self {
        let (path, begin) = match &problem.spot {
            Some(spot) => (spot.path.clone(), spot.line),
            None => (".".to_owned(), 1),
        };
        let Problem { what, kind, said, notes, .. } = problem;
        let parts = [path.as_str(), what, kind];
        let alike = seen.entry(problem::fingerprint(&parts)).or_default();
        *alike += 1;
        let number = alike.to_string();
        let said = std::iter::once(said).chain(notes).map(String::as_str).collect::<Vec<_>>();
        let description = format!("{what}: {}", said.join("; "));
        Self {
            description: cut(&description, LONGEST, "…").into_owned(),
            check_name: kind.clone(),
            fingerprint: problem::fingerprint(&[parts.as_slice(), &[&number]].concat()),
            severity: match problem.severity {
                Severity::Warning => "minor",
                Severity::Error => "critical",
            },
            location: Location { path, lines: Lines { begin } },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::event::{Event, Stamped};
    use crate::report::fixture::{events, hostile_events, written};
    use crate::report::text::steers;
    use crate::report::whole::Whole;

    fn report(events: &[Stamped]) -> String {
        written(|out| Whole::new("quality.json".into(), out, write), events)
    }

    fn fingerprints(text: &str) -> Vec<String> {
        let entries: Vec<Value> = serde_json::from_str(text).unwrap();
        entries.iter().map(|entry| entry["fingerprint"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_problem_is_an_entry() {
        insta::assert_snapshot!(report(&events()));
    }

    #[test]
    fn a_fingerprint_tells_problems_apart_but_not_runs() {
        let first = fingerprints(&report(&events()));
        assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), first.len());
        let mut later = events();
        for stamped in &mut later {
            stamped.at += 1_000_000;
            if let Event::Loaded { failures, .. } | Event::Attempted { failures, .. } = &mut stamped.event {
                for failure in failures {
                    failure.drawing.title = "another number was measured".into();
                    failure.drawing.excerpts[0].line += 7;
                }
            }
        }
        assert_eq!(fingerprints(&report(&later)), first);
    }

    #[test]
    fn nothing_a_target_sends_breaks_the_file() {
        let text = report(&hostile_events());
        assert!(!fingerprints(&text).is_empty());
        assert!(!text.contains(|sign| sign != '\n' && steers(sign)), "{text}");
    }
}
