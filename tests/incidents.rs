//! Incidents: drills of saved runs as folders, replayed where nothing of them runs any more; and folders that somebody
//! has touched.
#![cfg(test)]

#[path = "support/place.rs"]
mod place;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use rstest::rstest;

use self::place::Place;

fn write(place: &Place, name: &str, text: &str) {
    let path = place.0.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
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
        let text = fs::read_to_string(format!("fixtures/drills/{name}")).unwrap();
        write(&place, &format!("night/{name}"), &text);
    }
    write(&place, "night/alerts.yml", RULES);
    write(&place, "night/scenario.yaml", SCENARIO);
    write(&place, "out/run.recordings", "of another run\n");
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

    write(&place, "mended.yml", &RULES.replace("wbe", "web").replace("WebDown", "Other"));
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
    write(place, "slo.yaml", SLO);
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
    write(place, "other.yaml", &SLO.replace("query: 'up{job=\"web\"}'", "query: 'down{job=\"web\"}'"));
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
    write(place, "record/incident.json", &manifest.replace("3600000", "1200000"));
    write(place, "record/alertmanager.yml", ROUTING);
    let labels =
        serde_json::json!({ "alertname": "WebDown", "job": "web", "instance": "a", "severity": "critical" });
    let alert = serde_json::json!([
        { "labels": labels, "pending": 300_000, "fired": 420_000, "ended": 600_000 }
    ]);
    write(place, "record/alerts.json", &alert.to_string());
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
    write(&place, "record/alerts.json", "[]");
    let (code, said) = place.firedrill(&["incident", "replay", "record", "--speed", "60"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("and did not fire") && said.contains("pager is told at"), "{said}");

    fs::remove_file(place.0.join("record/alertmanager.yml")).unwrap();
    let (code, said) = place.firedrill(&["incident", "replay", "record", "--speed", "60"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("no routing is recorded"), "{said}");
}

/// How long anything that is awaited may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// A stack that is held, and where its services answer.
struct Held {
    up: Child,
    told: Vec<String>,
}

impl Held {
    fn new(place: &Place) -> Self {
        let words = ["up", "stack/stack.yaml", "--speed", "15", "--runtime", "processes"];
        let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
        command.args(words).current_dir(&place.0).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut up = command.spawn().unwrap();
        let mut told = Vec::new();
        // To the last line: who stops reading before it stops the stack.
        for line in BufReader::new(up.stdout.take().unwrap()).lines().map(Result::unwrap) {
            told.push(line);
            if told.last().is_some_and(|line| line.contains("Ctrl-C")) {
                break;
            }
        }
        Self { up, told }
    }

    fn address(&self, service: &str) -> String {
        let label = format!("{service}.http ");
        let line = self.told.iter().find(|line| line.trim_start().starts_with(&label));
        format!(
            "http://{}",
            line.unwrap_or_else(|| panic!("{:?}", self.told)).split("http://").nth(1).unwrap()
        )
    }

    /// Breaks or mends its web.
    fn fault(&self, place: &Place, words: &[&str]) {
        let id = self.told[0].rsplit(' ').next().unwrap();
        let (code, said) = place.firedrill(&[&["fault", "--stack", id], words].concat());
        assert_eq!(code, Some(0), "{said}");
    }

    /// Waits until its Prometheus counts so many of a selector.
    fn counts(&self, selector: &str, wanted: u32) {
        let (query, begun) = (format!("query=count({selector}) or vector(0)"), Instant::now());
        let url = format!("{}/api/v1/query", self.address("prometheus"));
        loop {
            let asked =
                Command::new("curl").args(["-sG", "--data-urlencode", &query, &url]).output().unwrap();
            let said = String::from_utf8_lossy(&asked.stdout).into_owned();
            if said.contains(&format!(",\"{wanted}\"]")) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "`{selector}`: {said}");
            sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-INT", &self.up.id().to_string()]).status();
        let _ = self.up.wait();
    }
}

/// A shipped stack, whose Prometheus also scrapes its Alertmanager.
fn shipped(place: &Place) {
    for name in ["stack.yaml", "web.yaml", "prometheus.yml", "alertmanager.yml", "alerts.yml"] {
        let text = fs::read_to_string(format!("fixtures/drills/{name}")).unwrap();
        write(place, &format!("stack/{name}"), &text);
    }
    let also = "  - job_name: alertmanager\n    static_configs: [{ targets: ['alertmanager:9093'] }]\n";
    write(place, "stack/prometheus.yml", &(place.read("stack/prometheus.yml") + also));
}

#[test]
#[ignore = "needs prometheus, prometheus-alertmanager and curl"]
fn an_outage_of_a_shipped_stack_is_recorded_played_cold_at_speed_and_rehearsed() {
    let place = Place::new();
    shipped(&place);
    let held = Held::new(&place);
    held.counts("up{job=\"web\"} == 1", 1);
    let mut users = Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .args(["load", &format!("{}/items", held.address("web")), "--rate", "20/s", "--for", "5m", "--quiet"])
        .current_dir(&place.0)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    held.counts("http_requests_total > 100", 1);
    let from = (Timestamp::now() - jiff::SignedDuration::from_secs(4)).to_string();
    held.fault(&place, &["add", "web", "kill"]);
    held.counts("ALERTS{alertstate=\"firing\"}", 1);
    // Its people are told, and Alertmanager is scraped once more.
    held.counts("alertmanager_notifications_total{integration=\"pagerduty\"} > 0", 1);
    held.fault(&place, &["remove", "web"]);
    held.counts("ALERTS", 0);
    held.counts("rate(http_requests_total[3s]) > 1", 1);
    let (prometheus, alertmanager) = (held.address("prometheus"), held.address("alertmanager"));
    let to = Timestamp::now().to_string();
    let record = ["incident", "record", "--prometheus", &prometheus, "--alertmanager", &alertmanager];
    let (code, said) =
        place.firedrill(&[&record[..], &["--from", &from, "--to", &to, "-o", "outage"]].concat());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1 of them fired"), "{said}");
    let timeline = place.read("outage/timeline.md");
    assert!(timeline.contains("pager is told of 1 (derived)"), "{timeline}");
    assert!(timeline.contains("Alertmanager counted 1 message by pagerduty to send"), "{timeline}");
    users.kill().unwrap();
    users.wait().unwrap();
    drop(held);

    // Cold: nothing of the stack runs any more.
    let (code, said) = place.firedrill(&["run", "outage", "--speed", "5"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("its own rules and routing at 5 times the speed"), "{said}");
    assert!(said.contains("→ pager is told at"), "{said}");
    assert!(said.contains("PASS the same alerts fire in the same order, 1 of them, within"), "{said}");

    // And on the stack, as load and as a fault.
    let rehearse =
        ["incident", "rehearse", "outage", "--stack", "stack/stack.yaml", "-o", "own/rehearsal.yaml"];
    let (code, said) = place.firedrill(&rehearse);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("✓ traffic: `http_requests_total` of job `web`, up to "), "{said}");
    assert!(said.contains("/items") && said.contains("✓ fault: kill web at "), "{said}");
    let (code, said) = place.firedrill(&["check", "own"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = place.firedrill(&["run", "own/rehearsal.yaml", "--quiet", "--runtime", "processes"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("WebDown") && said.contains("traffic as it was"), "{said}");
    let (code, said) = place.firedrill(&rehearse);
    assert_eq!(code, Some(2), "nothing is written over: {said}");
}

#[test]
fn what_the_record_does_not_say_is_left_to_be_filled_in() {
    let place = Place::new();
    record(&place);
    shipped(&place);
    let rehearse = ["incident", "rehearse", "record", "--stack", "stack/stack.yaml", "-o", "rehearsal.yaml"];
    let (code, said) = place.firedrill(&rehearse);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("! the traffic: no counter of requests is recorded"), "{said}");
    assert!(said.contains("! what broke: no target of the stack was down"), "{said}");
    let text = place.read("rehearsal.yaml");
    assert!(text.contains("# A fault goes here") || text.contains("A fault goes here"), "{text}");
    let (code, said) = place.firedrill(&["check", "rehearsal.yaml"]);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_record_of_a_hostile_name_makes_a_scenario_that_only_carries_it() {
    let place = Place::new();
    record(&place);
    shipped(&place);
    let hostile = "x\\\"\\nsteps: [{ exec: { command: [touch, gone] } }] # ${env.HOME} \\u001b[31m";
    write(&place, "record/incident.json", &place.read("record/incident.json").replace("by hand", hostile));
    let rehearse = ["incident", "rehearse", "record", "--stack", "stack/stack.yaml", "-o", "rehearsal.yaml"];
    let (code, said) = place.firedrill(&rehearse);
    assert_eq!(code, Some(0), "{said}");
    let text = place.read("rehearsal.yaml");
    assert_eq!(text.lines().filter(|line| line.starts_with("steps:")).count(), 1, "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_speed_is_for_an_incident_alone() {
    let place = Place::new();
    write(&place, "a.yaml", "scenario: a\nsteps: [{ wait: 1ms }]\n");
    let (code, said) = place.firedrill(&["run", "a.yaml", "--speed", "60"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("`--speed` is for the folder of one incident"), "{said}");
}

/// A record as `incident record` writes it.
fn record(place: &Place) {
    let manifest = serde_json::json!({
        "incident": "by hand", "version": 1, "prometheus": "http://127.0.0.1:9090", "from": 0, "to": 3_600_000,
        "back": 0, "scraped_every": 15_000, "evaluated_every": 15_000, "notes": [],
    });
    write(place, "record/incident.json", &manifest.to_string());
    write(place, "record/alerts.json", "[]");
    write(place, "record/rules/000-rules.yml", RULES);
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
    write(&place, &file, &text.replace(from, to));
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
