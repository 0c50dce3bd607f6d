//! The faults in force, and who must hear when they change.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use super::chance::Chance;
use super::effects::{Felt, Passed};
use crate::scenario::fault::traffic::Interference;

/// A fault in force.
#[derive(Debug)]
pub(super) struct Armed {
    /// Tells it from others of the same relay; from 1.
    pub(super) number: u64,
    pub(super) does: Interference,
    pub(super) felt: Felt,
    /// Where all connections share a bandwidth: when the next byte may pass, each way.
    pub(super) free: Mutex<Free>,
    seed: u64,
}

impl Armed {
    /// What chance this fault gives to a connection or a request.
    pub(super) fn chance(&self, subject: u64) -> Chance {
        Chance::new(self.seed, self.number, subject)
    }

    /// Whether it is done to requests, and not to bytes or connections.
    pub(super) fn is_of_requests(&self) -> bool {
        match self.does {
            Interference::Status(..)
            | Interference::Delay(..)
            | Interference::Abort(..)
            | Interference::Corrupt(_) => true,
            Interference::Latency(..)
            | Interference::Bandwidth(..)
            | Interference::Reset(_)
            | Interference::Blackhole(_)
            | Interference::Refuse
            | Interference::Slice(..)
            | Interference::Limit(..) => false,
        }
    }
}

/// When the next byte may pass, each way.
#[derive(Debug, Default)]
pub(super) struct Free {
    pub(super) up: Option<Instant>,
    pub(super) down: Option<Instant>,
}

/// All that the connections of a relay share.
#[derive(Debug, Default)]
pub(super) struct Force {
    faults: Mutex<Vec<Arc<Armed>>>,
    /// Raised with every change, so that a connection need not lock to see that there is none.
    version: AtomicU64,
    numbers: AtomicU64,
    /// Who must be woken at a change, by connection.
    wakers: Mutex<BTreeMap<u64, Arc<AtomicWaker>>>,
    pub(super) passed: Passed,
}

impl Force {
    /// The faults in force, oldest first.
    pub(super) fn faults(&self) -> Vec<Arc<Armed>> {
        lock(&self.faults).clone()
    }

    /// Another number with every change.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Puts a fault in force.
    pub(super) fn arm(&self, does: Interference, seed: u64) -> Arc<Armed> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        let armed = Arc::new(Armed { number, does, felt: Felt::default(), free: Mutex::default(), seed });
        lock(&self.faults).push(Arc::clone(&armed));
        armed
    }

    /// Lifts a fault.
    pub(super) fn disarm(&self, number: u64) {
        lock(&self.faults).retain(|armed| armed.number != number);
    }

    /// Whether a fault keeps the door shut.
    pub(super) fn refuses(&self) -> bool {
        lock(&self.faults).iter().any(|armed| armed.does == Interference::Refuse)
    }

    /// Tells every connection that the faults have changed.
    pub(super) fn spread_word(&self) {
        self.version.fetch_add(1, Ordering::Release);
        for waker in lock(&self.wakers).values() {
            waker.wake();
        }
    }

    /// Enters a connection that must be told.
    pub(super) fn enter(self: &Arc<Self>, connection: u64) -> Told {
        let waker = Arc::new(AtomicWaker::new());
        lock(&self.wakers).insert(connection, Arc::clone(&waker));
        Told { connection, waker, force: Arc::clone(self) }
    }
}

/// A connection that is told of changes, until this is dropped.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) connection: u64,
    pub(super) waker: Arc<AtomicWaker>,
    pub(super) force: Arc<Force>,
}

impl Drop for Told {
    fn drop(&mut self) {
        lock(&self.force.wakers).remove(&self.connection);
    }
}

/// What is guarded is whole after every statement: a panic elsewhere leaves nothing half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
