//! Times in which a scenario is not run, as something is being worked on.

use std::fmt;
use std::str::FromStr as _;
use std::time::Duration;

use croner::Cron;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;

use super::recurrence::Recurrence;
use crate::finding::{Code, Finding, Findings};
use crate::source::At;
use crate::units::Span;

/// A time that comes again, in which `serve` does not run the scenario.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceWritten {
    /// When it begins, as cron has it: minute, hour, day of the month, month, day of the week.
    cron: Option<At<String>>,
    /// When it begins, as calendars have it: `FREQ=MONTHLY;BYDAY=1SU`.
    rrule: Option<At<String>>,
    /// The first time of `rrule`, by the clocks of `zone`: `2026-01-04T02:00`.
    from: Option<At<String>>,
    /// How long it lasts.
    #[serde(rename = "for")]
    lasts: At<Span>,
    /// The time zone of `cron` or `rrule`, as `Europe/Kyiv`; UTC unless said.
    zone: Option<At<String>>,
    /// What is being worked on.
    about: Option<String>,
}

/// A time that comes again, in which nothing is run.
#[derive(Clone)]
pub struct Maintenance {
    begins: Begins,
    lasts: Duration,
    zone: TimeZone,
    /// What is being worked on.
    pub about: Option<String>,
}

/// When something begins, again and again.
#[derive(Clone)]
enum Begins {
    Cron(Box<Cron>),
    Rule(Recurrence),
}

impl fmt::Debug for Begins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cron(cron) => f.write_str(cron.as_str()),
            Self::Rule(rule) => rule.fmt(f),
        }
    }
}

impl fmt::Debug for Maintenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = self.zone.iana_name().unwrap_or_default();
        write!(f, "{:?} {zone} for {:?}, {:?}", self.begins, self.lasts, self.about)
    }
}

impl Maintenance {
    /// When it ends, if it lasts at `now`.
    #[must_use]
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        let lasts = SignedDuration::try_from(self.lasts).ok()?;
        let began = match &self.begins {
            Begins::Cron(cron) => {
                let here = now.to_zoned(self.zone.clone());
                cron.find_previous_occurrence(&here, true).ok()?.timestamp()
            }
            Begins::Rule(rule) => rule.latest(now, lasts)?,
        };
        let end = began.checked_add(lasts).ok()?;
        (began <= now && now < end).then_some(end)
    }
}

impl MaintenanceWritten {
    pub(super) fn check(self, findings: &mut Findings) -> Option<Maintenance> {
        let zone = match &self.zone {
            None => Some(TimeZone::UTC),
            Some(at) => {
                let zone = TimeZone::get(&at.value).ok();
                if zone.is_none() {
                    let title = format!("`{}` is no time zone", at.value);
                    findings.add(
                        Finding::new(Code::FileValue, at.place, title).help("write one like `Europe/Kyiv`"),
                    );
                }
                zone
            }
        };
        let begins = self.begins(zone.clone(), findings);
        if self.lasts.value.0.is_zero() {
            findings.add(Finding::new(
                Code::FileValue,
                self.lasts.place,
                "a maintenance lasts for some time",
            ));
        }
        Some(Maintenance { begins: begins?, lasts: self.lasts.value.0, zone: zone?, about: self.about })
    }
}

impl MaintenanceWritten {
    fn begins(&self, zone: Option<TimeZone>, findings: &mut Findings) -> Option<Begins> {
        match (&self.cron, &self.rrule, &self.from) {
            (Some(cron), None, None) => by_cron(cron, findings),
            (None, Some(rule), Some(from)) => by_rule(rule, from, zone?, findings),
            (None, Some(rule), None) => {
                let title = "a rule counts from its first time";
                let finding = Finding::new(Code::FileValue, rule.place, title);
                findings.add(finding.help("write it beside: `from: 2026-01-04T02:00`"));
                None
            }
            (Some(_), None, Some(from)) => {
                findings.add(Finding::new(Code::FileValue, from.place, "`from` belongs to `rrule`"));
                None
            }
            (Some(_), Some(rule), _) => {
                let title = "a maintenance begins by `cron` or by `rrule`, not by both";
                findings.add(Finding::new(Code::FileValue, rule.place, title));
                None
            }
            (None, None, _) => {
                let title = "when does it begin? a maintenance needs `cron` or `rrule`";
                let finding = Finding::new(Code::FileValue, self.lasts.place, title);
                findings.add(finding.help("write one like `cron: \"0 2 * * SUN\"`"));
                None
            }
        }
    }
}

fn by_cron(at: &At<String>, findings: &mut Findings) -> Option<Begins> {
    match Cron::from_str(&at.value) {
        // With seconds it would have six fields, which every other cron takes for something else.
        Ok(begins) if at.value.split_whitespace().count() <= 5 => Some(Begins::Cron(Box::new(begins))),
        Ok(_) => {
            let title = "a time has five fields: minute, hour, day of the month, month, day of the week";
            findings.add(Finding::new(Code::FileValue, at.place, title));
            None
        }
        Err(why) => {
            let title = format!("`{}` is no time as cron has it: {why}", at.value);
            let finding = Finding::new(Code::FileValue, at.place, title);
            findings.add(finding.help("write minute, hour, day, month and weekday: `0 2 * * SUN`"));
            None
        }
    }
}

fn by_rule(rule: &At<String>, from: &At<String>, zone: TimeZone, findings: &mut Findings) -> Option<Begins> {
    let Ok(first) = from.value.parse::<DateTime>() else {
        let title = format!("`{}` is no date with a time", from.value);
        let finding = Finding::new(Code::FileValue, from.place, title);
        findings.add(finding.help("write one like `2026-01-04T02:00`; `zone` says whose clocks show it"));
        return None;
    };
    match Recurrence::parse(&rule.value, first, zone) {
        Ok(rule) => Some(Begins::Rule(rule)),
        Err(why) => {
            let title = format!("`{}` is no rule that is known here", rule.value);
            findings.add(Finding::new(Code::FileValue, rule.place, title).label(why));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[rstest]
    #[case::before("2026-11-22T01:59:59+02:00", None)]
    #[case::begins("2026-11-22T02:00:00+02:00", Some("2026-11-22T04:00:00+02:00"))]
    #[case::within("2026-11-22T03:59:59+02:00", Some("2026-11-22T04:00:00+02:00"))]
    #[case::over("2026-11-22T04:00:00+02:00", None)]
    #[case::another_day("2026-11-23T03:00:00+02:00", None)]
    #[case::summer("2026-07-26T02:30:00+03:00", Some("2026-07-26T04:00:00+03:00"))]
    fn it_lasts_from_when_it_begins_in_its_zone(#[case] now: &str, #[case] until: Option<&str>) {
        let maintenance = Maintenance {
            begins: Begins::Cron(Box::new(Cron::from_str("0 2 * * SUN").unwrap())),
            lasts: Duration::from_secs(7200),
            zone: TimeZone::get("Europe/Kyiv").unwrap(),
            about: None,
        };
        assert_eq!(maintenance.until(at(now)), until.map(at));
    }

    #[test]
    fn one_that_never_comes_never_lasts() {
        let maintenance = Maintenance {
            begins: Begins::Cron(Box::new(Cron::from_str("0 0 31 2 *").unwrap())),
            lasts: Duration::from_secs(60),
            zone: TimeZone::UTC,
            about: None,
        };
        assert_eq!(maintenance.until(at("2026-11-22T00:00:00Z")), None);
    }
}
