//! Durations, rates, ratios and sizes: read and print the units a file may use.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a text is not a quantity; reads as the end of a sentence about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

/// A span of time as users write it: `250ms`, `1.5s`, `1m30s`, `30d`.
///
/// Whole nanoseconds; printed in the largest units that lose nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub Duration);

/// Units a [`Span`] may be written in, largest first, in nanoseconds.
const SPAN_UNITS: [(&str, u64); 8] = [
    ("w", 7 * 86_400_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Nobody waits a century: longer spans are typing errors, and this bound keeps arithmetic safe.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 86_400);

impl FromStr for Span {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        const EXAMPLE: &str = "a duration has a unit, like `250ms`, `5s`, `1m30s` or `30d`";
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(Malformed(EXAMPLE.into()));
        }
        let mut total = Duration::ZERO;
        let mut last_unit = u64::MAX;
        while !rest.is_empty() {
            let (number, after) = split_number(rest);
            let unit_len = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
            let (unit, next) = after.split_at(unit_len);
            let unit = if unit == "µs" { "us" } else { unit };
            let scale = SPAN_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale);
            let (Some(scale), Some(nanos)) = (scale, scale.and_then(|s| nanos(number, s))) else {
                return Err(Malformed(EXAMPLE.into()));
            };
            if scale >= last_unit {
                return Err(Malformed("units go from large to small, each once, like `1h30m`".into()));
            }
            last_unit = scale;
            total = total.saturating_add(nanos);
            rest = next;
        }
        if total > LONGEST {
            return Err(Malformed("at most 100 years".into()));
        }
        Ok(Self(total))
    }
}

/// Splits `1.5s` into `1.5` and `s`.
fn split_number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(end)
}

/// `number` (decimal digits with at most one point) times `scale`, exactly, when it is whole nanoseconds.
fn nanos(number: &str, scale: u64) -> Option<Duration> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || (number.contains('.') && fraction.is_empty()) || fraction.len() > 9 {
        return None;
    }
    let whole: u128 = whole.parse().ok()?;
    let mut total = whole.checked_mul(u128::from(scale))?;
    if !fraction.is_empty() {
        let places = 10u128.pow(u32::try_from(fraction.len()).ok()?);
        total = total.checked_add(fraction.parse::<u128>().ok()? * u128::from(scale) / places)?;
    }
    let seconds = u64::try_from(total / 1_000_000_000).ok()?;
    Some(Duration::new(seconds, u32::try_from(total % 1_000_000_000).ok()?))
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_nanos();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (name, scale) in SPAN_UNITS {
            let count = rest / u128::from(scale);
            if count > 0 {
                write!(f, "{count}{name}")?;
                rest %= u128::from(scale);
            }
        }
        Ok(())
    }
}

/// A measured time as people read it: three significant digits, a space, one unit (`1.23 ms`).
///
/// For reports; [`Span`] is for what a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading(pub Duration);

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        let (value, unit) = match seconds {
            s if s >= 60.0 => return fmt::Display::fmt(&Span(Duration::from_secs(self.0.as_secs())), f),
            s if s >= 1.0 => (s, "s"),
            s if s >= 1e-3 => (s * 1e3, "ms"),
            s => (s * 1e6, "µs"),
        };
        let digits = if value >= 99.95 {
            0
        } else if value >= 9.995 {
            1
        } else {
            2
        };
        write!(f, "{value:.digits$} {unit}")
    }
}

/// Attempts per second, above zero: `200/s`, `30/m`, `5/h`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Rate(f64);

/// The fastest rate a file may ask for; far above what one machine can send.
const FASTEST: f64 = 10_000_000.0;

impl Rate {
    /// One a second.
    pub const ONE: Self = Self(1.0);

    /// A rate of `per_second`, or `None` unless it is above zero and at most ten million.
    #[must_use]
    pub fn new(per_second: f64) -> Option<Self> {
        (per_second > 0.0 && per_second <= FASTEST).then_some(Self(per_second))
    }

    /// Attempts per second.
    #[must_use]
    pub fn per_second(self) -> f64 {
        self.0
    }
}

impl FromStr for Rate {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let wrong =
            || Malformed("a rate is a number per second, minute or hour, like `200/s` or `30/m`".into());
        let (number, unit) = text.trim().split_once('/').ok_or_else(wrong)?;
        let number: f64 = number.trim().parse().map_err(|_| wrong())?;
        let seconds = match unit.trim() {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        Self::new(number / seconds)
            .ok_or_else(|| Malformed("a rate is above zero and at most 10000000/s".into()))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

/// A share between nothing and everything: `0.999`, `20%`, `0`, `1`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Ratio(f64);

impl Ratio {
    /// Everything.
    pub const ONE: Self = Self(1.0);
    /// Nothing.
    pub const ZERO: Self = Self(0.0);

    /// A share of the whole, or `None` outside 0 to 1.
    #[must_use]
    pub fn new(share: f64) -> Option<Self> {
        (0.0..=1.0).contains(&share).then_some(Self(share))
    }

    /// As a number from 0 to 1.
    #[must_use]
    pub fn share(self) -> f64 {
        self.0
    }

    /// What is left of the whole.
    #[must_use]
    pub fn complement(self) -> Self {
        Self(1.0 - self.0)
    }
}

impl FromStr for Ratio {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let wrong = || Malformed("a share is a percentage like `20%` or a number from 0 to 1".into());
        let text = text.trim();
        let share = match text.strip_suffix('%') {
            Some(percent) => percent.trim().parse::<f64>().map_err(|_| wrong())? / 100.0,
            None => text.parse::<f64>().map_err(|_| wrong())?,
        };
        Self::new(share).ok_or_else(wrong)
    }
}

impl fmt::Display for Ratio {
    /// As a percentage, with as many digits as it takes to tell it from 100 %.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.0 * 100.0;
        let text = format!("{percent:.10}");
        write!(f, "{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// A number of bytes: `512B`, `64KiB`, `10MB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// Units a [`Size`] may be written in, largest first within each family.
const SIZE_UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl Size {
    /// The size as a buffer length on this machine.
    #[must_use]
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for Size {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let wrong = || Malformed("a size has a unit, like `512B`, `64KiB` or `10MB`".into());
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(end);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let scale = SIZE_UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(wrong)?.1;
        number.checked_mul(scale).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, scale) = SIZE_UNITS
            .into_iter()
            .find(|(_, scale)| self.0 >= *scale && self.0.is_multiple_of(*scale))
            .unwrap_or(("B", 1));
        write!(f, "{}{name}", self.0 / scale)
    }
}

/// Bytes per second, above zero: `64KiB/s`, `10MB/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Throughput(u64);

impl Throughput {
    /// So many bytes a second, or `None` for none.
    #[must_use]
    pub fn new(bytes_per_second: u64) -> Option<Self> {
        (bytes_per_second > 0).then_some(Self(bytes_per_second))
    }

    /// Bytes per second.
    #[must_use]
    pub fn bytes_per_second(self) -> u64 {
        self.0
    }

    /// How long so many bytes take.
    #[must_use]
    pub fn time(self, bytes: usize) -> Duration {
        let nanos = bytes as u128 * 1_000_000_000 / u128::from(self.0);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl FromStr for Throughput {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let wrong = || Malformed("a throughput is a size per second, like `64KiB/s` or `10MB/s`".into());
        let size = text.trim().strip_suffix("/s").ok_or_else(wrong)?;
        let size: Size = size.parse().map_err(|_| wrong())?;
        Self::new(size.0).ok_or_else(|| Malformed("a throughput is above zero".into()))
    }
}

impl fmt::Display for Throughput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", Size(self.0))
    }
}

/// Serde for a quantity that a file writes as text.
macro_rules! written_as_text {
    ($($quantity:ty: $types:literal, $pattern:literal;)*) => {$(
        impl<'de> Deserialize<'de> for $quantity {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        impl Serialize for $quantity {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl schemars::JsonSchema for $quantity {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($quantity).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": serde_json::from_str::<serde_json::Value>($types).unwrap_or_default(), "pattern": $pattern })
            }
        }
    )*};
}

written_as_text! {
    Span: "\"string\"", r"^([0-9.]+(w|d|h|m|s|ms|us|µs|ns))+$";
    Rate: "\"string\"", r"^[0-9.]+ */ *[smh]$";
    Ratio: "[\"string\", \"number\"]", r"^[0-9.]+ *%?$";
    Size: "\"string\"", r"^[0-9]+ *([KMG]i?|k)?B$";
    Throughput: "\"string\"", r"^[0-9]+ *([KMG]i?|k)?B/s$";
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::milliseconds("250ms", 250_000_000)]
    #[case::fraction("1.5s", 1_500_000_000)]
    #[case::mixed("1m30s", 90_000_000_000)]
    #[case::days("30d", 30 * 86_400 * 1_000_000_000)]
    #[case::micro_sign("5µs", 5_000)]
    #[case::zero("0s", 0)]
    fn a_span_reads(#[case] text: &str, #[case] nanos: u64) {
        assert_eq!(text.parse::<Span>().unwrap().0, Duration::from_nanos(nanos));
    }

    #[rstest]
    #[case::no_unit("250")]
    #[case::unknown_unit("5 fortnights")]
    #[case::backwards("30s1m")]
    #[case::twice("1s1s")]
    #[case::negative("-1s")]
    #[case::empty("")]
    #[case::a_century("5300w")]
    #[case::overflow("99999999999999999999999999w")]
    #[case::lone_point("1.s")]
    fn a_malformed_span_is_refused(#[case] text: &str) {
        assert!(text.parse::<Span>().is_err());
    }

    #[rstest]
    #[case("200/s", 200.0)]
    #[case("30/m", 0.5)]
    fn a_rate_reads(#[case] text: &str, #[case] per_second: f64) {
        assert!((text.parse::<Rate>().unwrap().per_second() - per_second).abs() < 1e-12);
    }

    #[rstest]
    #[case("0/s")]
    #[case("-1/s")]
    #[case("NaN/s")]
    #[case("inf/s")]
    #[case("200")]
    #[case("200/d")]
    fn a_malformed_rate_is_refused(#[case] text: &str) {
        assert!(text.parse::<Rate>().is_err());
    }

    #[rstest]
    #[case::percent("20%", "20%")]
    #[case::share("0.999", "99.9%")]
    #[case::many_nines("99.9999%", "99.9999%")]
    fn a_ratio_reads_and_prints(#[case] text: &str, #[case] printed: &str) {
        assert_eq!(text.parse::<Ratio>().unwrap().to_string(), printed);
    }

    #[rstest]
    #[case("64KiB/s", "64KiB/s", 16_384, 250)]
    #[case("10 MB/s", "10MB/s", 1_000_000, 100)]
    fn a_throughput_reads_and_prints(
        #[case] text: &str,
        #[case] printed: &str,
        #[case] bytes: usize,
        #[case] millis: u64,
    ) {
        let throughput = text.parse::<Throughput>().unwrap();
        assert_eq!(throughput.to_string(), printed);
        assert_eq!(throughput.time(bytes), Duration::from_millis(millis));
    }

    #[rstest]
    #[case("0B/s")]
    #[case("64KiB")]
    #[case("64/s")]
    fn a_malformed_throughput_is_refused(#[case] text: &str) {
        assert!(text.parse::<Throughput>().is_err());
    }

    #[rstest]
    #[case(0, "0.00 µs")]
    #[case(1_234_000, "1.23 ms")]
    #[case(99_960_000, "100 ms")]
    #[case(9_996_000, "10.0 ms")]
    #[case(2_500_000_000, "2.50 s")]
    #[case(90_000_000_000, "1m30s")]
    fn a_reading_has_three_digits(#[case] nanos: u64, #[case] printed: &str) {
        assert_eq!(Reading(Duration::from_nanos(nanos)).to_string(), printed);
    }

    proptest! {
        #[test]
        fn a_span_survives_printing(nanos in 0u64..3_000_000_000_000_000_000) {
            let span = Span(Duration::from_nanos(nanos));
            prop_assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }

        #[test]
        fn a_size_survives_printing(bytes: u64) {
            prop_assert_eq!(Size(bytes).to_string().parse::<Size>().unwrap(), Size(bytes));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = (text.parse::<Span>(), text.parse::<Rate>(), text.parse::<Ratio>(), text.parse::<Size>());
        }
    }
}
