//! A vendor's payload, read: what one who is told would see.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::delivery::{Alert, Key, Status};
use super::listing;

/// What one delivery says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// Where the payload has a field for it.
    pub(super) told: Option<Status>,
    /// The vendor's key.
    pub(super) vendor_key: Option<String>,
    /// A channel, room or address.
    pub(super) to: Option<String>,
    /// Title, subject or summary.
    pub(super) title: String,
    /// All else that is shown.
    pub(super) text: String,
    /// Those in the payload; else those that the text lists.
    pub(super) alerts: Vec<Alert>,
    /// Every text of the payload, shown or not.
    pub(super) texts: Vec<String>,
    /// Whether it ends something and need not say anything.
    pub(super) wordless: bool,
}

/// What tells firing from resolved in templates.
static MARK: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::unwrap_used, reason = "the pattern is a constant, and a test uses it")]
    Regex::new(r"(?i)\[(?:firing(?::\d+)?|resolved(?::\d+)?)\]|\b(?:alerts?\s+)?(?:firing|resolved)\b:?")
        .unwrap()
});

impl Message {
    /// With the alerts that the text lists, where the payload has none of its own.
    pub(super) fn listed(mut self) -> Self {
        if self.alerts.is_empty() {
            self.alerts = listing::read(&self.text);
        }
        self
    }

    /// What the payload tells, or else its title, or else its text.
    pub(super) fn status(&self) -> Status {
        let told = self.told.or_else(|| status_in(&self.title)).or_else(|| status_in(&self.text));
        told.unwrap_or(Status::Unsaid)
    }

    /// The vendor's key, or what remains of title, alerts or text without what tells the status.
    pub(super) fn key(&self) -> Key {
        if let Some(key) = self.vendor_key.as_ref().filter(|key| !key.is_empty()) {
            return Key::Vendor(key.clone());
        }
        let title = bare(&self.title);
        if !title.is_empty() {
            return Key::Said(title);
        }
        if self.alerts.is_empty() {
            return Key::Said(bare(&self.text));
        }
        let print = |alert: &Alert| {
            let labels = alert.labels.iter().map(|(name, value)| format!("{name}={value:?}"));
            format!("{{{}}}", labels.collect::<Vec<_>>().join(", "))
        };
        Key::Said(self.alerts.iter().map(print).collect::<Vec<_>>().join(" "))
    }
}

/// Without marks of status, and with single spaces.
fn bare(text: &str) -> String {
    MARK.replace_all(text, " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a text says of its status: a firing alert outweighs those that are over.
fn status_in(text: &str) -> Option<Status> {
    let mut status = None;
    for mark in MARK.find_iter(text) {
        if mark.as_str().to_ascii_lowercase().contains("firing") {
            return Some(Status::Firing);
        }
        status = Some(Status::Resolved);
    }
    status
}

/// Every string in `value`, up to a number nobody would read.
pub(super) fn strings(value: &Value) -> Vec<String> {
    const MOST: usize = 10_000;
    let mut found = Vec::new();
    let mut rest = vec![value];
    while let Some(value) = rest.pop() {
        match value {
            Value::String(text) if found.len() < MOST => found.push(text.clone()),
            Value::Array(items) => rest.extend(items.iter().rev()),
            Value::Object(entries) => rest.extend(entries.values().rev()),
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::firing("[FIRING:2] Down (shop)", Status::Firing, "Down (shop)")]
    #[case::resolved("[RESOLVED] Down (shop)", Status::Resolved, "Down (shop)")]
    #[case::words("Resolved: disk full on db1", Status::Resolved, "disk full on db1")]
    #[case::both("[FIRING:1] Down, 1 resolved", Status::Firing, "Down, 1")]
    #[case::neither("disk full on db1", Status::Unsaid, "disk full on db1")]
    #[case::within_a_word("Misfirings counted", Status::Unsaid, "Misfirings counted")]
    fn a_title_tells_status_and_subject(#[case] title: &str, #[case] status: Status, #[case] key: &str) {
        let message = Message { title: title.to_owned(), ..Message::default() };
        assert_eq!((message.status(), message.key()), (status, Key::Said(key.to_owned())));
    }

    #[test]
    fn a_text_without_title_is_known_by_its_alerts() {
        let text = "Alerts Resolved:\nLabels:\n - alertname = Down\n - job = shop\nAnnotations:\nSource: \n";
        let message = Message { text: text.to_owned(), ..Message::default() }.listed();
        let key = Key::Said("{alertname=\"Down\", job=\"shop\"}".to_owned());
        assert_eq!((message.status(), message.key()), (Status::Resolved, key));
    }
}
