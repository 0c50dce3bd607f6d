//! How much faster than in production everything goes: one factor that divides every duration.

use std::path::Path;
use std::time::Duration;

use crate::finding::Findings;
use crate::prometheus::HASTE;
use crate::source::Sources;
use crate::stack::Error;
use crate::yaml::{self, Kind, Node};
use crate::{route, rule};

/// Production's values where a configuration does not say.
pub(super) const SCRAPE_INTERVAL: Duration = Duration::from_secs(60);
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(10);
const EVALUATION_INTERVAL: Duration = Duration::from_secs(60);

/// How far back a query looks, and how alerts are told, where no flag says otherwise.
const FLAGS: [(&str, Duration); 4] = [
    ("--query.lookback-delta", Duration::from_secs(5 * 60)),
    ("--rules.alert.resend-delay", Duration::from_secs(60)),
    ("--rules.alert.for-grace-period", Duration::from_secs(10 * 60)),
    ("--rules.alert.for-outage-tolerance", Duration::from_secs(60 * 60)),
];

/// By how much everything goes faster than in production; at least 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed(f64);

impl Default for Speed {
    fn default() -> Self {
        Self(1.0)
    }
}

impl Speed {
    /// A factor from 1 to 1000.
    #[must_use]
    pub fn new(factor: f64) -> Option<Self> {
        (1.0..=1000.0).contains(&factor).then_some(Self(factor))
    }

    /// The factor.
    #[must_use]
    pub fn factor(self) -> f64 {
        self.0
    }

    /// Whether everything goes as in production.
    #[must_use]
    pub fn is_usual(self) -> bool {
        self.0 <= 1.0
    }

    /// So many times slower at least, by halves; `None` where it is as in production.
    #[must_use]
    pub fn slower(self, times: f64) -> Option<Self> {
        let mut factor = self.0 / 2.0;
        while factor > 1.0 && self.0 / factor < times {
            factor /= 2.0;
        }
        (!self.is_usual()).then(|| Self(factor.max(1.0)))
    }

    /// What takes so long in production, here; a millisecond at least.
    #[must_use]
    pub fn scaled(self, time: Duration) -> Duration {
        if self.is_usual() {
            return time;
        }
        let millis = (time.as_secs_f64() * 1000.0 / self.0).round().max(1.0);
        Duration::from_secs_f64(millis / 1000.0)
    }

    /// What it tells Prometheus besides its configuration.
    pub(in crate::stack) fn flags(self) -> Vec<String> {
        if self.is_usual() {
            return Vec::new();
        }
        FLAGS.iter().map(|(flag, time)| format!("{flag}={}", written(self.scaled(*time)))).collect()
    }

    /// Scales what the configuration says of all jobs, what it leaves out included.
    pub(super) fn global(self, tree: &mut Node) {
        if self.is_usual() {
            return;
        }
        if tree.get("global").is_none_or(|global| !matches!(global.kind, Kind::Map(_))) {
            tree.set("global", Kind::Map(Vec::new()));
        }
        let Some(global) = tree.get_mut("global") else { return };
        let scrape = read(global, "scrape_interval").unwrap_or(SCRAPE_INTERVAL);
        let timeout = read(global, "scrape_timeout").unwrap_or(SCRAPE_TIMEOUT.min(scrape));
        let evaluation = read(global, "evaluation_interval").unwrap_or(EVALUATION_INTERVAL);
        self.say(global, "scrape_interval", scrape);
        self.limit(global, timeout, scrape);
        self.say(global, "evaluation_interval", evaluation);
        if let Some(offset) = read(global, "rule_query_offset") {
            self.say(global, "rule_query_offset", offset);
        }
    }

    /// Scales what a job says of itself; what it leaves out, `own` says of all jobs, as it is in production.
    pub(super) fn job(self, job: &mut Node, own: &Node) {
        if self.is_usual() {
            return;
        }
        let all = own.get("global").and_then(|global| read(global, "scrape_interval"));
        let (every, timeout) = (read(job, "scrape_interval"), read(job, "scrape_timeout"));
        if let Some(every) = every {
            self.say(job, "scrape_interval", every);
        }
        if let Some(timeout) = timeout {
            self.limit(job, timeout, every.or(all).unwrap_or(SCRAPE_INTERVAL));
        }
    }

    /// Scales a timeout, though it leaves a scrape no less time than a machine may need that does other things, too:
    /// as much as there is until the next.
    fn limit(self, node: &mut Node, timeout: Duration, every: Duration) {
        let least = self.scaled(every).min(HASTE);
        node.set("scrape_timeout", Kind::Text(written(self.scaled(timeout).max(least))));
    }

    fn say(self, node: &mut Node, key: &str, time: Duration) {
        node.set(key, Kind::Text(written(self.scaled(time))));
    }

    /// Alertmanager's configuration, re-timed.
    pub(in crate::stack) fn routes(self, tree: Node) -> Node {
        if self.is_usual() { tree } else { route::scaled(&tree, self.0) }
    }

    /// A rule file, re-timed.
    pub(in crate::stack) fn rules(self, path: &Path, bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
        if self.is_usual() {
            return Ok(bytes);
        }
        let mut sources = Sources::default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let file = sources.add(path, text.as_str());
        let mut findings = Findings::default();
        let documents = yaml::parse(file, &text);
        let documents = findings.take_all(documents).unwrap_or_default();
        let first = documents.into_iter().next().map(|first| yaml::as_elder(first, &text));
        let scaled = first.map(|first| rule::scaled(&first, self.0, &mut findings));
        if findings.any_error() {
            let drawn = findings.in_reading_order();
            let drawn: Vec<_> = drawn.iter().map(|finding| finding.draw(&sources).render(false)).collect();
            return Err(Error::Files(drawn.join("\n\n")));
        }
        Ok(scaled.map_or(bytes, |scaled| yaml::print(&scaled).into_bytes()))
    }
}

/// As every version of Prometheus reads it.
pub(crate) fn written(time: Duration) -> String {
    format!("{}ms", time.as_millis().max(1))
}

/// The duration under `key`, as Prometheus reads it.
fn read(node: &Node, key: &str) -> Option<Duration> {
    duration(node.get(key)?.scalar()?)
}

/// A duration as Prometheus writes it: `1h30m`, `15s`, `1y2w`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 7] = [
        ("ms", 1),
        ("s", 1000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
        ("w", 604_800_000),
        ("y", 31_536_000_000),
    ];
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|sign: char| !sign.is_ascii_digit()).filter(|at| *at > 0)?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|sign: char| sign.is_ascii_digit()).unwrap_or(after.len());
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == &after[..unit])?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*millis)?)?;
        rest = &after[unit..];
    }
    (!text.is_empty()).then(|| Duration::from_millis(total))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::seconds("15s", Some(15_000))]
    #[case::several("1h30m", Some(5_400_000))]
    #[case::months_are_none("1M", None)]
    #[case::bare("15", None)]
    #[case::nothing("", None)]
    #[case::zero("0", Some(0))]
    fn a_duration_reads_as_in_prometheus(#[case] text: &str, #[case] millis: Option<u64>) {
        assert_eq!(duration(text), millis.map(Duration::from_millis));
    }

    #[rstest]
    #[case::usual(1.0, 15_000, 15_000)]
    #[case::a_minute_in_a_second(60.0, 15_000, 250)]
    #[case::a_timeout(60.0, 10_000, 167)]
    #[case::never_nothing(600.0, 100, 1)]
    fn a_duration_is_divided(#[case] speed: f64, #[case] millis: u64, #[case] scaled: u64) {
        let speed = Speed::new(speed).unwrap();
        assert_eq!(speed.scaled(Duration::from_millis(millis)), Duration::from_millis(scaled));
    }

    #[rstest]
    #[case::half(600.0, 1.0, Some(300.0))]
    #[case::as_slow_as_that(600.0, 5.0, Some(75.0))]
    #[case::no_slower_than_production(3.0, 100.0, Some(1.0))]
    #[case::already(1.0, 2.0, None)]
    fn a_speed_is_lowered_by_halves(#[case] speed: f64, #[case] times: f64, #[case] lower: Option<f64>) {
        assert_eq!(Speed::new(speed).unwrap().slower(times).map(Speed::factor), lower);
    }

    #[rstest]
    #[case(0.5)]
    #[case(f64::NAN)]
    #[case(1001.0)]
    fn a_speed_that_makes_no_sense_is_none(#[case] speed: f64) {
        assert_eq!(Speed::new(speed), None);
    }
}
