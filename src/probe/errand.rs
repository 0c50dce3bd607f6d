//! A request as a step makes it: with the token that it needs, and in the trace of its attempt.

use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use tokio::time::Instant;
use url::{Host, Url};

use super::attempt::Session;
use super::connect::Deadline;
use super::http::{Client, Exchange, Request, Written};
use super::oauth::{Grant, Tokens};
use super::request;
use super::trace::{TRACEPARENT, Traceparent};
use crate::sample::Cause;
use crate::scenario::auth::Auth;
use crate::scenario::http::Http;
use crate::scenario::template::{Scope, Unset};

/// A request, and what has to be done each time before it is sent.
#[derive(Debug, Clone)]
pub(super) struct Errand {
    request: Request,
    grant: Option<Grant>,
    tokens: Arc<Tokens>,
}

/// What came of an errand.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) exchange: Exchange,
    /// How long it took to be given a token: our own time, not the target's.
    pub(super) prepared: Duration,
}

impl Done {
    /// Nothing could be sent.
    pub(super) fn lost(cause: Cause) -> Self {
        let exchange = Exchange { hops: Vec::new(), result: Err(cause) };
        Self { exchange, prepared: Duration::ZERO }
    }
}

impl Errand {
    /// Fills every hole of a request.
    ///
    /// # Errors
    /// When a name has no value; inside, when what came of filling cannot be sent.
    pub(super) fn fill(http: &Http, scope: &Scope, session: &Session) -> Result<Result<Self, Cause>, Unset> {
        let request = match request::fill(http, scope, session)? {
            Ok(request) => request,
            Err(cause) => return Ok(Err(cause)),
        };
        let grant = match &http.auth {
            Some(Auth::OAuth2(wanted)) => Grant::fill(wanted, &request, scope)?.map(Some),
            Some(Auth::Bearer(_) | Auth::Basic(_) | Auth::Digest(_)) | None => Ok(None),
        };
        let tokens = Arc::clone(&session.tokens);
        Ok(grant.map(|grant| Self { request, grant, tokens }))
    }

    /// The same, to a path beneath its own.
    pub(super) fn beneath(mut self, path: &[&str]) -> Self {
        // Only an address without a host has no path to add to.
        if let Ok(mut segments) = self.request.url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        self
    }

    /// The request as bytes, where nothing has to be done before it is sent.
    pub(super) fn written(&self) -> Option<Result<Written, Cause>> {
        self.grant.is_none().then(|| self.request.written()).flatten()
    }

    /// The address that is asked, without user and password.
    pub(super) fn url(&self) -> Url {
        let mut url = self.request.url.clone();
        // Only an address without a host refuses, and that has no user either.
        let _ = url.set_username("").and_then(|()| url.set_password(None));
        url
    }

    /// The host that is asked.
    pub(super) fn host(&self) -> Option<Host> {
        self.request.url.host().map(|host| host.to_owned())
    }

    /// Sends the request once, in a trace if there is one, all before `deadline`.
    pub(super) async fn run(
        &self,
        client: &mut Client,
        trace: Option<Traceparent>,
        deadline: &Deadline,
    ) -> Done {
        let began = Instant::now();
        let mut request = self.request.clone();
        request.headers.extend(trace.and_then(|trace| trace.header()).map(|value| (TRACEPARENT, value)));
        let Some(grant) = &self.grant else {
            let exchange = client.send(&request, deadline).await;
            return Done { exchange, prepared: Duration::ZERO };
        };
        let token = match self.tokens.header(grant, deadline).await {
            Ok(token) => token,
            Err(cause) => return Done::lost(cause),
        };
        let prepared = began.elapsed();
        request.headers.insert(AUTHORIZATION, token.clone());
        let exchange = client.send(&request, deadline).await;
        // Redirects are followed: only the first hop has seen the token for sure.
        let status = exchange.hops.first().and_then(|hop| hop.status);
        self.tokens.heed(grant, &token, status);
        Done { exchange, prepared }
    }
}
