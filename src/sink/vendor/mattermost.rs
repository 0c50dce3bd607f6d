//! Mattermost: Slack's incoming webhook, as it took it over.

use http::StatusCode;
use serde_json::json;

use super::{Address, Vendor, Way, no_tail, nothing, slack};
use crate::sink::request::{Answer, Request, json_reply, text_reply};

pub(super) const VENDOR: Vendor = Vendor {
    name: "mattermost",
    section: "mattermost_configs",
    way: Way::Url(Address {
        key: "webhook_url",
        global: Some("mattermost_webhook_url"),
        built_in: false,
        tail: no_tail,
        by_token: None,
    }),
    needs: &[],
    also: nothing,
    receive,
};

fn receive(request: &Request<'_>) -> Answer {
    let refuse = |why: &str| {
        let body = json!({ "id": "web.incoming_webhook.text.app_error", "message": why, "status_code": 400 });
        Answer::aside(json_reply(StatusCode::BAD_REQUEST, body))
    };
    let Some(value) = request.json() else { return refuse("Unable to parse incoming data") };
    let message = slack::post(&value);
    if message.title.is_empty() && message.text.is_empty() {
        return refuse("No text specified");
    }
    Answer::delivered(message, text_reply(StatusCode::OK, "ok"))
}
