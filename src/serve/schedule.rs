//! When a scenario is due. Pure: times come in as what has passed since its watch began.

use std::time::Duration;

/// How often a scenario runs that does not say.
pub const EVERY: Duration = Duration::from_secs(60);

/// Every scenario has run once within this time of its start, however seldom it runs.
const FIRST: Duration = Duration::from_secs(15);

/// The most that a due time is moved by chance.
const MOST_JITTER: Duration = Duration::from_millis(500);

/// When one scenario is due, again and again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    every: Duration,
    /// Its own place in the period, so that those of one period do not all run at once.
    place: f64,
}

/// A moment at which a scenario is to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Since the watch began.
    pub at: Duration,
    /// How many were passed over since the one before: it was still running.
    pub missed: u64,
}

impl Schedule {
    /// The schedule of the scenario of that name.
    #[must_use]
    pub fn new(name: &str, every: Duration) -> Self {
        Self { every: every.max(Duration::from_millis(1)), place: place(name) }
    }

    /// The first two times it is due, where it is `clock` since 1970 now. The second is in step with all others:
    /// a restart moves nothing. The first is soon, where that would be long.
    #[must_use]
    pub fn first(&self, clock: Duration) -> (Duration, Duration) {
        let every = self.every.as_secs_f64();
        let since = (clock.as_secs_f64() / every + 1.0 - self.place).fract();
        let regular = self.every.mul_f64((1.0 - since).clamp(0.0, 1.0));
        let soon = FIRST.min(self.every).mul_f64(self.place);
        if regular <= FIRST { (regular, regular + self.every) } else { (soon, regular.max(soon)) }
    }

    /// The first time due from `next` on that is not past `now`, each a `period` after the one before.
    #[must_use]
    pub fn from(next: Duration, period: Duration, now: Duration) -> Due {
        let period = period.max(Duration::from_millis(1));
        let late = now.saturating_sub(next).as_nanos().div_ceil(period.as_nanos());
        let missed = u32::try_from(late).unwrap_or(u32::MAX);
        Due { at: next + period.saturating_mul(missed), missed: u64::from(missed) }
    }

    /// How much later than due it starts, where `chance` is a number from 0 to 1: nothing else that happens as
    /// regularly shall always meet it.
    #[must_use]
    pub fn jitter(&self, chance: f64) -> Duration {
        (self.every / 50).min(MOST_JITTER).mul_f64(chance.clamp(0.0, 1.0))
    }

    /// How often it runs.
    #[must_use]
    pub fn every(&self) -> Duration {
        self.every
    }
}

/// Names spread over 0 to 1, alike in every process.
#[expect(clippy::cast_precision_loss, reason = "a share needs no more digits")]
fn place(name: &str) -> f64 {
    // FNV-1a, and the finisher of MurmurHash3: names that differ in their last digit only shall be far apart.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    ((hash ^ (hash >> 33)) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[rstest]
    #[case::in_time(0.2, 1.0, 0)]
    #[case::to_the_moment(1.0, 1.0, 0)]
    #[case::over_by_a_little(1.01, 2.0, 1)]
    #[case::hung_for_long(7.5, 8.0, 7)]
    fn what_is_due_while_it_still_runs_is_missed(#[case] now: f64, #[case] at: f64, #[case] missed: u64) {
        let due = Schedule::from(seconds(1.0), seconds(1.0), seconds(now));
        assert_eq!(due, Due { at: seconds(at), missed });
    }

    #[test]
    fn a_thousand_scenarios_are_spread_over_their_period() {
        let firsts = (0..1000).map(|n| {
            let schedule = Schedule::new(&format!("scenario-{n}"), seconds(10.0));
            schedule.first(seconds(1_700_000_000.0)).0
        });
        let mut tenths = [0u32; 10];
        for first in firsts {
            tenths[usize::try_from(first.as_secs()).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|count| (70..130).contains(count)), "{tenths:?}");
    }

    proptest! {
        #[test]
        fn a_restart_keeps_the_place(name in "[a-z]{1,8}", every in 1u64..7200, at in 0u32..2_000_000_000, later in 0u32..100_000) {
            let schedule = Schedule::new(&name, Duration::from_secs(every));
            let phase = |clock: u32| {
                let clock = Duration::from_secs(u64::from(clock));
                let (_, second) = schedule.first(clock);
                ((clock + second).as_secs_f64() / schedule.every().as_secs_f64()).fract()
            };
            let apart = (phase(at) - phase(at.saturating_add(later))).abs();
            prop_assert!(apart.min(1.0 - apart) < 1e-3, "{apart}");
        }

        #[test]
        fn the_first_run_is_soon(name in "[a-z]{1,8}", every in 1u64..100_000, at in 0u32..2_000_000_000) {
            let schedule = Schedule::new(&name, Duration::from_secs(every));
            let (first, second) = schedule.first(Duration::from_secs(u64::from(at)));
            prop_assert!(first <= FIRST && first <= second && second <= first + schedule.every() * 2);
        }

        #[test]
        fn the_next_is_never_in_the_past(next in 0u64..10_000, every in 1u64..5_000, now in 0u64..100_000) {
            let [next, every, now] = [next, every, now].map(Duration::from_millis);
            let due = Schedule::from(next, every, now);
            prop_assert!(due.at >= now && due.at >= next && due.at < now.max(next) + every);
            prop_assert_eq!(u128::from(due.missed), due.at.saturating_sub(next).as_nanos() / every.as_nanos());
        }
    }
}
