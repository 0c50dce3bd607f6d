//! Events in, bytes out: what a run shows, and what it leaves behind.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, timeout};

use crate::event::Stamped;
use crate::report::compare::Comparison;
use crate::report::whole::Whole;

pub mod compare;
mod detail;
mod drill;
pub mod github;
mod gitlab;
mod html;
pub mod json;
mod junit;
pub mod live;
mod load;
mod matrix;
mod problem;
mod record;
pub mod remote;
mod row;
pub mod sarif;
pub mod saved;
mod style;
mod summary;
mod tap;
pub mod terminal;
mod text;
mod verdict;
mod whole;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

pub use drill::said as drilled_at;
pub(crate) use load::table as load_table;
pub use style::Style;
pub use text::{in_html, on_one_line, printable};

/// What is made of a run's events.
pub trait Report: Send {
    /// Where it goes, for messages: a path, `standard output`.
    fn name(&self) -> &str;

    /// Takes in what happened next.
    ///
    /// # Errors
    /// When it cannot be written.
    fn take(&mut self, stamped: &Stamped) -> io::Result<()>;

    /// Hears that nothing new has happened `elapsed` after the run started; only what moves cares.
    ///
    /// # Errors
    /// When it cannot be written.
    fn wait(&mut self, elapsed: Duration) -> io::Result<()> {
        let _ = elapsed;
        Ok(())
    }

    /// Writes what is left to write, also after a run that was cut off. Nothing is taken in afterwards.
    ///
    /// # Errors
    /// When it cannot be written.
    fn close(&mut self) -> io::Result<()>;
}

/// A file format a run can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Every event, one JSON object a line.
    Json,
    /// JUnit's XML.
    Junit,
    /// The Test Anything Protocol, version 14.
    Tap,
    /// GitHub's workflow commands, which it shows as annotations.
    Github,
    /// Markdown, as GitHub shows it on the page of a job.
    GithubSummary,
    /// GitLab's code quality report.
    Gitlab,
    /// The alerts that were drilled, in Markdown.
    Matrix,
    /// One page to open in a browser.
    Html,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 8] = [
        Self::Json,
        Self::Junit,
        Self::Tap,
        Self::Github,
        Self::GithubSummary,
        Self::Gitlab,
        Self::Matrix,
        Self::Html,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Junit => "junit",
            Self::Tap => "tap",
            Self::Github => "github",
            Self::GithubSummary => "github-summary",
            Self::Gitlab => "gitlab",
            Self::Matrix => "matrix",
            Self::Html => "html",
        }
    }

    /// A report in this format, written to `out`, which is called `name` in messages.
    fn report(
        self,
        name: String,
        out: Box<dyn Write + Send>,
        against: Option<Arc<Comparison>>,
    ) -> Box<dyn Report> {
        let write = match self {
            Self::Json => return Box::new(json::Json::new(name, out)),
            Self::Junit => junit::write,
            Self::Tap => tap::write,
            Self::Github => github::write,
            Self::GithubSummary => summary::write,
            Self::Gitlab => gitlab::write,
            Self::Matrix => matrix::write,
            Self::Html => {
                return Box::new(Whole::new(name, out, move |run, out| {
                    html::write(run, against.as_deref(), out)
                }));
            }
        };
        Box::new(Whole::new(name, out, write))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A format and where to: `json=run.jsonl`, `junit=target/junit.xml`, `json=-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// In which format.
    pub format: Format,
    /// The file; `-` is standard output.
    pub path: PathBuf,
}

/// A text that is no [`Target`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    /// Neither a format nor a file.
    #[error("a report is FORMAT=FILE, like `junit=report.xml`; formats are {}", known())]
    Shape,
    /// A format that is not known.
    #[error("`{0}` is no report format; formats are {known}", known = known())]
    Format(String),
    /// Nothing after the equals sign.
    #[error("`{0}=` names no file; `-` is standard output")]
    File(Format),
}

fn known() -> String {
    Format::ALL.map(|format| format!("`{format}`")).join(", ")
}

/// Why a report is not there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Two would be mixed.
    #[error("`{0}` and `{1}` would be written into one another: give each report a place of its own")]
    SamePlace(Target, Target),
    /// Its file could not be made.
    #[error("cannot create `{path}`: {source}")]
    Create {
        /// The file, or the folder it should be in.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Writing failed; there may be a part of it.
    #[error("{}", .0.iter().map(Unwritten::to_string).collect::<Vec<_>>().join("; "))]
    Write(Vec<Unwritten>),
}

/// A report that could not be written to its end.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{report}`: {source}")]
pub struct Unwritten {
    /// Where it should have gone.
    pub report: String,
    /// What the system said.
    pub source: io::Error,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.format, self.path.display())
    }
}

/// Sees to it that no two reports go to the same place.
///
/// # Errors
/// Two do.
pub fn apart(targets: &[Target]) -> Result<(), Error> {
    for (number, second) in targets.iter().enumerate() {
        if let Some(first) = targets[..number].iter().find(|first| first.path == second.path) {
            return Err(Error::SamePlace(first.clone(), second.clone()));
        }
    }
    Ok(())
}

impl FromStr for Target {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, BadTarget> {
        let (format, path) = text.split_once('=').ok_or(BadTarget::Shape)?;
        let known = Format::ALL.into_iter().find(|known| known.name() == format);
        let format = known.ok_or_else(|| BadTarget::Format(format.to_owned()))?;
        if path.is_empty() {
            return Err(BadTarget::File(format));
        }
        Ok(Self { format, path: path.into() })
    }
}

impl Target {
    /// Whether it goes to standard output, where nothing else can go then.
    #[must_use]
    pub fn is_stdout(&self) -> bool {
        self.path == Path::new("-")
    }

    /// Creates the file, and the folders above it, so that a bad path fails before anything starts.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn open(&self) -> Result<Box<dyn Report>, Error> {
        self.open_against(None)
    }

    /// The same, of a run that is held against another, where the format has a place for that.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn open_against(&self, against: Option<Arc<Comparison>>) -> Result<Box<dyn Report>, Error> {
        let (name, out): (_, Box<dyn Write + Send>) = if self.is_stdout() {
            ("standard output".to_owned(), Box::new(io::stdout()))
        } else {
            (
                self.path.display().to_string(),
                Box::new(create(&self.path, OpenOptions::new().truncate(true))?),
            )
        };
        Ok(self.format.report(name, Box::new(BufWriter::new(out)), against))
    }

    /// Opens the file to write after what is in it, as a file that others write to as well wants it.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn append(&self) -> Result<Box<dyn Report>, Error> {
        let out = BufWriter::new(create(&self.path, OpenOptions::new().append(true))?);
        Ok(self.format.report(self.path.display().to_string(), Box::new(out), None))
    }
}

fn create(path: &Path, how: &mut OpenOptions) -> Result<File, Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Create { path, source }
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(failed(folder))?;
    }
    how.create(true).write(true).open(path).map_err(failed(path))
}

/// How often reports hear that nothing has happened.
const WAIT: Duration = Duration::from_millis(100);

/// Hands every event to every report until nobody sends any more, then closes them.
///
/// A report that cannot be written is given up; the others go on. Writing blocks: where a slow terminal must not
/// hold up what is measured, give this a thread of its own.
///
/// # Errors
/// At the end, when a report could not be written; it names each of them.
pub async fn fan_out(
    mut events: UnboundedReceiver<Stamped>,
    mut reports: Vec<Box<dyn Report>>,
) -> Result<(), Error> {
    let mut unwritten = Vec::new();
    let mut latest = (Duration::ZERO, Instant::now());
    loop {
        match timeout(WAIT, events.recv()).await {
            Ok(Some(stamped)) => {
                latest = (Duration::from_nanos(stamped.at), Instant::now());
                each(&mut reports, &mut unwritten, |report| report.take(&stamped));
            }
            Ok(None) => break,
            Err(_) => {
                let (at, received) = latest;
                each(&mut reports, &mut unwritten, |report| report.wait(at + received.elapsed()));
            }
        }
    }
    each(&mut reports, &mut unwritten, |report| report.close());
    if unwritten.is_empty() { Ok(()) } else { Err(Error::Write(unwritten)) }
}

/// Does something with every report, and gives up those it fails with.
fn each(
    reports: &mut Vec<Box<dyn Report>>,
    unwritten: &mut Vec<Unwritten>,
    mut write: impl FnMut(&mut dyn Report) -> io::Result<()>,
) {
    reports.retain_mut(|report| match write(report.as_mut()) {
        Ok(()) => true,
        Err(source) => {
            unwritten.push(Unwritten { report: report.name().to_owned(), source });
            false
        }
    });
}
