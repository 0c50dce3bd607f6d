//! What is measured, sent to a Prometheus while it is measured, by its remote-write protocol.

mod meter;
mod post;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use self::meter::Meter;
use self::post::{Post, Sent};
use crate::event::{Event, Stamped};
use crate::exposition::Labels;
use crate::prometheus::Receiver;
use crate::report::Report;

/// How often updates are sent at most.
const EVERY: Duration = Duration::from_secs(1);

/// Updates that wait at most for those before them to be taken.
const MOST_WAITING: usize = 30;

/// How long the last ones may take to be sent once the run is over.
const DRAIN: Duration = Duration::from_secs(15);

/// In which form measured times are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As native histograms where the receiver says that it takes them, else in buckets.
    Auto,
    /// As native histograms.
    Native,
    /// In buckets, as everybody takes them.
    Classic,
}

/// The values of some series at one moment.
#[derive(Debug, Clone)]
struct Update {
    /// In milliseconds since 1970.
    at: i64,
    readings: Vec<Reading>,
}

/// A series, or the series of a histogram, at one moment.
#[derive(Debug, Clone)]
struct Reading {
    labels: Labels,
    value: Value,
}

#[derive(Debug, Clone)]
enum Value {
    Number(f64),
    /// Seconds, each with how often it was measured, in ascending order.
    Times(Vec<(f64, u64)>),
}

/// Sends what is measured, about once a second, on a thread of its own: whoever takes it slowly holds nobody up.
pub struct Remote {
    name: String,
    meter: Meter,
    /// When an update was sent last, since the run started.
    sent: Option<Duration>,
    waiting: Arc<AtomicUsize>,
    updates: Option<UnboundedSender<Update>>,
    ended: mpsc::Receiver<Sent>,
}

impl Remote {
    /// Sends to `receiver`, with times in this form. Nothing is sent yet.
    ///
    /// # Errors
    /// When there can be no thread for it.
    pub fn new(receiver: Receiver, form: Form) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let name = receiver.address();
        let (updates, coming) = unbounded_channel();
        let (tell, ended) = mpsc::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let post = Post::new(receiver, form, Arc::clone(&waiting));
        let work = move || drop(tell.send(runtime.block_on(post.send(coming))));
        thread::Builder::new().name("remote-write".to_owned()).spawn(work)?;
        Ok(Self { name, meter: Meter::default(), sent: None, waiting, updates: Some(updates), ended })
    }

    /// Sends what is new, if it is time to; what has to wait is sent with what comes after it.
    fn update(&mut self, now: Duration) {
        let due = self.sent.is_none_or(|sent| now.saturating_sub(sent) >= EVERY);
        if due && self.waiting.load(Ordering::Relaxed) < MOST_WAITING {
            self.send_on(now);
        }
    }

    fn send_on(&mut self, now: Duration) {
        let readings = self.meter.changed();
        if readings.is_empty() {
            return;
        }
        self.sent = Some(now);
        let update = Update { at: self.meter.clock(now), readings };
        if let Some(updates) = &self.updates {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            // Were nobody there to take it, the end would say so.
            let _ = updates.send(update);
        }
    }
}

impl Report for Remote {
    fn name(&self) -> &str {
        &self.name
    }

    fn take(&mut self, stamped: &Stamped) -> io::Result<()> {
        let now = Duration::from_nanos(stamped.at);
        self.meter.take(&stamped.event);
        // The end of a load is not left to the next second, which may be the next load's.
        if matches!(stamped.event, Event::Loaded { .. }) {
            self.send_on(now);
        } else {
            self.update(now);
        }
        Ok(())
    }

    fn wait(&mut self, elapsed: Duration) -> io::Result<()> {
        self.update(elapsed);
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        let now = self.sent.unwrap_or_default() + Duration::from_millis(1);
        self.send_on(now);
        drop(self.updates.take());
        let late = || format!("not all of it was taken within {} s of the run's end", DRAIN.as_secs());
        match self.ended.recv_timeout(DRAIN) {
            Ok(Sent { lost: 0, .. }) => Ok(()),
            Ok(Sent { lost, of, why }) => {
                Err(io::Error::other(format!("{lost} of {of} updates were not taken: {why}")))
            }
            Err(_) => Err(io::Error::other(late())),
        }
    }
}
