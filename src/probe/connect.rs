//! From a host and a port to an open connection: resolve, connect, shake hands, each phase timed.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::time::Instant;
use url::{Host, Url};

pub use crate::probe::deadline::Deadline;
use crate::probe::policy::Policy;
pub use crate::probe::stream::Stream;
use crate::probe::trust::Handshake;
pub use crate::probe::trust::{TlsOptions, certificates};
use crate::sample::{Cause, Phase, Phases, Reason};

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Authority {
    /// A name or a literal address.
    pub host: Host,
    /// The port; never zero.
    pub port: u16,
}

/// Why a text is not a host and a port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAnAuthority(String);

impl Authority {
    /// Where `url` points, with its scheme's usual port if it names none.
    #[must_use]
    pub fn of(url: &Url) -> Option<Self> {
        let port = url.port_or_known_default().filter(|port| *port != 0)?;
        Some(Self { host: url.host()?.to_owned(), port })
    }

    /// The address, where no name has to be resolved.
    pub(super) fn literal(&self) -> Option<SocketAddr> {
        let ip = match &self.host {
            Host::Domain(_) => return None,
            Host::Ipv4(ip) => IpAddr::V4(*ip),
            Host::Ipv6(ip) => IpAddr::V6(*ip),
        };
        Some(SocketAddr::new(ip, self.port))
    }

    /// The host as a certificate would carry it: an IPv6 address without brackets.
    pub(super) fn bare_host(&self) -> String {
        match &self.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(ip) => ip.to_string(),
            Host::Ipv6(ip) => ip.to_string(),
        }
    }
}

impl FromStr for Authority {
    type Err = NotAnAuthority;

    fn from_str(text: &str) -> Result<Self, NotAnAuthority> {
        let example = || NotAnAuthority("an address has a port, like `db:5432` or `[::1]:80`".to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(example)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(example)?;
        let host = Host::parse(host).map_err(|source| NotAnAuthority(format!("`{host}`: {source}")))?;
        Ok(Self { host, port })
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// How to connect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// TLS, where it is spoken.
    pub tls: TlsOptions,
    /// Connect to this address whatever the name resolves to; nothing is then resolved.
    pub address: Option<SocketAddr>,
    /// Which addresses may be connected to.
    pub policy: Arc<Policy>,
}

/// What an attempt to connect has seen on its way, whether it arrived or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trail {
    /// Resolve, connect and TLS, as far as they came; the phase that failed is among them.
    pub phases: Phases,
    /// The address connected to, or tried last.
    pub peer: Option<SocketAddr>,
    /// The protocol agreed upon within TLS.
    pub alpn: Option<Vec<u8>>,
    /// The certificates the peer presented, leaf first, also when they were not accepted.
    pub chain: Vec<CertificateDer<'static>>,
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    /// To read from and write to.
    pub stream: Stream,
    /// How it came about.
    pub trail: Trail,
}

/// A connection that did not come about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub cause: Cause,
    /// How far it came.
    pub trail: Trail,
}

/// Opens a connection to `to`, over TLS if `secure`: the first address that answers, in resolver order.
///
/// # Errors
/// Dns, policy, refused, connect, TLS, or a timeout of one of those phases.
pub async fn open(
    to: &Authority,
    secure: bool,
    options: &Options,
    deadline: &Deadline,
) -> Result<Connection, Box<Failure>> {
    let mut trail = Trail::default();
    match walk(to, secure, options, deadline, &mut trail).await {
        Ok(stream) => Ok(Connection { stream, trail }),
        Err(cause) => Err(Box::new(Failure { cause, trail })),
    }
}

async fn walk(
    to: &Authority,
    secure: bool,
    options: &Options,
    deadline: &Deadline,
    trail: &mut Trail,
) -> Result<Stream, Cause> {
    // Roots are read from disk before the first phase: that is our time, not the target's.
    let handshake = if secure {
        Some(deadline.run(Phase::Tls, Handshake::prepare(&options.tls, &to.bare_host())).await??)
    } else {
        None
    };
    let addresses = match options.address.or_else(|| to.literal()) {
        Some(address) => vec![address],
        None => timed(&mut trail.phases, Phase::Resolve, deadline, resolve(to)).await?,
    };
    let dialling = dial(to, &addresses, &options.policy, &mut trail.peer);
    let stream = timed(&mut trail.phases, Phase::Connect, deadline, dialling).await?;
    let Some(handshake) = handshake else {
        return Ok(Stream::Plain(stream));
    };
    let shaken = timed(&mut trail.phases, Phase::Tls, deadline, handshake.shake(stream)).await;
    trail.chain = handshake.chain();
    let stream = shaken?;
    trail.alpn = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    Ok(Stream::Tls(Box::new(stream)))
}

/// Runs one phase and notes its time, also when it fails.
pub(super) async fn timed<T>(
    phases: &mut Phases,
    phase: Phase,
    deadline: &Deadline,
    work: impl Future<Output = Result<T, Cause>>,
) -> Result<T, Cause> {
    let began = Instant::now();
    let result = deadline.run(phase, work).await;
    phases.set(phase, began.elapsed());
    result?
}

pub(super) async fn resolve(to: &Authority) -> Result<Vec<SocketAddr>, Cause> {
    let name = to.bare_host();
    let unresolved = |why: &str| Cause::new(Reason::Dns, format!("`{name}` does not resolve: {why}"));
    let found = tokio::net::lookup_host((name.as_str(), to.port)).await;
    let addresses: Vec<_> = found.map_err(|source| unresolved(&source.to_string()))?.collect();
    if addresses.is_empty() { Err(unresolved("no address")) } else { Ok(addresses) }
}

/// Tries each address in turn that the policy leaves open; refused only if every one of those refuses.
async fn dial(
    to: &Authority,
    addresses: &[SocketAddr],
    policy: &Policy,
    peer: &mut Option<SocketAddr>,
) -> Result<TcpStream, Cause> {
    let (mut refused, mut failed, mut closed) = (Vec::new(), None, None);
    for address in addresses {
        // The address that is judged is the one that is connected to: the name is not asked for again.
        if let Err(cause) = policy.check(address.ip()) {
            closed.get_or_insert(cause);
            continue;
        }
        *peer = Some(*address);
        match dial_one(*address).await {
            Ok(stream) => return Ok(stream),
            Err(source) if source.kind() == io::ErrorKind::ConnectionRefused => {
                refused.push(address.to_string());
            }
            Err(source) => failed = Some(format!("no connection to {to} at {address}: {source}")),
        }
    }
    Err(match (failed, closed) {
        (Some(message), _) => Cause::new(Reason::Connect, message),
        (None, Some(cause)) if refused.is_empty() => of(to, cause),
        (None, _) => Cause::new(Reason::Refused, format!("connection refused by {}", refused.join(", "))),
    })
}

/// The cause, with the name whose address it speaks of.
fn of(to: &Authority, cause: Cause) -> Cause {
    match to.literal() {
        Some(_) => cause,
        None => Cause::new(cause.reason, format!("{}, of `{}`", cause.message, to.bare_host())),
    }
}

async fn dial_one(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // A closed local port in the ephemeral range can, by chance, be connected to itself.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::name("db:5432", "db:5432")]
    #[case::underscore("event_stream:80", "event_stream:80")]
    #[case::four("127.0.0.1:80", "127.0.0.1:80")]
    #[case::six("[::1]:80", "[::1]:80")]
    fn an_authority_prints_as_it_is_written(#[case] text: &str, #[case] printed: &str) {
        assert_eq!(text.parse::<Authority>().unwrap().to_string(), printed);
    }

    #[rstest]
    #[case::no_port("db")]
    #[case::no_host(":80")]
    #[case::port_zero("db:0")]
    #[case::port_too_large("db:65536")]
    #[case::bare_six("::1:80")]
    #[case::empty("")]
    fn what_is_not_an_authority_is_refused(#[case] text: &str) {
        assert!(text.parse::<Authority>().is_err());
    }

    #[rstest]
    #[case::http("http://a.test/", "a.test:80")]
    #[case::https("https://a.test/", "a.test:443")]
    #[case::websocket("wss://[::1]:9/x", "[::1]:9")]
    fn a_url_names_its_authority(#[case] url: &str, #[case] authority: &str) {
        assert_eq!(Authority::of(&url.parse().unwrap()).unwrap().to_string(), authority);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_authority_parser_panic(text in any::<String>()) {
            let _ = text.parse::<Authority>();
        }
    }
}
