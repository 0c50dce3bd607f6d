//! Variables of a dashboard: what they are, and how they are filled into a query.

use std::ops::Range;

use super::{Values, items, text};
use crate::source::At;
use crate::yaml::{Kind, Node};

/// What a variable stands for that a Prometheus would have to be asked for.
pub(in crate::audit) const ANYTHING: &str = ".+";

/// Variables that are there without being declared, as for an hour that is shown minute by minute.
const OWN: [(&str, &str); 14] = [
    ("__interval", "1m"),
    ("__interval_ms", "60000"),
    ("__rate_interval", "5m"),
    ("__range", "1h"),
    ("__range_s", "3600"),
    ("__range_ms", "3600000"),
    ("__from", "0"),
    ("__to", "3600000"),
    ("__all", ANYTHING),
    ("__auto", "1m"),
    ("__dashboard", "dashboard"),
    ("__org", "1"),
    ("__user", "1"),
    ("timeFilter", ""),
];

/// A variable.
#[derive(Debug, Clone)]
pub struct Variable {
    /// Its name.
    pub name: At<String>,
    /// What it is when the dashboard is opened, as it was saved.
    pub current: Option<String>,
    /// Where its values come from.
    pub gives: Gives,
    /// Whether several values may be chosen, or all.
    pub several: bool,
}

/// Where the values of a variable come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gives {
    /// They are written down.
    Written(Vec<String>),
    /// The values of a label, among the series that a selector matches or among all.
    LabelValues {
        /// The selector, with variables.
        of: Option<String>,
        /// The label.
        label: String,
        /// All of the query.
        written: At<String>,
    },
    /// Of something that is not followed: another source of data, a query's result.
    Elsewhere,
}

/// A variable that the dashboard does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub range: Range<usize>,
}

impl Variable {
    /// Reads a variable; `None` where it has no name.
    pub(super) fn read(node: &Node) -> Option<Self> {
        let name = node.get("name")?;
        let query = node.get("query").map(|query| query.get("query").unwrap_or(query));
        let query = query.and_then(|query| Some(At::new(query.scalar()?.to_owned(), query.place)));
        let gives = match (text(node, "type").as_str(), query) {
            ("query", Some(query)) => label_values(&query).unwrap_or(Gives::Elsewhere),
            ("custom" | "interval" | "constant" | "textbox", Some(query)) => {
                // `5m : five minutes` shows a text for a value.
                let value = |one: &str| one.rsplit(" : ").next().unwrap_or(one).trim().to_owned();
                Gives::Written(query.value.split(',').map(value).filter(|one| !one.is_empty()).collect())
            }
            _ => Gives::Elsewhere,
        };
        let yes = |key| node.get(key).is_some_and(|node| matches!(node.kind, Kind::Bool(true, ..)));
        let chosen = node.get("current").and_then(|current| current.get("value"));
        let several: Vec<_> = items(chosen).iter().filter_map(Node::scalar).collect();
        let current = chosen.and_then(Node::scalar).map(str::to_owned);
        let current = current.or((!several.is_empty()).then(|| several.join("|")));
        let every = Some(text(node, "allValue")).filter(|all| !all.is_empty());
        Some(Self {
            name: At::new(name.scalar()?.to_owned(), name.place),
            current: match current.as_deref() {
                Some("$__all") => every,
                Some("") | None => None,
                Some(other) => Some(other.to_owned()),
            },
            gives,
            several: yes("multi") || yes("includeAll"),
        })
    }

    /// What it is as the dashboard was saved.
    pub(in crate::audit) fn saved(&self) -> String {
        let written = || match &self.gives {
            Gives::Written(values) => values.first().cloned(),
            Gives::LabelValues { .. } | Gives::Elsewhere => None,
        };
        self.current.clone().or_else(written).unwrap_or_else(|| ANYTHING.to_owned())
    }
}

/// `label_values(metric{…}, label)`, `label_values(label)`.
fn label_values(query: &At<String>) -> Option<Gives> {
    let inside = query.value.trim().strip_prefix("label_values(")?.strip_suffix(')')?;
    let (of, label) = match inside.rsplit_once(',') {
        Some((of, label)) => (Some(of.trim().to_owned()), label.trim()),
        None => (None, inside.trim()),
    };
    let is_name = !label.is_empty() && label.chars().all(|sign| sign.is_ascii_alphanumeric() || sign == '_');
    is_name.then(|| Gives::LabelValues { of, label: label.to_owned(), written: query.clone() })
}

/// A text with its variables filled in: `$name`, `${name}`, `${name:regex}`, `[[name]]`.
pub(in crate::audit) fn fill(text: &str, values: &Values) -> Result<String, Unknown> {
    let mut filled = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(found) = text[at..].find(['$', '[']).map(|found| at + found) {
        filled.push_str(&text[at..found]);
        let Some((name, length)) = named(&text[found..]) else {
            filled.push_str(&text[found..=found]);
            at = found + 1;
            continue;
        };
        let own = || OWN.iter().find(|(own, _)| *own == name).map(|(_, value)| *value);
        let range = found..found + length;
        let value = values.get(name).map(String::as_str).or_else(own);
        filled.push_str(value.ok_or_else(|| Unknown { name: name.to_owned(), range: range.clone() })?);
        at = range.end;
    }
    filled.push_str(&text[at..]);
    Ok(filled)
}

/// The variable that a text begins with, and how long that is.
fn named(text: &str) -> Option<(&str, usize)> {
    let fits = |sign: char| sign.is_ascii_alphanumeric() || sign == '_';
    let name = |inside: &str| {
        let name = inside.split([':', '.']).next().unwrap_or_default();
        let ours = !name.is_empty() && !name.starts_with(|sign: char| sign.is_ascii_digit());
        (ours && name.chars().all(fits)).then_some(name.len())
    };
    if let Some(rest) = text.strip_prefix("${") {
        let end = rest.find('}')?;
        let length = name(&rest[..end])?;
        return Some((&rest[..length], end + 3));
    }
    if let Some(rest) = text.strip_prefix("[[") {
        let end = rest.find("]]")?;
        let length = name(&rest[..end])?;
        return Some((&rest[..length], end + 4));
    }
    let rest = text.strip_prefix('$')?;
    let length = rest.find(|sign| !fits(sign)).unwrap_or(rest.len());
    name(&rest[..length])?;
    Some((&rest[..length], length + 1))
}
