//! What is done to one request.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::fault::relay::force::Armed;
use crate::scenario::fault::traffic::{Answer, Interference, Requests};

/// What all faults together do to a request.
#[derive(Debug, Default)]
pub(super) struct Verdict<'a> {
    /// It arrives so much later.
    pub(super) delay: Duration,
    /// Because of these.
    pub(super) delayed_by: Vec<&'a Arc<Armed>>,
    /// It is answered in the service's stead.
    pub(super) answer: Option<(&'a Answer, Arc<Armed>)>,
    /// It resets its connection.
    pub(super) abort: Option<Arc<Armed>>,
    /// Its answer resets its connection, after so many bytes.
    pub(super) cut: Option<(u64, Arc<Armed>)>,
    /// Its answer is changed.
    pub(super) corrupt: Vec<Arc<Armed>>,
}

impl<'a> Verdict<'a> {
    /// On the request of that number; where two faults want the same, the older does it.
    pub(super) fn on(method: &str, path: &str, number: u64, faults: &'a [Arc<Armed>]) -> Self {
        let mut verdict = Self::default();
        for armed in faults {
            let mut chance = armed.chance(number);
            let mut strikes = |requests: &Requests| {
                let strikes = requests.mean(method, path) && chance.strikes(requests.share);
                if strikes {
                    armed.felt.requests.one();
                }
                strikes
            };
            match &armed.does {
                Interference::Status(answer, requests) => {
                    if strikes(requests) {
                        verdict.answer.get_or_insert_with(|| (answer, Arc::clone(armed)));
                    }
                }
                Interference::Delay(lag, requests) => {
                    if strikes(requests) {
                        let lag = lag.quantile(chance.draw());
                        verdict.delayed_by.push(armed);
                        verdict.delay = verdict.delay.saturating_add(lag);
                    }
                }
                Interference::Abort(abort, requests) => {
                    let strikes = strikes(requests);
                    if strikes && abort.after.0 == 0 {
                        verdict.abort.get_or_insert_with(|| Arc::clone(armed));
                    } else if strikes {
                        verdict.cut.get_or_insert_with(|| (abort.after.0, Arc::clone(armed)));
                    }
                }
                Interference::Corrupt(requests) => {
                    if strikes(requests) {
                        verdict.corrupt.push(Arc::clone(armed));
                    }
                }
                Interference::Latency(..)
                | Interference::Bandwidth(..)
                | Interference::Reset(_)
                | Interference::Blackhole(_)
                | Interference::Refuse
                | Interference::Slice(..)
                | Interference::Limit(..) => {}
            }
        }
        verdict
    }
}

impl Answer {
    /// As it is sent.
    pub(super) fn bytes(&self, without_body: bool, last: bool) -> Vec<u8> {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let reason = status.canonical_reason().unwrap_or("Fault");
        let end = if last { "connection: close\r\n" } else { "" };
        let length = self.body.len();
        let body = if without_body { "" } else { &self.body };
        format!(
            "HTTP/1.1 {} {reason}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {length}\r\n\
             x-firedrill-fault: status\r\n{end}\r\n{body}",
            status.as_u16()
        )
        .into_bytes()
    }
}
