//! What to launch: one service with every name in it resolved, the same for each runtime.

use std::time::Duration;

use super::Error;
use crate::plan::PlannedStack;
use crate::scenario::profile::Profile;
use crate::scenario::stack::{Command, Content, Program, Runs, Service, Sign};
use crate::scenario::template::{Scope, Template, Unset};

/// A service, ready to be started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Its name.
    pub name: String,
    /// What it is.
    pub way: Way,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Files it is given.
    pub files: Vec<File>,
    /// Folders of its own, empty at first.
    pub volumes: Vec<String>,
    /// Its ports: name, and number in a container.
    pub ports: Vec<(String, u16)>,
    /// Those of them on which it takes datagrams too.
    pub datagrams: std::collections::BTreeSet<String>,
    /// What shows that it is ready.
    pub sign: Shows,
    /// How long that may take.
    pub within: Duration,
    /// Who must be ready before it starts.
    pub after: Vec<String>,
    /// What runs before it starts.
    pub setup: Vec<Vec<String>>,
    /// Who it runs as, where it is a process and firedrill is root.
    pub user: Option<String>,
}

/// What a service is.
#[derive(Debug, Clone)]
pub enum Way {
    /// A stand-in.
    StandIn(Box<Profile>),
    /// A program.
    Program {
        /// The image.
        image: Option<String>,
        /// What begins that command in place of the image's own entry point.
        entrypoint: Option<Vec<String>>,
        /// What runs in its container in place of the image's own command.
        command: Option<Vec<String>>,
        /// The program and its arguments.
        process: Option<Vec<String>>,
    },
}

/// A file for a service.
#[derive(Debug, Clone)]
pub struct File {
    /// Its path.
    pub path: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// What shows that a service is ready, resolved.
#[derive(Debug, Clone)]
pub enum Shows {
    /// Each port accepts connections.
    Ports,
    /// A path on the port of that name answers with a status below 400.
    Http {
        /// The port's name.
        port: String,
        /// The path.
        path: String,
    },
    /// The port of that name accepts connections.
    Tcp(String),
    /// A line of its output matches.
    Log(regex::Regex),
    /// A program exits with 0.
    Exec(Vec<String>),
    /// The image's own check says so; a process shows it by its ports.
    Healthcheck,
}

impl Launch {
    /// Fills in what `scope` says to a service of the stack.
    ///
    /// # Errors
    /// When a name has no value.
    pub fn of(service: &Service, planned: &PlannedStack, scope: &Scope) -> Result<Self, Error> {
        let filling = Filling { service, planned, scope };
        filling.launch().map_err(|unset| Error::Unset { service: service.name.value.clone(), unset })
    }
}

struct Filling<'a> {
    service: &'a Service,
    planned: &'a PlannedStack,
    scope: &'a Scope,
}

impl Filling<'_> {
    fn launch(&self) -> Result<Launch, Unset> {
        let Self { service, scope, .. } = self;
        let env = service.env.iter().map(|(name, value)| Ok((name.clone(), value.fill(scope)?)));
        Ok(Launch {
            name: service.name.value.clone(),
            way: self.way()?,
            env: env.collect::<Result<_, _>>()?,
            files: self.files()?,
            volumes: service.volumes.iter().map(|path| path.value.clone()).collect(),
            ports: service.ports.iter().map(|(name, number)| (name.value.clone(), *number)).collect(),
            datagrams: service.datagrams.clone(),
            sign: self.sign()?,
            within: service.ready.within,
            after: service.after.iter().map(|name| name.value.clone()).collect(),
            setup: service.setup.iter().map(|command| command.fill(scope)).collect::<Result<_, _>>()?,
            user: service.user.as_ref().map(|user| user.value.clone()),
        })
    }

    fn way(&self) -> Result<Way, Unset> {
        let words = |command: &crate::source::At<Command>| command.fill(self.scope);
        Ok(match &self.service.runs {
            Runs::StandIn(_) => match self.planned.profiles.get(&self.service.name.value) {
                Some(profile) => Way::StandIn(Box::new(self.introduced(profile)?)),
                // A plan with a profile missing is none; nothing is started by it.
                None => return Err(Unset::Name(format!("service.{}", self.service.name))),
            },
            Runs::Program(Program { image, entrypoint, command, process }) => Way::Program {
                image: image.as_ref().map(|image| image.fill(self.scope)).transpose()?,
                entrypoint: entrypoint.as_ref().map(words).transpose()?,
                command: command.as_ref().map(words).transpose()?,
                process: process.as_ref().map(words).transpose()?,
            },
        })
    }

    /// The profile, told where those are whom it asks.
    fn introduced(&self, profile: &Profile) -> Result<Profile, Unset> {
        let mut profile = profile.clone();
        for call in profile.calls_mut() {
            let service = self.planned.stack.service(&call.service);
            let Some(port) = service.and_then(Service::usual_port) else { continue };
            let address = Template::name(format!("service.{}.{port}", call.service));
            call.address = Some(address.fill(self.scope)?);
        }
        Ok(profile)
    }

    fn files(&self) -> Result<Vec<File>, Unset> {
        let fill = |template: &Template| template.fill(self.scope).map(String::into_bytes);
        let files = self.service.files.iter().map(|placed| {
            let bytes = match &placed.content {
                Content::Copy(name) => self.planned.copies.get(&name.value).cloned().unwrap_or_default(),
                Content::Template(name) => match self.planned.templates.get(&name.value) {
                    Some(template) => fill(template)?,
                    None => Vec::new(),
                },
                Content::Text(text) => fill(text)?,
            };
            Ok(File { path: placed.path.value.clone(), bytes })
        });
        files.collect()
    }

    fn sign(&self) -> Result<Shows, Unset> {
        Ok(match &self.service.ready.sign {
            Sign::Ports => Shows::Ports,
            Sign::Http { path, port } => {
                let named = port.as_ref().map(|port| port.value.as_str());
                match named.or_else(|| self.service.usual_port()) {
                    Some(port) => Shows::Http { port: port.to_owned(), path: path.value.clone() },
                    None => Shows::Ports,
                }
            }
            Sign::Tcp(port) => Shows::Tcp(port.value.clone()),
            Sign::Log(pattern) => Shows::Log(pattern.clone()),
            Sign::Exec(command) => Shows::Exec(command.fill(self.scope)?),
            Sign::Healthcheck => Shows::Healthcheck,
        })
    }
}
