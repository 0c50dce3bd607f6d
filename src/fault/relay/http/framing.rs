//! Where one message of HTTP/1 ends and the next begins.

use memchr::memchr;

use super::head::{Head, Kind, Progress};

/// A longer line between chunks is none of HTTP's.
const LONGEST_LINE: usize = 4 << 10;

/// What some bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Part of a head that goes on.
    Head,
    /// The end of a head: say how its body is framed.
    HeadEnd,
    /// Content.
    Data,
    /// What stands around content.
    Frame,
    /// Nothing that is understood, from here to the end of the connection.
    Opaque,
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// There is none.
    None,
    /// After so many bytes.
    Counted(u64),
    /// With its last chunk.
    Chunked,
    /// With the connection.
    UntilEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Head,
    Counted(u64),
    /// In the line with a chunk's size.
    Size,
    /// In a chunk of which so many bytes are to come.
    Chunk(u64),
    /// In the line end after a chunk.
    ChunkEnd,
    /// In the lines after the last chunk.
    Trailer,
    UntilEnd,
    /// Something may take the place of HTTP: until that is known, bytes are not looked at.
    Waiting,
    Opaque,
}

/// Messages that flow one way.
#[derive(Debug)]
pub(super) struct Framing {
    pub(super) head: Head,
    place: Place,
    line: Vec<u8>,
    /// Bytes came while it waited.
    blind: bool,
}

impl Framing {
    pub(super) fn new(kind: Kind) -> Self {
        Self { head: Head::new(kind), place: Place::Head, line: Vec::new(), blind: false }
    }

    /// Between two messages.
    pub(super) fn is_between(&self) -> bool {
        self.place == Place::Head && self.head.is_empty()
    }

    /// Nothing is understood any more.
    pub(super) fn is_opaque(&self) -> bool {
        self.place == Place::Opaque
    }

    /// Gives up understanding.
    pub(super) fn obscure(&mut self) {
        self.place = Place::Opaque;
    }

    /// Waits to be told what follows.
    pub(super) fn wait(&mut self) {
        self.place = Place::Waiting;
        self.head.clear();
    }

    /// HTTP goes on, if that was waited for.
    pub(super) fn go_on(&mut self) {
        if self.place == Place::Waiting {
            self.place = if self.blind { Place::Opaque } else { Place::Head };
        }
    }

    /// Says how the body ends of which the head was read.
    pub(super) fn body(&mut self, body: Body) {
        self.head.clear();
        self.place = match body {
            Body::None | Body::Counted(0) => Place::Head,
            Body::Counted(bytes) => Place::Counted(bytes),
            Body::Chunked => Place::Size,
            Body::UntilEnd => Place::UntilEnd,
        };
    }

    /// Reads on: how many bytes are the same, and what.
    pub(super) fn read(&mut self, bytes: &[u8]) -> (usize, Mark) {
        match self.place {
            Place::Head => match self.head.read(bytes) {
                (len, Progress::Part) => (len, Mark::Head),
                (len, Progress::Whole) => (len, Mark::HeadEnd),
                (_, Progress::Alien) => {
                    self.place = Place::Opaque;
                    (bytes.len(), Mark::Opaque)
                }
            },
            Place::Counted(left) => {
                let (len, left) = count(bytes, left);
                self.place = if left == 0 { Place::Head } else { Place::Counted(left) };
                (len, Mark::Data)
            }
            Place::Chunk(left) => {
                let (len, left) = count(bytes, left);
                self.place = if left == 0 { Place::ChunkEnd } else { Place::Chunk(left) };
                (len, Mark::Data)
            }
            Place::Size | Place::ChunkEnd | Place::Trailer => self.line(bytes),
            Place::UntilEnd => (bytes.len(), Mark::Data),
            Place::Waiting => {
                self.blind = true;
                (bytes.len(), Mark::Frame)
            }
            Place::Opaque => (bytes.len(), Mark::Opaque),
        }
    }

    /// Reads a line that stands around chunks.
    fn line(&mut self, bytes: &[u8]) -> (usize, Mark) {
        let end = memchr(b'\n', bytes);
        let len = end.map_or(bytes.len(), |end| end + 1);
        self.line.extend_from_slice(bytes.get(..len).unwrap_or_default());
        if self.line.len() > LONGEST_LINE {
            self.place = Place::Opaque;
        }
        if end.is_some() {
            self.place = after(self.place, self.line.trim_ascii());
            self.line.clear();
        }
        if self.is_opaque() { (bytes.len(), Mark::Opaque) } else { (len, Mark::Frame) }
    }
}

fn count(bytes: &[u8], left: u64) -> (usize, u64) {
    let len = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    (len, left - len as u64)
}

/// Where a whole line leads.
fn after(place: Place, line: &[u8]) -> Place {
    match place {
        Place::Size => {
            let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            let size =
                std::str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
            match size {
                Some(0) => Place::Trailer,
                Some(size) => Place::Chunk(size),
                None => Place::Opaque,
            }
        }
        Place::ChunkEnd if line.is_empty() => Place::Size,
        Place::ChunkEnd => Place::Opaque,
        Place::Trailer if line.is_empty() => Place::Head,
        Place::Trailer => Place::Trailer,
        Place::Head
        | Place::Counted(_)
        | Place::Chunk(_)
        | Place::UntilEnd
        | Place::Waiting
        | Place::Opaque => place,
    }
}
