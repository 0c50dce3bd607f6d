//! What was logged, and what of it is not as expected.

pub mod lines;
pub mod tail;
mod tally;

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use self::lines::Lines;
use self::tail::{Mark, Stretch};
pub use self::tally::Tally;
use super::answer::capture_from_message;
use super::attempt::{Breach, Seen, Session, beginning};
use super::connect::{Deadline, timed};
use crate::event::Hop;
use crate::sample::{Cause, Phase, Phases, Reason};
use crate::scenario::capture::Capture;
use crate::scenario::expect::Expect;
use crate::scenario::logs::Logs;
use crate::scenario::template::{Scope, Unset};

/// How much is read at once.
const CHUNK: usize = 256 << 10;

/// Reads what was logged, and judges it.
pub(super) async fn attempt(
    wanted: &Logs,
    expect: &Expect,
    captures: &[Capture],
    scope: &Scope,
    session: &Session,
    deadline: &Deadline,
) -> Result<Seen, Unset> {
    let path = wanted.beside.join(wanted.file.fill(scope)?);
    let mark = session.marks.get(&path).filter(|_| !wanted.whole);
    let mut tally = Tally::new(wanted, &expect.log, scope);
    let mut phases = Phases::default();
    let reading = read(&path, mark, wanted, deadline, &mut tally);
    let read = timed(&mut phases, Phase::Transfer, deadline, reading).await;
    let mut seen = Seen::default();
    seen.evidence.hops.push(Hop {
        method: "READ".to_owned(),
        url: path.display().to_string(),
        peer: None,
        version: None,
        status: None,
        phases,
    });
    if let Err(cause) = read {
        seen.breaches.push(Breach::lost(cause, wanted.file.place));
    } else {
        seen.breaches = tally.breaches();
        if seen.breaches.is_empty() {
            capture_from_message(captures, tally.chosen(), &mut seen);
        }
    }
    seen.evidence.state = Some(tally.state());
    seen.evidence.body = (!tally.chosen().is_empty()).then(|| beginning(tally.chosen()));
    Ok(seen)
}

async fn read(
    path: &Path,
    mark: Option<Arc<Mark>>,
    wanted: &Logs,
    deadline: &Deadline,
    tally: &mut Tally<'_>,
) -> Result<(), Cause> {
    let name = path.to_owned();
    let stretches = apart(path, move || tail::since(&name, mark.as_deref())).await?;
    let limit = usize::try_from(wanted.limit.0).unwrap_or(usize::MAX);
    let mut lines = Lines::new(limit);
    for mut stretch in stretches {
        if stretch.within_a_line {
            lines.skip();
        }
        loop {
            // A disk is quick and we may be slow: between two chunks the deadline is looked at all the same.
            if deadline.left().is_zero() {
                return Err(deadline.missed(Phase::Transfer));
            }
            let (rest, chunk) = next(path, stretch).await?;
            stretch = rest;
            if chunk.is_empty() {
                break;
            }
            lines.feed(&chunk, |line| tally.take(line));
        }
        lines.finish(|line| tally.take(line));
    }
    Ok(())
}

async fn next(path: &Path, mut stretch: Stretch) -> Result<(Stretch, Vec<u8>), Cause> {
    apart(path, move || {
        let chunk = stretch.next(CHUNK)?;
        Ok((stretch, chunk))
    })
    .await
}

/// Does what may wait for a disk where nothing else has to wait for it.
async fn apart<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Cause> {
    let done = spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    done.map_err(|error| {
        let absent = error.kind() == io::ErrorKind::NotFound;
        let why = if absent { "there is no such file".to_owned() } else { error.to_string() };
        Cause::new(Reason::Connect, format!("`{}` cannot be read: {why}", path.display()))
    })
}
