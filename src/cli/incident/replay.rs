//! `firedrill incident replay`: does the same happen again?

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{bench, refused, since};
use crate::cli::{count, runtime};
use crate::exit::Exit;
use crate::incident::{
    self, Agreement, Episode, Error, Expected, Incident, Live, Manifest, Replayed, agreement, untold,
};
use crate::report::on_one_line;

/// Arguments of `incident replay`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The folder of an incident
    #[arg(value_name = "FOLDER", help_heading = "Input")]
    pub(super) folder: PathBuf,

    /// Play it so many times faster than it was to a Prometheus and an Alertmanager with the recorded rules and routing,
    /// and compare what is told as well; without it, rules are evaluated in virtual time
    #[arg(long, value_name = "FACTOR", help_heading = "Run")]
    pub(super) speed: Option<f64>,
}

/// Replays the incident of a folder, in virtual time or at a speed, and says whether the same alerts fire in the same
/// order and at the same times.
pub(in crate::cli) fn again(folder: &Path, speed: Option<f64>) -> std::io::Result<Exit> {
    match speed {
        Some(speed) => live(folder, speed),
        None => evaluated(folder),
    }
}

/// Evaluates its rules in virtual time.
fn evaluated(folder: &Path) -> std::io::Result<Exit> {
    let done = runtime()?.block_on(async {
        let incident = Incident::read(folder)?;
        let mut bench = bench().await?;
        let replayed = incident::replay(&mut bench, &incident, &incident.subject.rules).await;
        bench.end().await;
        Ok::<_, Error>((incident, replayed?))
    });
    match done {
        Ok((incident, replayed)) => said(&incident, &replayed),
        Err(error) => refused(&error),
    }
}

/// Plays the incident of a folder at speed.
fn live(folder: &Path, speed: f64) -> std::io::Result<Exit> {
    let done = runtime()?.block_on(async {
        let incident = Incident::read(folder)?;
        let program =
            std::env::current_exe().map_err(|source| Error::File { path: "firedrill".into(), source })?;
        let run = crate::cli::run::new_id(jiff::Timestamp::now());
        let live = tokio::select! {
            live = incident::live(&run, program, folder, &incident, speed) => live?,
            // What was started ends with us: its supervisors see to it.
            () = crate::cli::run::signalled() => return Err(Error::Nothing("it was stopped".to_owned())),
        };
        Ok::<_, Error>((incident, live))
    });
    match done {
        Ok((incident, live)) => played(&incident, &live),
        Err(error) => refused(&error),
    }
}

fn played(incident: &Incident, live: &Live) -> std::io::Result<Exit> {
    let Manifest { incident: name, from, to, notes, .. } = &incident.manifest;
    let known = incident.alerts.iter().filter(|one| !live.unknown.contains(one.name()));
    let known: Vec<_> = known.cloned().collect();
    let mut found = agreement(&known, &live.alerts, live.tolerance);
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{}, its own rules and routing at {} times the speed, times since it began\n",
        on_one_line(name),
        live.speed
    )?;
    for page in &live.told {
        let (receiver, at) = (on_one_line(&page.receiver), since(*from, page.at));
        writeln!(out, "  → {receiver} is told at {at} of {}", count(page.alerts, "alert"))?;
    }
    if let Some(routing) = &incident.subject.routing {
        // Alerts that are not compared may be told of all the same.
        let mut due = incident::pages(&incident.alerts, routing, *to);
        let heard = |name: &str| routing.receiver(name).is_some_and(|one| !one.integrations.is_empty());
        due.retain(|page| heard(&page.receiver));
        if live.unknown.is_empty() {
            found.apart.extend(untold(&due, &live.told, live.tolerance, *to));
        }
    }
    compared(&mut out, *from, &found)?;
    if incident.subject.routing.is_some() && live.unknown.is_empty() {
        writeln!(
            out,
            "  · messages are compared with those that the recorded routing derives from the recorded alerts"
        )?;
    }
    for note in live.notes.iter().chain(notes) {
        writeln!(out, "  ! {}", on_one_line(note))?;
    }
    let (exit, verdict) = verdict(&found, 0, live.tolerance);
    writeln!(out, "\n{verdict}")?;
    Ok(exit)
}

fn said(incident: &Incident, replayed: &Replayed) -> std::io::Result<Exit> {
    let manifest = &incident.manifest;
    let tolerance = manifest.tolerance();
    let known = incident.alerts.iter().filter(|one| !replayed.unknown.contains(one.name()));
    let found = agreement(&known.cloned().collect::<Vec<_>>(), &replayed.alerts, tolerance);
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{}, its own rules over what was recorded, times since it began\n",
        on_one_line(&manifest.incident)
    )?;
    compared(&mut out, manifest.from, &found)?;
    for note in replayed.notes.iter().chain(&manifest.notes) {
        writeln!(out, "  ! {}", on_one_line(note))?;
    }
    let silent = silent(incident, replayed);
    for one in &silent {
        writeln!(
            out,
            "  ✓ {}: the drill expected it; it did not fire, and does not fire",
            on_one_line(&one.alert)
        )?;
    }
    let (exit, verdict) = verdict(&found, silent.len(), tolerance);
    writeln!(out, "\n{verdict}")?;
    Ok(exit)
}

/// What is the same, and what is not.
fn compared(out: &mut impl std::io::Write, from: i64, found: &Agreement) -> std::io::Result<()> {
    let at = |moment: Option<i64>| moment.map_or("-".to_owned(), |at| since(from, at));
    for (was, is) in &found.same {
        let (then, now) = (at(was.fired), at(is.fired));
        writeln!(
            out,
            "  ✓ {}: fired at {then}, fires at {now}; over at {}, and {}",
            on_one_line(&was.said()),
            at(was.ended),
            at(is.ended)
        )?;
    }
    for was in &found.missing {
        writeln!(out, "  ✗ {}: fired at {}, and does not fire", on_one_line(&was.said()), at(was.fired))?;
    }
    for is in &found.new {
        writeln!(out, "  ✗ {}: fires at {}, and did not fire", on_one_line(&is.said()), at(is.fired))?;
    }
    for apart in &found.apart {
        writeln!(out, "  ✗ {}", on_one_line(apart))?;
    }
    Ok(())
}

/// Alerts that a drill expected, and that fired neither then nor now.
fn silent<'i>(incident: &'i Incident, replayed: &Replayed) -> Vec<&'i Expected> {
    let expected = incident.manifest.drill.iter().flat_map(|drill| &drill.expected);
    let fires = |all: &[Episode], name: &str| all.iter().any(|one| one.fired.is_some() && one.name() == name);
    let has_rule = |name: &str| {
        let mut alerts = incident.subject.rules.iter().flat_map(crate::rule::RuleFile::alerts);
        alerts.any(|(_, rule, _)| rule.name.value == name)
    };
    let evaluated = |name: &str| has_rule(name) && !replayed.unknown.contains(name);
    let silent = expected.filter(|one| {
        !fires(&incident.alerts, &one.alert) && !fires(&replayed.alerts, &one.alert) && evaluated(&one.alert)
    });
    silent.collect()
}

fn verdict(found: &Agreement, silent: usize, tolerance: i64) -> (Exit, String) {
    let tolerated = since(0, tolerance);
    if found.same.is_empty() && found.holds() && silent > 0 {
        let said = format!("PASS as then, no alert fires, and {silent} of them were expected to");
        return (Exit::Pass, said);
    }
    if found.same.is_empty() && found.holds() {
        return (
            Exit::NotMeasured,
            "NOT MEASURED no alert fired, then or now: there is nothing to compare".to_owned(),
        );
    }
    if found.holds() {
        let alerts = found.same.len();
        return (
            Exit::Pass,
            format!("PASS the same alerts fire in the same order, {alerts} of them, within {tolerated}"),
        );
    }
    let differ = found.missing.len() + found.new.len() + found.apart.len();
    (Exit::Fail, format!("FAIL {} beyond {tolerated}", count(differ, "difference")))
}
