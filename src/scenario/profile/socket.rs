//! What a stand-in says over WebSocket.

use std::time::Duration;

use http::{HeaderValue, Method};
use serde_json::Value;

use super::route::{body, plain};
use super::written::{MessageFile, ReplyFile, SocketFile, StreamFile};
use super::{After, Body, Claims, Expects, Findings, PathPattern};
use crate::finding::{Code, Finding};
use crate::source::At;

/// A WebSocket endpoint.
#[derive(Debug, Clone)]
pub struct Socket {
    /// Where.
    pub path: PathPattern,
    /// What the request must bring; without it the answer is 401.
    pub expects: Expects,
    /// Subprotocols, best first.
    pub subprotocols: Vec<String>,
    /// Whether a message that no reply is meant for is sent back.
    pub echo: bool,
    /// Answers to certain messages; the first that is meant is sent.
    pub replies: Vec<Reply>,
    /// What is sent without being asked for.
    pub stream: Option<Stream>,
}

/// A message and its answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Which message.
    pub when: When,
    /// What is sent back.
    pub send: Body,
}

/// A message to look out for.
#[derive(Debug, Clone, PartialEq)]
pub enum When {
    /// This text.
    Text(String),
    /// JSON that has this in it.
    Json(Value),
}

/// Messages at a steady pace.
#[derive(Debug, Clone)]
pub struct Stream {
    /// From one to the next.
    pub every: Duration,
    /// The message.
    pub send: Body,
    /// What it waits for.
    pub after: After,
}

/// No stream is faster than a hundred thousand messages a second.
const FASTEST: Duration = Duration::from_micros(10);

pub(super) fn check(file: SocketFile, claims: &mut Claims, findings: &mut Findings) -> Option<Socket> {
    let path = findings.take(claims.claim(&Method::GET, &file.path));
    for name in &file.subprotocols {
        let token = |c: char| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?={}".contains(c);
        if name.is_empty() || !name.chars().all(token) || HeaderValue::from_str(name).is_err() {
            let title = format!("`{name}` is not a subprotocol: letters, digits and few signs, no blanks");
            findings.add(Finding::new(Code::ProfileRoute, name.place, title));
        }
    }
    let replies = file.replies.into_iter().filter_map(|file| reply(file, findings)).collect();
    let stream = file.stream.map(|file| stream(file, findings));
    Some(Socket {
        path: path?,
        expects: Expects { bearer: file.expects.bearer, json: None },
        subprotocols: file.subprotocols.into_iter().map(|name| name.value).collect(),
        echo: file.echo,
        replies,
        stream,
    })
}

fn reply(file: ReplyFile, findings: &mut Findings) -> Option<Reply> {
    let when = findings.take(when(&file.when));
    let send = message(file.send, findings);
    Some(Reply { when: when?, send })
}

fn when(file: &At<MessageFile>) -> Result<When, Finding> {
    match (&file.json, &file.text) {
        (Some(json), None) => plain(json).map(When::Json),
        (None, Some(text)) => text.literal().map(When::Text).ok_or_else(|| {
            let finding = Finding::new(Code::FileValue, text.place, "what is compared with has no holes");
            finding.help("write `$${` for the characters themselves")
        }),
        (Some(_), Some(_)) | (None, None) => {
            let title = "a message to look out for is one of `json` and `text`";
            Err(Finding::new(Code::ProfileRoute, file.place, title))
        }
    }
}

/// A message that is sent: exactly one of `json` and `text`.
fn message(file: At<MessageFile>, findings: &mut Findings) -> Body {
    if file.json.is_none() && file.text.is_none() {
        let finding = Finding::new(Code::ProfileRoute, file.place, "there is nothing to send");
        findings.add(finding.help("write `send: { json: { ok: true } }` or `send: { text: hello }`"));
    }
    body(file.value.json, file.value.text, findings)
}

fn stream(file: StreamFile, findings: &mut Findings) -> Stream {
    if file.every.0 < FASTEST {
        let title = "a stream waits at least 10us from one message to the next";
        findings.add(Finding::new(Code::FileValue, file.every.place, title));
    }
    Stream { every: file.every.0.max(FASTEST), send: message(file.send, findings), after: file.after }
}
