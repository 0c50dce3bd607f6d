//! The schemas that editors are given agree with what firedrill reads.
#![cfg(test)]

use std::path::{Path, PathBuf};
use std::process::Command;

use firedrill::finding::Findings;
use firedrill::plan::{Kind, kind_of};
use firedrill::scenario;
use firedrill::source::Sources;
use firedrill::yaml::{self, Node};
use jsonschema::Validator;
use rstest::rstest;
use serde_json::Value;

/// As printed by `firedrill schema`.
fn schema(kind: Kind) -> Validator {
    let word = match kind {
        Kind::Scenario => "scenario",
        Kind::Fragment => "fragment",
        Kind::Stack => "stack",
        Kind::Profile => "stand-in",
        Kind::Slo => "slo",
        Kind::Gate => "gate",
    };
    let printed = Command::new(env!("CARGO_BIN_EXE_firedrill")).args(["schema", word]).output().unwrap();
    jsonschema::validator_for(&serde_json::from_slice(&printed.stdout).unwrap()).unwrap()
}

fn documents(path: &Path) -> Vec<Node> {
    let mut sources = Sources::default();
    let (file, _) = sources.open(path).unwrap();
    yaml::parse(file, &sources.file(file).text).unwrap_or_else(|_| panic!("{} is YAML", path.display()))
}

fn json(node: &Node) -> Value {
    match &node.kind {
        yaml::Kind::Null => Value::Null,
        yaml::Kind::Bool(value, _) => Value::from(*value),
        yaml::Kind::Int(value, _) => Value::from(*value),
        yaml::Kind::Float(value, _) => Value::from(*value),
        yaml::Kind::Text(text) => Value::from(text.as_str()),
        yaml::Kind::List(items) => items.iter().map(json).collect(),
        yaml::Kind::Map(entries) => {
            entries.iter().map(|(key, value)| (key.name.clone(), json(value))).collect()
        }
    }
}

/// What the schema of its kind says against a document, each with its place.
fn objections(document: &Node) -> Vec<String> {
    let kind = kind_of(document).expect("a file of ours");
    let said = |error: jsonschema::ValidationError| format!("{}: {error}", error.instance_path());
    schema(kind).iter_errors(&json(document)).map(said).collect()
}

/// Every YAML file below a folder, but for those that are bad on purpose.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.retain(|path| path != Path::new("fixtures/bad"));
    entries.sort();
    let (folders, mut files): (Vec<_>, Vec<_>) = entries.into_iter().partition(|path| path.is_dir());
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.into_iter().chain(folders.iter().flat_map(|folder| files_below(folder))).collect()
}

#[rstest]
#[case("scenarios")]
#[case("slos")]
#[case("fixtures")]
fn every_shipped_file_is_what_its_schema_allows(#[case] folder: &str) {
    let files = files_below(Path::new(folder));
    assert!(!files.is_empty(), "{folder} holds no file");
    for path in files {
        // Prometheus's own files and the like have no schema of ours.
        for document in documents(&path).iter().filter(|document| kind_of(document).is_some()) {
            let objections = objections(document);
            assert!(objections.is_empty(), "{}:\n{}", path.display(), objections.join("\n"));
        }
    }
}

#[rstest]
#[case("README.md")]
#[case("docs/files.md")]
fn every_example_in_the_documentation_reads(#[case] page: &str) {
    let text = std::fs::read_to_string(page).unwrap();
    let examples: Vec<_> =
        text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!examples.is_empty(), "{page} has no example");
    for example in examples {
        reads(example);
    }
}

/// Both the schema and the reader of its kind take it.
fn reads(text: &str) {
    let file = Sources::default().add(Path::new("example.yaml"), text);
    let documents = yaml::parse(file, text).unwrap();
    let mut findings = Findings::default();
    match kind_of(&documents[0]).expect("a file of ours") {
        Kind::Scenario => drop(scenario::check(&documents[0], &mut findings)),
        Kind::Fragment => drop(scenario::check_fragment(&documents[0], &mut findings)),
        Kind::Stack => drop(scenario::stack::check(&documents[0], &mut findings)),
        Kind::Profile => drop(findings.take_all(scenario::profile::check(&documents[0]))),
        Kind::Slo => drop(firedrill::slo::check(&documents, &mut findings)),
        Kind::Gate => drop(scenario::gate::check(&documents[0], &mut findings)),
    }
    assert!(findings.is_empty(), "{:#?}\n{text}", findings.in_reading_order());
    for document in &documents {
        let objections = objections(document);
        assert!(objections.is_empty(), "{}\n{text}", objections.join("\n"));
    }
}

#[rstest]
#[case("file-unknown-key")]
#[case("file-missing-key")]
#[case("file-type")]
fn a_misshapen_example_is_refused_by_its_schema_too(#[case] example: &str) {
    let path = format!("fixtures/bad/{example}.yaml");
    let documents = documents(Path::new(&path));
    assert!(!objections(&documents[0]).is_empty(), "{path} passes");
}

#[rstest]
#[case::unknown_key("scenario: s\nsteps: [{ wait: 1s, frobnicate: true }]")]
#[case::unknown_key_of_a_request("scenario: s\nsteps: [{ http: { gett: http://a } }]")]
#[case::missing_key("scenario: s\nsteps: [{ health: { is: healthy } }]")]
#[case::no_map("scenario: s\nlabels: [team, shop]")]
#[case::no_list("scenario: s\nsteps: { wait: 1s }")]
#[case::no_truth("scenario: s\nsteps: [{ wait: 1s, cancel: perhaps }]")]
#[case::no_number("scenario: s\nsteps: [{ http: { get: http://a, redirects: many } }]")]
#[case::no_service("stack: s\nservices: { shop: {} }")]
#[case::no_steps("fragment: f")]
#[case::no_version_of_http("scenario: s\nsteps: [{ http: { get: http://a, version: 2 } }]")]
#[case::unknown_key_of_a_stand_in("stand-in: s\nroute: []")]
#[case::slo_without_metadata("apiVersion: openslo/v1\nkind: Service\nspec: {}")]
fn one_error_of_shape_is_enough(#[case] text: &str) {
    let file = Sources::default().add(Path::new("example.yaml"), text);
    let documents = yaml::parse(file, text).unwrap();
    assert!(!objections(&documents[0]).is_empty(), "this passes:\n{text}");
}

#[rstest]
#[case::version("stand-in: s\nversion: 1.10")]
#[case::name("scenario: 2024\nsteps: [{ name: 1, wait: 1s }]")]
#[case::label("scenario: s\nlabels: { tier: 1, paged: yes }\nsteps: [{ wait: 1s }]")]
#[case::variables("scenario: s\nvars: { a: 1, b: [x] }\nsteps: [{ wait: 1s }]")]
fn what_needs_no_quotes_needs_none_in_the_schema_either(#[case] text: &str) {
    reads(text);
}
