//! Probes carry a trace, and are told of as spans.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};

use serde_json::Value;

use super::{Folder, HOSTILE, PATIENCE, Serving, WELL, probe, probing};

/// Answers every request alike, and hands on what was asked.
fn listening(answer: &'static str) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let request = request(&mut stream);
            let _ = stream.write_all(answer.as_bytes());
            if asked.send(request).is_err() {
                return;
            }
        }
    });
    (address, heard)
}

/// A request, with as much of a body as its length says.
fn request(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut all, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let many = stream.read(&mut part).unwrap_or(0);
        all.extend_from_slice(&part[..many]);
        let text = String::from_utf8_lossy(&all);
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            body.len() >= length.unwrap_or(0)
        });
        if whole || many == 0 {
            return text.into_owned();
        }
    }
}

fn traceparent(request: &str) -> Option<&str> {
    request.lines().find_map(|line| line.strip_prefix("traceparent: "))
}

#[test]
fn a_probe_is_found_by_its_trace_in_the_log_at_the_target_and_at_the_receiver() {
    let folder = Folder::new("traces");
    let (target, asked) = listening(HOSTILE);
    let (receiver, posted) = listening("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}");
    folder.scenario("ill", &probing("ill", target, "30s"));
    let serving = Serving::start(&folder.0, &["--otlp-traces", &format!("http://{receiver}")]);
    let turned = serving.logged("turned");
    let trace = turned["trace"].as_str().unwrap();
    let asked = asked.recv_timeout(PATIENCE).unwrap();
    let parent = traceparent(&asked).unwrap();
    assert!(parent.starts_with(&format!("00-{trace}-")), "{parent} in the request, {trace} in the log");

    let posted = posted.recv_timeout(PATIENCE).unwrap();
    assert!(posted.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{posted}");
    let body: Value = serde_json::from_str(posted.split_once("\r\n\r\n").unwrap().1).unwrap();
    let span = &body["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(
        format!("00-{}-{}-01", span["traceId"].as_str().unwrap(), span["spanId"].as_str().unwrap()),
        parent
    );
    assert_eq!((&span["name"], &span["status"]["code"]), (&"http get".into(), &2.into()));
    let time = |key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
    assert!(time("startTimeUnixNano") <= time("endTimeUnixNano"));
    serving.until("firedrill_otlp_spans_total", &[("result", "sent")], |sent| sent >= 1.0);
    assert_eq!(serving.end(), Some(0));
}

#[test]
fn a_receiver_that_refuses_delays_no_probe() {
    let folder = Folder::new("untraced");
    // It accepts, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    folder.scenario("well", &probing("well", super::target(WELL), "100ms"));
    let hole = format!("http://{}", silent.local_addr().unwrap());
    let serving = Serving::start(&folder.0, &["--otlp-traces", &hole]);
    let runs = "firedrill_scenario_runs_total";
    serving.until(runs, &[("scenario", "well"), ("conclusion", "pass")], |runs| runs > 20.0);
    assert_eq!(serving.value("firedrill_schedule_missed_total", &[("scenario", "well")]), Some(0.0));
    drop(silent);
    assert!(serving.logged("traces")["error"].is_string());
    serving.until("firedrill_otlp_spans_total", &[("result", "failed")], |failed| failed > 0.0);
    assert_eq!(serving.end(), Some(0));
}

#[test]
fn a_probe_for_others_carries_a_trace_too() {
    let folder = Folder::new("strange-traces");
    let (target, asked) = listening(WELL);
    let serving = super::serving_one(&folder, &["--probe-allow-net", "127.0.0.0/8"]);
    probe(serving.address, &target.to_string(), "http_2xx");
    let asked = asked.recv_timeout(PATIENCE).unwrap();
    let parent = traceparent(&asked).unwrap();
    assert_eq!((parent.len(), &parent[..3], &parent[52..]), (55, "00-", "-01"));
}
