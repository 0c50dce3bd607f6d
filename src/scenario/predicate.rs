//! What is expected of a value, in short English: `under 200ms`, `at least 3`, `matches ^v\d`, `exists`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use regex::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::subject::{Subject, TYPES, Type};
use super::template::{Hole, Scope, Shape, Template, Unset};
use crate::finding::{Code, Finding};
use crate::units::{Ratio, Size, Span};
use crate::yaml::{Kind, Node};

/// An expectation of one value.
#[derive(Debug, Clone)]
pub enum Predicate {
    /// The same value; numbers by their size, text by its characters.
    Equals(Shape),
    /// Strictly less.
    Under(Quantity),
    /// Strictly more.
    Over(Quantity),
    /// As much or more.
    AtLeast(Quantity),
    /// As much or less.
    AtMost(Quantity),
    /// Neither less than the first nor more than the second.
    Between(Quantity, Quantity),
    /// The pattern is found in the text.
    Matches(Pattern),
    /// The text holds this text, or the list this value.
    Contains(Template),
    /// The text begins so.
    StartsWith(Template),
    /// The text ends so.
    EndsWith(Template),
    /// There is a value.
    Exists,
    /// The value is of this type.
    Is(Type),
    /// The predicate does not hold.
    Not(Box<Predicate>),
    /// Every one of them holds.
    All(Vec<Predicate>),
    /// At least one of them holds.
    Any(Vec<Predicate>),
}

/// What a comparison compares with.
#[derive(Debug, Clone, PartialEq)]
pub enum Quantity {
    /// A bare number.
    Number(f64),
    /// A duration, compared with times; with JSON numbers, in seconds.
    Time(Duration),
    /// A size in bytes.
    Size(u64),
    /// A share of a whole: `5%`.
    Share(Ratio),
    /// Known when the step runs.
    Later(Template),
}

/// A regular expression, compiled when the file is read unless it has holes.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// Ready.
    Ready(Regex),
    /// To be compiled when the step runs.
    Later(Template),
}

/// What a predicate may be held against, known before anything runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// Anything.
    Value,
    /// Times only.
    Time,
    /// Numbers of bytes only.
    Size,
    /// Numbers only.
    Number,
    /// Shares of a whole only.
    Share,
}

/// A predicate that does not hold, or cannot be held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// What was wanted, as a phrase: `under 200ms`.
    pub wanted: String,
    /// What there was: `412 ms`, `"v1"`, `nothing`.
    pub got: String,
}

impl Predicate {
    /// Reads a predicate that will be held against values of `domain`.
    ///
    /// # Errors
    /// A finding at the part that is malformed.
    pub fn read(node: &Node, domain: Domain) -> Result<Self, Finding> {
        let predicate = match &node.kind {
            Kind::Text(text) => {
                Self::parse(text).map_err(|why| Finding::new(Code::FileValue, node.place, why))?
            }
            Kind::Map(entries) => match entries.as_slice() {
                [(key, value)] if key.name == "equals" => Self::Equals(shape(value)?),
                [(key, value)] if key.name == "all" => Self::All(several(value, domain)?),
                [(key, value)] if key.name == "any" => Self::Any(several(value, domain)?),
                _ => {
                    let title = "an expectation is a value, a phrase like `at least 3`, or one of `equals`, `all`, `any`";
                    let finding = Finding::new(Code::FileValue, node.place, title);
                    return Err(finding.help("write `{ equals: … }` to expect a whole object"));
                }
            },
            Kind::List(_) => {
                let title = "a list is ambiguous here: every one of these, any of them, or the list itself?";
                let finding = Finding::new(Code::FileValue, node.place, title);
                return Err(finding.help("write `{ all: […] }`, `{ any: […] }` or `{ equals: […] }`"));
            }
            Kind::Null | Kind::Bool(..) | Kind::Int(..) | Kind::Float(..) => Self::Equals(shape(node)?),
        };
        match predicate.misfit(domain) {
            None => Ok(predicate),
            Some(why) => Err(Finding::new(Code::FileValue, node.place, why)),
        }
    }

    /// Reads a phrase; text that begins with none of the predicate words is a value to equal.
    ///
    /// # Errors
    /// When it begins with a predicate word and does not go on as that word demands.
    pub fn parse(text: &str) -> Result<Self, String> {
        let template = |text: &str| Template::parse(text.trim());
        let quantity = |text: &str| Quantity::parse(text.trim());
        if text == "exists" {
            return Ok(Self::Exists);
        }
        if let Some((_, kind)) = TYPES.iter().find(|(written, _)| *written == text) {
            return Ok(Self::Is(*kind));
        }
        if let Some(rest) = text.strip_prefix("not ") {
            return Ok(Self::Not(Box::new(Self::parse(rest.trim_start())?)));
        }
        let Some((word, rest)) = WORDS.iter().find_map(|word| Some((*word, text.strip_prefix(word)?))) else {
            return Ok(Self::Equals(Shape::Text(Template::parse(text)?)));
        };
        Ok(match word {
            "under " => Self::Under(quantity(rest)?),
            "over " => Self::Over(quantity(rest)?),
            "at least " => Self::AtLeast(quantity(rest)?),
            "at most " => Self::AtMost(quantity(rest)?),
            "between " => {
                let (low, high) = rest.split_once(" and ").ok_or("write `between 1 and 5`")?;
                Self::Between(quantity(low)?, quantity(high)?)
            }
            "matches " => Self::Matches(Pattern::parse(rest.trim())?),
            "contains " => Self::Contains(template(rest)?),
            "starts with " => Self::StartsWith(template(rest)?),
            _ => Self::EndsWith(template(rest)?),
        })
    }

    /// Why this predicate can never be held against values of `domain`.
    fn misfit(&self, domain: Domain) -> Option<&'static str> {
        let fits = |quantity: &Quantity| match (domain, quantity) {
            (Domain::Value, _)
            | (_, Quantity::Later(_))
            | (Domain::Time, Quantity::Time(_))
            | (Domain::Size, Quantity::Size(_) | Quantity::Number(_))
            | (Domain::Number, Quantity::Number(_))
            | (Domain::Share, Quantity::Share(_)) => None,
            (Domain::Time, Quantity::Number(_) | Quantity::Size(_) | Quantity::Share(_)) => {
                Some("this is a time: compare with a duration, like `under 200ms`")
            }
            (Domain::Size, Quantity::Time(_) | Quantity::Share(_)) => {
                Some("this is a size: compare with bytes, like `at most 64KiB`")
            }
            (Domain::Number, Quantity::Time(_) | Quantity::Size(_) | Quantity::Share(_)) => {
                Some("this is a number: compare with a number, like `at least 3`")
            }
            (Domain::Share, Quantity::Number(_) | Quantity::Time(_) | Quantity::Size(_)) => {
                Some("this is a share: compare with a percentage, like `at most 5%`")
            }
        };
        match (self, domain) {
            (_, Domain::Value) | (Self::Exists, _) | (Self::Equals(_), Domain::Number | Domain::Size) => None,
            (Self::Under(q) | Self::Over(q) | Self::AtLeast(q) | Self::AtMost(q), _) => fits(q),
            (Self::Between(low, high), _) => fits(low).or_else(|| fits(high)),
            (Self::Not(inner), _) => inner.misfit(domain),
            (Self::All(several) | Self::Any(several), _) => several.iter().find_map(|one| one.misfit(domain)),
            (Self::Equals(_), Domain::Share) => Some("write `at most 5%`"),
            (Self::Equals(_), Domain::Time) => {
                Some("no two times are the same: write `under 200ms`, or `between 1s and 2s`")
            }
            (
                Self::Matches(_) | Self::Contains(_) | Self::StartsWith(_) | Self::EndsWith(_) | Self::Is(_),
                _,
            ) => Some("this compares text, and what is measured here is a quantity"),
        }
    }

    /// Holds the predicate against a subject.
    ///
    /// # Errors
    /// What was wanted and what there was, where it does not hold.
    pub fn test(&self, subject: Subject<'_>, scope: &Scope) -> Result<(), Unmet> {
        match self.holds(subject, scope) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Unmet { wanted: self.filled(scope), got: subject.to_string() }),
            Err(unset) => Err(Unmet { wanted: self.to_string(), got: unset.to_string() }),
        }
    }

    fn holds(&self, subject: Subject<'_>, scope: &Scope) -> Result<bool, Unset> {
        let compare = |quantity: &Quantity, wanted: fn(std::cmp::Ordering) -> bool| {
            Ok(subject.compare(&quantity.fill(scope)?).is_some_and(wanted))
        };
        match self {
            Self::Equals(shape) => Ok(subject.equals(&shape.value(scope)?)),
            Self::Under(quantity) => compare(quantity, std::cmp::Ordering::is_lt),
            Self::Over(quantity) => compare(quantity, std::cmp::Ordering::is_gt),
            Self::AtLeast(quantity) => compare(quantity, std::cmp::Ordering::is_ge),
            Self::AtMost(quantity) => compare(quantity, std::cmp::Ordering::is_le),
            Self::Between(low, high) => {
                Ok(compare(low, std::cmp::Ordering::is_ge)? && compare(high, std::cmp::Ordering::is_le)?)
            }
            Self::Matches(pattern) => pattern.found_in(subject, scope),
            Self::Contains(part) => Ok(subject.contains(&part.value(scope)?)),
            Self::StartsWith(part) => {
                let part = part.fill(scope)?;
                Ok(subject.text().is_some_and(|text| text.starts_with(&part)))
            }
            Self::EndsWith(part) => {
                let part = part.fill(scope)?;
                Ok(subject.text().is_some_and(|text| text.ends_with(&part)))
            }
            Self::Exists => Ok(subject != Subject::Absent),
            Self::Is(kind) => Ok(subject.is(*kind)),
            Self::Not(inner) => inner.holds(subject, scope).map(|holds| !holds),
            Self::All(several) => {
                several.iter().try_fold(true, |all, one| Ok(all && one.holds(subject, scope)?))
            }
            Self::Any(several) => {
                several.iter().try_fold(false, |any, one| Ok(any || one.holds(subject, scope)?))
            }
        }
    }

    /// Every hole in the predicate.
    pub fn holes(&self) -> Box<dyn Iterator<Item = &Hole> + '_> {
        match self {
            Self::Equals(shape) => shape.holes(),
            Self::Under(q) | Self::Over(q) | Self::AtLeast(q) | Self::AtMost(q) => Box::new(q.holes()),
            Self::Between(low, high) => Box::new(low.holes().chain(high.holes())),
            Self::Matches(Pattern::Later(template))
            | Self::Contains(template)
            | Self::StartsWith(template)
            | Self::EndsWith(template) => Box::new(template.holes()),
            Self::Matches(Pattern::Ready(_)) | Self::Exists | Self::Is(_) => Box::new(std::iter::empty()),
            Self::Not(inner) => inner.holes(),
            Self::All(several) | Self::Any(several) => Box::new(several.iter().flat_map(Self::holes)),
        }
    }

    /// The phrase with its holes filled, where they can be.
    fn filled(&self, scope: &Scope) -> String {
        let phrase = self.to_string();
        Template::parse(&phrase).ok().and_then(|template| template.fill(scope).ok()).unwrap_or(phrase)
    }
}

/// Words that begin a predicate and want something after them.
const WORDS: [&str; 9] = [
    "under ",
    "over ",
    "at least ",
    "at most ",
    "between ",
    "matches ",
    "contains ",
    "starts with ",
    "ends with ",
];

fn shape(node: &Node) -> Result<Shape, Finding> {
    Shape::of(node).map_err(|(node, why)| Finding::new(Code::FileValue, node.place, why))
}

fn several(node: &Node, domain: Domain) -> Result<Vec<Predicate>, Finding> {
    let Kind::List(items) = &node.kind else {
        let title = format!("expected a list of expectations, found {}", node.describe());
        return Err(Finding::new(Code::FileType, node.place, title));
    };
    items.iter().map(|item| Predicate::read(item, domain)).collect()
}

impl Quantity {
    fn parse(text: &str) -> Result<Self, String> {
        let template = Template::parse(text)?;
        let Some(literal) = template.literal() else { return Ok(Self::Later(template)) };
        if let Ok(number) = literal.parse::<f64>() {
            return Ok(Self::Number(number));
        }
        if let Ok(span) = literal.parse::<Span>() {
            return Ok(Self::Time(span.0));
        }
        if let (true, Ok(share)) = (literal.ends_with('%'), literal.parse::<Ratio>()) {
            return Ok(Self::Share(share));
        }
        literal.parse::<Size>().map(|size| Self::Size(size.0)).map_err(|_| {
            format!("`{literal}` is not a quantity: write a number, a duration like `200ms`, or a size like `64KiB`")
        })
    }

    fn fill(&self, scope: &Scope) -> Result<Self, Unset> {
        match self {
            Self::Later(template) => {
                let text = template.fill(scope)?;
                // A captured text that is no quantity compares with nothing, and the expectation is not met.
                Ok(Self::parse(text.trim()).unwrap_or(Self::Number(f64::NAN)))
            }
            Self::Number(_) | Self::Time(_) | Self::Size(_) | Self::Share(_) => Ok(self.clone()),
        }
    }

    fn holes(&self) -> impl Iterator<Item = &Hole> {
        let template = match self {
            Self::Later(template) => Some(template),
            Self::Number(_) | Self::Time(_) | Self::Size(_) | Self::Share(_) => None,
        };
        template.into_iter().flat_map(Template::holes)
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        let template = Template::parse(text)?;
        match template.literal() {
            Some(literal) => compile(&literal).map(Self::Ready),
            None => Ok(Self::Later(template)),
        }
    }

    fn found_in(&self, subject: Subject<'_>, scope: &Scope) -> Result<bool, Unset> {
        let Some(text) = subject.text() else { return Ok(false) };
        Ok(match self {
            Self::Ready(regex) => regex.is_match(&text),
            Self::Later(template) => compile(&template.fill(scope)?).is_ok_and(|regex| regex.is_match(&text)),
        })
    }
}

/// Compiles a pattern whose memory is bounded.
///
/// # Errors
/// Why it is no regular expression, in one line.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(pattern).size_limit(1 << 20).build().map_err(|error| {
        let why = error.to_string();
        let last = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("`{pattern}` is not a regular expression: {last}")
    })
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Time(time) => write!(f, "{}", Span(*time)),
            Self::Size(size) => write!(f, "{}", Size(*size)),
            Self::Share(share) => write!(f, "{share}"),
            Self::Later(template) => write!(f, "{template}"),
        }
    }
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |several: &[Self]| several.iter().map(ToString::to_string).collect::<Vec<_>>();
        match self {
            Self::Equals(shape) => write!(f, "{shape}"),
            Self::Under(quantity) => write!(f, "under {quantity}"),
            Self::Over(quantity) => write!(f, "over {quantity}"),
            Self::AtLeast(quantity) => write!(f, "at least {quantity}"),
            Self::AtMost(quantity) => write!(f, "at most {quantity}"),
            Self::Between(low, high) => write!(f, "between {low} and {high}"),
            Self::Matches(Pattern::Ready(regex)) => write!(f, "matches {regex}"),
            Self::Matches(Pattern::Later(template)) => write!(f, "matches {template}"),
            Self::Contains(part) => write!(f, "contains {part}"),
            Self::StartsWith(part) => write!(f, "starts with {part}"),
            Self::EndsWith(part) => write!(f, "ends with {part}"),
            Self::Exists => f.write_str("exists"),
            Self::Is(kind) => {
                let written =
                    TYPES.iter().find(|(_, known)| known == kind).map_or("is", |(written, _)| written);
                f.write_str(written)
            }
            Self::Not(inner) => write!(f, "not {inner}"),
            Self::All(several) => f.write_str(&list(several).join(" and ")),
            Self::Any(several) => f.write_str(&list(several).join(" or ")),
        }
    }
}

impl JsonSchema for Predicate {
    fn schema_name() -> Cow<'static, str> {
        "Expectation".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let this = generator.subschema_for::<Self>();
        let one_key = |key: &str, value: Schema| {
            schemars::json_schema!({
                "type": "object", "properties": { key: value }, "required": [key], "additionalProperties": false
            })
        };
        let list = schemars::json_schema!({ "type": "array", "items": this });
        schemars::json_schema!({
            "description": "a value to equal, or a phrase: under 200ms, at least 3, between 1 and 5, matches ^v\\d, contains x, exists, not …",
            "anyOf": [
                { "type": ["string", "number", "boolean", "null"] },
                one_key("equals", schemars::json_schema!(true)),
                one_key("all", list.clone()),
                one_key("any", list),
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn holds(phrase: &str, subject: Subject<'_>) -> bool {
        let mut scope = Scope::default();
        scope.set("seven", 7);
        scope.set("name", "ada");
        Predicate::parse(phrase).unwrap().test(subject, &scope).is_ok()
    }

    #[rstest]
    #[case::under("under 200ms", Subject::Time(Duration::from_millis(199)), true)]
    #[case::under_is_strict("under 200ms", Subject::Time(Duration::from_millis(200)), false)]
    #[case::at_most_is_not("at most 200ms", Subject::Time(Duration::from_millis(200)), true)]
    #[case::between("between 1 and 5", Subject::Number(5.0), true)]
    #[case::between_above("between 1 and 5", Subject::Number(5.1), false)]
    #[case::size("at least 1KiB", Subject::Size(1024), true)]
    #[case::text_number("at least 3", Subject::Text("4"), true)]
    #[case::text_is_no_number("at least 3", Subject::Text("four"), false)]
    #[case::matches("matches ^v\\d", Subject::Text("v1"), true)]
    #[case::matches_filled("matches ^${name}$", Subject::Text("ada"), true)]
    #[case::contains("contains art", Subject::Text("cart"), true)]
    #[case::not("not contains art", Subject::Text("cart"), false)]
    #[case::starts("starts with ca", Subject::Text("cart"), true)]
    #[case::ends("ends with rt", Subject::Text("cart"), true)]
    #[case::exists("exists", Subject::Absent, false)]
    #[case::not_exists("not exists", Subject::Absent, true)]
    #[case::later("at least ${seven}", Subject::Number(7.0), true)]
    #[case::absent_is_not_under("under 5", Subject::Absent, false)]
    #[case::equal_text("hello", Subject::Text("hello"), true)]
    fn a_phrase_holds_or_not(#[case] phrase: &str, #[case] subject: Subject<'_>, #[case] expected: bool) {
        assert_eq!(holds(phrase, subject), expected);
    }

    #[rstest]
    #[case::number_by_size(json!(7.0), "${seven}", true)]
    #[case::text_is_not_a_number(json!("7"), "${seven}", false)]
    #[case::list_has(json!(["a", "b"]), "contains b", true)]
    #[case::list_has_number(json!([1, 2]), "contains 2", true)]
    #[case::object_has_key(json!({"a": 1}), "contains a", true)]
    #[case::a_string(json!("x"), "is a string", true)]
    #[case::an_integer(json!(1.5), "is an integer", false)]
    #[case::empty(json!([]), "is empty", true)]
    #[case::null(json!(null), "is null", true)]
    fn a_phrase_holds_of_json(#[case] value: Value, #[case] phrase: &str, #[case] expected: bool) {
        assert_eq!(holds(phrase, Subject::Json(&value)), expected);
    }

    #[rstest]
    #[case(
        "under fast",
        "`fast` is not a quantity: write a number, a duration like `200ms`, or a size like `64KiB`"
    )]
    #[case("between 1", "write `between 1 and 5`")]
    #[case("matches (", "`(` is not a regular expression: unclosed group")]
    fn a_malformed_phrase_says_why(#[case] phrase: &str, #[case] why: &str) {
        assert_eq!(Predicate::parse(phrase).unwrap_err(), why);
    }

    #[test]
    fn an_unmet_phrase_names_both_sides() {
        let unmet = Predicate::parse("at least ${n}").unwrap();
        let mut scope = Scope::default();
        scope.set("n", 3);
        let got = unmet.test(Subject::Json(&json!(2)), &scope).unwrap_err();
        assert_eq!((got.wanted.as_str(), got.got.as_str()), ("at least 3", "2"));
    }

    proptest! {
        #[test]
        fn no_phrase_panics(text in "((under|over|at least|between|matches|contains|not|is) )?.{0,20}") {
            if let Ok(predicate) = Predicate::parse(&text) {
                let _ = predicate.test(Subject::Text(&text), &Scope::default());
            }
        }
    }
}
