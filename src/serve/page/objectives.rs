//! Objectives with their budgets: what is left, and how fast it burns.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::html::{about, ago, every, percent};
use crate::budget::Exhaustion;
use crate::gate::{Burning, Known, Past};
use crate::report::in_html;
use crate::serve::keep::Standing;

/// So little of a budget is low.
const LOW: f64 = 0.25;

pub(super) fn section(standings: &[Standing], looked: Option<Timestamp>, now: Timestamp) -> String {
    if standings.is_empty() {
        return String::new();
    }
    let mut said = "<h2>Objectives</h2>\n<div class=\"grid\">\n".to_owned();
    let mut ordered: Vec<_> = standings.iter().collect();
    ordered.sort_by(|one, other| left(one).total_cmp(&left(other)));
    for standing in ordered {
        said.push_str(&card(standing));
    }
    said.push_str("</div>\n");
    if let Some(looked) = looked {
        let _ =
            writeln!(said, "<p class=\"soft\">By the last whole minute, computed {}.</p>", ago(looked, now));
    }
    said
}

/// The share of the budget that is left, for the order of cards: what is worst comes first, what is unknown last.
fn left(standing: &Standing) -> f64 {
    match &standing.known {
        Known::Past(past) => past.budget.remaining().unwrap_or(0.0),
        Known::Nothing(_) => f64::INFINITY,
    }
}

fn card(standing: &Standing) -> String {
    let title = format!("<h3>{}</h3>", in_html(&standing.display));
    let objective = in_html(&standing.objective);
    let past = match &standing.known {
        Known::Past(past) => past,
        Known::Nothing(why) => {
            return format!(
                "<article class=\"card\"><div class=\"head\">{title}<span class=\"soft\">no data</span></div>\
                 <p class=\"soft\">{objective}</p><div class=\"bar\"></div><p class=\"soft\">{}</p></article>\n",
                in_html(why)
            );
        }
    };
    let measured = past.budget.sli().map_or_else(String::new, |sli| percent(sli.share()));
    let left = past.budget.remaining().unwrap_or(0.0);
    let burns = past.tiers.iter().any(|tier| tier.burns(1));
    let (edge, class) = match () {
        () if left <= 0.0 => (" bad-edge", "bad"),
        () if burns => (" bad-edge", "warn"),
        () if left < LOW => (" warn-edge", "warn"),
        () => ("", ""),
    };
    format!(
        "<article class=\"card{edge}\"><div class=\"head\">{title}<span class=\"big\">{measured}</span></div>\
         <p class=\"soft\">{objective} over {}</p>{}<p>{}</p>{}{}</article>\n",
        in_html(&past.window),
        bar(left, class),
        sentence(past, left),
        pills(&past.tiers),
        notes(past)
    )
}

fn bar(left: f64, class: &str) -> String {
    let width = left.clamp(0.0, 1.0) * 100.0;
    format!(
        "<div class=\"bar\" role=\"img\" aria-label=\"{} of the error budget is left\">\
         <i class=\"{class}\" style=\"width:{width:.2}%\"></i></div>",
        percent(left.max(0.0))
    )
}

fn sentence(past: &Past, left: f64) -> String {
    let lost = past.budget.tally.lost();
    if left <= 0.0 {
        return format!("<span class=\"bad\">✗ The budget is spent</span>, {} times over", times(1.0 - left));
    }
    let long = past.tiers.iter().find_map(|tier| tier.long);
    let lasts = match long.and_then(|burn| past.budget.exhaustion(burn)) {
        Some(Exhaustion::In(time)) if lost > 0.0 => format!(", for {} at the last hour's rate", about(time)),
        Some(Exhaustion::In(_) | Exhaustion::Never | Exhaustion::Spent) | None => String::new(),
    };
    format!("{} of the error budget is left{lasts}", percent(left))
}

/// How many times, with two digits that matter.
fn times(times: f64) -> String {
    let digits = usize::from(times > 0.0 && times < 10.0);
    format!("{times:.digits$}")
}

/// The burn rate of every window; those of a tier that burns stand out.
fn pills(tiers: &[Burning]) -> String {
    let mut windows: Vec<_> = tiers
        .iter()
        .flat_map(|tier| {
            let burns = tier.burns(1);
            [(tier.tier.short, tier.short, burns), (tier.tier.long, tier.long, burns)]
        })
        .collect();
    windows.sort_by_key(|(window, _, burns)| (*window, !*burns));
    windows.dedup_by_key(|(window, ..)| *window);
    let mut said = "<ul class=\"pills\" aria-label=\"Burn rates\">".to_owned();
    for (window, burn, burns) in windows {
        let Some(burn) = burn else { continue };
        let (class, word) = if burns { (" class=\"burns\"", " burns") } else { ("", "") };
        let _ = write!(said, "<li{class}>{}{word} <b>{}×</b></li>", every(window), times(burn.rate()));
    }
    said.push_str("</ul>");
    said
}

fn notes(past: &Past) -> String {
    let notes = past.notes.iter().map(|note| format!("<p class=\"soft\">{}</p>", in_html(note)));
    notes.collect::<String>()
}
