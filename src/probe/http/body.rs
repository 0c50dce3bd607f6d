//! Bodies: what is sent, and what is read up to a limit.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::encoding::{Encoding, too_much};
use super::failure;
use super::meter::Meter;
use crate::sample::Cause;
use crate::units::Size;

/// Small enough that the last piece leaves soon after it was taken.
const PIECE: usize = 16 << 10;

/// A request's body, which tells the meter when the last of it has been taken.
#[derive(Debug)]
pub(super) struct Outgoing {
    left: Bytes,
    meter: Meter,
}

impl Outgoing {
    pub(super) fn new(body: Bytes, meter: Meter) -> Self {
        Self { left: body, meter }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let piece = self.left.len().min(PIECE);
        let piece = self.left.split_to(piece);
        if self.left.is_empty() {
            self.meter.hand_over();
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}

/// A body read to its end.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) body: Bytes,
    pub(super) wire_size: usize,
    pub(super) trailers: HeaderMap,
}

/// Reads `incoming` to its end, unpacked if `headers` say how it is packed and `decompress`; no more than `limit`
/// is kept, nor taken from the wire.
pub(super) async fn read(
    mut incoming: Incoming,
    headers: &HeaderMap,
    decompress: bool,
    limit: Size,
) -> Result<Whole, Cause> {
    let mut body = Vec::new();
    let mut trailers = HeaderMap::new();
    while let Some(frame) = incoming.frame().await {
        match frame.map_err(|error| failure::explain(&error))?.into_data() {
            Ok(data) if body.len() + data.len() > limit.bytes() => return Err(too_much(limit)),
            Ok(data) => body.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    let wire_size = body.len();
    let encoding = Encoding::of(headers).filter(|_| decompress);
    // No encoding has an empty form: an answer to HEAD names that of a body it does not have.
    let body = match encoding.filter(|_| !body.is_empty()) {
        Some(encoding) => encoding.unpack(&body, limit).await?,
        None => body.into(),
    };
    Ok(Whole { body, wire_size, trailers })
}
