//! Recordings of drills, kept with the saved run: one JSON object a line.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::recording::{Recorded, Recording};

/// What follows a run's name in that of the file.
pub const ENDING: &str = "recordings";

/// Recordings of so many runs are looked at, the newest first.
const MOST_RUNS: usize = 200;

/// A larger recording is not kept.
const MOST_SAMPLES: usize = 400_000;

/// Longer lines are not read.
const LONGEST: u64 = 64 << 20;

/// A recording, and whose it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The scenario's part of its run: the run's id, and a number behind it.
    #[serde(default)]
    pub run: String,
    /// The scenario.
    pub scenario: String,
    /// The step that broke something.
    pub step: String,
    /// What was scraped.
    pub recording: Recording,
    /// The series `ALERTS` of the stack's Prometheus, at the drill's pace.
    #[serde(default)]
    pub alerts: Vec<Recorded>,
    /// The rules and the routing that the drill was of.
    #[serde(default)]
    pub house: Option<House>,
}

/// Rules and routing as they are in production.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct House {
    /// Rule files by name, in the order in which they are loaded.
    pub rules: Vec<(String, String)>,
    /// Alertmanager's configuration, without secrets and with receivers that lead nowhere.
    pub routing: Option<String>,
    /// How often rules are evaluated whose group does not say, in milliseconds of rule time.
    pub evaluated_every: u64,
    /// How often targets are scraped, in milliseconds of rule time.
    pub scraped_every: u64,
}

/// Adds a recording to a run's file. One that is too large is left out, which is said by `false`.
///
/// # Errors
/// When the file cannot be written.
pub fn keep(path: &Path, kept: &Kept) -> io::Result<bool> {
    if kept.recording.samples() > MOST_SAMPLES {
        return Ok(false);
    }
    let mut line = serde_json::to_vec(kept)?;
    line.push(b'\n');
    File::options().create(true).append(true).open(path)?.write_all(&line)?;
    Ok(true)
}

/// The newest recording of each step of each scenario, by both their names.
///
/// # Errors
/// When the folder cannot be read.
pub fn read(folder: &Path) -> io::Result<BTreeMap<(String, String), Recording>> {
    let entries = fs::read_dir(folder)?.filter_map(Result::ok).map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == ENDING)).collect();
    // Their names begin with when they began.
    files.sort();
    let mut found = BTreeMap::new();
    for path in files.iter().skip(files.len().saturating_sub(MOST_RUNS)) {
        for Kept { scenario, step, recording, .. } in read_one(path)? {
            found.insert((scenario, step), recording);
        }
    }
    Ok(found)
}

/// Every recording of one file, in the order in which they were kept.
///
/// # Errors
/// When the file cannot be read.
pub fn read_one(path: &Path) -> io::Result<Vec<Kept>> {
    let mut file = BufReader::new(File::open(path)?);
    let mut all = Vec::new();
    loop {
        let mut line = Vec::new();
        if file.by_ref().take(LONGEST).read_until(b'\n', &mut line)? == 0 {
            return Ok(all);
        }
        // A line that was cut off, or is of another version, says nothing.
        all.extend(serde_json::from_slice::<Kept>(&line).ok());
    }
}
