//! What readings come to: budgets, burn rates and counts, by the objective's method.

use std::time::Duration;

use super::{Look, Read, Reading, Wanted, slice_of};
use crate::budget::{Budget, Burn, Events, Method, Tally};
use crate::gate::{Burning, Known, Past, Unit};
use crate::sli::Counts;
use crate::slo::{Budgeting, Measure, Objective, Window};
use crate::units::Ratio;

/// What is known of an objective, or of a composite, from what a source has of each part.
#[must_use]
pub fn known(wanted: &Wanted<'_>, look: &Look, reads: &[Read]) -> Known {
    let mut readings = Vec::new();
    for (read, part) in reads.iter().zip(&wanted.parts) {
        match read {
            Ok(reading) => readings.push((*part, reading)),
            Err(why) if wanted.composite => return Known::Nothing(format!("{}: {why}", part.label)),
            Err(why) => return Known::Nothing(why.clone()),
        }
    }
    let Some((start, period)) = wanted.window(look) else {
        return Known::Nothing(format!("the window of {} has not begun", wanted.slo.window));
    };
    let elapsed = Duration::try_from(look.at.duration_since(start)).unwrap_or_default().min(period);
    let Some(whole) = tally(&readings, look, None) else {
        return Known::Nothing("nothing was counted in the window".to_owned());
    };
    if whole.loss().is_none() {
        return Known::Nothing(match whole.empty() {
            0 => "no traffic: not one event in the window".to_owned(),
            empty => format!("no traffic: all {empty} slices of the window are empty"),
        });
    }
    let (target, scaled) = (wanted.target(), scale(wanted, look, &readings, whole));
    let budget = Budget { objective: target, tally: scaled, period, elapsed };
    let tiers = wanted.lookbacks(look).first().map(|_| tiers(wanted, look, &readings)).unwrap_or_default();
    let mut notes: Vec<String> =
        readings.iter().flat_map(|(_, reading)| reading.notes.iter().cloned()).collect();
    notes.extend((whole.empty() > 0).then(|| empty_slices(whole.empty(), look)));
    let covered = readings.iter().filter_map(|(_, reading)| reading.covered).reduce(least);
    notes.extend(covered.filter(|covered| covered.share() < 0.99).map(uncovered));
    Known::Past(Box::new(Past {
        window: window(wanted, look),
        rolls: matches!(wanted.slo.window, Window::Rolling(_)),
        unit: unit(wanted),
        budget,
        counts: counts(wanted, look, &readings, whole),
        tiers,
        covered: covered.unwrap_or(Ratio::ONE),
        slices: readings
            .iter()
            .flat_map(|(_, reading)| reading.slices.iter().map(|slice| slice.whole()))
            .collect(),
        notes,
        since: readings.iter().filter_map(|(_, reading)| reading.since).reduce(|one, other| one + other),
        doubts: readings.iter().flat_map(|(_, reading)| reading.doubts.iter().cloned()).collect(),
    }))
}

fn window(wanted: &Wanted<'_>, look: &Look) -> String {
    match look.from {
        Some(from) => format!("what was measured since {from:.0}"),
        None => wanted.slo.window.to_string(),
    }
}

fn method(objective: &Objective) -> Method {
    match objective.budgeting {
        Budgeting::Occurrences => Method::Occurrences,
        Budgeting::Timeslices { good, .. } => Method::Timeslices { good },
        Budgeting::RatioTimeslices { .. } => Method::RatioTimeslices,
    }
}

/// What was lost in the window, or in a lookback; of a composite by its parts' weights.
fn tally(parts: &[(&Objective, &Reading)], look: &Look, lookback: Option<Duration>) -> Option<Tally> {
    let latest = |objective: &Objective, reading: &Reading| -> Vec<Events> {
        let slices = &reading.slices;
        let many = match (lookback, slice_of(objective)) {
            (Some(lookback), Some(slice)) => {
                (lookback.as_secs() / slice.as_secs().max(1)).try_into().unwrap_or(0)
            }
            (_, _) => slices.len(),
        };
        slices[slices.len().saturating_sub(many)..].to_vec()
    };
    let one = |(objective, reading): &(&Objective, &Reading)| match (slice_of(objective), lookback) {
        (Some(_), _) => Some(Tally::of_slices(&latest(objective, reading), method(objective), look.empty)),
        (None, None) => Some(Tally::of_events(reading.whole)),
        (None, Some(lookback)) => reading.lookbacks.get(&lookback).map(|events| Tally::of_events(*events)),
    };
    if let [only] = parts {
        return one(only);
    }
    let by_slices: Option<Vec<_>> = parts
        .iter()
        .map(|(objective, reading)| match objective.budgeting {
            Budgeting::Timeslices { good, .. } => Some((good, latest(objective, reading))),
            Budgeting::Occurrences | Budgeting::RatioTimeslices { .. } => None,
        })
        .collect();
    if let Some(slices) = by_slices {
        let slices: Vec<_> = slices.iter().map(|(good, slices)| (*good, slices.as_slice())).collect();
        return Some(Tally::any_bad(&slices, look.empty));
    }
    let weighted: Option<Vec<_>> =
        parts.iter().map(|part| Some((part.0.weight.unwrap_or(1.0), one(part)?))).collect();
    Tally::weighted(&weighted?)
}

/// The burn rate of the window or of a lookback: of a composite the weighted sum of its parts' burn rates.
fn burn(
    wanted: &Wanted<'_>,
    parts: &[(&Objective, &Reading)],
    look: &Look,
    lookback: Option<Duration>,
) -> Option<Burn> {
    let alone = wanted.parts.len() == 1;
    if alone || by_any(wanted) {
        return Burn::of(tally(parts, look, lookback)?, wanted.target());
    }
    let burns: Option<Vec<_>> = parts
        .iter()
        .map(|part| {
            let own = tally(std::slice::from_ref(part), look, lookback)?;
            Some((part.0.weight.unwrap_or(1.0), Burn::of(own, part.0.target)?))
        })
        .collect();
    Burn::weighted(&burns?)
}

/// Whether a slice of it is bad when any part's is.
fn by_any(wanted: &Wanted<'_>) -> bool {
    wanted.parts.iter().all(|part| matches!(part.budgeting, Budgeting::Timeslices { .. }))
}

/// The tally whose burn rate is the composite's; of anything else its own.
fn scale(wanted: &Wanted<'_>, look: &Look, parts: &[(&Objective, &Reading)], whole: Tally) -> Tally {
    if wanted.parts.len() == 1 || by_any(wanted) {
        return whole;
    }
    let lost = burn(wanted, parts, look, None)
        .map_or(0.0, |burn| burn.rate() * wanted.target().complement().share());
    Events::new(lost.min(1.0), 1.0).map_or(whole, Tally::of_events)
}

fn tiers(wanted: &Wanted<'_>, look: &Look, parts: &[(&Objective, &Reading)]) -> Vec<Burning> {
    let failures = |over: Duration| {
        let of =
            |(_, reading): &(&Objective, &Reading)| reading.lookbacks.get(&over).map(|events| events.bad());
        parts.iter().filter_map(of).sum()
    };
    wanted
        .tiers(look.school)
        .into_iter()
        .map(|tier| Burning {
            tier,
            long: burn(wanted, parts, look, Some(tier.long)),
            short: burn(wanted, parts, look, Some(tier.short)),
            failures: failures(tier.long),
        })
        .collect()
}

fn unit(wanted: &Wanted<'_>) -> Unit {
    match wanted.parts.as_slice() {
        [Objective { budgeting: Budgeting::Occurrences, measure: Measure::Raw { .. }, .. }] => Unit::Slices,
        [Objective { budgeting: Budgeting::Occurrences, .. }] => Unit::Events,
        [_] => Unit::Slices,
        _ if by_any(wanted) => Unit::Slices,
        _ => Unit::Share,
    }
}

/// As whole events or slices. A composite is worth as many as its smallest part.
fn counts(wanted: &Wanted<'_>, look: &Look, parts: &[(&Objective, &Reading)], whole: Tally) -> Counts {
    let scaled = scale(wanted, look, parts, whole);
    if unit(wanted) != Unit::Share {
        return Events::new(scaled.lost(), scaled.of()).unwrap_or_default().whole();
    }
    let sizes = parts.iter().filter_map(|part| tally(std::slice::from_ref(part), look, None));
    let smallest = sizes.map(Tally::of).reduce(f64::min).unwrap_or(0.0);
    let loss = scaled.loss().unwrap_or(0.0);
    Events::new(loss * smallest, smallest).unwrap_or_default().whole()
}

fn least(one: Ratio, other: Ratio) -> Ratio {
    if one < other { one } else { other }
}

fn empty_slices(empty: u64, look: &Look) -> String {
    let how = match look.empty {
        crate::budget::Empty::Ignore => "not counted",
        crate::budget::Empty::Good => "counted as good",
        crate::budget::Empty::Bad => "counted as bad",
    };
    match empty {
        1 => format!("1 slice had no events, and is {how}"),
        more => format!("{more} slices had no events, and are {how}"),
    }
}

fn uncovered(covered: Ratio) -> String {
    match 100.0 * covered.share() {
        percent if percent > 0.0 && percent < 1.0 => "less than 1% of the window was measured".to_owned(),
        percent => format!("only {percent:.0}% of the window was measured"),
    }
}
