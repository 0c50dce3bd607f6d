//! The way to a target: who resolves its name, which of its addresses are asked, and through which proxy.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::Deserialize;
use url::{Host, Url};

use super::template::Template;
use crate::finding::{Code, Finding, Findings};
use crate::secret::Secret;
use crate::source::{At, FileId};

/// The way to a target.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// Only addresses of this family.
    pub family: Option<Family>,
    /// Which of the name's addresses are asked; any that connects unless said.
    pub addresses: Addresses,
    /// Who resolves names, in place of the system: `udp://`, `tcp://` or `tls://` and a host. The port is 53, and
    /// 853 over TLS, unless said.
    pub resolver: Option<At<Template>>,
    /// A PEM file of the authorities to trust of a `tls://` resolver instead of the system's, beside this file.
    pub resolver_ca: Option<At<Template>>,
    /// Who connects in our place: `http://` or `socks5h://`, which also resolves names, or `socks5://`, which does
    /// not; then `user:password@` where it wants them, a host, and a port.
    pub proxy: Option<At<Template>>,
}

/// A file as another one names it: the same words in two files may mean two files, each beside the one that has them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// The file that names it.
    pub by: FileId,
    /// How it is written there.
    pub text: String,
}

impl Named {
    /// What is written there.
    #[must_use]
    pub fn of(written: &At<Template>) -> Self {
        Self { by: written.place.file, text: written.to_string() }
    }
}

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Of 32 bits.
    Ipv4,
    /// Of 128 bits.
    Ipv6,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        })
    }
}

/// Which of a name's addresses are asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Addresses {
    /// The first and no other, so that a half of it that is broken shows.
    First,
    /// In order, until one connects.
    #[default]
    Any,
    /// Each of them, at once; the attempt fails if any of them does.
    All,
}

impl Network {
    /// Every template, the names of files aside.
    pub fn templates(&self) -> impl Iterator<Item = &At<Template>> {
        self.resolver.iter().chain(&self.proxy)
    }

    /// The files that are named.
    pub fn files(&self) -> impl Iterator<Item = &At<Template>> {
        self.resolver_ca.iter()
    }

    /// Checks what is known of it before the run.
    pub fn check(&self, findings: &mut Findings) {
        let literal = |at: &At<Template>| at.literal().map(|text| At::new(text, at.place));
        let bad = |at: &At<String>, why: String| Finding::new(Code::ScenarioUrl, at.place, why);
        if let Some(at) = self.resolver.as_ref().and_then(literal) {
            findings.take(at.value.parse::<Nameserver>().map_err(|why| bad(&at, why.to_string())));
        }
        let Some(at) = self.proxy.as_ref().and_then(literal) else { return };
        let proxy = findings.take(at.value.parse::<Proxy>().map_err(|why| bad(&at, why.to_string())));
        let chosen = [
            (self.resolver.is_some(), "resolver"),
            (self.family.is_some(), "family"),
            (self.addresses != Addresses::Any, "addresses"),
        ];
        let idle = chosen.iter().find(|(set, _)| *set);
        if let (Some(true), Some((_, key))) = (proxy.map(|proxy| proxy.kind.resolves()), idle) {
            let title = format!("`{key}` has no effect: the proxy resolves names itself");
            let finding = Finding::new(Code::ScenarioRequest, at.place, title);
            findings.add(finding.help("with `socks5://` names are resolved here"));
        }
    }
}

/// How a question goes to a name server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// In a datagram, and on a connection where the answer does not fit one.
    Udp,
    /// On a connection, in clear.
    Tcp,
    /// On a connection, over TLS.
    Tls,
}

/// A name server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nameserver {
    /// How it is asked.
    pub transport: Transport,
    /// Where it is; a name is resolved by the system.
    pub host: Host,
    /// Its port; never zero.
    pub port: u16,
}

/// Why a text is not a name server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a resolver: write `udp://127.0.0.1:53`, `tcp://…` or `tls://…`")]
pub struct NotANameserver(String);

impl FromStr for Nameserver {
    type Err = NotANameserver;

    fn from_str(text: &str) -> Result<Self, NotANameserver> {
        let parse = || {
            let (scheme, rest) = text.split_once("://")?;
            let (transport, usual) = match scheme {
                "udp" => (Transport::Udp, 53),
                "tcp" => (Transport::Tcp, 53),
                "tls" => (Transport::Tls, 853),
                _ => return None,
            };
            if let Ok(host) = Host::parse(rest) {
                return Some(Self { transport, host, port: usual });
            }
            let (host, port) = rest.rsplit_once(':')?;
            let host = Host::parse(host).ok()?;
            let port = port.parse().ok().filter(|port| *port != 0)?;
            Some(Self { transport, host, port })
        };
        parse().ok_or_else(|| NotANameserver(text.to_owned()))
    }
}

impl fmt::Display for Nameserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// What a proxy speaks, and who resolves names for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    /// HTTP: `CONNECT`, and whole addresses where plain HTTP is asked for.
    Http,
    /// SOCKS5, told addresses.
    Socks5,
    /// SOCKS5, told names.
    Socks5h,
}

impl ProxyKind {
    const ALL: [(&str, Self, u16); 3] =
        [("http", Self::Http, 80), ("socks5", Self::Socks5, 1080), ("socks5h", Self::Socks5h, 1080)];

    /// Whether the proxy resolves names itself.
    #[must_use]
    pub fn resolves(self) -> bool {
        match self {
            Self::Http | Self::Socks5h => true,
            Self::Socks5 => false,
        }
    }
}

/// Who connects in our place. Prints without user and password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// What it speaks.
    pub kind: ProxyKind,
    /// Where it is.
    pub host: Host,
    /// Its port; never zero.
    pub port: u16,
    /// Who we say we are: a user and a password, of at most 255 bytes each.
    pub credentials: Option<(String, Secret)>,
}

/// Why a text is not a proxy. The text is left out: a password may stand in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAProxy {
    /// It is no address of one.
    #[error("this is not a proxy: write `http://host:3128`, `socks5://host:1080` or `socks5h://host:1080`")]
    Address,
    /// User or password cannot be sent.
    #[error("a proxy's user and password are 1 to 255 bytes of UTF-8 each")]
    Credentials,
}

impl FromStr for Proxy {
    type Err = NotAProxy;

    fn from_str(text: &str) -> Result<Self, NotAProxy> {
        let url = Url::parse(text).map_err(|_| NotAProxy::Address)?;
        let known = ProxyKind::ALL.into_iter().find(|(scheme, ..)| *scheme == url.scheme());
        let (_, kind, usual) = known.ok_or(NotAProxy::Address)?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(NotAProxy::Address);
        }
        let port = url.port().unwrap_or(usual);
        // Of a scheme it does not know, the parser takes an IPv4 address for a name.
        let host = url.host_str().and_then(|host| Host::parse(host).ok());
        let host = host.filter(|_| port != 0).ok_or(NotAProxy::Address)?;
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8().ok()?;
            (1..=255).contains(&text.len()).then(|| text.into_owned())
        };
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => {
                let both = decoded(user).zip(password.and_then(decoded));
                let (user, password) = both.ok_or(NotAProxy::Credentials)?;
                Some((user, Secret::new(password)))
            }
        };
        Ok(Self { kind, host, port, credentials })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = ProxyKind::ALL.iter().find(|(_, kind, _)| *kind == self.kind);
        write!(f, "{}://{}:{}", kind.map_or("", |(scheme, ..)| scheme), self.host, self.port)
    }
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
    #[case::six_and_port("udp://[::1]:5353", "udp://[::1]:5353")]
    fn a_resolver_is_a_scheme_and_a_host(#[case] text: &str, #[case] printed: &str) {
        assert_eq!(text.parse::<Nameserver>().unwrap().to_string(), printed);
    }

    #[rstest]
    #[case::no_scheme("127.0.0.1")]
    #[case::other_scheme("https://ns.test/dns-query")]
    #[case::no_host("udp://")]
    #[case::port_zero("udp://ns.test:0")]
    #[case::path("udp://ns.test/x")]
    fn what_is_not_a_resolver_is_refused(#[case] text: &str) {
        assert!(text.parse::<Nameserver>().is_err());
    }

    #[rstest]
    #[case::http("http://proxy.test:3128", "http://proxy.test:3128", None)]
    #[case::usual_port("http://proxy.test", "http://proxy.test:80", None)]
    #[case::socks("socks5://127.0.0.1", "socks5://127.0.0.1:1080", None)]
    #[case::socks_names("socks5h://[::1]:9/", "socks5h://[::1]:9", None)]
    #[case::credentials("http://me:w%3Ard@p.test:1", "http://p.test:1", Some(("me", "w:rd")))]
    #[case::socks_credentials("socks5://me:word@p.test", "socks5://p.test:1080", Some(("me", "word")))]
    fn a_proxy_is_read_and_printed_without_its_password(
        #[case] text: &str,
        #[case] printed: &str,
        #[case] credentials: Option<(&str, &str)>,
    ) {
        let proxy: Proxy = text.parse().unwrap();
        assert_eq!(proxy.to_string(), printed);
        assert_eq!(
            proxy.credentials.as_ref().map(|(user, word)| (user.as_str(), word.expose())),
            credentials
        );
        assert!(!format!("{proxy:?}").contains("word"));
    }

    #[test]
    fn an_ipv4_proxy_is_no_name() {
        let proxy: Proxy = "socks5://127.0.0.1:1080".parse().unwrap();
        assert_eq!(proxy.host, Host::<String>::Ipv4([127, 0, 0, 1].into()));
    }

    #[rstest]
    #[case::no_scheme("proxy.test:3128", NotAProxy::Address)]
    #[case::https("https://proxy.test:3128", NotAProxy::Address)]
    #[case::socks4("socks4://proxy.test:1080", NotAProxy::Address)]
    #[case::path("http://proxy.test:3128/x", NotAProxy::Address)]
    #[case::port_zero("socks5://proxy.test:0", NotAProxy::Address)]
    #[case::no_password("http://me@proxy.test:3128", NotAProxy::Credentials)]
    #[case::no_user("http://:word@proxy.test:3128", NotAProxy::Credentials)]
    fn what_is_not_a_proxy_is_refused(#[case] text: &str, #[case] why: NotAProxy) {
        assert_eq!(text.parse::<Proxy>(), Err(why));
    }

    #[test]
    fn a_password_too_long_for_socks_is_refused() {
        let text = format!("socks5://me:{}@proxy.test", "x".repeat(256));
        assert_eq!(text.parse::<Proxy>(), Err(NotAProxy::Credentials));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic(text in "((udp|tcp|tls|http|socks5h?)://)?.{0,30}") {
            let _ = text.parse::<Nameserver>();
            let _ = text.parse::<Proxy>();
        }
    }
}
