//! Threads that share a load: each drives a part of the schedule with connections, timers and books of its own.

use std::io;
use std::num::NonZero;
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::load::drive::{Ledger, Options, Shooter, drive};
use crate::load::pace::Schedule;
use crate::load::totals::Totals;

/// How many threads make a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crew(NonZero<usize>);

/// Hits per second that one thread makes with room to spare.
const EASY: f64 = 20_000.0;

/// Users whom one thread plays with room to spare.
const EASY_USERS: f64 = 32.0;

/// The threads begin together, once all are there.
const MUSTER: Duration = Duration::from_millis(10);

impl Crew {
    /// As many threads as `schedule` needs, and no more than there are cores for this process.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most ten million, and positive"
    )]
    pub fn fit(schedule: &Schedule) -> Self {
        let wanted = match schedule {
            Schedule::Open(pace) => (pace.peak() / EASY).ceil() as usize,
            Schedule::Closed(crowd) => (crowd.peak() / EASY_USERS).ceil() as usize,
        };
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self(NonZero::new(wanted.clamp(1, cores)).unwrap_or(NonZero::<usize>::MIN))
    }

    /// Exactly so many.
    #[must_use]
    pub fn of(threads: NonZero<usize>) -> Self {
        Self(threads)
    }
}

/// Drives `schedule` on the threads of `crew`, with shooters that `new` makes on the thread that uses them. Tells
/// `progress` what was measured so far, and what of it since it was told last.
///
/// Returns when the last attempt has ended, or soon after it is told to stop, with all that was measured.
///
/// # Errors
/// When a thread, or its means to wait, cannot be had.
pub async fn run<S: Shooter>(
    schedule: &Schedule,
    crew: Crew,
    options: &Options,
    new: impl Fn(Ledger) -> S + Clone + Send + 'static,
    mut progress: impl FnMut(&Totals, &Totals),
) -> io::Result<Totals> {
    let start = Instant::now() + MUSTER;
    let (tell, mut told) = mpsc::unbounded_channel();
    let threads = crew.0.get();
    let mut running = Vec::new();
    for number in 0..threads {
        let parts = threads as u64;
        let shard = options.shard.part(number as u64, parts);
        let connections = options.connections.saturating_sub(number).div_ceil(threads);
        let options = Options { connections, shard, ..options.clone() };
        let (schedule, new, tell) = (schedule.clone(), new.clone(), tell.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let work = move || {
            let interval = |interval| drop(tell.send((number, Some(interval))));
            runtime.block_on(drive(schedule, start, &options, &new, interval));
            drop(tell.send((number, None)));
        };
        running.push(thread::Builder::new().name(format!("load-{number}")).spawn(work)?);
    }
    drop(tell);
    let mut whole = Totals::new(&options.watched, options.parts);
    let mut round = Round::new(threads, options);
    while let Some((number, interval)) = told.recv().await {
        if let Some(interval) = &interval {
            whole.merge(interval);
        }
        if let Some(interval) = round.take(number, interval) {
            progress(&whole, &interval);
        }
    }
    for thread in running {
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
    Ok(whole)
}

/// What was told since progress was: complete once every thread has told, or has ended.
struct Round {
    so_far: Totals,
    threads: Vec<Told>,
    watched: Vec<Duration>,
    parts: usize,
}

/// What was heard of a thread in this round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Interval,
    End,
}

impl Round {
    fn new(threads: usize, options: &Options) -> Self {
        let so_far = Totals::new(&options.watched, options.parts);
        Self {
            so_far,
            threads: vec![Told::Nothing; threads],
            watched: options.watched.clone(),
            parts: options.parts,
        }
    }

    /// Takes in what thread `number` told, its end as `None`; gives the interval once it is complete.
    fn take(&mut self, number: usize, interval: Option<Totals>) -> Option<Totals> {
        self.threads[number] = if interval.is_some() { Told::Interval } else { Told::End };
        if let Some(interval) = interval {
            self.so_far.merge(&interval);
        }
        if self.threads.contains(&Told::Nothing) {
            return None;
        }
        for thread in self.threads.iter_mut().filter(|thread| **thread == Told::Interval) {
            *thread = Told::Nothing;
        }
        Some(std::mem::replace(&mut self.so_far, Totals::new(&self.watched, self.parts)))
    }
}
