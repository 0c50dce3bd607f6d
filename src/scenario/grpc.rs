//! A question to a gRPC server about its health, as written and as checked.

use std::fmt;

use http::HeaderName;
use schemars::JsonSchema;
use serde::Deserialize;

use super::exchange::check_address;
use super::expect::Answer;
use super::http::{Tls, check_headers};
use super::network::Network;
use super::probe::{Holes, Kind, Target};
use super::template::Template;
use crate::finding::{Code, Finding, Findings};
use crate::source::{At, Place};
use crate::yaml::Entries;

/// A question by gRPC's health checking protocol, `grpc.health.v1.Health/Check`.
///
/// It passes when the answer is `SERVING`, unless something else is expected.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrpcWritten {
    /// Where to connect: `host:port`.
    address: At<Template>,
    /// The service that is asked about; the server as a whole unless said.
    service: Option<At<Template>>,
    /// Metadata that goes with the question; what is named `…-bin` is base64.
    #[serde(default)]
    metadata: Entries<At<Template>>,
    /// Speak TLS, and how; `{}` for the usual way.
    tls: Option<Tls>,
    /// The way to the target.
    #[serde(default)]
    network: Network,
}

/// A question to a gRPC server, checked.
#[derive(Debug, Clone)]
pub struct Grpc {
    /// Where to connect.
    pub address: At<Template>,
    /// The service that is asked about.
    pub service: Option<At<Template>>,
    /// Metadata that goes with the question.
    pub metadata: Vec<(HeaderName, At<Template>)>,
    /// How TLS is spoken, if it is.
    pub tls: Option<Tls>,
    /// The way to the target.
    pub network: Network,
}

/// How a service is, by the health checking protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Serving {
    /// Not known yet.
    Unknown,
    /// It takes requests.
    Serving,
    /// It takes none.
    NotServing,
    /// There is no such service; only a stream of changes says so.
    ServiceUnknown,
}

impl Serving {
    /// Each, in the order of its number.
    const ALL: [Self; 4] = [Self::Unknown, Self::Serving, Self::NotServing, Self::ServiceUnknown];

    /// The one with this number.
    #[must_use]
    pub fn of(number: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }
}

impl fmt::Display for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "UNKNOWN",
            Self::Serving => "SERVING",
            Self::NotServing => "NOT_SERVING",
            Self::ServiceUnknown => "SERVICE_UNKNOWN",
        })
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RpcStatus {
    /// It was answered.
    Ok,
    /// It was called off.
    Cancelled,
    /// Something went wrong, and nobody says what.
    Unknown,
    /// The question makes no sense.
    InvalidArgument,
    /// The server found no time.
    DeadlineExceeded,
    /// There is no such service.
    NotFound,
    /// It is there already.
    AlreadyExists,
    /// We may not.
    PermissionDenied,
    /// We ask too much.
    ResourceExhausted,
    /// Not as things are.
    FailedPrecondition,
    /// Another was quicker.
    Aborted,
    /// Beyond the end.
    OutOfRange,
    /// The server has no health service.
    Unimplemented,
    /// The server is broken.
    Internal,
    /// The server takes no calls now.
    Unavailable,
    /// Something is lost for good.
    DataLoss,
    /// Nobody knows who we are.
    Unauthenticated,
}

impl RpcStatus {
    /// Each with its name, in the order of its number.
    const ALL: [(Self, &'static str); 17] = [
        (Self::Ok, "OK"),
        (Self::Cancelled, "CANCELLED"),
        (Self::Unknown, "UNKNOWN"),
        (Self::InvalidArgument, "INVALID_ARGUMENT"),
        (Self::DeadlineExceeded, "DEADLINE_EXCEEDED"),
        (Self::NotFound, "NOT_FOUND"),
        (Self::AlreadyExists, "ALREADY_EXISTS"),
        (Self::PermissionDenied, "PERMISSION_DENIED"),
        (Self::ResourceExhausted, "RESOURCE_EXHAUSTED"),
        (Self::FailedPrecondition, "FAILED_PRECONDITION"),
        (Self::Aborted, "ABORTED"),
        (Self::OutOfRange, "OUT_OF_RANGE"),
        (Self::Unimplemented, "UNIMPLEMENTED"),
        (Self::Internal, "INTERNAL"),
        (Self::Unavailable, "UNAVAILABLE"),
        (Self::DataLoss, "DATA_LOSS"),
        (Self::Unauthenticated, "UNAUTHENTICATED"),
    ];

    /// The one with this number.
    #[must_use]
    pub fn of(number: usize) -> Option<Self> {
        Self::ALL.get(number).map(|(status, _)| *status)
    }
}

impl fmt::Display for RpcStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL[*self as usize].1)
    }
}

/// What a gRPC server must say. Without anything, `OK` and `SERVING`.
#[derive(Debug, Clone, Default)]
pub struct Rpc {
    /// How the service is.
    pub serving: Option<At<Serving>>,
    /// How the call ends.
    pub status: Option<At<RpcStatus>>,
}

impl Rpc {
    /// What is expected, by key, with its place.
    pub(super) fn places(&self) -> impl Iterator<Item = (&'static str, Place)> {
        let serving = self.serving.as_ref().map(|at| ("serving", at.place));
        serving.into_iter().chain(self.status.as_ref().map(|at| ("grpc_status", at.place)))
    }
}

impl GrpcWritten {
    /// Checks what was written.
    pub fn check(self, findings: &mut Findings) -> Grpc {
        check_address(&self.address, findings);
        self.tls.iter().for_each(|tls| tls.check(findings));
        self.network.check(findings);
        for (name, _) in &self.metadata.0 {
            if name.value.to_ascii_lowercase().starts_with("grpc-") {
                let title = format!("`{}` is the protocol's own, and no metadata", name.value);
                findings.add(Finding::new(Code::FileValue, name.place, title));
            }
        }
        Grpc {
            address: self.address,
            service: self.service,
            metadata: check_headers(self.metadata, findings),
            tls: self.tls,
            network: self.network,
        }
    }
}

impl Kind for Grpc {
    fn kind(&self) -> &'static str {
        "grpc"
    }

    fn subject(&self) -> String {
        match &self.service {
            Some(service) => format!("grpc {} {service}", self.address),
            None => format!("grpc {}", self.address),
        }
    }

    fn answer(&self) -> Answer {
        Answer::Grpc
    }

    fn holes(&self) -> Holes<'_> {
        let names = self.tls.iter().flat_map(|tls| &tls.server_name);
        let metadata = self.metadata.iter().map(|(_, value)| value);
        let templates = std::iter::once(&self.address).chain(&self.service).chain(metadata).chain(names);
        let templates = templates.chain(self.network.templates());
        Box::new(templates.flat_map(|at| at.holes().map(|hole| (hole, at.place))))
    }

    fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { at: &self.address, network: &self.network })
    }
}
