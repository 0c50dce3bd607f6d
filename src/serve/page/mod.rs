//! The status page: what a person opens first in an incident. Whole in one answer, without a script.

mod chart;
mod evidence;
mod html;
mod objectives;
mod targets;

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

pub(super) use self::evidence::first;
use self::html::{about, ago, every, page, sign, took};
use super::clock::Jumped;
use super::house::{Files, House};
use super::state::{Rest, State};
use super::watch::Watch;
use crate::event::Conclusion;
use crate::report::in_html;
use crate::units::Reading;

/// The front page is asked for again after so many seconds.
const REFRESH: u64 = 15;

/// How many failures the front page tells of.
const MOST_FAILURES: usize = 12;

/// How everything does.
pub(super) fn front(house: &House) -> String {
    let now = Timestamp::now();
    let (watches, files) = (house.watches(), house.files());
    let (standings, looked) = house.standings.all();
    let mut content = top(&headline(&watches, &files), "", now);
    content.push_str("<main>\n");
    let broken = broken(house, &files);
    content.push_str(&first_look(&watches, broken.len()));
    content.push_str(&troubles(house));
    content.push_str(&objectives::section(&standings, looked, now));
    content.push_str("<h2 id=\"scenarios\">Scenarios</h2>\n<div class=\"grid\">\n");
    let mut ordered: Vec<_> = watches.iter().collect();
    ordered.sort_by_key(|watch| (rank(&watch.state()), watch.name.clone()));
    for watch in ordered {
        content.push_str(&card(watch, now));
    }
    if watches.is_empty() {
        content.push_str("<p class=\"soft\">No scenario is served.</p>");
    }
    content.push_str("</div>\n");
    content.push_str(&targets::section(house, now));
    content.push_str(&failures(&watches, now));
    if !broken.is_empty() {
        let _ = writeln!(
            content,
            "<h2 id=\"broken\">Files with errors</h2>\n<div class=\"stack\">{}</div>",
            broken.concat()
        );
    }
    content.push_str(&passed_over(&files));
    content.push_str("</main>\n");
    content.push_str(&footer(house, now));
    page("firedrill", Some(REFRESH), &content)
}

/// How one scenario does, with the evidence of its failures; `None` where there is none of that name.
pub(super) fn scenario(house: &House, encoded: &str) -> Option<String> {
    let now = Timestamp::now();
    let name = percent_decode_str(encoded).decode_utf8().ok()?;
    let watch = house.watches().into_iter().find(|watch| watch.name == name)?;
    let state = watch.state();
    let (mark, class, says) = sign(state.last().map(|ran| ran.conclusion));
    let title = format!(
        "<span class=\"mark {class}\" aria-hidden=\"true\">{mark}</span> {} <span class=\"{class}\">{says}</span>",
        in_html(&name)
    );
    let planned = watch.scene.planned();
    let about = planned.and_then(|planned| planned.scenario.about.as_deref()).unwrap_or_default();
    let mut content = top(&title, about, now);
    content.push_str("<main>\n<p><a href=\"/\">← all scenarios</a></p>\n<div class=\"card\">");
    content.push_str(&chart::chart(state.runs.iter(), now));
    let file = planned.map(|planned| planned.file.display().to_string()).unwrap_or_default();
    let _ = writeln!(content, "{}<p class=\"soft\">{}</p></div>", facts(&watch, &state, now), in_html(&file));
    content.push_str(&steps(&state, now));
    content.push_str("<h2>Last failures</h2>\n");
    if state.failures.is_empty() {
        content.push_str("<p class=\"soft\">None since firedrill was started.</p>\n");
    }
    content.push_str("<div class=\"stack\">\n");
    for (nth, failed) in state.failures.iter().rev().enumerate() {
        content.push_str(&evidence::card(failed, nth == 0, now));
    }
    content.push_str("</div>\n");
    drop(state);
    content.push_str("</main>\n");
    content.push_str(&footer(house, now));
    Some(page(&format!("{name} — firedrill"), None, &content))
}

/// There is no such page.
pub(super) fn lost(path: &str) -> String {
    let title = "There is no such page";
    let said = format!("{path} leads nowhere.");
    let content = format!(
        "{}<main><p><a href=\"/\">← all scenarios</a></p></main>\n",
        top(title, &said, Timestamp::now())
    );
    page(title, None, &content)
}

fn top(title: &str, below: &str, now: Timestamp) -> String {
    let below =
        if below.is_empty() { String::new() } else { format!("<p class=\"soft\">{}</p>\n", in_html(below)) };
    format!(
        "<header class=\"top\">\n<div class=\"brand\"><b>firedrill</b><time datetime=\"{now:.0}\">{} UTC</time></div>\n\
         <h1>{title}</h1>\n{below}</header>\n",
        now.strftime("%Y-%m-%d %H:%M:%S")
    )
}

/// The state of everything in one sentence.
fn headline(watches: &[Watch], files: &Files) -> String {
    let last = |watch: &Watch| watch.state().last().map(|ran| ran.conclusion);
    let lasts: Vec<_> = watches.iter().map(last).collect();
    let count = |wanted: Option<Conclusion>| lasts.iter().filter(|last| **last == wanted).count();
    let (failed, waiting) = (count(Some(Conclusion::Fail)), count(None));
    let unsure = count(Some(Conclusion::NotMeasured)) + count(Some(Conclusion::Inconclusive));
    let all = lasts.len();
    let (class, mark, said) = if failed > 0 {
        let verb = if failed == 1 { "fails" } else { "fail" };
        ("bad", "✗", format!("{failed} of {all} scenarios {verb}"))
    } else if unsure > 0 {
        ("warn", "?", format!("{unsure} of {all} scenarios could not be measured"))
    } else if all == 0 {
        ("warn", "?", "Nothing is served".to_owned())
    } else if waiting == all {
        ("soft", "…", "Nothing has run yet".to_owned())
    } else if !files.broken.is_empty() {
        ("warn", "?", format!("All {all} scenarios pass, but a file is broken"))
    } else if all == 1 {
        ("good", "✓", "The scenario passes".to_owned())
    } else {
        ("good", "✓", format!("All {all} scenarios pass"))
    };
    format!("<span class=\"mark {class}\" aria-hidden=\"true\">{mark}</span> {said}")
}

/// What keeps firedrill itself from doing its work.
fn troubles(house: &House) -> String {
    let mut said = String::new();
    let health = house.ledger.health();
    if let Some(trouble) = health.trouble {
        let _ = writeln!(
            said,
            "<div class=\"card bad-edge\"><h3>The store cannot be written</h3><p>{}</p>\
             <p class=\"soft\">{} minutes of SLIs wait for it; {} samples were given up.</p></div>",
            in_html(&trouble),
            health.waiting,
            health.lost
        );
    }
    said.push_str(&jump(house.jumps.jumped(), Timestamp::now()));
    if said.is_empty() {
        said
    } else {
        format!("<h2>Needs attention</h2>\n<div class=\"stack\">{said}</div>")
    }
}

/// A card for each file that has errors.
fn broken(house: &House, files: &Files) -> Vec<String> {
    let of_scenarios =
        files.broken.iter().map(|broken| (broken.file.display().to_string(), broken.drawn.clone()));
    let of_targets = house.targets.troubles().into_iter().filter_map(|(list, drawn)| Some((list, drawn?)));
    let card = |(file, drawn): (String, String)| {
        format!(
            "<div class=\"card warn-edge\"><h3>{} has errors and changes nothing</h3><pre tabindex=\"0\">{}</pre></div>",
            in_html(&file),
            in_html(&drawn)
        )
    };
    of_scenarios.chain(of_targets).map(card).collect()
}

/// What to look at first: the scenarios that fail, by name, and how many files have errors.
fn first_look(watches: &[Watch], broken: usize) -> String {
    let fails = |watch: &&Watch| watch.state().last().is_some_and(|ran| ran.conclusion == Conclusion::Fail);
    let failing: Vec<_> = watches.iter().filter(fails).map(|watch| link(&watch.name)).collect();
    let mut said = failing.iter().take(MOST_FAILURES).map(String::as_str).collect::<Vec<_>>().join(", ");
    if let Some(more) = failing.len().checked_sub(MOST_FAILURES).filter(|more| *more > 0) {
        let _ = write!(said, " and {more} more");
    }
    if broken > 0 {
        let files =
            if broken == 1 { "a file has errors".to_owned() } else { format!("{broken} files have errors") };
        let before = if said.is_empty() { "" } else { " · " };
        let _ = write!(said, "{before}<a href=\"#broken\">{files}</a>");
    }
    if said.is_empty() { said } else { format!("<p>{said}</p>\n") }
}

/// What a clock that jumped has done, for a day.
fn jump(jumped: Jumped, now: Timestamp) -> String {
    let Some((at, far)) =
        jumped.last.filter(|(at, _)| now.duration_since(*at) < SignedDuration::from_hours(24))
    else {
        return String::new();
    };
    let lost = if far.is_negative() {
        "what was measured since adds to minutes that are there already, and nothing counts twice"
    } else {
        "nothing was measured in between"
    };
    let far = about(far.unsigned_abs());
    format!(
        "<div class=\"card warn-edge\"><h3>The clock jumped by {far}</h3><p>{}: it was set, or the machine slept; \
         {lost}.</p></div>",
        ago(at, now)
    )
}

/// Failing scenarios come first.
fn rank(state: &State) -> u8 {
    match state.last().map(|ran| ran.conclusion) {
        Some(Conclusion::Fail) => 0,
        Some(Conclusion::NotMeasured | Conclusion::Inconclusive) => 1,
        None => 2,
        Some(Conclusion::Pass) => 3,
    }
}

fn link(name: &str) -> String {
    let href = utf8_percent_encode(name, NON_ALPHANUMERIC);
    format!("<a href=\"/scenario/{href}\">{}</a>", in_html(name))
}

fn card(watch: &Watch, now: Timestamp) -> String {
    let state = watch.state();
    let last = state.last().map(|ran| ran.conclusion);
    let (mark, class, says) = sign(last);
    let edge = match last {
        Some(Conclusion::Fail) => " bad-edge",
        Some(Conclusion::NotMeasured | Conclusion::Inconclusive) => " warn-edge",
        Some(Conclusion::Pass) | None => "",
    };
    let about = watch.scene.planned().and_then(|planned| planned.scenario.about.as_deref());
    let about = about.map_or_else(String::new, |about| format!("<p class=\"soft\">{}</p>", in_html(about)));
    format!(
        "<article class=\"card{edge}\"><div class=\"head\"><h3>{}</h3><span class=\"{class}\">\
         <span class=\"mark\" aria-hidden=\"true\">{mark}</span> {says}</span></div>{about}{}{}</article>\n",
        link(&watch.name),
        chart::strip(state.runs.iter()),
        facts(watch, &state, now)
    )
}

/// When and how often a scenario runs.
fn facts(watch: &Watch, state: &State, now: Timestamp) -> String {
    let mut facts = vec![format!("every {}", every(watch.scene.every))];
    if let Some(last) = state.last() {
        facts.push(format!("last {}, took {}", ago(last.began, now), took(last.took)));
    }
    if state.failed_in_a_row > 1 {
        facts.push(format!("{} times in a row", state.failed_in_a_row));
    }
    match &state.rests {
        Some(Rest::Maintenance { until, about }) if watch.is_maintained(now) => {
            let about = about.as_deref().map_or_else(String::new, |about| format!(": {}", in_html(about)));
            facts.push(format!("<b>maintenance until {}{about}</b>", until.strftime("%Y-%m-%d %H:%M UTC")));
        }
        Some(Rest::Dependency(name)) => {
            facts.push(format!("<b>not run, as {} does not pass</b>", link(name)));
        }
        Some(Rest::Maintenance { .. }) | None => {}
    }
    if let Some(running) = state.running {
        facts.push(format!("runs since {}", ago(running, now)));
    }
    if state.missed > 0 {
        facts.push(format!("missed {}", state.missed));
    }
    let facts: Vec<_> = facts.into_iter().map(|fact| format!("<span>{fact}</span>")).collect();
    format!("<div class=\"facts\">{}</div>", facts.join(""))
}

/// The latest failures of all scenarios, the newest first; what fails alike again and again is told once.
fn failures(watches: &[Watch], now: Timestamp) -> String {
    let mut all: Vec<(String, String, Timestamp)> = Vec::new();
    for watch in watches {
        for failed in watch.state().failures.iter().rev() {
            let what = evidence::first(failed);
            if !all.iter().any(|(name, known, _)| *name == watch.name && *known == what) {
                all.push((watch.name.clone(), what, failed.ran.began));
            }
        }
    }
    all.sort_by_key(|(_, _, began)| std::cmp::Reverse(*began));
    if all.is_empty() {
        return String::new();
    }
    let mut said = "<h2>Last failures</h2>\n<div class=\"card\"><ol class=\"list\">\n".to_owned();
    for (name, what, began) in all.into_iter().take(MOST_FAILURES) {
        let (name, what, began) = (link(&name), in_html(&what), ago(began, now));
        let _ = writeln!(said, "<li><b>{name}</b> {what}<br><span class=\"soft\">{began}</span></li>");
    }
    said.push_str("</ol></div>\n");
    said
}

fn passed_over(files: &Files) -> String {
    if files.passed_over.is_empty() {
        return String::new();
    }
    let mut said = "<h2>Not served</h2>\n<div class=\"card\"><ol class=\"list\">\n".to_owned();
    for (name, why) in &files.passed_over {
        let _ = writeln!(said, "<li>{} <span class=\"soft\">{}</span></li>", in_html(name), in_html(why));
    }
    said.push_str("</ol></div>\n");
    said
}

/// What every step did, in the order they are taken.
fn steps(state: &State, now: Timestamp) -> String {
    let mut steps: Vec<_> = state.steps.iter().collect();
    steps.sort_by_key(|(_, step)| step.number);
    let mut said =
        "<h2>Steps</h2>\n<div class=\"card scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">Step</th>\
        <th scope=\"col\" class=\"number\">Passed</th><th scope=\"col\" class=\"number\">Failed</th><th scope=\"col\">Reasons</th>\
        <th scope=\"col\" class=\"number\">Mean</th><th scope=\"col\">Certificate</th></tr></thead><tbody>\n"
            .to_owned();
    for (name, step) in steps {
        let bad: u64 = step.bad.values().sum();
        let reasons: Vec<_> = step.bad.iter().map(|(reason, times)| format!("{reason} {times}")).collect();
        let mean = step.took.mean().map_or_else(String::new, |mean| Reading(mean).to_string());
        let certificate = step.certificate.map_or_else(String::new, |until| {
            if until < now {
                return format!("<span class=\"bad\">expired {}</span>", ago(until, now));
            }
            let left = std::time::Duration::try_from(until.duration_since(now)).unwrap_or_default();
            format!("{} left", about(left))
        });
        let _ = writeln!(
            said,
            "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td><td class=\"number\">{bad}</td><td>{}</td>\
             <td class=\"number\">{mean}</td><td>{certificate}</td></tr>",
            in_html(name),
            step.good,
            in_html(&reasons.join(", "))
        );
    }
    said.push_str("</tbody></table></div>\n");
    said
}

fn footer(house: &House, now: Timestamp) -> String {
    format!(
        "<footer>firedrill {} · started {} · <a href=\"/metrics\">metrics</a></footer>\n",
        env!("CARGO_PKG_VERSION"),
        ago(house.started, now)
    )
}
