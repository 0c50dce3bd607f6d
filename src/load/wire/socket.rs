//! WebSocket frames over a connection that was upgraded: as much of RFC 6455 as a load needs, read where they lie.
//!
//! Messages are counted and not kept, so that a connection that is only held takes next to no memory.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::line::PIECES;
use crate::probe::connect::Stream;
use crate::sample::{Cause, Reason};
use crate::units::Size;

/// A connection that speaks WebSocket.
#[derive(Debug)]
pub struct Socket {
    stream: Stream,
    reader: Reader,
    /// What is yet to be sent.
    out: Vec<u8>,
    /// What came right behind the upgrade.
    rest: Vec<u8>,
}

/// What was heard, all at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heard {
    /// Messages that were whole by then.
    pub messages: u32,
    /// How the peer has ended it, if it has.
    pub end: Option<End>,
}

/// How a peer ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With a close frame, and this code if it says one.
    Close(Option<u16>),
    /// Without one.
    Cut,
}

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The longest payload of a frame that is no message's.
const CONTROL: usize = 125;

impl Socket {
    /// What a connection is after its upgrade; `rest` came behind that. Messages up to `limit` are read.
    pub(super) fn new(stream: Stream, rest: Vec<u8>, limit: Size) -> Self {
        Self { stream, reader: Reader::new(limit), out: Vec::new(), rest }
    }

    /// Keeps the messages that come from now on, for whoever [takes](Self::take_messages) them.
    pub fn keep_messages(&mut self) {
        self.reader.kept.get_or_insert_default();
    }

    /// The messages that were heard since, where they are kept.
    pub fn take_messages(&mut self) -> Vec<Vec<u8>> {
        self.reader.kept.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Sends a text.
    ///
    /// # Errors
    /// Closed, where the connection is lost.
    pub async fn send(&mut self, text: &[u8]) -> Result<(), Cause> {
        frame(TEXT, text, rand::random(), &mut self.out);
        self.flush().await
    }

    /// Says that it ends, and does not wait for an answer.
    pub async fn close(&mut self) {
        frame(CLOSE, &1000u16.to_be_bytes(), rand::random(), &mut self.out);
        // Whoever is gone need not be told.
        let _ = self.flush().await;
    }

    /// Waits until something is heard that is no ping: those are answered. May be given up at any time.
    ///
    /// # Errors
    /// Closed, where the connection is lost; protocol, where what came is no WebSocket; limit.
    pub async fn hear(&mut self) -> Result<Heard, Cause> {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            let heard = self.reader.take(&rest, &mut self.out)?;
            if heard != Heard::default() {
                return Ok(heard);
            }
        }
        poll_fn(|context| PIECES.with_borrow_mut(|piece| self.poll_hear(piece, context))).await
    }

    fn poll_hear(&mut self, piece: &mut [u8], context: &mut Context<'_>) -> Poll<Result<Heard, Cause>> {
        loop {
            if let Poll::Ready(Err(cause)) = self.poll_out(context) {
                return Poll::Ready(Err(cause));
            }
            let mut read = ReadBuf::new(piece);
            match Pin::new(&mut self.stream).poll_read(context, &mut read) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(source)) => return Poll::Ready(Err(lost(&source))),
                Poll::Ready(Ok(())) if read.filled().is_empty() => {
                    return Poll::Ready(Ok(Heard { messages: 0, end: Some(End::Cut) }));
                }
                Poll::Ready(Ok(())) => {
                    let heard = self.reader.take(read.filled(), &mut self.out)?;
                    if heard != Heard::default() {
                        return Poll::Ready(Ok(heard));
                    }
                }
            }
        }
    }

    async fn flush(&mut self) -> Result<(), Cause> {
        poll_fn(|context| self.poll_out(context)).await
    }

    /// Sends what is yet to be sent.
    fn poll_out(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        while !self.out.is_empty() {
            match Pin::new(&mut self.stream).poll_write(context, &self.out) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(lost(&io::ErrorKind::WriteZero.into()))),
                Poll::Ready(Ok(sent)) => drop(self.out.drain(..sent)),
                Poll::Ready(Err(source)) => return Poll::Ready(Err(lost(&source))),
            }
        }
        self.out = Vec::new();
        Pin::new(&mut self.stream).poll_flush(context).map_err(|source| lost(&source))
    }
}

/// Appends a frame that is a whole message, or none; `key` masks it, as a client must.
fn frame(opcode: u8, payload: &[u8], key: [u8; 4], out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(len), _) if usize::from(len) <= CONTROL => out.push(0x80 | len),
        (_, Ok(len)) => {
            out.push(0x80 | 0x7e);
            out.extend_from_slice(&len.to_be_bytes());
        }
        (_, Err(_)) => {
            out.push(0x80 | 0x7f);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&key);
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
}

fn lost(source: &io::Error) -> Cause {
    Cause::new(Reason::Closed, format!("connection lost: {source}"))
}

fn alien(what: &str) -> Cause {
    Cause::new(Reason::Protocol, format!("what came is no WebSocket: {what}"))
}

/// Where in a frame the next byte is.
#[derive(Debug)]
struct Reader {
    limit: Size,
    /// The beginning of a frame, up to its payload; at most so many bytes.
    head: [u8; 10],
    head_len: u8,
    /// How much of the payload is yet to come; `None` in a head.
    left: Option<u64>,
    /// How long the message is so far that is being read; `None` between messages.
    message: Option<u64>,
    /// The payload so far of a frame that is no message's.
    control: Vec<u8>,
    /// Messages that are whole, where they are kept.
    kept: Option<Vec<Vec<u8>>>,
    /// As much as there is of the one that is being read, where it is kept.
    begun: Vec<u8>,
}

impl Reader {
    fn new(limit: Size) -> Self {
        Self {
            limit,
            head: [0; 10],
            head_len: 0,
            left: None,
            message: None,
            control: Vec::new(),
            kept: None,
            begun: Vec::new(),
        }
    }

    /// Reads on; answers to pings go to `out`.
    fn take(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<Heard, Cause> {
        let mut heard = Heard::default();
        while heard.end.is_none() {
            let Some(left) = self.left else {
                let Some((byte, after)) = bytes.split_first() else { break };
                bytes = after;
                self.head[usize::from(self.head_len)] = *byte;
                self.head_len += 1;
                self.left = self.begun()?;
                continue;
            };
            let len = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            let (payload, after) = bytes.split_at(len);
            bytes = after;
            if self.opcode() >= CLOSE {
                self.control.extend_from_slice(payload);
            } else if self.kept.is_some() {
                self.begun.extend_from_slice(payload);
            }
            if left > len as u64 {
                self.left = Some(left - len as u64);
                break;
            }
            self.ended(&mut heard, out);
        }
        Ok(heard)
    }

    fn opcode(&self) -> u8 {
        self.head[0] & 0x0f
    }

    fn is_final(&self) -> bool {
        self.head[0] & 0x80 != 0
    }

    /// How long the payload is, once the head is whole.
    fn begun(&mut self) -> Result<Option<u64>, Cause> {
        let length = self.head[1] & 0x7f;
        let whole = match (self.head_len, length) {
            (0 | 1, _) => return Ok(None),
            (_, 126) => 4,
            (_, 127) => 10,
            (_, _) => 2,
        };
        if self.head_len < whole {
            return Ok(None);
        }
        let len = match length {
            126 => u64::from(u16::from_be_bytes([self.head[2], self.head[3]])),
            127 => self.head[2..].iter().fold(0, |len, byte| len << 8 | u64::from(*byte)),
            _ => u64::from(length),
        };
        if self.head[0] & 0x70 != 0 {
            return Err(alien("it sets bits that nobody agreed on"));
        }
        if self.head[1] & 0x80 != 0 {
            return Err(alien("a server masks nothing"));
        }
        match (self.opcode(), self.message) {
            (0, None) => return Err(alien("a message goes on that has not begun")),
            (1 | 2, Some(_)) => return Err(alien("a message begins within another")),
            (0..=2, _) => {
                let size = self.message.unwrap_or_default().saturating_add(len);
                if size > self.limit.0 {
                    return Err(Cause::new(Reason::Limit, format!("a message is over {}", self.limit)));
                }
                self.message = Some(size);
            }
            (CLOSE..=PONG, _) if len <= CONTROL as u64 && self.is_final() => {}
            (CLOSE..=PONG, _) => return Err(alien("a ping or a close is too long, or in parts")),
            (_, _) => return Err(alien("a frame is of no known kind")),
        }
        Ok(Some(len))
    }

    /// A frame is whole.
    fn ended(&mut self, heard: &mut Heard, out: &mut Vec<u8>) {
        match self.opcode() {
            PING => frame(PONG, &self.control, rand::random(), out),
            CLOSE => {
                let code = self.control.first_chunk().map(|code| u16::from_be_bytes(*code));
                heard.end = Some(End::Close(code));
            }
            opcode if opcode < CLOSE && self.is_final() => {
                heard.messages += 1;
                if let Some(kept) = &mut self.kept {
                    kept.push(std::mem::take(&mut self.begun));
                }
                self.message = None;
            }
            _ => {}
        }
        self.control = Vec::new();
        (self.head_len, self.left) = (0, None);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const LIMIT: Size = Size(1 << 16);

    /// What is heard of bytes that come in pieces of `len`, in all, and what is answered.
    fn heard(bytes: &[u8], len: usize) -> Result<(Heard, Vec<u8>), Reason> {
        let (mut reader, mut out, mut all) = (Reader::new(LIMIT), Vec::new(), Heard::default());
        for piece in bytes.chunks(len) {
            let heard = reader.take(piece, &mut out).map_err(|cause| cause.reason)?;
            all.messages += heard.messages;
            all.end = heard.end;
            if heard.end.is_some() {
                break;
            }
        }
        Ok((all, out))
    }

    #[rstest]
    #[case::text(b"\x81\x02hi", Ok((1, None)))]
    #[case::empty(b"\x82\x00", Ok((1, None)))]
    #[case::two(b"\x81\x01a\x81\x01b", Ok((2, None)))]
    #[case::longer(b"\x81\x7e\x00\x03abc", Ok((1, None)))]
    #[case::in_parts(b"\x01\x01a\x89\x00\x00\x01b\x80\x01c", Ok((1, None)))]
    #[case::unfinished(b"\x81\x03ab", Ok((0, None)))]
    #[case::closed(b"\x88\x02\x03\xe9", Ok((0, Some(End::Close(Some(1001))))))]
    #[case::closed_without_a_word(b"\x88\x00\x81\x01a", Ok((0, Some(End::Close(None)))))]
    #[case::masked(b"\x81\x81abcdx", Err(Reason::Protocol))]
    #[case::reserved(b"\xc1\x00", Err(Reason::Protocol))]
    #[case::unknown(b"\x83\x00", Err(Reason::Protocol))]
    #[case::unbegun(b"\x80\x00", Err(Reason::Protocol))]
    #[case::within_another(b"\x01\x00\x81\x00", Err(Reason::Protocol))]
    #[case::long_ping(b"\x89\x7e\x00\x7e", Err(Reason::Protocol))]
    #[case::ping_in_parts(b"\x09\x00", Err(Reason::Protocol))]
    #[case::over_the_limit(b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x01", Err(Reason::Limit))]
    #[case::beyond_all_limits(b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff", Err(Reason::Limit))]
    fn frames_are_read(#[case] bytes: &[u8], #[case] wanted: Result<(u32, Option<End>), Reason>) {
        let wanted = wanted.map(|(messages, end)| Heard { messages, end });
        for len in [1, 2, bytes.len()] {
            assert_eq!(heard(bytes, len).map(|(heard, _)| heard), wanted, "{len}");
        }
    }

    #[test]
    fn messages_are_kept_whole_where_they_are_wanted() {
        let (mut reader, mut out) = (Reader::new(LIMIT), Vec::new());
        reader.kept = Some(Vec::new());
        for byte in b"\x01\x01a\x89\x01p\x80\x01c\x81\x02hi" {
            reader.take(&[*byte], &mut out).unwrap();
        }
        assert_eq!(reader.kept, Some(vec![b"ac".to_vec(), b"hi".to_vec()]));
    }

    #[test]
    fn a_ping_is_answered_with_what_is_in_it() {
        let (_, out) = heard(b"\x89\x02hi", 1).unwrap();
        let (head, masked) = out.split_at(6);
        assert_eq!(head[..2], [0x8a, 0x82]);
        let payload: Vec<u8> = masked.iter().zip(&head[2..]).map(|(byte, key)| byte ^ key).collect();
        assert_eq!(payload, b"hi");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, len in 1usize..9) {
            let _ = heard(&bytes, len);
        }

        /// The other end of the protocol reads what is sent.
        #[test]
        fn what_is_sent_is_read_by_others(text in ".{0,300}", key: [u8; 4]) {
            let mut out = Vec::new();
            frame(TEXT, text.as_bytes(), key, &mut out);
            let role = tokio_tungstenite::tungstenite::protocol::Role::Server;
            let mut server = tokio_tungstenite::tungstenite::WebSocket::from_raw_socket(std::io::Cursor::new(out), role, None);
            let read = server.read().unwrap();
            prop_assert_eq!(read.to_text().unwrap(), text);
        }
    }
}
