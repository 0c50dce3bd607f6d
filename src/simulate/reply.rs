//! Responses, whole in memory so that head and body leave in one write, and what they are refused with.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::text::covers;
use crate::scenario::profile::Expects;

/// The largest body a request may have.
const LARGEST: usize = 1 << 20;

/// How long a client may take over a request's body.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) type Reply = Response<Full<Bytes>>;

/// Why a request is not answered as it wants to be.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    why: &'static str,
    /// What the status asks to go with it.
    header: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, why: &'static str) -> Self {
        Self { status, why, header: None }
    }

    pub(super) fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    pub(super) fn reply(self) -> Reply {
        let mut reply = json_reply(self.status, json!({ "error": self.why }).to_string().into());
        reply.headers_mut().extend(self.header);
        reply
    }
}

pub(super) fn json_reply(status: StatusCode, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::from(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

/// Reads a request's body.
pub(super) async fn read(body: Incoming) -> Result<Bytes, Refusal> {
    let too_large = || Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "a body has at most 1 MiB"));
    if usize::try_from(body.size_hint().lower()).is_ok_and(|announced| announced > LARGEST) {
        return too_large();
    }
    match timeout(PATIENCE, Limited::new(body, LARGEST).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => too_large(),
        Ok(Err(_)) => Err(Refusal::new(StatusCode::BAD_REQUEST, "the body broke off")),
        Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body took more than 10 s")),
    }
}

/// Whether a request brings what is expected of it.
pub(super) fn admit(expects: &Expects, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
    let refuse = |why| {
        let bearer = HeaderValue::from_static("Bearer");
        Err(Refusal::new(StatusCode::UNAUTHORIZED, why).with(header::WWW_AUTHENTICATE, bearer))
    };
    if let Some(token) = &expects.bearer {
        let brought = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let brought = brought.and_then(|value| value.split_once(' '));
        if !brought.is_some_and(|(scheme, it)| scheme.eq_ignore_ascii_case("bearer") && it.trim() == token) {
            return refuse("the bearer token is missing or another one");
        }
    }
    if let Some(wanted) = &expects.json {
        let brought = serde_json::from_slice::<Value>(body).ok();
        if !brought.is_some_and(|brought| covers(wanted, &brought)) {
            return refuse("the body is not the JSON that is expected");
        }
    }
    Ok(())
}
