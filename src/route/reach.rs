//! Which routes alerts can come to of which not all labels are known.

use super::matcher::Matcher;
use super::{Labels, Route};
use crate::promql::Carried;
use crate::source::At;

/// Alerts of one rule: some of their labels are known, and of others whether they can be there.
#[derive(Debug, Clone)]
pub struct Alike {
    /// Labels that all of them have.
    pub known: Labels,
    /// Labels that they may have beside those.
    pub others: Carried,
}

/// What can be said of alerts that are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// It holds for none of them.
    Never,
    /// It may hold for some.
    Perhaps,
    /// It holds for all.
    Always,
}

/// A route that alerts can come to.
#[derive(Debug, Clone, Copy)]
pub struct Reached<'r> {
    /// The route.
    pub route: &'r Route,
    /// Whether all of them are told of on it, or perhaps some.
    pub certainty: Certainty,
}

/// The routes on which such alerts are told of, or may be.
#[must_use]
pub fn reached<'r>(root: &'r Route, alerts: &Alike) -> Vec<Reached<'r>> {
    let mut found = Vec::new();
    enter(root, alerts, Certainty::Always, &mut found);
    found
}

/// Notes where alerts end that come to a route with `certainty`; whether it takes those that come.
fn enter<'r>(
    route: &'r Route,
    alerts: &Alike,
    certainty: Certainty,
    found: &mut Vec<Reached<'r>>,
) -> Certainty {
    let takes = alerts.are_taken(&route.matchers);
    let certainty = certainty.min(takes);
    // Those that are not told of within, and those that go on to the next route within.
    let (mut untold, mut left) = (certainty, certainty);
    for within in &route.routes {
        if left == Certainty::Never {
            break;
        }
        let takes = enter(within, alerts, left, found);
        untold = untold.without(takes);
        if !within.continues {
            left = left.without(takes);
        }
    }
    if untold != Certainty::Never {
        found.push(Reached { route, certainty: untold });
    }
    takes
}

impl Certainty {
    /// Of alerts that are there with this certainty, those that were not taken.
    fn without(self, taken: Self) -> Self {
        match taken {
            Self::Never => self,
            Self::Perhaps => self.min(Self::Perhaps),
            Self::Always => Self::Never,
        }
    }
}

impl Alike {
    /// Whether all matchers take such alerts.
    #[must_use]
    pub fn are_taken(&self, matchers: &[At<Matcher>]) -> Certainty {
        matchers.iter().map(|matcher| self.are_taken_by(matcher)).min().unwrap_or(Certainty::Always)
    }

    fn are_taken_by(&self, matcher: &At<Matcher>) -> Certainty {
        let value = match self.known.get(&matcher.name) {
            Some(value) => value.as_str(),
            None if !self.others.may_have(&matcher.name) => "",
            None if matcher.takes_all() => return Certainty::Always,
            None => return Certainty::Perhaps,
        };
        if matcher.takes(value) { Certainty::Always } else { Certainty::Never }
    }
}
