//! What alerts a rule raises, evaluation by evaluation: Prometheus's own states, in virtual time. Pure.

use std::time::Duration;

use crate::exposition::Labels;

/// One series of an alerting rule's expression, and when it was there.
#[derive(Debug, Clone, PartialEq)]
pub struct Presence {
    /// Its labels, without the metric's name.
    pub labels: Labels,
    /// The evaluations at which it was there, by number, in their order.
    pub at: Vec<usize>,
}

/// How long a rule waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holding {
    /// Its `for`.
    pub holds: Duration,
    /// Its `keep_firing_for`.
    pub keeps: Duration,
    /// The time from one evaluation to the next.
    pub every: Duration,
}

/// One alert, from when it became active: all moments are numbers of evaluations.
#[derive(Debug, Clone, PartialEq)]
pub struct Active {
    /// The labels of the series that raised it.
    pub labels: Labels,
    /// When it became active.
    pub since: usize,
    /// When it began to fire, if it did.
    pub fired: Option<usize>,
    /// When it was active no longer; `None` where it still was at the last evaluation.
    pub until: Option<usize>,
}

/// Every alert that a series raises over so many evaluations, in the order of time.
#[must_use]
pub fn follow(presence: &Presence, holding: Holding, evaluations: usize) -> Vec<Active> {
    let mut here = presence.at.iter().copied().peekable();
    let mut ended = Vec::new();
    let mut active: Option<Active> = None;
    // Since when an alert fires that its expression no longer gives.
    let mut kept: Option<usize> = None;
    for now in 0..evaluations {
        let present = here.next_if_eq(&now).is_some();
        if present {
            kept = None;
            let alert = active.get_or_insert_with(|| Active {
                labels: presence.labels.clone(),
                since: now,
                fired: None,
                until: None,
            });
            if alert.fired.is_none() && holding.is_over(alert.since, now, holding.holds) {
                alert.fired = Some(now);
            }
        } else if let Some(mut alert) = active.take() {
            let keeps = alert.fired.is_some() && !holding.keeps.is_zero();
            let since = *kept.get_or_insert(now);
            if keeps && !holding.is_over(since, now, holding.keeps) {
                active = Some(alert);
            } else {
                kept = None;
                alert.until = Some(now);
                ended.push(alert);
            }
        }
    }
    ended.extend(active);
    ended
}

impl Holding {
    /// Whether so long has passed from one evaluation to another.
    fn is_over(self, from: usize, to: usize, length: Duration) -> bool {
        let passed = u32::try_from(to - from).unwrap_or(u32::MAX);
        self.every.saturating_mul(passed) >= length
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// One sign for each evaluation: `x` where the series is there. Alerts as `since-fired-until`.
    #[rstest]
    #[case::never("....", 0, 0, &[])]
    #[case::at_once(".xx.", 0, 0, &["1-1-3"])]
    #[case::after_for(".xxxx.", 2, 0, &["1-3-5"])]
    #[case::a_part_of_an_interval_is_a_whole(".xxxx", 3, 0, &["1-4-"])]
    #[case::too_short(".xx.", 3, 0, &["1--3"])]
    #[case::a_gap_begins_it_anew(".xx.xxx", 2, 0, &["1--3", "4-6-"])]
    #[case::kept(".xxx....", 1, 2, &["1-2-6"])]
    #[case::kept_through_a_gap(".xxx.xx....", 1, 2, &["1-2-9"])]
    #[case::pending_is_not_kept(".x..", 1, 2, &["1--2"])]
    #[case::still_kept(".xx.", 0, 2, &["1-1-"])]
    fn an_alert_goes_its_way(
        #[case] signs: &str,
        #[case] holds: u64,
        #[case] keeps: u64,
        #[case] wanted: &[&str],
    ) {
        let at = signs.bytes().enumerate().filter(|(_, sign)| *sign == b'x').map(|(at, _)| at).collect();
        let presence = Presence { labels: Labels::new(), at };
        let every = Duration::from_secs(10);
        let holding = Holding {
            // A `for` of three is one of 21s, which only the third evaluation is beyond.
            holds: Duration::from_secs(if holds == 3 { 21 } else { holds * 10 }),
            keeps: Duration::from_secs(keeps * 10),
            every,
        };
        let said = |moment: Option<usize>| moment.map(|at| at.to_string()).unwrap_or_default();
        let alerts = follow(&presence, holding, signs.len()).into_iter();
        let alerts: Vec<_> =
            alerts.map(|one| format!("{}-{}-{}", one.since, said(one.fired), said(one.until))).collect();
        assert_eq!(alerts, wanted);
    }
}
