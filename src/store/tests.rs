use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::event::Conclusion;
use crate::gate::{Policy, judge};
use crate::sample::Reason;
use crate::sli::{Counts, Folded, Sli};

/// A folder that is gone when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("firedrill-store-{:032x}", rand::random::<u128>()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("deep/store.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn samples(good: u64, bad: u64) -> Folded {
    let mut sli = Sli::watching(&[Duration::from_millis(250)]);
    for number in 0..good + bad {
        let outcome = if number < good { Ok(()) } else { Err(Reason::Status) };
        sli.record(outcome, Some(Duration::from_millis(100 + number)));
    }
    sli.folded()
}

fn total(store: &Store, sli: &str) -> Folded {
    store.folded(sli, at("2020-01-01T00:00:00Z"), at("2040-01-01T00:00:00Z")).unwrap()
}

#[test]
fn a_minute_adds_up() {
    let folder = Folder::new();
    let mut store = Store::open(&folder.file()).unwrap();
    let now = at("2026-05-01T10:00:59.9Z");
    store.add("shop", now, &samples(3, 1)).unwrap();
    store.add("shop", at("2026-05-01T10:00:00Z"), &samples(2, 0)).unwrap();
    store.add("shop", at("2026-05-01T10:01:00Z"), &samples(0, 1)).unwrap();
    store.add("mail", now, &samples(9, 0)).unwrap();
    drop(store);
    let store = Store::existing(&folder.file()).unwrap();
    assert_eq!(store.slis().unwrap(), ["mail", "shop"]);
    let slices = store.slices("shop", at("2026-05-01T10:00:00Z"), at("2026-05-01T10:02:00Z")).unwrap();
    let slice = |start, good, bad| Slice {
        start: at(start),
        length: Duration::from_secs(60),
        counts: Counts { good, bad },
    };
    assert_eq!(slices, [slice("2026-05-01T10:00:00Z", 5, 1), slice("2026-05-01T10:01:00Z", 0, 1)]);
    let mut wanted = samples(3, 1);
    wanted.merge(&samples(2, 0));
    wanted.merge(&samples(0, 1));
    assert_eq!(total(&store, "shop"), wanted);
    // A minute that the beginning cuts is left out; the one at hand is not.
    let cut = store.slices("shop", now, at("2026-05-01T10:01:30Z")).unwrap();
    assert_eq!(cut, [slice("2026-05-01T10:01:00Z", 0, 1)]);
    assert_eq!(store.slices("shop", now, at("2026-05-01T10:01:00Z")).unwrap(), []);
    assert_eq!(total(&store, "unheard of"), Folded::default());
}

#[test]
fn old_minutes_become_hours_and_days_and_are_then_forgotten() {
    let folder = Folder::new();
    let mut store = Store::open(&folder.file()).unwrap();
    let first = at("2026-01-01T22:30:00Z");
    for minute in 0..180 {
        store.add("shop", first + SignedDuration::from_mins(minute), &samples(9, 1)).unwrap();
    }
    let before = total(&store, "shop");
    let lengths = |store: &Store| -> Vec<(String, u64)> {
        let slices = store.slices("shop", first - SignedDuration::from_hours(48), at("2040-01-01T00:00:00Z"));
        slices.unwrap().iter().map(|slice| (slice.start.to_string(), slice.length.as_secs())).collect()
    };
    store.thin(at("2026-02-06T00:10:00Z"), Retention::default()).unwrap();
    let found = lengths(&store);
    assert_eq!(
        found[..2],
        [("2026-01-01T22:00:00Z".to_owned(), 3600), ("2026-01-01T23:00:00Z".to_owned(), 3600)]
    );
    assert_eq!(found.len(), 2 + 90, "minutes of the second day are not old enough");
    assert_eq!(total(&store, "shop"), before);
    // A minute that comes late joins the hour it lies in.
    store.add("shop", first, &samples(1, 0)).unwrap();
    assert_eq!(lengths(&store).len(), 2 + 90);
    store.thin(at("2026-06-01T00:00:00Z"), Retention::default()).unwrap();
    let days = [("2026-01-01T00:00:00Z".to_owned(), 86_400), ("2026-01-02T00:00:00Z".to_owned(), 86_400)];
    assert_eq!(lengths(&store), days);
    let mut wanted = before;
    wanted.merge(&samples(1, 0));
    assert_eq!(total(&store, "shop"), wanted);
    store.thin(at("2030-01-01T00:00:00Z"), Retention::default()).unwrap();
    assert_eq!(lengths(&store), []);
}

#[test]
fn runs_are_found_again() {
    let folder = Folder::new();
    let mut store = Store::open(&folder.file()).unwrap();
    for (id, conclusion) in [
        ("a", Some(Conclusion::Pass)),
        ("b", Some(Conclusion::Pass)),
        ("c", Some(Conclusion::Fail)),
        ("d", None),
    ] {
        store
            .begin(id, &format!("2026-01-01T00:00:0{}Z", id.as_bytes()[0] - b'a'), "1", Some("r.jsonl"))
            .unwrap();
        store.measured(id, "one", "shop", 60, &samples(5, 1)).unwrap();
        store.measured(id, "one", "shop", 120, &samples(2, 0)).unwrap();
        store.measured(id, "two", "shop", 120, &samples(1, 0)).unwrap();
        let judged = judge("99%".parse().unwrap(), Counts { good: 8, bad: 1 }, Policy::default());
        store.judged(id, "one", ("shop-available", "99% good"), &judged).unwrap();
        if let Some(conclusion) = conclusion {
            store.end(id, conclusion).unwrap();
        }
    }
    assert_eq!(store.last_green("x").unwrap().unwrap().id, "b");
    assert_eq!(store.last_green("b").unwrap().unwrap().id, "a");
    assert_eq!(store.run("c").unwrap().unwrap().conclusion, Some(Conclusion::Fail));
    assert_eq!(store.run("d").unwrap().unwrap().conclusion, None);
    assert_eq!(store.run("e").unwrap(), None);
    assert_eq!(store.of_run("a", "shop").unwrap().unwrap().counts, Counts { good: 8, bad: 1 });
    assert_eq!(store.of_run("a", "mail").unwrap(), None);
}

#[test]
fn an_override_is_kept_with_its_reason() {
    let folder = Folder::new();
    let store = Store::open(&folder.file()).unwrap();
    let decided = |at: &str, overridden| Decided {
        at: at.to_owned(),
        slo: "shop".to_owned(),
        objective: "99% good".to_owned(),
        verdict: "fail".to_owned(),
        said: "the budget is spent".to_owned(),
        overridden,
    };
    let plain = decided("2026-01-01T00:00:00Z", None);
    let forced = decided("2026-01-02T00:00:00Z", Some(("mends the outage".to_owned(), "ada".to_owned())));
    store.decided(&plain).unwrap();
    store.decided(&forced).unwrap();
    assert_eq!(store.decisions("2026-01-01").unwrap(), [forced.clone(), plain]);
    assert_eq!(store.decisions("2026-01-02").unwrap(), [forced]);
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let folder = Folder::new();
    let text = folder.0.join("text.db");
    std::fs::write(&text, "nothing of SQLite's, and long enough to be looked at\n".repeat(20)).unwrap();
    let other = folder.0.join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    for path in [text, other] {
        let before = std::fs::read(&path).unwrap();
        let said = Store::open(&path).unwrap_err().to_string();
        assert_eq!(said, format!("`{}` is no store of firedrill's, and is left alone", path.display()));
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}

#[test]
fn a_newer_store_is_refused() {
    let folder = Folder::new();
    let path = folder.file();
    let store = Store::open(&path).unwrap();
    store.connection.pragma_update(None, "user_version", 7).unwrap();
    drop(store);
    let said = Store::open(&path).unwrap_err().to_string();
    let wanted = format!(
        "`{}` was written by a newer firedrill (its layout is 7, this one knows 1); use that one, or another file",
        path.display()
    );
    assert_eq!(said, wanted);
}

#[test]
fn a_store_that_is_not_there_is_said() {
    let folder = Folder::new();
    let path = folder.file();
    let said = Store::existing(&path).unwrap_err().to_string();
    let wanted = format!(
        "there is no store at `{}`; a run makes one, and `--store FILE` says where it is",
        path.display()
    );
    assert_eq!(said, wanted);
    assert!(!path.exists());
}

#[test]
fn two_may_write_at_once() {
    let folder = Folder::new();
    let path = folder.file();
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let path = path.clone();
            std::thread::spawn(move || {
                let mut store = Store::open(&path).unwrap();
                for minute in 0..10 {
                    store.add("shop", Timestamp::from_second(minute * 60).unwrap(), &samples(1, 0)).unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    let store = Store::existing(&path).unwrap();
    let all = store.folded("shop", Timestamp::UNIX_EPOCH, at("2026-01-01T00:00:00Z")).unwrap();
    assert_eq!(all.counts, Counts { good: 40, bad: 0 });
}

#[rstest]
#[case::of_the_future("2045-01-01T00:00:00Z")]
#[case::of_the_past("1970-01-01T00:00:00Z")]
fn a_clock_that_is_wrong_breaks_nothing(#[case] moment: &str) {
    let folder = Folder::new();
    let mut store = Store::open(&folder.file()).unwrap();
    store.add("shop", at("2026-05-01T10:00:00Z"), &samples(1, 0)).unwrap();
    store.add("shop", at(moment), &samples(5, 5)).unwrap();
    let day = store.folded("shop", at("2026-05-01T00:00:00Z"), at("2026-05-02T00:00:00Z")).unwrap();
    assert_eq!(day.counts, Counts { good: 1, bad: 0 });
    store.thin(at(moment), Retention::default()).unwrap();
    store.add("shop", at("2026-05-01T10:00:00Z"), &samples(1, 0)).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn thinning_loses_nothing(minutes in proptest::collection::vec((0i64..90 * 1440, 1u64..4, 0u64..3), 1..40)) {
        let folder = Folder::new();
        let mut store = Store::open(&folder.file()).unwrap();
        let first = at("2026-01-01T00:00:00Z");
        for (minute, good, bad) in minutes {
            store.add("shop", first + SignedDuration::from_mins(minute), &samples(good, bad)).unwrap();
        }
        let before = total(&store, "shop");
        for day in [40, 60, 110, 200] {
            store.thin(first + SignedDuration::from_hours(24 * day), Retention::default()).unwrap();
            prop_assert_eq!(&total(&store, "shop"), &before);
        }
    }
}
