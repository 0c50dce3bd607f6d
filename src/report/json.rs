//! Every event, one JSON object a line: what a saved run is, and what other programs read.

use std::io::{self, BufRead, Read as _, Write};

use schemars::Schema;
use serde::Serialize as _;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use crate::event::{Conclusion, Event, Nanos, Stamped};
use crate::report::Report;
use crate::report::text::steers;

/// Longer lines are not read; an event with all its evidence is far shorter.
const LONGEST_LINE: u64 = 64 << 20;

/// Writes events as they come.
pub struct Json {
    name: String,
    out: Box<dyn Write + Send>,
    /// When the last event happened, of a run that has not ended.
    open: Option<u64>,
}

impl Json {
    /// Writes to `out`, which is called `name` in messages.
    #[must_use]
    pub fn new(name: String, out: Box<dyn Write + Send>) -> Self {
        Self { name, out, open: None }
    }
}

impl Report for Json {
    fn name(&self) -> &str {
        &self.name
    }

    fn take(&mut self, stamped: &Stamped) -> io::Result<()> {
        let ended = matches!(stamped.event, Event::RunEnded { .. });
        self.open = (!ended).then_some(stamped.at);
        stamped.serialize(&mut Serializer::with_formatter(&mut self.out, Escaping))?;
        self.out.write_all(b"\n")?;
        // A run that is killed has to leave what happened until then.
        self.out.flush()
    }

    fn close(&mut self) -> io::Result<()> {
        if let Some(at) = self.open {
            // What is read again has to say that it was cut off.
            let (conclusion, took) = (Conclusion::NotMeasured, Nanos(at));
            let event = Event::RunEnded { conclusion, took, interrupted: false, cut: true };
            self.take(&Stamped { at, event })?;
        }
        self.out.flush()
    }
}

/// Writes what could steer a terminal as `\u009b`: a line may well end on one, as with `json=-`.
struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut written = 0;
        for (at, sign) in fragment.char_indices().filter(|(_, sign)| steers(*sign)) {
            out.write_all(&fragment.as_bytes()[written..at])?;
            for unit in sign.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            written = at + sign.len_utf8();
        }
        out.write_all(&fragment.as_bytes()[written..])
    }
}

/// Why a line of a saved run cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read from where it is.
    #[error("line {line}: {source}")]
    Read {
        /// From 1.
        line: u64,
        /// What the system said.
        source: io::Error,
    },
    /// It is no event.
    #[error("line {line} is no event: {source}")]
    Malformed {
        /// From 1.
        line: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// It is longer than any event.
    #[error("line {line} is longer than {} MiB", LONGEST_LINE >> 20)]
    TooLong {
        /// From 1.
        line: u64,
    },
    /// It ends in the middle, as after a crash; all before it can be used.
    #[error("line {line}, the last one, is cut off: the run was stopped while it wrote")]
    Cut {
        /// From 1.
        line: u64,
    },
}

/// The events of a saved run. A last line that is cut off is an [`Error::Cut`] after all that is whole.
pub fn read(saved: impl BufRead) -> impl Iterator<Item = Result<Stamped, Error>> {
    Lines { saved, line: 0, over: false }
}

struct Lines<R> {
    saved: R,
    /// The number of the line that was read last.
    line: u64,
    over: bool,
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Stamped, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.over {
            self.line += 1;
            let mut text = Vec::new();
            let read = self.saved.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut text);
            if let Err(source) = read {
                self.over = true;
                return Some(Err(Error::Read { line: self.line, source }));
            }
            let whole = text.last() == Some(&b'\n');
            self.over = !whole;
            if !text.trim_ascii().is_empty() {
                return Some(self.event(&text, whole));
            }
        }
        None
    }
}

impl<R> Lines<R> {
    fn event(&self, text: &[u8], whole: bool) -> Result<Stamped, Error> {
        let line = self.line;
        serde_json::from_slice(text).map_err(|source| match whole {
            true => Error::Malformed { line, source },
            false if u64::try_from(text.len()).is_ok_and(|length| length < LONGEST_LINE) => {
                Error::Cut { line }
            }
            false => Error::TooLong { line },
        })
    }
}

/// The JSON Schema of a line.
#[must_use]
pub fn schema() -> Schema {
    schemars::schema_for!(Stamped)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::report::fixture::{events, hostile_events, written};

    fn lines() -> String {
        written(|out| Json::new("run.jsonl".into(), out), &events())
    }

    #[test]
    fn a_run_that_was_cut_off_ends_with_that() {
        let mut cut = events();
        cut.retain(|one| !matches!(one.event, Event::RunEnded { .. }));
        let text = written(|out| Json::new("run.jsonl".into(), out), &cut);
        assert_eq!(text.lines().count(), cut.len() + 1);
        let last: Stamped = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        let at = cut.last().unwrap().at;
        let event = Event::RunEnded {
            conclusion: Conclusion::NotMeasured,
            took: Nanos(at),
            interrupted: false,
            cut: true,
        };
        assert_eq!(last, Stamped { at, event });
    }

    #[test]
    fn each_event_is_one_line() {
        insta::assert_snapshot!(lines());
    }

    #[test]
    fn a_run_that_is_killed_leaves_what_happened_until_then() {
        let file = std::env::temp_dir().join(format!("firedrill-killed-{}.jsonl", std::process::id()));
        let out = io::BufWriter::new(std::fs::File::create(&file).unwrap());
        let mut report = Json::new("run.jsonl".into(), Box::new(out));
        for (number, stamped) in events().iter().take(3).enumerate() {
            report.take(stamped).unwrap();
            let lines = std::fs::read_to_string(&file).unwrap().lines().count();
            assert_eq!(lines, number + 1, "each event is in the file as soon as it has happened");
        }
        std::fs::remove_file(&file).unwrap();
    }

    #[test]
    fn an_event_survives_its_own_json() {
        for stamped in events().into_iter().chain(hostile_events()) {
            let json = serde_json::to_string(&stamped).unwrap();
            let again: Stamped = serde_json::from_str(&json).unwrap();
            assert_eq!(serde_json::to_string(&again).unwrap(), json);
            // A ratio is written in ten digits of a percentage, so the bounds of a judgement may differ by less.
            if !matches!(stamped.event, Event::Judged { .. }) {
                assert_eq!(again, stamped);
            }
        }
    }

    #[test]
    fn a_run_in_which_everything_happens_has_every_event() {
        let schema = serde_json::to_value(schema()).unwrap();
        let known = schema["$defs"]["Event"]["oneOf"].as_array().unwrap().len();
        let names = events().into_iter().map(|stamped| {
            let event = serde_json::to_value(&stamped.event).unwrap();
            event.as_object().unwrap().keys().next().unwrap().clone()
        });
        assert_eq!(names.collect::<std::collections::BTreeSet<_>>().len(), known);
    }

    #[test]
    fn every_line_is_as_the_schema_says() {
        let validator = jsonschema::validator_for(&serde_json::to_value(schema()).unwrap()).unwrap();
        for line in lines().lines() {
            let line = serde_json::from_str(line).unwrap();
            let errors: Vec<_> = validator.iter_errors(&line).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{line}: {errors:?}");
        }
    }

    /// `UPDATE_SCHEMA=1 cargo nextest run schema` writes it anew.
    #[test]
    fn the_written_schema_is_the_real_one() {
        let real = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/run.schema.json");
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(path, &real).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), real);
    }

    #[test]
    fn what_was_written_is_read_again() {
        let again: Vec<_> = read(lines().as_bytes()).map(Result::unwrap).collect();
        let json = |events: &[Stamped]| serde_json::to_string(events).unwrap();
        assert_eq!(json(&again), json(&events()));
    }

    #[test]
    fn nothing_a_target_sends_steers_a_terminal() {
        let text = written(|out| Json::new("run.jsonl".into(), out), &hostile_events());
        assert_eq!(text.chars().find(|sign| *sign != '\n' && steers(*sign)), None);
        let mut again: Vec<_> = read(text.as_bytes()).map(Result::unwrap).collect();
        // They have no end, and what is written says so.
        let end = again.pop().unwrap();
        assert!(matches!(end.event, Event::RunEnded { cut: true, .. }), "{end:?}");
        assert_eq!(serde_json::to_string(&again).unwrap(), serde_json::to_string(&hostile_events()).unwrap());
    }

    #[rstest]
    #[case::in_the_middle(20, "line 2, the last one, is cut off: the run was stopped while it wrote")]
    #[case::within_a_sign(61, "line 2, the last one, is cut off: the run was stopped while it wrote")]
    fn a_cut_last_line_is_said_after_all_that_is_whole(#[case] kept: usize, #[case] said: &str) {
        let event = "{\"at\":0,\"event\":{\"not_measured\":{\"scenario\":\"a\",\"why\":\"no é\"}}}";
        let text = format!("{event}\n{event}");
        let end = event.len() + 1 + kept;
        let read: Vec<_> = read(&text.as_bytes()[..end]).collect();
        let [Ok(whole), Err(cut)] = read.as_slice() else { panic!("{read:?}") };
        assert_eq!(serde_json::to_string(whole).unwrap(), event);
        assert_eq!(cut.to_string(), said);
    }

    #[test]
    fn a_last_line_without_its_line_break_is_whole() {
        let lines = lines();
        assert!(read(lines.trim_end().as_bytes()).all(|event| event.is_ok()));
    }

    #[test]
    fn a_line_that_is_no_event_is_named_and_the_rest_is_read() {
        let text = format!("\n{{\"at\":1}}\n{}", lines());
        let mut read = read(text.as_bytes());
        let said = read.next().unwrap().unwrap_err().to_string();
        insta::assert_snapshot!(said, @"line 2 is no event: missing field `event` at line 1 column 8");
        assert_eq!(read.count(), events().len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            prop_assert!(read(bytes.as_slice()).count() <= bytes.len());
        }
    }
}
