//! The tutorial, followed to the letter: its files are written, its commands run, its output compared.
#![cfg(test)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use regex::Regex;

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A fenced block: what stands behind the fence, and the lines within.
struct Block<'t> {
    info: &'t str,
    text: String,
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let text = lines.by_ref().take_while(|line| *line != "```").flat_map(|line| [line, "\n"]).collect();
        blocks.push(Block { info, text });
    }
    blocks
}

/// What is the same in every run: numbers, units of time and the room between columns are not.
fn steady(text: &str) -> String {
    let times = Regex::new(r"[0-9.]+ ?(µs|ms|s)\b|\d+m\d+s").unwrap();
    let text = times.replace_all(text, "TIME");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Runs a console block: each `$ ` line, whose exit code `? N` tells, and its output, of which `…` leaves out lines.
fn follow(block: &Block<'_>, folder: &Path) {
    for command in block.text.split("$ ").skip(1) {
        let (words, expected) = command.split_once('\n').unwrap();
        let arguments = words.strip_prefix("firedrill ").expect("the tutorial runs firedrill");
        let output = Command::new(env!("CARGO_BIN_EXE_firedrill"))
            .args(arguments.split(' '))
            .args(["--color", "never"])
            .current_dir(folder)
            .env("FIREDRILL_NO_SAVE", "1")
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        let code = expected.lines().find_map(|line| line.strip_prefix("? ")).unwrap_or("0");
        assert_eq!(
            output.status.code().map(|code| code.to_string()).as_deref(),
            Some(code),
            "{words}:\n{said}"
        );
        let steady_lines: Vec<_> = said.lines().map(steady).collect();
        for line in
            expected.lines().filter(|line| !line.starts_with("? ") && *line != "…" && !line.is_empty())
        {
            assert!(steady_lines.contains(&steady(line)), "`{words}` does not print `{line}`:\n{said}");
        }
    }
}

#[test]
#[ignore = "needs prometheus and alertmanager"]
fn the_tutorial_can_be_followed() {
    let folder =
        Folder(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tutorial-{}", std::process::id())));
    fs::create_dir_all(&folder.0).unwrap();
    let page = fs::read_to_string("docs/tutorial.md").unwrap();
    let mut followed = 0;
    for block in blocks(&page) {
        match block.info.split_once(' ').unwrap_or((block.info, "")) {
            ("yaml", name) => fs::write(folder.0.join(name), &block.text).unwrap(),
            ("console", _) => {
                follow(&block, &folder.0);
                followed += 1;
            }
            ("sh", _) if block.text.starts_with("sed ") => {
                let done =
                    Command::new("sh").args(["-c", &block.text]).current_dir(&folder.0).status().unwrap();
                assert!(done.success());
            }
            ("sh", _) => {}
            (other, _) => panic!("the tutorial has a block of kind `{other}`"),
        }
    }
    assert_eq!(followed, 3);
    assert!(folder.0.join("report.html").metadata().unwrap().len() > 10_000);
}

/// A stand-in that is served until the test ends.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_init_writes_for_a_system_passes_and_runs() {
    let folder = Folder(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("init-{}", std::process::id())));
    fs::create_dir_all(&folder.0).unwrap();
    let mut serving = Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .args(["simulate", "fixtures/drills/web.yaml", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(serving.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let _served = Served(serving);
    let address = line.trim().rsplit(' ').next().unwrap();
    let firedrill = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_firedrill"))
            .args(words)
            .current_dir(&folder.0)
            .env("FIREDRILL_NO_SAVE", "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        (output.status.code(), said.into_owned())
    };
    let (code, said) = firedrill(&["init", address]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("✓ health at /health") && said.contains("✓ metrics, "), "{said}");
    let (code, said) = firedrill(&["check", "firedrill"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = firedrill(&["run", "--quiet", "firedrill/scenario.yaml"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = firedrill(&["init", address]);
    assert_eq!(code, Some(2), "nothing is written over: {said}");
}
