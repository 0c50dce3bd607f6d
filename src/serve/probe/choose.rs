//! From a target to the one address that is asked, as `blackbox_exporter` chooses it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::Instant;
use url::{Host, Url};

use super::Attempt;
use super::failed;
use super::sheet::Sheet;
use crate::probe::connect::Authority;
use crate::sample::{Cause, Phase, Reason};
use crate::serve::blackbox::Preference;

/// What was chosen, and how long it took to look it up.
pub(super) struct Chosen {
    pub(super) took: Duration,
    pub(super) address: Result<SocketAddr, Cause>,
}

/// The first address of `host` in the family that is preferred, or, where that will do, in the other.
pub(super) async fn choose(
    host: &str,
    port: u16,
    preference: Preference,
    at: &Attempt<'_>,
    sheet: &mut Sheet,
) -> Chosen {
    let began = Instant::now();
    let found = at.deadline.run(Phase::Resolve, tokio::net::lookup_host((host, port))).await;
    let took = began.elapsed();
    let unresolved =
        |why: &dyn std::fmt::Display| Cause::new(Reason::Dns, format!("`{host}` does not resolve: {why}"));
    let found = found.and_then(|found| found.map_err(|why| unresolved(&why)));
    let found: Result<Vec<SocketAddr>, Cause> = found.map(Iterator::collect);
    let address = found.and_then(|found| {
        let wanted = |address: &&SocketAddr| address.ip().to_canonical().is_ipv6() == preference.six;
        let other = || found.first().filter(|_| preference.fallback);
        let family = if preference.six { "IPv6" } else { "IPv4" };
        let chosen = found.iter().find(wanted).or_else(other).copied();
        chosen.ok_or_else(|| unresolved(&format!("no {family} address, and no other will do")))
    });
    sheet.address(took, address.as_ref().ok().map(SocketAddr::ip));
    if let Ok(address) = &address {
        sheet.say(format!("`{host}` is at {}", address.ip()));
    }
    Chosen { took, address }
}

/// Where a URL points.
pub(super) fn host_and_port(url: &Url) -> Result<(String, u16), Cause> {
    let port = url.port_or_known_default().filter(|port| *port != 0);
    let host = url.host().map(|host| match host {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(ip) => ip.to_string(),
        Host::Ipv6(ip) => ip.to_string(),
    });
    host.zip(port).ok_or_else(|| failed(format!("`{url}` names no host and port")))
}

/// A target that is a host and a port, or a host alone where there is a usual port.
pub(super) fn split(target: &str, usual: Option<u16>) -> Result<(String, u16), Cause> {
    let bare = target.parse::<IpAddr>().is_ok();
    let (host, port) = match target.rsplit_once(':').filter(|_| !bare) {
        Some((host, port)) => (host, port.parse().ok()),
        None => (target, usual),
    };
    let port = port.filter(|port| *port != 0);
    let port = port.ok_or_else(|| failed(format!("`{target}` is not a host and a port, like `db:5432`")))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    if host.is_empty() { Err(failed(format!("`{target}` names no host"))) } else { Ok((host, port)) }
}

/// The host and the port as connections take them.
pub(super) fn authority(host: &str, port: u16) -> Result<Authority, Cause> {
    let host = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => Host::Ipv4(ip),
        Ok(IpAddr::V6(ip)) => Host::Ipv6(ip),
        Err(_) => Host::parse(host).map_err(|why| failed(format!("`{host}`: {why}")))?,
    };
    Ok(Authority { host, port })
}
