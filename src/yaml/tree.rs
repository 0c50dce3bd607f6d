//! YAML 1.2 as a tree whose every node knows its byte range.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use crate::finding::{Code, Finding};
use crate::source::{FileId, Place};

/// Nesting that no honest file reaches.
const DEEPEST: usize = 64;

/// How many nodes aliases may add, over all of a file.
const MOST_ALIASED: usize = 100_000;

/// A value in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it stands.
    pub place: Place,
    /// What it is.
    pub kind: Kind,
}

/// What a node is, by YAML's core schema.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Nothing, `null` or `~`.
    Null,
    /// `true` or `false`, and the text it was written as.
    Bool(bool, String),
    /// A whole number, and the text it was written as.
    Int(i64, String),
    /// Any other number, and the text it was written as.
    Float(f64, String),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order written; keys are unique.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// As written.
    pub name: String,
    /// Where.
    pub place: Place,
}

impl Node {
    /// The value under `key`, where this is a map that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|(k, _)| k.name == key).map(|(_, value)| value),
            Kind::Null | Kind::Bool(..) | Kind::Int(..) | Kind::Float(..) | Kind::Text(_) | Kind::List(_) => {
                None
            }
        }
    }

    /// A scalar's text as written (quotes removed); `None` for lists, maps and nothing.
    #[must_use]
    pub fn scalar(&self) -> Option<&str> {
        match &self.kind {
            Kind::Bool(_, text) | Kind::Int(_, text) | Kind::Float(_, text) | Kind::Text(text) => Some(text),
            Kind::Null | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// The node's kind with an article, for messages.
    #[must_use]
    pub fn describe(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Bool(..) => "a boolean",
            Kind::Int(..) | Kind::Float(..) => "a number",
            Kind::Text(_) => "text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    /// How many nodes there are from here down.
    fn weight(&self) -> usize {
        match &self.kind {
            Kind::List(items) => 1 + items.iter().map(Node::weight).sum::<usize>(),
            Kind::Map(entries) => 1 + entries.iter().map(|(_, value)| value.weight()).sum::<usize>(),
            Kind::Null | Kind::Bool(..) | Kind::Int(..) | Kind::Float(..) | Kind::Text(_) => 1,
        }
    }
}

/// Reads every document of a text. Keys that stand twice are findings; the tree then keeps the first.
///
/// # Errors
/// All findings, when there is any.
pub fn parse(file: FileId, text: &str) -> Result<Vec<Node>, Vec<Finding>> {
    let mut builder = Builder::new(file, text);
    let mut documents = Vec::new();
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        let step = match next {
            Ok((event, span)) => builder.take(event, span, &mut documents),
            Err(error) => {
                let at = builder.offset(error.marker().index());
                Err(builder.malformed(at, error.info()))
            }
        };
        if let Err(fatal) = step {
            builder.findings.push(fatal);
            break;
        }
    }
    if builder.findings.is_empty() { Ok(documents) } else { Err(builder.findings) }
}

/// A container that is still open.
enum Open {
    List {
        start: usize,
        anchor: usize,
        items: Vec<Node>,
    },
    Map {
        start: usize,
        anchor: usize,
        entries: Vec<(Key, Node)>,
        seen: HashMap<String, Place>,
        key: Option<Key>,
    },
}

struct Builder<'t> {
    file: FileId,
    text: &'t str,
    /// Byte offset of each character; empty for ASCII, where they are the same.
    offsets: Vec<u32>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    aliased: usize,
    findings: Vec<Finding>,
}

impl<'t> Builder<'t> {
    fn new(file: FileId, text: &'t str) -> Self {
        let offsets = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().map(|(at, _)| u32::try_from(at).unwrap_or(u32::MAX)).collect()
        };
        Self {
            file,
            text,
            offsets,
            open: Vec::new(),
            anchors: HashMap::new(),
            aliased: 0,
            findings: Vec::new(),
        }
    }

    /// The parser counts characters; places count bytes.
    fn offset(&self, character: usize) -> usize {
        let at = if self.offsets.is_empty() {
            character
        } else {
            self.offsets.get(character).map_or(self.text.len(), |at| *at as usize)
        };
        at.min(self.text.len())
    }

    /// The text is no YAML from `at` on.
    fn malformed(&self, at: usize, why: &str) -> Finding {
        let finding = Finding::new(Code::YamlSyntax, self.character(at), why);
        let line_start = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text[line_start..].lines().next().unwrap_or_default();
        if line.contains("${") && line.contains('{') {
            return finding
                .help("within `{ }` and `[ ]`, text that holds `${…}` is written in quotes: \"${name}\"");
        }
        finding
    }

    /// The place of the one character at `start`.
    fn character(&self, start: usize) -> Place {
        let length = self.text[start..].chars().next().map_or(0, char::len_utf8);
        self.file.place(start, start + length)
    }

    /// The place from `start` to `end`, without the white space before `end`.
    fn place(&self, start: usize, end: usize) -> Place {
        let written = self.text.get(start..end).unwrap_or_default();
        self.file.place(start, start + written.trim_end().len())
    }

    fn take(&mut self, event: Event<'_>, span: Span, documents: &mut Vec<Node>) -> Result<(), Finding> {
        let (start, end) = (self.offset(span.start.index()), self.offset(span.end.index()));
        let (node, anchor) = match event {
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => return Ok(()),
            Event::Alias(anchor) => (self.alias(anchor, start, end)?, 0),
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), start, end);
                let kind =
                    if style == ScalarStyle::Plain { resolve(&text) } else { Kind::Text(text.into_owned()) };
                (Node { place: self.place(start, end), kind }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), start, end);
                return self.push(Open::List { start, anchor, items: Vec::new() });
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), start, end);
                let (entries, seen) = (Vec::new(), HashMap::new());
                return self.push(Open::Map { start, anchor, entries, seen, key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List { start, anchor, items }) => {
                    (Node { place: self.place(start, end), kind: Kind::List(items) }, anchor)
                }
                Some(Open::Map { start, anchor, entries, .. }) => {
                    (Node { place: self.place(start, end), kind: Kind::Map(entries) }, anchor)
                }
                None => return Ok(()),
            },
        };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.put(node, documents);
        Ok(())
    }

    fn push(&mut self, open: Open) -> Result<(), Finding> {
        if self.open.len() >= DEEPEST {
            let (Open::List { start, .. } | Open::Map { start, .. }) = open;
            let title = format!("nesting is deeper than {DEEPEST} levels");
            return Err(Finding::new(Code::YamlDepth, self.character(start), title));
        }
        self.open.push(open);
        Ok(())
    }

    fn alias(&mut self, anchor: usize, start: usize, end: usize) -> Result<Node, Finding> {
        let place = self.place(start, end);
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(Finding::new(Code::YamlAlias, place, "an alias stands inside what it names"));
        };
        self.aliased += node.weight();
        if self.aliased > MOST_ALIASED {
            let title = format!("aliases expand to more than {MOST_ALIASED} values");
            return Err(Finding::new(Code::YamlAlias, place, title));
        }
        Ok(node.clone())
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, start: usize, end: usize) {
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) {
            let title = format!("tags like `{tag}` have no meaning here");
            self.findings.push(Finding::new(Code::YamlTag, self.place(start, end), title));
        }
    }

    /// Puts a finished node where it belongs: into the open container, or among the documents.
    fn put(&mut self, node: Node, documents: &mut Vec<Node>) {
        match self.open.last_mut() {
            None => documents.push(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, seen, key, .. }) => match key.take() {
                None => {
                    let name = node.scalar().unwrap_or_default().to_owned();
                    if node.scalar().is_none() {
                        let title = format!("a key is text, not {}", node.describe());
                        self.findings.push(Finding::new(Code::YamlKey, node.place, title));
                    }
                    *key = Some(Key { name, place: node.place });
                }
                Some(name) => match seen.insert(name.name.clone(), name.place) {
                    None => entries.push((name, node)),
                    Some(first) => {
                        let title = format!("`{}` stands here twice", name.name);
                        let finding = Finding::new(Code::YamlDuplicateKey, name.place, title)
                            .label("written again here")
                            .also(first, "first written here");
                        seen.insert(name.name, first);
                        self.findings.push(finding);
                    }
                },
            },
        }
    }
}

/// A plain scalar's meaning by the core schema of YAML 1.2.
fn resolve(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true, text.to_owned()),
        "false" | "False" | "FALSE" => return Kind::Bool(false, text.to_owned()),
        ".nan" | ".NaN" | ".NAN" => return Kind::Float(f64::NAN, text.to_owned()),
        ".inf" | "+.inf" | ".Inf" | ".INF" => return Kind::Float(f64::INFINITY, text.to_owned()),
        "-.inf" | "-.Inf" | "-.INF" => return Kind::Float(f64::NEG_INFINITY, text.to_owned()),
        _ => {}
    }
    let int = match text.split_at_checked(2) {
        Some(("0x", digits)) => i64::from_str_radix(digits, 16).ok(),
        Some(("0o", digits)) => i64::from_str_radix(digits, 8).ok(),
        Some(_) | None => text.parse::<i64>().ok(),
    };
    if let Some(int) = int {
        return Kind::Int(int, text.to_owned());
    }
    // `parse` would also take `inf`, `nan` and `infinity`, which are text in YAML.
    let numeric = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    match text.parse::<f64>() {
        Ok(float) if numeric => Kind::Float(float, text.to_owned()),
        Ok(_) | Err(_) => Kind::Text(text.to_owned()),
    }
}
