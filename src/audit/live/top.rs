//! Quantiles that are to exceed the last bucket of their histogram, which no quantile does.

use promql_parser::parser::token::{T_GTE, T_GTR};
use promql_parser::parser::{Call, Expr};

use super::{Asked, Live};
use crate::finding::{Code, Finding};
use crate::prometheus::Error;
use crate::promql::{Way, down, metric, part, parts, selectors};
use crate::source::Sources;

/// Checks every quantile that is compared with a number.
pub(super) async fn check(live: &Live, asked: Asked<'_>, sources: &Sources) -> Result<Vec<Finding>, Error> {
    let mut found = Vec::new();
    for (way, expr) in parts(&asked.query.expr) {
        let Expr::Binary(binary) = expr else { continue };
        let Expr::NumberLiteral(threshold) = &*binary.rhs else { continue };
        let Some((inner, call)) = quantile(&asked.query.expr, down(&way, 0)) else { continue };
        let Some((name, top)) = top(live, call).await? else { continue };
        let beyond = match binary.op.id() {
            id if id == T_GTR => threshold.val >= top,
            id if id == T_GTE => threshold.val > top,
            _ => false,
        };
        if beyond {
            let title = format!("the last bucket of `{name}` ends at {top}, and no quantile is above it");
            let place = asked.place_of(&down(&way, 1), sources);
            let finding = Finding::new(Code::AuditThreshold, place, title).label("never reached");
            found.push(
                finding
                    .also(asked.place_of(&inner, sources), format!("at most {top}"))
                    .help(format!("give `{name}` buckets beyond {}, or compare with less", threshold.val)),
            );
        }
    }
    Ok(found)
}

/// The quantile that an expression is, in or behind parentheses.
fn quantile(expr: &Expr, way: Way) -> Option<(Way, &Call)> {
    match part(expr, &way) {
        Expr::Paren(_) => quantile(expr, down(&way, 0)),
        Expr::Call(call) if call.func.name == "histogram_quantile" => Some((way, call)),
        Expr::Call(_)
        | Expr::Aggregate(_)
        | Expr::Unary(_)
        | Expr::Binary(_)
        | Expr::Subquery(_)
        | Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Extension(_) => None,
    }
}

/// The histogram that a quantile is of, and where its last bucket ends.
async fn top(live: &Live, call: &Call) -> Result<Option<(String, f64)>, Error> {
    let Some(buckets) = call.args.args.last() else { return Ok(None) };
    let selected = selectors(buckets);
    let [(_, selector)] = selected.as_slice() else { return Ok(None) };
    let Some(name) = metric(selector).and_then(|name| name.strip_suffix("_bucket")) else { return Ok(None) };
    let ends = live.values(&format!("{name}_bucket"), "le").await?;
    let finite = ends.iter().filter_map(|end| end.parse::<f64>().ok()).filter(|end| end.is_finite());
    Ok(finite.reduce(f64::max).map(|top| (name.to_owned(), top)))
}
