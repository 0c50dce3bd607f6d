//! WebSocket connections that are opened, held, and spoken on meanwhile.

use std::collections::VecDeque;
use std::time::Duration;

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use url::Host;

use super::kept::{Kept, Seen};
use crate::event::Evidence;
use crate::load::wire::{Answer, End, Line, Socket};
use crate::load::{Ledger, Leg, Shot};
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
    /// The books of what is measured on them, where it is.
    books: Books,
}

/// Which books are whose.
#[derive(Debug, Clone, Copy)]
struct Books {
    round_trip: usize,
    delivery: usize,
    reopened: usize,
}

/// Why a connection was not opened, and what was seen of the answer.
type Refused = (Cause, Option<Box<Evidence>>);

/// How a connection ended before its time.
enum Lost {
    /// It was dropped, as another one need not be.
    Dropped(Cause),
    /// What was wrong, another one would not mend.
    Failed(Cause),
}

/// Between two tries to open a dropped connection again.
const PAUSE: Duration = Duration::from_millis(100);

impl Sockets {
    /// Makes them ready; their own books begin at `first`.
    ///
    /// # Errors
    /// When a name that the message needs has no value.
    pub(super) fn new(
        (http, said): (&Http, &Said),
        written: Written,
        (road, first): (usize, usize),
        timeout: Duration,
        scope: &Scope,
    ) -> Result<Self, Unset> {
        let message = said.message.fill(scope)?.into_bytes();
        let accept = derive_accept_key(KEY.as_bytes());
        let delivery = first + usize::from(said.every.is_some());
        let reopened = delivery + usize::from(said.stamp.is_some());
        Ok(Self {
            http: http.clone(),
            written,
            road,
            said: said.clone(),
            message,
            accept,
            timeout,
            books: Books { round_trip: first, delivery, reopened },
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
        // On the heap and gone before the connection is held: of ten thousand each would hold it.
        let (sent, opened, result) = Box::pin(self.upgrade(line)).await;
        let shot =
            |outcome| Shot { outcome, part, sent, ended: opened, paused: Duration::ZERO, lingered: true };
        let result = match result {
            Ok(socket) => self.hold_on(line, socket, opened, ledger).await.map_err(|cause| (cause, None)),
            Err(refused) => Err(refused),
        };
        let Err((cause, seen)) = result else { return shot(Ok(())) };
        let reason = cause.reason;
        let breach = weigh::lost(&self.http, cause);
        kept.keep(vec![breach], part, Instant::now(), || Seen::All(seen.unwrap_or_default()));
        shot(Err(reason))
    }

    /// Opens a connection: when it was asked for, when that was answered, and what came of it.
    async fn upgrade(&self, line: &mut Line) -> (Instant, Instant, Result<Socket, Refused>) {
        let done = line.exchange(&self.written.bytes, &self.written, true, self.timeout).await;
        let (sent, ended) = (done.sent, done.ended);
        let result = done.result.map(Answer::take_response).map_err(|cause| (cause, None));
        let result = result.and_then(|response| match self.refusal(&response) {
            None => Ok(()),
            Some(cause) => {
                let url = self.http.url.value.to_string();
                let seen = weigh::evidence(&self.http, url, Ok(response));
                Err((cause, Some(Box::new(seen))))
            }
        });
        let result = result.and_then(|()| {
            let cause = || Cause::new(Reason::Protocol, "the connection was not upgraded");
            line.take_socket(self.said.limit).ok_or_else(|| (cause(), None))
        });
        (sent, ended, result)
    }

    /// Holds a connection until its time is over; where it is dropped, and is to be opened again, another one.
    async fn hold_on(
        &self,
        line: &mut Line,
        mut socket: Socket,
        opened: Instant,
        ledger: &Ledger,
    ) -> Result<(), Cause> {
        let until = opened + self.said.hold;
        let mut since = opened;
        loop {
            let cause = match self.hold(&mut socket, since, until, ledger).await {
                Ok(()) => return Ok(()),
                Err(Lost::Failed(cause)) => return Err(cause),
                Err(Lost::Dropped(cause)) => cause,
            };
            let dropped = Instant::now();
            if !self.said.reopen {
                return Err(cause);
            }
            if dropped >= until {
                return Ok(());
            }
            // What is dropped at once, again and again, is not opened again and again at once.
            let first = dropped.max(since + PAUSE);
            socket = Box::pin(self.reopen(line, (dropped, first), ledger)).await?;
            since = Instant::now();
        }
    }

    /// Opens a dropped connection again, from `first` on and within the timeout.
    async fn reopen(
        &self,
        line: &mut Line,
        (dropped, first): (Instant, Instant),
        ledger: &Ledger,
    ) -> Result<Socket, Cause> {
        let mut next = first;
        loop {
            sleep_until(next).await;
            let (_, ended, result) = self.upgrade(line).await;
            let leg = |outcome| Leg { outcome, part: self.books.reopened, took: ended - dropped };
            match result {
                Ok(socket) => {
                    ledger.note(leg(Ok(())));
                    return Ok(socket);
                }
                Err((cause, _)) if ended - dropped >= self.timeout => {
                    ledger.note(leg(Err(cause.reason)));
                    return Err(cause);
                }
                Err(_) => next = ended + PAUSE,
            }
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
    async fn hold(
        &self,
        socket: &mut Socket,
        opened: Instant,
        until: Instant,
        ledger: &Ledger,
    ) -> Result<(), Lost> {
        if self.said.stamp.is_some() {
            socket.keep_messages();
        }
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
                    let heard = heard.map_err(Lost::of)?;
                    self.note_deliveries(socket, ledger);
                    for sent in unanswered.drain(..unanswered.len().min(heard.messages as usize)) {
                        ledger.note(Leg { outcome: Ok(()), part: self.books.round_trip, took: sent.elapsed() });
                    }
                    if let Some(end) = heard.end {
                        for sent in unanswered {
                            let outcome = Err(Reason::Closed);
                            ledger.note(Leg { outcome, part: self.books.round_trip, took: sent.elapsed() });
                        }
                        return Err(Lost::Dropped(dropped(end, opened)));
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
                        ledger.note(Leg { outcome, part: self.books.round_trip, took: self.timeout });
                    }
                    if let (Some(due), Some(every)) = (sends.filter(|due| *due <= now), self.said.every) {
                        unanswered.push_back(now);
                        socket.send(&self.message).await.map_err(Lost::of)?;
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
            return Err(Lost::Failed(Cause::new(Reason::Timeout(Phase::Wait), message)));
        }
        Ok(())
    }

    /// Notes how long each message that was heard took to be delivered, by the time that it says it was sent.
    fn note_deliveries(&self, socket: &mut Socket, ledger: &Ledger) {
        let Some(stamp) = &self.said.stamp else { return };
        // The sender's time is one of a clock, and so must ours be.
        let now = Timestamp::now();
        for message in socket.take_messages() {
            let sent = serde_json::from_slice::<Value>(&message).ok().and_then(|json| {
                let found = stamp.query(&json).first().cloned();
                moment(&found?)
            });
            let took = sent.map(|sent| Duration::try_from(now.duration_since(sent)));
            let (outcome, took) = match took {
                None => (Err(Reason::Json), Duration::ZERO),
                // Nothing is delivered before it is sent: the clocks differ.
                Some(Err(_)) => (Err(Reason::Local), Duration::ZERO),
                Some(Ok(took)) => (Ok(()), took),
            };
            ledger.note(Leg { outcome, part: self.books.delivery, took });
        }
    }
}

impl Lost {
    fn of(cause: Cause) -> Self {
        if cause.reason == Reason::Closed { Self::Dropped(cause) } else { Self::Failed(cause) }
    }
}

/// A time as messages say it: RFC 3339, or a number of seconds, milli-, micro- or nanoseconds since 1970, by its size.
fn moment(said: &Value) -> Option<Timestamp> {
    let text = match said {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    if let Ok(whole) = text.parse::<i64>() {
        let at = match whole.unsigned_abs() {
            0..100_000_000_000 => Timestamp::from_second(whole),
            100_000_000_000..100_000_000_000_000 => Timestamp::from_millisecond(whole),
            100_000_000_000_000..100_000_000_000_000_000 => Timestamp::from_microsecond(whole),
            _ => Timestamp::from_nanosecond(whole.into()),
        };
        return at.ok();
    }
    let number = text.parse::<f64>().ok()?;
    let seconds = if number.abs() < 1e11 { number } else { number / 1e3 };
    Timestamp::from_duration(SignedDuration::try_from_secs_f64(seconds).ok()?).ok()
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

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::seconds(json!(1_700_000_000), 0)]
    #[case::with_a_fraction(json!(1_700_000_000.25), 250)]
    #[case::milliseconds(json!(1_700_000_000_250_u64), 250)]
    #[case::microseconds(json!(1_700_000_000_250_000_u64), 250)]
    #[case::nanoseconds(json!(1_700_000_000_250_000_000_u64), 250)]
    #[case::digits_in_a_text(json!("1700000000250"), 250)]
    #[case::rfc_3339(json!("2023-11-14T23:13:20.25+01:00"), 250)]
    fn a_time_is_read_however_it_is_written(#[case] said: Value, #[case] millis: i64) {
        assert_eq!(moment(&said).unwrap().as_millisecond(), 1_700_000_000_000 + millis);
    }

    #[rstest]
    #[case::words(json!("soon"))]
    #[case::nothing(json!(null))]
    #[case::too_far(json!(1e300))]
    fn what_is_no_time_is_none(#[case] said: Value) {
        assert_eq!(moment(&said), None);
    }
}
