//! Where reports go, and what becomes of a run whose report cannot be written.

use firedrill::event::{Conclusion, Event};
use firedrill::report::json;
use rstest::rstest;

use crate::input::Untouched;
use crate::peer::{answer, http};
use crate::support::Drill;

fn scenario(status: u16) -> String {
    let target = http(|_| answer(200, "", ""));
    format!(
        "scenario: one\nsteps: [{{ name: ask, http: {{ get: 'http://{target}/' }}, expect: {{ status: {status} }} }}]\n"
    )
}

#[rstest]
#[case::in_a_file("json=scenario.yaml/run.jsonl")]
#[case::in_what_cannot_be_made("json=/proc/nowhere/run.jsonl")]
#[case::a_folder("junit=.")]
fn a_report_that_cannot_be_made_fails_before_anything_starts(#[case] target: &str) {
    let untouched = Untouched::new();
    let ended = Drill::of(["run", "scenario.yaml", "--report", target])
        .file("scenario.yaml", untouched.scenario())
        .go();
    assert!(ended.exits(2).stderr().starts_with("error: cannot create `"), "{}", ended.stderr());
    assert!(ended.stdout.is_empty());
    untouched.assert();
}

#[rstest]
#[case::of_a_pass(200, 4)]
#[case::of_a_failure(404, 1)]
fn a_report_that_cannot_be_written_is_no_pass(
    #[case] status: u16,
    #[case] exit: i32,
    #[values("json", "junit")] format: &str,
) {
    let ended =
        Drill::run(scenario(status)).argument("--report").argument(format!("{format}=/dev/full")).go();
    assert!(ended.exits(exit).stderr().contains("cannot write `/dev/full`"), "{}", ended.stderr());
    // The others are written all the same.
    assert!(matches!(ended.events.last(), Some(Event::RunEnded { .. })));
    assert!(!ended.stdout.is_empty() && !ended.junit.is_empty());
}

#[test]
fn reports_make_the_folders_they_are_in() {
    let drill = Drill::of([
        "run",
        "scenario.yaml",
        "--report",
        "json=out/a/run.jsonl",
        "--report",
        "junit=out/b/run.xml",
    ]);
    let folder = drill.folder.path("out");
    let started = drill.file("scenario.yaml", scenario(200)).start();
    let ended = started.end_with(|| {
        (
            std::fs::read(folder.join("a/run.jsonl")).unwrap(),
            std::fs::read_to_string(folder.join("b/run.xml")).unwrap(),
        )
    });
    let (lines, xml) = ended;
    let last = json::read(lines.as_slice()).last().unwrap().unwrap().event;
    assert!(matches!(last, Event::RunEnded { conclusion: Conclusion::Pass, .. }), "{last:?}");
    let suites = quick_junit::Report::deserialize_from_str(&xml).unwrap().test_suites;
    assert_eq!(suites.iter().map(|suite| suite.name.as_str()).collect::<Vec<_>>(), ["one"]);
}

#[test]
fn json_on_standard_output_stands_there_alone() {
    let ended =
        Drill::of(["run", "scenario.yaml", "--report", "json=-"]).file("scenario.yaml", scenario(404)).go();
    ended.exits(1);
    let events: Vec<_> = json::read(ended.stdout.as_slice()).map(Result::unwrap).collect();
    assert!(matches!(events[0].event, Event::RunStarted { .. }));
    assert!(matches!(events.last().unwrap().event, Event::RunEnded { conclusion: Conclusion::Fail, .. }));
    assert!(ended.stderr().contains("FAIL one: ask: status is 200 OK, not 404"), "{}", ended.stderr());
}

#[test]
fn junit_on_standard_output_stands_there_alone() {
    let ended =
        Drill::of(["run", "scenario.yaml", "--report", "junit=-"]).file("scenario.yaml", scenario(200)).go();
    quick_junit::Report::deserialize_from_str(&ended.exits(0).stdout()).unwrap();
    assert!(ended.stderr().contains("PASS one"), "{}", ended.stderr());
}
