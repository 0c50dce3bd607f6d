//! A program of one's own, which is sent everything Alertmanager knows.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::Value;

use super::{Address, Vendor, Way, no_tail, nothing};
use crate::sink::delivery::{Alert, Status};
use crate::sink::message::Message;
use crate::sink::request::{Answer, Request, at, bare_reply, message, text_reply};

pub(super) const VENDOR: Vendor = Vendor {
    name: "webhook",
    section: "webhook_configs",
    way: Way::Url(Address { key: "url", global: None, built_in: false, tail: no_tail, by_token: None }),
    needs: &[],
    also: nothing,
    receive,
};

fn receive(request: &Request<'_>) -> Answer {
    match request.json() {
        Some(value) => Answer::delivered(group(&value), bare_reply(StatusCode::OK)),
        None => Answer::aside(text_reply(StatusCode::BAD_REQUEST, "the body is no JSON\n")),
    }
}

/// Alertmanager's own description of a group of alerts.
pub(super) fn group(value: &Value) -> Message {
    let alerts = value.get("alerts").and_then(Value::as_array);
    let alerts: Vec<_> = alerts.into_iter().flatten().map(alert).collect();
    let name = |alert: &Alert| alert.labels.get("alertname").cloned().unwrap_or_default();
    let mut names: Vec<_> = alerts.iter().map(name).collect();
    names.dedup();
    Message {
        told: status(value),
        vendor_key: Some(at(value, "/groupKey")),
        // The payload has no title of its own; this is what it is about.
        title: names.join(" "),
        text: at(value, "/commonAnnotations/summary"),
        alerts,
        ..message(value)
    }
}

/// One alert of a group.
pub(super) fn alert(value: &Value) -> Alert {
    let pairs = |key: &str| -> BTreeMap<String, String> {
        let entries = value.get(key).and_then(Value::as_object);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        entries.into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect()
    };
    Alert {
        status: status(value).unwrap_or(Status::Unsaid),
        labels: pairs("labels"),
        annotations: pairs("annotations"),
    }
}

fn status(value: &Value) -> Option<Status> {
    match value.get("status")?.as_str()? {
        "firing" => Some(Status::Firing),
        "resolved" => Some(Status::Resolved),
        _ => None,
    }
}
