//! A program to run, as written and as checked.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::expect::Answer;
use super::probe::{Holes, Kind};
use super::template::Template;
use crate::finding::{Code, Finding, Findings};
use crate::source::{At, Place};
use crate::units::Size;
use crate::yaml::Entries;

/// What is kept of each output unless the file says otherwise.
pub const OUTPUT_LIMIT: Size = Size(64 << 10);

/// A program, run here. It passes when it exits with 0, unless something else is expected.
///
/// It runs in a process group of its own, which ends with it: at the step's deadline every process of the group
/// is asked to end (SIGTERM) and half a second later made to (SIGKILL).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecWritten {
    /// The program and its arguments, each as it is; no shell reads them.
    command: Option<At<Vec<At<Template>>>>,
    /// A line for `/bin/sh -c`. Write `$NAME` for the shell's own variables: `${name}` is filled in before.
    shell: Option<At<Template>>,
    /// Environment variables, besides those that firedrill has itself.
    #[serde(default)]
    env: Entries<At<Template>>,
    /// The folder it runs in, beside this file; this file's own unless said.
    dir: Option<At<Template>>,
    /// What it is given to read; nothing unless said.
    stdin: Option<At<Template>>,
    /// The most that is kept of each output, the rest being passed over; 64KiB unless said.
    limit: Option<Size>,
}

/// A program, checked.
#[derive(Debug, Clone)]
pub struct Exec {
    /// What runs.
    pub program: Program,
    /// Where that was written.
    pub place: Place,
    /// Environment variables to add.
    pub env: Vec<(String, At<Template>)>,
    /// The folder of the file that says so.
    pub beside: PathBuf,
    /// The folder it runs in, from there.
    pub dir: Option<At<Template>>,
    /// What it is given to read.
    pub stdin: Option<At<Template>>,
    /// The most that is kept of each output.
    pub limit: Size,
}

/// What runs.
#[derive(Debug, Clone)]
pub enum Program {
    /// A program and its arguments; never empty.
    Command(Vec<At<Template>>),
    /// A line for the shell.
    Shell(At<Template>),
}

impl ExecWritten {
    /// Checks what was written at `place`.
    pub fn check(self, place: Place, findings: &mut Findings) -> Option<Exec> {
        let (program, place) = match (self.command, self.shell) {
            (Some(command), None) => {
                if command.value.is_empty() {
                    let finding =
                        Finding::new(Code::ScenarioStep, command.place, "a command names a program");
                    findings.add(finding.help("write `command: [program, argument]`"));
                    return None;
                }
                (Program::Command(command.value), command.place)
            }
            (None, Some(line)) => {
                let place = line.place;
                (Program::Shell(line), place)
            }
            (Some(command), Some(line)) => {
                let title = "`command` and `shell` exclude each other";
                let finding = Finding::new(Code::ScenarioStep, line.place, title);
                findings.add(finding.also(command.place, "the command is given here"));
                return None;
            }
            (None, None) => {
                let finding = Finding::new(Code::ScenarioStep, place, "there is nothing to run");
                findings
                    .add(finding.help("write `command: [program, argument]` or `shell: program | other`"));
                return None;
            }
        };
        for (name, _) in &self.env.0 {
            if name.value.is_empty() || name.value.contains(['=', '\0']) {
                let title = format!("`{}` cannot be an environment variable's name", name.value);
                findings.add(Finding::new(Code::FileValue, name.place, title));
            }
        }
        Some(Exec {
            program,
            place,
            env: self.env.into_iter().map(|(name, value)| (name.value, value)).collect(),
            beside: PathBuf::new(),
            dir: self.dir,
            stdin: self.stdin,
            limit: self.limit.unwrap_or(OUTPUT_LIMIT),
        })
    }
}

impl Exec {
    /// Every template, with its place.
    pub(super) fn templates(&self) -> impl Iterator<Item = &At<Template>> {
        let program: &[At<Template>] = match &self.program {
            Program::Command(words) => words,
            Program::Shell(line) => std::slice::from_ref(line),
        };
        program.iter().chain(self.env.iter().map(|(_, value)| value)).chain(&self.dir).chain(&self.stdin)
    }
}

impl Kind for Exec {
    fn kind(&self) -> &'static str {
        "exec"
    }

    fn subject(&self) -> String {
        match &self.program {
            Program::Command(words) => {
                let words: Vec<_> = words.iter().map(ToString::to_string).collect();
                format!("exec {}", words.join(" "))
            }
            Program::Shell(line) => format!("exec {line}"),
        }
    }

    fn answer(&self) -> Answer {
        Answer::Exec
    }

    fn holes(&self) -> Holes<'_> {
        Box::new(self.templates().flat_map(|at| at.holes().map(|hole| (hole, at.place))))
    }
}
