//! What answers at an address: health, readiness, an `OpenAPI` document, metrics; and what alerts watch it.

use std::time::Duration;

use serde_json::Value;
use url::Url;

use crate::exposition::{self, Dialect, Kind};
use crate::prometheus::{Access, Client, Limits};
use crate::report::on_one_line;

/// How long one answer may take; whoever is slower is asked by hand.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where systems say how they are, the likeliest first.
const HEALTH: [&str; 6] = ["health", "healthz", "livez", "health/live", "actuator/health", "-/healthy"];
const READY: [&str; 5] = ["ready", "readyz", "health/ready", "actuator/health/readiness", "-/ready"];
const OPENAPI: [&str; 4] = ["openapi.json", "swagger.json", "v3/api-docs", "api/openapi.json"];

/// Operations, metrics and alerts that are taken up; a first file is to be read by a person.
const MOST: usize = 5;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The address, without a slash at its end.
    pub(super) url: String,
    /// What the system is called here.
    pub(super) name: String,
    pub(super) health: Option<Answers>,
    pub(super) ready: Option<Answers>,
    /// Paths that can be read without knowing anything, from its `OpenAPI` document.
    pub(super) reads: Vec<String>,
    pub(super) metrics: Vec<Metric>,
    /// How many families its metrics page has.
    pub(super) families: usize,
    /// Alerts that its Prometheus knows; `None` where none was asked.
    pub(super) alerts: Option<Vec<String>>,
}

/// A path that says how the system is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answers {
    pub(super) path: String,
    /// Whether it says so in words that a step of this kind reads, and not by its status alone.
    pub(super) in_words: bool,
}

/// A family of its metrics page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metric {
    pub(super) name: String,
    pub(super) counter: bool,
}

/// Asks the system, and its Prometheus.
///
/// # Errors
/// When nothing answers there at all.
pub(super) async fn look(url: &Url, prometheus: Option<&str>) -> Result<Found, String> {
    let base = url.as_str().trim_end_matches('/').to_owned();
    let client = client(&base)?;
    let mut found = Found { name: name(url), url: base.clone(), ..Found::default() };
    found.health = first(&client, &HEALTH, "status").await;
    found.ready = first(&client, &READY, "ready").await;
    for path in OPENAPI {
        if let Some(document) = page(&client, path).await.and_then(|page| serde_json::from_slice(&page).ok())
        {
            found.reads = reads(&document);
            break;
        }
    }
    if let Some(page) = page(&client, "metrics").await {
        let page = String::from_utf8_lossy(&page);
        let families = exposition::parse(&page, Dialect::Text).unwrap_or_default();
        found.families = families.len();
        found.metrics = metrics(&families);
    }
    let nothing =
        found.health.is_none() && found.ready.is_none() && found.reads.is_empty() && found.families == 0;
    if nothing && let Err(error) = client.page("").await {
        return Err(format!("nothing that could be begun with answers at `{base}`: {error}"));
    }
    if let Some(address) = prometheus {
        found.alerts = Some(alerts(address).await?);
    }
    Ok(found)
}

fn client(address: &str) -> Result<Client, String> {
    let limits = Limits { timeout: PATIENCE, ..Limits::default() };
    Client::new(&Access { limits, ..Access::to(address) }).map_err(|error| error.to_string())
}

async fn page(client: &Client, path: &str) -> Option<Vec<u8>> {
    client.page(path).await.ok()
}

/// The first of these paths that answers well, and whether its JSON has this key.
async fn first(client: &Client, paths: &[&str], key: &str) -> Option<Answers> {
    for path in paths {
        let Some(body) = page(client, path).await else { continue };
        let said: Option<Value> = serde_json::from_slice(&body).ok();
        let in_words = said.is_some_and(|said| said.get(key).is_some());
        return Some(Answers { path: format!("/{path}"), in_words });
    }
    None
}

/// Paths with a `get` that needs neither a parameter nor a body.
fn reads(document: &Value) -> Vec<String> {
    let Some(paths) = document.get("paths").and_then(Value::as_object) else { return Vec::new() };
    let needs = |operation: &Value| {
        let parameters = operation.get("parameters").and_then(Value::as_array);
        parameters.is_some_and(|all| all.iter().any(|one| one["required"] == Value::Bool(true)))
    };
    // What has a meaning in an address, or needs a value, is left to people.
    let plain = |path: &str| path.chars().all(|sign| sign.is_ascii_alphanumeric() || "/-_.~".contains(sign));
    let free = paths.iter().filter(|(path, item)| {
        path.starts_with('/') && plain(path) && item.get("get").is_some_and(|get| !needs(get))
    });
    free.map(|(path, _)| path.clone()).take(MOST).collect()
}

/// Families worth watching: counters of requests first, then other counters, then gauges.
fn metrics(families: &[exposition::Family]) -> Vec<Metric> {
    let own = families.iter().filter(|family| {
        let runtime = ["go_", "process_", "promhttp_", "python_", "jvm_", "nodejs_"];
        matches!(family.kind, Kind::Counter | Kind::Gauge)
            && !runtime.iter().any(|prefix| family.name.starts_with(prefix))
    });
    let mut all: Vec<_> = own
        .map(|family| Metric { name: family.name.clone(), counter: matches!(family.kind, Kind::Counter) })
        .collect();
    all.sort_by_key(|metric| (!metric.name.contains("request"), !metric.counter));
    all.truncate(MOST);
    all
}

/// The names of its alerts.
async fn alerts(address: &str) -> Result<Vec<String>, String> {
    let groups = client(address)?.rules().await.map_err(|error| error.to_string())?.data.groups;
    let alerting = groups.into_iter().flat_map(|group| group.rules).filter(|rule| rule.state.is_some());
    let mut names: Vec<_> = alerting.map(|rule| on_one_line(&rule.name)).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// The first part of the host's name, where that is a word.
fn name(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default().split('.').next().unwrap_or_default();
    let word = host.chars().all(|sign| sign.is_ascii_alphanumeric() || sign == '-')
        && host.chars().next().is_some_and(|sign| sign.is_ascii_alphabetic())
        && host != "localhost";
    if word { host.to_ascii_lowercase() } else { "service".to_owned() }
}

impl Found {
    /// What was found, a line each.
    pub(super) fn said(&self) -> Vec<String> {
        let answers = |what: &str, found: &Option<Answers>| match found {
            Some(found) => format!("  ✓ {what} at {}", found.path),
            None => format!("  - no {what} path that is usual"),
        };
        let mut lines =
            vec![on_one_line(&self.url), answers("health", &self.health), answers("readiness", &self.ready)];
        lines.push(match self.reads.len() {
            0 => "  - no OpenAPI document with anything to read".to_owned(),
            some => format!("  ✓ an OpenAPI document; {some} of its paths are taken up"),
        });
        lines.push(match self.families {
            0 => "  - no metrics page".to_owned(),
            some => format!("  ✓ metrics, {some} families"),
        });
        lines.extend(
            self.alerts.as_ref().map(|alerts| format!("  ✓ a Prometheus with {} alerts", alerts.len())),
        );
        lines
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_needs_nothing_is_read() {
        let document = json!({ "paths": {
            "/items": { "get": {}, "post": {} },
            "/items/{id}": { "get": {} },
            "/search": { "get": { "parameters": [{ "name": "q", "required": true }] } },
            "/orders": { "post": {} },
        "/a?b=c": { "get": {} },
        "/\"]: ${x} # y": { "get": {} },
        }});
        assert_eq!(reads(&document), ["/items"]);
        assert_eq!(reads(&json!({ "paths": 7 })), Vec::<String>::new());
    }

    #[rstest]
    #[case::host("https://shop.example/x", "shop")]
    #[case::address("http://127.0.0.1:8080", "service")]
    #[case::local("http://localhost", "service")]
    fn a_system_has_a_name(#[case] url: &str, #[case] wanted: &str) {
        assert_eq!(name(&url.parse().unwrap()), wanted);
    }
}
