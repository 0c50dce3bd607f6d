//! What was scraped while a drill ran, as it was scraped: at the drill's pace, by the clock on the wall.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::exposition::Labels;
use crate::prometheus::answer::Data;
use crate::prometheus::{Client, Error};

/// Everything that a drill's rules look at, from before the fault until all was over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// Seconds of rule time that passed in a second.
    pub speed: f64,
    /// How often targets were scraped, in milliseconds of the wall's clock.
    pub scraped_every: u64,
    /// Since when nothing was broken, in milliseconds since 1970 by Prometheus's clock, as all moments here.
    pub calm: i64,
    /// Until when that was so.
    pub broken: i64,
    /// When the fault took effect.
    pub effect: i64,
    /// When it was lifted.
    pub lifted: i64,
    /// When everything was over.
    pub ended: i64,
    /// The series.
    pub series: Vec<Recorded>,
}

/// One series as it was scraped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// Its labels, `__name__` among them.
    pub labels: Labels,
    /// Its samples: milliseconds since 1970, and the value as Prometheus writes it.
    #[serde(with = "as_text")]
    pub points: Vec<(i64, f64)>,
}

impl Recording {
    /// How many samples it holds.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.series.iter().map(|series| series.points.len()).sum()
    }
}

/// The series that these selectors select, with every `up`, from one moment to another.
///
/// # Errors
/// When Prometheus does not give them.
pub async fn record(
    client: &Client,
    selectors: &BTreeSet<String>,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Recorded>, Error> {
    let length = Duration::try_from(to.duration_since(from)).unwrap_or_default().as_millis().max(1);
    let mut found: Vec<Recorded> = Vec::new();
    for selector in selectors.iter().map(String::as_str).chain(["up"]) {
        let answer = client.instant(&format!("{selector}[{length}ms]"), Some(to)).await?;
        let Data::Matrix(matrix) = answer.data else { continue };
        for series in matrix {
            if found.iter().any(|known| known.labels == series.labels) {
                continue;
            }
            let points = series.points.iter().map(|point| (point.at.as_millisecond(), point.value));
            let points = points.collect();
            found.push(Recorded { labels: series.labels, points });
        }
    }
    Ok(found)
}

/// Numbers as text, so that those which are none keep what they are.
mod as_text {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(points: &[(i64, f64)], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(points.iter().map(|(at, value)| (at, value.to_string())))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(i64, f64)>, D::Error> {
        let written = Vec::<(i64, String)>::deserialize(from)?;
        let read = |(at, text): (i64, String)| Ok((at, text.parse().map_err(D::Error::custom)?));
        written.into_iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_survives_writing() {
        let series = Recorded {
            labels: Labels::from([("__name__".to_owned(), "x".to_owned())]),
            points: vec![(1, 0.1), (2, f64::INFINITY)],
        };
        let recording = Recording {
            speed: 60.0,
            scraped_every: 250,
            calm: 0,
            broken: 1,
            effect: 1,
            lifted: 2,
            ended: 3,
            series: vec![series],
        };
        let text = serde_json::to_string(&recording).unwrap();
        assert!(text.ends_with(r#""points":[[1,"0.1"],[2,"inf"]]}]}"#), "{text}");
        assert_eq!(serde_json::from_str::<Recording>(&text).unwrap(), recording);
    }
}
