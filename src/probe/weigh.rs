//! An answer that came by another way than a probe's own, held against what its step expects.

use std::time::Duration;

use http::StatusCode;

use super::answer;
use super::attempt::{Attempt, Breach, Seen};
use super::http::{Exchange, Response};
use crate::event::{Evidence, Hop};
use crate::sample::{Cause, Phases};
use crate::scenario::http::Http;
use crate::scenario::step::Step;
use crate::scenario::template::Scope;

/// What was wrong with an answer to the request of a step, and what is kept of it; nothing as evidence.
#[must_use]
pub fn answered(step: &Step, http: &Http, response: &Response, took: Duration, scope: &Scope) -> Attempt {
    let mut seen = Seen::default();
    seen.breaches.extend(answer::breaches(&step.expect, response, http.url.place, scope));
    answer::capture(&step.captures, response, &mut seen);
    seen.breaches.extend(answer::late(&step.expect, took, &Phases::default(), scope));
    let Seen { breaches, captured, .. } = seen;
    Attempt { took, breaches, captured, ..Attempt::default() }
}

/// What was wrong with an answer of which no more than the status is looked at.
#[must_use]
pub fn status(step: &Step, http: &Http, status: StatusCode, took: Duration, scope: &Scope) -> Vec<Breach> {
    let admitted = match &step.expect.status {
        None => status.is_success(),
        Some(wanted) => wanted.iter().any(|one| one.admits(status.as_u16())),
    };
    let mut breaches = Vec::new();
    if !admitted {
        let response = Response::of(status);
        breaches.extend(answer::status_breach(&step.expect, &response, http.url.place));
    }
    breaches.extend(answer::late(&step.expect, took, &Phases::default(), scope));
    breaches
}

/// That there was no answer to the request of a step.
#[must_use]
pub fn lost(http: &Http, cause: Cause) -> Breach {
    Breach::lost(cause, http.url.place)
}

/// Whether more than the status of an answer decides, or something is kept of it.
#[must_use]
pub fn needs_more_than_status(step: &Step) -> bool {
    let expect = &step.expect;
    !(expect.headers.is_empty()
        && expect.body.is_none()
        && expect.size.is_none()
        && expect.json.is_empty()
        && expect.schema.is_none())
}

/// What is worth keeping of an answer, or of there being none.
#[must_use]
pub fn evidence(http: &Http, url: String, result: Result<Response, Cause>) -> Evidence {
    let (version, status) = match &result {
        Ok(response) => (Some(format!("{:?}", response.version)), Some(response.status.as_u16())),
        Err(_) => (None, None),
    };
    let method = http.method.to_string();
    let hop = Hop { method, url, peer: None, version, status, phases: Phases::default() };
    let seen = Seen::of(&Exchange { hops: Vec::new(), result }, http);
    Evidence { hops: vec![hop], ..seen.evidence }
}
