//! Times at which routes are mute or active.

use std::ops::RangeInclusive;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::written::{DayTimesWritten, TimesWritten};
use crate::finding::{Code, Finding, Findings, nearest};
use crate::source::At;

/// Times: all that is said has to hold, and of each list one.
#[derive(Debug, Clone)]
pub struct Times {
    minutes: Option<Vec<std::ops::Range<i32>>>,
    weekdays: Option<Vec<RangeInclusive<i32>>>,
    days: Option<Vec<(i32, i32)>>,
    months: Option<Vec<RangeInclusive<i32>>>,
    years: Option<Vec<RangeInclusive<i32>>>,
    zone: TimeZone,
}

/// From the one that is 0.
const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

/// From the one that is 1.
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

impl Times {
    /// Whether a moment lies within.
    #[must_use]
    pub fn hold(&self, at: Timestamp) -> bool {
        let local = at.to_zoned(self.zone.clone());
        let minute = i32::from(local.hour()) * 60 + i32::from(local.minute());
        let weekday = i32::from(local.weekday().to_sunday_zero_offset());
        let among = |ranges: &Option<Vec<RangeInclusive<i32>>>, value: i32| {
            ranges.as_ref().is_none_or(|ranges| ranges.iter().any(|range| range.contains(&value)))
        };
        self.minutes.as_ref().is_none_or(|times| times.iter().any(|time| time.contains(&minute)))
            && self.days.as_ref().is_none_or(|days| days.iter().any(|days| has_day(*days, local.date())))
            && among(&self.months, i32::from(local.month()))
            && among(&self.weekdays, weekday)
            && among(&self.years, i32::from(local.year()))
    }
}

/// Whether a day of the month lies between two, which count from the month's end where they are negative.
fn has_day((begin, end): (i32, i32), date: Date) -> bool {
    let last = i32::from(date.days_in_month());
    let from_start = |day: i32| if day < 0 { last + day + 1 } else { day };
    let (begin, end) = (from_start(begin), from_start(end));
    begin <= last && (begin.max(-last)..=end.min(last)).contains(&i32::from(date.day()))
}

/// Reads the two ends of a range, or says why it is none.
type ReadRange = dyn Fn(&str) -> Result<(i32, i32), String>;

impl TimesWritten {
    /// Checks what was written.
    pub(super) fn check(self, findings: &mut Findings) -> Times {
        let Self { times, weekdays, days_of_month, months, years, location } = self;
        let mut all = |list: Option<Vec<At<String>>>, read: &ReadRange| {
            list.map(|list| {
                let ranges = list.iter().filter_map(|one| {
                    let range = read(&one.value.to_lowercase());
                    findings.take(range.map_err(|why| Finding::new(Code::RouteInterval, one.place, why)))
                });
                ranges.collect::<Vec<_>>()
            })
        };
        let ranges = |list: Option<Vec<(i32, i32)>>| {
            list.map(|list| list.into_iter().map(|(begin, end)| begin..=end).collect())
        };
        let weekdays = ranges(all(weekdays, &|text| ordered(text, weekday)));
        let days = all(days_of_month, &days_of);
        let months = ranges(all(months, &|text| ordered(text, month)));
        let years = ranges(all(years, &|text| ordered(text, number)));
        let minutes =
            times.map(|times| times.into_iter().filter_map(|time| day_times(&time, findings)).collect());
        let zone = location.and_then(|name| {
            let zone = TimeZone::get(&name.value).map_err(|_| {
                let title = format!("`{name}` is no time zone of IANA's");
                Finding::new(Code::RouteInterval, name.place, title)
            });
            findings.take(zone)
        });
        Times { minutes, weekdays, days, months, years, zone: zone.unwrap_or(TimeZone::UTC) }
    }
}

/// `a:b`, or `a` alone for `a:a`; the end is not before the begin.
fn ordered(text: &str, read: fn(&str) -> Result<i32, String>) -> Result<(i32, i32), String> {
    let (begin, end) = text.split_once(':').unwrap_or((text, text));
    let (begin_at, end_at) = (read(begin)?, read(end)?);
    if begin_at > end_at { Err(format!("`{end}` is before `{begin}`")) } else { Ok((begin_at, end_at)) }
}

fn weekday(name: &str) -> Result<i32, String> {
    named(name, &WEEKDAYS, 0).ok_or_else(|| unknown(name, "weekday", &WEEKDAYS))
}

fn month(name: &str) -> Result<i32, String> {
    let by_number = || name.parse().ok().filter(|number| (1..=12).contains(number));
    named(name, &MONTHS, 1).or_else(by_number).ok_or_else(|| unknown(name, "month", &MONTHS))
}

fn number(text: &str) -> Result<i32, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

fn named(name: &str, names: &[&str], first: i32) -> Option<i32> {
    let at = names.iter().position(|known| *known == name)?;
    Some(first + i32::try_from(at).ok()?)
}

fn unknown(name: &str, what: &str, names: &[&str]) -> String {
    let hint = nearest(name, names.iter().copied()).map(|near| format!("; did you mean `{near}`?"));
    format!("`{name}` is no {what}{}", hint.unwrap_or_default())
}

/// `1:5`, `-3:-1`, `1:-1`.
fn days_of(text: &str) -> Result<(i32, i32), String> {
    let (begin_text, end_text) = text.split_once(':').unwrap_or((text, text));
    let (begin, end) = (number(begin_text)?, number(end_text)?);
    for day in [begin, end] {
        if day == 0 || !(-31..=31).contains(&day) {
            return Err(format!(
                "`{day}` is no day of a month: from 1 to 31, or from -31 to -1 counted from its end"
            ));
        }
    }
    if begin < 0 && end > 0 {
        return Err("days that begin counted from the month's end also end so".to_owned());
    }
    let in_february = |day: i32| if day < 0 { 28 + day } else { day };
    if in_february(begin) > in_february(end) {
        return Err(format!("`{end_text}` is before `{begin_text}`"));
    }
    Ok((begin, end))
}

fn day_times(written: &At<DayTimesWritten>, findings: &mut Findings) -> Option<std::ops::Range<i32>> {
    let DayTimesWritten { start_time, end_time } = &written.value;
    let mut minute = |text: &At<String>| {
        let title = format!("`{text}` is no time of a day, from `00:00` to `24:00`");
        findings.take(minute(&text.value).ok_or_else(|| Finding::new(Code::RouteInterval, text.place, title)))
    };
    let (start, end) = (minute(start_time)?, minute(end_time)?);
    if start >= end {
        let finding = Finding::new(Code::RouteInterval, written.place, "the end is not behind the start");
        findings.add(finding.help("a time over midnight is two: to `24:00`, and from `00:00`"));
        return None;
    }
    Some(start..end)
}

/// Minutes since midnight.
fn minute(text: &str) -> Option<i32> {
    let (hours, minutes) = text.split_once(':')?;
    if text.len() != 5 || hours.len() != 2 || !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b':')
    {
        return None;
    }
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (minutes < 60 && (hours < 24 || (hours == 24 && minutes == 0))).then_some(hours * 60 + minutes)
}
