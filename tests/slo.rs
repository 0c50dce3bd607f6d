//! OpenSLO files from text to SLOs.
#![cfg(test)]

use firedrill::finding::{Code, Finding, Findings};
use firedrill::slo::{self, Measure, NotByRun, RunMeasure, Slo, Window};
use firedrill::source::{At, Sources};
use firedrill::yaml;
use proptest::prelude::*;
use rstest::rstest;

/// The SLOs of some files, and what was found in them.
fn slos(sources: &Sources) -> (Vec<Slo>, Vec<Finding>) {
    let mut findings = Findings::default();
    let mut documents = Vec::new();
    for (id, file) in sources.iter() {
        match yaml::parse(id, &file.text) {
            Ok(nodes) => documents.extend(slo::check(&nodes, &mut findings)),
            Err(all) => findings.extend(all),
        }
    }
    let slos = slo::resolve(&documents, &mut findings);
    (slos, findings.in_reading_order())
}

/// The SLOs of one text, and their findings by code.
fn read(text: &str) -> (Vec<Slo>, Vec<Code>) {
    let mut sources = Sources::default();
    sources.add("slo.yaml", text);
    let (slos, findings) = slos(&sources);
    (slos, findings.iter().map(|finding| finding.code).collect())
}

/// The one objective of the one SLO in a text without errors.
fn objective(text: &str) -> slo::Objective {
    let (slos, _) = read(text);
    let [slo] = slos.as_slice() else { panic!("{} SLOs in\n{text}", slos.len()) };
    slo.objectives[0].clone()
}

/// An SLO with this indicator, method and objective, all in flow style.
fn slo_with(indicator: &str, method: &str, objective: &str) -> String {
    format!(
        "apiVersion: openslo/v1\n\
         kind: SLO\n\
         metadata: {{ name: tested }}\n\
         spec:\n  \
           service: shop\n  \
           indicator: {{ metadata: {{ name: own }}, spec: {indicator} }}\n  \
           timeWindow: [{{ duration: 30d, isRolling: true }}]\n  \
           budgetingMethod: {method}\n  \
           objectives: [{objective}]\n"
    )
}

const LATENCY: &str =
    "{ thresholdMetric: { metricSource: { type: firedrill, spec: { sli: shop, quantity: latency } } } }";

fn ratio(side: &str, counted: &str, total: &str) -> String {
    let source = |spec: &str| format!("{{ metricSource: {{ type: {spec} }} }}");
    format!("{{ ratioMetric: {{ {side}: {}, total: {} }} }}", source(counted), source(total))
}

#[test]
fn the_quickstart_promises_what_its_comments_say() {
    let (slos, codes) = read(include_str!("../slos/quickstart.yaml"));
    assert_eq!(codes, []);
    let said: Vec<_> = slos
        .iter()
        .flat_map(|slo| {
            slo.objectives.iter().map(move |promise| format!("{}: {promise} over {}", slo.name, slo.window))
        })
        .collect();
    assert_eq!(
        said,
        ["shop-available: 99% good over 30d rolling", "shop-fast: 95% within 250ms over 30d rolling"]
    );
    let by_run: Vec<_> =
        slos.iter().flat_map(|slo| &slo.objectives).map(|promise| promise.over_run().unwrap()).collect();
    let [RunMeasure::Good { sli }, RunMeasure::Within { sli: timed, limit }] = by_run.as_slice() else {
        panic!("{by_run:?}")
    };
    assert_eq!((sli.as_str(), timed.as_str(), limit.as_millis()), ("shop", "shop", 250));
}

#[test]
fn the_target_is_what_an_objective_points_at() {
    let mut sources = Sources::default();
    sources.add("slos/quickstart.yaml", include_str!("../slos/quickstart.yaml"));
    let (slos, _) = slos(&sources);
    let targets: Vec<_> = slos.iter().map(|slo| sources.text(slo.objectives[0].place)).collect();
    assert_eq!(targets, ["0.99", "0.95"]);
}

/// The example of the notes on OpenSLO that this reader follows.
const TIMESLICES: &str = r"
apiVersion: openslo/v1
kind: SLO
metadata: { name: checkout-ok, labels: { team: [shop], tier: '1' } }
spec:
  service: checkout
  budgetingMethod: Timeslices
  timeWindow: [{ duration: 1M, isRolling: false, calendar: { startTime: 2026-01-01 00:00:00, timeZone: Europe/Berlin } }]
  indicator:
    metadata: { name: checkout-probe }
    spec:
      ratioMetric:
        counter: true
        bad:   { metricSource: { type: firedrill, spec: { sli: checkout, count: bad } } }
        total: { metricSource: { type: firedrill, spec: { sli: checkout, count: valid } } }
  objectives: [{ displayName: good-minutes, target: 0.995, timeSliceTarget: 0.95, timeSliceWindow: 1m }]
  alertPolicies: [{ alertPolicyRef: page-fast-burn }]
";

const POLICY: &str = r"
- apiVersion: openslo/v1
  kind: AlertPolicy
  metadata: { name: page-fast-burn }
  spec:
    alertWhenBreaching: true
    conditions: [{ conditionRef: fast-burn }]
    notificationTargets: [{ targetRef: on-call }]
- apiVersion: openslo/v1
  kind: AlertCondition
  metadata: { name: fast-burn }
  spec: { severity: page, condition: { kind: burnrate, op: gt, threshold: 14.4, lookbackWindow: 1h, alertAfter: 2m } }
- { apiVersion: openslo/v1, kind: AlertNotificationTarget, metadata: { name: on-call }, spec: { target: pager } }
";

#[test]
fn references_reach_over_files() {
    let mut sources = Sources::default();
    sources.add("slo.yaml", TIMESLICES);
    sources.add("alerts.yaml", POLICY);
    let (slos, findings) = slos(&sources);
    assert_eq!(findings, []);
    let [slo] = slos.as_slice() else { panic!("{slos:?}") };
    assert_eq!(slo.labels["team"], ["shop"]);
    assert_eq!(slo.labels["tier"], ["1"]);
    assert_eq!(slo.window.to_string(), "1M from 2026-01-01 00:00:00 Europe/Berlin");
    assert_eq!(slo.objectives[0].label, "good-minutes");
    assert_eq!(slo.objectives[0].to_string(), "99.5% of 1m slices 95% good");
    assert_eq!(slo.policies[0].condition.to_string(), "burn rate above 14.4 over 1h for 2m");
    assert_eq!(slo.policies[0].targets[0].target.value, "pager");
}

#[test]
fn json_and_yaml_read_alike() {
    let json = r#"[
	{ "apiVersion": "openslo/v1", "kind": "SLO", "metadata": { "name": "a" },
	  "spec": {
		"service": "shop",
		"indicator": { "metadata": { "name": "own" }, "spec": { "thresholdMetric": { "metricSource": {
			"type": "Prometheus", "spec": { "query": "up" } } } } },
		"timeWindow": [{ "duration": "1Q", "isRolling": true }],
		"budgetingMethod": "Occurrences",
		"objectives": [{ "targetPercent": 99.9, "op": "gte", "value": 1 }]
	} }
]"#;
    let (slos, codes) = read(json);
    assert_eq!(codes, []);
    assert_eq!(slos[0].objectives[0].to_string(), "99.9% at least 1");
    assert!(matches!(slos[0].window, Window::Rolling(period) if period.nominal().as_secs() == 90 * 86_400));
}

#[test]
fn what_stands_between_dashes_may_be_nothing() {
    let (slos, codes) = read(&format!("---\n---\n{TIMESLICES}\n---\n{}\n---\n", POLICY.trim_start()));
    assert_eq!((slos.len(), codes), (1, vec![]));
}

#[test]
fn an_empty_list_of_alert_policies_is_none() {
    // As in an example of OpenSLO's own.
    let text =
        slo_with(LATENCY, "Occurrences", "{ target: 0.9, op: lte, value: 1 }") + "  alertPolicies: # soon\n";
    let (slos, codes) = read(&text);
    assert_eq!((slos[0].policies.len(), codes), (0, vec![]));
}

#[test]
fn who_names_a_broken_document_is_not_to_blame() {
    let (slos, codes) = read(
        &(TIMESLICES.replace("page-fast-burn", "broken")
            + "---\napiVersion: openslo/v1\nkind: AlertPolicy\nmetadata: { name: broken }\nspec: { oh: no }\n"),
    );
    assert_eq!(slos.len(), 0);
    assert_eq!(codes, [Code::FileMissingKey, Code::FileUnknownKey]);
}

#[test]
fn a_data_source_lends_its_type() {
    let text = "apiVersion: openslo/v1\nkind: DataSource\nmetadata: { name: eu }\n\
                spec: { type: Prometheus, connectionDetails: { url: http://prometheus.test } }\n---\n"
        .to_owned()
        + &slo_with(
            "{ thresholdMetric: { metricSource: { metricSourceRef: eu, spec: { query: up, step: 1m } } } }",
            "Occurrences",
            "{ target: 0.9, op: gte, value: 1 }",
        );
    let Measure::Threshold { metric: slo::Query::Prometheus { query, source }, .. } =
        objective(&text).measure
    else {
        panic!("not read as Prometheus")
    };
    let source = source.unwrap();
    assert_eq!((query.as_str(), source.name.as_str()), ("up", "eu"));
    assert_eq!(
        source.connection.unwrap().0.get("url").and_then(yaml::Node::scalar),
        Some("http://prometheus.test")
    );
}

#[rstest]
#[case("target: 0.999", 0.999)]
#[case("target: 0.9999999999999999", 0.999_999_999_999_999_9)]
#[case("targetPercent: 99.9", 0.999)]
#[case("targetPercent: 99.95", 0.9995)]
#[case("targetPercent: 99.999999", 0.999_999_99)]
#[case("target: 0", 0.0)]
fn a_target_is_never_rounded(#[case] written: &str, #[case] share: f64) {
    let text = slo_with(LATENCY, "Occurrences", &format!("{{ op: lte, value: 0.25, {written} }}"));
    assert_eq!(objective(&text).target.share().to_bits(), share.to_bits());
}

#[rstest]
#[case::good("good", "firedrill, spec: { sli: shop, count: good }", "shop")]
#[case::bad("bad", "firedrill, spec: { sli: shop, count: bad }", "shop")]
fn a_run_judges_the_good_samples_of_one_sli(#[case] side: &str, #[case] counted: &str, #[case] sli: &str) {
    let indicator = ratio(side, counted, "firedrill, spec: { sli: shop, count: valid }");
    let measure = objective(&slo_with(&indicator, "Occurrences", "{ target: 0.99 }")).over_run();
    assert!(matches!(measure, Ok(RunMeasure::Good { sli: At { value, .. } }) if value == sli));
}

#[rstest]
#[case::at_most("lte", "0.25", "95% within 250ms", 250_000_000)]
#[case::below("lt", "0.25", "95% under 250ms", 249_999_999)]
#[case::long("lte", "90", "95% within 1m30s", 90_000_000_000)]
fn a_run_judges_latency_to_the_nanosecond(
    #[case] op: &str,
    #[case] value: &str,
    #[case] words: &str,
    #[case] nanos: u128,
) {
    let text = slo_with(LATENCY, "Occurrences", &format!("{{ target: 0.95, op: {op}, value: {value} }}"));
    let objective = objective(&text);
    assert_eq!(objective.to_string(), words);
    let Ok(RunMeasure::Within { limit, .. }) = objective.over_run() else { panic!("not judged by a run") };
    assert_eq!(limit.as_nanos(), nanos);
}

#[rstest]
#[case::prometheus(
    "prometheus, spec: { query: good }",
    "prometheus, spec: { query: all }",
    "Occurrences",
    "",
    "its numbers come from `prometheus`, and a run has only its own samples"
)]
#[case::half_elsewhere(
    "firedrill, spec: { sli: shop, count: good }",
    "Datadog, spec: { query: all }",
    "Occurrences",
    "",
    "its numbers come from `Datadog`, and a run has only its own samples"
)]
#[case::two_slis(
    "firedrill, spec: { sli: shop, count: good }",
    "firedrill, spec: { sli: till, count: valid }",
    "Occurrences",
    "",
    "it compares `shop` with `till`, and a run judges the samples of one SLI"
)]
#[case::slices(
    "firedrill, spec: { sli: shop, count: good }",
    "firedrill, spec: { sli: shop, count: valid }",
    "RatioTimeslices",
    ", timeSliceWindow: 5m",
    "its budget is spent by slices of 5m, and a run judges occurrences only"
)]
fn what_a_run_cannot_judge_has_a_reason(
    #[case] good: &str,
    #[case] total: &str,
    #[case] method: &str,
    #[case] more: &str,
    #[case] why: &str,
) {
    let text = slo_with(&ratio("good", good, total), method, &format!("{{ target: 0.99{more} }}"));
    assert_eq!(objective(&text).over_run().unwrap_err().to_string(), why);
}

#[test]
fn a_part_of_a_composite_is_not_judged_alone() {
    let own = format!("indicator: {{ metadata: {{ name: own }}, spec: {LATENCY} }}, op: lte, value: 1");
    let text = slo_with(
        LATENCY,
        "Occurrences",
        &format!("{{ target: 0.99, {own} }}, {{ target: 0.9, {own}, compositeWeight: 2.5 }}"),
    );
    let text = text.replace(&format!("  indicator: {{ metadata: {{ name: own }}, spec: {LATENCY} }}\n"), "");
    let (slos, codes) = read(&text);
    assert_eq!(codes, []);
    let weights: Vec<_> = slos[0].objectives.iter().map(|part| part.weight).collect();
    assert_eq!(weights, [Some(1.0), Some(2.5)]);
    assert_eq!(slos[0].objectives[0].over_run(), Err(NotByRun::Composite));
}

#[rstest]
#[case::a_scalar("hello", Code::FileType)]
#[case::a_list_of_scalars("[1]", Code::FileType)]
#[case::no_version("kind: SLO", Code::FileMissingKey)]
#[case::no_kind("apiVersion: openslo/v1", Code::FileMissingKey)]
#[case::a_strange_kind(
    "{ apiVersion: openslo/v1, kind: SL0, metadata: { name: a }, spec: {} }",
    Code::FileValue
)]
#[case::a_list_as_version("{ apiVersion: [openslo/v1], kind: SLO }", Code::FileType)]
#[case::no_name("{ apiVersion: openslo/v1, kind: Service, metadata: {}, spec: {} }", Code::FileMissingKey)]
#[case::an_unknown_key(
    "{ apiVersion: openslo/v1, kind: Service, metadata: { nmae: a, name: b }, spec: {} }",
    Code::FileUnknownKey
)]
fn a_document_of_the_wrong_shape_is_found(#[case] text: &str, #[case] code: Code) {
    let (slos, codes) = read(text);
    assert!(slos.is_empty());
    assert!(codes.contains(&code), "{codes:?}");
}

/// A schema as a validator understands it.
fn validator() -> jsonschema::Validator {
    jsonschema::validator_for(&slo::schema().to_value()).expect("the schema is one")
}

/// Each document of a file, as JSON.
fn as_json(text: &str) -> Vec<serde_json::Value> {
    fn convert(node: &yaml::Node) -> serde_json::Value {
        match &node.kind {
            yaml::Kind::Null => serde_json::Value::Null,
            yaml::Kind::Bool(value, _) => (*value).into(),
            yaml::Kind::Int(value, _) => (*value).into(),
            yaml::Kind::Float(value, _) => (*value).into(),
            yaml::Kind::Text(text) => text.as_str().into(),
            yaml::Kind::List(items) => items.iter().map(convert).collect(),
            yaml::Kind::Map(entries) => {
                entries.iter().map(|(key, value)| (key.name.clone(), convert(value))).collect()
            }
        }
    }
    let id = Sources::default().add("slo.yaml", text);
    yaml::parse(id, text).expect("a good file").iter().map(convert).collect()
}

#[rstest]
#[case::quickstart(include_str!("../slos/quickstart.yaml"))]
#[case::time_slices(TIMESLICES)]
#[case::a_list(POLICY)]
fn the_schema_takes_what_is_read(#[case] text: &str) {
    for document in as_json(text) {
        let complaints: Vec<_> = validator().iter_errors(&document).map(|error| error.to_string()).collect();
        assert_eq!(complaints, Vec::<String>::new());
    }
}

#[rstest]
#[case::another_version("openslo/v1", "openslo/v2")]
#[case::another_kind("kind: SLO", "kind: Service")]
#[case::an_unknown_key("  service:", "  sevrice: x\n  service:")]
#[case::no_budget("target: 0.99", "target: 1")]
#[case::seconds("30d", "30s")]
#[case::an_empty_source("{ sli: shop, count: good }", "{}")]
fn the_schema_refuses_what_is_not(#[case] from: &str, #[case] to: &str) {
    let quickstart = include_str!("../slos/quickstart.yaml");
    assert!(quickstart.contains(from));
    let documents = as_json(&quickstart.replacen(from, to, 1));
    assert!(!validator().is_valid(&documents[0]));
}

#[test]
fn every_key_is_explained() {
    fn walk(schema: &serde_json::Value, at: &str, silent: &mut Vec<String>) {
        let Some(keys) = schema.get("properties").and_then(serde_json::Value::as_object) else { return };
        let explained = |key: &serde_json::Value| key.get("description").is_some();
        silent.extend(keys.iter().filter(|(_, key)| !explained(key)).map(|(name, _)| format!("{at}.{name}")));
    }
    let schema = slo::schema().to_value();
    let mut silent = Vec::new();
    for (name, definition) in schema["$defs"].as_object().expect("definitions") {
        walk(definition, name, &mut silent);
    }
    assert_eq!(silent, Vec::<String>::new());
}

/// Text that is now and then an OpenSLO document: a good one with some of its lines or words replaced.
fn mangled() -> impl Strategy<Value = String> {
    let good = prop_oneof![Just(TIMESLICES), Just(POLICY), Just(include_str!("../slos/quickstart.yaml"))];
    let words = prop_oneof![
        Just("null"),
        Just("[]"),
        Just("{}"),
        Just("-1"),
        Just("1e400"),
        Just(".nan"),
        Just("0m"),
        Just("99999999999Y"),
        Just("SLO"),
        Just("firedrill"),
        Just("true"),
        Just("[[a], {b: c}]"),
        Just("ä"),
    ];
    (good, proptest::collection::vec((any::<prop::sample::Index>(), words), 0..6)).prop_map(
        |(good, swaps)| {
            let mut text = good.to_owned();
            for (index, word) in swaps {
                let values: Vec<_> = text.match_indices(": ").map(|(at, _)| at + 2).collect();
                let from = values[index.index(values.len())];
                let to = text[from..].find([',', '}', ']', '\n']).map_or(text.len(), |end| from + end);
                text.replace_range(from..to, word);
            }
            text
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_document_panics(text in mangled()) {
        let mut sources = Sources::default();
        sources.add("slo.yaml", text);
        let (slos, findings) = slos(&sources);
        for finding in &findings {
            let _ = finding.draw(&sources).render(false);
        }
        for objective in slos.iter().flat_map(|slo| &slo.objectives) {
            let _ = (objective.to_string(), objective.over_run());
        }
    }

    #[test]
    fn no_text_panics(text in "[-\\[\\]{}:, \n#&*!|>'\"%@a-zA-Z0-9/.]{0,120}") {
        let _ = read(&text);
    }
}
