//! What a query to Prometheus gave, and what of it is not as expected.

use super::answer::{self, any_of};
use super::attempt::{Breach, Seen, Session, beginning};
use super::connect::Deadline;
use super::errand::{Done, Errand};
use super::http::Response;
use crate::exposition::Labels;
use crate::prometheus::answer::{Answer, Data, NoAnswer, Point, Sample, Value, describe, read_query};
use crate::sample::Reason;
use crate::scenario::expect::Expect;
use crate::scenario::predicate::Predicate;
use crate::scenario::promql::{Promql, Series as Wanted};
use crate::scenario::step::Step;
use crate::scenario::subject::Subject;
use crate::scenario::template::{Scope, Unset};
use crate::source::{At, Place};

/// How many series are kept as evidence.
const SERIES_KEPT: usize = 16;

/// How Prometheus 2 begins what later versions call an info and not a warning.
const INFO: &str = "PromQL info:";

/// Sends the query, and judges its answer.
pub(super) async fn attempt(
    wanted: &Promql,
    step: &Step,
    scope: &Scope,
    session: &mut Session,
    deadline: &Deadline,
) -> Result<Seen, Unset> {
    let Done { exchange, prepared } = match Errand::fill(&wanted.request, scope, session)? {
        Ok(errand) => errand.beneath(&["api", "v1", "query"]).run(&mut session.client, None, deadline).await,
        Err(cause) => Done::lost(cause),
    };
    let mut seen = Seen { prepared, ..Seen::of(&exchange, &wanted.request) };
    if let Some(response) = seen.response(exchange, wanted.request.url.place) {
        seen.breaches = judge(wanted, &step.expect, &response, scope, &mut seen);
        answer::capture(&step.captures, &response, &mut seen);
    }
    Ok(seen)
}

fn judge(
    wanted: &Promql,
    expect: &Expect,
    response: &Response,
    scope: &Scope,
    seen: &mut Seen,
) -> Vec<Breach> {
    let (url, query) = (wanted.request.url.place, wanted.query.place);
    let answer = match read_query(&response.body) {
        Ok(answer) => answer,
        // Refusals come with a status of their own, and say more than that.
        Err(failed @ NoAnswer::Failed { .. }) => {
            let title = format!("the query failed: {failed}");
            return vec![Breach::new(Reason::Status, query, title, "Prometheus says so")];
        }
        Err(malformed @ NoAnswer::Malformed(_)) => {
            let unexpected = answer::breaches(&Expect::default(), response, url, scope);
            if !unexpected.is_empty() {
                return unexpected;
            }
            let breach = Breach::new(Reason::Json, url, malformed.to_string(), "served here");
            return vec![breach.help("`url` is where Prometheus is, without `/api/v1/query`")];
        }
    };
    seen.evidence.state = Some(state(&answer));
    seen.evidence.body = Some(shown(&answer.data));
    let alone;
    let series = match &answer.data {
        Data::Scalar(point) => {
            alone = [Sample { labels: Labels::new(), value: Value::Number(*point) }];
            &alone[..]
        }
        Data::Vector(series) => series,
        Data::Matrix(_) | Data::String(_) => {
            let title = format!("the query gives a {}, which has no value to judge", answer.data.name());
            let breach = Breach::new(Reason::Body, query, title, format!("a {}", answer.data.name()));
            return vec![breach.help("ask for a scalar or an instant vector: `rate(…[5m])`, not `…[5m]`")];
        }
    };
    let heard = Heard { series, query };
    let mut breaches = heard.count(&expect.query, scope);
    breaches.extend(heard.values(&expect.query, scope));
    breaches.extend(heard.labels(&expect.query, scope));
    breaches.extend(warned(&answer, &expect.query, query, scope));
    breaches
}

/// The series of an answer, as they are judged.
struct Heard<'a> {
    series: &'a [Sample],
    query: Place,
}

impl Heard<'_> {
    fn count(&self, wanted: &Wanted, scope: &Scope) -> Vec<Breach> {
        let breach = match &wanted.count {
            Some(count) => {
                let number = [Subject::Number(number(self.series.len()))];
                any_of(count, &number, scope, Reason::Body, "the number of series")
            }
            None => self.series.is_empty().then(|| {
                let title = "the query gives no series";
                let breach = Breach::new(Reason::Body, self.query, title, "nothing matches");
                breach.help("expect `series: 0` if that is right")
            }),
        };
        breach.into_iter().collect()
    }

    fn values(&self, wanted: &Wanted, scope: &Scope) -> Vec<Breach> {
        let mut breaches = Vec::new();
        if let Some(value) = &wanted.value {
            let unmet = self.series.iter().filter_map(|sample| {
                let what = format!("`{}`", describe(&sample.labels));
                match plain(sample) {
                    Ok(point) => any_of(value, &[Subject::Number(point.value)], scope, Reason::Body, &what),
                    Err(why) => {
                        Some(Breach::new(Reason::Body, value.place, format!("{what} {why}"), "no value"))
                    }
                }
            });
            breaches.extend(several(unmet));
        }
        breaches.extend(wanted.any_value.as_ref().and_then(|value| self.any_value(value, scope)));
        breaches
    }

    fn any_value(&self, value: &At<Predicate>, scope: &Scope) -> Option<Breach> {
        let first = self.series.first()?;
        let points: Vec<_> = self.series.iter().filter_map(|sample| plain(sample).ok()).collect();
        let numbers: Vec<_> = points.iter().map(|point| Subject::Number(point.value)).collect();
        if let (Err(why), true) = (plain(first), numbers.is_empty()) {
            let title = format!("no series has a number: `{}` {why}", describe(&first.labels));
            return Some(Breach::new(Reason::Body, value.place, title, "no value"));
        }
        let breach = any_of(value, &numbers, scope, Reason::Body, "the first value")?;
        Some(match numbers.len() {
            1 => breach,
            several => breach.help(format!("nor is any other of {several}")),
        })
    }

    fn labels(&self, wanted: &Wanted, scope: &Scope) -> Vec<Breach> {
        let breaches = wanted.labels.iter().filter_map(|(label, predicate)| {
            let unmet = self.series.iter().filter_map(|sample| {
                let subject = sample.labels.get(label).map_or(Subject::Absent, |value| Subject::Text(value));
                let what = format!("label `{label}` of `{}`", describe(&sample.labels));
                any_of(predicate, &[subject], scope, Reason::Body, &what)
            });
            several(unmet)
        });
        breaches.collect()
    }
}

/// The first of several breaches, and how many there are.
fn several(mut breaches: impl Iterator<Item = Breach>) -> Option<Breach> {
    let first = breaches.next()?;
    Some(match breaches.count() {
        0 => first,
        1 => first.help("and so for one more series"),
        more => first.help(format!("and so for {more} more series")),
    })
}

/// The one number of a series; NaN is none, whatever is expected of it.
fn plain(sample: &Sample) -> Result<Point, &'static str> {
    match sample.value {
        Value::Number(point) if point.value.is_nan() => Err("is NaN, which is never as expected"),
        Value::Number(point) => Ok(point),
        Value::Histogram(_) => Err("is a histogram: ask for its `histogram_quantile` or `histogram_count`"),
    }
}

/// A warning says that the answer may be wrong: unless it was expected, it passes for none.
fn warned(answer: &Answer<Data>, wanted: &Wanted, query: Place, scope: &Scope) -> Option<Breach> {
    let warnings: Vec<_> = answer.warnings.iter().filter(|text| !text.starts_with(INFO)).collect();
    let breach = match &wanted.warnings {
        Some(predicate) => {
            let number = [Subject::Number(number(warnings.len()))];
            any_of(predicate, &number, scope, Reason::Body, "the number of warnings")
        }
        None => warnings.first().map(|first| {
            let title = format!("the answer comes with a warning: {first}");
            Breach::new(Reason::Body, query, title, "it may be wrong")
        }),
    };
    let hint = "expect `warnings: at least 0` where that is no matter";
    breach.map(|breach| if wanted.warnings.is_none() { breach.help(hint) } else { breach })
}

/// `vector of 3 series`, and what Prometheus has to say about it.
fn state(answer: &Answer<Data>) -> String {
    let what = match &answer.data {
        Data::Scalar(point) => format!("scalar {}", point.value),
        Data::Vector(series) => format!("vector of {} series", series.len()),
        Data::Matrix(series) => format!("matrix of {} series", series.len()),
        Data::String(_) => "string".to_owned(),
    };
    let said = answer.warnings.iter().chain(&answer.infos).take(SERIES_KEPT).map(|said| format!("; {said}"));
    said.fold(what, |state, said| state + &said)
}

/// The first series, one a line.
fn shown(data: &Data) -> String {
    let lines: Vec<String> = match data {
        Data::Scalar(point) => vec![point.value.to_string()],
        Data::String(text) => vec![text.value.clone()],
        Data::Matrix(series) => {
            let lines = series.iter().take(SERIES_KEPT);
            lines
                .map(|series| format!("{} {} points", describe(&series.labels), series.points.len()))
                .collect()
        }
        Data::Vector(series) => {
            let lines = series.iter().take(SERIES_KEPT).map(|sample| {
                let value = match sample.value {
                    Value::Number(point) => point.value.to_string(),
                    Value::Histogram(_) => "histogram".to_owned(),
                };
                format!("{} {value}", describe(&sample.labels))
            });
            lines.collect()
        }
    };
    beginning(lines.join("\n").as_bytes())
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
