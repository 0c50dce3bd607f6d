//! What attempts fold into: good and bad by reason, and how long they took, in bounded memory.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sample::Reason;
use crate::units::Ratio;

mod folded;
mod packed;

pub use self::folded::{Bucket, Folded, Within};
pub use self::packed::{NotPacked, pack, unpack};

/// How many events were good and how many were bad; both together are the valid ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Events as the objective wants them.
    pub good: u64,
    /// Events that spend the error budget.
    pub bad: u64,
}

impl Counts {
    /// `good` events among `valid` ones, or `None` when more are good than are valid.
    #[must_use]
    pub fn of(good: u64, valid: u64) -> Option<Self> {
        Some(Self { good, bad: valid.checked_sub(good)? })
    }

    /// Events that count at all.
    #[must_use]
    pub fn valid(self) -> u64 {
        self.good.saturating_add(self.bad)
    }

    /// The share of good events, or `None` when nothing was counted: no samples is not good news.
    #[must_use]
    pub fn ratio(self) -> Option<Ratio> {
        share(self.good, self.valid())
    }

    /// The share of bad events, or `None` when nothing was counted.
    #[must_use]
    pub fn failure_ratio(self) -> Option<Ratio> {
        share(self.bad, self.valid())
    }

    /// Good for bad: what `faster or equal` counts, seen as `slower`.
    #[must_use]
    pub fn swapped(self) -> Self {
        Self { good: self.bad, bad: self.good }
    }

    /// Both counts together; a full counter stays full.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { good: self.good.saturating_add(other.good), bad: self.bad.saturating_add(other.bad) }
    }
}

/// `part` of `whole`, or `None` when there is no whole.
#[expect(clippy::cast_precision_loss, reason = "above 2^53 events a share still has 15 digits")]
fn share(part: u64, whole: u64) -> Option<Ratio> {
    (whole > 0).then(|| Ratio::new(part as f64 / whole as f64)).flatten()
}

/// Longer latencies are kept as this one.
const SLOWEST: Duration = Duration::from_secs(3600);

/// Digits a displayed quantile is true to.
const DIGITS: u8 = 3;

/// Attempts against one thing, folded: the size does not depend on how many there were.
///
/// Counts decide; quantiles are true to three digits and are for people to read. A latency that decides is
/// [watched](Sli::watching) from the start, and then counted exactly.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sli {
    good: u64,
    bad: BTreeMap<Reason, u64>,
    /// Nanoseconds; about 250 KiB, made with the first latency.
    latency: Option<Histogram<u64>>,
    /// For each limit, the latencies at or under it (good) and over it (bad).
    watched: BTreeMap<Duration, Counts>,
}

impl Sli {
    /// An empty SLI that counts, exactly, how many latencies keep each of `limits`.
    #[must_use]
    pub fn watching(limits: &[Duration]) -> Self {
        let watched = limits.iter().map(|limit| (*limit, Counts::default())).collect();
        Self { watched, ..Self::default() }
    }

    /// Folds one attempt in: good, or bad for a reason.
    ///
    /// `latency` is the time the objective is about. Give `None` where there is none to speak of (a refused
    /// connection) or where it would flatter (a failure that came at once); such an attempt counts as good or
    /// bad but in no latency. A deadline that passed is a latency of at least the deadline.
    pub fn record(&mut self, outcome: Result<(), Reason>, latency: Option<Duration>) {
        match outcome {
            Ok(()) => self.good = self.good.saturating_add(1),
            Err(reason) => add(self.bad.entry(reason).or_default(), 1),
        }
        let Some(latency) = latency else { return };
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.latency.get_or_insert_with(empty_histogram).saturating_record(nanos);
        for (limit, counts) in &mut self.watched {
            add(if latency <= *limit { &mut counts.good } else { &mut counts.bad }, 1);
        }
    }

    /// Folds in what another SLI holds; in which order SLIs are merged does not matter.
    #[expect(clippy::missing_panics_doc, reason = "histograms of the same bounds always add")]
    pub fn merge(&mut self, other: &Self) {
        add(&mut self.good, other.good);
        for (reason, count) in &other.bad {
            add(self.bad.entry(*reason).or_default(), *count);
        }
        if let Some(latency) = &other.latency {
            let mine = self.latency.get_or_insert_with(empty_histogram);
            mine.add(latency).expect("every histogram here has the same bounds");
        }
        for (limit, counts) in &other.watched {
            let mine = self.watched.entry(*limit).or_default();
            *mine = mine.plus(*counts);
        }
    }

    /// Its latencies as they are saved: an HDR histogram, V2 with DEFLATE, in base64.
    #[must_use]
    pub fn packed(&self) -> String {
        self.latency.as_ref().map_or_else(|| pack(&empty_histogram()), pack)
    }

    /// Adds latencies that were [packed](Self::packed); it counts nothing good or bad.
    ///
    /// # Errors
    /// When they are no histogram of such latencies.
    pub fn add_packed(&mut self, packed: &str) -> Result<(), NotPacked> {
        let more = unpack(packed)?;
        self.latency.get_or_insert_with(empty_histogram).add(more).map_err(|_| NotPacked)
    }

    /// Good and bad attempts.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let bad = self.bad.values().fold(0, |sum: u64, count| sum.saturating_add(*count));
        Counts { good: self.good, bad }
    }

    /// The share of good attempts, or `None` when there was no attempt.
    #[must_use]
    pub fn ratio(&self) -> Option<Ratio> {
        self.counts().ratio()
    }

    /// How many attempts failed for each reason.
    #[must_use]
    pub fn reasons(&self) -> &BTreeMap<Reason, u64> {
        &self.bad
    }

    /// How many latencies were recorded.
    #[must_use]
    pub fn timed(&self) -> u64 {
        self.latency.as_ref().map_or(0, Histogram::len)
    }

    /// Latencies at or under `limit` as good, the others as bad: exact, so it may decide.
    ///
    /// `None` unless `limit` was watched by every SLI that brought latencies in here.
    #[must_use]
    pub fn faster_or_equal(&self, limit: Duration) -> Option<Counts> {
        self.watched.get(&limit).copied().filter(|counts| counts.valid() == self.timed())
    }

    /// Latencies over `limit` as good, the others as bad; `None` as for [`Sli::faster_or_equal`].
    #[must_use]
    pub fn slower_than(&self, limit: Duration) -> Option<Counts> {
        self.faster_or_equal(limit).map(Counts::swapped)
    }

    /// How many latencies are longer than `limit`, to three digits of it: to compare with what another SLI has.
    #[must_use]
    pub fn slower_about(&self, limit: Duration) -> u64 {
        let Some(latency) = &self.latency else { return 0 };
        let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        latency.len().saturating_sub(latency.count_between(0, nanos))
    }

    /// The latency that a share `quantile` of attempts kept, to three digits and at most an hour: for display,
    /// never for a decision. `None` without latencies.
    #[must_use]
    pub fn quantile(&self, quantile: Ratio) -> Option<Duration> {
        let latency = self.latency.as_ref()?;
        let nanos = latency.value_at_quantile(quantile.share());
        Some(Duration::from_nanos(nanos.min(latency.max())).min(SLOWEST))
    }

    /// The latency of the `rank`-th fastest attempt, from 1, as true as a [`Sli::quantile`]: between two ranks
    /// lies a quantile's confidence interval. `None` where there is no such attempt.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "ranks above 2^52 shift by less than a bucket holds")]
    pub fn at_rank(&self, rank: u64) -> Option<Duration> {
        if rank == 0 || rank > self.timed() {
            return None;
        }
        // Half a rank down, so that rounding cannot reach the next one.
        self.quantile(Ratio::new((rank as f64 - 0.5) / self.timed() as f64)?)
    }
}

/// Counts `more`, and stays full rather than begin again.
fn add(counter: &mut u64, more: u64) {
    *counter = counter.saturating_add(more);
}

fn empty_histogram() -> Histogram<u64> {
    let slowest = u64::try_from(SLOWEST.as_nanos()).unwrap_or(u64::MAX);
    Histogram::new_with_max(slowest, DIGITS).expect("an hour and three digits are within what it takes")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::sample::Phase;

    const LIMIT: Duration = Duration::from_millis(200);

    fn nanos(nanos: u64) -> Duration {
        Duration::from_nanos(nanos)
    }

    #[test]
    fn no_samples_have_no_ratio() {
        let sli = Sli::watching(&[LIMIT]);
        assert_eq!(sli.ratio(), None);
        assert_eq!(sli.quantile(Ratio::ONE), None);
        assert_eq!(sli.faster_or_equal(LIMIT), Some(Counts::default()));
    }

    #[test]
    fn bad_attempts_are_counted_by_reason() {
        let mut sli = Sli::default();
        sli.record(Ok(()), None);
        sli.record(Err(Reason::Status), None);
        sli.record(Err(Reason::Timeout(Phase::Wait)), None);
        sli.record(Err(Reason::Status), None);
        assert_eq!(sli.counts(), Counts { good: 1, bad: 3 });
        assert_eq!(sli.ratio(), Ratio::new(0.25));
        let reasons = BTreeMap::from([(Reason::Timeout(Phase::Wait), 1), (Reason::Status, 2)]);
        assert_eq!(sli.reasons(), &reasons);
        assert_eq!(sli.timed(), 0);
    }

    #[rstest]
    #[case::one_under(199_999_999, true)]
    #[case::at_the_limit(200_000_000, true)]
    #[case::one_over(200_000_001, false)]
    fn a_watched_limit_is_exact_to_the_nanosecond(#[case] latency: u64, #[case] kept: bool) {
        let mut sli = Sli::watching(&[LIMIT]);
        sli.record(Ok(()), Some(nanos(latency)));
        let expected = Counts { good: u64::from(kept), bad: u64::from(!kept) };
        assert_eq!(sli.faster_or_equal(LIMIT), Some(expected));
        assert_eq!(sli.slower_than(LIMIT), Some(expected.swapped()));
    }

    #[test]
    fn a_limit_that_was_not_watched_all_along_is_not_guessed() {
        let mut watched = Sli::watching(&[LIMIT]);
        watched.record(Ok(()), Some(LIMIT));
        let mut unwatched = Sli::default();
        assert_eq!(unwatched.faster_or_equal(LIMIT), None);
        unwatched.merge(&watched);
        assert_eq!(unwatched.faster_or_equal(LIMIT), Some(Counts { good: 1, bad: 0 }));

        let mut stranger = Sli::default();
        stranger.record(Ok(()), Some(LIMIT));
        watched.merge(&stranger);
        assert_eq!(watched.faster_or_equal(LIMIT), None);
    }

    #[test]
    fn more_good_than_valid_is_refused() {
        assert_eq!(Counts::of(3, 2), None);
        assert_eq!(Counts::of(2, 3), Some(Counts { good: 2, bad: 1 }));
    }

    #[test]
    fn quantiles_are_true_to_three_digits() {
        let mut sli = Sli::default();
        for milli in 1..=1000 {
            sli.record(Ok(()), Some(Duration::from_millis(milli)));
        }
        let p99 = sli.quantile(Ratio::new(0.99).unwrap()).unwrap().as_secs_f64();
        assert!((p99 / 0.990 - 1.0).abs() < 0.001, "{p99}");
        let tenth = sli.at_rank(10).unwrap().as_secs_f64();
        assert!((tenth / 0.010 - 1.0).abs() < 0.001, "{tenth}");
        assert_eq!(sli.at_rank(0), None);
        assert_eq!(sli.at_rank(1001), None);
    }

    #[test]
    fn an_endless_latency_is_kept_as_an_hour() {
        let mut sli = Sli::watching(&[LIMIT]);
        sli.record(Err(Reason::Latency), Some(Duration::MAX));
        assert_eq!(sli.quantile(Ratio::ONE), Some(SLOWEST));
        assert_eq!(sli.slower_than(LIMIT), Some(Counts { good: 1, bad: 0 }));
    }

    fn attempt() -> impl Strategy<Value = (Result<(), Reason>, Option<Duration>)> {
        let outcome =
            prop_oneof![Just(Ok(())), Just(Err(Reason::Status)), Just(Err(Reason::Timeout(Phase::Tls)))];
        (outcome, proptest::option::of((0u64..400_000_000).prop_map(nanos)))
    }

    fn sli(limits: &[Duration]) -> impl Strategy<Value = Sli> + use<> {
        let empty = Sli::watching(limits);
        proptest::collection::vec(attempt(), 0..8).prop_map(move |attempts| {
            let mut sli = empty.clone();
            for (outcome, latency) in attempts {
                sli.record(outcome, latency);
            }
            sli
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn merge_order_does_not_matter(a in sli(&[LIMIT]), b in sli(&[]), c in sli(&[LIMIT, nanos(5)])) {
            let merged = |parts: [&Sli; 3]| {
                let mut sum = Sli::default();
                for part in parts {
                    sum.merge(part);
                }
                sum
            };
            let mut right = b.clone();
            right.merge(&c);
            prop_assert_eq!(merged([&a, &b, &c]), merged([&c, &b, &a]));
            prop_assert_eq!(merged([&a, &b, &c]), merged([&a, &right, &Sli::default()]));
        }

        #[test]
        fn merging_is_recording_everything_in_one(
            attempts in proptest::collection::vec(attempt(), 0..20), cut in 0usize..20,
        ) {
            let mut whole = Sli::watching(&[LIMIT]);
            let mut parts = [Sli::watching(&[LIMIT]), Sli::watching(&[LIMIT])];
            for (index, (outcome, latency)) in attempts.into_iter().enumerate() {
                whole.record(outcome, latency);
                parts[usize::from(index < cut)].record(outcome, latency);
            }
            let [mut first, second] = parts;
            first.merge(&second);
            prop_assert_eq!(first, whole);
        }
    }
}
