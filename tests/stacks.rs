//! Stacks of real programs: how they come up, what they say when they do not, and that nothing of them is left.
#![cfg(test)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rstest::rstest;

/// Far more than anything here takes, on a machine however busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder of a test's own, and a place of its own for what runs leave.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Short: sockets have short names.
        let path = std::env::temp_dir().join(format!("fds-{}-{number}", std::process::id()));
        fs::create_dir_all(path.join("tmp")).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// A scenario with a stack of these services, that waits so long.
    fn scenario(&self, services: &str, wait: &str) -> PathBuf {
        self.write("stack.yaml", &format!("stack: tried\nservices:\n{services}"));
        self.write(
            "scenario.yaml",
            &format!("scenario: tried\nstack: stack.yaml\nsteps: [{{ wait: {wait} }}]\n"),
        )
    }

    fn firedrill(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
        command.env("TMPDIR", self.0.join("tmp")).current_dir(&self.0);
        command
    }

    fn run(&self, file: &Path) -> Output {
        self.firedrill().args(["run", "--no-save", "--runtime", "processes"]).arg(file).output().unwrap()
    }

    /// What runs have left in the folder for what passes.
    fn left(&self) -> Vec<PathBuf> {
        let runs = fs::read_dir(self.0.join("tmp")).unwrap().map(|entry| entry.unwrap().path());
        runs.flat_map(|runs| fs::read_dir(runs).unwrap().map(|entry| entry.unwrap().path())).collect()
    }

    /// Processes whose environment says that they belong here.
    fn processes(&self) -> Vec<String> {
        let mark = format!("TMPDIR={}", self.0.join("tmp").display());
        let ours = |pid: &str| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let dead = state.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'));
            !dead && environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
        };
        let all = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
        all.filter_map(|name| name.into_string().ok()).filter(|pid| ours(pid)).collect()
    }

    fn await_peace(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.processes().is_empty() {
            assert!(Instant::now() < deadline, "still there: {:?}", self.processes());
            std::thread::yield_now();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    // Lines of a report are broken where a terminal ends.
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[rstest]
#[case::absent(
    "process: no-such-program",
    "service `s` does not start: `no-such-program`: there is no such program"
)]
#[case::not_beside("process: ./nothing.sh", "there is no such program")]
#[case::crashes_at_once(
    "process: [sh, -c, \"echo out of luck >&2; exit 3\"]\n    ready: { log: never }",
    "service `s` exited with 3 before it was ready; the end of its log: out of luck"
)]
#[case::dies_of_a_signal(
    "process: [sh, -c, \"kill -9 $$\"]\n    ready: { log: never }",
    "service `s` was ended by signal 9 before it was ready; it wrote nothing"
)]
#[case::never_ready(
    "process: [sh, -c, \"echo any moment; exec sleep 600\"]\n    ports: { http: 80 }\n    ready: { tcp: http, within: 300ms }",
    "service `s` is not ready after 300ms: port `http`"
)]
#[case::never_says_so(
    "process: [sh, -c, \"echo any moment; exec sleep 600\"]\n    ready: { log: \"^now$\", within: 300ms }",
    "no line of its log matches `^now$`; the end of its log: any moment"
)]
#[case::answers_ill(
    "process: [sh, -c, \"exec sleep 600\"]\n    ready: { exec: [sh, -c, \"exit 4\"], within: 300ms }",
    "ends with exit status: 4"
)]
#[case::not_set_up(
    "setup: [[sh, -c, \"echo no space >&2; exit 2\"]]\n    process: sleep 600",
    "service `s` is not set up: `sh -c echo no space >&2; exit 2` exited with 2: no space"
)]
#[case::image_alone("image: redis:7", "service `s` has an `image` and no `process`")]
fn a_service_that_does_not_come_up_says_why(#[case] service: &str, #[case] why: &str) {
    let place = Place::new();
    let run = place.run(&place.scenario(&format!("  s:\n    {service}\n"), "1s"));
    let said = said(&run);
    assert_eq!(run.status.code(), Some(4), "{said}");
    assert!(said.contains(why), "{said}");
    assert_eq!(place.left(), Vec::<PathBuf>::new());
    place.await_peace();
}

#[test]
#[ignore = "needs to be root"]
fn a_service_runs_as_the_user_it_is_to() {
    let place = Place::new();
    let run = place.run(&place.scenario("  s:\n    process: sleep 600\n    user: no-such-user\n", "1s"));
    assert_eq!(run.status.code(), Some(4));
    assert!(said(&run).contains("this machine has no user `no-such-user`"), "{}", said(&run));

    let services = "  s:\n    setup: [[sh, -c, 'id -un > made']]\n    \
                    process: [sh, -c, 'cat made; id -un; echo ready; exec sleep 600']\n    \
                    user: nobody\n    ready: { log: ready }\n    ports: { http: 80 }\n";
    place.scenario(services, "1s");
    let steps = "scenario: tried\nstack: stack.yaml\nsteps:\n  \
                 - exec: { command: [cat, '${service.s.log}'] }\n    expect: { stdout: \"nobody\\nnobody\\nready\" }\n";
    let run = place.run(&place.write("scenario.yaml", steps));
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
}

#[test]
fn a_flood_a_fork_and_a_deaf_service_end_with_the_run() {
    let place = Place::new();
    let services = "  flood: { process: [sh, -c, 'yes flood'] }\n  \
                    deaf: { process: [sh, -c, 'trap \"\" TERM INT HUP; while :; do sleep 1; done'] }\n  \
                    fork: { process: [sh, -c, 'setsid sleep 600 & (setsid sleep 601 &) ; exec sleep 602'] }\n";
    let run = place.run(&place.scenario(services, "500ms"));
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    assert_eq!(place.left(), Vec::<PathBuf>::new());
    place.await_peace();
}

#[test]
fn services_start_in_order_and_are_given_what_they_need() {
    let place = Place::new();
    place.write("copied.txt", "as it is ${port.none}\n");
    place.write("filled.txt", "at ${service.second.web}, in ${dir}\n");
    let services = "  second:\n    process: [sh, -c, 'cat copied.txt filled.txt deep/text made; echo $COLOUR; exec sleep 600']\n    \
                    setup: ['cp copied.txt made']\n    \
                    env: { COLOUR: teal }\n    \
                    files: { copied.txt: copied.txt, filled.txt: { template: filled.txt }, deep/text: { text: \"deep\\n\" } }\n    \
                    ready: { log: teal }\n    ports: { web: 80 }\n    after: [first]\n  \
                    first: { process: [sh, -c, 'sleep 0.2; echo ready; exec sleep 600'], ready: { log: ready } }\n";
    place.scenario(services, "1s");
    let steps = "scenario: tried\nstack: stack.yaml\nsteps:\n  \
                 - exec: { command: [cat, '${service.second.log}'] }\n    \
                 expect: { stdout: \"matches (?s)^as it is \\\\$\\\\{port.none\\\\}\\nat 127.0.0.1:\\\\d+, in .*/second\\ndeep\\nas it is .*teal$\" }\n";
    let run = place.run(&place.write("scenario.yaml", steps));
    let said = said(&run);
    assert_eq!(run.status.code(), Some(0), "{said}");
    let at = |name: &str| said.find(&format!("✓ {name} ")).unwrap_or_else(|| panic!("no {name} in {said}"));
    assert!(at("first") < at("second"), "{said}");
}

/// A run that holds a stack until it is killed.
fn hold(place: &Place) -> Child {
    let services = "  one: { process: [sh, -c, 'trap \"\" TERM; (setsid sleep 600 &); while :; do sleep 1; done'] }\n  \
                    two: { process: sleep 600, after: [one] }\n  three: { process: sleep 601 }\n";
    let file = place.scenario(services, "10m");
    let mut command = place.firedrill();
    command.args(["run", "--no-save", "--runtime", "processes"]).arg(file);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// How many runs are killed: `FIREDRILL_KILLED_RUNS` says otherwise.
fn rounds() -> u64 {
    std::env::var("FIREDRILL_KILLED_RUNS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(5)
}

#[test]
fn a_run_that_is_killed_leaves_no_process_and_the_next_one_no_folder() {
    let place = Place::new();
    for round in 0..rounds() {
        let mut run = hold(&place);
        // Sooner or later, from before the first service to long after the last.
        std::thread::sleep(Duration::from_millis((round * 37) % 400));
        run.kill().unwrap();
        run.wait().unwrap();
        place.await_peace();
    }
    let clean = place.firedrill().arg("clean").output().unwrap();
    assert_eq!(clean.status.code(), Some(0), "{}", said(&clean));
    assert_eq!(place.left(), Vec::<PathBuf>::new());
    let again = place.firedrill().arg("clean").output().unwrap();
    assert_eq!(said(&again), "no run has left anything");
}

#[rstest]
#[case::interrupt("-INT")]
#[case::terminate("-TERM")]
fn a_run_that_is_stopped_takes_its_stack_down(#[case] signal: &str) {
    let place = Place::new();
    let mut run = hold(&place);
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("two")), "the stack is not up");
    assert!(Command::new("kill").args([signal, &run.id().to_string()]).status().unwrap().success());
    assert_eq!(run.wait().unwrap().code(), Some(3));
    assert_eq!(place.left(), Vec::<PathBuf>::new());
    place.await_peace();
}

#[test]
fn cleaning_leaves_what_lives_alone() {
    let place = Place::new();
    let mut run = hold(&place);
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("two")), "the stack is not up");
    let before = place.processes();
    let clean = place.firedrill().arg("clean").output().unwrap();
    assert_eq!(said(&clean), "no run has left anything");
    let still: Vec<_> = place.processes().into_iter().filter(|pid| before.contains(pid)).collect();
    assert!(still.len() > 3, "{still:?} of {before:?}");
    run.kill().unwrap();
    run.wait().unwrap();
    place.await_peace();
}

#[test]
fn two_runs_at_once_do_not_disturb_each_other() {
    let place = Place::new();
    let services =
        "  s: { process: [sh, -c, 'echo up; exec sleep 600'], ready: { log: up }, ports: { http: 80 } }\n";
    let file = place.scenario(services, "300ms");
    let start = || {
        let mut command = place.firedrill();
        command.args(["run", "--no-save", "--runtime", "processes"]).arg(&file);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let runs: Vec<_> = (0..4).map(|_| start()).collect();
    for run in runs {
        let output = run.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    }
    assert_eq!(place.left(), Vec::<PathBuf>::new());
}

#[test]
fn a_stack_is_held_until_it_is_stopped() {
    let place = Place::new();
    place.scenario("  shop: { process: [sh, -c, 'echo up; exec sleep 600'], ports: { http: 80, admin: 81 }, ready: { log: up } }\n", "1s");
    let mut command = place.firedrill();
    command.args(["up", "--runtime", "processes", "stack.yaml"]);
    let mut up = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(up.stdout.take().unwrap()).lines().map(Result::unwrap);
    let shown: Vec<_> = lines.by_ref().take(4).collect();
    assert!(shown[0].starts_with("tried is up after ") && shown[0].contains("s as 20"), "{shown:?}");
    assert!(shown[1].starts_with("  shop.admin  127.0.0.1:"), "{shown:?}");
    assert!(shown[2].starts_with("  shop.http   http://127.0.0.1:"), "{shown:?}");
    assert!(Command::new("kill").args(["-INT", &up.id().to_string()]).status().unwrap().success());
    assert_eq!(up.wait().unwrap().code(), Some(0));
    assert_eq!(place.left(), Vec::<PathBuf>::new());
    place.await_peace();
}

/// A stack that is held, of a stand-in and of a process.
struct Held {
    place: Place,
    up: Child,
    web: String,
}

impl Held {
    fn new() -> Self {
        let place = Place::new();
        place.write("web.yaml", "stand-in: web\nroutes:\n  - get: /who\n    json: { i: answer }\n");
        place.scenario("  web: { simulate: web.yaml }\n  worker: { process: sleep 600 }\n", "1s");
        let mut command = place.firedrill();
        command.args(["up", "--runtime", "processes", "stack.yaml"]);
        let mut up = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(up.stdout.take().unwrap()).lines().map(Result::unwrap);
        // To the last line: who stops reading before it stops the stack.
        let mut told: Vec<String> = Vec::new();
        for line in lines {
            told.push(line);
            if told.last().is_some_and(|line| line.contains("Ctrl-C")) {
                break;
            }
        }
        let web = told[1].split("http://").nth(1).unwrap().to_owned();
        Self { place, up, web }
    }

    /// What `firedrill fault` says, and how it ends.
    fn fault(&self, words: &str) -> (Option<i32>, String) {
        let output = self.place.firedrill().arg("fault").args(words.split(' ')).output().unwrap();
        (output.status.code(), said(&output))
    }

    /// The first line of what the stand-in answers.
    fn asked(&self) -> String {
        use std::io::Write as _;
        let mut stream = std::net::TcpStream::connect(&self.web).unwrap();
        stream.write_all(b"GET /who HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n").unwrap();
        BufReader::new(stream).lines().next().unwrap().unwrap()
    }
}

#[rstest]
#[case::interrupt("-INT")]
#[case::terminate("-TERM")]
fn a_stack_that_is_held_is_broken_and_mended_by_hand(#[case] signal: &str) {
    let mut held = Held::new();
    assert_eq!(held.fault("list"), (Some(0), "no fault is in".to_owned()));
    assert_eq!(held.asked(), "HTTP/1.1 200 OK");
    let added = "web status status=503 path=/who nothing has met it yet";
    assert_eq!(held.fault("add web status=503 path=/who"), (Some(0), added.to_owned()));
    assert_eq!(held.asked(), "HTTP/1.1 503 Service Unavailable");
    let felt = "web status status=503 path=/who 1 request, 1 request answered";
    assert_eq!(held.fault("list"), (Some(0), felt.to_owned()));
    assert_eq!(held.fault("remove web"), (Some(0), format!("{felt}: lifted")));
    assert_eq!(held.asked(), "HTTP/1.1 200 OK");

    assert_eq!(held.fault("add worker pause"), (Some(0), "worker pause `worker` is held".to_owned()));
    let twice = "error: `pause` is in on `worker` already: remove it first";
    assert_eq!(held.fault("add worker pause"), (Some(4), twice.to_owned()));
    let none = "error: no fault `web pause` is in; there is `worker pause`";
    assert_eq!(held.fault("remove web pause"), (Some(2), none.to_owned()));
    assert!(Command::new("kill").args([signal, &held.up.id().to_string()]).status().unwrap().success());
    assert_eq!(held.up.wait().unwrap().code(), Some(0));
    assert_eq!(held.place.left(), Vec::<PathBuf>::new());
    held.place.await_peace();
    assert_eq!(
        held.fault("list"),
        (Some(2), "error: no stack is held: `firedrill up STACK` holds one, in another terminal".to_owned())
    );
}

#[rstest]
#[case::no_service("add wbe kill", 2, "error[fault/target]: the stack has no service `wbe`")]
#[case::no_kind("add web latncy=1s", 2, "did you mean `latency`?")]
#[case::ill_value("add web latency=soon", 2, "error[file/value]")]
#[case::no_value("add web latency", 2, "help: `firedrill fault add web latency=…` says it")]
#[case::nothing_in("remove web", 2, "error: no fault `web` is in; nor any other")]
#[case::nothing_for_it("add web kill=9", 2, "`kill` takes no value: write `kill` alone")]
#[case::no_process("add web memory=64MiB", 4, "`web` gets no less: it is a stand-in")]
#[case::in_a_scenario("add web exec", 2, "`exec` befalls no service: it belongs in a scenario")]
#[case::another_stack("list --stack nobody", 2, "no stack `nobody` is held; there is `")]
fn what_cannot_be_broken_by_hand_says_why(#[case] words: &str, #[case] code: i32, #[case] why: &str) {
    let mut held = Held::new();
    let (ended, said) = held.fault(words);
    assert_eq!(ended, Some(code), "{said}");
    assert!(said.contains(why), "{said}");
    assert_eq!(held.asked(), "HTTP/1.1 200 OK");
    assert!(Command::new("kill").args(["-INT", &held.up.id().to_string()]).status().unwrap().success());
    assert_eq!(held.up.wait().unwrap().code(), Some(0));
}

#[test]
fn a_port_that_another_takes_first_is_found_anew() {
    let place = Place::new();
    let services = "  s:\n    process: [sh, -c, 'cd ../../../..; [ -e held ] && { echo up; exec sleep 600; }; echo ${port.http} > new; mv new port; while [ ! -e held ]; do sleep 0.05; done; exit 1']\n    \
                    ports: { http: 80 }\n    ready: { log: ^up$ }\n";
    let file = place.scenario(services, "1ms");
    let mut command = place.firedrill();
    command.args(["run", "--no-save", "--runtime", "processes"]).arg(&file);
    let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !place.0.join("port").exists() {
        assert!(Instant::now() < deadline, "the service does not start");
        std::thread::yield_now();
    }
    let port = fs::read_to_string(place.0.join("port")).unwrap();
    let _taken = std::net::TcpListener::bind(format!("127.0.0.1:{}", port.trim())).unwrap();
    place.write("held", "");
    let output = run.wait_with_output().unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains(&format!("127.0.0.1:{} was taken by another program", port.trim())), "{said}");
    assert_eq!(place.left(), Vec::<PathBuf>::new());
}

/// A stack of nothing but a Prometheus and an Alertmanager with these files.
fn watched(place: &Place, prometheus: &str, rules: &str, alertmanager: &str) -> Output {
    place.write("prometheus.yml", prometheus);
    place.write("alerts.yml", rules);
    place.write("alertmanager.yml", alertmanager);
    let stack = "stack: watched\nprometheus: { config: prometheus.yml }\nalertmanager: { config: alertmanager.yml }\n";
    place.write("stack.yaml", stack);
    place.run(&place.write("scenario.yaml", "scenario: watched\nstack: stack.yaml\nsteps: [{ wait: 1ms }]\n"))
}

const PROMETHEUS: &str = "rule_files: [alerts.yml]\nscrape_configs: []\n";
const RULES: &str = "groups: [{ name: g, rules: [{ alert: A, expr: up == 0 }] }]\n";
const ALERTMANAGER: &str = "route: { receiver: r }\nreceivers: [{ name: r }]\n";

#[rstest]
#[case::prometheus(
    "scrape_configs: [{ job_name: a, scrape_intervall: 1s }]\n",
    RULES,
    ALERTMANAGER,
    4,
    "`promtool check config --syntax-only` refuses what is written"
)]
#[case::rules(
    PROMETHEUS,
    "groups: [{ name: g, rules: [{ alert: A, expr: up == }] }]\n",
    ALERTMANAGER,
    2,
    "error[rule/expression]: this is no PromQL expression"
)]
#[case::alertmanager(
    PROMETHEUS,
    RULES,
    "route: { receiver: nobody }\nreceivers: [{ name: r }]\n",
    2,
    "error[route/receiver]: no receiver is called `nobody`"
)]
#[ignore = "needs prometheus and prometheus-alertmanager"]
fn files_that_production_would_refuse_are_refused_as_they_stand(
    #[case] prometheus: &str,
    #[case] rules: &str,
    #[case] alertmanager: &str,
    #[case] exit: i32,
    #[case] why: &str,
) {
    let place = Place::new();
    let run = watched(&place, prometheus, rules, alertmanager);
    assert_eq!(run.status.code(), Some(exit), "{}", said(&run));
    assert!(said(&run).contains(why), "{}", said(&run));
    assert_eq!(place.left(), Vec::<PathBuf>::new());
}

#[test]
#[ignore = "needs prometheus and prometheus-alertmanager"]
fn alerts_that_nobody_is_told_of_are_noted() {
    let place = Place::new();
    let run = watched(&place, PROMETHEUS, RULES, ALERTMANAGER);
    let said = said(&run);
    assert_eq!(run.status.code(), Some(0), "{said}");
    let own = place.0.join("prometheus.yml");
    let note = format!("! alerts are told to nobody: {} names no Alertmanager", own.display());
    assert!(said.contains(&note), "{said}");
    assert_eq!(place.left(), Vec::<PathBuf>::new());
    place.await_peace();
}

/// A program of ours that ends with the test.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Rules that are quick enough to wait for, on a service of the shipped drills.
const QUICK: &str = "groups:
  - name: web
    interval: 1s
    rules:
      - { record: 'job:up:avg', expr: 'avg by (job) (up{job=\"web\"})' }
      - { alert: WebDown, expr: 'job:up:avg == 0', for: 4s, labels: { severity: critical } }
";

/// The same, and sooner; beside it one that never fires.
const SOONER: &str = "groups:
  - name: web
    interval: 1s
    rules:
      - { alert: WebDown, expr: 'up{job=\"web\"} == 0', for: 1s, labels: { severity: critical } }
      - { alert: Never, expr: 'queue_length > 1000', labels: { severity: high } }
";

/// An objective whose series no rule looks at.
const SCRAPED: &str = "apiVersion: openslo/v1
kind: SLO
metadata: { name: scraped, annotations: { firedrill/runbook: 'https://example.com/scraped' } }
spec:
  description: Scrapes take less than a day.
  service: web
  indicator:
    metadata: { name: scraped }
    spec: { thresholdMetric: { metricSource: { type: prometheus, spec: { query: scrape_duration_seconds } } } }
  timeWindow: [{ duration: 1d, isRolling: true }]
  budgetingMethod: Occurrences
  objectives: [{ displayName: all of it, op: lt, value: 86400, target: 0.99 }]
";

const QUICK_PROMETHEUS: &str = "global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [alerts.yml]
scrape_configs: [{ job_name: web, static_configs: [{ targets: ['TARGET'] }] }]
";

/// A free port of this machine, for a program that cannot say which it took.
fn free() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Place {
    fn serve_web(&self, address: &str) -> Served {
        let profile = fs::canonicalize("fixtures/drills/web.yaml").unwrap();
        let mut child = self
            .firedrill()
            .arg("simulate")
            .arg(profile)
            .args(["--listen", address])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Served(child)
    }

    fn incident(&self, words: &[&str]) -> (Option<i32>, String) {
        let output = self.firedrill().args(words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        (output.status.code(), said.into_owned())
    }
}

/// What a Prometheus answers to a query, once `wanted` says that it is it.
fn wait_for(prometheus: &str, query: &str, wanted: impl Fn(&str) -> bool) {
    let begun = Instant::now();
    loop {
        let asked = Command::new("curl")
            .args(["-sG", "--data-urlencode"])
            .arg(format!("query={query}"))
            .arg(format!("{prometheus}/api/v1/query"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&asked.stdout).into_owned();
        if wanted(&said) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "`{query}` is {said}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
#[ignore = "needs prometheus"]
fn an_outage_is_recorded_replayed_cold_and_asked_what_other_rules_had_said() {
    let place = Place::new();
    let (target, port) = (format!("127.0.0.1:{}", free()), free());
    place.write("alerts.yml", QUICK);
    place.write("prometheus.yml", &QUICK_PROMETHEUS.replace("TARGET", &target));
    let web = place.serve_web(&target);
    let prometheus = Command::new("prometheus")
        .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .current_dir(&place.0)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let prometheus = Served(prometheus);
    let address = format!("http://127.0.0.1:{port}");
    let one = |value: &'static str| move |said: &str| said.contains(&format!(",\"{value}\"]"));
    let now = jiff::Timestamp::now;
    wait_for(&address, "up == 1", one("1"));
    let from = now() - jiff::SignedDuration::from_secs(3);
    drop(web);
    wait_for(&address, "ALERTS{alertstate=\"firing\"}", one("1"));
    let web = place.serve_web(&target);
    wait_for(&address, "count(ALERTS) or vector(0)", one("0"));
    std::thread::sleep(Duration::from_secs(4));
    let (from, to) = (from.to_string(), now().to_string());
    let record =
        ["incident", "record", "--prometheus", &address, "--from", &from, "--to", &to, "-o", "outage"];
    place.write("slo.yaml", SCRAPED);
    let record = [&record[..], &["--slos", "slo.yaml"]].concat();
    let (code, said) = place.incident(&[&record[..], &["--most-samples", "3"]].concat());
    assert_eq!(code, Some(4), "what would be too much is refused before it is fetched: {said}");
    let (code, said) = place.incident(&record);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1 of them fired"), "{said}");
    let timeline = fs::read_to_string(place.0.join("outage/timeline.md")).unwrap();
    assert!(timeline.contains("**WebDown {job=web, severity=critical} fires**"), "{timeline}");
    drop((prometheus, web));

    // Cold: neither the service nor its Prometheus is there any more.
    let (code, said) = place.incident(&["run", "outage"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("PASS the same alerts fire in the same order, 1 of them"), "{said}");
    place.write("sooner.yml", SOONER);
    let (code, said) = place.incident(&["incident", "what-if", "outage", "--rules", "sooner.yml"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("\nSOONER by "), "{said}");
    // Too short a time for a look every 15 s; that the SLO and its series are in the folder is what counts here.
    assert!(
        said.contains("budget of scraped (all of it) spent") && !said.contains("is not recorded"),
        "{said}"
    );
    place.write("more.yaml", &SCRAPED.replace("scraped", "other").replace("scrape_duration", "scrape_extra"));
    let more = ["incident", "what-if", "outage", "--rules", "sooner.yml", "--slo", "more.yaml"];
    let (code, said) = place.incident(&more);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("other (all of it) is not known: `scrape_extra_seconds` is not recorded"),
        "{said}"
    );

    // By hand, somebody says that it never fired: the replay does not agree.
    fs::write(place.0.join("outage/alerts.json"), "[]").unwrap();
    let (code, said) = place.incident(&["incident", "replay", "outage"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("and did not fire"), "{said}");
}
