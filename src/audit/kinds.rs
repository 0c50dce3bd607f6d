//! What metrics are: by what their targets say, and by their names where that is not known.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::prometheus::Metadata;

/// What a metric's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    /// It only goes up, until a restart.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// The kind of each metric family by its name: `counter`, `gauge`, `histogram`, `summary`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Kinds(BTreeMap<String, String>);

/// Endings of gauges.
const GAUGES: [&str; 9] = [
    "_bytes",
    "_celsius",
    "_ratio",
    "_percent",
    "_info",
    "_active",
    "_current",
    "_connections",
    "_timestamp_seconds",
];

impl Kinds {
    /// Of what is known of each family; of those that targets disagree on nothing is.
    pub(super) fn of(families: BTreeMap<String, Vec<Metadata>>) -> Self {
        let agreed = families.into_iter().filter_map(|(name, known)| {
            let kind = known.first()?.kind.clone();
            known.iter().all(|one| one.kind == kind).then_some((name, kind))
        });
        Self(agreed.filter(|(_, kind)| kind != "unknown").collect())
    }

    /// Adds what is known of a family in another way, where targets say nothing of it.
    pub(super) fn add(&mut self, name: &str, kind: &str) {
        self.0.entry(name.to_owned()).or_insert_with(|| kind.to_owned());
    }

    /// The kind of a family.
    pub(super) fn family(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// What a metric's value is, as its target says.
    fn said(&self, name: &str) -> Option<Value> {
        match self.family(name) {
            Some("counter") => return Some(Value::Counter),
            // The quantiles of a summary go up and down.
            Some("gauge" | "summary") => return Some(Value::Gauge),
            Some(_) => return None,
            None => {}
        }
        // OpenMetrics names a counter's family without its ending.
        let counter = name.strip_suffix("_total").and_then(|family| self.family(family));
        let parts = ["_bucket", "_sum", "_count"].iter().find_map(|ending| name.strip_suffix(ending));
        let part = parts.and_then(|family| self.family(family));
        let counts = counter == Some("counter") || matches!(part, Some("histogram" | "summary"));
        counts.then_some(Value::Counter)
    }

    /// Whether a metric is a counter, and whether its target says so.
    pub(super) fn is_counter(&self, name: &str) -> Option<Known> {
        match self.said(name) {
            Some(Value::Counter) => Some(Known::Said),
            Some(Value::Gauge) => None,
            None => name.ends_with("_total").then_some(Known::Named),
        }
    }

    /// Whether a metric is a gauge, and whether its target says so.
    pub(super) fn is_gauge(&self, name: &str) -> Option<Known> {
        match self.said(name) {
            Some(Value::Gauge) => Some(Known::Said),
            Some(Value::Counter) => None,
            None => GAUGES.iter().any(|ending| name.ends_with(ending)).then_some(Known::Named),
        }
    }
}

/// How it is known what a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// Its target says so.
    Said,
    /// Its name does.
    Named,
}
