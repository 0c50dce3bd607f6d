//! What a load asks: a single request, or a flow of steps, each as often as its weight says.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use super::sockets::{Sockets, SocketsWritten};
use super::some_of;
use crate::finding::{Code, Finding, Findings};
use crate::scenario::capture::Traced;
use crate::scenario::check_steps;
use crate::scenario::expect::{Answer, Expect, ExpectWritten};
use crate::scenario::http::{Http, HttpWritten};
use crate::scenario::load::data::DATA;
use crate::scenario::network::Addresses;
use crate::scenario::probe::Probe;
use crate::scenario::step::{Does, Patience, Step, StepWritten};
use crate::scenario::template::Hole;
use crate::source::{At, Place};

/// The most things that are asked in one load, steps of flows among them: of each its times are kept.
pub(super) const MOST_ASKS: usize = 32;

/// The most that one thing may weigh.
const HEAVIEST: u32 = 1_000_000;

/// One of the things that are asked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MixedWritten {
    /// What it is called in reports; its method and address unless said.
    name: Option<At<String>>,
    /// How often, beside the other weights; 1 unless said.
    weight: Option<At<u32>>,
    /// Words that thresholds may use to speak of several things at once.
    #[serde(default)]
    tags: Vec<At<String>>,
    /// What is asked.
    http: Option<At<HttpWritten>>,
    /// What each answer must be.
    expect: Option<At<ExpectWritten>>,
    /// What is done, step by step, in place of `http` and `expect`.
    flow: Option<At<Vec<At<StepWritten>>>>,
    /// WebSocket connections that are opened and held, in place of `http`.
    websocket: Option<At<SocketsWritten>>,
}

/// One of the things that are asked, checked.
#[derive(Debug, Clone)]
pub struct Ask {
    /// What it is called in reports.
    pub name: String,
    /// How often, beside the other weights.
    pub weight: u32,
    /// Words that stand for it and others.
    pub tags: Vec<String>,
    /// What is done: a single request, or the steps of a flow in their order.
    pub steps: Vec<Step>,
    /// Whether it is a flow, whose steps are told of one by one.
    pub flow: bool,
    /// What is done with the connection that the request asks to upgrade, if it does.
    pub sockets: Option<Sockets>,
}

impl Ask {
    /// The request and what is expected of its answer, where it is a single one.
    #[must_use]
    pub fn request(&self) -> Option<(&Http, &Expect)> {
        match self.steps.as_slice() {
            [step] if !self.flow => Some((step.http()?, &step.expect)),
            _ => None,
        }
    }

    /// Every hole that is filled from outside: not by what a step captured before, nor from a row of data.
    pub(super) fn holes(&self) -> impl Iterator<Item = (&Hole, Place)> {
        let mut given: BTreeSet<&str> = BTreeSet::new();
        let mut needed = Vec::new();
        if let Some((request, expect)) = self.request() {
            // It is filled once, for all: it cannot name the traces that its attempts begin.
            let own = |(hole, _): &(&Hole, Place)| request.trace && Traced::is_named(&hole.name);
            let message = self.sockets.iter().map(|sockets| &sockets.message);
            let message = message.flat_map(|at| at.value.holes().map(|hole| (hole, at.place)));
            let expected = expect.holes().filter(|hole| !own(hole));
            return request.holes().chain(expected).chain(message).collect::<Vec<_>>().into_iter();
        }
        for step in &self.steps {
            let from_outside = |(hole, _): &(&Hole, Place)| !given.contains(hole.name.as_str());
            needed.extend(step.holes().filter(from_outside));
            given.extend(step.captures.iter().map(|capture| capture.name.value.as_str()));
            if step.does.traces() {
                given.extend(Traced::ALL.map(Traced::name));
            }
            if let Does::Set(vars) = &step.does {
                given.extend(vars.iter().map(|(name, _)| name.value.as_str()));
            }
        }
        needed.into_iter()
    }

    /// What books of their own are kept of its connections, where it holds any.
    pub fn books(&self) -> impl Iterator<Item = &'static str> {
        self.sockets.iter().flat_map(Sockets::books)
    }

    /// The columns of data that it names.
    pub fn columns(&self) -> impl Iterator<Item = (&str, Place)> {
        let holes = self.steps.iter().flat_map(Step::holes);
        holes.filter_map(|(hole, place)| Some((hole.name.strip_prefix(DATA)?, place)))
    }
}

impl MixedWritten {
    /// What is asked where there is nothing else.
    pub(super) fn alone(
        http: Option<At<HttpWritten>>,
        expect: Option<At<ExpectWritten>>,
        flow: Option<At<Vec<At<StepWritten>>>>,
        websocket: Option<At<SocketsWritten>>,
    ) -> Self {
        Self { name: None, weight: None, tags: Vec::new(), http, expect, flow, websocket }
    }

    /// Checks what is asked, which stands at `place`.
    pub(super) fn check(self, place: Place, findings: &mut Findings) -> Option<Ask> {
        let weight =
            self.weight.and_then(|at| findings.take(some_of(&at, HEAVIEST, "weights").map(|_| at.value)));
        let weight = weight.unwrap_or(1);
        let tags = self.tags.into_iter().map(|at| at.value).collect();
        let mut sockets = None;
        let (steps, flow) = match (self.http, self.flow, self.websocket) {
            (Some(http), None, None) => (vec![single(http, self.expect, findings)?], false),
            (None, None, Some(websocket)) => {
                if let Some(expect) = &self.expect {
                    let title =
                        "of a `websocket` under load an upgrade and answers are expected, and no more";
                    findings.add(Finding::new(Code::ScenarioLoad, expect.place, title));
                }
                let (step, said) = websocket.value.check(findings)?;
                sockets = Some(said);
                (vec![step], false)
            }
            (None, Some(flow), None) => {
                if let Some(expect) = &self.expect {
                    let title = "each step of a `flow` has an `expect` of its own";
                    findings.add(Finding::new(Code::ScenarioLoad, expect.place, title));
                }
                (check_flow(flow, findings)?, true)
            }
            (Some(At { place, .. }), Some(_), _)
            | (_, Some(At { place, .. }), Some(_))
            | (Some(At { place, .. }), _, Some(_)) => {
                let title = "a load asks by `http`, by a `flow`, by a `websocket` or by a `mix`";
                findings.add(Finding::new(Code::ScenarioLoad, place, title));
                return None;
            }
            (None, None, None) => {
                let finding = Finding::new(Code::ScenarioLoad, place, "the load has nothing to ask");
                findings.add(finding.help("add `http: { get: … }` or `flow: [{ http: … }, …]`"));
                return None;
            }
        };
        let subject = || match steps.as_slice() {
            [step] if !flow => step.name.clone(),
            _ => "flow".to_owned(),
        };
        let name = self.name.map_or_else(subject, |at| at.value);
        Some(Ask { name, weight, tags, steps, flow, sockets })
    }
}

/// A single request.
fn single(http: At<HttpWritten>, expect: Option<At<ExpectWritten>>, findings: &mut Findings) -> Option<Step> {
    let place = http.place;
    let expect =
        expect.map_or_else(Expect::default, |at| at.value.check(Answer::Http, "load", at.place, findings));
    let request = http.value.check(place, findings)?;
    refuse_all_addresses(request.network.addresses, place, findings);
    Some(Step { expect, ..Step::of(Probe::Http(request), place) })
}

fn refuse_all_addresses(addresses: Addresses, place: Place, findings: &mut Findings) {
    if addresses == Addresses::All {
        let title = "each connection of a load is to one address: `addresses` is `first` or `any`";
        findings.add(Finding::new(Code::ScenarioLoad, place, title));
    }
}

/// The steps of a flow: what a user does on the way through, and what of that many may do at once.
fn check_flow(flow: At<Vec<At<StepWritten>>>, findings: &mut Findings) -> Option<Vec<Step>> {
    let place = flow.place;
    let steps = check_steps(flow.value, findings);
    if steps.is_empty() {
        findings.add(Finding::new(Code::ScenarioLoad, place, "the flow has no steps"));
        return None;
    }
    Some(steps)
}

impl Ask {
    /// Checks that the steps of a flow, those of fragments among them, are such as many may do at once.
    pub fn check_flow(&self, findings: &mut Findings) {
        for step in self.steps.iter().filter(|_| self.flow) {
            let refuse = |title: String| Finding::new(Code::ScenarioLoad, step.place, title);
            match &step.does {
                Does::Probe(probe) => {
                    if let Some(target) = probe.told().target() {
                        refuse_all_addresses(target.network.addresses, step.place, findings);
                    } else {
                        let kind = step.does.kind();
                        findings
                            .add(refuse(format!("a `{kind}` step is nothing that many users do at once")));
                    }
                }
                Does::Wait(_) | Does::Set(_) | Does::Use(_) => {}
                Does::Load(_) | Does::Quiet(_) | Does::Monitoring(_) | Does::Fault(_) => {
                    let kind = step.does.kind();
                    findings.add(refuse(format!("a `{kind}` step cannot be part of a flow")));
                }
            }
            if step.patience != Patience::Once {
                let title = "a step of a flow is tried once: `retry` and `within` would hide what load does";
                findings.add(refuse(title.to_owned()));
            }
            if let Some(sli) = &step.sli {
                let title = "the load itself feeds an SLI, and not a step of its flow";
                findings.add(Finding::new(Code::ScenarioLoad, sli.place, title));
            }
        }
    }

    /// The steps that are told of one by one: those of a flow that ask something.
    pub fn told(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| self.flow && matches!(step.does, Does::Probe(_)))
    }
}
