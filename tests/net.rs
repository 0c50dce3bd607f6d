//! What the command line lets a run connect to, for every kind of step that connects.
#![cfg(test)]

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use rstest::rstest;

/// Runs a scenario of one step and gives the reasons of its failures.
fn reasons(name: &str, step: &str, options: &[&str]) -> Vec<String> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("net-{name}.yaml"));
    fs::write(&path, format!("scenario: net\nsteps:\n  - {step}\n")).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .args(["run", "--quiet", "--report", "json=-"])
        .arg(&path)
        .args(options)
        .output()
        .unwrap();
    let events = String::from_utf8(run.stdout).unwrap();
    let events = events.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let failures = events.flat_map(|stamped| {
        let event = &stamped["event"];
        let of = |kind: &str| event[kind]["failures"].as_array().cloned().unwrap_or_default();
        of("attempted").into_iter().chain(of("loaded")).collect::<Vec<_>>()
    });
    failures.map(|failure| failure["reason"].as_str().unwrap_or_default().to_owned()).collect()
}

#[rstest]
#[case::http("http", "http: { get: 'http://ADDRESS/' }")]
#[case::health("health", "health: { url: 'http://ADDRESS/' }")]
#[case::ready("ready", "ready: { url: 'http://ADDRESS/' }")]
#[case::metrics("metrics", "metrics: { url: 'http://ADDRESS/metrics' }")]
#[case::websocket("websocket", "websocket: { url: 'ws://ADDRESS/' }")]
#[case::tcp("tcp", "tcp: { address: 'ADDRESS' }")]
#[case::tls("tls", "tls: { address: 'ADDRESS' }")]
#[case::dns("dns", "dns: { name: shop.test, server: 'udp://ADDRESS' }")]
#[case::dns_on_a_connection("dns-tcp", "dns: { name: shop.test, server: 'tcp://ADDRESS' }")]
#[case::grpc("grpc", "grpc: { address: 'ADDRESS' }")]
#[case::promql("promql", "promql: { url: 'http://ADDRESS', query: up }")]
#[case::icmp("icmp", "icmp: { host: 127.0.0.1 }")]
#[case::starttls("starttls", "tls: { address: 'ADDRESS', starttls: smtp }")]
#[case::upgrade_over_tls("websocket-tls", "websocket: { url: 'wss://ADDRESS/' }")]
#[case::resolver("resolver", "http: { get: 'http://shop.test/', network: { resolver: 'tcp://ADDRESS' } }")]
#[case::proxy("proxy", "http: { get: 'http://shop.test/', network: { proxy: 'http://ADDRESS' } }")]
#[case::token(
    "token",
    "http: { get: 'http://127.1/', oauth2: { token_url: 'http://ADDRESS/', client_id: a, client_secret: secret } }"
)]
#[case::load("load", "load: { users: 1, for: 100ms, http: { get: 'http://ADDRESS/' } }")]
fn no_kind_of_step_connects_to_what_is_denied(#[case] kind: &str, #[case] step: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let step = step.replace("ADDRESS", &listener.local_addr().unwrap().to_string());
    let reasons = reasons(kind, &step, &["--deny-net", "127.0.0.0/8"]);
    assert!(!reasons.is_empty() && reasons.iter().all(|reason| reason == "policy"), "{reasons:?}");
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody came");
}

/// A kubelet's probe that is not made has no result, which is no failure of the pod's.
#[rstest]
#[case::http("http", "httpGet: { port: PORT, host: 127.0.0.1 }")]
#[case::tcp("tcp", "tcpSocket: { port: PORT, host: 127.0.0.1 }")]
#[case::grpc("grpc", "grpc: { port: PORT }")]
fn no_probe_of_a_kubelet_connects_to_what_is_denied(#[case] kind: &str, #[case] action: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let action = action.replace("PORT", &listener.local_addr().unwrap().port().to_string());
    let step = format!("kubelet: {{ liveness: {{ {action}, periodSeconds: 1 }}, for: 1s }}");
    let reasons = reasons(&format!("kubelet-{kind}"), &step, &["--deny-net", "127.0.0.0/8"]);
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody came");
}

#[rstest]
#[case::closed("closed", &[], "policy")]
#[case::listed("listed", &["--allow-net", "127.0.0.0/8"], "policy")]
#[case::denied("denied", &["--deny-net", "169.254.0.0/16", "--allow-net", "169.254.0.0/16"], "policy")]
fn the_metadata_service_is_closed(#[case] name: &str, #[case] options: &[&str], #[case] reason: &str) {
    let step = "{ http: { get: 'http://169.254.169.254/' }, timeout: 200ms }";
    assert_eq!(reasons(name, step, options), [reason]);
}

#[test]
fn a_network_that_is_none_is_refused_with_what_one_is_like() {
    let run = Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .args(["run", "--allow-net", "shop.test", "x.yaml"])
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(2));
    let told = String::from_utf8(run.stderr).unwrap();
    assert!(told.contains("a network is like `10.0.0.0/8`, `fd00::/8` or `192.0.2.7`"), "{told}");
}
