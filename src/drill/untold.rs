//! Why an alert that fired came to nobody, or to others: by what Alertmanager says, and by the routing as it is written.

use std::collections::{BTreeMap, BTreeSet};

use super::alertmanager::Held;
use super::explain::Broken;
use super::rehearse::{Drill, Error, Known};
use super::route::led_away;
use super::watch::Watched;
use crate::exposition::Labels;
use crate::ladder::Rung;
use crate::prometheus::answer::describe;
use crate::route::Config;
use crate::source::At;

impl Drill {
    /// It fired, and whoever it had to reach was not told.
    pub(super) async fn untold(&self, watched: &Watched, known: &Known) -> Result<Broken, Error> {
        let climb = &watched.climb;
        if !climb.has(Rung::Received) {
            return self.not_received().await;
        }
        let Some(held) = &watched.held else {
            return Ok(Broken::new(Rung::Routed, "Alertmanager no longer has it"));
        };
        let routing = known.routing.as_deref();
        if held.is_suppressed() {
            return self.kept_quiet(held, routing).await;
        }
        let told = |name: &str| watched.messages.iter().any(|message| message.receiver == name);
        let missing: Vec<_> = watched.expected.reaches.iter().filter(|name| !told(name)).collect();
        if !climb.has(Rung::Routed) {
            return Ok(led_elsewhere(held, &missing, routing));
        }
        let now = self.instruments.time().await?;
        if let Some(routing) = routing {
            let routes = routing.routes_of(&held.labels);
            let route = |name: &str| routes.iter().find(|route| route.receiver.value == name);
            let muted = missing.iter().find_map(|name| Some((name, routing.muted(route(name)?, now)?)));
            if let Some((name, times)) = muted {
                let title = format!("its route to `{name}` is kept quiet by the time interval `{times}`");
                return Ok(Broken::new(Rung::Routed, title).in_routing(times.place, "nobody is told now"));
            }
            let receivers = missing.iter().filter_map(|name| routing.receiver(name));
            if let Some(silent) = receivers.into_iter().find(|one| one.integrations.is_empty()) {
                let title = format!("the receiver `{}` has no integration", silent.name);
                return Ok(Broken::new(Rung::Delivered, title)
                    .in_routing(silent.name.place, "tells nobody")
                    .help("give it one: `slack_configs`, `pagerduty_configs`, …"));
            }
        }
        Ok(self.not_delivered(held, &missing, routing).await)
    }

    async fn not_received(&self) -> Result<Broken, Error> {
        let known = self.instruments.prometheus.alertmanagers().await?.data;
        let broken = |title: &str| Broken::new(Rung::Received, title);
        Ok(if known.active_alertmanagers.is_empty() {
            broken("Prometheus is told of no Alertmanager")
                .help("add `alerting: { alertmanagers: … }` to its configuration")
        } else {
            broken("Alertmanager does not have it")
                .help("`alert_relabel_configs` may drop it, or Alertmanager refuse it")
        })
    }

    /// Alertmanager has it, and tells nobody.
    async fn kept_quiet(&self, held: &Held, routing: Option<&Config>) -> Result<Broken, Error> {
        let broken = |title: String| Broken::new(Rung::Routed, title);
        if !held.inhibited_by.is_empty() {
            let all = match &self.alertmanager {
                Some(client) => client.alerts().await.unwrap_or_default(),
                None => Vec::new(),
            };
            let sources = all.into_iter().filter(|one| held.inhibited_by.contains(&one.fingerprint));
            let sources: Vec<Labels> = sources.map(|one| one.labels).collect();
            let names: Vec<_> = sources.iter().filter_map(|one| one.get("alertname").cloned()).collect();
            let names = if names.is_empty() { &held.inhibited_by } else { &names };
            let one = broken(format!("it is inhibited by {}", list(names)));
            let rule = routing.and_then(|routing| routing.inhibited(&held.labels, &sources));
            return Ok(match rule {
                Some((rule, _)) => one.in_routing(rule.place, "keeps it quiet while that alert fires"),
                None => one.help("an inhibition rule keeps it quiet while that alert fires"),
            });
        }
        Ok(if held.silenced_by.is_empty() {
            broken(format!("it is muted by the time interval {}", list(&held.muted_by)))
        } else {
            broken(format!("it is silenced by {}", list(&held.silenced_by)))
        })
    }

    /// It is meant for those it has to reach, and they were not told.
    async fn not_delivered(&self, held: &Held, missing: &[&At<String>], routing: Option<&Config>) -> Broken {
        let names: Vec<_> = missing.iter().map(|name| name.value.clone()).collect();
        let names = if names.is_empty() { &held.receivers } else { &names };
        let title = format!("Alertmanager means it for {}, and no message came", list(names));
        let broken = Broken::new(Rung::Delivered, title);
        let mut failed = match &self.alertmanager {
            Some(client) => client.metrics().await.map(|page| failed_notices(&page)).unwrap_or_default(),
            None => BTreeMap::new(),
        };
        // Alertmanager counts by kind: those of other kinds are not this receiver's.
        if let Some(routing) = routing {
            let receivers: Vec<_> = names.iter().filter_map(|name| routing.receiver(name)).collect();
            let integrations = || receivers.iter().flat_map(|one| &one.integrations);
            failed.retain(|kind, _| integrations().any(|one| one.kind == kind));
        }
        if failed.is_empty() {
            return broken.help("its group may still wait: see `group_wait` and `group_interval`");
        }
        let failed: Vec<_> = failed.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        let why = "its templates may not fill in, or its address not answer";
        broken.help(format!("Alertmanager failed to send: {}; {why}", failed.join(", ")))
    }
}

/// Its routes lead to others.
fn led_elsewhere(held: &Held, missing: &[&At<String>], routing: Option<&Config>) -> Broken {
    let told: BTreeSet<String> = held.receivers.iter().cloned().collect();
    let whom = if told.is_empty() { "nobody".to_owned() } else { list(&held.receivers) };
    let broken = Broken::new(Rung::Routed, format!("its routes lead to {whom}"));
    let meant = missing.iter().find(|name| !told.contains(&name.value));
    let (Some(routing), Some(meant)) = (routing, meant) else {
        return broken.help(format!("it carries {}", describe(&held.labels)));
    };
    match led_away(&held.labels, &told, meant, routing) {
        (Some((place, label)), mends) => broken.in_routing(place, label).help(mends),
        (None, mends) => broken.help(mends),
    }
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// How many notices could not be sent, by kind.
fn failed_notices(page: &str) -> BTreeMap<String, u64> {
    let mut failed = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with("alertmanager_notifications_failed_total{")) {
        let kind = line.split_once("integration=\"").and_then(|(_, rest)| rest.split_once('"'));
        let count = line.rsplit_once(' ').and_then(|(_, count)| count.parse::<f64>().ok());
        if let (Some((kind, _)), Some(count)) = (kind, count.filter(|count| *count >= 1.0)) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count, at least 1"
            )]
            let count = count as u64;
            *failed.entry(kind.to_owned()).or_default() += count;
        }
    }
    failed
}
