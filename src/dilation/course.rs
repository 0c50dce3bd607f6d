//! One alerting rule on its way through virtual time: evaluated at its own interval, its recording rules before it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::alert::{Active, Holding, Presence, follow};
use super::rules::Rules;
use super::stamp::Stamped;
use crate::exposition::Labels;
use crate::prometheus::answer::{Data, Series};
use crate::prometheus::{self, Client, STALE, Track};

/// Points of each series that one question asks for.
const AT_ONCE: i64 = 4_000;

/// Why a rule cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Prometheus that evaluates it does not answer.
    #[error(transparent)]
    Prometheus(#[from] prometheus::Error),
    /// A time that cannot be said.
    #[error("a moment of virtual time is beyond what can be said: {0}")]
    Moment(#[from] jiff::Error),
}

/// One rule on its way.
#[derive(Debug)]
pub struct Course<'r> {
    rules: &'r Rules<'r>,
    /// The first evaluation, in milliseconds since 1970.
    from: i64,
    /// How many evaluations there were.
    evaluated: i64,
    present: BTreeMap<Labels, Vec<usize>>,
    /// Of each recording rule the next evaluation, and the series that the last one gave.
    recorded: Vec<(i64, BTreeSet<Labels>)>,
}

impl<'r> Course<'r> {
    /// A rule that is evaluated from the calm spell on.
    #[must_use]
    pub fn new(rules: &'r Rules<'r>, stamped: &Stamped) -> Self {
        let from = stamped.calm;
        let recorded = rules.recording.iter().map(|one| {
            let every = step(one.every);
            let back = i64::try_from(one.back.as_millis()).unwrap_or(i64::MAX / 4);
            // In step with the alert: rules of one group are evaluated at the same moments.
            let earliest = (from - back).max(stamped.begins);
            (from - (from - earliest).div_euclid(every) * every, BTreeSet::new())
        });
        Self { rules, from, evaluated: 0, present: BTreeMap::new(), recorded: recorded.collect() }
    }

    /// Evaluates everything up to a moment.
    ///
    /// # Errors
    /// When Prometheus does not answer.
    pub async fn advance(&mut self, client: &Client, to: i64) -> Result<(), Error> {
        for number in 0..self.recorded.len() {
            self.record(client, number, to).await?;
        }
        let every = step(self.rules.every);
        let query = &self.rules.rule.query.text;
        loop {
            let begin = self.from + self.evaluated * every;
            if begin > to {
                return Ok(());
            }
            let end = (begin + (AT_ONCE - 1) * every).min(to);
            let offset = step(self.rules.query_offset);
            for series in ask(client, query, begin - offset, end - offset, every).await? {
                let mut labels = series.labels;
                labels.remove("__name__");
                let at = series.points.iter().map(|point| point.at.as_millisecond() + offset);
                let at = at.filter_map(|at| usize::try_from((at - self.from) / every).ok());
                self.present.entry(labels).or_default().extend(at);
            }
            self.evaluated += (end - begin) / every + 1;
        }
    }

    /// Evaluates a recording rule up to a moment, and writes what it gave.
    async fn record(&mut self, client: &Client, number: usize, to: i64) -> Result<(), Error> {
        let rules: &'r Rules<'r> = self.rules;
        let one = &rules.recording[number];
        let (every, offset) = (step(one.every), step(one.query_offset));
        let (next, open) = &mut self.recorded[number];
        while *next <= to {
            let end = (*next + (AT_ONCE - 1) * every).min(to);
            let given = ask(client, &one.rule.query.text, *next - offset, end - offset, every).await?;
            let last = *next + (end - *next) / every * every;
            let mut tracks = Vec::new();
            let mut still = BTreeSet::new();
            for series in given {
                let mut labels = series.labels;
                labels.extend(one.labels.clone());
                labels.insert("__name__".to_owned(), one.rule.name.value.clone());
                labels.retain(|_, value| !value.is_empty());
                let points =
                    series.points.iter().map(|point| (point.at.as_millisecond() + offset, point.value));
                let points = with_ends(&points.collect::<Vec<_>>(), every, last);
                if points.last().is_some_and(|(at, _)| *at == last) && !is_end(&points) {
                    still.insert(labels.clone());
                }
                if open.remove(&labels) && points.first().is_some_and(|(at, _)| *at > *next) {
                    tracks.push(Track { labels: labels.clone(), points: vec![(*next, STALE)] });
                }
                tracks.push(Track { labels, points });
            }
            tracks.extend(
                open.iter().map(|labels| Track { labels: labels.clone(), points: vec![(*next, STALE)] }),
            );
            client.write(&tracks).await?;
            *open = still;
            *next = last + every;
        }
        Ok(())
    }

    /// Every alert that was raised so far, with the labels that its series and its rule give it.
    #[must_use]
    pub fn alerts(&self) -> Vec<Active> {
        let alert = self.rules.alert;
        let wait = |at: Option<crate::source::At<Duration>>| at.map(|at| at.value).unwrap_or_default();
        let holding = Holding { holds: wait(alert.holds), keeps: wait(alert.keeps), every: self.rules.every };
        let evaluations = usize::try_from(self.evaluated).unwrap_or_default();
        let all = self.present.iter().flat_map(|(labels, at)| {
            let mut labels = labels.clone();
            labels.extend(self.rules.labels.clone());
            labels.insert("alertname".to_owned(), self.rules.rule.name.value.clone());
            follow(&Presence { labels, at: at.clone() }, holding, evaluations)
        });
        all.collect()
    }

    /// The moment of an evaluation, in milliseconds since 1970.
    #[must_use]
    pub fn moment(&self, evaluation: usize) -> i64 {
        self.from + i64::try_from(evaluation).unwrap_or(i64::MAX / 4) * step(self.rules.every)
    }
}

/// The series that an expression gives from one moment to another, each `every` so many milliseconds.
pub(super) async fn ask(
    client: &Client,
    query: &str,
    from: i64,
    to: i64,
    every: i64,
) -> Result<Vec<Series>, Error> {
    let (from, to) = (Timestamp::from_millisecond(from)?, Timestamp::from_millisecond(to)?);
    let every = Duration::from_millis(every.unsigned_abs());
    match client.range(query, from, to, every).await?.data {
        Data::Matrix(series) => Ok(series),
        Data::Scalar(_) | Data::Vector(_) | Data::String(_) => Ok(Vec::new()),
    }
}

/// Milliseconds of a step; one at least would be none, so that nothing is too few.
fn step(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4)
}

/// Points with a marker wherever the series was gone at the next evaluation.
fn with_ends(points: &[(i64, f64)], every: i64, last: i64) -> Vec<(i64, f64)> {
    let mut all = Vec::with_capacity(points.len());
    for (number, (at, value)) in points.iter().copied().enumerate() {
        all.push((at, value));
        let next = points.get(number + 1).map(|(at, _)| *at);
        if at < last && next != Some(at + every) {
            all.push((at + every, STALE));
        }
    }
    all
}

/// Whether the last of these points is a marker.
fn is_end(points: &[(i64, f64)]) -> bool {
    points.last().is_some_and(|(_, value)| value.to_bits() == STALE.to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_at_an_evaluation_ends_there() {
        let points = with_ends(&[(0, 1.0), (10, 2.0), (40, 3.0)], 10, 40);
        let said: Vec<_> = points.iter().map(|(at, value)| (*at, value.is_nan())).collect();
        assert_eq!(said, [(0, false), (10, false), (20, true), (40, false)]);
    }
}
