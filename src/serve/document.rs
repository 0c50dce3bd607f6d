//! A file of YAML beside the scenarios, read by itself: what is wrong with it is drawn with its places.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::finding::{Finding, Findings};
use crate::source::Sources;
use crate::yaml::{self, Kind, Node};

/// What stands in a file.
pub(super) struct Document {
    sources: Sources,
    text: String,
    pub(super) node: Node,
}

impl Document {
    /// The first document in a file; `None` where there is none.
    ///
    /// # Errors
    /// Everything that is wrong with it, drawn.
    pub(super) fn of(path: &Path, bytes: Vec<u8>) -> Result<Option<Self>, String> {
        let text = String::from_utf8(bytes)
            .map_err(|_| format!("error: `{}` cannot be read: it is not UTF-8", path.display()))?;
        let mut sources = Sources::default();
        let id = sources.add(path, text.as_str());
        let documents = yaml::parse(id, &text).map_err(|findings| draw(&sources, &findings))?;
        Ok(documents.into_iter().next().map(|node| Self { sources, text, node }))
    }

    /// As Go's reader has it: it knows the booleans of YAML 1.1, and to it a key without a value is not there.
    pub(super) fn read_by_go(self) -> Self {
        let node = yaml::as_elder(self.node, &self.text).without_nothing();
        Self { node, ..self }
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.node.kind == Kind::Null
    }

    /// Reads it as what it should be.
    ///
    /// # Errors
    /// Everything that it is otherwise, drawn.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        yaml::read(&self.node).map_err(|findings| draw(&self.sources, &findings))
    }

    /// What was made of it, unless an error was found in it.
    ///
    /// # Errors
    /// All that was found, drawn.
    pub(super) fn judged<T>(&self, made: T, findings: Findings) -> Result<T, String> {
        if findings.any_error() { Err(draw(&self.sources, &findings.in_reading_order())) } else { Ok(made) }
    }
}

fn draw(sources: &Sources, findings: &[Finding]) -> String {
    let all: Vec<_> = findings.iter().map(|finding| finding.draw(sources).render(false)).collect();
    all.join("\n\n")
}
