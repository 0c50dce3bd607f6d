//! Drills: what alerts do while a fault holds and after it was lifted, rung by rung, timed and explained.

mod alertmanager;
mod burn;
mod dilate;
mod dissect;
mod early;
mod explain;
mod hurry;
mod join;
mod means;
mod quiet;
mod rehearse;
mod report;
mod restart;
mod route;
mod untold;
mod verdict;
mod watch;
mod why;

use std::time::Duration;

use jiff::Timestamp;

pub(crate) use self::dilate::FEWEST;
pub use self::dilate::{Extent, Lapse, Virtual, evaluate, follow, manners};
pub(crate) use self::dissect::{unfiltered, with_bool};
pub(crate) use self::explain::{near, shown_values};
pub(crate) use self::join::in_the_way;
pub use self::means::{Circumstances, Means};
pub use self::quiet::{Spell, quiet, settle};
pub use self::rehearse::{Drill, Ended, Error, Known, Report};
pub(crate) use self::route::{ask_route, led_away};
pub use self::watch::Message;
use crate::prometheus::{self, Client};

/// What a drill measures with.
#[derive(Debug, Clone)]
pub struct Instruments {
    /// The stack's Prometheus.
    pub prometheus: Client,
    /// The address of its Alertmanager, where there is one.
    pub alertmanager: Option<String>,
    /// How often rules are evaluated, in wall time.
    pub evaluated_every: Duration,
    /// How often targets are scraped, in wall time.
    pub scraped_every: Duration,
}

/// Looks are taken no more often, and no more seldom, than this.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Instruments {
    /// The pause between two looks: two in each evaluation.
    fn pause(&self) -> Duration {
        (self.evaluated_every / 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
    }

    /// When the Prometheus that answers now was started, where it says so.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) async fn started(&self) -> Result<Option<Timestamp>, prometheus::Error> {
        Ok(self.prometheus.runtime().await?.data.start_time)
    }

    /// The time by Prometheus's own clock, which stamps everything that is compared with it.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn time(&self) -> Result<Timestamp, prometheus::Error> {
        self.prometheus.time().await
    }
}
