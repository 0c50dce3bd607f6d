//! Families as the protobuf page that Prometheus asks for where it wants native histograms.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::native::Native;
use super::print::{heading, is_created};
use super::{Dialect, Family, Kind, Labels, Sample};

/// The `Content-Type` of such a page.
pub const CONTENT_TYPE: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// A native histogram of a family.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The family's name.
    pub family: String,
    /// What tells it from others of the family.
    pub labels: Labels,
    /// What was measured.
    pub native: Native,
}

/// A message of protobuf, as its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message(Vec<u8>);

impl Message {
    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its bytes, taken out of it.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    /// Adds a number.
    pub fn varint(&mut self, field: u32, value: u64) {
        self.key(field, 0);
        varint(&mut self.0, value);
    }

    /// Adds a number that may be negative: `sint32` or `sint64`.
    pub fn signed(&mut self, field: u32, value: i64) {
        self.varint(field, zigzag(value));
    }

    /// Adds a `double`.
    pub fn double(&mut self, field: u32, value: f64) {
        self.key(field, 1);
        self.0.extend(value.to_bits().to_le_bytes());
    }

    /// Adds a text.
    pub fn text(&mut self, field: u32, text: &str) {
        self.blob(field, text.as_bytes());
    }

    /// Adds a message.
    pub fn message(&mut self, field: u32, message: &Self) {
        self.blob(field, &message.0);
    }

    /// Adds numbers that may be negative, all in one.
    pub fn packed(&mut self, field: u32, values: &[i64]) {
        let mut packed = Vec::with_capacity(values.len() * 2);
        for value in values {
            varint(&mut packed, zigzag(*value));
        }
        self.blob(field, &packed);
    }

    fn blob(&mut self, field: u32, bytes: &[u8]) {
        self.key(field, 2);
        varint(&mut self.0, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn key(&mut self, field: u32, wire: u32) {
        varint(&mut self.0, u64::from(field << 3 | wire));
    }
}

/// Appends a number in as few bytes as it takes.
pub(crate) fn varint(to: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            return to.push(low & 0x7f);
        }
        to.push(low | 0x80);
    }
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

/// Prints families as `io.prometheus.client.MetricFamily`, each behind its length.
///
/// A native histogram stands with the classic buckets of the same family and labels, or by itself; one whose
/// family is not among those given is left out. So is what Prometheus text leaves out.
#[must_use]
pub fn print(families: &[Family], natives: &[Measured]) -> Vec<u8> {
    let mut page = Vec::new();
    for family in families {
        let (name, _) = heading(family, Dialect::Text);
        let mut message = Message::default();
        message.text(1, &name);
        if !family.help.is_empty() {
            message.text(2, &family.help);
        }
        message.varint(3, number(family.kind));
        for metric in metrics(family, natives) {
            message.message(4, &metric);
        }
        varint(&mut page, message.0.len() as u64);
        page.append(&mut message.0);
    }
    page
}

/// The `MetricType` of a kind.
fn number(kind: Kind) -> u64 {
    match kind {
        Kind::Counter => 0,
        Kind::Gauge | Kind::Info | Kind::StateSet => 1,
        Kind::Summary => 2,
        Kind::Unknown => 3,
        Kind::Histogram => 4,
        Kind::GaugeHistogram => 5,
    }
}

/// What belongs to the same labels and moment.
#[derive(Default)]
struct Series<'a> {
    samples: Vec<&'a Sample>,
    native: Option<&'a Native>,
}

fn metrics(family: &Family, natives: &[Measured]) -> Vec<Message> {
    let apart = match family.kind {
        Kind::Histogram | Kind::GaugeHistogram => "le",
        Kind::Summary => "quantile",
        Kind::Counter | Kind::Gauge | Kind::Info | Kind::StateSet | Kind::Unknown => "",
    };
    let mut all: BTreeMap<(Labels, Option<Timestamp>), Series<'_>> = BTreeMap::new();
    for sample in family.samples.iter().filter(|sample| !is_created(family, sample)) {
        let mut labels = sample.labels.clone();
        labels.remove(apart);
        all.entry((labels, sample.at)).or_default().samples.push(sample);
    }
    for measured in natives.iter().filter(|measured| measured.family == family.name) {
        all.entry((measured.labels.clone(), None)).or_default().native = Some(&measured.native);
    }
    all.iter().map(|((labels, at), series)| metric(family, labels, *at, series)).collect()
}

fn metric(family: &Family, labels: &Labels, at: Option<Timestamp>, series: &Series<'_>) -> Message {
    let mut metric = Message::default();
    for (name, value) in labels {
        let mut label = Message::default();
        label.text(1, name);
        label.text(2, value);
        metric.message(1, &label);
    }
    let field = match family.kind {
        Kind::Gauge | Kind::Info | Kind::StateSet => 2,
        Kind::Counter => 3,
        Kind::Summary => 4,
        Kind::Unknown => 5,
        Kind::Histogram | Kind::GaugeHistogram => 7,
    };
    let value = match family.kind {
        Kind::Summary => many(family, "quantile", series),
        Kind::Histogram | Kind::GaugeHistogram => many(family, "le", series),
        Kind::Counter | Kind::Gauge | Kind::Info | Kind::StateSet | Kind::Unknown => {
            let mut single = Message::default();
            series.samples.iter().for_each(|sample| single.double(1, sample.value));
            single
        }
    };
    metric.message(field, &value);
    if let Some(at) = at {
        metric.varint(6, at.as_millisecond().cast_unsigned());
    }
    metric
}

/// A `Summary` or a `Histogram`: a count, a sum, and what is told apart by a label.
fn many(family: &Family, label: &str, series: &Series<'_>) -> Message {
    let mut message = Message::default();
    for sample in &series.samples {
        let suffix = sample.name.strip_prefix(family.name.as_str());
        let at = sample.labels.get(label).and_then(|text| text.parse::<f64>().ok());
        match (suffix, at) {
            (Some("_count" | "_gcount"), _) if series.native.is_none() => {
                message.varint(1, whole(sample.value));
            }
            (Some("_sum" | "_gsum"), _) if series.native.is_none() => message.double(2, sample.value),
            (Some(_), Some(at)) => {
                let mut one = Message::default();
                if label == "le" {
                    one.varint(1, whole(sample.value));
                    one.double(2, at);
                } else {
                    one.double(1, at);
                    one.double(2, sample.value);
                }
                message.message(3, &one);
            }
            _ => {}
        }
    }
    if let Some(native) = series.native {
        native.expose(&mut message);
    }
    message
}

/// A count, which text has as any number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates, as a count may")]
fn whole(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    /// A message as others show one: `field:value`, a message in braces, and bytes that are none as numbers.
    fn shown(mut bytes: &[u8]) -> Option<String> {
        let mut parts = Vec::new();
        while !bytes.is_empty() {
            let key = take(&mut bytes)?;
            let value = match key & 7 {
                0 => take(&mut bytes)?.to_string(),
                1 => {
                    let (eight, rest) = bytes.split_at_checked(8)?;
                    bytes = rest;
                    format!("{:?}", f64::from_le_bytes(eight.try_into().ok()?))
                }
                2 => {
                    let len = usize::try_from(take(&mut bytes)?).ok()?;
                    let (inner, rest) = bytes.split_at_checked(len)?;
                    bytes = rest;
                    let text = std::str::from_utf8(inner).ok();
                    let plain = text.filter(|text| text.chars().all(|c| c.is_ascii_graphic() || c == ' '));
                    let message =
                        || shown(inner).map_or_else(|| format!("{inner:?}"), |it| format!("{{{it}}}"));
                    plain.map_or_else(message, |text| format!("{text:?}"))
                }
                _ => return None,
            };
            parts.push(format!("{}:{value}", key >> 3));
        }
        Some(parts.join(" "))
    }

    fn take(bytes: &mut &[u8]) -> Option<u64> {
        let (mut value, mut shift) = (0, 0);
        loop {
            let (byte, rest) = bytes.split_first()?;
            *bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
    }

    fn page(text: &str, natives: &[Measured]) -> Vec<String> {
        let page = print(&parse(text, Dialect::OpenMetrics).unwrap(), natives);
        let mut rest = page.as_slice();
        let mut families = Vec::new();
        while !rest.is_empty() {
            let len = usize::try_from(take(&mut rest).unwrap()).unwrap();
            let (family, behind) = rest.split_at(len);
            rest = behind;
            families.push(shown(family).unwrap());
        }
        families
    }

    #[test]
    fn every_kind_is_printed_as_its_message() {
        let text = "# TYPE sent counter\n# HELP sent what was sent\nsent_total{to=\"here\"} 3 12.5\n\
                    # TYPE warm gauge\nwarm -1.5\n\
                    # TYPE slow summary\nslow{quantile=\"0.5\"} 2.0\nslow_count 4\nslow_sum 9.0\n\
                    # TYPE took histogram\ntook_bucket{le=\"0.5\"} 1\ntook_bucket{le=\"+Inf\"} 2\ntook_count 2\ntook_sum 1.25\n\
                    # TYPE built info\nbuilt_info{version=\"one\"} 1\n\
                    # EOF\n";
        insta::assert_snapshot!(page(text, &[]).join("\n"), @r#"
        1:"sent_total" 2:"what was sent" 3:0 4:{1:{1:"to" 2:"here"} 3:{1:3.0} 6:12500}
        1:"warm" 3:1 4:{2:{1:-1.5}}
        1:"slow" 3:2 4:{4:{3:{1:0.5 2:2.0} 1:4 2:9.0}}
        1:"took" 3:4 4:{7:{3:{1:1 2:0.5} 3:{1:2 2:inf} 1:2 2:1.25}}
        1:"built_info" 3:1 4:{1:{1:"version" 2:"one"} 2:{1:1.0}}
        "#);
    }

    #[test]
    fn a_native_histogram_stands_with_its_classic_buckets() {
        let text = "# TYPE took histogram\ntook_bucket{le=\"+Inf\"} 3\ntook_count 3\ntook_sum 4.0\n# EOF\n";
        let measured =
            |labels| Measured { family: "took".to_owned(), labels, native: Native::of([(1.0, 2), (2.0, 1)]) };
        let alone = Labels::from([("of".to_owned(), "another".to_owned())]);
        let natives = [measured(Labels::new()), measured(alone)];
        let native = "1:3 2:4.0 5:10 6:2.938735877055719e-39 7:0 12:{1:0 2:1} 12:{1:62 2:1} 13:[4, 1]";
        let wanted = format!(
            "1:\"took\" 3:4 4:{{7:{{3:{{1:3 2:inf}} {native}}}}} 4:{{1:{{1:\"of\" 2:\"another\"}} 7:{{{native}}}}}"
        );
        assert_eq!(page(text, &natives), [wanted]);
    }
}
