//! A run that failed, with everything that was seen.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;

use super::html::{ago, sign, took};
use crate::event::{Evidence, Hop, Line};
use crate::report::in_html;
use crate::serve::state::{Evident, Failed};

/// What was wrong first, in a sentence.
pub(in crate::serve) fn first(failed: &Failed) -> String {
    let attempt = failed.attempts.first().and_then(|attempt| {
        attempt.failures.first().map(|failure| format!("{}: {}", attempt.step, failure.drawing.title))
    });
    attempt.or_else(|| failed.why.first().cloned()).unwrap_or_else(|| "it did not pass".to_owned())
}

pub(super) fn card(failed: &Failed, open: bool, now: Timestamp) -> String {
    let (mark, class, says) = sign(Some(failed.ran.conclusion));
    let mut said = format!(
        "<article class=\"card\"><div class=\"head\"><h3><span class=\"mark {class}\" \
         aria-hidden=\"true\">{mark}</span> {}</h3><span class=\"soft\">{}</span></div>\
         <p class=\"soft\">The run of {:.0} {says} after {}.</p>",
        in_html(&first(failed)),
        ago(failed.ran.began, now),
        failed.ran.began,
        took(failed.ran.took)
    );
    for why in &failed.why {
        let _ = write!(said, "<p>{}</p>", in_html(why));
    }
    let open = if open { " open" } else { "" };
    for attempt in &failed.attempts {
        let _ = write!(
            said,
            "<details{open}><summary>{} ({}), attempt {}, {}</summary>",
            in_html(&attempt.step),
            in_html(&attempt.kind),
            attempt.attempt,
            took(attempt.took)
        );
        evident(&mut said, attempt);
        said.push_str("</details>");
    }
    said.push_str("</article>\n");
    said
}

fn evident(said: &mut String, attempt: &Evident) {
    for failure in &attempt.failures {
        let _ = write!(said, "<pre tabindex=\"0\">{}</pre>", in_html(&failure.drawing.render(false)));
    }
    let Evidence { hops, headers, body, body_size, exchange, state, certificate_until, trace, addresses } =
        &attempt.evidence;
    for hop in hops {
        asked(said, hop);
    }
    if let Some(state) = state {
        let _ = write!(said, "<p>It says of itself: {}</p>", in_html(state));
    }
    if !headers.is_empty() {
        let lines: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        pre(said, "Headers", &lines.join("\n"));
    }
    if let Some(body) = body {
        let size = body_size.map_or_else(String::new, |size| format!(" ({size} bytes in all)"));
        pre(said, &format!("Body{size}"), body);
    }
    if !exchange.is_empty() {
        pre(said, "Said and heard", &exchange.iter().map(heard).collect::<Vec<_>>().join("\n"));
    }
    for address in addresses {
        let how = if address.failures.is_empty() { "passed".to_owned() } else { address.failures.join("; ") };
        let time = took(address.took.into());
        let _ = write!(
            said,
            "<p>{} {} <span class=\"soft\">{time}</span></p>",
            in_html(&address.address),
            in_html(&how)
        );
    }
    for (what, value) in [("Certificate until", certificate_until), ("Trace", trace)] {
        if let Some(value) = value {
            let _ = write!(said, "<p class=\"soft\">{what} {}</p>", in_html(value));
        }
    }
}

fn heard(line: &Line) -> String {
    let mut all = format!("{}  ({})", line.what, took(line.took.into()));
    for heard in &line.heard {
        all.push_str("\n    ");
        all.push_str(heard);
    }
    all
}

/// One request, its answer, and where the time went.
fn asked(said: &mut String, hop: &Hop) {
    let status = hop.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let from = hop.peer.as_ref().map_or_else(String::new, |peer| format!(" from {peer}"));
    let version = hop.version.as_deref().unwrap_or_default();
    let line = format!("{} {} → {status}{from} {version}", hop.method, hop.url);
    let _ = write!(said, "<p>{}</p>", in_html(line.trim_end()));
    let total = hop.phases.total().max(Duration::from_nanos(1));
    let mut bar = String::new();
    let mut key = String::new();
    for (phase, time) in hop.phases.iter() {
        let share = time.as_secs_f64() / total.as_secs_f64() * 100.0;
        let _ = write!(bar, "<i class=\"p-{phase}\" style=\"width:{share:.2}%\"></i>");
        let _ = write!(key, "<span><i class=\"key p-{phase}\"></i>{phase} {}</span>", took(time));
    }
    if !bar.is_empty() {
        let _ = write!(
            said,
            "<div class=\"phases\" aria-hidden=\"true\">{bar}</div><div class=\"facts\">{key}</div>"
        );
    }
}

fn pre(said: &mut String, title: &str, text: &str) {
    let _ =
        write!(said, "<p class=\"soft\">{}</p><pre tabindex=\"0\">{}</pre>", in_html(title), in_html(text));
}
