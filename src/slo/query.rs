//! An objective as PromQL: what was counted, and what of it was good or bad, over a window.

use std::time::Duration;

use promql_parser::parser::{self, Call, Expr, MatrixSelector, VectorSelector};

use super::indicator::{Part, Query, RawRate};
use super::objective::Measure;
use crate::units::Span;

/// Two expressions, each of one number for a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counting {
    /// What `counted` counts.
    pub part: Part,
    /// Good or bad events.
    pub counted: String,
    /// All of them.
    pub total: String,
    /// All of them, at one moment: has a value wherever something is measured.
    pub present: String,
}

/// Why an objective cannot be asked of a Prometheus; reads on after its name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAsked {
    /// Its numbers are elsewhere.
    #[error("its numbers come from `{0}`, and not from a Prometheus")]
    Elsewhere(String),
    /// The expression does not read.
    #[error("its query does not read: {0}")]
    Malformed(String),
    /// A counter is to be counted over the window, and the query has a window of its own.
    #[error(
        "its query `{0}` is no counter: it has a range of its own; with `counter: true` write the series \
         themselves, else `counter: false`"
    )]
    NoCounter(String),
}

/// How often what is no counter is looked at in a window.
const LOOKS: u32 = 8640;

/// It is looked at no more often than so, in seconds.
const SHORTEST_LOOK: u64 = 15;

impl Measure {
    /// What it counts over a window that ends at the moment that is asked about.
    ///
    /// Counters are counted by their increase, series by series, so that one that begins anew loses nothing. What is
    /// no counter is looked at every 15 s, or so much more seldom that 8640 looks fill the window: a ratio of such
    /// is that of the sums of what was seen, and each look at a threshold or a ready-made ratio is one event.
    ///
    /// # Errors
    /// When a Prometheus cannot be asked.
    pub fn over(&self, window: Duration) -> Result<Counting, NotAsked> {
        let looks = |query: &str| {
            // Whole multiples, so that the looks of all windows are the same ones.
            let seconds = (window / LOOKS).as_secs().div_ceil(SHORTEST_LOOK).max(1) * SHORTEST_LOOK;
            let step = Duration::from_secs(seconds);
            format!("(({query})[{}:{}])", Span(window), Span(step))
        };
        Ok(match self {
            Self::Ratio { counter, part, counted, total } => {
                let (counted, total) = (promql(counted)?, promql(total)?);
                let of = |query: &str| match counter {
                    true => Ok(format!("sum({})", increase(query, window)?)),
                    false => Ok(format!("sum(sum_over_time{})", looks(query))),
                };
                Counting {
                    part: *part,
                    counted: of(counted)?,
                    total: of(total)?,
                    present: format!("count({total})"),
                }
            }
            Self::Raw { query, rate } => {
                let query = promql(query)?;
                let part = match rate {
                    RawRate::Success => Part::Good,
                    RawRate::Failure => Part::Bad,
                };
                Counting {
                    part,
                    counted: format!("sum(sum_over_time{})", looks(query)),
                    total: format!("sum(count_over_time{})", looks(query)),
                    present: format!("count({query})"),
                }
            }
            Self::Threshold { metric, op, value } => {
                let query = promql(metric)?;
                let kept = format!("({query}) {} bool {value}", sign(*op));
                Counting {
                    part: Part::Good,
                    counted: format!("sum(sum_over_time{})", looks(&kept)),
                    total: format!("sum(count_over_time{})", looks(query)),
                    present: format!("count({query})"),
                }
            }
            Self::Latency { .. } => return Err(NotAsked::Elsewhere("firedrill".to_owned())),
        })
    }

    /// Every query it asks of a Prometheus.
    pub fn queries(&self) -> impl Iterator<Item = &Query> {
        let (one, other) = match self {
            Self::Ratio { counted, total, .. } => (Some(counted), Some(total)),
            Self::Raw { query, .. } | Self::Threshold { metric: query, .. } => (Some(query), None),
            Self::Latency { .. } => (None, None),
        };
        one.into_iter().chain(other)
    }
}

impl Query {
    /// The names of the metrics that it selects, where it says them plainly.
    #[must_use]
    pub fn metric_names(&self) -> Vec<String> {
        fn collect(expr: &Expr, names: &mut Vec<String>) {
            match expr {
                Expr::VectorSelector(selector) => names.extend(selector.name.clone()),
                Expr::MatrixSelector(matrix) => names.extend(matrix.vs.name.clone()),
                Expr::Paren(inner) => collect(&inner.expr, names),
                Expr::Unary(inner) => collect(&inner.expr, names),
                Expr::Subquery(inner) => collect(&inner.expr, names),
                Expr::Aggregate(inner) => collect(&inner.expr, names),
                Expr::Call(call) => call.args.args.iter().for_each(|argument| collect(argument, names)),
                Expr::Binary(binary) => {
                    collect(&binary.lhs, names);
                    collect(&binary.rhs, names);
                }
                Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
            }
        }
        let mut names = Vec::new();
        if let Ok(expr) = promql(self).and_then(|query| parser::parse(query).map_err(NotAsked::Malformed)) {
            collect(&expr, &mut names);
        }
        names
    }
}

fn sign(op: super::Op) -> &'static str {
    match op {
        super::Op::Lte => "<=",
        super::Op::Gte => ">=",
        super::Op::Lt => "<",
        super::Op::Gt => ">",
    }
}

fn promql(query: &Query) -> Result<&str, NotAsked> {
    match query {
        Query::Prometheus { query, .. } => Ok(query.as_str()),
        Query::Firedrill { .. } | Query::Other { .. } => {
            Err(NotAsked::Elsewhere(query.source_type().to_owned()))
        }
    }
}

/// An expression over counters with each of its series counted over the window. The increase is taken before
/// anything is added up: a sum of counters falls when one of them begins anew.
pub(super) fn increase(query: &str, window: Duration) -> Result<String, NotAsked> {
    let read = |text: &str| parser::parse(text).map_err(|why| NotAsked::Malformed(shortened(&why)));
    let mut expr = read(query)?;
    // A call to put each selector into: where it has an offset, the range stands before that.
    let call = read(&format!("increase(x[{}])", Span(window)))?;
    let counted = |selector: &VectorSelector| {
        let mut call = call.clone();
        if let Expr::Call(Call { args, .. }) = &mut call {
            let matrix = MatrixSelector { vs: selector.clone(), range: window };
            args.args = vec![Box::new(Expr::MatrixSelector(matrix))];
        }
        call
    };
    if ranged(&expr) {
        return Err(NotAsked::NoCounter(shortened(query)));
    }
    count(&mut expr, &counted);
    Ok(expr.to_string())
}

/// Whether a range or a subquery stands in it.
fn ranged(expr: &Expr) -> bool {
    match expr {
        Expr::MatrixSelector(_) | Expr::Subquery(_) => true,
        Expr::Paren(inner) => ranged(&inner.expr),
        Expr::Unary(inner) => ranged(&inner.expr),
        Expr::Aggregate(inner) => ranged(&inner.expr),
        Expr::Call(call) => call.args.args.iter().any(|argument| ranged(argument)),
        Expr::Binary(binary) => ranged(&binary.lhs) || ranged(&binary.rhs),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::VectorSelector(_) | Expr::Extension(_) => {
            false
        }
    }
}

/// Puts `counted` of each selector in its place.
fn count(expr: &mut Expr, counted: &dyn Fn(&VectorSelector) -> Expr) {
    match expr {
        Expr::VectorSelector(selector) => *expr = counted(selector),
        Expr::Paren(inner) => count(&mut inner.expr, counted),
        Expr::Unary(inner) => count(&mut inner.expr, counted),
        Expr::Aggregate(inner) => count(&mut inner.expr, counted),
        Expr::Call(call) => call.args.args.iter_mut().for_each(|argument| count(argument, counted)),
        Expr::Binary(binary) => {
            count(&mut binary.lhs, counted);
            count(&mut binary.rhs, counted);
        }
        Expr::MatrixSelector(_)
        | Expr::Subquery(_)
        | Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::Extension(_) => {}
    }
}

/// The beginning of a text, on one line.
fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = line.chars().take(120).collect();
    if short.len() < line.len() { short + "…" } else { short }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[rstest]
    #[case::bare("requests_total", "increase(requests_total[1h])")]
    #[case::matched(
        "requests_total{job=\"shop\",code=~\"5..\"}",
        "increase(requests_total{code=~\"5..\",job=\"shop\"}[1h])"
    )]
    #[case::summed("sum(requests_total{job=\"shop\"})", "sum(increase(requests_total{job=\"shop\"}[1h]))")]
    #[case::grouped("sum by (job) (a + b)", "sum by (job) (increase(a[1h]) + increase(b[1h]))")]
    #[case::left_over("sum(a) - sum(b)", "sum(increase(a[1h])) - sum(increase(b[1h]))")]
    #[case::never_absent("sum(a) or 0 * sum(b)", "sum(increase(a[1h])) or 0 * sum(increase(b[1h]))")]
    #[case::earlier("a offset 5m", "increase(a[1h] offset 5m)")]
    fn the_increase_is_taken_series_by_series(#[case] query: &str, #[case] wanted: &str) {
        assert_eq!(increase(query, HOUR).unwrap(), wanted);
    }

    #[rstest]
    #[case::rate("sum(rate(a[5m]))")]
    #[case::subquery("max_over_time(a[5m:1m])")]
    fn what_has_a_range_of_its_own_is_no_counter(#[case] query: &str) {
        assert_eq!(increase(query, HOUR), Err(NotAsked::NoCounter(query.to_owned())));
    }

    #[test]
    fn what_does_not_read_is_said() {
        let said = increase("sum(a", HOUR).unwrap_err().to_string();
        assert_eq!(said, "its query does not read: unclosed left parenthesis");
    }
}
