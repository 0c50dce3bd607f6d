//! Watching a Prometheus until it is decided. What it counts is exact, so it is a stand-in.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Output;

use jiff::Timestamp;
use rstest::rstest;

use super::{gate, scratch};

/// An SLO of 99 % whose numbers a Prometheus has.
fn slo(name: &str) -> String {
    let path = scratch(&format!("{name}.slo.yaml"));
    let text = "apiVersion: openslo/v1\nkind: SLO\nmetadata: { name: shop }\nspec:\n  service: shop\n  \
                timeWindow: [{ duration: 30d, isRolling: true }]\n  budgetingMethod: Occurrences\n  indicator:\n    \
                metadata: { name: shop-errors }\n    spec:\n      ratioMetric:\n        counter: true\n        \
                bad: { metricSource: { type: prometheus, spec: { query: 'bad_total' } } }\n        \
                total: { metricSource: { type: prometheus, spec: { query: 'all_total' } } }\n  \
                objectives: [{ target: 0.99 }]\n";
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A Prometheus that has counted so many in whatever window it is asked about.
fn counting(bad: u64, valid: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(&mut stream.unwrap(), bad, valid);
        }
    });
    address
}

fn answer(stream: &mut TcpStream, bad: u64, valid: u64) {
    let asked = request(stream);
    let of = |name: &str| asked.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let (query, now) = (of("query").unwrap_or_default(), Timestamp::now());
    let at = of("time").map_or(now.as_second().to_string(), |time| match time.parse::<Timestamp>() {
        Ok(time) => time.as_second().to_string(),
        Err(_) => time.to_owned(),
    });
    let data = if query == "time()" {
        format!(r#"{{"resultType":"scalar","result":[{at},"{at}"]}}"#)
    } else {
        let numbers = [("counted", bad), ("total", valid), ("present", 1)];
        let samples = numbers.map(|(name, number)| {
            format!(r#"{{"metric":{{"firedrill":"{name}"}},"value":[{at},"{number}"]}}"#)
        });
        format!(r#"{{"resultType":"vector","result":[{}]}}"#, samples.join(","))
    };
    let body = format!(r#"{{"status":"success","data":{data}}}"#);
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    // Who has hung up is not answered.
    let _ = stream.write_all((head + &body).as_bytes());
}

/// The fields of a request's form, in its address or its body.
fn request(stream: &mut TcpStream) -> Vec<(String, String)> {
    let (mut text, mut buffer) = (String::new(), [0; 8192]);
    loop {
        let read = stream.read(&mut buffer).unwrap_or(0);
        text += &String::from_utf8_lossy(&buffer[..read]);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length:")
                .map(|length| length.trim().parse::<usize>())
        });
        let whole = text.contains("\r\n\r\n") && body.len() >= length.and_then(Result::ok).unwrap_or(0);
        if read == 0 || whole {
            let target = head.split(' ').nth(1).unwrap_or_default();
            let form = target.split_once('?').map_or(body, |(_, query)| query);
            return url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        }
    }
}

fn watch(name: &str, bad: u64, valid: u64, timeout: &str) -> (Option<i32>, String) {
    let address = counting(bad, valid);
    let slo = slo(&format!("watch-{name}"));
    let words =
        [&slo, "--prometheus", &address, "--watch", "--every", "1s", "--timeout", timeout, "--no-save"];
    let Output { status, stdout, stderr } = gate(&words);
    let progress = String::from_utf8(stderr).unwrap();
    assert!(progress.contains(&format!("watching: {bad} of {valid} failed")), "{progress}");
    (status.code(), String::from_utf8(stdout).unwrap())
}

/// 473 events without a failure show 99 % however often one looks; one look would take 299.
#[rstest]
#[case::shown("shown", 0, 473, "60s", 0)]
#[case::not_yet("not-yet", 0, 472, "2s", 3)]
#[case::refuted("refuted", 50, 500, "60s", 1)]
fn a_watch_ends_when_it_is_decided_or_its_time_is_over(
    #[case] name: &str,
    #[case] bad: u64,
    #[case] valid: u64,
    #[case] timeout: &str,
    #[case] code: i32,
) {
    let (ended, said) = watch(name, bad, valid, timeout);
    assert_eq!(ended, Some(code), "{said}");
}
