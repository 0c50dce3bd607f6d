//! Waits until a Prometheus watches: every target was scraped once, and it knows its Alertmanager. An alert that is
//! sent before is lost until it is sent again.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::pace::{SCRAPE_INTERVAL, Speed, duration};
use super::scrape::listed;
use crate::plan::Configuration;
use crate::prometheus::{Access, Client};
use crate::stack::Error;
use crate::yaml::Node;

/// Targets are discovered within five seconds, and scraped within an interval after.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is asked.
const OFTEN: Duration = Duration::from_millis(50);

/// What a configuration lets it watch.
#[derive(Debug, Clone, Copy)]
pub(in crate::stack) struct Watched {
    /// The longest time between two scrapes.
    interval: Duration,
    /// Whether there is anything to scrape.
    jobs: bool,
    /// Whether anybody is told of alerts.
    told: bool,
}

impl Watched {
    /// What this configuration says, at this speed.
    pub(in crate::stack) fn of(own: &Configuration, speed: Speed) -> Self {
        let jobs = listed(own.tree.get("scrape_configs"));
        let read = |node: Option<&Node>| duration(node?.get("scrape_interval")?.scalar()?);
        let usual = read(own.tree.get("global")).unwrap_or(SCRAPE_INTERVAL);
        let longest = jobs.iter().map(|job| read(Some(job)).unwrap_or(usual)).max();
        let told = own.tree.get("alerting").and_then(|alerting| alerting.get("alertmanagers"));
        Self {
            interval: speed.scaled(longest.unwrap_or_default()),
            jobs: !jobs.is_empty(),
            told: !listed(told).is_empty(),
        }
    }
}

/// Waits until the Prometheus at `address` has scraped every target, and found an Alertmanager where it is to.
pub(in crate::stack) async fn settle(
    address: SocketAddr,
    watched: &Watched,
    alertmanager: bool,
) -> Result<(), Error> {
    let failed = |why: String| Error::Unwatched { why };
    let client =
        Client::new(&Access::to(format!("http://{address}"))).map_err(|why| failed(why.to_string()))?;
    let deadline = Instant::now() + PATIENCE + watched.interval;
    let told = alertmanager && watched.told;
    let mut last = String::new();
    while Instant::now() < deadline {
        match look(&client, watched.jobs, told).await {
            Ok(()) => return Ok(()),
            Err(why) => last = why,
        }
        sleep(OFTEN).await;
    }
    Err(failed(last))
}

async fn look(client: &Client, jobs: bool, told: bool) -> Result<(), String> {
    if told {
        let known = client.alertmanagers().await.map_err(|error| error.to_string())?;
        if known.data.active_alertmanagers.is_empty() {
            return Err("it has not found the Alertmanager".to_owned());
        }
    }
    if !jobs {
        return Ok(());
    }
    let targets = client.targets().await.map_err(|error| error.to_string())?.data.active_targets;
    if targets.is_empty() {
        return Err("it has not found any target".to_owned());
    }
    match targets.iter().find(|target| target.last_scrape.is_none()) {
        Some(target) => Err(format!("job `{}` has not scraped {}", target.scrape_pool, target.scrape_url)),
        None => Ok(()),
    }
}
