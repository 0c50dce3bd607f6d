use http::{HeaderMap, Method};
use http_body_util::BodyExt as _;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::sink::delivery::{Alert, Delivery, Key, Status};
use crate::sink::line::Line;

/// Asks a vendor as Alertmanager does and returns the answer as text, and the delivery where there was one.
async fn ask(memory: &Memory, kind: Kind, asked: &str, body: &str) -> (String, Option<Delivery>) {
    let (method, target) = asked.split_once(' ').unwrap();
    let (rest, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = HeaderMap::new();
    for name in ["x-auth-token", "x-user-id"].into_iter().filter(|_| kind == Kind::Rocketchat) {
        headers.insert(name, "firedrill".parse().unwrap());
    }
    if kind == Kind::Webex {
        headers.insert("authorization", "Bearer firedrill".parse().unwrap());
    }
    let line = Line { receiver: Some("team".to_owned()), kind, index: 0 };
    let answer = (kind.vendor().receive)(&Request {
        line: &line,
        method: &method.parse::<Method>().unwrap(),
        rest,
        query,
        headers: &headers,
        body: body.as_bytes(),
        number: 7,
        now: 1_800_000_000,
        memory,
    });
    let (head, reply) = answer.reply.into_parts();
    let reply = reply.collect().await.unwrap().to_bytes();
    let said = format!("{} {}", head.status.as_u16(), String::from_utf8_lossy(&reply));
    (said, answer.message.map(|message| Delivery::new(&line, message, body.as_bytes())))
}

#[rstest]
#[case::slack(Kind::Slack, "POST ", json!({"text": "x"}), "200 ok")]
#[case::slack_api(
    Kind::Slack,
    "POST /chat.postMessage",
    json!({"channel": "c", "text": "x"}),
    r#"200 {"channel":"c","message":{"channel":"c","text":"x"},"ok":true,"ts":"1800000000.000007"}"#
)]
#[case::slack_empty(Kind::Slack, "POST ", json!({}), "400 no_text")]
#[case::mattermost(Kind::Mattermost, "POST ", json!({"text": "x"}), "200 ok")]
#[case::msteams(Kind::Msteams, "POST ", json!({"text": "x"}), "200 1")]
#[case::msteamsv2(Kind::Msteamsv2, "POST ", json!({"attachments": [{"content": {"body": [{"text": "x"}]}}]}), "202 ")]
#[case::discord(Kind::Discord, "POST ", json!({"content": "x"}), "204 ")]
#[case::discord_empty(Kind::Discord, "POST ", json!({}), r#"400 {"code":50006,"message":"Cannot send an empty message"}"#)]
#[case::victorops(
    Kind::Victorops,
    "POST /key/team",
    json!({"message_type": "CRITICAL", "entity_id": "e"}),
    r#"200 {"entity_id":"e","result":"success"}"#
)]
#[case::pagerduty(
    Kind::Pagerduty,
    "POST /v2/enqueue",
    json!({"routing_key": "k", "event_action": "resolve", "dedup_key": "d"}),
    r#"202 {"dedup_key":"d","message":"Event processed","status":"success"}"#
)]
#[case::pagerduty_1(
    Kind::Pagerduty,
    "POST /generic/2010-04-15/create_event.json",
    json!({"service_key": "k", "event_type": "trigger", "incident_key": "d", "event_action": ""}),
    r#"200 {"incident_key":"d","message":"Event processed","status":"success"}"#
)]
#[case::pagerduty_keyless(
    Kind::Pagerduty,
    "POST /v2/enqueue",
    json!({"event_action": "trigger"}),
    r#"400 {"errors":["'routing_key' is missing or blank"],"message":"Event object is invalid","status":"invalid event"}"#
)]
#[case::opsgenie(
    Kind::Opsgenie,
    "POST /v2/alerts",
    json!({"alias": "a", "message": "m"}),
    r#"202 {"requestId":"f12ed1e1-0000-4000-8000-000000000007","result":"Request will be processed","took":0.01}"#
)]
#[case::telegram(
    Kind::Telegram,
    "POST /bot1:t/sendMessage",
    json!({"chat_id": "-5", "text": "x"}),
    r#"200 {"ok":true,"result":{"chat":{"id":-5,"title":"firedrill","type":"group"},"date":1800000000,"from":{"first_name":"firedrill","id":1,"is_bot":true,"username":"firedrill_bot"},"message_id":7,"text":"x"}}"#
)]
#[case::telegram_empty(
    Kind::Telegram,
    "POST /bot1:t/sendMessage",
    json!({"chat_id": "-5", "text": " "}),
    r#"400 {"description":"Bad Request: message text is empty","error_code":400,"ok":false}"#
)]
#[case::rocketchat(
    Kind::Rocketchat,
    "POST /api/v1/chat.postMessage",
    json!({"channel": "c", "text": "x"}),
    r#"200 {"channel":"c","message":{"_id":"f12ed1e1-0000-4000-8000-000000000007","attachments":null,"msg":"x"},"success":true,"ts":1800000000000}"#
)]
#[case::wechat_token(
    Kind::Wechat,
    "GET /gettoken?corpid=c&corpsecret=s",
    json!(null),
    r#"200 {"access_token":"firedrill","errcode":0,"errmsg":"ok","expires_in":7200}"#
)]
#[case::wechat(
    Kind::Wechat,
    "POST /message/send?access_token=firedrill",
    json!({"msgtype": "text", "text": {"content": "x"}}),
    r#"200 {"errcode":0,"errmsg":"ok"}"#
)]
#[case::incidentio(
    Kind::Incidentio,
    "POST ",
    json!({"groupKey": "g", "status": "firing"}),
    r#"202 {"deduplication_key":"g","message":"Event accepted for processing","status":"success"}"#
)]
#[case::webhook(Kind::Webhook, "POST ", json!({}), "200 ")]
#[case::elsewhere(
    Kind::Opsgenie,
    "GET /v1/teams",
    json!({}),
    r#"404 {"error":"`GET /v1/teams` is nothing that opsgenie is asked"}"#
)]
#[tokio::test]
async fn a_vendor_answers_as_it_does(
    #[case] kind: Kind,
    #[case] asked: &str,
    #[case] body: Value,
    #[case] answer: &str,
) {
    assert_eq!(ask(&Memory::default(), kind, asked, &body.to_string()).await.0, answer);
}

#[tokio::test]
async fn every_vendor_survives_what_is_no_payload() {
    for kind in Kind::ALL {
        for body in [
            "",
            "[]",
            "null",
            "{\"alerts\":3,\"attachments\":[[]],\"embeds\":{}}",
            "\u{0}=%FF&&=",
            "{\"text\":",
        ] {
            for path in [
                "",
                "/v2/alerts",
                "/v2/alerts//close",
                "/message/send",
                "/rest/api/2/issue/FIRE-9/transitions",
                "/bot/sendMessage",
            ] {
                let (said, _) = ask(&Memory::default(), *kind, &format!("POST {path}"), body).await;
                assert!(said.starts_with(['2', '4']), "{kind} answers {said}");
            }
        }
    }
}

#[tokio::test]
async fn sns_takes_a_form_and_answers_in_xml() {
    let form = "Action=Publish&Message=Alerts+Firing%3A%0ALabels%3A%0A+-+alertname+%3D+Down%0A&Subject=s&TopicArn=arn&Version=2010-03-31";
    let (said, delivery) = ask(&Memory::default(), Kind::Sns, "POST /", form).await;
    assert_eq!(
        said,
        "200 <PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult><MessageId>\
         f12ed1e1-0000-4000-8000-000000000007</MessageId></PublishResult><ResponseMetadata><RequestId>\
         f12ed1e1-0000-4000-8000-000000000007</RequestId></ResponseMetadata></PublishResponse>"
    );
    let delivery = delivery.unwrap();
    assert_eq!((delivery.to.as_deref(), delivery.title.as_str()), (Some("arn"), "s"));
    let alert = Alert {
        status: Status::Firing,
        labels: [("alertname".to_owned(), "Down".to_owned())].into(),
        annotations: [].into(),
    };
    assert_eq!(delivery.alerts, [alert]);
}

#[tokio::test]
async fn an_issue_is_opened_found_changed_and_closed() {
    let memory = Memory::default();
    let base = "/tResolve~20it/tReopen/rest/api/2";
    let ask = async |asked: &str, body: Value| ask(&memory, Kind::Jira, asked, &body.to_string()).await;
    let search = json!({"jql": "statusCategory != Done and project=\"P\" and labels=\"ALERT{x}\" order by status ASC"});
    let issue = json!({"fields": {
        "project": {"key": "P"}, "summary": "[FIRING:1] Down", "description": "d", "labels": ["ALERT{x}"],
    }});
    let asked = async |method: &str, path: &str, body: &Value| {
        ask(&format!("{method} {base}/{path}"), body.clone()).await
    };
    assert_eq!(asked("POST", "search", &search).await.0, r#"200 {"issues":[]}"#);
    let (_, opened) = asked("POST", "issue", &issue).await;
    let found = r#"200 {"issues":[{"fields":{"status":{"name":"To Do","statusCategory":{"key":"new"}}},"id":"1","key":"FIRE-1"}]}"#;
    assert_eq!(asked("POST", "search", &search).await.0, found);
    let mut last = issue.clone();
    last["fields"]["summary"] = "[RESOLVED] Down".into();
    let (said, changed) = asked("PUT", "issue/FIRE-1", &last).await;
    assert_eq!((said.as_str(), changed.unwrap().status), ("204 ", Status::Resolved));
    let transitions = r#"200 {"transitions":[{"id":"1","name":"Resolve it"},{"id":"2","name":"Reopen"}]}"#;
    assert_eq!(asked("GET", "issue/FIRE-1/transitions", &Value::Null).await.0, transitions);
    let (_, closed) = asked("POST", "issue/FIRE-1/transitions", &json!({"transition": {"id": "1"}})).await;
    assert_eq!(asked("POST", "search", &search).await.0, r#"200 {"issues":[]}"#);
    let (opened, closed) = (opened.unwrap(), closed.unwrap());
    assert_eq!((opened.status, closed.status), (Status::Firing, Status::Resolved));
    assert_eq!(opened.key, Key::Vendor("ALERT{x}".to_owned()));
    assert!(closed.pairs_with(&opened) && closed.problems.is_empty());
}

#[tokio::test]
async fn pagerduty_is_told_alerts_as_they_are() {
    let body = json!({
        "routing_key": "k", "event_action": "trigger", "dedup_key": "d",
        "payload": { "summary": "Down", "custom_details": {
            "firing": [{ "status": "firing", "labels": { "alertname": "Down" }, "annotations": { "summary": "s" } }],
            "num_firing": 1, "num_resolved": 0, "resolved": [],
        } },
    });
    let (_, delivery) = ask(&Memory::default(), Kind::Pagerduty, "POST /v2/enqueue", &body.to_string()).await;
    let delivery = delivery.unwrap();
    let alert = Alert {
        status: Status::Firing,
        labels: [("alertname".to_owned(), "Down".to_owned())].into(),
        annotations: [("summary".to_owned(), "s".to_owned())].into(),
    };
    assert_eq!((delivery.text.as_str(), delivery.alerts), ("num_firing: 1\nnum_resolved: 0", vec![alert]));
}
