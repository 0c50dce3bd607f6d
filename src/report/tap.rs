//! The Test Anything Protocol, version 14: a subtest for each scenario, a point for each step and objective.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use crate::event::{Conclusion, Failure, Outcome};
use crate::gate::Verdict;
use crate::report::problem::Spot;
use crate::report::record::{Run, Scenario, Slo, Step};
use crate::report::style::Style;
use crate::report::text::{on_one_line, printable};
use crate::report::{detail, row, verdict};

/// Writes a run that is over.
pub(crate) fn write(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(document(run).as_bytes())
}

fn document(run: &Run) -> String {
    let mut points = Points { text: "TAP version 14\n".to_owned(), ..Points::default() };
    for scenario in &run.scenarios {
        let inner = of_scenario(scenario);
        let _ = writeln!(points.text, "# Subtest: {}", escaped(&scenario.name));
        points.text += &indented(&format!("{}1..{}", inner.text, inner.count), 4);
        points.text.push('\n');
        let mut facts = Facts::default();
        facts.add("message", &verdict::of_scenario(scenario, Style::FILE));
        facts.took(scenario.end.map(|(_, took)| took));
        points.add(scenario.conclusion() == Conclusion::Pass, &scenario.name, None, &facts);
    }
    let interrupted = run.end.is_none_or(|end| end.interrupted);
    if interrupted || run.scenarios.is_empty() {
        // No reader may take a run that was stopped, or one of nothing, for a good one.
        let _ = writeln!(points.text, "Bail out! {}", escaped(&verdict::of_run(run, Style::FILE)));
    } else {
        let _ = writeln!(points.text, "1..{}", points.count);
    }
    points.text
}

fn of_scenario(scenario: &Scenario) -> Points {
    let mut points = Points::default();
    for step in scenario.steps.values() {
        of_step(step, &mut points);
    }
    for step in scenario.planned.iter().filter(|step| !scenario.steps.contains_key(&step.number)) {
        points.add(true, &step.name, Some("not reached"), &Facts::default());
    }
    for slo in &scenario.slos {
        of_slo(slo, &mut points);
    }
    for why in &scenario.not_measured {
        let mut facts = Facts::default();
        facts.add("message", &on_one_line(why));
        facts.add("severity", "error");
        points.add(false, "can be measured", None, &facts);
    }
    if scenario.conclusion() != Conclusion::Pass && points.passed == points.count {
        let mut facts = Facts::default();
        facts.add("message", &verdict::of_scenario(scenario, Style::FILE));
        points.add(false, "conclusion", None, &facts);
    }
    points
}

fn of_step(step: &Step, points: &mut Points) {
    let mut facts = Facts::default();
    let Some(end) = &step.end else {
        facts.add("message", "the run was stopped before this step ended");
        facts.add("severity", "error");
        return points.add(false, &step.id.name, None, &facts);
    };
    let skipped = end.why.as_deref().unwrap_or("skipped");
    match end.outcome {
        Outcome::Skipped => return points.add(true, &step.id.name, Some(skipped), &facts),
        Outcome::Passed => {}
        Outcome::Flaky => {
            facts.add("message", &format!("passed at attempt {} (flaky)", end.attempts));
            facts.add("severity", "comment");
        }
        Outcome::Failed => {
            facts.add("message", &verdict::why_failed(step));
            facts.add("severity", "fail");
            facts.failure(step.failures().first());
        }
        Outcome::Unreliable => {
            facts.add("message", &verdict::why_failed(step));
            facts.add("severity", "error");
        }
    }
    facts.add("kind", &on_one_line(&step.id.kind));
    facts.took(Some(end.took));
    if let Some(tally) = &step.tally {
        facts.block("load", &row::load(tally, end.took, Style::FILE).join("\n"));
    }
    if end.outcome == Outcome::Failed {
        facts.block("details", &(detail::drawings(step, Style::FILE) + &detail::received(step, Style::FILE)));
    }
    points.add(matches!(end.outcome, Outcome::Passed | Outcome::Flaky), &step.id.name, None, &facts);
}

fn of_slo(slo: &Slo, points: &mut Points) {
    let mut facts = Facts::default();
    facts.add("message", &on_one_line(&slo.said()));
    if !slo.details().is_empty() {
        facts.block("budget", &slo.details().join("\n"));
    }
    match slo.verdict() {
        Verdict::Pass => {}
        Verdict::Warn => facts.add("severity", "comment"),
        Verdict::Fail => facts.add("severity", "fail"),
        Verdict::Inconclusive { .. } | Verdict::NoData => facts.add("severity", "error"),
    }
    let met = matches!(slo.verdict(), Verdict::Pass | Verdict::Warn);
    if !met {
        facts.at(Spot::of(&slo.drawing));
        facts.block("details", &detail::drawn(&slo.drawing, Style::FILE));
    }
    points.add(met, &format!("{}: {}", slo.name, slo.objective), None, &facts);
}

/// Test points, numbered from 1.
#[derive(Default)]
struct Points {
    text: String,
    count: usize,
    passed: usize,
}

impl Points {
    fn add(&mut self, ok: bool, name: &str, skipped: Option<&str>, facts: &Facts) {
        self.count += 1;
        self.passed += usize::from(ok);
        let skip = skipped.map(|why| format!(" # SKIP {}", escaped(why))).unwrap_or_default();
        let ok = if ok { "ok" } else { "not ok" };
        let _ = writeln!(self.text, "{ok} {} - {}{skip}", self.count, escaped(name));
        if !facts.0.is_empty() {
            let _ = writeln!(self.text, "  ---\n{}\n  ...", indented(&facts.0, 2));
        }
    }
}

/// A YAML block: keys of ours, each with a text in double quotes, a number, or lines as they are.
#[derive(Default)]
struct Facts(String);

impl Facts {
    fn add(&mut self, key: &str, text: &str) {
        let _ = writeln!(self.0, "{key}: {}", quoted(text));
    }

    fn took(&mut self, took: Option<Duration>) {
        if let Some(took) = took {
            let _ = writeln!(self.0, "duration_ms: {:.3}", took.as_secs_f64() * 1000.0);
        }
    }

    fn failure(&mut self, failure: Option<&Failure>) {
        let Some(failure) = failure else { return };
        self.add("reason", &failure.reason.to_string());
        self.at(Spot::of(&failure.drawing));
    }

    fn at(&mut self, spot: Option<Spot>) {
        let Some(Spot { path, line, column, .. }) = spot else { return };
        let _ = writeln!(self.0, "at: {{ file: {}, line: {line}, column: {column} }}", quoted(&path));
    }

    /// Lines as they are; the number says how far they are indented, for they may begin with spaces.
    fn block(&mut self, key: &str, lines: &str) {
        let lines = printable(lines);
        if !lines.trim().is_empty() {
            let _ = writeln!(self.0, "{key}: |2-\n{}", indented(lines.trim_end(), 2));
        }
    }
}

/// A YAML text in double quotes; JSON's are such.
fn quoted(text: &str) -> String {
    serde_json::Value::from(printable(text)).to_string()
}

/// A name or a reason in a test point: one line, in which `#` begins no directive.
fn escaped(text: &str) -> String {
    on_one_line(text).replace('\\', "\\\\").replace('#', "\\#")
}

fn indented(lines: &str, by: usize) -> String {
    let indent = |line: &str| if line.is_empty() { String::new() } else { format!("{:by$}{line}", "") };
    lines.lines().map(indent).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Stamped;
    use crate::report::fixture::{HOSTILE, events, hostile_events, written};
    use crate::report::text::steers;
    use crate::report::whole::Whole;
    use crate::source::Sources;
    use crate::yaml;

    fn tap(events: &[Stamped]) -> String {
        written(|out| Whole::new("run.tap".into(), out, write), events)
    }

    /// Every YAML block of a report, read back.
    fn blocks(text: &str) -> Vec<yaml::Node> {
        let mut blocks = Vec::new();
        let mut open: Option<String> = None;
        for line in text.lines() {
            match (line.trim_start(), &mut open) {
                ("---", None) => open = Some(String::new()),
                ("...", Some(_)) => {
                    let text = open.take().unwrap();
                    let file = Sources::default().add("block", text.clone());
                    blocks.extend(yaml::parse(file, &text).unwrap_or_else(|why| panic!("{why:?} in {text}")));
                }
                (_, Some(text)) => *text = format!("{text}{line}\n"),
                (_, None) => {}
            }
        }
        assert!(open.is_none(), "a block is not closed: {text}");
        blocks
    }

    #[test]
    fn a_run_is_written_whole() {
        insta::assert_snapshot!(tap(&events()));
    }

    #[test]
    fn every_block_is_yaml() {
        let blocks = blocks(&tap(&events()));
        let prices = blocks.iter().find(|block| {
            block
                .get("details")
                .is_some_and(|details| details.scalar().is_some_and(|text| text.contains("3 of 10 messages")))
        });
        let at = prices.unwrap().get("at").unwrap();
        assert_eq!(at.get("file").unwrap().scalar(), Some("scenarios/quickstart.yaml"));
        assert_eq!(at.get("line").unwrap().scalar(), Some("13"));
    }

    #[test]
    fn a_run_of_nothing_bails_out() {
        insta::assert_snapshot!(tap(&[]), @r"
        TAP version 14
        Bail out! NOT MEASURED no scenario was run; cut off before its end
        ");
    }

    #[test]
    fn nothing_a_target_sends_breaks_the_file() {
        let text = tap(&hostile_events());
        assert!(!text.contains(|sign| sign != '\n' && steers(sign)), "{text}");
        assert!(!blocks(&text).is_empty());
        assert_eq!(escaped("a # SKIP b\\"), "a \\# SKIP b\\\\");
        assert_eq!(escaped(HOSTILE).lines().count(), 1);
    }
}
