//! An empty Prometheus on which recordings are laid, one behind the other in time, so that none sees another.

use std::path::PathBuf;

use jiff::Timestamp;

use super::course::Error;
use super::recording::Recording;
use super::stamp::{Manner, Stamped, stamp};
use crate::prometheus::Client;
use crate::stack;
use crate::stack::processes::scratch::Scratch;

/// How far back the first recording begins; Prometheus takes nothing that is to come.
const BACK: i64 = 400 * 86_400_000;

/// What lies between two recordings.
const APART: i64 = 86_400_000;

/// The Prometheus.
#[derive(Debug)]
pub struct Bench {
    scratch: Scratch,
    /// The next recording begins after this.
    free: i64,
    now: i64,
}

impl Bench {
    /// Starts it, for the run of this name; `supervisor` is the firedrill program.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(run: &str, supervisor: PathBuf, now: Timestamp) -> Result<Self, stack::Error> {
        let now = now.as_millisecond();
        Ok(Self { scratch: Scratch::start(run, supervisor).await?, free: now - BACK, now })
    }

    /// Asks it.
    #[must_use]
    pub fn client(&self) -> &Client {
        self.scratch.client()
    }

    /// Lays a recording on it, stamped in a manner. `None` where there is no more room.
    ///
    /// # Errors
    /// When it does not take what is written.
    pub async fn lay(&mut self, recording: &Recording, manner: &Manner) -> Result<Option<Stamped>, Error> {
        let stamped = stamp(recording, manner, self.free);
        if stamped.ended > self.now {
            return Ok(None);
        }
        self.free = stamped.ended + APART;
        self.client().write(&stamped.tracks).await?;
        Ok(Some(stamped))
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.scratch.folder()
    }

    /// Ends it.
    pub async fn end(self) {
        self.scratch.end().await;
    }
}
