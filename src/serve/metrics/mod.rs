//! The metrics page: how scenarios, SLIs and SLOs do, and how we do ourselves.

mod ourselves;
mod scenarios;
mod targets;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use crate::event::Conclusion;
use crate::exposition::protobuf::{self, Measured};
use crate::exposition::{Dialect, Family, Kind, Labels, print};
use crate::gate::Known;
use crate::serve::histogram::{family, number, sample};
use crate::serve::house::House;
use crate::serve::keep::Standing;
use crate::serve::ledger::Total;
use crate::sli::Counts;
use crate::slo::RunMeasure;
use crate::units::Span;

/// The family of what SLIs were fed as times.
const SLI_LATENCY: &str = "firedrill_sli_latency_seconds";

/// What a page is printed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text(Dialect),
    /// With native histograms.
    Protobuf,
}

/// The form that an `Accept` header likes best of ours; without one, Prometheus text.
pub(super) fn form(accept: &str) -> Form {
    let mut best = (Form::Text(Dialect::Text), -1.0);
    for one in accept.split(',') {
        let mut parts = one.split(';').map(str::trim);
        let form = match parts.next() {
            Some("application/openmetrics-text") => Form::Text(Dialect::OpenMetrics),
            Some("text/plain" | "text/*" | "*/*") => Form::Text(Dialect::Text),
            Some("application/vnd.google.protobuf") if is_families(parts.clone()) => Form::Protobuf,
            Some(_) | None => continue,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok());
        if let Some(weight) = weight.filter(|weight| *weight > best.1) {
            best = (form, weight);
        }
    }
    best.0
}

/// Whether protobuf is asked for as we print it: families, each behind its length.
fn is_families<'a>(mut parameters: impl Iterator<Item = &'a str> + Clone) -> bool {
    let is = |wanted: &'static str| move |parameter: &str| parameter.eq_ignore_ascii_case(wanted);
    parameters.clone().any(is("proto=io.prometheus.client.MetricFamily"))
        && parameters.any(is("encoding=delimited"))
}

/// The page of this moment, and its `Content-Type`.
pub(super) fn page(house: &House, form: Form) -> (&'static str, Bytes) {
    let totals = house.ledger.totals();
    let families = families(house, &totals);
    match form {
        Form::Text(dialect) => (dialect.content_type(), print(&families, dialect).into()),
        Form::Protobuf => (protobuf::CONTENT_TYPE, protobuf::print(&families, &natives(&totals)).into()),
    }
}

/// The latencies of each SLI as a native histogram.
fn natives(totals: &BTreeMap<String, Total>) -> Vec<Measured> {
    let native = |(sli, total): (&String, &Total)| Measured {
        family: SLI_LATENCY.to_owned(),
        labels: labels([("sli", sli)]),
        native: total.fine.native(),
    };
    totals.iter().map(native).collect()
}

/// Everything that is exposed at this moment.
fn families(house: &House, totals: &BTreeMap<String, Total>) -> Vec<Family> {
    let mut all = scenarios::families(&house.watches(), house.location.as_deref());
    all.extend(of_slis(totals));
    all.extend(of_slos(&house.standings.all().0, totals));
    all.extend(targets::families(house));
    all.extend(ourselves::families(house));
    all.retain(|family| !family.samples.is_empty());
    all
}

fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn seconds(at: Timestamp) -> f64 {
    Duration::try_from(at.duration_since(Timestamp::UNIX_EPOCH)).unwrap_or_default().as_secs_f64()
}

/// The word of a conclusion in labels.
pub(super) fn word(conclusion: Conclusion) -> &'static str {
    match conclusion {
        Conclusion::Pass => "pass",
        Conclusion::Inconclusive => "inconclusive",
        Conclusion::NotMeasured => "not_measured",
        Conclusion::Fail => "fail",
    }
}

fn push(family: &mut Family, suffix: &str, labels: Labels, value: f64) {
    let name = format!("{}{suffix}", family.name);
    family.samples.push(sample(&name, labels, value));
}

fn of_slis(totals: &BTreeMap<String, Total>) -> [Family; 3] {
    let mut good = family("firedrill_sli_good", Kind::Counter, "Good events of an SLI since the start.");
    let mut valid =
        family("firedrill_sli_valid", Kind::Counter, "All events of an SLI that count, since the start.");
    let help = "The latencies of an SLI since the start, to three digits.";
    let mut latency = family(SLI_LATENCY, Kind::Histogram, help);
    for (sli, total) in totals {
        let own = labels([("sli", sli)]);
        push(&mut good, "_total", own.clone(), number(total.counts.good));
        push(&mut valid, "_total", own.clone(), number(total.counts.valid()));
        total.latency.show(&mut latency, &own);
    }
    [good, valid, latency]
}

/// Good and all events by what an objective asks, since the start; `None` where it is not judged by our samples.
fn counted(standing: &Standing, totals: &BTreeMap<String, Total>) -> Option<Counts> {
    match standing.measure.as_ref()? {
        RunMeasure::Good { sli } => totals.get(&sli.value).map(|total| total.counts),
        RunMeasure::Within { sli, limit } => {
            totals.get(&sli.value).map(|total| total.within.get(limit).copied().unwrap_or_default())
        }
    }
}

fn of_slos(standings: &[Standing], totals: &BTreeMap<String, Total>) -> [Family; 7] {
    let counter = |name, help| family(name, Kind::Counter, help);
    let mut good =
        counter("firedrill_slo_good", "Events since the start that were as the objective wants them.");
    let mut valid = counter("firedrill_slo_valid", "Events since the start that count for the objective.");
    let gauge = |name, help| family(name, Kind::Gauge, help);
    let mut objective = gauge("firedrill_slo_objective_ratio", "The share that must be good.");
    let mut sli = gauge("firedrill_slo_sli_ratio", "The share that was good in the window.");
    let mut remaining = gauge(
        "firedrill_slo_budget_remaining_ratio",
        "The share of the window's error budget that is left; below zero when more was spent.",
    );
    let mut covered =
        gauge("firedrill_slo_covered_ratio", "The share of the window in which anything was measured.");
    let mut burn = gauge(
        "firedrill_slo_burn_rate",
        "How fast the budget was spent over a window; 1 spends it in exactly the SLO's.",
    );
    for standing in standings {
        let own = labels([("slo", &standing.slo), ("objective", &standing.objective)]);
        push(&mut objective, "", own.clone(), standing.target.share());
        if let Some(counts) = counted(standing, totals) {
            push(&mut good, "_total", own.clone(), number(counts.good));
            push(&mut valid, "_total", own.clone(), number(counts.valid()));
        }
        let Known::Past(past) = &standing.known else { continue };
        if let Some(good) = past.budget.sli() {
            push(&mut sli, "", own.clone(), good.share());
        }
        if let Some(left) = past.budget.remaining() {
            push(&mut remaining, "", own.clone(), left);
        }
        push(&mut covered, "", own.clone(), past.covered.share());
        let mut windows: Vec<_> = past
            .tiers
            .iter()
            .flat_map(|tier| [(tier.tier.short, tier.short), (tier.tier.long, tier.long)])
            .collect();
        windows.sort_by_key(|(window, _)| *window);
        windows.dedup_by_key(|(window, _)| *window);
        for (window, rate) in windows {
            let Some(rate) = rate else { continue };
            let mut own = own.clone();
            own.insert("window".to_owned(), Span(window).to_string());
            push(&mut burn, "", own, rate.rate());
        }
    }
    [good, valid, objective, sli, remaining, covered, burn]
}
