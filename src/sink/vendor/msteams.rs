//! Microsoft Teams by a connector: a card, answered with `1`.

use http::StatusCode;
use serde_json::Value;

use super::{Address, Vendor, Way, no_tail, nothing};
use crate::sink::delivery::Status;
use crate::sink::message::Message;
use crate::sink::request::{Answer, Request, at, message, text_reply};

pub(super) const VENDOR: Vendor = Vendor {
    name: "msteams",
    section: "msteams_configs",
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
    let Some(value) = request.json() else {
        return Answer::aside(text_reply(
            StatusCode::BAD_REQUEST,
            "Bad payload received by generic incoming webhook.",
        ));
    };
    let message = read(&value);
    if message.title.is_empty() && message.text.is_empty() {
        return Answer::aside(text_reply(StatusCode::BAD_REQUEST, "Summary or Text is required."));
    }
    Answer::delivered(message, text_reply(StatusCode::OK, "1"))
}

fn read(value: &Value) -> Message {
    let status = match at(value, "/themeColor").as_str() {
        "8C1A1A" => Some(Status::Firing),
        "2DC72D" => Some(Status::Resolved),
        _ => None,
    };
    let title = match at(value, "/title") {
        title if title.is_empty() => at(value, "/summary"),
        title => title,
    };
    Message { told: status, title, text: at(value, "/text"), ..message(value) }.listed()
}
