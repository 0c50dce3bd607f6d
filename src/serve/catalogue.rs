//! The files that are served: each read by itself, so that a broken one takes no other with it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::schedule::EVERY;
use crate::finding::Severity;
use crate::plan::{Apart, Kind, Plan, Planned};
use crate::scenario::step::Does;
use crate::slo::Slo;
use crate::source::Sources;

/// Everything that files say is to be served.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    /// The scenarios, by name.
    pub(super) scenes: BTreeMap<String, Arc<Scene>>,
    /// The SLOs that are watched, by name.
    pub(super) slos: BTreeMap<String, Kept>,
    /// Files with errors in them.
    pub(super) broken: Vec<Broken>,
    /// Scenarios that are not for serving, and why.
    pub(super) passed_over: Vec<(String, String)>,
    /// Every file that was read, and the folders they stand in.
    pub(super) files: Vec<PathBuf>,
}

/// An SLO, and the file that it is watched for.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) file: PathBuf,
    pub(super) slo: Slo,
}

/// A scenario as it is served.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) plan: Plan,
    pub(super) sources: Arc<Sources>,
    /// How often it runs.
    pub(super) every: Duration,
    /// Tells it from what its files said before.
    mark: u64,
}

/// A file that cannot be served as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) file: PathBuf,
    /// What is wrong with it, drawn.
    pub(super) drawn: String,
}

impl Scene {
    /// The scenario and what it names.
    pub(super) fn planned(&self) -> Option<&Planned> {
        self.plan.scenarios.first()
    }

    /// Whether it says just what `other` says.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.mark == other.mark
    }
}

impl Catalogue {
    /// Sorts what was read from each file.
    pub(super) fn of(all: Vec<Apart>, location: Option<&str>) -> Self {
        let mut catalogue = Self::default();
        for (file, reading) in all {
            for (_, source) in reading.sources.iter() {
                catalogue.files.push(source.path.clone());
                // A folder changes when a file is added to it.
                catalogue.files.extend(source.path.parent().map(Path::to_owned));
            }
            let Some(mut plan) = reading.plan else {
                let errors =
                    reading.findings.iter().filter(|finding| finding.code.severity() == Severity::Error);
                let drawn: Vec<_> =
                    errors.map(|finding| finding.draw(&reading.sources).render(false)).collect();
                catalogue.broken.push(Broken { file, drawn: drawn.join("\n\n") });
                continue;
            };
            if reading.counts.contains_key(&Kind::Slo) {
                catalogue.watch(&file, std::mem::take(&mut plan.slos));
            }
            catalogue.add(&file, plan, reading.sources, location);
        }
        catalogue.files.sort();
        catalogue.files.dedup();
        catalogue.tell_limits();
        catalogue.leave_out_dependants();
        catalogue
    }

    fn add(&mut self, file: &Path, plan: Plan, sources: Sources, location: Option<&str>) {
        let Some(planned) = plan.scenarios.first() else { return };
        let name = planned.scenario.name.value.clone();
        if let Some(why) = unfit(planned) {
            self.passed_over.push((name, why.to_owned()));
            return;
        }
        let locations = &planned.scenario.locations;
        if let Some(here) = location
            && !locations.is_empty()
            && !locations.iter().any(|one| one == here)
        {
            self.passed_over.push((name, format!("it is for {}, and this is {here}", locations.join(", "))));
            return;
        }
        if let Some(first) = self.scenes.get(&name).and_then(|scene| scene.planned()) {
            let drawn = format!(
                "error: scenario `{name}` is also in `{}`; each needs a name of its own",
                first.file.display()
            );
            self.broken.push(Broken { file: file.to_owned(), drawn });
            return;
        }
        self.watch(file, planned.slos.clone());
        let every = planned.scenario.every.map_or(EVERY, |span| span.0);
        let mark = mark(planned, &sources);
        self.scenes.insert(name, Arc::new(Scene { plan, sources: Arc::new(sources), every, mark }));
    }

    fn watch(&mut self, file: &Path, slos: Vec<Slo>) {
        let kept = |slo: Slo| (slo.name.value.clone(), Kept { file: file.to_owned(), slo });
        self.slos.extend(slos.into_iter().map(kept));
    }

    /// Tells each scenario the SLOs that look at what it feeds, wherever they are written: a latency's limit is
    /// counted exactly only by who knows it.
    fn tell_limits(&mut self) {
        for scene in self.scenes.values_mut() {
            let Some(scene) = Arc::get_mut(scene) else { continue };
            let Some(planned) = scene.plan.scenarios.first_mut() else { continue };
            let feeds: Vec<String> = planned
                .scenario
                .all_steps()
                .filter_map(|step| step.sli.as_ref().map(ToString::to_string))
                .collect();
            let known: Vec<String> = planned.slos.iter().map(|slo| slo.name.value.clone()).collect();
            let slos = self.slos.values().map(|kept| &kept.slo);
            let more = slos.filter(|slo| {
                !known.contains(&slo.name.value) && slo.slis().any(|sli| feeds.contains(&sli.value))
            });
            planned.slos.extend(more.cloned());
        }
    }
}

/// The way from a scenario to itself by what it depends on, or to one that is not there.
enum Astray {
    Unknown(String),
    Circle(Vec<String>),
}

impl Catalogue {
    /// Scenarios whose dependencies lead nowhere are shown, and not served.
    fn leave_out_dependants(&mut self) {
        let needs: BTreeMap<String, Vec<String>> = self
            .scenes
            .iter()
            .filter_map(|(name, scene)| {
                let needs = scene.planned()?.scenario.depends_on.iter().map(|at| at.value.clone());
                Some((name.clone(), needs.collect()))
            })
            .collect();
        for name in needs.keys() {
            let Some(astray) = astray(name, &needs) else { continue };
            let why = match astray {
                Astray::Unknown(other) => format!("`{other}`, which is not served"),
                Astray::Circle(way) => format!("itself, by way of {}", way.join(", ")),
            };
            let file =
                self.scenes.get(name).and_then(|scene| scene.planned().map(|planned| planned.file.clone()));
            self.scenes.remove(name);
            let drawn = format!("error: scenario `{name}` depends on {why}");
            self.broken.extend(file.map(|file| Broken { file, drawn }));
        }
    }
}

fn astray(name: &str, needs: &BTreeMap<String, Vec<String>>) -> Option<Astray> {
    let own = needs.get(name)?;
    if let Some(unknown) = own.iter().find(|other| !needs.contains_key(*other)) {
        return Some(Astray::Unknown(unknown.clone()));
    }
    let mut seen: Vec<&String> = Vec::new();
    let mut open: Vec<&String> = own.iter().collect();
    while let Some(next) = open.pop() {
        if next == name {
            return Some(Astray::Circle(seen.into_iter().cloned().collect()));
        }
        if !seen.contains(&next) {
            seen.push(next);
            open.extend(needs.get(next).into_iter().flatten());
        }
    }
    None
}

/// Why a scenario is not for serving: what breaks things or starts them is not for every minute.
fn unfit(planned: &Planned) -> Option<&'static str> {
    if planned.stack.is_some() {
        return Some("it starts a stack");
    }
    let drills = planned.scenario.all_steps().any(|step| match &step.does {
        Does::Fault(_) | Does::Quiet(_) | Does::Monitoring(_) => true,
        Does::Probe(_) | Does::Load(_) | Does::Wait(_) | Does::Use(_) | Does::Set(_) => false,
    });
    drills.then_some("it is a drill")
}

/// What a scenario says, and what the files say that it names, as one number.
fn mark(planned: &Planned, sources: &Sources) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (_, file) in sources.iter() {
        (&file.path, &file.text).hash(&mut hasher);
    }
    format!("{planned:?}").hash(&mut hasher);
    hasher.finish()
}

/// When files were last changed, as far as can be told without reading them.
pub(super) fn stamp(files: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files {
        let known = std::fs::metadata(file).ok();
        let changed = known.as_ref().and_then(|known| known.modified().ok());
        let since = changed.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        (file, since, known.map(|known| known.len())).hash(&mut hasher);
    }
    hasher.finish()
}
