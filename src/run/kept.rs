//! A few failures of a load, kept with all that was seen of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::event::{Evidence, Failure, Specimen};
use crate::probe::attempt::Breach;
use crate::sample::Reason;
use crate::source::Sources;

/// How many failures of each reason are kept with all that is known of them.
const KEPT: usize = 3;

/// A few failures of each reason, no two of them alike.
#[derive(Clone)]
pub(super) struct Kept {
    began: Instant,
    by_reason: Arc<Mutex<BTreeMap<Reason, Vec<Kind>>>>,
    /// Whether more would be known of a failure like one that is kept, if all of its answer were read.
    wanting: Arc<AtomicBool>,
}

/// One failure.
struct Kind {
    breaches: Vec<Breach>,
    part: Option<usize>,
    ended: Instant,
    seen: Seen,
}

/// What was seen of an attempt that failed.
pub(super) enum Seen {
    /// All that there was.
    All(Box<Evidence>),
    /// Not all, to save the time.
    Part(Box<Evidence>),
}

impl Seen {
    fn evidence(self) -> Evidence {
        match self {
            Self::All(evidence) | Self::Part(evidence) => *evidence,
        }
    }

    fn is_all(&self) -> bool {
        matches!(self, Self::All(_))
    }
}

impl Kept {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), by_reason: Arc::default(), wanting: Arc::default() }
    }

    /// Whether answers should be read wholly for what they might tell of a failure.
    pub(super) fn wants_all(&self) -> bool {
        self.wanting.load(Ordering::Relaxed)
    }

    /// Keeps a failure, unless there are enough of its reason or one like it; `seen` is asked only then.
    pub(super) fn keep(
        &self,
        breaches: Vec<Breach>,
        part: Option<usize>,
        ended: Instant,
        seen: impl FnOnce() -> Seen,
    ) {
        let Some(reason) = breaches.first().map(|breach| breach.reason) else { return };
        let mut kept = self.by_reason.lock().unwrap_or_else(PoisonError::into_inner);
        let of_reason = kept.entry(reason).or_default();
        match of_reason.iter().position(|kind| kind.breaches == breaches) {
            Some(like) if of_reason[like].seen.is_all() => return,
            Some(like) => of_reason[like] = Kind { breaches, part, ended, seen: seen() },
            None if of_reason.len() >= KEPT => return,
            None => of_reason.push(Kind { breaches, part, ended, seen: seen() }),
        }
        let wanting = kept.values().flatten().any(|kind| !kind.seen.is_all());
        self.wanting.store(wanting, Ordering::Relaxed);
    }

    /// Each with the place that wanted it otherwise, and with what was seen.
    pub(super) fn draw(&self, sources: &Sources, parts: &[String]) -> (Vec<Failure>, Vec<Specimen>) {
        let kept = std::mem::take(&mut *self.by_reason.lock().unwrap_or_else(PoisonError::into_inner));
        let (mut drawn, mut specimens): (Vec<Breach>, _) = (Vec::new(), Vec::new());
        for (reason, kind) in
            kept.into_iter().flat_map(|(reason, kinds)| kinds.into_iter().map(move |kind| (reason, kind)))
        {
            specimens.push(Specimen {
                reason,
                at: kind.ended.saturating_duration_since(self.began).into(),
                part: kind.part.and_then(|part| parts.get(part)).cloned(),
                wrong: kind.breaches.iter().map(|breach| breach.title.clone()).collect(),
                evidence: kind.seen.evidence(),
            });
            for breach in kind.breaches {
                if !drawn.contains(&breach) {
                    drawn.push(breach);
                }
            }
        }
        (drawn.iter().map(|breach| breach.draw(sources)).collect(), specimens)
    }
}
