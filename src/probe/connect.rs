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
use crate::probe::resolve::Resolver;
pub use crate::probe::stream::Stream;
use crate::probe::trust::Handshake;
pub use crate::probe::trust::{Agreed, TlsOptions, certificates};
use crate::probe::{proxy, resolve};
use crate::sample::{Cause, Phase, Phases, Reason};
use crate::scenario::network::{Family, Proxy};

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

    /// The cause, with the name whose address it speaks of.
    pub(super) fn blamed(&self, cause: Cause) -> Cause {
        match self.literal() {
            Some(_) => cause,
            None => Cause::new(cause.reason, format!("{}, of `{}`", cause.message, self.bare_host())),
        }
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

impl From<SocketAddr> for Authority {
    fn from(address: SocketAddr) -> Self {
        let host = match address.ip() {
            IpAddr::V4(ip) => Host::Ipv4(ip),
            IpAddr::V6(ip) => Host::Ipv6(ip),
        };
        Self { host, port: address.port() }
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
    /// Only addresses of this family.
    pub family: Option<Family>,
    /// Only the first address, so that a broken one is not passed over.
    pub first: bool,
    /// Who resolves names, in place of the system.
    pub resolver: Option<Resolver>,
    /// Who connects in our place.
    pub proxy: Option<Proxy>,
}

/// The most addresses of a name that are tried.
const MOST_ADDRESSES: usize = 64;

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
    /// What TLS agreed on.
    pub agreed: Option<Agreed>,
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
/// Dns, policy, refused, connect, TLS, or a timeout of one of those phases; of a proxy also protocol, closed and
/// limit.
pub async fn open(
    to: &Authority,
    secure: bool,
    options: &Options,
    deadline: &Deadline,
) -> Result<Connection, Box<Failure>> {
    let mut trail = Trail::default();
    match prepare_and_walk(to, secure, options, deadline, &mut trail).await {
        Ok(stream) => Ok(Connection { stream, trail }),
        Err(cause) => Err(Box::new(Failure { cause, trail })),
    }
}

/// Opens a connection to `to`, over TLS by `handshake` where there is one, which was made ready before.
///
/// # Errors
/// As [`open`].
pub async fn open_prepared(
    to: &Authority,
    handshake: Option<&Handshake>,
    options: &Options,
    deadline: &Deadline,
) -> Result<Stream, Cause> {
    walk(to, handshake, options, deadline, &mut Trail::default()).await
}

/// Opens a connection to the proxy that is to forward plain requests for `to`.
pub(super) async fn open_to_proxy(
    proxy: &Proxy,
    to: &Authority,
    options: &Options,
    deadline: &Deadline,
) -> Result<Connection, Box<Failure>> {
    let mut trail = Trail::default();
    match proxy::reach(proxy, to, options, deadline, &mut trail).await {
        Ok(stream) => Ok(Connection { stream: Stream::Plain(stream), trail }),
        Err(cause) => Err(Box::new(Failure { cause, trail })),
    }
}

async fn prepare_and_walk(
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
    walk(to, handshake.as_ref(), options, deadline, trail).await
}

async fn walk(
    to: &Authority,
    handshake: Option<&Handshake>,
    options: &Options,
    deadline: &Deadline,
    trail: &mut Trail,
) -> Result<Stream, Cause> {
    let stream = if let Some(proxy) = &options.proxy {
        proxy::tunnel(proxy, to, options, deadline, trail).await?
    } else {
        let addresses = addresses(to, options, deadline, &mut trail.phases).await?;
        dial(to, &addresses, &options.policy, deadline, trail).await?
    };
    let Some(handshake) = handshake else {
        return Ok(Stream::Plain(stream));
    };
    let shaken = timed(&mut trail.phases, Phase::Tls, deadline, handshake.shake(stream)).await;
    trail.chain = handshake.chain();
    let stream = shaken?;
    trail.alpn = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    trail.agreed = Agreed::of(stream.get_ref().1);
    Ok(Stream::Tls(Box::new(stream)))
}

/// Runs one phase and adds its time, also when it fails.
pub(super) async fn timed<T>(
    phases: &mut Phases,
    phase: Phase,
    deadline: &Deadline,
    work: impl Future<Output = Result<T, Cause>>,
) -> Result<T, Cause> {
    let began = Instant::now();
    let result = deadline.run(phase, work).await;
    phases.set(phase, phases.get(phase).unwrap_or_default() + began.elapsed());
    result?
}

/// The addresses of `to` that are to be tried, in order; at least one. The policy has not judged them yet.
pub(super) async fn addresses(
    to: &Authority,
    options: &Options,
    deadline: &Deadline,
    phases: &mut Phases,
) -> Result<Vec<SocketAddr>, Cause> {
    let mut found = match options.address.or_else(|| to.literal()) {
        Some(address) => vec![address],
        None => timed(phases, Phase::Resolve, deadline, resolve::resolve(to, options, deadline)).await?,
    };
    if let Some(family) = options.family {
        found.retain(|address| address.is_ipv4() == (family == Family::Ipv4));
        if found.is_empty() {
            return Err(Cause::new(Reason::Dns, format!("`{}` has no {family} address", to.bare_host())));
        }
    }
    found.truncate(if options.first { 1 } else { MOST_ADDRESSES });
    Ok(found)
}

/// Tries each address in turn that the policy leaves open; refused only if every one of those refuses.
pub(super) async fn dial(
    to: &Authority,
    addresses: &[SocketAddr],
    policy: &Policy,
    deadline: &Deadline,
    trail: &mut Trail,
) -> Result<TcpStream, Cause> {
    let (mut refused, mut failed, mut closed) = (Vec::new(), None, None);
    for address in addresses {
        // The address that is judged is the one that is connected to: the name is not asked for again.
        if let Err(cause) = policy.check(address.ip()) {
            closed.get_or_insert(cause);
            continue;
        }
        trail.peer = Some(*address);
        let dialling = async { Ok(dial_one(*address).await) };
        match timed(&mut trail.phases, Phase::Connect, deadline, dialling).await? {
            Ok(stream) => return Ok(stream),
            Err(source) if source.kind() == io::ErrorKind::ConnectionRefused => {
                refused.push(address.to_string());
            }
            Err(source) => {
                if let Some(cause) = own_want(&source) {
                    return Err(cause);
                }
                failed = Some(format!("no connection to {to} at {address}: {source}"));
            }
        }
    }
    Err(match (failed, closed) {
        (Some(message), _) => Cause::new(Reason::Connect, message),
        (None, Some(cause)) if refused.is_empty() => to.blamed(cause),
        (None, _) => Cause::new(Reason::Refused, format!("connection refused by {}", refused.join(", "))),
    })
}

/// The cause, where this machine had nothing left to connect with.
fn own_want(source: &io::Error) -> Option<Cause> {
    let message = if source.kind() == io::ErrorKind::AddrNotAvailable {
        "this machine has no free port left for connections to that address: each closed one is held for a \
         minute; keep connections open, load with less, or widen net.ipv4.ip_local_port_range and set \
         net.ipv4.tcp_tw_reuse=1"
    } else if source.raw_os_error().is_some_and(is_want_of_files) {
        "this process has no free file left for a connection: raise the limit with `ulimit -n`, or load with \
         fewer connections"
    } else {
        return None;
    };
    Some(Cause::new(Reason::Local, message))
}

#[cfg(unix)]
fn is_want_of_files(code: i32) -> bool {
    let code = rustix::io::Errno::from_raw_os_error(code);
    code == rustix::io::Errno::MFILE || code == rustix::io::Errno::NFILE
}

#[cfg(not(unix))]
fn is_want_of_files(_: i32) -> bool {
    false
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
