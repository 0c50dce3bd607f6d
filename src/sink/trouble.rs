//! Receivers that misbehave on purpose, so that the way to them can be drilled.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// How a receiver misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It answers with this status, and by SMTP that it cannot take mail for now.
    Status(StatusCode),
    /// It has too many requests (429) and says when to come again.
    TooMany(Duration),
    /// It answers as it should, so much later.
    Slow(Duration),
    /// It never answers.
    Hang,
    /// It closes the connection instead of answering.
    Close,
}

/// A receiver that misbehaves until this is dropped.
#[derive(Debug)]
pub struct Troubled {
    receiver: String,
    number: u64,
    troubles: Troubles,
    met: watch::Receiver<Met>,
}

/// The requests that met a trouble.
#[derive(Debug, Clone, Default)]
struct Met {
    count: u64,
    /// When the first of them came.
    at: Vec<Instant>,
}

/// Of how many requests the time is kept.
const KEPT: usize = 100;

impl Troubled {
    /// How many requests met the trouble so far.
    #[must_use]
    pub fn met(&self) -> u64 {
        self.met.borrow().count
    }

    /// When they did: the first hundred of them.
    #[must_use]
    pub fn times(&self) -> Vec<Instant> {
        self.met.borrow().at.clone()
    }

    /// Waits until `count` requests met it; `false` when the deadline came first.
    pub async fn meets(&mut self, count: u64, deadline: Instant) -> bool {
        matches!(timeout_at(deadline, self.met.wait_for(|met| met.count >= count)).await, Ok(Ok(_)))
    }
}

impl Drop for Troubled {
    fn drop(&mut self) {
        let number = self.number;
        self.troubles.0.send_modify(|book| {
            book.entries
                .entry(self.receiver.clone())
                .and_modify(|all| all.retain(|entry| entry.number != number));
            book.entries.retain(|_, all| !all.is_empty());
        });
    }
}

/// Who misbehaves, and how.
#[derive(Debug, Clone, Default)]
pub(super) struct Troubles(watch::Sender<Book>);

#[derive(Debug, Default)]
struct Book {
    last: u64,
    /// The latest of a receiver's counts.
    entries: BTreeMap<String, Vec<Entry>>,
}

#[derive(Debug, Clone)]
struct Entry {
    number: u64,
    trouble: Trouble,
    /// Only the first so many requests meet it.
    first: Option<NonZeroU64>,
    met: watch::Sender<Met>,
}

impl Troubles {
    /// Makes `receiver` misbehave, each time or the first so many times.
    pub(super) fn add(&self, receiver: &str, trouble: Trouble, first: Option<NonZeroU64>) -> Troubled {
        let (sender, met) = watch::channel(Met::default());
        let mut number = 0;
        self.0.send_modify(|book| {
            book.last += 1;
            number = book.last;
            let entry = Entry { number, trouble, first, met: sender };
            book.entries.entry(receiver.to_owned()).or_default().push(entry);
        });
        Troubled { receiver: receiver.to_owned(), number, troubles: self.clone(), met }
    }

    /// What a request to `receiver` meets: slowness and hanging are over when this returns, and hanging ends in a
    /// closed connection when the receiver no longer hangs.
    pub(super) async fn meet(&self, receiver: Option<&str>) -> Option<Trouble> {
        let receiver = receiver?;
        let mut book = self.0.subscribe();
        let entry = book.borrow_and_update().latest(receiver)?.clone();
        let is_met = entry.met.send_if_modified(|met| {
            let meets = entry.first.is_none_or(|first| met.count < first.get());
            if meets {
                met.count += 1;
                met.at.extend((met.at.len() < KEPT).then(Instant::now));
            }
            meets
        });
        if !is_met {
            return None;
        }
        let ends = |book: &Book| book.latest(receiver).is_none_or(|latest| latest.number != entry.number);
        match entry.trouble {
            Trouble::Status(_) | Trouble::TooMany(_) | Trouble::Close => Some(entry.trouble),
            Trouble::Slow(time) => {
                // Whoever waits is let through as soon as the receiver is well again.
                let _ = tokio::time::timeout(time, book.wait_for(ends)).await;
                None
            }
            Trouble::Hang => {
                let _ = book.wait_for(ends).await;
                Some(Trouble::Close)
            }
        }
    }
}

impl Book {
    fn latest(&self, receiver: &str) -> Option<&Entry> {
        self.entries.get(receiver)?.last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_latest_trouble_counts_until_it_is_dropped() {
        let troubles = Troubles::default();
        let first = troubles.add("pager", Trouble::Close, None);
        let second = troubles.add("pager", Trouble::Status(StatusCode::BAD_GATEWAY), None);
        assert_eq!(troubles.meet(Some("pager")).await, Some(Trouble::Status(StatusCode::BAD_GATEWAY)));
        assert_eq!((first.met(), second.met()), (0, 1));
        drop(second);
        assert_eq!(troubles.meet(Some("pager")).await, Some(Trouble::Close));
        assert_eq!(troubles.meet(Some("other")).await, None);
        drop(first);
        assert_eq!(troubles.meet(Some("pager")).await, None);
        assert_eq!(troubles.meet(None).await, None);
    }

    #[tokio::test]
    async fn the_first_few_meet_it_and_no_more() {
        let troubles = Troubles::default();
        let twice = troubles.add("pager", Trouble::Close, NonZeroU64::new(2));
        let mut met = Vec::new();
        for _ in 0..4 {
            met.push(troubles.meet(Some("pager")).await);
        }
        assert_eq!(met, [Some(Trouble::Close), Some(Trouble::Close), None, None]);
        assert_eq!((twice.met(), twice.times().len()), (2, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_let_go_when_the_trouble_ends() {
        let troubles = Troubles::default();
        let mut hang = troubles.add("pager", Trouble::Hang, None);
        let waiting = tokio::spawn({
            let troubles = troubles.clone();
            async move { troubles.meet(Some("pager")).await }
        });
        assert!(hang.meets(1, Instant::now() + Duration::from_secs(1)).await);
        assert!(!hang.meets(2, Instant::now() + Duration::from_secs(1)).await);
        drop(hang);
        assert_eq!(waiting.await.unwrap(), Some(Trouble::Close));
        let _slow = troubles.add("pager", Trouble::Slow(Duration::from_secs(5)), None);
        let began = Instant::now();
        assert_eq!(troubles.meet(Some("pager")).await, None);
        assert_eq!(began.elapsed(), Duration::from_secs(5));
    }
}
