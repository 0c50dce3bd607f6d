//! Whom an alert is led to: by the routes as they are written, and by an Alertmanager that runs.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Instruments;
use super::alertmanager::Client;
use super::rehearse::Error;
use crate::exposition::Labels;
use crate::prometheus::answer::describe;
use crate::route::matcher::Matcher;
use crate::route::{Config, Route};
use crate::source::{At, Place};

/// How long Alertmanager may take to have an alert that it was sent.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// How long an alert holds that is only to be routed.
const HOLDS: Duration = Duration::from_secs(60);

/// Whom a running Alertmanager leads an alert to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Led {
    /// The receivers.
    pub(crate) receivers: BTreeSet<String>,
    /// Why none of them is told, where that is so.
    pub(crate) kept_quiet: Option<String>,
}

/// Sends a running Alertmanager an alert, asks whom it leads it to, and takes the alert back; `None` where the stack
/// has no Alertmanager.
pub(crate) async fn ask_route(instruments: &Instruments, labels: &Labels) -> Result<Option<Led>, Error> {
    let said = |error: super::alertmanager::Error| Error::Alertmanager(error.to_string());
    let Some(address) = &instruments.alertmanager else { return Ok(None) };
    let client = Client::new(address).map_err(said)?;
    let now = instruments.time().await?;
    let ends = now.saturating_add(HOLDS).unwrap_or(now);
    client.send(labels, ends).await.map_err(said)?;
    let deadline = Instant::now() + PATIENCE;
    let held = loop {
        let all = client.alerts().await.map_err(said)?;
        if let Some(held) = all.into_iter().find(|held| held.labels == *labels) {
            break Some(held);
        }
        if Instant::now() > deadline {
            break None;
        }
        tokio::time::sleep(PAUSE).await;
    };
    client.send(labels, now).await.map_err(said)?;
    let Some(held) = held else {
        let why = format!("it took the alert, and does not have it within {} s", PATIENCE.as_secs());
        return Err(Error::Alertmanager(why));
    };
    let quiet = held.is_suppressed().then(|| "Alertmanager keeps this quiet".to_owned());
    Ok(Some(Led { receivers: held.receivers.into_iter().collect(), kept_quiet: quiet }))
}

/// Why an alert does not come to a receiver: the matcher that keeps it from it, or the route that takes it before;
/// and what would mend that.
pub(crate) fn led_away(
    labels: &Labels,
    told: &BTreeSet<String>,
    meant: &At<String>,
    routing: &Config,
) -> (Option<(Place, String)>, String) {
    let carries = format!("it carries {}", describe(labels));
    let mut refused = None;
    for way in ways_to(&routing.root, meant) {
        match first_refusal(&way, labels) {
            Some(matcher) => refused = refused.or(Some(matcher)),
            None => return taken_before(&way, told, routing, labels, &carries),
        }
    }
    let Some(matcher) = refused else { return (None, carries) };
    let has = labels
        .get(&matcher.name)
        .map_or("has no such label".to_owned(), |value| format!("has `{}=\"{value}\"`", matcher.name));
    (Some((matcher.place, format!("the way to `{meant}`: this alert {has}"))), carries)
}

/// Every route to a receiver, each behind those that lead to it.
fn ways_to<'r>(root: &'r Route, receiver: &str) -> Vec<Vec<&'r Route>> {
    let mut found = Vec::new();
    if root.receiver.value == receiver {
        found.push(vec![root]);
    }
    for inner in &root.routes {
        found.extend(ways_to(inner, receiver).into_iter().map(|mut way| {
            way.insert(0, root);
            way
        }));
    }
    found
}

/// The first matcher on a way that does not take an alert.
fn first_refusal<'r>(way: &[&'r Route], labels: &Labels) -> Option<&'r At<Matcher>> {
    let value = |name: &str| labels.get(name).map_or("", String::as_str);
    way.iter().flat_map(|route| &route.matchers).find(|matcher| !matcher.takes(value(&matcher.name)))
}

/// The way is right, and another route takes the alert before it.
fn taken_before(
    way: &[&Route],
    told: &BTreeSet<String>,
    routing: &Config,
    labels: &Labels,
    carries: &str,
) -> (Option<(Place, String)>, String) {
    let taking = routing.routes_of(labels).into_iter().find(|route| told.contains(&route.receiver.value));
    let Some(taking) = taking else { return (None, carries.to_owned()) };
    let is_within = way.last().is_some_and(|last| last.all().iter().any(|one| one.place == taking.place));
    let help = if is_within {
        "a route within the right one takes it: write its receiver there, too"
    } else {
        "move the right route before this one, or give this one `continue: true`"
    };
    let place = taking.matchers.first().map_or(taking.place, |matcher| matcher.place);
    (Some((place, "this route takes it".to_owned())), format!("{help}; {carries}"))
}
