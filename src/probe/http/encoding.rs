//! How the body of an answer is packed, and what is in it, up to a limit.

use std::io::Read;

use brotli_decompressor::Decompressor;
use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::header::{CONTENT_ENCODING, HeaderMap};
use ruzstd::decoding::StreamingDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

use crate::sample::{Cause, Reason};
use crate::units::Size;

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// What is unpacked before others, the deadline among them, have their turn.
const PIECE: usize = 64 << 10;

/// How far back a packed body may refer: RFC 9659 allows no more.
const ZSTD_WINDOW: u64 = 8 << 20;

/// How brotli with windows of up to a gigabyte begins; RFC 7932 knows up to 16 MiB.
const LARGE_BROTLI: u8 = 0x11;

impl Encoding {
    /// What requests say is understood.
    pub(super) const ACCEPTED: &str = "gzip, deflate, br, zstd";

    /// What the head of an answer says; `None` also for several encodings, one over the other, which nobody asked
    /// for.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
        let (first, None) = (encodings.next()?, encodings.next()) else { return None };
        match first.as_bytes().trim_ascii().to_ascii_lowercase().as_slice() {
            b"gzip" | b"x-gzip" => Some(Self::Gzip),
            b"deflate" => Some(Self::Deflate),
            b"br" => Some(Self::Brotli),
            b"zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "brotli",
            Self::Zstd => "zstd",
        }
    }

    /// Unpacks a body of which there is no more than `limit`, packed or not.
    ///
    /// # Errors
    /// It is not what it claims to be, or there is more in it.
    pub(super) async fn unpack(self, packed: &[u8], limit: Size) -> Result<Bytes, Cause> {
        let mut unpacked = Unpacked { bytes: Vec::new(), limit, encoding: self };
        match self {
            Self::Gzip => unpacked.fill(&mut MultiGzDecoder::new(packed)).await?,
            // By its name zlib is meant; some send the stream within it alone.
            Self::Deflate if is_zlib(packed) => unpacked.fill(&mut ZlibDecoder::new(packed)).await?,
            Self::Deflate => unpacked.fill(&mut DeflateDecoder::new(packed)).await?,
            Self::Brotli if packed.first().is_some_and(|first| first & 0x7f == LARGE_BROTLI) => {
                return Err(unpacked.damaged(&"it is of an extension that no standard has"));
            }
            Self::Brotli => unpacked.fill(&mut Decompressor::new(packed, PIECE)).await?,
            Self::Zstd => unpacked.fill_from_frames(packed).await?,
        }
        Ok(unpacked.bytes.into())
    }
}

/// Whether the two bytes that begin a zlib stream are there.
fn is_zlib(packed: &[u8]) -> bool {
    let [method, flags, ..] = packed else { return false };
    method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]) % 31 == 0
}

/// What has been unpacked so far.
struct Unpacked {
    bytes: Vec<u8>,
    limit: Size,
    encoding: Encoding,
}

impl Unpacked {
    async fn fill(&mut self, decoder: &mut (impl Read + Send)) -> Result<(), Cause> {
        loop {
            let most = self.limit.bytes().saturating_sub(self.bytes.len()).saturating_add(1).min(PIECE);
            let before = self.bytes.len();
            let read = decoder.take(most as u64).read_to_end(&mut self.bytes);
            if self.bytes.len() > self.limit.bytes() {
                return Err(too_much(self.limit));
            }
            read.map_err(|error| self.damaged(&error))?;
            if self.bytes.len() - before < most {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }

    /// Frames of zstd follow one another, some of them not meant for us.
    async fn fill_from_frames(&mut self, packed: &[u8]) -> Result<(), Cause> {
        let mut rest = packed;
        while !rest.is_empty() {
            match StreamingDecoder::new_with_max_window_size(&mut rest, ZSTD_WINDOW) {
                Ok(mut frame) => self.fill(&mut frame).await?,
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = usize::try_from(length).unwrap_or(usize::MAX);
                    rest = rest.get(length..).ok_or_else(|| self.damaged(&"it ends in a frame"))?;
                }
                Err(error) => return Err(self.damaged(&error)),
            }
        }
        Ok(())
    }

    fn damaged(&self, why: &dyn std::fmt::Display) -> Cause {
        let name = self.encoding.name();
        Cause::new(Reason::Protocol, format!("the body is not the {name} it claims to be: {why}"))
    }
}

/// There is more of a body than is read.
pub(super) fn too_much(limit: Size) -> Cause {
    Cause::new(Reason::Limit, format!("the body is over {limit}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use http::HeaderValue;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const TEXT: &[u8] = b"every alert has been heard, every alert has been heard";

    /// `TEXT`, by the `brotli` program; there is no encoder among our crates.
    const BROTLI: &[u8] = &[
        0x1f, 0x35, 0x00, 0xf8, 0x05, 0xb2, 0x6d, 0xa9, 0x8e, 0xfe, 0xb5, 0x4c, 0x3c, 0xf8, 0x20, 0x86, 0x29,
        0x82, 0xc1, 0x55, 0xac, 0xb0, 0xf1, 0xc8, 0x97, 0x17, 0xb9, 0x6a, 0x1f, 0x0d, 0xd8, 0x6a, 0x9c, 0x59,
        0x02,
    ];

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(data: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(data: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(data: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest)
    }

    fn unpack(encoding: Encoding, packed: &[u8], limit: u64) -> Result<Bytes, Reason> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(encoding.unpack(packed, Size(limit))).map_err(|cause| cause.reason)
    }

    #[rstest]
    #[case::gzip(Encoding::Gzip, gzip(TEXT))]
    #[case::gzip_members(Encoding::Gzip, [gzip(&TEXT[..9]), gzip(&TEXT[9..])].concat())]
    #[case::zlib(Encoding::Deflate, zlib(TEXT))]
    #[case::deflate_alone(Encoding::Deflate, deflate(TEXT))]
    #[case::brotli(Encoding::Brotli, BROTLI.to_vec())]
    #[case::zstd(Encoding::Zstd, zstd(TEXT))]
    #[case::zstd_frames(Encoding::Zstd, [zstd(&TEXT[..9]), vec![0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3], zstd(&TEXT[9..])].concat())]
    fn what_was_packed_is_unpacked(#[case] encoding: Encoding, #[case] packed: Vec<u8>) {
        let whole = TEXT.len() as u64;
        assert_eq!(unpack(encoding, &packed, whole).unwrap(), TEXT);
        assert_eq!(unpack(encoding, &packed, whole - 1), Err(Reason::Limit));
    }

    #[rstest]
    #[case::gzip(Encoding::Gzip, gzip(TEXT))]
    #[case::zlib(Encoding::Deflate, zlib(TEXT))]
    #[case::deflate_alone(Encoding::Deflate, deflate(TEXT))]
    #[case::brotli(Encoding::Brotli, BROTLI.to_vec())]
    #[case::zstd(Encoding::Zstd, zstd(TEXT))]
    fn a_body_cut_short_is_a_protocol_failure(#[case] encoding: Encoding, #[case] packed: Vec<u8>) {
        for length in 1..packed.len() {
            assert_eq!(unpack(encoding, &packed[..length], 1000), Err(Reason::Protocol), "{length}");
        }
    }

    #[rstest]
    #[case::gzip("gzip", Some(Encoding::Gzip))]
    #[case::old_name("X-GZIP", Some(Encoding::Gzip))]
    #[case::deflate(" deflate ", Some(Encoding::Deflate))]
    #[case::brotli("br", Some(Encoding::Brotli))]
    #[case::zstd("zstd", Some(Encoding::Zstd))]
    #[case::none("identity", None)]
    #[case::several("gzip, br", None)]
    fn an_encoding_is_known_by_its_name(#[case] name: &'static str, #[case] encoding: Option<Encoding>) {
        let headers = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(name))]);
        assert_eq!(Encoding::of(&headers), encoding);
    }

    #[test]
    fn a_window_no_standard_allows_is_refused() {
        // A header of zstd that wants 128 MiB, and one of brotli in its extension.
        let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88, 0x01, 0x00, 0x00];
        assert_eq!(unpack(Encoding::Zstd, &zstd, 1000), Err(Reason::Protocol));
        assert_eq!(unpack(Encoding::Brotli, &[0x11, 0x1e, 0x03], 1000), Err(Reason::Protocol));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_unpacking_panic_or_overflow(data in any::<Vec<u8>>(), which in 0..4_usize) {
            let encoding = [Encoding::Gzip, Encoding::Deflate, Encoding::Brotli, Encoding::Zstd][which];
            if let Ok(body) = unpack(encoding, &data, 64) {
                prop_assert!(body.len() <= 64);
            }
        }

        #[test]
        fn no_damage_makes_the_unpacking_panic(at in any::<prop::sample::Index>(), bits: u8, which in 0..3_usize) {
            let (encoding, mut packed) = [
                (Encoding::Gzip, gzip(TEXT)), (Encoding::Zstd, zstd(TEXT)), (Encoding::Brotli, BROTLI.to_vec()),
            ][which].clone();
            let at = at.index(packed.len());
            packed[at] ^= bits;
            let _ = unpack(encoding, &packed, 64);
        }
    }
}
