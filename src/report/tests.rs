//! What all reports share: targets, errors, and text from outside.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use rstest::rstest;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::fixture::Paper;
use super::*;
use crate::event::Event;
use crate::finding::{Drawing, Excerpt, Label, Severity};

#[rstest]
#[case::json("json=run.jsonl", Format::Json, "run.jsonl")]
#[case::junit("junit=a/b=c.xml", Format::Junit, "a/b=c.xml")]
#[case::standard_output("json=-", Format::Json, "-")]
#[case::annotations("github=-", Format::Github, "-")]
#[case::summary("github-summary=job.md", Format::GithubSummary, "job.md")]
#[case::quality("gitlab=quality.json", Format::Gitlab, "quality.json")]
#[case::matrix("matrix=alerts.md", Format::Matrix, "alerts.md")]
#[case::tap("tap=run.tap", Format::Tap, "run.tap")]
#[case::page("html=report.html", Format::Html, "report.html")]
fn a_target_reads(#[case] text: &str, #[case] format: Format, #[case] path: &str) {
    let target: Target = text.parse().unwrap();
    assert_eq!(target, Target { format, path: path.into() });
    assert_eq!(target.is_stdout(), path == "-");
}

#[rstest]
#[case::no_file(
    "junit",
    "a report is FORMAT=FILE, like `junit=report.xml`; formats are `json`, `junit`, `tap`, `github`, `github-summary`, `gitlab`, `matrix`, `html`"
)]
#[case::unknown(
    "xml=a.xml",
    "`xml` is no report format; formats are `json`, `junit`, `tap`, `github`, `github-summary`, `gitlab`, `matrix`, `html`"
)]
#[case::empty_file("json=", "`json=` names no file; `-` is standard output")]
fn a_malformed_target_is_refused(#[case] text: &str, #[case] said: &str) {
    assert_eq!(text.parse::<Target>().unwrap_err().to_string(), said);
}

/// A folder of its own that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("firedrill-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_file_is_made_at_once_with_its_folders() {
    let folder = Folder::new("report-made");
    let path = folder.0.join("deep/er/run.jsonl");
    let report = Target { format: Format::Json, path: path.clone() }.open().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"");
    assert_eq!(report.name(), path.to_str().unwrap());
}

#[test]
fn what_others_wrote_before_is_kept_where_it_is_asked_for() {
    let folder = Folder::new("report-append");
    let path = folder.0.join("summary.md");
    fs::write(&path, "of another tool\n").unwrap();
    let mut report = Target { format: Format::GithubSummary, path: path.clone() }.append().unwrap();
    report.close().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("of another tool\n\n## "), "{text}");
}

#[test]
fn a_bad_path_fails_before_anything_is_written() {
    let folder = Folder::new("report-bad");
    let file = folder.0.join("file");
    fs::write(&file, "in the way").unwrap();
    let Err(error) = (Target { format: Format::Junit, path: file.join("junit.xml") }).open() else {
        panic!("a file is no folder");
    };
    let said = error.to_string();
    assert!(said.starts_with(&format!("cannot create `{}`: ", file.display())), "{said}");
}

/// A report that remembers, and fails when it is told to.
struct Witness {
    name: &'static str,
    paper: Paper,
    fails_at: &'static str,
}

impl Witness {
    fn hear(&mut self, what: &str) -> io::Result<()> {
        writeln!(self.paper, "{what}")?;
        if what == self.fails_at { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Report for Witness {
    fn name(&self) -> &str {
        self.name
    }

    fn take(&mut self, stamped: &Stamped) -> io::Result<()> {
        self.hear(&format!("event at {}", stamped.at))
    }

    fn wait(&mut self, elapsed: Duration) -> io::Result<()> {
        self.hear(&format!("waited until {} ms", elapsed.as_millis()))
    }

    fn close(&mut self) -> io::Result<()> {
        self.hear("closed")
    }
}

fn witness(name: &'static str, fails_at: &'static str) -> (Paper, Box<dyn Report>) {
    let paper = Paper::default();
    (paper.clone(), Box::new(Witness { name, paper, fails_at }))
}

#[tokio::test(start_paused = true)]
async fn a_report_that_cannot_be_written_is_given_up_and_the_others_go_on() {
    let (broken, first) = witness("a.xml", "event at 1");
    let (whole, second) = witness("b.jsonl", "");
    let (full, third) = witness("c.xml", "closed");
    let (to, events) = unbounded_channel();
    for at in 0..3 {
        to.send(Stamped { at, event: of_nothing() }).unwrap();
    }
    drop(to);
    let error = fan_out(events, vec![first, second, third]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot write `a.xml`: no storage space; cannot write `c.xml`: no storage space"
    );
    assert_eq!(broken.text(), "event at 0\nevent at 1\n");
    assert_eq!(whole.text(), "event at 0\nevent at 1\nevent at 2\nclosed\n");
    assert_eq!(full.text(), whole.text());
}

/// A report that stops the run once it has waited.
struct Impatient {
    to: Option<UnboundedSender<Stamped>>,
    waited: Arc<Mutex<Option<Duration>>>,
}

impl Report for Impatient {
    fn name(&self) -> &'static str {
        "impatient"
    }

    fn take(&mut self, _: &Stamped) -> io::Result<()> {
        Ok(())
    }

    fn wait(&mut self, elapsed: Duration) -> io::Result<()> {
        *self.waited.lock().unwrap() = Some(elapsed);
        self.to = None;
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn reports_hear_how_long_the_run_has_gone_on_without_an_event() {
    let (to, events) = unbounded_channel();
    to.send(Stamped { at: 5_000_000, event: of_nothing() }).unwrap();
    let waited = Arc::default();
    let report = Impatient { to: Some(to), waited: Arc::clone(&waited) };
    fan_out(events, vec![Box::new(report)]).await.unwrap();
    let waited = waited.lock().unwrap().expect("it has waited");
    assert!(waited >= Duration::from_millis(5) + WAIT, "{waited:?}");
}

fn of_nothing() -> Event {
    Event::NotMeasured { scenario: "a".into(), why: "b".into() }
}

#[rstest]
#[case::plain("as it was\n", "as it was\n")]
#[case::escape("\x1b[31mred", "␛[31mred")]
#[case::c1("\u{9b}2J", "�2J")]
#[case::delete("a\x7fb\x08", "a␡b␈")]
#[case::tab("a\tb", "a    b")]
#[case::lines("a\r\nb\rc", "a\nb␍c")]
#[case::direction("\u{202e}a\u{2066}\u{200f}", "�a��")]
#[case::not_in_xml("\u{ffff}\u{fffe}", "��")]
#[case::other_scripts("שלום 👩‍🚒 é", "שלום 👩‍🚒 é")]
fn what_steers_is_shown_instead(#[case] text: &str, #[case] shown: &str) {
    assert_eq!(printable(text), shown);
}

#[rstest]
#[case::fits("twelve signs", 12, "twelve signs")]
#[case::does_not("thirteen signs", 12, "thirteen si…")]
#[case::wide_signs("日本語です", 6, "日本…")]
#[case::no_room("a", 0, "")]
#[case::without_width("e\u{301}\u{301}\u{301}\u{301}\u{301}", 1, "…")]
fn a_text_is_cut_to_its_column(#[case] text: &str, #[case] room: usize, #[case] kept: &str) {
    assert_eq!(text::cut(text, room, "…"), kept);
}

#[rstest]
#[case::side_by_side(&["one", "two"], 9, &["one   two"])]
#[case::one_below_the_other(&["one", "two"], 8, &["one", "two"])]
#[case::between_words(&["one two three"], 7, &["one two", "three"])]
#[case::within_a_word(&["abcdefgh"], 3, &["abc", "def", "gh"])]
#[case::nothing(&["", " "], 3, &[])]
fn pieces_are_folded(#[case] pieces: &[&str], #[case] room: usize, #[case] lines: &[&str]) {
    let pieces: Vec<_> = pieces.iter().map(|piece| (*piece).to_owned()).collect();
    assert_eq!(text::fold(&pieces, room), lines);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_comes_is_printable_and_fits(text: String, room in 2usize..40) {
        let line = on_one_line(&text);
        prop_assert!(!printable(&text).contains(|sign| sign != '\n' && text::steers(sign)));
        prop_assert!(text::width(&text::cut(&line, room, "…")) <= room);
        let lines = text::fold(std::slice::from_ref(&line), room);
        prop_assert!(lines.iter().all(|line| text::width(line) <= room), "{:?}", lines);
        prop_assert_eq!(lines.concat().replace(' ', ""), line.replace(' ', ""));
    }

    #[test]
    fn no_drawing_panics(text: String, title: String, start: usize, end: usize, first_line: usize) {
        let label = Label { start, end, text: title.clone(), primary: true };
        let excerpt = Excerpt {
            path: title.clone(),
            line: 1,
            column: 1,
            first_line,
            text,
            labels: vec![label],
        };
        let drawing = Drawing { severity: Severity::Error, code: None, title, excerpts: vec![excerpt], help: None };
        let style = Style { colour: false, width: 80, unicode: true };
        let drawn = detail::drawn(&drawing, style);
        prop_assert!(!drawn.contains(|sign| sign != '\n' && text::steers(sign)), "{:?}", drawn);
    }
}

#[rstest]
#[case::command("  ::add-mask::x\nok", "  :\\:add-mask::x\nok")]
#[case::old_command("see ##[error]x", "see #\\#[error]x")]
#[case::other_runner("##vso[task]", "#\\#vso[task]")]
#[case::plain("a::b ## c", "a::b ## c")]
fn a_ci_runner_obeys_nothing_a_target_says(#[case] text: &str, #[case] shown: &str) {
    assert_eq!(text::inert(text), shown);
}

#[rstest]
#[case::a_script("<script>alert('x')</script>", "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;")]
#[case::an_attribute("\" onload=\"x", "&quot; onload=&quot;x")]
#[case::an_entity("&lt;", "&amp;lt;")]
#[case::a_terminal("\u{1b}[31m", "␛[31m")]
fn what_came_from_outside_is_text(#[case] text: &str, #[case] shown: &str) {
    assert_eq!(text::in_html(text), shown);
}
