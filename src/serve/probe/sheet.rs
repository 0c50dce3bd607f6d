//! What a probe has to show: series under the names of `blackbox_exporter`, and what happened, in order.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::exposition::{Family, Kind, Labels};
use crate::serve::histogram::{family, sample};

/// Series by name, as they come to be known.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    families: BTreeMap<&'static str, Family>,
    pub(super) log: Vec<String>,
}

impl Sheet {
    /// Sets a series without labels.
    pub(super) fn set(&mut self, name: &'static str, help: &str, value: f64) {
        self.set_with(name, help, Labels::new(), value);
    }

    /// Sets a series; what was said of the same labels before is forgotten.
    pub(super) fn set_with(&mut self, name: &'static str, help: &str, labels: Labels, value: f64) {
        let family = self.families.entry(name).or_insert_with(|| family(name, Kind::Gauge, help));
        family.samples.retain(|sample| sample.labels != labels);
        family.samples.push(sample(name, labels, value));
    }

    /// Sets how long each phase took.
    pub(super) fn phases(&mut self, name: &'static str, help: &str, phases: &[(&str, Duration)]) {
        for (phase, time) in phases {
            self.set_with(name, help, labels([("phase", *phase)]), time.as_secs_f64());
        }
    }

    /// Notes what happened.
    pub(super) fn say(&mut self, what: impl Into<String>) {
        self.log.push(what.into());
    }

    /// The address of a name that was looked up for so long, where there is one.
    pub(super) fn address(&mut self, lookup: Duration, ip: Option<IpAddr>) {
        let help = "Returns the time taken for probe dns lookup in seconds";
        self.set("probe_dns_lookup_time_seconds", help, lookup.as_secs_f64());
        let number = ip.map_or(0.0, |ip| f64::from(hash(ip)));
        let help = "Specifies the hash of IP address. It's useful to detect if the IP address changes.";
        self.set("probe_ip_addr_hash", help, number);
        let version = ip.map_or(0.0, |ip| if ip.to_canonical().is_ipv4() { 4.0 } else { 6.0 });
        self.set("probe_ip_protocol", "Specifies whether probe ip protocol is IP4 or IP6", version);
    }

    /// Whether it failed because something did not match.
    pub(super) fn unmatched(&mut self, unmatched: bool) {
        self.set("probe_failed_due_to_regex", "Indicates if probe failed due to regex", truth(unmatched));
    }

    /// Everything, by name.
    pub(super) fn families(&self) -> Vec<Family> {
        self.families.values().cloned().collect()
    }
}

/// 1 for what is so, 0 for what is not.
pub(super) fn truth(so: bool) -> f64 {
    f64::from(u8::from(so))
}

/// A size as a metric's value.
#[expect(clippy::cast_precision_loss, reason = "every value of a metric is a float")]
pub(super) fn size(count: usize) -> f64 {
    count as f64
}

pub(super) fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// FNV-1a of an address, as `blackbox_exporter` has it: to see that it changes.
fn hash(ip: IpAddr) -> u32 {
    let add = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.octets().into_iter().fold(0x811c_9dc5, add),
        IpAddr::V6(ip) => ip.octets().into_iter().fold(0x811c_9dc5, add),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::as_blackbox_exporter_has_it("127.0.0.1", 3_668_918_509)]
    #[case::mapped("::ffff:127.0.0.1", 3_668_918_509)]
    fn an_address_has_a_number(#[case] ip: IpAddr, #[case] number: u32) {
        assert_eq!(hash(ip), number);
    }
}
