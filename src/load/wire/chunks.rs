//! A chunked body, read piece by piece: RFC 9112, section 7.1, without any of the leniences that let two readers
//! disagree about where it ends.

use crate::sample::{Cause, Reason};

/// Bytes of extensions in one body before they are too many.
const EXTENSIONS: usize = 16 << 10;

/// Bytes of trailers.
const TRAILERS: usize = 16 << 10;

/// Trailers that are read.
const MOST_TRAILERS: usize = 100;

/// Where in a chunked body one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before the first digit of a size.
    Start,
    Size,
    /// In white space behind a size.
    Space,
    Extension,
    /// Before the line feed behind a size.
    SizeEnd,
    Data,
    /// Behind a chunk's data.
    DataEnd,
    DataLineFeed,
    /// At the beginning of a line behind the last chunk.
    Line,
    Trailer,
    TrailerEnd,
    /// Before the very last line feed.
    Last,
}

/// A chunked body that is being read.
#[derive(Debug)]
pub(super) struct Chunks {
    at: At,
    /// What is left of the chunk; while its size is read, that.
    size: u64,
    extensions: usize,
    trailers: Vec<u8>,
}

/// How much of some bytes was taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Chunked {
    /// All, and the body goes on.
    More,
    /// So many, and then the body was at its end.
    End(usize),
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self { at: At::Start, size: 0, extensions: 0, trailers: Vec::new() }
    }

    /// Reads on; `data` is given what is content.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        mut data: impl FnMut(&[u8]) -> Result<(), Cause>,
    ) -> Result<Chunked, Cause> {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            if self.at == At::Data {
                let len = usize::try_from(self.size).unwrap_or(usize::MAX).min(rest.len());
                let (content, after) = rest.split_at(len);
                data(content)?;
                self.size -= len as u64;
                if self.size == 0 {
                    self.at = At::DataEnd;
                }
                rest = after;
                continue;
            }
            rest = after;
            if self.step(byte)? {
                self.check_trailers()?;
                return Ok(Chunked::End(bytes.len() - rest.len()));
            }
        }
        Ok(Chunked::More)
    }

    /// Takes one byte that is no content; whether it was the last.
    fn step(&mut self, byte: u8) -> Result<bool, Cause> {
        self.at = match (self.at, byte) {
            (At::Start | At::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.digit(byte)?,
            (At::Size | At::Space, b' ' | b'\t') => At::Space,
            (At::Size | At::Space, b';') => At::Extension,
            (At::Size | At::Space | At::Extension, b'\r') => At::SizeEnd,
            (At::Extension, b'\n') => return Err(wrong("an extension of a chunk has a bare line feed")),
            (At::Extension, _) => {
                self.extensions += 1;
                if self.extensions >= EXTENSIONS {
                    return Err(wrong("the extensions of its chunks are too long"));
                }
                At::Extension
            }
            (At::SizeEnd, b'\n') if self.size == 0 => At::Line,
            (At::SizeEnd, b'\n') => At::Data,
            (At::DataEnd, b'\r') => At::DataLineFeed,
            (At::DataLineFeed, b'\n') => At::Start,
            (At::Line, b'\r') => {
                self.keep(byte)?;
                At::Last
            }
            (At::Trailer, b'\r') => {
                self.keep(byte)?;
                At::TrailerEnd
            }
            (At::Line | At::Trailer, _) => {
                self.keep(byte)?;
                At::Trailer
            }
            (At::TrailerEnd, b'\n') => {
                self.keep(byte)?;
                At::Line
            }
            (At::Last, b'\n') => return Ok(true),
            (At::Start | At::Size | At::Space, _) => return Err(wrong("a chunk has no size")),
            (At::SizeEnd | At::DataEnd | At::DataLineFeed | At::TrailerEnd | At::Last | At::Data, _) => {
                return Err(wrong("a line between its chunks does not end where it must"));
            }
        };
        Ok(false)
    }

    fn digit(&mut self, byte: u8) -> Result<At, Cause> {
        let value = match byte {
            b'0'..=b'9' => byte - b'0',
            _ => (byte | 0x20) - b'a' + 10,
        };
        let size = self.size.checked_mul(16).and_then(|size| size.checked_add(u64::from(value)));
        self.size = size.ok_or_else(|| wrong("the size of a chunk is no number a computer can hold"))?;
        Ok(At::Size)
    }

    fn keep(&mut self, byte: u8) -> Result<(), Cause> {
        self.trailers.push(byte);
        if self.trailers.len() >= TRAILERS { Err(wrong("its trailers are too long")) } else { Ok(()) }
    }

    /// That the trailers are such.
    fn check_trailers(&mut self) -> Result<(), Cause> {
        if self.trailers == b"\r" {
            return Ok(());
        }
        self.trailers.push(b'\n');
        let mut headers = [httparse::EMPTY_HEADER; MOST_TRAILERS];
        match httparse::parse_headers(&self.trailers, &mut headers) {
            Ok(httparse::Status::Complete(_)) => Ok(()),
            Ok(httparse::Status::Partial) => Err(wrong("its trailers have no end")),
            Err(source) => Err(wrong(&format!("its trailers: {source}"))),
        }
    }
}

fn wrong(what: &str) -> Cause {
    Cause::new(Reason::Protocol, format!("the answer is not HTTP: {what}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The content of a whole body that came in pieces of `len` bytes, and what was left of the last.
    fn read(body: &[u8], len: usize) -> Result<(Vec<u8>, usize), Cause> {
        let (mut chunks, mut content) = (Chunks::new(), Vec::new());
        for (number, piece) in body.chunks(len).enumerate() {
            let taken = chunks.take(piece, |data| {
                content.extend_from_slice(data);
                Ok(())
            })?;
            if let Chunked::End(used) = taken {
                return Ok((content, body.len() - number * len - used));
            }
        }
        Err(wrong("unfinished"))
    }

    #[test]
    fn a_body_ends_where_it_says() {
        let body = b"5;a=b\r\nhello\r\n6 \r\n world\r\n0\r\nx: y\r\n\r\nHTTP";
        assert_eq!(read(body, body.len()), Ok((b"hello world".to_vec(), 4)));
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(content in proptest::collection::vec(any::<Vec<u8>>(), 0..5), len in 1usize..40) {
            let mut body = Vec::new();
            for chunk in content.iter().filter(|chunk| !chunk.is_empty()) {
                body.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
                body.extend_from_slice(chunk);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"0\r\n\r\n");
            prop_assert_eq!(read(&body, len), Ok((content.concat(), 0)));
        }

        #[test]
        fn no_bytes_panic(body: Vec<u8>, len in 1usize..9) {
            let _ = read(&body, len);
        }
    }
}
