//! The tutorial, followed to the letter: its files are written, its commands run, its output compared.
#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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
        let text: String =
            lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
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
        assert_eq!(output.status.code().map(|code| code.to_string()).as_deref(), Some(code), "{words}:\n{said}");
        let steady_lines: Vec<_> = said.lines().map(steady).collect();
        for line in expected.lines().filter(|line| !line.starts_with("? ") && *line != "…" && !line.is_empty()) {
            assert!(steady_lines.contains(&steady(line)), "`{words}` does not print `{line}`:\n{said}");
        }
    }
}

#[test]
#[ignore = "needs prometheus and alertmanager"]
fn the_tutorial_can_be_followed() {
    let folder = Folder(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tutorial-{}", std::process::id())));
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
                let done = Command::new("sh").args(["-c", &block.text]).current_dir(&folder.0).status().unwrap();
                assert!(done.success());
            }
            ("sh", _) => {}
            (other, _) => panic!("the tutorial has a block of kind `{other}`"),
        }
    }
    assert_eq!(followed, 3);
    assert!(folder.0.join("report.html").metadata().unwrap().len() > 10_000);
}
