//! A page as a kubelet asks for it: its own headers, any certificate, redirects only to the same host.

use http::header::{ACCEPT, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use http::{Method, StatusCode};
use url::Url;

use super::Made;
use super::pod::Verdict;
use crate::probe::connect::{Deadline, Options};
use crate::probe::http::{self as client, Request};
use crate::sample::{Cause, Reason};
use crate::units::Size;

/// How a kubelet calls itself.
pub(super) const AGENT: HeaderValue = HeaderValue::from_static("kube-probe/1.31");

/// What a kubelet reads of a page; more is no failure.
const BODY_READ: Size = Size(10 << 10);

/// The redirect at which a kubelet gives up. Its documentation says that this is a warning; its code and its
/// tests say that it is a failure.
const MOST_REDIRECTS: usize = 10;

/// GETs a page and judges it by its status.
pub(super) async fn get(
    url: &Url,
    headers: &[(HeaderName, HeaderValue)],
    options: &Options,
    deadline: &Deadline,
) -> Made {
    let mut request = Request {
        headers: complete(headers),
        bare: true,
        limit: BODY_READ,
        decompress: false,
        options: options.clone(),
        ..Request::new(Method::GET, url.clone())
    };
    for _ in 0..MOST_REDIRECTS {
        let exchange = client::send(&request, deadline).await;
        let status = exchange.hops.last().and_then(|hop| hop.status);
        let response = match (exchange.result, status) {
            (Ok(response), _) => response,
            (Err(cause), Some(status)) if cause.reason == Reason::Limit => return judge(status),
            // The head came and the body did not: a kubelet takes that for a fault of its own.
            (Err(cause), Some(_)) => return Made::new(Verdict::Void, format!("its body broke off: {cause}")),
            (Err(cause), None) => return Made::lost(cause),
        };
        match redirected(&request.url, response.status, &response.headers) {
            Err(cause) => return Made::new(Verdict::Failure, cause.message),
            Ok(None) => return judge(response.status),
            Ok(Some(to)) if to.host_str() != url.host_str() => {
                let said = format!("redirected to another host, {to}, and not followed");
                return Made { warning: true, ..Made::new(Verdict::Success, said) };
            }
            Ok(Some(to)) => {
                let absolute = response.headers.get(LOCATION).is_some_and(|location| {
                    Url::parse(&String::from_utf8_lossy(location.as_bytes())).is_ok()
                });
                if absolute {
                    request.headers.remove(HOST);
                }
                request.url = to;
            }
        }
    }
    Made::new(Verdict::Failure, format!("redirected {MOST_REDIRECTS} times"))
}

/// The headers of a probe. An empty `Accept` or `User-Agent` is left out.
fn complete(written: &[(HeaderName, HeaderValue)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in written {
        headers.append(name, value.clone());
    }
    headers.entry(USER_AGENT).or_insert(AGENT);
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    for name in [USER_AGENT, ACCEPT, HOST] {
        if headers.get(&name).is_some_and(HeaderValue::is_empty) {
            headers.remove(name);
        }
    }
    headers
}

fn judge(status: StatusCode) -> Made {
    let verdict = if (200..400).contains(&status.as_u16()) { Verdict::Success } else { Verdict::Failure };
    Made { warning: status.is_redirection(), ..Made::new(verdict, format!("status {}", status.as_u16())) }
}

/// Where an answer leads, if it leads anywhere.
fn redirected(from: &Url, status: StatusCode, headers: &HeaderMap) -> Result<Option<Url>, Cause> {
    let Some(location) =
        headers.get(LOCATION).filter(|_| matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308))
    else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(location.as_bytes());
    let nowhere = || Cause::new(Reason::Protocol, format!("redirected to `{text}`, which is no address"));
    let to = from.join(&text).map_err(|_| nowhere())?;
    if matches!(to.scheme(), "http" | "https") { Ok(Some(to)) } else { Err(nowhere()) }
}
