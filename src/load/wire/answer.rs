//! One answer as it comes over the wire: where its head ends, what its body is framed by, and where that ends.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, Version};
use memchr::memchr;

use super::chunks::{Chunked, Chunks};
use crate::probe::http::{HEAD_LIMIT, HEADERS_LIMIT, Response};
use crate::sample::{Cause, Reason};
use crate::units::Size;

/// What has to be known of a request to read its answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// Its answer has no body, whatever it says.
    pub(super) head_only: bool,
    /// Keep headers and body; else only the status.
    pub(super) keep: bool,
    /// The most that is read of a body.
    pub(super) limit: Size,
}

/// An answer that is being read, and then has been.
#[derive(Debug)]
pub struct Answer {
    terms: Terms,
    at: At,
    /// What came of a head that is not complete.
    held: Vec<u8>,
    status: StatusCode,
    version: Version,
    reusable: bool,
    size: usize,
    headers: HeaderMap,
    body: Vec<u8>,
}

#[derive(Debug)]
enum At {
    /// Nothing of it came.
    Nothing,
    Head,
    Counted(u64),
    Chunked(Chunks),
    /// The body ends with the connection.
    UntilEnd,
    Whole,
}

/// How much of some bytes was taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// All, and the answer goes on.
    More,
    /// So many, and then the answer was at its end.
    Whole(usize),
}

/// How far a head came.
enum Head {
    /// It is so long, with the interim answers before it.
    Whole(usize),
    /// It goes on; so many bytes are interim answers, and may be forgotten.
    Part(usize),
}

/// What a head says of the body and of the connection behind it.
struct Frame {
    at: At,
    reusable: bool,
}

impl Answer {
    pub(super) fn new() -> Self {
        Self {
            terms: Terms { head_only: false, keep: false, limit: Size(0) },
            at: At::Nothing,
            held: Vec::new(),
            status: StatusCode::OK,
            version: Version::HTTP_11,
            reusable: false,
            size: 0,
            headers: HeaderMap::new(),
            body: Vec::new(),
        }
    }

    /// Makes ready for the next answer, with the buffers of this one.
    pub(super) fn begin(&mut self, terms: Terms) {
        self.terms = terms;
        self.at = At::Nothing;
        self.held.clear();
        self.reusable = false;
        self.size = 0;
        self.headers.clear();
        self.body.clear();
    }

    /// The status, once the answer is whole.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The answer as probes have it, where headers and body are kept; it is given away.
    pub fn take_response(&mut self) -> Response {
        Response {
            status: self.status,
            version: self.version,
            headers: std::mem::take(&mut self.headers),
            body: Bytes::copy_from_slice(&self.body),
            trailers: HeaderMap::new(),
            wire_size: Size(self.size as u64),
        }
    }

    /// Whether anything of it came.
    pub(super) fn is_begun(&self) -> bool {
        !matches!(self.at, At::Nothing)
    }

    /// Whether the connection may be used again.
    pub(super) fn is_reusable(&self) -> bool {
        self.reusable
    }

    /// The connection is not used again after all.
    pub(super) fn distrust(&mut self) {
        self.reusable = false;
    }

    /// Reads on.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Taken, Cause> {
        match self.at {
            At::Nothing => {
                self.at = At::Head;
                match self.head(bytes)? {
                    Head::Whole(len) => self.after_head(bytes, len),
                    Head::Part(interim) => {
                        self.held.extend_from_slice(&bytes[interim..]);
                        within(self.held.len())
                    }
                }
            }
            At::Head => {
                self.held.extend_from_slice(bytes);
                // Without the end of a line there is nothing that was not seen before.
                if memchr(b'\n', bytes).is_none() {
                    return within(self.held.len());
                }
                let mut all = std::mem::take(&mut self.held);
                let taken = match self.head(&all)? {
                    Head::Whole(len) => match self.after_head(&all, len)? {
                        Taken::More => Taken::More,
                        Taken::Whole(used) => Taken::Whole(used.saturating_sub(all.len() - bytes.len())),
                    },
                    Head::Part(interim) => {
                        all.drain(..interim);
                        within(all.len())?
                    }
                };
                // Kept also where it is of no more use: its room is.
                self.held = all;
                Ok(taken)
            }
            At::Counted(_) | At::Chunked(_) | At::UntilEnd => self.content(bytes),
            At::Whole => Ok(Taken::Whole(0)),
        }
    }

    /// The peer has closed; whether the answer is whole by that.
    pub(super) fn end(&mut self) -> Result<(), Cause> {
        let closed = |what: &str| Err(Cause::new(Reason::Closed, format!("connection closed {what}")));
        match self.at {
            At::Nothing => closed("before an answer came"),
            At::Head => closed("within the answer's head"),
            At::Counted(_) | At::Chunked(_) => closed("within the answer's body"),
            At::UntilEnd | At::Whole => {
                self.at = At::Whole;
                Ok(())
            }
        }
    }

    fn after_head(&mut self, bytes: &[u8], used: usize) -> Result<Taken, Cause> {
        Ok(match self.content(&bytes[used..])? {
            Taken::More => Taken::More,
            Taken::Whole(more) => Taken::Whole(used + more),
        })
    }

    /// Reads the head at the beginning of `bytes`, past all interim answers.
    fn head(&mut self, bytes: &[u8]) -> Result<Head, Cause> {
        let mut begins = 0;
        loop {
            let mut headers = [const { MaybeUninit::uninit() }; HEADERS_LIMIT];
            let mut head = httparse::Response::new(&mut []);
            let config = httparse::ParserConfig::default();
            let parsed = config.parse_response_with_uninit_headers(&mut head, &bytes[begins..], &mut headers);
            let len = match parsed {
                Ok(httparse::Status::Complete(len)) => len,
                Ok(httparse::Status::Partial) => return Ok(Head::Part(begins)),
                Err(httparse::Error::TooManyHeaders) => return Err(too_large()),
                Err(source) => return Err(alien(&source.to_string())),
            };
            if len > HEAD_LIMIT {
                return Err(too_large());
            }
            begins += len;
            let code = head.code.unwrap_or_default();
            self.status =
                StatusCode::from_u16(code).map_err(|_| alien("its status is no number of HTTP's"))?;
            self.version = if head.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
            if code != 101 && self.status.is_informational() {
                continue;
            }
            let frame = frame(self.status, self.version, head.headers, self.terms.head_only)?;
            (self.at, self.reusable) = (frame.at, frame.reusable);
            if self.terms.keep {
                self.keep(head.headers)?;
            }
            return Ok(Head::Whole(begins));
        }
    }

    fn keep(&mut self, headers: &[httparse::Header<'_>]) -> Result<(), Cause> {
        for header in headers {
            let name = HeaderName::from_bytes(header.name.as_bytes());
            let name = name.map_err(|source| alien(&source.to_string()))?;
            let value = HeaderValue::from_bytes(header.value).map_err(|source| alien(&source.to_string()))?;
            self.headers.append(name, value);
        }
        Ok(())
    }

    /// Reads content, and what stands around it.
    fn content(&mut self, bytes: &[u8]) -> Result<Taken, Cause> {
        let (size, limit, keep) = (&mut self.size, self.terms.limit, self.terms.keep);
        let body = &mut self.body;
        let mut note = |data: &[u8]| {
            *size += data.len();
            if *size > limit.bytes() {
                return Err(Cause::new(Reason::Limit, format!("the answer's body is over {limit}")));
            }
            if keep {
                body.extend_from_slice(data);
            }
            Ok(())
        };
        let taken = match &mut self.at {
            At::Counted(left) => {
                let len = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                note(&bytes[..len])?;
                *left -= len as u64;
                if *left == 0 { Taken::Whole(len) } else { Taken::More }
            }
            At::Chunked(chunks) => match chunks.take(bytes, note)? {
                Chunked::More => Taken::More,
                Chunked::End(used) => Taken::Whole(used),
            },
            At::UntilEnd => {
                note(bytes)?;
                Taken::More
            }
            At::Nothing | At::Head | At::Whole => Taken::Whole(0),
        };
        if matches!(taken, Taken::Whole(_)) {
            self.at = At::Whole;
        }
        Ok(taken)
    }
}

/// How the body is framed: RFC 9112, section 6.3.
fn frame(
    status: StatusCode,
    version: Version,
    headers: &[httparse::Header<'_>],
    head_only: bool,
) -> Result<Frame, Cause> {
    let mut close = false;
    let mut keep = version == Version::HTTP_11;
    // The length that is said, if all say the same; and whether the last coding is chunked, if any is named.
    let (mut length, mut chunked): (Option<Option<u64>>, Option<bool>) = (None, None);
    for header in headers {
        // Told apart by their length first: most headers are none of these.
        match header.name.len() {
            10 if header.name.eq_ignore_ascii_case("connection") => {
                close |= names(header.value, b"close");
                keep |= names(header.value, b"keep-alive");
            }
            14 if header.name.eq_ignore_ascii_case("content-length") => {
                for said in header.value.split(|byte| *byte == b',') {
                    let said = number(said.trim_ascii());
                    length = Some(length.map_or(said, |before| before.filter(|_| before == said)));
                }
            }
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                let last = header.value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
                chunked = Some(last.trim_ascii().eq_ignore_ascii_case(b"chunked"));
            }
            _ => {}
        }
    }
    let reusable = keep && !close;
    let whole = |reusable| Ok(Frame { at: At::Counted(0), reusable });
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return whole(false);
    }
    if head_only || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
        return whole(reusable);
    }
    match (chunked, length) {
        (Some(_), _) if version == Version::HTTP_10 => Err(alien("HTTP/1.0 has no transfer codings")),
        (Some(true), _) => Ok(Frame { at: At::Chunked(Chunks::new()), reusable }),
        (Some(false), _) | (None, None) => Ok(Frame { at: At::UntilEnd, reusable: false }),
        (None, Some(Some(length))) if length > u64::MAX - 2 => Err(too_large()),
        (None, Some(Some(length))) => Ok(Frame { at: At::Counted(length), reusable }),
        (None, Some(None)) => Err(alien("its length is no number, or more than one")),
    }
}

/// Whether a list, parted by commas, has `token` in it.
fn names(list: &[u8], token: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|one| one.trim_ascii().eq_ignore_ascii_case(token))
}

/// A number of nothing but digits.
fn number(digits: &[u8]) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    str::from_utf8(digits).ok().filter(|_| all_digits)?.parse().ok()
}

fn within(len: usize) -> Result<Taken, Cause> {
    if len >= HEAD_LIMIT { Err(too_large()) } else { Ok(Taken::More) }
}

fn too_large() -> Cause {
    let limit = Size(HEAD_LIMIT as u64);
    Cause::new(Reason::Limit, format!("the answer's head is over {limit} or {HEADERS_LIMIT} headers"))
}

fn alien(what: &str) -> Cause {
    Cause::new(Reason::Protocol, format!("the answer is not HTTP: {what}"))
}
