use rstest::rstest;

use super::*;
use crate::route::matcher::Dialect;
use crate::yaml::parse;

/// The findings in a rule file and, with it, an Alertmanager's configuration and a Prometheus's, as `code: title`
/// with what they point at; what is said of alerts in general is left out.
fn found(rules: &str, alertmanager: &str, prometheus: &str) -> Vec<String> {
    let mut sources = Sources::default();
    let mut findings = Findings::default();
    let mut ids = Vec::new();
    let mut add = |name: &str, text: &str, sources: &mut Sources| {
        let id = sources.add(name, text);
        ids.push(id);
        parse(id, text).unwrap()
    };
    let mut subject = Subject::default();
    let documents = add("alerts.yml", rules, &mut sources);
    subject.rules.push(crate::rule::check(&documents, &sources, &mut findings));
    if !alertmanager.is_empty() {
        let documents = add("alertmanager.yml", alertmanager, &mut sources);
        subject.routing = crate::route::check(&documents[0], &sources, Dialect::Both, &mut findings);
    }
    if !prometheus.is_empty() {
        subject.prometheus =
            Some(super::source::surroundings(&add("prometheus.yml", prometheus, &mut sources)[0]));
    }
    audit(&subject, None, &sources, &mut findings);
    let kept = suppress(findings.in_reading_order(), &ids, &sources);
    let general = ["audit/severity", "audit/runbook", "audit/owner"];
    let kept = kept.into_iter().filter(|finding| !general.contains(&finding.code.name()));
    kept.map(|finding| {
        let at = sources.text(finding.place).lines().next().unwrap_or_default().to_owned();
        format!("{}: {} @ {at}", finding.code, finding.title)
    })
    .collect()
}

fn alert(expr: &str) -> String {
    format!("groups: [{{ name: a, rules: [{{ alert: A, expr: '{}' }}] }}]", expr.replace('\'', "''"))
}

#[rstest]
#[case::total("errors_total > 100", &["audit/counter: `errors_total` is a counter, and its total is compared @ errors_total"])]
#[case::total_in_a_sum("sum by (job) (errors_total) > 100", &["audit/counter: `errors_total` is a counter, and its total is compared @ errors_total"])]
#[case::total_of_totals(
    "errors_total / errors_seen_total > 0.5",
    &[
        "audit/counter: `errors_total` is a counter, and its total is compared @ errors_total",
        "audit/counter: `errors_seen_total` is a counter, and its total is compared @ errors_seen_total",
    ]
)]
#[case::rate_of_it("rate(errors_total[5m]) > 100", &[])]
#[case::growth_by_hand("errors_total - errors_total offset 5m > 100", &[])]
#[case::how_many_series("count(errors_total) > 100", &[])]
#[case::missing("absent(errors_total) > 0", &[])]
#[case::beside_it("up == 0 unless on (job) errors_total", &[])]
#[case::gauge("rate(queue_bytes[5m]) > 100", &["audit/gauge: `rate` of `queue_bytes`, which by its name is a gauge @ queue_bytes"])]
#[case::delta_of_gauge("delta(queue_bytes[5m]) > 100", &[])]
#[case::share_meant("rate(errors_total[5m]) > 0.05", &["audit/not-a-ratio: a rate per second is compared with 0.05, as if it were a share @ rate(errors_total[5m])"])]
#[case::share_meant_of_a_sum("0.05 < sum by (job) (rate(errors_total[5m]))", &["audit/not-a-ratio: a rate per second is compared with 0.05, as if it were a share @ rate(errors_total[5m])"])]
#[case::rate_meant("rate(errors_total[5m]) > 5", &[])]
#[case::share("rate(errors_total[5m]) / rate(all_total[5m]) > 0.05", &["audit/join: `errors_total` and `all_total` seem to come from two exporters, and are matched by all their labels @ rate(errors_total[5m])"])]
#[case::cpu("rate(process_cpu_seconds_total[5m]) > 0.9", &[])]
#[case::never("sum(rate(all_total{code=\"500\"}[5m])) / sum(rate(all_total[5m])) > 5", &["audit/threshold: a share is at most 1, and is compared with 5 @ 5"])]
#[case::percent("sum(rate(all_total{code=\"500\"}[5m])) / sum(rate(all_total[5m])) * 100 > 5", &[])]
#[case::burn_rate("sum(rate(all_total{code=\"500\"}[5m])) / sum(rate(all_total[5m])) > (14.4 * 0.001)", &[])]
#[case::labels_apart(
    "sum by (job) (rate(all_total[5m])) / sum by (instance) (rate(all_total[5m])) > 0.5",
    &["audit/join: only one side has `instance`, `job`, so no series of the one matches one of the other @ sum by (job) (rate(all_total[5m]))"]
)]
#[case::labels_ignored("sum by (job, code) (up) / ignoring (code) group_left () sum by (job) (up) > 0.5", &[])]
#[case::on_what_is_not_there(
    "sum by (job) (up) * on (instance) group_left () up > 0",
    &["audit/join: `on (instance)`, and the left side has no label `instance` @ sum by (job) (up)"]
)]
#[case::two_exporters(
    "process_resident_memory_bytes / node_memory_MemTotal_bytes > 0.9",
    &["audit/join: `process_resident_memory_bytes` and `node_memory_MemTotal_bytes` seem to come from two exporters, and are matched by all their labels @ process_resident_memory_bytes"]
)]
#[case::said_how("process_resident_memory_bytes / on (instance) node_memory_MemTotal_bytes > 0.9", &[])]
#[case::unless("sum by (a) (x) unless sum by (b) (x) > 1", &[])]
fn in_an_expression(#[case] expr: &str, #[case] findings: &[&str]) {
    assert_eq!(found(&alert(expr), "", ""), findings);
}

#[test]
fn quantiles_of_what_has_buckets_elsewhere() {
    let rules = "groups:\n- name: a\n  rules:\n  - { alert: A, expr: 'x_seconds{quantile=\"0.95\"} > 1' }\n  - { alert: C, expr: 'y_seconds{quantile=\"0.95\"} > 1' }\n\
                 \x20 - { record: b, expr: 'histogram_quantile(0.9, sum by (le) (rate(x_seconds_bucket[5m])))' }\n";
    assert_eq!(
        found(rules, "", ""),
        [
            "audit/quantile: `x_seconds` is a histogram, whose series have no label `quantile` @ x_seconds{quantile=\"0.95\"}"
        ]
    );
}

#[rstest]
#[case::as_usual("", &[
    "audit/range: a range of 90s holds fewer than two samples at one every 1m @ x[90s]",
    "audit/for: `for` is shorter than the 1m between two evaluations @ 30s",
])]
#[case::often("global: { scrape_interval: 15s, evaluation_interval: 15s }", &[])]
#[case::one_job_seldom(
    "{ global: { scrape_interval: 15s, evaluation_interval: 15s }, scrape_configs: [{ job_name: a, scrape_interval: 2m }] }",
    &["audit/range: a range of 90s holds fewer than two samples at one every 2m @ x[90s]"]
)]
fn durations_too_short_for_prometheus(#[case] prometheus: &str, #[case] findings: &[&str]) {
    let rules = "groups: [{ name: a, rules: [{ alert: A, expr: 'rate(x[90s]) > 1', for: 30s }] }]";
    let prometheus = if prometheus.is_empty() { "global: {}" } else { prometheus };
    let findings: Vec<_> = findings.iter().map(|one| one.replace("of 90s", "of 1m30s")).collect();
    assert_eq!(found(rules, "", prometheus), findings);
}

#[test]
fn without_a_configuration_only_a_groups_own_interval_is_known() {
    let rules =
        "groups: [{ name: a, interval: 5m, rules: [{ alert: A, expr: 'rate(x[5s]) > 1', for: 1m }] }]";
    assert_eq!(
        found(rules, "", ""),
        ["audit/for: `for` is shorter than the 5m between two evaluations @ 1m"]
    );
}

#[rstest]
#[case::plain("{{ $labels.job }} has {{ $value | humanize }}", &[])]
#[case::label_lost("{{ $labels.instance }} is down", &["audit/template: what the expression gives has no label `instance` @ $labels.instance"])]
#[case::label_by_field("{{ .Labels.instance }} is down", &["audit/template: what the expression gives has no label `instance` @ .Labels.instance"])]
#[case::alertname("{{ $labels.alertname }}", &["audit/template: what the expression gives has no label `alertname` @ $labels.alertname"])]
#[case::function("{{ $value | humanise }}", &["rule/template: templates know no function `humanise` @ humanise"])]
#[case::variable("{{ $label.job }}", &["rule/template: the variable `$label` is not set @ $label"])]
#[case::variable_set("{{ with $x := 1 }}{{ $x }}{{ end }}", &[])]
#[case::variables_of_range("{{ range $i, $e := query \"up\" }}{{ $e.Labels.instance }}{{ $i }}{{ end }}", &[])]
#[case::query("{{ with query \"up{job='x'}\" }}{{ . | first | value | printf \"%.2f\" }}{{ end }}", &[])]
#[case::comment("{{/* nothing to humanise */}}", &[])]
#[case::braces_in_quotes("{{ printf \"}}\" }}", &[])]
#[case::open("{{ $value", &["rule/template: `{{` is not closed @ {{"])]
fn in_a_text(#[case] text: &str, #[case] findings: &[&str]) {
    let rules = format!(
        "groups:\n- name: a\n  rules:\n  - alert: A\n    expr: sum by (job) (up) == 0\n    annotations:\n      summary: '{}'\n",
        text.replace('\'', "''")
    );
    assert_eq!(found(&rules, "", ""), findings);
}

const RULES: &str = "groups: [{ name: a, rules: [{ alert: Down, expr: up == 0, labels: { severity: critical, team: web } }, { alert: Slow, expr: sum(x) > 1, labels: { severity: warning, team: '{{ $value }}' } }] }]";

#[rstest]
#[case::all_used("{ receiver: a, routes: [{ matchers: [severity=critical], receiver: b }] }", &[])]
#[case::unused("{ receiver: a }", &["audit/receiver: no alert can come to the receiver `b` @ b"])]
#[case::taken_before(
    "{ receiver: a, routes: [{ matchers: ['severity=~\"critical|warning\"'] }, { matchers: [severity=critical], receiver: b }] }",
    &[
        "audit/shadowed-route: an earlier route takes all that this one would @ severity=critical",
    ]
)]
#[case::taken_by_all(
    "{ receiver: a, routes: [{ group_by: [x] }, { matchers: [severity=critical], receiver: b }] }",
    &[
        "audit/shadowed-route: an earlier route takes all that this one would @ severity=critical",
        "audit/receiver: no alert can come to the receiver `b` @ b",
    ]
)]
#[case::let_go_on("{ receiver: a, routes: [{ continue: true }, { matchers: [severity=critical], receiver: b }] }", &[])]
#[case::no_such_value(
    "{ receiver: a, routes: [{ matchers: [severity=page], receiver: b }] }",
    &["audit/route: no alert of these rules comes to this route @ severity=page"]
)]
#[case::perhaps_by_template("{ receiver: a, routes: [{ matchers: [severity=warning, team=db], receiver: b }] }", &[])]
#[case::perhaps_by_a_series("{ receiver: a, routes: [{ matchers: [zone=x], receiver: b }] }", &[])]
fn in_routes(#[case] route: &str, #[case] findings: &[&str]) {
    let config = format!(
        "route: {route}\nreceivers: [{{ name: a, webhook_configs: [{{}}] }}, {{ name: b, webhook_configs: [{{}}] }}]\n"
    );
    assert_eq!(found(RULES, &config, ""), findings);
}

#[test]
fn with_prometheus_known_labels_that_nothing_sets_are_known_not_to_be_there() {
    let rules = "groups: [{ name: a, rules: [{ alert: A, expr: sum(x) > 1 }] }]";
    let config = "route: { receiver: 'null', routes: [{ matchers: [cluster=b] }, { matchers: [team=db] }] }\nreceivers: [{ name: 'null' }]\n";
    let prometheus = "global: { external_labels: { cluster: a } }";
    assert_eq!(
        found(rules, config, prometheus),
        [
            "audit/route: no alert of these rules comes to this route @ cluster=b",
            "audit/route: no alert of these rules comes to this route @ team=db",
        ]
    );
}

#[test]
fn receivers_and_inhibitions_that_are_there_for_nothing() {
    let config = "route: { receiver: a }\nreceivers: [{ name: a }]\n\
                  inhibit_rules: [{ source_matchers: [severity=page], target_matchers: [severity=warning] }]\n";
    assert_eq!(
        found(RULES, config, ""),
        [
            "audit/silent-receiver: the receiver `a` tells nobody @ a",
            "audit/inhibition: no alert of these rules is a source of this inhibition @ severity=page",
        ]
    );
}

#[rstest]
#[case::behind("  - { alert: A, expr: a_total > 1 } # firedrill: ignore audit/counter because it is reset each night\n  - { alert: B, expr: b_total > 1 }\n", &["b_total"])]
#[case::before("  # firedrill: ignore audit/counter because it is reset each night\n  - alert: A\n    expr:\n      a_total > 1\n  - { alert: B, expr: b_total > 1 }\n", &["b_total"])]
#[case::other_code("  # firedrill: ignore audit/gauge because it is reset each night\n  - { alert: A, expr: a_total > 1 }\n", &["a_total"])]
#[case::no_reason("  # firedrill: ignore audit/counter\n  - { alert: A, expr: a_total > 1 }\n", &["# firedrill: ignore audit/counter", "a_total"])]
#[case::no_code("  # firedrill: ignore audit/conter because I say so\n", &["# firedrill: ignore audit/conter because I say so"])]
#[case::not_the_audits("  # firedrill: ignore rule/expression because I say so\n", &["# firedrill: ignore rule/expression because I say so"])]
#[case::no_comment("  - { alert: A, expr: a_total > 1, annotations: { x: 'firedrill: ignore audit/counter because' } }\n", &["a_total"])]
fn a_comment_puts_a_finding_aside(#[case] rules: &str, #[case] at: &[&str]) {
    let found = found(&format!("groups:\n- name: a\n  rules:\n{rules}"), "", "");
    let places: Vec<_> = found.iter().filter_map(|one| one.split_once(" @ ")).map(|(_, at)| at).collect();
    assert_eq!(places, at, "{found:?}");
}
