//! What an ordered exchange on one connection gave; `websocket` and `tcp` share it.

use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::sample::Cause;

/// The kinds of acts an exchange is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Something is sent.
    Send,
    /// Frames are received.
    Receive,
    /// Bytes are awaited.
    Expect,
    /// A ping is sent and its pong awaited.
    Ping,
    /// We close.
    Close,
    /// The peer closes.
    Closed,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Send => "send",
            Self::Receive => "receive",
            Self::Expect => "expect",
            Self::Ping => "ping",
            Self::Close => "close",
            Self::Closed => "closed",
        })
    }
}

/// One act of an exchange, finished or given up; the last one is the one that failed, if any did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// What was done.
    pub what: What,
    /// From its first moment to its last; of a ping, the round trip.
    pub took: Duration,
    /// How many frames, or pieces of a byte stream, it took in.
    pub count: u64,
    /// How many frames did not match and were passed over.
    pub skipped: u64,
    /// The beginnings of the first few that it took in.
    pub received: Vec<Excerpt>,
}

impl Done {
    /// Of a long receive, the report shows the beginning.
    const KEPT: usize = 16;

    /// An act that has just begun.
    pub(super) fn new(what: What) -> Self {
        Self { what, took: Duration::ZERO, count: 0, skipped: 0, received: Vec::new() }
    }

    /// Notes that `bytes` came and were taken in.
    pub(super) fn take_in(&mut self, bytes: &[u8]) {
        self.count += 1;
        if self.received.len() < Self::KEPT {
            self.received.push(Excerpt::of(bytes));
        }
    }
}

/// Where and why an exchange ended early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct Failure {
    /// The act that failed, counted from zero; none if the connection was never ready for the first.
    pub act: Option<usize>,
    /// Why.
    #[source]
    pub cause: Cause,
}

impl From<Cause> for Failure {
    /// A failure before the first act.
    fn from(cause: Cause) -> Self {
        Self { act: None, cause }
    }
}

/// The beginning of something received, safe to print: control characters and invalid bytes are escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The beginning as text.
    pub text: String,
    /// The length of the whole, in bytes.
    pub bytes: usize,
}

impl Excerpt {
    /// How many bytes an excerpt shows.
    const SHOWN: usize = 200;

    /// The beginning of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let shown = &bytes[..bytes.len().min(Self::SHOWN)];
        let mut text = String::with_capacity(shown.len());
        let mut chunks = shown.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            for c in chunk.valid().chars() {
                if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
            }
            // The cut may have gone through a character; the half of it is no news.
            if chunks.peek().is_some() || shown.len() == bytes.len() {
                for byte in chunk.invalid() {
                    let _ = write!(text, "\\x{byte:02x}");
                }
            }
        }
        Self { text, bytes: bytes.len() }
    }
}

impl Excerpt {
    /// The beginning, with a mark where more came.
    pub(super) fn shown(&self) -> String {
        let more = if self.bytes > Self::SHOWN { "…" } else { "" };
        format!("{}{more}", self.text)
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bytes > Self::SHOWN {
            write!(f, "`{}` and so on, {} bytes", self.text, self.bytes)
        } else {
            write!(f, "`{}`", self.text)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::text(b"{\"ok\":true}", "`{\"ok\":true}`")]
    #[case::line(b"+PONG\r\n", "`+PONG\\r\\n`")]
    #[case::terminal_escape(b"\x1b[31mred", "`\\u{1b}[31mred`")]
    #[case::binary(b"\x00\xff\xfe", "`\\u{0}\\xff\\xfe`")]
    #[case::accents("né".as_bytes(), "`né`")]
    fn an_excerpt_prints_safely(#[case] bytes: &[u8], #[case] printed: &str) {
        assert_eq!(Excerpt::of(bytes).to_string(), printed);
    }

    #[test]
    fn a_long_excerpt_is_cut_between_characters() {
        let excerpt = Excerpt::of("€".repeat(100).as_bytes());
        assert_eq!(excerpt, Excerpt { text: "€".repeat(66), bytes: 300 });
        assert_eq!(excerpt.to_string(), format!("`{}` and so on, 300 bytes", "€".repeat(66)));
    }

    proptest! {
        #[test]
        fn no_input_escapes_an_excerpt(bytes: Vec<u8>) {
            let excerpt = Excerpt::of(&bytes);
            prop_assert!(!excerpt.text.contains(char::is_control));
            prop_assert!(excerpt.text.len() <= 8 * Excerpt::SHOWN);
        }
    }
}
