//! The port where mail is heard: SMTP with STARTTLS and three ways to log in, all of which succeed.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::desk::{Desk, LARGEST};
use super::line::Line;
use super::mail;
use super::trouble::Trouble;
use super::vendor::Kind;

/// How long a client may think about its next line, and how long a conversation may last.
const PATIENCE: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(600);

/// The longest line of a command and of a mail, in bytes.
const LONGEST_LINE: u64 = 64 << 10;

/// The most recipients of a mail.
const MOST_RECIPIENTS: usize = 100;

/// Why a conversation ends.
enum End {
    /// It is over, or the client is gone.
    Over,
    /// It goes on over TLS.
    Tls,
}

/// Serves one connection.
pub(super) async fn attend(stream: TcpStream, desk: Arc<Desk>) {
    let _ = stream.set_nodelay(true);
    // Whatever goes wrong here, a client left or asked for what is none of ours.
    let _ = timeout(LONGEST, talk(stream, &desk)).await;
}

async fn talk(stream: TcpStream, desk: &Desk) -> std::io::Result<()> {
    let mut plain = Session::new(stream, desk, false);
    plain.say("220 firedrill ESMTP").await?;
    if let End::Tls = plain.converse().await? {
        // What was sent ahead of the handshake is not taken for what comes over TLS.
        let stream = timeout(PATIENCE, desk.tls.accept(plain.stream.into_inner())).await??;
        Session::new(stream, desk, true).converse().await?;
    }
    Ok(())
}

/// A conversation.
struct Session<'d, S> {
    stream: BufReader<S>,
    desk: &'d Desk,
    secure: bool,
    /// Whom the client greeted as: re-addressed, a path of the sink's.
    line: Line,
    /// Whether a mail was begun, and to whom it goes.
    sender: bool,
    recipients: Vec<String>,
}

impl<'d, S: AsyncRead + AsyncWrite + Unpin> Session<'d, S> {
    fn new(stream: S, desk: &'d Desk, secure: bool) -> Self {
        let line = Line { receiver: None, kind: Kind::Email, index: 0 };
        Self { stream: BufReader::new(stream), desk, secure, line, sender: false, recipients: Vec::new() }
    }

    async fn say(&mut self, text: &str) -> std::io::Result<()> {
        self.stream.write_all(format!("{text}\r\n").as_bytes()).await?;
        self.stream.flush().await
    }

    /// The next line; none at the end, and where there is no end to it.
    async fn hear(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.stream).take(LONGEST_LINE);
        timeout(PATIENCE, bounded.read_until(b'\n', &mut line)).await??;
        if line.pop() != Some(b'\n') {
            return Ok(None);
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }

    async fn converse(&mut self) -> std::io::Result<End> {
        while let Some(line) = self.hear().await? {
            let line = String::from_utf8_lossy(&line).into_owned();
            let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match word.to_ascii_uppercase().as_str() {
                "EHLO" => self.greet(rest.trim()).await?,
                "HELO" => {
                    self.name(rest.trim());
                    self.say("250 firedrill").await?;
                }
                "STARTTLS" if !self.secure => {
                    self.say("220 go ahead").await?;
                    return Ok(End::Tls);
                }
                "AUTH" => self.log_in(rest).await?,
                "MAIL" => match self.desk.troubles.meet(self.line.receiver.as_deref()).await {
                    None => {
                        self.begin(true);
                        self.say("250 ok").await?;
                    }
                    Some(Trouble::Close) => return Ok(End::Over),
                    Some(Trouble::TooMany(_)) => self.say("450 4.7.1 too many, on purpose").await?,
                    Some(Trouble::Status(_) | Trouble::Slow(_) | Trouble::Hang) => {
                        self.say("451 4.3.0 in trouble, on purpose").await?;
                    }
                },
                "RCPT" => self.recipient(rest).await?,
                "DATA" => self.take().await?,
                "RSET" => {
                    self.begin(false);
                    self.say("250 ok").await?;
                }
                "NOOP" => self.say("250 ok").await?,
                "QUIT" => {
                    self.say("221 bye").await?;
                    return Ok(End::Over);
                }
                _ => self.say("502 5.5.1 not known here").await?,
            }
        }
        Ok(End::Over)
    }

    fn begin(&mut self, sender: bool) {
        self.sender = sender;
        self.recipients.clear();
    }

    fn name(&mut self, name: &str) {
        if let Some((line, _)) = Line::parse(name).filter(|(line, _)| line.kind == Kind::Email) {
            self.line = line;
        }
    }

    async fn greet(&mut self, name: &str) -> std::io::Result<()> {
        self.name(name);
        self.begin(false);
        let size = format!("250-SIZE {LARGEST}");
        // Alertmanager takes the first that it has the means for; it refuses to show a password without TLS by PLAIN.
        let lines = if self.secure {
            ["250-firedrill", &size, "250-8BITMIME", "250 AUTH CRAM-MD5 PLAIN LOGIN"].join("\r\n")
        } else {
            ["250-firedrill", &size, "250-8BITMIME", "250-STARTTLS", "250 AUTH CRAM-MD5 LOGIN PLAIN"]
                .join("\r\n")
        };
        self.say(&lines).await
    }

    /// Lets everybody in who can finish what they began.
    async fn log_in(&mut self, rest: &str) -> std::io::Result<()> {
        let (mechanism, initial) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
        let asked: &[&str] = match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" if initial.is_empty() => &[""],
            "PLAIN" => &[],
            "LOGIN" if initial.is_empty() => &["Username:", "Password:"],
            "LOGIN" => &["Password:"],
            "CRAM-MD5" => &["<1.1@firedrill>"],
            _ => return self.say("504 5.5.4 no such mechanism").await,
        };
        for question in asked {
            self.say(&format!("334 {}", STANDARD.encode(question))).await?;
            let Some(answer) = self.hear().await? else { return Ok(()) };
            if STANDARD.decode(&answer).is_err() {
                return self.say("501 5.5.2 authentication cancelled").await;
            }
        }
        self.say("235 2.7.0 welcome").await
    }

    async fn recipient(&mut self, rest: &str) -> std::io::Result<()> {
        let address = rest.find('<').zip(rest.rfind('>')).and_then(|(start, end)| rest.get(start + 1..end));
        match address {
            _ if !self.sender => self.say("503 5.5.1 MAIL comes first").await,
            Some(address) if !address.is_empty() && self.recipients.len() < MOST_RECIPIENTS => {
                self.recipients.push(address.to_owned());
                self.say("250 ok").await
            }
            Some(_) if self.recipients.len() == MOST_RECIPIENTS => {
                self.say("452 4.5.3 too many recipients").await
            }
            Some(_) | None => self.say("501 5.1.3 no address").await,
        }
    }

    /// Takes a mail, up to the line that is a dot.
    async fn take(&mut self) -> std::io::Result<()> {
        if self.recipients.is_empty() {
            return self.say("503 5.5.1 RCPT comes first").await;
        }
        self.say("354 end with a line that is a dot").await?;
        let mut mail = Vec::new();
        let mut large = false;
        loop {
            let Some(line) = self.hear().await? else { return Ok(()) };
            if line == b"." {
                break;
            }
            let line = line.strip_prefix(b".").unwrap_or(&line);
            large |= mail.len() + line.len() > LARGEST;
            if !large {
                mail.extend_from_slice(line);
                mail.push(b'\n');
            }
        }
        if large {
            self.begin(false);
            return self.say("552 5.3.4 a mail has at most 1 MiB").await;
        }
        let message = mail::read(&mail, &self.recipients);
        self.desk.deliver(&self.line, message, &mail);
        self.begin(false);
        self.say("250 2.0.0 ok").await
    }
}
