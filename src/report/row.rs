//! The lines of a scenario's table: its heading, its services, steps and objectives.

use std::fmt::Write as _;
use std::time::Duration;

use crate::event::{Evidence, Outcome, Tally};
use crate::report::drill;
use crate::report::record::{Scenario, Service, Slo, Step, StepEnd, time};
use crate::report::style::{Ink, Mark, Style};
use crate::report::text::{fold, on_one_line, thousands, width};
use crate::report::verdict::why_failed;

/// Where lines begin.
const MARGIN: &str = "  ";

/// Lines that one row may take.
const MOST_LINES: usize = 6;

/// Columns below which words are set under their row and not beside it.
const NARROW: usize = 28;

/// Where steps have their kind.
const SERVICE: &str = "service";

/// How wide the columns of a table are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns {
    name: usize,
    kind: usize,
}

impl Columns {
    /// Wide enough for all that a scenario said it would do, in at most a third of the line.
    pub(crate) fn of(scenario: &Scenario, style: Style) -> Self {
        let known = scenario.steps.values().map(|step| &step.id).chain(&scenario.planned);
        let steps = known.map(|id| (id.name.as_str(), id.kind.as_str()));
        let services = scenario.services.iter().map(|service| (service.name.as_str(), SERVICE));
        let (names, kinds): (Vec<_>, Vec<_>) = steps
            .chain(services)
            .map(|(name, kind)| (width(&on_one_line(name)), width(&on_one_line(kind))))
            .unzip();
        let longest = |widths: Vec<usize>, least: usize| widths.into_iter().max().unwrap_or(0).max(least);
        Self { name: longest(names, 12).min((style.width / 3).max(12)), kind: longest(kinds, 4).min(12) }
    }
}

/// `quickstart  What it is for`.
pub(crate) fn heading(scenario: &Scenario, style: Style) -> String {
    let name = on_one_line(&scenario.name);
    let about = scenario.about.as_deref().unwrap_or(&scenario.file);
    let lines = fold(&[bounded(about, style, style.width)], style.width.saturating_sub(width(&name) + 2));
    let mut text = style.paint(Ink::Strong, &name);
    for (index, line) in lines.iter().enumerate() {
        text += &" ".repeat(if index == 0 { 2 } else { width(&name) + 2 });
        text += &style.paint(Ink::Faint, line);
        text.push('\n');
    }
    if lines.is_empty() { text + "\n" } else { text }
}

/// A service that came up.
pub(crate) fn service(service: &Service, columns: Columns, style: Style) -> String {
    let row = Row { mark: Mark::Passed, name: &service.name, kind: SERVICE, took: Some(service.took) };
    row.print(columns, &[format!("listens on {}", on_one_line(&service.address))], style)
}

/// A step that ended.
pub(crate) fn step(step: &Step, columns: Columns, style: Style) -> String {
    let Some(end) = &step.end else { return String::new() };
    let took = (end.outcome != Outcome::Skipped).then_some(end.took);
    let row = Row { mark: end.outcome.into(), name: &step.id.name, kind: &step.id.kind, took };
    let text = row.print(columns, &said_of(step, end, style), style);
    let indent = MARGIN.len() + style.mark_width() + 1;
    step.drilled.iter().fold(text, |text, alert| text + &drill::of_alert(alert, indent, style))
}

/// A step that did not end.
pub(crate) fn stopped(step: &Step, columns: Columns, style: Style) -> String {
    let row = Row { mark: Mark::Unknown, name: &step.id.name, kind: &step.id.kind, took: None };
    row.print(columns, &["stopped before it ended".to_owned()], style)
}

/// What is worth knowing of a scenario's stack.
pub(crate) fn note(note: &str, style: Style) -> String {
    paragraph(Mark::Note, note, style)
}

/// Why a scenario says nothing about its target.
pub(crate) fn not_measured(why: &str, style: Style) -> String {
    paragraph(Mark::Unknown, why, style)
}

fn paragraph(mark: Mark, text: &str, style: Style) -> String {
    let indent = MARGIN.len() + style.mark_width() + 1;
    let room = style.width.saturating_sub(indent).max(NARROW);
    let lines = fold(&[bounded(text, style, room * MOST_LINES)], room);
    format!("{MARGIN}{} {}\n", style.mark(mark), lines.join(&format!("\n{}", " ".repeat(indent))))
}

/// The objectives that were judged: each with its sentence beside it where there is room for all, else below.
pub(crate) fn slos(slos: &[Slo], style: Style) -> String {
    let columns: Vec<_> = slos
        .iter()
        .map(|slo| (on_one_line(&slo.name), on_one_line(&slo.objective), on_one_line(&slo.said())))
        .collect();
    let indent = MARGIN.len() + style.mark_width() + 1;
    let widest = |of: fn(&(String, String, String)) -> &str| columns.iter().map(|row| width(of(row))).max();
    let widest_name = widest(|row| &row.0).unwrap_or(0);
    let widest_objective = widest(|row| &row.1).unwrap_or(0);
    let all = indent + widest_name + 2 + widest_objective + 2 + widest(|row| &row.2).unwrap_or(0);
    let mut text =
        format!("{MARGIN}{}\n", style.paint(Ink::Strong, if slos.len() == 1 { "SLO" } else { "SLOs" }));
    for (slo, (name, objective, sentence)) in slos.iter().zip(columns) {
        let mark = style.mark(slo.verdict().into());
        if all <= style.width {
            let name = name.clone() + &" ".repeat(widest_name - width(&name));
            let objective = objective.clone() + &" ".repeat(widest_objective - width(&objective));
            let _ = writeln!(text, "{MARGIN}{mark} {name}  {objective}  {sentence}");
            text += &details(slo, indent + 2, style);
            continue;
        }
        let head = format!("{name}  {objective}");
        let _ = writeln!(text, "{MARGIN}{mark} {}", style.cut(&head, style.width.saturating_sub(indent)));
        for line in fold(&[sentence], style.width.saturating_sub(indent + 2).max(NARROW)) {
            let _ = writeln!(text, "{:1$}{line}", "", indent + 2);
        }
        text += &details(slo, indent + 2, style);
    }
    text
}

/// What a gate has to say beside its sentence, each piece on lines of its own.
fn details(slo: &Slo, indent: usize, style: Style) -> String {
    let room = style.width.saturating_sub(indent).max(NARROW);
    let pieces = slo.details().into_iter().map(|piece| bounded(&piece, style, room * MOST_LINES));
    let lines = pieces.flat_map(|piece| fold(&[piece], room));
    lines.map(|line| " ".repeat(indent) + &style.paint(Ink::Faint, &line) + "\n").collect()
}

/// The first columns of a row.
struct Row<'a> {
    mark: Mark,
    name: &'a str,
    kind: &'a str,
    /// Absent for what did not happen.
    took: Option<Duration>,
}

impl Row<'_> {
    fn print(&self, columns: Columns, said: &[String], style: Style) -> String {
        let cell = |text: &str, room: usize| {
            let text = style.cut(text, room).into_owned();
            let space = " ".repeat(room - width(&text));
            (text, space)
        };
        let (name, after_name) = cell(&on_one_line(self.name), columns.name);
        let (kind, after_kind) = cell(&on_one_line(self.kind), columns.kind);
        let took = self.took.map(|took| style.time(took)).unwrap_or_default();
        let kind = style.paint(Ink::Faint, &kind);
        let first = format!("{name}{after_name}  {kind}{after_kind}  {took:>8}");
        let indent = MARGIN.len() + style.mark_width() + 1;
        let beside = indent + columns.name + 2 + columns.kind + 2 + 8 + 2;
        let narrow = beside + NARROW > style.width;
        let indent = if narrow { indent + 2 } else { beside };
        let room = style.width.saturating_sub(indent).max(NARROW);
        let said: Vec<_> = said.iter().map(|piece| bounded(piece, style, room * MOST_LINES)).collect();
        let lines = fold(&said, room);
        let mut text = format!("{MARGIN}{} {first}", style.mark(self.mark));
        for (index, line) in lines.iter().enumerate() {
            if index == 0 && !narrow {
                text += "  ";
            } else {
                text.truncate(text.trim_end().len());
                text.push('\n');
                text += &" ".repeat(indent);
            }
            text += line;
        }
        text.truncate(text.trim_end().len());
        text + "\n"
    }
}

/// What a target said, on one line and of a size that suits a table.
fn bounded(text: &str, style: Style, room: usize) -> String {
    style.cut(&on_one_line(text), room).into_owned()
}

/// What there is to say of a step beside how it ended.
pub(crate) fn said_of(step: &Step, end: &StepEnd, style: Style) -> Vec<String> {
    let mut said: Vec<String> = step.tally.iter().flat_map(|tally| load(tally, end.took, style)).collect();
    match end.outcome {
        Outcome::Failed if step.tally.is_some() => said.extend(beside_counts(step)),
        Outcome::Failed => {
            let after = if end.attempts > 1 { format!(" (attempt {})", end.attempts) } else { String::new() };
            said.push(why_failed(step) + &after);
        }
        Outcome::Skipped => {
            said.push(end.why.as_deref().map_or("skipped".into(), |why| format!("skipped: {why}")));
        }
        Outcome::Unreliable => said.extend(end.why.as_deref().map(on_one_line)),
        Outcome::Passed | Outcome::Flaky => {
            let mut seen: Vec<String> = step.evidence().and_then(seen).into_iter().collect();
            match (end.outcome, end.attempts) {
                (Outcome::Flaky, attempts) => seen.push(format!("passed at attempt {attempts} (flaky)")),
                (_, attempts) if attempts > 1 && step.tally.is_none() => {
                    seen.push(format!("at attempt {attempts}"));
                }
                (_, _) => {}
            }
            seen.extend(end.why.as_deref().map(on_one_line));
            said.push(seen.join(", "));
        }
    }
    said
}

/// Why load failed, where that is not among the reasons it was counted by.
fn beside_counts(step: &Step) -> Option<String> {
    let reason = step.failures().first()?.reason.to_string();
    let counted = step.tally.as_ref().is_some_and(|tally| tally.reasons.contains_key(&reason));
    (!counted).then(|| why_failed(step))
}

/// What a target answered, in a few words.
pub(crate) fn seen(evidence: &Evidence) -> Option<String> {
    if !evidence.addresses.is_empty() {
        return Some(format!("each of {} addresses", evidence.addresses.len()));
    }
    // An answer that asks who we are, and is asked again, is no redirect.
    let redirects = evidence.hops.iter().rev().skip(1).filter(|hop| hop.status != Some(401)).count();
    let status = evidence.hops.last().and_then(|hop| hop.status).map(|status| match redirects {
        0 => status.to_string(),
        1 => format!("{status} after a redirect"),
        redirects => format!("{status} after {redirects} redirects"),
    });
    let exchange = match evidence.exchange.len() {
        0 => None,
        lines => Some(format!("exchange of {lines}")),
    };
    let certificate = (evidence.hops.is_empty()).then_some(evidence.certificate_until.as_deref()).flatten();
    let certificate = certificate.map(|until| format!("certificate until {}", on_one_line(until)));
    let state = evidence.state.as_deref().map(on_one_line);
    // What the target says of itself says more than the status it said it with.
    let first = state.or(status);
    let seen: Vec<_> = [first, exchange, certificate].into_iter().flatten().collect();
    (!seen.is_empty()).then(|| seen.join(", "))
}

/// What load came to: how much of it, what failed for which reason, how long it took.
pub(crate) fn load(tally: &Tally, took: Duration, style: Style) -> Vec<String> {
    let sent = tally.ended.saturating_add(tally.in_flight);
    let of = if tally.due > sent { format!(" of {}", thousands(tally.due)) } else { String::new() };
    let rate = rate(sent, took).map(|rate| format!(" at {rate}")).unwrap_or_default();
    let failed = tally.ended.saturating_sub(tally.good);
    let mut said = vec![format!("{}{of} sent{rate}, {} failed", thousands(sent), thousands(failed))];
    if failed > 0 {
        let mut reasons: Vec<_> = tally.reasons.iter().collect();
        reasons.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
        let reasons =
            reasons.into_iter().map(|(name, count)| format!("{} {}", thousands(*count), on_one_line(name)));
        let reasons = reasons.collect::<Vec<_>>().join(", ");
        said.extend((!reasons.is_empty()).then_some(reasons));
    }
    let quantiles = [("p50", tally.latency.p50), ("p99", tally.latency.p99), ("max", tally.latency.max)];
    let quantiles: Vec<_> = quantiles
        .into_iter()
        .filter_map(|(name, value)| time(value).map(|value| format!("{name} {}", style.time(value))))
        .collect();
    said.extend((!quantiles.is_empty()).then(|| quantiles.join(", ")));
    said.extend(late(tally, style));
    said
}

/// How late attempts began, where that is enough to doubt what was measured.
fn late(tally: &Tally, style: Style) -> Option<String> {
    const WORTH_SAYING: Duration = Duration::from_millis(10);
    let late = time(tally.lateness.p99).filter(|late| *late >= WORTH_SAYING)?;
    Some(format!("p99 began {} late", style.time(late)))
}

/// `200/s`, where it can be said.
#[expect(clippy::cast_precision_loss, reason = "a rate is shown in a few digits")]
pub(crate) fn rate(count: u64, took: Duration) -> Option<String> {
    let per_second = count as f64 / took.as_secs_f64();
    match per_second {
        rate if !rate.is_finite() || count == 0 => None,
        rate if rate >= 99.5 => Some(format!("{rate:.0}/s")),
        rate => Some(format!("{rate:.1}/s")),
    }
}
