//! Alertmanager's configuration re-timed: what its routes wait for divided by one factor, and nothing else changed.

use crate::promql::{PromDuration, scaled_duration};
use crate::yaml::Node;

/// A configuration that was checked, with `group_wait`, `group_interval` and `repeat_interval` of every route
/// divided by `speed`, those included that are left out and so are Alertmanager's own. What nothing is left of
/// becomes a millisecond, the least that Alertmanager waits for.
#[must_use]
pub fn scaled(config: &Node, speed: f64) -> Node {
    config.map_values(|key, value| match key {
        "route" => scaled_root(value, speed),
        _ => value.clone(),
    })
}

/// The root also says what it would otherwise inherit from Alertmanager itself, at production's pace.
fn scaled_root(route: &Node, speed: f64) -> Node {
    use crate::yaml::{Key, Kind};
    let defaults = super::Timing::default();
    let mut root = scaled_route(route, speed);
    if let Kind::Map(entries) = &mut root.kind {
        let all = [
            ("group_wait", defaults.group_wait),
            ("group_interval", defaults.group_interval),
            ("repeat_interval", defaults.repeat_interval),
        ];
        for (name, default) in all {
            if !entries.iter().any(|(key, _)| key.name == name) {
                let value = route.says(shorter(default, speed).to_string());
                entries.push((Key { name: name.to_owned(), place: route.place }, value));
            }
        }
    }
    root
}

fn scaled_route(route: &Node, speed: f64) -> Node {
    route.map_values(|key, value| match key {
        "group_wait" | "group_interval" | "repeat_interval" => {
            match value.scalar().map(str::parse::<PromDuration>) {
                Some(Ok(duration)) => value.says(shorter(duration.0, speed).to_string()),
                Some(Err(_)) | None => value.clone(),
            }
        }
        "routes" => value.map_items(|route| scaled_route(route, speed)),
        _ => value.clone(),
    })
}

fn shorter(duration: std::time::Duration, speed: f64) -> PromDuration {
    PromDuration(scaled_duration(duration, speed).unwrap_or(std::time::Duration::from_millis(1)))
}
