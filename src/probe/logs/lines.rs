//! Bytes of a log, line by line, in bounded memory.

/// A line, without its line end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// What is known of it.
    pub bytes: &'a [u8],
    /// How it ended.
    pub end: End,
}

/// How a line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With a line end.
    Ended,
    /// It is longer than a line may be; its beginning is known.
    TooLong,
    /// Nothing follows, and no line end either: it may still be written.
    Open,
}

/// Cuts bytes into lines, however they come.
#[derive(Debug)]
pub struct Lines {
    limit: usize,
    /// The line under way, as far as the limit allows.
    line: Vec<u8>,
    /// It is longer than that.
    over: bool,
    /// It began before we did, and is no line of ours.
    skipping: bool,
}

impl Lines {
    /// Lines of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, line: Vec::new(), over: false, skipping: false }
    }

    /// Passes over what comes before the next line end: what follows begins within a line.
    pub fn skip(&mut self) {
        self.skipping = true;
    }

    /// Takes in more bytes, and hands on every line that they end. Blank ones are none.
    pub fn feed(&mut self, bytes: &[u8], mut take: impl FnMut(Line<'_>)) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.hold(&rest[..end]);
            rest = &rest[end + 1..];
            self.hand_on(End::Ended, &mut take);
        }
        self.hold(rest);
    }

    /// Hands on what stands after the last line end. What comes next begins a line.
    pub fn finish(&mut self, mut take: impl FnMut(Line<'_>)) {
        self.hand_on(End::Open, &mut take);
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.skipping {
            return;
        }
        let room = self.limit.saturating_sub(self.line.len());
        self.over |= bytes.len() > room;
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn hand_on(&mut self, end: End, take: &mut impl FnMut(Line<'_>)) {
        let bytes = self.line.trim_ascii_end();
        let end = if self.over { End::TooLong } else { end };
        if !self.skipping && !bytes.is_empty() {
            take(Line { bytes, end });
        }
        self.line.clear();
        (self.over, self.skipping) = (false, false);
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// Every line of `chunks`, with `…` where it is too long and `?` where it is open.
    fn cut(limit: usize, chunks: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut told) = (Lines::new(limit), Vec::new());
        let mut take = |line: Line<'_>| {
            let text = String::from_utf8_lossy(line.bytes);
            told.push(match line.end {
                End::Ended => text.into_owned(),
                End::TooLong => format!("{text}…"),
                End::Open => format!("{text}?"),
            });
        };
        for chunk in chunks {
            lines.feed(chunk, &mut take);
        }
        lines.finish(&mut take);
        told
    }

    #[rstest]
    #[case::nothing(&[], &[])]
    #[case::lines(&["a\nb\n"], &["a", "b"])]
    #[case::in_pieces(&["a", "b\nc", "\n"], &["ab", "c"])]
    #[case::windows(&["a\r\nb\r", "\n"], &["a", "b"])]
    #[case::blank(&["\n \n\ra\n"], &["\ra"])]
    #[case::open(&["a\nb"], &["a", "b?"])]
    #[case::too_long(&["abcde\nf\n"], &["abcd…", "f"])]
    #[case::too_long_in_pieces(&["abc", "def", "gh\n"], &["abcd…"])]
    #[case::just_short_enough(&["abcd\n"], &["abcd"])]
    #[case::too_long_and_open(&["abcdef"], &["abcd…"])]
    fn bytes_are_cut_into_lines(#[case] chunks: &[&str], #[case] lines: &[&str]) {
        let chunks: Vec<_> = chunks.iter().map(|chunk| chunk.as_bytes()).collect();
        assert_eq!(cut(4, &chunks), lines);
    }

    #[test]
    fn the_rest_of_a_line_that_began_before_is_passed_over() {
        let (mut lines, mut told) = (Lines::new(9), Vec::new());
        lines.skip();
        lines.feed(b"half\nwhole\n", |line| told.push(line.bytes.to_vec()));
        assert_eq!(told, [b"whole"]);
    }

    proptest! {
        #[test]
        fn where_bytes_are_cut_does_not_matter(chunks in vec(vec("[a\n]", 0..4), 0..6)) {
            let chunks: Vec<Vec<u8>> = chunks.iter().map(|chunk| chunk.concat().into_bytes()).collect();
            let whole = chunks.concat();
            let pieces: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(cut(3, &pieces), cut(3, &[&whole]));
        }
    }
}
