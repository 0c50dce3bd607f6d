//! Charts that fit any width: positions along it are shares, and only lines are stretched, never text.

use std::fmt::Write as _;
use std::time::Duration;

use super::markup::{Percent, line};
use crate::report::style::Style;

/// Pixels above and below a plot, for what is written there.
const HEAD: f64 = 16.0;
const FOOT: f64 = 20.0;

/// Units across a plot in which lines are drawn before they are stretched.
const ACROSS: f64 = 1000.0;

/// A plot of times over something, on a logarithmic scale.
#[derive(Debug)]
pub(super) struct Plot {
    height: f64,
    scale: Scale,
    inside: String,
    /// Words at the ticks, which stand over the curves.
    words: String,
}

impl Plot {
    /// An empty plot for these times; `None` without any.
    pub(super) fn of(times: impl Iterator<Item = Duration>, height: u32, about: &str) -> Option<Self> {
        let scale = Scale::over(times)?;
        let height = f64::from(height);
        let mut plot = Self { height, scale, inside: String::new(), words: String::new() };
        let all = HEAD + height + FOOT;
        let about = line(about);
        let _ =
            write!(plot.inside, "<svg role=\"img\" aria-label=\"{about}\" width=\"100%\" height=\"{all}\">");
        for tick in scale.ticks() {
            let y = plot.y(tick);
            let _ = write!(
                plot.inside,
                "<line class=\"grid\" x1=\"0\" x2=\"100%\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"
            );
            let _ = write!(plot.words, "<text x=\"0\" y=\"{:.1}\">{}</text>", y - 4.0, said(tick));
        }
        Some(plot)
    }

    /// A line through points, each a share of the width and a time.
    pub(super) fn curve(&mut self, class: &str, points: &[(f64, Duration)]) {
        let mut path = String::new();
        for (x, time) in points {
            let _ = write!(path, "{:.1},{:.1} ", x.clamp(0.0, 1.0) * ACROSS, self.y(*time));
        }
        let all = HEAD + self.height + FOOT;
        let _ = write!(
            self.inside,
            "<svg width=\"100%\" height=\"{all}\" viewBox=\"0 0 {ACROSS} {all}\" preserveAspectRatio=\"none\">\
             <polyline class=\"{class}\" points=\"{}\"/></svg>",
            path.trim_end()
        );
    }

    /// A level across, with its name.
    pub(super) fn level(&mut self, time: Duration, name: &str) {
        let y = self.y(time);
        let _ = write!(
            self.inside,
            "<line class=\"limit\" x1=\"0\" x2=\"100%\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"limit-name\" x=\"100%\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            y - 5.0,
            line(name)
        );
    }

    /// Words below it, each at a share of its width.
    pub(super) fn below(&mut self, words: &[(f64, String)]) {
        self.inside += &below(words, HEAD + self.height + FOOT - 4.0);
    }

    pub(super) fn close(self) -> String {
        self.inside + &self.words + "</svg>"
    }

    fn y(&self, time: Duration) -> f64 {
        HEAD + self.height * (1.0 - self.scale.share(time))
    }
}

/// Words on a line, each at a share of the width; the outer ones do not reach beyond it.
pub(super) fn below(words: &[(f64, String)], y: f64) -> String {
    let mut text = String::new();
    for (x, word) in words {
        let anchor = match *x {
            left if left < 0.06 => "start",
            right if right > 0.94 => "end",
            _ => "middle",
        };
        let _ = write!(
            text,
            "<text x=\"{}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
            Percent::of(*x),
            line(word)
        );
    }
    text
}

/// A time as it stands at an axis: `250 ms`.
pub(super) fn said(time: Duration) -> String {
    let text = Style::FILE.time(time);
    match text.split_once(' ') {
        Some((number, unit)) if number.contains('.') => {
            format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
        }
        Some(_) | None => text,
    }
}

/// A logarithmic scale of times.
#[derive(Debug, Clone, Copy)]
struct Scale {
    /// Logarithms of seconds.
    low: f64,
    high: f64,
}

/// No time is shown as shorter.
const SHORTEST: f64 = 1e-6;

impl Scale {
    /// From the round time below the least to the one above the greatest.
    fn over(times: impl Iterator<Item = Duration>) -> Option<Self> {
        let logs = times.map(|time| time.as_secs_f64().max(SHORTEST).log10());
        let (low, high) =
            logs.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), log| (low.min(log), high.max(log)));
        (low <= high).then(|| {
            let below = ROUND.iter().rev().map(|round| low.floor() + round.log10()).find(|log| *log <= low);
            let above = ROUND.iter().map(|round| high.floor() + round.log10()).find(|log| *log >= high);
            let low = below.unwrap_or(low.floor());
            let high = above.unwrap_or(high.floor() + 1.0);
            Self { low, high: high.max(low + ROUND[1].log10()) }
        })
    }

    fn share(self, time: Duration) -> f64 {
        let log = time.as_secs_f64().max(SHORTEST).log10();
        ((log - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// Round times on it: powers of ten, and what is between them where there are few.
    fn ticks(self) -> Vec<Duration> {
        const SLACK: f64 = 1e-9;
        let steps: &[f64] = if self.high - self.low > 2.2 { &ROUND[..1] } else { &ROUND };
        let mut ticks = Vec::new();
        let mut decade = self.low.floor();
        while decade <= self.high + SLACK {
            let logs = steps.iter().map(|step| decade + step.log10());
            let within = logs.filter(|log| *log >= self.low - SLACK && *log <= self.high + SLACK);
            ticks.extend(within.map(|log| Duration::from_secs_f64(10f64.powf(log))));
            decade += 1.0;
        }
        ticks
    }
}

/// Round numbers of a decade.
const ROUND: [f64; 3] = [1.0, 2.0, 5.0];

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn millis(times: &[u64]) -> impl Iterator<Item = Duration> + '_ {
        times.iter().copied().map(Duration::from_millis)
    }

    #[rstest]
    #[case::narrow(&[11, 29], &["10 ms", "20 ms", "50 ms"])]
    #[case::wide(&[2, 900], &["10 ms", "100 ms", "1 s"])]
    #[case::one(&[100], &["100 ms", "200 ms"])]
    fn a_scale_has_round_ticks(#[case] times: &[u64], #[case] ticks: &[&str]) {
        let scale = Scale::over(millis(times)).unwrap();
        assert_eq!(scale.ticks().into_iter().map(said).collect::<Vec<_>>(), ticks);
    }

    #[test]
    fn of_no_times_there_is_no_plot() {
        assert!(Plot::of(std::iter::empty(), 100, "nothing").is_none());
    }

    #[test]
    fn no_time_at_all_is_at_the_bottom() {
        let scale = Scale::over(millis(&[0, 1])).unwrap();
        assert!(scale.share(Duration::ZERO).abs() < f64::EPSILON);
    }
}
