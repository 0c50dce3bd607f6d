//! Services that misbehave in their containers, and what else a machine can have against a stack.

use std::net::TcpListener;
use std::process::Output;

use rstest::rstest;

use super::runs::{Place, told};

/// Runs a scenario on this one service of an image, and then waits a little.
fn run(place: &Place, service: &str) -> Output {
    let stack = format!("stack: bad\nservices:\n  s:\n    image: redis:7\n{service}");
    std::fs::write(place.folder.join("stack.yaml"), stack).unwrap();
    let scenario = "scenario: bad\nstack: stack.yaml\nsteps: [{ wait: 500ms }]\n";
    std::fs::write(place.folder.join("bad.yaml"), scenario).unwrap();
    let words = ["run", "bad.yaml", "--no-save", "--runtime", "containers", "--image-map", "images.yaml"];
    place.firedrill(&words).output().unwrap()
}

#[rstest]
#[case::crashes_at_once(
    "    command: [sh, -c, \"echo out of luck >&2; exit 3\"]\n    ready: { log: never }\n",
    "service `s` exited with 3 before it was ready; the end of its log: out of luck"
)]
#[case::never_ready(
    "    command: [sh, -c, \"echo any moment; exec sleep 600\"]\n    ready: { log: ^now$, within: 3s }\n",
    "service `s` is not ready after 3s: no line of its log matches `^now$`; the end of its log: any moment"
)]
#[case::no_such_program("    command: [/no/such/program]\n    ready: { log: never }\n", "service `s`")]
#[ignore = "needs a container engine"]
fn a_container_that_does_not_come_up_says_why(#[case] service: &str, #[case] why: &str) {
    let place = Place::new("bad", false);
    let output = run(&place, service);
    let said = told(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains(why), "{said}");
    assert_eq!(place.left(), [""; 0]);
}

#[rstest]
#[case::floods_its_log("yes flood")]
#[case::ignores_sigterm("trap '' TERM INT HUP; while :; do sleep 1; done")]
#[ignore = "needs a container engine"]
fn a_container_that_misbehaves_ends_with_the_run(#[case] does: &str) {
    let place = Place::new("deaf", false);
    let output = run(&place, &format!("    command: [sh, -c, \"{does}\"]\n"));
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(place.left(), [""; 0]);
}

#[test]
#[ignore = "needs a container engine"]
fn a_port_that_is_taken_on_this_machine_is_no_hindrance() {
    let place = Place::new("taken", false);
    // Everywhere, so that no gateway has it.
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let service = format!(
        "    command: redis-server --save \"\" --port {port}\n    ports: {{ redis: {port} }}\n    ready: {{ tcp: redis }}\n"
    );
    let output = run(&place, &service);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(place.left(), [""; 0]);
}
