//! Load, as written and as checked.

mod ask;
pub mod data;
mod replay;
pub mod sockets;
mod stage;
mod threshold;

use std::fmt;
use std::num::NonZero;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use self::ask::MOST_ASKS;
pub use self::ask::{Ask, MixedWritten};
use self::data::{DATA, Data, DataWritten, Take};
use self::sockets::SocketsWritten;
pub use self::stage::{Stage, StageWritten};
pub use self::threshold::{Measure, Threshold, ThresholdWritten};
use super::expect::ExpectWritten;
use super::http::HttpWritten;
use super::step::{Step, StepWritten};
use super::template::Hole;
use crate::finding::{Code, Finding, Findings};
use crate::source::{At, Place};
use crate::units::{Rate, Ratio, Span};

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
    /// A file beside this one with a recorded rate, in place of `rate` and `stages`: CSV with the columns `time`, in
    /// seconds, and `rate`, per second.
    replay: Option<At<String>>,
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
    /// What each user does, step by step, in place of `http` and `expect`: cookies and captures are the user's own.
    flow: Option<At<Vec<At<StepWritten>>>>,
    /// WebSocket connections that are opened, each of them an attempt, and held, in place of `http`.
    websocket: Option<At<SocketsWritten>>,
    /// What is asked, each as often as its weight says, in place of `http`, `expect` and `flow`.
    mix: Option<At<Vec<At<MixedWritten>>>>,
    /// Rows of data, as `${data.COLUMN}`.
    data: Option<At<DataWritten>>,
    /// Of how many answers more than the status is looked at; of all unless said.
    examine: Option<At<Ratio>>,
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
    /// The file with the recorded rate that says how the load goes up and down; the plan reads it.
    pub replay: Option<At<String>>,
    /// How the load goes up and down.
    pub stages: Vec<Stage>,
    /// How attempts lie between one another.
    pub spacing: Spacing,
    /// How long a user waits after an answer, at least and at most.
    pub think: (Duration, Duration),
    /// What is asked; at least one thing.
    pub asks: Vec<Ask>,
    /// Rows of data, if there are some.
    pub data: Option<Data>,
    /// Of how many answers more than the status is looked at.
    pub examined: Ratio,
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

impl Load {
    /// From the first attempt due to the last.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.stages.iter().map(|stage| stage.span).sum()
    }

    /// Every hole that is filled from outside, with its place: neither by an answer within it nor from its data.
    pub(super) fn holes(&self) -> impl Iterator<Item = (&Hole, Place)> {
        let wanted = self.thresholds.iter().map(|threshold| &threshold.wanted);
        let of_thresholds = wanted.flat_map(|at| at.value.holes().map(|hole| (hole, at.place)));
        let has_data = self.data.is_some();
        let asked = self.asks.iter().flat_map(Ask::holes);
        asked.filter(move |(hole, _)| !(has_data && hole.name.starts_with(DATA))).chain(of_thresholds)
    }

    /// Every step that something is asked by.
    pub(super) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.asks.iter().flat_map(|ask| &ask.steps)
    }

    /// What books of their own are kept of, each with the words that stand for it and others: the things that are
    /// asked, where there is more than one, and the steps of flows.
    #[must_use]
    pub fn parts(&self) -> Vec<Part<'_>> {
        let alone = self.asks.len() == 1;
        let mut parts = Vec::new();
        for ask in &self.asks {
            let whole = Part { name: ask.name.clone(), tags: &ask.tags };
            parts.extend((!alone).then_some(whole));
            parts.extend(ask.books().map(|book| Part {
                name: if alone { book.to_owned() } else { format!("{} / {book}", ask.name) },
                tags: &[],
            }));
            parts.extend(ask.told().map(|step| Part {
                name: if alone { step.name.clone() } else { format!("{} / {}", ask.name, step.name) },
                tags: &[],
            }));
        }
        parts
    }

    /// Takes in the recorded rate.
    ///
    /// # Errors
    /// The text is none.
    pub fn adopt_replay(&mut self, text: &[u8]) -> Result<(), Finding> {
        let Some(file) = &self.replay else { return Ok(()) };
        let (peak, stages) = replay::stages(text)
            .map_err(|why| Finding::new(Code::ScenarioLoad, file.place, format!("`{file}`: {why}")))?;
        (self.model, self.stages) = (Model::Open(peak), stages);
        Ok(())
    }

    /// Checks what can be known only once fragments and data are read.
    #[expect(clippy::cast_precision_loss, reason = "rows are few")]
    pub fn check_whole(&self, place: Place, findings: &mut Findings) {
        self.asks.iter().for_each(|ask| ask.check_flow(findings));
        let parts = self.parts();
        if parts.len() > MOST_ASKS {
            let title = format!("books are kept of at most {MOST_ASKS} things and steps in one load");
            findings.add(Finding::new(Code::ScenarioLoad, place, title));
        }
        for of in self.thresholds.iter().filter_map(|threshold| threshold.of.as_ref()) {
            if !parts.iter().any(|part| part.is_called(&of.value)) {
                let title = format!("nothing in the load is called `{of}`, or has it among its `tags`");
                let finding = Finding::new(Code::ScenarioLoad, of.place, title);
                let known = parts.iter().map(|part| part.name.as_str());
                findings.add(match crate::finding::nearest(&of.value, known) {
                    Some(meant) => finding.label(format!("did you mean `{meant}`?")),
                    None => finding,
                });
            }
        }
        let Some(data) = &self.data else { return };
        for (column, at) in self.asks.iter().flat_map(Ask::columns) {
            data.misses(column, at).into_iter().for_each(|finding| findings.add(finding));
        }
        let wanted = self.takers();
        if data.take == Take::OnePerUser && !data.rows.is_empty() && wanted > data.rows.len() as f64 {
            let (rows, file) = (data.rows.len(), &data.file);
            let title = format!("`{file}` has {rows} rows, and {wanted:.0} users each take one of their own");
            let finding = Finding::new(Code::ScenarioLoad, file.place, title);
            findings.add(finding.help("add rows, or let users share them: `take: in_turn`"));
        }
    }

    /// How many users there are in all: with a rate, each attempt is by another.
    fn takers(&self) -> f64 {
        let level = |stage: &Stage| stage.from.max(stage.to);
        match self.model {
            Model::Closed(_) => self.stages.iter().map(level).fold(0.0, f64::max),
            Model::Open(_) => {
                let hits = |stage: &Stage| f64::midpoint(stage.from, stage.to) * stage.span.as_secs_f64();
                self.stages.iter().map(hits).sum::<f64>().floor()
            }
        }
    }
}

/// Something of a load that books of its own are kept of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// What reports call it.
    pub name: String,
    /// Words that stand for it and others.
    pub tags: &'a [String],
}

impl Part<'_> {
    /// Whether `word` is its name, or one of the words that stand for it.
    #[must_use]
    pub fn is_called(&self, word: &str) -> bool {
        self.name == word || self.tags.iter().any(|tag| tag == word)
    }
}

impl fmt::Display for Load {
    /// What is asked: `load GET /items`, or how many things.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.asks.as_slice() {
            [ask] if ask.flow => write!(f, "load of a flow of {}", ask.steps.len()),
            [ask] => write!(f, "load {}", ask.name),
            asks => write!(f, "load of a mix of {}", asks.len()),
        }
    }
}

impl LoadWritten {
    /// Checks the load, which stands at `place`.
    pub fn check(mut self, place: Place, usual_timeout: Duration, findings: &mut Findings) -> Option<Load> {
        let asks = self.asks(place, findings);
        let (model, stages) = self.size(place, findings)?;
        let think = findings.take(self.think(model));
        if let (Some(spacing), Model::Closed(_)) = (&self.spacing, model) {
            let title = "attempts are spaced by a `rate`: users ask when they were answered";
            findings.add(Finding::new(Code::ScenarioLoad, spacing.place, title));
        }
        let thresholds: Vec<_> =
            self.thresholds.into_iter().flat_map(|at| at.value.check(at.place, findings)).collect();
        let asks = asks?;
        let connections =
            self.connections.and_then(|at| findings.take(some_of(&at, MOST_USERS, "connections")));
        let threads = self.threads.and_then(|at| findings.take(some_of(&at, MOST_THREADS, "threads")));
        Some(Load {
            model,
            replay: self.replay,
            stages: stages?,
            spacing: self.spacing.map(|at| at.value).unwrap_or_default(),
            think: think?,
            asks,
            data: self.data.map(|at| at.value.check()),
            examined: self.examine.map_or(Ratio::ONE, |at| at.value),
            thresholds,
            timeout: self.timeout.map_or(usual_timeout, |at| at.value.0),
            connections: connections.map(NonZero::get),
            threads,
            allow_targets: self.allow_targets,
        })
    }

    fn asks(&mut self, place: Place, findings: &mut Findings) -> Option<Vec<Ask>> {
        let (http, expect, flow) = (self.http.take(), self.expect.take(), self.flow.take());
        let websocket = self.websocket.take();
        let Some(mix) = self.mix.take() else {
            let written = MixedWritten::alone(http, expect, flow, websocket);
            return written.check(place, findings).map(|ask| vec![ask]);
        };
        if mix.value.is_empty() || mix.value.len() > MOST_ASKS {
            let title = format!("a `mix` is of 1 to {MOST_ASKS} things");
            findings.add(Finding::new(Code::ScenarioLoad, mix.place, title));
            return None;
        }
        if let Some(single) =
            http.map(|at| at.place).or(flow.map(|at| at.place)).or(websocket.map(|at| at.place))
        {
            let title = "a load asks by `http`, by a `flow`, by a `websocket` or by a `mix`";
            let finding = Finding::new(Code::ScenarioLoad, mix.place, title);
            findings.add(finding.also(single, "what is asked is given here"));
            return None;
        }
        if let Some(expect) = &expect {
            let title = "each thing in a `mix` has an `expect` of its own";
            findings.add(Finding::new(Code::ScenarioLoad, expect.place, title));
        }
        let asks: Vec<_> = mix.value.into_iter().map(|at| at.value.check(at.place, findings)).collect();
        asks.into_iter().collect()
    }

    /// How much load there is, and when; nothing yet where that is a file's to say.
    fn size(&mut self, place: Place, findings: &mut Findings) -> Option<(Model, Option<Vec<Stage>>)> {
        let Some(replay) = &self.replay else {
            let model = findings.take(model(self.rate.take(), self.users.take(), place))?;
            let stages = findings.take(stages(self.span.take(), self.stages.as_ref(), model, place));
            return Some((model, stages));
        };
        let sizes = [
            ("rate", self.rate.as_ref().map(|at| at.place)),
            ("users", self.users.as_ref().map(|at| at.place)),
            ("for", self.span.as_ref().map(|at| at.place)),
            ("stages", self.stages.as_ref().map(|at| at.place)),
        ];
        for (key, at) in sizes.into_iter().filter_map(|(key, at)| Some((key, at?))) {
            let title = format!("`{key}` is what the recorded rate says");
            let finding = Finding::new(Code::ScenarioLoad, at, title);
            findings.add(finding.also(replay.place, "the recorded rate is here"));
        }
        Some((Model::Open(Rate::ONE), Some(Vec::new())))
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
