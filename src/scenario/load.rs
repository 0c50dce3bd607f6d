//! Load, as written and as checked.

use std::num::NonZero;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::capture::Traced;
use super::expect::{Answer, Expect, ExpectWritten};
use super::http::{Http, HttpWritten};
use super::network::Addresses;
use super::template::Hole;
use crate::finding::{Code, Finding, Findings};
use crate::source::{At, Place};
use crate::units::{Rate, Span};

/// Many attempts of one request, on a schedule.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadWritten {
    /// Attempts per second, whatever the answers do: the open model.
    rate: Option<At<Rate>>,
    /// Users that each wait for an answer before they ask again: the closed model.
    users: Option<At<u32>>,
    /// How long, at full load.
    #[serde(rename = "for")]
    span: Option<At<Span>>,
    /// How the load goes up and is held, in order, in place of `for`.
    stages: Option<At<Vec<StageWritten>>>,
    /// What is asked.
    http: Option<At<HttpWritten>>,
    /// What each answer must be.
    expect: Option<At<ExpectWritten>>,
    /// The deadline of each attempt; 10s unless said.
    timeout: Option<At<Span>>,
    /// The most attempts in flight at once in the open model; 1000 unless said. Those beyond it wait and are late.
    connections: Option<At<u32>>,
    /// How many threads make the load; as many as it takes unless said, and no more than there are cores.
    threads: Option<At<u32>>,
    /// Hosts other than this machine that may be loaded, as the address names them.
    #[serde(default)]
    allow_targets: Vec<At<String>>,
}

/// A part of a load's time.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StageWritten {
    /// From nothing to full load, evenly.
    Ramp(Span),
    /// At full load.
    Hold(Span),
}

/// Many attempts of one request, on a schedule, checked.
#[derive(Debug, Clone)]
pub struct Load {
    /// Who decides when the next attempt is made.
    pub model: Model,
    /// How long the load takes to rise.
    pub ramp: Duration,
    /// How long it is held.
    pub hold: Duration,
    /// What is asked.
    pub request: Http,
    /// What each answer must be.
    pub expect: Expect,
    /// The deadline of each attempt.
    pub timeout: Duration,
    /// The most attempts in flight at once in the open model, if it was said.
    pub connections: Option<usize>,
    /// How many threads make the load, if it was said.
    pub threads: Option<NonZero<usize>>,
    /// Hosts other than this machine that may be loaded.
    pub allow_targets: Vec<At<String>>,
}

/// Who decides when the next attempt is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Model {
    /// A schedule: the open model.
    Open(Rate),
    /// So many users, each after its answer: the closed model.
    Closed(u32),
}

/// The most users that one process can be.
const MOST_USERS: u32 = 100_000;

/// The most threads.
const MOST_THREADS: u32 = 1_024;

impl Load {
    /// From the first attempt due to the last.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.ramp + self.hold
    }

    /// Whether what is expected of an answer names the trace of its own attempt.
    #[must_use]
    pub fn judges_trace(&self) -> bool {
        self.request.trace && self.expect.holes().any(|(hole, _)| Traced::is_named(&hole.name))
    }

    /// Every hole, with its place, but for those of a trace that its attempts begin. A request is filled once, for
    /// all of them: it cannot name their traces.
    pub(super) fn holes(&self) -> impl Iterator<Item = (&Hole, Place)> {
        let own = self.request.trace;
        let expected = self.expect.holes().filter(move |(hole, _)| !(own && Traced::is_named(&hole.name)));
        self.request.holes().chain(expected)
    }
}

impl LoadWritten {
    /// Checks the load, which stands at `place`.
    pub fn check(self, place: Place, usual_timeout: Duration, findings: &mut Findings) -> Option<Load> {
        let model = findings.take(model(self.rate, self.users, place));
        let length = findings.take(length(self.span, self.stages.as_ref(), place));
        let expect = self
            .expect
            .map_or_else(Expect::default, |at| at.value.check(Answer::Http, "load", at.place, findings));
        let Some(http) = self.http else {
            let finding = Finding::new(Code::ScenarioLoad, place, "the load has nothing to ask");
            findings.add(finding.help("add `http: { get: … }`"));
            return None;
        };
        let request = http.value.check(http.place, findings)?;
        if request.network.addresses == Addresses::All {
            let title = "each connection of a load is to one address: `addresses` is `first` or `any`";
            findings.add(Finding::new(Code::ScenarioLoad, http.place, title));
        }
        let (ramp, hold) = length?;
        let timeout = self.timeout.map_or(usual_timeout, |span| span.0);
        let connections =
            self.connections.and_then(|at| findings.take(some_of(&at, MOST_USERS, "connections")));
        let threads = self.threads.and_then(|at| findings.take(some_of(&at, MOST_THREADS, "threads")));
        let (connections, allow_targets) = (connections.map(NonZero::get), self.allow_targets);
        Some(Load {
            model: model?,
            ramp,
            hold,
            request,
            expect,
            timeout,
            connections,
            threads,
            allow_targets,
        })
    }
}

fn model(rate: Option<At<Rate>>, users: Option<At<u32>>, place: Place) -> Result<Model, Finding> {
    match (rate, users) {
        (Some(rate), None) => Ok(Model::Open(rate.value)),
        (None, Some(users)) if users.value == 0 || users.value > MOST_USERS => {
            Err(Finding::new(Code::FileValue, users.place, format!("users are between 1 and {MOST_USERS}")))
        }
        (None, Some(users)) => Ok(Model::Closed(users.value)),
        (Some(rate), Some(users)) => {
            let title = "load has a `rate` (open model) or `users` (closed model), not both";
            Err(Finding::new(Code::ScenarioLoad, users.place, title)
                .also(rate.place, "the rate is given here"))
        }
        (None, None) => {
            let finding = Finding::new(Code::ScenarioLoad, place, "the load has no size");
            Err(finding.help("add `rate: 200/s` (open model) or `users: 50` (closed model)"))
        }
    }
}

/// A number of something that there must be some of, and not too many.
fn some_of(at: &At<u32>, most: u32, what: &str) -> Result<NonZero<usize>, Finding> {
    let number = usize::try_from(at.value).ok().and_then(NonZero::new).filter(|_| at.value <= most);
    number.ok_or_else(|| Finding::new(Code::FileValue, at.place, format!("{what} are between 1 and {most}")))
}

/// Ramp and hold.
fn length(
    span: Option<At<Span>>,
    stages: Option<&At<Vec<StageWritten>>>,
    place: Place,
) -> Result<(Duration, Duration), Finding> {
    match (span, stages) {
        (Some(span), None) if span.0.is_zero() => {
            Err(Finding::new(Code::FileValue, span.place, "load takes time: write `for: 30s`"))
        }
        (Some(span), None) => Ok((Duration::ZERO, span.0)),
        (None, Some(stages)) => match stages.value.as_slice() {
            [StageWritten::Hold(hold)] => Ok((Duration::ZERO, hold.0)),
            [StageWritten::Ramp(ramp)] => Ok((ramp.0, Duration::ZERO)),
            [StageWritten::Ramp(ramp), StageWritten::Hold(hold)] => Ok((ramp.0, hold.0)),
            _ => {
                let title = "stages are a `ramp`, a `hold`, or a `ramp` and then a `hold`";
                Err(Finding::new(Code::ScenarioLoad, stages.place, title))
            }
        },
        (Some(span), Some(stages)) => {
            let finding =
                Finding::new(Code::ScenarioLoad, span.place, "`for` and `stages` exclude each other");
            Err(finding.also(stages.place, "the stages are given here"))
        }
        (None, None) => {
            let finding = Finding::new(Code::ScenarioLoad, place, "the load has no end");
            Err(finding.help("add `for: 30s` or `stages: [{ ramp: 10s }, { hold: 1m }]`"))
        }
    }
}
