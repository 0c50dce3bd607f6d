use rstest::rstest;

use super::*;
use crate::finding::Findings;
use crate::promql::Carried;
use crate::source::Sources;
use crate::yaml::{parse, print};

/// A configuration as checked, and its findings as `code: title` with what they point at.
fn read(text: &str) -> (Option<Config>, Vec<String>) {
    let mut sources = Sources::default();
    let id = sources.add("alertmanager.yml", text);
    let mut findings = Findings::default();
    let config = check(&parse(id, text).unwrap()[0], &sources, matcher::Dialect::Both, &mut findings);
    let said = findings.in_reading_order().into_iter().map(|finding| {
        format!(
            "{}: {} @ {}",
            finding.code,
            finding.title,
            sources.text(finding.place).lines().next().unwrap_or_default()
        )
    });
    (config, said.collect())
}

fn config(text: &str) -> Config {
    let (config, findings) = read(text);
    let errors: Vec<_> = findings.iter().filter(|said| !said.starts_with("route/deprecated")).collect();
    assert!(errors.is_empty(), "{errors:?}");
    config.expect("there is a route")
}

fn labels(written: &str) -> Labels {
    let pairs = written.split_whitespace().filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

const CONFIG: &str = r#"
global: { resolve_timeout: 5m }
route:
  receiver: default
  group_by: [alertname]
  group_wait: 10s
  routes:
    - matchers: [severity="critical"]
      receiver: pager
      group_interval: 1m
      continue: true
      routes:
        - match: { team: db }
          receiver: dba
          group_by: ["..."]
    - match_re: { severity: "critical|warning" }
      receiver: chat
      mute_time_intervals: [nights]
    - matchers: ["team=~\"web.*\"", "env!=test"]
inhibit_rules:
  - source_matchers: [severity="critical"]
    target_matchers: [severity="warning"]
    equal: [service]
  - source_match: { alertname: Down }
    target_match_re: { alertname: ".*" }
receivers:
  - name: default
    webhook_configs: [{ url: "http://127.0.0.1:1/" }]
  - name: pager
    pagerduty_configs: [{ routing_key: x, send_resolved: false }]
  - { name: dba, email_configs: [{ to: a@example.org }], slack_configs: [{ channel: db }] }
  - name: chat
time_intervals:
  - name: nights
    time_intervals:
      - times: [{ start_time: "22:00", end_time: "24:00" }, { start_time: "00:00", end_time: "06:00" }]
        location: Europe/Berlin
      - weekdays: ["saturday:saturday", sunday]
"#;

#[rstest]
#[case::none_takes_it("severity=info", &["default"])]
#[case::goes_on("severity=critical", &["pager", "chat"])]
#[case::goes_deeper_and_on("severity=critical team=db", &["dba", "chat"])]
#[case::by_pattern("severity=warning", &["chat"])]
#[case::inherited("team=webshop", &["default"])]
#[case::a_label_that_is_not_there_is_empty("team=webshop env=test", &["default"])]
#[case::nothing("", &["default"])]
fn receivers_of_labels(#[case] written: &str, #[case] receivers: &[&str]) {
    let config = config(CONFIG);
    let routes = config.routes_of(&labels(written));
    assert_eq!(routes.iter().map(|route| route.receiver.value.as_str()).collect::<Vec<_>>(), receivers);
}

#[test]
fn routes_inherit_what_they_do_not_say() {
    let config = config(CONFIG);
    let routes = config.routes_of(&labels("alertname=A severity=critical team=db"));
    let (dba, chat) = (routes[0], routes[1]);
    let seconds = Duration::from_secs;
    let timing =
        Timing { group_wait: seconds(10), group_interval: seconds(60), repeat_interval: seconds(4 * 3600) };
    assert_eq!((dba.timing, &dba.grouping), (timing, &GroupBy::Everything));
    assert_eq!(chat.timing.group_interval, seconds(300));
    assert_eq!(chat.group_of(&labels("alertname=A team=db")), labels("alertname=A"));
    assert_eq!(dba.group_of(&labels("alertname=A team=db")), labels("alertname=A team=db"));
}

#[test]
fn receivers_say_by_which_ways_they_are_told() {
    let config = config(CONFIG);
    let ways = |name| {
        let integrations = &config.receiver(name).unwrap().integrations;
        integrations.iter().map(|one| (one.kind, one.sends_resolved)).collect::<Vec<_>>()
    };
    assert_eq!(ways("default"), [("webhook", true)]);
    assert_eq!(ways("pager"), [("pagerduty", false)]);
    assert_eq!(ways("dba"), [("email", false), ("slack", false)]);
    assert_eq!(ways("chat"), []);
}

#[rstest]
#[case::equal("severity=critical service=a", "severity=warning service=a", true)]
#[case::other_service("severity=critical service=a", "severity=warning service=b", false)]
#[case::neither_has_it("severity=critical", "severity=warning", true)]
#[case::not_a_target("severity=critical service=a", "severity=info service=a", false)]
#[case::anything("alertname=Down", "alertname=Slow", true)]
#[case::not_itself("alertname=Down", "alertname=Down", false)]
fn inhibited_by(#[case] firing: &str, #[case] alert: &str, #[case] inhibited: bool) {
    let config = config(CONFIG);
    assert_eq!(config.inhibited(&labels(alert), &[labels(firing)]).is_some(), inhibited);
}

#[rstest]
#[case::evening("2026-06-01T20:30:00Z", true)]
#[case::late_afternoon("2026-06-01T19:59:00Z", false)]
#[case::before_six("2026-06-02T03:59:00Z", true)]
#[case::six("2026-06-02T04:00:00Z", false)]
#[case::saturday("2026-06-06T12:00:00Z", true)]
#[case::sunday("2026-06-07T12:00:00Z", true)]
#[case::monday("2026-06-08T12:00:00Z", false)]
fn muted_at(#[case] at: &str, #[case] muted: bool) {
    let config = config(CONFIG);
    let route = config.routes_of(&labels("severity=warning"))[0];
    let found = config.muted(route, at.parse().unwrap()).map(|name| name.value.as_str());
    assert_eq!(found, muted.then_some("nights"));
}

#[rstest]
#[case::last_day("days_of_month: ['-1']", "2028-02-29T12:00:00Z", true)]
#[case::not_the_last("days_of_month: ['-1']", "2028-02-28T12:00:00Z", false)]
#[case::beyond_the_month("days_of_month: ['31']", "2026-06-30T12:00:00Z", false)]
#[case::cut_at_the_end("days_of_month: ['28:31']", "2026-06-30T12:00:00Z", true)]
#[case::months("months: ['march:june', '12']", "2026-12-30T12:00:00Z", true)]
#[case::other_month("months: ['march:june', '12']", "2026-11-30T12:00:00Z", false)]
#[case::years("years: ['2026:2027']", "2028-01-01T00:00:00Z", false)]
#[case::all_at_once("months: [june], weekdays: [friday], years: ['2026']", "2026-06-05T12:00:00Z", true)]
#[case::one_fails("months: [june], weekdays: [friday], years: ['2026']", "2026-06-06T12:00:00Z", false)]
#[case::always("times: [{ start_time: '00:00', end_time: '24:00' }]", "2026-06-06T23:59:59Z", true)]
fn a_route_is_active(#[case] times: &str, #[case] at: &str, #[case] active: bool) {
    let text = format!(
        "route: {{ receiver: a, routes: [{{ active_time_intervals: [t] }}] }}\nreceivers: [{{ name: a }}]\n\
         time_intervals: [{{ name: t, time_intervals: [{{ {times} }}] }}]\n"
    );
    let config = config(&text);
    let route = config.routes_of(&Labels::new())[0];
    assert_eq!(config.muted(route, at.parse().unwrap()).is_none(), active);
}

#[rstest]
#[case::no_route("receivers: [{ name: a }]", &["route/root: `route` is missing @ receivers: [{ name: a }]"])]
#[case::no_receiver("route: { group_wait: 5s }", &["route/root: the first route has no `receiver` @ { group_wait: 5s }"])]
#[case::root_matches(
    "route: { receiver: a, matchers: [a=b], continue: true, mute_time_intervals: [b] }\nreceivers: [{ name: a }]\ntime_intervals: [{ name: b }]",
    &[
        "route/root: behind the first route there is none to continue with @ { receiver: a, matchers: [a=b], continue: true, mute_time_intervals: [b] }",
        "route/root: the first route takes every alert and has no matchers @ a=b",
        "route/root: the first route has no time intervals @ b",
    ]
)]
#[case::unknown_receiver(
    "route: { receiver: pagger }\nreceivers: [{ name: pager }]",
    &["route/receiver: no receiver is called `pagger` @ pagger"]
)]
#[case::twice(
    "route: { receiver: a }\nreceivers: [{ name: a }, { name: a }]",
    &["route/receiver: two receivers are called `a` @ a"]
)]
#[case::matcher(
    "route: { receiver: a, routes: [{ matchers: ['a ~ b'] }] }\nreceivers: [{ name: a }]",
    &["route/matcher: `a ~ b` is no matcher: a name, one of `=`, `!=`, `=~`, `!~`, and a value @ 'a ~ b'"]
)]
#[case::pattern(
    "route: { receiver: a, routes: [{ match_re: { a: '(' } }] }\nreceivers: [{ name: a }]",
    &["route/deprecated: `match_re` is to be dropped @ a", "route/matcher: `(` is no pattern @ '('"]
)]
#[case::group_by(
    "route: { receiver: a, group_by: ['...', b, b] }\nreceivers: [{ name: a }]",
    &["route/group-by: `...` groups by every label, and stands alone @ '...'", "route/group-by: `b` stands here twice @ b"]
)]
#[case::no_interval(
    "route: { receiver: a, group_interval: 0s }\nreceivers: [{ name: a }]",
    &["route/timing: this interval is above zero @ 0s"]
)]
#[case::unknown_times(
    "route: { receiver: a, routes: [{ mute_time_intervals: [night] }] }\nreceivers: [{ name: a }]\ntime_intervals: [{ name: nights }]",
    &["route/interval: no time interval is called `night` @ night"]
)]
#[case::times(
    "route: { receiver: a }\nreceivers: [{ name: a }]\ntime_intervals: [{ name: n, time_intervals: [{ times: [{ start_time: '22:00', end_time: '06:00' }, { start_time: '7:00', end_time: '09:00' }], weekdays: [freitag, 'friday:monday'], days_of_month: ['0', '-1:5', '5:1'], months: ['13'], years: [now], location: Berlin }] }]",
    &[
        "route/interval: the end is not behind the start @ { start_time: '22:00', end_time: '06:00' }",
        "route/interval: `7:00` is no time of a day, from `00:00` to `24:00` @ '7:00'",
        "route/interval: `freitag` is no weekday @ freitag",
        "route/interval: `monday` is before `friday` @ 'friday:monday'",
        "route/interval: `0` is no day of a month: from 1 to 31, or from -31 to -1 counted from its end @ '0'",
        "route/interval: days that begin counted from the month's end also end so @ '-1:5'",
        "route/interval: `1` is before `5` @ '5:1'",
        "route/interval: `13` is no month @ '13'",
        "route/interval: `now` is no number @ now",
        "route/interval: `Berlin` is no time zone of IANA's @ Berlin",
    ]
)]
#[case::unknown_kind(
    "route: { receiver: a }\nreceivers: [{ name: a, slak_configs: [] }]",
    &["file/unknown-key: unknown key `slak_configs` @ slak_configs"]
)]
fn what_alertmanager_would_refuse_is_found(#[case] text: &str, #[case] findings: &[&str]) {
    assert_eq!(read(text).1, findings);
}

#[test]
fn a_configuration_is_re_timed_and_nothing_else() {
    let text = "route:\n  receiver: a\n  group_wait: 30s\n  routes:\n    - group_interval: 5m\n      receiver: group_wait\n      repeat_interval: 10ms\n\
                receivers: [{ name: a, webhook_configs: [{ timeout: 10s }] }, { name: group_wait }]\nglobal: { resolve_timeout: 5m }\n";
    let mut sources = Sources::default();
    let id = sources.add("alertmanager.yml", text);
    let scaled = scaled(&parse(id, text).unwrap()[0], 60.0);
    insta::assert_snapshot!(print(&scaled), @r#"
    {
      "route": {
        "receiver": "a",
        "group_wait": "500ms",
        "routes": [
          {
            "group_interval": "5s",
            "receiver": "group_wait",
            "repeat_interval": "1ms"
          }
        ],
        "group_interval": "5s",
        "repeat_interval": "4m"
      },
      "receivers": [
        {
          "name": "a",
          "webhook_configs": [
            {
              "timeout": "10s"
            }
          ]
        },
        {
          "name": "group_wait"
        }
      ],
      "global": {
        "resolve_timeout": "5m"
      }
    }
    "#);
}

#[rstest]
#[case::known("severity=critical team=db", &[], &["dba always", "chat always"])]
#[case::one_label_unknown("severity=critical", &["team"], &["dba perhaps", "pager perhaps", "chat always"])]
#[case::nothing_known("", &["severity", "team", "env"], &["dba perhaps", "pager perhaps", "chat perhaps", "default perhaps", "default perhaps"])]
#[case::never_there("", &["env"], &["default always"])]
#[case::taken_for_sure("severity=warning", &["team", "env"], &["chat always"])]
fn where_alerts_may_end(#[case] known: &str, #[case] others: &[&str], #[case] wanted: &[&str]) {
    let config = config(CONFIG);
    let alerts = Alike { known: labels(known), others: Carried::none().with(others.iter().copied()) };
    let found: Vec<_> = reached(&config.root, &alerts)
        .iter()
        .map(|one| format!("{} {:?}", one.route.receiver, one.certainty).to_lowercase())
        .collect();
    assert_eq!(found, wanted);
}
