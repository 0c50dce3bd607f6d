//! Heads of HTTP/1 messages, read line by line as their bytes come; only what framing needs is kept.

use memchr::memchr;

/// A longer start line is none of HTTP's; of a longer header only this much is looked at.
const LONGEST_LINE: usize = 16 << 10;

/// A longer head is none of HTTP's.
const LONGEST_HEAD: usize = 256 << 10;

/// Which kind of message a head begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Request,
    Response,
}

/// How far a head has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// More is to come.
    Part,
    /// It is whole.
    Whole,
    /// It is no head of HTTP/1.
    Alien,
}

/// A head, as far as it was read.
#[derive(Debug)]
pub(super) struct Head {
    kind: Kind,
    /// The start line; empty until it is whole.
    start: Vec<u8>,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    size: usize,
    pub(super) length: Option<u64>,
    pub(super) chunked: bool,
    pub(super) upgrade: bool,
    /// The client waits to be told that it may send the body.
    pub(super) waits: bool,
}

impl Head {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            start: Vec::new(),
            line: Vec::new(),
            size: 0,
            length: None,
            chunked: false,
            upgrade: false,
            waits: false,
        }
    }

    /// Makes ready for another.
    pub(super) fn clear(&mut self) {
        self.start.clear();
        self.line.clear();
        (self.size, self.length) = (0, None);
        (self.chunked, self.upgrade, self.waits) = (false, false, false);
    }

    /// No byte of it has come.
    pub(super) fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Reads on, and says how many bytes were the head's.
    pub(super) fn read(&mut self, bytes: &[u8]) -> (usize, Progress) {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let Some(end) = memchr(b'\n', rest) else {
                let room = LONGEST_LINE.saturating_sub(self.line.len()).min(rest.len());
                self.line.extend_from_slice(rest.get(..room).unwrap_or_default());
                self.size += rest.len();
                return (bytes.len(), if self.may_be_one() { Progress::Part } else { Progress::Alien });
            };
            at += end + 1;
            self.size += end + 1;
            let read = rest.get(..end).unwrap_or_default();
            let progress = if self.line.is_empty() {
                self.take(read)
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(read);
                let progress = self.take(&line);
                line.clear();
                // Its memory is of use again.
                self.line = line;
                progress
            };
            if progress != Progress::Part {
                return (at, progress);
            }
        }
        (at, Progress::Part)
    }

    /// Method and path of a request, as it gave them, without a query.
    pub(super) fn request(&self) -> Option<(&str, &str)> {
        let mut words = std::str::from_utf8(&self.start).ok()?.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        // A proxy is told the whole address.
        let path = match target.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("/", |slash| &rest[slash..]),
            None => target,
        };
        Some((method, path.split('?').next().unwrap_or(path)))
    }

    /// The status of an answer.
    pub(super) fn status(&self) -> Option<u16> {
        std::str::from_utf8(self.start.get(9..12)?).ok()?.parse().ok()
    }

    fn take(&mut self, line: &[u8]) -> Progress {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.size > LONGEST_HEAD {
            return Progress::Alien;
        }
        if self.start.is_empty() {
            // Some clients end a body with an empty line that is not part of it.
            if line.is_empty() && self.kind == Kind::Request && self.size <= 2 {
                return Progress::Part;
            }
            if line.len() > LONGEST_LINE || !self.is_start(line) {
                return Progress::Alien;
            }
            self.start.extend_from_slice(line);
            return Progress::Part;
        }
        if line.is_empty() {
            return Progress::Whole;
        }
        if self.header(line).is_some() { Progress::Part } else { Progress::Alien }
    }

    /// Takes note of a header that says how the message goes on; `None` where it contradicts itself.
    fn header(&mut self, line: &[u8]) -> Option<()> {
        // Few headers begin like one of those that matter.
        if !matches!(line.first(), Some(b'c' | b'C' | b't' | b'T' | b'u' | b'U' | b'e' | b'E')) {
            return Some(());
        }
        let Some(colon) = memchr(b':', line) else { return Some(()) };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = std::str::from_utf8(value).ok()?.parse().ok()?;
            if self.length.replace(length).is_some_and(|before| before != length) {
                return None;
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
            self.chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.upgrade = true;
        } else if name.eq_ignore_ascii_case(b"expect") {
            self.waits = true;
        }
        Some(())
    }

    fn is_start(&self, line: &[u8]) -> bool {
        match self.kind {
            Kind::Request => {
                let mut words = line.split(|byte| *byte == b' ');
                let method = words.next().unwrap_or_default();
                let is_method = !method.is_empty() && method.iter().all(|byte| is_in_a_method(*byte));
                let target = words.next().unwrap_or_default();
                let version = words.next().unwrap_or_default();
                is_method && !target.is_empty() && version.starts_with(b"HTTP/1.") && words.next().is_none()
            }
            Kind::Response => {
                line.starts_with(b"HTTP/1.")
                    && line.get(9..12).is_some_and(|status| status.iter().all(u8::is_ascii_digit))
            }
        }
    }

    /// Whether the beginning of a line could still become part of a head.
    fn may_be_one(&self) -> bool {
        if self.size > LONGEST_HEAD || self.line.len() >= LONGEST_LINE && self.start.is_empty() {
            return false;
        }
        let Some(first) = self.line.first().filter(|_| self.start.is_empty()) else { return true };
        match self.kind {
            Kind::Request => is_in_a_method(*first) || *first == b'\r',
            Kind::Response => *first == b'H',
        }
    }
}

fn is_in_a_method(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte == b'-' || byte == b'_'
}
