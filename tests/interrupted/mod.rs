//! Drills whose own Prometheus fails them on the way: nothing that it has forgotten is taken for the end of an alert,
//! and what was seen before is told.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::Value;

use super::{events, folder_of};

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
    let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    command.args(["run", "--no-save", "--quiet", "--runtime", "processes", "--report", "json=-"]);
    command.arg(folder.0.join("scenarios")).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = Ended(command.spawn().expect("firedrill runs"));
    let lines = BufReader::new(child.0.stdout.take().expect("it has an output")).lines();
    let mut events = Vec::new();
    for line in lines {
        let mut event: Value = serde_json::from_str(&line.expect("it is text")).expect("an event");
        let Value::Object(event) = event["event"].take() else { continue };
        let added = event.get("fault").is_some_and(|fault| fault["stage"] == "added");
        events.extend(event);
        if added {
            let (pid, address) = prometheus_of(child.0.id());
            wait_until_pending(&address);
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it can be killed");
        }
    }
    assert_eq!(child.0.wait().expect("it ends").code(), Some(4), "{events:#?}");
    let whys: Vec<_> = all(&events, "not_measured").iter().map(|event| event["why"].to_string()).collect();
    let told = "the stack's Prometheus went away in mid-drill: it was ended by signal 9";
    assert!(whys.iter().any(|why| why.contains(told)), "{whys:?}");
    let drilled = all(&events, "drilled");
    assert_eq!(drilled.len(), 1, "{events:#?}");
    assert!(rungs(drilled[0]).contains(&"pending"), "{drilled:#?}");
    assert!(drilled[0]["alert"]["notes"].to_string().contains(told), "{drilled:#?}");
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
fn prometheus_of(ancestor: u32) -> (rustix::process::Pid, String) {
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
    let (pid, address) = found.expect("a Prometheus runs");
    (rustix::process::Pid::from_raw(pid.cast_signed()).expect("a process"), address)
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
