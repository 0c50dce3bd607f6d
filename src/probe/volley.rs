//! A load's attempts on one connection: the request is filled once, and sent again and again.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;
use url::Host;

use super::attempt::{Breach, Seen, Session};
use super::connect::Deadline;
use super::errand::Errand;
use super::http::{Client, Exchange, Response, Written};
use super::trace::Traceparent;
use super::{answer, certificate};
use crate::event::Evidence;
use crate::sample::{Cause, Phases};
use crate::scenario::capture::Traced;
use crate::scenario::expect::Expect;
use crate::scenario::http::Http;
use crate::scenario::template::{Scope, Unset};
use crate::source::Place;

/// One connection, and what is sent over it.
#[derive(Debug)]
pub struct Volley {
    errand: Result<Errand, Cause>,
    http: Arc<Http>,
    place: Place,
    expect: Arc<Expect>,
    scope: Arc<Scope>,
    timeout: Duration,
    /// Whether each attempt begins a trace, and whether what is expected names it.
    traced: bool,
    judges_trace: bool,
    client: Client,
}

impl Volley {
    /// A volley of one of a load's requests.
    ///
    /// # Errors
    /// When a name that the request needs has no value.
    pub fn new(
        request: &Http,
        expect: &Expect,
        timeout: Duration,
        scope: &Scope,
        session: &Session,
    ) -> Result<Self, Unset> {
        Ok(Self {
            errand: Errand::fill(request, scope, session)?,
            http: Arc::new(request.clone()),
            place: request.url.place,
            expect: Arc::new(expect.clone()),
            scope: Arc::new(scope.clone()),
            timeout,
            traced: request.trace,
            judges_trace: request.trace && expect.holes().any(|(hole, _)| Traced::is_named(&hole.name)),
            client: Client::keeping(),
        })
    }

    /// The same request on a connection of its own.
    #[must_use]
    pub fn another(&self) -> Self {
        Self {
            errand: self.errand.clone(),
            http: Arc::clone(&self.http),
            place: self.place,
            expect: Arc::clone(&self.expect),
            scope: Arc::clone(&self.scope),
            timeout: self.timeout,
            traced: self.traced,
            judges_trace: self.judges_trace,
            client: Client::keeping(),
        }
    }

    /// The request as bytes, where it is the same each time and its answer alone says all that is expected.
    ///
    /// # Errors
    /// Inside: why it cannot be written.
    #[must_use]
    pub fn written(&self) -> Option<Result<Written, Cause>> {
        let plain = !self.traced && self.expect.phases.is_empty() && self.expect.certificate.is_none();
        self.errand.as_ref().ok().filter(|_| plain)?.written()
    }

    /// The host that is asked, where there is one.
    #[must_use]
    pub fn host(&self) -> Option<Host> {
        self.errand.as_ref().ok()?.host()
    }

    /// Whether a status alone says whether an answer is as expected.
    #[must_use]
    pub fn asks_for_a_status_only(&self) -> bool {
        let Expect { headers, body, size, json, schema, .. } = &*self.expect;
        headers.is_empty() && body.is_none() && size.is_none() && json.is_empty() && schema.is_none()
    }

    /// What was wrong with an answer that [needs no more](Self::asks_for_a_status_only) than its status.
    #[must_use]
    pub fn judge_status(&self, status: StatusCode, took: Duration) -> Vec<Breach> {
        let admitted = match &self.expect.status {
            None => status.is_success(),
            Some(wanted) => wanted.iter().any(|one| one.admits(status.as_u16())),
        };
        if admitted && self.expect.latency.is_none() {
            return Vec::new();
        }
        self.judge(&Response::of(status), took)
    }

    /// What was wrong with an answer.
    #[must_use]
    pub fn judge(&self, response: &Response, took: Duration) -> Vec<Breach> {
        let mut breaches = answer::breaches(&self.expect, response, self.place, &self.scope);
        breaches.extend(answer::late(&self.expect, took, &Phases::default(), &self.scope));
        breaches
    }

    /// That there was no answer.
    #[must_use]
    pub fn lost(&self, cause: Cause) -> Vec<Breach> {
        vec![Breach::lost(cause, self.place)]
    }

    /// The address that is asked, where there is one.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        self.errand.as_ref().ok().map(|errand| errand.url().to_string())
    }

    /// Sends the request once more, and says what was wrong with the answer, and what was seen of that.
    pub async fn shoot(&mut self) -> (Vec<Breach>, Evidence) {
        let errand = match &self.errand {
            Ok(errand) => errand,
            Err(cause) => return (self.lost(cause.clone()), Evidence::default()),
        };
        let began = Instant::now();
        let trace = self.traced.then(Traceparent::begin);
        let done = errand.run(&mut self.client, trace, &Deadline::after(self.timeout)).await;
        let took = began.elapsed().saturating_sub(done.prepared);
        let scope = Traceparent::within(trace.filter(|_| self.judges_trace), &self.scope);
        let mut breaches = self.breaches(&done.exchange, took, &scope);
        if breaches.is_empty() {
            return (breaches, Evidence::default());
        }
        let mut seen = Seen::of(&done.exchange, &self.http);
        seen.traced(trace);
        if let Some(trace) = trace {
            for breach in &mut breaches {
                breach.note(&format!("trace {}", trace.id()));
            }
        }
        (breaches, seen.evidence)
    }

    fn breaches(&self, exchange: &Exchange, took: Duration, scope: &Scope) -> Vec<Breach> {
        let phases = exchange.hops.last().map(|hop| hop.phases).unwrap_or_default();
        match &exchange.result {
            Err(cause) => vec![Breach::lost(cause.clone(), self.place)],
            Ok(response) => {
                let mut breaches = answer::breaches(&self.expect, response, self.place, scope);
                breaches.extend(answer::late(&self.expect, took, &phases, scope));
                if let (Some(wanted), Some(hop)) = (&self.expect.certificate, exchange.hops.last()) {
                    let now = jiff::Timestamp::now();
                    breaches.extend(certificate::breaches(wanted, &hop.chain, now, scope));
                }
                breaches
            }
        }
    }
}
