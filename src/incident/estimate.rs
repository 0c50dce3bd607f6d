//! How much a record will be, before any of it is fetched.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::Error;
use crate::prometheus::Client;
use crate::prometheus::answer::Data;

/// At so many moments of the time series are counted, and at its beginning.
const MOMENTS: u32 = 12;

/// Selectors that are named where there is too much.
const MOST_NAMED: usize = 3;

/// Samples that one answer should hold at most: about 10 MB as Prometheus writes them.
const MOST_OF_AN_ANSWER: u64 = 250_000;

/// Into more parts no selector's time is cut.
const MOST_SLICES: u64 = 500;

/// What a record will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Estimate {
    /// About so many samples.
    pub(super) samples: u64,
    /// By selector, the largest first.
    counts: Vec<(u64, String)>,
}

/// Counts the series of each selector at moments of a time, whose targets are scraped `every` so often.
pub(super) async fn estimate(
    client: &Client,
    selectors: &BTreeSet<String>,
    (begin, to): (Timestamp, Timestamp),
    every: Duration,
) -> Result<Estimate, Error> {
    let length = Duration::try_from(to.duration_since(begin)).unwrap_or_default();
    let each = u64::try_from(length.as_millis() / every.as_millis().max(1)).unwrap_or(u64::MAX);
    let step = (length / MOMENTS).max(Duration::from_secs(1));
    let mut counts = Vec::new();
    for selector in selectors {
        let answer = client.range(&format!("count({selector})"), begin, to, step).await?;
        let Data::Matrix(matrix) = answer.data else { continue };
        let counted: Vec<f64> = matrix.iter().flat_map(|one| &one.points).map(|point| point.value).collect();
        // What was there for some of the time counts for that; nobody knows more of the time between.
        let usual = counted.iter().sum::<f64>() / f64::from(MOMENTS);
        let most = counted.iter().copied().fold(0.0, f64::max);
        counts.push((whole(usual.min(most)).saturating_mul(each), selector.clone()));
    }
    counts.sort_by(|one, other| other.cmp(one));
    let samples = counts.iter().fold(0, |sum: u64, (count, _)| sum.saturating_add(*count));
    Ok(Estimate { samples, counts })
}

impl Estimate {
    /// Refuses what would be more than is allowed.
    pub(super) fn within(&self, most: u64) -> Result<(), Error> {
        if self.samples <= most {
            return Ok(());
        }
        let largest = self.counts.iter().take(MOST_NAMED).map(|(count, one)| format!("{count} of `{one}`"));
        let largest = largest.collect::<Vec<_>>().join(", ");
        Err(Error::TooMuch { samples: self.samples, most, largest })
    }

    /// Into how many parts the time is cut, so that the largest selector's answers are no larger than they should be.
    pub(super) fn slices(&self) -> u64 {
        let largest = self.counts.first().map_or(0, |(count, _)| *count);
        largest.div_ceil(MOST_OF_AN_ANSWER).clamp(1, MOST_SLICES)
    }
}

/// A count as a whole number; what is none is nothing.
fn whole(count: f64) -> u64 {
    let rounded = Duration::try_from_secs_f64(count.ceil().max(0.0));
    rounded.map_or(u64::MAX, |seconds| seconds.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_much_is_named_and_the_rest_is_cut() {
        let counts = vec![(900_000, "x".to_owned()), (100_000, "y".to_owned())];
        let estimate = Estimate { samples: 1_000_000, counts };
        assert!(estimate.within(1_000_000).is_ok());
        let said = estimate.within(999_999).unwrap_err().to_string();
        assert!(said.contains("1000000 samples") && said.contains("900000 of `x`, 100000 of `y`"), "{said}");
        assert_eq!(estimate.slices(), 4);
        assert_eq!([whole(0.2), whole(f64::NAN), whole(f64::INFINITY)], [1, 0, u64::MAX]);
    }
}
