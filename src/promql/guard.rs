//! The way to the parser: what it would stumble over is refused before, and what it says gets a place.

use std::fmt;
use std::ops::Range;

use promql_parser::parser::{self, Expr};

use super::token::{Token, tokens};

/// Operators and brackets of an expression; no honest one has more, and every walk over it goes as deep.
const MOST: usize = 1_000;

/// Seconds that a bare number may stand for where a duration is wanted: three centuries.
const LONGEST: f64 = 1e10;

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// In the parser's words.
    pub why: String,
    /// The bytes of the expression to look at.
    pub range: Range<usize>,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Malformed {}

/// Parses an expression.
pub(super) fn parse(text: &str) -> Result<Expr, Malformed> {
    let tokens = tokens(text);
    refuse(&tokens)?;
    parser::parse(text).map_err(|why| Malformed { range: blamed(&why, text, &tokens), why: reworded(why) })
}

/// Refuses what the parser takes for something else, or never comes back from.
fn refuse(tokens: &[Token<'_>]) -> Result<(), Malformed> {
    let mut signs =
        tokens.iter().filter(|token| !token.text.starts_with(|sign: char| sign.is_alphanumeric()));
    if let Some(token) = signs.nth(MOST) {
        return Err(Malformed {
            why: format!("the expression has more than {MOST} signs"),
            range: token.at.clone(),
        });
    }
    for (index, token) in tokens.iter().enumerate() {
        let endless = |piece: &str| piece.parse().is_ok_and(|seconds: f64| seconds.abs() > LONGEST);
        if token.text.split(':').any(endless) && is_duration(&tokens[..index]) {
            return Err(Malformed {
                why: "this duration is beyond all time".to_owned(),
                range: token.at.clone(),
            });
        }
        if token.text.starts_with(['"', '\'']) && has_foreign_byte(token.text) {
            let why = "an escape stands for a byte that is no text in UTF-8";
            return Err(Malformed { why: why.to_owned(), range: token.at.clone() });
        }
    }
    Ok(())
}

/// Whether what comes behind these tokens is a duration: within brackets, or behind `offset`.
fn is_duration(before: &[Token<'_>]) -> bool {
    let last = before.iter().rev().map(|token| token.text).find(|text| !matches!(*text, "-" | "+"));
    last.is_some_and(|text| {
        matches!(text, "[" | "offset" | ":")
            || (text.ends_with(':') && text.starts_with(|sign: char| sign.is_ascii_digit()))
    })
}

/// Whether a text in quotes has an escape like `\xff` or `\377`, which the parser takes for a letter.
fn has_foreign_byte(quoted: &str) -> bool {
    let mut signs = quoted.chars();
    while let Some(sign) = signs.next() {
        if sign != '\\' {
            continue;
        }
        let code = match signs.next() {
            Some('x') => signs.as_str().get(..2).and_then(|code| u32::from_str_radix(code, 16).ok()),
            Some(first) if first.is_digit(8) => {
                let rest = signs.as_str().get(..2);
                rest.and_then(|rest| u32::from_str_radix(&format!("{first}{rest}"), 8).ok())
            }
            Some(_) | None => None,
        };
        if code.is_some_and(|code| code > 0x7f) {
            return true;
        }
    }
    false
}

/// The part of the text that the parser's sentence is about, as far as it names it.
fn blamed(why: &str, text: &str, tokens: &[Token<'_>]) -> Range<usize> {
    let quoted = why.split_once('\'').and_then(|(_, rest)| rest.split_once('\'')).map(|(name, _)| name);
    if let Some(token) = quoted.and_then(|name| tokens.iter().find(|token| token.text == name)) {
        return token.at.clone();
    }
    let unclosed = |open: &str| tokens.iter().rev().find(|token| token.text == open);
    let open = match why {
        "unclosed left parenthesis" => unclosed("("),
        "unexpected end of input inside braces" => unclosed("{"),
        "unexpected end of input inside brackets" => unclosed("["),
        _ => None,
    };
    open.map_or(0..text.len(), |token| token.at.clone())
}

/// The parser's sentence, made plainer where it says nothing.
fn reworded(why: String) -> String {
    match why.as_str() {
        "invalid promql query" => "this is no PromQL expression".to_owned(),
        "unexpected character inside brackets: '+'"
        | "unexpected character inside brackets: '-'"
        | "unexpected character inside brackets: '*'"
        | "unexpected character inside brackets: '/'" => {
            "arithmetic within brackets is not read: write the duration itself".to_owned()
        }
        "unknown function with name 'holt_winters'" => {
            "`holt_winters` is called `double_exponential_smoothing` since Prometheus 3".to_owned()
        }
        _ => why,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::function("rat(x[5m])", "unknown function with name 'rat'", "rat")]
    #[case::renamed(
        "holt_winters(x[5m], 0.5, 0.5)",
        "`holt_winters` is called `double_exponential_smoothing` since Prometheus 3",
        "holt_winters"
    )]
    #[case::parenthesis("sum(rate(x[5m])", "unclosed left parenthesis", "(")]
    #[case::operand("up == = 1", "this is no PromQL expression", "up == = 1")]
    #[case::range_wanted("rate(x)", "expected type matrix in call to function 'rate', got vector", "rate")]
    #[case::no_quotes("x{job=a}", "unexpected identifier 'a' in label matching, expected string", "a")]
    #[case::arithmetic("x[26m+4m]", "arithmetic within brackets is not read: write the duration itself", "+")]
    #[case::endless_range("x[1e300]", "this duration is beyond all time", "1e300")]
    #[case::endless_step(
        "x[5m:99999999999999999999]",
        "this duration is beyond all time",
        "5m:99999999999999999999"
    )]
    #[case::endless_offset("x offset -1e300", "this duration is beyond all time", "1e300")]
    #[case::byte("x{a=\"\\xff\"}", "an escape stands for a byte that is no text in UTF-8", "\"\\xff\"")]
    #[case::octal("x{a=\"\\377\"}", "an escape stands for a byte that is no text in UTF-8", "\"\\377\"")]
    fn what_does_not_parse_says_where(#[case] text: &str, #[case] why: &str, #[case] at: &str) {
        let malformed = parse(text).unwrap_err();
        assert_eq!((malformed.why.as_str(), &text[malformed.range]), (why, at));
    }

    #[rstest]
    #[case::number_compared("x > 1e300")]
    #[case::number_added("x + 5 + 1e300 > - 1e300")]
    #[case::escaped_backslash("x{a=~\"\\\\xff\"}")]
    #[case::latin("x{a=\"\\x41\"}")]
    fn what_only_looks_like_it_parses(#[case] text: &str) {
        assert_eq!(parse(text).map_err(|malformed| malformed.why).err(), None);
    }

    #[rstest]
    #[case::parentheses(&format!("{}x{}", "(".repeat(499), ")".repeat(499)), true)]
    #[case::sums(&vec!["x"; 1_000].join("+"), true)]
    #[case::signs(&format!("{}x", "-".repeat(1_000)), true)]
    #[case::too_many(&format!("{}x", "-".repeat(1_001)), false)]
    fn expressions_are_only_so_deep(#[case] text: &str, #[case] parses: bool) {
        assert_eq!(parse(text).is_ok(), parses);
    }
}
