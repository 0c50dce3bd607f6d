//! Load, as written and as checked.

mod stage;
mod threshold;

use std::fmt;
use std::num::NonZero;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

pub use self::stage::{Stage, StageWritten};
pub use self::threshold::{Measure, Threshold, ThresholdWritten};
use super::capture::Traced;
use super::expect::{Answer, Expect, ExpectWritten};
use super::http::{Http, HttpWritten};
use super::network::Addresses;
use super::template::Hole;
use crate::finding::{Code, Finding, Findings};
use crate::source::{At, Place};
use crate::units::{Rate, Span};

/// Many attempts, on a schedule.
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
    /// How the load goes up, is held and goes down, in order, in place of `for`.
    stages: Option<At<Vec<At<StageWritten>>>>,
    /// Whether attempts are due as evenly as the rate allows, unless said, or as independent arrivals would be.
    spacing: Option<At<Spacing>>,
    /// How long a user waits after an answer before asking again; anything from here to `think_at_most`.
    think: Option<At<Span>>,
    /// How long a user waits at most, where that differs from one time to the next.
    think_at_most: Option<At<Span>>,
    /// What is asked.
    http: Option<At<HttpWritten>>,
    /// What each answer must be.
    expect: Option<At<ExpectWritten>>,
    /// What is asked, each as often as its weight says, in place of `http` and `expect`.
    mix: Option<At<Vec<At<MixedWritten>>>>,
    /// What the load as a whole must keep.
    #[serde(default)]
    thresholds: Vec<At<ThresholdWritten>>,
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

/// One of the things that are asked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MixedWritten {
    /// What it is called in reports; its method and address unless said.
    name: Option<At<String>>,
    /// How often, beside the other weights; 1 unless said.
    weight: Option<At<u32>>,
    /// What is asked.
    http: At<HttpWritten>,
    /// What each answer must be.
    expect: Option<At<ExpectWritten>>,
}

/// How attempts lie between one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// As evenly as the rate allows.
    #[default]
    Even,
    /// As independent arrivals: a Poisson process.
    Poisson,
}

/// Many attempts, on a schedule, checked.
#[derive(Debug, Clone)]
pub struct Load {
    /// Who decides when the next attempt is made.
    pub model: Model,
    /// How the load goes up and down.
    pub stages: Vec<Stage>,
    /// How attempts lie between one another.
    pub spacing: Spacing,
    /// How long a user waits after an answer, at least and at most.
    pub think: (Duration, Duration),
    /// What is asked; at least one thing.
    pub asks: Vec<Ask>,
    /// What the load as a whole must keep.
    pub thresholds: Vec<Threshold>,
    /// The deadline of each attempt.
    pub timeout: Duration,
    /// The most attempts in flight at once in the open model, if it was said.
    pub connections: Option<usize>,
    /// How many threads make the load, if it was said.
    pub threads: Option<NonZero<usize>>,
    /// Hosts other than this machine that may be loaded.
    pub allow_targets: Vec<At<String>>,
}

/// One of the things that are asked, checked.
#[derive(Debug, Clone)]
pub struct Ask {
    /// What it is called in reports.
    pub name: String,
    /// How often, beside the other weights.
    pub weight: u32,
    /// What is asked.
    pub request: Http,
    /// What each answer must be.
    pub expect: Expect,
}

/// Who decides when the next attempt is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Model {
    /// A schedule, at full load of this rate: the open model.
    Open(Rate),
    /// So many users at full load, each after its answer: the closed model.
    Closed(u32),
}

impl Model {
    /// The full load, as a level.
    #[must_use]
    pub fn full(self) -> f64 {
        match self {
            Self::Open(rate) => rate.per_second(),
            Self::Closed(users) => f64::from(users),
        }
    }
}

/// The most users that one process can be.
const MOST_USERS: u32 = 100_000;

/// The most threads.
const MOST_THREADS: u32 = 1_024;

/// The most things that are asked in one load: of each its times are kept.
const MOST_ASKS: usize = 32;

/// The most that one thing may weigh.
const HEAVIEST: u32 = 1_000_000;

impl Load {
    /// From the first attempt due to the last.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.stages.iter().map(|stage| stage.span).sum()
    }

    /// Every hole, with its place, but for those of a trace that its attempts begin. A request is filled once, for
    /// all of them: it cannot name their traces.
    pub(super) fn holes(&self) -> impl Iterator<Item = (&Hole, Place)> {
        let wanted = self.thresholds.iter().map(|threshold| &threshold.wanted);
        let of_thresholds = wanted.flat_map(|at| at.value.holes().map(|hole| (hole, at.place)));
        self.asks.iter().flat_map(Ask::holes).chain(of_thresholds)
    }
}

impl Ask {
    /// Whether what is expected of an answer names the trace of its own attempt.
    #[must_use]
    pub fn judges_trace(&self) -> bool {
        self.request.trace && self.expect.holes().any(|(hole, _)| Traced::is_named(&hole.name))
    }

    fn holes(&self) -> impl Iterator<Item = (&Hole, Place)> {
        let own = self.request.trace;
        let expected = self.expect.holes().filter(move |(hole, _)| !(own && Traced::is_named(&hole.name)));
        self.request.holes().chain(expected)
    }
}

impl fmt::Display for Load {
    /// What is asked: `load GET /items`, or how many things.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.asks.as_slice() {
            [Ask { request, .. }] => write!(f, "load {} {}", request.method, request.url),
            asks => write!(f, "load of a mix of {}", asks.len()),
        }
    }
}

impl LoadWritten {
    /// Checks the load, which stands at `place`.
    pub fn check(mut self, place: Place, usual_timeout: Duration, findings: &mut Findings) -> Option<Load> {
        let asks = self.asks(place, findings);
        let model = findings.take(model(self.rate.take(), self.users.take(), place))?;
        let stages = findings.take(stages(self.span.take(), self.stages.as_ref(), model, place));
        let think = findings.take(self.think(model));
        if let (Some(spacing), Model::Closed(_)) = (&self.spacing, model) {
            let title = "attempts are spaced by a `rate`: users ask when they were answered";
            findings.add(Finding::new(Code::ScenarioLoad, spacing.place, title));
        }
        let thresholds: Vec<_> =
            self.thresholds.into_iter().flat_map(|at| at.value.check(at.place, findings)).collect();
        let asks = asks?;
        for of in thresholds.iter().filter_map(|threshold| threshold.of.as_ref()) {
            if !asks.iter().any(|ask| ask.name == of.value) {
                let title = format!("nothing in the load's `mix` is called `{of}`");
                findings.add(Finding::new(Code::ScenarioLoad, of.place, title));
            }
        }
        let connections =
            self.connections.and_then(|at| findings.take(some_of(&at, MOST_USERS, "connections")));
        let threads = self.threads.and_then(|at| findings.take(some_of(&at, MOST_THREADS, "threads")));
        Some(Load {
            model,
            stages: stages?,
            spacing: self.spacing.map(|at| at.value).unwrap_or_default(),
            think: think?,
            asks,
            thresholds,
            timeout: self.timeout.map_or(usual_timeout, |at| at.value.0),
            connections: connections.map(NonZero::get),
            threads,
            allow_targets: self.allow_targets,
        })
    }

    fn asks(&mut self, place: Place, findings: &mut Findings) -> Option<Vec<Ask>> {
        let (http, mix, expect) = (self.http.take(), self.mix.take(), self.expect.take());
        match (http, mix) {
            (Some(http), None) => {
                let written = MixedWritten { name: None, weight: None, http, expect };
                written.check(findings).map(|ask| vec![ask])
            }
            (None, Some(mix)) if mix.value.is_empty() || mix.value.len() > MOST_ASKS => {
                let title = format!("a `mix` is of 1 to {MOST_ASKS} things");
                findings.add(Finding::new(Code::ScenarioLoad, mix.place, title));
                None
            }
            (None, Some(mix)) => {
                if let Some(expect) = &expect {
                    let title = "each thing in a `mix` has an `expect` of its own";
                    findings.add(Finding::new(Code::ScenarioLoad, expect.place, title));
                }
                let asks: Vec<_> = mix.value.into_iter().map(|at| at.value.check(findings)).collect();
                asks.into_iter().collect()
            }
            (Some(http), Some(mix)) => {
                let finding =
                    Finding::new(Code::ScenarioLoad, mix.place, "a load asks by `http` or by a `mix`");
                findings.add(finding.also(http.place, "the request is given here"));
                None
            }
            (None, None) => {
                let finding = Finding::new(Code::ScenarioLoad, place, "the load has nothing to ask");
                findings.add(finding.help("add `http: { get: … }`"));
                None
            }
        }
    }

    /// How long users think, at least and at most.
    fn think(&self, model: Model) -> Result<(Duration, Duration), Finding> {
        let (least, most) = (self.think.as_ref(), self.think_at_most.as_ref());
        if let (Some(at), Model::Open(_)) = (least.or(most), model) {
            let title = "nobody thinks where a `rate` decides: `think` goes with `users`";
            return Err(Finding::new(Code::ScenarioLoad, at.place, title));
        }
        let least = least.map_or(Duration::ZERO, |at| at.value.0);
        match most {
            Some(most) if most.value.0 < least => {
                let title = "`think_at_most` is no shorter than `think`";
                Err(Finding::new(Code::FileValue, most.place, title))
            }
            Some(most) => Ok((least, most.value.0)),
            None => Ok((least, least)),
        }
    }
}

impl MixedWritten {
    fn check(self, findings: &mut Findings) -> Option<Ask> {
        let expect = self
            .expect
            .map_or_else(Expect::default, |at| at.value.check(Answer::Http, "load", at.place, findings));
        let request = self.http.value.check(self.http.place, findings)?;
        if request.network.addresses == Addresses::All {
            let title = "each connection of a load is to one address: `addresses` is `first` or `any`";
            findings.add(Finding::new(Code::ScenarioLoad, self.http.place, title));
        }
        let weight =
            self.weight.and_then(|at| findings.take(some_of(&at, HEAVIEST, "weights").map(|_| at.value)));
        let name = self.name.map_or_else(|| format!("{} {}", request.method, request.url), |at| at.value);
        Some(Ask { name, weight: weight.unwrap_or(1), request, expect })
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

/// How the load goes up and down.
fn stages(
    span: Option<At<Span>>,
    stages: Option<&At<Vec<At<StageWritten>>>>,
    model: Model,
    place: Place,
) -> Result<Vec<Stage>, Finding> {
    match (span, stages) {
        (Some(span), None) if span.value.0.is_zero() => {
            Err(Finding::new(Code::FileValue, span.place, "load takes time: write `for: 30s`"))
        }
        (Some(span), None) => {
            let full = model.full();
            Ok(vec![Stage { from: full, to: full, span: span.value.0 }])
        }
        (None, Some(stages)) => stage::check(stages, model),
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
