//! Records of incidents, from a stand-in that answers like a Prometheus: whole ones, ones that are cut off and go on,
//! ones that would be too large, and ones in which nobody is named.
#![cfg(test)]

#[path = "../support/place.rs"]
mod place;
mod stand_in;

use std::fs::File;
use std::io::Read as _;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;

use self::place::Place;
use self::stand_in::{StandIn, World};

trait Recording {
    fn record(&self, stand_in: &StandIn, words: &[&str]) -> (Option<i32>, String);
    fn of(&self, name: &str) -> String;
    fn series(&self) -> String;
    fn all(&self) -> String;
}

impl Recording for Place {
    fn record(&self, stand_in: &StandIn, words: &[&str]) -> (Option<i32>, String) {
        let address = stand_in.address();
        let mut all = vec!["incident", "record", "--prometheus", &address];
        all.extend(words);
        if !words.contains(&"--from") {
            all.extend(["--from", "2026-11-20T02:00Z", "--to", "2026-11-20T03:00Z"]);
        }
        self.firedrill(&[&all[..], &["-o", "outage"]].concat())
    }

    /// A file of the record.
    fn of(&self, name: &str) -> String {
        self.read(&format!("outage/{name}"))
    }

    /// The series of the record, a line each.
    fn series(&self) -> String {
        let file = File::open(self.0.join("outage/series.jsonl.gz")).unwrap();
        let mut text = String::new();
        GzDecoder::new(file).read_to_string(&mut text).unwrap();
        text
    }

    /// Every file of the record as one text.
    fn all(&self) -> String {
        let names = ["incident.json", "alerts.json", "timeline.md", "rules/000-rules.yml"];
        names.map(|name| self.of(name)).join("\n") + &self.series()
    }
}

const PERSON: &str = "alice@example.com";

#[test]
fn an_outage_is_recorded_and_its_size_is_announced() {
    let (place, stand_in) = (Place::new(), StandIn::start(World::default()));
    let (code, said) = place.record(&stand_in, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("about 795 samples of 4 selectors are to be recorded, and 5000000 may be"),
        "{said}"
    );
    assert!(said.contains("1 alerts were active, 1 of them fired"), "{said}");
    assert!(!place.0.join("outage/unfinished").exists());
    let series = place.series();
    assert!(series.contains(PERSON), "{series}");
    let (code, said) = place.record(&stand_in, &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("there is an incident already"), "{said}");
}

#[test]
fn nobody_is_named_and_rules_still_select() {
    let (place, stand_in) = (Place::new(), StandIn::start(World::default()));
    let hidden = ["--hash-label", "user", "--map-label", "instance=10.0.0.7:9090:web-1"];
    let (code, said) = place.record(&stand_in, &hidden);
    assert_eq!(code, Some(0), "{said}");
    let all = place.all();
    for name in [PERSON, "alice", "10.0.0.7"] {
        assert!(!all.contains(name), "{name}: {all}");
    }
    let rules = place.of("rules/000-rules.yml");
    let hash = rules.split("user=\\\"").nth(1).unwrap().split("\\\"").next().unwrap().to_owned();
    assert!(hash.len() == 17 && hash.starts_with('h'), "{rules}");
    let hashed = format!("\"user\":\"{hash}\"");
    assert!(place.series().contains(&hashed), "{}", place.series());
    assert!(place.series().contains("\"instance\":\"web-1\""));
    assert!(place.of("alerts.json").contains(&hash) && place.of("timeline.md").contains(&hash));
    assert!(rules.contains(&format!("{hash} waits")), "its annotations: {rules}");
    assert!(place.of("incident.json").contains("values are hashed of `user`"));
    let other = Place::new();
    let (code, said) = other.record(&stand_in, &hidden);
    assert_eq!(code, Some(0), "{said}");
    assert!(!other.all().contains(&hash), "another record has other hashes");
}

#[test]
fn what_cannot_be_hidden_is_refused_before_anything_is_fetched() {
    let world = World { expression: "sum(x{user=~\"ali.*\"}) > 5".to_owned(), ..World::default() };
    let (place, stand_in) = (Place::new(), StandIn::start(world));
    let (code, said) = place.record(&stand_in, &["--hash-label", "user"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("rule `Waits`: `user=~\"…\"` is a pattern"), "{said}");
    assert!(!place.0.join("outage").exists());
    let (code, said) = place.record(&stand_in, &["--hash-label", "alertname"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("`alertname` cannot be hidden"), "{said}");
    let (code, said) = place.record(&stand_in, &["--map-label", "user"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("expected NAME=FROM:TO"), "{said}");
}

#[test]
fn a_record_that_was_cut_off_goes_on_where_it_stopped() {
    let world = World { claimed: Some(3_000), ..World::default() };
    let (place, stand_in) = (Place::new(), StandIn::start(world));
    let hidden = ["--hash-label", "user"];
    stand_in.break_after(3);
    let (code, said) = place.record(&stand_in, &hidden);
    assert_eq!(code, Some(4), "{said}");
    assert!(!place.0.join("outage/incident.json").exists());
    let before = stand_in.fetched();
    assert!(before.len() == 3, "{before:?}");

    // Another question does not go on with it.
    stand_in.mend();
    let other = ["--from", "2026-11-20T01:00Z", "--to", "2026-11-20T03:00Z"];
    let (code, said) = place.record(&stand_in, &[&hidden[..], &other].concat());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("holds an unfinished record of another question"), "{said}");

    let (code, said) = place.record(&stand_in, &hidden);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("goes on: 3 of its 16 parts are fetched"), "{said}");
    let all = stand_in.fetched();
    let mut once = all.clone();
    once.sort();
    once.dedup();
    assert_eq!((all.len(), once.len()), (16, 16), "nothing is fetched twice: {all:?}");
    // What was hashed before is hashed the same way behind: a series is one.
    let series = place.series();
    assert_eq!(series.lines().count(), 2, "{series}");
    assert!(!place.0.join("outage/unfinished").exists());

    // It is what it would have been at once, but for the hashes.
    let whole = Place::new();
    let (code, said) = whole.record(&StandIn::start(World::default()), &[]);
    assert_eq!(code, Some(0), "{said}");
    let samples = |text: &str| text.matches("],[").count();
    assert_eq!(samples(&series), samples(&whole.series()));
}

#[test]
fn a_million_series_are_refused_at_once() {
    let world = World { claimed: Some(1_000_000), ..World::default() };
    let (place, stand_in) = (Place::new(), StandIn::start(world));
    let began = Instant::now();
    let (code, said) = place.record(&stand_in, &[]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("and at most 5000000 are; the largest: "), "{said}");
    assert!(said.contains("--most-samples"), "{said}");
    assert!(stand_in.fetched().is_empty() && !place.0.join("outage").exists());
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn an_answer_that_never_ends_is_given_up() {
    let world = World { endless: true, ..World::default() };
    let (place, stand_in) = (Place::new(), StandIn::start(world));
    let (code, said) = place.record(&stand_in, &[]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("larger than"), "{said}");
}

#[test]
fn a_prometheus_that_lacks_part_of_the_time_is_recorded_and_that_is_said() {
    let world = World { first: Some("2026-11-20T02:20:00Z"), ..World::default() };
    let (place, stand_in) = (Place::new(), StandIn::start(world));
    let (code, said) = place.record(&stand_in, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("! nothing is known before 2026-11-20 02:20:00"), "{said}");
    assert!(place.of("timeline.md").contains("nothing is known before 2026-11-20 02:20:00"));
}

#[test]
fn labels_that_change_midway_are_two_series_and_one_alert_each() {
    let world = World { renamed: Some("2026-11-20T02:30:00Z"), ..World::default() };
    let (place, stand_in) = (Place::new(), StandIn::start(world));
    let (code, said) = place.record(&stand_in, &[]);
    assert_eq!(code, Some(0), "{said}");
    let series = place.series();
    assert_eq!(series.lines().filter(|line| line.contains("\"__name__\":\"x\"")).count(), 2);
    assert_eq!(place.of("alerts.json").matches("\"alertname\"").count(), 2);
    // No sample stands in both.
    assert_eq!(series.matches("],[").count(), 530 - 3);
}
