//! Which bytes of an expression's text each of its parts is: the parser keeps no places, so the tree and the
//! tokens are walked side by side.

use std::collections::BTreeMap;
use std::ops::Range;

use promql_parser::parser::{Expr, VectorSelector};

use super::Way;
use super::token::{Token, tokens};

/// The bytes of every part of `expr`, by the way to it; parts that cannot be told apart are left out.
pub(super) fn align(text: &str, expr: &Expr) -> BTreeMap<Way, Range<usize>> {
    let tokens = tokens(text);
    let mut walk = Walk { tokens: &tokens, at: 0, found: BTreeMap::new() };
    let _ = walk.expr(expr, &mut Vec::new());
    walk.found
}

struct Walk<'t> {
    tokens: &'t [Token<'t>],
    at: usize,
    found: BTreeMap<Way, Range<usize>>,
}

impl<'t> Walk<'t> {
    /// Passes the tokens of one part and notes where they stand; `None` where tree and text disagree.
    fn expr(&mut self, expr: &Expr, way: &mut Way) -> Option<()> {
        let begin = self.tokens.get(self.at)?.at.start;
        match expr {
            Expr::Paren(inner) => {
                self.pass("(")?;
                self.child(&inner.expr, 0, way)?;
                self.pass(")")?;
            }
            Expr::Unary(inner) => {
                self.at += 1;
                self.child(&inner.expr, 0, way)?;
            }
            Expr::Binary(binary) => {
                self.child(&binary.lhs, 0, way)?;
                self.at += 1;
                self.modifiers();
                self.child(&binary.rhs, 1, way)?;
            }
            Expr::Call(call) => {
                self.at += 1;
                self.pass("(")?;
                for (number, argument) in call.args.args.iter().enumerate() {
                    self.child(argument, number, way)?;
                    self.skip(",");
                }
                self.pass(")")?;
            }
            Expr::Aggregate(inner) => {
                self.at += 1;
                self.grouping();
                self.pass("(")?;
                if let Some(parameter) = &inner.param {
                    self.child(parameter, 1, way)?;
                    self.pass(",")?;
                }
                self.child(&inner.expr, 0, way)?;
                self.pass(")")?;
                self.grouping();
            }
            Expr::Subquery(inner) => {
                self.child(&inner.expr, 0, way)?;
                self.bracket("[", "]")?;
                self.shifts();
            }
            Expr::VectorSelector(selector) => self.selector(selector)?,
            Expr::MatrixSelector(matrix) => {
                self.selector(&matrix.vs)?;
                self.bracket("[", "]")?;
                self.shifts();
            }
            Expr::NumberLiteral(_) => self.number(),
            Expr::StringLiteral(_) => self.at += 1,
            Expr::Extension(_) => return None,
        }
        let end = self.previous()?.at.end;
        self.found.insert(way.clone(), begin..end);
        Some(())
    }

    /// A number with its signs.
    fn number(&mut self) {
        while self.skip("-") || self.skip("+") {}
        self.at += 1;
        // `1e-3` is three tokens.
        if self.previous().is_some_and(|token| token.text.ends_with(['e', 'E']))
            && (self.skip("-") || self.skip("+"))
        {
            self.at += 1;
        }
    }

    fn child(&mut self, expr: &Expr, number: usize, way: &mut Way) -> Option<()> {
        way.push(number);
        let passed = self.expr(expr, way);
        way.pop();
        passed
    }

    fn selector(&mut self, selector: &VectorSelector) -> Option<()> {
        if self.peek() != Some("{") {
            selector.name.as_ref()?;
            self.at += 1;
        }
        if self.peek() == Some("{") {
            self.bracket("{", "}")?;
        }
        self.shifts();
        Some(())
    }

    /// `offset 5m`, `@ start()`.
    fn shifts(&mut self) {
        loop {
            match self.peek() {
                Some("offset") => {
                    self.at += 1;
                    self.skip("-");
                    self.at += 1;
                }
                Some("@") => {
                    self.at += 2;
                    if self.peek() == Some("(") {
                        let _ = self.bracket("(", ")");
                    }
                }
                _ => return,
            }
        }
    }

    /// `by (job)`, `without (job)`.
    fn grouping(&mut self) {
        if matches!(self.peek(), Some("by" | "without")) {
            self.at += 1;
            let _ = self.bracket("(", ")");
        }
    }

    /// `bool`, `on (job)`, `group_left (team)`.
    fn modifiers(&mut self) {
        const WORDS: [&str; 8] =
            ["bool", "on", "ignoring", "group_left", "group_right", "fill", "fill_left", "fill_right"];
        while let Some(word) = self.peek().filter(|word| WORDS.contains(word)) {
            let needs_list = matches!(word, "on" | "ignoring" | "fill" | "fill_left" | "fill_right");
            self.at += 1;
            // `group_left (a)` may have a list, or be before a side in parentheses.
            if needs_list || (word != "bool" && self.is_list()) {
                let _ = self.bracket("(", ")");
            }
        }
    }

    /// Whether names and commas alone stand in the parentheses that come next, with an operand behind them.
    fn is_list(&self) -> bool {
        if self.peek() != Some("(") {
            return false;
        }
        let inside = self.tokens[self.at + 1..].iter().take_while(|token| token.text != ")");
        let count = inside.clone().count();
        let names = inside.into_iter().all(|token| {
            token.text == "," || token.text.chars().all(|sign| sign.is_alphanumeric() || sign == '_')
        });
        let behind = self.tokens.get(self.at + count + 2).map(|token| token.text);
        let starts = |text: &str| {
            text == "("
                || text == "{"
                || text.starts_with(|sign: char| sign.is_alphanumeric() || sign == '_' || sign == ':')
        };
        names && behind.is_some_and(starts)
    }

    /// Passes everything between two signs, which may be nested.
    fn bracket(&mut self, open: &str, close: &str) -> Option<()> {
        self.pass(open)?;
        let mut depth = 1;
        while depth > 0 {
            let text = self.tokens.get(self.at)?.text;
            depth = if text == open {
                depth + 1
            } else if text == close {
                depth - 1
            } else {
                depth
            };
            self.at += 1;
        }
        Some(())
    }

    fn pass(&mut self, text: &str) -> Option<()> {
        self.skip(text).then_some(())
    }

    fn skip(&mut self, text: &str) -> bool {
        let next = self.peek() == Some(text);
        self.at += usize::from(next);
        next
    }

    fn peek(&self) -> Option<&'t str> {
        self.tokens.get(self.at).map(|token| token.text)
    }

    fn previous(&self) -> Option<&'t Token<'t>> {
        self.tokens.get(self.at.checked_sub(1)?)
    }
}
