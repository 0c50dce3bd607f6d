//! What a probe saw, as the series of `blackbox_exporter`.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use rustls::pki_types::CertificateDer;

use super::hash;
use crate::exposition::{Family, Kind, Labels};
use crate::probe::certificate;
use crate::probe::http::Exchange;
use crate::probe::tcp;
use crate::sample::{Cause, Phase, Phases};
use crate::serve::histogram::{family, sample};

/// What a probe saw.
#[derive(Debug)]
pub(super) struct Seen {
    result: Result<(), Cause>,
    peer: Option<SocketAddr>,
    lookup: Duration,
    /// Of the peer that answered last.
    chain: Vec<CertificateDer<'static>>,
    http: Option<Http>,
}

/// What a request saw.
#[derive(Debug, Default)]
struct Http {
    phases: [(&'static str, Duration); 5],
    length: f64,
    body: f64,
    redirects: f64,
    tls: bool,
    status: f64,
    version: f64,
    modified: Option<Timestamp>,
}

#[expect(clippy::cast_precision_loss, reason = "every value of a metric is a float")]
fn size(bytes: usize) -> f64 {
    bytes as f64
}

/// The five phases of `blackbox_exporter`, each over all redirects.
fn phases<'p>(all: &(impl Iterator<Item = &'p Phases> + Clone)) -> [(&'static str, Duration); 5] {
    let of = |wanted: &[Phase]| {
        let times = all.clone().flat_map(|phases| wanted.iter().filter_map(|phase| phases.get(*phase)));
        times.fold(Duration::ZERO, Duration::saturating_add)
    };
    [
        ("resolve", of(&[Phase::Resolve])),
        ("connect", of(&[Phase::Connect])),
        ("tls", of(&[Phase::Tls])),
        ("processing", of(&[Phase::Send, Phase::Wait])),
        ("transfer", of(&[Phase::Transfer])),
    ]
}

impl Seen {
    /// There was nothing to ask.
    pub(super) fn no_request(cause: Cause) -> Self {
        let http = Http { phases: phases(&std::iter::empty()), ..Http::default() };
        Self { result: Err(cause), peer: None, lookup: Duration::ZERO, chain: Vec::new(), http: Some(http) }
    }

    pub(super) fn of_http(exchange: Exchange) -> Self {
        let Exchange { hops, result } = exchange;
        let mut http = Http {
            phases: phases(&hops.iter().map(|hop| &hop.phases)),
            redirects: size(hops.len().saturating_sub(1)),
            ..Http::default()
        };
        let last = hops.last();
        http.status = last.and_then(|hop| hop.status).map_or(0.0, |status| f64::from(status.as_u16()));
        let result = result.and_then(|response| {
            http.tls = last.is_some_and(|hop| hop.url.scheme() == "https");
            http.version = version(response.version);
            let header = |name| response.headers.get(name).and_then(|value| value.to_str().ok());
            http.length =
                header(http::header::CONTENT_LENGTH).and_then(|text| text.parse().ok()).unwrap_or(-1.0);
            http.body = size(response.body.len());
            let modified = header(http::header::LAST_MODIFIED);
            http.modified = modified.and_then(|text| DateTimeParser::new().parse_timestamp(text).ok());
            let status = response.status;
            let invalid = || Cause::new(crate::sample::Reason::Status, format!("invalid status {status}"));
            if status.is_success() { Ok(()) } else { Err(invalid()) }
        });
        let lookup = hops.first().and_then(|hop| hop.phases.get(Phase::Resolve)).unwrap_or_default();
        let peer = hops.first().and_then(|hop| hop.peer);
        let chain = last.map(|hop| hop.chain.clone()).unwrap_or_default();
        Self { result, peer, lookup, chain, http: Some(http) }
    }

    pub(super) fn of_tcp(exchange: Option<tcp::Exchange>, result: Result<(), Cause>) -> Self {
        let (peer, lookup, chain) = exchange.map_or((None, None, Vec::new()), |exchange| {
            (exchange.peer, exchange.phases.get(Phase::Resolve), exchange.chain)
        });
        Self { result, peer, lookup: lookup.unwrap_or_default(), chain, http: None }
    }

    /// Why it failed, if it did.
    pub(super) fn cause(&self) -> Option<&Cause> {
        self.result.as_ref().err()
    }

    /// The series of an attempt that took so long.
    pub(super) fn families(&self, took: Duration) -> Vec<Family> {
        let protocol =
            self.peer.map_or(0.0, |peer| if peer.ip().to_canonical().is_ipv4() { 4.0 } else { 6.0 });
        let lookup = "Returns the time taken for probe dns lookup in seconds";
        let mut all = vec![
            gauge("probe_dns_lookup_time_seconds", lookup, self.lookup.as_secs_f64()),
            gauge(
                "probe_duration_seconds",
                "Returns how long the probe took to complete in seconds",
                took.as_secs_f64(),
            ),
            gauge("probe_failed_due_to_regex", "Indicates if probe failed due to regex", 0.0),
        ];
        if let Some(http) = &self.http {
            all.extend(http.families());
        }
        let number = self.peer.map_or(0.0, |peer| f64::from(hash(peer.ip())));
        let ip = "Specifies whether probe ip protocol is IP4 or IP6";
        all.push(gauge("probe_ip_addr_hash", "Specifies the hash of IP address", number));
        all.push(gauge("probe_ip_protocol", ip, protocol));
        let expiry = self.chain.iter().filter_map(|one| {
            let until = certificate::until(std::slice::from_ref(one))?;
            until.parse::<Timestamp>().ok()
        });
        if let Some(expiry) = expiry.min() {
            let help = "Returns the earliest expiry of the certificates that were shown, in unixtime";
            all.push(gauge("probe_ssl_earliest_cert_expiry", help, unixtime(expiry)));
        }
        let success = f64::from(u8::from(self.result.is_ok()));
        all.push(gauge("probe_success", "Displays whether or not the probe was a success", success));
        all
    }
}

impl Http {
    fn families(&self) -> Vec<Family> {
        let help = "Duration of http request by phase, summed over all redirects";
        let mut duration = family("probe_http_duration_seconds", Kind::Gauge, help);
        for (phase, time) in self.phases {
            let labels = Labels::from([("phase".to_owned(), phase.to_owned())]);
            duration.samples.push(sample("probe_http_duration_seconds", labels, time.as_secs_f64()));
        }
        let mut all = vec![
            gauge("probe_http_content_length", "Length of http content response", self.length),
            duration,
            gauge("probe_http_redirects", "The number of redirects", self.redirects),
            gauge(
                "probe_http_ssl",
                "Indicates if SSL was used for the final redirect",
                f64::from(u8::from(self.tls)),
            ),
            gauge("probe_http_status_code", "Response HTTP status code", self.status),
            gauge("probe_http_uncompressed_body_length", "Length of uncompressed response body", self.body),
            gauge("probe_http_version", "Returns the version of HTTP of the probe response", self.version),
        ];
        let help = "Returns the Last-Modified HTTP response header in unixtime";
        all.extend(
            self.modified.map(|at| gauge("probe_http_last_modified_timestamp_seconds", help, unixtime(at))),
        );
        all
    }
}

fn version(version: http::Version) -> f64 {
    match version {
        http::Version::HTTP_10 => 1.0,
        http::Version::HTTP_11 => 1.1,
        http::Version::HTTP_2 => 2.0,
        http::Version::HTTP_3 => 3.0,
        _ => 0.0,
    }
}

#[expect(clippy::cast_precision_loss, reason = "every value of a metric is a float")]
fn unixtime(at: Timestamp) -> f64 {
    at.as_second() as f64
}

fn gauge(name: &str, help: &str, value: f64) -> Family {
    let mut family = family(name, Kind::Gauge, help);
    family.samples.push(sample(name, Labels::new(), value));
    family
}
