//! Operators whose sides both give something, and no series of the one goes with any of the other.

use promql_parser::parser::value::ValueType;
use promql_parser::parser::{BinaryExpr, Expr};

use super::{Asked, Live, Number};
use crate::drill::{in_the_way, unfiltered};
use crate::finding::{Code, Finding};
use crate::prometheus::Error;
use crate::prometheus::answer::describe;
use crate::promql::{down, parts};
use crate::source::Sources;

/// Checks every operator between series.
pub(super) async fn check(live: &Live, asked: Asked<'_>, sources: &Sources) -> Result<Vec<Finding>, Error> {
    let mut found = Vec::new();
    for (way, expr) in parts(&asked.query.expr) {
        let Expr::Binary(binary) = expr else { continue };
        let vectors = [&binary.lhs, &binary.rhs].iter().all(|side| side.value_type() == ValueType::Vector);
        // What `or` adds and `unless` takes away need not go together.
        let needs_pairs = !binary.op.is_set_operator() || binary.op.to_string() == "and";
        if !vectors || !needs_pairs {
            continue;
        }
        let (lhs, rhs) = (unfiltered(&binary.lhs), unfiltered(&binary.rhs));
        let (left, right) = (live.series(&lhs.to_string()).await?, live.series(&rhs.to_string()).await?);
        if left.is_empty() || right.is_empty() {
            continue;
        }
        let Some((title, label, help)) = apart(live, binary, &left, &right).await? else { continue };
        let finding = Finding::new(Code::AuditPartner, asked.place_of(&down(&way, 0), sources), title);
        let finding = finding.label(label);
        found.push(finding.also(asked.place_of(&down(&way, 1), sources), example(&right)).help(help));
    }
    Ok(found)
}

/// What keeps the sides apart; `None` where they go together.
async fn apart(
    live: &Live,
    binary: &BinaryExpr,
    left: &[Number],
    right: &[Number],
) -> Result<Option<(String, String, String)>, Error> {
    let paired = live.ask(&paired(binary).to_string()).await?;
    let title = match paired {
        Ok(pairs) if !pairs.is_empty() => return Ok(None),
        Ok(_) => "no series of one side has a partner on the other".to_owned(),
        Err(said) => {
            if !["duplicate series", "multiple matches"].iter().any(|word| said.contains(word)) {
                return Ok(None);
            }
            let title = "several series of one side go with one of the other".to_owned();
            let help = "say which labels have to be the same, `on (…)`, and which side has many, \
                        `group_left` or `group_right`";
            return Ok(Some((title, example(left), help.to_owned())));
        }
    };
    let labels = |side: &[Number]| side.iter().map(|one| one.labels.clone()).collect::<Vec<_>>();
    let (left_labels, right_labels) = (labels(left), labels(right));
    let ways = in_the_way(left_labels.iter(), right_labels.iter(), binary.modifier.as_ref());
    let named: Vec<_> = ways.iter().map(|label| format!("`{label}`")).collect();
    let help = if named.is_empty() {
        "say which labels have to be the same: `on (…)` or `ignoring (…)`".to_owned()
    } else {
        format!(
            "the sides differ in {}: add `ignoring ({})`, or `on (…)` with what they share",
            named.join(", "),
            ways.join(", ")
        )
    };
    Ok(Some((title, example(left), help)))
}

/// The labels of one series of a side.
fn example(side: &[Number]) -> String {
    side.first().map(|one| describe(&one.labels)).unwrap_or_default()
}

/// The operator between what its sides compare, so that it gives all that goes together.
fn paired(binary: &BinaryExpr) -> Expr {
    let bare = BinaryExpr {
        lhs: Box::new(in_parentheses(unfiltered(&binary.lhs))),
        rhs: Box::new(in_parentheses(unfiltered(&binary.rhs))),
        ..binary.clone()
    };
    if bare.op.is_comparison_operator() {
        return crate::drill::with_bool(&bare);
    }
    Expr::Binary(bare)
}

fn in_parentheses(expr: Expr) -> Expr {
    if matches!(expr, Expr::Binary(_)) {
        return Expr::Paren(promql_parser::parser::ParenExpr { expr: Box::new(expr) });
    }
    expr
}
