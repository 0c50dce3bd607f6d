//! Two runs side by side.

use std::fmt::Write as _;

use super::markup::{Tone, line};
use crate::report::compare::{Change, Comparison, Line};
use crate::report::style::Style;

/// What became of everything since the other run.
pub(super) fn of(comparison: &Comparison) -> String {
    let mut text = format!(
        "<section class=\"card\"><h2>Against {}</h2><p>{}</p>",
        line(&comparison.before),
        line(&comparison.said(Style::FILE))
    );
    for group in &comparison.groups {
        let rows: String = group.lines.iter().map(row).collect();
        let _ = write!(
            text,
            "<div class=\"list\"><table><thead><tr><th scope=\"col\">{}</th><th scope=\"col\">before</th>\
             <th scope=\"col\">now</th><th scope=\"col\">change</th></tr></thead><tbody>{rows}</tbody></table></div>",
            line(&group.name)
        );
    }
    text + "</section>\n"
}

fn row(found: &Line) -> String {
    let tone = match found.change {
        Change::Same => Tone::Faint,
        Change::Better | Change::NoWorse => Tone::Good,
        Change::Unclear => Tone::Doubt,
        Change::Worse => Tone::Bad,
    };
    format!(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"small\"><strong class=\"{tone}\">{}</strong> {}</td></tr>\n",
        line(&found.what),
        line(&found.before),
        line(&found.now),
        found.change.word(),
        line(&found.why)
    )
}
