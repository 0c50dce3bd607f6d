//! An attempt at each of a name's addresses, at once: it passes when all of them do.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use url::Url;

use super::attempt::{Attempt, Breach, Session, at_one};
use super::connect::{self, Authority, Deadline};
use super::request::options;
use crate::event::Address;
use crate::sample::{Cause, Phases, Reason};
use crate::scenario::probe::{Probe, Target};
use crate::scenario::step::Step;
use crate::scenario::template::{Scope, Unset};

/// The most addresses of a name that are asked at once.
const MOST_ADDRESSES: usize = 16;

/// Makes one attempt of a step at each address of its target.
///
/// What is kept for later steps, and the cookies, are those of the first address.
pub(super) async fn attempt(
    step: &Step,
    probe: &Probe,
    target: Target<'_>,
    scope: &Scope,
    session: &mut Session,
    deadline: &Deadline,
) -> Result<Attempt, Unset> {
    let began = Instant::now();
    let text = target.at.fill(scope)?;
    let found = match options(probe.told().tls(), target.network, scope, session)? {
        Ok(options) => resolve(&text, &options, deadline).await,
        Err(cause) => Err(cause),
    };
    let addresses = match found {
        Ok(addresses) => addresses,
        Err(cause) => return Ok(Attempt::lost(Breach::lost(cause, target.at.place), began.elapsed())),
    };
    let resolved = began.elapsed();
    let mut sessions: Vec<_> = addresses.iter().map(|address| session.pinned(*address)).collect();
    let attempts = sessions.iter_mut().map(|session| Box::pin(at_one(step, probe, scope, session, deadline)));
    let made = join_all(attempts).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    if let Some(first) = sessions.into_iter().next() {
        session.client = first.client;
    }
    Ok(together(&addresses, made, resolved))
}

async fn resolve(
    text: &str,
    options: &connect::Options,
    deadline: &Deadline,
) -> Result<Vec<SocketAddr>, Cause> {
    let of_url = Url::parse(text).ok().filter(Url::has_host).as_ref().and_then(Authority::of);
    let to = match of_url {
        Some(to) => to,
        None => text.parse::<Authority>().map_err(|why| Cause::new(Reason::Policy, why.to_string()))?,
    };
    let found = connect::addresses(&to, options, deadline, &mut Phases::default()).await?;
    if found.len() > MOST_ADDRESSES {
        let message =
            format!("`{}` has {} addresses; {MOST_ADDRESSES} are asked at most", to.host, found.len());
        return Err(Cause::new(Reason::Limit, message));
    }
    Ok(found)
}

/// One result of all: as slow as the slowest, with what was wrong at each, and the evidence of the first that failed.
fn together(addresses: &[SocketAddr], made: Vec<Attempt>, resolved: Duration) -> Attempt {
    let slowest = made.iter().map(|attempt| attempt.took).max().unwrap_or_default();
    let shown = made.iter().position(|attempt| !attempt.breaches.is_empty()).unwrap_or(0);
    let mut whole = Attempt { took: resolved + slowest, ..Attempt::default() };
    let (mut told, mut hops) = (Vec::new(), Vec::new());
    for (number, (address, attempt)) in addresses.iter().zip(made).enumerate() {
        told.push(Address {
            address: address.to_string(),
            took: attempt.took.into(),
            failures: attempt.breaches.iter().map(|breach| breach.title.clone()).collect(),
        });
        let mut evidence = attempt.evidence;
        hops.append(&mut evidence.hops);
        if number == shown {
            whole.evidence = evidence;
        }
        let at_address = |breach: Breach| Breach { title: format!("{address}: {}", breach.title), ..breach };
        whole.breaches.extend(attempt.breaches.into_iter().map(at_address));
        if number == 0 {
            whole.captured = attempt.captured;
            whole.trace = attempt.trace;
        }
    }
    whole.evidence.hops = hops;
    whole.evidence.addresses = told;
    whole
}
