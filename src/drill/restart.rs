//! A Prometheus that is started again in mid-drill: it has forgotten what was pending and firing, and that there are no
//! alerts does not mean that they have cleared.

use jiff::Timestamp;

use super::rehearse::{Drill, Error};
use super::verdict::{self, Case};
use crate::event::{Drilled, Proof};
use crate::ladder::Climb;

impl Drill {
    /// How far each alert has come, to see whether a look shows anything new.
    pub(super) fn climbs(&self) -> Vec<Climb> {
        self.watched.iter().map(|watched| watched.climb.clone()).collect()
    }

    /// Makes sure that what was seen comes of the Prometheus that the drill began with. Where it does not, the alerts
    /// are as far as they were `before` that look.
    ///
    /// # Errors
    /// When it was started again, or does not answer.
    pub(super) async fn is_the_same(&mut self, before: &[Climb]) -> Result<(), Error> {
        let now = self.instruments.started().await?;
        let Some(again) = is_another(self.started, now) else { return Ok(()) };
        for (watched, climb) in self.watched.iter_mut().zip(before) {
            watched.climb.clone_from(climb);
        }
        Err(Error::Restarted(again))
    }

    /// What was seen of each alert until the drill broke off, for this reason.
    #[must_use]
    pub fn broken_off(&self, why: &str) -> Vec<Drilled> {
        let seen = self.watched.iter().zip(&self.known).map(|(watched, known)| {
            let case = Case {
                watched,
                window: &known.window,
                clock: self.clock,
                proof: Proof::None,
                broken: None,
                query: known.query.as_ref(),
            };
            let mut notes = known.notes.clone();
            notes.push(format!("not proven: {why}"));
            verdict::drilled(case, notes)
        });
        seen.chain(self.beside()).collect()
    }
}

/// When it was started again, if this is another than that of before. One that does not say is taken for the same.
pub(super) fn is_another(before: Option<Timestamp>, now: Option<Timestamp>) -> Option<Timestamp> {
    before.and(now).filter(|now| Some(*now) != before)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::the_same(Some(5), Some(5), None)]
    #[case::another(Some(5), Some(6), Some(6))]
    #[case::one_that_does_not_say(None, Some(6), None)]
    #[case::one_that_says_no_more(Some(5), None, None)]
    fn another_prometheus_has_another_beginning(
        #[case] before: Option<i64>,
        #[case] now: Option<i64>,
        #[case] again: Option<i64>,
    ) {
        let at = |second: Option<i64>| second.map(|second| Timestamp::from_second(second).unwrap());
        assert_eq!(is_another(at(before), at(now)), at(again));
    }
}
