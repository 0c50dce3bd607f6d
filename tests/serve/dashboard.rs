//! The dashboard and the rules for what `serve` exposes, against a real Prometheus that scrapes it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::blackbox::{Running, certified, free, secured};
use super::*;

/// How long a whole minute may take to be over, written and looked at.
const MINUTES: Duration = Duration::from_secs(240);

const DASHBOARD: &str = include_str!("../../docs/grafana/serve.json");

/// Every query of the dashboard, for all scenarios and SLOs.
fn queries() -> BTreeSet<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let filled = |expr: &str| {
        let expr = expr.replace("$__rate_interval", "30s").replace("$scenario", ".*").replace("$slo", ".*");
        assert!(!expr.contains('$'), "a variable that nobody knows: {expr}");
        expr
    };
    targets.map(|target| filled(target["expr"].as_str().unwrap())).collect()
}

/// What a query gives now.
fn query(prometheus: &Running, expr: &str) -> Vec<Value> {
    let encoded: String = url::form_urlencoded::byte_serialize(expr.as_bytes()).collect();
    let (status, body) =
        ask(prometheus.1, &format!("GET /api/v1/query?query={encoded} HTTP/1.0\r\nhost: x\r\n\r\n"));
    // It is still reading what it had before.
    if status == 503 {
        return Vec::new();
    }
    assert_eq!(status, 200, "{expr}: {body}");
    serde_json::from_str::<Value>(&body).unwrap()["data"]["result"].as_array().unwrap().clone()
}

/// A Prometheus that scrapes what is served, with the rules beside it.
fn scraping(folder: &Folder, serving: &Serving, more: &[&str]) -> Running {
    fs::write(
        folder.0.join("prometheus.yml"),
        format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [rules.yml]\nscrape_configs:\n  \
             - job_name: firedrill\n    static_configs: [{{ targets: ['{}'] }}]\n",
            serving.address
        ),
    )
    .unwrap();
    let address = free();
    let mut command = std::process::Command::new("prometheus");
    command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=prometheus"]).args(more);
    command.arg(format!("--web.listen-address={address}")).current_dir(&folder.0);
    Running::start(&mut command, address)
}

#[test]
#[ignore = "needs prometheus and promtool"]
fn every_query_of_the_dashboard_has_data_and_the_rules_work() {
    let folder = Folder::new("dashboard");
    let config = certified(&folder.0);
    let slos = "slos: [../slo.yaml, ../fast.yaml]\nsteps:";
    folder.scenario("well", &probing("well", target(WELL), "500ms").replace("steps:", slos));
    folder.scenario("ill", &probing("ill", target(HOSTILE), "500ms"));
    let tls = secured(config, WELL);
    folder.scenario("tls", &format!(
        "scenario: tls\nevery: 500ms\nsteps:\n  - name: get\n    http: {{ get: 'https://{tls}/', tls: {{ ca: ../ca.pem }} }}\n    expect: {{ status: 200 }}\n"
    ));
    fs::write(folder.0.join("slo.yaml"), SLO).unwrap();
    let fast = SLO.replace("name: answers", "name: fast").replace("It answers", "It is fast").replace(
        "      ratioMetric:
        counter: true
        good: { metricSource: { type: firedrill, spec: { sli: shop, count: good } } }
        total: { metricSource: { type: firedrill, spec: { sli: shop, count: valid } } }
",
        "      thresholdMetric: { metricSource: { type: firedrill, spec: { sli: shop, quantity: latency } } }
",
    );
    let fast = fast.replace("target: 0.99 }", "target: 0.99, op: lte, value: 0.5 }");
    fs::write(folder.0.join("fast.yaml"), fast).unwrap();
    let serving = Serving::start(&folder.0, &[]);

    let rules = std::process::Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .args(["rules", "slo.yaml", "fast.yaml"])
        .current_dir(&folder.0)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&rules.stderr).into_owned();
    assert!(rules.status.success(), "{said}");
    fs::write(folder.0.join("rules.yml"), &rules.stdout).unwrap();
    let checked = std::process::Command::new("promtool")
        .args(["check", "rules", "rules.yml"])
        .current_dir(&folder.0)
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
    let prometheus = scraping(&folder, &serving, &[]);
    let mut wanted = queries();
    assert!(wanted.len() > 20, "{wanted:?}");
    for slo in ["answers", "fast"] {
        wanted.insert(format!("slo:error_ratio:rate5m{{slo=\"{slo}\"}}"));
    }
    let began = Instant::now();
    while !wanted.is_empty() {
        wanted.retain(|expr| query(&prometheus, expr).is_empty());
        assert!(began.elapsed() < MINUTES, "no data: {wanted:#?}");
        std::thread::sleep(Duration::from_secs(1));
    }
    // Half of the answers are ill: the rule and the prober count the same.
    let ratio = query(&prometheus, "slo:error_ratio:rate5m{slo=\"answers\"}");
    let ratio: f64 = ratio[0]["value"][1].as_str().unwrap().parse().unwrap();
    assert!((0.3..0.7).contains(&ratio), "{ratio}");
}

#[test]
#[ignore = "needs prometheus"]
fn a_prometheus_that_asks_for_native_histograms_has_them() {
    let folder = Folder::new("native");
    let serving = serving_one(&folder, &[]);
    serving.until("firedrill_sli_good_total", &[("sli", "shop")], |good| good > 0.0);
    let prometheus = scraping(&folder, &serving, &["--enable-feature=native-histograms"]);
    let began = Instant::now();
    // A classic histogram has no series of this name.
    let of = |expr: &str| -> Option<f64> {
        let answer = query(&prometheus, &format!("{expr} and on() (up == 1)"));
        answer.first()?["value"][1].as_str()?.parse().ok()
    };
    let (count, median) = loop {
        let count = of("histogram_count(firedrill_sli_latency_seconds{sli='shop'})");
        let median = of("histogram_quantile(0.5, firedrill_sli_latency_seconds{sli='shop'})");
        if let (Some(count), Some(median)) = (count, median) {
            break (count, median);
        }
        assert!(began.elapsed() < PATIENCE, "no native histogram: {:?}", query(&prometheus, "up"));
        std::thread::sleep(Duration::from_millis(500));
    };
    assert!(count >= 1.0 && median > 0.0 && median < 30.0, "{count} {median}");
    assert!(of("firedrill_scenario_passed{scenario='well'}").is_some(), "the other families are there, too");
}
