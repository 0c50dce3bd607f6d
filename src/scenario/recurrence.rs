//! Times that come again, as calendars write them: the plain part of RFC 5545's RRULE.

use std::collections::BTreeSet;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, ToSpan as _};

/// The largest `COUNT` and `INTERVAL`.
const MOST: i32 = 10_000;

/// The most periods that are looked through for one that has such a time.
const MOST_PERIODS: i32 = 20_000;

/// Times that come again.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Recurrence {
    every: Every,
    interval: i32,
    /// Days of the week, each with its place in the month where one is named, from the end where that is below zero.
    days: Vec<(Option<i8>, Weekday)>,
    hours: BTreeSet<i8>,
    minutes: BTreeSet<i8>,
    first: DateTime,
    zone: TimeZone,
    /// The last moment at which one may begin.
    last: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Every {
    Day,
    Week,
    Month,
}

/// What a rule says, as it is read part by part.
#[derive(Default)]
struct Parts {
    every: Option<Every>,
    interval: Option<i32>,
    count: Option<i32>,
    until: Option<String>,
    days: Vec<(Option<i8>, Weekday)>,
    hours: BTreeSet<i8>,
    minutes: BTreeSet<i8>,
}

impl Recurrence {
    /// The times of `rule`, the first of them not before `first`, both by the clocks of `zone`.
    ///
    /// # Errors
    /// What of the rule cannot be understood, or is not done here.
    pub(super) fn parse(rule: &str, first: DateTime, zone: TimeZone) -> Result<Self, String> {
        let parts = Parts::parse(rule)?;
        let every = parts.every.ok_or("it needs `FREQ=DAILY`, `FREQ=WEEKLY` or `FREQ=MONTHLY`")?;
        if every != Every::Month && parts.days.iter().any(|(place, _)| place.is_some()) {
            return Err("only with `FREQ=MONTHLY` a day has a place, as in `BYDAY=1SU`".to_owned());
        }
        let or =
            |named: BTreeSet<i8>, usual: i8| if named.is_empty() { BTreeSet::from([usual]) } else { named };
        let mut all = Self {
            every,
            interval: parts.interval.unwrap_or(1),
            days: parts.days,
            hours: or(parts.hours, first.hour()),
            minutes: or(parts.minutes, first.minute()),
            first,
            zone,
            last: None,
        };
        all.last = match (parts.count, parts.until) {
            (Some(_), Some(_)) => return Err("`COUNT` and `UNTIL` do not go together".to_owned()),
            (Some(count), None) => Some(all.nth(count)?),
            (None, Some(until)) => Some(all.until(&until)?),
            (None, None) => None,
        };
        Ok(all)
    }

    /// The latest time up to `now` that is less than `lasts` ago.
    pub(super) fn latest(&self, now: Timestamp, lasts: SignedDuration) -> Option<Timestamp> {
        let earliest = now.checked_sub(lasts).ok()?;
        let mut period = self.period(now.to_zoned(self.zone.clone()).date())?;
        // One more, as a day may begin elsewhere already.
        let least = self.period(earliest.to_zoned(self.zone.clone()).date())?.saturating_sub(1).max(0);
        while period >= least {
            let mut within = self.within(period).into_iter().rev();
            let latest = within.find(|at| *at <= now && self.last.is_none_or(|last| *at <= last));
            if latest.is_some() {
                return latest.filter(|at| *at > earliest);
            }
            period -= 1;
        }
        None
    }

    /// The time that is the `count`th.
    fn nth(&self, count: i32) -> Result<Timestamp, String> {
        let mut left = usize::try_from(count).unwrap_or_default();
        for period in 0..MOST_PERIODS {
            let within = self.within(period);
            match left.checked_sub(within.len()) {
                Some(rest) if rest > 0 => left = rest,
                Some(_) | None => {
                    let nth = within.get(left.saturating_sub(1)).copied();
                    return nth.ok_or_else(|| "it never comes".to_owned());
                }
            }
        }
        Err(format!("it does not come {count} times"))
    }

    fn until(&self, text: &str) -> Result<Timestamp, String> {
        let wrong = || format!("`UNTIL={text}` is no time like `20261231T235959Z`");
        if text.ends_with('Z') {
            return text.parse().map_err(|_| wrong());
        }
        let civil = if text.contains('T') {
            text.parse::<DateTime>().map_err(|_| wrong())?
        } else {
            text.parse::<Date>().map_err(|_| wrong())?.to_datetime(Time::MAX)
        };
        self.moment(civil).ok_or_else(wrong)
    }

    /// Which period a day is in, the first being that of the first time.
    fn period(&self, day: Date) -> Option<i32> {
        let first = self.first.date();
        let apart = match self.every {
            Every::Day => days_between(first, day)?,
            Every::Week => days_between(monday(first)?, day)?.div_euclid(7),
            Every::Month => {
                let months = |date: Date| i32::from(date.year()) * 12 + i32::from(date.month());
                months(day) - months(first)
            }
        };
        Some(apart.div_euclid(self.interval))
    }

    /// The times within a period, in their order.
    fn within(&self, period: i32) -> Vec<Timestamp> {
        let days = self.days_within(period).unwrap_or_default();
        let mut all: Vec<Timestamp> = Vec::new();
        for day in days {
            for hour in &self.hours {
                for minute in &self.minutes {
                    let at =
                        DateTime::from_parts(day, Time::constant(*hour, *minute, self.first.second(), 0));
                    all.extend(Some(at).filter(|at| *at >= self.first).and_then(|at| self.moment(at)));
                }
            }
        }
        all
    }

    fn days_within(&self, period: i32) -> Option<Vec<Date>> {
        let first = self.first.date();
        let further = period.checked_mul(self.interval)?;
        let days: BTreeSet<Date> = match self.every {
            Every::Day => {
                let day = first.checked_add(Span::new().try_days(further).ok()?).ok()?;
                let wanted = self.days.is_empty() || self.days.iter().any(|(_, of)| *of == day.weekday());
                wanted.then_some(day).into_iter().collect()
            }
            Every::Week => {
                let further = Span::new().try_weeks(further).ok()?;
                let begins = monday(first)?.checked_add(further).ok()?;
                let own = [(None, first.weekday())];
                let wanted = if self.days.is_empty() { &own[..] } else { &self.days };
                let of = |day: Weekday| begins.checked_add(day.to_monday_zero_offset().days()).ok();
                wanted.iter().filter_map(|(_, day)| of(*day)).collect()
            }
            Every::Month => {
                let month = first.first_of_month().checked_add(Span::new().try_months(further).ok()?).ok()?;
                if self.days.is_empty() {
                    Date::new(month.year(), month.month(), first.day()).ok().into_iter().collect()
                } else {
                    self.days.iter().flat_map(|(place, day)| of_month(month, *place, *day)).collect()
                }
            }
        };
        Some(days.into_iter().collect())
    }

    /// A time that clocks pass over counts from where they were before.
    fn moment(&self, at: DateTime) -> Option<Timestamp> {
        self.zone.to_ambiguous_zoned(at).compatible().ok().map(|zoned| zoned.timestamp())
    }
}

fn days_between(from: Date, to: Date) -> Option<i32> {
    let hours = to.duration_since(from).as_hours();
    i32::try_from(hours / 24).ok()
}

fn monday(day: Date) -> Option<Date> {
    day.checked_sub(day.weekday().to_monday_zero_offset().days()).ok()
}

/// The days of a month that are such a day of the week, or the one at that place.
fn of_month(month: Date, place: Option<i8>, day: Weekday) -> Vec<Date> {
    let places = place.map_or_else(|| (1..=5).collect(), |place| vec![place]);
    places.into_iter().filter_map(|place: i8| month.nth_weekday_of_month(place, day).ok()).collect()
}

impl Parts {
    fn parse(rule: &str) -> Result<Self, String> {
        let mut parts = Self::default();
        let mut seen = BTreeSet::new();
        for part in rule.trim().trim_start_matches("RRULE:").split(';').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').ok_or_else(|| format!("`{part}` is not `KEY=VALUE`"))?;
            if !seen.insert(key) {
                return Err(format!("`{key}` stands there twice"));
            }
            parts.take(key, value)?;
        }
        Ok(parts)
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "FREQ" => {
                self.every = Some(match value {
                    "DAILY" => Every::Day,
                    "WEEKLY" => Every::Week,
                    "MONTHLY" => Every::Month,
                    _ => {
                        return Err(format!(
                            "`FREQ={value}` is not done here: DAILY, WEEKLY and MONTHLY are"
                        ));
                    }
                });
            }
            "INTERVAL" => self.interval = Some(number(key, value, 1, MOST)?),
            "COUNT" => self.count = Some(number(key, value, 1, MOST)?),
            "UNTIL" => self.until = Some(value.to_owned()),
            "BYDAY" => self.days = value.split(',').map(day).collect::<Result<_, _>>()?,
            "BYHOUR" => self.hours = numbers(key, value, 23)?,
            "BYMINUTE" => self.minutes = numbers(key, value, 59)?,
            _ => {
                return Err(format!(
                    "`{key}` is not done here: FREQ, INTERVAL, COUNT, UNTIL, BYDAY, BYHOUR and BYMINUTE are"
                ));
            }
        }
        Ok(())
    }
}

fn number<N: std::str::FromStr + PartialOrd + std::fmt::Display + Copy>(
    key: &str,
    value: &str,
    least: N,
    most: N,
) -> Result<N, String> {
    let read = value.parse::<N>().ok().filter(|number| *number >= least && *number <= most);
    read.ok_or_else(|| format!("`{key}={value}` is no number from {least} to {most}"))
}

fn numbers(key: &str, value: &str, most: i8) -> Result<BTreeSet<i8>, String> {
    value.split(',').map(|one| number(key, one, 0, most)).collect()
}

/// `SU`, `1SU`, `-1FR`.
fn day(text: &str) -> Result<(Option<i8>, Weekday), String> {
    let wrong = || format!("`{text}` is no day like `SU`, or `1SU` for a month's first Sunday");
    let (place, name) = text.split_at_checked(text.len().saturating_sub(2)).ok_or_else(wrong)?;
    let names = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
    let at = names.iter().position(|one| *one == name).and_then(|at| i8::try_from(at).ok());
    let weekday = at.and_then(|at| Weekday::from_monday_zero_offset(at).ok()).ok_or_else(wrong)?;
    if place.is_empty() {
        return Ok((None, weekday));
    }
    let place = place.parse::<i8>().ok().filter(|place| *place != 0 && (-5..=5).contains(place));
    Ok((Some(place.ok_or_else(wrong)?), weekday))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const FIRST: &str = "2026-01-04T02:00";

    fn read(rule: &str, first: &str) -> Result<Recurrence, String> {
        Recurrence::parse(rule, first.parse().unwrap(), TimeZone::get("Europe/Kyiv").unwrap())
    }

    /// The first of the times from `first` on, as the clocks of Kyiv show them.
    fn times(rule: &str, first: &str) -> String {
        let rule = read(rule, first).unwrap();
        let all = (0..60).flat_map(|period| rule.within(period));
        let all = all.filter(|at| rule.last.is_none_or(|last| *at <= last)).take(5);
        let all: Vec<_> =
            all.map(|at| at.to_zoned(rule.zone.clone()).strftime("%m-%d %H:%M").to_string()).collect();
        all.join(", ")
    }

    #[rstest]
    #[case::daily("FREQ=DAILY;COUNT=2", "01-04 02:00, 01-05 02:00")]
    #[case::weekdays(
        "FREQ=DAILY;BYDAY=MO,FR",
        "01-05 02:00, 01-09 02:00, 01-12 02:00, 01-16 02:00, 01-19 02:00"
    )]
    #[case::other_weeks(
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,SU;COUNT=4",
        "01-04 02:00, 01-12 02:00, 01-18 02:00, 01-26 02:00"
    )]
    #[case::hours("FREQ=WEEKLY;BYHOUR=1,3;BYMINUTE=0,30;COUNT=3", "01-04 03:00, 01-04 03:30, 01-11 01:00")]
    #[case::first_sundays("FREQ=MONTHLY;BYDAY=1SU;COUNT=3", "01-04 02:00, 02-01 02:00, 03-01 02:00")]
    #[case::last_fridays("FREQ=MONTHLY;BYDAY=-1FR;UNTIL=20260301", "01-30 02:00, 02-27 02:00")]
    #[case::until("FREQ=DAILY;UNTIL=20260106T000000Z", "01-04 02:00, 01-05 02:00, 01-06 02:00")]
    #[case::just_before("FREQ=DAILY;UNTIL=20260105T235959Z", "01-04 02:00, 01-05 02:00")]
    fn it_comes_when_a_calendar_has_it(#[case] rule: &str, #[case] expected: &str) {
        assert_eq!(times(rule, FIRST), expected);
    }

    #[test]
    fn a_month_without_the_day_is_passed_over() {
        assert_eq!(
            times("FREQ=MONTHLY;COUNT=3", "2026-01-31T02:00"),
            "01-31 02:00, 03-31 02:00, 05-31 02:00"
        );
    }

    #[rstest]
    #[case::before("2026-01-04T01:59:59+02:00", None)]
    #[case::begins("2026-01-04T02:00:00+02:00", Some("2026-01-04T02:00:00+02:00"))]
    #[case::lasts("2026-01-04T03:59:59+02:00", Some("2026-01-04T02:00:00+02:00"))]
    #[case::over("2026-01-04T04:00:00+02:00", None)]
    #[case::not_yet("2025-12-28T03:00:00+02:00", None)]
    #[case::years_later("2031-07-06T03:00:00+03:00", Some("2031-07-06T02:00:00+03:00"))]
    fn the_latest_is_found(#[case] now: &str, #[case] latest: Option<&str>) {
        let rule = read("FREQ=WEEKLY", FIRST).unwrap();
        let found = rule.latest(now.parse().unwrap(), SignedDuration::from_hours(2));
        assert_eq!(found, latest.map(|at| at.parse().unwrap()));
    }

    #[rstest]
    #[case::yearly("FREQ=YEARLY", "`FREQ=YEARLY` is not done here: DAILY, WEEKLY and MONTHLY are")]
    #[case::none("INTERVAL=2", "it needs `FREQ=DAILY`, `FREQ=WEEKLY` or `FREQ=MONTHLY`")]
    #[case::both("FREQ=DAILY;COUNT=1;UNTIL=20270101", "`COUNT` and `UNTIL` do not go together")]
    #[case::twice("FREQ=DAILY;FREQ=DAILY", "`FREQ` stands there twice")]
    #[case::place("FREQ=WEEKLY;BYDAY=1SU", "only with `FREQ=MONTHLY` a day has a place, as in `BYDAY=1SU`")]
    #[case::day("FREQ=WEEKLY;BYDAY=é", "`é` is no day like `SU`, or `1SU` for a month's first Sunday")]
    #[case::hour("FREQ=DAILY;BYHOUR=24", "`BYHOUR=24` is no number from 0 to 23")]
    #[case::other(
        "FREQ=DAILY;BYSETPOS=1",
        "`BYSETPOS` is not done here: FREQ, INTERVAL, COUNT, UNTIL, BYDAY, BYHOUR and BYMINUTE are"
    )]
    #[case::until("FREQ=DAILY;UNTIL=soon", "`UNTIL=soon` is no time like `20261231T235959Z`")]
    #[case::never("FREQ=DAILY;INTERVAL=7;BYDAY=MO;COUNT=1", "it does not come 1 times")]
    fn what_is_not_done_is_refused(#[case] rule: &str, #[case] why: &str) {
        assert_eq!(read(rule, FIRST), Err(why.to_owned()));
    }
}
