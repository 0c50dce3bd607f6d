//! What is next by the schedule, and what has come of it: the books of one driver, without any waiting.

use std::time::Duration;

use tokio::time::Instant;

use crate::load::drive::{Ledger, Options, Shot};
use crate::load::pace::{Arrivals, Schedule, Shard};
use crate::load::totals::{Hit, Totals};

/// How long hits that still wait for a shooter are sent after the load's time is over.
const DRAIN: Duration = Duration::from_secs(30);

/// What is next by the schedule.
#[derive(Debug, Clone, Copy)]
pub(super) enum Next {
    /// An attempt, which began by being asked for.
    Now(Turn),
    /// A hit is due, or a user asks or joins, then.
    At(Instant),
    /// Every shooter is busy.
    Busy,
    /// Nothing.
    Over,
}

/// Whose attempt it is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Turn {
    /// The schedule's, by number: the open model.
    Hit(Hit, u64),
    /// That user's, by number: the closed model.
    User(u64),
}

impl Turn {
    /// Which hit or user of the whole schedule it is.
    pub(super) fn number(self) -> u64 {
        match self {
            Self::Hit(_, number) | Self::User(number) => number,
        }
    }
}

/// The books of one driver.
#[derive(Debug)]
pub(super) struct Desk {
    schedule: Schedule,
    /// The hits of the open model.
    arrivals: Option<Arrivals>,
    shard: Shard,
    start: Instant,
    connections: u64,
    watched: Vec<Duration>,
    parts: usize,
    /// Hits taken so far; in the closed model, users who joined.
    taken: u64,
    /// Hits told to be due so far.
    told_due: u64,
    in_flight: u64,
    /// When it last was that every shooter was busy and one became free.
    freed: Instant,
    /// Until when the schedule was followed: all that was due by then and had a shooter is sent.
    served: Option<Duration>,
    closed: bool,
    /// The steps of attempts that take several.
    ledger: Ledger,
    /// Since the last interval was told.
    now: Totals,
}

impl Desk {
    pub(super) fn new(schedule: Schedule, start: Instant, options: &Options) -> Self {
        let arrivals = match &schedule {
            Schedule::Open(pace) => Some(Arrivals::of(pace)),
            Schedule::Closed(_) => None,
        };
        Self {
            schedule,
            arrivals,
            shard: options.shard,
            start,
            connections: options.connections.max(1) as u64,
            watched: options.watched.clone(),
            parts: options.parts,
            taken: 0,
            told_due: 0,
            in_flight: 0,
            freed: start,
            served: None,
            closed: options.stop.is_cancelled(),
            ledger: Ledger::default(),
            now: Totals::new(&options.watched, options.parts),
        }
    }

    /// Where steps of attempts are noted.
    pub(super) fn ledger(&self) -> Ledger {
        self.ledger.clone()
    }

    /// Attempts under way.
    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Nothing more is sent.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// What is next for a shooter that is free, or that could be made.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        let Some(elapsed) = now.checked_duration_since(self.start) else { return Next::At(self.start) };
        if self.closed {
            return Next::Over;
        }
        self.served = Some(elapsed);
        let next = self.shard.nth(self.taken);
        match &self.schedule {
            Schedule::Open(pace) => match self.arrivals.as_mut().and_then(|arrivals| arrivals.due(next)) {
                None => Next::Over,
                Some(_) if elapsed > pace.length().saturating_add(DRAIN) => Next::Over,
                Some(due) if due > elapsed => Next::At(self.start + due),
                Some(_) if self.in_flight >= self.connections => Next::Busy,
                Some(due) => {
                    let due = self.start + due;
                    self.begin(Turn::Hit(Hit { due, ready: due.max(self.freed) }, next))
                }
            },
            Schedule::Closed(crowd) if elapsed >= crowd.length() => Next::Over,
            Schedule::Closed(crowd) => match crowd.joins(next, Duration::ZERO) {
                // Who has joined asks by itself until the end.
                None => Next::At(self.start + crowd.length()),
                Some(joins) if joins > elapsed => Next::At(self.start + joins),
                Some(_) => self.begin(Turn::User(next)),
            },
        }
    }

    /// What is next for a user who has just been answered, or has waited since.
    fn next_of_user(&mut self, user: u64, from: Duration, now: Duration) -> Next {
        let Schedule::Closed(crowd) = &self.schedule else { return Next::Over };
        match crowd.joins(user, from).filter(|at| *at < crowd.length() && !self.closed) {
            None => Next::Over,
            Some(at) if at > now => Next::At(self.start + at),
            Some(_) => {
                self.served = Some(now);
                self.note_begun();
                Next::Now(Turn::User(user))
            }
        }
    }

    /// What is next for a user who has waited.
    pub(super) fn resume(&mut self, user: u64) -> Next {
        let now = self.start.elapsed();
        self.next_of_user(user, now, now)
    }

    fn begin(&mut self, turn: Turn) -> Next {
        self.taken += 1;
        self.note_begun();
        if matches!(turn, Turn::Hit(hit, _) if hit.due < hit.ready) {
            self.now.waited_for_a_connection += 1;
        }
        Next::Now(turn)
    }

    fn note_begun(&mut self) {
        self.in_flight += 1;
        self.now.begun += 1;
        self.now.in_flight_peak = self.now.in_flight_peak.max(self.in_flight);
    }

    /// Takes in an attempt that has ended, and says what its shooter does next.
    pub(super) fn land(&mut self, shot: &Shot, turn: Turn) -> Next {
        let hit = match turn {
            Turn::Hit(hit, _) => Some(hit),
            Turn::User(_) => None,
        };
        self.now.record(shot, hit);
        self.take_steps();
        self.now.sent_until = shot.sent.saturating_duration_since(self.start);
        // A way of several steps may have ended with a pause, and what was opened was held.
        let free = if shot.lingered { Instant::now() } else { shot.ended };
        self.free(free);
        match (&self.schedule, turn) {
            (Schedule::Closed(crowd), Turn::User(user)) => {
                let now = free.saturating_duration_since(self.start);
                let from = now.saturating_add(crowd.think());
                self.next_of_user(user, from, now)
            }
            (Schedule::Open(_) | Schedule::Closed(_), _) => self.next(free),
        }
    }

    fn take_steps(&mut self) {
        let now = &mut self.now;
        self.ledger.drain(|leg| now.record_leg(&leg));
    }

    /// An attempt will never end: its shooter is gone, and in the closed model a user with it.
    pub(super) fn lose(&mut self) {
        self.now.broken += 1;
        self.free(Instant::now());
    }

    fn free(&mut self, at: Instant) {
        if self.in_flight >= self.connections {
            self.freed = at;
        }
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// What was measured since this was asked last.
    pub(super) fn take_interval(&mut self) -> Totals {
        self.take_steps();
        let mut interval = std::mem::replace(&mut self.now, Totals::new(&self.watched, self.parts));
        interval.due = match &self.schedule {
            Schedule::Closed(_) => interval.begun,
            Schedule::Open(pace) => {
                let wanted = self.served.map_or(0, |served| self.shard.of(pace.wanted_by(served)));
                let new = wanted.saturating_sub(self.told_due);
                self.told_due += new;
                new
            }
        };
        interval.elapsed = self.start.elapsed();
        // A peak holds on: whoever is in flight now was so at the beginning of the next interval.
        self.now.in_flight_peak = self.in_flight;
        interval
    }

    /// What was measured since, with whatever is still under way cut off.
    pub(super) fn take_last(&mut self) -> Totals {
        self.now.cut = self.in_flight;
        self.take_interval()
    }
}
