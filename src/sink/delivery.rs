//! What was delivered: by whom it was to be heard, what it said, and what was wrong with it.

use std::collections::BTreeMap;
use std::fmt::Display;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use tokio::time::Instant;

use super::line::Line;
use super::message::Message;
use super::problem::{self, Problem};
use super::vendor::Kind;

/// How much of a body and of a text is kept, in bytes.
const LARGEST: usize = 64 << 10;

/// One notification that arrived and was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// From 1, in the order they came.
    pub number: u64,
    /// When its last byte had come.
    #[serde(serialize_with = "shown")]
    pub at: Timestamp,
    /// The same on the clock that measures.
    #[serde(skip)]
    pub heard: Instant,
    /// The receiver it was sent to; none where Alertmanager was not re-addressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receiver: Option<String>,
    /// By which of its integrations.
    pub kind: Kind,
    /// Which of those of the same kind, from 0, as Alertmanager counts them.
    pub index: usize,
    /// Whether it says that alerts fire, or that they are over.
    pub status: Status,
    /// What it has in common with the notice that ends it.
    pub key: Key,
    /// Who within the receiver: a channel, a room, an address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Its title, subject or summary.
    pub title: String,
    /// What it says.
    pub text: String,
    /// The alerts in it, where the vendor's payload has them or its text lists them as the default templates do.
    pub alerts: Vec<Alert>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
    /// The body as it came, as text; cut off after 64 KiB.
    pub raw: String,
}

/// Whether an alert fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It fires.
    Firing,
    /// It is over.
    Resolved,
    /// The message does not say.
    Unsaid,
}

/// What pairs the notice of an alert with that of its end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// The vendor's own key: a `dedup_key`, an alias, an entity.
    Vendor(String),
    /// The vendor has none: the title, or else the text, without what tells firing from resolved.
    Said(String),
}

/// An alert as a message has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// Whether it fires.
    pub status: Status,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

impl Delivery {
    /// What came over `line` and read as `message`.
    pub(super) fn new(line: &Line, message: Message, raw: &[u8]) -> Self {
        let (status, key) = (message.status(), message.key());
        let raw = String::from_utf8_lossy(&raw[..raw.len().min(LARGEST)]).into_owned();
        Self {
            number: 0,
            at: Timestamp::now(),
            heard: Instant::now(),
            receiver: line.receiver.clone(),
            kind: line.kind,
            index: line.index,
            status,
            key,
            problems: problem::find(&message),
            to: message.to.filter(|to| !to.is_empty()),
            title: cut(message.title.trim()),
            text: cut(message.text.trim()),
            alerts: message.alerts,
            raw,
        }
    }

    /// Whether both were sent by one integration about one thing: a notice and what ends it, or a repetition.
    #[must_use]
    pub fn pairs_with(&self, other: &Self) -> bool {
        (&self.receiver, self.kind, self.index, &self.key)
            == (&other.receiver, other.kind, other.index, &other.key)
    }
}

fn cut(text: &str) -> String {
    let end = (0..=LARGEST.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text[..end].to_owned()
}

fn shown<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
