//! Saves a run while it goes on: its events come in, rows go out.

use std::io;
use std::path::Path;

use jiff::Timestamp;

use super::{Error, Retention, Store};
use crate::event::{Event, Stamped};
use crate::report::Report;

/// Writes what a run measured and concluded into a store.
pub struct Recorder {
    store: Store,
    name: String,
    /// Where the run's events are written.
    file: Option<String>,
    run: String,
    now: Timestamp,
}

impl Recorder {
    /// Writes to the store at `path`, which is made if it is not there; `now` is for what is too old to keep.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn new(path: &Path, file: Option<String>, now: Timestamp) -> Result<Self, Error> {
        let name = path.display().to_string();
        Ok(Self { store: Store::open(path)?, name, file, run: String::new(), now })
    }
}

impl Report for Recorder {
    fn name(&self) -> &str {
        &self.name
    }

    fn take(&mut self, stamped: &Stamped) -> io::Result<()> {
        let run = &self.run;
        let done = match &stamped.event {
            Event::RunStarted { run, version, started } => {
                self.run.clone_from(run);
                self.store.begin(run, started, version, self.file.as_deref())
            }
            Event::Sampled { scenario, sli, minute, samples } => {
                self.store.measured(run, scenario, sli, *minute, samples)
            }
            Event::Judged { scenario, slo, objective, judgement, .. } => {
                self.store.judged(run, scenario, (slo, objective), judgement)
            }
            Event::RunEnded { conclusion, interrupted, .. } => {
                // What somebody stopped is no run to compare with, whatever it had come to.
                let ended = if *interrupted { Ok(()) } else { self.store.end(run, *conclusion) };
                ended.and_then(|()| self.store.thin(self.now, Retention::default()))
            }
            Event::ScenarioStarted { .. }
            | Event::ServiceStarting { .. }
            | Event::ServiceReady { .. }
            | Event::StackNoted { .. }
            | Event::NotMeasured { .. }
            | Event::StepStarted { .. }
            | Event::Attempted { .. }
            | Event::Loading { .. }
            | Event::Loaded { .. }
            | Event::Drilled { .. }
            | Event::Fault { .. }
            | Event::StepEnded { .. }
            | Event::ScenarioEnded { .. } => Ok(()),
        };
        done.map_err(io::Error::other)
    }

    fn close(&mut self) -> io::Result<()> {
        Ok(())
    }
}
