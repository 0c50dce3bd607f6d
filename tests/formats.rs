//! Reports and findings for code hosts, as the binary writes them.
#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rstest::rstest;
use serde_json::Value;

fn firedrill() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    command.env_remove("GITHUB_STEP_SUMMARY");
    command
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A folder of its own that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn findings_are_printed_as_sarif() {
    let output = firedrill()
        .args(["check", "fixtures/bad/file-unknown-key.yaml", "--format", "sarif"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let document: Value = serde_json::from_str(&printed(&output)).unwrap();
    let results = document["runs"][0]["results"].as_array().unwrap();
    assert!(!results.is_empty());
    for result in results {
        assert_eq!(result["ruleId"], "file/unknown-key");
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "fixtures/bad/file-unknown-key.yaml");
    }
}

#[test]
fn files_without_findings_are_sarif_too() {
    let output =
        firedrill().args(["check", "scenarios/quickstart.yaml", "--format", "sarif"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let document: Value = serde_json::from_str(&printed(&output)).unwrap();
    assert_eq!(document["runs"][0]["results"], Value::Array(Vec::new()));
}

#[test]
fn findings_are_printed_as_annotations() {
    let output =
        firedrill().args(["check", "fixtures/bad/scenario-url.yaml", "--format", "github"]).output().unwrap();
    let text = printed(&output);
    let first = text.lines().next().unwrap();
    assert!(first.starts_with("::error file=fixtures/bad/scenario-url.yaml,line=3,col=18,"), "{text}");
    assert!(first.contains(",title=scenario/url::`127.0.0.1/items` is not an address"), "{text}");
}

#[test]
fn a_failed_run_is_annotated_and_summed_up_where_github_says() {
    let folder = Folder::new("github");
    let (scenario, summary) = (folder.0.join("closed.yaml"), folder.0.join("summary.md"));
    fs::write(&scenario, "scenario: closed\nsteps:\n  - name: a port\n    tcp: { address: 127.0.0.1:1 }\n")
        .unwrap();
    fs::write(&summary, "before\n").unwrap();
    let output = firedrill()
        .args(["run", "--report", "github=-"])
        .arg(&scenario)
        .env("GITHUB_STEP_SUMMARY", &summary)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = printed(&output);
    let commands: Vec<_> = text.lines().collect();
    assert_eq!(commands.len(), 2, "{text}");
    assert!(commands[0].contains("closed.yaml,line=4,col=21,endColumn=31,title=closed / a port::"), "{text}");
    assert!(commands[1].starts_with("::notice title=firedrill::FAIL closed: "), "{text}");
    let summary = fs::read_to_string(&summary).unwrap();
    assert!(summary.starts_with("before\n\n## FAIL closed: "), "{summary}");
    assert!(summary.contains("\n| ✗ | a port | tcp | "), "{summary}");
}

/// A run of a shop's stand-in in which a step fails and load feeds an SLI, saved in `folder`.
fn saved(folder: &Folder) -> PathBuf {
    let path = folder.0.join("run.jsonl");
    let output = firedrill()
        .args(["run", "--no-save", "--quiet", "tests/cmd/short-session.yaml", "--report"])
        .arg(format!("json={}", path.display()))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    path
}

fn report(run: &Path, arguments: &[&str]) -> Output {
    firedrill().arg("report").arg(run).args(arguments).output().unwrap()
}

#[test]
fn a_saved_run_is_shown_again_and_in_other_formats() {
    let folder = Folder::new("report-again");
    let run = saved(&folder);
    let (again, page) = (folder.0.join("again.jsonl"), folder.0.join("page.html"));
    let (json, html) = (format!("json={}", again.display()), format!("html={}", page.display()));
    let output = report(&run, &["--report", &json, "--report", &html]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed(&output).contains("FAIL short session: "), "{}", printed(&output));
    assert_eq!(fs::read(&again).unwrap(), fs::read(&run).unwrap());
    let page = fs::read_to_string(&page).unwrap();
    assert!(page.contains("`$.expires_in` is 3600, expected at least 7200"), "{page}");
    assert!(!page.contains("rehearsal"), "the secret that was captured is not in the page");
}

#[test]
fn a_run_that_was_cut_off_is_shown_as_far_as_it_goes() {
    let folder = Folder::new("report-cut");
    let run = saved(&folder);
    let text = fs::read(&run).unwrap();
    fs::write(&run, &text[..text.len() - 100]).unwrap();
    let output = report(&run, &["--report", "html=-"]);
    assert_eq!(output.status.code(), Some(4));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the last one, is cut off"), "{said}");
    assert!(printed(&output).contains("This run was cut off"), "{}", printed(&output));
}

#[test]
fn no_run_is_written_over_and_what_is_none_is_refused() {
    let folder = Folder::new("report-over");
    let run = saved(&folder);
    let before = fs::read(&run).unwrap();
    let output = report(&run, &["--report", &format!("json={}", run.display())]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(fs::read(&run).unwrap(), before);
    fs::write(&run, "").unwrap();
    let output = report(&run, &[]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("is no saved run: it is empty"), "{said}");
}

#[test]
fn a_run_held_against_itself_is_no_worse() {
    let folder = Folder::new("report-against");
    let run = saved(&folder);
    let output = report(&run, &["--against", run.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    assert!(printed(&output).contains("NO WORSE"), "{}", printed(&output));
}

#[rstest]
#[case::junit("junit", "type=\"interrupted\"")]
#[case::tap("tap", "Bail out! ")]
#[case::github("github", "cut off before its end")]
#[case::summary("github-summary", "cut off before its end")]
#[case::gitlab("gitlab", "cut off before its end")]
#[case::matrix("matrix", "**Not whole.** This run was cut off")]
#[case::html("html", "This run was cut off")]
fn a_run_that_was_killed_half_way_says_so_in_every_format(#[case] format: &str, #[case] said: &str) {
    let folder = Folder::new(&format!("report-killed-{format}"));
    let run = saved(&folder);
    let text = fs::read_to_string(&run).unwrap();
    // In the middle of a line, after the step that failed.
    let cut = text.find("\"scenario_ended\"").unwrap();
    fs::write(&run, &text[..cut]).unwrap();
    let output = report(&run, &["--report", &format!("{format}=-")]);
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed(&output).contains(said), "{}", printed(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cut off"));
}

/// A scenario's name that would mean something wherever it came out as it is.
const HOSTILE: &str = r"<script>x</script>\u001b[31m\r\n::error::x\n=1+1|`a`]]>&amp;\u202e";

#[rstest]
fn a_saved_run_of_hostile_content_steers_nothing(
    #[values("junit", "tap", "github", "github-summary", "gitlab", "matrix", "html", "terminal", "against")]
    format: &str,
) {
    let folder = Folder::new(&format!("report-hostile-{format}"));
    let run = saved(&folder);
    let text = fs::read_to_string(&run).unwrap();
    fs::write(&run, text.replace("short session", HOSTILE)).unwrap();
    let output = match format {
        "terminal" => report(&run, &[]),
        "against" => report(&run, &["--against", run.to_str().unwrap()]),
        _ => report(&run, &["--report", &format!("{format}=-")]),
    };
    let shown = printed(&output) + &String::from_utf8_lossy(&output.stderr);
    assert!(shown.contains("script"), "it is there as text, or nothing is tested: {shown}");
    assert!(!shown.contains(['\u{1b}', '\u{202e}', '\r']), "{shown}");
    assert!(!shown.lines().any(|line| line.starts_with("::error::x") || line.starts_with("=1+1")), "{shown}");
    if ["junit", "github-summary", "matrix", "html"].contains(&format) {
        assert!(!printed(&output).contains("<script>x"), "{shown}");
    }
}
