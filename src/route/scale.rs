//! Alertmanager's configuration re-timed: what its routes wait for divided by one factor, and nothing else changed.

use std::time::Duration;

use super::Timing;
use crate::promql::{PromDuration, scaled_duration};
use crate::yaml::{Kind, Node};

/// A configuration that was checked, with `group_wait`, `group_interval` and `repeat_interval` of every route
/// divided by `speed`, those included that the first route leaves out and that are Alertmanager's own. What nothing
/// is left of becomes a millisecond.
#[must_use]
pub fn scaled(config: &Node, speed: f64) -> Node {
    let mut config = config.clone();
    if let Some(root) = config.get_mut("route") {
        let Timing { group_wait, group_interval, repeat_interval } = Timing::default();
        let defaults = [
            ("group_wait", group_wait),
            ("group_interval", group_interval),
            ("repeat_interval", repeat_interval),
        ];
        for (key, default) in defaults {
            if root.get(key).is_none_or(|value| value.kind == Kind::Null) {
                root.set(key, Kind::Text(PromDuration(default).to_string()));
            }
        }
        shorten(root, speed);
    }
    config
}

fn shorten(route: &mut Node, speed: f64) {
    for key in ["group_wait", "group_interval", "repeat_interval"] {
        let Some(value) = route.get_mut(key) else { continue };
        // What is no duration was a finding already.
        if let Some(Ok(PromDuration(duration))) = value.scalar().map(str::parse) {
            let shorter = scaled_duration(duration, speed).unwrap_or(Duration::from_millis(1));
            *value = value.text(PromDuration(shorter).to_string());
        }
    }
    for within in route.get_mut("routes").map(Node::items_mut).unwrap_or_default() {
        shorten(within, speed);
    }
}
