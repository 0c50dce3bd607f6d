//! A stack that is brought up to be looked at, and taken down again.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use url::Url;

use super::Arguments;
use crate::audit::{Live, wait_for_scrapes};
use crate::event::Sender;
use crate::plan::PlannedStack;
use crate::prometheus::{Access, Client};
use crate::secret::Mask;
use crate::source::Sources;
use crate::stack::containers::ImageMap;
use crate::stack::{self, Notices, Options, Refused, Running, Speed, up};

/// By how much a stack goes faster that is only looked at.
const SPEED: f64 = 60.0;

/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The stack without what the tools of Prometheus and Alertmanager refuse, and what they refuse.
///
/// # Errors
/// When Prometheus's own configuration is refused, without which there is nothing to look at.
pub(super) async fn accepted(planned: &PlannedStack) -> Result<(PlannedStack, Vec<Refused>), String> {
    let refused = stack::refused(planned).await.map_err(|error| error.to_string())?;
    let prometheus = planned.prometheus.as_ref().map(|own| &own.file);
    if let Some(fatal) = refused.iter().find(|one| Some(&one.file) == prometheus) {
        return Err(format!("`{}`: {}", planned.file.display(), stack::Error::from(fatal.clone())));
    }
    let left = refused.iter().fold(planned.clone(), |left, one| left.without(&one.file));
    Ok((left, refused))
}

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
        Ok((mut live, scraped)) => {
            // Nobody asks stand-ins for anything, and some of their metrics come with the first request.
            let is_scraped =
                |name: &str| running.scraped(name).any(|at| scraped.iter().any(|url| leads_to(url, at)));
            let profiles = planned.profiles.iter().filter(|(name, _)| is_scraped(name));
            for family in profiles.flat_map(|(_, profile)| &profile.families) {
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

/// Waits until every target was scraped often enough, and looks; also at what is scraped.
async fn see(running: &Running) -> Result<(Live, Vec<Url>), String> {
    let address = running.address("prometheus", "http").ok_or("the stack has no Prometheus")?;
    let client = Client::new(&Access::to(format!("http://{address}"))).map_err(|error| error.to_string())?;
    wait_for_scrapes(&client, PATIENCE).await.map_err(|error| error.to_string())?;
    let targets = client.targets().await.map_err(|error| error.to_string())?.data.active_targets;
    let scraped = targets.iter().filter_map(|target| Url::parse(&target.scrape_url).ok()).collect();
    Ok((Live::look(client).await.map_err(|error| error.to_string())?, scraped))
}

/// Whether an address is of this host and port.
fn leads_to(url: &Url, at: SocketAddr) -> bool {
    let host = url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
    host == Some(at.ip()) && url.port_or_known_default() == Some(at.port())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::itself("http://127.0.0.1:8080/metrics", "127.0.0.1:8080", true)]
    #[case::usual_port("http://127.0.0.1/metrics", "127.0.0.1:80", true)]
    #[case::sixth_version("http://[::1]:8080/metrics", "[::1]:8080", true)]
    #[case::other_port("http://127.0.0.1:8080/metrics", "127.0.0.1:8081", false)]
    #[case::other_host("http://127.0.0.2:8080/metrics", "127.0.0.1:8080", false)]
    fn what_is_scraped_is_told_by_its_address(#[case] url: &str, #[case] at: &str, #[case] same: bool) {
        assert_eq!(leads_to(&Url::parse(url).unwrap(), at.parse().unwrap()), same);
    }
}
