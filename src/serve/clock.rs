//! Whether the clock goes as time does: it is set, or the machine sleeps, and then minutes are missing or come twice.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// What a clock may be off without anybody having set it.
const SLACK: SignedDuration = SignedDuration::from_secs(2);

/// A clock that is compared with the time that passes.
#[derive(Debug, Default)]
pub(super) struct Clock {
    last: Option<(Timestamp, Duration)>,
}

/// What is known of jumps.
#[derive(Debug, Default)]
pub(super) struct Jumps(Mutex<Jumped>);

/// How often the clock jumped, and how last.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Jumped {
    pub(super) times: u64,
    /// When it was seen, by the clock since then, and how far; below zero it was set back.
    pub(super) last: Option<(Timestamp, SignedDuration)>,
}

impl Clock {
    /// The clock shows `now` when `passed` has passed; how far it has jumped since it was last looked at, if it has.
    pub(super) fn look(&mut self, now: Timestamp, passed: Duration) -> Option<SignedDuration> {
        let (before, then) = self.last.replace((now, passed))?;
        let real = SignedDuration::try_from(passed.saturating_sub(then)).ok()?;
        let jump = now.duration_since(before).checked_sub(real)?;
        (jump.abs() > SLACK).then_some(jump)
    }
}

impl Jumps {
    pub(super) fn note(&self, now: Timestamp, far: SignedDuration) {
        let mut jumped = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        super::state::count(&mut jumped.times, 1);
        jumped.last = Some((now, far));
    }

    pub(super) fn jumped(&self) -> Jumped {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_or_slept_through_has_jumped() {
        let mut clock = Clock::default();
        let mut look = |clock_says: i64, passed: u64| {
            let now = Timestamp::from_second(clock_says).unwrap();
            clock.look(now, Duration::from_secs(passed)).map(|far| far.as_secs())
        };
        let seen =
            [look(1_000, 0), look(1_001, 1), look(1_003, 2), look(4_604, 3), look(1_005, 4), look(1_006, 5)];
        assert_eq!(seen, [None, None, None, Some(3_600), Some(-3_600), None]);
    }

    #[test]
    fn jumps_are_counted() {
        let jumps = Jumps::default();
        assert_eq!(jumps.jumped(), Jumped::default());
        let (now, far) = (Timestamp::UNIX_EPOCH, SignedDuration::from_secs(90));
        jumps.note(now, far);
        assert_eq!(jumps.jumped(), Jumped { times: 1, last: Some((now, far)) });
    }
}
