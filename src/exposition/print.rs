//! Families as a page.

use std::borrow::Cow;

use jiff::Timestamp;

use super::{Dialect, Family, Kind, Sample};

/// Prints families as a page of `dialect`.
///
/// Samples keep their names; a family is called, and typed, as the dialect wants it for such samples. Left
/// out is what Prometheus text has no place for: units, and the `_created` of a counter, histogram or summary.
#[must_use]
pub fn print(families: &[Family], dialect: Dialect) -> String {
    let mut page = String::new();
    for family in families {
        let (name, word) = heading(family, dialect);
        let help = escaped(&family.help, dialect == Dialect::OpenMetrics);
        if let Some(word) = word {
            describe(&mut page, "TYPE", &name, word);
        }
        let stem = name.strip_suffix(family.unit.as_str());
        if dialect == Dialect::OpenMetrics && stem.is_some_and(|stem| stem.ends_with('_')) {
            describe(&mut page, "UNIT", &name, &family.unit);
        }
        if !help.is_empty() {
            describe(&mut page, "HELP", &name, &help);
        }
        for sample in &family.samples {
            if dialect == Dialect::OpenMetrics || !is_created(family, sample) {
                line(&mut page, sample, dialect);
            }
        }
    }
    if dialect == Dialect::OpenMetrics {
        page.push_str("# EOF\n");
    }
    page
}

/// What the dialect calls the family and its type, if it has a word for it.
pub(super) fn heading(family: &Family, dialect: Dialect) -> (Cow<'_, str>, Option<&'static str>) {
    let name = family.name.as_str();
    let suffixed = |suffix: &str| {
        let mut samples = family.samples.iter();
        samples.any(|sample| sample.name.strip_prefix(name) == Some(suffix))
    };
    let (name, kind) = match (dialect, family.kind) {
        (Dialect::Text, Kind::Counter) if suffixed("_total") => {
            (format!("{name}_total").into(), Kind::Counter)
        }
        (Dialect::Text, Kind::Info) => (format!("{name}_info").into(), Kind::Gauge),
        (Dialect::Text, Kind::StateSet) => (name.into(), Kind::Gauge),
        // In Text a counter may have any name; without `_total` it is none to OpenMetrics.
        (Dialect::OpenMetrics, Kind::Counter) if !suffixed("_total") => match name.strip_suffix("_total") {
            Some(stem) => (stem.into(), Kind::Counter),
            None if suffixed("") => (name.into(), Kind::Unknown),
            None => (name.into(), Kind::Counter),
        },
        (_, kind) => (name.into(), kind),
    };
    (name, kind.word(dialect))
}

pub(super) fn is_created(family: &Family, sample: &Sample) -> bool {
    family.kind.suffixes().contains(&"_created")
        && sample.name.strip_prefix(family.name.as_str()) == Some("_created")
}

fn describe(page: &mut String, keyword: &str, name: &str, text: &str) {
    let name = if is_bare(name, ":") { Cow::Borrowed(name) } else { quoted(name).into() };
    for part in ["# ", keyword, " ", &name, " ", text, "\n"] {
        page.push_str(part);
    }
}

fn line(page: &mut String, sample: &Sample, dialect: Dialect) {
    let bare = is_bare(&sample.name, ":");
    let mut inside: Vec<String> = if bare { Vec::new() } else { vec![quoted(&sample.name)] };
    inside.extend(sample.labels.iter().map(|(name, value)| {
        let name = if is_bare(name, "") { Cow::Borrowed(name.as_str()) } else { quoted(name).into() };
        format!("{name}={}", quoted(value))
    }));
    if bare {
        page.push_str(&sample.name);
    }
    if !inside.is_empty() {
        page.push('{');
        page.push_str(&inside.join(","));
        page.push('}');
    }
    page.push(' ');
    page.push_str(&number(sample.value));
    if let Some(at) = sample.at {
        page.push(' ');
        page.push_str(&timestamp(at, dialect));
    }
    page.push('\n');
}

/// Whether a name needs no quotes, where it may have `more` than letters, digits and underscores.
fn is_bare(name: &str, more: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || more.contains(c))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text, true))
}

fn escaped(text: &str, quotes: bool) -> String {
    let mut escaped = text.replace('\\', r"\\").replace('\n', r"\n");
    if quotes {
        escaped = escaped.replace('"', "\\\"");
    }
    escaped
}

/// The shortest text that reads as `value` again.
fn number(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        "NaN".into()
    } else if size.is_infinite() {
        if value > 0.0 { "+Inf".into() } else { "-Inf".into() }
    } else if size > 0.0 && !(1e-5..1e16).contains(&size) {
        format!("{value:e}")
    } else {
        value.to_string()
    }
}

fn timestamp(at: Timestamp, dialect: Dialect) -> String {
    let millis = at.as_millisecond();
    match dialect {
        Dialect::Text => millis.to_string(),
        Dialect::OpenMetrics => {
            let sign = if millis < 0 { "-" } else { "" };
            let millis = millis.unsigned_abs();
            format!("{sign}{}.{:03}", millis / 1000, millis % 1000)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::super::{Labels, parse};
    use super::Dialect::{OpenMetrics, Text};
    use super::*;

    /// Samples that a family of this name and type may have in this dialect; `n` keeps their series apart.
    fn samples(name: &str, kind: Kind, dialect: Dialect) -> impl Strategy<Value = Vec<Sample>> + use<> {
        let suffixes: Vec<&str> = match (dialect, kind) {
            (Text, Kind::Histogram) => vec!["_bucket", "_count", "_sum"],
            (Text, Kind::Summary) => vec!["", "_count", "_sum"],
            (Text, _) => vec![""],
            (OpenMetrics, _) => kind.suffixes().to_vec(),
        };
        let special = match kind {
            Kind::Histogram | Kind::GaugeHistogram => Some(("le".to_owned(), "0.5")),
            Kind::Summary => Some(("quantile".to_owned(), "0.5")),
            Kind::StateSet => Some((name.to_owned(), "on")),
            Kind::Counter | Kind::Gauge | Kind::Info | Kind::Unknown => None,
        };
        let value = match kind {
            Kind::Gauge | Kind::Unknown => proptest::num::f64::ANY.boxed(),
            Kind::Info | Kind::StateSet => Just(1.0).boxed(),
            Kind::Counter | Kind::Histogram | Kind::GaugeHistogram | Kind::Summary => {
                any::<u32>().prop_map(f64::from).boxed()
            }
        };
        let at = proptest::option::of(-377_705_023_201_000i64..253_402_207_200_000)
            .prop_map(|at| at.map(|millis| Timestamp::from_millisecond(millis).unwrap()));
        let labels = btree_map(prop_oneof!["[a-z]{1,3}", "\\PC{1,4}"], any::<String>(), 0..3);
        let name = name.to_owned();
        vec((select(suffixes), labels, value, at), 0..5).prop_map(move |drawn| {
            let sample = |(n, (suffix, mut labels, value, at)): (usize, (&str, Labels, f64, _))| {
                labels.extend([("nth".to_owned(), n.to_string())]);
                labels.extend(special.clone().map(|(label, value)| (label, value.to_owned())));
                Sample { name: format!("{name}{suffix}"), labels, value, at }
            };
            drawn.into_iter().enumerate().map(sample).collect()
        })
    }

    /// Families that this dialect can say in full.
    fn families(dialect: Dialect) -> impl Strategy<Value = Vec<Family>> {
        let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| kind.word(dialect).is_some()).collect();
        let family = (select(kinds), prop_oneof!["[a-z:]{0,4}", "\\PC{0,4}"], any::<String>(), any::<bool>());
        vec(family, 0..5).prop_flat_map(move |drawn| {
            let family = |(n, (kind, name, help, unit)): (usize, (Kind, String, String, bool))| {
                let unit = unit && dialect == OpenMetrics && !matches!(kind, Kind::Info | Kind::StateSet);
                let unit = if unit { "seconds" } else { "" };
                let name = format!("f{n}{name}_{}", if unit.is_empty() { "x" } else { unit });
                samples(&name, kind, dialect).prop_map(move |samples| Family {
                    name: name.clone(),
                    kind,
                    help: help.clone(),
                    unit: unit.to_owned(),
                    samples,
                })
            };
            drawn.into_iter().enumerate().map(family).collect::<Vec<_>>()
        })
    }

    proptest! {
        // NaN is not equal to itself, but is shown alike.
        #[test]
        fn a_text_page_survives_printing(families in families(Text)) {
            let again = parse(&print(&families, Text), Text).unwrap();
            prop_assert_eq!(format!("{again:?}"), format!("{families:?}"));
        }

        #[test]
        fn an_openmetrics_page_survives_printing(families in families(OpenMetrics)) {
            let again = parse(&print(&families, OpenMetrics), OpenMetrics).unwrap();
            prop_assert_eq!(format!("{again:?}"), format!("{families:?}"));
        }

        #[test]
        fn text_reads_whatever_openmetrics_can_say(families in families(OpenMetrics)) {
            let page = print(&families, Text);
            prop_assert!(parse(&page, Text).is_ok(), "{page}");
        }
    }
}
