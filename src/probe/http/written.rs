//! A request as the bytes that HTTP/1.1 sends, made once where it is sent many times.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use jiff::Timestamp;
use tokio::sync::OnceCell;

use super::body::Outgoing;
use super::meter::Meter;
use super::{Request, Version, head};
use crate::probe::connect::{Authority, Options};
use crate::probe::cookies::Jar;
use crate::probe::trust::Handshake;
use crate::sample::{Cause, Reason};
use crate::units::Size;

/// A request as bytes, and what has to be known to send them and to read the answer.
#[derive(Debug, Clone)]
pub struct Written {
    /// Head and body.
    pub bytes: Bytes,
    /// Where to.
    pub to: Authority,
    /// Over TLS.
    pub secure: bool,
    /// How to connect.
    pub options: Options,
    /// Its answer has no body, whatever it says.
    pub head_only: bool,
    /// Sent twice it does what it does once: it may be repeated where a kept connection was closed under it.
    pub idempotent: bool,
    /// The most that is read of the answer's body.
    pub limit: Size,
    /// How TLS is spoken, made ready by whoever connects first.
    handshake: Arc<OnceCell<Handshake>>,
}

impl Written {
    /// How TLS is spoken with whom it goes to, where it is: made ready once for all who send this.
    ///
    /// # Errors
    /// As [`Handshake::prepare`].
    pub async fn handshake(&self) -> Result<Option<&Handshake>, Cause> {
        if !self.secure {
            return Ok(None);
        }
        let host = self.to.bare_host();
        self.handshake.get_or_try_init(|| Handshake::prepare(&self.options.tls, &host)).await.map(Some)
    }
}

impl Request {
    /// The request as bytes, where nothing of it differs from one time to the next and nothing follows from its
    /// answer: no redirects, no digest, no proxy, no packed body, no HTTP/2. Over TLS, HTTP/1.1 is agreed on.
    ///
    /// # Errors
    /// Inside: protocol, where it cannot be written.
    #[must_use]
    pub fn written(&self) -> Option<Result<Written, Cause>> {
        let plain = self.version != Version::Http2
            && self.redirects == 0
            && !self.decompress
            && self.digest.is_none()
            && self.options.proxy.is_none();
        plain.then(|| self.write())
    }

    fn write(&self) -> Result<Written, Cause> {
        let mut request = self.clone();
        request.adopt_userinfo();
        let extra = head::extra(&request, &Jar::default(), true, Timestamp::now());
        let body = Outgoing::new(request.body.clone(), Meter::default());
        let composed = head::compose(&request, false, &extra, body)?;
        let mut bytes = format!("{} {} HTTP/1.1\r\n", composed.method(), composed.uri()).into_bytes();
        for (name, value) in composed.headers() {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&request.body);
        let nowhere = || Cause::new(Reason::Protocol, "the url names no host and port");
        let to = Authority::of(&request.url).ok_or_else(nowhere)?;
        let mut options = request.options;
        options.tls.alpn = vec![b"http/1.1".to_vec()];
        Ok(Written {
            bytes: bytes.into(),
            to,
            secure: request.url.scheme() == "https",
            options,
            head_only: request.method == Method::HEAD,
            idempotent: request.method.is_idempotent(),
            limit: request.limit,
            handshake: Arc::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, url: &str) -> Request {
        Request { decompress: false, bare: true, ..Request::new(method, url.parse().unwrap()) }
    }

    #[test]
    fn a_request_is_written_as_it_is_sent() {
        let mut request = request(Method::POST, "http://user:word@a.test:8080/x?y=1#z");
        request.body = Bytes::from_static(b"{}");
        let written = request.written().unwrap().unwrap();
        let text = String::from_utf8(written.bytes.to_vec()).unwrap().replace("\r\n", "\n");
        let mut lines: Vec<_> = text.lines().collect();
        lines[1..4].sort_unstable();
        insta::assert_snapshot!(lines.join("\n"), @r"
        POST /x?y=1 HTTP/1.1
        authorization: Basic dXNlcjp3b3Jk
        content-length: 2
        host: a.test:8080

        {}
        ");
        assert_eq!((written.to.to_string().as_str(), written.secure), ("a.test:8080", false));
        assert!(!written.idempotent);
    }

    #[test]
    fn what_its_answer_changes_is_not_written_beforehand() {
        let plain = request(Method::GET, "http://a.test/");
        assert!(plain.written().is_some());
        assert!(Request { redirects: 1, ..plain.clone() }.written().is_none());
        assert!(Request { decompress: true, ..plain.clone() }.written().is_none());
        assert!(Request { version: Version::Http2, ..plain }.written().is_none());
    }
}
