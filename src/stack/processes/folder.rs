//! A run's folder: what its services are given and write, and a note of each process that was started.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::user::User;
use crate::stack::Error;

/// Held by the run as long as it lives.
const LOCK: &str = "lock";

/// The processes that were started.
const NOTES: &str = "processes";

/// How often removing a folder is tried: a process that is being ended may still write in it.
const TRIES: u32 = 40;

/// A run's folder, removed when it is dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Whoever can lock it knows that the run is over.
    held: Option<File>,
    notes: Mutex<Option<File>>,
}

/// The folder that holds those of every run of this user.
#[must_use]
pub fn all_runs() -> PathBuf {
    std::env::temp_dir().join(format!("firedrill-{}", rustix::process::getuid().as_raw()))
}

impl Folder {
    /// Makes the folder of run `id`, after those of runs that are over were removed.
    pub(in crate::stack) fn new(id: &str) -> Result<Self, Error> {
        let above = all_runs();
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Folder { path, source }
        };
        own(&above).map_err(failed(&above))?;
        let _ = crate::stack::clean::clean();
        let path = above.join(id);
        // Traversed by services that run as somebody else; what is within is theirs alone.
        fs::DirBuilder::new().mode(0o711).create(&path).map_err(failed(&path))?;
        let mut folder = Self { path, held: None, notes: Mutex::default() };
        let opened = |name| File::options().create(true).append(true).open(folder.path.join(name));
        let lock = opened(LOCK).map_err(failed(&folder.path))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|errno| failed(&folder.path)(errno.into()))?;
        let notes = opened(NOTES).map_err(failed(&folder.path))?;
        folder.held = Some(lock);
        folder.notes = Mutex::new(Some(notes));
        Ok(folder)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of a service.
    #[must_use]
    pub fn of(&self, service: &str) -> PathBuf {
        self.path.join(service)
    }

    /// The log of a service.
    #[must_use]
    pub fn log(&self, service: &str) -> PathBuf {
        self.path.join(format!("{service}.log"))
    }

    /// Makes the folder of a service, empty and its user's own.
    pub(super) fn make(&self, service: &str, user: Option<User>) -> io::Result<PathBuf> {
        let path = self.of(service);
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        give(&path, user)?;
        Ok(path)
    }

    /// Notes a process, so that it is found by whoever cleans up after us.
    pub(super) fn note(&self, pid: i32) {
        let mut notes = self.notes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let (Some(notes), Some(started)) = (notes.as_mut(), started_at(pid)) {
            let _ = writeln!(notes, "{pid} {started}");
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Gives a file to a user.
pub(super) fn give(path: &Path, user: Option<User>) -> io::Result<()> {
    match user {
        Some(user) => std::os::unix::fs::chown(path, Some(user.uid), Some(user.gid)),
        None => Ok(()),
    }
}

/// Makes a folder that is ours, or sees that it is: in a folder that is open to all, another could have made it.
fn own(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o711).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => return other,
    }
    let known = fs::symlink_metadata(path)?;
    let ours = std::os::unix::fs::MetadataExt::uid(&known) == rustix::process::getuid().as_raw();
    if ours && known.is_dir() && known.permissions().mode() & 0o022 == 0 {
        Ok(())
    } else {
        Err(io::Error::other("it is there already, and another user could write in it"))
    }
}

/// Removes a folder and all that is in it.
pub(in crate::stack) fn remove(path: &Path) {
    for _ in 0..TRIES {
        match fs::remove_dir_all(path) {
            Ok(()) => return,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(_) => std::thread::sleep(Duration::from_millis(25)),
        }
    }
}

/// Whether the run whose folder this is, still lives. `None` where nobody can tell yet.
pub(in crate::stack) fn is_over(path: &Path) -> Option<bool> {
    let lock = File::options().append(true).open(path.join(LOCK)).ok()?;
    Some(flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok())
}

/// The processes that a run has noted and that are still there, by number.
pub(in crate::stack) fn noted(path: &Path) -> Vec<i32> {
    let text = fs::read_to_string(path.join(NOTES)).unwrap_or_default();
    let noted = text.lines().filter_map(|line| {
        let (pid, started) = line.split_once(' ')?;
        let (pid, started): (i32, u64) = (pid.parse().ok()?, started.parse().ok()?);
        // A number may have been given to another process since.
        (started_at(pid) == Some(started)).then_some(pid)
    });
    noted.collect()
}

/// When a process was started, in ticks since the machine was; with its number it names a process for ever.
fn started_at(pid: i32) -> Option<u64> {
    super::supervise::stat(pid)?.get(19)?.parse().ok()
}

/// A folder for a test.
#[cfg(test)]
pub(super) fn temporary() -> Folder {
    let path = all_runs().with_file_name(format!(
        "firedrill-test-{}-{:08x}",
        std::process::id(),
        rand::random::<u32>()
    ));
    fs::create_dir_all(&path).unwrap();
    Folder { path, held: None, notes: Mutex::default() }
}
