//! Matchers by the classic rules: tolerant of what is not quoted, and of names in ASCII alone.

use super::{Matcher, Op};

/// Reads matchers, which commas outside of quotes separate; a brace at either end is passed over.
pub(super) fn read(text: &str) -> Result<Vec<Matcher>, String> {
    let text = text.strip_prefix('{').unwrap_or(text);
    let text = text.strip_suffix('}').unwrap_or(text);
    split(text).into_iter().map(read_one).collect()
}

/// The text between commas; a last comma ends it.
fn split(text: &str) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    let mut pieces = Vec::new();
    let mut begin = 0;
    for (at, sign) in text.char_indices() {
        match sign {
            ',' if !quoted => {
                pieces.push(&text[begin..at]);
                begin = at + 1;
            }
            // As in Alertmanager, a comma within quotes does not end an escape.
            ',' => {}
            '"' if escaped => escaped = false,
            '"' => quoted = !quoted,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    let last = &text[begin..];
    if !last.trim().is_empty() {
        pieces.push(last.trim());
    }
    pieces
}

fn read_one(text: &str) -> Result<Matcher, String> {
    let wrong = || format!("`{text}` is no matcher: a name, one of `=`, `!=`, `=~`, `!~`, and a value");
    let rest = text.trim_matches(is_space);
    let end = rest.find(|sign: char| !is_name(sign)).ok_or_else(wrong)?;
    let (name, rest) = rest.split_at(end);
    if name.is_empty() || name.starts_with(|sign: char| sign.is_ascii_digit()) {
        return Err(wrong());
    }
    let rest = rest.trim_start_matches(is_space);
    let length =
        if rest.starts_with("=~") || rest.starts_with("!=") || rest.starts_with("!~") { 2 } else { 1 };
    let (op, value) = rest.split_at_checked(length).ok_or_else(wrong)?;
    let op = Op::of(op).ok_or_else(wrong)?;
    Matcher::new(name, op, unquoted(value.trim_start_matches(is_space))?)
}

/// White space as the classic rules know it.
fn is_space(sign: char) -> bool {
    matches!(sign, ' ' | '\t' | '\n' | '\r' | '\u{c}')
}

fn is_name(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || matches!(sign, '_' | ':')
}

/// A value without the quotes around it and with what its escapes stand for; a backslash before anything else is
/// one.
fn unquoted(written: &str) -> Result<String, String> {
    let wrong = || format!("`{written}` has a double quote that is not escaped");
    let (rest, mut open) = match written.strip_prefix('"') {
        Some(rest) => (rest, true),
        None => (written, false),
    };
    let mut value = String::with_capacity(rest.len());
    let mut signs = rest.chars();
    while let Some(sign) = signs.next() {
        match sign {
            '\\' => match signs.next() {
                Some('n') => value.push('\n'),
                Some(sign @ ('"' | '\\')) => value.push(sign),
                Some(sign) => value.extend(['\\', sign]),
                None => value.push('\\'),
            },
            '"' if open && signs.as_str().is_empty() => open = false,
            '"' => return Err(wrong()),
            sign => value.push(sign),
        }
    }
    if open { Err(wrong()) } else { Ok(value) }
}
