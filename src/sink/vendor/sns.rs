//! Amazon SNS: the query API, a form that is answered in XML; who signed it is not asked.

use http::StatusCode;

use super::{Address, DUMMY, Vendor, Way, no_tail};
use crate::sink::message::Message;
use crate::sink::request::{Answer, Reply, Request, reply};
use crate::yaml::{Kind, Node};

pub(super) const VENDOR: Vendor = Vendor {
    name: "sns",
    section: "sns_configs",
    way: Way::Url(Address { key: "api_url", global: None, built_in: true, tail: no_tail, by_token: None }),
    needs: &[],
    also: sign_as_nobody,
    receive,
};

/// Requests are signed by keys that open nothing, and nobody is asked for others: a role is taken on, and a profile or
/// the keys of a machine looked up, at addresses that are not the sink's.
fn sign_as_nobody(integration: &mut Node) {
    let region = integration.get("sigv4").and_then(|sigv4| sigv4.get("region")).and_then(Node::scalar);
    let arn = ["topic_arn", "target_arn"].iter().find_map(|key| integration.get(key)?.scalar());
    let region = region.or_else(|| arn?.split(':').nth(3)).filter(|region| !region.is_empty());
    let region = region.unwrap_or("us-east-1").to_owned();
    integration.set("sigv4", Kind::Map(Vec::new()));
    if let Some(sigv4) = integration.get_mut("sigv4") {
        for (key, value) in [("region", region.as_str()), ("access_key", DUMMY), ("secret_key", DUMMY)] {
            sigv4.set(key, Kind::Text(value.to_owned()));
        }
    }
}

fn receive(request: &Request<'_>) -> Answer {
    let form = request.form();
    if form.value("Action") != "Publish" {
        return refuse(request, "InvalidAction", "only Publish is known here");
    }
    let text = form.value("Message");
    if text.trim().is_empty() {
        return refuse(request, "InvalidParameter", "Invalid parameter: Empty message");
    }
    let to = ["TopicArn", "TargetArn", "PhoneNumber"].map(|field| form.value(field));
    let message = Message {
        // A topic that keeps its order has Alertmanager's key of the group; others have none.
        vendor_key: Some(form.value("MessageGroupId").to_owned()),
        to: to.into_iter().find(|to| !to.is_empty()).map(str::to_owned),
        title: form.value("Subject").to_owned(),
        text: text.trim().to_owned(),
        texts: form.texts(),
        ..Message::default()
    };
    let result = format!("<PublishResult><MessageId>{}</MessageId></PublishResult>", request.id());
    Answer::delivered(message.listed(), answer(request, StatusCode::OK, "PublishResponse", &result))
}

fn answer(request: &Request<'_>, status: StatusCode, name: &str, inner: &str) -> Reply {
    let id = request.id();
    let body = format!(
        "<{name} xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\">{inner}\
         <ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{name}>"
    );
    reply(status, "text/xml", body)
}

fn refuse(request: &Request<'_>, code: &str, why: &str) -> Answer {
    let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{why}</Message></Error>");
    Answer::aside(answer(request, StatusCode::BAD_REQUEST, "ErrorResponse", &error))
}
