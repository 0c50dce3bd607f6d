//! The time an objective is judged over: rolling, or by the calendar of some place.

use std::fmt;
use std::ops::Range;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::period::{Period, Unit};
use super::written::{CalendarWritten, WindowWritten};
use crate::finding::{Code, Finding, Findings, nearest};
use crate::source::{At, Place};

/// The window of an SLO that has none: the spec lets it be left out.
const USUAL: (u32, Unit) = (30, Unit::Day);

/// How the start of a calendar is written.
const START: &str = "%Y-%m-%d %H:%M:%S";

/// The time an objective is judged over.
#[derive(Debug, Clone, PartialEq)]
pub enum Window {
    /// It always ends now.
    Rolling(Period),
    /// It begins and ends when people say so.
    Calendar(Calendar),
}

/// Windows that follow one another from a first beginning on, as the clocks of a place go: a month is as long as
/// that month is, and a day in which clocks are set has 23 or 25 hours.
#[derive(Debug, Clone, PartialEq)]
pub struct Calendar {
    /// How long each is.
    pub period: Period,
    /// When the first begins, by the clocks of `zone`.
    pub start: DateTime,
    /// Where that is.
    pub zone: TimeZone,
}

impl Window {
    /// How long it is, by its nominal length.
    #[must_use]
    pub fn period(&self) -> Period {
        match self {
            Self::Rolling(period) => *period,
            Self::Calendar(calendar) => calendar.period,
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rolling(period) => write!(f, "{period} rolling"),
            Self::Calendar(calendar) => {
                let zone = calendar.zone.iana_name().unwrap_or("UTC");
                write!(f, "{} from {} {zone}", calendar.period, calendar.start.strftime(START))
            }
        }
    }
}

impl Calendar {
    /// The window that `now` lies in; `None` before the first, and beyond the calendar's end.
    ///
    /// Each begins a whole number of periods after the first, and not after the one before: months counted from
    /// the 31st begin on the last day of shorter months, and on the 31st again of longer ones.
    #[must_use]
    pub fn around(&self, now: Timestamp) -> Option<Range<Timestamp>> {
        let guess = self.completed(now)?;
        // The guess knows neither short months nor set clocks; it is one off at most.
        (guess.checked_sub(1)?..=guess.checked_add(1)?)
            .filter(|number| *number >= 0)
            .filter_map(|number| Some(self.beginning(number)?..self.beginning(number + 1)?))
            .find(|window| window.contains(&now))
    }

    /// When the window of that number begins; the first is 0.
    fn beginning(&self, number: i64) -> Option<Timestamp> {
        let count = number.checked_mul(i64::from(self.period.count()))?;
        let span = match self.period.unit() {
            Unit::Minute => Span::new().try_minutes(count),
            Unit::Hour => Span::new().try_hours(count),
            Unit::Day => Span::new().try_days(count),
            Unit::Week => Span::new().try_weeks(count),
            Unit::Month => Span::new().try_months(count),
            Unit::Quarter => Span::new().try_months(count.checked_mul(3)?),
            Unit::Year => Span::new().try_years(count),
        };
        let first = self.start.to_zoned(self.zone.clone()).ok()?;
        Some(first.checked_add(span.ok()?).ok()?.timestamp())
    }

    /// About how many windows have ended by `now`.
    fn completed(&self, now: Timestamp) -> Option<i64> {
        let local = self.zone.to_datetime(now);
        let months = i64::from(local.year() - self.start.year()) * 12 + i64::from(local.month())
            - i64::from(self.start.month());
        let days = || self.start.date().until(local.date()).ok().map(|span| i64::from(span.get_days()));
        let minutes = || {
            let first = self.start.to_zoned(self.zone.clone()).ok()?.timestamp();
            Some((now.as_second() - first.as_second()).div_euclid(60))
        };
        let (elapsed, units) = match self.period.unit() {
            Unit::Minute => (minutes()?, 1),
            Unit::Hour => (minutes()?, 60),
            Unit::Day => (days()?, 1),
            Unit::Week => (days()?, 7),
            Unit::Month => (months, 1),
            Unit::Quarter => (months, 3),
            Unit::Year => (months, 12),
        };
        elapsed.checked_div_euclid(units * i64::from(self.period.count()))
    }
}

/// Checks the windows of an SLO, whose name stands at `slo`.
pub(super) fn check_windows(
    written: Option<At<Vec<At<WindowWritten>>>>,
    slo: Place,
    findings: &mut Findings,
) -> Option<Window> {
    let Some(At { value: mut windows, place }) = written else {
        let usual = Period::new(USUAL.0, USUAL.1)?;
        let title = format!("the SLO has no `timeWindow`; {usual} rolling is assumed");
        let help = format!("write `timeWindow: [{{ duration: {usual}, isRolling: true }}]`");
        findings.add(Finding::new(Code::SloAssumed, slo, title).help(help));
        return Some(Window::Rolling(usual));
    };
    if windows.len() != 1 {
        let title = format!("an SLO has exactly one time window, not {}", windows.len());
        let finding = Finding::new(Code::SloWindow, place, title);
        findings.add(if windows.is_empty() {
            finding.help("write `timeWindow: [{ duration: 30d, isRolling: true }]`")
        } else {
            finding.help("give each window an SLO of its own")
        });
    }
    let written = windows.drain(..).next()?;
    written.value.check(written.place, findings)
}

impl WindowWritten {
    fn check(self, place: Place, findings: &mut Findings) -> Option<Window> {
        let period = *self.duration;
        if period.is_zero() {
            let title = "a window of no time holds no events";
            findings.add(Finding::new(Code::SloWindow, self.duration.place, title));
        }
        let rolls = self.is_rolling.unwrap_or(At::new(false, place));
        match self.calendar {
            Some(calendar) if *rolls => {
                let title = "a rolling window always ends now, and has no `calendar`";
                let finding = Finding::new(Code::SloWindow, calendar.place, title);
                findings.add(finding.also(rolls.place, "said to be rolling here"));
                None
            }
            None if *rolls => (!period.is_zero()).then_some(Window::Rolling(period)),
            None => {
                let finding =
                    Finding::new(Code::SloWindow, rolls.place, "a window rolls or has a `calendar`");
                findings.add(
                    finding.help("write `isRolling: true`, or add `calendar: { startTime: …, timeZone: … }`"),
                );
                None
            }
            Some(calendar) => {
                warn_of_minutes(self.duration, findings);
                let (start, zone) = calendar.value.check(findings)?;
                (!period.is_zero()).then_some(Window::Calendar(Calendar { period, start, zone }))
            }
        }
    }
}

/// `1m` is a minute; who counts by the calendar means a month.
fn warn_of_minutes(period: At<Period>, findings: &mut Findings) {
    if period.is_zero() || period.nominal() >= std::time::Duration::from_secs(86_400) {
        return;
    }
    let title = format!("the calendar window of {period} is shorter than a day");
    let finding = Finding::new(Code::SloShortWindow, period.place, title);
    findings.add(match period.unit() {
        Unit::Minute => finding.help(format!("`m` is minutes; for months write `{}M`", period.count())),
        Unit::Hour | Unit::Day | Unit::Week | Unit::Month | Unit::Quarter | Unit::Year => finding,
    });
}

impl CalendarWritten {
    fn check(&self, findings: &mut Findings) -> Option<(DateTime, TimeZone)> {
        let start = DateTime::strptime(START, &self.start_time.value).map_err(|_| {
            let title = format!("`{}` is no date and time", self.start_time.value);
            Finding::new(Code::SloWindow, self.start_time.place, title)
                .help("write it like `2026-01-31 00:00:00`")
        });
        let zone = TimeZone::get(&self.time_zone).map_err(|_| {
            let title = format!("`{}` is no time zone of IANA's", self.time_zone.value);
            let finding = Finding::new(Code::SloWindow, self.time_zone.place, title);
            let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
            match nearest(&self.time_zone, known.iter().map(String::as_str)) {
                Some(name) => finding.label(format!("did you mean `{name}`?")),
                None => finding.help("write a name like `UTC` or `Europe/Berlin`"),
            }
        });
        findings.take(start).zip(findings.take(zone))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn calendar(period: &str, start: &str, zone: &str) -> Calendar {
        Calendar {
            period: period.parse().unwrap(),
            start: DateTime::strptime(START, start).unwrap(),
            zone: TimeZone::get(zone).unwrap(),
        }
    }

    #[rstest]
    #[case::february(
        "1M",
        "2026-01-01 00:00:00",
        "UTC",
        "2026-02-10T12:00:00Z",
        "2026-02-01T00:00:00Z",
        "2026-03-01T00:00:00Z"
    )]
    #[case::short_month_from_the_31st(
        "1M",
        "2026-01-31 00:00:00",
        "UTC",
        "2026-03-01T00:00:00Z",
        "2026-02-28T00:00:00Z",
        "2026-03-31T00:00:00Z"
    )]
    #[case::clocks_go_forward(
        "1M",
        "2026-01-01 00:00:00",
        "Europe/Berlin",
        "2026-03-31T21:59:59Z",
        "2026-02-28T23:00:00Z",
        "2026-03-31T22:00:00Z"
    )]
    #[case::a_day_of_23_hours(
        "1d",
        "2026-01-01 00:00:00",
        "Europe/Berlin",
        "2026-03-29T10:00:00Z",
        "2026-03-28T23:00:00Z",
        "2026-03-29T22:00:00Z"
    )]
    #[case::quarter(
        "1Q",
        "2025-01-01 00:00:00",
        "UTC",
        "2026-05-01T00:00:00Z",
        "2026-04-01T00:00:00Z",
        "2026-07-01T00:00:00Z"
    )]
    #[case::leap_year(
        "1Y",
        "2024-02-29 00:00:00",
        "UTC",
        "2027-06-01T00:00:00Z",
        "2027-02-28T00:00:00Z",
        "2028-02-29T00:00:00Z"
    )]
    #[case::weeks(
        "2w",
        "2026-01-05 09:00:00",
        "UTC",
        "2026-01-19T08:59:59Z",
        "2026-01-05T09:00:00Z",
        "2026-01-19T09:00:00Z"
    )]
    #[case::hours(
        "6h",
        "2026-01-01 00:00:00",
        "UTC",
        "2026-01-02T07:00:00Z",
        "2026-01-02T06:00:00Z",
        "2026-01-02T12:00:00Z"
    )]
    #[case::the_beginning_belongs_to_it(
        "1M",
        "2026-01-01 00:00:00",
        "UTC",
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z",
        "2026-02-01T00:00:00Z"
    )]
    fn a_calendar_has_real_months_and_days(
        #[case] period: &str,
        #[case] start: &str,
        #[case] zone: &str,
        #[case] now: &str,
        #[case] begins: &str,
        #[case] ends: &str,
    ) {
        let window = calendar(period, start, zone).around(now.parse().unwrap()).unwrap();
        assert_eq!((window.start.to_string().as_str(), window.end.to_string().as_str()), (begins, ends));
    }

    #[test]
    fn before_the_first_window_there_is_none() {
        let calendar = calendar("1M", "2026-01-01 00:00:00", "UTC");
        assert_eq!(calendar.around("2025-12-31T23:59:59Z".parse().unwrap()), None);
    }

    proptest! {
        #[test]
        fn every_moment_after_the_start_lies_in_a_window(
            count in 1u32..50, unit in "[mhdwMQY]", day in 1i8..=31, seconds in 0i64..2_000_000_000,
        ) {
            let start = format!("2024-01-{day:02} 02:30:00");
            let calendar = calendar(&format!("{count}{unit}"), &start, "America/New_York");
            let now = calendar.beginning(0).unwrap() + jiff::SignedDuration::from_secs(seconds);
            prop_assert!(calendar.around(now).is_some_and(|window| window.contains(&now)));
        }
    }
}
