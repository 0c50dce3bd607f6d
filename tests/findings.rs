//! Every finding has an example in `fixtures/bad`, and is drawn as a user sees it.
#![cfg(test)]

use std::path::{Path, PathBuf};

use firedrill::finding::{Code, Finding, Findings};
use firedrill::plan::{Surroundings, read};
use firedrill::secret::Mask;
use firedrill::sink::{Ends, readdress};
use firedrill::source::Sources;
use firedrill::{audit, route, rule, yaml};

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
    let name = path.file_name().unwrap().to_string_lossy();
    let (sources, findings) = if name.starts_with("alertmanager-") {
        readdressed(path)
    } else if name.starts_with("rule-") {
        rules(path)
    } else if name.starts_with("audit-") {
        audited(path)
    } else if name.starts_with("route-") {
        routes(path)
    } else {
        let secrets = [("FIREDRILL_PIN".to_owned(), "42".to_owned())].into();
        let reading = read(&[path.to_owned()], &Surroundings { secrets, ..Surroundings::default() });
        (reading.sources, reading.findings)
    };
    let codes = findings.iter().map(|finding| finding.code).collect();
    let drawn = findings.iter().map(|finding| finding.draw(&sources).render(false));
    (codes, drawn.collect::<Vec<_>>().join("\n\n"))
}

/// What is found as an Alertmanager's configuration is re-addressed.
fn readdressed(path: &Path) -> (Sources, Vec<Finding>) {
    let mut sources = Sources::default();
    let (id, _) = sources.open(path).unwrap();
    let text = sources.file(id).text.clone();
    let mut config = yaml::as_elder(yaml::parse(id, &text).unwrap().remove(0), &text);
    let ends = Ends { http: "127.0.0.1:9099".to_owned(), smtp: "127.0.0.1:9025".to_owned() };
    let findings = readdress(&mut config, &ends, &|_| false, &Mask::default());
    (sources, findings)
}

/// What is found in a rule file, as it is read for a drill at the highest speed.
fn rules(path: &Path) -> (Sources, Vec<Finding>) {
    let mut sources = Sources::default();
    let mut findings = Findings::default();
    let (id, _) = sources.open(path).unwrap();
    let documents = yaml::parse(id, &sources.file(id).text).unwrap();
    let rules = vec![rule::check(&documents, &sources, &mut findings)];
    let _ = rule::scaled(&documents[0], 600.0, &mut findings);
    audit::audit(&audit::Subject { rules, ..audit::Subject::default() }, &sources, &mut findings);
    let found = findings.in_reading_order().into_iter().filter(|finding| !finding.code.is_of_audit());
    (sources, found.collect())
}

/// What is found in rules, with the configurations that lie beside them.
fn audited(path: &Path) -> (Sources, Vec<Finding>) {
    let beside = |ending: &str| Some(path.with_extension(ending)).filter(|path| path.exists());
    let files = audit::Files {
        rules: vec![path.to_owned()],
        alertmanager: beside("alertmanager.yaml"),
        prometheus: beside("prometheus.yaml"),
    };
    let mut sources = Sources::default();
    let mut findings = Findings::default();
    let (subject, ids) = audit::read(&files, &mut sources, &mut findings);
    audit::audit(&subject, &sources, &mut findings);
    let kept = audit::suppress(findings.in_reading_order(), &ids, &sources);
    (sources, kept)
}

/// What is found in an Alertmanager's routing.
fn routes(path: &Path) -> (Sources, Vec<Finding>) {
    let mut sources = Sources::default();
    let mut findings = Findings::default();
    let (id, _) = sources.open(path).unwrap();
    let documents = yaml::parse(id, &sources.file(id).text).unwrap();
    route::check(&documents[0], &sources, route::matcher::Dialect::default(), &mut findings);
    (sources, findings.in_reading_order())
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
