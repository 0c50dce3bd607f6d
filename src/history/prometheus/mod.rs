//! The past as a Prometheus has it: one query for all windows of an objective, and for all objectives that are alike
//! but for a label's value; several queries at a time.
//!
//! What is strange has a stated outcome (`docs/gate.md`): nothing here takes silence, or numbers that cannot be, for
//! good news.

mod alike;
mod question;

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _};
use jiff::{SignedDuration, Timestamp};

use self::question::{Plan, Question};
use super::{Look, Read, Reading, Wanted};
use crate::gate::Verdict;
use crate::prometheus::answer::{Answer, Data, Value};
use crate::prometheus::{Client, Error};

/// Queries that are asked at once.
const AT_ONCE: usize = 8;

/// The label that says which window a number is of.
const LABEL: &str = "firedrill";

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
    let plans: Vec<_> = parts.map(|(number, question)| (number, question.plan())).collect();
    let mut known = together(client, look, &plans).await?;
    let asked = plans.into_iter().enumerate().map(|(at, (number, plan))| {
        let known = known.remove(&at);
        async move {
            let read = match plan {
                Ok(plan) => plan.answer(known).await,
                Err(stop) => Err(stop),
            };
            match read {
                Ok(read) => Ok((number, Ok(read))),
                Err(Stop::Error(error)) => Err(error),
                Err(Stop::Nothing(why)) => Ok((number, Err(why))),
            }
        }
    });
    let asked: Vec<_> = asked.collect();
    let read: Vec<_> = futures_util::stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
    let mut all: Vec<Vec<Read>> = wanted.iter().map(|_| Vec::new()).collect();
    for (number, read) in read {
        all[number].push(read);
    }
    Ok(all)
}

/// The numbers of questions that are alike, by the plan's place. A batch that is refused, takes too long, or of whose
/// answer there is anything to be said, is left out: its questions are then asked one by one.
async fn together(
    client: &Client,
    look: &Look,
    plans: &[(usize, Result<Plan<'_>, Stop>)],
) -> Result<BTreeMap<usize, Numbers>, Error> {
    let terms: Vec<Vec<&str>> = plans
        .iter()
        .map(|(_, plan)| plan.iter().flat_map(|plan| &plan.terms).map(|(_, term)| term.as_str()).collect())
        .collect();
    let asked: Vec<_> = alike::batches(&terms)
        .into_iter()
        .map(|batch| async move {
            let names = batch.members.first().and_then(|(first, _)| plans[*first].1.as_ref().ok());
            let names = names.into_iter().flat_map(|plan| &plan.terms).map(|(name, _)| name.clone());
            let terms: Vec<_> = names.zip(batch.terms.iter().cloned()).collect();
            let mut reading = Reading::default();
            match ask(client, look, &terms, Some(&batch.label), &mut reading).await {
                Ok(found) if reading == Reading::default() => {
                    let of = |(at, value): (usize, String)| {
                        let numbers = found.get(&value).cloned().unwrap_or_default();
                        (at, numbers)
                    };
                    Ok(batch.members.into_iter().map(of).collect())
                }
                Ok(_) | Err(Stop::Nothing(_) | Stop::Error(Error::TimedOut { .. })) => Ok(Vec::new()),
                Err(Stop::Error(error)) => Err(error),
            }
        })
        .collect();
    let known: Vec<Vec<_>> = futures_util::stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
    Ok(known.into_iter().flatten().collect())
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
            | Error::Distrusted { .. }
            | Error::Unauthorised { .. }
            | Error::Status { .. }
            | Error::Moved { .. }
            | Error::Foreign { .. }
            | Error::Broken { .. } => Self::Error(error),
        }
    }
}

/// Numbers by what they are of.
type Numbers = BTreeMap<String, f64>;

/// The numbers of several expressions, by one query: for each value of a label, where they are to be told apart `by`
/// one, else for the empty one.
async fn ask(
    client: &Client,
    look: &Look,
    terms: &[(String, String)],
    by: Option<&str>,
    reading: &mut Reading,
) -> Result<BTreeMap<String, Numbers>, Stop> {
    let told = |(name, term): &(String, String)| {
        format!("label_replace({term}, \"{LABEL}\", \"{name}\", \"\", \"\")")
    };
    let query = terms.iter().map(told).collect::<Vec<_>>().join(" or ");
    let answer = client.instant(&query, Some(look.at)).await?;
    heed(&answer, reading);
    let Data::Vector(samples) = answer.data else {
        let why = format!("a vector was asked for, and a {} was given", answer.data.name());
        return Err(Stop::Nothing(why));
    };
    let mut numbers: BTreeMap<String, Numbers> = BTreeMap::new();
    for sample in samples {
        let name = sample.labels.get(LABEL).filter(|name| terms.iter().any(|(known, _)| known == *name));
        let value = by.map_or(Some(""), |by| sample.labels.get(by).map(String::as_str));
        let (Some(name), Some(value), Value::Number(point)) = (name, value, &sample.value) else {
            return Err(Stop::Nothing("the answer has series in it that were not asked for".to_owned()));
        };
        if point.at.duration_since(look.at).abs() > SignedDuration::from_secs(1) {
            let why = format!("the answer is of {}, and was asked for of {}", point.at, look.at);
            return Err(Stop::Nothing(why));
        }
        let of_value = numbers.entry(value.to_owned()).or_default();
        if of_value.insert(name.clone(), point.value).is_some() {
            return Err(Stop::Nothing(format!("the answer has several numbers for `{name}`")));
        }
    }
    Ok(numbers)
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
