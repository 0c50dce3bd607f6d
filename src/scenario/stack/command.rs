//! A program and its arguments, as a list or as one line that is split as a shell would, without a shell.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::scenario::template::{Hole, Scope, Template, Unset};

/// A program and its arguments; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command(Vec<Template>);

impl Command {
    /// The words with every hole filled.
    ///
    /// # Errors
    /// When a name has no value.
    pub fn fill(&self, scope: &Scope) -> Result<Vec<String>, Unset> {
        self.0.iter().map(|word| word.fill(scope)).collect()
    }

    /// Every hole.
    pub fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.0.iter().flat_map(Template::holes)
    }

    /// Reads a line.
    fn parse(line: &str) -> Result<Self, String> {
        let words = split(line)?;
        let words = words.iter().map(|word| Template::parse(word)).collect::<Result<_, _>>()?;
        Self::of(words)
    }

    fn of(words: Vec<Template>) -> Result<Self, String> {
        let named = words.first().is_some_and(|word| word.literal().is_none_or(|word| !word.is_empty()));
        if named { Ok(Self(words)) } else { Err("a command names a program".to_owned()) }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&words.join(" "))
    }
}

/// Signs that mean something to a shell alone.
const SHELL_SIGNS: [char; 7] = ['|', '&', ';', '<', '>', '`', '*'];

/// The words of a line: split at spaces, quotes and backslashes as in a shell, holes kept whole.
fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = line;
    while let Some(sign) = rest.chars().next() {
        let end = hole_end(rest, quote)?.unwrap_or(sign.len_utf8());
        let (taken, after) = rest.split_at(end);
        rest = after;
        if taken.len() > sign.len_utf8() {
            word.get_or_insert_default().push_str(taken);
            continue;
        }
        match (quote, sign) {
            (Some(open), _) if open == sign => quote = None,
            (None, '\'' | '"') => {
                quote = Some(sign);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => {
                let escaped = rest.chars().next().ok_or("nothing follows the last `\\`")?;
                rest = &rest[escaped.len_utf8()..];
                let kept = quote.is_some() && !matches!(escaped, '"' | '\\' | '$' | '`');
                let word = word.get_or_insert_default();
                word.extend(kept.then_some('\\').into_iter().chain([escaped]));
            }
            (None, _) if sign.is_whitespace() => words.extend(word.take()),
            (None, _) if SHELL_SIGNS.contains(&sign) => {
                return Err(format!(
                    "no shell reads this line, so `{sign}` would mean nothing: quote it, or write `[sh, -c, \"…\"]`"
                ));
            }
            (None | Some(_), _) => word.get_or_insert_default().push(sign),
        }
    }
    if let Some(open) = quote {
        return Err(format!("`{open}` is not closed"));
    }
    words.extend(word);
    Ok(words)
}

/// Where the `${…}` ends that `rest` begins with; within single quotes it is filled in all the same.
fn hole_end(rest: &str, quote: Option<char>) -> Result<Option<usize>, String> {
    if !rest.starts_with("${") {
        return Ok(None);
    }
    match rest.find('}') {
        Some(close) => Ok(Some(close + 1)),
        None if quote.is_some() => Ok(None),
        None => Err("`${` is not closed by `}`; write `$${` for the characters themselves".to_owned()),
    }
}

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Words)
    }
}

struct Words;

impl<'de> Visitor<'de> for Words {
    type Value = Command;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a line, or a list of words")
    }

    fn visit_str<E: de::Error>(self, line: &str) -> Result<Command, E> {
        Command::parse(line).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Command, A::Error> {
        let mut words = Vec::new();
        while let Some(word) = seq.next_element()? {
            words.push(word);
        }
        Command::of(words).map_err(de::Error::custom)
    }
}

impl JsonSchema for Command {
    fn schema_name() -> Cow<'static, str> {
        "Command".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let word = generator.subschema_for::<Template>();
        schemars::json_schema!({
            "description": "a program and its arguments: a list, or one line that is split at spaces as a shell would, without a shell",
            "anyOf": [
                { "type": "string", "minLength": 1 },
                { "type": "array", "items": word, "minItems": 1 }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::words("redis-server --port 1", &["redis-server", "--port", "1"])]
    #[case::spaces("  a \t b\n", &["a", "b"])]
    #[case::nothing_quoted("--save \"\" ''", &["--save", "", ""])]
    #[case::quotes("'a b' \"c d\" e'f'\"g\"", &["a b", "c d", "efg"])]
    #[case::escapes(r#"a\ b "q\"q" "back\slash" '\'"#, &["a b", "q\"q", "back\\slash", "\\"])]
    #[case::holes("--port ${port.redis} ${env.X:-a b}", &["--port", "${port.redis}", "${env.X:-a b}"])]
    #[case::signs_in_quotes("sh -c 'a | b'", &["sh", "-c", "a | b"])]
    fn a_line_is_split_as_a_shell_would(#[case] line: &str, #[case] words: &[&str]) {
        assert_eq!(split(line).unwrap(), words);
    }

    #[rstest]
    #[case::pipe(
        "a | b",
        "no shell reads this line, so `|` would mean nothing: quote it, or write `[sh, -c, \"…\"]`"
    )]
    #[case::open_quote("a 'b", "`'` is not closed")]
    #[case::open_hole("a ${b", "`${` is not closed by `}`; write `$${` for the characters themselves")]
    #[case::dangling("a \\", "nothing follows the last `\\`")]
    #[case::empty("  ", "a command names a program")]
    fn a_line_that_cannot_be_meant_is_refused(#[case] line: &str, #[case] why: &str) {
        assert_eq!(Command::parse(line).unwrap_err(), why);
    }

    #[test]
    fn a_default_may_hold_spaces_and_stays_one_word() {
        let words = Command::parse("echo ${env.X:-a b}").unwrap().fill(&Scope::default()).unwrap();
        assert_eq!(words, ["echo", "a b"]);
    }
}
