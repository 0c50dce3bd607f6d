//! A load's attempts on one connection: the request is filled once, and sent again and again.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::attempt::{Breach, Session};
use super::connect::Deadline;
use super::errand::Errand;
use super::http::{Client, Exchange};
use super::trace::Traceparent;
use super::{answer, certificate};
use crate::sample::Cause;
use crate::scenario::expect::Expect;
use crate::scenario::load::Load;
use crate::scenario::template::{Scope, Unset};
use crate::source::Place;

/// One connection, and what is sent over it.
#[derive(Debug)]
pub struct Volley {
    errand: Result<Errand, Cause>,
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
    /// A volley of the load's request.
    ///
    /// # Errors
    /// When a name that the request needs has no value.
    pub fn new(load: &Load, scope: &Scope, session: &Session) -> Result<Self, Unset> {
        Ok(Self {
            errand: Errand::fill(&load.request, scope, session)?,
            place: load.request.url.place,
            expect: Arc::new(load.expect.clone()),
            scope: Arc::new(scope.clone()),
            timeout: load.timeout,
            traced: load.request.trace,
            judges_trace: load.judges_trace(),
            client: Client::keeping(),
        })
    }

    /// The same request on a connection of its own.
    #[must_use]
    pub fn another(&self) -> Self {
        Self {
            errand: self.errand.clone(),
            place: self.place,
            expect: Arc::clone(&self.expect),
            scope: Arc::clone(&self.scope),
            timeout: self.timeout,
            traced: self.traced,
            judges_trace: self.judges_trace,
            client: Client::keeping(),
        }
    }

    /// Sends the request once more, and says what was wrong with the answer.
    pub async fn shoot(&mut self) -> Vec<Breach> {
        let errand = match &self.errand {
            Ok(errand) => errand,
            Err(cause) => return vec![Breach::lost(cause.clone(), self.place)],
        };
        let began = Instant::now();
        let trace = self.traced.then(Traceparent::begin);
        let done = errand.run(&mut self.client, trace, &Deadline::after(self.timeout)).await;
        let took = began.elapsed().saturating_sub(done.prepared);
        let scope = Traceparent::within(trace.filter(|_| self.judges_trace), &self.scope);
        let mut breaches = self.breaches(done.exchange, took, &scope);
        if let Some(trace) = trace {
            for breach in &mut breaches {
                breach.note(&format!("trace {}", trace.id()));
            }
        }
        breaches
    }

    fn breaches(&self, exchange: Exchange, took: Duration, scope: &Scope) -> Vec<Breach> {
        let phases = exchange.hops.last().map(|hop| hop.phases).unwrap_or_default();
        match exchange.result {
            Err(cause) => vec![Breach::lost(cause, self.place)],
            Ok(response) => {
                let mut breaches = answer::breaches(&self.expect, &response, self.place, scope);
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
