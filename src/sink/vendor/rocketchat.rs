//! Rocket.Chat: `chat.postMessage` of its API, with a token in the headers.

use http::StatusCode;
use serde_json::json;

use super::{Address, Credential, Vendor, Way, no_tail, nothing, slack};
use crate::sink::request::{Answer, Request, json_reply, not_found};

pub(super) const VENDOR: Vendor = Vendor {
    name: "rocketchat",
    section: "rocketchat_configs",
    way: Way::Url(Address {
        key: "api_url",
        global: Some("rocketchat_api_url"),
        built_in: true,
        tail: no_tail,
        by_token: None,
    }),
    needs: &[
        &[Credential::shared("token", "rocketchat_token")],
        &[Credential::shared("token_id", "rocketchat_token_id")],
    ],
    also: nothing,
    receive,
};

fn receive(request: &Request<'_>) -> Answer {
    if !request.rest.ends_with("/api/v1/chat.postMessage") {
        return not_found(request);
    }
    let refuse = |why: &str| {
        Answer::aside(json_reply(StatusCode::BAD_REQUEST, json!({ "success": false, "error": why })))
    };
    if !request.headers.contains_key("x-auth-token") || !request.headers.contains_key("x-user-id") {
        let body = json!({ "status": "error", "message": "You must be logged in to do this." });
        return Answer::aside(json_reply(StatusCode::UNAUTHORIZED, body));
    }
    let Some(value) = request.json() else { return refuse("Invalid JSON") };
    let message = slack::post(&value);
    let body = json!({
        "ts": request.now.saturating_mul(1000),
        "channel": message.to,
        "message": { "_id": request.id(), "msg": message.text, "attachments": value.get("attachments") },
        "success": true,
    });
    Answer::delivered(message, json_reply(StatusCode::OK, body))
}
