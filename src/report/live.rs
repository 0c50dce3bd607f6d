//! What goes on right now, on a terminal: a few lines that move, and leave nothing behind.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use crate::event::{Event, Stamped, StepId, Tally};
use crate::report::record::time;
use crate::report::row::rate;
use crate::report::style::{Ink, Style};
use crate::report::text::{on_one_line, thousands, width};
use crate::units::Span;

/// Nothing moves before this: a run that is over by then needs no progress.
const QUIET_START: Duration = Duration::from_secs(2);

/// How often the lines are drawn anew at most.
const REDRAW: Duration = Duration::from_millis(100);

/// Lines drawn at most.
const MOST_LINES: usize = 4;

/// Progress, for a terminal only: whoever makes one has looked.
pub struct Live {
    out: Box<dyn Write + Send>,
    style: Style,
    /// Steps under way: when each began, and what its load has come to.
    steps: BTreeMap<StepId, (Duration, Option<Load>)>,
    /// Lines on the terminal.
    drawn: usize,
    /// When they were drawn, since the run started.
    drawn_at: Duration,
}

/// Load, so far.
struct Load {
    elapsed: Duration,
    length: Duration,
    tally: Tally,
}

/// A service that starts, among the steps.
fn starting(scenario: &str, service: &str) -> StepId {
    let (scenario, name) = (scenario.to_owned(), format!("{service} starts"));
    StepId { scenario, number: 0, name, kind: "service".to_owned() }
}

impl Live {
    /// Draws on `out`, usually standard error.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>, style: Style) -> Self {
        Self { out, style, steps: BTreeMap::new(), drawn: 0, drawn_at: Duration::ZERO }
    }

    /// Takes in what happened, and shows it if it is time to.
    pub(crate) fn take(&mut self, stamped: &Stamped) {
        let at = Duration::from_nanos(stamped.at);
        match &stamped.event {
            Event::StepStarted { step, .. } => {
                self.steps.insert(step.clone(), (at, None));
            }
            Event::Loading { step, elapsed, length, tally, recent: _, interval: _ } => {
                let load =
                    Load { elapsed: (*elapsed).into(), length: (*length).into(), tally: tally.clone() };
                self.steps.entry(step.clone()).or_insert((at, None)).1 = Some(load);
            }
            Event::ServiceStarting { scenario, service } => {
                self.steps.insert(starting(scenario, service), (at, None));
            }
            Event::ServiceReady { scenario, service, .. } => {
                self.steps.remove(&starting(scenario, service));
            }
            Event::StepEnded { step, .. } => {
                self.steps.remove(step);
            }
            Event::ScenarioEnded { scenario, .. } => self.steps.retain(|step, _| step.scenario != *scenario),
            Event::RunStarted { .. }
            | Event::ScenarioStarted { .. }
            | Event::StackNoted { .. }
            | Event::NotMeasured { .. }
            | Event::Attempted { .. }
            | Event::Loaded { .. }
            | Event::Drilled { .. }
            | Event::Fault { .. }
            | Event::Sampled { .. }
            | Event::Judged { .. }
            | Event::RunEnded { .. } => {}
        }
        if self.drawn == 0 || at >= self.drawn_at + REDRAW {
            self.draw(at);
        }
    }

    /// Draws how things stand `elapsed` after the run started.
    pub(crate) fn draw(&mut self, elapsed: Duration) {
        if elapsed < QUIET_START {
            return;
        }
        let lines = self.lines(elapsed);
        let text = self.erased() + &lines.join("\n");
        self.drawn = lines.len();
        self.drawn_at = elapsed;
        self.write(&text);
    }

    /// Leaves the terminal as if nothing had been drawn.
    pub(crate) fn clear(&mut self) {
        let text = self.erased();
        self.drawn = 0;
        self.write(&text);
    }

    /// Progress that cannot be drawn is no loss.
    fn write(&mut self, text: &str) {
        if !text.is_empty() {
            let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        }
    }

    /// What takes the lines off again: up to the first of them, and all below it wiped.
    fn erased(&self) -> String {
        match self.drawn {
            0 => String::new(),
            1 => "\r\x1b[J".to_owned(),
            lines => format!("\r\x1b[{}A\x1b[J", lines - 1),
        }
    }

    fn lines(&self, elapsed: Duration) -> Vec<String> {
        // Load last: its line changes most. One column stays free, or some terminals begin a new line.
        let (load, plain): (Vec<_>, Vec<_>) = self.steps.iter().partition(|(_, (_, load))| load.is_some());
        let room = self.style.width.saturating_sub(1);
        let lines = plain.into_iter().chain(load).map(|(step, (began, load))| {
            let mut line = format!("  {} {}", self.spinner(elapsed), on_one_line(&step.name));
            let pieces = match load {
                Some(load) => self.load(load),
                None => vec![seconds(elapsed.saturating_sub(*began))],
            };
            // What does not fit is left out whole: half a number is worse than none.
            for piece in pieces {
                if width(&line) + 2 + width(&piece) <= room {
                    line = line + "  " + &piece;
                }
            }
            self.style.paint(Ink::Faint, &self.style.cut(&line, room))
        });
        lines.take(MOST_LINES).collect()
    }

    fn spinner(&self, elapsed: Duration) -> char {
        let signs: &[char] = if self.style.unicode {
            &['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧']
        } else {
            &['|', '/', '-', '\\']
        };
        let turn = elapsed.as_millis() / REDRAW.as_millis();
        signs[usize::try_from(turn).unwrap_or(0) % signs.len()]
    }

    fn load(&self, load: &Load) -> Vec<String> {
        let Load { elapsed, length, tally } = load;
        let failed = thousands(tally.ended.saturating_sub(tally.good));
        let mut pieces = vec![
            format!("{} left", seconds(length.saturating_sub(*elapsed))),
            rate(tally.ended, *elapsed).unwrap_or_default(),
            format!("{failed} of {} failed", thousands(tally.ended)),
        ];
        let quantiles = [("p50", tally.latency.p50), ("p99", tally.latency.p99)];
        let quantiles = quantiles.into_iter().filter_map(|(name, value)| Some((name, time(value)?)));
        pieces.extend(quantiles.map(|(name, value)| format!("{name} {}", self.style.time(value))));
        pieces.push(format!("{} in flight", thousands(tally.in_flight)));
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Whole seconds: more digits would only flicker.
fn seconds(time: Duration) -> String {
    Span(Duration::from_secs(time.as_secs())).to_string()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::report::Report as _;
    use crate::report::fixture::{Paper, events};
    use crate::report::terminal::Terminal;
    use crate::report::text::width as width_of;

    const STYLE: Style = Style { colour: false, width: 100, unicode: true };

    /// What stands on a terminal after these bytes: only what [`Live`] sends is understood.
    fn screen(bytes: &str) -> String {
        let mut lines = vec![String::new()];
        let mut row = 0;
        let mut rest = bytes;
        while let Some(sign) = rest.chars().next() {
            rest = &rest[sign.len_utf8()..];
            match sign {
                '\r' => {}
                '\n' => {
                    row += 1;
                    lines.truncate(row);
                    lines.push(String::new());
                }
                '\x1b' if rest.starts_with("[J") => {
                    rest = &rest[2..];
                    lines.truncate(row + 1);
                    lines[row].clear();
                }
                '\x1b' => {
                    let (up, after) = rest.strip_prefix('[').unwrap().split_once('A').unwrap();
                    (row, rest) = (row - up.parse::<usize>().unwrap(), after);
                }
                _ => lines[row].push(sign),
            }
        }
        lines.join("\n")
    }

    /// The screen after all events up to and including the one that `last` finds.
    fn screen_after(last: fn(&Event) -> bool) -> String {
        let paper = Paper::default();
        let live = Live::new(Box::new(paper.clone()), STYLE);
        let mut report = Terminal::new(Box::new(paper.clone()), STYLE).with_live(live);
        for stamped in events() {
            report.take(&stamped).unwrap();
            if last(&stamped.event) {
                break;
            }
        }
        screen(&paper.text())
    }

    #[test]
    fn load_is_shown_while_it_runs() {
        let screen = screen_after(|event| matches!(event, Event::Loading { .. }));
        insta::assert_snapshot!(screen.lines().last().unwrap(), @"  ⠋ shoppers  2s left  198/s  9 of 750 failed  p50 5.10 ms  p99 19.8 ms  7 in flight");
    }

    #[test]
    fn nothing_of_it_is_left_behind() {
        let (paper, progress) = (Paper::default(), Paper::default());
        let live = Live::new(Box::new(paper.clone()), STYLE);
        let mut with = Terminal::new(Box::new(paper.clone()), STYLE).with_live(live);
        let mut without = Terminal::new(Box::new(progress.clone()), STYLE);
        for stamped in events() {
            with.take(&stamped).unwrap();
            with.wait(Duration::from_nanos(stamped.at) + REDRAW).unwrap();
            without.take(&stamped).unwrap();
        }
        assert!(paper.text().contains("\x1b[J"), "something was drawn");
        assert_eq!(screen(&paper.text()), progress.text());
    }

    #[test]
    fn a_short_run_shows_no_progress() {
        let paper = Paper::default();
        let mut live = Live::new(Box::new(paper.clone()), STYLE);
        for stamped in events().iter().filter(|stamped| stamped.at < 2_000_000_000) {
            live.take(stamped);
        }
        drop(live);
        assert_eq!(paper.text(), "");
    }

    #[test]
    fn it_is_wiped_when_its_report_is_given_up() {
        let paper = Paper::default();
        let mut live = Live::new(Box::new(paper.clone()), STYLE);
        for stamped in &events()[..5] {
            live.take(stamped);
        }
        live.draw(Duration::from_secs(3));
        assert_ne!(screen(&paper.text()), "");
        drop(live);
        assert_eq!(screen(&paper.text()), "");
    }

    #[test]
    fn a_terminal_that_is_gone_does_not_matter() {
        struct Gone;

        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }

        let paper = Paper::default();
        let live = Live::new(Box::new(Gone), STYLE);
        let mut report = Terminal::new(Box::new(paper.clone()), STYLE).with_live(live);
        assert!(events().iter().all(|stamped| report.take(stamped).is_ok()));
    }

    #[test]
    fn every_line_fits_the_terminal() {
        for width in [0, 1, 20, 80] {
            let mut live = Live::new(Box::new(io::sink()), Style { width, ..STYLE });
            let all = events();
            let moving = all
                .iter()
                .filter(|stamped| matches!(stamped.event, Event::StepStarted { .. } | Event::Loading { .. }));
            moving.for_each(|stamped| live.take(stamped));
            let lines = live.lines(Duration::from_secs(3));
            assert_eq!(lines.len(), 4);
            assert!(lines.iter().all(|line| width_of(line) <= width), "{lines:?}");
        }
    }
}
