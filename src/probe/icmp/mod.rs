//! Echo requests to a host: how many were answered, and how soon.

pub mod packet;
pub(crate) mod ping;

use std::net::IpAddr;
use std::sync::Arc;

use url::Host;

use self::packet::Echo;
use self::ping::{Line, Plan};
use super::answer::any_of;
use super::attempt::{Breach, Seen, Session};
use super::connect::{Authority, Deadline, Options, timed};

use super::reach;
use crate::event::{Hop, Line as Said};
use crate::sample::{Cause, Phase, Phases, Reason};
use crate::scenario::expect::Expect;
use crate::scenario::icmp::Icmp;
use crate::scenario::subject::Subject;
use crate::scenario::template::{Scope, Unset};
use crate::units::{Ratio, Reading};

/// How many echoes are kept as evidence, one by one.
const ECHOES_KEPT: usize = 16;

/// Asks for echoes, and judges how many came.
pub(super) async fn attempt(
    wanted: &Icmp,
    expect: &Expect,
    scope: &Scope,
    session: &Session,
    deadline: &Deadline,
) -> Result<Seen, Unset> {
    let mut seen = Seen::default();
    let options = Options { policy: Arc::clone(&session.policy), ..Options::default() };
    let text = wanted.host.fill(scope)?;
    let (mut phases, mut peer) = (Phases::default(), None);
    let asked = ask(&text, wanted, &options, deadline, &mut phases, &mut peer).await;
    seen.evidence.hops.push(Hop {
        method: "ECHO".to_owned(),
        url: text.clone(),
        peer: peer.map(|peer| peer.to_string()),
        version: asked
            .as_ref()
            .ok()
            .filter(|echoes| echoes.slowest().is_some())
            .map(|_| "answered".to_owned()),
        status: None,
        phases,
    });
    match asked {
        Err(cause) => seen.breaches.push(Breach::lost(cause, wanted.host.place)),
        Ok(echoes) => {
            seen.latency = echoes.slowest();
            seen.evidence.state = Some(echoes.describe());
            seen.evidence.exchange = echoes.lines();
            seen.breaches.extend(echoes.breach(wanted, expect, deadline, scope));
        }
    }
    Ok(seen)
}

async fn ask(
    host: &str,
    wanted: &Icmp,
    options: &Options,
    deadline: &Deadline,
    phases: &mut Phases,
    peer: &mut Option<IpAddr>,
) -> Result<ping::Echoes, Cause> {
    let address = reach::address(&authority(host)?, options, deadline, phases).await?.ip();
    *peer = Some(address);
    let line = Line::open(address)?;
    let plan = Plan {
        echo: Echo::new(address, wanted.size, rand::random()),
        count: wanted.count,
        interval: wanted.interval,
    };
    let pinging = async { Ok(line.ping(&plan, deadline).await) };
    // The deadline ends the waiting and not the attempt: what came by then counts.
    timed(phases, Phase::Exchange, &deadline.within(std::time::Duration::MAX), pinging).await
}

/// A host without a port.
fn authority(text: &str) -> Result<Authority, Cause> {
    let host = match text.parse() {
        Ok(IpAddr::V4(ip)) => Host::Ipv4(ip),
        Ok(IpAddr::V6(ip)) => Host::Ipv6(ip),
        Err(_) => Host::parse(text)
            .map_err(|source| Cause::new(Reason::Policy, format!("`{text}` is not a host: {source}")))?,
    };
    Ok(Authority { host, port: 0 })
}

impl ping::Echoes {
    /// `3 sent, 1 lost, the slowest after 12 ms`.
    fn describe(&self) -> String {
        let slowest = self.slowest().map(|slowest| format!(", the slowest after {}", Reading(slowest)));
        format!("{} sent, {} lost{}", self.0.len(), self.lost(), slowest.unwrap_or_default())
    }

    fn lines(&self) -> Vec<Said> {
        let lines = self.0.iter().enumerate().take(ECHOES_KEPT).map(|(number, fate)| Said {
            what: format!("echo {}", number + 1),
            took: fate.as_ref().ok().copied().unwrap_or_default().into(),
            heard: fate.as_ref().err().map(ToString::to_string).into_iter().collect(),
        });
        lines.collect()
    }

    /// Without a word about losses, none is expected.
    fn breach(&self, wanted: &Icmp, expect: &Expect, deadline: &Deadline, scope: &Scope) -> Option<Breach> {
        let missed = deadline.missed(Phase::Wait);
        if let Some(loss) = &expect.loss {
            let share = Ratio::new(f64::from(self.lost()) / f64::from(wanted.count)).unwrap_or(Ratio::ONE);
            return any_of(loss, &[Subject::Share(share)], scope, missed.reason, "the share of lost echoes");
        }
        let first = self.0.iter().find_map(|fate| fate.as_ref().err())?;
        let place = wanted.host.place;
        let breach = match first {
            ping::Lost::Unanswered => {
                let title = format!("{} of {} echoes are lost", self.lost(), wanted.count);
                Breach::new(missed.reason, place, title, "no reply by the deadline")
            }
            ping::Lost::Failed(why) => {
                let title = format!("{} of {} echoes are lost: {why}", self.lost(), wanted.count);
                Breach::new(Reason::Connect, place, title, "unreachable")
            }
        };
        Some(breach.help("expect `loss: at most 5%` where some may be lost"))
    }
}
