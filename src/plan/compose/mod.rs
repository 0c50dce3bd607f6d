//! A Compose file: what of it can be carried over becomes services of the stack, and the rest is found.

mod interpolate;
mod keys;
mod mounts;
mod service;

use std::collections::BTreeMap;
use std::path::Path;

use self::interpolate::interpolated;
use super::Planner;
use super::files::beside;
use crate::finding::{Code, Finding, Findings};
use crate::scenario::stack::{Ready, Runs, Service, Sign, Stack};
use crate::scenario::template::{Template, is_name};
use crate::source::{At, Place};
use crate::yaml::{Kind, Node};

/// What is found as a Compose file is read.
pub(super) struct Found<'a>(&'a mut Findings);

impl Found<'_> {
    /// The service would not be the same.
    fn unsupported(&mut self, place: Place, title: impl Into<String>, help: impl Into<String>) {
        self.0.add(Finding::new(Code::ComposeUnsupported, place, title).help(help));
    }

    /// Nothing a drill could tell comes of it.
    fn ignored(&mut self, place: Place, title: impl Into<String>, help: impl Into<String>) {
        self.0.add(Finding::new(Code::ComposeIgnored, place, title).help(help));
    }

    fn take<T>(&mut self, read: Result<T, Vec<Finding>>) -> Option<T> {
        self.0.take_all(read)
    }

    fn template(&mut self, text: &str, place: Place) -> Option<Template> {
        self.0.take(Template::parse(text).map_err(|why| Finding::new(Code::FileValue, place, why)))
    }
}

/// Keys of the whole file from which nothing follows.
const OF_THE_FILE: [&str; 4] = ["version", "name", "services", "networks"];

impl Planner<'_> {
    /// Adds the services of the Compose file that the stack in `file` names. What the stack's own file says of a
    /// service goes before what is said there.
    pub(super) fn compose(&mut self, file: &Path, stack: &mut Stack) {
        let Some(named) = stack.compose.clone() else { return };
        let path = beside(file, &named);
        let Some(documents) = self.library.foreign(&path, named.place, self.findings) else { return };
        let mut found = Found(self.findings);
        let Some(tree) = documents.first() else {
            found.unsupported(named.place, format!("`{named}` is empty"), "a Compose file has `services`");
            return;
        };
        if beside(&path, ".env").is_file() {
            let title = format!("the variables in `{}` are not read", beside(&path, ".env").display());
            found.ignored(named.place, title, "set them in the environment");
        }
        for service in services(&path, tree, &mut found) {
            match stack.services.iter_mut().find(|own| own.name.value == service.name.value) {
                Some(own) => beneath(own, service),
                None => stack.services.push(service),
            }
        }
        stack.check_services(self.findings);
    }
}

/// The services of a Compose file.
fn services(path: &Path, tree: &Node, found: &mut Found<'_>) -> Vec<Service> {
    whole(tree, found);
    let Some(Node { kind: Kind::Map(entries), .. }) = tree.get("services") else {
        found.unsupported(tree.place, "there are no `services` in it", "a Compose file has `services`");
        return Vec::new();
    };
    let mut read = Vec::new();
    let mut mounted: BTreeMap<String, Place> = BTreeMap::new();
    for (key, node) in entries {
        if !is_name(&key.name) || key.name.contains('.') {
            let title = format!("`{}` cannot be a service's name here", key.name);
            found.unsupported(key.place, title, "letters, digits, `_` and `-`, a letter first");
            continue;
        }
        let node = match interpolated(node) {
            Ok(node) => node,
            Err((at, why)) => {
                found.unsupported(
                    at.place,
                    why,
                    "known are `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME:?}`",
                );
                continue;
            }
        };
        let Some((service, mounts)) = service::check(path, key, &node, found) else { continue };
        for volume in mounts.named {
            if let Some(first) = mounted.insert(volume.value.clone(), volume.place) {
                let title =
                    format!("the volume `{}` is mounted twice, and each would have its own", volume.value);
                let finding = Finding::new(Code::ComposeUnsupported, volume.place, title);
                found
                    .0
                    .add(finding.also(first, "it is mounted here too").help("services share no files here"));
            }
        }
        read.push(service);
    }
    read
}

/// What is said of the file as a whole.
fn whole(tree: &Node, found: &mut Found<'_>) {
    let Kind::Map(entries) = &tree.kind else { return };
    for (key, node) in entries {
        match key.name.as_str() {
            known if OF_THE_FILE.contains(&known) || known.starts_with("x-") => {}
            "volumes" => {
                for (volume, _) in of_map(node).iter().filter(|(_, node)| !of_map(node).is_empty()) {
                    let title = format!("the volume `{}` is an empty folder here", volume.name);
                    found.ignored(volume.place, title, "drivers and volumes of others are not used");
                }
            }
            other => {
                let title = format!("`{other}` cannot be carried over");
                found.unsupported(key.place, title, "`docker compose config` prints a file that is whole");
            }
        }
    }
}

fn of_map(node: &Node) -> &[(crate::yaml::Key, Node)] {
    match &node.kind {
        Kind::Map(entries) => entries,
        Kind::Null | Kind::Bool(..) | Kind::Int(..) | Kind::Float(..) | Kind::Text(_) | Kind::List(_) => &[],
    }
}

/// Lays what a Compose file says of a service beneath what the stack says of it. A stand-in takes its place.
fn beneath(own: &mut Service, other: Service) {
    let (Runs::Program(program), Runs::Program(composed)) = (&mut own.runs, other.runs) else { return };
    if program.image.is_none() {
        program.image = composed.image;
        program.entrypoint = program.entrypoint.take().or(composed.entrypoint);
        program.command = program.command.take().or(composed.command);
    }
    let missing = |name: &String| !own.env.iter().any(|(known, _)| known == name);
    let env: Vec<_> = other.env.into_iter().filter(|(name, _)| missing(name)).collect();
    own.env.splice(0..0, env);
    let missing = |path: &At<String>| !own.files.iter().any(|placed| placed.path.value == path.value);
    let files: Vec<_> = other.files.into_iter().filter(|placed| missing(&placed.path)).collect();
    own.files.extend(files);
    own.volumes.extend(other.volumes);
    let missing = |number: u16| !own.ports.iter().any(|(_, known)| *known == number);
    let ports: Vec<_> = other.ports.into_iter().filter(|(_, number)| missing(*number)).collect();
    own.datagrams.extend(
        ports.iter().map(|(name, _)| name.value.clone()).filter(|name| other.datagrams.contains(name)),
    );
    own.ports.extend(ports);
    let unsaid = matches!(own.ready.sign, Sign::Ports) && own.ready.within == Ready::default().within;
    if unsaid {
        own.ready = other.ready;
    }
    own.after.extend(other.after);
}
