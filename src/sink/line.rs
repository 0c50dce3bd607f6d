//! A receiver's line: which integration of which receiver something is addressed to, as a path of the sink's.

use std::fmt::Write as _;

use super::vendor::Kind;

/// One integration of one receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The receiver; none where somebody addressed the sink by hand.
    pub receiver: Option<String>,
    /// The kind of integration.
    pub kind: Kind,
    /// Which of those of the same kind, from 0.
    pub index: usize,
}

impl Line {
    /// The line as a path: `/r/RECEIVER/INDEX/KIND`, or `/KIND` where there is no receiver.
    #[must_use]
    pub fn path(&self) -> String {
        let kind = self.kind.name();
        match &self.receiver {
            Some(receiver) => format!("/r/{}/{}/{kind}", spell(receiver), self.index),
            None => format!("/{kind}"),
        }
    }

    /// Reads a path: the line, and what follows it.
    #[must_use]
    pub fn parse(path: &str) -> Option<(Self, &str)> {
        let (head, rest) = segment(path)?;
        if head != "r" {
            return Some((Self { receiver: None, kind: Kind::named(head)?, index: 0 }, rest));
        }
        let (receiver, rest) = segment(rest)?;
        let (index, rest) = segment(rest)?;
        let (kind, rest) = segment(rest)?;
        let line =
            Self { receiver: Some(unspell(receiver)?), kind: Kind::named(kind)?, index: index.parse().ok()? };
        Some((line, rest))
    }
}

/// The first segment of a path, and what follows.
fn segment(path: &str) -> Option<(&str, &str)> {
    let path = path.strip_prefix('/')?;
    Some(path.split_at(path.find('/').unwrap_or(path.len())))
}

/// A name in letters that stand for themselves in every part of a URL, so that nobody on the way encodes, decodes or
/// tidies it: others are `~` and two digits a byte.
pub(super) fn spell(name: &str) -> String {
    let mut spelled = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'_' => spelled.push(char::from(byte)),
            // A string takes all that is written to it.
            _ => drop(write!(spelled, "~{byte:02X}")),
        }
    }
    spelled
}

/// The name that was spelled so.
pub(super) fn unspell(spelled: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(spelled.len());
    let mut rest = spelled.bytes();
    while let Some(byte) = rest.next() {
        let digit =
            |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(if byte == b'~' { digit(rest.next())? * 16 + digit(rest.next())? } else { byte });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("pager", "/r/pager/0/slack")]
    #[case::awkward("team a/b%2F~é.", "/r/team~20a~2Fb~252F~7E~C3~A9~2E/0/slack")]
    fn a_receiver_is_found_again_in_its_path(#[case] name: &str, #[case] path: &str) {
        let line = Line { receiver: Some(name.to_owned()), kind: Kind::Slack, index: 0 };
        assert_eq!(line.path(), path);
        assert_eq!(Line::parse(path), Some((line.clone(), "")));
        assert_eq!(Line::parse(&format!("{path}/x/y")), Some((line, "/x/y")));
    }

    #[rstest]
    #[case::root("/")]
    #[case::unknown("/pigeon")]
    #[case::short("/r/pager/0")]
    #[case::no_number("/r/pager/first/slack")]
    #[case::cut("/r/a~4/0/slack")]
    #[case::not_utf8("/r/~FF/0/slack")]
    #[case::relative("slack")]
    fn other_paths_lead_nowhere(#[case] path: &str) {
        assert_eq!(Line::parse(path), None);
    }
}
