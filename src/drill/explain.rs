//! Why an alert's ladder broke: the first broken rung, what shows it, and what would mend it.

use std::collections::BTreeSet;
use std::time::Duration;

use promql_parser::parser::Expr;

use super::dissect::{Asker, Culprit, Why};
use crate::finding::nearest;
use crate::ladder::Rung;
use crate::prometheus::answer::Series;
use crate::prometheus::{Error, Health, Targets};
use crate::promql::{Way, part, selectors};
use crate::source::Place;
use crate::units::Span;

/// Names and values shown of many.
const FEW: usize = 5;

/// A rung that was not reached, and why.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Broken {
    /// The rung.
    pub(super) rung: Rung,
    /// What is wrong.
    pub(super) title: String,
    /// The part of the rule to point at; `None` where it is not the rule's fault.
    pub(super) way: Option<Way>,
    /// What to point at in Alertmanager's configuration, where it is that one's.
    pub(super) place: Option<Place>,
    /// What to say under the caret.
    pub(super) label: String,
    /// What would mend it.
    pub(super) help: Option<String>,
}

impl Broken {
    pub(super) fn new(rung: Rung, title: impl Into<String>) -> Self {
        Self { rung, title: title.into(), way: None, place: None, label: String::new(), help: None }
    }

    pub(super) fn at(mut self, way: &[usize], label: impl Into<String>) -> Self {
        self.way = Some(way.to_vec());
        self.label = label.into();
        self
    }

    pub(super) fn in_routing(mut self, place: Place, label: impl Into<String>) -> Self {
        self.place = Some(place);
        self.label = label.into();
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// What is known of a rule whose condition never held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule<'a> {
    /// As the user wrote it.
    pub(super) written: &'a Expr,
    /// How often its targets are scraped, in rule time.
    pub(super) scraped_every: Duration,
}

impl Asker<'_> {
    /// The rung at which a rule's expression stopped giving anything.
    pub(super) async fn explain(
        &self,
        rule: Rule<'_>,
        culprit: &Culprit,
        targets: &Targets,
    ) -> Result<Broken, Error> {
        let written = part(rule.written, &culprit.way).to_string();
        let way = &culprit.way;
        Ok(match &culprit.why {
            Why::NoMetric { name } => match self.no_own_series(name, part(rule.written, way)).await? {
                Some(broken) => broken.at(way, "no series of this name"),
                None => self.no_metric(name, way, targets).await?,
            },
            Why::NoLabel { name, matcher, label, value } => {
                let broken = Broken::new(Rung::Selected, format!("no series of `{name}` has `{matcher}`"));
                let values = self.values(name, label).await?;
                let has_buckets = self.gave(&format!("{name}_bucket"), self.from).await?;
                let help = value_help(name, label, value, &values, has_buckets);
                broken.at(way, "matches no series").help(help)
            }
            Why::NoCombination { name } => {
                let title = format!("no series of `{name}` satisfies all of its matchers at once");
                Broken::new(Rung::Selected, title)
                    .at(way, "matches no series")
                    .help("each matcher alone is satisfied by some series; look at which labels go together")
            }
            Why::Gone { selector } => gone(selector, way, targets),
            Why::Earlier { selector } => {
                let title = format!("`{written}` looks at a time before anything was scraped");
                Broken::new(Rung::Selected, title)
                    .at(way, "nothing was there then")
                    .help(format!("`{selector}` is there now; a drill has no longer past than itself"))
            }
            Why::Present { selector } => {
                let title = format!("`{written}` gave nothing: `{selector}` is still there");
                Broken::new(Rung::Held, title).at(way, "there all the time")
            }
            Why::NoPartner { left, right, labels } => no_partner(left, right, labels, way),
            Why::NotHeld { .. } | Why::NoResult { .. } | Why::NeverTogether { .. } => {
                not_held(&culprit.why, rule, way)
            }
        })
    }

    /// A name that is of several series, or that a rule records.
    async fn no_own_series(&self, name: &str, written: &Expr) -> Result<Option<Broken>, Error> {
        let broken = Broken::new(Rung::Selected, format!("`{name}` matches no series"));
        if self.gave(&format!("{name}_bucket"), self.before).await? {
            let asked = selectors(written);
            let quantile = asked
                .iter()
                .flat_map(|(_, selector)| &selector.matchers.matchers)
                .find(|one| one.name == "quantile");
            return Ok(Some(broken.help(match quantile {
                Some(quantile) => of_a_histogram(name, &quantile.value),
                None => format!("it is a histogram: there are `{name}_bucket`, `{name}_sum`, `{name}_count`"),
            })));
        }
        let groups = self.client.rules().await?.data.groups;
        let mut records = groups.iter().flat_map(|group| &group.rules).filter(|rule| rule.state.is_none());
        let Some(record) = records.find(|rule| rule.name == name) else { return Ok(None) };
        let Ok(expr) = promql_parser::parser::parse(&record.query) else { return Ok(None) };
        let why = match self.dissect(&expr, Way::new()).await?.map(|culprit| culprit.why) {
            Some(Why::NoMetric { name }) => format!("`{name}` matches no series"),
            Some(Why::NoLabel { name, matcher, .. }) => format!("no series of `{name}` has `{matcher}`"),
            Some(_) => "that gave nothing".to_owned(),
            None => "that gives something now".to_owned(),
        };
        Ok(Some(broken.help(format!("a rule records it as `{expr}`, and {why}"))))
    }

    async fn no_metric(&self, name: &str, way: &[usize], targets: &Targets) -> Result<Broken, Error> {
        let names = self.client.label_values("__name__").await?.data;
        let title = format!("`{name}` matches no series");
        let broken = Broken::new(Rung::Selected, title).at(way, "no such metric on any target");
        let Some(near) = near(name, &names) else {
            // No name is like it: perhaps the target that has it was never read.
            return Ok(match self.never_read(targets).await? {
                Some(unread) => unread.at(way, "nothing was read that could have it"),
                None => broken,
            });
        };
        let jobs: BTreeSet<_> =
            self.series(near).await?.iter().filter_map(|one| one.labels.get("job").cloned()).collect();
        let jobs: Vec<_> = jobs.iter().take(FEW).map(|job| format!("`{job}`")).collect();
        Ok(broken.help(match jobs.as_slice() {
            [] => format!("there is `{near}`"),
            [job] => format!("job {job} exposes `{near}`"),
            _ => format!("jobs {} expose `{near}`", jobs.join(", ")),
        }))
    }

    /// A target that could not be scraped, neither before the fault nor since.
    async fn never_read(&self, targets: &Targets) -> Result<Option<Broken>, Error> {
        let up = self.since("up", self.before).await?;
        let never = |one: &&Series| one.points.iter().all(|point| point.value == 0.0);
        let unread = up.iter().find(never);
        let Some(labels) = unread.map(|one| &one.labels) else { return Ok(None) };
        let same = |key: &str, target: &&crate::prometheus::Target| target.labels.get(key) == labels.get(key);
        let target = targets.active_targets.iter().find(|one| same("job", one) && same("instance", one));
        let instance = labels.get("instance").map_or("?", String::as_str);
        let why = target.map(|target| target.last_error.as_str()).filter(|error| !error.is_empty());
        let title = format!("the target `{instance}` was never scraped: {}", why.unwrap_or("it is down"));
        Ok(Some(Broken::new(Rung::Scraped, title)))
    }

    /// The values that a label has among the series of a metric.
    async fn values(&self, name: &str, label: &str) -> Result<BTreeSet<String>, Error> {
        let series = self.since(name, self.before).await?;
        Ok(series.iter().filter_map(|one| one.labels.get(label).cloned()).collect())
    }
}

/// The name that was most likely meant: the nearest, or one that this is the beginning or the end of.
pub(crate) fn near<'n>(name: &str, names: &'n [String]) -> Option<&'n str> {
    let others = || names.iter().map(String::as_str).filter(|other| *other != name);
    let related = |other: &&str| {
        let (long, short) = if other.len() > name.len() { (*other, name) } else { (name, *other) };
        short.len() >= 6 && (long.starts_with(short) || long.ends_with(short))
    };
    nearest(name, others())
        .or_else(|| others().filter(related).min_by_key(|other| other.len().abs_diff(name.len())))
}

fn of_a_histogram(name: &str, quantile: &str) -> String {
    format!(
        "`{name}` is a histogram, which has no `quantile`: \
         write `histogram_quantile({quantile}, rate({name}_bucket[5m]))`"
    )
}

/// What would make a matcher match.
fn value_help(name: &str, label: &str, value: &str, values: &BTreeSet<String>, has_buckets: bool) -> String {
    if label == "quantile" && has_buckets {
        return of_a_histogram(name, value);
    }
    if values.is_empty() {
        return format!("no series of `{name}` has a label `{label}`");
    }
    shown_values(label, value, values)
}

/// The values that a label has, and which of them was most likely meant.
pub(crate) fn shown_values(label: &str, value: &str, values: &BTreeSet<String>) -> String {
    // Another number is as good as any.
    let is_word = value.contains(char::is_alphabetic);
    let near = nearest(value, values.iter().map(String::as_str)).filter(|_| is_word);
    let shown: Vec<_> = values.iter().take(FEW).map(|value| format!("`{value}`")).collect();
    let more = if values.len() > FEW { ", …" } else { "" };
    let meant = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    format!("`{label}` is {}{more}{meant}", shown.join(", "))
}

/// Series that were there and went with what the fault broke.
fn gone(selector: &str, way: &[usize], targets: &Targets) -> Broken {
    let down = targets.active_targets.iter().find(|target| target.health == Health::Down);
    let help =
        "a rule over series that vanish with their target cannot see it vanish: `up == 0` or `absent(…)` can";
    let broken = if let Some(target) = down {
        let instance = target.labels.get("instance").map_or(target.scrape_url.as_str(), String::as_str);
        let title = format!("`{instance}` is not scraped since the fault: {}", target.last_error);
        Broken::new(Rung::Scraped, title)
    } else {
        Broken::new(Rung::Selected, format!("the series of `{selector}` went with the fault"))
    };
    broken.at(way, "has no samples since").help(help)
}

fn no_partner(left: &[String], right: &[String], labels: &[String], way: &[usize]) -> Broken {
    let names: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
    let title = "no series of one side has a partner on the other";
    let example = |side: &[String]| side.first().cloned().unwrap_or_default();
    let label = format!("{} and {}", example(left), example(right));
    let broken = Broken::new(Rung::Joined, title).at(way, label);
    if names.is_empty() {
        return broken.help("say which labels have to be the same: `on(…)` or `ignoring(…)`");
    }
    let ignoring = labels.join(", ");
    broken.help(format!(
        "the sides differ in {}: add `ignoring({ignoring})`, or `on(…)` with what they share",
        names.join(", ")
    ))
}

fn not_held(why: &Why, rule: Rule<'_>, way: &[usize]) -> Broken {
    let written = part(rule.written, way);
    match why {
        Why::NotHeld { operator, right, range, .. } => {
            let left =
                if let Expr::Binary(binary) = written { binary.lhs.to_string() } else { written.to_string() };
            let label = match range {
                None => "NaN all the time: there was nothing to divide".to_owned(),
                Some((least, most)) if least.total_cmp(most).is_eq() => {
                    format!("{} all the time", number(*least))
                }
                Some((least, most)) => format!("between {} and {}", number(*least), number(*most)),
            };
            Broken::new(Rung::Held, format!("`{left}` was never {operator} {right}")).at(way, label)
        }
        Why::NoResult { function } => no_result(function, written, rule.scraped_every, way),
        Why::NeverTogether { operator } if operator == "unless" => {
            Broken::new(Rung::Held, "the right side of `unless` takes away all of the left").at(way, "")
        }
        Why::NeverTogether { operator } => {
            let title = format!("both sides of `{operator}` held, and never at once for the same labels");
            Broken::new(Rung::Held, title).at(way, "")
        }
        Why::NoMetric { .. }
        | Why::NoLabel { .. }
        | Why::NoCombination { .. }
        | Why::Gone { .. }
        | Why::Earlier { .. }
        | Why::Present { .. }
        | Why::NoPartner { .. } => Broken::new(Rung::Held, "the condition never held"),
    }
}

/// A function that gave nothing: mostly a range too short for two samples.
fn no_result(function: &str, written: &Expr, scraped_every: Duration, way: &[usize]) -> Broken {
    let range = crate::promql::children(written).into_iter().find_map(|argument| {
        if let Expr::MatrixSelector(matrix) = argument { Some(matrix.range) } else { None }
    });
    let broken = Broken::new(Rung::Held, format!("`{function}` gave nothing"));
    match range {
        Some(range) if range < 2 * scraped_every => {
            broken.at(way, format!("{} holds fewer than two samples", Span(range))).help(format!(
                "targets are scraped every {}: make the range at least {}",
                Span(scraped_every),
                Span(4 * scraped_every)
            ))
        }
        Some(_) | None if function == "histogram_quantile" => broken
            .at(way, "needs series with a label `le`")
            .help("use the histogram's `_bucket` series, and keep `le` when summing"),
        Some(_) | None => broken.at(way, "nothing to compute it from"),
    }
}

/// A value as people read it.
fn number(value: f64) -> String {
    if value != 0.0 && (value.abs() < 1e-3 || value.abs() >= 1e6) {
        format!("{value:.2e}")
    } else {
        let text = format!("{value:.4}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::typed("http_request_total", Some("http_requests_total"))]
    #[case::without_its_ending("http_request_duration", Some("http_request_duration_seconds_bucket"))]
    #[case::nothing_alike("kafka_lag", None)]
    fn the_nearest_name_is_offered(#[case] name: &str, #[case] meant: Option<&str>) {
        let names = ["up", "http_requests_total", "http_request_duration_seconds_bucket"].map(str::to_owned);
        assert_eq!(near(name, &names), meant);
    }

    #[rstest]
    #[case(0.0, "0")]
    #[case(0.05, "0.05")]
    #[case(1.0 / 3.0, "0.3333")]
    #[case(0.000_12, "1.20e-4")]
    #[case(250_000.0, "250000")]
    #[case(3e9, "3.00e9")]
    fn numbers_are_short(#[case] value: f64, #[case] text: &str) {
        assert_eq!(number(value), text);
    }
}
