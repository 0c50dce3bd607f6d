//! Real servers for tests, started from `PATH` on free ports and gone when their guard is dropped.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

mod alertmanager;
pub(crate) mod certificates;
pub(crate) mod names;

pub(crate) use self::alertmanager::Alertmanager;

/// How long anything a server does may take; the machine may be busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How often a server is started before giving up: another program may take a port that was free just now.
const TRIES: u32 = 3;

/// nginx, with the files of [`Nginx::FILES`], `/r1` redirected to `/r2` and on to `/final`, and a proxied `/ws`.
pub(crate) struct Nginx {
    /// Where it speaks plain HTTP.
    pub(crate) http: SocketAddr,
    /// Where it speaks TLS, as `localhost` and as `127.0.0.1`.
    pub(crate) https: SocketAddr,
    server: Server,
}

impl Nginx {
    /// What it serves, and `/final` besides `/final.html`; the text comes zipped to those who take it so.
    pub(crate) const FILES: [(&str, &str); 4] = [
        ("index.html", "<h1>Welcome to the shop</h1>\n"),
        ("final.html", "<h1>You have arrived</h1>\n"),
        ("text.txt", "All work and no play makes a text worth zipping, worth zipping, worth zipping.\n"),
        ("status.json", "{\"status\": \"healthy\", \"checks\": {\"database\": \"healthy\"}}\n"),
    ];

    /// Starts it, with `/ws` handed on to `upstream`.
    pub(crate) fn start(upstream: SocketAddr) -> io::Result<Self> {
        let names = ["localhost".to_owned(), Ipv4Addr::LOCALHOST.to_string()];
        let own = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        let (server, [http, https]) = Server::start("event method", |folder, [http, https]| {
            let configuration = include_str!("nginx.conf")
                .replace("HTTPS", &https.to_string())
                .replace("HTTP", &http.to_string())
                .replace("UPSTREAM", &upstream.to_string());
            fs::write(folder.join("nginx.conf"), configuration)?;
            fs::write(folder.join("certificate.pem"), own.cert.pem())?;
            fs::write(folder.join("key.pem"), own.signing_key.serialize_pem())?;
            let html = folder.join("html");
            fs::create_dir(&html)?;
            for (name, text) in Self::FILES {
                fs::write(html.join(name), text)?;
            }
            let mut command = Command::new("nginx");
            command.arg("-p").arg(folder).args(["-e", "stderr", "-c", "nginx.conf"]);
            Ok(command)
        })?;
        Ok(Self { http, https, server })
    }

    /// Its self-signed certificate, a PEM file to be trusted as an authority.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.server.folder.0.join("certificate.pem")
    }
}

/// Redis, empty and never saved.
pub(crate) struct Redis {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    _server: Server,
}

impl Redis {
    /// Starts it.
    pub(crate) fn start() -> io::Result<Self> {
        let (server, [address]) = Server::start("Ready to accept connections", |folder, [address]| {
            let mut command = Command::new("redis-server");
            command.args(["--save", "", "--appendonly", "no", "--bind", &address.ip().to_string()]);
            command.args(["--port", &address.port().to_string()]).arg("--dir").arg(folder);
            Ok(command)
        })?;
        Ok(Self { address, _server: server })
    }
}

/// Prometheus, which scrapes itself every second as job `prometheus`.
pub(crate) struct Prometheus {
    /// Where its pages and its API are.
    pub(crate) address: SocketAddr,
    _server: Server,
}

impl Prometheus {
    /// Starts it.
    pub(crate) fn start() -> io::Result<Self> {
        Self::scraping(None, &[])
    }

    /// Starts it with this `--web.config.file`, by which it lets others in; `scrape` says how it lets itself in.
    pub(crate) fn start_behind(web: &str, scrape: &str) -> io::Result<Self> {
        Self::begin(None, &[], web, scrape)
    }

    /// Starts it with more words on its command line, to scrape a page, or else itself.
    pub(crate) fn scraping(page: Option<SocketAddr>, words: &[&str]) -> io::Result<Self> {
        Self::begin(page, words, "", "")
    }

    fn begin(page: Option<SocketAddr>, words: &[&str], web: &str, scrape: &str) -> io::Result<Self> {
        let (server, [address]) = Server::start("Server is ready to receive", |folder, [address]| {
            let configuration = folder.join("prometheus.yml");
            let page = page.unwrap_or(address);
            let text = format!(
                "global: {{ scrape_interval: 1s }}\n\
                 scrape_configs: [{{ job_name: prometheus, {scrape} static_configs: [{{ targets: ['{page}'] }}] }}]\n"
            );
            fs::write(&configuration, text)?;
            let mut command = Command::new("prometheus");
            command.arg("--config.file").arg(configuration);
            command.arg("--storage.tsdb.path").arg(folder.join("data"));
            command.arg("--web.listen-address").arg(address.to_string()).args(words);
            if !web.is_empty() {
                fs::write(folder.join("web.yml"), web)?;
                command.arg("--web.config.file").arg(folder.join("web.yml"));
            }
            Ok(command)
        })?;
        Ok(Self { address, _server: server })
    }
}

/// `VictoriaMetrics`, empty.
pub(crate) struct Victoria {
    /// Where its API is, that of a Prometheus.
    pub(crate) address: SocketAddr,
    _server: Server,
}

impl Victoria {
    /// Starts it.
    pub(crate) fn start() -> io::Result<Self> {
        let (server, [address]) = Server::start("started VictoriaMetrics", |folder, [address]| {
            let mut command = Command::new("victoria-metrics");
            command.arg(format!("-storageDataPath={}", folder.join("data").display()));
            command.arg(format!("-httpListenAddr={address}")).arg("-search.latencyOffset=0s");
            Ok(command)
        })?;
        Ok(Self { address, _server: server })
    }
}

/// A running program and what is its own.
struct Server {
    child: Child,
    log: Option<JoinHandle<()>>,
    folder: Folder,
}

impl Server {
    /// Starts the command that `arrange` makes for a fresh folder and free ports, and waits until `ready` stands
    /// in its log.
    fn start<const PORTS: usize>(
        ready: &str,
        arrange: impl Fn(&Path, [SocketAddr; PORTS]) -> io::Result<Command>,
    ) -> io::Result<(Self, [SocketAddr; PORTS])> {
        let mut refusal = String::new();
        for _ in 0..TRIES {
            let folder = Folder::new()?;
            let addresses = free_addresses()?;
            let (server, lines) = Self::spawn(arrange(&folder.0, addresses)?, folder)?;
            match wait_for(ready, &lines) {
                Ok(()) => return Ok((server, addresses)),
                Err(log) => refusal = log,
            }
        }
        Err(io::Error::other(refusal))
    }

    /// Runs `command`, with its output and its errors read to their end as one log.
    fn spawn(mut command: Command, folder: Folder) -> io::Result<(Self, Receiver<String>)> {
        let (reader, writer) = io::pipe()?;
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let child = command.spawn().map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("{} does not start: {error}", command.get_program().display()),
            )
        })?;
        // The command holds the writing end: while that is open the log has no end.
        drop(command);
        let (sender, lines) = mpsc::channel();
        let log = thread::spawn(move || {
            for line in BufReader::new(reader).lines().map_while(Result::ok) {
                // Nobody listens once the server is ready, but a full pipe would stop it.
                sender.send(line).ok();
            }
        });
        Ok((Self { child, log: Some(log), folder }, lines))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if let Some(log) = self.log.take() {
            log.join().ok();
        }
    }
}

/// Waits for a line of the log with `ready` in it; fails with the log so far.
fn wait_for(ready: &str, lines: &Receiver<String>) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    let mut log = String::new();
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) if line.contains(ready) => return Ok(()),
            Ok(line) => log = log + &line + "\n",
            Err(RecvTimeoutError::Timeout) => return Err(format!("not ready within {PATIENCE:?}:\n{log}")),
            Err(RecvTimeoutError::Disconnected) => return Err(format!("ended before it was ready:\n{log}")),
        }
    }
}

/// Addresses of this machine that nobody listened at a moment ago, each another.
fn free_addresses<const COUNT: usize>() -> io::Result<[SocketAddr; COUNT]> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let held = (0..COUNT).map(|_| TcpListener::bind(any)).collect::<io::Result<Vec<_>>>()?;
    let mut addresses = [any; COUNT];
    for (address, listener) in addresses.iter_mut().zip(&held) {
        *address = listener.local_addr()?;
    }
    Ok(addresses)
}

/// A folder that is gone when this is dropped.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> io::Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("server-{}-{}", process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
