//! Who makes the attempts: shooters on one thread that are sent on schedule and never skip a hit.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::load::desk::{Desk, Next, Turn};
use crate::load::pace::{Schedule, Shard};
use crate::load::timer::{Alarm, Timer};
use crate::load::totals::Totals;
use crate::sample::Reason;

/// What one attempt gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shot {
    /// Good, or bad for a reason.
    pub outcome: Result<(), Reason>,
    /// Which of the things that are asked it was, where books are kept of more than one.
    pub part: Option<usize>,
    /// When it really began.
    pub sent: Instant,
    /// When the last byte was there, or it failed.
    pub ended: Instant,
    /// How long between the two it did nothing on purpose: in no latency.
    pub paused: Duration,
    /// Whether its shooter was busy for longer than that.
    pub lingered: bool,
}

/// A step on the way of an attempt that takes several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leg {
    /// Good, or bad for a reason.
    pub outcome: Result<(), Reason>,
    /// Which of the things that books are kept of it was.
    pub part: usize,
    /// From send to last byte.
    pub took: Duration,
}

/// Makes one attempt after another on what it holds: a connection, a user's cookies.
pub trait Shooter: 'static {
    /// Makes an attempt, which ends by a deadline of its own, for a hit or a user of that number in the whole
    /// schedule.
    fn shoot(&mut self, number: u64) -> impl Future<Output = Shot>;
}

/// Where the shooters of one thread note the steps of attempts that take several, as soon as each has ended.
#[derive(Debug, Clone, Default)]
pub struct Ledger(Rc<RefCell<Vec<Leg>>>);

impl Ledger {
    /// Notes a step.
    pub fn note(&self, leg: Leg) {
        self.0.borrow_mut().push(leg);
    }

    /// Gives each step that was noted since to `take`.
    pub(super) fn drain(&self, take: impl FnMut(Leg)) {
        self.0.borrow_mut().drain(..).for_each(take);
    }
}

/// How a load is driven.
#[derive(Debug, Clone)]
pub struct Options {
    /// The most attempts in flight at once in the open model. Hits beyond it wait: they are late, not skipped.
    pub connections: usize,
    /// Latencies that decide, to be counted exactly.
    pub watched: Vec<Duration>,
    /// How many things are asked, of each of which the books are kept; none where there is but one.
    pub parts: usize,
    /// Who wakes the driver when a hit is due.
    pub timer: Timer,
    /// Which of the schedule's hits, or of its users, are made here.
    pub shard: Shard,
    /// Ends the load early.
    pub stop: CancellationToken,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 1_000,
            watched: Vec::new(),
            parts: 0,
            timer: Timer::default(),
            shard: Shard::default(),
            stop: CancellationToken::new(),
        }
    }
}

/// How long attempts in flight may take to end once the load is stopped.
const GRACE: Duration = Duration::from_secs(1);

/// How often what was measured is told.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// Drives attempts by `schedule`, which begins at `start`, each by a shooter that is free or else a `new` one, and
/// tells `interval` about once a second what was measured since it was told last; `interval` must return at once,
/// for hits wait meanwhile.
///
/// Everything happens on the thread that polls this. Returns when the last attempt has ended, or soon after it is
/// told to stop; all that was measured has been told then.
pub async fn drive<S: Shooter>(
    schedule: Schedule,
    start: Instant,
    options: &Options,
    new: impl FnMut(Ledger) -> S,
    interval: impl FnMut(Totals),
) {
    let shooters = LocalSet::new();
    shooters.run_until(follow(schedule, start, options, new, interval)).await;
}

async fn follow<S: Shooter>(
    schedule: Schedule,
    start: Instant,
    options: &Options,
    mut new: impl FnMut(Ledger) -> S,
    mut interval: impl FnMut(Totals),
) {
    let line = Rc::new(Line::new(schedule, start, options));
    let alarm = Alarm::new(options.timer);
    let mut second = interval_at(start + INTERVAL, INTERVAL);
    second.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut stopped = pin!(options.stop.cancelled());
    let mut cut = options.stop.is_cancelled().then(|| Instant::now() + GRACE);
    loop {
        let wait = if cut.is_none() { launch(&line, &mut new) } else { line.wait(Wait::Last) };
        let due = match wait {
            Wait::Until(due) => Some(due),
            Wait::Last if line.desk.borrow().in_flight() == 0 => break,
            Wait::Shooter | Wait::Last => None,
        };
        tokio::select! {
            biased;
            () = &mut stopped, if cut.is_none() => {
                cut = Some(Instant::now() + GRACE);
                line.desk.borrow_mut().close();
            }
            () = sleep_until(cut.unwrap_or(start)), if cut.is_some() => break,
            _ = second.tick() => interval(line.desk.borrow_mut().take_interval()),
            () = line.changed.notified() => {}
            () = alarm.at(due.unwrap_or(start)), if due.is_some() => {}
        }
    }
    interval(line.desk.borrow_mut().take_last());
}

/// What the driver waits for.
enum Wait {
    /// The next hit is due, or the next user joins, then.
    Until(Instant),
    /// Every shooter is busy.
    Shooter,
    /// Nothing more is sent.
    Last,
}

/// Sends all that is due and has a shooter.
fn launch<S: Shooter>(line: &Rc<Line>, new: &mut impl FnMut(Ledger) -> S) -> Wait {
    loop {
        let next = line.desk.borrow_mut().next(Instant::now());
        let turn = match next {
            Next::Now(turn) => turn,
            Next::At(due) => return line.wait(Wait::Until(due)),
            Next::Busy => return line.wait(Wait::Shooter),
            Next::Over => return line.wait(Wait::Last),
        };
        // Used last, sent first: a pool is no larger than it needs to be.
        let idle = line.idle.borrow_mut().pop();
        if let Some(seat) = idle {
            seat.assign(turn);
        } else {
            let ledger = line.desk.borrow().ledger();
            drop(tokio::task::spawn_local(serve(new(ledger), Rc::clone(line), turn)));
        }
    }
}

/// The shooters of one thread: what is next, and who waits for it.
struct Line {
    desk: RefCell<Desk>,
    idle: RefCell<Vec<Rc<Seat>>>,
    /// Wakes the driver, where it waits for a shooter or the end.
    changed: Notify,
    listening: Cell<bool>,
}

impl Line {
    fn new(schedule: Schedule, start: Instant, options: &Options) -> Self {
        let desk = Desk::new(schedule, start, options);
        let (idle, changed, listening) = (RefCell::default(), Notify::new(), Cell::new(false));
        Self { desk: RefCell::new(desk), idle, changed, listening }
    }

    /// Notes whether anybody has to tell the driver that something changed.
    fn wait(&self, wait: Wait) -> Wait {
        self.listening.set(matches!(wait, Wait::Shooter | Wait::Last));
        wait
    }

    fn tell(&self) {
        if self.listening.get() {
            self.changed.notify_one();
        }
    }
}

/// Makes attempts for as long as there are any: whoever has just made one takes the next that is due, and else
/// waits to be given one. A user waits for nobody but himself.
async fn serve<S: Shooter>(mut shooter: S, line: Rc<Line>, first: Turn) {
    let seat = Rc::new(Seat::default());
    let mut turn = first;
    loop {
        // A shooter that never waits must not keep the others from their turn.
        consume_budget().await;
        let mut flight = Flight { line: &line, landed: false };
        let shot = shooter.shoot(turn.number()).await;
        flight.landed = true;
        let mut next = line.desk.borrow_mut().land(&shot, turn);
        while let (Next::At(moment), Turn::User(user)) = (next, turn) {
            line.tell();
            sleep_until(moment).await;
            next = line.desk.borrow_mut().resume(user);
        }
        turn = match next {
            Next::Now(turn) => turn,
            Next::At(_) | Next::Busy => {
                line.idle.borrow_mut().push(Rc::clone(&seat));
                line.tell();
                seat.assigned().await
            }
            Next::Over => {
                line.tell();
                return;
            }
        };
    }
}

/// An attempt under way. Where it never lands its shooter has panicked, or everything is at its end.
struct Flight<'a> {
    line: &'a Line,
    landed: bool,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if !self.landed {
            self.line.desk.borrow_mut().lose();
            self.line.tell();
        }
    }
}

/// Where an idle shooter waits for its next turn.
#[derive(Default)]
struct Seat {
    turn: Cell<Option<Turn>>,
    waker: Cell<Option<Waker>>,
}

impl Seat {
    fn assign(&self, turn: Turn) {
        self.turn.set(Some(turn));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    async fn assigned(&self) -> Turn {
        poll_fn(|context| {
            if let Some(turn) = self.turn.take() {
                return Poll::Ready(turn);
            }
            self.waker.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await
    }
}
