//! One TLS handshake, from the first byte or after STARTTLS: what was agreed on, and the certificates shown.

mod starttls;

use rustls::ProtocolVersion;
use rustls::pki_types::CertificateDer;

use super::answer::any_of;
use super::attempt::{Breach, Seen, Session, beginning};
use super::certificate::Certificate;
use super::connect::{self, Authority, Deadline, Options, Stream, Trail, timed};
use super::request::options;
use super::trust;
use crate::event::{Hop, Line};
use crate::sample::{Cause, Phase, Reason};
use crate::scenario::expect::Expect;
use crate::scenario::network::Network;
use crate::scenario::subject::Subject;
use crate::scenario::template::{Scope, Unset};
use crate::scenario::tls::{Handshake as Wanted, StartTls};

/// How many certificates of a chain are kept as evidence.
const CHAIN_KEPT: usize = 8;

/// Shakes hands, and judges what came of it.
pub(super) async fn attempt(
    wanted: &Wanted,
    expect: &Expect,
    scope: &Scope,
    session: &Session,
    deadline: &Deadline,
) -> Result<Seen, Unset> {
    let place = wanted.address.place;
    let text = wanted.address.fill(scope)?;
    let mut seen = Seen::default();
    let options = match options(Some(&wanted.tls), &Network::default(), scope, session)? {
        Ok(options) => options,
        Err(cause) => {
            seen.breaches.push(Breach::lost(cause, place));
            return Ok(seen);
        }
    };
    let Ok(to) = text.parse::<Authority>() else {
        let title = format!("`{text}` is not `host:port`");
        seen.breaches.push(Breach::new(Reason::Policy, place, title, "the address"));
        return Ok(seen);
    };
    let mut way = Way::default();
    let shaken = way.shake(&to, &options, wanted.starttls, deadline).await;
    seen.evidence.hops.push(Hop {
        method: wanted.starttls.map_or_else(|| "TLS".to_owned(), |first| format!("TLS after {first}")),
        url: text,
        peer: way.trail.peer.map(|peer| peer.to_string()),
        version: shaken.as_ref().ok().map(|agreed| agreed.version.clone()),
        status: None,
        phases: way.trail.phases,
    });
    seen.evidence.exchange = way.said;
    seen.evidence.body = (!way.trail.chain.is_empty()).then(|| describe(&way.trail.chain));
    match shaken {
        Ok(agreed) => {
            let version = [Subject::Text(&agreed.version)];
            let wanted = expect.version.as_ref();
            let breach =
                wanted.and_then(|wanted| any_of(wanted, &version, scope, Reason::Tls, "the version of TLS"));
            seen.breaches.extend(breach);
            seen.evidence.state = Some(format!("{}, {}", agreed.version, agreed.suite));
        }
        Err(cause) => {
            let help = untrusted(&cause, &way.trail.chain);
            let breach = Breach::lost(cause, place);
            seen.breaches.push(match help {
                Some(help) => breach.help(help),
                None => breach,
            });
        }
    }
    seen.chain = way.trail.chain;
    Ok(seen)
}

/// The way to a handshake, as far as it went.
#[derive(Default)]
struct Way {
    trail: Trail,
    /// What was said before TLS.
    said: Vec<Line>,
}

/// What both sides agreed on.
struct Agreed {
    version: String,
    suite: String,
}

impl Way {
    async fn shake(
        &mut self,
        to: &Authority,
        options: &Options,
        starttls: Option<StartTls>,
        deadline: &Deadline,
    ) -> Result<Agreed, Cause> {
        // Roots are read from disk before the first phase: that is our time, not the target's.
        let host = to.bare_host();
        let preparing = trust::Handshake::prepare(&options.tls, &host);
        let handshake = deadline.run(Phase::Tls, preparing).await??;
        let opened = connect::open(to, false, options, deadline).await;
        let (stream, trail) = match opened {
            Ok(connection) => (Ok(connection.stream), connection.trail),
            Err(failed) => (Err(failed.cause), failed.trail),
        };
        self.trail = trail;
        let Stream::Plain(mut stream) = stream? else {
            return Err(Cause::new(Reason::Protocol, "the connection is encrypted before it is asked to be"));
        };
        if let Some(first) = starttls {
            let asking = starttls::ask(first, &mut stream, &mut self.said);
            timed(&mut self.trail.phases, Phase::Exchange, deadline, asking).await?;
        }
        let shaking = handshake.shake(stream);
        let shaken = timed(&mut self.trail.phases, Phase::Tls, deadline, shaking).await;
        self.trail.chain = handshake.chain();
        let shaken = shaken?;
        let agreed = shaken.get_ref().1;
        Ok(Agreed {
            version: agreed.protocol_version().map(version).unwrap_or_default(),
            suite: agreed
                .negotiated_cipher_suite()
                .map(|suite| format!("{:?}", suite.suite()))
                .unwrap_or_default(),
        })
    }
}

/// A version as files write it: `TLS1.3`.
fn version(version: ProtocolVersion) -> String {
    let name = format!("{version:?}");
    match name.strip_prefix("TLSv") {
        Some(number) => format!("TLS{}", number.replace('_', ".")),
        None => name,
    }
}

/// The certificates, a few lines each, the peer's own first.
fn describe(chain: &[CertificateDer<'_>]) -> String {
    let shown = chain.iter().take(CHAIN_KEPT).map(|one| match Certificate::read(one) {
        Ok(read) => {
            let names = if read.names.is_empty() {
                String::new()
            } else {
                format!("\n  for {}", read.names.join(", "))
            };
            format!(
                "{}\n  issued by {}, number {}{names}\n  from {} until {}, {} days left",
                read.subject,
                read.issuer,
                read.serial,
                read.from,
                read.until,
                read.days_left(jiff::Timestamp::now())
            )
        }
        Err(unreadable) => unreadable.to_string(),
    });
    let more = chain.len().checked_sub(CHAIN_KEPT).filter(|more| *more > 0);
    let lines: Vec<_> = shown.chain(more.map(|more| format!("and {more} more"))).collect();
    beginning(lines.join("\n").as_bytes())
}

/// Whom to trust, where nobody is known who issued the certificate.
fn untrusted(cause: &Cause, chain: &[CertificateDer<'_>]) -> Option<String> {
    if cause.reason != Reason::Tls || !cause.message.contains("UnknownIssuer") {
        return None;
    }
    let last = Certificate::read(chain.last()?).ok()?;
    Some(if last.subject == last.issuer {
        format!("`{}` is signed by itself: trust it by `ca`, if it is to be trusted", last.subject)
    } else {
        format!("the chain ends with what `{}` has issued, and nobody trusted is called so", last.issuer)
    })
}
