//! Values of labels that are not written down: each stands there by a hash, or by another name.
//!
//! What is the same stays the same, so that rules select and routes match as they did.

mod expression;
mod routing;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::exposition::Labels;

/// Labels that mean something to Prometheus itself, or by which alerts are known.
const MEANT: [&str; 5] = ["__name__", "alertname", "alertstate", "le", "quantile"];

/// Shorter values are not sought in texts: they would be found everywhere.
const SHORTEST: usize = 3;

/// The bytes of a hash that are shown.
const SHOWN: usize = 8;

/// What makes the hashes of one record others than those of the next.
pub(super) type Salt = [u8; 16];

/// What is not written down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hidden {
    /// Labels whose every value is hashed.
    pub hashed: BTreeSet<String>,
    /// Values by label, and what they are called.
    pub mapped: BTreeMap<(String, String), String>,
}

impl Hidden {
    /// Whether there is anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hashed.is_empty() && self.mapped.is_empty()
    }

    /// The labels that are meant.
    #[must_use]
    pub fn labels(&self) -> BTreeSet<&str> {
        let mapped = self.mapped.keys().map(|(label, _)| label.as_str());
        self.hashed.iter().map(String::as_str).chain(mapped).collect()
    }

    /// The first of them that cannot be hidden.
    #[must_use]
    pub fn meant(&self) -> Option<&str> {
        self.labels().into_iter().find(|label| MEANT.contains(label))
    }
}

/// Every value by the name that it has in a record.
#[derive(Debug, Clone)]
pub(super) struct Aliases {
    hidden: Hidden,
    salt: Salt,
    /// Values that are sought in texts, with their aliases.
    known: BTreeMap<String, String>,
}

impl Aliases {
    pub(super) fn new(hidden: Hidden, salt: Salt) -> Self {
        let mut aliases = Self { hidden, salt, known: BTreeMap::new() };
        let mapped: Vec<_> = aliases.hidden.mapped.keys().cloned().collect();
        for (label, value) in mapped {
            aliases.learn(&label, &value);
        }
        aliases
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hidden.is_empty()
    }

    /// Labels whose every value is hashed.
    pub(super) fn hashed(&self) -> impl Iterator<Item = &str> {
        self.hidden.hashed.iter().map(String::as_str)
    }

    /// What is to be known of a record, a sentence each.
    pub(super) fn said(&self) -> Vec<String> {
        let all = |labels: &BTreeSet<&str>| {
            labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ")
        };
        let hashed: BTreeSet<&str> = self.hashed().collect();
        let mapped = self.hidden.mapped.keys().map(|(label, _)| label.as_str()).collect();
        [(hashed, "values are hashed of"), (mapped, "some values have other names of")]
            .into_iter()
            .filter(|(labels, _)| !labels.is_empty())
            .map(|(labels, what)| format!("{what} {}", all(&labels)))
            .collect()
    }

    /// Has a value sought in texts.
    pub(super) fn learn(&mut self, label: &str, value: &str) {
        if value.chars().count() >= SHORTEST {
            let alias = self.value(label, value);
            self.known.insert(value.to_owned(), alias);
        }
    }

    /// Whether some value of a label has another name.
    fn hides(&self, label: &str) -> bool {
        self.hidden.hashed.contains(label) || self.hidden.mapped.keys().any(|(other, _)| other == label)
    }

    /// What a value is called. The empty one is that of a label which is not there. Of two labels the same value has
    /// the same hash, so that what is joined by both stays so.
    pub(super) fn value(&self, label: &str, value: &str) -> String {
        if let Some(name) = self.hidden.mapped.get(&(label.to_owned(), value.to_owned())) {
            return name.clone();
        }
        if value.is_empty() || !self.hidden.hashed.contains(label) {
            return value.to_owned();
        }
        let digest = Sha256::new().chain_update(self.salt).chain_update(value).finalize();
        let mut hash = "h".to_owned();
        for byte in digest.iter().take(SHOWN) {
            // A string takes all that is written to it.
            let _ = write!(hash, "{byte:02x}");
        }
        hash
    }

    pub(super) fn labels(&self, labels: Labels) -> Labels {
        let named = |(label, value): (String, String)| {
            let value = self.value(&label, &value);
            (label, value)
        };
        labels.into_iter().map(named).collect()
    }

    /// A pattern on a label: where it is a list of values, that of their aliases.
    fn pattern(&self, label: &str, pattern: &str) -> Option<String> {
        if ["", ".*", ".+"].contains(&pattern) {
            return Some(pattern.to_owned());
        }
        let within = pattern.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(pattern);
        let within = within.strip_prefix("?:").unwrap_or(within);
        let values: Option<Vec<String>> = within.split('|').map(literal).collect();
        let named = values?.into_iter().map(|value| regex::escape(&self.value(label, &value)));
        Some(named.collect::<Vec<_>>().join("|"))
    }

    /// A text in which every value that is known has its other name.
    pub(super) fn text(&self, text: &str) -> String {
        let lengths: BTreeSet<usize> = self.known.keys().map(String::len).collect();
        let mut named = String::with_capacity(text.len());
        let mut at = 0;
        let mut before = None;
        while let Some(sign) = text[at..].chars().next() {
            let found = lengths.iter().rev().find_map(|length| {
                let value = text.get(at..at + length)?;
                let after = text[at + length..].chars().next();
                let apart =
                    !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric);
                self.known.get(value).filter(|_| apart).map(|alias| (alias, *length))
            });
            if let Some((alias, length)) = found {
                named += alias;
                at += length;
            } else {
                named.push(sign);
                at += sign.len_utf8();
            }
            before = text[..at].chars().next_back();
        }
        named
    }
}

/// What a pattern means that means one value alone.
fn literal(pattern: &str) -> Option<String> {
    let mut value = String::new();
    let mut signs = pattern.chars();
    while let Some(sign) = signs.next() {
        match sign {
            '\\' => value.push(signs.next().filter(char::is_ascii_punctuation)?),
            '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$' => return None,
            _ => value.push(sign),
        }
    }
    Some(value)
}

#[cfg(test)]
pub(super) fn example() -> Aliases {
    let hashed = BTreeSet::from(["user".to_owned()]);
    let mapped = BTreeMap::from([(("host".to_owned(), "db:1".to_owned()), "one".to_owned())]);
    Aliases::new(Hidden { hashed, mapped }, [7; 16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_the_same_each_time_and_another_in_another_record() {
        let aliases = example();
        let once = aliases.value("user", "alice");
        assert_eq!(once, aliases.value("user", "alice"));
        assert!(once.len() == 17 && !once.contains("alice"), "{once}");
        assert_ne!(once, aliases.value("user", "bob"));
        let other = Aliases { salt: [8; 16], ..aliases.clone() };
        assert_ne!(once, other.value("user", "alice"));
        let named = ["db:1", "db:2"].map(|value| aliases.value("host", value));
        assert_eq!(named, ["one", "db:2"]);
        assert_eq!(aliases.value("user", ""), "", "a label that is not there");
    }

    #[test]
    fn a_pattern_is_named_where_it_is_a_list() {
        let aliases = example();
        let hashes = ["alice", "a.b"].map(|value| aliases.value("user", value));
        assert_eq!(aliases.pattern("user", "(alice|a\\.b)"), Some(hashes.join("|")));
        assert_eq!(aliases.pattern("user", ".+").as_deref(), Some(".+"));
        assert_eq!(aliases.pattern("user", "a.*"), None);
    }

    #[test]
    fn texts_name_what_is_known_as_a_word() {
        let mut aliases = example();
        aliases.learn("user", "alice");
        let alias = aliases.value("user", "alice");
        assert_eq!(aliases.text("alice, malice on db:1: é"), format!("{alias}, malice on one: é"));
    }
}
