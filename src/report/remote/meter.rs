//! What happens in a run as series: counters, gauges and measured times.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hdrhistogram::Histogram;
use jiff::Timestamp;

use super::{Reading, Value};
use crate::event::{Event, Interval, StepId, Tally};
use crate::sli::{Folded, unpack};

/// A run so far, as its events tell.
#[derive(Debug, Default)]
pub(super) struct Meter {
    run: String,
    /// In milliseconds since 1970.
    started: i64,
    /// The time of the update before.
    before: i64,
    loads: BTreeMap<StepId, Load>,
    steps: BTreeMap<StepId, Step>,
    slis: BTreeMap<(String, String), Folded>,
    changed: BTreeSet<Changed>,
}

/// What is new since it was last asked for.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Changed {
    Load(StepId),
    Step(StepId),
    Sli(String, String),
}

/// What a load has come to.
#[derive(Debug, Default)]
struct Load {
    tally: Tally,
    latency: Option<Histogram<u64>>,
    service: Option<Histogram<u64>>,
    lateness: Option<Histogram<u64>>,
}

/// What the attempts of a step have come to.
#[derive(Debug, Default)]
struct Step {
    good: u64,
    bad: u64,
    /// How often it ended in each way.
    outcomes: BTreeMap<&'static str, u64>,
    /// Nanoseconds that each attempt took.
    took: Vec<u64>,
}

/// Attempts of one step whose times are kept: a step that tries again and again keeps no more.
const MOST_ATTEMPTS: usize = 10_000;

impl Meter {
    /// Takes in what happened.
    pub(super) fn take(&mut self, event: &Event) {
        let changed = match event {
            Event::RunStarted { run, started, .. } => {
                self.run.clone_from(run);
                self.started = started.parse::<Timestamp>().map_or(0, Timestamp::as_millisecond);
                return;
            }
            Event::Loading { step, tally, interval, .. } => {
                let load = self.loads.entry(step.clone()).or_default();
                load.tally.clone_from(tally);
                if let Some(interval) = interval {
                    load.add(interval);
                }
                Changed::Load(step.clone())
            }
            Event::Loaded { step, tally, .. } => {
                self.loads.entry(step.clone()).or_default().tally.clone_from(tally);
                Changed::Load(step.clone())
            }
            Event::Attempted { step, took, failures, .. } => {
                let own = self.steps.entry(step.clone()).or_default();
                *(if failures.is_empty() { &mut own.good } else { &mut own.bad }) += 1;
                if own.took.len() < MOST_ATTEMPTS {
                    own.took.push(took.0);
                }
                Changed::Step(step.clone())
            }
            Event::StepEnded { step, outcome, .. } => {
                let own = self.steps.entry(step.clone()).or_default();
                *own.outcomes.entry(outcome.word()).or_default() += 1;
                Changed::Step(step.clone())
            }
            Event::Sampled { scenario, sli, samples, .. } => {
                let key = (scenario.clone(), sli.clone());
                self.slis.entry(key).or_default().merge(samples);
                Changed::Sli(scenario.clone(), sli.clone())
            }
            Event::ScenarioStarted { .. }
            | Event::ServiceStarting { .. }
            | Event::ServiceReady { .. }
            | Event::StackNoted { .. }
            | Event::NotMeasured { .. }
            | Event::StepStarted { .. }
            | Event::Drilled { .. }
            | Event::Fault { .. }
            | Event::Judged { .. }
            | Event::ScenarioEnded { .. }
            | Event::RunEnded { .. } => return,
        };
        self.changed.insert(changed);
    }

    /// The time of an update, in milliseconds since 1970: by the run's own clock, which no other one moves, and never
    /// twice the same.
    pub(super) fn clock(&mut self, now: Duration) -> i64 {
        let at = self.started.saturating_add(i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
        self.before = at.max(self.before.saturating_add(1));
        self.before
    }

    /// The series of everything that has changed since this was asked last.
    pub(super) fn changed(&mut self) -> Vec<Reading> {
        let mut readings = Readings { run: &self.run, all: Vec::new() };
        for changed in std::mem::take(&mut self.changed) {
            match changed {
                Changed::Load(id) => {
                    if let Some(it) = self.loads.get(&id) {
                        it.show(&id, &mut readings);
                    }
                }
                Changed::Step(id) => {
                    if let Some(it) = self.steps.get(&id) {
                        it.show(&id, &mut readings);
                    }
                }
                Changed::Sli(scenario, sli) => {
                    let own = [("scenario", scenario.as_str()), ("sli", sli.as_str())];
                    let Some(folded) = self.slis.get(&(scenario.clone(), sli.clone())) else { continue };
                    readings.count("firedrill_sli_good_total", &own, folded.counts.good);
                    readings.count("firedrill_sli_valid_total", &own, folded.counts.valid());
                    let times = folded.latency.iter().map(|bucket| (bucket.nanos, bucket.count));
                    readings.times("firedrill_sli_latency_seconds", &own, times);
                }
            }
        }
        readings.all
    }
}

impl Load {
    fn add(&mut self, interval: &Interval) {
        let parts = [
            (&mut self.latency, &interval.latency),
            (&mut self.service, &interval.service),
            (&mut self.lateness, &interval.lateness),
        ];
        for (whole, packed) in parts {
            let Ok(part) = unpack(packed) else { continue };
            match whole {
                // All of them have the same bounds, and so they add.
                Some(whole) => drop(whole.add(&part)),
                None => *whole = Some(part),
            }
        }
    }

    fn show(&self, id: &StepId, readings: &mut Readings<'_>) {
        let Self { tally, .. } = self;
        let own = named(id);
        let with = |name, value| [own[0], own[1], (name, value)];
        readings.count("firedrill_load_due_total", &own, tally.due);
        readings.count("firedrill_load_begun_total", &own, tally.begun);
        readings.count("firedrill_load_attempts_total", &with("result", "good"), tally.good);
        let bad = tally.ended.saturating_sub(tally.good);
        readings.count("firedrill_load_attempts_total", &with("result", "bad"), bad);
        for (reason, times) in &tally.reasons {
            readings.count("firedrill_load_failures_total", &with("reason", reason), *times);
        }
        readings.count("firedrill_load_waited_total", &own, tally.waited);
        readings.count("firedrill_load_in_flight", &own, tally.in_flight);
        let times = [
            ("firedrill_load_latency_seconds", &self.latency),
            ("firedrill_load_service_seconds", &self.service),
            ("firedrill_load_lateness_seconds", &self.lateness),
        ];
        for (name, histogram) in times {
            // In the closed model nothing is late, as nothing is due.
            let Some(histogram) = histogram.as_ref().filter(|histogram| !histogram.is_empty()) else {
                continue;
            };
            let times = histogram.iter_recorded().map(|bucket| {
                let middle = histogram.median_equivalent(bucket.value_iterated_to());
                (middle, bucket.count_since_last_iteration())
            });
            readings.times(name, &own, times);
        }
    }
}

impl Step {
    fn show(&self, id: &StepId, readings: &mut Readings<'_>) {
        let own = named(id);
        let with = |name, value| [own[0], own[1], (name, value)];
        readings.count("firedrill_step_attempts_total", &with("result", "good"), self.good);
        readings.count("firedrill_step_attempts_total", &with("result", "bad"), self.bad);
        for (outcome, times) in &self.outcomes {
            readings.count("firedrill_step_outcomes_total", &with("outcome", outcome), *times);
        }
        let mut took = self.took.clone();
        took.sort_unstable();
        if !took.is_empty() {
            readings.times("firedrill_step_latency_seconds", &own, took.into_iter().map(|nanos| (nanos, 1)));
        }
    }
}

fn named(id: &StepId) -> [(&str, &str); 2] {
    [("scenario", &id.scenario), ("step", &id.name)]
}

/// Series under way.
struct Readings<'a> {
    run: &'a str,
    all: Vec<Reading>,
}

impl Readings<'_> {
    #[expect(clippy::cast_precision_loss, reason = "a series has doubles, as everything there")]
    fn count(&mut self, name: &str, labels: &[(&str, &str)], count: u64) {
        self.add(name, labels, Value::Number(count as f64));
    }

    fn times(&mut self, name: &str, labels: &[(&str, &str)], nanos: impl Iterator<Item = (u64, u64)>) {
        let seconds = nanos.map(|(nanos, count)| (Duration::from_nanos(nanos).as_secs_f64(), count));
        self.add(name, labels, Value::Times(seconds.collect()));
    }

    fn add(&mut self, name: &str, labels: &[(&str, &str)], value: Value) {
        let own = [("__name__", name), ("job", "firedrill"), ("run", self.run)];
        let labels = own.iter().chain(labels).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.all.push(Reading { labels: labels.collect(), value });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Nanos, Quantiles};
    use crate::sli::pack;

    fn loading(nanos: &[u64]) -> Event {
        let mut histogram = Histogram::new_with_max(3_600_000_000_000, 3).unwrap();
        for nanos in nanos {
            histogram.record(*nanos).unwrap();
        }
        let packed = pack(&histogram);
        let none = pack(&Histogram::new_with_max(3_600_000_000_000, 3).unwrap());
        Event::Loading {
            step: StepId { scenario: "s".into(), number: 0, name: "visitors".into(), kind: "load".into() },
            elapsed: Nanos(1),
            length: Nanos(2),
            tally: Tally {
                ended: 3,
                good: 2,
                reasons: [("status".to_owned(), 1)].into(),
                ..Tally::default()
            },
            recent: Quantiles::default(),
            interval: Some(Box::new(Interval {
                latency: packed.clone(),
                service: packed,
                lateness: none,
                ..Interval::default()
            })),
        }
    }

    #[test]
    fn a_load_is_counters_and_times_of_all_of_it() {
        let mut meter = Meter::default();
        meter.take(&Event::RunStarted {
            run: "r1".into(),
            version: "0".into(),
            started: "1970-01-01T00:00:10Z".into(),
        });
        meter.take(&loading(&[1_000_000]));
        meter.take(&loading(&[1_000_000, 2_000_000]));
        let shown: Vec<_> = meter
            .changed()
            .into_iter()
            .map(|Reading { mut labels, value }| {
                assert_eq!(labels.remove("run").as_deref(), Some("r1"));
                assert_eq!(labels.remove("job").as_deref(), Some("firedrill"));
                labels.remove("scenario");
                labels.remove("step");
                let name = labels.remove("__name__").unwrap();
                let value = match value {
                    Value::Number(value) => value.to_string(),
                    Value::Times(times) => {
                        let times = times.iter().map(|(at, count)| format!("{:.1}ms*{count}", at * 1e3));
                        times.collect::<Vec<_>>().join(" ")
                    }
                };
                format!("{name}{labels:?} {value}")
            })
            .collect();
        assert_eq!(
            shown,
            [
                "firedrill_load_due_total{} 0",
                "firedrill_load_begun_total{} 0",
                "firedrill_load_attempts_total{\"result\": \"good\"} 2",
                "firedrill_load_attempts_total{\"result\": \"bad\"} 1",
                "firedrill_load_failures_total{\"reason\": \"status\"} 1",
                "firedrill_load_waited_total{} 0",
                "firedrill_load_in_flight{} 0",
                "firedrill_load_latency_seconds{} 1.0ms*2 2.0ms*1",
                "firedrill_load_service_seconds{} 1.0ms*2 2.0ms*1",
            ]
        );
        assert!(meter.changed().is_empty());
        assert_eq!(meter.clock(Duration::from_secs(2)), 12_000);
        assert_eq!(meter.clock(Duration::from_secs(2)), 12_001);
    }
}
