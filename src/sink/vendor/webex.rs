//! Webex: a message in a room.

use http::{StatusCode, header};
use serde_json::json;

use super::{Address, Vendor, Way, no_tail, nothing};
use crate::sink::message::Message;
use crate::sink::request::{Answer, Request, at, json_reply, message};

pub(super) const VENDOR: Vendor = Vendor {
    name: "webex",
    section: "webex_configs",
    way: Way::Url(Address {
        key: "api_url",
        global: Some("webex_api_url"),
        built_in: true,
        tail: no_tail,
        by_token: None,
    }),
    needs: &[],
    also: nothing,
    receive,
};

fn receive(request: &Request<'_>) -> Answer {
    let refuse = |status: StatusCode, why: &str| {
        Answer::aside(json_reply(status, json!({ "message": why, "trackingId": request.id() })))
    };
    if !request.headers.contains_key(header::AUTHORIZATION) {
        return refuse(
            StatusCode::UNAUTHORIZED,
            "The request requires a valid access token set in the Authorization request header.",
        );
    }
    let Some(value) = request.json() else {
        return refuse(StatusCode::BAD_REQUEST, "POST failed: HTTP/1.1 400 Bad Request (invalid JSON)");
    };
    let (text, room) = (at(&value, "/markdown"), at(&value, "/roomId"));
    if text.is_empty() || room.is_empty() {
        return refuse(
            StatusCode::BAD_REQUEST,
            "Unable to post message to room: \"roomId\" and a text are required",
        );
    }
    let body = json!({ "id": request.id(), "roomId": room, "roomType": "group", "markdown": text });
    let message = Message { to: Some(room), text, ..message(&value) }.listed();
    Answer::delivered(message, json_reply(StatusCode::OK, body))
}
