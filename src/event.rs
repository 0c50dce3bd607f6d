//! Everything that can happen in a run. Reports are made of these and of nothing else; a saved run is these,
//! one JSON object a line.

mod drill;
mod load;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;

pub use self::drill::{Drilled, Predicted, Proof, RungSeen, Spent, Told};
pub use self::load::{Interval, Part, Quantiles, Sharded, Tally};
use crate::finding::Drawing;
use crate::gate::{Decision, Judgement, Verdict};
use crate::sample::{Phases, Reason};
use crate::secret::Mask;
use crate::sli::Folded;

/// An event and when it happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stamped {
    /// Nanoseconds since the run started.
    pub at: u64,
    /// What happened.
    pub event: Event,
}

/// What can happen in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The first event of every run.
    RunStarted {
        /// Tells this run from others.
        run: String,
        /// The version that made it.
        version: String,
        /// RFC 3339, UTC.
        started: String,
    },
    /// A scenario begins.
    ScenarioStarted {
        /// Its name.
        scenario: String,
        /// Its file.
        file: String,
        /// What it is for.
        about: Option<String>,
        /// Its labels.
        labels: BTreeMap<String, String>,
        /// The steps it is going to take, in order.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        steps: Vec<StepId>,
    },
    /// A service of the stack is being started.
    ServiceStarting {
        /// For which scenario.
        scenario: String,
        /// The service.
        service: String,
    },
    /// A service of the stack can be used.
    ServiceReady {
        /// For which scenario.
        scenario: String,
        /// The service.
        service: String,
        /// Where it listens.
        address: String,
        /// How long that took.
        took: Nanos,
    },
    /// What is worth knowing of a stack: what of a configuration has no part in it.
    StackNoted {
        /// For which scenario.
        scenario: String,
        /// What.
        note: String,
    },
    /// What firedrill measures with is missing; the scenario says nothing about the target.
    NotMeasured {
        /// The scenario.
        scenario: String,
        /// What was tried, what happened, what to do.
        why: String,
    },
    /// A step begins.
    StepStarted {
        /// Which.
        step: StepId,
        /// Whether it runs behind the others.
        background: bool,
    },
    /// A step's attempt ended.
    Attempted {
        /// Which step.
        step: StepId,
        /// From 1.
        attempt: u32,
        /// From when it was due to its end.
        took: Nanos,
        /// Why it failed; empty when it passed.
        failures: Vec<Failure>,
        /// What was seen.
        evidence: Box<Evidence>,
    },
    /// Load, while it runs.
    Loading {
        /// Which step.
        step: StepId,
        /// How far it is, of how much.
        elapsed: Nanos,
        /// How long it will take.
        length: Nanos,
        /// What happened so far.
        tally: Tally,
        /// Latency of the attempts that ended since the last of these events.
        #[serde(default)]
        recent: Quantiles,
        /// What was measured since this was told last.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        interval: Option<Box<Interval>>,
    },
    /// Load, when it has ended.
    Loaded {
        /// Which step.
        step: StepId,
        /// What happened.
        tally: Tally,
        /// What was wrong, a few of each reason.
        failures: Vec<Failure>,
        /// A few failures of each reason, with all that was seen of them.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        samples: Vec<Specimen>,
        /// The SLI that it fed.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        sli: Option<String>,
        /// Each of the things that were asked, where there was more than one.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        parts: Vec<Part>,
        /// Which part of the load this was, where it was not all of it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        shard: Option<Sharded>,
    },
    /// An alert that a drill expected, as far as it came up its ladder and down again.
    Drilled {
        /// The step that broke something.
        step: StepId,
        /// How far the alert came.
        alert: Box<Drilled>,
    },
    /// Something was broken on purpose, was seen to be broken or not, or was mended.
    Fault {
        /// Which step does it.
        step: StepId,
        /// What is broken: `latency web`.
        fault: String,
        /// How far that is.
        stage: FaultStage,
        /// What shows that.
        what: String,
    },
    /// A step ended.
    StepEnded {
        /// Which.
        step: StepId,
        /// How.
        outcome: Outcome,
        /// How many attempts were made.
        attempts: u32,
        /// From its start to its end.
        took: Nanos,
        /// Why it was skipped, or why its measurement cannot be relied on.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        why: Option<String>,
    },
    /// What fed an SLI in one minute.
    Sampled {
        /// For which scenario.
        scenario: String,
        /// The SLI.
        sli: String,
        /// When the minute began, in seconds since 1970, UTC.
        minute: i64,
        /// The attempts of that minute.
        samples: Folded,
    },
    /// An objective was judged.
    Judged {
        /// For which scenario.
        scenario: String,
        /// The SLO and its objective.
        slo: String,
        /// What it says, in words: `99.9% good`, `99% within 250ms`.
        objective: String,
        /// Against what was measured.
        judgement: Judgement,
        /// Where the objective was written, drawn with the verdict.
        drawing: Drawing,
        /// What a gate made of it, whose verdict then counts.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        decision: Option<Box<Decision>>,
    },
    /// A scenario ended.
    ScenarioEnded {
        /// Its name.
        scenario: String,
        /// How.
        conclusion: Conclusion,
        /// From its start to its end.
        took: Nanos,
    },
    /// The last event of every run that was not cut off.
    RunEnded {
        /// The worst of its scenarios.
        conclusion: Conclusion,
        /// From its start to its end.
        took: Nanos,
        /// Whether somebody stopped it.
        interrupted: bool,
        /// Whether the run has no end of its own: it was cut off, and this was added as it was read again.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        cut: bool,
    },
}

/// A step of a scenario.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct StepId {
    /// The scenario's name.
    pub scenario: String,
    /// From 0, background steps first.
    pub number: usize,
    /// The step's name.
    pub name: String,
    /// What it does: `http`, `websocket`, `load`.
    pub kind: String,
}

/// How far a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultStage {
    /// It was put in.
    Added,
    /// It took effect.
    Felt,
    /// Nothing shows that it took effect.
    NotFelt,
    /// It was lifted.
    Lifted,
    /// It could not be put in, or not be lifted.
    Stuck,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// At the first attempt, or within its time.
    Passed,
    /// At a later attempt than the first.
    Flaky,
    /// An expectation was not met, or the target did not answer.
    Failed,
    /// The harness itself was too slow for what it measured to count.
    Unreliable,
    /// Its condition did not hold, or a step before it failed.
    Skipped,
}

impl Outcome {
    /// The word for it, as files have it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Flaky => "flaky",
            Self::Failed => "failed",
            Self::Unreliable => "unreliable",
            Self::Skipped => "skipped",
        }
    }
}

/// How a scenario or a run ended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// Everything held.
    #[default]
    Pass,
    /// Too few samples to say.
    Inconclusive,
    /// What firedrill measures with is missing, or there is no data.
    NotMeasured,
    /// Something did not hold.
    Fail,
}

impl From<Outcome> for Conclusion {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Passed | Outcome::Flaky | Outcome::Skipped => Self::Pass,
            Outcome::Failed => Self::Fail,
            Outcome::Unreliable => Self::Inconclusive,
        }
    }
}

impl From<Verdict> for Conclusion {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass | Verdict::Warn => Self::Pass,
            Verdict::Fail => Self::Fail,
            Verdict::Inconclusive { .. } => Self::Inconclusive,
            Verdict::NoData => Self::NotMeasured,
        }
    }
}

/// One thing that was wrong with an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// The one reason, for counting.
    pub reason: Reason,
    /// What was wanted, where it was written, and what was received.
    pub drawing: Drawing,
}

/// One failure of a load, with all that was seen of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Specimen {
    /// The one reason it is counted by.
    pub reason: Reason,
    /// When it ended, since the load was made ready.
    pub at: Nanos,
    /// Which of the things that were asked it was, where there was more than one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub part: Option<String>,
    /// What was wrong, in order.
    pub wrong: Vec<String>,
    /// What was seen.
    pub evidence: Evidence,
}

/// What an attempt saw, in bounded size.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// Requests and answers, redirect by redirect.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub hops: Vec<Hop>,
    /// Headers of the last answer.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub headers: Vec<(String, String)>,
    /// The beginning of the last answer's body, as text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub body: Option<String>,
    /// The body's size in bytes, unpacked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub body_size: Option<u64>,
    /// What was said and heard on an open connection, in order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub exchange: Vec<Line>,
    /// What the target said of itself: `degraded: cache is error (timeout)`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub state: Option<String>,
    /// The last day of the certificate that was shown, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub certificate_until: Option<String>,
    /// The id of the trace that the attempt began.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trace: Option<String>,
    /// How each address of the name did, where each was asked.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub addresses: Vec<Address>,
}

/// How one of a name's addresses did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Address {
    /// The address and the port.
    pub address: String,
    /// How long it took.
    pub took: Nanos,
    /// What was wrong; empty when it passed.
    pub failures: Vec<String>,
}

/// One request and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hop {
    /// The method.
    pub method: String,
    /// The address.
    pub url: String,
    /// Who answered.
    pub peer: Option<String>,
    /// What was spoken, as `HTTP/1.1`.
    pub version: Option<String>,
    /// The answer's status.
    pub status: Option<u16>,
    /// How long each phase took.
    pub phases: Phases,
}

/// One thing said or heard on an open connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// What it was: `send {"subscribe":"EUR"}`, `receive 10`.
    pub what: String,
    /// How long it took.
    pub took: Nanos,
    /// The beginning of what was heard.
    pub heard: Vec<String>,
}

/// A duration as whole nanoseconds in JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Nanos(pub u64);

impl From<Duration> for Nanos {
    fn from(time: Duration) -> Self {
        Self(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl From<Nanos> for Duration {
    fn from(nanos: Nanos) -> Self {
        Self::from_nanos(nanos.0)
    }
}

/// Where events go: stamped, and with every secret masked, before anybody sees them.
#[derive(Debug, Clone)]
pub struct Sender {
    to: mpsc::UnboundedSender<Stamped>,
    mask: Mask,
    start: Instant,
}

impl Sender {
    /// A sender, and what it sends to, for a run that started at `start`.
    #[must_use]
    pub fn new(mask: Mask, start: Instant) -> (Self, mpsc::UnboundedReceiver<Stamped>) {
        let (to, events) = mpsc::unbounded_channel();
        (Self { to, mask, start }, events)
    }

    /// Sends an event. Once nobody listens any more, it goes nowhere.
    pub fn send(&self, event: Event) {
        let at = Nanos::from(self.start.elapsed()).0;
        let _ = self.to.send(Stamped { at, event: masked(event, &self.mask) });
    }
}

/// Keys whose values are words of ours, and not text that could hold a secret.
const OUR_WORDS: [&str; 8] =
    ["reason", "outcome", "conclusion", "verdict", "severity", "code", "kind", "stage"];

/// The event without secrets.
fn masked(event: Event, mask: &Mask) -> Event {
    fn walk(value: &mut Value, mask: &Mask) {
        match value {
            Value::String(text) => {
                if let std::borrow::Cow::Owned(masked) = mask.apply(text) {
                    *text = masked;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| walk(item, mask)),
            Value::Object(entries) => entries
                .iter_mut()
                .filter(|(key, _)| !OUR_WORDS.contains(&key.as_str()))
                .for_each(|(_, value)| walk(value, mask)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    if mask.is_empty() {
        return event;
    }
    let Ok(mut value) = serde_json::to_value(&event) else { return event };
    walk(&mut value, mask);
    // What was written by us reads; were it not so, an event is better lost than shown with a secret in it.
    serde_json::from_value(value).unwrap_or(Event::NotMeasured {
        scenario: String::new(),
        why: "an event could not be masked and is left out".to_owned(),
    })
}
