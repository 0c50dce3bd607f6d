//! Alerts of a drill: how far each came, and when, against when its configuration allows it.

use std::fmt::Write as _;
use std::time::Duration;

use crate::event::{Drilled, Nanos, Predicted, Proof, RungSeen, Spent};
use crate::ladder::Rung;
use crate::report::style::{Ink, Mark, Style};
use crate::report::text::{fold, on_one_line, width};
use crate::units::{Reading, Span};

/// Rungs that a passed alert's line tells of.
const MILESTONES: [Rung; 5] = [Rung::Pending, Rung::Firing, Rung::Delivered, Rung::Cleared, Rung::Resolved];

/// An alert below the step that raised it: its milestones, and the ladder where it broke.
pub(crate) fn of_alert(drilled: &Drilled, indent: usize, style: Style) -> String {
    let mark = style.mark(match (drilled.broken, drilled.proof) {
        _ if drilled.stranger => Mark::Note,
        (Some(_), _) => Mark::Failed,
        (None, Proof::None) => Mark::Unknown,
        (None, Proof::Scaled | Proof::Dilated | Proof::Both) => Mark::Passed,
    });
    let name = on_one_line(&drilled.alert);
    let mut pieces: Vec<_> = MILESTONES.iter().filter_map(|rung| milestone(drilled, *rung)).collect();
    if let Some(broken) = drilled.broken {
        pieces.push(format!("broke at rung {} of {}: {broken}", broken.number(), Rung::ALL.len()));
    }
    pieces.push(if drilled.stranger { "not expected".to_owned() } else { proof(drilled) });
    pieces.extend(in_time(drilled));
    pieces.extend(drilled.predicted.as_ref().map(predicted));
    pieces.extend(drilled.spent.iter().map(spent));
    let beside = indent + style.mark_width() + 1 + width(&name) + 2;
    let room = style.width.saturating_sub(beside).max(28);
    let lines = fold(&pieces, room).join(&format!("\n{}", " ".repeat(beside)));
    let mut text = format!("{:indent$}{mark} {}  {lines}\n", "", style.paint(Ink::Strong, &name));
    for note in &drilled.notes {
        let lines = fold(&[on_one_line(note)], room).join(&format!("\n{}", " ".repeat(beside)));
        let _ = writeln!(text, "{:beside$}{}", "", style.paint(Ink::Faint, &lines));
    }
    text
}

/// `firing 5m14s (5m to 5m30s)`, `delivered 5m45s to critical-pager`.
fn milestone(drilled: &Drilled, rung: Rung) -> Option<String> {
    Some(format!("{rung} {}", reached(drilled, rung)?))
}

/// `5m14s (5m to 5m30s)`, `5m45s to critical-pager`: when a rung was reached, whom by, and when it may be.
pub(crate) fn reached(drilled: &Drilled, rung: Rung) -> Option<String> {
    let seen = drilled.rungs.iter().find(|seen| seen.rung == rung)?;
    let at = said(seen.at?);
    let told = |resolved: bool| {
        let names = drilled.told.iter().filter(|told| told.resolved == resolved);
        let mut names: Vec<_> = names.map(|told| on_one_line(&told.receiver)).collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() { String::new() } else { format!(" to {}", names.join(" and ")) }
    };
    let to = match rung {
        Rung::Delivered => told(false),
        Rung::Resolved => told(true),
        Rung::Effect
        | Rung::Scraped
        | Rung::Selected
        | Rung::Joined
        | Rung::Held
        | Rung::Pending
        | Rung::Firing
        | Rung::Received
        | Rung::Routed
        | Rung::Cleared => String::new(),
    };
    Some(format!("{at}{to}{}", allowed(seen)))
}

/// `told in time, within 15m`, where a response time was said.
pub(crate) fn in_time(drilled: &Drilled) -> Option<String> {
    let within = drilled.told_within?;
    let kept = match drilled.told_at() {
        Some(at) if at <= within => "told in time, within",
        Some(_) => "told too late, not within",
        None => "not told within",
    };
    Some(format!("{kept} {}", said(within)))
}

/// ` (5m to 5m30s)`, where the configuration says when it may be.
pub(crate) fn allowed(seen: &RungSeen) -> String {
    match (seen.earliest, seen.latest) {
        (Some(earliest), Some(latest)) => format!(" ({} to {})", said(earliest), said(latest)),
        (None, Some(latest)) => format!(" (by {})", said(latest)),
        (Some(earliest), None) => format!(" (from {})", said(earliest)),
        (None, None) => String::new(),
    }
}

/// `a total outage had spent 4.3% of shop (99.9%) by then`.
fn spent(spent: &Spent) -> String {
    format!("a total outage had spent {:.1}% of {} by then", 100.0 * spent.share, on_one_line(&spent.slo))
}

/// `by the formula firing 43m12s and cleared 5h59m: 50.0% failed`.
pub(crate) fn predicted(predicted: &Predicted) -> String {
    let failed = format!("{:.1}% failed", 100.0 * predicted.errors);
    let earlier = if predicted.earlier > 0.0 {
        format!(", {:.2}% before", 100.0 * predicted.earlier)
    } else {
        String::new()
    };
    match (predicted.fires, predicted.clears) {
        (Some(fires), Some(clears)) => {
            format!("by the formula firing {} and cleared {}: {failed}{earlier}", said(fires), said(clears))
        }
        _ => format!("by the formula it does not fire: {failed}{earlier}"),
    }
}

/// What kind of proof it is.
pub(crate) fn proof(drilled: &Drilled) -> String {
    let speed = drilled.speed;
    match drilled.proof {
        Proof::Scaled if speed <= 1.0 => "in real time".to_owned(),
        Proof::Scaled => format!("scaled {speed}x"),
        Proof::Dilated => "dilated, rules unmodified".to_owned(),
        Proof::Both => format!("scaled {speed}x and dilated"),
        Proof::None => "not proven".to_owned(),
    }
}

/// Rule time as people say it: seconds where it is long, and finer where it is short.
#[must_use]
pub fn said(nanos: Nanos) -> String {
    let time = Duration::from(nanos);
    if time.is_zero() {
        "0s".to_owned()
    } else if time >= Duration::from_secs(10) {
        Span(Duration::from_secs_f64(time.as_secs_f64().round())).to_string()
    } else {
        Reading(time).to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rstest::rstest;

    use super::*;
    use crate::event::Told;

    #[test]
    fn the_formula_stands_beside_what_was_measured() {
        let time = |seconds| Some(Nanos::from(Duration::from_secs(seconds)));
        let said = Predicted { fires: time(2592), clears: time(21_540), errors: 0.5, earlier: 0.0 };
        assert_eq!(predicted(&said), "by the formula firing 43m12s and cleared 5h59m: 50.0% failed");
        let never = Predicted { fires: None, clears: None, errors: 0.001, earlier: 0.0002 };
        assert_eq!(predicted(&never), "by the formula it does not fire: 0.1% failed, 0.02% before");
    }

    fn drilled() -> Drilled {
        let seconds = |seconds: u64| Some(Nanos::from(Duration::from_secs(seconds)));
        let seen = |rung, at: u64, earliest: u64, latest: u64| RungSeen {
            rung,
            at: seconds(at),
            earliest: seconds(earliest),
            latest: seconds(latest),
        };
        let told = |resolved, title: &str| Told {
            receiver: "critical-pager".to_owned(),
            kind: "pagerduty".to_owned(),
            at: Nanos::from(Duration::from_secs(345)),
            resolved,
            title: title.to_owned(),
            text: String::new(),
            problems: Vec::new(),
        };
        Drilled {
            alert: "EventStreamDown".to_owned(),
            labels: BTreeMap::new(),
            speed: 60.0,
            proof: Proof::Scaled,
            stranger: false,
            spent: Vec::new(),
            predicted: None,
            told_within: None,
            rungs: vec![
                seen(Rung::Pending, 14, 0, 30),
                seen(Rung::Firing, 314, 300, 345),
                seen(Rung::Delivered, 345, 330, 390),
                seen(Rung::Cleared, 14, 0, 30),
                seen(Rung::Resolved, 270, 0, 345),
            ],
            broken: None,
            told: vec![told(false, "down"), told(true, "up")],
            notes: Vec::new(),
        }
    }

    const STYLE: Style = Style { colour: false, width: 100, unicode: true };

    #[test]
    fn a_proven_alert_tells_its_milestones() {
        insta::assert_snapshot!(of_alert(&drilled(), 4, STYLE), @r"
        ✓ EventStreamDown  pending 14s (0s to 30s)   firing 5m14s (5m to 5m45s)
                           delivered 5m45s to critical-pager (5m30s to 6m30s)   cleared 14s (0s to 30s)
                           resolved 4m30s to critical-pager (0s to 5m45s)   scaled 60x
        ");
    }

    #[rstest]
    #[case::met(15, "told in time, within 15m")]
    #[case::missed(5, "told too late, not within 5m")]
    fn a_response_time_has_a_verdict(#[case] minutes: u64, #[case] says: &str) {
        let told_within = Some(Nanos::from(Duration::from_secs(60 * minutes)));
        assert_eq!(in_time(&Drilled { told_within, ..drilled() }).as_deref(), Some(says));
        let untold = Drilled { told_within, rungs: Vec::new(), ..drilled() };
        assert_eq!(in_time(&untold), Some(format!("not told within {minutes}m")));
        assert_eq!(in_time(&drilled()), None);
    }

    #[test]
    fn a_broken_ladder_names_its_rung() {
        let mut drilled = drilled();
        drilled.rungs.truncate(1);
        drilled.broken = Some(Rung::Firing);
        drilled.notes.push("pending for 3m of 5m".to_owned());
        insta::assert_snapshot!(of_alert(&drilled, 4, STYLE), @r"
        ✗ EventStreamDown  pending 14s (0s to 30s)   broke at rung 7 of 12: firing   scaled 60x
                           pending for 3m of 5m
        ");
    }
}
