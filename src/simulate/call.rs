//! A stand-in asks other services before it answers, and carries the request's trace on to them.

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::reply::{Reply, json_reply};
use super::trace::{TRACEPARENT, Trace};
use crate::scenario::profile::Call;

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

/// Asks everybody in order, for a request of this trace; the first failure ends it.
pub(super) async fn all(calls: &[Call], trace: Trace) -> Result<(), Failed> {
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
