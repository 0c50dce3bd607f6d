//! The port where every receiver that speaks HTTP is heard, and the proxy for those whose address nobody can change.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::desk::{Desk, LARGEST};
use super::line::{Line, unspell};
use super::request::{Answer, Reply, Request, bare_reply, json_reply, text_reply, with};
use super::trouble::Trouble;
use super::vendor::Kind;

/// How long a client may take over a request's head, and how long it may stay without asking anything.
const PATIENCE: Duration = Duration::from_secs(75);

/// How long a client may take over a request's body, and over a handshake.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// Where tokens for OAuth 2 are given out.
pub(super) const TOKENS: &str = "/oauth2/token";

/// A connection is closed on purpose.
#[derive(Debug, thiserror::Error)]
#[error("closed on purpose")]
struct Closed;

/// A tunnel that a client asked for, and whose it is.
struct Tunnel {
    upgrade: OnUpgrade,
    line: Line,
}

/// Serves one connection, and the tunnel it may turn into.
pub(super) async fn attend(stream: TcpStream, desk: Arc<Desk>) {
    // A client that is gone already has no socket to set this on.
    let _ = stream.set_nodelay(true);
    let tunnel = Mutex::new(None);
    serve(stream, |request| answer(request, &desk, None, &tunnel)).await;
    let tunnel = tunnel.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(Tunnel { upgrade, line }) = tunnel {
        let Ok(upgraded) = upgrade.await else { return };
        let Ok(Ok(stream)) = timeout(BODY_PATIENCE, desk.tls.accept(TokioIo::new(upgraded))).await else {
            return;
        };
        let nowhere = Mutex::new(None);
        serve(stream, |request| answer(request, &desk, Some(&line), &nowhere)).await;
    }
}

async fn serve<S, F, A>(stream: S, answer: F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(http::Request<Incoming>) -> A,
    A: Future<Output = Result<Reply, Closed>>,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .with_upgrades();
    // What breaks a connection is the client's affair: there is nobody here to tell.
    let _ = connection.await;
}

/// Answers a request; one in a tunnel is for the line of that, whatever its path.
async fn answer(
    request: http::Request<Incoming>,
    desk: &Desk,
    tunnelled: Option<&Line>,
    tunnel: &Mutex<Option<Tunnel>>,
) -> Result<Reply, Closed> {
    if request.method() == Method::CONNECT {
        return Ok(connect(request, tunnel));
    }
    if request.uri().path() == TOKENS {
        let body = json!({ "access_token": "firedrill", "token_type": "Bearer", "expires_in": 3600 });
        return Ok(json_reply(StatusCode::OK, body));
    }
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let (line, rest) = match tunnelled {
        Some(line) => (line.clone(), path),
        None => match Line::parse(path) {
            Some(found) => found,
            None => return Ok(lost(path)),
        },
    };
    let body = match read(body).await {
        Ok(body) => body,
        Err(reply) => return Ok(reply),
    };
    match desk.troubles.meet(line.receiver.as_deref()).await {
        Some(Trouble::Close) => return Err(Closed),
        Some(trouble) => return Ok(refuse(trouble)),
        None => {}
    }
    let Answer { reply, message } = (line.kind.vendor().receive)(&Request {
        line: &line,
        method: &head.method,
        rest,
        query: head.uri.query().unwrap_or_default(),
        headers: &head.headers,
        body: &body,
        number: desk.number(),
        now: Timestamp::now().as_second(),
        memory: &desk.memory,
    });
    if let Some(message) = message {
        // A form may as well stand in the address.
        let raw = if body.is_empty() { head.uri.query().unwrap_or_default().as_bytes() } else { &body };
        desk.deliver(&line, message, raw);
    }
    Ok(reply)
}

/// What a receiver in trouble answers.
fn refuse(trouble: Trouble) -> Reply {
    match trouble {
        Trouble::Status(status) => text_reply(status, "in trouble, on purpose\n"),
        Trouble::TooMany(wait) => {
            let seconds = wait.as_secs().max(1).to_string();
            with(
                text_reply(StatusCode::TOO_MANY_REQUESTS, "too many, on purpose\n"),
                header::RETRY_AFTER,
                &seconds,
            )
        }
        // These are no answers.
        Trouble::Slow(_) | Trouble::Hang | Trouble::Close => bare_reply(StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// Opens a tunnel to the vendors whose address is in Alertmanager's code, and to nobody else.
fn connect(mut request: http::Request<Incoming>, tunnel: &Mutex<Option<Tunnel>>) -> Reply {
    let kind = match request.uri().host() {
        Some("api.pushover.net") => Kind::Pushover,
        Some("events.pagerduty.com") => Kind::Pagerduty,
        Some("slack.com") => Kind::Slack,
        Some(_) | None => return text_reply(StatusCode::FORBIDDEN, "no way leads out of the sink\n"),
    };
    let (receiver, index) = named(request.headers()).map_or((None, 0), |(name, index)| (Some(name), index));
    let upgrade = hyper::upgrade::on(&mut request);
    *tunnel.lock().unwrap_or_else(PoisonError::into_inner) =
        Some(Tunnel { upgrade, line: Line { receiver, kind, index } });
    bare_reply(StatusCode::OK)
}

/// The receiver and the index that a client gives the proxy as its name and password.
fn named(headers: &HeaderMap) -> Option<(String, usize)> {
    let value = headers.get(header::PROXY_AUTHORIZATION)?.to_str().ok()?;
    let (_, encoded) = value.split_once(' ')?;
    let pair = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (receiver, index) = pair.split_once(':')?;
    Some((unspell(receiver)?, index.parse().ok()?))
}

/// Nobody is addressed so.
fn lost(path: &str) -> Reply {
    let kinds: Vec<_> = Kind::ALL.iter().map(|kind| format!("/{kind}")).collect();
    let error = format!("`{path}` is no receiver's: paths begin with one of {}", kinds.join(", "));
    json_reply(StatusCode::NOT_FOUND, json!({ "error": error }))
}

/// Reads a request's body.
async fn read(body: Incoming) -> Result<Bytes, Reply> {
    match timeout(BODY_PATIENCE, Limited::new(body, LARGEST).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(text_reply(StatusCode::PAYLOAD_TOO_LARGE, "a body has at most 1 MiB\n"))
        }
        Ok(Err(_)) => Err(text_reply(StatusCode::BAD_REQUEST, "the body broke off\n")),
        Err(_) => Err(text_reply(StatusCode::REQUEST_TIMEOUT, "the body took more than 10 s\n")),
    }
}

/// A wait before trying again what the system could not give.
pub(super) async fn pause(_: io::Error) {
    tokio::time::sleep(Duration::from_millis(50)).await;
}
