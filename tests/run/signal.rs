//! Stopped in the middle: what was measured is reported, nothing is left behind, and it is no pass.

use std::io::pipe;
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use firedrill::event::{Conclusion, Event, Outcome};
use rstest::rstest;

use crate::peer::{answer, http, serve};
use crate::support::{Drill, Ended, PATIENCE, StandIn};

/// How long a run may go on after it was told to stop.
const LEAVE: Duration = Duration::from_secs(5);

/// A target that answers, and says so each time.
fn told() -> (SocketAddr, Receiver<()>) {
    let (sender, receiver) = channel();
    let sender = Mutex::new(sender);
    let target = http(move |_| {
        sender.lock().unwrap().send(()).ok();
        answer(200, "", "")
    });
    (target, receiver)
}

/// Starts it, sends the signal once `count` requests came, and waits for the end.
fn stopped(drill: Drill, signal: &str, came: &Receiver<()>, count: usize) -> Ended {
    let started = drill.within(2 * PATIENCE).start();
    for _ in 0..count {
        came.recv_timeout(PATIENCE).unwrap();
    }
    let sent = Instant::now();
    started.signal(signal);
    let ended = started.end();
    assert!(sent.elapsed() < LEAVE, "{:?} after SIG{signal}", sent.elapsed());
    ended
}

/// Where the stand-ins of a run listened.
fn services(ended: &Ended) -> Vec<SocketAddr> {
    let ready = ended.events.iter().filter_map(|event| {
        let Event::ServiceReady { address, .. } = event else { return None };
        Some(address.parse().unwrap())
    });
    ready.collect()
}

#[rstest]
#[case::interrupted("INT")]
#[case::terminated("TERM")]
fn a_load_that_is_stopped_is_reported_as_far_as_it_came(#[case] signal: &str) {
    let (target, came) = told();
    let drill = Drill::run(format!(
        "scenario: cut\nstack: stack.yaml\nsteps:\n  - name: shoppers\n    \
         load: {{ rate: 50/s, for: 10m, http: {{ get: 'http://{target}/' }} }}\n  - name: after\n    wait: 10m\n"
    ));
    let drill = drill.file("stack.yaml", "stack: one\nservices: { shop: { simulate: shop.yaml } }\n");
    let ended = stopped(drill.file("shop.yaml", "stand-in: shop\n"), signal, &came, 20);
    assert_eq!(ended.exits(3).conclusion(), (Conclusion::Inconclusive, true));
    let (tally, failures) = ended.load("shoppers");
    assert!(
        (15..10_000).contains(&tally.ended) && tally.good == tally.ended && failures.is_empty(),
        "{tally:?}"
    );
    assert_eq!(ended.outcome("shoppers").0, Outcome::Passed);
    assert!(ended.stdout().lines().last().unwrap().ends_with("; interrupted"), "{}", ended.stdout());
    let junit = String::from_utf8_lossy(&ended.junit);
    assert!(junit.contains("interrupted") && junit.contains("not reached"), "{junit}");
    let [service] = services(&ended)[..] else { panic!("{:?}", services(&ended)) };
    assert!(TcpStream::connect(service).is_err(), "{service} still listens");
}

#[test]
fn a_failure_before_the_signal_stays_a_failure() {
    let (target, came) = told();
    let ended = stopped(
        Drill::run(format!(
            "scenario: cut\nsteps:\n  - name: first\n    http: {{ get: 'http://{target}/' }}\n    expect: {{ status: 404 }}\n  \
             - name: then\n    http: {{ get: 'http://{target}/' }}\n  - name: last\n    wait: 10m\n"
        )),
        "INT",
        &came,
        2,
    );
    assert_eq!(ended.exits(1).conclusion(), (Conclusion::Fail, true));
}

#[rstest]
#[case::an_attempt("http: { get: 'http://HELD/' }\n    timeout: 10m")]
#[case::a_conversation("websocket: { url: 'ws://HELD/', exchange: [{ receive: {} }] }\n    timeout: 10m")]
#[case::a_line("tcp: { address: 'HELD', exchange: [{ receive: contains x }] }\n    timeout: 10m")]
#[case::a_wait("wait: 10m")]
#[case::patience("http: { get: 'http://GONE/' }\n    within: 10m")]
#[case::load_in_flight("load: { users: 3, for: 10m, timeout: 10m, http: { get: 'http://HELD/' } }")]
fn nothing_outlives_a_signal(#[case] does: &str) {
    let (target, came) = told();
    // Whoever connects is held for as long as it likes.
    let held = serve(|stream, _| crate::peer::hold(stream));
    let does =
        does.replace("HELD", &held.to_string()).replace("GONE", &crate::peer::closed_port().to_string());
    let drill = Drill::run(format!(
        "scenario: held\nbackground:\n  - name: behind\n    {does}\nsteps:\n  - name: first\n    \
         http: {{ get: 'http://{target}/' }}\n  - name: second\n    http: {{ get: 'http://{target}/' }}\n  \
         - name: held\n    {does}\n"
    ));
    // With the second request the first step has passed.
    let ended = stopped(drill, "TERM", &came, 2);
    assert_eq!(ended.outcome("first"), (Outcome::Passed, 1));
    assert!(ended.conclusion().1, "{}", ended.stdout());
    assert!(matches!(ended.exit(), 1 | 3), "{}", ended.stdout());
}

#[test]
fn a_stand_in_ends_with_its_signal() {
    let stand_in = StandIn::of("stand-in: shop\n");
    let address = stand_in.address;
    assert!(TcpStream::connect(address).is_ok());
    assert_eq!(stand_in.end("TERM"), Some(0));
    assert!(TcpStream::connect(address).is_err(), "{address} still listens");
}

#[rstest]
#[case::run(&["run", "scenario.yaml"])]
#[case::json(&["run", "scenario.yaml", "--report", "json=-"])]
#[case::check(&["check", "scenario.yaml"])]
#[case::check_json(&["check", "scenario.yaml", "--format", "json"])]
#[case::plan(&["plan", "scenario.yaml"])]
#[case::schema(&["schema", "scenario"])]
#[case::simulate(&["simulate", "profile.yaml", "--listen", "127.0.0.1:0"])]
fn nobody_reading_is_no_pass_and_no_panic(#[case] arguments: &[&str]) {
    let (target, _came) = told();
    let drill = Drill::of(arguments.iter().copied())
        .file("scenario.yaml", format!("scenario: one\nsteps: [{{ http: {{ get: 'http://{target}/' }} }}]\n"))
        .file("profile.yaml", "stand-in: shop\n");
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut command = drill.command();
    let child = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    drop(command);
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(4), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}
