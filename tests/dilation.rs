//! Virtual time against `promtool test rules`: the same series, the same rules, the same states at every evaluation.
#![cfg(test)]

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use firedrill::dilation::promtool::{Check, Question, Said, ask};
use firedrill::dilation::{
    Active, Bench, Course, Manner, Reading, Recorded, Recording, Rules, Stamped, stamp,
};
use firedrill::finding::Findings;
use firedrill::source::Sources;
use firedrill::{rule, yaml};
use jiff::Timestamp;

/// Evaluations that are compared, 15s apart.
const EVALUATIONS: usize = 100;

const RULES: &str = r#"
groups:
  - name: chain
    rules:
      - { record: "job:ratio", expr: 'sum by (job) (rate(errors_total[1m])) / sum by (job) (rate(requests_total[1m]))' }
      - { alert: Down, expr: 'up == 0', for: 1m, labels: { severity: page } }
      - { alert: AtOnce, expr: 'up == 0' }
      - { alert: Gone, expr: 'absent(temperature)', for: 20s }
      - { alert: Ratio, expr: 'job:ratio > 0.2', for: 30s }
      - { alert: Kept, expr: 'temperature > 50', for: 30s, keep_firing_for: 1m10s }
      - { alert: Counted, expr: 'increase(errors_total[2m]) > 5', for: 15s }
      - { alert: Slope, expr: 'predict_linear(temperature[2m], 600) > 100' }
"#;

/// Removed when the test ends.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Series of a target that is down for a while and starts anew, scraped every 250ms at 60x.
fn recording() -> Recording {
    let zero = 1_700_000_000_000;
    let at = |number: usize| zero + 250 * i64::try_from(number).unwrap();
    let down = |number: usize| (40..52).contains(&number);
    let series = |name: &str, value: &dyn Fn(usize) -> Option<f64>| {
        let labels = [("__name__", name), ("job", "web"), ("instance", "a:80")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let points = (0..EVALUATIONS).filter_map(|number| Some((at(number), value(number)?))).collect();
        Recorded { labels, points }
    };
    let number = |count: usize| f64::from(u32::try_from(count).unwrap());
    let series = vec![
        series("up", &|at| Some(if down(at) { 0.0 } else { 1.0 })),
        series("requests_total", &|at| {
            (!down(at)).then(|| number(if at < 40 { at } else { at - 52 }) * 30.0)
        }),
        series("errors_total", &|at| {
            let bad = at.clamp(60, 75) - 60;
            (!down(at)).then(|| number(if at < 40 { 3 } else { bad * 10 }))
        }),
        // Missing one scrape here and there, and long enough to be gone.
        series("temperature", &|at| {
            (!down(at) && at != 20 && at != 90).then(|| if (10..30).contains(&at) { 60.0 } else { 20.0 })
        }),
    ];
    Recording {
        speed: 60.0,
        scraped_every: 250,
        calm: zero,
        broken: at(10),
        effect: at(10),
        lifted: at(60),
        ended: at(EVALUATIONS - 1),
        series,
    }
}

fn manner() -> Manner {
    Manner {
        reading: Reading::Each,
        counters: ["requests_total".to_owned(), "errors_total".to_owned()].into(),
        moments: false,
        history: Duration::ZERO,
        apart: Duration::ZERO,
        held: Duration::ZERO,
        onward: Duration::ZERO,
    }
}

#[tokio::test]
#[ignore = "needs prometheus and promtool"]
async fn promtool_sees_every_alert_in_the_same_state_at_every_evaluation() {
    let mut sources = Sources::default();
    let id = sources.add("rules.yml", RULES);
    let mut findings = Findings::default();
    let files = [rule::check(&yaml::parse(id, RULES).unwrap(), &sources, &mut findings)];
    let run = format!("test-{}", std::process::id());
    let program = PathBuf::from(env!("CARGO_BIN_EXE_firedrill"));
    let mut bench = Bench::start(&run, program, Timestamp::now()).await.unwrap();
    let (recording, manner) = (recording(), manner());
    let mut tests = String::new();
    let mut seen = Vec::new();
    for alert in files[0].alerts() {
        let rules = Rules::of(&files, alert, Duration::from_secs(15));
        let stamped = bench.lay(&recording, &manner).await.unwrap().unwrap();
        if tests.is_empty() {
            tests = input(&stamped);
        }
        let mut course = Course::new(&rules, &stamped);
        course.advance(bench.client(), stamped.ended).await.unwrap();
        let name = alert.1.name.value.as_str();
        let alerts = course.alerts();
        let fired = alerts.iter().filter(|alert| alert.fired.is_some()).count();
        seen.push(format!("{name} {fired} of {}", alerts.len()));
        expect(&mut tests, name, &alerts);
    }
    bench.end().await;
    // None of them is silent: what never fires is easily agreed upon.
    assert_eq!(
        seen,
        [
            "Down 1 of 1",
            "AtOnce 1 of 1",
            "Gone 1 of 3",
            "Ratio 1 of 1",
            "Kept 1 of 1",
            "Counted 1 of 1",
            "Slope 1 of 1"
        ]
    );
    let folder = Folder(std::env::temp_dir().join(format!("firedrill-promtool-{}", std::process::id())));
    fs::create_dir_all(&folder.0).unwrap();
    fs::write(folder.0.join("rules.yml"), RULES).unwrap();
    fs::write(folder.0.join("tests.yml"), tests).unwrap();
    let output =
        Command::new("promtool").args(["test", "rules"]).arg(folder.0.join("tests.yml")).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[tokio::test]
#[ignore = "needs promtool"]
async fn promtool_is_asked_and_contradicts_what_is_not_so() {
    let folder = Folder(std::env::temp_dir().join(format!("firedrill-asked-{}", std::process::id())));
    fs::create_dir_all(&folder.0).unwrap();
    let rules = folder.0.join("rules.yml");
    fs::write(&rules, RULES).unwrap();
    let stamped = stamp(&recording(), &manner(), 1_600_000_000_000);
    // The target is down from the 40th scrape to the 52nd, each 15 s of rule time.
    let check = |scrape: i64, there: bool| Check {
        at: stamped.calm + 15_000 * scrape,
        alert: "ALERTS{alertname=\"Down\",alertstate=\"firing\",severity=\"page\"}".to_owned(),
        there,
    };
    let said = |checks: Vec<Check>, files: Vec<PathBuf>| {
        let (stamped, folder) = (stamped.clone(), folder.0.clone());
        async move {
            let every = Duration::from_secs(15);
            let question = Question {
                files: &files,
                stamped: &stamped,
                scraped_every: every,
                evaluated_every: every,
                checks: &checks,
            };
            ask(question, &folder).await
        }
    };
    let right = vec![check(38, false), check(46, true), check(50, true), check(56, false)];
    assert_eq!(said(right, vec![rules.clone()]).await, Said::Agrees);
    for wrong in [check(38, true), check(46, false), check(56, true)] {
        let said = said(vec![wrong.clone()], vec![rules.clone()]).await;
        assert!(matches!(&said, Said::Disagrees(what) if what.contains("ALERTS")), "{wrong:?}: {said:?}");
    }
    let many = folder.0.join("many.yml");
    let all = "groups: [{ name: g, rules: [{ alert: Many, expr: 'count_over_time(up[30d:100ms]) > 1e9' }] }]";
    fs::write(&many, all).unwrap();
    let too_many = said(vec![check(46, true)], vec![rules.clone(), many]).await;
    assert_eq!(too_many, Said::Nothing("a query has more samples than it takes".to_owned()));
    // Prometheus goes on with the others; promtool does not, and that says nothing of them.
    let other = folder.0.join("other.yml");
    let all = "groups: [{ name: g, rules: [{ alert: Other, expr: 'rate({job=\"web\"}[1m]) > 0' }] }]";
    fs::write(&other, all).unwrap();
    let said = said(vec![check(46, true)], vec![rules, other]).await;
    assert!(matches!(&said, Said::Nothing(why) if why.contains("rule: Other")), "{said:?}");
}

/// The series as promtool reads them: a value, `_` or `stale` for each interval.
fn input(stamped: &Stamped) -> String {
    let mut text =
        "rule_files: [rules.yml]\nevaluation_interval: 15s\ntests:\n- interval: 15s\n  input_series:\n"
            .to_owned();
    for track in &stamped.tracks {
        let labels: Vec<_> = track
            .labels
            .iter()
            .filter(|(name, _)| *name != "__name__")
            .map(|(name, value)| format!("{name}=\"{value}\""))
            .collect();
        let values = (0..EVALUATIONS).map(|number| {
            let at = stamped.calm + 15_000 * i64::try_from(number).unwrap();
            match track.points.iter().find(|(moment, _)| *moment == at) {
                None => "_".to_owned(),
                Some((_, value)) if value.is_nan() => "stale".to_owned(),
                Some((_, value)) => value.to_string(),
            }
        });
        let values: Vec<_> = values.collect();
        let series = format!("{}{{{}}}", track.labels["__name__"], labels.join(", "));
        writeln!(text, "  - {{ series: '{series}', values: '{}' }}", values.join(" ")).unwrap();
    }
    text + "  promql_expr_test:\n"
}

/// What promtool has to see of an alert at each evaluation.
fn expect(tests: &mut String, name: &str, alerts: &[Active]) {
    for now in 0..EVALUATIONS {
        let mut samples = String::new();
        for alert in alerts {
            if now < alert.since || alert.until.is_some_and(|until| now >= until) {
                continue;
            }
            let state = if alert.fired.is_some_and(|fired| now >= fired) { "firing" } else { "pending" };
            let mut labels: Vec<_> =
                alert.labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
            labels.push(format!("alertstate=\"{state}\""));
            write!(samples, "{{ labels: 'ALERTS{{{}}}', value: 1 }}, ", labels.join(", ")).unwrap();
        }
        writeln!(
            tests,
            "  - {{ expr: 'ALERTS{{alertname=\"{name}\"}}', eval_time: {}s, exp_samples: [{samples}] }}",
            now * 15
        )
        .unwrap();
    }
}
