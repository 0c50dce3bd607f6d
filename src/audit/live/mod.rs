//! Rules and dashboards against what a Prometheus really has: nothing is broken, and it is only asked.
//!
//! What has been there within [`RECENTLY`] counts as there, so that a target that has just restarted makes no
//! findings. A metric that comes into being with the first failure may be reported; whoever knows better puts it aside
//! with that reason.

mod asked;
mod expression;
mod join;
mod panel;
mod selector;
mod top;
mod unused;
mod wait;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Mutex;

use self::asked::Asked;
pub use self::wait::wait_for_scrapes;
use super::kinds::Kinds;
use super::{Dashboard, Subject};
use crate::exposition::Labels;
use crate::finding::{Finding, Findings};
use crate::prometheus::answer::{Data, Sample, Value};
use crate::prometheus::{Client, Error, Health, Setup};
use crate::rule::Recorded;
use crate::source::Sources;

/// How long ago a series may have been there last, as PromQL writes it.
const RECENTLY: &str = "1h";

/// A Prometheus, and what is known of it so far.
#[derive(Debug)]
pub struct Live {
    /// `None` where only what was recorded is asked.
    client: Option<Client>,
    /// What each query gave.
    answers: Mutex<BTreeMap<String, Result<Vec<Number>, String>>>,
    seen: Seen,
}

/// What a Prometheus says of itself at once.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Seen {
    /// Every metric.
    names: Vec<String>,
    /// What each family is, as its target says: `counter`, `gauge`, `histogram`.
    kinds: Kinds,
    /// The labels of each target that was scraped.
    targets: Vec<Labels>,
    /// Targets that cannot be scraped, and why.
    down: BTreeMap<String, String>,
    /// What queries gave, where they are not asked.
    answers: BTreeMap<String, Vec<(Labels, f64)>>,
    /// Why queries cannot be evaluated, where they are not asked.
    failures: BTreeMap<String, String>,
}

/// A series at the moment it was asked for.
#[derive(Debug, Clone, PartialEq)]
struct Number {
    labels: Labels,
    value: f64,
}

/// Why nothing could be found out.
#[derive(Debug, thiserror::Error)]
pub enum Unseen {
    /// It cannot even be asked.
    #[error(transparent)]
    Setup(#[from] Setup),
    /// There is no answer.
    #[error(transparent)]
    Prometheus(#[from] Error),
    /// Not everything was scraped that has to be.
    #[error("not every target was scraped within {} s", .0.as_secs())]
    Unscraped(Duration),
    /// It has nothing that rules could be compared with.
    #[error("{0} has scraped no target yet, so nothing can be said of what rules ask it for")]
    Nothing(String),
    /// What was recorded of one is no such record.
    #[error("this is no record of a Prometheus: {0}")]
    Record(String),
}

impl Live {
    /// Looks at what a Prometheus has.
    ///
    /// # Errors
    /// When it does not answer, or has scraped nothing.
    pub async fn look(client: Client) -> Result<Self, Unseen> {
        let targets = client.targets().await?.data.active_targets;
        let (up, others): (Vec<_>, Vec<_>) = targets.into_iter().partition(|one| one.health == Health::Up);
        if up.is_empty() {
            return Err(Unseen::Nothing(client.address().to_owned()));
        }
        let down = others.into_iter().filter(|one| one.health == Health::Down);
        let name = |labels: &Labels, url: &str| labels.get("instance").cloned().unwrap_or(url.to_owned());
        let seen = Seen {
            names: client.label_values("__name__").await?.data,
            kinds: Kinds::of(client.metadata(None).await?.data),
            targets: up.into_iter().map(|target| target.labels).collect(),
            down: down.map(|one| (name(&one.labels, &one.scrape_url), one.last_error)).collect(),
            answers: BTreeMap::new(),
            failures: BTreeMap::new(),
        };
        Ok(Self { client: Some(client), answers: Mutex::default(), seen })
    }

    /// What was recorded of a Prometheus, as JSON; queries without a recorded answer give nothing.
    ///
    /// # Errors
    /// When it is no such record.
    pub fn recorded(json: &str) -> Result<Self, Unseen> {
        let mut seen: Seen = serde_json::from_str(json).map_err(|error| Unseen::Record(error.to_string()))?;
        let answers = std::mem::take(&mut seen.answers).into_iter().map(|(query, series)| {
            let series = series.into_iter().map(|(labels, value)| Number { labels, value });
            (query, Ok(series.collect()))
        });
        let failures = std::mem::take(&mut seen.failures).into_iter().map(|(query, said)| (query, Err(said)));
        let answers = Mutex::new(answers.chain(failures).collect());
        Ok(Self { client: None, answers, seen })
    }

    /// Says that a target will have a family, and of which kind, where it has no series of it yet.
    pub fn describe(&mut self, family: &str, kind: &str) {
        self.seen.kinds.add(family, kind);
    }

    /// What each metric is, as targets say.
    pub(super) fn kinds(&self) -> &Kinds {
        &self.seen.kinds
    }

    /// What a query gives now; the inner error is of the query itself, which each asking would have.
    async fn ask(&self, query: &str) -> Result<Result<Vec<Number>, String>, Error> {
        if let Some(answer) = self.answers.lock().await.get(query) {
            return Ok(answer.clone());
        }
        let Some(client) = &self.client else { return Ok(Ok(Vec::new())) };
        let answer = match client.instant(query, None).await {
            Ok(answer) => Ok(numbers(answer.data)),
            Err(Error::Refused { said, .. }) => Err(said),
            Err(error) => return Err(error),
        };
        self.answers.lock().await.insert(query.to_owned(), answer.clone());
        Ok(answer)
    }

    /// What a query gives now; nothing where it cannot be evaluated.
    async fn series(&self, query: &str) -> Result<Vec<Number>, Error> {
        Ok(self.ask(query).await?.unwrap_or_default())
    }

    /// Whether a query gives anything now.
    async fn gives(&self, query: &str) -> Result<bool, Error> {
        Ok(!self.series(&format!("count({query})")).await?.is_empty())
    }

    /// Whether a selector matches anything that was there lately.
    async fn has(&self, selector: &str) -> Result<bool, Error> {
        Ok(self.gives(selector).await? || self.gives(&lately(selector)).await?)
    }

    /// The values of a label among the series of a metric.
    async fn values(&self, metric: &str, label: &str) -> Result<BTreeSet<String>, Error> {
        let series = self.series(&format!("count by ({label}) ({})", lately(metric))).await?;
        Ok(series.into_iter().filter_map(|one| one.labels.get(label).cloned()).collect())
    }
}

/// A selector of what was there lately.
fn lately(selector: &str) -> String {
    format!("last_over_time({selector}[{RECENTLY}])")
}

/// The series of an answer that have a number.
fn numbers(data: Data) -> Vec<Number> {
    let number = |Sample { labels, value }| match value {
        Value::Number(point) => Number { labels, value: point.value },
        Value::Histogram(histogram) => Number { labels, value: histogram.count },
    };
    match data {
        Data::Vector(series) => series.into_iter().map(number).collect(),
        Data::Scalar(point) => vec![Number { labels: Labels::new(), value: point.value }],
        Data::Matrix(_) | Data::String(_) => Vec::new(),
    }
}

/// What a dashboard asks for and does not get.
///
/// # Errors
/// When Prometheus stops answering.
pub async fn check_dashboard(
    board: &Dashboard,
    live: &Live,
    sources: &Sources,
) -> Result<Vec<Finding>, Unseen> {
    let mut findings = Findings::default();
    super::dashboard::check(board, sources, &mut findings);
    panel::check(live, board, &Recorded::default(), sources, &mut findings).await?;
    Ok(findings.in_reading_order())
}

/// Adds a finding for each thing that does not go with what a Prometheus has.
///
/// # Errors
/// When it stops answering.
pub async fn audit_live(
    subject: &Subject,
    live: &Live,
    sources: &Sources,
    findings: &mut Findings,
) -> Result<(), Unseen> {
    let recorded = Recorded::of(&subject.rules, Duration::ZERO);
    for file in &subject.rules {
        for (_, rule) in file.rules() {
            let asked = Asked::of_rule(rule);
            expression::check(live, asked, &recorded, sources, findings).await?;
        }
    }
    for board in &subject.dashboards {
        panel::check(live, board, &recorded, sources, findings).await?;
    }
    unused::check(live, subject, sources, findings).await?;
    Ok(())
}
