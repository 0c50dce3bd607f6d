//! A Prometheus with rules and an Alertmanager with routing, both faster than in production, for series that are
//! written to them as time passes: nothing is scraped.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use super::folder::Folder;
use super::process::{Process, Program};
use super::scratch::taking;
use super::{HOST, port};
use crate::prometheus::{Access, Client};
use crate::scenario::stack::{ALERTMANAGER, HTTP, PROMETHEUS};
use crate::sink::{self, Kind as Vendor, Line, Sink};
use crate::stack::launch::{File, Launch, Shows, Way};
use crate::stack::{Error, Speed, alertmanager, prometheus};
use crate::yaml::{self, Kind, Node};

/// How long one may take to come up.
const READY: Duration = Duration::from_secs(60);

/// What they are given.
#[derive(Debug)]
pub struct Orders<'o> {
    /// Rule files by name, as they are in production.
    pub rules: &'o [(String, String)],
    /// Alertmanager's configuration as it reads it.
    pub routing: Node,
    /// By how much they are faster.
    pub speed: Speed,
    /// How often rules are evaluated whose group does not say.
    pub evaluated_every: Duration,
}

/// Both, and the sink behind them.
#[derive(Debug)]
pub struct Watchers {
    prometheus: Process,
    alertmanager: Process,
    client: Client,
    sink: Sink,
}

impl Watchers {
    /// Starts them, for the run of this name; `supervisor` is the firedrill program.
    ///
    /// # Errors
    /// When one of them does not come up.
    pub async fn start(run: &str, supervisor: PathBuf, orders: Orders<'_>) -> Result<Self, Error> {
        let id = format!("{run}-watchers-{:06x}", rand::random::<u32>() >> 8);
        let folder = Arc::new(Folder::new(&id)?);
        let no_sink = |source: std::io::Error| Error::Runtime(format!("there is no sink: {source}"));
        let http = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(no_sink)?;
        let smtp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(no_sink)?;
        let sink = sink::at(http, smtp).map_err(no_sink)?;
        let (told, scraper) = (free(ALERTMANAGER)?, free(PROMETHEUS)?);
        let program = |command: Vec<String>, launch: Launch, address: SocketAddr| Program {
            command,
            launch,
            inner: BTreeMap::from([(HTTP.to_owned(), address)]),
            folder: Arc::clone(&folder),
            run: id.clone(),
            supervisor: supervisor.clone(),
        };
        let routing = orders.speed.routes(led(orders.routing, sink.listens().http));
        let routing = File { path: "alertmanager.yml".to_owned(), bytes: yaml::print(&routing).into_bytes() };
        let dir = folder.of(ALERTMANAGER);
        let alertmanager = program(
            alertmanager::alone(&dir.display().to_string(), &told.to_string(), orders.speed),
            launch(ALERTMANAGER, vec![routing]),
            told,
        );
        let dir = folder.of(PROMETHEUS);
        let mut files = vec![File { path: "prometheus.yml".to_owned(), bytes: Vec::new() }];
        for (name, text) in orders.rules {
            let bytes = orders.speed.rules(Path::new(name), text.clone().into_bytes())?;
            files.push(File { path: format!("{}/{name}", prometheus::RULES), bytes });
        }
        let every = orders.speed.scaled(orders.evaluated_every);
        files[0].bytes = configuration(&dir, every, told).into_bytes();
        let command = command(scraper, &dir.display().to_string(), orders.speed);
        let prometheus = program(command, launch(PROMETHEUS, files), scraper);
        let (alertmanager, prometheus) = (Process::new(alertmanager)?, Process::new(prometheus)?);
        alertmanager.start().await?;
        if let Err(error) = prometheus.start().await {
            alertmanager.end().await;
            return Err(error);
        }
        let client = Client::new(&Access::to(format!("http://{scraper}")));
        let client = client.map_err(|error| failed(PROMETHEUS, error.to_string()))?;
        Ok(Self { prometheus, alertmanager, client, sink })
    }

    /// Asks the Prometheus, and writes to it.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What was delivered.
    #[must_use]
    pub fn sink(&self) -> &Sink {
        &self.sink
    }

    /// Ends them.
    pub async fn end(self) {
        self.prometheus.end().await;
        self.alertmanager.end().await;
        self.sink.close().await;
    }
}

fn failed(service: &str, why: String) -> Error {
    Error::Start { service: service.to_owned(), why }
}

fn free(service: &str) -> Result<SocketAddr, Error> {
    let number =
        port::free(HOST).map_err(|error| failed(service, format!("there is no free port: {error}")))?;
    Ok(SocketAddr::new(HOST, number))
}

/// Every receiver as a webhook at the sink; its own texts are not what is compared. Nothing is muted by the calendar,
/// which another day has.
fn led(mut routing: Node, sink: SocketAddr) -> Node {
    let place = routing.place;
    for section in ["global", "templates", "tracing"] {
        routing.take(section);
    }
    if let Some(route) = routing.get_mut("route") {
        unmuted(route);
    }
    for receiver in routing.get_mut("receivers").map(Node::items_mut).unwrap_or_default() {
        let name = receiver.get("name").and_then(Node::scalar).unwrap_or_default().to_owned();
        let silent = receiver.entries_mut().is_none_or(|entries| entries.len() < 2);
        receiver.entries_mut().into_iter().for_each(|entries| entries.retain(|(key, _)| key.name == "name"));
        if silent {
            continue;
        }
        let line = Line { receiver: Some(name), kind: Vendor::Webhook, index: 0 };
        let mut webhook = Node { place, kind: Kind::Map(Vec::new()) };
        webhook.set("url", Kind::Text(format!("http://{sink}{}", line.path())));
        webhook.set("send_resolved", Kind::Bool(true, "true".to_owned()));
        receiver.set("webhook_configs", Kind::List(vec![webhook]));
    }
    routing
}

fn unmuted(route: &mut Node) {
    route.take("mute_time_intervals");
    route.take("active_time_intervals");
    route.get_mut("routes").map(Node::items_mut).unwrap_or_default().iter_mut().for_each(unmuted);
}

fn configuration(dir: &Path, every: Duration, alertmanager: SocketAddr) -> String {
    let rules = dir.join(prometheus::RULES).join("*.yml");
    let every = prometheus::written(every);
    format!(
        "global: {{ evaluation_interval: {every} }}\nrule_files: [{:?}]\nalerting:\n  alertmanagers: [{{ static_configs: [{{ targets: [{:?}] }}] }}]\n",
        rules.display().to_string(),
        alertmanager.to_string()
    )
}

fn command(address: SocketAddr, dir: &str, speed: Speed) -> Vec<String> {
    let mut command = taking(address, dir);
    command.extend(speed.flags());
    command
}

pub(super) fn launch(name: &str, files: Vec<File>) -> Launch {
    Launch {
        name: name.to_owned(),
        way: Way::Program { image: None, entrypoint: None, command: None, process: None },
        env: Vec::new(),
        files,
        volumes: vec!["data".to_owned()],
        ports: Vec::new(),
        datagrams: BTreeSet::new(),
        sign: Shows::Http { port: HTTP.to_owned(), path: "/-/ready".to_owned() },
        within: READY,
        after: Vec::new(),
        setup: Vec::new(),
        user: None,
    }
}
