//! What a stand-in is told to pretend, as written and as checked.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Breaks, Checked, Target};
use crate::finding::{Code, Finding, Findings};
use crate::scenario::profile::{CheckStatus, Status};
use crate::source::{At, Place};
use crate::units::{Rate, Span};
use crate::yaml::Entries;

/// A stand-in's metric family goes another way than declared. Exactly one of `set`, `ramp`, `rate`, `freeze`
/// and `drop`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MetricsFaultWritten {
    /// The stand-in.
    service: At<String>,
    /// The family's name.
    family: At<String>,
    /// Only series with these labels; all of the family unless said.
    #[serde(default)]
    labels: Entries<String>,
    /// Have this value.
    set: Option<At<f64>>,
    /// Go to a value steadily.
    ramp: Option<At<RampWritten>>,
    /// Grow by so much from where they are: `50/s`.
    rate: Option<At<Rate>>,
    /// Stay where they are.
    freeze: Option<At<bool>>,
    /// Be gone.
    drop: Option<At<bool>>,
}

/// A way from where a value is to another.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RampWritten {
    /// The value at the end.
    to: f64,
    /// How long that takes.
    over: Span,
}

/// A stand-in says that it is not well.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HealthFaultWritten {
    /// The stand-in.
    service: At<String>,
    /// What it claims; `down` unless said.
    status: Option<Status>,
    /// Components, and how each is.
    #[serde(default)]
    checks: Entries<CheckStatus>,
    /// Whether it is ready; it is not, unless said, when it is down.
    ready: Option<bool>,
}

/// What a stand-in pretends.
#[derive(Debug, Clone, PartialEq)]
pub enum Pose {
    /// Some of its series go another way.
    Metrics(Detour),
    /// It is not well.
    Health(Ailment),
}

/// Series that go another way.
#[derive(Debug, Clone, PartialEq)]
pub struct Detour {
    /// Their family.
    pub family: At<String>,
    /// Labels that they have.
    pub labels: Vec<(String, String)>,
    /// Where they go.
    pub course: Course,
}

/// Where series go from where they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Course {
    /// Straight to a value.
    Set(f64),
    /// Steadily to a value.
    Ramp {
        /// The value.
        to: f64,
        /// How long that takes.
        over: Duration,
    },
    /// Up by so much.
    Rate(Rate),
    /// Nowhere.
    Freeze,
    /// Away.
    Drop,
}

/// How a stand-in is not well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ailment {
    /// What it claims.
    pub status: Status,
    /// Components, and how each is.
    pub checks: Vec<(String, CheckStatus)>,
    /// Whether it is ready.
    pub ready: bool,
}

impl Pose {
    /// As files write it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Metrics(_) => "metrics",
            Self::Health(_) => "health",
        }
    }
}

impl MetricsFaultWritten {
    pub(super) fn check(self, place: Place, findings: &mut Findings) -> Option<Checked> {
        let courses = [
            self.set.map(|at| Course::Set(at.value)),
            self.ramp.map(|at| Course::Ramp { to: at.value.to, over: at.value.over.0 }),
            self.rate.map(|at| Course::Rate(at.value)),
            self.freeze.filter(|at| at.value).map(|_| Course::Freeze),
            self.drop.filter(|at| at.value).map(|_| Course::Drop),
        ];
        let mut courses = courses.into_iter().flatten();
        let (Some(course), None) = (courses.next(), courses.next()) else {
            let finding = Finding::new(Code::FaultStep, place, "a family goes one way");
            findings.add(finding.help("give exactly one of set, ramp, rate, freeze, drop"));
            return None;
        };
        let labels = self.labels.into_iter().map(|(name, value)| (name.value, value)).collect();
        let pose = Pose::Metrics(Detour { family: self.family, labels, course });
        Some((Some(Target { service: self.service, port: None }), Breaks::StandIn(pose)))
    }
}

impl HealthFaultWritten {
    pub(super) fn check(self) -> Checked {
        let status = self.status.unwrap_or(Status::Down);
        let checks = self.checks.into_iter().map(|(name, check)| (name.value, check)).collect();
        let ready = self.ready.unwrap_or(status != Status::Down);
        let pose = Pose::Health(Ailment { status, checks, ready });
        (Some(Target { service: self.service, port: None }), Breaks::StandIn(pose))
    }
}
