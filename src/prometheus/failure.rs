//! Why a Prometheus gave no answer: what was asked, what happened, what to do.

use std::error::Error as _;
use std::time::Duration;

use reqwest::StatusCode;

use super::answer::{self, NoAnswer};
use crate::units::Span;

/// Of a query, and of what came in place of an answer, messages show so much.
const SHOWN: usize = 200;

/// Why there is no answer. Each says what was tried, in words that hold no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nobody could be reached, however often it was tried.
    #[error("{tried}: cannot connect ({tries}): {why}; is it running, and is this its address?")]
    Unreachable {
        /// What was asked of whom.
        tried: String,
        /// `once`, `4 times`.
        tries: Tries,
        /// What the network said.
        why: String,
    },
    /// No whole answer came in time.
    #[error("{tried}: no answer within {} ({tries}); ask for less, or give it more time", Span(*.limit))]
    TimedOut {
        /// What was asked of whom.
        tried: String,
        /// How often.
        tries: Tries,
        /// How long each try may take.
        limit: Duration,
    },
    /// Who asks is not known, or may not ask this.
    #[error("{tried}: status {status}, not allowed; check the user and password, or the token")]
    Unauthorised {
        /// What was asked of whom.
        tried: String,
        /// 401, 403 or 407.
        status: u16,
    },
    /// One side of a TLS connection does not take the other's certificate.
    #[error("{tried}: {why}")]
    Distrusted {
        /// What was asked of whom.
        tried: String,
        /// Whose certificate, and what to do.
        why: String,
    },
    /// It understood, and said no.
    #[error("{tried}: refused with `{kind}`: {said}")]
    Refused {
        /// What was asked of whom.
        tried: String,
        /// Its own word for the kind of error: `bad_data`, `execution`.
        kind: String,
        /// Its own sentence.
        said: String,
    },
    /// A status that no answer comes with.
    #[error("{tried}: status {status} ({tries}){said}")]
    Status {
        /// What was asked of whom.
        tried: String,
        /// The status.
        status: u16,
        /// How often it was asked.
        tries: Tries,
        /// The beginning of the body, after a colon; empty where there was none.
        said: String,
    },
    /// It sends us elsewhere, and what we know is meant for it alone.
    #[error("{tried}: status {status}, which sends to `{to}`; give that address, if it is the right one")]
    Moved {
        /// What was asked of whom.
        tried: String,
        /// The status.
        status: u16,
        /// Where to.
        to: String,
    },
    /// More than anybody should hold in memory.
    #[error("{tried}: the answer is larger than {limit} bytes; ask for less")]
    TooLarge {
        /// What was asked of whom.
        tried: String,
        /// The limit.
        limit: usize,
    },
    /// An answer that no Prometheus gives.
    #[error("{tried}: this is no answer of a Prometheus: {why}; is this its address?")]
    Foreign {
        /// What was asked of whom.
        tried: String,
        /// What is wrong with it.
        why: String,
    },
    /// The connection broke, or what was said on it is no HTTP.
    #[error("{tried}: the connection broke ({tries}): {why}")]
    Broken {
        /// What was asked of whom.
        tried: String,
        /// How often.
        tries: Tries,
        /// What happened.
        why: String,
    },
}

impl Error {
    /// Whether the same, sent again, may be taken.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Broken { .. } => true,
            Self::Status { status, .. } => matches!(status, 429 | 500 | 502..=504 | 520..=599),
            Self::Distrusted { .. }
            | Self::Unauthorised { .. }
            | Self::Refused { .. }
            | Self::Moved { .. }
            | Self::TooLarge { .. }
            | Self::Foreign { .. } => false,
        }
    }

    /// The same, where it was tried that often.
    #[must_use]
    pub fn after(mut self, times: u32) -> Self {
        match &mut self {
            Self::Unreachable { tries, .. }
            | Self::TimedOut { tries, .. }
            | Self::Status { tries, .. }
            | Self::Broken { tries, .. } => *tries = Tries(times),
            Self::Distrusted { .. }
            | Self::Unauthorised { .. }
            | Self::Refused { .. }
            | Self::Moved { .. }
            | Self::TooLarge { .. }
            | Self::Foreign { .. } => {}
        }
        self
    }
}

/// Why a client could not be made at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Setup {
    /// The address is none.
    #[error("`{address}` is no address of a Prometheus: {why}")]
    Address {
        /// What was given.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// Two ways of saying who we are.
    #[error("the address has a user name in it, and another one was given beside it; keep one")]
    TwoUsers,
    /// The authorities that are to be trusted.
    #[error("the certificates to trust cannot be used: {0}")]
    Authorities(String),
    /// Who we say we are.
    #[error("the client certificate cannot be used: {0}")]
    Identity(String),
    /// A user, password or token that cannot be sent.
    #[error("the user, password or token holds what no header can carry")]
    Unsendable,
    /// A header that cannot be sent.
    #[error("the header `{0}` has a name or a value that no header can have")]
    Header(String),
    /// The machine could not do it.
    #[error("no HTTP client can be made: {0}")]
    Client(String),
}

/// How often something was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tries(pub u32);

impl std::fmt::Display for Tries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 | 1 => f.write_str("tried once"),
            tries => write!(f, "tried {tries} times"),
        }
    }
}

/// The error for what was answered with a status that is no success.
pub(super) fn refusal(
    tried: String,
    times: Tries,
    status: StatusCode,
    body: &[u8],
    to: Option<String>,
) -> Error {
    let code = status.as_u16();
    if let (true, Some(to)) = (status.is_redirection(), to) {
        return Error::Moved { tried, status: code, to };
    }
    match (code, answer::read::<serde::de::IgnoredAny>(body)) {
        (401 | 403 | 407, _) => Error::Unauthorised { tried, status: code },
        (_, Err(NoAnswer::Failed { kind, message })) => {
            Error::Refused { tried, kind: shown(&kind), said: shown(&message) }
        }
        (_, Ok(_) | Err(NoAnswer::Malformed(_))) => {
            let said = shown(&String::from_utf8_lossy(&body[..body.len().min(4 * SHOWN)]));
            let said = if said.is_empty() { said } else { format!(": {said}") };
            Error::Status { tried, status: code, tries: times, said }
        }
    }
}

/// The error for what is no answer.
pub(super) fn no_answer(tried: String, error: NoAnswer) -> Error {
    match error {
        NoAnswer::Malformed(why) => Error::Foreign { tried, why: shown(&why) },
        NoAnswer::Failed { kind, message } => {
            Error::Refused { tried, kind: shown(&kind), said: shown(&message) }
        }
    }
}

/// What lies at the bottom of an error: the outer ones repeat the address, and that may hold what is not shown.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    let mut inner = error.source();
    let mut said = None;
    while let Some(error) = inner {
        said = Some(error.to_string());
        inner = error.source();
    }
    shown(&said.unwrap_or_else(|| "it was closed".to_owned()))
}

/// Whose certificate was not taken, and what to do; `None` where that is not what happened.
pub(super) fn distrust(error: &reqwest::Error) -> Option<String> {
    let mut inner = error.source();
    while let Some(error) = inner {
        if let Some(tls) = tls(error) {
            return said_of(tls);
        }
        inner = error.source();
    }
    None
}

/// The error of TLS that this is or wraps: what an `io::Error` wraps is not its source.
fn tls<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut error = error;
    while let Some(wrapped) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        error = wrapped;
    }
    error.downcast_ref()
}

fn said_of(error: &rustls::Error) -> Option<String> {
    use rustls::AlertDescription as Alert;
    if let rustls::Error::InvalidCertificate(why) = error {
        let why = shown(&why.to_string());
        return Some(format!("its certificate is not trusted: {why}; name its authority with `--ca`"));
    }
    let rustls::Error::AlertReceived(alert) = error else { return None };
    let refused = [
        Alert::BadCertificate,
        Alert::CertificateRequired,
        Alert::CertificateExpired,
        Alert::CertificateRevoked,
        Alert::CertificateUnknown,
        Alert::UnsupportedCertificate,
        Alert::UnknownCA,
        Alert::AccessDenied,
    ];
    refused.contains(alert).then(|| {
        format!(
            "it asks for a client certificate that it knows ({alert:?}); name one with `--cert` and `--key`"
        )
    })
}

/// The beginning of a text, on one line, without what could steer a terminal.
pub(super) fn shown(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().filter(|sign| !sign.is_control()).take(SHOWN + 1).collect();
    match line.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}
