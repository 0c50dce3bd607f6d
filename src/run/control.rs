//! Faults by hand: a socket in the folder of a stack that is held, at which they are asked for.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream as Line;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::fault::Broken;
use crate::finding::Findings;
use crate::plan::{PlannedStack, check_on};
use crate::scenario::fault::process::Deed;
use crate::scenario::fault::{self, Breaks, Target};
use crate::source::Sources;
use crate::stack::Running;
use crate::yaml;

/// The socket's name in the folder of a run.
pub const SOCKET: &str = "control";

/// The longest request that is read, in bytes.
const LARGEST: u64 = 64 << 10;

/// How long whoever has connected may take to ask.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long an answer may take: a fault that is lifted may start a service again.
const ANSWERED: Duration = Duration::from_secs(150);

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Put this fault in: the text of a `fault` of a step.
    Add(String),
    /// Say which are in.
    List,
    /// Lift those on a service, or only those of a kind.
    Remove {
        /// Whose.
        service: String,
        /// Which of them.
        kind: Option<String>,
    },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It was done; lines to show.
    Done(Vec<String>),
    /// It cannot be meant.
    Invalid(String),
    /// It could not be done.
    Failed(String),
}

/// Asks at the socket of the run whose folder this is.
///
/// # Errors
/// When nobody listens there, or no answer comes in time.
pub fn ask(folder: &Path, request: &Request) -> io::Result<Answer> {
    let mut line = Line::connect(folder.join(SOCKET))?;
    line.set_read_timeout(Some(ANSWERED))?;
    line.set_write_timeout(Some(PATIENCE))?;
    writeln!(line, "{}", serde_json::to_string(request)?)?;
    let mut answer = String::new();
    BufReader::new(line).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}

/// Where faults on a stack that is held are asked for.
#[derive(Debug)]
pub struct Desk<'a> {
    listener: UnixListener,
    planned: &'a PlannedStack,
    stack: &'a Running,
    held: Vec<Held<'a>>,
}

/// A fault that is in.
#[derive(Debug)]
struct Held<'a> {
    target: Target,
    /// As it was asked for, in a line.
    written: String,
    broken: Broken<'a>,
    kind: &'static str,
}

impl<'a> Desk<'a> {
    /// Opens the socket, for this user alone.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(planned: &'a PlannedStack, stack: &'a Running) -> io::Result<Self> {
        let path = stack.folder().join(SOCKET);
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, planned, stack, held: Vec::new() })
    }

    /// Answers, one after another, for as long as it is polled.
    pub async fn serve(&mut self) {
        loop {
            // One that breaks off while it asks disturbs nobody else.
            if let Ok((stream, _)) = self.listener.accept().await {
                let _ = self.answer(stream).await;
            }
        }
    }

    /// Lifts what is in. A service that was ended stays so: its stack ends as well.
    pub async fn close(self) {
        for held in self.held {
            if !matches!(held.broken.breaks(), Breaks::Process(Deed::Kill | Deed::Stop)) {
                let _ = held.broken.lift().await;
            }
        }
    }

    async fn answer(&mut self, mut stream: UnixStream) -> io::Result<()> {
        let (reader, mut writer) = stream.split();
        let mut asked = String::new();
        let mut reader = tokio::io::BufReader::new(reader.take(LARGEST));
        timeout(PATIENCE, reader.read_line(&mut asked)).await.map_err(io::Error::other)??;
        let answer = match serde_json::from_str(&asked) {
            Ok(request) => self.handle(request).await,
            Err(error) => Answer::Invalid(format!("this is no request: {error}")),
        };
        let answer = serde_json::to_string(&answer)? + "\n";
        timeout(PATIENCE, writer.write_all(answer.as_bytes())).await.map_err(io::Error::other)?
    }

    async fn handle(&mut self, request: Request) -> Answer {
        match request {
            Request::Add(text) => match self.check(&text) {
                Ok((target, breaks)) => self.add(&text, target, &breaks).await,
                Err(drawn) => Answer::Invalid(drawn),
            },
            Request::List => Answer::Done(join_all(self.held.iter().map(Held::told)).await),
            Request::Remove { service, kind } => self.remove(&service, kind.as_deref()).await,
        }
    }

    /// Reads a fault, and holds it against the stack.
    fn check(&self, text: &str) -> Result<(Target, Breaks), String> {
        let mut sources = Sources::default();
        let mut findings = Findings::default();
        let id = sources.add("fault", text);
        let nodes = findings.take_all(yaml::parse(id, text)).unwrap_or_default();
        let read = nodes.first().and_then(|node| fault::alone(node, &mut findings));
        if let Some((target, breaks)) = &read {
            check_on(target, breaks, Some(self.planned), &mut findings);
        }
        match read {
            Some(read) if !findings.any_error() => Ok(read),
            Some(_) | None => {
                let drawn = findings.in_reading_order();
                let drawn: Vec<_> = drawn.iter().map(|found| found.draw(&sources).render(false)).collect();
                Err(drawn.join("\n\n"))
            }
        }
    }

    async fn add(&mut self, text: &str, target: Target, breaks: &Breaks) -> Answer {
        let (service, kind) = (&target.service.value, breaks.kind());
        let is_in = |held: &&Held<'_>| held.is_on(service) && held.kind == kind;
        if !matches!(breaks, Breaks::Traffic(_)) && self.held.iter().any(|held| is_in(&held)) {
            return Answer::Failed(format!("`{kind}` is in on `{service}` already: remove it first"));
        }
        let broken = match Broken::on(self.stack, &target, breaks).await {
            Ok(broken) => broken,
            Err(why) => return Answer::Failed(why),
        };
        if let Breaks::Process(Deed::Restart) = breaks {
            return Answer::Done(vec![format!("`{service}` was started again")]);
        }
        let written = in_a_line(text);
        let held = Held { target, written, broken, kind };
        let told = held.told().await;
        self.held.push(held);
        Answer::Done(vec![told])
    }

    async fn remove(&mut self, service: &str, kind: Option<&str>) -> Answer {
        let meant = |held: &Held<'_>| held.is_on(service) && kind.is_none_or(|kind| held.kind == kind);
        let (lifted, kept) = std::mem::take(&mut self.held).into_iter().partition(meant);
        self.held = kept;
        if lifted.is_empty() {
            let known: BTreeSet<_> = self.held.iter().map(|held| format!("`{}`", held.name())).collect();
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            let known =
                if known.is_empty() { "nor any other".to_owned() } else { format!("there is {known}") };
            let wanted = kind.map_or_else(|| service.to_owned(), |kind| format!("{service} {kind}"));
            return Answer::Invalid(format!("no fault `{wanted}` is in; {known}"));
        }
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        for held in lifted {
            let told = match held.broken.breaks() {
                Breaks::Traffic(_) => held.told().await,
                Breaks::Process(_) | Breaks::Container(_) | Breaks::StandIn(_) | Breaks::Deed(_) => {
                    format!("{}  {}", held.target.service, held.written)
                }
            };
            match held.broken.lift().await {
                Ok(()) => done.push(format!("{told}: lifted")),
                Err(why) => failed.push(format!("{told}: it is not mended: {why}")),
            }
        }
        if failed.is_empty() { Answer::Done(done) } else { Answer::Failed(failed.join("\n")) }
    }
}

impl Held<'_> {
    fn is_on(&self, service: &str) -> bool {
        self.target.service.value == service
    }

    /// Its service and kind, as it is removed by.
    fn name(&self) -> String {
        format!("{} {}", self.target.service, self.kind)
    }

    /// What it is, and what it has done so far.
    async fn told(&self) -> String {
        let Self { target, written, broken, .. } = self;
        let done = match broken.breaks() {
            Breaks::Traffic(_) if !broken.effect().is_felt() => "nothing has met it yet".to_owned(),
            Breaks::Traffic(_) => broken.effect().to_string(),
            Breaks::Process(_) | Breaks::Container(_) | Breaks::StandIn(_) | Breaks::Deed(_) => {
                broken.felt().await.unwrap_or_else(|why| why)
            }
        };
        format!("{}  {written}  {done}", target.service)
    }
}

/// A fault as it was asked for, on one line, without its service, which stands before it.
fn in_a_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("service:"));
    lines.map(|line| line.trim_end_matches(':').replacen(": ", "=", 1)).collect::<Vec<_>>().join(" ")
}
