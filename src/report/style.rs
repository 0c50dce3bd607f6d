//! How a report looks: colour, width, and the signs it may use.

use std::borrow::Cow;
use std::time::Duration;

use crate::event::{Conclusion, Outcome};
use crate::gate::Verdict;
use crate::report::text;
use crate::units::Reading;

/// What the terminal, or whatever is in its place, can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether to colour. No colour carries meaning alone.
    pub colour: bool,
    /// Columns.
    pub width: usize,
    /// Whether signs outside ASCII are shown as they are.
    pub unicode: bool,
}

/// What a colour is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// Neither.
    Doubt,
    /// Beside the point.
    Faint,
    /// A heading.
    Strong,
}

/// The sign in front of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Passed,
    Flaky,
    Warned,
    Failed,
    Skipped,
    Unknown,
    Note,
}

impl Style {
    /// As in a file: nothing coloured, and lines as long as they come in an editor.
    pub(crate) const FILE: Self = Self { colour: false, width: 120, unicode: true };

    /// Columns a mark takes.
    pub(crate) fn mark_width(self) -> usize {
        if self.unicode { 1 } else { 5 }
    }

    /// A mark, in its colour.
    pub(crate) fn mark(self, mark: Mark) -> String {
        let (sign, word, ink) = match mark {
            Mark::Passed => ("✓", "ok", Ink::Good),
            Mark::Flaky => ("~", "flaky", Ink::Doubt),
            Mark::Warned => ("!", "warn", Ink::Doubt),
            Mark::Failed => ("✗", "FAIL", Ink::Bad),
            Mark::Skipped => ("-", "skip", Ink::Faint),
            Mark::Unknown => ("?", "?", Ink::Doubt),
            Mark::Note => ("!", "note", Ink::Faint),
        };
        let sign = if self.unicode { sign } else { word };
        self.paint(ink, &format!("{sign:<width$}", width = self.mark_width()))
    }

    /// A conclusion in capitals, in its colour.
    pub(crate) fn verdict(self, conclusion: Conclusion) -> String {
        match conclusion {
            Conclusion::Pass => self.paint(Ink::Good, "PASS"),
            Conclusion::Fail => self.paint(Ink::Bad, "FAIL"),
            Conclusion::Inconclusive => self.paint(Ink::Doubt, "INCONCLUSIVE"),
            Conclusion::NotMeasured => self.paint(Ink::Doubt, "NOT MEASURED"),
        }
    }

    /// `text` in colour, if there is colour.
    pub(crate) fn paint(self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Good => "32",
            Ink::Bad => "1;31",
            Ink::Doubt => "33",
            Ink::Faint => "2",
            Ink::Strong => "1",
        };
        if self.colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// `text` in at most `room` columns.
    pub(crate) fn cut(self, text: &str, room: usize) -> Cow<'_, str> {
        text::cut(text, room, self.more())
    }

    /// What stands for what is left out.
    pub(crate) fn more(self) -> &'static str {
        if self.unicode { "…" } else { "..." }
    }

    /// A measured time: `1.92 ms`.
    pub(crate) fn time(self, time: Duration) -> String {
        let text = Reading(time).to_string();
        if self.unicode { text } else { text.replace('µ', "u") }
    }
}

impl From<Outcome> for Mark {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Passed => Self::Passed,
            Outcome::Flaky => Self::Flaky,
            Outcome::Failed => Self::Failed,
            Outcome::Skipped => Self::Skipped,
            Outcome::Unreliable => Self::Unknown,
        }
    }
}

impl From<Verdict> for Mark {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Self::Passed,
            Verdict::Warn => Self::Warned,
            Verdict::Fail => Self::Failed,
            Verdict::Inconclusive { .. } | Verdict::NoData => Self::Unknown,
        }
    }
}
