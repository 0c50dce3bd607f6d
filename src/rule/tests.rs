use rstest::rstest;

use super::*;
use crate::promql::{Carried, Reach};
use crate::yaml::{parse, print};

/// A file as checked, and its findings as `code: title` with what they point at.
fn read(text: &str) -> (RuleFile, Vec<String>) {
    let mut sources = Sources::default();
    let id = sources.add("alerts.yml", text);
    let mut findings = Findings::default();
    let file = check(&parse(id, text).unwrap(), &sources, &mut findings);
    let said = findings.in_reading_order().into_iter().map(|finding| {
        format!(
            "{}: {} @ {}",
            finding.code,
            finding.title,
            sources.text(finding.place).lines().next().unwrap_or_default()
        )
    });
    (file, said.collect())
}

const FILE: &str = r#"
groups:
  - name: web
    interval: 30s
    limit: 10
    query_offset: 1m
    partial_response_strategy: warn
    labels: { team: shop, severity: page }
    rules:
      - record: job:errors:rate5m
        expr: sum by (job) (rate(errors_total[5m]))
      - alert: Errors
        expr: |
          job:errors:rate5m
            > 0.05
        for: 5m
        keep_firing_for: 10m
        labels:
          severity: critical
        annotations:
          summary: "{{ $labels.job }} fails"
      - alert: Nothing
        expr: absent(up)
        labels:
        annotations:
"#;

#[test]
fn a_file_is_read_whole() {
    let (file, findings) = read(FILE);
    assert_eq!(findings, [""; 0]);
    let group = &file.groups[0];
    assert_eq!((group.name.value.as_str(), group.limit), ("web", 10));
    assert_eq!(group.interval.map(|at| at.value), Some(Duration::from_secs(30)));
    assert_eq!(group.query_offset, Duration::from_secs(60));
    let names: Vec<_> = group.rules.iter().map(|rule| rule.name.value.as_str()).collect();
    assert_eq!(names, ["job:errors:rate5m", "Errors", "Nothing"]);
    let (_, errors, alert) = file.alerts().next().unwrap();
    assert_eq!(alert.holds.map(|at| at.value), Some(Duration::from_secs(300)));
    assert_eq!(alert.keeps.map(|at| at.value), Some(Duration::from_secs(600)));
    let labels: Vec<_> = errors.all_labels(group).map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(labels, ["severity=critical", "team=shop"]);
}

#[rstest]
#[case::unknown_key("groups: [{ name: a, rulez: [] }]", &["file/unknown-key: unknown key `rulez` @ rulez"])]
#[case::no_name("groups: [{ rules: [] }]", &["file/missing-key: `name` is missing @ { rules: [] }"])]
#[case::twice(
    "groups: [{ name: a }, { name: a }]",
    &["rule/group: two groups of this file are called `a` @ a"]
)]
#[case::neither(
    "groups: [{ name: a, rules: [{ expr: up }] }]",
    &["rule/kind: a rule has `alert` or `record` @ { expr: up }"]
)]
#[case::both(
    "groups: [{ name: a, rules: [{ alert: A, record: b, expr: up }] }]",
    &["rule/kind: a rule alerts or records, not both @ A"]
)]
#[case::record_waits(
    "groups: [{ name: a, rules: [{ record: b, expr: up, for: 5m }] }]",
    &["rule/kind: a rule that records has no `for` @ 5m"]
)]
#[case::record_is_no_metric(
    "groups: [{ name: a, rules: [{ record: 5b, expr: up }] }]",
    &["rule/kind: `5b` is no name of a metric: letters, digits, `_` and `:`, and no digit first @ 5b"]
)]
#[case::duration(
    "groups: [{ name: a, rules: [{ alert: A, expr: up, for: 5 minutes }] }]",
    &["file/value: a duration is written in whole units from large to small, each once, like `30s`, `5m` or `1h30m` @ 5 minutes"]
)]
#[case::expression(
    "groups: [{ name: a, rules: [{ alert: A, expr: 'rat(x[5m]) > 1' }] }]",
    &["rule/expression: unknown function with name 'rat' @ rat"]
)]
#[case::range(
    "groups: [{ name: a, rules: [{ alert: A, expr: 'x[5m]' }] }]",
    &["rule/expression: a rule is made of series or a number, and this expression gives series over a range @ 'x[5m]'"]
)]
#[case::label(
    "groups: [{ name: a, rules: [{ alert: A, expr: up, labels: { __name__: b, the-team: c } }] }]",
    &[
        "rule/kind: a rule cannot set the name of a metric by a label @ __name__",
        "rule/label: `the-team` is no name that every Prometheus takes: letters, digits and `_`, and no digit first @ the-team",
    ]
)]
#[case::second_document("groups: []\n---\ngroups: []\n", &["rule/group: Prometheus reads the first document of a rule file alone @ groups: []"])]
#[case::nothing("", &[])]
fn what_prometheus_would_refuse_is_found(#[case] text: &str, #[case] findings: &[&str]) {
    assert_eq!(read(text).1, findings);
}

#[test]
fn a_file_is_re_timed_and_nothing_else() {
    let mut sources = Sources::default();
    let id = sources.add("alerts.yml", FILE);
    let mut findings = Findings::default();
    let scaled = scaled(&parse(id, FILE).unwrap()[0], 60.0, &mut findings);
    assert!(findings.is_empty());
    insta::assert_snapshot!(print(&scaled), @r#"
    {
      "groups": [
        {
          "name": "web",
          "interval": "500ms",
          "limit": 10,
          "query_offset": "1s",
          "partial_response_strategy": "warn",
          "labels": {
            "team": "shop",
            "severity": "page"
          },
          "rules": [
            {
              "record": "job:errors:rate5m",
              "expr": "sum by (job) (rate(errors_total[5s]))"
            },
            {
              "alert": "Errors",
              "expr": "job:errors:rate5m > 0.05",
              "for": "5s",
              "keep_firing_for": "10s",
              "labels": {
                "severity": "critical"
              },
              "annotations": {
                "summary": "{{ $labels.job }} fails"
              }
            },
            {
              "alert": "Nothing",
              "expr": "absent(up)",
              "labels": null,
              "annotations": null
            }
          ]
        }
      ]
    }
    "#);
}

#[test]
fn what_nothing_would_be_left_of_is_found() {
    let text = "groups: [{ name: a, rules: [{ alert: A, expr: 'rate(x[100ms]) > 1', for: 200ms }] }]";
    let mut sources = Sources::default();
    let id = sources.add("alerts.yml", text);
    let mut findings = Findings::default();
    let _ = scaled(&parse(id, text).unwrap()[0], 600.0, &mut findings);
    let titles: Vec<_> = findings.in_reading_order().into_iter().map(|finding| finding.title).collect();
    assert_eq!(
        titles,
        [
            "100ms at 600x is less than 1ms, which Prometheus does not know",
            "200ms at 600x is less than 1ms, which Prometheus does not know",
        ]
    );
}

#[test]
fn what_is_recorded_is_known_through_its_rule() {
    let (file, _) = read(FILE);
    let recorded = Recorded::of([&file], Duration::from_secs(15));
    let (group, errors, _) = file.alerts().next().unwrap();
    assert!(recorded.has("job:errors:rate5m") && !recorded.has("errors_total"));
    assert_eq!(recorded.interval(group), Duration::from_secs(30));
    // The range, the offset of the group and its interval.
    let reach = Reach { newest: Duration::from_secs(60), oldest: Duration::from_secs(300 + 60 + 30) };
    assert_eq!(recorded.reach(errors), reach);
    assert_eq!(recorded.carried(&errors.query.expr), Carried::none().with(["job", "team", "severity"]));
}

#[test]
fn rules_that_record_from_themselves_come_to_an_end() {
    let (file, _) =
        read("groups: [{ name: a, rules: [{ record: b, expr: b + c offset 1m }, { record: c, expr: b }] }]");
    let recorded = Recorded::of([&file], Duration::from_secs(15));
    let reached =
        file.rules().map(|(_, rule)| recorded.reach(rule)).max_by_key(|reach| reach.oldest).unwrap();
    assert!(reached.oldest > Duration::from_secs(60));
}

#[test]
fn a_place_in_a_block_is_found() {
    let mut sources = Sources::default();
    let id = sources.add("alerts.yml", FILE);
    let file = check(&parse(id, FILE).unwrap(), &sources, &mut Findings::default());
    let (_, rule, _) = file.alerts().next().unwrap();
    let place = rule.query.place_of_name(&[0], &sources);
    assert_eq!((sources.text(place), sources.position(place).line), ("job:errors:rate5m", 14));
}
