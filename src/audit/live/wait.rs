//! Waits until a Prometheus that has just been started has looked at its targets.

use std::time::{Duration, Instant};

use super::Unseen;
use crate::prometheus::answer::{Data, Value};
use crate::prometheus::{Client, Error, Health};

/// How often each target is scraped before it is looked at: a rate needs two.
const SCRAPES: f64 = 3.0;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Waits until every target was scraped often enough, whether it answered or not.
///
/// # Errors
/// When that does not come true within `patience`, or Prometheus does not answer.
pub async fn wait_for_scrapes(client: &Client, patience: Duration) -> Result<(), Unseen> {
    let deadline = Instant::now() + patience;
    while !is_scraped(client).await? {
        if Instant::now() > deadline {
            return Err(Unseen::Unscraped(patience));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn is_scraped(client: &Client) -> Result<bool, Error> {
    let targets = client.targets().await?.data.active_targets;
    if targets.is_empty() || targets.iter().any(|target| target.health == Health::Unknown) {
        return Ok(false);
    }
    let least = client.instant("min(count_over_time(up[1h]))", None).await?.data;
    Ok(match least {
        Data::Vector(series) => {
            series.iter().any(|one| matches!(one.value, Value::Number(point) if point.value >= SCRAPES))
        }
        Data::Matrix(_) | Data::Scalar(_) | Data::String(_) => false,
    })
}
