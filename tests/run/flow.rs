//! What steps hand to one another, and how each ends.

use std::sync::{Arc, Condvar, Mutex};

use firedrill::event::{Conclusion, Outcome};
use firedrill::gate::Verdict;
use firedrill::sample::Reason;
use firedrill::sli::Counts;
use rstest::rstest;

use crate::peer::{Heard, answer, http, json};
use crate::support::{Drill, PATIENCE, StandIn};

/// An SLO by that name on an SLI of the same name.
pub(crate) fn slo(name: &str, target: &str) -> String {
    let source =
        |count| format!("{{ metricSource: {{ type: firedrill, spec: {{ sli: {name}, count: {count} }} }} }}");
    format!(
        "apiVersion: openslo/v1\nkind: SLO\nmetadata: {{ name: {name} }}\nspec:\n  service: shop\n  indicator:\n    \
         metadata: {{ name: {name}-requests }}\n    spec:\n      ratioMetric:\n        counter: true\n        \
         good: {}\n        total: {}\n  timeWindow: [{{ duration: 30d, isRolling: true }}]\n  \
         budgetingMethod: Occurrences\n  objectives: [{{ displayName: most, target: {target} }}]\n",
        source("good"),
        source("valid"),
    )
}

#[test]
fn a_captured_value_keeps_its_type_in_the_next_step() {
    let target = http(|heard| match heard.line.as_str() {
        "GET /made" => json(r#"{"id": 7, "code": "007", "ok": true, "ratio": 1.50, "tags": ["a", 1]}"#),
        _ => json(&heard.body),
    });
    let ended = Drill::run(format!(
        r#"
scenario: types
vars: {{ base: "http://{target}" }}
steps:
  - name: make
    http: {{ get: "${{base}}/made" }}
    capture:
      id: {{ json: $.id }}
      code: {{ json: $.code }}
      ok: {{ json: $.ok }}
      tags: {{ json: $.tags }}
      digits: {{ regex: '"ratio": ([0-9.]+)' }}
      kind: {{ header: content-type }}
  - name: use
    http:
      post: "${{base}}/use"
      json: {{ id: "${{id}}", code: "${{code}}", ok: "${{ok}}", tags: "${{tags}}", digits: "${{digits}}", text: "n${{id}}" }}
    expect:
      body: {{ equals: '{{"code":"007","digits":"1.50","id":7,"ok":true,"tags":["a",1],"text":"n7"}}' }}
      json: {{ $.id: "${{id}}", $.code: is text, $.ok: true }}
      headers: {{ content-type: "${{kind}}" }}
  - name: not the number
    http: {{ post: "${{base}}/use", json: {{ code: "${{code}}" }} }}
    expect: {{ json: {{ $.code: 7 }} }}
"#
    ))
    .go();
    ended.exits(1);
    assert_eq!(ended.outcome("make"), (Outcome::Passed, 1));
    assert_eq!(ended.outcome("use"), (Outcome::Passed, 1), "{}", ended.stdout());
    assert_eq!(ended.reasons("not the number"), [Reason::Json]);
}

#[test]
fn cookies_are_kept_between_steps() {
    let target = http(|heard| match heard.line.as_str() {
        "GET /in" => answer(200, "set-cookie: session=abc; Path=/; HttpOnly\r\n", ""),
        _ => answer(if heard.header("cookie") == "session=abc" { 200 } else { 401 }, "", ""),
    });
    let ended = Drill::run(format!(
        "scenario: cookies\nsteps:\n  - http: {{ get: 'http://{target}/in' }}\n    \
         capture: {{ crumb: {{ cookie: session }} }}\n  - name: inside\n    http: {{ get: 'http://{target}/inside' }}\n  \
         - name: named\n    http: {{ get: 'http://{target}/${{crumb}}' }}\n    when: {{ \"${{crumb}}\": abc }}\n"
    ))
    .go();
    ended.exits(0);
    assert_eq!(ended.outcome("inside"), (Outcome::Passed, 1));
    assert_eq!(ended.outcome("named"), (Outcome::Passed, 1));
}

/// Answers 503 at first and after so many requests for the same path 200.
fn slow_to_rise(failures: usize) -> impl Fn(&Heard) -> Vec<u8> {
    let seen = Mutex::new(std::collections::BTreeMap::<String, usize>::new());
    move |heard| {
        let mut seen = seen.lock().unwrap();
        let before = seen.entry(heard.line.clone()).or_default();
        *before += 1;
        answer(if *before <= failures { 503 } else { 200 }, "", "")
    }
}

#[test]
fn a_retried_step_is_flaky_and_its_first_failure_still_counts() {
    let target = http(slow_to_rise(1));
    let step = |name| {
        format!(
            "  - name: {name}\n    http: {{ get: 'http://{target}/{name}' }}\n    \
             retry: {{ attempts: 3, every: 1ms }}\n    sli: shop\n"
        )
    };
    let ended = Drill::run(format!(
        "scenario: flaky\nslos: [slo.yaml]\nsteps:\n{}{}{}",
        step("one"),
        step("two"),
        step("three")
    ))
    .file("slo.yaml", slo("shop", "0.99"))
    .go();
    for name in ["one", "two", "three"] {
        assert_eq!(ended.outcome(name), (Outcome::Flaky, 2));
        let reasons: Vec<Vec<_>> = ended
            .attempts(name)
            .iter()
            .map(|all| all.iter().map(|failure| failure.reason).collect())
            .collect();
        assert_eq!(reasons, [vec![Reason::Status], vec![]]);
    }
    let judgement = ended.judgement("shop");
    assert_eq!((judgement.counts, judgement.verdict), (Counts { good: 3, bad: 3 }, Verdict::Fail));
    assert_eq!(ended.exits(1).conclusion(), (Conclusion::Fail, false));
}

#[test]
fn a_flaky_step_alone_does_not_fail_a_run() {
    let target = http(slow_to_rise(1));
    let ended = Drill::run(format!(
        "scenario: flaky\nsteps:\n  - name: one\n    http: {{ get: 'http://{target}/' }}\n    \
         retry: {{ attempts: 2, every: 1ms }}\n"
    ))
    .go();
    assert_eq!(ended.exits(0).outcome("one"), (Outcome::Flaky, 2));
}

#[test]
fn a_retried_step_fails_once_its_attempts_are_used_up() {
    let target = http(slow_to_rise(9));
    let ended = Drill::run(format!(
        "scenario: hopeless\nsteps:\n  - name: one\n    http: {{ get: 'http://{target}/' }}\n    \
         retry: {{ attempts: 3, every: 1ms }}\n"
    ))
    .go();
    assert_eq!(ended.exits(1).outcome("one"), (Outcome::Failed, 3));
}

#[test]
fn within_waits_until_it_holds_and_counts_as_one_good_sample() {
    let target = http(slow_to_rise(2));
    let ended = Drill::run(format!(
        "scenario: patient\nslos: [slo.yaml]\nsteps:\n  - name: up\n    ready: {{ url: 'http://{target}/ready' }}\n    \
         within: 30s\n    sli: shop\n"
    ))
    .file("slo.yaml", slo("shop", "0.99"))
    .go();
    assert_eq!(ended.exits(3).outcome("up"), (Outcome::Passed, 3));
    assert_eq!(ended.judgement("shop").counts, Counts { good: 1, bad: 0 });
}

#[test]
fn within_ends_with_the_last_failure_once_its_time_is_over() {
    let target = http(slow_to_rise(usize::MAX));
    let ended = Drill::run(format!(
        "scenario: impatient\nsteps:\n  - name: up\n    ready: {{ url: 'http://{target}/ready' }}\n    within: 600ms\n"
    ))
    .go();
    assert_eq!(ended.exits(1).outcome("up").0, Outcome::Failed);
    let attempts = ended.attempts("up");
    assert!((2..=3).contains(&attempts.len()), "{} attempts", attempts.len());
    assert!(attempts.iter().all(|failures| failures[0].reason == Reason::Status));
}

#[test]
fn a_step_whose_condition_does_not_hold_is_skipped_and_says_why() {
    let target = http(|heard| json(if heard.line == "GET /skipped" { "[" } else { r#"{"plan": "free"}"# }));
    let ended = Drill::run(format!(
        "scenario: when\nsteps:\n  - name: ask\n    http: {{ get: 'http://{target}/ask' }}\n    \
         capture: {{ plan: {{ json: $.plan }} }}\n  - name: premium\n    http: {{ get: 'http://{target}/skipped' }}\n    \
         expect: {{ json: {{ $: exists }} }}\n    when: {{ \"${{plan}}\": premium }}\n  - name: free\n    \
         http: {{ get: 'http://{target}/free' }}\n    when: {{ \"${{plan}}\": not premium }}\n"
    ))
    .go();
    assert_eq!(ended.exits(0).outcome("premium"), (Outcome::Skipped, 0));
    assert_eq!(ended.why("premium"), Some("${plan} is \"free\", not \"premium\""));
    assert_eq!(ended.outcome("free"), (Outcome::Passed, 1));
}

#[test]
fn a_step_that_needs_what_was_never_captured_is_skipped_and_the_first_fails_the_run() {
    let target = http(|_| json("{}"));
    let ended = Drill::run(format!(
        "scenario: chain\nsteps:\n  - name: log in\n    http: {{ get: 'http://{target}/' }}\n    \
         capture: {{ token: {{ json: $.token }} }}\n  - name: browse\n    \
         http: {{ get: 'http://{target}/', bearer: \"${{token}}\" }}\n"
    ))
    .go();
    assert_eq!(ended.exits(1).reasons("log in"), [Reason::Json]);
    assert_eq!(ended.outcome("browse"), (Outcome::Skipped, 0));
    assert_eq!(ended.why("browse"), Some("`log in` did not give `token`"));
    assert!(ended.stdout().lines().last().unwrap().contains("log in"), "{}", ended.stdout());
}

#[test]
fn fragments_take_variables_and_use_fragments() {
    let target = http(|heard| json(&format!("{{\"asked\": \"{}\"}}", heard.line)));
    let ended = Drill::run(format!(
        "scenario: outer\nvars: {{ base: 'http://{target}', who: nobody }}\nsteps:\n  - name: first\n    \
         use: {{ file: visit.yaml, with: {{ who: ada }} }}\n  - name: second\n    \
         use: {{ file: visit.yaml, with: {{ who: \"${{asked}}\" }} }}\n"
    ))
    .file(
        "visit.yaml",
        "fragment: visit\nsteps:\n  - name: deeper\n    use: { file: ask.yaml, with: { path: \"visit/${who}\" } }\n",
    )
    .file(
        "ask.yaml",
        "fragment: ask\nsteps:\n  - name: ask\n    http: { get: \"${base}/${path}\" }\n    \
         capture: { asked: { regex: 'GET /([a-z]+)' } }\n    expect: { json: { $.asked: \"GET /${path}\" } }\n",
    )
    .go();
    ended.exits(0);
    assert_eq!(ended.outcome("first / deeper / ask"), (Outcome::Passed, 1));
    assert_eq!(ended.outcome("second / deeper / ask"), (Outcome::Passed, 1));
    assert!(ended.stdout().contains("first / deeper / ask"), "{}", ended.stdout());
    let urls = String::from_utf8_lossy(&ended.json).matches("/visit/visit\"").count();
    assert_eq!(urls, 1, "{}", String::from_utf8_lossy(&ended.json));
}

#[rstest]
#[case::set("CHECKOUT", "from-environment", "from-environment")]
#[case::not_set("ANOTHER", "anything", "by-default")]
fn variables_may_need_variables_and_the_environment(
    #[case] name: &str,
    #[case] value: &str,
    #[case] expected: &str,
) {
    let target = http(|heard| answer(200, "", &heard.line));
    let ended = Drill::run(format!(
        "scenario: vars\nvars:\n  url: \"${{base}}/${{place}}\"\n  place: \"${{env.CHECKOUT:-by-default}}\"\n  \
         base: http://{target}\nsteps:\n  - name: ask\n    http: {{ get: \"${{url}}\" }}\n    \
         expect: {{ body: GET /{expected} }}\n"
    ))
    .environment(name, value)
    .go();
    assert_eq!(ended.exits(0).outcome("ask"), (Outcome::Passed, 1));
}

#[test]
fn background_load_that_may_be_cancelled_ends_with_the_last_step() {
    let seen = Arc::new((Mutex::new(0), Condvar::new()));
    let target = http(move |heard| {
        let (count, changed) = &*seen;
        let mut count = count.lock().unwrap();
        if heard.line == "GET /last" {
            // By then the load has had answers enough to count as measured.
            drop(changed.wait_timeout_while(count, PATIENCE, |count| *count < 20).unwrap());
        } else {
            *count += 1;
            changed.notify_all();
        }
        answer(200, "", "")
    });
    let ended = Drill::run(format!(
        "scenario: behind\nbackground:\n  - name: shoppers\n    load: {{ users: 2, for: 10m, http: {{ get: 'http://{target}/' }} }}\n    \
         cancel: true\nsteps:\n  - name: last\n    http: {{ get: 'http://{target}/last' }}\n    timeout: 30s\n"
    ))
    .go();
    let (tally, _) = ended.exits(0).load("shoppers");
    assert!(tally.ended >= 15, "{tally:?}");
    assert_eq!(tally.good, tally.ended);
    assert_eq!(ended.outcome("shoppers").0, Outcome::Passed);
    assert!(ended.took < PATIENCE, "{:?}", ended.took);
}

#[test]
fn load_that_feeds_no_sli_fails_with_its_failures() {
    let stand_in =
        StandIn::of("stand-in: shop\nroutes: [{ get: /items, errors: { share: 30% }, json: {} }]\n");
    let ended = Drill::run(format!(
        "scenario: load\nsteps:\n  - name: shoppers\n    \
         load: {{ rate: 100/s, for: 500ms, http: {{ get: 'http://{}/items' }}, expect: {{ status: 200 }} }}\n",
        stand_in.address
    ))
    .go();
    assert_eq!(ended.exits(1).outcome("shoppers").0, Outcome::Failed);
    let (tally, failures) = ended.load("shoppers");
    assert_eq!((tally.due, tally.ended), (50, 50));
    assert!((1..50).contains(&tally.good), "{tally:?}");
    assert_eq!(tally.reasons.get("status"), Some(&(50 - tally.good)));
    assert!(
        (1..=3).contains(&failures.len()) && failures.iter().all(|failure| failure.reason == Reason::Status)
    );
}

#[test]
fn users_of_the_closed_model_ask_again_only_after_their_answer() {
    let stand_in = StandIn::of("stand-in: shop\nroutes: [{ get: /items, latency: 20ms, json: {} }]\n");
    let ended = Drill::run(format!(
        "scenario: users\nsteps:\n  - name: three\n    \
         load: {{ users: 3, for: 600ms, http: {{ get: 'http://{}/items' }} }}\n",
        stand_in.address
    ))
    .go();
    let (tally, _) = ended.load("three");
    assert_eq!(ended.exits(0).outcome("three").0, Outcome::Passed);
    // Three users with answers of 20 ms cannot make more in that time, and on any machine make some.
    assert!((3..=93).contains(&tally.ended), "{tally:?}");
    assert_eq!(tally.good, tally.ended);
}

#[test]
fn a_fragment_in_the_background_goes_in_its_order_and_ends_with_the_last_step() {
    let target = http(|heard| json(&format!("{{\"asked\": \"{}\"}}", heard.line)));
    let ended = Drill::run(format!(
        "scenario: behind\nvars: {{ base: 'http://{target}' }}\nbackground:\n  - name: behind\n    \
         use: {{ file: visit.yaml, with: {{ who: ada }} }}\n    cancel: true\nsteps:\n  - wait: 1s\n"
    ))
    .file(
        "visit.yaml",
        "fragment: visit\nsteps:\n  - name: ask\n    http: { get: \"${base}/${who}\" }\n    \
         capture: { asked: { json: $.asked } }\n  - name: again\n    http: { get: \"${base}/again\", query: { of: \"${asked}\" } }\n  \
         - name: long\n    wait: 10m\n  - name: never\n    http: { get: \"${base}/never\" }\n",
    )
    .go();
    ended.exits(0);
    assert_eq!(ended.outcome("behind / ask"), (Outcome::Passed, 1));
    assert_eq!(ended.outcome("behind / again"), (Outcome::Passed, 1));
    let urls = String::from_utf8_lossy(&ended.json).into_owned();
    assert!(urls.contains("/again?of=GET+%2Fada\""), "{urls}");
    assert!(!urls.contains("/never\""), "{urls}");
}

#[test]
fn what_is_kept_in_the_background_is_kept_there() {
    let ended = Drill::run(
        "scenario: behind\nbackground:\n  - use: { file: visit.yaml, with: { who: ada } }\nsteps:\n  - http: { get: 'http://127.0.0.1:9/${who}' }\n",
    )
    .file("visit.yaml", "fragment: visit\nsteps:\n  - wait: 1ms\n")
    .go();
    ended.exits(2);
    assert!(ended.stderr().contains("`who` has no value here"), "{}", ended.stderr());
}

/// Each waits for what only the other does.
#[rstest]
#[case::side_by_side("2", Conclusion::Pass)]
#[case::one_after_another("1", Conclusion::Fail)]
fn scenarios_run_side_by_side_if_that_is_wished(#[case] jobs: &str, #[case] conclusion: Conclusion) {
    let each = |own: &str, other: &str, within: &str| {
        format!(
            "scenario: {own}\nsteps:\n  - name: is here\n    exec: {{ command: [touch, {own}] }}\n  - name: meets\n    \
             exec: {{ command: [test, -e, {other}] }}\n    within: {within}\n"
        )
    };
    // One after another, the first looks for the second in vain.
    let within = if jobs == "1" { "1s" } else { "25s" };
    let words = [
        "run",
        "first.yaml",
        "second.yaml",
        "--jobs",
        jobs,
        "--report",
        "json=run.jsonl",
        "--report",
        "junit=run.xml",
    ];
    let ended = Drill::of(words)
        .file("first.yaml", each("first", "second", within))
        .file("second.yaml", each("second", "first", within))
        .within(2 * PATIENCE)
        .go();
    assert_eq!(ended.conclusion(), (conclusion, false));
    // Printed in their order, whichever ended first.
    let out = ended.stdout();
    let places = ["first  first.yaml", "second  second.yaml"].map(|heading| out.find(heading));
    assert!(places[0].is_some() && places[0] < places[1], "{out}");
}
