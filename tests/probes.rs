//! Kinds of probe by the real binary: what their scenarios show, and what a failure looks like.
#![cfg(test)]

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use rstest::rstest;

fn firedrill(scenario: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_firedrill")).args(["run", scenario]).output().unwrap()
}

/// Runs a scenario of these steps from a folder of its own.
fn run_steps(steps: &str) -> (Option<i32>, String) {
    let folder = Folder::new();
    let file = folder.0.join("scenario.yaml");
    std::fs::write(&file, format!("scenario: steps\nsteps:\n{steps}")).unwrap();
    let run = firedrill(&file.to_string_lossy());
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    let text = text + &String::from_utf8_lossy(&run.stderr);
    (run.status.code(), text)
}

/// A folder that goes with its test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("firedrill-probes-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[rstest]
#[case::exec("scenarios/probes/exec.yaml")]
#[case::kubelet("scenarios/probes/kubelet.yaml")]
#[case::logs("scenarios/probes/logs.yaml")]
#[case::load("scenarios/load/browse.yaml")]
fn a_shipped_scenario_passes(#[case] scenario: &str) {
    let run = firedrill(scenario);
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert_eq!(run.status.code(), Some(0), "{out}\n{err}");
    assert!(out.lines().last().is_some_and(|line| line.starts_with("PASS")), "{out}");
}

#[rstest]
#[case::exit(
    "{ exec: { shell: 'echo out of stock >&2; exit 3' } }",
    "the program exited with 3",
    "it wrote to standard error: out of stock"
)]
#[case::another_exit(
    "{ exec: { shell: exit 3 }, expect: { exit: at most 2 } }",
    "the exit code is 3, expected at most 2",
    "status"
)]
#[case::signal("{ exec: { shell: kill -9 $$ }, expect: { exit: not 0 } }", "was ended by signal 9", "status")]
#[case::output(
    "{ exec: { shell: echo hi }, expect: { stdout: ho } }",
    "the output is \"hi\", expected \"ho\"",
    "body"
)]
#[case::json("{ exec: { shell: echo hi }, expect: { json: { $.a: 1 } } }", "the body is not JSON", "json")]
#[case::deadline(
    "{ exec: { shell: sleep 600 }, timeout: 300ms }",
    "300ms passed before the program ended",
    "timeout(exchange)"
)]
#[case::absent("{ exec: { command: [no-such-program] } }", "there is no such program", "connect")]
#[case::flood(
    "{ exec: { shell: yes | head -c 100000 }, expect: { stdout: not contains n } }",
    "wrote 100000 bytes to standard output; 64KiB are kept",
    "a higher `limit` keeps more"
)]
fn a_program_that_fails_says_how(#[case] step: &str, #[case] title: &str, #[case] more: &str) {
    let (code, text) = run_steps(&format!("  - {step}\n"));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(title) && text.contains(more), "{text}");
}

#[test]
fn a_program_stands_beside_its_scenario() {
    let (code, text) = run_steps("  - { exec: { shell: ls }, expect: { stdout: scenario.yaml } }\n");
    assert_eq!(code, Some(0), "{text}");
}

#[rstest]
#[case::restarted(
    "liveness: { exec: { command: [sh, -c, echo deadlock >&2; exit 1] }, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 2 }, for: 60s",
    &["Kubernetes would restart the container at", "liveness failed 2 times in a row",
      "liveness, last: the program exited with 1: deadlock", "ready at 0.0 s; would be restarted at"]
)]
#[case::never_started(
    "startup: { tcpSocket: { port: 1 }, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 1 }, for: 60s",
    &["Kubernetes would restart the container at", "startup failed once", "connection refused by 127.0.0.1:1"]
)]
#[case::never_ready(
    "readiness: { tcpSocket: { port: 1 }, periodSeconds: 1, timeoutSeconds: 5 }, for: 1s",
    &["the pod was never ready", "Kubernetes gives it no traffic", "readiness, last: connection refused", "state: never ready"]
)]
#[case::no_such_program(
    "liveness: { exec: { command: [no-such-program] }, periodSeconds: 1 }, for: 1s",
    &["the liveness probe gave no result in 1s", "there is no such program"]
)]
#[case::not_to_be_probed(
    "liveness: { httpGet: { port: 80, host: 169.254.169.254 }, periodSeconds: 1 }, for: 1s",
    &["the liveness probe gave no result in 1s", "169.254.169.254"]
)]
#[case::watched_too_shortly(
    "liveness: { tcpSocket: { port: 1 }, initialDelaySeconds: 30 }, for: 1s",
    &["the liveness probe gave no result in 1s", "its first probe comes later: watch for longer"]
)]
fn a_pod_that_fares_ill_says_how(#[case] kubelet: &str, #[case] parts: &[&str]) {
    let (code, text) = run_steps(&format!("  - {{ kubelet: {{ {kubelet} }} }}\n"));
    assert_eq!(code, Some(1), "{text}");
    // Lines of a report are broken where a terminal ends.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in {text}");
    }
}

#[rstest]
#[case::nothing_to_run("exec: {}", "there is nothing to run")]
#[case::no_words("exec: { command: [] }", "a command names a program")]
#[case::two_things("exec: { command: [ls], shell: ls | wc -l }", "`command` and `shell` exclude each other")]
#[case::odd_variable(
    "exec: { command: [ls], env: { 'A=B': c } }",
    "`A=B` cannot be an environment variable's name"
)]
#[case::no_probe("kubelet: { for: 10s }", "there is no probe to make")]
#[case::two_in_one(
    "kubelet: { liveness: { exec: { command: [ls] }, tcpSocket: { port: 80 } }, for: 10s }",
    "a probe is one of `httpGet`, `tcpSocket`, `grpc` and `exec`"
)]
#[case::no_port(
    "kubelet: { liveness: { grpc: { port: 70000 } }, for: 10s }",
    "70000 is not a port: 1 to 65535"
)]
#[case::a_port_by_name(
    "kubelet: { liveness: { grpc: { port: http } }, for: 10s }",
    "expected a whole number, found text"
)]
#[case::two_sources(
    "kubelet: { pod: POD, container: shop, liveness: { exec: { command: [ls] } }, for: 10s }",
    "probes are written here or read from `pod`, not both"
)]
#[case::no_pod(
    "kubelet: { liveness: { exec: { command: [ls] } }, container: shop, for: 10s }",
    "`container` says which one of `pod`, and there is no `pod`"
)]
#[case::no_file("kubelet: { pod: nowhere.yaml, for: 10s }", "nowhere.yaml` cannot be read")]
#[case::several(
    "kubelet: { pod: POD, for: 10s }",
    "say which: `container: shop` or `container: log-shipper`"
)]
#[case::no_such_container("kubelet: { pod: POD, container: shopp, for: 10s }", "did you mean `shop`?")]
#[case::without_probes(
    "kubelet: { pod: POD, container: log-shipper, for: 10s }",
    "container `log-shipper` has no probes"
)]
#[case::timeout(
    "{ kubelet: { pod: POD, container: shop, for: 10s }, timeout: 5s }",
    "a `kubelet` step has no `timeout`"
)]
#[case::within(
    "{ kubelet: { pod: POD, container: shop, for: 10s }, within: 5s }",
    "a `kubelet` step is not tried again"
)]
fn a_step_that_cannot_be_is_refused(#[case] step: &str, #[case] said: &str) {
    let pod = std::path::absolute("fixtures/probes/deployment.yaml").unwrap();
    let (code, text) = run_steps(&format!("  - {}\n", step.replace("POD", &pod.to_string_lossy())));
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains(said), "{text}");
}

#[test]
fn who_stops_a_run_leaves_no_program_behind() {
    let folder = Folder::new();
    let (file, told) = (folder.0.join("scenario.yaml"), folder.0.join("group"));
    let line = "trap \"\" TERM INT; sleep 600 & echo $$ > new; mv new group; wait";
    let steps = format!(
        "scenario: long\nsteps:\n  - exec: {{ command: [\"true\"] }}\n  - exec: {{ shell: '{line}' }}\n    timeout: 10m\n"
    );
    std::fs::write(&file, steps).unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_firedrill")).arg("run").arg(&file).spawn().unwrap();
    wait_until(|| told.exists());
    let group = std::fs::read_to_string(&told).unwrap();
    let stopped = Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    assert_eq!(run.wait().unwrap().code(), Some(3));
    wait_until(|| !is_alive(group.trim()));
}

fn wait_until(holds: impl Fn() -> bool) {
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !holds() {
        assert!(std::time::Instant::now() < patience, "it does not come true");
        std::thread::yield_now();
    }
}

/// Whether a process of this group is still alive.
fn is_alive(group: &str) -> bool {
    std::fs::read_dir("/proc").unwrap().any(|entry| {
        let stat = std::fs::read_to_string(entry.unwrap().path().join("stat")).unwrap_or_default();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        fields.get(2) == Some(&group) && !matches!(fields.first(), Some(&("Z" | "X")))
    })
}
