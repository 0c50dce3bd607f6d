//! Waits until a Prometheus watches: every target was scraped once, and it knows its Alertmanager. An alert that is
//! sent before is lost until it is sent again.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
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
    let client = Client::new(&Access::to(format!("http://{address}")));
    let client = client.map_err(|why| Error::Unwatched { why: why.to_string() })?;
    settle_again(&client, watched, alertmanager, None).await
}

/// Likewise, of one that has watched before: every target is to be scraped after the moment `since`.
pub(in crate::stack) async fn settle_again(
    client: &Client,
    watched: &Watched,
    alertmanager: bool,
    since: Option<Timestamp>,
) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE + watched.interval;
    let told = alertmanager && watched.told;
    let mut last = String::new();
    while Instant::now() < deadline {
        match look(client, watched.jobs, told, since).await {
            Ok(()) => return Ok(()),
            Err(why) => last = why,
        }
        sleep(OFTEN).await;
    }
    Err(Error::Unwatched { why: last })
}

async fn look(client: &Client, jobs: bool, told: bool, since: Option<Timestamp>) -> Result<(), String> {
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
    // Not there is before every moment.
    let waits = |scraped: Option<Timestamp>| scraped.is_none() || scraped <= since;
    match targets.iter().find(|target| waits(target.last_scrape)) {
        Some(target) => Err(format!("job `{}` has not scraped {}", target.scrape_pool, target.scrape_url)),
        None => Ok(()),
    }
}
