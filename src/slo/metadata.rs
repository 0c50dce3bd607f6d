//! What a document is called, checked.

use std::collections::BTreeMap;

use super::lists::Texts;
use super::written::MetadataWritten;
use crate::finding::{Code, Finding, Findings};
use crate::source::At;

/// The longest name, and the longest name for people.
const LONGEST_NAME: usize = 63;

/// The longest description.
const LONGEST_DESCRIPTION: usize = 1050;

/// The longest prefix of an annotation.
const LONGEST_PREFIX: usize = 253;

/// What a document is called, checked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Metadata {
    pub(super) name: At<String>,
    pub(super) display: Option<String>,
    pub(super) labels: BTreeMap<String, Vec<String>>,
    pub(super) annotations: BTreeMap<String, String>,
}

impl MetadataWritten {
    /// Checks names, labels and annotations: firedrill takes what others refuse, and says so.
    pub(super) fn check(self, findings: &mut Findings) -> Metadata {
        if self.name.value.is_empty() {
            let title = "a name has at least one character";
            findings.add(Finding::new(Code::FileValue, self.name.place, title));
        } else if !is_dns_label(&self.name) {
            let title = format!("`{}` is a name that other tools refuse", self.name.value);
            let help = format!(
                "lower-case letters, digits and `-`, beginning and ending with a letter or digit, at most \
                 {LONGEST_NAME}"
            );
            findings.add(Finding::new(Code::SloMetadata, self.name.place, title).help(help));
        }
        if let Some(display) = &self.display_name {
            check_length(display, LONGEST_NAME, "`displayName`", findings);
        }
        for (key, _) in &self.labels.0 {
            if !is_segment(key) {
                findings.add(odd_key(key, "label"));
            }
        }
        for (key, _) in &self.annotations.0 {
            let (prefix, name) = key.split_once('/').map_or((None, key.as_str()), |(p, n)| (Some(p), n));
            let is_subdomain =
                |prefix: &str| prefix.len() <= LONGEST_PREFIX && prefix.split('.').all(is_dns_label);
            if !is_segment(name) || !prefix.is_none_or(is_subdomain) {
                findings.add(odd_key(key, "annotation"));
            }
        }
        let labels = self.labels.into_iter().map(|(key, Texts(texts))| (key.value, texts)).collect();
        let annotations = self.annotations.into_iter().map(|(key, text)| (key.value, text)).collect();
        Metadata { name: self.name, display: self.display_name.map(|at| at.value), labels, annotations }
    }
}

/// Checks a description's length.
pub(super) fn check_description(description: Option<&At<String>>, findings: &mut Findings) {
    if let Some(text) = description {
        check_length(text, LONGEST_DESCRIPTION, "`description`", findings);
    }
}

fn check_length(text: &At<String>, most: usize, what: &str, findings: &mut Findings) {
    let length = text.value.chars().count();
    if length > most {
        let title = format!("{what} has {length} characters; other tools take {most}");
        findings.add(Finding::new(Code::SloMetadata, text.place, title));
    }
}

fn odd_key(key: &At<String>, what: &str) -> Finding {
    let title = format!("`{}` is a key that other tools refuse for {what}s", key.value);
    let help = format!(
        "letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit, at most {LONGEST_NAME}"
    );
    Finding::new(Code::SloMetadata, key.place, title).help(help)
}

/// Whether this can be a part of a host's name (RFC 1123).
fn is_dns_label(text: &str) -> bool {
    is_bounded(text) && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// Whether this can be the name of a label or annotation.
fn is_segment(text: &str) -> bool {
    let sign = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    is_bounded(text) && text.bytes().all(sign)
}

/// Short enough, and beginning and ending with a letter or digit.
fn is_bounded(text: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.len() <= LONGEST_NAME && edge(text.bytes().next()) && edge(text.bytes().next_back())
}
