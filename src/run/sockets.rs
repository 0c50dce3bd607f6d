//! WebSocket connections that are opened, held, and spoken on meanwhile.

use std::collections::VecDeque;
use std::time::Duration;

use http::StatusCode;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use url::Host;

use super::kept::{Kept, Seen};
use crate::event::Evidence;
use crate::load::wire::{Answer, End, Line, Socket};
use crate::load::{Ledger, Leg, Shot};
use crate::probe::attempt::Breach;
use crate::probe::http::{Response, Written};
use crate::probe::weigh;
use crate::sample::{Cause, Phase, Reason};
use crate::scenario::http::Http;
use crate::scenario::load::sockets::{KEY, Sockets as Said};
use crate::scenario::template::{Scope, Unset};

/// Connections of one kind, made ready.
pub(super) struct Sockets {
    http: Http,
    written: Written,
    /// Which of the fast path's servers they go to.
    pub(super) road: usize,
    said: Said,
    message: Vec<u8>,
    /// What the server answers to the key.
    accept: String,
    timeout: Duration,
    /// The books of the round trips.
    round_trip: usize,
}

impl Sockets {
    /// Makes them ready; the books of their round trips are those of `round_trip`.
    ///
    /// # Errors
    /// When a name that the message needs has no value.
    pub(super) fn new(
        (http, said): (&Http, &Said),
        written: Written,
        (road, round_trip): (usize, usize),
        timeout: Duration,
        scope: &Scope,
    ) -> Result<Self, Unset> {
        let message = said.message.fill(scope)?.into_bytes();
        let accept = derive_accept_key(KEY.as_bytes());
        Ok(Self {
            http: http.clone(),
            written,
            road,
            said: said.clone(),
            message,
            accept,
            timeout,
            round_trip,
        })
    }

    /// The host that they go to.
    pub(super) fn host(&self) -> Host {
        self.written.to.host.clone()
    }

    /// Opens a connection and holds it to its end. What counts as its latency is how long it took to open; the time
    /// that it was held does not.
    pub(super) async fn open(
        &self,
        line: &mut Line,
        ledger: &Ledger,
        kept: &Kept,
        part: Option<usize>,
    ) -> Shot {
        let done = line.exchange(&self.written.bytes, &self.written, true, self.timeout).await;
        let (sent, opened) = (done.sent, done.ended);
        let shot =
            |outcome| Shot { outcome, part, sent, ended: opened, paused: Duration::ZERO, lingered: true };
        let fail = |breach: Breach, seen: Evidence| {
            let reason = breach.reason;
            kept.keep(vec![breach], part, Instant::now(), || Seen::All(Box::new(seen)));
            shot(Err(reason))
        };
        let result: Result<Response, Cause> = done.result.map(Answer::take_response);
        let response = match result {
            Ok(response) => response,
            Err(cause) => return fail(weigh::lost(&self.http, cause), Evidence::default()),
        };
        if let Some(cause) = self.refusal(&response) {
            let url = self.http.url.value.to_string();
            let seen = weigh::evidence(&self.http, url, Ok(response));
            return fail(weigh::lost(&self.http, cause), seen);
        }
        let Some(mut socket) = line.take_socket(self.said.limit) else { return shot(Ok(())) };
        match self.hold(&mut socket, opened, ledger).await {
            Ok(()) => shot(Ok(())),
            Err(cause) => fail(weigh::lost(&self.http, cause), Evidence::default()),
        }
    }

    /// Why an answer is no upgrade.
    fn refusal(&self, response: &Response) -> Option<Cause> {
        if response.status != StatusCode::SWITCHING_PROTOCOLS {
            let message = format!("status is {}, not 101: it was not upgraded", response.status);
            return Some(Cause::new(Reason::Status, message));
        }
        let accepted = response.headers.get("sec-websocket-accept");
        let right = accepted.is_some_and(|value| value.as_bytes() == self.accept.as_bytes());
        (!right).then(|| Cause::new(Reason::Header, "the key of the upgrade was not answered for"))
    }

    /// Holds a connection, sends what is to be sent, and waits for the answers that are still to come.
    async fn hold(&self, socket: &mut Socket, opened: Instant, ledger: &Ledger) -> Result<(), Cause> {
        let until = opened + self.said.hold;
        // Not all at once, however many are opened at once.
        let mut next = self.said.every.map(|every| opened + every.mul_f64(rand::random()));
        let mut unanswered: VecDeque<Instant> = VecDeque::new();
        let mut missed = 0_u32;
        loop {
            let sends = next.filter(|next| *next < until);
            let patience = unanswered.front().map(|sent| *sent + self.timeout);
            let over = if unanswered.is_empty() { until } else { until.max(patience.unwrap_or(until)) };
            let wake = sends.unwrap_or(over).min(patience.unwrap_or(over));
            tokio::select! {
                biased;
                heard = socket.hear() => {
                    let heard = heard?;
                    for sent in unanswered.drain(..unanswered.len().min(heard.messages as usize)) {
                        ledger.note(Leg { outcome: Ok(()), part: self.round_trip, took: sent.elapsed() });
                    }
                    if let Some(end) = heard.end {
                        return Err(dropped(end, opened));
                    }
                    if unanswered.is_empty() && Instant::now() >= until {
                        break;
                    }
                }
                () = sleep_until(wake) => {
                    let now = Instant::now();
                    while unanswered.front().is_some_and(|sent| *sent + self.timeout <= now) {
                        unanswered.pop_front();
                        missed += 1;
                        let outcome = Err(Reason::Timeout(Phase::Wait));
                        ledger.note(Leg { outcome, part: self.round_trip, took: self.timeout });
                    }
                    if let (Some(due), Some(every)) = (sends.filter(|due| *due <= now), self.said.every) {
                        unanswered.push_back(now);
                        socket.send(&self.message).await?;
                        next = Some(due + every);
                    } else if unanswered.is_empty() && now >= until {
                        break;
                    }
                }
            }
        }
        socket.close().await;
        if missed > 0 {
            let limit = crate::units::Span(self.timeout);
            let message = format!("{missed} of its messages were not answered within {limit}");
            return Err(Cause::new(Reason::Timeout(Phase::Wait), message));
        }
        Ok(())
    }
}

fn dropped(end: End, opened: Instant) -> Cause {
    let after = crate::units::Reading(opened.elapsed());
    let how = match end {
        End::Close(Some(code)) => format!("with code {code}"),
        End::Close(None) => "with a close frame".to_owned(),
        End::Cut => "without a close frame".to_owned(),
    };
    Cause::new(Reason::Closed, format!("the server ended the connection {how}, {after} after it was opened"))
}
