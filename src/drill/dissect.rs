//! Where an expression that gave nothing went empty: asked of Prometheus part by part, from the leaves up. The
//! first part that gives nothing although its own parts give something is the culprit.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;
use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::token::{T_LAND, T_LOR};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{
    BinModifier, BinaryExpr, Call, Expr, ParenExpr, VectorMatchCardinality, VectorMatchFillValues,
    VectorSelector,
};

use crate::exposition::Labels;
use crate::prometheus::answer::{Data, Series};
use crate::prometheus::{Client, Error};
use crate::promql::{Way, part, selectors};

/// The part that gave nothing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Culprit {
    /// Where in the expression it stands.
    pub(super) way: Way,
    /// What it is, and why it gave nothing.
    pub(super) why: Why,
}

/// Why a part gave nothing.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Why {
    /// A selector names a metric that nothing exposes.
    NoMetric {
        /// The metric.
        name: String,
    },
    /// A selector's metric is there, and no series of it has such a label.
    NoLabel {
        /// The metric.
        name: String,
        /// The matcher no series satisfies.
        matcher: String,
        /// The label's name.
        label: String,
        /// What it was to be.
        value: String,
    },
    /// Each of a selector's matchers is satisfied by some series, and all of them by none.
    NoCombination {
        /// The metric.
        name: String,
    },
    /// A selector's series were there and went before the fault had its effect on them.
    Gone {
        /// The selector.
        selector: String,
    },
    /// A selector's series are there, and were not yet at the time that it looks at.
    Earlier {
        /// The selector, without the look back.
        selector: String,
    },
    /// `absent(…)` of what is there.
    Present {
        /// What is there.
        selector: String,
    },
    /// Both sides of an operator give something, and no pair of them goes together.
    NoPartner {
        /// Series of the left side, a few.
        left: Vec<String>,
        /// And of the right.
        right: Vec<String>,
        /// Labels that stand in the way: only one side has them, or both have other values.
        labels: Vec<String>,
    },
    /// A comparison that never held.
    NotHeld {
        /// What was compared.
        left: String,
        /// The comparison: `>`.
        operator: String,
        /// With what.
        right: String,
        /// The least and the greatest value seen; `None` where all were NaN.
        range: Option<(f64, f64)>,
    },
    /// A function gave nothing for what it was given.
    NoResult {
        /// The function.
        function: String,
    },
    /// `a unless b` where `b` takes away all of `a`, or `a and b` where both hold and never at once.
    NeverTogether {
        /// The operator.
        operator: String,
    },
}

/// Asks what parts of an expression gave since the fault.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) client: &'a Client,
    /// A while before the fault: what was there before it and not after is known to be gone.
    pub(super) before: Timestamp,
    /// When the fault took effect.
    pub(super) from: Timestamp,
    /// Now.
    pub(super) to: Timestamp,
    /// Between two points.
    pub(super) step: Duration,
}

type Found<'f> = Pin<Box<dyn Future<Output = Result<Option<Culprit>, Error>> + Send + 'f>>;

impl<'a> Asker<'a> {
    /// The part of `expr` that gave nothing since the fault; `None` if the whole gave something.
    pub(super) fn dissect<'f>(&'f self, expr: &'f Expr, way: Way) -> Found<'f>
    where
        'a: 'f,
    {
        Box::pin(async move {
            // A range by itself cannot be asked for; its selector can.
            let asked = match expr {
                Expr::MatrixSelector(matrix) => matrix.vs.to_string(),
                Expr::Subquery(inner) => inner.expr.to_string(),
                Expr::Paren(_)
                | Expr::Unary(_)
                | Expr::Aggregate(_)
                | Expr::Call(_)
                | Expr::Binary(_)
                | Expr::VectorSelector(_)
                | Expr::NumberLiteral(_)
                | Expr::StringLiteral(_)
                | Expr::Extension(_) => expr.to_string(),
            };
            if gives_always(expr) || self.gave(&asked, self.from).await? {
                return Ok(None);
            }
            match expr {
                Expr::VectorSelector(selector) => self.selector(selector, way).await.map(Some),
                Expr::MatrixSelector(matrix) => self.selector(&matrix.vs, way).await.map(Some),
                Expr::Paren(inner) => self.dissect(&inner.expr, down(&way, 0)).await,
                Expr::Unary(inner) => self.dissect(&inner.expr, down(&way, 0)).await,
                Expr::Subquery(inner) => self.dissect(&inner.expr, down(&way, 0)).await,
                Expr::Aggregate(inner) => self.dissect(&inner.expr, down(&way, 0)).await,
                Expr::Call(call) => self.call(call, way).await.map(Some),
                Expr::Binary(binary) => self.binary(binary, way).await.map(Some),
                Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => Ok(None),
            }
        })
    }

    async fn call(&self, call: &Call, way: Way) -> Result<Culprit, Error> {
        let name = call.func.name;
        if let ("absent" | "absent_over_time", Some(argument)) = (name, call.args.first()) {
            return Ok(Culprit { way, why: Why::Present { selector: argument.to_string() } });
        }
        for (number, argument) in call.args.args.iter().enumerate() {
            if matches!(argument.value_type(), ValueType::Scalar | ValueType::String) {
                continue;
            }
            if let Some(culprit) = self.dissect(argument, down(&way, number)).await? {
                return Ok(culprit);
            }
        }
        let arguments = Expr::Call(call.clone());
        if let Some(culprit) = self.gone(&arguments, &way).await? {
            return Ok(culprit);
        }
        Ok(Culprit { way, why: Why::NoResult { function: name.to_owned() } })
    }

    async fn binary(&self, binary: &BinaryExpr, way: Way) -> Result<Culprit, Error> {
        let left = self.dissect(&binary.lhs, down(&way, 0)).await?;
        let is_set = binary.op.is_set_operator();
        // `or` gives nothing where both sides give nothing; what `unless` takes away need not be there.
        let right = match (is_set, binary.op.id()) {
            (true, id) if id != T_LAND && id != T_LOR => None,
            _ => self.dissect(&binary.rhs, down(&way, 1)).await?,
        };
        if let Some(culprit) = left.or(right) {
            return Ok(culprit);
        }
        let operator = binary.op.to_string();
        let both_vectors = [&binary.lhs, &binary.rhs].map(|side| side.value_type() == ValueType::Vector);
        if is_set {
            if binary.op.id() == T_LAND && !self.gave(&bare(binary).to_string(), self.from).await? {
                let why = self.no_partner(binary).await?;
                return Ok(Culprit { way, why });
            }
            return Ok(Culprit { way, why: Why::NeverTogether { operator } });
        }
        let compares = binary.op.is_comparison_operator();
        if both_vectors == [true, true]
            && (!compares || !self.gave(&with_bool(binary).to_string(), self.from).await?)
        {
            let why = self.no_partner(binary).await?;
            return Ok(Culprit { way, why });
        }
        let measured = if both_vectors[0] { &binary.lhs } else { &binary.rhs };
        // What was there for a moment only was not compared any longer.
        let side = usize::from(!both_vectors[0]);
        if let Some(culprit) = self.gone(measured, &down(&way, side)).await? {
            return Ok(culprit);
        }
        let range = self.extremes(&unfiltered(measured).to_string()).await?;
        let (left, right) = (binary.lhs.to_string(), binary.rhs.to_string());
        Ok(Culprit { way, why: Why::NotHeld { left, operator, right, range } })
    }

    /// A selector whose series went since the fault, where `absent` does not wait for that.
    async fn gone(&self, expr: &Expr, way: &[usize]) -> Result<Option<Culprit>, Error> {
        for (inner, selector) in selectors(expr) {
            let waits = (0..inner.len()).any(|length| {
                let call = part(expr, &inner[..length]);
                matches!(call, Expr::Call(call) if call.func.name.starts_with("absent"))
            });
            let plain = VectorSelector { offset: None, at: None, ..selector.clone() }.to_string();
            let now = self.client.instant(&format!("count({plain})"), Some(self.to)).await?.data;
            let is_gone = matches!(now, Data::Vector(series) if series.is_empty());
            if is_gone && !waits && self.gave(&plain, self.before).await? {
                let way = way.iter().copied().chain(inner).collect();
                return Ok(Some(Culprit { way, why: Why::Gone { selector: plain } }));
            }
        }
        Ok(None)
    }

    /// What keeps the sides of an operator from going together.
    async fn no_partner(&self, binary: &BinaryExpr) -> Result<Why, Error> {
        let left = self.series(&unfiltered(&binary.lhs).to_string()).await?;
        let right = self.series(&unfiltered(&binary.rhs).to_string()).await?;
        let labels = super::join::in_the_way(labels(&left), labels(&right), binary.modifier.as_ref());
        Ok(Why::NoPartner { left: few(&left), right: few(&right), labels })
    }

    /// Why no series matches.
    async fn selector(&self, selector: &VectorSelector, way: Way) -> Result<Culprit, Error> {
        let matchers = &selector.matchers.matchers;
        let by_name = matchers.iter().find(|one| one.name == "__name__").map(|one| one.value.clone());
        let name = selector.name.clone().or(by_name).unwrap_or_default();
        // What it would match without looking back into another time.
        let plain = VectorSelector { offset: None, at: None, ..selector.clone() }.to_string();
        let looks_back = selector.offset.is_some() || selector.at.is_some();
        let why = if looks_back && self.gave(&plain, self.from).await? {
            Why::Earlier { selector: plain }
        } else if self.gave(&plain, self.before).await? {
            Why::Gone { selector: plain }
        } else if !name.is_empty() && !self.gave(&name, self.before).await? {
            Why::NoMetric { name }
        } else {
            self.unmatched(&name, matchers).await?
        };
        Ok(Culprit { way, why })
    }

    /// The matcher that no series of the metric satisfies.
    async fn unmatched(&self, name: &str, matchers: &[Matcher]) -> Result<Why, Error> {
        for matcher in matchers.iter().filter(|one| one.name != "__name__") {
            let alone = format!("{name}{{{matcher}}}");
            if !self.gave(&alone, self.before).await? {
                return Ok(Why::NoLabel {
                    name: name.to_owned(),
                    matcher: matcher.to_string(),
                    label: matcher.name.clone(),
                    value: match &matcher.op {
                        MatchOp::Equal | MatchOp::NotEqual => matcher.value.clone(),
                        MatchOp::Re(pattern) | MatchOp::NotRe(pattern) => pattern.as_str().to_owned(),
                    },
                });
            }
        }
        Ok(Why::NoCombination { name: name.to_owned() })
    }

    /// Whether an expression gave anything since then. Counted there: a metric may have any number of series.
    pub(super) async fn gave(&self, query: &str, from: Timestamp) -> Result<bool, Error> {
        Ok(!self.since(&format!("count({query})"), from).await?.is_empty())
    }

    /// The least and the greatest value that an expression gave since the fault, NaN left out.
    async fn extremes(&self, query: &str) -> Result<Option<(f64, f64)>, Error> {
        let least = extremes(&self.series(&format!("min({query})")).await?);
        let most = extremes(&self.series(&format!("max({query})")).await?);
        Ok(least.zip(most).map(|((least, _), (_, most))| (least, most)))
    }

    /// What an expression gave since the fault.
    pub(super) async fn series(&self, query: &str) -> Result<Vec<Series>, Error> {
        self.since(query, self.from).await
    }

    pub(super) async fn since(&self, query: &str, from: Timestamp) -> Result<Vec<Series>, Error> {
        let answer = self.client.range(query, from, self.to, self.step).await?;
        Ok(match answer.data {
            Data::Matrix(series) => series,
            Data::Vector(_) | Data::Scalar(_) | Data::String(_) => Vec::new(),
        })
    }
}

/// Whether an expression gives something whatever there is.
fn gives_always(expr: &Expr) -> bool {
    matches!(expr.value_type(), ValueType::Scalar | ValueType::String)
}

/// The way one level further down.
fn down(way: &Way, child: usize) -> Way {
    let mut way = way.clone();
    way.push(child);
    way
}

/// An expression without the comparisons that filter it: what they compare.
pub(crate) fn unfiltered(expr: &Expr) -> Expr {
    match expr {
        Expr::Paren(inner) => unfiltered(&inner.expr),
        Expr::Binary(binary) if binary.op.is_comparison_operator() => {
            let vector = |side: &Expr| side.value_type() == ValueType::Vector;
            if vector(&binary.lhs) { unfiltered(&binary.lhs) } else { unfiltered(&binary.rhs) }
        }
        Expr::Binary(binary) => Expr::Binary(BinaryExpr {
            lhs: Box::new(parenthesised(unfiltered(&binary.lhs))),
            rhs: Box::new(parenthesised(unfiltered(&binary.rhs))),
            ..binary.clone()
        }),
        Expr::Aggregate(_)
        | Expr::Unary(_)
        | Expr::Subquery(_)
        | Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Call(_)
        | Expr::Extension(_) => expr.clone(),
    }
}

fn parenthesised(expr: Expr) -> Expr {
    if matches!(expr, Expr::Binary(_)) {
        return Expr::Paren(ParenExpr { expr: Box::new(expr) });
    }
    expr
}

/// A set operator between what its sides compare.
fn bare(binary: &BinaryExpr) -> Expr {
    unfiltered(&Expr::Binary(binary.clone()))
}

/// A comparison that gives 0 or 1 instead of filtering.
pub(crate) fn with_bool(binary: &BinaryExpr) -> Expr {
    let unmodified = || BinModifier {
        card: VectorMatchCardinality::OneToOne,
        matching: None,
        return_bool: true,
        fill_values: VectorMatchFillValues::default(),
    };
    let modifier = binary
        .modifier
        .clone()
        .map_or_else(unmodified, |modifier| BinModifier { return_bool: true, ..modifier });
    Expr::Binary(BinaryExpr { modifier: Some(modifier), ..binary.clone() })
}

/// The least and the greatest value, NaN left out.
fn extremes(series: &[Series]) -> Option<(f64, f64)> {
    let values = series.iter().flat_map(|one| &one.points).map(|point| point.value);
    values.filter(|value| !value.is_nan()).fold(None, |range, value| {
        let (least, most) = range.unwrap_or((value, value));
        Some((f64::min(least, value), f64::max(most, value)))
    })
}

fn labels(series: &[Series]) -> impl Iterator<Item = &Labels> {
    series.iter().map(|one| &one.labels)
}

/// The labels of a few series.
fn few(series: &[Series]) -> Vec<String> {
    const FEW: usize = 3;
    series.iter().take(FEW).map(|one| crate::prometheus::answer::describe(&one.labels)).collect()
}
