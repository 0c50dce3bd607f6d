//! Durations as Prometheus and Alertmanager write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// A span of time as Prometheus writes it: `5m`, `1h30m`, `1y`, `0`. Whole units from large to small, each once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct PromDuration(pub Duration);

/// Prometheus's units, largest first, in milliseconds; a year is 365 days.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// What Prometheus can hold: nanoseconds in 63 bits.
const LONGEST: u64 = i64::MAX as u64 / 1_000_000;

/// Why a text is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a duration is written in whole units from large to small, each once, like `30s`, `5m` or `1h30m`")]
pub struct NotADuration;

impl FromStr for PromDuration {
    type Err = NotADuration;

    fn from_str(text: &str) -> Result<Self, NotADuration> {
        if text == "0" {
            return Ok(Self::default());
        }
        let mut millis = 0u64;
        let mut rest = text;
        let mut units = UNITS.iter();
        while !rest.is_empty() {
            let (number, after) =
                rest.split_at(rest.find(|sign: char| !sign.is_ascii_digit()).ok_or(NotADuration)?);
            let (unit, next) =
                after.split_at(after.find(|sign: char| sign.is_ascii_digit()).unwrap_or(after.len()));
            let (_, scale) = units.find(|(name, _)| *name == unit).ok_or(NotADuration)?;
            let number: u64 = number.parse().map_err(|_| NotADuration)?;
            millis =
                number.checked_mul(*scale).and_then(|more| millis.checked_add(more)).ok_or(NotADuration)?;
            rest = next;
        }
        if text.is_empty() || millis > LONGEST {
            Err(NotADuration)
        } else {
            Ok(Self(Duration::from_millis(millis)))
        }
    }
}

impl fmt::Display for PromDuration {
    /// Years and weeks only where nothing is left of them: `90d` and not `12w6d`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if millis == 0 {
            return f.write_str("0s");
        }
        for (unit, scale) in UNITS {
            let count = millis / scale;
            let exact = !matches!(unit, "y" | "w") || millis.is_multiple_of(scale);
            if count > 0 && exact {
                write!(f, "{count}{unit}")?;
                millis %= scale;
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for PromDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("5m", 300_000)]
    #[case("1h30m", 5_400_000)]
    #[case("1y2w3d4h5m6s7ms", 33_019_506_007)]
    #[case("0", 0)]
    #[case("0s", 0)]
    #[case("90s", 90_000)]
    fn a_duration_reads(#[case] text: &str, #[case] millis: u64) {
        assert_eq!(text.parse(), Ok(PromDuration(Duration::from_millis(millis))));
    }

    #[rstest]
    #[case::empty("")]
    #[case::bare("5")]
    #[case::fraction("1.5m")]
    #[case::backwards("30s1m")]
    #[case::twice("1m1m")]
    #[case::negative("-5m")]
    #[case::space("5 m")]
    #[case::foreign_unit("5us")]
    #[case::endless("9999999999y")]
    fn a_malformed_duration_is_refused(#[case] text: &str) {
        assert_eq!(text.parse::<PromDuration>(), Err(NotADuration));
    }

    proptest! {
        #[test]
        fn a_duration_survives_printing(millis in 0u64..9_000_000_000_000) {
            let duration = PromDuration(Duration::from_millis(millis));
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in ".{0,20}") {
            let _ = text.parse::<PromDuration>();
        }
    }
}
