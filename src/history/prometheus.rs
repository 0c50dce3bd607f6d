//! The past as a Prometheus has it: one query for all windows of an objective, several objectives at a time.
//!
//! What is strange has a stated outcome (`docs/gate.md`): nothing here takes silence, or numbers that cannot be, for
//! good news.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use jiff::{SignedDuration, Timestamp};

use super::{Look, Read, Reading, Wanted, slice_of};
use crate::budget::Events;
use crate::gate::Verdict;
use crate::prometheus::answer::{Answer, Data, Value};
use crate::prometheus::{Client, Error};
use crate::slo::{Counting, Objective, Part};
use crate::units::Ratio;

/// Objectives that are asked about at once.
const AT_ONCE: usize = 8;

/// Points that one range query may give; a Prometheus refuses more than 11 000.
const MOST_POINTS: usize = 10_000;

/// Slices that a window may have.
const MOST_SLICES: usize = 200_000;

/// Moments at which is looked whether anything was measured.
const LOOKS: u32 = 100;

/// The label that says which window a number is of.
const LABEL: &str = "firedrill";

/// More good events than valid ones by this share come from counting at different moments, not from queries that
/// count different things.
const SLACK: f64 = 1e-3;

/// The moment that the Prometheus takes for now: its clock counts, and not ours.
///
/// # Errors
/// When there is no answer.
pub async fn now(client: &Client) -> Result<Timestamp, Error> {
    let answer = client.instant("time()", None).await?;
    let Data::Scalar(point) = answer.data else {
        let why = format!("`time()` is a {}", answer.data.name());
        return Err(Error::Foreign { tried: client.address().to_owned(), why });
    };
    Ok(point.at)
}

/// What it has of every part of everything that is wanted.
///
/// # Errors
/// When it cannot be asked at all; a question that it refuses is a part without a reading.
pub async fn read(client: &Client, wanted: &[Wanted<'_>], look: &Look) -> Result<Vec<Vec<Read>>, Error> {
    let parts = wanted.iter().enumerate().flat_map(|(number, wanted)| {
        wanted.parts.iter().map(move |objective| (number, Question { client, wanted, objective, look }))
    });
    let asked = parts.map(|(number, question)| async move {
        match question.answer().await {
            Ok(read) => Ok((number, read)),
            Err(Stop::Error(error)) => Err(error),
            Err(Stop::Nothing(why)) => Ok((number, Err(why))),
        }
    });
    let read: Vec<_> = futures_util::stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
    let mut all: Vec<Vec<Read>> = wanted.iter().map(|_| Vec::new()).collect();
    for (number, read) in read {
        all[number].push(read);
    }
    Ok(all)
}

/// Why a question has no answer.
enum Stop {
    /// It cannot be asked at all.
    Error(Error),
    /// This one has none.
    Nothing(String),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused { .. } | Error::TooLarge { .. } => Self::Nothing(error.to_string()),
            Error::Unreachable { .. }
            | Error::TimedOut { .. }
            | Error::Unauthorised { .. }
            | Error::Status { .. }
            | Error::Moved { .. }
            | Error::Foreign { .. }
            | Error::Broken { .. } => Self::Error(error),
        }
    }
}

/// One part of what is wanted.
#[derive(Clone, Copy)]
struct Question<'a> {
    client: &'a Client,
    wanted: &'a Wanted<'a>,
    objective: &'a Objective,
    look: &'a Look,
}

/// Numbers by what they are of.
type Numbers = BTreeMap<String, f64>;

impl Question<'_> {
    async fn answer(self) -> Result<Read, Stop> {
        let Some((start, _)) = self.wanted.window(self.look) else {
            return Ok(Err(format!("the window of {} has not begun", self.wanted.slo.window)));
        };
        let elapsed = whole_seconds(start, self.look.at);
        if elapsed.is_zero() {
            return Ok(Err("the window has only just begun".to_owned()));
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
        let mut reading = Reading::default();
        let numbers = self.ask(&terms, &mut reading).await?;
        reading.whole = self.whole(&numbers, &counting, elapsed, &mut reading.notes).await?;
        for lookback in lookbacks {
            let key = lookback.as_secs().to_string();
            if let Some(events) = events(&numbers, counting.part, &format!(" {key}")).ok().flatten() {
                reading.lookbacks.insert(lookback, events);
            }
        }
        reading.since = events(&numbers, counting.part, " since").ok().flatten().map(Events::bad);
        reading.covered =
            numbers.get("covered").and_then(|looks| Ratio::new((looks / f64::from(LOOKS)).min(1.0)));
        let sliced = slice_of(self.objective);
        let sliced = sliced.or_else(|| self.look.slices.then(|| part_of(elapsed)));
        if let Some(slice) = sliced {
            reading.slices = self.slices(start, slice, &mut reading).await?;
        }
        Ok(Ok(reading))
    }

    fn over(&self, window: Duration) -> Result<Counting, Stop> {
        self.objective.measure.over(window).map_err(|why| Stop::Nothing(why.to_string()))
    }

    /// The numbers of several expressions, by one query.
    async fn ask(&self, terms: &[(String, String)], reading: &mut Reading) -> Result<Numbers, Stop> {
        let told = |(name, term): &(String, String)| {
            format!("label_replace({term}, \"{LABEL}\", \"{name}\", \"\", \"\")")
        };
        let query = terms.iter().map(told).collect::<Vec<_>>().join(" or ");
        let answer = self.client.instant(&query, Some(self.look.at)).await?;
        heed(&answer, reading);
        let Data::Vector(samples) = answer.data else {
            return Err(Stop::Nothing(format!(
                "a vector was asked for, and a {} was given",
                answer.data.name()
            )));
        };
        let mut numbers = Numbers::new();
        for sample in samples {
            let name = sample.labels.get(LABEL).filter(|name| terms.iter().any(|(known, _)| known == *name));
            let (Some(name), Value::Number(point)) = (name, sample.value) else {
                return Err(Stop::Nothing("the answer has series in it that were not asked for".to_owned()));
            };
            if point.at.duration_since(self.look.at).abs() > SignedDuration::from_secs(1) {
                return Err(Stop::Nothing(format!(
                    "the answer is of {}, and was asked for of {}",
                    point.at, self.look.at
                )));
            }
            if numbers.insert(name.clone(), point.value).is_some() {
                return Err(Stop::Nothing(format!("the answer has several numbers for `{name}`")));
            }
        }
        Ok(numbers)
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

/// What a Prometheus has to say beside its answer.
fn heed<T>(answer: &Answer<T>, reading: &mut Reading) {
    // Releases before 2.53 had both in one list.
    let (infos, warnings): (Vec<_>, Vec<_>) =
        answer.warnings.iter().partition(|warning| warning.starts_with("PromQL info"));
    for info in infos.into_iter().chain(&answer.infos) {
        let note = format!("the Prometheus notes: {info}");
        if !reading.notes.contains(&note) && !info.contains("might not be a counter") {
            reading.notes.push(note);
        }
    }
    for warning in warnings {
        let doubt = format!("the Prometheus warns that its answer may be incomplete: {warning}");
        if !reading.doubts.iter().any(|(_, known)| *known == doubt) {
            reading.doubts.push((Verdict::Inconclusive { needed: None }, doubt));
        }
    }
}

/// The length of the parts of a window in which clustered failures are looked for: about two hundred.
fn part_of(elapsed: Duration) -> Duration {
    Duration::from_secs((elapsed.as_secs() / 200).div_ceil(60).max(1) * 60)
}

fn whole_seconds(from: Timestamp, to: Timestamp) -> Duration {
    let seconds = to.as_second().saturating_sub(from.as_second());
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}
