//! What the lines of a log come to.

use serde_json::Value;

use super::lines::{End, Line};
use crate::probe::answer::any_of;
use crate::probe::attempt::Breach;
use crate::probe::exchange::Excerpt;
use crate::sample::Reason;
use crate::scenario::logs::{Field, Lines as Wanted, Logs};
use crate::scenario::predicate::Predicate;
use crate::scenario::subject::Subject;
use crate::scenario::template::Scope;
use crate::source::At;

/// What the lines come to, however many there are.
#[derive(Debug)]
pub struct Tally<'a> {
    logs: &'a Logs,
    wanted: &'a Wanted,
    scope: &'a Scope,
    lines: u64,
    malformed: Several,
    too_long: Several,
    /// What is wrong with each field that is expected.
    fields: Vec<Several>,
    /// How many lines there are of each level that is expected.
    levels: Vec<u64>,
    /// How many lines say their level.
    levelled: u64,
    /// The first line that is looked for.
    found: Option<Vec<u8>>,
    last: Vec<u8>,
}

/// Breaches of one kind: the first, and how many there are.
#[derive(Debug, Clone, Default)]
struct Several {
    first: Option<Breach>,
    count: u64,
}

impl Several {
    fn note(&mut self, breach: impl FnOnce() -> Breach) {
        self.count += 1;
        self.first.get_or_insert_with(breach);
    }

    /// The first, which says how many there are.
    fn told(&self, lines: u64) -> Option<Breach> {
        let first = self.first.clone()?;
        Some(if self.count == 1 {
            first
        } else {
            Breach { label: format!("and so in {} of {lines} lines", self.count), ..first }
        })
    }
}

impl<'a> Tally<'a> {
    /// A tally of no lines yet.
    #[must_use]
    pub fn new(logs: &'a Logs, wanted: &'a Wanted, scope: &'a Scope) -> Self {
        Self {
            logs,
            wanted,
            scope,
            lines: 0,
            malformed: Several::default(),
            too_long: Several::default(),
            fields: vec![Several::default(); wanted.fields.len()],
            levels: vec![0; wanted.levels.len()],
            levelled: 0,
            found: None,
            last: Vec::new(),
        }
    }

    /// Takes in a line.
    pub fn take(&mut self, line: Line<'_>) {
        let object = match line.end {
            End::TooLong => Err(String::new()),
            End::Ended | End::Open => object(line.bytes),
        };
        // Nothing is said of what may still be written.
        if line.end == End::Open && object.is_err() {
            return;
        }
        self.lines += 1;
        let number = self.lines;
        let excerpt = || Excerpt::of(line.bytes).to_string();
        let place = self.logs.file.place;
        match object {
            Err(_) if line.end == End::TooLong => self.too_long.note(|| {
                let title = format!("line {number} is longer than {}", self.logs.limit);
                Breach::new(Reason::Limit, place, title, "only its beginning could be looked at")
                    .help("a higher `limit` reads more")
            }),
            Err(why) => {
                let place = self.wanted.malformed.as_ref().map_or(place, |at| at.place);
                self.malformed.note(|| {
                    let title = format!("line {number} is no JSON object: {why}");
                    Breach::new(Reason::Json, place, title, "logged here").help(excerpt())
                });
            }
            Ok(object) => {
                self.judge(&object, number, excerpt);
                if self.found.is_none() && self.is_wanted(&object) {
                    self.found = Some(line.bytes.to_vec());
                }
                line.bytes.clone_into(&mut self.last);
            }
        }
    }

    fn judge(&mut self, object: &Value, number: u64, excerpt: impl Fn() -> String) {
        for ((field, predicate), several) in self.wanted.fields.iter().zip(&mut self.fields) {
            let what = format!("`{field}` of line {number}");
            let breach = any_of(predicate, &subjects(field, object), self.scope, Reason::Json, &what);
            if let Some(breach) = breach {
                several.note(|| breach.help(excerpt()));
            }
        }
        let level = self.logs.level.iter().find_map(|field| level(field, object));
        let Some(level) = level else { return };
        self.levelled += 1;
        for ((wanted, _), count) in self.wanted.levels.iter().zip(&mut self.levels) {
            *count += u64::from(wanted.eq_ignore_ascii_case(&level));
        }
    }

    fn is_wanted(&self, object: &Value) -> bool {
        let holds = |(field, predicate): &(Field, At<Predicate>)| {
            let subjects = subjects(field, object);
            any_of(predicate, &subjects, self.scope, Reason::Body, "").is_none()
        };
        !self.wanted.find.is_empty() && self.wanted.find.iter().all(holds)
    }

    /// The line that was looked for, or else the last that is an object; empty if there is none.
    #[must_use]
    pub fn chosen(&self) -> &[u8] {
        if self.wanted.find.is_empty() { &self.last } else { self.found.as_deref().unwrap_or_default() }
    }

    /// `12 lines, 1 malformed, 2 ERROR`.
    #[must_use]
    pub fn state(&self) -> String {
        let plural = if self.lines == 1 { "" } else { "s" };
        let mut told = format!("{} line{plural}", self.lines);
        let levels = self.wanted.levels.iter().zip(&self.levels);
        let levels = levels.map(|((level, _), count)| (*count, level.value.as_str()));
        let counted = [(self.malformed.count, "malformed"), (self.too_long.count, "too long")];
        for (count, what) in counted.into_iter().filter(|(count, _)| *count > 0).chain(levels) {
            told = format!("{told}, {count} {what}");
        }
        told
    }

    /// Everything that is not as expected.
    #[must_use]
    pub fn breaches(&self) -> Vec<Breach> {
        let mut breaches: Vec<_> = self.counted().into_iter().collect();
        breaches.extend(self.too_long.told(self.lines));
        breaches.extend(match &self.wanted.malformed {
            None => self.malformed.told(self.lines),
            Some(wanted) => {
                let count = [Subject::Number(number(self.malformed.count))];
                let what = "the number of lines that are no JSON object";
                any_of(wanted, &count, self.scope, Reason::Json, what)
            }
        });
        breaches.extend(self.fields.iter().filter_map(|several| several.told(self.lines)));
        breaches.extend(self.by_level());
        breaches.extend(self.not_found());
        breaches
    }

    /// Silence is no good news, unless it is expected.
    fn counted(&self) -> Option<Breach> {
        if let Some(wanted) = &self.wanted.count {
            let count = [Subject::Number(number(self.lines))];
            return any_of(wanted, &count, self.scope, Reason::Body, "the number of lines");
        }
        let since = if self.logs.whole { "" } else { " since the scenario began" };
        let breach = Breach::new(
            Reason::Body,
            self.logs.file.place,
            format!("nothing was logged{since}"),
            "no line here",
        );
        (self.lines == 0).then(|| breach.help("expect `lines: 0` if that is right"))
    }

    fn by_level(&self) -> Vec<Breach> {
        let Some((_, first)) = self.wanted.levels.first() else { return Vec::new() };
        if self.lines > 0 && self.levelled == 0 {
            let fields: Vec<_> = self.logs.level.iter().map(|field| format!("`{field}`")).collect();
            let title = format!("no line has a level in {}", fields.join(", "));
            let breach = Breach::new(Reason::Json, first.place, title, "nothing to count");
            return vec![breach.help("say where it is: `logs: { level: FIELD }`")];
        }
        let unmet = self.wanted.levels.iter().zip(&self.levels).filter_map(|((level, wanted), count)| {
            let what = format!("the number of {level} lines");
            any_of(wanted, &[Subject::Number(number(*count))], self.scope, Reason::Body, &what)
        });
        unmet.collect()
    }

    fn not_found(&self) -> Option<Breach> {
        let (_, first) = self.wanted.find.first().filter(|_| self.found.is_none())?;
        let told = self.wanted.find.iter().map(|(field, predicate)| {
            // The phrase as it reads once its variables are filled in.
            let unmet = predicate.test(Subject::Absent, self.scope).err();
            format!("`{field}` {}", unmet.map_or_else(|| predicate.to_string(), |unmet| unmet.wanted))
        });
        let title = format!("no line has {}", told.collect::<Vec<_>>().join(" and "));
        let breach = Breach::new(Reason::Body, first.place, title, format!("in {}", self.state()));
        Some(breach.help("`within: 10s` waits for it"))
    }
}

/// The object in a line.
fn object(line: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(line)
        .map_err(|error| format!("byte {} is not UTF-8", error.valid_up_to() + 1))?;
    match serde_json::from_str(text) {
        Ok(object @ Value::Object(_)) => Ok(object),
        Ok(_) => Err("it is another value".to_owned()),
        Err(error) => Err(error.to_string().replace(" at line 1 column", " at column")),
    }
}

/// What a field holds; nothing where there is none.
fn subjects<'v>(field: &Field, object: &'v Value) -> Vec<Subject<'v>> {
    match field {
        Field::Named(name) => object.get(name).map(Subject::Json).into_iter().collect(),
        Field::Path(path) => path.query(object).all().into_iter().map(Subject::Json).collect(),
    }
}

/// The level in a field, as text.
fn level(field: &Field, object: &Value) -> Option<String> {
    let value = match field {
        Field::Named(name) => object.get(name),
        Field::Path(path) => path.query(object).first(),
    };
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
