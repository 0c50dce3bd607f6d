//! WeChat Work: a token is fetched first, then the message sent with it.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Address, Credential, Vendor, Way, no_tail, nothing};
use crate::sink::message::Message;
use crate::sink::request::{Answer, Request, at, json_reply, message, not_found};

pub(super) const VENDOR: Vendor = Vendor {
    name: "wechat",
    section: "wechat_configs",
    way: Way::Url(Address {
        key: "api_url",
        global: Some("wechat_api_url"),
        built_in: true,
        tail: no_tail,
        by_token: None,
    }),
    needs: &[
        &[Credential::shared("api_secret", "wechat_api_secret")],
        &[Credential::shared("corp_id", "wechat_api_corp_id")],
    ],
    also: nothing,
    receive,
};

/// What the token is worth is not asked: it is ours.
const TOKEN: &str = "firedrill";

fn receive(request: &Request<'_>) -> Answer {
    let say = |code: u32, why: &str| json_reply(StatusCode::OK, json!({ "errcode": code, "errmsg": why }));
    if request.rest.ends_with("/gettoken") {
        let body = json!({ "errcode": 0, "errmsg": "ok", "access_token": TOKEN, "expires_in": 7200 });
        return Answer::aside(json_reply(StatusCode::OK, body));
    }
    if !request.rest.ends_with("/message/send") {
        return not_found(request);
    }
    if request.form().value("access_token") != TOKEN {
        return Answer::aside(say(40014, "invalid access_token"));
    }
    let Some(value) = request.json() else { return Answer::aside(say(47001, "data format error")) };
    let text = at(&value, &format!("/{}/content", at(&value, "/msgtype")));
    if text.trim().is_empty() {
        return Answer::aside(say(44004, "content size out of limit: empty content"));
    }
    let to = ["touser", "toparty", "totag"]
        .map(|field| value.get(field).and_then(Value::as_str).unwrap_or_default());
    let message = Message {
        to: to.into_iter().find(|to| !to.is_empty()).map(str::to_owned),
        // There is no title; the first line of the default template is one.
        title: text.trim().lines().next().unwrap_or_default().trim().to_owned(),
        text: text.trim().to_owned(),
        ..message(&value)
    };
    Answer::delivered(message.listed(), say(0, "ok"))
}
