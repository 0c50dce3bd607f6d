//! What was wrong with an answer, and what is kept of it.

use std::time::Duration;

use serde_json::Value;
use serde_json_path::JsonPath;

use super::attempt::{Breach, Seen};
use super::http::Response;
use crate::sample::{Phases, Reason};
use crate::scenario::capture::{Capture, Origin, Traced};
use crate::scenario::expect::{Expect, Status};
use crate::scenario::predicate::{Predicate, Unmet};
use crate::scenario::schema::Schema;
use crate::scenario::subject::Subject;
use crate::scenario::template::Scope;
use crate::source::{At, Place};

/// Everything that is not as expected, save how long it took. Where no status is expected, a success is.
pub(super) fn breaches(expect: &Expect, response: &Response, request: Place, scope: &Scope) -> Vec<Breach> {
    let mut breaches: Vec<Breach> = status_breach(expect, response, request).into_iter().collect();
    breaches.extend(beyond_status(expect, response, scope));
    breaches
}

/// A status that is not as expected; where none is expected, one that is no success.
pub(super) fn status_breach(expect: &Expect, response: &Response, request: Place) -> Option<Breach> {
    if expect.status.is_some() || response.status.is_success() {
        return status(expect, response);
    }
    let title = format!("status is {}, not a success", response.status);
    let breach =
        Breach::new(Reason::Status, request, title, format!("answered {}", response.status.as_u16()));
    Some(if response.status.is_redirection() {
        breach.help("add `redirects: 5` to the request to follow, or expect this status")
    } else {
        breach
    })
}

/// Everything that is not as expected, save how long it took and a status nobody asked about.
pub(super) fn further_breaches(expect: &Expect, response: &Response, scope: &Scope) -> Vec<Breach> {
    let mut breaches: Vec<Breach> = status(expect, response).into_iter().collect();
    breaches.extend(beyond_status(expect, response, scope));
    breaches
}

fn beyond_status(expect: &Expect, response: &Response, scope: &Scope) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (name, wanted) in &expect.headers {
        let values: Vec<_> = response
            .headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        let subjects: Vec<_> = values.iter().map(|value| Subject::Text(value)).collect();
        breaches.extend(any_of(wanted, &subjects, scope, Reason::Header, &format!("header `{name}`")));
    }
    let text = String::from_utf8_lossy(&response.body);
    if let Some(wanted) = &expect.body {
        breaches.extend(any_of(wanted, &[Subject::Text(&text)], scope, Reason::Body, "the body"));
    }
    if let Some(wanted) = &expect.size {
        let size = Subject::Size(u64::try_from(response.body.len()).unwrap_or(u64::MAX));
        breaches.extend(any_of(wanted, &[size], scope, Reason::Body, "the body's size"));
    }
    breaches.extend(json(&expect.json, &response.body, scope));
    breaches.extend(expect.schema.as_ref().and_then(|schema| mismatch(schema, &response.body)));
    breaches
}

/// What a schema does not allow of a body.
fn mismatch(schema: &Schema, body: &[u8]) -> Option<Breach> {
    let why = match serde_json::from_slice(body) {
        Ok(document) => schema.mismatch(&document)?,
        Err(error) => format!("it is not JSON: {error}"),
    };
    let title = format!("the body does not match `{}`: {why}", schema.file);
    Some(Breach::new(Reason::Json, schema.file.place, title, "this schema"))
}

fn status(expect: &Expect, response: &Response) -> Option<Breach> {
    let wanted = expect.status.as_ref()?;
    let status = response.status.as_u16();
    if wanted.iter().any(|one| one.admits(status)) {
        return None;
    }
    let all = wanted.iter().map(Status::to_string).collect::<Vec<_>>().join(" or ");
    let title = format!("status is {}, not {all}", response.status);
    Some(Breach::new(Reason::Status, wanted.place, title, format!("answered {status}")))
}

/// Places in a JSON text that are not as expected.
pub(super) fn json(expected: &[(JsonPath, At<Predicate>)], body: &[u8], scope: &Scope) -> Vec<Breach> {
    let Some((_, first)) = expected.first() else { return Vec::new() };
    let document: Value = match serde_json::from_slice(body) {
        Ok(document) => document,
        Err(error) => {
            let title = format!("the body is not JSON: {error}");
            return vec![Breach::new(Reason::Json, first.place, title, "expected in a JSON body")];
        }
    };
    let breaches = expected.iter().filter_map(|(path, wanted)| {
        let found = path.query(&document).all();
        let subjects: Vec<_> = found.into_iter().map(Subject::Json).collect();
        any_of(wanted, &subjects, scope, Reason::Json, &format!("`{path}`"))
    });
    breaches.collect()
}

/// The breach where `wanted` holds of none of the subjects; without a subject, of their absence.
pub(super) fn any_of(
    wanted: &At<Predicate>,
    subjects: &[Subject<'_>],
    scope: &Scope,
    reason: Reason,
    what: &str,
) -> Option<Breach> {
    let subjects = if subjects.is_empty() { &[Subject::Absent] } else { subjects };
    let mut unmet = None;
    for subject in subjects {
        match wanted.test(*subject, scope) {
            Ok(()) => return None,
            Err(why) => unmet.get_or_insert(why),
        };
    }
    let Unmet { wanted: phrase, got } = unmet?;
    Some(Breach::new(
        reason,
        wanted.place,
        format!("{what} is {got}, expected {phrase}"),
        format!("it is {got}"),
    ))
}

/// What took longer than expected.
pub(super) fn late(expect: &Expect, took: Duration, phases: &Phases, scope: &Scope) -> Vec<Breach> {
    let whole = expect.latency.as_ref().and_then(|wanted| {
        any_of(wanted, &[Subject::Time(took)], scope, Reason::Latency, "the time it took")
    });
    let single = expect.phases.iter().filter_map(|(phase, wanted)| {
        let subject = phases.get(*phase).map_or(Subject::Absent, Subject::Time);
        any_of(wanted, &[subject], scope, Reason::Latency, &format!("the time to {phase}"))
    });
    whole.into_iter().chain(single).collect()
}

/// Keeps what is captured from an answer.
pub(super) fn capture(captures: &[Capture], response: &Response, seen: &mut Seen) {
    for capture in captures {
        let value = match &capture.from {
            Origin::Json(_) | Origin::Regex(_) => from_body(&capture.from, &response.body),
            Origin::Header(name) => response
                .headers
                .get(name)
                .map(|value| Value::from(String::from_utf8_lossy(value.as_bytes())))
                .ok_or_else(|| (Reason::Header, format!("the answer has no header `{name}` to capture"))),
            Origin::Cookie(name) => set_cookie(response, name)
                .ok_or_else(|| (Reason::Header, format!("the answer sets no cookie `{name}` to capture"))),
            Origin::Trace(what) => of_trace(*what, seen),
        };
        keep(capture, value, seen);
    }
}

/// Keeps what is captured from a message.
pub(super) fn capture_from_message(captures: &[Capture], message: &[u8], seen: &mut Seen) {
    for capture in captures {
        let value = match &capture.from {
            Origin::Trace(what) => of_trace(*what, seen),
            Origin::Json(_) | Origin::Regex(_) | Origin::Header(_) | Origin::Cookie(_) => {
                from_body(&capture.from, message)
            }
        };
        keep(capture, value, seen);
    }
}

/// What is kept of the trace that the attempt began.
fn of_trace(what: Traced, seen: &Seen) -> Result<Value, (Reason, String)> {
    let trace = seen.trace.ok_or_else(|| (Reason::Header, "no trace was begun".to_owned()))?;
    Ok(Value::from(trace.get(what)))
}

fn keep(capture: &Capture, value: Result<Value, (Reason, String)>, seen: &mut Seen) {
    match value {
        Ok(value) => seen.captured.push((capture.name.value.clone(), value, capture.secret)),
        Err((reason, title)) => {
            let label = format!("`{}` is captured from here", capture.name);
            seen.breaches.push(Breach::new(reason, capture.place, title, label));
        }
    }
}

fn from_body(from: &Origin, body: &[u8]) -> Result<Value, (Reason, String)> {
    match from {
        Origin::Json(path) => {
            let document: Value = serde_json::from_slice(body)
                .map_err(|error| (Reason::Json, format!("there is no JSON to capture from: {error}")))?;
            let found = path.query(&document).first().cloned();
            found.ok_or_else(|| (Reason::Json, format!("there is nothing at `{path}` to capture")))
        }
        Origin::Regex(regex) => {
            let text = String::from_utf8_lossy(body);
            let groups = regex.captures(&text);
            let found =
                groups.and_then(|groups| groups.get(1).or(groups.get(0)).map(|m| Value::from(m.as_str())));
            found.ok_or_else(|| (Reason::Body, format!("nothing matches `{regex}` to capture")))
        }
        Origin::Header(_) | Origin::Cookie(_) | Origin::Trace(_) => {
            Err((Reason::Header, "a message has no headers to capture from".to_owned()))
        }
    }
}

fn set_cookie(response: &Response, name: &str) -> Option<Value> {
    let cookies = response.headers.get_all(http::header::SET_COOKIE).iter();
    cookies.filter_map(|value| value.to_str().ok()).find_map(|cookie| {
        let (key, value) = cookie.split(';').next()?.split_once('=')?;
        (key.trim() == name).then(|| Value::from(value.trim()))
    })
}
