//! One attempt of a step: what is asked, what was wrong with the answer, what was seen and kept.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use serde_json::Value;
use tokio::time::Instant;

use super::connect::Deadline;
use super::errand::{Done, Errand};
use super::http::{Client, Exchange};
use super::logs::tail::Marks;
use super::oauth::Tokens;
use super::policy::Policy;
use super::trace::{TRACEPARENT, Traceparent};
use super::trust::Keyring;
use super::{
    answer, certificate, dns, each, exec, grpc, health, icmp, kubelet, logs, metrics, promql, talk, tls,
};
use crate::event::{Evidence, Failure, Hop};
use crate::finding::{Drawing, Severity, excerpts};
use crate::sample::{Cause, Reason};
use crate::scenario::expect::Expect;
use crate::scenario::http::Http;
use crate::scenario::network::Addresses;
use crate::scenario::probe::Probe;
use crate::scenario::step::Step;
use crate::scenario::template::{Scope, Unset};
use crate::source::{Place, Sources};

/// What a scenario's attempts share: cookies, the certificates and keys its files name, what may be connected to.
#[derive(Debug, Default)]
pub struct Session {
    /// Connections and cookies.
    pub client: Client,
    /// The certificates and keys that its files name.
    pub keyring: Arc<Keyring>,
    /// Which addresses may be connected to.
    pub policy: Arc<Policy>,
    /// The one address to ask, whatever the name resolves to.
    pub address: Option<SocketAddr>,
    /// Where the logs ended that are read, when the scenario began.
    pub marks: Arc<Marks>,
    /// The tokens that were given to it.
    pub tokens: Arc<Tokens>,
    /// Whether each attempt begins a trace, also where its step does not ask for one.
    pub traced: bool,
}

impl Session {
    /// A session of the same scenario with cookies of its own.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self {
            client: Client::default(),
            keyring: Arc::clone(&self.keyring),
            policy: Arc::clone(&self.policy),
            address: self.address,
            marks: Arc::clone(&self.marks),
            tokens: Arc::clone(&self.tokens),
            traced: self.traced,
        }
    }

    /// A session that asks this one address, with the cookies there are so far.
    pub(super) fn pinned(&self, address: SocketAddr) -> Self {
        let client = Client::with(self.client.jar.clone());
        Self { client, address: Some(address), ..self.apart() }
    }
}

/// What one attempt gave.
#[derive(Debug, Default)]
pub struct Attempt {
    /// From its beginning to its end; of echoes, the slowest.
    pub took: Duration,
    /// What was wrong; nothing when it passed.
    pub breaches: Vec<Breach>,
    /// What was seen.
    pub evidence: Evidence,
    /// What was kept: name, value, whether it must not be seen.
    pub captured: Vec<(String, Value, bool)>,
    /// What is known of the trace that it began, by its names.
    pub trace: Vec<(&'static str, String)>,
}

impl Attempt {
    /// An attempt that came to nothing.
    pub(super) fn lost(breach: Breach, took: Duration) -> Self {
        Self { took, breaches: vec![breach], ..Self::default() }
    }
}

/// One thing that was wrong, and the place in the user's file that wanted it otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// The one reason, for counting.
    pub reason: Reason,
    /// What was wanted is written here.
    pub place: Place,
    /// What was wrong: `status is 503, not 200`.
    pub title: String,
    /// Said under the caret.
    pub label: String,
    /// What was received, where that helps.
    pub help: Option<String>,
}

impl Breach {
    /// A breach of what stands at `place`.
    pub fn new(reason: Reason, place: Place, title: impl Into<String>, label: impl Into<String>) -> Self {
        Self { reason, place, title: title.into(), label: label.into(), help: None }
    }

    /// No complete answer came to what stands at `place`.
    #[must_use]
    pub fn lost(cause: Cause, place: Place) -> Self {
        Self::new(cause.reason, place, cause.message, cause.reason.to_string())
    }

    /// Says what was received.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Says something more.
    pub(super) fn note(&mut self, text: &str) {
        self.help = Some(match self.help.take() {
            Some(help) => format!("{help}; {text}"),
            None => text.to_owned(),
        });
    }

    /// The breach with the text it points at.
    #[must_use]
    pub fn draw(&self, sources: &Sources) -> Failure {
        let labels = std::iter::once((self.place, self.label.as_str(), true));
        let drawing = Drawing {
            severity: Severity::Error,
            code: None,
            title: self.title.clone(),
            excerpts: excerpts(labels, sources),
            help: self.help.clone(),
        };
        Failure { reason: self.reason, drawing }
    }
}

/// Makes one attempt of a step, by its probe, with one deadline over all that belongs to it.
///
/// # Errors
/// When a name that the step needs has no value.
pub async fn attempt(
    step: &Step,
    probe: &Probe,
    timeout: Duration,
    scope: &Scope,
    session: &mut Session,
) -> Result<Attempt, Unset> {
    let deadline = Deadline::after(timeout);
    match probe.told().target().filter(|target| target.network.addresses == Addresses::All) {
        Some(target) => each::attempt(step, probe, target, scope, session, &deadline).await,
        None => at_one(step, probe, scope, session, &deadline).await,
    }
}

/// Makes one attempt at the address that is asked.
pub(super) async fn at_one(
    step: &Step,
    probe: &Probe,
    scope: &Scope,
    session: &mut Session,
    deadline: &Deadline,
) -> Result<Attempt, Unset> {
    let began = Instant::now();
    let trace = (session.traced || probe.told().traces()).then(Traceparent::begin);
    let scope = &*Traceparent::within(trace, scope);
    let mut seen = match probe {
        Probe::Http(http) => {
            let (mut seen, exchange) = send(http, scope, session, trace, deadline).await?;
            if let Some(response) = seen.response(exchange, http.url.place) {
                seen.breaches.extend(answer::breaches(&step.expect, &response, http.url.place, scope));
                answer::capture(&step.captures, &response, &mut seen);
            }
            seen
        }
        Probe::Health(wanted) => {
            let (mut seen, exchange) = send(&wanted.request, scope, session, trace, deadline).await?;
            if let Some(response) = seen.response(exchange, wanted.request.url.place) {
                health::judge(wanted, &response, &mut seen);
                seen.breaches.extend(answer::further_breaches(&step.expect, &response, scope));
                answer::capture(&step.captures, &response, &mut seen);
            }
            seen
        }
        Probe::Metrics(wanted) => {
            let (mut seen, exchange) = send(&wanted.request, scope, session, trace, deadline).await?;
            if let Some(response) = seen.response(exchange, wanted.request.url.place) {
                let unexpected = answer::breaches(&step.expect, &response, wanted.request.url.place, scope);
                if unexpected.is_empty() {
                    metrics::judge(wanted, &response, scope, &mut seen);
                }
                seen.breaches.extend(unexpected);
                answer::capture(&step.captures, &response, &mut seen);
            }
            seen
        }
        Probe::WebSocket(wanted) => {
            talk::websocket(wanted, &step.captures, scope, session, trace, deadline).await?
        }
        Probe::Tcp(wanted) => talk::tcp(wanted, &step.captures, scope, session, deadline).await?,
        Probe::Kubelet(wanted) => kubelet::attempt(wanted, &step.expect, scope, session).await?,
        Probe::Exec(wanted) => exec::attempt(wanted, &step.expect, &step.captures, scope, deadline).await?,
        Probe::Grpc(wanted) => grpc::attempt(wanted, &step.expect, scope, session, deadline).await?,
        Probe::Promql(wanted) => promql::attempt(wanted, step, scope, session, deadline).await?,
        Probe::Logs(wanted) => {
            logs::attempt(wanted, &step.expect, &step.captures, scope, session, deadline).await?
        }
        Probe::Tls(wanted) => tls::attempt(wanted, &step.expect, scope, session, deadline).await?,
        Probe::Dns(wanted) => dns::attempt(wanted, &step.expect, scope, session, deadline).await?,
        Probe::Icmp(wanted) => icmp::attempt(wanted, &step.expect, scope, session, deadline).await?,
    };
    let took = seen.latency.unwrap_or_else(|| began.elapsed().saturating_sub(seen.prepared));
    let phases = seen.evidence.hops.last().map(|hop| hop.phases).unwrap_or_default();
    seen.breaches.extend(answer::late(&step.expect, took, &phases, scope));
    seen.certify(&step.expect, scope);
    let Seen { breaches, evidence, captured, .. } = seen;
    let trace = trace.iter().flat_map(Traceparent::told).collect();
    Ok(Attempt { took, breaches, evidence, captured, trace })
}

/// Sends a request, and notes what came of it.
async fn send(
    http: &Http,
    scope: &Scope,
    session: &mut Session,
    trace: Option<Traceparent>,
    deadline: &Deadline,
) -> Result<(Seen, Exchange), Unset> {
    // One that the file itself names is the one that is sent.
    let trace = trace.filter(|_| http.headers.iter().all(|(name, _)| *name != TRACEPARENT));
    let done = match Errand::fill(http, scope, session)? {
        Ok(errand) => errand.run(&mut session.client, trace, deadline).await,
        Err(cause) => Done::lost(cause),
    };
    let mut seen = Seen::of(&done.exchange, http);
    seen.prepared = done.prepared;
    seen.traced(trace);
    Ok((seen, done.exchange))
}

/// What an attempt has seen so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) breaches: Vec<Breach>,
    pub(super) evidence: Evidence,
    pub(super) captured: Vec<(String, Value, bool)>,
    /// The certificates the peer presented last, leaf first.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// What counts as the time it took, where that is not the whole attempt.
    pub(super) latency: Option<Duration>,
    /// How much of the attempt was our own time, before the target was asked.
    pub(super) prepared: Duration,
    /// The trace that it began.
    pub(super) trace: Option<Traceparent>,
}

/// How much of a body is kept as evidence, in bytes.
const BODY_KEPT: usize = 2048;

/// How many headers are kept as evidence.
const HEADERS_KEPT: usize = 32;

impl Seen {
    /// The hops of an exchange, and what is worth keeping of its answer.
    pub(super) fn of(exchange: &Exchange, http: &Http) -> Self {
        let hops = exchange.hops.iter().map(|hop| Hop {
            method: hop.method.to_string(),
            url: hop.url.to_string(),
            peer: hop.peer.map(|peer| peer.to_string()),
            version: hop.version.map(|version| format!("{version:?}")),
            status: hop.status.map(|status| status.as_u16()),
            phases: hop.phases,
        });
        let mut evidence = Evidence { hops: hops.collect(), ..Evidence::default() };
        if let Ok(response) = &exchange.result {
            let headers = response.headers.iter().take(HEADERS_KEPT);
            evidence.headers = headers
                .map(|(name, value)| {
                    (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
                })
                .collect();
            evidence.body_size = u64::try_from(response.body.len()).ok();
            if !response.body.is_empty() && http.method != http::Method::HEAD {
                evidence.body = Some(beginning(&response.body));
            }
        }
        let chain = exchange.hops.last().map(|hop| hop.chain.clone()).unwrap_or_default();
        Self { evidence, chain, ..Self::default() }
    }

    /// Notes the trace that the attempt began.
    pub(super) fn traced(&mut self, trace: Option<Traceparent>) {
        self.evidence.trace = trace.map(|trace| trace.id());
        self.trace = trace;
    }

    /// Keeps how long the certificate holds, and what of it is not as expected: also of one that was not
    /// accepted, but not of a peer that never came to show one.
    fn certify(&mut self, expect: &Expect, scope: &Scope) {
        self.evidence.certificate_until = certificate::until(&self.chain);
        let Some(wanted) = &expect.certificate else { return };
        if self.breaches.is_empty() || !self.chain.is_empty() {
            let now = jiff::Timestamp::now();
            self.breaches.extend(certificate::breaches(wanted, &self.chain, now, scope));
        }
    }

    /// The answer, or else the breach that there was none.
    pub(super) fn response(&mut self, exchange: Exchange, place: Place) -> Option<super::http::Response> {
        exchange.result.map_err(|cause| self.breaches.push(Breach::lost(cause, place))).ok()
    }
}

/// The beginning of a body, as text.
pub(super) fn beginning(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(BODY_KEPT)]);
    if body.len() > BODY_KEPT { format!("{text}…") } else { text.into_owned() }
}
