//! What a drill demands of alerts, as written and as checked.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use crate::finding::{Code, Finding, Findings};
use crate::source::{At, Place};
use crate::units::{Malformed, Span};
use crate::yaml::{Entries, Json, Kind};

/// The highest speed at which Prometheus still keeps up with its own intervals.
const FASTEST: f64 = 600.0;

/// The speed unless said.
const SPEED: f64 = 60.0;

/// How fast rule time passes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClockWritten {
    /// Seconds of rule time that pass in a second of wall time, from 1 to 600; 60 unless said.
    speed: Option<At<f64>>,
    /// How rules are proven: `scaled` (all their durations divided by the speed), `dilated` (unmodified, over what
    /// was scraped, in virtual time) or `both`. Unless said, scaled, and dilated where scaling would falsify a rule.
    proof: Option<Proof>,
}

/// How rules are proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// With every duration divided by the clock's speed.
    Scaled,
    /// Unmodified, over what was scraped, in virtual time.
    Dilated,
    /// Both ways, which have to agree.
    Both,
}

/// How fast rule time passes, and what is taken as a proof.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clock {
    /// Seconds of rule time in a second of wall time.
    pub speed: f64,
    /// How rules are proven; `None` leaves it to each rule.
    pub proof: Option<Proof>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { speed: SPEED, proof: None }
    }
}

impl Clock {
    /// So much wall time, in rule time.
    #[must_use]
    pub fn rule_time(&self, wall: Duration) -> Duration {
        wall.mul_f64(self.speed)
    }

    /// So much rule time, in wall time.
    #[must_use]
    pub fn wall_time(&self, rule: Duration) -> Duration {
        rule.div_f64(self.speed)
    }
}

impl ClockWritten {
    /// Checks what was written.
    pub fn check(&self, findings: &mut Findings) -> Clock {
        let speed = match self.speed {
            Some(at) if !(1.0..=FASTEST).contains(&at.value) => {
                let title = format!("the speed is between 1 and {FASTEST}");
                let finding = Finding::new(Code::FileValue, at.place, title);
                findings.add(finding.help(
                    "a minute of rule time passes in a second at 60; above 600 Prometheus misses its scrapes",
                ));
                SPEED
            }
            Some(at) => at.value,
            None => SPEED,
        };
        Clock { speed, proof: self.proof }
    }
}

/// A spell in which no alert may be pending or firing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuietWritten {
    /// How long, in rule time.
    #[serde(rename = "for")]
    lasts: At<Span>,
    /// Alerts that may fire all the same, as a watchdog does.
    #[serde(default)]
    except: Names,
    /// Whether it is held once for all scenarios that share a stack; each after the first holds five minutes of it.
    #[serde(default)]
    once: bool,
}

/// A spell in which no alert may be pending or firing.
#[derive(Debug, Clone)]
pub struct Quiet {
    /// How long, in rule time.
    pub lasts: At<Duration>,
    /// Alerts that may fire all the same.
    pub except: Vec<At<String>>,
    /// Whether it is held once for all scenarios that share a stack.
    pub once: bool,
}

impl QuietWritten {
    /// Checks what was written.
    pub fn check(self, findings: &mut Findings) -> Quiet {
        let lasts = self.lasts.map(|span| span.0);
        if lasts.value.is_zero() {
            let title = "a quiet spell of no length shows nothing";
            findings.add(Finding::new(Code::FileValue, lasts.place, title));
        }
        Quiet { lasts, except: self.except.0, once: self.once }
    }
}

/// What is expected of an alert once the fault is in; all times are rule time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertWritten {
    /// Labels that it carries, which tell it from others of its name.
    #[serde(default)]
    labels: Entries<At<String>>,
    /// `within 7m` from the moment the fault took effect; what the rule's own durations allow, unless said.
    fires: Option<At<Limit>>,
    /// The receiver that is told, or a list of them; they are all waited for.
    #[serde(default)]
    reaches: Names,
    /// A receiver that must not be told, or a list of them.
    #[serde(rename = "does not reach", default)]
    spares: Names,
    /// `within 15m` from the moment the fault took effect until the last of them was told: a response time, which is
    /// held against what was measured; what the configuration allows beyond it is noted.
    told: Option<At<Limit>>,
    /// `within 6m` from the moment the fault was lifted; what the rule's own durations allow, unless said.
    clears: Option<At<Limit>>,
}

/// What is expected of an alert once the fault is in.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The alert's name.
    pub name: At<String>,
    /// Labels that it carries.
    pub labels: BTreeMap<String, String>,
    /// How soon it fires, in rule time.
    pub fires: Option<At<Duration>>,
    /// Who is told.
    pub reaches: Vec<At<String>>,
    /// Who is not.
    pub spares: Vec<At<String>>,
    /// How soon the last of them is told, in rule time.
    pub told: Option<At<Duration>>,
    /// How soon it clears, in rule time.
    pub clears: Option<At<Duration>>,
}

impl Expected {
    /// What to point at when it did not fire in time.
    #[must_use]
    pub fn fires_place(&self) -> Place {
        self.fires.as_ref().map_or(self.name.place, |at| at.place)
    }

    /// What to point at when it did not clear in time.
    #[must_use]
    pub fn clears_place(&self) -> Place {
        self.clears.as_ref().map_or(self.name.place, |at| at.place)
    }
}

/// Whether alerts that are not named may fire meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Others {
    /// They may, and the report names them.
    #[default]
    Tolerated,
    /// Any other alert that fires fails the drill.
    Quiet,
}

/// What a fault step expects of alerts.
#[derive(Debug, Clone, Default)]
pub struct Alerts {
    /// Those that must fire, in the order written.
    pub expected: Vec<Expected>,
    /// What is said of the others, and where.
    pub others: Option<At<Others>>,
}

impl Alerts {
    /// Checks what a step says under `alerts` and `others`.
    pub fn check(
        written: Entries<At<AlertWritten>>,
        others: Option<At<Others>>,
        findings: &mut Findings,
    ) -> Self {
        let expected = written.into_iter().map(|(name, alert)| alert.value.check(name, findings)).collect();
        Self { expected, others }
    }

    /// Whether nothing is expected of any alert.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expected.is_empty() && self.others.is_none()
    }

    /// Whether an alert that is not named fails the drill.
    #[must_use]
    pub fn others_quiet(&self) -> bool {
        self.others.as_ref().is_some_and(|at| at.value == Others::Quiet)
    }
}

impl AlertWritten {
    fn check(self, name: At<String>, findings: &mut Findings) -> Expected {
        if let Some(both) =
            self.reaches.0.iter().find(|told| self.spares.0.iter().any(|spared| spared.value == told.value))
        {
            let title = format!("`{both}` is to be told and not to be told");
            findings.add(Finding::new(Code::FileValue, both.place, title));
        }
        Expected {
            name,
            labels: self.labels.into_iter().map(|(name, value)| (name.value, value.value)).collect(),
            fires: self.fires.map(|at| at.map(|limit| limit.0)),
            reaches: self.reaches.0,
            spares: self.spares.0,
            told: self.told.map(|at| at.map(|limit| limit.0)),
            clears: self.clears.map(|at| at.map(|limit| limit.0)),
        }
    }
}

/// The end of a wait: `within 7m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(pub Duration);

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span = text.strip_prefix("within ").ok_or("write `within 7m`")?;
        span.trim().parse::<Span>().map(|span| Self(span.0)).map_err(|why: Malformed| why.to_string())
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "within {}", Span(self.0))
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Limit {
    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^within +[0-9]", "examples": ["within 7m"] })
    }
}

/// A name, or a list of names.
#[derive(Debug, Clone, Default)]
pub struct Names(pub Vec<At<String>>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Json(node) = Json::deserialize(deserializer)?;
        let items = match &node.kind {
            Kind::List(items) => items.as_slice(),
            Kind::Null | Kind::Bool(..) | Kind::Int(..) | Kind::Float(..) | Kind::Text(_) | Kind::Map(_) => {
                std::slice::from_ref(&node)
            }
        };
        let names: Option<Vec<_>> =
            items.iter().map(|item| Some(At::new(item.scalar()?.to_owned(), item.place))).collect();
        let wrong = de::Unexpected::Other(node.describe());
        names.map(Self).ok_or_else(|| de::Error::invalid_type(wrong, &"a name or a list of names"))
    }
}

impl JsonSchema for Names {
    fn schema_name() -> Cow<'static, str> {
        "Names".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "array"], "items": { "type": "string" } })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::minutes("within 7m", Ok(420))]
    #[case::mixed("within 1h30m", Ok(5400))]
    #[case::no_word("7m", Err("write `within 7m`"))]
    #[case::no_unit("within 7", Err("a duration has a unit, like `250ms`, `5s`, `1m30s` or `30d`"))]
    fn a_limit_is_a_word_and_a_span(#[case] text: &str, #[case] seconds: Result<u64, &str>) {
        let limit = text.parse::<Limit>().map(|limit| limit.0.as_secs());
        assert_eq!(limit, seconds.map_err(str::to_owned));
    }

    #[rstest]
    #[case(60.0, 5, 300)]
    #[case(1.0, 5, 5)]
    #[case(600.0, 1, 600)]
    fn rule_time_passes_faster(#[case] speed: f64, #[case] wall: u64, #[case] rule: u64) {
        let clock = Clock { speed, proof: None };
        assert_eq!(clock.rule_time(Duration::from_secs(wall)), Duration::from_secs(rule));
        assert_eq!(clock.wall_time(Duration::from_secs(rule)), Duration::from_secs(wall));
    }
}
