//! What Prometheus and `VictoriaMetrics` make of what is exposed and sent to them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use firedrill::exposition::protobuf::{self, Measured};
use firedrill::exposition::{Family, Kind, Labels, Native};

use super::connect;
use super::support::{PATIENCE, Prometheus, Victoria};

/// Answers every request alike until it is dropped.
struct Page {
    at: SocketAddr,
    ended: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Page {
    fn serve(status: &str, kind: &str, body: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (at, ended) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let length = body.len();
        let mut answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        )
        .into_bytes();
        answer.extend(body);
        let over = Arc::clone(&ended);
        let serving = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let _ = lines.by_ref().take_while(|line| !line.is_empty()).count();
                (&stream).write_all(&answer).ok();
            }
        });
        Self { at, ended, serving: Some(serving) }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        connect(self.at).ok();
        self.serving.take().map(JoinHandle::join);
    }
}

/// The one number that a query is, as soon as it is any.
fn ask(at: SocketAddr, query: &str) -> f64 {
    let path: String = url::form_urlencoded::Serializer::new("/api/v1/query?".to_owned())
        .append_pair("query", query)
        .finish();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut stream = connect(at).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {at}\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let json = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
        let json: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
        let value =
            json.pointer("/data/result/0/value/1").and_then(|value| value.as_str()?.parse::<f64>().ok());
        if let Some(value) = value.filter(|value| !value.is_nan()) {
            return value;
        }
        assert!(Instant::now() < deadline, "{query} is {answer}");
        thread::sleep(Duration::from_millis(200));
    }
}

fn about(value: f64, wanted: f64, share: f64) {
    assert!((value / wanted - 1.0).abs() <= share, "{value} is not about {wanted}");
}

#[test]
#[ignore = "needs prometheus"]
fn prometheus_reads_the_quantiles_of_a_native_histogram_that_it_scrapes() {
    // From 1 ms to 1 s, each as often.
    let native = Native::of((1..=1000).map(|milli| (f64::from(milli) / 1e3, 3)));
    let natives = [Measured { family: "took_seconds".to_owned(), labels: Labels::new(), native }];
    let families = [Family::new("took_seconds", Kind::Histogram)];
    let page = Page::serve("200 OK", protobuf::CONTENT_TYPE, protobuf::print(&families, &natives));
    let prometheus = Prometheus::scraping(Some(page.at), &["--enable-feature=native-histograms"]).unwrap();
    about(ask(prometheus.address, "histogram_count(took_seconds)"), 3000.0, 0.0);
    about(ask(prometheus.address, "histogram_sum(took_seconds)"), 1501.5, 1e-9);
    for quantile in [0.1, 0.5, 0.9, 0.99] {
        about(
            ask(prometheus.address, &format!("histogram_quantile({quantile}, took_seconds)")),
            quantile,
            0.02,
        );
    }
}

/// A load of two seconds whose answers each take about as long.
fn load(target: &Page, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .args(["load", &format!("http://{}/", target.at), "--for", "2s"])
        .args(words)
        .env("FIREDRILL_NO_SAVE", "1")
        .output()
        .unwrap()
}

fn target() -> Page {
    Page::serve("200 OK", "text/plain", b"here".to_vec())
}

/// Which may be too late on a busy machine, and say so.
fn fine(ended: &Output) {
    assert!(matches!(ended.status.code(), Some(0 | 3)), "{ended:?}");
}

/// The median that a load itself has told, in seconds.
fn told(output: &Output) -> f64 {
    let text = String::from_utf8_lossy(&output.stdout);
    let row = text.lines().find_map(|line| line.trim_start().strip_prefix("latency")).unwrap_or_default();
    let mut words = row.split_whitespace().skip_while(|word| *word != "p50").skip(1);
    let number: f64 = words.next().and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{text}"));
    match words.next() {
        Some("ns") => number / 1e9,
        Some("µs") => number / 1e6,
        Some("ms") => number / 1e3,
        Some("s") => number,
        _ => panic!("{text}"),
    }
}

#[test]
#[ignore = "needs prometheus"]
fn a_prometheus_that_takes_native_histograms_is_sent_those() {
    let prometheus = Prometheus::scraping(
        None,
        &["--web.enable-remote-write-receiver", "--enable-feature=native-histograms"],
    )
    .unwrap();
    let target = target();
    let ended =
        load(&target, &["--rate", "50/s", "--remote-write", &format!("http://{}", prometheus.address)]);
    fine(&ended);
    about(ask(prometheus.address, "firedrill_load_attempts_total{result=\"good\"}"), 100.0, 0.0);
    about(ask(prometheus.address, "histogram_count(firedrill_load_latency_seconds)"), 100.0, 0.0);
    let median = ask(prometheus.address, "histogram_quantile(0.5, firedrill_load_latency_seconds)");
    about(median, told(&ended), 0.06);
}

#[test]
#[ignore = "needs prometheus"]
fn a_prometheus_that_does_not_is_sent_buckets() {
    let prometheus = Prometheus::scraping(None, &["--web.enable-remote-write-receiver"]).unwrap();
    let target = target();
    let to = format!("http://{}/api/v1/write", prometheus.address);
    let ended = load(&target, &["--rate", "50/s", "--remote-write", &to]);
    fine(&ended);
    about(ask(prometheus.address, "firedrill_load_latency_seconds_bucket{le=\"+Inf\"}"), 100.0, 0.0);
    about(ask(prometheus.address, "firedrill_load_service_seconds_count"), 100.0, 0.0);
}

#[test]
#[ignore = "needs victoria-metrics"]
fn victoria_metrics_is_sent_buckets() {
    let victoria = Victoria::start().unwrap();
    let target = target();
    let to = format!("http://{}/api/v1/write", victoria.address);
    let ended = load(&target, &["--rate", "50/s", "--remote-write", &to]);
    fine(&ended);
    about(ask(victoria.address, "firedrill_load_latency_seconds_bucket{le=\"+Inf\"}"), 100.0, 0.0);
    about(ask(victoria.address, "firedrill_load_attempts_total{result=\"good\"}"), 100.0, 0.0);
}

#[test]
fn what_is_not_taken_is_told_and_the_run_is_reported_all_the_same() {
    let (refuses, target) = (Page::serve("400 Bad Request", "text/plain", b"not here".to_vec()), target());
    let ended =
        load(&target, &["--users", "1", "--remote-write", &format!("http://{}/api/v1/push", refuses.at)]);
    assert_eq!(ended.status.code(), Some(4), "{ended:?}");
    let (out, told) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(out.contains("PASS") && out.contains("latency"), "{out}");
    assert!(
        told.contains("/api/v1/push") && told.contains("status 400") && told.contains("not here"),
        "{told}"
    );
}

#[test]
fn nobody_there_is_told_before_long() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (target, began) = (target(), Instant::now());
    let ended = load(&target, &["--users", "1", "--remote-write", &format!("http://{gone}")]);
    assert_eq!(ended.status.code(), Some(4), "{ended:?}");
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(told.contains("updates were not taken") && told.contains("tried 4 times"), "{told}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}
