//! Which addresses may be connected to, decided on the address itself and not on the name it came from.
//!
//! Everything may be, save where machines keep what only they should see. `--deny-net` closes more and always
//! wins. `--allow-net` of a network within a closed one opens it; of any other network, it turns the policy into a
//! list, and nothing outside of it is connected to. A network wider than a closed one does not open it: whoever
//! allows `0.0.0.0/0` did not think of credentials.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::Host;

use crate::sample::{Cause, Reason};
use crate::source::At;

/// A network of addresses: `10.0.0.0/8`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Net(IpNet);

/// Why a text is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a network is like `10.0.0.0/8`, `fd00::/8` or `192.0.2.7`")]
pub struct NotANet;

impl Net {
    fn contains(&self, ip: IpAddr) -> bool {
        self.0.contains(&ip)
    }

    /// The closed network that this one lies within.
    fn closed(&self) -> Option<&'static Closed> {
        CLOSED.iter().find(|closed| closed.net.contains(&self.0))
    }
}

impl FromStr for Net {
    type Err = NotANet;

    fn from_str(text: &str) -> Result<Self, NotANet> {
        let net = match text.parse::<IpNet>() {
            Ok(net) => net.trunc(),
            Err(_) => text.parse::<IpAddr>().map_err(|_| NotANet)?.into(),
        };
        // Addresses are compared as what they stand for, and so are networks.
        let mapped = match net {
            IpNet::V6(six) if six.prefix_len() >= 96 => six.network().to_ipv4_mapped(),
            IpNet::V4(_) | IpNet::V6(_) => None,
        };
        Ok(Self(match mapped.map(|ip| Ipv4Net::new(ip, net.prefix_len() - 96)) {
            Some(Ok(four)) => IpNet::V4(four),
            Some(Err(_)) | None => net,
        }))
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A network that is closed unless it is opened by name.
#[derive(Debug)]
struct Closed {
    net: IpNet,
    why: &'static str,
}

const fn four(a: u8, b: u8, c: u8, d: u8, prefix: u8, why: &'static str) -> Closed {
    Closed { net: IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)), why }
}

const fn six(bits: u128, prefix: u8, why: &'static str) -> Closed {
    Closed { net: IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from_bits(bits), prefix)), why }
}

/// Where clouds serve what a machine is and may do, credentials among it, to whoever asks from within.
const CLOSED: [Closed; 9] = [
    // 169.254.169.254 on AWS, Azure, Google Cloud, OpenStack, Oracle, DigitalOcean, Hetzner and IBM,
    // 169.254.170.2 and .23 for tasks and pods on AWS, 169.254.42.42 on Scaleway, 169.254.0.23 on Tencent.
    four(169, 254, 0, 0, 16, "link-local, where clouds serve instance metadata"),
    // fe80::a9fe:a9fe on OpenStack.
    six(0xfe80 << 112, 10, "link-local, where clouds serve instance metadata"),
    // fd00:ec2::254, and ::23 for the credentials of pods.
    six(0xfd00_0ec2 << 96, 32, "where AWS serves instance metadata"),
    six(0xfd20_00ce_0000_0000_0000_0000_0000_0254, 128, "where Google Cloud serves instance metadata"),
    six(0xfd00_00c1_0000_0000_0000_0000_a9fe_a9fe, 128, "where Oracle Cloud serves instance metadata"),
    four(192, 0, 0, 192, 32, "where Oracle Cloud served instance metadata before"),
    six(0xfd00_0042_0000_0000_0000_0000_0000_0042, 128, "where Scaleway serves instance metadata"),
    // In the space of carrier-grade NAT, so not link-local.
    four(100, 100, 100, 200, 32, "where Alibaba Cloud serves instance metadata"),
    // Among other things the certificates that extensions of a machine are given.
    four(168, 63, 129, 16, 32, "where Azure serves a machine's goal state"),
];

/// Where only those within are to get: private networks, this machine, and what is no single machine's.
const PRIVATE: [&str; 14] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::1/128",
    "fc00::/7",
    "fec0::/10",
    "ff00::/8",
];

/// Which addresses may be connected to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    allow: Vec<Net>,
    deny: Vec<Net>,
    /// Hosts that may be loaded, beside this machine.
    targets: Vec<String>,
    /// Whether it is a load's, which is not led to any other host.
    of_load: bool,
}

impl Policy {
    /// The policy of these `--allow-net` and `--deny-net`.
    #[must_use]
    pub fn new(allow: Vec<Net>, deny: Vec<Net>) -> Self {
        Self { allow, deny, ..Self::default() }
    }

    /// The policy by which these hosts may be loaded too: each `--allow-target`.
    #[must_use]
    pub fn with_targets(self, targets: Vec<String>) -> Self {
        Self { targets, ..self }
    }

    /// Why no load is sent to `host`, if none is: it is neither this machine, nor among those that are allowed here
    /// or in the scenario.
    #[must_use]
    pub fn forbids_load(&self, host: &Host, scenario: &[At<String>]) -> Option<String> {
        let here = match host {
            Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
            Host::Ipv4(ip) => meant(IpAddr::V4(*ip)).is_loopback(),
            Host::Ipv6(ip) => meant(IpAddr::V6(*ip)).is_loopback(),
        };
        let name = host.to_string();
        let allowed = self.targets.contains(&name) || scenario.iter().any(|allowed| allowed.value == name);
        (!here && !allowed).then(|| {
            format!(
                "load on `{name}` is not sent: it is not this machine, and whoever runs it must have agreed; \
                 `--allow-target {name}`, or `allow_targets: [\"{name}\"]` beside the load, says so"
            )
        })
    }

    /// The policy of a load that may go to these hosts too: where an answer leads to another, it is not followed.
    #[must_use]
    pub fn of_load(&self, allowed: Vec<String>) -> Self {
        let targets = self.targets.iter().cloned().chain(allowed).collect();
        Self { targets, of_load: true, ..self.clone() }
    }

    /// Why an answer is not followed to `host`, if it is not.
    ///
    /// # Errors
    /// That it is part of a load, and nobody has agreed to load that host.
    pub fn follows(&self, host: &Host) -> Result<(), Cause> {
        match self.forbids_load(host, &[]).filter(|_| self.of_load) {
            None => Ok(()),
            Some(why) => Err(Cause::new(Reason::Policy, format!("the redirect is not followed: {why}"))),
        }
    }

    /// The policy for targets that anybody may name: what is private is closed too. `allow` of a network that is not
    /// closed already is a list, and nothing outside of it is connected to.
    #[must_use]
    pub fn for_strangers(allow: Vec<Net>) -> Self {
        let listed = allow.iter().any(|net| net.closed().is_none());
        let private = PRIVATE.iter().filter_map(|net| net.parse().ok());
        Self {
            allow,
            targets: Vec::new(),
            of_load: false,
            deny: if listed { Vec::new() } else { private.collect() },
        }
    }

    /// Whether `ip` may be connected to.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn check(&self, ip: IpAddr) -> Result<(), Cause> {
        let meant = meant(ip);
        let rule = self.closes(meant).or_else(|| embedded(meant).and_then(|inner| self.closes(inner)));
        match rule.or_else(|| self.leaves_out(meant)) {
            None => Ok(()),
            Some(rule) => Err(Cause::new(Reason::Policy, format!("`{ip}` must not be connected to: {rule}"))),
        }
    }

    /// The rule by which `ip` is closed.
    fn closes(&self, ip: IpAddr) -> Option<String> {
        if let Some(net) = self.deny.iter().find(|net| net.contains(ip)) {
            return Some(format!("`--deny-net {net}`"));
        }
        let closed = CLOSED.iter().find(|closed| closed.net.contains(&ip))?;
        let opened = self.allow.iter().any(|net| net.contains(ip) && net.closed().is_some());
        (!opened).then(|| format!("{} is {}; `--allow-net {ip}` opens it", closed.net, closed.why))
    }

    /// The rule by which `ip` is not on the list, where there is one.
    fn leaves_out(&self, ip: IpAddr) -> Option<String> {
        let listed = self.allow.iter().any(|net| net.closed().is_none());
        (listed && !self.allow.iter().any(|net| net.contains(ip)))
            .then(|| "it is in no network of `--allow-net`".to_owned())
    }
}

/// The address that is reached at `ip`: an IPv4 address may be written as IPv6, and none at all is this machine.
fn meant(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        canonical @ (IpAddr::V4(_) | IpAddr::V6(_)) => canonical,
    }
}

/// The IPv4 address that a translator (RFC 6052) or a tunnel (RFC 3056) makes of `ip`.
fn embedded(ip: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(ip) = ip else { return None };
    let four = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)).into();
    match ip.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => Some(four(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn nets(text: &str) -> Vec<Net> {
        text.split_whitespace().map(|net| net.parse().unwrap()).collect()
    }

    /// What the policy of these options says of an address; empty where it may be connected to.
    fn said(allow: &str, deny: &str, ip: &str) -> String {
        let checked = Policy::new(nets(allow), nets(deny)).check(ip.parse().unwrap());
        checked.err().map(|cause| cause.message).unwrap_or_default()
    }

    fn passes(allow: &str, deny: &str, ip: &str) -> bool {
        said(allow, deny, ip).is_empty()
    }

    #[rstest]
    #[case::aws_and_most_others("169.254.169.254")]
    #[case::aws_tasks("169.254.170.2")]
    #[case::aws_six("fd00:ec2::254")]
    #[case::google_six("fd20:ce::254")]
    #[case::openstack_six("fe80::a9fe:a9fe")]
    #[case::oracle_six("fd00:c1::a9fe:a9fe")]
    #[case::oracle_classic("192.0.0.192")]
    #[case::scaleway_six("fd00:42::42")]
    #[case::alibaba("100.100.100.200")]
    #[case::azure_wire("168.63.129.16")]
    #[case::mapped("::ffff:169.254.169.254")]
    #[case::translated("64:ff9b::a9fe:a9fe")]
    #[case::tunnelled("2002:a9fe:a9fe::1")]
    fn metadata_is_closed(#[case] ip: &str) {
        assert!(!passes("", "", ip));
        assert!(!passes("0.0.0.0/0 ::/0", "", ip), "a wide network is no key to it");
    }

    #[rstest]
    #[case::loopback("127.0.0.1")]
    #[case::loopback_six("::1")]
    #[case::private("10.1.2.3")]
    #[case::unique_local("fd00:ec3::1")]
    #[case::carrier_grade("100.100.100.201")]
    #[case::public("192.0.2.1")]
    fn everything_else_is_open(#[case] ip: &str) {
        assert!(passes("", "", ip));
    }

    #[rstest]
    #[case::opened("169.254.0.0/16", "", "169.254.169.254", true)]
    #[case::opened_in_part("169.254.169.254", "", "169.254.170.2", false)]
    #[case::opening_is_no_list("169.254.169.254", "", "192.0.2.1", true)]
    #[case::opened_and_denied("169.254.0.0/16", "169.254.169.254", "169.254.169.254", false)]
    #[case::listed("10.0.0.0/8", "", "10.1.2.3", true)]
    #[case::not_listed("10.0.0.0/8", "", "192.0.2.1", false)]
    #[case::other_family("10.0.0.0/8", "", "::1", false)]
    #[case::listed_and_denied("10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", false)]
    #[case::denied("", "10.0.0.0/8", "10.1.2.3", false)]
    #[case::denied_mapped("", "10.0.0.0/8", "::ffff:10.1.2.3", false)]
    #[case::denied_translated("", "10.0.0.0/8", "64:ff9b::10.1.2.3", false)]
    #[case::deny_written_mapped("", "::ffff:10.0.0.0/104", "10.1.2.3", false)]
    #[case::listed_translator("64:ff9b::/96", "", "64:ff9b::8.8.8.8", true)]
    #[case::list_and_opened("10.0.0.0/8 169.254.169.254", "", "169.254.169.254", true)]
    #[case::nowhere_is_here("", "127.0.0.0/8", "0.0.0.0", false)]
    #[case::nowhere_is_here_six("", "::1", "::", false)]
    #[case::host_bits("10.1.2.3/8", "", "10.9.9.9", true)]
    fn deny_wins_and_allow_is_a_key_or_a_list(
        #[case] allow: &str,
        #[case] deny: &str,
        #[case] ip: &str,
        #[case] open: bool,
    ) {
        assert_eq!(passes(allow, deny, ip), open);
    }

    #[rstest]
    #[case::closed(
        "",
        "",
        "169.254.169.254",
        "`169.254.169.254` must not be connected to: 169.254.0.0/16 is link-local, where clouds serve instance \
         metadata; `--allow-net 169.254.169.254` opens it"
    )]
    #[case::denied(
        "",
        "10.0.0.0/8",
        "10.1.2.3",
        "`10.1.2.3` must not be connected to: `--deny-net 10.0.0.0/8`"
    )]
    #[case::unlisted(
        "10.0.0.0/8",
        "",
        "::1",
        "`::1` must not be connected to: it is in no network of `--allow-net`"
    )]
    fn a_refusal_names_address_and_rule(
        #[case] allow: &str,
        #[case] deny: &str,
        #[case] ip: &str,
        #[case] message: &str,
    ) {
        assert_eq!(said(allow, deny, ip), message);
    }

    #[rstest]
    #[case::name("shop.test")]
    #[case::long_prefix("10.0.0.0/33")]
    #[case::port("10.0.0.1:80")]
    #[case::empty("")]
    fn what_is_not_a_network_is_refused(#[case] text: &str) {
        assert_eq!(text.parse::<Net>(), Err(NotANet));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_network_parser_panic(text in "[0-9a-f:./]{0,30}|.{0,20}") {
            let _ = text.parse::<Net>();
        }

        #[test]
        fn an_address_and_its_mapped_form_are_one(bits: u32, deny: u32, prefix in 0_u8..=32) {
            let ip = Ipv4Addr::from_bits(bits);
            let policy = Policy::new(vec![], vec![Net(Ipv4Net::new(Ipv4Addr::from_bits(deny), prefix).unwrap().into())]);
            let mapped = policy.check(ip.to_ipv6_mapped().into());
            prop_assert_eq!(policy.check(ip.into()).is_ok(), mapped.is_ok());
        }
    }
}
