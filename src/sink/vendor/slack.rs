//! Slack: an incoming webhook that says `ok`, or the API that says it in JSON.

use http::{StatusCode, header};
use serde_json::{Value, json};

use super::{Address, ByToken, Credential, Vendor, Way, nothing};
use crate::sink::delivery::Status;
use crate::sink::message::Message;
use crate::sink::request::{Answer, Request, at, json_reply, lines, message, text_reply};
use crate::yaml::{Kind, Node};

pub(super) const VENDOR: Vendor = Vendor {
    name: "slack",
    section: "slack_configs",
    way: Way::UrlOrProxy(
        Address { key: "api_url", global: Some("slack_api_url"), built_in: false, tail, by_token: Some(APP) },
        changes_messages,
    ),
    needs: &[],
    also: nothing,
    receive,
};

/// What newer Alertmanagers take in the place of a secret address.
const APP: ByToken = ByToken {
    url: "app_url",
    global_url: "slack_app_url",
    token: Credential::shared("app_token", "slack_app_token"),
};

/// The method of the API, where the address was the API's, which it is where none was given.
fn tail(_: &Node, address: Option<&str>) -> String {
    const METHOD: &str = "/api/chat.postMessage";
    if address.is_none_or(|address| address.ends_with(METHOD)) { METHOD.to_owned() } else { String::new() }
}

/// Alertmanager changes a message that it sent at the API's own address only, and refuses to start with another.
fn changes_messages(integration: &Node) -> bool {
    let changes =
        integration.get("update_message").is_some_and(|node| matches!(node.kind, Kind::Bool(true, _)));
    let address = integration.get("api_url").and_then(Node::scalar);
    changes && address == Some("https://slack.com/api/chat.postMessage")
}

fn receive(request: &Request<'_>) -> Answer {
    let by_api = request.headers.contains_key(header::AUTHORIZATION) || request.rest.contains("chat.");
    let refuse = |why: &str| {
        Answer::aside(if by_api {
            json_reply(StatusCode::OK, json!({ "ok": false, "error": why }))
        } else {
            text_reply(StatusCode::BAD_REQUEST, why)
        })
    };
    let Some(value) = request.json() else { return refuse("invalid_payload") };
    let message = post(&value);
    if message.title.is_empty() && message.text.is_empty() {
        return refuse("no_text");
    }
    let reply = if by_api {
        let sent = format!("{}.{:06}", request.now, request.number % 1_000_000);
        json_reply(StatusCode::OK, json!({ "ok": true, "channel": message.to, "ts": sent, "message": value }))
    } else {
        text_reply(StatusCode::OK, "ok")
    };
    Answer::delivered(message, reply)
}

/// A message with attachments, as several vendors took it over.
pub(super) fn post(value: &Value) -> Message {
    let attachments = value.get("attachments").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut parts = vec![at(value, "/text")];
    for attachment in attachments {
        parts.extend(["/pretext", "/text"].map(|pointer| at(attachment, pointer)));
        let fields = attachment.get("fields").and_then(Value::as_array);
        parts.extend(
            fields
                .into_iter()
                .flatten()
                .map(|field| format!("{}: {}", at(field, "/title"), at(field, "/value"))),
        );
    }
    let first = attachments.first().unwrap_or(&Value::Null);
    let status = match at(first, "/color").as_str() {
        "danger" | "red" => Some(Status::Firing),
        "good" | "green" => Some(Status::Resolved),
        _ => None,
    };
    Message {
        told: status,
        to: Some(at(value, "/channel")),
        title: at(first, "/title"),
        text: lines(parts.iter().map(String::as_str)),
        ..message(value)
    }
    .listed()
}
