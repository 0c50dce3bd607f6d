//! Logs, as services write them and as they should not.

use std::time::Duration;

use firedrill::event::Outcome;
use rstest::rstest;

use super::rehearsal::{Folder, Rehearsed};

/// Lines written before the scenario began, and of no interest to it.
const BEFORE: &str = "not even JSON\n";

/// A run of a step that reads what a shell has written to `app.log` meanwhile.
async fn run(name: &str, shell: &str, step: &str) -> Rehearsed {
    let steps = format!("- exec: {{ shell: '{shell}' }}\n- {step}");
    Folder::new(&format!("logs_{name}")).with("app.log", BEFORE).run(&steps, &[]).await
}

/// Two lines of a shop that is well.
const WELL: &str = r#"printf "%s\n" "{\"level\":\"info\",\"trace_id\":\"a1\",\"n\":1}" "{\"level\":\"WARN\",\"trace_id\":\"a2\",\"http\":{\"status\":200}}" >> app.log"#;

#[rstest]
#[case::nothing_expected("{ logs: { file: app.log } }")]
#[case::lines("{ logs: { file: app.log }, expect: { lines: 2, latency: under 10s } }")]
#[case::fields(
    "{ logs: { file: app.log }, expect: { fields: { trace_id: matches ^a, level: is a string } } }"
)]
#[case::a_path("{ logs: { file: app.log }, expect: { find: { $.http.status: at least 200 } } }")]
#[case::levels("{ logs: { file: app.log }, expect: { levels: { ERROR: 0, INFO: 1, warn: at least 1 } } }")]
#[case::level_elsewhere("{ logs: { file: app.log, level: trace_id }, expect: { levels: { A1: 1 } } }")]
#[case::found("{ logs: { file: app.log }, expect: { find: { trace_id: a1, n: 1 } } }")]
#[case::whole("{ logs: { file: app.log, whole: true }, expect: { lines: 3, malformed: 1 } }")]
#[tokio::test]
async fn a_log_as_expected_passes(#[case] step: &str) {
    let run = run(&format!("well_{}", step.len()), WELL, step).await;
    assert_eq!(run.failures(), Vec::<String>::new());
}

#[rstest]
#[case::silence("silence", ":", "{ logs: { file: app.log } }", &["body: nothing was logged since the scenario began"])]
#[case::silence_expected("no_silence", WELL, "{ logs: { file: app.log }, expect: { lines: 0 } }", &[
    "body: the number of lines is 2, expected 0"
])]
#[case::absent("absent", ":", "{ logs: { file: nowhere.log } }", &["connect: `FOLDER/nowhere.log` cannot be read: there is no such file"])]
#[case::a_folder("folder", ":", "{ logs: { file: . } }", &["connect: `FOLDER/.` cannot be read: it is no file"])]
#[case::malformed("malformed", "echo {} >> app.log; echo oops >> app.log; echo [] >> app.log", "{ logs: { file: app.log } }", &[
    "json: line 2 is no JSON object: expected value at column 1"
])]
#[case::another_value("value", "echo [] >> app.log", "{ logs: { file: app.log } }", &["json: line 1 is no JSON object: it is another value"])]
#[case::not_utf8("utf8", r"printf {\\042a\\042:\\042\\377\\042}\\n >> app.log", "{ logs: { file: app.log } }", &[
    "json: line 1 is no JSON object: byte 7 is not UTF-8"
])]
#[case::field("field", WELL, "{ logs: { file: app.log }, expect: { fields: { n: is a number } } }", &[
    "json: `n` of line 2 is nothing, expected is a number"
])]
#[case::level("level", WELL, "{ logs: { file: app.log }, expect: { levels: { WARN: 0 } } }", &[
    "body: the number of WARN lines is 1, expected 0"
])]
#[case::no_level("no_level", "echo {} >> app.log", "{ logs: { file: app.log }, expect: { levels: { ERROR: 0 } } }", &[
    "json: no line has a level in `level`, `severity`, `log.level`, `lvl`"
])]
#[case::not_found("not_found", WELL, "{ logs: { file: app.log }, expect: { find: { trace_id: a1, n: 2 } } }", &[
    "body: no line has `trace_id` \"a1\" and `n` 2"
])]
#[case::long("long", r#"printf "{\"a\":\"%02000d\"}\n{}\n" 0 >> app.log"#, "{ logs: { file: app.log, limit: 1KiB } }", &[
    "limit: line 1 is longer than 1KiB"
])]
#[tokio::test]
async fn a_log_that_is_not_as_expected_says_why(
    #[case] name: &str,
    #[case] shell: &str,
    #[case] step: &str,
    #[case] wanted: &[&str],
) {
    let run = run(name, shell, step).await;
    let folder = format!("{}/logs_{name}", env!("CARGO_TARGET_TMPDIR"));
    let told: Vec<_> = run.failures().iter().map(|told| told.replace(&folder, "FOLDER")).collect();
    assert_eq!(told, wanted);
}

#[tokio::test]
async fn a_line_is_waited_for_and_captured_from() {
    let steps = "- exec: { shell: '(for i in 1 2 3 4 5 6 7; do echo \"{\\\"trace_id\\\":\\\"t$i\\\",\\\"order\\\":$i}\"; sleep 0.1; done) >> app.log 2>&1' }
- logs: { file: app.log }
  expect: { find: { trace_id: t7 } }
  within: 20s
  capture: { order: { json: $.order } }
- exec: { command: [echo, \"${order}\"] }
  expect: { stdout: '7' }";
    let run = Folder::new("logs_waits").run(steps, &[]).await;
    assert_eq!(run.failures(), Vec::<String>::new());
    assert_eq!(run.outcomes(), [Outcome::Passed; 3]);
}

#[tokio::test]
async fn a_line_that_never_comes_ends_the_wait() {
    let began = std::time::Instant::now();
    let step = "{ logs: { file: app.log }, expect: { find: { trace_id: b } }, within: 700ms }";
    let run = run("never", WELL, step).await;
    assert_eq!(run.failures().last().unwrap(), "body: no line has `trace_id` \"b\"");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[rstest]
#[case::rotated("rotated", "echo {} >> app.log; mv app.log app.log.1; echo {} > app.log", 2)]
#[case::copied_and_truncated("truncated", "echo {} >> app.log; cp app.log app.log.1; echo {} > app.log", 1)]
#[case::half_a_line_is_no_line("half", r#"echo {} >> app.log; printf "{\"a\":" >> app.log"#, 1)]
#[case::a_whole_one_without_its_end("endless", "echo {} >> app.log; printf {} >> app.log", 2)]
#[tokio::test]
async fn a_file_may_change_meanwhile(#[case] name: &str, #[case] shell: &str, #[case] lines: usize) {
    let step = format!("{{ logs: {{ file: app.log }}, expect: {{ lines: {lines} }} }}");
    assert_eq!(run(name, shell, &step).await.failures(), Vec::<String>::new());
}

#[tokio::test]
async fn a_line_of_ten_megabytes_is_read_where_it_may_be_so_long() {
    let line = format!("{{\"a\":\"{}\"}}\n", "x".repeat(10 << 20));
    let steps = "- logs: { file: app.log, whole: true }
- name: a higher limit
  logs: { file: app.log, whole: true, limit: 11MiB }
  expect: { lines: 1 }";
    let run = Folder::new("logs_ten_megabytes").with("app.log", line).run(steps, &[]).await;
    assert_eq!(run.failures(), ["limit: line 1 is longer than 1MiB"]);
    assert_eq!(run.outcomes(), [Outcome::Failed, Outcome::Passed]);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_before_anything_runs() {
    let steps = "- logs: {}
- logs: { file: a.log, service: web }
- logs: { service: web }
- logs: { service: 'a b' }
- logs: { file: a.log, level: '$[' }
- logs: { file: b.log }
  expect: { levels: { ERROR: under 5s }, fields: { '$[': exists }, stdout: x }";
    let drawn = Folder::new("logs_refused").findings(steps);
    let titles: Vec<_> = drawn.lines().filter(|line| line.starts_with("error")).collect();
    insta::assert_snapshot!(titles.join("\n"), @r"
    error[scenario/step]: there is no log to read
    error[scenario/step]: `file` and `service` exclude each other
    error[scenario/unknown-variable]: `service.web.log` has no value here
    error[file/value]: `a b` cannot be a service's name
    error[scenario/json-path]: `$[` is not a JSONPath: parser error
    error[file/value]: this is a number: compare with a number, like `at least 3`
    error[scenario/json-path]: `$[` is not a JSONPath: parser error
    error[scenario/expectation]: a `logs` step has no `stdout` to expect
    ");
}
