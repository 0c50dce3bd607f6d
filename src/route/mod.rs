//! Alertmanager's routing: read as it is written, checked, re-timed; and who is told of which alert, how and when.

mod absent;
mod check;
mod inhibit;
mod interval;
pub mod matcher;
mod reach;
mod scale;
#[cfg(test)]
mod tests;
mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

pub use self::absent::{Absent, Without, absent};
pub use self::check::check;
pub use self::inhibit::Inhibition;
pub use self::interval::Times;
use self::matcher::Matcher;
pub use self::reach::{Alike, Certainty, Reached, reached};
pub use self::scale::scaled;
use crate::source::{At, Place};

/// The labels of an alert.
pub type Labels = BTreeMap<String, String>;

/// Who is told of which alert.
#[derive(Debug, Clone)]
pub struct Config {
    /// The route that every alert enters by.
    pub root: Route,
    /// Those who may be told, in the order written.
    pub receivers: Vec<Receiver>,
    /// What keeps alerts quiet while others fire.
    pub inhibitions: Vec<Inhibition>,
    /// Times by their names.
    pub intervals: BTreeMap<String, Vec<Times>>,
}

/// Someone who may be told.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// Its name.
    pub name: At<String>,
    /// By which ways; it may have none.
    pub integrations: Vec<Integration>,
}

/// A way in which a receiver is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Integration {
    /// Of which kind: `slack`, `webhook`.
    pub kind: &'static str,
    /// Where it is written.
    pub place: Place,
    /// Whether the end of an alert is told.
    pub sends_resolved: bool,
}

/// A route with all that it inherits.
#[derive(Debug, Clone)]
pub struct Route {
    /// All of it.
    pub place: Place,
    /// Who is told, and where that is written: here, or in the nearest route around it that says so.
    pub receiver: At<String>,
    /// What an alert has to be like.
    pub matchers: Vec<At<Matcher>>,
    /// Whether alerts that come here go on to the routes behind it, too.
    pub continues: bool,
    /// Which alerts are told of together.
    pub grouping: GroupBy,
    /// How long it waits.
    pub timing: Timing,
    /// Times at which nobody is told.
    pub mute: Vec<At<String>>,
    /// Times at which alone somebody is told, unless there are none.
    pub active: Vec<At<String>>,
    /// Routes within it, in their order.
    pub routes: Vec<Route>,
}

/// Which alerts are told of together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupBy {
    /// Those that have the same values of these labels; all of them, where it is none.
    Labels(BTreeSet<String>),
    /// Those alone that have all labels in common: each for itself.
    Everything,
}

/// How long a route waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Before it tells of a new group.
    pub group_wait: Duration,
    /// Before it tells of changes of a group.
    pub group_interval: Duration,
    /// Before it tells again of a group that did not change.
    pub repeat_interval: Duration,
}

impl Default for Timing {
    /// Alertmanager's own.
    fn default() -> Self {
        Self {
            group_wait: Duration::from_secs(30),
            group_interval: Duration::from_secs(300),
            repeat_interval: Duration::from_secs(4 * 3600),
        }
    }
}

impl Config {
    /// The routes on which an alert is told of, in the order in which Alertmanager finds them.
    #[must_use]
    pub fn routes_of(&self, labels: &Labels) -> Vec<&Route> {
        self.root.matching(labels).unwrap_or_default()
    }

    /// The receiver of that name.
    #[must_use]
    pub fn receiver(&self, name: &str) -> Option<&Receiver> {
        self.receivers.iter().find(|receiver| receiver.name.value == name)
    }

    /// The first inhibition by which one of the alerts that fire keeps another quiet, and that alert.
    #[must_use]
    pub fn inhibited<'c>(
        &'c self,
        alert: &Labels,
        firing: &'c [Labels],
    ) -> Option<(&'c Inhibition, &'c Labels)> {
        self.inhibitions.iter().find_map(|inhibition| {
            let source = firing.iter().find(|source| inhibition.keeps_quiet(source, alert))?;
            Some((inhibition, source))
        })
    }

    /// The name of the times because of which nobody is told on a route at a moment: those at which it is mute, or
    /// the first of those at which alone it is active.
    #[must_use]
    pub fn muted<'r>(&self, route: &'r Route, at: Timestamp) -> Option<&'r At<String>> {
        let holds = |name: &&At<String>| {
            self.intervals.get(&name.value).is_some_and(|times| times.iter().any(|times| times.hold(at)))
        };
        let active = || route.active.first().filter(|_| !route.active.iter().any(|name| holds(&name)));
        route.mute.iter().find(holds).or_else(active)
    }
}

impl Route {
    /// The routes on which an alert that comes here is told of; `None` where it does not come in.
    fn matching(&self, labels: &Labels) -> Option<Vec<&Self>> {
        let value = |name: &str| labels.get(name).map_or("", String::as_str);
        if !self.matchers.iter().all(|matcher| matcher.takes(value(&matcher.name))) {
            return None;
        }
        let mut all = Vec::new();
        for route in &self.routes {
            let Some(within) = route.matching(labels) else { continue };
            all.extend(within);
            if !route.continues {
                break;
            }
        }
        if all.is_empty() {
            all.push(self);
        }
        Some(all)
    }

    /// This route and all within it, each before those within it.
    #[must_use]
    pub fn all(&self) -> Vec<&Self> {
        std::iter::once(self).chain(self.routes.iter().flat_map(Self::all)).collect()
    }

    /// The labels, with their values, that the group of an alert goes by.
    #[must_use]
    pub fn group_of(&self, labels: &Labels) -> Labels {
        match &self.grouping {
            GroupBy::Everything => labels.clone(),
            GroupBy::Labels(by) => labels
                .iter()
                .filter(|(name, _)| by.contains(*name))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
        }
    }
}
