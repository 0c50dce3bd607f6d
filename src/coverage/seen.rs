//! What saved runs have seen of faults and their alerts: of each step, the newest run that took it counts.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use crate::event::{Drilled, Event, FaultStage, Outcome, Stamped};
use crate::report::json;

/// Saved runs that are looked at, the newest first.
const MOST_RUNS: usize = 500;

/// One step of one run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SeenStep {
    /// The run.
    pub run: String,
    /// Its alerts.
    pub drilled: Vec<Drilled>,
    /// Whether its fault took effect.
    pub felt: bool,
    /// Whether it passed.
    pub passed: bool,
}

/// Steps by scenario and name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    steps: BTreeMap<(String, String), SeenStep>,
    /// How many runs were read.
    pub runs: usize,
}

impl Seen {
    /// The newest that is known of a step.
    #[must_use]
    pub fn step(&self, scenario: &str, step: &str) -> Option<&SeenStep> {
        self.steps.get(&(scenario.to_owned(), step.to_owned()))
    }

    /// Takes in a run; one that is newer than all before.
    pub fn take(&mut self, events: impl IntoIterator<Item = Stamped>) {
        self.runs += 1;
        let mut run = String::new();
        let mut steps: BTreeMap<(String, String), SeenStep> = BTreeMap::new();
        for stamped in events {
            let (id, drilled, felt, passed) = match stamped.event {
                Event::RunStarted { run: id, .. } => {
                    run = id;
                    continue;
                }
                Event::Drilled { step, alert } => (step, Some(*alert), false, false),
                Event::Fault { step, stage: FaultStage::Felt, .. } => (step, None, true, false),
                Event::StepEnded { step, outcome, .. } => {
                    (step, None, false, matches!(outcome, Outcome::Passed | Outcome::Flaky))
                }
                Event::Fault { .. }
                | Event::ScenarioStarted { .. }
                | Event::ServiceStarting { .. }
                | Event::ServiceReady { .. }
                | Event::StackNoted { .. }
                | Event::NotMeasured { .. }
                | Event::StepStarted { .. }
                | Event::Attempted { .. }
                | Event::Loading { .. }
                | Event::Loaded { .. }
                | Event::Sampled { .. }
                | Event::Judged { .. }
                | Event::ScenarioEnded { .. }
                | Event::RunEnded { .. } => continue,
            };
            let step = steps.entry((id.scenario, id.name)).or_default();
            step.run.clone_from(&run);
            step.drilled.extend(drilled);
            step.felt |= felt;
            step.passed |= passed;
        }
        self.steps.extend(steps);
    }
}

/// What the runs saved in a folder have seen; what cannot be read is left out.
///
/// # Errors
/// When the folder cannot be read.
pub fn read_runs(folder: &Path) -> io::Result<Seen> {
    let entries = fs::read_dir(folder)?.filter_map(Result::ok).map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "jsonl")).collect();
    // Their names begin with when they began.
    files.sort();
    let mut seen = Seen::default();
    for path in files.iter().skip(files.len().saturating_sub(MOST_RUNS)) {
        let Ok(file) = File::open(path) else { continue };
        seen.take(json::read(BufReader::new(file)).map_while(Result::ok));
    }
    Ok(seen)
}
