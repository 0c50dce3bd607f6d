//! A comparison as a table for people.

use std::fmt::Write as _;

use super::{Change, Comparison, Group, Line};
use crate::event::Conclusion;
use crate::report::style::{Ink, Mark, Style};
use crate::report::text::{counted, fold, on_one_line, width};

/// The most columns that a thing and each of its values take.
const WIDEST: usize = 34;

impl Comparison {
    /// As a table, and what it comes to in the last line.
    #[must_use]
    pub fn print(&self, style: Style) -> String {
        let mut text = String::new();
        for group in &self.groups {
            text += &group.print(style);
        }
        text + "\n" + &self.said(style) + "\n"
    }

    /// What it comes to, in a sentence.
    pub(crate) fn said(&self, style: Style) -> String {
        let count = |change| self.lines().filter(|line| line.change == change).count();
        let (worse, unclear) = (count(Change::Worse), count(Change::Unclear));
        let (now, before) = (on_one_line(&self.now), on_one_line(&self.before));
        let unclear_too = if unclear > 0 {
            format!(", of {} it cannot be said", counted(unclear, "thing"))
        } else {
            String::new()
        };
        match self.conclusion() {
            Conclusion::Fail => {
                let word = style.paint(Ink::Bad, "WORSE");
                format!("{word} {now} against {before}: {}{unclear_too}", counted(worse, "thing"))
            }
            Conclusion::Inconclusive | Conclusion::NotMeasured => {
                let word = style.paint(Ink::Doubt, "CANNOT BE SAID");
                format!("{word} {now} against {before}: nothing is shown to be worse{unclear_too}")
            }
            Conclusion::Pass => {
                let word = style.paint(Ink::Good, "NO WORSE");
                format!("{word} {now} against {before}")
            }
        }
    }
}

impl Group {
    fn print(&self, style: Style) -> String {
        let cells = |line: &Line| {
            [&line.what, &line.before, &line.now]
                .map(|text| style.cut(&on_one_line(text), WIDEST).into_owned())
        };
        let rows: Vec<_> = self.lines.iter().map(|line| (line, cells(line))).collect();
        let head = [on_one_line(&self.name), "before".to_owned(), "now".to_owned()];
        let widest = |column: usize| {
            let all = rows.iter().map(|(_, cells)| width(&cells[column]));
            all.max().unwrap_or(0).max(if column == 0 { 12 } else { width(&head[column]) })
        };
        let columns = [widest(0), widest(1), widest(2)];
        let indent = 2 + style.mark_width() + 1;
        let name = style.cut(&head[0], columns[0] + indent).into_owned();
        let mut text = format!(
            "{}{}  {}{}  {}\n",
            style.paint(Ink::Strong, &name),
            " ".repeat((columns[0] + indent).saturating_sub(width(&name))),
            style.paint(Ink::Faint, &head[1]),
            " ".repeat(columns[1] - width(&head[1])),
            style.paint(Ink::Faint, &head[2])
        );
        let beside = indent + columns.iter().sum::<usize>() + 6;
        for (line, cells) in rows {
            let mut row = format!("  {} ", style.mark(mark(line.change)));
            for (cell, wide) in cells.iter().zip(columns) {
                let _ = write!(row, "{cell}{}  ", " ".repeat(wide - width(cell)));
            }
            let why = [line.change.word(), &line.why].into_iter().filter(|part| !part.is_empty());
            let why = [why.collect::<Vec<_>>().join(": ")];
            let lines = fold(&why, style.width.saturating_sub(beside).max(28));
            row += &lines.join(&format!("\n{}", " ".repeat(beside)));
            text += row.trim_end();
            text.push('\n');
        }
        text
    }
}

fn mark(change: Change) -> Mark {
    match change {
        Change::Same => Mark::Skipped,
        Change::Better | Change::NoWorse => Mark::Passed,
        Change::Unclear => Mark::Unknown,
        Change::Worse => Mark::Failed,
    }
}
