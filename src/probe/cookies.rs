//! Cookies as a browser keeps them (RFC 6265), within bounds.

use http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use url::{Host, Url};

/// Cookies kept at once; the one set longest ago makes room.
const COOKIES_LIMIT: usize = 200;

/// Bytes of a cookie's name and value; longer ones are not kept.
const COOKIE_LIMIT: usize = 4096;

/// The cookies received so far.
#[derive(Debug, Clone, Default)]
pub struct Jar {
    /// Oldest first.
    cookies: Vec<Cookie>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cookie {
    name: String,
    value: String,
    domain: String,
    /// Goes to `domain` alone, not to the names under it.
    host_only: bool,
    path: String,
    secure: bool,
    /// `None` lasts as long as the jar.
    expires: Option<Timestamp>,
}

impl Jar {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cookies.is_empty()
    }

    /// The `Cookie` header for a request to `url`, if any cookie goes there.
    #[must_use]
    pub fn header_for(&self, url: &Url, now: Timestamp) -> Option<HeaderValue> {
        let mut fitting: Vec<_> = self.cookies.iter().filter(|cookie| cookie.goes_to(url, now)).collect();
        // The longest path first; among equals, the oldest.
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<_> =
            fitting.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        let mut header = HeaderValue::from_bytes(pairs.join("; ").as_bytes()).ok()?;
        header.set_sensitive(true);
        (!pairs.is_empty()).then_some(header)
    }

    /// Takes in every `Set-Cookie` of an answer from `url`.
    pub fn store(&mut self, url: &Url, headers: &HeaderMap, now: Timestamp) {
        for value in headers.get_all(SET_COOKIE) {
            let text = String::from_utf8_lossy(value.as_bytes());
            if let Some(cookie) = Cookie::read(&text, url, now) {
                self.put(cookie, now);
            }
        }
    }

    /// The value of the cookie called `name` that would go to `url`.
    #[must_use]
    pub fn value(&self, url: &Url, name: &str, now: Timestamp) -> Option<&str> {
        let mut named = self.cookies.iter().filter(|cookie| cookie.name == name);
        named.find(|cookie| cookie.goes_to(url, now)).map(|cookie| cookie.value.as_str())
    }

    fn put(&mut self, cookie: Cookie, now: Timestamp) {
        let same =
            |old: &Cookie| old.name == cookie.name && old.domain == cookie.domain && old.path == cookie.path;
        let before = self.cookies.iter().position(same);
        match before {
            Some(place) if cookie.is_over(now) => {
                self.cookies.remove(place);
            }
            Some(place) => self.cookies[place] = cookie,
            None if cookie.is_over(now) => {}
            None => {
                self.cookies.retain(|old| !old.is_over(now));
                if self.cookies.len() >= COOKIES_LIMIT {
                    self.cookies.remove(0);
                }
                self.cookies.push(cookie);
            }
        }
    }
}

impl Cookie {
    /// The cookie that `text`, in an answer from `url`, sets; `None` if it may not.
    fn read(text: &str, url: &Url, now: Timestamp) -> Option<Self> {
        let host = url.host()?.to_owned();
        let mut parts = text.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || name.len() + value.len() > COOKIE_LIMIT {
            return None;
        }
        let mut cookie = Self {
            name: name.to_owned(),
            value: value.to_owned(),
            domain: host.to_string(),
            host_only: true,
            path: default_path(url).to_owned(),
            secure: false,
            expires: None,
        };
        let mut lasts = None;
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
            match key.as_str() {
                "domain" => cookie.widen(value, &host)?,
                "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
                "path" => default_path(url).clone_into(&mut cookie.path),
                "secure" => cookie.secure = true,
                "max-age" => lasts = max_age(value, now).or(lasts),
                "expires" => cookie.expires = date(value).or(cookie.expires),
                _ => {}
            }
        }
        // `Max-Age` outweighs `Expires`, wherever it stands.
        cookie.expires = lasts.or(cookie.expires);
        (!cookie.secure || is_secure(url)).then_some(cookie)
    }

    /// Lets the cookie go to all of `domain`, if `host` may speak for it.
    fn widen(&mut self, domain: &str, host: &Host) -> Option<()> {
        let domain = domain.strip_prefix('.').unwrap_or(domain).to_ascii_lowercase();
        let own = host.to_string();
        if domain.is_empty() || domain == own && (!own.contains('.') || !matches!(host, Host::Domain(_))) {
            self.domain = own;
            self.host_only = true;
            return Some(());
        }
        // A whole top level is nobody's to speak for.
        let single = !domain.trim_end_matches('.').contains('.');
        if single || !is_within(&own, &domain) || !matches!(host, Host::Domain(_)) {
            return None;
        }
        self.domain = domain;
        self.host_only = false;
        Some(())
    }

    fn goes_to(&self, url: &Url, now: Timestamp) -> bool {
        let Some(host) = url.host_str() else { return false };
        let at_home = host == self.domain || (!self.host_only && is_within(host, &self.domain));
        at_home && is_below(url.path(), &self.path) && (!self.secure || is_secure(url)) && !self.is_over(now)
    }

    fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

fn is_secure(url: &Url) -> bool {
    matches!(url.scheme(), "https" | "wss")
}

/// Whether `host` is `domain` or a name under it.
fn is_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether `path` is `top` or lies below it.
fn is_below(path: &str, top: &str) -> bool {
    path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || top.ends_with('/') || rest.starts_with('/'))
}

/// The path a cookie holds for unless it says otherwise: that of the request, up to its last slash.
fn default_path(url: &Url) -> &str {
    match url.path().rfind('/') {
        None | Some(0) => "/",
        Some(slash) => &url.path()[..slash],
    }
}

/// When a `Max-Age` ends: at once unless it is positive, never later than time itself.
fn max_age(value: &str, now: Timestamp) -> Option<Timestamp> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if value.starts_with('-') {
        return Some(Timestamp::MIN);
    }
    let seconds = digits.parse::<i64>().unwrap_or(i64::MAX);
    if seconds == 0 {
        return Some(Timestamp::MIN);
    }
    let at = now.as_second().saturating_add(seconds);
    Some(Timestamp::from_second(at).unwrap_or(Timestamp::MAX))
}

/// A date as servers write it: `Sun, 06 Nov 1994 08:49:37 GMT`, also with dashes.
fn date(value: &str) -> Option<Timestamp> {
    let (_, date) = value.split_once(',').unwrap_or(("", value));
    DateTimeParser::new().parse_timestamp(date.trim().replace('-', " ")).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn set(jar: &mut Jar, from: &str, cookie: &str) {
        let headers = HeaderMap::from_iter([(SET_COOKIE, HeaderValue::from_str(cookie).unwrap())]);
        jar.store(&url(from), &headers, now());
    }

    /// What goes to `to` after `from` has set `cookies`.
    fn sent(from: &str, cookies: &[&str], to: &str) -> String {
        let mut jar = Jar::default();
        for cookie in cookies {
            set(&mut jar, from, cookie);
        }
        jar.header_for(&url(to), now()).map_or(String::new(), |header| header.to_str().unwrap().to_owned())
    }

    #[rstest]
    #[case::plain("a=1", "http://shop.test/", "a=1")]
    #[case::value_with_equals("a=b=c", "http://shop.test/", "a=b=c")]
    #[case::host_only("a=1", "http://www.shop.test/", "")]
    #[case::domain("a=1; Domain=shop.test", "http://www.shop.test/", "a=1")]
    #[case::domain_with_dot("a=1; domain=.SHOP.test", "http://www.shop.test/", "a=1")]
    #[case::domain_only_at_a_dot("a=1; Domain=shop.test", "http://bookshop.test/", "")]
    #[case::foreign_domain("a=1; Domain=other.test", "http://other.test/", "")]
    #[case::longer_domain("a=1; Domain=www.shop.test", "http://www.shop.test/", "")]
    #[case::top_level("a=1; Domain=test", "http://other.test/", "")]
    #[case::top_level_at_home("a=1; Domain=test", "http://shop.test/", "")]
    #[case::path("a=1; Path=/cart", "http://shop.test/cart/7", "a=1")]
    #[case::path_itself("a=1; Path=/cart", "http://shop.test/cart", "a=1")]
    #[case::path_only_at_a_slash("a=1; Path=/cart", "http://shop.test/carton", "")]
    #[case::relative_path("a=1; Path=cart", "http://shop.test/x", "a=1")]
    #[case::secure_over_http("a=1; Secure", "https://shop.test/", "")]
    #[case::lasting("a=1; Max-Age=60", "http://shop.test/", "a=1")]
    #[case::over_at_once("a=1; Max-Age=0", "http://shop.test/", "")]
    #[case::age_outweighs_date(
        "a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        "http://shop.test/",
        "a=1"
    )]
    #[case::endless("a=1; Max-Age=99999999999999999999", "http://shop.test/", "a=1")]
    #[case::past("a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "http://shop.test/", "")]
    #[case::past_with_dashes("a=1; expires=Thursday, 01-Jan-70 00:00:00 GMT", "http://shop.test/", "")]
    #[case::future("a=1; Expires=Fri, 01 Jan 2027 00:00:00 GMT", "http://shop.test/", "a=1")]
    #[case::unreadable_date("a=1; Expires=soon", "http://shop.test/", "a=1")]
    #[case::other_port("a=1", "http://shop.test:8080/", "a=1")]
    #[case::nameless("=1", "http://shop.test/", "")]
    #[case::no_pair("a", "http://shop.test/", "")]
    fn a_cookie_goes_where_it_may(#[case] cookie: &str, #[case] to: &str, #[case] header: &str) {
        assert_eq!(sent("http://shop.test/", &[cookie], to), header);
    }

    #[rstest]
    #[case::over_tls("https://shop.test/", "a=1")]
    #[case::over_websocket("wss://shop.test/", "a=1")]
    #[case::in_clear("http://shop.test/", "")]
    fn a_secure_cookie_stays_within_tls(#[case] to: &str, #[case] header: &str) {
        assert_eq!(sent("https://shop.test/", &["a=1; Secure"], to), header);
    }

    #[rstest]
    #[case::name("http://localhost/", "a=1; Domain=localhost", "a=1")]
    #[case::address("http://127.0.0.1/", "a=1; Domain=127.0.0.1", "a=1")]
    #[case::part_of_an_address("http://127.0.0.1/", "a=1; Domain=0.0.1", "")]
    #[case::six("http://[::1]/", "a=1", "a=1")]
    fn a_host_may_name_itself(#[case] at: &str, #[case] cookie: &str, #[case] header: &str) {
        assert_eq!(sent(at, &[cookie], at), header);
    }

    #[test]
    fn the_longest_path_goes_first_then_the_oldest() {
        let cookies = ["a=1", "b=2; Path=/cart", "c=3"];
        assert_eq!(sent("http://shop.test/", &cookies, "http://shop.test/cart"), "b=2; a=1; c=3");
    }

    #[test]
    fn a_cookie_set_again_replaces_and_a_past_one_deletes() {
        assert_eq!(sent("http://a.test/", &["a=1", "b=1", "a=2"], "http://a.test/"), "a=2; b=1");
        assert_eq!(sent("http://a.test/", &["a=1", "b=1", "a=; Max-Age=-1"], "http://a.test/"), "b=1");
    }

    #[test]
    fn the_default_path_is_where_the_request_went() {
        assert_eq!(sent("http://a.test/x/y", &["a=1"], "http://a.test/x/z"), "a=1");
        assert_eq!(sent("http://a.test/x/y", &["a=1"], "http://a.test/z"), "");
    }

    #[test]
    fn a_flood_of_cookies_keeps_the_newest() {
        let cookies: Vec<_> = (0..=COOKIES_LIMIT).map(|number| format!("c{number}=1")).collect();
        let cookies: Vec<_> = cookies.iter().map(String::as_str).collect();
        let sent = sent("http://a.test/", &cookies, "http://a.test/");
        assert_eq!(sent.split("; ").count(), COOKIES_LIMIT);
        assert!(sent.starts_with("c1=1; ") && sent.ends_with("c200=1"));
    }

    #[test]
    fn a_huge_cookie_is_not_kept() {
        let huge = format!("a={}", "x".repeat(COOKIE_LIMIT));
        assert_eq!(sent("http://a.test/", &[&huge], "http://a.test/"), "");
    }

    #[test]
    fn a_cookie_can_be_read_by_its_name() {
        let mut jar = Jar::default();
        set(&mut jar, "http://a.test/", "token=7");
        assert_eq!(jar.value(&url("http://a.test/x"), "token", now()), Some("7"));
        assert_eq!(jar.value(&url("http://b.test/x"), "token", now()), None);
    }

    proptest! {
        #[test]
        fn no_cookie_panics_or_spoils_the_header(cookie in "[ -~\u{80}-\u{ff}]{0,80}") {
            let mut jar = Jar::default();
            let value = HeaderValue::from_bytes(cookie.as_bytes()).unwrap();
            jar.store(&url("http://a.test/"), &HeaderMap::from_iter([(SET_COOKIE, value)]), now());
            let _ = jar.header_for(&url("http://a.test/"), now());
        }

        #[test]
        fn no_attribute_panics(key in "(?i)(domain|path|max-age|expires|secure)", value in any::<String>()) {
            let _ = Cookie::read(&format!("a=1; {key}={value}"), &url("http://a.test/"), now());
        }
    }
}
