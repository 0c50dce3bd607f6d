//! A service of a Compose file as a service of a stack.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::Found;
use super::keys::{CARRIED, Fate, fate};
use super::mounts::Mounts;
use crate::finding::nearest;
use crate::plan::files::beside;
use crate::scenario::stack::{Command, Program, Ready, Runs, Service, Sign};
use crate::scenario::template::Template;
use crate::source::{At, Place};
use crate::units::Span;
use crate::yaml::{Key, Kind, Node, read};

/// How often a health check is asked, and how often it may fail, as Compose has it.
const USUAL_CHECK: (Duration, u32) = (Duration::from_secs(30), 3);

/// Reads a service of the Compose file at `file`; `None` where there is nothing to start.
pub(super) fn check(file: &Path, key: &Key, node: &Node, found: &mut Found<'_>) -> Option<(Service, Mounts)> {
    let Kind::Map(entries) = &node.kind else {
        found.unsupported(key.place, format!("service `{}` is no map of keys", key.name), "write `image:`");
        return None;
    };
    if node.get("profiles").is_some() {
        let title = format!("service `{}` belongs to profiles, and is not started", key.name);
        found.ignored(key.place, title, "without `profiles` it is started");
        return None;
    }
    for (name, _) in entries {
        judge(name, &key.name, found);
    }
    let image = image(&key.name, key.place, node, found)?;
    let mut mounts = Mounts::default();
    for entry in node.get("volumes").into_iter().flat_map(items) {
        mounts.take(file, entry, found);
    }
    for entry in node.get("tmpfs").into_iter().flat_map(one_or_more) {
        mounts.folder(entry.scalar().unwrap_or_default(), entry.place);
    }
    let (ports, datagrams) = ports(node, found);
    let command = |name: &str, found: &mut Found<'_>| node.get(name).and_then(|node| words(node, found));
    let program = Program {
        image: found.take(read::<At<Template>>(image)),
        entrypoint: command("entrypoint", found),
        command: command("command", found),
        process: None,
    };
    let mut env = env_files(file, node, found);
    env.extend(environment(node, found));
    let service = Service {
        name: At::new(key.name.clone(), key.place),
        runs: Runs::Program(program),
        env,
        files: std::mem::take(&mut mounts.files),
        volumes: std::mem::take(&mut mounts.folders),
        ports,
        datagrams,
        ready: node.get("healthcheck").map_or_else(Ready::default, |node| ready(node, found)),
        after: after(node, found),
        setup: Vec::new(),
        user: None,
    };
    Some((service, mounts))
}

/// The image that it runs from.
fn image<'n>(service: &str, place: Place, node: &'n Node, found: &mut Found<'_>) -> Option<&'n Node> {
    let (image, build) = (node.get("image"), node.get("build"));
    match (image, build) {
        (None, Some(build)) => {
            let title = format!("service `{service}` is built, and firedrill builds no images");
            found.unsupported(build.place, title, "build it before, and name it with `image`");
        }
        (None, None) => {
            let title = format!("service `{service}` names no image");
            found.unsupported(place, title, "write `image: name:tag`");
        }
        (Some(image), Some(build)) => {
            let title = format!("service `{service}` is not built: its image is used as it is");
            found.ignored(build.place, title, format!("`{}`", image.scalar().unwrap_or_default()));
        }
        (Some(_), None) => {}
    }
    image
}

fn judge(key: &Key, service: &str, found: &mut Found<'_>) {
    match fate(&key.name) {
        Fate::Carried => {}
        Fate::Ignored(why) => {
            found.ignored(key.place, format!("`{}` of service `{service}` has no effect", key.name), why);
        }
        Fate::Unsupported(help) => {
            let title = format!("`{}` of service `{service}` cannot be carried over", key.name);
            match nearest(&key.name, CARRIED) {
                Some(meant) => found.unsupported(key.place, title, format!("did you mean `{meant}`?")),
                None => found.unsupported(key.place, title, help),
            }
        }
    }
}

fn words(node: &Node, found: &mut Found<'_>) -> Option<At<Command>> {
    if node.kind == Kind::Null { None } else { found.take(read::<At<Command>>(node)) }
}

fn items(node: &Node) -> &[Node] {
    match &node.kind {
        Kind::List(items) => items,
        Kind::Null | Kind::Bool(..) | Kind::Int(..) | Kind::Float(..) | Kind::Text(_) | Kind::Map(_) => &[],
    }
}

fn one_or_more(node: &Node) -> &[Node] {
    if node.scalar().is_some() { std::slice::from_ref(node) } else { items(node) }
}

/// Variables as a map or as a list of `NAME=VALUE`; one without a value is handed on.
fn environment(node: &Node, found: &mut Found<'_>) -> Vec<(String, At<Template>)> {
    let Some(node) = node.get("environment") else { return Vec::new() };
    let mut pairs: Vec<(String, Option<String>, Place)> = Vec::new();
    if let Kind::Map(entries) = &node.kind {
        let given = entries
            .iter()
            .map(|(key, value)| (key.name.clone(), value.scalar().map(str::to_owned), value.place));
        pairs.extend(given);
    }
    for entry in items(node) {
        let text = entry.scalar().unwrap_or_default();
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        pairs.push((name.to_owned(), value.map(str::to_owned), entry.place));
    }
    let read = pairs.into_iter().filter_map(|(name, value, place)| {
        let text = value.unwrap_or_else(|| format!("${{env.{name}:-}}"));
        Some((name, At::new(found.template(&text, place)?, place)))
    });
    read.collect()
}

/// Variables of files of `NAME=VALUE` lines.
fn env_files(file: &Path, node: &Node, found: &mut Found<'_>) -> Vec<(String, At<Template>)> {
    let mut read = Vec::new();
    for named in node.get("env_file").into_iter().flat_map(one_or_more) {
        let Some(name) = named.scalar().or_else(|| named.get("path").and_then(Node::scalar)) else {
            continue;
        };
        let text = match std::fs::read_to_string(beside(file, name)) {
            Ok(text) => text,
            Err(_) if named.get("required").and_then(Node::scalar) == Some("false") => continue,
            Err(error) => {
                let title = format!("`{name}` cannot be read: {error}");
                found.unsupported(named.place, title, "a file of `NAME=VALUE` lines");
                continue;
            }
        };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let Some((name, value)) = line.trim_start_matches("export ").split_once('=') else { continue };
            let value = value.trim().trim_matches(['"', '\'']);
            read.push((name.trim().to_owned(), At::new(Template::plain(value), named.place)));
        }
    }
    read
}

/// The ports it listens on, by names made of their numbers.
fn ports(node: &Node, found: &mut Found<'_>) -> (Vec<(At<String>, u16)>, BTreeSet<String>) {
    let (mut ports, mut datagrams): (Vec<(At<String>, u16)>, _) = (Vec::new(), BTreeSet::new());
    for entry in ["ports", "expose"].iter().filter_map(|key| node.get(key)).flat_map(items) {
        let long = entry.get("target").and_then(Node::scalar);
        let written = long.or_else(|| entry.scalar()).unwrap_or_default();
        // Where it would be published: here ports are always free ones.
        let own = written.rsplit(':').next().unwrap_or_default();
        let (number, protocol) = own.split_once('/').unwrap_or((own, "tcp"));
        let protocol = entry.get("protocol").and_then(Node::scalar).unwrap_or(protocol);
        let Some(number) = number.parse::<u16>().ok().filter(|number| *number > 0) else {
            found.unsupported(
                entry.place,
                format!("`{written}` is no port of a service"),
                "write each as `8080:80`",
            );
            continue;
        };
        let name = format!("port-{number}");
        if protocol == "udp" {
            datagrams.insert(name.clone());
        }
        if !ports.iter().any(|(_, known)| *known == number) {
            ports.push((At::new(name, entry.place), number));
        }
    }
    (ports, datagrams)
}

/// Who must be ready before it: as a list, or a map with conditions.
fn after(node: &Node, found: &mut Found<'_>) -> Vec<At<String>> {
    let Some(node) = node.get("depends_on") else { return Vec::new() };
    if let Kind::Map(entries) = &node.kind {
        for (key, value) in entries {
            if value.get("condition").and_then(Node::scalar) == Some("service_completed_successfully") {
                let title =
                    format!("`{}` would have to end first, and services of a stack do not end", key.name);
                found.unsupported(
                    key.place,
                    title,
                    "give what it prepares by `files` of the stack's own file",
                );
            }
        }
        return entries.iter().map(|(key, _)| At::new(key.name.clone(), key.place)).collect();
    }
    let names = items(node).iter().filter_map(|item| Some(At::new(item.scalar()?.to_owned(), item.place)));
    names.collect()
}

/// What its health check says, asked as often as we ask.
fn ready(node: &Node, found: &mut Found<'_>) -> Ready {
    let disabled = node.get("disable").and_then(Node::scalar) == Some("true");
    let Some(test) = node.get("test").filter(|_| !disabled) else { return Ready::default() };
    let time = |key: &str| node.get(key).and_then(Node::scalar)?.parse::<Span>().ok().map(|span| span.0);
    let tries = node.get("retries").and_then(Node::scalar).and_then(|text| text.parse().ok());
    let tries: u32 = tries.unwrap_or(USUAL_CHECK.1);
    let patience =
        time("start_period").unwrap_or_default() + time("interval").unwrap_or(USUAL_CHECK.0) * tries;
    let within = patience.max(Ready::default().within);
    let shell = |line: &str| [Some("sh".to_owned()), Some("-c".to_owned()), Some(line.to_owned())];
    let words: Vec<_> = match items(test) {
        [] => shell(test.scalar().unwrap_or_default()).into(),
        [kind, rest @ ..] => match (kind.scalar(), rest) {
            (Some("NONE"), _) => return Ready::default(),
            (Some("CMD-SHELL"), [line]) => shell(line.scalar().unwrap_or_default()).into(),
            (Some("CMD"), words) => words.iter().map(|word| word.scalar().map(str::to_owned)).collect(),
            (_, _) => {
                let help = "write `[CMD, program, …]` or `[CMD-SHELL, line]`";
                found.unsupported(test.place, "this is no health check", help);
                return Ready::default();
            }
        },
    };
    let words = words.into_iter().flatten();
    let list = words.map(|text| Node { place: test.place, kind: Kind::Text(text) }).collect();
    let command = Node { place: test.place, kind: Kind::List(list) };
    match found.take(read::<At<Command>>(&command)) {
        Some(command) => Ready { sign: Sign::Exec(command), within },
        None => Ready::default(),
    }
}
