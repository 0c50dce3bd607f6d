//! One thing a scenario does and what is expected of it, as written and as checked.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::alert::{AlertWritten, Alerts, Others, QuietWritten};
use super::body::Attached;
use super::capture::{Capture, CaptureWritten, Traced, check_captures};
use super::dns::DnsWritten;
pub use super::does::{Does, Use};
use super::exchange::{TcpWritten, WebSocketWritten};
use super::exec::ExecWritten;
use super::expect::{Answer, Expect, ExpectWritten, wanted};
use super::fault::{Fault, FaultWritten};
use super::grpc::GrpcWritten;
use super::health::{HealthWritten, State};
use super::http::{Http, HttpWritten};
use super::icmp::IcmpWritten;
use super::kubelet::KubeletWritten;
use super::load::LoadWritten;
use super::logs::LogsWritten;
use super::metrics::MetricsWritten;
use super::monitoring::{DashboardWritten, RouteWritten};
use super::predicate::{Domain, Predicate};
use super::probe::Probe;
use super::promql::PromqlWritten;
use super::schema::Schema;
use super::template::{Hole, Shape, Template};
use super::tls::HandshakeWritten;
use crate::finding::{Code, Finding, Findings};
use crate::source::{At, Place};
use crate::units::Span;
use crate::yaml::{Entries, Json};

/// The deadline of an attempt unless the step says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The pause between attempts unless the step says otherwise.
const PAUSE: Duration = Duration::from_millis(500);

/// What a step may do, as files name it.
const KINDS: [&str; 21] = [
    "health",
    "ready",
    "http",
    "websocket",
    "tcp",
    "tls",
    "dns",
    "icmp",
    "grpc",
    "metrics",
    "promql",
    "logs",
    "exec",
    "kubelet",
    "load",
    "quiet",
    "dashboard",
    "route",
    "fault",
    "wait",
    "use",
];

/// The most attempts one step may ask for.
const MOST_ATTEMPTS: u32 = 1000;

/// A step. Exactly one of the keys that name a kind of step says what it does; the others go with any of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepWritten {
    /// What reports call it; what it does, unless said.
    name: Option<At<String>>,
    /// Ask a health endpoint how the service is.
    health: Option<At<HealthWritten>>,
    /// Ask a readiness endpoint whether the service may be given traffic.
    ready: Option<At<HealthWritten>>,
    /// Make one HTTP request.
    http: Option<At<HttpWritten>>,
    /// Hold a conversation over WebSocket.
    websocket: Option<At<WebSocketWritten>>,
    /// Hold a conversation over TCP.
    tcp: Option<At<TcpWritten>>,
    /// Shake hands over TLS.
    tls: Option<At<HandshakeWritten>>,
    /// Ask a name server.
    dns: Option<At<DnsWritten>>,
    /// Ask a host for echoes.
    icmp: Option<At<IcmpWritten>>,
    /// Ask a gRPC server how it is.
    grpc: Option<At<GrpcWritten>>,
    /// Read a metrics page.
    metrics: Option<At<MetricsWritten>>,
    /// Ask a Prometheus.
    promql: Option<At<PromqlWritten>>,
    /// Read what was logged.
    logs: Option<At<LogsWritten>>,
    /// Run a program.
    exec: Option<At<ExecWritten>>,
    /// Watch a pod as a kubelet does.
    kubelet: Option<At<KubeletWritten>>,
    /// Make many requests.
    load: Option<At<LoadWritten>>,
    /// See that no alert is pending or firing for a while, and every target is scraped.
    quiet: Option<At<QuietWritten>>,
    /// See that every query of a dashboard returns data.
    dashboard: Option<At<DashboardWritten>>,
    /// See whom an alert would reach.
    route: Option<At<RouteWritten>>,
    /// Break something on purpose, and mend it again.
    fault: Option<At<FaultWritten>>,
    /// Do nothing for a while.
    wait: Option<At<Span>>,
    /// Do the steps of a fragment.
    #[serde(rename = "use")]
    uses: Option<At<UseWritten>>,
    /// What the answer must be.
    expect: Option<At<ExpectWritten>>,
    /// What is kept of the answer, by the name it is given.
    #[serde(default)]
    capture: Entries<CaptureWritten>,
    /// Try again when it fails; a step that passes only then is flaky.
    retry: Option<At<RetryWritten>>,
    /// Keep trying until it holds, at most so long.
    within: Option<At<Span>>,
    /// The deadline of one attempt; 10s unless said.
    timeout: Option<At<Span>>,
    /// Do this only where these hold: template to expectation.
    #[serde(default)]
    #[schemars(with = "Entries<Predicate>")]
    when: Entries<Json>,
    /// The SLI that its attempts feed.
    sli: Option<At<String>>,
    /// Fault only: hold it at least so long.
    #[serde(rename = "for")]
    hold: Option<At<Span>>,
    /// Fault only: what must hold while it lasts; this is also what shows that it took effect.
    #[serde(rename = "while")]
    meanwhile: Option<At<Vec<At<StepWritten>>>>,
    /// Fault only: what must hold once it is lifted, most often `within` some time.
    then: Option<At<Vec<At<StepWritten>>>>,
    /// Fault only: the alerts that it must raise, by their names. Times are rule time.
    #[serde(default)]
    alerts: Entries<At<AlertWritten>>,
    /// Fault only: whether alerts that are not named may fire meanwhile.
    others: Option<At<Others>>,
    /// Background only: end with the last step instead of being waited for.
    #[serde(default)]
    cancel: bool,
}

/// How often to try again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RetryWritten {
    /// The most attempts in all.
    attempts: At<u32>,
    /// The pause between them; 500ms unless said.
    every: Option<Span>,
}

/// The steps of another file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UseWritten {
    /// The fragment's file, beside this one.
    file: At<String>,
    /// Variables for the fragment.
    #[serde(default)]
    with: Entries<Json>,
}

/// One thing a scenario does and what is expected of it.
#[derive(Debug, Clone)]
pub struct Step {
    /// What reports call it.
    pub name: String,
    /// Where it was written.
    pub place: Place,
    /// What is done.
    pub does: Does,
    /// What the answer must be.
    pub expect: Expect,
    /// What is kept of the answer.
    pub captures: Vec<Capture>,
    /// How long it is tried.
    pub patience: Patience,
    /// The deadline of one attempt.
    pub timeout: Duration,
    /// What must hold for it to be done at all.
    pub when: Vec<(At<Template>, At<Predicate>)>,
    /// The SLI that its attempts feed.
    pub sli: Option<At<String>>,
    /// Whether it ends with the last step, when it runs in the background.
    pub cancel: bool,
    /// What it is in the scenario.
    pub role: Role,
    /// Whether, in the background, it has its turn after the step before it: those of a fragment have.
    pub follows: bool,
}

/// What a step is in its scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A step like others.
    Plain,
    /// Shows that the system is steady before anything is broken; where it fails, nothing was measured.
    SteadyBefore,
    /// Shows that the system is steady again.
    SteadyAfter,
}

/// How long a step is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Once.
    Once,
    /// So many times; passing only after the first is flaky.
    Retry {
        /// Attempts in all.
        attempts: u32,
        /// The pause between them.
        every: Duration,
    },
    /// Until it holds; failing meanwhile is expected.
    Within {
        /// At most so long.
        limit: Duration,
        /// The pause between attempts.
        every: Duration,
    },
}

impl Step {
    /// A step that nobody wrote as one: one attempt of `probe`, which was written at `place`.
    pub(super) fn of(probe: Probe, place: Place) -> Self {
        Self {
            name: probe.told().subject(),
            place,
            does: Does::Probe(Box::new(probe)),
            expect: Expect::default(),
            captures: Vec::new(),
            patience: Patience::Once,
            timeout: TIMEOUT,
            when: Vec::new(),
            sli: None,
            cancel: false,
            role: Role::Plain,
            follows: false,
        }
    }

    /// The fault, where this breaks something.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        match &self.does {
            Does::Fault(fault) => Some(fault),
            Does::Probe(_)
            | Does::Load(_)
            | Does::Quiet(_)
            | Does::Monitoring(_)
            | Does::Wait(_)
            | Does::Use(_)
            | Does::Set(_) => None,
        }
    }

    /// The request, where it makes one.
    #[must_use]
    pub fn http(&self) -> Option<&Http> {
        let Does::Probe(probe) = &self.does else { return None };
        let Probe::Http(http) = &**probe else { return None };
        Some(http)
    }

    /// The step and the steps within it, in the order they are told of.
    #[must_use]
    pub fn all(&self) -> Box<dyn Iterator<Item = &Step> + '_> {
        let within = self.fault().into_iter().flat_map(Fault::steps).flat_map(Step::all);
        Box::new(std::iter::once(self).chain(within))
    }

    /// The files that it sends, to be read.
    pub fn attached(&mut self) -> Vec<&mut Attached> {
        self.does.attached()
    }

    /// The schemas that its answers match, to be read.
    pub fn schemas(&mut self) -> impl Iterator<Item = &mut Schema> {
        self.expect.schema.iter_mut()
    }

    /// Every hole that is filled from outside of the step, with its place; not those of steps within it.
    pub fn holes(&self) -> impl Iterator<Item = (&Hole, Place)> {
        let when = self.when.iter().flat_map(|(template, predicate)| {
            let template = template.holes().map(|hole| (hole, template.place));
            template.chain(predicate.holes().map(|hole| (hole, predicate.place)))
        });
        self.needs().chain(when)
    }

    /// The holes of what it does and expects, but for those that its attempts themselves fill.
    pub fn needs(&self) -> impl Iterator<Item = (&Hole, Place)> {
        let own = self.does.traces();
        let all = self.does.holes().chain(self.expect.holes());
        all.filter(move |(hole, _)| !(own && Traced::is_named(&hole.name)))
    }
}

impl StepWritten {
    /// Checks the step, which stands at `place`.
    pub fn check(mut self, place: Place, findings: &mut Findings) -> Option<Step> {
        let mut does = self.take_kind(place, findings)?;
        let expect = self
            .expect
            .map(|at| at.value.check(does.answer(), does.kind(), at.place, findings))
            .unwrap_or_default();
        let captures = check_captures(self.capture, does.answer(), does.traces(), does.kind(), findings);
        let patience = patience(self.retry, self.within, &does, findings)?;
        if does.answer() == Answer::Kubelet {
            // It lasts as long as it says, and is many probes by rules of its own.
            let vain =
                [("timeout", self.timeout.map(|at| at.place)), ("sli", self.sli.as_ref().map(|at| at.place))];
            for (key, at) in vain.into_iter().filter_map(|(key, at)| Some((key, at?))) {
                let title = format!("a `kubelet` step has no `{key}`");
                findings.add(Finding::new(Code::ScenarioStep, at, title));
            }
        }
        let when = self.when.into_iter().filter_map(|(text, json)| {
            let template =
                Template::parse(&text).map_err(|why| Finding::new(Code::FileValue, text.place, why));
            let template = findings.take(template)?;
            Some((At::new(template, text.place), wanted(Some(json), Domain::Value, findings)?))
        });
        let when = when.collect();
        let name = self.name.map_or_else(|| does.describe(), |name| name.value);
        if let Does::Fault(fault) = &mut does {
            fault.name_steps_after(&name);
        }
        Some(Step {
            name,
            place,
            expect,
            captures,
            patience,
            timeout: self.timeout.map_or(TIMEOUT, |span| span.0),
            when,
            sli: self.sli,
            cancel: self.cancel,
            role: Role::Plain,
            follows: false,
            does,
        })
    }

    /// The one thing the step does.
    fn take_kind(&mut self, place: Place, findings: &mut Findings) -> Option<Does> {
        let timeout = self.timeout.map_or(TIMEOUT, |span| span.0);
        let around = self.take_around(findings);
        let mut offers = Vec::new();
        offer(&mut offers, self.health.take(), |at, f| {
            Some(probe(Probe::Health(at.value.check(State::Healthy, f))))
        });
        offer(&mut offers, self.ready.take(), |at, f| {
            Some(probe(Probe::Health(at.value.check(State::Ready, f))))
        });
        offer(&mut offers, self.http.take(), |at, f| Some(probe(Probe::Http(at.value.check(at.place, f)?))));
        offer(&mut offers, self.websocket.take(), |at, f| Some(probe(Probe::WebSocket(at.value.check(f)))));
        offer(&mut offers, self.tcp.take(), |at, f| Some(probe(Probe::Tcp(at.value.check(f)))));
        offer(&mut offers, self.tls.take(), |at, f| Some(probe(Probe::Tls(at.value.check(f)))));
        offer(&mut offers, self.dns.take(), |at, f| Some(probe(Probe::Dns(at.value.check(f)))));
        offer(&mut offers, self.icmp.take(), move |at, f| {
            Some(probe(Probe::Icmp(at.value.check(timeout, f))))
        });
        offer(&mut offers, self.grpc.take(), |at, f| Some(probe(Probe::Grpc(at.value.check(f)))));
        offer(&mut offers, self.metrics.take(), |at, f| Some(probe(Probe::Metrics(at.value.check(f)))));
        offer(&mut offers, self.promql.take(), |at, f| Some(probe(Probe::Promql(at.value.check(f)))));
        offer(&mut offers, self.logs.take(), |at, f| Some(probe(Probe::Logs(at.value.check(at.place, f)?))));
        offer(&mut offers, self.exec.take(), |at, f| Some(probe(Probe::Exec(at.value.check(at.place, f)?))));
        offer(&mut offers, self.kubelet.take(), |at, f| {
            Some(probe(Probe::Kubelet(at.value.check(at.place, f)?)))
        });
        offer(&mut offers, self.load.take(), move |at, f| {
            Some(Does::Load(Box::new(at.value.check(at.place, timeout, f)?)))
        });
        offer(&mut offers, self.fault.take(), |at, f| Some(Does::Fault(Box::new(around.check(at, f)?))));
        offer(&mut offers, self.wait, |at, _| Some(Does::Wait(at.value.0)));
        offer(&mut offers, self.quiet.take(), |at, f| Some(Does::Quiet(at.value.check(f))));
        offer(&mut offers, self.dashboard.take(), |at, _| Some(Does::Monitoring(Box::new(at.value.check()))));
        offer(&mut offers, self.route.take(), |at, f| {
            Some(Does::Monitoring(Box::new(at.value.check(at.place, f))))
        });
        offer(&mut offers, self.uses.take(), |at, f| Some(Does::Use(at.value.check(f))));
        match (offers.pop(), offers.pop()) {
            (Some((_, only)), None) => only(findings),
            (None, _) => {
                let finding = Finding::new(Code::ScenarioStep, place, "the step does nothing");
                findings.add(finding.help(format!("add one of {}", KINDS.join(", "))));
                None
            }
            (Some((second, _)), Some((first, _))) => {
                let finding = Finding::new(Code::ScenarioStep, second, "a step does one thing");
                findings.add(finding.label("this is a second").also(first, "this is the first"));
                None
            }
        }
    }
}

/// What a step says of a fault besides what is broken.
struct Around {
    hold: Option<At<Span>>,
    meanwhile: Option<At<Vec<At<StepWritten>>>>,
    then: Option<At<Vec<At<StepWritten>>>>,
    alerts: Entries<At<AlertWritten>>,
    others: Option<At<Others>>,
}

impl StepWritten {
    /// What is said of the fault; a finding where there is none.
    fn take_around(&mut self, findings: &mut Findings) -> Around {
        let around = Around {
            hold: self.hold.take(),
            meanwhile: self.meanwhile.take(),
            then: self.then.take(),
            alerts: std::mem::take(&mut self.alerts),
            others: self.others.take(),
        };
        if self.fault.is_none() {
            let keys = [
                ("for", around.hold.as_ref().map(|at| at.place)),
                ("while", around.meanwhile.as_ref().map(|at| at.place)),
                ("then", around.then.as_ref().map(|at| at.place)),
                ("alerts", around.alerts.0.first().map(|(name, _)| name.place)),
                ("others", around.others.as_ref().map(|at| at.place)),
            ];
            for (key, at) in keys.into_iter().filter_map(|(key, at)| Some((key, at?))) {
                let title = format!("`{key}` belongs to a `fault`, and this step has none");
                findings.add(Finding::new(Code::FaultStep, at, title));
            }
        }
        around
    }
}

impl Around {
    fn check(self, fault: At<FaultWritten>, findings: &mut Findings) -> Option<Fault> {
        let place = fault.place;
        let (target, breaks) = fault.value.check(place, findings)?;
        let mut within = |steps: Option<At<Vec<At<StepWritten>>>>| {
            super::check_steps(steps.map(|at| at.value).unwrap_or_default(), findings)
        };
        let (meanwhile, after) = (within(self.meanwhile), within(self.then));
        let hold = self.hold.map_or(Duration::ZERO, |span| span.0);
        let alerts = Alerts::check(self.alerts, self.others, findings);
        Some(Fault { target, breaks, place, hold, meanwhile, after, alerts })
    }
}

/// Something a step may do, where it was written, and how that is checked.
type Offer = (Place, Box<dyn FnOnce(&mut Findings) -> Option<Does>>);

fn offer<W: 'static>(
    offers: &mut Vec<Offer>,
    written: Option<At<W>>,
    check: impl FnOnce(At<W>, &mut Findings) -> Option<Does> + 'static,
) {
    if let Some(at) = written {
        offers.push((at.place, Box::new(move |findings| check(at, findings))));
    }
}

fn probe(probe: Probe) -> Does {
    Does::Probe(Box::new(probe))
}

impl UseWritten {
    fn check(self, findings: &mut Findings) -> Use {
        Use { file: self.file, with: check_vars(self.with, findings) }
    }
}

fn patience(
    retry: Option<At<RetryWritten>>,
    within: Option<At<Span>>,
    does: &Does,
    findings: &mut Findings,
) -> Option<Patience> {
    if let (Some(place), Answer::None | Answer::Kubelet) =
        (retry.as_ref().map(|at| at.place).or(within.map(|at| at.place)), does.answer())
    {
        let title = format!("a `{}` step is not tried again", does.kind());
        findings.add(Finding::new(Code::ScenarioStep, place, title));
    }
    match (retry, within) {
        (None, None) => Some(Patience::Once),
        (None, Some(limit)) => Some(Patience::Within { limit: limit.0, every: PAUSE }),
        (Some(retry), None) => {
            let attempts = retry.value.attempts;
            if !(1..=MOST_ATTEMPTS).contains(&attempts.value) {
                let title = format!("attempts are between 1 and {MOST_ATTEMPTS}");
                findings.add(Finding::new(Code::FileValue, attempts.place, title));
            }
            let every = retry.value.every.map_or(PAUSE, |span| span.0);
            Some(Patience::Retry { attempts: attempts.value, every })
        }
        (Some(retry), Some(within)) => {
            let finding =
                Finding::new(Code::ScenarioStep, within.place, "`within` and `retry` exclude each other");
            let finding = finding.also(retry.place, "the attempts are given here");
            findings.add(
                finding.help("`within` waits for something to come true; `retry` forgives a flaky step"),
            );
            None
        }
    }
}

/// Checks variables.
pub(super) fn check_vars(vars: Entries<Json>, findings: &mut Findings) -> Vec<(At<String>, At<Shape>)> {
    let checked = vars.into_iter().filter_map(|(name, json)| {
        if !super::template::is_name(&name) || name.contains('.') {
            let title = format!("`{}` cannot be a variable's name", name.value);
            let finding = Finding::new(Code::FileValue, name.place, title);
            findings.add(finding.help("letters, digits, `_` and `-`, a letter first"));
            return None;
        }
        let shape = Shape::of(&json.0).map_err(|(node, why)| Finding::new(Code::FileValue, node.place, why));
        findings.take(shape).map(|shape| (name, At::new(shape, json.0.place)))
    });
    checked.collect()
}
