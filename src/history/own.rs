//! The past as firedrill itself measured it: from the store, or from the events of one run.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Look, Read, Reading, Wanted, slice_of};
use crate::budget::Events;
use crate::event::Event;
use crate::gate::Verdict;
use crate::report::json;
use crate::sli::{Counts, Folded};
use crate::slo::{Measure, Objective, Query};
use crate::statistics::{self, Compared, Confidence, Margin};
use crate::store::{self, Store};
use crate::units::Ratio;

/// The store's finest slice.
const MINUTE: Duration = Duration::from_secs(60);

/// What each SLI came to in a run.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// The run's name.
    pub run: String,
    /// By SLI.
    pub slis: BTreeMap<String, Folded>,
}

impl Measured {
    /// Reads the events of a run that was saved.
    ///
    /// # Errors
    /// A line that is no event, with its number.
    pub fn read(events: impl BufRead) -> Result<Self, json::Error> {
        let mut measured = Self::default();
        for stamped in json::read(events) {
            let event = stamped?.event;
            if let Event::RunStarted { run, .. } = event {
                measured.run = run;
            } else if let Event::Sampled { sli, samples, .. } = event {
                measured.slis.entry(sli).or_default().merge(&samples);
            }
        }
        Ok(measured)
    }

    /// What one part of what is wanted came to.
    ///
    /// # Errors
    /// Why the run has nothing of it.
    pub fn part(&self, objective: &Objective) -> Read {
        if let Some(slice) = slice_of(objective) {
            return Err(format!("its budget is spent by slices of {slice:?}, and a run has no slices"));
        }
        let sli = sli(objective)?;
        let samples = self.slis.get(sli).ok_or_else(|| format!("the run has no samples of `{sli}`"))?;
        let (counts, notes) = counted(objective, samples);
        Ok(Reading { whole: counts.into(), notes, ..Reading::default() })
    }
}

/// Which SLI of firedrill's an objective is about.
///
/// # Errors
/// Why it is about none.
pub fn sli(objective: &Objective) -> Result<&str, String> {
    let elsewhere = |query: &Query| {
        Err(format!("its numbers come from `{}`, which is not asked here", query.source_type()))
    };
    match &objective.measure {
        Measure::Latency { sli, .. } => Ok(sli.as_str()),
        Measure::Ratio {
            counted: Query::Firedrill { sli, .. },
            total: Query::Firedrill { sli: of, .. },
            ..
        } => {
            if sli.value == of.value {
                Ok(sli.as_str())
            } else {
                Err(format!("it compares `{sli}` with `{of}`, and one SLI is judged at a time"))
            }
        }
        Measure::Ratio { counted: Query::Firedrill { .. }, total: query, .. }
        | Measure::Ratio { counted: query, .. }
        | Measure::Raw { query, .. }
        | Measure::Threshold { metric: query, .. } => elsewhere(query),
    }
}

/// Good and bad by what the objective asks, and what is to be said of it.
fn counted(objective: &Objective, samples: &Folded) -> (Counts, Vec<String>) {
    let Measure::Latency { limit, inclusive, .. } = &objective.measure else {
        return (samples.counts, Vec::new());
    };
    let (counts, unclear) = samples.within(limit.saturating_sub(Duration::from_nanos(u64::from(!inclusive))));
    let note = format!("{unclear} latencies are too close to the limit to tell, and count as bad");
    (counts, if unclear > 0 { vec![note] } else { Vec::new() })
}

/// Compares one objective's samples with those of an earlier run: what speaks against a pass, and what is to be said.
#[must_use]
pub fn compare(
    objective: &Objective,
    now: &Measured,
    before: &Measured,
    margin: Margin,
    confidence: Confidence,
) -> (Option<(Verdict, String)>, String) {
    let unclear = |why: String| (Some((Verdict::Inconclusive { needed: None }, why.clone())), why);
    let sli = match sli(objective) {
        Ok(sli) => sli,
        Err(why) => return unclear(format!("not compared: {why}")),
    };
    let (Some(new), Some(old)) = (now.slis.get(sli), before.slis.get(sli)) else {
        return unclear(format!("not compared: run {} has no samples of `{sli}`", before.run));
    };
    let ((counts, _), (earlier, _)) = (counted(objective, new), counted(objective, old));
    let allowed = objective.target.complement();
    let failures = statistics::frequency(counts, earlier, margin, allowed, confidence);
    let mut compared = failures.compared;
    let most = if failures.most.is_finite() { format!("{:.2}", failures.most) } else { "any".to_owned() };
    let between = format!("(between {:.2} and {most})", failures.least);
    let often = match failures.quotient {
        Some(times) => format!("failures {times:.2} times as often {between}"),
        None if counts.bad > 0 => format!("failures where there were none {between}"),
        None => "no failures, as before".to_owned(),
    };
    let mut said = format!("against run {}: {often}", before.run);
    if let Measure::Latency { .. } = &objective.measure {
        let slow =
            statistics::slowness(&new.latencies(), &old.latencies(), objective.target, margin, confidence);
        compared = compared.max(slow.compared);
        if let (Some(now), Some(then)) = (slow.now.measured, slow.before.measured) {
            said = format!(
                "{said}; {} of latencies within {}, before within {}",
                objective.target,
                crate::units::Reading(now),
                crate::units::Reading(then)
            );
        }
    }
    let verdict = match compared {
        Compared::NoWorse => Verdict::Pass,
        Compared::Unclear => Verdict::Inconclusive { needed: None },
        Compared::Worse => Verdict::Fail,
    };
    let doubt = match compared {
        Compared::NoWorse => None,
        Compared::Unclear => {
            Some(format!("too few samples to say whether it is worse than run {}: {said}", before.run))
        }
        Compared::Worse => Some(format!("worse than run {}: {said}", before.run)),
    };
    (doubt.map(|why| (verdict, why)), said)
}

/// What the store has of one part of what is wanted.
///
/// # Errors
/// When the store cannot be read.
pub fn part(
    store: &Store,
    wanted: &Wanted<'_>,
    objective: &Objective,
    look: &Look,
) -> Result<Read, store::Error> {
    let Some((start, _)) = wanted.window(look) else {
        return Ok(Err(format!("the window of {} has not begun", wanted.slo.window)));
    };
    let sli = match sli(objective) {
        Ok(sli) => sli,
        Err(why) => return Ok(Err(why)),
    };
    let minutes = store.slices(sli, start, look.at)?;
    if minutes.is_empty() {
        let known = store.slis()?;
        let why = if known.iter().any(|name| name == sli) {
            format!("the store has nothing of `{sli}` in the window")
        } else {
            format!("the store has nothing of `{sli}`; a step feeds it that says `sli: {sli}`")
        };
        return Ok(Err(why));
    }
    let latency = matches!(objective.measure, Measure::Latency { .. });
    let over = |from: Timestamp| -> Result<(Events, Vec<String>), store::Error> {
        if latency {
            let (counts, notes) = counted(objective, &store.folded(sli, from, look.at)?);
            return Ok((counts.into(), notes));
        }
        let counts = minutes.iter().filter(|minute| minute.start >= from);
        let counts = counts.fold(Counts::default(), |sum, minute| sum.plus(minute.counts));
        Ok((counts.into(), Vec::new()))
    };
    let (whole, notes) = over(start)?;
    let mut reading = Reading { whole, notes, ..Reading::default() };
    for lookback in wanted.lookbacks(look) {
        let from = look.at - SignedDuration::try_from(lookback).unwrap_or_default();
        reading.lookbacks.insert(lookback, over(from.max(start))?.0);
    }
    if let Some(since) = look.since {
        reading.since = Some(over(since.max(start))?.0.bad());
    }
    let slice = slice_of(objective).or(look.slices.then_some(MINUTE));
    if let Some(slice) = slice {
        if latency || slice.as_secs() % MINUTE.as_secs() != 0 {
            let why = "a latency's budget by slices of time is not kept in the store".to_owned();
            return Ok(if slice_of(objective).is_some() { Err(why) } else { Ok(reading) });
        }
        match sliced(&minutes, start, look.at, slice) {
            Ok(slices) => reading.slices = slices,
            Err(why) => return Ok(Err(why)),
        }
    }
    reading.covered = covered(&minutes, start, look.at);
    Ok(Ok(reading))
}

/// The minutes of a time, by slices; fails where minutes have become hours that no slice holds.
fn sliced(
    minutes: &[store::Slice],
    start: Timestamp,
    end: Timestamp,
    slice: Duration,
) -> Result<Vec<Events>, String> {
    let length = i64::try_from(slice.as_secs()).unwrap_or(i64::MAX).max(60);
    // Slices are counted from 1970 on, so that they are the same ones whenever somebody looks.
    let first = start.as_second().div_euclid(length);
    let last = end.as_second().div_euclid(length);
    let count = usize::try_from(last.saturating_sub(first)).unwrap_or(0);
    let mut slices = vec![Events::default(); count];
    for minute in minutes {
        if minute.length > slice {
            return Err(format!(
                "a part of the window is kept by slices of {:?}, longer than the objective's",
                minute.length
            ));
        }
        let at = usize::try_from(minute.start.as_second().div_euclid(length) - first).ok();
        if let Some(slice) = at.and_then(|at| slices.get_mut(at)) {
            *slice = slice.plus(minute.counts.into());
        }
    }
    Ok(slices)
}

/// The share of the time from the first measurement's window on in which anything was measured, by the hour: a
/// probe need not run every minute.
fn covered(minutes: &[store::Slice], start: Timestamp, end: Timestamp) -> Option<Ratio> {
    const HOUR: i64 = 3600;
    let hours = |at: Timestamp| at.as_second().div_euclid(HOUR);
    let all = (hours(end) - hours(start) + 1).max(1);
    let mut seen: Vec<i64> = minutes
        .iter()
        .flat_map(|slice| {
            let whole = i64::try_from(slice.length.as_secs()).unwrap_or(HOUR) / HOUR;
            (0..whole.max(1)).map(move |hour| hours(slice.start) + hour)
        })
        .collect();
    seen.sort_unstable();
    seen.dedup();
    #[expect(clippy::cast_precision_loss, reason = "hours of a century are few")]
    let share = (seen.len() as f64 / all as f64).min(1.0);
    Ratio::new(share)
}
