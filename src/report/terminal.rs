//! The report a person reads: line by line while the run goes on, and its verdict in words at the end.

use std::io::{self, Write};
use std::time::Duration;

use crate::event::{Event, Outcome, Stamped};
use crate::report::live::Live;
use crate::report::record::{Run, Scenario};
use crate::report::row::Columns;
use crate::report::style::Style;
use crate::report::text::inert;
use crate::report::{Report, detail, load, row, verdict};

/// Writes results as steps end. What failed is drawn when its scenario has ended; the last line is the verdict.
pub struct Terminal {
    out: Box<dyn Write + Send>,
    style: Style,
    live: Option<Live>,
    run: Run,
    shown: Shown,
    /// Whether all that is known of a load is printed.
    tables: bool,
    over: bool,
}

/// How much of the run has been printed. Scenarios that run side by side are printed one after the other.
#[derive(Debug, Default)]
struct Shown {
    /// Scenarios that are done with.
    scenarios: usize,
    /// Of the one after them: its heading, services and steps.
    heading: bool,
    notes: usize,
    services: usize,
    steps: usize,
}

impl Terminal {
    /// Writes to `out`, usually standard output.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>, style: Style) -> Self {
        Self {
            out,
            style,
            live: None,
            run: Run::default(),
            shown: Shown::default(),
            tables: false,
            over: false,
        }
    }

    /// Shows progress too, below what is printed.
    #[must_use]
    pub fn with_live(mut self, live: Live) -> Self {
        self.live = Some(live);
        self
    }

    /// Prints all that is known of each load, as a table.
    #[must_use]
    pub fn with_tables(mut self) -> Self {
        self.tables = true;
        self
    }

    fn print(&mut self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        if let Some(live) = &mut self.live {
            live.clear();
        }
        self.out.write_all(inert(text).as_bytes())?;
        self.out.flush()
    }

    /// The last lines, once.
    fn finish(&mut self) -> io::Result<()> {
        if self.over {
            return Ok(());
        }
        self.over = true;
        let mut text = self.shown.catch_up(&self.run, self.style, self.tables, true);
        if !text.is_empty() || self.shown.scenarios > 0 {
            text.push('\n');
        }
        if self.run.scenarios.len() > 1 {
            for scenario in &self.run.scenarios {
                text += &verdict::of_scenario(scenario, self.style);
                text.push('\n');
            }
        }
        text += &verdict::of_run(&self.run, self.style);
        text.push('\n');
        self.print(&text)?;
        self.live = None;
        Ok(())
    }
}

impl Report for Terminal {
    fn name(&self) -> &'static str {
        "standard output"
    }

    fn take(&mut self, stamped: &Stamped) -> io::Result<()> {
        self.run.take(stamped);
        if matches!(stamped.event, Event::RunEnded { .. }) {
            return self.finish();
        }
        let text = self.shown.catch_up(&self.run, self.style, self.tables, false);
        self.print(&text)?;
        if let Some(live) = &mut self.live {
            live.take(stamped);
        }
        Ok(())
    }

    fn wait(&mut self, elapsed: Duration) -> io::Result<()> {
        if let Some(live) = &mut self.live {
            live.draw(elapsed);
        }
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        self.finish()
    }
}

impl Shown {
    /// What can be printed by now; with `all`, also of scenarios that did not end.
    fn catch_up(&mut self, run: &Run, style: Style, tables: bool, all: bool) -> String {
        let mut text = String::new();
        while let Some(scenario) = run.scenarios.get(self.scenarios) {
            let columns = Columns::of(scenario, style);
            if !self.heading {
                self.heading = true;
                text += if self.scenarios > 0 { "\n" } else { "" };
                text += &row::heading(scenario, style);
            }
            for note in &scenario.notes[self.notes..] {
                text += &row::note(note, style);
            }
            self.notes = scenario.notes.len();
            for service in &scenario.services[self.services..] {
                text += &row::service(service, columns, style);
            }
            self.services = scenario.services.len();
            for number in &scenario.ended_steps[self.steps..] {
                let step = &scenario.steps[number];
                text += &row::step(step, columns, style);
                let tally = step.tally.as_ref().filter(|_| tables);
                text.extend(tally.map(|tally| load::table(tally, &step.parts, style)));
            }
            self.steps = scenario.ended_steps.len();
            if scenario.end.is_none() && !all {
                break;
            }
            text += &conclusion(scenario, columns, style);
            *self = Self { scenarios: self.scenarios + 1, ..Self::default() };
        }
        text
    }
}

/// What is printed once a scenario has ended: objectives, what could not be measured, and what failed in detail.
fn conclusion(scenario: &Scenario, columns: Columns, style: Style) -> String {
    let mut text = String::new();
    for step in scenario.steps_under_way() {
        text += &row::stopped(step, columns, style);
    }
    if !scenario.slos.is_empty() {
        text += &row::slos(&scenario.slos, style);
    }
    text.extend(scenario.not_measured.iter().map(|why| row::not_measured(why, style)));
    text.extend(scenario.steps_that(Outcome::Failed).map(|step| detail::of_step(step, style)));
    text.extend(scenario.slos_not_met().map(|slo| detail::of_slo(slo, style)));
    text
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::event::Conclusion;
    use crate::report::fixture::{events, hostile_events, of, written};
    use crate::report::text::{steers, width as width_of};

    fn shown(events: &[Stamped], style: Style) -> String {
        written(|out| Terminal::new(out, style), events)
    }

    const PLAIN: Style = Style { colour: false, width: 100, unicode: true };

    #[rstest]
    #[case::narrow(Style { width: 80, ..PLAIN })]
    #[case::wide(Style { width: 120, ..PLAIN })]
    #[case::ascii(Style { width: 80, unicode: false, ..PLAIN })]
    #[case::colour(Style { colour: true, ..PLAIN })]
    fn a_run_reads_well(#[case] style: Style) {
        let Style { colour, width, unicode } = style;
        let name = format!(
            "terminal-{width}{}{}",
            if colour { "-colour" } else { "" },
            if unicode { "" } else { "-ascii" }
        );
        insta::assert_snapshot!(name, shown(&events(), style));
    }

    #[test]
    fn one_scenario_has_one_last_line() {
        let mut events = events();
        events.retain(|stamped| of(stamped).is_none_or(|scenario| scenario == "ping"));
        events.pop();
        events.push(end(Conclusion::Pass, false));
        insta::assert_snapshot!(shown(&events, PLAIN), @r"
        ping  scenarios/ping.yaml
          ✓ ping          tcp     800 µs

        PASS ping: 1 step in 3.00 ms
        ");
    }

    #[test]
    fn a_run_of_nothing_says_so() {
        insta::assert_snapshot!(shown(&[end(Conclusion::NotMeasured, false)], PLAIN), @"NOT MEASURED no scenario was run");
    }

    #[test]
    fn what_is_known_of_a_run_that_was_cut_off_is_shown() {
        let mut events = events();
        let cut = events.iter().position(|stamped| matches!(stamped.event, Event::Loading { .. })).unwrap();
        events.truncate(cut + 1);
        insta::assert_snapshot!("terminal-cut-off", shown(&events, PLAIN));
    }

    #[test]
    fn an_interrupted_run_says_so() {
        let mut events = events();
        events.pop();
        events.push(end(Conclusion::Fail, true));
        let text = shown(&events, PLAIN);
        insta::assert_snapshot!(text.lines().last().unwrap(), @"FAIL 3 scenarios: 1 failed (quickstart), 1 not measured (checkout-stack), 1 passed in 1.40 s; interrupted");
    }

    #[test]
    fn scenarios_side_by_side_are_printed_one_after_the_other() {
        let events = events();
        let (first, second): (Vec<_>, Vec<_>) =
            events.iter().cloned().partition(|stamped| of(stamped).is_none_or(|scenario| scenario != "ping"));
        let mut mixed = first.clone();
        mixed.splice(5..5, second);
        // The second one began later, and so stands after the first.
        let mut apart = shown(&mixed, PLAIN);
        apart.truncate(apart.find("\nFAIL").unwrap());
        let begins: Vec<_> =
            ["quickstart  A", "✗ prices\n", "ping  sc"].map(|line| apart.find(line).unwrap()).into();
        assert!(begins.is_sorted(), "{apart}");
        assert_eq!(apart.matches("✓ alive").count(), 1, "{apart}");
    }

    #[rstest]
    #[case::unicode(PLAIN)]
    #[case::ascii(Style { unicode: false, ..PLAIN })]
    #[case::narrow(Style { width: 20, ..PLAIN })]
    #[case::no_room(Style { width: 0, ..PLAIN })]
    fn nothing_a_target_sends_reaches_the_terminal_as_a_command(#[case] style: Style) {
        let text = shown(&hostile_events(), style);
        let commands: Vec<_> = text.chars().filter(|sign| *sign != '\n' && steers(*sign)).collect();
        assert!(commands.is_empty(), "{commands:?} in {text}");
    }

    #[test]
    fn hostile_text_stays_readable() {
        insta::assert_snapshot!("terminal-hostile", shown(&hostile_events(), PLAIN));
    }

    #[test]
    fn colour_says_nothing_that_words_do_not() {
        let coloured = shown(&events(), Style { colour: true, ..PLAIN });
        let mut plain = String::new();
        for piece in coloured.split('\x1b') {
            plain += piece.strip_prefix('[').map_or(piece, |code| code.split_once('m').unwrap().1);
        }
        let trimmed =
            |text: &str| text.lines().map(|line| line.trim_end().to_owned() + "\n").collect::<String>();
        assert_eq!(trimmed(&plain), trimmed(&shown(&events(), PLAIN)));
    }

    #[test]
    fn no_line_but_the_verdicts_and_drawings_is_wider_than_the_terminal() {
        for width in [60, 80, 120] {
            let text = shown(&events(), Style { width, ..PLAIN });
            let table = text.lines().filter(|line| line.starts_with("  ") && !line.contains(" | "));
            let widest = table.map(width_of).max().unwrap();
            assert!(widest <= width, "{widest} over {width}:\n{text}");
        }
    }

    fn end(conclusion: Conclusion, interrupted: bool) -> Stamped {
        let took = Duration::from_millis(1_400).into();
        Stamped { at: 1_400_000_000, event: Event::RunEnded { conclusion, took, interrupted, cut: false } }
    }
}
