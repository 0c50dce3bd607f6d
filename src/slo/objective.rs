//! What is promised of an indicator, and what a run's own samples can say of it.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::decimal::Decimal;
use super::indicator::{Indicator, Part, Query, RawRate, check_indicator};
use super::period::Period;
use super::reference::Ref;
use super::written::{MethodWritten, ObjectiveWritten};
use crate::finding::{Code, Finding, Findings};
use crate::source::{At, Place};
use crate::units::{Ratio, Span};

/// One promise of an SLO. It prints as what it says: `99.9% good`, `95% within 250ms`.
#[derive(Debug, Clone)]
pub struct Objective {
    /// What reports call it: its display name, else its target.
    pub label: String,
    /// Where its target was written.
    pub place: Place,
    /// The share that must be good, below 1.
    pub target: Ratio,
    /// What is good.
    pub measure: Measure,
    /// How its error budget is spent.
    pub budgeting: Budgeting,
    /// How much it counts among the objectives of a composite; `None` where the SLO is none.
    pub weight: Option<f64>,
}

/// What is good.
#[derive(Debug, Clone)]
pub enum Measure {
    /// Good events among all, or those left when the bad ones are taken away.
    Ratio {
        /// Whether the metrics only ever go up.
        counter: bool,
        /// Which events are counted.
        part: Part,
        /// Those events.
        counted: Query,
        /// All events that count.
        total: Query,
    },
    /// A ratio that somebody else computed.
    Raw {
        /// The ratio.
        query: Query,
        /// What it is a ratio of.
        rate: RawRate,
    },
    /// Values that compare well with a limit.
    Threshold {
        /// The values.
        metric: Query,
        /// How a good one compares.
        op: Op,
        /// With what.
        value: Decimal,
    },
    /// Samples that firedrill took, and which were fast.
    Latency {
        /// The SLI they feed.
        sli: At<String>,
        /// How long a good one takes at most.
        limit: Duration,
        /// Whether exactly so long is still good.
        inclusive: bool,
    },
}

/// How a value compares with a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// At most.
    Lte,
    /// At least.
    Gte,
    /// Below.
    Lt,
    /// Above.
    Gt,
}

/// How an error budget is spent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Budgeting {
    /// By bad events.
    Occurrences,
    /// By slices of time in which fewer than `good` of the events are good.
    Timeslices {
        /// The share of good events that makes a slice a good one.
        good: Ratio,
        /// How long a slice is.
        slice: Period,
    },
    /// By the mean of the slices' ratios.
    RatioTimeslices {
        /// How long a slice is.
        slice: Period,
    },
}

/// What the samples of one run can be judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunMeasure {
    /// The share of good samples.
    Good {
        /// Of this SLI.
        sli: At<String>,
    },
    /// The share of samples that took at most so long.
    Within {
        /// Of this SLI.
        sli: At<String>,
        /// At most; a latency that must be below a limit is a nanosecond shorter.
        limit: Duration,
    },
}

/// Why a run's own samples cannot judge an objective; reads on after "not judged by this run:".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotByRun {
    /// Numbers that a run does not have.
    #[error("its numbers come from `{0}`, and a run has only its own samples")]
    Elsewhere(String),
    /// A ratio of one SLI to another.
    #[error("it compares `{0}` with `{1}`, and a run judges the samples of one SLI")]
    TwoSlis(String, String),
    /// A budget spent by time.
    #[error("its budget is spent by slices of {0}, and a run judges occurrences only")]
    Slices(Period),
    /// A part of a whole.
    #[error("it is part of a composite, which is judged as a whole")]
    Composite,
}

impl Objective {
    /// What a run's own samples can judge it by.
    ///
    /// # Errors
    /// Why they cannot.
    pub fn over_run(&self) -> Result<RunMeasure, NotByRun> {
        if self.weight.is_some() {
            return Err(NotByRun::Composite);
        }
        match self.budgeting {
            Budgeting::Timeslices { slice, .. } | Budgeting::RatioTimeslices { slice } => {
                return Err(NotByRun::Slices(slice));
            }
            Budgeting::Occurrences => {}
        }
        match &self.measure {
            Measure::Ratio { counted, total, .. } => {
                let (sli, of) = (counted.run_sli()?, total.run_sli()?);
                if sli.value == of.value {
                    Ok(RunMeasure::Good { sli: sli.clone() })
                } else {
                    Err(NotByRun::TwoSlis(sli.value.clone(), of.value.clone()))
                }
            }
            Measure::Latency { sli, limit, inclusive } => {
                // Latencies are whole nanoseconds.
                let short = Duration::from_nanos(u64::from(!inclusive));
                Ok(RunMeasure::Within { sli: sli.clone(), limit: limit.saturating_sub(short) })
            }
            Measure::Raw { query, .. } | Measure::Threshold { metric: query, .. } => {
                Err(NotByRun::Elsewhere(query.source_type().to_owned()))
            }
        }
    }
}

impl Query {
    /// What the file calls the source.
    #[must_use]
    pub fn source_type(&self) -> &str {
        match self {
            Self::Firedrill { .. } => "firedrill",
            Self::Prometheus { .. } => "prometheus",
            Self::Other { source_type } => source_type,
        }
    }

    fn run_sli(&self) -> Result<&At<String>, NotByRun> {
        match self {
            Self::Firedrill { sli, .. } => Ok(sli),
            Self::Prometheus { .. } | Self::Other { .. } => {
                Err(NotByRun::Elsewhere(self.source_type().to_owned()))
            }
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.budgeting {
            Budgeting::Occurrences => write!(f, "{} {}", self.target, self.measure),
            Budgeting::Timeslices { good, slice } => {
                write!(f, "{} of {slice} slices {good} {}", self.target, self.measure)
            }
            Budgeting::RatioTimeslices { slice } => {
                write!(f, "{} {} in the mean of {slice} slices", self.target, self.measure)
            }
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ratio { .. } | Self::Raw { .. } => f.write_str("good"),
            Self::Threshold { op, value, .. } => write!(f, "{op} {value}"),
            Self::Latency { limit, inclusive: true, .. } => write!(f, "within {}", Span(*limit)),
            Self::Latency { limit, inclusive: false, .. } => write!(f, "under {}", Span(*limit)),
        }
    }
}

impl Op {
    /// The name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lte => "lte",
            Self::Gte => "gte",
            Self::Lt => "lt",
            Self::Gt => "gt",
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lte => "at most",
            Self::Gte => "at least",
            Self::Lt => "below",
            Self::Gt => "above",
        })
    }
}

/// An objective whose indicator may still be a name.
#[derive(Debug, Clone)]
pub(super) struct ObjectiveDraft {
    pub(super) label: String,
    pub(super) place: Place,
    pub(super) target: Ratio,
    pub(super) op: Option<At<Op>>,
    pub(super) value: Option<At<Decimal>>,
    pub(super) budgeting: Budgeting,
    /// In a composite.
    pub(super) indicator: Option<Ref<Option<Indicator>>>,
    pub(super) weight: Option<At<f64>>,
}

impl ObjectiveWritten {
    /// Checks an objective, which stands at `place`.
    pub(super) fn check(
        self,
        place: Place,
        method: MethodWritten,
        findings: &mut Findings,
    ) -> Option<ObjectiveDraft> {
        let target = findings.take(self.check_target(place));
        let budgeting = self.check_budgeting(method, place, findings);
        let indicator = check_indicator(self.indicator, self.indicator_ref, findings);
        let weight = self.composite_weight.and_then(|weight| {
            if weight.value.value() > 0.0 {
                return Some(weight.map(|decimal| decimal.value()));
            }
            let title = "a weight is above 0: an objective without weight could be left out";
            findings.add(Finding::new(Code::SloComposite, weight.place, title));
            None
        });
        let target = target?;
        let label = self.display_name.map_or_else(|| target.to_string(), |name| name.value);
        Some(ObjectiveDraft {
            label,
            place: target.place,
            target: target.value,
            op: self.op,
            value: self.value,
            budgeting: budgeting?,
            indicator,
            weight,
        })
    }

    /// The share that must be good.
    fn check_target(&self, place: Place) -> Result<At<Ratio>, Finding> {
        let (written, share, whole) = match (&self.target, &self.target_percent) {
            (Some(share), None) => (share, share.value.value(), 1),
            (None, Some(percent)) => (percent, percent.value.hundredth(), 100),
            (Some(share), Some(percent)) => {
                let title = "`target` and `targetPercent` exclude each other";
                return Err(Finding::new(Code::SloObjective, percent.place, title)
                    .also(share.place, "the target is given here"));
            }
            (None, None) => {
                let finding = Finding::new(Code::SloObjective, place, "the objective has no target");
                return Err(finding.help("add `target: 0.999` or `targetPercent: 99.9`"));
            }
        };
        match Ratio::new(share) {
            Some(ratio) if ratio < Ratio::ONE => Ok(At::new(ratio, written.place)),
            None if share < 0.0 => {
                Err(Finding::new(Code::SloObjective, written.place, "objective must be at least 0"))
            }
            Some(_) => {
                let title = format!("objective must be below {whole}: {whole} leaves no error budget");
                Err(Finding::new(Code::SloObjective, written.place, title))
            }
            None => {
                let title = format!("objective must be below {whole}");
                let finding = Finding::new(Code::SloObjective, written.place, title);
                let is_percent = whole == 1 && share < 100.0;
                let percent = format!("for a percentage write `targetPercent: {}`", written.value);
                Err(if is_percent { finding.help(percent) } else { finding })
            }
        }
    }

    /// How the budget is spent: each method has fields that it needs, and no others.
    fn check_budgeting(
        &self,
        method: MethodWritten,
        place: Place,
        findings: &mut Findings,
    ) -> Option<Budgeting> {
        if method != MethodWritten::Timeslices
            && let Some(target) = &self.time_slice_target
        {
            findings.add(superfluous("timeSliceTarget", target.place, "only `Timeslices` has good slices"));
        }
        match method {
            MethodWritten::Occurrences => {
                if let Some(slice) = &self.time_slice_window {
                    let why = "`Occurrences` counts events, whenever they happen";
                    findings.add(superfluous("timeSliceWindow", slice.place, why));
                }
                Some(Budgeting::Occurrences)
            }
            MethodWritten::Timeslices => {
                let good = findings.take(self.slice_target(place));
                let slice = self.slice_window(place, findings);
                Some(Budgeting::Timeslices { good: good?, slice: slice? })
            }
            MethodWritten::RatioTimeslices => {
                Some(Budgeting::RatioTimeslices { slice: self.slice_window(place, findings)? })
            }
        }
    }

    fn slice_target(&self, place: Place) -> Result<Ratio, Finding> {
        let Some(target) = &self.time_slice_target else {
            let finding = Finding::new(Code::SloTimeSlices, place, "`Timeslices` needs a `timeSliceTarget`");
            return Err(finding.help("add `timeSliceTarget: 0.95`: the share that makes a slice good"));
        };
        Ratio::new(target.value.value()).filter(|share| *share > Ratio::ZERO).ok_or_else(|| {
            let title = "`timeSliceTarget` is above 0 and at most 1";
            Finding::new(Code::SloTimeSlices, target.place, title)
        })
    }

    fn slice_window(&self, place: Place, findings: &mut Findings) -> Option<Period> {
        let Some(At { value: slice, place }) = self.time_slice_window else {
            let title = "time slices need a `timeSliceWindow`";
            let finding = Finding::new(Code::SloTimeSlices, place, title);
            findings.add(finding.help("add `timeSliceWindow: 1m`"));
            return None;
        };
        if !slice.has_unit {
            let title = format!("a time slice without unit is in minutes; {} is assumed", slice.period);
            let finding = Finding::new(Code::SloAssumed, place, title);
            findings.add(finding.help(format!("write `{}`, which other tools read too", slice.period)));
        }
        if slice.period.is_zero() {
            let title = "a time slice of no time holds no events";
            findings.add(Finding::new(Code::SloTimeSlices, place, title));
            return None;
        }
        Some(slice.period)
    }
}

/// A key that is let stand and has no effect.
pub(super) fn superfluous(key: &str, place: Place, why: &str) -> Finding {
    Finding::new(Code::SloSuperfluous, place, format!("`{key}` has no effect here: {why}"))
}
