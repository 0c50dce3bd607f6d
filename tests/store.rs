//! Saved runs and their history, and what is left of them when somebody pulls the plug.
#![cfg(test)]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use firedrill::sli::{Counts, Sli};
use firedrill::store::{Retention, Store};
use jiff::Timestamp;

/// Names the store that a child of this test writes to until it is killed.
const VICTIM: &str = "FIREDRILL_TEST_VICTIM";

/// A folder that is gone when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn minute(number: u64) -> Timestamp {
    Timestamp::from_second(i64::try_from(number).unwrap() * 60).unwrap()
}

fn samples() -> Sli {
    let mut sli = Sli::default();
    for millis in 1..40 {
        sli.record(Ok(()), Some(Duration::from_millis(millis)));
    }
    sli
}

/// Writes minutes, and says of each that it is safe once it is; thins them out now and then.
fn write(path: &Path, first: u64, count: u64, mut said: impl FnMut(u64)) {
    let mut store = Store::open(path).unwrap();
    let samples = samples().folded();
    for number in first..first.saturating_add(count) {
        store.add("shop", minute(number), &samples).unwrap();
        said(number);
        if number % 50 == 0 {
            // A clock that runs ahead: everything until now is old.
            store.thin(minute(number + 36 * 1440), Retention::default()).unwrap();
        }
    }
}

fn all(path: &Path) -> Counts {
    let store = Store::existing(path).unwrap();
    store.folded("shop", Timestamp::UNIX_EPOCH, minute(1_000_000_000)).unwrap().counts
}

/// In a child process of the test below this writes to the store that is named until it is killed.
#[test]
fn minutes_are_acknowledged_one_by_one() {
    if let Some(path) = std::env::var_os(VICTIM) {
        let first = std::env::var("FIREDRILL_TEST_FIRST").unwrap().parse().unwrap();
        write(Path::new(&path), first, u64::MAX, |number| println!("safe {number}"));
    }
    let folder = Folder::new("acknowledged");
    let (path, mut safe) = (folder.0.join("store.db"), Vec::new());
    write(&path, 1, 60, |number| safe.push(number));
    assert_eq!(safe, (1..61).collect::<Vec<_>>());
    assert_eq!(all(&path), Counts { good: 60 * 39, bad: 0 });
}

/// Kills a writer at many moments, while it adds and while it thins, and looks at what is left.
#[test]
fn a_killed_writer_loses_nothing_it_said_was_safe() {
    const KILLS: u64 = 25;
    let folder = Folder::new("killed");
    let path = folder.0.join("store.db");
    let (mut first, mut safe) = (1, 0);
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "minutes_are_acknowledged_one_by_one", "--nocapture"])
            .env(VICTIM, &path)
            .env("FIREDRILL_TEST_FIRST", first.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // After so many acknowledgements the child is amid the next write, or the next thinning.
        let wanted = usize::try_from(1 + kill * 7 % 60).unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut numbers = lines.filter_map(|line| line.strip_prefix("safe ")?.parse::<u64>().ok());
        let mut latest = numbers.by_ref().take(wanted).last();
        child.kill().unwrap();
        child.wait().unwrap();
        // What was said before the kill counts as well.
        latest = numbers.last().or(latest);
        let latest = latest.expect("the writer says that a minute is safe");
        safe += latest - first + 1;
        first = latest + 2;

        let store = rusqlite::Connection::open(&path).unwrap();
        let integrity: String = store.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(integrity, "ok");
        drop(store);
        let found = all(&path);
        // At most the minute under way at each kill is there without having been acknowledged.
        let least = safe * 39;
        assert!((least..=least + (kill + 1) * 39).contains(&found.good), "{found:?} and {safe} safe minutes");
    }
}

#[test]
fn a_run_is_saved_with_its_minutes_and_verdicts() {
    let folder = Folder::new("saved");
    let scenario = std::fs::canonicalize("scenarios/quickstart.yaml").unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .args(["run", "--quiet"])
        .arg(&scenario)
        .current_dir(&folder.0)
        .env_remove("FIREDRILL_NO_SAVE")
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
    let saved = folder.0.join(".firedrill");
    let runs: Vec<_> =
        std::fs::read_dir(saved.join("runs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [events] = runs.as_slice() else { panic!("{runs:?}") };
    let id = events.file_stem().unwrap().to_string_lossy().into_owned();
    let store = Store::existing(&saved.join("store.db")).unwrap();
    assert_eq!(store.last_green("").unwrap().unwrap().id, id);
    let sli = store.slis().unwrap().remove(0);
    let now = Timestamp::now();
    let history = store.folded(
        &sli,
        now - jiff::SignedDuration::from_hours(1),
        now + jiff::SignedDuration::from_mins(2),
    );
    assert_eq!(store.of_run(&id, &sli).unwrap().unwrap(), history.unwrap());
    assert!(saved.join(".gitignore").exists());
}

#[test]
fn a_run_that_is_not_to_be_saved_leaves_nothing() {
    let folder = Folder::new("unsaved");
    let scenario = std::fs::canonicalize("scenarios/first.yaml").unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    run.args(["run", "--quiet", "--no-save"])
        .arg(&scenario)
        .current_dir(&folder.0)
        .env_remove("FIREDRILL_NO_SAVE");
    assert!(run.output().unwrap().status.success());
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 0);
}

/// As `docs/store.md` shows it.
#[test]
#[ignore = "needs sqlite3"]
fn plain_sqlite3_reads_it() {
    let folder = Folder::new("plain");
    let path = folder.0.join("store.db");
    write(&path, 1, 3, |_| {});
    let page = std::fs::read_to_string("docs/store.md").unwrap();
    let queries: Vec<_> =
        page.split("```sql\n").skip(1).map(|part| part.split("```").next().unwrap()).collect();
    assert!(queries.len() >= 3, "docs/store.md shows queries");
    for query in queries {
        let asked = Command::new("sqlite3").arg(&path).arg(query).output().unwrap();
        assert!(asked.status.success(), "{query}{}", String::from_utf8_lossy(&asked.stderr));
    }
    let asked =
        Command::new("sqlite3").arg(&path).arg("SELECT sum(good), sum(bad) FROM slice").output().unwrap();
    assert_eq!(String::from_utf8(asked.stdout).unwrap(), "117|0\n");
}
