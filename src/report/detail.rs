//! What was wrong, drawn where it was wanted, and what was received instead.

use std::fmt::Write as _;

use crate::event::{Address, Evidence, Hop, Line};
use crate::finding::Drawing;
use crate::gate::Verdict;
use crate::report::record::{Slo, Step};
use crate::report::style::{Ink, Mark, Style};
use crate::report::text::{fit_to_draw, fold, on_one_line, printable, thousands, width};
use crate::sample::Reason;

/// Drawings shown of one step, and lines of a drawing.
const MOST_DRAWINGS: usize = 5;
const MOST_DRAWN_LINES: usize = 60;

/// Hops shown, the last ones.
const MOST_HOPS: usize = 5;

/// Lines of an exchange shown, the last ones, and of what was heard at each.
const MOST_EXCHANGE: usize = 8;
const MOST_HEARD: usize = 3;

/// Headers shown where one of them was wrong.
const MOST_HEADERS: usize = 12;

/// Lines of a body shown.
const MOST_BODY: usize = 8;

/// A failed step: what was wrong in its last attempt, and what was received.
pub(crate) fn of_step(step: &Step, style: Style) -> String {
    let attempt = step.attempts.back().filter(|last| last.number > 1);
    let attempt = attempt.map(|last| format!("  attempt {}", last.number)).unwrap_or_default();
    let mut text = headline(&step.id.name, &attempt, style);
    text += &drawings(step, style);
    text + &received(step, style)
}

/// An objective that was not met, where it was written.
pub(crate) fn of_slo(slo: &Slo, style: Style) -> String {
    let verdict = match slo.verdict() {
        Verdict::Pass | Verdict::Warn | Verdict::Fail => String::new(),
        doubt @ (Verdict::Inconclusive { .. } | Verdict::NoData) => format!("  {doubt}"),
    };
    let mark = style.mark(slo.verdict().into());
    let name = style.paint(Ink::Strong, &on_one_line(&slo.name));
    format!("\n{mark} {name}{}\n{}", style.paint(Ink::Faint, &verdict), drawn(&slo.drawing, style))
}

fn headline(name: &str, note: &str, style: Style) -> String {
    let name = style.paint(Ink::Strong, &on_one_line(name));
    format!("\n{} {name}{}\n", style.mark(Mark::Failed), style.paint(Ink::Faint, note))
}

/// What was wrong with the last attempt, or with load.
pub(crate) fn drawings(step: &Step, style: Style) -> String {
    let failures = step.failures();
    let mut text: String =
        failures.iter().take(MOST_DRAWINGS).map(|failure| drawn(&failure.drawing, style)).collect();
    if let Some(more) = failures.len().checked_sub(MOST_DRAWINGS).filter(|more| *more > 0) {
        let _ = writeln!(text, "{} {more} more of these", style.more());
    }
    text
}

/// A drawing of bounded size.
pub(crate) fn drawn(drawing: &Drawing, style: Style) -> String {
    let drawing = fit_to_draw(drawing).render(style.colour);
    let mut lines: Vec<_> = drawing.lines().map(str::trim_end).take(MOST_DRAWN_LINES + 1).collect();
    if lines.len() > MOST_DRAWN_LINES {
        lines[MOST_DRAWN_LINES] = style.more();
    }
    lines.join("\n") + "\n"
}

/// What came back at the last attempt, indented.
pub(crate) fn received(step: &Step, style: Style) -> String {
    let Some(evidence) = step.evidence() else { return String::new() };
    let mut page = Page { style, text: String::new() };
    for address in &evidence.addresses {
        page.address(address);
    }
    for hop in latest(&evidence.hops, MOST_HOPS) {
        page.hop(hop);
    }
    if let Some(trace) = &evidence.trace {
        page.line(2, &format!("trace {trace}"));
    }
    if step.failures().iter().any(|failure| failure.reason == Reason::Header) {
        for (name, value) in evidence.headers.iter().take(MOST_HEADERS) {
            page.line(4, &format!("{name}: {value}"));
        }
    }
    for line in latest(&evidence.exchange, MOST_EXCHANGE) {
        page.exchange(line);
    }
    if let Some(until) = &evidence.certificate_until {
        page.line(2, &format!("certificate until {until}"));
    }
    if let Some(state) = &evidence.state {
        page.line(2, &format!("state: {state}"));
    }
    page.body(evidence);
    if page.text.is_empty() {
        page.text
    } else {
        format!("{}:\n{}", style.paint(Ink::Strong, "received"), page.text)
    }
}

fn latest<T>(items: &[T], most: usize) -> &[T] {
    &items[items.len().saturating_sub(most)..]
}

/// Indented lines that keep to their width.
struct Page {
    style: Style,
    text: String,
}

impl Page {
    fn line(&mut self, indent: usize, line: &str) {
        let line = on_one_line(line);
        let line = self.style.cut(&line, self.style.width.saturating_sub(indent));
        let _ = writeln!(self.text, "{:indent$}{line}", "");
    }

    fn address(&mut self, address: &Address) {
        let how = match address.failures.first() {
            None => "passed".to_owned(),
            Some(first) => format!("failed, {first}"),
        };
        let took = self.style.time(address.took.into());
        self.line(2, &format!("{}, {took}: {how}", address.address));
    }

    fn hop(&mut self, hop: &Hop) {
        let version = hop.version.as_deref();
        let status = match (hop.status, version) {
            (Some(status), Some(version)) => format!("{status} {version}"),
            (Some(status), None) => status.to_string(),
            // Not every protocol has a status.
            (None, Some(version)) => version.to_owned(),
            (None, None) => "no answer".to_owned(),
        };
        let peer = hop.peer.as_ref().map(|peer| format!(" from {peer}")).unwrap_or_default();
        let room = self.style.width.saturating_sub(2 + width(&hop.method) + 1);
        let answer = format!(": {status}{peer}");
        // The address gives way, the answer stays.
        let url = on_one_line(&hop.url);
        let url = self.style.cut(&url, room.saturating_sub(width(&answer)).max(20)).into_owned();
        self.line(2, &format!("{} {url}{answer}", hop.method));
        let phases = hop.phases.iter().map(|(phase, took)| format!("{phase} {}", self.style.time(took)));
        let phases = phases.collect::<Vec<_>>().join(", ");
        if !phases.is_empty() {
            self.line(4, &phases);
        }
    }

    fn exchange(&mut self, line: &Line) {
        let took = self.style.time(line.took.into());
        let room = self.style.width.saturating_sub(4 + width(&took));
        let what = self.style.cut(&on_one_line(&line.what), room).into_owned();
        self.line(2, &format!("{what}, {took}"));
        for heard in line.heard.iter().take(MOST_HEARD) {
            self.line(4, heard);
        }
        if let Some(more) = line.heard.len().checked_sub(MOST_HEARD).filter(|more| *more > 0) {
            self.line(4, &format!("{} {more} more", self.style.more()));
        }
    }

    fn body(&mut self, evidence: &Evidence) {
        let Some(body) = evidence.body.as_deref().filter(|body| !body.trim().is_empty()) else { return };
        let size =
            evidence.body_size.map(|size| format!(" of {} bytes", thousands(size))).unwrap_or_default();
        self.line(2, &format!("body{size}:"));
        let room = self.style.width.saturating_sub(4).max(20);
        let body = printable(body);
        let mut lines = body.lines().map(str::trim_end).flat_map(|line| match width(line) {
            fits if fits <= room => vec![line.to_owned()],
            _ => fold(&[self.style.cut(line, room * MOST_BODY).into_owned()], room),
        });
        let shown: Vec<_> = lines.by_ref().take(MOST_BODY).collect();
        let more = lines.next().is_some();
        for line in shown {
            let _ = writeln!(self.text, "    {line}");
        }
        if more {
            self.line(4, self.style.more());
        }
    }
}
