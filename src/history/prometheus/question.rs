//! What is asked about one part of an objective, and what the numbers come to.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::super::{Look, Reading, Wanted, slice_of};
use super::{Numbers, Stop, ask, heed};
use crate::budget::Events;
use crate::prometheus::Client;
use crate::prometheus::answer::Data;
use crate::slo::{Counting, Objective, Part};
use crate::units::Ratio;

/// Points that one range query may give; a Prometheus refuses more than 11 000.
const MOST_POINTS: usize = 10_000;

/// Slices that a window may have.
const MOST_SLICES: usize = 200_000;

/// Moments at which is looked whether anything was measured.
const LOOKS: u32 = 100;

/// More good events than valid ones by this share come from counting at different moments, not from queries that
/// count different things.
const SLACK: f64 = 1e-3;

/// One part of what is wanted.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) client: &'a Client,
    pub(super) wanted: &'a Wanted<'a>,
    pub(super) objective: &'a Objective,
    pub(super) look: &'a Look,
}

/// What is to be asked about one part.
pub(super) struct Plan<'a> {
    question: Question<'a>,
    start: Timestamp,
    elapsed: Duration,
    counting: Counting,
    lookbacks: Vec<Duration>,
    /// Expressions, each with the name of its number.
    pub(super) terms: Vec<(String, String)>,
}

impl<'a> Question<'a> {
    /// # Errors
    /// When there is nothing to be asked yet, or it cannot be.
    pub(super) fn plan(self) -> Result<Plan<'a>, Stop> {
        let Some((start, _)) = self.wanted.window(self.look) else {
            let why = format!("the window of {} has not begun", self.wanted.slo.window);
            return Err(Stop::Nothing(why));
        };
        let elapsed = whole_seconds(start, self.look.at);
        if elapsed.is_zero() {
            return Err(Stop::Nothing("the window has only just begun".to_owned()));
        }
        let counting = self.over(elapsed)?;
        let lookbacks: Vec<_> = self.wanted.lookbacks(self.look);
        let mut terms = vec![
            ("counted".to_owned(), counting.counted.clone()),
            ("total".to_owned(), counting.total.clone()),
            ("present".to_owned(), counting.present.clone()),
        ];
        if elapsed >= Duration::from_secs(600) {
            let step = crate::units::Span(Duration::from_secs((elapsed / LOOKS).as_secs().max(1)));
            let over = crate::units::Span(elapsed);
            terms.push((
                "covered".to_owned(),
                format!("count_over_time(({})[{over}:{step}])", counting.present),
            ));
        }
        if slice_of(self.objective).is_none() {
            for lookback in &lookbacks {
                let counting = self.over(*lookback)?;
                terms.push((format!("counted {}", lookback.as_secs()), counting.counted));
                terms.push((format!("total {}", lookback.as_secs()), counting.total));
            }
        }
        if let Some(since) = self.look.since {
            let counting = self.over(whole_seconds(since, self.look.at).max(Duration::from_secs(1)))?;
            terms.push(("counted since".to_owned(), counting.counted));
            terms.push(("total since".to_owned(), counting.total));
        }
        Ok(Plan { question: self, start, elapsed, counting, lookbacks, terms })
    }

    fn over(&self, window: Duration) -> Result<Counting, Stop> {
        self.objective.measure.over(window).map_err(|why| Stop::Nothing(why.to_string()))
    }

    /// The numbers of several expressions, by one query.
    async fn ask(&self, terms: &[(String, String)], reading: &mut Reading) -> Result<Numbers, Stop> {
        Ok(ask(self.client, self.look, terms, None, reading).await?.remove("").unwrap_or_default())
    }

    /// The events of the whole window: here what is missing is told apart.
    async fn whole(
        &self,
        numbers: &Numbers,
        counting: &Counting,
        elapsed: Duration,
        notes: &mut Vec<String>,
    ) -> Result<Events, Stop> {
        let nothing = |why: String| Err(Stop::Nothing(why));
        if !numbers.contains_key("total") {
            return nothing(
                "the query for all events matches no series in the window; is a name or a label in it wrong?"
                    .to_owned(),
            );
        }
        if !numbers.contains_key("present") && self.look.from.is_none() {
            return nothing(
                "the series have ended: no sample in the last minutes before the end of the window"
                    .to_owned(),
            );
        }
        if !numbers.contains_key("counted") {
            match counting.part {
                Part::Good => {
                    return nothing(format!(
                        "the query for good events matches no series, while {} events were counted in all: \
                         a wrong label looks the same as a total outage",
                        numbers.get("total").copied().unwrap_or_default().round()
                    ));
                }
                Part::Bad => notes.push(self.unfailing(elapsed).await?),
            }
        }
        match events(numbers, counting.part, "") {
            Ok(Some(events)) => Ok(events),
            Ok(None) => nothing("nothing was counted in the window".to_owned()),
            Err(why) => nothing(why),
        }
    }

    /// No series of failures: none may have happened yet, or the query may be wrong.
    async fn unfailing(&self, elapsed: Duration) -> Result<String, Stop> {
        let names: BTreeSet<String> =
            self.objective.measure.queries().take(1).flat_map(crate::slo::Query::metric_names).collect();
        let terms: Vec<_> = names
            .iter()
            .map(|name| {
                (name.clone(), format!("count(last_over_time({name}[{}]))", crate::units::Span(elapsed)))
            })
            .collect();
        let found =
            if terms.is_empty() { Numbers::new() } else { self.ask(&terms, &mut Reading::default()).await? };
        match names.iter().find(|name| !found.contains_key(*name)) {
            Some(name) => Err(Stop::Nothing(format!(
                "the query for bad events matches no series, and there is no metric `{name}` at all: a wrong name \
                 looks the same as no failures"
            ))),
            None => Ok("the query for bad events matches no series, which counts as no failures; a wrong label would \
                        look the same"
                .to_owned()),
        }
    }

    /// What happened in each slice of the window.
    async fn slices(
        &self,
        start: Timestamp,
        slice: Duration,
        reading: &mut Reading,
    ) -> Result<Vec<Events>, Stop> {
        let length = i64::try_from(slice.as_secs()).unwrap_or(i64::MAX).max(1);
        // Slices are counted from 1970 on, so that they are the same ones whenever somebody looks.
        let first =
            start.as_second().div_euclid(length) + i64::from(start.as_second().rem_euclid(length) > 0);
        let last = self.look.at.as_second().div_euclid(length);
        let count = usize::try_from(last - first).unwrap_or(0);
        if count > MOST_SLICES {
            return Err(Stop::Nothing(format!("the window has {count} slices, more than {MOST_SLICES}")));
        }
        let counting = self.over(slice)?;
        let counted = self.points(&counting.counted, (first, count, length), reading).await?;
        let total = self.points(&counting.total, (first, count, length), reading).await?;
        let mut impossible = 0;
        let slices = counted
            .into_iter()
            .zip(total)
            .map(|(counted, total)| {
                let mut numbers = Numbers::new();
                numbers.extend(total.map(|total| ("total".to_owned(), total)));
                // A slice without a good event has them all bad.
                numbers.insert("counted".to_owned(), counted.unwrap_or(0.0));
                events(&numbers, counting.part, "").unwrap_or_else(|_| {
                    impossible += 1;
                    None
                })
            })
            .map(Option::unwrap_or_default)
            .collect();
        if impossible > 0 {
            reading
                .notes
                .push(format!("{impossible} slices have numbers that cannot be, and count as empty"));
        }
        Ok(slices)
    }

    /// What an expression was at the end of each slice.
    async fn points(
        &self,
        query: &str,
        (first, count, length): (i64, usize, i64),
        reading: &mut Reading,
    ) -> Result<Vec<Option<f64>>, Stop> {
        let mut points = vec![None; count];
        let end_of = |number: usize| {
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            Timestamp::from_second(first.saturating_add(number + 1).saturating_mul(length))
                .unwrap_or(Timestamp::MAX)
        };
        for chunk in (0..count).step_by(MOST_POINTS) {
            let last = (chunk + MOST_POINTS).min(count) - 1;
            let step = Duration::from_secs(length.unsigned_abs());
            let answer = self.client.range(query, end_of(chunk), end_of(last), step).await?;
            heed(&answer, reading);
            let Data::Matrix(series) = answer.data else {
                return Err(Stop::Nothing(format!(
                    "a matrix was asked for, and a {} was given",
                    answer.data.name()
                )));
            };
            for point in series.iter().flat_map(|series| &series.points) {
                let number = point.at.as_second().div_euclid(length) - first - 1;
                if let Some(slot) = usize::try_from(number).ok().and_then(|number| points.get_mut(number)) {
                    *slot = Some(point.value);
                }
            }
        }
        Ok(points)
    }
}

impl Plan<'_> {
    /// What there is, from numbers that are known or else asked for.
    pub(super) async fn answer(self, known: Option<Numbers>) -> Result<Reading, Stop> {
        let Self { question, start, elapsed, counting, lookbacks, terms } = self;
        let mut reading = Reading::default();
        let numbers = match known {
            Some(numbers) => numbers,
            None => question.ask(&terms, &mut reading).await?,
        };
        reading.whole = question.whole(&numbers, &counting, elapsed, &mut reading.notes).await?;
        for lookback in lookbacks {
            let key = lookback.as_secs().to_string();
            if let Some(events) = events(&numbers, counting.part, &format!(" {key}")).ok().flatten() {
                reading.lookbacks.insert(lookback, events);
            }
        }
        reading.since = events(&numbers, counting.part, " since").ok().flatten().map(Events::bad);
        reading.covered =
            numbers.get("covered").and_then(|looks| Ratio::new((looks / f64::from(LOOKS)).min(1.0)));
        let sliced = slice_of(question.objective);
        let sliced = sliced.or_else(|| question.look.slices.then(|| part_of(elapsed)));
        if let Some(slice) = sliced {
            reading.slices = question.slices(start, slice, &mut reading).await?;
        }
        Ok(reading)
    }
}

/// Good and bad from two numbers; nothing where none is there.
fn events(numbers: &Numbers, part: Part, of: &str) -> Result<Option<Events>, String> {
    let Some(total) = numbers.get(&format!("total{of}")).copied() else { return Ok(None) };
    let counted = numbers.get(&format!("counted{of}")).copied().unwrap_or(0.0);
    let name = match part {
        Part::Good => "good",
        Part::Bad => "bad",
    };
    for (what, number) in [("all", total), (name, counted)] {
        if !number.is_finite() || number < 0.0 {
            return Err(format!("the number of {what} events is {number}, which none can be"));
        }
    }
    if counted > total * (1.0 + SLACK) + 1.0 {
        return Err(format!(
            "{} {name} events of {} in all: both queries do not count the same events",
            counted.round(),
            total.round()
        ));
    }
    let counted = counted.min(total);
    let bad = match part {
        Part::Good => total - counted,
        Part::Bad => counted,
    };
    // An increase is extrapolated: what is within a rounding error of nothing is nothing.
    let bad = if bad <= total * crate::budget::NOISE { 0.0 } else { bad };
    Ok(Events::new(bad, total))
}

/// The length of the parts of a window in which clustered failures are looked for: about two hundred.
fn part_of(elapsed: Duration) -> Duration {
    Duration::from_secs((elapsed.as_secs() / 200).div_ceil(60).max(1) * 60)
}

fn whole_seconds(from: Timestamp, to: Timestamp) -> Duration {
    let seconds = to.as_second().saturating_sub(from.as_second());
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}
