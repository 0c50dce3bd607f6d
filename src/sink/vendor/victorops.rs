//! VictorOps: an entity is critical, and recovers.

use http::StatusCode;
use serde_json::json;

use super::{Address, Credential, Vendor, Way, no_tail, nothing};
use crate::sink::delivery::Status;
use crate::sink::message::Message;
use crate::sink::request::{Answer, Request, at, json_reply, message};

pub(super) const VENDOR: Vendor = Vendor {
    name: "victorops",
    section: "victorops_configs",
    way: Way::Url(Address {
        key: "api_url",
        global: Some("victorops_api_url"),
        built_in: true,
        tail: no_tail,
        by_token: None,
    }),
    needs: &[&[Credential::shared("api_key", "victorops_api_key")]],
    also: nothing,
    receive,
};

fn receive(request: &Request<'_>) -> Answer {
    let refuse = |why: &str| {
        Answer::aside(json_reply(StatusCode::BAD_REQUEST, json!({ "result": "failure", "message": why })))
    };
    let Some(value) = request.json() else { return refuse("the body is no JSON") };
    let status = match at(&value, "/message_type").as_str() {
        "CRITICAL" | "WARNING" | "INFO" | "ACKNOWLEDGEMENT" => Status::Firing,
        "RECOVERY" => Status::Resolved,
        _ => return refuse("message_type must be one of CRITICAL, WARNING, ACKNOWLEDGEMENT, INFO, RECOVERY"),
    };
    let entity = at(&value, "/entity_id");
    let message = Message {
        told: Some(status),
        vendor_key: Some(entity.clone()),
        // The last of the path is the routing key, which chooses the team.
        to: request.rest.rsplit('/').next().map(str::to_owned),
        title: at(&value, "/entity_display_name"),
        text: at(&value, "/state_message").trim().to_owned(),
        ..message(&value)
    };
    let body = json!({ "result": "success", "entity_id": entity });
    Answer::delivered(message.listed(), json_reply(StatusCode::OK, body))
}
