//! Files that are wrong, large or strange: findings and exit 2, and nothing is started.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::PathBuf;

use firedrill::finding::{Code, Severity};
use rstest::rstest;

use crate::support::Drill;

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

/// Examples in `fixtures/bad`, with the code each is named after.
fn examples() -> Vec<(Code, PathBuf)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/bad");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = paths.filter_map(|path| {
        let stem = path.file_stem()?.to_str()?;
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
        let ended = Drill::of(["check"]).argument(&path).go();
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
