//! How a load goes up and down, as written and as checked.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Model;
use crate::finding::{Code, Finding};
use crate::source::{At, Place};
use crate::units::{Rate, Span};

/// A part of a load's time: exactly one of `ramp`, `hold` and `fall` says how long.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageWritten {
    /// Evenly from where the load is to `rate` or `users`, or else to the full load.
    ramp: Option<At<Span>>,
    /// At `rate` or `users`, at once, or else where the load is; at the beginning, at the full load.
    hold: Option<At<Span>>,
    /// Evenly from where the load is to nothing.
    fall: Option<At<Span>>,
    /// Attempts per second, in the open model.
    rate: Option<At<Rate>>,
    /// Users, in the closed model.
    users: Option<At<u32>>,
}

/// A straight piece of a load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stage {
    /// The level it begins at: attempts per second, or users.
    pub from: f64,
    /// The level it ends at.
    pub to: f64,
    /// How long it takes.
    pub span: Duration,
}

/// How a stage goes.
enum Way {
    Ramp,
    Hold,
    Fall,
}

impl StageWritten {
    /// The stage after one that ended at `level`; `None` at the beginning.
    fn check(&self, place: Place, model: Model, level: Option<f64>) -> Result<Stage, Finding> {
        let wrong = |place, title: &str| Err(Finding::new(Code::ScenarioLoad, place, title));
        let (way, span) = match (&self.ramp, &self.hold, &self.fall) {
            (Some(span), None, None) => (Way::Ramp, span.value.0),
            (None, Some(span), None) => (Way::Hold, span.value.0),
            (None, None, Some(span)) => (Way::Fall, span.value.0),
            (_, _, _) => return wrong(place, "a stage is one of `ramp`, `hold` and `fall`"),
        };
        let named = match (&self.rate, &self.users, model) {
            (None, None, _) => None,
            (Some(rate), None, Model::Open(_)) => Some((rate.value.per_second(), rate.place)),
            (None, Some(users), Model::Closed(_)) => Some((f64::from(users.value), users.place)),
            (Some(At { place, .. }), _, Model::Closed(_)) => {
                return wrong(*place, "a load of `users` has stages of `users`");
            }
            (_, Some(At { place, .. }), Model::Open(_)) => {
                return wrong(*place, "a load with a `rate` has stages with a `rate`");
            }
        };
        let full = model.full();
        let (from, to) = match (way, named) {
            (Way::Fall, Some((_, place))) => {
                return wrong(place, "a `fall` is to nothing: use `ramp` to end elsewhere");
            }
            (Way::Fall, None) => (level.unwrap_or(full), 0.0),
            (Way::Ramp, named) => (level.unwrap_or(0.0), named.map_or(full, |(to, _)| to)),
            (Way::Hold, named) => {
                let at = named.map_or(level.unwrap_or(full), |(at, _)| at);
                (at, at)
            }
        };
        Ok(Stage { from, to, span })
    }
}

/// Every stage; there is load in at least one.
pub(super) fn check(stages: &At<Vec<At<StageWritten>>>, model: Model) -> Result<Vec<Stage>, Finding> {
    let mut level = None;
    let mut checked = Vec::new();
    for written in &stages.value {
        let stage = written.value.check(written.place, model, level)?;
        level = Some(stage.to);
        checked.push(stage);
    }
    if checked.iter().all(|stage| stage.span.is_zero() || (stage.from <= 0.0 && stage.to <= 0.0)) {
        return Err(Finding::new(Code::ScenarioLoad, stages.place, "these stages make no load"));
    }
    Ok(checked)
}
