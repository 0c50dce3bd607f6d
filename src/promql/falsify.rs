//! What re-timing would falsify: numbers that are meant as seconds, or as events in a time.

use std::fmt;

use promql_parser::parser::token::{T_DIV, T_GTR, T_LSS, T_NEQ};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{AtModifier, BinaryExpr, Call, Expr};

use super::{Way, children, down, metric, part, parts, selectors};

/// A part of an expression that means another thing once its durations are divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Falsified {
    /// The part.
    pub way: Way,
    /// Why.
    pub why: Why,
}

/// Why a part means another thing once durations are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Events within a range, of which a shorter range has fewer.
    Count,
    /// Events per second, which are as many in a second of rule time only if traffic is as much faster.
    PerSecond,
    /// The moment of an evaluation, or of a sample.
    Clock,
    /// The hour, the day, the month.
    Calendar,
    /// A moment that is written down.
    Moment,
    /// Seconds ahead.
    Prediction,
    /// A slope per second.
    Slope,
}

impl fmt::Display for Why {
    /// As the end of a sentence about the part.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Count => "counts events in a time, of which only a part passes",
            Self::PerSecond => "counts events per second, of traffic that is not faster",
            Self::Clock => "reads the clock, which passes no faster",
            Self::Calendar => "reads the calendar, whose days pass no faster",
            Self::Moment => "looks at a moment that is written down",
            Self::Prediction => "looks seconds ahead",
            Self::Slope => "is a slope per second",
        })
    }
}

/// Functions whose value grows with the events in the range they look at.
const COUNTS: [&str; 5] = ["increase", "changes", "resets", "count_over_time", "delta"];

/// Functions that give events per second.
const RATES: [&str; 2] = ["rate", "irate"];

/// Functions that make of events what is none: a time, a share.
const NO_EVENTS: [&str; 3] = ["histogram_quantile", "histogram_fraction", "histogram_avg"];

/// Every part that re-timing falsifies, in the order of [`parts`].
#[must_use]
pub fn falsified(expr: &Expr) -> Vec<Falsified> {
    parts(expr).into_iter().filter_map(|(way, one)| judge(way, one)).collect()
}

fn judge(way: Way, expr: &Expr) -> Option<Falsified> {
    match expr {
        Expr::Call(call) => reads_time(call).map(|why| Falsified { way, why }),
        Expr::Binary(binary) if binary.op.is_comparison_operator() => compared(binary, &way),
        Expr::VectorSelector(selector) => fixed(selector.at.as_ref(), way),
        Expr::MatrixSelector(matrix) => fixed(matrix.vs.at.as_ref(), way),
        Expr::Subquery(subquery) => fixed(subquery.at.as_ref(), way),
        Expr::Binary(_)
        | Expr::Paren(_)
        | Expr::Unary(_)
        | Expr::Aggregate(_)
        | Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::Extension(_) => None,
    }
}

fn reads_time(call: &Call) -> Option<Why> {
    match call.func.name {
        "time" | "timestamp" => Some(Why::Clock),
        "hour" | "minute" | "day_of_month" | "day_of_week" | "day_of_year" | "days_in_month" | "month"
        | "year" => Some(Why::Calendar),
        "predict_linear" => Some(Why::Prediction),
        "deriv" => Some(Why::Slope),
        _ => None,
    }
}

fn fixed(at: Option<&AtModifier>, way: Way) -> Option<Falsified> {
    matches!(at, Some(AtModifier::At(_))).then_some(Falsified { way, why: Why::Moment })
}

/// A count or a rate that is compared with a number. A ratio of two of them is left alone, and so is whether there
/// were events at all.
fn compared(binary: &BinaryExpr, way: &[usize]) -> Option<Falsified> {
    let (side, number, child) = match (&*binary.lhs, &*binary.rhs) {
        (side, number) if number.value_type() == ValueType::Scalar => (side, number, 0),
        (number, side) if number.value_type() == ValueType::Scalar => (side, number, 1),
        _ => return None,
    };
    let is_zero = matches!(number, Expr::NumberLiteral(zero) if zero.val == 0.0);
    let above = if child == 0 { T_GTR } else { T_LSS };
    if is_zero && [above, T_NEQ].contains(&binary.op.id()) {
        return None;
    }
    let (inner, why) = measure(side)?;
    let mut way = down(way, child);
    way.extend(inner);
    Some(Falsified { way, why })
}

/// The count or rate that an expression gives, where it gives one and no ratio.
fn measure(expr: &Expr) -> Option<(Way, Why)> {
    match expr {
        Expr::Call(call) if COUNTS.contains(&call.func.name) => Some((Way::new(), Why::Count)),
        Expr::Call(call) if RATES.contains(&call.func.name) => {
            (!is_of_seconds(expr)).then_some((Way::new(), Why::PerSecond))
        }
        Expr::Call(call) if NO_EVENTS.contains(&call.func.name) => None,
        // The factor is in both, and goes.
        Expr::Binary(binary)
            if binary.op.id() == T_DIV
                && measure(&binary.lhs).is_some()
                && measure(&binary.rhs).is_some() =>
        {
            None
        }
        // What is compared within is judged by itself.
        Expr::Binary(binary) if binary.op.is_comparison_operator() && !has_vectors(binary) => None,
        Expr::Call(_)
        | Expr::Binary(_)
        | Expr::Paren(_)
        | Expr::Unary(_)
        | Expr::Aggregate(_)
        | Expr::Subquery(_) => children(expr).into_iter().enumerate().find_map(|(number, child)| {
            let (inner, why) = measure(child)?;
            Some((std::iter::once(number).chain(inner).collect(), why))
        }),
        Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Extension(_) => None,
    }
}

fn has_vectors(binary: &BinaryExpr) -> bool {
    [&binary.lhs, &binary.rhs].iter().all(|side| side.value_type() == ValueType::Vector)
}

/// Whether a rate is of seconds, as that of CPU time is: a share of a second, however fast time passes.
fn is_of_seconds(expr: &Expr) -> bool {
    let selected = selectors(expr);
    let of_seconds = |name: &str| name.ends_with("_seconds_total") || name.ends_with("_seconds_sum");
    !selected.is_empty() && selected.iter().all(|(_, selector)| metric(selector).is_some_and(of_seconds))
}

impl Falsified {
    /// The part itself.
    #[must_use]
    pub fn part<'e>(&self, expr: &'e Expr) -> &'e Expr {
        part(expr, &self.way)
    }
}

#[cfg(test)]
mod tests {
    use promql_parser::parser::parse;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::count("increase(a[1h]) > 5", &[("increase(a[1h])", Why::Count)])]
    #[case::count_in_a_sum("sum by (x) (increase(a[1h])) > 5", &[("increase(a[1h])", Why::Count)])]
    #[case::any_at_all("increase(a[1h]) > 0", &[])]
    #[case::any_at_all_turned("0 < increase(a[1h]) or changes(b[5m]) != 0", &[])]
    #[case::none_at_all("increase(a[1h]) == 0", &[("increase(a[1h])", Why::Count)])]
    #[case::turned("5 < increase(a[1h])", &[("increase(a[1h])", Why::Count)])]
    #[case::restarts("changes(process_start_time_seconds[15m]) > 2", &[("changes(process_start_time_seconds[15m])", Why::Count)])]
    #[case::resets("resets(a[15m]) > 2", &[("resets(a[15m])", Why::Count)])]
    #[case::samples("count_over_time(a[5m]) < 3", &[("count_over_time(a[5m])", Why::Count)])]
    #[case::rate("rate(a[5m]) > 100", &[("rate(a[5m])", Why::PerSecond)])]
    #[case::rate_per_minute("rate(a[5m]) * 60 > 100", &[("rate(a[5m])", Why::PerSecond)])]
    #[case::rate_in_thousands("sum(rate(a[5m])) / 1000 > 1", &[("rate(a[5m])", Why::PerSecond)])]
    #[case::rate_for_each("sum(rate(a[5m])) / count(up) > 1", &[("rate(a[5m])", Why::PerSecond)])]
    #[case::cpu("rate(process_cpu_seconds_total[5m]) > 0.9", &[])]
    #[case::ratio("rate(a[5m]) / rate(b[5m]) > 0.05", &[])]
    #[case::ratio_in_percent("sum(rate(a[5m])) / sum(rate(b[5m])) * 100 > 5", &[])]
    #[case::ratio_with_traffic("rate(a[5m]) / rate(b[5m]) > 0.05 and rate(b[5m]) > 1", &[("rate(b[5m])", Why::PerSecond)])]
    #[case::quantile("histogram_quantile(0.99, rate(a_bucket[5m])) > 1", &[])]
    #[case::clock("time() - a > 300", &[("time()", Why::Clock)])]
    #[case::age("time() - timestamp(a) > 300", &[("time()", Why::Clock), ("timestamp(a)", Why::Clock)])]
    #[case::calendar("hour() > 8 and up == 0", &[("hour()", Why::Calendar)])]
    #[case::ahead("predict_linear(a[1h], 3600) < 0", &[("predict_linear(a[1h], 3600)", Why::Prediction)])]
    #[case::slope("deriv(a[1h]) < 0", &[("deriv(a[1h])", Why::Slope)])]
    #[case::moment("a @ 1700000000 > 5", &[("a @ 1700000000", Why::Moment)])]
    #[case::gauge("a > 5", &[])]
    fn what_time_would_falsify_is_named(#[case] text: &str, #[case] wanted: &[(&str, Why)]) {
        let expr = parse(text).unwrap();
        let found: Vec<_> =
            falsified(&expr).iter().map(|one| (one.part(&expr).to_string(), one.why)).collect();
        let wanted: Vec<_> =
            wanted.iter().map(|(text, why)| (parse(text).unwrap().to_string(), *why)).collect();
        assert_eq!(found, wanted);
    }
}
