//! Regular expressions as Go writes them, which `blackbox_exporter` is told: most are ours already, some are not.

use std::fmt;

use regex::bytes::Regex;
use serde::{Deserialize, Deserializer, de};

/// A pattern that searches bytes.
#[derive(Clone)]
pub(in crate::serve) struct Pattern {
    written: String,
    compiled: Regex,
}

impl Pattern {
    /// Compiles what is written in Go's syntax.
    pub(in crate::serve) fn new(written: &str) -> Result<Self, String> {
        let compiled = Regex::new(&translate(written));
        let compiled = compiled.map_err(|source| {
            let why = source.to_string();
            let last = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("`{written}` is not a pattern: {last}")
        })?;
        Ok(Self { written: written.to_owned(), compiled })
    }

    /// Whether it is nothing, which no pattern stands for.
    pub(in crate::serve) fn is_empty(&self) -> bool {
        self.written.is_empty()
    }

    pub(in crate::serve) fn is_match(&self, text: &[u8]) -> bool {
        self.compiled.is_match(text)
    }

    /// `template` with `$1`, `${name}` and `$$` filled from the first match in `text`; nothing without one.
    pub(in crate::serve) fn expand(&self, text: &[u8], template: &str) -> Option<Vec<u8>> {
        let captures = self.compiled.captures(text)?;
        let mut expanded = Vec::new();
        captures.expand(template.as_bytes(), &mut expanded);
        Some(expanded)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = String::deserialize(deserializer)?;
        Self::new(&written).map_err(de::Error::custom)
    }
}

/// The same pattern in our syntax. To Go a brace that counts nothing is a brace, a bracket within brackets a bracket,
/// and `\d`, `\w`, `\s` and `\b` are of ASCII alone.
fn translate(written: &str) -> String {
    let mut out = String::with_capacity(written.len() + 8);
    let mut rest = written;
    let mut within = false;
    while let Some(sign) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix(r"\Q") {
            let (literal, after) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            out.push_str(&regex::escape(literal));
            rest = after;
            continue;
        }
        let mut taken = sign.len_utf8();
        match sign {
            '\\' => {
                let escaped = rest.chars().nth(1);
                taken += escaped.map_or(0, char::len_utf8);
                // The braces of a class or a character by name belong to it.
                if matches!(escaped, Some('p' | 'P' | 'x')) && rest[taken..].starts_with('{') {
                    taken = rest.find('}').map_or(rest.len(), |at| at + 1);
                }
                out.push_str(&ascii(&rest[..taken], within));
            }
            '[' if within && !rest.starts_with("[:") => out.push_str(r"\["),
            '[' if within => {
                let end = rest.find(":]").map_or(rest.len(), |at| at + 2);
                out.push_str(&rest[..end]);
                taken = end;
            }
            '[' => {
                within = true;
                // What stands first is itself, also a closing bracket.
                let begin = if rest.starts_with("[^") { 2 } else { 1 };
                out.push_str(&rest[..begin]);
                taken = begin;
                if rest[begin..].starts_with(']') {
                    out.push_str(r"\]");
                    taken += 1;
                }
            }
            ']' if within => {
                within = false;
                out.push(sign);
            }
            '&' | '~' if within => {
                out.push('\\');
                out.push(sign);
            }
            '{' if !within && !counts(rest) => out.push_str(r"\{"),
            '}' if !within && !ends_a_count(&written[..written.len() - rest.len()]) => out.push_str(r"\}"),
            _ => out.push(sign),
        }
        rest = &rest[taken..];
    }
    out
}

/// An escape as Go means it.
fn ascii(escape: &str, within: bool) -> String {
    let class = match escape {
        r"\d" => "0-9",
        r"\w" => "0-9A-Za-z_",
        r"\s" => r"\t\n\x0c\r\x20",
        r"\D" => r"\x00-/:-\x{10FFFF}",
        r"\W" => r"\x00-/:-@\[-\^`{-\x{10FFFF}",
        r"\S" => r"\x00-\x08\x0b\x0e-\x1f!-\x{10FFFF}",
        r"\b" if !within => return r"(?-u:\b)".to_owned(),
        _ => return escape.to_owned(),
    };
    if within { class.to_owned() } else { format!("[{class}]") }
}

/// Whether the text begins with `{2}`, `{2,}` or `{2,3}`.
fn counts(text: &str) -> bool {
    let Some((count, _)) = text.strip_prefix('{').and_then(|text| text.split_once('}')) else { return false };
    let (least, most) = count.split_once(',').unwrap_or((count, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}

/// Whether a brace after `before` ends a count.
fn ends_a_count(before: &str) -> bool {
    before.rfind('{').is_some_and(|open| counts(&format!("{}}}", &before[open..])))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("^ok$", "ok", true)]
    #[case::json(r#"{"status":"ok"}"#, r#"{"status":"ok"}"#, true)]
    #[case::json_with_escapes(r#"\{"status": ?"\w+"\}"#, r#"{"status": "ok"}"#, true)]
    #[case::count("^a{2,3}$", "aaa", true)]
    #[case::count_of_none("^a{2,3}$", "a", false)]
    #[case::open_count("^a{,3}$", "a{,3}", true)]
    #[case::bracket_in_brackets("^[a[]+$", "a[a", true)]
    #[case::named_class("^[[:digit:]x]+$", "1x2", true)]
    #[case::closing_first("^[]a]+$", "]a", true)]
    #[case::both_and("^[a&&b]+$", "a&b", true)]
    #[case::digits_of_ascii(r"^\d$", "٣", false)]
    #[case::words_of_ascii(r"^\w$", "ä", false)]
    #[case::not_a_word_of_ascii(r"^\W$", "ä", true)]
    #[case::not_a_digit(r"^\D$", "ä", true)]
    #[case::not_space(r"^\S$", "\u{a0}", true)]
    #[case::quoted(r"^\Qa.b\E$", "axb", false)]
    #[case::hex(r"^\x{41}$", "A", true)]
    #[case::letters(r"^\p{L}$", "ä", true)]
    fn a_pattern_means_what_it_means_in_go(#[case] written: &str, #[case] text: &str, #[case] matches: bool) {
        assert_eq!(Pattern::new(written).unwrap().is_match(text.as_bytes()), matches);
    }

    #[rstest]
    #[case::open("(a")]
    #[case::ahead("(?=a)")]
    #[case::lone("*a")]
    fn what_is_no_pattern_says_so(#[case] written: &str) {
        assert!(Pattern::new(written).unwrap_err().contains("is not a pattern"));
    }

    #[test]
    fn what_was_found_is_filled_in() {
        let pattern = Pattern::new(r"^PING :([^ ]+) (?P<rest>.*)$").unwrap();
        assert_eq!(pattern.expand(b"PING :a b c", "PONG ${1}/$rest$$").unwrap(), b"PONG a/b c$");
        assert_eq!(pattern.expand(b"other", "PONG"), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = Pattern::new(&text);
        }
    }
}
