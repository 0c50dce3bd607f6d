//! A run that was saved, read again as far as it goes.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use crate::event::{Event, Stamped};
use crate::report::compare::Comparison;
use crate::report::json;
use crate::report::record::Run;
use crate::statistics::Margin;

/// Broken lines that are named; the others are counted.
const MOST_NAMED: usize = 3;

/// How much of a saved run could be read.
#[derive(Debug, Default)]
pub struct Whole {
    /// Events that were read.
    pub events: u64,
    /// Whether the run's own end is among them.
    pub ended: bool,
    /// What could not be read, a sentence each.
    pub trouble: Vec<String>,
    broken: usize,
}

/// Why nothing of a saved run can be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its file cannot be opened.
    #[error("`{path}` cannot be read: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No line of it is an event.
    #[error(
        "`{path}` is no saved run: {why}; a run is saved by `--report json=FILE`, and in `.firedrill/runs`"
    )]
    NoRun {
        /// The file.
        path: PathBuf,
        /// What is there instead.
        why: String,
    },
    /// What is made of its events cannot be written.
    #[error("cannot write `{name}`: {source}")]
    Write {
        /// What was written.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Hands every event of a saved run to `take`, and says how much of it there was.
///
/// # Errors
/// When the file cannot be opened or holds no event; what `take` says.
pub fn read(path: &Path, mut take: impl FnMut(&Stamped) -> Result<(), Error>) -> Result<Whole, Error> {
    let file = File::open(path).map_err(|source| Error::Open { path: path.to_owned(), source })?;
    let mut whole = Whole::default();
    for event in json::read(BufReader::new(file)) {
        match event {
            Ok(stamped) => {
                whole.events += 1;
                whole.ended |= matches!(stamped.event, Event::RunEnded { cut: false, .. });
                take(&stamped)?;
            }
            Err(error) => whole.broken(&error),
        }
    }
    if whole.events == 0 {
        let why = whole.trouble.first().cloned().unwrap_or_else(|| "it is empty".to_owned());
        return Err(Error::NoRun { path: path.to_owned(), why });
    }
    if let Some(more) = whole.broken.checked_sub(MOST_NAMED).filter(|more| *more > 0) {
        whole.trouble.push(format!("and {more} more lines like these"));
    }
    if !whole.ended {
        whole
            .trouble
            .push("it has no end: the run was cut off, and what it had yet to do is not known".to_owned());
    }
    Ok(whole)
}

impl Whole {
    fn broken(&mut self, error: &json::Error) {
        self.broken += 1;
        if self.broken <= MOST_NAMED {
            self.trouble.push(error.to_string());
        }
    }
}

/// Holds the run at `now` against the one at `before`.
///
/// # Errors
/// When either cannot be read.
pub fn compare(now: &Path, before: &Path, margin: Margin) -> Result<Comparison, Error> {
    let record = |path: &Path| {
        let mut run = Run::keeping_latencies();
        read(path, |stamped| {
            run.take(stamped);
            Ok(())
        })?;
        if run.id.is_empty() {
            run.id = path.display().to_string();
        }
        Ok::<_, Error>(run)
    };
    Ok(Comparison::of(&record(now)?, &record(before)?, margin))
}
