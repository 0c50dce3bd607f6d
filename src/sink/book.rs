//! The deliveries that are kept: the latest, within bounds, for those who ask and those who wait.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::delivery::Delivery;

/// How many deliveries are kept, and how many bytes of them.
const MOST: usize = 10_000;
const LARGEST: usize = 256 << 20;

/// What was delivered.
#[derive(Debug, Default)]
pub(super) struct Book(watch::Sender<Pages>);

#[derive(Debug, Default)]
struct Pages {
    last: u64,
    kept: VecDeque<(usize, Arc<Delivery>)>,
    weight: usize,
}

impl Book {
    /// Enters a delivery that is about `weight` bytes, and gives it its number.
    pub(super) fn enter(&self, mut delivery: Delivery, weight: usize) {
        self.0.send_modify(|pages| {
            pages.last += 1;
            delivery.number = pages.last;
            pages.weight += weight;
            pages.kept.push_back((weight, Arc::new(delivery)));
            while pages.kept.len() > MOST || (pages.weight > LARGEST && pages.kept.len() > 1) {
                let Some((weight, _)) = pages.kept.pop_front() else { break };
                pages.weight -= weight;
            }
        });
    }

    /// Forgets all; numbers go on.
    pub(super) fn clear(&self) {
        self.0.send_modify(|pages| {
            pages.kept.clear();
            pages.weight = 0;
        });
    }

    /// All that are kept.
    pub(super) fn all(&self) -> Vec<Arc<Delivery>> {
        self.0.borrow().kept.iter().map(|(_, delivery)| Arc::clone(delivery)).collect()
    }

    /// The first that is `wanted`, of those kept or still to come; `None` when the deadline comes first.
    pub(super) async fn wait_for(
        &self,
        mut wanted: impl FnMut(&Delivery) -> bool,
        deadline: Instant,
    ) -> Option<Arc<Delivery>> {
        let mut pages = self.0.subscribe();
        let (mut seen, mut found) = (0, None);
        let wait = pages.wait_for(|pages| {
            let fresh =
                pages.kept.iter().map(|(_, delivery)| delivery).filter(|delivery| delivery.number > seen);
            found = fresh.clone().find(|delivery| wanted(delivery)).cloned();
            seen = pages.last;
            found.is_some()
        });
        let _ = timeout_at(deadline, wait).await;
        found
    }

    /// The next after that of the number `last`, whenever it comes.
    pub(super) async fn next(&self, last: u64) -> Option<Arc<Delivery>> {
        let mut pages = self.0.subscribe();
        let next = |pages: &Pages| {
            pages.kept.iter().map(|(_, delivery)| delivery).find(|delivery| delivery.number > last).cloned()
        };
        let pages = pages.wait_for(|pages| next(pages).is_some()).await.ok()?;
        next(&pages)
    }
}
