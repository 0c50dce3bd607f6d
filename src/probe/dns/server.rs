//! Who is asked, and how: `udp://127.0.0.1:53`, or the first of the machine's own servers.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::probe::connect::Authority;
use crate::sample::{Cause, Reason};

/// Where this machine's own name servers are written down.
const OWN: &str = "/etc/resolv.conf";

/// How a question goes over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// In a datagram.
    Udp,
    /// On a connection, in clear.
    Tcp,
    /// On a connection, over TLS.
    Tls,
}

impl Transport {
    const ALL: [Self; 3] = [Self::Udp, Self::Tcp, Self::Tls];

    fn port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 53,
            Self::Tls => 853,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        })
    }
}

/// A name server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// How it is asked.
    pub transport: Transport,
    /// Where it is.
    pub at: Authority,
}

/// Why a text is not a name server's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a name server's address: write `udp://127.0.0.1:53`, `tcp://` or `tls://`")]
pub struct NotAServer(String);

impl FromStr for Server {
    type Err = NotAServer;

    fn from_str(text: &str) -> Result<Self, NotAServer> {
        let parse = || {
            let (scheme, rest) = text.split_once("://")?;
            let transport = Transport::ALL.into_iter().find(|one| one.to_string() == scheme)?;
            let with_port = || format!("{rest}:{}", transport.port()).parse();
            Some(Self { transport, at: rest.parse().or_else(|_| with_port()).ok()? })
        };
        parse().ok_or_else(|| NotAServer(text.to_owned()))
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.transport, self.at)
    }
}

impl Server {
    /// The first of this machine's own servers.
    ///
    /// # Errors
    /// None is written down.
    pub(super) async fn own() -> Result<Self, Cause> {
        let unknown = |why: String| Cause::new(Reason::Dns, format!("{why}: write `server: udp://…`"));
        let text = tokio::fs::read(OWN).await.map_err(|source| unknown(format!("`{OWN}`: {source}")))?;
        first(&String::from_utf8_lossy(&text)).ok_or_else(|| unknown(format!("`{OWN}` names no server")))
    }
}

/// The first server in the text of a `resolv.conf`.
fn first(text: &str) -> Option<Server> {
    let mut servers = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next()? == "nameserver").then(|| words.next()).flatten()
    });
    let ip = servers.find_map(|word| word.parse::<IpAddr>().ok())?;
    let host = match ip {
        IpAddr::V4(ip) => url::Host::Ipv4(ip),
        IpAddr::V6(ip) => url::Host::Ipv6(ip),
    };
    Some(Server { transport: Transport::Udp, at: Authority { host, port: Transport::Udp.port() } })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::whole("udp://127.0.0.1:5353", "udp://127.0.0.1:5353")]
    #[case::usual_port("tcp://ns.test", "tcp://ns.test:53")]
    #[case::usual_port_over_tls("tls://ns.test", "tls://ns.test:853")]
    #[case::six("udp://[::1]", "udp://[::1]:53")]
    fn a_server_is_a_scheme_and_a_host(#[case] text: &str, #[case] printed: &str) {
        assert_eq!(text.parse::<Server>().unwrap().to_string(), printed);
    }

    #[rstest]
    #[case::no_scheme("127.0.0.1")]
    #[case::other_scheme("https://ns.test/dns-query")]
    #[case::no_host("udp://")]
    #[case::port_zero("udp://ns.test:0")]
    #[case::path("udp://ns.test/x")]
    fn what_is_not_a_server_is_refused(#[case] text: &str) {
        assert!(text.parse::<Server>().is_err());
    }

    #[rstest]
    #[case::first_of_two(
        "search a.test\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n",
        Some("udp://192.0.2.1:53")
    )]
    #[case::six("# nameserver 192.0.2.9\nnameserver\t2001:db8::1", Some("udp://[2001:db8::1]:53"))]
    #[case::none("search a.test\nnameserver\n", None)]
    fn the_machines_first_server_is_asked(#[case] text: &str, #[case] server: Option<&str>) {
        assert_eq!(first(text).map(|server| server.to_string()).as_deref(), server);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic(text in "((udp|tcp|tls)://)?.{0,30}") {
            let _ = text.parse::<Server>();
            let _ = first(&text);
        }
    }
}
