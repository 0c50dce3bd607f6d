//! From a conversation as a file describes it to acts on a connection, and back to what was wrong with it.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::http::Method;
use ::http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use bytes::Bytes;
use tokio::time::Instant;

use super::answer::{any_of, capture_from_message, json};
use super::attempt::{Breach, Seen, Session};
use super::connect::{Authority, Deadline};
use super::exchange::{Done, Excerpt, Failure};
use super::oauth::Grant;
use super::request::{add_headers, address, authorize, options};
use super::trace::{TRACEPARENT, Traceparent};
use super::websocket::Frame;
use super::{http, tcp, websocket};
use crate::event::{Hop, Line};
use crate::sample::{Cause, Reason};
use crate::scenario::auth::Auth;
use crate::scenario::capture::Capture;
use crate::scenario::exchange::{Act, Line as Said, Message, Receive, Tcp, WebSocket};
use crate::scenario::predicate::Predicate;
use crate::scenario::subject::Subject;
use crate::scenario::template::{Scope, Unset};
use crate::source::{At, Place};

/// What a check found wrong last, with the place that wanted it otherwise.
#[derive(Clone, Default)]
struct Found(Arc<Mutex<Option<Breach>>>);

impl Found {
    /// Notes a breach, and turns it into the cause that ends the conversation.
    fn note(&self, breach: Breach) -> Cause {
        let cause = Cause::new(breach.reason, breach.title.clone());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(breach);
        cause
    }

    /// The breach that is this cause, or else the cause at `place`.
    fn explain(&self, cause: Cause, place: Place) -> Breach {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match noted {
            Some(breach) if breach.title == cause.message => breach,
            Some(breach) => Breach::lost(cause, place).help(format!("of what came last: {}", breach.title)),
            None => Breach::lost(cause, place),
        }
    }
}

/// Holds a conversation over WebSocket.
pub(super) async fn websocket(
    wanted: &WebSocket,
    captures: &[Capture],
    scope: &Scope,
    session: &Session,
    trace: Option<Traceparent>,
    deadline: &Deadline,
) -> Result<Seen, Unset> {
    let place = wanted.url.place;
    let found = Found::default();
    let mut request = match websocket_request(wanted, scope, session, &found)? {
        Ok(request) => request,
        Err(cause) => return Ok(Seen { breaches: vec![Breach::lost(cause, place)], ..Seen::default() }),
    };
    let trace = trace.filter(|_| !request.headers.contains_key(TRACEPARENT));
    request.headers.extend(trace.and_then(|trace| trace.header()).map(|value| (TRACEPARENT, value)));
    let began = Instant::now();
    let token = match token(wanted, &request, scope, session, deadline).await? {
        Ok(token) => token,
        Err(cause) => return Ok(Seen { breaches: vec![Breach::lost(cause, place)], ..Seen::default() }),
    };
    let prepared = began.elapsed();
    request.headers.extend(token.iter().map(|(_, header)| (AUTHORIZATION, header.clone())));
    let exchange = websocket::attempt(&request, deadline).await;
    if let Some((grant, header)) = &token {
        session.tokens.heed(grant, header, exchange.status);
    }
    let mut seen = Seen { chain: exchange.chain, prepared, ..Seen::default() };
    seen.traced(trace);
    seen.evidence.hops.push(Hop {
        method: "GET".to_owned(),
        url: request.url.to_string(),
        peer: exchange.peer.map(|peer| peer.to_string()),
        version: exchange.status.map(|_| "HTTP/1.1".to_owned()),
        status: exchange.status.map(|status| status.as_u16()),
        phases: exchange.phases,
    });
    seen.evidence.exchange = exchange.acts.iter().map(line).collect();
    if let Err(failure) = exchange.result {
        let places: Vec<_> = wanted.acts.iter().map(|act| act.place).collect();
        seen.breaches.push(explain(failure, &places, place, &found));
        return Ok(seen);
    }
    for (act, done) in wanted.acts.iter().zip(&exchange.acts) {
        if let Act::Ping(predicate) = &act.value {
            let time = [Subject::Time(done.took)];
            seen.breaches.extend(any_of(
                predicate,
                &time,
                scope,
                Reason::Latency,
                "the time from ping to pong",
            ));
        }
    }
    let last = exchange.last.as_ref().map(Frame::bytes).unwrap_or_default();
    capture_from_message(captures, last, &mut seen);
    Ok(seen)
}

/// The token that the upgrade needs, and what it was asked for with.
async fn token(
    wanted: &WebSocket,
    request: &websocket::Request,
    scope: &Scope,
    session: &Session,
    deadline: &Deadline,
) -> Result<Result<Option<(Grant, HeaderValue)>, Cause>, Unset> {
    let Some(Auth::OAuth2(oauth2)) = &wanted.auth else { return Ok(Ok(None)) };
    // A socket's own scheme would seem another origin than the same host's by HTTP.
    let mut url = request.url.clone();
    let scheme = if matches!(url.scheme(), "wss" | "https") { "https" } else { "http" };
    // Between these schemes an address may always change.
    let _ = url.set_scheme(scheme);
    let upgrade = http::Request { options: request.options.clone(), ..http::Request::new(Method::GET, url) };
    let grant = match Grant::fill(oauth2, &upgrade, scope)? {
        Ok(grant) => grant,
        Err(cause) => return Ok(Err(cause)),
    };
    let header = session.tokens.header(&grant, deadline).await;
    Ok(header.map(|header| Some((grant, header))))
}

fn websocket_request(
    wanted: &WebSocket,
    scope: &Scope,
    session: &Session,
    found: &Found,
) -> Result<Result<websocket::Request, Cause>, Unset> {
    let url = match address(&wanted.url, &["ws", "wss", "http", "https"], scope)? {
        Ok(url) => url,
        Err(cause) => return Ok(Err(cause)),
    };
    let mut headers = HeaderMap::new();
    if let Err(cause) = authorize(wanted.auth.as_ref(), scope, &mut headers)? {
        return Ok(Err(cause));
    }
    if let Err(cause) = add_headers(&wanted.headers, scope, &mut headers)? {
        return Ok(Err(cause));
    }
    let subprotocols = wanted.subprotocols.iter().map(|name| name.fill(scope)).collect::<Result<_, _>>()?;
    let steps =
        wanted.acts.iter().map(|act| websocket_act(&act.value, scope, found)).collect::<Result<_, _>>()?;
    let limit = websocket::Limit { message: wanted.limit, ..websocket::Limit::default() };
    let options = match options(Some(&wanted.tls), &wanted.network, scope, session)? {
        Ok(options) => options,
        Err(cause) => return Ok(Err(cause)),
    };
    Ok(Ok(websocket::Request {
        headers,
        subprotocols,
        options,
        limit,
        ..websocket::Request::new(url, steps)
    }))
}

fn websocket_act(act: &Act, scope: &Scope, found: &Found) -> Result<websocket::Act, Unset> {
    Ok(match act {
        Act::Send(message) => websocket::Act::Send(match message {
            Message::Text(text) => Frame::Text(text.fill(scope)?),
            Message::Json(shape) => Frame::Text(shape.value(scope)?.to_string()),
            Message::Binary(bytes) => Frame::Binary(Bytes::from(bytes.clone())),
        }),
        Act::Receive(receive) => websocket::Act::Receive(websocket::Receive {
            matching: check(receive.clone(), scope.clone(), found.clone()),
            count: NonZeroU64::new(receive.count).unwrap_or(NonZeroU64::MIN),
            skip: receive.skip,
            within: receive.within,
        }),
        Act::Ping(_) => websocket::Act::Ping { within: None },
        Act::Close(code) => websocket::Act::Close { code: *code },
        Act::Closed(code) => websocket::Act::Closed { code: Some(*code) },
    })
}

/// What a received frame must be.
fn check(receive: Receive, scope: Scope, found: Found) -> websocket::Check {
    websocket::Check::new(move |frame| match wrong(&receive, frame, &scope) {
        None => Ok(()),
        Some(breach) => Err(found.note(breach)),
    })
}

fn wrong(receive: &Receive, frame: &Frame, scope: &Scope) -> Option<Breach> {
    match (frame, &receive.binary) {
        (Frame::Binary(bytes), Some(wanted)) if **bytes != *wanted.value => {
            let title = format!("the message is {} other bytes", bytes.len());
            Some(Breach::new(Reason::Body, wanted.place, title, "these were expected"))
        }
        (Frame::Text(text), Some(wanted)) => {
            let title = format!("the message is text: {}", Subject::Text(text));
            Some(Breach::new(Reason::Body, wanted.place, title, "these bytes were expected"))
        }
        (Frame::Binary(_), Some(_)) => None,
        (Frame::Binary(bytes), None) => text_expected(receive).map(|place| {
            let title = format!("the message is binary, {} bytes", bytes.len());
            Breach::new(Reason::Body, place, title, "text was expected")
        }),
        (Frame::Text(text), None) => {
            let whole = receive.text.as_ref();
            let unmet = whole.and_then(|wanted| {
                any_of(wanted, &[Subject::Text(text)], scope, Reason::Body, "the message")
            });
            unmet.or_else(|| json(&receive.json, text.as_bytes(), scope).into_iter().next())
        }
    }
}

fn text_expected(receive: &Receive) -> Option<Place> {
    let json = receive.json.first().map(|(_, at)| at.place);
    receive.text.as_ref().map(|at: &At<Predicate>| at.place).or(json)
}

/// Holds a conversation over TCP.
pub(super) async fn tcp(
    wanted: &Tcp,
    captures: &[Capture],
    scope: &Scope,
    session: &Session,
    deadline: &Deadline,
) -> Result<Seen, Unset> {
    let place = wanted.address.place;
    let text = wanted.address.fill(scope)?;
    let Ok(to) = text.parse::<Authority>() else {
        let breach =
            Breach::new(Reason::Policy, place, format!("`{text}` is not `host:port`"), "the address");
        return Ok(Seen { breaches: vec![breach], ..Seen::default() });
    };
    let options = match options(wanted.tls.as_ref(), &wanted.network, scope, session)? {
        Ok(options) => options,
        Err(cause) => return Ok(Seen { breaches: vec![Breach::lost(cause, place)], ..Seen::default() }),
    };
    let steps = wanted.lines.iter().map(|line| tcp_act(&line.value, scope)).collect::<Result<_, _>>()?;
    let request = tcp::Request {
        tls: wanted.tls.is_some(),
        options,
        limit: wanted.limit,
        ..tcp::Request::new(to, steps)
    };
    let exchange = tcp::attempt(&request, deadline).await;
    let mut seen = Seen { chain: exchange.chain, ..Seen::default() };
    seen.evidence.hops.push(Hop {
        method: "CONNECT".to_owned(),
        url: text,
        peer: exchange.peer.map(|peer| peer.to_string()),
        version: None,
        status: None,
        phases: exchange.phases,
    });
    seen.evidence.exchange = exchange.acts.iter().map(line).collect();
    if let Err(failure) = exchange.result {
        let places: Vec<_> = wanted.lines.iter().map(|line| line.place).collect();
        seen.breaches.push(explain(failure, &places, place, &Found::default()));
        return Ok(seen);
    }
    capture_from_message(captures, exchange.last.as_deref().unwrap_or_default(), &mut seen);
    Ok(seen)
}

fn tcp_act(line: &Said, scope: &Scope) -> Result<tcp::Act, Unset> {
    Ok(match line {
        Said::Send(text) => tcp::Act::Send(Bytes::from(text.fill(scope)?)),
        Said::Receive(predicate, within) => {
            let (predicate, scope, within): (Predicate, Scope, Option<Duration>) =
                (predicate.clone(), scope.clone(), *within);
            let check = tcp::Check::new(move |bytes| {
                let text = String::from_utf8_lossy(bytes);
                match predicate.test(Subject::Text(&text), &scope) {
                    Ok(()) if !bytes.is_empty() => tcp::Heard::Enough(bytes.len()),
                    Ok(()) | Err(_) => tcp::Heard::More,
                }
            });
            tcp::Act::Expect(tcp::Expect { check, within })
        }
    })
}

/// What a failed conversation says, at the place of the act that failed.
fn explain(failure: Failure, places: &[Place], before: Place, found: &Found) -> Breach {
    match failure.act.and_then(|act| places.get(act)) {
        Some(place) => found.explain(failure.cause, *place),
        None => Breach::lost(failure.cause, before),
    }
}

/// What was said or heard, for the report.
fn line(done: &Done) -> Line {
    let skipped = if done.skipped > 0 { format!(", {} passed over", done.skipped) } else { String::new() };
    let count = if done.count > 0 { format!(" {}", done.count) } else { String::new() };
    Line {
        what: format!("{}{count}{skipped}", done.what),
        took: done.took.into(),
        heard: done.received.iter().map(Excerpt::shown).collect(),
    }
}
