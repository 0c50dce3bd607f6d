//! Everything that is served: the watches, the files they come from, and how both change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::alerts::Bell;
use super::blackbox::Modules;
use super::catalogue::{Broken, Catalogue, Kept, Scene, stamp};
use super::clock::Jumps;
use super::door::Room;
use super::histogram::Histogram;
use super::keep::{Order, Standings};
use super::ledger::Ledger;
use super::probe::Calls;
use super::targets::Targets;
use super::traces::Spans;
use super::watch::Watch;
use super::web::Web;
use super::{Notice, Notices, Options, Reader};
use crate::event::Conclusion;
use crate::probe::policy::Policy;
use crate::run;
use crate::stack::Choice;
use crate::stack::containers::ImageMap;

/// What everything that is served shares.
pub(super) struct House {
    read: Reader,
    policy: Arc<Policy>,
    for_strangers: Arc<Policy>,
    /// Where the modules of `/probe` are written, if they are.
    blackbox: Option<PathBuf>,
    modules: Mutex<Arc<Modules>>,
    /// How the port is kept.
    pub(super) web: Web,
    /// Where this is.
    pub(super) location: Option<String>,
    /// What Alertmanagers are told.
    pub(super) bell: Bell,
    /// How often the clock jumped.
    pub(super) jumps: Arc<Jumps>,
    /// Where probes that were made are told of.
    pub(super) spans: Spans,
    /// What is probed by lists.
    pub(super) targets: Targets,
    /// Told when lists are to be read anew.
    pub(super) again: tokio::sync::Notify,
    pub(super) room: Room,
    /// Places for those who ask at `/probe`.
    pub(super) places: Semaphore,
    /// What came of those who asked there.
    pub(super) calls: Calls,
    /// Clients of the port that had to leave as there was no room.
    pub(super) sent_away: AtomicU64,
    program: PathBuf,
    pub(super) notices: Notices,
    orders: mpsc::Sender<Order>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) standings: Arc<Standings>,
    pub(super) started: Timestamp,
    /// Cancelled when runs under way are to end early.
    pub(super) abort: CancellationToken,
    watches: Mutex<BTreeMap<String, Watched>>,
    files: Mutex<Files>,
    delay: Mutex<Histogram>,
    /// Held while files are read, so that one reload ends before another begins.
    reloading: tokio::sync::Mutex<()>,
}

/// A watch and the task that it is.
struct Watched {
    watch: Watch,
    task: JoinHandle<()>,
}

/// What is known of the files.
#[derive(Debug, Clone, Default)]
pub(super) struct Files {
    /// When they were last read.
    pub(super) read: Option<Timestamp>,
    /// When they were last read and had no errors.
    pub(super) sound: Option<Timestamp>,
    pub(super) broken: Vec<Broken>,
    pub(super) passed_over: Vec<(String, String)>,
    slos: BTreeMap<String, Kept>,
    all: Vec<PathBuf>,
    stamp: u64,
}

/// What changed when files were read anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) added: usize,
    pub(super) changed: usize,
    pub(super) removed: usize,
}

impl House {
    pub(super) fn new(
        options: &Options,
        notices: Notices,
        orders: mpsc::Sender<Order>,
        ledger: Arc<Ledger>,
        standings: Arc<Standings>,
        web: Web,
        (spans, jumps): (Spans, Arc<Jumps>),
    ) -> Self {
        let room = Room::of(options.files);
        Self {
            read: Arc::clone(&options.read),
            policy: Arc::clone(&options.policy),
            for_strangers: Arc::clone(&options.for_strangers),
            web,
            location: options.location.clone(),
            bell: Bell::default(),
            spans,
            jumps,
            targets: Targets::default(),
            again: tokio::sync::Notify::new(),
            blackbox: options.blackbox.clone(),
            modules: Mutex::new(Arc::new(if options.blackbox.is_some() {
                Modules::default()
            } else {
                Modules::usual()
            })),
            room,
            places: Semaphore::new(room.probes),
            calls: Calls::default(),
            sent_away: AtomicU64::new(0),
            program: options.program.clone(),
            notices,
            orders,
            ledger,
            standings,
            started: Timestamp::now(),
            abort: CancellationToken::new(),
            watches: Mutex::default(),
            files: Mutex::default(),
            delay: Mutex::default(),
            reloading: tokio::sync::Mutex::default(),
        }
    }

    /// What a run needs that begins now.
    pub(super) fn run_options(&self, now: Timestamp) -> run::Options {
        run::Options {
            id: String::new(),
            started: now,
            seed: rand::random(),
            policy: Arc::clone(&self.policy),
            traced: true,
            runtime: Choice::Auto,
            images: ImageMap::default(),
            program: self.program.clone(),
            recordings: Vec::new(),
            jobs: run::Jobs::ONE,
            shard: crate::load::Shard::default(),
        }
    }

    /// Which addresses may be probed for whoever wrote the files.
    pub(super) fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy)
    }

    /// Which addresses may be probed for whoever asks.
    pub(super) fn policy_for_strangers(&self) -> Arc<Policy> {
        Arc::clone(&self.for_strangers)
    }

    /// The modules of `/probe`.
    pub(super) fn modules(&self) -> Arc<Modules> {
        Arc::clone(&locked(&self.modules))
    }

    /// Every watch, in the order of names.
    pub(super) fn watches(&self) -> Vec<Watch> {
        locked(&self.watches).values().map(|watched| watched.watch.clone()).collect()
    }

    /// The first of these scenarios that did not pass when it was last run.
    pub(super) fn down<'n>(&self, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
        let watches = locked(&self.watches);
        let failed = |name: &&str| {
            let watch = watches.get(*name).map(|watched| &watched.watch);
            let last = watch.and_then(|watch| watch.state().last().map(|ran| ran.conclusion));
            matches!(last, Some(Conclusion::Fail | Conclusion::NotMeasured))
        };
        let mut names = names;
        names.find(failed)
    }

    pub(super) fn files(&self) -> Files {
        locked(&self.files).clone()
    }

    /// How many scenarios are served, and how many SLOs are watched.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (locked(&self.watches).len(), locked(&self.files).slos.len())
    }

    /// A run began so much later than it was due.
    pub(super) fn delayed(&self, delay: Duration) {
        locked(&self.delay).record(delay);
    }

    pub(super) fn delays(&self) -> Histogram {
        locked(&self.delay).clone()
    }

    /// Reads all files anew where one of them has changed.
    pub(super) async fn reload_if_changed(self: &Arc<Self>) {
        let (all, known) = {
            let files = locked(&self.files);
            (files.all.clone(), files.stamp)
        };
        let now = tokio::task::spawn_blocking(move || stamp(&all)).await;
        if now.is_ok_and(|now| now != known) {
            self.reload().await;
        }
    }

    /// Reads all files anew. A file with errors changes nothing of what is served.
    pub(super) async fn reload(self: &Arc<Self>) {
        let _alone = self.reloading.lock().await;
        let read = Arc::clone(&self.read);
        let (blackbox, location) = (self.blackbox.clone(), self.location.clone());
        let catalogue = tokio::task::spawn_blocking(move || {
            let mut catalogue = Catalogue::of(read(), location.as_deref());
            let modules = blackbox.map(|path| {
                catalogue.files.push(path.clone());
                (Modules::read(&path), path)
            });
            let stamp = stamp(&catalogue.files);
            (catalogue, stamp, modules)
        });
        // A panic while reading was printed, and changes nothing either.
        let Ok((mut catalogue, stamp, modules)) = catalogue.await else { return };
        match modules {
            Some((Ok(modules), _)) => *locked(&self.modules) = Arc::new(modules),
            Some((Err(drawn), file)) => catalogue.broken.push(Broken { file, drawn }),
            None => {}
        }
        let first = locked(&self.files).read.is_none();
        let Catalogue { scenes, mut slos, broken, passed_over, files } = catalogue;
        let changes = self.swap(scenes, &broken, &files);
        for Broken { file, drawn } in &broken {
            self.notices.send(Notice::Broken { file: file.clone(), what: drawn.clone() });
        }
        if first {
            for (scenario, why) in &passed_over {
                self.notices.send(Notice::PassedOver { scenario: scenario.clone(), why: why.clone() });
            }
        } else {
            let Changes { added, changed, removed } = changes;
            self.notices.send(Notice::Reloaded { added, changed, removed, broken: broken.len() });
        }
        let now = Timestamp::now();
        let mut known = locked(&self.files);
        let sound = if broken.is_empty() { Some(now) } else { known.sound };
        let of_broken = |kept: &Kept| broken.iter().any(|broken| broken.file == kept.file);
        for (name, kept) in known.slos.iter().filter(|(_, kept)| of_broken(kept)) {
            slos.entry(name.clone()).or_insert_with(|| kept.clone());
        }
        let watched = slos.values().map(|kept| kept.slo.clone()).collect();
        *known = Files { read: Some(now), sound, broken, passed_over, slos, all: files, stamp };
        self.again.notify_waiters();
        // The keeper is there as long as anything is served.
        let _ = self.orders.send(Order::Watch(watched));
    }

    /// Puts what files say now in place of what they said before; what says the same goes on undisturbed.
    fn swap(
        self: &Arc<Self>,
        mut scenes: BTreeMap<String, Arc<Scene>>,
        broken: &[Broken],
        read: &[PathBuf],
    ) -> Changes {
        let mut changes = Changes::default();
        let mut watches = locked(&self.watches);
        let former = std::mem::take(&mut *watches);
        for (name, watched) in former {
            let file = watched.watch.scene.planned().map(|planned| planned.file.clone());
            match scenes.remove(&name) {
                Some(scene) if scene.is_same(&watched.watch.scene) => {
                    watches.insert(name, watched);
                }
                Some(scene) => {
                    changes.changed += 1;
                    watched.watch.closing.cancel();
                    let watch = watched.watch.renewed(scene, CancellationToken::new());
                    watches.insert(name, self.start(watch, Some(watched.task)));
                }
                None if file.is_none_or(|file| is_gone(&file, broken, read)) => {
                    changes.removed += 1;
                    watched.watch.closing.cancel();
                }
                // What was in a file that cannot be read now goes on as it was.
                None => {
                    watches.insert(name, watched);
                }
            }
        }
        for (name, scene) in scenes {
            changes.added += 1;
            let watch = Watch::new(name.clone(), scene, CancellationToken::new());
            watches.insert(name, self.start(watch, None));
        }
        changes
    }

    /// Starts a watch; what was there before it ends its run first.
    fn start(self: &Arc<Self>, watch: Watch, before: Option<JoinHandle<()>>) -> Watched {
        if let Some(planned) = watch.scene.planned() {
            planned
                .scenario
                .all_steps()
                .filter_map(|step| step.sli.as_ref())
                .for_each(|sli| self.ledger.know(sli));
        }
        let (going, house) = (watch.clone(), Arc::clone(self));
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                let _ = before.await;
            }
            going.go_on(house).await;
        });
        Watched { watch, task }
    }

    /// Begins no further run, and waits for those under way, but not for longer than `grace`.
    pub(super) async fn close(&self, grace: Duration) {
        self.targets.close();
        let watched = std::mem::take(&mut *locked(&self.watches));
        for one in watched.values() {
            one.watch.closing.cancel();
        }
        let mut tasks: Vec<_> = watched.into_values().map(|one| one.task).collect();
        let ended = async {
            for task in &mut tasks {
                let _ = task.await;
            }
        };
        if tokio::time::timeout(grace, ended).await.is_ok() {
            return;
        }
        self.abort.cancel();
        for task in tasks.iter_mut().filter(|task| !task.is_finished()) {
            // Every wait of a run listens, so this is soon.
            let _ = tokio::time::timeout(grace, task).await;
        }
    }
}

/// Whether a file does without the scenario that it had: it was read, and is sound, or it is not there any more.
fn is_gone(file: &Path, broken: &[Broken], read: &[PathBuf]) -> bool {
    let sound = !broken.iter().any(|broken| broken.file == file);
    sound && (read.iter().any(|read| read == file) || matches!(file.try_exists(), Ok(false)))
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
