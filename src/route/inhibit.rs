//! What keeps alerts quiet while others fire.

use super::Labels;
use super::matcher::Matcher;
use crate::source::{At, Place};

/// Alerts like the source keep those like the target quiet that have the same values of some labels.
#[derive(Debug, Clone)]
pub struct Inhibition {
    /// All of it.
    pub place: Place,
    /// What the alert that fires is like.
    pub source: Vec<At<Matcher>>,
    /// What the alert is like that is kept quiet.
    pub target: Vec<At<Matcher>>,
    /// The labels in which they are equal; one that neither has is.
    pub equal: Vec<String>,
}

impl Inhibition {
    /// Whether one alert, which fires, keeps another quiet.
    #[must_use]
    pub fn keeps_quiet(&self, source: &Labels, target: &Labels) -> bool {
        if !(is_like(&self.target, target) && is_like(&self.source, source)) {
            return false;
        }
        // Neither itself, nor one another where both are like both.
        if is_like(&self.source, target) && is_like(&self.target, source) {
            return false;
        }
        self.equal.iter().all(|label| value(source, label) == value(target, label))
    }
}

fn is_like(matchers: &[At<Matcher>], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.takes(value(labels, &matcher.name)))
}

fn value<'l>(labels: &'l Labels, name: &str) -> &'l str {
    labels.get(name).map_or("", String::as_str)
}
