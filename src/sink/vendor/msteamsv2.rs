//! Microsoft Teams by a flow: an adaptive card, accepted and not yet shown.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Address, Vendor, Way, no_tail, nothing};
use crate::sink::delivery::Status;
use crate::sink::message::Message;
use crate::sink::request::{Answer, Request, at, bare_reply, json_reply, lines, message};

pub(super) const VENDOR: Vendor = Vendor {
    name: "msteamsv2",
    section: "msteamsv2_configs",
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

fn receive(request: &Request<'_>) -> Answer {
    let card = request.json().filter(|value| value.pointer("/attachments/0/content").is_some());
    let Some(value) = card else {
        let body = json!({ "error": { "code": "InvalidRequestContent", "message": "no adaptive card in the body" } });
        return Answer::aside(json_reply(StatusCode::BAD_REQUEST, body));
    };
    Answer::delivered(read(&value), bare_reply(StatusCode::ACCEPTED))
}

fn read(value: &Value) -> Message {
    let body = value.pointer("/attachments/0/content/body").and_then(Value::as_array);
    let blocks = body.map_or(&[][..], Vec::as_slice);
    let status = match blocks.first().map(|block| at(block, "/color").to_ascii_lowercase()).as_deref() {
        Some("attention") => Some(Status::Firing),
        Some("good") => Some(Status::Resolved),
        Some(_) | None => None,
    };
    let texts: Vec<_> = blocks.iter().map(|block| at(block, "/text")).collect();
    let (title, text) =
        texts.split_first().map_or((String::new(), &[][..]), |(title, text)| (title.clone(), text));
    Message { told: status, title, text: lines(text.iter().map(String::as_str)), ..message(value) }.listed()
}
