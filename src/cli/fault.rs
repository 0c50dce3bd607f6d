//! `firedrill fault`: break a stack that somebody holds, by hand, and mend it again.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::exit::Exit;
use crate::run::control::{Answer, Request, SOCKET, ask};
use crate::scenario::fault::{PLAIN, main_key};
use crate::stack::processes::folder::all_runs;

/// Arguments of `fault`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    does: Does,

    /// The stack, by the name that `up` has told; needed where several are held
    #[arg(long, value_name = "ID", global = true, help_heading = "Input")]
    stack: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Does {
    /// Put a fault in
    Add {
        /// The service that it befalls
        service: String,
        /// What is done: `kill`, `latency=800ms`, `status=503`; any kind and key of a fault step
        #[arg(value_name = "KIND[=VALUE]")]
        kind: String,
        /// More of it: `share=20%`, `direction=up`, `path=/items`
        #[arg(value_name = "KEY=VALUE")]
        more: Vec<String>,
    },
    /// Say which faults are in, and what they did so far
    List,
    /// Lift the faults on a service
    Remove {
        /// The service
        service: String,
        /// Only those of this kind
        kind: Option<String>,
    },
}

pub(super) fn execute(arguments: &Arguments) -> io::Result<Exit> {
    let request = match request(&arguments.does) {
        Ok(request) => request,
        Err(why) => return refuse(&why, Exit::Usage),
    };
    let folder = match folder(arguments.stack.as_deref()) {
        Ok(folder) => folder,
        Err(why) => return refuse(&why, Exit::Usage),
    };
    match ask(&folder, &request) {
        Ok(Answer::Done(lines)) if lines.is_empty() => {
            writeln!(io::stdout(), "no fault is in")?;
            Ok(Exit::Pass)
        }
        Ok(Answer::Done(lines)) => {
            let mut out = io::stdout().lock();
            lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
            Ok(Exit::Pass)
        }
        Ok(Answer::Invalid(drawn)) if drawn.starts_with("error") => {
            let mut err = io::stderr().lock();
            writeln!(err, "{drawn}")?;
            if let Some(help) = help(&arguments.does, &drawn) {
                writeln!(err, "help: {help}")?;
            }
            Ok(Exit::Usage)
        }
        Ok(Answer::Invalid(why)) => refuse(&why, Exit::Usage),
        Ok(Answer::Failed(why)) => refuse(&why, Exit::NotMeasured),
        Err(error) => {
            refuse(&format!("the stack `{}` does not answer: {error}", name(&folder)), Exit::NotMeasured)
        }
    }
}

fn refuse(why: &str, exit: Exit) -> io::Result<Exit> {
    writeln!(io::stderr(), "error: {why}")?;
    Ok(exit)
}

fn request(does: &Does) -> Result<Request, String> {
    Ok(match does {
        Does::Add { service, kind, more } => Request::Add(written(service, kind, more)?),
        Does::List => Request::List,
        Does::Remove { service, kind } => Request::Remove { service: service.clone(), kind: kind.clone() },
    })
}

/// How a value that is missing is written here, where a key's name is not what one types.
fn help(does: &Does, drawn: &str) -> Option<String> {
    let Does::Add { service, kind, .. } = does else { return None };
    let missing = main_key(kind).is_some_and(|key| drawn.contains(&format!("`{key}` is missing")));
    missing.then(|| format!("`firedrill fault add {service} {kind}=…` says it"))
}

/// Kinds that name no service, but what to run or to ask.
const UNBOUND: [&str; 2] = ["exec", "http"];

/// The fault as a step would have it, a key a line.
fn written(service: &str, kind: &str, more: &[String]) -> Result<String, String> {
    let (kind, value) = kind.split_once('=').map_or((kind, None), |(kind, value)| (kind, Some(value)));
    if value.is_some() && PLAIN.contains(&kind) {
        return Err(format!("`{kind}` takes no value: write `{kind}` alone"));
    }
    if UNBOUND.contains(&kind) {
        return Err(format!(
            "`{kind}` befalls no service: it belongs in a scenario; by hand, do what it would do yourself"
        ));
    }
    // A kind that there is not is found by who reads the fault.
    let main = value.and_then(|value| Some((main_key(kind)?, value)));
    let more = more
        .iter()
        .map(|word| word.split_once('=').ok_or_else(|| format!("`{word}` says nothing: write `{word}=…`")));
    let keys = main.into_iter().map(Ok).chain(more);
    let mut text = format!("{kind}:\n  service: {service}\n");
    for pair in keys {
        let (key, value) = pair?;
        // Writing to a text does not fail.
        let _ = writeln!(text, "  {key}: {value}");
    }
    Ok(text)
}

/// The folder of the stack that is meant.
fn folder(id: Option<&str>) -> Result<PathBuf, String> {
    let entries = std::fs::read_dir(all_runs()).into_iter().flatten().filter_map(Result::ok);
    let mut held: Vec<_> =
        entries.map(|entry| entry.path()).filter(|path| path.join(SOCKET).exists()).collect();
    held.sort();
    let known = || held.iter().map(|path| format!("`{}`", name(path))).collect::<Vec<_>>().join(", ");
    match id {
        _ if held.is_empty() => {
            Err("no stack is held: `firedrill up STACK` holds one, in another terminal".to_owned())
        }
        None if held.len() > 1 => Err(format!("several stacks are held, say which: `--stack` {}", known())),
        None => Ok(held.remove(0)),
        Some(id) => match held.iter().find(|path| name(path) == id) {
            Some(path) => Ok(path.clone()),
            None => Err(format!("no stack `{id}` is held; there is {}", known())),
        },
    }
}

fn name(folder: &std::path::Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::a_kind_alone("kill", &[], Ok("kill:\n  service: web\n"))]
    #[case::its_main_value("latency=800ms", &[], Ok("latency:\n  service: web\n  add: 800ms\n"))]
    #[case::more("status=503", &["share=20%", "path=/items/{id}"], Ok("status:\n  service: web\n  status: 503\n  share: 20%\n  path: /items/{id}\n"))]
    #[case::without_its_main_value("metrics", &["family=up", "drop=true"], Ok("metrics:\n  service: web\n  family: up\n  drop: true\n"))]
    #[case::a_value_for_nothing("kill=9", &[], Err("`kill` takes no value: write `kill` alone"))]
    #[case::no_service("exec", &[], Err("`exec` befalls no service: it belongs in a scenario; by hand, do what it would do yourself"))]
    #[case::no_value("reset", &["share"], Err("`share` says nothing: write `share=…`"))]
    fn words_are_a_fault_as_a_step_has_it(
        #[case] kind: &str,
        #[case] more: &[&str],
        #[case] expected: Result<&str, &str>,
    ) {
        let more: Vec<_> = more.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(written("web", kind, &more).as_deref().map_err(String::as_str), expected);
    }
}
