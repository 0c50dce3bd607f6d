//! Files of others that `check` audits: those that are named, and those that stacks name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Arguments, Books};
use crate::audit::{self, Files, Live, Pages, Subject};
use crate::finding::Findings;
use crate::plan::{Kind, Plan, PlannedStack, Reading, kind_of};
use crate::prometheus::Client;
use crate::source::{self, Sources};
use crate::stack::containers::ImageMap;
use crate::yaml;

/// Folders within folders that are searched for dashboards, this deep.
const DEEPEST: usize = 16;

/// What was audited.
#[derive(Debug, Default)]
pub(super) struct Audited {
    pub(super) rules: BTreeSet<PathBuf>,
    pub(super) others: BTreeSet<PathBuf>,
    pub(super) dashboards: BTreeSet<PathBuf>,
}

/// What is audited together, and the file of the stack that names it, if one does.
struct Together {
    files: Files,
    stack: Option<PathBuf>,
}

/// In place of an address: each stack is brought up, looked at, and taken down.
pub(super) const STACK: &str = "stack";

/// Audits all that is named, and adds what is found.
pub(super) async fn audit_all(
    arguments: &Arguments,
    images: &ImageMap,
    dashboards: &[PathBuf],
    reading: &mut Reading,
) -> Result<Audited, String> {
    let live = match arguments.against.as_deref() {
        None | Some(STACK) => None,
        Some(address) => Some(look(arguments, address).await?),
    };
    let texts = own_texts(&reading.sources);
    let mut audited = Audited::default();
    let (mut looked, mut pages) = (false, Pages::new());
    for Together { files, stack } in all(arguments, dashboards, reading) {
        let mut findings = Findings::default();
        let (mut subject, ids) = audit::read(&files, &mut reading.sources, &mut findings);
        // What makes them unusable was found with the stack that names them.
        if stack.is_some() {
            findings = Findings::default();
        }
        audited.add(&files, &subject, &reading.sources);
        subject.texts.clone_from(&texts);
        look_up_runbooks(&arguments.runbooks, &mut subject, &mut pages).await?;
        let planned = stack.filter(|_| arguments.against.as_deref() == Some(STACK));
        let planned = planned.and_then(|file| {
            let plan = reading.plan.as_ref()?;
            Some((plan.all_stacks().find(|one| one.file == file)?, plan))
        });
        let held = match planned {
            Some((planned, plan)) => {
                let (left, refused) = super::stack::accepted(planned).await?;
                for one in refused {
                    let place = reading
                        .sources
                        .open(&one.file)
                        .map_or_else(|_| reading.sources.add(&one.file, ""), |(id, _)| id);
                    findings.add(audit::refused(place, &one.tool, &one.said));
                }
                Some(
                    super::stack::look(&left, &reading.sources, &plan.mask, arguments, images.clone())
                        .await?,
                )
            }
            None => None,
        };
        let seen = held.as_ref().map(|(live, _)| live).or(live.as_ref());
        looked |= seen.is_some();
        audit::audit(&subject, seen, &reading.sources, &mut findings);
        let done = match seen {
            Some(seen) => audit::audit_live(&subject, seen, &reading.sources, &mut findings).await,
            None => Ok(()),
        };
        if let Some((_, running)) = held {
            running.down().await;
        }
        done.map_err(|error| error.to_string())?;
        pages = subject.pages;
        let found = findings.in_reading_order();
        reading.findings.extend(audit::suppress(found, &ids, &reading.sources));
    }
    if arguments.against.is_some() && !looked {
        return Err(nothing_to_compare(arguments, reading));
    }
    once(reading);
    Ok(audited)
}

/// Says where links to runbooks are looked up, and fetches those that are to be beside the pages that there are.
async fn look_up_runbooks(books: &[Books], subject: &mut Subject, pages: &mut Pages) -> Result<(), String> {
    let folder = |book: &Books| match book {
        Books::Folder(folder) => Some(folder.clone()),
        Books::Http => None,
    };
    subject.runbooks = books.iter().filter_map(folder).collect();
    if books.contains(&Books::Http) {
        audit::fetch(subject, pages).await?;
    }
    subject.pages = std::mem::take(pages);
    Ok(())
}

/// Why nothing was compared with anything.
fn nothing_to_compare(arguments: &Arguments, reading: &Reading) -> String {
    match arguments.against.as_deref() {
        Some(STACK) if reading.plan.is_none() => {
            "no stack can be started while files are invalid; `check` without `--against` draws what is wrong"
        }
        Some(STACK) => "none of these files is or names a stack with a Prometheus",
        Some(_) | None => "none of these files has rules or queries that could be compared with it",
    }
    .to_owned()
}

/// Looks at what a Prometheus has.
async fn look(arguments: &Arguments, address: &str) -> Result<Live, String> {
    let client = Client::new(&arguments.reach.access(address)?).map_err(|error| error.to_string())?;
    Live::look(client).await.map_err(|error| error.to_string())
}

/// What is audited together: what is named, and what each stack names.
fn all(arguments: &Arguments, dashboards: &[PathBuf], reading: &Reading) -> Vec<Together> {
    let mut all: Vec<Together> = Vec::new();
    let mut rest: Vec<PathBuf> = dashboards.to_vec();
    for stack in reading.plan.iter().flat_map(Plan::all_stacks) {
        let mut files = files_of(stack);
        if files == Files::default() || all.iter().any(|one| one.files.prometheus == files.prometheus) {
            continue;
        }
        // A system's dashboards stand with its stack.
        let folder = stack.file.parent().unwrap_or(Path::new(""));
        let (own, others) = rest.into_iter().partition(|one| one.starts_with(folder));
        (files.dashboards, rest) = (own, others);
        all.push(Together { files, stack: Some(stack.file.clone()) });
    }
    let Arguments { rules, alertmanager, prometheus, .. } = arguments;
    let named = Files {
        rules: rules.clone(),
        alertmanager: alertmanager.clone(),
        prometheus: prometheus.clone(),
        dashboards: rest,
    };
    if named != Files::default() {
        all.insert(0, Together { files: named, stack: None });
    }
    all
}

/// What a stack's Prometheus and Alertmanager are given, as it is in production.
fn files_of(stack: &PlannedStack) -> Files {
    Files {
        rules: stack.prometheus.as_ref().map(|one| one.others.clone()).unwrap_or_default(),
        alertmanager: stack.alertmanager.as_ref().map(|one| one.file.clone()),
        prometheus: stack.prometheus.as_ref().map(|one| one.file.clone()),
        dashboards: Vec::new(),
    }
}

impl Audited {
    fn add(&mut self, files: &Files, subject: &Subject, sources: &Sources) {
        self.rules.extend(files.rules.iter().cloned());
        self.others.extend(files.alertmanager.iter().chain(&files.prometheus).cloned());
        self.dashboards.extend(subject.dashboards.iter().map(|board| sources.file(board.file).path.clone()));
    }
}

/// The files and folders that are no dashboards, and the dashboards among and in them.
pub(super) fn apart(paths: &[PathBuf]) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let (mut found, own): (Vec<_>, Vec<_>) = paths.iter().cloned().partition(|path| may_be_dashboard(path));
    for folder in &own {
        search(folder, 0, &mut |path| {
            if may_be_dashboard(path) {
                found.push(path.to_owned());
            }
        });
    }
    found.sort();
    found.dedup();
    (own, found)
}

/// Whether a file is JSON with panels in it.
fn may_be_dashboard(path: &Path) -> bool {
    let is_json = path.extension().is_some_and(|ending| ending == "json");
    let text = || source::read(path).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    is_json && text().is_some_and(|text| ["\"panels\"", "\"rows\""].iter().any(|key| text.contains(key)))
}

/// Tells of every file in a folder, in no order.
fn search(folder: &Path, depth: usize, tell: &mut dyn FnMut(&Path)) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth < DEEPEST && !hidden => search(&entry.path(), depth + 1, tell),
            Ok(kind) if kind.is_file() => tell(&entry.path()),
            Ok(_) | Err(_) => {}
        }
    }
}

/// The texts of firedrill's own files that may ask for metrics: all but stand-ins, which expose them.
fn own_texts(sources: &Sources) -> String {
    let asks = |id, text: &str| {
        let documents = yaml::parse(id, text).unwrap_or_default();
        documents.first().and_then(kind_of).is_some_and(|kind| kind != Kind::Profile)
    };
    let own = sources.iter().filter(|(id, file)| asks(*id, &file.text));
    own.map(|(_, file)| file.text.as_str()).collect::<Vec<_>>().join("\n")
}

/// Leaves of findings that say the same of the same place the first: a file may come by several ways.
fn once(reading: &mut Reading) {
    let mut seen = BTreeSet::new();
    let sources = &reading.sources;
    reading.findings.retain(|finding| {
        let place = finding.place;
        let path = sources.file(place.file).path.clone();
        seen.insert((path, place.start, place.end, finding.code, finding.title.clone()))
    });
}
