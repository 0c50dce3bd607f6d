//! What is kept when serving ends badly, and what is said where nothing can be kept.

use std::process::Command;

use super::*;

/// How long a whole minute may take to be over and written.
const MINUTES: Duration = Duration::from_secs(150);

fn stored(folder: &Path) -> (i64, i64) {
    let store = rusqlite::Connection::open(folder.join("store.db")).unwrap();
    store.busy_timeout(PATIENCE).unwrap();
    let count = "SELECT coalesce(sum(good + bad), 0), count(*) FROM slice";
    store.query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

/// What `serve` says when it does not begin, and its exit code.
fn refused(folder: &Path) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .args(["serve", "scenarios", "--store", "store.db", "--listen", "127.0.0.1:0"])
        .current_dir(folder)
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn what_was_written_survives_a_kill_and_is_counted_once() {
    let folder = Folder::new("killed");
    folder.scenario("well", &probing("well", target(WELL), "200ms"));
    let mut serving = Serving::start(&folder.0, &[]);
    let began = Instant::now();
    while stored(&folder.0).0 == 0 {
        assert!(began.elapsed() < MINUTES, "no minute is written");
        std::thread::sleep(Duration::from_millis(500));
    }
    serving.child.kill().unwrap();
    serving.child.wait().unwrap();
    drop(serving);
    let (samples, slices) = stored(&folder.0);
    let again = Serving::start(&folder.0, &[]);
    again.until("firedrill_sli_valid_total", &[("sli", "shop")], |n| n > 3.0);
    let more = again.value("firedrill_sli_valid_total", &[("sli", "shop")]).unwrap();
    assert_eq!(again.end(), Some(0));
    let (after, minutes) = stored(&folder.0);
    assert!(minutes >= slices, "no minute is gone");
    // Everything of both lives that was seen, and not twice what was there before.
    let fresh = f64::from(i32::try_from(after - samples).unwrap());
    assert!(fresh >= more && fresh < more + 100.0, "{samples} before, {after} after, {more} were seen");
}

/// A disk of a few megabytes that a folder is on, gone with its guard.
struct Disk(PathBuf);

impl Disk {
    fn under(folder: &Folder) -> Self {
        command("mount", &["-t", "tmpfs", "-o", "size=4m", "firedrill-test"], &folder.0);
        fs::create_dir(folder.0.join("scenarios")).unwrap();
        Self(folder.0.clone())
    }

    /// Takes all of its space.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = fs::File::create(&path).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        command("umount", &["--lazy"], &self.0);
    }
}

/// Files that nobody may change, root least of all, until this is gone.
struct Fixed(Vec<PathBuf>);

impl Fixed {
    fn new(files: Vec<PathBuf>) -> Self {
        for file in &files {
            command("chattr", &["+i"], file);
        }
        Self(files)
    }
}

impl Drop for Fixed {
    fn drop(&mut self) {
        self.0.iter().for_each(|file| command("chattr", &["-i"], file));
    }
}

fn command(program: &str, words: &[&str], path: &Path) {
    let output = Command::new(program).args(words).arg(path).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The next line of the log that tells of the store, once a minute is over.
fn told_of_store(serving: &Serving) -> Value {
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < MINUTES, "nothing is said of the store");
        if let Ok(line) = serving.log.recv_timeout(PATIENCE)
            && line["event"].as_str().is_some_and(|event| event.starts_with("store"))
        {
            return line;
        }
    }
}

/// Serving goes on while the store cannot be written, says so everywhere, and writes everything once when it can be again.
fn goes_on_without_its_store(folder: &Path, spoil: impl FnOnce() -> Box<dyn FnOnce()>) {
    let serving = Serving::start(folder, &[]);
    let valid = [("sli", "shop")];
    serving.until("firedrill_sli_valid_total", &valid, |samples| samples > 0.0);
    let mend = spoil();
    let said = told_of_store(&serving);
    assert_eq!(said["event"], "store", "{said}");
    assert!(said["error"].as_str().unwrap().contains("store.db"), "{said}");
    assert_eq!(serving.value("firedrill_store_writable", &[]), Some(0.0));
    assert!(serving.value("firedrill_store_write_failures_total", &[]).unwrap() > 0.0);
    assert!(serving.value("firedrill_store_waiting", &[]).unwrap() > 0.0);
    assert!(serving.get("/").contains("The store cannot be written"));
    let before = serving.value("firedrill_sli_valid_total", &valid).unwrap();
    serving.until("firedrill_sli_valid_total", &valid, |samples| samples > before + 5.0);
    let failed = [("scenario", "well"), ("conclusion", "fail")];
    assert_eq!(serving.value("firedrill_scenario_runs_total", &failed), Some(0.0));

    mend();
    assert_eq!(told_of_store(&serving)["event"], "store_mended");
    assert_eq!(serving.value("firedrill_store_writable", &[]), Some(1.0));
    assert_eq!(serving.value("firedrill_store_lost_samples_total", &[]), Some(0.0));
    assert!(!serving.get("/").contains("The store cannot be written"));
    each_sample_is_stored_once(serving, folder);
}

/// Ends it, and holds what it stored against what it counted.
fn each_sample_is_stored_once(serving: Serving, folder: &Path) {
    // No further run begins, so that what is counted now is all there will be.
    fs::remove_file(folder.join("scenarios/well.yaml")).unwrap();
    serving.logged("reloaded");
    let runs = [("scenario", "well")];
    let began = Instant::now();
    while serving.value("firedrill_scenario_runs_total", &runs).is_some() {
        assert!(began.elapsed() < PATIENCE, "it is served still");
    }
    let counted = settled(&serving);
    assert_eq!(serving.end(), Some(0));
    let connection = rusqlite::Connection::open(folder.join("store.db")).unwrap();
    let query = "SELECT sum(good + bad) * 1.0 FROM slice";
    let stored: f64 = connection.query_row(query, [], |row| row.get(0)).unwrap();
    assert_eq!(stored.to_string(), counted.to_string(), "each sample is there once");
    let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}

/// How many samples there are once there are no more.
fn settled(serving: &Serving) -> f64 {
    let count = || serving.value("firedrill_sli_valid_total", &[("sli", "shop")]).unwrap();
    let mut last = count();
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let now = count();
        if now.to_string() == last.to_string() {
            return now;
        }
        last = now;
    }
}

#[test]
#[ignore = "needs root, to have a disk of its own"]
fn a_disk_that_is_full_loses_nothing_once_there_is_space() {
    let folder = Folder::new("full");
    let disk = Disk::under(&folder);
    folder.scenario("well", &probing("well", target(WELL), "200ms"));
    goes_on_without_its_store(&folder.0, || {
        let filler = disk.fill();
        Box::new(move || fs::remove_file(filler).unwrap())
    });
}

#[test]
#[ignore = "needs root, to fix files"]
fn a_store_that_is_read_only_for_a_while_loses_nothing() {
    let folder = Folder::new("read-only");
    folder.scenario("well", &probing("well", target(WELL), "200ms"));
    let store = folder.0.join("store.db");
    goes_on_without_its_store(&folder.0, || {
        let fixed = Fixed::new(vec![store.clone(), store.with_file_name("store.db-wal")]);
        Box::new(move || drop(fixed))
    });
}

#[test]
#[ignore = "needs root, to fix files"]
fn what_cannot_be_written_until_the_end_is_told_to_be_lost() {
    let folder = Folder::new("lost");
    folder.scenario("well", &probing("well", target(WELL), "200ms"));
    let mut serving = Serving::start(&folder.0, &[]);
    serving.until("firedrill_sli_valid_total", &[("sli", "shop")], |samples| samples > 0.0);
    let store = folder.0.join("store.db");
    let fixed = Fixed::new(vec![store.clone(), store.with_file_name("store.db-wal")]);
    serving.signal(rustix::process::Signal::TERM);
    assert_eq!(serving.child.wait().unwrap().code(), Some(4));
    let said: Vec<_> = serving.log.iter().filter_map(|line| Some(line.as_str()?.to_owned())).collect();
    assert!(
        said.iter().any(|line| line.contains("samples are lost: `store.db` could not be written")),
        "{said:?}"
    );
    // Nor does it begin with a store that it cannot write.
    let (code, said) = refused(&folder.0);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("`store.db` is read-only"), "{said}");
    drop(fixed);
}

#[test]
fn a_store_of_a_newer_version_is_left_alone() {
    let folder = Folder::new("newer");
    folder.scenario("well", &probing("well", target(WELL), "200ms"));
    let serving = Serving::start(&folder.0, &[]);
    assert_eq!(serving.end(), Some(0));
    let store = rusqlite::Connection::open(folder.0.join("store.db")).unwrap();
    store.pragma_update(None, "user_version", 4711).unwrap();
    drop(store);
    let before = fs::read(folder.0.join("store.db")).unwrap();
    let (code, said) = refused(&folder.0);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("4711") || said.contains("newer"), "{said}");
    assert_eq!(fs::read(folder.0.join("store.db")).unwrap(), before);
}

#[test]
fn where_no_store_can_be_nothing_begins() {
    let folder = Folder::new("no-store");
    folder.scenario("well", &probing("well", target(WELL), "200ms"));
    fs::create_dir(folder.0.join("store.db")).unwrap();
    let (code, said) = refused(&folder.0);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("store.db"), "{said}");
}

#[test]
fn who_asks_slowly_is_sent_away_and_holds_up_nobody() {
    let folder = Folder::new("slow");
    folder.scenario("well", &probing("well", target(WELL), "200ms"));
    let serving = Serving::start(&folder.0, &[]);
    let mut slow: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(serving.address).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nx-slow: ").unwrap();
            stream
        })
        .collect();
    assert_eq!(serving.get("/-/healthy"), "firedrill is healthy.\n");
    for stream in &mut slow {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut said = Vec::new();
        // It is ended, with an answer or without; a peer that waits for ever would run out of the time to read.
        let ended = stream.read_to_end(&mut said);
        let reset = ended.as_ref().is_err_and(|why| why.kind() == std::io::ErrorKind::ConnectionReset);
        assert!(ended.is_ok() || reset, "{ended:?}");
    }
}

/// A clock that is as far off as a file says, in place of the system's.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *time) {
  int failed = syscall(SYS_clock_gettime, clock, time);
  const char *path = getenv("FAR");
  if (clock == CLOCK_REALTIME && path) {
    char text[32] = {0};
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file >= 0 && read(file, text, sizeof text - 1) > 0) time->tv_sec += atol(text);
    if (file >= 0) close(file);
  }
  return failed;
}
"#;

/// To the program, a machine that slept is one whose clock was set on: the time that passes stood still meanwhile.
#[test]
fn a_clock_that_is_set_on_and_back_is_told_of_and_nothing_counts_twice() {
    let folder = Folder::new("clock");
    folder.scenario("well", &probing("well", target(WELL), "200ms"));
    let file = |name: &str| folder.0.join(name).display().to_string();
    let is_off = |seconds: i32| {
        fs::write(file("far.new"), seconds.to_string()).unwrap();
        fs::rename(file("far.new"), file("far")).unwrap();
    };
    fs::write(file("clock.c"), CLOCK).unwrap();
    command("cc", &["-shared", "-fPIC", "-o", &file("clock.so")], &folder.0.join("clock.c"));
    is_off(0);
    let clock = [format!("LD_PRELOAD={}", file("clock.so")), format!("FAR={}", file("far"))];
    let serving = Serving::start_by(&["env", &clock[0], &clock[1]], &folder.0, &[]);
    let measured = || {
        let now = serving.value("firedrill_sli_valid_total", &[("sli", "shop")]).unwrap();
        serving.until("firedrill_sli_valid_total", &[("sli", "shop")], |samples| samples > now + 5.0);
    };
    measured();
    for (times, seconds) in [(1.0, 3600), (2.0, 0)] {
        is_off(seconds);
        let far = serving.logged("clock")["seconds"].as_i64().unwrap();
        let wanted = if seconds > 0 { 3600 } else { -3600 };
        assert!((far - wanted).abs() < 60, "{far} s");
        assert_eq!(serving.value("firedrill_clock_jumps_total", &[]), Some(times));
        assert!(serving.get("/").contains("The clock jumped by "));
        measured();
    }
    each_sample_is_stored_once(serving, &folder.0);
    let connection = rusqlite::Connection::open(folder.0.join("store.db")).unwrap();
    let apart = "SELECT max(start) - min(start) FROM slice";
    let apart: i64 = connection.query_row(apart, [], |row| row.get(0)).unwrap();
    assert!((3540..7200).contains(&apart), "the minutes of both times are there: {apart} s apart");
}
