//! Updates on their way to the receiver, one after another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep;

use super::{Form, Reading, Update, Value};
use crate::exposition::{Labels, Native};
use crate::prometheus::{Batch, Receiver};

/// How often an update is sent where sending it again may help.
const TRIES: u32 = 4;

/// The pause before the second try; it doubles from one to the next.
const PAUSE: Duration = Duration::from_millis(200);

/// Where buckets end, in seconds.
const ENDS: [f64; 18] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0, 30.0, 60.0,
];

/// What came of all updates.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) of: u64,
    pub(super) lost: u64,
    /// Why the first of them was not taken.
    pub(super) why: String,
}

/// Sends updates.
pub(super) struct Post {
    receiver: Receiver,
    form: Form,
    waiting: Arc<AtomicUsize>,
}

impl Post {
    pub(super) fn new(receiver: Receiver, form: Form, waiting: Arc<AtomicUsize>) -> Self {
        Self { receiver, form, waiting }
    }

    /// Sends every update that comes, until there are no more.
    pub(super) async fn send(self, mut updates: UnboundedReceiver<Update>) -> Sent {
        let mut sent = Sent::default();
        let mut native = None;
        while let Some(update) = updates.recv().await {
            let form = match native {
                Some(known) => known,
                None => self.is_native().await,
            };
            native = Some(form);
            sent.of += 1;
            if let Err(why) = self.post(&batch(&update, form)).await {
                sent.lost += 1;
                if sent.why.is_empty() {
                    sent.why = why;
                }
            }
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        sent
    }

    async fn is_native(&self) -> bool {
        match self.form {
            Form::Native => true,
            Form::Classic => false,
            Form::Auto => self.receiver.takes_native().await,
        }
    }

    async fn post(&self, batch: &Batch) -> Result<(), String> {
        let mut pause = PAUSE;
        let mut tries = 1;
        loop {
            let Err(error) = self.receiver.push(batch).await else { return Ok(()) };
            if tries >= TRIES || !error.is_passing() {
                return Err(error.after(tries).to_string());
            }
            sleep(pause).await;
            pause *= 2;
            tries += 1;
        }
    }
}

fn batch(update: &Update, native: bool) -> Batch {
    let mut batch = Batch::default();
    for Reading { labels, value } in &update.readings {
        match value {
            Value::Number(value) => batch.sample(labels, update.at, *value),
            Value::Times(times) if native => {
                batch.native(labels, update.at, &Native::of(times.iter().copied()));
            }
            Value::Times(times) => classic(&mut batch, labels, update.at, times),
        }
    }
    batch
}

/// Buckets, sum and count.
#[expect(clippy::cast_precision_loss, reason = "a series has doubles, as everything there")]
fn classic(batch: &mut Batch, labels: &Labels, at: i64, times: &[(f64, u64)]) {
    let named = |suffix: &str| {
        let mut labels = labels.clone();
        labels.entry("__name__".to_owned()).and_modify(|name| name.push_str(suffix));
        labels
    };
    let mut left = times.iter().peekable();
    let (mut count, mut sum) = (0u64, 0.0);
    for end in ENDS.into_iter().chain([f64::INFINITY]) {
        while let Some((time, times)) = left.next_if(|(time, _)| *time <= end) {
            count = count.saturating_add(*times);
            sum += time * *times as f64;
        }
        let mut bucket = named("_bucket");
        let end = if end.is_finite() { end.to_string() } else { "+Inf".to_owned() };
        bucket.insert("le".to_owned(), end);
        batch.sample(&bucket, at, count as f64);
    }
    batch.sample(&named("_sum"), at, sum);
    batch.sample(&named("_count"), at, count as f64);
}
