//! Alerts as they went, and whether they went the same way twice. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::dilation::Recorded;
use crate::exposition::Labels;

/// An alert from when it was pending until it was over. All moments are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Episode {
    /// Its labels, `alertname` among them.
    pub labels: Labels,
    /// When it became active.
    pub pending: i64,
    /// When it fired, if it did.
    pub fired: Option<i64>,
    /// When it was over; `None` where it was not.
    pub ended: Option<i64>,
    /// Whether these are only some of its labels: those that a drill expected.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub partly: bool,
}

impl Episode {
    /// The alert's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.labels.get("alertname").map_or("", String::as_str)
    }

    /// Whether another can be the same alert, by its labels.
    fn is(&self, other: &Self) -> bool {
        if !self.partly {
            return self.labels == other.labels;
        }
        self.labels.iter().all(|(name, value)| other.labels.get(name) == Some(value))
    }

    /// Its name and what else tells it from others.
    #[must_use]
    pub fn said(&self) -> String {
        let others = self.labels.iter().filter(|(name, _)| *name != "alertname");
        let others: Vec<_> = others.map(|(name, value)| format!("{name}={value}")).collect();
        if others.is_empty() {
            self.name().to_owned()
        } else {
            format!("{} {{{}}}", self.name(), others.join(", "))
        }
    }

    /// Whether it fires at a moment.
    #[must_use]
    pub fn fires_at(&self, at: i64) -> bool {
        self.fired.is_some_and(|fired| fired <= at) && self.ended.is_none_or(|ended| at < ended)
    }
}

/// Alerts as Prometheus recorded them in its series `ALERTS`, in the order in which they became active; rules were
/// evaluated `every` so many milliseconds, and nothing is known after `to`.
pub(super) fn episodes(series: &[Recorded], every: i64, to: i64) -> Vec<Episode> {
    let mut seen: BTreeMap<Labels, Vec<(i64, bool)>> = BTreeMap::new();
    for one in series.iter().filter(|one| one.labels.get("__name__").is_some_and(|name| name == "ALERTS")) {
        let mut labels = one.labels.clone();
        labels.remove("__name__");
        let firing = labels.remove("alertstate").is_some_and(|state| state == "firing");
        let points = one.points.iter().filter(|(_, value)| *value > 0.0).map(|(at, _)| (*at, firing));
        seen.entry(labels).or_default().extend(points);
    }
    let mut all = Vec::new();
    for (labels, mut points) in seen {
        points.sort_unstable();
        let mut open: Option<(Episode, i64)> = None;
        for (at, firing) in points {
            let again = open.as_ref().is_some_and(|(episode, last)| {
                at - last > every * 5 / 2 || (episode.fired.is_some() && !firing)
            });
            if again && let Some((episode, last)) = open.take() {
                all.push(Episode { ended: Some(last + every), ..episode });
            }
            let new =
                || Episode { labels: labels.clone(), pending: at, fired: None, ended: None, partly: false };
            let (episode, last) = open.get_or_insert_with(|| (new(), at));
            *last = at;
            if firing {
                episode.fired.get_or_insert(at);
            }
        }
        all.extend(open.map(|(episode, last)| {
            let ended = (last + every * 5 / 2 < to).then_some(last + every);
            Episode { ended, ..episode }
        }));
    }
    all.sort_by(|one, other| (one.pending, &one.labels).cmp(&(other.pending, &other.labels)));
    all
}

/// How two accounts of the same incident differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Alerts that fired in both: as it was, as it is now.
    pub same: Vec<(Episode, Episode)>,
    /// Those that fired then and not now.
    pub missing: Vec<Episode>,
    /// Those that fire now and did not then.
    pub new: Vec<Episode>,
    /// What is further apart than is tolerated, a sentence each.
    pub apart: Vec<String>,
}

impl Agreement {
    /// Whether the same alerts fired, in the same order, at the same times.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.missing.is_empty() && self.new.is_empty() && self.apart.is_empty()
    }
}

/// Holds what fired then against what fires now; moments may be `tolerance` milliseconds apart.
#[must_use]
pub fn agreement(then: &[Episode], now: &[Episode], tolerance: i64) -> Agreement {
    let fired = |all: &[Episode]| all.iter().filter(|one| one.fired.is_some()).cloned().collect::<Vec<_>>();
    let mut left = fired(now);
    let mut found = Agreement::default();
    for was in fired(then) {
        match left.iter().position(|is| was.is(is)) {
            Some(at) => found.same.push((was, left.remove(at))),
            None => found.missing.push(was),
        }
    }
    found.new = left;
    for (was, is) in &found.same {
        let moments = [("fires", was.fired, is.fired), ("is over", was.ended, is.ended)];
        for (what, then, now) in moments {
            // What was still going on, or is, at the end of the record has no moment to compare.
            let (Some(then), Some(now)) = (then, now) else { continue };
            if (then - now).abs() > tolerance {
                let (apart, word) = ((then - now).abs() / 1000, if now > then { "later" } else { "earlier" });
                found.apart.push(format!("`{}` {what} {apart}s {word} than it did", was.said()));
            }
        }
    }
    let mut ordered: Vec<_> =
        found.same.iter().filter_map(|(was, is)| Some((was.fired?, is.fired?, was))).collect();
    ordered.sort_by_key(|(then, _, _)| *then);
    for pair in ordered.windows(2) {
        let [(then, now, first), (later, sooner, second)] = pair else { continue };
        if later - then > tolerance && sooner < now {
            found.apart.push(format!(
                "`{}` fires before `{}`, and it was the other way round",
                second.said(),
                first.said()
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn series(state: &str, seconds: &[i64]) -> Recorded {
        let labels = labels(&[("__name__", "ALERTS"), ("alertname", "Down"), ("alertstate", state)]);
        Recorded { labels, points: seconds.iter().map(|at| (at * 1000, 1.0)).collect() }
    }

    fn episode(name: &str, pending: i64, fired: Option<i64>, ended: Option<i64>) -> Episode {
        Episode { labels: labels(&[("alertname", name)]), pending, fired, ended, partly: false }
    }

    #[test]
    fn an_alert_is_pending_fires_and_is_over() {
        let recorded = [series("pending", &[10, 20, 100]), series("firing", &[30, 40])];
        let seconds = |at: i64| at * 1000;
        assert_eq!(
            episodes(&recorded, 10_000, 200_000),
            [
                episode("Down", seconds(10), Some(seconds(30)), Some(seconds(50))),
                episode("Down", seconds(100), None, Some(seconds(110))),
            ]
        );
    }

    #[test]
    fn what_goes_on_at_the_end_is_not_over() {
        let recorded = [series("firing", &[10, 20])];
        assert_eq!(episodes(&recorded, 10_000, 25_000), [episode("Down", 10_000, Some(10_000), None)]);
    }

    #[test]
    fn two_accounts_agree_within_a_tolerance_and_in_order() {
        let then = [
            episode("A", 0, Some(10), Some(90)),
            episode("B", 0, Some(50), None),
            episode("C", 0, None, None),
        ];
        let near = [episode("A", 0, Some(12), Some(88)), episode("B", 0, Some(49), None)];
        assert!(agreement(&then, &near, 5).holds());
        let late = [episode("A", 0, Some(60), Some(90)), episode("B", 0, Some(50), None)];
        let found = agreement(&then, &late, 5);
        assert_eq!(found.apart.len(), 2, "late, and out of order: {found:?}");
        let found = agreement(&then, &[episode("B", 0, Some(50), None), episode("D", 0, Some(50), None)], 5);
        assert_eq!((found.missing[0].name(), found.new[0].name()), ("A", "D"));
    }
}
