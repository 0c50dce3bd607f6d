//! A load's attempts on one connection: the request is filled once, and sent again and again.

use std::time::Duration;

use tokio::time::Instant;

use super::attempt::{Breach, Session};
use super::connect::Deadline;
use super::http::{Client, Request};
use super::{answer, certificate, request};
use crate::sample::Cause;
use crate::scenario::expect::Expect;
use crate::scenario::load::Load;
use crate::scenario::template::{Scope, Unset};
use crate::source::Place;

/// One connection, and what is sent over it.
#[derive(Debug)]
pub struct Volley {
    request: Result<Request, Cause>,
    place: Place,
    expect: Expect,
    scope: Scope,
    timeout: Duration,
    client: Client,
}

impl Volley {
    /// A volley of the load's request.
    ///
    /// # Errors
    /// When a name that the request needs has no value.
    pub fn new(load: &Load, scope: &Scope, session: &Session) -> Result<Self, Unset> {
        Ok(Self {
            request: request::fill(&load.request, scope, session)?,
            place: load.request.url.place,
            expect: load.expect.clone(),
            scope: scope.clone(),
            timeout: load.timeout,
            client: Client::keeping(),
        })
    }

    /// The same request on a connection of its own.
    #[must_use]
    pub fn another(&self) -> Self {
        Self {
            request: self.request.clone(),
            place: self.place,
            expect: self.expect.clone(),
            scope: self.scope.clone(),
            timeout: self.timeout,
            client: Client::keeping(),
        }
    }

    /// Sends the request once more, and says what was wrong with the answer.
    pub async fn shoot(&mut self) -> Vec<Breach> {
        let request = match &self.request {
            Ok(request) => request,
            Err(cause) => return vec![Breach::lost(cause.clone(), self.place)],
        };
        let began = Instant::now();
        let exchange = self.client.send(request, &Deadline::after(self.timeout)).await;
        let took = began.elapsed();
        let phases = exchange.hops.last().map(|hop| hop.phases).unwrap_or_default();
        match exchange.result {
            Err(cause) => vec![Breach::lost(cause, self.place)],
            Ok(response) => {
                let mut breaches = answer::breaches(&self.expect, &response, self.place, &self.scope);
                breaches.extend(answer::late(&self.expect, took, &phases, &self.scope));
                if let (Some(wanted), Some(hop)) = (&self.expect.certificate, exchange.hops.last()) {
                    let now = jiff::Timestamp::now();
                    breaches.extend(certificate::breaches(wanted, &hop.chain, now, &self.scope));
                }
                breaches
            }
        }
    }
}
