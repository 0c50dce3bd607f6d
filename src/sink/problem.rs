//! What is wrong with a message that arrived: its templates were not rendered as their author meant.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Serialize, Serializer};

use super::message::Message;

/// More is said of no message.
const MOST: usize = 20;

/// What is wrong with a message; each with the text around it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    /// A template asked for something that is not there.
    NoValue(String),
    /// Prometheus could not render a template.
    TemplateError(String),
    /// A template printed a value by a format that does not fit it.
    Format(String),
    /// A template that nobody rendered.
    Unrendered(String),
    /// Nothing is said at all.
    Empty,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoValue(text) => write!(f, "a template has no value: `{text}`"),
            Self::TemplateError(text) => write!(f, "a template failed: `{text}`"),
            Self::Format(text) => write!(f, "a format does not fit its value: `{text}`"),
            Self::Unrendered(text) => write!(f, "a template was not rendered: `{text}`"),
            Self::Empty => f.write_str("the message is empty"),
        }
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What is wrong with `message`, each thing once.
pub(super) fn find(message: &Message) -> Vec<Problem> {
    let mut problems = BTreeSet::new();
    let shown = [&message.title, &message.text];
    for text in shown.into_iter().chain(&message.texts) {
        look(text, &mut problems);
        if problems.len() >= MOST {
            break;
        }
    }
    if !message.wordless && message.alerts.is_empty() && shown.iter().all(|text| text.trim().is_empty()) {
        problems.insert(Problem::Empty);
    }
    problems.into_iter().take(MOST).collect()
}

fn look(text: &str, problems: &mut BTreeSet<Problem>) {
    let at = |sign: &str| text.find(sign).map(|at| around(text, at, sign.len()));
    problems.extend(at("<no value>").or_else(|| at("&lt;no value&gt;")).map(Problem::NoValue));
    problems.extend(at("<error expanding template").map(Problem::TemplateError));
    problems.extend(at("{{").map(Problem::Unrendered));
    problems.extend(format_error(text).map(|at| Problem::Format(around(text, at, 2))));
}

/// Where Go prints what does not fit a verb: `%!d(string=x)`, `%!(EXTRA int=1)`, `%!s(<nil>)`.
fn format_error(text: &str) -> Option<usize> {
    let fits = |at: &usize| {
        let rest = &text[at + 2..];
        let verb = rest.chars().next().filter(char::is_ascii_alphabetic).map_or(0, char::len_utf8);
        rest[verb..].starts_with('(')
    };
    text.match_indices("%!").map(|(at, _)| at).find(fits)
}

/// Some of the line that something stands in, so that its author knows it again.
fn around(text: &str, at: usize, length: usize) -> String {
    const REACH: usize = 30;
    let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[at + length..].find('\n').map_or(text.len(), |newline| at + length + newline);
    let before: Vec<char> = text[line..at].chars().rev().take(REACH).collect();
    let after = text[at + length..end].chars().take(REACH);
    before
        .into_iter()
        .rev()
        .chain(text[at..at + length].chars())
        .chain(after)
        .collect::<String>()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::none("[FIRING:1] Down at 100%!", &[])]
    #[case::no_value("first\nvalue is <no value> now\nlast", &["a template has no value: `value is <no value> now`"])]
    #[case::escaped("<b>&lt;no value&gt;</b>", &["a template has no value: `<b>&lt;no value&gt;</b>`"])]
    #[case::error(
        "<error expanding template: error executing template x>",
        &["a template failed: `<error expanding template: error executing template x>`"]
    )]
    #[case::verb("it is %!f(string=NaN) ms", &["a format does not fit its value: `it is %!f(string=NaN) ms`"])]
    #[case::extra("%!(EXTRA int=1)", &["a format does not fit its value: `%!(EXTRA int=1)`"])]
    #[case::unrendered("é {{ $labels.job }}", &["a template was not rendered: `é {{ $labels.job }}`"])]
    #[case::empty(" \n", &["the message is empty"])]
    fn a_text_is_looked_over(#[case] text: &str, #[case] expected: &[&str]) {
        let message = Message { text: text.to_owned(), ..Message::default() };
        let found: Vec<_> = find(&message).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }
}
