//! Exchanges of messages over WebSocket and TCP, as written and as checked.

use std::time::Duration;

use base64::Engine as _;
use http::HeaderName;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json_path::JsonPath;

use super::auth::{Auth, AuthWritten, Login, OAuth2};
use super::expect::{Answer, json_places, wanted};
use super::http::{BODY_LIMIT, Tls, check_headers, check_trace, check_url};
use super::network::Network;
use super::predicate::{Domain, Predicate};
use super::probe::{Holes, Kind, Target};
use super::template::{Hole, Shape, Template};
use crate::finding::{Code, Finding, Findings};
use crate::source::{At, Place};
use crate::units::{Size, Span};
use crate::yaml::{Entries, Json};

/// A WebSocket connection and what is said over it, in order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebSocketWritten {
    /// Where to connect: `ws://`, `wss://`, `http://` or `https://`.
    url: At<Template>,
    /// Headers of the upgrade request.
    #[serde(default)]
    headers: Entries<At<Template>>,
    /// A bearer token.
    bearer: Option<At<Template>>,
    /// A user and a password, sent as they are.
    basic: Option<At<Login>>,
    /// A token by OAuth 2.0 client credentials.
    oauth2: Option<At<OAuth2>>,
    /// Whether each attempt begins a trace of its own: a W3C `traceparent` is sent, and its id is in the report.
    #[serde(default)]
    trace: bool,
    /// Subprotocols to offer; the server must agree on one of them.
    #[serde(default)]
    subprotocols: Vec<At<Template>>,
    /// How TLS is spoken.
    #[serde(default)]
    tls: Tls,
    /// The way to the target.
    #[serde(default)]
    network: Network,
    /// The longest message that is read; 1MiB unless said.
    limit: Option<Size>,
    /// What is said, in order. Without it, connecting and closing is the probe.
    #[serde(default)]
    exchange: Vec<At<ActWritten>>,
}

/// One thing said or heard over a WebSocket. Exactly one of the keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ActWritten {
    /// Send a message.
    send: Option<At<MessageWritten>>,
    /// Wait for messages.
    receive: Option<At<ReceiveWritten>>,
    /// Ping, and wait for the pong: `under 100ms`, or `exists` for any time within the step's.
    #[schemars(with = "Option<Predicate>")]
    ping: Option<Json>,
    /// Close with this code, and wait for the peer to do so.
    close: Option<At<u16>>,
    /// Wait for the peer to close, with this code.
    closed: Option<At<u16>>,
}

/// A message to send. Exactly one of the keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MessageWritten {
    /// Text.
    text: Option<At<Template>>,
    /// JSON, as text.
    json: Option<Json>,
    /// Bytes, in base64.
    binary: Option<At<String>>,
}

/// Messages to wait for. Without `text`, `json` or `binary`, any will do.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReceiveWritten {
    /// What a text message must be.
    #[schemars(with = "Option<Predicate>")]
    text: Option<Json>,
    /// Places in a JSON message.
    #[serde(default)]
    #[schemars(with = "Entries<Predicate>")]
    json: Entries<Json>,
    /// A binary message of exactly these bytes, in base64.
    binary: Option<At<String>>,
    /// How many such messages; one unless said.
    count: Option<At<u64>>,
    /// Pass over messages that do not match, until one does.
    #[serde(default)]
    skip: bool,
    /// How long to wait for all of them; the step's deadline bounds it.
    within: Option<Span>,
}

/// A WebSocket connection, checked.
#[derive(Debug, Clone)]
pub struct WebSocket {
    /// Where to connect.
    pub url: At<Template>,
    /// Headers of the upgrade request.
    pub headers: Vec<(HeaderName, At<Template>)>,
    /// Who asks.
    pub auth: Option<Auth>,
    /// Whether each attempt begins a trace of its own.
    pub trace: bool,
    /// Subprotocols to offer.
    pub subprotocols: Vec<At<Template>>,
    /// How TLS is spoken.
    pub tls: Tls,
    /// The way to the target.
    pub network: Network,
    /// The longest message that is read.
    pub limit: Size,
    /// What is said, in order, each with its place.
    pub acts: Vec<At<Act>>,
}

/// One thing said or heard over a WebSocket.
#[derive(Debug, Clone)]
pub enum Act {
    /// Send.
    Send(Message),
    /// Wait for messages.
    Receive(Receive),
    /// Ping, and wait for the pong.
    Ping(At<Predicate>),
    /// Close with a code.
    Close(u16),
    /// Wait for the peer to close with a code.
    Closed(u16),
}

/// A message to send.
#[derive(Debug, Clone)]
pub enum Message {
    /// Text.
    Text(Template),
    /// JSON, as text.
    Json(Shape),
    /// Bytes.
    Binary(Vec<u8>),
}

/// Messages to wait for.
#[derive(Debug, Clone)]
pub struct Receive {
    /// What a text message must be.
    pub text: Option<At<Predicate>>,
    /// Places in a JSON message.
    pub json: Vec<(JsonPath, At<Predicate>)>,
    /// The bytes of a binary message.
    pub binary: Option<At<Vec<u8>>>,
    /// How many.
    pub count: u64,
    /// Whether others are passed over.
    pub skip: bool,
    /// How long to wait.
    pub within: Option<Duration>,
}

impl WebSocketWritten {
    /// Checks what was written.
    pub fn check(self, findings: &mut Findings) -> WebSocket {
        findings.take(check_url(&self.url, &["ws", "wss", "http", "https"]));
        self.tls.check(findings);
        self.network.check(findings);
        let headers = check_headers(self.headers, findings);
        check_trace(self.trace, &headers, findings);
        let auth = AuthWritten { bearer: self.bearer, basic: self.basic, digest: None, oauth2: self.oauth2 };
        WebSocket {
            auth: auth.check(&headers, findings),
            headers,
            trace: self.trace,
            subprotocols: self.subprotocols,
            tls: self.tls,
            network: self.network,
            limit: self.limit.unwrap_or(BODY_LIMIT),
            acts: self.exchange.into_iter().filter_map(|act| act.value.check(act.place, findings)).collect(),
            url: self.url,
        }
    }
}

impl WebSocket {
    /// Every hole, with its place.
    pub fn holes(&self) -> impl Iterator<Item = (&Hole, Place)> {
        let templates = std::iter::once(&self.url)
            .chain(self.headers.iter().map(|(_, value)| value))
            .chain(&self.subprotocols)
            .chain(self.tls.server_name.iter())
            .chain(self.network.templates())
            .chain(self.auth.iter().flat_map(Auth::templates));
        let acts = self.acts.iter().flat_map(|act| act.holes().into_iter().map(|hole| (hole, act.place)));
        templates.flat_map(|at| at.holes().map(|hole| (hole, at.place))).chain(acts)
    }
}

impl Act {
    fn holes(&self) -> Vec<&Hole> {
        match self {
            Self::Send(Message::Text(template)) => template.holes().collect(),
            Self::Send(Message::Json(shape)) => shape.holes().collect(),
            Self::Receive(receive) => {
                let json = receive.json.iter().map(|(_, at)| at);
                receive.text.iter().chain(json).flat_map(|at| at.holes()).collect()
            }
            Self::Ping(predicate) => predicate.holes().collect(),
            Self::Send(Message::Binary(_)) | Self::Close(_) | Self::Closed(_) => Vec::new(),
        }
    }
}

impl ActWritten {
    fn check(self, place: Place, findings: &mut Findings) -> Option<At<Act>> {
        let act = match (self.send, self.receive, self.ping, self.close, self.closed) {
            (Some(send), None, None, None, None) => Act::Send(send.value.check(send.place, findings)?),
            (None, Some(receive), None, None, None) => {
                Act::Receive(receive.value.check(receive.place, findings)?)
            }
            (None, None, Some(ping), None, None) => Act::Ping(wanted(Some(ping), Domain::Time, findings)?),
            (None, None, None, Some(code), None) => Act::Close(close_code(code, findings)?),
            (None, None, None, None, Some(code)) => Act::Closed(close_code(code, findings)?),
            _ => {
                let title =
                    "each part of an exchange is one of `send`, `receive`, `ping`, `close` and `closed`";
                findings.add(Finding::new(Code::ScenarioStep, place, title));
                return None;
            }
        };
        Some(At::new(act, place))
    }
}

impl MessageWritten {
    fn check(self, place: Place, findings: &mut Findings) -> Option<Message> {
        match (self.text, self.json, self.binary) {
            (Some(text), None, None) => Some(Message::Text(text.value)),
            (None, Some(json), None) => {
                let shape =
                    Shape::of(&json.0).map_err(|(node, why)| Finding::new(Code::FileValue, node.place, why));
                findings.take(shape).map(Message::Json)
            }
            (None, None, Some(binary)) => bytes(&binary, findings).map(Message::Binary),
            _ => {
                let title = "a message is one of `text`, `json` and `binary`";
                findings.add(Finding::new(Code::ScenarioStep, place, title));
                None
            }
        }
    }
}

impl ReceiveWritten {
    fn check(self, place: Place, findings: &mut Findings) -> Option<Receive> {
        if self.binary.is_some() && (self.text.is_some() || !self.json.0.is_empty()) {
            let title = "a message is either `binary`, or `text` and `json`";
            findings.add(Finding::new(Code::ScenarioStep, place, title));
        }
        let count = self.count.filter(|count| count.value == 0);
        if let Some(none) = count {
            findings.add(Finding::new(Code::FileValue, none.place, "at least one message is waited for"));
        }
        let binary = match self.binary {
            None => None,
            Some(at) => Some(At::new(bytes(&at, findings)?, at.place)),
        };
        Some(Receive {
            text: wanted(self.text, Domain::Value, findings),
            json: json_places(self.json, findings),
            binary,
            count: self.count.map_or(1, |count| count.value),
            skip: self.skip,
            within: self.within.map(|span| span.0),
        })
    }
}

fn bytes(written: &At<String>, findings: &mut Findings) -> Option<Vec<u8>> {
    let decoded = base64::engine::general_purpose::STANDARD.decode(written.value.trim());
    findings.take(decoded.map_err(|why| {
        Finding::new(
            Code::FileValue,
            written.place,
            format!("this is not base64: {}", why.to_string().to_lowercase()),
        )
    }))
}

fn close_code(code: At<u16>, findings: &mut Findings) -> Option<u16> {
    let sendable = matches!(code.value, 1000..=1003 | 1007..=1014 | 3000..=4999);
    findings.take(if sendable {
        Ok(code.value)
    } else {
        let title = format!("{} is not a close code that may be sent", code.value);
        Err(Finding::new(Code::FileValue, code.place, title)
            .help("1000 is a normal close; RFC 6455, section 7.4"))
    })
}

/// A TCP connection and what is said over it, in order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TcpWritten {
    /// Where to connect: `host:port`.
    address: At<Template>,
    /// Speak TLS, and how; `{}` for the usual way.
    tls: Option<Tls>,
    /// The way to the target.
    #[serde(default)]
    network: Network,
    /// The most that is read; 1MiB unless said.
    limit: Option<Size>,
    /// What is said, in order. Without it, connecting is the probe.
    #[serde(default)]
    exchange: Vec<At<LineWritten>>,
}

/// One thing said or heard over TCP. Exactly one of the keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LineWritten {
    /// Send this text, as it is; `"PING\r\n"` in double quotes has a line end.
    send: Option<At<Template>>,
    /// Wait until what was received since the last `receive` is like this.
    #[schemars(with = "Option<Predicate>")]
    receive: Option<Json>,
    /// How long to wait for it; the step's deadline bounds it.
    within: Option<Span>,
}

/// A TCP connection, checked.
#[derive(Debug, Clone)]
pub struct Tcp {
    /// Where to connect.
    pub address: At<Template>,
    /// How TLS is spoken, if it is.
    pub tls: Option<Tls>,
    /// The way to the target.
    pub network: Network,
    /// The most that is read.
    pub limit: Size,
    /// What is said, in order.
    pub lines: Vec<At<Line>>,
}

/// One thing said or heard over TCP.
#[derive(Debug, Clone)]
pub enum Line {
    /// Send this text.
    Send(Template),
    /// Wait until what was received is like this.
    Receive(Predicate, Option<Duration>),
}

impl TcpWritten {
    /// Checks what was written.
    pub fn check(self, findings: &mut Findings) -> Tcp {
        check_address(&self.address, findings);
        self.tls.iter().for_each(|tls| tls.check(findings));
        self.network.check(findings);
        Tcp {
            address: self.address,
            tls: self.tls,
            network: self.network,
            limit: self.limit.unwrap_or(BODY_LIMIT),
            lines: self
                .exchange
                .into_iter()
                .filter_map(|line| line.value.check(line.place, findings))
                .collect(),
        }
    }
}

/// Checks a `host:port` as far as it is known before the run.
pub(super) fn check_address(address: &At<Template>, findings: &mut Findings) {
    let Some(literal) = address.literal() else { return };
    let port = literal.rsplit_once(':').map(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if port != Some(true) {
        let title = format!("`{literal}` is not `host:port`");
        findings.add(Finding::new(Code::ScenarioUrl, address.place, title));
    }
}

impl LineWritten {
    fn check(self, place: Place, findings: &mut Findings) -> Option<At<Line>> {
        let line = match (self.send, self.receive) {
            (Some(text), None) => Line::Send(text.value),
            (None, Some(json)) => {
                let predicate = wanted(Some(json), Domain::Value, findings)?;
                Line::Receive(predicate.value, self.within.map(|span| span.0))
            }
            _ => {
                let title = "each part of an exchange is one of `send` and `receive`";
                findings.add(Finding::new(Code::ScenarioStep, place, title));
                return None;
            }
        };
        Some(At::new(line, place))
    }
}

impl Tcp {
    /// Every hole, with its place.
    pub fn holes(&self) -> impl Iterator<Item = (&Hole, Place)> {
        let name = self.tls.as_ref().and_then(|tls| tls.server_name.as_ref());
        let lines = self.lines.iter().flat_map(|line| {
            let holes: Vec<&Hole> = match &line.value {
                Line::Send(template) => template.holes().collect(),
                Line::Receive(predicate, _) => predicate.holes().collect(),
            };
            holes.into_iter().map(|hole| (hole, line.place))
        });
        std::iter::once(&self.address)
            .chain(name)
            .chain(self.network.templates())
            .flat_map(|at| at.holes().map(|hole| (hole, at.place)))
            .chain(lines)
    }
}

impl Kind for WebSocket {
    fn kind(&self) -> &'static str {
        "websocket"
    }

    fn subject(&self) -> String {
        format!("websocket {}", self.url)
    }

    fn answer(&self) -> Answer {
        Answer::Message
    }

    fn holes(&self) -> Holes<'_> {
        Box::new(Self::holes(self))
    }

    fn tls(&self) -> Option<&Tls> {
        Some(&self.tls)
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { at: &self.url, network: &self.network })
    }

    fn traces(&self) -> bool {
        self.trace
    }
}

impl Kind for Tcp {
    fn kind(&self) -> &'static str {
        "tcp"
    }

    fn subject(&self) -> String {
        format!("tcp {}", self.address)
    }

    fn answer(&self) -> Answer {
        Answer::Message
    }

    fn holes(&self) -> Holes<'_> {
        Box::new(Self::holes(self))
    }

    fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { at: &self.address, network: &self.network })
    }
}
