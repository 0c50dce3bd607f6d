//! Who makes the attempts: a pool of shooters that is sent on schedule and never skips a hit.

use std::pin::pin;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::load::pace::Schedule;
use crate::load::timer::{Alarm, Timer};
use crate::load::totals::{Hit, Totals};
use crate::sample::Reason;

/// What one attempt gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shot {
    /// Good, or bad for a reason.
    pub outcome: Result<(), Reason>,
    /// When it really began.
    pub sent: Instant,
    /// When the last byte was there, or it failed.
    pub ended: Instant,
}

/// Makes one attempt after another on what it holds: a connection, a user's cookies.
pub trait Shooter: Send + 'static {
    /// Makes an attempt, which ends by a deadline of its own.
    fn shoot(&mut self) -> impl Future<Output = Shot> + Send;
}

/// How a load is driven.
#[derive(Debug, Clone)]
pub struct Options {
    /// The most attempts in flight at once in the open model. Hits beyond it wait: they are late, not skipped.
    pub connections: usize,
    /// Latencies that decide, to be counted exactly.
    pub watched: Vec<Duration>,
    /// Who wakes the driver when a hit is due.
    pub timer: Timer,
    /// Ends the load early.
    pub stop: CancellationToken,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 1_000,
            watched: Vec::new(),
            timer: Timer::default(),
            stop: CancellationToken::new(),
        }
    }
}

/// How long hits that still wait for a shooter are sent after the load's time is over.
const DRAIN: Duration = Duration::from_secs(30);

/// How long attempts in flight may take to end once the load is stopped.
const GRACE: Duration = Duration::from_secs(1);

/// How often progress is told.
const PROGRESS: Duration = Duration::from_secs(1);

/// Drives attempts by `schedule`, each by a shooter that is free or else a `new` one, and tells `progress`
/// about once a second; `progress` must return at once, for hits wait meanwhile.
///
/// Returns when the last attempt has ended, or soon after it is told to stop, with all that was measured.
pub async fn drive<S: Shooter>(
    schedule: Schedule,
    options: &Options,
    new: impl FnMut() -> S,
    mut progress: impl FnMut(&Totals),
) -> Totals {
    let start = Instant::now();
    let mut range = Range::new(schedule, options, new, start);
    let alarm = Alarm::new(options.timer);
    let mut second = interval_at(start + PROGRESS, PROGRESS);
    second.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut stopped = pin!(options.stop.cancelled());
    let mut cut = options.stop.is_cancelled().then(|| start + GRACE);
    loop {
        range.collect();
        let wait = if cut.is_none() { range.launch() } else { Wait::Last };
        let due = match wait {
            Wait::Until(due) => Some(due),
            Wait::Last if range.flying.is_empty() => break,
            Wait::Shooter | Wait::Last => None,
        };
        tokio::select! {
            biased;
            () = &mut stopped, if cut.is_none() => cut = Some(Instant::now() + GRACE),
            () = sleep_until(cut.unwrap_or(start)), if cut.is_some() => break,
            _ = second.tick() => progress(range.totals()),
            Some(landed) = range.flying.join_next() => range.record(landed),
            () = alarm.at(due.unwrap_or(start)), if due.is_some() => {}
        }
    }
    range.end().await
}

/// What the driver waits for, beside attempts that end.
enum Wait {
    /// The next hit is due, or the next user joins, then.
    Until(Instant),
    /// Every shooter is busy.
    Shooter,
    /// Nothing more is sent.
    Last,
}

/// What is next by the schedule.
enum Next {
    Now { due: Option<Duration> },
    At(Duration),
    Busy,
    Over,
}

/// The shooters and what they have hit.
struct Range<S, N> {
    schedule: Schedule,
    connections: usize,
    start: Instant,
    new: N,
    /// Used last, sent first: a pool is no larger than it needs to be.
    idle: Vec<S>,
    flying: JoinSet<(Option<Hit>, Shot, S)>,
    totals: Totals,
    /// When it last was that every shooter was busy and one became free.
    freed: Instant,
    /// Since the start, until when the schedule was followed: all that was due by then and had a shooter is sent.
    served: Option<Duration>,
}

impl<S: Shooter, N: FnMut() -> S> Range<S, N> {
    fn new(schedule: Schedule, options: &Options, new: N, start: Instant) -> Self {
        Self {
            schedule,
            connections: options.connections.max(1),
            start,
            new,
            idle: Vec::new(),
            flying: JoinSet::new(),
            totals: Totals::watching(&options.watched),
            freed: start,
            served: None,
        }
    }

    /// Sends all that is due and has a shooter.
    fn launch(&mut self) -> Wait {
        loop {
            let elapsed = self.start.elapsed();
            self.served = Some(elapsed);
            match self.next(elapsed) {
                Next::Now { due } => self.send(due),
                Next::At(due) => return Wait::Until(self.start + due),
                Next::Busy => return Wait::Shooter,
                Next::Over => return Wait::Last,
            }
        }
    }

    fn next(&self, elapsed: Duration) -> Next {
        match self.schedule {
            Schedule::Open(pace) => match pace.due(self.totals.begun) {
                None => Next::Over,
                Some(_) if elapsed > pace.length().saturating_add(DRAIN) => Next::Over,
                Some(due) if due > elapsed => Next::At(due),
                Some(_) if self.flying.len() >= self.connections => Next::Busy,
                Some(due) => Next::Now { due: Some(due) },
            },
            Schedule::Closed(crowd) if elapsed >= crowd.length() => Next::Over,
            // Whoever had an answer asks again first, so those who wait for one are the first to have joined.
            Schedule::Closed(crowd) => match crowd.joins(self.flying.len()) {
                None => Next::Busy,
                Some(joins) if joins > elapsed => Next::At(joins),
                Some(_) => Next::Now { due: None },
            },
        }
    }

    fn send(&mut self, due: Option<Duration>) {
        let mut shooter = self.idle.pop().unwrap_or_else(&mut self.new);
        let hit = due.map(|due| self.start + due).map(|due| Hit { due, ready: due.max(self.freed) });
        if hit.is_some_and(|hit| hit.due < hit.ready) {
            self.totals.waited_for_a_connection += 1;
        }
        self.flying.spawn(async move {
            let shot = shooter.shoot().await;
            (hit, shot, shooter)
        });
        self.totals.begun += 1;
        self.totals.in_flight_peak = self.totals.in_flight_peak.max(self.flying.len() as u64);
    }

    /// Records every attempt that has ended.
    fn collect(&mut self) {
        while let Some(landed) = self.flying.try_join_next() {
            self.record(landed);
        }
    }

    fn record(&mut self, landed: Result<(Option<Hit>, Shot, S), JoinError>) {
        let free = if let Ok((hit, shot, shooter)) = landed {
            self.totals.record(&shot, hit);
            self.idle.push(shooter);
            shot.ended
        } else {
            // It panicked, and its shooter is gone with it.
            self.totals.broken += 1;
            Instant::now()
        };
        if self.flying.len() + 1 >= self.connections {
            self.freed = free;
        }
    }

    fn totals(&mut self) -> &Totals {
        self.totals.due = match self.schedule {
            Schedule::Open(pace) => self.served.map_or(0, |served| pace.wanted_by(served)),
            Schedule::Closed(_) => self.totals.begun,
        };
        self.totals.elapsed = self.start.elapsed();
        &self.totals
    }

    /// The totals, once whatever still flies is cut off.
    async fn end(mut self) -> Totals {
        self.collect();
        self.totals.cut = self.flying.len() as u64;
        self.totals();
        self.flying.shutdown().await;
        self.totals
    }
}
