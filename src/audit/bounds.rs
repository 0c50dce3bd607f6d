//! Between which values an expression can be, whatever its series are; and comparisons that so never hold.

use promql_parser::parser::token::{
    T_ADD, T_AVG, T_COUNT, T_DIV, T_EQLC, T_GROUP, T_GTE, T_GTR, T_LOR, T_LSS, T_LTE, T_MAX, T_MIN, T_MUL,
    T_QUANTILE, T_SUB, T_SUM,
};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{AggregateExpr, BinaryExpr, Call, Expr, VectorSelector};

use super::kinds::Kinds;
use crate::finding::{Code, Finding};
use crate::promql::{Query, down, metric, parts};
use crate::source::Sources;

/// Metrics that are 0 or 1 and nothing else.
const SWITCHES: [&str; 2] = ["up", "probe_success"];

/// The least and the greatest value, both possible.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bounds {
    least: f64,
    most: f64,
}

impl Bounds {
    const ANY: Self = Self { least: f64::NEG_INFINITY, most: f64::INFINITY };
    const NOT_NEGATIVE: Self = Self { least: 0.0, most: f64::INFINITY };
    const SHARE: Self = Self { least: 0.0, most: 1.0 };

    const fn of(least: f64, most: f64) -> Self {
        Self { least, most }
    }

    /// Of the extremes of these values; of any, where one of them is none.
    fn around(values: [f64; 4]) -> Self {
        if values.iter().any(|value| value.is_nan()) {
            return Self::ANY;
        }
        let least = values.into_iter().fold(f64::INFINITY, f64::min);
        Self { least, most: values.into_iter().fold(f64::NEG_INFINITY, f64::max) }
    }

    fn or(self, other: Self) -> Self {
        Self { least: self.least.min(other.least), most: self.most.max(other.most) }
    }

    fn is_known(self) -> bool {
        self.least.is_finite() || self.most.is_finite()
    }
}

/// Comparisons of a rule that never hold. Shares of a metric in itself are looked at elsewhere.
pub(super) fn check(query: &Query, kinds: &Kinds, sources: &Sources) -> Vec<Finding> {
    let mut found = Vec::new();
    for (way, expr) in parts(&query.expr) {
        let Expr::Binary(binary) = expr else { continue };
        let gives_bool = binary.modifier.as_ref().is_some_and(|modifier| modifier.return_bool);
        if !binary.op.is_comparison_operator() || gives_bool {
            continue;
        }
        let (left, right) = (bounds(&binary.lhs, kinds), bounds(&binary.rhs, kinds));
        if !(left.is_known() && right.is_known() && never(binary, left, right)) {
            continue;
        }
        let measured = usize::from(!matches!(binary.lhs.value_type(), ValueType::Vector));
        let (is, side) = if measured == 0 { (left, right) } else { (right, left) };
        let wanted =
            if side.least.total_cmp(&side.most).is_eq() { side.least.to_string() } else { described(side) };
        let title = format!("this is {}, and is compared with {wanted}", described(is));
        let finding =
            Finding::new(Code::AuditThreshold, query.place_of(&down(&way, 1 - measured), sources), title);
        let measured = query.place_of(&down(&way, measured), sources);
        found.push(finding.label("never reached").also(measured, described(is)));
    }
    found
}

/// `between 0 and 1`, `at least 0`.
fn described(bounds: Bounds) -> String {
    match (bounds.least.is_finite(), bounds.most.is_finite()) {
        (true, true) if bounds.least.total_cmp(&bounds.most).is_eq() => format!("always {}", bounds.least),
        (true, true) => format!("between {} and {}", bounds.least, bounds.most),
        (true, false) => format!("at least {}", bounds.least),
        (false, true) => format!("at most {}", bounds.most),
        (false, false) => "anything".to_owned(),
    }
}

/// Whether a comparison never holds.
fn never(binary: &BinaryExpr, left: Bounds, right: Bounds) -> bool {
    match binary.op.id() {
        id if id == T_GTR => left.most <= right.least,
        id if id == T_GTE => left.most < right.least,
        id if id == T_LSS => left.least >= right.most,
        id if id == T_LTE => left.least > right.most,
        id if id == T_EQLC => left.most < right.least || left.least > right.most,
        _ => false,
    }
}

fn bounds(expr: &Expr, kinds: &Kinds) -> Bounds {
    match expr {
        Expr::Paren(inner) => bounds(&inner.expr, kinds),
        Expr::Unary(inner) => {
            let inner = bounds(&inner.expr, kinds);
            Bounds::of(-inner.most, -inner.least)
        }
        Expr::NumberLiteral(number) if !number.val.is_nan() => Bounds::of(number.val, number.val),
        Expr::VectorSelector(selector) => selected(selector, kinds),
        Expr::MatrixSelector(matrix) => selected(&matrix.vs, kinds),
        Expr::Subquery(inner) => bounds(&inner.expr, kinds),
        Expr::Call(call) => called(call, kinds),
        Expr::Aggregate(aggregate) => aggregated(aggregate, kinds),
        Expr::Binary(binary) => combined(expr, binary, kinds),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => Bounds::ANY,
    }
}

fn selected(selector: &VectorSelector, kinds: &Kinds) -> Bounds {
    match metric(selector) {
        Some(name) if SWITCHES.contains(&name) => Bounds::SHARE,
        Some(name) if kinds.is_counter(name).is_some() => Bounds::NOT_NEGATIVE,
        Some(_) | None => Bounds::ANY,
    }
}

fn called(call: &Call, kinds: &Kinds) -> Bounds {
    let argument =
        |number: usize| call.args.args.get(number).map_or(Bounds::ANY, |argument| bounds(argument, kinds));
    match call.func.name {
        "rate" | "irate" | "increase" | "changes" | "resets" | "count_over_time" | "stddev_over_time" => {
            Bounds::NOT_NEGATIVE
        }
        "absent" | "absent_over_time" | "present_over_time" => Bounds::of(1.0, 1.0),
        "avg_over_time" | "min_over_time" | "max_over_time" | "last_over_time" | "vector" | "scalar"
        | "sort" | "sort_desc" | "label_replace" | "label_join" => argument(0),
        "quantile_over_time" => argument(1),
        "sum_over_time" if argument(0).least >= 0.0 => Bounds::NOT_NEGATIVE,
        "hour" => Bounds::of(0.0, 23.0),
        "minute" => Bounds::of(0.0, 59.0),
        "day_of_week" => Bounds::of(0.0, 6.0),
        "day_of_month" => Bounds::of(1.0, 31.0),
        "day_of_year" => Bounds::of(1.0, 366.0),
        "days_in_month" => Bounds::of(28.0, 31.0),
        "month" => Bounds::of(1.0, 12.0),
        _ => Bounds::ANY,
    }
}

fn aggregated(aggregate: &AggregateExpr, kinds: &Kinds) -> Bounds {
    let inner = bounds(&aggregate.expr, kinds);
    match aggregate.op.id() {
        id if [T_AVG, T_MIN, T_MAX, T_QUANTILE].contains(&id) => inner,
        id if id == T_GROUP => Bounds::of(1.0, 1.0),
        id if id == T_COUNT => Bounds::of(1.0, f64::INFINITY),
        id if id == T_SUM && inner.least >= 0.0 => Bounds::of(inner.least, f64::INFINITY),
        _ => Bounds::ANY,
    }
}

fn combined(expr: &Expr, binary: &BinaryExpr, kinds: &Kinds) -> Bounds {
    let (left, right) = (bounds(&binary.lhs, kinds), bounds(&binary.rhs, kinds));
    let id = binary.op.id();
    if binary.op.is_comparison_operator() {
        let gives_bool = binary.modifier.as_ref().is_some_and(|modifier| modifier.return_bool);
        let left_is_measured = binary.lhs.value_type() == ValueType::Vector;
        return match (gives_bool, left_is_measured) {
            (true, _) => Bounds::SHARE,
            (false, true) => left,
            (false, false) => right,
        };
    }
    if binary.op.is_set_operator() {
        return if id == T_LOR { left.or(right) } else { left };
    }
    match id {
        id if id == T_ADD => Bounds::of(left.least + right.least, left.most + right.most),
        id if id == T_SUB => Bounds::of(left.least - right.most, left.most - right.least),
        id if id == T_MUL => Bounds::around([
            left.least * right.least,
            left.least * right.most,
            left.most * right.least,
            left.most * right.most,
        ]),
        id if id == T_DIV && super::expression::is_share(expr) => Bounds::SHARE,
        // What is not negative divided by a number that is positive.
        id if id == T_DIV && right.least > 0.0 => Bounds::around([
            left.least / right.least,
            left.least / right.most,
            left.most / right.least,
            left.most / right.most,
        ]),
        id if id == T_DIV && left.least >= 0.0 && right.least >= 0.0 => Bounds::NOT_NEGATIVE,
        _ => Bounds::ANY,
    }
}
