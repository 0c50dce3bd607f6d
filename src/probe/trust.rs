//! Whom a TLS connection trusts, and the certificates it was shown.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::sample::{Cause, Reason};
pub use crate::scenario::http::TlsVersion;
use crate::scenario::network::Named;
use crate::scenario::template::Template;
use crate::source::At;

/// How a TLS connection is made and what it accepts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Trust these authorities and no others; `None` trusts the machine's own.
    pub ca: Option<Arc<[CertificateDer<'static>]>>,
    /// The name to ask for and to find in the certificate, in place of the host.
    pub server_name: Option<String>,
    /// Accept any certificate.
    pub skip_verify: bool,
    /// Who we say we are, where the peer asks.
    pub identity: Option<Identity>,
    /// The oldest version that is spoken; TLS 1.2 if nothing is said.
    pub min_version: Option<TlsVersion>,
    /// Protocols to offer, the best first (`h2`, `http/1.1`); none by default.
    pub alpn: Vec<Vec<u8>>,
}

/// A certificate of our own and its private key; prints without the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate and those that lead to its authority.
    pub chain: Arc<[CertificateDer<'static>]>,
    /// Its private key.
    pub key: Arc<PrivateKeyDer<'static>>,
}

/// Certificates and private keys, by the name of the file they came from, in the file that names it.
#[derive(Debug, Default)]
pub struct Keyring {
    certificates: BTreeMap<Named, Arc<[CertificateDer<'static>]>>,
    keys: BTreeMap<Named, Arc<PrivateKeyDer<'static>>>,
}

impl Keyring {
    /// Reads files of certificates and files of keys, each by its name.
    ///
    /// # Errors
    /// A file holds nothing of what it should, or something damaged.
    pub fn read(
        certificate_files: &BTreeMap<Named, Vec<u8>>,
        key_files: &BTreeMap<Named, Vec<u8>>,
    ) -> Result<Self, String> {
        let mut keyring = Self::default();
        for (name, pem) in certificate_files {
            let read = certificates(pem);
            let read = read.map_err(|why| format!("`{}` holds no certificate: {why}", name.text))?;
            keyring.certificates.insert(name.clone(), read);
        }
        for (name, pem) in key_files {
            let read = PrivateKeyDer::from_pem_slice(pem);
            let read = read.map_err(|why| format!("`{}` holds no private key: {why}", name.text))?;
            keyring.keys.insert(name.clone(), Arc::new(read));
        }
        Ok(keyring)
    }

    /// The certificates of the file that is named there.
    pub(super) fn certificates(&self, file: &At<Template>) -> Option<Arc<[CertificateDer<'static>]>> {
        self.certificates.get(&Named::of(file)).cloned()
    }

    /// The private key in the file that is named there.
    pub(super) fn key(&self, file: &At<Template>) -> Option<Arc<PrivateKeyDer<'static>>> {
        self.keys.get(&Named::of(file)).cloned()
    }
}

/// Why a text is not a list of certificates.
#[derive(Debug, thiserror::Error)]
pub enum NoCertificates {
    /// There is no `BEGIN CERTIFICATE` in it.
    #[error("no certificate in PEM form is in it")]
    Empty,
    /// A block is damaged.
    #[error("a certificate in it is damaged: {0}")]
    Damaged(pem::Error),
}

/// The certificates in a PEM text, at least one; other blocks in it are passed over.
///
/// # Errors
/// There is none, or one is damaged.
pub fn certificates(pem: &[u8]) -> Result<Arc<[CertificateDer<'static>]>, NoCertificates> {
    let all: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(NoCertificates::Damaged)?;
    if all.is_empty() { Err(NoCertificates::Empty) } else { Ok(all.into()) }
}

/// What a handshake agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// `TLS 1.2`, `TLS 1.3`.
    pub version: &'static str,
    /// The cipher suite, by the name that IANA has for it.
    pub suite: String,
}

impl Agreed {
    /// What this session speaks, once the handshake is over.
    pub(crate) fn of(session: &rustls::ClientConnection) -> Option<Self> {
        let version = session.protocol_version()?;
        let version = if version == rustls::ProtocolVersion::TLSv1_2 {
            "TLS 1.2"
        } else if version == rustls::ProtocolVersion::TLSv1_3 {
            "TLS 1.3"
        } else {
            "unknown"
        };
        let suite = session.negotiated_cipher_suite()?.suite();
        let suite = suite.as_str().unwrap_or("unknown").replace("TLS13_", "TLS_");
        Some(Self { version, suite })
    }
}

/// Everything a handshake needs, made ready before anything is sent.
#[derive(Clone)]
pub struct Handshake {
    connector: TlsConnector,
    name: ServerName<'static>,
    seen: Seen,
}

impl std::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handshake").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How many peers one who connects again remembers.
const SESSIONS: usize = 4;

/// The chain the peer presented, leaf first; set once, whether it was accepted or not.
type Seen = Arc<OnceLock<Vec<CertificateDer<'static>>>>;

impl Handshake {
    /// Reads the roots and checks the name, for a connection to `host`.
    ///
    /// # Errors
    /// TLS: a name that no certificate carries, authorities or a certificate of our own that cannot be used.
    pub async fn prepare(options: &TlsOptions, host: &str) -> Result<Self, Cause> {
        let name = options.server_name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name.clone())
            .map_err(|_| tls(format!("`{name}` is not a name a certificate can carry")))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let judge = if options.skip_verify { None } else { Some(judge(options, &provider).await?) };
        let seen = Seen::default();
        let witness = Witness { judge, provider: provider.clone(), seen: seen.clone() };
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions(options.min_version))
            .map_err(|source| tls(source.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(witness));
        let mut config = match &options.identity {
            None => config.with_no_client_auth(),
            Some(Identity { chain, key }) => config
                .with_client_auth_cert(chain.to_vec(), key.clone_key())
                .map_err(|source| tls(format!("our own certificate and its key: {source}")))?,
        };
        config.alpn_protocols.clone_from(&options.alpn);
        // Every attempt is a whole handshake, or the certificate would go unseen.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name, seen })
    }

    /// The same for somebody who connects again and again: the first handshake is a whole one, and those after it
    /// resume it where the peer lets them, as a browser does. Whom it trusts is shared with all the others.
    #[must_use]
    pub fn resuming(&self) -> Self {
        let mut config = ClientConfig::clone(self.connector.config());
        config.resumption = rustls::client::Resumption::in_memory_sessions(SESSIONS);
        Self { connector: TlsConnector::from(Arc::new(config)), ..self.clone() }
    }

    /// Shakes hands over `stream`.
    pub(crate) async fn shake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> Result<TlsStream<S>, Cause> {
        self.connector.connect(self.name.clone(), stream).await.map_err(|source| tls(source.to_string()))
    }

    /// The chain the peer presented so far, leaf first.
    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.seen.get().cloned().unwrap_or_default()
    }
}

/// The versions that are offered.
fn versions(oldest: Option<TlsVersion>) -> &'static [&'static SupportedProtocolVersion] {
    const NEWEST: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
    match oldest {
        None | Some(TlsVersion::Tls12) => rustls::DEFAULT_VERSIONS,
        Some(TlsVersion::Tls13) => NEWEST,
    }
}

fn tls(message: String) -> Cause {
    Cause::new(Reason::Tls, message)
}

/// The verifier that decides, over the given authorities or the machine's.
async fn judge(
    options: &TlsOptions,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, Cause> {
    let roots = match &options.ca {
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            for authority in ca.iter() {
                roots.add(authority.clone()).map_err(|source| tls(format!("the given ca: {source}")))?;
            }
            Arc::new(roots)
        }
        None => machine_roots().await?,
    };
    WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
        .build()
        .map_err(|source| tls(format!("the trusted authorities: {source}")))
}

/// The machine's own authorities, read from disk once for the whole process.
async fn machine_roots() -> Result<Arc<RootCertStore>, Cause> {
    static ROOTS: OnceCell<Arc<RootCertStore>> = OnceCell::const_new();
    let read = || async {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(machine_certificates().await?.iter().cloned());
        Ok(Arc::new(roots))
    };
    ROOTS.get_or_try_init(read).await.cloned()
}

/// The certificates of the machine's own authorities, read from disk once for the whole process.
///
/// # Errors
/// Nobody could be asked to read them.
pub(crate) async fn machine_certificates() -> Result<Arc<[CertificateDer<'static>]>, Cause> {
    static CERTIFICATES: OnceCell<Arc<[CertificateDer<'static>]>> = OnceCell::const_new();
    let read = || tokio::task::spawn_blocking(|| rustls_native_certs::load_native_certs().certs.into());
    let read = CERTIFICATES.get_or_try_init(read).await;
    read.cloned().map_err(|source| tls(format!("the machine's roots: {source}")))
}

/// Keeps the chain that is presented, then leaves the verdict to `judge`; without one, accepts it.
#[derive(Debug)]
struct Witness {
    judge: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    seen: Seen,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(leaf).chain(intermediates);
        self.seen.get_or_init(|| chain.map(|certificate| certificate.clone().into_owned()).collect());
        match &self.judge {
            Some(judge) => judge.verify_server_cert(leaf, intermediates, name, ocsp, now),
            None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match &self.judge {
            Some(judge) => judge.verify_tls12_signature(message, leaf, signature),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match &self.judge {
            Some(judge) => judge.verify_tls13_signature(message, leaf, signature),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pem_text_without_certificates_says_so() {
        let error = certificates(b"no certificate here").unwrap_err();
        assert_eq!(error.to_string(), "no certificate in PEM form is in it");
    }

    #[test]
    fn a_damaged_certificate_is_an_error_not_an_empty_list() {
        let text = b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
        assert!(matches!(certificates(text), Err(NoCertificates::Damaged(_))));
    }

    #[test]
    fn every_certificate_of_a_bundle_is_read() {
        let one = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap().cert.pem();
        let two = rcgen::generate_simple_self_signed(["b.test".to_owned()]).unwrap().cert.pem();
        assert_eq!(certificates(format!("{one}\n{two}").as_bytes()).unwrap().len(), 2);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_pem_reader_panic(text in any::<Vec<u8>>()) {
            let _ = certificates(&text);
        }
    }
}
