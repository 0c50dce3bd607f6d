//! What a name server answers, and what was wrong with it.

mod ask;
mod message;
mod server;

use std::sync::Arc;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, Record};

pub use self::ask::{Asked, Came, Try, ask};
pub use self::message::Question;
pub use self::server::{NotAServer, Server, Transport};
use super::answer::any_of;
use super::attempt::{Breach, Seen, Session};
use super::connect::Deadline;
use super::policy::Policy;
use super::request::options;
use crate::event::Hop;
use crate::sample::{Cause, Reason};
use crate::scenario::dns::{Dns, Rcode, Records};
use crate::scenario::expect::Expect;
use crate::scenario::network::Network;
use crate::scenario::subject::Subject;
use crate::scenario::template::{Scope, Unset};
use crate::source::{At, Place};

/// How many records of each section are kept as evidence.
const RECORDS_KEPT: usize = 32;

/// Asks, and judges the answer.
pub(super) async fn attempt(
    wanted: &Dns,
    expect: &Expect,
    scope: &Scope,
    session: &Session,
    deadline: &Deadline,
) -> Result<Seen, Unset> {
    let mut seen = Seen::default();
    let name = wanted.name.fill(scope)?;
    let mut options = match options(Some(&wanted.tls), &Network::default(), scope, session)? {
        Ok(options) => options,
        Err(cause) => {
            seen.breaches.push(Breach::lost(cause, wanted.name.place));
            return Ok(seen);
        }
    };
    let server = match &wanted.server {
        None => Server::own().await.inspect(|own| options.policy = Arc::new(open_to(own))),
        Some(written) => {
            let server = written.fill(scope)?.parse::<Server>();
            server.map_err(|why| Cause::new(Reason::Policy, why.to_string()))
        }
    };
    let question = Question::new(&name, wanted.kind, wanted.recursion);
    let (server, question) = match (server, question) {
        (Ok(server), Ok(question)) => (server, question),
        (Err(cause), _) => {
            let place = wanted.server.as_ref().map_or(wanted.name.place, |at| at.place);
            seen.breaches.push(Breach::lost(cause, place));
            return Ok(seen);
        }
        (Ok(_), Err(cause)) => {
            seen.breaches.push(Breach::lost(cause, wanted.name.place));
            return Ok(seen);
        }
    };
    let asked = ask(&question, &server, &options, deadline).await;
    seen.evidence.hops = asked.tries.iter().map(|made| hop(made, wanted, &server)).collect();
    match asked.result {
        Err(cause) => seen.breaches.push(Breach::lost(cause, wanted.name.place)),
        Ok(message) => {
            let asked_for: Vec<_> = question.asked_for(&message).collect();
            seen.evidence.state = Some(describe(&message));
            seen.evidence.body = Some(zone(&message));
            let heard = Heard { message: &message, asked_for: &asked_for, name: question.name() };
            seen.breaches.extend(heard.breaches(&expect.records, wanted.name.place, scope));
        }
    }
    Ok(seen)
}

/// The policy that leaves open the machine's own server and nothing else. Clouds have theirs among the addresses
/// that are closed, and every name on this machine is asked of it anyway.
fn open_to(own: &Server) -> Policy {
    Policy::new(own.at.host.to_string().trim_matches(['[', ']']).parse().into_iter().collect(), Vec::new())
}

fn hop(made: &Try, wanted: &Dns, server: &Server) -> Hop {
    let version = match made.came {
        Came::Nothing => None,
        Came::Beginning => Some("cut off".to_owned()),
        Came::All => Some("answered".to_owned()),
    };
    Hop {
        method: wanted.kind.name().to_owned(),
        url: Server { transport: made.over, at: server.at.clone() }.to_string(),
        peer: made.peer.map(|peer| peer.to_string()),
        version,
        status: None,
        phases: made.phases,
    }
}

/// `NOERROR, 2 answers`.
fn describe(message: &Message) -> String {
    let count = message.answers.len();
    let plural = if count == 1 { "" } else { "s" };
    format!("{}, {count} answer{plural}", rcode(message.metadata.response_code))
}

fn rcode(code: ResponseCode) -> String {
    let number = u16::from(code);
    Rcode::of(number).map_or_else(|| format!("RCODE {number}"), |known| known.to_string())
}

/// The records as lines of a zone file, section by section.
fn zone(message: &Message) -> String {
    let sections = [
        ("answer", &message.answers),
        ("authority", &message.authorities),
        ("additional", &message.additionals),
    ];
    let mut lines = Vec::new();
    for (title, records) in sections {
        lines.extend((!records.is_empty()).then(|| format!("; {title}")));
        lines.extend(records.iter().take(RECORDS_KEPT).map(message::line));
        let more = records.len().checked_sub(RECORDS_KEPT).filter(|more| *more > 0);
        lines.extend(more.map(|more| format!("; {more} more")));
    }
    super::attempt::beginning(lines.join("\n").as_bytes())
}

/// An answer, as it is judged.
struct Heard<'m> {
    message: &'m Message,
    /// The records of the type asked for.
    asked_for: &'m [&'m Record],
    name: &'m Name,
}

impl Heard<'_> {
    fn breaches(&self, wanted: &Records, asked: Place, scope: &Scope) -> Vec<Breach> {
        let mut breaches: Vec<_> = self.rcode(wanted, asked).into_iter().collect();
        breaches.extend(self.circle(asked));
        if breaches.is_empty()
            && wanted.rcode.is_none()
            && wanted.count.is_none()
            && self.asked_for.is_empty()
        {
            let title = format!("`{}` exists and has no such record", self.name.to_ascii());
            let breach = Breach::new(Reason::Dns, asked, title, "no record of this type");
            breaches.push(breach.help("expect `count: 0` if that is right"));
        }
        let count = Subject::Number(number(self.asked_for.len()));
        let what = "the number of records of the type asked for";
        breaches.extend(held(wanted.count.as_ref(), &[count], scope, what));
        let ttl = self.message.answers.iter().map(|record| record.ttl).min();
        let ttl = ttl.map_or(Subject::Absent, |ttl| Subject::Number(f64::from(ttl)));
        breaches.extend(held(wanted.ttl.as_ref(), &[ttl], scope, "the smallest time to live, in seconds,"));
        let sections = [
            (&wanted.answers, &self.message.answers, "the answer"),
            (&wanted.authority, &self.message.authorities, "the authority section"),
            (&wanted.additional, &self.message.additionals, "the additional section"),
        ];
        for (wanted, records, section) in sections {
            let texts: Vec<_> = records.iter().map(message::data).collect();
            let subjects: Vec<_> = texts.iter().map(|text| Subject::Text(text)).collect();
            let breach = held(wanted.as_ref(), &subjects, scope, &format!("a record of {section}"));
            breaches.extend(breach.map(|breach| match texts.len() {
                0 | 1 => breach,
                several => breach.help(format!("none of the {several} records is so: {}", few(&texts))),
            }));
        }
        breaches
    }

    fn rcode(&self, wanted: &Records, asked: Place) -> Option<Breach> {
        let code = self.message.metadata.response_code;
        let expected = wanted.rcode.as_ref().map_or(Rcode::NoError, |at| at.value);
        if Rcode::of(u16::from(code)) == Some(expected) {
            return None;
        }
        let (place, code) = (wanted.rcode.as_ref().map_or(asked, |at| at.place), rcode(code));
        let title = format!("the server says {code} of `{}`, not {expected}", self.name.to_ascii());
        Some(Breach::new(Reason::Dns, place, title, format!("answered {code}")))
    }

    fn circle(&self, asked: Place) -> Option<Breach> {
        let again = message::circle(self.name, self.message)?;
        let title = format!("the aliases of `{}` go in a circle", self.name.to_ascii());
        let breach = Breach::new(Reason::Dns, asked, title, "leads nowhere");
        Some(breach.help(format!("`{}` leads back to itself", again.to_ascii())))
    }
}

fn held(
    wanted: Option<&At<crate::scenario::predicate::Predicate>>,
    subjects: &[Subject<'_>],
    scope: &Scope,
    what: &str,
) -> Option<Breach> {
    any_of(wanted?, subjects, scope, Reason::Body, what)
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The first few of them, in a line.
fn few(texts: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown =
        texts.iter().take(SHOWN).map(|text| format!("`{}`", text.chars().take(80).collect::<String>()));
    let more = if texts.len() > SHOWN { " …" } else { "" };
    shown.collect::<Vec<_>>().join(", ") + more
}
