//! When a service is ready: what shows it, and how long that may take.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Command;
use crate::finding::{Code, Finding, Findings};
use crate::scenario::template::Hole;
use crate::source::{At, Place};
use crate::units::Span;

/// How long a service may take unless the file says otherwise.
const USUAL: Duration = Duration::from_secs(60);

/// What shows that a service can be used. Unless anything is said, each of its ports accepts connections.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadyWritten {
    /// A path that answers with a status below 400.
    http: Option<At<String>>,
    /// The port that is asked for the path; the one named `http`, or the first.
    port: Option<At<String>>,
    /// A port that accepts connections.
    tcp: Option<At<String>>,
    /// A pattern that a line of its output matches.
    log: Option<At<String>>,
    /// A program that exits with 0; in a container it runs within.
    exec: Option<At<Command>>,
    /// The health check that its image has; a process has none, and shows it by its ports.
    healthcheck: Option<At<bool>>,
    /// How long it may take; 60s unless said.
    within: Option<At<Span>>,
}

/// When a service is ready.
#[derive(Debug, Clone)]
pub struct Ready {
    /// What shows it.
    pub sign: Sign,
    /// How long it may take.
    pub within: Duration,
}

impl Default for Ready {
    fn default() -> Self {
        Self { sign: Sign::Ports, within: USUAL }
    }
}

/// What shows that a service is ready.
#[derive(Debug, Clone)]
pub enum Sign {
    /// Every port accepts connections; a service without ports is ready when it runs.
    Ports,
    /// A path answers with a status below 400.
    Http {
        /// The path.
        path: At<String>,
        /// The port that is asked; where none is named, the one called `http`, or the first.
        port: Option<At<String>>,
    },
    /// A port accepts connections.
    Tcp(At<String>),
    /// A line of the output matches.
    Log(regex::Regex),
    /// A program exits with 0.
    Exec(At<Command>),
    /// The image's own check says so.
    Healthcheck,
}

impl ReadyWritten {
    pub(super) fn check(self, place: Place, findings: &mut Findings) -> Option<Ready> {
        let mut signs = Vec::new();
        signs.extend(self.http.map(|path| (path.place, Sign::Http { path, port: self.port.clone() })));
        signs.extend(self.tcp.map(|port| (port.place, Sign::Tcp(port))));
        if let Some(pattern) = self.log {
            match regex::Regex::new(&pattern) {
                Ok(read) => signs.push((pattern.place, Sign::Log(read))),
                Err(why) => {
                    let title = format!("`{pattern}` is no pattern: {}", last_line(&why.to_string()));
                    findings.add(Finding::new(Code::FileValue, pattern.place, title));
                    return None;
                }
            }
        }
        signs.extend(self.exec.map(|command| (command.place, Sign::Exec(command))));
        signs.extend(self.healthcheck.filter(|at| at.value).map(|at| (at.place, Sign::Healthcheck)));
        let within = self.within.map_or(USUAL, |span| span.0);
        let mut signs = signs.into_iter();
        let (first, sign) = signs.next().unwrap_or((place, Sign::Ports));
        if let Some((second, _)) = signs.next() {
            let finding = Finding::new(Code::StackReady, second, "one thing shows that a service is ready");
            findings.add(finding.also(first, "the first is here"));
            return None;
        }
        if let (Some(port), false) = (&self.port, matches!(sign, Sign::Http { .. })) {
            let finding = Finding::new(Code::StackReady, port.place, "`port` says where `http` asks");
            findings.add(finding.help("write `http: /path` beside it, or `tcp:` in its place"));
            return None;
        }
        Some(Ready { sign, within })
    }
}

impl Ready {
    /// The port that it names, if any.
    pub(super) fn port(&self) -> Option<&At<String>> {
        match &self.sign {
            Sign::Tcp(port) => Some(port),
            Sign::Http { port, .. } => port.as_ref(),
            Sign::Ports | Sign::Log(_) | Sign::Exec(_) | Sign::Healthcheck => None,
        }
    }

    /// Every hole, with its place.
    pub(super) fn holes(&self) -> impl Iterator<Item = (&Hole, Place)> {
        let command = match &self.sign {
            Sign::Exec(command) => Some(command),
            Sign::Ports | Sign::Http { .. } | Sign::Tcp(_) | Sign::Log(_) | Sign::Healthcheck => None,
        };
        command.into_iter().flat_map(|at| at.holes().map(|hole| (hole, at.place)))
    }
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default().trim_start_matches("error: ")
}
