//! Questions that are the same but for the value of one label, asked as one: what a range costs a Prometheus is for the
//! most part for there being one, so that twenty-five questions together take a third of what they take by themselves.
//!
//! Pure. What would not be the same together is left apart.

use std::collections::BTreeMap;

use promql_parser::label::{Labels, MatchOp, Matcher};
use promql_parser::parser::token::{T_AVG, T_COUNT, T_GROUP, T_MAX, T_MIN, T_SUM};
use promql_parser::parser::{self, AggregateExpr, BinaryExpr, Expr, LabelModifier, VectorSelector};

/// Values that are asked about at once. More would save little, and hold up an answer.
const MOST_VALUES: usize = 25;

/// Functions that look at each series by itself and keep its labels.
const BY_SERIES: [&str; 8] = [
    "increase",
    "rate",
    "irate",
    "sum_over_time",
    "count_over_time",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
];

/// What stands for a value where questions are compared: no label has it.
const ANY: &str = "\u{1}";

/// Questions by their numbers, and each one's value.
type Members = Vec<(usize, String)>;

/// Questions to be asked as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    /// The label that they differ in.
    pub(super) label: String,
    /// Which questions.
    pub(super) members: Members,
    /// The expressions, in the order of the questions' own; each has a series for each value.
    pub(super) terms: Vec<String>,
}

/// The batches that questions fall into, each of which has several expressions. Those that are like no other are in
/// none.
pub(super) fn batches(questions: &[Vec<&str>]) -> Vec<Batch> {
    let read =
        |terms: &Vec<&str>| terms.iter().map(|term| parser::parse(term).ok()).collect::<Option<Vec<_>>>();
    // By what they have in common: the label, and the expressions without its value.
    let mut alike: BTreeMap<(String, Vec<String>), Members> = BTreeMap::new();
    let mut read_terms = Vec::new();
    for (number, terms) in questions.iter().enumerate() {
        let terms = read(terms);
        for (label, value) in terms.iter().flatten().next().map(pivots).unwrap_or_default() {
            let all = terms.iter().flatten().map(|term| together(term, &label, &value, ANY));
            if let Some(all) = all.collect::<Option<Vec<_>>>() {
                alike.entry((label, all)).or_default().push((number, value));
            }
        }
        read_terms.push(terms.unwrap_or_default());
    }
    // A question may be like others in several labels: it goes with the most.
    let mut sizes: Vec<_> = alike.into_iter().collect();
    sizes.sort_by_key(|(_, members)| std::cmp::Reverse(members.len()));
    let mut taken = vec![false; questions.len()];
    let mut batches = Vec::new();
    for ((label, _), mut members) in sizes {
        members.retain(|(number, _)| !taken[*number]);
        members.sort_by(|one, other| one.1.cmp(&other.1));
        for members in at_once(members) {
            let [(first, value), _, ..] = members.as_slice() else { continue };
            let mut values: Vec<_> = members.iter().map(|(_, value)| regex::escape(value)).collect();
            values.dedup();
            let values = values.join("|");
            let terms = read_terms[*first].iter().map(|term| together(term, &label, value, &values));
            let Some(terms) = terms.collect() else { continue };
            for (number, _) in &members {
                taken[*number] = true;
            }
            batches.push(Batch { label: label.clone(), members, terms });
        }
    }
    batches
}

/// Members in their order, in groups of as many values as may be asked about at once.
fn at_once(members: Members) -> Vec<Members> {
    let mut groups: Vec<Members> = Vec::new();
    let (mut last, mut values) = (None, 0);
    for (number, value) in members {
        if last.as_ref() != Some(&value) {
            last = Some(value.clone());
            values += 1;
            if values % MOST_VALUES == 1 {
                groups.push(Vec::new());
            }
        }
        if let Some(group) = groups.last_mut() {
            group.push((number, value));
        }
    }
    groups
}

/// The labels that the first selector of an expression wants to have a value, and the value.
fn pivots(expr: &Expr) -> Vec<(String, String)> {
    let Some(selector) = first_selector(expr) else { return Vec::new() };
    let equal =
        selector.matchers.matchers.iter().filter(|one| one.op == MatchOp::Equal && !one.value.is_empty());
    let equal = equal.filter(|one| one.name != "__name__" && one.name != super::LABEL);
    equal.map(|one| (one.name.clone(), one.value.clone())).collect()
}

fn first_selector(expr: &Expr) -> Option<&VectorSelector> {
    match expr {
        Expr::VectorSelector(selector) => Some(selector),
        Expr::MatrixSelector(matrix) => Some(&matrix.vs),
        Expr::Paren(inner) => first_selector(&inner.expr),
        Expr::Unary(inner) => first_selector(&inner.expr),
        Expr::Subquery(inner) => first_selector(&inner.expr),
        Expr::Aggregate(inner) => first_selector(&inner.expr),
        Expr::Call(call) => call.args.args.iter().find_map(|argument| first_selector(argument)),
        Expr::Binary(binary) => first_selector(&binary.lhs).or_else(|| first_selector(&binary.rhs)),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => None,
    }
}

/// An expression with a label's one value replaced by a pattern of values, its series kept apart by the label; `None`
/// where that would not give for each value what the expression gives for it alone.
fn together(expr: &Expr, label: &str, value: &str, pattern: &str) -> Option<String> {
    let mut expr = expr.clone();
    let widened = Widened { label, value, pattern: pattern.to_owned() };
    widened.put(&mut expr).then(|| expr.to_string())
}

struct Widened<'a> {
    label: &'a str,
    value: &'a str,
    pattern: String,
}

impl Widened<'_> {
    /// Whether it could be put in everywhere.
    fn put(&self, expr: &mut Expr) -> bool {
        match expr {
            Expr::VectorSelector(selector) => self.select(selector),
            Expr::MatrixSelector(matrix) => self.select(&mut matrix.vs),
            Expr::Paren(inner) => self.put(&mut inner.expr),
            Expr::Unary(inner) => self.put(&mut inner.expr),
            Expr::Subquery(inner) => self.put(&mut inner.expr),
            Expr::Aggregate(aggregate) => self.group(aggregate),
            Expr::Call(call) => {
                BY_SERIES.contains(&call.func.name)
                    && call.args.args.iter_mut().all(|argument| self.put(argument))
            }
            Expr::Binary(binary) => self.join(binary),
            Expr::NumberLiteral(_) => true,
            Expr::StringLiteral(_) | Expr::Extension(_) => false,
        }
    }

    /// The label must be wanted once, with just this value.
    fn select(&self, selector: &mut VectorSelector) -> bool {
        let mut named = selector.matchers.matchers.iter_mut().filter(|one| one.name == self.label);
        let (Some(one), None) = (named.next(), named.next()) else { return false };
        if !selector.matchers.or_matchers.is_empty() || one.op != MatchOp::Equal || one.value != self.value {
            return false;
        }
        let Ok(pattern) = regex::Regex::new(&self.pattern) else { return false };
        *one = Matcher::new(MatchOp::Re(pattern), self.label, &self.pattern);
        true
    }

    /// What is added up is added up for each value.
    fn group(&self, aggregate: &mut AggregateExpr) -> bool {
        if aggregate.param.is_some()
            || ![T_SUM, T_COUNT, T_AVG, T_MIN, T_MAX, T_GROUP].contains(&aggregate.op.id())
        {
            return false;
        }
        match &mut aggregate.modifier {
            None => aggregate.modifier = Some(LabelModifier::Include(Labels::new(vec![self.label]))),
            Some(LabelModifier::Include(labels)) => {
                if !labels.labels.iter().any(|label| label == self.label) {
                    labels.labels.push(self.label.to_owned());
                }
            }
            Some(LabelModifier::Exclude(labels)) if labels.labels.iter().any(|label| label == self.label) => {
                return false;
            }
            Some(LabelModifier::Exclude(_)) => {}
        }
        self.put(&mut aggregate.expr)
    }

    /// Both sides have the label, so that a plain match goes by it too.
    fn join(&self, binary: &mut BinaryExpr) -> bool {
        let plain = binary.modifier.as_ref().is_none_or(|modifier| {
            modifier.matching.is_none()
                && modifier.fill_values.lhs.is_none()
                && modifier.fill_values.rhs.is_none()
        });
        plain && self.put(&mut binary.lhs) && self.put(&mut binary.rhs)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn widened(term: &str) -> Option<String> {
        let expr = parser::parse(term).unwrap();
        together(&expr, "service", "a", "a|b")
    }

    #[rstest]
    #[case::summed(
        r#"sum(increase(x_total{code="500",service="a"}[30d]))"#,
        r#"sum by (service) (increase(x_total{code="500",service=~"a|b"}[30d]))"#
    )]
    #[case::grouped(r#"sum by (job) (x{service="a"})"#, r#"sum by (job, service) (x{service=~"a|b"})"#)]
    #[case::looked_at(
        r#"count_over_time((count(x{service="a"}))[1d:15m])"#,
        r#"count_over_time((count by (service) (x{service=~"a|b"}))[1d:15m])"#
    )]
    #[case::two_counters(
        r#"sum(x{service="a"}) - sum(y{service="a"})"#,
        r#"sum by (service) (x{service=~"a|b"}) - sum by (service) (y{service=~"a|b"})"#
    )]
    #[case::never_absent(
        r#"sum(x{service="a"}) or 0 * sum(y{service="a"})"#,
        r#"sum by (service) (x{service=~"a|b"}) or 0 * sum by (service) (y{service=~"a|b"})"#
    )]
    #[case::without_another(
        r#"sum without (pod) (x{service="a"})"#,
        r#"sum without (pod) (x{service=~"a|b"})"#
    )]
    fn a_question_about_one_becomes_one_about_all(#[case] term: &str, #[case] wanted: &str) {
        assert_eq!(widened(term).unwrap(), wanted);
    }

    #[rstest]
    #[case::not_everywhere(r#"sum(x{service="a"}) / sum(y)"#)]
    #[case::another_value(r#"sum(x{service="a"}) / sum(y{service="b"})"#)]
    #[case::a_pattern(r#"sum(x{service=~"a"})"#)]
    #[case::twice(r#"sum(x{service="a",service!="c"})"#)]
    #[case::taken_away(r#"sum without (service) (x{service="a"})"#)]
    #[case::of_no_label(r#"sum(x{service="a"}) or vector(0)"#)]
    #[case::absent(r#"absent(x{service="a"})"#)]
    #[case::the_largest(r#"topk(1, x{service="a"})"#)]
    #[case::matched_otherwise(r#"x{service="a"} / on(job) y{service="a"}"#)]
    fn what_would_not_be_the_same_is_left_apart(#[case] term: &str) {
        assert_eq!(widened(term), None);
    }

    #[test]
    fn questions_go_with_most_of_their_like() {
        let of = |job: &str, service: &str| format!(r#"sum(x{{job="{job}",service="{service}"}})"#);
        let shop = |service: &str| of("shop", service);
        let terms = [shop("a"), shop("b.c"), shop("a"), of("till", "a"), "up".to_owned(), shop("d")];
        let questions: Vec<Vec<&str>> = terms.iter().map(|term| vec![term.as_str()]).collect();
        let found = batches(&questions);
        let member = |number: usize, value: &str| (number, value.to_owned());
        assert_eq!(
            found,
            [Batch {
                label: "service".to_owned(),
                members: vec![member(0, "a"), member(2, "a"), member(1, "b.c"), member(5, "d")],
                terms: vec![r#"sum by (service) (x{job="shop",service=~"a|b\\.c|d"})"#.to_owned()],
            }]
        );
    }

    #[test]
    fn no_batch_is_larger_than_may_be() {
        let terms: Vec<String> = (0..60).map(|at| format!(r#"sum(x{{service="s{at:02}"}})"#)).collect();
        let questions: Vec<Vec<&str>> = terms.iter().map(|term| vec![term.as_str()]).collect();
        let sizes: Vec<_> = batches(&questions).iter().map(|batch| batch.members.len()).collect();
        assert_eq!(sizes, [25, 25, 10]);
    }
}
