//! What a drill saw of an alert.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Nanos;
use crate::ladder::Rung;

/// How far an alert came in a drill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Drilled {
    /// The alert's name.
    pub alert: String,
    /// The labels that were expected of it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub labels: BTreeMap<String, String>,
    /// Seconds of rule time that passed in a second of wall time.
    pub speed: f64,
    /// What kind of proof it is.
    pub proof: Proof,
    /// Whether it fired and nobody expected it to.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub stranger: bool,
    /// What a total outage would have spent of each error budget before anyone was told.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub spent: Vec<Spent>,
    /// What the formula says, where it is an alert on a burn rate.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub predicted: Option<Predicted>,
    /// How soon its receivers had to be told, where that was said; rule time since the fault took effect.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub told_within: Option<Nanos>,
    /// The rungs, from the fault's effect on.
    pub rungs: Vec<RungSeen>,
    /// The first rung that was not reached and should have been.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub broken: Option<Rung>,
    /// What the receivers were told, in order, in bounded number and size.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub told: Vec<Told>,
    /// What is worth knowing and is no failure.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
}

impl Drilled {
    /// When its receivers were told, if they were.
    #[must_use]
    pub fn told_at(&self) -> Option<Nanos> {
        self.rungs.iter().find(|seen| seen.rung == Rung::Delivered).and_then(|seen| seen.at)
    }
}

/// What the formula of burn rates says of an alert, from the events that were counted; all times are rule time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Predicted {
    /// When it fires, since the fault took effect: scrapes and evaluations come on top of it. `None` where so few
    /// fail, or for so short a time, that it never does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fires: Option<Nanos>,
    /// When it clears, since the fault was lifted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub clears: Option<Nanos>,
    /// The share of events that failed while the fault held.
    pub errors: f64,
    /// The share that failed before.
    pub earlier: f64,
}

/// What was spent of an error budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Spent {
    /// The SLO and its objective.
    pub slo: String,
    /// The share of the budget; above 1 where there is not as much.
    pub share: f64,
}

/// How a rule was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// With all its durations divided by the clock's speed.
    Scaled,
    /// Unmodified, over what was scraped, in virtual time.
    Dilated,
    /// Both ways, and they agree.
    Both,
    /// By nothing: a note says why.
    None,
}

/// When a rung was reached, and when the configuration allows it to be. All are rule time: up to delivery since
/// the fault took effect, after that since it was lifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RungSeen {
    /// The rung.
    pub rung: Rung,
    /// When it was reached, if it was.
    pub at: Option<Nanos>,
    /// Not before this.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub earliest: Option<Nanos>,
    /// Not after this.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub latest: Option<Nanos>,
}

/// A message that a receiver was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Told {
    /// The receiver.
    pub receiver: String,
    /// Whose protocol it speaks: `slack`, `email`.
    pub kind: String,
    /// When, in rule time since the fault took effect, or since it was lifted where that was first.
    pub at: Nanos,
    /// Whether it says that the alert is over.
    pub resolved: bool,
    /// Its heading.
    pub title: String,
    /// The beginning of its text.
    pub text: String,
    /// What is wrong with it: `<no value>`, a template's error.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub problems: Vec<String>,
}
