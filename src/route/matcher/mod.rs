//! Matchers of Alertmanager: in the classic syntax, in that of UTF-8, and where the two disagree.

mod classic;
mod utf8;

use std::fmt;

use regex::Regex;

/// How Alertmanager reads matchers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// As up to 0.26, and with `--enable-feature=classic-mode`.
    Classic,
    /// As since 0.27 unless told otherwise: by the rules of UTF-8, and by the classic ones where those fail or the
    /// two disagree.
    #[default]
    Both,
    /// With `--enable-feature=utf8-strict-mode`.
    Utf8,
}

/// A demand on one label. A label that is not there has no value, which is the empty one.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// The label.
    pub name: String,
    /// What is demanded.
    pub op: Op,
    /// Of which value, or pattern.
    pub value: String,
    pattern: Option<Regex>,
}

/// What is demanded of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Matches,
    /// `!~`
    MatchesNot,
}

impl Op {
    fn of(text: &str) -> Option<Self> {
        [Self::Equal, Self::NotEqual, Self::Matches, Self::MatchesNot]
            .into_iter()
            .find(|op| op.sign() == text)
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Matches => "=~",
            Self::MatchesNot => "!~",
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:?}", self.name, self.op.sign(), self.value)
    }
}

impl Matcher {
    /// A demand on the label `name`.
    ///
    /// # Errors
    /// When the pattern is none.
    pub fn new(name: impl Into<String>, op: Op, value: impl Into<String>) -> Result<Self, String> {
        let value = value.into();
        let pattern = match op {
            Op::Equal | Op::NotEqual => None,
            Op::Matches | Op::MatchesNot => {
                // Alone first, so that `a)(b` is none.
                Regex::new(&value).map_err(|_| format!("`{value}` is no pattern"))?;
                Some(Regex::new(&format!("^(?:{value})$")).map_err(|_| format!("`{value}` is no pattern"))?)
            }
        };
        Ok(Self { name: name.into(), op, value, pattern })
    }

    /// Whether a value is as demanded.
    #[must_use]
    pub fn takes(&self, value: &str) -> bool {
        let fits = || self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(value));
        match self.op {
            Op::Equal => value == self.value,
            Op::NotEqual => value != self.value,
            Op::Matches => fits(),
            Op::MatchesNot => !fits(),
        }
    }

    /// Whether every value is as demanded.
    #[must_use]
    pub fn takes_all(&self) -> bool {
        self.op == Op::Matches && self.value == ".*"
    }
}

/// Matchers, and what is to be said of how they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// What Alertmanager takes them for.
    pub matchers: Vec<Matcher>,
    /// What a version with other rules would make of it.
    pub doubt: Option<Doubt>,
}

/// Why versions of Alertmanager differ on a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// Both sets of rules read it, each in its way: the classic one wins, and this is the other.
    Disagreement(Vec<Matcher>),
    /// Only the classic rules read it; by the others it is malformed.
    ClassicOnly(String),
    /// Only the rules of UTF-8 read it; versions up to 0.26 do not load it.
    Utf8Only(String),
}

/// Reads matchers, which commas separate, with or without braces around them.
///
/// # Errors
/// When the dialect does not know such matchers.
pub fn read(text: &str, dialect: Dialect) -> Result<Read, String> {
    let sure = |matchers| Read { matchers, doubt: None };
    match dialect {
        Dialect::Classic => classic::read(text).map(sure),
        Dialect::Utf8 => utf8::read(text).map(sure),
        Dialect::Both => match (classic::read(text), utf8::read(text)) {
            (Ok(classic), Ok(utf8)) if classic == utf8 => Ok(sure(classic)),
            (Ok(classic), Ok(utf8)) => Ok(Read { matchers: classic, doubt: Some(Doubt::Disagreement(utf8)) }),
            (Ok(classic), Err(why)) => Ok(Read { matchers: classic, doubt: Some(Doubt::ClassicOnly(why)) }),
            (Err(why), Ok(utf8)) => Ok(Read { matchers: utf8, doubt: Some(Doubt::Utf8Only(why)) }),
            (Err(why), Err(_)) => Err(why),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn said(matchers: &[Matcher]) -> String {
        matchers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    /// How each set of rules reads a text: what both make of it, or one of them.
    fn readings(text: &str) -> (String, String) {
        let one = |dialect| match read(text, dialect) {
            Ok(read) => said(&read.matchers),
            Err(why) => format!("no: {why}"),
        };
        (one(Dialect::Classic), one(Dialect::Utf8))
    }

    #[rstest]
    #[case::plain("severity=critical", r#"severity="critical""#)]
    #[case::quoted(r#"severity = "critical""#, r#"severity="critical""#)]
    #[case::several(r#"{a="b", c!=d, e=~"f.*",g!~"h",}"#, r#"a="b", c!="d", e=~"f.*", g!~"h""#)]
    #[case::comma_in_quotes(r#"a="b,c",d=e"#, r#"a="b,c", d="e""#)]
    #[case::empty_value(r#"a="""#, r#"a="""#)]
    #[case::escaped(r#"a="b\"c\\d\ne""#, r#"a="b\"c\\d\ne""#)]
    #[case::nothing("", "")]
    #[case::nothing_in_braces("{}", "")]
    fn both_read_the_same(#[case] text: &str, #[case] wanted: &str) {
        assert_eq!(readings(text), (wanted.to_owned(), wanted.to_owned()));
        assert_eq!(read(text, Dialect::Both).unwrap().doubt, None);
    }

    #[rstest]
    #[case::no_value("a=", r#"a="""#, "no: a label value is missing at the end")]
    #[case::space_in_value("a=b c", r#"a="b c""#, "no: a comma is missing before `c`")]
    #[case::bare_pattern("a=~b.*|c", r#"a=~"b.*|c""#, r#"a=~"b.*|c""#)]
    #[case::braces_in_pattern("a=~b{2}", "no: `b{2` is no pattern", "no: a comma is missing before `{`")]
    #[case::lone_backslash(r#"a="b\d""#, r#"a="b\\d""#, r#"no: `"b\d"` has an escape that is none"#)]
    #[case::greek(
        "σ=b",
        "no: `σ=b` is no matcher: a name, one of `=`, `!=`, `=~`, `!~`, and a value",
        r#"σ="b""#
    )]
    #[case::quoted_name(
        r#""a b"=c"#,
        r#"no: `"a b"=c` is no matcher: a name, one of `=`, `!=`, `=~`, `!~`, and a value"#,
        r#"a b="c""#
    )]
    #[case::code(r#"a="\u263a""#, r#"a="\\u263a""#, "a=\"\u{263a}\"")]
    #[case::two_commas(
        "a=b,,c=d",
        "no: `` is no matcher: a name, one of `=`, `!=`, `=~`, `!~`, and a value",
        "no: a label name is missing before `,`"
    )]
    #[case::open("{a=b", r#"a="b""#, "no: `}` is missing at the end")]
    #[case::closed("a=b}", r#"a="b""#, "no: `}` has no `{`")]
    #[case::quote_within(
        r#"a=b"c"#,
        r#"no: `b"c` has a double quote that is not escaped"#,
        r#"no: `"c` is not closed"#
    )]
    fn the_two_differ(#[case] text: &str, #[case] classic: &str, #[case] utf8: &str) {
        assert_eq!(readings(text), (classic.to_owned(), utf8.to_owned()));
    }

    #[test]
    fn where_both_read_it_the_classic_rules_win() {
        let read = read(r#"a="\u263a""#, Dialect::Both).unwrap();
        assert_eq!(said(&read.matchers), r#"a="\\u263a""#);
        let Some(Doubt::Disagreement(other)) = read.doubt else { unreachable!("they disagree") };
        assert_eq!(said(&other), "a=\"\u{263a}\"");
    }

    #[rstest]
    #[case::equal("a=b", "b", true)]
    #[case::absent("a=\"\"", "", true)]
    #[case::not_equal("a!=b", "", true)]
    #[case::whole("a=~b", "bb", false)]
    #[case::alternatives("a=~b|c", "c", true)]
    #[case::not_matching("a!~b|c", "d", true)]
    #[case::anything("a=~.*", "", true)]
    #[case::something("a=~.+", "", false)]
    fn what_a_matcher_takes(#[case] text: &str, #[case] value: &str, #[case] takes: bool) {
        assert_eq!(read(text, Dialect::Both).unwrap().matchers[0].takes(value), takes);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[{}a=!~,\"\\\\ x0n\u{3c3}]{0,16}|.{0,16}") {
            let _ = (read(&text, Dialect::Classic), read(&text, Dialect::Utf8), read(&text, Dialect::Both));
        }
    }
}
