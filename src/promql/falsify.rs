//! What re-timing would falsify: numbers that are meant as seconds, or as events in a time.

use promql_parser::parser::value::ValueType;
use promql_parser::parser::{BinaryExpr, Expr};

use super::{Way, children, part, parts};

/// A part of an expression that means another thing once its durations are divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Falsified {
    /// The part.
    pub way: Way,
    /// Why, as the end of a sentence: `counts events in a time`.
    pub why: &'static str,
}

/// Functions whose value grows with the time they look at.
const COUNTS: [&str; 6] =
    ["increase", "changes", "resets", "count_over_time", "sum_over_time", "delta"];

/// Functions of the calendar and the clock.
const CLOCK: [&str; 12] = [
    "time",
    "timestamp",
    "hour",
    "minute",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "month",
    "year",
    "predict_linear",
    "deriv",
];

/// Functions that give events per second.
const RATES: [&str; 2] = ["rate", "irate"];

/// Every part that re-timing falsifies.
#[must_use]
pub fn falsified(expr: &Expr) -> Vec<Falsified> {
    let mut found = Vec::new();
    for (way, one) in parts(expr) {
        match one {
            Expr::Call(call) if CLOCK.contains(&call.func.name) => {
                let why = match call.func.name {
                    "predict_linear" => "looks seconds ahead",
                    "deriv" => "is a slope per second",
                    _ => "reads the clock, which passes no faster",
                };
                found.push(Falsified { way, why });
            }
            Expr::Binary(binary) if binary.op.is_comparison_operator() => {
                found.extend(compared(binary, &way));
            }
            Expr::Call(_)
            | Expr::Binary(_)
            | Expr::Paren(_)
            | Expr::Unary(_)
            | Expr::Aggregate(_)
            | Expr::Subquery(_)
            | Expr::NumberLiteral(_)
            | Expr::StringLiteral(_)
            | Expr::VectorSelector(_)
            | Expr::MatrixSelector(_)
            | Expr::Extension(_) => {}
        }
    }
    found
}

/// A count or a rate that is compared with a number other than zero. A ratio of two of them is left alone.
fn compared(binary: &BinaryExpr, way: &Way) -> Option<Falsified> {
    let (side, number, child) = match (&*binary.lhs, &*binary.rhs) {
        (side, number) if number.value_type() == ValueType::Scalar => (side, number, 0),
        (number, side) if number.value_type() == ValueType::Scalar => (side, number, 1),
        _ => return None,
    };
    if matches!(number, Expr::NumberLiteral(zero) if zero.val == 0.0) {
        return None;
    }
    let (inner, why) = measure(side)?;
    let mut way = way.clone();
    way.push(child);
    way.extend(inner);
    Some(Falsified { way, why })
}

/// The count or rate that an expression gives, where it is one and no ratio.
fn measure(expr: &Expr) -> Option<(Way, &'static str)> {
    match expr {
        Expr::Call(call) if COUNTS.contains(&call.func.name) => {
            Some((Way::new(), "counts events in a time, of which a part passes"))
        }
        Expr::Call(call) if RATES.contains(&call.func.name) => {
            Some((Way::new(), "is a rate per second of traffic that is not faster"))
        }
        Expr::Binary(binary) if binary.op.to_string() == "/" => None,
        Expr::Call(_)
        | Expr::Binary(_)
        | Expr::Paren(_)
        | Expr::Unary(_)
        | Expr::Aggregate(_)
        | Expr::Subquery(_) => {
            let found = children(expr).into_iter().enumerate().find_map(|(number, child)| {
                measure(child).map(|(mut way, why)| {
                    way.insert(0, number);
                    (way, why)
                })
            });
            // A quantile of rates is a time and no rate.
            let quantile = matches!(expr, Expr::Call(call) if call.func.name.starts_with("histogram_"));
            found.filter(|_| !quantile)
        }
        Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Extension(_) => None,
    }
}

/// The text of a falsified part, as the parser prints it.
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
    #[case::count("increase(a[1h]) > 5", &["increase(a[1h])"])]
    #[case::count_in_a_sum("sum by (x) (increase(a[1h])) > 5", &["increase(a[1h])"])]
    #[case::count_of_none("increase(a[1h]) == 0", &[])]
    #[case::rate("rate(a[5m]) > 100", &["rate(a[5m])"])]
    #[case::ratio("rate(a[5m]) / rate(b[5m]) > 0.05", &[])]
    #[case::ratio_in_percent("sum(rate(a[5m])) / sum(rate(b[5m])) * 100 > 5", &[])]
    #[case::quantile("histogram_quantile(0.99, rate(a_bucket[5m])) > 1", &[])]
    #[case::clock("time() - a > 300", &["time()"])]
    #[case::calendar("hour() > 8 and up == 0", &["hour()"])]
    #[case::ahead("predict_linear(a[1h], 3600) < 0", &["predict_linear(a[1h], 3600)"])]
    #[case::gauge("a > 5", &[])]
    #[case::turned("5 < increase(a[1h])", &["increase(a[1h])"])]
    fn what_time_would_falsify_is_named(#[case] text: &str, #[case] wanted: &[&str]) {
        let expr = parse(text).unwrap();
        let found: Vec<_> = falsified(&expr).iter().map(|one| one.part(&expr).to_string()).collect();
        let wanted: Vec<_> = wanted.iter().map(|text| parse(text).unwrap().to_string()).collect();
        assert_eq!(found, wanted);
    }
}
