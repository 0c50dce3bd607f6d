//! Pushover: a form, at an address that Alertmanager has in its code.

use http::StatusCode;
use serde_json::json;

use super::{Credential, Vendor, Way, nothing};
use crate::sink::html;
use crate::sink::message::Message;
use crate::sink::request::{Answer, Request, json_reply};

pub(super) const VENDOR: Vendor = Vendor {
    name: "pushover",
    section: "pushover_configs",
    way: Way::Proxy,
    needs: &[&[Credential::own("user_key")], &[Credential::own("token")]],
    also: nothing,
    receive,
};

fn receive(request: &Request<'_>) -> Answer {
    let form = request.form();
    for field in ["token", "user", "message"] {
        if form.value(field).trim().is_empty() {
            let why = format!("{field} cannot be blank");
            let body =
                json!({ field: "cannot be blank", "errors": [why], "status": 0, "request": request.id() });
            return Answer::aside(json_reply(StatusCode::BAD_REQUEST, body));
        }
    }
    let text = form.value("message");
    let text = if form.value("html") == "1" { html::text(text) } else { text.to_owned() };
    let message = Message {
        to: Some(form.value("device").to_owned()),
        title: form.value("title").to_owned(),
        text: text.trim().to_owned(),
        texts: form.texts(),
        ..Message::default()
    };
    let body = json!({ "status": 1, "request": request.id() });
    Answer::delivered(message.listed(), json_reply(StatusCode::OK, body))
}
