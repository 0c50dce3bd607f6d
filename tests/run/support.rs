//! Runs the real binary in a folder of its own, and reads back all that it left.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use firedrill::event::{Conclusion, Event, Failure, Outcome, Tally};
use firedrill::gate::Judgement;
use firedrill::report::json;
use firedrill::sample::Reason;

/// What anything may take that has no limit of its own, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A folder that is gone when this is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("run-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> &Self {
        fs::write(self.path(name), text).unwrap();
        self
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A command about to be run in a folder with its files.
pub(crate) struct Drill {
    pub(crate) folder: Folder,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
    bound: Duration,
    memory: Option<u64>,
}

impl Drill {
    /// `firedrill` with these arguments.
    pub(crate) fn of<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> Self {
        Self {
            folder: Folder::new(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            environment: Vec::new(),
            bound: PATIENCE,
            memory: None,
        }
    }

    /// `firedrill run scenario.yaml` with that text in it, and every report that there is.
    pub(crate) fn run(scenario: impl AsRef<[u8]>) -> Self {
        let drill =
            Self::of(["run", "scenario.yaml", "--report", "json=run.jsonl", "--report", "junit=run.xml"]);
        drill.file("scenario.yaml", scenario)
    }

    pub(crate) fn file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        self.folder.write(name, text);
        self
    }

    pub(crate) fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub(crate) fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The time after which it is held to hang.
    pub(crate) fn within(mut self, bound: Duration) -> Self {
        self.bound = bound;
        self
    }

    /// The address space it may have, in bytes; it dies of wanting more.
    pub(crate) fn with_memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    pub(crate) fn command(&self) -> Command {
        let program = env!("CARGO_BIN_EXE_firedrill");
        let mut command = match self.memory {
            None => Command::new(program),
            Some(bytes) => {
                let mut shell = Command::new("sh");
                let limited = format!("ulimit -v {}; exec \"$0\" \"$@\"", bytes >> 10);
                shell.args(["-c", &limited, program]);
                shell
            }
        };
        command.args(&self.arguments).current_dir(&self.folder.0);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env_remove("NO_COLOR").env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub(crate) fn go(self) -> Ended {
        self.start().end()
    }

    /// Starts it.
    pub(crate) fn start(self) -> Started {
        let mut command = self.command();
        let began = Instant::now();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = all_of(child.stdout.take().unwrap());
        let stderr = all_of(child.stderr.take().unwrap());
        Started { child: Running(child), stdout, stderr, began, drill: self }
    }
}

/// A child process that does not outlive its test.
struct Running(Child);

impl Running {
    fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.0.id().to_string()).status();
        assert!(sent.unwrap().success(), "SIG{name} cannot be sent");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn all_of(mut from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).ok();
        sender.send(bytes).ok();
    });
    receiver
}

/// A command under way.
pub(crate) struct Started {
    child: Running,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
    began: Instant,
    drill: Drill,
}

impl Started {
    pub(crate) fn id(&self) -> u32 {
        self.child.0.id()
    }

    /// Sends it a signal: `INT`, `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        self.child.signal(name);
    }

    /// Waits for its end, within the bound, and then reads what it left in its folder.
    pub(crate) fn end_with<T>(mut self, read: impl FnOnce() -> T) -> T {
        self.wait();
        read()
    }

    /// Waits for its end, within the bound.
    pub(crate) fn end(mut self) -> Ended {
        let (status, stdout, stderr) = self.wait();
        let took = self.began.elapsed();
        let read = |name| fs::read(self.drill.folder.path(name)).unwrap_or_default();
        let (json, junit) = (read("run.jsonl"), read("run.xml"));
        let events = json::read(json.as_slice()).map(|line| line.unwrap().event).collect();
        Ended { status, stdout, stderr, json, junit, events, took }
    }

    fn wait(&mut self) -> (ExitStatus, Vec<u8>, Vec<u8>) {
        let deadline = self.began + self.drill.bound;
        let wait = |stream: &Receiver<Vec<u8>>| {
            stream.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
        };
        let read = wait(&self.stdout).and_then(|stdout| Some((stdout, wait(&self.stderr)?)));
        let Some((stdout, stderr)) = read else {
            panic!("`firedrill {:?}` hangs: no end within {:?}", self.drill.arguments, self.drill.bound)
        };
        (self.child.0.wait().unwrap(), stdout, stderr)
    }
}

/// All that a command left.
pub(crate) struct Ended {
    status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) json: Vec<u8>,
    pub(crate) junit: Vec<u8>,
    pub(crate) events: Vec<Event>,
    pub(crate) took: Duration,
}

impl Ended {
    /// The exit code; a signal that ended it is a failure of the test.
    #[track_caller]
    pub(crate) fn exit(&self) -> i32 {
        assert!(!self.stderr().contains("panicked"), "{}", self.stderr());
        self.status.code().unwrap_or_else(|| panic!("ended by {}: {}", self.status, self.stderr()))
    }

    /// Fails with all that was printed unless it exited so.
    #[track_caller]
    pub(crate) fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.exit(), code, "\n{}\n{}", self.stdout(), self.stderr());
        self
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Everything it wrote anywhere, by the name of where.
    pub(crate) fn outputs(&self) -> [(&'static str, &[u8]); 4] {
        [
            ("standard output", &self.stdout),
            ("standard error", &self.stderr),
            ("json", &self.json),
            ("junit", &self.junit),
        ]
    }

    /// How a step ended, after how many attempts.
    #[track_caller]
    pub(crate) fn outcome(&self, name: &str) -> (Outcome, u32) {
        let ended = self.events.iter().find_map(|event| {
            let Event::StepEnded { step, outcome, attempts, .. } = event else { return None };
            (step.name == name).then_some((*outcome, *attempts))
        });
        ended.unwrap_or_else(|| panic!("`{name}` did not end:\n{}\n{}", self.stdout(), self.stderr()))
    }

    /// Why a step was skipped, or cannot be relied on.
    pub(crate) fn why(&self, name: &str) -> Option<&str> {
        self.events.iter().find_map(|event| {
            let Event::StepEnded { step, why, .. } = event else { return None };
            if step.name == name { why.as_deref() } else { None }
        })
    }

    /// What was wrong with each attempt of a step.
    pub(crate) fn attempts(&self, name: &str) -> Vec<&[Failure]> {
        let of_step = self.events.iter().filter_map(|event| {
            let Event::Attempted { step, failures, .. } = event else { return None };
            (step.name == name).then_some(failures.as_slice())
        });
        of_step.collect()
    }

    /// The reasons for which the only attempt of a step failed.
    #[track_caller]
    pub(crate) fn reasons(&self, name: &str) -> Vec<Reason> {
        let attempts = self.attempts(name);
        assert_eq!(attempts.len(), 1, "attempts of `{name}`:\n{}\n{}", self.stdout(), self.stderr());
        attempts[0].iter().map(|failure| failure.reason).collect()
    }

    /// What a load counted, and the failures it kept.
    #[track_caller]
    pub(crate) fn load(&self, name: &str) -> (&Tally, &[Failure]) {
        let loaded = self.events.iter().find_map(|event| {
            let Event::Loaded { step, tally, failures, .. } = event else { return None };
            (step.name == name).then_some((tally, failures.as_slice()))
        });
        loaded.unwrap_or_else(|| panic!("`{name}` was no load that ended:\n{}", self.stdout()))
    }

    /// How the only objective of an SLO was judged.
    #[track_caller]
    pub(crate) fn judgement(&self, name: &str) -> &Judgement {
        let judged = self.events.iter().find_map(|event| {
            let Event::Judged { slo, judgement, .. } = event else { return None };
            (slo == name).then_some(judgement)
        });
        judged.unwrap_or_else(|| panic!("`{name}` was not judged:\n{}\n{}", self.stdout(), self.stderr()))
    }

    /// How the run ended, and whether it was stopped.
    #[track_caller]
    pub(crate) fn conclusion(&self) -> (Conclusion, bool) {
        match self.events.last() {
            Some(Event::RunEnded { conclusion, interrupted, .. }) => (*conclusion, *interrupted),
            other => panic!("the last event is {other:?}:\n{}", self.stderr()),
        }
    }
}

/// `firedrill simulate`, listening until this is dropped.
pub(crate) struct StandIn {
    pub(crate) address: SocketAddr,
    child: Running,
    _folder: Folder,
}

impl StandIn {
    pub(crate) fn of(profile: &str) -> Self {
        let drill = Drill::of(["simulate", "profile.yaml", "--listen", "127.0.0.1:0", "--seed", "1"]);
        let drill = drill.file("profile.yaml", profile);
        let mut child = drill.command().stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let heard = BufReader::new(child.stdout.take().unwrap()).read_line(&mut line);
        let child = Running(child);
        let address = line.trim().rsplit("http://").next().and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("the stand-in says {heard:?} `{line}`"));
        Self { address, child, _folder: drill.folder }
    }
}

impl StandIn {
    /// Its exit code after a signal.
    pub(crate) fn end(mut self, signal: &str) -> Option<i32> {
        self.child.signal(signal);
        self.child.0.wait().unwrap().code()
    }
}

/// The most memory that a process has held so far, in bytes.
pub(crate) fn peak_memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a process that lives");
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().unwrap();
    kilobytes << 10
}
