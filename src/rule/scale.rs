//! Rule files re-timed: every duration divided by one factor, and nothing else changed.

use crate::finding::{Code, Finding, Findings};
use crate::promql::{self, PromDuration, Query, TooShort, scaled_duration};
use crate::yaml::Node;

/// A rule file that was checked, with all its durations divided by `speed`: intervals, `for`, `keep_firing_for`,
/// offsets, and those within expressions. A rule of which nothing would be left is a finding.
#[must_use]
pub fn scaled(file: &Node, speed: f64, findings: &mut Findings) -> Node {
    file.map_values(|key, value| match key {
        "groups" => value.map_items(|group| scaled_group(group, speed, findings)),
        _ => value.clone(),
    })
}

fn scaled_group(group: &Node, speed: f64, findings: &mut Findings) -> Node {
    group.map_values(|key, value| match key {
        "interval" | "query_offset" => shorter(value, speed, findings),
        "rules" => value.map_items(|rule| {
            rule.map_values(|key, value| match key {
                "for" | "keep_firing_for" => shorter(value, speed, findings),
                "expr" => asked(value, speed, findings),
                _ => value.clone(),
            })
        }),
        _ => value.clone(),
    })
}

/// A duration divided by `speed`; what is none was a finding already.
fn shorter(written: &Node, speed: f64, findings: &mut Findings) -> Node {
    let Some(Ok(duration)) = written.scalar().map(str::parse::<PromDuration>) else { return written.clone() };
    match scaled_duration(duration.0, speed) {
        Ok(scaled) => written.says(PromDuration(scaled).to_string()),
        Err(too_short) => left_alone(written, &too_short, findings),
    }
}

/// An expression with its durations divided by `speed`.
fn asked(written: &Node, speed: f64, findings: &mut Findings) -> Node {
    let Some(Ok(query)) = written.scalar().map(|text| Query::read(text, written.place)) else {
        return written.clone();
    };
    match promql::scaled(&query.expr, speed) {
        Ok(scaled) => written.says(scaled.to_string()),
        Err(too_short) => left_alone(written, &too_short, findings),
    }
}

fn left_alone(written: &Node, too_short: &TooShort, findings: &mut Findings) -> Node {
    let finding = Finding::new(Code::RuleTooShort, written.place, too_short.to_string());
    findings.add(finding.help("run the drill at a lower `clock.speed`"));
    written.clone()
}
