//! Prometheus in a stack: the user's own configuration, led to where the stack really runs.

mod pace;
mod scrape;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use self::pace::Speed;
pub(super) use self::pace::written;
use self::scrape::Ways;
pub(super) use self::watch::{Watched, settle, settle_again};
use super::launch::{File, Launch, Shows, Way};
use super::{Error, version};
use crate::plan::{Configuration, PlannedStack};
use crate::scenario::stack::{ALERTMANAGER, HTTP, PROMETHEUS, Prometheus};
use crate::scenario::template::{Scope, Unset};
use crate::yaml::{self, Kind, Node};

/// Where it listens in a container.
pub(super) const PORT: u16 = 9090;

/// The image, unless the stack names one.
pub(super) const IMAGE: &str = "prom/prometheus:v2.42.0";

/// The program, where it is none of the stack's own.
pub(super) const PROGRAM: &str = "prometheus";

/// Where rule files are, within its folder.
pub(super) const RULES: &str = "rules";

/// Sections that would send what is rehearsed to where production's figures are, or read from there.
const AWAY: [&str; 4] = ["remote_write", "remote_read", "tracing", "scrape_config_files"];

/// What it is to be given.
pub(super) struct Given<'a> {
    pub(super) planned: &'a PlannedStack,
    /// Names as its own service sees them.
    pub(super) scope: &'a Scope,
    /// Where it reaches each service, by service and port.
    pub(super) reached: &'a BTreeMap<String, BTreeMap<String, SocketAddr>>,
    /// By how much everything goes faster than in production.
    pub(super) speed: Speed,
    /// Whether it runs in a container.
    pub(super) contained: bool,
}

/// What is launched, and what to know about it.
pub(super) struct Led {
    pub(super) launch: Launch,
    /// What of the configuration has no part in a rehearsal.
    pub(super) notes: Vec<String>,
}

/// The Prometheus of a stack, if it has one.
pub(super) fn lead(given: &Given<'_>) -> Result<Option<Led>, Error> {
    let (Some(wanted), Some(own)) = (&given.planned.stack.prometheus, &given.planned.prometheus) else {
        return Ok(None);
    };
    let unset = |unset: Unset| Error::Unset { service: PROMETHEUS.to_owned(), unset };
    let words = match &wanted.process {
        Some(command) => command.fill(given.scope).map_err(unset)?,
        None => vec![PROGRAM.to_owned()],
    };
    let mut notes = Vec::new();
    let dir = said(given.scope, "dir");
    let image = wanted.image.as_ref().map(|image| image.fill(given.scope)).transpose().map_err(unset)?;
    let image = image.unwrap_or_else(|| IMAGE.to_owned());
    let version = if given.contained { version::of_image(&image) } else { version::of(&words[0]) };
    let major = version.map_or(2, |(major, _)| major);
    let tree = readdress(given, wanted, own, major, &mut notes);
    let mut files = vec![File { path: "prometheus.yml".to_owned(), bytes: yaml::print(&tree).into_bytes() }];
    files.extend(rules(given, own)?);
    let told: Vec<_> = words[1..].iter().cloned().chain(flags(given, &dir)).collect();
    let launch = Launch {
        name: PROMETHEUS.to_owned(),
        way: Way::Program {
            entrypoint: None,
            image: Some(image),
            // The image's own entry point is the program.
            command: Some(told.clone()),
            process: Some(words.into_iter().take(1).chain(told).collect()),
        },
        env: Vec::new(),
        files,
        volumes: vec!["data".to_owned()],
        ports: vec![(HTTP.to_owned(), PORT)],
        datagrams: std::collections::BTreeSet::new(),
        sign: Shows::Http { port: HTTP.to_owned(), path: "/-/ready".to_owned() },
        within: std::time::Duration::from_secs(60),
        after: Vec::new(),
        setup: Vec::new(),
        user: None,
    };
    Ok(Some(Led { launch, notes }))
}

fn flags(given: &Given<'_>, dir: &str) -> Vec<String> {
    let mut flags = vec![
        format!("--config.file={dir}/prometheus.yml"),
        format!("--storage.tsdb.path={dir}/data"),
        format!("--web.listen-address={}:{}", said(given.scope, "host"), said(given.scope, "port.http")),
        "--web.enable-lifecycle".to_owned(),
    ];
    if given.planned.stack.shared {
        // It is emptied for each scenario.
        flags.push("--web.enable-admin-api".to_owned());
    }
    flags.extend(given.speed.flags());
    flags
}

pub(super) fn said(scope: &Scope, name: &str) -> String {
    match scope.get(name) {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

/// The configuration as the user wrote it, but that everything it names is in the stack.
fn readdress(
    given: &Given<'_>,
    wanted: &Prometheus,
    own: &Configuration,
    major: u32,
    notes: &mut Vec<String>,
) -> Node {
    let mut tree = own.tree.clone();
    let place = tree.place;
    for section in AWAY {
        if tree.take(section).is_some() {
            notes.push(format!("`{section}` of {} is left out", own.file.display()));
        }
    }
    absolute_files(&mut tree, own.file.parent().unwrap_or(Path::new("")));
    given.speed.global(&mut tree);
    let ways = Ways::new(given.planned, given.reached, wanted, major);
    if let Some(jobs) = tree.get_mut("scrape_configs") {
        for job in jobs.items_mut() {
            given.speed.job(job, &own.tree);
            ways.lead(job, notes);
        }
    }
    let rules = (0..own.others.len()).map(|number| {
        let name = rule_file(number, &own.others[number]);
        Node { place, kind: Kind::Text(format!("{}/{name}", said(given.scope, "dir"))) }
    });
    let rules = Kind::List(rules.collect());
    tree.set("rule_files", rules);
    tell(&mut tree, given.reached, own, notes);
    tree
}

/// Leads alerts to the stack's Alertmanager, where the user's configuration sends them to any.
fn tell(
    tree: &mut Node,
    reached: &BTreeMap<String, BTreeMap<String, SocketAddr>>,
    own: &Configuration,
    notes: &mut Vec<String>,
) {
    let address = reached.get(ALERTMANAGER).and_then(|ports| ports.get(HTTP));
    let told = tree.get("alerting").and_then(|alerting| alerting.get("alertmanagers"));
    let told = told.is_some_and(|told| matches!(&told.kind, Kind::List(items) if !items.is_empty()));
    match (address, told) {
        (None, true) => notes.push(format!(
            "alerts are told to nobody: {} has an Alertmanager, and the stack has none",
            own.file.display()
        )),
        (Some(_), false) => {
            notes.push(format!("alerts are told to nobody: {} names no Alertmanager", own.file.display()));
        }
        (Some(_), true) | (None, false) => {}
    }
    let place = tree.place;
    let Some(alerting) = tree.get_mut("alerting") else { return };
    let text = |text: String| Node { place, kind: Kind::Text(text) };
    let managers = address.filter(|_| told).map(|address| {
        let mut group = Node { place, kind: Kind::Map(Vec::new()) };
        group.set("targets", Kind::List(vec![text(address.to_string())]));
        let mut manager = Node { place, kind: Kind::Map(Vec::new()) };
        manager.set("static_configs", Kind::List(vec![group]));
        manager
    });
    alerting.set("alertmanagers", Kind::List(managers.into_iter().collect()));
}

/// Makes absolute what names a file beside the configuration: it is going to stand elsewhere.
fn absolute_files(node: &mut Node, folder: &Path) {
    for item in node.items_mut() {
        absolute_files(item, folder);
    }
    for (key, value) in node.entries_mut().into_iter().flatten() {
        match value.scalar().map(Path::new) {
            Some(path) if key.name.ends_with("_file") && path.is_relative() => {
                let path = folder.join(path);
                let path = std::path::absolute(&path).unwrap_or(path);
                value.kind = Kind::Text(path.display().to_string());
            }
            Some(_) => {}
            None => absolute_files(value, folder),
        }
    }
}

/// The name that a rule file has there.
fn rule_file(number: usize, path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!("{RULES}/{number:03}-{name}")
}

/// The rule files, re-timed.
fn rules(given: &Given<'_>, own: &Configuration) -> Result<Vec<File>, Error> {
    let file = |(number, path): (usize, &PathBuf)| {
        let bytes = std::fs::read(path).map_err(|source| Error::File {
            service: PROMETHEUS.to_owned(),
            path: path.clone(),
            source,
        })?;
        let bytes = given.speed.rules(path, bytes)?;
        Ok(File { path: rule_file(number, path), bytes })
    };
    own.others.iter().enumerate().map(file).collect()
}
