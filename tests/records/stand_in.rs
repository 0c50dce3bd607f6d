//! What answers like a Prometheus that saw one person wait: as much of its API as a record asks for.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

/// How often everything was scraped and evaluated.
const EVERY: i64 = 15_000;

/// What it saw.
#[derive(Debug, Clone)]
pub(crate) struct World {
    /// The rule's expression.
    pub(crate) expression: String,
    /// How many series it says that each selector has, if not as many as there are.
    pub(crate) claimed: Option<u64>,
    /// Before this it knows nothing.
    pub(crate) first: Option<&'static str>,
    /// Since then the series are labelled otherwise.
    pub(crate) renamed: Option<&'static str>,
    /// Whether what it answers never ends.
    pub(crate) endless: bool,
}

impl Default for World {
    fn default() -> Self {
        Self {
            expression: format!("x{{user={:?}}} > 5", super::PERSON),
            claimed: None,
            first: None,
            renamed: None,
            endless: false,
        }
    }
}

/// It, while it lives.
pub(crate) struct StandIn {
    address: String,
    state: Arc<State>,
}

struct State {
    world: World,
    /// What was fetched, by query and time.
    fetched: Mutex<Vec<String>>,
    /// After so many of those nothing is answered.
    most: AtomicUsize,
    over: AtomicBool,
}

impl StandIn {
    pub(crate) fn start(world: World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            world,
            fetched: Mutex::default(),
            most: AtomicUsize::new(usize::MAX),
            over: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.over.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.serve(&stream.unwrap()));
            }
        });
        Self { address, state }
    }

    pub(crate) fn address(&self) -> String {
        self.address.clone()
    }

    /// Has it hang up after so many series were asked for.
    pub(crate) fn break_after(&self, asked: usize) {
        self.state.most.store(asked, Ordering::Relaxed);
    }

    pub(crate) fn mend(&self) {
        self.break_after(usize::MAX);
    }

    /// What was fetched, by query and time.
    pub(crate) fn fetched(&self) -> Vec<String> {
        self.state.fetched.lock().unwrap().clone()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address.trim_start_matches("http://"));
    }
}

impl State {
    /// Answers one request, and hangs up.
    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        reader.read_line(&mut line).unwrap();
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).unwrap();
            if header.trim().is_empty() {
                break;
            }
            let header = header.to_lowercase();
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let form: BTreeMap<String, String> =
            url::form_urlencoded::parse(&body).map(|(key, value)| (key.into(), value.into())).collect();
        let Some(answer) = self.answer(&path, &form) else { return };
        let mut out = stream;
        let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n\r\n";
        let _ = out.write_all(format!("{head}{answer}").as_bytes());
        while self.world.endless && path.ends_with("/query") && out.write_all(&[b' '; 8192]).is_ok() {}
    }

    fn answer(&self, path: &str, form: &BTreeMap<String, String>) -> Option<String> {
        let query = form.get("query").map_or("", String::as_str);
        let data = match path {
            "/api/v1/rules" => self.rules(),
            "/api/v1/label/user/values" => format!("[{:?}]", super::PERSON),
            "/api/v1/query_range" => self.counted(form),
            "/api/v1/query" if query == "up[10m]" => self.matrix(query, at(&form["time"]), 600_000),
            "/api/v1/query" => {
                let mut fetched = self.fetched.lock().unwrap();
                if fetched.len() >= self.most.load(Ordering::Relaxed) {
                    return None;
                }
                fetched.push(format!("{query} at {}", form["time"]));
                let length = query.rsplit('[').next().unwrap().trim_end_matches("ms]").parse().unwrap();
                self.matrix(query, at(&form["time"]), length)
            }
            _ => panic!("a record asks for no {path}"),
        };
        Some(format!("{{\"status\":\"success\",\"data\":{data}}}"))
    }

    fn rules(&self) -> String {
        let rule = serde_json::json!({
            "name": "Waits", "query": self.world.expression, "state": "inactive", "duration": 60,
            "labels": { "severity": "page" },
            "annotations": { "summary": format!("{} waits on 10.0.0.7:9090", super::PERSON) },
        });
        serde_json::json!({ "groups": [
            { "name": "a", "file": "rules.yml", "interval": 15, "rules": [rule] }
        ] })
        .to_string()
    }

    /// How many series there are, at each moment.
    fn counted(&self, form: &BTreeMap<String, String>) -> String {
        let step: f64 = form["step"].parse().unwrap();
        let (start, end) = (at(&form["start"]), at(&form["end"]));
        let alerts = form["query"].contains("ALERTS");
        if is_of_alertmanager(&form["query"]) {
            return "{\"resultType\":\"matrix\",\"result\":[]}".to_owned();
        }
        let mut points = Vec::new();
        let mut now = start;
        while now <= end {
            let there = !alerts || fires(now);
            let count = self.world.claimed.unwrap_or(1);
            points.extend(there.then(|| format!("[{}.{:03},\"{count}\"]", now / 1000, now % 1000)));
            now += i64::try_from(jiff::SignedDuration::try_from_secs_f64(step).unwrap().as_millis()).unwrap();
        }
        format!(
            "{{\"resultType\":\"matrix\",\"result\":[{{\"metric\":{{}},\"values\":[{}]}}]}}",
            points.join(",")
        )
    }

    /// The series of a selector in the time before a moment.
    fn matrix(&self, query: &str, to: i64, length: i64) -> String {
        if is_of_alertmanager(query) {
            return "{\"resultType\":\"matrix\",\"result\":[]}".to_owned();
        }
        let first = self.world.first.map_or(i64::MIN, moment);
        let renamed = self.world.renamed.map_or(i64::MAX, moment);
        let mut series: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut now = (to - length).div_euclid(EVERY) * EVERY + EVERY;
        while now <= to {
            let user = if now < renamed { super::PERSON } else { "bob@example.com" };
            let target = "\"job\":\"web\",\"instance\":\"10.0.0.7:9090\"";
            let labels = if query.starts_with("ALERTS") {
                format!(
                    "\"__name__\":\"ALERTS\",\"alertname\":\"Waits\",\"alertstate\":\"firing\",\"severity\":\"page\",\"user\":{user:?},{target}"
                )
            } else if query.starts_with("up") {
                format!("\"__name__\":\"up\",{target}")
            } else {
                format!("\"__name__\":\"x\",\"user\":{user:?},{target}")
            };
            if now >= first && (!query.starts_with("ALERTS") || fires(now)) {
                let points = series.entry(labels).or_default();
                points.push(format!("[{}.{:03},\"7\"]", now / 1000, now % 1000));
            }
            now += EVERY;
        }
        let series: Vec<_> = series
            .into_iter()
            .map(|(labels, points)| format!("{{\"metric\":{{{labels}}},\"values\":[{}]}}", points.join(",")))
            .collect();
        format!("{{\"resultType\":\"matrix\",\"result\":[{}]}}", series.join(","))
    }
}

/// Whether a query is for what an Alertmanager counts, which is not scraped here.
fn is_of_alertmanager(query: &str) -> bool {
    query.contains("alertmanager_notifications")
}

/// Somebody waits from ten past until ten to.
fn fires(now: i64) -> bool {
    (moment("2026-11-20T02:10:00Z")..moment("2026-11-20T02:50:00Z")).contains(&now)
}

/// A moment of a form, in milliseconds.
fn at(seconds: &str) -> i64 {
    let (whole, millis) = seconds.split_once('.').unwrap_or((seconds, "0"));
    whole.parse::<i64>().unwrap() * 1000 + millis.parse::<i64>().unwrap()
}

fn moment(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}
