//! Drills whose own Prometheus fails them on the way: nothing that it has forgotten is taken for the end of an alert,
//! and what was seen before is told.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rstest::rstest;
use rustix::process::{Pid, Signal};
use serde_json::Value;

use super::{Folder, events, folder_of};

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

const CALM: &str = "
scenario: interrupted
stack: ../stack.yaml
clock: { speed: 60 }
steps:
  - { name: calm, quiet: { for: 5m } }
";

/// What events of a kind say.
fn all<'e>(events: &'e [(String, Value)], kind: &str) -> Vec<&'e Value> {
    events.iter().filter(|(name, _)| name == kind).map(|(_, value)| value).collect()
}

/// The rungs that an alert was seen to reach.
fn rungs(drilled: &Value) -> Vec<&str> {
    let rungs = drilled["alert"]["rungs"].as_array().into_iter().flatten();
    rungs.filter_map(|seen| seen["rung"].as_str()).collect()
}

#[rstest]
#[case::started_again("restart")]
#[case::killed_and_started("kill")]
#[ignore = "needs prometheus and alertmanager"]
fn a_prometheus_that_was_started_again_has_not_seen_an_alert_clear(#[case] how: &str) {
    let steps = format!(
        "  - name: dies\n    fault: {{ kill: web }}\n    alerts: {{ WebDown: {{ reaches: pager }} }}\n    while:\n      \
         - {{ name: forgets, fault: {{ {how}: prometheus }} }}\n"
    );
    let folder = folder_of(&format!("restarted-{how}"), &[("1.yaml", &format!("{CALM}{steps}"))]);
    let (code, events, said) = events(&folder, "processes");
    assert_eq!(code, Some(4), "{said}{events:#?}");
    let whys: Vec<_> = all(&events, "not_measured").iter().map(|event| event["why"].to_string()).collect();
    assert!(
        whys.iter().any(|why| why.contains("Prometheus was started again in mid-drill, at 20")),
        "{whys:?}"
    );
    assert!(whys.iter().any(|why| why.contains("tells receivers `resolved` of what goes on")), "{whys:?}");
    let drilled = all(&events, "drilled");
    assert_eq!(drilled.len(), 1, "{events:#?}");
    assert_eq!(drilled[0]["alert"]["proof"], "none");
    let rungs = rungs(drilled[0]);
    assert!(rungs.contains(&"delivered") && !rungs.contains(&"cleared"), "{rungs:?}");
}

#[test]
#[ignore = "needs prometheus and alertmanager"]
fn a_prometheus_that_dies_is_named_and_what_was_seen_is_told() {
    let steps = "  - { name: dies, fault: { kill: web }, alerts: { WebDown: { reaches: pager } } }\n";
    let folder = folder_of("gone", &[("1.yaml", &format!("{CALM}{steps}"))]);
    let (code, events) = disturbed_once(&folder, |_, prometheus| signal(prometheus, Signal::KILL));
    assert_eq!(code, Some(4), "{events:#?}");
    let whys: Vec<_> = all(&events, "not_measured").iter().map(|event| event["why"].to_string()).collect();
    let told = "the stack's Prometheus went away in mid-drill: it was ended by signal 9";
    assert!(whys.iter().any(|why| why.contains(told)), "{whys:?}");
    let drilled = all(&events, "drilled");
    assert_eq!(drilled.len(), 1, "{events:#?}");
    assert!(rungs(drilled[0]).contains(&"pending"), "{drilled:#?}");
    assert!(drilled[0]["alert"]["notes"].to_string().contains(told), "{drilled:#?}");
}

#[test]
#[ignore = "needs prometheus and alertmanager"]
fn a_fault_is_put_in_once_more_where_scrapes_were_late() {
    let text = "scenario: busy\nstack: ../stack.yaml\nclock: { speed: 200 }\nsteps:\n  \
                - { name: calm, quiet: { for: 5m } }\n  \
                - name: piles up\n    fault: { metrics: { service: web, family: queue_length, set: 250 } }\n    \
                alerts: { QueueLong: { reaches: team } }\n";
    let folder = folder_of("busy", &[("1.yaml", text)]);
    // All that is scraped passes through firedrill: for as long as it is held, no scrape ends.
    let (code, events) = disturbed_once(&folder, |firedrill, _| {
        signal(firedrill, Signal::STOP);
        thread::sleep(Duration::from_millis(300));
        signal(firedrill, Signal::CONT);
    });
    assert_eq!(code, Some(0), "{events:#?}");
    let ended = all(&events, "step_ended");
    let why =
        ended.iter().find(|event| event["step"]["name"] == "piles up").map(|event| event["why"].to_string());
    let why = why.unwrap_or_default();
    let told = "put in once more, since meanwhile ";
    assert!(why.contains(told) && why.contains("` took longer than 75ms"), "{why}");
    let stages: Vec<_> = all(&events, "fault").iter().filter_map(|event| event["stage"].as_str()).collect();
    assert_eq!(stages, ["added", "felt", "lifted", "added", "felt", "lifted"]);
    assert_eq!(all(&events, "drilled").len(), 1, "{events:#?}");
}

fn signal(pid: Pid, signal: Signal) {
    rustix::process::kill_process(pid, signal).expect("it can be told");
}

/// Runs scenarios, and does something to firedrill or to its Prometheus as soon as an alert is pending. How the run
/// ended, and its events.
fn disturbed_once(folder: &Folder, does: impl Fn(Pid, Pid)) -> (Option<i32>, Vec<(String, Value)>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    command.args(["run", "--no-save", "--quiet", "--runtime", "processes", "--report", "json=-"]);
    command.arg(folder.0.join("scenarios")).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = Ended(command.spawn().expect("firedrill runs"));
    let lines = BufReader::new(child.0.stdout.take().expect("it has an output")).lines();
    let (mut events, mut done) = (Vec::new(), false);
    for line in lines {
        let mut event: Value = serde_json::from_str(&line.expect("it is text")).expect("an event");
        let Value::Object(event) = event["event"].take() else { continue };
        let added = event.get("fault").is_some_and(|fault| fault["stage"] == "added");
        events.extend(event);
        if added && !done {
            let (prometheus, address) = prometheus_of(child.0.id());
            wait_until_pending(&address);
            does(pid(child.0.id()), prometheus);
            done = true;
        }
    }
    (child.0.wait().expect("it ends").code(), events)
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(number.cast_signed()).expect("a process")
}

/// A child that is ended with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The Prometheus among those that descend from a process, and where it listens.
fn prometheus_of(ancestor: u32) -> (Pid, String) {
    let descends = |pid: u32| {
        let mut at = pid;
        while at > 1 && at != ancestor {
            let status = fs::read_to_string(format!("/proc/{at}/status")).unwrap_or_default();
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
            at = parent.and_then(|parent| parent.trim().parse().ok()).unwrap_or(0);
        }
        at == ancestor
    };
    let all = fs::read_dir("/proc").expect("there is a /proc").filter_map(Result::ok);
    let pids = all.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    let listens = |pid: u32| {
        let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let is_own = words.split('\0').next().is_some_and(|program| program.ends_with("prometheus"));
        let address = words.split('\0').find_map(|word| word.strip_prefix("--web.listen-address="));
        address.filter(|_| is_own).map(str::to_owned)
    };
    let found = pids.filter_map(|pid| Some((pid, listens(pid)?))).find(|(pid, _)| descends(*pid));
    let (number, address) = found.expect("a Prometheus runs");
    (pid(number), address)
}

/// Waits until a Prometheus has an alert that is pending.
fn wait_until_pending(address: &str) {
    let began = Instant::now();
    loop {
        let mut stream = TcpStream::connect(address).expect("Prometheus listens");
        // After so many evaluations, whoever looks has seen it.
        let ask = "GET /api/v1/query?query=count_over_time(ALERTS[1m])%3E5 HTTP/1.1\r\nHost: prometheus\r\nConnection: close\r\n\r\n";
        stream.write_all(ask.as_bytes()).expect("it can be asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        if answer.contains("\"alertstate\":\"pending\"") {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "nothing is pending: {answer}");
        thread::sleep(Duration::from_millis(20));
    }
}
