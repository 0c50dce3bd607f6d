//! One target that is probed again and again.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::document::Target;
use crate::exposition::Family;
use crate::serve::house::House;
use crate::serve::probe;
use crate::serve::schedule::Schedule;
use crate::serve::state::count;

/// What is known of a target.
#[derive(Debug, Clone, Default)]
pub(in crate::serve) struct Seen {
    /// The series of the last probe.
    pub(in crate::serve) families: Vec<Family>,
    /// When it began.
    pub(in crate::serve) at: Option<Timestamp>,
    /// Why it failed, if it did.
    pub(in crate::serve) why: Option<String>,
    pub(in crate::serve) good: u64,
    pub(in crate::serve) bad: u64,
    /// Times it was due while it was still being probed.
    pub(in crate::serve) missed: u64,
}

/// A target that is probed until it is ended.
pub(super) struct Patrol {
    seen: Arc<Mutex<Seen>>,
    closing: CancellationToken,
}

impl Patrol {
    pub(super) fn begin(target: Target, house: Arc<House>) -> Self {
        let patrol = Self { seen: Arc::default(), closing: CancellationToken::new() };
        let (seen, closing) = (Arc::clone(&patrol.seen), patrol.closing.clone());
        tokio::spawn(async move { closing.run_until_cancelled(go_on(target, house, seen)).await });
        patrol
    }

    pub(super) fn end(&self) {
        self.closing.cancel();
    }

    pub(super) fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn go_on(target: Target, house: Arc<House>, seen: Arc<Mutex<Seen>>) {
    let name: Vec<&str> = target.labels.values().map(String::as_str).collect();
    let schedule = Schedule::new(&name.join("\0"), target.every);
    let (start, clock) = (Instant::now(), Timestamp::now());
    let since_1970 = clock.duration_since(Timestamp::UNIX_EPOCH).unsigned_abs();
    let (mut due, mut upcoming) = schedule.first(since_1970);
    loop {
        let intended = start + due + schedule.jitter(rand::random());
        sleep_until(intended).await;
        house.delayed(intended.elapsed());
        let at = Timestamp::now();
        let modules = house.modules();
        let probed = match modules.get(&target.module) {
            Some(module) => Some(probe::regularly(&target, module, house.policy()).await),
            // It was there when the list was read; the list is read again soon.
            None => None,
        };
        let next = Schedule::from(upcoming, schedule.every(), start.elapsed());
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((families, why)) = probed {
            count(if why.is_none() { &mut seen.good } else { &mut seen.bad }, 1);
            (seen.families, seen.why, seen.at) = (families, why, Some(at));
        }
        count(&mut seen.missed, next.missed);
        (due, upcoming) = (next.at, next.at + schedule.every());
    }
}
