//! The supervisor: a process of ours that starts a service's program, passes signals on, says how it ended, and
//! ends it with all that descends from it once nobody holds the other end of its standard input any more. So even
//! `kill -9` of a run leaves no service behind.
//!
//! Said to it, a line each: `end`, `kill`, `pause`, `resume`. Said by it: `started PID`, `failed WHY`, and last
//! `ended HOW`. What the program writes goes to where the supervisor's standard error leads.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, BufRead as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, kill_process, kill_process_group, waitid,
};

/// How long a service has to end by itself when it is asked to.
pub const GRACE: Duration = Duration::from_secs(2);

/// How often we look whether it has.
const LOOK: Duration = Duration::from_millis(10);

/// How often what is left is killed; each time it may just have forked.
const ROUNDS: u32 = 100;

/// A program to stand over.
#[derive(Debug, Clone)]
pub struct Order {
    /// The program and its arguments.
    pub words: Vec<OsString>,
    /// The user and group that it runs as.
    pub user: Option<(u32, u32)>,
}

/// Starts the program and returns when it has ended, with all that descends from it.
///
/// # Errors
/// When nobody can be told.
pub fn supervise(order: &Order) -> io::Result<()> {
    adopt_orphans();
    let child = match spawn(order) {
        Ok(child) => child,
        Err(error) => {
            let absent = error.kind() == io::ErrorKind::NotFound;
            let why = if absent { "there is no such program".to_owned() } else { error.to_string() };
            return say(&format!("failed {why}"));
        }
    };
    // Told even when nobody listens any more: then standard input is at its end as well.
    let _ = say(&format!("started {child}", child = child.as_raw_nonzero()));
    let alive = Arc::new(Mutex::new(Some(child)));
    let obeying = Arc::clone(&alive);
    std::thread::spawn(move || obey(&obeying));
    let how = wait(child, &alive);
    end_descendants();
    say(&format!("ended {how}"))
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Orphans below us come to us, and not to the machine's first process: so none gets lost.
#[cfg(target_os = "linux")]
fn adopt_orphans() {
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

#[cfg(not(target_os = "linux"))]
fn adopt_orphans() {}

fn spawn(order: &Order) -> io::Result<Pid> {
    let Some((program, arguments)) = order.words.split_first() else {
        return Err(io::Error::other("no program is named"));
    };
    let log = || io::stderr().as_fd().try_clone_to_owned().map(Stdio::from);
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(log()?).stderr(log()?).process_group(0);
    if let Some((uid, gid)) = order.user {
        command.uid(uid).gid(gid);
    }
    let child = command.spawn()?;
    Pid::from_raw(child.id().cast_signed()).ok_or_else(|| io::Error::other("it has no number"))
}

/// Buries whatever ends, until that is the program itself; says how it ended.
fn wait(child: Pid, alive: &Mutex<Option<Pid>>) -> String {
    loop {
        // Leaves the dead to be buried, so that its number is not given to another before we know.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        if rustix::io::retry_on_intr(|| waitid(WaitId::All, options)).is_err() {
            return "ended in a way that is not known".to_owned();
        }
        let mut alive = alive.lock().unwrap_or_else(PoisonError::into_inner);
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == child => {
                *alive = None;
                return how(status);
            }
            Ok(_) | Err(_) => {}
        }
    }
}

fn how(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Does what it is told, until nobody is left to tell it anything.
fn obey(alive: &Mutex<Option<Pid>>) {
    let mut lines = io::stdin().lock().lines();
    loop {
        match lines.next() {
            Some(Ok(line)) => match line.as_str() {
                "kill" => strike(alive, Signal::KILL),
                "pause" => strike(alive, Signal::STOP),
                "resume" => strike(alive, Signal::CONT),
                _ => end(alive),
            },
            Some(Err(_)) | None => return end(alive),
        }
    }
}

/// Signals the program's group and all that descends from us.
fn strike(alive: &Mutex<Option<Pid>>, signal: Signal) {
    let alive = alive.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(child) = *alive else { return };
    let _ = kill_process_group(child, signal);
    for pid in descendants(own()).into_iter().filter_map(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Asks the program to end, and kills what has not within the grace.
fn end(alive: &Mutex<Option<Pid>>) {
    let living = || *alive.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(child) = living() {
        let _ = kill_process(child, Signal::TERM);
        // What is paused hears nothing.
        strike(alive, Signal::CONT);
    }
    let deadline = Instant::now() + GRACE;
    while living().is_some() && Instant::now() < deadline {
        std::thread::sleep(LOOK);
    }
    strike(alive, Signal::KILL);
}

fn own() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

/// Kills and buries what the program has left.
fn end_descendants() {
    for _ in 0..ROUNDS {
        let left = descendants(own());
        for pid in left.iter().copied().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
        while let Ok(Some(_)) = waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {}
        if left.is_empty() {
            return;
        }
        std::thread::sleep(LOOK);
    }
}

/// The processes that descend from one, by number. None on systems without `/proc`.
#[must_use]
pub fn descendants(of: i32) -> Vec<i32> {
    let parents: Vec<(i32, i32)> = everyone().filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut known = BTreeSet::from([of]);
    let mut found = Vec::new();
    loop {
        let more: Vec<_> =
            parents.iter().filter(|(pid, parent)| known.contains(parent) && !known.contains(pid)).collect();
        if more.is_empty() {
            return found;
        }
        for (pid, _) in more {
            known.insert(*pid);
            found.push(*pid);
        }
    }
}

/// The processes whose environment holds this `NAME=value`, by number.
#[must_use]
pub fn marked(mark: &str) -> Vec<i32> {
    let holds = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
    };
    everyone().filter(holds).filter(|pid| *pid != own()).collect()
}

fn everyone() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn parent(pid: i32) -> Option<i32> {
    let stat = stat(pid)?;
    // What is dead and not buried is nobody's to end.
    if stat.first().is_some_and(|state| state == "Z") {
        return None;
    }
    stat.get(1)?.parse().ok()
}

/// What the system says of a process, from its state on.
pub(super) fn stat(pid: i32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything.
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}
