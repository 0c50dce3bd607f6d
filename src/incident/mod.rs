//! Incidents: what a Prometheus saw of an outage, kept in a folder of its own, evaluated again by a real Prometheus,
//! and asked what other rules would have said.

mod alias;
mod drill;
mod episode;
mod estimate;
mod fetch;
mod folder;
mod from_run;
mod live;
mod loss;
mod page;
mod record;
mod rehearse;
mod replay;
mod rules;
mod sent;
mod timeline;
mod traffic;
mod unfinished;

pub use self::alias::Hidden;
pub use self::drill::{Drill, Expected};
pub use self::episode::{Agreement, Episode, agreement};
pub use self::folder::{FILE, Incident, Manifest, slo_files, subject};
pub use self::from_run::{Wanted, from_run};
pub use self::live::{Live, live, untold};
pub use self::loss::{Laid, Loss, selectors};
pub use self::page::{Page, pages};
pub use self::record::{Asked, Progress, record};
pub use self::rehearse::{Rehearsal, Rehearsing, path_from, rehearse};
pub use self::replay::{Replayed, replay};
pub use self::traffic::Traffic;

use std::path::PathBuf;

use crate::{dilation, prometheus, stack};

/// Why an incident cannot be recorded or replayed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A Prometheus or an Alertmanager does not answer.
    #[error(transparent)]
    Prometheus(#[from] prometheus::Error),
    /// A rule cannot be followed through virtual time.
    #[error(transparent)]
    Course(#[from] dilation::Error),
    /// The Prometheus that evaluates does not come up.
    #[error(transparent)]
    Stack(#[from] stack::Error),
    /// A file of the folder cannot be read or written.
    #[error("`{path}`: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of the folder is not what it should be.
    #[error("`{path}` is no file of an incident that can be read: {why}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It would be more than is allowed.
    #[error(
        "{samples} samples would be recorded, and at most {most} are; the largest: {largest}. Ask for a shorter time, for fewer rules by `--service`, or for more by `--most-samples`"
    )]
    TooMuch {
        /// About how many there are.
        samples: u64,
        /// How many are allowed.
        most: u64,
        /// The selectors that give the most.
        largest: String,
    },
    /// What is asked for cannot be done, and why.
    #[error("{0}")]
    Refused(String),
    /// There is nothing to record.
    #[error("{0}")]
    Nothing(String),
}
