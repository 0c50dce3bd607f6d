//! `check --against` a real Prometheus, by rules and a dashboard about itself.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, Prometheus};

/// The body of a page.
fn page(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: prometheus\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Waits until a query gives something: what is scraped is there a while after it has happened.
fn wait_for(address: SocketAddr, query: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !page(address, &format!("/api/v1/query?query={query}")).contains("\"value\"") {
        assert!(Instant::now() < deadline, "`{query}` gives nothing within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
#[ignore = "needs prometheus"]
fn what_is_not_there_is_named_with_what_is() {
    let prometheus = Prometheus::start().unwrap();
    let address = prometheus.address;
    // A query that is none makes a series of its own.
    page(address, "/api/v1/query");
    wait_for(address, "rate(prometheus_http_requests_total%7Bcode=%22400%22%7D%5B1m%5D)");
    let check = Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .args(["check", "--color", "never", "--against", &format!("http://{address}")])
        .args(["--rules", "fixtures/audit/alerts.yml", "fixtures/audit/prometheus.json"])
        .args(["--runbooks", "https://runbooks.example/=fixtures/audit/runbooks"])
        .output()
        .unwrap();
    let drawn = String::from_utf8(check.stderr).unwrap().replace(&address.to_string(), "127.0.0.1:9090");
    assert_eq!(check.status.code(), Some(1), "{drawn}");
    // Which metrics there are beside these is another matter with each version.
    let (unused, others): (Vec<_>, Vec<_>) =
        drawn.split("\n\n").partition(|one| one.starts_with("warning[audit/unused]"));
    assert!(matches!(unused.as_slice(), [one] if one.contains("`prometheus_build_info`")), "{drawn}");
    insta::assert_snapshot!("what_is_not_there", others.join("\n\n"));
}

#[test]
fn a_prometheus_that_is_not_there_is_could_not_measure() {
    let check = Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .args(["check", "--color", "never", "--against", "http://127.0.0.1:9"])
        .args(["--rules", "fixtures/audit/alerts.yml"])
        .output()
        .unwrap();
    let said = String::from_utf8(check.stderr).unwrap();
    assert_eq!(check.status.code(), Some(4), "{said}");
    assert!(said.starts_with("error: ") && said.contains("cannot connect (tried 4 times)"), "{said}");
}
