//! A request, sent as it is, and all that came of it: every redirect is a hop with phases of its own.

mod body;
mod digest;
mod encoding;
mod failure;
mod head;
mod meter;
mod redirect;
mod session;
mod written;

use std::collections::HashMap;
use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap};
use http::{Method, StatusCode};
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use url::{Origin, Position, Url};

use self::digest::Asked;
pub use self::digest::Credentials;
use self::head::take_userinfo;
use self::session::{Failed, Session};
pub use self::written::Written;
use crate::probe::connect::{Agreed, Deadline, Options, Trail};
use crate::probe::cookies::Jar;
use crate::sample::{Cause, Phases, Reason};
use crate::scenario::network::{Proxy, ProxyKind};
use crate::units::Size;

/// Bytes of an answer's head that are read before it is too large.
pub const HEAD_LIMIT: usize = 64 << 10;

/// Headers of an answer that are read before they are too many; the engine's own bound for HTTP/1.1.
pub const HEADERS_LIMIT: usize = 100;

/// What of a body is read if nothing else is said.
pub const BODY_LIMIT: Size = Size(1 << 20);

/// Origins a client keeps a connection to.
const KEPT_LIMIT: usize = 16;

/// Which HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// What TLS agrees on, HTTP/2 first; HTTP/1.1 in clear.
    #[default]
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2; in clear, from the first byte on.
    Http2,
}

/// A request with every variable filled in.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to; a user and password in it become basic authorization.
    pub url: Url,
    /// Headers, over the ones added by default.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
    /// Which HTTP is spoken.
    pub version: Version,
    /// Redirects to follow; with zero, a redirect is the answer.
    pub redirects: u8,
    /// Follow redirects only to the host that was asked.
    pub same_host: bool,
    /// The most that is read of a body, on the wire and unpacked.
    pub limit: Size,
    /// Ask for a packed answer and unpack it: gzip, deflate, brotli or zstd.
    pub decompress: bool,
    /// What is digested for a target that asks for it.
    pub digest: Option<Credentials>,
    /// Add no header that says who asks and what is taken: `User-Agent`, `Accept`.
    pub bare: bool,
    /// How to connect. ALPN follows from `version`.
    pub options: Options,
}

impl Request {
    /// A request without headers or body, redirects not followed.
    #[must_use]
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            version: Version::Auto,
            redirects: 0,
            same_host: false,
            limit: BODY_LIMIT,
            decompress: true,
            digest: None,
            bare: false,
            options: Options::default(),
        }
    }

    /// The proxy that is asked for this very request, and not for a tunnel to where it goes: plain HTTP/1.1 over an
    /// HTTP proxy.
    fn forwarder(&self) -> Option<&Proxy> {
        let plain = self.url.scheme() == "http" && self.version != Version::Http2;
        self.options.proxy.as_ref().filter(|proxy| plain && proxy.kind == ProxyKind::Http)
    }

    /// The request with the digest that an answer to it asks for, if it does and there is something to digest.
    fn proven(&self, answer: &Response) -> Result<Option<Self>, Cause> {
        let Some(credentials) = self.digest.as_ref().filter(|_| answer.status == StatusCode::UNAUTHORIZED)
        else {
            return Ok(None);
        };
        let target = &self.url[Position::BeforePath..Position::AfterQuery];
        let asked = Asked { method: &self.method, target, nonce: rand::random() };
        let proof = credentials.answer(&answer.headers, &asked)?;
        Ok(proof.map(|proof| {
            let mut proven = self.clone();
            proven.headers.insert(AUTHORIZATION, proof);
            proven
        }))
    }

    /// Turns a user and password in the url into the header they stand for.
    fn adopt_userinfo(&mut self) {
        if let Some(basic) = take_userinfo(&mut self.url) {
            self.headers.entry(AUTHORIZATION).or_insert(basic);
        }
    }
}

/// A complete answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The version it was answered in.
    pub version: http::Version,
    /// Headers, as they came.
    pub headers: HeaderMap,
    /// The body, unpacked.
    pub body: Bytes,
    /// Headers that came after the body.
    pub trailers: HeaderMap,
    /// How much body came over the wire, still packed.
    pub wire_size: Size,
}

impl Response {
    /// An answer of which only the status is known.
    #[must_use]
    pub fn of(status: StatusCode) -> Self {
        Self {
            status,
            version: http::Version::HTTP_11,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            trailers: HeaderMap::new(),
            wire_size: Size(0),
        }
    }
}

/// One request within an exchange, and what it met.
#[derive(Debug, Clone)]
pub struct Hop {
    /// The method.
    pub method: Method,
    /// Where to, without user and password.
    pub url: Url,
    /// The address connected to, or tried last.
    pub peer: Option<SocketAddr>,
    /// Whether the connection stood before; it then has no phases of connecting.
    pub reused: bool,
    /// The version answered in.
    pub version: Option<http::Version>,
    /// The status, once a head came.
    pub status: Option<StatusCode>,
    /// How long each phase of this hop took; the phase that failed is among them.
    pub phases: Phases,
    /// The certificates the peer presented, leaf first, also when they were not accepted.
    pub chain: Vec<CertificateDer<'static>>,
    /// What TLS agreed on, where it is spoken.
    pub agreed: Option<Agreed>,
}

impl Hop {
    fn new(request: &Request) -> Self {
        Self {
            method: request.method.clone(),
            url: request.url.clone(),
            peer: None,
            reused: false,
            version: None,
            status: None,
            phases: Phases::default(),
            chain: Vec::new(),
            agreed: None,
        }
    }

    fn follow(&mut self, trail: &Trail) {
        self.phases = trail.phases;
        self.peer = trail.peer;
        self.chain.clone_from(&trail.chain);
        self.agreed.clone_from(&trail.agreed);
    }
}

/// All that came of a request.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// At least one; more if redirects were followed. The last one is the one of the result.
    pub hops: Vec<Hop>,
    /// The answer, or why there is none.
    pub result: Result<Response, Cause>,
}

/// Sends `request` over connections of its own; cookies last as long as its redirects.
pub async fn send(request: &Request, deadline: &Deadline) -> Exchange {
    Client::default().send(request, deadline).await
}

/// What lasts from one request to the next: cookies, and connections if they are kept.
#[derive(Debug, Default)]
pub struct Client {
    /// The cookies received so far.
    pub jar: Jar,
    keep: bool,
    kept: HashMap<Origin, Session>,
}

impl Client {
    /// A client that keeps one connection per origin open between requests.
    #[must_use]
    pub fn keeping() -> Self {
        Self { keep: true, ..Self::default() }
    }

    /// A client that has these cookies.
    #[must_use]
    pub fn with(jar: Jar) -> Self {
        Self { jar, ..Self::default() }
    }

    /// Sends `request` and follows its redirects, all before `deadline`.
    pub async fn send(&mut self, request: &Request, deadline: &Deadline) -> Exchange {
        let mut hops = Vec::new();
        // On the heap: it holds a connection in the making, and everything above would hold it too.
        let result = Box::pin(self.travel(request.clone(), deadline, &mut hops)).await;
        Exchange { hops, result }
    }

    async fn travel(
        &mut self,
        mut request: Request,
        deadline: &Deadline,
        hops: &mut Vec<Hop>,
    ) -> Result<Response, Cause> {
        request.adopt_userinfo();
        for _ in 0..=request.redirects {
            let mut response = self.leap(&request, deadline, hops).await?;
            if let Some(proven) = request.proven(&response)? {
                response = self.leap(&proven, deadline, hops).await?;
            }
            if request.redirects == 0 {
                return Ok(response);
            }
            match redirect::target(&request.url, response.status, &response.headers)? {
                Some(to) if request.same_host && to.host() != request.url.host() => {
                    return Err(redirect::elsewhere(&request.url, &to));
                }
                Some(to) => {
                    if let Some(host) = to.host() {
                        request.options.policy.follows(&host.to_owned())?;
                    }
                    redirect::follow(&mut request, response.status, to);
                }
                None => return Ok(response),
            }
        }
        Err(Cause::new(Reason::Limit, format!("more than {} redirects", request.redirects)))
    }

    /// One request and its answer, noted.
    async fn leap(
        &mut self,
        request: &Request,
        deadline: &Deadline,
        hops: &mut Vec<Hop>,
    ) -> Result<Response, Cause> {
        let mut hop = Hop::new(request);
        let answered = self.hop(request, deadline, &mut hop).await;
        hops.push(hop);
        let response = answered?;
        self.jar.store(&request.url, &response.headers, Timestamp::now());
        Ok(response)
    }

    /// One request and its answer, over a kept connection if there is one that stands.
    async fn hop(
        &mut self,
        request: &Request,
        deadline: &Deadline,
        hop: &mut Hop,
    ) -> Result<Response, Cause> {
        let origin = request.url.origin();
        let extra = head::extra(request, &self.jar, self.keep, Timestamp::now());
        if let Some(mut session) = self.kept.remove(&origin).filter(|session| session.fits(request))
            && session.is_ready(deadline).await
        {
            session.reuse(hop);
            match session.exchange(request, &extra, deadline, hop).await {
                Ok(response) => return Ok(self.keep(origin, session, response)),
                Err(Failed { cause, repeatable: false }) => return Err(cause),
                // The peer may end a kept connection at any time: that is no failure of this request.
                Err(Failed { repeatable: true, .. }) => *hop = Hop::new(request),
            }
        }
        let mut session = Session::open(request, deadline, hop).await?;
        let response =
            session.exchange(request, &extra, deadline, hop).await.map_err(|failed| failed.cause)?;
        Ok(self.keep(origin, session, response))
    }

    fn keep(&mut self, origin: Origin, session: Session, response: Response) -> Response {
        if self.keep && session.is_settled() {
            if self.kept.len() >= KEPT_LIMIT {
                self.kept.clear();
            }
            self.kept.insert(origin, session);
        }
        response
    }
}
