//! What is done to a service's HTTP requests, as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::traffic::{Abort, Answer, Distribution, Interference, Lag, Requests};
use super::{Breaks, Checked, Target};
use crate::finding::{Code, Finding, Findings};
use crate::scenario::profile::PathPattern;
use crate::source::At;
use crate::units::{Ratio, Size, Span};

/// Requests are answered by another than the service, which hears nothing of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusFaultWritten {
    /// The service of the stack.
    service: At<String>,
    /// Which of its ports; all unless said.
    port: Option<At<String>>,
    /// The status; 503 unless said.
    status: Option<At<u16>>,
    /// The body; a sentence that says who answers unless said.
    body: Option<String>,
    /// How many of all requests that are meant; all unless said.
    share: Option<Ratio>,
    /// Only requests to this path, in which a segment like `{id}` stands for any one.
    path: Option<At<String>>,
    /// Only requests of this method.
    method: Option<String>,
}

/// Requests arrive later.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DelayFaultWritten {
    /// The service of the stack.
    service: At<String>,
    /// Which of its ports; all unless said.
    port: Option<At<String>>,
    /// How much later.
    add: Span,
    /// How far that spreads; not at all unless said.
    jitter: Option<Span>,
    /// How jitter spreads; `uniform` unless said.
    #[serde(default)]
    distribution: Distribution,
    /// How many of all requests that are meant; all unless said.
    share: Option<Ratio>,
    /// Only requests to this path, in which a segment like `{id}` stands for any one.
    path: Option<At<String>>,
    /// Only requests of this method.
    method: Option<String>,
}

/// A request resets its connection.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AbortFaultWritten {
    /// The service of the stack.
    service: At<String>,
    /// Which of its ports; all unless said.
    port: Option<At<String>>,
    /// After so many bytes of the answer; before the service hears of it unless said.
    after: Option<Size>,
    /// How many of all requests that are meant; all unless said.
    share: Option<Ratio>,
    /// Only requests to this path, in which a segment like `{id}` stands for any one.
    path: Option<At<String>>,
    /// Only requests of this method.
    method: Option<String>,
}

/// Answers arrive with wrong bytes in their bodies.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CorruptFaultWritten {
    /// The service of the stack.
    service: At<String>,
    /// Which of its ports; all unless said.
    port: Option<At<String>>,
    /// How many of all requests that are meant; all unless said.
    share: Option<Ratio>,
    /// Only requests to this path, in which a segment like `{id}` stands for any one.
    path: Option<At<String>>,
    /// Only requests of this method.
    method: Option<String>,
}

/// The body of an answer that is not the service's, unless the file says otherwise.
const BODY: &str = "firedrill answers in this service's stead, on purpose\n";

fn on(service: At<String>, port: Option<At<String>>, does: Interference) -> Checked {
    (Some(Target { service, port }), Breaks::Traffic(does))
}

fn requests(
    share: Option<Ratio>,
    path: Option<At<String>>,
    method: Option<String>,
    findings: &mut Findings,
) -> Option<Requests> {
    let path = match path {
        None => None,
        Some(path) => {
            let parsed =
                PathPattern::parse(&path).map_err(|why| Finding::new(Code::FileValue, path.place, why));
            Some(findings.take(parsed)?)
        }
    };
    Some(Requests { share: share.unwrap_or(Ratio::ONE), path, method })
}

impl StatusFaultWritten {
    pub(super) fn check(self, findings: &mut Findings) -> Option<Checked> {
        let requests = requests(self.share, self.path, self.method, findings)?;
        if let Some(status) = self.status.as_ref().filter(|status| !(200..600).contains(&status.value)) {
            let title = "a status that ends a request is between 200 and 599";
            findings.add(Finding::new(Code::FileValue, status.place, title));
            return None;
        }
        let status = self.status.map_or(503, |status| status.value);
        let answer = Answer { status, body: self.body.unwrap_or_else(|| BODY.to_owned()) };
        Some(on(self.service, self.port, Interference::Status(answer, requests)))
    }
}

impl DelayFaultWritten {
    pub(super) fn check(self, findings: &mut Findings) -> Option<Checked> {
        let requests = requests(self.share, self.path, self.method, findings)?;
        let jitter = self.jitter.unwrap_or_default().0;
        let lag = Lag { add: self.add.0, jitter, distribution: self.distribution };
        Some(on(self.service, self.port, Interference::Delay(lag, requests)))
    }
}

impl AbortFaultWritten {
    pub(super) fn check(self, findings: &mut Findings) -> Option<Checked> {
        let requests = requests(self.share, self.path, self.method, findings)?;
        let abort = Abort { after: self.after.unwrap_or(Size(0)) };
        Some(on(self.service, self.port, Interference::Abort(abort, requests)))
    }
}

impl CorruptFaultWritten {
    pub(super) fn check(self, findings: &mut Findings) -> Option<Checked> {
        let requests = requests(self.share, self.path, self.method, findings)?;
        Some(on(self.service, self.port, Interference::Corrupt(requests)))
    }
}
