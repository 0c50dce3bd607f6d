//! One call of `grpc.health.v1.Health/Check` over a connection of its own.

use std::fmt;
use std::pin::pin;

use bytes::{Bytes, BytesMut};
use h2::client::{self, ResponseFuture, SendRequest};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TE, USER_AGENT};
use http::{Request, Uri, Version};
use percent_encoding::percent_decode_str;

use super::message::{self, Said};
use crate::probe::connect::{self, Authority, Deadline, Options, Stream, Trail, timed};
use crate::probe::exchange::Excerpt;
use crate::sample::{Cause, Phase, Phases, Reason};
use crate::scenario::grpc::{RpcStatus, Serving};
use crate::units::Size;

/// Where the question goes.
const PATH: &str = "/grpc.health.v1.Health/Check";

/// The most that is read of an answer's body: a message of the protocol has two bytes.
const BODY_LIMIT: usize = 16 << 10;

/// The most that a head or its trailers may unpack to.
const HEAD_LIMIT: u32 = 64 << 10;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// What is asked, and how.
#[derive(Debug, Clone)]
pub struct Question {
    /// Who is asked.
    pub to: Authority,
    /// Whether TLS is spoken.
    pub secure: bool,
    /// How to connect.
    pub options: Options,
    /// The service that is asked about; empty for the server as a whole.
    pub service: String,
    /// Metadata that goes with it.
    pub metadata: HeaderMap,
    /// How we call ourselves.
    pub agent: HeaderValue,
}

/// What came of a call.
#[derive(Debug)]
pub struct Call {
    /// How the connection came about, and how long everything took.
    pub trail: Trail,
    /// The status of HTTP, once a head came.
    pub status: Option<u16>,
    /// What the server says.
    pub result: Result<Answer, Cause>,
}

/// What the server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// How the call ended.
    pub status: RpcStatus,
    /// What it says about that.
    pub message: String,
    /// What it says of the service, where the call ended well.
    pub said: Option<Said>,
}

impl Answer {
    /// Whether the service takes requests.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.said.is_some_and(|said| said.word() == Some(Serving::Serving))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.said, self.message.is_empty()) {
            (Some(said), _) => said.fmt(f),
            (None, true) => self.status.fmt(f),
            (None, false) => {
                write!(f, "{}: {}", self.status, Excerpt::of(self.message.as_bytes()).shown())
            }
        }
    }
}

/// Asks.
pub async fn call(question: &Question, deadline: &Deadline) -> Call {
    let mut options = question.options.clone();
    options.tls.alpn = vec![b"h2".to_vec()];
    let connection = match connect::open(&question.to, question.secure, &options, deadline).await {
        Ok(connection) => connection,
        Err(failed) => return Call { trail: failed.trail, status: None, result: Err(failed.cause) },
    };
    let mut trail = connection.trail;
    let agreed = !question.secure || trail.alpn.as_deref() == Some(b"h2");
    let mut status = None;
    let result = if agreed {
        talk(question, connection.stream, deadline, &mut trail.phases, &mut status).await
    } else {
        Err(Cause::new(Reason::Protocol, "the peer does not offer HTTP/2, which gRPC is spoken over"))
    };
    Call { trail, status, result }
}

async fn talk(
    question: &Question,
    stream: Stream,
    deadline: &Deadline,
    phases: &mut Phases,
    status: &mut Option<u16>,
) -> Result<Answer, Cause> {
    let mut builder = client::Builder::new();
    builder.enable_push(false).max_header_list_size(HEAD_LIMIT);
    let shaking = async { builder.handshake(stream).await.map_err(|error| explain(&error)) };
    let (sender, connection) = timed(phases, Phase::Send, deadline, shaking).await?;
    let asking = ask(question, sender, deadline, phases, status);
    let (mut asking, mut connection) = (pin!(asking), pin!(connection));
    // The connection moves nothing by itself: it is polled beside the question, and ends with it.
    tokio::select! {
        biased;
        answer = &mut asking => answer,
        // What it ended of is what the question will see next.
        _ = &mut connection => asking.await,
    }
}

async fn ask(
    question: &Question,
    sender: SendRequest<Bytes>,
    deadline: &Deadline,
    phases: &mut Phases,
    status: &mut Option<u16>,
) -> Result<Answer, Cause> {
    let head = head(question, deadline)?;
    let sent = timed(phases, Phase::Send, deadline, send(sender, head, &question.service)).await?;
    let waiting = async { sent.await.map_err(|error| explain(&error)) };
    let (parts, body) = timed(phases, Phase::Wait, deadline, waiting).await?.into_parts();
    *status = Some(parts.status.as_u16());
    if let Some(ended) = ended(&parts.headers)? {
        return finish(ended, &[]);
    }
    speaks_grpc(&parts)?;
    let (body, trailers) = timed(phases, Phase::Transfer, deadline, read(body)).await?;
    let ended = ended(&trailers)?.ok_or_else(|| {
        Cause::new(Reason::Protocol, "the answer ends without `grpc-status`: is a proxy in between?")
    })?;
    finish(ended, &body)
}

fn head(question: &Question, deadline: &Deadline) -> Result<Request<()>, Cause> {
    let scheme = if question.secure { "https" } else { "http" };
    let uri = Uri::builder().scheme(scheme).authority(question.to.to_string()).path_and_query(PATH);
    let unfit = |error: http::Error| Cause::new(Reason::Policy, error.to_string());
    let mut request = Request::post(uri.build().map_err(unfit)?).version(Version::HTTP_2);
    if let Some(headers) = request.headers_mut() {
        headers.extend(question.metadata.clone());
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.entry(USER_AGENT).or_insert(question.agent.clone());
        // At most eight digits; a server that is told longer than a day waits a day.
        let left = deadline.left().as_millis().clamp(1, 86_400_000);
        headers.insert(TIMEOUT, HeaderValue::try_from(format!("{left}m")).map_err(|e| unfit(e.into()))?);
    }
    request.body(()).map_err(unfit)
}

async fn send(sender: SendRequest<Bytes>, head: Request<()>, service: &str) -> Result<ResponseFuture, Cause> {
    let mut sender = sender.ready().await.map_err(|error| explain(&error))?;
    let (answer, mut body) = sender.send_request(head, false).map_err(|error| explain(&error))?;
    body.send_data(message::question(service), true).map_err(|error| explain(&error))?;
    Ok(answer)
}

/// What is not gRPC is said to be what it is.
fn speaks_grpc(parts: &http::response::Parts) -> Result<(), Cause> {
    if !parts.status.is_success() {
        let message = format!("answered {} and no gRPC", parts.status);
        return Err(Cause::new(Reason::Status, message));
    }
    let kind = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if kind.starts_with(b"application/grpc") {
        return Ok(());
    }
    let message = format!("the answer is no gRPC but {}", Excerpt::of(kind));
    Err(Cause::new(Reason::Protocol, message))
}

async fn read(mut body: h2::RecvStream) -> Result<(Bytes, HeaderMap), Cause> {
    let mut whole = BytesMut::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.map_err(|error| explain(&error))?;
        if whole.len() + chunk.len() > BODY_LIMIT {
            let limit = Size(BODY_LIMIT as u64);
            return Err(Cause::new(Reason::Limit, format!("the answer is longer than {limit}")));
        }
        whole.extend_from_slice(&chunk);
        let _ = body.flow_control().release_capacity(chunk.len());
    }
    let trailers = body.trailers().await.map_err(|error| explain(&error))?;
    Ok((whole.freeze(), trailers.unwrap_or_default()))
}

/// How the call ended, if these headers say so: its status, and what is said about it.
fn ended(headers: &HeaderMap) -> Result<Option<(RpcStatus, String)>, Cause> {
    let Some(value) = headers.get(STATUS) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    let status = number.and_then(RpcStatus::of).ok_or_else(|| {
        let message = format!("`grpc-status` is {}, which gRPC does not know", Excerpt::of(value.as_bytes()));
        Cause::new(Reason::Protocol, message)
    })?;
    let message = headers.get(MESSAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Ok(Some((status, percent_decode_str(message).decode_utf8_lossy().into_owned())))
}

fn finish((status, message): (RpcStatus, String), body: &[u8]) -> Result<Answer, Cause> {
    if status != RpcStatus::Ok {
        return Ok(Answer { status, message, said: None });
    }
    let said = message::answer(body)
        .map_err(|why| Cause::new(Reason::Protocol, format!("the call ended with OK, and {why}")))?;
    Ok(Answer { status, message, said: Some(said) })
}

/// What the peer ended is closed; what we had to end is a breach of protocol, or too much.
fn explain(error: &h2::Error) -> Cause {
    let reason = match error.reason() {
        Some(h2::Reason::FRAME_SIZE_ERROR) if !error.is_remote() => {
            // The first bytes of HTTP/1.1, read as the head of a frame, tell of one far too long.
            let message = format!("the peer does not speak HTTP/2: {error}");
            return Cause::new(Reason::Protocol, message);
        }
        Some(h2::Reason::ENHANCE_YOUR_CALM) if !error.is_remote() => Reason::Limit,
        Some(_) if !error.is_remote() => Reason::Protocol,
        Some(_) | None => Reason::Closed,
    };
    Cause::new(reason, error.to_string())
}
