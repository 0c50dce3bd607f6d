//! An SLI as it is saved and sent: counts, and latencies as the buckets that hold any.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Counts, Sli, add, empty_histogram};

/// What attempts folded into, in a form that can be written down and added up again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Folded {
    /// Good and bad attempts.
    pub counts: Counts,
    /// Latencies, in ascending order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub latency: Vec<Bucket>,
    /// For each limit that an objective compares with, the latencies that kept it, exactly.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub within: Vec<Within>,
}

/// Latencies that three digits do not tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// The longest that falls here, in nanoseconds.
    pub nanos: u64,
    /// How many there were.
    pub count: u64,
}

/// Latencies against one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Within {
    /// The limit, in nanoseconds.
    pub nanos: u64,
    /// At or under it as good, over it as bad.
    pub counts: Counts,
}

impl Sli {
    /// What it holds, in a form that can be written down. Reasons are left out.
    #[must_use]
    pub fn folded(&self) -> Folded {
        let latency = self.latency.iter().flat_map(|latency| {
            latency.iter_recorded().map(|bucket| Bucket {
                nanos: bucket.value_iterated_to(),
                count: bucket.count_since_last_iteration(),
            })
        });
        let within = self.watched.iter().map(|(limit, counts)| Within {
            nanos: u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX),
            counts: *counts,
        });
        Folded { counts: self.counts(), latency: latency.collect(), within: within.collect() }
    }

    /// What came in since `earlier`, which is what this was some time ago.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut later = self.clone();
        later.good = self.good.saturating_sub(earlier.good);
        for (reason, count) in &mut later.bad {
            *count = count.saturating_sub(earlier.bad.get(reason).copied().unwrap_or_default());
        }
        if let (Some(latency), Some(before)) = (&mut later.latency, &earlier.latency)
            && latency.subtract(before).is_err()
        {
            // Of what was never a part of it nothing can be taken away; then all of it counts as new.
            later.latency.clone_from(&self.latency);
        }
        for (limit, counts) in &mut later.watched {
            let before = earlier.watched.get(limit).copied().unwrap_or_default();
            counts.good = counts.good.saturating_sub(before.good);
            counts.bad = counts.bad.saturating_sub(before.bad);
        }
        later
    }
}

impl Folded {
    /// Adds another one up with this.
    pub fn merge(&mut self, other: &Self) {
        self.counts = self.counts.plus(other.counts);
        for bucket in &other.latency {
            match self.latency.binary_search_by_key(&bucket.nanos, |mine| mine.nanos) {
                Ok(at) => add(&mut self.latency[at].count, bucket.count),
                Err(at) => self.latency.insert(at, *bucket),
            }
        }
        for within in &other.within {
            match self.within.iter_mut().find(|mine| mine.nanos == within.nanos) {
                Some(mine) => mine.counts = mine.counts.plus(within.counts),
                None => self.within.push(*within),
            }
        }
    }

    /// The latencies as an SLI: for quantiles, and to compare; it counts nothing good or bad.
    #[must_use]
    pub fn latencies(&self) -> Sli {
        let mut sli = Sli::default();
        for bucket in &self.latency {
            let latency = sli.latency.get_or_insert_with(empty_histogram);
            // A histogram of fixed size saturates and does not fail.
            latency.saturating_record_n(bucket.nanos, bucket.count);
        }
        sli
    }

    /// How many latencies were recorded.
    #[must_use]
    pub fn timed(&self) -> u64 {
        self.latency.iter().fold(0, |sum, bucket| sum.saturating_add(bucket.count))
    }

    /// Latencies at or under `limit` as good, the others as bad, and how many of the bad ones are so only
    /// because three digits do not tell: none where the limit was watched all along.
    #[must_use]
    pub fn within(&self, limit: Duration) -> (Counts, u64) {
        let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        let timed = self.timed();
        if let Some(within) = self.within.iter().find(|within| within.nanos == nanos)
            && within.counts.valid() == timed
        {
            return (within.counts, 0);
        }
        let good = self.latency.iter().filter(|bucket| bucket.nanos <= nanos);
        let good = good.fold(0, |sum: u64, bucket| sum.saturating_add(bucket.count));
        let next = self.latency.iter().find(|bucket| bucket.nanos > nanos);
        let histogram = empty_histogram();
        let unclear = next.filter(|bucket| histogram.lowest_equivalent(bucket.nanos) <= nanos);
        let bad = timed.saturating_sub(good);
        (Counts { good, bad }, unclear.map_or(0, |bucket| bucket.count))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample::Reason;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn sli(latencies: &[u64]) -> Sli {
        let mut sli = Sli::watching(&[millis(250)]);
        for latency in latencies {
            let outcome = if *latency > 900 { Err(Reason::Status) } else { Ok(()) };
            sli.record(outcome, Some(millis(*latency)));
        }
        sli
    }

    #[test]
    fn a_watched_limit_is_exact_and_another_errs_on_the_bad_side() {
        let mut one = Sli::watching(&[millis(250)]);
        one.record(Ok(()), Some(millis(250)));
        one.record(Ok(()), Some(millis(250) + Duration::from_nanos(1)));
        let folded = one.folded();
        assert_eq!(folded.within(millis(250)), (Counts { good: 1, bad: 1 }, 0));
        // Three digits do not tell these two apart, so that nobody knows of 250 ms and a bit.
        let (counts, unclear) = folded.within(millis(250) + Duration::from_nanos(2));
        assert_eq!((counts, unclear), (Counts { good: 0, bad: 2 }, 2));
        assert_eq!(folded.within(millis(300)), (Counts { good: 2, bad: 0 }, 0));
        assert_eq!(folded.within(millis(200)), (Counts { good: 0, bad: 2 }, 0));
    }

    #[test]
    fn it_is_written_as_numbers() {
        let json = serde_json::to_string(&sli(&[1, 1, 1000]).folded()).unwrap();
        let wanted = "{\"counts\":{\"good\":2,\"bad\":1},\"latency\":[{\"nanos\":1000447,\"count\":2},\
                      {\"nanos\":1000341503,\"count\":1}],\"within\":[{\"nanos\":250000000,\
                      \"counts\":{\"good\":2,\"bad\":1}}]}";
        assert_eq!(json, wanted);
        assert_eq!(serde_json::from_str::<Folded>(&json).unwrap(), sli(&[1, 1, 1000]).folded());
    }

    proptest! {
        #[test]
        fn adding_up_what_was_written_is_folding_all(
            one in proptest::collection::vec(1u64..2000, 0..40), two in proptest::collection::vec(1u64..2000, 0..40),
        ) {
            let (mut all, mut added) = (sli(&one), sli(&one).folded());
            all.merge(&sli(&two));
            added.merge(&sli(&two).folded());
            prop_assert_eq!(&added, &all.folded());
            prop_assert_eq!(added.latencies().quantile("90%".parse().unwrap()), all.quantile("90%".parse().unwrap()));
            prop_assert_eq!(added.timed(), all.timed());
        }

        #[test]
        fn what_came_since_and_what_was_before_are_all(
            one in proptest::collection::vec(1u64..2000, 0..40), two in proptest::collection::vec(1u64..2000, 0..40),
        ) {
            let (before, mut all) = (sli(&one), sli(&one));
            all.merge(&sli(&two));
            let mut again = before.folded();
            again.merge(&all.since(&before).folded());
            prop_assert_eq!(again, all.folded());
        }
    }
}
