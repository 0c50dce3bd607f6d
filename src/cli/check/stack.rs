//! A stack that is brought up to be looked at, and taken down again.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Arguments;
use crate::audit::{Live, wait_for_scrapes};
use crate::event::Sender;
use crate::plan::PlannedStack;
use crate::prometheus::{Access, Client};
use crate::secret::Mask;
use crate::source::Sources;
use crate::stack::containers::ImageMap;
use crate::stack::{Notices, Options, Running, Speed, up};

/// By how much a stack goes faster that is only looked at.
const SPEED: f64 = 60.0;

/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Brings a stack up and looks at its Prometheus.
pub(super) async fn look(
    planned: &PlannedStack,
    sources: &Sources,
    mask: &Mask,
    arguments: &Arguments,
    images: ImageMap,
) -> Result<(Live, Running), String> {
    let options = Options {
        id: super::super::run::new_id(Timestamp::now()),
        runtime: arguments.runtime.into(),
        images,
        seed: 1,
        speed: Speed::new(SPEED).unwrap_or_default(),
        supervisor: std::env::current_exe().map_err(|error| error.to_string())?,
    };
    let (stop, signals) = crate::cli::run::stop_on_signal();
    let (sender, mut events) = Sender::new(mask.clone(), Instant::now());
    let quiet = tokio::spawn(async move { while events.recv().await.is_some() {} });
    let notices = Notices { scenario: planned.stack.name.value.clone(), sender };
    let came = Box::pin(up(planned, sources, &options, &notices, &stop)).await;
    drop(notices);
    let _ = quiet.await;
    let running = match came {
        Ok(running) => running,
        Err(error) => {
            signals.abort();
            return Err(format!("`{}`: {error}", planned.file.display()));
        }
    };
    let seen = tokio::select! {
        seen = see(&running) => seen,
        () = stop.cancelled() => Err("stopped".to_owned()),
    };
    signals.abort();
    match seen {
        Ok(mut live) => {
            // Nobody asks stand-ins for anything, and some of their metrics come with the first request.
            for family in planned.profiles.values().flat_map(|profile| &profile.families) {
                live.describe(&family.name, family.kind.name());
            }
            Ok((live, running))
        }
        Err(error) => {
            running.down().await;
            Err(format!("`{}`: {error}", planned.file.display()))
        }
    }
}

/// Waits until every target was scraped often enough, and looks.
async fn see(running: &Running) -> Result<Live, String> {
    let address = running.address("prometheus", "http").ok_or("the stack has no Prometheus")?;
    let client = Client::new(&Access::to(format!("http://{address}"))).map_err(|error| error.to_string())?;
    wait_for_scrapes(&client, PATIENCE).await.map_err(|error| error.to_string())?;
    Live::look(client).await.map_err(|error| error.to_string())
}
