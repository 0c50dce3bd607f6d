//! A request to a receiver, and what a vendor answers.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::line::Line;
use super::message::{Message, strings};
use super::vendor::Memory;

pub(super) type Reply = Response<Full<Bytes>>;

/// What a vendor is asked.
pub(super) struct Request<'r> {
    pub(super) line: &'r Line,
    pub(super) method: &'r Method,
    /// The path after the line's own.
    pub(super) rest: &'r str,
    pub(super) query: &'r str,
    pub(super) headers: &'r HeaderMap,
    pub(super) body: &'r [u8],
    /// Another one for each request, where an answer names something.
    pub(super) number: u64,
    /// The time, in seconds since 1970.
    pub(super) now: i64,
    pub(super) memory: &'r Memory,
}

/// What a vendor answers, and what was delivered with it.
pub(super) struct Answer {
    pub(super) reply: Reply,
    pub(super) message: Option<Message>,
}

impl Answer {
    /// `message` was delivered.
    pub(super) fn delivered(message: Message, reply: Reply) -> Self {
        Self { reply, message: Some(message) }
    }

    /// Nothing was delivered: a question on the way, or one that is refused.
    pub(super) fn aside(reply: Reply) -> Self {
        Self { reply, message: None }
    }
}

impl Request<'_> {
    /// The body as JSON.
    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_slice(self.body).ok()
    }

    /// The fields of the query and of a form in the body.
    pub(super) fn form(&self) -> Fields {
        let pairs = form_urlencoded::parse(self.query.as_bytes()).chain(form_urlencoded::parse(self.body));
        Fields(pairs.map(|(key, value)| (key.into_owned(), value.into_owned())).collect())
    }

    /// Something that looks like the vendors' own identifiers, another one for each request.
    pub(super) fn id(&self) -> String {
        format!("f12ed1e1-0000-4000-8000-{:012x}", self.number)
    }
}

/// Fields of a form.
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// The first value of that name; empty where there is none.
    pub(super) fn value(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Every value.
    pub(super) fn texts(&self) -> Vec<String> {
        self.0.iter().map(|(_, value)| value.clone()).collect()
    }
}

/// The text at a JSON pointer; a number as it is printed, and empty where there is nothing of that kind.
pub(super) fn at(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => String::new(),
    }
}

/// A message with every text of `value` noted.
pub(super) fn message(value: &Value) -> Message {
    Message { texts: strings(value), ..Message::default() }
}

/// The lines that say something.
pub(super) fn lines<'t>(parts: impl IntoIterator<Item = &'t str>) -> String {
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

/// A reply with a JSON body.
#[expect(clippy::needless_pass_by_value, reason = "callers build it in the call")]
pub(super) fn json_reply(status: StatusCode, body: Value) -> Reply {
    reply(status, "application/json; charset=utf-8", body.to_string())
}

/// A reply in plain text.
pub(super) fn text_reply(status: StatusCode, body: impl Into<String>) -> Reply {
    reply(status, "text/plain; charset=utf-8", body)
}

/// A reply.
pub(super) fn reply(status: StatusCode, kind: &'static str, body: impl Into<String>) -> Reply {
    let mut reply = Response::new(Full::from(Bytes::from(body.into())));
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}

/// A reply that is a status and nothing more.
pub(super) fn bare_reply(status: StatusCode) -> Reply {
    let mut reply = Response::new(Full::default());
    *reply.status_mut() = status;
    reply
}

/// A reply with one more header.
pub(super) fn with(mut reply: Reply, name: HeaderName, value: &str) -> Reply {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
    reply
}

/// The path leads to nothing this vendor has.
pub(super) fn not_found(request: &Request<'_>) -> Answer {
    let asked = format!("{} {}", request.method, request.rest);
    let error = format!("`{asked}` is nothing that {} is asked", request.line.kind.name());
    Answer::aside(json_reply(StatusCode::NOT_FOUND, json!({ "error": error })))
}
