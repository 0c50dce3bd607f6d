//! A port of a service: its number, and whether it takes datagrams too.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

/// A port as written: `6379`, or `53/udp` where datagrams are taken on it. Nothing stands before such a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PortWritten {
    pub(super) number: u16,
    pub(super) datagrams: bool,
}

impl PortWritten {
    fn parse(text: &str) -> Result<Self, String> {
        let (number, datagrams) = match text.split_once('/') {
            Some((number, "udp")) => (number, true),
            Some((number, "tcp")) => (number, false),
            Some((_, other)) => return Err(format!("`{other}` is neither `tcp` nor `udp`")),
            None => (text, false),
        };
        match number.parse() {
            Ok(0) | Err(_) => Err(format!("`{number}` is no port: a number from 1 to 65535")),
            Ok(number) => Ok(Self { number, datagrams }),
        }
    }
}

impl<'de> Deserialize<'de> for PortWritten {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Port)
    }
}

struct Port;

impl Visitor<'_> for Port {
    type Value = PortWritten;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a port")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<PortWritten, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<PortWritten, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<PortWritten, E> {
        PortWritten::parse(text).map_err(E::custom)
    }
}

impl JsonSchema for PortWritten {
    fn schema_name() -> Cow<'static, str> {
        "Port".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "description": "a port's number; `53/udp` where datagrams are taken on it, before which nothing stands",
            "anyOf": [
                { "type": "integer", "minimum": 1, "maximum": 65535 },
                { "type": "string", "pattern": "^[0-9]{1,5}(/(tcp|udp))?$" }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("6379", 6379, false)]
    #[case("53/udp", 53, true)]
    #[case("53/tcp", 53, false)]
    fn a_port_is_read(#[case] text: &str, #[case] number: u16, #[case] datagrams: bool) {
        assert_eq!(PortWritten::parse(text), Ok(PortWritten { number, datagrams }));
    }

    #[rstest]
    #[case("0", "`0` is no port: a number from 1 to 65535")]
    #[case("65536", "`65536` is no port: a number from 1 to 65535")]
    #[case("53/sctp", "`sctp` is neither `tcp` nor `udp`")]
    fn what_is_no_port_is_refused(#[case] text: &str, #[case] why: &str) {
        assert_eq!(PortWritten::parse(text), Err(why.to_owned()));
    }
}
