//! The files that are begun with, each with comments on what to change.

use std::fmt::Write as _;

use super::look::{Answers, Found};

/// Alerts that are named in a comment.
const MOST_NAMED: usize = 12;

/// Every file by its name; each begins with a comment that says what it is.
pub(super) fn files(found: &Found) -> Vec<(&'static str, String)> {
    vec![
        ("scenario.yaml", scenario(found)),
        ("slo.yaml", slo(found)),
        ("drill.yaml", drill(found)),
        ("stack.yaml", stack(found)),
        ("stand-in.yaml", stand_in(found)),
        ("prometheus.yml", prometheus(found)),
        ("alerts.yml", alerts(found)),
        ("alertmanager.yml", ALERTMANAGER.to_owned()),
    ]
}

/// A text as YAML reads it whatever is in it, with nothing to fill in.
fn quoted(text: &str) -> String {
    let text = text.replace("${", "$${");
    serde_json::to_string(&text).unwrap_or_default()
}

fn scenario(found: &Found) -> String {
    let name = &found.name;
    let mut text = format!(
        "# What a user does, asked of the real system: firedrill run scenario.yaml\n\
         scenario: {name}\n\
         about: Written by `firedrill init`. Change what does not fit.\n\
         vars: {{ base: {} }}\n\
         slos: [slo.yaml]\n\n\
         background:\n\
         \x20 # Gentle load for the objectives of slo.yaml: a hundred requests, so that something can be said.\n\
         \x20 - name: visitors\n\
         \x20   load:\n\
         \x20     rate: 5/s\n\
         \x20     for: 20s\n\
         \x20     http: {{ get: {} }}\n\
         \x20   sli: {name}\n\n\
         steps:\n",
        quoted(&found.url),
        based(main_path(found)),
    );
    for (kind, path) in [("health", &found.health), ("ready", &found.ready)] {
        text += &path.as_ref().map(|path| how_it_is(kind, path)).unwrap_or_default();
    }
    for path in &found.reads {
        let _ = write!(
            text,
            "  - name: {}\n    http: {{ get: {} }}\n    expect: {{ status: 200, latency: under 1s }}\n",
            quoted(&format!("read {path}")),
            based(path)
        );
    }
    if found.reads.is_empty() {
        let _ = write!(
            text,
            "  # The first page. Add what a user really does: `post`, `json`, `capture`, `bearer` (docs/files.md).\n  \
             - name: answers\n    http: {{ get: {} }}\n    expect: {{ status: [2xx, 3xx, 4xx], latency: under 1s }}\n",
            based("/")
        );
    }
    if let Some(metric) = found.metrics.first() {
        let (metric, kind) = (quoted(&metric.name), if metric.counter { "counter" } else { "gauge" });
        let _ = write!(
            text,
            "  - name: what it counts\n    metrics:\n      url: \"${{base}}/metrics\"\n      families:\n        \
             {metric}: {{ type: {kind} }}\n"
        );
    }
    text
}

/// Below the system's address.
fn based(path: &str) -> String {
    quoted(path).replacen('"', "\"${base}", 1)
}

/// What is asked again and again.
fn main_path(found: &Found) -> &str {
    let health = found.health.as_ref().map(|health| health.path.as_str());
    found.reads.first().map(String::as_str).or(health).unwrap_or("/")
}

fn how_it_is(kind: &str, found: &Answers) -> String {
    let path = based(&found.path);
    if found.in_words {
        format!("  - {kind}: {{ url: {path} }}\n    within: 10s\n")
    } else {
        // It says nothing but its status.
        format!("  - name: {kind}\n    http: {{ get: {path} }}\n    within: 10s\n")
    }
}

fn slo(found: &Found) -> String {
    let name = &found.name;
    format!(
        "# What the system promises, in OpenSLO v1 (https://openslo.com); judged by what scenario.yaml measures\n\
         apiVersion: openslo/v1\n\
         kind: SLO\n\
         metadata: {{ name: {name}-available }}\n\
         spec:\n\
         \x20 description: Of twenty requests at most one goes wrong. Tighten it once more is measured.\n\
         \x20 service: {name}\n\
         \x20 indicator:\n\
         \x20   metadata: {{ name: {name}-requests }}\n\
         \x20   spec:\n\
         \x20     ratioMetric:\n\
         \x20       counter: true\n\
         \x20       good: {{ metricSource: {{ type: firedrill, spec: {{ sli: {name}, count: good }} }} }}\n\
         \x20       total: {{ metricSource: {{ type: firedrill, spec: {{ sli: {name}, count: valid }} }} }}\n\
         \x20 timeWindow: [{{ duration: 30d, isRolling: true }}]\n\
         \x20 budgetingMethod: Occurrences\n\
         \x20 objectives: [{{ displayName: 95% are good, target: 0.95 }}]\n"
    )
}

fn drill(found: &Found) -> String {
    let name = &found.name;
    let known = match &found.alerts {
        Some(alerts) if !alerts.is_empty() => {
            let named = alerts.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join(", ");
            let more = if alerts.len() > MOST_NAMED { ", …" } else { "" };
            format!(
                "# Your Prometheus knows these alerts: {named}{more}.\n\
                 # Put its prometheus.yml and rule files in place of those here, and drill each.\n"
            )
        }
        Some(_) | None => String::new(),
    };
    format!(
        "# An alert, proven end to end against a stand-in of the system: firedrill run drill.yaml\n\
         {known}\
         scenario: {name} dies\n\
         stack: stack.yaml\n\
         clock: {{ speed: 60 }} # a minute of the rules' time passes in a second\n\
         steps:\n\
         \x20 - name: {name} dies\n\
         \x20   fault: {{ kill: {name} }}\n\
         \x20   alerts:\n\
         \x20     ServiceDown: {{ reaches: pager }} # and when it may fire, follows from the configuration\n\
         \x20   others: quiet\n"
    )
}

fn stack(found: &Found) -> String {
    format!(
        "# What is started for drill.yaml; with an `image` or a `process` it is the real thing\n\
         stack: {name}\n\
         services:\n\
         \x20 {name}: {{ simulate: stand-in.yaml }}\n\
         prometheus: {{ config: prometheus.yml }}\n\
         alertmanager: {{ config: alertmanager.yml }}\n",
        name = found.name
    )
}

fn stand_in(found: &Found) -> String {
    let mut text = format!(
        "# A service that plays the system: its paths, and metrics of the names that it has\n\
         stand-in: {}\n\
         routes:\n",
        found.name
    );
    let paths: Vec<&str> =
        if found.reads.is_empty() { vec!["/"] } else { found.reads.iter().map(String::as_str).collect() };
    for path in paths {
        let path = serde_json::to_string(path).unwrap_or_default();
        let _ = writeln!(text, "  - {{ get: {path}, latency: {{ p50: 5ms, p99: 50ms }}, json: {{}} }}");
    }
    if !found.metrics.is_empty() {
        text += "metrics:\n  families:\n";
    }
    for metric in &found.metrics {
        let name = serde_json::to_string(&metric.name).unwrap_or_default();
        let moved =
            if metric.counter { "type: counter, value: 0, rate: 5/s" } else { "type: gauge, value: 1" };
        let _ = writeln!(text, "    {name}: {{ {moved} }}");
    }
    text
}

fn prometheus(found: &Found) -> String {
    format!(
        "# As it is in production; a drill leads its targets and its Alertmanager to the stack\n\
         global: {{ scrape_interval: 15s, evaluation_interval: 15s }}\n\
         rule_files: [alerts.yml]\n\
         alerting: {{ alertmanagers: [{{ static_configs: [{{ targets: [\"alertmanager:9093\"] }}] }}] }}\n\
         scrape_configs:\n\
         \x20 - job_name: {name}\n\
         \x20   static_configs: [{{ targets: [\"{name}:80\"] }}]\n",
        name = found.name
    )
}

fn alerts(found: &Found) -> String {
    format!(
        "# One alert to begin with\n\
         groups:\n\
         \x20 - name: {name}\n\
         \x20   rules:\n\
         \x20     - alert: ServiceDown\n\
         \x20       expr: up{{job=\"{name}\"}} == 0\n\
         \x20       for: 5m\n\
         \x20       labels: {{ severity: critical, team: {name} }}\n\
         \x20       annotations:\n\
         \x20         summary: \"{{{{ $labels.instance }}}} is down\"\n\
         \x20         runbook_url: https://example.com/runbooks/{name} # change this\n",
        name = found.name
    )
}

const ALERTMANAGER: &str = "\
# Who is told; a drill leads every receiver to firedrill itself, and nobody is woken
route:
  receiver: team
  group_by: [alertname]
  routes: [{ matchers: ['severity=\"critical\"'], receiver: pager }]
receivers:
  - name: team
    webhook_configs: [{ url: http://127.0.0.1:9/team }]
  - name: pager
    webhook_configs: [{ url: http://127.0.0.1:9/pager }]
";

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::look::Metric;
    use super::*;
    use crate::plan::{Surroundings, read};

    fn whole() -> Found {
        let metric = |name: &str, counter| Metric { name: name.to_owned(), counter };
        Found {
            url: "http://127.0.0.1:8080".to_owned(),
            name: "shop".to_owned(),
            health: Some(Answers { path: "/health".to_owned(), in_words: true }),
            ready: Some(Answers { path: "/readyz".to_owned(), in_words: false }),
            reads: vec!["/items".to_owned(), "/v1/a-b_c.json".to_owned()],
            metrics: vec![metric("http_requests_total", true), metric("queue_length", false)],
            families: 2,
            alerts: Some(vec!["ShopDown".to_owned()]),
        }
    }

    fn bare() -> Found {
        Found { url: "http://127.0.0.1:1".to_owned(), name: "service".to_owned(), ..Found::default() }
    }

    #[rstest]
    #[case::of_all_there_may_be(whole())]
    #[case::of_next_to_nothing(bare())]
    fn what_is_written_passes_check(#[case] found: Found) {
        let folder =
            std::env::temp_dir().join(format!("firedrill-init-{}-{}", found.name, std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in files(&found) {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let reading = read(std::slice::from_ref(&folder), &Surroundings::default());
        std::fs::remove_dir_all(&folder).unwrap();
        let found: Vec<_> = reading.findings.iter().map(|finding| finding.title.clone()).collect();
        assert_eq!(found, Vec::<String>::new());
        assert_eq!(reading.plan.unwrap().scenarios.len(), 2);
    }
}
