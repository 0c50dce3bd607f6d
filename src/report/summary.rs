//! A run in Markdown, as GitHub shows it on the page of a job.

use std::fmt::Write as _;
use std::io::{self, Write};

use crate::event::Outcome;
use crate::report::record::{Run, Scenario, Slo, Step};
use crate::report::style::{Mark, Style};
use crate::report::text::{cut, on_one_line};
use crate::report::{detail, row, verdict};

/// GitHub shows nothing of a summary over 1 MiB, and others may write to the same file.
const LONGEST: usize = 512 << 10;

/// Columns of a cell, before what has a meaning in Markdown is escaped.
const LONGEST_CELL: usize = 300;

/// Writes a run that is over.
pub(crate) fn write(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(document(run).as_bytes())
}

fn document(run: &Run) -> String {
    let mut page = Page::default();
    // What another tool wrote before need not end with an empty line.
    page.put(&format!("\n## {}\n", markdown(&verdict::of_run(run, Style::FILE))));
    for scenario in &run.scenarios {
        of_scenario(scenario, &mut page);
    }
    page.close()
}

fn of_scenario(scenario: &Scenario, page: &mut Page) {
    page.put(&format!(
        "\n### {}\n\n{}\n",
        markdown(&scenario.name),
        cell(&verdict::of_scenario(scenario, Style::FILE))
    ));
    let rows: String = scenario.steps.values().map(of_step).collect();
    if !rows.is_empty() {
        page.put(&format!("\n| | step | kind | time | |\n| --- | --- | --- | ---: | --- |\n{rows}"));
    }
    let rows: String = scenario.slos.iter().map(of_slo).collect();
    if !rows.is_empty() {
        page.put(&format!("\n| | SLO | objective | |\n| --- | --- | --- | --- |\n{rows}"));
    }
    for why in &scenario.not_measured {
        page.put(&format!("\n{} not measured: {}\n", Style::FILE.mark(Mark::Unknown), markdown(why)));
    }
    for step in scenario.steps_that(Outcome::Failed) {
        page.put(&folded(&step.id.name, &detail::of_step(step, Style::FILE)));
    }
    for slo in scenario.slos_not_met() {
        page.put(&folded(&slo.name, &detail::of_slo(slo, Style::FILE)));
    }
}

/// A row of the table of steps.
fn of_step(step: &Step) -> String {
    let (mark, took, said) = match &step.end {
        Some(end) => {
            let took = (end.outcome != Outcome::Skipped).then(|| Style::FILE.time(end.took));
            (end.outcome.into(), took.unwrap_or_default(), row::said_of(step, end, Style::FILE))
        }
        None => (Mark::Unknown, String::new(), vec!["stopped before it ended".to_owned()]),
    };
    let said: Vec<_> = said.iter().filter(|piece| !piece.is_empty()).map(|piece| cell(piece)).collect();
    let (name, kind) = (cell(&step.id.name), cell(&step.id.kind));
    format!("| {} | {name} | {kind} | {took} | {} |\n", Style::FILE.mark(mark), said.join("<br>"))
}

/// A row of the table of objectives.
fn of_slo(slo: &Slo) -> String {
    let mark = Style::FILE.mark(slo.verdict().into());
    let (name, objective) = (cell(&slo.name), cell(&slo.objective));
    let said = std::iter::once(slo.said()).chain(slo.details()).map(|line| cell(&line));
    format!("| {mark} | {name} | {objective} | {} |\n", said.collect::<Vec<_>>().join("<br>"))
}

/// Text as it is, behind a line to open it with.
fn folded(name: &str, text: &str) -> String {
    let text = text.trim_matches('\n');
    let fence = fence(text);
    format!("\n<details><summary>{}</summary>\n\n{fence}text\n{text}\n{fence}\n\n</details>\n", html(name))
}

/// A fence that no line of `text` can close.
fn fence(text: &str) -> String {
    let longest = text.split(|sign| sign != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

fn cell(text: &str) -> String {
    markdown(&cut(&on_one_line(text), LONGEST_CELL, "…"))
}

/// Text on one line in which nothing has a meaning in Markdown or HTML, nor is made a link or a mention.
pub(crate) fn markdown(text: &str) -> String {
    let text = on_one_line(text);
    let mut shown = String::with_capacity(text.len());
    for (at, sign) in text.char_indices() {
        match sign {
            '&' | '<' | '>' | '|' | '`' | '@' => {
                let _ = write!(shown, "&#{};", u32::from(sign));
            }
            '\\' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '~' | '!' | '$' => shown.extend(['\\', sign]),
            ':' if text[at..].starts_with("://") => shown.push_str("&#58;"),
            '.' if text[..at].to_ascii_lowercase().ends_with("www") => shown.push_str("&#46;"),
            _ => shown.push(sign),
        }
    }
    shown
}

/// Text on one line within an HTML element.
fn html(text: &str) -> String {
    on_one_line(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A text of bounded length.
#[derive(Default)]
struct Page {
    text: String,
    left_out: usize,
}

impl Page {
    /// Adds a piece, if there is room for it.
    fn put(&mut self, piece: &str) {
        if self.text.len() + piece.len() > LONGEST {
            self.left_out += 1;
        } else {
            self.text += piece;
        }
    }

    fn close(mut self) -> String {
        if self.left_out > 0 {
            let _ =
                writeln!(self.text, "\n… and {} more parts, for which there is no room here", self.left_out);
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::event::Stamped;
    use crate::report::fixture::{events, hostile_events, written};
    use crate::report::text::steers;
    use crate::report::whole::Whole;

    fn summary(events: &[Stamped]) -> String {
        written(|out| Whole::new("summary.md".into(), out, write), events)
    }

    #[test]
    fn a_run_is_written_whole() {
        insta::assert_snapshot!(summary(&events()));
    }

    #[rstest]
    #[case::html("<img src=x>", "&#60;img src=x&#62;")]
    #[case::cell("a|b", "a&#124;b")]
    #[case::code("`rm`", "&#96;rm&#96;")]
    #[case::link("[x](http://a.b)", "\\[x\\](http&#58;//a.b)")]
    #[case::bare_link("www.a.b", "www&#46;a.b")]
    #[case::mention("@all", "&#64;all")]
    #[case::lines("a\n# b", "a \\# b")]
    #[case::escape("a\\|b", "a\\\\&#124;b")]
    fn what_has_a_meaning_is_escaped(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(markdown(text), shown);
    }

    #[test]
    fn a_fence_is_longer_than_any_in_what_it_holds() {
        assert_eq!(fence("a ```` b `c`"), "`````");
        assert_eq!(fence("plain"), "```");
    }

    #[test]
    fn nothing_a_target_sends_is_html_or_steers() {
        let text = summary(&hostile_events());
        assert!(!text.contains(|sign| sign != '\n' && steers(sign)), "{text}");
        let mut fenced = false;
        for line in text.lines() {
            fenced ^= line.starts_with("```");
            assert!(fenced || !line.contains("</failure>"), "{line}");
        }
        assert!(!fenced, "every fence is closed: {text}");
    }

    #[test]
    fn a_summary_is_no_longer_than_is_shown() {
        let mut page = Page::default();
        (0..3).for_each(|_| page.put(&"x".repeat(LONGEST / 2)));
        assert!(page.close().ends_with("and 1 more parts, for which there is no room here\n"));
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_cell(text: String) {
            let shown = cell(&text);
            prop_assert!(!shown.contains(['|', '<', '>', '`', '\n', '@']), "{}", shown);
        }
    }
}
