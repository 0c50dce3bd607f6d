//! One way of a connection: what arrives from one end goes on to the other, as the faults in force allow.

use std::cell::RefCell;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::bite::{Allowance, Biting};
use super::effects::Passed;
use super::force::Armed;
use super::queue::Queue;
use crate::scenario::fault::traffic::Direction;

/// What is read at a time. Large, as every system call costs; one buffer serves all connections of a thread.
const SCRATCH: usize = 128 << 10;

/// The most that one way holds back: with a second of latency, four megabytes a second still flow.
const ROOM: usize = 4 << 20;

/// What a way may hold however much others do.
const OWN: usize = 64 << 10;

/// The most that all connections of a relay hold back together.
const ALL: u64 = 256 << 20;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

/// How a connection ends before both its ends have said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Closed on both sides.
    Closed,
    /// Reset on these.
    Reset(Direction),
}

/// How far a way has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Bytes flow.
    Open,
    /// Its source has ended; what it holds still goes on.
    Ending,
    /// Its source was reset; what it holds still goes on.
    Breaking,
    /// Its sink was told of the end.
    Shut,
    /// Its sink takes nothing any more.
    Broken,
}

/// One way of a connection.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) toward: Direction,
    pub(super) bites: Vec<Biting>,
    state: State,
    queue: Queue,
    alarm: Option<Pin<Box<Sleep>>>,
}

/// What is done with bytes that were read: those that are to go on are handed to [`Way::pass`].
type Sort<'a> = dyn FnMut(&mut Way, &mut Context<'_>, &mut Ends<'_>, &mut [u8]) -> Result<(), End> + 'a;

/// The two ends of a way, and what counts what passes.
pub(super) struct Ends<'a> {
    pub(super) from: &'a mut TcpStream,
    pub(super) to: &'a mut TcpStream,
    pub(super) passed: &'a Passed,
}

impl Way {
    pub(super) fn new(toward: Direction) -> Self {
        Self { toward, bites: Vec::new(), state: State::Open, queue: Queue::default(), alarm: None }
    }

    /// Its sink was lost before the end.
    pub(super) fn is_broken(&self) -> bool {
        self.state == State::Broken
    }

    /// Bytes may still arrive.
    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Reads no more; what it holds still goes on.
    pub(super) fn end(&mut self) {
        if self.state == State::Open {
            self.state = State::Ending;
        }
    }

    /// Fits its faults to those in force.
    pub(super) fn refit(&mut self, faults: &[Arc<Armed>], connection: u64) {
        let in_force = |number: u64| faults.iter().any(|armed| armed.number == number);
        let before = self.bites.len();
        self.bites.retain(|biting| in_force(biting.armed.number));
        if self.bites.len() < before {
            self.queue.release();
        }
        for armed in faults {
            if self.bites.iter().all(|biting| biting.armed.number != armed.number) {
                self.bites.extend(Biting::of(armed, connection, self.toward));
            }
        }
        self.alarm = None;
    }

    /// Holds bytes that go on as soon as they may.
    pub(super) fn hold(&mut self, bytes: Vec<u8>, passed: &Passed) {
        passed.held.add(bytes.len());
        self.queue.push(bytes, None);
    }

    /// Lets go on at once what waits for its time.
    pub(super) fn release(&mut self) {
        self.queue.release();
    }

    /// Sends what may go and reads what there is room for. `sort` is given what was read, nothing at
    /// the end: it hands on, through [`Way::pass`], what is to go on.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_>,
        may_read: bool,
        sort: &mut Sort<'_>,
    ) -> Poll<Result<(), End>> {
        loop {
            let flushed = self.flush(cx, ends)?;
            match (self.state, flushed.is_ready()) {
                (State::Shut | State::Broken, _) => return Poll::Ready(Ok(())),
                (State::Ending, true) => {
                    // What cannot be told any more is known already.
                    let _ = ready!(Pin::new(&mut *ends.to).poll_shutdown(cx));
                    self.state = State::Shut;
                }
                (State::Breaking, true) => return Poll::Ready(Err(End::Reset(Direction::Both))),
                (State::Ending | State::Breaking, false) => return Poll::Pending,
                (State::Open, _) => {
                    if !may_read || !self.has_room(ends.passed) {
                        return Poll::Pending;
                    }
                    ready!(self.fill(cx, ends, sort))?;
                }
            }
        }
    }

    /// Hands bytes on, by `later` than the faults on this way ask.
    pub(super) fn pass(&mut self, cx: &mut Context<'_>, ends: &mut Ends<'_>, bytes: &[u8], later: Duration) {
        let mut rest = bytes;
        if self.bites.is_empty() && self.queue.is_empty() && later.is_zero() {
            while !rest.is_empty() {
                match Pin::new(&mut *ends.to).poll_write(cx, rest) {
                    Poll::Ready(Ok(written)) => {
                        self.count(ends.passed, written);
                        rest = rest.get(written..).unwrap_or_default();
                    }
                    Poll::Ready(Err(_)) => return self.lose_sink(ends.passed),
                    Poll::Pending => break,
                }
            }
        }
        if !rest.is_empty() && self.state != State::Broken {
            let mut delay = later;
            for biting in &mut self.bites {
                let of_this = biting.bite.delay();
                if !of_this.is_zero() {
                    biting.armed.felt.delayed.add(rest.len());
                }
                delay = delay.saturating_add(of_this);
            }
            let due = (!delay.is_zero()).then(|| Instant::now() + delay);
            ends.passed.held.add(rest.len());
            self.queue.push(rest.to_vec(), due);
        }
    }

    /// Room for what is read next.
    fn has_room(&self, passed: &Passed) -> bool {
        let held = self.queue.len();
        if self.bites.is_empty() && held > 0 && self.queue.front().is_some_and(|front| front.due.is_none()) {
            // The sink is slower than the source: let the source feel it.
            return false;
        }
        held < OWN || (held < ROOM && passed.held.get() < ALL)
    }

    /// Sends what may go. Ready once nothing is held.
    fn flush(&mut self, cx: &mut Context<'_>, ends: &mut Ends<'_>) -> Result<Poll<()>, End> {
        while let Some(front) = self.queue.front() {
            let now = Instant::now();
            if let Some(due) = front.due.filter(|due| *due > now) {
                if self.wake_at(cx, due).is_pending() {
                    return Ok(Poll::Pending);
                }
                continue;
            }
            let len = front.rest().len();
            let len = match allow(&mut self.bites, now, len) {
                Allowance::Now(len) => len,
                Allowance::At(then) => {
                    if self.wake_at(cx, then).is_pending() {
                        return Ok(Poll::Pending);
                    }
                    continue;
                }
                Allowance::Held => return Ok(Poll::Pending),
                Allowance::End => return Err(End::Closed),
                Allowance::Reset(sides) => return Err(End::Reset(sides)),
            };
            let Some(front) = self.queue.front() else { break };
            let bytes = front.rest().get(..len).unwrap_or_default();
            match Pin::new(&mut *ends.to).poll_write(cx, bytes) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Err(_)) => {
                    self.lose_sink(ends.passed);
                    break;
                }
                Poll::Ready(Ok(written)) => {
                    self.count(ends.passed, written);
                    ends.passed.held.take(written);
                    let whole = self.queue.gone(written);
                    for biting in &mut self.bites {
                        biting.bite.passed(now, written);
                        biting.counted &= !whole;
                    }
                }
            }
        }
        Ok(Poll::Ready(()))
    }

    /// Reads once, and has it sorted.
    fn fill(
        &mut self,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_>,
        sort: &mut Sort<'_>,
    ) -> Poll<Result<(), End>> {
        BUFFER.with_borrow_mut(|buffer| {
            let mut read = ReadBuf::new(buffer);
            match ready!(Pin::new(&mut *ends.from).poll_read(cx, &mut read)) {
                Ok(()) => {
                    sort(self, cx, ends, read.filled_mut())?;
                    if read.filled().is_empty() {
                        self.end();
                    }
                }
                Err(_) => self.state = State::Breaking,
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Wakes the connection then; ready where that has passed.
    fn wake_at(&mut self, cx: &mut Context<'_>, then: Instant) -> Poll<()> {
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(then)));
        if alarm.deadline() != then {
            alarm.as_mut().reset(then);
        }
        alarm.as_mut().poll(cx)
    }

    fn lose_sink(&mut self, passed: &Passed) {
        self.state = State::Broken;
        passed.held.take(self.queue.clear());
    }

    fn count(&self, passed: &Passed, bytes: usize) {
        match self.toward {
            Direction::Up => passed.up.add(bytes),
            Direction::Down | Direction::Both => passed.down.add(bytes),
        }
    }

    /// Gives back what it held, when its connection is over.
    pub(super) fn give_up(&mut self, passed: &Passed) {
        passed.held.take(self.queue.clear());
    }
}

/// How many of the next `len` bytes all faults together let go.
fn allow(bites: &mut [Biting], now: Instant, len: usize) -> Allowance {
    let mut all = Allowance::Now(len);
    for biting in bites {
        let this = biting.bite.allow(now, len);
        match this {
            Allowance::Now(most) if most >= len => {}
            Allowance::Now(_) | Allowance::At(_) | Allowance::Held if !biting.counted => {
                biting.counted = true;
                biting.armed.felt.delayed.add(len);
            }
            Allowance::End | Allowance::Reset(_) => {
                biting.armed.felt.cut.one();
                return this;
            }
            Allowance::Now(_) | Allowance::At(_) | Allowance::Held => {}
        }
        all = all.and(this);
    }
    all
}
