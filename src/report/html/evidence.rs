//! What was wrong and what was received: the caret in the user's file, the requests, their phases, the answer.

use std::fmt::Write as _;

use super::markup::{Percent, line, outcome};
use crate::event::{Evidence, Hop};
use crate::finding::Drawing;
use crate::report::detail;
use crate::report::record::{Slo, Step};
use crate::report::style::Style;
use crate::report::text::in_html;
use crate::sample::Phase;

/// Drawings shown of one step.
const MOST_DRAWINGS: usize = 5;

/// Hops, headers, lines of an exchange and of what was heard that are shown.
const MOST: usize = 16;

/// Bytes of a body that are shown.
const LONGEST_BODY: usize = 16 << 10;

/// A step that failed.
pub(super) fn of_step(step: &Step) -> String {
    let end = step.end.as_ref();
    let (sign, word, tone) = outcome(end.map(|end| end.outcome));
    let attempt = end.filter(|end| end.attempts > 1 && step.tally.is_none());
    let attempt = attempt.map(|end| format!(", attempt {}", end.attempts)).unwrap_or_default();
    let mut text = format!(
        "<section class=\"card broken\"><h4><span class=\"{tone}\">{sign}<span class=\"aloud\"> {word}</span>\
         </span> {} <span class=\"faint small\">{}{attempt}</span></h4>",
        line(&step.id.name),
        line(&step.id.kind)
    );
    let failures = step.failures();
    for failure in failures.iter().take(MOST_DRAWINGS) {
        text += &drawn(&failure.drawing);
    }
    match failures.len().saturating_sub(MOST_DRAWINGS) {
        0 if failures.is_empty() => {
            let why = end.and_then(|end| end.why.as_deref()).unwrap_or("failed");
            let _ = write!(text, "<p>{}</p>", line(why));
        }
        0 => {}
        more => {
            let _ = write!(text, "<p class=\"faint\">and {more} more of these</p>");
        }
    }
    text += &step.evidence().map(received).unwrap_or_default();
    text + "</section>"
}

/// An objective that was not met, where it was written.
pub(super) fn of_slo(slo: &Slo) -> String {
    format!(
        "<section class=\"card broken\"><h4>{} <span class=\"faint small\">{}</span></h4>{}</section>",
        line(&slo.name),
        line(&slo.objective),
        drawn(&slo.drawing)
    )
}

/// A drawing: what is wrong as a sentence, which may be long, and where as it stands in the file.
fn drawn(drawing: &Drawing) -> String {
    let drawn = detail::drawn(drawing, Style::FILE);
    let (said, place) = drawn.split_once('\n').unwrap_or((&drawn, ""));
    let place = match place.trim_end() {
        "" => String::new(),
        place => format!("<pre>{}</pre>", in_html(place)),
    };
    format!("<p>{}</p>{place}", line(said))
}

fn received(evidence: &Evidence) -> String {
    let mut text = String::new();
    for hop in evidence.hops.iter().rev().take(MOST).rev() {
        text += &of_hop(hop);
    }
    let mut facts: Vec<(String, String)> = Vec::new();
    for address in evidence.addresses.iter().take(MOST) {
        let how = address.failures.first().map_or("passed", String::as_str);
        let took = Style::FILE.time(address.took.into());
        facts.push((address.address.clone(), format!("{how} in {took}")));
    }
    for said in evidence.exchange.iter().rev().take(MOST).rev() {
        let heard = said.heard.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(" · ");
        let heard = if heard.is_empty() { heard } else { format!(": {heard}") };
        facts.push((Style::FILE.time(said.took.into()), format!("{}{heard}", said.what)));
    }
    let one = |name: &str, value: &Option<String>| value.clone().map(|value| (name.to_owned(), value));
    facts.extend(one("trace", &evidence.trace));
    facts.extend(one("certificate until", &evidence.certificate_until));
    facts.extend(one("state", &evidence.state));
    text += &lines(&facts);
    if !evidence.headers.is_empty() {
        let headers: Vec<_> = evidence.headers.iter().take(MOST).cloned().collect();
        let _ =
            write!(text, "<details><summary>Headers of the answer</summary>{}</details>", lines(&headers));
    }
    text + &body(evidence)
}

fn of_hop(hop: &Hop) -> String {
    let status = hop.status.map(|status| status.to_string());
    let words =
        [status.as_deref(), hop.version.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let answer = if words.is_empty() { "no answer" } else { &words };
    let peer = hop.peer.as_ref().map(|peer| format!(" from {}", line(peer))).unwrap_or_default();
    let mut text = format!(
        "<p class=\"small\"><code>{} {}</code><br><span class=\"faint\">answered</span> <strong>{}</strong>\
         <span class=\"faint\">{peer}</span></p>",
        line(&hop.method),
        line(&hop.url),
        line(answer)
    );
    text += &phases(hop);
    text
}

/// How long each phase took, as a bar and in words.
fn phases(hop: &Hop) -> String {
    let all = hop.phases.total().as_secs_f64();
    if all <= 0.0 {
        return String::new();
    }
    let class = |phase: Phase| format!("phase-{}", phase as usize);
    let (mut bar, mut words) = (String::new(), String::new());
    for (phase, took) in hop.phases.iter() {
        let width = Percent::of(took.as_secs_f64() / all);
        let class = class(phase);
        let _ = write!(bar, "<i class=\"{class}\" style=\"width:{width}\"></i>");
        let took = Style::FILE.time(took);
        let _ = write!(words, "<li><i class=\"{class}\"></i>{phase} {took}</li>");
    }
    format!("<div class=\"phases\" aria-hidden=\"true\">{bar}</div><ul class=\"keys\">{words}</ul>")
}

fn lines(facts: &[(String, String)]) -> String {
    if facts.is_empty() {
        return String::new();
    }
    let row = |(name, value): &(String, String)| format!("<dt>{}</dt><dd>{}</dd>", line(name), line(value));
    format!("<dl class=\"lines\">{}</dl>", facts.iter().map(row).collect::<String>())
}

fn body(evidence: &Evidence) -> String {
    let Some(body) = evidence.body.as_deref().filter(|body| !body.trim().is_empty()) else {
        return String::new();
    };
    let end = (0..=body.len().min(LONGEST_BODY)).rev().find(|at| body.is_char_boundary(*at)).unwrap_or(0);
    let more = if end < body.len() { "\n…" } else { "" };
    let size = evidence.body_size.map(|size| format!(" of {size} bytes")).unwrap_or_default();
    format!(
        "<details open><summary>Body{size}</summary><pre>{}{more}</pre></details>",
        in_html(body[..end].trim_end())
    )
}
