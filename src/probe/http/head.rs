//! A request's head as it goes over the wire.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHORIZATION, TRANSFER_ENCODING, USER_AGENT,
};
use http::{Method, Uri};
use percent_encoding::percent_decode_str;
use url::{Position, Url};

use super::Request;
use super::body::Outgoing;
use super::encoding::Encoding;
use crate::probe::cookies::Jar;
use crate::probe::proxy::basic;
use crate::sample::{Cause, Reason};
use crate::scenario::network::Proxy;

/// What every request says of its sender, unless the user says otherwise.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("firedrill/", env!("CARGO_PKG_VERSION")));

/// Takes the user and password out of `url`, as the header they stand for.
pub(super) fn take_userinfo(url: &mut Url) -> Option<HeaderValue> {
    let user = percent_decode_str(url.username()).collect::<Vec<u8>>();
    let password = url.password().map(|word| percent_decode_str(word).collect::<Vec<u8>>());
    if user.is_empty() && password.is_none() {
        return None;
    }
    // Only a url without a host refuses, and that has no user either.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    let pair = [user, password.unwrap_or_default()].join(&b':');
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// What the client adds to the user's own headers: cookies, and whether the connection is kept.
pub(super) fn extra(request: &Request, jar: &Jar, keep: bool, now: jiff::Timestamp) -> HeaderMap {
    let mut extra = HeaderMap::new();
    if let Some(cookies) = jar.header_for(&request.url, now) {
        extra.insert(COOKIE, cookies);
    }
    if !keep {
        extra.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    extra
}

/// The request as the engine takes it.
pub(super) fn compose(
    request: &Request,
    http2: bool,
    extra: &HeaderMap,
    body: Outgoing,
) -> Result<http::Request<Outgoing>, Cause> {
    let unfit = |why: String| Cause::new(Reason::Protocol, format!("the request cannot be written: {why}"));
    let mut headers = headers(request, extra);
    let own = &request.url[Position::BeforeHost..Position::AfterPort];
    let host = headers.remove(HOST);
    let path = &request.url[Position::BeforePath..Position::AfterQuery];
    let uri: Uri = if http2 {
        let host =
            host.as_ref().map_or(Ok(own), HeaderValue::to_str).map_err(|source| unfit(source.to_string()))?;
        headers.remove(CONNECTION);
        let built = Uri::builder().scheme(request.url.scheme()).authority(host).path_and_query(path).build();
        built.map_err(|source| unfit(source.to_string()))?
    } else {
        let host = host.map_or_else(|| HeaderValue::from_str(own), Ok);
        headers.insert(HOST, host.map_err(|source| unfit(source.to_string()))?);
        let target = match request.forwarder() {
            None => path,
            Some(proxy) => {
                headers.extend(known_to(proxy).map(|value| (PROXY_AUTHORIZATION, value)));
                // A proxy is told the whole of it, RFC 9112, section 3.2.2.
                &request.url[..Position::AfterQuery]
            }
        };
        target.parse().map_err(|source: http::uri::InvalidUri| unfit(source.to_string()))?
    };
    let mut composed = http::Request::new(body);
    *composed.method_mut() = request.method.clone();
    *composed.uri_mut() = uri;
    *composed.headers_mut() = headers;
    Ok(composed)
}

/// What proves to a proxy who we are.
fn known_to(proxy: &Proxy) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(basic(proxy)?).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The user's headers, completed.
fn headers(request: &Request, extra: &HeaderMap) -> HeaderMap {
    let mut headers = request.headers.clone();
    // The length is what is sent, whatever was said about it.
    headers.remove(CONTENT_LENGTH);
    headers.remove(TRANSFER_ENCODING);
    if !request.body.is_empty() || matches!(request.method, Method::POST | Method::PUT | Method::PATCH) {
        headers.insert(CONTENT_LENGTH, request.body.len().into());
    }
    let mut default = |name: HeaderName, value: HeaderValue| {
        headers.entry(name).or_insert(value);
    };
    if !request.bare {
        default(USER_AGENT, AGENT);
        default(ACCEPT, HeaderValue::from_static("*/*"));
    }
    if request.decompress {
        default(ACCEPT_ENCODING, HeaderValue::from_static(Encoding::ACCEPTED));
    }
    for (name, value) in extra {
        let value = match headers.get(name) {
            // HTTP/1.1 wants one cookie header: the user's cookies come first.
            Some(own) if name == COOKIE => joined(own, value),
            Some(own) => own.clone(),
            None => value.clone(),
        };
        headers.insert(name, value);
    }
    headers
}

fn joined(first: &HeaderValue, second: &HeaderValue) -> HeaderValue {
    let bytes = [first.as_bytes(), second.as_bytes()].join(&b"; "[..]);
    HeaderValue::from_bytes(&bytes).unwrap_or_else(|_| first.clone())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
    use rstest::rstest;

    use super::super::meter::Meter;
    use super::*;

    fn composed(request: &Request, http2: bool) -> String {
        let body = Outgoing::new(request.body.clone(), Meter::default());
        let now = jiff::Timestamp::UNIX_EPOCH;
        let head = compose(request, http2, &extra(request, &Jar::default(), false, now), body).unwrap();
        let headers =
            head.headers().iter().map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()));
        let mut headers: Vec<_> =
            headers.filter(|line| !line.starts_with("user-agent: firedrill/")).collect();
        headers.sort();
        format!("{} {}\n{}", head.method(), head.uri(), headers.concat())
    }

    fn request(method: Method, url: &str) -> Request {
        Request::new(method, url.parse().unwrap())
    }

    #[test]
    fn a_plain_get_carries_what_servers_expect() {
        insta::assert_snapshot!(composed(&request(Method::GET, "http://a.test:8080/x?y=1#z"), false), @"
        GET /x?y=1
        accept-encoding: gzip, deflate, br, zstd
        accept: */*
        connection: close
        host: a.test:8080
        ");
    }

    #[test]
    fn http2_names_the_host_in_its_target_and_has_no_connection_header() {
        insta::assert_snapshot!(composed(&request(Method::GET, "https://a.test"), true), @"
        GET https://a.test/
        accept-encoding: gzip, deflate, br, zstd
        accept: */*
        ");
    }

    #[test]
    fn the_user_has_the_last_word_except_on_the_length() {
        let mut request = request(Method::POST, "http://a.test/");
        request.body = Bytes::from_static(b"{}");
        request.decompress = false;
        for (name, value) in [
            (HOST, "b.test"),
            (ACCEPT, "text/html"),
            (CONNECTION, "keep-alive"),
            (CONTENT_LENGTH, "99"),
            (TRANSFER_ENCODING, "chunked"),
            (CONTENT_TYPE, "application/json"),
        ] {
            request.headers.insert(name, HeaderValue::from_static(value));
        }
        insta::assert_snapshot!(composed(&request, false), @"
        POST /
        accept: text/html
        connection: keep-alive
        content-length: 2
        content-type: application/json
        host: b.test
        ");
    }

    #[rstest]
    #[case::post(Method::POST, Some("0"))]
    #[case::put(Method::PUT, Some("0"))]
    #[case::get(Method::GET, None)]
    #[case::delete(Method::DELETE, None)]
    fn an_empty_body_has_a_length_where_one_is_expected(
        #[case] method: Method,
        #[case] length: Option<&str>,
    ) {
        let headers = headers(&request(method, "http://a.test/"), &HeaderMap::new());
        assert_eq!(headers.get(CONTENT_LENGTH).map(|value| value.to_str().unwrap()), length);
    }

    #[test]
    fn cookies_of_the_user_and_of_the_jar_share_one_header() {
        let mut request = request(Method::GET, "http://a.test/");
        request.headers.insert(COOKIE, HeaderValue::from_static("mine=1"));
        let extra = HeaderMap::from_iter([(COOKIE, HeaderValue::from_static("jar=2"))]);
        assert_eq!(headers(&request, &extra)[COOKIE], "mine=1; jar=2");
    }

    #[rstest]
    #[case::both("http://user:word@a.test/", "Basic dXNlcjp3b3Jk")]
    #[case::user("http://user@a.test/", "Basic dXNlcjo=")]
    #[case::encoded("http://us%40er:w%3Ard@a.test/", "Basic dXNAZXI6dzpyZA==")]
    fn userinfo_becomes_basic_authorization(#[case] url: &str, #[case] header: &str) {
        let mut url = url.parse().unwrap();
        let taken = take_userinfo(&mut url).unwrap();
        assert_eq!((taken.to_str().unwrap(), url.as_str()), (header, "http://a.test/"));
        assert!(taken.is_sensitive());
        assert_eq!(take_userinfo(&mut url), None);
    }

    #[test]
    fn what_cannot_be_a_target_is_refused_not_sent() {
        let mut request = request(Method::GET, "https://a.test/");
        let odd = HeaderValue::from_static("not a host");
        request.headers.insert(HeaderName::from_static("host"), odd);
        let body = Outgoing::new(Bytes::new(), Meter::default());
        let cause = compose(&request, true, &HeaderMap::new(), body).unwrap_err();
        assert_eq!(cause.reason, Reason::Protocol);
    }

    #[test]
    fn authorization_is_only_added_where_the_user_gave_none() {
        let mut request = request(Method::GET, "http://user:word@a.test/");
        request.headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
        request.adopt_userinfo();
        assert_eq!(request.headers[AUTHORIZATION], "Bearer x");
        assert_eq!(request.url.as_str(), "http://a.test/");
    }
}
