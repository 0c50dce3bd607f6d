//! Discord: a webhook that answers with nothing when all is well.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Address, Vendor, Way, no_tail, nothing};
use crate::sink::delivery::Status;
use crate::sink::message::Message;
use crate::sink::request::{Answer, Request, at, bare_reply, json_reply, lines, message};

pub(super) const VENDOR: Vendor = Vendor {
    name: "discord",
    section: "discord_configs",
    way: Way::Url(Address {
        key: "webhook_url",
        global: None,
        built_in: false,
        tail: no_tail,
        by_token: None,
    }),
    needs: &[],
    also: nothing,
    receive,
};

/// The colours that Alertmanager gives embeds.
const RED: u64 = 0x0099_2D22;
const GREEN: u64 = 0x002E_CC71;

fn receive(request: &Request<'_>) -> Answer {
    let refuse = |why: &str, code: u32| {
        Answer::aside(json_reply(StatusCode::BAD_REQUEST, json!({ "message": why, "code": code })))
    };
    let Some(value) = request.json() else { return refuse("The request body contains invalid JSON.", 50109) };
    let message = read(&value);
    if message.title.is_empty() && message.text.is_empty() {
        return refuse("Cannot send an empty message", 50006);
    }
    Answer::delivered(message, bare_reply(StatusCode::NO_CONTENT))
}

fn read(value: &Value) -> Message {
    let embed = value.pointer("/embeds/0").unwrap_or(&Value::Null);
    let status = match embed.get("color").and_then(Value::as_u64) {
        Some(RED) => Some(Status::Firing),
        Some(GREEN) => Some(Status::Resolved),
        Some(_) | None => None,
    };
    let text = [at(value, "/content"), at(embed, "/description")];
    Message {
        told: status,
        title: at(embed, "/title"),
        text: lines(text.iter().map(String::as_str)),
        ..message(value)
    }
    .listed()
}
