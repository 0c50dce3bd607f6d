//! One service as a process: set up, started under its supervisor, told what to do, ended.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::cgroup::{Group, Limit};
use super::folder::{Folder, give};
use super::log::Log;
use super::supervise::GRACE;
use super::user::{self, User};
use super::{RUN_VARIABLE, port};
use crate::probe::connect::Deadline;
use crate::probe::process as short_lived;
use crate::stack::Error;
use crate::stack::launch::{File, Launch, Shows};
use crate::stack::ready::{Running, Watched};
use crate::units::Size;

/// How long a program that sets a service up may take.
const SETUP: Duration = Duration::from_secs(60);

/// How long a supervisor may take for what takes it no time.
const PROMPT: Duration = Duration::from_secs(10);

/// The most that is kept of what a program that sets up says.
const SAID: Size = Size(16 << 10);

/// What a process is made of.
#[derive(Debug)]
pub(super) struct Program {
    /// The program and its arguments.
    pub(super) command: Vec<String>,
    /// Everything else of it.
    pub(super) launch: Launch,
    /// Where it listens, by port.
    pub(super) inner: BTreeMap<String, SocketAddr>,
    /// The run's folder.
    pub(super) folder: Arc<Folder>,
    /// The run it belongs to.
    pub(super) run: String,
    /// The program that stands over it.
    pub(super) supervisor: PathBuf,
}

/// A service that runs as a process, or has.
#[derive(Debug)]
pub struct Process {
    program: Program,
    user: Option<User>,
    log: Arc<Log>,
    life: watch::Sender<Life>,
    told: Mutex<Option<Supervisor>>,
}

/// How far a process has come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Life {
    /// It was not started.
    Unborn,
    /// It runs, by this number.
    Running(i32),
    /// It has ended, in this way.
    Ended(String),
}

/// The line to a supervisor. When it is dropped, the supervisor ends its service.
#[derive(Debug)]
struct Supervisor {
    said: ChildStdin,
    listening: JoinHandle<()>,
}

impl Process {
    pub(super) fn new(program: Program) -> Result<Self, Error> {
        let service = &program.launch.name;
        let failed = |why: String| Error::Start { service: service.clone(), why };
        let user = program.launch.user.as_deref().map(user::find).transpose().map_err(failed)?.flatten();
        let sign = match &program.launch.sign {
            Shows::Log(pattern) => regex::bytes::Regex::new(pattern.as_str()).ok(),
            Shows::Ports | Shows::Http { .. } | Shows::Tcp(_) | Shows::Exec(_) | Shows::Healthcheck => None,
        };
        let log = Arc::new(Log::new(program.folder.log(service), sign));
        Ok(Self { program, user, log, life: watch::Sender::new(Life::Unborn), told: Mutex::new(None) })
    }

    /// Sets it up, starts it, and returns when it is ready.
    pub(super) async fn start(&self) -> Result<(), Error> {
        self.furnish()?;
        for command in &self.program.launch.setup {
            self.set_up(command).await?;
        }
        self.spawn(&mut *self.told.lock().await).await?;
        self.ready().await
    }

    /// Gives it, and all that it has started, less, until what is given back is lifted.
    ///
    /// # Errors
    /// Why this machine does not let us.
    pub fn limit(&self, limit: Limit) -> Result<Group, String> {
        let Life::Running(pid) = *self.life.borrow() else { return Err("it does not run".to_owned()) };
        let mut all = vec![pid];
        all.extend(super::supervise::descendants(pid));
        Group::limit(&self.program.run, &self.program.launch.name, limit, &all)
    }

    /// What it has written.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Whether it runs.
    #[must_use]
    pub fn alive(&self) -> bool {
        matches!(*self.life.borrow(), Life::Running(_))
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<String> {
        match &*self.life.borrow() {
            Life::Ended(how) => Some(how.clone()),
            Life::Unborn | Life::Running(_) => None,
        }
    }

    /// Its number, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        match *self.life.borrow() {
            Life::Running(pid) => Some(pid),
            Life::Unborn | Life::Ended(_) => None,
        }
    }

    /// Ends it at once.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn kill(&self) -> Result<(), Error> {
        self.end_by("kill", "killed").await
    }

    /// Asks it to end, and ends it when it does not.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn stop(&self) -> Result<(), Error> {
        self.end_by("end", "stopped").await
    }

    /// Holds it and all that descends from it where they stand.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn pause(&self) -> Result<(), Error> {
        self.tell("pause", "paused").await
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn resume(&self) -> Result<(), Error> {
        self.tell("resume", "resumed").await
    }

    /// Ends it where it still runs, starts it again, and returns when it is ready.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn restart(&self) -> Result<(), Error> {
        if self.alive() {
            self.stop().await?;
        }
        self.log.await_again();
        self.spawn(&mut *self.told.lock().await).await?;
        self.ready().await
    }

    /// Ends it for good; there is nothing to be done where it does not.
    pub(super) async fn end(&self) {
        let _ = self.stop().await;
        if let Some(supervisor) = self.told.lock().await.take() {
            drop(supervisor.said);
            let _ = timeout(PROMPT, supervisor.listening).await;
        }
    }

    async fn end_by(&self, word: &str, done: &'static str) -> Result<(), Error> {
        if !self.alive() {
            return Ok(());
        }
        self.tell(word, done).await?;
        let mut life = self.life.subscribe();
        let ended = life.wait_for(|life| !matches!(life, Life::Running(_)));
        match timeout(GRACE + PROMPT, ended).await {
            Ok(_) => Ok(()),
            Err(_) => Err(self.untold(done, "it does not end".to_owned())),
        }
    }

    async fn tell(&self, word: &str, done: &'static str) -> Result<(), Error> {
        let mut told = self.told.lock().await;
        let Some(supervisor) = told.as_mut().filter(|_| self.alive()) else {
            return Err(self.untold(done, "it does not run".to_owned()));
        };
        let said = supervisor.said.write_all(format!("{word}\n").as_bytes()).await;
        said.map_err(|error| self.untold(done, format!("its supervisor does not listen: {error}")))
    }

    fn untold(&self, done: &'static str, why: String) -> Error {
        Error::Told { service: self.name(), done, why }
    }

    fn name(&self) -> String {
        self.program.launch.name.clone()
    }

    fn failed(&self, why: String) -> Error {
        Error::Start { service: self.name(), why }
    }

    /// Makes its folder and what is in it.
    fn furnish(&self) -> Result<(), Error> {
        let Program { launch, folder, .. } = &self.program;
        let failed = |path: PathBuf| {
            let service = self.name();
            move |source| Error::File { service, path, source }
        };
        let dir = folder.make(&launch.name, self.user).map_err(failed(folder.of(&launch.name)))?;
        for volume in &launch.volumes {
            let path = dir.join(volume.trim_start_matches('/'));
            self.make_folders(&dir, &path).map_err(failed(path))?;
        }
        launch.files.iter().try_for_each(|file| self.put(file))
    }

    /// Writes a file of its folder, in place of one that is there.
    pub(in crate::stack) fn put(&self, file: &File) -> Result<(), Error> {
        let dir = self.program.folder.of(&self.name());
        let path = dir.join(file.path.trim_start_matches('/'));
        let written = || {
            self.make_folders(&dir, path.parent().unwrap_or(&dir))?;
            fs::write(&path, &file.bytes)?;
            // A script stays one; nobody else reads what may hold secrets.
            let mode = if file.bytes.starts_with(b"#!") { 0o700 } else { 0o600 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
            give(&path, self.user)
        };
        written().map_err(|source| Error::File { service: self.name(), path, source })
    }

    /// The files it was given.
    pub(in crate::stack) fn files(&self) -> &[File] {
        &self.program.launch.files
    }

    /// Makes the folders from `dir` down to `path`, its user's own.
    fn make_folders(&self, dir: &std::path::Path, path: &std::path::Path) -> io::Result<()> {
        let mut at = dir.to_owned();
        for part in path.strip_prefix(dir).into_iter().flatten() {
            at.push(part);
            if !at.is_dir() {
                fs::create_dir(&at)?;
                fs::set_permissions(&at, fs::Permissions::from_mode(0o700))?;
                give(&at, self.user)?;
            }
        }
        Ok(())
    }

    /// Runs a program that prepares the service, to its end.
    async fn set_up(&self, command: &[String]) -> Result<(), Error> {
        let exchange = self.run(command, SETUP).await;
        let why = match &exchange.result {
            Ok(status) if status.success() => return Ok(()),
            Ok(status) => match status.code() {
                Some(code) => format!("exited with {code}"),
                None => "was ended by a signal".to_owned(),
            },
            Err(cause) => cause.message.clone(),
        };
        let said = [exchange.stderr.text(), exchange.stdout.text()].into_iter().find(|said| !said.is_empty());
        let why = said.map_or(why.clone(), |said| format!("{why}: {said}"));
        Err(Error::Setup { service: self.name(), command: command.join(" "), why })
    }

    /// Runs a program as the service's user, in its folder, to its end.
    async fn run(&self, command: &[String], limit: Duration) -> short_lived::Exchange {
        let request = short_lived::Request {
            program: command.first().cloned().unwrap_or_default(),
            arguments: command.iter().skip(1).cloned().collect(),
            user: self.user.map(|User { uid, gid }| (uid, gid)),
            env: self.env(),
            folder: self.program.folder.of(&self.program.launch.name),
            stdin: None,
            limit: SAID,
        };
        short_lived::run(&request, &Deadline::after(limit)).await
    }

    /// Environment variables of everything that runs for the service.
    fn env(&self) -> Vec<(String, String)> {
        let mark = (RUN_VARIABLE.to_owned(), self.program.run.clone());
        self.program.launch.env.iter().cloned().chain([mark]).collect()
    }

    /// The words by which a supervisor is told to start `command`.
    fn supervised(&self, command: &[String]) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["supervise".into()];
        if let Some(User { uid, gid }) = self.user {
            words.extend(["--user".into(), format!("{uid}:{gid}").into()]);
        }
        words.push("--".into());
        words.extend(command.iter().map(OsString::from));
        words
    }

    /// Starts the supervisor and, through it, the program.
    async fn spawn(&self, told: &mut Option<Supervisor>) -> Result<(), Error> {
        let Program { supervisor, folder, command, .. } = &self.program;
        let spawned = Command::new(supervisor)
            .args(self.supervised(command))
            .envs(self.env())
            .current_dir(folder.of(&self.program.launch.name))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn();
        let mut child =
            spawned.map_err(|error| self.failed(format!("`{}`: {error}", supervisor.display())))?;
        if let Some(pid) = child.id() {
            folder.note(pid.cast_signed());
        }
        let (Some(said), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(self.failed("its supervisor has no pipes".to_owned()));
        };
        let mut lines = BufReader::new(stdout).lines();
        let first = timeout(PROMPT, lines.next_line()).await;
        let first = first.ok().and_then(Result::ok).flatten().unwrap_or_default();
        let Some(pid) = first.strip_prefix("started ").and_then(|pid| pid.parse().ok()) else {
            let why = first.strip_prefix("failed ").unwrap_or("its supervisor says nothing");
            let program = command.first().map(String::as_str).unwrap_or_default();
            return Err(self.failed(format!("`{program}`: {why}")));
        };
        folder.note(pid);
        self.life.send_replace(Life::Running(pid));
        let (log, life) = (Arc::clone(&self.log), self.life.clone());
        let listening = tokio::spawn(async move {
            let (how, ()) = tokio::join!(last_words(lines), log.take_in(stderr));
            life.send_replace(Life::Ended(how));
            let _ = child.wait().await;
        });
        *told = Some(Supervisor { said, listening });
        Ok(())
    }

    /// Waits until it is ready; in vain where it ends before.
    async fn ready(&self) -> Result<(), Error> {
        let Program { launch, inner, .. } = &self.program;
        let mut life = self.life.subscribe();
        let watched = Watched { sign: &launch.sign, ports: inner, log: &self.log };
        let run = |command| -> Running<'_> { Box::pin(self.shows(command)) };
        let seen = tokio::select! {
            seen = watched.wait(launch.within, run) => seen,
            _ = life.wait_for(|life| matches!(life, Life::Ended(_))) => Ok(()),
        };
        let life = self.life.borrow().clone();
        match (life, seen) {
            (Life::Ended(how), _) => {
                Err(Error::Ended { service: self.name(), how: how + &self.taken(), log: self.log.tail() })
            }
            (Life::Running(_) | Life::Unborn, Ok(())) => Ok(()),
            (Life::Running(_) | Life::Unborn, Err(why)) => Err(Error::NotReady {
                service: self.name(),
                within: launch.within,
                why,
                log: self.log.tail(),
            }),
        }
    }

    /// Whether a program shows that it is ready.
    async fn shows(&self, command: &[String]) -> Result<(), String> {
        let exchange = self.run(command, PROMPT).await;
        match exchange.result {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("`{}` ends with {status}", command.join(" "))),
            Err(cause) => Err(cause.message),
        }
    }

    /// Which of its ports somebody else has taken meanwhile, for the message.
    fn taken(&self) -> String {
        let taken = self.program.inner.values().find(|address| port::is_taken(**address));
        taken.map_or(String::new(), |address| format!(" (another program has taken {address})"))
    }
}

/// What a supervisor says of the end.
async fn last_words(mut lines: tokio::io::Lines<BufReader<ChildStdout>>) -> String {
    let mut how = "lost its supervisor".to_owned();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(ended) = line.strip_prefix("ended ") {
            ended.clone_into(&mut how);
        }
    }
    how
}
