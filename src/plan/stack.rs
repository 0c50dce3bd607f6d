//! A stack with every file that it names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use regex::Regex;

use super::files::{Kind, beside};
use super::{Planner, names};
use crate::finding::{Code, Finding};
use crate::route;
use crate::route::matcher::Dialect;
use crate::route::{Absent, absent};
use crate::rule::{self, RuleFile};
use crate::scenario::profile::Profile;
use crate::scenario::stack::{Content, Runs, Stack};
use crate::scenario::template::{Hole, Scope, Template};
use crate::secret::Mask;
use crate::source::{At, Place};
use crate::yaml::{self, Node};

/// A stack with every file that it names.
#[derive(Debug, Clone)]
pub struct PlannedStack {
    /// The file it is written in.
    pub file: PathBuf,
    /// What is started.
    pub stack: Stack,
    /// The profile of each stand-in, by service.
    pub profiles: BTreeMap<String, Profile>,
    /// Files that are copied as they are, by the name the stack gives them.
    pub copies: BTreeMap<String, Vec<u8>>,
    /// Files that are filled in, likewise.
    pub templates: BTreeMap<String, Template>,
    /// Prometheus's configuration.
    pub prometheus: Option<Configuration>,
    /// Alertmanager's configuration.
    pub alertmanager: Option<Configuration>,
    /// The rules that Prometheus loads, file by file.
    pub rules: Vec<RuleFile>,
    /// Who is told of which alert.
    pub routing: Option<route::Config>,
    /// Files that Alertmanager needs and that are not here.
    pub absent: Vec<Absent>,
    /// Environment variables and secrets it names, and nothing else yet.
    pub scope: Scope,
}

/// A configuration of Prometheus or Alertmanager, as it is in production.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// Its file.
    pub file: PathBuf,
    /// What is in it.
    pub tree: Node,
    /// The rule files or templates that it names and those that the stack adds, each once.
    pub others: Vec<PathBuf>,
}

impl PlannedStack {
    /// The stack without a rule file, or without the Alertmanager whose configuration this is; as it is where the file
    /// is neither.
    #[must_use]
    pub fn without(mut self, file: &Path) -> Self {
        if self.alertmanager.as_ref().is_some_and(|own| own.file == file) {
            (self.alertmanager, self.stack.alertmanager, self.routing) = (None, None, None);
            self.absent.clear();
        }
        if let Some(own) = &mut self.prometheus
            && let Some(number) = own.others.iter().position(|other| other == file)
        {
            own.others.remove(number);
            if number < self.rules.len() {
                self.rules.remove(number);
            }
        }
        self
    }

    /// A file that the stack names, from where firedrill stands.
    #[must_use]
    pub fn beside(&self, named: &str) -> PathBuf {
        beside(&self.file, named)
    }
}

impl Planner<'_> {
    /// The stack that the file at `path` names.
    pub(super) fn stack(&mut self, path: &Path, named: &At<String>, mask: &Mask) -> Option<PlannedStack> {
        let file = beside(path, named);
        self.library.refer(&file, Kind::Stack, named.place, self.findings)?;
        self.resolve(&file, mask)
    }

    /// Resolves what the stack in `file` names.
    pub(super) fn resolve(&mut self, file: &Path, mask: &Mask) -> Option<PlannedStack> {
        let mut stack = self.library.stack(file)?;
        self.compose(file, &mut stack);
        let (mut copies, mut templates) = (BTreeMap::new(), BTreeMap::new());
        let mut holes = Vec::new();
        for service in &stack.services {
            for placed in &service.files {
                match &placed.content {
                    Content::Copy(name) => {
                        copies.extend(self.bytes(file, name).map(|bytes| (name.value.clone(), bytes)));
                    }
                    Content::Template(name) => {
                        let Some(template) = self.template(file, name) else { continue };
                        let not_own = |hole: &&Hole| !service.fills(&hole.name);
                        holes.extend(template.holes().filter(not_own).map(|hole| (hole.clone(), name.place)));
                        templates.insert(name.value.clone(), template);
                    }
                    Content::Text(_) => {}
                }
            }
        }
        let all = stack.holes().chain(holes.iter().map(|(hole, place)| (hole, *place)));
        let scope = names::check_stack(all, stack.variables(), self.surroundings, mask, self.findings);
        let prometheus = stack
            .prometheus
            .as_ref()
            .and_then(|one| self.configuration(file, &one.config, "rule_files", &one.rules));
        let alertmanager = stack
            .alertmanager
            .as_ref()
            .and_then(|one| self.configuration(file, &one.config, "templates", &one.templates));
        let rules = stack.prometheus.as_ref().zip(prometheus.as_ref());
        let rules = rules.map(|(named, own)| self.rules(own, named.place)).unwrap_or_default();
        let routing = alertmanager.as_ref().and_then(|own: &Configuration| {
            route::check(&own.tree, &self.library.sources, Dialect::default(), self.findings)
        });
        let absent = alertmanager.as_ref().map(|own| absent(&own.tree, &is_beside(&own.file)));
        let absent = absent.unwrap_or_default();
        self.findings.extend(absent.iter().map(Absent::finding));
        let profiles = self.profiles(file, &stack);
        Some(PlannedStack {
            file: file.to_owned(),
            stack,
            profiles,
            copies,
            templates,
            prometheus,
            alertmanager,
            rules,
            routing,
            absent,
            scope,
        })
    }

    /// The rules that Prometheus loads.
    fn rules(&mut self, own: &Configuration, from: Place) -> Vec<RuleFile> {
        let mut files = Vec::new();
        for path in &own.others {
            let Some(documents) = self.library.foreign(path, from, self.findings) else { continue };
            files.push(rule::check(&documents, &self.library.sources, self.findings));
        }
        files
    }

    fn profiles(&mut self, file: &Path, stack: &Stack) -> BTreeMap<String, Profile> {
        let mut profiles = BTreeMap::new();
        for service in &stack.services {
            let Runs::StandIn(named) = &service.runs else { continue };
            let path = beside(file, named);
            let read = self.library.refer(&path, Kind::Profile, named.place, self.findings);
            if let Some(profile) = read.and_then(|()| self.library.profile(&path)) {
                profile.calls().for_each(|call| stack.check_called(&call.service, self.findings));
                profiles.insert(service.name.value.clone(), profile);
            }
        }
        profiles
    }

    fn bytes(&mut self, file: &Path, name: &At<String>) -> Option<Vec<u8>> {
        let path = beside(file, name);
        let read = std::fs::read(&path).map_err(|error| {
            let title = format!("`{}` cannot be read: {error}", path.display());
            Finding::new(Code::FileUnreadable, name.place, title)
        });
        self.findings.take(read)
    }

    fn template(&mut self, file: &Path, name: &At<String>) -> Option<Template> {
        let bytes = self.bytes(file, name)?;
        let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned());
        let read = text.and_then(|text| Template::parse(&text)).map_err(|why| {
            let title = format!("`{name}` is no template: {why}");
            Finding::new(Code::FileValue, name.place, title)
                .help("`$${` stands for `${` itself; a file that is copied as it is, is named alone")
        });
        self.findings.take(read)
    }

    /// A configuration, and the files that it names under `key`.
    fn configuration(
        &mut self,
        file: &Path,
        named: &At<String>,
        key: &str,
        more: &[At<String>],
    ) -> Option<Configuration> {
        let path = beside(file, named);
        let documents = self.library.foreign(&path, named.place, self.findings)?;
        let Some(tree) = documents.into_iter().next() else {
            let title = format!("`{}` is empty", path.display());
            self.findings.add(Finding::new(Code::FileKind, named.place, title));
            return None;
        };
        let text = &self.library.sources.file(tree.place.file).text;
        let tree = yaml::as_elder(tree, text);
        let mut others = Vec::new();
        for pattern in listed(&tree, key) {
            others.extend(matching(&beside(&path, pattern)));
        }
        for one in more {
            let found = matching(&beside(file, one));
            if found.is_empty() {
                let title = format!("there is no file `{}`", beside(file, one).display());
                self.findings.add(Finding::new(Code::FileUnreadable, one.place, title));
            }
            others.extend(found);
        }
        let mut seen = std::collections::BTreeSet::new();
        others.retain(|other| seen.insert(other.clone()));
        Some(Configuration { file: path, tree, others })
    }
}

/// Whether there is a file, or one that matches a pattern, as a configuration in `file` names it.
pub fn is_beside(file: &Path) -> impl Fn(&str) -> bool + use<> {
    let folder = file.parent().unwrap_or(Path::new("")).to_owned();
    move |named| {
        let path = folder.join(named);
        path.exists() || !matching(&path).is_empty()
    }
}

/// The texts of the list under `key`.
fn listed<'a>(tree: &'a Node, key: &str) -> Vec<&'a str> {
    let Some(Node { kind: yaml::Kind::List(items), .. }) = tree.get(key) else { return Vec::new() };
    items.iter().filter_map(Node::scalar).collect()
}

/// The files that a path names, whose last part may be a pattern as Prometheus takes it: `*`, `?`, `[a-z]`.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !name.contains(['*', '?', '[']) {
        return if pattern.is_file() { vec![pattern.to_owned()] } else { Vec::new() };
    }
    let mut read = String::from("^");
    let mut within = false;
    for sign in name.chars() {
        match sign {
            '[' | ']' => {
                within = sign == '[';
                read.push(sign);
            }
            '*' if !within => read.push_str("[^/]*"),
            '?' if !within => read.push_str("[^/]"),
            _ if within => read.push(sign),
            _ => read.push_str(&regex::escape(&sign.to_string())),
        }
    }
    let Ok(read) = Regex::new(&(read + "$")) else { return Vec::new() };
    let folder = pattern.parent().filter(|folder| !folder.as_os_str().is_empty());
    let Ok(entries) = std::fs::read_dir(folder.unwrap_or(Path::new("."))) else { return Vec::new() };
    let named = entries.filter_map(Result::ok).map(|entry| entry.file_name());
    let mut named: Vec<_> = named.filter(|name| read.is_match(&name.to_string_lossy())).collect();
    named.sort();
    named.into_iter().map(|name| pattern.with_file_name(name)).filter(|path| path.is_file()).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("Cargo.toml", &["Cargo.toml"])]
    #[case::star("ci/te*.sh", &["ci/test.sh"])]
    #[case::sign("ci/tes?.sh", &["ci/test.sh"])]
    #[case::range("ci/[d-e]eny.toml", &["ci/deny.toml"])]
    #[case::nothing("ci/nothing*", &[])]
    fn a_pattern_names_files(#[case] pattern: &str, #[case] files: &[&str]) {
        let files: Vec<_> = files.iter().map(PathBuf::from).collect();
        assert_eq!(matching(Path::new(pattern)), files);
    }
}
