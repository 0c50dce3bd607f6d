//! A number as it was written: nothing is rounded before a decision.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use crate::units::Span;
use crate::yaml::{Json, Kind};

/// A finite number, and the text it was written as.
#[derive(Debug, Clone, PartialEq)]
pub struct Decimal {
    text: String,
    value: f64,
}

impl Decimal {
    /// Reads a number; `None` for what is none, or none that is finite.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let value: f64 = text.parse().ok()?;
        value.is_finite().then(|| Self { text: text.to_owned(), value })
    }

    /// The number.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.value
    }

    /// A hundredth of it, as near as if it had been written so: the point is moved, nothing is divided.
    #[must_use]
    pub fn hundredth(&self) -> f64 {
        let (mantissa, exponent) = self.text.split_once(['e', 'E']).unwrap_or((&self.text, "0"));
        let moved = exponent.parse::<i64>().ok().and_then(|exponent| exponent.checked_sub(2));
        let moved = moved.and_then(|exponent| format!("{mantissa}e{exponent}").parse().ok());
        moved.unwrap_or(self.value / 100.0)
    }

    /// So many seconds, exactly; `None` for less than nothing, more than a century or parts of a nanosecond.
    #[must_use]
    pub fn seconds(&self) -> Option<Duration> {
        let text = self.text.strip_prefix('+').unwrap_or(&self.text);
        format!("{text}s").parse::<Span>().ok().map(|span| span.0)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Json(node) = Json::deserialize(deserializer)?;
        match &node.kind {
            Kind::Int(_, text) | Kind::Float(_, text) => Self::parse(text)
                .ok_or_else(|| de::Error::custom(format_args!("`{text}` is no decimal number"))),
            Kind::Null | Kind::Bool(..) | Kind::Text(_) | Kind::List(_) | Kind::Map(_) => {
                Err(de::Error::invalid_type(de::Unexpected::Other(node.describe()), &"a number"))
            }
        }
    }
}

impl JsonSchema for Decimal {
    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number" })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("99.9", "0.999")]
    #[case("99.95", "0.9995")]
    #[case("99.99999999", "0.9999999999")]
    #[case("9.99e1", "0.999")]
    #[case("7", "0.07")]
    #[case("0", "0")]
    #[case("1e-99999999999999999999", "0")]
    fn a_percentage_is_as_near_as_a_share(#[case] percent: &str, #[case] share: &str) {
        let moved = Decimal::parse(percent).unwrap().hundredth();
        assert_eq!(moved.to_bits(), share.parse::<f64>().unwrap().to_bits());
    }

    #[rstest]
    #[case("0.25", Some(Duration::from_millis(250)))]
    #[case("2", Some(Duration::from_secs(2)))]
    #[case("0.000000001", Some(Duration::from_nanos(1)))]
    #[case("0.0000000001", None)]
    #[case("-1", None)]
    #[case("1e99", None)]
    fn seconds_are_exact(#[case] text: &str, #[case] seconds: Option<Duration>) {
        assert_eq!(Decimal::parse(text).unwrap().seconds(), seconds);
    }

    proptest! {
        #[test]
        fn no_number_panics(text in "[-+]?[0-9]{0,30}[.]?[0-9]{0,30}(e[-+]?[0-9]{1,22})?|.{0,8}") {
            if let Some(number) = Decimal::parse(&text) {
                prop_assert!(number.hundredth().is_finite());
                let _ = number.seconds();
            }
        }
    }
}
