//! Rule files re-timed: every duration divided by one factor, and nothing else changed.

use crate::finding::{Code, Finding, Findings};
use crate::promql::{self, PromDuration, Query, TooShort, scaled_duration};
use crate::yaml::Node;

/// A rule file that was checked, with all its durations divided by `speed`: intervals, `for`, `keep_firing_for`,
/// offsets, and those within expressions. A rule of which nothing would be left is a finding, and stays as it was.
#[must_use]
pub fn scaled(file: &Node, speed: f64, findings: &mut Findings) -> Node {
    let mut file = file.clone();
    let groups = file.get_mut("groups").map(Node::items_mut).unwrap_or_default();
    for group in groups {
        for key in ["interval", "query_offset"] {
            shorten(group.get_mut(key), speed, findings);
        }
        for rule in group.get_mut("rules").map(Node::items_mut).unwrap_or_default() {
            for key in ["for", "keep_firing_for"] {
                shorten(rule.get_mut(key), speed, findings);
            }
            re_time(rule.get_mut("expr"), speed, findings);
        }
    }
    file
}

/// Divides a duration by `speed`; what is none was a finding already.
fn shorten(written: Option<&mut Node>, speed: f64, findings: &mut Findings) {
    let Some(written) = written else { return };
    let Some(Ok(duration)) = written.scalar().map(str::parse::<PromDuration>) else { return };
    match scaled_duration(duration.0, speed) {
        Ok(scaled) => *written = written.text(PromDuration(scaled).to_string()),
        Err(too_short) => findings.add(finding(written, &too_short)),
    }
}

/// Divides the durations of an expression by `speed`.
fn re_time(written: Option<&mut Node>, speed: f64, findings: &mut Findings) {
    let Some(written) = written else { return };
    let Some(Ok(query)) = written.scalar().map(|text| Query::read(text, written.place)) else { return };
    match promql::scaled(&query.expr, speed) {
        Ok(scaled) => *written = written.text(scaled.to_string()),
        Err(too_short) => findings.add(finding(written, &too_short)),
    }
}

fn finding(written: &Node, too_short: &TooShort) -> Finding {
    let finding = Finding::new(Code::RuleTooShort, written.place, too_short.to_string());
    finding.help("run the drill at a lower `clock.speed`")
}
