//! A run in which everything happens, for the tests of every report.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Report;
use crate::event::{
    Conclusion, Drilled, Event, Evidence, Failure, FaultStage, Hop, Line, Nanos, Outcome, Part, Proof,
    Quantiles, RungSeen, Stamped, StepId, Tally,
};
use crate::finding::{Drawing, Severity, excerpts};
use crate::gate::{Policy, judge};
use crate::ladder::Rung;
use crate::sample::{Phase, Phases, Reason};
use crate::sli::{Counts, Sli};
use crate::source::Sources;

const SCENARIO: &str = "\
scenario: quickstart
about: A shopper's visit against an embedded stand-in
steps:
  - name: browse
    http: { get: \"${base}/items\" }
    expect: { status: 200, latency: under 200ms }
    retry: { attempts: 3 }
  - name: prices
    websocket:
      url: \"${base}/prices\"
      exchange:
        - send: { json: { subscribe: EUR } }
        - receive: { count: 10, within: 500ms }
";

const SLOS: &str = "\
  objectives:
    - target: 0.999
    - target: 0.99
";

/// Writes into memory that a test can look into.
#[derive(Clone, Default)]
pub(super) struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a report writes of these events.
pub(super) fn written<R: Report>(
    make: impl FnOnce(Box<dyn Write + Send>) -> R,
    events: &[Stamped],
) -> String {
    let paper = Paper::default();
    let mut report = make(Box::new(paper.clone()));
    for stamped in events {
        report.take(stamped).unwrap();
    }
    report.close().unwrap();
    paper.text()
}

/// The scenario an event is of.
pub(super) fn of(stamped: &Stamped) -> Option<&str> {
    match &stamped.event {
        Event::RunStarted { .. } | Event::RunEnded { .. } => None,
        Event::ScenarioStarted { scenario, .. }
        | Event::ServiceStarting { scenario, .. }
        | Event::ServiceReady { scenario, .. }
        | Event::StackNoted { scenario, .. }
        | Event::NotMeasured { scenario, .. }
        | Event::Sampled { scenario, .. }
        | Event::Judged { scenario, .. }
        | Event::ScenarioEnded { scenario, .. } => Some(scenario),
        Event::StepStarted { step, .. }
        | Event::Attempted { step, .. }
        | Event::Loading { step, .. }
        | Event::Loaded { step, .. }
        | Event::Drilled { step, .. }
        | Event::Fault { step, .. }
        | Event::StepEnded { step, .. } => Some(&step.scenario),
    }
}

pub(super) fn step(scenario: &str, number: usize, name: &str, kind: &str) -> StepId {
    StepId { scenario: scenario.into(), number, name: name.into(), kind: kind.into() }
}

/// A drawing of `text` with a caret under `under`.
pub(super) fn drawing(path: &str, text: &str, under: &str, title: &str, label: &str) -> Drawing {
    let mut sources = Sources::default();
    let file = sources.add(path, text);
    let start = text.find(under).unwrap();
    let place = file.place(start, start + under.len());
    Drawing {
        severity: Severity::Error,
        code: None,
        title: title.into(),
        excerpts: excerpts([(place, label, true)].into_iter(), &sources),
        help: None,
    }
}

fn micros(micros: u64) -> Nanos {
    Duration::from_micros(micros).into()
}

pub(super) fn answered(status: u16, body: &str) -> Box<Evidence> {
    let mut phases = Phases::default();
    for (phase, took) in
        [(Phase::Connect, 210), (Phase::Send, 24), (Phase::Wait, 1_100), (Phase::Transfer, 90)]
    {
        phases.set(phase, Duration::from_micros(took));
    }
    let hop = Hop {
        method: "GET".into(),
        url: "http://127.0.0.1:8080/items".into(),
        peer: Some("127.0.0.1:8080".into()),
        version: Some("HTTP/1.1".into()),
        status: Some(status),
        phases,
    };
    Box::new(Evidence {
        hops: vec![hop],
        headers: vec![("content-type".into(), "application/json".into())],
        body: Some(body.into()),
        body_size: u64::try_from(body.len()).ok(),
        ..Evidence::default()
    })
}

fn tally() -> Tally {
    let quantiles = |p50, p99, max| Quantiles {
        p50: Some(micros(p50)),
        p90: None,
        p99: Some(micros(p99)),
        p999: None,
        max: Some(micros(max)),
    };
    Tally {
        due: 1_200,
        ended: 1_200,
        good: 1_185,
        in_flight: 0,
        reasons: [("timeout(wait)".to_owned(), 12), ("status".to_owned(), 3)].into(),
        latency: quantiles(5_100, 19_800, 24_000),
        service: quantiles(5_000, 19_600, 23_900),
        lateness: quantiles(20, 400, 900),
        begun: 1_200,
        waited: 0,
        in_flight_peak: 9,
        length: Nanos(6_000_000_000),
        lasted: Nanos(6_000_000_000),
    }
}

fn judged(slo: &str, objective: &str, bad: u64, of: u64) -> Event {
    let target = objective.split(' ').next().unwrap().parse().unwrap();
    let judgement = judge(target, Counts { good: of - bad, bad }, Policy::default());
    let (path, under) = ("slos/shop.yaml", if objective.starts_with("99.9") { "0.999" } else { "0.99\n" });
    let label = format!("{} of {} failed", judgement.counts.bad, judgement.counts.valid());
    let drawing = drawing(path, SLOS, under.trim(), &format!("{slo} is not shown to be met"), &label);
    Event::Judged {
        scenario: "quickstart".into(),
        slo: slo.into(),
        objective: objective.into(),
        judgement,
        drawing,
        decision: None,
    }
}

fn sampled() -> Event {
    let mut sli = Sli::watching(&[Duration::from_millis(250)]);
    sli.record(Ok(()), Some(Duration::from_millis(5)));
    Event::Sampled {
        scenario: "quickstart".into(),
        sli: "checkout".into(),
        minute: 1_795_342_500,
        samples: sli.folded(),
    }
}

/// A whole run.
pub(super) fn events() -> Vec<Stamped> {
    let mut happened = vec![(
        0,
        Event::RunStarted {
            run: "20261122-101500-7f3a".into(),
            version: "0.1.0".into(),
            started: "2026-11-22T10:15:00Z".into(),
        },
    )];
    happened.extend(quickstart());
    happened.extend([
        (7_310, started("checkout-stack", Some("needs a container engine"), vec![])),
        (7_320, Event::NotMeasured {
            scenario: "checkout-stack".into(),
            why: "no container engine answers at `unix:///var/run/docker.sock`: connection refused; start one, \
                  or use `--runtime processes`"
                .into(),
        }),
        (7_321, Event::ScenarioEnded {
            scenario: "checkout-stack".into(),
            conclusion: Conclusion::NotMeasured,
            took: micros(11_000),
        }),
    ]);
    let ping = step("ping", 0, "ping", "tcp");
    happened.extend([
        (7_330, started("ping", None, vec![ping.clone()])),
        (7_330, Event::StepStarted { step: ping.clone(), background: false }),
        (7_332, attempted(&ping, 1, 800, None, Box::default())),
        (7_332, ended(&ping, Outcome::Passed, 1, 800)),
        (
            7_333,
            Event::ScenarioEnded {
                scenario: "ping".into(),
                conclusion: Conclusion::Pass,
                took: micros(3_000),
            },
        ),
        (
            7_334,
            Event::RunEnded {
                conclusion: Conclusion::Fail,
                took: micros(7_334_000),
                interrupted: false,
                cut: false,
            },
        ),
    ]);
    happened.into_iter().map(|(millis, event)| Stamped { at: millis * 1_000_000, event }).collect()
}

fn started(scenario: &str, about: Option<&str>, steps: Vec<StepId>) -> Event {
    Event::ScenarioStarted {
        scenario: scenario.into(),
        file: format!("scenarios/{scenario}.yaml"),
        about: about.map(str::to_owned),
        labels: [("team".to_owned(), "shop".to_owned())].into(),
        steps,
    }
}

fn attempted(
    step: &StepId,
    attempt: u32,
    took: u64,
    failure: Option<Failure>,
    evidence: Box<Evidence>,
) -> Event {
    let failures = failure.into_iter().collect();
    Event::Attempted { step: step.clone(), attempt, took: micros(took), failures, evidence }
}

fn ended(step: &StepId, outcome: Outcome, attempts: u32, took: u64) -> Event {
    let why = (outcome == Outcome::Skipped).then(|| "`prices` failed".to_owned());
    Event::StepEnded { step: step.clone(), outcome, attempts, took: micros(took), why }
}

fn quickstart() -> Vec<(u64, Event)> {
    let name = "quickstart";
    let kinds = [
        ("shoppers", "load"),
        ("alive", "health"),
        ("ready", "ready"),
        ("log in", "http"),
        ("browse", "http"),
        ("prices", "websocket"),
        ("pay", "http"),
    ];
    let steps: Vec<_> = kinds
        .into_iter()
        .zip(0..)
        .map(|((step_name, kind), number)| step(name, number, step_name, kind))
        .collect();
    let address = "127.0.0.1:8080".to_owned();
    let ready =
        Event::ServiceReady { scenario: name.into(), service: "shop".into(), address, took: micros(211_000) };
    let starting = Event::ServiceStarting { scenario: name.into(), service: "shop".into() };
    let about = "A shopper's visit against an embedded stand-in";
    let mut happened = vec![(1, started(name, Some(about), steps.clone())), (1, starting), (212, ready)];
    happened.extend(visit(&steps));
    happened.extend(load(&steps[0]));
    happened.extend(breaking(&steps[0]));
    let took = micros(7_299_000);
    happened.extend([
        (7_215, sampled()),
        (7_216, judged("checkout-availability", "99% good", 15, 12_000)),
        (7_216, judged("checkout-latency", "99.9% within 250ms", 50, 10_000)),
        (7_216, judged("search-availability", "99.9% good", 0, 120)),
        (7_216, judged("mail-availability", "99.9% good", 0, 0)),
        (7_300, Event::ScenarioEnded { scenario: name.into(), conclusion: Conclusion::Fail, took }),
    ]);
    happened
}

/// Every step but the load behind them.
fn visit(steps: &[StepId]) -> Vec<(u64, Event)> {
    let [shoppers, alive, ready, log_in, browse, prices, pay] = steps else { panic!("seven steps") };
    let state = |text: &str| Box::new(Evidence { state: Some(text.into()), ..*answered(200, "") });
    let drawing = drawing("scenarios/quickstart.yaml", SCENARIO, "200,", "status is 503", "wanted 200");
    let status = Failure { reason: Reason::Status, drawing };
    vec![
        (213, Event::StepStarted { step: shoppers.clone(), background: true }),
        (214, Event::StepStarted { step: alive.clone(), background: false }),
        (216, attempted(alive, 1, 1_920, None, state("healthy: database ok, cache ok"))),
        (216, ended(alive, Outcome::Passed, 1, 1_920)),
        (900, attempted(ready, 7, 1_100, None, state("ready"))),
        (900, ended(ready, Outcome::Passed, 7, 683_000)),
        (904, attempted(log_in, 1, 3_410, None, answered(200, "{}"))),
        (904, ended(log_in, Outcome::Passed, 1, 3_410)),
        (906, attempted(browse, 1, 2_100, Some(status), answered(503, "busy"))),
        (1_010, attempted(browse, 2, 5_200, None, answered(200, "[]"))),
        (1_010, ended(browse, Outcome::Flaky, 2, 105_200)),
        (1_011, Event::StepStarted { step: prices.clone(), background: false }),
        (1_512, attempted(prices, 1, 501_000, Some(silence()), conversation())),
        (1_512, ended(prices, Outcome::Failed, 1, 501_000)),
        (1_513, ended(pay, Outcome::Skipped, 0, 0)),
    ]
}

fn load(step: &StepId) -> Vec<(u64, Event)> {
    let (path, title) = ("scenarios/quickstart.yaml", "no answer within 1s");
    let drawing = drawing(path, SCENARIO, "under 200ms", title, "12 times");
    let failure = Failure { reason: Reason::Timeout(Phase::Wait), drawing };
    let loading = Event::Loading {
        step: step.clone(),
        elapsed: micros(3_787_000),
        length: micros(6_000_000),
        tally: Tally { due: 757, ended: 750, good: 741, in_flight: 7, ..tally() },
        recent: tally().latency,
        interval: None,
    };
    vec![
        (4_000, loading),
        (
            7_215,
            Event::Loaded {
                step: step.clone(),
                tally: tally(),
                failures: vec![failure],
                samples: Vec::new(),
                sli: Some("checkout".into()),
                parts: Vec::new(),
                shard: None,
            },
        ),
        (7_215, ended(step, Outcome::Failed, 1, 6_002_000)),
    ]
}

/// What is told of a fault and of a stack, which reports that look back leave out or show elsewhere.
fn breaking(step: &StepId) -> Vec<(u64, Event)> {
    let what = "1 request, 1 request answered".to_owned();
    let fault =
        Event::Fault { step: step.clone(), fault: "status shop".into(), stage: FaultStage::Felt, what };
    let note = "`shop` is scraped as `shop.internal:80`".to_owned();
    let noted = Event::StackNoted { scenario: step.scenario.clone(), note };
    let alert = Box::new(drilled());
    let drilled = Event::Drilled { step: step.clone(), alert };
    vec![(7_215, noted), (7_215, fault), (7_216, drilled)]
}

/// An alert that fired, and did not reach anybody.
fn drilled() -> Drilled {
    let seconds = |seconds| Nanos::from(Duration::from_secs(seconds));
    let fired = RungSeen {
        rung: Rung::Firing,
        at: Some(seconds(314)),
        earliest: Some(seconds(300)),
        latest: Some(seconds(340)),
    };
    Drilled {
        alert: "ShopDown".into(),
        labels: [("severity".into(), "critical".into())].into(),
        speed: 60.0,
        proof: Proof::Scaled,
        stranger: false,
        spent: Vec::new(),
        predicted: None,
        told_within: None,
        rungs: vec![fired],
        broken: Some(Rung::Delivered),
        told: Vec::new(),
        notes: Vec::new(),
    }
}

fn silence() -> Failure {
    let mut drawing = drawing(
        "scenarios/quickstart.yaml",
        SCENARIO,
        "count: 10, within: 500ms",
        "3 of 10 messages within 500ms",
        "the fourth did not come",
    );
    drawing.help = Some("the connection was still open".into());
    Failure { reason: Reason::Timeout(Phase::Exchange), drawing }
}

fn conversation() -> Box<Evidence> {
    let mut evidence = answered(101, "");
    evidence.hops[0].url = "http://127.0.0.1:8080/prices".into();
    let price = |price: &str| format!("{{\"pair\":\"EUR/USD\",\"price\":{price}}}");
    evidence.exchange = vec![
        Line { what: "send {\"subscribe\":\"EUR\"}".into(), took: micros(90), heard: vec![] },
        Line {
            what: "receive 10".into(),
            took: micros(500_100),
            heard: ["1.08", "1.09", "1.07"].map(price).to_vec(),
        },
    ];
    evidence
}

/// What a target may send to play tricks on whoever reads the report.
pub(super) const HOSTILE: &str =
    "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}drow\u{2066}\r\u{8}\u{7f}\u{feff}\u{ffff}\0</failure>]]>";

/// A run in which everything that can come from outside is [`HOSTILE`].
pub(super) fn hostile_events() -> Vec<Stamped> {
    let hostile = || HOSTILE.to_owned();
    let mut evidence = answered(200, HOSTILE);
    evidence.hops[0].url = hostile();
    evidence.hops[0].peer = Some(hostile());
    evidence.headers = vec![(hostile(), hostile())];
    evidence.state = Some(hostile());
    evidence.certificate_until = Some(hostile());
    evidence.exchange = vec![Line { what: hostile(), took: micros(1), heard: vec![hostile()] }];
    let mut drawing = drawing(HOSTILE, HOSTILE, "drow", HOSTILE, HOSTILE);
    drawing.help = Some(hostile());
    drawing.excerpts[0].labels[0].end = 10_000;
    let failure = Failure { reason: Reason::Header, drawing };
    let (bad, good) = (step("hostile", 0, HOSTILE, "http"), step("hostile", 1, HOSTILE, "http"));
    let happened = vec![
        started("hostile", Some(HOSTILE), vec![]),
        attempted(&bad, 1, 1, Some(failure.clone()), evidence.clone()),
        Event::Loaded {
            step: bad.clone(),
            tally: Tally { reasons: [(hostile(), 1)].into(), ..tally() },
            failures: vec![failure],
            samples: Vec::new(),
            sli: Some(hostile()),
            parts: vec![Part { name: hostile(), tally: tally() }],
            shard: None,
        },
        ended(&bad, Outcome::Failed, 1, 1),
        attempted(&good, 1, 1, None, evidence),
        ended(&good, Outcome::Passed, 1, 1),
        Event::NotMeasured { scenario: "hostile".into(), why: hostile() },
    ];
    happened.into_iter().map(|event| Stamped { at: 3_000_000_000, event }).collect()
}
