//! The traffic of an incident: how many requests came in a second, moment by moment, by a counter that was recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::folder::Incident;
use crate::dilation::{Recorded, Rules};
use crate::exposition::Labels;
use crate::rule::RuleFile;

/// Moments that a curve has at most.
const MOST: i64 = 200;

/// Labels that say what was asked for, where their value is a path.
const PATHS: [&str; 6] = ["path", "route", "uri", "url", "handler", "endpoint"];

/// How many requests came, by one counter of one job.
#[derive(Debug, Clone, PartialEq)]
pub struct Traffic {
    /// The counter's name.
    pub counter: String,
    /// Whose it is, where its series say so.
    pub job: Option<String>,
    /// What was asked for most often, where a label says so.
    pub path: Option<String>,
    /// Seconds since the incident began, and requests a second; it goes straight from one to the next.
    pub rates: Vec<(f64, f64)>,
}

impl Traffic {
    /// The busiest counter of requests that was recorded, or the one of this name; `None` where it did not grow, or is
    /// not there.
    #[must_use]
    pub fn of(incident: &Incident, counter: Option<&str>) -> Option<Self> {
        let grown = grown(&incident.subject.rules, incident.manifest.evaluated_every);
        let is_meant = |name: &str| match counter {
            Some(counter) => name == counter,
            None => grown.contains(name) || ["_total", "_count"].iter().any(|end| name.ends_with(end)),
        };
        let mut all: BTreeMap<(&str, Option<&String>), Vec<&Recorded>> = BTreeMap::new();
        for series in &incident.series {
            let name = series.labels.get("__name__").map_or("", String::as_str);
            if is_meant(name) {
                all.entry((name, series.labels.get("job"))).or_default().push(series);
            }
        }
        let rank = |((name, _), series): &(&(&str, Option<&String>), &Vec<&Recorded>)| {
            (name.contains("request"), series.iter().map(|one| growth(one)).sum::<f64>())
        };
        let order = |one: &(bool, f64), other: &(bool, f64)| {
            one.0.cmp(&other.0).then_with(|| one.1.total_cmp(&other.1))
        };
        let ((name, job), series) = all.iter().max_by(|one, other| order(&rank(one), &rank(other)))?;
        let rates = Curve::of(incident, series).rates();
        let grew = rates.iter().any(|(_, rate)| *rate > 0.0);
        grew.then(|| Self { counter: (*name).to_owned(), job: job.cloned(), path: path(series), rates })
    }

    /// The most requests that came in a second.
    #[must_use]
    pub fn peak(&self) -> f64 {
        self.rates.iter().map(|(_, rate)| *rate).fold(0.0, f64::max)
    }

    /// The curve as a load plays it again, `speed` times as fast: as many requests a second, for less long.
    #[must_use]
    pub fn csv(&self, speed: f64) -> String {
        let lines = self.rates.iter().map(|(at, rate)| format!("{:.3},{rate:.3}\n", at / speed));
        "time,rate\n".to_owned() + &lines.collect::<String>()
    }
}

/// The counters whose growth rules look at.
fn grown(files: &[RuleFile], every: u64) -> BTreeSet<String> {
    let every = Duration::from_millis(every);
    let alerts = files.iter().flat_map(RuleFile::alerts);
    alerts.flat_map(|alert| Rules::of(files, alert, every).counters()).filter(|name| is_whole(name)).collect()
}

/// Whether a counter counts each thing once.
fn is_whole(name: &str) -> bool {
    !name.ends_with("_bucket") && !name.ends_with("_sum")
}

/// By how much a counter grew, but for what was lost when it began anew.
fn growth(series: &Recorded) -> f64 {
    series
        .points
        .windows(2)
        .map(|pair| (pair[1].1 - pair[0].1).max(0.0))
        .filter(|more| more.is_finite())
        .sum()
}

/// The path that was asked for most often.
fn path(series: &[&Recorded]) -> Option<String> {
    let said = |labels: &Labels| {
        let mut values = PATHS.iter().filter_map(|label| labels.get(*label));
        // A pattern is no path, and a template's sign would be filled in.
        values.find(|path| path.starts_with('/') && !path.contains(['{', '}', '*', '$', ':', ' '])).cloned()
    };
    let mut all: BTreeMap<String, f64> = BTreeMap::new();
    for one in series {
        if let Some(path) = said(&one.labels) {
            *all.entry(path).or_default() += growth(one);
        }
    }
    all.into_iter().max_by(|one, other| one.1.total_cmp(&other.1)).map(|(path, _)| path)
}

/// What was counted, in equal parts of the incident.
struct Curve {
    /// Milliseconds of each part.
    step: f64,
    /// In each part what was counted, and for how many milliseconds that is known.
    parts: Vec<(f64, f64)>,
}

impl Curve {
    fn of(incident: &Incident, series: &[&Recorded]) -> Self {
        let manifest = &incident.manifest;
        let scraped = i64::try_from(manifest.scraped_every).unwrap_or(i64::MAX / 8);
        let long = manifest.to - manifest.from;
        let count = (long / (2 * scraped)).clamp(1, MOST);
        let step = millis(long) / millis(count);
        let mut curve = Self { step, parts: vec![(0.0, 0.0); usize::try_from(count).unwrap_or(1)] };
        // A drill counted in its own seconds, of which there were fewer.
        let (at, faster): (Box<dyn Fn(i64) -> i64>, f64) = match &manifest.drill {
            Some(drill) => (Box::new(|wall| drill.at(wall)), drill.speed),
            None => (Box::new(|wall| wall), 1.0),
        };
        for one in series {
            let mut known = vec![0.0; curve.parts.len()];
            for pair in one.points.windows(2) {
                let (began, ended, more) = (at(pair[0].0), at(pair[1].0), pair[1].1 - pair[0].1);
                // Nobody knows how many came while it was not scraped, or before it began anew.
                if more >= 0.0 && ended > began && ended - began <= 3 * scraped {
                    let span = (millis(began - manifest.from), millis(ended - manifest.from));
                    curve.count(span, more * faster, &mut known);
                }
            }
            curve.parts.iter_mut().zip(known).for_each(|(part, known)| part.1 = part.1.max(known));
        }
        curve
    }

    /// Spreads what came between two moments evenly.
    fn count(&mut self, (began, ended): (f64, f64), more: f64, known: &mut [f64]) {
        let mut from = 0.0;
        for (part, known) in self.parts.iter_mut().zip(known) {
            let within = (ended.min(from + self.step) - began.max(from)).max(0.0);
            part.0 += more * within / (ended - began);
            *known += within;
            from += self.step;
        }
    }

    /// The rate in the middle of each part of which most is known, held at the beginning and at the end.
    fn rates(&self) -> Vec<(f64, f64)> {
        let mut rates = Vec::new();
        let mut middle = self.step / 2.0;
        for (count, known) in &self.parts {
            if *known > self.step / 2.0 {
                rates.push((middle / 1000.0, count / known * 1000.0));
            }
            middle += self.step;
        }
        let ends = (middle - self.step / 2.0) / 1000.0;
        if let (Some(first), Some(last)) = (rates.first().copied(), rates.last().copied()) {
            rates.insert(0, (0.0, first.1));
            rates.push((ends, last.1));
        }
        rates
    }
}

fn millis(millis: i64) -> f64 {
    jiff::SignedDuration::from_millis(millis).as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::folder::Manifest;

    fn series(name: &str, path: &str, points: &[(i64, f64)]) -> Recorded {
        let labels = [("__name__", name), ("job", "web"), ("path", path)];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Recorded { labels, points: points.iter().map(|(second, value)| (second * 1000, *value)).collect() }
    }

    fn incident(series: Vec<Recorded>) -> Incident {
        let manifest = Manifest {
            incident: "x".to_owned(),
            version: 1,
            prometheus: String::new(),
            from: 0,
            to: 120_000,
            back: 0,
            scraped_every: 15_000,
            evaluated_every: 15_000,
            notes: Vec::new(),
            drill: None,
        };
        Incident {
            manifest,
            series,
            alerts: Vec::new(),
            subject: crate::audit::Subject::default(),
            sources: crate::source::Sources::default(),
        }
    }

    #[test]
    fn what_was_not_scraped_and_what_began_anew_is_bridged() {
        let points = [(0, 0.0), (30, 60.0), (45, 90.0), (60, 5.0), (90, 125.0), (120, 245.0)];
        let traffic =
            Traffic::of(&incident(vec![series("http_requests_total", "/a", &points)]), None).unwrap();
        // Two a second, then four; of the second half minute half is known.
        assert_eq!(traffic.rates, [(0.0, 2.0), (15.0, 2.0), (75.0, 4.0), (105.0, 4.0), (120.0, 4.0)]);
        assert_eq!(traffic.csv(60.0).lines().nth(2), Some("0.250,2.000"));
    }

    #[test]
    fn the_busiest_counter_of_requests_is_meant() {
        let line = |rate: f64| {
            [(0, 0.0), (30, 30.0 * rate), (60, 60.0 * rate), (90, 90.0 * rate), (120, 120.0 * rate)]
        };
        let all = vec![
            series("bytes_total", "/a", &line(900.0)),
            series("http_requests_total", "/a", &line(1.0)),
            series("http_requests_total", "/b", &line(3.0)),
            series("http_request_duration_seconds_bucket", "/b", &line(90.0)),
        ];
        let incident = incident(all);
        let traffic = Traffic::of(&incident, None).unwrap();
        assert_eq!((traffic.counter.as_str(), traffic.path.as_deref()), ("http_requests_total", Some("/b")));
        assert!((traffic.peak() - 4.0).abs() < 1e-9, "{traffic:?}");
        assert_eq!(Traffic::of(&incident, Some("bytes_total")).unwrap().counter, "bytes_total");
        assert_eq!(Traffic::of(&incident, Some("other")), None);
    }
}
