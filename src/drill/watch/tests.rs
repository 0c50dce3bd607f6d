use rstest::rstest;
use serde_json::json;

use super::*;
use crate::source::{At, FileId, Sources};

/// The moment the phase began.
fn zero() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn file() -> FileId {
    let mut sources = Sources::default();
    sources.add("drill.yaml", "x")
}

fn expected(reaches: &[&str]) -> Expected {
    let place = file().place(0, 0);
    Expected {
        name: At::new("WebDown".to_owned(), place),
        labels: [("severity".to_owned(), "critical".to_owned())].into(),
        fires: None,
        reaches: reaches.iter().map(|name| At::new((*name).to_owned(), place)).collect(),
        spares: Vec::new(),
        told: None,
        clears: None,
    }
}

/// Prometheus's rules with one alert of `WebDown` in `state`, active since second `active`.
fn rules(alerts: &serde_json::Value, evaluated: u64) -> Groups {
    serde_json::from_value(json!({ "groups": [{
        "name": "web",
        "rules": [{
            "name": "WebDown",
            "query": "up == 0",
            "type": "alerting",
            "state": "inactive",
            "lastEvaluation": format!("2026-01-01T00:00:{evaluated:02}Z"),
            "alerts": alerts,
        }],
    }] }))
    .unwrap()
}

fn alert(state: &str, active: u64) -> serde_json::Value {
    json!([{
        "labels": { "alertname": "WebDown", "severity": "critical", "instance": "web:80" },
        "state": state,
        "activeAt": format!("2026-01-01T00:00:{active:02}Z"),
        "value": "0",
    }])
}

fn held(receivers: &[&str], inhibited: &[&str]) -> Held {
    let receivers: Vec<_> = receivers.iter().map(|name| json!({ "name": name })).collect();
    serde_json::from_value(json!({
        "labels": { "alertname": "WebDown", "severity": "critical" },
        "receivers": receivers,
        "status": { "state": "active", "inhibitedBy": inhibited, "silencedBy": [] },
        "fingerprint": "a",
    }))
    .unwrap()
}

fn message(receiver: &str, at: u64, resolved: bool) -> Message {
    Message {
        receiver: receiver.to_owned(),
        kind: "webhook".to_owned(),
        at: seconds(at),
        resolved,
        alerts: vec![
            [("alertname", "WebDown"), ("severity", "critical")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        ],
        title: String::new(),
        text: String::new(),
        problems: Vec::new(),
    }
}

fn look<'a>(since: u64, groups: &'a Groups, held: &'a [Held], messages: &'a [Message]) -> Look<'a> {
    Look { since: seconds(since), zero: zero(), calm: zero(), groups, held, messages }
}

#[test]
fn an_alert_climbs_by_the_clock_of_prometheus() {
    let mut watched = Watched::new(expected(&["pager"]), true);
    watched.look_up(&look(3, &rules(&alert("pending", 2), 2), &[], &[]));
    watched.look_up(&look(8, &rules(&alert("firing", 2), 7), &[], &[]));
    watched.look_up(&look(9, &rules(&alert("firing", 2), 8), &[held(&["pager"], &[])], &[]));
    watched.look_up(&look(11, &rules(&alert("firing", 2), 10), &[], &[message("pager", 10, false)]));
    let reached: Vec<_> = watched.climb.reached().map(|(rung, at)| (rung, at.as_secs())).collect();
    let wanted = [
        (Rung::Pending, 2),
        (Rung::Firing, 7),
        (Rung::Received, 9),
        (Rung::Routed, 9),
        (Rung::Delivered, 10),
    ];
    assert_eq!(reached, wanted);
}

#[test]
fn what_stops_holding_falls_back_and_says_how_far_it_was() {
    let mut watched = Watched::new(expected(&["pager"]), true);
    watched.look_up(&look(3, &rules(&alert("pending", 2), 2), &[], &[]));
    watched.look_up(&look(6, &rules(&json!([]), 5), &[], &[]));
    assert!(!watched.climb.has(Rung::Pending));
    assert_eq!(watched.interrupted, Some(seconds(4)));
}

#[test]
fn an_alert_with_other_labels_is_another() {
    let other = [("severity".to_owned(), "warning".to_owned())].into();
    let mut watched = Watched::new(Expected { labels: other, ..expected(&[]) }, true);
    watched.look_up(&look(8, &rules(&alert("firing", 2), 7), &[], &[]));
    assert!(watched.loaded);
    assert!(!watched.climb.has(Rung::Firing));
}

/// Its rule has no `for`: what is active fires.
#[rstest]
#[case::before("firing", -30, Some(true))]
#[case::pending_before("pending", -30, Some(false))]
#[case::since("firing", 0, None)]
fn what_was_active_before_the_fault_is_not_raised_by_it(
    #[case] state: &str,
    #[case] active: i64,
    #[case] fired: Option<bool>,
) {
    let at = zero() + jiff::SignedDuration::from_secs(active);
    let mut alerts = alert(state, 2);
    alerts[0]["activeAt"] = json!(at.to_string());
    let groups = rules(&alerts, 7);
    let mut watched = Watched::new(expected(&["pager"]), true);
    let held = [held(&["pager"], &[])];
    let messages = [message("pager", 8, false)];
    let look = look(8, &groups, &held, &messages);
    watched.look_before(&look);
    watched.look_up(&look);
    assert_eq!(watched.early.as_ref().map(|early| early.fired), fired);
    assert_eq!(watched.early.is_some(), watched.climb.reached().next().is_none());
    assert_eq!(watched.early.is_some(), watched.messages.is_empty());
}

#[rstest]
#[case::to_another(&["mail"], &[], false)]
#[case::inhibited(&["pager"], &["b"], false)]
#[case::meant(&["pager", "mail"], &[], true)]
fn it_is_routed_where_nothing_keeps_it_from_the_receiver(
    #[case] receivers: &[&str],
    #[case] inhibited: &[&str],
    #[case] routed: bool,
) {
    let mut watched = Watched::new(expected(&["pager"]), true);
    let groups = rules(&alert("firing", 2), 7);
    watched.look_up(&look(9, &groups, &[held(receivers, inhibited)], &[]));
    assert!(watched.climb.has(Rung::Received));
    assert_eq!(watched.climb.has(Rung::Routed), routed);
}

#[test]
fn every_receiver_has_to_be_told() {
    let mut watched = Watched::new(expected(&["pager", "mail"]), true);
    let groups = rules(&alert("firing", 2), 7);
    watched.look_up(&look(10, &groups, &[], &[message("pager", 10, false)]));
    assert!(!watched.climb.has(Rung::Delivered));
    watched.look_up(&look(12, &groups, &[], &[message("pager", 10, false), message("mail", 12, false)]));
    assert_eq!(watched.climb.at(Rung::Delivered), Some(seconds(12)));
}

#[test]
fn it_is_over_when_prometheus_says_so_and_when_the_receiver_is_told_so() {
    let mut watched = Watched::new(expected(&["pager"]), true);
    watched.look_down(&look(1, &rules(&alert("firing", 2), 1), &[], &[]));
    assert!(!watched.climb.has(Rung::Cleared));
    watched.look_down(&look(4, &rules(&json!([]), 3), &[], &[]));
    watched.look_down(&look(9, &rules(&json!([]), 8), &[], &[message("pager", 9, true)]));
    assert_eq!(watched.climb.at(Rung::Cleared), Some(seconds(3)));
    assert_eq!(watched.climb.at(Rung::Resolved), Some(seconds(9)));
}

#[test]
fn who_is_not_expected_is_a_stranger_unless_excepted() {
    let groups = rules(&alert("firing", 2), 7);
    let names = |expected: &[Expected], except: &[&str]| {
        strangers(&groups, expected, except)
            .map(|alert| alert.labels["alertname"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&[], &[]), ["WebDown"]);
    assert!(names(&[expected(&[])], &[]).is_empty());
    assert!(names(&[], &["WebDown"]).is_empty());
}
