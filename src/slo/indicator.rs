//! What is measured, and where its numbers come from.

use schemars::JsonSchema;
use serde::Deserialize;

use super::metadata::check_description;
use super::reference::Ref;
use super::written::{
    DataSourceSpec, FiredrillSpec, InlineIndicator, MetricSourceWritten, MetricWritten, QuantityWritten,
    RatioWritten, SliSpec,
};
use crate::finding::{Code, Finding, Findings, nearest};
use crate::source::{At, Place};
use crate::yaml::{Json, Kind as NodeKind, Node, read};

/// Where one number comes from.
#[derive(Debug, Clone)]
pub enum Query {
    /// Samples that firedrill took.
    Firedrill {
        /// The SLI they feed.
        sli: At<String>,
        /// Which of them.
        count: Count,
    },
    /// A Prometheus, or what speaks like one.
    Prometheus {
        /// `PromQL`.
        query: At<String>,
        /// Which Prometheus, where the file says.
        source: Option<DataSource>,
    },
    /// A source that firedrill does not know.
    Other {
        /// What the file calls it.
        source_type: At<String>,
    },
}

/// Which samples of an SLI are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Count {
    /// Those that were as expected.
    Good,
    /// Those that were not.
    Bad,
    /// All.
    Valid,
}

impl Count {
    /// The name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Valid => "valid",
        }
    }
}

/// Which events a ratio counts against all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The good ones.
    Good,
    /// The bad ones.
    Bad,
}

/// What a ratio that somebody else computed is a ratio of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawRate {
    /// Good events.
    Success,
    /// Bad events.
    Failure,
}

/// Where numbers come from, as a document of its own.
#[derive(Debug, Clone)]
pub struct DataSource {
    /// Its name.
    pub name: At<String>,
    /// `prometheus`, `firedrill`, or another tool's.
    pub source_type: At<String>,
    /// How to reach it.
    pub connection: Option<Json>,
}

/// An indicator whose data sources are still names.
#[derive(Debug, Clone)]
pub(super) enum Indicator {
    Ratio { counter: bool, part: Part, counted: Metric, total: Metric },
    Raw { metric: Metric, rate: RawRate },
    Threshold(Metric),
}

/// A metric whose data source is still a name.
#[derive(Debug, Clone)]
pub(super) struct Metric {
    /// Where the whole of it stands.
    place: Place,
    pub(super) source: Option<At<String>>,
    source_type: Option<At<String>>,
    spec: At<Json>,
}

/// What a metric says it is, before it is known whether that fits where it stands.
#[derive(Debug)]
pub(super) enum Said {
    Count { sli: At<String>, count: At<Count> },
    Latency { sli: At<String>, place: Place },
    Prometheus { query: At<String>, source: Option<DataSource> },
    Other { source_type: At<String> },
}

impl DataSourceSpec {
    pub(super) fn check(self, name: At<String>, findings: &mut Findings) -> DataSource {
        check_description(self.description.as_ref(), findings);
        DataSource { name, source_type: self.source_type, connection: self.connection_details }
    }
}

/// Checks an indicator that is written where it is used, or named.
pub(super) fn check_indicator(
    inline: Option<At<InlineIndicator>>,
    named: Option<At<String>>,
    findings: &mut Findings,
) -> Option<Ref<Option<Indicator>>> {
    match (inline, named) {
        (Some(inline), Some(named)) => {
            let title = "`indicator` and `indicatorRef` exclude each other";
            let finding = Finding::new(Code::SloIndicator, named.place, title);
            findings.add(finding.also(inline.place, "the indicator is given here"));
            Some(Ref::Named(named))
        }
        (Some(inline), None) => {
            let InlineIndicator { metadata, spec } = inline.value;
            metadata.check(findings);
            Some(Ref::Inline(spec.value.check(spec.place, findings)))
        }
        (None, named) => named.map(Ref::Named),
    }
}

impl SliSpec {
    pub(super) fn check(self, place: Place, findings: &mut Findings) -> Option<Indicator> {
        check_description(self.description.as_ref(), findings);
        match (self.threshold_metric, self.ratio_metric) {
            (Some(metric), None) => Some(Indicator::Threshold(metric.value.check())),
            (None, Some(ratio)) => findings.take(ratio.value.check(ratio.place)),
            (Some(metric), Some(ratio)) => {
                let title = "`thresholdMetric` and `ratioMetric` exclude each other";
                let finding = Finding::new(Code::SloIndicator, ratio.place, title);
                findings.add(finding.also(metric.place, "the threshold metric is given here"));
                None
            }
            (None, None) => {
                let finding = Finding::new(Code::SloIndicator, place, "the indicator measures nothing");
                findings
                    .add(finding.help("add `ratioMetric: { good: …, total: … }` or `thresholdMetric: …`"));
                None
            }
        }
    }
}

impl RatioWritten {
    fn check(self, place: Place) -> Result<Indicator, Finding> {
        let exclude = |this: &str, one: Place, that: &str, other: Place| {
            let finding =
                Finding::new(Code::SloIndicator, one, format!("`{this}` and `{that}` exclude each other"));
            Err(finding.also(other, format!("`{that}` is given here")))
        };
        match (self.good, self.bad, self.total, self.raw) {
            (Some(good), Some(bad), _, _) => exclude("bad", bad.place, "good", good.place),
            (Some(events), None, _, Some(raw)) => exclude("raw", raw.place, "good", events.place),
            (None, Some(events), _, Some(raw)) => exclude("raw", raw.place, "bad", events.place),
            (None, None, Some(total), Some(raw)) => exclude("raw", raw.place, "total", total.place),
            (None, None, None, Some(raw)) => match self.raw_type {
                Some(rate) => Ok(Indicator::Raw { metric: raw.value.check(), rate: *rate }),
                None => Err(Finding::new(Code::SloIndicator, raw.place, "a `raw` ratio needs its `rawType`")
                    .help("add `rawType: success` or `rawType: failure`")),
            },
            (good, bad, Some(total), None) => {
                let part = if good.is_some() { Part::Good } else { Part::Bad };
                let counted = good.or(bad).ok_or_else(|| {
                    Finding::new(Code::SloIndicator, total.place, "`total` needs `good` or `bad` beside it")
                })?;
                let (counted, total) = (counted.value.check(), total.value.check());
                Ok(Indicator::Ratio { counter: self.counter, part, counted, total })
            }
            (good, bad, None, None) => {
                let place = good.or(bad).map_or(place, |events| events.place);
                Err(Finding::new(Code::SloIndicator, place, "a ratio needs its `total`")
                    .help("write `good` or `bad` with `total`, or `raw` with `rawType`"))
            }
        }
    }
}

impl MetricWritten {
    fn check(self) -> Metric {
        let At { value: MetricSourceWritten { metric_source_ref: source, source_type, spec }, place } =
            self.metric_source;
        Metric { place, source, source_type, spec }
    }
}

impl Metric {
    /// What the metric says, once its data source is found.
    pub(super) fn read(&self, source: Option<&DataSource>) -> Result<Said, Vec<Finding>> {
        let source_type = self.agree(source).map_err(|finding| vec![finding])?;
        let Json(node) = &self.spec.value;
        let is_map = matches!(&node.kind, NodeKind::Map(entries) if !entries.is_empty());
        if !is_map {
            let title = "a metric source's `spec` has at least one key";
            return Err(vec![Finding::new(Code::SloMetricSource, self.spec.place, title)]);
        }
        match source_type.value.to_lowercase().as_str() {
            "firedrill" => said_by_firedrill(node),
            "prometheus" => promql(node)
                .map(|query| Said::Prometheus { query, source: source.cloned() })
                .map_err(|finding| vec![finding]),
            _ => Ok(Said::Other { source_type }),
        }
    }

    /// The type that metric and data source agree on.
    fn agree(&self, source: Option<&DataSource>) -> Result<At<String>, Finding> {
        match (&self.source_type, source) {
            (Some(own), Some(source)) if !own.eq_ignore_ascii_case(&source.source_type) => {
                let title = format!("the data source `{}` is no `{own}`", source.name);
                Err(Finding::new(Code::SloMetricSource, own.place, title)
                    .also(source.source_type.place, "its type is given here"))
            }
            (Some(own), _) => Ok(own.clone()),
            (None, Some(source)) => Ok(source.source_type.clone()),
            (None, None) => {
                let title = "a metric source needs a `type`, or a `metricSourceRef` that has one";
                Err(Finding::new(Code::SloMetricSource, self.place, title)
                    .help("write `type: firedrill` or `type: prometheus`"))
            }
        }
    }
}

fn said_by_firedrill(node: &Node) -> Result<Said, Vec<Finding>> {
    let FiredrillSpec { sli, count, quantity } = read(node)?;
    let said = match (count, quantity) {
        (Some(count), None) => Ok(Said::Count { sli, count }),
        (None, Some(At { value: QuantityWritten::Latency, place })) => Ok(Said::Latency { sli, place }),
        (Some(count), Some(quantity)) => {
            let title = "`count` and `quantity` exclude each other";
            Err(Finding::new(Code::SloMetricSource, quantity.place, title)
                .also(count.place, "the count is given here"))
        }
        (None, None) => {
            let title = "it is not said what of the SLI is meant";
            Err(Finding::new(Code::SloMetricSource, node.place, title)
                .help("add `count: good`, `count: bad` or `count: valid`, or `quantity: latency`"))
        }
    };
    said.map_err(|finding| vec![finding])
}

/// The query of a Prometheus; keys beside it belong to other tools.
fn promql(node: &Node) -> Result<At<String>, Finding> {
    let query = node.get("query").and_then(|value| Some(At::new(value.scalar()?.trim(), value.place)));
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        return Ok(query.map(str::to_owned));
    }
    let finding = Finding::new(Code::SloMetricSource, node.place, "a metric of Prometheus needs a `query`");
    let NodeKind::Map(entries) = &node.kind else { return Err(finding) };
    let alike = |(key, _): &&(crate::yaml::Key, Node)| nearest(&key.name, ["query"]).is_some();
    Err(match entries.iter().find(alike) {
        Some((key, _)) => Finding { place: key.place, ..finding }.label("write `query: PROMQL`"),
        None => finding.help("write `query: PROMQL`"),
    })
}

impl Said {
    /// As the side of a ratio that counts `wanted`.
    pub(super) fn counting(self, wanted: Count, side: &str) -> Result<Query, Finding> {
        let refuse = |place, what: &str| {
            let title = format!("`{side}` is not {what}");
            Finding::new(Code::SloMetricSource, place, title)
                .help(format!("write `count: {}`", wanted.name()))
        };
        match self {
            Self::Count { sli, count } if *count == wanted => Ok(Query::Firedrill { sli, count: wanted }),
            Self::Count { count, .. } => {
                Err(refuse(count.place, &format!("the count of {} samples", count.name())))
            }
            Self::Latency { place, .. } => Err(refuse(place, "a latency, but a count")),
            Self::Prometheus { query, source } => Ok(Query::Prometheus { query, source }),
            Self::Other { source_type } => Ok(Query::Other { source_type }),
        }
    }

    /// As a ratio that somebody else computed.
    pub(super) fn ready_made(self) -> Result<Query, Finding> {
        match self {
            Self::Count { sli, .. } | Self::Latency { sli, .. } => {
                let title = "firedrill has counts, and no ratio ready-made";
                Err(Finding::new(Code::SloMetricSource, sli.place, title)
                    .help("write `good` and `total` in place of `raw`"))
            }
            Self::Prometheus { query, source } => Ok(Query::Prometheus { query, source }),
            Self::Other { source_type } => Ok(Query::Other { source_type }),
        }
    }
}
