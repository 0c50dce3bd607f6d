//! The drill that an incident was, where it was one: faster than it would have been, and with what was expected of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::folder::Incident;
use crate::dilation::{Kept, Recorded, Recording};
use crate::ladder::Rung;

/// A drill. All moments are milliseconds since 1970 by the clock on the wall, which the drill's speed makes rule time:
/// the moment at which the fault took effect is the same in both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drill {
    /// The scenario.
    pub scenario: String,
    /// The step that broke something.
    pub step: String,
    /// What it broke: `kill web`; empty where the run does not say.
    pub fault: String,
    /// Seconds of rule time that passed in a second.
    pub speed: f64,
    /// How often targets were scraped, in milliseconds of the wall's clock.
    pub scraped_every: u64,
    /// Since when nothing was broken.
    pub calm: i64,
    /// Until when that was so.
    pub broken: i64,
    /// When the fault took effect.
    pub effect: i64,
    /// When it was lifted.
    pub lifted: i64,
    /// When everything was over.
    pub ended: i64,
    /// By how much a scrape was later than it was due, at most, in milliseconds of the wall's clock: a drill knows no
    /// moment better than that.
    pub late: i64,
    /// What was expected.
    pub expected: Vec<Expected>,
}

/// An alert that a drill expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Its name.
    pub alert: String,
    /// The labels that were expected of it.
    pub labels: BTreeMap<String, String>,
    /// The rung that it did not reach and should have.
    pub broken: Option<Rung>,
}

impl Drill {
    /// The drill of a recording, of which nothing is known yet but that.
    pub(super) fn of(kept: &Kept) -> Self {
        let Recording { speed, scraped_every, calm, broken, effect, lifted, ended, .. } = kept.recording;
        Self {
            scenario: kept.scenario.clone(),
            step: kept.step.clone(),
            fault: String::new(),
            speed,
            scraped_every,
            calm,
            broken,
            effect,
            lifted,
            ended,
            late: late(&kept.recording.series, i64::try_from(scraped_every).unwrap_or(i64::MAX / 4)),
            expected: Vec::new(),
        }
    }

    /// What was scraped, as a recording at the drill's pace.
    pub(super) fn recording(&self, series: Vec<Recorded>) -> Recording {
        let Self { speed, scraped_every, calm, broken, effect, lifted, ended, .. } = *self;
        Recording { speed, scraped_every, calm, broken, effect, lifted, ended, series }
    }

    /// A moment on the wall as one of rule time.
    #[must_use]
    pub fn at(&self, wall: i64) -> i64 {
        self.effect.saturating_add(self.span(wall.saturating_sub(self.effect)))
    }

    /// A time on the wall as one of rule time, both in milliseconds.
    #[must_use]
    pub fn span(&self, wall: i64) -> i64 {
        let time = jiff::SignedDuration::from_millis(wall).as_secs_f64() * self.speed;
        let time = jiff::SignedDuration::try_from_secs_f64(time).unwrap_or(jiff::SignedDuration::MAX);
        i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4)
    }
}

/// By how much more than `every` two scrapes of a target were apart, at most.
fn late(series: &[Recorded], every: i64) -> i64 {
    let ups = series.iter().filter(|one| one.labels.get("__name__").is_some_and(|name| name == "up"));
    let gaps = ups.flat_map(|up| up.points.windows(2).map(|pair| pair[1].0 - pair[0].0));
    (gaps.max().unwrap_or(every) - every).max(0)
}

impl Incident {
    /// These series of it, as a drill keeps them: at the pace of production, from its beginning to its end, where it was
    /// no drill.
    pub(super) fn recording(&self, series: Vec<Recorded>) -> Recording {
        let manifest = &self.manifest;
        match &manifest.drill {
            Some(drill) => drill.recording(series),
            None => Recording {
                speed: 1.0,
                scraped_every: manifest.scraped_every,
                calm: manifest.from,
                broken: manifest.from,
                effect: manifest.from,
                lifted: manifest.to,
                ended: manifest.to,
                series,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(points: &[i64]) -> Kept {
        let labels = [("__name__".to_owned(), "up".to_owned())].into();
        let series = Recorded { labels, points: points.iter().map(|at| (*at, 1.0)).collect() };
        let recording = Recording {
            speed: 60.0,
            scraped_every: 250,
            calm: 1_000,
            broken: 4_000,
            effect: 4_000,
            lifted: 6_000,
            ended: 9_000,
            series: vec![series],
        };
        Kept {
            run: "r-1".to_owned(),
            scenario: "s".to_owned(),
            step: "t".to_owned(),
            recording,
            alerts: Vec::new(),
            house: None,
        }
    }

    #[test]
    fn a_second_of_a_drill_is_a_minute_from_its_effect_on() {
        let drill = Drill::of(&kept(&[1_000, 1_250, 1_800]));
        assert_eq!([drill.at(4_000), drill.at(6_000), drill.at(1_000)], [4_000, 124_000, -176_000]);
        assert_eq!(drill.late, 300, "550 ms between two scrapes that were due 250 ms apart");
    }
}
