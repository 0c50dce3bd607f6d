//! Native histograms: exponential buckets, as fine as it takes for what was measured, and no more of them.

use std::collections::BTreeMap;

use super::protobuf::Message;

/// Buckets that grow by 2^(1/32): a quantile is within 1.1 % of the truth.
const FINEST: i8 = 5;

/// Each bucket sixteen times as large as the one before: nothing coarser is of any use.
const COARSEST: i8 = -2;

/// With more buckets than this, coarser ones are made; the same bound as OpenTelemetry's.
const MOST_BUCKETS: usize = 160;

/// A gap of so many empty buckets is written out, as a new span takes more.
const BRIDGED: i32 = 2;

/// What counts as nothing: the same as Prometheus's own clients have.
const ZERO: f64 = 2.938_735_877_055_719e-39;

/// A native histogram of values that are not negative.
#[derive(Debug, Clone, PartialEq)]
pub struct Native {
    schema: i8,
    nothing: u64,
    count: u64,
    sum: f64,
    spans: Vec<Span>,
    deltas: Vec<i64>,
}

/// Buckets without a gap among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    /// From the end of the span before, or of the first the index of its first bucket.
    offset: i32,
    length: u32,
}

/// Which numbers the fields of a message have; the two protocols agree on what they hold.
struct Numbers {
    count: u32,
    sum: u32,
    schema: u32,
    threshold: u32,
    nothing: u32,
    spans: u32,
    deltas: u32,
}

/// `io.prometheus.client.Histogram`.
const EXPOSED: Numbers =
    Numbers { count: 1, sum: 2, schema: 5, threshold: 6, nothing: 7, spans: 12, deltas: 13 };

/// `prometheus.Histogram` of remote write.
const WRITTEN: Numbers =
    Numbers { count: 1, sum: 3, schema: 4, threshold: 5, nothing: 6, spans: 11, deltas: 12 };

impl Native {
    /// Of measured values, each with how often it was measured.
    ///
    /// Where more and more is measured the buckets may become coarser, and never finer.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "above 2^53 a sum still has 15 digits")]
    pub fn of(measured: impl IntoIterator<Item = (f64, u64)>) -> Self {
        let (mut nothing, mut count, mut sum) = (0u64, 0u64, 0.0);
        let mut buckets = BTreeMap::new();
        for (value, times) in measured {
            count = count.saturating_add(times);
            sum += value * times as f64;
            let bucket = if value > ZERO { buckets.entry(index(value)).or_default() } else { &mut nothing };
            *bucket = u64::saturating_add(*bucket, times);
        }
        let mut schema = FINEST;
        while buckets.len() > MOST_BUCKETS && schema > COARSEST {
            schema -= 1;
            buckets = halved(&buckets);
        }
        let (spans, deltas) = spans(&buckets);
        Self { schema, nothing, count, sum, spans, deltas }
    }

    /// How many values were measured.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Adds the fields that a scraped page has for it.
    pub(super) fn expose(&self, histogram: &mut Message) {
        self.put(histogram, &EXPOSED);
    }

    /// The message that remote write has for it.
    #[must_use]
    pub fn written(&self, milliseconds: i64) -> Message {
        let mut message = Message::default();
        self.put(&mut message, &WRITTEN);
        message.varint(15, milliseconds.cast_unsigned());
        message
    }

    fn put(&self, message: &mut Message, numbers: &Numbers) {
        message.varint(numbers.count, self.count);
        message.double(numbers.sum, self.sum);
        message.signed(numbers.schema, self.schema.into());
        message.double(numbers.threshold, ZERO);
        message.varint(numbers.nothing, self.nothing);
        for span in &self.spans {
            let mut spanned = Message::default();
            spanned.signed(1, span.offset.into());
            spanned.varint(2, span.length.into());
            message.message(numbers.spans, &spanned);
        }
        message.packed(numbers.deltas, &self.deltas);
    }
}

/// Which of the finest buckets holds a value: from above the end of the one before up to its own end.
#[expect(clippy::cast_possible_truncation, reason = "a double's exponents are within some thousands")]
fn index(value: f64) -> i32 {
    let about = (value.min(f64::MAX).log2() * f64::from(1u32 << FINEST)).ceil() as i32;
    // What lies right at an end, a logarithm may put next to where it belongs.
    if value <= end(about - 1) {
        about - 1
    } else if value > end(about) {
        about + 1
    } else {
        about
    }
}

/// Where one of the finest buckets ends.
fn end(index: i32) -> f64 {
    (f64::from(index) / f64::from(1u32 << FINEST)).exp2()
}

/// The same in buckets of which each is two of these.
fn halved(buckets: &BTreeMap<i32, u64>) -> BTreeMap<i32, u64> {
    let mut halved = BTreeMap::new();
    for (index, count) in buckets {
        let bucket: &mut u64 = halved.entry((index + 1) >> 1).or_default();
        *bucket = bucket.saturating_add(*count);
    }
    halved
}

/// Buckets as they are sent: where there are any, and how each differs from the one before.
fn spans(buckets: &BTreeMap<i32, u64>) -> (Vec<Span>, Vec<i64>) {
    let (mut spans, mut deltas): (Vec<Span>, Vec<i64>) = (Vec::new(), Vec::new());
    let (mut next, mut before) = (0, 0i64);
    let mut put = |count: i64| {
        deltas.push(count - before);
        before = count;
    };
    for (index, count) in buckets {
        let gap = index - next;
        match spans.last_mut() {
            Some(span) if gap <= BRIDGED => {
                (0..gap).for_each(|_| put(0));
                span.length += gap.unsigned_abs() + 1;
            }
            _ => spans.push(Span { offset: gap, length: 1 }),
        }
        put(i64::try_from(*count).unwrap_or(i64::MAX));
        next = index + 1;
    }
    (spans, deltas)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// Every bucket that holds something: where it ends, and how much is in it.
    fn read(native: &Native) -> Vec<(f64, i64)> {
        let (mut at, mut count) = (0, 0);
        let mut deltas = native.deltas.iter();
        let mut buckets = Vec::new();
        for span in &native.spans {
            at += span.offset;
            for _ in 0..span.length {
                count += deltas.next().expect("a delta for each bucket");
                buckets.push((f64::from(at) * 2f64.powi(-i32::from(native.schema)), count));
                at += 1;
            }
        }
        assert_eq!(deltas.next(), None);
        buckets.into_iter().filter(|(_, count)| *count > 0).map(|(end, count)| (end.exp2(), count)).collect()
    }

    #[rstest]
    #[case::a_whole_power_belongs_to_the_bucket_it_ends(1.0, 1.0)]
    #[case::a_smaller_one(0.125, 0.125)]
    #[case::right_above_begins_the_next(1.000_000_1, 1.021_897_148_654_116_6)]
    fn a_value_lies_at_or_below_the_end_of_its_bucket(#[case] value: f64, #[case] end: f64) {
        let buckets = read(&Native::of([(value, 7)]));
        assert_eq!(buckets.len(), 1);
        assert!((buckets[0].0 / end - 1.0).abs() < 1e-12, "{buckets:?}");
        assert_eq!(buckets[0].1, 7);
    }

    #[test]
    fn nothing_is_in_no_bucket() {
        let native = Native::of([(0.0, 3), (1.0, 2)]);
        assert_eq!((native.nothing, native.count, read(&native)), (3, 5, vec![(1.0, 2)]));
    }

    #[test]
    fn a_short_gap_is_written_out_and_a_long_one_is_not() {
        let near = Native::of([(1.0, 1), (2f64.powf(3.0 / 32.0) * 0.999, 1)]);
        assert_eq!((near.spans.len(), near.deltas.as_slice()), (1, &[1, -1, 0, 1][..]));
        let far = Native::of([(1.0, 1), (2.0, 4)]);
        assert_eq!(far.spans, [Span { offset: 0, length: 1 }, Span { offset: 31, length: 1 }]);
        assert_eq!(far.deltas, [1, 3]);
    }

    #[test]
    fn what_is_spread_wide_has_coarser_buckets() {
        let native = Native::of((0..10_000).map(|n| (1e-6 * 1.002f64.powi(n), 1)));
        assert!(native.schema < FINEST && native.deltas.len() <= MOST_BUCKETS, "{native:?}");
        assert_eq!(read(&native).iter().map(|(_, count)| count).sum::<i64>(), 10_000);
    }

    proptest! {
        /// However coarse: what is at or below a bucket's end is in it or in one before.
        #[test]
        fn buckets_count_what_is_below_their_ends(
            values in proptest::collection::vec((1e-9f64..4e3, 1u64..9), 1..400),
        ) {
            let native = Native::of(values.iter().copied());
            let mut sum = 0;
            for (end, count) in read(&native) {
                sum += count;
                let within = values.iter().filter(|(value, _)| *value <= end * (1.0 + 1e-12));
                prop_assert_eq!(sum, within.map(|(_, times)| times.cast_signed()).sum::<i64>());
            }
            prop_assert_eq!(sum, native.count.cast_signed());
        }
    }
}
