//! A JSON Schema that a body must match as a whole.

use std::fmt;
use std::sync::Arc;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use crate::finding::{Code, Finding, Findings};
use crate::source::At;

/// A JSON Schema; the plan reads it.
#[derive(Clone)]
pub struct Schema {
    /// Its file, beside the file that names it.
    pub file: At<String>,
    compiled: Option<Arc<Validator>>,
}

/// Signs of a schema's words that are shown.
const MOST_SHOWN: usize = 240;

impl Schema {
    /// The schema in `file`, not read yet.
    #[must_use]
    pub fn new(file: At<String>) -> Self {
        Self { file, compiled: None }
    }

    /// Takes in what the file holds.
    pub fn adopt(&mut self, text: &[u8], findings: &mut Findings) {
        let broken = |why: String| {
            let title = format!("`{}` is no JSON Schema: {why}", self.file);
            Finding::new(Code::ScenarioSchema, self.file.place, title)
        };
        let document: Value = match serde_json::from_slice(text) {
            Ok(document) => document,
            Err(error) => {
                findings.add(broken(error.to_string()));
                return;
            }
        };
        // Nothing is fetched for it, and no pattern in it takes longer than the text it is tried on is long.
        let compiled = jsonschema::options().offline().with_pattern_options(PatternOptions::regex());
        match compiled.build(&document) {
            Ok(compiled) => self.compiled = Some(Arc::new(compiled)),
            Err(error) => {
                let at = error.instance_path().as_str();
                let at = if at.is_empty() { String::new() } else { format!("at `{at}`: ") };
                findings.add(broken(format!("{at}{}", cut(&error.to_string()))));
            }
        }
    }

    /// The first thing in `document` that the schema does not allow: `at $.items[0].price: "x" is not of type …`.
    #[must_use]
    pub fn mismatch(&self, document: &Value) -> Option<String> {
        let Some(compiled) = &self.compiled else { return Some("the schema was not read".to_owned()) };
        let error = compiled.validate(document).err()?;
        let at = match error.instance_path().as_str() {
            "" => String::new(),
            at => format!("at `{}`: ", cut(at)),
        };
        Some(format!("{at}{}", cut(&error.to_string())))
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(&self.file).finish()
    }
}

/// A sentence of bounded length: the middle of a long one, where the value stands, gives way.
fn cut(text: &str) -> String {
    let signs = text.chars().count();
    if signs <= MOST_SHOWN {
        return text.to_owned();
    }
    let half = MOST_SHOWN / 2;
    let head: String = text.chars().take(half).collect();
    let tail: String = text.chars().skip(signs - half).collect();
    format!("{head}…{tail}")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::source::Sources;

    fn read(text: &str) -> (Schema, Vec<Finding>) {
        let place = Sources::default().add("scenario.yaml", "").place(0, 0);
        let mut findings = Findings::default();
        let mut schema = Schema::new(At::new("item.json".to_owned(), place));
        schema.adopt(text.as_bytes(), &mut findings);
        (schema, findings.in_reading_order())
    }

    #[rstest]
    #[case::fits(json!({ "id": 7 }), None)]
    #[case::type_within(json!({ "id": "7" }), Some("at `/id`: \"7\" is not of type \"integer\""))]
    #[case::missing(json!({}), Some("\"id\" is a required property"))]
    #[case::root(json!([]), Some("[] is not of type \"object\""))]
    fn a_body_is_held_against_it(#[case] body: Value, #[case] why: Option<&str>) {
        let (schema, findings) = read(
            r#"{ "type": "object", "properties": { "id": { "type": "integer" } }, "required": ["id"] }"#,
        );
        assert_eq!(findings, []);
        assert_eq!(schema.mismatch(&body).as_deref(), why);
    }

    #[rstest]
    #[case::no_json("{", "`item.json` is no JSON Schema: EOF while parsing an object at line 1 column 1")]
    #[case::no_schema(
        r#"{ "type": "integre" }"#,
        "`item.json` is no JSON Schema: at `/type`: \"integre\" is not valid under any of the schemas listed in the 'anyOf' keyword"
    )]
    #[case::look_around(
        r#"{ "properties": { "a": { "pattern": "(?=x)" } } }"#,
        "`item.json` is no JSON Schema: at `/properties/a/pattern`: \"(?=x)\" is not a \"regex\""
    )]
    #[case::elsewhere(
        r#"{ "$ref": "http://127.0.0.1:9/other.json" }"#,
        "`item.json` is no JSON Schema: Resource 'http://127.0.0.1:9/other.json' is not present in a registry and retrieving it failed: Retrieval is disabled, cannot fetch http://127.0.0.1:9/other.json"
    )]
    fn what_is_no_schema_is_a_finding(#[case] text: &str, #[case] title: &str) {
        let (_, findings) = read(text);
        assert_eq!(findings.iter().map(|finding| finding.title.as_str()).collect::<Vec<_>>(), [title]);
    }

    #[test]
    fn a_schema_that_names_itself_ends() {
        let (schema, findings) = read(r##"{ "allOf": [{ "$ref": "#" }], "type": "object" }"##);
        assert!(findings.is_empty());
        assert_eq!(schema.mismatch(&json!({})), None);
    }

    #[test]
    fn a_long_value_gives_way() {
        let (schema, _) = read(r#"{ "type": "object" }"#);
        let why = schema.mismatch(&json!("x".repeat(100_000))).unwrap();
        assert_eq!(why.chars().count(), MOST_SHOWN + 1);
        assert!(why.ends_with("is not of type \"object\""), "{why}");
    }
}
