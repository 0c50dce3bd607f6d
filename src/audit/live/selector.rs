//! Selectors that match nothing: which of their parts is to blame, and what is there instead.

use std::collections::BTreeSet;

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::token::{T_LOR, T_LUNLESS};
use promql_parser::parser::{Expr, VectorSelector};

use super::{Asked, Live};
use crate::drill::{near, shown_values};
use crate::finding::{Code, Finding};
use crate::prometheus::Error;
use crate::promql::{metric, part};
use crate::source::Sources;

/// Labels that come from how targets are configured.
const OF_TARGETS: [&str; 2] = ["job", "instance"];

/// Endings of the series that a histogram's family has.
const OF_HISTOGRAMS: [&str; 3] = ["_bucket", "_sum", "_count"];

/// How a selector stands in its expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// Something is asked of it.
    Needed,
    /// It is taken away, or is there in place of another: it may be missing.
    Optional,
    /// It is what `absent` waits for.
    Absent,
}

impl Live {
    /// Why nothing matches the selector at `way`; `None` where something does, or need not.
    pub(super) async fn unmatched(
        &self,
        asked: Asked<'_>,
        way: &[usize],
        selector: &VectorSelector,
        sources: &Sources,
    ) -> Result<Option<Finding>, Error> {
        // What it would match without looking back into another time.
        let plain = VectorSelector { offset: None, at: None, ..selector.clone() };
        let stands = stands(&asked.query.expr, way);
        if self.has(&plain.to_string()).await? {
            return Ok(None);
        }
        let place = asked.place_of(way, sources);
        let Some(name) = metric(selector) else {
            let finding = Finding::new(Code::AuditValue, place, format!("nothing matches `{plain}`"));
            return Ok((stands != Stands::Optional).then_some(finding));
        };
        if name.starts_with("ALERTS") {
            return Ok(None);
        }
        let finding = if self.has(name).await? {
            // What is taken away comes and goes.
            if stands == Stands::Optional {
                return Ok(None);
            }
            self.unmatched_label(name, selector).await?
        } else {
            self.missing(name, selector).await?
        };
        let Some((code, title, help)) = finding else { return Ok(None) };
        if stands == Stands::Optional && !self.is_typed_wrong(name) {
            return Ok(None);
        }
        let at = if code == Code::AuditMetric { asked.place_of_name(way, name, sources) } else { place };
        let label = match stands {
            Stands::Absent => "missing now, so `absent` gives something now",
            Stands::Needed | Stands::Optional if code == Code::AuditMetric => "no such metric",
            Stands::Needed | Stands::Optional => "matches no series",
        };
        let mut finding = Finding::new(code, at, title).label(label);
        finding.help = help.or_else(|| self.help_of_targets());
        Ok(Some(finding))
    }

    /// What is wrong with a selector whose metric is there.
    async fn unmatched_label(
        &self,
        name: &str,
        selector: &VectorSelector,
    ) -> Result<Option<(Code, String, Option<String>)>, Error> {
        for matcher in selector.matchers.matchers.iter().filter(|one| one.name != "__name__") {
            if self.has(&format!("{name}{{{matcher}}}")).await? {
                continue;
            }
            let values = self.values(name, &matcher.name).await?;
            let title = format!("no series of `{name}` has `{matcher}`");
            let shown = shown_values(&matcher.name, value(matcher), &values);
            return Ok(Some(if OF_TARGETS.contains(&matcher.name.as_str()) {
                (Code::AuditTarget, title, Some(shown))
            } else if values.is_empty() {
                let labels = self.labels_of(name).await?;
                (Code::AuditLabel, title, Some(lacking(name, &matcher.name, &labels)))
            } else {
                (Code::AuditValue, title, Some(shown))
            }));
        }
        let title = format!("no series of `{name}` satisfies all of these at once");
        let help = "each alone is satisfied by some series; look at which labels go together".to_owned();
        Ok(Some((Code::AuditValue, title, Some(help))))
    }

    /// What is there instead of a metric that is not.
    async fn missing(
        &self,
        name: &str,
        selector: &VectorSelector,
    ) -> Result<Option<(Code, String, Option<String>)>, Error> {
        let title = format!("`{name}` matches no series");
        if self.kinds().family(name) == Some("histogram") || self.has(&format!("{name}_bucket")).await? {
            let quantile = selector.matchers.matchers.iter().find(|one| one.name == "quantile");
            if let Some(matcher) = quantile {
                let title = format!("`{name}` is a histogram, whose series have no label `quantile`");
                let instead = format!(
                    "write `histogram_quantile({}, sum by (le) (rate({name}_bucket[5m])))`",
                    matcher.value
                );
                return Ok(Some((Code::AuditQuantile, title, Some(instead))));
            }
            let parts = OF_HISTOGRAMS.map(|ending| format!("`{name}{ending}`")).join(", ");
            let help = format!("`{name}` is a histogram: there are {parts}");
            return Ok(Some((Code::AuditMetric, title, Some(help))));
        }
        // It is described, and nothing has happened yet that it would count.
        let parts =
            || OF_HISTOGRAMS.iter().find_map(|ending| self.kinds().family(name.strip_suffix(ending)?));
        if self.kinds().family(name).or_else(parts).is_some() {
            let help = "it may come with the first event; start it at 0, or nobody sees the first one";
            let title = format!("`{name}` is described by its target, and has no series");
            return Ok(Some((Code::AuditNoSeries, title, Some(help.to_owned()))));
        }
        let help = match near(name, &self.seen.names) {
            Some(near) => Some(self.exposed(near).await?),
            None => None,
        };
        Ok(Some((Code::AuditMetric, title, help)))
    }

    /// Who exposes a metric.
    async fn exposed(&self, name: &str) -> Result<String, Error> {
        let jobs: Vec<_> = self.values(name, "job").await?.iter().map(|job| format!("`{job}`")).collect();
        Ok(match jobs.as_slice() {
            [] => format!("there is `{name}`"),
            [job] => format!("job {job} exposes `{name}`"),
            _ => format!("jobs {} expose `{name}`", jobs.join(", ")),
        })
    }

    /// The labels that series of a metric have.
    async fn labels_of(&self, name: &str) -> Result<BTreeSet<String>, Error> {
        let some = self.series(&format!("topk(10, {})", super::lately(name))).await?;
        Ok(some.into_iter().flat_map(|one| one.labels.into_keys()).filter(|l| l != "__name__").collect())
    }

    /// Whether a name is like one that is there.
    fn is_typed_wrong(&self, name: &str) -> bool {
        crate::finding::nearest(name, self.seen.names.iter().map(String::as_str)).is_some()
    }

    /// What may have what is missing, and cannot be asked.
    fn help_of_targets(&self) -> Option<String> {
        let (target, why) = self.seen.down.first_key_value()?;
        Some(format!("`{target}` cannot be scraped, and what it exposes is not known: {why}"))
    }
}

/// Why a label matches nothing that no series has.
fn lacking(name: &str, label: &str, labels: &BTreeSet<String>) -> String {
    let all: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
    let meant = crate::finding::nearest(label, labels.iter().map(String::as_str));
    let meant = meant.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    match all.as_slice() {
        [] => format!("series of `{name}` have no labels"),
        _ => format!("series of `{name}` have {}{meant}", all.join(", ")),
    }
}

/// What a matcher asks for; nothing in particular where it says what not to be.
fn value(matcher: &Matcher) -> &str {
    match &matcher.op {
        MatchOp::Equal => &matcher.value,
        MatchOp::Re(pattern) => pattern.as_str(),
        MatchOp::NotEqual | MatchOp::NotRe(_) => "",
    }
}

/// How the selector at `way` stands in an expression.
fn stands(expr: &Expr, way: &[usize]) -> Stands {
    for length in (0..way.len()).rev() {
        match part(expr, &way[..length]) {
            Expr::Call(call) if matches!(call.func.name, "absent" | "absent_over_time") => {
                return Stands::Absent;
            }
            Expr::Binary(binary) if binary.op.id() == T_LOR => return Stands::Optional,
            Expr::Binary(binary) if binary.op.id() == T_LUNLESS && way[length] == 1 => {
                return Stands::Optional;
            }
            Expr::Binary(_)
            | Expr::Call(_)
            | Expr::Aggregate(_)
            | Expr::Paren(_)
            | Expr::Unary(_)
            | Expr::Subquery(_)
            | Expr::NumberLiteral(_)
            | Expr::StringLiteral(_)
            | Expr::VectorSelector(_)
            | Expr::MatrixSelector(_)
            | Expr::Extension(_) => {}
        }
    }
    Stands::Needed
}
