//! The one who has the store: writes minutes that are over, thins what is old, and says how budgets stand.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::clock::{Clock, Jumps};
use super::ledger::Ledger;
use super::{Notice, Notices};
use crate::gate::Known;
use crate::history::{Look, Read, Wanted, known, own};
use crate::slo::{RunMeasure, Slo};
use crate::store::{Error, Retention, Store};
use crate::units::Ratio;

/// How often it is looked whether a minute is over.
const LOOK: Duration = Duration::from_secs(1);

/// How often old minutes become hours.
const THIN: Duration = Duration::from_secs(3600);

/// How an objective stands.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) slo: String,
    /// Its name for people.
    pub(super) display: String,
    pub(super) objective: String,
    pub(super) target: Ratio,
    pub(super) known: Known,
    /// Which of our samples it is judged by; `None` where others, or several, are.
    pub(super) measure: Option<RunMeasure>,
}

/// How every objective stands, for whoever looks.
#[derive(Debug, Default)]
pub(super) struct Standings(Mutex<(Vec<Standing>, Option<Timestamp>)>);

impl Standings {
    /// All of them, and when that was so.
    pub(super) fn all(&self) -> (Vec<Standing>, Option<Timestamp>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, all: Vec<Standing>, now: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (all, Some(now));
    }
}

/// What the keeper is told.
#[derive(Debug)]
pub(super) enum Order {
    /// These SLOs are watched from now on.
    Watch(Vec<Slo>),
    /// Write everything and end.
    End,
}

/// Keeps the store until it is told to end, or nobody is left to tell it.
pub(super) struct Keeper {
    store: Store,
    pub(super) ledger: Arc<Ledger>,
    pub(super) standings: Arc<Standings>,
    pub(super) jumps: Arc<Jumps>,
    notices: Notices,
    slos: Vec<Slo>,
}

impl Keeper {
    pub(super) fn open(path: &Path, notices: Notices) -> Result<Self, Error> {
        let (ledger, standings) = (Arc::default(), Arc::default());
        let store = Store::open(path)?;
        store.is_writable()?;
        Ok(Self { store, ledger, standings, jumps: Arc::default(), notices, slos: Vec::new() })
    }

    /// Blocks until the end, and says how many samples could not be written by then.
    pub(super) fn keep(mut self, orders: &Receiver<Order>) -> u64 {
        let mut thinned: Option<Instant> = None;
        let mut minute = 0;
        let (mut clock, began) = (Clock::default(), Instant::now());
        loop {
            let order = orders.recv_timeout(LOOK);
            let now = Timestamp::now();
            if let Some(far) = clock.look(now, began.elapsed()) {
                self.jumps.note(now, far);
                self.notices.send(Notice::Clock { seconds: far.as_secs() });
            }
            let end = match order {
                Ok(Order::Watch(slos)) => {
                    self.slos = slos;
                    minute = 0;
                    false
                }
                Ok(Order::End) | Err(RecvTimeoutError::Disconnected) => true,
                Err(RecvTimeoutError::Timeout) => false,
            };
            let wrote = self.write(now, end);
            if end {
                return self.ledger.unwritten();
            }
            if thinned.is_none_or(|at| at.elapsed() > THIN) {
                thinned = Some(Instant::now());
                if let Err(error) = self.store.thin(now, Retention::default()) {
                    self.notices.send(Notice::Store { error: error.to_string() });
                }
            }
            if wrote || now.as_second() / 60 != minute {
                minute = now.as_second() / 60;
                self.look(now);
            }
        }
    }

    fn write(&mut self, now: Timestamp, all: bool) -> bool {
        let troubled = self.ledger.health().trouble;
        match self.ledger.write(&mut self.store, now, all) {
            Ok(wrote) => {
                if wrote && troubled.is_some() {
                    self.notices.send(Notice::StoreMended);
                }
                wrote
            }
            Err(error) => {
                let error = error.to_string();
                // Said once, not every second.
                if troubled.as_ref() != Some(&error) {
                    self.notices.send(Notice::Store { error });
                }
                false
            }
        }
    }

    fn look(&self, now: Timestamp) {
        let look = Look::at(now);
        let of = |wanted: Wanted<'_>| {
            let reads: Result<Vec<Read>, Error> =
                wanted.parts.iter().map(|part| own::part(&self.store, &wanted, part, &look)).collect();
            let known = match reads {
                Ok(reads) => known(&wanted, &look, &reads),
                Err(error) => Known::Nothing(error.to_string()),
            };
            Standing {
                slo: wanted.slo.name.value.clone(),
                display: wanted.slo.display.clone().unwrap_or_else(|| wanted.slo.name.value.clone()),
                objective: wanted.objective(),
                target: wanted.target(),
                known,
                measure: match wanted.parts.as_slice() {
                    [only] => only.over_run().ok(),
                    _ => None,
                },
            }
        };
        let standings = Wanted::of(&self.slos).into_iter().map(of).collect();
        self.standings.set(standings, now);
    }
}
