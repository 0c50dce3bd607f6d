//! Times in which a scenario is not run, as something is being worked on.

use std::fmt;
use std::str::FromStr as _;
use std::time::Duration;

use croner::Cron;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::finding::{Code, Finding, Findings};
use crate::source::At;
use crate::units::Span;

/// A time that comes again, in which `serve` does not run the scenario.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceWritten {
    /// When it begins, as cron has it: minute, hour, day of the month, month, day of the week.
    cron: At<String>,
    /// How long it lasts.
    #[serde(rename = "for")]
    lasts: At<Span>,
    /// The time zone of `cron`, as `Europe/Kyiv`; UTC unless said.
    zone: Option<At<String>>,
    /// What is being worked on.
    about: Option<String>,
}

/// A time that comes again, in which nothing is run.
#[derive(Clone)]
pub struct Maintenance {
    begins: Cron,
    lasts: Duration,
    zone: TimeZone,
    /// What is being worked on.
    pub about: Option<String>,
}

impl fmt::Debug for Maintenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = self.zone.iana_name().unwrap_or_default();
        write!(f, "{} {zone} for {:?}, {:?}", self.begins.as_str(), self.lasts, self.about)
    }
}

impl Maintenance {
    /// When it ends, if it lasts at `now`.
    #[must_use]
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        let here = now.to_zoned(self.zone.clone());
        let began = self.begins.find_previous_occurrence(&here, true).ok()?.timestamp();
        let end = began.checked_add(SignedDuration::try_from(self.lasts).ok()?).ok()?;
        (began <= now && now < end).then_some(end)
    }
}

impl MaintenanceWritten {
    pub(super) fn check(self, findings: &mut Findings) -> Option<Maintenance> {
        let begins = match Cron::from_str(&self.cron.value) {
            // With seconds it would have six fields, which every other cron takes for something else.
            Ok(begins) if self.cron.value.split_whitespace().count() <= 5 => Some(begins),
            Ok(_) => {
                let title = "a time has five fields: minute, hour, day of the month, month, day of the week";
                findings.add(Finding::new(Code::FileValue, self.cron.place, title));
                None
            }
            Err(why) => {
                let title = format!("`{}` is no time as cron has it: {why}", self.cron.value);
                let finding = Finding::new(Code::FileValue, self.cron.place, title);
                findings.add(finding.help("write minute, hour, day, month and weekday: `0 2 * * SUN`"));
                None
            }
        };
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
            begins: Cron::from_str("0 2 * * SUN").unwrap(),
            lasts: Duration::from_secs(7200),
            zone: TimeZone::get("Europe/Kyiv").unwrap(),
            about: None,
        };
        assert_eq!(maintenance.until(at(now)), until.map(at));
    }

    #[test]
    fn one_that_never_comes_never_lasts() {
        let maintenance = Maintenance {
            begins: Cron::from_str("0 0 31 2 *").unwrap(),
            lasts: Duration::from_secs(60),
            zone: TimeZone::UTC,
            about: None,
        };
        assert_eq!(maintenance.until(at("2026-11-22T00:00:00Z")), None);
    }
}
