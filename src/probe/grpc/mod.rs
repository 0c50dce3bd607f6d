//! How a gRPC server says it is, by `grpc.health.v1`.

mod call;
mod message;

use http::header::{HeaderMap, HeaderValue};

pub use self::call::{Answer, Call, Question, call};
pub use self::message::{Said, answer};
use super::attempt::{Breach, Seen, Session};
use super::connect::{Authority, Deadline};
use super::request::{add_headers, options};
use crate::event::Hop;
use crate::sample::{Cause, Reason};
use crate::scenario::expect::Expect;
use crate::scenario::grpc::{Grpc, Rpc, RpcStatus, Serving};
use crate::scenario::template::{Scope, Unset};
use crate::source::Place;

/// How we call ourselves.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("firedrill/", env!("CARGO_PKG_VERSION")));

/// Asks, and judges the answer.
pub(super) async fn attempt(
    wanted: &Grpc,
    expect: &Expect,
    scope: &Scope,
    session: &Session,
    deadline: &Deadline,
) -> Result<Seen, Unset> {
    let place = wanted.address.place;
    let question = match question(wanted, scope, session)? {
        Ok(question) => question,
        Err(cause) => return Ok(Seen { breaches: vec![Breach::lost(cause, place)], ..Seen::default() }),
    };
    let called = call(&question, deadline).await;
    let mut seen = Seen { chain: called.trail.chain, ..Seen::default() };
    seen.evidence.hops.push(Hop {
        method: "CHECK".to_owned(),
        url: question.to.to_string(),
        peer: called.trail.peer.map(|peer| peer.to_string()),
        version: called.status.map(|_| "HTTP/2.0".to_owned()),
        status: called.status,
        phases: called.trail.phases,
    });
    match called.result {
        Err(cause) => seen.breaches.push(Breach::lost(cause, place)),
        Ok(answer) => {
            let subject = wanted.service.as_ref().map_or(place, |service| service.place);
            seen.breaches.extend(judge(&answer, &expect.rpc, subject));
            seen.evidence.state = Some(answer.to_string());
        }
    }
    Ok(seen)
}

/// A question, every variable filled in.
fn question(wanted: &Grpc, scope: &Scope, session: &Session) -> Result<Result<Question, Cause>, Unset> {
    let text = wanted.address.fill(scope)?;
    let Ok(to) = text.parse::<Authority>() else {
        return Ok(Err(Cause::new(Reason::Policy, format!("`{text}` is not `host:port`"))));
    };
    let mut metadata = HeaderMap::new();
    if let Err(cause) = add_headers(&wanted.metadata, scope, &mut metadata)? {
        return Ok(Err(cause));
    }
    let service = wanted.service.as_ref().map(|service| service.fill(scope)).transpose()?;
    let options = options(wanted.tls.as_ref(), &wanted.network, scope, session)?;
    Ok(options.map(|options| Question {
        to,
        secure: wanted.tls.is_some(),
        options,
        service: service.unwrap_or_default(),
        metadata,
        agent: AGENT,
    }))
}

/// What is not as expected: of the call, and where that ended well, of the service.
fn judge(answer: &Answer, wanted: &Rpc, asked: Place) -> Option<Breach> {
    let status = wanted.status.as_ref().map_or(RpcStatus::Ok, |at| at.value);
    if answer.status != status {
        let place = wanted.status.as_ref().map_or(asked, |at| at.place);
        let title = format!("the call ended with {answer}, not {status}");
        let breach =
            Breach::new(Reason::Status, place, title, format!("grpc-status {}", answer.status as usize));
        return Some(match hint(answer.status) {
            Some(hint) => breach.help(hint),
            None => breach,
        });
    }
    let place = wanted.serving.as_ref().map(|at| at.place);
    let Some(said) = answer.said else {
        let title = format!("the call ended with {answer}, which says nothing of the service");
        return place.map(|place| Breach::new(Reason::Status, place, title, "nothing was said"));
    };
    let serving = wanted.serving.as_ref().map_or(Serving::Serving, |at| at.value);
    (said.word() != Some(serving)).then(|| {
        let title = format!("the service is {said}, not {serving}");
        Breach::new(Reason::Status, place.unwrap_or(asked), title, format!("it is {said}"))
    })
}

/// What a status means in this protocol.
fn hint(status: RpcStatus) -> Option<&'static str> {
    match status {
        RpcStatus::NotFound => Some("the server knows no service of this name"),
        RpcStatus::Unimplemented => Some("the server has no `grpc.health.v1.Health`"),
        RpcStatus::Ok
        | RpcStatus::Cancelled
        | RpcStatus::Unknown
        | RpcStatus::InvalidArgument
        | RpcStatus::DeadlineExceeded
        | RpcStatus::AlreadyExists
        | RpcStatus::PermissionDenied
        | RpcStatus::ResourceExhausted
        | RpcStatus::FailedPrecondition
        | RpcStatus::Aborted
        | RpcStatus::OutOfRange
        | RpcStatus::Internal
        | RpcStatus::Unavailable
        | RpcStatus::DataLoss
        | RpcStatus::Unauthenticated => None,
    }
}
