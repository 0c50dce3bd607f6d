//! What is sent in a request, as written and as checked.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;

use super::template::{Hole, Shape, Template};
use crate::finding::{Code, Finding, Findings};
use crate::source::{At, Place};
use crate::yaml::{Entries, Json};

/// A field of a multipart form.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartWritten {
    /// The field's name.
    name: At<Template>,
    /// What is in it, as text.
    text: Option<At<Template>>,
    /// A file whose bytes are in it, beside this file.
    file: Option<At<String>>,
    /// What the file is said to be called; its own name unless said.
    filename: Option<At<Template>>,
    /// Its media type; `application/octet-stream` for a file unless said.
    #[serde(rename = "type")]
    media: Option<At<Template>>,
}

/// What a file offers to send; a request has one of them.
#[derive(Debug)]
pub(super) struct BodyWritten {
    pub(super) text: Option<At<Template>>,
    pub(super) json: Option<Json>,
    pub(super) form: Option<Entries<At<Template>>>,
    pub(super) file: Option<At<String>>,
    pub(super) multipart: Option<At<Vec<At<PartWritten>>>>,
}

/// What is sent in a request.
#[derive(Debug, Clone)]
pub enum Body {
    /// Nothing.
    Empty,
    /// Text.
    Text(At<Template>),
    /// JSON.
    Json(At<Shape>),
    /// A form.
    Form(Vec<(String, At<Template>)>),
    /// The bytes of a file.
    File(Attached),
    /// A form of texts and files.
    Multipart(Vec<Part>),
}

/// A file that is sent as it is; the plan reads it.
#[derive(Debug, Clone)]
pub struct Attached {
    /// Its path, beside the file that names it.
    pub file: At<String>,
    /// What is in it.
    pub bytes: Bytes,
}

/// A field of a multipart form, checked.
#[derive(Debug, Clone)]
pub struct Part {
    /// The field's name.
    pub name: At<Template>,
    /// What is in it.
    pub content: Content,
    /// What a file is said to be called.
    pub filename: Option<At<Template>>,
    /// Its media type.
    pub media: Option<At<Template>>,
}

/// What a field of a multipart form holds.
#[derive(Debug, Clone)]
pub enum Content {
    /// Text.
    Text(At<Template>),
    /// The bytes of a file.
    File(Attached),
}

impl Attached {
    fn new(file: At<String>) -> Self {
        Self { file, bytes: Bytes::new() }
    }

    /// The file's own name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.file.rsplit('/').next().unwrap_or_default()
    }
}

impl Body {
    /// Every template, with its place; those of JSON aside.
    pub(super) fn templates(&self) -> Vec<&At<Template>> {
        match self {
            Self::Empty | Self::Json(_) | Self::File(_) => Vec::new(),
            Self::Text(text) => vec![text],
            Self::Form(fields) => fields.iter().map(|(_, value)| value).collect(),
            Self::Multipart(parts) => parts.iter().flat_map(Part::templates).collect(),
        }
    }

    /// Every hole of a JSON body, with its place.
    pub(super) fn json_holes(&self) -> impl Iterator<Item = (&Hole, Place)> {
        let shape = match self {
            Self::Json(shape) => Some(shape),
            Self::Empty | Self::Text(_) | Self::Form(_) | Self::File(_) | Self::Multipart(_) => None,
        };
        shape.into_iter().flat_map(|at| at.value.holes().map(|hole| (hole, at.place)))
    }

    /// The files that are sent, to be read.
    pub fn files(&mut self) -> Vec<&mut Attached> {
        match self {
            Self::Empty | Self::Text(_) | Self::Json(_) | Self::Form(_) => Vec::new(),
            Self::File(file) => vec![file],
            Self::Multipart(parts) => parts.iter_mut().filter_map(Part::file).collect(),
        }
    }
}

impl Part {
    fn templates(&self) -> impl Iterator<Item = &At<Template>> {
        let text = match &self.content {
            Content::Text(text) => Some(text),
            Content::File(_) => None,
        };
        std::iter::once(&self.name).chain(text).chain(&self.filename).chain(&self.media)
    }

    fn file(&mut self) -> Option<&mut Attached> {
        match &mut self.content {
            Content::Text(_) => None,
            Content::File(file) => Some(file),
        }
    }
}

impl BodyWritten {
    /// Checks that there is at most one.
    pub(super) fn check(self, findings: &mut Findings) -> Option<Body> {
        let places = [
            self.text.as_ref().map(|at| at.place),
            self.json.as_ref().map(|json| json.0.place),
            self.form.as_ref().and_then(|form| form.0.first().map(|(name, _)| name.place)),
            self.file.as_ref().map(|at| at.place),
            self.multipart.as_ref().map(|at| at.place),
        ];
        let mut places = places.into_iter().flatten();
        if let (Some(first), Some(second)) = (places.next(), places.next()) {
            let title = "a request has one of `body`, `json`, `form`, `file` and `multipart`";
            let finding = Finding::new(Code::ScenarioRequest, first, title);
            let finding = finding.also(second, "another body here");
            findings.add(places.fold(finding, |finding, place| finding.also(place, "another body here")));
            return None;
        }
        let shape = |json: Json| {
            Shape::of(&json.0)
                .map(|shape| Body::Json(At::new(shape, json.0.place)))
                .map_err(|(node, why)| Finding::new(Code::FileValue, node.place, why))
        };
        match self {
            Self { json: Some(json), .. } => findings.take(shape(json)),
            Self { text: Some(text), .. } => Some(Body::Text(text)),
            Self { form: Some(form), .. } => {
                Some(Body::Form(form.into_iter().map(|(name, value)| (name.value, value)).collect()))
            }
            Self { file: Some(file), .. } => Some(Body::File(Attached::new(file))),
            Self { multipart: Some(parts), .. } => {
                let parts = parts.value.into_iter().filter_map(|part| part.value.check(part.place, findings));
                Some(Body::Multipart(parts.collect()))
            }
            Self { .. } => Some(Body::Empty),
        }
    }
}

impl PartWritten {
    fn check(self, place: Place, findings: &mut Findings) -> Option<Part> {
        let refused = |title: &str| Finding::new(Code::ScenarioRequest, place, title);
        let content = match (self.text, self.file) {
            (Some(text), None) => Content::Text(text),
            (None, Some(file)) => Content::File(Attached::new(file)),
            (None, None) => {
                findings.add(refused("a part has nothing in it").help("add `text` or `file`"));
                return None;
            }
            (Some(_), Some(_)) => {
                findings.add(refused("a part has a `text` or a `file`"));
                return None;
            }
        };
        Some(Part { name: self.name, content, filename: self.filename, media: self.media })
    }
}
