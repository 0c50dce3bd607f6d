use insta::assert_snapshot;
use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::source::{Position, Sources};
use crate::yaml::parse;

const SHOP: &str = include_str!("../../../fixtures/shop/shop.yaml");

/// A profile that says everything there is to say.
const EVERYTHING: &str = r#"
stand-in: everything
about: All there is to say.
version: 1.10
health: { path: /healthz, status: degraded, checks: { db: warning, cache: { status: error, latency: 2ms, message: slow } } }
ready: { path: /readyz, ready: false, services: { database: connected } }
routes:
  - get: /health
    status: 207
    headers: { Content-Type: text/html, X-Served-By: everything }
    text: up ${uptime}s as ${version}
  - get: /items/{id}
    latency: 3ms
    errors: { share: 1%, status: 502 }
  - post: /items
    expects: { bearer: t, json: { name: x } }
    latency: { p50: 5ms, p99: 40ms, max: 1s }
    errors: { share: 0.5 }
    json: [1, two, { three: null, now: "${now}", n: "${sequence}" }]
  - put: /items/{id}
  - patch: /items/{id}
  - delete: /items/{id}
    status: 204
websockets:
  - path: /ws
    expects: { bearer: t }
    subprotocols: [v2.events, v1.events]
    echo: true
    replies:
      - { when: { text: hi }, send: { text: "hello ${sequence}" } }
      - { when: { json: { a: 1 } }, send: { json: { b: 2 } } }
    stream: { every: 1ms, send: { text: tick }, after: first message }
metrics:
  path: /internal/metrics
  families:
    a_total: { type: counter, help: A., counts: requests, by: [method, route, status], labels: { team: 7 } }
    b_total: { type: counter, counts: errors }
    c_total: { type: counter, counts: messages sent, by: [route] }
    d_total: { type: counter, counts: messages received }
    e_total: { type: counter, counts: connections }
    f_seconds: { type: histogram, observes: latency, buckets: [0.1, 1] }
    g: { type: gauge, follows: requests in flight, by: [method, route] }
    h: { type: gauge, follows: connections }
    i: { type: gauge, value: 12.5, labels: { queue: mail } }
    j_total: { type: counter, value: 100, rate: 5/s }
    k_seconds: { type: histogram, spread: { p50: 0.2, p99: 3 }, rate: 10/s }
    l:
      type: gauge
      labels: { cluster: a }
      series: [{ labels: { queue: mail }, value: 1 }, { labels: { queue: sms }, value: 2 }]
"#;

fn checked(text: &str) -> Result<Profile, String> {
    attempt(text, |finding, sources| finding.draw(sources).render(false))
}

/// The findings of a profile, one a line.
fn mistakes(text: &str) -> String {
    let line = |finding: &Finding, sources: &Sources| {
        let Position { line, column } = sources.position(finding.place);
        let also: Vec<_> = finding.also.iter().map(|(place, _)| sources.text(*place)).collect();
        let also = if also.is_empty() { String::new() } else { format!(" (also: {})", also.join(", ")) };
        format!("{line}:{column} {} `{}` {}{also}", finding.code, sources.text(finding.place), finding.title)
    };
    attempt(text, line).unwrap_err()
}

fn attempt(text: &str, show: impl Fn(&Finding, &Sources) -> String) -> Result<Profile, String> {
    let mut sources = Sources::default();
    let file = sources.add("shop.yaml", text);
    let documents = parse(file, text).map_err(|_| "not YAML".to_owned())?;
    check(&documents[0]).map_err(|findings| {
        findings.iter().map(|finding| show(finding, &sources)).collect::<Vec<_>>().join("\n")
    })
}

#[rstest]
#[case::quickstart(SHOP)]
#[case::everything(EVERYTHING)]
#[case::the_least("stand-in: shop")]
fn a_good_profile_reads_and_keeps_to_its_schema(#[case] text: &str) {
    let checked = checked(text).map(|_| ());
    assert_eq!(checked, Ok(()));
    assert!(schema().is_valid(&as_json(text)), "{:?}", schema().validate(&as_json(text)));
}

#[test]
fn a_key_unknown_to_the_profile_is_unknown_to_its_schema() {
    let text = "stand-in: shop\nroutes: [{ get: /, josn: 1 }]";
    assert!(checked(text).is_err() && !schema().is_valid(&as_json(text)));
}

fn schema() -> jsonschema::Validator {
    let schema = schemars::schema_for!(ProfileFile);
    jsonschema::validator_for(schema.as_value()).unwrap()
}

fn as_json(text: &str) -> serde_json::Value {
    use crate::scenario::template::Shape;
    fn value(shape: &Shape) -> serde_json::Value {
        match shape {
            Shape::Plain(plain) => plain.clone(),
            Shape::Text(template) => template.to_string().into(),
            Shape::List(items) => items.iter().map(value).collect(),
            Shape::Map(entries) => entries.iter().map(|(key, shape)| (key.clone(), value(shape))).collect(),
        }
    }
    let file = Sources::default().add("shop.yaml", text);
    value(&Shape::of(&parse(file, text).unwrap()[0]).unwrap())
}

#[test]
fn the_least_profile_is_healthy_and_ready() {
    let profile = checked("stand-in: shop").unwrap();
    let paths = [&profile.health.path, &profile.ready.path, &profile.metrics].map(PathPattern::as_str);
    assert_eq!(paths, ["/health", "/ready", "/metrics"]);
    assert_eq!((profile.health.status, profile.ready.ready), (Status::Healthy, true));
    assert_eq!(profile.version, "0.0.0");
}

#[rstest]
#[case::all_is_well("{ a: ok, b: ok }", Status::Healthy)]
#[case::a_warning("{ a: ok, b: warning }", Status::Degraded)]
#[case::an_error("{ a: error, b: warning }", Status::Down)]
fn health_is_as_bad_as_the_worst_check(#[case] checks: &str, #[case] status: Status) {
    let profile = checked(&format!("stand-in: a\nhealth: {{ checks: {checks} }}")).unwrap();
    assert_eq!(profile.health.status, status);
}

#[test]
fn a_histogram_without_buckets_gets_some_around_its_values() {
    let sizes = "{ type: histogram, spread: { p50: 20000, p99: 150000 }, rate: 1/s }";
    let profile = checked(&format!("stand-in: a\nmetrics: {{ families: {{ sizes: {sizes} }} }}")).unwrap();
    let Moved::Declared(series) = &profile.families[0].moved else { panic!("not declared") };
    let Course::Fills { buckets, .. } = &series[0].course else { panic!("not a histogram") };
    let expected = [
        1000.0,
        2500.0,
        5000.0,
        10000.0,
        25000.0,
        50000.0,
        100_000.0,
        250_000.0,
        500_000.0,
        1_000_000.0,
        2_500_000.0,
        5_000_000.0,
    ];
    assert_eq!(buckets, &expected);
}

#[test]
fn mistakes_in_routes_are_found_all_at_once() {
    assert_snapshot!(mistakes(r#"
stand-in: shop
routes:
  - json: { no: method }
  - get: /a
    post: /a
  - get: items
  - get: /both
    json: {}
    text: x
  - get: /slow
    latency: { p50: 40ms, p99: 5ms }
  - get: /fast
    latency: 40
  - get: /hole
    json: { deep: [ "${sequnce}" ] }
  - get: /twice/{a}
  - get: /twice/{b}
    errors: { share: 2%, status: 200 }
  - get: /ready
    status: 204
    text: nobody reads this
  - get: /framed
    headers: { Content-Length: 5, "a b": c }
ready: { ready: true }
"#), @r#"
4:5 profile/route `json: { no: method }` this route has no method and path
6:11 profile/route `/a` a route has one method: write a route for each (also: /a)
7:10 profile/route `items` a path begins with `/`: write `/items`
10:11 profile/route `x` `json` and `text` are two bodies for one (also: {})
12:32 profile/spread `5ms` `p99` is below `p50`: the 99th percentile is never below the median (also: 40ms)
14:14 file/value `40` a duration has a unit, like `250ms`, `5s`, `1m30s` or `30d`
16:21 file/value `"${sequnce}"` `sequnce` has no value here
18:10 profile/taken `/twice/{b}` `GET /twice/{b}` is answered twice (also: /twice/{a})
19:34 profile/route `200` a status here is between 400 and 599, not 200
20:10 profile/taken `/ready` `GET /ready` is answered twice (also: { ready: true })
21:13 profile/route `204` an answer of status 204 has no body
24:16 profile/route `Content-Length` `Content-Length` follows from the answer and cannot be set
24:35 profile/route `"a b"` `a b` is not a header name
"#);
}

#[test]
fn mistakes_in_websockets_are_found_all_at_once() {
    assert_snapshot!(mistakes(r#"
stand-in: shop
routes: [{ get: /prices }]
websockets:
  - path: /prices
    subprotocols: ["not one"]
    replies:
      - when: { json: { a: "${now}" } }
        send: { json: 1, text: x }
      - when: {}
        send: {}
    stream: { every: 0s, send: { text: tick } }
"#), @r#"
5:11 profile/taken `/prices` `GET /prices` is answered twice (also: /prices)
6:20 profile/route `"not one"` `not one` is not a subprotocol: letters, digits and few signs, no blanks
8:23 file/value `{ a: "${now}" }` `now` has no value
9:32 profile/route `x` `json` and `text` are two bodies for one (also: 1)
10:15 profile/route `{}` a message to look out for is one of `json` and `text`
11:15 profile/route `{}` there is nothing to send
12:22 file/value `0s` a stream waits at least 10us from one message to the next
"#);
}

#[test]
fn mistakes_in_metrics_are_found_all_at_once() {
    assert_snapshot!(mistakes(r"
stand-in: shop
metrics:
  families:
    bad-name: { type: gauge, value: 1 }
    nothing: { type: gauge }
    two_total: { type: counter, counts: requests, rate: 5/s }
    wrong_type: { type: gauge, counts: requests }
    wrong_facet: { type: gauge, follows: connections, by: [status] }
    twice_total: { type: counter, counts: errors, by: [route, route] }
    fixed_total: { type: counter, counts: errors, by: [route], labels: { route: /x } }
    labels: { type: gauge, value: 1, labels: { a-b: c, le: d, __x: e } }
    growing: { type: gauge, value: 1, rate: 5/s }
    flat: { type: histogram, value: 3 }
    falling: { type: histogram, observes: latency, buckets: [1, 0.5] }
    odd: { type: histogram, spread: { p50: 2, p99: 1 }, rate: 1/s }
    odd_count: { type: counter, rate: 1/s }
    same: { type: gauge, series: [{ labels: { a: b }, value: 1 }, { labels: { a: b }, value: 2 }] }
    declared: { type: gauge, value: 1, by: [route] }
"), @r"
5:5 profile/metric `bad-name` `bad-name` is not a metric name: letters, digits, `_` and `:`, no digit first
6:14 profile/metric `{ type: gauge }` nothing gives this family a value
7:57 profile/metric `5/s` two things move this family (also: requests)
8:25 profile/metric `gauge` `counts` makes a counter, not a gauge
9:60 profile/metric `status` what this family is moved by has no `status`
10:63 profile/metric `route` `route` stands here twice
11:56 profile/metric `route` the label `route` has a fixed value already
12:48 profile/metric `a-b` `a-b` is not a label name: letters, digits and `_`, no digit first
12:56 profile/metric `le` the label `le` belongs to Prometheus
12:63 profile/metric `__x` the label `__x` belongs to Prometheus
13:45 profile/metric `5/s` a gauge does not grow: it has a `value`
14:37 profile/metric `3` a histogram has no `value`: it has a `spread` and a `rate`
15:61 profile/metric `[1, 0.5]` the bounds of buckets rise
16:37 profile/spread `{ p50: 2, p99: 1 }` `p99` is below `p50`: the 99th percentile is never below the median
17:5 profile/metric `odd_count` `odd_count` belongs to two families (also: odd)
18:67 profile/metric `{ labels: { a: b }, value: 2 }` two series have the same labels (also: { labels: { a: b }, value: 1 })
19:44 profile/metric `[route]` `by` takes labels from what is served, and this family is declared
");
}

#[test]
fn misspelt_words_are_found_by_the_reader() {
    assert_snapshot!(checked(r"
stand-in: shop
health: { checks: { db: okay } }
routes: [{ gett: /a }]
metrics: { families: { a: { type: guage, counts: request } } }
").unwrap_err(), @r"
error[file/unknown-key]: unknown key `gett`
 --> shop.yaml:4:12
  |
4 | routes: [{ gett: /a }]
  |            ^^^^ did you mean `get`?
error[file/value]: `guage` is not one of `counter`, `gauge`, `histogram`; did you mean `gauge`?
 --> shop.yaml:5:35
  |
5 | metrics: { families: { a: { type: guage, counts: request } } }
  |                                   ^^^^^
error[file/value]: `request` is not one of `requests`, `errors`, `connections`, `messages sent`, `messages received`; did you mean `requests`?
 --> shop.yaml:5:50
  |
5 | metrics: { families: { a: { type: guage, counts: request } } }
  |                                                  ^^^^^^^
");
}

proptest! {
    #[test]
    fn no_profile_panics(
        key in "get|latency|errors|headers|status|json|text|expects",
        value in "[0-9]{1,5}|/[a-z{}]{0,5}|\\{ p50: [0-9]{1,3}ms, p99: [0-9]{1,3}ms \\}|.{0,12}",
    ) {
        let _ = yaml_of(&format!("stand-in: a\nroutes:\n  - put: /x\n    {key}: {value}")).map(|node| check(&node));
    }

    #[test]
    fn no_family_panics(
        kind in "counter|gauge|histogram",
        key in "counts: requests|observes: latency|follows: connections|value: [0-9.e-]{1,6}|rate: 5/s|spread: \\{ p50: [0-9e-]{1,5}, p99: [0-9e-]{1,5} \\}",
        other in "|rate: 1/s|by: \\[route\\]|buckets: \\[[0-9,.]{0,6}\\]",
    ) {
        let text = format!("stand-in: a\nmetrics: {{ families: {{ x: {{ type: {kind}, {key}, {other} }} }} }}");
        let _ = yaml_of(&text).map(|node| check(&node));
    }
}

fn yaml_of(text: &str) -> Option<Node> {
    let file = Sources::default().add("shop.yaml", text);
    parse(file, text).ok()?.into_iter().next()
}
