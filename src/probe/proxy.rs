//! Through a proxy: a tunnel by HTTP's CONNECT (RFC 9110) or by SOCKS5 (RFC 1928 and 1929).
//!
//! The policy judges the proxy's address, and the target's wherever that is known here. A name that the proxy
//! resolves is the proxy's to judge.

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Host;

use super::connect::{Authority, Deadline, Options, Trail, addresses, dial, timed};
use super::exchange::Excerpt;
use crate::sample::{Cause, Phase, Reason};
use crate::scenario::network::{Proxy, ProxyKind};
use crate::units::Size;

/// The largest head of an answer to CONNECT that is read.
const HEAD: Size = Size(16 << 10);

/// Connects to the proxy itself, for `to` if the policy does not forbid it.
pub(super) async fn reach(
    proxy: &Proxy,
    to: &Authority,
    options: &Options,
    deadline: &Deadline,
    trail: &mut Trail,
) -> Result<TcpStream, Cause> {
    targets(proxy, to, options, deadline, trail).await?;
    knock(proxy, options, deadline, trail).await
}

/// Connects to `to` by way of the proxy: to the first of its addresses that the proxy reaches, or by its name.
pub(super) async fn tunnel(
    proxy: &Proxy,
    to: &Authority,
    options: &Options,
    deadline: &Deadline,
    trail: &mut Trail,
) -> Result<TcpStream, Cause> {
    let mut failed = None;
    for target in targets(proxy, to, options, deadline, trail).await? {
        let mut stream = knock(proxy, options, deadline, trail).await?;
        let asking = async {
            match proxy.kind {
                ProxyKind::Http => connect(&mut stream, proxy, &target).await,
                ProxyKind::Socks5 | ProxyKind::Socks5h => socks(&mut stream, proxy, &target).await,
            }
        };
        match timed(&mut trail.phases, Phase::Connect, deadline, asking).await {
            Ok(()) => return Ok(stream),
            Err(cause) if matches!(cause.reason, Reason::Timeout(_)) => {
                let message = format!("{}: the proxy {proxy} has not answered", cause.message);
                return Err(Cause::new(cause.reason, message));
            }
            Err(cause) => failed = Some(cause),
        }
    }
    Err(failed.unwrap_or_else(|| Cause::new(Reason::Dns, format!("`{}` has no address", to.host))))
}

/// What the proxy is told to connect to, in order: the addresses that the policy leaves open, or the name.
async fn targets(
    proxy: &Proxy,
    to: &Authority,
    options: &Options,
    deadline: &Deadline,
    trail: &mut Trail,
) -> Result<Vec<Authority>, Cause> {
    if proxy.kind.resolves() && options.address.is_none() && to.literal().is_none() {
        return Ok(vec![to.clone()]);
    }
    let (mut open, mut closed) = (Vec::new(), None);
    for address in addresses(to, options, deadline, &mut trail.phases).await? {
        match options.policy.check(address.ip()) {
            Ok(()) => open.push(Authority::from(address)),
            Err(cause) => closed = Some(to.blamed(cause)),
        }
    }
    match closed {
        Some(cause) if open.is_empty() => Err(cause),
        Some(_) | None => Ok(open),
    }
}

/// Opens a connection to the proxy.
async fn knock(
    proxy: &Proxy,
    options: &Options,
    deadline: &Deadline,
    trail: &mut Trail,
) -> Result<TcpStream, Cause> {
    let at = Authority { host: proxy.host.clone(), port: proxy.port };
    let (policy, resolver) = (Arc::clone(&options.policy), options.resolver.clone());
    let own = Options { policy, resolver, ..Options::default() };
    let opened = async {
        let found = addresses(&at, &own, deadline, &mut trail.phases).await?;
        dial(&at, &found, &own.policy, deadline, trail).await
    };
    opened.await.map_err(|cause| Cause::new(cause.reason, format!("the proxy {proxy}: {}", cause.message)))
}

/// What proves who we are to an HTTP proxy.
pub(super) fn basic(proxy: &Proxy) -> Option<String> {
    let (user, password) = proxy.credentials.as_ref()?;
    Some(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", password.expose()))))
}

/// Asks an HTTP proxy for a tunnel.
async fn connect(stream: &mut TcpStream, proxy: &Proxy, to: &Authority) -> Result<(), Cause> {
    let agent = concat!("firedrill/", env!("CARGO_PKG_VERSION"));
    let known = basic(proxy).map(|value| format!("Proxy-Authorization: {value}\r\n")).unwrap_or_default();
    let asked = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\nUser-Agent: {agent}\r\n{known}\r\n");
    let lost = |source| lost(proxy, &source);
    stream.write_all(asked.as_bytes()).await.map_err(lost)?;
    let head = head(stream, proxy).await?;
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    match status(line) {
        Some(200..=299) => Ok(()),
        Some(_) => {
            let said = Excerpt::of(line.get(9..).unwrap_or_default());
            let message = format!("the proxy {proxy} does not connect to {to}: {said}");
            Err(Cause::new(Reason::Connect, message))
        }
        None => Err(Cause::new(
            Reason::Protocol,
            format!("the proxy {proxy} does not speak HTTP: {}", Excerpt::of(&head)),
        )),
    }
}

/// The head of the answer to CONNECT, and not a byte more: what follows is the target's.
async fn head(stream: &mut TcpStream, proxy: &Proxy) -> Result<Vec<u8>, Cause> {
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    loop {
        let seen = stream.peek(&mut piece).await.map_err(|source| lost(proxy, &source))?;
        if seen == 0 {
            return Err(lost(proxy, &io::ErrorKind::UnexpectedEof.into()));
        }
        let mut complete = false;
        let mut taken = 0;
        while taken < seen && !complete {
            head.push(piece[taken]);
            taken += 1;
            complete = head.ends_with(b"\r\n\r\n") || head.ends_with(b"\n\n");
        }
        stream.read_exact(&mut piece[..taken]).await.map_err(|source| lost(proxy, &source))?;
        if complete {
            return Ok(head);
        }
        // Nothing that is no HTTP from its first line on is waited for.
        if head.contains(&b'\n') && status(&head).is_none() {
            return Ok(head);
        }
        if head.len() > HEAD.bytes() {
            return Err(Cause::new(
                Reason::Limit,
                format!("the head of the answer of the proxy {proxy} is over {HEAD}"),
            ));
        }
    }
}

/// The status in `HTTP/1.1 200 OK`.
fn status(line: &[u8]) -> Option<u16> {
    let digits = line.strip_prefix(b"HTTP/1.")?.get(1..5)?.strip_prefix(b" ")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Asks a SOCKS5 proxy for a connection.
async fn socks(stream: &mut TcpStream, proxy: &Proxy, to: &Authority) -> Result<(), Cause> {
    let lost = |source| lost(proxy, &source);
    let refused = |why: &str| Cause::new(Reason::Connect, format!("the proxy {proxy} {why}"));
    let methods: &[u8] = if proxy.credentials.is_some() { &[5, 2, 0, 2] } else { &[5, 1, 0] };
    stream.write_all(methods).await.map_err(lost)?;
    let mut chosen = [0; 2];
    stream.read_exact(&mut chosen).await.map_err(lost)?;
    match (chosen, &proxy.credentials) {
        ([5, 0], _) => {}
        ([5, 2], Some((user, password))) => {
            let (user, password) = (counted(user.as_bytes()), counted(password.expose().as_bytes()));
            let asked = [vec![1], user?, password?].concat();
            stream.write_all(&asked).await.map_err(lost)?;
            let mut answer = [0; 2];
            stream.read_exact(&mut answer).await.map_err(lost)?;
            if answer[1] != 0 {
                return Err(refused("does not accept our user and password"));
            }
        }
        ([5, 0xff], None) => return Err(refused("wants to know who we are: write `user:password@`")),
        ([5, 0xff], Some(_)) => return Err(refused("lets nobody in with a user and a password")),
        (other, _) => return Err(not_socks(proxy, &other)),
    }
    let asked = [vec![5, 1, 0], address(&to.host)?, to.port.to_be_bytes().to_vec()].concat();
    stream.write_all(&asked).await.map_err(lost)?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.map_err(lost)?;
    if answer[0] != 5 || answer[2] != 0 {
        return Err(not_socks(proxy, &answer));
    }
    if answer[1] != 0 {
        return Err(reply(proxy, to, answer[1]));
    }
    // The address it connects from is of no use to us, but what follows it is.
    let length = match answer[3] {
        1 => 4,
        4 => 16,
        3 => usize::from(stream.read_u8().await.map_err(lost)?),
        _ => return Err(not_socks(proxy, &answer)),
    };
    stream.read_exact(&mut vec![0; length + 2]).await.map_err(lost)?;
    Ok(())
}

fn address(host: &Host) -> Result<Vec<u8>, Cause> {
    Ok(match host {
        Host::Ipv4(ip) => [&[1][..], &ip.octets()].concat(),
        Host::Ipv6(ip) => [&[4][..], &ip.octets()].concat(),
        Host::Domain(name) => [vec![3], counted(name.as_bytes())?].concat(),
    })
}

/// Bytes after their number.
fn counted(bytes: &[u8]) -> Result<Vec<u8>, Cause> {
    let too_long = |_| Cause::new(Reason::Dns, format!("no proxy takes a name of {} bytes", bytes.len()));
    let length = u8::try_from(bytes.len()).map_err(too_long)?;
    Ok([&[length][..], bytes].concat())
}

/// Why a proxy does not connect, by the number it gives.
fn reply(proxy: &Proxy, to: &Authority, number: u8) -> Cause {
    let (reason, why) = match number {
        2 => (Reason::Connect, "its rules forbid it"),
        3 => (Reason::Connect, "the network is unreachable"),
        4 => (Reason::Connect, "the host is unreachable"),
        5 => (Reason::Refused, "connection refused"),
        6 => (Reason::Connect, "it took too many hops"),
        7 => (Reason::Connect, "it knows no such command"),
        8 => (Reason::Connect, "it knows no addresses of this kind"),
        _ => (Reason::Connect, "it failed"),
    };
    Cause::new(reason, format!("the proxy {proxy} does not connect to {to}: {why}"))
}

fn not_socks(proxy: &Proxy, said: &[u8]) -> Cause {
    Cause::new(Reason::Protocol, format!("the proxy {proxy} does not speak SOCKS5: {}", Excerpt::of(said)))
}

fn lost(proxy: &Proxy, source: &io::Error) -> Cause {
    let why = if source.kind() == io::ErrorKind::UnexpectedEof {
        "closes the connection before it has answered".to_owned()
    } else {
        format!("is lost before it has answered: {source}")
    };
    Cause::new(Reason::Closed, format!("the proxy {proxy} {why}"))
}
