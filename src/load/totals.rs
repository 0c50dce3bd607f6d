//! What a load has measured, so far or in all.

use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::Instant;

use crate::event::{Interval, Nanos, Quantiles, Tally};
use crate::load::drive::{Leg, Shot};
use crate::sample::Reason;
use crate::sli::{NotPacked, Sli, pack, unpack};
use crate::units::{Ratio, Reading};

/// What a load has measured; its size does not depend on how long it was or how fast.
///
/// Every attempt that was due is accounted for: it [has ended](Totals::ended), is [in
/// flight](Totals::in_flight), was [never sent](Totals::unsent), was `cut` off or `broken`.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// Good and bad attempts, and their latency: from due to last byte.
    pub sli: Sli,
    /// The same for each of the things that are asked, where there is more than one.
    pub parts: Vec<Sli>,
    /// From send to last byte, for the attempts that count in the latency.
    pub service: Times,
    /// From due to send. Nothing is due by itself in the closed model, so nothing is late there.
    pub lateness: Times,
    /// The part of it that was firedrill's: a shooter was free and the attempt had yet to begin.
    pub own_lateness: Times,
    /// Attempts that were due; in the closed model, those that were begun.
    pub due: u64,
    /// Attempts that were begun.
    pub begun: u64,
    /// Attempts that were due while every shooter was busy at the cap, and began late for it.
    pub waited_for_a_connection: u64,
    /// Attempts that a stop ended before they ended by themselves.
    pub cut: u64,
    /// Attempts that a bug of ours broke off.
    pub broken: u64,
    /// The most attempts that were in flight at once, on the busiest thread.
    pub in_flight_peak: u64,
    /// Since the start.
    pub elapsed: Duration,
    /// Since the start, when the last attempt that has ended was sent.
    pub sent_until: Duration,
}

/// An attempt that the schedule wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hit {
    /// By the schedule.
    pub(super) due: Instant,
    /// When it was due and there was a shooter for it.
    pub(super) ready: Instant,
}

/// Lateness of our own up to this is what a busy machine does.
const TOLERATED: Duration = Duration::from_millis(10);

/// Of so many attempts one may stay without an outcome.
const ONE_MISSING_OF: u64 = 1_000;

impl Totals {
    /// Empty books, which count latencies against `limits` exactly and are kept for so many `parts` apart, too.
    #[must_use]
    pub fn new(limits: &[Duration], parts: usize) -> Self {
        Self { sli: Sli::watching(limits), parts: vec![Sli::default(); parts], ..Self::default() }
    }

    /// Folds in an attempt, with the hit it was if the schedule wanted it at a certain time.
    pub(super) fn record(&mut self, shot: &Shot, hit: Option<Hit>) {
        let since = |from: Instant| shot.ended.saturating_duration_since(from).saturating_sub(shot.paused);
        let telling = shot.outcome.err().is_none_or(Reason::tells_latency);
        let latency = telling.then(|| since(hit.map_or(shot.sent, |hit| hit.due)));
        self.sli.record(shot.outcome, latency);
        if let Some(part) = shot.part.and_then(|part| self.parts.get_mut(part)) {
            part.record(shot.outcome, latency);
        }
        if telling {
            self.service.record(since(shot.sent));
        }
        if let Some(hit) = hit {
            self.lateness.record(shot.sent.saturating_duration_since(hit.due));
            self.own_lateness.record(shot.sent.saturating_duration_since(hit.ready));
        }
    }

    /// Folds in a step of an attempt: it has a part's books, and none of the whole.
    pub(super) fn record_leg(&mut self, leg: &Leg) {
        let telling = leg.outcome.err().is_none_or(Reason::tells_latency);
        if let Some(part) = self.parts.get_mut(leg.part) {
            part.record(leg.outcome, telling.then_some(leg.took));
        }
    }

    /// Adds what was measured elsewhere, or later; in which order does not matter.
    pub fn merge(&mut self, other: &Self) {
        self.sli.merge(&other.sli);
        self.parts.resize(self.parts.len().max(other.parts.len()), Sli::default());
        self.parts.iter_mut().zip(&other.parts).for_each(|(part, other)| part.merge(other));
        self.service.merge(&other.service);
        self.lateness.merge(&other.lateness);
        self.own_lateness.merge(&other.own_lateness);
        self.due = self.due.saturating_add(other.due);
        self.begun = self.begun.saturating_add(other.begun);
        self.waited_for_a_connection =
            self.waited_for_a_connection.saturating_add(other.waited_for_a_connection);
        self.cut = self.cut.saturating_add(other.cut);
        self.broken = self.broken.saturating_add(other.broken);
        self.in_flight_peak = self.in_flight_peak.max(other.in_flight_peak);
        self.elapsed = self.elapsed.max(other.elapsed);
        self.sent_until = self.sent_until.max(other.sent_until);
    }

    /// Attempts that have ended, well or badly.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.sli.counts().valid()
    }

    /// Attempts under way.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.begun.saturating_sub(self.ended() + self.cut + self.broken)
    }

    /// Attempts that were due and have not begun.
    #[must_use]
    pub fn unsent(&self) -> u64 {
        self.due.saturating_sub(self.begun)
    }

    /// Why what a load that has ended measured must not be blamed on its target, if so; the end of a sentence
    /// that begins with *measurement unreliable*.
    ///
    /// Either more than one in a thousand of the attempts due have no outcome, so that the slowest are not
    /// among those measured. Or one in a hundred began more than 10 ms, and more than half the median service
    /// time, later than it could have. Or this machine had no port or file left to connect with. Waiting for a connection at the cap is not that: such attempts are
    /// measured from when they were due, and [counted](Totals::waited_for_a_connection).
    #[must_use]
    pub fn unreliable(&self) -> Option<String> {
        let missing = self.due.saturating_sub(self.ended());
        if missing > self.due / ONE_MISSING_OF {
            let (due, unsent, cut, broken) = (self.due, self.unsent(), self.cut, self.broken);
            return Some(format!(
                "{missing} of {due} attempts have no outcome: \
                 {unsent} never sent, {cut} cut off, {broken} broken by a bug in firedrill"
            ));
        }
        let own = self.sli.reasons().get(&Reason::Local).copied().unwrap_or_default();
        if own > self.due / ONE_MISSING_OF {
            let due = self.due;
            return Some(format!(
                "this machine had no port or file left for {own} of {due} attempts: raise the limit of open files \
                 (`ulimit -n`), widen net.ipv4.ip_local_port_range, keep connections open, or load with less"
            ));
        }
        let [median, p99] = [0.5, 0.99].map(Ratio::new);
        let late = p99.and_then(|p99| self.own_lateness.quantile(p99))?;
        let service = median.and_then(|median| self.service.quantile(median)).unwrap_or_default();
        let tolerated = TOLERATED.max(service / 2);
        (late > tolerated).then(|| {
            let (late, tolerated) = (Reading(late), Reading(tolerated));
            format!("one attempt in 100 began {late} late with a connection free, more than {tolerated}")
        })
    }

    /// All of it, as it is saved.
    #[must_use]
    pub fn interval(&self) -> Interval {
        let reasons = self.sli.reasons().iter();
        Interval {
            due: self.due,
            begun: self.begun,
            counts: self.sli.counts(),
            reasons: reasons.map(|(reason, count)| (reason.to_string(), *count)).collect(),
            latency: self.sli.packed(),
            service: pack(&self.service.0),
            lateness: pack(&self.lateness.0),
        }
    }

    /// What is known of one of the things that are asked, as reports show it.
    #[must_use]
    pub fn part(&self, number: usize) -> Tally {
        let Some(sli) = self.parts.get(number) else { return Tally::default() };
        let (counts, reasons) = (sli.counts(), sli.reasons().iter());
        Tally {
            due: counts.valid(),
            begun: counts.valid(),
            ended: counts.valid(),
            good: counts.good,
            reasons: reasons.map(|(reason, count)| (reason.to_string(), *count)).collect(),
            latency: quantiles(sli),
            ..Tally::default()
        }
    }

    /// The totals as reports show them, of a load of that length.
    #[must_use]
    pub fn tally(&self, length: Duration) -> Tally {
        let reasons = self.sli.reasons().iter();
        Tally {
            due: self.due,
            ended: self.ended(),
            good: self.sli.counts().good,
            in_flight: self.in_flight(),
            reasons: reasons.map(|(reason, count)| (reason.to_string(), *count)).collect(),
            latency: quantiles(&self.sli),
            service: self.service.quantiles(),
            lateness: self.lateness.quantiles(),
            begun: self.begun,
            waited: self.waited_for_a_connection,
            in_flight_peak: self.in_flight_peak,
            length: length.into(),
            lasted: self.elapsed.min(length).max(self.sent_until).into(),
        }
    }
}

/// Measured times, true to three digits; longer ones than an hour are kept as an hour.
#[derive(Debug, Clone)]
pub struct Times(Histogram<u64>);

const LONGEST: Duration = Duration::from_secs(3600);

impl Default for Times {
    fn default() -> Self {
        let longest = u64::try_from(LONGEST.as_nanos()).unwrap_or(u64::MAX);
        Self(Histogram::new_with_max(longest, 3).expect("an hour and three digits are within what it takes"))
    }
}

impl Times {
    fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("every histogram here has the same bounds");
    }

    fn record(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// The time that a share `quantile` of attempts kept; `None` without any.
    #[must_use]
    pub fn quantile(&self, quantile: Ratio) -> Option<Duration> {
        let nanos = self.0.value_at_quantile(quantile.share()).min(self.0.max());
        (!self.0.is_empty()).then(|| Duration::from_nanos(nanos).min(LONGEST))
    }

    /// Adds times that were saved.
    ///
    /// # Errors
    /// When they are no histogram of such times.
    pub fn add(&mut self, packed: &str) -> Result<(), NotPacked> {
        self.0.add(unpack(packed)?).map_err(|_| NotPacked)
    }

    /// The quantiles that reports show.
    #[must_use]
    pub fn quantiles(&self) -> Quantiles {
        each(|share| self.quantile(share))
    }
}

/// The quantiles of an SLI's latency that reports show.
#[must_use]
pub fn quantiles(sli: &Sli) -> Quantiles {
    each(|share| sli.quantile(share))
}

fn each(of: impl Fn(Ratio) -> Option<Duration>) -> Quantiles {
    let at = |share| Ratio::new(share).and_then(&of).map(Nanos::from);
    Quantiles { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: at(1.0) }
}
