//! incident.io: the payload of a webhook, sent with a token.

use http::StatusCode;
use serde_json::json;

use super::{Address, Vendor, Way, no_tail, nothing, webhook};
use crate::sink::request::{Answer, Request, json_reply};

pub(super) const VENDOR: Vendor = Vendor {
    name: "incidentio",
    section: "incidentio_configs",
    way: Way::Url(Address { key: "url", global: None, built_in: false, tail: no_tail, by_token: None }),
    needs: &[],
    also: nothing,
    receive,
};

fn receive(request: &Request<'_>) -> Answer {
    let Some(value) = request.json() else {
        return Answer::aside(json_reply(
            StatusCode::BAD_REQUEST,
            json!({ "message": "the body is no JSON" }),
        ));
    };
    let message = webhook::group(&value);
    let body = json!({
        "deduplication_key": message.vendor_key,
        "message": "Event accepted for processing",
        "status": "success",
    });
    Answer::delivered(message, json_reply(StatusCode::ACCEPTED, body))
}
