//! PagerDuty: events of version 2, and of version 1 for those who still have a service key.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Address, Credential, Vendor, Way, no_tail, nothing, webhook};
use crate::sink::delivery::{Alert, Status};
use crate::sink::listing;
use crate::sink::message::Message;
use crate::sink::request::{Answer, Request, at, json_reply, lines, message};
use crate::yaml::Node;

pub(super) const VENDOR: Vendor = Vendor {
    name: "pagerduty",
    section: "pagerduty_configs",
    way: Way::UrlOrProxy(
        Address { key: "url", global: Some("pagerduty_url"), built_in: true, tail: no_tail, by_token: None },
        first_version,
    ),
    needs: &[&[Credential::own("routing_key"), Credential::own("service_key")]],
    also: nothing,
    receive,
};

/// Events of version 1 go to an address in Alertmanager's code.
fn first_version(integration: &Node) -> bool {
    ["service_key", "service_key_file"].iter().any(|key| integration.get(key).is_some())
}

fn receive(request: &Request<'_>) -> Answer {
    let Some(value) = request.json() else {
        return refuse("Event object is invalid", &["the body is no JSON"]);
    };
    // Alertmanager sends the fields of both versions, those of the other empty.
    let second = at(&value, "/event_type").is_empty();
    let (action, key) =
        if second { ("/event_action", "/dedup_key") } else { ("/event_type", "/incident_key") };
    let status = match at(&value, action).as_str() {
        "trigger" => Status::Firing,
        "resolve" => Status::Resolved,
        _ => {
            return refuse(
                "Event object is invalid",
                &["'event_action' must be one of trigger, acknowledge, resolve"],
            );
        }
    };
    let (title, details, account) = if second {
        ("/payload/summary", "/payload/custom_details", "/routing_key")
    } else {
        ("/description", "/details", "/service_key")
    };
    if at(&value, account).is_empty() {
        return refuse("Event object is invalid", &["'routing_key' is missing or blank"]);
    }
    let key = at(&value, key);
    let message = Message {
        told: Some(status),
        vendor_key: Some(key.clone()),
        title: at(&value, title),
        ..details_of(&value, details)
    };
    if second && status == Status::Firing && message.title.is_empty() {
        return refuse("Event object is invalid", &["'payload.summary' is missing or blank"]);
    }
    let (code, name) =
        if second { (StatusCode::ACCEPTED, "dedup_key") } else { (StatusCode::OK, "incident_key") };
    let body = json!({ "status": "success", "message": "Event processed", name: key });
    Answer::delivered(message, json_reply(code, body))
}

fn refuse(why: &str, errors: &[&str]) -> Answer {
    let body = json!({ "status": "invalid event", "message": why, "errors": errors });
    Answer::aside(json_reply(StatusCode::BAD_REQUEST, body))
}

/// The details as lines, and the alerts that Alertmanager lists there: as text, or in newer versions as they are.
fn details_of(value: &Value, pointer: &str) -> Message {
    let details = value.pointer(pointer).and_then(Value::as_object);
    let mut alerts = Vec::new();
    let mut texts = Vec::new();
    for (name, detail) in details.into_iter().flatten() {
        let status = match name.as_str() {
            "firing" => Some(Status::Firing),
            "resolved" => Some(Status::Resolved),
            _ => None,
        };
        if let (Some(_), Value::Array(listed)) = (status, detail) {
            alerts.extend(listed.iter().map(webhook::alert));
            continue;
        }
        let text = detail.as_str().map_or_else(|| detail.to_string(), str::to_owned);
        if let Some(status) = status {
            alerts.extend(listing::read(&text).into_iter().map(|alert| Alert { status, ..alert }));
        }
        if !text.trim().is_empty() {
            texts.push(format!("{name}: {}", text.trim()));
        }
    }
    Message { text: lines(texts.iter().map(String::as_str)), alerts, ..message(value) }
}
