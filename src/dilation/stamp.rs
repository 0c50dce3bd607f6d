//! A recording in rule time: each sample moved to when it would have been scraped in production.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::SignedDuration;

use super::history::{Segment, follow, precede, stretch};
use super::recording::{Recorded, Recording};
use crate::exposition::Labels;
use crate::prometheus::{STALE, Track};

/// What events that were counted are taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reading {
    /// Each happened once, at its moment of rule time: a restart, a failed job.
    Each,
    /// They are traffic, which in production is as fast by the second: of each there are as many more as rule time
    /// is faster.
    Flow,
}

/// How a recording is to be stamped.
#[derive(Debug, Clone)]
pub struct Manner {
    /// What counted events are taken for.
    pub reading: Reading,
    /// Metrics that count, by name.
    pub counters: BTreeSet<String>,
    /// Whether values may be moments, in seconds since 1970, that are compared with the clock.
    pub moments: bool,
    /// How far before the calm spell the rules look back; nothing where what was recorded is enough.
    pub history: Duration,
    /// Points of the history are no closer than this.
    pub apart: Duration,
    /// How long the fault holds at least, as it did in the later half of its time.
    pub held: Duration,
    /// How long after the fault was lifted the rules are evaluated.
    pub onward: Duration,
}

/// A recording in rule time. All moments are milliseconds since 1970.
#[derive(Debug, Clone)]
pub struct Stamped {
    /// Its series.
    pub tracks: Vec<Track>,
    /// The calm spell begins.
    pub calm: i64,
    /// The fault takes effect.
    pub effect: i64,
    /// The fault is lifted.
    pub lifted: i64,
    /// The last moment at which rules can be evaluated.
    pub ended: i64,
    /// The first moment of any series.
    pub begins: i64,
}

/// A week: calendars look the same after some of them.
const WEEK: i64 = 7 * 86_400_000;

/// Moments that values may be lie at most so far from now, in seconds.
const NEAR: f64 = 20.0 * 365.0 * 86_400.0;

/// Stamps a recording so that nothing of it is before `earliest`, in whole weeks from the real time.
#[must_use]
pub fn stamp(recording: &Recording, manner: &Manner, earliest: i64) -> Stamped {
    let dilated = Dilated { recording, shift: 0 };
    let history = millis(manner.history);
    let first = dilated.at(recording.calm) - history;
    let from = recording.series.iter().filter_map(|one| one.points.first()).map(|(at, _)| dilated.at(*at));
    let first = from.min().unwrap_or(first).min(first);
    let shift = (earliest - first).div_euclid(WEEK) + 1;
    let dilated = Dilated { recording, shift: shift * WEEK };
    let (calm, effect) = (dilated.at(recording.calm), dilated.at(recording.effect));
    let (lifted, ended) = (dilated.at(recording.lifted), dilated.at(recording.ended));
    let scrapes = scrapes(recording);
    let fault = Segment { from: effect + (lifted - effect) / 2, to: lifted };
    let longer = fault.longer(effect + millis(manner.held) - lifted);
    let (lifted, ended) = (lifted + longer, ended + longer);
    // What goes on is the later half of what was seen after the fault was lifted.
    let tail = Segment { from: lifted + (ended - lifted) / 2, to: ended };
    let onward = (lifted + millis(manner.onward)).max(ended);
    let tracks = recording.series.iter().map(|series| {
        let counts = series.name().is_some_and(|name| manner.counters.contains(name));
        let factor = if counts && manner.reading == Reading::Flow { recording.speed } else { 1.0 };
        // Markers are no numbers: what is done to them makes others of them.
        let value = |value: f64| {
            if value.is_nan() { value } else { dilated.value(value * factor, manner.moments && !counts) }
        };
        let marked = marked(series, &scrapes);
        let mut points: Vec<_> = marked.iter().map(|(at, one)| (dilated.at(*at), value(*one))).collect();
        if history > 0 {
            let calm = Segment { from: calm, to: dilated.at(recording.broken) };
            points = precede(&points, calm, calm.from - history, millis(manner.apart), counts);
        }
        let mut points = stretch(points, fault, longer, counts);
        follow(&mut points, tail, onward, counts);
        Track { labels: series.labels.clone(), points }
    });
    let begins = dilated.at(recording.calm) - history;
    let begins = if history > 0 { begins } else { first + shift * WEEK };
    Stamped { tracks: tracks.collect(), calm, effect, lifted, ended: onward, begins }
}

impl Recorded {
    fn name(&self) -> Option<&str> {
        self.labels.get("__name__").map(String::as_str)
    }
}

/// The way from the time on the wall to rule time.
struct Dilated<'r> {
    recording: &'r Recording,
    shift: i64,
}

impl Dilated<'_> {
    fn at(&self, wall: i64) -> i64 {
        let since = seconds(wall - self.recording.effect) * self.recording.speed;
        // What is too long to be said lies beyond all that is recorded.
        let since = SignedDuration::try_from_secs_f64(since).unwrap_or(SignedDuration::MAX).as_millis();
        let since = i64::try_from(since).unwrap_or(i64::MAX / 4);
        self.recording.effect + since + self.shift
    }

    /// A value that may be a moment. One within what was recorded is an event of the drill and moves with it; any
    /// other keeps its distance from the clock.
    fn value(&self, value: f64, moments: bool) -> f64 {
        let Recording { effect, ended, .. } = *self.recording;
        let now = seconds(effect);
        if !moments || (value - now).abs() > NEAR {
            return value;
        }
        let began =
            self.recording.series.iter().filter_map(|one| one.points.first()).map(|(at, _)| *at).min();
        let within = (seconds(began.unwrap_or(effect)) - 1.0)..=(seconds(ended) + 1.0);
        let moved = if within.contains(&value) { now + (value - now) * self.recording.speed } else { value };
        moved + seconds(self.shift)
    }
}

/// When each target was scraped.
fn scrapes(recording: &Recording) -> BTreeMap<(&str, &str), Vec<i64>> {
    let ups = recording.series.iter().filter(|series| series.name() == Some("up"));
    let times =
        ups.filter_map(|up| Some((target(&up.labels)?, up.points.iter().map(|(at, _)| *at).collect())));
    times.collect()
}

fn target(labels: &Labels) -> Option<(&str, &str)> {
    Some((labels.get("job")?, labels.get("instance")?))
}

/// A series with a marker at each scrape that no longer gave it: answers of Prometheus leave them out.
fn marked(series: &Recorded, scrapes: &BTreeMap<(&str, &str), Vec<i64>>) -> Vec<(i64, f64)> {
    let times = target(&series.labels).and_then(|target| scrapes.get(&target));
    let Some(times) = times.filter(|_| series.name() != Some("up")) else { return series.points.clone() };
    let given: BTreeSet<i64> = series.points.iter().map(|(at, _)| *at).collect();
    let lost = times.windows(2).filter(|pair| given.contains(&pair[0]) && !given.contains(&pair[1]));
    let mut points = series.points.clone();
    points.extend(lost.map(|pair| (pair[1], STALE)));
    points.sort_by_key(|(at, _)| *at);
    points
}

/// Milliseconds as seconds.
pub(super) fn seconds(millis: i64) -> f64 {
    SignedDuration::from_millis(millis).as_secs_f64()
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, points: &[(i64, f64)]) -> Recorded {
        let labels = [("__name__", name), ("job", "web"), ("instance", "a")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Recorded { labels, points: points.to_vec() }
    }

    /// A fault at second 1000 of 1970 (a moment that a value may be), 2s long, at 60x.
    fn recording(series: Vec<Recorded>) -> Recording {
        Recording {
            speed: 60.0,
            scraped_every: 1000,
            calm: 999_000,
            broken: 1_000_000,
            effect: 1_000_000,
            lifted: 1_002_000,
            ended: 1_004_000,
            series,
        }
    }

    fn manner(reading: Reading, moments: bool) -> Manner {
        Manner {
            reading,
            counters: BTreeSet::from(["x_total".to_owned()]),
            moments,
            history: Duration::ZERO,
            apart: Duration::ZERO,
            held: Duration::ZERO,
            onward: Duration::ZERO,
        }
    }

    /// The points of the last series in seconds since the effect, in rule time.
    fn stamped(recording: &Recording, manner: &Manner) -> (Stamped, Vec<(i64, f64)>) {
        let stamped = stamp(recording, manner, 0);
        let points = &stamped.tracks.last().unwrap().points;
        let points = points.iter().map(|(at, value)| ((at - stamped.effect) / 1000, *value)).collect();
        (stamped, points)
    }

    #[test]
    fn a_second_becomes_a_minute() {
        let recording = recording(vec![series("x", &[(999_000, 1.0), (1_001_000, 2.0)])]);
        let (stamped, points) = stamped(&recording, &manner(Reading::Flow, false));
        assert_eq!(points, [(-60, 1.0), (60, 2.0)]);
        assert_eq!((stamped.lifted - stamped.effect, stamped.ended - stamped.effect), (120_000, 240_000));
        assert_eq!((stamped.effect - recording.effect).rem_euclid(WEEK), 0);
        assert!(stamped.begins >= 0);
    }

    #[test]
    fn traffic_is_as_much_more_as_time_is_faster() {
        let recording = recording(vec![series("x_total", &[(999_000, 10.0), (1_001_000, 30.0)])]);
        assert_eq!(stamped(&recording, &manner(Reading::Each, false)).1, [(-60, 10.0), (60, 30.0)]);
        assert_eq!(stamped(&recording, &manner(Reading::Flow, false)).1, [(-60, 600.0), (60, 1800.0)]);
    }

    #[test]
    fn a_series_ends_where_a_scrape_no_longer_gives_it() {
        let up = series("up", &[(999_000, 1.0), (1_000_000, 0.0), (1_001_000, 0.0), (1_003_000, 1.0)]);
        let x = series("x", &[(999_000, 7.0), (1_003_000, 8.0)]);
        let (_, points) = stamped(&recording(vec![up, x]), &manner(Reading::Each, false));
        assert_eq!(points[0], (-60, 7.0));
        assert_eq!((points[1].0, points[1].1.to_bits()), (0, STALE.to_bits()));
        assert_eq!(points[2..], [(180, 8.0)]);
    }

    #[test]
    fn a_fault_can_be_held_for_longer() {
        let points = [(999_000, 1.0), (1_000_000, 5.0), (1_001_000, 7.0), (1_002_000, 2.0)];
        let longer = Manner { held: Duration::from_secs(180), ..manner(Reading::Each, false) };
        let (stamped, points) = stamped(&recording(vec![series("x", &points)]), &longer);
        assert_eq!(points, [(-60, 1.0), (0, 5.0), (60, 7.0), (120, 7.0), (180, 2.0)]);
        assert_eq!((stamped.lifted - stamped.effect, stamped.ended - stamped.effect), (180_000, 300_000));
    }

    #[test]
    fn moments_of_the_drill_move_with_it_and_others_keep_their_distance() {
        let recording = recording(vec![series("x", &[(999_000, 999.0), (1_001_000, 87_400.0)])]);
        let (stamped, points) = stamped(&recording, &manner(Reading::Each, true));
        let since = |value: f64| value - seconds(stamped.effect);
        assert!((since(points[0].1) + 60.0).abs() < 1e-6, "{points:?}");
        assert!((since(points[1].1) - 86_400.0).abs() < 1e-6, "{points:?}");
    }
}
