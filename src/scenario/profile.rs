//! Profiles: what a stand-in answers, says over WebSocket and exposes to Prometheus.

mod call;
mod log;
mod metric;
mod path;
mod route;
mod socket;
mod spread;
#[cfg(test)]
mod tests;
mod written;

use std::collections::HashMap;
use std::time::Duration;

use http::Method;

pub use self::call::Call;
pub use self::log::Log;
pub use self::metric::{Course, Family, Moved, Series};
pub use self::path::PathPattern;
pub use self::route::{Answer, Body, Errors, Expects, Route};
pub use self::socket::{Reply, Socket, Stream, When};
pub use self::spread::{Latency, Spread};
pub use self::written::{After, CheckStatus, Counted, Facet, Followed, Observed, ProfileFile, Status};
use self::written::{CheckFile, CheckWritten, HealthFile, MetricsFile, ReadyFile};
use crate::finding::{Code, Finding, Findings, nearest};
use crate::scenario::template::{Hole, Template};
use crate::source::{At, Place};
use crate::units::Ratio;
use crate::yaml::{Kind, Node, read};

/// What the texts a stand-in sends may hold, as `${sequence}`.
///
/// `sequence` counts the answers of a route or the messages of a stream from 1, `now` is the time as RFC 3339
/// writes it, `uptime` the whole seconds since the start, `version` the profile's.
pub const NAMES: [&str; 4] = ["sequence", "now", "uptime", "version"];

/// A service to be played.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// What it is.
    pub about: Option<String>,
    /// What `/version` and `/health` say.
    pub version: String,
    /// Its health endpoint.
    pub health: Health,
    /// Its readiness endpoint.
    pub ready: Ready,
    /// What it answers over HTTP; no two routes share method and path.
    pub routes: Vec<Route>,
    /// Its WebSocket endpoints.
    pub sockets: Vec<Socket>,
    /// What it logs of each request to a route, where it logs.
    pub log: Option<Log>,
    /// The share of traces that are recorded, among those that begin here.
    pub sampling: Ratio,
    /// Where its metrics page is.
    pub metrics: PathPattern,
    /// What stands on that page, in order.
    pub families: Vec<Family>,
}

/// How a service says that it is healthy.
#[derive(Debug, Clone)]
pub struct Health {
    /// Where.
    pub path: PathPattern,
    /// What it claims.
    pub status: Status,
    /// Its components by name.
    pub checks: Vec<(String, Check)>,
}

/// One component of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// How it is.
    pub status: CheckStatus,
    /// How long it took to find out.
    pub latency: Duration,
    /// What there is to say about it.
    pub message: Option<String>,
}

/// How a service says that it takes requests.
#[derive(Debug, Clone)]
pub struct Ready {
    /// Where.
    pub path: PathPattern,
    /// Whether it does.
    pub ready: bool,
    /// What it depends on, and how each is called; decides the body's shape where there are any.
    pub services: Vec<(String, String)>,
}

impl Profile {
    /// Everybody that it asks.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.routes.iter().flat_map(|route| &route.calls)
    }

    /// Likewise, to be told where they are.
    pub fn calls_mut(&mut self) -> impl Iterator<Item = &mut Call> {
        self.routes.iter_mut().flat_map(|route| &mut route.calls)
    }
}

/// Reads a profile.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check(node: &Node) -> Result<Profile, Vec<Finding>> {
    let file: ProfileFile = read(node)?;
    let mut findings = Findings::default();
    let mut claims = Claims::default();
    if file.stand_in.trim().is_empty() {
        let title = "a stand-in has a name";
        findings.add(Finding::new(Code::FileValue, file.stand_in.place, title));
    }
    let health = health(file.health, &mut claims, &mut findings);
    let ready = ready(file.ready, &mut claims, &mut findings);
    let (metrics, families) = metrics(file.metrics, &mut claims, &mut findings);
    let routes = file.routes.into_iter();
    let routes = routes.filter_map(|file| route::check(file, &mut claims, &mut findings)).collect();
    let sockets = file.websockets.into_iter();
    let sockets = sockets.filter_map(|file| socket::check(file, &mut claims, &mut findings)).collect();
    findings.extend(claims.conflicts);
    let profile = Profile {
        name: file.stand_in.value,
        about: file.about,
        version: file.version.unwrap_or_else(|| "0.0.0".to_owned()),
        health,
        ready,
        routes,
        sockets,
        log: file.log.map(|file| log::check(file, &mut findings)),
        sampling: file.sampling.unwrap_or(Ratio::ONE),
        metrics,
        families,
    };
    if findings.is_empty() { Ok(profile) } else { Err(findings.in_reading_order()) }
}

fn health(file: Option<At<HealthFile>>, claims: &mut Claims, findings: &mut Findings) -> Health {
    let Some(At { value: file, place }) = file else {
        return Health { path: PathPattern::literal("/health"), status: Status::Healthy, checks: Vec::new() };
    };
    let path = own_path(file.path, "/health", place, claims, findings);
    let checks = file.checks.0.into_iter();
    let checks: Vec<(String, Check)> = checks
        .filter_map(|(name, written)| Some((name.value, findings.take_all(component(&written))?)))
        .collect();
    let worst = checks.iter().map(|(_, check)| check.status).max();
    let status = file.status.unwrap_or(match worst {
        None | Some(CheckStatus::Ok) => Status::Healthy,
        Some(CheckStatus::Warning) => Status::Degraded,
        Some(CheckStatus::Error) => Status::Down,
    });
    Health { path, status, checks }
}

/// How long a check takes unless the file says.
const CHECK_TOOK: Duration = Duration::from_millis(1);

fn component(CheckWritten(written): &CheckWritten) -> Result<Check, Vec<Finding>> {
    let file = match &written.0.kind {
        Kind::Text(_) => CheckFile { status: read(&written.0)?, latency: None, message: None },
        Kind::Null | Kind::Bool(..) | Kind::Int(..) | Kind::Float(..) | Kind::List(_) | Kind::Map(_) => {
            read(&written.0)?
        }
    };
    let latency = file.latency.map_or(CHECK_TOOK, |span| span.0);
    Ok(Check { status: file.status, latency, message: file.message })
}

fn ready(file: Option<At<ReadyFile>>, claims: &mut Claims, findings: &mut Findings) -> Ready {
    let Some(At { value: file, place }) = file else {
        return Ready { path: PathPattern::literal("/ready"), ready: true, services: Vec::new() };
    };
    Ready {
        path: own_path(file.path, "/ready", place, claims, findings),
        ready: file.ready.unwrap_or(true),
        services: file.services.0.into_iter().map(|(name, called)| (name.value, called)).collect(),
    }
}

fn metrics(
    file: Option<At<MetricsFile>>,
    claims: &mut Claims,
    findings: &mut Findings,
) -> (PathPattern, Vec<Family>) {
    let Some(At { value: file, place }) = file else {
        return (PathPattern::literal("/metrics"), Vec::new());
    };
    let path = own_path(file.path, "/metrics", place, claims, findings);
    (path, metric::check(file.families.0, findings))
}

/// The path of an endpoint that every stand-in has, where the file speaks of it.
fn own_path(
    written: Option<At<String>>,
    default: &str,
    section: Place,
    claims: &mut Claims,
    findings: &mut Findings,
) -> PathPattern {
    let written = written.unwrap_or_else(|| At::new(default.to_owned(), section));
    findings.take(claims.claim(&Method::GET, &written)).unwrap_or_else(|| PathPattern::literal(default))
}

/// Which paths are taken, and by what.
#[derive(Default)]
struct Claims {
    taken: HashMap<(Method, String), Place>,
    conflicts: Vec<Finding>,
}

impl Claims {
    /// Reads a path and takes it for a method.
    fn claim(&mut self, method: &Method, written: &At<String>) -> Result<PathPattern, Finding> {
        let path = PathPattern::parse(written)
            .map_err(|why| Finding::new(Code::ProfileRoute, written.place, why))?;
        match self.taken.get(&(method.clone(), path.shape())) {
            None => {
                self.taken.insert((method.clone(), path.shape()), written.place);
            }
            Some(first) => {
                let title = format!("`{method} {path}` is answered twice");
                let finding = Finding::new(Code::ProfileTaken, written.place, title);
                self.conflicts.push(finding.label("again here").also(*first, "answered here"));
            }
        }
        Ok(path)
    }
}

/// Notes every hole that has no meaning in what a stand-in sends.
fn check_holes<'t>(holes: impl Iterator<Item = &'t Hole>, place: Place, findings: &mut Findings) {
    check_holes_of(holes, place, &NAMES, findings);
}

fn check_holes_of<'t>(
    holes: impl Iterator<Item = &'t Hole>,
    place: Place,
    names: &[&str],
    findings: &mut Findings,
) {
    for hole in holes.filter(|hole| !names.contains(&hole.name.as_str())) {
        let finding = Finding::new(Code::FileValue, place, format!("`{}` has no value here", hole.name));
        findings.add(match nearest(&hole.name, names.iter().copied()) {
            Some(name) => finding.label(format!("did you mean `{name}`?")),
            None => finding.help(format!("a stand-in knows {}", names.join(", "))),
        });
    }
}

/// Notes what is wrong with the texts in a JSON tree, each at its own place.
fn check_texts(node: &Node, findings: &mut Findings) {
    check_texts_of(node, &NAMES, findings);
}

fn check_texts_of(node: &Node, names: &[&str], findings: &mut Findings) {
    match &node.kind {
        Kind::Text(text) => match Template::parse(text) {
            Ok(template) => check_holes_of(template.holes(), node.place, names, findings),
            Err(why) => findings.add(Finding::new(Code::FileValue, node.place, why)),
        },
        Kind::List(items) => items.iter().for_each(|item| check_texts_of(item, names, findings)),
        Kind::Map(entries) => entries.iter().for_each(|(_, value)| check_texts_of(value, names, findings)),
        Kind::Null | Kind::Bool(..) | Kind::Int(..) | Kind::Float(..) => {}
    }
}
