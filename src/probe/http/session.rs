//! One connection that speaks HTTP, for one exchange or for many.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use http::HeaderMap;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::body::{self, Outgoing};
use super::meter::{Meter, Metered};
use super::{HEAD_LIMIT, HEADERS_LIMIT, Hop, Request, Response, Version, failure, head};
use crate::probe::connect::{self, Authority, Deadline, Options, Trail};
use crate::sample::{Cause, Phase, Reason};
use crate::units::Size;

/// Twice what is allowed, so that a head somewhat over the limit is refused by us, who can say why.
const HTTP2_HEAD: u32 = 128 << 10;

/// A connection after its handshakes; dropping it ends every task that serves it.
#[derive(Debug)]
pub(super) struct Session {
    sender: Sender,
    meter: Meter,
    trail: Trail,
    /// What the connection was opened for; another request may use it only if it asks for the same.
    version: Version,
    options: Options,
    _tasks: Tasks,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Outgoing>),
    Http2(http2::SendRequest<Outgoing>),
}

/// An exchange that brought no answer.
pub(super) struct Failed {
    pub(super) cause: Cause,
    /// The request cannot have had an effect, or may have it twice: it can be sent on a new connection.
    pub(super) repeatable: bool,
}

impl Session {
    /// Connects to where `request` goes and agrees on the version; `hop` keeps the trail, also on failure.
    pub(super) async fn open(request: &Request, deadline: &Deadline, hop: &mut Hop) -> Result<Self, Cause> {
        let secure = match request.url.scheme() {
            "http" => false,
            "https" => true,
            other => return Err(unfit(&format!("`{other}` is not a scheme HTTP is spoken over"))),
        };
        let to = Authority::of(&request.url).ok_or_else(|| unfit("the url names no host and port"))?;
        let mut options = request.options.clone();
        options.tls.alpn = offered(request.version);
        let opened = match request.forwarder() {
            Some(proxy) => connect::open_to_proxy(proxy, &to, &options, deadline).await,
            None => connect::open(&to, secure, &options, deadline).await,
        };
        let connection = match opened {
            Ok(connection) => connection,
            Err(failure) => {
                hop.follow(&failure.trail);
                return Err(failure.cause);
            }
        };
        hop.follow(&connection.trail);
        let http2 = speaks_http2(request.version, secure, connection.trail.alpn.as_deref())?;
        let meter = Meter::default();
        let tasks = Tasks::default();
        let io = TokioIo::new(Metered { stream: connection.stream, meter: meter.clone() });
        let sender = deadline.run(Phase::Send, Sender::start(http2, io, &tasks)).await??;
        Ok(Self {
            sender,
            meter,
            trail: connection.trail,
            version: request.version,
            options: request.options.clone(),
            _tasks: tasks,
        })
    }

    /// Whether `request`, to the same origin, may go over this connection.
    pub(super) fn fits(&self, request: &Request) -> bool {
        self.version == request.version && self.options == request.options
    }

    /// Whether the connection still stands and takes the next request.
    pub(super) async fn is_ready(&mut self, deadline: &Deadline) -> bool {
        let ready = deadline.race(async {
            match &mut self.sender {
                Sender::Http1(sender) => sender.ready().await.is_ok(),
                Sender::Http2(sender) => sender.ready().await.is_ok(),
            }
        });
        ready.await.unwrap_or(false)
    }

    /// Notes in `hop` that this connection stood before.
    pub(super) fn reuse(&self, hop: &mut Hop) {
        hop.reused = true;
        hop.peer = self.trail.peer;
        hop.chain.clone_from(&self.trail.chain);
        hop.agreed.clone_from(&self.trail.agreed);
    }

    /// Whether the last exchange left the connection in a state to be used again.
    pub(super) fn is_settled(&self) -> bool {
        self.meter.is_sent()
    }

    /// Sends `request` and reads its answer; the phases go into `hop` whatever happens.
    pub(super) async fn exchange(
        &mut self,
        request: &Request,
        extra: &HeaderMap,
        deadline: &Deadline,
        hop: &mut Hop,
    ) -> Result<Response, Failed> {
        let meter = self.meter.clone();
        let began = Instant::now();
        meter.begin(matches!(self.sender, Sender::Http2(_)), request.body.is_empty());
        let talked = deadline.race(self.talk(request, extra, hop)).await;
        meter.note(&mut hop.phases, began, Instant::now());
        talked.unwrap_or_else(|| Err(Failed { cause: deadline.missed(meter.phase()), repeatable: false }))
    }

    async fn talk(
        &mut self,
        request: &Request,
        extra: &HeaderMap,
        hop: &mut Hop,
    ) -> Result<Response, Failed> {
        let final_cause = |cause| Failed { cause, repeatable: false };
        let body = Outgoing::new(request.body.clone(), self.meter.clone());
        let http2 = matches!(self.sender, Sender::Http2(_));
        let outgoing = head::compose(request, http2, extra, body).map_err(final_cause)?;
        let sent = match &mut self.sender {
            Sender::Http1(sender) => sender.try_send_request(outgoing).await,
            Sender::Http2(sender) => sender.try_send_request(outgoing).await,
        };
        let (parts, incoming) = sent.map_err(|error| self.lost(request, &error))?.into_parts();
        self.meter.note_head();
        hop.status = Some(parts.status);
        hop.version = Some(parts.version);
        if is_oversized(&parts.headers) {
            let limit = Size(HEAD_LIMIT as u64);
            let message = format!("the answer's head is over {limit} or {HEADERS_LIMIT} headers");
            return Err(final_cause(Cause::new(Reason::Limit, message)));
        }
        let whole = body::read(incoming, &parts.headers, request.decompress, request.limit).await;
        let whole = whole.map_err(final_cause)?;
        Ok(Response {
            status: parts.status,
            version: parts.version,
            headers: parts.headers,
            body: whole.body,
            trailers: whole.trailers,
            wire_size: Size(whole.wire_size as u64),
        })
    }

    fn lost(&self, request: &Request, error: &TrySendError<http::Request<Outgoing>>) -> Failed {
        let cause = failure::explain(error.error());
        let unsent = error.message().is_some();
        let harmless = request.method.is_idempotent() && !self.meter.is_answered();
        Failed { repeatable: unsent || (harmless && cause.reason == Reason::Closed), cause }
    }
}

impl Sender {
    async fn start(http2: bool, io: TokioIo<Metered>, tasks: &Tasks) -> Result<Self, Cause> {
        let explain = |error| failure::explain(&error);
        if http2 {
            let (sender, connection) = http2::Builder::new(tasks.executor())
                .max_header_list_size(HTTP2_HEAD)
                .handshake(io)
                .await
                .map_err(explain)?;
            tasks.spawn(connection);
            Ok(Self::Http2(sender))
        } else {
            let (sender, connection) =
                http1::Builder::new().max_buf_size(HEAD_LIMIT).handshake(io).await.map_err(explain)?;
            tasks.spawn(connection);
            Ok(Self::Http1(sender))
        }
    }
}

fn unfit(why: &str) -> Cause {
    Cause::new(Reason::Protocol, why)
}

/// What is offered within TLS.
fn offered(version: Version) -> Vec<Vec<u8>> {
    let names: &[&[u8]] = match version {
        Version::Auto => &[b"h2", b"http/1.1"],
        Version::Http1 => &[b"http/1.1"],
        Version::Http2 => &[b"h2"],
    };
    names.iter().map(|name| name.to_vec()).collect()
}

fn speaks_http2(version: Version, secure: bool, agreed: Option<&[u8]>) -> Result<bool, Cause> {
    match version {
        Version::Auto => Ok(agreed == Some(b"h2")),
        Version::Http1 => Ok(false),
        Version::Http2 if !secure || agreed == Some(b"h2") => Ok(true),
        Version::Http2 => Err(unfit("the peer does not offer HTTP/2")),
    }
}

/// HTTP/1.1 heads are bounded as they are read; those of HTTP/2 come packed, and whole.
fn is_oversized(headers: &HeaderMap) -> bool {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    bytes > HEAD_LIMIT || headers.len() > HEADERS_LIMIT
}

/// The tasks that drive a connection; all end when this is dropped.
#[derive(Debug, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    /// For the engine to spawn with. It does not keep the tasks alive: they hold it themselves.
    fn executor(&self) -> Spawner {
        Spawner(Arc::downgrade(&self.0))
    }

    fn spawn<F>(&self, task: F)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        hyper::rt::Executor::execute(&self.executor(), task);
    }
}

#[derive(Debug, Clone)]
struct Spawner(Weak<Mutex<JoinSet<()>>>);

impl<F> hyper::rt::Executor<F> for Spawner
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        let Some(tasks) = self.0.upgrade() else { return };
        let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // A kept connection spawns for every body it sends: those that are done must not pile up.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            task.await;
        });
    }
}
