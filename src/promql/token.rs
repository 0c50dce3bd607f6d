//! Where the words and signs of an expression stand. Only that: what they mean the parser says.

use std::ops::Range;

/// One word or sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token<'t> {
    pub(super) text: &'t str,
    pub(super) at: Range<usize>,
}

/// Signs of two characters.
const PAIRS: [&str; 6] = ["==", "!=", ">=", "<=", "=~", "!~"];

/// The tokens of an expression; white space and comments are left out.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let length = match first {
            sign if sign.is_whitespace() => {
                at += sign.len_utf8();
                continue;
            }
            '#' => {
                at += text[at..].find('\n').unwrap_or(text.len() - at);
                continue;
            }
            '"' | '\'' | '`' => quoted(&text[at..], first),
            sign if is_word(sign) => text[at..].find(|next| !is_word(next)).unwrap_or(text.len() - at),
            sign => {
                let pair = text.get(at..at + 2).filter(|pair| PAIRS.contains(pair));
                pair.map_or(sign.len_utf8(), str::len)
            }
        };
        tokens.push(Token { text: &text[at..at + length], at: at..at + length });
        at += length;
    }
    tokens
}

/// What names, numbers and durations are made of; signs of exponents are tokens of their own.
fn is_word(sign: char) -> bool {
    sign.is_alphanumeric() || matches!(sign, '_' | ':' | '.')
}

/// The length of a text in quotes, to its end or that of the expression.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, sign) in text.char_indices().skip(1) {
        match sign {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            sign if sign == quote => return at + sign.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::comparison("up==0", &["up", "==", "0"])]
    #[case::matchers(r#"up{job=~"a|b",x!='y'}"#, &["up", "{", "job", "=~", "\"a|b\"", ",", "x", "!=", "'y'", "}"])]
    #[case::range("rate(x[5m:30s])", &["rate", "(", "x", "[", "5m:30s", "]", ")"])]
    #[case::recorded("job:errors:rate5m > .5", &["job:errors:rate5m", ">", ".5"])]
    #[case::comment("up # is it?\n== 0", &["up", "==", "0"])]
    #[case::escaped(r#"x{a="\"}"}"#, &["x", "{", "a", "=", r#""\"}""#, "}"])]
    #[case::unfinished("x{a=\"b", &["x", "{", "a", "=", "\"b"])]
    fn words_and_signs_are_told_apart(#[case] text: &str, #[case] wanted: &[&str]) {
        let found = tokens(text);
        assert_eq!(found.iter().map(|token| token.text).collect::<Vec<_>>(), wanted);
        assert!(found.iter().all(|token| &text[token.at.clone()] == token.text));
    }
}
