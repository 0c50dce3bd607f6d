//! Incidents: drills of saved runs as folders, replayed where nothing of them runs any more; and folders that somebody
//! has touched.
#![cfg(test)]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;
use rstest::rstest;

/// A folder of a test's own.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("fdi-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn firedrill(&self, words: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
        let output = command.args(words).current_dir(&self.0).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        (output.status.code(), said.into_owned())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One rule that is right, and one that names a job that there is not.
const RULES: &str = "
groups:
  - name: web
    rules:
      - { alert: WebDown, expr: 'up{job=\"web\"} == 0', for: 2m, labels: { severity: critical } }
      - { alert: WebGone, expr: 'up{job=\"wbe\"} == 0', for: 2m, labels: { severity: critical } }
";

/// Two drills: one of them fails, as one of its alerts does not fire.
const SCENARIO: &str = "
scenario: web
stack: stack.yaml
clock: { speed: 60 }
steps:
  - name: the web dies
    fault: { kill: web }
    alerts:
      WebDown: { labels: { severity: critical } }
      WebGone: { labels: { severity: critical }, fires: within 5m }
  - name: once more
    fault: { kill: web }
    alerts: { WebDown: {} }
";

/// A day may be down for a hundredth of it.
const SLO: &str = "
apiVersion: openslo/v1
kind: SLO
metadata: { name: up, annotations: { firedrill/runbook: 'https://example.com/up' } }
spec:
  description: The web is up.
  service: web
  indicator:
    metadata: { name: up }
    spec:
      thresholdMetric: { metricSource: { type: prometheus, spec: { query: 'up{job=\"web\"}' } } }
  timeWindow: [{ duration: 1d, isRolling: true }]
  budgetingMethod: Occurrences
  objectives: [{ displayName: all of it, op: gte, value: 1, target: 0.99 }]
";

#[test]
#[ignore = "needs prometheus and prometheus-alertmanager"]
fn a_failed_run_is_replayed_in_the_morning_by_who_was_not_there() {
    let place = Place::new();
    for name in ["stack.yaml", "web.yaml", "prometheus.yml", "alertmanager.yml"] {
        place
            .write(&format!("night/{name}"), &fs::read_to_string(format!("fixtures/drills/{name}")).unwrap());
    }
    place.write("night/alerts.yml", RULES);
    place.write("night/scenario.yaml", SCENARIO);
    place.write("out/run.recordings", "of another run\n");
    let night = ["run", "night/scenario.yaml", "--no-save", "--quiet", "--runtime", "processes"];
    let (code, said) = place.firedrill(&[&night[..], &["--report", "json=out/run.jsonl"]].concat());
    assert_eq!(code, Some(1), "{said}");
    // What the job keeps, and nothing else.
    fs::remove_dir_all(place.0.join("night")).unwrap();

    let (code, said) = place.firedrill(&["incident", "from-run", "out/run.jsonl", "-o", "red"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("red: web: the web dies;"), "the one that failed: {said}");
    assert!(said.contains("the drill failed: `WebGone` did not reach rung"), "{said}");
    let routing = place.read("red/alertmanager.yml");
    assert!(routing.contains("sink.invalid") && !routing.contains("127.0.0.1"), "{routing}");
    let timeline = place.read("red/timeline.md");
    for told in ["takes effect", "is lifted", "**WebDown {", "A drill at 60 times the speed"] {
        assert!(timeline.contains(told), "{told}: {timeline}");
    }

    let (code, said) = place.firedrill(&["run", "red"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("✓ WebDown {"), "{said}");
    assert!(said.contains("✓ WebGone: the drill expected it; it did not fire, and does not fire"), "{said}");
    assert!(said.contains("PASS the same alerts fire in the same order, 1 of them"), "{said}");

    place.write("mended.yml", &RULES.replace("wbe", "web").replace("WebDown", "Other"));
    let mended = ["incident", "what-if", "red", "--rules", "mended.yml"];
    let (code, said) = place.firedrill(&mended);
    assert_eq!(code, Some(0), "{said}");
    let fires = said.lines().find(|line| line.trim_start().starts_with("WebGone")).unwrap_or_default();
    assert!(fires.contains("-  ") && fires.contains("fires after"), "{said}");

    budgets_are_spent(&place, &mended);

    // A drill that passed is there too, for who names it.
    let once = ["incident", "from-run", "out/run.jsonl", "--step", "once more", "-o", "green"];
    let (code, said) = place.firedrill(&once);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = place.firedrill(&["incident", "replay", "green"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("✓ WebDown {"), "{said}");
    let (code, said) = place.firedrill(&["incident", "from-run", "out/run.jsonl", "--step", "x", "-o", "no"]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("there are `the web dies` of `web`, `once more` of `web`"), "{said}");

    // Without what was scraped nothing can be replayed, and that is said.
    fs::remove_file(place.0.join("out/run.recordings")).unwrap();
    let (code, said) = place.firedrill(&["incident", "from-run", "out/run.jsonl", "-o", "none"]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("keeps it in `out/run.recordings`: keep both as artefacts"), "{said}");
    assert!(!place.0.join("none").exists());
}

/// What was lost of a budget until somebody was told, and that of what was not recorded nothing is known.
fn budgets_are_spent(place: &Place, mended: &[&str]) {
    // All was down, and a day may be down for 14 minutes and 24 s.
    place.write("slo.yaml", SLO);
    let budget = [mended, &["--slo", "slo.yaml", "--format", "json"]].concat();
    let (code, said) = place.firedrill(&budget);
    assert_eq!(code, Some(0), "{said}");
    let read: serde_json::Value = serde_json::from_str(&said).unwrap();
    for whose in ["as_it_was", "as_proposed"] {
        let told = read[whose]["first_page"].as_f64().unwrap();
        let spent = read[whose]["spent"]["up (all of it)"].as_f64().unwrap();
        // The last scrape that saw it alive may be one evaluation and a scrape after the fault.
        let (most, least) = (told / 864.0, (told - 45.0) / 864.0);
        assert!(least <= spent && spent <= most, "{least} {spent} {most}: {said}");
    }
    place.write("other.yaml", &SLO.replace("query: 'up{job=\"web\"}'", "query: 'down{job=\"web\"}'"));
    let (code, said) = place.firedrill(&[mended, &["--slo", "other.yaml"]].concat());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("is not known: `down{job=\"web\"}` is not recorded"), "{said}");
}

/// Who is told of what `RULES` raise.
const ROUTING: &str = "
global: { slack_api_url: <secret> }
route:
  receiver: nobody
  group_wait: 30s
  group_interval: 5m
  routes: [{ matchers: ['severity=\"critical\"'], receiver: pager, mute_time_intervals: [always] }]
time_intervals: [{ name: always, time_intervals: [{ years: ['2000:2100'] }] }]
receivers: [{ name: nobody }, { name: pager, slack_configs: [{ channel: '#a', text: '{{ template \"own\" . }}' }] }]
";

/// Twenty minutes in which the web was down from the fifth to the tenth, after a spell in which nothing is known.
fn outage(place: &Place) {
    record(place);
    let manifest = place.read("record/incident.json");
    place.write("record/incident.json", &manifest.replace("3600000", "1200000"));
    place.write("record/alertmanager.yml", ROUTING);
    let labels =
        serde_json::json!({ "alertname": "WebDown", "job": "web", "instance": "a", "severity": "critical" });
    let alert = serde_json::json!([
        { "labels": labels, "pending": 300_000, "fired": 420_000, "ended": 600_000 }
    ]);
    place.write("record/alerts.json", &alert.to_string());
    let value = |second: i64| if (300..600).contains(&second) { "0" } else { "1" };
    let seconds = (0..1_200).step_by(15).filter(|second| !(100..200).contains(second));
    let points: Vec<_> = seconds.map(|second| (second * 1_000, value(second))).collect();
    let labels = serde_json::json!({ "__name__": "up", "job": "web", "instance": "a" });
    let series = serde_json::json!({ "labels": labels, "points": points });
    let file = File::create(place.0.join("record/series.jsonl.gz")).unwrap();
    let mut packed = GzEncoder::new(file, Compression::fast());
    writeln!(packed, "{series}").unwrap();
    packed.finish().unwrap();
}

#[test]
#[ignore = "needs prometheus and prometheus-alertmanager"]
fn an_outage_is_played_at_speed_and_the_same_people_are_told() {
    let place = Place::new();
    outage(&place);
    let (code, said) = place.firedrill(&["incident", "replay", "record", "--speed", "60"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("its own rules and routing at 60 times the speed"), "{said}");
    assert!(said.contains("→ pager is told at 7m") || said.contains("→ pager is told at 8m"), "{said}");
    assert!(said.contains("✓ WebDown {"), "{said}");
    assert!(said.contains("PASS the same alerts fire in the same order, 1 of them, within"), "{said}");

    // By hand, somebody says that nothing fired: what does and who is told of it is a difference.
    place.write("record/alerts.json", "[]");
    let (code, said) = place.firedrill(&["incident", "replay", "record", "--speed", "60"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("and did not fire") && said.contains("pager is told at"), "{said}");

    fs::remove_file(place.0.join("record/alertmanager.yml")).unwrap();
    let (code, said) = place.firedrill(&["incident", "replay", "record", "--speed", "60"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("no routing is recorded"), "{said}");
}

/// A record as `incident record` writes it.
fn record(place: &Place) {
    let manifest = serde_json::json!({
        "incident": "by hand", "version": 1, "prometheus": "http://127.0.0.1:9090", "from": 0, "to": 3_600_000,
        "back": 0, "scraped_every": 15_000, "evaluated_every": 15_000, "notes": [],
    });
    place.write("record/incident.json", &manifest.to_string());
    place.write("record/alerts.json", "[]");
    place.write("record/rules/000-rules.yml", RULES);
    let file = File::create(place.0.join("record/series.jsonl.gz")).unwrap();
    let mut packed = GzEncoder::new(file, Compression::fast());
    packed.write_all(b"{\"labels\":{\"__name__\":\"up\",\"job\":\"web\"},\"points\":[[0,\"1\"]]}\n").unwrap();
    packed.finish().unwrap();
}

#[rstest]
#[case::of_another_version("incident.json", "\"version\":1", "\"version\":3,\"new\":1", "it is of version 3")]
#[case::that_ends_before_it_begins("incident.json", "3600000", "-5", "`to` must be after `from`")]
#[case::that_never_ends("incident.json", "3600000", "9223372036854775807", "by 400 days at most")]
#[case::of_no_pace("incident.json", "\"evaluated_every\":15000", "\"evaluated_every\":0", "above 0")]
#[case::with_a_word_of_its_own("incident.json", "\"back\"", "\"bakc\"", "unknown field `bakc`")]
#[case::with_alerts_that_are_none("alerts.json", "[]", "[{\"labels\":{}}]", "missing field `pending`")]
#[case::with_a_rule_that_is_none(
    "rules/000-rules.yml",
    "'up{job=\"wbe\"} == 0'",
    "'up{'",
    "000-rules.yml:6:"
)]
fn a_record_that_was_touched_is_refused(
    #[case] file: &str,
    #[case] from: &str,
    #[case] to: &str,
    #[case] why: &str,
) {
    let place = Place::new();
    record(&place);
    let file = format!("record/{file}");
    let text = place.read(&file);
    assert!(text.contains(from), "{text}");
    place.write(&file, &text.replace(from, to));
    for words in [&["run", "record"][..], &["incident", "what-if", "record", "--rules", "x.yml"]] {
        let (code, said) = place.firedrill(words);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn series_that_were_cut_off_are_refused() {
    let place = Place::new();
    record(&place);
    let path = place.0.join("record/series.jsonl.gz");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 12]).unwrap();
    let (code, said) = place.firedrill(&["run", "record"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("series.jsonl.gz"), "{said}");
}
