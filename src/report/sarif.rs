//! Findings in SARIF 2.1.0, the Static Analysis Results Interchange Format: what code hosts and editors read.

use serde::Serialize;

use crate::finding::{Code, Drawing, Severity};
use crate::report::problem::{Spot, fingerprint};
use crate::report::text::{on_one_line, printable};

/// Where the format is described, as a document names it.
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// A whole document, by SARIF's names.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sarif {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    tool: Tool,
    column_kind: &'static str,
    results: Vec<Outcome>,
}

#[derive(Debug, Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver {
    name: &'static str,
    semantic_version: &'static str,
    rules: Vec<Rule>,
}

/// A kind of finding.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: &'static str,
    short_description: Message,
    default_configuration: Configuration,
}

#[derive(Debug, Serialize)]
struct Configuration {
    level: &'static str,
}

#[derive(Debug, Serialize)]
struct Message {
    text: String,
}

/// A finding; SARIF says `result`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_index: Option<usize>,
    level: &'static str,
    message: Message,
    locations: Vec<Location>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related_locations: Vec<Location>,
    partial_fingerprints: Fingerprints,
}

#[derive(Debug, Serialize)]
struct Fingerprints {
    #[serde(rename = "finding/v1")]
    finding: String,
}

#[derive(Debug, Serialize)]
struct Location {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<usize>,
    #[serde(rename = "physicalLocation")]
    place: PhysicalLocation,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Message>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: Artifact,
    region: Region,
}

#[derive(Debug, Serialize)]
struct Artifact {
    uri: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: usize,
    start_column: usize,
    end_column: usize,
}

impl Sarif {
    /// The document of these findings; it lists every kind of finding there is.
    #[must_use]
    pub fn of(findings: &[Drawing]) -> Self {
        let rules = Code::ALL.iter().map(|code| Rule {
            id: code.name(),
            short_description: Message::new(code.about()),
            default_configuration: Configuration { level: level(code.severity()) },
        });
        let driver =
            Driver { name: "firedrill", semantic_version: env!("CARGO_PKG_VERSION"), rules: rules.collect() };
        let results = findings.iter().map(Outcome::of).collect();
        let run = Run { tool: Tool { driver }, column_kind: "unicodeCodePoints", results };
        Self { schema: SCHEMA, version: "2.1.0", runs: [run] }
    }
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

impl Message {
    fn new(text: &str) -> Self {
        Self { text: printable(text).into_owned() }
    }
}

impl Outcome {
    fn of(finding: &Drawing) -> Self {
        let spots = spots(finding);
        let own = spots.first().map(|(_, text)| text.as_str()).filter(|text| !text.is_empty());
        let help = finding.help.as_ref().map(|help| format!("help: {}", on_one_line(help)));
        let parts = std::iter::once(on_one_line(&finding.title)).chain(own.map(str::to_owned)).chain(help);
        let path = spots.first().map_or("", |(spot, _)| &spot.path);
        let code = finding.code.as_deref();
        let finding_print = fingerprint(&[code.unwrap_or_default(), path, &finding.title]);
        let mut locations =
            spots.iter().enumerate().map(|(index, (spot, text))| Location::of(spot, text, index));
        Self {
            rule_index: Code::ALL.iter().position(|known| Some(known.name()) == code),
            level: level(finding.severity),
            message: Message::new(&parts.collect::<Vec<_>>().join("\n")),
            locations: locations.next().into_iter().collect(),
            related_locations: locations.collect(),
            partial_fingerprints: Fingerprints { finding: finding_print },
            rule_id: finding.code.clone(),
        }
    }
}

/// Every place a finding points at, its own first, and what it says there.
fn spots(finding: &Drawing) -> Vec<(Spot, String)> {
    let one = |excerpt: &crate::finding::Excerpt, label: &crate::finding::Label| {
        let mut only = excerpt.clone();
        let before = excerpt.text.get(..label.start).unwrap_or_default();
        // An excerpt knows the column of its first label; lines that were cut short are that one's.
        if Some(label) != excerpt.labels.first() {
            only.line = excerpt.first_line + before.matches('\n').count();
            only.column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        }
        only.labels = vec![label.clone()];
        let spot = Spot::of(&Drawing { excerpts: vec![only], ..finding.clone() })?;
        Some((spot, on_one_line(&label.text)))
    };
    let labels =
        finding.excerpts.iter().flat_map(|excerpt| excerpt.labels.iter().map(move |label| (excerpt, label)));
    labels.filter_map(|(excerpt, label)| one(excerpt, label)).collect()
}

impl Location {
    /// The finding's own place has no number and no words: the finding itself says them.
    fn of(spot: &Spot, text: &str, index: usize) -> Self {
        let Spot { path, line, column, end } = spot;
        let region = Region { start_line: *line, start_column: *column, end_column: *end };
        let artifact_location = Artifact { uri: uri(path) };
        Self {
            id: (index > 0).then_some(index),
            place: PhysicalLocation { artifact_location, region },
            message: (index > 0 && !text.is_empty()).then(|| Message::new(text)),
        }
    }
}

/// A path as a reference: relative ones stay so, for who reads them knows what they are relative to.
fn uri(path: &str) -> String {
    /// All but what RFC 3986 lets stand in a path.
    const OUTSIDE: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    let encoded = percent_encoding::utf8_percent_encode(path, OUTSIDE).to_string();
    if path.starts_with('/') { format!("file://{encoded}") } else { encoded }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::Value;

    use super::*;
    use crate::finding::Finding;
    use crate::report::fixture::{HOSTILE, drawing};
    use crate::source::Sources;

    fn document(findings: &[Drawing]) -> Value {
        serde_json::to_value(Sarif::of(findings)).unwrap()
    }

    /// A finding at `b`, and at `first` as well.
    fn two_places() -> Drawing {
        let mut sources = Sources::default();
        let file = sources.add("scenarios/a b.yaml", "first: 1\nsecond: é\n  b: 2\n");
        Finding::new(Code::YamlDuplicateKey, file.place(23, 24), "`b` stands here twice")
            .label("written again here")
            .also(file.place(0, 5), "first written here")
            .help("leave one out")
            .draw(&sources)
    }

    #[test]
    fn a_finding_is_a_result_with_its_places() {
        let document = document(&[two_places()]);
        let result = serde_json::to_string_pretty(&document["runs"][0]["results"]).unwrap();
        insta::assert_snapshot!(result);
    }

    /// What the specification demands of the properties that are used here (2.1.0, section 3).
    #[test]
    fn a_document_has_the_shape_that_sarif_demands() {
        let odd = drawing(HOSTILE, HOSTILE, "drow", HOSTILE, HOSTILE);
        let document = document(&[two_places(), odd]);
        assert_eq!(document["version"], "2.1.0");
        let run = &document["runs"][0];
        assert_eq!(run["columnKind"], "unicodeCodePoints");
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        assert_eq!(rules.len(), Code::ALL.len());
        for rule in rules {
            assert!(rule["id"].as_str().unwrap().contains('/'), "{rule}");
            assert!(rule["shortDescription"]["text"].as_str().unwrap().ends_with('.'), "{rule}");
        }
        for result in run["results"].as_array().unwrap() {
            assert!(!result["message"]["text"].as_str().unwrap().is_empty());
            assert!(["error", "warning"].contains(&result["level"].as_str().unwrap()));
            if let Some(index) = result.get("ruleIndex") {
                assert_eq!(rules[usize::try_from(index.as_u64().unwrap()).unwrap()]["id"], result["ruleId"]);
            }
            let related = result.get("relatedLocations").and_then(Value::as_array);
            for location in
                result["locations"].as_array().unwrap().iter().chain(related.into_iter().flatten())
            {
                let place = &location["physicalLocation"];
                let (uri, region) = (place["artifactLocation"]["uri"].as_str().unwrap(), &place["region"]);
                assert!(uri.bytes().all(|byte| byte.is_ascii_graphic()), "{uri}");
                let number = |key: &str| region[key].as_u64().unwrap();
                assert!(number("startLine") >= 1 && number("startColumn") >= 1, "{region}");
                assert!(number("endColumn") >= number("startColumn"), "{region}");
            }
        }
    }

    #[rstest]
    #[case::relative("scenarios/a b.yaml", "scenarios/a%20b.yaml")]
    #[case::absolute("/srv/é.yaml", "file:///srv/%C3%A9.yaml")]
    #[case::colon("a:b.yaml", "a%3Ab.yaml")]
    fn a_path_is_a_reference(#[case] path: &str, #[case] reference: &str) {
        assert_eq!(uri(path), reference);
    }
}
