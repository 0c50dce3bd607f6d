//! How a Prometheus is reached: its address, who asks, whom to trust, and within which limits.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use url::Url;

use super::failure::Setup;
use crate::secret::Secret;
use crate::units::Size;

/// Everything that is said beforehand.
#[derive(Debug, Clone)]
pub struct Access {
    /// Where it is, with what stands before `/api/v1` if anything does; `http://127.0.0.1:9090`.
    pub address: String,
    /// Who asks.
    pub auth: Auth,
    /// What every question says beside that: `X-Scope-OrgID`.
    pub headers: Vec<(String, Secret)>,
    /// Authorities to trust and no others, in PEM; `None` trusts the machine's own.
    pub authorities: Option<Vec<u8>>,
    /// Who we are, where TLS asks.
    pub identity: Option<Identity>,
    /// What an answer may cost.
    pub limits: Limits,
}

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Auth {
    /// Nobody in particular.
    #[default]
    None,
    /// A user with a password.
    Basic {
        /// Their name.
        user: String,
        /// Their password.
        password: Secret,
    },
    /// Whoever holds this token.
    Bearer(Secret),
}

/// A client certificate and its key, in PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate, and those that lead to its authority.
    pub certificate: Vec<u8>,
    /// Its private key.
    pub key: Secret,
}

/// What an answer may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest body that is read.
    pub body: Size,
    /// How long each try may take, from its beginning to the last byte.
    pub timeout: Duration,
    /// How often more it is tried where trying again may help.
    pub retries: u32,
    /// The pause before the second try; it doubles from one to the next.
    pub pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: Size(64 << 20),
            timeout: Duration::from_secs(30),
            retries: 3,
            pause: Duration::from_millis(200),
        }
    }
}

impl Access {
    /// Reaches `address` as nobody in particular.
    #[must_use]
    pub fn to(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            auth: Auth::None,
            headers: Vec::new(),
            authorities: None,
            identity: None,
            limits: Limits::default(),
        }
    }

    /// The address without user and password, and who asks, wherever that was said.
    pub(super) fn resolve(&self) -> Result<(Url, Auth), Setup> {
        // What was given may hold a password, also where it is no address.
        let shown = || match self.address.rsplit_once('@') {
            Some((_, host)) => format!("…@{host}"),
            None => self.address.clone(),
        };
        let wrong = |why: &str| Setup::Address { address: shown(), why: why.to_owned() };
        let mut url = Url::parse(&self.address).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("it begins with `http://` or `https://`"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it ends before `?` and `#`"));
        }
        let mut auth = self.auth.clone();
        if !url.username().is_empty() || url.password().is_some() {
            if auth != Auth::None {
                return Err(Setup::TwoUsers);
            }
            let decoded = |text: &str| {
                percent_encoding::percent_decode_str(text).decode_utf8().map(std::borrow::Cow::into_owned)
            };
            let (user, password) = (decoded(url.username()), decoded(url.password().unwrap_or_default()));
            let (Ok(user), Ok(password)) = (user, password) else { return Err(Setup::Unsendable) };
            auth = Auth::Basic { user, password: Secret::new(password) };
            // Neither fails for an address that has a host, as these have.
            let _ = url.set_username("");
            let _ = url.set_password(None);
        }
        let path = url.path().trim_end_matches('/').trim_end_matches("/api/v1").to_owned();
        url.set_path(&path);
        Ok((url, auth))
    }

    /// The machinery that sends.
    pub(super) fn http(&self, url: &Url) -> Result<reqwest::Client, Setup> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("firedrill/", env!("CARGO_PKG_VERSION")))
            // What we know of ourselves is meant for this address alone.
            .redirect(redirect::Policy::none())
            .timeout(self.limits.timeout)
            .default_headers(self.all_headers()?)
            .tls_backend_preconfigured(self.tls(url.scheme() == "https")?);
        client.build().map_err(|error| Setup::Client(error.to_string()))
    }

    fn all_headers(&self) -> Result<HeaderMap, Setup> {
        let unsendable = |name: &str| Setup::Header(name.to_owned());
        let all = self.headers.iter().map(|(name, value)| {
            let known = HeaderName::try_from(name.as_str()).map_err(|_| unsendable(name))?;
            let mut value = HeaderValue::try_from(value.expose()).map_err(|_| unsendable(name))?;
            value.set_sensitive(true);
            Ok((known, value))
        });
        all.collect()
    }

    /// Whom to trust and who we are; the machine's own authorities are read where they are needed.
    fn tls(&self, needed: bool) -> Result<ClientConfig, Setup> {
        let mut roots = RootCertStore::empty();
        match &self.authorities {
            Some(pem) => {
                for certificate in certificates(pem).map_err(Setup::Authorities)? {
                    roots.add(certificate).map_err(|error| Setup::Authorities(error.to_string()))?;
                }
            }
            None if needed => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
            None => {}
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Setup::Client(error.to_string()))?
            .with_root_certificates(roots);
        let Some(Identity { certificate, key }) = &self.identity else {
            return Ok(config.with_no_client_auth());
        };
        let chain = certificates(certificate).map_err(Setup::Identity)?;
        let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
            .map_err(|error| Setup::Identity(format!("no private key: {error}")))?;
        config.with_client_auth_cert(chain, key).map_err(|error| Setup::Identity(error.to_string()))
    }
}

/// The certificates in a PEM text, at least one.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    if all.is_empty() { Err("there is none in PEM form".to_owned()) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("http://127.0.0.1:9090", "http://127.0.0.1:9090/")]
    #[case::slash("http://127.0.0.1:9090/", "http://127.0.0.1:9090/")]
    #[case::prefix("https://mimir.test/prometheus/", "https://mimir.test/prometheus")]
    #[case::whole_api("https://mimir.test/prometheus/api/v1", "https://mimir.test/prometheus")]
    fn an_address_ends_where_the_api_begins(#[case] given: &str, #[case] used: &str) {
        assert_eq!(Access::to(given).resolve().unwrap(), (Url::parse(used).unwrap(), Auth::None));
    }

    #[test]
    fn a_user_in_the_address_is_taken_out_of_it() {
        let (url, auth) = Access::to("http://me:a%40b@127.0.0.1:9090/p").resolve().unwrap();
        assert_eq!(url.as_str(), "http://127.0.0.1:9090/p");
        assert_eq!(auth, Auth::Basic { user: "me".to_owned(), password: Secret::new("a@b") });
    }

    #[rstest]
    #[case::no_scheme(
        "127.0.0.1:9090",
        "`127.0.0.1:9090` is no address of a Prometheus: relative URL without a base"
    )]
    #[case::other_scheme(
        "ftp://a.test",
        "`ftp://a.test` is no address of a Prometheus: it begins with `http://` or `https://`"
    )]
    #[case::query(
        "http://a.test/?x=1",
        "`http://a.test/?x=1` is no address of a Prometheus: it ends before `?` and `#`"
    )]
    #[case::password_kept_quiet(
        "ftp://me:secret@a.test",
        "`…@a.test` is no address of a Prometheus: it begins with `http://` or `https://`"
    )]
    fn what_is_no_address_is_said(#[case] given: &str, #[case] said: &str) {
        assert_eq!(Access::to(given).resolve().unwrap_err().to_string(), said);
    }

    #[test]
    fn two_users_are_one_too_many() {
        let mut access = Access::to("http://me:x@a.test");
        access.auth = Auth::Bearer(Secret::new("token"));
        assert_eq!(access.resolve().unwrap_err(), Setup::TwoUsers);
    }

    #[rstest]
    #[case::name("X Scope", "shop", "X Scope")]
    #[case::value("X-Scope-OrgID", "a\nb", "X-Scope-OrgID")]
    fn a_header_that_cannot_be_sent_is_named_without_its_value(
        #[case] name: &str,
        #[case] value: &str,
        #[case] named: &str,
    ) {
        let mut access = Access::to("http://a.test");
        access.headers.push((name.to_owned(), Secret::new(value)));
        let (url, _) = access.resolve().unwrap();
        let said = access.http(&url).unwrap_err().to_string();
        assert_eq!(said, format!("the header `{named}` has a name or a value that no header can have"));
    }

    #[test]
    fn nonsense_certificates_are_said() {
        let mut access = Access::to("https://a.test");
        access.authorities = Some(b"nothing".to_vec());
        let (url, _) = access.resolve().unwrap();
        let said = access.http(&url).unwrap_err().to_string();
        assert_eq!(said, "the certificates to trust cannot be used: there is none in PEM form");
    }
}
