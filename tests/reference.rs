//! `docs/files.md` says every key of every file: below its introduction it is made of the schemas.
#![cfg(test)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;

use serde_json::Value;

/// Ends what is written by hand.
const FROM_HERE: &str =
    "<!-- From here on made of the schemas by tests/reference.rs: UPDATE_REFERENCE=1 cargo test -->\n";

/// `UPDATE_REFERENCE=1 cargo nextest run reference` writes it anew.
#[test]
fn the_reference_is_what_the_schemas_say() {
    let (page, mut seen) = (concat!(env!("CARGO_MANIFEST_DIR"), "/docs/files.md"), BTreeSet::new());
    let written = std::fs::read_to_string(page).unwrap();
    let mut made = written.split_inclusive(FROM_HERE).next().unwrap().to_owned();
    for (kind, prefix) in [
        ("scenario", ""),
        ("fragment", ""),
        ("stack", "stack "),
        ("stand-in", "stand-in "),
        ("slo", "slo "),
        ("gate", "gate "),
    ] {
        let printed = Command::new(env!("CARGO_BIN_EXE_firedrill")).args(["schema", kind]).output().unwrap();
        let schema: Value = serde_json::from_slice(&printed.stdout).unwrap();
        let parts = Parts { prefix, all: &schema["$defs"] };
        let _ = writeln!(made, "\n## {kind}{}", parts.table(&schema));
        for (name, part) in parts.all.as_object().unwrap() {
            if part.get("properties").is_some() && seen.insert(name.clone()) {
                let _ = writeln!(made, "\n### {}{}", parts.name(name), parts.table(part));
            }
        }
    }
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(page, &made).unwrap();
    }
    assert!(std::fs::read_to_string(page).unwrap() == made, "docs/files.md is stale: see tests/reference.rs");
}

/// The parts of a file.
struct Parts<'a> {
    /// What tells them from those of other files.
    prefix: &'static str,
    all: &'a Value,
}

impl Parts<'_> {
    /// A part's description, and its keys.
    fn table(&self, part: &Value) -> String {
        let said = |value: &Value| value["description"].as_str().unwrap_or_default().replace('\n', " ");
        let Some(keys) = part["properties"].as_object() else { return String::new() };
        let mut text = format!("\n\n{}\n\n| key | takes | meaning |\n|---|---|---|", said(part));
        for (key, value) in keys {
            let required = part["required"].as_array().is_some_and(|all| all.iter().any(|one| one == key));
            let must = if required { ", required" } else { "" };
            let _ = write!(text, "\n| `{key}` | {}{must} | {} |", self.takes(value), said(value));
        }
        text
    }

    /// What may stand under a key, in a few words.
    fn takes(&self, value: &Value) -> String {
        if let Some(name) = value["$ref"].as_str() {
            return self.part(name.trim_start_matches("#/$defs/"));
        }
        if let Some(all) = ["anyOf", "oneOf", "allOf", "enum"].iter().find_map(|key| value[key].as_array()) {
            let said: Vec<_> =
                all.iter().map(|one| self.takes(one)).filter(|said| said != "nothing").collect();
            return said.join(" or ");
        }
        let word = value.get("const").unwrap_or(value);
        if word.is_string() || word.is_number() {
            return format!("`{}`", word.to_string().trim_matches('"'));
        }
        let types = value["type"].as_array().map_or(vec![&value["type"]], |types| types.iter().collect());
        let text = types.iter().find(|one| **one == "string");
        let kind = text.unwrap_or(&types[0]).as_str().unwrap_or_default();
        match (kind, &value["additionalProperties"], value["properties"].as_object()) {
            ("object", Value::Object(_), _) => {
                format!("map of {}", self.takes(&value["additionalProperties"]))
            }
            ("object", _, Some(keys)) => {
                let keys: Vec<_> =
                    keys.iter().map(|(key, value)| format!("`{key}`: {}", self.takes(value))).collect();
                format!("{{ {} }}", keys.join(", "))
            }
            ("object", ..) => "map".to_owned(),
            ("array", ..) => format!("list of {}", self.takes(&value["items"])),
            ("string", ..) => "text".to_owned(),
            ("boolean", ..) => "`true` or `false`".to_owned(),
            ("integer", ..) => "whole number".to_owned(),
            ("null", ..) => "nothing".to_owned(),
            ("", ..) => "any value".to_owned(),
            (other, ..) => other.to_owned(),
        }
    }

    /// A part by the name its schema has: a link to its table, or what it is where it has none.
    fn part(&self, name: &str) -> String {
        match name {
            "Span" => "[duration](#words)".to_owned(),
            "Template" => "[text](#words)".to_owned(),
            "Expectation" | "Rate" | "Ratio" | "Size" => format!("[{0}](#words)", name.to_lowercase()),
            _ if self.all[name].get("properties").is_some() => {
                let name = self.name(name);
                format!("[{name}](#{})", name.replace(' ', "-"))
            }
            _ => self.takes(&self.all[name]),
        }
    }

    /// `HttpWritten` is `http`.
    fn name(&self, part: &str) -> String {
        let noun = part.trim_end_matches("Written").trim_end_matches("File");
        format!("{}{}", self.prefix, noun.to_lowercase())
    }
}
