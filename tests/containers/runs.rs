//! Whole runs in containers: the program itself, what it says, and what it leaves.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rstest::rstest;

const STACK: &str = r#"
stack: shop
services:
  redis:
    image: redis:7
    command: redis-server --save ""
    ports: { redis: 6379 }
    ready: { log: Ready to accept connections }
  exporter:
    image: oliver006/redis_exporter:v1.45.0
    env: { REDIS_ADDR: "redis://${service.redis.redis}" }
    ports: { http: 9121 }
    after: [redis]
  web:
    image: nginx:1.22
    ports: { http: 80 }
    files:
      /etc/nginx/conf.d/default.conf:
        text: "server { listen 80; location / { proxy_pass http://api:80; } }"
    after: [api]
    ready: { http: / }
  api:
    image: nginx:1.22
    ports: { http: 80 }
"#;

const WATCHED: &str = "
prometheus: { config: prometheus.yml }
alertmanager: { config: alertmanager.yml }
";

const SCENARIO: &str = r#"
scenario: shop
stack: stack.yaml
steps:
  - name: the exporter sees redis
    http: { get: "http://${service.exporter.http}/metrics" }
    expect: { status: 200, body: contains redis_up 1 }
  - name: the web server reaches its upstream
    http: { get: "http://${service.web.http}/" }
    expect: { status: 200 }
"#;

const BROKEN: &str = r#"
scenario: broken
stack: stack.yaml
steps:
  - name: cut off
    fault: { disconnect: api }
    while: [{ name: the web server misses it, exec: { command: [curl, -s, -o, /dev/null, -m, "1", "http://${service.web.http}/"] }, expect: { exit: 28 } }]
    then: [{ name: it is back, http: { get: "http://${service.web.http}/" }, within: 10s }]
  - name: killed
    fault: { kill: redis }
    while: [{ name: the exporter misses it, http: { get: "http://${service.exporter.http}/metrics" }, expect: { body: contains redis_up 0 } }]
    then: [{ name: it is back, http: { get: "http://${service.exporter.http}/metrics" }, expect: { body: contains redis_up 1 }, within: 10s }]
  - name: slow between services
    fault: { latency: { service: api, add: 300ms } }
    while: [{ name: the web server waits, http: { get: "http://${service.web.http}/" }, expect: { latency: at least 300ms } }]
  - name: less of a processor
    fault: { cpu: { service: web, limit: 0.5 } }
    while: [{ name: it answers, http: { get: "http://${service.web.http}/" } }]
  - name: less memory
    fault: { memory: { service: web, limit: 64MiB } }
    while: [{ name: it answers, http: { get: "http://${service.web.http}/" } }]
  - name: nothing arrives
    fault: { netem: { service: api, loss: 100% } }
    while: [{ name: the web server waits in vain, exec: { command: [curl, -s, -o, /dev/null, -m, "1", "http://${service.web.http}/"] }, expect: { exit: 28 } }]
    then: [{ name: it is back, http: { get: "http://${service.web.http}/" }, within: 10s }]
  - name: late
    fault: { netem: { service: web, delay: 200ms } }
    while: [{ name: it answers late, http: { get: "http://${service.web.http}/" }, expect: { latency: at least 200ms } }]
    then: [{ name: it answers in time, http: { get: "http://${service.web.http}/" }, expect: { latency: under 200ms } }]
"#;

const PROMETHEUS: &str = r#"
global: { scrape_interval: 1s }
scrape_configs:
  - job_name: redis
    static_configs: [{ targets: ["exporter:9121"] }]
alerting:
  alertmanagers: [{ static_configs: [{ targets: ["alertmanager:9093"] }] }]
"#;

const ALERTMANAGER: &str = r#"
route: { receiver: pager }
receivers: [{ name: pager, webhook_configs: [{ url: "http://pager.test/" }] }]
"#;

/// A folder with a stack and a scenario, whose runs leave what they leave in it alone.
pub(super) struct Place {
    pub(super) folder: PathBuf,
}

impl Place {
    pub(super) fn new(name: &str, watched: bool) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{name}-{}-{number}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(folder.join("tmp")).expect("a folder can be made");
        let watched = if watched { WATCHED } else { "" };
        for (name, text) in [
            ("stack.yaml", format!("{STACK}{watched}")),
            ("shop.yaml", SCENARIO.to_owned()),
            ("broken.yaml", BROKEN.to_owned()),
            ("prometheus.yml", PROMETHEUS.to_owned()),
            ("alertmanager.yml", ALERTMANAGER.to_owned()),
        ] {
            std::fs::write(folder.join(name), text).expect("a file can be written");
        }
        std::fs::copy("fixtures/image-map.yaml", folder.join("images.yaml"))
            .expect("the image map can be copied");
        Self { folder }
    }

    /// firedrill in this place; its runs are told from those of others by where their files are.
    pub(super) fn firedrill(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
        command.args(words).current_dir(&self.folder).env("TMPDIR", self.folder.join("tmp"));
        command.stdin(Stdio::null());
        command
    }

    fn run(&self) -> Command {
        self.firedrill(&["run", "shop.yaml", "--runtime", "containers", "--image-map", "images.yaml"])
    }

    /// What the engine has of this place's runs, and their folders.
    pub(super) fn left(&self) -> Vec<String> {
        let tmp = self.folder.join("tmp").display().to_string();
        let mut left = Vec::new();
        for list in [&["ps", "-a"][..], &["network", "ls"], &["volume", "ls"]] {
            let format = "{{.Label \"firedrill.home\"}} {{.Label \"firedrill.run\"}}";
            let mut docker = Command::new("docker");
            docker.args(list).args(["--filter", "label=firedrill.run", "--format", format]);
            let told = docker.output().expect("`docker` is in PATH");
            let told = String::from_utf8_lossy(&told.stdout);
            left.extend(told.lines().filter(|line| line.contains(&tmp)).map(ToOwned::to_owned));
        }
        for above in std::fs::read_dir(tmp).into_iter().flatten().filter_map(Result::ok) {
            let runs = std::fs::read_dir(above.path()).into_iter().flatten().filter_map(Result::ok);
            left.extend(runs.map(|run| run.path().display().to_string()));
        }
        left
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.firedrill(&["clean"]).output();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub(super) fn told(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).join("\n")
}

#[test]
#[ignore = "needs a container engine"]
fn a_stack_with_everything_comes_up_and_leaves_nothing() {
    let place = Place::new("everything", true);
    let output = place.run().output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(place.left(), [""; 0]);
}

#[test]
#[ignore = "needs a container engine"]
fn every_fault_of_a_container_bites_and_is_mended() {
    let place = Place::new("broken", false);
    let words = ["run", "broken.yaml", "--runtime", "containers", "--image-map", "images.yaml"];
    let output = place.firedrill(&words).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(place.left(), [""; 0]);
}

#[test]
#[ignore = "needs a container engine"]
fn two_runs_at_once_do_not_disturb_each_other() {
    let place = Place::new("two", false);
    let start = || place.run().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    for child in [start(), start()].map(Child::wait_with_output) {
        let output = child.unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    }
    assert_eq!(place.left(), [""; 0]);
}

#[test]
#[ignore = "needs a container engine"]
fn runs_that_are_killed_leave_what_clean_removes() {
    let place = Place::new("killed", true);
    let kills = std::env::var("FIREDRILL_KILLS").map_or(5, |kills| kills.parse::<u32>().unwrap());
    for kill in 0..kills {
        let mut child = place.run().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Anywhere between the first network and the last container's end.
        thread::sleep(Duration::from_millis(100 + u64::from(rand::random::<u16>()) % 6000));
        let _ = child.kill();
        child.wait().unwrap();
        if kill % 2 == 1 {
            let output = place.firedrill(&["clean"]).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{}", told(&output));
            assert_eq!(place.left(), [""; 0], "after kill {kill}");
        }
    }
    // The next run removes what the last one left, too: all that the engine had made of it by then.
    thread::sleep(Duration::from_millis(500));
    let output = place.run().output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(place.left(), [""; 0]);
}

#[test]
#[ignore = "needs a container engine"]
fn a_run_that_is_asked_to_end_takes_its_stack_down() {
    let place = Place::new("asked", false);
    let child = place.run().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while place.left().len() < 4 {
        assert!(began.elapsed() < Duration::from_secs(20), "no container comes up");
        thread::sleep(Duration::from_millis(20));
    }
    let ended = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(ended.success());
    let output = child.wait_with_output().unwrap();
    assert_ne!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(place.left(), [""; 0]);
}

#[test]
#[ignore = "needs a container engine"]
fn without_an_engine_nothing_is_measured() {
    let place = Place::new("absent", false);
    let output = place.run().env("DOCKER_HOST", "unix:///nowhere/docker.sock").output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let said = told(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    // Between the two it may say that there is a Podman.
    for wanted in [
        "no container engine answers at unix:///nowhere/docker.sock",
        ": start one, set DOCKER_HOST to where it is, or say `--runtime processes`",
    ] {
        assert!(said.contains(wanted), "{said}");
    }
    assert_eq!(place.left(), [""; 0]);
}

#[test]
#[ignore = "needs a container engine"]
fn an_engine_that_is_not_for_this_user_says_who_may() {
    let socket = std::env::temp_dir().join(format!("firedrill-forbidden-{}.sock", std::process::id()));
    let _listener = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600)).unwrap();
    // Somebody who may read the program and its files, and is nobody to the socket.
    let folder = std::env::temp_dir().join(format!("firedrill-forbidden-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("tmp")).unwrap();
    std::fs::set_permissions(folder.join("tmp"), std::fs::Permissions::from_mode(0o777)).unwrap();
    for (name, text) in [("stack.yaml", STACK), ("shop.yaml", SCENARIO)] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let program = folder.join("firedrill");
    std::fs::copy(env!("CARGO_BIN_EXE_firedrill"), &program).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
    command.args(["run", "shop.yaml", "--runtime", "containers"]).current_dir(&folder);
    command.env("TMPDIR", folder.join("tmp")).env("DOCKER_HOST", format!("unix://{}", socket.display()));
    let output = command.output();
    std::fs::remove_file(&socket).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", told(&output));
    let said = told(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        said.contains("is not for this user: join the group its socket belongs to (`docker`, usually), or say `--runtime processes`"),
        "{said}"
    );
}

#[test]
#[ignore = "needs a container engine"]
fn an_engine_that_dies_ends_the_run_and_clean_finds_the_rest() {
    let place = Place::new("dies", false);
    let way = Way::open(place.folder.join("engine.sock"));
    let mut child = place
        .run()
        .env("DOCKER_HOST", format!("unix://{}", place.folder.join("engine.sock").display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while place.left().iter().filter(|line| !line.starts_with('/')).count() < 4 {
        assert!(began.elapsed() < Duration::from_secs(20), "no container comes up");
        thread::sleep(Duration::from_millis(10));
    }
    way.close();
    let gone = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(gone.elapsed() < Duration::from_secs(90), "the run goes on without its engine");
        thread::sleep(Duration::from_millis(50));
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", told(&output));
    assert!(told(&output).contains("the container engine at unix://"), "{}", told(&output));
    assert!(!place.left().is_empty());
    let output = place.firedrill(&["clean"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(place.left(), [""; 0]);
}

/// A way to the engine that can be closed.
struct Way {
    path: PathBuf,
    closed: Arc<AtomicBool>,
}

impl Way {
    fn open(path: PathBuf) -> Self {
        let listener = UnixListener::bind(&path).expect("a socket can be made");
        let closed = Arc::new(AtomicBool::new(false));
        let shut = Arc::clone(&closed);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shut.load(Ordering::SeqCst) {
                    break;
                }
                let engine =
                    UnixStream::connect("/var/run/docker.sock").expect("the engine is at its usual place");
                for (from, to) in [(&client, &engine), (&engine, &client)] {
                    let (from, to) = (from.try_clone(), to.try_clone());
                    let shut = Arc::clone(&shut);
                    if let (Ok(from), Ok(to)) = (from, to) {
                        thread::spawn(move || pass(from, to, &shut));
                    }
                }
            }
        });
        Self { path, closed }
    }

    /// From now on nobody is there.
    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let _ = UnixStream::connect(&self.path);
        let _ = std::fs::remove_file(&self.path);
    }
}

fn pass(mut from: UnixStream, mut to: UnixStream, closed: &AtomicBool) -> Option<io::Error> {
    from.set_read_timeout(Some(Duration::from_millis(50))).ok()?;
    let mut some = vec![0; 16 << 10];
    while !closed.load(Ordering::SeqCst) {
        match from.read(&mut some) {
            Ok(0) => break,
            Ok(count) => to.write_all(&some[..count]).ok()?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    if closed.load(Ordering::SeqCst) {
        let _ = from.shutdown(Shutdown::Both);
    }
    None
}

#[rstest]
#[case::alone("resilience/alone")]
#[case::balanced("resilience/balanced")]
#[case::cut("resilience/cut")]
#[case::redis("resilience/redis")]
#[case::postgres("resilience/postgres")]
#[case::shop("shop")]
#[case::logs_of_a_service("probes/service-logs")]
#[ignore = "needs a container engine"]
fn a_shipped_scenario_passes_in_containers(#[case] file: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    command.args(["run", "--no-save", "--runtime", "containers", "--image-map", "fixtures/image-map.yaml"]);
    let output = command.arg(format!("scenarios/{file}.yaml")).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
}
