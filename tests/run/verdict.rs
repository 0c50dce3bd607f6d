//! What a run comes to when objectives judge its samples.

use firedrill::event::{Conclusion, Outcome};
use firedrill::gate::Verdict;
use rstest::rstest;

use crate::flow::slo;
use crate::peer::{answer, http};
use crate::support::{Drill, Ended, PATIENCE, StandIn};

/// A scenario of one step that feeds its SLI once.
fn step(name: &str, target: std::net::SocketAddr, status: u16) -> String {
    format!("  - name: {name}\n    http: {{ get: 'http://{target}/{status}' }}\n    sli: shop\n")
}

/// Answers with the status it is asked for.
fn statuses() -> std::net::SocketAddr {
    http(|heard| answer(heard.line["GET /".len()..].parse().unwrap(), "", ""))
}

fn judged(scenario: &str, target: &str) -> Ended {
    Drill::run(scenario).file("slo.yaml", slo("shop", target)).go()
}

#[test]
fn enough_good_samples_pass() {
    let stand_in = StandIn::of("stand-in: shop\nroutes: [{ get: /items, json: {} }]\n");
    let ended = judged(
        &format!(
            "scenario: good\nslos: [slo.yaml]\nsteps:\n  - name: shoppers\n    \
             load: {{ users: 2, for: 500ms, http: {{ get: 'http://{}/items' }} }}\n    sli: shop\n",
            stand_in.address
        ),
        "0.9",
    );
    let judgement = ended.exits(0).judgement("shop");
    assert_eq!((judgement.verdict, judgement.counts.bad), (Verdict::Pass, 0));
    assert_eq!(ended.conclusion(), (Conclusion::Pass, false));
}

#[test]
fn bad_samples_fail_by_the_objective_though_the_load_itself_passes() {
    let stand_in =
        StandIn::of("stand-in: shop\nroutes: [{ get: /items, errors: { share: 50% }, json: {} }]\n");
    let ended = judged(
        &format!(
            "scenario: bad\nslos: [slo.yaml]\nsteps:\n  - name: shoppers\n    \
             load: {{ users: 2, for: 500ms, http: {{ get: 'http://{}/items' }} }}\n    sli: shop\n",
            stand_in.address
        ),
        "0.95",
    );
    assert_eq!(ended.exits(1).outcome("shoppers").0, Outcome::Passed);
    let judgement = ended.judgement("shop");
    assert_eq!(judgement.verdict, Verdict::Fail);
    assert!(ended.stdout().lines().last().unwrap().starts_with("FAIL bad: shop: "), "{}", ended.stdout());
}

#[test]
fn too_few_samples_are_inconclusive_and_say_how_many_more_it_takes() {
    let target = statuses();
    let steps: String = ["one", "two", "three"].map(|name| step(name, target, 200)).concat();
    let ended = judged(&format!("scenario: few\nslos: [slo.yaml]\nsteps:\n{steps}"), "0.9");
    let judgement = ended.exits(3).judgement("shop");
    // 0.9 to the 29th is the first power below 5 %.
    assert_eq!(judgement.verdict, Verdict::Inconclusive { needed: Some(26) });
    let sentence = "0 of 3 failed: not enough to say 90%; 26 more good samples would";
    assert!(ended.stdout().contains(sentence), "{}", ended.stdout());
    assert!(String::from_utf8_lossy(&ended.junit).contains(sentence));
}

#[rstest]
#[case::every_step_was_skipped("    when: { '${env.NEVER:-no}': yes }\n    sli: shop\n")]
#[case::no_step_feeds_it("")]
fn no_samples_are_no_pass(#[case] rest: &str) {
    let target = statuses();
    let ended = judged(
        &format!(
            "scenario: silent\nslos: [slo.yaml]\nsteps:\n  - name: other\n    http: {{ get: 'http://{target}/200' }}\n  \
             - name: ask\n    http: {{ get: 'http://{target}/200' }}\n{rest}"
        ),
        "0.9",
    );
    assert_eq!(ended.exits(4).judgement("shop").verdict, Verdict::NoData);
    assert_eq!(ended.conclusion(), (Conclusion::NotMeasured, false));
    assert!(ended.stdout().contains("no samples: nothing to say about 90%"), "{}", ended.stdout());
}

#[test]
fn a_failed_step_is_a_failure_whatever_the_objectives_say() {
    let target = statuses();
    let ended =
        judged(&format!("scenario: both\nslos: [slo.yaml]\nsteps:\n{}", step("one", target, 503)), "0.9");
    assert_eq!(ended.exits(1).outcome("one"), (Outcome::Failed, 1));
}

#[rstest]
#[case::fail_over_inconclusive(&["bad", "few"], 1)]
#[case::fail_over_no_data(&["none", "bad"], 1)]
#[case::no_data_over_inconclusive(&["few", "none"], 4)]
#[case::inconclusive_over_pass(&["good", "few"], 3)]
#[case::passes(&["good", "fine"], 0)]
fn of_several_scenarios_the_worst_counts(#[case] names: &[&str], #[case] exit: i32) {
    let target = statuses();
    let mut drill = Drill::of(["run", "--report", "json=run.jsonl", "--report", "junit=run.xml"]);
    drill = drill.file("slo.yaml", slo("shop", "0.9"));
    for name in names {
        let rest = match *name {
            "bad" => step("ask", target, 503),
            "few" => format!("slos: [slo.yaml]\nsteps:\n{}", step("ask", target, 200)),
            "none" => "slos: [slo.yaml]\nsteps:\n  - wait: 1ms\n".to_owned(),
            _ => format!("steps:\n  - http: {{ get: 'http://{target}/200' }}\n"),
        };
        let rest = if rest.starts_with("  -") { format!("steps:\n{rest}") } else { rest };
        drill = drill.file(&format!("{name}.yaml"), format!("scenario: {name}\n{rest}"));
        drill = drill.argument(format!("{name}.yaml"));
    }
    let ended = drill.within(PATIENCE).go();
    ended.exits(exit);
    let suites = String::from_utf8_lossy(&ended.junit).matches("<testsuite ").count();
    assert_eq!(suites, names.len());
    assert!(ended.stdout().lines().last().unwrap().contains("2 scenarios"), "{}", ended.stdout());
}

#[test]
fn an_objective_on_what_is_not_at_hand_is_not_measured() {
    let target = statuses();
    let prometheus = slo("shop", "0.9")
        .replace("type: firedrill, spec: { sli: shop, count: good }", "type: prometheus, spec: { query: up }")
        .replace(
            "type: firedrill, spec: { sli: shop, count: valid }",
            "type: prometheus, spec: { query: up }",
        );
    let ended = Drill::run(format!(
        "scenario: far\nslos: [slo.yaml]\nsteps:\n  - http: {{ get: 'http://{target}/200' }}\n"
    ))
    .file("slo.yaml", prometheus)
    .go();
    assert_eq!(ended.exits(4).conclusion(), (Conclusion::NotMeasured, false));
    assert!(ended.stdout().contains("SLO `shop` is not judged"), "{}", ended.stdout());
}
