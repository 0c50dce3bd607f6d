//! What is typed and what is then read, of the README and of `tests/cmd`; `TRYCMD=overwrite` writes the latter anew.
#![cfg(test)]

use std::fs;
use std::path::Path;

use regex::Regex;
use trycmd::TestCases;

fn cases() -> TestCases {
    let cases = TestCases::new();
    cases
        .register_bin("firedrill", Path::new(env!("CARGO_BIN_EXE_firedrill")))
        .env("LC_ALL", "C.UTF-8")
        .env("FIREDRILL_NO_SAVE", "1")
        .env("SHOP", "http://127.0.0.1:1");
    cases
}

#[test]
fn what_is_typed_gives_what_is_written() {
    cases().case("tests/cmd/*.md").case("docs/verbs/*.md");
}

/// What a shell is given, and the manual pages, know every verb that the help names.
#[test]
fn completions_and_manual_pages_know_every_verb() {
    let firedrill = |words: &[&str]| {
        let output =
            std::process::Command::new(env!("CARGO_BIN_EXE_firedrill")).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let help = firedrill(&["-h"]);
    let listed = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let verbs: Vec<_> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(verbs.len() > 10, "{help}");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("manual-{}", std::process::id()));
    firedrill(&["manual", folder.to_str().unwrap()]);
    let bash = firedrill(&["completions", "bash"]);
    for verb in verbs.iter().filter(|verb| **verb != "help") {
        assert!(bash.contains(verb), "bash completes no `{verb}`");
        let page = fs::read_to_string(folder.join(format!("firedrill-{verb}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{page}");
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// The README shows times and ports as they were once; any will do.
#[test]
fn the_readme_shows_what_happens() {
    let times = Regex::new(r" +[0-9.]+ (µs|ms|s)\b").unwrap();
    let ports = Regex::new(r"127\.0\.0\.1:[0-9]{4,5}").unwrap();
    let readme = fs::read_to_string("README.md").unwrap();
    let readme = ports.replace_all(&readme, "127.0.0.1:[..]");
    let readme = times.replace_all(&readme, "[..]");
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("README.md");
    fs::write(&copy, &*readme).unwrap();
    cases().case(copy);
}

#[test]
fn the_readme_shows_the_scenario_that_it_runs() {
    let readme = fs::read_to_string("README.md").unwrap();
    let scenario = fs::read_to_string("scenarios/first.yaml").unwrap();
    assert!(
        readme.contains(&format!("```yaml\n{scenario}```\n")),
        "scenarios/first.yaml is another:\n{scenario}"
    );
}

#[test]
fn short_help_fits_a_screen() {
    let (mut verbs, mut seen) = (vec![Vec::<String>::new()], 0);
    while let Some(verb) = verbs.pop() {
        let words = verb.iter().map(String::as_str).chain(["-h"]);
        let help = std::process::Command::new(env!("CARGO_BIN_EXE_firedrill")).args(words).output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        let lines = help.lines().count();
        assert!((5..=40).contains(&lines), "{lines} lines for `firedrill {} -h`", verb.join(" "));
        seen += 1;
        // Every verb that it names, and theirs; what goes over two lines is set in further.
        let listed = help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next());
        let names = listed.into_iter().flat_map(str::lines).filter(|line| !line.starts_with("   "));
        let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
        verbs.extend(names.map(|name| [&verb[..], &[name.to_owned()]].concat()));
    }
    assert!(seen > 25, "{seen} verbs");
}

/// Commands in the pages that are shown without what they print; `…` stands for words that are left out.
#[test]
fn commands_in_the_pages_name_verbs_and_options_that_there_are() {
    let folders = ["docs", "docs/verbs"].map(|folder| fs::read_dir(folder).unwrap());
    let paths = folders.into_iter().flatten().map(|entry| entry.unwrap().path());
    let pages = paths.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    let mut seen = 0;
    for page in pages.chain(["README.md".into()]) {
        let text = fs::read_to_string(&page).unwrap().replace("\\\n", " ");
        let blocks = text.split("\n```").filter_map(|block| block.strip_prefix("sh\n"));
        for line in blocks.flat_map(str::lines).filter(|line| line.starts_with("firedrill ")) {
            let words: Vec<_> = line.split_whitespace().skip(1).take_while(|word| *word != "#").collect();
            let depth = if ["incident", "report merge"].iter().any(|one| line[10..].starts_with(one)) {
                2
            } else {
                1
            };
            let verb = words.iter().take(depth).chain(&["--help"]);
            let asked =
                std::process::Command::new(env!("CARGO_BIN_EXE_firedrill")).args(verb).output().unwrap();
            assert!(asked.status.success(), "{}: `{line}`: there is no such verb", page.display());
            let help = String::from_utf8(asked.stdout).unwrap();
            for option in words.iter().filter(|word| word.starts_with("--")) {
                let name = option.split('=').next().unwrap();
                let is_there = help.split_whitespace().any(|word| word.trim_end_matches(',') == name);
                assert!(is_there, "{}: `{line}`: there is no `{name}`", page.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen} commands");
}
