//! A stand-in asks other services before it answers, and carries the request's trace on to them.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::reply::{Reply, json_reply};
use crate::scenario::profile::Call;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The most that is read of what a service answers.
const LARGEST: usize = 1 << 20;

/// Why a service that was asked is no help.
#[derive(Debug)]
pub(super) struct Failed {
    service: String,
    why: String,
}

impl Failed {
    /// What the stand-in answers for it.
    pub(super) fn reply(&self) -> Reply {
        let error = format!("`{}` {}", self.service, self.why);
        json_reply(StatusCode::BAD_GATEWAY, json!({ "error": error }).to_string().into())
    }
}

/// Asks everybody in order, for a request with these headers; the first failure ends it.
pub(super) async fn all(calls: &[Call], headers: &HeaderMap) -> Result<(), Failed> {
    let trace = Trace::of(headers);
    for call in calls {
        let Some(address) = &call.address else { continue };
        let failed = |why: String| Failed { service: call.service.value.clone(), why };
        match timeout(call.within, one(call, address, trace)).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => return Err(failed(why)),
            Err(_) => return Err(failed(format!("does not answer within {:?}", call.within))),
        }
    }
    Ok(())
}

async fn one(call: &Call, address: &str, trace: Trace) -> Result<(), String> {
    let unreached = |error: std::io::Error| format!("is not reached: {error}");
    let stream = TcpStream::connect(address).await.map_err(unreached)?;
    stream.set_nodelay(true).map_err(unreached)?;
    let Some(path) = &call.get else { return Ok(()) };
    let broken = |error: hyper::Error| format!("breaks off: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let request = Request::get(path)
        .header(header::HOST, address)
        .header(TRACEPARENT, trace.onward())
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let asking = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LARGEST).collect().await;
        body.map_err(|error| format!("breaks off: {error}"))?;
        if status.is_server_error() { Err(format!("answers with {}", status.as_u16())) } else { Ok(()) }
    };
    let mut asking = std::pin::pin!(asking);
    tokio::select! {
        biased;
        answered = &mut asking => answered,
        // The end of the connection may come with the last byte of the answer.
        _ = connection => asking.await,
    }
}

/// The trace that a request belongs to.
#[derive(Debug, Clone, Copy)]
struct Trace {
    id: u128,
    flags: u8,
}

impl Trace {
    /// The one that its header names, or a new one that is recorded.
    fn of(headers: &HeaderMap) -> Self {
        let carried = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()).and_then(Self::parse);
        carried.unwrap_or_else(|| Self { id: rand::random::<u128>().max(1), flags: 1 })
    }

    /// `00-TRACE-PARENT-FLAGS`, all of them lower-case hexadecimal digits; a trace and a parent are not zero.
    fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('-').collect();
        let [version, trace, parent, flags, further @ ..] = parts.as_slice() else { return None };
        let digits = |text: &str, count| {
            text.len() == count && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let shaped = digits(version, 2) && digits(trace, 32) && digits(parent, 16) && digits(flags, 2);
        if !shaped || *version == "ff" || (*version == "00" && !further.is_empty()) {
            return None;
        }
        let id = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
        u64::from_str_radix(parent, 16).ok().filter(|parent| *parent != 0)?;
        Some(Self { id, flags: u8::from_str_radix(flags, 16).ok()? })
    }

    /// The header of what is asked for it, under a span of its own.
    fn onward(self) -> String {
        self.under(rand::random())
    }

    fn under(self, span: u64) -> String {
        format!("00-{:032x}-{:016x}-{:02x}", self.id, span.max(1), self.flags)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[rstest]
    #[case::as_it_is("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", Some("00"))]
    #[case::recorded("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Some("01"))]
    #[case::a_later_version("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", Some("01"))]
    #[case::too_much("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", None)]
    #[case::capitals("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", None)]
    #[case::no_trace("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None)]
    #[case::no_parent("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", None)]
    #[case::no_such_version("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None)]
    #[case::nothing("", None)]
    fn a_trace_is_carried_on_under_another_span(#[case] header: &str, #[case] flags: Option<&str>) {
        let carried = Trace::parse(header).map(|trace| trace.under(0xb7ad_6b71_6920_3331));
        assert_eq!(carried, flags.map(|flags| format!("00-{TRACE}-b7ad6b7169203331-{flags}")));
    }
}
