//! Times as a metrics page shows them: the buckets of a classic histogram, a sum and a count.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::exposition::{Family, Kind, Labels, Native, Sample};

/// The upper bounds of buckets, in seconds: from what a cache answers to what nobody waits for.
const BOUNDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Times that were observed, in bounded size.
#[derive(Debug, Clone, Default)]
pub(super) struct Histogram {
    /// Not cumulative; the last is for what is longer than all bounds.
    buckets: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

impl Histogram {
    pub(super) fn record(&mut self, time: Duration) {
        self.record_all(time, 1);
    }

    /// Many times alike at once.
    pub(super) fn record_all(&mut self, time: Duration, many: u64) {
        let at = place(time);
        self.buckets[at] = self.buckets[at].saturating_add(many);
        self.sum = self.sum.saturating_add(time.saturating_mul(u32::try_from(many).unwrap_or(u32::MAX)));
    }

    /// The mean of all; `None` without any.
    pub(super) fn mean(&self) -> Option<Duration> {
        let count = self.buckets.iter().fold(0u64, |sum, count| sum.saturating_add(*count));
        (count > 0).then(|| Duration::from_secs_f64(self.sum.as_secs_f64() / number(count)))
    }

    /// Its series, added to a family of histograms.
    pub(super) fn show(&self, family: &mut Family, labels: &Labels) {
        let mut cumulative = 0u64;
        let bounds = BOUNDS.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(self.buckets) {
            cumulative = cumulative.saturating_add(count);
            let mut labels = labels.clone();
            labels.insert("le".to_owned(), bound);
            family.samples.push(sample(&format!("{}_bucket", family.name), labels, number(cumulative)));
        }
        let (sum, count) = (format!("{}_sum", family.name), format!("{}_count", family.name));
        family.samples.push(sample(&sum, labels.clone(), self.sum.as_secs_f64()));
        family.samples.push(sample(&count, labels.clone(), number(cumulative)));
    }
}

/// Times in buckets so fine that they make a native histogram. Each grows by 2^(1/32), which Prometheus's finest but three
/// do, too.
#[derive(Debug, Clone, Default)]
pub(super) struct Fine {
    /// By the number of the bucket; one second ends the bucket 0.
    buckets: BTreeMap<i16, u64>,
    nothing: u64,
    sum: f64,
}

/// Buckets from one end of a power of two to the next.
const STEPS: f64 = 32.0;

impl Fine {
    /// Many times alike at once.
    pub(super) fn record_all(&mut self, time: Duration, many: u64) {
        let seconds = time.as_secs_f64();
        self.sum += seconds * number(many);
        let bucket = if time.is_zero() {
            &mut self.nothing
        } else {
            #[expect(clippy::cast_possible_truncation, reason = "a time's logarithm is between -30 and 64")]
            let at = (seconds.log2() * STEPS).ceil() as i16;
            self.buckets.entry(at).or_default()
        };
        *bucket = bucket.saturating_add(many);
    }

    /// The native histogram of all.
    pub(super) fn native(&self) -> Native {
        // In the middle of its bucket each is told from the ends of both.
        let middle = |at: i16| ((f64::from(at) - 0.5) / STEPS).exp2();
        let measured = self.buckets.iter().map(|(at, count)| (middle(*at), *count));
        Native::of(measured.chain([(0.0, self.nothing)])).summing(self.sum)
    }
}

/// The bucket that a time falls in.
fn place(time: Duration) -> usize {
    let seconds = time.as_secs_f64();
    BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len())
}

/// An empty family with its help.
pub(super) fn family(name: &str, kind: Kind, help: &str) -> Family {
    Family { help: help.to_owned(), ..Family::new(name, kind) }
}

pub(super) fn sample(name: &str, labels: Labels, value: f64) -> Sample {
    Sample { name: name.to_owned(), labels, value, at: None }
}

/// A count as a metric's value.
#[expect(clippy::cast_precision_loss, reason = "every value of a metric is a float")]
pub(super) fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::{Dialect, print};

    #[test]
    fn fine_times_are_as_native_as_the_times_themselves() {
        let mut fine = Fine::default();
        let times = [(0, 2), (1_300_000, 5), (1_310_000, 1), (70_000_000, 3), (1_000_000_000, 1)];
        for (nanos, many) in times {
            fine.record_all(Duration::from_nanos(nanos), many);
        }
        let exactly = times.map(|(nanos, many)| (Duration::from_nanos(nanos).as_secs_f64(), many));
        let sum = exactly.iter().map(|(seconds, many)| seconds * number(*many)).sum();
        assert_eq!(fine.native(), Native::of(exactly).summing(sum));
    }

    #[test]
    fn buckets_are_cumulative_and_hold_their_bound() {
        let mut times = Histogram::default();
        for millis in [1, 5, 40, 60_000] {
            times.record(Duration::from_millis(millis));
        }
        let mut shown = family("took_seconds", Kind::Histogram, "");
        times.show(&mut shown, &Labels::new());
        insta::assert_snapshot!(print(&[shown], Dialect::Text), @r#"
        # TYPE took_seconds histogram
        took_seconds_bucket{le="0.001"} 1
        took_seconds_bucket{le="0.0025"} 1
        took_seconds_bucket{le="0.005"} 2
        took_seconds_bucket{le="0.01"} 2
        took_seconds_bucket{le="0.025"} 2
        took_seconds_bucket{le="0.05"} 3
        took_seconds_bucket{le="0.1"} 3
        took_seconds_bucket{le="0.25"} 3
        took_seconds_bucket{le="0.5"} 3
        took_seconds_bucket{le="1"} 3
        took_seconds_bucket{le="2.5"} 3
        took_seconds_bucket{le="5"} 3
        took_seconds_bucket{le="10"} 3
        took_seconds_bucket{le="30"} 3
        took_seconds_bucket{le="+Inf"} 4
        took_seconds_sum 60.046
        took_seconds_count 4
        "#);
    }
}
