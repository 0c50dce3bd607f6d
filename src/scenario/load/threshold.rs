//! What a load as a whole must keep, over all its time or over every window of it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::finding::{Code, Finding, Findings};
use crate::scenario::expect::wanted;
use crate::scenario::predicate::{Domain, Predicate};
use crate::source::{At, Place};
use crate::units::Span;
use crate::yaml::Json;

/// What a load as a whole must keep.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThresholdWritten {
    /// The latency that half the attempts kept: `under 50ms`.
    #[schemars(with = "Option<Predicate>")]
    p50: Option<Json>,
    /// The latency that nine attempts in ten kept.
    #[schemars(with = "Option<Predicate>")]
    p90: Option<Json>,
    /// The latency that 95 attempts in a hundred kept.
    #[schemars(with = "Option<Predicate>")]
    p95: Option<Json>,
    /// The latency that 99 attempts in a hundred kept.
    #[schemars(with = "Option<Predicate>")]
    p99: Option<Json>,
    /// The latency that 999 attempts in a thousand kept.
    #[serde(rename = "p99.9")]
    #[schemars(with = "Option<Predicate>")]
    p999: Option<Json>,
    /// The longest latency.
    #[schemars(with = "Option<Predicate>")]
    max: Option<Json>,
    /// The share of attempts that failed: `at most 1%`.
    #[schemars(with = "Option<Predicate>")]
    errors: Option<Json>,
    /// Answers per second as they are expected: `at least 950`.
    #[schemars(with = "Option<Predicate>")]
    rate: Option<Json>,
    /// Kept by every window of so many seconds, and not only by the whole.
    within: Option<At<Span>>,
    /// Only what is asked by the part of the `mix` with this name.
    of: Option<At<String>>,
    /// Whether the load ends as soon as it is not kept.
    #[serde(default)]
    abort: bool,
    /// How long after its beginning a load is not aborted.
    grace: Option<At<Span>>,
}

/// What of a load is held against a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The latency that so many attempts in a thousand kept.
    Latency(u16),
    /// The share of attempts that failed.
    Errors,
    /// Good answers per second.
    Rate,
}

/// A measure and what it must be.
#[derive(Debug, Clone)]
pub struct Threshold {
    /// What is measured.
    pub measure: Measure,
    /// How it is written: `p99`.
    pub name: &'static str,
    /// What it must be.
    pub wanted: At<Predicate>,
    /// Kept by every window of that length; by the whole load if there is none.
    pub window: Option<Duration>,
    /// The part of the mix that it is about; all of it if there is none.
    pub of: Option<At<String>>,
    /// The load ends when it is not kept, once so much time has passed.
    pub abort: Option<Duration>,
}

/// The longest window.
const LONGEST_WINDOW: Duration = Duration::from_secs(300);

impl ThresholdWritten {
    /// Checks the threshold, which stands at `place`.
    pub(super) fn check(self, place: Place, findings: &mut Findings) -> Vec<Threshold> {
        let measures = [
            ("p50", Measure::Latency(500), self.p50, Domain::Time),
            ("p90", Measure::Latency(900), self.p90, Domain::Time),
            ("p95", Measure::Latency(950), self.p95, Domain::Time),
            ("p99", Measure::Latency(990), self.p99, Domain::Time),
            ("p99.9", Measure::Latency(999), self.p999, Domain::Time),
            ("max", Measure::Latency(1_000), self.max, Domain::Time),
            ("errors", Measure::Errors, self.errors, Domain::Share),
            ("rate", Measure::Rate, self.rate, Domain::Number),
        ];
        let window = self.within.and_then(|at| findings.take(window(&at)));
        let abort = self.abort.then(|| self.grace.as_ref().map_or(Duration::ZERO, |grace| grace.value.0));
        if let (Some(grace), false) = (&self.grace, self.abort) {
            let title = "`grace` is how long a load is not aborted: it goes with `abort: true`";
            findings.add(Finding::new(Code::ScenarioLoad, grace.place, title));
        }
        let mut said = false;
        let mut thresholds = Vec::new();
        for (name, measure, written, domain) in measures {
            said |= written.is_some();
            let wanted = wanted(written, domain, findings);
            let of = self.of.clone();
            thresholds.extend(wanted.map(|wanted| Threshold { measure, name, wanted, window, of, abort }));
        }
        if !said {
            let finding = Finding::new(Code::ScenarioLoad, place, "the threshold is about nothing");
            findings
                .add(finding.help("add `p99: under 250ms`, `errors: at most 1%` or `rate: at least 950`"));
        }
        thresholds
    }
}

/// Windows are of whole seconds, for load is measured by the second.
fn window(at: &At<Span>) -> Result<Duration, Finding> {
    let span = at.value.0;
    if span.subsec_nanos() == 0 && !span.is_zero() && span <= LONGEST_WINDOW {
        return Ok(span);
    }
    let title = format!("a window is of whole seconds, from 1s to {}", Span(LONGEST_WINDOW));
    Err(Finding::new(Code::FileValue, at.place, title))
}
