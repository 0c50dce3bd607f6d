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
