//! `firedrill serve` as a user starts it: schedules, metrics, reload, the store, and how it ends.
#![cfg(test)]

mod alerts;
mod blackbox;
mod browser;
#[path = "../support/certificates.rs"]
mod certificates;
mod crowd;
mod dashboard;
mod durable;
mod targets;
mod traces;
mod web;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use firedrill::exposition::{Dialect, Family, Labels, find, parse};
use serde_json::Value;

/// How long anything may take; the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder of its own, gone with its guard.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("serve-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("scenarios")).unwrap();
        Self(path)
    }

    fn scenario(&self, name: &str, text: &str) {
        fs::write(self.0.join("scenarios").join(format!("{name}.yaml")), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `firedrill serve`, killed with its guard.
struct Serving {
    child: Child,
    address: SocketAddr,
    log: Receiver<Value>,
}

impl Serving {
    fn start(folder: &Path, more: &[&str]) -> Self {
        Self::start_by(&["env"], folder, more)
    }

    /// Started by another program, which becomes it.
    fn start_by(starter: &[&str], folder: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(starter[0])
            .args(&starter[1..])
            .args([
                env!("CARGO_BIN_EXE_firedrill"),
                "serve",
                "scenarios",
                "--store",
                "store.db",
                "--listen",
                "127.0.0.1:0",
                "--log-format",
                "json",
            ])
            .args(more)
            .current_dir(folder)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, log) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        let mut serving = Self { child, address: SocketAddr::from(([0, 0, 0, 0], 0)), log };
        let listening = serving.logged("listening");
        serving.address = listening["address"].as_str().unwrap().parse().unwrap();
        serving
    }

    /// The next line of the log that tells of such an event.
    fn logged(&self, event: &str) -> Value {
        loop {
            let line = self.log.recv_timeout(PATIENCE).expect("the log goes on");
            if line["event"] == event {
                return line;
            }
        }
    }

    fn ask(&self, request: &str) -> (u16, String) {
        ask(self.address, request)
    }

    fn get(&self, path: &str) -> String {
        let (status, body) =
            self.ask(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"));
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    fn families(&self) -> Vec<Family> {
        parse(&self.get("/metrics"), Dialect::Text).unwrap()
    }

    /// The sum of the series of this name that have these labels.
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        value(&self.families(), name, labels)
    }

    /// Waits until a value is as it should be.
    fn until(&self, name: &str, labels: &[(&str, &str)], holds: impl Fn(f64) -> bool) {
        let began = Instant::now();
        loop {
            let value = self.value(name, labels);
            if value.is_some_and(&holds) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{name} {labels:?} is {value:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Asks it to end, and waits until it has.
    fn end(mut self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn value(families: &[Family], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let labels: Labels =
        labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let family = find(families, name)?;
    let values: Vec<f64> = family.select(name, &labels).map(|sample| sample.value).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

fn ask(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Answers every request alike, until the test ends.
fn target(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head);
                let _ = stream.write_all(answer.as_bytes());
            });
        }
    });
    address
}

const WELL: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
const HOSTILE: &str = "HTTP/1.1 500 <b>\r\nx-evil: <script>alert(1)</script>\r\ncontent-length: 29\r\n\
                       connection: close\r\n\r\n<script>alert('body')</script>";

const SLO: &str = "
apiVersion: openslo/v1
kind: SLO
metadata: { name: answers, displayName: It answers }
spec:
  service: shop
  indicator:
    metadata: { name: answers }
    spec:
      ratioMetric:
        counter: true
        good: { metricSource: { type: firedrill, spec: { sli: shop, count: good } } }
        total: { metricSource: { type: firedrill, spec: { sli: shop, count: valid } } }
  timeWindow: [{ duration: 30d, isRolling: true }]
  budgetingMethod: Occurrences
  objectives: [{ displayName: 99%, target: 0.99 }]
";

fn probing(name: &str, target: SocketAddr, every: &str) -> String {
    format!(
        "scenario: {name}\nevery: {every}\nsteps:\n  - name: get\n    http: {{ get: 'http://{target}/' }}\n    \
         expect: {{ status: 200 }}\n    sli: shop\n"
    )
}

#[test]
fn what_is_measured_is_on_the_metrics_page_and_in_the_store() {
    let folder = Folder::new("metrics");
    folder.scenario(
        "well",
        &probing("well", target(WELL), "200ms").replace("steps:", "slos: [../slo.yaml]\nsteps:"),
    );
    folder.scenario("ill", &probing("ill", target(HOSTILE), "300ms"));
    fs::write(folder.0.join("slo.yaml"), SLO).unwrap();
    let serving = Serving::start(&folder.0, &[]);
    assert_eq!(serving.logged("turned")["conclusion"], "fail");
    serving
        .until("firedrill_scenario_runs_total", &[("scenario", "well"), ("conclusion", "pass")], |n| n > 2.0);
    serving.until("firedrill_step_failures_total", &[("scenario", "ill"), ("reason", "status")], |n| n > 2.0);
    assert_eq!(serving.value("firedrill_scenario_passed", &[("scenario", "ill")]), Some(0.0));

    let open = serving.ask("GET /metrics HTTP/1.1\r\nhost: x\r\naccept: application/openmetrics-text\r\nconnection: close\r\n\r\n").1;
    parse(&open, Dialect::OpenMetrics).unwrap();
    assert_eq!(serving.get("/-/healthy"), "firedrill is healthy.\n");
    assert_eq!(serving.get("/-/ready"), "firedrill is ready.\n");
    assert_eq!(serving.ask("DELETE / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").0, 405);
    assert_eq!(serving.ask("GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").0, 404);

    // Nothing that a target sent is more than text.
    for page in ["/", "/scenario/ill"] {
        let page = serving.get(page);
        assert!(!page.contains("<script") && !page.contains("<b>\r"), "{page}");
    }
    assert!(serving.get("/scenario/ill").contains("&lt;script&gt;alert(1)&lt;/script&gt;"));

    let families = serving.families();
    assert_eq!(value(&families, "firedrill_slo_objective_ratio", &[("slo", "answers")]), Some(0.99));
    let valid = value(&families, "firedrill_sli_valid_total", &[("sli", "shop")]).unwrap();
    assert_eq!(serving.end(), Some(0));
    let store = rusqlite::Connection::open(folder.0.join("store.db")).unwrap();
    let stored: f64 =
        store.query_row("SELECT sum(good + bad) * 1.0 FROM slice", [], |row| row.get(0)).unwrap();
    assert!(stored >= valid, "{stored} in the store, {valid} on the page before");
}

#[test]
fn a_reload_leaves_what_did_not_change_alone_and_a_broken_file_changes_nothing() {
    let folder = Folder::new("reload");
    let well = target(WELL);
    folder.scenario("stays", &probing("stays", well, "200ms"));
    folder.scenario("goes", &probing("goes", well, "200ms"));
    let serving = Serving::start(&folder.0, &[]);
    let runs = "firedrill_scenario_runs_total";
    serving.until(runs, &[("scenario", "stays"), ("conclusion", "pass")], |n| n > 1.0);
    let before = serving.value(runs, &[("scenario", "stays")]).unwrap();

    // Changed, broken, new and gone, all at once.
    folder.scenario("new", &probing("new", well, "200ms"));
    folder.scenario("stays", "scenario: stays\nstepz: []\n");
    fs::remove_file(folder.0.join("scenarios/goes.yaml")).unwrap();
    let (status, said) = serving.ask("POST /-/reload HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert_eq!(status, 500);
    assert!(said.contains("unknown key `stepz`") && said.contains("stays.yaml:2:1"), "{said}");
    let reloaded = serving.logged("reloaded");
    assert_eq!(
        (&reloaded["added"], &reloaded["removed"], &reloaded["broken"]),
        (&1.into(), &1.into(), &1.into())
    );
    assert_eq!(serving.value("firedrill_config_last_reload_successful", &[]), Some(0.0));
    assert!(serving.get("/").contains("stays.yaml has errors and changes nothing"));
    serving.until(runs, &[("scenario", "new"), ("conclusion", "pass")], |n| n > 0.0);
    serving.until(runs, &[("scenario", "stays"), ("conclusion", "pass")], |n| n > before);
    assert_eq!(serving.value(runs, &[("scenario", "goes")]), None);

    // Sound again, and other than before: it keeps what was counted.
    folder.scenario("stays", &probing("stays", well, "100ms"));
    serving.signal(rustix::process::Signal::HUP);
    let reloaded = serving.logged("reloaded");
    assert_eq!((&reloaded["changed"], &reloaded["broken"]), (&1.into(), &0.into()));
    assert_eq!(serving.value("firedrill_config_last_reload_successful", &[]), Some(1.0));
    assert!(serving.value(runs, &[("scenario", "stays")]).unwrap() > before);

    // Nobody has to say so.
    folder.scenario("later", &probing("later", well, "200ms"));
    assert_eq!(serving.logged("reloaded")["added"], 1);
    assert_eq!(serving.end(), Some(0));
}

/// Answers every request with a redirect.
fn redirecting(to: &str) -> SocketAddr {
    let answer =
        format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    target(answer.leak())
}

fn probe(of: SocketAddr, target: &str, module: &str) -> Vec<Family> {
    // A body in one piece.
    let query = format!("target={target}&module={module}");
    let (status, page) = ask(of, &format!("GET /probe?{query} HTTP/1.0\r\nhost: x\r\n\r\n"));
    assert_eq!(status, 200, "{page}");
    parse(&page, Dialect::Text).unwrap()
}

fn serving_one(folder: &Folder, more: &[&str]) -> Serving {
    folder.scenario("well", &probing("well", target(WELL), "10s"));
    Serving::start(&folder.0, more)
}

#[test]
fn strangers_get_to_no_private_address_also_by_a_redirect() {
    let folder = Folder::new("strangers");
    let closed = serving_one(&folder, &[]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for (target, module) in [
        (format!("http://{address}/"), "http_2xx"),
        (format!("http://[::ffff:127.0.0.1]:{}/", address.port()), "http_2xx"),
        (format!("http://0.0.0.0:{}/", address.port()), "http_2xx"),
        (format!("http://localhost:{}/", address.port()), "http_post_2xx"),
        (address.to_string(), "tcp_connect"),
    ] {
        assert_eq!(
            value(&probe(closed.address, &target, module), "probe_success", &[]),
            Some(0.0),
            "{target}"
        );
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody came");
    drop(closed);

    let open = serving_one(&folder, &["--probe-allow-net", "127.0.0.0/8"]);
    let well = probe(open.address, &target(WELL).to_string(), "http_2xx");
    assert_eq!(value(&well, "probe_success", &[]), Some(1.0));
    let metadata = redirecting("http://169.254.169.254/latest/meta-data/").to_string();
    let led_astray = format!("target={metadata}&module=http_2xx&debug=true");
    let said = open.get(&format!("/probe?{led_astray}"));
    assert!(said.contains("`169.254.169.254` must not be connected to"), "{said}");

    let ask = |query: &str| {
        open.ask(&format!("GET /probe?{query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
    };
    assert_eq!(ask("target=a&module=x"), (400, "Unknown module \"x\"\n".to_owned()));
    assert_eq!(ask("module=http_2xx"), (400, "Target parameter is missing\n".to_owned()));
    assert_eq!(ask(&format!("target={}", "a".repeat(3000))).0, 400);
}
