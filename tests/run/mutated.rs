//! Whatever stands in a file, reading it ends in values or findings, and every finding can be drawn.

use firedrill::finding::{Finding, Findings};
use firedrill::plan::{Kind, kind_of};
use firedrill::scenario::{self, ScenarioWritten, gate, profile, stack};
use firedrill::slo;
use firedrill::source::Sources;
use firedrill::yaml;
use proptest::prelude::*;

/// Files that are sound, to be broken.
const SOUND: [&str; 5] = [
    include_str!("../../scenarios/quickstart.yaml"),
    include_str!("../../scenarios/real/servers.yaml"),
    include_str!("../../slos/quickstart.yaml"),
    include_str!("../../fixtures/shop/shop.yaml"),
    include_str!("../../fixtures/shop/alone.yaml"),
];

/// What means something to YAML, to a template or to a path, and what is long in bytes or has no width.
const PIECES: [&str; 48] = [
    ":", ": ", "-", "- ", "?", "? ", "[", "]", "{", "}", ",", "#", " #", "&a ", "*a", "!", "!!str ", "!x ",
    "|", ">", "'", "\"", "%", "@", "`", "\\", "\t", "\r", "\r\n", "\n", "\n\n", "  ", "---\n", "...\n", "${",
    "}", "$${", "$.", "$[?(@", "~", "\u{0}", "\u{85}", "\u{2028}", "\u{feff}", "é", "日本", "🧯", "e\u{301}",
];

/// One change to a text, at places that are shares of its length.
#[derive(Debug, Clone)]
enum Change {
    Insert(f64, &'static str),
    Remove(f64, usize),
    Replace(f64, char),
    Cut(f64),
    DropLine(f64),
    RepeatLine(f64, usize),
    MoveLine(f64, f64),
    Indent(f64, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let at = || 0.0..1.0_f64;
    prop_oneof![
        4 => (at(), prop::sample::select(&PIECES[..])).prop_map(|(at, piece)| Change::Insert(at, piece)),
        2 => (at(), 1..40_usize).prop_map(|(at, count)| Change::Remove(at, count)),
        2 => (at(), any::<char>()).prop_map(|(at, sign)| Change::Replace(at, sign)),
        1 => at().prop_map(Change::Cut),
        2 => at().prop_map(Change::DropLine),
        1 => (at(), 1..4_usize).prop_map(|(at, times)| Change::RepeatLine(at, times)),
        2 => (at(), at()).prop_map(|(from, to)| Change::MoveLine(from, to)),
        2 => (at(), 0..6_usize).prop_map(|(at, spaces)| Change::Indent(at, spaces)),
    ]
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "texts are short"
)]
fn at(share: f64, length: usize) -> usize {
    (share * length as f64) as usize
}

fn apply(text: &str, change: &Change) -> String {
    let signs = text.chars().count();
    let byte = |sign: usize| text.char_indices().nth(sign).map_or(text.len(), |(at, _)| at);
    // The text with what stands between two signs replaced.
    let splice =
        |from: usize, to: usize, piece: &str| format!("{}{piece}{}", &text[..byte(from)], &text[byte(to)..]);
    let mut lines: Vec<String> = text.split_inclusive('\n').map(ToOwned::to_owned).collect();
    let count = lines.len();
    match change {
        _ if count == 0 => {}
        Change::Insert(share, piece) => return splice(at(*share, signs), at(*share, signs), piece),
        Change::Remove(share, many) => return splice(at(*share, signs), at(*share, signs) + many, ""),
        Change::Replace(share, sign) => {
            return splice(at(*share, signs), at(*share, signs) + 1, &sign.to_string());
        }
        Change::Cut(share) => lines = vec![text[..byte(at(*share, signs))].to_owned()],
        Change::DropLine(share) => drop(lines.remove(at(*share, count))),
        Change::RepeatLine(share, times) => {
            let line = lines[at(*share, count)].repeat(*times);
            lines.insert(at(*share, count), line);
        }
        Change::MoveLine(from, to) => {
            let line = lines.remove(at(*from, count));
            lines.insert(at(*to, count), line);
        }
        Change::Indent(share, spaces) => {
            let line = &mut lines[at(*share, count)];
            *line = " ".repeat(*spaces) + line.trim_start_matches(' ');
        }
    }
    lines.concat()
}

/// A sound file with a few changes.
fn mutated() -> impl Strategy<Value = String> {
    let changes = prop::collection::vec(change(), 1..6);
    (prop::sample::select(&SOUND[..]), changes).prop_map(|(sound, changes)| {
        changes.iter().fold(sound.to_owned(), |text, change| apply(&text, change))
    })
}

/// All that is found in a text, whatever kind of file it takes itself for.
fn findings(sources: &mut Sources, text: &str) -> Vec<Finding> {
    let id = sources.add("file.yaml", text);
    let documents = match yaml::parse(id, text) {
        Ok(documents) => documents,
        Err(findings) => return findings,
    };
    let mut findings = Findings::default();
    for document in &documents {
        match kind_of(document) {
            Some(Kind::Scenario) => drop(scenario::check(document, &mut findings)),
            Some(Kind::Fragment) => drop(scenario::check_fragment(document, &mut findings)),
            Some(Kind::Stack) => drop(stack::check(document, &mut findings)),
            Some(Kind::Profile) => drop(findings.take_all(profile::check(document))),
            Some(Kind::Gate) => drop(gate::check(document, &mut findings)),
            Some(Kind::Slo) => drop(slo::resolve(&slo::check(&documents, &mut findings), &mut findings)),
            None => findings.extend(yaml::read_partly::<ScenarioWritten>(document).findings),
        }
    }
    findings.in_reading_order()
}

/// Fails unless each place lies in the text, between characters, and each finding can be drawn.
fn assert_sound(text: &str) -> Result<(), TestCaseError> {
    let mut sources = Sources::default();
    for finding in findings(&mut sources, text) {
        let also = finding.also.iter().map(|(place, _)| *place);
        for place in std::iter::once(finding.place).chain(also) {
            let (start, end) = (place.start as usize, place.end as usize);
            prop_assert!(start <= end && end <= text.len(), "{finding:?} of {} bytes", text.len());
            prop_assert!(text.is_char_boundary(start) && text.is_char_boundary(end), "{finding:?}");
        }
        let drawing = finding.draw(&sources);
        prop_assert!(!drawing.render(false).is_empty() && !drawing.render(true).is_empty());
    }
    Ok(())
}

#[test]
fn what_is_to_be_broken_is_sound() {
    for text in SOUND {
        assert_eq!(findings(&mut Sources::default(), text), []);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn no_text_panics(text: String) {
        assert_sound(&text)?;
    }

    #[test]
    fn no_yaml_like_text_panics(pieces in prop::collection::vec(prop_oneof![
        3 => prop::sample::select(&PIECES[..]),
        2 => prop::sample::select(&["scenario", "steps", "http", "get", "a", "1", "expect", "stand-in", "apiVersion: openslo/v1", "\n  ", "\n"][..]),
    ], 0..60)) {
        assert_sound(&pieces.concat())?;
    }

    #[test]
    fn no_mutated_file_panics(text in mutated()) {
        assert_sound(&text)?;
    }
}
