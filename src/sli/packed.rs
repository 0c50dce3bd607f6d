//! Histograms as they are saved: HDR's own format, V2 with DEFLATE, in base64, which other tools read as well.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};

/// Why a text is no histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no HDR histogram, V2 with DEFLATE, in base64")]
pub struct NotPacked;

/// A histogram as text.
#[must_use]
pub fn pack(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    // Into memory nothing fails but what is larger than memory.
    match V2DeflateSerializer::new().serialize(histogram, &mut bytes) {
        Ok(_) => BASE64_STANDARD.encode(bytes),
        Err(_) => String::new(),
    }
}

/// The histogram of a text.
///
/// # Errors
/// When it is none.
pub fn unpack(text: &str) -> Result<Histogram<u64>, NotPacked> {
    let bytes = BASE64_STANDARD.decode(text).map_err(|_| NotPacked)?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|_| NotPacked)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> Histogram<u64> {
        let mut histogram = Histogram::new_with_max(3_600_000_000_000, 3).unwrap();
        for value in values {
            histogram.saturating_record(*value);
        }
        histogram
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back_and_adds_up(a in proptest::collection::vec(0u64..4_000_000_000_000, 0..50), b in proptest::collection::vec(0u64..4_000_000_000_000, 0..50)) {
            let mut sum = of(&[]);
            for part in [&a, &b] {
                sum.add(unpack(&pack(&of(part))).unwrap()).unwrap();
            }
            prop_assert_eq!(sum, of(&[a, b].concat()));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = unpack(&text);
        }
    }

    /// As `HdrHistogram`'s own log format has it: a cookie, a length, and zlib.
    #[test]
    fn it_is_the_format_that_others_read() {
        let bytes = BASE64_STANDARD.decode(pack(&of(&[1_000]))).unwrap();
        assert_eq!(bytes[..4], [0x1c, 0x84, 0x93, 0x14]);
        assert_eq!(bytes[8], 0x78, "zlib");
    }
}
