//! Receivers that misbehave on purpose, so that the way to them can be drilled.

use std::collections::BTreeMap;
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
    met: watch::Receiver<u64>,
}

impl Troubled {
    /// How many requests met the trouble so far.
    #[must_use]
    pub fn met(&self) -> u64 {
        *self.met.borrow()
    }

    /// Waits until `count` requests met it; `false` when the deadline came first.
    pub async fn meets(&mut self, count: u64, deadline: Instant) -> bool {
        matches!(timeout_at(deadline, self.met.wait_for(|met| *met >= count)).await, Ok(Ok(_)))
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
    met: watch::Sender<u64>,
}

impl Troubles {
    /// Makes `receiver` misbehave.
    pub(super) fn add(&self, receiver: &str, trouble: Trouble) -> Troubled {
        let (sender, met) = watch::channel(0);
        let mut number = 0;
        self.0.send_modify(|book| {
            book.last += 1;
            number = book.last;
            let entry = Entry { number, trouble, met: sender };
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
        entry.met.send_modify(|met| *met += 1);
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
        let first = troubles.add("pager", Trouble::Close);
        let second = troubles.add("pager", Trouble::Status(StatusCode::BAD_GATEWAY));
        assert_eq!(troubles.meet(Some("pager")).await, Some(Trouble::Status(StatusCode::BAD_GATEWAY)));
        assert_eq!((first.met(), second.met()), (0, 1));
        drop(second);
        assert_eq!(troubles.meet(Some("pager")).await, Some(Trouble::Close));
        assert_eq!(troubles.meet(Some("other")).await, None);
        drop(first);
        assert_eq!(troubles.meet(Some("pager")).await, None);
        assert_eq!(troubles.meet(None).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_let_go_when_the_trouble_ends() {
        let troubles = Troubles::default();
        let mut hang = troubles.add("pager", Trouble::Hang);
        let waiting = tokio::spawn({
            let troubles = troubles.clone();
            async move { troubles.meet(Some("pager")).await }
        });
        assert!(hang.meets(1, Instant::now() + Duration::from_secs(1)).await);
        assert!(!hang.meets(2, Instant::now() + Duration::from_secs(1)).await);
        drop(hang);
        assert_eq!(waiting.await.unwrap(), Some(Trouble::Close));
        let _slow = troubles.add("pager", Trouble::Slow(Duration::from_secs(5)));
        let began = Instant::now();
        assert_eq!(troubles.meet(Some("pager")).await, None);
        assert_eq!(began.elapsed(), Duration::from_secs(5));
    }
}
