//! What becomes of a production configuration in a stack.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::*;
use crate::plan::{Surroundings, read};

/// A stack of `redis` and `web` with this Prometheus, and where each of its ports is.
struct Rehearsed {
    folder: PathBuf,
    reached: BTreeMap<String, BTreeMap<String, SocketAddr>>,
    own: String,
    scrape: String,
}

impl Rehearsed {
    fn new(name: &str, own: &str, scrape: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("firedrill-led-{name}-{}", std::process::id()));
        let at = |port| BTreeMap::from([("http".to_owned(), SocketAddr::from(([127, 0, 0, 1], port)))]);
        let reached = BTreeMap::from([
            ("exporter".to_owned(), at(1001)),
            ("web".to_owned(), at(1002)),
            ("prometheus".to_owned(), at(1003)),
            ("alertmanager".to_owned(), at(1004)),
        ]);
        Self { folder, reached, own: own.to_owned(), scrape: scrape.to_owned() }
    }

    /// The configuration that Prometheus is given, and what there is to note.
    fn led(&self, speed: f64) -> String {
        std::fs::create_dir_all(&self.folder).unwrap();
        let stack = format!(
            "stack: s\nservices:\n  exporter: {{ process: e, ports: {{ http: 9121 }} }}\n  \
             web: {{ process: w, ports: {{ http: 80 }} }}\n\
             prometheus: {{ config: prometheus.yml, scrape: {} }}\nalertmanager: {{ config: am.yml }}\n",
            self.scrape
        );
        std::fs::write(self.folder.join("stack.yaml"), stack).unwrap();
        std::fs::write(self.folder.join("prometheus.yml"), &self.own).unwrap();
        std::fs::write(self.folder.join("am.yml"), "route: { receiver: r }\nreceivers: [{ name: r }]\n")
            .unwrap();
        let reading = read(&[self.folder.join("stack.yaml")], &Surroundings::default());
        assert!(reading.findings.is_empty(), "{:?}", reading.findings);
        let plan = reading.plan.unwrap();
        let planned = &plan.stacks[0];
        let mut scope = planned.scope.clone();
        scope.set("dir", "DIR");
        let speed = Speed::new(speed).unwrap();
        let given = Given { planned, scope: &scope, reached: &self.reached, speed, contained: false };
        let mut notes = Vec::new();
        let wanted = planned.stack.prometheus.as_ref().unwrap();
        let tree = readdress(&given, wanted, planned.prometheus.as_ref().unwrap(), 3, &mut notes);
        let text = yaml::print(&tree) + "notes:\n" + &notes.join("\n");
        text.replace(&self.folder.display().to_string(), "HERE")
    }
}

impl Drop for Rehearsed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn production_is_led_to_the_stack() {
    let own = "\
global: { scrape_interval: 15s, external_labels: { cluster: eu } }
remote_write: [{ url: https://mimir.example.com/push }]
alerting: { alertmanagers: [{ scheme: https, kubernetes_sd_configs: [{ role: pod }] }] }
scrape_configs:
  - job_name: redis
    scheme: https
    basic_auth: { username: u, password_file: secrets/password }
    honor_labels: yes
    kubernetes_sd_configs: [{ role: pod }]
    relabel_configs: [{ source_labels: [__meta_pod], target_label: pod }]
  - job_name: web
    static_configs: [{ targets: [\"web:80\", \"elsewhere:80\"], labels: { tier: front } }]
  - job_name: nodes
    ec2_sd_configs: [{ region: eu }]
";
    let scrape =
        "{ redis: [{ service: exporter, address: \"10.1.2.3:9121\", labels: { __meta_pod: redis-0 } }] }";
    insta::assert_snapshot!(Rehearsed::new("production", own, scrape).led(1.0));
}

#[test]
fn everything_goes_faster_by_one_factor() {
    let own = "\
scrape_configs:
  - { job_name: usual, static_configs: [] }
  - { job_name: own, scrape_interval: 30s, scrape_timeout: 20s, static_configs: [] }
";
    let rehearsed = Rehearsed::new("faster", own, "{}");
    let led = rehearsed.led(60.0);
    for line in [
        "\"scrape_interval\": \"1000ms\"",
        "\"scrape_timeout\": \"250ms\"",
        "\"evaluation_interval\": \"1000ms\"",
        "\"scrape_interval\": \"500ms\"",
        "\"scrape_timeout\": \"333ms\"",
    ] {
        assert!(led.contains(line), "`{line}` is not in {led}");
    }
    let flags = Speed::new(60.0).unwrap().flags();
    assert_eq!(
        flags,
        [
            "--query.lookback-delta=5000ms",
            "--rules.alert.resend-delay=1000ms",
            "--rules.alert.for-grace-period=10000ms",
            "--rules.alert.for-outage-tolerance=60000ms",
        ]
    );
}
