//! How slow load was: over time, and by the share of attempts that were faster; with the limits of its SLOs.

use std::fmt::Write as _;
use std::time::Duration;

use super::markup::{Percent, line};
use super::plot::{Plot, below, said};
use crate::event::Quantiles;
use crate::report::record::{Moment, Scenario, Step, time};
use crate::report::row;
use crate::report::style::Style;
use crate::report::text::thousands;
use crate::sli::Folded;
use crate::units::Ratio;

/// Heights of the charts in pixels.
const LATENCY: u32 = 170;
const RATE: f64 = 70.0;

/// Points of a curve of shares.
const POINTS: u32 = 120;

/// The charts of one load.
pub(super) fn of_step(step: &Step, scenario: &Scenario) -> String {
    let Some(tally) = &step.tally else { return String::new() };
    let samples = step.sli.as_ref().and_then(|sli| scenario.slis.get(sli));
    let limits = limits(samples);
    let took = step.end.as_ref().map_or(Duration::ZERO, |end| end.took);
    let said = row::load(tally, took, Style::FILE);
    let mut text = format!(
        "<section class=\"card\"><h4>{} <span class=\"faint\">load</span></h4><p class=\"small\">{}</p>",
        line(&step.id.name),
        line(&said.join("; "))
    );
    text += &over_time(&step.moments, &limits).unwrap_or_default();
    text += &throughput(&step.moments).unwrap_or_default();
    text += &match samples.filter(|samples| samples.timed() > 0) {
        Some(samples) => by_share(samples, &limits),
        None => by_quantiles(&tally.latency, tally.ended, &limits),
    }
    .unwrap_or_default();
    text + "</section>"
}

/// What objectives compare latencies with.
fn limits(samples: Option<&Folded>) -> Vec<Duration> {
    samples
        .iter()
        .flat_map(|samples| &samples.within)
        .map(|within| Duration::from_nanos(within.nanos))
        .collect()
}

fn levels(plot: &mut Plot, limits: &[Duration]) {
    for limit in limits {
        plot.level(*limit, &format!("SLO {}", said(*limit)));
    }
}

/// The median and the 99th percentile of each second, or of a few where there are many.
fn over_time(moments: &[Moment], limits: &[Duration]) -> Option<String> {
    let length = moments.last().filter(|_| moments.len() > 1)?.elapsed;
    let points = |of: fn(&Quantiles) -> Option<crate::event::Nanos>| -> Vec<(f64, Duration)> {
        let at = |moment: &Moment| moment.elapsed.as_secs_f64() / length.as_secs_f64();
        moments.iter().filter_map(|moment| Some((at(moment), time(of(&moment.recent))?))).collect()
    };
    let (p50, p99) = (points(|quantiles| quantiles.p50), points(|quantiles| quantiles.p99));
    let slowest = p99.iter().map(|(_, time)| *time).max()?;
    let all = p50.iter().chain(&p99).map(|(_, time)| *time).chain(limits.iter().copied());
    let about = format!("Latency over {}, at worst a p99 of {}", said(length), said(slowest));
    let mut plot = Plot::of(all, LATENCY, &about)?;
    plot.curve("p50", &p50);
    plot.curve("p99", &p99);
    levels(&mut plot, limits);
    plot.below(&clock(length));
    Some(format!(
        "<figure><figcaption><strong>Latency over time</strong>, from when each attempt was due; logarithmic\
         </figcaption>{}{}</figure>",
        plot.close(),
        keys(&[("var(--blue)", "p50"), ("var(--plum)", "p99")], true)
    ))
}

/// Attempts a second: the good ones, and on top of them the failed ones.
fn throughput(moments: &[Moment]) -> Option<String> {
    let length = moments.last().filter(|_| moments.len() > 1)?.elapsed.as_secs_f64();
    let mut before = (0.0, 0, 0);
    let mut bars = Vec::new();
    for moment in moments {
        let until = moment.elapsed.as_secs_f64();
        let (from, ended, good) = before;
        let took = until - from;
        let per_second = |now: u64, then: u64| float(now.saturating_sub(then)) / took;
        let (all, good_ones) = (per_second(moment.ended, ended), per_second(moment.good, good));
        if took > 0.0 {
            bars.push((from / length, took / length, good_ones, (all - good_ones).max(0.0)));
        }
        before = (until, moment.ended, moment.good);
    }
    let most = bars.iter().map(|(_, _, good, bad)| good + bad).fold(0.0, f64::max);
    let any_bad = bars.iter().any(|(_, _, _, bad)| *bad > 0.0);
    if most <= 0.0 {
        return None;
    }
    let mut text = format!(
        "<figure><figcaption><strong>Attempts ended a second</strong>, at most {most:.0}</figcaption>\
         <svg role=\"img\" aria-label=\"Attempts ended a second, at most {most:.0}\" width=\"100%\" height=\"{}\">",
        RATE + 20.0
    );
    for (x, width, good, bad) in bars {
        let (x, width) = (Percent::of(x), Percent::of((width - 0.001).max(0.0005)));
        let (high, failed) = (RATE * good / most, RATE * bad / most);
        let _ = write!(
            text,
            "<rect class=\"bar-good\" x=\"{x}\" width=\"{width}\" y=\"{:.1}\" height=\"{high:.1}\"/>",
            RATE - high
        );
        if failed > 0.0 {
            let _ = write!(
                text,
                "<rect class=\"bar-bad\" x=\"{x}\" width=\"{width}\" y=\"{:.1}\" height=\"{:.1}\"/>",
                RATE - high - failed,
                failed.max(1.0)
            );
        }
    }
    let _ = write!(text, "<line class=\"axis\" x1=\"0\" x2=\"100%\" y1=\"{RATE}\" y2=\"{RATE}\"/>");
    text += &below(&clock(Duration::from_secs_f64(length)), RATE + 16.0);
    let names: &[_] = if any_bad {
        &[("var(--blue)", "good"), ("var(--bad)", "failed")]
    } else {
        &[("var(--blue)", "good; none failed")]
    };
    Some(text + "</svg>" + &keys(names, false) + "</figure>")
}

/// How long so many of the attempts took at most: the tail has as much room as the rest.
fn by_share(samples: &Folded, limits: &[Duration]) -> Option<String> {
    let sli = samples.latencies();
    let nines = nines(samples.timed());
    let points: Vec<_> = (0..=POINTS)
        .filter_map(|point| {
            let x = f64::from(point) / f64::from(POINTS);
            let share = Ratio::new(1.0 - 10f64.powf(-x * nines))?;
            Some((x, sli.quantile(share)?))
        })
        .collect();
    share_plot(&points, nines, samples.timed(), limits)
}

/// The same from a few quantiles, where no more is known.
fn by_quantiles(quantiles: &Quantiles, ended: u64, limits: &[Duration]) -> Option<String> {
    let nines = nines(ended);
    let known = [(0.5, quantiles.p50), (0.9, quantiles.p90), (0.99, quantiles.p99), (0.999, quantiles.p999)];
    let mut points: Vec<_> = known
        .into_iter()
        .filter_map(|(share, at)| Some((-(1.0f64 - share).log10() / nines, time(at)?)))
        .filter(|(x, _)| *x < 1.0)
        .collect();
    points.extend(time(quantiles.max).map(|max| (1.0, max)));
    share_plot(&points, nines, ended, limits)
}

/// How many nines so many attempts can tell of.
fn nines(attempts: u64) -> f64 {
    float(attempts.max(10)).log10().clamp(1.0, 6.0)
}

fn share_plot(points: &[(f64, Duration)], nines: f64, attempts: u64, limits: &[Duration]) -> Option<String> {
    let slowest = points.last()?.1;
    let all = points.iter().map(|(_, time)| *time).chain(limits.iter().copied());
    let attempts = thousands(attempts);
    let about = format!("Latency by percentile of {attempts} attempts, the slowest {}", said(slowest));
    let mut plot = Plot::of(all, LATENCY, &about)?;
    plot.curve("p99", points);
    levels(&mut plot, limits);
    let marks = ["50%", "90%", "99%", "99.9%", "99.99%", "99.999%", "99.9999%"];
    let at = [2.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6];
    let words = marks.iter().zip(at).map(|(mark, of)| (f64::log10(of) / nines, (*mark).to_owned()));
    let mut words: Vec<_> = words.filter(|(x, _)| *x < 0.9).collect();
    words.push((1.0, "slowest".to_owned()));
    plot.below(&words);
    Some(format!(
        "<figure><figcaption><strong>Latency by percentile</strong>: so many of {attempts} attempts were at \
         least as fast; both ways logarithmic</figcaption>{}</figure>",
        plot.close()
    ))
}

/// The beginning, the middle and the end.
fn clock(length: Duration) -> Vec<(f64, String)> {
    vec![(0.0, "0".to_owned()), (0.5, said(length / 2)), (1.0, said(length))]
}

fn keys(names: &[(&str, &str)], lines: bool) -> String {
    let class = if lines { " class=\"line\"" } else { "" };
    let items = names
        .iter()
        .map(|(colour, name)| format!("<li><i{class} style=\"background:{colour}\"></i>{name}</li>"));
    format!("<ul class=\"keys\">{}</ul>", items.collect::<String>())
}

#[expect(clippy::cast_precision_loss, reason = "a count is drawn in a few hundred pixels")]
fn float(count: u64) -> f64 {
    count as f64
}
