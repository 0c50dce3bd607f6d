//! Which labels the series may have that an expression gives.

use std::collections::BTreeSet;

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::token::{T_BOTTOMK, T_COUNT_VALUES, T_LAND, T_LUNLESS, T_TOPK};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{
    AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, VectorMatchCardinality, VectorSelector,
};

use super::metric;

/// The labels that series may have; the name of the metric is none of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carried {
    /// None but these.
    Only(BTreeSet<String>),
    /// Any but these.
    AllBut(BTreeSet<String>),
}

impl Carried {
    /// No label at all.
    #[must_use]
    pub fn none() -> Self {
        Self::Only(BTreeSet::new())
    }

    /// Whatever labels there are.
    #[must_use]
    pub fn any() -> Self {
        Self::AllBut(BTreeSet::new())
    }

    /// Whether a series may have this label.
    #[must_use]
    pub fn may_have(&self, label: &str) -> bool {
        match self {
            Self::Only(labels) => labels.contains(label),
            Self::AllBut(labels) => !labels.contains(label),
        }
    }

    /// With these labels as well.
    #[must_use]
    pub fn with<'l>(self, more: impl IntoIterator<Item = &'l str>) -> Self {
        match self {
            Self::Only(mut labels) => {
                labels.extend(more.into_iter().map(str::to_owned));
                Self::Only(labels)
            }
            Self::AllBut(mut labels) => {
                more.into_iter().for_each(|label| {
                    labels.remove(label);
                });
                Self::AllBut(labels)
            }
        }
    }

    /// Without these labels.
    #[must_use]
    pub fn without<'l>(self, less: impl IntoIterator<Item = &'l str>) -> Self {
        match self {
            Self::Only(mut labels) => {
                less.into_iter().for_each(|label| {
                    labels.remove(label);
                });
                Self::Only(labels)
            }
            Self::AllBut(mut labels) => {
                labels.extend(less.into_iter().map(str::to_owned));
                Self::AllBut(labels)
            }
        }
    }

    /// Of these labels, those that it may have.
    fn among<'l>(&self, labels: impl IntoIterator<Item = &'l String>) -> Self {
        Self::Only(labels.into_iter().filter(|label| self.may_have(label)).cloned().collect())
    }

    /// The labels of either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Only(left), Self::Only(right)) => Self::Only(left.union(&right).cloned().collect()),
            (Self::AllBut(left), Self::AllBut(right)) => {
                Self::AllBut(left.intersection(&right).cloned().collect())
            }
            (Self::Only(some), Self::AllBut(but)) | (Self::AllBut(but), Self::Only(some)) => {
                Self::AllBut(but.difference(&some).cloned().collect())
            }
        }
    }
}

/// The labels of what an expression gives. `recorded` knows those of metrics that rules record.
#[must_use]
pub fn carried(expr: &Expr, recorded: &dyn Fn(&str) -> Option<Carried>) -> Carried {
    match expr {
        Expr::VectorSelector(selector) => selected(selector, recorded),
        Expr::MatrixSelector(matrix) => selected(&matrix.vs, recorded),
        Expr::Paren(inner) => carried(&inner.expr, recorded),
        Expr::Unary(inner) => carried(&inner.expr, recorded),
        Expr::Subquery(inner) => carried(&inner.expr, recorded),
        Expr::Call(call) => called(call, recorded),
        Expr::Aggregate(aggregate) => aggregated(aggregate, recorded),
        Expr::Binary(binary) => joined(binary, recorded),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Carried::none(),
        Expr::Extension(_) => Carried::any(),
    }
}

fn selected(selector: &VectorSelector, recorded: &dyn Fn(&str) -> Option<Carried>) -> Carried {
    let known = metric(selector).and_then(recorded).unwrap_or_else(Carried::any);
    // `{job=""}` asks for those that have none.
    let absent = |one: &&Matcher| one.op == MatchOp::Equal && one.value.is_empty();
    known.without(selector.matchers.matchers.iter().filter(absent).map(|one| one.name.as_str()))
}

fn called(call: &Call, recorded: &dyn Fn(&str) -> Option<Carried>) -> Carried {
    let argument = |number: usize| call.args.args.get(number).map(|argument| &**argument);
    let of = |number| argument(number).map_or_else(Carried::none, |argument| carried(argument, recorded));
    let text = |number| match argument(number) {
        Some(Expr::StringLiteral(text)) => Some(text.val.as_str()),
        Some(_) | None => None,
    };
    match call.func.name {
        "absent" | "absent_over_time" => argument(0).map_or_else(Carried::none, asked_for),
        "label_replace" | "label_join" => of(0).with(text(1)),
        "histogram_quantile" => of(1).without(["le"]),
        "histogram_fraction" => of(2).without(["le"]),
        "info" => Carried::any(),
        "quantile_over_time" => of(1),
        // Of the calendar's functions without an argument, too.
        _ => {
            let vectors = call
                .args
                .args
                .iter()
                .filter(|one| matches!(one.value_type(), ValueType::Vector | ValueType::Matrix));
            vectors.map(|one| carried(one, recorded)).next().unwrap_or_else(Carried::none)
        }
    }
}

/// What `absent` makes labels of: equalities, each label asked for once.
fn asked_for(expr: &Expr) -> Carried {
    let selector = match expr {
        Expr::VectorSelector(selector) => selector,
        Expr::MatrixSelector(matrix) => &matrix.vs,
        Expr::Paren(inner) => return asked_for(&inner.expr),
        Expr::Unary(_)
        | Expr::Subquery(_)
        | Expr::Call(_)
        | Expr::Aggregate(_)
        | Expr::Binary(_)
        | Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::Extension(_) => return Carried::none(),
    };
    let matchers = &selector.matchers.matchers;
    let once = |one: &&Matcher| {
        one.op == MatchOp::Equal
            && one.name != "__name__"
            && matchers.iter().filter(|other| other.name == one.name).count() == 1
    };
    Carried::Only(matchers.iter().filter(once).map(|one| one.name.clone()).collect())
}

fn aggregated(aggregate: &AggregateExpr, recorded: &dyn Fn(&str) -> Option<Carried>) -> Carried {
    let inner = carried(&aggregate.expr, recorded);
    if [T_TOPK, T_BOTTOMK].contains(&aggregate.op.id()) || aggregate.op.to_string().starts_with("limit") {
        return inner;
    }
    let grouped = match &aggregate.modifier {
        None => Carried::none(),
        Some(LabelModifier::Include(by)) => inner.among(&by.labels),
        Some(LabelModifier::Exclude(without)) => inner.without(without.labels.iter().map(String::as_str)),
    };
    match aggregate.param.as_deref() {
        Some(Expr::StringLiteral(label)) if aggregate.op.id() == T_COUNT_VALUES => {
            grouped.with([label.val.as_str()])
        }
        Some(_) | None => grouped,
    }
}

fn joined(binary: &BinaryExpr, recorded: &dyn Fn(&str) -> Option<Carried>) -> Carried {
    let (left, right) = (carried(&binary.lhs, recorded), carried(&binary.rhs, recorded));
    let is_vector = |side: &Expr| side.value_type() == ValueType::Vector;
    match (is_vector(&binary.lhs), is_vector(&binary.rhs)) {
        (true, false) => return left,
        (false, true) => return right,
        (false, false) => return Carried::none(),
        (true, true) => {}
    }
    if binary.op.is_set_operator() {
        let of_left = [T_LAND, T_LUNLESS].contains(&binary.op.id());
        return if of_left { left } else { left.or(right) };
    }
    let modifier = binary.modifier.as_ref();
    match modifier.map_or(&VectorMatchCardinality::OneToOne, |modifier| &modifier.card) {
        VectorMatchCardinality::ManyToOne(more) => left.with(more.labels.iter().map(String::as_str)),
        VectorMatchCardinality::OneToMany(more) => right.with(more.labels.iter().map(String::as_str)),
        VectorMatchCardinality::OneToOne | VectorMatchCardinality::ManyToMany => {
            match modifier.and_then(|modifier| modifier.matching.as_ref()) {
                Some(LabelModifier::Include(on)) => left.among(&on.labels),
                Some(LabelModifier::Exclude(ignored)) => {
                    left.without(ignored.labels.iter().map(String::as_str))
                }
                None => left,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use promql_parser::parser::parse;
    use rstest::rstest;

    use super::*;

    fn only(labels: &[&str]) -> Carried {
        Carried::none().with(labels.iter().copied())
    }

    #[rstest]
    #[case::selector("up", Carried::any())]
    #[case::absent_label("up{team=\"\"}", Carried::any().without(["team"]))]
    #[case::recorded("job:errors", only(&["job"]))]
    #[case::sum("sum(up)", only(&[]))]
    #[case::by("sum by (job, zone) (rate(x[5m]))", only(&["job", "zone"]))]
    #[case::by_within("sum by (job, zone) (sum by (job) (x))", only(&["job"]))]
    #[case::without("sum without (instance) (x)", Carried::any().without(["instance"]))]
    #[case::top("topk by (job) (3, x)", Carried::any())]
    #[case::values("count_values by (job) (\"version\", x)", only(&["job", "version"]))]
    #[case::quantile("histogram_quantile(0.9, sum by (le, job) (rate(x_bucket[5m])))", only(&["job"]))]
    #[case::over_time("quantile_over_time(0.9, x{a=\"\"}[5m])", Carried::any().without(["a"]))]
    #[case::missing("absent(up{job=\"a\", zone=~\"b\", x=\"1\", x=\"2\"})", only(&["job"]))]
    #[case::missing_sum("absent(sum(up))", only(&[]))]
    #[case::replaced("label_replace(sum(x), \"team\", \"a\", \"\", \"\")", only(&["team"]))]
    #[case::number("vector(1)", only(&[]))]
    #[case::clock("time() - x", Carried::any())]
    #[case::compared("sum by (job) (x) > 5", only(&["job"]))]
    #[case::joined("sum by (job) (x) / sum by (job) (y)", only(&["job"]))]
    #[case::joined_on("x / on (job) y", only(&["job"]))]
    #[case::joined_ignoring("x / ignoring (code) y", Carried::any().without(["code"]))]
    #[case::to_one("x * on (job) group_left (team) y", Carried::any())]
    #[case::to_one_of_a_sum("sum by (job) (x) * on (job) group_left (team) y", only(&["job", "team"]))]
    #[case::to_many("x * on (job) group_right () sum by (job, a) (y)", only(&["a", "job"]))]
    #[case::and("sum by (job) (x) and on () y", only(&["job"]))]
    #[case::or("sum by (job) (x) or sum by (zone) (x)", only(&["job", "zone"]))]
    #[case::or_any("sum by (job) (x) or sum without (job, zone) (x)", Carried::any().without(["zone"]))]
    fn what_is_left_of_labels(#[case] text: &str, #[case] wanted: Carried) {
        let recorded = |name: &str| (name == "job:errors").then(|| only(&["job"]));
        assert_eq!(carried(&parse(text).unwrap(), &recorded), wanted);
    }
}
