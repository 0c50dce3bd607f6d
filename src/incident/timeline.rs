//! What happened when, in Markdown, for people.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::episode::Episode;
use super::folder::Manifest;
use super::page::Page;
use super::sent::Sent;
use crate::report::on_one_line;

/// The timeline of an incident: its alerts, what the routing makes of them, and what Alertmanager counted.
pub(super) fn document(
    manifest: &Manifest,
    episodes: &[Episode],
    pages: Option<&[Page]>,
    sent: &[Sent],
) -> String {
    let mut text = format!(
        "# {}\n\nFrom {} to {}, as `{}` saw it.\n\n",
        inert(&manifest.incident),
        moment(manifest.from),
        moment(manifest.to),
        inert(&manifest.prometheus)
    );
    let mut happened: Vec<(i64, String)> = Vec::new();
    for episode in episodes {
        let said = inert(&episode.said());
        happened.push((episode.pending, format!("{said} is pending")));
        happened.extend(episode.fired.map(|at| (at, format!("**{said} fires**"))));
        happened.extend(episode.ended.map(|at| (at, format!("{said} is over"))));
    }
    for page in pages.unwrap_or_default() {
        happened.push((page.at, format!("{} is told of {} (derived)", inert(&page.receiver), page.alerts)));
    }
    happened.extend(sent.iter().map(|one| (one.at, inert(&one.said()))));
    if let Some(drill) = &manifest.drill {
        let fault = if drill.fault.is_empty() { "the fault".to_owned() } else { inert(&drill.fault) };
        happened.push((drill.effect, format!("*{fault}* takes effect")));
        happened.push((drill.at(drill.lifted), format!("*{fault}* is lifted")));
    }
    happened.sort();
    if happened.is_empty() {
        text += "No alert was pending or firing.\n";
    } else {
        text += "| when (UTC) | what |\n|---|---|\n";
        for (at, what) in happened {
            let _ = writeln!(text, "| {} | {what} |", moment(at));
        }
    }
    if let Some(drill) = &manifest.drill {
        let _ = writeln!(
            text,
            "\nA drill at {} times the speed; times are those it would have taken in production.",
            drill.speed
        );
    }
    if pages.is_some_and(|pages| !pages.is_empty()) {
        text += "\nWhat is *derived* was not seen: it is what the recorded routing sends of the recorded alerts. ";
        text += if sent.is_empty() {
            "No series say what Alertmanager really sent.\n"
        } else {
            "What Alertmanager counted is what it really sent, by the next scrape of it.\n"
        };
    }
    if !manifest.notes.is_empty() {
        text += "\n## To be known\n\n";
        for note in &manifest.notes {
            let _ = writeln!(text, "- {}", inert(note));
        }
    }
    text
}

/// A moment as people say it.
pub(super) fn moment(millis: i64) -> String {
    let at = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Text in which nothing has a meaning in Markdown.
fn inert(text: &str) -> String {
    let mut shown = String::new();
    for sign in on_one_line(text).chars() {
        match sign {
            '<' | '>' | '&' | '|' | '`' => {
                let _ = write!(shown, "&#{};", u32::from(sign));
            }
            '\\' | '*' | '_' | '[' | ']' | '#' | '!' | '~' => shown.extend(['\\', sign]),
            _ => shown.push(sign),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_is_a_table_that_no_label_breaks() {
        let manifest = Manifest {
            incident: "brownout".to_owned(),
            version: 1,
            prometheus: "http://127.0.0.1:9090".to_owned(),
            from: 0,
            to: 3_600_000,
            back: 0,
            scraped_every: 15_000,
            evaluated_every: 15_000,
            notes: vec!["<b>".to_owned()],
            drill: None,
        };
        let labels = [("alertname", "A|B"), ("x", "[l](http://e)")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let episode = Episode { labels, pending: 60_000, fired: Some(120_000), ended: None, partly: false };
        let page = Page { at: 150_000, receiver: "a|b".to_owned(), group: [].into(), alerts: 1 };
        insta::assert_snapshot!(document(&manifest, &[episode], Some(&[page]), &[]), @r"
        # brownout

        From 1970-01-01 00:00:00 to 1970-01-01 01:00:00, as `http://127.0.0.1:9090` saw it.

        | when (UTC) | what |
        |---|---|
        | 1970-01-01 00:01:00 | A&#124;B {x=\[l\](http://e)} is pending |
        | 1970-01-01 00:02:00 | **A&#124;B {x=\[l\](http://e)} fires** |
        | 1970-01-01 00:02:30 | a&#124;b is told of 1 (derived) |

        What is *derived* was not seen: it is what the recorded routing sends of the recorded alerts. No series say what Alertmanager really sent.

        ## To be known

        - &#60;b&#62;
        ");
    }
}
