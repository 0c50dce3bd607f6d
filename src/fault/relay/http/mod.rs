//! HTTP/1 as it passes: requests are told from one another, and faults are done to them.
//!
//! Bytes go on as they came. Where they turn out to be no HTTP/1 (TLS, HTTP/2, another protocol, what follows
//! an upgrade), the rest of the connection is not looked at.

mod framing;
mod head;
mod verdict;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use self::framing::{Body, Framing, Mark};
use self::head::Kind;
use self::verdict::Verdict;
use super::force::{Armed, Force};
use super::way::{End, Ends, Way};
use crate::scenario::fault::traffic::Direction;

/// Further requests wait to be read until one of these is answered.
const MOST_OUTSTANDING: usize = 256;

/// Every so many bytes of an answer, one is changed.
const CORRUPT_EVERY: u64 = 64;

/// What is said over one connection.
#[derive(Debug)]
pub(super) struct Talk {
    requests: Framing,
    answers: Framing,
    outstanding: VecDeque<Exchange>,
    /// The beginning of a request, kept until it is known what is to be done to it.
    judged: Option<Vec<u8>>,
    /// The request at hand does not go on.
    dropping: bool,
    /// Where in the content of an answer that is changed.
    content: u64,
    /// After the last answer the connection ends.
    pub(super) closing: bool,
}

/// A request that has not been answered in full.
#[derive(Debug)]
struct Exchange {
    wants: Wants,
    /// What is answered in the service's stead.
    instead: Option<Instead>,
    /// Faults that change the answer.
    corrupt: Vec<Arc<Armed>>,
    /// The fault that cuts the answer, and after how many bytes more.
    cut: Option<(u64, Arc<Armed>)>,
}

/// What may follow a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wants {
    /// An answer.
    Answer,
    /// An answer without a body, whatever its head says.
    Head,
    /// Another protocol after a 101.
    Upgrade,
    /// Another protocol after any success.
    Tunnel,
}

/// An answer that is not the service's.
#[derive(Debug)]
struct Instead {
    bytes: Vec<u8>,
    /// The request has arrived in full.
    due: bool,
    /// The connection ends with it.
    last: bool,
}

/// The faults on requests, and what they share.
pub(super) struct Faults<'a> {
    pub(super) requests: &'a [Arc<Armed>],
    pub(super) force: &'a Force,
}

impl Talk {
    pub(super) fn new() -> Self {
        Self {
            requests: Framing::new(Kind::Request),
            answers: Framing::new(Kind::Response),
            outstanding: VecDeque::new(),
            judged: None,
            dropping: false,
            content: 0,
            closing: false,
        }
    }

    /// Whether there is room for another request.
    pub(super) fn has_room(&self) -> bool {
        !self.closing && (self.outstanding.len() < MOST_OUTSTANDING || self.requests.is_opaque())
    }

    /// What was kept to be judged, when there is nothing any more to judge it by.
    pub(super) fn let_go(&mut self) -> Vec<u8> {
        self.judged.take().unwrap_or_default()
    }

    /// Takes what a client has sent (nothing, at its end), and hands on what the service is to have.
    pub(super) fn ask(
        &mut self,
        way: &mut Way,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_>,
        bytes: &[u8],
        faults: &Faults<'_>,
    ) -> Result<(), End> {
        if let Some(judged) = self.judged.take_if(|_| bytes.is_empty()) {
            way.pass(cx, ends, &judged, Duration::ZERO);
        }
        // What goes on is handed on in as few pieces as it came.
        let (mut start, mut at) = (0, 0);
        while at < bytes.len() {
            if self.requests.is_between() && !faults.requests.is_empty() {
                self.judged.get_or_insert_default();
            }
            let rest = bytes.get(at..).unwrap_or_default();
            let (len, mark) = self.requests.read(rest);
            let read = rest.get(..len).unwrap_or_default();
            let before = bytes.get(start..at).unwrap_or_default();
            at += len;
            match mark {
                Mark::Opaque => {
                    if let Some(judged) = self.judged.take() {
                        way.pass(cx, ends, &judged, Duration::ZERO);
                    }
                }
                Mark::Head | Mark::HeadEnd => {
                    let ended = mark == Mark::HeadEnd;
                    if let Some(judged) = &mut self.judged {
                        way.pass(cx, ends, before, Duration::ZERO);
                        start = at;
                        judged.extend_from_slice(read);
                    }
                    if ended {
                        self.head_ended(way, cx, ends, faults)?;
                    }
                }
                Mark::Data | Mark::Frame => {
                    if self.dropping {
                        way.pass(cx, ends, before, Duration::ZERO);
                        start = at;
                    }
                }
            }
            if self.dropping && self.requests.is_between() {
                self.dropping = false;
                let newest = self.outstanding.back_mut();
                if let Some(instead) = newest.and_then(|newest| newest.instead.as_mut()) {
                    instead.due = true;
                }
            }
        }
        way.pass(cx, ends, bytes.get(start..).unwrap_or_default(), Duration::ZERO);
        Ok(())
    }

    /// A request's head is whole: it is counted, judged, and goes on or not.
    fn head_ended(
        &mut self,
        way: &mut Way,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_>,
        faults: &Faults<'_>,
    ) -> Result<(), End> {
        let number = faults.force.passed.requests.one();
        let head = &self.requests.head;
        let (method, path) = head.request().unwrap_or_default();
        let wants = match method {
            "HEAD" => Wants::Head,
            "CONNECT" => Wants::Tunnel,
            _ if head.upgrade => Wants::Upgrade,
            _ => Wants::Answer,
        };
        let mut exchange = Exchange { wants, instead: None, corrupt: Vec::new(), cut: None };
        let body_waits = head.waits;
        let body = match (head.chunked, head.length) {
            (true, _) => Body::Chunked,
            (false, Some(length)) => Body::Counted(length),
            (false, None) => Body::None,
        };
        if let Some(judged) = self.judged.take() {
            let verdict = Verdict::on(method, path, number, faults.requests);
            if let Some(armed) = verdict.abort {
                armed.felt.cut.one();
                return Err(End::Reset(Direction::Both));
            }
            (exchange.corrupt, exchange.cut) = (verdict.corrupt, verdict.cut);
            match verdict.answer {
                None => {
                    verdict.delayed_by.iter().for_each(|armed| armed.felt.delayed.add(judged.len()));
                    way.pass(cx, ends, &judged, verdict.delay);
                }
                Some((answer, armed)) => {
                    armed.felt.answered.one();
                    let bytes = answer.bytes(wants == Wants::Head, body_waits);
                    exchange.instead = Some(Instead { bytes, due: body_waits, last: body_waits });
                    self.dropping = true;
                }
            }
        }
        let other = matches!(wants, Wants::Upgrade | Wants::Tunnel);
        if other && body == Body::None && !self.dropping {
            self.requests.wait();
        } else {
            self.requests.body(body);
        }
        self.outstanding.push_back(exchange);
        Ok(())
    }

    /// Hands on what is answered in the service's stead, where its turn has come.
    pub(super) fn answer(&mut self, way: &mut Way, cx: &mut Context<'_>, ends: &mut Ends<'_>) {
        while way.is_open() && self.answers.is_between() {
            let next = self.outstanding.front().and_then(|front| front.instead.as_ref());
            let Some(instead) = next.filter(|instead| instead.due) else { return };
            way.pass(cx, ends, &instead.bytes, Duration::ZERO);
            if instead.last {
                self.closing = true;
                way.end();
            }
            self.outstanding.pop_front();
        }
    }

    /// Takes what the service has sent, and hands on what the client is to have.
    pub(super) fn hear(
        &mut self,
        way: &mut Way,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_>,
        bytes: &mut [u8],
    ) -> Result<(), End> {
        let mut at = 0;
        while at < bytes.len() {
            let (len, mark) = self.answers.read(bytes.get(at..).unwrap_or_default());
            let end = at + len;
            if let Some((left, armed)) = self.outstanding.front_mut().and_then(|front| front.cut.as_mut()) {
                let most = usize::try_from(*left).unwrap_or(usize::MAX);
                if most <= len {
                    armed.felt.cut.one();
                    way.pass(cx, ends, bytes.get(..at + most).unwrap_or_default(), Duration::ZERO);
                    return Err(End::Reset(Direction::Both));
                }
                *left -= len as u64;
            }
            let interim = mark == Mark::HeadEnd && self.answered();
            if mark == Mark::Data
                && let Some(front) = self.outstanding.front().filter(|front| !front.corrupt.is_empty())
            {
                corrupt(bytes.get_mut(at..end).unwrap_or_default(), &mut self.content, &front.corrupt);
            }
            at = end;
            if mark != Mark::Opaque && self.answers.is_between() && !interim {
                self.outstanding.pop_front();
                self.content = 0;
            }
        }
        way.pass(cx, ends, bytes, Duration::ZERO);
        Ok(())
    }

    /// An answer's head is whole: what follows? Says whether another answer to the same request does.
    fn answered(&mut self) -> bool {
        let status = self.answers.head.status().unwrap_or_default();
        let Some(front) = self.outstanding.front().filter(|front| front.instead.is_none()) else {
            self.answers.obscure();
            self.requests.obscure();
            return false;
        };
        let other = match front.wants {
            Wants::Upgrade => status == 101,
            Wants::Tunnel => (200..300).contains(&status),
            Wants::Answer | Wants::Head => false,
        };
        if other {
            self.answers.obscure();
            self.requests.obscure();
            return false;
        }
        if status < 200 {
            self.answers.body(Body::None);
            return true;
        }
        self.requests.go_on();
        let head = &self.answers.head;
        let body = match (head.chunked, head.length) {
            _ if front.wants == Wants::Head || status == 204 || status == 304 => Body::None,
            (true, _) => Body::Chunked,
            (false, Some(length)) => Body::Counted(length),
            (false, None) => Body::UntilEnd,
        };
        self.answers.body(body);
        false
    }
}

/// Changes some bytes of an answer; how many there are stays.
fn corrupt(data: &mut [u8], content: &mut u64, faults: &[Arc<Armed>]) {
    if *content == 0 && !data.is_empty() {
        for armed in faults {
            armed.felt.corrupted.one();
        }
    }
    for byte in data {
        if content.is_multiple_of(CORRUPT_EVERY) {
            *byte ^= 0x10;
        }
        *content += 1;
    }
}
