//! Expressions whose matchers ask for what values are called in a record.

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{Expr, VectorSelector};

use super::Aliases;
use crate::promql::Query;
use crate::source::{Place, Sources};

impl Aliases {
    /// An expression that selects the same of a record as it did of what was recorded; as it was written, where it
    /// asks for nothing that is hidden.
    ///
    /// # Errors
    /// Why it cannot be.
    pub(in crate::incident) fn expression(&self, text: &str) -> Result<String, String> {
        let place = Place { file: Sources::default().add("expression", text), start: 0, end: 0 };
        // What does not read selects nothing, and says so elsewhere.
        let Ok(query) = Query::read(text, place) else { return Ok(text.to_owned()) };
        let mut expr = query.expr.clone();
        self.visit(&mut expr)?;
        Ok(if expr == query.expr { text.to_owned() } else { expr.to_string() })
    }

    fn visit(&self, expr: &mut Expr) -> Result<(), String> {
        match expr {
            Expr::Paren(inner) => self.visit(&mut inner.expr),
            Expr::Unary(inner) => self.visit(&mut inner.expr),
            Expr::Subquery(inner) => self.visit(&mut inner.expr),
            Expr::Aggregate(inner) => {
                if let Some(parameter) = &mut inner.param {
                    self.names(parameter, "count_values")?;
                }
                self.visit(&mut inner.expr)
            }
            Expr::Call(call) => {
                for argument in &mut call.args.args {
                    self.names(argument, call.func.name)?;
                    self.visit(argument)?;
                }
                Ok(())
            }
            Expr::Binary(binary) => {
                self.visit(&mut binary.lhs)?;
                self.visit(&mut binary.rhs)
            }
            Expr::VectorSelector(selector) => self.selector(selector),
            Expr::MatrixSelector(matrix) => self.selector(&mut matrix.vs),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => Ok(()),
        }
    }

    /// A label whose values a function makes or reads would be another one than it was.
    fn names(&self, argument: &Expr, function: &str) -> Result<(), String> {
        match argument {
            Expr::StringLiteral(text) if self.hides(&text.val) => {
                Err(format!("`{function}` works on the values of `{}`, which are to be hidden", text.val))
            }
            Expr::StringLiteral(_)
            | Expr::Paren(_)
            | Expr::Unary(_)
            | Expr::Subquery(_)
            | Expr::Aggregate(_)
            | Expr::Call(_)
            | Expr::Binary(_)
            | Expr::VectorSelector(_)
            | Expr::MatrixSelector(_)
            | Expr::NumberLiteral(_)
            | Expr::Extension(_) => Ok(()),
        }
    }

    fn selector(&self, selector: &mut VectorSelector) -> Result<(), String> {
        let matchers = &mut selector.matchers;
        let alternatives = matchers.or_matchers.iter_mut().flatten();
        for matcher in matchers.matchers.iter_mut().chain(alternatives) {
            self.matcher(matcher)?;
        }
        Ok(())
    }

    fn matcher(&self, matcher: &mut Matcher) -> Result<(), String> {
        if !self.hides(&matcher.name) {
            return Ok(());
        }
        matcher.value = match matcher.op {
            MatchOp::Equal | MatchOp::NotEqual => self.value(&matcher.name, &matcher.value),
            MatchOp::Re(_) | MatchOp::NotRe(_) => {
                self.pattern(&matcher.name, &matcher.value).ok_or_else(|| {
                    format!(
                        "`{}{}\"…\"` is a pattern, and the values of `{}` are to be hidden: only a list of whole values can be",
                        matcher.name, matcher.op, matcher.name
                    )
                })?
            }
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::example;

    fn named(text: &str) -> Result<String, String> {
        let aliases = example();
        let named = aliases.expression(text)?;
        Ok(named.replace(&aliases.value("user", "alice"), "ALICE"))
    }

    #[rstest]
    #[case::nothing("rate( x[5m] )  > 1", "rate( x[5m] )  > 1")]
    #[case::equal("sum(x{user=\"alice\"}) / y", "sum(x{user=\"ALICE\"}) / y")]
    #[case::mapped("up{host=\"db:1\"} == 0", "up{host=\"one\"} == 0")]
    #[case::other_value("up{host=\"db:2\"} == 0", "up{host=\"db:2\"} == 0")]
    #[case::absent("x{user=\"\"}", "x{user=\"\"}")]
    #[case::within("rate(x{user!=\"alice\"}[5m])", "rate(x{user!=\"ALICE\"}[5m])")]
    fn matchers_ask_for_the_alias(#[case] text: &str, #[case] wanted: &str) {
        assert_eq!(named(text).as_deref(), Ok(wanted));
    }

    #[rstest]
    #[case::pattern(
        "x{user=~\"ali.*\"}",
        "`user=~\"…\"` is a pattern, and the values of `user` are to be hidden"
    )]
    #[case::made(
        "label_replace(x, \"team\", \"$1\", \"user\", \"(.).*\")",
        "`label_replace` works on the values of `user`"
    )]
    #[case::counted("count_values(\"user\", x)", "`count_values` works on the values of `user`")]
    fn what_cannot_be_hidden_is_refused(#[case] text: &str, #[case] why: &str) {
        let said = named(text).unwrap_err();
        assert!(said.starts_with(why) && !said.contains("ali"), "{said}");
    }
}
