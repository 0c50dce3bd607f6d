//! Echo requests to a host, as written and as checked.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::expect::Answer;
use super::probe::{Holes, Kind};
use super::template::Template;
use crate::finding::{Code, Finding, Findings};
use crate::source::At;
use crate::units::Span;

/// How many echoes are asked for unless the step says otherwise.
const COUNT: u16 = 3;

/// The most echoes one attempt may ask for.
const MOST: u16 = 1000;

/// From one request to the next unless the step says otherwise.
const INTERVAL: Duration = Duration::from_millis(200);

/// A host is not flooded.
const LEAST_INTERVAL: Duration = Duration::from_millis(10);

/// The bytes carried unless the step says otherwise; what `ping` carries.
const SIZE: u16 = 56;

/// The most that an IPv4 datagram holds besides its own header and ICMP's.
const MOST_SIZE: u16 = 65_507;

/// Echo requests to one host. What is not answered by the step's `timeout` is lost.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IcmpWritten {
    /// A name, whose first address is asked, or an address.
    host: At<Template>,
    /// How many requests; 3 unless said.
    #[schemars(with = "Option<u16>", range(min = 1, max = MOST))]
    count: Option<At<u16>>,
    /// From one request to the next; 200ms unless said.
    interval: Option<At<Span>>,
    /// How many bytes each carries; 56 unless said.
    #[schemars(with = "Option<u16>", range(max = MOST_SIZE))]
    size: Option<At<u16>>,
}

/// Echo requests to one host, checked.
#[derive(Debug, Clone)]
pub struct Icmp {
    /// A name, whose first address is asked, or an address.
    pub host: At<Template>,
    /// How many requests; at least one.
    pub count: u16,
    /// From one request to the next.
    pub interval: Duration,
    /// How many bytes each carries.
    pub size: u16,
}

impl IcmpWritten {
    /// Checks what was written for a step with this deadline.
    pub fn check(self, timeout: Duration, findings: &mut Findings) -> Icmp {
        if let Some(count) = self.count.filter(|count| !(1..=MOST).contains(&count.value)) {
            let title = format!("between 1 and {MOST} echoes are asked for");
            findings.add(Finding::new(Code::FileValue, count.place, title));
        }
        if let Some(interval) = self.interval.filter(|interval| interval.value.0 < LEAST_INTERVAL) {
            let title = format!("echoes are asked for at most every {}", Span(LEAST_INTERVAL));
            findings.add(Finding::new(Code::FileValue, interval.place, title));
        }
        if let Some(size) = self.size.filter(|size| size.value > MOST_SIZE) {
            let title = format!("an echo carries at most {MOST_SIZE} bytes");
            findings.add(Finding::new(Code::FileValue, size.place, title));
        }
        let icmp = Icmp {
            count: self.count.map_or(COUNT, |count| count.value),
            interval: self.interval.map_or(INTERVAL, |interval| interval.value.0),
            size: self.size.map_or(SIZE, |size| size.value),
            host: self.host,
        };
        let last = icmp.interval.saturating_mul(u32::from(icmp.count.saturating_sub(1)));
        if last >= timeout {
            let title = format!("the last echo is asked for after {}, when the step is over", Span(last));
            let finding = Finding::new(Code::FileValue, icmp.host.place, title);
            findings.add(finding.help(format!("the step's `timeout` is {}", Span(timeout))));
        }
        icmp
    }
}

impl Kind for Icmp {
    fn kind(&self) -> &'static str {
        "icmp"
    }

    fn subject(&self) -> String {
        format!("icmp {}", self.host)
    }

    fn answer(&self) -> Answer {
        Answer::Echo
    }

    fn holes(&self) -> Holes<'_> {
        Box::new(self.host.holes().map(|hole| (hole, self.host.place)))
    }
}
