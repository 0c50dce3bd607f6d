//! Every finding has an example in `fixtures/bad`, and is drawn as a user sees it.
#![cfg(test)]

use std::fmt::Write as _;
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
    audit::audit(&audit::Subject { rules, ..audit::Subject::default() }, None, &sources, &mut findings);
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
        dashboards: beside("dashboard.json").into_iter().collect(),
    };
    let mut sources = Sources::default();
    let mut findings = Findings::default();
    let (mut subject, ids) = audit::read(&files, &mut sources, &mut findings);
    subject.runbooks.push("https://runbooks.example/=fixtures/audit/runbooks".parse().unwrap());
    if let Some(pages) = beside("pages.json") {
        subject.pages = serde_json::from_str(&std::fs::read_to_string(pages).unwrap()).unwrap();
    }
    let live = beside("live.json").map(|path| std::fs::read_to_string(path).unwrap());
    let live = live.map(|recorded| audit::Live::recorded(&recorded).unwrap());
    audit::audit(&subject, live.as_ref(), &sources, &mut findings);
    if let Some(live) = &live {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(audit::audit_live(&subject, live, &sources, &mut findings)).unwrap();
    }
    if let Some(said) = beside("said.txt") {
        let said = std::fs::read_to_string(said).unwrap();
        let (tool, said) = said.split_once('\n').unwrap();
        findings.add(audit::refused(*ids.last().unwrap(), tool, said));
    }
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

/// `UPDATE_FINDINGS=1 cargo nextest run pages` writes it anew.
#[test]
fn the_pages_of_findings_are_made_of_their_examples() {
    let path = "docs/findings.md";
    let mut made = String::from(
        "# Findings\n\nWhat `firedrill check` and every verb that reads files may find in them. `firedrill explain \
         CODE` prints one\nof these. Made of the codes, of what [audit.md](audit.md) says of them, and of their \
         examples in `fixtures/bad`, by\n`tests/findings.rs`.\n",
    );
    for code in Code::ALL {
        made += &page(*code);
    }
    if std::env::var_os("UPDATE_FINDINGS").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap() == made,
        "docs/findings.md is stale: see tests/findings.rs"
    );
}

/// Lines of an example that are shown; a longer one is shown as it is drawn only.
const MOST_LINES: usize = 40;

/// What a code is, why it matters, and an example.
fn page(code: Code) -> String {
    let severity = match code.severity() {
        firedrill::finding::Severity::Error => "an error",
        firedrill::finding::Severity::Warning => "a warning",
    };
    let mut text = format!("\n## {code}\n\n{}\n\nIt is {severity}.", code.about());
    text += &audited_why(code).map(|why| format!(" {why}")).unwrap_or_default();
    let stem = code.name().replace('/', "-");
    let example = std::fs::read(format!("fixtures/bad/{stem}.yaml")).unwrap();
    let example = String::from_utf8(example).ok().filter(|text| text.lines().count() <= MOST_LINES);
    if let Some(example) = example {
        let _ = write!(text, "\n\nA file that shows it:\n\n{}", fenced("yaml", &example));
    }
    let drawn = std::fs::read_to_string(format!("fixtures/bad/drawn/{stem}.snap")).unwrap();
    let (_, drawn) = drawn.split_once("\n---\n").unwrap();
    text + "\n\nWhat is said of it:\n\n" + &fenced("text", drawn)
}

fn fenced(kind: &str, text: &str) -> String {
    let text = text.trim_end();
    let fence = if text.contains("```") { "````" } else { "```" };
    format!("{fence}{kind}\n{text}\n{fence}\n")
}

/// What the tables of `docs/audit.md` say of a code.
fn audited_why(code: Code) -> Option<String> {
    let audit = std::fs::read_to_string("docs/audit.md").unwrap();
    let named = format!("`{code}`");
    let row = audit.lines().find(|line| line.split('|').nth(1).is_some_and(|cell| cell.contains(&named)))?;
    let cells = row.split('|').skip(2).map(str::trim).filter(|cell| !cell.is_empty());
    let sentence = |cell: &str| {
        let mut signs = cell.chars();
        let first = signs.next().map(char::to_uppercase).into_iter().flatten();
        format!("{}{}.", first.collect::<String>(), signs.as_str().trim_end_matches('.'))
    };
    Some(cells.map(sentence).collect::<Vec<_>>().join(" "))
}
