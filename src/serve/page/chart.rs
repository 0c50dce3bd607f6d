//! Past runs as pictures: a bar each, as high as it took long, in the colour of how it ended.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;

use super::html::{about, took};
use crate::event::Conclusion;
use crate::serve::state::{MOST_RUNS, Ran};

/// How many runs a card shows.
const STRIP: usize = 60;

fn class(conclusion: Conclusion) -> &'static str {
    match conclusion {
        Conclusion::Pass => "pass",
        Conclusion::Fail => "fail",
        Conclusion::Inconclusive | Conclusion::NotMeasured => "unsure",
    }
}

/// The longest time, and never nothing.
fn longest<'r>(runs: impl Iterator<Item = &'r Ran>) -> Duration {
    runs.map(|ran| ran.took).max().unwrap_or_default().max(Duration::from_micros(1))
}

fn share(time: Duration, of: Duration) -> f64 {
    time.as_secs_f64() / of.as_secs_f64()
}

/// What a picture says to those who do not see it.
fn words(runs: &[&Ran]) -> String {
    let passed = runs.iter().filter(|ran| ran.conclusion == Conclusion::Pass).count();
    format!(
        "{passed} of the last {} runs passed; the longest took {}",
        runs.len(),
        took(longest(runs.iter().copied()))
    )
}

/// The latest runs at a glance, without scales.
pub(super) fn strip<'r>(runs: impl DoubleEndedIterator<Item = &'r Ran>) -> String {
    let mut runs: Vec<_> = runs.rev().take(STRIP).collect();
    runs.reverse();
    let top = longest(runs.iter().copied());
    let mut svg = format!(
        "<svg class=\"strip\" viewBox=\"0 0 {} 36\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
        STRIP * 5,
        words(&runs)
    );
    let empty = STRIP - runs.len();
    for at in 0..empty {
        let _ = write!(svg, "<rect class=\"none\" x=\"{}\" y=\"33\" width=\"4\" height=\"3\"/>", at * 5);
    }
    for (at, ran) in runs.iter().enumerate() {
        // A failed run is seen however quickly it failed.
        let least = if ran.conclusion == Conclusion::Pass { 4.0 } else { 14.0 };
        let height = (share(ran.took, top) * 36.0).max(least);
        let _ = write!(
            svg,
            "<rect class=\"{}\" x=\"{}\" y=\"{:.1}\" width=\"4\" height=\"{height:.1}\" rx=\"1\"/>",
            class(ran.conclusion),
            (empty + at) * 5,
            36.0 - height
        );
    }
    svg.push_str("</svg>");
    svg
}

/// The size of the large picture. It is stretched; what is written stands beside it, and stays as large as text is.
const WIDTH: usize = MOST_RUNS * 6;
const HEIGHT: f64 = 160.0;

/// All runs that are known, with scales.
pub(super) fn chart<'r>(runs: impl Iterator<Item = &'r Ran>, now: Timestamp) -> String {
    let runs: Vec<_> = runs.collect();
    let Some(first) = runs.first() else { return String::new() };
    let top = longest(runs.iter().copied());
    let mut svg = format!(
        "<div class=\"chart\"><div class=\"scale\" aria-hidden=\"true\"><span>{}</span><span>{}</span><span>0</span></div>\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
        took(top),
        took(top / 2),
        words(&runs)
    );
    for y in [0.5, HEIGHT / 2.0, HEIGHT - 0.5] {
        let _ = write!(svg, "<line class=\"rule\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{y}\" y2=\"{y}\"/>");
    }
    let empty = MOST_RUNS - runs.len().min(MOST_RUNS);
    for (at, ran) in runs.iter().enumerate() {
        let least = if ran.conclusion == Conclusion::Pass { 2.0 } else { 12.0 };
        let height = (share(ran.took, top) * HEIGHT).max(least);
        let _ = write!(
            svg,
            "<rect class=\"{}\" x=\"{}\" y=\"{:.1}\" width=\"5\" height=\"{height:.1}\" rx=\"1\">\
             <title>{:.0}: {}</title></rect>",
            class(ran.conclusion),
            (empty + at) * 6,
            HEIGHT - height,
            ran.began,
            took(ran.took)
        );
    }
    let since = Duration::try_from(now.duration_since(first.began)).unwrap_or_default();
    let _ = write!(
        svg,
        "</svg><div class=\"ends\"><span>{} runs since {} ago</span><span>now</span></div></div>",
        runs.len(),
        about(since)
    );
    svg
}
