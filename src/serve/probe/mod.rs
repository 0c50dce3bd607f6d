//! `/probe?target=…&module=…`: one attempt for whoever asks, in the terms of `blackbox_exporter`.
//!
//! Whoever asks names the target, and so may want to see through us what he could not see himself: private addresses
//! are closed unless they are opened, on the resolved address of every redirect.

mod shown;

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio::time::Instant;
use url::Url;

use self::shown::Seen;
use super::house::House;
use crate::exposition::{Dialect, print};
use crate::probe::connect::{Authority, Deadline, Options};
use crate::probe::{http as web, tcp};
use crate::sample::{Cause, Reason};
use crate::units::Size;

/// How many are probed for others at once; who comes then is told to come again.
pub(super) const MOST: usize = 1000;

/// What a probe may take where no scrape timeout is sent.
const LONGEST: Duration = Duration::from_secs(120);

/// What is left of a scrape's timeout for us to answer in.
const OFFSET: Duration = Duration::from_millis(500);

/// The longest text that a parameter may be.
const LONGEST_TEXT: usize = 2048;

/// The most that is read of a body.
const BODY_LIMIT: Size = Size(16 << 20);

/// Redirects that are followed, as by `blackbox_exporter`.
const REDIRECTS: u8 = 10;

/// What carries a scrape's timeout.
const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

/// A way to probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Module {
    /// A request that wants a status of 2xx.
    Http { post: bool },
    /// A connection.
    Tcp,
}

impl Module {
    fn named(name: &str) -> Option<Self> {
        match name {
            "http_2xx" => Some(Self::Http { post: false }),
            "http_post_2xx" => Some(Self::Http { post: true }),
            "tcp_connect" => Some(Self::Tcp),
            _ => None,
        }
    }
}

/// What is asked for.
#[derive(Debug)]
struct Asked {
    target: String,
    module: Module,
    /// The name to ask for, in place of the target's.
    hostname: Option<String>,
    debug: bool,
    timeout: Duration,
}

/// A status and what is said with it.
pub(super) type Answer = (StatusCode, String);

/// Probes what is asked for: the series as Prometheus text.
///
/// # Errors
/// What is wrong with the question, or that too many ask.
pub(super) async fn answer(query: &str, headers: &HeaderMap, house: &House) -> Result<String, Answer> {
    let asked = Asked::read(query, headers).map_err(|why| (StatusCode::BAD_REQUEST, why))?;
    let Ok(_place) = house.places.try_acquire() else {
        return Err((StatusCode::SERVICE_UNAVAILABLE, format!("{MOST} probes are under way already\n")));
    };
    let options = Options { policy: house.policy_for_strangers(), first: true, ..Options::default() };
    let (began, deadline) = (Instant::now(), Deadline::after(asked.timeout));
    let seen = match asked.module {
        Module::Http { post } => over_http(&asked, post, options, &deadline).await,
        Module::Tcp => over_tcp(&asked, options, &deadline).await,
    };
    let page = print(&seen.families(began.elapsed()), Dialect::Text);
    if !asked.debug {
        return Ok(page);
    }
    let said = seen.cause().map_or_else(
        || "it succeeded".to_owned(),
        |cause| {
            let opens = "; `--probe-allow-net` opens addresses to /probe";
            let help = if cause.reason == Reason::Policy { opens } else { "" };
            format!("{}: {}{help}", cause.reason, cause.message)
        },
    );
    Ok(format!("Logs for the probe:\n{said}\n\n\n\nMetrics that would have been returned:\n{page}\n"))
}

impl Asked {
    fn read(query: &str, headers: &HeaderMap) -> Result<Self, String> {
        let given = url::form_urlencoded::parse(query.as_bytes());
        if let Some((name, _)) = given.clone().find(|(_, value)| value.len() > LONGEST_TEXT) {
            return Err(format!("Parameter \"{name}\" is longer than {LONGEST_TEXT} bytes\n"));
        }
        let value = |wanted: &str| {
            let found = given.clone().find(|(name, value)| name == wanted && !value.is_empty());
            found.map(|(_, value)| value.into_owned())
        };
        let name = value("module").unwrap_or_else(|| "http_2xx".to_owned());
        let module = Module::named(&name).ok_or_else(|| format!("Unknown module {name:?}\n"))?;
        let target = value("target").ok_or("Target parameter is missing\n")?;
        let (hostname, debug) = (value("hostname"), value("debug").as_deref() == Some("true"));
        Ok(Self { target, module, hostname, debug, timeout: timeout(headers)? })
    }
}

/// What a probe may take: what a scrape has left when its answer is on its way in time.
fn timeout(headers: &HeaderMap) -> Result<Duration, String> {
    let Some(sent) = headers.get(SCRAPE_TIMEOUT) else { return Ok(LONGEST.saturating_sub(OFFSET)) };
    let seconds = sent.to_str().ok().and_then(|text| text.parse::<f64>().ok());
    let scrape = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let scrape = scrape.ok_or("Failed to parse timeout from Prometheus header\n")?;
    let scrape = if scrape.is_zero() { LONGEST } else { scrape.min(LONGEST) };
    // Half a second or less leaves nothing for the way: then the probe has it all.
    Ok(scrape.checked_sub(OFFSET).filter(|left| !left.is_zero()).unwrap_or(scrape))
}

async fn over_http(asked: &Asked, post: bool, mut options: Options, deadline: &Deadline) -> Seen {
    let target = &asked.target;
    let text = if target.starts_with("http://") || target.starts_with("https://") {
        target.clone()
    } else {
        format!("http://{target}")
    };
    let url = match Url::parse(&text) {
        Ok(url) => url,
        Err(error) => return Seen::no_request(Cause::new(Reason::Protocol, format!("`{text}`: {error}"))),
    };
    options.tls.server_name.clone_from(&asked.hostname);
    let mut request = web::Request::new(if post { Method::POST } else { Method::GET }, url);
    if let Some(host) = asked.hostname.as_deref().and_then(|name| HeaderValue::from_str(name).ok()) {
        request.headers.insert(header::HOST, host);
    }
    (request.options, request.redirects, request.limit) = (options, REDIRECTS, BODY_LIMIT);
    request.body = Bytes::new();
    request.decompress = false;
    Seen::of_http(web::send(&request, deadline).await)
}

async fn over_tcp(asked: &Asked, mut options: Options, deadline: &Deadline) -> Seen {
    let to = match asked.target.parse::<Authority>() {
        Ok(to) => to,
        Err(error) => return Seen::of_tcp(None, Err(Cause::new(Reason::Protocol, error.to_string()))),
    };
    options.tls.server_name.clone_from(&asked.hostname);
    let request = tcp::Request { options, ..tcp::Request::new(to, Vec::new()) };
    let exchange = tcp::attempt(&request, deadline).await;
    let result = exchange.result.clone().map_err(|failure| failure.cause);
    Seen::of_tcp(Some(exchange), result)
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
    #[case::none(None, Ok(119_500))]
    #[case::usual(Some("10"), Ok(9_500))]
    #[case::a_part(Some("2.5"), Ok(2_000))]
    #[case::no_time_for_the_way(Some("0.5"), Ok(500))]
    #[case::endless(Some("1e9"), Ok(119_500))]
    #[case::a_word(Some("soon"), Err(()))]
    #[case::below_zero(Some("-1"), Err(()))]
    fn a_probe_ends_before_its_scrape(#[case] header: Option<&'static str>, #[case] millis: Result<u64, ()>) {
        let mut headers = HeaderMap::new();
        if let Some(sent) = header {
            headers.insert(SCRAPE_TIMEOUT, HeaderValue::from_static(sent));
        }
        assert_eq!(timeout(&headers).map_err(drop), millis.map(Duration::from_millis));
    }

    #[rstest]
    #[case::as_blackbox_exporter_has_it("127.0.0.1", 3_668_918_509)]
    #[case::mapped("::ffff:127.0.0.1", 3_668_918_509)]
    fn an_address_has_a_number(#[case] ip: IpAddr, #[case] number: u32) {
        assert_eq!(hash(ip), number);
    }
}
