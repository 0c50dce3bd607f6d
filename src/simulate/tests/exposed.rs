use insta::assert_snapshot;

use super::super::metrics::Metrics;
use super::*;
use crate::exposition::{Dialect, print};

#[tokio::test]
async fn the_page_counts_what_was_served() {
    let shop = play(SHOP).await;
    for headers in ["", "Authorization: Bearer demo-token\r\n", "Authorization: Bearer demo-token\r\n"] {
        ask(&shop, "GET /items", headers, "").await;
    }
    ask(&shop, "BREW /coffee", "", "").await;
    get(&shop, "/health").await;
    let labels = |status| [("method", "GET"), ("route", "/items"), ("status", status)];
    assert_eq!(exposed(&shop, "http_requests_total", &labels("200")).await, Some(2.0));
    assert_eq!(exposed(&shop, "http_requests_total", &labels("401")).await, Some(1.0));
    let other = [("method", "other"), ("route", "other"), ("status", "404")];
    assert_eq!(exposed(&shop, "http_requests_total", &other).await, Some(1.0));
    let health = [("method", "GET"), ("route", "/health"), ("status", "200")];
    assert_eq!(exposed(&shop, "http_requests_total", &health).await, None, "an own path is not a request");
    let count = exposed(&shop, "http_request_duration_seconds_count", &[("route", "/items")]).await;
    assert_eq!(count, Some(3.0));
    assert_eq!(exposed(&shop, "shop_build_info", &[("version", "1.4.2")]).await, Some(1.0));
}

#[tokio::test]
async fn a_slow_answer_lies_in_a_high_bucket() {
    let text = r"
stand-in: a
routes: [{ get: /a, latency: 60ms }]
metrics: { families: { took_seconds: { type: histogram, observes: latency, buckets: [0.05, 30] } } }
";
    let stand_in = play(text).await;
    get(&stand_in, "/a").await;
    assert_eq!(exposed(&stand_in, "took_seconds_bucket", &[("le", "0.05")]).await, Some(0.0));
    assert_eq!(exposed(&stand_in, "took_seconds_bucket", &[("le", "30")]).await, Some(1.0));
    assert_eq!(exposed(&stand_in, "took_seconds_bucket", &[("le", "+Inf")]).await, Some(1.0));
    assert!(exposed(&stand_in, "took_seconds_sum", &[]).await >= Some(0.06));
}

#[tokio::test]
async fn errors_are_counted_apart() {
    let text = r"
stand-in: a
routes: [{ get: /bad, errors: { share: 1 } }, { get: /good }]
metrics: { families: { errors_total: { type: counter, counts: errors } } }
";
    let stand_in = play(text).await;
    assert_eq!(exposed(&stand_in, "errors_total", &[]).await, Some(0.0));
    for path in ["/bad", "/good", "/lost"] {
        get(&stand_in, path).await;
    }
    assert_eq!(exposed(&stand_in, "errors_total", &[]).await, Some(1.0));
}

#[test]
fn declared_series_go_their_way() {
    let metrics = Metrics::new(
        profile(
            r"
stand-in: a
metrics:
  families:
    queue_depth:
      type: gauge
      help: Mails to send.
      labels: { cluster: a }
      series: [{ labels: { queue: mail }, value: 12 }, { labels: { queue: sms }, value: 0.5 }]
    jobs_total: { type: counter, value: 100, rate: 30/m }
    fixed_total: { type: counter, value: 3 }
    run_seconds: { type: histogram, spread: { p50: 1, p99: 4 }, rate: 100/s, buckets: [0.5, 1, 4, 8] }
",
        )
        .families,
    );
    let mut families = metrics.families(Duration::from_millis(10_500));
    for sample in families.iter_mut().flat_map(|family| &mut family.samples) {
        // The last digits of a logarithm differ from machine to machine.
        sample.value = (sample.value * 10.0).round() / 10.0;
    }
    assert_snapshot!(print(&families, Dialect::Text), @r#"
# TYPE queue_depth gauge
# HELP queue_depth Mails to send.
queue_depth{cluster="a",queue="mail"} 12
queue_depth{cluster="a",queue="sms"} 0.5
# TYPE jobs_total counter
jobs_total 105
# TYPE fixed_total counter
fixed_total 3
# TYPE run_seconds histogram
run_seconds_bucket{le="0.5"} 128
run_seconds_bucket{le="1"} 525
run_seconds_bucket{le="4"} 1039
run_seconds_bucket{le="8"} 1049
run_seconds_bucket{le="+Inf"} 1050
run_seconds_sum 1254
run_seconds_count 1050
"#);
}

#[test]
fn series_without_labels_of_their_own_stand_at_zero_from_the_start() {
    let metrics = Metrics::new(
        profile(
            r"
stand-in: a
metrics:
  families:
    a_total: { type: counter, counts: requests, labels: { team: shop } }
    b_total: { type: counter, counts: requests, by: [route] }
    c_seconds: { type: histogram, observes: latency, buckets: [1] }
    d: { type: gauge, follows: connections }
",
        )
        .families,
    );
    assert_snapshot!(print(&metrics.families(Duration::ZERO), Dialect::Text), @r#"
# TYPE a_total counter
a_total{team="shop"} 0
# TYPE b_total counter
# TYPE c_seconds histogram
c_seconds_bucket{le="1"} 0
c_seconds_bucket{le="+Inf"} 0
c_seconds_sum 0
c_seconds_count 0
# TYPE d gauge
d 0
"#);
}

#[tokio::test]
async fn the_page_may_stand_elsewhere() {
    let stand_in = play("stand-in: a\nmetrics: { path: /internal }").await;
    let page = get(&stand_in, "/internal").await;
    assert!(page.head.contains("content-type: text/plain; version=0.0.4"), "{}", page.head);
    assert_eq!(get(&stand_in, "/metrics").await.status, 404);
}
