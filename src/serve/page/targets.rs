//! The targets of lists on the front page: those that fail first.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::html::ago;
use crate::report::in_html;
use crate::serve::house::House;

/// How many targets the front page shows.
const MOST: usize = 100;

/// A table of targets; nothing where there is no list.
pub(super) fn section(house: &House, now: Timestamp) -> String {
    let mut seen = house.targets.seen();
    if seen.is_empty() {
        return String::new();
    }
    // What fails first, then what nobody has seen yet.
    seen.sort_by_key(|(_, seen)| match (&seen.why, seen.at) {
        (Some(_), _) => 0,
        (None, None) => 1,
        (None, Some(_)) => 2,
    });
    let failing = seen.iter().filter(|(_, seen)| seen.why.is_some()).count();
    let mut said = format!(
        "<h2>Targets</h2>\n<p class=\"soft\">{failing} of {} fail.</p>\n<div class=\"card scroll\" tabindex=\"0\"><table class=\"targets\"><thead><tr>\
         <th scope=\"col\">Target</th><th scope=\"col\">Module</th><th scope=\"col\">State</th>\
         <th scope=\"col\">Last probe</th></tr></thead><tbody>\n",
        seen.len()
    );
    for (target, seen) in seen.iter().take(MOST) {
        let (class, state) = match (&seen.why, seen.at) {
            (Some(why), _) => ("bad", format!("✗ {}", in_html(why))),
            (None, Some(_)) => ("good", "✓ passes".to_owned()),
            (None, None) => ("soft", "… has not been probed yet".to_owned()),
        };
        let last = seen.at.map_or_else(String::new, |at| ago(at, now));
        let _ = writeln!(
            said,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"{class} state\">{state}</td><td>{last}</td></tr>",
            in_html(&target.address),
            in_html(&target.module)
        );
    }
    said.push_str("</tbody></table></div>\n");
    if let Some(more) = seen.len().checked_sub(MOST).filter(|more| *more > 0) {
        let _ = writeln!(said, "<p class=\"soft\">… and {more} more.</p>");
    }
    said
}
