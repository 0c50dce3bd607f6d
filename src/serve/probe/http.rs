//! A module's request.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, HeaderMap, LAST_MODIFIED};
use http::{HeaderValue, Version};
use jiff::fmt::rfc2822::DateTimeParser;
use url::Url;

use super::choose::{choose, host_and_port};
use super::secured::{self, unixtime};
use super::sheet::{Sheet, size, truth};
use super::{Attempt, failed, trace};
use crate::probe::connect::Options;
use crate::probe::http::{self as web, Exchange, Response};
use crate::sample::{Cause, Phase, Reason};
use crate::serve::blackbox::{HeaderMatch, Http};
use crate::units::Size;

/// The most that is read of a body, whatever a module says.
const BODY_LIMIT: Size = Size(16 << 20);

/// Redirects that are followed, as by `blackbox_exporter`.
const REDIRECTS: u8 = 10;

const PHASES: &str = "probe_http_duration_seconds";
const PHASES_HELP: &str = "Duration of http request by phase, summed over all redirects";

/// Makes one attempt.
pub(super) async fn attempt(module: &Http, at: &Attempt<'_>, sheet: &mut Sheet) -> Result<(), Cause> {
    begin(sheet);
    let text = with_scheme(at.target);
    let url = Url::parse(&text).map_err(|error| failed(format!("`{text}`: {error}")))?;
    let mut options = at.options();
    let unresolved = module.unresolved && module.proxy.is_some();
    let mut looked_up = Duration::ZERO;
    if !unresolved {
        let (host, port) = host_and_port(&url)?;
        let chosen = choose(&host, port, module.preference, at, sheet).await;
        looked_up = chosen.took;
        options.address = Some(chosen.address?);
    }
    sheet.phases(PHASES, PHASES_HELP, &[("resolve", looked_up)]);
    options.proxy.clone_from(&module.proxy);
    if options.proxy.is_some() {
        options.address = None;
    }
    let request = request(module, at, url, options, sheet).await?;
    let tls = request.options.tls.clone();
    let exchange = web::send(&request, &at.deadline).await;
    let result = answered(module, &exchange, looked_up, sheet);
    if let Some(last) = exchange.hops.last() {
        secured::show(&last.chain, last.agreed.as_ref(), &tls, sheet).await;
    }
    result
}

/// What is known before anything is asked.
fn begin(sheet: &mut Sheet) {
    sheet.phases(PHASES, PHASES_HELP, &[("resolve", Duration::ZERO)]);
    sheet.set("probe_http_content_length", "Length of http content response", 0.0);
    sheet.set("probe_http_redirects", "The number of redirects", 0.0);
    sheet.set("probe_http_ssl", "Indicates if SSL was used for the final redirect", 0.0);
    sheet.set("probe_http_status_code", "Response HTTP status code", 0.0);
    sheet.set("probe_http_uncompressed_body_length", "Length of uncompressed response body", 0.0);
    sheet.set("probe_http_version", "Returns the version of HTTP of the probe response", 0.0);
    sheet.unmatched(false);
}

/// A target without a scheme is asked in clear.
pub(super) fn with_scheme(target: &str) -> String {
    let has = target.starts_with("http://") || target.starts_with("https://");
    if has { target.to_owned() } else { format!("http://{target}") }
}

async fn request(
    module: &Http,
    at: &Attempt<'_>,
    url: Url,
    mut options: Options,
    sheet: &mut Sheet,
) -> Result<web::Request, Cause> {
    let trouble = |why: &dyn std::fmt::Display| failed(why.to_string());
    options.tls = module.tls.options().await.map_err(|why| trouble(&why))?;
    let mut request = web::Request::new(module.method.clone(), url);
    for (name, value) in &module.headers {
        request.headers.insert(name.clone(), value.clone());
    }
    if let Some(name) = at.hostname {
        let host = HeaderValue::from_str(name).map_err(|why| trouble(&why))?;
        request.headers.insert(HOST, host);
    }
    // A host that is named is the one that the certificate has to name, too.
    let host = request.headers.get(HOST).and_then(|host| host.to_str().ok());
    if options.tls.server_name.is_none() {
        options.tls.server_name = host.map(without_port);
    }
    if let Some(value) = module.auth.header().await.map_err(|why| trouble(&why))? {
        request.headers.insert(AUTHORIZATION, value);
    }
    trace(&mut request.headers, sheet);
    request.body = match &module.body_file {
        Some(path) => tokio::fs::read(path).await.map_err(|why| trouble(&why))?.into(),
        None => Bytes::copy_from_slice(&module.body),
    };
    request.options = options;
    request.redirects = if module.follow { REDIRECTS } else { 0 };
    request.limit = module.limit.map_or(BODY_LIMIT, |limit| limit.min(BODY_LIMIT));
    request.decompress = module.compression.is_some();
    request.version = if module.http2 { web::Version::Auto } else { web::Version::Http1 };
    Ok(request)
}

/// `shop.example` of `shop.example:8443`.
fn without_port(host: &str) -> String {
    let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
    let numbered = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    (if numbered { name } else { host }).to_owned()
}

/// Shows what came back, and judges it.
fn answered(module: &Http, exchange: &Exchange, looked_up: Duration, sheet: &mut Sheet) -> Result<(), Cause> {
    let Exchange { hops, result } = exchange;
    let of = |wanted: &[Phase]| {
        let times = hops.iter().flat_map(|hop| wanted.iter().filter_map(|phase| hop.phases.get(*phase)));
        times.fold(Duration::ZERO, Duration::saturating_add)
    };
    let phases = [
        ("resolve", looked_up.saturating_add(of(&[Phase::Resolve]))),
        ("connect", of(&[Phase::Connect])),
        ("tls", of(&[Phase::Tls])),
        ("processing", of(&[Phase::Send, Phase::Wait])),
        ("transfer", of(&[Phase::Transfer])),
    ];
    sheet.phases(PHASES, PHASES_HELP, &phases);
    for hop in hops {
        let status = hop.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        sheet.say(format!("{} {}: {status}", hop.method, hop.url));
    }
    let last = hops.last();
    let status = last.and_then(|hop| hop.status);
    let code = status.map_or(0.0, |status| f64::from(status.as_u16()));
    sheet.set("probe_http_status_code", "Response HTTP status code", code);
    let left = result.as_ref().is_ok_and(|response| !module.follow && leads_on(response));
    let too_many = result.as_ref().is_err_and(|cause| cause.reason == Reason::Limit)
        && status.is_some_and(|status| status.is_redirection());
    let redirects = hops.len().saturating_sub(1) + usize::from(left || too_many);
    sheet.set("probe_http_redirects", "The number of redirects", size(redirects));
    if let Some(version) = last.and_then(|hop| hop.version).filter(|_| too_many) {
        spoken(version, sheet);
    }
    let response = result.as_ref().map_err(Clone::clone)?;
    let secure = last.is_some_and(|hop| hop.url.scheme() == "https");
    describe(response, secure, left, sheet);
    judge(module, response, secure, sheet)
}

/// Whether an answer is a redirect that somebody would follow.
fn leads_on(response: &Response) -> bool {
    let redirects = matches!(response.status.as_u16(), 301 | 302 | 303 | 307 | 308);
    redirects && response.headers.contains_key(http::header::LOCATION)
}

fn describe(response: &Response, secure: bool, unread: bool, sheet: &mut Sheet) {
    sheet.set("probe_http_ssl", "Indicates if SSL was used for the final redirect", truth(secure));
    spoken(response.version, sheet);
    let header = |name| response.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let length = header(http::header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
    sheet.set("probe_http_content_length", "Length of http content response", length.unwrap_or(-1.0));
    let body = if unread { 0 } else { response.body.len() };
    sheet.set("probe_http_uncompressed_body_length", "Length of uncompressed response body", size(body));
    let modified = header(LAST_MODIFIED).and_then(|text| DateTimeParser::new().parse_timestamp(text).ok());
    if let Some(modified) = modified {
        let help = "Returns the Last-Modified HTTP response header in unixtime";
        sheet.set("probe_http_last_modified_timestamp_seconds", help, unixtime(modified));
    }
}

fn spoken(version: Version, sheet: &mut Sheet) {
    let number = match version {
        Version::HTTP_10 => 1.0,
        Version::HTTP_11 => 1.1,
        Version::HTTP_2 => 2.0,
        Version::HTTP_3 => 3.0,
        _ => 0.0,
    };
    sheet.set("probe_http_version", "Returns the version of HTTP of the probe response", number);
}

fn judge(module: &Http, response: &Response, secure: bool, sheet: &mut Sheet) -> Result<(), Cause> {
    let status = response.status;
    let wanted = if module.statuses.is_empty() {
        status.is_success()
    } else {
        module.statuses.contains(&i64::from(status.as_u16()))
    };
    if !wanted {
        let wanted =
            if module.statuses.is_empty() { "2xx".to_owned() } else { format!("{:?}", module.statuses) };
        return Err(Cause::new(Reason::Status, format!("invalid status {status}, wanted {wanted}")));
    }
    let unmatched =
        header_trouble(module, &response.headers).or_else(|| body_trouble(module, &response.body));
    if let Some(why) = unmatched {
        sheet.unmatched(true);
        return Err(Cause::new(Reason::Body, why));
    }
    let version = format!("{:?}", response.version);
    if !module.versions.is_empty() && !module.versions.contains(&version) {
        return Err(failed(format!("answered in {version}, wanted one of {:?}", module.versions)));
    }
    if module.fail_if_ssl && secure {
        return Err(Cause::new(Reason::Tls, "the final request was over TLS"));
    }
    if module.fail_if_not_ssl && !secure {
        return Err(Cause::new(Reason::Tls, "the final request was not over TLS"));
    }
    Ok(())
}

fn header_trouble(module: &Http, headers: &HeaderMap) -> Option<String> {
    let trouble = |wanted: &HeaderMatch, bad: bool| {
        let values: Vec<_> = headers.get_all(&wanted.name).iter().collect();
        if values.is_empty() {
            return (!wanted.allow_missing).then(|| format!("there is no header `{}`", wanted.name));
        }
        let matches = values.iter().any(|value| wanted.pattern.is_match(value.as_bytes()));
        let how = if bad { "matches" } else { "does not match" };
        (matches == bad).then(|| format!("header `{}` {how} `{}`", wanted.name, wanted.pattern))
    };
    let not = module.fail_if_header_not.iter().map(|wanted| (wanted, false));
    module
        .fail_if_header
        .iter()
        .map(|wanted| (wanted, true))
        .chain(not)
        .find_map(|(wanted, bad)| trouble(wanted, bad))
}

fn body_trouble(module: &Http, body: &[u8]) -> Option<String> {
    let matched = module.fail_if_body.iter().find(|pattern| pattern.is_match(body));
    let matched = matched.map(|pattern| format!("the body matches `{pattern}`"));
    let unmatched = || module.fail_if_body_not.iter().find(|pattern| !pattern.is_match(body));
    matched.or_else(|| unmatched().map(|pattern| format!("the body does not match `{pattern}`")))
}
