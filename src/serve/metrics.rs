//! The metrics page: how scenarios, SLIs and SLOs do, and how we do ourselves.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::histogram::{family, number, sample};
use super::house::House;
use super::keep::Standing;
use super::ledger::Total;
use super::state::State;
use super::watch::Watch;
use crate::event::{Conclusion, Outcome};
use crate::exposition::{Dialect, Family, Kind, Labels};
use crate::gate::Known;
use crate::sli::Counts;
use crate::slo::RunMeasure;
use crate::units::Span;

/// The dialect that an `Accept` header likes best of ours; without one, Prometheus text.
pub(super) fn dialect(accept: &str) -> Dialect {
    let mut best = (Dialect::Text, -1.0);
    for one in accept.split(',') {
        let mut parts = one.split(';').map(str::trim);
        let dialect = match parts.next() {
            Some("application/openmetrics-text") => Dialect::OpenMetrics,
            Some("text/plain" | "text/*" | "*/*") => Dialect::Text,
            Some(_) | None => continue,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok());
        if let Some(weight) = weight.filter(|weight| *weight > best.1) {
            best = (dialect, weight);
        }
    }
    best.0
}

/// Everything that is exposed at this moment.
pub(super) fn families(house: &House) -> Vec<Family> {
    let mut all = of_scenarios(&house.watches());
    let totals = house.ledger.totals();
    all.extend(of_slis(&totals));
    all.extend(of_slos(&house.standings.all().0, &totals));
    all.extend(of_ourselves(house));
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

fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Flaky => "flaky",
        Outcome::Failed => "failed",
        Outcome::Unreliable => "unreliable",
        Outcome::Skipped => "skipped",
    }
}

/// The families of scenarios and their steps, filled one scenario at a time.
struct Scenarios {
    runs: Family,
    passed: Family,
    took: Family,
    last: Family,
    every: Family,
    missed: Family,
    in_a_row: Family,
    outcomes: Family,
    attempts: Family,
    failures: Family,
    latency: Family,
    phases: Family,
    certificates: Family,
    info: Family,
}

fn of_scenarios(watches: &[Watch]) -> Vec<Family> {
    let (counter, gauge) = (Kind::Counter, Kind::Gauge);
    let mut all = Scenarios {
        runs: family("firedrill_scenario_runs", counter, "Runs of a scenario that have ended, by how."),
        passed: family("firedrill_scenario_passed", gauge, "Whether the last run of a scenario passed."),
        took: family(
            "firedrill_scenario_duration_seconds",
            Kind::Histogram,
            "How long runs of a scenario took.",
        ),
        last: family(
            "firedrill_scenario_last_run_timestamp_seconds",
            gauge,
            "When the last run began that has ended.",
        ),
        every: family("firedrill_scenario_interval_seconds", gauge, "How often a scenario is due."),
        missed: family("firedrill_schedule_missed", counter, "Times a scenario was due while it still ran."),
        in_a_row: family("firedrill_scenario_failed_in_a_row", gauge, "Runs since a scenario last passed."),
        outcomes: family("firedrill_step_outcomes", counter, "Steps that have ended, by how."),
        attempts: family("firedrill_step_attempts", counter, "Attempts of a step, good and bad."),
        failures: family(
            "firedrill_step_failures",
            counter,
            "Attempts of a step that failed, by the one reason.",
        ),
        latency: family(
            "firedrill_step_latency_seconds",
            Kind::Histogram,
            "How long attempts took that passed, were too slow or ran out of time.",
        ),
        phases: family(
            "firedrill_step_phase_seconds",
            Kind::Summary,
            "How long each phase of attempts took.",
        ),
        certificates: family(
            "firedrill_certificate_expiry_timestamp_seconds",
            gauge,
            "When the certificate expires, or has expired, that a step was shown last.",
        ),
        info: family("firedrill_scenario", Kind::Info, "The labels that a scenario's file gives it."),
    };
    for watch in watches {
        all.add(watch, &watch.state());
    }
    let Scenarios { runs, passed, took, last, every, missed, in_a_row, .. } = all;
    let Scenarios { outcomes, attempts, failures, latency, phases, certificates, info, .. } = all;
    vec![
        runs,
        passed,
        took,
        last,
        every,
        missed,
        in_a_row,
        outcomes,
        attempts,
        failures,
        latency,
        phases,
        certificates,
        info,
    ]
}

impl Scenarios {
    fn add(&mut self, watch: &Watch, state: &State) {
        let scenario = labels([("scenario", &watch.name)]);
        // Every series is there from the start: one that comes to be with its first failure has no increase.
        for conclusion in
            [Conclusion::Pass, Conclusion::Fail, Conclusion::Inconclusive, Conclusion::NotMeasured]
        {
            let labels = labels([("scenario", &watch.name), ("conclusion", word(conclusion))]);
            let runs = state.conclusions.get(&conclusion).copied().unwrap_or_default();
            push(&mut self.runs, "_total", labels, number(runs));
        }
        if let Some(last) = state.last() {
            let passed = f64::from(u8::from(last.conclusion == Conclusion::Pass));
            push(&mut self.passed, "", scenario.clone(), passed);
            push(&mut self.last, "", scenario.clone(), seconds(last.began));
        }
        state.took.show(&mut self.took, &scenario);
        push(&mut self.every, "", scenario.clone(), watch.scene.every.as_secs_f64());
        push(&mut self.missed, "_total", scenario.clone(), number(state.missed));
        push(&mut self.in_a_row, "", scenario, number(state.failed_in_a_row));
        self.add_steps(watch, state);
        let Some(planned) = watch.scene.planned() else { return };
        let mut told: Labels = planned
            .scenario
            .labels
            .iter()
            .map(|(name, value)| (format!("label_{}", fit(name)), value.clone()))
            .collect();
        told.insert("scenario".to_owned(), watch.name.clone());
        push(&mut self.info, "_info", told, 1.0);
    }

    fn add_steps(&mut self, watch: &Watch, state: &State) {
        for (name, step) in &state.steps {
            let own = labels([("scenario", &watch.name), ("step", name)]);
            let with = |name: &str, value: &str| {
                let mut own = own.clone();
                own.insert(name.to_owned(), value.to_owned());
                own
            };
            for (outcome, times) in &step.outcomes {
                push(&mut self.outcomes, "_total", with("outcome", outcome_word(*outcome)), number(*times));
            }
            let bad = step.bad.values().fold(0u64, |sum, times| sum.saturating_add(*times));
            push(&mut self.attempts, "_total", with("result", "good"), number(step.good));
            push(&mut self.attempts, "_total", with("result", "bad"), number(bad));
            for (reason, times) in &step.bad {
                push(&mut self.failures, "_total", with("reason", reason), number(*times));
            }
            step.took.show(&mut self.latency, &own);
            for (phase, (sum, times)) in &step.phases {
                push(&mut self.phases, "_sum", with("phase", phase.name()), sum.as_secs_f64());
                push(&mut self.phases, "_count", with("phase", phase.name()), number(*times));
            }
            if let Some(until) = step.certificate {
                push(&mut self.certificates, "", own.clone(), seconds(until));
            }
        }
    }
}

fn push(family: &mut Family, suffix: &str, labels: Labels, value: f64) {
    let name = format!("{}{suffix}", family.name);
    family.samples.push(sample(&name, labels, value));
}

/// A label's name of what a file calls it.
fn fit(name: &str) -> String {
    name.chars().map(|sign| if sign.is_ascii_alphanumeric() { sign } else { '_' }).collect()
}

fn of_slis(totals: &BTreeMap<String, Total>) -> [Family; 3] {
    let mut good = family("firedrill_sli_good", Kind::Counter, "Good events of an SLI since the start.");
    let mut valid =
        family("firedrill_sli_valid", Kind::Counter, "All events of an SLI that count, since the start.");
    let help = "The latencies of an SLI since the start, to three digits.";
    let mut latency = family("firedrill_sli_latency_seconds", Kind::Histogram, help);
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

fn of_ourselves(house: &House) -> Vec<Family> {
    let gauge = |name: &str, help, value| one(name, Kind::Gauge, help, "", value);
    let counter = |name: &str, help, value| one(name, Kind::Counter, help, "_total", value);
    let files = house.files();
    let health = house.ledger.health();
    let (scenarios, _) = house.sizes();
    let mut delay =
        family("firedrill_schedule_delay_seconds", Kind::Histogram, "How much later than due runs began.");
    house.delays().show(&mut delay, &Labels::new());
    let mut build = family("firedrill_build", Kind::Info, "The firedrill that serves.");
    push(&mut build, "_info", labels([("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    let truth = |holds: bool| f64::from(u8::from(holds));
    let broken = u64::try_from(files.broken.len()).unwrap_or(u64::MAX);
    let mut all = vec![
        build,
        delay,
        gauge(
            "firedrill_scenarios",
            "Scenarios that are served.",
            number(u64::try_from(scenarios).unwrap_or(u64::MAX)),
        ),
        gauge(
            "firedrill_config_last_reload_successful",
            "Whether the files had no errors when they were last read.",
            truth(files.broken.is_empty()),
        ),
        gauge("firedrill_config_broken_files", "Files with errors, which change nothing.", number(broken)),
        gauge(
            "firedrill_store_writable",
            "Whether the store could be written when it was last tried.",
            truth(health.trouble.is_none()),
        ),
        gauge(
            "firedrill_store_waiting",
            "Minutes of SLIs that are not in the store yet.",
            number(u64::try_from(health.waiting).unwrap_or(u64::MAX)),
        ),
        counter(
            "firedrill_store_write_failures",
            "How often the store could not be written.",
            number(health.failures),
        ),
        counter(
            "firedrill_store_lost_samples",
            "Samples that were given up, as the store could not be written for long.",
            number(health.lost),
        ),
        gauge("process_start_time_seconds", "When this process began.", seconds(house.started)),
    ];
    let at = [
        (
            "firedrill_config_last_reload_success_timestamp_seconds",
            "When the files were last read and had no errors.",
            files.sound,
        ),
        ("firedrill_store_last_write_timestamp_seconds", "When the store was last written.", health.written),
        (
            "firedrill_slo_last_evaluation_timestamp_seconds",
            "When budgets were last computed.",
            house.standings.all().1,
        ),
    ];
    all.extend(at.into_iter().filter_map(|(name, help, at)| Some(gauge(name, help, seconds(at?)))));
    all.extend(of_process());
    all
}

fn one(name: &str, kind: Kind, help: &str, suffix: &str, value: f64) -> Family {
    let mut family = family(name, kind, help);
    push(&mut family, suffix, Labels::new(), value);
    family
}

/// What Linux says of this process; elsewhere nothing.
fn of_process() -> Vec<Family> {
    let mut all = Vec::new();
    let clock = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name, which may hold anything but is in brackets: user and system time are the 12th and 13th.
    let fields: Vec<&str> = clock.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<u64>().ok());
    if let (Some(user), Some(system)) = (ticks(11), ticks(12)) {
        // Linux shows clock ticks of a hundredth of a second on every architecture that Rust runs on.
        let seconds = number(user.saturating_add(system)) / 100.0;
        all.push(one(
            "process_cpu_seconds",
            Kind::Counter,
            "Time of processors that was used.",
            "_total",
            seconds,
        ));
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
    if let Some(kibibytes) = resident {
        let bytes = number(u64::saturating_mul(kibibytes, 1024));
        all.push(one("process_resident_memory_bytes", Kind::Gauge, "Memory that is in use.", "", bytes));
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        let open = u64::try_from(open.count()).unwrap_or(u64::MAX);
        all.push(one("process_open_fds", Kind::Gauge, "Open file descriptors.", "", number(open)));
    }
    all
}
