//! Alerts that were active before anything was broken: the fault did not raise them, so nothing that follows shows
//! that it would.

use std::time::Duration;

use super::explain::Broken;
use super::rehearse::Drill;
use super::watch::Early;
use crate::exposition::Labels;
use crate::ladder::Rung;
use crate::prometheus::Target;
use crate::prometheus::answer::describe;
use crate::units::Span;

/// Targets that were down are named up to this many.
const FEW: usize = 3;

impl Drill {
    /// What is to be said of an alert that was active before the fault.
    pub(super) fn too_early(&self, early: &Early) -> Broken {
        let lasted = Duration::try_from(self.calm.1.duration_since(early.since)).unwrap_or_default();
        let lasted = self.clock.rule_time(lasted);
        let lasted = if lasted >= Duration::from_secs(10) {
            Duration::from_secs_f64(lasted.as_secs_f64().round())
        } else {
            Duration::from_millis(lasted.as_millis().try_into().unwrap_or(u64::MAX))
        };
        let mut title = format!("`{}` was active for {} by then", describe(&early.labels), Span(lasted));
        for target in self.down_before(&early.labels).take(FEW) {
            title.push_str("; ");
            title.push_str(&target);
        }
        Broken::new(Rung::Effect, title).help(
            "add a `quiet` step before it, which fails while anything is active; if another instance is meant, \
             name its `labels`",
        )
    }

    /// The targets that were down before the fault, and why: of those with the labels of the alert, or of all where
    /// it has none of a target.
    fn down_before<'a>(&'a self, alert: &'a Labels) -> impl Iterator<Item = String> + 'a {
        let same = |target: &Target, name: &str| match (target.labels.get(name), alert.get(name)) {
            (Some(one), Some(other)) => one == other,
            (None, _) | (_, None) => true,
        };
        let of_alert =
            self.down.iter().filter(move |target| ["job", "instance"].iter().all(|name| same(target, name)));
        of_alert.map(Target::told_down)
    }
}
