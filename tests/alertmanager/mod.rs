//! The sink against the real Alertmanager: every kind of receiver is told that an alert fires, and that it is over.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use firedrill::secret::Mask;
use firedrill::sink::{self, Delivery, Ends, Key, Kind, Listen, Sink, Status, Trouble};
use firedrill::source::Sources;
use firedrill::yaml;
use http::StatusCode;
use tokio::time::Instant;

use super::support::{Alertmanager, PATIENCE};

/// The one with every kind of receiver.
const PRODUCTION: &str = include_str!("production.yml");

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs alertmanager"]
async fn every_receiver_is_told_that_an_alert_fires_and_that_it_is_over() {
    let sink = sink::open(Listen::default()).await.unwrap();
    let (config, findings) = readdress(PRODUCTION, &sink);
    let alertmanager = Alertmanager::start(&config).unwrap();
    let integrations = [
        (Kind::Webhook, 0),
        (Kind::Webhook, 1),
        (Kind::Slack, 0),
        (Kind::Pagerduty, 0),
        (Kind::Pagerduty, 1),
        (Kind::Opsgenie, 0),
        (Kind::Victorops, 0),
        (Kind::Pushover, 0),
        (Kind::Telegram, 0),
        (Kind::Discord, 0),
        (Kind::Webex, 0),
        (Kind::Sns, 0),
        (Kind::Wechat, 0),
        (Kind::Email, 0),
    ];
    let mut told = findings + "\n";
    let mut fired = Vec::new();
    alertmanager.send(&[down("web-1", true)]).unwrap();
    for integration in integrations {
        fired.push(wait(&sink, integration, Status::Firing).await);
    }
    alertmanager.send(&[down("web-1", false)]).unwrap();
    for (integration, firing) in integrations.into_iter().zip(fired) {
        let resolved = wait(&sink, integration, Status::Resolved).await;
        assert!(resolved.pairs_with(&firing), "{resolved:?} is not the end of {firing:?}");
        tell(&firing, &mut told);
        tell(&resolved, &mut told);
    }
    insta::assert_snapshot!(told);
    assert_eq!(sink.close().await.len(), 2 * integrations.len());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs alertmanager"]
async fn a_receiver_in_trouble_is_told_once_it_is_well() {
    let sink = sink::open(Listen::default()).await.unwrap();
    let (config, _) = readdress(&webhook("{}"), &sink);
    let alertmanager = Alertmanager::start(&config).unwrap();
    for (number, trouble) in [
        Trouble::Status(StatusCode::INTERNAL_SERVER_ERROR),
        Trouble::TooMany(Duration::from_secs(1)),
        Trouble::Close,
        Trouble::Hang,
    ]
    .into_iter()
    .enumerate()
    {
        let instance = format!("web-{number}");
        let mut troubled = sink.misbehave("pager", trouble, None);
        alertmanager.send(&[down(&instance, true)]).unwrap();
        // Whoever hangs is met once, the others are tried again.
        let tries = if trouble == Trouble::Hang { 1 } else { 2 };
        assert!(
            troubled.meets(tries, Instant::now() + PATIENCE).await,
            "{trouble:?} is not met {tries} times"
        );
        let told =
            |delivery: &Delivery| delivery.alerts.iter().any(|alert| alert.labels["instance"] == instance);
        assert!(!sink.deliveries().iter().any(|delivery| told(delivery)), "{trouble:?}");
        drop(troubled);
        let delivery = sink.wait_for(told, Instant::now() + PATIENCE).await;
        assert!(delivery.is_some(), "{trouble:?} is over, yet nothing came");
    }
    let slow = sink.misbehave("pager", Trouble::Slow(Duration::from_millis(300)), None);
    alertmanager.send(&[down("web-9", true)]).unwrap();
    let last = |delivery: &Delivery| delivery.alerts.iter().any(|alert| alert.labels["instance"] == "web-9");
    assert!(sink.wait_for(last, Instant::now() + PATIENCE).await.is_some());
    assert!(slow.met() >= 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs alertmanager"]
async fn alerts_of_two_receivers_are_grouped_as_their_routes_say() {
    let sink = sink::open(Listen::default()).await.unwrap();
    let text = "
route:
  receiver: ticket
  group_by: [alertname]
  group_wait: 500ms
  group_interval: 1s
  routes:
    - { matchers: [severity = critical], receiver: pager, group_by: [instance], continue: true }
    - { receiver: ticket }
receivers:
  - { name: pager, pagerduty_configs: [{ routing_key: key }] }
  - { name: ticket, webhook_configs: [{ url: 'http://tickets.example.com/' }] }
";
    let (config, findings) = readdress(text, &sink);
    assert_eq!(findings, "");
    let alertmanager = Alertmanager::start(&config).unwrap();
    alertmanager.send(&[down("web-1", true), down("web-2", true)]).unwrap();
    let grouped =
        sink.wait_for(|delivery| delivery.alerts.len() == 2, Instant::now() + PATIENCE).await.unwrap();
    let (mut said, mut pages) = (String::new(), Vec::new());
    for instance in ["web-1", "web-2"] {
        let page = |delivery: &Delivery| {
            delivery.receiver.as_deref() == Some("pager") && delivery.alerts[0].labels["instance"] == instance
        };
        pages.push(sink.wait_for(page, Instant::now() + PATIENCE).await.unwrap());
    }
    assert!(!pages[0].pairs_with(&pages[1]));
    pages.push(grouped);
    for delivery in &pages {
        tell(delivery, &mut said);
    }
    insta::assert_snapshot!(said);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs alertmanager"]
async fn a_template_without_its_dot_has_no_value() {
    let sink = sink::open(Listen::default()).await.unwrap();
    let text = r#"
route: { receiver: chat, group_wait: 100ms }
receivers:
  - name: chat
    slack_configs:
      - api_url: https://hooks.slack.com/services/T/B/secret
        title: '{{ define "title" }}{{ .CommonLabels.alertname }} is down{{ end }}{{ template "title" }}'
        text: '{{ printf "%d alerts" "two" }}'
"#;
    let (config, _) = readdress(text, &sink);
    let alertmanager = Alertmanager::start(&config).unwrap();
    let mut alert = down("web-1", true);
    alert["annotations"]["summary"] = "{{ $labels.instance }} is down".into();
    alertmanager.send(&[alert]).unwrap();
    let delivery = sink.wait_for(|_| true, Instant::now() + PATIENCE).await.unwrap();
    let problems: Vec<_> = delivery.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "a template has no value: `<no value> is down`",
            "a format does not fit its value: `%!d(string=two) alerts`",
        ]
    );
}

/// A configuration with one receiver, `pager`, which is sent all of an alert alone.
fn webhook(more: &str) -> String {
    format!(
        "route: {{ receiver: pager, group_by: [instance], group_wait: 100ms, group_interval: 1s }}\n\
         receivers: [{{ name: pager, webhook_configs: [{{ url: 'http://hooks.example.com/', http_config: {more} }}] }}]\n"
    )
}

/// `text` with every line ending at `sink`, and what was found on the way.
fn readdress(text: &str, sink: &Sink) -> (String, String) {
    let mut sources = Sources::default();
    let id = sources.add("alertmanager.yml", text);
    let mut config = yaml::as_elder(yaml::parse(id, text).unwrap().remove(0), text);
    let Listen { http, smtp } = sink.listens();
    let ends = Ends { http: http.to_string(), smtp: smtp.to_string() };
    let findings = sink::readdress(&mut config, &ends, &|_| false, &Mask::default());
    let drawn = findings.iter().map(|finding| format!("{}: {}\n", finding.code, finding.title));
    (yaml::print(&config), drawn.collect())
}

/// An alert as Prometheus sends it.
fn down(instance: &str, firing: bool) -> serde_json::Value {
    serde_json::json!({
        "labels": { "alertname": "Down", "instance": instance, "job": "shop", "severity": "critical" },
        "annotations": { "summary": format!("<{instance}> & co. are down") },
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": if firing { "2126-01-01T00:00:00Z" } else { "2026-01-01T00:05:00Z" },
        "generatorURL": "http://prometheus.test/graph",
    })
}

async fn wait(sink: &Sink, (kind, index): (Kind, usize), status: Status) -> Arc<Delivery> {
    let wanted =
        |delivery: &Delivery| (delivery.kind, delivery.index, delivery.status) == (kind, index, status);
    let found = sink.wait_for(wanted, Instant::now() + PATIENCE).await;
    found.unwrap_or_else(|| {
        let told =
            sink.deliveries().into_iter().map(|it| format!("{}[{}] {:?}", it.kind, it.index, it.status));
        panic!("{kind}[{index}] is not told of {status:?}; told are {:?}", told.collect::<Vec<_>>())
    })
}

/// A delivery as one would read it, without what is another each time.
fn tell(delivery: &Delivery, told: &mut String) {
    let receiver = delivery.receiver.as_deref().unwrap_or("nobody");
    let key = match &delivery.key {
        Key::Vendor(key) => format!("key {key}"),
        Key::Said(key) => format!("said {key}"),
    };
    writeln!(told, "{}[{}] of {receiver}: {:?}, {key}", delivery.kind, delivery.index, delivery.status)
        .unwrap();
    writeln!(told, "  to {:?}, title {:?}", delivery.to, delivery.title).unwrap();
    for line in delivery.text.lines() {
        writeln!(told, "  | {line}").unwrap();
    }
    for alert in &delivery.alerts {
        writeln!(told, "  {:?} {:?} {:?}", alert.status, alert.labels, alert.annotations).unwrap();
    }
    for problem in &delivery.problems {
        writeln!(told, "  problem: {problem}").unwrap();
    }
    assert!(!delivery.raw.is_empty() && delivery.raw.len() <= 64 << 10);
}
