//! Text within HTML, and the few pieces of it that every part of the page uses.

use std::fmt;

use crate::event::{Conclusion, Outcome};
use crate::gate::Verdict;
use crate::report::style::Style;
use crate::report::text::{cut, in_html, on_one_line};

/// Columns of what a target may say on one line of a page.
const LONGEST: usize = 400;

/// Text on one line, of a length that suits it.
pub(super) fn line(text: &str) -> String {
    in_html(&cut(&on_one_line(text), LONGEST, "…"))
}

/// A share as CSS and SVG take it; what is no number is nothing.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(super) struct Percent(f64);

impl Percent {
    /// Of a share; outside 0 to 1 it is cut.
    pub(super) fn of(share: f64) -> Self {
        Self(if share.is_finite() { share.clamp(0.0, 1.0) * 100.0 } else { 0.0 })
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.2}", self.0);
        write!(f, "{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// How good something is: the class that colours it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Bad,
    Doubt,
    Faint,
}

impl fmt::Display for Tone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Doubt => "doubt",
            Self::Faint => "faint",
        })
    }
}

impl From<Conclusion> for Tone {
    fn from(conclusion: Conclusion) -> Self {
        match conclusion {
            Conclusion::Pass => Self::Good,
            Conclusion::Fail => Self::Bad,
            Conclusion::Inconclusive | Conclusion::NotMeasured => Self::Doubt,
        }
    }
}

/// A conclusion in capitals, framed.
pub(super) fn badge(conclusion: Conclusion) -> String {
    format!("<span class=\"verdict {}\">{}</span>", Tone::from(conclusion), Style::FILE.verdict(conclusion))
}

/// The verdict on an objective, framed.
pub(super) fn verdict(verdict: Verdict) -> String {
    let (tone, word) = match verdict {
        Verdict::Pass => (Tone::Good, "PASS"),
        Verdict::Warn => (Tone::Doubt, "WARN"),
        Verdict::Fail => (Tone::Bad, "FAIL"),
        Verdict::Inconclusive { .. } => (Tone::Doubt, "INCONCLUSIVE"),
        Verdict::NoData => (Tone::Doubt, "NO DATA"),
    };
    format!("<span class=\"verdict {tone}\">{word}</span>")
}

/// How a step ended: its sign, the word for who cannot see it, and its colour.
pub(super) fn outcome(outcome: Option<Outcome>) -> (&'static str, &'static str, Tone) {
    let (sign, tone) = match outcome {
        Some(Outcome::Passed) => ("✓", Tone::Good),
        Some(Outcome::Flaky) => ("~", Tone::Doubt),
        Some(Outcome::Failed) => ("✗", Tone::Bad),
        Some(Outcome::Skipped) => ("-", Tone::Faint),
        Some(Outcome::Unreliable) | None => ("?", Tone::Doubt),
    };
    (sign, outcome.map_or("stopped", Outcome::word), tone)
}

/// A name as the anchor of a place in the page: from its number, for names may be anything.
pub(super) fn anchor(what: &str, number: usize) -> String {
    format!("{what}-{number}")
}
