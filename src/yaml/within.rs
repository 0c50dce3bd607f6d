//! Where the signs of a scalar's value stand in its file: behind quotes, escapes and the indentation of blocks.

use std::ops::Range;
use std::str::Chars;

use crate::source::Place;

/// The place of a `range` of the bytes of `value`, which stands at `place` written as `raw`; all of `place` where
/// that cannot be told.
#[must_use]
pub fn within(place: Place, raw: &str, value: &str, range: Range<usize>) -> Place {
    let mut written = Written::new(raw);
    let mut found: Option<Range<usize>> = None;
    for (at, sign) in value.char_indices().filter(|(_, sign)| !sign.is_whitespace()) {
        if at >= range.end {
            break;
        }
        let Some((stands, _)) = written.next_visible().filter(|(_, read)| *read == sign) else {
            return place;
        };
        if at >= range.start {
            let start = found.map_or(stands.start, |found| found.start);
            found = Some(start..stands.end);
        }
    }
    let base = place.start as usize;
    found.map_or(place, |found| place.file.place(base + found.start, base + found.end))
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
}

/// A scalar as it is written, read sign by sign.
struct Written<'t> {
    length: usize,
    rest: Chars<'t>,
    style: Style,
}

impl<'t> Written<'t> {
    fn new(raw: &'t str) -> Self {
        let content = behind_anchor(raw);
        let before = raw.len() - content.len();
        let (style, begin) = match content.chars().next() {
            Some('\'') => (Style::Single, before + 1),
            Some('"') => (Style::Double, before + 1),
            // What stands behind the sign of a block says how it is written.
            Some('|' | '>') => (Style::Plain, raw.find('\n').unwrap_or(raw.len())),
            Some(_) | None => (Style::Plain, before),
        };
        Self { length: raw.len(), rest: raw[begin..].chars(), style }
    }

    fn at(&self) -> usize {
        self.length - self.rest.as_str().len()
    }

    /// The next sign that is no white space, and where it is written.
    fn next_visible(&mut self) -> Option<(Range<usize>, char)> {
        loop {
            let start = self.at();
            let sign = match (self.rest.next()?, self.style) {
                ('\\', Style::Double) => self.escaped()?,
                ('\'', Style::Single) => {
                    self.rest.next();
                    '\''
                }
                (sign, _) => sign,
            };
            if !sign.is_whitespace() {
                return Some((start..self.at(), sign));
            }
        }
    }

    /// What an escape stands for, whose backslash was read.
    fn escaped(&mut self) -> Option<char> {
        Some(match self.rest.next()? {
            '0' => '\0',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'e' => '\u{1b}',
            // White space, whichever.
            'f' | 'n' | 'r' | 't' | 'v' | 'N' | '_' | 'L' | 'P' => ' ',
            'x' => self.code(2)?,
            'u' => self.code(4)?,
            'U' => self.code(8)?,
            itself => itself,
        })
    }

    fn code(&mut self, digits: usize) -> Option<char> {
        let (code, rest) = self.rest.as_str().split_at_checked(digits)?;
        self.rest = rest.chars();
        char::from_u32(u32::from_str_radix(code, 16).ok()?)
    }
}

/// A scalar without the anchor and the tag before it.
fn behind_anchor(raw: &str) -> &str {
    let mut rest = raw;
    while rest.starts_with(['&', '!']) {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        rest = rest[end..].trim_start();
    }
    rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::source::Sources;
    use crate::yaml::parse;

    #[rstest]
    #[case::plain("e: up == 0 # why\n", "up", "up")]
    #[case::single("e: 'up{a=\"it''s\"} == 0'\n", "{a=\"it's\"}", "{a=\"it''s\"}")]
    #[case::double("e: \"up{a=\\\"b\\\"}\\n== 0\"\n", "{a=\"b\"}", "{a=\\\"b\\\"}")]
    #[case::behind_an_escape("e: \"not\\nnot == 0\"\n", "== 0", "== 0")]
    #[case::code("e: \"\\u0075p == 0\"\n", "up", "\\u0075p")]
    #[case::literal("e: |  # up\n    sum(a)\n      / up\n", "up", "up")]
    #[case::folded("e: >-\n  sum(a)\n  / up\n", "/ up", "/ up")]
    #[case::plain_over_lines("e: sum(a)\n  / up\n", "up", "up")]
    #[case::other_letters("e: größe > übel\n", "übel", "übel")]
    #[case::anchored("e: &x up == 0\n", "up", "up")]
    #[case::quoted_and_anchored("e: &x 'up == 0'\n", "up", "up")]
    fn a_part_of_a_value_is_found_as_it_is_written(
        #[case] text: &str,
        #[case] part: &str,
        #[case] written: &str,
    ) {
        let mut sources = Sources::default();
        let id = sources.add("a.yaml", text);
        let tree = parse(id, text).unwrap().remove(0);
        let node = tree.get("e").unwrap();
        let value = node.scalar().unwrap();
        let start = value.find(part).unwrap();
        let found = within(node.place, sources.text(node.place), value, start..start + part.len());
        assert_eq!(sources.text(found), written);
    }

    #[test]
    fn what_an_alias_names_is_found_where_it_is_written() {
        let text = "- &x up == 0\n- *x\n";
        let mut sources = Sources::default();
        let id = sources.add("a.yaml", text);
        let crate::yaml::Kind::List(items) = parse(id, text).unwrap().remove(0).kind else { unreachable!() };
        let found = within(items[1].place, sources.text(items[1].place), "up == 0", 0..2);
        assert_eq!((sources.text(found), found.start), ("up", 5));
    }

    proptest! {
        #[test]
        fn no_text_panics(raw in ".{0,30}", value in ".{0,30}", start in 0usize..30, length in 0usize..30) {
            let id = Sources::default().add("a.yaml", raw.clone());
            let _ = within(id.place(0, raw.len()), &raw, &value, start..start + length);
        }
    }
}
