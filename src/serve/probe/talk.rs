//! What a module says on a connection, and hears: lines that are waited for, and TLS from the start or later on.

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};

use super::choose::{authority, choose, split};
use super::sheet::{Sheet, truth};
use super::{Attempt, failed, secured};
use crate::exposition::Labels;
use crate::probe::connect::{self, Stream, TlsOptions};
use crate::probe::trust::{Agreed, Handshake};
use crate::sample::{Cause, Phase, Reason};
use crate::serve::blackbox::{Pattern, Talk, Tcp, Turn};

/// The longest line that is read.
const LONGEST_LINE: u64 = 64 << 10;

/// The most lines that are passed over for the one that is waited for.
const MOST_LINES: usize = 10_000;

trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// Connects over TCP and talks.
pub(super) async fn over_tcp(module: &Tcp, at: &Attempt<'_>, sheet: &mut Sheet) -> Result<(), Cause> {
    sheet.unmatched(false);
    let (host, port) = split(at.target, None)?;
    let mut options = at.options();
    options.address = Some(choose(&host, port, module.preference, at, sheet).await.address?);
    let opened = connect::open(&authority(&host, port)?, false, &options, &at.deadline).await;
    let Stream::Plain(stream) = opened.map_err(|failure| failure.cause)?.stream else {
        return Err(failed("the connection is encrypted before it is asked to be".to_owned()));
    };
    sheet.say("connected");
    let name = at.hostname.unwrap_or(&host);
    converse(Box::new(stream), &module.talk, name, at, sheet).await
}

/// Connects to a socket among this machine's files and talks.
pub(super) async fn over_unix(module: &Talk, at: &Attempt<'_>, sheet: &mut Sheet) -> Result<(), Cause> {
    sheet.unmatched(false);
    let connecting = tokio::net::UnixStream::connect(at.target);
    let stream = at.deadline.run(Phase::Connect, connecting).await?;
    let stream = stream.map_err(|why| Cause::new(Reason::Connect, format!("`{}`: {why}", at.target)))?;
    sheet.say("connected");
    converse(Box::new(stream), module, at.hostname.unwrap_or("localhost"), at, sheet).await
}

/// Takes every turn, over TLS from when that is asked for.
async fn converse(
    mut stream: Box<dyn Duplex>,
    talk: &Talk,
    name: &str,
    at: &Attempt<'_>,
    sheet: &mut Sheet,
) -> Result<(), Cause> {
    if talk.secure {
        stream = secure(stream, talk, name, at, sheet).await?;
    }
    let mut line = BufReader::new(stream);
    for (number, turn) in talk.turns.iter().enumerate() {
        let saying = take(&mut line, turn, number, sheet);
        at.deadline.run(Phase::Exchange, saying).await??;
        if turn.starttls {
            // What was read ahead was said before TLS, and is no part of it.
            line = BufReader::new(secure(line.into_inner(), talk, name, at, sheet).await?);
        }
    }
    Ok(())
}

/// Shakes hands.
async fn secure(
    stream: Box<dyn Duplex>,
    talk: &Talk,
    name: &str,
    at: &Attempt<'_>,
    sheet: &mut Sheet,
) -> Result<Box<dyn Duplex>, Cause> {
    let tls: TlsOptions = talk.tls.options().await.map_err(|why| failed(why.to_string()))?;
    let handshake = at.deadline.run(Phase::Tls, Handshake::prepare(&tls, name)).await??;
    let shaken = at.deadline.run(Phase::Tls, handshake.shake(stream)).await.and_then(|shaken| shaken);
    let agreed = shaken.as_ref().ok().and_then(|stream| Agreed::of(stream.get_ref().1));
    secured::show(&handshake.chain(), agreed.as_ref(), &tls, sheet).await;
    sheet.say(format!("shook hands over TLS with `{name}`"));
    Ok(Box::new(shaken?))
}

/// Waits for what a turn expects, and says what it says.
async fn take(
    line: &mut BufReader<Box<dyn Duplex>>,
    turn: &Turn,
    number: usize,
    sheet: &mut Sheet,
) -> Result<(), Cause> {
    let mut send = turn.send.clone().into_bytes();
    if let Some(pattern) = &turn.expect {
        let heard = expect(line, pattern, number, sheet).await?;
        sheet.unmatched(false);
        send = pattern.expand(&heard, &turn.send).unwrap_or_default();
        inform(&turn.labels, pattern, &heard, sheet);
    }
    if !send.is_empty() {
        sheet.say(format!("turn {number}: says `{}`", String::from_utf8_lossy(&send)));
        send.push(b'\n');
        let lost = |why| Cause::new(Reason::Closed, format!("nothing can be sent: {why}"));
        line.write_all(&send).await.map_err(lost)?;
        line.flush().await.map_err(lost)?;
    }
    Ok(())
}

/// Reads lines until one matches.
async fn expect(
    line: &mut BufReader<Box<dyn Duplex>>,
    pattern: &Pattern,
    number: usize,
    sheet: &mut Sheet,
) -> Result<Vec<u8>, Cause> {
    for _ in 0..MOST_LINES {
        let mut heard = Vec::new();
        let reading = (&mut *line).take(LONGEST_LINE).read_until(b'\n', &mut heard).await;
        reading.map_err(|why| Cause::new(Reason::Closed, format!("nothing can be read: {why}")))?;
        if heard.is_empty() {
            sheet.unmatched(true);
            let why = format!("turn {number}: the peer closed, and no line matched `{pattern}`");
            return Err(Cause::new(Reason::Body, why));
        }
        if heard.last() == Some(&b'\n') {
            heard.pop();
            heard.pop_if(|last| *last == b'\r');
        } else if heard.len() as u64 >= LONGEST_LINE {
            return Err(Cause::new(Reason::Limit, format!("a line is over {LONGEST_LINE} bytes")));
        }
        sheet.say(format!("turn {number}: heard `{}`", String::from_utf8_lossy(&heard)));
        if pattern.is_match(&heard) {
            return Ok(heard);
        }
    }
    Err(Cause::new(Reason::Limit, format!("{MOST_LINES} lines came and none matched `{pattern}`")))
}

/// Labels that what came fills in.
fn inform(wanted: &[(String, String)], pattern: &Pattern, heard: &[u8], sheet: &mut Sheet) {
    let filled = wanted.iter().map(|(name, template)| {
        let value = pattern.expand(heard, template).unwrap_or_default();
        (name.clone(), String::from_utf8_lossy(&value).into_owned())
    });
    let labels: Labels = filled.collect();
    if !labels.is_empty() {
        sheet.set_with("probe_expect_info", "Explicit content matched", labels, truth(true));
    }
}
