//! Expressions re-timed: every duration divided by one factor, by the syntax tree and never by text.

use std::time::Duration;

use promql_parser::parser::{Expr, Offset};

use crate::units::Span;

/// Prometheus knows no duration below this.
const SHORTEST: Duration = Duration::from_millis(1);

/// A duration that nothing is left of.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{} at {speed}x is less than 1ms, which Prometheus does not know", Span(*written))]
pub struct TooShort {
    /// As written.
    pub written: Duration,
    /// What it was divided by.
    pub speed: f64,
}

/// `duration` divided by `speed`, in the whole milliseconds that Prometheus counts in.
///
/// # Errors
/// When less than one is left of it.
pub fn scaled_duration(duration: Duration, speed: f64) -> Result<Duration, TooShort> {
    if duration.is_zero() {
        return Ok(duration);
    }
    let millis = (duration.as_secs_f64() * 1e3 / speed).round();
    let scaled = Duration::from_secs_f64(millis / 1e3);
    if scaled < SHORTEST { Err(TooShort { written: duration, speed }) } else { Ok(scaled) }
}

/// The expression with every range, subquery and offset divided by `speed`. Numbers stay as they are, also those
/// that are meant as seconds: see [`falsified`](super::falsified).
///
/// # Errors
/// When nothing is left of one of them.
pub fn scaled(expr: &Expr, speed: f64) -> Result<Expr, TooShort> {
    let mut expr = expr.clone();
    scale(&mut expr, speed)?;
    Ok(expr)
}

fn scale(expr: &mut Expr, speed: f64) -> Result<(), TooShort> {
    match expr {
        Expr::Paren(inner) => scale(&mut inner.expr, speed),
        Expr::Unary(inner) => scale(&mut inner.expr, speed),
        Expr::Aggregate(inner) => {
            if let Some(parameter) = &mut inner.param {
                scale(parameter, speed)?;
            }
            scale(&mut inner.expr, speed)
        }
        Expr::Call(call) => call.args.args.iter_mut().try_for_each(|argument| scale(argument, speed)),
        Expr::Binary(binary) => {
            scale(&mut binary.lhs, speed)?;
            scale(&mut binary.rhs, speed)
        }
        Expr::Subquery(inner) => {
            inner.range = scaled_duration(inner.range, speed)?;
            if let Some(step) = &mut inner.step {
                *step = scaled_duration(*step, speed)?;
            }
            shift(&mut inner.offset, speed)?;
            scale(&mut inner.expr, speed)
        }
        Expr::VectorSelector(selector) => shift(&mut selector.offset, speed),
        Expr::MatrixSelector(matrix) => {
            matrix.range = scaled_duration(matrix.range, speed)?;
            shift(&mut matrix.vs.offset, speed)
        }
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => Ok(()),
    }
}

fn shift(offset: &mut Option<Offset>, speed: f64) -> Result<(), TooShort> {
    if let Some(Offset::Pos(time) | Offset::Neg(time)) = offset {
        *time = scaled_duration(*time, speed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use promql_parser::parser::parse;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::range("rate(a[5m])", "rate(a[5s])")]
    #[case::subquery("max_over_time(a[1h:1m] offset 10m)", "max_over_time(a[1m:1s] offset 10s)")]
    #[case::offset("a offset 1h > 5", "a offset 1m > 5")]
    #[case::numbers_stay("time() - a > 300", "time() - a > 300")]
    #[case::both_sides(
        "sum by (job) (rate(a[90s])) / sum(rate(b[1m]))",
        "sum by (job) (rate(a[1s500ms])) / sum(rate(b[1s]))"
    )]
    fn durations_are_divided_and_nothing_else(#[case] written: &str, #[case] wanted: &str) {
        let scaled = scaled(&parse(written).unwrap(), 60.0).unwrap();
        assert_eq!(scaled, parse(wanted).unwrap());
    }

    #[test]
    fn what_nothing_is_left_of_is_refused() {
        let error = scaled(&parse("rate(a[20ms])").unwrap(), 60.0).unwrap_err();
        assert_eq!(error.to_string(), "20ms at 60x is less than 1ms, which Prometheus does not know");
    }
}
