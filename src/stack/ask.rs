//! One HTTP request to what we started ourselves: no redirects, no TLS, bounded in time and size.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Answers that are longer are refused.
const LARGEST: usize = 16 << 20;

/// Asks, and gives the answer's status and body.
///
/// # Errors
/// What kept the answer from coming, in words.
pub(super) async fn ask(
    method: &str,
    address: SocketAddr,
    path: &str,
    limit: Duration,
) -> Result<(u16, Bytes), String> {
    match timeout(limit, exchange(method, address, path)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("{address} does not answer within {}", crate::units::Span(limit))),
    }
}

async fn exchange(method: &str, address: SocketAddr, path: &str) -> Result<(u16, Bytes), String> {
    let stream = TcpStream::connect(address).await.map_err(|error| format!("{address}: {error}"))?;
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| format!("{address}: {error}"))?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", address.to_string())
        .header("connection", "close")
        .body(Full::<Bytes>::default())
        .map_err(|error| format!("`{path}` cannot be asked for: {error}"))?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(|error| format!("{address}: {error}"))?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| format!("{address}{path}: {error}"))?;
        Ok((status, body.to_bytes()))
    };
    // The connection moves only while it is polled; it ends with the answer.
    tokio::pin!(connection, answer);
    let mut open = true;
    loop {
        tokio::select! {
            answer = &mut answer => return answer,
            _ = &mut connection, if open => open = false,
        }
    }
}
