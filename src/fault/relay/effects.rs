//! What a relay has done: the proof that a fault took effect.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// What has passed through a relay, and what its faults did to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    /// Connections accepted so far.
    pub connections: u64,
    /// Of those, how many are open.
    pub open: u64,
    /// Of those, how many found no service behind the relay.
    pub unanswered: u64,
    /// Bytes handed on to the service.
    pub up: u64,
    /// Bytes handed on to clients.
    pub down: u64,
    /// HTTP/1 requests seen.
    pub requests: u64,
    /// What each fault has done that is in force, by its number.
    pub faults: BTreeMap<u64, Effect>,
}

/// What one fault has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effect {
    /// Connections it was given to, by chance and direction.
    pub connections: u64,
    /// Requests it was given to, likewise.
    pub requests: u64,
    /// Bytes it held back, for a time or until it is lifted.
    pub delayed: u64,
    /// Connections it cut.
    pub cut: u64,
    /// Requests it answered.
    pub answered: u64,
    /// Answers it changed.
    pub corrupted: u64,
    /// Whether nothing listens because of it.
    pub refusing: bool,
}

impl Effect {
    /// Whether anybody could have noticed.
    #[must_use]
    pub fn is_felt(&self) -> bool {
        self.refusing || self.delayed + self.cut + self.answered + self.corrupted > 0
    }
}

impl fmt::Display for Effect {
    /// In words, what is not nothing: `3 connections, 1200 bytes held back`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.connections, "connection", "connections", ""),
            (self.requests, "request", "requests", ""),
            (self.delayed, "byte", "bytes", " held back"),
            (self.cut, "connection", "connections", " cut"),
            (self.answered, "request", "requests", " answered"),
            (self.corrupted, "answer", "answers", " spoilt"),
        ];
        let counts = counts.into_iter().filter(|(count, ..)| *count > 0);
        let mut said: Vec<_> = counts
            .map(|(count, one, more, done)| format!("{count} {}{done}", if count == 1 { one } else { more }))
            .collect();
        said.extend(self.refusing.then(|| "nobody is let in".to_owned()));
        if said.is_empty() { f.write_str("no connection") } else { f.write_str(&said.join(", ")) }
    }
}

/// A count that many connections add to.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }

    pub(super) fn one(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn take(&self, less: usize) {
        self.0.fetch_sub(less as u64, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What has passed so far.
#[derive(Debug, Default)]
pub(super) struct Passed {
    pub(super) connections: Count,
    pub(super) open: Count,
    pub(super) unanswered: Count,
    pub(super) up: Count,
    pub(super) down: Count,
    pub(super) requests: Count,
    /// Bytes held by all connections at this moment.
    pub(super) held: Count,
}

/// What one fault does, while it does.
#[derive(Debug, Default)]
pub(super) struct Felt {
    pub(super) connections: Count,
    pub(super) requests: Count,
    pub(super) delayed: Count,
    pub(super) cut: Count,
    pub(super) answered: Count,
    pub(super) corrupted: Count,
}

impl Felt {
    pub(super) fn effect(&self, refusing: bool) -> Effect {
        Effect {
            connections: self.connections.get(),
            requests: self.requests.get(),
            delayed: self.delayed.get(),
            cut: self.cut.get(),
            answered: self.answered.get(),
            corrupted: self.corrupted.get(),
            refusing,
        }
    }
}
