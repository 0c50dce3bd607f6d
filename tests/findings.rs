//! Every finding has an example in `fixtures/bad`, and is drawn as a user sees it.
#![cfg(test)]

use std::path::{Path, PathBuf};

use firedrill::finding::{Code, Finding, Findings};
use firedrill::plan::{Surroundings, read};
use firedrill::source::Sources;
use firedrill::yaml::parse;
use firedrill::{route, rule};

/// Examples in `fixtures/bad` by the code they are named after; what a second file belongs to it has two dots.
fn examples() -> Vec<(String, PathBuf)> {
    let files = std::fs::read_dir("fixtures/bad").unwrap().map(|entry| entry.unwrap().path());
    let mut named: Vec<_> =
        files.map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), path)).collect();
    named.retain(|(stem, path)| !stem.contains('.') && path.extension().is_some_and(|ext| ext == "yaml"));
    named.sort();
    named
}

fn drawings(path: &Path) -> (Vec<Code>, String) {
    let stem = path.file_stem().unwrap().to_string_lossy();
    if stem.starts_with("rule-") || stem.starts_with("route-") {
        return drawings_of_others(path, stem.starts_with("rule-"));
    }
    let reading = read(&[path.to_owned()], &Surroundings::default());
    draw(&reading.findings, &reading.sources)
}

fn draw(findings: &[Finding], sources: &Sources) -> (Vec<Code>, String) {
    let codes = findings.iter().map(|finding| finding.code).collect();
    let drawn = findings.iter().map(|finding| finding.draw(sources).render(false));
    (codes, drawn.collect::<Vec<_>>().join("\n\n"))
}

/// Of files that belong to Prometheus, as read for a drill at the highest speed, or to Alertmanager.
fn drawings_of_others(path: &Path, of_prometheus: bool) -> (Vec<Code>, String) {
    let mut sources = Sources::default();
    let mut findings = Findings::default();
    let (id, _) = sources.open(path).unwrap();
    let documents = parse(id, &sources.file(id).text).unwrap();
    if of_prometheus {
        rule::check(&documents, &sources, &mut findings);
        let _ = rule::scaled(&documents[0], 600.0, &mut findings);
    } else {
        route::check(&documents[0], route::matcher::Dialect::default(), &mut findings);
    }
    draw(&findings.in_reading_order(), &sources)
}

#[test]
fn every_example_is_drawn_as_recorded() {
    for (stem, path) in examples() {
        let (_, drawn) = drawings(&path);
        insta::with_settings!({ snapshot_path => "../fixtures/bad/drawn", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(stem.clone(), drawn);
        });
    }
}

#[test]
fn every_example_shows_the_code_it_is_named_after() {
    for (stem, path) in examples() {
        let (codes, drawn) = drawings(&path);
        assert!(codes.iter().any(|code| code.name().replace('/', "-") == stem), "{stem} shows:\n{drawn}");
    }
}

#[test]
fn every_code_has_an_example() {
    let examples: Vec<_> = examples().into_iter().map(|(stem, _)| stem).collect();
    let missing: Vec<_> = Code::ALL
        .iter()
        .map(|code| code.name())
        .filter(|name| !examples.contains(&name.replace('/', "-")))
        .collect();
    assert!(missing.is_empty(), "no example in fixtures/bad for {missing:?}");
}
