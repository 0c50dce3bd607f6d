//! Keeps the modules in their order: each uses only those above it in the list below.

use std::fs;
use std::path::{Path, PathBuf};

use rstest::rstest;

/// The modules of the library, from the one that uses no other to those that use them all; the order of
/// `docs/design.md`, section 5.
const ORDER: [&str; 39] = [
    "units",
    "exposition",
    "sample",
    "source",
    "finding",
    "yaml",
    "secret",
    "promql",
    "prometheus",
    "rule",
    "route",
    "slo",
    "scenario",
    "plan",
    "sli",
    "budget",
    "statistics",
    "gate",
    "ladder",
    "event",
    "report",
    "probe",
    "load",
    "simulate",
    "fault",
    "sink",
    "stack",
    "dilation",
    "drill",
    "audit",
    "run",
    "store",
    "history",
    "coverage",
    "mutate",
    "incident",
    "serve",
    "exit",
    "cli",
];

#[test]
fn modules_use_only_those_above_them() {
    // Tests run in the package's root.
    let files = rust_files(Path::new("src")).expect("`src` can be read");
    assert!(files.len() > 2, "`src` holds more than `lib.rs` and `main.rs`");
    let mut complaints = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a source file can be read");
        complaints.extend(judge(&file.to_string_lossy().replace('\\', "/"), &text));
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// A clock that is set while a load runs moves no hit, and no measured time: none of it is by such a clock.
#[rstest]
#[case::load("src/load")]
#[case::how_it_is_fired("src/run/fire.rs")]
#[case::what_is_fired("src/run/battery.rs")]
fn a_load_goes_by_no_clock_that_can_be_set(#[case] path: &str) {
    let path = Path::new(path);
    let files = if path.is_dir() { rust_files(path).unwrap() } else { vec![path.to_owned()] };
    assert!(!files.is_empty());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for clock in ["SystemTime", "Timestamp::now", "Zoned::now", "ClockId::Realtime"] {
            assert!(!text.contains(clock), "{} goes by {clock}", file.display());
        }
    }
}

/// What holds however the list is rearranged: reports know events and not who sends them, and what breaks a
/// target on purpose is nothing to those that ask how it is.
#[rstest]
#[case::report_never_imports_run("report", "run")]
#[case::probe_never_imports_fault("probe", "fault")]
#[case::the_sink_is_there_before_what_is_re_addressed_to_it("sink", "stack")]
fn this_stands_above_that(#[case] this: &str, #[case] that: &str) {
    assert!(rank(this).is_some() && rank(this) < rank(that), "`{this}` must stand above `{that}`");
}

#[rstest]
#[case::upward("src/units.rs", "use crate::drill::Rung;", &["src/units.rs reaches up to `drill`"])]
#[case::downward("src/drill.rs", "use crate::units::Span;", &[])]
#[case::itself("src/units.rs", "use crate::units::Span;", &[])]
#[case::folder("src/probe/http.rs", "use crate::fault;", &["src/probe/http.rs reaches up to `fault`"])]
#[case::folder_root("src/report/mod.rs", "use crate::run;", &["src/report/mod.rs reaches up to `run`"])]
#[case::once_each("src/sli.rs", "crate::run::a(); crate::run::b();", &["src/sli.rs reaches up to `run`"])]
#[case::unlisted_module("src/util.rs", "", &["src/util.rs belongs to `util`, which has no place in tests/layers.rs"])]
#[case::unlisted_path("src/run.rs", "use crate::Plan;", &["src/run.rs names `crate::Plan`, which is no module"])]
#[case::top("src/lib.rs", "pub use crate::units::Span;", &[])]
fn each_breach_is_a_sentence(#[case] file: &str, #[case] text: &str, #[case] sentences: &[&str]) {
    assert_eq!(judge(file, text), sentences);
}

#[rstest]
#[case::path("let x = crate::units::Span(d);", &["units"])]
#[case::braces("use crate::{sli::Sli, units};", &["sli", "units"])]
#[case::nested("use crate::{slo::{Slo, rules::{a, b}}, units::Span};", &["slo", "units"])]
#[case::over_lines("use crate::{\n    sli::Sli,\n    units,\n};\nuse crate::event;", &["sli", "units", "event"])]
#[case::comment_in_braces("use crate::{\n    // run,\n    units,\n};", &["units"])]
#[case::renamed("use crate::{run as walk};", &["run"])]
#[case::public("pub(in crate::probe) fn f() {}", &["probe"])]
#[case::in_a_macro("$crate::run::now!()", &["run"])]
#[case::doc_link("/// See [`crate::run`].", &["run"])]
#[case::module_doc_link("//! See [`crate::run`].", &["run"])]
#[case::comment("    // crate::run does this too", &[])]
#[case::another_crate("use my_crate::run; use supercrate::run;", &[])]
#[case::the_word_alone("pub(crate) fn f() {} extern crate core;", &[])]
#[case::glob("use crate::*;", &["*"])]
#[case::unfinished("use crate::{sli::{Sli", &["sli"])]
#[case::nothing("crate::", &[])]
fn paths_are_found(#[case] text: &str, #[case] names: &[&str]) {
    assert_eq!(reaches(text), names);
}

/// The sentences to be said about `file` (its path from the package's root) with this `text`.
fn judge(file: &str, text: &str) -> Vec<String> {
    let module = module(file);
    if module == "lib" || module == "main" {
        return Vec::new();
    }
    let Some(own) = rank(module) else {
        return vec![format!("{file} belongs to `{module}`, which has no place in tests/layers.rs")];
    };
    let mut complaints = Vec::new();
    for name in reaches(text) {
        let complaint = match rank(&name) {
            Some(rank) if rank <= own => continue,
            Some(_) => format!("{file} reaches up to `{name}`"),
            None => format!("{file} names `crate::{name}`, which is no module"),
        };
        if !complaints.contains(&complaint) {
            complaints.push(complaint);
        }
    }
    complaints
}

/// The module a file belongs to: `probe` for `src/probe.rs`, `src/probe/mod.rs` and `src/probe/http.rs`.
fn module(file: &str) -> &str {
    let inside = file.strip_prefix("src/").unwrap_or(file);
    let first = inside.split('/').next().unwrap_or(inside);
    first.strip_suffix(".rs").unwrap_or(first)
}

/// How many modules stand above this one.
fn rank(module: &str) -> Option<usize> {
    ORDER.iter().position(|name| *name == module)
}

/// The modules that `text` names by `crate::` paths, also in braces and in links of its documentation.
fn reaches(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !is_comment(line)).collect::<Vec<_>>().join("\n");
    let mut names = Vec::new();
    for (at, path) in code.match_indices("crate::") {
        // `my_crate::`, `supercrate::`
        if code[..at].ends_with(in_a_name) {
            continue;
        }
        let rest = &code[at + path.len()..];
        match rest.strip_prefix('{') {
            Some(group) => names.extend(outermost(group).split(',').filter_map(head)),
            None => names.extend(head(rest)),
        }
    }
    names
}

/// A line that is only a comment, and not documentation.
fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("//") && !line.starts_with("///") && !line.starts_with("//!")
}

fn in_a_name(sign: char) -> bool {
    sign.is_alphanumeric() || sign == '_'
}

/// What stands in a group, whose opening brace was read, outside of the groups within it.
fn outermost(group: &str) -> String {
    let mut depth = 1;
    let mut outermost = String::new();
    for sign in group.chars() {
        match sign {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ if depth == 1 => outermost.push(sign),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    outermost
}

/// The first name of a path, or the star of a glob.
fn head(path: &str) -> Option<String> {
    let path = path.trim_start();
    let end = path.find(|sign| !in_a_name(sign)).unwrap_or(path.len());
    let head = if path.starts_with('*') { "*" } else { &path[..end] };
    (!head.is_empty()).then(|| head.to_owned())
}

/// Every `.rs` file at or below `folder`, sorted by path.
fn rust_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
