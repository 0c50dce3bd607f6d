//! Series written to a Prometheus by its remote-write protocol: samples of any time, and markers where series end.

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};

use url::Url;

use super::{Access, Client, Error, Setup};
use crate::exposition::protobuf::{Message, varint};
use crate::exposition::{Labels, Native};

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
        let mut message = Message::default();
        let mut held = 0;
        for track in tracks {
            for points in track.points.chunks(AT_ONCE) {
                message.message(1, &series(&track.labels, points));
                held += points.len();
                if held >= AT_ONCE {
                    self.send_written(&message.take()).await?;
                    held = 0;
                }
            }
        }
        if held > 0 { self.send_written(message.bytes()).await } else { Ok(()) }
    }

    async fn send_written(&self, message: &[u8]) -> Result<(), Error> {
        self.post_bytes("api/v1/write", &HEADERS, snappy(message)).await
    }
}

/// The labels of a `TimeSeries`, by name.
fn named(labels: &Labels) -> Message {
    let mut series = Message::default();
    for (name, value) in labels {
        let mut label = Message::default();
        label.text(1, name);
        label.text(2, value);
        series.message(1, &label);
    }
    series
}

/// A `TimeSeries`: labels by name, then samples.
fn series(labels: &Labels, points: &[(i64, f64)]) -> Message {
    let mut series = named(labels);
    for (at, value) in points {
        let mut sample = Message::default();
        sample.double(1, *value);
        sample.varint(2, at.cast_unsigned());
        series.message(2, &sample);
    }
    series
}

/// Samples that go together.
#[derive(Debug, Clone, Default)]
pub struct Batch(Message);

impl Batch {
    /// Adds a sample of a series, whose name is among its labels; its time is in milliseconds since 1970.
    pub fn sample(&mut self, labels: &Labels, at: i64, value: f64) {
        self.0.message(1, &series(labels, &[(at, value)]));
    }

    /// Adds a native histogram.
    pub fn native(&mut self, labels: &Labels, at: i64, histogram: &Native) {
        let mut series = named(labels);
        series.message(4, &histogram.written(at));
        self.0.message(1, &series);
    }
}

/// Where remote write is taken: the address of a Prometheus, or that of its endpoint itself.
#[derive(Debug, Clone)]
pub struct Receiver {
    client: Client,
    /// Below the client's address.
    path: String,
}

/// Where a Prometheus takes it.
const ENDPOINT: &str = "api/v1/write";

impl Receiver {
    /// A receiver; nothing is sent yet.
    ///
    /// # Errors
    /// As those of [`Client::new`].
    pub fn new(access: &Access) -> Result<Self, Setup> {
        let mut path = String::new();
        let mut access = access.clone();
        // What is no address is told as one, with its password left out.
        if let Ok(mut url) = Url::parse(&access.address) {
            url.path().trim_matches('/').clone_into(&mut path);
            url.set_path("");
            access.address = url.into();
        }
        let path = if path.is_empty() { ENDPOINT.to_owned() } else { path };
        Ok(Self { client: Client::new(&access)?, path })
    }

    /// The endpoint, without user and password.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}/{}", self.client.address(), self.path)
    }

    /// Sends samples, once.
    ///
    /// # Errors
    /// When they are not taken.
    pub async fn push(&self, batch: &Batch) -> Result<(), Error> {
        self.client.post_bytes(&self.path, &HEADERS, snappy(batch.0.bytes())).await
    }

    /// Whether it says of itself, as a Prometheus does, that it takes native histograms. Others take them without
    /// saying so, or take them and forget them.
    pub async fn takes_native(&self) -> bool {
        let Some(before) = self.path.strip_suffix(ENDPOINT) else { return false };
        let flags = self.client.page(&format!("{before}api/v1/status/flags")).await.unwrap_or_default();
        let flags: serde_json::Value = serde_json::from_slice(&flags).unwrap_or_default();
        let features = flags.pointer("/data/enable-feature").and_then(serde_json::Value::as_str);
        features.is_some_and(|features| features.contains("native-histograms"))
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
        assert_eq!(bytes.bytes(), wanted.concat());
    }

    #[test]
    fn bytes_are_packed_in_literals() {
        assert_eq!(snappy(b"abc"), [3, 61 << 2, 2, 0, b'a', b'b', b'c']);
        let long = snappy(&vec![7; 70_000]);
        assert_eq!(long.len(), 3 + 3 + 65_536 + 3 + 4_464);
    }
}
