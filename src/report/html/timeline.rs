//! A drill as a picture: the fault, and what each alert did while it lasted and once it was lifted.

use std::fmt::Write as _;
use std::time::Duration;

use super::markup::{Percent, line};
use super::plot::below;
use crate::event::{Drilled, FaultStage, Nanos, RungSeen, Told};
use crate::ladder::Rung;
use crate::report::drill::said;
use crate::report::record::{FaultSeen, Step};

/// Pixels of a lane: its name, its bar, and what its receivers were told.
const NAME: f64 = 18.0;
const BAR: f64 = 14.0;
const LANE: f64 = 62.0;

/// How long an axis is apart from its ticks.
const TICKS: [u64; 13] = [10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400, 604_800];

/// Ticks that have room on a phone.
const MOST_TICKS: u64 = 6;

/// When things happened, in rule time since the fault was put in.
struct Times {
    lifted: Duration,
    end: Duration,
}

/// The picture of a step that broke something and followed alerts; nothing for any other.
pub(super) fn of_step(step: &Step) -> String {
    if step.drilled.is_empty() {
        return String::new();
    }
    let times = Times::of(step);
    let count = u32::try_from(step.drilled.len()).unwrap_or(u32::MAX);
    let lanes = NAME + BAR + 14.0 + f64::from(count) * LANE;
    let mut text = format!(
        "<figure><figcaption><strong>What happened when</strong>, in rule time since the fault{}</figcaption>\
         <svg role=\"img\" aria-label=\"{}\" width=\"100%\" height=\"{:.0}\">",
        speed(step),
        line(&aloud(step)),
        lanes + 22.0
    );
    let _ = write!(
        text,
        "<rect class=\"spell\" x=\"0\" width=\"{}\" y=\"0\" height=\"{lanes:.0}\"/>",
        times.at(times.lifted)
    );
    text += &ticks(&times, lanes);
    text += &fault_lane(step, &times);
    let mut top = NAME + BAR + 14.0;
    for alert in &step.drilled {
        text += &alert_lane(alert, &times, top);
        top += LANE;
    }
    text + "</svg>" + KEYS + "</figure>"
}

const KEYS: &str = "<ul class=\"keys\">\
    <li><i style=\"background:var(--ember)\"></i>broken</li>\
    <li><i style=\"background:var(--doubt);opacity:.55\"></i>pending</li>\
    <li><i style=\"background:var(--bad)\"></i>firing</li>\
    <li><i style=\"background:var(--faint);opacity:.35;height:4px;vertical-align:middle\"></i>when it may begin to \
    fire, and to clear</li>\
    <li><b class=\"bad\">●</b> told <b class=\"good\">●</b> told that it is over</li></ul>";

fn speed(step: &Step) -> String {
    let fastest = step.drilled.iter().map(|alert| alert.speed).fold(1.0, f64::max);
    if fastest > 1.0 { format!(", which passed {fastest} times as fast as the clock") } else { String::new() }
}

/// The picture in a sentence.
fn aloud(step: &Step) -> String {
    let alerts = step.drilled.iter().map(|alert| {
        let rungs = [Rung::Pending, Rung::Firing, Rung::Delivered, Rung::Cleared, Rung::Resolved];
        let reached =
            rungs.iter().filter_map(|rung| Some(format!("{rung} after {}", said(at(alert, *rung)?.into()))));
        format!("{}: {}", alert.alert, reached.collect::<Vec<_>>().join(", "))
    });
    format!("Timeline of the drill. {}", alerts.collect::<Vec<_>>().join(". "))
}

/// When an alert reached a rung: on the way up since the fault, on the way down since it was lifted.
fn at(alert: &Drilled, rung: Rung) -> Option<Duration> {
    seen(alert, rung).and_then(|seen| seen.at).map(Duration::from)
}

fn seen(alert: &Drilled, rung: Rung) -> Option<&RungSeen> {
    alert.rungs.iter().find(|seen| seen.rung == rung)
}

impl Times {
    fn of(step: &Step) -> Self {
        let when = |stage| step.faults.iter().rfind(|fault| fault.stage == stage).map(|fault| fault.at);
        let speed = step.drilled.iter().map(|alert| alert.speed).fold(1.0, f64::max);
        let by_clock = match (when(FaultStage::Added), when(FaultStage::Lifted)) {
            (Some(added), Some(lifted)) => scaled(lifted.saturating_sub(added), speed),
            (_, _) => Duration::ZERO,
        };
        let up = |seen: &&RungSeen| !seen.rung.is_down();
        let all = || step.drilled.iter().flat_map(|alert| &alert.rungs);
        let last_up =
            all().filter(up).filter_map(|seen| seen.at).max().map_or(Duration::ZERO, Duration::from);
        let lifted = by_clock.max(last_up);
        let down = all().filter(|seen| seen.rung.is_down()).filter_map(|seen| seen.at).max();
        let end = lifted + down.map_or(Duration::ZERO, Duration::from);
        let end = end.max(Duration::from_secs(1)).mul_f64(1.03);
        Self { lifted, end }
    }

    fn at(&self, time: Duration) -> Percent {
        Percent::of(time.as_secs_f64() / self.end.as_secs_f64())
    }

    fn width(&self, from: Duration, to: Duration) -> Percent {
        Percent::of(to.saturating_sub(from).as_secs_f64() / self.end.as_secs_f64())
    }

    fn bar(&self, class: &str, from: Duration, to: Duration, y: f64, height: f64) -> String {
        let (x, width) = (self.at(from), self.width(from, to));
        format!(
            "<rect class=\"{class}\" x=\"{x}\" width=\"{width}\" y=\"{y:.1}\" height=\"{height}\" rx=\"2\"/>"
        )
    }
}

fn scaled(wall: Duration, speed: f64) -> Duration {
    Duration::try_from_secs_f64(wall.as_secs_f64() * speed).unwrap_or(Duration::ZERO)
}

fn ticks(times: &Times, lanes: f64) -> String {
    let end = times.end.as_secs();
    let step = TICKS.into_iter().find(|step| end / step <= MOST_TICKS).unwrap_or(end.max(1));
    let mut text = String::new();
    let mut words = Vec::new();
    for tick in (0..=end / step).map(|number| number * step) {
        let at = Duration::from_secs(tick);
        let x = times.at(at);
        let _ = write!(text, "<line class=\"grid\" x1=\"{x}\" x2=\"{x}\" y1=\"0\" y2=\"{lanes:.0}\"/>");
        words.push((at.as_secs_f64() / times.end.as_secs_f64(), said(at.into())));
    }
    text + &below(&words, lanes + 16.0)
}

fn fault_lane(step: &Step, times: &Times) -> String {
    let stage = |stage| step.faults.iter().rfind(|fault: &&FaultSeen| fault.stage == stage);
    let fault = step.faults.first().map_or(step.id.name.as_str(), |fault| fault.fault.as_str());
    let note = match (stage(FaultStage::NotFelt), stage(FaultStage::Stuck), stage(FaultStage::Lifted)) {
        (Some(_), _, _) => "nothing shows that it took effect".to_owned(),
        (None, Some(stuck), _) => stuck.what.clone(),
        (None, None, Some(_)) => format!("lifted after {}", said(times.lifted.into())),
        (None, None, None) => String::new(),
    };
    format!(
        "<text class=\"name lane\" x=\"4\" y=\"13\">{}<tspan dx=\"8\" font-weight=\"400\">{}</tspan></text>{}",
        line(fault),
        line(&note),
        times.bar("fault", Duration::ZERO, times.lifted, NAME, BAR)
    )
}

fn alert_lane(alert: &Drilled, times: &Times, top: f64) -> String {
    let y = top + NAME;
    let note = match alert.broken {
        Some(rung) => format!("broke at {rung}"),
        None => {
            at(alert, Rung::Delivered).map(|at| format!("told after {}", said(at.into()))).unwrap_or_default()
        }
    };
    let mut text = format!(
        "<text class=\"name lane\" x=\"4\" y=\"{:.1}\">{}<tspan dx=\"8\" font-weight=\"400\">{}</tspan></text>",
        top + 13.0,
        line(&alert.alert),
        line(&note)
    );
    let over = at(alert, Rung::Cleared).map_or(times.end, |cleared| times.lifted + cleared);
    let (pending, firing) = (at(alert, Rung::Pending), at(alert, Rung::Firing));
    if let Some(pending) = pending {
        text += &times.bar("pending", pending, firing.unwrap_or(over), y, BAR);
    }
    if let Some(firing) = firing {
        text += &times.bar("firing", firing, over, y, BAR);
    }
    let allowed = [(Rung::Firing, Duration::ZERO), (Rung::Cleared, times.lifted)];
    for (rung, since) in allowed {
        if let Some(RungSeen { earliest: Some(earliest), latest: Some(latest), .. }) = seen(alert, rung) {
            let (from, to) = (since + Duration::from(*earliest), since + Duration::from(*latest));
            text += &times.bar("allowed", from, to, y + BAR + 2.0, 4.0);
        }
    }
    for told in &alert.told {
        text += &message(told, times, y + BAR + 15.0);
    }
    text
}

fn message(told: &Told, times: &Times, y: f64) -> String {
    let at = Duration::from(told.at);
    let (at, class, what) = if told.resolved {
        (times.lifted + at, "told over", "is told that it is over")
    } else {
        (at, "told", "is told")
    };
    format!(
        "<circle class=\"{class}\" cx=\"{}\" cy=\"{y:.1}\" r=\"6\"><title>{} {what} after {}</title></circle>",
        times.at(at),
        line(&told.receiver),
        said(Nanos::from(at))
    )
}
