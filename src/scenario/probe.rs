//! The kinds of probe: what each tells of itself. A new kind is a file, and a line in each list here.

use super::dns::Dns;
use super::exchange::{Tcp, WebSocket};
use super::exec::Exec;
use super::expect::Answer;
use super::grpc::Grpc;
use super::health::Health;
use super::http::{Http, Tls};
use super::icmp::Icmp;
use super::kubelet::Kubelet;
use super::logs::Logs;
use super::metrics::Metrics;
use super::network::Network;
use super::promql::Promql;
use super::template::{Hole, Template};
use super::tls::Handshake;
use crate::source::{At, Place};

/// Holes of templates, each with the place to point at.
pub type Holes<'a> = Box<dyn Iterator<Item = (&'a Hole, Place)> + 'a>;

/// What a kind of probe tells of itself.
pub trait Kind {
    /// The kind, as files write it.
    fn kind(&self) -> &'static str;

    /// What it asks, for a step that nobody named: `GET http://shop/items`.
    fn subject(&self) -> String;

    /// What it gets, and so what can be expected of that and kept of it.
    fn answer(&self) -> Answer;

    /// Every hole in it.
    fn holes(&self) -> Holes<'_>;

    /// How TLS is spoken, where something is connected to.
    fn tls(&self) -> Option<&Tls> {
        None
    }

    /// What is connected to, and the way there, where files may choose it.
    fn target(&self) -> Option<Target<'_>> {
        None
    }

    /// Whether each attempt begins a trace of its own.
    fn traces(&self) -> bool {
        false
    }
}

/// What a probe connects to.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Its address: a url, or a host and a port.
    pub at: &'a At<Template>,
    /// The way there.
    pub network: &'a Network,
}

/// One attempt against a target.
#[derive(Debug, Clone)]
pub enum Probe {
    /// Asks a health or readiness endpoint.
    Health(Health),
    /// Makes one HTTP request.
    Http(Http),
    /// Holds a conversation over WebSocket.
    WebSocket(WebSocket),
    /// Holds a conversation over TCP.
    Tcp(Tcp),
    /// Shakes hands over TLS.
    Tls(Handshake),
    /// Asks a name server.
    Dns(Dns),
    /// Asks a host for echoes.
    Icmp(Icmp),
    /// Reads a metrics page.
    Metrics(Metrics),
    /// Asks a gRPC server about its health.
    Grpc(Grpc),
    /// Asks a Prometheus.
    Promql(Promql),
    /// Reads a log.
    Logs(Logs),
    /// Runs a program.
    Exec(Exec),
    /// Watches a pod as a kubelet does.
    Kubelet(Kubelet),
}

impl Probe {
    /// What the probe tells of itself.
    #[must_use]
    pub fn told(&self) -> &dyn Kind {
        match self {
            Self::Health(probe) => probe,
            Self::Http(probe) => probe,
            Self::WebSocket(probe) => probe,
            Self::Tcp(probe) => probe,
            Self::Tls(probe) => probe,
            Self::Dns(probe) => probe,
            Self::Icmp(probe) => probe,
            Self::Metrics(probe) => probe,
            Self::Grpc(probe) => probe,
            Self::Promql(probe) => probe,
            Self::Logs(probe) => probe,
            Self::Exec(probe) => probe,
            Self::Kubelet(probe) => probe,
        }
    }
}
