//! Opsgenie: an alert is made under an alias, changed, and closed by it.

use http::{Method, StatusCode};
use serde_json::json;

use super::{Address, Credential, Vendor, Way, no_tail, nothing};
use crate::sink::delivery::Status;
use crate::sink::message::Message;
use crate::sink::request::{Answer, Reply, Request, at, json_reply, message, not_found};

pub(super) const VENDOR: Vendor = Vendor {
    name: "opsgenie",
    section: "opsgenie_configs",
    way: Way::Url(Address {
        key: "api_url",
        global: Some("opsgenie_api_url"),
        built_in: true,
        tail: no_tail,
        by_token: None,
    }),
    needs: &[&[Credential::shared("api_key", "opsgenie_api_key")]],
    also: nothing,
    receive,
};

fn receive(request: &Request<'_>) -> Answer {
    let Some((_, path)) = request.rest.split_once("/v2/alerts") else { return not_found(request) };
    let Some(value) = request.json() else { return refuse(request, "Request body is not processable.") };
    let mut segments = path.split('/').skip(1);
    match (request.method, segments.next(), segments.next()) {
        (&Method::POST, None, _) => {
            let message = Message {
                told: Some(Status::Firing),
                vendor_key: Some(at(&value, "/alias")),
                title: at(&value, "/message"),
                text: at(&value, "/description").trim().to_owned(),
                ..message(&value)
            };
            if message.title.is_empty() {
                return refuse(request, "Request body is not processable. Message can not be empty.");
            }
            Answer::delivered(message.listed(), accepted(request))
        }
        (&Method::POST, Some(alias), Some("close")) => {
            let message = Message {
                told: Some(Status::Resolved),
                vendor_key: Some(alias.to_owned()),
                wordless: true,
                ..message(&value)
            };
            Answer::delivered(message, accepted(request))
        }
        // Text of an alert that is there already.
        (&Method::PUT, Some(_), Some("message" | "description")) => Answer::aside(accepted(request)),
        _ => not_found(request),
    }
}

fn accepted(request: &Request<'_>) -> Reply {
    let body = json!({ "result": "Request will be processed", "took": 0.01, "requestId": request.id() });
    json_reply(StatusCode::ACCEPTED, body)
}

fn refuse(request: &Request<'_>, why: &str) -> Answer {
    let body = json!({ "message": why, "took": 0.0, "requestId": request.id() });
    Answer::aside(json_reply(StatusCode::UNPROCESSABLE_ENTITY, body))
}
