//! What a file holds since the scenario began, also where it was rotated or truncated meanwhile.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::scenario::Scenario;
use crate::scenario::template::Scope;

/// How many bytes before a mark tell whether what stands there is still the same.
const REMEMBERED: u64 = 256;

/// Where each file ended that the steps of a scenario are to read.
#[derive(Debug, Default)]
pub struct Marks(BTreeMap<PathBuf, Arc<Mark>>);

/// Where a file ended. It is held open: what it becomes can be read even under another name.
#[derive(Debug)]
pub struct Mark {
    file: Arc<File>,
    end: u64,
    /// What stood right before that.
    before: Vec<u8>,
}

/// A part of a file.
#[derive(Debug)]
pub struct Stretch {
    file: Arc<File>,
    from: u64,
    to: u64,
    /// Whether it begins within a line.
    pub within_a_line: bool,
}

impl Marks {
    /// Marks the ends of all files that a scenario reads the rest of. What is not there, or has no name yet, has no
    /// end.
    #[must_use]
    pub fn set(scenario: &Scenario, scope: &Scope) -> Self {
        let logs = scenario.all_steps().filter_map(|step| step.does.log()).filter(|log| !log.whole);
        let marked = logs.filter_map(|logs| {
            let path = logs.beside.join(logs.file.fill(scope).ok()?);
            let mark = Mark::set(&path).ok()?;
            Some((path, Arc::new(mark)))
        });
        Self(marked.collect())
    }

    /// The mark of a file.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<Arc<Mark>> {
        self.0.get(path).cloned()
    }
}

impl Mark {
    /// Marks the end of a file.
    ///
    /// # Errors
    /// When it cannot be opened or read, or is none.
    pub fn set(path: &Path) -> io::Result<Self> {
        let (file, end) = open(path)?;
        let mut before = vec![0; usize::try_from(end.min(REMEMBERED)).unwrap_or_default()];
        file.read_exact_at(&mut before, end - end.min(REMEMBERED))?;
        Ok(Self { file, end, before })
    }

    /// What `file`, which is the marked one, holds now beyond the mark, if what was before it is still there.
    fn rest(&self, file: &Arc<File>, len: u64) -> Option<Stretch> {
        let mut now = vec![0; self.before.len()];
        let from = self.end - self.before.len() as u64;
        let same = len >= self.end && file.read_exact_at(&mut now, from).is_ok() && now == self.before;
        let within_a_line = self.before.last().is_some_and(|byte| *byte != b'\n');
        same.then(|| Stretch { file: Arc::clone(file), from: self.end, to: len, within_a_line })
    }
}

/// What has come to a file since it was marked; the whole of it where it was not.
///
/// # Errors
/// When it cannot be opened, or is none.
pub fn since(path: &Path, mark: Option<&Mark>) -> io::Result<Vec<Stretch>> {
    let now = open(path);
    let Some(mark) = mark else { return now.map(|(file, len)| vec![whole(file, len)]) };
    let is_same = |file: &File| Ok::<_, io::Error>(identity(file)? == identity(&mark.file)?);
    match now {
        Ok((file, len)) if is_same(&file)? => {
            Ok(vec![mark.rest(&file, len).unwrap_or_else(|| whole(file, len))])
        }
        Ok((file, len)) => {
            let old = mark.rest(&mark.file, mark.file.metadata()?.len());
            Ok(old.into_iter().chain([whole(file, len)]).collect())
        }
        // Moved away, and the next one is still to come.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(mark.rest(&mark.file, mark.file.metadata()?.len()).into_iter().collect())
        }
        Err(error) => Err(error),
    }
}

impl Stretch {
    /// The next bytes of it, at most `most`; none at its end, or where the file has become shorter.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn next(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.to - self.from).unwrap_or(usize::MAX);
        let mut bytes = vec![0; left.min(most)];
        let count = self.file.read_at(&mut bytes, self.from)?;
        bytes.truncate(count);
        self.from += count as u64;
        Ok(bytes)
    }
}

fn whole(file: Arc<File>, len: u64) -> Stretch {
    Stretch { file, from: 0, to: len, within_a_line: false }
}

/// What tells a file from others, as long as it is open.
fn identity(file: &File) -> io::Result<(u64, u64)> {
    file.metadata().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// A file and its length. What is none is not opened: that of a pipe would last until somebody writes to it.
fn open(path: &Path) -> io::Result<(Arc<File>, u64)> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
    }
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    Ok((Arc::new(file), len))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use rstest::rstest;

    use super::*;

    /// A folder with a log in it; both go with their test.
    struct Log(PathBuf);

    impl Log {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("firedrill-tail-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn path(&self) -> PathBuf {
            self.0.join("app.log")
        }

        fn append(&self, text: &str) {
            let file = fs::OpenOptions::new().append(true).create(true).open(self.path());
            file.unwrap().write_all(text.as_bytes()).unwrap();
        }

        fn since(&self, mark: Option<&Mark>) -> String {
            let mut told = String::new();
            for mut stretch in since(&self.path(), mark).unwrap() {
                told.push_str(if stretch.within_a_line { "|…" } else { "|" });
                loop {
                    let bytes = stretch.next(3).unwrap();
                    if bytes.is_empty() {
                        break;
                    }
                    told.push_str(&String::from_utf8(bytes).unwrap());
                }
            }
            told
        }
    }

    impl Drop for Log {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[rstest]
    #[case::nothing_new("same", "old\n", |_: &Log| {}, "|")]
    #[case::appended("appended", "old\n", |log: &Log| log.append("new\n"), "|new\n")]
    #[case::within_a_line("within", "old\nha", |log: &Log| log.append("lf\nnew\n"), "|…lf\nnew\n")]
    #[case::truncated("truncated", "old\nold\n", |log: &Log| fs::write(log.path(), "new\n").unwrap(), "|new\n")]
    #[case::truncated_and_grown(
        "grown", "old\n", |log: &Log| fs::write(log.path(), "new, and longer\n").unwrap(), "|new, and longer\n"
    )]
    #[case::rotated("rotated", "old\n", |log: &Log| {
        log.append("last\n");
        fs::rename(log.path(), log.0.join("app.log.1")).unwrap();
        log.append("new\n");
    }, "|last\n|new\n")]
    #[case::rotated_and_removed("removed", "old\n", |log: &Log| {
        log.append("last\n");
        fs::remove_file(log.path()).unwrap();
        log.append("new\n");
    }, "|last\n|new\n")]
    #[case::moved_away("moved", "old\n", |log: &Log| {
        log.append("last\n");
        fs::rename(log.path(), log.0.join("app.log.1")).unwrap();
    }, "|last\n")]
    #[case::empty_before("empty", "", |log: &Log| log.append("new\n"), "|new\n")]
    fn what_came_since_the_mark_is_read(
        #[case] name: &str,
        #[case] before: &str,
        #[case] change: impl FnOnce(&Log),
        #[case] told: &str,
    ) {
        let log = Log::new(name);
        log.append(before);
        let mark = Mark::set(&log.path()).unwrap();
        change(&log);
        assert_eq!(log.since(Some(&mark)), told);
    }

    #[test]
    fn a_file_without_a_mark_is_read_whole() {
        let log = Log::new("whole");
        log.append("old\nnew\n");
        assert_eq!(log.since(None), "|old\nnew\n");
    }

    #[rstest]
    #[case::absent("nowhere.log", io::ErrorKind::NotFound)]
    #[case::a_folder(".", io::ErrorKind::InvalidInput)]
    fn what_is_no_file_is_not_read(#[case] path: &str, #[case] kind: io::ErrorKind) {
        let log = Log::new(path);
        assert_eq!(since(&log.0.join(path), None).unwrap_err().kind(), kind);
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let log = Log::new("pipe");
        let made = std::process::Command::new("mkfifo").arg(log.path()).status().unwrap();
        assert!(made.success());
        assert_eq!(since(&log.path(), None).unwrap_err().to_string(), "it is no file");
    }
}
