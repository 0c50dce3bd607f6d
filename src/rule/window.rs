//! When an alert may do what: the earliest and the latest moment that the configuration allows.
//!
//! All that is counted here is what programs wait for on purpose. What machines need for their work comes on top
//! of the latest moments; it is small beside them, and known only to those who measure.

use std::time::Duration;

use crate::promql::Reach;

/// Moments between which something happens, counted from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Between {
    /// Not before.
    pub earliest: Duration,
    /// Not after, if at all.
    pub latest: Duration,
}

impl Between {
    fn and(self, more: Self) -> Self {
        Self {
            earliest: self.earliest.saturating_add(more.earliest),
            latest: self.latest.saturating_add(more.latest),
        }
    }

    fn exactly(time: Duration) -> Self {
        Self { earliest: time, latest: time }
    }

    /// Whether a moment lies within.
    #[must_use]
    pub fn holds(&self, moment: Duration) -> bool {
        (self.earliest..=self.latest).contains(&moment)
    }

    fn divided(self, speed: f64) -> Self {
        Self { earliest: self.earliest.div_f64(speed), latest: self.latest.div_f64(speed) }
    }
}

/// What an alerting rule waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waits {
    /// How far back its expression looks: [`Recorded::reach`](super::Recorded::reach).
    pub reach: Reach,
    /// Its `for`.
    pub holds: Duration,
    /// Its `keep_firing_for`.
    pub keeps: Duration,
    /// The `query_offset` of its group.
    pub query_offset: Duration,
}

/// How often Prometheus looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Between two scrapes of the target.
    pub scrape_interval: Duration,
    /// A scrape is given up after this, so that a target which hangs is down that much later.
    pub scrape_timeout: Duration,
    /// Between two evaluations of the rule's group.
    pub evaluation_interval: Duration,
}

/// What a route waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grouping {
    /// Its `group_wait`.
    pub wait: Duration,
    /// Its `group_interval`.
    pub interval: Duration,
    /// Whether the alert's group may have others in it, or some left of an earlier incident.
    pub group: Group,
}

/// Whether an alert founds its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// It is the first: nobody was told of this group since Alertmanager started.
    Fresh,
    /// The group may be there already, and is told of at its own times.
    Living,
}

/// When an alert may do what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Since the fault took effect: its expression holds, and it is pending (or fires at once, without `for`).
    ///
    /// earliest: newest sample's age + query offset; a scrape and an evaluation may both follow at once.
    /// latest: scrape interval + scrape timeout + oldest sample's age + query offset + evaluation interval. By then
    /// all that the expression looks at is from the time of the fault.
    pub pends: Between,
    /// Since the fault took effect: it fires in Prometheus.
    ///
    /// `pends` + `for`, rounded up to whole evaluation intervals, as only an evaluation lets it fire.
    pub fires: Between,
    /// Since the fault took effect: its receivers are told.
    ///
    /// A fresh group: `fires` + `group_wait`. A living one: `fires` + up to the greater of `group_wait` and
    /// `group_interval`. `None` where there is no Alertmanager.
    pub notified: Option<Between>,
    /// Since the fault was lifted: it no longer fires in Prometheus.
    ///
    /// As `pends`, + `keep_firing_for`, rounded up to whole evaluation intervals.
    pub clears: Between,
    /// Since the fault was lifted: its receivers are told so, where they want to be.
    ///
    /// `clears` + up to `group_interval`: a group is told of at every `group_interval`, whatever happens between.
    pub resolved: Option<Between>,
}

/// When an alert may do what, at a given pace of Prometheus and along a given route.
#[must_use]
pub fn window(waits: Waits, pace: Pace, route: Option<Grouping>) -> Window {
    let seen = Between {
        earliest: waits.reach.newest.saturating_add(waits.query_offset),
        latest: [
            pace.scrape_interval,
            pace.scrape_timeout,
            waits.reach.oldest,
            waits.query_offset,
            pace.evaluation_interval,
        ]
        .into_iter()
        .fold(Duration::ZERO, Duration::saturating_add),
    };
    let fires = seen.and(Between::exactly(rounded_up(waits.holds, pace.evaluation_interval)));
    let clears = seen.and(Between::exactly(rounded_up(waits.keeps, pace.evaluation_interval)));
    Window {
        pends: seen,
        fires,
        notified: route.map(|route| fires.and(route.first_notice())),
        clears,
        resolved: route.map(|route| clears.and(Between { earliest: Duration::ZERO, latest: route.interval })),
    }
}

impl Grouping {
    fn first_notice(&self) -> Between {
        match self.group {
            Group::Fresh => Between::exactly(self.wait),
            Group::Living => Between { earliest: Duration::ZERO, latest: self.wait.max(self.interval) },
        }
    }
}

impl Window {
    /// The longest that receivers may be told of it after it fires.
    #[must_use]
    pub fn delivery_after_firing(&self) -> Duration {
        self.notified.map(|notified| notified.latest.saturating_sub(self.fires.latest)).unwrap_or_default()
    }

    /// The longest that receivers may be told of its end after it has cleared.
    #[must_use]
    pub fn resolution_after_clearing(&self) -> Duration {
        self.resolved.map(|resolved| resolved.latest.saturating_sub(self.clears.latest)).unwrap_or_default()
    }

    /// The same in wall time, at which rule time passes `speed` times as fast.
    #[must_use]
    pub fn at_speed(&self, speed: f64) -> Self {
        Self {
            pends: self.pends.divided(speed),
            fires: self.fires.divided(speed),
            notified: self.notified.map(|notified| notified.divided(speed)),
            clears: self.clears.divided(speed),
            resolved: self.resolved.map(|resolved| resolved.divided(speed)),
        }
    }
}

/// The least multiple of `step` that is not below `time`.
fn rounded_up(time: Duration, step: Duration) -> Duration {
    if step.is_zero() {
        return time;
    }
    let steps = time.as_nanos().div_ceil(step.as_nanos());
    u32::try_from(steps).map_or(time, |steps| step.saturating_mul(steps))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn between(earliest: u64, latest: u64) -> Between {
        Between { earliest: seconds(earliest), latest: seconds(latest) }
    }

    const PACE: Pace =
        Pace { scrape_interval: seconds(15), scrape_timeout: seconds(10), evaluation_interval: seconds(15) };

    /// `for: 5m`, `group_wait: 30s`, `group_interval: 5m`.
    fn production(range: u64, group: Group) -> Window {
        let reach = Reach { newest: Duration::ZERO, oldest: seconds(range) };
        let waits = Waits { reach, holds: seconds(300), ..Waits::default() };
        window(waits, PACE, Some(Grouping { wait: seconds(30), interval: seconds(300), group }))
    }

    #[rstest]
    #[case::of_a_gauge_in_a_fresh_group(0, Group::Fresh, [(0, 40), (300, 340), (330, 370), (0, 40), (0, 340)])]
    #[case::of_a_gauge_in_a_living_group(0, Group::Living, [(0, 40), (300, 340), (300, 640), (0, 40), (0, 340)])]
    #[case::of_a_rate_in_a_fresh_group(300, Group::Fresh, [(0, 340), (300, 640), (330, 670), (0, 340), (0, 640)])]
    fn a_window(#[case] range: u64, #[case] group: Group, #[case] wanted: [(u64, u64); 5]) {
        let [pends, fires, notified, clears, resolved] =
            wanted.map(|(earliest, latest)| between(earliest, latest));
        let wanted = Window { pends, fires, notified: Some(notified), clears, resolved: Some(resolved) };
        assert_eq!(production(range, group), wanted);
    }

    /// Measured with real programs, scaled back to production seconds: pending, firing, told, cleared, told of it.
    #[rstest]
    #[case::down_60x_2_42(0, Group::Living, [14, 314, 465, 14, 270])]
    #[case::errors_60x_2_42(300, Group::Fresh, [44, 344, 374, 269, 270])]
    #[case::down_60x_3_5(0, Group::Fresh, [14, 314, 345, 14, 270])]
    #[case::errors_60x_3_5(300, Group::Fresh, [44, 344, 374, 269, 570])]
    #[case::down_300x_2_42(0, Group::Living, [21, 321, 449, 21, 270])]
    #[case::errors_300x_2_42(300, Group::Fresh, [51, 351, 388, 276, 570])]
    #[case::down_300x_3_5(0, Group::Fresh, [12, 311, 344, 12, 270])]
    #[case::errors_300x_3_5(300, Group::Fresh, [42, 341, 373, 267, 570])]
    fn what_was_measured_lies_within(#[case] range: u64, #[case] group: Group, #[case] measured: [u64; 5]) {
        let window = production(range, group);
        let [pending, firing, told, cleared, told_of_it] = measured.map(seconds);
        assert!(window.pends.holds(pending), "pending after {pending:?}, not {:?}", window.pends);
        assert!(window.fires.holds(firing), "firing after {firing:?}, not {:?}", window.fires);
        assert!(window.notified.unwrap().holds(told), "told after {told:?}, not {:?}", window.notified);
        assert!(window.clears.holds(cleared), "cleared after {cleared:?}, not {:?}", window.clears);
        assert!(
            window.resolved.unwrap().holds(told_of_it),
            "told after {told_of_it:?}, not {:?}",
            window.resolved
        );
    }

    #[test]
    fn what_is_waited_for_comes_in_whole_evaluations() {
        let waits = Waits { holds: seconds(61), keeps: seconds(1), ..Waits::default() };
        let window = window(waits, PACE, None);
        assert_eq!((window.fires, window.clears), (between(75, 115), between(15, 55)));
        assert_eq!((window.notified, window.resolved), (None, None));
    }

    #[test]
    fn what_looks_back_sees_later() {
        let reach = Reach { newest: seconds(3600), oldest: seconds(3900) };
        let window = window(Waits { reach, query_offset: seconds(60), ..Waits::default() }, PACE, None);
        assert_eq!(window.pends, between(3660, 4000));
    }

    #[test]
    fn wall_time_is_a_part_of_rule_time() {
        let wall = production(0, Group::Fresh).at_speed(60.0);
        assert_eq!(
            wall.fires,
            Between { earliest: seconds(5), latest: Duration::from_secs_f64(340.0 / 60.0) }
        );
        assert_eq!(wall.delivery_after_firing(), Duration::from_millis(500));
        assert_eq!(wall.resolution_after_clearing(), seconds(5));
    }
}
