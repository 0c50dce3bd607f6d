//! Probes as spans of OpenTelemetry, sent by OTLP over HTTP. A probe never waits for that: what cannot be sent in time is
//! given up, and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Notice, Notices};
use crate::event::{Event, Stamped};
use crate::probe::trace::Traceparent;
use crate::prometheus::{Access, Client, Limits, Setup};

/// The most spans that wait; what comes then is given up.
const MOST_WAITING: usize = 4096;

/// The most spans that are sent at once.
const MOST_AT_ONCE: usize = 512;

/// How long spans are gathered before they are sent.
const GATHER: Duration = Duration::from_secs(1);

/// How long one sending may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long is waited after one that failed.
const PAUSE: Duration = Duration::from_secs(5);

/// How long the last sending may take when serving ends.
const GRACE: Duration = Duration::from_secs(2);

/// What receivers of OTLP call it.
const PATH: &str = "v1/traces";

/// Where spans are put that are to be sent.
#[derive(Debug, Default)]
pub(super) struct Spans(Option<(mpsc::Sender<Value>, Arc<Counts>)>);

/// Who takes spans to where they are read.
pub(super) struct Courier {
    client: Client,
    spans: mpsc::Receiver<Value>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

/// How the sending goes, in spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) sent: u64,
    pub(super) failed: u64,
    pub(super) dropped: u64,
    pub(super) waiting: usize,
}

/// Both ends of the way to the receiver at `address`, if there is one.
///
/// # Errors
/// The address is none.
pub(super) fn open(address: Option<&str>) -> Result<(Spans, Option<Courier>), Setup> {
    let Some(address) = address else { return Ok((Spans::default(), None)) };
    let limits = Limits { timeout: PATIENCE, retries: 0, ..Limits::default() };
    let base = address.trim_end_matches('/').trim_end_matches(PATH);
    let client = Client::new(&Access { limits, ..Access::to(base) })?;
    let (sender, spans) = mpsc::channel(MOST_WAITING);
    let counts = Arc::new(Counts::default());
    let courier = Courier { client, spans, counts: Arc::clone(&counts) };
    Ok((Spans(Some((sender, counts))), Some(courier)))
}

impl Spans {
    /// Takes note of an attempt. One that carried no trace gets one here, so that what is shown of it can be found.
    pub(super) fn take(&self, scenario: &str, began: Timestamp, mut stamped: Stamped) -> Stamped {
        let Some((sender, counts)) = &self.0 else { return stamped };
        let at = stamped.at;
        if let Event::Attempted { evidence, .. } = &mut stamped.event {
            evidence.trace.get_or_insert_with(|| Traceparent::begin().id());
        }
        if let Some(span) = span(scenario, began, at, &stamped.event)
            && sender.try_send(span).is_err()
        {
            counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
        stamped
    }

    /// How the sending goes; `None` where nothing is sent.
    pub(super) fn tally(&self) -> Option<Tally> {
        let (sender, counts) = self.0.as_ref()?;
        Some(Tally {
            sent: counts.sent.load(Ordering::Relaxed),
            failed: counts.failed.load(Ordering::Relaxed),
            dropped: counts.dropped.load(Ordering::Relaxed),
            waiting: sender.max_capacity().saturating_sub(sender.capacity()),
        })
    }
}

/// An attempt as a span; nothing of any other event.
fn span(scenario: &str, began: Timestamp, at: u64, event: &Event) -> Option<Value> {
    let Event::Attempted { step, attempt, took, failures, evidence } = event else { return None };
    let trace = evidence.trace.as_deref()?;
    let end = began.as_nanosecond().saturating_add(at.into());
    let start = end.saturating_sub(i128::try_from(Duration::from(*took).as_nanos()).unwrap_or(0));
    let mut attributes = vec![
        text("firedrill.scenario", scenario),
        text("firedrill.step", &step.name),
        json!({ "key": "firedrill.attempt", "value": { "intValue": attempt.to_string() } }),
    ];
    if let Some(hop) = evidence.hops.last() {
        attributes.push(text("http.request.method", &hop.method));
        attributes.push(text("url.full", &hop.url));
        attributes.extend(hop.status.map(
            |status| json!({ "key": "http.response.status_code", "value": { "intValue": status.to_string() } }),
        ));
        attributes.extend(hop.peer.as_ref().map(|peer| text("network.peer.address", peer)));
    }
    let status = match failures.first() {
        None => json!({ "code": 1 }),
        Some(failure) => {
            attributes.push(text("error.type", &failure.reason.to_string()));
            json!({ "code": 2, "message": failure.drawing.title })
        }
    };
    Some(json!({
        "traceId": trace,
        "spanId": Traceparent::span_of(trace),
        "name": format!("{} {}", step.kind, step.name),
        "kind": 3,
        "startTimeUnixNano": start.to_string(),
        "endTimeUnixNano": end.to_string(),
        "attributes": attributes,
        "status": status,
    }))
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

impl Courier {
    /// Sends what comes until `stop` is cancelled, and then what is there.
    pub(super) async fn carry(mut self, notices: Notices, stop: CancellationToken) {
        let mut troubled = false;
        loop {
            let mut all = Vec::new();
            let first = self.spans.recv_many(&mut all, MOST_AT_ONCE);
            if stop.run_until_cancelled(first).await.is_none_or(|many| many == 0) {
                break;
            }
            // More may come while these wait; a full load goes at once.
            if all.len() < MOST_AT_ONCE {
                let _ = stop.run_until_cancelled(tokio::time::sleep(GATHER)).await;
            }
            self.gather(&mut all);
            let many = count(&all);
            let Some(sent) = stop.run_until_cancelled(self.client.submit(PATH, body(all))).await else {
                self.counts.failed.fetch_add(many, Ordering::Relaxed);
                break;
            };
            let address = self.client.address().to_owned();
            match sent {
                Ok(()) => {
                    self.counts.sent.fetch_add(many, Ordering::Relaxed);
                    if std::mem::take(&mut troubled) {
                        notices.send(Notice::TracesMended { address });
                    }
                }
                Err(error) => {
                    self.counts.failed.fetch_add(many, Ordering::Relaxed);
                    // Said once, not every few seconds.
                    if !std::mem::replace(&mut troubled, true) {
                        notices.send(Notice::Traces { address, error: error.to_string() });
                    }
                    let _ = stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
                }
            }
        }
        let mut rest = Vec::new();
        self.gather(&mut rest);
        if !rest.is_empty() {
            let _ = tokio::time::timeout(GRACE, self.client.submit(PATH, body(rest))).await;
        }
    }

    /// Adds what is there already.
    fn gather(&mut self, all: &mut Vec<Value>) {
        while all.len() < MOST_AT_ONCE {
            let Ok(span) = self.spans.try_recv() else { return };
            all.push(span);
        }
    }
}

fn count(all: &[Value]) -> u64 {
    u64::try_from(all.len()).unwrap_or(u64::MAX)
}

/// Spans as they are posted.
fn body(spans: Vec<Value>) -> String {
    json!({ "resourceSpans": [{
        "resource": { "attributes": [
            text("service.name", "firedrill"),
            text("service.version", env!("CARGO_PKG_VERSION")),
        ] },
        "scopeSpans": [{
            "scope": { "name": "firedrill.serve", "version": env!("CARGO_PKG_VERSION") },
            "spans": spans,
        }],
    }] })
    .to_string()
}
