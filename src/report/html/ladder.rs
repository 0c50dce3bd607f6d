//! How far an alert came, rung by rung, and what its receivers were told.

use std::fmt::Write as _;

use super::markup::line;
use crate::event::{Drilled, Proof, RungSeen, Told};
use crate::ladder::Rung;
use crate::report::drill::{allowed, in_time, proof, said};
use crate::report::text::in_html;

/// Messages of one alert that are shown.
const MOST_MESSAGES: usize = 12;

/// An alert of a drill.
pub(super) fn of_alert(alert: &Drilled) -> String {
    let broken = alert.broken.is_some();
    let (class, tone, word) = match (broken, alert.proof) {
        (true, _) => ("card broken", "bad", "NOT PROVEN"),
        (false, Proof::None) => ("card", "doubt", "NOTHING SHOWN"),
        (false, Proof::Scaled | Proof::Dilated | Proof::Both) => ("card", "good", "PROVEN"),
    };
    let labels = alert.labels.iter().map(|(name, value)| format!("{name}={value}"));
    let mut text = format!(
        "<section class=\"{class}\"><h4><span class=\"verdict {tone}\">{word}</span> {} \
         <span class=\"faint small\">{}</span></h4><p class=\"small\">{}</p>",
        line(&alert.alert),
        line(&labels.collect::<Vec<_>>().join(" ")),
        line(&sentence(alert))
    );
    for note in &alert.notes {
        let _ = write!(text, "<p class=\"small faint\">{}</p>", line(note));
    }
    let open = if broken { " open" } else { "" };
    let _ =
        write!(text, "<details{open}><summary>The ladder, rung by rung</summary>{}</details>", rungs(alert));
    if !alert.told.is_empty() {
        let messages: String = alert.told.iter().take(MOST_MESSAGES).map(message).collect();
        let more = match alert.told.len().saturating_sub(MOST_MESSAGES) {
            0 => String::new(),
            more => format!("<p class=\"faint small\">and {more} more</p>"),
        };
        let _ = write!(
            text,
            "<details open><summary>What receivers were told</summary><div class=\"messages\">{messages}</div>\
             {more}</details>"
        );
    }
    text + "</section>"
}

/// What it came to, in a sentence.
fn sentence(alert: &Drilled) -> String {
    let mut how = proof(alert);
    if let Some(in_time) = in_time(alert) {
        let _ = write!(how, "; {in_time}");
    }
    let Some(rung) = alert.broken else {
        return match alert.proof {
            Proof::None => format!("Neither proven nor refuted: {how}."),
            Proof::Scaled | Proof::Dilated | Proof::Both => {
                format!("Fired, reached its receivers and cleared; {how}.")
            }
        };
    };
    let (number, all) = (rung.number(), Rung::ALL.len());
    format!("Broke at rung {number} of {all}: {}; {how}.", not(rung))
}

fn rungs(alert: &Drilled) -> String {
    let mut text = String::from("<ol class=\"ladder\">");
    let last = Rung::ALL.iter().rev().find(|rung| reached(alert, **rung).is_some());
    for rung in Rung::ALL {
        let seen = reached(alert, rung);
        let (class, sign, aloud) = match seen {
            _ if alert.broken == Some(rung) => ("broke", "✗", "broke"),
            Some(_) => ("reached", "✓", "reached"),
            // What stands below a rung that was reached was climbed, seen or not.
            None if last.is_some_and(|last| *last > rung)
                && alert.broken.is_none_or(|broken| broken > rung) =>
            {
                ("reached", "✓", "passed")
            }
            None => ("never", "·", "not reached"),
        };
        let what = if class == "broke" { not(rung) } else { what(rung) };
        let when =
            seen.and_then(|seen| Some(format!("{}{}", said(seen.at?), allowed(seen)))).unwrap_or_default();
        let _ = write!(
            text,
            "<li class=\"{class}\"><span class=\"sign\" aria-hidden=\"true\">{sign}</span>\
             <span><span class=\"aloud\">{aloud}: </span>{} {what}</span><time>{}</time></li>",
            rung.number(),
            line(&when)
        );
    }
    text + "</ol>"
}

fn reached(alert: &Drilled, rung: Rung) -> Option<&RungSeen> {
    alert.rungs.iter().find(|seen| seen.rung == rung && seen.at.is_some())
}

/// What is so once a rung is reached.
fn what(rung: Rung) -> &'static str {
    match rung {
        Rung::Effect => "the fault took effect",
        Rung::Scraped => "the targets were scraped",
        Rung::Selected => "every selector of the rule matched series",
        Rung::Joined => "every join had partners",
        Rung::Held => "the condition held",
        Rung::Pending => "pending",
        Rung::Firing => "firing in Prometheus",
        Rung::Received => "received by Alertmanager",
        Rung::Routed => "routed to its receivers",
        Rung::Delivered => "delivered",
        Rung::Cleared => "cleared, since the fault was lifted",
        Rung::Resolved => "receivers told that it is over",
    }
}

/// What is not so where it breaks.
fn not(rung: Rung) -> &'static str {
    match rung {
        Rung::Effect => "the fault took no effect",
        Rung::Scraped => "the targets were not scraped",
        Rung::Selected => "a selector of the rule matched no series",
        Rung::Joined => "a join had no partners",
        Rung::Held => "the condition did not hold",
        Rung::Pending => "not pending",
        Rung::Firing => "not firing in Prometheus",
        Rung::Received => "not received by Alertmanager",
        Rung::Routed => "not routed to its receivers",
        Rung::Delivered => "not delivered as it should be",
        Rung::Cleared => "did not clear once the fault was lifted",
        Rung::Resolved => "receivers were not told that it is over",
    }
}

/// A message as its receiver had it before them.
fn message(told: &Told) -> String {
    let (class, what) =
        if told.resolved { ("message over", "since it was lifted") } else { ("message", "after") };
    let when =
        if told.resolved { format!("{} {what}", said(told.at)) } else { format!("{what} {}", said(told.at)) };
    let mut text = format!(
        "<article class=\"{class}\"><span class=\"faint small\">{} by {}, {when}</span><h5>{}</h5>",
        line(&told.receiver),
        line(&told.kind),
        line(&told.title)
    );
    if !told.text.trim().is_empty() {
        let _ = write!(text, "<pre>{}</pre>", in_html(told.text.trim()));
    }
    for problem in &told.problems {
        let _ = write!(text, "<p class=\"bad small\">✗ {}</p>", line(problem));
    }
    text + "</article>"
}
