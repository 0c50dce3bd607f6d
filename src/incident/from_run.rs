//! A drill of a saved run as an incident's folder: what was scraped, the rules and the routing, and what was expected.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Error;
use super::drill::{Drill, Expected};
use super::episode::{Episode, episodes};
use super::folder::{Manifest, Written};
use crate::dilation::{ENDING, House, Kept, Recorded, read_one};
use crate::event::{Drilled, Event, FaultStage, Outcome, Proof, RungSeen};
use crate::exposition::Labels;
use crate::ladder::Rung;
use crate::report::saved;

/// Which drills of a saved run are wanted, and from where.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'w> {
    /// The saved run: a file of events.
    pub run: &'w Path,
    /// What its drills have seen; without it, the file beside the events, or the one in the folder of saved runs.
    pub recordings: Option<&'w Path>,
    /// The folder in which runs are saved, each with its recordings.
    pub runs: &'w Path,
    /// Only the step of this name, also where it passed.
    pub step: Option<&'w str>,
}

/// What the events say of a step that breaks something.
#[derive(Debug, Default)]
struct Said {
    fault: String,
    outcome: Option<Outcome>,
    drilled: Vec<Drilled>,
}

/// What the events say.
#[derive(Debug, Default)]
struct Run {
    id: String,
    /// By scenario and step.
    steps: BTreeMap<(String, String), Said>,
    trouble: Vec<String>,
}

/// Writes a folder for each drill that did not pass: the one that was asked for, or, of several, one of its own within
/// it. Returns where they are.
///
/// # Errors
/// When the run or its recordings cannot be read, when no drill of it is meant, and when a folder cannot be written.
pub fn from_run(wanted: &Wanted<'_>, folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let run = read(wanted.run)?;
    let kept = recordings(wanted, &run.id)?;
    let all: Vec<_> = kept.iter().map(|one| format!("`{}` of `{}`", one.step, one.scenario)).collect();
    let meant = |one: &&Kept| match wanted.step {
        Some(step) => one.step == step,
        None => !run.said(one).is_some_and(Said::passed),
    };
    let meant: Vec<&Kept> = kept.iter().filter(meant).collect();
    if meant.is_empty() {
        let all = all.join(", ");
        return Err(Error::Nothing(match wanted.step {
            Some(step) => format!("no drill was recorded at a step `{step}`; there are {all}"),
            None => format!("every drill of this run passed; name one by `--step`: {all}"),
        }));
    }
    let alone = meant.len() == 1;
    let mut written = Vec::new();
    for (number, one) in meant.iter().enumerate() {
        let name = format!("{:02}-{}", number + 1, plain(&format!("{}-{}", one.scenario, one.step)));
        let path = if alone { folder.to_owned() } else { folder.join(name) };
        write(&run, one, &path)?;
        written.push(path);
    }
    Ok(written)
}

impl Said {
    fn passed(&self) -> bool {
        match self.outcome {
            Some(Outcome::Passed | Outcome::Flaky) => true,
            Some(Outcome::Failed | Outcome::Unreliable | Outcome::Skipped) | None => false,
        }
    }
}

impl Run {
    fn said(&self, kept: &Kept) -> Option<&Said> {
        self.steps.get(&(kept.scenario.clone(), kept.step.clone()))
    }
}

fn read(path: &Path) -> Result<Run, Error> {
    let mut run = Run::default();
    let whole = saved::read(path, |stamped| {
        if let Event::RunStarted { run: id, .. } = &stamped.event {
            run.id.clone_from(id);
        }
        if let Event::Fault { step, fault, stage: FaultStage::Added, .. } = &stamped.event {
            run.of(step).fault.clone_from(fault);
        }
        if let Event::Drilled { step, alert } = &stamped.event {
            run.of(step).drilled.push((**alert).clone());
        }
        if let Event::StepEnded { step, outcome, .. } = &stamped.event
            && step.kind == "fault"
        {
            run.of(step).outcome = Some(*outcome);
        }
        Ok(())
    });
    run.trouble = whole.map_err(|error| Error::Nothing(error.to_string()))?.trouble;
    Ok(run)
}

impl Run {
    fn of(&mut self, step: &crate::event::StepId) -> &mut Said {
        self.steps.entry((step.scenario.clone(), step.name.clone())).or_default()
    }
}

/// The recordings of a run, from wherever they are.
fn recordings(wanted: &Wanted<'_>, id: &str) -> Result<Vec<Kept>, Error> {
    let beside = wanted.run.with_extension(ENDING);
    let places = match wanted.recordings {
        Some(path) => vec![path.to_owned()],
        None => vec![beside.clone(), wanted.runs.join(id).with_extension(ENDING)],
    };
    let mut others = false;
    for path in places.iter().filter(|path| path.is_file()) {
        let mut kept = read_one(path).map_err(|source| Error::File { path: path.clone(), source })?;
        let all = kept.len();
        kept.retain(|one| one.run.strip_prefix(id).is_some_and(|rest| rest.starts_with('-')));
        others |= kept.len() < all;
        if !kept.is_empty() {
            return Ok(kept);
        }
    }
    let (run, beside) = (wanted.run.display(), beside.display());
    let sought: Vec<_> = places.iter().map(|path| format!("`{}`", path.display())).collect();
    let sought = sought.join(" and ");
    let found = if others { "what is there is of other runs" } else { "nothing of it is there" };
    Err(Error::Nothing(format!(
        "`{run}` has what was judged and not what was scraped, which was sought in {sought}: {found}. `firedrill run --report json={run}` keeps it in `{beside}`: keep both as artefacts of the job, and put them side by side"
    )))
}

fn write(run: &Run, kept: &Kept, folder: &Path) -> Result<(), Error> {
    let Some(house) = &kept.house else {
        return Err(Error::Nothing(format!(
            "the recording of `{}` has no rules: it is of an earlier firedrill",
            kept.step
        )));
    };
    let mut drill = Drill::of(kept);
    let said = run.said(kept);
    drill.fault = said.map(|said| said.fault.clone()).unwrap_or_default();
    let drilled = said.map(|said| said.drilled.as_slice()).unwrap_or_default();
    let expected = drilled.iter().filter(|one| !one.stranger);
    drill.expected = expected
        .map(|one| Expected { alert: one.alert.clone(), labels: one.labels.clone(), broken: one.broken })
        .collect();
    let mut notes = run.trouble.clone();
    if kept.alerts.is_empty() && drilled.iter().any(|one| one.reached(Rung::Firing).is_some()) {
        notes.push("alerts were not recorded, and are as the drill saw them".to_owned());
    }
    notes.extend(drill.expected.iter().filter_map(|one| {
        let rung = one.broken?;
        Some(format!("the drill failed: `{}` did not reach rung {} ({rung})", one.alert, rung.number()))
    }));
    let manifest = Manifest {
        incident: format!("{}: {}", kept.scenario, kept.step),
        version: 2,
        prometheus: format!("firedrill run {}", run.id),
        from: drill.at(kept.recording.calm),
        to: drill.at(kept.recording.ended),
        back: drill.at(kept.recording.calm) - drill.at(first(&kept.recording.series, kept.recording.calm)),
        scraped_every: house.scraped_every,
        evaluated_every: house.evaluated_every,
        notes,
        drill: Some(drill),
    };
    let alerts = alerts(&manifest, kept, house, drilled);
    let written = Written {
        manifest: &manifest,
        series: &kept.recording.series,
        alerts: &alerts,
        rules: &house.rules.iter().map(|(name, text)| (file(name), text.clone())).collect::<Vec<_>>(),
        routing: house.routing.as_deref(),
        slos: &[],
    };
    written.write(folder)
}

/// The moment of the first sample, or `none`.
fn first(series: &[Recorded], none: i64) -> i64 {
    series.iter().filter_map(|one| one.points.first()).map(|(at, _)| *at).min().unwrap_or(none).min(none)
}

/// Alerts as the stack's Prometheus saw them. One that was proven in virtual time alone is as that had it: what its
/// scaled rule did says nothing.
fn alerts(manifest: &Manifest, kept: &Kept, house: &House, drilled: &[Drilled]) -> Vec<Episode> {
    let Some(drill) = &manifest.drill else { return Vec::new() };
    let in_rule_time = |one: &Recorded| Recorded {
        labels: one.labels.clone(),
        points: one.points.iter().map(|(at, value)| (drill.at(*at), *value)).collect(),
    };
    let series: Vec<_> = kept.alerts.iter().map(in_rule_time).collect();
    let every = i64::try_from(house.evaluated_every).unwrap_or(i64::MAX / 4).max(1);
    let mut all = episodes(&series, every, manifest.to);
    let by_virtue = |one: &&Drilled| {
        !one.stranger && (kept.alerts.is_empty() || one.proof == Proof::Dilated || one.proof == Proof::None)
    };
    let virtual_ones: Vec<&Drilled> = drilled.iter().filter(by_virtue).collect();
    all.retain(|one| !virtual_ones.iter().any(|other| other.alert == one.name()));
    all.extend(virtual_ones.into_iter().filter_map(|one| one.episode(drill)));
    all.sort_by(|one, other| (one.pending, &one.labels).cmp(&(other.pending, &other.labels)));
    all
}

impl Drilled {
    /// When it reached a rung.
    fn reached(&self, rung: Rung) -> Option<Duration> {
        let seen = |seen: &&RungSeen| seen.rung == rung;
        self.rungs.iter().find(seen)?.at.map(Duration::from)
    }

    /// What the drill says of it; of its labels those that were expected.
    fn episode(&self, drill: &Drill) -> Option<Episode> {
        let effect = |rung| Some(drill.effect + millis(self.reached(rung)?));
        let fired = effect(Rung::Firing);
        let mut labels: Labels = self.labels.clone();
        labels.insert("alertname".to_owned(), self.alert.clone());
        Some(Episode {
            labels,
            pending: effect(Rung::Pending).or(fired)?,
            fired,
            ended: self.reached(Rung::Cleared).map(|at| drill.at(drill.lifted) + millis(at)),
            partly: true,
        })
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4)
}

/// A name that leads nowhere else.
fn file(name: &str) -> String {
    let stem = name.strip_suffix(".yml").unwrap_or(name);
    format!("{}.yml", plain(stem))
}

/// A text as the name of a file.
fn plain(text: &str) -> String {
    let fit = |sign: char| if sign.is_ascii_alphanumeric() { sign.to_ascii_lowercase() } else { '-' };
    let mut name: String = text.chars().map(fit).collect();
    while name.contains("--") {
        name = name.replace("--", "-");
    }
    name.trim_matches('-').chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        assert_eq!(file("000-../../etc/x.yml"), "000-etc-x.yml");
        assert_eq!(plain("The web dies, at 50%"), "the-web-dies-at-50");
    }
}
