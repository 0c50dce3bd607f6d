//! Many WebSocket connections, opened on the load's schedule and held.

use std::time::Duration;

use http::HeaderName;
use http::header::{CONNECTION, UPGRADE};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json_path::JsonPath;

use crate::finding::{Code, Finding, Findings};
use crate::scenario::expect::json_path;
use crate::scenario::http::{Http, Tls, check_headers};
use crate::scenario::network::Network;
use crate::scenario::probe::Probe;
use crate::scenario::step::Step;
use crate::scenario::template::Template;
use crate::source::At;
use crate::units::{Rate, Size, Span};
use crate::yaml::Entries;

/// What each connection is opened to, how long it is held, and what is said on it meanwhile.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SocketsWritten {
    /// Where to connect: `ws://`, `wss://`, `http://` or `https://`.
    url: At<Template>,
    /// Headers of the upgrade request.
    #[serde(default)]
    headers: Entries<At<Template>>,
    /// How TLS is spoken.
    #[serde(default)]
    tls: Tls,
    /// The way to the target.
    #[serde(default)]
    network: Network,
    /// How long each connection is held.
    hold: At<Span>,
    /// Messages per second on each connection; none unless said. Each is to be answered by a message, in order.
    send: Option<At<Rate>>,
    /// What is sent, as text; `ping` unless said.
    message: Option<At<Template>>,
    /// The longest message that is read; 1MiB unless said.
    limit: Option<Size>,
    /// Where in each message that comes the time is when it was sent, as a JSON path: how long each took to be
    /// delivered is measured.
    stamp: Option<At<String>>,
    /// Whether a connection that is dropped is opened again until its time is over; else that is a failure.
    #[serde(default)]
    reopen: bool,
}

/// What is done with each connection, checked.
#[derive(Debug, Clone)]
pub struct Sockets {
    /// How long it is held.
    pub hold: Duration,
    /// How much passes between two messages, if any are sent.
    pub every: Option<Duration>,
    /// What is sent.
    pub message: At<Template>,
    /// The longest message that is read.
    pub limit: Size,
    /// Where in each message the time is when it was sent.
    pub stamp: Option<JsonPath>,
    /// Whether a connection that is dropped is opened again.
    pub reopen: bool,
}

/// What books of their own are kept of such connections.
const ROUND_TRIP: &str = "round trip";
const DELIVERY: &str = "delivery";
const REOPENED: &str = "reopened";

impl Sockets {
    /// What books of their own are kept of it, in order.
    pub fn books(&self) -> impl Iterator<Item = &'static str> {
        let all =
            [(self.every.is_some(), ROUND_TRIP), (self.stamp.is_some(), DELIVERY), (self.reopen, REOPENED)];
        all.into_iter().filter_map(|(kept, name)| kept.then_some(name))
    }
}

/// What a client says to be understood: the key is answered for by the server, who need not know that it is the same
/// for all connections of a load.
pub const KEY: &str = "ZmlyZWRyaWxsLWxvYWQtMQ==";

impl SocketsWritten {
    /// The request for the upgrade as a step, and what is done after it.
    pub(super) fn check(self, findings: &mut Findings) -> Option<(Step, Sockets)> {
        let place = self.url.place;
        // An upgrade is asked for over HTTP.
        let text = self.url.value.to_string();
        let text = match text.strip_prefix("ws") {
            Some(rest) if rest.starts_with("://") || rest.starts_with("s://") => format!("http{rest}"),
            Some(_) | None => text,
        };
        let url = Template::parse(&text).map_err(|why| Finding::new(Code::FileValue, place, why));
        let url = At::new(findings.take(url)?, place);
        let of_upgrade = [
            (CONNECTION, "Upgrade"),
            (UPGRADE, "websocket"),
            (HeaderName::from_static("sec-websocket-version"), "13"),
            (HeaderName::from_static("sec-websocket-key"), KEY),
        ];
        let mut headers = check_headers(self.headers, findings);
        headers.retain(|(name, _)| of_upgrade.iter().all(|(own, _)| own != name));
        headers.extend(of_upgrade.map(|(name, value)| (name, At::new(Template::plain(value), place))));
        self.tls.check(findings);
        self.network.check(findings);
        if self.hold.value.0.is_zero() {
            findings.add(Finding::new(Code::FileValue, self.hold.place, "a connection is held for a while"));
        }
        if let (Some(message), None) = (&self.message, &self.send) {
            let title = "a `message` is sent as often as `send` says, and that is missing";
            findings.add(Finding::new(Code::FileMissingKey, message.place, title));
        }
        let sockets = Sockets {
            hold: self.hold.value.0,
            every: self.send.map(|at| Duration::from_secs_f64(1.0 / at.value.per_second())),
            message: self.message.unwrap_or_else(|| At::new(Template::plain("ping"), place)),
            limit: self.limit.unwrap_or(Size(1 << 20)),
            stamp: self.stamp.and_then(|path| json_path(&path, findings)),
            reopen: self.reopen,
        };
        let request = Http { headers, tls: self.tls, network: self.network, ..Http::get(url) };
        let name = format!("WebSocket {text}");
        Some((Step { name, ..Step::of(Probe::Http(request), place) }, sockets))
    }
}
