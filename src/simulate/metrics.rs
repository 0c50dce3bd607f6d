//! What a stand-in counts while it serves, and what it exposes of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::exposition::{self, Labels, Sample};
use crate::scenario::profile::{Counted, Course, Facet, Family, Followed, Moved, Observed, Series};

/// The families of one stand-in, and where they stand.
#[derive(Debug)]
pub(super) struct Metrics {
    families: Vec<(Family, Mutex<Tallies>)>,
}

/// One tally for each combination of labels taken from what is served.
type Tallies = BTreeMap<Key, Tally>;

/// Labels taken from what is served; those that a family does not ask for are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    method: Option<&'static str>,
    route: Option<Arc<str>>,
    status: Option<u16>,
}

#[derive(Debug, Default)]
struct Tally {
    count: u64,
    sum: f64,
    /// How many observations each bucket holds alone; not cumulative.
    buckets: Vec<u64>,
}

/// What was served, or is about to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Served<'s> {
    pub(super) method: &'static str,
    pub(super) route: &'s Arc<str>,
    /// The status; zero for what has none.
    pub(super) status: u16,
}

impl Metrics {
    pub(super) fn new(families: Vec<Family>) -> Self {
        let families = families.into_iter().map(|family| {
            let by = match &family.moved {
                Moved::Counts { by, .. } | Moved::Observes { by, .. } | Moved::Follows { by, .. } => {
                    by.as_slice()
                }
                Moved::Declared(_) => &[Facet::Route],
            };
            // As in client libraries: a series whose labels are known stands at zero from the start.
            let tallies = by.is_empty().then(|| (Key::default(), Tally::default()));
            (family, Mutex::new(tallies.into_iter().collect()))
        });
        Self { families: families.collect() }
    }

    /// Notes an answered request.
    pub(super) fn answered(&self, served: Served<'_>, took: Duration) {
        self.count(Counted::Requests, served);
        if served.status >= 500 {
            self.count(Counted::Errors, served);
        }
        self.each(|family, tallies| match family {
            Moved::Observes { what: Observed::Latency, by, buckets, .. } => {
                let seconds = took.as_secs_f64();
                let tally = tallies.entry(served.key(by)).or_default();
                tally.buckets.resize(buckets.len(), 0);
                if let Some(within) = buckets.iter().position(|bound| seconds <= *bound) {
                    tally.buckets[within] += 1;
                }
                tally.count += 1;
                tally.sum += seconds;
            }
            Moved::Counts { .. } | Moved::Follows { .. } | Moved::Declared(_) => {}
        });
    }

    /// Counts one more of something.
    pub(super) fn count(&self, counted: Counted, served: Served<'_>) {
        self.each(|family, tallies| match family {
            Moved::Counts { what, by, .. } if *what == counted => {
                tallies.entry(served.key(by)).or_default().count += 1;
            }
            Moved::Counts { .. } | Moved::Observes { .. } | Moved::Follows { .. } | Moved::Declared(_) => {}
        });
    }

    /// One more of something is there now.
    pub(super) fn enter(&self, followed: Followed, served: Served<'_>) {
        self.follow(followed, served, |count| count.saturating_add(1));
    }

    /// One of something is gone.
    pub(super) fn leave(&self, followed: Followed, served: Served<'_>) {
        self.follow(followed, served, |count| count.saturating_sub(1));
    }

    fn follow(&self, followed: Followed, served: Served<'_>, step: impl Fn(u64) -> u64) {
        self.each(|family, tallies| match family {
            Moved::Follows { what, by, .. } if *what == followed => {
                let tally = tallies.entry(served.key(by)).or_default();
                tally.count = step(tally.count);
            }
            Moved::Counts { .. } | Moved::Observes { .. } | Moved::Follows { .. } | Moved::Declared(_) => {}
        });
    }

    fn each(&self, mut step: impl FnMut(&Moved, &mut Tallies)) {
        for (family, tallies) in &self.families {
            step(&family.moved, &mut lock(tallies));
        }
    }

    /// The families as they stand, `elapsed` after the start.
    pub(super) fn families(&self, elapsed: Duration) -> Vec<exposition::Family> {
        let families = self.families.iter().map(|(family, tallies)| {
            let mut exposed = exposition::Family::new(&family.name, family.kind);
            exposed.help.clone_from(&family.help);
            match &family.moved {
                Moved::Counts { labels, .. } | Moved::Follows { labels, .. } => {
                    let tallies = lock(tallies);
                    let samples = tallies.iter().map(|(key, tally)| {
                        sample(family.name.clone(), key.labels(labels), as_float(tally.count))
                    });
                    exposed.samples.extend(samples);
                }
                Moved::Observes { labels, buckets, .. } => {
                    for (key, tally) in lock(tallies).iter() {
                        let histogram = Histogram { name: &family.name, labels: key.labels(labels), buckets };
                        let mut within = 0;
                        let counts = tally.buckets.iter().map(|alone| {
                            within += alone;
                            within
                        });
                        histogram.expose(counts, tally.count, tally.sum, &mut exposed.samples);
                    }
                }
                Moved::Declared(series) => {
                    for series in series {
                        declared(&family.name, series, elapsed, &mut exposed.samples);
                    }
                }
            }
            exposed
        });
        families.collect()
    }
}

fn declared(name: &str, series: &Series, elapsed: Duration, samples: &mut Vec<Sample>) {
    let labels = series.labels.clone();
    match &series.course {
        Course::Stays(value) => samples.push(sample(name.to_owned(), labels, *value)),
        Course::Grows { from, rate } => {
            let grown = (rate.per_second() * elapsed.as_secs_f64()).floor();
            samples.push(sample(name.to_owned(), labels, from + grown));
        }
        Course::Fills { spread, rate, buckets } => {
            let observed = (rate.per_second() * elapsed.as_secs_f64()).floor();
            let counts = buckets.iter().map(|bound| whole(observed * spread.share_up_to(*bound).share()));
            let histogram = Histogram { name, labels, buckets };
            histogram.expose(counts, whole(observed), observed * spread.mean(), samples);
        }
    }
}

/// What names a histogram's samples.
struct Histogram<'h> {
    name: &'h str,
    labels: Labels,
    buckets: &'h [f64],
}

impl Histogram<'_> {
    /// Appends buckets, sum and count; `counts` are cumulative, and zero where they are missing.
    fn expose(self, counts: impl Iterator<Item = u64>, count: u64, sum: f64, samples: &mut Vec<Sample>) {
        let counts = counts.chain(std::iter::repeat(0));
        let finite = self.buckets.iter().map(ToString::to_string).zip(counts);
        for (bound, within) in finite.chain(std::iter::once(("+Inf".to_owned(), count))) {
            let mut labels = self.labels.clone();
            labels.insert("le".to_owned(), bound);
            samples.push(sample(format!("{}_bucket", self.name), labels, as_float(within)));
        }
        samples.push(sample(format!("{}_sum", self.name), self.labels.clone(), sum));
        samples.push(sample(format!("{}_count", self.name), self.labels, as_float(count)));
    }
}

fn sample(name: String, labels: Labels, value: f64) -> Sample {
    Sample { name, labels, value, at: None }
}

#[expect(clippy::cast_precision_loss, reason = "a count above 2^53 is years away")]
fn as_float(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count is whole and not below zero"
)]
fn whole(count: f64) -> u64 {
    count as u64
}

impl Served<'_> {
    fn key(&self, by: &[Facet]) -> Key {
        let asked = |facet| by.contains(&facet);
        Key {
            method: asked(Facet::Method).then_some(self.method),
            route: asked(Facet::Route).then(|| Arc::clone(self.route)),
            status: asked(Facet::Status).then_some(self.status),
        }
    }
}

impl Key {
    fn labels(&self, fixed: &Labels) -> Labels {
        let mut labels = fixed.clone();
        let own = [
            (Facet::Method, self.method.map(ToOwned::to_owned)),
            (Facet::Route, self.route.as_deref().map(ToOwned::to_owned)),
            (Facet::Status, self.status.map(|status| status.to_string())),
        ];
        let own = own.into_iter().filter_map(|(facet, value)| Some((facet.label().to_owned(), value?)));
        labels.extend(own);
        labels
    }
}

/// The tallies, even where a thread panicked over them: each step leaves them whole.
fn lock(tallies: &Mutex<Tallies>) -> MutexGuard<'_, Tallies> {
    tallies.lock().unwrap_or_else(PoisonError::into_inner)
}
