//! What is said before TLS in protocols that begin in clear. The caller bounds the time; here the words are bounded.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use crate::event::Line;
use crate::probe::exchange::Excerpt;
use crate::sample::{Cause, Reason};
use crate::scenario::tls::StartTls;

/// The longest line or message that is read.
const LONGEST: usize = 4096;

/// The most lines that one answer may have.
const MOST_LINES: usize = 64;

/// The `SSLRequest` of `PostgreSQL`: its length, and a version that no protocol has.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// LDAP's extended request number 1 for the operation 1.3.6.1.4.1.1466.20037, RFC 4511, section 4.14.
const LDAP_REQUEST: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";

/// Asks for TLS in the words of `protocol`; what is said is noted in `said`. After it, TLS begins.
pub(super) async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    protocol: StartTls,
    stream: &mut S,
    said: &mut Vec<Line>,
) -> Result<(), Cause> {
    let mut talk = Talk { stream, said };
    match protocol {
        StartTls::Smtp => talk.smtp().await,
        StartTls::Imap => talk.imap().await,
        StartTls::Pop3 => talk.pop3().await,
        StartTls::Postgres => talk.postgres().await,
        StartTls::Ldap => talk.ldap().await,
    }
}

fn refused(answer: &[u8]) -> Cause {
    Cause::new(Reason::Tls, format!("the server does not start TLS: {}", Excerpt::of(answer)))
}

fn strange(answer: &[u8], protocol: StartTls) -> Cause {
    Cause::new(Reason::Protocol, format!("{} is no answer of {protocol}", Excerpt::of(answer)))
}

struct Talk<'s, S> {
    stream: &'s mut S,
    said: &'s mut Vec<Line>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<'_, S> {
    async fn smtp(&mut self) -> Result<(), Cause> {
        self.smtp_answer("220").await?;
        self.say("EHLO localhost").await?;
        let offers = self.smtp_answer("250").await?;
        let offered = offers.iter().filter_map(|line| line.get(4..));
        if !offered.into_iter().any(|offer| offer.eq_ignore_ascii_case(b"STARTTLS")) {
            return Err(Cause::new(Reason::Tls, "the server does not offer STARTTLS"));
        }
        self.say("STARTTLS").await?;
        self.smtp_answer("220").await.map(drop)
    }

    /// The lines of an answer with this code.
    async fn smtp_answer(&mut self, code: &str) -> Result<Vec<Vec<u8>>, Cause> {
        let mut lines = Vec::new();
        while lines.len() < MOST_LINES {
            let line = self.line().await?;
            let digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let last = match (digits, line.get(3)) {
                (3, Some(b'-')) => false,
                (3, Some(b' ') | None) => true,
                _ => return Err(strange(&line, StartTls::Smtp)),
            };
            if !line.starts_with(code.as_bytes()) {
                return Err(refused(&line));
            }
            lines.push(line);
            if last {
                return Ok(lines);
            }
        }
        Err(endless())
    }

    async fn imap(&mut self) -> Result<(), Cause> {
        let greeting = self.line().await?;
        match word(&greeting, 1).as_str() {
            "OK" if greeting.starts_with(b"* ") => {}
            "BYE" | "PREAUTH" if greeting.starts_with(b"* ") => return Err(refused(&greeting)),
            _ => return Err(strange(&greeting, StartTls::Imap)),
        }
        self.say("a1 STARTTLS").await?;
        for _ in 0..MOST_LINES {
            let line = self.line().await?;
            // What the server tells unasked is passed over.
            if line.starts_with(b"* ") {
                continue;
            }
            return match word(&line, 1).as_str() {
                "OK" if line.starts_with(b"a1 ") => Ok(()),
                "NO" | "BAD" if line.starts_with(b"a1 ") => Err(refused(&line)),
                _ => Err(strange(&line, StartTls::Imap)),
            };
        }
        Err(endless())
    }

    async fn pop3(&mut self) -> Result<(), Cause> {
        self.pop3_answer().await?;
        self.say("STLS").await?;
        self.pop3_answer().await
    }

    async fn pop3_answer(&mut self) -> Result<(), Cause> {
        let line = self.line().await?;
        match word(&line, 0).as_str() {
            "+OK" => Ok(()),
            "-ERR" => Err(refused(&line)),
            _ => Err(strange(&line, StartTls::Pop3)),
        }
    }

    async fn postgres(&mut self) -> Result<(), Cause> {
        self.send(&SSL_REQUEST, "SSLRequest").await?;
        // One byte and no more: what follows is TLS already.
        let mut answer = [0];
        self.read(&mut answer).await?;
        self.note("answer", Instant::now(), &answer);
        match answer {
            [b'S'] => Ok(()),
            [b'N' | b'E'] => Err(refused(&answer)),
            [_] => Err(strange(&answer, StartTls::Postgres)),
        }
    }

    async fn ldap(&mut self) -> Result<(), Cause> {
        self.send(LDAP_REQUEST, "StartTLS").await?;
        let began = Instant::now();
        let mut head = [0; 2];
        self.read(&mut head).await?;
        let more = match head {
            [0x30, short @ ..=0x7f] => usize::from(short),
            [0x30, long @ 0x81..=0x84] => {
                let mut length = vec![0; usize::from(long & 0x0f)];
                self.read(&mut length).await?;
                length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
            }
            _ => return Err(strange(&head, StartTls::Ldap)),
        };
        if more > LONGEST {
            return Err(too_long());
        }
        let mut body = vec![0; more];
        self.read(&mut body).await?;
        self.note("answer", began, &body);
        match ldap_result(&body) {
            Some(0) => Ok(()),
            Some(code) => {
                Err(Cause::new(Reason::Tls, format!("the server does not start TLS: LDAP result {code}")))
            }
            None => Err(strange(&body, StartTls::Ldap)),
        }
    }

    /// Says a line.
    async fn say(&mut self, line: &str) -> Result<(), Cause> {
        self.send(format!("{line}\r\n").as_bytes(), line).await
    }

    async fn send(&mut self, bytes: &[u8], what: &str) -> Result<(), Cause> {
        let began = Instant::now();
        let sent = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        sent.await.map_err(|source| Cause::new(Reason::Closed, format!("nothing can be sent: {source}")))?;
        self.said.push(Line {
            what: format!("send {what}"),
            took: began.elapsed().into(),
            heard: Vec::new(),
        });
        Ok(())
    }

    /// A line without its end, byte by byte: what follows it may be TLS already.
    async fn line(&mut self) -> Result<Vec<u8>, Cause> {
        let began = Instant::now();
        let mut line = Vec::new();
        let mut byte = [0];
        while line.len() < LONGEST {
            self.read(&mut byte).await?;
            if byte == *b"\n" {
                line.truncate(line.strip_suffix(b"\r").unwrap_or(&line).len());
                self.note("receive", began, &line);
                return Ok(line);
            }
            line.extend(byte);
        }
        Err(too_long())
    }

    async fn read(&mut self, bytes: &mut [u8]) -> Result<(), Cause> {
        let read = self.stream.read_exact(bytes).await;
        read.map(drop).map_err(|source: io::Error| {
            Cause::new(Reason::Closed, format!("the connection ends before TLS is agreed on: {source}"))
        })
    }

    fn note(&mut self, what: &str, began: Instant, heard: &[u8]) {
        let heard = vec![Excerpt::of(heard).text];
        self.said.push(Line { what: what.to_owned(), took: began.elapsed().into(), heard });
    }
}

fn endless() -> Cause {
    Cause::new(Reason::Limit, format!("over {MOST_LINES} lines came where an answer had to end"))
}

fn too_long() -> Cause {
    Cause::new(Reason::Limit, format!("the answer is longer than {LONGEST} bytes"))
}

/// A word of a line, in capitals; empty where there is none.
fn word(line: &[u8], number: usize) -> String {
    let text = String::from_utf8_lossy(line);
    text.split(' ').nth(number).unwrap_or_default().to_ascii_uppercase()
}

/// The result code of an extended response to request number 1.
fn ldap_result(body: &[u8]) -> Option<u8> {
    let (&[0x02, 0x01, 0x01, 0x78], rest) = body.split_first_chunk()? else { return None };
    // The length may be written long; what counts is what stands after it.
    let (length, rest) = rest.split_first()?;
    let rest = if *length < 0x80 { rest } else { rest.get(usize::from(length & 0x7f)..)? };
    match rest {
        [0x0a, 0x01, code, ..] => Some(*code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use proptest::prelude::*;
    use rstest::rstest;
    use tokio::io::duplex;

    use super::*;
    use crate::probe::connect::Deadline;
    use crate::sample::Phase;

    /// What a peer says, a byte for each character, after it has heard as many bytes as stand before it.
    type Script = &'static [(usize, &'static str)];

    fn bytes(text: &str) -> Vec<u8> {
        text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
    }

    /// Asks a peer who follows the script and then stays, or leaves.
    async fn asked(protocol: StartTls, script: Script, stays: bool) -> (Result<(), Cause>, Vec<Line>) {
        let (mut ours, theirs) = duplex(1 << 16);
        tokio::spawn(async move {
            let (mut read, mut write) = tokio::io::split(theirs);
            for (length, answer) in script {
                let mut heard = vec![0; *length];
                read.read_exact(&mut heard).await.unwrap();
                write.write_all(&bytes(answer)).await.unwrap();
            }
            if stays {
                pending::<()>().await;
            }
        });
        let mut said = Vec::new();
        let deadline = Deadline::after(Duration::from_secs(5));
        let asking = ask(protocol, &mut ours, &mut said);
        (deadline.run(Phase::Exchange, asking).await.and_then(|asked| asked), said)
    }

    const EHLO: usize = "EHLO localhost\r\n".len();
    const STARTTLS: usize = "STARTTLS\r\n".len();
    const TAGGED: usize = "a1 STARTTLS\r\n".len();
    const STLS: usize = "STLS\r\n".len();

    #[rstest]
    #[case::smtp(StartTls::Smtp, &[
        (0, "220-mail.test\r\n220 ready\r\n"),
        (EHLO, "250-mail.test\r\n250-starttls\r\n250 SIZE 1000\r\n"),
        (STARTTLS, "220 go ahead\r\n\x16\x03"),
    ])]
    #[case::smtp_short(StartTls::Smtp, &[(0, "220\n"), (EHLO, "250 STARTTLS\n"), (STARTTLS, "220\n")])]
    #[case::imap(StartTls::Imap, &[(0, "* OK ready\r\n"), (TAGGED, "* CAPABILITY IMAP4rev1\r\na1 OK begin\r\n")])]
    #[case::pop3(StartTls::Pop3, &[(0, "+OK ready\r\n"), (STLS, "+OK begin\r\n")])]
    #[case::postgres(StartTls::Postgres, &[(8, "S")])]
    #[case::ldap(StartTls::Ldap, &[(31, "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00")])]
    #[case::ldap_long(StartTls::Ldap, &[(31, "\x30\u{84}\0\0\0\x0d\x02\x01\x01\x78\u{84}\0\0\0\x03\x0a\x01\0\x04")])]
    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_asked_starts_tls(#[case] protocol: StartTls, #[case] script: Script) {
        let (asked, said) = asked(protocol, script, true).await;
        assert_eq!(asked, Ok(()));
        assert!(said.len() >= 2);
    }

    #[rstest]
    #[case::smtp_busy(StartTls::Smtp, &[(0, "421 too busy\r\n")], "the server does not start TLS: `421 too busy`")]
    #[case::smtp_silent_about_it(StartTls::Smtp, &[(0, "220 a\r\n"), (EHLO, "250 SIZE\r\n")], "the server does not offer STARTTLS")]
    #[case::smtp_later(
        StartTls::Smtp,
        &[(0, "220 a\r\n"), (EHLO, "250 STARTTLS\r\n"), (STARTTLS, "454 not now\r\n")],
        "the server does not start TLS: `454 not now`"
    )]
    #[case::imap(StartTls::Imap, &[(0, "* OK a\r\n"), (TAGGED, "a1 BAD no\r\n")], "the server does not start TLS: `a1 BAD no`")]
    #[case::imap_bye(StartTls::Imap, &[(0, "* BYE\r\n")], "the server does not start TLS: `* BYE`")]
    #[case::pop3(StartTls::Pop3, &[(0, "+OK\r\n"), (STLS, "-ERR no\r\n")], "the server does not start TLS: `-ERR no`")]
    #[case::postgres(StartTls::Postgres, &[(8, "N")], "the server does not start TLS: `N`")]
    #[case::ldap(StartTls::Ldap, &[(31, "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x34\x04\x00\x04\x00")], "the server does not start TLS: LDAP result 52")]
    #[tokio::test(start_paused = true)]
    async fn a_server_that_will_not_fails_for_tls(
        #[case] protocol: StartTls,
        #[case] script: Script,
        #[case] message: &str,
    ) {
        let cause = asked(protocol, script, true).await.0.unwrap_err();
        assert_eq!((cause.reason, cause.message.as_str()), (Reason::Tls, message));
    }

    #[rstest]
    #[case::smtp(StartTls::Smtp, "SSH-2.0-OpenSSH\r\n")]
    #[case::imap(StartTls::Imap, "220 mail.test\r\n")]
    #[case::pop3(StartTls::Pop3, "* OK\r\n")]
    #[case::postgres(StartTls::Postgres, "H")]
    #[case::ldap(StartTls::Ldap, "HTTP/1.1 400\r\n")]
    #[case::ldap_inside(StartTls::Ldap, "\x30\x03\x02\x01\x02")]
    #[tokio::test(start_paused = true)]
    async fn garbage_is_another_protocol(#[case] protocol: StartTls, #[case] bytes: &'static str) {
        let script: Script = Box::leak(Box::new([(0, bytes)]));
        let (asked, _) = asked(protocol, script, true).await;
        assert_eq!(asked.unwrap_err().reason, Reason::Protocol);
    }

    #[rstest]
    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_left_at_the_deadline_and_a_gone_one_at_once(
        #[values(StartTls::Smtp, StartTls::Imap, StartTls::Pop3, StartTls::Postgres, StartTls::Ldap)]
        protocol: StartTls,
    ) {
        let silent = asked(protocol, &[], true).await.0.unwrap_err();
        assert_eq!(silent.reason, Reason::Timeout(Phase::Exchange));
        let gone = asked(protocol, &[], false).await.0.unwrap_err();
        assert_eq!(gone.reason, Reason::Closed);
    }

    #[rstest]
    #[case::one_line(StartTls::Pop3, "+OK and on")]
    #[case::many_lines(StartTls::Smtp, "220-and on\r\n")]
    #[tokio::test(start_paused = true)]
    async fn an_answer_without_end_is_over_the_limit(
        #[case] protocol: StartTls,
        #[case] piece: &'static str,
    ) {
        let script: Script = Box::leak(Box::new([(0, &*Box::leak(piece.repeat(500).into_boxed_str()))]));
        assert_eq!(asked(protocol, script, true).await.0.unwrap_err().reason, Reason::Limit);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_ldap_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..20), whole: bool) {
            let start = if whole { b"\x02\x01\x01\x78".to_vec() } else { Vec::new() };
            let _ = ldap_result(&[start, bytes].concat());
        }
    }
}
