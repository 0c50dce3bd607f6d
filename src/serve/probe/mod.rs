//! `/probe?target=…&module=…`: one attempt for whoever asks, in the terms of `blackbox_exporter`.
//!
//! Whoever asks names the target, and so may want to see through us what he could not see himself: private addresses
//! are closed unless they are opened, on the resolved address of every redirect.

mod choose;
mod dns;
mod grpc;
mod http;
mod icmp;
mod secured;
mod sheet;
mod talk;
mod websocket;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::http::{HeaderMap, StatusCode, header::HOST};
use tokio::time::{Instant, timeout};

use self::sheet::{Sheet, truth};
use super::blackbox::{Module, Modules, Prober};
use super::house::House;
use super::targets::Target;
use crate::exposition::{Dialect, Family, print};
use crate::probe::connect::{Deadline, Options};
use crate::probe::policy::Policy;
use crate::probe::trace::{TRACEPARENT, Traceparent};
use crate::sample::{Cause, Reason};

/// The longest that whoever asks waits for a place; and never longer than a tenth of what the probe may take.
const TURN: Duration = Duration::from_secs(1);

/// What a probe may take where no scrape timeout is sent.
const LONGEST: Duration = Duration::from_secs(120);

/// What is left of a scrape's timeout for us to answer in.
const OFFSET: Duration = Duration::from_millis(500);

/// The longest text that a parameter may be.
const LONGEST_TEXT: usize = 2048;

/// What carries a scrape's timeout.
const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

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

/// An attempt that is being made.
struct Attempt<'a> {
    target: &'a str,
    hostname: Option<&'a str>,
    policy: Arc<Policy>,
    deadline: Deadline,
}

impl Attempt<'_> {
    /// How to connect, for as much as the module does not say.
    fn options(&self) -> Options {
        Options { policy: Arc::clone(&self.policy), ..Options::default() }
    }
}

/// Something about the target or the module that makes an attempt of it impossible.
fn failed(why: String) -> Cause {
    Cause::new(Reason::Protocol, why)
}

/// Begins a trace, where the module does not name one itself.
fn trace(headers: &mut HeaderMap, sheet: &mut Sheet) {
    let trace = Traceparent::begin();
    if let (false, Some(value)) = (headers.contains_key(TRACEPARENT), trace.header()) {
        headers.insert(TRACEPARENT, value);
        sheet.say(format!("trace {}", trace.id()));
    }
}

/// What came of those who asked.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Probes that were made.
    pub(super) made: AtomicU64,
    /// Those who found no place in time.
    pub(super) refused: AtomicU64,
}

/// A status and what is said with it.
pub(super) type Answer = (StatusCode, String);

/// Probes what is asked for: the series as Prometheus text.
///
/// # Errors
/// What is wrong with the question, or that too many ask.
pub(super) async fn answer(query: &str, headers: &HeaderMap, house: &House) -> Result<String, Answer> {
    let mut asked =
        Asked::read(query, headers, &house.modules()).map_err(|why| (StatusCode::BAD_REQUEST, why))?;
    let came = Instant::now();
    let Ok(Ok(_place)) = timeout(TURN.min(asked.timeout / 10), house.places.acquire()).await else {
        house.calls.refused.fetch_add(1, Ordering::Relaxed);
        let most = house.room.probes;
        return Err((StatusCode::SERVICE_UNAVAILABLE, format!("{most} probes are under way already\n")));
    };
    house.calls.made.fetch_add(1, Ordering::Relaxed);
    asked.timeout = asked.timeout.saturating_sub(came.elapsed());
    let mut sheet = Sheet::default();
    let (result, took) = asked.concluded(house.policy_for_strangers(), &mut sheet).await;
    let page = print(&sheet.families(), Dialect::Text);
    if !asked.debug {
        return Ok(page);
    }
    sheet.say(result.err().map_or_else(
        || format!("the probe succeeded after {took:.3} s"),
        |cause| {
            let opens = "; `--probe-allow-net` opens addresses to /probe";
            let help = if cause.reason == Reason::Policy { opens } else { "" };
            format!("the probe failed after {took:.3} s: {}: {}{help}", cause.reason, cause.message)
        },
    ));
    let (log, module) = (sheet.log.join("\n"), &asked.module.shown);
    Ok(format!(
        "Logs for the probe:\n{log}\n\n\n\nMetrics that would have been returned:\n{page}\n\n\nModule configuration:\n{module}"
    ))
}

/// Probes a target of a list: its series, and why it failed if it did.
pub(super) async fn regularly(
    target: &Target,
    module: &Module,
    policy: Arc<Policy>,
) -> (Vec<Family>, Option<String>) {
    let asked = Asked {
        target: target.address.clone(),
        module: target.login.as_ref().map_or_else(|| module.clone(), |login| module.authorized(login)),
        hostname: target.hostname.clone(),
        debug: false,
        timeout: module.timeout.map_or(target.timeout, |own| own.min(target.timeout)),
    };
    let mut sheet = Sheet::default();
    let result = asked.concluded(policy, &mut sheet).await.0;
    (sheet.families(), result.err().map(|cause| format!("{}: {}", cause.reason, cause.message)))
}

impl Asked {
    /// Makes the attempt, and says how it went and for how many seconds.
    async fn concluded(&self, policy: Arc<Policy>, sheet: &mut Sheet) -> (Result<(), Cause>, f64) {
        let began = Instant::now();
        let result = self.attempt(policy, sheet).await;
        let took = began.elapsed().as_secs_f64();
        let help = "Returns how long the probe took to complete in seconds";
        sheet.set("probe_duration_seconds", help, took);
        sheet.set("probe_success", "Displays whether or not the probe was a success", truth(result.is_ok()));
        (result, took)
    }

    fn read(query: &str, headers: &HeaderMap, modules: &Modules) -> Result<Self, String> {
        let given = url::form_urlencoded::parse(query.as_bytes());
        if let Some((name, _)) = given.clone().find(|(_, value)| value.len() > LONGEST_TEXT) {
            return Err(format!("Parameter \"{name}\" is longer than {LONGEST_TEXT} bytes\n"));
        }
        let value = |wanted: &str| {
            let found = given.clone().find(|(name, value)| name == wanted && !value.is_empty());
            found.map(|(_, value)| value.into_owned())
        };
        let name = value("module").unwrap_or_else(|| "http_2xx".to_owned());
        let module = modules.get(&name).ok_or_else(|| format!("Unknown module {name:?}\n"))?.clone();
        let target = value("target").ok_or("Target parameter is missing\n")?;
        let (hostname, debug) = (value("hostname"), value("debug").as_deref() == Some("true"));
        if let (Prober::Http(module), Some(asked)) = (&module.prober, &hostname) {
            let own = module.headers.iter().find(|(name, _)| *name == HOST);
            if let Some(own) = own.map(|(_, own)| own.to_str().unwrap_or_default()).filter(|own| own != asked)
            {
                return Err(format!(
                    "host header defined both in module configuration ({own}) and with URL-parameter 'hostname' ({asked})\n"
                ));
            }
        }
        let scrape = left(headers)?;
        let timeout = module.timeout.map_or(scrape, |own| own.min(scrape));
        Ok(Self { target, module, hostname, debug, timeout })
    }

    async fn attempt(&self, policy: Arc<Policy>, sheet: &mut Sheet) -> Result<(), Cause> {
        let at = Attempt {
            target: &self.target,
            hostname: self.hostname.as_deref(),
            policy,
            deadline: Deadline::after(self.timeout),
        };
        // On the heap: each holds a connection in the making.
        match &self.module.prober {
            Prober::Http(module) => Box::pin(http::attempt(module, &at, sheet)).await,
            Prober::Tcp(module) => Box::pin(talk::over_tcp(module, &at, sheet)).await,
            Prober::Dns(module) => Box::pin(dns::attempt(module, &at, sheet)).await,
            Prober::Icmp(module) => Box::pin(icmp::attempt(module, &at, sheet)).await,
            Prober::Grpc(module) => Box::pin(grpc::attempt(module, &at, sheet)).await,
            Prober::Unix(module) => Box::pin(talk::over_unix(module, &at, sheet)).await,
            Prober::WebSocket(module) => Box::pin(websocket::attempt(module, &at, sheet)).await,
        }
    }
}

/// What a probe may take: what a scrape has left when its answer is on its way in time.
fn left(headers: &HeaderMap) -> Result<Duration, String> {
    let Some(sent) = headers.get(SCRAPE_TIMEOUT) else { return Ok(LONGEST.saturating_sub(OFFSET)) };
    let seconds = sent.to_str().ok().and_then(|text| text.parse::<f64>().ok());
    let scrape = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let scrape = scrape.ok_or("Failed to parse timeout from Prometheus header\n")?;
    let scrape = if scrape.is_zero() { LONGEST } else { scrape.min(LONGEST) };
    // Half a second or less leaves nothing for the way: then the probe has it all.
    Ok(scrape.checked_sub(OFFSET).filter(|left| !left.is_zero()).unwrap_or(scrape))
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;
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
        assert_eq!(left(&headers).map_err(drop), millis.map(Duration::from_millis));
    }
}
