//! From an open connection to a WebSocket: the opening handshake of RFC 6455.
//!
//! Asked and answered here rather than by `client_async`: that one refuses `Connection: keep-alive, Upgrade`,
//! gives up on an answer that comes in many small pieces, and cannot tell sending from waiting.

use http::header::{HeaderMap, HeaderValue};
use http::{HeaderName, StatusCode, header};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite;
use tungstenite::handshake::client::{Response, generate_key};
use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::machine::TryParse;
use tungstenite::protocol::{Role, WebSocketConfig};
use url::Position;

use super::{Act, Exchange, Request};
use crate::probe::connect::Deadline;
use crate::probe::exchange::Excerpt;
use crate::sample::{Cause, Phase, Reason};
use crate::units::Size;

/// The largest head of an answer that is read.
const HEAD: Size = Size(64 << 10);

/// The room for pongs beside the largest message: a peer that pings and never reads must not fill memory.
const PONGS: usize = 64 << 10;

/// What the upgrade says of its sender, unless the user says otherwise.
const AGENT: &str = concat!("firedrill/", env!("CARGO_PKG_VERSION"));

/// Asks for the upgrade and judges the answer; notes its phases, status and subprotocol in `exchange`.
pub(super) async fn upgrade<S>(
    mut stream: S,
    request: &Request,
    deadline: &Deadline,
    exchange: &mut Exchange,
) -> Result<WebSocketStream<S>, Cause>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let key = match request.headers.get(header::SEC_WEBSOCKET_KEY) {
        Some(key) => key.clone(),
        None => HeaderValue::try_from(generate_key()).expect("base64 is a header value"),
    };
    let offered = offered(request);
    let asked = written(request, &key, &offered)?;

    let began = Instant::now();
    let sent = deadline.run(Phase::Send, send(&mut stream, &asked)).await;
    exchange.phases.set(Phase::Send, began.elapsed());
    sent??;

    let began = Instant::now();
    let answered = deadline.run(Phase::Wait, answer(&mut stream)).await;
    exchange.phases.set(Phase::Wait, began.elapsed());
    let (response, rest) = answered??;

    exchange.status = Some(response.status());
    exchange.subprotocol = judge(&response, &key, &offered)?;
    Ok(WebSocketStream::from_partially_read(stream, rest, Role::Client, Some(config(request))).await)
}

/// The subprotocols offered, in their own field or as a header.
fn offered(request: &Request) -> Vec<&str> {
    let headers = tokens(&request.headers, &header::SEC_WEBSOCKET_PROTOCOL);
    headers.chain(request.subprotocols.iter().map(String::as_str)).collect()
}

/// The request as it goes over the wire.
fn written(request: &Request, key: &HeaderValue, offered: &[&str]) -> Result<Vec<u8>, Cause> {
    if let Some(odd) = offered.iter().find(|name| HeaderName::try_from(**name).is_err()) {
        let message = format!("`{}` is not a subprotocol: it is not a token", odd.escape_debug());
        return Err(Cause::new(Reason::Protocol, message));
    }
    let target = &request.url[Position::BeforePath..Position::AfterQuery];
    let host = &request.url[Position::BeforeHost..Position::AfterPort];
    let offered = offered.join(", ");
    // Some servers compare names by the letter, so these are written as the RFC writes them.
    let usual = [
        ("Host", host.as_bytes()),
        ("Connection", b"Upgrade"),
        ("Upgrade", b"websocket"),
        ("Sec-WebSocket-Version", b"13"),
        ("Sec-WebSocket-Key", key.as_bytes()),
        ("Sec-WebSocket-Protocol", offered.as_bytes()),
        ("User-Agent", AGENT.as_bytes()),
    ];
    let mut lines = vec![["GET ", target, " HTTP/1.1"].concat().into_bytes()];
    for (name, value) in usual {
        let value = match request.headers.get(name) {
            Some(own) if name != "Sec-WebSocket-Protocol" => own.as_bytes(),
            Some(_) | None => value,
        };
        if !value.is_empty() {
            lines.push([name.as_bytes(), b": ", value].concat());
        }
    }
    for (name, value) in &request.headers {
        if !usual.iter().any(|(usual, _)| usual.eq_ignore_ascii_case(name.as_str())) {
            lines.push([name.as_str().as_bytes(), b": ", value.as_bytes()].concat());
        }
    }
    Ok([lines.join(&b"\r\n"[..]), b"\r\n\r\n".to_vec()].concat())
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, asked: &[u8]) -> Result<(), Cause> {
    let sent = async {
        stream.write_all(asked).await?;
        stream.flush().await
    };
    sent.await.map_err(|source| {
        Cause::new(Reason::Closed, format!("connection broken while asking for the upgrade: {source}"))
    })
}

/// The head of the answer, and what came with it that belongs to the frames.
async fn answer<S: AsyncRead + Unpin>(stream: &mut S) -> Result<(Response, Vec<u8>), Cause> {
    let mut head = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let count = match stream.read(&mut piece).await {
            Ok(0) => return Err(cut_off(&head, "closed")),
            Ok(count) => count,
            Err(source) => return Err(cut_off(&head, &format!("broken ({source})"))),
        };
        let first = head.is_empty();
        head.extend_from_slice(&piece[..count]);
        // Whether it is complete, or no HTTP at all, is seen at the ends of lines.
        if first || piece[..count].contains(&b'\n') {
            match Response::try_parse(&head) {
                Ok(Some((length, response))) => return Ok((response, head.split_off(length))),
                Ok(None) => {}
                Err(error) => return Err(not_http(&error, &head)),
            }
        }
        if head.len() > HEAD.bytes() {
            return Err(Cause::new(
                Reason::Limit,
                format!("the head of the answer to the upgrade is over {HEAD}"),
            ));
        }
    }
}

fn cut_off(head: &[u8], how: &str) -> Cause {
    let message = match head {
        [] => format!("connection {how} before the upgrade was answered"),
        _ => format!("connection {how} within the answer to the upgrade, after {}", Excerpt::of(head)),
    };
    Cause::new(Reason::Closed, message)
}

fn not_http(error: &tungstenite::Error, head: &[u8]) -> Cause {
    if matches!(error, tungstenite::Error::Capacity(_)) {
        return Cause::new(Reason::Limit, "the answer to the upgrade has too many headers");
    }
    Cause::new(Reason::Protocol, format!("the answer to the upgrade is not HTTP/1.1: {}", Excerpt::of(head)))
}

/// The subprotocol agreed upon, if the answer is an upgrade and the one that was asked for.
fn judge(response: &Response, key: &HeaderValue, offered: &[&str]) -> Result<Option<String>, Cause> {
    let status = response.status();
    if status != StatusCode::SWITCHING_PROTOCOLS {
        return Err(Cause::new(
            Reason::Status,
            format!("the upgrade is answered with `{status}`, not `101`"),
        ));
    }
    let broken =
        |what: String| Err(Cause::new(Reason::Protocol, format!("the upgrade is not valid: {what}")));
    let headers = response.headers();
    for (name, token) in [(header::UPGRADE, "websocket"), (header::CONNECTION, "upgrade")] {
        if !tokens(headers, &name).any(|value| value.eq_ignore_ascii_case(token)) {
            return broken(format!("header `{name}` does not say `{token}`"));
        }
    }
    let accept = derive_accept_key(key.as_bytes());
    if headers.get(header::SEC_WEBSOCKET_ACCEPT).is_none_or(|value| value != accept.as_str()) {
        return broken("header `sec-websocket-accept` does not answer our key".to_owned());
    }
    if let Some(extension) = tokens(headers, &header::SEC_WEBSOCKET_EXTENSIONS).next() {
        return broken(format!("extension `{}` was not offered", extension.escape_debug()));
    }
    agreed(headers, offered).or_else(broken)
}

fn agreed(headers: &HeaderMap, offered: &[&str]) -> Result<Option<String>, String> {
    let Some(chosen) = headers.get(header::SEC_WEBSOCKET_PROTOCOL) else {
        return match offered {
            [] => Ok(None),
            _ => Err(format!("no subprotocol agreed of `{}`", offered.join("`, `"))),
        };
    };
    match offered.iter().find(|name| chosen == **name) {
        Some(name) => Ok(Some((*name).to_owned())),
        None => Err(format!("subprotocol {} was not offered", Excerpt::of(chosen.as_bytes()))),
    }
}

/// The comma-separated values of a header that may come more than once.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|value| !value.is_empty())
}

fn config(request: &Request) -> WebSocketConfig {
    let message = request.limit.message.bytes();
    let largest = request.steps.iter().map(|act| match act {
        Act::Send(frame) => frame.bytes().len(),
        Act::Receive(_) | Act::Ping { .. } | Act::Close { .. } | Act::Closed { .. } => 0,
    });
    WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .write_buffer_size(0)
        .max_write_buffer_size(largest.max().unwrap_or(0) + PONGS)
        .max_message_size(Some(message))
        .max_frame_size(Some(message))
}
