//! Targets of modules by lists that others write, in files and over HTTP as Prometheus has them: each is probed on a
//! schedule of its own.

mod document;
mod patrol;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Method, StatusCode};
use tokio_util::sync::CancellationToken;
use url::Url;

pub(super) use self::document::{Login, Target};
use self::patrol::Patrol;
pub(super) use self::patrol::Seen;
use super::Notice;
use super::house::House;
use crate::probe::connect::{Deadline, Options};
use crate::probe::http::{Request, send};
use crate::units::Size;

/// How often a file is looked at, and how often a list is asked for, as by Prometheus.
const LOOK: Duration = Duration::from_secs(5);
const REFRESH: Duration = Duration::from_secs(60);

/// How long asking for a list may take, and how long a list may be.
const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST: Size = Size(64 << 20);

/// Where a list is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum List {
    /// In a file.
    File(PathBuf),
    /// At an address.
    Url(Url),
}

impl std::str::FromStr for List {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        Ok(url.map_or_else(|| Self::File(PathBuf::from(text)), Self::Url))
    }
}

impl std::fmt::Display for List {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(url) => {
                let mut url = url.clone();
                // Only an address without a host refuses, and that has no user either.
                let _ = url.set_username("").and_then(|()| url.set_password(None));
                url.fmt(f)
            }
        }
    }
}

/// Every target, by list.
#[derive(Default)]
pub(super) struct Targets(Mutex<BTreeMap<String, Listed>>);

/// What is known of a list.
#[derive(Default)]
struct Listed {
    patrols: BTreeMap<Target, Patrol>,
    /// What was wrong with it when it was last read.
    trouble: Option<String>,
}

impl Targets {
    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<String, Listed>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Each target and what was last seen of it, in the order of lists.
    pub(super) fn seen(&self) -> Vec<(Target, Seen)> {
        self.change(|all| {
            let patrols = all.values().flat_map(|listed| &listed.patrols);
            patrols.map(|(target, patrol)| (target.clone(), patrol.seen())).collect()
        })
    }

    /// What is wrong with each list; nothing where it is sound.
    pub(super) fn troubles(&self) -> BTreeMap<String, Option<String>> {
        self.change(|all| all.iter().map(|(name, listed)| (name.clone(), listed.trouble.clone())).collect())
    }

    /// Ends every patrol.
    pub(super) fn close(&self) {
        self.change(|all| all.values().flat_map(|listed| listed.patrols.values()).for_each(Patrol::end));
    }
}

/// Reads a list again and again, and has its targets probed, until `stop` is cancelled.
pub(super) async fn follow(list: List, house: Arc<House>, stop: CancellationToken) {
    let pause = if matches!(list, List::File(_)) { LOOK } else { REFRESH };
    let mut before = None;
    loop {
        let read = async {
            match &list {
                List::File(path) => tokio::fs::read(path).await.map_err(|why| why.to_string()),
                List::Url(url) => fetch(url, &house).await,
            }
        };
        let Some(read) = stop.run_until_cancelled(Box::pin(read)).await else { return };
        // Modules that come to be, or go, make another list of the same text.
        let now = (read, Arc::as_ptr(&house.modules()) as usize);
        if before.as_ref() != Some(&now) {
            take(&list, now.0.clone(), &house);
            before = Some(now);
        }
        let again = async {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = house.again.notified() => {}
            }
        };
        if stop.run_until_cancelled(again).await.is_none() {
            return;
        }
    }
}

async fn fetch(url: &Url, house: &House) -> Result<Vec<u8>, String> {
    let mut request = Request::new(Method::GET, url.clone());
    request.redirects = 10;
    request.limit = LONGEST;
    request.options = Options { policy: house.policy(), ..Options::default() };
    let response = send(&request, &Deadline::after(PATIENCE)).await.result.map_err(|cause| cause.message)?;
    match response.status {
        StatusCode::OK => Ok(response.body.to_vec()),
        other => Err(format!("it answers {}", other.as_u16())),
    }
}

/// Puts what a list says in place of what it said before. One that is wrong changes nothing.
fn take(list: &List, read: Result<Vec<u8>, String>, house: &Arc<House>) {
    let (name, modules) = (&list.to_string(), house.modules());
    let folder = match list {
        List::File(path) => path.parent(),
        List::Url(_) => None,
    };
    let knows = |module: &str| modules.get(module).is_some();
    let unread = |why: String| format!("error: `{name}` cannot be read: {why}");
    let document =
        read.map_err(unread).and_then(|bytes| document::read(Path::new(name), folder, bytes, &knows));
    let (added, removed, trouble) = house.targets.change(|all| {
        let held = all.entry(name.clone()).or_default();
        let targets = match document {
            Ok(targets) => targets,
            Err(trouble) => {
                held.trouble = Some(trouble.clone());
                return (0, 0, Some(trouble));
            }
        };
        held.trouble = None;
        let mut former = std::mem::take(&mut held.patrols);
        let mut added = 0;
        for target in targets {
            let patrol = former.remove(&target).unwrap_or_else(|| {
                added += 1;
                Patrol::begin(target.clone(), Arc::clone(house))
            });
            held.patrols.insert(target, patrol);
        }
        former.values().for_each(Patrol::end);
        (added, former.len(), None)
    });
    house.notices.send(match trouble {
        Some(what) => Notice::Broken { file: PathBuf::from(name), what },
        None => Notice::Targets { list: name.clone(), added, removed },
    });
}
