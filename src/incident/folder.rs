//! What stands in an incident's folder: everything that is needed to look at it again, and nothing of elsewhere.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use super::drill::Drill;
use super::episode::Episode;
use super::page::pages;
use super::sent::sent;
use super::{Error, timeline};
use crate::audit::{self, Subject};
use crate::dilation::Recorded;
use crate::finding::Findings;
use crate::source::Sources;
use crate::yaml::{self, Node};

/// The file by which a folder is known to be an incident's.
pub const FILE: &str = "incident.json";

const SERIES: &str = "series.jsonl.gz";
const ALERTS: &str = "alerts.json";
const RULES: &str = "rules";
const ROUTING: &str = "alertmanager.yml";
const SLOS: &str = "slos";
const TIMELINE: &str = "timeline.md";

/// The latest version of what is written here; from the second on an incident may have been a drill.
const VERSION: u32 = 2;

/// Bytes of unpacked series that are read, and of one line.
const MOST_SERIES: u64 = 4 << 30;
const LONGEST_LINE: u64 = 256 << 20;

/// What an incident is of. All moments are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Its name.
    pub incident: String,
    /// The version of its folder.
    pub version: u32,
    /// Which Prometheus saw it, without passwords.
    pub prometheus: String,
    /// It began.
    pub from: i64,
    /// It was over.
    pub to: i64,
    /// How long before its beginning series are recorded, for rules that look back.
    pub back: i64,
    /// How often targets were scraped, in milliseconds.
    pub scraped_every: u64,
    /// How often rules were evaluated whose group does not say, in milliseconds.
    pub evaluated_every: u64,
    /// What is to be known of it.
    pub notes: Vec<String>,
    /// The drill that it was, where it was one; its series are at the drill's pace.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub drill: Option<Drill>,
}

impl Manifest {
    /// By how much moments may differ and still be the same, in milliseconds: an evaluation may have been anywhere in
    /// its interval, and so may a scrape, and a drill's were late by as much as was seen.
    #[must_use]
    pub fn tolerance(&self) -> i64 {
        let usual = i64::try_from(2 * self.evaluated_every + self.scraped_every).unwrap_or(i64::MAX / 4);
        usual + self.drill.as_ref().map_or(0, |drill| drill.span(drill.late))
    }

    /// Whether its times can be; somebody may have written them by hand.
    fn sound(&self) -> Result<(), &'static str> {
        const LONGEST: u64 = 400 * 86_400_000;
        let apart = |from: i64, to: i64| to.checked_sub(from).and_then(|apart| u64::try_from(apart).ok());
        if !apart(self.from, self.to).is_some_and(|lasted| 0 < lasted && lasted <= LONGEST) {
            return Err("`to` must be after `from`, by 400 days at most");
        }
        if !(1..=LONGEST).contains(&self.evaluated_every) || !(1..=LONGEST).contains(&self.scraped_every) {
            return Err("`evaluated_every` and `scraped_every` must be milliseconds, above 0");
        }
        let Some(drill) = &self.drill else { return Ok(()) };
        if !(drill.speed >= 1.0 && drill.speed <= 1e6) || drill.scraped_every == 0 || drill.late < 0 {
            return Err("the drill's `speed` must be between 1 and 1000000, its `scraped_every` above 0");
        }
        let order = [drill.calm, drill.broken, drill.effect, drill.lifted, drill.ended];
        if !order.is_sorted() {
            return Err("the drill's moments must be in order: calm, broken, effect, lifted, ended");
        }
        Ok(())
    }
}

/// What is read of any version.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// An incident, whole.
#[derive(Debug)]
pub struct Incident {
    /// What it is of.
    pub manifest: Manifest,
    /// What its rules looked at.
    pub series: Vec<Recorded>,
    /// Its alerts, as they went.
    pub alerts: Vec<Episode>,
    /// Its rules and its routing.
    pub subject: Subject,
    /// The texts of its files.
    pub sources: Sources,
}

/// What is written of an incident beside its rules.
pub(super) struct Written<'w> {
    pub(super) manifest: &'w Manifest,
    pub(super) series: &'w [Recorded],
    pub(super) alerts: &'w [Episode],
    pub(super) rules: &'w [(String, String)],
    pub(super) routing: Option<&'w str>,
    pub(super) slos: &'w [(String, String)],
}

impl Written<'_> {
    /// Writes the folder; one that is there already is not written over.
    pub(super) fn write(&self, folder: &Path) -> Result<(), Error> {
        vacant(folder)?;
        let rules = folder.join(RULES);
        fs::create_dir_all(&rules).map_err(at(&rules))?;
        for (name, text) in self.rules {
            put(&rules.join(name), text)?;
        }
        if let Some(routing) = self.routing {
            put(&folder.join(ROUTING), routing)?;
        }
        let slos = folder.join(SLOS);
        if !self.slos.is_empty() {
            fs::create_dir_all(&slos).map_err(at(&slos))?;
        }
        for (name, text) in self.slos {
            put(&slos.join(name), text)?;
        }
        pack(&folder.join(SERIES), self.series)?;
        put(&folder.join(ALERTS), &json(&self.alerts))?;
        // The last one: a folder without it is none of an incident's.
        put(&folder.join(FILE), &json(self.manifest))?;
        let told = Incident::read(folder)?.timeline();
        put(&folder.join(TIMELINE), &told)
    }
}

/// Refuses a folder that holds an incident.
pub(super) fn vacant(folder: &Path) -> Result<(), Error> {
    if folder.join(FILE).exists() {
        let why = "there is an incident already; name another folder".to_owned();
        return Err(Error::Malformed { path: folder.to_owned(), why });
    }
    Ok(())
}

/// Writes series, one a line.
pub(super) fn pack(path: &Path, all: &[Recorded]) -> Result<(), Error> {
    let file = BufWriter::new(File::create(path).map_err(at(path))?);
    let mut out = GzEncoder::new(file, Compression::best());
    for series in all {
        let line = serde_json::to_string(series).unwrap_or_default() + "\n";
        out.write_all(line.as_bytes()).map_err(at(path))?;
    }
    out.finish().and_then(|mut file| file.flush()).map_err(at(path))
}

pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

pub(super) fn put(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(at(path))
}

pub(super) fn at(path: &Path) -> impl Fn(std::io::Error) -> Error + '_ {
    move |source| Error::File { path: path.to_owned(), source }
}

impl Incident {
    /// Reads a folder.
    ///
    /// # Errors
    /// When a file of it is missing, or is not what it should be.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE);
        // Its version first: another one may have other keys.
        let Version { version } = read_json(&path)?;
        if !(1..=VERSION).contains(&version) {
            let why = format!("it is of version {version}, and this firedrill reads versions 1 to {VERSION}");
            return Err(Error::Malformed { path, why });
        }
        let manifest: Manifest = read_json(&path)?;
        manifest.sound().map_err(|why| Error::Malformed { path, why: why.to_owned() })?;
        let alerts = read_json(&folder.join(ALERTS))?;
        let series = read_series(&folder.join(SERIES))?;
        let rules = rule_files(&folder.join(RULES))?;
        let routing = Some(folder.join(ROUTING)).filter(|path| path.exists());
        let mut sources = Sources::default();
        let subject = subject(rules, routing, &mut sources)?;
        Ok(Self { manifest, series, alerts, subject, sources })
    }

    /// What happened when, in Markdown.
    #[must_use]
    pub fn timeline(&self) -> String {
        let told =
            self.subject.routing.as_ref().map(|routing| pages(&self.alerts, routing, self.manifest.to));
        timeline::document(&self.manifest, &self.alerts, told.as_deref(), &sent(&self.series, &self.manifest))
    }
}

/// The rule files of a folder, by their names, in their order.
pub(super) fn rule_texts(folder: &Path) -> Result<Vec<(String, String)>, Error> {
    let text = |path: PathBuf| {
        let text = fs::read_to_string(&path).map_err(at(&path))?;
        Ok((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), text))
    };
    rule_files(&folder.join(RULES))?.into_iter().map(text).collect()
}

/// The routing of a folder, where it has one, as Alertmanager reads it.
pub(super) fn routing_of(folder: &Path) -> Result<Option<Node>, Error> {
    let path = folder.join(ROUTING);
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).map_err(at(&path))?;
    let id = Sources::default().add(&path, text.as_str());
    let document = yaml::parse(id, &text).ok().and_then(|documents| documents.into_iter().next());
    Ok(document.map(|document| yaml::as_elder(document, &text)))
}

/// The files of the SLOs that were recorded with an incident, in their order.
#[must_use]
pub fn slo_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join(SLOS)).into_iter().flatten();
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

/// Rules and routing of these files.
///
/// # Errors
/// What is wrong with them, drawn.
pub fn subject(
    rules: Vec<PathBuf>,
    alertmanager: Option<PathBuf>,
    sources: &mut Sources,
) -> Result<Subject, Error> {
    let first = rules.first().cloned().unwrap_or_default();
    let mut findings = Findings::default();
    let files = audit::Files { rules, alertmanager, ..audit::Files::default() };
    let (subject, _) = audit::read(&files, sources, &mut findings);
    if findings.any_error() {
        let drawn = findings.in_reading_order().into_iter().map(|one| one.draw(sources).render(false));
        let why = format!("\n{}", drawn.collect::<Vec<_>>().join("\n\n"));
        return Err(Error::Malformed { path: first, why });
    }
    Ok(subject)
}

pub(super) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let text = fs::read_to_string(path).map_err(at(path))?;
    serde_json::from_str(&text)
        .map_err(|error| Error::Malformed { path: path.to_owned(), why: error.to_string() })
}

pub(super) fn read_series(path: &Path) -> Result<Vec<Recorded>, Error> {
    let file = File::open(path).map_err(at(path))?;
    let mut lines = BufReader::new(GzDecoder::new(BufReader::new(file)).take(MOST_SERIES));
    let mut all = Vec::new();
    loop {
        let mut line = Vec::new();
        let read = lines.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(at(path))?;
        if read == 0 {
            return Ok(all);
        }
        let series = serde_json::from_slice(&line);
        all.push(series.map_err(|error| Error::Malformed {
            path: path.to_owned(),
            why: format!("series {}: {error}", all.len() + 1),
        })?);
    }
}

/// The rule files of a folder, in their order.
fn rule_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(folder).map_err(at(folder))?;
    let mut paths: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "yml"))
        .collect();
    paths.sort();
    Ok(paths)
}
