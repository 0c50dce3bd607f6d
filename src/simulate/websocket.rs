//! What a stand-in says over one WebSocket.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};

use super::Stop;
use super::metrics::Served;
use super::reply::{Refusal, Reply, admit};
use super::service::Service;
use super::text::{Text, covers};
use crate::scenario::profile::{After, Counted, Expects, Followed, PathPattern, Socket, When};

/// The largest message a client may send.
const LARGEST: usize = 1 << 20;

/// How long a client may take to make room for a message.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a client may take over its part of closing.
const FAREWELL: Duration = Duration::from_millis(500);

/// A WebSocket endpoint, ready to be talked to.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) path: PathPattern,
    pub(super) label: Arc<str>,
    expects: Expects,
    subprotocols: Vec<String>,
    echo: bool,
    replies: Vec<(When, Text)>,
    stream: Option<(After, Duration, Text)>,
}

/// A connection that was promised to become a WebSocket, and counts as one until this is dropped.
#[derive(Debug)]
pub(super) struct Upgrade {
    connection: OnUpgrade,
    open: Open,
}

#[derive(Debug)]
struct Open {
    service: Arc<Service>,
    endpoint: Arc<Endpoint>,
}

impl Endpoint {
    pub(super) fn new(socket: &Socket) -> Self {
        Self {
            path: socket.path.clone(),
            label: Arc::from(socket.path.as_str()),
            expects: socket.expects.clone(),
            subprotocols: socket.subprotocols.clone(),
            echo: socket.echo,
            replies: socket
                .replies
                .iter()
                .map(|reply| (reply.when.clone(), Text::new(&reply.send)))
                .collect(),
            stream: socket
                .stream
                .as_ref()
                .map(|stream| (stream.after, stream.every, Text::new(&stream.send))),
        }
    }
}

impl Upgrade {
    /// Accepts a request for a WebSocket, or says why not.
    pub(super) fn accept(
        request: &mut Request<Incoming>,
        endpoint: &Arc<Endpoint>,
        service: &Arc<Service>,
    ) -> Result<(Reply, Self), Refusal> {
        let headers = request.headers();
        if !(lists(headers, &header::CONNECTION, "upgrade") && lists(headers, &header::UPGRADE, "websocket"))
        {
            let refusal = Refusal::new(StatusCode::UPGRADE_REQUIRED, "this path speaks WebSocket");
            return Err(refusal.with(header::UPGRADE, HeaderValue::from_static("websocket")));
        }
        if !lists(headers, &header::SEC_WEBSOCKET_VERSION, "13") {
            let refusal = Refusal::new(StatusCode::UPGRADE_REQUIRED, "this path speaks WebSocket 13");
            return Err(refusal.with(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")));
        }
        let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY) else {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "there is no Sec-WebSocket-Key"));
        };
        admit(&endpoint.expects, headers, &[])?;
        let mut reply = Response::new(Full::default());
        *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let own = reply.headers_mut();
        own.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        own.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
            own.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        }
        let mut spoken = endpoint.subprotocols.iter();
        let chosen =
            spoken.find(|name| offers(headers, &header::SEC_WEBSOCKET_PROTOCOL, |offer| offer == *name));
        if let Some(Ok(name)) = chosen.map(|name| HeaderValue::from_str(name)) {
            own.insert(header::SEC_WEBSOCKET_PROTOCOL, name);
        }
        let open = Open::new(Arc::clone(service), Arc::clone(endpoint));
        Ok((reply, Self { connection: hyper::upgrade::on(request), open }))
    }

    /// Talks until the client leaves, or until told to stop.
    pub(super) async fn talk(self, stop: Stop) {
        // A client that left before it was answered has nothing to say.
        let Ok(connection) = self.connection.await else { return };
        let config = WebSocketConfig::default()
            .max_message_size(Some(LARGEST))
            .max_frame_size(Some(LARGEST))
            .read_buffer_size(16 << 10)
            .max_write_buffer_size(16 << 20);
        let io = TokioIo::new(connection);
        let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        Talk { socket, open: self.open, ticks: None, replied: 0, streamed: 0 }.run(stop).await;
    }
}

impl Open {
    fn new(service: Arc<Service>, endpoint: Arc<Endpoint>) -> Self {
        let open = Self { service, endpoint };
        open.service.metrics.count(Counted::Connections, open.served());
        open.service.metrics.enter(Followed::Connections, open.served());
        open
    }

    fn served(&self) -> Served<'_> {
        Served {
            method: "GET",
            route: &self.endpoint.label,
            status: StatusCode::SWITCHING_PROTOCOLS.as_u16(),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.service.metrics.leave(Followed::Connections, self.served());
    }
}

/// One WebSocket, open.
struct Talk {
    socket: WebSocketStream<TokioIo<Upgraded>>,
    open: Open,
    /// The stream's pace, once it has begun.
    ticks: Option<Interval>,
    replied: u64,
    streamed: u64,
}

/// The connection is of no more use.
struct Gone;

impl Talk {
    async fn run(mut self, mut stop: Stop) {
        self.begin(After::Connect);
        loop {
            let done = tokio::select! {
                () = stop.called() => return self.close(CloseCode::Away).await,
                () = tick(self.ticks.as_mut()) => self.stream().await,
                heard = self.socket.next() => match heard {
                    Some(Ok(Message::Close(_))) => return self.end().await,
                    Some(Ok(message)) => self.hear(message).await,
                    Some(Err(error)) => match blame(&error) {
                        Some(code) => return self.close(code).await,
                        None => return,
                    },
                    None => return,
                },
            };
            if let Err(Gone) = done {
                return;
            }
        }
    }

    /// Starts the stream, if this is what it waits for.
    fn begin(&mut self, now: After) {
        if let Some((after, every, _)) = &self.open.endpoint.stream
            && *after == now
            && self.ticks.is_none()
        {
            let mut ticks = interval(*every);
            // A message that is late does not push the next one.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            self.ticks = Some(ticks);
        }
    }

    async fn stream(&mut self) -> Result<(), Gone> {
        self.streamed += 1;
        let Some((_, _, line)) = &self.open.endpoint.stream else { return Ok(()) };
        let message = text(line.fill(&self.open.service.names, self.streamed));
        self.say(message).await
    }

    async fn hear(&mut self, message: Message) -> Result<(), Gone> {
        let (Message::Text(_) | Message::Binary(_)) = &message else { return Ok(()) };
        self.open.service.metrics.count(Counted::MessagesReceived, self.open.served());
        self.begin(After::FirstMessage);
        let endpoint = Arc::clone(&self.open.endpoint);
        if let Some((_, line)) = endpoint.replies.iter().find(|(when, _)| is_meant(when, &message)) {
            self.replied += 1;
            self.say(text(line.fill(&self.open.service.names, self.replied))).await?;
            self.begin(After::FirstReply);
        } else if endpoint.echo {
            self.say(message).await?;
        }
        Ok(())
    }

    async fn say(&mut self, message: Message) -> Result<(), Gone> {
        match timeout(PATIENCE, self.socket.send(message)).await {
            Ok(Ok(())) => {
                self.open.service.metrics.count(Counted::MessagesSent, self.open.served());
                Ok(())
            }
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }

    async fn close(mut self, code: CloseCode) {
        let frame = CloseFrame { code, reason: Utf8Bytes::default() };
        let _ = timeout(FAREWELL, self.socket.close(Some(frame))).await;
        self.end().await;
    }

    /// Waits for the rest of the closing handshake; reading answers what the client began.
    async fn end(mut self) {
        let rest = async { while let Some(Ok(_)) = self.socket.next().await {} };
        let _ = timeout(FAREWELL, rest).await;
    }
}

/// Waits for the next tick; for ever where there is no stream.
async fn tick(ticks: Option<&mut Interval>) {
    match ticks {
        Some(ticks) => {
            ticks.tick().await;
        }
        None => std::future::pending().await,
    }
}

/// The close code for what a client did wrong, where it is its doing.
fn blame(error: &tungstenite::Error) -> Option<CloseCode> {
    if let tungstenite::Error::Capacity(_) = error {
        Some(CloseCode::Size)
    } else if let tungstenite::Error::Protocol(_) = error {
        Some(CloseCode::Protocol)
    } else if let tungstenite::Error::Utf8(_) = error {
        Some(CloseCode::Invalid)
    } else {
        None
    }
}

fn is_meant(when: &When, message: &Message) -> bool {
    let Message::Text(heard) = message else { return false };
    match when {
        When::Text(wanted) => heard.as_str() == wanted,
        When::Json(wanted) => serde_json::from_str::<Value>(heard).is_ok_and(|heard| covers(wanted, &heard)),
    }
}

fn text(line: Bytes) -> Message {
    // Filled templates are text; bytes that are not could come from nowhere.
    Utf8Bytes::try_from(line).map_or_else(|_| Message::text(""), Message::Text)
}

/// Whether a header that lists words has this one, in whatever case.
fn lists(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    offers(headers, name, |offer| offer.eq_ignore_ascii_case(word))
}

/// Whether a header that lists words has one that is wanted.
fn offers(headers: &HeaderMap, name: &HeaderName, wanted: impl Fn(&str) -> bool) -> bool {
    let all = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(',')).any(|offer| wanted(offer.trim()))
}
