//! OpenSLO's durations: a whole number and one unit, up to the years of a calendar.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A length of time as OpenSLO writes it: `5m`, `30d`, `1M`.
///
/// A month is as long as it is: only a [calendar](super::Calendar) knows. Where there is none, it counts as 30
/// days, a quarter as 90 and a year as 365.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Period {
    count: u32,
    unit: Unit,
}

/// What a [`Period`] is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// `m`
    Minute,
    /// `h`
    Hour,
    /// `d`
    Day,
    /// `w`
    Week,
    /// `M`
    Month,
    /// `Q`
    Quarter,
    /// `Y`
    Year,
}

/// A text that is no [`Period`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAPeriod {
    /// Not a whole number and a unit.
    #[error(
        "write a whole number and one of `m`, `h`, `d`, `w`, `M`, `Q`, `Y`, like `5m`, `30d` or `1M` (a month)"
    )]
    Malformed,
    /// Longer than anybody keeps data.
    #[error("at most 100 years")]
    TooLong,
}

/// The longest period, in days of the nominal kind.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 86_400);

impl Unit {
    const ALL: [Self; 7] =
        [Self::Minute, Self::Hour, Self::Day, Self::Week, Self::Month, Self::Quarter, Self::Year];

    /// The letter after the number.
    fn letter(self) -> char {
        match self {
            Self::Minute => 'm',
            Self::Hour => 'h',
            Self::Day => 'd',
            Self::Week => 'w',
            Self::Month => 'M',
            Self::Quarter => 'Q',
            Self::Year => 'Y',
        }
    }

    /// How long it is where no calendar says.
    fn nominal(self) -> Duration {
        const DAY: u64 = 86_400;
        Duration::from_secs(match self {
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => DAY,
            Self::Week => 7 * DAY,
            Self::Month => 30 * DAY,
            Self::Quarter => 90 * DAY,
            Self::Year => 365 * DAY,
        })
    }
}

impl Period {
    /// `count` times `unit`, or `None` above 100 years.
    #[must_use]
    pub fn new(count: u32, unit: Unit) -> Option<Self> {
        unit.nominal().checked_mul(count).filter(|length| *length <= LONGEST).map(|_| Self { count, unit })
    }

    /// How many units it has.
    #[must_use]
    pub fn count(self) -> u32 {
        self.count
    }

    /// What it is counted in.
    #[must_use]
    pub fn unit(self) -> Unit {
        self.unit
    }

    /// Whether it is no time at all.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.count == 0
    }

    /// How long it is where no calendar says: a month is 30 days, a quarter 90, a year 365.
    #[must_use]
    pub fn nominal(self) -> Duration {
        self.unit.nominal().saturating_mul(self.count)
    }
}

impl FromStr for Period {
    type Err = NotAPeriod;

    fn from_str(text: &str) -> Result<Self, NotAPeriod> {
        let letter = text.chars().next_back().ok_or(NotAPeriod::Malformed)?;
        let unit = Unit::ALL.into_iter().find(|unit| unit.letter() == letter).ok_or(NotAPeriod::Malformed)?;
        // Every unit's letter is one byte long.
        let digits = &text[..text.len() - 1];
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NotAPeriod::Malformed);
        }
        let count = digits.parse().map_err(|_| NotAPeriod::TooLong)?;
        Self::new(count, unit).ok_or(NotAPeriod::TooLong)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.count, self.unit.letter())
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Period {
    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+[mhdwMQY]$" })
    }
}

/// The size of a time slice; a bare number is minutes.
#[derive(Debug, Clone, Copy)]
pub(super) struct SliceWritten {
    pub(super) period: Period,
    /// Whether a unit was written.
    pub(super) has_unit: bool,
}

impl<'de> Deserialize<'de> for SliceWritten {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let has_unit = !text.ends_with(|last: char| last.is_ascii_digit());
        let text = if has_unit { text } else { format!("{text}m") };
        let period = text.parse().map_err(de::Error::custom)?;
        Ok(Self { period, has_unit })
    }
}

impl JsonSchema for SliceWritten {
    fn schema_name() -> Cow<'static, str> {
        "SlicePeriod".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "pattern": "^[0-9]+[mhdwMQY]?$", "minimum": 1 })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::minutes("5m", 300)]
    #[case::hours("12h", 12 * 3600)]
    #[case::days("365d", 365 * 86_400)]
    #[case::weeks("4w", 28 * 86_400)]
    #[case::a_month_has_30_days("1M", 30 * 86_400)]
    #[case::a_quarter_has_90_days("1Q", 90 * 86_400)]
    #[case::a_year_has_365_days("1Y", 365 * 86_400)]
    #[case::nothing("0m", 0)]
    fn a_period_has_a_nominal_length(#[case] text: &str, #[case] seconds: u64) {
        assert_eq!(text.parse::<Period>().unwrap().nominal(), Duration::from_secs(seconds));
    }

    #[rstest]
    #[case::empty("", NotAPeriod::Malformed)]
    #[case::no_unit("30", NotAPeriod::Malformed)]
    #[case::no_number("d", NotAPeriod::Malformed)]
    #[case::seconds("30s", NotAPeriod::Malformed)]
    #[case::fraction("1.5h", NotAPeriod::Malformed)]
    #[case::sign("+1h", NotAPeriod::Malformed)]
    #[case::two_units("1h30m", NotAPeriod::Malformed)]
    #[case::a_wide_letter("1µ", NotAPeriod::Malformed)]
    #[case::a_century("101Y", NotAPeriod::TooLong)]
    #[case::beyond_counting("99999999999999999999d", NotAPeriod::TooLong)]
    fn a_malformed_period_is_refused(#[case] text: &str, #[case] why: NotAPeriod) {
        assert_eq!(text.parse::<Period>(), Err(why));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,12}|[0-9]{0,24}[mhdwMQYs]?") {
            if let Ok(period) = text.parse::<Period>() {
                prop_assert_eq!(period.to_string().parse::<Period>(), Ok(period));
            }
        }
    }
}
