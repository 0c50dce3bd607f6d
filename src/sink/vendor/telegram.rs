//! A Telegram bot. Its answer carries the message that was sent; without it Alertmanager crashes.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Address, Credential, Vendor, Way, no_tail, nothing};
use crate::sink::html;
use crate::sink::message::Message;
use crate::sink::request::{Answer, Request, at, json_reply, message};

pub(super) const VENDOR: Vendor = Vendor {
    name: "telegram",
    section: "telegram_configs",
    way: Way::Url(Address {
        key: "api_url",
        global: Some("telegram_api_url"),
        built_in: true,
        tail: no_tail,
        by_token: None,
    }),
    needs: &[&[Credential::shared("bot_token", "telegram_bot_token")]],
    also: nothing,
    receive,
};

fn receive(request: &Request<'_>) -> Answer {
    let refuse = |status: StatusCode, why: &str| {
        let body = json!({ "ok": false, "error_code": status.as_u16(), "description": why });
        Answer::aside(json_reply(status, body))
    };
    let bot = json!({ "id": 1, "is_bot": true, "first_name": "firedrill", "username": "firedrill_bot" });
    if request.rest.ends_with("/getMe") {
        return Answer::aside(json_reply(StatusCode::OK, json!({ "ok": true, "result": bot })));
    }
    if !request.rest.ends_with("/sendMessage") {
        return refuse(StatusCode::NOT_FOUND, "Not Found");
    }
    let Some(value) = request.json() else { return refuse(StatusCode::BAD_REQUEST, "Bad Request: no JSON") };
    let (text, chat) = (at(&value, "/text"), at(&value, "/chat_id"));
    if text.trim().is_empty() {
        return refuse(StatusCode::BAD_REQUEST, "Bad Request: message text is empty");
    }
    let body = json!({ "ok": true, "result": {
        "message_id": request.number,
        "from": bot,
        // A channel is known by its name, too, but always has a number.
        "chat": { "id": chat.parse().unwrap_or(1_i64), "type": "group", "title": "firedrill" },
        "date": request.now,
        "text": text,
    } });
    Answer::delivered(read(&value, &text, chat), json_reply(StatusCode::OK, body))
}

fn read(value: &Value, text: &str, chat: String) -> Message {
    let shown = if at(value, "/parse_mode").eq_ignore_ascii_case("HTML") {
        html::unescape(text)
    } else {
        text.to_owned()
    };
    Message { to: Some(chat), text: shown.trim().to_owned(), ..message(value) }.listed()
}
