//! Text with `${name}` in it.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

pub use super::scope::{MOST_FILLED, Scope};
use super::scope::{NODE, Room};
use crate::yaml::{Kind, Node};

/// Text with holes. `$${` stands for `${` itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Hole(Hole),
}

/// A `${name}` or `${name:-default}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// A variable, a capture, `env.NAME`, `secret.NAME`, `service.NAME.PORT` or `service.NAME.log`.
    pub name: String,
    /// What stands there when the name has no value.
    pub default: Option<String>,
}

/// Why a text has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unset {
    /// A name in it has none.
    #[error("`{0}` has no value")]
    Name(String),
    /// There would be too much of it.
    #[error("it is too long: variables, captures and what is filled from them hold at most {MOST_FILLED}")]
    TooLong,
}

impl Template {
    /// Text without holes.
    pub fn plain(text: impl Into<String>) -> Self {
        Self(vec![Part::Text(text.into())])
    }

    /// Reads `text`.
    ///
    /// # Errors
    /// When a hole is not closed or its name is malformed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (before, after) = rest.split_at(at);
            if let Some(escaped) = before.strip_suffix('$') {
                parts.push(Part::Text(format!("{escaped}${{")));
                rest = &after[2..];
                continue;
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let close = after
                .find('}')
                .ok_or("`${` is not closed by `}`; write `$${` for the characters themselves")?;
            let (name, default) = match after[2..close].split_once(":-") {
                Some((name, default)) => (name, Some(default.to_owned())),
                None => (&after[2..close], None),
            };
            if !is_name(name) {
                return Err(format!(
                    "`{name}` is not a name: letters, digits, `_`, `-` and `.`, a letter first"
                ));
            }
            parts.push(Part::Hole(Hole { name: name.to_owned(), default }));
            rest = &after[close + 1..];
        }
        if !rest.is_empty() || parts.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// `${name}` alone.
    #[must_use]
    pub fn name(name: impl Into<String>) -> Self {
        Self(vec![Part::Hole(Hole { name: name.into(), default: None })])
    }

    /// The holes, in order.
    pub fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.0.iter().filter_map(|part| match part {
            Part::Hole(hole) => Some(hole),
            Part::Text(_) => None,
        })
    }

    /// The text, where there is no hole in it.
    #[must_use]
    pub fn literal(&self) -> Option<String> {
        self.0
            .iter()
            .map(|part| match part {
                Part::Text(text) => Some(text.as_str()),
                Part::Hole(_) => None,
            })
            .collect()
    }

    /// The text with every hole filled.
    ///
    /// # Errors
    /// When a name has neither a value nor a default, or the text would be too long.
    pub fn fill(&self, scope: &Scope) -> Result<String, Unset> {
        self.fill_within(scope, &mut scope.room())
    }

    fn fill_within(&self, scope: &Scope, room: &mut Room) -> Result<String, Unset> {
        self.0
            .iter()
            .map(|part| match part {
                Part::Text(text) => room.take(text.len()).map(|()| text.clone()),
                Part::Hole(hole) => Ok(match scope.look_up(hole, room)? {
                    Value::String(text) => text,
                    Value::Null => String::new(),
                    other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                        other.to_string()
                    }
                }),
            })
            .collect()
    }

    /// The value: a single hole keeps the type of what fills it, anything else is text.
    ///
    /// # Errors
    /// When a name has neither a value nor a default, or there would be too much of it.
    pub fn value(&self, scope: &Scope) -> Result<Value, Unset> {
        self.value_within(scope, &mut scope.room())
    }

    fn value_within(&self, scope: &Scope, room: &mut Room) -> Result<Value, Unset> {
        match self.0.as_slice() {
            [Part::Hole(hole)] => scope.look_up(hole, room),
            _ => self.fill_within(scope, room).map(Value::from),
        }
    }
}

/// Whether `name` may stand in a hole.
#[must_use]
pub fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Hole(Hole { name, default: None }) => write!(f, "${{{name}}}"),
            Part::Hole(Hole { name, default: Some(default) }) => write!(f, "${{{name}:-{default}}}"),
        })
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for Template {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Template".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": ["string", "number", "boolean"], "description": "text, which may hold ${name}" })
    }
}

/// A JSON value whose texts are templates.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A value without holes.
    Plain(Value),
    /// Text with holes; a single hole keeps its type.
    Text(Template),
    /// A list.
    List(Vec<Shape>),
    /// An object.
    Map(Vec<(String, Shape)>),
}

impl Shape {
    /// The shape of a tree.
    ///
    /// # Errors
    /// The node whose text is a malformed template, and why.
    pub fn of(node: &Node) -> Result<Self, (&Node, String)> {
        Ok(match &node.kind {
            Kind::Null => Self::Plain(Value::Null),
            Kind::Bool(value, _) => Self::Plain(Value::from(*value)),
            Kind::Int(value, _) => Self::Plain(Value::from(*value)),
            Kind::Float(value, _) => Self::Plain(Value::from(*value)),
            Kind::Text(text) => Self::Text(Template::parse(text).map_err(|why| (node, why))?),
            Kind::List(items) => Self::List(items.iter().map(Self::of).collect::<Result<_, _>>()?),
            Kind::Map(entries) => Self::Map(
                entries
                    .iter()
                    .map(|(key, value)| Ok((key.name.clone(), Self::of(value)?)))
                    .collect::<Result<_, _>>()?,
            ),
        })
    }

    /// The value with every hole filled.
    ///
    /// # Errors
    /// When a name has neither a value nor a default, or there would be too much of it.
    pub fn value(&self, scope: &Scope) -> Result<Value, Unset> {
        self.value_within(scope, &mut scope.room())
    }

    fn value_within(&self, scope: &Scope, room: &mut Room) -> Result<Value, Unset> {
        room.take(NODE)?;
        Ok(match self {
            Self::Plain(value) => value.clone(),
            Self::Text(template) => template.value_within(scope, room)?,
            Self::List(items) => {
                items.iter().map(|item| item.value_within(scope, room)).collect::<Result<_, _>>()?
            }
            Self::Map(entries) => entries
                .iter()
                .map(|(key, value)| Ok((key.clone(), value.value_within(scope, room)?)))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The holes of every text in it.
    pub fn holes(&self) -> Box<dyn Iterator<Item = &Hole> + '_> {
        match self {
            Self::Plain(_) => Box::new(std::iter::empty()),
            Self::Text(template) => Box::new(template.holes()),
            Self::List(items) => Box::new(items.iter().flat_map(Self::holes)),
            Self::Map(entries) => Box::new(entries.iter().flat_map(|(_, value)| value.holes())),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(value) => value.fmt(f),
            Self::Text(template) => write!(f, "\"{template}\""),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", items.join(", "))
            }
            Self::Map(entries) => {
                let entries: Vec<_> =
                    entries.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
                write!(f, "{{{}}}", entries.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn scope() -> Scope {
        let mut scope = Scope::default();
        scope.set("name", "ada");
        scope.set("id", 7);
        scope
    }

    #[rstest]
    #[case::plain("hello", json!("hello"))]
    #[case::in_text("hello ${name}!", json!("hello ada!"))]
    #[case::alone_keeps_its_type("${id}", json!(7))]
    #[case::in_text_becomes_text("n${id}", json!("n7"))]
    #[case::default("${nobody:-me}", json!("me"))]
    #[case::empty_default("${nobody:-}", json!(""))]
    #[case::escaped("$${name}", json!("${name}"))]
    #[case::dollar_alone("^v\\d$", json!("^v\\d$"))]
    #[case::empty("", json!(""))]
    fn a_template_fills(#[case] text: &str, #[case] value: Value) {
        assert_eq!(Template::parse(text).unwrap().value(&scope()).unwrap(), value);
    }

    #[rstest]
    #[case::open("${name", "`${` is not closed by `}`; write `$${` for the characters themselves")]
    #[case::nameless("${}", "`` is not a name: letters, digits, `_`, `-` and `.`, a letter first")]
    #[case::spaced("${a b}", "`a b` is not a name: letters, digits, `_`, `-` and `.`, a letter first")]
    fn a_malformed_template_is_refused(#[case] text: &str, #[case] why: &str) {
        assert_eq!(Template::parse(text).unwrap_err(), why);
    }

    #[test]
    fn a_name_without_value_is_an_error() {
        assert_eq!(Template::parse("${who}").unwrap().fill(&scope()), Err(Unset::Name("who".into())));
    }

    #[rstest]
    #[case::text("\"${last}${last}\"")]
    #[case::list("[\"${last}\", \"${last}\"]")]
    #[case::map("{ \"a\": \"${last}\", \"b\": \"${last}\" }")]
    fn variables_that_double_one_another_end(#[case] shape: &str) {
        let mut scope = Scope::default();
        scope.set("last", "doubled");
        let mut doublings = 0;
        let end = loop {
            let node = crate::yaml::parse(crate::source::Sources::default().add("f", shape), shape).unwrap();
            match Shape::of(&node[0]).unwrap().value(&scope) {
                Ok(value) => scope.set("last", value),
                Err(end) => break end,
            }
            doublings += 1;
            assert!(doublings < 40);
        };
        assert_eq!(end, Unset::TooLong);
    }

    proptest! {
        #[test]
        fn a_template_survives_printing(text in "[a-z$ ]{0,6}(\\$\\{[a-z]{1,4}(:-[a-z]{0,3})?\\}[a-z ]{0,4}){0,3}") {
            if let (Ok(template), false) = (Template::parse(&text), text.contains("$${")) {
                prop_assert_eq!(template.to_string(), text);
            }
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = Template::parse(&text).map(|template| template.fill(&Scope::default()));
        }
    }
}
