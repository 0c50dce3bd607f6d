//! What a stand-in answers to one request.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::call;
use super::journal::{Entry, Journal, Output};
use super::metrics::{Metrics, Served};
use super::pose::Poses;
use super::reply::{Refusal, Reply, admit, json_reply, read};
use super::text::{Names, Text, content_type, now};
use super::trace::Trace;
use super::websocket::{Endpoint, Upgrade};
use crate::exposition::{Dialect, Family, print};
use crate::scenario::profile::{CheckStatus, Followed, Health, PathPattern, Profile, Ready, Route, Status};
use crate::units::Ratio;

/// Everything that the connections of one stand-in share.
#[derive(Debug)]
pub(super) struct Service {
    version: String,
    health: Health,
    ready: Ready,
    page: PathPattern,
    routes: Vec<Player>,
    sockets: Vec<Arc<Endpoint>>,
    /// The answer to paths that are not known.
    lost: Bytes,
    /// What unknown paths are called in metrics.
    other: Arc<str>,
    pub(super) names: Names,
    pub(super) metrics: Metrics,
    pub(super) poses: Poses,
    journal: Option<Journal>,
    sampling: Ratio,
}

/// A route and where its chances stand.
#[derive(Debug)]
struct Player {
    route: Route,
    label: Arc<str>,
    text: Text,
    dice: Mutex<Dice>,
}

/// The chances of one route: its nth request always draws the same.
#[derive(Debug)]
struct Dice {
    rng: StdRng,
    drawn: u64,
}

/// What one request drew.
#[derive(Debug, Clone, Copy)]
struct Draw {
    /// Which request of its route it is, from 1.
    sequence: u64,
    fortune: Ratio,
    slowness: Ratio,
}

/// The WebSocket that a connection turns into after its last response.
#[derive(Debug, Default)]
pub(super) struct Upgrading(Mutex<Option<Upgrade>>);

impl Service {
    pub(super) fn new(profile: Profile, seed: u64, log: Output) -> Self {
        let lost = json!({ "error": "no such path", "known": known(&profile) }).to_string().into();
        let seeds = std::iter::successors(Some(seed), |seed| Some(seed.wrapping_add(1)));
        let mut routes: Vec<_> = profile.routes.into_iter().zip(seeds).map(Player::new).collect();
        // A path as it stands goes before one with open segments.
        routes.sort_by_key(|player| player.route.path.is_open());
        let mut sockets: Vec<_> =
            profile.sockets.iter().map(|socket| Arc::new(Endpoint::new(socket))).collect();
        sockets.sort_by_key(|endpoint| endpoint.path.is_open());
        Self {
            names: Names::new(&profile.version),
            version: profile.version,
            health: profile.health,
            ready: profile.ready,
            page: profile.metrics,
            routes,
            sockets,
            lost,
            other: Arc::from("other"),
            metrics: Metrics::new(profile.families),
            poses: Poses::default(),
            journal: profile.log.map(|wanted| Journal::new(&wanted, log)),
            sampling: profile.sampling,
        }
    }

    /// Answers a request; one for a WebSocket leaves in `upgrading` what its connection turns into.
    pub(super) async fn answer(
        self: &Arc<Self>,
        mut request: Request<Incoming>,
        upgrading: &Upgrading,
    ) -> Result<Reply, Infallible> {
        let began = Instant::now();
        let method = name(request.method());
        let path = request.uri().path().to_owned();
        // What a GET answers, a HEAD answers without the body, which the server leaves out.
        let wanted = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
        let mut here = self.routes.iter().filter(|player| player.route.path.matches(&path));
        let (label, reply) = if let Some(player) = here.clone().find(|player| player.route.method == wanted) {
            let _in_flight = InFlight::new(&self.metrics, method, &player.label);
            let trace = Trace::of(request.headers(), self.sampling);
            let reply = player.play(request, began, trace, &self.names).await;
            let (status, took) = (reply.status().as_u16(), began.elapsed());
            if let Some(journal) = &self.journal {
                journal.note(&self.names, Entry { method, path: &path, status, took, trace });
            }
            (&player.label, reply)
        } else if let Some(endpoint) = self.socket(&wanted, &path) {
            let reply = match Upgrade::accept(&mut request, endpoint, self) {
                Ok((reply, upgrade)) => {
                    upgrading.put(upgrade);
                    reply
                }
                Err(refusal) => refusal.reply(),
            };
            (&endpoint.label, reply)
        } else if let Some(reply) = self.own(&wanted, &path) {
            return Ok(reply);
        } else if let Some(player) = here.next() {
            let allowed = std::iter::once(player).chain(here).map(|player| player.route.method.as_str());
            (&player.label, not_allowed(&allowed.collect::<Vec<_>>().join(", ")))
        } else {
            (&self.other, json_reply(StatusCode::NOT_FOUND, self.lost.clone()))
        };
        let served = Served { method, route: label, status: reply.status().as_u16() };
        self.metrics.answered(served, began.elapsed());
        Ok(reply)
    }

    fn socket(&self, method: &Method, path: &str) -> Option<&Arc<Endpoint>> {
        let mut sockets = self.sockets.iter();
        sockets.find(|endpoint| *method == Method::GET && endpoint.path.matches(path))
    }

    /// The answer of an endpoint that every stand-in has.
    fn own(&self, method: &Method, path: &str) -> Option<Reply> {
        let reply = if self.health.path.matches(path) {
            self.health()
        } else if self.ready.path.matches(path) {
            self.ready()
        } else if path == "/version" {
            json_reply(StatusCode::OK, json!({ "version": self.version }).to_string().into())
        } else if self.page.matches(path) {
            let families = self.families();
            let mut reply = Response::new(Full::from(print(&families, Dialect::Text)));
            let kind = HeaderValue::from_static(Dialect::Text.content_type());
            reply.headers_mut().insert(header::CONTENT_TYPE, kind);
            reply
        } else {
            return None;
        };
        Some(if *method == Method::GET { reply } else { not_allowed("GET") })
    }

    /// What is exposed at this moment.
    pub(super) fn families(&self) -> Vec<Family> {
        let mut families = self.metrics.families(self.names.began().elapsed());
        self.poses.divert(&mut families);
        families
    }

    fn health(&self) -> Reply {
        let ailment = self.poses.ailment();
        let ailing = |name: &str| {
            let mut checks = ailment.iter().flat_map(|ailment| &ailment.checks);
            checks.find(|(ailing, _)| ailing == name).map(|(_, status)| *status)
        };
        let checks = self.health.checks.iter().map(|(name, check)| {
            let status = match ailing(name).unwrap_or(check.status) {
                CheckStatus::Ok => "ok",
                CheckStatus::Warning => "warning",
                CheckStatus::Error => "error",
            };
            let mut shown = json!({ "status": status, "latency_ms": millis(check.latency) });
            if let Some(message) = &check.message {
                shown["message"] = Value::from(message.as_str());
            }
            (name.clone(), shown)
        });
        let checks: Value = checks.collect();
        let claimed = ailment.as_ref().map_or(self.health.status, |ailment| ailment.status);
        let (status, code) = match claimed {
            Status::Healthy => ("healthy", StatusCode::OK),
            Status::Degraded => ("degraded", StatusCode::OK),
            Status::Down => ("down", StatusCode::SERVICE_UNAVAILABLE),
        };
        let body = json!({ "status": status, "timestamp": now(), "version": self.version, "checks": checks });
        json_reply(code, body.to_string().into())
    }

    fn ready(&self) -> Reply {
        let Ready { ready, services, .. } = &self.ready;
        let ready = *ready && self.poses.ailment().is_none_or(|ailment| ailment.ready);
        let body = if services.is_empty() {
            json!({ "ready": ready })
        } else {
            let services: Value = services.iter().map(|(name, is)| (name.clone(), is.as_str())).collect();
            json!({ "status": if ready { "ready" } else { "not_ready" }, "services": services })
        };
        let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        json_reply(code, body.to_string().into())
    }
}

impl Player {
    fn new((route, seed): (Route, u64)) -> Self {
        let label = Arc::from(route.path.as_str());
        let text = Text::new(&route.answer.body);
        let dice = Mutex::new(Dice { rng: StdRng::seed_from_u64(seed), drawn: 0 });
        Self { route, label, text, dice }
    }

    /// Answers a request to this route, no sooner than its latency after it `began`.
    async fn play(&self, request: Request<Incoming>, began: Instant, trace: Trace, names: &Names) -> Reply {
        let draw = self.dice.lock().unwrap_or_else(PoisonError::into_inner).draw();
        let (head, body) = request.into_parts();
        let reply = match read(body).await {
            Err(refusal) => return refusal.reply(),
            Ok(body) => match call::all(&self.route.calls, trace).await {
                Ok(()) => self.reply(&head.headers, &body, draw, names),
                Err(why) => why.reply(),
            },
        };
        if let Some(latency) = self.route.latency {
            sleep_until(began + latency.quantile(draw.slowness)).await;
        }
        reply
    }

    fn reply(&self, headers: &HeaderMap, body: &[u8], draw: Draw, names: &Names) -> Reply {
        let Route { expects, errors, answer, .. } = &self.route;
        if let Err(refusal) = admit(expects, headers, body) {
            return refusal.reply();
        }
        if let Some(errors) = errors.filter(|errors| draw.fortune < errors.share) {
            return Refusal::new(errors.status, "one of the errors that this route has a share of").reply();
        }
        let mut reply = Response::new(Full::from(self.text.fill(names, draw.sequence)));
        *reply.status_mut() = answer.status;
        if let Some(kind) = content_type(&answer.body) {
            reply.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        for (name, value) in &answer.headers {
            reply.headers_mut().insert(name, value.clone());
        }
        reply
    }
}

impl Dice {
    fn draw(&mut self) -> Draw {
        self.drawn += 1;
        let mut chance = || Ratio::new(self.rng.random()).unwrap_or(Ratio::ZERO);
        Draw { sequence: self.drawn, fortune: chance(), slowness: chance() }
    }
}

impl Upgrading {
    fn put(&self, upgrade: Upgrade) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgrade);
    }

    pub(super) fn take(&self) -> Option<Upgrade> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A request that is being answered.
struct InFlight<'s> {
    metrics: &'s Metrics,
    served: Served<'s>,
}

impl<'s> InFlight<'s> {
    fn new(metrics: &'s Metrics, method: &'static str, route: &'s Arc<str>) -> Self {
        let served = Served { method, route, status: 0 };
        metrics.enter(Followed::InFlight, served);
        Self { metrics, served }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.metrics.leave(Followed::InFlight, self.served);
    }
}

fn not_allowed(methods: &str) -> Reply {
    let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this path has other methods");
    match HeaderValue::from_str(methods) {
        Ok(methods) => refusal.with(header::ALLOW, methods).reply(),
        Err(_) => refusal.reply(),
    }
}

/// What a stand-in answers, for one that asked for something else.
fn known(profile: &Profile) -> Vec<String> {
    let own = [&profile.health.path, &profile.ready.path, &profile.metrics].map(PathPattern::as_str);
    let own = own.into_iter().chain(["/version"]).map(|path| format!("GET {path}"));
    let routes = profile.routes.iter().map(|route| format!("{} {}", route.method, route.path));
    let sockets = profile.sockets.iter().map(|socket| format!("WebSocket {}", socket.path));
    routes.chain(sockets).chain(own).collect()
}

/// A method as a label: the few that are standard, so that no client can make up series.
fn name(method: &Method) -> &'static str {
    let standard = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
    standard.into_iter().find(|known| method.as_str() == *known).unwrap_or("other")
}

/// Milliseconds as people write them: 2 and 0.5, not 2.0.
fn millis(time: Duration) -> Value {
    match u64::try_from(time.as_millis()) {
        Ok(whole) if Duration::from_millis(whole) == time => Value::from(whole),
        Ok(_) | Err(_) => Value::from(time.as_secs_f64() * 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::profile::Latency;

    #[test]
    fn draws_are_spread_as_declared() {
        let latency = Latency::through(Duration::from_millis(5), Duration::from_millis(40), None).unwrap();
        let mut dice = Dice { rng: StdRng::seed_from_u64(1), drawn: 0 };
        let mut drawn: Vec<_> = (0..20_000).map(|_| latency.quantile(dice.draw().slowness)).collect();
        drawn.sort_unstable();
        let (median, tail) = (drawn[10_000].as_secs_f64(), drawn[19_800].as_secs_f64());
        assert!((0.0048..0.0052).contains(&median), "{median}");
        assert!((0.036..0.044).contains(&tail), "{tail}");
    }
}
