//! What a stand-in exposes to Prometheus.

use std::collections::HashMap;

use super::written::{
    Counted, Entries, Facet, FamilyFile, FamilyType, Followed, Observed, SeriesFile, SpreadFile,
};
use super::{Findings, Spread};
use crate::exposition::{Kind, Labels};
use crate::finding::{Code, Finding};
use crate::source::{At, Place};
use crate::units::Rate;

/// A metric family and what moves it.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// Its full name.
    pub name: String,
    /// Counter, gauge or histogram; agrees with what moves it.
    pub kind: Kind,
    /// Its help text; may be empty.
    pub help: String,
    /// What moves it.
    pub moved: Moved,
}

/// What moves a family.
#[derive(Debug, Clone, PartialEq)]
pub enum Moved {
    /// A counter of what is served.
    Counts {
        /// What is counted.
        what: Counted,
        /// Labels on every series.
        labels: Labels,
        /// Labels taken from what is served.
        by: Vec<Facet>,
    },
    /// A histogram of what is served, in seconds.
    Observes {
        /// What is observed.
        what: Observed,
        /// Labels on every series.
        labels: Labels,
        /// Labels taken from what is served.
        by: Vec<Facet>,
        /// Upper bounds, rising, without the infinite one.
        buckets: Vec<f64>,
    },
    /// A gauge of what there is now.
    Follows {
        /// What it is the number of.
        what: Followed,
        /// Labels on every series.
        labels: Labels,
        /// Labels taken from what is served.
        by: Vec<Facet>,
    },
    /// Series that go their own way.
    Declared(Vec<Series>),
}

/// A series that nothing which is served moves.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// How it goes.
    pub course: Course,
}

/// How a declared series goes.
#[derive(Debug, Clone, PartialEq)]
pub enum Course {
    /// It stays.
    Stays(f64),
    /// It grows steadily, in whole steps.
    Grows {
        /// Its value at the start.
        from: f64,
        /// How fast.
        rate: Rate,
    },
    /// A histogram fills steadily.
    Fills {
        /// How what is observed is spread.
        spread: Spread,
        /// How often it is observed.
        rate: Rate,
        /// Upper bounds, rising, without the infinite one.
        buckets: Vec<f64>,
    },
}

/// The bounds that Prometheus' own client libraries have for seconds.
const SECONDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// A histogram has at most this many bounds.
const MOST_BUCKETS: usize = 200;

pub(super) fn check(written: Vec<(At<String>, At<FamilyFile>)>, findings: &mut Findings) -> Vec<Family> {
    let mut taken: HashMap<String, Place> = HashMap::new();
    let mut families = Vec::new();
    for (name, file) in written {
        if let Err(finding) = metric_name(&name) {
            findings.add(finding);
        }
        let suffixes: &[&str] = match file.kind.value {
            FamilyType::Histogram => &["", "_bucket", "_sum", "_count"],
            FamilyType::Counter | FamilyType::Gauge => &[""],
        };
        for suffix in suffixes {
            let sample = format!("{name}{suffix}");
            if let Some(first) = taken.get(&sample) {
                let title = format!("`{sample}` belongs to two families");
                let finding = Finding::new(Code::ProfileMetric, name.place, title);
                findings.add(finding.also(*first, "the other is here"));
            }
            taken.insert(sample, name.place);
        }
        families.extend(family(name, file, findings));
    }
    families
}

fn family(name: At<String>, file: At<FamilyFile>, findings: &mut Findings) -> Option<Family> {
    let At { value: file, place } = file;
    let kind = match file.kind.value {
        FamilyType::Counter => Kind::Counter,
        FamilyType::Gauge => Kind::Gauge,
        FamilyType::Histogram => Kind::Histogram,
    };
    let help = file.help.clone().unwrap_or_default();
    let movement = findings.take(one_movement(&file, place))?;
    let moved = match movement {
        Movement::Served(served) => {
            // Only what moves it decides whether the rest fits.
            findings.take(agree(&file, served))?;
            served_family(file, served, findings)
        }
        Movement::Declared => declared_family(file, place, findings),
    };
    Some(Family { name: name.value, kind, help, moved })
}

/// Which of the keys that move a family is there.
enum Movement {
    Served(Served),
    Declared,
}

/// A key that ties a family to what is served.
#[derive(Clone, Copy)]
enum Served {
    Counts(Counted),
    Observes(Observed),
    Follows(Followed),
}

/// The one thing that moves a family.
fn one_movement(file: &FamilyFile, family: Place) -> Result<Movement, Finding> {
    let declared = [
        file.value.map(|written| written.place),
        file.rate.map(|written| written.place),
        file.spread.as_ref().map(|written| written.place),
    ];
    let all = [
        file.counts.map(|written| (Movement::Served(Served::Counts(written.value)), written.place)),
        file.observes.map(|written| (Movement::Served(Served::Observes(written.value)), written.place)),
        file.follows.map(|written| (Movement::Served(Served::Follows(written.value)), written.place)),
        file.series.as_ref().map(|written| (Movement::Declared, written.place)),
        declared.into_iter().flatten().next().map(|place| (Movement::Declared, place)),
    ];
    let mut all = all.into_iter().flatten();
    let help = match file.kind.value {
        FamilyType::Counter => "a counter has `counts`, or `value` and `rate`",
        FamilyType::Gauge => "a gauge has `follows` or `value`",
        FamilyType::Histogram => "a histogram has `observes`, or `spread` and `rate`",
    };
    let Some((movement, first)) = all.next() else {
        return Err(Finding::new(Code::ProfileMetric, family, "nothing gives this family a value").help(help));
    };
    match all.next() {
        None => Ok(movement),
        Some((_, second)) => {
            let title = "two things move this family";
            let finding = Finding::new(Code::ProfileMetric, second, title).label("the second");
            Err(finding.also(first, "the first").help(help))
        }
    }
}

/// Whether type, labels and buckets agree with what is served.
fn agree(file: &FamilyFile, served: Served) -> Result<(), Finding> {
    let (key, wanted, facets): (_, _, &[Facet]) = match served {
        Served::Counts(Counted::Requests | Counted::Errors) => {
            ("counts", FamilyType::Counter, &[Facet::Method, Facet::Route, Facet::Status])
        }
        Served::Counts(Counted::Connections | Counted::MessagesSent | Counted::MessagesReceived) => {
            ("counts", FamilyType::Counter, &[Facet::Route])
        }
        Served::Observes(Observed::Latency) => {
            ("observes", FamilyType::Histogram, &[Facet::Method, Facet::Route, Facet::Status])
        }
        Served::Follows(Followed::InFlight) => ("follows", FamilyType::Gauge, &[Facet::Method, Facet::Route]),
        Served::Follows(Followed::Connections) => ("follows", FamilyType::Gauge, &[Facet::Route]),
    };
    if file.kind.value != wanted {
        let title = format!("`{key}` makes a {}, not a {}", wanted.name(), file.kind.value.name());
        return Err(Finding::new(Code::ProfileMetric, file.kind.place, title));
    }
    let by = file.by.iter().flat_map(|by| &by.value);
    for (at, facet) in by.enumerate() {
        let name = facet.label();
        let title = if !facets.contains(&facet.value) {
            format!("what this family is moved by has no `{name}`")
        } else if file.by.iter().flat_map(|by| &by.value).take(at).any(|other| other.value == facet.value) {
            format!("`{name}` stands here twice")
        } else if file.labels.0.iter().any(|(label, _)| label.value == name) {
            format!("the label `{name}` has a fixed value already")
        } else {
            continue;
        };
        return Err(Finding::new(Code::ProfileMetric, facet.place, title));
    }
    Ok(())
}

fn served_family(file: FamilyFile, served: Served, findings: &mut Findings) -> Moved {
    let labels = labels(&file.labels, &Labels::new(), findings);
    let buckets = buckets(&file, findings);
    let by = file.by.map(|by| by.value.into_iter().map(|facet| facet.value).collect()).unwrap_or_default();
    match served {
        Served::Counts(what) => Moved::Counts { what, labels, by },
        Served::Follows(what) => Moved::Follows { what, labels, by },
        Served::Observes(what) => {
            Moved::Observes { what, labels, by, buckets: buckets.unwrap_or_else(|| SECONDS.to_vec()) }
        }
    }
}

fn declared_family(file: FamilyFile, place: Place, findings: &mut Findings) -> Moved {
    if let Some(by) = &file.by {
        let title = "`by` takes labels from what is served, and this family is declared";
        findings.add(Finding::new(Code::ProfileMetric, by.place, title).help("write `labels` or `series`"));
    }
    let buckets = buckets(&file, findings);
    let common = labels(&file.labels, &Labels::new(), findings);
    let alone =
        SeriesFile { labels: Entries::default(), value: file.value, rate: file.rate, spread: file.spread };
    let written = file.series.map_or_else(|| vec![At::new(alone, place)], |series| series.value);
    let mut taken: HashMap<Labels, Place> = HashMap::new();
    let mut all = Vec::new();
    for one in written {
        let labels = labels(&one.labels, &common, findings);
        if let Some(first) = taken.insert(labels.clone(), one.place) {
            let finding = Finding::new(Code::ProfileMetric, one.place, "two series have the same labels");
            findings.add(finding.label("the second").also(first, "the first"));
        }
        let course = findings.take(course(&one, file.kind.value, buckets.as_deref()));
        all.extend(course.map(|course| Series { labels, course }));
    }
    Moved::Declared(all)
}

fn course(series: &At<SeriesFile>, kind: FamilyType, buckets: Option<&[f64]>) -> Result<Course, Finding> {
    let wrong = |place, title: &str| Err(Finding::new(Code::ProfileMetric, place, title));
    match (kind, series.value.value, series.rate, &series.spread) {
        (FamilyType::Gauge, Some(value), None, None) => Ok(Course::Stays(value.value)),
        (FamilyType::Gauge, _, Some(rate), _) => wrong(rate.place, "a gauge does not grow: it has a `value`"),
        (FamilyType::Counter, Some(from), _, None) if from.value < 0.0 || !from.value.is_finite() => {
            wrong(from.place, "a counter starts at zero or above")
        }
        (FamilyType::Counter, from, Some(rate), None) => {
            Ok(Course::Grows { from: from.map_or(0.0, |from| from.value), rate: rate.value })
        }
        (FamilyType::Counter, Some(from), None, None) => Ok(Course::Stays(from.value)),
        (FamilyType::Counter | FamilyType::Gauge, _, _, Some(spread)) => {
            wrong(spread.place, "a `spread` makes a histogram")
        }
        (FamilyType::Histogram, None, Some(rate), Some(written)) => {
            let SpreadFile { p50, p99, max } = written.value;
            let spread = Spread::through(p50, p99, max)
                .map_err(|why| Finding::new(Code::ProfileSpread, written.place, why))?;
            let buckets = buckets.map_or_else(|| around(p50, p99), <[f64]>::to_vec);
            Ok(Course::Fills { spread, rate: rate.value, buckets })
        }
        (FamilyType::Histogram, Some(value), _, _) => {
            wrong(value.place, "a histogram has no `value`: it has a `spread` and a `rate`")
        }
        (FamilyType::Histogram, None, _, _) => {
            wrong(series.place, "a declared histogram has a `spread` and a `rate`")
        }
        (FamilyType::Gauge, None, None, None) => wrong(series.place, "this series has no `value`"),
        (FamilyType::Counter, None, None, None) => {
            wrong(series.place, "this series has neither `value` nor `rate`")
        }
    }
}

/// Bounds of 1, 2.5 and 5 in each power of ten from below the median to above the tail.
fn around(p50: f64, p99: f64) -> Vec<f64> {
    let power = |value: f64| format!("{value:e}").rsplit('e').next().and_then(|power| power.parse().ok());
    let (below, above): (i32, i32) = (power(p50).unwrap_or(0) - 1, power(p99).unwrap_or(0) + 1);
    let powers = below..=above.min(below + 40);
    let bounds = powers.flat_map(|power| ["1", "2.5", "5"].map(|step| format!("{step}e{power}")));
    bounds.filter_map(|bound| bound.parse().ok()).filter(|bound: &f64| bound.is_normal()).collect()
}

/// The bounds as written, where they are.
fn buckets(file: &FamilyFile, findings: &mut Findings) -> Option<Vec<f64>> {
    let written = file.buckets.as_ref()?;
    let title = if file.kind.value != FamilyType::Histogram {
        "only a histogram has buckets"
    } else if written.is_empty() || written.len() > MOST_BUCKETS {
        "a histogram has between 1 and 200 bounds; the infinite one is always there"
    } else if written.iter().any(|bound| !bound.is_finite()) {
        "a bound is a finite number; the infinite one is always there"
    } else if written.windows(2).any(|pair| pair[0] >= pair[1]) {
        "the bounds of buckets rise"
    } else {
        return Some(written.value.clone());
    };
    findings.add(Finding::new(Code::ProfileMetric, written.place, title));
    None
}

fn labels(written: &Entries<At<String>>, common: &Labels, findings: &mut Findings) -> Labels {
    let mut all = common.clone();
    for (name, value) in &written.0 {
        let wrong = if !is_name(name, "") {
            format!("`{name}` is not a label name: letters, digits and `_`, no digit first")
        } else if name.starts_with("__") || matches!(name.as_str(), "le" | "quantile") {
            format!("the label `{name}` belongs to Prometheus")
        } else if common.contains_key(name.as_str()) {
            format!("every series of this family has the label `{name}` already")
        } else {
            all.insert(name.value.clone(), value.value.clone());
            continue;
        };
        findings.add(Finding::new(Code::ProfileMetric, name.place, wrong));
    }
    all
}

fn metric_name(name: &At<String>) -> Result<(), Finding> {
    if is_name(name, ":") {
        return Ok(());
    }
    let title = format!("`{name}` is not a metric name: letters, digits, `_` and `:`, no digit first");
    Err(Finding::new(Code::ProfileMetric, name.place, title))
}

/// Whether a name is made of letters, digits, `_` and what else is `allowed`.
fn is_name(name: &str, allowed: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || allowed.contains(c))
}

impl FamilyType {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Facet {
    /// The label it becomes.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Route => "route",
            Self::Status => "status",
        }
    }
}
