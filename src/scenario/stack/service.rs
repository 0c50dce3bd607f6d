//! A service of a stack: a stand-in, a program, an image, and what each of them needs.

use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use super::port::PortWritten;
use super::ready::{Ready, ReadyWritten, Sign};
use super::{Command, HTTP};
use crate::finding::{Code, Finding, Findings, nearest};
use crate::scenario::template::{Hole, Template};
use crate::source::{At, Place};
use crate::yaml::{Entries, Json, Kind};

/// What every service gives besides its ports: its folder and its log.
const OWN: [&str; 2] = ["dir", "log"];

/// A service of a stack. Within it, `${port.NAME}` is where it listens, `${host}` the address it listens on,
/// `${dir}` its own folder, and `${service.NAME.PORT}` where it reaches another service.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("anyOf" = [{ "required": ["simulate"] }, { "required": ["image"] }, { "required": ["process"] }]))]
pub(super) struct ServiceWritten {
    /// A stand-in's profile, beside this file.
    simulate: Option<At<String>>,
    /// The image it runs from, in containers.
    image: Option<At<Template>>,
    /// The program it runs as, in processes.
    process: Option<At<Command>>,
    /// What runs in the container in place of the image's own command.
    command: Option<At<Command>>,
    /// Environment variables.
    #[serde(default)]
    env: Entries<At<Template>>,
    /// Files it is given, by path: in a container at that path, for a process below `${dir}`.
    #[serde(default)]
    files: Entries<At<FileWritten>>,
    /// Folders that are its own and empty at first, by path as for files.
    #[serde(default)]
    volumes: Vec<At<String>>,
    /// Ports by name: where it listens in a container. On this machine ports are always free ones.
    #[serde(default)]
    ports: Entries<At<PortWritten>>,
    /// What shows that it can be used; unless said, that each of its ports accepts connections.
    ready: Option<At<ReadyWritten>>,
    /// Services that must be ready before it starts.
    #[serde(default)]
    after: Vec<At<String>>,
    /// Programs that run to their end in `${dir}` before it starts; processes only.
    #[serde(default)]
    setup: Vec<At<Command>>,
    /// Who it runs as where firedrill is root, for programs that refuse to be that; processes only.
    user: Option<At<String>>,
}

/// What a file holds: the name of a file beside this one, copied as it is, or `{ template: FILE }` or
/// `{ text: … }`, in which `${…}` is filled in.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct FileWritten(Json);

impl JsonSchema for FileWritten {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "File".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let of = |key: &str| {
            serde_json::json!({
                "type": "object",
                "properties": { key: { "type": "string" } },
                "required": [key],
                "additionalProperties": false
            })
        };
        schemars::json_schema!({
            "description": "a file beside this one, copied as it is; or a `template` beside this one, or a `text`, in which ${name} is filled in",
            "anyOf": [{ "type": "string" }, of("template"), of("text")]
        })
    }
}

/// A service of a stack.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its name.
    pub name: At<String>,
    /// What it is.
    pub runs: Runs,
    /// Environment variables.
    pub env: Vec<(String, At<Template>)>,
    /// Files it is given.
    pub files: Vec<Placed>,
    /// Folders of its own.
    pub volumes: Vec<At<String>>,
    /// Its ports: name, and number in a container.
    pub ports: Vec<(At<String>, u16)>,
    /// Those of them on which it takes datagrams too; nothing stands before these.
    pub datagrams: BTreeSet<String>,
    /// When it can be used.
    pub ready: Ready,
    /// Who must be ready before it starts.
    pub after: Vec<At<String>>,
    /// What runs before it starts.
    pub setup: Vec<At<Command>>,
    /// Who it runs as, where it is a process and firedrill is root.
    pub user: Option<At<String>>,
}

/// What a service is.
#[derive(Debug, Clone)]
pub enum Runs {
    /// A stand-in, by its profile's file.
    StandIn(At<String>),
    /// A program.
    Program(Program),
}

/// A program, by the ways it can be run; one of `image` and `process` is there.
#[derive(Debug, Clone)]
pub struct Program {
    /// The image.
    pub image: Option<At<Template>>,
    /// What begins that command in place of the image's own entry point; a Compose file may say so.
    pub entrypoint: Option<At<Command>>,
    /// What runs in its container in place of the image's own command.
    pub command: Option<At<Command>>,
    /// The program.
    pub process: Option<At<Command>>,
}

/// A file that a service is given.
#[derive(Debug, Clone)]
pub struct Placed {
    /// Its path.
    pub path: At<String>,
    /// What is in it.
    pub content: Content,
}

/// What is in a file.
#[derive(Debug, Clone)]
pub enum Content {
    /// A file beside the stack's, as it is.
    Copy(At<String>),
    /// A file beside the stack's, a template.
    Template(At<String>),
    /// This text.
    Text(At<Template>),
}

impl ServiceWritten {
    /// Checks what was written at `place`; where the file is not `whole`, what is missing may be what was misshapen.
    pub(super) fn check(
        self,
        name: At<String>,
        place: Place,
        whole: bool,
        findings: &mut Findings,
    ) -> Option<Service> {
        let runs = match (self.simulate, self.image, self.process) {
            (Some(profile), None, None) => Runs::StandIn(profile),
            (Some(profile), image, process) => {
                let other = image.map(|at| at.place).or(process.map(|at| at.place)).unwrap_or(place);
                let title = "a service is a stand-in, or a program by `image` and `process`";
                let finding = Finding::new(Code::StackService, other, title);
                findings.add(finding.also(profile.place, "the stand-in is named here"));
                return None;
            }
            (None, None, None) if !whole => return None,
            (None, None, None) => {
                let finding =
                    Finding::new(Code::StackService, name.place, "nothing says what this service is");
                findings.add(
                    finding.help("add `process: program …`, `image: name:tag` or `simulate: profile.yaml`"),
                );
                return None;
            }
            (None, image, process) => {
                Runs::Program(Program { image, entrypoint: None, command: self.command, process })
            }
        };
        let (ports, datagrams) = check_ports(self.ports, &runs, name.place, findings);
        let ready = match self.ready {
            Some(at) => at.value.check(at.place, findings)?,
            None => Ready::default(),
        };
        let service = Service {
            name,
            runs,
            env: self.env.into_iter().map(|(name, value)| (name.value, value)).collect(),
            files: self.files.into_iter().filter_map(|(path, at)| check_file(path, at, findings)).collect(),
            volumes: self.volumes,
            ports,
            datagrams,
            ready,
            after: self.after,
            setup: self.setup,
            user: self.user,
        };
        service.check_ready(findings);
        Some(service)
    }
}

/// The ports; a stand-in has one.
fn check_ports(
    written: Entries<At<PortWritten>>,
    runs: &Runs,
    place: Place,
    findings: &mut Findings,
) -> (Vec<(At<String>, u16)>, BTreeSet<String>) {
    let (mut ports, mut datagrams) = (Vec::new(), BTreeSet::new());
    for (name, number) in written {
        if !crate::scenario::template::is_name(&name) || name.contains('.') {
            let title = format!("`{name}` cannot be a port's name");
            let finding = Finding::new(Code::FileValue, name.place, title);
            findings.add(finding.help("letters, digits, `_` and `-`, a letter first"));
        } else if OWN.contains(&name.value.as_str()) {
            let title = format!("`{name}` cannot be a port's name: a service has a `{name}` already");
            findings.add(Finding::new(Code::FileValue, name.place, title));
        } else {
            datagrams.extend(number.datagrams.then(|| name.value.clone()));
            ports.push((name, number.number));
        }
    }
    match runs {
        Runs::StandIn(_) if ports.is_empty() => ports.push((At::new(HTTP.to_owned(), place), 8080)),
        Runs::StandIn(_) => {
            for (name, _) in &ports[1..] {
                let title = "a stand-in listens on one port";
                findings.add(Finding::new(Code::StackPort, name.place, title));
            }
        }
        Runs::Program(_) => {}
    }
    (ports, datagrams)
}

fn check_file(path: At<String>, at: At<FileWritten>, findings: &mut Findings) -> Option<Placed> {
    let node = at.value.0.0;
    if path.split('/').any(|part| part == "..") || path.trim_matches('/').is_empty() {
        let title = format!("`{path}` is no path of a file that a service could be given");
        findings.add(Finding::new(Code::FileValue, path.place, title));
        return None;
    }
    let content = match &node.kind {
        Kind::Text(name) => Some(Content::Copy(At::new(name.clone(), node.place))),
        Kind::Map(entries) => match entries.as_slice() {
            [(key, value)] => match (key.name.as_str(), value.scalar()) {
                ("template", Some(name)) => Some(Content::Template(At::new(name.to_owned(), value.place))),
                ("text", Some(text)) => match Template::parse(text) {
                    Ok(template) => Some(Content::Text(At::new(template, value.place))),
                    Err(why) => {
                        findings.add(Finding::new(Code::FileValue, value.place, why));
                        return None;
                    }
                },
                _ => None,
            },
            _ => None,
        },
        Kind::Null | Kind::Bool(..) | Kind::Int(..) | Kind::Float(..) | Kind::List(_) => None,
    };
    let Some(content) = content else {
        let title = format!("{} does not say what is in the file", node.describe());
        let finding = Finding::new(Code::FileType, node.place, title);
        findings.add(finding.help("write the name of a file, `{ template: FILE }` or `{ text: … }`"));
        return None;
    };
    Some(Placed { path, content })
}

impl Service {
    /// The names that files may use for what it gives.
    pub(super) fn variables(&self) -> Vec<String> {
        variables(&self.name, self.ports.iter().map(|(name, _)| name.value.as_str()))
    }

    /// The name of the port that is meant where none is named: `http`, or else the first.
    #[must_use]
    pub fn usual_port(&self) -> Option<&str> {
        let mut names = self.ports.iter().map(|(name, _)| name.value.as_str());
        names.clone().find(|name| *name == HTTP).or_else(|| names.next())
    }

    /// Whether it has the port that is named.
    pub(super) fn check_port(&self, port: &At<String>, findings: &mut Findings) {
        let names = || self.ports.iter().map(|(name, _)| name.value.as_str());
        if names().any(|name| name == port.value) {
            return;
        }
        let title = format!("`{}` has no port `{port}`", self.name);
        let finding = Finding::new(Code::StackPort, port.place, title);
        findings.add(match nearest(port, names()) {
            Some(meant) => finding.label(format!("did you mean `{meant}`?")),
            None => finding.help(format!("its ports are declared by `ports: {{ {port}: 8080 }}`")),
        });
    }

    fn check_ready(&self, findings: &mut Findings) {
        if let Some(port) = self.ready.port() {
            self.check_port(port, findings);
        }
        if let (Sign::Http { path, port: None }, true) = (&self.ready.sign, self.ports.is_empty()) {
            let title = format!("`{}` has no port that could be asked for `{path}`", self.name);
            let finding = Finding::new(Code::StackPort, path.place, title);
            findings.add(finding.help("declare it by `ports: { http: 8080 }`"));
        }
    }

    /// Every hole that the service itself does not fill.
    pub(super) fn holes(&self) -> impl Iterator<Item = (&Hole, Place)> {
        let commands: Vec<&At<Command>> = match &self.runs {
            Runs::StandIn(_) => Vec::new(),
            Runs::Program(program) => {
                program.process.iter().chain(&program.entrypoint).chain(&program.command).collect()
            }
        };
        let image = match &self.runs {
            Runs::StandIn(_) => None,
            Runs::Program(program) => program.image.as_ref(),
        };
        let texts = self.files.iter().filter_map(|file| match &file.content {
            Content::Text(text) => Some(text),
            Content::Copy(_) | Content::Template(_) => None,
        });
        let templates = self.env.iter().map(|(_, value)| value).chain(texts).chain(image);
        let of_templates = templates.flat_map(|at| at.holes().map(|hole| (hole, at.place)));
        let commands = commands.into_iter().chain(&self.setup);
        let of_commands = commands.flat_map(|at| at.holes().map(|hole| (hole, at.place)));
        let all = of_templates.chain(of_commands).chain(self.ready.holes());
        all.filter(|(hole, _)| !self.fills(&hole.name))
    }

    /// Whether a name is given to the service by whoever starts it.
    #[must_use]
    pub fn fills(&self, name: &str) -> bool {
        let port = name.strip_prefix("port.");
        matches!(name, "dir" | "host")
            || port.is_some_and(|port| self.ports.iter().any(|(name, _)| name.value == port))
    }
}

/// The names for what a service of this name with these ports gives.
pub(super) fn variables<'a>(name: &str, ports: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let ports = ports.into_iter().flat_map(|port| {
        let whole = format!("service.{name}.{port}");
        [format!("{whole}.host"), format!("{whole}.port"), whole]
    });
    ports.chain(OWN.map(|what| format!("service.{name}.{what}"))).collect()
}
