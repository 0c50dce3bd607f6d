//! What a predicate is held against: a JSON value, text, a time, a size, or nothing.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::predicate::Quantity;
use crate::units::Ratio;

/// What a predicate is held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Subject<'v> {
    /// There is none.
    Absent,
    /// A JSON value.
    Json(&'v Value),
    /// Text: a header, a body, a frame.
    Text(&'v str),
    /// A time that was measured.
    Time(Duration),
    /// A number of bytes.
    Size(u64),
    /// A number.
    Number(f64),
    /// A share of a whole.
    Share(Ratio),
}

/// A type a JSON value may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Text.
    Text,
    /// Any number.
    Number,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// A list.
    List,
    /// An object.
    Object,
    /// `null`.
    Null,
    /// Empty text, list or object.
    Empty,
}

/// How each type is written.
pub(super) const TYPES: [(&str, Type); 10] = [
    ("is a string", Type::Text),
    ("is text", Type::Text),
    ("is a number", Type::Number),
    ("is an integer", Type::Integer),
    ("is a boolean", Type::Boolean),
    ("is a list", Type::List),
    ("is an array", Type::List),
    ("is an object", Type::Object),
    ("is null", Type::Null),
    ("is empty", Type::Empty),
];

impl Subject<'_> {
    pub(super) fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Json(Value::String(text)) => Some(Cow::Borrowed(text)),
            Self::Json(other @ (Value::Number(_) | Value::Bool(_))) => Some(Cow::Owned(other.to_string())),
            Self::Json(_)
            | Self::Absent
            | Self::Time(_)
            | Self::Size(_)
            | Self::Number(_)
            | Self::Share(_) => None,
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Json(value) => value.as_f64(),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Time(time) => Some(time.as_secs_f64()),
            #[expect(clippy::cast_precision_loss, reason = "no size is beyond 2^53 bytes")]
            Self::Size(size) => Some(*size as f64),
            Self::Number(number) => Some(*number),
            Self::Share(share) => Some(share.share()),
            Self::Absent => None,
        }
    }

    pub(super) fn equals(&self, wanted: &Value) -> bool {
        match (self, wanted) {
            (Self::Absent | Self::Time(_), _) => false,
            (Self::Json(value), _) => same(value, wanted),
            (Self::Text(text), Value::String(wanted)) => text == wanted,
            (Self::Text(text), _) => prints_as(wanted, text),
            (Self::Size(_) | Self::Number(_) | Self::Share(_), _) => match (self.number(), wanted.as_f64()) {
                (Some(a), Some(b)) => a.total_cmp(&b).is_eq(),
                _ => false,
            },
        }
    }

    pub(super) fn contains(&self, part: &Value) -> bool {
        let wanted = part.as_str().map_or_else(|| part.to_string(), ToOwned::to_owned);
        match self {
            Self::Json(Value::Array(items)) => items
                .iter()
                .any(|item| same(item, part) || item.as_str() == Some(&wanted) || prints_as(item, &wanted)),
            Self::Json(Value::Object(entries)) => entries.contains_key(&wanted),
            Self::Json(_) | Self::Text(_) => self.text().is_some_and(|text| text.contains(&wanted)),
            Self::Absent | Self::Time(_) | Self::Size(_) | Self::Number(_) | Self::Share(_) => false,
        }
    }

    pub(super) fn compare(&self, quantity: &Quantity) -> Option<std::cmp::Ordering> {
        #[expect(clippy::cast_precision_loss, reason = "no size is beyond 2^53 bytes")]
        match (self, quantity) {
            (Self::Time(time), Quantity::Time(wanted)) => Some(time.cmp(wanted)),
            (Self::Size(size), Quantity::Size(wanted)) => Some(size.cmp(wanted)),
            (_, Quantity::Number(wanted)) => self.number()?.partial_cmp(wanted),
            (_, Quantity::Time(wanted)) => self.number()?.partial_cmp(&wanted.as_secs_f64()),
            (_, Quantity::Size(wanted)) => self.number()?.partial_cmp(&(*wanted as f64)),
            (_, Quantity::Share(wanted)) => self.number()?.partial_cmp(&wanted.share()),
            (_, Quantity::Later(_)) => None,
        }
    }

    pub(super) fn is(&self, kind: Type) -> bool {
        match (self, kind) {
            (Self::Json(value), _) => match kind {
                Type::Text => value.is_string(),
                Type::Number => value.is_number(),
                Type::Integer => {
                    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|f| f.fract() == 0.0)
                }
                Type::Boolean => value.is_boolean(),
                Type::List => value.is_array(),
                Type::Object => value.is_object(),
                Type::Null => value.is_null(),
                Type::Empty => match value {
                    Value::String(text) => text.is_empty(),
                    Value::Array(items) => items.is_empty(),
                    Value::Object(entries) => entries.is_empty(),
                    Value::Null | Value::Bool(_) | Value::Number(_) => false,
                },
            },
            (Self::Text(text), Type::Empty) => text.is_empty(),
            (Self::Text(_), Type::Text) | (Self::Number(_) | Self::Size(_), Type::Number) => true,
            (
                Self::Text(_)
                | Self::Number(_)
                | Self::Size(_)
                | Self::Share(_)
                | Self::Absent
                | Self::Time(_),
                _,
            ) => false,
        }
    }
}

/// Whether a value's own JSON is this text: `5` is, `"5"` is not.
fn prints_as(value: &Value, text: &str) -> bool {
    let printed = value.to_string();
    printed == text
}

/// Whether two JSON values are equal, numbers by their size.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => match (x.as_i64(), y.as_i64()) {
            (Some(x), Some(y)) => x == y,
            _ => x.as_f64().zip(y.as_f64()).is_some_and(|(x, y)| x.total_cmp(&y).is_eq()),
        },
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(key, x)| y.get(key).is_some_and(|y| same(x, y)))
        }
        _ => a == b,
    }
}

/// The longest value a message shows, in characters.
const SHOWN: usize = 200;

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = |text: &str| match text.char_indices().nth(SHOWN) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None => text.to_owned(),
        };
        match self {
            Self::Absent => f.write_str("nothing"),
            Self::Json(value) => f.write_str(&cut(&value.to_string())),
            Self::Text(text) => f.write_str(&cut(&format!("{text:?}"))),
            Self::Time(time) => write!(f, "{}", crate::units::Reading(*time)),
            Self::Size(size) => write!(f, "{size} bytes"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Share(share) => write!(f, "{share}"),
        }
    }
}
