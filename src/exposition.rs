//! What a `/metrics` page says: Prometheus text 0.0.4 and OpenMetrics 1.0 text, read and printed; and its protobuf
//! form with native histograms, printed.

mod line;
mod native;
mod openmetrics;
mod print;
pub mod protobuf;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

pub use native::Native;
pub use print::print;

/// Most series, and most families, that one page may have: a bound on memory, far above what one target
/// should expose.
pub const MOST_SERIES: usize = 200_000;

/// Label names and their values.
pub type Labels = BTreeMap<String, String>;

/// The two text formats a page may be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Prometheus text format 0.0.4, read as leniently as Prometheus itself reads it.
    Text,
    /// OpenMetrics 1.0 text, read as strictly as its specification asks.
    OpenMetrics,
}

impl Dialect {
    /// The dialect a `Content-Type` header names; [`Dialect::Text`] for whatever is not OpenMetrics.
    #[must_use]
    pub fn from_content_type(header: &str) -> Self {
        let media = header.split(';').next().unwrap_or_default().trim();
        if media.eq_ignore_ascii_case("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// The `Content-Type` to send a page of this dialect with.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The type of a metric family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A count that only grows, until a restart.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// Cumulative buckets of what was observed since the start.
    Histogram,
    /// Cumulative buckets of what is there now.
    GaugeHistogram,
    /// Quantiles, a sum and a count.
    Summary,
    /// Labels that say something, with the value 1.
    Info,
    /// One series for each state, each 0 or 1.
    StateSet,
    /// Nobody said; Prometheus text calls it `untyped`.
    Unknown,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Counter,
        Self::Gauge,
        Self::Histogram,
        Self::GaugeHistogram,
        Self::Summary,
        Self::Info,
        Self::StateSet,
        Self::Unknown,
    ];

    /// The kind's name in OpenMetrics and in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
            Self::Unknown => "unknown",
        }
    }

    /// What a sample's name may add to its family's, in OpenMetrics.
    #[must_use]
    pub fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Counter => &["_total", "_created"],
            Self::Histogram => &["_bucket", "_count", "_sum", "_created"],
            Self::GaugeHistogram => &["_bucket", "_gcount", "_gsum"],
            Self::Summary => &["", "_count", "_sum", "_created"],
            Self::Info => &["_info"],
            Self::Gauge | Self::StateSet | Self::Unknown => &[""],
        }
    }

    /// The word a `# TYPE` line of this dialect has for the kind, if it has one.
    fn word(self, dialect: Dialect) -> Option<&'static str> {
        match (dialect, self) {
            (Dialect::Text, Self::Unknown) => Some("untyped"),
            (Dialect::Text, Self::GaugeHistogram | Self::Info | Self::StateSet) => None,
            (Dialect::Text, Self::Counter | Self::Gauge | Self::Histogram | Self::Summary)
            | (Dialect::OpenMetrics, _) => Some(self.name()),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no [`Kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a metric type is `counter`, `gauge`, `histogram`, `gaugehistogram`, `summary`, `info`, `stateset` or `unknown`"
)]
pub struct NoKind;

impl FromStr for Kind {
    type Err = NoKind;

    /// Reads the names of both dialects.
    fn from_str(text: &str) -> Result<Self, NoKind> {
        let named = |kind: &Self| kind.name() == text || kind.word(Dialect::Text) == Some(text);
        Self::ALL.into_iter().find(named).ok_or(NoKind)
    }
}

/// One metric family: what was said about it, and its samples in the order of the page.
///
/// An OpenMetrics counter `requests` has samples `requests_total`; in Prometheus text the family itself
/// is called `requests_total`. [`print()`] turns either into the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// The name without the suffixes its samples add.
    pub name: String,
    /// The type.
    pub kind: Kind,
    /// The help text; empty where there is none.
    pub help: String,
    /// The unit, which only OpenMetrics knows; empty where there is none.
    pub unit: String,
    /// The samples; a family may be declared and have none.
    pub samples: Vec<Sample>,
}

impl Family {
    /// A family without samples, help or unit.
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self { name: name.into(), kind, help: String::new(), unit: String::new(), samples: Vec::new() }
    }

    /// Whether a sample of this name belongs here by OpenMetrics' suffixes.
    fn may_hold(&self, sample: &str) -> bool {
        sample.strip_prefix(self.name.as_str()).is_some_and(|suffix| self.kind.suffixes().contains(&suffix))
    }

    /// The samples called `name` that carry all of `labels`.
    ///
    /// Where `name` is the family's and no sample is called so, as in a histogram, every sample counts.
    pub fn select<'a>(&'a self, name: &'a str, labels: &'a Labels) -> impl Iterator<Item = &'a Sample> {
        let any = name == self.name && self.samples.iter().all(|sample| sample.name != name);
        self.samples.iter().filter(move |sample| (any || sample.name == name) && sample.carries(labels))
    }
}

/// One line of a page: a series and its value. An exemplar is read and forgotten.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The full name, suffix included.
    pub name: String,
    /// The labels, `le` and `quantile` included.
    pub labels: Labels,
    /// The value; may be infinite or not a number.
    pub value: f64,
    /// When it was so, to the millisecond, where the page says.
    pub at: Option<Timestamp>,
}

impl Sample {
    /// Whether the sample has all of `labels`; one that is absent has the empty value, as in Prometheus.
    #[must_use]
    pub fn carries(&self, labels: &Labels) -> bool {
        labels.iter().all(|(name, value)| self.labels.get(name).map_or("", String::as_str) == value)
    }
}

/// The family that `name` speaks of: the family's own name, or that of one of its samples.
///
/// A family that has such a sample comes before one that is called so, and that before one which only
/// could have it: a Go program has a gauge and a counter that share the name `go_memstats_alloc_bytes`.
#[must_use]
pub fn find<'a>(families: &'a [Family], name: &str) -> Option<&'a Family> {
    let mut all = families.iter();
    all.clone()
        .find(|family| family.samples.iter().any(|sample| sample.name == name))
        .or_else(|| all.clone().find(|family| family.name == name))
        .or_else(|| all.find(|family| family.may_hold(name)))
}

/// Why a page cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Malformed {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it; safe to print, whatever the target sent.
    pub what: String,
}

impl Malformed {
    fn new(line: usize, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }
}

/// Reads a page into its families, in the order they first appear.
///
/// # Errors
///
/// The first line that is not of the dialect, or that is one more than [`MOST_SERIES`].
pub fn parse(page: &str, dialect: Dialect) -> Result<Vec<Family>, Malformed> {
    match dialect {
        Dialect::Text => text::parse(page),
        Dialect::OpenMetrics => openmetrics::parse(page),
    }
}

/// Refuses, at `line`, to hold more than [`MOST_SERIES`] of anything.
fn bounded(count: usize, line: usize) -> Result<(), Malformed> {
    if count > MOST_SERIES {
        return Err(Malformed::new(line, format!("more than {MOST_SERIES} series or families")));
    }
    Ok(())
}
