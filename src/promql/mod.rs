//! PromQL expressions: read, with the place of every part; re-timed; judged by whether re-timing falsifies them.

mod align;
mod duration;
mod falsify;
mod guard;
mod labels;
mod reach;
mod scale;
mod token;

use std::collections::BTreeMap;
use std::ops::Range;

use promql_parser::parser::{Expr, VectorSelector};

pub use self::duration::PromDuration;
pub use self::falsify::{Falsified, Why, falsified};
pub use self::guard::Malformed;
pub use self::labels::{Carried, carried};
pub use self::reach::{Reach, reach};
pub use self::scale::{TooShort, scaled, scaled_duration};
use crate::source::{Place, Sources};
use crate::yaml::within;

/// The way from an expression to one of its parts: which child, level by level. A rule and the same rule re-timed
/// have the same ways.
pub type Way = Vec<usize>;

/// An expression and where it was written.
#[derive(Debug, Clone)]
pub struct Query {
    /// As it was written.
    pub text: String,
    /// The scalar it was written as.
    pub place: Place,
    /// What it means.
    pub expr: Expr,
    parts: BTreeMap<Way, Range<usize>>,
}

impl Query {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it, in the parser's words.
    pub fn read(text: &str, place: Place) -> Result<Self, Malformed> {
        let expr = guard::parse(text)?;
        let parts = align::align(text, &expr);
        Ok(Self { text: text.to_owned(), place, expr, parts })
    }

    /// The bytes of `text` that a part is; those of the nearest part around it that is known.
    #[must_use]
    pub fn range(&self, way: &[usize]) -> Range<usize> {
        let around = (0..=way.len()).rev().find_map(|length| self.parts.get(&way[..length]));
        around.cloned().unwrap_or(0..self.text.len())
    }

    /// Where in the file a part stands.
    #[must_use]
    pub fn place_of(&self, way: &[usize], sources: &Sources) -> Place {
        self.place_of_range(self.range(way), sources)
    }

    /// Where in the file the name of the metric stands that the selector at `way` selects; all of the selector
    /// where it has none before its braces.
    #[must_use]
    pub fn place_of_name(&self, way: &[usize], sources: &Sources) -> Place {
        let range = self.range(way);
        let name = selected(part(&self.expr, way)).and_then(|selector| selector.name.as_deref());
        let named = name.filter(|name| self.text[range.clone()].starts_with(name));
        let end = named.map_or(range.end, |name| range.start + name.len());
        self.place_of_range(range.start..end, sources)
    }

    /// Where in the file some bytes of the expression stand.
    #[must_use]
    pub fn place_of_range(&self, range: Range<usize>, sources: &Sources) -> Place {
        within(self.place, sources.text(self.place), &self.text, range)
    }
}

/// The part of an expression that a way leads to; the last one there is, where it leads further.
#[must_use]
pub fn part<'e>(expr: &'e Expr, way: &[usize]) -> &'e Expr {
    let Some((first, rest)) = way.split_first() else { return expr };
    match children(expr).get(*first) {
        Some(child) => part(child, rest),
        None => expr,
    }
}

/// The parts of an expression, in the order that ways count them. The parameter of an aggregation comes behind
/// what is aggregated.
#[must_use]
pub fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Paren(inner) => vec![&inner.expr],
        Expr::Unary(inner) => vec![&inner.expr],
        Expr::Subquery(inner) => vec![&inner.expr],
        Expr::Aggregate(inner) => {
            std::iter::once(&inner.expr).chain(&inner.param).map(|one| &**one).collect()
        }
        Expr::Call(call) => call.args.args.iter().map(|argument| &**argument).collect(),
        Expr::Binary(binary) => vec![&binary.lhs, &binary.rhs],
        Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Extension(_) => Vec::new(),
    }
}

/// Every part of an expression with the way to it, the whole first.
#[must_use]
pub fn parts(expr: &Expr) -> Vec<(Way, &Expr)> {
    let mut found = vec![(Way::new(), expr)];
    let mut next = 0;
    while let Some((way, expr)) = found.get(next).cloned() {
        for (number, child) in children(expr).into_iter().enumerate() {
            found.push((down(&way, number), child));
        }
        next += 1;
    }
    found
}

/// Every part of an expression with the way to it, in the order in which they are evaluated: each behind all that
/// it is made of, the whole last.
#[must_use]
pub fn steps(expr: &Expr) -> Vec<(Way, &Expr)> {
    fn visit<'e>(expr: &'e Expr, way: &mut Way, found: &mut Vec<(Way, &'e Expr)>) {
        for (number, child) in children(expr).into_iter().enumerate() {
            way.push(number);
            visit(child, way, found);
            way.pop();
        }
        found.push((way.clone(), expr));
    }
    let mut found = Vec::new();
    visit(expr, &mut Way::new(), &mut found);
    found
}

/// Every selector of an expression with the way to it, from left to right; of a range, what it selects.
#[must_use]
pub fn selectors(expr: &Expr) -> Vec<(Way, &VectorSelector)> {
    steps(expr).into_iter().filter_map(|(way, expr)| Some((way, selected(expr)?))).collect()
}

fn selected(expr: &Expr) -> Option<&VectorSelector> {
    match expr {
        Expr::VectorSelector(selector) => Some(selector),
        Expr::MatrixSelector(matrix) => Some(&matrix.vs),
        Expr::Paren(_)
        | Expr::Unary(_)
        | Expr::Subquery(_)
        | Expr::Aggregate(_)
        | Expr::Call(_)
        | Expr::Binary(_)
        | Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::Extension(_) => None,
    }
}

/// The metric that a selector names, before its braces or within them.
#[must_use]
pub fn metric(selector: &VectorSelector) -> Option<&str> {
    let by_matcher = || {
        let is_name = |one: &&promql_parser::label::Matcher| {
            one.name == "__name__" && one.op == promql_parser::label::MatchOp::Equal
        };
        selector.matchers.matchers.iter().find(is_name).map(|one| one.value.as_str())
    };
    selector.name.as_deref().or_else(by_matcher)
}

/// The way one level further down.
#[must_use]
pub fn down(way: &[usize], child: usize) -> Way {
    let mut way = way.to_vec();
    way.push(child);
    way
}

#[cfg(test)]
mod tests;
