//! What a load came to, as a table: for those who asked for nothing else.

use std::fmt::Write as _;
use std::time::Duration;

use crate::event::{Part, Quantiles, Tally};
use crate::report::record::time;
use crate::report::row::rate;
use crate::report::style::{Ink, Style};
use crate::report::text::{on_one_line, thousands, width};

/// Where the table begins.
const MARGIN: &str = "    ";

/// How wide a measured time is set.
const TIME: usize = 8;

/// How much of a name is shown.
const MOST_NAME: usize = 40;

/// Rates, and every measured time with what it runs from.
pub(crate) fn table(tally: &Tally, parts: &[Part], style: Style) -> String {
    let mut text = String::new();
    let mut row = |name: &str, what: &str| {
        let _ = writeln!(text, "{MARGIN}{} {what}", style.paint(Ink::Faint, &format!("{name:<9}")));
    };
    let lasted = Duration::from(tally.lasted);
    let (wanted, sent) = (rate(tally.due, tally.length.into()), rate(tally.begun, lasted));
    if let Some(sent) = sent {
        let wanted = wanted.filter(|_| tally.is_open()).map(|wanted| format!(" of {wanted} wanted"));
        row("rate", &format!("{sent}{}", wanted.unwrap_or_default()));
    }
    let times = [
        ("latency", &tally.latency, "from due to last byte"),
        ("service", &tally.service, "from send to last byte"),
        ("lateness", &tally.lateness, "from due to send"),
    ];
    for (name, quantiles, about) in times {
        if let Some(line) = line(quantiles, style) {
            row(name, &format!("{line}  {}", style.paint(Ink::Faint, about)));
        }
    }
    let queued = match tally.waited {
        0 => String::new(),
        some => format!("; {} waited for a connection", thousands(some)),
    };
    row("in flight", &format!("{} at most{queued}", thousands(tally.in_flight_peak)));
    text + &of_parts(parts, style)
}

/// Each of the things that were asked on a line.
fn of_parts(parts: &[Part], style: Style) -> String {
    let longest = parts.iter().map(|part| width(&on_one_line(&part.name))).max().unwrap_or(0).min(MOST_NAME);
    let mut text = String::new();
    for Part { name, tally } in parts {
        let name = style.cut(&on_one_line(name), longest).into_owned();
        let space = " ".repeat(longest - width(&name));
        let failed = tally.ended.saturating_sub(tally.good);
        let times = line(&tally.latency, style).unwrap_or_default();
        let ended = format!("{:>9} answered, {} failed", thousands(tally.ended), thousands(failed));
        let _ = writeln!(text, "{MARGIN}{name}{space} {ended}  {}", times.trim_end());
    }
    text
}

/// Every quantile there is.
fn line(quantiles: &Quantiles, style: Style) -> Option<String> {
    let Quantiles { p50, p90, p99, p999, max } = *quantiles;
    let named = [("p50", p50), ("p90", p90), ("p99", p99), ("p99.9", p999), ("max", max)];
    let pieces = named.into_iter().filter_map(|(name, value)| {
        let value = style.time(time(value)?);
        Some(format!("{name} {value:<TIME$}"))
    });
    let pieces: Vec<_> = pieces.collect();
    (!pieces.is_empty()).then(|| pieces.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Nanos;

    fn quantiles(micros: u64) -> Quantiles {
        let at = |factor| Some(Nanos(micros * factor * 1_000));
        Quantiles { p50: at(1), p90: at(2), p99: at(5), p999: at(20), max: at(300) }
    }

    #[test]
    fn a_load_says_all_it_knows() {
        let tally = Tally {
            due: 150_000,
            begun: 150_000,
            ended: 150_000,
            good: 149_990,
            latency: quantiles(120),
            service: quantiles(110),
            lateness: quantiles(9),
            waited: 12,
            in_flight_peak: 64,
            length: Nanos(30_000_000_000),
            lasted: Nanos(30_000_100_000),
            ..Tally::default()
        };
        let style = Style { colour: false, width: 100, unicode: true };
        insta::assert_snapshot!(table(&tally, &[], style), @r"
        rate      5000/s of 5000/s wanted
        latency   p50 120 µs   p90 240 µs   p99 600 µs   p99.9 2.40 ms  max 36.0 ms   from due to last byte
        service   p50 110 µs   p90 220 µs   p99 550 µs   p99.9 2.20 ms  max 33.0 ms   from send to last byte
        lateness  p50 9.00 µs  p90 18.0 µs  p99 45.0 µs  p99.9 180 µs   max 2.70 ms   from due to send
        in flight 64 at most; 12 waited for a connection
        ");
    }
}
