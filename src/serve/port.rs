//! The port where metrics are scraped and people look: a few paths, each answered from what is known already.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::door::{Guest, Guests};
use super::house::House;
use super::{metrics, page, probe};
use crate::exposition::Dialect;

/// How many may wait to be let in; where more do, they are told nothing and try again, a second later at first.
const QUEUE: u32 = 4096;

/// How long a client may take over a request's head, and how long it may stay without asking anything.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long answers under way may still take when serving ends.
const GRACE: Duration = Duration::from_secs(2);

/// The longest head of a request.
const LONGEST_HEAD: usize = 32 << 10;

/// How long to wait when the system has no more connections to give, or there is no room.
const RETRY: Duration = Duration::from_millis(50);

/// Smaller answers are not worth packing.
const WORTH_PACKING: usize = 1024;

/// Nothing that a target sent may load or run anything on the page that shows it.
const CONTENT_POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) type Reply = Response<Full<Bytes>>;

/// Has the port.
///
/// # Errors
/// When the system does not give it.
pub(super) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE)
}

/// Answers whoever connects, until `stop` is cancelled.
pub(super) async fn open(listener: TcpListener, house: Arc<House>, stop: CancellationToken) {
    let (mut connections, mut guests) = (JoinSet::new(), Guests::default());
    loop {
        let full = connections.len() >= house.room.clients;
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            () = sleep(RETRY), if full => {
                house.sent_away.fetch_add(guests.make_room(), Ordering::Relaxed);
            }
            accepted = listener.accept(), if !full => match accepted {
                Ok((stream, _)) => {
                    let guest = guests.welcome(&stop);
                    connections.spawn(attend(stream, Arc::clone(&house), guest, stop.clone()));
                }
                Err(_) => sleep(RETRY).await,
            },
        }
    }
    drop(listener);
    let _ = timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
    connections.shutdown().await;
}

async fn attend(stream: TcpStream, house: Arc<House>, guest: Arc<Guest>, stop: CancellationToken) {
    // A client that is gone already has no socket to set this on.
    let _ = stream.set_nodelay(true);
    // What cannot be read any more lets nobody in, in clear least of all.
    let Ok(rules) = house.web.rules() else { return };
    let Some(tls) = rules.tls else { return converse(stream, house, guest, stop).await };
    let shaking = timeout(PATIENCE, TlsAcceptor::from(tls).accept(stream));
    if let Some(Ok(Ok(stream))) = guest.leave.clone().run_until_cancelled(shaking).await {
        converse(stream, house, guest, stop).await;
    }
}

async fn converse<S>(stream: S, house: Arc<House>, guest: Arc<Guest>, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let leave = guest.leave.clone();
    let service = service_fn(|request: Request<Incoming>| {
        let (house, guest) = (Arc::clone(&house), Arc::clone(&guest));
        async move {
            let _asking = guest.asks();
            Ok::<_, Infallible>(admitted(&request, &house).await)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // What breaks a connection is the client's affair: there is nobody here to tell.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = leave.cancelled() => if !stop.is_cancelled() { return },
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

/// The answer, for whoever may ask.
async fn admitted(request: &Request<Incoming>, house: &Arc<House>) -> Reply {
    let Ok(rules) = house.web.rules() else {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "the file of `--web.config.file` cannot be read\n");
    };
    let mut reply = if house.web.admits(&rules, request.headers()).await {
        answer(request, house).await
    } else {
        let mut reply = text(StatusCode::UNAUTHORIZED, "Unauthorized\n");
        reply.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
        reply
    };
    for (name, value) in &rules.headers {
        reply.headers_mut().insert(name.clone(), value.clone());
    }
    reply
}

async fn answer(request: &Request<Incoming>, house: &Arc<House>) -> Reply {
    let path = request.uri().path();
    let reads = *request.method() == Method::GET || *request.method() == Method::HEAD;
    let reply = match path {
        "/-/reload" if matches!(*request.method(), Method::POST | Method::PUT) => reload(house).await,
        "/-/reload" => not_allowed("POST, PUT"),
        "/" | "/metrics" | "/probe" | "/-/healthy" | "/-/ready" if !reads => not_allowed("GET, HEAD"),
        "/" => html(StatusCode::OK, page::front(house)),
        "/probe" => {
            let query = request.uri().query().unwrap_or_default();
            // On the heap, as it holds a connection in the making; and its type would nest too deep.
            let probing: BoxFuture<'_, _> = Box::pin(probe::answer(query, request.headers(), house));
            match probing.await {
                Ok(page) => reply(StatusCode::OK, Dialect::Text.content_type(), page),
                Err((status, why)) => unanswered(status, why),
            }
        }
        "/metrics" => scrape(request.headers(), house),
        "/-/healthy" => text(StatusCode::OK, "firedrill is healthy.\n"),
        "/-/ready" if house.files().read.is_some() => text(StatusCode::OK, "firedrill is ready.\n"),
        "/-/ready" => text(StatusCode::SERVICE_UNAVAILABLE, "firedrill is still reading its files.\n"),
        _ => match path.strip_prefix("/scenario/").and_then(|name| page::scenario(house, name)) {
            Some(page) if reads => html(StatusCode::OK, page),
            Some(_) => not_allowed("GET, HEAD"),
            None => html(StatusCode::NOT_FOUND, page::lost(path)),
        },
    };
    packed(request.headers(), reply)
}

async fn reload(house: &Arc<House>) -> Reply {
    house.reload().await;
    let broken = house.files().broken;
    if broken.is_empty() {
        return text(StatusCode::OK, "read anew\n");
    }
    let drawn: Vec<_> = broken.into_iter().map(|broken| broken.drawn).collect();
    let said = format!("files with errors change nothing:\n\n{}\n", drawn.join("\n\n"));
    text(StatusCode::INTERNAL_SERVER_ERROR, said)
}

fn scrape(headers: &HeaderMap, house: &House) -> Reply {
    let accepted = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let (kind, page) = metrics::page(house, metrics::form(accepted));
    reply(StatusCode::OK, kind, page)
}

fn html(status: StatusCode, page: String) -> Reply {
    let mut reply = reply(status, "text/html; charset=utf-8", page);
    let policy = HeaderValue::from_static(CONTENT_POLICY);
    reply.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    reply
}

fn text(status: StatusCode, said: impl Into<String>) -> Reply {
    reply(status, "text/plain; charset=utf-8", said.into())
}

/// Why nothing was probed; where too many ask, that this is soon over.
fn unanswered(status: StatusCode, why: String) -> Reply {
    let mut reply = text(status, why);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    reply
}

fn not_allowed(methods: &'static str) -> Reply {
    let mut reply = text(StatusCode::METHOD_NOT_ALLOWED, format!("only {methods}\n"));
    reply.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
    reply
}

fn reply(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    let fixed: [(HeaderName, &'static str); 4] = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fixed {
        reply.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    reply
}

/// The answer, packed where the client takes that.
fn packed(headers: &HeaderMap, reply: Reply) -> Reply {
    use http_body_util::BodyExt as _;
    use hyper::body::Body as _;

    let takes = headers.get(header::ACCEPT_ENCODING).and_then(|takes| takes.to_str().ok());
    let takes = takes.is_some_and(|takes| {
        takes.split(',').any(|one| {
            let (name, weight) = one.split_once(';').unwrap_or((one, ""));
            name.trim().eq_ignore_ascii_case("gzip") && weight.replace(' ', "") != "q=0"
        })
    });
    let size = reply.body().size_hint().exact().and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
    if !takes || size < WORTH_PACKING {
        return reply;
    }
    let (mut head, body) = reply.into_parts();
    let Some(Ok(frame)) = futures_util::FutureExt::now_or_never(body.clone().frame()).flatten() else {
        return Response::from_parts(head, body);
    };
    let mut encoder = GzEncoder::new(Vec::with_capacity(size / 8), Compression::fast());
    let data = frame.into_data().unwrap_or_default();
    match encoder.write_all(&data).and_then(|()| encoder.finish()) {
        Ok(packed) => {
            head.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            head.headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
            Response::from_parts(head, Full::from(packed))
        }
        Err(_) => Response::from_parts(head, body),
    }
}
