//! All files of a run, read, checked and resolved against one another; nothing is started yet.

mod alerts;
mod compose;
mod faults;
mod files;
mod monitoring;
mod names;
mod stack;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

pub use self::faults::check_on;
use self::files::Library;
pub use self::files::{Kind, kind_of};
pub use self::stack::{Configuration, PlannedStack, is_beside};
use crate::finding::{Code, Finding, Findings};
use crate::scenario::gate::Gate;
use crate::scenario::load::Load;
use crate::scenario::network::Named;
use crate::scenario::profile::Profile;
use crate::scenario::step::{Does, Step};
use crate::scenario::template::{Scope, Shape, Template};
use crate::scenario::{Fragment, Scenario};
use crate::secret::Mask;
use crate::slo::{Document, Slo};
use crate::source::{self, At, Place, Sources};

/// Fragments may use fragments, this deep.
const DEEPEST_USE: usize = 32;

/// The most steps that a scenario gets by its fragments: those that use others twice are many before they are deep.
const MOST_USED_STEPS: usize = 10_000;

/// What the world around the files gives: environment variables and secrets.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// The secrets file; the environment goes before it.
    pub secrets: BTreeMap<String, String>,
}

/// Everything a run needs to know, resolved.
#[derive(Debug)]
pub struct Plan {
    /// Every scenario, in the order its file was named.
    pub scenarios: Vec<Planned>,
    /// Every stack whose own file was named.
    pub stacks: Vec<PlannedStack>,
    /// Every SLO whose own file was named.
    pub slos: Vec<Slo>,
    /// Every gate whose file was named.
    pub gates: Vec<Gate>,
    /// The secrets met so far.
    pub mask: Mask,
}

impl Plan {
    /// Every stack: those of the scenarios, and those whose own file was named.
    pub fn all_stacks(&self) -> impl Iterator<Item = &PlannedStack> {
        self.scenarios.iter().filter_map(|planned| planned.stack.as_ref()).chain(&self.stacks)
    }
}

/// A scenario with everything it names.
#[derive(Debug)]
pub struct Planned {
    /// The file it is written in.
    pub file: PathBuf,
    /// The scenario; fragments are put in place of the steps that use them.
    pub scenario: Scenario,
    /// Its variables in an order in which each needs only those before it.
    pub vars: Vec<(String, Shape)>,
    /// The objectives that are judged.
    pub slos: Vec<Slo>,
    /// What is started for it.
    pub stack: Option<PlannedStack>,
    /// Environment variables and secrets it names, and nothing else yet.
    pub scope: Scope,
    /// The text of each certificate file it names, by the name it is given there.
    pub certificates: BTreeMap<Named, Vec<u8>>,
    /// The text of each file of a private key, likewise.
    pub keys: BTreeMap<Named, Vec<u8>>,
}

impl Planned {
    /// The text of each certificate and each private key, also of files that only the stack makes.
    ///
    /// # Errors
    /// When such a file cannot be read.
    pub fn read_late(&self, scope: &Scope, sources: &Sources) -> Result<(ByName, ByName), String> {
        let (mut certificates, mut keys) = (self.certificates.clone(), self.keys.clone());
        let read = |named: &At<Template>, into: &mut ByName| {
            if let Entry::Vacant(entry) = into.entry(Named::of(named)) {
                let file = named.fill(scope).map_err(|unset| unset.to_string())?;
                let path = files::beside(&sources.file(named.place.file).path, &file);
                let text =
                    source::read(&path).map_err(|error| format!("`{file}` cannot be read: {error}"))?;
                entry.insert(text);
            }
            Ok::<_, String>(())
        };
        names::certificate_files(&self.scenario).try_for_each(|named| read(named, &mut certificates))?;
        names::key_files(&self.scenario).try_for_each(|named| read(named, &mut keys))?;
        Ok((certificates, keys))
    }
}

/// The text of files, by how they are named.
type ByName = BTreeMap<Named, Vec<u8>>;

/// What came of reading files.
#[derive(Debug)]
pub struct Reading {
    /// Every file that was read.
    pub sources: Sources,
    /// What was found, in reading order.
    pub findings: Vec<Finding>,
    /// How many files were checked, by kind.
    pub counts: BTreeMap<Kind, usize>,
    /// The plan, unless a finding is an error.
    pub plan: Option<Plan>,
}

/// Reads files and folders and plans every scenario among them. All findings of all files come back at once.
#[must_use]
pub fn read(paths: &[PathBuf], surroundings: &Surroundings) -> Reading {
    let mut library = Library::default();
    let mut findings = Findings::default();
    let named = library.find(paths, &mut findings);
    read_named(library, findings, named, surroundings)
}

/// Reads a text as if it stood in a file called `name`, and plans it.
#[must_use]
pub fn read_text(name: &str, text: &str, surroundings: &Surroundings) -> Reading {
    let mut library = Library::default();
    let mut findings = Findings::default();
    let path = PathBuf::from(name);
    library.give(&path, text, &mut findings);
    read_named(library, findings, vec![path], surroundings)
}

/// A file, or a folder without any, and what came of reading it.
pub type Apart = (PathBuf, Reading);

/// Reads files and folders, each file by itself, so that what is wrong in one is nothing to the others.
///
/// Each has sources, a plan and a mask of its own. OpenSLO documents that name one another have to stand in one
/// file, and names need not differ between files.
#[must_use]
pub fn read_apart(paths: &[PathBuf], surroundings: &Surroundings) -> Vec<Apart> {
    let mut all = Vec::new();
    for path in paths {
        let mut library = Library::default();
        let mut findings = Findings::default();
        let named = library.find(std::slice::from_ref(path), &mut findings);
        let each = named.into_iter().map(|file| {
            let own = Library::beside(&library, &file);
            let reading = read_named(own, Findings::default(), vec![file.clone()], surroundings);
            (file, reading)
        });
        all.extend(each);
        if !findings.is_empty() {
            all.push((path.clone(), read_named(library, findings, Vec::new(), surroundings)));
        }
    }
    all
}

/// Reads the files that were found.
fn read_named(
    mut library: Library,
    mut findings: Findings,
    named: Vec<PathBuf>,
    surroundings: &Surroundings,
) -> Reading {
    let mask = Mask::default();
    let (mut scenarios, mut stacks, mut gates) = (Vec::new(), Vec::new(), Vec::new());
    let mut counts = BTreeMap::new();
    // OpenSLO documents that stand in one folder may name one another.
    let mut documents: BTreeMap<PathBuf, Vec<Document>> = BTreeMap::new();
    for path in named {
        let Some(kind) = library.check(&path, &mut findings) else { continue };
        *counts.entry(kind).or_default() += 1;
        if kind == Kind::Slo {
            let folder = path.parent().unwrap_or(Path::new("")).to_owned();
            documents.entry(folder).or_default().extend(library.documents(&path));
        }
        gates.extend(library.gate(&path));
        let scenario = library.take_scenario(&path);
        let mut planner =
            Planner { library: &mut library, findings: &mut findings, surroundings, used_steps: 0 };
        scenarios.extend(scenario.map(|scenario| planner.plan(&path, scenario, &mask)));
        if kind == Kind::Stack {
            stacks.extend(planner.resolve(&path, &mask));
        }
    }
    let slos = documents.values().flat_map(|together| crate::slo::resolve(together, &mut findings)).collect();
    refuse_same_names(&scenarios, &mut findings);
    let plan = (!findings.any_error()).then_some(Plan { scenarios, stacks, slos, gates, mask });
    Reading { sources: library.sources, findings: findings.in_reading_order(), counts, plan }
}

/// Reads a single stand-in's profile.
///
/// # Errors
/// All findings, and the file to draw them in.
pub fn read_profile(path: &Path) -> Result<Profile, (Sources, Vec<Finding>)> {
    let mut library = Library::default();
    let mut findings = Findings::default();
    library.check(path, &mut findings);
    match library.profile(path) {
        Some(profile) if !findings.any_error() => Ok(profile),
        _ => {
            if let (false, Some((id, _))) = (findings.any_error(), library.sources.iter().next()) {
                let title = "this is no stand-in's profile: its first key is `stand-in`";
                findings.add(Finding::new(Code::FileKind, id.place(0, 0), title));
            }
            Err((library.sources, findings.in_reading_order()))
        }
    }
}

/// Resolves what one scenario names.
struct Planner<'a> {
    library: &'a mut Library,
    findings: &'a mut Findings,
    surroundings: &'a Surroundings,
    /// Steps that came by fragments so far.
    used_steps: usize,
}

impl Planner<'_> {
    fn plan(&mut self, path: &Path, mut scenario: Scenario, mask: &Mask) -> Planned {
        let steps = std::mem::take(&mut scenario.steps);
        scenario.steps = self.inline(path, steps, &mut vec![path.to_owned()]);
        let background = std::mem::take(&mut scenario.background);
        scenario.background = self.inline(path, background, &mut vec![path.to_owned()]);
        let steady = std::mem::take(&mut scenario.steady);
        scenario.steady = self.inline(path, steady, &mut vec![path.to_owned()]);
        faults::surround(&mut scenario, self.findings);
        let stack = scenario.stack.as_ref().and_then(|named| self.stack(path, named, mask));
        faults::check(&scenario, stack.as_ref(), self.findings);
        alerts::check(&scenario, stack.as_ref(), self.findings);
        monitoring::check(&scenario, stack.as_ref(), self.findings);
        let slos = self.slos(path, &scenario);
        let known = stack.as_ref().map(|planned| planned.stack.variables()).unwrap_or_default();
        let scope = names::check(&scenario, known, self.surroundings, mask, self.findings);
        let certificates = self.read_all(names::certificate_files(&scenario), &scope);
        let keys = self.read_all(names::key_files(&scenario), &scope);
        let vars = names::in_order(&scenario.vars, self.findings);
        names::check_slis(&scenario, &slos, self.findings);
        Planned { file: path.to_owned(), scenario, vars, slos, stack, scope, certificates, keys }
    }

    /// Puts the steps of fragments in place of the steps that use them.
    fn inline(&mut self, path: &Path, steps: Vec<Step>, within: &mut Vec<PathBuf>) -> Vec<Step> {
        let mut inlined = Vec::new();
        for mut step in steps {
            let Does::Use(uses) = step.does else {
                self.read_manifest(path, &mut step.does);
                self.read_monitoring(path, &mut step.does);
                self.read_attached(path, &mut step);
                step.does.stand_in(path.parent().unwrap_or(Path::new("")));
                if let Does::Load(load) = &mut step.does {
                    self.complete_load(path, step.place, load, within);
                }
                if let Does::Fault(fault) = &mut step.does {
                    fault.meanwhile = self.inline(path, std::mem::take(&mut fault.meanwhile), within);
                    fault.after = self.inline(path, std::mem::take(&mut fault.after), within);
                    for deed in fault.deeds_mut() {
                        self.read_attached(path, deed);
                        deed.does.stand_in(path.parent().unwrap_or(Path::new("")));
                    }
                }
                inlined.push(step);
                continue;
            };
            let Some((file, fragment)) = self.fragment(path, &uses.file, within) else { continue };
            step.does = Does::Set(uses.with);
            let prefix = step.name.clone();
            let when = step.when.clone();
            inlined.push(step);
            let before = self.used_steps;
            self.used_steps += fragment.steps.len();
            if self.used_steps > MOST_USED_STEPS {
                if before <= MOST_USED_STEPS {
                    let title =
                        format!("the scenario comes to more than {MOST_USED_STEPS} steps by its fragments");
                    self.findings.add(Finding::new(Code::UseCycle, uses.file.place, title));
                }
                return inlined;
            }
            within.push(file.clone());
            for mut inner in self.inline(&file, fragment.steps, within) {
                inner.name = format!("{prefix} / {}", inner.name);
                inner.when.splice(0..0, when.iter().cloned());
                inner.follows = true;
                inlined.push(inner);
            }
            within.pop();
        }
        inlined
    }

    /// Reads what a load needs: fragments in its flows, what they send, data.
    fn complete_load(&mut self, path: &Path, place: Place, load: &mut Load, within: &mut Vec<PathBuf>) {
        for ask in &mut load.asks {
            ask.steps = self.inline(path, std::mem::take(&mut ask.steps), within);
        }
        if let Some(data) = &mut load.data
            && let Some(text) = self.library.bytes(path, &data.file, self.findings)
        {
            self.findings.take(data.adopt(&text));
        }
        let replay = load.replay.as_ref().and_then(|file| self.library.bytes(path, file, self.findings));
        if let Some(text) = replay {
            self.findings.take(load.adopt_replay(&text));
        }
        load.check_whole(place, self.findings);
    }

    /// Reads the probes of a pod from the manifest that a step names.
    fn read_manifest(&mut self, path: &Path, does: &mut Does) {
        let Some(kubelet) = does.pod_to_read() else { return };
        let Some(file) = kubelet.manifest.as_ref().map(|manifest| manifest.file.clone()) else { return };
        let read = self.library.foreign(&files::beside(path, &file), file.place, self.findings);
        if let Some(documents) = read {
            kubelet.adopt(&documents, self.findings);
        }
    }

    /// Reads what a step sends, and the schemas that it expects.
    fn read_attached(&mut self, path: &Path, step: &mut Step) {
        for attached in step.attached() {
            if let Some(bytes) = self.library.bytes(path, &attached.file, self.findings) {
                attached.bytes = bytes;
            }
        }
        for schema in step.schemas() {
            if let Some(text) = self.library.bytes(path, &schema.file, self.findings) {
                schema.adopt(&text, self.findings);
            }
        }
    }

    fn fragment(
        &mut self,
        from: &Path,
        file: &At<String>,
        within: &[PathBuf],
    ) -> Option<(PathBuf, Fragment)> {
        let path = files::beside(from, file);
        if let Some(at) = within.iter().position(|outer| *outer == path) {
            let chain: Vec<_> = within[at..].iter().chain([&path]).map(|p| p.display().to_string()).collect();
            let title = format!("fragments use one another: {}", chain.join(" uses "));
            self.findings.add(Finding::new(Code::UseCycle, file.place, title));
            return None;
        }
        if within.len() >= DEEPEST_USE {
            let title = format!("fragments use fragments more than {DEEPEST_USE} deep");
            self.findings.add(Finding::new(Code::UseCycle, file.place, title));
            return None;
        }
        self.library.refer(&path, Kind::Fragment, file.place, self.findings)?;
        let fragment = self.library.fragment(&path)?;
        Some((path, fragment))
    }

    fn slos(&mut self, path: &Path, scenario: &Scenario) -> Vec<Slo> {
        let mut documents = Vec::new();
        for named in &scenario.slos {
            let file = files::beside(path, named);
            if self.library.refer(&file, Kind::Slo, named.place, self.findings).is_some() {
                documents.extend(self.library.documents(&file));
            }
        }
        crate::slo::resolve(&documents, self.findings)
    }

    /// Reads files that steps name, each beside the file that names it.
    fn read_all<'a>(&mut self, named: impl Iterator<Item = &'a At<Template>>, scope: &Scope) -> ByName {
        let mut read = BTreeMap::new();
        for named in named {
            // What has no value was found already.
            let Ok(file) = named.fill(scope) else { continue };
            let path = files::beside(&self.library.sources.file(named.place.file).path, &file);
            match source::read(&path) {
                Ok(pem) => {
                    read.insert(Named::of(named), pem);
                }
                Err(error) => {
                    let title = format!("`{file}` cannot be read: {error}");
                    self.findings.add(Finding::new(Code::FileUnreadable, named.place, title));
                }
            }
        }
        read
    }
}

fn refuse_same_names(scenarios: &[Planned], findings: &mut Findings) {
    let mut names: BTreeMap<&str, Place> = BTreeMap::new();
    for Planned { scenario, .. } in scenarios {
        if let Some(first) = names.insert(&scenario.name, scenario.name.place) {
            let title = format!("two scenarios are called `{}`", scenario.name);
            let finding = Finding::new(Code::ScenarioDuplicateName, scenario.name.place, title);
            findings.add(finding.also(first, "the first is here"));
        }
    }
}
