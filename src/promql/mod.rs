//! PromQL expressions: read, with the place of every part; re-timed; judged by whether re-timing falsifies them.

mod align;
mod falsify;
mod scale;
mod token;

use std::collections::BTreeMap;
use std::ops::Range;

use promql_parser::parser::Expr;

pub use self::falsify::{Falsified, falsified};
pub use self::scale::{TooShort, scaled, scaled_duration};
use crate::source::{Place, Sources};

/// The way from an expression to one of its parts: which child, level by level. A rule and the same rule re-timed
/// have the same ways.
pub type Way = Vec<usize>;

/// An expression and where it was written.
#[derive(Debug, Clone)]
pub struct Query {
    /// As it was written.
    pub text: String,
    /// The scalar it was written as.
    pub place: Place,
    /// What it means.
    pub expr: Expr,
    parts: BTreeMap<Way, Range<usize>>,
}

impl Query {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it, in the parser's words.
    pub fn read(text: &str, place: Place) -> Result<Self, String> {
        let expr = promql_parser::parser::parse(text)?;
        let parts = align::align(text, &expr);
        Ok(Self { text: text.to_owned(), place, expr, parts })
    }

    /// The bytes of `text` that a part is; those of the nearest part around it that is known.
    #[must_use]
    pub fn range(&self, way: &[usize]) -> Range<usize> {
        let around = (0..=way.len()).rev().find_map(|length| self.parts.get(&way[..length]));
        around.cloned().unwrap_or(0..self.text.len())
    }

    /// Where in the file a part stands.
    #[must_use]
    pub fn place_of(&self, way: &[usize], sources: &Sources) -> Place {
        place_within(self.place, sources.text(self.place), &self.text, self.range(way))
    }
}

/// The part of an expression that a way leads to; the last one there is, where it leads further.
#[must_use]
pub fn part<'e>(expr: &'e Expr, way: &[usize]) -> &'e Expr {
    let Some((first, rest)) = way.split_first() else { return expr };
    match children(expr).get(*first) {
        Some(child) => part(child, rest),
        None => expr,
    }
}

/// The parts of an expression, in the order that ways count them.
#[must_use]
pub fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Paren(inner) => vec![&inner.expr],
        Expr::Unary(inner) => vec![&inner.expr],
        Expr::Subquery(inner) => vec![&inner.expr],
        Expr::Aggregate(inner) => vec![&inner.expr],
        Expr::Call(call) => call.args.args.iter().map(|argument| &**argument).collect(),
        Expr::Binary(binary) => vec![&binary.lhs, &binary.rhs],
        Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Extension(_) => Vec::new(),
    }
}

/// Every part of an expression with the way to it, the whole first.
#[must_use]
pub fn parts(expr: &Expr) -> Vec<(Way, &Expr)> {
    let mut found = vec![(Way::new(), expr)];
    let mut next = 0;
    while let Some((way, expr)) = found.get(next).cloned() {
        for (number, child) in children(expr).into_iter().enumerate() {
            let mut way = way.clone();
            way.push(number);
            found.push((way, child));
        }
        next += 1;
    }
    found
}

/// Where a range of a scalar's value stands in the file: the value is the file's text without quotes, escapes and
/// the indentation of blocks, so each of its signs is found behind the one before.
fn place_within(place: Place, raw: &str, value: &str, range: Range<usize>) -> Place {
    let mut found = (None, None);
    let mut from = 0;
    for (at, sign) in value.char_indices().filter(|(_, sign)| !sign.is_whitespace()) {
        let Some(offset) = raw[from..].find(sign) else { return place };
        let position = from + offset;
        if at >= range.start && found.0.is_none() {
            found.0 = Some(position);
        }
        from = position + sign.len_utf8();
        if at < range.end {
            found.1 = Some(from);
        }
    }
    match found {
        (Some(start), Some(end)) if start < end => {
            let base = place.start as usize;
            place.file.place(base + start, base + end)
        }
        _ => place,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn query(text: &str) -> Query {
        let mut sources = Sources::default();
        let file = sources.add("rules.yml", text);
        Query::read(text, file.place(0, text.len())).unwrap()
    }

    /// Every part's text, from the whole to the leaves.
    fn said(text: &str) -> Vec<String> {
        let query = query(text);
        parts(&query.expr).iter().map(|(way, _)| text[query.range(way)].to_owned()).collect()
    }

    #[rstest]
    #[case::comparison("up{job=\"a\"} == 0", &["up{job=\"a\"} == 0", "up{job=\"a\"}", "0"])]
    #[case::ratio(
        "rate(a[5m]) / rate(b[5m]) > 0.05",
        &[
            "rate(a[5m]) / rate(b[5m]) > 0.05", "rate(a[5m]) / rate(b[5m])", "0.05",
            "rate(a[5m])", "rate(b[5m])", "a[5m]", "b[5m]",
        ]
    )]
    #[case::grouped("sum by (job) (a) > 1", &["sum by (job) (a) > 1", "sum by (job) (a)", "1", "a"])]
    #[case::grouped_behind("sum(a) by (job)", &["sum(a) by (job)", "a"])]
    #[case::parameter("topk(3, a)", &["topk(3, a)", "a"])]
    #[case::joined(
        "a * on (x) group_left (y) b",
        &["a * on (x) group_left (y) b", "a", "b"]
    )]
    #[case::joined_to_many("a * on (x) group_left b", &["a * on (x) group_left b", "a", "b"])]
    #[case::shifted("a offset 5m > b @ end()", &["a offset 5m > b @ end()", "a offset 5m", "b @ end()"])]
    #[case::negative("-a < -1", &["-a < -1", "-a", "-1", "a"])]
    #[case::subquery("max_over_time(rate(a[1m])[10m:1m])", &[
        "max_over_time(rate(a[1m])[10m:1m])", "rate(a[1m])[10m:1m]", "rate(a[1m])", "a[1m]",
    ])]
    #[case::nameless("{__name__=\"a\"} > bool 1e-3", &["{__name__=\"a\"} > bool 1e-3", "{__name__=\"a\"}", "1e-3"])]
    fn every_part_is_found_in_the_text(#[case] text: &str, #[case] wanted: &[&str]) {
        assert_eq!(said(text), wanted);
    }

    #[rstest]
    #[case::plain("expr: up == 0", "up == 0", "0", "0")]
    #[case::quoted("expr: \"up{a=\\\"b\\\"} == 0\"", "up{a=\"b\"} == 0", "up{a=\"b\"}", "up{a=\\\"b\\\"}")]
    #[case::block("expr: |\n  sum(a)\n    / sum(b)\n  > 1\n", "sum(a)\n  / sum(b)\n> 1\n", "sum(b)", "sum(b)")]
    fn a_part_has_its_place_in_the_file(
        #[case] file: &str,
        #[case] value: &str,
        #[case] part: &str,
        #[case] wanted: &str,
    ) {
        let mut sources = Sources::default();
        let id = sources.add("rules.yml", file);
        let query = Query::read(value, id.place(6, file.len())).unwrap();
        let way = parts(&query.expr).into_iter().find(|(way, _)| &value[query.range(way)] == part).unwrap().0;
        assert_eq!(sources.text(query.place_of(&way, &sources)), wanted);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-z0-9_:(){}\\[\\]\"=~!<>+*/,. @#-]{0,60}") {
            if let Ok(query) = Query::read(&text, Sources::default().add("x", text.clone()).place(0, text.len())) {
                for (way, _) in parts(&query.expr) {
                    let range = query.range(&way);
                    prop_assert!(range.end <= text.len());
                }
            }
        }
    }
}
