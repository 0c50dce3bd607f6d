//! A run as one page: no script and no other file, to be read on a phone, in print, in the dark, and aloud.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use self::markup::{Percent, anchor, badge, line, outcome};
use crate::event::Outcome;
use crate::report::compare::Comparison;
use crate::report::record::{Run, Scenario, Step};
use crate::report::style::Style;
use crate::report::text::{counted, in_html, on_one_line};
use crate::report::{row, verdict};

mod budget;
mod comparison;
mod evidence;
mod ladder;
mod latency;
mod markup;
mod plot;
mod timeline;

#[cfg(test)]
mod tests;

const CSS: &str = include_str!("page.css");

/// A page that opens at once, on a phone too.
const LONGEST: usize = 1_900_000;

/// Failures of one scenario that are shown with all that is known of them.
const MOST_FAILURES: usize = 100;

/// Writes a run that is over.
pub(crate) fn write(run: &Run, against: Option<&Comparison>, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(document(run, against).as_bytes())
}

fn document(run: &Run, against: Option<&Comparison>) -> String {
    let conclusion = verdict::conclusion(run);
    let said = verdict::of_run(run, Style::FILE);
    let word = Style::FILE.verdict(conclusion);
    let title = line(&said);
    let sentence = said.strip_prefix(&word).unwrap_or(&said).trim_start();
    let (name, why) = sentence.split_once(": ").unwrap_or((sentence, ""));
    // Nothing is fetched and nothing runs, whatever a target may have sent.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
    let mut page = Page::default();
    page.put(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>\n{CSS}</style>\n\
         </head>\n<body>\n<header class=\"top\">\n<p class=\"brand\">firedrill</p>\n\
         <h1>{} {}</h1>\n<p>{}</p>\n{}</header>\n<main>\n",
        badge(conclusion),
        line(name),
        line(why),
        facts(run)
    ));
    page.put(warnings(run));
    page.put(against.map(comparison::of).unwrap_or_default());
    page.put(contents(run));
    for (number, scenario) in run.scenarios.iter().enumerate() {
        page.scenario(scenario, number, run.scenarios.len() == 1);
    }
    page.close(&format!("firedrill {}", line(&run.version)))
}

/// When it was and what made it.
fn facts(run: &Run) -> String {
    let took = run.end.map_or(run.latest, |end| end.took);
    let facts = [
        (
            "started",
            run.started.split('.').next().unwrap_or_default().replace('T', " ").replace('Z', "") + " UTC",
        ),
        ("took", Style::FILE.time(took)),
        ("run", run.id.clone()),
        ("version", run.version.clone()),
    ];
    let known = facts
        .iter()
        .filter(|(name, value)| !value.is_empty() && (*name != "started" || !run.started.is_empty()));
    let items = known.map(|(name, value)| format!("<div><dt>{name}</dt><dd>{}</dd></div>", line(value)));
    format!("<dl class=\"facts\">{}</dl>\n", items.collect::<String>())
}

/// What must be known before anything else is read.
fn warnings(run: &Run) -> String {
    let Some(said) = verdict::not_whole(run) else { return String::new() };
    format!("<p class=\"warning\" role=\"note\"><strong>Not whole.</strong> {said}</p>\n")
}

/// The scenarios, the first thing to look at where there are several.
fn contents(run: &Run) -> String {
    if run.scenarios.len() < 2 {
        return String::new();
    }
    let row = |(number, scenario): (usize, &Scenario)| {
        let conclusion = scenario.conclusion();
        let (name, rest) = (line(&scenario.name), rest(scenario));
        format!(
            "<tr><td>{}</td><td><a href=\"#{}\">{name}</a></td><td class=\"small\">{}</td></tr>\n",
            badge(conclusion),
            anchor("scenario", number),
            line(&rest)
        )
    };
    let rows: String = run.scenarios.iter().enumerate().map(row).collect();
    format!(
        "<nav class=\"list\" aria-label=\"Scenarios\"><table><thead><tr><th scope=\"col\">verdict</th>\
         <th scope=\"col\">scenario</th><th scope=\"col\">why</th></tr></thead><tbody>{rows}</tbody></table></nav>\n"
    )
}

/// A scenario's verdict without the verdict and its name.
fn rest(scenario: &Scenario) -> String {
    let said = verdict::of_scenario(scenario, Style::FILE);
    let name = on_one_line(&scenario.name);
    said.split_once(&format!(" {name}: ")).map_or(String::new(), |(_, rest)| rest.to_owned())
}

/// A page of bounded length.
#[derive(Default)]
struct Page {
    text: String,
    left_out: usize,
}

impl Page {
    /// Adds a piece, if there is room for it.
    fn put(&mut self, piece: impl AsRef<str>) {
        let piece = piece.as_ref();
        if self.text.len() + piece.len() > LONGEST {
            self.left_out += 1;
        } else {
            self.text += piece;
        }
    }

    /// What decides first, then what was broken, then everything that was done.
    fn scenario(&mut self, scenario: &Scenario, number: usize, alone: bool) {
        let anchor = anchor("scenario", number);
        // Whatever finds no room within it, a section that is opened is closed.
        let _ = writeln!(self.text, "<section class=\"scenario\" id=\"{anchor}\">");
        self.put(heading(scenario, alone));
        for why in &scenario.not_measured {
            self.put(format!("<p class=\"warning\"><strong>Not measured.</strong> {}</p>\n", line(why)));
        }
        if !scenario.slos.is_empty() {
            self.put(budget::of_all(&scenario.slos));
        }
        self.failures(scenario);
        self.drills(scenario);
        let loads: String = scenario.steps.values().map(|step| latency::of_step(step, scenario)).collect();
        if !loads.is_empty() {
            self.put(format!("<h3>Load</h3>\n{loads}"));
        }
        self.steps(scenario);
        self.put(stack(scenario));
        self.text += "</section>\n";
    }

    fn failures(&mut self, scenario: &Scenario) {
        let failed: Vec<_> =
            scenario.steps_that(Outcome::Failed).chain(scenario.steps_that(Outcome::Unreliable)).collect();
        let missed: Vec<_> = scenario.slos_not_met().collect();
        if failed.is_empty() && missed.is_empty() {
            return;
        }
        self.put("<h3>What was not as it should be</h3>\n");
        failed.iter().take(MOST_FAILURES).for_each(|step| self.put(evidence::of_step(step)));
        missed.iter().take(MOST_FAILURES).for_each(|slo| self.put(evidence::of_slo(slo)));
        let all = failed.len().max(missed.len());
        if let Some(more) = all.checked_sub(MOST_FAILURES).filter(|more| *more > 0) {
            self.put(format!("<p class=\"faint\">and {more} more, named in the table below</p>\n"));
        }
    }

    fn drills(&mut self, scenario: &Scenario) {
        let mut drills = scenario.steps.values().filter(|step| !step.drilled.is_empty()).peekable();
        if drills.peek().is_some() {
            self.put("<h3>Drills</h3>\n");
        }
        for step in drills {
            let alerts: String = step.drilled.iter().map(ladder::of_alert).collect();
            self.put(format!(
                "<section class=\"card\"><h4>{}</h4>{}{}</section>\n",
                line(&step.id.name),
                timeline::of_step(step),
                alerts
            ));
        }
    }

    fn steps(&mut self, scenario: &Scenario) {
        if scenario.steps.is_empty() {
            return;
        }
        let end = scenario.steps.values().map(|step| step.began + took(step)).max().unwrap_or_default();
        let length = end.saturating_sub(scenario.began);
        self.text += "<h3>Every step</h3>\n<div class=\"list\"><table><thead><tr><th scope=\"col\">\
            <span class=\"aloud\">outcome</span></th><th scope=\"col\">step</th><th scope=\"col\" class=\"kind\">\
            kind</th><th scope=\"col\" class=\"number\">time</th><th scope=\"col\" class=\"when\">when</th><th scope=\"col\">\
            what was seen</th></tr></thead><tbody>\n";
        for step in scenario.steps.values() {
            self.put(of_step(step, scenario.began, length));
        }
        self.text += "</tbody></table></div>\n";
    }

    fn close(mut self, by: &str) -> String {
        if self.left_out > 0 {
            let _ = writeln!(
                self.text,
                "<p class=\"warning\">{} left out: there is no room here for more. The run's file has them.</p>",
                counted(self.left_out, "part")
            );
        }
        let _ =
            write!(self.text, "</main>\n<footer>Made by {by}. Nothing here is fetched or run.</footer>\n");
        self.text + "</body>\n</html>\n"
    }
}

/// What a scenario came to; the page's own heading says it of one that is alone.
fn heading(scenario: &Scenario, alone: bool) -> String {
    let mut text = String::new();
    if !alone {
        let conclusion = scenario.conclusion();
        let (name, rest) = (line(&scenario.name), rest(scenario));
        let _ = write!(text, "<h2>{} {name}</h2>\n<p>{}</p>\n", badge(conclusion), line(&rest));
    }
    if let Some(about) = &scenario.about {
        let _ = writeln!(text, "<p class=\"faint\">{}</p>", line(about));
    }
    let labels =
        scenario.labels.iter().map(|(name, value)| format!(" · {}", line(&format!("{name}: {value}"))));
    let _ = writeln!(
        text,
        "<p class=\"faint small\"><code>{}</code>{}</p>",
        line(&scenario.file),
        labels.collect::<String>()
    );
    text
}

fn took(step: &Step) -> Duration {
    step.end.as_ref().map_or(Duration::ZERO, |end| end.took)
}

/// A row of the table of steps; where it lies in the scenario's time is drawn.
fn of_step(step: &Step, began: Duration, length: Duration) -> String {
    let end = step.end.as_ref();
    let (sign, word, tone) = outcome(end.map(|end| end.outcome));
    let said = match end {
        Some(end) => row::said_of(step, end, Style::FILE),
        None => vec!["stopped before it ended".to_owned()],
    };
    let said: Vec<_> = said.iter().filter(|piece| !piece.is_empty()).map(|piece| line(piece)).collect();
    let skipped = end.is_some_and(|end| end.outcome == Outcome::Skipped);
    let time = if skipped || end.is_none() { String::new() } else { Style::FILE.time(took(step)) };
    let share = |time: Duration| Percent::of(time.as_secs_f64() / length.as_secs_f64());
    let when = if skipped {
        String::new()
    } else {
        let (left, width) = (share(step.began.saturating_sub(began)), share(took(step)));
        format!("<span class=\"{tone}\" style=\"margin-left:{left};width:{width}\"></span>")
    };
    format!(
        "<tr><td class=\"sign {tone}\">{sign}<span class=\"aloud\"> {word}</span></td><td>{}</td>\
         <td class=\"kind faint\">{}</td><td class=\"number\">{time}</td><td class=\"when\">{when}</td>\
         <td class=\"small\">{}</td></tr>\n",
        line(&step.id.name),
        line(&step.id.kind),
        said.join("<br>")
    )
}

/// What was started for it, and what is worth knowing of that.
fn stack(scenario: &Scenario) -> String {
    if scenario.services.is_empty() && scenario.notes.is_empty() {
        return String::new();
    }
    let services = scenario.services.iter().map(|service| {
        let took = Style::FILE.time(service.took);
        format!("<dt>{}</dt><dd>{}, ready after {took}</dd>", line(&service.name), line(&service.address))
    });
    let notes = scenario.notes.iter().map(|note| format!("<p class=\"small\">{}</p>", in_html(note)));
    format!(
        "<details><summary>Its stack: {}</summary><dl class=\"lines\">{}</dl>{}</details>\n",
        counted(scenario.services.len(), "service"),
        services.collect::<String>(),
        notes.collect::<String>()
    )
}
