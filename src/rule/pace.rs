//! How often a Prometheus looks, by its configuration.

use std::time::Duration;

use super::window::Pace;
use crate::promql::PromDuration;
use crate::yaml::{Kind, Node};

/// Prometheus's own values where its configuration does not say.
const INTERVAL: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(10);

impl Pace {
    /// What a `prometheus.yml` says; of jobs that differ the slowest.
    #[must_use]
    pub fn of(config: &Node) -> Self {
        let of_all = |key: &str| config.get("global").and_then(|global| read(global, key));
        let scrape = of_all("scrape_interval").unwrap_or(INTERVAL);
        let jobs = match config.get("scrape_configs").map(|jobs| &jobs.kind) {
            Some(Kind::List(jobs)) => jobs.as_slice(),
            Some(_) | None => &[],
        };
        let slowest = jobs.iter().filter_map(|job| read(job, "scrape_interval")).max();
        Self {
            scrape_interval: slowest.map_or(scrape, |slowest| slowest.max(scrape)),
            scrape_timeout: of_all("scrape_timeout").unwrap_or(TIMEOUT.min(scrape)),
            evaluation_interval: of_all("evaluation_interval").unwrap_or(INTERVAL),
        }
    }
}

fn read(node: &Node, key: &str) -> Option<Duration> {
    node.get(key)?.scalar()?.parse::<PromDuration>().ok().map(|time| time.0)
}
