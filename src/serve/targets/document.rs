//! A list of targets as Prometheus reads them from files and over HTTP.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::exposition::Labels;
use crate::finding::{Code, Finding, Findings};
use crate::serve::document::Document;
use crate::source::At;
use crate::units::Span;
use crate::yaml::Entries;

/// How often a target is probed that does not say, as by Prometheus.
const EVERY: Duration = Duration::from_secs(60);

/// How long a probe may take that does not say, as by Prometheus.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The most targets of one list.
const MOST: usize = 200_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    targets: Vec<At<String>>,
    #[serde(default)]
    labels: Entries<At<String>>,
}

/// What is probed, how, and what its series are labelled with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::serve) struct Target {
    /// What tells its series from those of others.
    pub(in crate::serve) labels: Labels,
    pub(in crate::serve) address: String,
    pub(in crate::serve) module: String,
    pub(in crate::serve) hostname: Option<String>,
    pub(in crate::serve) every: Duration,
    pub(in crate::serve) timeout: Duration,
    pub(in crate::serve) login: Option<Login>,
}

/// Who we say we are to a target; what is secret stands in a file, which is read at each probe.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::serve) enum Login {
    Basic { user: String, password_file: PathBuf },
    Bearer { token_file: PathBuf },
}

/// Reads a list; `knows` says whether there is a module of that name. One that came over HTTP names no files.
///
/// # Errors
/// Everything that is wrong with it, drawn with its places.
pub(super) fn read(
    path: &Path,
    folder: Option<&Path>,
    bytes: Vec<u8>,
    knows: &dyn Fn(&str) -> bool,
) -> Result<Vec<Target>, String> {
    let Some(document) = Document::of(path, bytes)?.filter(|document| !document.is_nothing()) else {
        return Ok(Vec::new());
    };
    let groups: Vec<Group> = document.read()?;
    let mut findings = Findings::default();
    let mut all: BTreeMap<Labels, Target> = BTreeMap::new();
    for group in groups {
        let login = group.login(folder, &mut findings);
        group.add(&mut all, login, knows, &mut findings);
    }
    document.judged(all.into_values().collect(), findings)
}

impl Group {
    fn login(&self, folder: Option<&Path>, findings: &mut Findings) -> Option<Login> {
        let label = |wanted: &str| {
            let found = self.labels.0.iter().find(|(name, _)| name.value == wanted);
            found.map(|(_, value)| value).filter(|value| !value.value.is_empty())
        };
        let (user, password) = (label("__username__"), label("__password_file__"));
        let token = label("__bearer_token_file__");
        let any = user.or(password).or(token)?;
        let mut wrong = |title: &str| findings.add(Finding::new(Code::FileValue, any.place, title));
        let Some(folder) = folder else {
            wrong("a list that comes over HTTP names no files of this machine");
            return None;
        };
        match (user, password, token) {
            (Some(user), Some(password), None) => {
                Some(Login::Basic { user: user.value.clone(), password_file: folder.join(&password.value) })
            }
            (None, None, Some(token)) => Some(Login::Bearer { token_file: folder.join(&token.value) }),
            (Some(_) | None, Some(_) | None, Some(_) | None) => {
                wrong(
                    "`__username__` and `__password_file__` go together, or `__bearer_token_file__` stands alone",
                );
                None
            }
        }
    }

    fn add(
        self,
        all: &mut BTreeMap<Labels, Target>,
        login: Option<Login>,
        knows: &dyn Fn(&str) -> bool,
        findings: &mut Findings,
    ) {
        let mut wrong = |at: &At<String>, title: String| {
            findings.add(Finding::new(Code::FileValue, at.place, title));
        };
        let mut like = Target {
            labels: Labels::new(),
            address: String::new(),
            module: "http_2xx".to_owned(),
            hostname: None,
            every: EVERY,
            timeout: TIMEOUT,
            login,
        };
        for (name, value) in &self.labels.0 {
            match name.value.as_str() {
                "__param_module" if !knows(&value.value) => {
                    wrong(value, format!("there is no module `{}`", value.value));
                }
                "__param_module" => like.module.clone_from(&value.value),
                "__param_hostname" => like.hostname = Some(value.value.clone()),
                "__scrape_interval__" | "__scrape_timeout__" => {
                    let to =
                        if name.value == "__scrape_interval__" { &mut like.every } else { &mut like.timeout };
                    match value.value.parse::<Span>() {
                        Ok(span) if !span.0.is_zero() => *to = span.0,
                        Ok(_) | Err(_) => wrong(value, format!("`{}` is no time like `30s`", value.value)),
                    }
                }
                // What begins so is for whoever relabels, and there is nobody here.
                hidden if hidden.starts_with("__") => {}
                label if is_label(label) => {
                    if !value.value.is_empty() {
                        like.labels.insert(label.to_owned(), value.value.clone());
                    }
                }
                _ => wrong(name, format!("`{}` is no name of a label", name.value)),
            }
        }
        like.labels.entry("module".to_owned()).or_insert_with(|| like.module.clone());
        for target in self.targets {
            let mut one = like.clone();
            one.address.clone_from(&target.value);
            one.labels.entry("instance".to_owned()).or_insert_with(|| target.value.clone());
            if target.value.is_empty() {
                wrong(&target, "a target has an address".to_owned());
            } else if all.len() >= MOST {
                return wrong(&target, format!("there are more than {MOST} targets"));
            } else if all.insert(one.labels.clone(), one).is_some() {
                wrong(&target, format!("`{}` stands there twice with the same labels", target.value));
            }
        }
    }
}

fn is_label(name: &str) -> bool {
    let mut chars = name.chars();
    let begins = chars.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    begins && chars.all(|sign| sign.is_ascii_alphanumeric() || sign == '_')
}
