//! One line of a page.

use jiff::{SignedDuration, Timestamp, Unit};

use super::{Dialect, Kind, Labels, Sample};

/// What a line says.
#[derive(Debug)]
pub(super) enum Line {
    /// Nothing, or a comment.
    Blank,
    /// Something about the family `name`.
    About { name: String, about: About },
    /// A sample, and whether an exemplar follows it.
    Sample { sample: Sample, exemplar: bool },
}

/// What a line may say about a family.
#[derive(Debug)]
pub(super) enum About {
    Help(String),
    Kind(Kind),
    Unit(String),
}

/// Reads one line, given without its line feed; the error says what is wrong with it.
pub(super) fn read(line: &str, dialect: Dialect) -> Result<Line, String> {
    let mut cursor = Cursor { rest: line, dialect };
    cursor.gap();
    if cursor.eat('#') {
        about(cursor)
    } else if !cursor.rest.is_empty() {
        sample(cursor)
    } else if dialect == Dialect::Text {
        Ok(Line::Blank)
    } else {
        Err("an empty line, which OpenMetrics does not allow".into())
    }
}

/// A text from a target as a message may quote it: short, in backticks and free of control characters.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 60;
    if text.is_empty() {
        return "nothing".into();
    }
    let mut shown = String::from("`");
    for (index, c) in text.chars().enumerate() {
        if index == MOST {
            shown.push('…');
            break;
        }
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    shown.push('`');
    shown
}

fn about(mut cursor: Cursor<'_>) -> Result<Line, String> {
    let Some(keyword) = cursor.keyword() else {
        return match cursor.dialect {
            Dialect::Text => Ok(Line::Blank),
            Dialect::OpenMetrics => {
                Err("a comment, which OpenMetrics does not allow: after `# ` stands HELP, TYPE or UNIT"
                    .into())
            }
        };
    };
    let name = if cursor.rest.starts_with('"') { cursor.quoted()? } else { cursor.metric_name().to_owned() };
    if name.is_empty() {
        return Err(format!("expected a metric name after `# {keyword}`, found {}", shown(cursor.rest)));
    }
    let text = match cursor.dialect {
        Dialect::Text if cursor.rest.is_empty() => Some(""),
        Dialect::Text => cursor.rest.strip_prefix(is_blank),
        Dialect::OpenMetrics => cursor.rest.strip_prefix(' '),
    };
    let Some(text) = text else {
        return Err(format!(
            "expected a space after the name {}, found {}",
            shown(&name),
            shown(cursor.rest)
        ));
    };
    let about = match keyword {
        "HELP" => About::Help(unescape(text, cursor.dialect == Dialect::OpenMetrics)),
        "TYPE" => About::Kind(
            Kind::ALL
                .into_iter()
                .find(|kind| kind.word(cursor.dialect) == Some(text))
                .ok_or_else(|| format!("{} is not a metric type", shown(text)))?,
        ),
        _ => About::Unit(text.to_owned()),
    };
    Ok(Line::About { name, about })
}

fn sample(mut cursor: Cursor<'_>) -> Result<Line, String> {
    let (name, labels) = cursor.series()?;
    cursor.between("the value")?;
    let value = number(cursor.word(), "a value")?;
    let (at, exemplar) = match cursor.dialect {
        Dialect::Text => {
            cursor.gap();
            let at = if cursor.rest.is_empty() { None } else { Some(milliseconds(cursor.word())?) };
            cursor.gap();
            (at, false)
        }
        Dialect::OpenMetrics => {
            let at = cursor.timestamp()?;
            (at, cursor.exemplar()?)
        }
    };
    if !cursor.rest.is_empty() {
        return Err(format!("{} follows the sample", shown(cursor.rest)));
    }
    Ok(Line::Sample { sample: Sample { name, labels, value, at }, exemplar })
}

/// What is left of a line. Text allows blanks and tabs between words, OpenMetrics one space here and there.
struct Cursor<'a> {
    rest: &'a str,
    dialect: Dialect,
}

impl<'a> Cursor<'a> {
    fn eat(&mut self, wanted: char) -> bool {
        let after = self.rest.strip_prefix(wanted);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn expect(&mut self, wanted: char, after: &str) -> Result<(), String> {
        if self.eat(wanted) {
            return Ok(());
        }
        Err(format!("expected `{wanted}` after {after}, found {}", shown(self.rest)))
    }

    /// Takes characters as long as they are wanted.
    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// Skips blanks and tabs, which only Text has.
    fn gap(&mut self) {
        if self.dialect == Dialect::Text {
            self.take(is_blank);
        }
    }

    /// Skips what must stand between the words of a `#` line, and says whether it stood there.
    fn blank(&mut self) -> bool {
        match self.dialect {
            Dialect::Text => !self.take(is_blank).is_empty(),
            Dialect::OpenMetrics => self.eat(' '),
        }
    }

    /// Skips what stands before `next`: one space in OpenMetrics, any blanks or none in Text.
    fn between(&mut self, next: &str) -> Result<(), String> {
        if self.blank() || self.dialect == Dialect::Text {
            return Ok(());
        }
        Err(format!("expected a space before {next}, found {}", shown(self.rest)))
    }

    /// `HELP`, `TYPE` or `UNIT` with the blanks around it; anything else is left where it is.
    fn keyword(&mut self) -> Option<&'static str> {
        let mut ahead = Cursor { ..*self };
        if !ahead.blank() {
            return None;
        }
        let keyword = match (ahead.take(|c| c.is_ascii_uppercase()), self.dialect) {
            ("HELP", _) => "HELP",
            ("TYPE", _) => "TYPE",
            ("UNIT", Dialect::OpenMetrics) => "UNIT",
            _ => return None,
        };
        if !ahead.blank() {
            return None;
        }
        self.rest = ahead.rest;
        Some(keyword)
    }

    /// A name without quotes; empty if none stands here.
    fn metric_name(&mut self) -> &'a str {
        if self.rest.starts_with(|c: char| c.is_ascii_digit()) {
            return "";
        }
        self.take(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))
    }

    /// A word up to the next blank.
    fn word(&mut self) -> &'a str {
        self.take(|c| !is_blank(c))
    }

    /// `name`, `name{labels}` or `{"name", labels}`.
    fn series(&mut self) -> Result<(String, Labels), String> {
        let bare = self.metric_name();
        let mut name = (!bare.is_empty()).then(|| bare.to_owned());
        let begin = self.rest;
        self.gap();
        let labels = if self.eat('{') { self.labels(&mut name)? } else { Labels::new() };
        match name {
            Some(name) if !name.is_empty() => Ok((name, labels)),
            Some(_) => Err("the metric's name is empty".into()),
            None => Err(format!("expected a metric name, found {}", shown(begin))),
        }
    }

    /// The labels after a `{`, up to its `}`; a quoted text that is no label is the metric's name.
    fn labels(&mut self, metric: &mut Option<String>) -> Result<Labels, String> {
        let strict = self.dialect == Dialect::OpenMetrics;
        let mut labels = Labels::new();
        loop {
            self.gap();
            if self.eat('}') {
                return Ok(labels);
            }
            let quoted = self.rest.starts_with('"');
            let name = if quoted { self.quoted()? } else { self.label_name()?.to_owned() };
            self.gap();
            if quoted && self.rest.starts_with([',', '}']) {
                if metric.replace(name).is_some() {
                    return Err("the metric's name is given twice".into());
                }
            } else {
                self.expect('=', &format!("label {}", shown(&name)))?;
                self.gap();
                let value = self.quoted()?;
                if name.is_empty() {
                    return Err("a label's name is empty".into());
                }
                if name == "__name__" || labels.contains_key(&name) {
                    return Err(format!("label {} is given twice", shown(&name)));
                }
                labels.insert(name, value);
            }
            self.gap();
            // Prometheus reads Text without commas, and with one after the last label.
            let comma = self.eat(',');
            if strict && comma == self.rest.starts_with('}') {
                return Err(format!("expected `,` and a label, or `}}`, found {}", shown(self.rest)));
            }
        }
    }

    fn label_name(&mut self) -> Result<&'a str, String> {
        let name = match self.rest.chars().next() {
            None => return Err("the labels are not closed by `}`".into()),
            Some(c) if c.is_ascii_digit() => "",
            Some(_) => self.take(|c| c.is_ascii_alphanumeric() || c == '_'),
        };
        if name.is_empty() {
            return Err(format!("expected a label name, found {}", shown(self.rest)));
        }
        Ok(name)
    }

    /// A text in quotes, its escapes undone.
    fn quoted(&mut self) -> Result<String, String> {
        let Some(inner) = self.rest.strip_prefix('"') else {
            return Err(format!("expected a text in quotes, found {}", shown(self.rest)));
        };
        let mut escaped = false;
        for (end, c) in inner.char_indices() {
            if c == '"' && !escaped {
                self.rest = &inner[end + 1..];
                return Ok(unescape(&inner[..end], true));
            }
            escaped = c == '\\' && !escaped;
        }
        Err(format!("the quotes are not closed: {}", shown(self.rest)))
    }

    /// The seconds that OpenMetrics may have after a value.
    fn timestamp(&mut self) -> Result<Option<Timestamp>, String> {
        if self.rest.is_empty() || self.rest.starts_with(" #") {
            return Ok(None);
        }
        self.between("the timestamp")?;
        seconds(self.word()).map(Some)
    }

    /// ` # {labels} value timestamp`, if it is there.
    fn exemplar(&mut self) -> Result<bool, String> {
        const MOST_CHARACTERS: usize = 128;
        let Some(rest) = self.rest.strip_prefix(" # ") else { return Ok(false) };
        self.rest = rest;
        self.expect('{', "the `#` of an exemplar")?;
        let mut metric = None;
        let labels = self.labels(&mut metric)?;
        if metric.is_some() {
            return Err("an exemplar has labels and no metric name".into());
        }
        let length: usize =
            labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
        if length > MOST_CHARACTERS {
            return Err(format!("the labels of an exemplar have at most {MOST_CHARACTERS} characters"));
        }
        self.between("the exemplar's value")?;
        number(self.word(), "an exemplar's value")?;
        self.timestamp()?;
        Ok(true)
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

/// Undoes `\\` and `\n`, and `\"` where quotes are escaped; any other backslash stands for itself.
fn unescape(text: &str, quotes: bool) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let (c, length) = match rest.as_bytes().get(at + 1) {
            Some(b'n') => ('\n', 2),
            Some(b'\\') => ('\\', 2),
            Some(b'"') if quotes => ('"', 2),
            _ => ('\\', 1),
        };
        plain.push(c);
        rest = &rest[at + length..];
    }
    plain.push_str(rest);
    plain
}

/// A number as both dialects write it; `what` it is, the error says.
pub(super) fn number(word: &str, what: &str) -> Result<f64, String> {
    let wrong = || format!("expected {what}, found {}", shown(word));
    let value: f64 = word.parse().map_err(|_| wrong())?;
    // Rust reads two things that the formats do not have: a NaN with a sign, and `1e999` as infinity.
    let signed = word.starts_with(['+', '-']);
    let spelled = word.contains(|c: char| c.is_ascii_digit());
    if (value.is_nan() && signed) || (value.is_infinite() && spelled) {
        return Err(wrong());
    }
    Ok(value)
}

fn milliseconds(word: &str) -> Result<Timestamp, String> {
    let wrong = || format!("expected a timestamp in whole milliseconds, found {}", shown(word));
    Timestamp::from_millisecond(word.parse().map_err(|_| wrong())?).map_err(|_| wrong())
}

fn seconds(word: &str) -> Result<Timestamp, String> {
    let wrong = || format!("expected a timestamp in seconds, found {}", shown(word));
    let seconds =
        SignedDuration::try_from_secs_f64(number(word, "a timestamp in seconds")?).map_err(|_| wrong())?;
    let exact = Timestamp::from_duration(seconds).map_err(|_| wrong())?;
    exact.round(Unit::Millisecond).map_err(|_| wrong())
}
