//! From a name to addresses: by the system, or by asking one name server.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use futures_util::future::join_all;
use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

use super::connect::{self, Authority, Deadline, Options, TlsOptions};
use crate::sample::{Cause, Phase, Phases, Reason};
use crate::scenario::network::{Family, Nameserver, Transport};

/// A name server that is asked in place of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolver {
    /// Who is asked, and how.
    pub at: Nameserver,
    /// Over TLS, trust these authorities and no others; `None` trusts the machine's own.
    pub ca: Option<Arc<[CertificateDer<'static>]>>,
}

/// The largest datagram without an extension of the protocol, RFC 1035, section 4.2.1.
const DATAGRAM: usize = 512;

/// How many datagrams that answer something else are passed over.
const MOST_STRAYS: u32 = 64;

/// How many aliases lead to an address at most.
const MOST_ALIASES: usize = 16;

/// The addresses that `to`, which is a name, has; at least one.
pub(super) async fn resolve(
    to: &Authority,
    options: &Options,
    deadline: &Deadline,
) -> Result<Vec<SocketAddr>, Cause> {
    let name = to.bare_host();
    let unresolved = |why: &str| Cause::new(Reason::Dns, format!("`{name}` does not resolve: {why}"));
    let Some(resolver) = &options.resolver else {
        let found = tokio::net::lookup_host((name.as_str(), to.port)).await;
        let addresses: Vec<_> = found.map_err(|source| unresolved(&source.to_string()))?.collect();
        return if addresses.is_empty() { Err(unresolved("no address")) } else { Ok(addresses) };
    };
    let kinds: &[RecordType] = match options.family {
        Some(Family::Ipv4) => &[RecordType::A],
        Some(Family::Ipv6) => &[RecordType::AAAA],
        None => &[RecordType::AAAA, RecordType::A],
    };
    let line = Line { resolver, options, deadline };
    let answers = join_all(kinds.iter().map(|kind| line.addresses(&name, *kind))).await;
    let (mut addresses, mut failed) = (Vec::new(), None);
    for answer in answers {
        match answer {
            Ok(found) => addresses.extend(found.into_iter().map(|ip| SocketAddr::new(ip, to.port))),
            Err(cause) => failed = Some(cause),
        }
    }
    match failed {
        _ if !addresses.is_empty() => Ok(addresses),
        None => Err(unresolved(&format!("no address, says {}", resolver.at))),
        Some(Cause { reason: Reason::Timeout(_), .. }) => {
            let Cause { reason, message } = deadline.missed(Phase::Resolve);
            Err(Cause::new(reason, format!("{message}: {} has not answered", resolver.at)))
        }
        Some(Cause { reason: Reason::Policy, message }) => {
            Err(Cause::new(Reason::Policy, format!("the resolver {}: {message}", resolver.at)))
        }
        Some(cause) => Err(unresolved(&format!("{} ({})", cause.message, resolver.at))),
    }
}

/// What a name server is asked with.
struct Line<'a> {
    resolver: &'a Resolver,
    options: &'a Options,
    deadline: &'a Deadline,
}

impl Line<'_> {
    /// The addresses of one family; none if the name has none of it.
    async fn addresses(&self, name: &str, kind: RecordType) -> Result<Vec<IpAddr>, Cause> {
        let question = Question::new(name, kind)?;
        let heard = match self.resolver.at.transport {
            Transport::Udp => self.ask_in_a_datagram(&question).await?,
            Transport::Tcp | Transport::Tls => self.ask_on_a_connection(&question).await?,
        };
        match heard {
            Heard::Answer(message) => question.addresses(&message),
            // What does not fit a datagram fits a connection.
            Heard::Truncated if self.resolver.at.transport == Transport::Udp => {
                match self.ask_on_a_connection(&question).await? {
                    Heard::Answer(message) => question.addresses(&message),
                    Heard::Truncated => Err(dns("its answer is cut off, though not in a datagram")),
                    Heard::Stray(why) => Err(dns(format!("{STRAY}: {why}"))),
                }
            }
            Heard::Truncated => Err(dns("its answer is cut off, though not in a datagram")),
            Heard::Stray(why) => Err(dns(format!("{STRAY}: {why}"))),
        }
    }

    /// Where the name server is; its own name is the system's to resolve.
    fn server(&self) -> (Authority, Options) {
        let Nameserver { host, port, .. } = &self.resolver.at;
        let tls = TlsOptions { ca: self.resolver.ca.clone(), ..TlsOptions::default() };
        let options = Options { tls, policy: Arc::clone(&self.options.policy), ..Options::default() };
        (Authority { host: host.clone(), port: *port }, options)
    }

    async fn ask_in_a_datagram(&self, question: &Question) -> Result<Heard, Cause> {
        let (at, options) = self.server();
        // A name server that has a name is the system's to find.
        let found =
            Box::pin(connect::addresses(&at, &options, self.deadline, &mut Phases::default())).await?;
        let Some(address) = found.first() else { return Err(dns("it has no address")) };
        options.policy.check(address.ip()).map_err(|cause| at.blamed(cause))?;
        let failed = |source: io::Error| dns(source.to_string().to_lowercase());
        let asking = async {
            let own: IpAddr =
                if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let socket = UdpSocket::bind((own, 0)).await.map_err(failed)?;
            // Connected, the socket takes datagrams from that address only.
            socket.connect(address).await.map_err(failed)?;
            socket.send(&question.bytes).await.map_err(failed)?;
            for _ in 0..MOST_STRAYS {
                let mut room = [0; DATAGRAM];
                let length = socket.recv(&mut room).await.map_err(failed)?;
                match question.hear(&room[..length])? {
                    Heard::Stray(_) => {}
                    heard @ (Heard::Answer(_) | Heard::Truncated) => return Ok(heard),
                }
            }
            Err(dns(format!("{MOST_STRAYS} datagrams came and none answers the question")))
        };
        self.deadline.run(Phase::Resolve, asking).await?
    }

    /// A message on a connection follows its length, RFC 1035, section 4.2.2.
    async fn ask_on_a_connection(&self, question: &Question) -> Result<Heard, Cause> {
        let (at, options) = self.server();
        let secure = self.resolver.at.transport == Transport::Tls;
        let opened = Box::pin(connect::open(&at, secure, &options, self.deadline)).await;
        let mut stream = opened.map_err(|failed| failed.cause)?.stream;
        let closed = |source: io::Error| dns(format!("the connection ends before the answer: {source}"));
        let asking = async {
            let length = u16::try_from(question.bytes.len()).expect("a question is short").to_be_bytes();
            stream.write_all(&[&length[..], &question.bytes].concat()).await.map_err(closed)?;
            stream.flush().await.map_err(closed)?;
            let mut answer = vec![0; usize::from(stream.read_u16().await.map_err(closed)?)];
            stream.read_exact(&mut answer).await.map_err(closed)?;
            question.hear(&answer)
        };
        self.deadline.run(Phase::Resolve, asking).await?
    }
}

const STRAY: &str = "what came does not answer the question";

fn dns(message: impl Into<String>) -> Cause {
    Cause::new(Reason::Dns, message)
}

/// A question as it goes over the wire.
struct Question {
    query: Query,
    id: u16,
    bytes: Vec<u8>,
}

/// What a message is to a question.
#[derive(Debug)]
enum Heard {
    /// The answer.
    Answer(Box<Message>),
    /// The answer's beginning.
    Truncated,
    /// No answer to it, and why not.
    Stray(&'static str),
}

impl Question {
    fn new(name: &str, kind: RecordType) -> Result<Self, Cause> {
        let unaskable = |why: String| dns(format!("it cannot be asked about: {}", why.to_lowercase()));
        let mut asked = Name::from_ascii(name).map_err(|source| unaskable(source.to_string()))?;
        asked.set_fqdn(true);
        let query = Query::query(asked, kind);
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(query.clone());
        let bytes = message.to_vec().map_err(|source| unaskable(source.to_string()))?;
        Ok(Self { query, id: message.metadata.id, bytes })
    }

    /// What `bytes` are to this question.
    fn hear(&self, bytes: &[u8]) -> Result<Heard, Cause> {
        let [high, low, ..] = bytes else { return Ok(Heard::Stray("it is too short for a message")) };
        if u16::from_be_bytes([*high, *low]) != self.id {
            return Ok(Heard::Stray("it carries another id"));
        }
        let message =
            Message::from_vec(bytes).map_err(|source| dns(format!("its answer is malformed: {source}")))?;
        if message.metadata.message_type != MessageType::Response {
            return Ok(Heard::Stray("it is a question itself"));
        }
        let asked = |query: &Query| {
            query.query_type == self.query.query_type && query.name.eq_ignore_root(&self.query.name)
        };
        match message.queries.as_slice() {
            [one] if asked(one) => {}
            // Who refuses or cannot read a question need not repeat it.
            [] if message.metadata.response_code != ResponseCode::NoError => {}
            [..] => return Ok(Heard::Stray("it is to another question")),
        }
        Ok(if message.metadata.truncation { Heard::Truncated } else { Heard::Answer(Box::new(message)) })
    }

    /// The addresses in an answer, by way of aliases if need be; what belongs to other names is not ours.
    fn addresses(&self, message: &Message) -> Result<Vec<IpAddr>, Cause> {
        let code = message.metadata.response_code;
        if code == ResponseCode::NXDomain {
            return Err(dns("there is no such name"));
        } else if code != ResponseCode::NoError {
            return Err(dns(code.to_str().to_lowercase()));
        }
        let mut name = &self.query.name;
        for _ in 0..MOST_ALIASES {
            let own = || message.answers.iter().filter(|record| record.name.eq_ignore_root(name));
            let found: Vec<IpAddr> = own().filter_map(|record| record.data.ip_addr()).collect();
            if !found.is_empty() {
                return Ok(found);
            }
            let alias = own().find_map(|record| {
                let RData::CNAME(alias) = &record.data else { return None };
                Some(&alias.0)
            });
            match alias {
                Some(alias) => name = alias,
                None => return Ok(Vec::new()),
            }
        }
        Err(dns(format!("its aliases lead in a circle or over {MOST_ALIASES} others")))
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::{A, CNAME};
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn question() -> Question {
        Question::new("shop.test", RecordType::A).unwrap()
    }

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    /// An answer of `name address` and `name alias` pairs.
    fn answer(records: &[(&str, &str)]) -> Message {
        let mut message = Message::from_vec(&question().bytes).unwrap().into_response();
        message.add_answers(records.iter().map(|(owner, data)| {
            let data = match data.parse() {
                Ok(ip) => RData::A(A(ip)),
                Err(_) => RData::CNAME(CNAME(name(data))),
            };
            Record::from_rdata(name(owner), 60, data)
        }));
        message
    }

    #[rstest]
    #[case::none(&[], &[])]
    #[case::two(&[("shop.test.", "10.0.0.1"), ("SHOP.test.", "10.0.0.2")], &["10.0.0.1", "10.0.0.2"])]
    #[case::aliases(&[("b.test.", "10.0.0.1"), ("a.test.", "b.test."), ("shop.test.", "a.test.")], &["10.0.0.1"])]
    #[case::of_another(&[("bank.test.", "10.0.0.1")], &[])]
    #[case::leads_nowhere(&[("shop.test.", "a.test.")], &[])]
    fn addresses_are_those_of_the_name_that_was_asked_about(
        #[case] records: &[(&str, &str)],
        #[case] found: &[&str],
    ) {
        let found: Vec<IpAddr> = found.iter().map(|ip| ip.parse().unwrap()).collect();
        assert_eq!(question().addresses(&answer(records)), Ok(found));
    }

    #[test]
    fn aliases_that_lead_in_a_circle_end() {
        let circle = answer(&[("shop.test.", "a.test."), ("a.test.", "shop.test.")]);
        assert_eq!(question().addresses(&circle).unwrap_err().reason, Reason::Dns);
    }

    proptest! {
        #[test]
        fn no_answer_panics(bytes: Vec<u8>, flip: Option<(usize, u8)>) {
            let question = question();
            let mut own = Message::from_vec(&question.bytes).unwrap().into_response().to_vec().unwrap();
            if let Some((at, bits)) = flip {
                let at = at % own.len();
                own[at] ^= bits;
            }
            for text in [bytes.clone(), own.clone(), [own, bytes].concat()] {
                if let Ok(Heard::Answer(message)) = question.hear(&text) {
                    let _ = question.addresses(&message);
                }
            }
        }

        #[test]
        fn no_name_panics(name in "[ -~]{0,300}") {
            let _ = Question::new(&name, RecordType::A);
        }
    }
}
