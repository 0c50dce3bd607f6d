//! An expression of a user's file, and where its parts stand there.

use crate::promql::Query;
use crate::rule::Rule;
use crate::source::{At, Place, Sources};
use crate::yaml::within;

/// An expression that is asked of Prometheus.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// What is asked.
    pub(super) query: &'a Query,
    /// What stands in the file, where variables had to be filled in first.
    written: Option<&'a At<String>>,
}

impl<'a> Asked<'a> {
    /// A rule's expression.
    pub(super) fn of_rule(rule: &'a Rule) -> Self {
        Self { query: &rule.query, written: None }
    }

    /// An expression with its variables filled in.
    pub(super) fn filled(query: &'a Query, written: &'a At<String>) -> Self {
        Self { query, written: Some(written) }
    }

    /// Where a part stands.
    pub(super) fn place_of(&self, way: &[usize], sources: &Sources) -> Place {
        match self.written {
            None => self.query.place_of(way, sources),
            Some(written) => find(written, &self.query.text[self.query.range(way)], sources),
        }
    }

    /// Where the name of the metric stands that the selector at `way` selects.
    pub(super) fn place_of_name(&self, way: &[usize], name: &str, sources: &Sources) -> Place {
        match self.written {
            None => self.query.place_of_name(way, sources),
            Some(written) => find(written, name, sources),
        }
    }
}

/// Where a text stands in what was written; all of that, where a variable is in it.
fn find(written: &At<String>, part: &str, sources: &Sources) -> Place {
    let raw = sources.text(written.place);
    match written.value.find(part) {
        Some(at) if !part.is_empty() => within(written.place, raw, &written.value, at..at + part.len()),
        Some(_) | None => written.place,
    }
}
