//! SLOs that say what cannot be, or what nobody can have meant.

use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;

use super::Slo;
use super::indicator::{DataSource, Query};
use super::objective::{Measure, Objective, Op};
use crate::finding::{Code, Finding, Findings};
use crate::units::Span;

/// `9 h 26 min a month`, `43m per month`, `1.5 hours/week`.
static DOWNTIME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?ix)
        (?: (?P<hours>\d+(?:\.\d+)?) \s* (?:h|hrs?|hours?) \s* (?:and\s+)? )?
        (?: (?P<minutes>\d+(?:\.\d+)?) \s* (?:m|mins?|minutes?) \s* (?:and\s+)? )?
        (?: (?P<seconds>\d+(?:\.\d+)?) \s* (?:s|secs?|seconds?) \s* )?
        (?: of\s+(?:downtime|outage)\s+ )?
        (?: a | per | / | each | every ) \s*
        (?P<period>day|week|month|quarter|year)\b",
    )
    .ok()
});

/// Downtime that is stated differs from what the percentage leaves by this much before anybody is told: texts round.
const ROUNDED: f64 = 0.1;

/// Looks at an SLO as a whole.
pub(super) fn lint(slo: &Slo, findings: &mut Findings) {
    for objective in &slo.objectives {
        impossible(slo, objective, findings);
        retention(slo, objective, findings);
        quantile(objective, findings);
        downtime(slo, objective, findings);
    }
}

/// A burn rate that not even a total outage reaches.
fn impossible(slo: &Slo, objective: &Objective, findings: &mut Findings) {
    let most = 1.0 / objective.target.complement().share();
    for condition in slo.policies.iter().map(|policy| &policy.condition) {
        let threshold = condition.threshold.value.value();
        let never = match condition.op {
            Op::Gt => threshold >= most * (1.0 - 1e-9),
            Op::Gte => threshold > most * (1.0 + 1e-9),
            Op::Lt | Op::Lte => false,
        };
        if never {
            let title = format!(
                "this alert can never fire: at {} a total outage burns {} times as fast as allowed",
                objective.target,
                format!("{most:.4}").trim_end_matches('0').trim_end_matches('.')
            );
            let finding = Finding::new(Code::SloImpossibleAlert, condition.threshold.place, title);
            findings.add(finding.also(objective.place, "this objective leaves so much"));
        }
    }
}

/// A window longer than its source keeps what it measures.
fn retention(slo: &Slo, objective: &Objective, findings: &mut Findings) {
    for query in objective.measure.queries() {
        let Query::Prometheus { source: Some(source), .. } = query else { continue };
        let Some((kept, place)) = kept(source) else { continue };
        let window = slo.window.period().nominal();
        if window > kept {
            let title = format!(
                "the window of {} is longer than `{}` keeps what it measures ({})",
                slo.window.period(),
                source.name,
                Span(kept)
            );
            let finding = Finding::new(Code::SloRetention, slo.name.place, title);
            findings.add(finding.also(place, "kept so long"));
        }
    }
}

/// How long a data source says that it keeps what it measures.
fn kept(source: &DataSource) -> Option<(Duration, crate::source::Place)> {
    let node = source.connection.as_ref()?.0.get("retention")?;
    let span: Span = node.scalar()?.parse().ok()?;
    Some((span.0, node.place))
}

/// A quantile of a histogram is known at the bounds of its buckets, and guessed between them.
fn quantile(objective: &Objective, findings: &mut Findings) {
    let Measure::Threshold { metric: Query::Prometheus { query, .. }, value, .. } = &objective.measure else {
        return;
    };
    if query.contains("histogram_quantile") {
        let title = format!(
            "a quantile of a histogram is a guess between two buckets, and {value} need not be the bound of one"
        );
        let help = "write a ratio of the bucket `le` to `_count`: that is exact at a bucket's bound";
        findings.add(Finding::new(Code::SloQuantile, query.place, title).help(help));
    }
}

/// Downtime in words that is not what the percentage leaves.
fn downtime(slo: &Slo, objective: &Objective, findings: &mut Findings) {
    let texts = [slo.about.as_deref(), slo.display.as_deref(), Some(objective.label.as_str())];
    for text in texts.into_iter().flatten() {
        let Some((stated, period, word)) = stated(text) else { continue };
        let left = objective.target.complement().share() * period.as_secs_f64();
        if (stated.as_secs_f64() - left).abs() > ROUNDED * left {
            let title = format!(
                "{} {word} is stated, and {} leaves {}",
                Span(stated),
                objective.target,
                Span(Duration::try_from_secs_f64(left.round()).unwrap_or_default())
            );
            findings.add(Finding::new(Code::SloStatedDowntime, objective.place, title));
            return;
        }
    }
}

/// The downtime that a text states, the time it is stated for, and the word for that.
fn stated(text: &str) -> Option<(Duration, Duration, String)> {
    const DAY: f64 = 86_400.0;
    let found = DOWNTIME.as_ref()?.captures(text)?;
    let amount = |name: &str| found.name(name).and_then(|number| number.as_str().parse::<f64>().ok());
    let parts = [(amount("hours"), 3600.0), (amount("minutes"), 60.0), (amount("seconds"), 1.0)];
    if parts.iter().all(|(amount, _)| amount.is_none()) {
        return None;
    }
    let stated: f64 = parts.iter().map(|(amount, unit)| amount.unwrap_or(0.0) * unit).sum();
    let word = found.name("period")?.as_str().to_lowercase();
    let period = match word.as_str() {
        "day" => DAY,
        "week" => 7.0 * DAY,
        "month" => 30.0 * DAY,
        "quarter" => 90.0 * DAY,
        _ => 365.0 * DAY,
    };
    let seconds = |seconds| Duration::try_from_secs_f64(seconds).ok();
    Some((seconds(stated)?, seconds(period)?, format!("a {word}")))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plan("99.9 % is 9 h 26 min a month", Some("9h26m a month"))]
    #[case::short("43m per month at most", Some("43m a month"))]
    #[case::hours("1.5 hours/week", Some("1h30m a week"))]
    #[case::of_downtime("8 hours and 46 minutes of downtime per year", Some("8h46m a year"))]
    #[case::no_downtime("asked 5 times a day", None)]
    #[case::no_number("an outage a month", None)]
    fn downtime_is_read_from_words(#[case] text: &str, #[case] said: Option<&str>) {
        let found = stated(text).map(|(stated, _, word)| format!("{} {word}", Span(stated)));
        assert_eq!(found.as_deref(), said);
    }
}
