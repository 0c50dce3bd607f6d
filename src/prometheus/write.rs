//! Series written to a Prometheus by its remote-write protocol: samples of any time, and markers where series end.

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};

use super::{Client, Error};
use crate::exposition::Labels;

/// The value that marks where a series has ended: a number that is none, and of all of those this one.
pub const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Samples that one request holds, about.
const AT_ONCE: usize = 20_000;

/// How a request is encoded.
const HEADERS: [(HeaderName, &str); 3] = [
    (CONTENT_TYPE, "application/x-protobuf"),
    (CONTENT_ENCODING, "snappy"),
    (HeaderName::from_static("x-prometheus-remote-write-version"), "0.1.0"),
];

/// A series to be written.
#[derive(Debug, Clone, Default)]
pub struct Track {
    /// Its labels, `__name__` among them.
    pub labels: Labels,
    /// Its samples in the order of time: milliseconds since 1970, and the value.
    pub points: Vec<(i64, f64)>,
}

impl Client {
    /// Writes series. Those of one that are there already must be older.
    ///
    /// # Errors
    /// When it does not take them.
    pub async fn write(&self, tracks: &[Track]) -> Result<(), Error> {
        let mut message = Vec::new();
        let mut held = 0;
        for track in tracks {
            for points in track.points.chunks(AT_ONCE) {
                field(&mut message, 1, &series(&track.labels, points));
                held += points.len();
                if held >= AT_ONCE {
                    self.send_written(&std::mem::take(&mut message)).await?;
                    held = 0;
                }
            }
        }
        if held > 0 { self.send_written(&message).await } else { Ok(()) }
    }

    async fn send_written(&self, message: &[u8]) -> Result<(), Error> {
        self.post_bytes("api/v1/write", &HEADERS, snappy(message)).await
    }
}

/// A `TimeSeries`: labels by name, then samples.
fn series(labels: &Labels, points: &[(i64, f64)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(points.len() * 20);
    for (name, value) in labels {
        let mut label = Vec::new();
        field(&mut label, 1, name.as_bytes());
        field(&mut label, 2, value.as_bytes());
        field(&mut bytes, 1, &label);
    }
    for (at, value) in points {
        let mut sample = vec![1 << 3 | 1];
        sample.extend(value.to_bits().to_le_bytes());
        sample.push(2 << 3);
        varint(&mut sample, at.cast_unsigned());
        field(&mut bytes, 2, &sample);
    }
    bytes
}

/// A field of bytes.
fn field(to: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    to.push(number << 3 | 2);
    varint(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

fn varint(to: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            return to.push(low & 0x7f);
        }
        to.push(low | 0x80);
    }
}

/// The bytes as Snappy's block format has them, nothing of them shortened: it is a way of a few metres.
fn snappy(bytes: &[u8]) -> Vec<u8> {
    /// A literal of up to so many bytes, whose length takes two.
    const LITERAL: usize = 1 << 16;
    let mut packed = Vec::with_capacity(bytes.len() + bytes.len() / LITERAL * 3 + 16);
    varint(&mut packed, bytes.len() as u64);
    for literal in bytes.chunks(LITERAL) {
        packed.push(61 << 2);
        let [low, high, ..] = (literal.len() - 1).to_le_bytes();
        packed.extend_from_slice(&[low, high]);
        packed.extend_from_slice(literal);
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_written_as_the_protocol_says() {
        let labels = Labels::from([("__name__".to_owned(), "up".to_owned())]);
        let bytes = series(&labels, &[(300, 1.0)]);
        let wanted = [
            &[0x0a, 14, 0x0a, 8][..],
            b"__name__",
            &[0x12, 2],
            b"up",
            &[0x12, 12, 0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x10, 0xac, 0x02],
        ];
        assert_eq!(bytes, wanted.concat());
    }

    #[test]
    fn bytes_are_packed_in_literals() {
        assert_eq!(snappy(b"abc"), [3, 61 << 2, 2, 0, b'a', b'b', b'c']);
        let long = snappy(&vec![7; 70_000]);
        assert_eq!(long.len(), 3 + 3 + 65_536 + 3 + 4_464);
    }
}
