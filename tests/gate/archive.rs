//! Servers with old series in them, which are gone when dropped.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::scratch;

/// A server with old series in it.
pub(crate) struct Archive {
    child: Child,
    folder: Folder,
    at: SocketAddr,
}

/// A folder that is gone when this is dropped.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = scratch(&format!("archive-{:032x}", rand::random::<u128>()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

impl Archive {
    /// Prometheus, which scrapes nothing, with series in OpenMetrics text.
    pub(crate) fn prometheus(series: &str) -> Self {
        Self::prometheus_with(Folder::new(), series, &[])
    }

    /// The same, told more on its command line; it lives in `folder`.
    pub(crate) fn prometheus_with(folder: Folder, series: &str, more: &[&str]) -> Self {
        let file = |name: &str| folder.0.join(name);
        fs::write(file("series.txt"), series).unwrap();
        fs::write(file("prometheus.yml"), "global: {}\n").unwrap();
        let made = Command::new("promtool")
            // One block: it reads all of the text again for each.
            .args(["tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=744h"])
            .args([file("series.txt"), file("data")])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let at = free();
        let mut command = Command::new("prometheus");
        command.arg("--config.file").arg(file("prometheus.yml")).arg("--storage.tsdb.path").arg(file("data"));
        command.args(["--storage.tsdb.retention.time", "100y"]).arg(format!("--web.listen-address={at}"));
        command.args(more).current_dir(&folder.0);
        Self { child: start(command, "Server is ready to receive"), folder, at }
    }

    /// `VictoriaMetrics` with the same.
    pub(crate) fn victoria(series: &str) -> Self {
        let (folder, at) = (Folder::new(), free());
        let mut command = Command::new("victoria-metrics");
        command.arg(format!("-storageDataPath={}", folder.0.join("data").display()));
        command.arg(format!("-httpListenAddr={at}")).arg("-retentionPeriod=100y");
        let archive = Self { child: start(command, "started VictoriaMetrics"), folder, at };
        // Prometheus's text has milliseconds where OpenMetrics has seconds.
        let samples = series.lines().filter(|line| !line.starts_with('#'));
        let text: String = samples.flat_map(|line| [line, "000\n"]).collect();
        archive.send("POST", "/api/v1/import/prometheus", &text);
        archive.send("GET", "/internal/force_flush", "");
        archive
    }

    /// What it lives in.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// Where it answers.
    pub(crate) fn address(&self) -> String {
        format!("http://{}", self.at)
    }

    /// The one number that a query is at a moment.
    pub(crate) fn ask(&self, query: &str, at: i64) -> f64 {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("query", query)
            .append_pair("time", &at.to_string())
            .finish();
        let answer = self.send("GET", &format!("/api/v1/query?{form}"), "");
        let json: serde_json::Value = serde_json::from_str(&answer).unwrap_or_default();
        let value = json.pointer("/data/result/0/value/1").and_then(|value| value.as_str()?.parse().ok());
        value.unwrap_or_else(|| panic!("{query} is {answer}"))
    }

    /// The body of an answer.
    fn send(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.at).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let (at, length) = (self.at, body.len());
        let head = format!("{method} {path} HTTP/1.0\r\nHost: {at}\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        assert!(self.folder.0.exists());
    }
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Starts a program, and waits until `ready` stands in its log.
fn start(mut command: Command, ready: &str) -> Child {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut log = String::new();
    let started = lines.by_ref().any(|line| {
        log += &line;
        line.contains(ready)
    });
    if !started {
        child.kill().ok();
        panic!("{log}");
    }
    // A full pipe would stop it.
    std::thread::spawn(move || lines.for_each(drop));
    child
}
