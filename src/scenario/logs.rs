//! What a service has logged and what is expected of it, as written and as checked.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json_path::JsonPath;

use super::expect::{Answer, json_path, wanted};
use super::predicate::{Domain, Predicate};
use super::probe::{Holes, Kind};
use super::template::{Template, is_name};
use crate::finding::{Code, Finding, Findings};
use crate::source::{At, Place};
use crate::units::Size;
use crate::yaml::{Entries, Json};

/// The longest line that is read unless the file says otherwise.
const LINE_LIMIT: Size = Size(1 << 20);

/// What has been logged since the scenario began, one JSON object in each line.
///
/// It passes when there is a line, and every line is a JSON object, unless something else is expected. Blank lines
/// are passed over, and so is the beginning of a line that is still being written. A file that was rotated meanwhile
/// is read to its end and the new one from its beginning; one that was truncated, from its beginning.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogsWritten {
    /// A file, beside this one. One whose name is known only from an earlier step is read whole.
    file: Option<At<Template>>,
    /// A service of the stack, which is read from its start on, or from where it was when a scenario before this one
    /// left a stack that they share.
    service: Option<At<String>>,
    /// Read the file from its beginning, and not only what was appended since the scenario began.
    #[serde(default)]
    whole: bool,
    /// The field that holds a line's level: a name, or a JSONPath. The first of `level`, `severity`, `log.level`,
    /// `lvl` that a line has, unless said.
    level: Option<At<String>>,
    /// The longest line that is read; 1MiB unless said.
    limit: Option<Size>,
}

/// What has been logged, checked.
#[derive(Debug, Clone)]
pub struct Logs {
    /// Where it is logged.
    pub file: At<Template>,
    /// The folder of the file that says so.
    pub beside: PathBuf,
    /// Whether what was there before the scenario is read, too.
    pub whole: bool,
    /// The fields that may hold a line's level, the first one counting.
    pub level: Vec<Field>,
    /// The longest line that is read.
    pub limit: Size,
    /// What reports call it.
    subject: String,
}

/// A field of a line.
#[derive(Debug, Clone)]
pub enum Field {
    /// By its name.
    Named(String),
    /// By a `JSONPath`.
    Path(Box<JsonPath>),
}

/// What the lines must be. Without `lines`, there is at least one; without `malformed`, every line is an object.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    /// How many lines there are.
    pub count: Option<At<Predicate>>,
    /// How many of them are no JSON object.
    pub malformed: Option<At<Predicate>>,
    /// What a field of every line is.
    pub fields: Vec<(Field, At<Predicate>)>,
    /// How many lines there are of a level.
    pub levels: Vec<(At<String>, At<Predicate>)>,
    /// What the fields of one line are.
    pub find: Vec<(Field, At<Predicate>)>,
}

impl Lines {
    /// What is expected, by key.
    pub(super) fn predicates(&self) -> impl Iterator<Item = (&'static str, &At<Predicate>)> {
        let count = self.count.iter().map(|at| ("lines", at));
        let malformed = self.malformed.iter().map(|at| ("malformed", at));
        let fields = self.fields.iter().map(|(_, at)| ("fields", at));
        let levels = self.levels.iter().map(|(_, at)| ("levels", at));
        let find = self.find.iter().map(|(_, at)| ("find", at));
        count.chain(malformed).chain(fields).chain(levels).chain(find)
    }
}

impl LogsWritten {
    /// Checks what was written at `place`.
    pub fn check(self, place: Place, findings: &mut Findings) -> Option<Logs> {
        let level = match self.level {
            Some(at) => vec![Field::read(&at, findings)?],
            None => {
                ["level", "severity", "log.level", "lvl"].map(|name| Field::Named(name.to_owned())).into()
            }
        };
        let (file, service) = match (self.file, self.service) {
            (Some(file), None) => (file, None),
            (None, Some(service)) => (log_of(&service, findings)?, Some(service)),
            (Some(file), Some(service)) => {
                let title = "`file` and `service` exclude each other";
                let finding = Finding::new(Code::ScenarioStep, service.place, title);
                findings.add(finding.also(file.place, "the file is given here"));
                return None;
            }
            (None, None) => {
                let finding = Finding::new(Code::ScenarioStep, place, "there is no log to read");
                findings.add(finding.help("write `file: app.log`, or `service: NAME` of the stack"));
                return None;
            }
        };
        let subject = service.as_ref().map_or_else(|| file.to_string(), ToString::to_string);
        Some(Logs {
            subject,
            whole: self.whole,
            file,
            beside: PathBuf::new(),
            level,
            limit: self.limit.unwrap_or(LINE_LIMIT),
        })
    }
}

/// The file that a service of the stack logs to.
fn log_of(service: &At<String>, findings: &mut Findings) -> Option<At<Template>> {
    let name = &service.value;
    let known = (is_name(name) && !name.contains('.')).then(|| format!("${{service.{name}.log}}"));
    let template = known.ok_or_else(|| format!("`{name}` cannot be a service's name"));
    let template = template.and_then(|text| Template::parse(&text));
    let template = template.map_err(|why| Finding::new(Code::FileValue, service.place, why));
    findings.take(template).map(|template| At::new(template, service.place))
}

impl Field {
    /// Reads a name, or a `JSONPath` where it begins with `$`.
    fn read(written: &At<String>, findings: &mut Findings) -> Option<Self> {
        if written.starts_with('$') {
            return json_path(written, findings).map(|path| Self::Path(Box::new(path)));
        }
        Some(Self::Named(written.value.clone()))
    }
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::Path(path) => path.fmt(f),
        }
    }
}

/// Reads a map from fields to what is expected of them.
pub(super) fn fields(entries: Entries<Json>, findings: &mut Findings) -> Vec<(Field, At<Predicate>)> {
    let read = entries.into_iter().filter_map(|(name, json)| {
        let field = Field::read(&name, findings)?;
        Some((field, wanted(Some(json), Domain::Value, findings)?))
    });
    read.collect()
}

impl Kind for Logs {
    fn kind(&self) -> &'static str {
        "logs"
    }

    fn subject(&self) -> String {
        format!("logs {}", self.subject)
    }

    fn answer(&self) -> Answer {
        Answer::Lines
    }

    fn holes(&self) -> Holes<'_> {
        Box::new(self.file.holes().map(|hole| (hole, self.file.place)))
    }
}
