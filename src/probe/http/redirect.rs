//! Where an answer sends us, and what of the request goes along.

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_TYPE, COOKIE, HOST,
    HeaderMap, LOCATION, PROXY_AUTHORIZATION,
};
use http::{Method, StatusCode};
use url::Url;

use super::Request;
use crate::sample::{Cause, Reason};

/// Where an answer to `from` leads, if it leads anywhere.
pub(super) fn target(from: &Url, status: StatusCode, headers: &HeaderMap) -> Result<Option<Url>, Cause> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = headers.get(LOCATION) else {
        return Ok(None);
    };
    let nowhere = |why: &str| Cause::new(Reason::Protocol, format!("the redirect leads nowhere: {why}"));
    let location = String::from_utf8_lossy(location.as_bytes());
    let mut to = from.join(&location).map_err(|source| nowhere(&source.to_string()))?;
    if !matches!(to.scheme(), "http" | "https") {
        return Err(nowhere("its scheme is neither `http` nor `https`"));
    }
    // Credentials are the user's to give, not the target's.
    super::head::take_userinfo(&mut to);
    Ok(Some(to))
}

/// What a redirect to another host is, where only the same one will do.
pub(super) fn elsewhere(from: &Url, to: &Url) -> Cause {
    let [from, to] = [from, to].map(|url| url.host_str().unwrap_or_default());
    Cause::new(Reason::Policy, format!("the redirect leads from `{from}` to another host, `{to}`"))
}

/// Turns `request`, answered with `status`, into the one to send to `to`.
pub(super) fn follow(request: &mut Request, status: StatusCode, to: Url) {
    let becomes_get = match status {
        StatusCode::SEE_OTHER => request.method != Method::HEAD,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => request.method == Method::POST,
        _ => false,
    };
    if becomes_get {
        request.method = Method::GET;
        request.body = Bytes::new();
        for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION] {
            request.headers.remove(name);
        }
    }
    if request.url.origin() != to.origin() {
        for name in [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, HOST] {
            request.headers.remove(name);
        }
        request.digest = None;
        request.options.address = None;
        request.options.tls.identity = None;
    }
    if request.url.host() != to.host() {
        request.options.tls.server_name = None;
    }
    request.url = to;
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn leads(status: u16, location: &[u8]) -> Result<Option<String>, Reason> {
        let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_bytes(location).unwrap())]);
        target(&url("http://a.test/x/y?z"), StatusCode::from_u16(status).unwrap(), &headers)
            .map(|to| to.map(String::from))
            .map_err(|cause| cause.reason)
    }

    #[rstest]
    #[case::relative(302, "w", "http://a.test/x/w")]
    #[case::rooted(301, "/w", "http://a.test/w")]
    #[case::no_scheme(303, "//b.test/w", "http://b.test/w")]
    #[case::absolute(307, "https://b.test:9/w", "https://b.test:9/w")]
    #[case::credentials(308, "http://user:word@b.test/", "http://b.test/")]
    #[case::not_ascii(302, "/ä", "http://a.test/%C3%A4")]
    fn a_location_is_read_from_where_we_are(#[case] status: u16, #[case] location: &str, #[case] to: &str) {
        assert_eq!(leads(status, location.as_bytes()), Ok(Some(to.to_owned())));
    }

    #[rstest]
    #[case::success(200)]
    #[case::not_modified(304)]
    #[case::multiple(300)]
    fn other_answers_lead_nowhere(#[case] status: u16) {
        assert_eq!(leads(status, b"/w"), Ok(None));
    }

    #[rstest]
    #[case::file("file:///etc/hostname")]
    #[case::no_host("http://")]
    #[case::bad_port("http://a.test:99999/")]
    fn a_location_that_cannot_be_asked_is_a_protocol_failure(#[case] location: &str) {
        assert_eq!(leads(302, location.as_bytes()), Err(Reason::Protocol));
    }

    #[test]
    fn a_redirect_without_a_location_is_the_answer() {
        assert_eq!(target(&url("http://a.test/"), StatusCode::FOUND, &HeaderMap::new()), Ok(None));
    }

    #[rstest]
    #[case::found(302, Method::POST, Method::GET, 0)]
    #[case::moved(301, Method::POST, Method::GET, 0)]
    #[case::found_put(302, Method::PUT, Method::PUT, 4)]
    #[case::see_other(303, Method::PUT, Method::GET, 0)]
    #[case::see_other_head(303, Method::HEAD, Method::HEAD, 4)]
    #[case::temporary(307, Method::POST, Method::POST, 4)]
    #[case::permanent(308, Method::POST, Method::POST, 4)]
    fn the_method_changes_as_browsers_change_it(
        #[case] status: u16,
        #[case] before: Method,
        #[case] after: Method,
        #[case] body: usize,
    ) {
        let mut request = Request::new(before, url("http://a.test/"));
        request.body = Bytes::from_static(b"body");
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        follow(&mut request, StatusCode::from_u16(status).unwrap(), url("http://a.test/next"));
        assert_eq!((request.method, request.body.len()), (after, body));
        assert_eq!(request.headers.contains_key(CONTENT_TYPE), body > 0);
    }

    #[rstest]
    #[case::same("http://a.test/next", true)]
    #[case::scheme("https://a.test/", false)]
    #[case::port("http://a.test:8080/", false)]
    #[case::host("http://b.test/", false)]
    fn credentials_stay_with_their_origin(#[case] to: &str, #[case] kept: bool) {
        let mut request = Request::new(Method::GET, url("http://a.test/"));
        for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, HOST] {
            request.headers.insert(name, HeaderValue::from_static("mine"));
        }
        request.options.address = Some(([127, 0, 0, 1], 80).into());
        follow(&mut request, StatusCode::FOUND, url(to));
        assert_eq!(request.headers.len(), if kept { 4 } else { 0 });
        assert_eq!(request.options.address.is_some(), kept);
    }

    proptest! {
        #[test]
        fn no_location_panics(location in "[ -~\u{80}-\u{ff}]{0,40}") {
            let _ = leads(302, location.as_bytes());
        }
    }
}
