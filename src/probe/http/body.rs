//! Bodies: what is sent, and what is read up to a limit.

use std::convert::Infallible;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use http::header::{CONTENT_ENCODING, HeaderMap};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::failure;
use super::meter::Meter;
use crate::sample::{Cause, Reason};
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
#[derive(Debug, Default)]
pub(super) struct Whole {
    pub(super) body: Bytes,
    pub(super) wire_size: usize,
    pub(super) trailers: HeaderMap,
}

/// Reads `incoming` to its end, unpacked if `headers` say gzip and `decompress`; no more than `limit` is
/// kept, nor taken from the wire.
pub(super) async fn read(
    mut incoming: Incoming,
    headers: &HeaderMap,
    decompress: bool,
    limit: Size,
) -> Result<Whole, Cause> {
    let mut vessel = Vessel::new(decompress && is_gzip(headers), limit);
    let mut whole = Whole::default();
    while let Some(frame) = incoming.frame().await {
        match frame.map_err(|error| failure::explain(&error))?.into_data() {
            Ok(data) => {
                whole.wire_size += data.len();
                if whole.wire_size > limit.bytes() {
                    return Err(too_much(limit));
                }
                vessel.pour(&data)?;
            }
            Err(frame) => whole.trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    // Gzip has no empty form: an answer to HEAD names the encoding of a body it does not have.
    if whole.wire_size > 0 {
        whole.body = vessel.close()?;
    }
    Ok(whole)
}

fn is_gzip(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    let first = encodings.next().is_some_and(|name| {
        let name = name.as_bytes().trim_ascii();
        name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip")
    });
    first && encodings.next().is_none()
}

fn too_much(limit: Size) -> Cause {
    Cause::new(Reason::Limit, format!("the body is over {limit}"))
}

/// Where a body is gathered.
enum Vessel {
    Plain(Bounded),
    Gzip(Box<MultiGzDecoder<Bounded>>),
}

impl Vessel {
    fn new(gzip: bool, limit: Size) -> Self {
        let bounded = Bounded { bytes: Vec::new(), limit };
        if gzip { Self::Gzip(Box::new(MultiGzDecoder::new(bounded))) } else { Self::Plain(bounded) }
    }

    fn pour(&mut self, data: &[u8]) -> Result<(), Cause> {
        match self {
            Self::Plain(bounded) => bounded.write_all(data),
            Self::Gzip(decoder) => decoder.write_all(data),
        }
        .map_err(|error| self.explain(&error))
    }

    fn close(mut self) -> Result<Bytes, Cause> {
        let done = match &mut self {
            Self::Plain(_) => Ok(()),
            Self::Gzip(decoder) => decoder.try_finish(),
        };
        done.map_err(|error| self.explain(&error))?;
        Ok(match self {
            Self::Plain(mut bounded) => std::mem::take(&mut bounded.bytes),
            Self::Gzip(mut decoder) => std::mem::take(&mut decoder.get_mut().bytes),
        }
        .into())
    }

    fn explain(&self, error: &io::Error) -> Cause {
        let bounded = match self {
            Self::Plain(bounded) => bounded,
            Self::Gzip(decoder) => decoder.get_ref(),
        };
        if error.kind() == io::ErrorKind::FileTooLarge {
            too_much(bounded.limit)
        } else {
            Cause::new(Reason::Protocol, format!("the body is not the gzip it claims to be: {error}"))
        }
    }
}

/// Bytes up to a limit; the write that would go over it fails and is not kept.
#[derive(Debug)]
struct Bounded {
    bytes: Vec<u8>,
    limit: Size,
}

impl Write for Bounded {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + data.len() > self.limit.bytes() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn unpack(pieces: &[&[u8]], limit: u64) -> Result<Bytes, Reason> {
        let mut vessel = Vessel::new(true, Size(limit));
        pieces.iter().try_for_each(|piece| vessel.pour(piece)).map_err(|cause| cause.reason)?;
        vessel.close().map_err(|cause| cause.reason)
    }

    #[test]
    fn gzip_is_unpacked_however_it_is_cut() {
        let packed = gzip(b"every alert has been heard");
        let pieces: Vec<_> = packed.chunks(1).collect();
        assert_eq!(unpack(&pieces, 100).unwrap(), "every alert has been heard");
    }

    #[test]
    fn members_of_gzip_follow_one_another() {
        assert_eq!(unpack(&[&gzip(b"fire"), &gzip(b"drill")], 100).unwrap(), "firedrill");
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let packed = gzip(&vec![0; 10 << 20]);
        assert_eq!(unpack(&[&packed], 1 << 20), Err(Reason::Limit));
    }

    #[test]
    fn a_body_of_exactly_the_limit_is_kept() {
        assert_eq!(unpack(&[&gzip(&[7; 100])], 100).unwrap().len(), 100);
        assert_eq!(unpack(&[&gzip(&[7; 101])], 100), Err(Reason::Limit));
    }

    #[test]
    fn truncated_gzip_is_a_protocol_failure() {
        let packed = gzip(b"every alert has been heard");
        assert_eq!(unpack(&[&packed[..packed.len() - 4]], 100), Err(Reason::Protocol));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_unpacking_panic_or_overflow(data in any::<Vec<u8>>(), cut in 1..9_usize) {
            let pieces: Vec<_> = data.chunks(cut).collect();
            if let Ok(body) = unpack(&pieces, 64) {
                prop_assert!(body.len() <= 64);
            }
        }

        #[test]
        fn what_was_packed_is_unpacked(data in any::<Vec<u8>>(), cut in 1..9_usize) {
            let packed = gzip(&data);
            let pieces: Vec<_> = packed.chunks(cut).collect();
            prop_assert_eq!(unpack(&pieces, 1 << 20).unwrap(), data);
        }
    }
}
