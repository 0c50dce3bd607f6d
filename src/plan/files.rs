//! The files of a run: found, told apart by their first keys, and each read once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;

use crate::finding::{Code, Finding, Findings, nearest};
use crate::scenario::gate::{self, Gate};
use crate::scenario::profile::{self, Profile};
use crate::scenario::stack::{self, Stack};
use crate::scenario::{self, Fragment, Scenario};
use crate::slo::{self, Document};
use crate::source::{self, At, FileId, Place, Sources};
use crate::yaml::{self, Node};

/// The most files that a folder is searched for.
const MOST_FILES: usize = 20_000;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Steps and what is expected of them.
    Scenario,
    /// Steps that scenarios use.
    Fragment,
    /// What is started for a run.
    Stack,
    /// A stand-in.
    Profile,
    /// OpenSLO documents.
    Slo,
    /// On which terms a deploy may go through.
    Gate,
}

impl Kind {
    /// What a message calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scenario => "scenario",
            Self::Fragment => "fragment",
            Self::Stack => "stack",
            Self::Profile => "stand-in",
            Self::Slo => "OpenSLO",
            Self::Gate => "gate",
        }
    }
}

/// What a document is, by the key that says so.
#[must_use]
pub fn kind_of(node: &Node) -> Option<Kind> {
    let has = |key| node.get(key).is_some();
    let openslo =
        |node: &Node| node.get("apiVersion").and_then(Node::scalar).is_some_and(|v| v.starts_with("openslo"));
    let listed = match &node.kind {
        yaml::Kind::List(items) => items.first().is_some_and(openslo),
        yaml::Kind::Null
        | yaml::Kind::Bool(..)
        | yaml::Kind::Int(..)
        | yaml::Kind::Float(..)
        | yaml::Kind::Text(_)
        | yaml::Kind::Map(_) => openslo(node),
    };
    match () {
        () if has("scenario") => Some(Kind::Scenario),
        () if has("fragment") => Some(Kind::Fragment),
        () if has("stack") => Some(Kind::Stack),
        () if has("stand-in") => Some(Kind::Profile),
        () if has("gate") => Some(Kind::Gate),
        () if listed => Some(Kind::Slo),
        () => None,
    }
}

/// The first key, where it is nearly one that begins a file of ours.
fn nearly_ours(node: &Node) -> Option<(&yaml::Key, &'static str)> {
    let yaml::Kind::Map(entries) = &node.kind else { return None };
    let (key, _) = entries.first()?;
    Some((key, nearest(&key.name, ["scenario", "fragment", "stack", "stand-in", "gate"])?))
}

/// A path beside the file that names it, without `.` and, where it can be told, `..`.
pub(super) fn beside(file: &Path, named: &str) -> PathBuf {
    let mut path = PathBuf::new();
    for part in file.parent().unwrap_or(Path::new("")).join(named).components() {
        match part {
            Component::ParentDir if matches!(path.components().next_back(), Some(Component::Normal(_))) => {
                path.pop();
            }
            Component::CurDir => {}
            Component::ParentDir | Component::Normal(_) | Component::RootDir | Component::Prefix(_) => {
                path.push(part);
            }
        }
    }
    path
}

/// What a file turned out to be.
#[derive(Debug, Clone)]
enum Checked {
    Scenario(Scenario),
    Fragment(Fragment),
    Stack(Stack),
    Profile(Profile),
    Slo(Vec<Document>),
    Gate(Box<Gate>),
    /// Of a known kind, with errors.
    Broken(Kind),
    /// Not read, or of no known kind.
    Foreign,
}

/// Every file met so far.
#[derive(Debug, Default)]
pub(super) struct Library {
    pub(super) sources: Sources,
    files: BTreeMap<PathBuf, Checked>,
    /// Files that stand in a folder the user named, and need not be ours.
    by_chance: BTreeSet<PathBuf>,
    /// Files that are taken as they are.
    taken: BTreeMap<PathBuf, Bytes>,
}

impl Library {
    /// No file was met yet; which of them stand in a named folder is known from `other`.
    pub(super) fn beside(other: &Self, path: &Path) -> Self {
        let by_chance = other.by_chance.get(path).cloned().into_iter().collect();
        Self { by_chance, ..Self::default() }
    }

    /// Takes in a text as if it stood in a file of that name.
    pub(super) fn give(&mut self, path: &Path, text: &str, findings: &mut Findings) {
        let id = self.sources.add(path, text);
        let checked = match yaml::parse(id, text) {
            Ok(documents) => Self::tell_apart(path, id, &documents, false, findings),
            Err(all) => {
                findings.extend(all);
                Checked::Foreign
            }
        };
        self.files.insert(path.to_owned(), checked);
    }

    /// The files that `paths` name; folders are searched for YAML, in the order of names.
    pub(super) fn find(&mut self, paths: &[PathBuf], findings: &mut Findings) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for path in paths {
            let path = beside(Path::new(""), &path.to_string_lossy());
            let path = if path.as_os_str().is_empty() { PathBuf::from(".") } else { path };
            if path.is_dir() {
                let before = found.len();
                self.search(&path, &mut found, findings);
                self.by_chance.extend(found[before..].iter().cloned());
                if found.len() == before {
                    let place = self.nowhere(&path);
                    findings.add(Finding::new(
                        Code::FileUnreadable,
                        place,
                        format!("there is no YAML file in `{}`", path.display()),
                    ));
                }
            } else {
                found.push(path);
            }
        }
        found.dedup();
        found
    }

    fn search(&mut self, folder: &Path, found: &mut Vec<PathBuf>, findings: &mut Findings) {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                let place = self.nowhere(folder);
                findings.add(Finding::new(
                    Code::FileUnreadable,
                    place,
                    format!("`{}` cannot be read: {error}", folder.display()),
                ));
                return;
            }
        };
        let mut entries: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
        entries.sort();
        for path in entries {
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if hidden || found.len() >= MOST_FILES {
                continue;
            }
            // A link to a folder may lead back here.
            if path.is_dir() && !path.is_symlink() {
                self.search(&path, found, findings);
            } else if path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml") {
                found.push(path);
            }
        }
    }

    /// A place for findings about what could not be read.
    fn nowhere(&mut self, path: &Path) -> Place {
        let id = self.sources.find(path).unwrap_or_else(|| self.sources.add(path, ""));
        id.place(0, 0)
    }

    /// Reads and checks a file that the user named; `None` where there is nothing to check in it.
    pub(super) fn check(&mut self, path: &Path, findings: &mut Findings) -> Option<Kind> {
        if !self.files.contains_key(path) {
            let chance = self.by_chance.contains(path);
            let checked = self.read(path, None, chance, findings);
            self.files.insert(path.to_owned(), checked);
        }
        self.kind(path)
    }

    /// Reads and checks a file that another file names at `from`, as a `wanted`.
    pub(super) fn refer(
        &mut self,
        path: &Path,
        wanted: Kind,
        from: Place,
        findings: &mut Findings,
    ) -> Option<()> {
        if !self.files.contains_key(path) {
            let checked = self.read(path, Some(from), false, findings);
            self.files.insert(path.to_owned(), checked);
        }
        match self.kind(path) {
            Some(kind) if kind == wanted => Some(()),
            Some(kind) => {
                let title = format!("`{}` is a {}, not a {}", path.display(), kind.name(), wanted.name());
                findings.add(Finding::new(Code::FileKind, from, title));
                None
            }
            None => None,
        }
    }

    fn kind(&self, path: &Path) -> Option<Kind> {
        match self.files.get(path)? {
            Checked::Scenario(_) => Some(Kind::Scenario),
            Checked::Fragment(_) => Some(Kind::Fragment),
            Checked::Stack(_) => Some(Kind::Stack),
            Checked::Profile(_) => Some(Kind::Profile),
            Checked::Slo(_) => Some(Kind::Slo),
            Checked::Gate(_) => Some(Kind::Gate),
            Checked::Broken(kind) => Some(*kind),
            Checked::Foreign => None,
        }
    }

    fn read(&mut self, path: &Path, from: Option<Place>, chance: bool, findings: &mut Findings) -> Checked {
        match self.documents_of(path, from, findings) {
            Some((id, documents)) => Self::tell_apart(path, id, &documents, chance, findings),
            None => Checked::Foreign,
        }
    }

    /// The documents of a file that is not ours, and that another file names at `from`.
    pub(super) fn foreign(&mut self, path: &Path, from: Place, findings: &mut Findings) -> Option<Vec<Node>> {
        self.documents_of(path, Some(from), findings).map(|(_, documents)| documents)
    }

    /// What is in a file that `from` names, whatever it is; read once however often it is named.
    pub(super) fn bytes(
        &mut self,
        from: &Path,
        named: &At<String>,
        findings: &mut Findings,
    ) -> Option<Bytes> {
        let path = beside(from, named);
        if let Some(known) = self.taken.get(&path) {
            return Some(known.clone());
        }
        let bytes = source::read(&path).map_err(|error| {
            let title = format!("`{}` cannot be read: {error}", path.display());
            Finding::new(Code::FileUnreadable, named.place, title)
        });
        let bytes = Bytes::from(findings.take(bytes)?);
        self.taken.insert(path, bytes.clone());
        Some(bytes)
    }

    fn documents_of(
        &mut self,
        path: &Path,
        from: Option<Place>,
        findings: &mut Findings,
    ) -> Option<(FileId, Vec<Node>)> {
        let (id, broken) = match self.sources.open(path) {
            Ok(opened) => opened,
            Err(error) => {
                let place = from.unwrap_or_else(|| self.nowhere(path));
                let title = format!("`{}` cannot be read: {error}", path.display());
                findings.add(Finding::new(Code::FileUnreadable, place, title));
                return None;
            }
        };
        if let Some(at) = broken {
            let finding = Finding::new(Code::YamlEncoding, id.place(at, at), "the file is not UTF-8");
            findings.add(finding.label("the first byte that is not"));
            return None;
        }
        let documents = match yaml::parse(id, &self.sources.file(id).text) {
            Ok(documents) => documents,
            Err(all) => {
                findings.extend(all);
                return None;
            }
        };
        Some((id, documents))
    }

    fn tell_apart(
        path: &Path,
        id: FileId,
        documents: &[Node],
        chance: bool,
        findings: &mut Findings,
    ) -> Checked {
        let Some(kind) = documents.first().and_then(kind_of) else {
            let nearly = documents.first().and_then(nearly_ours);
            if let Some((key, meant)) = &nearly {
                let finding =
                    Finding::new(Code::FileKind, key.place, format!("`{}` begins no file", key.name));
                findings.add(finding.label(format!("did you mean `{meant}`?")));
            } else if !chance {
                let place = documents.first().map_or(id.place(0, 0), |node| node.place);
                let title = format!("`{}` is no file that firedrill knows", path.display());
                let finding = Finding::new(Code::FileKind, place, title);
                let known = "its first key is `scenario`, `fragment`, `stack`, `stand-in`, `gate`, or `apiVersion: openslo/v1`";
                findings.add(finding.help(known));
            }
            return Checked::Foreign;
        };
        if let (true, Some(second)) = (kind != Kind::Slo, documents.get(1)) {
            let title = format!("a {} file holds one document", kind.name());
            findings.add(Finding::new(Code::FileKind, second.place, title).label("a second begins here"));
        }
        let first = &documents[0];
        let checked = match kind {
            Kind::Scenario => scenario::check(first, findings).map(Checked::Scenario),
            Kind::Fragment => scenario::check_fragment(first, findings).map(Checked::Fragment),
            Kind::Stack => stack::check(first, findings).map(Checked::Stack),
            Kind::Profile => findings.take_all(profile::check(first)).map(Checked::Profile),
            Kind::Slo => Some(Checked::Slo(slo::check(documents, findings))),
            Kind::Gate => gate::check(first, findings).map(|gate| Checked::Gate(Box::new(gate))),
        };
        checked.unwrap_or(Checked::Broken(kind))
    }

    /// The scenario of a file; a second time there is none.
    pub(super) fn take_scenario(&mut self, path: &Path) -> Option<Scenario> {
        let checked = self.files.get_mut(path).filter(|checked| matches!(checked, Checked::Scenario(_)))?;
        let Checked::Scenario(scenario) = std::mem::replace(checked, Checked::Broken(Kind::Scenario)) else {
            return None;
        };
        Some(scenario)
    }

    pub(super) fn fragment(&self, path: &Path) -> Option<Fragment> {
        let Checked::Fragment(fragment) = self.files.get(path)? else { return None };
        Some(fragment.clone())
    }

    pub(super) fn stack(&self, path: &Path) -> Option<Stack> {
        let Checked::Stack(stack) = self.files.get(path)? else { return None };
        Some(stack.clone())
    }

    pub(super) fn profile(&self, path: &Path) -> Option<Profile> {
        let Checked::Profile(profile) = self.files.get(path)? else { return None };
        Some(profile.clone())
    }

    pub(super) fn documents(&self, path: &Path) -> Vec<Document> {
        let Some(Checked::Slo(documents)) = self.files.get(path) else { return Vec::new() };
        documents.clone()
    }

    pub(super) fn gate(&self, path: &Path) -> Option<Gate> {
        let Checked::Gate(gate) = self.files.get(path)? else { return None };
        Some((**gate).clone())
    }
}
