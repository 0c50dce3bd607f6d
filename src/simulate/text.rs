//! What a stand-in sends: bodies and messages with their holes filled.

use bytes::Bytes;
use http::HeaderValue;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use crate::scenario::profile::Body;
use crate::scenario::template::{Scope, Unset};

/// A body that is printed once where it has no holes.
#[derive(Debug)]
pub(super) enum Text {
    Fixed(Bytes),
    Filled(Body),
}

/// What the holes of a [`Text`] are filled from.
#[derive(Debug)]
pub(super) struct Names {
    version: String,
    began: Instant,
}

impl Text {
    pub(super) fn new(body: &Body) -> Self {
        let open = match body {
            Body::Empty => false,
            Body::Text(template) => template.holes().next().is_some(),
            Body::Json(shape) => shape.holes().next().is_some(),
        };
        if open { Self::Filled(body.clone()) } else { Self::Fixed(print(body, &Scope::default())) }
    }

    /// The text, the `sequence`th time it is sent.
    pub(super) fn fill(&self, names: &Names, sequence: u64) -> Bytes {
        match self {
            Self::Fixed(text) => text.clone(),
            Self::Filled(body) => print(body, &names.scope(sequence)),
        }
    }

    /// The text, filled from more names than a stand-in's own.
    pub(super) fn fill_from(&self, scope: &Scope) -> Bytes {
        match self {
            Self::Fixed(text) => text.clone(),
            Self::Filled(body) => print(body, scope),
        }
    }
}

/// The `Content-Type` of a body, if it has one.
pub(super) fn content_type(body: &Body) -> Option<HeaderValue> {
    match body {
        Body::Empty => None,
        Body::Text(_) => Some(HeaderValue::from_static("text/plain; charset=utf-8")),
        Body::Json(_) => Some(HeaderValue::from_static("application/json")),
    }
}

fn print(body: &Body, scope: &Scope) -> Bytes {
    let text = match body {
        Body::Empty => return Bytes::new(),
        Body::Text(template) => template.fill(scope),
        Body::Json(shape) => shape.value(scope).map(|value| value.to_string()),
    };
    // A profile that was read has no such hole; one that was put together by hand shows what it lacks.
    let lacking = |unset| match unset {
        Unset::Name(name) => format!("${{{name}}}"),
        Unset::TooLong => unset.to_string(),
    };
    text.unwrap_or_else(lacking).into()
}

impl Names {
    pub(super) fn new(version: &str) -> Self {
        Self { version: version.to_owned(), began: Instant::now() }
    }

    /// Since when these names are in use.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// What they stand for, the `sequence`th time.
    pub(super) fn scope(&self, sequence: u64) -> Scope {
        let mut scope = Scope::default();
        scope.set("sequence", sequence);
        scope.set("now", now());
        scope.set("uptime", self.began.elapsed().as_secs());
        scope.set("version", self.version.as_str());
        scope
    }
}

/// The time as RFC 3339 writes it, to the millisecond.
pub(super) fn now() -> String {
    format!("{:.3}", Timestamp::now())
}

/// Whether `got` has in it what is `wanted`: objects by the keys that are wanted, numbers by their size, all
/// else by being the same.
pub(super) fn covers(wanted: &Value, got: &Value) -> bool {
    match (wanted, got) {
        (Value::Object(wanted), Value::Object(got)) => {
            wanted.iter().all(|(key, wanted)| got.get(key).is_some_and(|got| covers(wanted, got)))
        }
        (Value::Number(wanted), Value::Number(got)) => {
            wanted == got || wanted.as_f64().partial_cmp(&got.as_f64()).is_some_and(std::cmp::Ordering::is_eq)
        }
        _ => wanted == got,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::same(json!({"a": 1}), json!({"a": 1}), true)]
    #[case::more(json!({"a": 1}), json!({"a": 1, "b": 2}), true)]
    #[case::less(json!({"a": 1, "b": 2}), json!({"a": 1}), false)]
    #[case::other(json!({"a": 1}), json!({"a": "1"}), false)]
    #[case::number(json!({"a": 1}), json!({"a": 1.0}), true)]
    #[case::nested(json!({"a": {"b": true}}), json!({"a": {"b": true, "c": null}}), true)]
    #[case::lists_are_the_same_or_not(json!([1]), json!([1, 2]), false)]
    fn one_value_has_another_in_it_or_not(#[case] wanted: Value, #[case] got: Value, #[case] expected: bool) {
        assert_eq!(covers(&wanted, &got), expected);
    }

    #[tokio::test]
    async fn an_unread_hole_shows_itself() {
        let template = crate::scenario::template::Template::parse("a ${lost} one").unwrap();
        let text = Text::new(&Body::Text(template)).fill(&Names::new("1"), 1);
        assert_eq!(text, "${lost}");
    }
}
