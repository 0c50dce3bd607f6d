//! Data that users bring along: the rows of a file, and who is given which.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::finding::{Code, Finding};
use crate::source::{At, Place};

/// What the names of columns begin with: `${data.user}`.
pub const DATA: &str = "data.";

/// Rows of data.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataWritten {
    /// A file beside this one: CSV with the names of the columns in its first line, or JSON Lines (`.jsonl`,
    /// `.ndjson`) with an object in each.
    file: At<String>,
    /// Who is given which row; in turn unless said.
    #[serde(default)]
    take: Take,
}

/// Who is given which row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Take {
    /// Each attempt the next one; after the last the first.
    #[default]
    InTurn,
    /// Each attempt any of them.
    AtRandom,
    /// Each user a row that is no other's: of `users` each keeps it, and with a `rate` each attempt is by another.
    OnePerUser,
}

/// Rows of data, read.
#[derive(Debug, Clone)]
pub struct Data {
    /// The file they come from.
    pub file: At<String>,
    /// Who is given which.
    pub take: Take,
    /// The names they are known by, with what they begin with: `data.user`.
    pub names: Vec<String>,
    /// Each with a value for every name; at least one once it was read.
    pub rows: Vec<Vec<Value>>,
}

impl DataWritten {
    pub(super) fn check(self) -> Data {
        Data { file: self.file, take: self.take, names: Vec::new(), rows: Vec::new() }
    }
}

impl Data {
    /// Takes in what stands in the file.
    ///
    /// # Errors
    /// It is neither CSV nor JSON Lines, or has no rows.
    pub fn adopt(&mut self, text: &[u8]) -> Result<(), Finding> {
        let extension = Path::new(&self.file.value).extension().and_then(|extension| extension.to_str());
        let read = match extension {
            Some("jsonl" | "ndjson" | "json") => json_lines(text),
            Some(_) | None => csv(text),
        };
        let refuse = |why: String| Finding::new(Code::ScenarioLoad, self.file.place, why);
        let (names, rows) = read.map_err(|why| refuse(format!("`{}`: {why}", self.file)))?;
        if rows.is_empty() {
            return Err(refuse(format!("`{}` has no rows", self.file)));
        }
        self.names = names.into_iter().map(|name| format!("{DATA}{name}")).collect();
        self.rows = rows;
        Ok(())
    }

    /// Why a name is none of its columns, which stands at `place`; `None` if it is one.
    #[must_use]
    pub fn misses(&self, column: &str, place: Place) -> Option<Finding> {
        let known = || self.names.iter().filter_map(|name| name.strip_prefix(DATA));
        if self.rows.is_empty() || known().any(|name| name == column) {
            return None;
        }
        let title = format!("`{}` has no column `{column}`", self.file);
        let finding = Finding::new(Code::ScenarioUnknownVariable, place, title);
        Some(match crate::finding::nearest(column, known()) {
            Some(meant) => finding.label(format!("did you mean `{DATA}{meant}`?")),
            None => finding.help(format!("its columns are {}", known().collect::<Vec<_>>().join(", "))),
        })
    }
}

/// Names and rows, or why there are none.
type Table = Result<(Vec<String>, Vec<Vec<Value>>), String>;

/// The rows of a text with commas (RFC 4180); values are texts.
fn csv(text: &[u8]) -> Table {
    let mut reader = ::csv::Reader::from_reader(text);
    let names: Vec<_> =
        reader.headers().map_err(|error| error.to_string())?.iter().map(str::to_owned).collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        rows.push(record.map_err(|error| error.to_string())?.iter().map(Value::from).collect());
    }
    Ok((names, rows))
}

/// The rows of a text with an object in each line; the first one says which names there are.
fn json_lines(text: &[u8]) -> Table {
    let mut names: Vec<String> = Vec::new();
    let mut rows = Vec::new();
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    for (number, line) in lines.filter(|(_, line)| !line.trim_ascii().is_empty()) {
        let number = number + 1;
        let mut object: serde_json::Map<String, Value> = serde_json::from_slice(line)
            .map_err(|error| format!("line {number} is no JSON object: {error}"))?;
        if rows.is_empty() {
            names = object.keys().cloned().collect();
        }
        let value = |name: &String| object.remove(name).ok_or(format!("line {number} has no `{name}`"));
        rows.push(names.iter().map(value).collect::<Result<_, _>>()?);
    }
    Ok((names, rows))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn data(file: &str, text: &str) -> Result<Data, String> {
        let place = crate::source::Sources::default().add("f", "").place(0, 0);
        let file = At::new(file.to_owned(), place);
        let mut data = Data { file, take: Take::InTurn, names: Vec::new(), rows: Vec::new() };
        data.adopt(text.as_bytes()).map_err(|finding| finding.title)?;
        Ok(data)
    }

    #[rstest]
    #[case::csv("a.csv", "user,note\nada,\"a, \"\"b\"\"\"\n", json!([["ada", "a, \"b\""]]))]
    #[case::csv_of_windows("a.csv", "user,n\r\nada,1\r\nbob,2", json!([["ada", "1"], ["bob", "2"]]))]
    #[case::json_keeps_types("a.jsonl", "{\"user\":\"ada\",\"n\":1}\n\n{\"n\":2,\"user\":\"bob\"}", json!([[1, "ada"], [2, "bob"]]))]
    fn rows_are_read(#[case] file: &str, #[case] text: &str, #[case] rows: Value) {
        assert_eq!(json!(data(file, text).unwrap().rows), rows);
    }

    #[rstest]
    #[case::nothing("a.csv", "", "`a.csv` has no rows")]
    #[case::only_a_head("a.csv", "user\n", "`a.csv` has no rows")]
    #[case::ragged(
        "a.csv",
        "a,b\n1,2\n3\n",
        "`a.csv`: CSV error: record 2 (line: 3, byte: 8): found record with 1 fields, but the previous record has 2 fields"
    )]
    #[case::no_object(
        "a.jsonl",
        "7\n",
        "`a.jsonl`: line 1 is no JSON object: invalid type: integer `7`, expected a map at line 1 column 1"
    )]
    #[case::another_shape("a.jsonl", "{\"a\":1}\n{\"b\":1}\n", "`a.jsonl`: line 2 has no `a`")]
    fn what_is_no_table_is_refused(#[case] file: &str, #[case] text: &str, #[case] why: &str) {
        assert_eq!(data(file, text).unwrap_err(), why);
    }
}
