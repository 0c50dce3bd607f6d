//! `check --against` a real Prometheus, by rules and a dashboard about itself.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::certificates::{HASH, certificates};
use crate::support::{Folder, PATIENCE, Prometheus};

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

/// One that lets in anna with a certificate, and itself to be scraped; the files are in its folder.
fn guarded(file: &dyn Fn(&str) -> String) -> Prometheus {
    let web = format!(
        "basic_auth_users: {{ anna: {HASH} }}\ntls_server_config: {{ cert_file: {}, key_file: {}, client_ca_file: {}, \
         client_auth_type: RequireAndVerifyClientCert }}\n",
        file("server.pem"),
        file("server.key"),
        file("ca.pem")
    );
    let scrape = format!(
        "scheme: https, basic_auth: {{ username: anna, password: secret }}, \
         tls_config: {{ ca_file: {}, cert_file: {}, key_file: {} }},",
        file("ca.pem"),
        file("client.pem"),
        file("client.key")
    );
    Prometheus::start_behind(&web, &scrape).unwrap()
}

#[test]
#[ignore = "needs prometheus"]
fn a_prometheus_that_does_not_let_everybody_in_is_reached_as_its_file_says() {
    let folder = Folder::new().unwrap();
    certificates(&folder.0);
    let file = |name: &str| folder.0.join(name).display().to_string();
    fs::write(file("password"), "secret\n").unwrap();
    let prometheus = guarded(&file);
    let address = format!("https://{}", prometheus.address);
    let ask = |words: &[&str]| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let check = Command::new(env!("CARGO_BIN_EXE_firedrill"))
                .args(["check", "--color", "never", "--rules", "fixtures/audit/alerts.yml"])
                .args(["--against", &address])
                .args(words)
                .output()
                .unwrap();
            let said = String::from_utf8(check.stderr).unwrap();
            // Who is let in this early is told to wait.
            if !said.contains("has scraped no target yet") || Instant::now() > deadline {
                return (check.status.code(), said);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    let (ca, cert, key, password) =
        (file("ca.pem"), file("client.pem"), file("client.key"), file("password"));
    let tls = ["--ca", &ca, "--cert", &cert, "--key", &key];
    let with = |words: &[&str]| ask(&[&tls[..], words].concat());

    let (code, said) = with(&["--user", "anna", "--password-file", &password]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("error[audit/"), "{said}");
    let basic = "Authorization: Basic YW5uYTpzZWNyZXQ=";
    assert_eq!(with(&["--header", basic]).0, Some(1));
    fs::write(file("header"), "Basic YW5uYTpzZWNyZXQ=\n").unwrap();
    assert_eq!(with(&["--header", &format!("Authorization: @{}", file("header"))]).0, Some(1));

    fs::write(file("wrong"), "otto").unwrap();
    let (code, said) = with(&["--user", "anna", "--password-file", &file("wrong")]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("status 401, not allowed; check the user and password"), "{said}");
    assert!(!said.contains("otto"), "{said}");
    let (code, said) = with(&["--token-file", &password]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("status 401") && !said.contains("secret"), "{said}");
    let (code, said) = ask(&["--ca", &ca, "--user", "anna", "--password-file", &password]);
    assert_eq!(code, Some(4), "{said}");
    let (code, said) = ask(&["--user", "anna", "--password-file", &password]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("its certificate is not trusted"), "{said}");
    let (code, said) = with(&["--user", "anna", "--password-file", "nowhere"]);
    assert_eq!(
        (code, said.as_str()),
        (Some(4), "error: `nowhere` cannot be read: No such file or directory (os error 2)\n")
    );
}

/// A web server for as long as it lives; an empty page never answers.
struct Wiki {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    serving: Option<JoinHandle<()>>,
}

impl Wiki {
    fn start(pages: &'static [(&'static str, &'static str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&asked);
        let serving = std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut bytes = [0; 4096];
                let read = stream.read(&mut bytes).unwrap();
                let asks = String::from_utf8_lossy(&bytes[..read]).into_owned();
                let path = asks.split(' ').nth(1).unwrap_or_default().to_owned();
                if path == "/end" {
                    return;
                }
                noted.lock().unwrap().push(path.clone());
                match pages.iter().find(|(name, _)| *name == path) {
                    Some((_, "")) => held.push(stream),
                    Some((_, answer)) => stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).unwrap(),
                    None => stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").unwrap(),
                }
            }
        });
        Self { address, asked, serving: Some(serving) }
    }
}

impl Drop for Wiki {
    fn drop(&mut self) {
        if let Ok(mut stream) = TcpStream::connect(self.address) {
            let _ = stream.write_all(b"GET /end HTTP/1.1\r\n\r\n");
        }
        self.serving.take().map(JoinHandle::join);
    }
}

/// What the wiki answers.
const PAGES: &[(&str, &str)] = &[
    ("/page", "200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<h2 id='what-to-do'>Do</h2>"),
    ("/notes.md", "200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n# High errors\n"),
    ("/moved", "302 Found\r\nLocation: /page\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    ("/round", "302 Found\r\nLocation: /round\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    ("/closed", "403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    ("/script", "200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<script src=a.js></script>"),
    ("/hangs", ""),
];

/// What its alerts link to.
const LINKS: &[&str] = &[
    "page",
    "page#what-to-do",
    "page#what-to-doo",
    "notes.md#high-errors",
    "moved#what-to-do",
    "gone",
    "round",
    "closed",
    "script",
    "script#a",
    "hangs",
];

#[test]
fn pages_of_runbooks_are_fetched_once_and_searched_for_their_headings() {
    let wiki = Wiki::start(PAGES);
    let folder = Folder::new().unwrap();
    let rules = folder.0.join("alerts.yml");
    let mut text = "groups:\n  - name: web\n    rules:\n".to_owned();
    for (number, link) in LINKS.iter().enumerate() {
        let link = format!("http://{}/{link}", wiki.address);
        writeln!(
            text,
            "      - {{ alert: A{number}, expr: up == 0, annotations: {{ runbook_url: '{link}' }} }}"
        )
        .unwrap();
    }
    fs::write(&rules, text).unwrap();
    let check = Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .args(["check", "--format", "json", "--runbooks", "http", "--rules"])
        .arg(&rules)
        .output()
        .unwrap();
    assert_eq!(check.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&check.stdout).unwrap();
    let found = report["findings"].as_array().unwrap().iter().filter_map(|finding| {
        let code = finding["code"].as_str()?.strip_prefix("audit/runbook-")?;
        Some(format!("{code}: {}", finding["title"].as_str()?))
    });
    let unseen = "unseen: the runbook cannot be looked at";
    let wanted = [
        "link: the page has no heading `what-to-doo`".to_owned(),
        "link: there is no such page".to_owned(),
        format!("{unseen}: it leads on more than 5 times"),
        format!("{unseen}: it answers with status 403"),
        format!(
            "{unseen}: nothing in what is sent can be linked to; if a script makes its headings, look by hand"
        ),
        format!("{unseen}: no answer within 10s"),
    ];
    assert_eq!(found.collect::<Vec<_>>(), wanted);
    let asked = wiki.asked.lock().unwrap();
    let times = |path: &str| asked.iter().filter(|asked| *asked == path).count();
    // Once for its own links, and once for the one that leads there.
    assert_eq!(
        (times("/page"), times("/script"), times("/gone"), times("/hangs")),
        (2, 1, 1, 1),
        "{asked:?}"
    );
}
