//! Tokens by OAuth 2.0 client credentials, RFC 6749, section 4.4: asked for once, kept until they expire.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use serde_json::Value;
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::connect::Deadline;
use super::http::{self as client, Request, Response};
use super::request::address;
use crate::sample::{Cause, Phase, Reason};
use crate::scenario::auth::{Credentials, OAuth2};
use crate::scenario::template::{Scope, Unset};
use crate::secret::{Mask, Secret};
use crate::units::Size;

/// What is read of an answer with a token in it.
const ANSWER_LIMIT: Size = Size(64 << 10);

/// A token is not used so shortly before its end that it might expire on its way.
const MARGIN: Duration = Duration::from_secs(10);

/// Signs that are shown of what an answer says of itself.
const MOST_SAID: usize = 120;

/// The tokens of a scenario, by what they were asked for with.
#[derive(Default)]
pub struct Tokens(Mutex<BTreeMap<Question, Kept>>);

/// The address, the proof of who asks, and the form.
type Question = (String, Option<Vec<u8>>, Bytes);

/// Whoever asks while another does waits for that one's token.
type Kept = Arc<tokio::sync::Mutex<Option<Token>>>;

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

#[derive(Clone)]
struct Token {
    header: HeaderValue,
    /// `None` where nobody said.
    until: Option<Instant>,
}

/// How a token is asked for, filled in.
#[derive(Clone)]
pub(super) struct Grant {
    request: Request,
    mask: Mask,
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Grant").field(&self.request.url.as_str()).finish()
    }
}

impl Grant {
    /// The question of a token for `request`, which goes the same way.
    pub(super) fn fill(
        wanted: &OAuth2,
        request: &Request,
        scope: &Scope,
    ) -> Result<Result<Self, Cause>, Unset> {
        let url = match address(&wanted.token_url, &["http", "https"], scope)? {
            Ok(url) => url,
            Err(cause) => return Ok(Err(cause)),
        };
        let (id, secret) = (wanted.client_id.fill(scope)?, wanted.client_secret.fill(scope)?);
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !wanted.scopes.is_empty() {
            let scopes = wanted.scopes.iter().map(|one| one.fill(scope)).collect::<Result<Vec<_>, _>>()?;
            form.append_pair("scope", &scopes.join(" "));
        }
        for (name, value) in &wanted.parameters.0 {
            form.append_pair(name, &value.fill(scope)?);
        }
        let mut asks = question(url, request);
        scope.mask().add(&Secret::new(secret.as_str()));
        match wanted.credentials {
            Credentials::Header => {
                let value = basic(&id, &secret, scope.mask());
                asks.headers.extend(value.map(|value| (AUTHORIZATION, value)));
            }
            Credentials::Body => {
                form.append_pair("client_id", &id).append_pair("client_secret", &secret);
            }
        }
        asks.body = form.finish().into();
        Ok(Ok(Self { request: asks, mask: scope.mask().clone() }))
    }

    fn question(&self) -> Question {
        let Request { url, headers, body, .. } = &self.request;
        let proof = headers.get(AUTHORIZATION).map(|value| value.as_bytes().to_vec());
        (url.to_string(), proof, body.clone())
    }

    async fn ask(&self, deadline: &Deadline) -> Result<Token, Cause> {
        let exchange = client::send(&self.request, deadline).await;
        let asked = Instant::now();
        let read = exchange.result.and_then(|response| self.read(&response, asked));
        read.map_err(|cause| {
            Cause::new(cause.reason, format!("no token from `{}`: {cause}", self.request.url))
        })
    }

    fn read(&self, response: &Response, asked: Instant) -> Result<Token, Cause> {
        let document: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        if !response.status.is_success() {
            let said = ["error", "error_description"].map(|key| document.get(key).and_then(Value::as_str));
            let cut = |text: &str| text.chars().take(MOST_SAID).collect::<String>();
            let said: Vec<_> = said.into_iter().flatten().map(cut).collect();
            let said = if said.is_empty() { String::new() } else { format!(": {}", said.join(", ")) };
            return Err(Cause::new(Reason::Status, format!("answered {}{said}", response.status)));
        }
        let unread = |why: &str| Cause::new(Reason::Json, why.to_owned());
        let token = document.get("access_token").and_then(Value::as_str);
        let token = token.filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| unread("there is no `access_token` in the answer"))?;
        self.mask.add(&Secret::new(token));
        let kind = document.get("token_type").and_then(Value::as_str).unwrap_or("Bearer");
        if !kind.eq_ignore_ascii_case("bearer") {
            return Err(unread("the token is not a bearer's"));
        }
        let mut header = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| unread("the token holds characters that no header may hold"))?;
        header.set_sensitive(true);
        let lasts = document.get("expires_in").and_then(seconds).map(Duration::from_secs);
        let until = lasts.and_then(|lasts| asked.checked_add(lasts.saturating_sub(MARGIN.min(lasts / 10))));
        Ok(Token { header, until })
    }
}

/// The request for a token; what is the target's alone stays behind.
fn question(url: Url, request: &Request) -> Request {
    let mut options = request.options.clone();
    if url.origin() != request.url.origin() {
        options.address = None;
        options.tls.identity = None;
    }
    if url.host() != request.url.host() {
        options.tls.server_name = None;
    }
    let mut asks =
        Request { options, limit: ANSWER_LIMIT, decompress: false, ..Request::new(Method::POST, url) };
    asks.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    asks.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    asks
}

/// Both are percent-encoded first, RFC 6749, section 2.3.1.
fn basic(id: &str, secret: &str, mask: &Mask) -> Option<HeaderValue> {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = BASE64_STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret)));
    mask.add(&Secret::new(pair.as_str()));
    let mut value = HeaderValue::from_str(&format!("Basic {pair}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A whole number of seconds; some write it as text.
fn seconds(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

impl Tokens {
    /// The header of a token that holds: the one that is kept, or else a new one.
    ///
    /// # Errors
    /// None was given, for one reason.
    pub(super) async fn header(&self, grant: &Grant, deadline: &Deadline) -> Result<HeaderValue, Cause> {
        let kept = self.kept(grant);
        let mut token = deadline.run(Phase::Wait, kept.lock()).await?;
        let now = Instant::now();
        if let Some(token) = token.as_ref().filter(|token| token.until.is_none_or(|until| now < until)) {
            return Ok(token.header.clone());
        }
        let fresh = grant.ask(deadline).await?;
        let header = fresh.header.clone();
        *token = Some(fresh);
        Ok(header)
    }

    /// Lets go of a token that the target did not take, so that the next attempt asks for another.
    pub(super) fn heed(&self, grant: &Grant, header: &HeaderValue, status: Option<StatusCode>) {
        if status != Some(StatusCode::UNAUTHORIZED) {
            return;
        }
        // Where somebody holds it a new one is being asked for already.
        if let Ok(mut token) = self.kept(grant).try_lock()
            && token.as_ref().is_some_and(|token| token.header == *header)
        {
            *token = None;
        }
    }

    fn kept(&self, grant: &Grant) -> Kept {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(grant.question()).or_default())
    }
}
