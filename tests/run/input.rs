//! Files that are wrong, large or strange: findings and exit 2, and nothing is started.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::PathBuf;

use firedrill::finding::{Code, Severity};
use rstest::rstest;

use crate::support::{Drill, PATIENCE};

/// A target that nobody may come to.
pub(crate) struct Untouched(TcpListener);

impl Untouched {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    /// A scenario that would come to it.
    pub(crate) fn scenario(&self) -> String {
        format!(
            "scenario: sound\nsteps: [{{ http: {{ get: 'http://{}/' }} }}]\n",
            self.0.local_addr().unwrap()
        )
    }

    /// A connection that was made waits to be accepted, so this misses none.
    #[track_caller]
    pub(crate) fn assert(self) {
        let came = self.0.accept();
        assert!(came.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "{came:?}");
    }
}

/// Files of Prometheus and Alertmanager, which are read as such and not by their first key: `tests/findings` draws them.
const FOREIGN: [&str; 4] = ["alertmanager-", "audit-", "route-", "rule-"];

/// Examples in `fixtures/bad` of files of ours, with the code each is named after.
fn examples() -> Vec<(Code, PathBuf)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/bad");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = paths.filter_map(|path| {
        let stem = path.file_stem()?.to_str()?;
        if FOREIGN.iter().any(|kind| stem.starts_with(kind)) {
            return None;
        }
        let code = Code::ALL.iter().find(|code| code.name().replace('/', "-") == stem)?;
        path.extension().is_some_and(|extension| extension == "yaml").then(|| (*code, path.clone()))
    });
    named.collect()
}

#[test]
fn every_example_of_an_error_exits_2_and_of_a_warning_0() {
    let examples = examples();
    assert!(examples.len() > 30, "only {} examples", examples.len());
    for (code, path) in examples {
        let ended = Drill::of(["check"]).argument(&path).environment("FIREDRILL_PIN", "42").go();
        let expected = if code.severity() == Severity::Error { 2 } else { 0 };
        assert_eq!(ended.exit(), expected, "{}: {}", path.display(), ended.stderr());
        assert!(ended.stderr().contains(&format!("[{code}]")), "{}: {}", path.display(), ended.stderr());
    }
}

#[test]
fn one_broken_file_among_sound_ones_and_nothing_is_started() {
    for (code, path) in examples().into_iter().filter(|(code, _)| code.severity() == Severity::Error) {
        let target = Untouched::new();
        let ended = Drill::run(target.scenario()).argument(&path).go();
        assert_eq!(ended.exit(), 2, "{code}: {}", ended.stderr());
        assert!(ended.json.is_empty() && ended.junit.is_empty() && ended.stdout.is_empty(), "{code}");
        target.assert();
    }
}

#[rstest]
#[case::no_file(&["run", "nowhere.yaml"])]
#[case::no_path(&["run"])]
#[case::no_verb(&[])]
#[case::unknown_option(&["run", "--nope", "scenario.yaml"])]
#[case::unknown_format(&["run", "scenario.yaml", "--report", "pdf=run.pdf"])]
#[case::no_report_file(&["run", "scenario.yaml", "--report", "json="])]
#[case::no_scenario(&["run", "profile.yaml"])]
#[case::an_empty_folder(&["run", "empty"])]
#[case::no_secrets_file(&["run", "scenario.yaml", "--secrets", "nowhere.yaml"])]
#[case::what_never_ends(&["run", "/dev/zero"])]
fn a_command_that_cannot_be_meant_exits_2_and_nothing_is_started(#[case] arguments: &[&str]) {
    let target = Untouched::new();
    let drill = Drill::of(arguments.iter().copied()).file("scenario.yaml", target.scenario());
    std::fs::create_dir(drill.folder.path("empty")).unwrap();
    let ended = drill.file("profile.yaml", "stand-in: shop\n").go();
    ended.exits(2);
    assert!(!ended.stderr.is_empty());
    target.assert();
}

#[test]
fn a_folder_whose_links_lead_in_circles_is_searched_once() {
    let target = Untouched::new();
    let drill = Drill::of(["check", "."]).file("scenario.yaml", target.scenario());
    let inner = drill.folder.path("inner");
    std::fs::create_dir(&inner).unwrap();
    for (to, link) in
        [("..", "up"), (".", "here"), ("..", "up.yaml"), ("self.yaml", "self.yaml"), ("gone", "gone")]
    {
        std::os::unix::fs::symlink(to, inner.join(link)).unwrap();
    }
    let ended = drill.go();
    assert_eq!(ended.exits(2).stdout(), "2 errors in 1 scenario file\n", "{}", ended.stderr());
    assert!(ended.stderr().contains("inner/self.yaml") && ended.stderr().contains("inner/up.yaml"));
}

/// `head`, and then lines until there are so many bytes.
fn long(bytes: usize, head: &str, line: impl Fn(usize) -> String) -> String {
    let mut text = head.to_owned();
    for number in 0.. {
        if text.len() >= bytes {
            break;
        }
        text += &line(number);
    }
    text
}

fn step(number: usize, rest: &str) -> String {
    format!("  - {{ name: s{number}, {rest} }}\n")
}

const STEPS: &str = "scenario: big\nsteps:\n";
const VARS: &str = "scenario: big\nsteps: [{ wait: 1s }]\nvars:\n";
const NESTED: &str = "scenario: big\nsteps: [{ http: { get: http://127.0.0.1:1/, json: ";

#[rstest]
#[case::sound(0, long(10 << 20, STEPS, |n| step(n, &format!("http: {{ post: 'http://127.0.0.1:1/', body: '{}' }}", "long ".repeat(200)))))]
#[case::many_steps(0, long(1 << 20, STEPS, |n| step(n, "http: { get: 'http://127.0.0.1:1/' }, expect: { status: 200 }")))]
#[case::of_one_line(2, long(1 << 20, "scenario: big\nabout: \"", |_| "x".repeat(99)))]
#[case::empty_requests(2, long(1 << 20, STEPS, |n| step(n, "http: {}")))]
#[case::unknown_keys(2, long(1 << 20, STEPS, |n| step(n, "htpt: {}")))]
#[case::wrong_types(2, long(1 << 20, STEPS, |n| step(n, "http: 3")))]
#[case::same_names(2, long(1 << 20, STEPS, |_| step(0, "wait: 1s")))]
#[case::same_keys(2, long(1 << 20, "scenario: big\n", |_| "about: x\n".to_owned()))]
#[case::unknown_variables(2, long(1 << 20, STEPS, |n| step(n, &format!("http: {{ get: '${{x{n}}}/' }}"))))]
#[case::a_chain_of_variables(0, long(1 << 20, VARS, |n| format!("  v{n}: \"${{v{}:-x}}\"\n", n + 1)))]
#[case::a_circle_of_variables(2, long(1 << 20, &format!("{VARS}  first: \"${{v0}}\"\n  v0: \"${{first}}\"\n"), |n| format!("  v{}: \"${{v{n}}}\"\n", n + 1)))]
#[case::anchors_in_anchors(2, long(1 << 20, &format!("{NESTED}{}", "[&a ".repeat(50)), |_| "1,".to_owned()) + &"]".repeat(50) + " } }]\n")]
#[case::never_closed(2, long(1 << 20, NESTED, |_| "[1,".to_owned()))]
fn a_large_file_is_checked_in_bounded_time_and_memory(#[case] exit: i32, #[case] text: String) {
    let drill = Drill::of(["check", "large.yaml"]).file("large.yaml", text);
    let ended = drill.within(4 * PATIENCE).with_memory(3 << 30).go();
    assert_eq!(ended.exit(), exit, "{}", &ended.stderr()[..ended.stderr().len().min(2000)]);
    assert!(ended.stderr.len() < 1 << 20, "{} bytes are said", ended.stderr.len());
}

#[test]
fn a_pipe_that_looks_like_a_scenario_is_a_finding() {
    for command in ["check", "run"] {
        let drill = Drill::of([command, "."]).within(PATIENCE);
        let pipe = drill.folder.path("scenario.yaml");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let ended = drill.go();
        ended.exits(2);
        assert_eq!(
            ended.stderr(),
            "error[file/unreadable]: `./scenario.yaml` cannot be read: it is no regular file\n\n"
        );
    }
}

#[rstest]
#[case::standard_output(["json=-", "junit=-"])]
#[case::one_file(["json=report", "tap=report"])]
fn two_reports_of_one_place_are_refused(#[case] reports: [&str; 2]) {
    let untouched = Untouched::new();
    let drill = Drill::of(["run", "scenario.yaml"]).file("scenario.yaml", untouched.scenario());
    let drill = reports.iter().fold(drill, |drill, report| drill.argument("--report").argument(*report));
    let ended = drill.go();
    ended.exits(2);
    let [first, second] = reports;
    assert_eq!(
        ended.stderr(),
        format!(
            "error: `{first}` and `{second}` would be written into one another: give each report a place of its own\n"
        )
    );
    untouched.assert();
}

/// Forty variables, each twice the one before.
fn doubling(shape: &str) -> String {
    let doubled = |number: u32| {
        let last = format!("${{v{}}}", number - 1);
        format!("  v{number}: {}\n", shape.replace("LAST", &last))
    };
    "vars:\n  v0: 0123456789\n".to_owned() + &(1..40).map(doubled).collect::<String>()
}

#[rstest]
#[case::text("\"LASTLAST\"")]
#[case::list("[\"LAST\", \"LAST\"]")]
fn variables_that_double_one_another_end_the_run_in_bounded_memory(#[case] shape: &str) {
    let untouched = Untouched::new();
    let drill = Drill::run(untouched.scenario() + &doubling(shape)).with_memory(1 << 30);
    let ended = drill.go();
    ended.exits(4);
    let said = "variable `v";
    let long = "it is too long: variables, captures and what is filled from them hold at most 32MiB";
    assert!(ended.stdout().contains(said), "{}", ended.stdout());
    let whole = ended.stdout().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(whole.contains(long), "{whole}");
    untouched.assert();
}

#[test]
fn fragments_that_use_others_twice_end_in_bounded_time_and_memory() {
    let mut drill = Drill::of(["check", "scenario.yaml"]).with_memory(1 << 30);
    for depth in 0..20 {
        let uses = format!("{{ file: {}.yaml }}", depth + 1);
        let steps = format!("  - {{ name: a, use: {uses} }}\n  - {{ name: b, use: {uses} }}\n");
        drill = drill.file(&format!("{depth}.yaml"), format!("fragment: f{depth}\nsteps:\n{steps}"));
    }
    drill = drill.file("20.yaml", "fragment: last\nsteps: [{ wait: 1s }]\n");
    let ended = drill.file("scenario.yaml", "scenario: bomb\nsteps: [{ use: { file: 0.yaml } }]\n").go();
    ended.exits(2);
    let said = "error[use/cycle]: the scenario comes to more than 10000 steps by its fragments\n";
    assert!(ended.stderr().starts_with(said), "{}", ended.stderr());
    assert_eq!(ended.stdout(), "1 error in 1 scenario file\n");
}
