//! Kinds of probe by the real binary: what their scenarios show, and what a failure looks like.
#![cfg(test)]

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use rstest::rstest;

fn firedrill(scenario: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_firedrill")).args(["run", scenario]).output().unwrap()
}

/// Runs a scenario of these steps from a folder of its own.
fn run_steps(steps: &str) -> (Option<i32>, String) {
    let folder = Folder::new();
    let file = folder.0.join("scenario.yaml");
    std::fs::write(&file, format!("scenario: steps\nsteps:\n{steps}")).unwrap();
    let run = firedrill(&file.to_string_lossy());
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    let text = text + &String::from_utf8_lossy(&run.stderr);
    (run.status.code(), text)
}

/// A folder that goes with its test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("firedrill-probes-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[rstest]
#[case::exec("scenarios/probes/exec.yaml")]
fn a_scenario_of_probes_passes(#[case] scenario: &str) {
    let run = firedrill(scenario);
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert_eq!(run.status.code(), Some(0), "{out}\n{err}");
    assert!(out.lines().last().is_some_and(|line| line.starts_with("PASS")), "{out}");
}

#[rstest]
#[case::exit(
    "{ exec: { shell: 'echo out of stock >&2; exit 3' } }",
    "the program exited with 3",
    "it wrote to standard error: out of stock"
)]
#[case::another_exit(
    "{ exec: { shell: exit 3 }, expect: { exit: at most 2 } }",
    "the exit code is 3, expected at most 2",
    "status"
)]
#[case::signal("{ exec: { shell: kill -9 $$ }, expect: { exit: not 0 } }", "was ended by signal 9", "status")]
#[case::output(
    "{ exec: { shell: echo hi }, expect: { stdout: ho } }",
    "the output is \"hi\", expected \"ho\"",
    "body"
)]
#[case::json("{ exec: { shell: echo hi }, expect: { json: { $.a: 1 } } }", "the body is not JSON", "json")]
#[case::deadline(
    "{ exec: { shell: sleep 600 }, timeout: 300ms }",
    "300ms passed before the program ended",
    "timeout(exchange)"
)]
#[case::absent("{ exec: { command: [no-such-program] } }", "there is no such program", "connect")]
#[case::flood(
    "{ exec: { shell: yes | head -c 100000 }, expect: { stdout: not contains n } }",
    "wrote 100000 bytes to standard output; 64KiB are kept",
    "a higher `limit` keeps more"
)]
fn a_program_that_fails_says_how(#[case] step: &str, #[case] title: &str, #[case] more: &str) {
    let (code, text) = run_steps(&format!("  - {step}\n"));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(title) && text.contains(more), "{text}");
}

#[test]
fn a_program_stands_beside_its_scenario() {
    let (code, text) = run_steps("  - { exec: { shell: ls }, expect: { stdout: scenario.yaml } }\n");
    assert_eq!(code, Some(0), "{text}");
}
