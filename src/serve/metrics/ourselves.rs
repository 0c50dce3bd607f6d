//! How we do ourselves: schedules, files, the store, the process.

use std::sync::atomic::Ordering;

use super::{labels, push, seconds};
use crate::exposition::{Family, Kind, Labels};
use crate::serve::histogram::{family, number};
use crate::serve::house::House;
use crate::serve::probe::Calls;

pub(super) fn families(house: &House) -> Vec<Family> {
    let mut all = of_files(house);
    all.extend(of_store(house));
    all.extend(of_calls(house));
    all.extend(of_alerts(house));
    all.extend(of_traces(house));
    all.extend(of_process());
    all.retain(|family| !family.samples.is_empty());
    all
}

fn of_files(house: &House) -> Vec<Family> {
    let files = house.files();
    let (scenarios, _) = house.sizes();
    let mut delay =
        family("firedrill_schedule_delay_seconds", Kind::Histogram, "How much later than due runs began.");
    house.delays().show(&mut delay, &Labels::new());
    let mut build = family("firedrill_build", Kind::Info, "The firedrill that serves.");
    push(&mut build, "_info", labels([("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    let success = "firedrill_config_last_reload_successful";
    let successful = "firedrill_config_last_reload_success_timestamp_seconds";
    let broken = "firedrill_config_broken_files";
    vec![
        build,
        delay,
        gauge("firedrill_scenarios", "Scenarios that are served.", Some(size(scenarios))),
        gauge(
            success,
            "Whether the files had no errors when they were last read.",
            Some(truth(files.broken.is_empty())),
        ),
        gauge(successful, "When the files were last read and had no errors.", files.sound.map(seconds)),
        gauge(broken, "Files with errors, which change nothing.", Some(size(files.broken.len()))),
        gauge("process_start_time_seconds", "When this process began.", Some(seconds(house.started))),
    ]
}

fn of_store(house: &House) -> Vec<Family> {
    let health = house.ledger.health();
    let (written, evaluated) =
        ("firedrill_store_last_write_timestamp_seconds", "firedrill_slo_last_evaluation_timestamp_seconds");
    let lost = "Samples that were given up, as the store could not be written for long.";
    let writable = "Whether the store could be written when it was last tried.";
    let jumps = "How often the clock was set, or the machine slept.";
    let failures = "How often the store could not be written.";
    vec![
        gauge("firedrill_store_writable", writable, Some(truth(health.trouble.is_none()))),
        gauge(
            "firedrill_store_waiting",
            "Minutes of SLIs that are not in the store yet.",
            Some(size(health.waiting)),
        ),
        counter("firedrill_store_write_failures", failures, number(health.failures)),
        counter("firedrill_store_lost_samples", lost, number(health.lost)),
        gauge(written, "When the store was last written.", health.written.map(seconds)),
        counter("firedrill_clock_jumps", jumps, number(house.jumps.jumped().times)),
        gauge(evaluated, "When budgets were last computed.", house.standings.all().1.map(seconds)),
    ]
}

fn of_calls(house: &House) -> Vec<Family> {
    let help = "Those who asked at /probe, and whether a probe was made or there was no place for it.";
    let mut calls = family("firedrill_probe_calls", Kind::Counter, help);
    let Calls { made, refused } = &house.calls;
    for (result, times) in [("made", made), ("refused", refused)] {
        push(&mut calls, "_total", labels([("result", result)]), number(times.load(Ordering::Relaxed)));
    }
    let taken = house.room.probes.saturating_sub(house.places.available_permits());
    let help = "Probes that are being made for those who ask at /probe.";
    let under_way = gauge("firedrill_probe_calls_under_way", help, Some(size(taken)));
    let help = "Clients that said nothing and had to leave, as others wanted in.";
    let sent_away = number(house.sent_away.load(Ordering::Relaxed));
    vec![calls, under_way, counter("firedrill_port_clients_sent_away", help, sent_away)]
}

fn of_alerts(house: &House) -> Vec<Family> {
    let rung = house.bell.rung();
    if rung.told.is_empty() {
        return Vec::new();
    }
    let help = "Times an Alertmanager was told of alerts, and whether it took them.";
    let mut told = family("firedrill_alertmanager_notifications", Kind::Counter, help);
    for (address, (well, ill)) in &rung.told {
        for (result, times) in [("taken", well), ("failed", ill)] {
            let own = labels([("alertmanager", address), ("result", result)]);
            push(&mut told, "_total", own, number(*times));
        }
    }
    let help = "Alerts that last, of which Alertmanagers are told.";
    vec![gauge("firedrill_alerts", help, Some(size(rung.lasting))), told]
}

fn of_traces(house: &House) -> Vec<Family> {
    let Some(tally) = house.spans.tally() else { return Vec::new() };
    let help = "Spans of probes, and whether they were sent, refused, or given up as too many waited.";
    let mut spans = family("firedrill_otlp_spans", Kind::Counter, help);
    for (result, times) in [("sent", tally.sent), ("failed", tally.failed), ("dropped", tally.dropped)] {
        push(&mut spans, "_total", labels([("result", result)]), number(times));
    }
    let waiting =
        gauge("firedrill_otlp_spans_waiting", "Spans that wait to be sent.", Some(size(tally.waiting)));
    vec![spans, waiting]
}

/// A gauge with one series, where it has a value.
fn gauge(name: &str, help: &str, value: Option<f64>) -> Family {
    match value {
        Some(value) => one(name, Kind::Gauge, help, "", value),
        None => family(name, Kind::Gauge, help),
    }
}

fn counter(name: &str, help: &str, value: f64) -> Family {
    one(name, Kind::Counter, help, "_total", value)
}

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

fn size(many: usize) -> f64 {
    number(u64::try_from(many).unwrap_or(u64::MAX))
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
