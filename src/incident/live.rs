//! An incident at speed: its series written, as time passes, to a real Prometheus whose rules raise alerts, which a real
//! Alertmanager sends to the sink by the recorded routing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::Error;
use super::episode::{Episode, episodes};
use super::folder::{Incident, routing_of, rule_texts};
use super::page::Page;
use super::replay::as_it_was;
use crate::dilation::{Recorded, Rules, stamp};
use crate::exposition::Labels;
use crate::prometheus::answer::Data;
use crate::prometheus::{Client, Track};
use crate::rule::RuleFile;
use crate::sink::Status;
use crate::stack::Speed;
use crate::stack::processes::watchers::{Orders, Watchers};

/// Rules are not evaluated more often than this.
const SHORTEST: Duration = Duration::from_millis(200);

/// Samples are written so long before they are due: an evaluation sees those of its own moment.
const AHEAD: i64 = 2_000;

/// How often they are written.
const STEP: Duration = Duration::from_millis(500);

/// By how much a machine may be late with what it evaluates and sends, by its own clock, in milliseconds.
const LATE: f64 = 500.0;

/// What came of it. All moments are those of the incident.
#[derive(Debug)]
pub struct Live {
    /// How much faster than in production it went.
    pub speed: f64,
    /// By how much moments may differ and still be the same, in milliseconds.
    pub tolerance: i64,
    /// Alerts as they went.
    pub alerts: Vec<Episode>,
    /// Messages that were delivered and said that something fires, in their order.
    pub told: Vec<Page>,
    /// Alerts of which nothing is known at this speed, by their names.
    pub unknown: BTreeSet<String>,
    /// What is to be known of it, a sentence each.
    pub notes: Vec<String>,
}

/// The incident's time and that of the wall.
struct Clock {
    /// A moment of the incident.
    begins: i64,
    /// The same on the wall.
    wall: i64,
    speed: f64,
}

impl Clock {
    fn wall(&self, at: i64) -> i64 {
        self.wall + times(at - self.begins, 1.0 / self.speed)
    }

    fn incident(&self, wall: i64) -> i64 {
        self.begins + times(wall - self.wall, self.speed)
    }
}

/// Plays an incident at up to `speed`; `supervisor` is the firedrill program.
///
/// # Errors
/// When nothing routed was recorded, and when Prometheus or Alertmanager do not do what they are told.
pub async fn live(
    run: &str,
    supervisor: PathBuf,
    folder: &Path,
    incident: &Incident,
    speed: f64,
) -> Result<Live, Error> {
    let manifest = &incident.manifest;
    let every = Duration::from_millis(manifest.evaluated_every);
    let fastest = (every.as_secs_f64() / SHORTEST.as_secs_f64()).max(1.0);
    let natural = manifest.drill.as_ref().map_or(1.0, |drill| drill.speed);
    let Some(pace) = Speed::new(speed.min(fastest)) else {
        return Err(Error::Refused("a speed is from 1 to 1000".to_owned()));
    };
    let speed = pace.factor();
    let Some(routing) = routing_of(folder)? else {
        return Err(Error::Refused(
            "no routing is recorded: `incident record --alertmanager` does".to_owned(),
        ));
    };
    let orders = Orders { rules: &rule_texts(folder)?, routing, speed: pace, evaluated_every: every };
    let (tracks, begins) = tracks(incident, natural / speed);
    let watchers = Watchers::start(run, supervisor, orders).await?;
    let clock = Clock { begins, wall: Timestamp::now().as_millisecond() + AHEAD, speed };
    let played = played(&watchers, incident, &clock, tracks).await;
    let told = told(&watchers, &clock);
    watchers.end().await;
    let (unknown, notes) = unknown(incident);
    let mut alerts = played?;
    alerts.retain(|one| one.ended.is_none_or(|ended| ended > manifest.from) && !unknown.contains(one.name()));
    let tolerance = manifest.tolerance() + times(1, LATE * speed);
    Ok(Live { speed, tolerance, alerts, told, unknown, notes })
}

/// The series in the incident's time, with markers where they end, and when they begin to be evaluated: as long before
/// the incident as its rules wait. What grows does so as fast by the second as it did.
fn tracks(incident: &Incident, slower: f64) -> (Vec<Track>, i64) {
    let manifest = &incident.manifest;
    let files = &incident.subject.rules;
    let every = Duration::from_millis(manifest.evaluated_every);
    let alerts = || files.iter().flat_map(RuleFile::alerts);
    let holds = alerts().filter_map(|(_, _, alert)| Some(alert.holds?.value)).max().unwrap_or_default();
    let counters: BTreeSet<String> =
        alerts().flat_map(|alert| Rules::of(files, alert, every).counters()).collect();
    let recording = incident.recording(incident.series.clone());
    let stamped = stamp(&recording, &as_it_was(false), 0);
    let shift = stamped.effect - recording.effect;
    let moved = |track: Track| {
        let counts = track.labels.get("__name__").is_some_and(|name| counters.contains(name));
        // A marker is no number: what is done to it makes another of it.
        let value = |value: f64| if counts && !value.is_nan() { value * slower } else { value };
        let points = track.points.iter().map(|(at, one)| (at - shift, value(*one))).collect();
        Track { labels: track.labels, points }
    };
    let wait = i64::try_from((holds + 4 * every).as_millis()).unwrap_or(i64::MAX / 4);
    (stamped.tracks.into_iter().map(moved).collect(), manifest.from - wait)
}

/// Writes all samples when they are due, and returns the alerts that came of them.
async fn played(
    watchers: &Watchers,
    incident: &Incident,
    clock: &Clock,
    mut tracks: Vec<Track>,
) -> Result<Vec<Episode>, Error> {
    for track in &mut tracks {
        track.points.iter_mut().for_each(|(at, _)| *at = clock.wall(*at));
        // Two that fall on one millisecond are one.
        track.points.dedup_by_key(|(at, _)| *at);
    }
    let manifest = &incident.manifest;
    let rest = manifest.tolerance() + times(1, LATE * clock.speed);
    let ends = clock.wall(manifest.to.saturating_add(rest));
    loop {
        let now = Timestamp::now().as_millisecond();
        let due = due(&mut tracks, now + AHEAD);
        if !due.is_empty() {
            watchers.client().write(&due).await?;
        }
        if now >= ends {
            break;
        }
        tokio::time::sleep(STEP).await;
    }
    let every = i64::try_from(manifest.evaluated_every).unwrap_or(i64::MAX / 4);
    let series = alerts(watchers.client(), clock).await?;
    Ok(episodes(&series, every, manifest.to))
}

/// Takes what is due out of the tracks.
fn due(tracks: &mut [Track], until: i64) -> Vec<Track> {
    let mut all = Vec::new();
    for track in tracks {
        let count = track.points.partition_point(|(at, _)| *at <= until);
        if count > 0 {
            let points = track.points.drain(..count).collect();
            all.push(Track { labels: track.labels.clone(), points });
        }
    }
    all
}

/// The series `ALERTS` in the incident's time.
async fn alerts(client: &Client, clock: &Clock) -> Result<Vec<Recorded>, Error> {
    let now = Timestamp::now();
    let length = (now.as_millisecond() - clock.wall + 60_000).max(1);
    let Data::Matrix(matrix) = client.instant(&format!("ALERTS[{length}ms]"), Some(now)).await?.data else {
        return Ok(Vec::new());
    };
    let moved = |series: crate::prometheus::answer::Series| {
        let points = series.points.iter().map(|one| (clock.incident(one.at.as_millisecond()), one.value));
        Recorded { points: points.collect(), labels: series.labels }
    };
    Ok(matrix.into_iter().map(moved).collect())
}

/// What was delivered and says that something fires.
fn told(watchers: &Watchers, clock: &Clock) -> Vec<Page> {
    let deliveries = watchers.sink().deliveries();
    let firing = deliveries.iter().filter(|one| one.status == Status::Firing);
    let page = |one: &std::sync::Arc<crate::sink::Delivery>| Page {
        at: clock.incident(one.at.as_millisecond()),
        receiver: one.receiver.clone().unwrap_or_default(),
        group: Labels::new(),
        alerts: one.alerts.iter().filter(|alert| alert.status == Status::Firing).count(),
    };
    firing.map(page).collect()
}

/// Alerts that another pace makes others of, and why.
fn unknown(incident: &Incident) -> (BTreeSet<String>, Vec<String>) {
    let files = &incident.subject.rules;
    let every = Duration::from_millis(incident.manifest.evaluated_every);
    let (mut names, mut notes) = (BTreeSet::new(), Vec::new());
    for alert in files.iter().flat_map(RuleFile::alerts) {
        let name = alert.1.name.value.clone();
        if !Rules::of(files, alert, every).falsified().is_empty() {
            notes.push(format!(
                "`{name}` counts events or reads the clock, and is not compared at another speed"
            ));
            names.insert(name);
        }
    }
    (names, notes)
}

fn times(millis: i64, factor: f64) -> i64 {
    let time = jiff::SignedDuration::from_millis(millis).as_secs_f64() * factor;
    let time = jiff::SignedDuration::try_from_secs_f64(time).unwrap_or(jiff::SignedDuration::MAX);
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4)
}

/// How messages differ from those that were to be: a sentence for each that is missing, new, or at another time.
#[must_use]
pub fn untold(then: &[Page], now: &[Page], tolerance: i64, to: i64) -> Vec<String> {
    let mut left: Vec<&Page> = now.iter().collect();
    let mut found = Vec::new();
    for page in then {
        let near =
            |other: &&&Page| other.receiver == page.receiver && (other.at - page.at).abs() <= tolerance;
        match left.iter().position(|other| near(&other)) {
            Some(at) => drop(left.remove(at)),
            // What was due at the very end may come too late to be seen.
            None if page.at > to - tolerance => {}
            None => found.push(format!(
                "{} was to be told at {}, and is not",
                page.receiver,
                super::timeline::moment(page.at)
            )),
        }
    }
    found.extend(left.into_iter().filter(|page| page.at <= to).map(|page| {
        format!("{} is told at {}, and was not to be", page.receiver, super::timeline::moment(page.at))
    }));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(at: i64, receiver: &str) -> Page {
        Page { at, receiver: receiver.to_owned(), group: Labels::new(), alerts: 1 }
    }

    #[test]
    fn messages_agree_by_receiver_and_time() {
        let then = [page(1_000, "a"), page(5_000, "b"), page(9_900, "a")];
        assert!(untold(&then, &[page(1_400, "a"), page(4_600, "b")], 500, 10_000).is_empty());
        let said = untold(&then, &[page(1_400, "b"), page(4_600, "b")], 500, 10_000);
        assert_eq!(
            said,
            [
                "a was to be told at 1970-01-01 00:00:01, and is not",
                "b is told at 1970-01-01 00:00:01, and was not to be"
            ]
        );
    }

    #[test]
    fn the_clock_goes_both_ways() {
        let clock = Clock { begins: 60_000, wall: 1_000, speed: 60.0 };
        assert_eq!((clock.wall(120_000), clock.incident(2_000)), (2_000, 120_000));
    }
}
