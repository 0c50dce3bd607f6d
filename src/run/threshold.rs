//! What a load as a whole must keep: watched while it goes on, judged at its end.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::load::Totals;
use crate::probe::attempt::Breach;
use crate::sample::Reason;
use crate::scenario::load::{Measure, Part, Threshold};
use crate::scenario::predicate::Unmet;
use crate::scenario::subject::Subject;
use crate::scenario::template::Scope;
use crate::sli::Sli;
use crate::units::{Ratio, Span};

/// The thresholds of a load, and what it has come to so far.
pub(super) struct Watch<'a> {
    thresholds: &'a [Threshold],
    parts: Vec<Part<'a>>,
    scope: &'a Scope,
    /// The last intervals: when each ended, and what was measured in it.
    recent: VecDeque<(Duration, Totals)>,
    /// The first breach of each threshold, by its number.
    broken: BTreeMap<usize, Breach>,
}

/// What thresholds came to.
pub(super) struct Kept {
    /// What was not kept.
    pub(super) breaches: Vec<Breach>,
    /// Those about which nothing was measured: they are not kept either.
    pub(super) unknown: Vec<&'static str>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(thresholds: &'a [Threshold], parts: Vec<Part<'a>>, scope: &'a Scope) -> Self {
        Self { thresholds, parts, scope, recent: VecDeque::new(), broken: BTreeMap::new() }
    }

    /// Takes in what was measured, so far and since the last time; whether the load is to end for it.
    pub(super) fn take(&mut self, whole: &Totals, interval: &Totals) -> bool {
        let now = whole.elapsed;
        if let Some(longest) = self.thresholds.iter().filter_map(|threshold| threshold.window).max() {
            self.recent.push_back((now, interval.clone()));
            while self.recent.front().is_some_and(|(ended, _)| *ended + longest <= now) {
                self.recent.pop_front();
            }
        }
        let mut abort = false;
        for (number, threshold) in self.thresholds.iter().enumerate() {
            let early = threshold.abort.is_none_or(|grace| now < grace);
            // Over the whole time only the end decides, unless the load is to end sooner.
            if threshold.window.is_none() && early {
                continue;
            }
            if let Some(Err(breach)) = self.judge(threshold, whole) {
                self.broken.entry(number).or_insert(breach);
                abort |= !early;
            }
        }
        abort
    }

    /// What the thresholds came to, now that the load is over.
    pub(super) fn end(mut self, whole: &Totals) -> Kept {
        let mut unknown = Vec::new();
        for (number, threshold) in self.thresholds.iter().enumerate() {
            if threshold.window.is_some_and(|window| whole.elapsed >= window) {
                continue;
            }
            match self.judge(threshold, whole) {
                Some(Ok(())) => {}
                Some(Err(breach)) => {
                    self.broken.entry(number).or_insert(breach);
                }
                None => unknown.push(threshold.name),
            }
        }
        Kept { breaches: self.broken.into_values().collect(), unknown }
    }

    /// Whether a threshold is kept, over the whole or over the window that ends now; `None` without samples.
    fn judge(&self, threshold: &Threshold, whole: &Totals) -> Option<Result<(), Breach>> {
        let (sli, span, over) = match threshold.window {
            Some(window) if whole.elapsed >= window => {
                let mut sli = Sli::default();
                let within = |(ended, _): &&(Duration, Totals)| *ended + window > whole.elapsed;
                let recent = self.recent.iter().filter(within);
                recent.for_each(|(_, interval)| sli.merge(&self.of(threshold, interval)));
                let until = Span(Duration::from_secs(whole.elapsed.as_secs()));
                (Cow::Owned(sli), window, format!(" in the {} up to {until}", Span(window)))
            }
            Some(_) | None => (self.of(threshold, whole), whole.elapsed, String::new()),
        };
        let subject = measured(threshold.measure, &sli, span)?;
        let Unmet { wanted, got } = match threshold.wanted.test(subject, self.scope) {
            Ok(()) => return Some(Ok(())),
            Err(unmet) => unmet,
        };
        let of = threshold.of.as_ref().map(|of| format!(" of `{of}`")).unwrap_or_default();
        let title = format!("{}{of}{over} is {got}, expected {wanted}", name(threshold));
        Some(Err(Breach::new(
            reason(threshold.measure, &sli),
            threshold.wanted.place,
            title,
            format!("it is {got}"),
        )))
    }

    /// What the threshold is about: all, or one part, or several that share a word.
    fn of<'t>(&self, threshold: &Threshold, totals: &'t Totals) -> Cow<'t, Sli> {
        let Some(of) = &threshold.of else { return Cow::Borrowed(&totals.sli) };
        let called = self.parts.iter().zip(&totals.parts).filter(|(part, _)| part.is_called(&of.value));
        let mut called = called.map(|(_, sli)| sli);
        match (called.next(), called.next()) {
            (None, _) => Cow::Owned(Sli::default()),
            (Some(only), None) => Cow::Borrowed(only),
            (Some(first), Some(second)) => {
                let mut together = first.clone();
                std::iter::once(second).chain(called).for_each(|sli| together.merge(sli));
                Cow::Owned(together)
            }
        }
    }
}

fn name(threshold: &Threshold) -> String {
    match threshold.measure {
        Measure::Latency(_) => format!("the latency's {}", threshold.name),
        Measure::Errors => "the share of failures".to_owned(),
        Measure::Rate => "the number of good answers a second".to_owned(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate of three digits")]
fn measured(measure: Measure, sli: &Sli, span: Duration) -> Option<Subject<'static>> {
    let counts = sli.counts();
    match measure {
        Measure::Latency(thousandths) => {
            sli.quantile(Ratio::new(f64::from(thousandths) / 1_000.0)?).map(Subject::Time)
        }
        Measure::Errors => counts.failure_ratio().map(Subject::Share),
        Measure::Rate => (counts.valid() > 0 && !span.is_zero())
            .then(|| Subject::Number(counts.good as f64 / span.as_secs_f64())),
    }
}

/// The reason a threshold's breach is counted by: of failures the commonest.
fn reason(measure: Measure, sli: &Sli) -> Reason {
    let commonest = sli.reasons().iter().max_by_key(|(_, count)| **count).map(|(reason, _)| *reason);
    match measure {
        Measure::Latency(_) | Measure::Rate => Reason::Latency,
        Measure::Errors => commonest.unwrap_or(Reason::Status),
    }
}
