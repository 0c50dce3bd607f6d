//! What a program must do: how it exits, what it writes.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use super::answer::{any_of, capture_from_message, json};
use super::attempt::{Breach, Seen, beginning};
use super::connect::Deadline;
use super::exchange::Excerpt;
use super::process::{self, Exchange, Output, Request};
use crate::event::Line;
use crate::sample::Reason;
use crate::scenario::capture::Capture;
use crate::scenario::exec::{Exec, Program};
use crate::scenario::expect::Expect;
use crate::scenario::predicate::Predicate;
use crate::scenario::subject::Subject;
use crate::scenario::template::{Scope, Unset};
use crate::source::{At, Place};
use crate::units::Size;

/// How many lines of an error output are kept as evidence.
const LINES_KEPT: usize = 16;

/// Runs a program and judges it.
pub(super) async fn attempt(
    wanted: &Exec,
    expect: &Expect,
    captures: &[Capture],
    scope: &Scope,
    deadline: &Deadline,
) -> Result<Seen, Unset> {
    let request = fill(wanted, scope)?;
    let began = tokio::time::Instant::now();
    let exchange = process::run(&request, deadline).await;
    let mut seen = Seen::default();
    note(&exchange, began.elapsed(), &mut seen);
    match &exchange.result {
        Err(cause) => {
            seen.breaches.push(complaint(Breach::lost(cause.clone(), wanted.place), &exchange.stderr));
        }
        Ok(status) => {
            seen.breaches.extend(
                exit(*status, expect, wanted.place, scope).map(|breach| complaint(breach, &exchange.stderr)),
            );
            judge(&exchange, expect, captures, (wanted.limit, scope), &mut seen);
        }
    }
    Ok(seen)
}

/// Fills every hole of a program.
pub(super) fn fill(wanted: &Exec, scope: &Scope) -> Result<Request, Unset> {
    let mut words = match &wanted.program {
        Program::Command(words) => {
            words.iter().map(|word| word.fill(scope)).collect::<Result<Vec<_>, _>>()?.into_iter()
        }
        Program::Shell(line) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.fill(scope)?].into_iter(),
    };
    let dir = wanted.dir.as_ref().map(|dir| dir.fill(scope)).transpose()?;
    let folder = wanted.beside.join(dir.unwrap_or_default());
    let env = wanted.env.iter().map(|(name, value)| Ok((name.clone(), value.fill(scope)?)));
    Ok(Request {
        program: program(words.next().unwrap_or_default(), &folder),
        arguments: words.collect(),
        env: env.collect::<Result<_, _>>()?,
        user: None,
        stdin: wanted.stdin.as_ref().map(|text| text.fill(scope)).transpose()?,
        folder,
        limit: wanted.limit,
    })
}

/// A program that is named by a path stands in the folder it runs in, whatever folder we are in ourselves.
fn program(named: String, folder: &Path) -> String {
    if !named.contains('/') {
        return named;
    }
    let path = std::path::absolute(folder.join(&named));
    path.map_or(named, |path| path.to_string_lossy().into_owned())
}

/// Notes what was seen.
fn note(exchange: &Exchange, took: Duration, seen: &mut Seen) {
    let Exchange { result, stdout, stderr, left_behind } = exchange;
    let what = match result {
        Ok(status) => told(*status),
        Err(cause) if cause.reason == Reason::Connect || cause.reason == Reason::Policy => return,
        Err(_) => "ended by us".to_owned(),
    };
    let mut lines = vec![Line { what, took: took.into(), heard: Vec::new() }];
    if *left_behind {
        let what = "a process it left behind kept an output open, and was ended".to_owned();
        lines.push(Line { what, took: Duration::ZERO.into(), heard: Vec::new() });
    }
    if stderr.total > 0 {
        let text = stderr.text();
        let heard = text.lines().take(LINES_KEPT).map(|line| Excerpt::of(line.as_bytes()).text).collect();
        let what = format!("standard error, {} bytes", stderr.total);
        lines.push(Line { what, took: took.into(), heard });
    }
    seen.evidence.exchange = lines;
    seen.evidence.body_size = Some(stdout.total);
    seen.evidence.body = (stdout.total > 0).then(|| beginning(&stdout.kept));
}

/// What the exit was, where it should have been another. A program that a signal ended has none.
fn exit(status: ExitStatus, expect: &Expect, place: Place, scope: &Scope) -> Option<Breach> {
    match (status.code(), &expect.exit) {
        (Some(0), None) => None,
        (Some(code), Some(wanted)) => {
            any_of(wanted, &[Subject::Number(f64::from(code))], scope, Reason::Status, "the exit code")
        }
        (_, wanted) => {
            let told = told(status);
            let place = wanted.as_ref().map_or(place, |wanted| wanted.place);
            Some(Breach::new(Reason::Status, place, format!("the program {told}"), told))
        }
    }
}

/// `exited with 3`.
pub(super) fn told(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Everything the program wrote that is not as expected, and what is kept of it.
fn judge(
    exchange: &Exchange,
    expect: &Expect,
    captures: &[Capture],
    (limit, scope): (Size, &Scope),
    seen: &mut Seen,
) {
    let Exchange { stdout, stderr, .. } = exchange;
    let from_stdout = expect.stdout.as_ref().map(|at| at.place);
    let looked_at = from_stdout.or(expect.json.first().map(|(_, at)| at.place));
    let looked_at = looked_at.or(captures.first().map(|capture| capture.place));
    let too_long = |output: &Output, name: &str, place: Option<Place>| {
        let place = place.filter(|_| output.is_cut())?;
        let title = format!("the program wrote {} bytes to {name}; {limit} are kept", output.total);
        let breach = Breach::new(Reason::Limit, place, title, "only its beginning could be looked at");
        Some(breach.help("a higher `limit` keeps more"))
    };
    let wrote = |wanted: &Option<At<Predicate>>, output: &Output, name: &str| {
        let text = output.text();
        any_of(wanted.as_ref()?, &[Subject::Text(&text)], scope, Reason::Body, name)
    };
    let long = too_long(stdout, "standard output", looked_at);
    let long_error = too_long(stderr, "standard error", expect.stderr.as_ref().map(|at| at.place));
    let whole = long.is_none();
    seen.breaches.extend(long.into_iter().chain(long_error));
    seen.breaches.extend(wrote(&expect.stdout, stdout, "the output"));
    seen.breaches.extend(wrote(&expect.stderr, stderr, "the error output"));
    if whole {
        seen.breaches.extend(json(&expect.json, &stdout.kept, scope));
        capture_from_message(captures, stdout.text().as_bytes(), seen);
    }
}

/// The breach with the last that the program complained of.
fn complaint(breach: Breach, stderr: &Output) -> Breach {
    let text = stderr.text();
    match text.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) if breach.help.is_none() => {
            breach.help(format!("it wrote to standard error: {}", Excerpt::of(line.as_bytes()).text))
        }
        Some(_) | None => breach,
    }
}
