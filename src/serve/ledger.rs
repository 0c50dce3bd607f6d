//! Samples on their way to the store: added up by the minute, written when the minute is over, kept when they
//! cannot be.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::histogram::{Fine, Histogram};
use super::state::count;
use crate::sli::{Bucket, Counts, Folded, Within};
use crate::store::{Error, Store};

/// The most minutes of SLIs that wait for a store that cannot be written; the oldest are given up for more.
const MOST_WAITING: usize = 100_000;

/// What SLIs were fed, until it is in the store.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Accounts>);

#[derive(Debug, Default)]
struct Accounts {
    /// By when the minute began, in seconds since 1970, and SLI.
    waiting: BTreeMap<(i64, String), Folded>,
    totals: BTreeMap<String, Total>,
    health: Health,
}

/// What an SLI was fed since the start.
#[derive(Debug, Clone, Default)]
pub(super) struct Total {
    pub(super) counts: Counts,
    /// Latencies against each limit that an objective compares with, exactly.
    pub(super) within: BTreeMap<Duration, Counts>,
    pub(super) latency: Histogram,
    pub(super) fine: Fine,
}

/// How the writing goes.
#[derive(Debug, Clone, Default)]
pub(super) struct Health {
    /// Minutes of SLIs that are not written yet.
    pub(super) waiting: usize,
    /// When something was last written.
    pub(super) written: Option<Timestamp>,
    /// How often writing failed.
    pub(super) failures: u64,
    /// Samples that were given up.
    pub(super) lost: u64,
    /// Why writing failed last; nothing when it went well since.
    pub(super) trouble: Option<String>,
}

impl Ledger {
    /// An SLI that may be fed from now on.
    pub(super) fn know(&self, sli: &str) {
        self.accounts().totals.entry(sli.to_owned()).or_default();
    }

    /// Adds to the minute of an SLI.
    pub(super) fn add(&self, sli: &str, minute: i64, samples: &Folded) {
        let mut accounts = self.accounts();
        let total = accounts.totals.entry(sli.to_owned()).or_default();
        total.add(samples);
        accounts.waiting.entry((minute, sli.to_owned())).or_default().merge(samples);
        accounts.give_up();
    }

    /// Writes every minute that began before `now`'s, or with `all` also that one, and says whether there was any.
    pub(super) fn write(&self, store: &mut Store, now: Timestamp, all: bool) -> Result<bool, Error> {
        let current = now.as_second().div_euclid(60) * 60;
        let over: BTreeMap<_, _> = {
            let mut accounts = self.accounts();
            let waiting = std::mem::take(&mut accounts.waiting);
            // A clock that was set back leaves minutes that are still to come; they are over nevertheless.
            let (over, rest) = waiting.into_iter().partition(|((minute, _), _)| all || *minute != current);
            accounts.waiting = rest;
            over
        };
        if over.is_empty() {
            return Ok(false);
        }
        let written =
            store.add_all(over.iter().map(|((minute, sli), samples)| (sli.as_str(), *minute, samples)));
        let mut accounts = self.accounts();
        match written {
            Ok(()) => {
                (accounts.health.written, accounts.health.trouble) = (Some(now), None);
                Ok(true)
            }
            Err(error) => {
                for (key, samples) in over {
                    accounts.waiting.entry(key).or_default().merge(&samples);
                }
                accounts.give_up();
                count(&mut accounts.health.failures, 1);
                accounts.health.trouble = Some(error.to_string());
                Err(error)
            }
        }
    }

    /// How many samples are not in the store.
    pub(super) fn unwritten(&self) -> u64 {
        self.accounts().waiting.values().map(|samples| samples.counts.valid()).sum()
    }

    /// What each SLI was fed since the start.
    pub(super) fn totals(&self) -> BTreeMap<String, Total> {
        self.accounts().totals.clone()
    }

    pub(super) fn health(&self) -> Health {
        let accounts = self.accounts();
        Health { waiting: accounts.waiting.len(), ..accounts.health.clone() }
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Total {
    fn add(&mut self, samples: &Folded) {
        self.counts = self.counts.plus(samples.counts);
        for Within { nanos, counts } in &samples.within {
            let mine = self.within.entry(Duration::from_nanos(*nanos)).or_default();
            *mine = mine.plus(*counts);
        }
        for Bucket { nanos, count } in &samples.latency {
            self.latency.record_all(Duration::from_nanos(*nanos), *count);
            self.fine.record_all(Duration::from_nanos(*nanos), *count);
        }
    }
}

impl Accounts {
    fn give_up(&mut self) {
        while self.waiting.len() > MOST_WAITING {
            let Some((_, samples)) = self.waiting.pop_first() else { return };
            count(&mut self.health.lost, samples.counts.valid());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(good: u64, bad: u64) -> Folded {
        Folded { counts: Counts { good, bad }, ..Folded::default() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn stored(store: &Store) -> Vec<(i64, Counts)> {
        let slices = store.slices("shop", at(0), at(100_000)).unwrap();
        slices.into_iter().map(|slice| (slice.start.as_second(), slice.counts)).collect()
    }

    #[test]
    fn a_minute_is_written_once_it_is_over() {
        let folder = std::env::temp_dir().join(format!("firedrill-ledger-{}", std::process::id()));
        let mut store = Store::open(&folder.join("store.db")).unwrap();
        let ledger = Ledger::default();
        ledger.add("shop", 600, &samples(3, 1));
        ledger.add("shop", 660, &samples(2, 0));
        assert!(ledger.write(&mut store, at(661), false).unwrap());
        assert_eq!(stored(&store), [(600, Counts { good: 3, bad: 1 })]);
        assert!(!ledger.write(&mut store, at(662), false).unwrap());
        // Late ones of the minute before, and the end.
        ledger.add("shop", 600, &samples(0, 1));
        assert!(ledger.write(&mut store, at(663), true).unwrap());
        assert_eq!(stored(&store), [(600, Counts { good: 3, bad: 2 }), (660, Counts { good: 2, bad: 0 })]);
        assert_eq!(ledger.totals()["shop"].counts, Counts { good: 5, bad: 2 });
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_clock_that_is_set_back_counts_nothing_twice() {
        let folder = std::env::temp_dir().join(format!("firedrill-back-{}", std::process::id()));
        let mut store = Store::open(&folder.join("store.db")).unwrap();
        let ledger = Ledger::default();
        ledger.add("shop", 7200, &samples(2, 0));
        assert!(ledger.write(&mut store, at(7260), false).unwrap());
        ledger.add("shop", 7260, &samples(1, 0));
        // An hour back: the minute under way is over, and those that come once more add up.
        ledger.add("shop", 3660, &samples(1, 1));
        assert!(ledger.write(&mut store, at(3661), false).unwrap());
        ledger.add("shop", 7200, &samples(3, 0));
        assert!(ledger.write(&mut store, at(7261), false).unwrap());
        let all = [
            (3660, Counts { good: 1, bad: 1 }),
            (7200, Counts { good: 5, bad: 0 }),
            (7260, Counts { good: 1, bad: 0 }),
        ];
        assert_eq!(stored(&store), all);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_cannot_be_written_waits_and_is_not_counted_twice() {
        let folder = std::env::temp_dir().join(format!("firedrill-waiting-{}", std::process::id()));
        let path = folder.join("store.db");
        let mut store = Store::open(&path).unwrap();
        let other = rusqlite::Connection::open(&path).unwrap();
        other.execute_batch("ALTER TABLE slice RENAME TO away").unwrap();
        let ledger = Ledger::default();
        ledger.add("shop", 600, &samples(3, 1));
        assert!(ledger.write(&mut store, at(700), false).is_err());
        let health = ledger.health();
        assert_eq!((health.waiting, health.failures, health.lost), (1, 1, 0));
        assert_eq!(ledger.unwritten(), 4);
        other.execute_batch("ALTER TABLE away RENAME TO slice").unwrap();
        assert!(ledger.write(&mut store, at(701), false).unwrap());
        assert_eq!(stored(&store), [(600, Counts { good: 3, bad: 1 })]);
        assert!(ledger.health().trouble.is_none());
        assert_eq!(ledger.unwritten(), 0);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
