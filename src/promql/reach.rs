//! How far an expression looks back.

use std::time::Duration;

use promql_parser::parser::{Expr, Offset};

use super::children;

/// How far an expression looks back, over all its selectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reach {
    /// The age of the newest sample that the least shifted of its selectors reads: how long whatever happens stays
    /// unseen. Looking ahead counts as none.
    pub newest: Duration,
    /// The age of the oldest sample that any of its selectors reads: how long whatever happened is seen.
    pub oldest: Duration,
}

/// How far an expression looks back. `recorded` knows that of metrics that rules record.
#[must_use]
pub fn reach(expr: &Expr, recorded: &dyn Fn(&str) -> Option<Reach>) -> Reach {
    let at = |range: Duration, offset: Option<&Offset>, inner: Reach| {
        let shift = |age: Duration| match offset {
            None => age,
            Some(Offset::Pos(back)) => age.saturating_add(*back),
            Some(Offset::Neg(ahead)) => age.saturating_sub(*ahead),
        };
        Reach { newest: shift(inner.newest), oldest: shift(inner.oldest.saturating_add(range)) }
    };
    let of = |selector| super::metric(selector).and_then(recorded).unwrap_or_default();
    match expr {
        Expr::VectorSelector(selector) => at(Duration::ZERO, selector.offset.as_ref(), of(selector)),
        Expr::MatrixSelector(matrix) => at(matrix.range, matrix.vs.offset.as_ref(), of(&matrix.vs)),
        Expr::Subquery(subquery) => {
            at(subquery.range, subquery.offset.as_ref(), reach(&subquery.expr, recorded))
        }
        Expr::Paren(_)
        | Expr::Unary(_)
        | Expr::Binary(_)
        | Expr::Call(_)
        | Expr::Aggregate(_)
        | Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::Extension(_) => {
            let looks = |child: &&Expr| !super::selectors(child).is_empty();
            let reached = children(expr).into_iter().filter(looks).map(|child| reach(child, recorded));
            reached
                .reduce(|one, other| Reach {
                    newest: one.newest.min(other.newest),
                    oldest: one.oldest.max(other.oldest),
                })
                .unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use promql_parser::parser::parse;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::now("up == 0", 0, 0)]
    #[case::range("rate(x[5m]) > 1", 0, 300)]
    #[case::longest("rate(x[5m]) / rate(y[1h])", 0, 3600)]
    #[case::shifted("rate(x[5m] offset 1h)", 3600, 3900)]
    #[case::least_shifted("x - x offset 1h", 0, 3600)]
    #[case::ahead("x offset -1h", 0, 0)]
    #[case::subquery("max_over_time(rate(x[5m])[1h:1m] offset 10m)", 600, 4500)]
    #[case::recorded("job:rate5m > 1", 0, 300)]
    #[case::number("x offset 1h > 5", 3600, 3600)]
    #[case::clock("vector(time()) > 5", 0, 0)]
    fn how_far_back(#[case] text: &str, #[case] newest: u64, #[case] oldest: u64) {
        let recorded = |name: &str| {
            (name == "job:rate5m").then(|| Reach { newest: Duration::ZERO, oldest: Duration::from_secs(300) })
        };
        let wanted = Reach { newest: Duration::from_secs(newest), oldest: Duration::from_secs(oldest) };
        assert_eq!(reach(&parse(text).unwrap(), &recorded), wanted);
    }
}
